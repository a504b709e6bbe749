"""Whether there is enough to say anything, whether the curve fits, and whether it holds on unseen data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import NormalDist

import msgspec

from neo_engine.calibration.evidence import Evidence, part
from neo_engine.calibration.hazard import (
    EDGES,
    NOT_FILLED,
    POINT,
    Calibrated,
    Counts,
    Fit,
    Interval,
    Term,
    by_blocks,
    calibrate,
    total,
)
from neo_engine.calibration.offset import Step, Target, offset_for, share_within

HITS_MIN = 30  # a rate from fewer is uncertain by more than a third
LEDGERS_MIN = 300  # twenty blocks of fifteen
BLOCKS_MIN = 20
DISTANCES_SPREAD_MIN_BPS = 0.5  # standard deviation of the distances quoted at; k comes from their difference
TRAIN_SHARE = 0.7
CHECK_RESAMPLES = 100  # of the fit on the first part: its spread only widens an interval
EXPECTED_MIN = 5.0  # of a class in the chi-square test (Cochran 1954)
FIT_P_MIN = 0.01
_Z = NormalDist().inv_cdf((1 + POINT) / 2)


class Outside(msgspec.Struct, frozen=True, kw_only=True):
    """The fit of the first ledgers on the others. offset, share: chosen on the first, seen on the others."""

    train_hits: int
    test_hits: int
    predicted: float
    interval: Interval
    offset: float | None
    share: float | None

    @property
    def holds(self) -> bool:
        """True when what was seen lies where it was predicted."""
        return self.interval.holds(self.test_hits)


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """Observed against expected by class of distance. p: chance of a worse fit; None with too few classes."""

    rows: tuple[tuple[float, int, float], ...]
    p: float | None


def missing(evidence: Evidence, blocks: Sequence[Counts]) -> tuple[str, ...]:
    """Return what is lacking, in sentences; none when there is enough to try a fit."""
    found = []
    if len(evidence.ledgers) < LEDGERS_MIN:
        found.append(f"{len(evidence.ledgers)} ledgers with a market, {LEDGERS_MIN} are needed")
    if evidence.hits < HITS_MIN:
        what = "ledgers in which the touch was taken" if evidence.reaches else "fills at known distances"
        found.append(f"{evidence.hits} {what}, {HITS_MIN} are needed")
    if len(blocks) < BLOCKS_MIN:
        found.append(f"{len(blocks)} blocks of ledgers, {BLOCKS_MIN} are needed for an interval")
    if evidence.looks:
        distances = [look.distance for look in evidence.looks]
        mean = sum(distances) / len(distances)
        deviation = math.sqrt(sum((one - mean) ** 2 for one in distances) / len(distances))
        if deviation < DISTANCES_SPREAD_MIN_BPS:
            found.append(
                f"quotes stood at nearly one distance ({mean:.1f} bps, +- {deviation:.2f}); how fills fall "
                f"with distance needs a spread of {DISTANCES_SPREAD_MIN_BPS} bps: try another offset"
            )
    return tuple(found)


def chance(term: Term, fit: Fit) -> float:
    """Return the chance of a fill where this term was seen, filled or not."""
    return -math.expm1(-fit.rate(term[0]))


def _hits(counts: Counts) -> int:
    return sum(count for (_, high), count in counts.items() if high != NOT_FILLED)


def _predicted(counts: Counts, fit: Fit, *, reaches: bool) -> tuple[float, float]:
    """Return mean and variance of the number of fills where these terms were seen."""
    mean = variance = 0.0
    for term, count in counts.items():
        p = -math.expm1(-fit.rate(0.0)) if reaches else chance(term, fit)
        mean += count * p
        variance += count * p * (1 - p)
    return mean, variance


def out_of_sample(
    evidence: Evidence, found: Sequence[Step], target: Target, nearest: float
) -> Outside | None:
    """Return the check, None when the first part or the rest have too little for it."""
    cut = int(len(evidence.ledgers) * TRAIN_SHARE)
    train, test = by_blocks(part(evidence, 0, cut)), by_blocks(part(evidence, cut, len(evidence.ledgers)))
    calibrated = calibrate(train, resamples=CHECK_RESAMPLES) if len(train) > 1 else None
    first = [step for step in found if step.place < cut - 1]
    rest = [step for step in found if step.place >= cut]
    if calibrated is None or not test or not first or not rest:
        return None
    counts, reaches = total(test), bool(evidence.reaches)
    mean, variance = _predicted(counts, calibrated.fit, reaches=reaches)
    means = [
        _predicted(counts, msgspec.structs.replace(calibrated.fit, log_a=log_a, k=k), reaches=reaches)[0]
        for log_a, k in calibrated.draws
    ]
    middle = sum(means) / len(means)
    variance += sum((one - middle) ** 2 for one in means) / len(means)
    reach = _Z * math.sqrt(variance)
    offset = offset_for(first, target, calibrated.fit, nearest)
    return Outside(
        train_hits=_hits(total(train)),
        test_hits=_hits(counts),
        predicted=mean,
        interval=Interval(low=max(0.0, mean - reach), high=mean + reach),
        offset=offset,
        share=None if offset is None else share_within(rest, offset, target.within_bps),
    )


def _classes(counts: Counts, fit: Fit, *, reaches: bool) -> list[tuple[float, int, float, float]]:
    """Return (distance, seen, expected, variance) by class of distance."""
    if reaches:
        looked = counts.total()
        rows = []
        for low, high in pairwise((*EDGES, math.inf)):
            y = 0.0 if math.isinf(high) else fit.rate(high)
            p = math.exp(-y) - math.exp(-fit.rate(low))
            rows.append((low, counts[low, high], looked * p, looked * p * (1 - p)))
        return rows
    merged: dict[float, list[float]] = {}
    for term, count in counts.items():
        row = merged.setdefault(math.floor(term[0]), [0.0, 0.0, 0.0])
        p = chance(term, fit)
        row[0] += count if term[1] != NOT_FILLED else 0
        row[1] += count * p
        row[2] += count * p * (1 - p)
    return [(distance, int(row[0]), row[1], row[2]) for distance, row in sorted(merged.items())]


def shape(blocks: Sequence[Counts], calibrated: Calibrated, *, reaches: bool) -> Shape:
    """Return how well the curve fits, neighbouring classes put together until each expects enough."""
    rows: list[tuple[float, int, float]] = []
    square = seen = expected = variance = 0.0
    start: float | None = None
    for distance, hits, mean, spread in _classes(total(blocks), calibrated.fit, reaches=reaches):
        start = distance if start is None else start
        seen, expected, variance = seen + hits, expected + mean, variance + spread
        if expected >= EXPECTED_MIN:
            rows.append((start, int(seen), expected))
            square += (seen - expected) ** 2 / variance
            seen, expected, variance, start = 0.0, 0.0, 0.0, None
    freedom = len(rows) - 2
    return Shape(rows=tuple(rows), p=_chi_square_above(square, freedom) if freedom >= 1 else None)


def _chi_square_above(square: float, freedom: int) -> float:
    """Return the chance of a larger chi-square (Wilson and Hilferty 1931, good to a few thousandths)."""
    width = 2 / (9 * freedom)
    return 1 - NormalDist().cdf(((square / freedom) ** (1 / 3) - 1 + width) / math.sqrt(width))
