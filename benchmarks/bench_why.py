"""What `why` and `status` take on a database of a million ticks, the start of their process included.

Run: python -m benchmarks.bench_why [TICKS]. The rows are made by long_database.py. The last
tick takes both standing orders back. Nothing else ever happens and the database's lock is held, as by a
running engine, so that the look back for how long goes as far as it ever does.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.long_database import ORDERS_EVERY, make
from benchmarks.measure import SERIES, Stopwatch, figure, title
from benchmarks.state_workload import FIRST_CLOSE
from neo_engine.domain.clock import utc_text
from neo_engine.state.lock import InstanceLock, database_lock_path

TICKS = 1_000_000
SECONDS_MAX = 1.0
ROOT = Path(__file__).resolve().parents[1]


def seconds(words: list[str]) -> tuple[float, float]:
    """Return the median wall and processor seconds of a few runs of `python -m neo_engine ...`."""
    laps = []
    for _ in range(SERIES):
        watch = Stopwatch()
        subprocess.run(
            [sys.executable, "-m", "neo_engine", *words], cwd=ROOT, check=True, capture_output=True
        )
        spent = watch.spent()
        laps.append((spent.wall, spent.user + spent.system))
    walls, processor = zip(*laps, strict=True)
    return statistics.median(walls), statistics.median(processor)


def main(ticks: int) -> None:
    """Print one line a command."""
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder) / "long.db"
        make(db, ticks)
        lock = InstanceLock.acquire(database_lock_path(db), str(db), "now")
        title(f"why, on {ticks:,} ticks in {db.stat().st_size / 1e6:,.0f} MB")
        whole = ["why", "--db", str(db)]
        middle = ticks // 2 - ticks // 2 % ORDERS_EVERY
        for name, words in (
            ("nothing (--version)", ["--version"]),
            ("why --now", whole),
            ("why --tick, in the middle", [*whole, "--tick", str(middle)]),
            ("why --at, in the middle", [*whole, "--at", utc_text(FIRST_CLOSE + 4 * middle)]),
            ("status", ["status", "--db", str(db)]),
        ):
            wall, processor = seconds(words)
            figure(name, wall, "s", most=SECONDS_MAX)
            figure(f"{name}: processor", processor, "s")
        lock.release()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else TICKS)
