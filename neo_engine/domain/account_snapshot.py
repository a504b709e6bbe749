"""Our account as one validated ledger has it, and what a server says of one transaction. Values only."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from neo_engine.domain.assets import Side
from neo_engine.domain.ledger import LedgerUpdate


class OpenOffer(msgspec.Struct, frozen=True, kw_only=True):
    """An offer of the pair on the ledger, expired or not. base_drops, quote: what is left of it.

    last_txn_id: the transaction that last changed the entry ("" where it is not known).
    """

    offer_sequence: int
    side: Side
    base_drops: int
    quote: Decimal
    expiration: int | None
    index: str
    last_txn_id: str


class AccountSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """An account after `ledger_index`, all parts of the same ledger. close_time: seconds since 2000-01-01.

    balance_drops: all XRP, reserve included. root_index, *_txn_id: the AccountRoot's index and the
    transactions that last changed it and the trust line ("": not known, so its chain is not checked yet).
    has_line: there is a trust line; frozen: by the issuer. offers: of the pair, the oldest first.
    tickets: unused ones, ascending.
    """

    account: str
    ledger_index: int
    close_time: int
    balance_drops: int
    account_sequence: int
    owner_count: int
    root_index: str
    root_txn_id: str
    has_line: bool
    quote_balance: Decimal
    frozen: bool
    line_txn_id: str
    offers: tuple[OpenOffer, ...]
    tickets: tuple[int, ...] = ()


class TransactionLookup(msgspec.Struct, frozen=True, kw_only=True):
    """What a server says of a hash. update: its validated ledger with this transaction alone, or None.

    searched_all: the server has every ledger it was asked to search and the transaction is in none.
    """

    tx_hash: str
    update: LedgerUpdate | None
    searched_all: bool
