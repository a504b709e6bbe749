"""Distance to touch of a session: how far behind the best price of others our offers stood.

bid = (our_bid - best_bid) x 10000 / mid, ask = (best_ask - our_ask) x 10000 / mid, in bps: negative is
behind the touch, zero at it, positive inside it. Each distance is computed again from the prices
stored with the tick, whose 12 digits give it to a ten-millionth of a bps, and rounded half to even to 4
decimals before it is counted. The median alone is found by SQL in the stored column, so that no list of
all ticks is held in memory.

>>> distance_bps(Decimal("2.4995"), Decimal("2.5"), Decimal("2.5005"))
Decimal('-1.9996')
"""

from __future__ import annotations

import sqlite3
from decimal import Decimal

from neo_engine.domain.number import BPS, NEAREST, WORK, ZERO, parse_number
from neo_engine.report.model import TOUCH_BUCKETS, TouchSide
from neo_engine.state.queries import TICKS_OF_SESSION

WITHIN_BPS = Decimal(-2)
_BOUNDS = (Decimal(2), Decimal(5), Decimal(10))
_DIGITS = Decimal("0.0001")
_COLUMNS = {"bid": "distance_to_bid_touch_bps", "ask": "distance_to_ask_touch_bps"}


def distance_bps(better: Decimal, worse: Decimal, mid: Decimal) -> Decimal:
    """Return (better - worse) in bps of `mid`, rounded half to even to 4 decimals."""
    return WORK.divide((better - worse) * BPS, mid).quantize(_DIGITS, rounding=NEAREST)


def bucket_of(distance: Decimal) -> int:
    """Return which of TOUCH_BUCKETS a distance falls into; at or inside the touch is the first."""
    behind = -distance
    for index, bound in enumerate(_BOUNDS):
        if behind <= bound:
            return index
    return len(_BOUNDS)


class _Side:
    def __init__(self) -> None:
        self.count = 0
        self.within = 0
        self.total = ZERO
        self.buckets = [0] * len(TOUCH_BUCKETS)

    def add(self, distance: Decimal) -> None:
        self.count += 1
        self.within += distance >= WITHIN_BPS
        self.total += distance
        self.buckets[bucket_of(distance)] += 1


def _median(connection: sqlite3.Connection, session_id: int, side: str) -> Decimal | None:
    column = _COLUMNS[side]  # one of two constants: never text from outside
    (count,) = connection.execute(
        f"SELECT COUNT({column}) FROM market_snapshots WHERE {TICKS_OF_SESSION}", (session_id,)
    ).fetchone()
    if not count:
        return None
    rows = connection.execute(
        f"SELECT {column} FROM market_snapshots WHERE {TICKS_OF_SESSION} AND {column} IS NOT NULL "
        f"ORDER BY {column} LIMIT ?2 OFFSET ?3",
        (session_id, 2 - count % 2, (count - 1) // 2),
    ).fetchall()
    middle = [Decimal(repr(value)) for (value,) in rows]
    return WORK.divide(sum(middle, ZERO), Decimal(len(middle))).quantize(_DIGITS, rounding=NEAREST)


def touch_stats(connection: sqlite3.Connection, session_id: int) -> tuple[TouchSide, TouchSide]:
    """Return the figures of the bid and the ask, from `market_snapshots` read row by row."""
    sides = {"bid": _Side(), "ask": _Side()}
    rows = connection.execute(
        "SELECT tick, best_bid, our_bid, best_ask, our_ask FROM market_snapshots "
        f"WHERE {TICKS_OF_SESSION} AND mid IS NOT NULL AND (our_bid IS NOT NULL OR our_ask IS NOT NULL)",
        (session_id,),
    )
    for tick, bid_text, our_bid, ask_text, our_ask in rows:
        where = f"market_snapshots tick {tick}"
        best_bid, best_ask = parse_number(bid_text, where), parse_number(ask_text, where)
        mid = (best_bid + best_ask) / 2
        if our_bid is not None:
            sides["bid"].add(distance_bps(parse_number(our_bid, where), best_bid, mid))
        if our_ask is not None:
            sides["ask"].add(distance_bps(best_ask, parse_number(our_ask, where), mid))
    bid, ask = (
        TouchSide(
            side=name,
            measured_ticks=side.count,
            within_2bps=side.within,
            mean_bps=(
                WORK.divide(side.total, Decimal(side.count)).quantize(_DIGITS, rounding=NEAREST)
                if side.count
                else None
            ),
            median_bps=_median(connection, session_id, name),
            buckets=tuple(side.buckets),
        )
        for name, side in sides.items()
    )
    return bid, ask
