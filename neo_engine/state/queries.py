"""Read-only questions to a database: for reports, status and the query command.

Every row is a `sqlite3.Row`, columns as in docs/schema.md: money as exact TEXT or integer drops.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from neo_engine.domain.errors import StateError, UsageError
from neo_engine.state.connection import connect_reader
from neo_engine.state.schema import require_current

LATEST = "latest"
#: Rows of session ?1 by their keys, without an index: of ticks or market_snapshots, and of orders.
TICKS_OF_SESSION = "id BETWEEN ?1 << 32 AND (?1 << 32) + 0xFFFFFFFF"
ORDERS_OF_SESSION = "session_id = ?1 AND id > (SELECT s.first_order FROM sessions s WHERE s.session_id = ?1)"

PRUNED = "pruned."  # engine_state key of a session whose details were removed: this and its id


def open_readonly(path: Path) -> sqlite3.Connection:
    """Return a connection that cannot write, beside a running engine or not; the caller closes it.

    Raises StateError for a missing file, one that is no database of ours, a newer or an older schema.
    """
    connection = connect_reader(path)
    try:
        require_current(connection, path)
    except StateError:
        connection.close()
        raise
    connection.row_factory = sqlite3.Row
    return connection


def sessions(connection: sqlite3.Connection) -> list[sqlite3.Row]:
    """Return every session's row, oldest first."""
    return connection.execute("SELECT * FROM sessions ORDER BY session_id").fetchall()


def which_session(connection: sqlite3.Connection, which: str | int) -> int:
    """Return the id of the session that `which` means, wherever one is asked for: `latest`, or its number.

    Raises UsageError when there is none, naming those that exist.
    """
    first, last = connection.execute("SELECT MIN(session_id), MAX(session_id) FROM sessions").fetchone()
    if last is None:
        raise UsageError("the database holds no session yet; run one first: python run_paper_session.py")
    if which == LATEST:
        return int(last)
    if not re.fullmatch(r"\d{1,18}", str(which), re.ASCII):
        raise UsageError(
            f"session {which!r}: give a number or {LATEST}; the database holds {first} to {last}"
        )
    if not connection.execute("SELECT 1 FROM sessions WHERE session_id = ?", (int(which),)).fetchone():
        raise UsageError(
            f"session {which}: not in this database, which holds {first} to {last}; "
            "python summarize_paper_run.py --list shows them"
        )
    return int(which)


def ticks(connection: sqlite3.Connection, session_id: int) -> Iterator[sqlite3.Row]:
    """Yield the session's ticks in order, one at a time."""
    query = f"SELECT * FROM ticks WHERE {TICKS_OF_SESSION} ORDER BY id"
    return iter(connection.execute(query, (session_id,)))


def snapshots(connection: sqlite3.Connection, session_id: int) -> Iterator[sqlite3.Row]:
    """Yield the session's market snapshots in order of ticks, one at a time."""
    query = f"SELECT * FROM market_snapshots WHERE {TICKS_OF_SESSION} ORDER BY id"
    return iter(connection.execute(query, (session_id,)))


def orders(connection: sqlite3.Connection, session_id: int) -> Iterator[sqlite3.Row]:
    """Yield the session's orders in the order in which it made them."""
    query = f"SELECT * FROM orders WHERE {ORDERS_OF_SESSION} ORDER BY id"
    return iter(connection.execute(query, (session_id,)))


def fills(connection: sqlite3.Connection, session_id: int) -> Iterator[sqlite3.Row]:
    """Yield the session's fills in ledger order."""
    query = "SELECT * FROM fills WHERE session_id = ? ORDER BY ledger_index, transaction_index, node"
    return iter(connection.execute(query, (session_id,)))


def capital(connection: sqlite3.Connection, session_id: int) -> list[sqlite3.Row]:
    """Return the capital events the session took up, oldest first."""
    query = "SELECT * FROM capital_events WHERE session_id = ? ORDER BY id"
    return connection.execute(query, (session_id,)).fetchall()


def engine_state(connection: sqlite3.Connection) -> dict[str, str]:
    """Return engine_state as a mapping."""
    return {row[0]: row[1] for row in connection.execute("SELECT key, value FROM engine_state")}
