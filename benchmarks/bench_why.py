"""What `why` and `status` take on a database of a million ticks, the start of their process included.

Run: python -m benchmarks.bench_why [TICKS]. The rows are made by SQL: a few real ticks
(benchmarks/state_workload.py) are repeated, two orders with their transactions in each fifth tick. The last
tick takes both standing orders back. Nothing else ever happens and the database's lock is held, as by a
running engine, so that the look back for how long goes as far as it ever does.
"""

from __future__ import annotations

import sqlite3
import statistics
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from msgspec.structs import replace

from benchmarks.bench_state import OPTIONS
from benchmarks.measure import SERIES, Stopwatch, figure, title
from benchmarks.state_workload import FIRST_CLOSE, session_start, stream
from neo_engine.config import load_config
from neo_engine.domain.clock import utc_text
from neo_engine.state.lock import InstanceLock, database_lock_path
from neo_engine.state.manager import StateManager

TICKS = 1_000_000
SECONDS_MAX = 1.0
PATTERN = 20  # real ticks that are repeated: the calm half of them
CALM_FROM, ORDERS_EVERY = 11, 5
ROOT = Path(__file__).resolve().parents[1]
_SKIPPED = {"id", "session_id", "tick", "order_id", "created_tick"}


def columns(connection: sqlite3.Connection, table: str) -> list[str]:
    """Return the stored columns of a table that the copies take over as they are."""
    names = [row[1] for row in connection.execute(f"PRAGMA table_xinfo({table})") if row[6] == 0]
    return [name for name in names if name not in _SKIPPED]


def _repeat(connection: sqlite3.Connection, ticks: int) -> None:
    counted = (
        f"WITH RECURSIVE n(t) AS (VALUES ({PATTERN + 1}) UNION ALL SELECT t + 1 FROM n WHERE t < {ticks}) "
    )
    source = f"{CALM_FROM} + (n.t - {CALM_FROM}) % {PATTERN - CALM_FROM}"
    session = "(SELECT max(session_id) FROM sessions)"
    for table in ("ticks", "market_snapshots"):
        same = columns(connection, table)
        moved = [
            "strftime('%Y-%m-%dT%H:%M:%SZ', 1795207020 + 4 * n.t, 'unixepoch')"
            if name == "close_time"
            else f"s.{name}"
            for name in same
        ]
        connection.execute(
            f"INSERT INTO {table} (id, session_id, tick, {', '.join(same)}) {counted} "
            f"SELECT {session} << 32 | n.t, {session}, n.t, {', '.join(moved)} "
            f"FROM n JOIN {table} s ON s.id = {session} << 32 | ({source})"
        )
    first, orders = connection.execute(
        f"SELECT max(id), count(*) FROM orders WHERE session_id = {session}"
    ).fetchone()
    same = [
        name for name in columns(connection, "orders") if name not in ("order_no", "status", "created_at")
    ]
    made = f"({PATTERN // ORDERS_EVERY} + 1 + (n.t - 1) / 2) * {ORDERS_EVERY}"
    more = 2 * (ticks // ORDERS_EVERY) - orders
    numbered = f"WITH RECURSIVE n(t) AS (VALUES (1) UNION ALL SELECT t + 1 FROM n WHERE t < {more}) "
    connection.execute(
        f"INSERT INTO orders (id, session_id, order_no, status, created_at, created_tick, {', '.join(same)}) "
        f"{numbered} SELECT {first} + n.t, {session}, {orders} + n.t, "
        f"CASE WHEN n.t > {more} - 2 THEN 'PENDING_CANCEL' ELSE 'CANCELED' END, "
        f"strftime('%Y-%m-%dT%H:%M:%SZ', 1795207020 + 4 * {made}, 'unixepoch'), {made}, "
        f"{', '.join('s.' + name for name in same)} FROM n JOIN orders s ON s.id = {first} - n.t % 2"
    )
    same = columns(connection, "submissions")
    kinds = ["'{}'" if name == "kind" else f"s.{name}" for name in same]
    for kind, offset, which, tick in (
        ("replace", 0, "TRUE", "o.created_tick"),
        ("cancel", 1, "o.status = 'PENDING_CANCEL'", str(ticks)),
    ):
        connection.execute(
            f"INSERT INTO submissions (id, session_id, tick, order_id, {', '.join(same)}) "
            f"SELECT (o.id << 16) + {offset}, o.session_id, {tick}, o.id, {', '.join(kinds).format(kind)} "
            f"FROM orders o JOIN submissions s ON s.id = {first} << 16 WHERE o.id > {first} AND {which}"
        )
    connection.execute(f"UPDATE ticks SET canceled = 2, kept = 0 WHERE id = {session} << 32 | {ticks}")


def make(path: Path, ticks: int) -> None:
    """Make a database of one session with so many ticks, left as a killed process leaves it."""
    with closing(StateManager.open(path, OPTIONS)) as store:
        config = load_config(ROOT / "config" / "paper.yaml").model_dump_json()
        store.begin_session(replace(session_start(), config_json=config))
        for intent, outcome in stream(PATTERN):
            store.commit_intent(intent)
            if outcome is not None:
                store.commit_outcome(outcome)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        _repeat(connection, ticks)
        connection.commit()


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
