"""Time series of a session for drawing, thinned so that no peak is lost.

Binary floats: they end as pixels. A series longer than the
limit is cut into buckets of equal length in ticks; of each bucket the lowest and the highest value
remain, at their own times, so every spike still shows. A bucket without any value leaves a gap; a gap
shorter than a bucket does not show.

>>> thin(np.arange(8), np.array([1, 9, 2, 3, 5, np.nan, 0, 4]), limit=4)
[(0, 1.0), (1, 9.0), (4, 5.0), (6, 0.0)]
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal

import msgspec
import numpy as np

from neo_engine.report.columns import Columns, Floats, Numbers
from neo_engine.report.markouts import Fills

POINT_LIMIT = 4_000  # more than the pixels across any plot; keeps a drawing under a second
Point = tuple[int, float]


def thin(at: Numbers, values: Floats, limit: int) -> list[Point]:
    """Return about `limit` points of a series at most; NaN is a gap, and breaks the line once."""
    rows = len(values)
    size = 1 if rows <= limit else math.ceil(rows / max(limit // 2, 1))
    padded = np.full(math.ceil(rows / size) * size, np.nan)
    padded[:rows] = values
    buckets = padded.reshape(-1, size)
    known = ~np.isnan(buckets)
    lowest = np.where(known, buckets, np.inf).argmin(axis=1).tolist()
    highest = np.where(known, buckets, -np.inf).argmax(axis=1).tolist()
    points: list[Point] = []
    for number, (some, low, high) in enumerate(zip(known.any(axis=1).tolist(), lowest, highest, strict=True)):
        start = number * size
        if some:
            ends = sorted({start + low, start + high})
            points.extend((int(at[place]), float(values[place])) for place in ends)
        elif points and not math.isnan(points[-1][1]):
            points.append((int(at[min(start + size, rows) - 1]), math.nan))
    return points


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


def _of_mid(mid: Floats, price: Floats) -> Floats:
    """Return prices as distances from the mid, in bps."""
    return (price / mid - 1) * 10_000


def market_series(columns: Columns, fills: Fills, limit: int = POINT_LIMIT) -> Market:
    """Return mid, anchor, our quotes and fills of a session, each of about `limit` points at most."""
    ticks, markets = columns.ticks, columns.markets
    mid = columns.per_tick(markets.mid)
    our_bid, our_ask = columns.per_tick(markets.our_bid), columns.per_tick(markets.our_ask)
    made = {}
    for name, sign in (("buys", 1), ("sells", -1)):
        chosen = fills.sign == sign
        price = fills.price[chosen]
        made[name] = thin(fills.at[chosen], price, limit)
        made[f"{name}_bps"] = thin(fills.at[chosen], _of_mid(fills.mid[chosen], price), limit)
    return Market(
        mid=thin(ticks.at, mid, limit),
        anchor=thin(ticks.at, ticks.anchor, limit),
        our_bid=thin(ticks.at, our_bid, limit),
        our_ask=thin(ticks.at, our_ask, limit),
        our_bid_bps=thin(ticks.at, _of_mid(mid, our_bid), limit),
        our_ask_bps=thin(ticks.at, _of_mid(mid, our_ask), limit),
        fill_count=len(fills),
        **made,
    )


def holdings_series(columns: Columns, limits: Mapping[str, Decimal], limit: int = POINT_LIMIT) -> Holdings:
    """Return inventory and account value of a session, each of about `limit` points at most.

    limits: of the section `risk` of the session's configuration.
    """
    ticks = columns.ticks
    max_xrp, max_quote = limits.get("max_xrp_exposure"), limits.get("max_rlusd_exposure")
    return Holdings(
        xrp=thin(ticks.at, ticks.xrp, limit),
        quote=thin(ticks.at, ticks.quote, limit),
        account_value=thin(ticks.at, ticks.value, limit),
        net_capital=thin(ticks.at, ticks.capital, limit),
        profit=thin(ticks.at, ticks.profit, limit),
        max_xrp=None if max_xrp is None else float(max_xrp),
        max_quote=None if max_quote is None else float(max_quote),
    )
