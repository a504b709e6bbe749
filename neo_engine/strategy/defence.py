"""Wider for a while after our own fills turned out bad.

A fill's edge is what it is worth by the mid N = `markout_ticks` ledgers later: (mid - price) / price in bps
for a bid, (price - mid) / price for an ask. A fill that lost more than `defence_edge_bps` raises the factor,
in full when it lost twice as much; then what is above 1 halves every `defence_halflife_ticks` ledgers.

1. The factor comes back by ledgers alone and is exactly 1 again once less than NEGLIGIBLE is left.
2. Nothing here closes a side, so nothing waits for another fill.

>>> loss_factor(Decimal(15), Decimal(10), Decimal(2))
Decimal('1.5')
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from neo_engine.config_sections import StrategyConfig
from neo_engine.domain.assets import Side
from neo_engine.domain.fills import Fill
from neo_engine.domain.number import BPS, ONE, WORK, ZERO
from neo_engine.strategy.chain import rise
from neo_engine.strategy.volatility import GAP_LEDGERS_MAX, power

NEGLIGIBLE = Decimal("0.02")  # of the spread: a price moves by more than that from ledger to ledger
#: Fills that wait for their mid; more come together only while no ledger can be believed for hours.
WAITING_MAX = 1000


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A fill whose later mid is not known yet. price: RLUSD per XRP."""

    ledger_index: int
    side: Side
    price: Decimal


class DefenceState(msgspec.Struct, frozen=True, kw_only=True):
    """What one tick hands to the next.

    decay: what a ledger leaves of excess. excess: the factor less 1. judged: own fills whose edge is known.
    """

    decay: Decimal
    waiting: tuple[Waiting, ...]
    excess: Decimal
    judged: int


def start(halflife_ticks: int) -> DefenceState:
    """Return the state before any fill."""
    decay = WORK.exp(WORK.divide(WORK.ln(Decimal("0.5")), Decimal(halflife_ticks)))
    return DefenceState(decay=decay, waiting=(), excess=ZERO, judged=0)


def heard(state: DefenceState, fills: Sequence[Fill]) -> DefenceState:
    """Return the state with these fills waiting to be judged."""
    if not fills:
        return state
    new = (Waiting(ledger_index=fill.ledger_index, side=fill.side, price=fill.price) for fill in fills)
    return replace(state, waiting=(*state.waiting, *new)[-WAITING_MAX:])


def loss_factor(loss_bps: Decimal, from_bps: Decimal, most: Decimal) -> Decimal:
    """Return the factor that a fill with this loss asks for."""
    return rise(loss_bps, from_bps, 2 * from_bps, most)


def observe(
    state: DefenceState, ledger_index: int, mid: Decimal, *, elapsed: int, config: StrategyConfig
) -> DefenceState:
    """Return the state after a believed mid, so many ledgers after the one before it."""
    excess, waiting = state.excess, state.waiting
    if not excess and not waiting:
        return state
    if excess:
        excess = excess * power(state.decay, elapsed) if elapsed <= GAP_LEDGERS_MAX else ZERO
        excess = excess if excess >= NEGLIGIBLE else ZERO
    judged = state.judged
    while waiting and waiting[0].ledger_index + config.markout_ticks <= ledger_index:
        fill, waiting = waiting[0], waiting[1:]
        if ledger_index - fill.ledger_index > config.markout_ticks + GAP_LEDGERS_MAX:
            continue  # so late a mid says nothing about the fill
        judged += 1
        worse = fill.price - mid if fill.side is Side.BUY else mid - fill.price
        asked = loss_factor(worse * BPS / fill.price, config.defence_edge_bps, config.defence_factor_max)
        excess = max(excess, asked - ONE)
    return replace(state, waiting=waiting, excess=excess, judged=judged)
