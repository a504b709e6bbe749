"""The anchor: the price quoted around, from the book's mid and the pool's price.

The pool's fee lets its price lie anywhere within about +-fee of the book without anyone being able to
profit from the difference, so a divergence inside that band says nothing. Hence:

1. |divergence| above `clob_switch_threshold_bps`, or no pool: the book's mid alone ("clob").
2. Else the pool informs it ("pool"): mid x (1 - pool_weight) + pool x pool_weight.
3. No anchor lies further than `anchor_max_divergence_bps` from the mid; one that would is clamped.
4. A pool outside its fee band is money lying on the street. Arbitrage takes it within a few ledgers;
   when it stays there by more than `pool_band_margin_bps` for more than `pool_band_ticks` ticks, one
   of the two prices cannot be believed, and the gate AnchorDivergence closes.

>>> divergence_bps(Decimal("2.0"), Decimal("2.0005"))
Decimal('2.500')
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from neo_engine.config_sections import StrategyConfig
from neo_engine.domain.amm import Pool, fee_band, spot_price
from neo_engine.domain.market import is_price
from neo_engine.domain.number import BPS, MAX_DROPS, ONE, ZERO

CLOB = "clob"
POOL = "pool"
#: The largest issued amount the ledger can hold (rippled STAmount: 9999999999999999 x 10^80).
QUOTE_MAX = Decimal("9999999999999999E80")
POOL_FEE_MAX = 1000  # 1 %, the most the ledger lets a pool charge (xrpl.org, AMMCreate)


class AnchorView(msgspec.Struct, frozen=True, kw_only=True):
    """The anchor and how it came about. Prices in RLUSD per XRP.

    divergence_bps: (pool - mid) / mid, None without a pool. pool_low, pool_high: what the pool pays
    and asks for the next drop. outside_bps: how far the mid lies outside these two (0 inside).
    outside_ticks: ticks in a row, this one included, with more than the margin of it.
    """

    anchor: Decimal
    source: str
    divergence_bps: Decimal | None
    clamped: bool
    pool_low: Decimal | None
    pool_high: Decimal | None
    outside_bps: Decimal
    outside_ticks: int


def is_empty_pool(pool: Pool) -> bool:
    """Return True for a pool whose liquidity has all been withdrawn: it has no price."""
    return pool.base_drops == 0 and pool.quote == ZERO


def is_sound_pool(pool: Pool) -> bool:
    """Return True when the pool's numbers make a price and a fee the ledger can have."""
    return (
        0 < pool.base_drops <= MAX_DROPS
        and pool.quote.is_finite()
        and 0 < pool.quote <= QUOTE_MAX
        and 0 <= pool.trading_fee <= POOL_FEE_MAX
        and is_price(spot_price(pool))
    )


def divergence_bps(mid: Decimal, pool_price: Decimal) -> Decimal:
    """Return (pool - mid) / mid in basis points."""
    return (pool_price - mid) * BPS / mid


def read_anchor(mid: Decimal, pool: Pool | None, outside_ticks: int, config: StrategyConfig) -> AnchorView:
    """Return the anchor for a believed mid; outside_ticks is the count the tick before ended with."""
    if pool is None or is_empty_pool(pool):
        return AnchorView(
            anchor=mid,
            source=CLOB,
            divergence_bps=None,
            clamped=False,
            pool_low=None,
            pool_high=None,
            outside_bps=ZERO,
            outside_ticks=0,
        )
    spot = spot_price(pool)
    low, high = fee_band(pool)
    divergence = divergence_bps(mid, spot)
    anchor, source = mid, CLOB
    if abs(divergence) <= config.clob_switch_threshold_bps:
        anchor, source = mid * (ONE - config.pool_weight) + spot * config.pool_weight, POOL
    reach = mid * config.anchor_max_divergence_bps / BPS
    held = min(max(anchor, mid - reach), mid + reach)
    outside = ZERO
    if mid > high or mid < low:
        outside = (mid - high if mid > high else low - mid) * BPS / mid
    return AnchorView(
        anchor=held,
        source=source,
        divergence_bps=divergence,
        clamped=held != anchor,
        pool_low=low,
        pool_high=high,
        outside_bps=outside,
        outside_ticks=outside_ticks + 1 if outside > config.pool_band_margin_bps else 0,
    )
