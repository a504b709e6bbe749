"""What a transaction changed, as the ledger tells it: AffectedNodes from a view.

Theory (rippled ApplyStateTable.cpp, `apply`; STLedgerEntry.cpp, `thread`). Every entry that was made,
changed or removed is a node; entries whose content is the same in the end are not told. An entry that
remembers its last transaction (`PreviousTxnID`) tells the one before; entries made or removed thread
the transaction through their owners' AccountRoots too, which is why those appear with nothing else.

1. Nodes stand in the order of their indexes.
2. PreviousFields hold the old value of what changed; FinalFields everything; NewFields all but defaults.
3. After `nodes_of` the view's entries carry the new PreviousTxnID: absorb the view afterwards.
"""

from __future__ import annotations

from typing import Any

from neo_engine.simulator.model.amounts import to_wire
from neo_engine.simulator.model.fields import AMOUNT_FIELDS, HIDDEN, ONLY_WHEN_DELETED, Entry, is_default
from neo_engine.simulator.model.keys import account_root
from neo_engine.simulator.model.state import View

Node = dict[str, Any]
_NOT_LIVING = HIDDEN | ONLY_WHEN_DELETED


def nodes_of(view: View, tx_hash: str, ledger_index: int) -> list[Node]:
    """Return AffectedNodes in wire form, and thread the transaction through what it touched."""
    entries = view.state.entries
    touched = sorted([*view.now, *view.gone])
    threads = _Threads(view, tx_hash, ledger_index)
    bodies: dict[str, tuple[str, Node]] = {}
    for index in touched:
        gone = view.gone.get(index)
        before = entries.get(index)
        if gone is not None and before is not None:
            threads.owners(gone)
            bodies[index] = ("DeletedNode", _deleted(before, gone))
            continue
        now = view.now[index]
        if before is None:
            threads.owners(now)
            body = {"LedgerEntryType": now["LedgerEntryType"], "NewFields": _new(now)}
            threads.item(index, now)
            bodies[index] = ("CreatedNode", body)
        elif now == before:
            del view.now[index]
        else:
            threads.item(index, now)
            bodies[index] = ("ModifiedNode", _modified(before, now))
    for index, previous in threads.previous.items():
        _, body = bodies.setdefault(index, ("ModifiedNode", {"LedgerEntryType": "AccountRoot"}))
        body["PreviousTxnID"], body["PreviousTxnLgrSeq"] = previous
    nodes = []
    for index in sorted(bodies):
        kind, body = bodies[index]
        body["LedgerIndex"] = index
        nodes.append({kind: body})
    return nodes


class _Threads:
    """Marks entries with the transaction; `previous`: what each marked one remembered before."""

    def __init__(self, view: View, tx_hash: str, ledger_index: int) -> None:
        self._view = view
        self._hash = tx_hash
        self._ledger = ledger_index
        self.previous: dict[str, tuple[str, int]] = {}

    def item(self, index: str, entry: Entry) -> None:
        old = entry.get("PreviousTxnID")
        if old == self._hash:
            return
        if old is not None:
            self.previous[index] = (old, entry.get("PreviousTxnLgrSeq", 0))
        entry["PreviousTxnID"] = self._hash
        entry["PreviousTxnLgrSeq"] = self._ledger

    def owners(self, entry: Entry) -> None:
        kind = entry["LedgerEntryType"]
        if kind == "AccountRoot":
            return
        if kind == "RippleState":
            self._account(entry["LowLimit"].issuer)
            self._account(entry["HighLimit"].issuer)
            return
        for field in ("Account", "Destination"):
            if field in entry:
                self._account(entry[field])

    def _account(self, address: str) -> None:
        index = account_root(address)
        if self._view.read(index) is not None:
            self.item(index, self._view.edit(index))


def _shown(entry: Entry, hidden: frozenset[str]) -> Node:
    return {
        name: to_wire(value) if name in AMOUNT_FIELDS else value
        for name, value in entry.items()
        if name not in hidden
    }


def _deleted(before: Entry, gone: Entry) -> Node:
    body: Node = {"LedgerEntryType": gone["LedgerEntryType"], "FinalFields": _shown(gone, HIDDEN)}
    previous = _previous(before, gone)
    if previous is not None:
        body["PreviousFields"] = previous
    return body


def _modified(before: Entry, now: Entry) -> Node:
    body: Node = {"LedgerEntryType": now["LedgerEntryType"], "FinalFields": _shown(now, _NOT_LIVING)}
    previous = _previous(before, now)
    if previous is not None:
        body["PreviousFields"] = previous
    return body


def _previous(before: Entry, now: Entry) -> Node | None:
    """Return the old values of what changed, None if nothing did.

    A field that was not there before counts as changed but has no old value to tell: where only such
    fields changed the server writes empty PreviousFields.
    """
    changed = {
        name: value for name, value in before.items() if now.get(name) != value and name not in _NOT_LIVING
    }
    if not changed and now.keys() - before.keys() <= _NOT_LIVING:
        return None
    return _shown(changed, _NOT_LIVING)


def _new(now: Entry) -> Node:
    return _shown({name: value for name, value in now.items() if not is_default(value)}, _NOT_LIVING)
