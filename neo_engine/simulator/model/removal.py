"""Taking an offer out of the ledger: out of its book, its owner's directory and its count."""

from __future__ import annotations

from neo_engine.simulator.model.owners import adjust_owner_count, directory_remove, owner_remove
from neo_engine.simulator.model.state import View


def remove_offer(view: View, index: str) -> bool:
    """Delete an offer (rippled View.cpp, offerDelete); False if there is none."""
    offer = view.read(index)
    if offer is None:
        return False
    owner = offer["Account"]
    owner_remove(view, owner, offer["OwnerNode"], index)
    directory_remove(view, offer["BookDirectory"], offer["BookNode"], index)
    adjust_owner_count(view, owner, -1)
    view.erase(index)
    return True
