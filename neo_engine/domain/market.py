"""The market as one validated ledger left it: what a tick decides on."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

import msgspec

from neo_engine.domain.amm import Pool
from neo_engine.domain.assets import Side

#: Prices outside this range are no prices (RLUSD per XRP; generous for any token of any pair).
PRICE_MIN = Decimal("1E-15")
PRICE_MAX = Decimal("1E15")


def is_price(value: Decimal | None) -> bool:
    """Return True for a finite price between PRICE_MIN and PRICE_MAX."""
    return value is not None and value.is_finite() and PRICE_MIN < value < PRICE_MAX


class DataFault(Enum):
    """Why a snapshot must not be quoted on (ARCHITECTURE invariant 7). Stored by value."""

    NO_DATA = "NoDataReceived"
    STALE = "StaleData"
    CROSSED = "CrossedBook"
    GAP = "Gap"
    BAD_NUMBER = "BadNumber"
    MALFORMED = "MalformedMessage"
    UNHEALTHY = "UnhealthyNode"
    EMPTY_SIDE = "EmptySide"
    FROZEN = "Frozen"


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """All that others offer at one price: price in RLUSD per XRP, amounts funded and unexpired."""

    price: Decimal
    base_drops: int
    quote: Decimal


class MarketTrade(msgspec.Struct, frozen=True, kw_only=True):
    """One taking of the book or the pool by anyone: feeds intensity and volatility estimates."""

    taker_side: Side
    price: Decimal
    base_drops: int


class MarketSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The pair after ledger `ledger_index`, WITHOUT our own offers: what others quote.

    bids and asks: best first, aggregated by price, at most the configured depth. best_bid, best_ask,
    mid: RLUSD per XRP, None where a side is empty; mid has ten significant digits. tick_size:
    significant digits of the issuer's TickSize (16 when off). transfer_rate: 1,000,000,000 is none.
    Times: seconds since 2000-01-01.
    faults: reasons why this snapshot must not be quoted on; empty on a sound one.
    """

    ledger_index: int
    ledger_hash: str
    close_time: int
    fee_base_drops: int
    base_reserve_drops: int
    owner_reserve_drops: int
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    best_bid: Decimal | None
    best_ask: Decimal | None
    mid: Decimal | None
    pool: Pool | None
    tick_size: int
    transfer_rate: int
    trades: tuple[MarketTrade, ...]
    faults: tuple[DataFault, ...]


class VenueOffer(msgspec.Struct, frozen=True, kw_only=True):
    """One of our offers as the venue (ledger or paper exchange) says it stands."""

    offer_sequence: int
    side: Side
    base_drops: int
    quote: Decimal
    expiration: int | None


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's word about our account after a ledger: the truth the reconciler compares with.

    balance_drops: all XRP of the account, reserve included. quote_balance: the trust line.
    owner_count: ledger objects that lock owner reserve. account_sequence: the next one.
    """

    balance_drops: int
    quote_balance: Decimal
    owner_count: int
    account_sequence: int
    offers: tuple[VenueOffer, ...]
