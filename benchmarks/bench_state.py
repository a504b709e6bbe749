"""What a tick costs in the database: time and bytes, by commit policy.

Run: python -m benchmarks.bench_state [TICKS]. Each tick carries 10 levels a side; both sides are
requoted each 5th tick (benchmarks/state_workload.py). The records are made beforehand, so the figure is
the state manager's alone.
"""

from __future__ import annotations

import logging
import statistics
import sys
import tempfile
import time
from pathlib import Path

from msgspec.structs import replace

from benchmarks.state_workload import session_end, session_start, stream
from neo_engine.domain.records import IntentRecord, OutcomeRecord
from neo_engine.state.manager import StateManager, StateOptions

TICKS = 3000
SERIES = 5
POLICIES = (("NORMAL", 1), ("NORMAL", 100), ("FULL", 1))
OPTIONS = StateOptions(
    synchronous="NORMAL",
    busy_timeout_ms=5000,
    group_commit_ticks=1,
    backups_kept=0,
    checkpoint_interval_seconds=0,
    orphan_cleanup_days=7,
    depth_levels=10,
    account_lock=None,
)
Records = list[tuple[IntentRecord, OutcomeRecord | None]]


def run(records: Records, synchronous: str, group: int) -> tuple[list[float], float, float]:
    """Return the seconds of each tick, the wall seconds of all, and the bytes a tick on disk."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "bench.db")
        options = replace(OPTIONS, synchronous=synchronous, group_commit_ticks=group)
        store = StateManager.open(path, options)
        store.begin_session(session_start())
        store.close()
        empty = path.stat().st_size
        store = StateManager.open(path, options)
        store.begin_session(session_start())
        laps = []
        start = time.perf_counter()
        for intent, outcome in records:
            lap = time.perf_counter()
            store.commit_intent(intent)
            if outcome is not None:
                store.commit_outcome(outcome)
            laps.append(time.perf_counter() - lap)
        store.flush()
        wall = time.perf_counter() - start
        store.end_session(session_end(len(records)))
        store.close()
        return laps, wall, (path.stat().st_size - empty) / len(records)


def main(ticks: int) -> None:
    """Print one line a policy: medians of the series."""
    logging.disable(logging.WARNING)  # each series opens a database that a killed session seems to have left
    records = list(stream(ticks))
    print(f"{ticks} ticks, median of {SERIES} series")
    for synchronous, group in POLICIES:
        series = [run(records, synchronous, group) for _ in range(SERIES)]
        mean = statistics.median(wall / ticks for _laps, wall, _size in series) * 1e6
        centiles = [statistics.quantiles(laps, n=100) for laps, _wall, _size in series]
        p50, p99 = (statistics.median(one[n] for one in centiles) * 1e6 for n in (49, 98))
        size = statistics.median(size for _laps, _wall, size in series)
        print(
            f"{synchronous:6} group {group:3}: {mean:6.1f} us a tick ({1e6 / mean:7,.0f} ticks/s), "
            f"p50 {p50:6.1f} us, p99 {p99:6.1f} us, {size:5.0f} bytes a tick"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else TICKS)
