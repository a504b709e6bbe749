"""Which base offset puts how many ticks near the touch, and what fills to expect there.

A quote decided on ledger t is mid(t) less the half-spread, arrives with the next ledger and is looked at
after it. With the offset model (docs/strategy.md) half-spread = offset x m(t) + a(t), where m is the
product of the volatility and range factors and a the costs, so it stands within W bps of the touch exactly
when

    offset <= ((mid(t) - bid(t+1) + W mid(t+1)) / mid(t) - a(t)) / m(t)           in bps; the ask mirrors it

The right side is worked out for every ledger and both sides; the offset for "a share p of ticks" is the
largest one that p of them allow. Nothing is assumed of how spreads or moves are distributed. Not in it: the
skew of an uneven inventory (it moves one side in and the other out), gates, and the tolerance within which
an order is kept."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal, localcontext

import msgspec

from neo_engine.calibration.evidence import ASK, BID, BPS, Evidence, follows
from neo_engine.calibration.hazard import Fit
from neo_engine.config import Config
from neo_engine.config_sections import StrategyConfig
from neo_engine.domain.errors import UsageError
from neo_engine.domain.headroom import WHOLE, quota
from neo_engine.domain.number import WORK
from neo_engine.strategy import spread, volatility

FEE_DROPS = 10  # of an ordinary transaction
LEDGERS_AN_HOUR = 900  # one in about four seconds
OFFSET_MAX_BPS = 1_000.0
PLACES = 100  # steps of a proposed offset in a bps: finer ones drown in the noise of a ledger

_WITHIN = re.compile(r"(\d+(?:\.\d+)?) ?% of ticks within (\d+(?:\.\d+)?) ?bps")
_FILLS = re.compile(r"(\d+(?:\.\d+)?) fills an hour")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator wants: a share of ticks within so many bps of the touch, or so many fills an hour."""

    text: str
    share: float | None
    within_bps: float
    fills: float | None


def read_target(text: str) -> Target:
    """Return the target that `text` names. Raises UsageError for anything else.

    >>> read_target("30% of ticks within 2 bps").share
    0.3
    """
    within, fills = _WITHIN.fullmatch(text.strip()), _FILLS.fullmatch(text.strip())
    if within and 0 < float(within[1]) < 100:
        share, bps = float(within[1]) / 100, float(within[2])
        return Target(text=text.strip(), share=share, within_bps=bps, fills=None)
    if fills and float(fills[1]) > 0:
        return Target(text=text.strip(), share=None, within_bps=2.0, fills=float(fills[1]))
    raise UsageError(
        f'--target {text!r}: write "30% of ticks within 2 bps" (above 0, below 100), or "12 fills an hour"'
    )


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One ledger and side. place: the ledger decided on; the quote is looked at with the next one.

    multiplier, added: m and a of the half-spread; zero, scale: distance behind the touch = zero + scale x
    half-spread. least, most: what the half-spread is held between.
    """

    place: int
    side: str
    multiplier: float
    added: float
    zero: float
    scale: float
    least: float
    most: float

    def behind(self, offset: float) -> float:
        """Return the distance behind the touch at which an offset's quote is looked at."""
        half = min(max(offset * self.multiplier + self.added, self.least), self.most)
        return self.zero + self.scale * half

    def offset_for(self, behind: float) -> float:
        """Return the offset that stands so far behind the touch, before the half-spread's limits."""
        return ((behind - self.zero) / self.scale - self.added) / self.multiplier


def decided_on(
    evidence: Evidence, strategy: StrategyConfig
) -> Iterator[tuple[int, Decimal, volatility.VolatilityState]]:
    """Yield place, mid and volatility of every ledger that has a next one, from the end of the warm-up on.

    The caller works in the context WORK.
    """
    state, source = volatility.start(strategy.volatility_halflife_ticks), 0
    for place, view in enumerate(evidence.ledgers):
        if view.source != source:
            state, source = volatility.start(strategy.volatility_halflife_ticks), view.source
        mid = Decimal(repr(view.mid))
        state = volatility.observe(state, mid, view.index, atr_ticks=strategy.atr_ticks)
        if follows(evidence.ledgers, place) and state.mids >= strategy.warmup_ticks:
            yield place, mid, state


def both_sides(
    evidence: Evidence, place: int, *, multiplier: float, added: float, least: float, most: float
) -> tuple[Step, Step]:
    """Return bid and ask of a ledger that has a next one."""
    view, then = evidence.ledgers[place], evidence.ledgers[place + 1]

    def step(side: str, touch: float, ahead: float) -> Step:
        return Step(
            place=place,
            side=side,
            multiplier=multiplier,
            added=added,
            zero=ahead / touch * BPS,
            scale=view.mid / touch,
            least=least,
            most=most,
        )

    return step(BID, then.bid, then.bid - view.mid), step(ASK, then.ask, view.mid - then.ask)


def steps(evidence: Evidence, config: Config) -> tuple[Step, ...]:
    """Return both sides of every ledger that has a next one, with the configuration's factors."""
    found: list[Step] = []
    strategy = config.strategy
    with localcontext(WORK):
        allowed = quota(WHOLE, strategy.ladder_levels)
        for place, mid, state in decided_on(evidence, strategy):
            terms = spread.cost_terms(mid, FEE_DROPS, spread.NO_TRANSFER_FEE, config.order_size)
            factors = dict(
                spread.offset_spread(
                    state.volatility_bps, state.range_bps, terms, strategy, quota=allowed
                ).factors
            )
            added = min(sum(term for _, term in terms), strategy.spread_additive_max_bps)
            found += both_sides(
                evidence,
                place,
                multiplier=float(factors["multiplier"]),
                added=float(added),
                least=float(strategy.half_spread_min_bps),
                most=float(strategy.half_spread_max_bps),
            )
    return tuple(found)


def share_within(found: Sequence[Step], offset: float, within_bps: float) -> float:
    """Return the share of steps whose quote stands at most so far behind the touch."""
    return sum(step.behind(offset) <= within_bps for step in found) / len(found)


def fills_an_hour(found: Sequence[Step], offset: float, fit: Fit, nearest: float) -> float:
    """Return the fills of both sides' first orders. nearest: distances nearer than this count as this one."""
    chance = sum(-math.expm1(-fit.rate(max(step.behind(offset), nearest))) for step in found)
    return chance / len(found) * 2 * LEDGERS_AN_HOUR


def _cut(offset: float) -> float:
    return math.floor(offset * PLACES) / PLACES


def _largest(good: Callable[[float], bool]) -> float | None:
    """Return the largest offset that is good, given that all smaller ones are; None when none is."""
    if not good(0.0):
        return None
    low, high = 0.0, OFFSET_MAX_BPS
    while high - low > 0.01 / PLACES:
        middle = (low + high) / 2
        low, high = (middle, high) if good(middle) else (low, middle)
    return _cut(low)


def offset_for(found: Sequence[Step], target: Target, fit: Fit, nearest: float) -> float | None:
    """Return the largest offset that reaches the target, rounded down; None when none does."""
    if target.share is not None:
        share = target.share
        # The share falls with the offset, step by step: the quantile of what each step allows.
        allowed = sorted((step.offset_for(target.within_bps) for step in found), reverse=True)
        offset = _cut(allowed[math.ceil(share * len(allowed)) - 1])
        if offset < 0 or share_within(found, offset, target.within_bps) < share:
            return None
        return offset
    wanted = target.fills or 0.0
    return _largest(lambda offset: fills_an_hour(found, offset, fit, nearest) >= wanted)
