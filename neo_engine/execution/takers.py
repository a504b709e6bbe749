"""What a ledger's own transaction would ask of a book that also holds our offers.

Each recorded transaction is turned into the order it placed with the pair's book, as submitted, so
that it can be run again against book + pool + our offers (`domain.matching`).

1. An OfferCreate and a Payment are run as they were sent, also those the ledger killed for want of
   liquidity: with our offers there they might have found it.
2. A bridged order (token to token through XRP, a payment over several paths) is run for exactly the
   drops its metadata shows moving through our pair, at any rate: it never takes more than it did.
"""

from __future__ import annotations

from decimal import Decimal

from neo_engine.domain.assets import Side
from neo_engine.domain.book import BookTracker
from neo_engine.domain.ledger import LedgerTransaction
from neo_engine.domain.matching import TakerOrder
from neo_engine.domain.taker import taker_order

#: Results after which a transaction had reached the book: it took, or found too little to take.
REACHED_THE_BOOK = frozenset({"tesSUCCESS", "tecKILLED", "tecPATH_PARTIAL", "tecPATH_DRY"})


def asked_of_book(tx: LedgerTransaction, book: BookTracker) -> TakerOrder | None:
    """Return what `tx` asks of the pair in the state `book` has before it; None for nothing."""
    if tx.taker is None or tx.result not in REACHED_THE_BOOK:
        return None
    funds: Decimal | int
    if tx.taker.side is Side.BUY:
        funds = book.spendable_quote(tx.account)
    else:  # the ledger takes the fee first
        funds = max(0, book.spendable_drops(tx.account) - tx.fee_drops)
    return taker_order(tx, funds=funds, may_rest=True)
