"""The Avellaneda-Stoikov / Gueant-Lehalle-Fernandez-Tapia model: `strategy.model: glft`.

A market maker with risk aversion gamma, inventory q (in orders), a mid of volatility sigma and fills
arriving with intensity A exp(-k delta) quotes, far from the end of his horizon, at the distances
(Gueant, Lehalle, Fernandez-Tapia, "Dealing with the inventory risk", Mathematics and Financial
Economics 7, 2013, section 4: asymptotic approximation)

    bid:  1/gamma ln(1 + gamma/k) + (2q + 1)/2 x w
    ask:  1/gamma ln(1 + gamma/k) - (2q - 1)/2 x w
    w  =  sigma sqrt( gamma / (2 k A) x (1 + gamma/k)^(1 + k/gamma) )

from the mid: a half-spread of 1/gamma ln(1 + gamma/k) + w/2 around a mid shifted by -q w.

Units here: distances in bps of the anchor, time in ledgers, inventory in orders of base_size_rlusd.
`risk_aversion` is per RLUSD of profit; one bps on one order is base_size_rlusd / 10000, hence
gamma = risk_aversion x base_size_rlusd / 10000 per bps. sigma comes from `volatility`, A and k from
`intensity`. The costly part (logarithms) depends on A and k alone and is done when they change.

The closed form is the base of `chain`. It has the volatility in w, so the factors volatility and range
stay 1.

>>> curve = solve(EffectiveIntensity(a=Decimal("0.4"), k=Decimal("0.2")), Decimal("0.00075"))
>>> str(curve.half_spread_bps)[:8], str(curve.width_per_sigma)[:8]
('4.990648', '0.112985')
"""

from __future__ import annotations

from decimal import Decimal

import msgspec
from msgspec.structs import replace

from neo_engine.config_sections import StrategyConfig
from neo_engine.domain.headroom import Quota
from neo_engine.domain.number import BPS, ONE, WORK
from neo_engine.strategy.chain import CALM, Base, Factors, Signals, Spread, clamp, compose
from neo_engine.strategy.intensity import EffectiveIntensity

_HALF = Decimal("0.5")
_TWO = Decimal(2)
_E = WORK.exp(ONE)
#: Below this gamma/k the two formulas have reached their limits 1/k and e to 12 digits, while the
#: logarithm of a number so near to 1 would lose more than that.
_RATIO_MIN = Decimal("1E-12")


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """What A, k and gamma fix: the half-spread without risk (bps), and w / sigma."""

    half_spread_bps: Decimal
    width_per_sigma: Decimal


def gamma_per_bps(risk_aversion: Decimal, base_size_rlusd: Decimal) -> Decimal:
    """Return gamma per bps of one order, from the risk aversion per RLUSD."""
    return risk_aversion * base_size_rlusd / BPS


def solve(intensity: EffectiveIntensity, gamma: Decimal) -> Curve:
    """Return the closed form for this intensity; gamma per bps, both positive."""
    ratio = WORK.divide(gamma, intensity.k)
    if ratio < _RATIO_MIN:
        half, power = WORK.divide(ONE, intensity.k), _E
    else:
        log = WORK.ln(WORK.add(ONE, ratio))
        half = WORK.divide(log, gamma)
        power = WORK.exp(WORK.multiply(WORK.add(ONE, WORK.divide(ONE, ratio)), log))
    trades = WORK.multiply(WORK.multiply(_TWO, intensity.k), intensity.a)
    width = WORK.sqrt(WORK.divide(WORK.multiply(gamma, power), trades))
    return Curve(half_spread_bps=half, width_per_sigma=width)


def glft_spread(
    curve: Curve,
    volatility_bps: Decimal,
    inventory_orders: Decimal,
    terms: Factors,
    config: StrategyConfig,
    *,
    quota: Quota,
    signals: Signals = CALM,
) -> tuple[Spread, Decimal]:
    """Return the half-spread and by how many bps the reservation price lies below the anchor.

    inventory_orders: XRP held above target, in orders of base_size_rlusd. The half-spread stays within
    glft.half_spread_min_bps ... max_bps, the shift within glft.half_spread_max_bps either way. No factor and
    no term touches the shift: that one is about inventory.
    """
    width, limits = volatility_bps * curve.width_per_sigma, config.glft
    base = Base(
        half_spread_bps=curve.half_spread_bps + width * _HALF,
        volatility=ONE,
        range=ONE,
        min_bps=limits.half_spread_min_bps,
        max_bps=limits.half_spread_max_bps,
    )
    result = compose(base, signals, terms, config, quota=quota)
    shift = clamp(inventory_orders * width, -limits.half_spread_max_bps, limits.half_spread_max_bps)
    notes = (("inventory_orders", inventory_orders), ("width_bps", width))
    return replace(result, factors=(*result.factors, *notes)), shift
