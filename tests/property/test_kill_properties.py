"""The kill switch over any sequence of sessions, losses, kills, resets, deaths and hours, on a real database.

1. While a latch is in force no live session starts; `flatten` does, and only cancels.
2. From the moment a session stops it creates and replaces nothing, whatever gates fire and whatever comes.
3. No gate denies a cancel: a tick that stops, and one that a monitor or the data close, takes back every
   offer that stands, and each of these cancels reaches the exchange.

What latches is said here by hand, from the ticks that are on disk: the operator's kill and the monitors of a
real loss or of a market that went wrong.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from msgspec.structs import replace

from neo_engine.config import Config
from neo_engine.domain.account_findings import AccountFinding, FindingKind
from neo_engine.domain.errors import StartupFailure
from neo_engine.domain.halt import HaltReason
from neo_engine.domain.headroom import Headroom
from neo_engine.domain.kill import from_json, in_force
from neo_engine.domain.link import Link
from neo_engine.domain.market import DataFault
from neo_engine.domain.orders import CancelOrder, OrderStatus, PlaceOrder
from neo_engine.domain.records import IntentRecord, OutcomeRecord, SessionEnd
from neo_engine.domain.reference import ReferencePrice
from neo_engine.main_loop import MainLoop
from neo_engine.ops.kill_switch import Refused, ResetOrder, ResetRecord, look, reset
from neo_engine.ops.latch import SessionLatch, check_latch
from neo_engine.ports import KillRequest
from neo_engine.state.manager import StateManager
from neo_engine.tick import Decision, EngineState, Observation, decide
from tests.unit.state_fixture import OPTIONS
from tests.unit.test_main_loop import desk, ledger, quick

D = Decimal
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(hours=24)
LATCHING_MONITORS = {
    *("loss", "daily_loss", "drawdown"),
    *("cascade", "price_velocity", "balance_jump", "depeg"),
}
#: Gates that want nothing of ours in the book, when they close both sides.
PULLING = {"Risk", "Cascade", "Stopping", *(fault.value for fault in DataFault)}
#: For how many ledgers a session lasts; orders of ours stand from the second on.
LEDGERS = 7


class Died(BaseException):
    """The process is gone: nothing of the engine may catch it."""


class WallClock:
    """A wall clock that is set by hand; waiting takes no time."""

    def __init__(self) -> None:
        self.now = NOON

    def utc_now(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, _seconds: float) -> None:
        """Return at once."""


# what can be wrong with a tick


def _market(seen: Observation, **changes: Any) -> Observation:
    if seen.report is None:
        return seen
    return replace(seen, report=replace(seen.report, snapshot=replace(seen.report.snapshot, **changes)))


def _told(seen: Observation, **changes: Any) -> Observation:
    return seen if seen.report is None else replace(seen, report=replace(seen.report, **changes))


def _finding(kind: FindingKind) -> AccountFinding:
    return AccountFinding(kind=kind, ledger_index=1, detail="by hand", quote=D(-1))


_SPENT = Headroom(requests=D(0), slots=D(0), fees=D(0))
TROUBLES: dict[str, Callable[[Observation], Observation]] = {
    "gap": lambda seen: _market(seen, faults=(DataFault.GAP,)),
    "frozen": lambda seen: _market(seen, faults=(DataFault.FROZEN,)),
    "crossed": lambda seen: _market(seen, best_bid=D("2.02")),
    "no bids": lambda seen: _market(seen, best_bid=None, mid=None),
    "no number": lambda seen: _market(seen, mid=D("NaN")),
    "dear": lambda seen: _market(seen, fee_base_drops=10**6),
    "spent": lambda seen: _told(seen, headroom=_SPENT),
    "sick": lambda seen: replace(seen, link=Link(attempts=0, unhealthy="stale")),
    "cut": lambda seen: replace(seen, link=Link(attempts=9, unhealthy="reconnecting")),
    "clawback": lambda seen: _told(seen, findings=(_finding(FindingKind.CLAWBACK),)),
    "freeze": lambda seen: _told(seen, findings=(_finding(FindingKind.FREEZE),)),
    "off the peg": lambda seen: replace(seen, reference=ReferencePrice(price=D("2.1"), at=seen.close_time)),
    "flash": lambda seen: _market(seen, best_bid=D("1.79"), best_ask=D("1.81"), mid=D("1.8")),
    "crash": lambda seen: _market(seen, best_bid=D("0.99"), best_ask=D("1.01"), mid=D(1)),
}
MODEL_CONFIG = quick()
CONFIG = MODEL_CONFIG.model_copy(
    update={"monitors": MODEL_CONFIG.monitors.model_copy(update={"depeg_seconds": 0})}
)


class Store:
    """A real store that dies after so many commits, and remembers what is on disk."""

    def __init__(self, real: StateManager, dies_after: int | None) -> None:
        self._real = real
        self._left = dies_after
        self.committed: list[IntentRecord] = []

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    def commit_intent(self, record: IntentRecord) -> None:
        self._live_on()
        self._real.commit_intent(record)
        self.committed.append(record)

    def commit_outcome(self, record: OutcomeRecord) -> None:
        self._live_on()
        self._real.commit_outcome(record)

    def end_session(self, end: SessionEnd) -> None:
        self._live_on()
        self._real.end_session(end)

    def _live_on(self) -> None:
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise Died


class Watch:
    """Decides as the engine does, with trouble in its ticks, and holds each decision to the rules."""

    def __init__(self, troubles: dict[int, str], *, flatten: bool) -> None:
        self._troubles = troubles
        self._flatten = flatten
        self.cancels: list[int] = []
        self.latching: dict[int, bool] = {}  # tick -> it tells of something that latches

    def __call__(self, state: EngineState, seen: Observation, config: Config, now: int) -> Decision:
        trouble = self._troubles.get(state.tick)
        if trouble is not None:
            seen = TROUBLES[trouble](seen)
        decision = decide(state, seen, config, now)
        places = [one for one in decision.commands if isinstance(one, PlaceOrder)]
        cancels = [one.order_id for one in decision.commands if isinstance(one, CancelOrder)]
        stopping = decision.state.stopping is not None
        assert not (places and (stopping or self._flatten)), "an order was made by a session that stops"
        closed = any(gate.side == "both" and gate.name in PULLING for gate in decision.gates)
        if (stopping or closed) and seen.kind != "end" and not seen.overtaken:
            assert not places
            standing = {OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED}
            there = {one.order_id for one in decision.state.orders.working if one.status in standing}
            assert there <= set(cancels), f"offers were left standing in trouble `{trouble}`"
        self.cancels += cancels
        asked = seen.stop is not None and seen.stop.reason is HaltReason.KILL_SWITCH
        killing = {one.monitor for one in decision.readings if one.severity.name == "KILL"}
        self.latching[decision.state.tick] = asked or bool(killing & LATCHING_MONITORS)
        return decision


#: Place of a tick in its session -> what is wrong with it.
troubles = st.dictionaries(st.integers(0, LEDGERS - 1), st.sampled_from(sorted(TROUBLES)), max_size=3)


class KillSwitchMachine(RuleBasedStateMachine):
    """One database, one wall clock, and the times at which something latched that is on disk."""

    @initialize()
    def begin(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.db = Path(self._folder.name) / "neo.db"
        self.clock = WallClock()
        self.latched_at: list[datetime] = []
        self.sessions = 0

    @property
    def held(self) -> bool:
        return any(self.clock.now - at < DAY for at in self.latched_at)

    @rule(
        hours=st.sampled_from((0, 0, 1, 22, 23, 24)),
        troubles=troubles,
        kill_at=st.none() | st.integers(1, LEDGERS),
        dies_after=st.none() | st.none() | st.integers(0, 12),
        flatten=st.sampled_from((False, False, False, False, True)),
    )
    def session(
        self,
        hours: int,
        troubles: dict[int, str],
        kill_at: int | None,
        dies_after: int | None,
        flatten: bool,
    ) -> None:
        self.clock.now += timedelta(hours=hours)
        with closing(StateManager.open(self.db, OPTIONS, now=self.clock.utc_now)) as real:
            if not flatten:  # as every live session asks before anything else
                try:
                    check_latch(real.state(), self.clock.utc_now(), self.db)
                except StartupFailure as refused:
                    assert self.held, "a start was refused without a latch"
                    assert "kill switch is in force" in str(refused)
                    return
                assert not self.held, "a live session started under a latch"
            self._run(real, Watch(troubles, flatten=flatten), kill_at, dies_after, flatten=flatten)

    def _run(
        self, real: StateManager, watch: Watch, kill_at: int | None, dies_after: int | None, *, flatten: bool
    ) -> None:
        ledgers = [ledger(number) for number in range(1, LEDGERS + 4)]
        d = desk(*ledgers, config=CONFIG, decided=watch, duration_seconds=0 if flatten else 4 * LEDGERS)
        if kill_at is not None:
            d.feed.before[kill_at] = lambda: d.control.asked.append(KillRequest(source="file", reason="now"))
        store = Store(real, dies_after)
        if not self.held:
            self.latched_at.clear()  # a session opens a latch that is too old
        d.session = replace(
            d.session,
            store=store,
            mode="live",
            clock=self.clock,
            latch=SessionLatch(real.state(), self.clock),
        )
        died = False
        try:
            MainLoop(d.session).run()
        except Died:
            died = True
        self.sessions += 1
        on_disk = {one.tick for one in store.committed}
        told = [tick for tick, latches in watch.latching.items() if latches]
        if any(tick in on_disk for tick in told) or (told and not died):
            self.latched_at.append(self.clock.now)
        sent = set(d.cancels())
        assert died or set(watch.cancels) <= sent, "a cancel did not reach the exchange"

    @precondition(lambda self: self.sessions > 0)
    @rule(read=st.booleans(), force=st.booleans())
    def operator_resets(self, read: bool, force: bool) -> None:
        self.clock.now += timedelta(seconds=1)  # a backup is named by its time
        number = look(self.db, self.clock.now).latch.number
        order = ResetOrder(reason="looked", by="ann", seen=number if read else number + 1, force=force)
        done = reset(self.db, order, self.clock.now)
        if isinstance(done, ResetRecord):
            assert read or force, "a reset by somebody who had not read the reasons"
            self.latched_at.clear()
        elif isinstance(done, Refused):
            assert not force
        else:
            assert not self.held, "there was a latch to open"

    def teardown(self) -> None:
        if not hasattr(self, "db"):
            return
        if self.sessions:
            with closing(StateManager.open(self.db, OPTIONS, now=self.clock.utc_now)) as real:
                stored = from_json(real.state().get("kill.latch", ""), self.clock.now)
                assert in_force(stored, self.clock.now) is self.held
        self._folder.cleanup()


TestKillSwitch = KillSwitchMachine.TestCase
TestKillSwitch.settings = settings(max_examples=35, stateful_step_count=8, deadline=None)


@pytest.mark.parametrize("cause", ["kill", "crash", "off the peg"])
def test_each_thing_that_latches_holds_for_a_day_and_no_longer(cause: str) -> None:
    machine = KillSwitchMachine()
    machine.begin()
    troubles = {} if cause == "kill" else {3: cause}
    machine.session(0, troubles, 4 if cause == "kill" else None, None, flatten=False)
    assert machine.held
    machine.session(23, {}, None, None, flatten=False)
    assert machine.sessions == 1  # it was refused
    machine.session(0, {}, None, None, flatten=True)
    machine.session(1, {}, None, None, flatten=False)
    assert (machine.sessions, machine.held) == (3, False)
    machine.teardown()
