"""Clocks that jump, machines that sleep, summer time: what the engine makes of the time it is told."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from neo_engine.domain.clock import utc_text
from neo_engine.domain.halt import HaltReason
from neo_engine.ops.clock import ASLEEP_SECONDS, SilenceTimer, SystemClock, iso
from neo_engine.xrpl.outbox import Outbox
from tests.unit import ledger_fixture as ledgers
from tests.unit.played_gateway import PlayedGateway
from tests.unit.test_main_loop import START, Clock, desk, end, ledger

PULL = 12  # as the desk's timer; risk.stale_pull_seconds of the delivered configuration lies below it
HOUR = 3_600.0


def test_a_machine_that_slept_counts_as_silent_just_long_enough_to_pull() -> None:
    clock = Clock()
    timer = SilenceTimer(clock, 4, 500, pull_seconds=PULL)
    clock.sleep(0.25)
    assert timer.due() is None
    clock.sleep(HOUR)
    assert timer.due() == 500 + PULL
    clock.sleep(3.75)
    assert timer.due() is None
    clock.sleep(0.25)
    assert timer.due() == 500 + PULL + 4  # from here on silence is silence again


@pytest.mark.parametrize(("seconds", "slept"), [(PULL, False), (PULL + 0.5, True)])
def test_a_loop_that_is_held_up_a_little_has_not_slept(seconds: float, slept: bool) -> None:
    clock = Clock()
    timer = SilenceTimer(clock, 4, 500, pull_seconds=PULL)
    clock.sleep(seconds)
    timer.ledger(504)
    assert (timer.due() is not None) is slept
    assert PULL > ASLEEP_SECONDS


def test_after_an_hour_of_sleep_the_first_thing_is_a_pull_and_the_session_goes_on() -> None:
    later = START + 8 + int(HOUR)
    waking = [
        ledgers.update(ledger_index=102 + number, close_time=later + 4 * number) for number in range(1, 6)
    ]
    d = desk(ledger(1), ledger(2), None, None, *waking, live=True)
    d.feed.before[3] = lambda: d.clock.sleep(HOUR)
    d.feed.before[10] = lambda: d.session.signals._note(2, None)  # type: ignore[attr-defined]
    result = d.run()
    first = d.store.intents[2]
    assert (first.kind, first.gates[0].name) == ("silence", "StaleData")
    assert {one.order_id for one in first.prepared} == {1, 2}
    assert result.halt.reason is HaltReason.INTERRUPTED_SIGINT
    assert "both" in [record.quoting for record in d.store.intents[3:]]


def test_a_ledger_from_before_the_sleep_is_not_decided_on_and_the_quotes_are_pulled_right_after_it() -> None:
    old = replace(ledger(3), overtaken=True)  # as the gateway tells it
    d = desk(ledger(1), ledger(2), old, None, live=True)
    d.feed.before[3] = lambda: d.clock.sleep(HOUR)
    d.feed.before[6] = lambda: d.session.signals._note(2, None)  # type: ignore[attr-defined]
    d.run()
    assert [gate.name for gate in d.store.intents[2].gates] == ["Behind"]
    assert d.store.intents[3].kind == "silence"
    assert {one.order_id for one in d.store.intents[3].prepared} == {1, 2}


@pytest.mark.parametrize(("waited", "overtaken"), [(10.0, False), (10.25, True)])
def test_a_ledger_that_waited_too_long_is_told_as_overtaken(waited: float, overtaken: bool) -> None:
    clock = Clock()
    (bundle, *_) = PlayedGateway(ledgers=1).bundles
    outbox = Outbox(clock.monotonic, 10.0)
    outbox.ledger(bundle)
    clock.sleep(waited)
    taken = outbox.next(0.0)
    assert taken == replace(bundle, overtaken=overtaken)


class Jumping(Clock):
    """A wall clock that is set back an hour, and further, each time it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.wall = datetime(2026, 10, 25, 0, 59, tzinfo=UTC)

    def utc_now(self) -> datetime:
        self.wall -= timedelta(hours=1)
        return self.wall


def test_a_wall_clock_that_steps_back_changes_no_decision() -> None:
    items = [ledger(number) for number in range(1, 12)]
    straight = desk(*items, end(11), live=True)
    jumping = desk(*items, end(11), live=True)
    jumping.session = replace(jumping.session, clock=Jumping())
    assert jumping.run().fingerprint == straight.run().fingerprint
    assert jumping.store.ends[0].ended_at < jumping.store.starts[0].started_at  # it was read


@pytest.fixture
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no tzset")
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/St_Johns", "Pacific/Apia"], indirect=True)
@pytest.mark.usefixtures("zone")
def test_times_are_utc_in_every_zone_and_on_the_day_the_clocks_change() -> None:
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # 02:30 in Berlin, twice that night
    told = [iso(first + timedelta(hours=number)) for number in range(3)]
    assert told == [f"2026-10-25T0{number}:30:00.000Z" for number in range(3)]
    assert abs(SystemClock().utc_now().timestamp() - time.time()) < 5
    assert utc_text(814_838_400 + 1_800) < utc_text(814_838_400 + 5_400)


def test_a_leap_second_is_no_second_of_the_ledgers_clock() -> None:
    """Ledger times count days of 86,400 s (POSIX): the end of 2016, which had a leap second."""
    days = (datetime(2017, 1, 1, tzinfo=UTC) - datetime(2000, 1, 1, tzinfo=UTC)).days
    assert utc_text(days * 86_400) == "2017-01-01T00:00:00Z"
    assert utc_text(days * 86_400 - 1) == "2016-12-31T23:59:59Z"


@pytest.mark.skipif(sys.platform != "linux", reason="CLOCK_BOOTTIME is Linux's")
def test_the_monotonic_clock_goes_on_in_a_suspend() -> None:
    assert abs(SystemClock().monotonic() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 5
    before = SystemClock().monotonic()
    assert SystemClock().monotonic() >= before
