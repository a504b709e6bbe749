"""What little headroom does to the quotes: which sides it closes, and which orders may still be moved.

1. Exhausted closes both sides, and yet nothing is cancelled for it: a cancel is one more transaction of those
   that are not there. What any other gate closes is cancelled all the same.
2. Critical quotes the one side that brings the inventory back, and only after the inventory has gone
   FORCED_FROM of the way from its target to an end; once chosen, the side stays until the target is reached.
   The other one can follow only from as far beyond it: a price that moves about the target changes nothing.
3. Headroom comes back by itself (a pause ends, a transaction's last ledger passes, a day ends): no gate here
   waits for something that quoting would have to bring.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from neo_engine.domain.assets import Side
from neo_engine.domain.headroom import LEAST, WHOLE, Headroom, Quota, Tier, counted, quota
from neo_engine.domain.number import ZERO, plain
from neo_engine.domain.orders import Order
from neo_engine.domain.records import Gate
from neo_engine.strategy.gates import ASK, BID, BOTH, is_open, shown

QUOTA_EXHAUSTED = "QuotaExhausted"
QUOTA_CRITICAL = "QuotaCritical"
#: Imbalance (-1 to +1) from which one side is forced: with half of the value wanted in XRP, a tenth of all
#: value too much of one. What a price moves it by from ledger to ledger is a hundredth of that.
FORCED_FROM = Decimal("0.2")
_NO_SIDE = ""


class QuotaState(msgspec.Struct, frozen=True, kw_only=True):
    """What one tick hands to the next. headroom: as counted, percent. forced: `bid`, `ask` or empty."""

    headroom: Decimal
    forced: str


START = QuotaState(headroom=WHOLE, forced=_NO_SIDE)


def heed(state: QuotaState, headroom: Headroom, configured: int) -> tuple[QuotaState, Quota]:
    """Return the state with this tick's headroom taken in, and what that allows of `configured` levels."""
    left = counted(state.headroom, headroom.least)
    if left != state.headroom:
        state = replace(state, headroom=left)
    return state, quota(left, configured)


def force(state: QuotaState, tier: Tier, imbalance: Decimal) -> QuotaState:
    """Return the state with the side chosen that tier Critical quotes; imbalance: +1 is nothing but XRP.

    Exhausted forgets the side as little as Critical does: it may return there with the next ledger.
    """
    side = state.forced
    if tier > Tier.CRITICAL:
        side = _NO_SIDE
    elif imbalance >= FORCED_FROM or (side == ASK and imbalance > ZERO):
        side = ASK
    elif imbalance <= -FORCED_FROM or (side == BID and imbalance < ZERO):
        side = BID
    else:
        side = _NO_SIDE
    return state if side == state.forced else replace(state, forced=side)


def quota_gates(state: QuotaState, tier: Tier, headroom: Headroom) -> tuple[Gate, ...]:
    """Return what the tier closes; `state` with its side chosen."""
    if tier > Tier.CRITICAL:
        return ()
    counts = f"{shown(state.headroom)} % counts ({headroom.told})"
    if tier is Tier.EXHAUSTED:
        detail = f"{counts} < {plain(LEAST[Tier.CRITICAL])} %: nothing is placed, what stands is left"
        return (Gate(name=QUOTA_EXHAUSTED, side=BOTH, detail=detail),)
    closed = {ASK: BID, BID: ASK}.get(state.forced, BOTH)
    wanted = f"only the {state.forced} reduces" if state.forced else "neither side reduces"
    detail = f"{counts} < {plain(LEAST[Tier.CONSERVATION])} %: {wanted} the inventory"
    return (Gate(name=QUOTA_CRITICAL, side=closed, detail=detail),)


def left_standing(working: Sequence[Order], gates: Sequence[Gate]) -> Sequence[Order]:
    """Return the orders that tier Exhausted leaves where they are, none in any other.

    They are those that expire by themselves, on a side that nothing else closes.
    """
    others = tuple(gate for gate in gates if gate.name != QUOTA_EXHAUSTED)
    if len(others) == len(gates):
        return ()
    left = {side: is_open(others, name) for side, name in ((Side.BUY, BID), (Side.SELL, ASK))}
    return tuple(order for order in working if order.expiration is not None and left[order.side])
