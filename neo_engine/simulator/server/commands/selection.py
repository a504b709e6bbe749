"""Which ledger a request is about: the one place that reads ledger_index, ledger_hash and `ledger`.

Theory (rippled RPCLedgerHelpers.cpp, ledgerFromRequest). A hash counts before an index; the old field
`ledger` stands for either. No field at all means the open ledger. A closed ledger of the model is always
validated, so "closed" and "validated" are the same.

1. `Ledger.where` is what every reply about a ledger carries; errors found later carry it too.
2. Entries of a ledger too old to have kept them answer lgrNotFound, its header and transactions do not.
"""

from __future__ import annotations

from typing import Any

import msgspec

from neo_engine.simulator.history import StoredLedger
from neo_engine.simulator.model import keys
from neo_engine.simulator.model.context import Rules
from neo_engine.simulator.model.ledger import Chain, Header, LedgerTx
from neo_engine.simulator.model.state import State, View
from neo_engine.simulator.server.call import Call, Network
from neo_engine.simulator.server.commands.arguments import is_address, is_hash, text_of, uint_of
from neo_engine.simulator.server.errors import RpcError, invalid_params

_HASH_TEXT_MIN = 13  # a longer `ledger` is taken for a hash
NOT_FOUND = "ledgerNotFound"


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """A ledger as commands see it. header: None for the open one. parent_close_time: seconds.

    kept: its entries; None if it is too old for that.
    """

    index: int
    header: Header | None
    parent_hash: str
    parent_close_time: int
    transactions: tuple[LedgerTx, ...]
    kept: State | None

    def where(self) -> dict[str, Any]:
        """Return the fields of a reply that name the ledger."""
        if self.header is None:
            return {"ledger_current_index": self.index, "validated": False}
        return {"ledger_hash": self.header.ledger_hash, "ledger_index": self.index, "validated": True}

    @property
    def state(self) -> State:
        """Its entries. Raises RpcError where they are not kept any more."""
        if self.kept is None:
            raise RpcError("lgrNotFound", NOT_FOUND)
        return self.kept

    def view(self) -> View:
        """Return a view of its entries, to be read only. Raises RpcError as `state` does."""
        return View(self.state)


def open_ledger(network: Network) -> Ledger:
    """Return the ledger that is being filled."""
    header = network.chain.header
    return Ledger(
        index=network.open_ledger.index,
        header=None,
        parent_hash=header.ledger_hash,
        parent_close_time=header.close_time,
        transactions=tuple(network.open_ledger.transactions),
        kept=network.open_ledger.state,
    )


def last_ledger(network: Network) -> Ledger:
    """Return the last closed ledger."""
    header = network.chain.header
    stored = network.history.ledger(header.ledger_index)
    if stored is None:  # nothing closed yet: the chain begins with a ledger that nobody closed
        stored = StoredLedger(header=header, transactions=(), state=network.chain.state)
    return closed_ledger(stored)


def closed_ledger(stored: StoredLedger) -> Ledger:
    """Return a closed ledger out of the history."""
    return Ledger(
        index=stored.header.ledger_index,
        header=stored.header,
        parent_hash=stored.header.parent_hash,
        parent_close_time=stored.header.parent_close_time,
        transactions=stored.transactions,
        kept=stored.state,
    )


def by_index(network: Network, index: int) -> Ledger:
    """Return a ledger by its index. Raises RpcError if it is not kept."""
    if index == network.chain.header.ledger_index:
        return last_ledger(network)
    if index == network.open_ledger.index:
        return open_ledger(network)
    stored = network.history.ledger(index)
    if stored is None:
        raise RpcError("lgrNotFound", NOT_FOUND)
    return closed_ledger(stored)


def by_hash(network: Network, ledger_hash: str) -> Ledger:
    """Return a closed ledger by its hash. Raises RpcError if it is not kept."""
    wanted = ledger_hash.upper()
    if wanted == network.chain.header.ledger_hash:
        return last_ledger(network)
    stored = network.history.by_hash(wanted)
    if stored is None:
        raise RpcError("lgrNotFound", NOT_FOUND)
    return closed_ledger(stored)


def select(call: Call) -> Ledger:
    """Return the ledger a request is about. Raises RpcError for a bad choice or one not kept."""
    index, ledger_hash = call.params.get("ledger_index"), call.params.get("ledger_hash")
    legacy = call.params.get("ledger")
    if legacy not in (None, "", [], {}):
        if len(text_of(legacy)) >= _HASH_TEXT_MIN:
            ledger_hash = legacy
        else:
            index = legacy
    if ledger_hash is not None:
        if not isinstance(ledger_hash, str):
            raise invalid_params("ledgerHashNotString")
        if not is_hash(ledger_hash):
            raise invalid_params("ledgerHashMalformed")
        return by_hash(call.network, ledger_hash)
    if index in (None, "", "current"):
        return open_ledger(call.network)
    if index in ("validated", "closed"):
        return last_ledger(call.network)
    number = uint_of(index) if isinstance(index, (int, str)) and not isinstance(index, bool) else None
    if number is None:
        raise invalid_params("ledgerIndexMalformed")
    return by_index(call.network, number)


def rules_of(ledger: Ledger, network: Network) -> Rules:
    """Return the reserves and fees of a ledger. Raises RpcError where its entries are not kept."""
    header = network.chain.header if ledger.header is None else ledger.header
    return Chain(ledger.state, header, network.network_id).rules()


def account_root(ledger: Ledger, account: str) -> dict[str, Any] | None:
    """Return an account's entry, not to be changed, or None."""
    return ledger.state.entries.get(keys.account_root(account))


def known_account(ledger: Ledger, text: str) -> str:
    """Return an address that is in the ledger. Raises RpcError for a malformed or unknown one."""
    if account_root(ledger, checked_address(ledger, text)) is None:
        raise RpcError("actNotFound")
    return text


def checked_address(ledger: Ledger, text: str) -> str:
    """Return an address. Raises RpcError, which names the ledger, for what is none."""
    if not is_address(text):
        raise RpcError("actMalformed", fields=ledger.where())
    return text
