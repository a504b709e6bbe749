"""The shell while the database fails: quotes pulled before anything is stored; resumed, or a typed end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from msgspec.structs import replace

from neo_engine.domain.errors import InvariantViolation, StateError
from neo_engine.domain.halt import HaltReason
from neo_engine.domain.ledger import LedgerUpdate
from neo_engine.domain.orders import CancelOrder, OrderStatus, PreparedTransaction, SubmitOutcome
from neo_engine.domain.records import IntentRecord
from neo_engine.ops.clock import Countdown
from neo_engine.outage import (
    OUTAGE_FIRST_SECONDS,
    OUTAGE_MOST_SECONDS,
    STORE_RETRIES,
    STORE_RETRY_SECONDS,
    Commits,
)
from neo_engine.ports import KillRequest
from tests.unit.test_main_loop import Clock, Desk, desk, end, ledger

FOR_EVER = 10**9


def patient(*items: object, seconds: int = 600, **choices: object) -> Desk:
    d = desk(*items, **choices)  # type: ignore[arg-type]
    d.session = replace(d.session, patience=Countdown(d.clock, seconds))
    return d


def ledgers(count: int) -> list[LedgerUpdate]:
    return [ledger(number) for number in range(1, count + 1)]


def storage(record: IntentRecord) -> list[str]:
    return [gate.detail for gate in record.gates if gate.name == "Storage"]


def fails(d: Desk, what: str, times: int, *, call: int) -> None:
    d.feed.before[call] = lambda: d.store.failing.update({what: times})


def test_quotes_are_pulled_before_the_tick_can_be_stored_and_the_session_goes_on_with_it() -> None:
    d = patient(*ledgers(8), end(8))
    fails(d, "intent", STORE_RETRIES + 4, call=3)
    result = d.run()
    assert result.halt.reason is HaltReason.RECORDING_ENDED
    assert [record.tick for record in d.store.intents] == list(range(1, 10))
    pulled = d.store.intents[2]
    assert storage(pulled) == ["intent: the disk is full"]
    assert {one.order_id for one in pulled.prepared} == {1, 2}
    assert not pulled.quotes
    # submit of the cancels comes before their intent, and their answers right after it
    at = [place for place, what in enumerate(d.store.log) if what == "intent"][2]
    assert d.store.log[at - 1 : at + 2] == ["submit", "intent", "outcome"]
    (answers,) = [one for one in d.store.outcomes if one.tick == 3]
    assert {one.tx_hash for one in answers.outcomes} == {one.tx_hash for one in pulled.prepared}
    # the ledger confirms the cancels, and the next tick quotes again
    closed = {one.order_id: one.status for one in d.store.intents[3].changed_orders}
    assert closed == {1: OrderStatus.CANCELED, 2: OrderStatus.CANCELED}
    assert d.store.intents[3].quoting == "both"
    assert all(not storage(record) for record in d.store.intents if record is not pulled)


def test_what_was_prepared_for_the_failed_tick_is_taken_back_with_its_numbers() -> None:
    d = patient(*ledgers(8), end(8))
    fails(d, "intent", STORE_RETRIES + 1, call=1)  # its two new orders are never sent
    d.run()
    first = d.store.intents[0]
    assert storage(first)
    assert (first.prepared, first.new_orders) == ((), ())
    numbers = [one.account_sequence for record in d.store.intents for one in record.prepared]
    assert numbers == list(range(1, len(numbers) + 1))  # no hole: the ledger would wait at it for ever
    orders = [order.order_id for record in d.store.intents for order in record.new_orders]
    assert orders == list(range(1, len(orders) + 1))


def test_an_outage_in_a_tick_that_would_change_nothing_pulls_as_well() -> None:
    d = patient(*ledgers(4), end(4))
    fails(d, "intent", STORE_RETRIES, call=4)
    d.run()
    assert d.cancels()[-2:] == [1, 2]


def test_orders_still_on_their_way_are_cancelled_too() -> None:
    d = patient(*ledgers(9), end(9), delay=3)
    fails(d, "intent", STORE_RETRIES, call=2)  # the two orders of tick 1 are in no ledger yet
    d.run()
    assert {one.order_id for one in d.store.intents[1].prepared} == {1, 2}
    closed = {one.order_id: one.status for record in d.store.intents for one in record.changed_orders}
    assert (closed[1], closed[2]) == (OrderStatus.CANCELED, OrderStatus.CANCELED)
    assert all(view.report is None or not view.report.account.offers for view in d.views[4:5])


def test_the_waits_double_up_to_half_a_minute() -> None:
    d = patient(*ledgers(3), end(3), seconds=FOR_EVER)
    moments: list[float] = []
    commit = d.store.commit_intent

    def noted(record: IntentRecord) -> None:
        moments.append(d.clock.now)
        commit(record)

    d.store.commit_intent = noted  # type: ignore[method-assign]
    fails(d, "intent", STORE_RETRIES + 9, call=3)
    d.run()
    waits = [after - before for before, after in pairwise(moments[2 : 2 + STORE_RETRIES + 10])]
    assert waits[: STORE_RETRIES - 1] == [STORE_RETRY_SECONDS] * (STORE_RETRIES - 1)
    assert waits[STORE_RETRIES - 1 :] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30]
    assert (OUTAGE_FIRST_SECONDS, OUTAGE_MOST_SECONDS) == (0.5, 30)


@pytest.mark.parametrize(("seconds", "waited"), [(0, 1.0), (60, 61.0)])
def test_patience_that_is_spent_ends_the_session_with_its_quotes_pulled(seconds: int, waited: float) -> None:
    d = patient(*ledgers(9), seconds=seconds)
    fails(d, "intent", FOR_EVER, call=3)
    at: list[float] = []
    d.store.abandon_session = lambda _end: "given up"  # type: ignore[method-assign, return-value]
    pulled = d.exchange.submit

    def noted(prepared: Sequence[PreparedTransaction]) -> tuple[SubmitOutcome, ...]:
        at.append(d.clock.now)
        return pulled(prepared)

    d.exchange.submit = noted  # type: ignore[method-assign]
    result = d.run()
    assert result.halt.reason is HaltReason.STATE_FAILURE
    assert "the disk is full" in result.halt.detail
    assert "2 cancels sent without a record" in result.halt.detail
    assert d.cancels()[:2] == [1, 2]
    assert result.ticks == 2
    if seconds:
        assert at[-1] == 1.0  # pulled when it began, and not a second time
        assert d.clock.now == waited
    else:
        assert d.clock.now <= 2 * waited


def test_a_first_signal_lets_the_outage_be_waited_out_and_a_second_one_does_not() -> None:
    for count, reason in ((1, HaltReason.INTERRUPTED_SIGINT), (2, HaltReason.STATE_FAILURE)):
        d = patient(*ledgers(9))
        sleep = d.clock.sleep
        due = [10.0, 20.0][:count]

        def slept(
            seconds: float, sleep: Callable[[float], None] = sleep, due: list[float] = due, d: Desk = d
        ) -> None:
            sleep(seconds)
            while due and d.clock.now >= due[0]:
                due.pop(0)
                d.signals._note(signal.SIGINT, None)

        d.clock.sleep = slept  # type: ignore[method-assign]
        fails(d, "intent", STORE_RETRIES + 6, call=3)
        result = d.run()
        assert result.halt.reason is reason
        if count == 2:
            assert "a second signal came after SIGINT" in result.halt.detail
            assert d.clock.now == pytest.approx(20.0, abs=0.3)


def test_a_kill_while_the_database_fails_ends_the_session_at_once() -> None:
    d = patient(*ledgers(9))
    kill = KillRequest(source="file", reason="enough")
    fails(d, "intent", FOR_EVER, call=3)
    sleep = d.clock.sleep

    def slept(seconds: float) -> None:
        sleep(seconds)
        if d.clock.now == 10.0:
            d.control.asked.append(kill)

    d.clock.sleep = slept  # type: ignore[method-assign]
    result = d.run()
    assert result.halt.reason is HaltReason.STATE_FAILURE
    assert "the kill switch was pulled (file: enough)" in result.halt.detail
    assert d.clock.now == 10.0
    assert d.cancels() == [1, 2]


def test_answers_that_cannot_be_stored_go_before_the_next_tick() -> None:
    d = patient(*ledgers(5), end(5))
    fails(d, "outcome", STORE_RETRIES, call=1)
    result = d.run()
    assert result.halt.reason is HaltReason.RECORDING_ENDED
    assert [record.kind for record in d.store.intents[:3]] == ["ledger", "silence", "ledger"]
    assert d.store.log[1:6] == ["intent", "flush", "submit", "outcome", "intent"]
    sent = {one.tx_hash for one in d.store.intents[0].prepared}
    assert {one.tx_hash for one in d.store.outcomes[0].outcomes} == sent
    assert not any(storage(record) for record in d.store.intents)  # it had passed: nothing was pulled


def test_answers_that_cannot_be_stored_for_long_pull_the_quotes() -> None:
    d = patient(*ledgers(5), end(5))
    fails(d, "outcome", 2 * STORE_RETRIES + 3, call=1)
    result = d.run()
    assert result.halt.reason is HaltReason.RECORDING_ENDED
    pulled = d.store.intents[1]
    assert (pulled.kind, storage(pulled)) == ("silence", ["outcome: the disk is full"])
    assert {one.order_id for one in pulled.prepared} == {1, 2}
    assert [one.tick for one in d.store.outcomes][:2] == [1, 2]


def test_every_answer_is_stored_once_whatever_fails() -> None:
    d = patient(*ledgers(12), end(12))
    for call in range(1, 12):
        fails(d, "outcome" if call % 2 else "intent", STORE_RETRIES + call % 4, call=call)
    d.run()
    sent = [one.tx_hash for record in d.store.intents for one in record.prepared]
    answered = [one.tx_hash for record in d.store.outcomes for one in record.outcomes]
    assert sorted(answered) == sorted(sent)
    assert len(set(sent)) == len(sent)


def test_the_silence_is_counted_anew_after_an_outage() -> None:
    """Nobody asked the feed meanwhile: that is no silence of its, and must not halt the session."""
    d = patient(*ledgers(6), None, None, *(ledger(number) for number in range(7, 12)), live=True)
    fails(d, "intent", STORE_RETRIES + 10, call=6)  # more than three minutes
    d.feed.before[30] = lambda: d.signals._note(signal.SIGTERM, None)
    result = d.run()
    assert d.clock.now > 150
    assert result.halt.reason is HaltReason.INTERRUPTED_SIGTERM


def test_the_end_of_a_session_is_not_waited_for() -> None:
    d = patient(ledger(1), end(1))
    d.feed.before[2] = lambda: d.store.failing.update(end=FOR_EVER)
    d.run()
    assert [one.halt_reason for one in d.store.abandoned] == ["recording_ended"]
    assert d.clock.now < 5


def test_what_was_sent_cannot_be_withdrawn() -> None:
    d = desk(ledger(1))
    cancel = CancelOrder(order_id=1, offer_sequence=1, reason="test")
    (one,) = d.exchange.prepare([cancel], 100)
    d.exchange.submit([one])
    with pytest.raises(InvariantViolation, match="it was sent"):
        d.exchange.withdraw([one])
    first, second = d.exchange.prepare([cancel, cancel], 100)
    with pytest.raises(InvariantViolation, match="later ones are in use"):
        d.exchange.withdraw([first])
    del second


@pytest.mark.parametrize(("limit", "after", "spent"), [(0, 0.0, True), (5, 4.75, False), (5, 5.0, True)])
def test_patience_is_spent_at_its_limit(limit: int, after: float, spent: bool) -> None:
    clock = Clock()
    clock.sleep(100)
    timer = Countdown(clock, limit)
    timer.begin()
    timer.wait(after)
    assert timer.spent() is spent


def test_a_database_that_fails_is_told_each_time() -> None:
    told: list[str] = []

    def note(error: StateError) -> None:
        told.append(str(error))

    def refuse() -> None:
        raise StateError("full")

    commits = Commits(Countdown(Clock(), 3), failed=note, ended=lambda: "")
    with pytest.raises(StateError, match="full"):
        commits.at_once(refuse)
    assert len(told) == STORE_RETRIES
    commits.begin(StateError("full"))
    with pytest.raises(StateError, match="full"):
        commits.patiently(refuse, StateError("full"))
    assert len(told) == STORE_RETRIES + 2  # after 0.5 and 1.5 s; the next would be at 3.5
