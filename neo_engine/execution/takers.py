"""What a ledger's own transaction would ask of a book that also holds our offers.

Each recorded transaction is turned into the order it placed with the pair's book, as submitted, so
that it can be run again against book + pool + our offers (`domain.matching`).

1. An OfferCreate and a Payment are run as they were sent, also those the ledger killed for want of
   liquidity, or of the reserve for resting: with our offers there they might have found it, and an
   offer that crosses needs no reserve (ledger-rules, Replace).
2. A bridged order (token to token through XRP, a payment over several paths) is run for exactly the
   drops its metadata shows moving through our pair, at any rate: it never takes more than it did.
"""

from __future__ import annotations

from neo_engine.domain.assets import Side
from neo_engine.domain.book import BookTracker
from neo_engine.domain.ledger import LedgerTransaction, NodeAction, OfferChange
from neo_engine.domain.matching import TakerOrder
from neo_engine.domain.taker import taker_order

#: Results after which a transaction had reached the book: it took, or found too little to take.
REACHED_THE_BOOK = frozenset(
    {"tesSUCCESS", "tecKILLED", "tecINSUF_RESERVE_OFFER", "tecPATH_PARTIAL", "tecPATH_DRY"}
)


def asked_of_book(tx: LedgerTransaction, book: BookTracker) -> TakerOrder | None:
    """Return what `tx` asks of the pair in the state `book` has before it; None for nothing."""
    if tx.taker is None or tx.result not in REACHED_THE_BOOK:
        return None
    if tx.taker.side is Side.BUY:
        return taker_order(tx, funds=book.spendable_quote(tx.account), may_rest=True)
    sender = book.account(tx.account)
    funds = 0
    if sender is not None:  # the ledger takes the fee and cancels the old offer first (ledger-rules, Replace)
        reserve = book.reserve_drops(sender.owner_count - _cancels_one(tx))
        funds = max(0, sender.balance_drops - tx.fee_drops - reserve)
    return taker_order(tx, funds=funds, may_rest=True)


def _cancels_one(tx: LedgerTransaction) -> bool:
    """Tell whether `tx` took an offer of its sender away first; of other pairs' offers nothing is seen."""
    return tx.cancels is not None and any(
        isinstance(change, OfferChange)
        and change.action is NodeAction.DELETED
        and change.owner == tx.account
        and change.sequence == tx.cancels
        for change in tx.changes
    )
