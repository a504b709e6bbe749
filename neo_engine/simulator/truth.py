"""The true state of a recorded ledger: the header's entries, followed by what metadata says was changed.

Metadata tells all of an entry but three things, which are put back here. What has its default value is left
out of a created node (Flags 0, first page). `PreviousTxnID` of a living entry is the transaction itself. A
directory's `Indexes` are never told: they follow from the offers, trust lines, tickets and pools made and
removed, whose own fields name their pages (rippled ApplyView.cpp: books in order of arrival, what an account
owns sorted).
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Mapping
from typing import Any

from neo_engine.domain.errors import BadNumber
from neo_engine.simulator.model import keys
from neo_engine.simulator.model.fields import Entry, entry_from_wire
from neo_engine.simulator.model.state import State

Node = dict[str, Any]
_NO_ID = "0" * 40

#: What an entry of each type has although metadata leaves it out where it is zero.
_DEFAULTS: dict[str, Entry] = {
    "AccountRoot": {"Flags": 0, "OwnerCount": 0, "Balance": 0},
    "AMM": {"Flags": 0, "OwnerNode": "0"},
    "DirectoryNode": {"Flags": 0},
    "Offer": {"Flags": 0, "OwnerNode": "0", "BookNode": "0"},
    "RippleState": {"Flags": 0, "LowNode": "0", "HighNode": "0"},
    "Ticket": {"Flags": 0, "OwnerNode": "0"},
}
_BOOK_IDS = ("TakerGetsCurrency", "TakerGetsIssuer", "TakerPaysCurrency", "TakerPaysIssuer")


def missing_directories(state: State) -> int:
    """Return how many entries stand on a page that the state does not have; 0 in a whole ledger."""
    return sum(
        page not in state.entries or index not in state.entries[page]["Indexes"]
        for index, entry in state.entries.items()
        for page, _ in _pages(entry)
    )


def follow(state: State, meta: Mapping[str, Any], tx_hash: str, ledger_index: int) -> None:
    """Change `state` as a transaction's metadata says.

    Raises BadNumber for an amount that no ledger can hold, KeyError for an entry that is not there.
    """
    made: list[tuple[str, Entry]] = []
    removed: list[tuple[str, Entry]] = []
    marks = {"PreviousTxnID": tx_hash, "PreviousTxnLgrSeq": ledger_index}
    for node in meta["AffectedNodes"]:
        ((action, body),) = node.items()
        index = body["LedgerIndex"]
        if action == "CreatedNode":
            entry = _created(body, index) | marks
            made.append((index, entry))
            state.put(index, entry)
        elif action == "DeletedNode":
            removed.append((index, state.entries[index]))
            state.drop(index)
        else:
            state.put(index, _modified(state.entries[index], body) | marks)
    for index, entry in removed:
        for page, _ in _pages(entry):
            _unlist(state, page, index)
    for index, entry in made:
        for page, in_order in _pages(entry):
            _list(state, page, index, in_order)


def _created(body: Node, index: str) -> Entry:
    kind = body["LedgerEntryType"]
    entry = {"LedgerEntryType": kind, **_DEFAULTS.get(kind, {}), **entry_from_wire(body.get("NewFields", {}))}
    if kind == "DirectoryNode":
        entry["Indexes"] = []
        if "Owner" not in entry:
            entry = dict.fromkeys(_BOOK_IDS, _NO_ID) | entry
    elif kind == "RippleState" and not {"LowLimit", "HighLimit"} <= entry.keys():
        raise BadNumber(f"trust line {index}: the metadata that made it has no limits")
    return entry


def _modified(old: Entry, body: Node) -> Entry:
    final = body.get("FinalFields")
    if not final:
        return dict(old)
    entry = {"LedgerEntryType": body["LedgerEntryType"], **entry_from_wire(final)}
    if "Indexes" in old:
        entry["Indexes"] = old["Indexes"]
    return entry


def _pages(entry: Entry) -> Iterator[tuple[str, bool]]:
    """Yield the directory pages that list an entry, and whether arrival counts there."""
    kind = entry["LedgerEntryType"]
    if kind == "RippleState":
        for limit, node in (("LowLimit", "LowNode"), ("HighLimit", "HighNode")):
            yield _page(keys.owner_directory(entry[limit].issuer), entry[node]), False
        return
    if kind in ("Offer", "Ticket", "AMM"):
        yield _page(keys.owner_directory(entry["Account"]), entry["OwnerNode"]), False
    if kind == "Offer":
        yield _page(entry["BookDirectory"], entry["BookNode"]), True


def _page(root: str, number: str) -> str:
    return keys.page(root, int(number, 16))


def _unlist(state: State, page: str, index: str) -> None:
    entry = state.entries.get(page)
    if entry is not None:  # a page that went with its last entry
        state.put(page, entry | {"Indexes": [one for one in entry["Indexes"] if one != index]})


def _list(state: State, page: str, index: str, in_order: bool) -> None:
    entry = state.entries[page]
    indexes = [*entry["Indexes"]]
    if in_order:
        indexes.append(index)
    else:
        insort(indexes, index)
    state.put(page, entry | {"Indexes": indexes})
