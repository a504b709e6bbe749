"""When faults begin and end, what they draw, and what a schedule may say."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from neo_engine.simulator.server.bending import bend
from neo_engine.simulator.server.fault_schedule import (
    HOWS,
    KINDS,
    BadSchedule,
    Moment,
    Place,
    Schedule,
    parse_fault,
    parse_schedule,
    shuffled,
)

FRAME = b'{"id":7,"result":{"ledger_index":12,"fee":"10","lines":[{"balance":"1.5"}]},"status":"success"}'


def at(**figures: Any) -> Moment:
    return msgspec.structs.replace(Moment(ledger=10), **figures)


def schedule(text: str, seed: int = 1) -> Schedule:
    return Schedule(parse_schedule(text), seed)


def on(one: Schedule, place: Place, moment: Moment, path: str = "/") -> list[str]:
    return [running.fault.name for running in one.active(place, moment, path)]


def requests_hit(one: Schedule, commands: list[str], path: str = "/") -> list[int]:
    """The numbers of the requests whose reply a fault touches."""
    hit = []
    for number, command in enumerate(commands, start=1):
        now = at(request=number)
        one.on_request(now)
        if one.take(now, path, command):
            hit.append(number)
    return hit


def test_a_fault_of_replies_begins_with_its_request_and_lasts_its_count() -> None:
    assert requests_hit(schedule("[{fault: slow_down, at_request: 3, for: 2 requests}]"), ["fee"] * 6) == [
        3,
        4,
    ]


def test_a_fault_for_one_command_counts_the_requests_of_that_command_only() -> None:
    one = schedule("[{fault: drop, at_request: 1, for: 2 requests, parameters: {command: submit}}]")
    assert requests_hit(one, ["fee", "submit", "fee", "submit", "submit"]) == [2, 4]


def test_every_so_many_requests_it_begins_anew() -> None:
    assert requests_hit(schedule("[{fault: drop, every: 3 requests}]"), ["fee"] * 9) == [3, 6, 9]


def test_a_fault_of_ledgers_covers_its_ledger_until_the_messages_are_out() -> None:
    one = schedule("[{fault: gap, at_ledger: 10, for: 2 ledgers}]")
    shown = []
    for ledger in range(9, 13):
        one.on_ledger(at(ledger=ledger))
        shown.append(on(one, Place.STREAM, at(ledger=ledger)))
    assert shown == [[], ["gap"], ["gap"], []]


def test_a_stall_counts_closes_since_the_ledger_does_not_move() -> None:
    one = schedule("[{fault: stall, at_ledger: 10, for: 3 ledgers}]")
    one.on_ledger(at())
    assert [on(one, Place.CLOCK, at(closes=count)) for count in range(5)] == [*[["stall"]] * 3, [], []]


def test_seconds_are_those_of_the_clock_it_is_told() -> None:
    one = schedule("[{fault: lag, at_ledger: 10, for: 2.5s}]")
    one.on_ledger(at(seconds=100.0))
    assert on(one, Place.VIEW, at(ledger=99, seconds=102.4)) == ["lag"]
    assert on(one, Place.VIEW, at(ledger=99, seconds=102.5)) == []


def test_a_fault_with_a_path_is_seen_there_only() -> None:
    one = schedule("[{fault: lag, at_ledger: 10, parameters: {path: /second}}]")
    one.on_ledger(at())
    assert on(one, Place.VIEW, at(), "/second") == ["lag"]
    assert on(one, Place.VIEW, at(), "/") == []


def test_a_deed_happens_once_and_is_never_on() -> None:
    one = schedule("[{fault: reserve, at_ledger: 10, parameters: {base: 5}}]")
    assert [running.fault.name for running in one.on_ledger(at())] == ["reserve"]
    assert on(one, Place.LEDGER, at()) == []
    assert one.on_ledger(at(ledger=11)) == ()


def test_clearing_ends_what_is_on() -> None:
    one = schedule("[{fault: gap, at_ledger: 10, for: 99 ledgers}, {fault: stall, at_ledger: 10}]")
    one.on_ledger(at())
    assert one.clear() == 2
    assert on(one, Place.STREAM, at()) == on(one, Place.CLOCK, at()) == []


def drawn(seed: int) -> list[float]:
    one = schedule("[{fault: latency, every: 1 requests}]", seed)
    values = []
    for number in range(1, 6):
        now = at(request=number)
        one.on_request(now)
        values += [one.draw(running).random() for running in one.take(now, "/", "fee")]
    return values


def test_the_same_seed_draws_the_same_and_another_draws_otherwise() -> None:
    assert drawn(3) == drawn(3)
    assert len(set(drawn(3))) == 5
    assert not set(drawn(3)) & set(drawn(4))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not YAML"),
        ("gap: 1", "must be a YAML list"),
        ("[5]", "faults[0]: must be a mapping"),
        ("[{fault: gap, at_ledger: 1, wen: 2}]", "unknown key 'wen'"),
        ("[{fault: gap}]", "give one of at_ledger, at_request and every"),
        ("[{fault: gap, at_ledger: 1, at_request: 1}]", "give one of"),
        ("[{fault: gap, at_ledger: 0}]", "faults[0].at_ledger: must be a whole number from 1"),
        ("[{fault: gap, at_ledger: true}]", "must be a whole number"),
        ("[{fault: gap, every: 5s}]", "counts ledgers or requests"),
        ("[{fault: gap, every: 1.5 ledgers}]", "must be above zero, and whole"),
        ("[{fault: gap, at_ledger: 1, for: 0 ledgers}]", "must be above zero"),
        ("[{fault: gap, at_ledger: 1, for: long}]", "must be like `3 ledgers`"),
        ("[{fault: gap, at_ledger: 1}, {fault: gep, at_ledger: 1}]", "faults[1]: no fault named 'gep'"),
        ("[{at_ledger: 1}]", "no fault named None"),
        ("[{fault: gap, at_ledger: 1, parameters: 5}]", "parameters: must be a mapping"),
        ("[{fault: gap, at_ledger: 1, parameters: {x: 1}}]", "unknown parameter 'x'; there are: path"),
        ("[{fault: reserve, at_ledger: 1, for: 3 ledgers}]", "reserve happens once"),
        ("[{fault: freeze, at_ledger: 1}]", "parameters.account: must be given"),
        ("[{fault: lag, at_ledger: 1, parameters: {ledgers: 1.5}}]", "must be a whole number"),
        ("[{fault: lag, at_ledger: 1, parameters: {ledgers: 61}}]", "must be 60 at most"),
        ("[{fault: latency, at_ledger: 1, parameters: {seconds: -1}}]", "must be a number, zero or more"),
        (
            "[{fault: drop, at_ledger: 1, parameters: {command: 5}}]",
            "must be a text; put it in quotation marks",
        ),
        ("[{fault: malformed_reply, at_ledger: 1, parameters: {how: bad}}]", "one of cut, nan, absurd, type"),
    ],
)
def test_a_schedule_that_cannot_be_followed_names_the_item_and_the_remedy(text: str, told: str) -> None:
    with pytest.raises(BadSchedule, match=re.escape(told)):
        parse_schedule(text)


def test_every_fault_can_be_asked_for_with_its_required_parameters() -> None:
    for name, kind in KINDS.items():
        needed = {key: "r" for key, default in kind.parameters.items() if default is None}
        fault = parse_fault(name, needed, None, "fault")
        assert (fault.place, fault.lasts) == (kind.place, kind.lasts)


def test_messages_in_another_order_are_all_there_and_never_as_they_were() -> None:
    for seed in range(30):
        for count in (2, 3, 7):
            messages = [b"%d" % number for number in range(count)]
            mixed = shuffled(messages, random.Random(seed))
            assert sorted(mixed) == messages
            assert mixed != messages


@pytest.mark.parametrize("how", HOWS)
def test_a_bent_frame_is_not_the_frame_but_still_names_its_request(how: str) -> None:
    for seed in range(30):
        bent = bend(FRAME, how, random.Random(seed))
        assert bent != FRAME
        if how == "cut":
            with pytest.raises(json.JSONDecodeError):
                json.loads(bent)
            continue
        body = json.loads(bent)  # Python's reader takes NaN, strict ones do not
        assert (body["id"], body["status"]) == (7, "success")
        assert how != "nan" or b"NaN" in bent


def test_a_frame_without_a_figure_is_cut() -> None:
    assert bend(b'{"status":"success"}', "nan", random.Random(1)) == b'{"status":'


@pytest.mark.parametrize("how", HOWS)
def test_a_frame_that_another_fault_has_cut_is_bent_no_further(how: str) -> None:
    cut = bend(FRAME, "cut", random.Random(1))
    assert bend(cut, how, random.Random(1)) == (cut[: len(cut) // 2] if how == "cut" else cut)


def test_the_page_on_faults_names_each_with_what_a_client_sees_and_its_parameters(root: Path) -> None:
    text = (root / "docs" / "simulator.md").read_text(encoding="utf-8")
    section = text.partition("\n## Faults on demand\n")[2].partition("\n## ")[0]
    rows = {
        cells[0].strip("` "): (cells[1].strip(), cells[2].strip(), cells[3].strip())
        for cells in (line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `"))
    }
    assert rows == {name: row_of(name) for name in KINDS}


def row_of(name: str) -> tuple[str, str, str]:
    kind = KINDS[name]
    told = []
    for key, default in kind.parameters.items():
        if key != "path":
            told.append(
                f"`{key}`" if default is None else f"`{key}` ({default})" if default != "" else f"[`{key}`]"
            )
    lasts = "once" if kind.lasts is None else f"{kind.lasts.count:g} {kind.lasts.unit}"
    return kind.sees, ", ".join(told) or "-", lasts
