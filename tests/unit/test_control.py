"""What the operator leaves beside the database: the kill file and the inbox of capital events."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from neo_engine.domain.capital import CapitalEvent, CapitalKind
from neo_engine.domain.errors import BadNumber, StateError
from neo_engine.ops.control import (
    MAX_REQUEST_BYTES,
    POLL_SECONDS,
    FileControl,
    capital_amounts,
    inbox_path,
    kill_path,
    request_capital,
    request_kill,
)
from neo_engine.ports import KillRequest
from tests.unit.core_values import XRP, D, capital

EVENT = capital(CapitalKind.DEPOSIT, drops=5 * XRP, request_id="r1")


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def utc_now(self) -> datetime:
        return datetime(2026, 11, 20, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


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


def left(db: Path) -> list[str]:
    return sorted(path.name for path in inbox_path(db).iterdir())


def written(db: Path, text: str, name: str = "20261120-x.json") -> Path:
    inbox_path(db).mkdir(exist_ok=True)
    path = inbox_path(db) / name
    path.write_text(text, encoding="utf-8")
    return path


def content(**changes: object) -> str:
    fields: dict[str, object] = {
        "request_id": "r9",
        "kind": "deposit",
        "base_drops": "1",
        "quote": "0",
        "note": "",
        "created_at": "2026-11-20T00:00:00Z",
    }
    return json.dumps(fields | changes)


def test_without_files_nothing_is_asked(control: FileControl) -> None:
    assert control.poll() == ()


# the kill file


def test_a_kill_file_is_a_request_to_stop_with_its_text(db: Path, control: FileControl) -> None:
    assert request_kill(db, "something smells") == kill_path(db)
    assert control.poll() == (KillRequest(source="file", reason="something smells"),)


def test_an_empty_or_unreadable_kill_file_stops_all_the_same(
    db: Path, control: FileControl, clock: Clock
) -> None:
    kill_path(db).write_bytes(b"")
    assert control.poll() == (KillRequest(source="file", reason="kill file found"),)
    kill_path(db).write_bytes(b"\xff\xfe")
    (request,) = again(control, clock)
    assert isinstance(request, KillRequest)
    assert request.reason
    kill_path(db).unlink()
    kill_path(db).mkdir()  # cannot be read as a file
    assert again(control, clock) == [KillRequest(source="file", reason="kill file found")]


def test_the_kill_file_stays_until_it_is_done_with(db: Path, control: FileControl, clock: Clock) -> None:
    request_kill(db, "stop")
    (request,) = control.poll()
    assert again(control, clock) == [request]
    control.done(request)
    assert not kill_path(db).exists()
    assert again(control, clock) == []


def test_a_kill_is_seen_within_a_twentieth_of_a_second(db: Path, control: FileControl, clock: Clock) -> None:
    control.poll()
    request_kill(db, "stop")
    clock.sleep(0.04)
    assert control.poll() == ()  # no look at the disk in between
    clock.sleep(0.01)
    assert len(control.poll()) == 1


def test_a_kill_file_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    blocker = tmp_path / "blocker"
    blocker.write_text("", encoding="utf-8")
    with pytest.raises(StateError, match="blocker"):
        request_kill(blocker / "neo.db", "stop")


# the inbox


def test_a_capital_event_arrives_as_it_was_asked_and_once(
    db: Path, control: FileControl, clock: Clock
) -> None:
    asked = capital(CapitalKind.WITHDRAWAL, rlusd="7.25", request_id="r2")
    request_capital(db, asked)
    assert control.poll() == (asked,)
    assert again(control, clock) == []
    assert len(left(db)) == 1  # it stays until its effect is on disk
    control.done(asked)
    assert left(db) == []


def test_events_arrive_in_the_order_of_their_times(db: Path, control: FileControl) -> None:
    late = capital(CapitalKind.DEPOSIT, drops=1, request_id="a")
    early = CapitalEvent(
        request_id="b",
        kind=CapitalKind.DEPOSIT,
        base_drops=2,
        quote=D(0),
        note="",
        created_at="2026-11-19T00:00:00Z",
    )
    request_capital(db, late)
    request_capital(db, early)
    assert control.poll() == (early, late)


def test_the_same_request_in_two_files_is_one_request(db: Path, control: FileControl, clock: Clock) -> None:
    request_capital(db, EVENT)
    written(db, content(request_id="r1", base_drops=str(5 * XRP)))
    assert [one for one in control.poll() if isinstance(one, CapitalEvent)] == [EVENT]
    assert again(control, clock) == []
    control.done(EVENT)
    assert left(db) == []


def test_a_program_that_starts_again_sees_what_was_not_done(db: Path, clock: Clock) -> None:
    request_capital(db, EVENT)
    assert FileControl(db, clock, takes_capital=True).poll() == (EVENT,)
    assert FileControl(db, clock, takes_capital=True).poll() == (
        EVENT,
    )  # the first one died before its effect was on disk


def test_a_session_that_takes_no_capital_leaves_the_inbox_and_still_sees_the_kill(
    db: Path, clock: Clock
) -> None:
    request_capital(db, EVENT)
    request_kill(db, "stop")
    replaying = FileControl(db, clock, takes_capital=False)
    assert replaying.poll() == (KillRequest(source="file", reason="stop"),)
    assert len(left(db)) == 1


def test_a_half_written_file_is_never_read(db: Path, control: FileControl) -> None:
    # The writer's temporary name starts with a dot and does not end in .json (glob passes it by).
    written(db, '{"request_id": "r', name=".20261120-x.json.4711")
    assert control.poll() == ()
    assert left(db) == [".20261120-x.json.4711"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        content(kind="opening"),
        content(kind="gift"),
        content(base_drops="0"),
        content(base_drops="1", quote="1"),
        content(base_drops="-1"),
        content(base_drops="1.5"),
        content(base_drops="0", quote="-1"),
        content(base_drops="0", quote="NaN"),
        content(base_drops="0", quote="1.00000000000000001"),
        content(base_drops=1),
        content(unknown="x"),
        content(note="x" * MAX_REQUEST_BYTES),
    ],
    ids=[
        "empty",
        "half",
        "list",
        "opening",
        "kind",
        "zero",
        "both",
        "negative",
        "part",
        "minus",
        "nan",
        "digits",
        "number",
        "unknown",
        "long",
    ],
)
def test_a_file_that_is_no_capital_event_is_set_aside_and_named(
    db: Path, control: FileControl, clock: Clock, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    path = written(db, text)
    log = logging.getLogger("neo_engine")
    log.addHandler(caplog.handler)  # whether or not it hands its lines on to the root
    try:
        assert control.poll() == ()
    finally:
        log.removeHandler(caplog.handler)
    assert left(db) == ["20261120-x.refused"]
    assert path.with_suffix(".refused").name in caplog.text
    assert again(control, clock) == []  # and not tried again


def test_a_file_taken_back_before_it_is_read_is_no_event(db: Path, control: FileControl) -> None:
    inbox_path(db).mkdir()
    (inbox_path(db) / "gone.json").symlink_to(inbox_path(db) / "nowhere")
    assert control.poll() == ()


def test_being_done_with_a_request_of_no_file_is_nothing(control: FileControl) -> None:
    control.done(EVENT)
    control.done(KillRequest(source="file", reason=""))


# amounts as a person types them


def test_amounts_are_exact_drops_or_tokens_and_anything_else_is_refused() -> None:
    assert capital_amounts("xrp", D("1.000001"), "RLUSD") == (1_000_001, D(0))
    assert capital_amounts("rlusd", D("2.5"), "RLUSD") == (0, D("2.5"))
    with pytest.raises(BadNumber, match="whole number of drops"):
        capital_amounts("XRP", D("0.0000001"), "RLUSD")
    with pytest.raises(BadNumber, match="greater than zero"):
        capital_amounts("XRP", D(0), "RLUSD")
    with pytest.raises(BadNumber, match="use XRP or RLUSD"):
        capital_amounts("BTC", D(1), "RLUSD")
