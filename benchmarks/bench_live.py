"""The live path: from a ledger's first message to the last of six signed quotes, and memory over a day.

Run: python -m benchmarks.bench_live [--series 3] [--ledgers 150] [--speed 8] [--synchronous FULL]
     python -m benchmarks.bench_live --memory 20000 --speed 150

A local server with a market of agents is a process of its own; the engine is this process, complete as
`neo_engine live` starts it: gateway with its thread, feed, decision, native signature, database on disk.
Three levels a side, and no quote keeps its place unless price, size and time are the very same. Time stamps
are put around the engine's own functions from here; nothing in it knows of them.

Measured from the moment `ledgerClosed` was read off the socket (the server sends the ledger's transactions
after it, so waiting for them is in it) to the moment the last submit was handed to the socket. A ledger
counts if exactly six submits followed it.
"""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import websockets.sync.client
import yaml
from websockets.asyncio.client import ClientConnection
from xrpl.core import keypairs

from benchmarks.bench_simulated import memory_mb
from benchmarks.measure import centile, figure, machine, title
from neo_engine import live_session
from neo_engine.config import load_config
from neo_engine.execution.live import LiveExchange
from neo_engine.feed.live import LiveFeed
from neo_engine.live_session import LiveOptions, LiveResult, run_live
from neo_engine.ops.clock import SystemClock
from neo_engine.session import TickView
from neo_engine.simulator.server.genesis import RLUSD
from neo_engine.state.manager import StateManager
from neo_engine.xrpl.gateway import Gateway
from neo_engine.xrpl.outbox import Outbox

ROOT = Path(__file__).resolve().parents[1]
MARKET, SEED = "calm", 7
QUOTES = 6
MEDIAN_MS, HIGH_MS = 15.0, 40.0
LEDGER_SECONDS = 4  # of market time
SLOPE_MARKS = 4  # a line through fewer says nothing
SETTLE_LEDGERS = 15  # the strategy's warm-up and the first quotes, which replace none
TRUST_SET_NO_RIPPLE = 0x0002_0000
MARK_LEDGERS = 1_000
SUBMIT = b'"command":"submit"'
#: What a ledger's time goes to, in order: name, and the stamps it lies between.
PARTS = (
    ("gateway: closed read to whole ledger handed over", "closed", "whole"),
    ("hand-over to the engine's thread", "whole", "taken"),
    ("decoding the ledger", "taken", "decoded"),
    ("book, account, settlement, snapshot", "decoded", "advanced"),
    ("decision", "advanced", "decided"),
    ("preparing and signing six", "decided", "prepared"),
    ("records of the tick", "prepared", "recorded"),
    ("commit of the intent", "recorded", "stored"),
    ("hand-over, first submit on the socket", "stored", "first sent"),
    ("first to last submit on the socket", "first sent", "sent"),
)

Json = dict[str, Any]


class Stamps:
    """When each thing happened in a ledger, seconds; and what was sent after it."""

    def __init__(self) -> None:
        self.at: dict[int, dict[str, float]] = defaultdict(dict)
        self.submits: dict[int, int] = defaultdict(int)
        self.now = 0  # the ledger that the engine's thread is at
        self.sending = False

    def note(self, name: str, ledger: int | None = None) -> None:
        """Stamp a moment of a ledger; its first stays."""
        self.at[ledger or self.now].setdefault(name, time.perf_counter())


class _Closed(msgspec.Struct):
    ledger_index: int


_closed = msgspec.json.Decoder(_Closed)


@contextmanager
def stamped(stamps: Stamps) -> Iterator[None]:
    """Have the engine's own functions stamp the moments while the block runs."""
    kept: list[tuple[Any, str, Any]] = []

    def wrap(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        original = getattr(owner, name)
        kept.append((owner, name, original))
        setattr(owner, name, make(original))

    def after(what: str) -> Callable[[Any], Any]:
        def make(original: Any) -> Any:
            def call(*arguments: Any, **named: Any) -> Any:
                result = original(*arguments, **named)
                stamps.note(what)
                return result

            return call

        return make

    wrap(Gateway, "_message", lambda original: _reading(original, stamps))
    wrap(Outbox, "ledger", lambda original: _whole(original, stamps))
    wrap(LiveFeed, "_ledger", lambda original: _decoding(original, stamps))
    wrap(ClientConnection, "send", lambda original: _sending(original, stamps))
    wrap(LiveExchange, "submit", lambda original: _submitting(original, stamps))
    wrap(LiveExchange, "advance", after("advanced"))
    wrap(live_session, "decide", after("decided"))
    wrap(LiveExchange, "prepare", after("prepared"))
    wrap(StateManager, "commit_intent", lambda original: _storing(original, stamps))
    try:
        yield
    finally:
        for owner, name, original in reversed(kept):
            setattr(owner, name, original)


def _reading(original: Any, stamps: Stamps) -> Any:
    def message(self: Any, url: str, kind: str, frame: bytes) -> None:
        if kind == "ledgerClosed":
            stamps.note("closed", _closed.decode(frame).ledger_index)
        original(self, url, kind, frame)

    return message


def _whole(original: Any, stamps: Stamps) -> Any:
    def ledger(self: Any, bundle: Any) -> None:
        stamps.note("whole", bundle.closed.ledger_index)
        original(self, bundle)

    return ledger


def _decoding(original: Any, stamps: Stamps) -> Any:
    def ledger(self: Any, codec: Any, bundle: Any) -> Any:
        stamps.now = bundle.closed.ledger_index
        stamps.note("taken")
        result = original(self, codec, bundle)
        stamps.note("decoded")
        return result

    return ledger


def _storing(original: Any, stamps: Stamps) -> Any:
    def commit_intent(self: Any, record: Any) -> None:
        stamps.note("recorded")
        original(self, record)
        stamps.note("stored")

    return commit_intent


def _submitting(original: Any, stamps: Stamps) -> Any:
    def submit(self: Any, prepared: Any) -> Any:
        stamps.sending = True
        try:
            return original(self, prepared)
        finally:
            stamps.sending = False
            stamps.note("answered")

    return submit


def _sending(original: Any, stamps: Stamps) -> Any:
    async def send(self: Any, message: Any, text: bool | None = None) -> None:
        await original(self, message, text)
        if stamps.sending and SUBMIT in message:
            stamps.submits[stamps.now] += 1
            stamps.note("first sent")
            stamps.at[stamps.now]["sent"] = time.perf_counter()

    return send


class Wire:
    """A plain client of the server, to make an account ready."""

    def __init__(self, url: str) -> None:
        self._socket = websockets.sync.client.connect(url, max_size=None)

    def ask(self, command: str, **parameters: Any) -> Json:
        """Return a request's result. Raises RuntimeError for a refusal."""
        self._socket.send(msgspec.json.encode({"command": command, "api_version": 2, **parameters}).decode())
        reply: Json = msgspec.json.decode(self._socket.recv())
        if reply["status"] != "success":
            raise RuntimeError(f"{command}: {reply}")
        result: Json = reply["result"]
        return result

    def next_ledgers(self) -> None:
        """Wait until what was sent is validated."""
        first = self.ask("ledger", ledger_index="validated")["ledger_index"]
        while self.ask("ledger", ledger_index="validated")["ledger_index"] < first + 2:
            time.sleep(0.05)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


@contextmanager
def server(speed: str) -> Iterator[str]:
    """Run a server with its market; give its URL."""
    command = ["simulate", "--listen", "127.0.0.1:0", "--http-listen", "off", "--market", MARKET]
    more = ["--seed", str(SEED), "--speed", speed, "--admin", "--quiet"]
    with subprocess.Popen(
        [sys.executable, "-m", "neo_engine", *command, *more], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line.startswith("ready: "):
                raise RuntimeError(f"the server did not start: {line!r}")
            yield line.split()[1]
        finally:
            process.terminate()


def configured(folder: Path, url: str, synchronous: str, *, eager: bool) -> Path:
    """Fund an account on the server, and write a configuration that quotes with it.

    eager: QUOTES quotes, each anew in each ledger; else the one level a side of config/live_testnet.yaml,
    which moves with the market.
    """
    seed = keypairs.generate_seed(f"{SEED:032x}")
    account = keypairs.derive_classic_address(keypairs.derive_keypair(seed)[0])
    wire = Wire(url)
    try:
        issuer = wire.ask("faucet", destination=account, xrp="1000")["issuer"]
        wire.next_ledgers()
        limit = {"currency": RLUSD, "issuer": issuer, "value": "1000000"}
        trust = {"TransactionType": "TrustSet", "Account": account, "LimitAmount": limit}
        wire.ask("submit", secret=seed, tx_json={**trust, "Flags": TRUST_SET_NO_RIPPLE})
        wire.next_ledgers()
        wire.ask("faucet", destination=account, xrp="0", tokens="2000")
        wire.next_ledgers()
    finally:
        wire.close()
    key = folder / "key"
    key.write_text(f"{seed}\n", encoding="ascii")
    key.chmod(0o600)
    document = yaml.safe_load((ROOT / "config" / "live_testnet.yaml").read_text(encoding="utf-8"))
    document["pair"]["quote_issuer"] = issuer
    document["live"] |= {"account": account, "key_source": f"file:{key}", "network_id": 0, "tickets": 0}
    document["live"]["endpoints"] = [url]
    if eager:
        # No quote keeps its place: it is old after two seconds, and before that any other price will do.
        tolerances = {"price_tolerance_bps": 0.0, "size_tolerance": 0.0}
        document["strategy"] |= {"ladder_levels": QUOTES // 2, "warmup_ticks": 3, **tolerances}
        document["execution"] |= {"offer_lifetime_seconds": 600, "offer_refresh_seconds": 599}
    limits = ("max_xrp_exposure", "max_rlusd_exposure", "max_loss_rlusd", "max_daily_loss_rlusd")
    document["risk"] |= {**dict.fromkeys(limits, 1e6), "max_drawdown_pct": 100.0}
    document["state"]["synchronous"] = synchronous
    document["log"]["level"] = "WARNING"
    path = folder / "live.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def session(path: Path, ledgers: int, on_tick: Callable[[TickView], None]) -> tuple[LiveResult, Path]:
    """Run a live session of so many ledgers; return how it ended and its database."""
    config = load_config(path)
    if config.live is None:
        raise RuntimeError(f"{path}: no live section")
    options = LiveOptions(
        config=config,
        db=path.parent / "live.db",
        consent=config.live.account,
        endpoints=(),
        seed=1,
        duration_seconds=ledgers * LEDGER_SECONDS,
        on_tick=on_tick,
    )
    return run_live(options, SystemClock()), options.db


def latency(synchronous: str, ledgers: int, speed: str) -> Stamps:
    """Run one session and return its stamps."""
    stamps = Stamps()
    with tempfile.TemporaryDirectory() as name, server(speed) as url:
        path = configured(Path(name), url, synchronous, eager=True)
        with stamped(stamps):
            result, db = session(path, ledgers, lambda _view: None)
        print(f"  {result.session.halt.reason.value}, {told_transactions(db)}", flush=True)
    return stamps


def told_transactions(db: Path) -> str:
    """Return how many transactions of which kind were prepared, and what a requote costs, out of the rows."""
    with sqlite3.connect(db) as rows:
        counts = dict(rows.execute("SELECT kind, count(*) FROM submissions GROUP BY kind"))
        fees = rows.execute(
            "SELECT count(*), sum(fee_drops) FROM submissions WHERE kind = 'replace'"
        ).fetchone()
    each = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    return f"{each}; drops a requote: {Decimal(fees[1] or 0) / max(fees[0], 1)}"


def report(synchronous: str, runs: list[Stamps]) -> None:
    """Print one configuration's figures: the median of the runs, the best run beside it."""
    title(f"live, synchronous {synchronous}: ledgerClosed read to last of {QUOTES} submits on the socket, ms")
    totals, used, seen = [], 0, 0
    parts: dict[str, list[float]] = defaultdict(list)
    answers = []
    for run in runs:
        counted = [
            at
            for ledger, at in sorted(run.at.items())[SETTLE_LEDGERS:]
            if run.submits[ledger] == QUOTES and "closed" in at
        ]
        seen += len([at for at in run.at.values() if "stored" in at]) - SETTLE_LEDGERS
        used += len(counted)
        totals.append([(at["sent"] - at["closed"]) * 1000 for at in counted])
        answers += [(at["answered"] - at["closed"]) * 1000 for at in counted]
        for part, begin, end in PARTS:
            parts[part] += [(at[end] - at[begin]) * 1000 for at in counted]
    medians = [centile(one, 50) for one in totals]
    highs = [centile(one, 99) for one in totals]
    figure("ledgers with exactly six submits", used, f"of {seen}")
    figure("median (median of the runs)", statistics.median(medians), "ms", most=MEDIAN_MS)
    figure("99 of 100 (median of the runs)", statistics.median(highs), "ms", most=HIGH_MS)
    figure("median, best run", min(medians), "ms")
    figure("99 of 100, best run", min(highs), "ms")
    figure("last answer there, median", centile(answers, 50), "ms")
    for part, values in parts.items():
        figure(f"  {part}", centile(values, 50), f"ms, 99 of 100: {centile(values, 99):.2f}")


class Memory:
    """Prints what the process holds at each thousand ledgers."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, float]] = []
        self._ledgers = 0
        self._began = time.perf_counter()

    def tick(self, view: TickView) -> None:
        """Count a ledger."""
        self._ledgers += view.kind == "ledger"
        if view.kind == "ledger" and self._ledgers % MARK_LEDGERS == 0:
            self.seen.append((self._ledgers, memory_mb()))
            pace = self._ledgers / (time.perf_counter() - self._began)
            print(f"  {self._ledgers:>7} ledgers {memory_mb():8.2f} MB, {pace:.1f} a second", flush=True)

    def slope(self) -> float:
        """Return the growth over the second half by least squares, KB per thousand ledgers."""
        half = self.seen[len(self.seen) // 2 :]
        line = statistics.linear_regression([one for one, _ in half], [two * 1000 for _, two in half])
        return line.slope * MARK_LEDGERS


def memory(ledgers: int, speed: str) -> None:
    """Run a long session, and print what it holds."""
    title(f"live: memory over {ledgers} ledgers at {speed} times real time")
    watch = Memory()
    with tempfile.TemporaryDirectory() as name, server(speed) as url:
        path = configured(Path(name), url, "NORMAL", eager=False)
        result, db = session(path, ledgers, watch.tick)
        told = told_transactions(db)
        size = sum(one.stat().st_size for one in Path(name).glob("live.db*"))
    figure("database", size / 1e6, "MB")
    print(f"  {result.session.halt.reason.value}: {result.session.ledgers} ledgers, {told}", flush=True)
    if len(watch.seen) >= SLOPE_MARKS:
        figure("growth over the second half", watch.slope(), "KB per 1,000 ledgers")


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=3)
    parser.add_argument("--ledgers", type=int, default=150)
    parser.add_argument("--speed", default="8")
    parser.add_argument("--synchronous", nargs="+", default=["NORMAL", "FULL"], choices=["NORMAL", "FULL"])
    parser.add_argument("--memory", type=int, metavar="LEDGERS", help="memory over so many ledgers instead")
    options = parser.parse_args()
    print(machine(), flush=True)
    if options.memory:
        memory(options.memory, options.speed)
        return 0
    for synchronous in options.synchronous:
        runs = [latency(synchronous, options.ledgers, options.speed) for _ in range(options.series)]
        report(synchronous, runs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
