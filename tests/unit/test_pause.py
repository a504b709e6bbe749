"""The operator's pause: the file is the state, the tick closes what it says, the session goes on."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from neo_engine.domain.halt import HaltReason
from neo_engine.domain.orders import CancelOrder, PlaceOrder
from neo_engine.domain.pause import Pause
from neo_engine.ops.control import (
    MAX_PAUSE_REASON_CHARS,
    MAX_REQUEST_BYTES,
    POLL_SECONDS,
    FileControl,
    pause_path,
    read_pause,
    remove_pause,
    request_kill,
    request_pause,
)
from neo_engine.ports import KillRequest, PauseRequest
from neo_engine.report.status import engine_on, read_status
from neo_engine.report.why import explain, untouched
from neo_engine.report.why_rows import find_session, find_tick
from neo_engine.state.queries import open_readonly
from neo_engine.strategy.gates import MANUAL, manual_gates
from neo_engine.tick import Observation, decide
from tests.unit import core_values as core
from tests.unit.state_fixture import NOW
from tests.unit.test_main_loop import Clock, desk, end, ledger
from tests.unit.test_tick import CONFIG, OUR_ASK, OUR_BID, gates, opened, report, seen, working
from tests.unit.test_why import quiet, written

BOTH = Pause(side="both", by="maria", at="2026-11-20T18:00:00.000Z", reason="news")
BID = replace(BOTH, side="bid")
ASK = replace(BOTH, side="ask")


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "neo.db"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def control(db: Path, clock: Clock) -> FileControl:
    return FileControl(db, clock, takes_capital=True)


def again(control: FileControl, clock: Clock) -> list[object]:
    clock.sleep(POLL_SECONDS)
    return list(control.poll())


# the file


def test_a_pause_is_told_once_and_its_end_once(db: Path, control: FileControl, clock: Clock) -> None:
    assert control.poll() == ()
    assert request_pause(db, BID) == pause_path(db)
    assert again(control, clock) == [PauseRequest(pause=BID)]
    assert again(control, clock) == []
    remove_pause(db)
    assert again(control, clock) == [PauseRequest(pause=None)]
    assert again(control, clock) == []


def test_a_pause_that_lies_there_already_is_told_by_the_first_poll(db: Path, clock: Clock) -> None:
    request_pause(db, BOTH)
    assert FileControl(db, clock, takes_capital=False).poll() == (PauseRequest(pause=BOTH),)


def test_a_second_pause_takes_the_place_of_the_first(db: Path, control: FileControl, clock: Clock) -> None:
    request_pause(db, BID)
    control.poll()
    request_pause(db, ASK)
    assert again(control, clock) == [PauseRequest(pause=ASK)]


def test_the_engine_never_removes_the_file(db: Path, control: FileControl) -> None:
    request_pause(db, BID)
    control.done(PauseRequest(pause=BID))
    assert pause_path(db).exists()


def test_a_kill_comes_before_a_pause(db: Path, control: FileControl) -> None:
    request_pause(db, BID)
    request_kill(db, "stop")
    assert control.poll() == (KillRequest(source="file", reason="stop"), PauseRequest(pause=BID))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"  \n",
        b"please stop",
        b"\xff\xfe",
        b"{",
        b"[]",
        b'{"side": "left", "reason": "x"}',
        b'{"side": "bid"}',
        b'{"side": "bid", "reason": 3}',
        b'{"side": "bid", "reason": "x", "until": "never"}',
        b'{"side": "bid", "reason": "' + b"x" * MAX_REQUEST_BYTES + b'"}',
    ],
)
def test_content_that_cannot_be_read_closes_both_sides(db: Path, content: bytes) -> None:
    pause_path(db).write_bytes(content)
    pause = read_pause(pause_path(db))
    assert pause is not None
    assert (pause.side, pause.by) == ("both", "unknown")
    assert pause.at.startswith("20")  # when the file was written
    assert 0 < len(pause.reason) <= MAX_PAUSE_REASON_CHARS


def test_the_words_of_a_file_by_hand_are_kept_as_the_reason(db: Path) -> None:
    pause_path(db).write_text("do not\ntrade", encoding="utf-8")
    pause = read_pause(pause_path(db))
    assert pause is not None
    assert pause.reason.endswith("do not trade")


def test_a_file_that_cannot_be_opened_closes_both_sides(db: Path, control: FileControl, clock: Clock) -> None:
    pause_path(db).mkdir()  # no file to read
    (request,) = again(control, clock)
    assert isinstance(request, PauseRequest)
    assert request.pause is not None
    assert request.pause.side == "both"
    assert again(control, clock) == []


def test_a_file_by_hand_may_leave_out_who_and_when(db: Path) -> None:
    pause_path(db).write_text(json.dumps({"side": "ask", "reason": "  sell\x1b[2J nothing "}), "utf-8")
    pause = read_pause(pause_path(db))
    assert pause is not None
    assert (pause.side, pause.by, pause.reason) == ("ask", "unknown", "sell [2J nothing")
    assert pause.at.startswith("20")


def test_long_words_are_cut(db: Path) -> None:
    request_pause(db, replace(BOTH, by="m" * 100, reason="r" * 1000))
    pause = read_pause(pause_path(db))
    assert pause is not None
    assert (len(pause.by), len(pause.reason)) == (40, MAX_PAUSE_REASON_CHARS)


# the gate and the tick


@pytest.mark.parametrize("pause", [BOTH, BID, ASK])
def test_the_gate_names_side_person_time_and_reason(pause: Pause) -> None:
    (gate,) = manual_gates(pause)
    assert (gate.name, gate.side) == (MANUAL, pause.side)
    assert gate.detail == "maria, 2026-11-20T18:00:00.000Z: news"
    assert manual_gates(None) == ()


@pytest.mark.parametrize(("pause", "left"), [(BID, "ask"), (ASK, "bid"), (BOTH, "none"), (None, "both")])
def test_a_closed_side_is_not_quoted(pause: Pause | None, left: str) -> None:
    decision = decide(opened(), seen(pause=pause), CONFIG, core.NOW)
    assert decision.quoting == left
    assert gates(decision) == ([] if pause is None else [MANUAL])
    assert decision.pricing.half_spread_bps is not None  # the strategy went on


def test_orders_of_a_closed_side_are_cancelled_and_those_of_the_other_stay() -> None:
    state = working(OUR_BID, OUR_ASK)
    decision = decide(state, seen(pause=BID), CONFIG, core.NOW)
    cancels = [one.order_id for one in decision.commands if isinstance(one, CancelOrder)]
    places = [one.replaces for one in decision.commands if isinstance(one, PlaceOrder)]
    assert cancels == [1]
    assert all(one in (None, 2) for one in places)
    everything = decide(state, seen(pause=BOTH), CONFIG, core.NOW)
    assert {type(one) for one in everything.commands} == {CancelOrder}
    assert everything.canceled == 2


@pytest.mark.parametrize(("pause", "canceled", "kept"), [(BOTH, 2, 0), (BID, 0, 2), (None, 0, 2)])
def test_without_a_ledger_only_a_pause_of_both_sides_pulls(
    pause: Pause | None, canceled: int, kept: int
) -> None:
    decision = decide(working(OUR_BID, OUR_ASK), seen("silence", pause=pause), CONFIG, core.NOW)
    assert (decision.canceled, decision.kept) == (canceled, kept)


def following(number: int) -> Observation:
    """The ledgers after the first one, four seconds apart."""
    market = core.snapshot(ledger_index=1001 + number, close_time=core.NOW + 4 * number)
    return seen(report=report(market), ledger_index=1001 + number, close_time=core.NOW + 4 * number)


def test_a_pause_forgets_nothing_that_the_strategy_learned() -> None:
    config = core.with_config("strategy", warmup_ticks=3)
    state, paused = opened(config), opened(config)
    for number in range(4):
        one = following(number)
        state = decide(state, one, config, one.close_time).state
        paused = decide(paused, replace(one, pause=BOTH), config, one.close_time).state
    assert paused.strategy == state.strategy
    last = following(4)
    after = decide(paused, last, config, last.close_time)
    assert (after.quoting, after.gates) == ("both", ())


# the session


def test_a_session_pauses_goes_on_and_quotes_again() -> None:
    d = desk(*(ledger(number) for number in range(1, 8)), end(7))
    d.feed.before[3] = lambda: d.control.asked.append(PauseRequest(pause=BOTH))
    d.feed.before[6] = lambda: d.control.asked.append(PauseRequest(pause=None))
    result = d.run()
    assert result.halt.reason is HaltReason.RECORDING_ENDED
    quoting = [one.quoting for one in d.store.intents if one.kind == "ledger"]
    assert quoting == ["both", "both", "none", "none", "none", "both", "both"]
    manual = [[gate.side for gate in one.gates if gate.name == MANUAL] for one in d.store.intents]
    assert manual[:7] == [[], [], ["both"], ["both"], ["both"], [], []]
    assert d.cancels() == [1, 2]
    assert not any(isinstance(one, PauseRequest) for one in d.control.finished)


def test_a_session_that_starts_paused_never_quotes_before_the_end_of_it() -> None:
    d = desk(ledger(1), ledger(2), ledger(3), end(3))
    d.control.asked.append(PauseRequest(pause=BOTH))
    d.run()
    assert {one.quoting for one in d.store.intents} == {"none"}
    assert not any(one.new_orders for one in d.store.intents)


# what status and why say


def answer(db: Path) -> tuple[list[str], str]:
    with closing(open_readonly(db)) as connection:
        session, engine = find_session(connection, "latest"), engine_on(connection, db, NOW)
        assert session.last_tick is not None
        found = explain(connection, session, find_tick(connection, session, None), engine, now=True)
    return [fact.text for step in found.steps for fact in step.facts], found.verdict


def test_why_names_the_pause_as_the_step_that_stopped_the_quotes(db: Path) -> None:
    (gate,) = manual_gates(BOTH)
    written(db, quiet(1), quiet(2, gates=(gate,)), quiet(3, gates=(gate,)))
    with closing(open_readonly(db)) as connection:
        session, engine = find_session(connection, "latest"), engine_on(connection, db, NOW)
        found = explain(connection, session, find_tick(connection, session, 3), engine, now=False)
    assert found.verdict == (
        "tick 3: no quotes: the quote gate Manual (maria, 2026-11-20T18:00:00.000Z: news)"
    )
    assert (found.step, found.cause) == ("quote gate", MANUAL)


def test_status_and_why_tell_of_a_pause_that_no_tick_has_seen(db: Path) -> None:
    written(db, quiet(1))
    request_pause(db, ASK)
    told, _verdict = answer(db)
    assert "pause file: ask, maria, 2026-11-20T18:00:00.000Z: news" in told
    with closing(open_readonly(db)) as connection:
        assert read_status(connection, db, NOW).pause == ASK
        engine = engine_on(connection, db, NOW)
        empty = untouched(find_session(connection, "latest"), engine)
    assert any(fact.name == "pause file" for fact in empty.steps[0].facts)
    remove_pause(db)
    with closing(open_readonly(db)) as connection:
        assert read_status(connection, db, NOW).pause is None
