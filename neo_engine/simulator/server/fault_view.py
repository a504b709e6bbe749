"""A node that is behind: the network as it stood some ledgers ago. What is submitted to it is real.

A stale node and a lagging one differ only in whether the ledger they show moves. Requests for the open ledger
are answered from the last one shown, with nothing in it, as a server does that has lost its peers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from neo_engine.simulator.history import History, StoredLedger, StoredTx
from neo_engine.simulator.model.ledger import Chain, LedgerTx
from neo_engine.simulator.model.state import State
from neo_engine.simulator.server import reports
from neo_engine.simulator.server.network import Network

Json = dict[str, Any]


class PastHistory(History):
    """The history up to a ledger. Reads the network's own: nothing is copied."""

    def __init__(self, history: History, last: int) -> None:
        super().__init__()
        self._all = history
        self._end = last

    @property
    def first(self) -> int:
        """Index of the oldest ledger kept."""
        return self._all.first

    @property
    def last(self) -> int:
        """Index of the newest ledger that this node shows."""
        return self._end

    def ledger(self, index: int) -> StoredLedger | None:
        """Return a ledger by its index, None if it is not kept or not known yet."""
        return self._all.ledger(index) if index <= self._end else None

    def by_hash(self, ledger_hash: str) -> StoredLedger | None:
        """Return a ledger by its hash, None if it is not kept or not known yet."""
        found = self._all.by_hash(ledger_hash)
        return found if found is not None and found.header.ledger_index <= self._end else None

    def tx(self, tx_hash: str) -> StoredTx | None:
        """Return a transaction by its hash, None if it is not kept or not known yet."""
        found = self._all.tx(tx_hash)
        return found if found is not None and found.header.ledger_index <= self._end else None

    def account_txs(self, account: str, first: int, last: int, *, forward: bool) -> Iterator[StoredTx]:
        """Yield an account's transactions in the ledgers first..last that this node shows."""
        return self._all.account_txs(account, first, min(last, self._end), forward=forward)


class PastLedger(msgspec.Struct, frozen=True, kw_only=True):
    """The open ledger of a node that has heard of no transaction."""

    index: int
    state: State
    transactions: Sequence[LedgerTx] = ()


class PastNetwork:
    """What commands see of a node whose last ledger is `stored`. Writing goes to the network itself."""

    def __init__(self, network: Network, stored: StoredLedger, state: State) -> None:
        self._network = network
        self.history = PastHistory(network.history, stored.header.ledger_index)
        self.chain = Chain(state, stored.header, network.network_id)
        self.open_ledger = PastLedger(index=stored.header.ledger_index + 1, state=state)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    @property
    def itself(self) -> Network:
        """The network behind."""
        return self._network

    def situation(self) -> reports.Situation:
        """Return what this node's reports are made of."""
        return msgspec.structs.replace(
            self._network.situation(), header=self.chain.header, rules=self.chain.rules(), in_ledger=0
        )

    def fee_report(self) -> Json:
        """Return the result of `fee`."""
        return reports.fee_report(self.situation())

    def server_info(self) -> Json:
        """Return the result of `server_info`."""
        return reports.server_info(self.situation())

    def server_state(self) -> Json:
        """Return the result of `server_state`."""
        return reports.server_state(self.situation())

    def submit(self, tx_json: Json, blob: str, *, fail_hard: bool) -> Json:
        """Pass a transaction on to the network; only the ledger told as validated is this node's."""
        told = self._network.submit(tx_json, blob, fail_hard=fail_hard)
        if "validated_ledger_index" in told:
            told["validated_ledger_index"] = self.history.last
        return told

    def subscribe(self, client: Any, params: Json) -> Json:
        """Subscribe a client; what is told at once is this node's."""
        return self._network.streams.subscribe(client, params, self.situation())


def past(network: Network, stored: StoredLedger | None) -> Network | PastNetwork:
    """Return the network as a ledger left it; as it is for None, or if that ledger's entries are not kept."""
    if stored is None or stored.state is None:
        return network
    return PastNetwork(network, stored, stored.state)
