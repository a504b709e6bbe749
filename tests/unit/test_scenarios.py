"""Every scenario of the project holds, and a file that is none says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from neo_engine.domain.errors import ConfigError, NeoError, UsageError
from neo_engine.scenario.file import Scenario, read_scenario
from neo_engine.scenario.judge import Judged, judge
from neo_engine.scenario.run import Played, play
from neo_engine.scenario.table import EVENTS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "scenarios").glob("*.yaml"))
CALM = """
title: A trial
shows: Something.
ledgers: 12
config:
  strategy.warmup_ticks: 3
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "trial.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def outcome(path: Path, db: Path) -> tuple[Scenario, Played, Judged]:
    scenario = read_scenario(path)
    played = play(scenario, db)
    return scenario, played, judge(scenario, played, db)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_scenario_holds(path: Path, tmp_path: Path) -> None:
    _, _, judged = outcome(path, tmp_path / "neo.db")
    assert not judged.broken, "\n".join(one.text for one in judged.broken)


def test_the_delivered_scenarios_are_there() -> None:
    expected = {
        "calm_start",
        "clawback",
        "crossed_book",
        "gap",
        "operator_kill",
        "orphan_offer",
        "sweep_kill",
    }
    assert expected <= {path.stem for path in FILES}


def test_every_event_is_in_a_scenario() -> None:
    used = {one.name for path in FILES for one in read_scenario(path).events}
    assert set(EVENTS) - used == {"unfreeze"}  # a freeze ends the session, so this comes too late there


def test_a_line_can_be_thawed(tmp_path: Path) -> None:
    text = CALM + (
        "events:\n"
        "  - {at: 4, do: freeze}\n"
        "  - {at: 4, do: unfreeze, seconds: 3}\n"
        "expect:\n"
        "  - end: {halt: reconciler_halt, detail: froze our trust line}\n"
    )
    _, played, judged = outcome(written(tmp_path, text), tmp_path / "neo.db")
    assert [(one.event, one.failed) for one in played.done] == [("freeze", False), ("unfreeze", False)]
    assert not judged.broken


def test_what_does_not_hold_is_told_with_what_was_found(tmp_path: Path) -> None:
    text = CALM + (
        "expect:\n"
        "  - {from: 3, to: 5, quoting: none}\n"
        "  - {at: 4, cause: Frozen}\n"
        "  - {at: 1, cause: none}\n"
        "  - {at: 5, kind: fault, cause: fault}\n"
        "  - {at: 4, fills_min: 99}\n"
        "  - end: {halt: kill_switch, left: 7, sessions: 2, books: differ, fills_min: 99, detail: nowhere,\n"
        "          cause: loss, codes: [tecKILLED], remarks: [orphan_fill], orders: [DENIED]}\n"
    )
    _, _, judged = outcome(written(tmp_path, text), tmp_path / "neo.db")
    told = [one.text for one in judged.broken]
    assert told[0].startswith("ledgers 3 to 5: expected quoting none, found ledger 3: both, none (both sides")
    assert told[1].startswith("ledger 4: expected cause Frozen, found ledger 4: both, none")
    assert told[2].startswith("ledger 1: expected cause none, found ledger 1: none, Warmup")
    assert told[3] == "ledger 5 (fault): expected cause fault, found no fault tick"
    assert told[4].startswith("ledger 4: expected 99 fills or more, found ledger 4: both")
    ends = {one.partition(":")[0] for one in told[5:]}
    assert ends == {
        *("end, halt", "end, detail", "end, cause", "end, left on the ledger", "end, sessions", "end, fills"),
        *("end, books", "end, codes", "end, remarks", "end, orders"),
    }


def test_some_is_satisfied_by_one_tick_and_every_is_not(tmp_path: Path) -> None:
    text = CALM + (
        "expect:\n"
        "  - {from: 1, to: 4, quoting: both, some: true}\n"
        "  - {from: 1, to: 4, quoting: both}\n"
        "  - end: {halt: duration_elapsed}\n"
    )
    _, _, judged = outcome(written(tmp_path, text), tmp_path / "neo.db")
    assert [one.expected for one in judged.broken] == ["quoting both"]
    assert "ledger 1: none, Warmup" in judged.broken[0].found
    assert "ledger 3" not in judged.broken[0].found


def test_an_event_that_came_to_nothing_breaks_its_scenario(tmp_path: Path) -> None:
    text = CALM + (
        "events:\n"
        "  - {at: 2, do: hit_ours, side: bids}\n"
        "  - {at: 4, do: kill}\n"
        "  - {at: 11, do: freeze}\n"
        "expect:\n"
        "  - end: {halt: kill_switch}\n"
    )
    _, _, judged = outcome(written(tmp_path, text), tmp_path / "neo.db")
    told = [one.text for one in judged.broken]
    assert len(told) == 2
    assert "hit_ours" in told[0] and "none of our bids stands" in told[0]
    assert "freeze" in told[1] and "did not happen" in told[1]


def test_gates_readings_words_and_the_log_are_held_against_what_was_found(tmp_path: Path) -> None:
    text = CALM + (
        "events:\n"
        "  - {at: 6, do: misreport, asset: XRP, amount: 40}\n"
        "  - {at: 8, do: pause, side: ask, reason: lunch}\n"
        "expect:\n"
        "  - {at: 6, reading: {monitor: balance_jump, severity: WARN}, quoting: both, cause: none}\n"
        "  - {at: 7, reading: {monitor: balance_jump, severity: NORMAL}}\n"
        "  - {at: 6, reading: {monitor: balance_jump, severity: KILL}}\n"
        "  - {at: 9, gate: Manual, says: [only the bid is quoted, lunch], cause: Manual}\n"
        "  - {at: 9, gate: Warmup}\n"
        "  - {at: 9, says: [lunch, supper]}\n"
        "  - end: {halt: duration_elapsed, log_once: [reference price, the moon is full]}\n"
    )
    _, played, judged = outcome(written(tmp_path, text), tmp_path / "neo.db")
    told = [one.text for one in judged.broken]
    assert len(told) == 4
    assert told[0].startswith("ledger 6: expected monitor balance_jump at KILL, found")
    assert told[1].startswith("ledger 9: expected gate Warmup, found")
    assert told[2].startswith("ledger 9: expected a verdict with 'lunch' and a verdict with 'supper', found")
    assert told[3] == "end, log: expected one line with 'the moon is full', found 0 of them"
    assert judged.named == ("balance_jump WARN", "Manual (only the bid is quoted; lunch)", "Manual")
    assert sum("no reference price" in line for line in played.log) == 1


def test_a_line_that_is_logged_twice_is_not_logged_once(tmp_path: Path) -> None:
    text = CALM + "expect:\n  - end: {halt: duration_elapsed, log_once: [session 1]}\n"
    _, played, judged = outcome(written(tmp_path, text), tmp_path / "neo.db")
    assert sum("session 1" in line for line in played.log) > 1
    assert [one.where for one in judged.broken] == ["end, log"]


@pytest.mark.parametrize(
    ("event", "why"),
    [
        ("{at: 4, do: resume}", "nothing is paused"),
        ("{at: 4, do: reference, percent: 1}", "say `reference: true`"),
        ("{at: 4, do: headroom, percent: 101}", "101 % is no share"),
    ],
)
def test_an_event_that_cannot_be_says_why(event: str, why: str, tmp_path: Path) -> None:
    text = CALM + f"events:\n  - {event}\nexpect:\n  - end: {{halt: duration_elapsed}}\n"
    _, _, judged = outcome(written(tmp_path, text), tmp_path / "neo.db")
    assert [why in one.found for one in judged.broken] == [True]


def test_the_seconds_of_latency_are_its_own(tmp_path: Path) -> None:
    text = CALM + (
        "events:\n  - {at: 5, do: latency, for: 1 requests, seconds: 9}\n"
        "expect:\n  - end: {halt: duration_elapsed}\n"
    )
    planned = read_scenario(written(tmp_path, text)).events[0]
    assert planned.seconds == 0
    with pytest.raises(UsageError, match="seconds: 9 must be 0 to below 4"):
        read_scenario(written(tmp_path, text.replace("latency", "drop")))


EXPECT = "expect:\n  - end: {halt: duration_elapsed}\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty or not a mapping"),
        ("title: [", "trial.yaml"),
        (CALM + EXPECT + "colour: red\n", "unknown key 'colour'; there are account"),
        (CALM, "missing required field `expect`"),
        (CALM + "expect: []\n", "expect: is empty"),
        (CALM + "expect:\n  - {at: 3, quoting: both}\n", "has 0 items `end`; give one"),
        (CALM + EXPECT + "  - end: {halt: kill_switch}\n", "has 2 items `end`; give one"),
        (
            CALM + "expect:\n  - end: {halt: x, why: y}\n",
            "expect[0].end: Object contains unknown field `why`",
        ),
        (CALM + EXPECT + "  - {at: 3, colour: red}\n", "expect[1]: unknown key 'colour'"),
        (CALM + EXPECT + "  - {at: 3}\n", "expects nothing; give quoting, cause, gate, reading"),
        (
            CALM + EXPECT + "  - {at: 3, gate: Tired}\n",
            "expect[1].gate: no 'Tired'; there are Stopping, ",
        ),
        (
            CALM + EXPECT + "  - {at: 3, reading: {monitor: mood, severity: WARN}}\n",
            "expect[1].reading.monitor: no 'mood'; there are feed_failures",
        ),
        (
            CALM + EXPECT + "  - {at: 3, reading: {monitor: depeg, severity: BAD}}\n",
            "expect[1].reading.severity: no 'BAD'; there are NORMAL, WARN",
        ),
        (
            CALM + EXPECT + "  - {at: 3, reading: {monitor: depeg}}\n",
            "expect[1].reading: Object missing required field `severity`",
        ),
        (CALM + EXPECT + "  - {at: 3, says: all}\n", "expect[1].says: Expected `array`"),
        (CALM + EXPECT + "  - {at: 0, cause: none}\n", "0 must be a ledger of the scenario, 1 to 12"),
        (
            CALM + "  reference.source: none\nreference: true\n" + EXPECT,
            "reference: gives reference.source a file; leave one of the two out",
        ),
        (CALM + EXPECT + "  - {at: 3, from: 2, to: 4, cause: none}\n", "give `at`, or `from` and `to`"),
        (CALM + EXPECT + "  - {from: 2, cause: none}\n", "give `at`, or `from` and `to`"),
        (CALM + EXPECT + "  - {from: 4, to: 2, cause: none}\n", "lies before `from` 4; swap them"),
        (CALM + EXPECT + "  - {at: 13, cause: none}\n", "13 must be a ledger of the scenario, 1 to 12"),
        (CALM + EXPECT + "  - {at: 3, quoting: left}\n", "expect[1].quoting: Invalid enum value 'left'"),
        (CALM + EXPECT + "events:\n  - {at: 3}\n", "events[0].do: must name an event; there are"),
        (CALM + EXPECT + "events:\n  - {at: 3, do: dance}\n", "no event named 'dance'; there are"),
        (CALM + EXPECT + "events:\n  - {at: 0, do: kill}\n", "events[0].at: 0 must be a ledger"),
        (CALM + EXPECT + "events:\n  - {at: 3, do: kill, seconds: 4}\n", "seconds: 4 must be 0 to below 4"),
        (CALM + EXPECT + "events:\n  - {at: 3, do: kill, side: bids}\n", "unknown key 'side' of kill"),
        (CALM + EXPECT + "events:\n  - {at: 3, do: sweep}\n", "sweep: Object missing required field `side`"),
        (
            CALM + EXPECT + "events:\n  - {at: 3, do: sweep, side: bids, near_depths: -1}\n",
            "near_depths: -1 must be above zero",
        ),
        (CALM + EXPECT + "events:\n  - {at: 3, do: gap, for: 3}\n", "must be like `3 ledgers`"),
        (CALM + EXPECT + "events:\n  - {at: 3, do: latency, colour: red}\n", "unknown parameter 'colour'"),
        (CALM.replace("12", "0") + EXPECT, "ledgers: 0 must be 1 to 2000"),
        (CALM + "market: lunar\n" + EXPECT, "market: no market 'lunar'; there are calm"),
        (CALM + "base: config/none.yaml\n" + EXPECT, "base: config/none.yaml cannot be read"),
        (CALM + "  risk.colour: red\n" + EXPECT, "config: no key 'risk.colour'"),
        (CALM + "  live.network_id: 1\n" + EXPECT, "live.network_id is the model network's own"),
        (CALM + "account: {gold: 1}\n" + EXPECT, "unknown field `gold`"),
    ],
)
def test_a_bad_file_names_file_key_and_remedy(text: str, words: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises((UsageError, ConfigError)) as caught:
        read_scenario(path)
    assert words in str(caught.value)
    assert "trial.yaml" in str(caught.value)


def test_a_value_that_the_configuration_refuses_names_the_scenario(tmp_path: Path) -> None:
    path = written(tmp_path, CALM + "  risk.max_order_rlusd: -1\n" + EXPECT)
    with pytest.raises(ConfigError, match=r"trial\.yaml: risk\.max_order_rlusd"):
        play(read_scenario(path), tmp_path / "neo.db")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NeoError, match="cannot be read"):
        read_scenario(tmp_path / "none.yaml")
