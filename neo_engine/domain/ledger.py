"""What one validated ledger says of our pair: its transactions and what each of them changed.

These values are all the engine ever sees of a ledger. `xrpl/codec.py` makes them from the server's
messages; `BookTracker` (book.py) applies them; `xrpl/metadata.py` reads our own fills out of them.

1. Changes stand in metadata order, transactions in TransactionIndex order.
2. A change carries both ends (previous and final), so a fill is a difference, never a guess.
3. A trust line is always told from the holder's view: positive means the holder owns the token.
4. A fault of the source is a value (`LedgerFault`), never an exception: the ledger goes on.
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

import msgspec

from neo_engine.domain.amm import Pool
from neo_engine.domain.assets import Pair, Side
from neo_engine.domain.book_state import BookOffer, LedgerState
from neo_engine.domain.number import ZERO


class NodeAction(Enum):
    """What a transaction did to a ledger entry."""

    __hash__ = object.__hash__  # members are single objects; hashing the name costs a call

    CREATED = "created"
    MODIFIED = "modified"
    DELETED = "deleted"


class OfferChange(msgspec.Struct, frozen=True, kw_only=True):
    """One offer of the pair created, modified or deleted.

    base_drops, quote: what is left of it (for a deleted one: the unfilled remainder).
    previous_*: what was left before; equal to the final amounts where metadata names no change.
    touched: metadata carried PreviousFields, so an amount moved: without it a deletion is a cancel,
    an expiry or a clean-up, and no fill. rate, book_directory...: as in `BookOffer`.
    chain_txn_id: the transaction that last changed the entry before this one ("" when created or
    when the server gave none); a tracker that remembers another one has missed an event.
    """

    action: NodeAction
    index: str
    side: Side
    owner: str
    sequence: int
    base_drops: int
    quote: Decimal
    previous_base_drops: int
    previous_quote: Decimal
    touched: bool
    rate: Decimal
    book_directory: str
    book_node: str
    owner_node: str
    flags: int
    expiration: int | None
    chain_txn_id: str


class AccountChange(msgspec.Struct, frozen=True, kw_only=True):
    """One AccountRoot. With `account` None only the entry's chain moved and nothing else is known.

    balance_drops, previous_balance_drops: XRP before and after, the fee included for the sender.
    tick_size, transfer_rate: an issuer's settings (None: not set; transfer_rate in billionths).
    is_pool: the entry belongs to an automated market maker, which needs no reserve.
    """

    action: NodeAction
    index: str
    account: str | None
    balance_drops: int
    previous_balance_drops: int
    sequence: int
    owner_count: int
    flags: int
    tick_size: int | None
    transfer_rate: int | None
    is_pool: bool
    chain_txn_id: str


class LineChange(msgspec.Struct, frozen=True, kw_only=True):
    """One trust line of the pair's token, from the holder's view. frozen: by the issuer, either way."""

    action: NodeAction
    index: str
    holder: str
    balance: Decimal
    previous_balance: Decimal
    frozen: bool
    chain_txn_id: str


class PoolChange(msgspec.Struct, frozen=True, kw_only=True):
    """The AMM entry of the pair: its fee and auction slot (its amounts are account and line changes)."""

    action: NodeAction
    index: str
    account: str
    trading_fee: int
    discounted_fee: int
    auction_accounts: tuple[str, ...]
    auction_expiration: int
    chain_txn_id: str


class FeeChange(msgspec.Struct, frozen=True, kw_only=True):
    """The network voted new fees or reserves, in drops."""

    fee_base_drops: int
    base_reserve_drops: int
    owner_reserve_drops: int


LedgerChange = OfferChange | AccountChange | LineChange | PoolChange | FeeChange


class TakerKind(Enum):
    """How a transaction asks for liquidity of the pair."""

    OFFER = "offer"  # an OfferCreate on the pair itself
    PAYMENT = "payment"  # a Payment that converts between XRP and the token
    BRIDGED = "bridged"  # anything else whose metadata shows offers or pool of the pair consumed


class TakerIntent(msgspec.Struct, frozen=True, kw_only=True):
    """What a transaction asked of the pair's book, as submitted.

    side: BUY takes asks (receives XRP), SELL takes bids (pays XRP).
    OFFER: base_drops and quote are the two amounts of the offer before tick rounding; expiration in
    seconds since 2000-01-01; replaces: the account sequence of the offer to cancel first.
    PAYMENT: what to deliver and what it may cost: for a BUY base_drops is delivered and quote is the
    most to spend, for a SELL quote is delivered and base_drops the most to spend. partial: less may
    be delivered, but not less than deliver_min_* when given. limit_quality: no worse rate than asked.
    has_paths: other books may be used as well. destination: who receives.
    BRIDGED: base_drops and quote are what metadata says was exchanged, book and pool together.
    """

    kind: TakerKind
    side: Side
    base_drops: int
    quote: Decimal
    sell: bool = False
    passive: bool = False
    immediate_or_cancel: bool = False
    fill_or_kill: bool = False
    expiration: int | None = None
    replaces: int | None = None
    partial: bool = False
    limit_quality: bool = False
    has_paths: bool = False
    deliver_min_base_drops: int | None = None
    deliver_min_quote: Decimal | None = None
    destination: str | None = None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What a successful Payment brought to `destination`: XRP in drops or the pair's token, else zero."""

    destination: str
    base_drops: int
    quote: Decimal


class LedgerTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """One validated transaction. `index` is its place in the ledger; result e.g. tesSUCCESS.

    kind: the ledger's own word (OfferCreate, Payment, ...). cancels: OfferSequence, the offer it
    takes away first. ticket: it used this ticket instead of account_sequence (then 0).
    """

    tx_hash: str
    index: int
    kind: str
    account: str
    result: str
    fee_drops: int
    account_sequence: int
    ticket: int | None
    cancels: int | None
    changes: tuple[LedgerChange, ...]
    taker: TakerIntent | None
    delivery: Delivery | None = None

    @property
    def succeeded(self) -> bool:
        """True for tesSUCCESS: anything else in a ledger took the fee and the sequence only."""
        return self.result == "tesSUCCESS"


class CheckData(msgspec.Struct, frozen=True, kw_only=True):
    """The server's own answers after a ledger, as undecoded JSON (None: not recorded here).

    They are for checks and for repair after a gap; `xrpl/codec.py` decodes them when asked.
    """

    asks: bytes | None
    bids: bytes | None
    pool: bytes | None
    accounts: bytes | None


class SnapshotOffer(msgspec.Struct, frozen=True, kw_only=True):
    """One offer as the server lists it; `offer.arrival` is its place in the list.

    owner_funds: what the owner can pay (drops for an ask, token for a bid), on his best offer only.
    """

    offer: BookOffer
    owner_funds: Decimal | None


class BookSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Both books and the pool as the server lists them: enough to believe the market again.

    complete: neither list was cut at the server's limit.
    """

    asks: tuple[SnapshotOffer, ...]
    bids: tuple[SnapshotOffer, ...]
    pool: Pool | None
    complete: bool


class LedgerUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """One validated ledger. close_time: seconds since 2000-01-01. Fees and reserves in drops.

    line: where in its source it stands (0: no file). resync: the server's view of the market after
    this ledger, given by the feed when the tracked one cannot be believed any more. incomplete: the
    source is known to lack some of its transactions, so what is tracked cannot be believed. overtaken: a
    newer ledger was there already when this one was handed out, so it is no market to decide on.
    """

    ledger_index: int
    ledger_hash: str
    close_time: int
    fee_base_drops: int
    base_reserve_drops: int
    owner_reserve_drops: int
    transactions: tuple[LedgerTransaction, ...]
    check: CheckData
    line: int
    resync: BookSnapshot | None = None
    incomplete: bool = False
    overtaken: bool = False


class LedgerFaultKind(Enum):
    """What can be wrong with a ledger source. Counted by kind; each occurrence is one `LedgerFault`."""

    MALFORMED_JSON = "malformed_json"
    TRUNCATED_FILE = "truncated_file"
    UNREADABLE_FILE = "unreadable_file"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    BAD_NUMBER = "bad_number"
    CROSSED_PRICES = "crossed_prices"
    LEDGER_GAP = "ledger_gap"
    DUPLICATE_LEDGER = "duplicate_ledger"
    OUT_OF_ORDER_LEDGER = "out_of_order_ledger"
    TRANSACTION_ORDER = "transaction_order"
    TRANSACTION_MISSING = "transaction_missing"
    NOT_VALIDATED = "not_validated"
    CHAIN_BREAK = "chain_break"
    UNKNOWN_ENTRY = "unknown_entry"
    CLOSE_TIME = "close_time"


class LedgerFault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing wrong with the source: what, where (line of the file or 0; ledger or 0), and a text.

    resync: the market was repaired from the server's own lists in the same line.
    """

    kind: LedgerFaultKind
    line: int
    ledger_index: int
    text: str
    resync: bool = False


class FeedStart(msgspec.Struct, frozen=True, kw_only=True):
    """What a feed says when it is opened: the pair, who is who, and the state it starts from.

    accounts: names given in the source -> addresses. source: the file or server, for people.
    ledger_index, close_time: of the ledger whose state this is; the first update is the next one.
    live: its time is the wall clock's and passes without a ledger too; any other feed says itself, in its
    own time, that none came (`FeedSilence`), so that a run of it repeats.
    """

    pair: Pair
    accounts: dict[str, str]
    watched: tuple[str, ...]
    state: LedgerState
    ledger_index: int
    close_time: int
    build_version: str
    source: str
    live: bool = False


class FeedSilence(msgspec.Struct, frozen=True, kw_only=True):
    """No ledger came for a while. close_time: the feed's own time now, seconds since 2000-01-01."""

    close_time: int


class FeedEnd(msgspec.Struct, frozen=True, kw_only=True):
    """No further ledger will come. close_time: that of the last one; detail: why, for people."""

    close_time: int
    detail: str


class TakenLeg(msgspec.Struct, frozen=True, kw_only=True):
    """What one transaction exchanged on one side of the pair: side is the taker's.

    base_drops, quote: from resting offers. pool_base_drops, pool_quote: from the pool.
    """

    side: Side
    base_drops: int
    quote: Decimal
    pool_base_drops: int
    pool_quote: Decimal


def taken_legs(tx: LedgerTransaction, pool_account: str | None) -> tuple[TakenLeg, ...]:
    """Return what `tx` took from the book and the pool, at most one leg a side, BUY first.

    An arbitrage payment may take both sides. Deposits to and withdrawals from the pool are no legs.
    """
    pool_base, pool_quote = 0, ZERO
    touched: list[OfferChange] = []
    for change in tx.changes:
        if isinstance(change, OfferChange):
            if change.touched:
                touched.append(change)
        elif isinstance(change, AccountChange):
            if pool_account is not None and change.account == pool_account:
                pool_base += change.previous_balance_drops - change.balance_drops
        elif isinstance(change, LineChange) and change.holder == pool_account:
            pool_quote += change.balance - change.previous_balance
    if tx.kind.startswith("AMM"):
        pool_base, pool_quote = 0, ZERO
    if not touched and not pool_base and not pool_quote:
        return ()
    base = {Side.BUY: 0, Side.SELL: 0}
    quote = {Side.BUY: ZERO, Side.SELL: ZERO}
    for change in touched:
        side = change.side.opposite
        base[side] += change.previous_base_drops - change.base_drops
        quote[side] += change.previous_quote - change.quote
    legs = []
    for side, sign in ((Side.BUY, 1), (Side.SELL, -1)):
        swapped = pool_base * sign > 0 or pool_quote * sign > 0
        if base[side] or quote[side] or swapped:
            legs.append(
                TakenLeg(
                    side=side,
                    base_drops=base[side],
                    quote=quote[side],
                    pool_base_drops=pool_base * sign if swapped else 0,
                    pool_quote=pool_quote * sign if swapped else ZERO,
                )
            )
    return tuple(legs)
