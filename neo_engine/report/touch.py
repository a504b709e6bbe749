"""Distance to touch of a session: how far behind the best price of others our offers stood.

bid = (our_bid - best_bid) x 10000 / mid, ask = (best_ask - our_ask) x 10000 / mid, in bps: negative is
behind the touch, zero at it, positive inside it. Each distance is computed again from the prices stored
with the tick, whose 12 digits give it to a ten-millionth of a bps, and rounded half to even to 4 decimals
before it is counted. Binary floats do so but where one falls so near to the middle of two such numbers that
it could be rounded to the wrong one: there it is computed again in decimals.

>>> distance_bps(Decimal("2.4995"), Decimal("2.5"), Decimal("2.5005"))
Decimal('-1.9996')
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from neo_engine.domain.number import BPS, NEAREST, WORK
from neo_engine.report.columns import Columns, Floats, Numbers, Snapshots, decimal_of
from neo_engine.report.model import TouchSide

WITHIN_BPS = Decimal(-2)
_BOUNDS = (Decimal(2), Decimal(5), Decimal(10))
_DIGITS = Decimal("0.0001")
_SCALE = 10_000  # distances are counted in so many parts of a bps
_UNSURE = 1e-4  # of such a part: far more than binary floats err by, in prices of 12 digits


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


def distances(markets: Snapshots, side: str) -> tuple[Numbers, Numbers]:
    """Return the distances of one side in 1/10,000 bps, and the places of their snapshots.

    side: `bid` or `ask`. Only where our offer stood and the touch existed.
    """
    ours, touch = (
        (markets.our_bid, markets.best_bid) if side == "bid" else (markets.best_ask, markets.our_ask)
    )
    mid = markets.mid
    places = np.flatnonzero(~np.isnan(ours) & ~np.isnan(touch) & (mid > 0))
    parts = (ours[places] - touch[places]) * (float(BPS) * _SCALE) / mid[places]
    rounded = np.rint(parts)
    for unsure in np.flatnonzero(np.abs(np.abs(parts - rounded) - 0.5) < _UNSURE):
        rounded[unsure] = _exactly(markets, ours, touch, int(places[unsure]))
    return rounded.astype(np.int64), places


def _exactly(markets: Snapshots, ours: Floats, touch: Floats, place: int) -> int:
    mid = (decimal_of(markets.best_bid[place]) + decimal_of(markets.best_ask[place])) / 2
    return int(distance_bps(decimal_of(ours[place]), decimal_of(touch[place]), mid) * _SCALE)


def _mean(total: int, count: int) -> Decimal:
    return WORK.divide(Decimal(total), Decimal(count * _SCALE)).quantize(_DIGITS, rounding=NEAREST)


def _side(markets: Snapshots, side: str) -> TouchSide:
    parts, _ = distances(markets, side)
    count = len(parts)
    behind = -parts
    edges = [int(bound * _SCALE) for bound in _BOUNDS]
    at_most = [int(np.count_nonzero(behind <= edge)) for edge in edges]
    middle = np.sort(parts)[(count - 1) // 2 : count // 2 + 1]
    return TouchSide(
        side=side,
        measured_ticks=count,
        at_touch=int(np.count_nonzero(parts >= 0)),
        within_2bps=int(np.count_nonzero(parts >= int(WITHIN_BPS * _SCALE))),
        mean_bps=_mean(int(parts.sum()), count) if count else None,
        median_bps=_mean(int(middle.sum()), len(middle)) if count else None,
        buckets=tuple(high - low for low, high in zip([0, *at_most], [*at_most, count], strict=True)),
    )


def touch_stats(columns: Columns) -> tuple[TouchSide, TouchSide]:
    """Return the figures of the bid and the ask."""
    return _side(columns.markets, "bid"), _side(columns.markets, "ask")
