"""SetFee: the network's validators change fee and reserves (rippled Change.cpp, `applyFee`).

No account sends it: it comes from nobody (the all-zero account), costs nothing and needs no signature. It
goes into closed ledgers only; sent by a client it is refused like an unknown type.
"""

from __future__ import annotations

from typing import Any

from neo_engine.simulator.model import keys
from neo_engine.simulator.model.metadata import nodes_of
from neo_engine.simulator.model.results import SUCCESS
from neo_engine.simulator.model.state import State, View
from neo_engine.simulator.model.tx import Tx

KIND = "SetFee"
FIELDS = ("BaseFeeDrops", "ReserveBaseDrops", "ReserveIncrementDrops")


def run(state: State, tx: Tx, ledger_index: int) -> dict[str, Any]:
    """Take over the fees that the transaction names (texts of drops) and return its metadata."""
    view = View(state)
    settings = view.edit(keys.FEE_SETTINGS)
    settings.update({name: tx.fields[name] for name in FIELDS if name in tx.fields})
    nodes = nodes_of(view, tx.hash, ledger_index)
    state.absorb(view)
    return {"AffectedNodes": nodes, "TransactionResult": SUCCESS}
