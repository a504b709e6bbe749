"""What a session's plots and tables are drawn from, read once."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from decimal import Decimal

import msgspec

from neo_engine.report.columns import Columns, load
from neo_engine.report.markouts import Fills, load_fills
from neo_engine.report.risks import limits


class SessionData(msgspec.Struct, frozen=True, kw_only=True):
    """Ticks, markets and fills as columns; limits: of the section `risk` of the configuration."""

    columns: Columns
    fills: Fills
    limits: Mapping[str, Decimal]
    quote_symbol: str


def quote_symbol_of(connection: sqlite3.Connection, session_id: int) -> str:
    """Return what the session's prices are in."""
    (pair,) = connection.execute("SELECT pair FROM sessions WHERE session_id = ?", (session_id,)).fetchone()
    return str(pair).partition("/")[2] or "RLUSD"


def read_session(connection: sqlite3.Connection, session_id: int, quote_symbol: str) -> SessionData:
    """Return the columns of a session. Raises ValueError or StateError for what cannot be read."""
    return SessionData(
        columns=load(connection, session_id),
        fills=load_fills(connection, session_id),
        limits=limits(connection, session_id),
        quote_symbol=quote_symbol,
    )
