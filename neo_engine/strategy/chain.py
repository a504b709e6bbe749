"""The spread chain: how the half-spread is composed, in both models.

    half_spread = base x multiplier + added              within half_spread_min_bps ... half_spread_max_bps
    product     = min(volatility x range, spread_factor_max)
                  x toxicity x defence x staleness x model x inventory x quota
    multiplier  = min(product, max_composed_spread_mult)
    added       = min(sum of terms + quota's shadow, spread_additive_max_bps)

1. Every factor is at least 1, and exactly 1 while nothing is known against a calm market.
2. Whatever the factors, the multiplier lies between 1 and `max_composed_spread_mult`.
3. Each factor is stored every tick in the order composed, the product before and after its cap.

>>> [str(rise(Decimal(value), Decimal("0.8"), ONE, Decimal(2))) for value in ("0.8", "0.9", "1")]
['1', '1.5', '2']
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from neo_engine.config_sections import StrategyConfig
from neo_engine.domain.headroom import Quota, Tier
from neo_engine.domain.number import ONE

Factors = tuple[tuple[str, Decimal], ...]

VOLATILITY, RANGE = "volatility", "range"
TOXICITY, DEFENCE, STALENESS = "toxicity", "defence", "staleness"
MODEL, INVENTORY, QUOTA = "model", "inventory", "quota"
PRODUCT, MULTIPLIER = "product", "multiplier"


def clamp(value: Decimal, low: Decimal, high: Decimal) -> Decimal:
    """Return `value`, or the nearer of the two ends when it lies outside them."""
    return low if value < low else high if value > high else value


def rise(value: Decimal, start: Decimal, full: Decimal, most: Decimal) -> Decimal:
    """Return a factor that is 1 up to `start`, `most` from `full` on, and straight between the two."""
    if value <= start:
        return ONE
    if value >= full:
        return most
    return ONE + (most - ONE) * (value - start) / (full - start)


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """What a model asks before anything is known against the market: bps, its own factors, its limits."""

    half_spread_bps: Decimal
    volatility: Decimal
    range: Decimal
    min_bps: Decimal
    max_bps: Decimal


class Signals(msgspec.Struct, frozen=True, kw_only=True):
    """The factors that both models share, each at least 1."""

    toxicity: Decimal
    defence: Decimal
    staleness: Decimal
    model: Decimal
    inventory: Decimal


CALM = Signals(toxicity=ONE, defence=ONE, staleness=ONE, model=ONE, inventory=ONE)


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Distance of the first level from the reservation price, and what it was composed of.

    even_bps: what the half-spread would be at an even inventory (`spread.lean` needs it).
    """

    half_spread_bps: Decimal
    even_bps: Decimal
    factors: Factors


def compose(base: Base, signals: Signals, terms: Factors, config: StrategyConfig, *, quota: Quota) -> Spread:
    """Return the half-spread; terms: additive bps by name, none below 0."""
    market = min(base.volatility * base.range, config.spread_factor_max)
    even = market * signals.toxicity * signals.defence * signals.staleness * signals.model * quota.factor
    product = even * signals.inventory
    multiplier = min(product, config.max_composed_spread_mult)
    added = min(sum((term for _, term in terms), quota.shadow_bps), config.spread_additive_max_bps)
    half = clamp(base.half_spread_bps * multiplier + added, base.min_bps, base.max_bps)
    even_half = half
    if signals.inventory > ONE:
        multiplied = base.half_spread_bps * min(even, config.max_composed_spread_mult)
        even_half = clamp(multiplied + added, base.min_bps, base.max_bps)
    return Spread(
        half_spread_bps=half,
        even_bps=even_half,
        factors=(
            (VOLATILITY, base.volatility),
            (RANGE, base.range),
            (TOXICITY, signals.toxicity),
            (DEFENCE, signals.defence),
            (STALENESS, signals.staleness),
            (MODEL, signals.model),
            (INVENTORY, signals.inventory),
            (QUOTA, quota.factor),
            (PRODUCT, product),
            (MULTIPLIER, multiplier),
            *terms,
            *quota_notes(quota),
        ),
    )


def quota_notes(quota: Quota) -> Factors:
    """Return what little headroom does besides its factor, nothing in tier Full (docs/quota.md)."""
    if quota.tier is Tier.FULL:
        return ()
    return (
        ("quota_headroom_pct", quota.headroom),
        ("quota_shadow_bps", quota.shadow_bps),
        ("quota_levels", Decimal(quota.levels)),
    )
