"""What a report takes on a database of a million ticks and 100,000 fills, the start of its process included.

Run: python -m benchmarks.bench_report [TICKS [FILLS]]. The rows are made by long_database.py. Each command
is a process of its own, measured SERIES times: median wall and processor seconds, the most memory of any,
and the size of the page.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from benchmarks.long_database import make
from benchmarks.measure import SERIES, figure, machine, title

TICKS, FILLS = 1_000_000, 100_000
REPORT_SECONDS_MAX, LIST_SECONDS_MAX = 10.0, 0.3
MEMORY_MB_MAX, PAGE_MB_MAX = 500.0, 3.0
ROOT = Path(__file__).resolve().parents[1]


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """One process: seconds on the wall and of the processor, its most memory in MB."""

    wall: float
    processor: float
    memory_mb: float


def run(arguments: list[str]) -> Taken:
    """Run one report and return what it took; raises RuntimeError when it fails."""
    begun = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, str(ROOT / "summarize_paper_run.py"), *arguments],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        _pid, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{arguments} ended with {process.returncode}")
    unit = 1e6 if sys.platform == "darwin" else 1e3  # ru_maxrss: bytes on macOS, KB on Linux
    return Taken(
        wall=time.perf_counter() - begun,
        processor=used.ru_utime + used.ru_stime,
        memory_mb=used.ru_maxrss / unit,
    )


def measured(name: str, arguments: list[str], seconds_max: float) -> None:
    """Print the figures of one command."""
    laps = [run(arguments) for _ in range(SERIES)]
    figure(name, statistics.median(lap.wall for lap in laps), "s", most=seconds_max)
    figure(f"{name}: processor", statistics.median(lap.processor for lap in laps), "s")
    figure(f"{name}: most memory", max(lap.memory_mb for lap in laps), "MB", most=MEMORY_MB_MAX)


def main(ticks: int, fills: int) -> None:
    """Make the database and print one block of figures."""
    with tempfile.TemporaryDirectory() as folder:
        db, page = Path(folder) / "long.db", Path(folder) / "page.html"
        make(db, ticks, fills=fills)
        title(
            f"report of {ticks:,} ticks and {fills:,} fills in {db.stat().st_size / 1e6:,.0f} MB; "
            f"{machine()}, load {os.getloadavg()[0]:.1f}"
        )
        where = ["--db", str(db)]
        measured("text", where, REPORT_SECONDS_MAX)
        measured("text and page", [*where, "--html", str(page)], REPORT_SECONDS_MAX)
        figure("page", page.stat().st_size / 1e6, "MB", most=PAGE_MB_MAX)
        measured("list", [*where, "--list"], LIST_SECONDS_MAX)


if __name__ == "__main__":
    numbers = [int(one) for one in sys.argv[1:]]
    main(*(numbers + [TICKS, FILLS][len(numbers) :]))
