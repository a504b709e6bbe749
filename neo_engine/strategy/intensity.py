"""How often the market trades at a distance from its mid: A exp(-k delta), from everybody's trades.

`delta` is the distance in bps, on the taker's side, between a trade's price and the mid of the ledger
before it: how deep the taker was ready to go. A is the number of trades a ledger and side that reach
the mid or deeper, k how fast fewer of them go deeper (per bps). For exponential depths cut at DEPTH_MAX
(a trade deeper than that only says "at least this deep") the maximum-likelihood estimate is

    k = trades not cut / sum of min(delta, DEPTH_MAX),     A = trades / (2 x ledgers)

(Lawless, Statistical Models and Methods for Lifetime Data, 2003, 4.1: censored exponential sample).
The cut keeps a few trades against the pool, 30 bps away, from deciding the estimate.

1. Only others' trades are read, never our fills, so a cold start cannot wait for itself.
2. Sums are kept in blocks of a twelfth of `intensity_window_ticks`; the estimate is made anew when a
   block is complete, and the first one as soon as `intensity_min_trades` were seen.
3. Old blocks leave the window only while the rest still holds `intensity_min_trades`: a quiet market
   is judged over a longer time (back to the oldest of these trades), never not at all.

4. What the trades say (`RawIntensity`) and what the formulas may use (`EffectiveIntensity`) are two types:
   whether the data suffice is asked of the first, a price is made from the second, and the one cannot be
   passed for the other.

>>> raw = estimate(Sums(ledgers=50, trades=40, inside=40, depth_bps=Decimal(200)))
>>> raw
RawIntensity(raw_a=Decimal('0.4'), raw_k=Decimal('0.2'), trades=40)
>>> effective(raw)
EffectiveIntensity(a=Decimal('0.4'), k=Decimal('0.2'))
"""

from __future__ import annotations

from decimal import Decimal

import msgspec
from msgspec.structs import replace

from neo_engine.config_sections import GlftConfig
from neo_engine.domain.assets import Side
from neo_engine.domain.market import MarketTrade, is_price
from neo_engine.domain.number import BPS, ZERO

DEPTH_MAX = Decimal(20)
BLOCKS = 12
#: Blocks kept in a market so quiet that the window must grow; older ones are merged, not lost.
BLOCKS_MAX = 96
#: k outside these is no finding but a lack of data: 1/k between 0.1 bps and 1000 bps.
K_MIN = Decimal("0.001")
K_MAX = Decimal(10)


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """Sufficient statistics of some ledgers: trades at or beyond the mid, those not cut, their depth."""

    ledgers: int
    trades: int
    inside: int
    depth_bps: Decimal

    def plus(self, other: Sums) -> Sums:
        """Return the statistics of both together."""
        return Sums(
            ledgers=self.ledgers + other.ledgers,
            trades=self.trades + other.trades,
            inside=self.inside + other.inside,
            depth_bps=self.depth_bps + other.depth_bps,
        )


class RawIntensity(msgspec.Struct, frozen=True, kw_only=True):
    """What the trades say: A in trades a ledger and side, k per bps, and from how many trades.

    raw_k: None when every trade was at the mid, so that no finite k is the likeliest.
    """

    raw_a: Decimal
    raw_k: Decimal | None
    trades: int


class EffectiveIntensity(msgspec.Struct, frozen=True, kw_only=True):
    """What the formulas use: A in trades a ledger and side, k per bps within K_MIN ... K_MAX."""

    a: Decimal
    k: Decimal


class IntensityState(msgspec.Struct, frozen=True, kw_only=True):
    """Complete blocks (oldest first), the one being filled, and the last estimate."""

    blocks: tuple[Sums, ...]
    current: Sums
    raw: RawIntensity | None


NO_SUMS = Sums(ledgers=0, trades=0, inside=0, depth_bps=ZERO)
START = IntensityState(blocks=(), current=NO_SUMS, raw=None)


def estimate(sums: Sums) -> RawIntensity:
    """Return A and k of these statistics; at least one ledger and one trade are needed."""
    return RawIntensity(
        raw_a=Decimal(sums.trades) / (2 * sums.ledgers),
        raw_k=sums.inside / sums.depth_bps if sums.depth_bps else None,
        trades=sums.trades,
    )


def effective(raw: RawIntensity) -> EffectiveIntensity:
    """Return what a price may be made from: k held within its limits."""
    k = K_MAX if raw.raw_k is None else min(max(raw.raw_k, K_MIN), K_MAX)
    return EffectiveIntensity(a=raw.raw_a, k=k)


def notes(raw: RawIntensity) -> tuple[tuple[str, Decimal], ...]:
    """Return what is stored of an estimate: A, and k before and after its limits."""
    used = effective(raw)
    found = () if raw.raw_k is None else (("intensity_k_raw", raw.raw_k),)
    return (("intensity_a", used.a), *found, ("intensity_k", used.k))


def is_enough(raw: RawIntensity, config: GlftConfig) -> bool:
    """Tell whether an estimate rests on enough trades to be used."""
    return raw.trades >= config.intensity_min_trades


def total(state: IntensityState) -> Sums:
    """Return the statistics of the whole window."""
    sums = state.current
    for block in state.blocks:
        sums = sums.plus(block)
    return sums


def ledger_sums(mid_before: Decimal, trades: tuple[MarketTrade, ...]) -> Sums:
    """Return the statistics of one ledger; trades short of the mid, or without a price, are left out."""
    count, inside, depth_sum = 0, 0, ZERO
    for trade in trades:
        if not is_price(trade.price):
            continue
        distance = trade.price - mid_before if trade.taker_side is Side.BUY else mid_before - trade.price
        depth = distance * BPS / mid_before
        if depth < 0:
            continue
        count += 1
        inside += depth < DEPTH_MAX
        depth_sum += min(depth, DEPTH_MAX)
    return Sums(ledgers=1, trades=count, inside=inside, depth_bps=depth_sum)


def observe(
    state: IntensityState, mid_before: Decimal, trades: tuple[MarketTrade, ...], config: GlftConfig
) -> IntensityState:
    """Return the state after one ledger's trades; mid_before is the believed mid of the ledger before."""
    current = state.current.plus(ledger_sums(mid_before, trades))
    if current.ledgers >= max(1, config.intensity_window_ticks // BLOCKS):
        return _close_block(state, current, config)
    state = replace(state, current=current)
    if state.raw is None and current.trades:
        found = estimate(total(state))
        if is_enough(found, config):
            return replace(state, raw=found)
    return state


def _close_block(state: IntensityState, current: Sums, config: GlftConfig) -> IntensityState:
    blocks = (*state.blocks, current)
    sums = total(IntensityState(blocks=blocks, current=NO_SUMS, raw=None))
    while (
        sums.ledgers - blocks[0].ledgers >= config.intensity_window_ticks
        and sums.trades - blocks[0].trades >= config.intensity_min_trades
    ):
        sums = Sums(
            ledgers=sums.ledgers - blocks[0].ledgers,
            trades=sums.trades - blocks[0].trades,
            inside=sums.inside - blocks[0].inside,
            depth_bps=sums.depth_bps - blocks[0].depth_bps,
        )
        blocks = blocks[1:]
    if len(blocks) > BLOCKS_MAX:
        blocks = (blocks[0].plus(blocks[1]), *blocks[2:])
    found = estimate(sums) if sums.trades else None
    known = found is not None and is_enough(found, config)
    return IntensityState(blocks=blocks, current=NO_SUMS, raw=found if known else state.raw)
