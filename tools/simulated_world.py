"""A rehearsed world in which a drawn trial happens: what it does to engine, disk, clock and network.

Between engine and exchange stands a guard that knows what may never be sent, whatever the engine thinks:

1. Once the session is stopping nothing is placed.
2. Nothing is placed while the kill file lies there that lay there before the tick began.
3. Nothing is placed in a tick without a ledger, or whose market came bent or with faults, or is older than
   `risk.stale_data_seconds` while the network had newer ledgers.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from neo_engine.config import read_yaml
from neo_engine.domain.capital import CapitalEvent, CapitalKind
from neo_engine.domain.errors import NeoError, StateError
from neo_engine.domain.ledger import LedgerUpdate
from neo_engine.domain.orders import (
    CancelOrder,
    Command,
    PreparedTransaction,
    TransactionKind,
)
from neo_engine.domain.pause import Pause
from neo_engine.domain.severity import Severity
from neo_engine.ops.control import (
    POLL_SECONDS,
    kill_path,
    remove_pause,
    request_capital,
    request_kill,
    request_pause,
)
from neo_engine.ports import Exchange, VenueReport
from neo_engine.rehearsal.between import Between
from neo_engine.rehearsal.points import ENDING, INTENT_BEFORE, OUTCOME_BEFORE, Crash, WatchedStore
from neo_engine.rehearsal.world import LEDGER_SECONDS, Rehearsal, RehearsalTerms
from neo_engine.scenario.events import BENDS
from neo_engine.session import TickView
from tools.simulated_draw import Injection, Trial

ROOT = Path(__file__).resolve().parent.parent
BASE = "config/live_testnet.yaml"
OLD_SLACK_SECONDS = 2 * LEDGER_SECONDS + 10  # close times are rounded to ten seconds
#: Gates that speak of something wrong; the others say what the strategy thinks of a sound market.
TELLING_GATES = frozenset(
    {
        *("Risk", "Cascade", "NoDataReceived", "StaleData", "CrossedBook", "Gap", "BadNumber"),
        *("MalformedMessage", "UnhealthyNode", "EmptySide", "Frozen", "Behind", "Manual", "AnchorDivergence"),
        *("QuotaExhausted", "QuotaCritical", "Fee", "Capital", "CapitalShrunk", "Backoff", "MaxExposure"),
    }
)


class Sign(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the engine said about its troubles. seconds: of the clock."""

    seconds: float
    what: str


class Done(msgspec.Struct, kw_only=True):
    """An injection that happened. until: seconds of the clock when it was over, as far as is known."""

    kind: str
    at: float
    until: float
    text: str


class Guard(Between):
    """An exchange between the engine and its own, which knows what may never be sent."""

    def __init__(self, exchange: Exchange, happenings: Happenings) -> None:
        super().__init__(exchange)
        self._h = happenings
        self._why_not = "no ledger came in this tick"
        self._killed = False

    def advance(self, update: LedgerUpdate) -> VenueReport:
        """Report the ledger, bent if that is asked for, and note whether it may be quoted on."""
        h, world = self._h, self._h.world
        report = super().advance(update)
        h.snapshot_seen = True
        how = h.bent(update.ledger_index)
        behind = (world.network.history.last - update.ledger_index) * LEDGER_SECONDS
        if how:
            report = replace(report, snapshot=BENDS[how](report.snapshot))
            # A book without asks cannot be crossed: then there is nothing to notice.
            self._why_not = f"the market came {how}" if report.snapshot.bids else ""
        elif report.faults:
            self._why_not = f"the ledger came with {report.faults[0].kind.value}"
        elif behind > world.config.risk.stale_data_seconds + OLD_SLACK_SECONDS:
            self._why_not = f"the ledger is {behind} s behind the network"
        else:
            self._why_not = ""
        return report

    def prepare(
        self, commands: Sequence[Command], ledger_index: int, *, urgent: bool = False
    ) -> tuple[PreparedTransaction, ...]:
        """Prepare as the exchange does, and judge what comes of it."""
        made = super().prepare(commands, ledger_index, urgent=urgent)
        placed = [one for one in made if one.kind in (TransactionKind.CREATE, TransactionKind.REPLACE)]
        more = [one for one in commands if not isinstance(one, CancelOrder)]
        why = "the session is stopping" if urgent else self._h.killed_before_tick() or self._why_not
        if (placed or more) and why:
            self._h.failures.append(f"placed against the rules: {len(placed)} orders although {why}")
        self._why_not = "no ledger came in this tick"
        return made


class Happenings:
    """A trial's world, and everything that happens in it. say: told each step, for a replay."""

    def __init__(self, trial: Trial, db: Path, say: Callable[[str], None]) -> None:
        self.trial = trial
        self.db = db
        self.say = say
        self.world = _world(trial)
        self.failures: list[str] = []
        self.signs: list[Sign] = []
        self.done: list[Done] = []
        self.quoted: list[float] = []  # seconds of ticks after which orders of ours work
        self.snapshot_seen = False
        self.away_ledgers = 0
        self._store: WatchedStore | None = None
        self._full = False
        self._lock: sqlite3.Connection | None = None
        self._failing = 0  # commits that will fail at the store's door
        self._crash_at: str | None = None
        self._asleep = 0.0
        self._killed_at: float | None = None
        self._tick_began = 0.0
        self._bends: list[tuple[int, int, str]] = []
        self._faults_seen = 0
        for one in trial.injections:
            self.world.at_ledger(one.ledger, partial(self._happen, one), seconds=one.seconds)

    @property
    def disk_failed(self) -> bool:
        """True once the disk has refused something, or may have."""
        return any(one.kind.startswith("disk_") for one in self.done)

    # -- what happens -------------------------------------------------------------------------------

    def _happen(self, one: Injection) -> None:
        now = self.world.clock.monotonic()
        try:
            text = self._do(one)
        except NeoError as error:
            self.say(f"      !! {one.kind}: not done: {error}")
            return
        self.say(f"      !! {one.kind} {one.parameters} {one.lasts or ''} {text}".rstrip())
        self.done.append(Done(kind=one.kind, at=now, until=now + one.length * LEDGER_SECONDS, text=text))

    def _do(self, one: Injection) -> str:
        deed = getattr(self, f"_do_{one.kind}", None)
        if deed is not None:
            return str(deed(one.parameters))
        parameters = dict(one.parameters)
        if one.kind in ("freeze", "unfreeze", "clawback", "deposit"):
            parameters["account"] = self.world.account
        wanted: dict[str, Any] = {"name": one.kind, "parameters": parameters}
        if one.lasts is not None:
            wanted["for"] = one.lasts
        self.world.faults.command(self.world.network, wanted)
        return ""

    def _later(self, ledgers: int, deed: Callable[[], None]) -> None:
        self.world.at_ledger(self.world.ledger + ledgers, deed)

    def _do_disk_full(self, parameters: dict[str, Any]) -> str:
        self._full = True
        if self._store is not None:
            self._store.fill_up()
        self._later(parameters["ledgers"], self._make_space)
        return ""

    def _make_space(self) -> None:
        self._full = False
        if self._store is not None:
            self._store.make_space()

    def _do_disk_locked(self, parameters: dict[str, Any]) -> str:
        if not self.db.exists() or self._lock is not None:
            return "nothing to lock"
        other = sqlite3.connect(self.db, timeout=0, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            other.close()
            raise StateError(f"disk_locked: {error}") from error
        self._lock = other
        self.world.clock.after(parameters["seconds"], self._unlock)
        return ""

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _do_disk_io(self, parameters: dict[str, Any]) -> str:
        self._failing = parameters["commits"]
        return ""

    def _do_crash(self, parameters: dict[str, Any]) -> str:
        self._crash_at, self.away_ledgers = parameters["point"], parameters["away_ledgers"]
        return ""

    def _do_kill(self, _parameters: dict[str, Any]) -> str:
        request_kill(self.db, "the trial pulls the kill switch")
        self._killed_at = self.world.clock.monotonic()
        return ""

    def _do_pause(self, parameters: dict[str, Any]) -> str:
        at = self.world.clock.utc_now().isoformat()
        request_pause(self.db, Pause(side=parameters["side"], by="trial", at=at, reason="a look"))
        self._later(parameters["ledgers"], lambda: remove_pause(self.db))
        return ""

    def _do_capital(self, _parameters: dict[str, Any]) -> str:
        event = CapitalEvent(
            request_id=f"trial-{len(self.done)}",
            kind=CapitalKind.DEPOSIT,
            base_drops=5_000_000,
            quote=Decimal(0),
            note="a trial",
            created_at=self.world.clock.utc_now().isoformat(timespec="seconds"),
        )
        request_capital(self.db, event)
        return ""

    def _do_suspend(self, parameters: dict[str, Any]) -> str:
        self._asleep = float(parameters["seconds"])
        return ""

    def _do_clock_step(self, parameters: dict[str, Any]) -> str:
        self.world.clock.set_wall(parameters["seconds"])
        return ""

    def _do_bend(self, parameters: dict[str, Any]) -> str:
        first = self.world.network.open_ledger.index
        self._bends.append((first, first + parameters["ledgers"] - 1, parameters["how"]))
        return ""

    def clear(self) -> None:
        """End everything that goes wrong, as at the end of a trial."""
        self.world.faults.command(self.world.network, {"name": "clear"})
        self._full, self._failing, self._crash_at, self._asleep = False, 0, None, 0.0
        self._bends.clear()
        self._unlock()
        remove_pause(self.db)
        kill_path(self.db).unlink(missing_ok=True)

    def close(self) -> None:
        """Release what is held."""
        self._unlock()

    # -- what the engine meets ----------------------------------------------------------------------

    def opened(self, store: WatchedStore) -> None:
        """Take the session's database."""
        self._store = store
        self._faults_seen = 0
        if self._full:
            store.fill_up()

    def ended(self) -> None:
        """The session is over, and its database closed."""
        self._store = None

    def point(self, name: str) -> None:
        """Die or fail here if that is due. Raises Crash or StateError."""
        if name == self._crash_at:
            self._crash_at = None
            raise Crash(name)
        if self._failing and name in (INTENT_BEFORE, OUTCOME_BEFORE, ENDING):
            self._failing -= 1
            raise StateError(f"{self.db.name}: committing failed with SQLITE_IOERR_WRITE (drawn)")

    def between(self, exchange: Exchange) -> Exchange:
        """Return what the engine gets in place of its exchange."""
        return Guard(exchange, self)

    def bent(self, ledger_index: int) -> str:
        """Return how the market after a ledger is bent, "" for not at all."""
        return next((how for first, last, how in self._bends if first <= ledger_index <= last), "")

    def killed_before_tick(self) -> str:
        """Return words if the kill file lay there when the last tick ended, and still does."""
        if self._killed_at is None or not kill_path(self.db).exists():
            return ""
        early = self._killed_at + POLL_SECONDS < self._tick_began
        return "the kill file lay there before the tick" if early else ""

    def tick(self, view: TickView) -> None:
        """Note what a tick says; sleep as long as the machine is suspended."""
        clock, decision = self.world.clock, view.decision
        gates = [gate.name for gate in decision.gates]
        told = [name for name in gates if name in TELLING_GATES]
        told += [
            f"{one.monitor} {one.severity.name}"
            for one in decision.readings
            if one.severity is not Severity.NORMAL
        ]
        told += [] if view.kind == "ledger" else [view.kind]
        told += [f"reconciler {one.name}" for one in decision.findings]
        if view.faults_total > self._faults_seen:
            told.append("feed fault")
            self._faults_seen = view.faults_total
        self.signs += [Sign(seconds=clock.monotonic(), what=what) for what in told]
        if decision.state.orders.working and decision.state.stopping is None:
            self.quoted.append(clock.monotonic())
        mid = None if view.report is None else view.report.snapshot.mid
        self.say(
            f"{clock.monotonic():8.2f} ledger {view.ledger_index} {view.kind:8} mid {mid} "
            f"{decision.quoting:5} commands {len(decision.commands)} working "
            f"{len(decision.state.orders.working)} fills {view.fills_total} "
            f"{' '.join(dict.fromkeys(gates))}{' STOPPING' if decision.state.stopping else ''}"
        )
        if self._asleep:
            seconds, self._asleep = self._asleep, 0.0
            clock.sleep(seconds)
        self._tick_began = clock.monotonic()


class Listener(logging.Handler):
    """Keeps what the engine logs as a warning or worse, with the world's time."""

    def __init__(self, happenings: Happenings) -> None:
        super().__init__(logging.WARNING)
        self._h = happenings
        self.tracebacks: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record."""
        text = record.getMessage()
        if record.name.startswith("neo_engine.simulator"):
            return
        self._h.signs.append(Sign(seconds=self._h.world.clock.monotonic(), what=f"log: {text[:60]}"))
        self._h.say(f"      {record.levelname} {text[:200]}")
        if record.exc_info or "Traceback" in text:
            self.tracebacks.append(text[-400:])


def _world(trial: Trial) -> Rehearsal:
    document = read_yaml((ROOT / BASE).read_text(encoding="utf-8"), BASE)
    changed: dict[str, dict[str, Any]] = {
        "strategy": {"warmup_ticks": 3, "price_tolerance_bps": Decimal(trial.tolerance)},
        "live": {"account_check_ledgers": 8},
        # A lock is waited for in real time, which is none here; a backup a session would cost most of it.
        # An outage of the database ends the session at once for every second seed, the others wait.
        "state": {"busy_timeout_ms": 1, "backups_kept": 0, "outage_halt_seconds": 600 * (trial.seed % 2)},
    }
    for section, values in changed.items():
        document[section] |= values
    terms = RehearsalTerms(
        market=trial.market,
        seed=trial.seed,
        xrp=Decimal(trial.xrp),
        tokens=Decimal(trial.tokens),
        escalation=trial.escalation,
        unlimited=not trial.charged,
    )
    return Rehearsal.open(document, BASE, terms)
