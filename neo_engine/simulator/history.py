"""The closed ledgers a model network remembers: their transactions, and the states of the last few.

Bounded: `KEEP_LEDGERS` ledgers with their transactions (a server's own `online_delete`), of which the last
`KEEP_STATES` with their whole state. States share their entries, so a further one costs its index only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import msgspec

from neo_engine.simulator.model.ledger import ClosedLedger, Header, LedgerTx
from neo_engine.simulator.model.state import State

KEEP_LEDGERS = 2_000  # over two hours of four-second ledgers; a client that was away longer sees a gap
KEEP_STATES = 64  # entries of older ledgers answer lgrNotFound, as on a server with a short history
_ISSUED_BY = frozenset({"LowLimit", "HighLimit", "TakerPays", "TakerGets"})
_ACCOUNT_FIELDS = frozenset({"Account", "Destination", "Owner", "RegularKey"})


class StoredLedger(msgspec.Struct, frozen=True, kw_only=True):
    """A closed ledger. state: after it; None once it is too old."""

    header: Header
    transactions: tuple[LedgerTx, ...]
    state: State | None


class StoredTx(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction and the header of its ledger."""

    header: Header
    item: LedgerTx


class History:
    """Closed ledgers by index and hash, transactions by hash and account."""

    def __init__(self) -> None:
        self._ledgers: deque[StoredLedger] = deque()
        self._by_hash: dict[str, int] = {}
        self._txs: dict[str, tuple[int, int]] = {}
        self._accounts: dict[str, deque[tuple[int, int]]] = {}

    @property
    def first(self) -> int:
        """Index of the oldest ledger kept, 0 if there is none."""
        return self._ledgers[0].header.ledger_index if self._ledgers else 0

    @property
    def last(self) -> int:
        """Index of the newest ledger, 0 if there is none."""
        return self._ledgers[-1].header.ledger_index if self._ledgers else 0

    def add(self, closed: ClosedLedger, state: State) -> StoredLedger:
        """Remember a ledger; `state` must be a copy that nobody changes any more."""
        stored = StoredLedger(header=closed.header, transactions=closed.transactions, state=state)
        self._ledgers.append(stored)
        index = closed.header.ledger_index
        self._by_hash[closed.header.ledger_hash] = index
        for item in closed.transactions:
            self._txs[item.tx.hash] = (index, item.index)
            for account in touched_accounts(item):
                self._accounts.setdefault(account, deque()).append((index, item.index))
        if len(self._ledgers) > KEEP_STATES:
            old = self._ledgers[-KEEP_STATES - 1]
            self._ledgers[-KEEP_STATES - 1] = msgspec.structs.replace(old, state=None)
        if len(self._ledgers) > KEEP_LEDGERS:
            self._forget(self._ledgers.popleft())
        return stored

    def _forget(self, old: StoredLedger) -> None:
        del self._by_hash[old.header.ledger_hash]
        for item in old.transactions:
            del self._txs[item.tx.hash]
            for account in touched_accounts(item):
                places = self._accounts[account]
                places.popleft()
                if not places:
                    del self._accounts[account]

    def ledger(self, index: int) -> StoredLedger | None:
        """Return a ledger by its index, None if it is not kept."""
        at = index - self.first
        return self._ledgers[at] if self._ledgers and 0 <= at < len(self._ledgers) else None

    def by_hash(self, ledger_hash: str) -> StoredLedger | None:
        """Return a ledger by its hash, None if it is not kept."""
        index = self._by_hash.get(ledger_hash)
        return None if index is None else self.ledger(index)

    def tx(self, tx_hash: str) -> StoredTx | None:
        """Return a transaction by its hash, None if it is not kept."""
        place = self._txs.get(tx_hash)
        return None if place is None else self._stored(*place)

    def account_txs(self, account: str, first: int, last: int, *, forward: bool) -> Iterator[StoredTx]:
        """Yield an account's transactions in the ledgers first..last, newest first unless `forward`."""
        places = self._accounts.get(account, deque())
        for index, at in places if forward else reversed(places):
            stored = self._stored(index, at) if first <= index <= last else None
            if stored is not None:
                yield stored

    def _stored(self, index: int, at: int) -> StoredTx | None:
        ledger = self.ledger(index)
        return None if ledger is None else StoredTx(header=ledger.header, item=ledger.transactions[at])


def touched_accounts(item: LedgerTx) -> set[str]:
    """Return the accounts a transaction affected: those whose entries its metadata names (and the sender).

    As the server indexes account_tx (TxMeta.cpp, getAffectedAccounts): accounts and issuers found in the
    new or final fields of any node.
    """
    found = {item.tx.account}
    for node in item.meta["AffectedNodes"]:
        for body in node.values():
            fields = body.get("NewFields") or body.get("FinalFields") or {}
            for name, value in fields.items():
                if name in _ACCOUNT_FIELDS:
                    found.add(value)
                elif name in _ISSUED_BY and isinstance(value, dict):
                    found.add(value["issuer"])
    return found
