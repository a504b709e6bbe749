"""Half-spread and reservation price of the offset model.

    half_spread = base_offset x min(volatility x range, spread_factor_max) x quota
                  + min(transfer_fee + network_fee + quota_shadow, spread_additive_max_bps)
    within half_spread_min_bps ... half_spread_max_bps

    volatility = clamp(volatility_bps / volatility_reference_bps, 1, volatility_factor_max)
    range      = clamp(atr_bps / atr_reference_bps, 1, atr_factor_max)

    reservation = anchor x (1 - skew_bps x imbalance / 10000)

Factors multiply, so a calm market leaves the base offset alone; terms add what a trade really costs:
half of the issuer's transfer fee (a round trip pays it once, on the token given; xrpl.org, "Transfer
Fees") and the network fee of one transaction, in bps of the first order. The imbalance is +1 when all
value is XRP, 0 at the target share, -1 when there is no XRP: holding too much XRP lowers both quotes,
so that it is sold sooner and bought later (the inventory shift of Avellaneda and Stoikov 2008, linear).

>>> imbalance(Decimal(150), Decimal(50), Decimal("0.5"))  # share 0.75, half way from 0.5 to 1
Decimal('0.5')
>>> reservation(Decimal("2.0"), Decimal("0.5"), Decimal(6))  # 3 bps lower
Decimal('1.99940')
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from neo_engine.config_sections import OrderSizeConfig, StrategyConfig
from neo_engine.domain.headroom import Quota, Tier
from neo_engine.domain.number import BPS, MILLION, ONE, ZERO

NO_TRANSFER_FEE = 1_000_000_000  # TransferRate in billionths (xrpl.org, "Transfer Fees")
_HALF = Decimal("0.5")

Factors = tuple[tuple[str, Decimal], ...]


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Distance of the first level from the reservation price, and what it was composed of."""

    half_spread_bps: Decimal
    factors: Factors


def clamp(value: Decimal, low: Decimal, high: Decimal) -> Decimal:
    """Return `value`, or the nearer of the two ends when it lies outside them."""
    return low if value < low else high if value > high else value


def _factor(value: Decimal | None, reference: Decimal, most: Decimal) -> Decimal:
    return ONE if value is None else clamp(value / reference, ONE, most)


def cost_terms(price: Decimal, fee_drops: int, transfer_rate: int, size: OrderSizeConfig) -> Factors:
    """Return the additive terms in bps: transfer_fee and network_fee, neither below zero."""
    transfer = _HALF * BPS * max(0, transfer_rate - NO_TRANSFER_FEE) / NO_TRANSFER_FEE
    network = max(0, fee_drops) * price / MILLION * BPS / size.base_size_rlusd
    return (("transfer_fee_bps", transfer), ("network_fee_bps", network))


def quota_factors(quota: Quota) -> Factors:
    """Return what little headroom does to the spread and the ladder, nothing in tier Full (docs/quota.md)."""
    if quota.tier is Tier.FULL:
        return ()
    return (
        ("quota_headroom_pct", quota.headroom),
        ("quota", quota.factor),
        ("quota_shadow_bps", quota.shadow_bps),
        ("quota_levels", Decimal(quota.levels)),
    )


def offset_spread(
    volatility_bps: Decimal | None,
    atr_bps: Decimal | None,
    terms: Factors,
    config: StrategyConfig,
    *,
    quota: Quota,
) -> Spread:
    """Return the half-spread of the offset model; an estimate that is None leaves its factor at 1."""
    volatility = _factor(volatility_bps, config.volatility_reference_bps, config.volatility_factor_max)
    moves = _factor(atr_bps, config.atr_reference_bps, config.atr_factor_max)
    multiplier = min(volatility * moves, config.spread_factor_max)
    added = min(sum((term for _, term in terms), quota.shadow_bps), config.spread_additive_max_bps)
    half = clamp(
        config.base_offset_bps * multiplier * quota.factor + added,
        config.half_spread_min_bps,
        config.half_spread_max_bps,
    )
    return Spread(
        half_spread_bps=half,
        factors=(
            ("volatility", volatility),
            ("range", moves),
            ("multiplier", multiplier),
            *terms,
            *quota_factors(quota),
        ),
    )


def imbalance(base_value: Decimal, quote_value: Decimal, target: Decimal) -> Decimal:
    """Return how far the XRP share of the value is from target, as a share of the way to the end.

    Both values in RLUSD; between -1 (no XRP) and +1 (nothing but XRP); 0 when there is no value.
    """
    total = base_value + quote_value
    if total <= 0:
        return ZERO
    excess = clamp(base_value / total, ZERO, ONE) - target
    room = ONE - target if excess > 0 else target
    return excess / room if excess else ZERO


def reservation(anchor: Decimal, imbalance_share: Decimal, skew_bps: Decimal) -> Decimal:
    """Return the price around which both sides quote, given the imbalance (-1 ... +1)."""
    return anchor * (ONE - skew_bps * imbalance_share / BPS)
