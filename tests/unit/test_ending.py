"""How long the end of a session may take, and what it says it leaves."""

from __future__ import annotations

import signal
from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from neo_engine.domain.halt import HaltReason
from neo_engine.domain.orders import PreparedTransaction, SubmitClass, SubmitOutcome
from neo_engine.ending import Ending
from neo_engine.ops.clock import Countdown
from neo_engine.ops.signals import SignalFlags
from tests.unit.test_main_loop import Clock, Desk, desk, ledger, quick
from tests.unit.test_outage import FOR_EVER, fails

SECONDS = 30


def ending(*, ledgers: int = 3, timed: bool = True) -> tuple[Ending, Clock, SignalFlags]:
    clock, signals = Clock(), SignalFlags()
    limits = quick(shutdown_ledgers=ledgers, shutdown_seconds=SECONDS).engine
    return Ending(limits, signals, Countdown(clock, SECONDS) if timed else None), clock, signals


def test_nothing_is_over_before_it_has_begun() -> None:
    one, clock, signals = ending(ledgers=0)
    clock.sleep(1_000)
    signals.count = 2
    one.ledger()
    assert (one.over(), one.late(), one.left(2)) == (
        "",
        "",
        "; 2 orders still work, their cancels are under way or refused",
    )


@pytest.mark.parametrize(
    ("after", "late"), [(SECONDS - 0.25, ""), (SECONDS, "the end took longer than 30 s")]
)
def test_the_seconds_count_from_its_beginning(after: float, late: str) -> None:
    one, clock, _signals = ending()
    clock.sleep(500)
    one.begin()
    clock.sleep(after)
    one.begin()  # a second cause changes nothing
    assert (one.late(), one.over()) == (late, late)


def test_without_a_clock_only_ledgers_count() -> None:
    one, clock, _signals = ending(timed=False)
    one.begin()
    clock.sleep(1_000)
    one.ledger()
    one.ledger()
    assert one.over() == ""
    one.ledger()
    assert one.over() == "3 ledgers or intervals were waited for"
    assert one.late() == ""  # so an outage of the database is not cut short by them


def test_a_second_signal_ends_it_and_is_named() -> None:
    one, _clock, signals = ending()
    one.begin()
    signals.count = 1
    assert one.over() == ""
    signals.count = 2
    told = one.left(1)
    assert told == "; 1 orders still work, their cancels are under way or refused (a second signal came)"
    assert one.left(0) == ""


def stopped(d: Desk, call: int) -> None:
    d.feed.before[call] = lambda: d.signals._note(signal.SIGTERM, None)


def timed(*items: object, seconds: int = SECONDS) -> Desk:
    config = quick(shutdown_ledgers=1_000, shutdown_seconds=seconds)
    d = desk(*items, live=True, config=config)  # type: ignore[arg-type]
    clock = d.clock
    d.session = replace(d.session, patience=Countdown(clock, 600), ending=Countdown(clock, seconds))
    return d


def test_on_a_live_feed_the_end_takes_no_longer_than_shutdown_seconds() -> None:
    d = timed(ledger(1), ledger(2))  # then the network stands still: no ledger ever confirms a cancel
    stopped(d, 5)
    result = d.run()
    began = 3 * 0.25
    assert result.halt.reason is HaltReason.INTERRUPTED_SIGTERM
    assert d.clock.now - began == pytest.approx(SECONDS, abs=0.5)
    assert d.cancels()[:2] == [1, 2]


def test_the_seconds_bound_an_outage_in_the_end_too() -> None:
    d = timed(ledger(1), ledger(2))
    stopped(d, 5)
    fails(d, "intent", FOR_EVER, call=4)
    d.store.abandon_session = lambda _end: "given up"  # type: ignore[method-assign, return-value]
    result = d.run()
    assert result.halt.reason is HaltReason.STATE_FAILURE
    assert f"the end took longer than {SECONDS} s while it was tried again" in result.halt.detail
    assert SECONDS <= d.clock.now <= SECONDS + 5


def test_cancels_lost_on_their_way_in_an_outage_are_sent_again_before_each_try() -> None:
    d = timed(*(ledger(number) for number in range(1, 9)))
    fails(d, "intent", 3 + 4, call=3)
    stopped(d, 12)
    submit, sent = d.exchange.submit, list[tuple[float, list[int]]]()
    taken: dict[str, SubmitOutcome] = {}  # a server takes a transaction once, however often it comes

    def lossy(prepared: Sequence[PreparedTransaction]) -> tuple[SubmitOutcome, ...]:
        new = [one for one in prepared if one.tx_hash not in taken]
        taken.update({one.tx_hash: one for one in submit(new)})
        outcomes = tuple(taken[one.tx_hash] for one in prepared)
        sent.append((d.clock.now, [one.order_id for one in outcomes]))
        if len(sent) not in (2, 3):
            return outcomes
        lost = outcomes if len(sent) == 3 else outcomes[1:]
        return (*outcomes[: len(outcomes) - len(lost)], *(unknown(one) for one in lost))

    def unknown(one: SubmitOutcome) -> SubmitOutcome:
        return replace(one, outcome=SubmitClass.UNKNOWN, code="lost")

    d.exchange.submit = lossy  # type: ignore[method-assign]
    d.run()
    # the new orders; both cancels, of which the second's answer is lost; it again, lost again; and once more
    assert [orders for _now, orders in sent[:4]] == [[1, 2], [1, 2], [2], [2]]
    assert [now for now, _orders in sent[1:4]] == [1.0, 1.5, 2.5]
    (answers,) = [one for one in d.store.outcomes if one.tick == 3]
    assert [(one.order_id, one.outcome) for one in answers.outcomes] == [
        (1, SubmitClass.ACCEPTED),
        (2, SubmitClass.ACCEPTED),
    ]
