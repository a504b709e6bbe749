"""Cut ledgers out of a recording: the result is a valid recording of its own.

    python tools/cut_recording.py IN OUT --from A --count N [--check-every K] [--drop-signatures]

A is the first ledger's place in IN (0 = its first), N how many are kept. The new header's `state` is the
state of the ledger just before the cut: the old one rolled forward with the metadata of every
transaction skipped. Owner directories are left out (nothing of a market is read from them); book
directories keep their `Indexes`, because those give time priority. `fair_price`, where a recording has
it, is always dropped: it is for judging a strategy, not for trading on. With --check-every K the server's
own answers (asks, bids, amm, accounts) stay only on the first kept ledger and every K-th after it. With
--drop-signatures TxnSignature and SigningPubKey go: nothing reads them and they do not compress.

The file is written next to OUT first and renamed when it is whole.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHECK_FIELDS = ("asks", "bids", "amm", "accounts")
SIGNATURE_FIELDS = ("TxnSignature", "SigningPubKey")
#: Metadata leaves out what has its default value; an entry in a state has it.
DEFAULTS: dict[str, dict[str, object]] = {
    "AccountRoot": {"Flags": 0, "OwnerCount": 0},
    "DirectoryNode": {"Flags": 0},
    "Offer": {"BookNode": "0", "Flags": 0, "OwnerNode": "0"},
    "RippleState": {"HighNode": "0", "LowNode": "0"},
}
DIRECTORY_SPACE = b"\x00d"  # rippled LedgerNameSpace::DIR_NODE: what a directory page's index is hashed with

Entry = dict[str, Any]


def page_index(root: str, page: int) -> str:
    """Return the ledger index of a directory's page (rippled keylet::page: the root itself is page 0)."""
    if page == 0:
        return root
    digest = hashlib.sha512(DIRECTORY_SPACE + bytes.fromhex(root) + page.to_bytes(8, "big")).digest()
    return digest[:32].hex().upper()


class State:
    """The ledger's entries by index, followed transaction by transaction."""

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = {entry["index"]: entry for entry in entries}

    def apply(self, transaction: Entry) -> None:
        """Apply one transaction's metadata."""
        for node in transaction["meta"]["AffectedNodes"]:
            ((action, body),) = node.items()
            if action == "CreatedNode":
                self._create(body, transaction)
            elif action == "ModifiedNode":
                self._modify(body, transaction)
            else:
                self._delete(body)

    def _create(self, body: Entry, transaction: Entry) -> None:
        kind, index = body["LedgerEntryType"], body["LedgerIndex"]
        entry = {**DEFAULTS.get(kind, {}), **body.get("NewFields", {})}
        entry |= {"LedgerEntryType": kind, "index": index}
        entry |= {"PreviousTxnID": transaction["hash"], "PreviousTxnLgrSeq": transaction["ledger_index"]}
        if kind == "DirectoryNode":
            # The offer that made this page may stand before it in the metadata, and is listed already.
            entry["Indexes"] = self.entries.get(index, {}).get("Indexes", [])
        self.entries[index] = entry
        if kind == "Offer":
            self._page_of(entry).append(index)

    def _modify(self, body: Entry, transaction: Entry) -> None:
        if self._left_out(body):
            return
        entry = self.entries[body["LedgerIndex"]]
        final = body.get("FinalFields", {})
        entry.update(final)
        if final:
            for name in body.get("PreviousFields", {}).keys() - final.keys():
                entry.pop(name, None)
        if "PreviousTxnID" in entry or "PreviousTxnID" in body:
            entry |= {"PreviousTxnID": transaction["hash"], "PreviousTxnLgrSeq": transaction["ledger_index"]}

    def _delete(self, body: Entry) -> None:
        if self._left_out(body):
            return
        entry = self.entries.pop(body["LedgerIndex"])
        if entry["LedgerEntryType"] == "Offer":
            page = self._page_of(entry)
            if entry["index"] in page:
                page.remove(entry["index"])

    def _left_out(self, body: Entry) -> bool:
        """True for an owner directory that an earlier cut has left out."""
        return body["LedgerEntryType"] == "DirectoryNode" and body["LedgerIndex"] not in self.entries

    def _page_of(self, offer: Entry) -> list[str]:
        """Return the list of offers in the book directory's page; a throw-away one if the page is gone."""
        index = page_index(offer["BookDirectory"], int(offer["BookNode"], 16))
        page = self.entries.setdefault(
            index, {"LedgerEntryType": "DirectoryNode", "Flags": 0, "RootIndex": offer["BookDirectory"]}
        )
        page["index"] = index
        indexes: list[str] = page.setdefault("Indexes", [])
        return indexes

    def listed(self) -> list[Entry]:
        """Return every entry except owner directories, and except pages that nothing is left in."""
        return [entry for _, entry in sorted(self.entries.items()) if _kept(entry)]


def _kept(entry: Entry) -> bool:
    if entry["LedgerEntryType"] != "DirectoryNode":
        return True
    return "Owner" not in entry and bool(entry.get("Indexes"))


def lines_of(path: Path) -> Iterator[Entry]:
    """Yield the lines of a recording, plain or gzip."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        for line in file:
            if line.strip():
                yield json.loads(line)


def cut(source: Path, first: int, count: int, check_every: int, drop_signatures: bool) -> Iterator[Entry]:
    """Yield the lines of the cut. Raises ValueError if the recording has fewer ledgers."""
    lines = lines_of(source)
    header = next(lines)
    state, start = State(header["state"]), header["start_ledger"]
    for place, line in enumerate(lines):
        if place < first:
            start = _roll(state, start, line)
            continue
        if place == first:
            yield header | {"start_ledger": start, "state": state.listed()}
        yield _kept_line(line, (place - first) % check_every == 0, drop_signatures)
        if place + 1 == first + count:
            return
    raise ValueError(
        f"{source}: it ends before ledger {first + count}; ask for fewer with --from and --count"
    )


def _roll(state: State, start: Entry, line: Entry) -> Entry:
    burnt = 0
    for transaction in line["transactions"]:
        state.apply(transaction)
        burnt += int(transaction["tx_json"]["Fee"])
    closed = line["ledger"]
    return {
        "ledger_index": closed["ledger_index"],
        "ledger_hash": closed["ledger_hash"],
        "close_time": closed["ledger_time"],
        "total_coins": str(int(start["total_coins"]) - burnt),
    }


def _kept_line(line: Entry, checked: bool, drop_signatures: bool) -> Entry:
    dropped = {"fair_price"} if checked else {"fair_price", *CHECK_FIELDS}
    if drop_signatures:
        for transaction in line["transactions"]:
            for name in SIGNATURE_FIELDS:
                transaction["tx_json"].pop(name, None)
    return {name: value for name, value in line.items() if name not in dropped}


def write(target: Path, lines: Iterator[Entry]) -> int:
    """Write the lines to `target`, packed if its name ends in .gz, and return how many ledgers there are."""
    partial = target.with_name(target.name + ".part")
    written = 0
    text = bytearray()
    for line in lines:
        text += json.dumps(line, separators=(",", ":")).encode() + b"\n"
        written += 1
    # No time in the gzip header: the same cut gives the same bytes.
    partial.write_bytes(gzip.compress(text, mtime=0) if target.suffix == ".gz" else text)
    partial.replace(target)
    return written - 1


def main(arguments: list[str]) -> int:
    """Cut and say what was written."""
    parser = argparse.ArgumentParser(description="Cut ledgers out of a recording.")
    parser.add_argument("source", type=Path, metavar="IN")
    parser.add_argument("target", type=Path, metavar="OUT")
    parser.add_argument("--from", dest="first", type=int, required=True, metavar="A")
    parser.add_argument("--count", type=int, required=True, metavar="N")
    parser.add_argument("--check-every", type=int, default=1, metavar="K")
    parser.add_argument("--drop-signatures", action="store_true")
    chosen = parser.parse_args(arguments)
    if chosen.first < 0 or chosen.count < 1 or chosen.check_every < 1:
        parser.error("--from must be 0 or more, --count and --check-every 1 or more")
    try:
        lines = cut(chosen.source, chosen.first, chosen.count, chosen.check_every, chosen.drop_signatures)
        ledgers = write(chosen.target, lines)
    except (OSError, ValueError, KeyError) as error:
        print(f"{chosen.source}: cannot be cut ({error!r})", file=sys.stderr)
        return 1
    print(f"{chosen.target}: {ledgers} ledgers, {chosen.target.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
