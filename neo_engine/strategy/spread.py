"""Half-spread and reservation price of the offset model.

    base = base_offset, with the factors

    volatility = clamp(volatility_bps / volatility_reference_bps, 1, volatility_factor_max)
    range      = clamp(atr_bps / atr_reference_bps, 1, atr_factor_max)

and terms transfer_fee + network_fee, composed in `chain`;

    reservation = anchor x (1 - skew_bps x imbalance / 10000), and then `lean`

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

from neo_engine.config_sections import OrderSizeConfig, StrategyConfig
from neo_engine.domain.headroom import Quota
from neo_engine.domain.number import BPS, MILLION, ONE, ZERO
from neo_engine.strategy.chain import CALM, Base, Factors, Signals, Spread, clamp, compose

NO_TRANSFER_FEE = 1_000_000_000  # TransferRate in billionths (xrpl.org, "Transfer Fees")
NETWORK_FEE = "network_fee_bps"
_HALF = Decimal("0.5")


def _factor(value: Decimal | None, reference: Decimal, most: Decimal) -> Decimal:
    return ONE if value is None else clamp(value / reference, ONE, most)


def cost_terms(price: Decimal, fee_drops: int, transfer_rate: int, size: OrderSizeConfig) -> Factors:
    """Return the additive terms in bps: transfer_fee and network_fee, neither below zero."""
    transfer = _HALF * BPS * max(0, transfer_rate - NO_TRANSFER_FEE) / NO_TRANSFER_FEE
    network = max(0, fee_drops) * price / MILLION * BPS / size.base_size_rlusd
    return (("transfer_fee_bps", transfer), (NETWORK_FEE, network))


def network_fee_bps(terms: Factors) -> Decimal:
    """Return the network fee among the terms, in bps of the first order."""
    return next(value for name, value in terms if name == NETWORK_FEE)


def offset_spread(
    volatility_bps: Decimal | None,
    atr_bps: Decimal | None,
    terms: Factors,
    config: StrategyConfig,
    *,
    quota: Quota,
    signals: Signals = CALM,
) -> Spread:
    """Return the half-spread of the offset model; an estimate that is None leaves its factor at 1."""
    base = Base(
        half_spread_bps=config.base_offset_bps,
        volatility=_factor(volatility_bps, config.volatility_reference_bps, config.volatility_factor_max),
        range=_factor(atr_bps, config.atr_reference_bps, config.atr_factor_max),
        min_bps=config.half_spread_min_bps,
        max_bps=config.half_spread_max_bps,
    )
    return compose(base, signals, terms, config, quota=quota)


def floor_bps(terms: Factors, config: StrategyConfig) -> Decimal:
    """Return the narrowest half-spread that configuration and costs allow.

    The glft model may go down to its own minimum; the offset model asks for its base and the costs.
    """
    if config.model == "glft":
        return config.glft.half_spread_min_bps
    costs = min(sum((term for _, term in terms), ZERO), config.spread_additive_max_bps)
    return clamp(config.base_offset_bps + costs, config.half_spread_min_bps, config.half_spread_max_bps)


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


def lean(price: Decimal, spread: Spread, imbalance_share: Decimal) -> Decimal:
    """Return the reservation price at which the factor `inventory` moves one side only.

    One half-spread serves both sides. Its inventory factor is meant for the side that adds to the
    imbalance, so the price is moved until the side that reduces it stands where it would without the
    factor: never further away because there is more to reduce.
    """
    wide, even = spread.half_spread_bps, spread.even_bps
    if wide == even or wide >= BPS:
        return price
    if imbalance_share > 0:
        return price * (BPS + even) / (BPS + wide)
    return price * (BPS - even) / (BPS - wide)
