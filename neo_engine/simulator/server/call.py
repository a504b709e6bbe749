"""One request on its way through a command, and what a command needs of the network.

Commands are functions from a `Call` to the `result` of its reply. They read the network and change it only
through the methods of `Network`; the network itself (chain, queue, subscriptions) is written elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from neo_engine.simulator.history import History
from neo_engine.simulator.model.ledger import Chain, LedgerTx
from neo_engine.simulator.model.state import State


class Client(Protocol):
    """Who asks over a socket that also takes messages."""

    @property
    def admin(self) -> bool:
        """He may do everything and page without a limit, as a client of the same machine."""

    @property
    def unlimited(self) -> bool:
        """He is not charged for his requests."""


class OpenLedger(Protocol):
    """The ledger that is being filled: its state with the transactions taken in so far."""

    @property
    def index(self) -> int:
        """Index of the ledger after the last closed one."""

    @property
    def state(self) -> State:
        """The state after the tentative transactions."""

    @property
    def transactions(self) -> Sequence[LedgerTx]:
        """The tentative transactions, in the order they came."""


class Network(Protocol):
    """What commands ask of the network. Replies are the `result` of the command named alike."""

    @property
    def history(self) -> History:
        """The closed ledgers kept."""

    @property
    def chain(self) -> Chain:
        """The last closed ledger and its state."""

    @property
    def open_ledger(self) -> OpenLedger:
        """The ledger after it."""

    @property
    def network_id(self) -> int:
        """0 for the main network."""

    def queue_of(self, account: str) -> list[dict[str, Any]]:
        """Return the queued transactions of an account as `queue_data.transactions` has them."""

    def fee_report(self) -> dict[str, Any]:
        """Return the result of `fee`."""

    def server_info(self) -> dict[str, Any]:
        """Return the result of `server_info`."""

    def server_state(self) -> dict[str, Any]:
        """Return the result of `server_state`."""

    def submit(self, tx_json: dict[str, Any], blob: str, *, fail_hard: bool) -> dict[str, Any]:
        """Take in a transaction that is well formed and signed; return the result of `submit`."""

    def simulate(self, tx_json: dict[str, Any]) -> dict[str, Any]:
        """Run a transaction and forget it; return engine_result and the rest, meta if it would apply."""

    def subscribe(self, client: Any, params: dict[str, Any]) -> dict[str, Any]:
        """Subscribe a client; parameters are checked. Return what the streams tell at once."""

    def unsubscribe(self, client: Any, params: dict[str, Any]) -> dict[str, Any]:
        """End subscriptions; parameters are checked."""

    def faucet(self, params: dict[str, Any]) -> dict[str, Any]:
        """Fund an account with XRP and tokens; return the result of `faucet`. Raises RpcError."""

    def accept(self) -> dict[str, Any]:
        """Close the open ledger; return the result of `ledger_accept`."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request. params: as sent. client: None by HTTP, which takes no messages. admin: see Client."""

    params: Mapping[str, Any]
    api_version: int
    network: Network
    client: Client | None
    admin: bool
