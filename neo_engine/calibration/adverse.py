"""Adverse selection against distance, and how much the mid moves at which hour.

For a fill in the ledger after `t`, H ledgers later (all in bps):

    against = (mid(t + 1 + H) - mid(t)) / mid(t), signed: a fall after a buy, a rise after a sale is positive
    markout = (mid(t + 1 + H) - price) / price, signed as a gain

A price further from the mid gains by the distance and loses by `against`. Means have intervals of mean +- z
times a standard error that takes blocks of successive ledgers as one observation each (cluster-robust, Liang
and Zeger 1986), since the fills of one move share its later mid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import pairwise
from statistics import NormalDist

import msgspec

from neo_engine.calibration.evidence import ASK, BPS, Evidence, LedgerView, later
from neo_engine.calibration.hazard import BLOCK_LEDGERS_MIN, BLOCKS, POINT, Interval

HORIZON = 15  # ledgers, about a minute
FILLS_MIN = 10  # fewer have no mean worth telling
HOUR_LEDGERS_MIN = 300  # about twenty minutes
CLASSES = (-math.inf, -5.0, -2.0, 0.0, 2.0, 5.0, 10.0, math.inf)
PROBES = (0.0, 2.0, 5.0, 10.0)  # distances at which reaches are asked: what would have been filled there
_Z = NormalDist().inv_cdf((1 + POINT) / 2)
_SECONDS_A_DAY, _SECONDS_AN_HOUR = 86_400, 3_600


class Mean(msgspec.Struct, frozen=True, kw_only=True):
    """A mean with its interval; both None when there are too few."""

    count: int
    mean: float | None
    interval: Interval | None


class Adverse(msgspec.Struct, frozen=True, kw_only=True):
    """Fills at distances from `low` to `high` behind the touch; of reaches: an order at `low`."""

    low: float
    high: float
    against: Mean
    markout: Mean


class Hour(msgspec.Struct, frozen=True, kw_only=True):
    """A UTC hour. move_bps: root mean square of the mid's moves, a ledger. fills: or ledgers hit."""

    hour: int
    ledgers: int
    move_bps: float | None
    ratio: float | None
    fills: int


class _Event(msgspec.Struct, frozen=True, kw_only=True):
    place: int
    against: float
    markout: float


def _event(evidence: Evidence, place: int, side: str, price: float) -> _Event | None:
    then = later(evidence, place, 1 + HORIZON)
    if then is None:
        return None
    now, sign = evidence.ledgers[place], 1.0 if side == ASK else -1.0
    return _Event(
        place=place,
        against=sign * (then.mid / now.mid - 1) * BPS,
        markout=sign * (price - then.mid) / price * BPS,
    )


def clustered(pairs: Iterable[tuple[int, float]], ledgers: int) -> Mean:
    """Return the mean of (ledger's place, value) with its interval."""
    size = max(BLOCK_LEDGERS_MIN, math.ceil(ledgers / BLOCKS))
    sums: dict[int, tuple[int, float]] = {}
    for place, value in pairs:
        count, so_far = sums.get(place // size, (0, 0.0))
        sums[place // size] = (count + 1, so_far + value)
    count = sum(one for one, _ in sums.values())
    if count < FILLS_MIN or len(sums) < 2:
        return Mean(count=count, mean=None, interval=None)
    mean = sum(value for _, value in sums.values()) / count
    rest = sum((value - mean * one) ** 2 for one, value in sums.values())
    error = math.sqrt(rest * len(sums) / (len(sums) - 1)) / count
    return Mean(count=count, mean=mean, interval=Interval(low=mean - _Z * error, high=mean + _Z * error))


def _row(evidence: Evidence, low: float, high: float, events: list[_Event]) -> Adverse:
    def mean(of: Callable[[_Event], float]) -> Mean:
        return clustered(((one.place, of(one)) for one in events), len(evidence.ledgers))

    return Adverse(low=low, high=high, against=mean(lambda e: e.against), markout=mean(lambda e: e.markout))


def _touch_price(view: LedgerView, side: str, distance: float) -> float:
    return view.ask * (1 + distance / BPS) if side == ASK else view.bid * (1 - distance / BPS)


def adverse(evidence: Evidence) -> tuple[Adverse, ...]:
    """Return a row for each class of distance that has a fill."""
    rows = []
    if evidence.reaches:
        for distance in PROBES:
            events = [
                event
                for one in evidence.reaches
                if one.reach is not None and one.reach > distance
                if (
                    event := _event(
                        evidence,
                        one.ledger,
                        one.side,
                        _touch_price(evidence.ledgers[one.ledger], one.side, distance),
                    )
                )
            ]
            rows.append(_row(evidence, distance, distance, events))
        return tuple(row for row in rows if row.against.count)
    for low, high in pairwise(CLASSES):
        events = [
            event
            for look in evidence.looks
            if look.hit and low <= look.distance < high
            if (event := _event(evidence, look.ledger, look.side, look.price))
        ]
        rows.append(_row(evidence, low, high, events))
    return tuple(row for row in rows if row.against.count)


def at_distance(rows: tuple[Adverse, ...], distance: float) -> Adverse | None:
    """Return the row nearest to a distance, None when no row has a mean."""
    known = [row for row in rows if row.against.mean is not None]

    def gap(row: Adverse) -> float:
        return max(row.low - distance, distance - row.high, 0.0)

    return min(known, key=gap, default=None)


def clock(evidence: Evidence) -> tuple[Hour, ...]:
    """Return the volatility of each UTC hour that was seen, and how often it was filled."""
    squares: dict[int, list[float]] = {}
    fills: dict[int, int] = {}
    for place, view in enumerate(evidence.ledgers):
        hour = view.second % _SECONDS_A_DAY // _SECONDS_AN_HOUR
        then = later(evidence, place, 1)
        if then is not None:
            squares.setdefault(hour, []).append(((then.mid / view.mid - 1) * BPS) ** 2)
    hits = [one.ledger for one in evidence.looks if one.hit]
    hits += [one.ledger for one in evidence.reaches if one.reach is not None]
    for place in hits:
        hour = evidence.ledgers[place].second % _SECONDS_A_DAY // _SECONDS_AN_HOUR
        fills[hour] = fills.get(hour, 0) + 1
    every = [square for hour in squares.values() for square in hour]
    overall = math.sqrt(sum(every) / len(every)) if every else 0.0
    rows = []
    for hour, found in sorted(squares.items()):
        enough = len(found) >= HOUR_LEDGERS_MIN
        move = math.sqrt(sum(found) / len(found)) if enough else None
        ratio = move / overall if move is not None and overall else None
        rows.append(Hour(hour=hour, ledgers=len(found), move_bps=move, ratio=ratio, fills=fills.get(hour, 0)))
    return tuple(rows)
