"""Ledgers in a chain: the state after one, and how the next is made of a set of transactions.

Theory (rippled BuildLedger.cpp, CanonicalTXSet.cpp; docs "Ledger Close Times"). A set of transactions is
applied in an order that nobody can choose: accounts by their id xored with a salt made of the whole
set, one account's by sequence, tickets after them. What ends in a ter, or in a tec that could still become
a success, is tried again after the rest: twice in the hope of a success, then once for good. A tec stands
then; what still ends in a ter is given back. Close times are rounded to ten seconds and
always later than the parent's.

Hashes are the model's own: a ledger's covers its parent's, its header and every transaction's hash and
metadata, so equal hashes mean equal histories; it is no hash that a real server would compute.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from neo_engine.simulator.model import keys, lines
from neo_engine.simulator.model.amounts import asset_of, value_text
from neo_engine.simulator.model.context import Rules
from neo_engine.simulator.model.results import is_tec, may_succeed_later
from neo_engine.simulator.model.state import State, View
from neo_engine.simulator.model.transactor import apply
from neo_engine.simulator.model.tx import Tx

CLOSE_RESOLUTION_SECONDS = 10
PASSES = 3  # rippled OpenLedger.h, LEDGER_TOTAL_PASSES
HOPEFUL_PASSES = 2  # of which so many put a tec off (LEDGER_RETRY_PASSES)
_encoder = msgspec.json.Encoder(order="sorted")


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """A closed ledger's own data. Times: seconds since 2000-01-01. Amounts: drops."""

    ledger_index: int
    ledger_hash: str
    parent_hash: str
    parent_close_time: int
    close_time: int
    total_coins: int
    transaction_hash: str
    account_hash: str


class LedgerTx(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction in its ledger. meta: complete, in wire form. owner_funds: of an OfferCreate, see below.

    owner_funds: what the sender has of TakerGets once the ledger is done, as the streams tell it; None for
    every other type and for the token's issuer.
    """

    tx: Tx
    result: str
    meta: dict[str, Any]
    index: int
    owner_funds: str | None = None


class ClosedLedger(msgspec.Struct, frozen=True, kw_only=True):
    """A ledger that closed, and what was left over: `retry` may go into the next, `failed` will not."""

    header: Header
    transactions: tuple[LedgerTx, ...]
    retry: tuple[Tx, ...] = ()
    failed: tuple[tuple[Tx, str], ...] = ()


def canonical_order(txs: Iterable[Tx]) -> list[Tx]:
    """Return the order in which a set of transactions is applied."""
    unordered = list(txs)
    salt = int.from_bytes(keys.half("".join(sorted(tx.hash for tx in unordered)).encode("ascii")))

    def place(tx: Tx) -> tuple[int, bool, int, str]:
        padded = int.from_bytes(keys.account_id(tx.account) + bytes(12))
        return padded ^ salt, tx.ticket is not None, tx.order_sequence, tx.hash

    return sorted(unordered, key=place)


def next_close_time(wanted: int, parent: int) -> int:
    """Return a close time: rounded to the resolution, half up, and later than the parent's."""
    half = CLOSE_RESOLUTION_SECONDS // 2
    rounded = (wanted + half) // CLOSE_RESOLUTION_SECONDS * CLOSE_RESOLUTION_SECONDS
    return max(rounded, parent + 1)


def owner_funds(state: State, tx: Tx, rules: Rules) -> str | None:
    """Return what the sender of an OfferCreate has of TakerGets in `state`, None if he issues it.

    The streams tell it of the ledger as it closed, not of the moment after the transaction, and without
    regard to a freeze (NetworkOPs.cpp, transJson).
    """
    gives = asset_of(tx.fields["TakerGets"])
    if tx.account == gives.issuer:
        return None
    view = View(state)
    if gives.is_xrp:
        return str(lines.spendable(view, tx.account, gives, rules))
    return value_text(lines.balance(view, tx.account, gives))


@dataclass(slots=True)
class _Built:
    """A ledger being built. burnt: drops destroyed by fees."""

    done: list[LedgerTx] = field(default_factory=list)
    failed: list[tuple[Tx, str]] = field(default_factory=list)
    burnt: int = 0


class Chain:
    """The last closed ledger and its state. `network_id`: 0 for the main network."""

    def __init__(self, state: State, header: Header, network_id: int = 0) -> None:
        self.state = state
        self.header = header
        self.network_id = network_id

    def rules(self) -> Rules:
        """Return what holds for the ledger after this one. Raises KeyError without FeeSettings."""
        fees = self.state.entries[keys.FEE_SETTINGS]
        return Rules(
            ledger_index=self.header.ledger_index + 1,
            parent_close_time=self.header.close_time,
            parent_hash=self.header.ledger_hash,
            base_fee=int(fees["BaseFeeDrops"]),
            base_reserve=int(fees["ReserveBaseDrops"]),
            owner_reserve=int(fees["ReserveIncrementDrops"]),
            network_id=self.network_id,
        )

    def close(self, txs: Iterable[Tx], close_time: int) -> ClosedLedger:
        """Close the next ledger with these transactions. close_time: as wanted, it is rounded here."""
        waiting = canonical_order(txs)
        rules = self.rules()
        built = _Built()
        hopeful = True
        for number in range(PASSES):
            before = len(waiting)
            waiting = self._one_pass(waiting, rules, built, hopeful)
            changed = len(waiting) < before
            if not waiting or not (changed or hopeful):
                break
            hopeful = changed and number + 1 < HOPEFUL_PASSES
        done = tuple(self._with_funds(item, rules) for item in built.done)
        self.header = self._header(done, built.burnt, next_close_time(close_time, self.header.close_time))
        return ClosedLedger(
            header=self.header, transactions=done, retry=tuple(waiting), failed=tuple(built.failed)
        )

    def _one_pass(self, txs: Sequence[Tx], rules: Rules, built: _Built, hopeful: bool) -> list[Tx]:
        again: list[Tx] = []
        for tx in txs:
            applied = apply(self.state, tx, rules, retry=hopeful)
            result, meta = applied.result, applied.meta
            if meta is not None:
                meta["TransactionIndex"] = len(built.done)
                built.done.append(LedgerTx(tx=tx, result=result, meta=meta, index=len(built.done)))
                built.burnt += applied.fee
            elif may_succeed_later(result) or is_tec(result):
                again.append(tx)
            else:
                built.failed.append((tx, result))
        return again

    def _with_funds(self, item: LedgerTx, rules: Rules) -> LedgerTx:
        if item.tx.kind != "OfferCreate":
            return item
        return msgspec.structs.replace(item, owner_funds=owner_funds(self.state, item.tx, rules))

    def _header(self, done: Sequence[LedgerTx], burnt: int, close_time: int) -> Header:
        old = self.header
        transaction_hash = keys.half("".join(item.tx.hash for item in done).encode("ascii")).hex().upper()
        effects = keys.half(b"".join(_encoder.encode(item.meta) for item in done))
        account_hash = keys.half(bytes.fromhex(old.account_hash) + effects).hex().upper()
        coins = old.total_coins - burnt
        told = f"{old.ledger_index + 1} {old.ledger_hash} {old.close_time} {close_time} {coins}"
        covered = f"{told} {transaction_hash} {account_hash}".encode("ascii")
        return Header(
            ledger_index=old.ledger_index + 1,
            ledger_hash=keys.half(covered).hex().upper(),
            parent_hash=old.ledger_hash,
            parent_close_time=old.close_time,
            close_time=close_time,
            total_coins=coins,
            transaction_hash=transaction_hash,
            account_hash=account_hash,
        )
