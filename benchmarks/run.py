"""Every benchmark, one after the other: what `make bench` runs.

Run: python -m benchmarks.run [--quick | --full]. Each benchmark is a process of its own, so none
inherits another's memory. --quick runs each once in place of five times; --full adds the session of a
million ticks to the one of a hundred thousand.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks.measure import SERIES, machine

ROOT = Path(__file__).resolve().parents[1]
DAY_LEDGERS, QUICK_DAY_LEDGERS = 21_600, 1_800
LONG_TICKS, QUICK_LONG_TICKS, FULL_LONG_TICKS = 100_000, 20_000, 1_000_000


def main() -> int:
    """Run all; return 0, or 1 when one of them failed (a missed aim is no failure)."""
    parser = argparse.ArgumentParser(description=__doc__)
    how_long = parser.add_mutually_exclusive_group()
    how_long.add_argument("--quick", action="store_true", help="one run of each")
    how_long.add_argument("--full", action="store_true", help="with the session of a million ticks")
    options = parser.parse_args()
    series = ["--series", str(1 if options.quick else SERIES)]
    ticks = FULL_LONG_TICKS if options.full else QUICK_LONG_TICKS if options.quick else LONG_TICKS
    plan = [
        ["bench_strategy"],
        ["bench_core"],
        ["bench_sign"],
        ["bench_model", *series],
        ["bench_state", *(["500"] if options.quick else [])],
        ["bench_why", *(["50000"] if options.quick else [])],
        ["bench_report", *(["50000", "5000"] if options.quick else [])],
        ["bench_engine", *series],
        ["bench_session", *series],
        ["bench_simulated", "--ledgers", str(QUICK_DAY_LEDGERS if options.quick else DAY_LEDGERS)],
        ["bench_server", "--seconds", "10" if options.quick else "30"],
        ["bench_live", *series, "--ledgers", "60" if options.quick else "150"],
        ["bench_engine", "--long", "--ticks", str(ticks)],
    ]
    print(machine(), flush=True)
    failed = []
    for name, *arguments in plan:
        print(f"\n--- {name} {' '.join(arguments)}", flush=True)
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *arguments], cwd=ROOT, check=False)
        if done.returncode:
            failed.append(name)
    if failed:
        print(f"\nfailed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
