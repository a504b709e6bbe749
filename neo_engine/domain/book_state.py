"""Values of the order book: one offer, one price level, and the state a tracker starts from.

A rate is what a taker pays for one unit received, in ledger units: RLUSD per drop for an ask, drops
per RLUSD for a bid. A price is always RLUSD per XRP.

>>> price_of_rate(Side.SELL, Decimal("0.000002125833"))
Decimal('2.125833000000')
>>> price_of_rate(Side.BUY, Decimal("500000"))
Decimal('2')
"""

from __future__ import annotations

from decimal import Context, Decimal

import msgspec

from neo_engine.domain.amm import Pool
from neo_engine.domain.assets import Pair, Side
from neo_engine.domain.number import ISSUED_DIGITS, MILLION, NEAREST, WORK

#: Holds the product of two amounts or rates of 16 digits without rounding it.
_PRODUCT = Context(prec=2 * ISSUED_DIGITS, rounding=NEAREST)


class BookOffer(msgspec.Struct, frozen=True, kw_only=True):
    """One offer of the pair that rests on the ledger.

    index: ledger index (64 hex). owner, sequence: who placed it and with which account sequence.
    base_drops, quote: what is left of it. rate: the exact rate fixed at placement and encoded in the
    last 8 bytes of the directory: what a taker pays for one unit received, in ledger units
    (RLUSD per drop for an ask, drops per RLUSD for a bid); better offers have a lower rate.
    arrival: time priority at equal rate, lower is older. expiration: seconds since 2000-01-01.
    """

    index: str
    side: Side
    owner: str
    sequence: int
    base_drops: int
    quote: Decimal
    rate: Decimal
    book_directory: str
    book_node: str
    owner_node: str
    flags: int
    expiration: int | None
    previous_txn_id: str
    previous_txn_ledger: int
    arrival: int

    @property
    def price(self) -> Decimal:
        """RLUSD per XRP, 28 digits, from the exact rate."""
        return price_of_rate(self.side, self.rate)

    def expired(self, parent_close_time: int) -> bool:
        """True if a ledger whose parent closed then would not use it (Expiration <= parent close)."""
        return self.expiration is not None and self.expiration <= parent_close_time


def price_of_rate(side: Side, rate: Decimal) -> Decimal:
    """Return RLUSD per XRP for an offer's rate: exact for an ask, 28 digits for a bid."""
    return rate * MILLION if side is Side.SELL else WORK.divide(MILLION, rate)


def exact_product(a: Decimal, b: Decimal) -> Decimal:
    """Return a * b exactly, for numbers of at most 16 significant digits each."""
    return _PRODUCT.multiply(a, b)


class LiveOffer(msgspec.Struct, frozen=True, kw_only=True):
    """An offer that can be taken now: base_drops and quote are its funded part."""

    offer: BookOffer
    base_drops: int
    quote: Decimal


class PriceLevel(msgspec.Struct, frozen=True, kw_only=True):
    """All live offers of one rate. price: RLUSD per XRP. rate: as in `BookOffer`."""

    price: Decimal
    base_drops: int
    quote: Decimal
    rate: Decimal
    offers: int


class AccountState(msgspec.Struct, frozen=True, kw_only=True):
    """An AccountRoot: balance in drops with its reserve, next sequence, owned objects, flags."""

    account: str
    balance_drops: int
    sequence: int
    owner_count: int
    flags: int
    tick_size: int | None
    transfer_rate: int | None
    is_pool: bool


class LineState(msgspec.Struct, frozen=True, kw_only=True):
    """What a holder has of the token; frozen: he cannot spend it."""

    holder: str
    balance: Decimal
    frozen: bool


class LedgerState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the tracker starts from: the state of one ledger.

    offers: both books, each in priority order. chain: ledger index -> last transaction that changed
    the entry, for offers, accounts, lines and the pool; account_index: ledger index -> address.
    complete: every account, line and offer of the pair is in here, so an unknown one is a fault.
    """

    pair: Pair
    ledger_index: int
    ledger_hash: str
    close_time: int
    fee_base_drops: int
    base_reserve_drops: int
    owner_reserve_drops: int
    offers: tuple[BookOffer, ...]
    accounts: tuple[AccountState, ...]
    account_index: tuple[tuple[str, str], ...]
    lines: tuple[LineState, ...]
    pool: Pool | None
    chain: tuple[tuple[str, str], ...]
    complete: bool
