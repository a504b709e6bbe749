"""The runs that paper is compared with live on: local servers, a live session, paper sessions, recordings.

`tools/compare_paper_live.py` says what they are for.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import takewhile
from pathlib import Path
from sqlite3 import OperationalError
from typing import Any

import msgspec
import yaml
from msgspec.structs import replace
from websockets.sync.client import ClientConnection, connect
from xrpl.core import keypairs

from neo_engine.bootstrap import RECORDED, SPEED_MAX, SessionOptions, run_session
from neo_engine.config import load_config
from neo_engine.domain.assets import currency_code
from neo_engine.domain.book import BookTracker
from neo_engine.domain.errors import StateError
from neo_engine.domain.fills import Fill
from neo_engine.domain.ledger import AccountChange, LedgerChange, LineChange, OfferChange
from neo_engine.domain.orders import CancelOrder, Command, OrderStatus, PlaceOrder
from neo_engine.execution.paper import PaperExchange, PlaceRule
from neo_engine.execution.paper_account import PaperAccount
from neo_engine.feed.recorder import Recorder, RecorderOptions
from neo_engine.live_session import LiveOptions, run_live
from neo_engine.ops.clock import SystemClock
from neo_engine.session import SessionResult, TickView
from neo_engine.state import queries
from neo_engine.xrpl.gateway import Gateway, GatewayOptions
from tools.check_paper_truth import Market, read_market
from tools.compare_fills import Standing

ROOT = Path(__file__).resolve().parent.parent
LIVE_CONFIG = ROOT / "config" / "live_testnet.yaml"
START_TIME = 820_900_000  # of every server: seconds since 2000-01-01, later than any market's opening
LEDGER_SECONDS = 4
SPARE_LEDGERS = 14  # for the end of a session
NAME = "neo"
NO_RIPPLE = 0x0002_0000
TIME_LIMIT_SECONDS = 60.0
POLL_SECONDS = 0.002
MOVING = (OrderStatus.PENDING_SUBMIT, OrderStatus.SUBMITTED, OrderStatus.PENDING_CANCEL)
XRP_START, TOKENS_START = "250", "550"

Json = dict[str, Any]


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What to run. size: base_size_rlusd. within: ledgers between two paired fills.

    account: number of the account that trades; another one stands elsewhere in each ledger's order.
    """

    market: str
    seed: int
    ledgers: int
    size: Decimal
    within: int
    paper_seeds: int
    account: int
    folder: Path


@dataclass(slots=True)
class Played:
    """A session as it was watched, tick by tick. standing, commands: by the ledger decided upon."""

    fills: list[Fill] = field(default_factory=list)
    standing: dict[int, tuple[Standing, ...]] = field(default_factory=dict)
    commands: dict[int, tuple[Command, ...]] = field(default_factory=dict)
    result: SessionResult | None = None

    def watch(self, view: TickView) -> None:
        """Keep what a tick did."""
        decision = view.decision
        self.fills.extend(decision.fills)
        if decision.commands:
            self.commands[view.ledger_index] = tuple(decision.commands)
        self.standing[view.ledger_index] = tuple(
            Standing(
                side=order.side,
                price=order.price,
                left=order.remaining_base_drops,
                moving=order.status in MOVING,
            )
            for order in decision.state.orders.working
        )

    @property
    def pnl(self) -> Decimal:
        """Account value less capital put in, RLUSD, network fees included."""
        told = self.result.summary if self.result else {}
        return Decimal(str(told["account_value_rlusd"])) - Decimal(str(told["net_capital_rlusd"]))


class Wire:
    """A socket to the server on which each request is answered before the next."""

    def __init__(self, url: str) -> None:
        self._socket: ClientConnection = connect(url, max_size=None, compression=None)

    def ask(self, command: str, **parameters: Any) -> Json:
        """Return a request's result. Raises SystemExit with the server's answer when it refuses."""
        self._socket.send(json.dumps({"id": 1, "command": command, "api_version": 2, **parameters}))
        reply = json.loads(self._socket.recv(timeout=TIME_LIMIT_SECONDS))
        if reply.get("status") != "success":
            raise SystemExit(f"{command}: the server answered {reply}")
        return dict(reply["result"])

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


@contextmanager
def served(choice: Choice) -> Iterator[str]:
    """Run a server whose ledgers close by hand; yield its URL."""
    program = [sys.executable, "-m", "neo_engine", "simulate", "--listen", "127.0.0.1:0", "--quiet"]
    program += ["--market", choice.market, "--seed", str(choice.seed), "--start-time", str(START_TIME)]
    program += ["--close-every", "manual", "--admin", "--http-listen", "off"]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line.startswith("ready: "):
            raise SystemExit(f"the server did not start: {line!r}; try {' '.join(program[1:])}")
        yield line.split()[1]
    finally:
        process.terminate()
        process.wait(TIME_LIMIT_SECONDS)


class Run:
    """One server with a funded account and a recorder on it; `close_ledger` waits for the recorder first."""

    def __init__(self, url: str, choice: Choice, name: str) -> None:
        self.url = url
        self.wire = Wire(url)
        self._asking = threading.Lock()  # the first ledger is closed by another thread
        self._out = choice.folder / f"{name}.jsonl.gz"
        entropy = hashlib.sha256(f"{choice.market} {choice.seed} {choice.account}".encode()).hexdigest()[:32]
        self.secret = str(keypairs.generate_seed(entropy))
        self.account = str(keypairs.derive_classic_address(keypairs.derive_keypair(self.secret)[0]))
        self.issuer = self._fund()
        self.start = self.closed = int(self.wire.ask("ledger", ledger_index="validated")["ledger_index"])
        self._over = threading.Event()
        clock = SystemClock()
        gateway = Gateway(GatewayOptions(endpoints=(url,), after_ledger=self.start), clock)
        options = RecorderOptions(
            out=self._out,
            currency=currency_code("RLUSD"),
            issuer=self.issuer,
            accounts={NAME: self.account},
            check_every=0,
            part_bytes=None,
            seconds=None,
        )
        self._recorder = Recorder(gateway, options, clock)
        self._thread = threading.Thread(target=self._recorder.run, args=(self._over.is_set,), daemon=True)
        self._thread.start()

    def _fund(self) -> str:
        wire = self.wire
        issuer = str(wire.ask("faucet", destination=self.account, xrp=XRP_START)["issuer"])
        wire.ask("ledger_accept")
        limit = {"currency": currency_code("RLUSD"), "issuer": issuer, "value": "1000000"}
        self.send(TransactionType="TrustSet", Flags=NO_RIPPLE, LimitAmount=limit)
        wire.ask("ledger_accept")
        wire.ask("faucet", destination=self.account, xrp="0", tokens=TOKENS_START)
        wire.ask("ledger_accept")
        return issuer

    def send(self, **fields: Any) -> None:
        """Sign and submit a transaction of the account's."""
        self.wire.ask("submit", secret=self.secret, tx_json={"Account": self.account, **fields})

    def close_ledger(self) -> None:
        """Wait until the recorder has the last ledger, then close the next."""
        end = time.monotonic() + TIME_LIMIT_SECONDS
        while self.closed > self.start and self._recorder.summary.last_ledger != self.closed:
            if time.monotonic() > end or not self._thread.is_alive():
                raise SystemExit(f"{self._out}: the recorder stays at {self._recorder.summary}")
            time.sleep(POLL_SECONDS)
        with self._asking:
            self.wire.ask("ledger_accept")
            self.closed += 1

    def finish(self) -> Market:
        """End the recording and return it."""
        self.close_ledger()
        self._over.set()
        self._thread.join(TIME_LIMIT_SECONDS)
        self.wire.close()
        market = read_market(self._out)
        if market.start.ledger_index != self.start or self._recorder.summary.gaps:
            raise SystemExit(f"{self._out}: begins at {market.start.ledger_index}, not at {self.start}")
        return market


def configuration(choice: Choice, run: Run, mode: str) -> Path:
    """Write the configuration of the live or the paper session: the same but for where it trades."""
    document = yaml.safe_load(LIVE_CONFIG.read_text(encoding="utf-8"))
    huge, size = 1_000_000.0, float(choice.size)
    document["pair"]["quote_issuer"] = run.issuer
    document["strategy"] |= {"warmup_ticks": 3}
    document["order_size"] = {"base_size_rlusd": size, "min_notional_rlusd": min(2.0, size / 5)}
    limits = {
        "max_xrp_exposure": huge,
        "max_rlusd_exposure": huge,
        "max_loss_rlusd": huge,
        "max_daily_loss_rlusd": huge,
    }
    document["risk"] |= {**limits, "max_drawdown_pct": 90.0, "max_order_rlusd": max(50.0, 2 * size)}
    document["paper"]["start_from"] = "recording"
    document["log"]["level"] = "WARNING"
    document["mode"] = mode
    if mode == "live":
        key = choice.folder / "key"
        key.write_text(run.secret + "\n", encoding="utf-8")
        key.chmod(0o600)
        place = {"account": run.account, "key_source": f"file:{key}", "endpoints": [run.url]}
        document["live"] |= {**place, "network_id": 0, "tickets": 0}  # tickets would only hold reserves
    else:
        del document["live"]
    path = choice.folder / f"{mode}.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def traded_live(choice: Choice, run: Run) -> Played:
    """Run the live engine on the server; each tick closes the next ledger."""
    played = Played()
    begun = threading.Event()
    path = configuration(choice, run, "live")
    db = choice.folder / "live.db"

    def on_tick(view: TickView) -> None:
        begun.set()
        played.watch(view)
        if view.kind == "ledger":
            run.close_ledger()

    def first_ledger() -> None:
        """Close the first ledger once the session's row says that it has begun."""
        while not (db.exists() and _has_session(db)):
            time.sleep(POLL_SECONDS)
        run.close_ledger()

    threading.Thread(target=first_ledger, daemon=True).start()
    options = LiveOptions(
        config=load_config(path),
        db=db,
        consent=run.account,
        endpoints=(),
        seed=choice.seed,
        duration_seconds=choice.ledgers * LEDGER_SECONDS,
        on_tick=on_tick,
    )
    played.result = run_live(options, SystemClock()).session
    played.commands = _as_numbered(played.commands, db)
    return played


def _as_numbered(commands: Mapping[int, tuple[Command, ...]], db: Path) -> dict[int, tuple[Command, ...]]:
    """Return the commands that were sent, in the order of their sequences: live does not keep the tick's."""
    with closing(queries.open_readonly(db)) as connection:
        rows = connection.execute(
            "SELECT o.order_no, s.kind, s.account_sequence "
            "FROM v_submissions s JOIN orders o ON o.id = s.order_id ORDER BY s.id"
        ).fetchall()
    numbers = {(row[0], row[1] == "cancel"): row[2] for row in rows}
    numbered: dict[int, tuple[Command, ...]] = {}
    for ledger, sent in commands.items():
        known = [one for one in sent if (one.order_id, isinstance(one, CancelOrder)) in numbers]
        numbered[ledger] = tuple(
            sorted(known, key=lambda one: numbers[one.order_id, isinstance(one, CancelOrder)])
        )
    return numbered


def _has_session(db: Path) -> bool:
    try:
        with closing(queries.open_readonly(db)) as connection:
            return bool(connection.execute("SELECT count(*) FROM sessions").fetchone()[0])
    except (OperationalError, StateError):  # the database is being made
        return False


def traded_on_paper(choice: Choice, recording: Path, config: Path, seed: int) -> Played:
    """Run the paper session on a recording."""
    played = Played()
    name = f"paper-{recording.name.partition('.')[0]}-{seed}.db"
    options = SessionOptions(
        config=load_config(config),
        db=choice.folder / name,
        mode="paper",
        feed=RECORDED,
        recording=recording,
        speed=SPEED_MAX,
        seed=seed,
        duration_seconds=choice.ledgers * LEDGER_SECONDS,
        on_tick=played.watch,
    )
    played.result = run_session(options, SystemClock())
    return played


def without_us(market: Market, account: str) -> Market:
    """Return the market with our transactions taken out, and our offers out of everybody's changes."""
    updates = []
    for update in market.updates:
        kept = []
        for tx in update.transactions:
            changes = tuple(change for change in tx.changes if not _is_ours(change, account))
            if tx.account != account:
                kept.append(replace(tx, changes=changes))
        updates.append(replace(update, transactions=tuple(kept)))
    return Market(start=market.start, updates=tuple(updates))


def _is_ours(change: LedgerChange, account: str) -> bool:
    if isinstance(change, OfferChange):
        return change.owner == account
    if isinstance(change, LineChange):
        return change.holder == account
    return isinstance(change, AccountChange) and change.account == account


def real_places(market: Market, account: str) -> dict[int, int]:
    """Return behind how many of the others' transactions ours stood, by ledger."""
    return {
        update.ledger_index: len([*takewhile(lambda tx: tx.account != account, update.transactions)])
        for update in market.updates
    }


def echoed(market: Market, commands: Mapping[int, tuple[Command, ...]], place: PlaceRule) -> list[Fill]:
    """Return the fills of given commands, sent after the same ledgers, in the paper exchange."""
    book, address = BookTracker(market.start.state), market.start.accounts[NAME]
    root, line = book.account(address), book.line(address)
    if root is None or line is None:
        raise SystemExit(f"{market.start.source}: {address} is not in the header")
    exchange = PaperExchange(
        book=book,
        account=PaperAccount(
            address=address,
            balance_drops=root.balance_drops,
            quote_balance=line.balance,
            owner_count=root.owner_count,
            sequence=root.sequence,
        ),
        seed=0,
        arrival_delay_ledgers=1,
        last_ledger_offset=4,
        depth_levels=1,
        place=place,
    )
    fills: list[Fill] = []
    sequences: dict[int, int] = {}
    for update in market.updates:
        fills.extend(exchange.advance(update).fills)
        for command in commands.get(update.ledger_index, ()):
            here = _renumbered(command, sequences)
            sent = exchange.prepare([here], update.ledger_index)
            if isinstance(here, PlaceOrder):
                sequences[here.order_id] = sent[0].account_sequence
            exchange.submit(sent)
    return fills


def _renumbered(command: Command, sequences: Mapping[int, int]) -> Command:
    """Return the command with the sequence that the order it takes away has here."""
    if isinstance(command, CancelOrder):
        return replace(command, offer_sequence=sequences[command.order_id])
    if command.replaces is None:
        return command
    return replace(command, replaces_sequence=sequences[command.replaces])


class Three(msgspec.Struct, frozen=True, kw_only=True):
    """The three markets and the live session in the first."""

    account: str
    live: Played
    with_us: Market
    without: Market
    bystander: Market
    config: Path


def three_markets(choice: Choice) -> Three:
    """Run the three servers one after the other."""
    with served(choice) as url:
        run = Run(url, choice, "live")
        live = traded_live(choice, run)
        config = configuration(choice, run, "paper")
        with_us = run.finish()
    markets = []
    for name in ("without", "bystander"):
        with served(choice) as url:
            run = Run(url, choice, name)
            while run.closed < run.start + choice.ledgers + SPARE_LEDGERS:
                if name == "bystander" and run.closed in live.commands:
                    run.send(TransactionType="AccountSet")
                run.close_ledger()
            markets.append(run.finish())
    return Three(
        account=run.account,
        live=live,
        with_us=with_us,
        without=markets[0],
        bystander=markets[1],
        config=config,
    )
