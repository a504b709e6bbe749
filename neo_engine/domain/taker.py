"""From a transaction of the ledger to the order that `matching` runs.

What a taker can spend is not in the transaction: the caller says it, from the state just before it,
with the fee taken and, for an OfferCreate that replaces, the old offer cancelled.
"""

from __future__ import annotations

from decimal import Decimal

from neo_engine.domain.assets import Side
from neo_engine.domain.ledger import LedgerTransaction, TakerKind
from neo_engine.domain.matching import OrderKind, TakerOrder


def taker_order(
    tx: LedgerTransaction, *, funds: Decimal | int | None, may_rest: bool, rounds: tuple[int, ...] = ()
) -> TakerOrder | None:
    """Return what `tx` asks of the pair's book; None if it asks for nothing.

    funds: drops above the reserve (SELL) or token balance (BUY) it can spend; None for without limit.
    may_rest: the sender's reserve allows one more offer. rounds: of a leg, see `TakerOrder`.

    A leg is run for the drops that metadata says it moved. For an OfferCreate between two tokens the
    server compares the order's limit, a number near 1, with the pair's rate: in the bids (drops per
    token, hundreds of thousands) the limit is the lower number, so there the pool goes ahead of the book.
    """
    intent = tx.taker
    if intent is None:
        return None
    if intent.kind is TakerKind.BRIDGED:
        return TakerOrder(
            kind=OrderKind.LEG,
            taker=tx.account,
            side=intent.side,
            base_drops=intent.base_drops,
            quote=None,
            funds=None,
            pool_ahead=tx.kind == "OfferCreate" and intent.side is Side.SELL,
            rounds=rounds,
        )
    minimum = intent.deliver_min_base_drops if intent.side is Side.BUY else intent.deliver_min_quote
    return TakerOrder(
        kind=OrderKind.OFFER if intent.kind is TakerKind.OFFER else OrderKind.PAYMENT,
        taker=tx.account,
        side=intent.side,
        base_drops=intent.base_drops,
        quote=intent.quote,
        funds=funds,
        sell=intent.sell,
        passive=intent.passive,
        immediate_or_cancel=intent.immediate_or_cancel,
        fill_or_kill=intent.fill_or_kill,
        expiration=intent.expiration,
        may_rest=may_rest,
        partial=intent.partial,
        limit_quality=intent.limit_quality,
        deliver_min=minimum,
    )
