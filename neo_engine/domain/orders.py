"""Our orders: their life as a table, what we want to do about them, and what the venue says of them."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

import msgspec

from neo_engine.domain.assets import Side
from neo_engine.domain.errors import InvariantViolation


class OrderStatus(Enum):
    """Where an order stands. The legal moves are `LEGAL_MOVES`."""

    __hash__ = object.__hash__  # members are single objects; hashing the name costs a call

    PENDING_SUBMIT = "PENDING_SUBMIT"  # intent is on disk, nothing sent yet
    SUBMITTED = "SUBMITTED"  # handed to the venue, no validated ledger has shown it
    OPEN = "OPEN"  # stands on the ledger
    PARTIALLY_FILLED = "PARTIALLY_FILLED"  # stands on the ledger with less than its size
    PENDING_CANCEL = "PENDING_CANCEL"  # a cancel or replace is on its way; it can still fill
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    DENIED = "DENIED"  # our own gate refused it
    REJECTED = "REJECTED"  # the ledger refused it (tec, tef, tem)
    UNKNOWN = "UNKNOWN"  # the outcome is not known yet and must be resolved by hash


TERMINAL = frozenset(
    {OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.DENIED, OrderStatus.REJECTED}
)
WORKING = frozenset(set(OrderStatus) - TERMINAL)

_S = OrderStatus
LEGAL_MOVES: dict[OrderStatus, frozenset[OrderStatus]] = {
    _S.PENDING_SUBMIT: frozenset({_S.SUBMITTED, _S.REJECTED, _S.CANCELED, _S.UNKNOWN, _S.DENIED}),
    _S.SUBMITTED: frozenset(
        {
            _S.OPEN,
            _S.PARTIALLY_FILLED,
            _S.FILLED,
            _S.REJECTED,
            _S.CANCELED,
            _S.EXPIRED,
            _S.UNKNOWN,
            _S.PENDING_CANCEL,
        }
    ),
    _S.OPEN: frozenset(
        {_S.PARTIALLY_FILLED, _S.FILLED, _S.PENDING_CANCEL, _S.CANCELED, _S.EXPIRED, _S.UNKNOWN}
    ),
    _S.PARTIALLY_FILLED: frozenset({_S.FILLED, _S.PENDING_CANCEL, _S.CANCELED, _S.EXPIRED, _S.UNKNOWN}),
    # A replace that ends in a tec leaves the old offer alive, so PENDING_CANCEL can go back.
    _S.PENDING_CANCEL: frozenset(
        {_S.CANCELED, _S.FILLED, _S.EXPIRED, _S.OPEN, _S.PARTIALLY_FILLED, _S.REJECTED, _S.UNKNOWN}
    ),
    _S.UNKNOWN: frozenset(set(OrderStatus) - {_S.PENDING_SUBMIT, _S.DENIED, _S.UNKNOWN}),
    _S.FILLED: frozenset(),
    _S.CANCELED: frozenset(),
    _S.EXPIRED: frozenset(),
    _S.DENIED: frozenset(),
    _S.REJECTED: frozenset(),
}


def check_move(order_id: int, old: OrderStatus, new: OrderStatus) -> None:
    """Raise InvariantViolation unless an order may go from `old` to `new`."""
    if new not in LEGAL_MOVES[old]:
        raise InvariantViolation(f"order {order_id}: no move from {old.value} to {new.value}")


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """An offer we want to stand in the book: decided, rounded to what the ledger stores, not sent.

    slot: which place of the ladder it fills, e.g. `bid-1`. price: RLUSD per XRP after rounding.
    base_drops, quote: exactly the amounts the transaction will carry.
    """

    slot: str
    side: Side
    price: Decimal
    base_drops: int
    quote: Decimal
    expiration: int | None


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One of our orders as the engine knows it.

    order_id: ours, counted from 1 in a session. remaining_*: what still stands (or will) in the book.
    filled_*: what was traded, by fills. offer_sequence: account sequence of the OfferCreate, known once
    it is prepared; it names the offer. failure_reason: why it ended other than by being filled.
    result_code: the ledger's result of its OfferCreate. cancel_sent_ledger: validated ledger after
    which a cancel or replace of it was last sent.
    """

    order_id: int
    slot: str
    side: Side
    price: Decimal
    base_drops: int
    quote: Decimal
    remaining_base_drops: int
    remaining_quote: Decimal
    status: OrderStatus
    expiration: int | None
    offer_sequence: int | None
    tx_hash: str | None
    last_ledger_sequence: int | None
    created_ledger: int
    failure_reason: str | None
    filled_base_drops: int
    filled_quote: Decimal
    result_code: str | None
    cancel_sent_ledger: int | None
    closed_ledger: int | None


class PlaceOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Command: place `quote` as order `order_id`; replaces the order `replaces` when given."""

    order_id: int
    quote: Quote
    replaces: int | None
    replaces_sequence: int | None


class CancelOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Command: take order `order_id` (offer `offer_sequence`) off the ledger, because of `reason`."""

    order_id: int
    offer_sequence: int
    reason: str


Command = PlaceOrder | CancelOrder


class TransactionKind(Enum):
    """What one of our transactions does. UPKEEP: it is about no order (makes tickets, fills a gap)."""

    CREATE = "create"
    REPLACE = "replace"
    CANCEL = "cancel"
    UPKEEP = "upkeep"


NO_ORDER = 0  # order_id of what is about no order


class PreparedTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction ready to be sent: all that must be on disk before it is (ARCHITECTURE invariant 1).

    order_id: the order it creates (CREATE, REPLACE) or takes away (CANCEL), NO_ORDER of UPKEEP. replaces: the
    order whose offer a REPLACE removes. blob: the signed transaction, None where the venue needs none.
    tickets: how many an UPKEEP makes. ticketed: account_sequence is a ticket's number.
    """

    kind: TransactionKind
    order_id: int
    replaces: int | None
    tx_hash: str
    account_sequence: int
    last_ledger_sequence: int
    fee_drops: int
    blob: str | None
    tickets: int = 0
    ticketed: bool = False


class SubmitClass(Enum):
    """What is known right after a submit: only a validated ledger decides more."""

    ACCEPTED = "accepted"  # the venue took it; the outcome comes with a ledger
    REJECTED = "rejected"  # it can never succeed; its sequence is free
    UNKNOWN = "unknown"  # no answer: it must be resolved by hash


class SubmitOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's preliminary answer to one submit; code is e.g. tesSUCCESS or temBAD_OFFER."""

    tx_hash: str
    order_id: int
    outcome: SubmitClass
    code: str


class TransactionOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """One of our own transactions in a validated ledger: final result and the fee it burned."""

    tx_hash: str
    order_id: int
    kind: TransactionKind
    result: str
    ledger_index: int
    transaction_index: int
    fee_drops: int


class OrderUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """A change of one order's state that a ledger (or the end of the venue) brought.

    remaining_*: what still stands in the book after it. reason: result code or cause, e.g.
    tecINSUF_RESERVE_OFFER, replaced by order 12, expired, unfunded; None for a plain acceptance.
    """

    order_id: int
    status: OrderStatus
    remaining_base_drops: int
    remaining_quote: Decimal
    offer_sequence: int | None
    reason: str | None
    ledger_index: int
