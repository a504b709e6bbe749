"""The ladder: levels on both sides of the reservation price, kept clear of the opposite touch.

    offset(i) = half_spread + i x ladder_step            (i = 0 is the first level)
    bid(i)    = reservation x (1 - offset(i) / 10000),   ask(i) = reservation x (1 + offset(i) / 10000)
    size(i)   = base_size_rlusd x ladder_size_factor^i

1. A bid stays below the best ask and below what the pool asks, an ask above the best bid and above
   what the pool pays, by `touch_margin_bps`: nothing of ours takes liquidity in the state it saw.
2. A level that would cross is moved out to that limit, each further one a step behind it; by how
   much the first level moved is kept as the factor TouchClamp of its side. Nothing is dropped for it.
3. Only a level worth less than `min_notional_rlusd` is dropped, with the gate MinNotional.

>>> level_price(Side.BUY, Decimal("2.0"), Decimal(5), limit=Decimal("1.9985"), step_bps=Decimal(0))
Decimal('1.9985')
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from neo_engine.config import Config
from neo_engine.domain.assets import Side
from neo_engine.domain.errors import BadNumber
from neo_engine.domain.market import DataFault
from neo_engine.domain.number import BPS, ONE, ZERO
from neo_engine.domain.orders import Quote
from neo_engine.domain.records import Gate
from neo_engine.strategy import gates as gate
from neo_engine.strategy.rounding import quote_at

#: Rounding to whole drops and steady amounts takes a little off an order of exactly the least size. An
#: order that loses more than 1 % by it (of an asset so dear that a drop counts) is too small after all.
_KEPT_BY_ROUNDING = Decimal("0.99")

_SIDE_NAME = {Side.BUY: gate.BID, Side.SELL: gate.ASK}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How far a bid may go up and an ask may come down, RLUSD per XRP."""

    bid_max: Decimal
    ask_min: Decimal


class Rung(msgspec.Struct, frozen=True, kw_only=True):
    """One side of the ladder: its quotes, the levels dropped, and how far the first level was moved."""

    quotes: tuple[Quote, ...]
    gates: tuple[Gate, ...]
    clamp_bps: Decimal


def limits(
    best_bid: Decimal, best_ask: Decimal, pool_band: tuple[Decimal, Decimal] | None, margin_bps: Decimal
) -> Limits:
    """Return the prices beyond which a quote would cross; pool_band is what the pool pays and asks."""
    low, high = (best_bid, best_ask) if pool_band is None else pool_band
    margin = margin_bps / BPS
    return Limits(
        bid_max=min(best_ask, high) * (ONE - margin),
        ask_min=max(best_bid, low) * (ONE + margin),
    )


def level_price(
    side: Side, reservation: Decimal, offset_bps: Decimal, *, limit: Decimal, step_bps: Decimal
) -> Decimal:
    """Return a level's price; step_bps is its distance from the first level, kept when clamped."""
    if side is Side.BUY:
        return min(reservation * (ONE - offset_bps / BPS), limit * (ONE - step_bps / BPS))
    return max(reservation * (ONE + offset_bps / BPS), limit * (ONE + step_bps / BPS))


def build_side(
    side: Side,
    reservation: Decimal,
    half_spread_bps: Decimal,
    config: Config,
    *,
    limit: Decimal,
    tick_size: int,
    levels: int,
) -> Rung:
    """Return one side of the ladder, best level first; levels: how many it may have."""
    quotes: list[Quote] = []
    dropped: list[Gate] = []
    strategy, order_size = config.strategy, config.order_size
    name, size, step = _SIDE_NAME[side], order_size.base_size_rlusd, ZERO
    clamp_bps = ZERO
    for number in range(1, levels + 1):
        slot = f"{name}-{number}"
        offset = half_spread_bps + step
        price = level_price(side, reservation, offset, limit=limit, step_bps=step)
        if number == 1 and price == limit and limit > 0:
            wanted = reservation * (ONE - offset / BPS if side is Side.BUY else ONE + offset / BPS)
            clamp_bps = abs(wanted - limit) * BPS / limit
        outcome = _level(slot, side, price, size, tick_size=tick_size, least=order_size.min_notional_rlusd)
        if isinstance(outcome, Gate):
            dropped.append(outcome)
        else:
            quotes.append(outcome)
        size *= strategy.ladder_size_factor
        step += strategy.ladder_step_bps
    return Rung(quotes=tuple(quotes), gates=tuple(dropped), clamp_bps=clamp_bps)


def _level(
    slot: str, side: Side, price: Decimal, size: Decimal, *, tick_size: int, least: Decimal
) -> Quote | Gate:
    if size < least:
        return gate.min_notional_gate(_SIDE_NAME[side], slot, size, least)
    if price <= 0:
        return Gate(
            name=DataFault.BAD_NUMBER.value, side=_SIDE_NAME[side], detail=f"{slot}: no price above zero"
        )
    try:
        quote = quote_at(slot, side, price, size, tick_size)
    except BadNumber as error:
        return Gate(name=DataFault.BAD_NUMBER.value, side=_SIDE_NAME[side], detail=str(error))
    worth = ZERO if quote is None else quote.quote
    if quote is None or worth < least * _KEPT_BY_ROUNDING:
        return gate.min_notional_gate(_SIDE_NAME[side], slot, worth, least)
    return quote
