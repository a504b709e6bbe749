"""A paper venue over a book written by hand. Prices near 2 RLUSD per XRP; the account has 1.2 XRP of reserve.

An ask at 2 has the rate 0.000002 RLUSD per drop, a bid at 2 the rate 500000 drops per RLUSD, so every
amount can be checked in the head. Ledger 100 closed at second 1000; each later one 10 seconds after.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from neo_engine.domain.amm import Pool
from neo_engine.domain.assets import Side
from neo_engine.domain.book import BookOffer, BookTracker
from neo_engine.domain.ledger import LedgerChange, LedgerTransaction, LedgerUpdate, TakerIntent, TakerKind
from neo_engine.domain.orders import (
    CancelOrder,
    Command,
    OrderStatus,
    OrderUpdate,
    PlaceOrder,
    PreparedTransaction,
    Quote,
)
from neo_engine.domain.rounding import rate_code
from neo_engine.execution.paper import PaperExchange
from neo_engine.execution.paper_account import PaperAccount
from neo_engine.ports import VenueReport
from tests.unit import ledger_fixture as ledgers

D = Decimal
XRP = 1_000_000
FEE = 10
US = "rUs"
TAKER, MAKER = "rTaker", "rMaker"
RESERVE = 1_200_000  # 1 XRP and 0.2 XRP for the trust line
START_DROPS, START_QUOTE = 100 * XRP + RESERVE, D(300)
LEDGER_SECONDS = 10


def drops(xrp: str) -> int:
    return int(D(xrp) * XRP)


def theirs(side: Side, number: int, xrp: str, price: str, **more: Any) -> BookOffer:
    """An offer of someone else; number is its index, its sequence and its age (lower is older)."""
    base = drops(xrp)
    rate = D(price) / XRP if side is Side.SELL else XRP / D(price)
    prefix = ledgers.ASKS if side is Side.SELL else ledgers.BIDS
    fields: dict[str, Any] = {
        "index": ledgers.index_of(number),
        "side": side,
        "owner": MAKER,
        "sequence": number,
        "base_drops": base,
        "quote": base * rate if side is Side.SELL else base / rate,
        "rate": rate,
        "book_directory": prefix + rate_code(rate),
        "book_node": "0",
        "owner_node": "0",
        "flags": 0,
        "expiration": None,
        "previous_txn_id": "T0",
        "previous_txn_ledger": 99,
        "arrival": number,
    }
    return BookOffer(**(fields | more))


def ask(number: int, xrp: str, price: str, **more: Any) -> BookOffer:
    return theirs(Side.SELL, number, xrp, price, **more)


def bid(number: int, xrp: str, price: str, **more: Any) -> BookOffer:
    return theirs(Side.BUY, number, xrp, price, **more)


def market(*offers: BookOffer, pool: Pool | None = None, issuer: dict[str, Any] | None = None) -> BookTracker:
    """A tracker whose makers and takers are rich. issuer: fields of the issuer's account, if it matters."""
    rich = sorted({TAKER, MAKER, *(one.owner for one in offers)})
    accounts = [ledgers.account(name, 10_000 * XRP) for name in rich]
    if issuer is not None:
        accounts.append(ledgers.account(ledgers.ISSUER, 0, **issuer))
    return ledgers.tracker(
        offers=offers,
        accounts=tuple(accounts),
        lines=tuple(ledgers.line(name, "100000") for name in rich),
        pool=pool,
    )


def taker(
    side: Side,
    xrp: str,
    rlusd: str,
    *changes: LedgerChange,
    kind: TakerKind = TakerKind.OFFER,
    result: str = "tesSUCCESS",
    account: str = TAKER,
    index: int = 0,
    **intent: Any,
) -> LedgerTransaction:
    """A transaction of the ledger: BUY takes asks. Without `changes` the recording's book stays as it was."""
    return LedgerTransaction(
        tx_hash=f"TX{index}",
        index=index,
        kind="Payment" if kind is TakerKind.PAYMENT else "OfferCreate",
        account=account,
        result=result,
        fee_drops=FEE,
        account_sequence=7,
        ticket=None,
        cancels=None,
        changes=changes,
        taker=TakerIntent(kind=kind, side=side, base_drops=drops(xrp), quote=D(rlusd), **intent),
    )


def buys(xrp: str, rlusd: str, *changes: LedgerChange, **more: Any) -> LedgerTransaction:
    return taker(Side.BUY, xrp, rlusd, *changes, **more)


def sells(xrp: str, rlusd: str, *changes: LedgerChange, **more: Any) -> LedgerTransaction:
    return taker(Side.SELL, xrp, rlusd, *changes, **more)


def quote(side: Side, xrp: str, price: str, expiration: int | None = None) -> Quote:
    base = drops(xrp)
    return Quote(
        slot=f"{'bid' if side is Side.BUY else 'ask'}-1",
        side=side,
        price=D(price),
        base_drops=base,
        quote=D(xrp) * D(price),
        expiration=expiration,
    )


class Venue:
    """The paper exchange, driven one ledger at a time. Ours apply before the ledger's first transaction
    unless `place` says otherwise."""

    def __init__(
        self,
        book: BookTracker,
        *,
        balance_drops: int = START_DROPS,
        quote_balance: Decimal = START_QUOTE,
        delay: int = 1,
        place: Callable[[LedgerUpdate], int] = lambda _update: 0,
    ) -> None:
        self.book = book
        self.account = PaperAccount(
            address=US, balance_drops=balance_drops, quote_balance=quote_balance, owner_count=1, sequence=1
        )
        self.exchange = PaperExchange(
            book=book,
            account=self.account,
            seed=1,
            arrival_delay_ledgers=delay,
            last_ledger_offset=4,
            depth_levels=5,
            place=place,
        )
        self._orders = 0
        self._replaced: dict[int, int] = {}

    def send(self, *commands: Command) -> tuple[PreparedTransaction, ...]:
        prepared = self.exchange.prepare(commands, self.book.ledger_index)
        self.exchange.submit(prepared)
        return prepared

    def place(self, wanted: Quote, replaces: int | None = None) -> int:
        """Send one order; return its sequence, which is also its id here. replaces: an order's sequence."""
        self._orders += 1
        command = PlaceOrder(
            order_id=self._orders, quote=wanted, replaces=replaces, replaces_sequence=replaces
        )
        sequence = self.send(command)[0].account_sequence
        assert sequence == self._orders
        return sequence

    def sells(self, xrp: str, price: str, expiration: int | None = None, **more: Any) -> int:
        return self.place(quote(Side.SELL, xrp, price, expiration), **more)

    def buys(self, xrp: str, price: str, expiration: int | None = None, **more: Any) -> int:
        return self.place(quote(Side.BUY, xrp, price, expiration), **more)

    def cancel(self, sequence: int) -> None:
        self._orders += 1  # a cancel takes a sequence too
        self.send(CancelOrder(order_id=sequence, offer_sequence=sequence, reason="no quote for its slot"))

    def ledger(self, *transactions: LedgerTransaction, ledger_index: int | None = None) -> VenueReport:
        index = ledger_index or self.book.ledger_index + 1
        numbered = [replace(tx, index=at, tx_hash=f"TX{index}-{at}") for at, tx in enumerate(transactions)]
        close_time = 1_000 + LEDGER_SECONDS * (index - 100)
        return self.exchange.advance(ledgers.update(*numbered, ledger_index=index, close_time=close_time))

    def standing(self) -> dict[int, int]:
        """Sequence -> drops of each offer of ours that still trades."""
        return {one.offer_sequence: one.base_drops for one in self.account.view().offers}


def filled(report: VenueReport) -> list[tuple[int, int, Decimal]]:
    """(order, drops, RLUSD) of each fill, in order."""
    return [(fill.order_id, fill.base_drops, fill.quote) for fill in report.fills]


def said(report: VenueReport) -> list[tuple[int, OrderStatus, str | None]]:
    """(order, status, reason) of each update, in order."""
    return [(one.order_id, one.status, one.reason) for one in report.order_updates]


def last(report: VenueReport, order_id: int) -> OrderUpdate:
    return [one for one in report.order_updates if one.order_id == order_id][-1]
