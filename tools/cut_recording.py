"""Cut ledgers out of a recording: the result is a valid recording of its own.

    python tools/cut_recording.py IN OUT --from A --count N [--check-every K] [--drop-signatures]

A is the first ledger's place in IN (0 = its first), N how many are kept. The new header's `state` is the
state of the ledger just before the cut, every entry of it: the old one rolled forward with the metadata of
every transaction skipped (neo_engine/simulator/truth.py), so the model ledger can be run on the cut. What an
earlier cut has left out of IN's header cannot be put back. `fair_price`, where a recording has it, is always
dropped: it is for judging a strategy, not for trading on. With --check-every K the server's own answers
(asks, bids, amm, accounts) stay only on the first kept ledger and every K-th after it. With --drop-signatures
TxnSignature and SigningPubKey go: nothing reads them and they do not compress.

The file is written next to OUT first and renamed when it is whole.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from neo_engine.simulator.model.fields import fields_to_wire
from neo_engine.simulator.model.genesis import state_from_wire
from neo_engine.simulator.model.state import State
from neo_engine.simulator.truth import follow, missing_directories

CHECK_FIELDS = ("asks", "bids", "amm", "accounts")
SIGNATURE_FIELDS = ("TxnSignature", "SigningPubKey")
Entry = dict[str, Any]


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
    state, start = state_from_wire(header["state"]), header["start_ledger"]
    if missing_directories(state) and first:
        raise ValueError(
            f"{source}: its header lacks directories, so it cannot be rolled forward; cut from 0"
        )
    for place, line in enumerate(lines):
        if place < first:
            start = _roll(state, start, line)
            continue
        if place == first:
            yield header | {"start_ledger": start, "state": listed(state)}
        yield _kept_line(line, (place - first) % check_every == 0, drop_signatures)
        if place + 1 == first + count:
            return
    raise ValueError(
        f"{source}: it ends before ledger {first + count}; ask for fewer with --from and --count"
    )


def listed(state: State) -> list[Entry]:
    """Return every entry as a header has it, in the ledger's order."""
    return [fields_to_wire(entry) | {"index": index} for index, entry in sorted(state.entries.items())]


def _roll(state: State, start: Entry, line: Entry) -> Entry:
    burnt = 0
    for transaction in line["transactions"]:
        follow(state, transaction["meta"], transaction["hash"], transaction["ledger_index"])
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
