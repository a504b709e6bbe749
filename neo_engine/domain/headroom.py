"""How much is left of what quoting uses up, and what may be done with it. Pure; docs/quota.md has the table.

Three things run out: what a server answers, the places in its transaction queue, and the day's fees. Each is
a share in percent, and the least of them counts: any one alone stops the quotes.

1. What is counted falls at once and rises late (`counted`), so that nothing changes to and fro at a bound.
2. Less headroom never gives a higher tier, a narrower spread or more levels.
3. In tier Full nothing changes at all.

>>> tier_of(Decimal(50)).name, tier_of(Decimal("49.9")).name, tier_of(Decimal("0.9")).name
('FULL', 'NORMAL', 'EXHAUSTED')
>>> spread_factor(Decimal(25)), spread_factor(Decimal(4)), spread_factor(Decimal(1))
(Decimal('2'), Decimal('5'), Decimal('5'))
"""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum

import msgspec

from neo_engine.domain.errors import InvariantViolation
from neo_engine.domain.number import DOWN, ONE, WORK, ZERO, plain, whole

WHOLE = Decimal(100)
QUEUE_SLOTS = 10  # transactions of one account that a server queues (rippled TxQ.h, maximumTxnPerAccount)
#: A greater headroom counts divided by this: a tier is left upwards a fifth above its bound. That is more
#: than one answer or one fee moves a share by; of queue slots it is one, at half of them.
RISE = Decimal("1.2")
FACTOR_MAX = Decimal(5)
#: Percent at which 1/sqrt reaches FACTOR_MAX; below, the shadow spread takes over.
_CAPPED_AT = WHOLE / FACTOR_MAX**2
_SHADOW_LEAST = Decimal("0.01")  # share of 1 below which the shadow spread grows no more
#: Bps: at 1 % both together make of a half-spread of 3 bps what the factor would without its cap,
#: 10 x 3 = 5 x 3 + 0.2 x (1/0.01 - 1/0.04).
SHADOW_BPS = Decimal("0.2")


class Headroom(msgspec.Struct, frozen=True, kw_only=True):
    """What is left, each in percent, 0 to 100: of a server's patience, of queue slots, of the day's fees."""

    requests: Decimal
    slots: Decimal
    fees: Decimal

    def __post_init__(self) -> None:
        """Raise InvariantViolation for what is no share."""
        if not all(ZERO <= one <= WHOLE for one in (self.requests, self.slots, self.fees)):
            raise InvariantViolation(f"headroom outside 0..100: {self.told}")

    @property
    def least(self) -> Decimal:
        """The one that counts."""
        return min(self.requests, self.slots, self.fees)

    @property
    def told(self) -> str:
        """All three for a person."""
        requests, slots, fees = (plain(round(one, 2)) for one in (self.requests, self.slots, self.fees))
        return f"requests {requests} %, queue slots {slots} %, fees of the day {fees} %"


FULL = Headroom(requests=WHOLE, slots=WHOLE, fees=WHOLE)


class Tier(IntEnum):
    """How much is left, in words; the greater the more."""

    EXHAUSTED = 0
    CRITICAL = 1
    CONSERVATION = 2
    MINIMAL = 3
    NORMAL = 4
    FULL = 5


#: Percent from which on each tier holds, the highest first.
LEAST = {
    Tier.FULL: Decimal(50),
    Tier.NORMAL: Decimal(20),
    Tier.MINIMAL: Decimal(10),
    Tier.CONSERVATION: Decimal(5),
    Tier.CRITICAL: ONE,
    Tier.EXHAUSTED: ZERO,
}


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """What a headroom allows. headroom: as counted, percent. factor, shadow_bps: of the half-spread."""

    headroom: Decimal
    tier: Tier
    factor: Decimal
    shadow_bps: Decimal
    levels: int


def slots_left(taken: int) -> Decimal:
    """Return what so many of an account's queue slots leave, in percent."""
    return WHOLE * max(QUEUE_SLOTS - taken, 0) / QUEUE_SLOTS


def counted(before: Decimal, now: Decimal) -> Decimal:
    """Return what counts of `now` percent after `before` percent counted: all of a fall, late a rise."""
    return max(min(before, now), WORK.divide(now, RISE))


def tier_of(percent: Decimal) -> Tier:
    """Return the tier of a headroom in percent, not below 0."""
    return next(tier for tier, least in LEAST.items() if percent >= least)


def spread_factor(percent: Decimal) -> Decimal:
    """Return 1/sqrt of the headroom as a share of 1, at most FACTOR_MAX; 1 in tier Full."""
    if percent >= LEAST[Tier.FULL]:
        return ONE
    if percent <= _CAPPED_AT:
        return FACTOR_MAX
    return min(WORK.sqrt(WORK.divide(WHOLE, percent)), FACTOR_MAX)


def shadow_bps(percent: Decimal) -> Decimal:
    """Return what the price of the last transactions adds, in bps: 0 until the factor has reached its cap."""
    if percent >= _CAPPED_AT:
        return ZERO
    share = max(WORK.divide(percent, WHOLE), _SHADOW_LEAST)
    return WORK.multiply(SHADOW_BPS, WORK.divide(ONE, share) - WHOLE / _CAPPED_AT)


def levels(configured: int, percent: Decimal) -> int:
    """Return how many of `configured` levels a side has: sqrt(headroom/minimum) of them, rounded down.

    The minimum is that of tier Normal; one level is always left: that tier Exhausted places none is not
    decided here.
    """
    minimum = LEAST[Tier.NORMAL]
    if percent >= minimum:
        return configured
    share = WORK.sqrt(WORK.divide(percent, minimum))
    return max(whole(WORK.multiply(Decimal(configured), share), DOWN), 1)


def quota(percent: Decimal, configured: int) -> Quota:
    """Return what a counted headroom allows of so many configured levels."""
    return Quota(
        headroom=percent,
        tier=tier_of(percent),
        factor=spread_factor(percent),
        shadow_bps=shadow_bps(percent),
        levels=levels(configured, percent),
    )
