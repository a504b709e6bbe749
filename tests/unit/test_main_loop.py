"""The shell with written fakes: what it stores, when it pulls, and how each session ends exactly once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from neo_engine.config import Config
from neo_engine.domain.book import LedgerState
from neo_engine.domain.capital import CapitalEvent, CapitalKind
from neo_engine.domain.errors import FeedError, InvariantViolation, StartupFailure, StateError
from neo_engine.domain.halt import Halt, HaltReason
from neo_engine.domain.ledger import (
    FeedEnd,
    FeedSilence,
    FeedStart,
    LedgerFault,
    LedgerFaultKind,
    LedgerUpdate,
)
from neo_engine.domain.link import CONNECTED
from neo_engine.domain.number import plain
from neo_engine.domain.orders import CancelOrder, Command, PreparedTransaction, SubmitOutcome, TransactionKind
from neo_engine.domain.records import IntentRecord, OutcomeRecord, SessionEnd, SessionStart
from neo_engine.execution.paper import PaperExchange
from neo_engine.execution.paper_account import PaperAccount
from neo_engine.main_loop import POLL_SECONDS, MainLoop
from neo_engine.ops.clock import SilenceTimer
from neo_engine.ops.signals import SignalFlags
from neo_engine.outage import STORE_RETRIES
from neo_engine.ports import ControlRequest, FeedItem, KillRequest
from neo_engine.session import Opening, Session, SessionResult, TickView
from neo_engine.tick import Decision, EngineState, Observation, decide
from tests.unit import core_values as core
from tests.unit import ledger_fixture as ledgers
from tests.unit.paper_fixture import XRP, D, ask, bid, market

START = 1_000  # close time of ledger 100, seconds since 2000-01-01
PATIENCE = 10_000  # calls of the feed after which a loop that does not end is a failed test


NO_STATE = LedgerState(
    pair=ledgers.PAIR,
    ledger_index=100,
    ledger_hash="",
    close_time=START,
    fee_base_drops=10,
    base_reserve_drops=ledgers.BASE_RESERVE,
    owner_reserve_drops=ledgers.OWNER_RESERVE,
    offers=(),
    accounts=(),
    account_index=(),
    lines=(),
    pool=None,
    chain=(),
    complete=True,
)


class Clock:
    """Time that passes only by sleeping and waiting."""

    def __init__(self) -> None:
        self.now = 0.0

    def utc_now(self) -> datetime:
        return datetime(2026, 11, 20, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Feed:
    """Gives what it was given, then nothing for ever; None in the list is a poll in which nothing came."""

    link = CONNECTED

    def __init__(self, clock: Clock, items: Sequence[FeedItem | None], live: bool) -> None:
        self._clock = clock
        self._items = list(items)
        self._live = live
        self.calls = self.resyncs = 0
        self.before: dict[int, Callable[[], None]] = {}  # call number -> what happens just before it

    def start(self) -> FeedStart:
        return FeedStart(
            pair=ledgers.PAIR,
            accounts={},
            watched=(),
            state=NO_STATE,
            ledger_index=100,
            close_time=START,
            build_version="",
            source="hand",
            live=self._live,
        )

    def next(self, timeout_seconds: float) -> FeedItem | None:
        self.calls += 1
        assert self.calls < PATIENCE, "the session does not end"
        if self.calls in self.before:
            self.before[self.calls]()
        item = self._items.pop(0) if self._items else None
        if item is None:
            self._clock.sleep(timeout_seconds)
        return item

    def request_resync(self) -> None:
        self.resyncs += 1

    def close(self) -> None:
        self._items.clear()


class Store:
    """Keeps what it is given. failing: how many commits of each kind fail first."""

    def __init__(self) -> None:
        self.intents: list[IntentRecord] = []
        self.outcomes: list[OutcomeRecord] = []
        self.starts: list[SessionStart] = []
        self.ends: list[SessionEnd] = []
        self.abandoned: list[SessionEnd] = []
        self.failing = {"begin": 0, "intent": 0, "outcome": 0, "end": 0}
        self.waiting: tuple[CapitalEvent, ...] = ()
        self.settled: frozenset[str] = frozenset()
        self.log: list[str] = []

    def _may_fail(self, what: str) -> None:
        if self.failing[what]:
            self.failing[what] -= 1
            raise StateError(f"{what}: the disk is full")
        self.log.append(what)

    def begin_session(self, start: SessionStart) -> int:
        self._may_fail("begin")
        self.starts.append(start)
        return 7

    def commit_intent(self, record: IntentRecord) -> None:
        self._may_fail("intent")
        self.intents.append(record)

    def commit_outcome(self, record: OutcomeRecord) -> None:
        self._may_fail("outcome")
        self.outcomes.append(record)

    def end_session(self, end: SessionEnd) -> None:
        self._may_fail("end")
        self.ends.append(end)

    def abandon_session(self, end: SessionEnd) -> None:
        self.abandoned.append(end)

    def waiting_capital(self) -> tuple[CapitalEvent, ...]:
        return self.waiting

    def settled_capital(self) -> frozenset[str]:
        return self.settled

    def stored_inventory(self) -> tuple[int, Decimal]:
        accounts = self.intents[-1].accounts
        return accounts.base_drops, accounts.quote

    def flush(self) -> None:
        self.log.append("flush")

    def close(self) -> None:
        self.log.append("close")


class Exchange(PaperExchange):
    """The paper exchange, which also writes down what was sent to it and may be broken."""

    def __init__(self, log: list[str], **parts: Any) -> None:
        super().__init__(**parts)
        self._log = log
        self.sent: list[Command] = []
        self.broken = False

    def prepare(
        self, commands: Sequence[Command], ledger_index: int, *, urgent: bool = False
    ) -> tuple[PreparedTransaction, ...]:
        if self.broken:
            raise KeyError("broken")
        self.sent.extend(commands)
        return super().prepare(commands, ledger_index, urgent=urgent)

    def submit(self, prepared: Sequence[PreparedTransaction]) -> tuple[SubmitOutcome, ...]:
        self._log.append("submit")
        return super().submit(prepared)


class Control:
    """What the operator asks, by hand."""

    def __init__(self) -> None:
        self.asked: list[ControlRequest] = []
        self.finished: list[ControlRequest] = []

    def poll(self) -> tuple[ControlRequest, ...]:
        asked, self.asked = tuple(self.asked), []
        return asked

    def done(self, request: ControlRequest) -> None:
        self.finished.append(request)


@dataclass
class Desk:
    """A session whose parts can be looked at."""

    feed: Feed
    store: Store
    exchange: Exchange
    control: Control
    clock: Clock
    signals: SignalFlags
    session: Session
    views: list[TickView]

    def run(self) -> SessionResult:
        return MainLoop(self.session).run()

    def cancels(self) -> list[int]:
        return [one.order_id for one in self.exchange.sent if isinstance(one, CancelOrder)]


def ledger(number: int) -> LedgerUpdate:
    """Ledger 100 + number, closed four seconds after the one before."""
    return ledgers.update(ledger_index=100 + number, close_time=START + 4 * number)


def quick(**engine: object) -> Config:
    """The delivered configuration, quoting from the first mid on."""
    config = core.with_config("strategy", warmup_ticks=1)
    return config.model_copy(update={"engine": config.engine.model_copy(update=engine)})


def desk(
    *items: FeedItem | None,
    config: Config | None = None,
    live: bool = False,
    duration_seconds: int | None = None,
    decided: Callable[[EngineState, Observation, Config, int], Decision] = decide,
    delay: int = 1,
) -> Desk:
    clock, store, control, signals = Clock(), Store(), Control(), SignalFlags()
    book = market(bid(1, "1000", "1.99"), ask(2, "1000", "2.01"))
    account = PaperAccount(
        address="rUs", balance_drops=100 * XRP, quote_balance=D(200), owner_count=1, sequence=1
    )
    exchange = Exchange(
        store.log,
        book=book,
        account=account,
        seed=1,
        arrival_delay_ledgers=delay,
        last_ledger_offset=4,
        depth_levels=5,
    )
    feed = Feed(clock, items, live)
    views: list[TickView] = []
    session = Session(
        config=config or quick(),
        feed=feed,
        feed_start=feed.start(),
        exchange=exchange,
        store=store,
        control=control,
        clock=clock,
        signals=signals,
        mode="paper",
        feed_name="hand",
        pair="XRP/RLUSD",
        account="rUs",
        opening=Opening(base_drops=100 * XRP, quote=D(200)),
        recording=None,
        speed=None,
        seed=1,
        duration_seconds=duration_seconds,
        on_tick=views.append,
        decide=decided,
        timer=SilenceTimer(clock, 4, feed.start().close_time, pull_seconds=12) if live else None,
    )
    return Desk(feed, store, exchange, control, clock, signals, session, views)


def end(number: int) -> FeedEnd:
    return FeedEnd(close_time=START + 4 * number, detail="that was all")


# the flow


def test_the_intent_is_on_disk_before_anything_is_sent_and_the_answers_after() -> None:
    d = desk(ledger(1), end(1))
    result = d.run()
    assert d.store.log == ["begin", "intent", "flush", "submit", "outcome", "intent", "end"]
    first = d.store.intents[0]
    assert len(first.prepared) == 2
    assert {one.tx_hash for one in first.prepared} == {one.tx_hash for one in d.store.outcomes[0].outcomes}
    assert {order.tx_hash for order in first.new_orders} == {one.tx_hash for one in first.prepared}
    assert result.halt.reason is HaltReason.RECORDING_ENDED


def test_the_opening_is_booked_once_as_two_events_of_this_session() -> None:
    d = desk(ledger(1), ledger(2), end(2))
    d.run()
    booked = [one.event for record in d.store.intents for one in record.capital]
    assert [(one.kind, one.base_drops, one.quote) for one in booked] == [
        (CapitalKind.OPENING, 100 * XRP, D(0)),
        (CapitalKind.OPENING, 0, D(200)),
    ]
    assert len({one.request_id for one in booked}) == 2
    assert all("7" in one.request_id for one in booked)


def test_capital_reaches_the_account_in_the_tick_that_books_it_and_is_acknowledged() -> None:
    d = desk(ledger(1), ledger(2), end(2))
    deposit = core.capital(CapitalKind.DEPOSIT, drops=5 * XRP, request_id="more")
    d.feed.before[2] = lambda: d.control.asked.append(deposit)
    d.run()
    assert deposit in d.control.finished
    # Two orders placed and cancelled at the end of the market: two fees at most were taken.
    assert d.exchange._account.balance_drops in range(105 * XRP - 100, 105 * XRP)
    assert d.store.intents[1].accounts.overlay_base_drops == 105 * XRP


def test_a_request_settled_by_an_earlier_session_is_only_acknowledged() -> None:
    d = desk(ledger(1), end(1))
    old = core.capital(CapitalKind.DEPOSIT, drops=5 * XRP, request_id="old")
    d.store.settled = frozenset({"old"})
    d.control.asked.append(old)
    d.run()
    assert d.control.finished[0] == old
    assert all(one.event != old for record in d.store.intents for one in record.capital)


def test_faults_in_a_ledger_ask_the_feed_for_a_resync() -> None:
    fault = LedgerFault(kind=LedgerFaultKind.MALFORMED_JSON, line=3, ledger_index=0, text="no JSON")
    d = desk(ledger(1), fault, ledger(2), end(2))
    d.run()
    assert [record.kind for record in d.store.intents] == ["ledger", "fault", "ledger", "end"]
    assert d.store.intents[1].faults[0].kind == "malformed_json"
    assert d.feed.resyncs == 0  # the feed knows of its own fault


# normal ends


def test_a_timed_session_ends_by_feed_time_and_cancels_first() -> None:
    d = desk(*(ledger(number) for number in range(1, 30)), duration_seconds=20)
    result = d.run()
    assert (result.halt.reason, result.halt.detail) == (HaltReason.DURATION_ELAPSED, "20 s of market time")
    assert d.cancels() == [1, 2]
    assert result.ledgers == 6  # five, and the one that confirms the cancels
    (end_row,) = d.store.ends
    assert (end_row.halt_reason, end_row.last_ledger) == ("duration_elapsed", 106)
    assert end_row.ticks == len(d.store.intents) == result.ticks
    assert end_row.fingerprint == result.fingerprint == d.store.intents[-1].fingerprint.hex()


def test_the_end_of_the_recording_closes_what_works_in_one_more_tick() -> None:
    d = desk(ledger(1), ledger(2), end(2))
    result = d.run()
    last = d.store.intents[-1]
    assert (last.kind, last.prepared) == ("end", ())
    assert {order.failure_reason for order in last.changed_orders} == {"end of the market"}
    assert result.halt == Halt(reason=HaltReason.RECORDING_ENDED, detail="no further ledger")


def test_winding_down_waits_for_confirmation_no_longer_than_shutdown_ledgers() -> None:
    items = [ledger(number) for number in range(1, 40)]
    # Orders and cancels take four ledgers to arrive, LastLedgerSequence allows it, the shutdown does not.
    d = desk(*items, config=quick(shutdown_ledgers=2), duration_seconds=40, delay=4)
    result = d.run()
    assert result.halt.reason is HaltReason.DURATION_ELAPSED
    assert result.ledgers == 10 + 2
    assert d.store.intents[-1].kind == "end"
    assert d.store.ends[0].halt_detail == "40 s of market time"


# the operator


def test_a_kill_while_the_feed_is_quiet_is_answered_within_a_poll() -> None:
    d = desk(ledger(1), ledger(2), live=True)
    kill = KillRequest(source="file", reason="smells")
    d.feed.before[5] = lambda: d.control.asked.append(kill)
    result = d.run()
    assert (result.halt.reason, result.halt.detail) == (HaltReason.KILL_SWITCH, "file: smells")
    assert d.cancels() == [1, 2]
    assert d.store.intents[2].kind == "silence"  # the first tick after the two ledgers is the answer
    assert kill in d.control.finished


@pytest.mark.parametrize("live", [True, False])
def test_a_signal_while_the_feed_is_quiet_is_answered_within_a_poll(live: bool) -> None:
    d = desk(ledger(1), ledger(2), None, None, ledger(3), ledger(4), live=live)
    d.feed.before[3] = lambda: d.signals._note(signal.SIGINT, None)
    result = d.run()
    assert (result.halt.reason, result.halt.detail) == (HaltReason.INTERRUPTED_SIGINT, "signal SIGINT")
    assert [record.kind for record in d.store.intents][:3] == ["ledger", "ledger", "silence"]


def test_a_second_signal_leaves_without_waiting_for_the_cancels() -> None:
    d = desk(ledger(1), ledger(2))
    d.feed.before[3] = lambda: d.signals._note(signal.SIGINT, None)
    d.feed.before[6] = lambda: d.signals._note(signal.SIGTERM, None)
    result = d.run()
    assert d.feed.calls == 6
    assert result.halt.reason is HaltReason.INTERRUPTED_SIGINT  # the first one is the reason


def test_a_second_reason_to_stop_changes_nothing() -> None:
    d = desk(*(ledger(number) for number in range(1, 20)), duration_seconds=8, delay=3)
    d.feed.before[4] = lambda: d.control.asked.append(KillRequest(source="file", reason="late"))
    assert d.run().halt.reason is HaltReason.DURATION_ELAPSED
    assert len(d.control.finished) == 3  # both openings, and the kill file that came too late


def test_without_ledgers_winding_down_on_a_live_feed_ends_all_the_same() -> None:
    d = desk(ledger(1), ledger(2), live=True)
    d.feed.before[4] = lambda: d.control.asked.append(KillRequest(source="file", reason="smells"))
    d.run()
    # Three intervals of four seconds, shutdown_ledgers times tick_interval_seconds.
    assert d.clock.now == pytest.approx(12, abs=2 * POLL_SECONDS)


# a live feed that falls silent


def test_a_live_feed_that_falls_silent_is_pulled_then_halted_by_the_clock() -> None:
    d = desk(ledger(1), ledger(2), live=True)
    result = d.run()
    assert result.halt.reason is HaltReason.RISK_STALE_LEDGER
    silences = [record for record in d.store.intents if record.kind == "silence"]
    # One tick every 4 s: quotes go at 10 s or later (12: the stall is seen too), the session at 60.
    pulled = next(record for record in silences if record.prepared)
    assert [one.name for one in pulled.gates] == ["StaleData", "Risk"]
    assert pulled.close_time == START + 8 + 12
    assert [record.close_time - START - 8 for record in silences if not record.prepared][:2] == [4, 8]
    halted = next(record for record in silences if any(one.name == "Stopping" for one in record.gates))
    assert halted.close_time == START + 8 + 60


def test_a_live_feed_of_nothing_but_faults_grows_stale_too() -> None:
    fault = LedgerFault(kind=LedgerFaultKind.MALFORMED_JSON, line=0, ledger_index=0, text="no JSON")
    config = quick()
    config = config.model_copy(update={"risk": config.risk.model_copy(update={"max_feed_failures": 1000})})
    d = desk(ledger(1), *([fault] * 200), config=config, live=True)
    for call in range(2, 200):  # a fault each second, and never a poll in which nothing comes
        d.feed.before[call] = lambda: d.clock.sleep(1)
    assert d.run().halt.reason is HaltReason.RISK_STALE_LEDGER
    assert d.clock.now == pytest.approx(60, abs=12)  # and the time the last cancels are waited for


def test_a_live_session_also_ends_in_time_when_no_ledger_comes() -> None:
    config = quick()
    config = config.model_copy(update={"risk": config.risk.model_copy(update={"stale_halt_seconds": 9000})})
    result = desk(ledger(1), live=True, duration_seconds=30, config=config).run()
    assert (result.halt.reason, result.halt.detail) == (HaltReason.DURATION_ELAPSED, "32 s of market time")


def test_a_feed_with_its_own_time_is_never_made_silent_by_the_clock() -> None:
    waits: list[FeedItem | None] = [None] * 1_000  # 250 s of the clock
    paced = desk(ledger(1), *waits, ledger(2), *waits, ledger(3), end(3))
    fast = desk(ledger(1), ledger(2), ledger(3), end(3))
    assert paced.run().fingerprint == fast.run().fingerprint
    assert [record.kind for record in paced.store.intents] == ["ledger", "ledger", "ledger", "end"]


def test_silence_told_by_the_feed_itself_is_a_tick_of_its_own_time() -> None:
    d = desk(ledger(1), ledger(2), FeedSilence(close_time=START + 8 + 10), ledger(3), end(3))
    d.run()
    assert [one.name for one in d.store.intents[2].gates] == ["StaleData"]


def test_the_timer_is_due_once_an_interval_and_starts_again_with_a_ledger() -> None:
    clock = Clock()
    timer = SilenceTimer(clock, 4, 500, pull_seconds=12)
    due = []
    for _ in range(24):
        clock.sleep(0.5)
        due.append(timer.due())
    assert [moment for moment in due if moment is not None] == [504, 508, 512]
    clock.sleep(11)  # something else took long: one tick, not three
    assert [timer.due(), timer.due()] == [523, None]
    timer.ledger(530)
    clock.sleep(3.9)
    assert timer.due() is None
    clock.sleep(0.1)
    assert timer.due() == 534


# what breaks


def test_a_commit_that_fails_for_a_moment_is_tried_again_and_nothing_is_lost() -> None:
    d = desk(ledger(1), ledger(2), end(2))
    d.feed.before[2] = lambda: d.store.failing.update(intent=STORE_RETRIES - 1)
    result = d.run()
    assert result.halt.reason is HaltReason.RECORDING_ENDED
    assert [record.tick for record in d.store.intents] == [1, 2, 3]
    assert d.clock.now > 0  # it waited between the attempts


@pytest.mark.parametrize("what", ["intent", "outcome"])
def test_a_database_that_stays_broken_ends_the_session_with_its_quotes_pulled(what: str) -> None:
    d = desk(*(ledger(number) for number in range(1, 9)))

    def break_it() -> None:
        d.store.failing[what] = 99
        if what == "outcome":  # it needs something to send
            d.control.asked.append(KillRequest(source="file", reason="x"))

    d.feed.before[3] = break_it
    result = d.run()
    assert result.halt.reason is HaltReason.STATE_FAILURE
    assert "the disk is full" in result.halt.detail
    assert set(d.cancels()) == {1, 2}
    if what == "intent":
        assert "2 cancels sent without a record" in result.halt.detail
        assert result.fingerprint == d.store.intents[-1].fingerprint.hex()  # of what is on disk
        assert result.ticks == 2
    assert len(d.store.ends) == 1


def test_an_end_that_cannot_be_stored_is_given_up_in_order() -> None:
    d = desk(ledger(1), end(1))
    d.store.failing["end"] = 99
    result = d.run()
    assert d.store.ends == []
    assert [one.halt_reason for one in d.store.abandoned] == ["recording_ended"]
    assert result.halt.reason is HaltReason.RECORDING_ENDED


def test_a_session_that_cannot_be_begun_is_a_startup_failure() -> None:
    d = desk(ledger(1))
    d.store.failing["begin"] = 1
    with pytest.raises(StartupFailure, match="the disk is full"):
        d.run()


def failing_at(tick: int, error: Exception) -> Callable[[EngineState, Observation, Config, int], Decision]:
    def broken(state: EngineState, seen: Observation, config: Config, now: int) -> Decision:
        if state.tick + 1 >= tick:
            raise error
        return decide(state, seen, config, now)

    return broken


@pytest.mark.parametrize("error", [ZeroDivisionError("x"), InvariantViolation("a promise is broken")])
def test_a_defect_in_deciding_is_an_unexpected_halt_with_its_place_and_pulled_quotes(
    error: Exception,
) -> None:
    d = desk(*(ledger(number) for number in range(1, 9)), decided=failing_at(3, error))
    result = d.run()
    assert result.halt.reason is HaltReason.UNEXPECTED_HALT
    assert type(error).__name__ in result.halt.detail
    assert "test_main_loop.py" in result.halt.detail
    assert set(d.cancels()) == {1, 2}
    assert [one.halt_reason for one in d.store.ends] == ["unexpected_halt"]


def test_the_last_tick_sees_again_the_ledger_that_could_not_be_stored() -> None:
    d = desk(*(ledger(number) for number in range(1, 9)))
    d.feed.before[3] = lambda: d.store.failing.update(intent=STORE_RETRIES)
    result = d.run()
    assert result.halt.reason is HaltReason.STATE_FAILURE
    last = d.store.intents[-1]
    assert (last.kind, last.ledger_index, last.tick) == ("ledger", 103, 3)
    assert {one.order_id for one in last.prepared} == {1, 2}


def test_a_defect_in_storing_leaves_no_number_that_the_last_cancels_would_wait_behind() -> None:
    d = desk(*(ledger(number) for number in range(1, 9)), duration_seconds=8)
    commit, broken = d.store.commit_intent, [InvariantViolation("a promise is broken")]

    def once(record: IntentRecord) -> None:
        if broken and any(one.kind is TransactionKind.CANCEL for one in record.prepared):
            raise broken.pop()
        commit(record)

    d.store.commit_intent = once  # type: ignore[method-assign]
    assert d.run().halt.reason is HaltReason.UNEXPECTED_HALT
    assert not broken
    numbers = [one.account_sequence for record in d.store.intents for one in record.prepared]
    assert numbers == [1, 2, 3, 4]  # two orders, and their cancels right behind them


def test_a_ledger_on_which_nothing_can_be_decided_is_left_out_of_the_last_tick() -> None:
    def broken(state: EngineState, seen: Observation, config: Config, now: int) -> Decision:
        if seen.kind == "ledger" and seen.ledger_index == 103:
            raise ZeroDivisionError("x")
        return decide(state, seen, config, now)

    d = desk(*(ledger(number) for number in range(1, 9)), decided=broken)
    assert d.run().halt.reason is HaltReason.UNEXPECTED_HALT
    last = d.store.intents[-1]
    assert (last.kind, last.tick) == ("silence", 3)
    assert {one.order_id for one in last.prepared} == {1, 2}


def test_a_defect_while_stopping_names_what_it_was_stopping_for() -> None:
    d = desk(
        *(ledger(number) for number in range(1, 9)),
        decided=failing_at(3, ZeroDivisionError("x")),
        duration_seconds=8,
        delay=3,
    )
    assert d.run().halt.detail.count("while stopping: duration_elapsed") == 1


def test_an_exchange_that_breaks_in_the_last_cancels_does_not_keep_the_end_from_being_stored() -> None:
    d = desk(*(ledger(number) for number in range(1, 9)), decided=failing_at(3, ZeroDivisionError("x")))
    d.feed.before[3] = lambda: setattr(d.exchange, "broken", True)
    result = d.run()
    assert "2 orders could not be cancelled" in result.halt.detail
    assert [one.halt_reason for one in d.store.ends] == ["unexpected_halt"]


def test_a_feed_that_fails_for_good_ends_the_session_as_an_unhealthy_gateway() -> None:
    class Broken(Feed):
        def next(self, timeout_seconds: float) -> FeedItem | None:  # noqa: ARG002
            raise FeedError("the source is gone")

    d = desk(ledger(1))
    d.session = replace(d.session, feed=Broken(d.clock, [], live=False))
    result = d.run()
    assert result.halt == Halt(reason=HaltReason.RISK_GATEWAY_UNHEALTHY, detail="the source is gone")
    assert len(d.store.ends) == 1


def test_the_view_of_a_tick_counts_what_is_on_disk() -> None:
    fault = LedgerFault(kind=LedgerFaultKind.MALFORMED_JSON, line=3, ledger_index=0, text="no JSON")
    d = desk(ledger(1), fault, ledger(2), end(2))
    d.run()
    assert [(view.tick, view.kind, view.faults_total) for view in d.views] == [
        (1, "ledger", 0),
        (2, "fault", 1),
        (3, "ledger", 1),
        (4, "end", 1),
    ]
    assert d.views[2].elapsed_seconds == 8


def test_the_summary_is_the_last_tick_that_was_stored() -> None:
    d = desk(ledger(1), ledger(2), end(2))
    summary = d.run().summary
    last = d.store.intents[-1].accounts
    assert summary["overlay_base_drops"] == 100 * XRP
    assert summary["account_value_rlusd"] == plain(last.account_value)


def test_the_last_cancels_of_a_session_whose_feed_failed_are_on_disk_before_they_go_out() -> None:
    class Broken(Feed):
        def next(self, timeout_seconds: float) -> FeedItem | None:
            if not self._items:
                raise FeedError("the source is gone")
            return super().next(timeout_seconds)

    d = desk(*(ledger(number) for number in range(1, 6)))
    d.session = replace(d.session, feed=Broken(d.clock, d.feed._items, live=False))
    result = d.run()
    assert result.halt.reason is HaltReason.RISK_GATEWAY_UNHEALTHY
    last = d.store.intents[-1]
    assert {one.kind for one in last.prepared} == {TransactionKind.CANCEL}
    assert {one.order_id for one in last.prepared} == set(d.cancels())
    assert "without a record" not in result.halt.detail
    assert result.fingerprint == last.fingerprint.hex()


def test_a_cancel_under_way_at_the_end_is_not_sent_again() -> None:
    d = desk(
        *(ledger(number) for number in range(1, 9)),
        config=quick(shutdown_ledgers=1),
        duration_seconds=16,
        delay=4,
    )
    d.exchange.end_of_market = lambda: ()  # type: ignore[method-assign]  # as a live one: the ledger decides
    result = d.run()
    assert len(d.cancels()) == len(set(d.cancels()))
    assert "orders still work" in result.halt.detail


def test_winding_down_counts_no_ledger_that_was_overtaken() -> None:
    """A backlog passes in a moment: cancels sent on its newest ledger need ledgers to come after that."""
    items = [ledger(number) for number in range(1, 11)]
    items += [replace(ledger(number), overtaken=True) for number in range(11, 31)]
    items += [ledger(number) for number in range(31, 36)]
    d = desk(*items, config=quick(shutdown_ledgers=4), duration_seconds=44, delay=2)
    result = d.run()
    assert result.halt.reason is HaltReason.DURATION_ELAPSED
    cancels = [
        record.ledger_index
        for record in d.store.intents
        if any(one.kind is TransactionKind.CANCEL for one in record.prepared)
    ]
    assert set(cancels) == {131}
    assert result.ledgers == 33  # the cancels arrived two ledgers later
