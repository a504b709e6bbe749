"""The kill switch's latch: what latches, how long it holds, who can open it, and that no start slips by."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from benchmarks.state_workload import session_end, session_start
from neo_engine.config import Config, config_json
from neo_engine.domain.errors import StartupFailure, StateError
from neo_engine.domain.halt import Halt, HaltReason
from neo_engine.domain.kill import (
    LATCH_KEY,
    MAX_REASONS,
    OPEN,
    RESET_KEY,
    KillReason,
    Latch,
    add,
    from_json,
    in_force,
    opened,
    to_json,
)
from neo_engine.domain.severity import Reading, Severity
from neo_engine.ops.control import kill_path, request_kill
from neo_engine.ops.kill_switch import Moment, Refused, ResetOrder, ResetRecord, look, measure, reset
from neo_engine.ops.latch import SessionLatch, check_latch
from neo_engine.ports import KillRequest
from neo_engine.risk.monitors import MONITORS
from neo_engine.state.lock import InstanceLock, database_lock_path
from neo_engine.state.manager import StateManager
from neo_engine.tick import Decision, EngineState, Observation, decide
from tests.unit import core_values as core
from tests.unit.state_fixture import OPTIONS, fixed_now, rows, write_ticks
from tests.unit.test_main_loop import Desk, desk, end, ledger

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(hours=24)
TINY = timedelta(microseconds=1)
LATCHES = {HaltReason.KILL_SWITCH, HaltReason.RISK_MAX_LOSS, HaltReason.RISK_MAX_DRAWDOWN}
KILLED = Halt(reason=HaltReason.KILL_SWITCH, detail="file: enough")
LOST = Halt(reason=HaltReason.RISK_MAX_LOSS, detail="session P&L -12.5 RLUSD (risk.max_loss_rlusd 10)")


class Clock:
    """A wall clock that is set by hand."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def utc_now(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, _seconds: float) -> None:
        raise AssertionError("nothing waits here")


def why(halt: Halt, at: datetime = NOON) -> KillReason:
    return KillReason(reason=halt.reason, detail=halt.detail, at=at)


def latched(*halts: Halt, at: datetime = NOON) -> Latch:
    latch = OPEN
    for halt in halts:
        latch = add(latch, why(halt, at))
    return latch


# the value


@pytest.mark.parametrize("reason", list(HaltReason))
def test_only_the_operators_kill_and_real_losses_latch(reason: HaltReason) -> None:
    latch = add(OPEN, KillReason(reason=reason, detail="x", at=NOON))
    assert bool(latch.reasons) == (reason in LATCHES)
    assert in_force(latch, NOON) == (reason in LATCHES)


def test_all_reasons_are_kept_in_their_order_with_their_numbers() -> None:
    latch = add(latched(LOST), why(KILLED, NOON + HOUR))
    assert [(one.reason, one.detail) for one in latch.reasons] == [
        (HaltReason.RISK_MAX_LOSS, LOST.detail),
        (HaltReason.KILL_SWITCH, KILLED.detail),
    ]
    assert latch.number == 2
    assert opened(latch) == Latch(reasons=(), number=2)


def test_a_latch_keeps_the_newest_hundred_reasons_and_counts_them_all() -> None:
    latch = latched(*(Halt(reason=HaltReason.KILL_SWITCH, detail=str(n)) for n in range(MAX_REASONS + 5)))
    assert [one.detail for one in latch.reasons] == [str(n) for n in range(5, MAX_REASONS + 5)]
    assert latch.number == MAX_REASONS + 5


@pytest.mark.parametrize(
    ("age", "holds"),
    [(-HOUR, True), (TINY, True), (DAY - TINY, True), (DAY, False), (DAY + TINY, False), (30 * DAY, False)],
)
def test_a_latch_is_in_force_until_its_newest_reason_is_24_hours_old(age: timedelta, holds: bool) -> None:
    assert in_force(latched(KILLED), NOON + age) == holds
    older = add(latched(LOST, at=NOON - 20 * HOUR), why(KILLED))
    assert in_force(older, NOON + age) == holds


moments = st.integers(0, 3 * 10**15).map(lambda passed: NOON + passed * TINY)  # almost a century
kill_reasons = st.builds(
    KillReason, reason=st.sampled_from(sorted(LATCHES, key=str)), detail=st.text(), at=moments
)


@given(st.lists(kill_reasons, max_size=5))
def test_a_stored_latch_is_read_back_exactly(reasons: list[KillReason]) -> None:
    latch = OPEN
    for one in reasons:
        latch = add(latch, one)
    assert from_json(to_json(latch), NOON) == latch


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"reasons":[],"number":-1}',
        '{"reasons":[{"reason":"no_such","detail":"","at":"2026-11-21T12:00:00Z"}],"number":1}',
        '{"reasons":[{"reason":"kill_switch","detail":"","at":"2026-11-21T12:00:00"}],"number":1}',
        '{"reasons":[{"reason":"kill_switch","detail":"","at":"9999-12-31T23:59:59Z"}],"number":1}',
    ],
)
def test_a_latch_that_cannot_be_read_holds(text: str) -> None:
    latch = from_json(text, NOON)
    assert in_force(latch, NOON)
    assert "cannot be read" in latch.reasons[0].detail


def test_no_text_is_an_open_latch_and_a_transient_reason_is_not_restored() -> None:
    assert from_json("", NOON) == OPEN
    text = (
        '{"reasons":[{"reason":"risk_xrp_exposure","detail":"","at":"2026-11-21T12:00:00Z"},'
        '{"reason":"risk_max_loss","detail":"x","at":"2026-11-21T12:00:00Z"}],"number":2}'
    )
    assert [one.reason for one in from_json(text, NOON).reasons] == [HaltReason.RISK_MAX_LOSS]


# a session


def live_desk(d: Desk, state: dict[str, str] | None = None) -> Desk:
    d.session = replace(d.session, latch=SessionLatch(state or {}, Clock()))
    return d


def reasons_in(state: dict[str, str]) -> list[HaltReason]:
    return [one.reason for one in from_json(state.get(LATCH_KEY, ""), NOON).reasons]


def test_the_tick_that_halts_stores_the_latch_in_its_own_record_and_the_end_does_again() -> None:
    d = live_desk(desk(ledger(1), ledger(2), ledger(3), ledger(4), end(4)))
    d.feed.before[3] = lambda: d.control.asked.append(KillRequest(source="file", reason="enough"))
    assert d.run().halt == KILLED
    halting = next(one for one in d.store.intents if LATCH_KEY in one.state)
    assert [LATCH_KEY in one.state for one in d.store.intents[:2]] == [False, False]
    assert from_json(halting.state[LATCH_KEY], NOON) == latched(KILLED)
    assert from_json(d.store.ends[0].state[LATCH_KEY], NOON) == latched(KILLED)


def test_a_session_that_is_not_live_latches_nothing() -> None:
    d = desk(ledger(1), ledger(2), ledger(3), end(3))
    d.feed.before[2] = lambda: d.control.asked.append(KillRequest(source="file", reason="enough"))
    assert d.run().halt == KILLED
    stored = [*(one.state for one in d.store.intents), *(one.state for one in d.store.ends)]
    assert not any(LATCH_KEY in state for state in stored)


def test_a_kill_that_comes_while_a_session_stops_for_another_reason_latches_too() -> None:
    d = live_desk(desk(*(ledger(n) for n in range(1, 8)), duration_seconds=8, delay=3))
    d.feed.before[3] = lambda: d.control.asked.append(KillRequest(source="file", reason="enough"))
    assert d.run().halt.reason is HaltReason.DURATION_ELAPSED
    assert reasons_in(dict(d.store.ends[0].state)) == [HaltReason.KILL_SWITCH]


def test_a_kill_latches_also_when_the_tick_that_takes_it_up_fails() -> None:
    d = live_desk(desk(ledger(1), ledger(2), ledger(3)))

    def kill_and_break() -> None:
        d.control.asked.append(KillRequest(source="file", reason="enough"))
        d.exchange.broken = True

    d.feed.before[3] = kill_and_break
    assert d.run().halt.reason is HaltReason.UNEXPECTED_HALT
    assert reasons_in(dict(d.store.ends[0].state)) == [HaltReason.KILL_SWITCH]


def reading(monitor: str, severity: Severity = Severity.KILL) -> Reading:
    return Reading(monitor=monitor, severity=severity, detail=f"numbers of {monitor}")


def test_every_monitor_that_kills_latches_with_its_own_numbers_unless_it_passes_by_itself() -> None:
    latch = SessionLatch({}, Clock())
    latch.note(None, [reading(monitor.name) for monitor in MONITORS])
    assert [(one.reason, one.detail) for one in latch.latch.reasons] == [
        (HaltReason.RISK_MAX_LOSS, "monitor loss: numbers of loss"),
        (HaltReason.RISK_MAX_LOSS, "monitor daily_loss: numbers of daily_loss"),
        (HaltReason.RISK_MAX_DRAWDOWN, "monitor drawdown: numbers of drawdown"),
        (HaltReason.KILL_SWITCH, "monitor cascade: numbers of cascade"),
        (HaltReason.KILL_SWITCH, "monitor price_velocity: numbers of price_velocity"),
        (HaltReason.KILL_SWITCH, "monitor balance_jump: numbers of balance_jump"),
        (HaltReason.KILL_SWITCH, "monitor depeg: numbers of depeg"),
    ]
    for severity in set(Severity) - {Severity.KILL}:
        latch.note(None, [reading("loss", severity)])
    assert latch.latch.number == 7


def test_a_loss_seen_while_the_session_stops_already_is_appended() -> None:
    def losing(state: EngineState, seen: Observation, config: Config, now: int) -> Decision:
        decision = decide(state, seen, config, now)
        return replace(decision, readings=(reading("loss"),) if state.stopping is not None else ())

    d = live_desk(desk(*(ledger(n) for n in range(1, 6)), decided=losing))
    d.feed.before[3] = lambda: d.control.asked.append(KillRequest(source="file", reason="enough"))
    assert d.run().halt == KILLED
    assert reasons_in(dict(d.store.ends[0].state)) == [HaltReason.KILL_SWITCH, HaltReason.RISK_MAX_LOSS]


def test_a_position_that_ran_away_halts_and_does_not_latch() -> None:
    runaway = Halt(reason=HaltReason.KILL_SWITCH, detail="monitor position_velocity: 300 XRP in 60 s")

    def running_away(state: EngineState, seen: Observation, config: Config, now: int) -> Decision:
        decision = decide(state, seen, config, now)
        if seen.ledger_index != 102 or state.stopping is not None:
            return decision
        stopping = replace(decision.state, stopping=runaway)
        return replace(decision, state=stopping, halt=runaway, readings=(reading("position_velocity"),))

    d = live_desk(desk(*(ledger(n) for n in range(1, 8)), decided=running_away))
    assert d.run().halt == runaway
    assert reasons_in(dict(d.store.ends[0].state)) == []


def test_the_kill_file_stays_when_nothing_of_the_end_could_be_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    d = live_desk(desk(ledger(1), ledger(2), ledger(3)))
    d.feed.before[2] = lambda: d.control.asked.append(KillRequest(source="file", reason="enough"))
    d.store.failing["end"] = 99

    def refuse(_end: object) -> None:
        raise StateError("the disk is full")

    monkeypatch.setattr(d.store, "abandon_session", refuse)
    d.run()
    assert not any(isinstance(one, KillRequest) for one in d.control.finished)


def test_an_old_latch_is_ignored_with_a_warning_and_opened_by_the_next_session(
    caplog: pytest.LogCaptureFixture,
) -> None:
    old = {LATCH_KEY: to_json(latched(LOST, at=NOON - DAY))}
    check_latch(old, NOON, Path("neo.db"))
    with caplog.at_level(logging.WARNING):
        d = live_desk(desk(ledger(1), end(1)), old)
    assert "risk_max_loss at 2026-11-20T12:00:00.000Z (session P&L -12.5 RLUSD" in caplog.text
    d.run()
    assert from_json(d.store.intents[0].state[LATCH_KEY], NOON) == Latch(reasons=(), number=1)


def test_a_latch_in_force_is_kept_by_a_session_that_may_run_in_spite_of_it() -> None:
    held = {LATCH_KEY: to_json(latched(LOST, at=NOON - HOUR))}
    d = live_desk(desk(ledger(1), end(1)), held)
    d.run()
    assert d.store.ends[0].state[LATCH_KEY] == held[LATCH_KEY]


def test_the_refusal_of_a_start_names_every_reason_its_numbers_and_the_fix() -> None:
    state = {LATCH_KEY: to_json(add(latched(LOST), why(KILLED, NOON + HOUR)))}
    with pytest.raises(StartupFailure) as refused:
        check_latch(state, NOON + 2 * HOUR, Path("my.db"))
    said = str(refused.value)
    assert "in force until 2026-11-22T13:00:00.000Z" in said
    assert f"risk_max_loss at 2026-11-21T12:00:00.000Z ({LOST.detail})" in said
    assert "kill_switch at 2026-11-21T13:00:00.000Z (file: enough)" in said
    assert "python -m neo_engine kill --reset --db my.db --seen 2 --reason TEXT" in said


def test_a_session_whose_last_rows_are_given_up_still_stores_its_latch(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    with closing(StateManager.open(db, OPTIONS, now=fixed_now)) as store:
        store.begin_session(session_start("live"))
        write_ticks(store, 2)
        text = to_json(latched(KILLED))
        store.abandon_session(replace(session_end(2), state={LATCH_KEY: text, "touch.rolling": "lost"}))
    assert rows(db, "SELECT value FROM engine_state WHERE key = ?", (LATCH_KEY,)) == [(text,)]
    assert ("lost",) not in rows(db, "SELECT value FROM engine_state")


# drawdown

LEAST = core.with_config("risk", max_xrp_exposure=Decimal(100), max_rlusd_exposure=Decimal(100))


def moment(value: str, capital: str = "100", mark: str = "2", drops: int = 0) -> Moment:
    return Moment(value=Decimal(value), capital=Decimal(capital), mark=Decimal(mark), drops=drops)


def percent(*sessions: list[Moment]) -> Decimal:
    fall = measure(sessions, LEAST)
    assert fall is not None
    return fall.drawdown_pct


def test_the_fall_is_measured_from_the_peak_of_the_session() -> None:
    # Start 100, peak 110, now 99: 11 of 110.
    assert percent([moment("100"), moment("110"), moment("99")]) == 10
    assert percent([moment("100"), moment("90"), moment("101")]) == 0
    assert measure([], LEAST) is None
    assert measure([[]], LEAST) is None


def test_a_deposit_in_the_session_hides_no_fall_and_a_withdrawal_is_none() -> None:
    assert percent([moment("100"), moment("140", capital="150")]) == 10
    assert percent([moment("100"), moment("50", capital="50")]) == 0


def test_between_sessions_the_price_counts_and_money_that_came_or_went_does_not() -> None:
    # 30 XRP and 40 RLUSD at 2 are 100; at 1.5 they are 85. Then 500 come in.
    first = [moment("100", drops=30_000_000)]
    assert percent(first, [moment("585", capital="585", mark="1.5", drops=30_000_000)]) == 15
    assert percent(first, [moment("20", capital="20", mark="2", drops=0)]) == 0
    assert percent(first, [moment("585", capital="585", mark="1.5"), moment("600", capital="585")]) == 0


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        # The least peak is 2 % of 100 XRP at 2: 4 RLUSD.
        ([moment("0.5", "0.5"), moment("0.1", "0.5")], Decimal(10)),
        ([moment("0", "0"), moment("-0.04", "0")], Decimal(1)),
        ([moment("0", "0"), moment("0", "0")], Decimal(0)),
        ([moment("0.000001", "0.000001"), moment("-29.92", "0.000001")], Decimal(100)),
        ([moment("100"), moment("9400", "10000")], Decimal(100)),
    ],
    ids=["tiny account", "peak 0", "nothing at all", "negative value", "a loss above the start value"],
)
def test_no_account_shows_more_than_all_of_it_lost(moments: list[Moment], expected: Decimal) -> None:
    assert percent(moments) == expected


@given(
    st.lists(
        st.builds(
            Moment,
            value=st.decimals(-(10**9), 10**9, places=6),
            capital=st.decimals(-(10**9), 10**9, places=6),
            mark=st.decimals(Decimal("0.000001"), 10**4, places=6),
            drops=st.integers(-(10**15), 10**15),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_a_drawdown_is_never_shown_outside_0_to_100(values: list[Moment]) -> None:
    assert 0 <= percent(values[: len(values) // 2], values[len(values) // 2 :]) <= 100


# the reset


def database(folder: Path, *, ended: str = "kill_switch", value: str = "100", **tick: object) -> Path:
    """A database with one live session of two ticks, 100 RLUSD at first and `value` at last, and a latch."""
    db = folder / "neo.db"
    config = core.with_config("risk", max_xrp_exposure=Decimal(100), max_rlusd_exposure=Decimal(100))
    start = replace(
        session_start("live"), config_json=config_json(config), started_at="2026-11-21T11:00:00.000Z"
    )
    with closing(StateManager.open(db, OPTIONS, now=fixed_now)) as store:
        store.begin_session(start)
        write_ticks(store, 2)
        state = {LATCH_KEY: to_json(add(latched(LOST), why(KILLED)))}
        store.end_session(replace(session_end(2), halt_reason=ended, state=state))
    columns = {"inventory_xrp_drops": 0, "inventory_rlusd": "50", "mark": "2", "net_capital_rlusd": "100"}
    columns |= tick
    with closing(sqlite3.connect(db)) as connection, connection:
        for name, number in columns.items():
            connection.execute(f"UPDATE ticks SET {name} = ?", (number,))
        for tick_number, worth in ((1, "100"), (2, value)):
            connection.execute(
                "UPDATE ticks SET account_value_rlusd = ? WHERE tick = ?", (worth, tick_number)
            )
    return db


def order(*, seen: int | None = 2, force: bool = False) -> ResetOrder:
    return ResetOrder(reason="looked at it", by="ann", seen=seen, force=force)


def against(db: Path, **asked: object) -> tuple[str, ...]:
    done = reset(db, order(**asked), NOON + HOUR)  # type: ignore[arg-type]
    assert isinstance(done, Refused), done
    return done.against


def test_a_reset_saves_a_backup_with_the_latch_then_opens_it_and_says_who_when_and_why(
    tmp_path: Path,
) -> None:
    db = database(tmp_path, value="98")  # exactly 2 %
    done = reset(db, order(), NOON + HOUR)
    assert isinstance(done, ResetRecord)
    copy = rows(Path(done.backup), "SELECT value FROM engine_state WHERE key = ?", (LATCH_KEY,))[0][0]
    assert len(from_json(copy, NOON).reasons) == 2
    state = dict(rows(db, "SELECT key, value FROM engine_state"))
    assert from_json(state[LATCH_KEY], NOON) == Latch(reasons=(), number=2)
    for said in (
        '"by":"ann"',
        '"reason":"looked at it"',
        "2026-11-21T13:00:00Z",
        '"forced":false',
        LOST.detail,
    ):
        assert said in state[RESET_KEY]
    check_latch(state, NOON + HOUR, db)
    assert reset(db, order(), NOON + HOUR) is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"value": "97.99"}, "drawdown: 2.01 % from a peak of 100 RLUSD (at most 2 %)"),
        ({"inventory_xrp_drops": 100_000_001}, "100.000001 XRP held (risk.max_xrp_exposure 100)"),
        ({"inventory_rlusd": "100.1"}, "100.1 RLUSD held (risk.max_rlusd_exposure 100)"),
        ({"ended": "risk_stale_ledger"}, "data stale: session 1 ended by risk_stale_ledger"),
        ({"ended": "risk_rpc_failure"}, "data stale: session 1 ended by risk_rpc_failure"),
        ({"ended": "risk_gateway_unhealthy"}, "data stale: session 1 ended by risk_gateway_unhealthy"),
        ({"inventory_rlusd": "many"}, "cannot be judged"),
    ],
)
def test_each_thing_that_speaks_against_a_reset_is_named_and_force_overrides_it(
    tmp_path: Path, changed: dict[str, object], said: str
) -> None:
    db = database(tmp_path, **changed)  # type: ignore[arg-type]
    found = against(db)
    assert len(found) == 1
    assert said in found[0]
    assert not list(tmp_path.glob("*.backups/*")), "a refused reset made a backup"
    assert look(db, NOON).in_force
    done = reset(db, order(force=True), NOON)
    assert isinstance(done, ResetRecord)
    assert done.forced
    assert done.overridden == found
    assert not look(db, NOON).in_force


@pytest.mark.parametrize(
    ("severities", "refused"),
    [
        (("PULL_QUOTES",), True),
        (("PULL_QUOTES", "KILL"), True),
        (("PULL_QUOTES", "NORMAL"), False),
        (("WARN",), False),
    ],
)
def test_a_market_that_was_swept_to_the_end_of_the_session_speaks_against_a_reset(
    tmp_path: Path, severities: tuple[str, ...], refused: bool
) -> None:
    db = database(tmp_path)
    with closing(sqlite3.connect(db)) as connection, connection:
        for number, severity in enumerate(severities):
            key = (1 << 32 | 1) << 5 | number
            row = (key, 1, 1, "cascade", severity, "0.93 of the near depth")
            connection.execute("INSERT INTO monitor_readings VALUES (?, ?, ?, ?, ?, ?)", row)
    if not refused:
        assert isinstance(reset(db, order(), NOON), ResetRecord)
        return
    found = against(db)
    assert len(found) == 1
    assert "cascade: session 1 ended in it (0.93 of the near depth)" in found[0]


@pytest.mark.parametrize(
    "tick", [{"inventory_xrp_drops": 100_000_000}, {"inventory_rlusd": "100"}], ids=["XRP", "RLUSD"]
)
def test_inventory_at_its_limit_does_not_speak_against_a_reset(
    tmp_path: Path, tick: dict[str, object]
) -> None:
    assert isinstance(reset(database(tmp_path, **tick), order(), NOON), ResetRecord)  # type: ignore[arg-type]


@pytest.mark.parametrize("seen", [None, 0, 1, 3])
def test_who_has_not_seen_the_newest_reason_cannot_reset(tmp_path: Path, seen: int | None) -> None:
    found = against(database(tmp_path), seen=seen)
    assert len(found) == 1
    assert "reasons unread" in found[0]
    assert "the newest is number 2" in found[0]


def test_everything_that_speaks_against_a_reset_is_named_at_once(tmp_path: Path) -> None:
    db = database(tmp_path, value="50", inventory_xrp_drops=200_000_000, ended="risk_stale_ledger")
    request_kill(db, "once more")
    found = against(db, seen=1)
    assert [one.partition(":")[0] for one in found] == [
        "reasons unread",
        "kill file",
        "data stale",
        "drawdown",
        "inventory",
    ]
    assert str(kill_path(db)) in found[1]


def test_a_database_that_a_process_holds_is_not_reset(tmp_path: Path) -> None:
    db = database(tmp_path)
    lock = InstanceLock.acquire(database_lock_path(db), str(db), "now")
    with pytest.raises(StateError, match="in use by process"):
        reset(db, order(force=True), NOON)
    lock.release()
    assert look(db, NOON).in_force


# any history

HALTS = st.lists(st.sampled_from(list(HaltReason)), max_size=3)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("session"), HALTS, st.booleans()),
        st.tuples(st.just("flatten"), HALTS, st.booleans()),
        st.tuples(st.just("wait"), st.integers(-2, 30), st.none()),
        st.tuples(st.just("reset"), st.none(), st.none()),
    ),
    max_size=30,
)


@given(STEPS)
def test_no_session_starts_while_a_latch_is_in_force_whatever_happened_before(
    steps: list[tuple[str, object, object]],
) -> None:
    clock, state, times = Clock(), dict[str, str](), list[datetime]()
    for what, given_value, crash in steps:
        if what == "wait":
            assert isinstance(given_value, int)
            clock.now += given_value * HOUR
        elif what == "reset":
            state[LATCH_KEY] = to_json(opened(from_json(state.get(LATCH_KEY, ""), clock.now)))
            times.clear()
        else:
            held = any(clock.now - at < DAY for at in times)
            started = what == "flatten"
            with suppress(StartupFailure):
                check_latch(state, clock.now, Path("neo.db"))
                assert not held
                started = True
            assert started or held
            if started:
                if not held:
                    times.clear()
                assert isinstance(given_value, list)
                times += [clock.now for reason in given_value if reason in LATCHES]
                state |= _ran(state, clock, given_value, crash=bool(crash))


def _ran(state: dict[str, str], clock: Clock, halts: list[HaltReason], *, crash: bool) -> dict[str, str]:
    """A session that halts for each reason in a tick of its own; return the rows that it left."""
    latch, left = SessionLatch(state, clock), dict[str, str]()
    for number, reason in enumerate(halts):
        latch.note(Halt(reason=reason, detail=str(number)))
        left |= latch.rows()
    return left if crash else left | latch.rows()
