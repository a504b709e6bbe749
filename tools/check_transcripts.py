"""Play recorded conversations with a real server against the local one, in the same ledgers, and compare.

    python -m tools.check_transcripts TRANSCRIPTS_DIR

The folder holds submits.jsonl, requests.jsonl, streams.jsonl and overload.jsonl of a stand-alone server that
started from a fresh ledger. Every transaction is submitted as its recorded signed blob, ledgers close where
they closed there and in the order of the recorded TransactionIndex (its salt comes of the whole set's hash,
which the model does not have), and the pool's account is the recorded one (it comes of a ledger's hash).
Then every request is asked in the same ledger. Compared are status, error, error_code, error_message,
engine_result, the keys of every object and every value; a difference needs a reason from REASONS, and one
without is unexplained and makes the exit code 1.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from neo_engine.domain.request_cost import cost_of
from neo_engine.simulator.model import pools
from neo_engine.simulator.model.genesis import genesis
from neo_engine.simulator.model.ledger import Chain, ClosedLedger, LedgerTx
from neo_engine.simulator.model.state import View
from neo_engine.simulator.model.tx import Tx
from neo_engine.simulator.server.app import SILENCE_SECONDS, THRESHOLD_EXCEEDED
from neo_engine.simulator.server.client import POLICY_VIOLATION, Client
from neo_engine.simulator.server.dispatch import answer
from neo_engine.simulator.server.load import Load
from neo_engine.simulator.server.network import Network

Json = dict[str, Any]

FIRST_CLOSE_TIME = 848_513_700  # of ledger 2; each later ledger closed one second after it
STREAMS_FROM = 8  # the socket of streams.jsonl was subscribed when ledger 7 had closed
SUBMITTED_WITH_SECRET = "recorded with a secret that was not kept: its blob is played, whose reply is fuller"
VOLATILE = "what the machine, its clock and its load are like"
HASHES = "the model's hashes are its own"
MACHINE = (
    "hostid|initial_sync_duration_us|load|server_state_duration_us|state_accounting|time|uptime|"
    r"validated_ledger\.age"
)
#: (pattern of "file command path", reason). The first that matches explains a difference.
REASONS: tuple[tuple[str, str], ...] = (
    (r"^submits submit .*\b(deprecated|accepted|applied|broadcast|kept|queued)$", SUBMITTED_WITH_SECRET),
    (
        r"^submits submit .*\b(account_sequence_(available|next)|open_ledger_cost|validated_ledger_index)$",
        SUBMITTED_WITH_SECRET,
    ),
    (r"^submits submit result\.(hash|tx_json\.(hash|Amount|DeliverMax))$", SUBMITTED_WITH_SECRET),
    (r"\b(ledger_hash|account_hash|parent_hash|transaction_hash|validated_ledger\.hash)$", HASHES),
    (rf" server_(info|state) result\.(info|state)\.({MACHINE})\b", VOLATILE),
    (r" ripple_path_find result\.alternatives", "path finding is not part of the model"),
)


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A place where our reply is not the recorded one. kind: missing, extra, value or type."""

    where: str
    path: str
    kind: str
    real: str
    ours: str

    @property
    def reason(self) -> str:
        """Why, from the table; empty if nothing there fits."""
        told = f"{self.where.split('#')[0]} {self.path}"
        return next((reason for pattern, reason in REASONS if re.search(pattern, told)), "")


def compare(real: Any, ours: Any, path: str = "") -> Iterator[tuple[str, str, Any, Any]]:
    """Yield (path, kind, real, ours) wherever two JSON values differ."""
    if isinstance(real, dict) and isinstance(ours, dict):
        for key in sorted({*real, *ours}):
            inner = f"{path}.{key}" if path else key
            if key not in ours:
                yield inner, "missing", real[key], None
            elif key not in real:
                yield inner, "extra", None, ours[key]
            else:
                yield from compare(real[key], ours[key], inner)
    elif isinstance(real, list) and isinstance(ours, list):
        for at, (one, other) in enumerate(zip(real, ours, strict=False)):
            yield from compare(one, other, f"{path}[{at}]")
        if len(real) != len(ours):
            yield f"{path}[]", "value", len(real), len(ours)
    elif type(real) is not type(ours) and not {type(real), type(ours)} <= {int, float}:
        yield path, "type", real, ours
    elif real != ours:
        yield path, "value", real, ours


class RecordedChain(Chain):
    """A chain whose transactions stand in a ledger where they stood in the recorded one."""

    def __init__(self, places: dict[str, int]) -> None:
        super().__init__(*genesis(close_time=FIRST_CLOSE_TIME))
        self._places = places

    def close(self, txs: Iterable[Tx], close_time: int) -> ClosedLedger:
        """Close the next ledger."""
        by_place = {self._places[tx.hash]: tx for tx in txs}
        parts = [super().close([], close_time)] if not by_place else []
        before = self.header
        done: list[LedgerTx] = []
        for place in sorted(by_place):
            self.header = before
            closed = super().close([by_place[place]], close_time)
            item = closed.transactions[0]
            item.meta["TransactionIndex"] = place
            done.append(msgspec.structs.replace(item, index=place))
            parts.append(closed)
        spent = sum(item.tx.fee for item in done)
        self.header = msgspec.structs.replace(parts[-1].header, total_coins=before.total_coins - spent)
        funded = tuple(self._with_funds(item, self.rules()) for item in done)
        return ClosedLedger(header=self.header, transactions=funded)


class Replay:
    """The recorded conversation on our own network."""

    def __init__(self, folder: Path) -> None:
        self.submits = lines(folder / "submits.jsonl")
        self.requests = lines(folder / "requests.jsonl")
        self.streams = lines(folder / "streams.jsonl")
        self.overload = lines(folder / "overload.jsonl")
        self.differences: list[Difference] = []
        self.played: Counter[str] = Counter()
        self.wrong: set[str] = set()
        places = {
            line["reply"]["result"]["hash"]: line["final"]["meta"]["TransactionIndex"]
            for line in self.submits
            if line["final"]["meta"]
        }
        late = self.requests[1]["reply"]["result"]["tx_json"]["hash"]
        self.network = Network(RecordedChain({**places, late: 0}), seconds_per_ledger=0)
        self.network.ports = ((5005, "http"), (6006, "ws"), (6007, "ws"))
        self.listener = Client("127.0.0.1")
        self.client = Client("127.0.0.1")

    def ask(self, request: Json | str) -> Json:
        """Return our reply to a request, as it arrives."""
        frame = request if isinstance(request, str) else json.dumps(request)
        reply = answer(frame, self.network, self.client)
        return dict(msgspec.json.decode(msgspec.json.encode(reply)))

    def note(self, where: str, real: Any, ours: Any) -> None:
        """Compare and remember."""
        name = where.split("#")[0]
        self.played[name] += 1
        for path, kind, one, other in compare(real, ours):
            found = Difference(where=where, path=path, kind=kind, real=short(one), ours=short(other))
            self.differences.append(found)
            if not found.reason:
                self.wrong.add(where)

    def run(self) -> None:
        """Play everything, in the order in which it happened."""
        for at, line in enumerate(self.submits):
            final = line["final"]["ledger_index"]
            applied = line["reply"]["result"]["engine_result"].startswith(("tes", "tec"))
            while applied and self.network.open_ledger.index < final:
                self.close()
            reply = self.ask(
                {
                    "id": line["reply"]["id"],
                    "command": "submit",
                    "api_version": 2,
                    "tx_blob": line["reply"]["result"]["tx_blob"],
                }
            )
            self.note(f"submits submit#{at} {line['note']}", line["reply"], reply)
        self.close()
        for at, line in enumerate(self.requests[1:5], start=1):
            self.request(at, line)
        self.close()
        for at, line in enumerate(self.requests[5:], start=5):
            self.request(at, line)
        self.finals()
        self.compare_streams()

    def close(self) -> None:
        """Close a ledger; before ledger 8 the listener subscribes, as the recorded one did."""
        self.network.accept()
        if self.network.open_ledger.index == STREAMS_FROM:
            self.subscribe()

    def subscribe(self) -> None:
        """Ask for every stream that was recorded, and for the first line of the requests."""
        trust = next(line["tx_json"] for line in self.submits if line["note"] == "trust")
        token = {name: trust["LimitAmount"][name] for name in ("currency", "issuer")}
        sides = {"taker_pays": token, "taker_gets": {"currency": "XRP"}, "both": True}
        snapshot = {"id": 3, "command": "subscribe", "api_version": 2, "books": [{**sides, "snapshot": True}]}
        self.note("requests subscribe#0", self.requests[0]["reply"], self.ask(snapshot))
        streams = ["ledger", "transactions", "server", "book_changes"]
        wanted = {"command": "subscribe", "api_version": 2, "streams": streams}
        wanted |= {"accounts": [trust["Account"]], "books": [sides]}
        answer(json.dumps(wanted), self.network, self.listener)

    def request(self, at: int, line: Json) -> None:
        """Play one line of requests.jsonl."""
        real = line["reply"]
        if "request" in line:
            asked: Json | str = line["request"]
            name = line["request"]["command"]
        else:
            asked = real.get("value", "{}")
            name = "frame"
        self.note(f"requests {name}#{at} {line['note']}", real, self.ask(asked))

    def finals(self) -> None:
        """Compare what became of every transaction: its ledger, result and metadata."""
        for at, line in enumerate(self.submits):
            final = line["final"]
            ours = self.ask(
                {"command": "tx", "api_version": 2, "transaction": line["reply"]["result"]["hash"]}
            )
            result = ours.get("result", {})
            told = {
                "validated": result.get("validated", False),
                "ledger_index": result.get("ledger_index"),
                "TransactionResult": result.get("meta", {}).get("TransactionResult"),
                "meta": result.get("meta"),
            }
            self.note(f"finals tx#{at} {line['note']}", final, told)

    def compare_streams(self) -> None:
        """Compare the messages one by one; the order within a ledger is the recorded one."""
        ours = deque(dict(msgspec.json.decode(message)) for message in self.listener.take())
        for at, real in enumerate(self.streams):
            name = real["type"]
            if name == "serverStatus":  # told when the fee or the load changes, which it does by itself there
                self.note(f"streams {name}#{at}", real, self.server_status())
            else:
                self.note(f"streams {name}#{at}", real, ours.popleft() if ours else {})
        self.note("streams rest#", [], [one["type"] for one in ours])

    def server_status(self) -> Json:
        """Return a message of our `server` stream."""
        reader = Client("127.0.0.1")
        answer('{"command": "subscribe", "streams": ["server"]}', self.network, reader)
        self.network.streams.server_status(self.network.situation())
        return dict(msgspec.json.decode(reader.take()[0]))

    def overloaded(self) -> dict[str, tuple[Any, Any]]:
        """Return what one unprivileged client sees that asks too much: name -> (recorded, ours)."""
        load, cost = Load(), cost_of({"command": "book_offers"})
        closed = self.overload[-1]
        warned = next(line["request"] for line in self.overload if "warning" in line.get("reply", {}))
        first_warning = None
        asked = 0
        while not load.drop("client", 0):
            load.charge("client", cost, 0)
            if load.warn("client", 0) and first_warning is None:
                first_warning = asked
            asked += 1
        return {
            "request whose reply carries the warning": (warned, first_warning),
            "requests answered before the silence": (closed["after_requests"], asked),
            "close code": (closed["close_code"], POLICY_VIOLATION),
            "close reason": (closed["close_reason"], THRESHOLD_EXCEEDED),
            "seconds of silence, about": (5, SILENCE_SECONDS),
        }


def lines(path: Path) -> list[Json]:
    """Return the objects of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def short(value: Any) -> str:
    """Return a value as a table shows it."""
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 90 else f"{text[:87]}..."


def recorded_pool(submits: Iterable[Json]) -> str:
    """Return the account that the recorded AMMCreate made."""
    for line in submits:
        for node in (line["final"]["meta"] or {}).get("AffectedNodes", ()):
            made = node.get("CreatedNode", {})
            if made.get("LedgerEntryType") == "AMM":
                return str(made["NewFields"]["Account"])
    raise SystemExit("submits.jsonl: no AMMCreate that succeeded")


def table(replay: Replay) -> None:
    """Print what was played, and every difference with its reason."""
    print(f"{'played':<44}{'lines':>7}{'equal or explained':>20}")
    for name, count in sorted(replay.played.items()):
        wrong = len([where for where in replay.wrong if where.split("#")[0] == name])
        print(f"{name:<44}{count:>7}{count - wrong:>20}")
    print(f"{'all':<44}{sum(replay.played.values()):>7}{sum(replay.played.values()) - len(replay.wrong):>20}")
    grouped: Counter[tuple[str, str]] = Counter()
    for one in replay.differences:
        grouped[(one.where.split("#")[0], one.reason)] += 1
    print("\ndifferences with a reason")
    for (name, reason), count in sorted(grouped.items()):
        if reason:
            print(f"{count:>7}  {name:<34}{reason}")
    print("\ndifferences without a reason")
    for one in replay.differences:
        if not one.reason:
            print(f"  {one.where}: {one.path}: {one.kind}: recorded {one.real}, ours {one.ours}")
    print("\noverload")
    for name, (real, ours) in replay.overloaded().items():
        print(f"  {name:<44}recorded {real}, ours {ours}{'' if real == ours else '  DIFFERENT'}")


def main() -> int:
    """Compare; return 1 if something differs without a reason."""
    if len(sys.argv) != 2:
        raise SystemExit(str(__doc__))
    replay = Replay(Path(sys.argv[1]))
    pool = recorded_pool(replay.submits)

    def recorded_address(view: View, parent_hash: str, pool_index: str) -> str:  # noqa: ARG001
        return pool

    vars(pools)["free_address"] = recorded_address
    replay.run()
    table(replay)
    good = all(real == ours for real, ours in replay.overloaded().values())
    return 0 if good and not replay.wrong else 1


if __name__ == "__main__":
    sys.exit(main())
