"""The world of a rehearsed session: a model network, its server and an account of ours on it, in one thread.

    world = Rehearsal.open(document, "config/live_testnet.yaml", RehearsalTerms(market="calm", seed=1))
    result = world.session(Path("neo.db"), ledgers=60)

The engine in it is the live one, from the gateway's ledgers to the database; signatures are real. Nothing
waits: a simulated clock closes a ledger every LEDGER_SECONDS, and the same market, seed, configuration
and deeds give the same ledgers and the same session, bit for bit.

1. The network outlives a session: another one may follow on the same database or another, also after a
   `Crash` (see `points`).
2. Ledgers are numbered from the one that is open when the world is ready: that is ledger 1. Ticks and rows
   have the network's own index, `first_ledger` + number - 1.
3. `stranger` is a rich account without a key, for whatever others are to do.
4. What others do to the network is a deed on the clock; nothing of it runs while the engine computes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace
from xrpl.constants import CryptoAlgorithm
from xrpl.core import addresscodec

from neo_engine.bootstrap import silence_timer
from neo_engine.config import Config, checked_config
from neo_engine.domain.errors import InvariantViolation, StateError
from neo_engine.domain.halt import HaltReason
from neo_engine.domain.number import plain
from neo_engine.feed.reference import open_reference
from neo_engine.live_left import left_behind
from neo_engine.live_session import (
    AT_ONCE,
    FEED,
    LIVE,
    LiveOptions,
    LiveResult,
    SealedKey,
    World,
    as_it_is,
    run_journaled,
)
from neo_engine.ops.clock import Countdown
from neo_engine.ops.control import FileControl
from neo_engine.ops.latch import check_latch
from neo_engine.ops.secrets import Secret
from neo_engine.ports import Exchange
from neo_engine.rehearsal.gateway import DirectGateway
from neo_engine.rehearsal.party import Party
from neo_engine.rehearsal.points import Point, WatchedSource, WatchedStore, pass_by
from neo_engine.session import TickView, failed_start_stored
from neo_engine.simulator.agents.market import Market, open_market
from neo_engine.simulator.agents.settings import DEFAULT_MARKET
from neo_engine.simulator.clock import SimulatedClock
from neo_engine.simulator.model import keys
from neo_engine.simulator.server import signing
from neo_engine.simulator.server.direct import DirectServer
from neo_engine.simulator.server.fault_schedule import Fault, Schedule
from neo_engine.simulator.server.faults import Faults, FaultyNetwork
from neo_engine.simulator.server.genesis import RLUSD
from neo_engine.state.options import options_of
from neo_engine.xrpl.gateway import GatewayOptions
from neo_engine.xrpl.signer import Signer

LEDGER_SECONDS = 4
ENDPOINT = "ws://127.0.0.1:6006"  # a name: nothing is connected
LIMIT = "1000000000"  # of our trust line
NO_RIPPLE = 0x0002_0000  # TrustSet, tfSetNoRipple
SUCCESS = "tesSUCCESS"
SEED_BYTES = 16
STRANGER_XRP = Decimal(5_000_000)  # of him who does what a scenario asks for: enough for any market
STRANGER_TOKENS = Decimal(20_000_000)


class RehearsalTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What makes a world. xrp, tokens: what our account holds when it is ready (fees less some drops).

    seed: of market, key and every fault. escalation: fees rise when many transactions come. unlimited:
    requests are never charged. faults: as of a schedule file, `at_ledger` counted from the world's ledger 1.
    """

    market: str = DEFAULT_MARKET
    seed: int = 1
    xrp: Decimal = Decimal(100)
    tokens: Decimal = Decimal(220)
    escalation: bool = False
    unlimited: bool = True
    faults: tuple[Fault, ...] = ()


class QuietSignals:
    """The signals of a system that sends one when it is told to."""

    def __init__(self) -> None:
        self.reason: HaltReason | None = None
        self.name = ""
        self.hurry = False

    def send(self, reason: HaltReason, name: str) -> None:
        """Let a signal come; the second one hurries."""
        self.hurry = self.reason is not None
        if self.reason is None:
            self.reason, self.name = reason, name


class Rehearsal:
    """See the module. config: the session's, complete. first_ledger: the index of the world's ledger 1."""

    def __init__(self, document: Mapping[str, Any], source: str, terms: RehearsalTerms) -> None:
        self.terms = terms
        # The model's own hash names an agent's transaction as well, and costs a fraction of the wire's.
        self.market: Market = open_market(terms.market, terms.seed)
        self.clock = SimulatedClock(self.market.chain.header.close_time)
        self.faults = Faults(seed=terms.seed, clock=self.clock.monotonic)
        self.network = FaultyNetwork(
            self.market.chain,
            seconds_per_ledger=LEDGER_SECONDS,
            escalation=terms.escalation,
            market=self.market,
            faults=self.faults,
        )
        self._secret = Secret(seed_of(terms.seed))
        self.account = signing.address_of(self._secret.reveal())
        self._key = SealedKey(Signer(self._secret, account=self.account, regular_key=False))
        self.config = self._config(document, source)
        self.stranger = Party(self.network, signing.address_of(seed_of(terms.seed, "stranger")))
        self._fund()
        self.server = DirectServer(self.network, self.clock, unlimited=terms.unlimited)
        self.first_ledger = self.network.open_ledger.index
        self.faults.schedule = Schedule(map(self._placed, terms.faults), terms.seed)
        self.signals = QuietSignals()
        self._opening: defaultdict[int, list[Callable[[], None]]] = defaultdict(list)
        self.faults.opened(self.network)
        self.clock.after(LEDGER_SECONDS, self._close)

    @classmethod
    def open(cls, document: Mapping[str, Any], source: str, terms: RehearsalTerms) -> Rehearsal:
        """Make a world. document: a configuration for live trading, as read from `source`.

        Its account, issuer, network and endpoints become those of the world. Raises ConfigError for a bad
        configuration, UsageError for a market that there is not.
        """
        return cls(document, source, terms)

    @property
    def ledger(self) -> int:
        """The number of the ledger that is open."""
        return self.network.open_ledger.index - self.first_ledger + 1

    def index_of(self, ledger: int) -> int:
        """Return the network's index of a ledger of the world."""
        return self.first_ledger + ledger - 1

    def at_ledger(self, ledger: int, deed: Callable[[], None], *, seconds: float = 0.0) -> None:
        """Have something done when a ledger opens, or so many seconds later."""

        def later() -> None:
            self.clock.after(seconds, deed)

        wanted = later if seconds else deed
        if ledger <= self.ledger:
            self.clock.after(0.0, wanted)
        else:
            self._opening[ledger].append(wanted)

    def session(
        self,
        db: Path,
        *,
        ledgers: int | None = None,
        on_tick: Callable[[TickView], None] = lambda _view: None,
        point: Point = pass_by,
        between: Callable[[Exchange], Exchange] = as_it_is,
        adopt_offers: bool = False,
        on_store: Callable[[WatchedStore], None] = lambda _store: None,
        journal: Path | None = None,
    ) -> LiveResult:
        """Run one session on the world as it is now; ledgers: its duration, None for no end, 0: only cancel.

        on_store: gets the session's database when it is open. journal: where to write one. Raises what
        `live_session.run_live` raises, and whatever `point` does.
        """
        config, clock = self.config, self.clock
        duration = None if ledgers is None else ledgers * LEDGER_SECONDS
        options = LiveOptions(
            config=config,
            db=db,
            consent=self.account,
            endpoints=(),
            seed=self.terms.seed,
            duration_seconds=duration,
            on_tick=on_tick,
            adopt_offers=adopt_offers,
            journal=journal,
        )
        self.signals = QuietSignals()
        store = WatchedStore.open(
            db, options_of(config, group_commit_ticks=1, account_lock=None), now=clock.utc_now
        )
        if not isinstance(store, WatchedStore):
            raise InvariantViolation("rehearsal: the database is not watched")
        store.point = point
        try:
            on_store(store)
            with failed_start_stored(store, clock, mode=LIVE, feed=FEED, seed=self.terms.seed, config=config):
                if duration != AT_ONCE:
                    check_latch(store.state(), clock.utc_now(), db)
                behind = left_behind(store, self.account)
                return run_journaled(options, self._world(db, point, between), behind, clock, store)
        finally:
            self._closed(store)

    def _closed(self, store: WatchedStore) -> None:
        try:
            store.close()
        except StateError as error:
            raise InvariantViolation(f"rehearsal: the database cannot be closed: {error}") from error

    def _world(self, db: Path, point: Point, between: Callable[[Exchange], Exchange]) -> World:
        config, clock = self.config, self.clock
        gateway = DirectGateway(
            GatewayOptions(
                endpoints=(ENDPOINT,), stale_seconds=config.risk.stale_pull_seconds, seed=self.terms.seed
            ),
            self.server,
            clock,
        )
        return World(
            source=WatchedSource(gateway, point),
            signer=self._key,
            address=self.account,
            names=(f"rehearsal of {self.terms.market}, seed {self.terms.seed}",),
            control=FileControl(db, clock, takes_capital=False),
            signals=self.signals,
            mode=LIVE,
            timer=lambda start: silence_timer(config, clock, start),
            reference=open_reference(config.reference),
            patience=Countdown(clock, config.state.outage_halt_seconds),
            ending=Countdown(clock, config.engine.shutdown_seconds),
            between=between,
        )

    # -- making it ----------------------------------------------------------------------------------

    def _config(self, document: Mapping[str, Any], source: str) -> Config:
        raw = {
            name: dict(section) if isinstance(section, dict) else section
            for name, section in document.items()
        }
        for section, values in (
            ("pair", {"quote_issuer": self.market.accounts["issuer"]}),
            ("live", {"account": self.account, "network_id": 0, "endpoints": [ENDPOINT]}),
            # One thread: the database is written back when it is closed.
            ("engine", {"wal_checkpoint_interval_seconds": 0}),
        ):
            if isinstance(raw.get(section), dict):
                raw[section] |= values
        return checked_config(raw, source)

    def _fund(self) -> None:
        """Give our account and the stranger XRP, a trust line and tokens, as anybody would get them."""
        terms, network = self.terms, self.network
        shares = (
            (self.account, terms.xrp, terms.tokens),
            (self.stranger.address, STRANGER_XRP, STRANGER_TOKENS),
        )
        self._paid([{"destination": who, "xrp": plain(xrp)} for who, xrp, _ in shares])
        limit = {"currency": RLUSD, "issuer": network.issuer, "value": LIMIT}
        told = self.send({"TransactionType": "TrustSet", "Flags": NO_RIPPLE, "LimitAmount": limit})
        self._taken("our trust line", told["engine_result"])
        self._taken("the stranger's trust line", self.stranger.send("TrustSet", LimitAmount=limit))
        self._next_ledger()
        self._paid([{"destination": who, "xrp": "0", "tokens": plain(some)} for who, _, some in shares])

    def _paid(self, wanted: Iterable[Mapping[str, Any]]) -> None:
        for one in wanted:
            for payment in self.network.faucet(dict(one))["payments"]:
                self._taken(f"money for {one['destination']}", payment["engine_result"])
        self._next_ledger()

    def _next_ledger(self) -> None:
        self.network.close()
        self.clock.sleep(LEDGER_SECONDS)

    def _taken(self, what: str, result: str) -> None:
        if result != SUCCESS:
            raise InvariantViolation(f"rehearsal: {what}: the network answers {result}")

    def send(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Sign and submit a transaction with our key past any engine, as a second program would.

        Return the answer. Raises RpcError or BadTransaction for one that no server takes.
        """
        sequence, _ = self.network.open_ledger.account(self.account)
        tx_json = {"Account": self.account, "Fee": "10", "Sequence": sequence, **fields}
        signed = signing.sign(tx_json, self._secret.reveal())
        return self.network.submit(signed, signing.encode(signed), fail_hard=False)

    def _placed(self, fault: Fault) -> Fault:
        """Return a fault with the network's own index of its ledger."""
        if fault.at_ledger is None:
            return fault
        return replace(fault, at_ledger=self.index_of(fault.at_ledger))

    def _close(self) -> None:
        """Close a ledger, unless the schedule stalls it, and do what is due in the next."""
        self.clock.after(LEDGER_SECONDS, self._close)
        before = self.ledger
        self.network.close()
        if self.ledger > before:
            for deed in self._opening.pop(self.ledger, ()):
                deed()


def seed_of(number: int, who: str = "us") -> str:
    """Return the seed of a key in the worlds with this number: known to everybody, worth nothing."""
    half = keys.half(f"rehearsal key {number} {who}".encode())
    return str(addresscodec.encode_seed(half[:SEED_BYTES], CryptoAlgorithm.SECP256K1))
