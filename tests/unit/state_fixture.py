"""What the tests of the state manager share."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks.state_workload import session_start, stream
from neo_engine.domain.capital import CapitalEvent, CapitalKind
from neo_engine.state.manager import StateManager, StateOptions

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 20, 22, 0, 0, tzinfo=UTC)
OPTIONS = StateOptions(
    synchronous="NORMAL",
    busy_timeout_ms=50,
    group_commit_ticks=1,
    backups_kept=0,
    checkpoint_interval_seconds=0,
    orphan_cleanup_days=7,
    depth_levels=10,
    account_lock=None,
)
DATA_TABLES = (
    "sessions",
    "ticks",
    "market_snapshots",
    "orders",
    "submissions",
    "upkeep",
    "fills",
    "inventory_ledger",
    "capital_events",
    "feed_faults",
    "reconciliations",
    "monitor_readings",
    "engine_state",
)


def fixed_now() -> datetime:
    return NOW


@contextmanager
def opened(path: Path, options: StateOptions = OPTIONS, mode: str = "paper") -> Iterator[StateManager]:
    """An open state manager with a session begun."""
    with closing(StateManager.open(path, options, now=fixed_now)) as store:
        store.begin_session(session_start(mode))
        yield store


def write_ticks(store: StateManager, ticks: int, start: int = 1) -> None:
    for intent, outcome in stream(ticks):
        if intent.tick >= start:
            store.commit_intent(intent)
            if outcome is not None:
                store.commit_outcome(outcome)


def rows(path: Path, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query, values).fetchall()


def one(path: Path, query: str, values: tuple[object, ...] = ()) -> Any:
    found = rows(path, query, values)
    assert len(found) == 1, found
    assert len(found[0]) == 1, found
    return found[0][0]


def counts(path: Path, tables: tuple[str, ...] | list[str]) -> dict[str, int]:
    with closing(sqlite3.connect(path)) as connection:
        return {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}


def everything(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table in key order."""
    return {table: rows(path, f"SELECT * FROM {table} ORDER BY 1, 2") for table in DATA_TABLES}


def wal_bytes(path: Path) -> int:
    wal = Path(f"{path}-wal")
    return wal.stat().st_size if wal.exists() else 0


def deposit(request_id: str, drops: int = 25_000_000) -> CapitalEvent:
    return CapitalEvent(
        request_id=request_id,
        kind=CapitalKind.DEPOSIT,
        base_drops=drops,
        quote=Decimal(0),
        note="more",
        created_at="2026-11-20T20:00:00Z",
    )


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a Python process that can import the project and the tests' helpers."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
