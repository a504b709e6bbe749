"""A whole session at full speed, as a user starts it: a process of its own, from the file to the database.

Run: python -m benchmarks.bench_session [--recording FILE] [--series N]

Every run is a new process with a new database and everything stored. A session of one ledger gives what
start-up and shutdown cost; the rate is told with it and without it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from benchmarks.measure import SERIES, Spent, Stopwatch, figure, title
from neo_engine.bootstrap import EMBEDDED_RECORDING
from neo_engine.cli_session import DEFAULT_CONFIG

ROOT = Path(__file__).resolve().parents[1]
LEDGERS_A_SECOND = 1_000
FIRST_TICK_SECONDS = 1.0
TIME_LIMIT_SECONDS = 600


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """What one process took and did; bytes: of its database."""

    spent: Spent
    ledgers: int
    bytes: int
    fingerprint: str


def session(recording: Path, duration: str) -> Session:
    """Run one paper session in a process of its own. Raises CalledProcessError when it fails."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "bench.db")
        program = [sys.executable, str(ROOT / "run_paper_session.py"), "--config", str(DEFAULT_CONFIG)]
        program += ["--recording", str(recording), "--duration", duration]
        program += ["--db", str(path), "--speed", "max", "--json"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        watch = Stopwatch()
        done = subprocess.run(
            program, capture_output=True, check=True, env=environment, timeout=TIME_LIMIT_SECONDS
        )
        spent = watch.spent()
        said = json.loads(done.stdout)
        return Session(
            spent=spent, ledgers=said["ledgers"], bytes=path.stat().st_size, fingerprint=said["fingerprint"]
        )


def main() -> None:
    """Print the medians of some runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recording", type=Path, default=EMBEDDED_RECORDING)
    parser.add_argument("--series", type=int, default=SERIES, help="runs")
    options = parser.parse_args()
    title(f"session at full speed on {options.recording.name}, median of {options.series} processes")
    short = [session(options.recording, "1s") for _ in range(options.series)]
    whole = [session(options.recording, "365d") for _ in range(options.series)]
    start_wall = statistics.median(one.spent.wall for one in short)
    start_user = statistics.median(one.spent.user for one in short)
    ledgers = whole[0].ledgers
    figure("start, one ledger and shutdown", start_wall, "s wall", most=FIRST_TICK_SECONDS)
    figure("the same", start_user, "s user")
    wall = statistics.median(one.spent.wall for one in whole)
    user = statistics.median(one.spent.user for one in whole)
    figure(f"whole process, {ledgers} ledgers", ledgers / wall, "ledgers/s")
    figure("without start and shutdown", ledgers / (wall - start_wall), "ledgers/s", least=LEDGERS_A_SECOND)
    figure("the same by user time", ledgers / (user - start_user), "ledgers/s")
    figure("database", whole[0].bytes / ledgers, "bytes/ledger")
    same = len({one.fingerprint for one in whole}) == 1
    print(f"  fingerprint {whole[0].fingerprint[:16]}, {'the same in every run' if same else 'NOT THE SAME'}")


if __name__ == "__main__":
    main()
