"""What opening a database puts right after a process that died."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from benchmarks.state_workload import session_end, session_start
from neo_engine.state.manager import StateManager
from neo_engine.state.recovery import Recovered
from tests.unit.state_fixture import NOW, OPTIONS, fixed_now, one, opened, rows, write_ticks


def died(path: Path, mode: str, ticks: int) -> None:
    """Leave a session without an end, as a killed process does."""
    with opened(path, mode=mode) as store:
        write_ticks(store, ticks)


def reopened(path: Path) -> Recovered:
    with closing(StateManager.open(path, OPTIONS, now=fixed_now)) as store:
        return store.recovered


def test_a_dead_session_gets_its_reason_and_what_is_known_of_it(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    died(path, "paper", 11)
    assert reopened(path) == Recovered(sessions=(1,), paper_orders=2, orphans=0)
    row = rows(
        path,
        "SELECT ended_at, halt_reason, halt_detail, ticks, first_ledger, last_ledger, market_start, "
        "market_end, fingerprint FROM sessions",
    )
    detail = (
        "process 4711 ended without closing the session; last tick 11, last ledger 1011, "
        "2 orders still working"
    )
    # Tick t closes 4t seconds after 20:37:00; the workload's fingerprint of a tick is its number.
    last = "2026-11-20T20:37:44Z"
    assert row == [
        (last, "unexpected_halt", detail, 11, 1001, 1011, "2026-11-20T20:37:04Z", last, f"{11:064x}")
    ]
    state = dict(rows(path, "SELECT key, value FROM engine_state"))
    assert (state["halt.reason"], state["halt.detail"]) == ("unexpected_halt", detail)
    assert reopened(path) == Recovered(sessions=(), paper_orders=0, orphans=0)


def test_a_session_that_died_before_its_first_tick_is_closed_now(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    died(path, "paper", 0)
    reopened(path)
    assert rows(path, "SELECT ended_at, ticks, fingerprint FROM sessions") == [
        ("2026-11-20T22:00:00Z", 0, None)
    ]


def test_a_replayed_market_of_another_time_does_not_date_the_death(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with closing(StateManager.open(path, OPTIONS, now=fixed_now)) as store:
        store.begin_session(replace(session_start("replay"), started_at="2026-11-20T21:00:00Z"))
        write_ticks(store, 3)  # whose ledgers closed before that
    reopened(path)
    assert one(path, "SELECT ended_at FROM sessions") == "2026-11-20T22:00:00Z"


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("paper", [("CANCELED", "session died", 1011), ("CANCELED", "session died", 1011)]),
        ("replay", [("CANCELED", "session died", 1011), ("CANCELED", "session died", 1011)]),
        ("live", [("OPEN", None, None), ("OPEN", None, None)]),
    ],
)
def test_orders_die_with_the_paper_exchange_and_stay_on_the_ledger(
    tmp_path: Path, mode: str, expected: list[tuple[object, ...]]
) -> None:
    path = tmp_path / "neo.db"
    died(path, mode, 11)
    reopened(path)
    query = "SELECT status, failure_reason, closed_ledger FROM orders ORDER BY id"
    closed_before = [("CANCELED", "replaced", 1011), ("CANCELED", "replaced", 1011)]
    assert rows(path, query) == [*closed_before, *expected]


def test_unsent_orders_are_cleaned_up_after_their_days_and_no_others(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with opened(path, mode="live") as store:
        write_ticks(store, 10)
        store.end_session(session_end(10))
    with closing(sqlite3.connect(path)) as connection:
        # 1: unsent; 2: unsent but open; 3: sent; 4: unsent, made a day later.
        connection.execute("UPDATE orders SET status = 'SUBMITTED', offer_sequence = NULL")
        connection.execute("UPDATE orders SET status = 'OPEN' WHERE id = 2")
        connection.execute("UPDATE orders SET offer_sequence = 103 WHERE id = 3")
        connection.execute("UPDATE orders SET created_at = '2026-11-21T20:37:00Z' WHERE id = 4")
        connection.commit()
    moment = NOW + timedelta(days=7)  # 22:00, after the hour in which the orders were made
    with closing(
        StateManager.open(path, replace(OPTIONS, orphan_cleanup_days=None), now=lambda: moment)
    ) as store:
        assert store.recovered.orphans == 0
    assert reopened(path).orphans == 0
    with closing(StateManager.open(path, OPTIONS, now=lambda: moment)) as store:
        assert store.recovered.orphans == 1
    assert rows(path, "SELECT status, failure_reason FROM orders ORDER BY id") == [
        ("CANCELED", "orphan cleanup 2026-11-27"),
        ("OPEN", None),
        ("SUBMITTED", None),
        ("SUBMITTED", None),
    ]
