"""Which sessions a report is about, and the list of them all: quick, whatever the database's size.

Raises of every public function: UsageError for a session that does not exist, StateError for a
database that cannot be read as one.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from neo_engine.domain.errors import StateError, UsageError
from neo_engine.domain.number import EXACT, parse_number
from neo_engine.report.model import SessionLine

_TIME = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?)?Z?")


@contextmanager
def one_moment(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold one read transaction, so that every query inside sees the same state of the database."""
    own = not connection.in_transaction
    try:
        if own:
            connection.execute("BEGIN")
        yield
    except sqlite3.Error as error:
        raise StateError(
            f"the database cannot be read: {error}; if it persists, restore the newest backup"
        ) from error
    except ValueError as error:  # BadNumber, a time or a JSON text that is none
        raise StateError(f"a stored value is damaged: {error}; restore the newest backup") from error
    finally:
        if own and connection.in_transaction:
            connection.rollback()


#: The last tick of a session is its number of ticks, counted from 1; it is found by its key.
_LINES = (
    "SELECT s.session_id, s.mode, s.feed, s.started_at, s.ended_at, s.halt_reason, t.tick, "
    "COALESCE(f.n, 0), s.config_hash, s.hypothesis, t.account_value_rlusd, t.net_capital_rlusd, t.mark, "
    "(SELECT group_concat(note, '; ') FROM (SELECT n.note FROM session_notes n "
    "WHERE n.session_id = s.session_id ORDER BY n.id)) "
    "FROM sessions s LEFT JOIN ticks t ON t.id = (SELECT MAX(id) FROM ticks "
    "WHERE id BETWEEN s.session_id << 32 AND (s.session_id << 32) + 0xFFFFFFFF) "
    "LEFT JOIN (SELECT session_id, COUNT(*) AS n FROM fills GROUP BY session_id) f "
    "ON f.session_id = s.session_id ORDER BY s.session_id"
)


def list_sessions(connection: sqlite3.Connection) -> tuple[SessionLine, ...]:
    """Return every session of the database, oldest first."""
    with one_moment(connection):
        lines = []
        for row in connection.execute(_LINES):
            profit = None
            if row[12] is not None:  # a mark: before one nothing can be valued
                value, capital = (
                    parse_number(text, f"session {row[0]}, its last tick") for text in row[10:12]
                )
                profit = EXACT.subtract(value, capital)
            lines.append(
                SessionLine(
                    session_id=row[0],
                    mode=row[1],
                    feed=row[2],
                    started_at=row[3],
                    ended_at=row[4],
                    halt_reason=row[5],
                    ticks=row[6] or 0,
                    fills=row[7],
                    config_hash=row[8],
                    hypothesis=row[9],
                    profit=profit,
                    notes=row[13],
                )
            )
        return tuple(lines)


def between(connection: sqlite3.Connection, first: str | None, last: str | None) -> tuple[int, ...]:
    """Return the sessions from `first` to `last`, both included: numbers, or UTC times of their start.

    None leaves that end open. A day counts as its midnight in `first` and as its end in `last`.
    """
    conditions, values = [], []
    for name, text, sign in (("--from", first, ">="), ("--to", last, "<=")):
        if text is None:
            continue
        if re.fullmatch(r"\d{1,18}", text):
            conditions.append(f"session_id {sign} CAST(? AS INTEGER)")
            values.append(str(int(text)))
        elif _TIME.fullmatch(text):
            conditions.append(f"started_at {sign} ?")
            values.append(text.removesuffix("Z") + ("" if sign == ">=" else "~"))
        else:
            raise UsageError(f"{name} {text!r}: give a session's number or a UTC time, e.g. 2026-11-20T18:15")
    query = f"SELECT session_id FROM sessions WHERE {' AND '.join(conditions)}"
    found = tuple(int(row[0]) for row in connection.execute(f"{query} ORDER BY session_id", values))
    if not found:
        raise UsageError(f"no session from {first or 'the first'} to {last or 'the last'}; --list shows them")
    return found
