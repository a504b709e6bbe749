"""An account of the model that acts in a rehearsal: the network believes it without a signature."""

from __future__ import annotations

from typing import Any

from neo_engine.simulator.agents.hands import model_hash
from neo_engine.simulator.server.network import Network
from neo_engine.simulator.server.signing import make_tx


class Party:
    """One account. What it sends goes into the open ledger, numbered one after the other."""

    def __init__(self, network: Network, address: str) -> None:
        self.address = address
        self._network = network

    def send(self, kind: str, flags: int = 0, *, fee_drops: int | None = None, **fields: Any) -> str:
        """Send a transaction and return its preliminary result. fee_drops: None for what is asked."""
        ledger = self._network.open_ledger
        sequence, _ = ledger.account(self.address)
        fee = self._network.situation().open_cost if fee_drops is None else fee_drops
        body = {
            "Account": self.address,
            "Fee": str(fee),
            "Flags": flags,
            "Sequence": sequence,
            "SigningPubKey": "",
            "TransactionType": kind,
            **fields,
        }
        return self._network.add_internal(make_tx(body, model_hash(body)))
