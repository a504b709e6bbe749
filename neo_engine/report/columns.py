"""The ticks of a session as columns of numbers, read a hundred times quicker than row by row.

SQLite joins a column of ten thousand rows into one text, which is read as a list of numbers at once: a
million ticks with their markets take about two seconds and 150 MB. Binary floats: for counting, drawing and
statistics; a price of at most 15 digits comes back as it was by `decimal_of`, and money is never added up
in here.

1. Rows come in the order of their ids, which is that of the ticks; the numbers of ticks must rise, or the
   database is damaged.
2. A missing price is NaN. Nothing else can be missing.
"""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from neo_engine.domain.errors import StateError
from neo_engine.domain.number import DROPS_PER_XRP, parse_number
from neo_engine.state.rows import TICK_BITS

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

CHUNK_ROWS = 10_000  # joined texts of a few hundred KB: more gain nothing
LEDGER_EPOCH_UNIX = 946_684_800  # 2000-01-01 (domain.clock.LEDGER_EPOCH) in Unix time
KINDS = ("ledger", "silence", "fault", "end")
QUOTING = ("none", "bid", "ask", "both")  # bit 0: the bid is quoted, bit 1: the ask
_MISSING = "-1"  # stands for no price: a price is above 0
_DECODER = msgspec.json.Decoder(list[float])


class Ticks(msgspec.Struct, frozen=True, kw_only=True):
    """All ticks of a session, in order.

    at: seconds since 2000-01-01. kind, quoting: places in KINDS and QUOTING. xrp, quote: inventories.
    value, capital: account value and net capital. mark and anchor: NaN where there is none.
    """

    tick: Numbers
    at: Numbers
    ledger: Numbers
    kind: Numbers
    quoting: Numbers
    anchor: Floats
    xrp: Floats
    quote: Floats
    value: Floats
    capital: Floats
    mark: Floats
    half_spread: Floats

    def __len__(self) -> int:
        return len(self.tick)

    @property
    def profit(self) -> Floats:
        """Session P&L: account value less net capital."""
        return self.value - self.capital


class Snapshots(msgspec.Struct, frozen=True, kw_only=True):
    """All market snapshots of a session, in order; NaN where nobody bids, asks or pools, or we do not quote.

    place: index of the snapshot's tick in `Ticks`. traded_drops: whole; NaN where it was not noted yet.
    """

    tick: Numbers
    place: Numbers
    best_bid: Floats
    best_ask: Floats
    our_bid: Floats
    our_ask: Floats
    pool_xrp: Floats
    pool_quote: Floats
    traded_drops: Floats

    def __len__(self) -> int:
        return len(self.tick)

    @property
    def mid(self) -> Floats:
        """Halfway between best bid and best ask."""
        return (self.best_bid + self.best_ask) / 2


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """Ticks and markets of one session."""

    session_id: int
    ticks: Ticks
    markets: Snapshots

    @property
    def market_at(self) -> Numbers:
        """Close time of each snapshot."""
        return self.ticks.at[self.markets.place]

    @property
    def market_ledger(self) -> Numbers:
        """Ledger index of each snapshot."""
        return self.ticks.ledger[self.markets.place]

    def per_tick(self, column: Floats) -> Floats:
        """Return a column of the markets as one of the ticks, NaN in those without a market."""
        whole = np.full(len(self.ticks), np.nan)
        whole[self.markets.place] = column
        return whole


def decimal_of(price: float) -> Decimal:
    """Return the price as it was written: of at most 15 digits, which a binary float gives back."""
    return Decimal(repr(float(price)))


def numbers(joined: str | None) -> Floats:
    """Return the numbers of a column that SQLite joined with group_concat; None is an empty column.

    Raises msgspec.DecodeError for a text that is no number.
    """
    return np.array(_DECODER.decode(f"[{joined or ''}]"), dtype=np.float64)


def _price(name: str) -> str:
    return f"coalesce({name}, {_MISSING})"


_TICKS = {
    "tick": "tick",
    "at": f"unixepoch(close_time) - {LEDGER_EPOCH_UNIX}",
    "ledger": "ledger_index",
    "kind": "CASE kind WHEN 'ledger' THEN 0 WHEN 'silence' THEN 1 WHEN 'fault' THEN 2 ELSE 3 END",
    "quoting": "CASE quoting WHEN 'none' THEN 0 WHEN 'bid' THEN 1 WHEN 'ask' THEN 2 ELSE 3 END",
    "anchor": _price("anchor"),
    "xrp": "inventory_xrp_drops",
    "quote": "inventory_rlusd",
    "value": "account_value_rlusd",
    "capital": "net_capital_rlusd",
    "mark": _price("mark"),
    "half_spread": _price("half_spread_bps"),
}
_MARKETS = {
    "tick": "tick",
    "best_bid": _price("best_bid"),
    "best_ask": _price("best_ask"),
    "our_bid": _price("our_bid"),
    "our_ask": _price("our_ask"),
    "pool_xrp": _price("pool_xrp_drops"),
    "pool_quote": _price("pool_rlusd"),
    "traded_drops": _price("traded_xrp_drops"),
}
_WHOLE = {"tick", "at", "ledger", "kind", "quoting"}
_DROPS = {"xrp", "pool_xrp"}
_PRICES = {
    "anchor", "mark", "half_spread", "best_bid", "best_ask", "our_bid", "our_ask", "pool_xrp", "pool_quote",
    "traded_drops",
}  # fmt: skip


def _read(
    connection: sqlite3.Connection, table: str, wanted: dict[str, str], session_id: int
) -> dict[str, npt.NDArray[np.float64]]:
    first = session_id << TICK_BITS
    (last,) = connection.execute(
        f"SELECT coalesce(max(id), ?1) FROM {table} WHERE id BETWEEN ?1 AND ?1 + 0xFFFFFFFF", (first,)
    ).fetchone()
    joined = ", ".join(f"group_concat({sql})" for sql in wanted.values())
    query = f"SELECT {joined} FROM {table} WHERE id BETWEEN ? AND ?"
    # Made at their full length at once: parts that are joined later would need the memory twice.
    columns = {name: np.empty(last - first) for name in wanted}
    count = 0
    for start in range(first, last + 1, CHUNK_ROWS):
        texts = connection.execute(query, (start, start + CHUNK_ROWS - 1)).fetchone()
        if texts[0] is None:
            continue
        try:
            found = [numbers(text) for text in texts]
        except (msgspec.DecodeError, msgspec.ValidationError):
            found = []
        if len({len(one) for one in found}) != 1:
            raise _damage(connection, table, wanted, start)
        for name, one in zip(wanted, found, strict=True):
            columns[name][count : count + len(one)] = one
        count += len(found[0])
    return {name: column[:count] for name, column in columns.items()}


def _damage(connection: sqlite3.Connection, table: str, wanted: dict[str, str], start: int) -> StateError:
    """Return the error that names the first value of a chunk that is no number."""
    columns = ", ".join(f"{sql} AS {name}" for name, sql in wanted.items())
    for row in connection.execute(
        f"SELECT {columns} FROM {table} WHERE id BETWEEN ? AND ?", (start, start + CHUNK_ROWS - 1)
    ):
        for name, value in zip(wanted, row, strict=True):
            parse_number(value, f"{table} tick {row[0]}, {name}")  # raises BadNumber, which is told as it is
    return StateError(f"{table} from id {start} on: the database is damaged; restore the newest backup")


def _shaped(found: dict[str, npt.NDArray[np.float64]]) -> dict[str, Any]:
    shaped: dict[str, Any] = {}
    for name, column in found.items():
        if name in _WHOLE:
            shaped[name] = column.astype(np.int64)
            continue
        if name in _PRICES:
            column[column == float(_MISSING)] = np.nan
        if name in _DROPS:
            column /= DROPS_PER_XRP
        shaped[name] = column
    return shaped


def load(connection: sqlite3.Connection, session_id: int) -> Columns:
    """Return the session's ticks and markets.

    Raises BadNumber (a ValueError) for a value that is no number, StateError for rows out of order.
    """
    ticks = Ticks(**_shaped(_read(connection, "ticks", _TICKS, session_id)))
    shaped = _shaped(_read(connection, "market_snapshots", _MARKETS, session_id))
    place = np.searchsorted(ticks.tick, shaped["tick"])
    if not bool(np.all(np.diff(ticks.tick) > 0)) or bool(np.any(place >= len(ticks))):
        raise StateError(
            f"session {session_id}: ticks and snapshots are out of order; restore the newest backup"
        )
    return Columns(session_id=session_id, ticks=ticks, markets=Snapshots(place=place, **shaped))
