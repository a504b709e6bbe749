"""Counts of stored rows between two ticks, found by primary keys."""

from __future__ import annotations

import sqlite3

from neo_engine.report.why_rows import Session, first_id


def _ids(
    connection: sqlite3.Connection, table: str, session: Session, ticks: tuple[int, int]
) -> tuple[int, ...]:
    return tuple(first_id(connection, table, session.session_id, one) for one in (ticks[0], ticks[1] + 1))


def refusals_of(
    connection: sqlite3.Connection, session: Session, first: int, last: int
) -> list[tuple[str, int]]:
    """Return the codes that refused orders made in these ticks, or their cancels, the most frequent first."""
    low, end = _ids(connection, "orders", session, (first, last))
    rows = connection.execute(
        "SELECT code, count(*) FROM ("
        "SELECT coalesce(failure_reason, result_code, 'no code') AS code FROM orders "
        "WHERE id >= ?1 AND id < ?2 AND status = 'REJECTED' UNION ALL "
        "SELECT 'cancel ' || coalesce(result, preliminary, 'no code') FROM submissions "
        "WHERE id >= ?1 << 16 AND id < ?2 << 16 AND kind = 'cancel' AND outcome = 'rejected'"
        ") GROUP BY code ORDER BY 2 DESC, 1 LIMIT 12",
        (low, end),
    ).fetchall()
    return [(str(row[0]), int(row[1])) for row in rows]


def faults_of(
    connection: sqlite3.Connection, session: Session, first: int, last: int
) -> list[tuple[str, int]]:
    """Return the kinds of the feed's faults in these ticks with their counts, the most frequent first."""
    rows = connection.execute(
        "SELECT kind, count(*) FROM feed_faults WHERE id >= ? AND id < ? "
        "GROUP BY kind ORDER BY 2 DESC, 1 LIMIT 12",
        _ids(connection, "feed_faults", session, (first, last)),
    ).fetchall()
    return [(str(row[0]), int(row[1])) for row in rows]
