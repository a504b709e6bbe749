"""Fill intensity against distance: lambda(delta) = A exp(-k delta) a ledger and side, by maximum likelihood.

lambda is a hazard: an order at distance delta is filled in a ledger with probability 1 -
exp(-lambda(delta)). So it holds for takers that come as a Poisson process with exponential depths
(Avellaneda and Stoikov, "High-frequency trading in a limit order book", 2008, section 2.5), counted by the
ledger. Every observation is an interval of depth that the deepest taker of the ledger reached, with
probability

    P(a < depth <= b) = exp(-lambda(b)) - exp(-lambda(a)),   lambda(infinity) = 0

    an order at d was filled: a = d, b infinite         it was not: only -lambda(d) counts
    a ledger went to between a and b; nobody came: -lambda(0)

so its log-likelihood is -y + log(1 - exp(-(x - y))) with x = lambda(a), y = lambda(b), or -x. The maximum
is found by Newton's method in (log A, k). Two intervals are made, and the wider hull of both is what is
stated:

1. Profile likelihood: the values at which twice the log-likelihood falls by the chi-square quantile of one
   degree (Wilks 1938; Venzon and Moolgavkar 1988). It believes that ledgers are independent.
2. Bootstrap by blocks of time (Kuensch 1989): blocks of successive ledgers are drawn with replacement, so
   that takers who come in bursts widen it.

The intervals of A and k are each at 97.5 %, so that both hold together with at least 95 % (Bonferroni).
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from statistics import NormalDist
from typing import NamedTuple

import msgspec

from neo_engine.calibration.evidence import Evidence, Look, Reach

#: Depth classes of reaches, bps; the last one is open. Finer ones change nothing: exponentials are smooth.
EDGES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0)
LOOK_STEP = 0.25  # looks are counted by distance in steps of this; lambda changes by some percent in one
DISTANCE_MAX = 50.0  # either way; a quote further from the touch tells nothing more
BLOCKS, BLOCK_LEDGERS_MIN = 40, 15
RESAMPLES = 400
JOINT, POINT = 0.975, 0.95
SEED = 1  # of the bootstrap: the same data give the same answer
K_LIMITS = (-2.0, 20.0)  # per bps; a fit that runs to one of them has not found k
LOG_A_MAX = 20.0  # the same of A: no fill at all, or nothing but fills
_STEPS_MAX, _SMALL = 60, 1e-9
_INFINITY = math.inf

Term = tuple[float, float]  # (a, b): reached between; (a, -1): an order at a was not filled
Counts = Counter[Term]
NOT_FILLED = -1.0


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """log_a, k: the estimate. log_likelihood at it. covariance: of (log_a, k), from the curvature."""

    log_a: float
    k: float
    log_likelihood: float
    covariance: tuple[float, float, float]

    @property
    def a(self) -> float:
        """Fills a ledger and side at the touch."""
        return math.exp(self.log_a)

    def rate(self, distance: float) -> float:
        """Return lambda at this distance."""
        return math.exp(min(50.0, self.log_a - self.k * distance))


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """From low to high."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Return whether the value lies in it."""
        return self.low <= value <= self.high


class Calibrated(msgspec.Struct, frozen=True, kw_only=True):
    """A fit with its intervals. draws: (log_a, k) of each bootstrap resample."""

    fit: Fit
    a: Interval
    k: Interval
    draws: tuple[tuple[float, float], ...]

    def band(self, distance: float) -> Interval:
        """Return the 95 % interval of lambda at one distance: hull of bootstrap and curvature."""
        drawn = sorted(log_a - k * distance for log_a, k in self.draws)
        low, high = _ends(drawn, POINT)
        middle = self.fit.log_a - self.fit.k * distance
        v_aa, v_ak, v_kk = self.fit.covariance
        variance = v_aa - 2 * distance * v_ak + distance * distance * v_kk
        reach = NormalDist().inv_cdf((1 + POINT) / 2) * math.sqrt(max(0.0, variance))
        return Interval(low=math.exp(min(low, middle - reach)), high=math.exp(max(high, middle + reach)))


# -- counting


def _term_of_look(look: Look) -> Term:
    distance = round(min(max(look.distance, -DISTANCE_MAX), DISTANCE_MAX) / LOOK_STEP) * LOOK_STEP
    return (distance, _INFINITY) if look.hit else (distance, NOT_FILLED)


def _term_of_reach(one: Reach) -> Term:
    if one.reach is None:
        return (0.0, NOT_FILLED)
    for low, high in pairwise(EDGES):
        if one.reach <= high:
            return (low, high)
    return (EDGES[-1], _INFINITY)


def terms(evidence: Evidence) -> Iterator[tuple[int, Term]]:
    """Yield (ledger's place, term) of every observation."""
    for look in evidence.looks:
        yield look.ledger, _term_of_look(look)
    for reach in evidence.reaches:
        yield reach.ledger, _term_of_reach(reach)


def by_blocks(evidence: Evidence) -> list[Counts]:
    """Return the counts of successive blocks of ledgers, empty blocks left out."""
    found = list(terms(evidence))
    if not found:
        return []
    first, last = min(place for place, _ in found), max(place for place, _ in found)
    size = max(BLOCK_LEDGERS_MIN, math.ceil((last - first + 1) / BLOCKS))
    blocks: list[Counts] = [Counter() for _ in range((last - first) // size + 1)]
    for place, term in found:
        blocks[(place - first) // size][term] += 1
    return [block for block in blocks if block]


def total(blocks: Iterable[Counts]) -> Counts:
    """Return all counts together."""
    result: Counts = Counter()
    for block in blocks:
        result.update(block)
    return result


# -- likelihood


def _log1mexp(z: float) -> float:
    """Return log(1 - exp(-z)) for z > 0 without losing digits (Maechler 2012)."""
    return math.log(-math.expm1(-z)) if z < 0.6931 else math.log1p(-math.exp(-z))


class _Slope(NamedTuple):
    """Log-likelihood, its derivatives by (log_a, k), and its negative second derivatives."""

    value: float
    by_a: float
    by_k: float
    aa: float
    ak: float
    kk: float


def _slope(counts: Counts, log_a: float, k: float) -> _Slope:
    """Return the log-likelihood with its derivatives, in one pass.

    With u = 1 / (exp(z) - 1), z = x - y, of f = -y + log(1 - exp(-z)): f_x = u, f_y = -(1 + u), f_xx = f_yy =
    -f_xy = -u (1 + u); x and y change by themselves with log A, and by -distance times themselves with k.
    """
    value = by_a = by_k = aa = ak = kk = 0.0
    for (low, high), count in counts.items():
        x = math.exp(min(50.0, log_a - k * low))
        low_x = low * x
        if high == NOT_FILLED:
            value -= count * x
            by_a -= count * x
            by_k += count * low_x
            aa += count * x
            ak -= count * low_x
            kk += count * low * low_x
            continue
        y = high_y = far = 0.0
        if high != _INFINITY:
            y = math.exp(min(50.0, log_a - k * high))
            high_y = high * y
            far = high * high_y
        z = max(x - y, 1e-300)
        u = 1 / math.expm1(min(z, 700.0))
        bend, turn = u * (1 + u), high_y - low_x
        value += count * (_log1mexp(z) - y)
        by_a += count * (u * z - y)
        by_k += count * ((1 + u) * high_y - u * low_x)
        aa += count * (bend * z * z - u * x + (1 + u) * y)
        ak += count * (bend * z * turn + u * low_x - (1 + u) * high_y)
        kk += count * (bend * turn * turn - u * low * low_x + (1 + u) * far)
    return _Slope(value, by_a, by_k, aa, ak, kk)


def _start(counts: Counts) -> tuple[float, float]:
    hits = sum(count for (_, high), count in counts.items() if high != NOT_FILLED)
    return math.log(max(hits, 0.5) / max(1, counts.total())), 0.1


def fit(counts: Counts, start: tuple[float, float] | None = None) -> Fit | None:
    """Return the estimate, None where the data have none (no fill, or no change with distance)."""
    log_a, k = start or _start(counts)
    now = _slope(counts, log_a, k)
    for _ in range(_STEPS_MAX):
        determinant = now.aa * now.kk - now.ak * now.ak
        if not (now.aa > 0 and now.kk > 0 and determinant > _SMALL * now.aa * now.kk):
            return None
        step_a = (now.kk * now.by_a - now.ak * now.by_k) / determinant
        step_k = (now.aa * now.by_k - now.ak * now.by_a) / determinant
        share = min(1.0, 2.0 / max(abs(step_a), 1e-12), 1.0 / max(abs(step_k), 1e-12))
        while True:
            then = _slope(counts, log_a + share * step_a, k + share * step_k)
            if then.value >= now.value - 1e-12 * abs(now.value) or share < 1e-6:
                break
            share /= 2
        log_a, k, now = log_a + share * step_a, k + share * step_k, then
        if not (K_LIMITS[0] < k < K_LIMITS[1] and abs(log_a) < LOG_A_MAX):
            return None
        if abs(step_a) < 1e-7 and abs(step_k) < 1e-7:
            break
    determinant = now.aa * now.kk - now.ak * now.ak
    if not (now.aa > 0 and determinant > _SMALL * now.aa * now.kk):
        return None
    covariance = (now.kk / determinant, -now.ak / determinant, now.aa / determinant)
    return Fit(log_a=log_a, k=k, log_likelihood=now.value, covariance=covariance)


# -- intervals


def _best_given(counts: Counts, fixed: float, other: float, *, k_fixed: bool) -> tuple[float, float]:
    """Return (log-likelihood, the other parameter) at its maximum with one parameter fixed."""
    for _ in range(_STEPS_MAX):
        log_a, k = (other, fixed) if k_fixed else (fixed, other)
        now = _slope(counts, log_a, k)
        slope, bend = (now.by_a, now.aa) if k_fixed else (now.by_k, now.kk)
        if bend <= 0:
            break
        step = max(-1.0, min(1.0, slope / bend))
        other += step
        if abs(step) < 1e-8:
            break
    log_a, k = (other, fixed) if k_fixed else (fixed, other)
    return _slope(counts, log_a, k).value, other


def profile(counts: Counts, found: Fit, *, of_k: bool, level: float) -> Interval:
    """Return the profile-likelihood interval of k, or of log A."""
    drop = NormalDist().inv_cdf((1 + level) / 2) ** 2 / 2
    centre, other = (found.k, found.log_a) if of_k else (found.log_a, found.k)
    spread = math.sqrt(found.covariance[2] if of_k else found.covariance[0])
    ends = []
    for sign in (-1.0, 1.0):
        inside, outside, beside = 0.0, 0.0, other
        for reach in (2.0, 4.0, 8.0, 16.0, 32.0):
            value, beside = _best_given(counts, centre + sign * reach * spread, beside, k_fixed=of_k)
            if found.log_likelihood - value > drop:
                outside = reach
                break
            inside = reach
        if not outside:
            ends.append(sign * math.inf)
            continue
        for _ in range(30):
            middle = (inside + outside) / 2
            value, beside = _best_given(counts, centre + sign * middle * spread, beside, k_fixed=of_k)
            inside, outside = (middle, outside) if found.log_likelihood - value <= drop else (inside, middle)
        ends.append(centre + sign * outside * spread)
    return Interval(low=ends[0], high=ends[1])


def _ends(ordered: Sequence[float], level: float) -> tuple[float, float]:
    """Return the percentile ends of sorted values."""
    tail = (1 - level) / 2 * (len(ordered) - 1)
    return ordered[math.floor(tail)], ordered[math.ceil(len(ordered) - 1 - tail)]


def bootstrap(blocks: Sequence[Counts], found: Fit, *, resamples: int) -> tuple[tuple[float, float], ...]:
    """Return (log_a, k) of each resample of blocks; those without an estimate are left out."""
    rng = random.Random(SEED)
    draws = []
    for _ in range(resamples):
        counts = total(rng.choices(blocks, k=len(blocks)))
        again = fit(counts, (found.log_a, found.k))
        if again is not None:
            draws.append((again.log_a, again.k))
    return tuple(draws)


def calibrate(blocks: Sequence[Counts], *, resamples: int = RESAMPLES) -> Calibrated | None:
    """Return the fit of all blocks with its intervals, None where the data have none."""
    counts = total(blocks)
    found = fit(counts)
    if found is None:
        return None
    draws = bootstrap(blocks, found, resamples=resamples)
    if len(draws) < resamples * POINT:  # too often there is none: the data hang on a few blocks
        return None
    hulls = []
    for which, of_k in ((0, False), (1, True)):
        by_profile = profile(counts, found, of_k=of_k, level=JOINT)
        low, high = _ends(sorted(draw[which] for draw in draws), JOINT)
        hulls.append(Interval(low=min(low, by_profile.low), high=max(high, by_profile.high)))
    log_a, k = hulls
    a = Interval(low=math.exp(log_a.low), high=math.exp(log_a.high))
    return Calibrated(fit=found, a=a, k=k, draws=draws)
