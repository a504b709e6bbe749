"""Time series of a session for drawing, thinned so that no peak is lost.

Binary floats are allowed here and in plots.py alone: they end as pixels. A series longer than the
limit is cut into buckets of equal length in ticks; of each bucket the lowest and the highest value
remain, at their own times, so every spike still shows. A bucket without any value leaves a gap; a gap
shorter than a bucket does not show.

>>> thin = Thinner(limit=4, rows=8)
>>> for index, value in enumerate([1, 9, 2, 3, 5, None, 0, 4]):
...     thin.add(index, value)
>>> thin.points()
[(0, 1.0), (1, 9.0), (4, 5.0), (6, 0.0)]
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator
from decimal import Decimal

import msgspec

from neo_engine.domain.clock import ledger_seconds
from neo_engine.domain.number import DROPS_PER_XRP
from neo_engine.state.queries import TICKS_OF_SESSION

POINT_LIMIT = 4_000  # more than the pixels across any plot; keeps a drawing under a second
Point = tuple[int, float]


class Thinner:
    """Collects one series of at most `rows` values and keeps about `limit` of them."""

    def __init__(self, *, limit: int, rows: int) -> None:
        self._size = 1 if rows <= limit else math.ceil(rows / max(limit // 2, 1))
        self._seen = 0
        self._low: Point | None = None
        self._high: Point | None = None
        self._points: list[Point] = []

    def add(self, at: int, value: object) -> None:
        """Take the value of the next row; None, or what is no number, is a gap."""
        number = _number(value)
        if number is not None:
            point = (at, number)
            if self._low is None or number < self._low[1]:
                self._low = point
            if self._high is None or number > self._high[1]:
                self._high = point
        self._seen += 1
        if self._seen == self._size:
            self._close(at)

    def _close(self, at: int) -> None:
        if self._low is None or self._high is None:
            if self._points and not math.isnan(self._points[-1][1]):
                self._points.append((at, math.nan))
        else:
            self._points.extend(sorted({self._low, self._high}))
        self._seen, self._low, self._high = 0, None, None

    def points(self) -> list[Point]:
        """Return what remains, in order of time; a NaN breaks the line."""
        if self._seen:
            self._close(self._points[-1][0] if self._low is None and self._points else 0)
        return self._points


def _number(value: object) -> float | None:
    if value is None:
        return None
    number = float(str(value))
    return number if math.isfinite(number) else None


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """What the prices plot shows; times in seconds since 2000-01-01, prices in RLUSD per XRP.

    *_bps: distance from the book's mid of the same tick, above it positive.
    """

    mid: list[Point]
    anchor: list[Point]
    our_bid: list[Point]
    our_ask: list[Point]
    our_bid_bps: list[Point]
    our_ask_bps: list[Point]
    buys: list[Point]
    sells: list[Point]
    buys_bps: list[Point]
    sells_bps: list[Point]
    fill_count: int


class Holdings(msgspec.Struct, frozen=True, kw_only=True):
    """What the inventory plot shows; limits are None where the configuration has none."""

    xrp: list[Point]
    quote: list[Point]
    account_value: list[Point]
    net_capital: list[Point]
    profit: list[Point]
    max_xrp: float | None
    max_quote: float | None


def _rows(connection: sqlite3.Connection, table: str, session_id: int) -> int:
    which = TICKS_OF_SESSION if table == "ticks" else "session_id = ?1"
    (count,) = connection.execute(f"SELECT COUNT(*) FROM {table} WHERE {which}", (session_id,)).fetchone()
    return int(count)


def _bps_from(mid: object, price: object) -> float | None:
    middle, value = _number(mid), _number(price)
    return None if not middle or value is None else (value / middle - 1) * 10_000


def _fills(
    connection: sqlite3.Connection, session_id: int, side: str, limit: int
) -> tuple[list[Point], list[Point]]:
    """Return the fills of one side as prices and as distances from the mid."""
    where = "FROM fills WHERE session_id = ? AND side = ?"
    (count,) = connection.execute(f"SELECT COUNT(*) {where}", (session_id, side)).fetchone()
    prices, distances = Thinner(limit=limit, rows=count), Thinner(limit=limit, rows=count)
    for when, price, mid in connection.execute(
        f"SELECT close_time, price, mid {where} ORDER BY id", (session_id, side)
    ):
        at = ledger_seconds(when)
        prices.add(at, price)
        distances.add(at, _bps_from(mid, price))
    return prices.points(), distances.points()


def market_series(connection: sqlite3.Connection, session_id: int, limit: int = POINT_LIMIT) -> Market:
    """Return mid, anchor, our quotes and fills of a session, each of about `limit` points at most."""
    names = ("mid", "anchor", "our_bid", "our_ask", "our_bid_bps", "our_ask_bps")
    count = _rows(connection, "ticks", session_id)
    thin = {name: Thinner(limit=limit, rows=count) for name in names}
    rows: Iterator[tuple[object, ...]] = connection.execute(
        "SELECT t.close_time, m.mid, t.anchor, m.our_bid, m.our_ask FROM ticks t "
        f"LEFT JOIN market_snapshots m ON m.id = t.id WHERE t.{TICKS_OF_SESSION} ORDER BY t.id",
        (session_id,),
    )
    for when, mid, anchor, our_bid, our_ask in rows:
        at = ledger_seconds(str(when))
        values = (mid, anchor, our_bid, our_ask, _bps_from(mid, our_bid), _bps_from(mid, our_ask))
        for name, value in zip(names, values, strict=True):
            thin[name].add(at, value)
    buys, buys_bps = _fills(connection, session_id, "buy", limit)
    sells, sells_bps = _fills(connection, session_id, "sell", limit)
    return Market(
        mid=thin["mid"].points(),
        anchor=thin["anchor"].points(),
        our_bid=thin["our_bid"].points(),
        our_ask=thin["our_ask"].points(),
        our_bid_bps=thin["our_bid_bps"].points(),
        our_ask_bps=thin["our_ask_bps"].points(),
        buys=buys,
        sells=sells,
        buys_bps=buys_bps,
        sells_bps=sells_bps,
        fill_count=_rows(connection, "fills", session_id),
    )


def _limits(connection: sqlite3.Connection, session_id: int) -> tuple[float | None, float | None]:
    (text,) = connection.execute(
        "SELECT config_json FROM sessions WHERE session_id = ?", (session_id,)
    ).fetchone()
    config = json.loads(text)
    risk = config.get("risk", {}) if isinstance(config, dict) else {}
    return _number(risk.get("max_xrp_exposure")), _number(risk.get("max_rlusd_exposure"))


def holdings_series(connection: sqlite3.Connection, session_id: int, limit: int = POINT_LIMIT) -> Holdings:
    """Return inventory and account value of a session, each of about `limit` points at most."""
    count = _rows(connection, "ticks", session_id)
    xrp, quote, value, capital, profit = (Thinner(limit=limit, rows=count) for _ in range(5))
    rows = connection.execute(
        "SELECT close_time, inventory_xrp_drops, inventory_rlusd, account_value_rlusd, net_capital_rlusd "
        f"FROM ticks WHERE {TICKS_OF_SESSION} ORDER BY id",
        (session_id,),
    )
    for when, drops, held, worth, paid_in in rows:
        at = ledger_seconds(when)
        xrp.add(at, drops / DROPS_PER_XRP)
        quote.add(at, held)
        value.add(at, worth)
        capital.add(at, paid_in)
        profit.add(at, Decimal(worth) - Decimal(paid_in))
    max_xrp, max_quote = _limits(connection, session_id)
    return Holdings(
        xrp=xrp.points(),
        quote=quote.points(),
        account_value=value.points(),
        net_capital=capital.points(),
        profit=profit.points(),
        max_xrp=max_xrp,
        max_quote=max_quote,
    )
