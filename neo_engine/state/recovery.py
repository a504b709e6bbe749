"""What opening a database puts right: sessions whose process died, and orders that were never sent.

Runs under the engine's lock, so whoever left a session open is dead.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

import msgspec

from neo_engine.domain.halt import HaltReason
from neo_engine.domain.kill import LATCH_KEY
from neo_engine.domain.orders import TERMINAL, OrderStatus
from neo_engine.domain.records import SessionEnd
from neo_engine.event_log import say
from neo_engine.state.options import iso
from neo_engine.state.queries import ORDERS_OF_SESSION, TICKS_OF_SESSION
from neo_engine.state.statements import UPSERT_STATE

SESSION_DIED = "session died"
_TERMINAL = ", ".join(sorted(f"'{status.value}'" for status in TERMINAL))


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """What was put right: sessions closed, paper orders closed with them, unsent orders cleaned up."""

    sessions: tuple[int, ...]
    paper_orders: int
    orphans: int


def recover(connection: sqlite3.Connection, now: datetime, orphan_cleanup_days: int | None) -> Recovered:
    """Close dead sessions and clean up orphans, inside the caller's transaction. Raises sqlite3.Error."""
    dead, closed = close_dead_sessions(connection, now)
    orphans = 0
    if orphan_cleanup_days is not None:
        orphans = clean_up_orphans(connection, now, orphan_cleanup_days)
    return Recovered(sessions=dead, paper_orders=closed, orphans=orphans)


def close_dead_sessions(connection: sqlite3.Connection, now: datetime) -> tuple[tuple[int, ...], int]:
    """Give every session without an end the halt reason `unexpected_halt` and what is known of it.

    Orders of a dead paper session are closed, since the paper exchange died with it; those of a live
    one stay, since they may stand on the ledger, and are resolved by hash. Returns the sessions and the
    count of orders closed.
    """
    rows = connection.execute(
        "SELECT session_id, pid, started_at FROM sessions WHERE ended_at IS NULL ORDER BY session_id"
    ).fetchall()
    closed = 0
    for session_id, pid, started_at in rows:
        detail = _close_one(connection, session_id, pid, started_at, iso(now))
        closed += close_orders(connection, session_id, SESSION_DIED)
        say.warning("dead_session_closed", "session {session_id}: {}", detail, session_id=session_id)
    return tuple(row[0] for row in rows), closed


def close_orders(connection: sqlite3.Connection, session_id: int, reason: str) -> int:
    """Close what still works of a session, unless it is live: any other venue ends with its session.

    Returns how many orders were closed. Raises sqlite3.Error.
    """
    return connection.execute(
        "UPDATE orders SET status = 'CANCELED', failure_reason = ?2, closed_ledger = "
        f"(SELECT max(ledger_index) FROM ticks WHERE {TICKS_OF_SESSION}) "
        f"WHERE {ORDERS_OF_SESSION} AND status NOT IN ({_TERMINAL}) "
        "AND (SELECT mode FROM sessions WHERE session_id = ?1) <> 'live'",
        (session_id, reason),
    ).rowcount


def _close_one(
    connection: sqlite3.Connection, session_id: int, pid: int | None, started_at: str, now: str
) -> str:
    last_tick, last, end = connection.execute(
        f"SELECT max(tick), max(ledger_index), max(close_time) FROM ticks WHERE {TICKS_OF_SESSION}",
        (session_id,),
    ).fetchone()
    working = connection.execute(
        f"SELECT count(*) FROM orders WHERE {ORDERS_OF_SESSION} AND status NOT IN ({_TERMINAL})",
        (session_id,),
    ).fetchone()[0]
    # A recording's ledger times are no wall-clock times: taken only where they can be one.
    ended_at = end if end is not None and started_at <= end <= now else now
    detail = (
        f"process {pid if pid is not None else 'unknown'} ended without closing the session; "
        f"last tick {last_tick if last_tick is not None else 'none'}, "
        f"last ledger {last if last is not None else 'none'}, {working} orders still working"
    )
    close_with_rows(connection, session_id, HaltReason.UNEXPECTED_HALT.value, detail, ended_at)
    return detail


def close_with_rows(
    connection: sqlite3.Connection, session_id: int, reason: str, detail: str, ended_at: str
) -> None:
    """Close a session as far as its stored ticks go, inside the caller's transaction."""
    ticks, first, last, start, end = connection.execute(
        "SELECT count(*), min(ledger_index), max(ledger_index), min(close_time), max(close_time) "
        f"FROM ticks WHERE {TICKS_OF_SESSION}",
        (session_id,),
    ).fetchone()
    # With max() the other columns are those of its row (sqlite.org/lang_select.html, bare columns).
    fingerprint = connection.execute(
        f"SELECT max(tick), lower(hex(fingerprint)) FROM ticks WHERE {TICKS_OF_SESSION}", (session_id,)
    ).fetchone()[1]
    connection.execute(
        "UPDATE sessions SET ended_at = ?, halt_reason = ?, halt_detail = ?, ticks = ?, first_ledger = ?, "
        "last_ledger = ?, market_start = ?, market_end = ?, fingerprint = ? WHERE session_id = ?",
        (ended_at, reason, detail, ticks, first, last, start, end, fingerprint or None, session_id),
    )
    connection.executemany(
        UPSERT_STATE, (("halt.reason", reason, ended_at), ("halt.detail", detail, ended_at))
    )


def keep_latch(connection: sqlite3.Connection, end: SessionEnd) -> None:
    """Store the kill switch's latch of a session whose other last words are given up."""
    if LATCH_KEY in end.state:
        connection.execute(UPSERT_STATE, (LATCH_KEY, end.state[LATCH_KEY], end.ended_at))


def clean_up_orphans(connection: sqlite3.Connection, now: datetime, days: int) -> int:
    """Close orders SUBMITTED without an offer sequence for more than `days` days; return how many.

    Without a sequence no transaction was ever numbered, so nothing of them can be on the ledger.
    """
    orphans = connection.execute(
        "UPDATE orders SET status = ?, failure_reason = ? "
        "WHERE status = ? AND offer_sequence IS NULL AND created_at < ?",
        (
            OrderStatus.CANCELED.value,
            f"orphan cleanup {iso(now)[:10]}",
            OrderStatus.SUBMITTED.value,
            iso(now - timedelta(days=days)),
        ),
    ).rowcount
    if orphans:
        say.warning(
            "orphans_closed",
            "orphan cleanup: {orders} unsent orders older than {days} days closed",
            orders=orphans,
            days=days,
        )
    return orphans
