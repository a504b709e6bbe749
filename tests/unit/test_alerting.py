"""Which alerts follow from a tick and from an end."""

from __future__ import annotations

import re
from typing import Any

import pytest
from msgspec.structs import replace

from neo_engine import alerting
from neo_engine.domain.account_findings import FindingKind
from neo_engine.domain.alerts import KINDS, AlertSeverity
from neo_engine.domain.halt import (
    EXIT_HALTED,
    EXIT_SIGINT,
    EXIT_SIGTERM,
    EXIT_STARTUP,
    EXIT_USAGE,
    Halt,
    HaltReason,
    exit_code,
)
from neo_engine.domain.records import Finding
from neo_engine.domain.severity import Reading, Severity
from neo_engine.risk.monitors import MONITORS
from neo_engine.tick import Decision, Observation, decide, initial_state
from tests.conftest import ROOT
from tests.unit.core_values import NOW, paper_config

NONE: frozenset[str] = frozenset()


def reading(monitor: str, severity: Severity) -> Reading:
    closes = "ask" if severity is Severity.REDUCE_ONLY else ""
    return Reading(monitor=monitor, severity=severity, detail="5 of 3", closes=closes)


SEEN = Observation(
    kind="silence",
    ledger_index=1000,
    close_time=NOW,
    report=None,
    order_updates=(),
    faults=(),
    capital=(),
    stop=None,
)
QUIET = decide(initial_state(paper_config(), NOW), SEEN, paper_config(), NOW)


def tick(**changes: Any) -> Decision:
    nothing: dict[str, Any] = {"halt": None, "readings": (), "findings": ()}
    return replace(QUIET, **{**nothing, **changes})


def told(decision: Decision, pulled: frozenset[str] = NONE) -> list[tuple[str, str, str]]:
    alerts = alerting.of_tick(SEEN, decision, pulled)
    return [(one.kind, one.key, one.severity.word) for one in alerts]


def test_a_quiet_tick_tells_nothing() -> None:
    assert told(tick()) == []


@pytest.mark.parametrize("reason", list(HaltReason))
def test_a_halt_is_told_unless_it_was_planned_or_asked_for(reason: HaltReason) -> None:
    alerts = alerting.of_halt(Halt(reason=reason, detail="140 of 150"))
    if exit_code(reason) in (0, 3, 130, 143):
        assert alerts == ()
        return
    (alert,) = alerts
    assert alert.kind == ("kill" if reason is HaltReason.KILL_SWITCH else "halt")
    assert alert.severity is AlertSeverity.CRITICAL
    assert alert.key == reason.value
    assert "140 of 150" in alert.text


def test_the_tick_that_halts_tells_it() -> None:
    halt = Halt(reason=HaltReason.RISK_MAX_LOSS, detail="26 of 25")
    assert told(tick(halt=halt)) == [("halt", "risk_max_loss", "critical")]


@pytest.mark.parametrize(
    ("severity", "expected"),
    [
        (Severity.NORMAL, []),
        (Severity.WARN, [("monitor", "cascade", "info")]),
        (Severity.REDUCE_ONLY, [("monitor", "cascade", "warning")]),
        (Severity.PULL_QUOTES, [("pulled", "cascade", "warning")]),
        (Severity.KILL, []),  # its halt is told
    ],
)
def test_a_monitor_is_told_by_its_severity(severity: Severity, expected: list[Any]) -> None:
    assert told(tick(readings=(reading("cascade", severity),))) == expected


def test_a_monitor_of_the_feed_that_pulls_is_a_lost_feed() -> None:
    names = {monitor.name for monitor in MONITORS}
    assert names >= alerting.FEED_MONITORS
    for name in alerting.FEED_MONITORS:
        assert told(tick(readings=(reading(name, Severity.PULL_QUOTES),))) == [("feed_lost", name, "warning")]


def test_quotes_that_were_pulled_resume_once() -> None:
    pull = tick(readings=(reading("staleness", Severity.PULL_QUOTES), reading("cascade", Severity.WARN)))
    pulled = alerting.pulled_after(pull, NONE)
    assert pulled == {"staleness"}
    assert alerting.pulled_after(tick(), pulled) == pulled
    calm = tick(readings=(reading("staleness", Severity.NORMAL),))
    assert told(calm, pulled) == [("resumed", "staleness", "info")]
    assert alerting.pulled_after(calm, pulled) == NONE
    assert told(calm, NONE) == []


def finding(name: str) -> Finding:
    return Finding(name=name, order_id=None, halts=True, detail="3.5 XRP")


def test_money_that_nothing_explains_is_told() -> None:
    assert told(tick(findings=(finding("unexplained"),))) == [("balance", "unexplained", "critical")]
    assert told(tick(findings=(finding("paid_in"),))) == [("balance", "paid_in", "warning")]
    assert told(tick(findings=(finding("dust"),))) == []


def test_every_finding_about_money_is_one_that_there_is() -> None:
    known = {kind.value for kind in FindingKind} | {"balance_mismatch"}
    assert alerting.BALANCE_FINDINGS.keys() <= known


def test_the_end_tells_a_halt_that_no_tick_could_and_a_drift() -> None:
    broken = Halt(reason=HaltReason.STATE_FAILURE, detail="disk full")
    kinds = [one.kind for one in alerting.of_end(broken, None, halt_told=False)]
    assert kinds == ["halt", "session_end"]
    assert [one.kind for one in alerting.of_end(broken, None, halt_told=True)] == ["session_end"]
    planned = Halt(reason=HaltReason.DURATION_ELAPSED, detail="600 s")
    alerts = alerting.of_end(planned, "5 drops", halt_told=False)
    assert [(one.kind, one.severity.word) for one in alerts] == [
        ("drift", "critical"),
        ("session_end", "info"),
    ]
    assert "5 drops" in alerts[0].text


def test_every_alert_is_of_a_known_kind() -> None:
    halts = [alert for reason in HaltReason for alert in alerting.of_halt(Halt(reason=reason, detail=""))]
    others = [
        alerting.of_begin(1, "XRP/RLUSD", "paper"),
        alerting.of_database("x"),
        alerting.of_failed_start("x"),
    ]
    assert {one.kind for one in [*halts, *others]} <= KINDS.keys()


def test_the_document_lists_every_kind_with_its_severities() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = text[text.index("| Alert kind |") :].split("\n\n")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([a-z ]+) \|", table, flags=re.M))
    assert list(rows) == list(KINDS)
    assert rows["balance"] == "warning or critical"
    assert {word for words in rows.values() for word in words.split(" or ")} == {
        severity.word for severity in AlertSeverity
    }


def test_the_unit_file_does_not_repeat_what_wants_a_person() -> None:
    unit = (ROOT / "packaging" / "neo.service").read_text(encoding="utf-8")
    settings = dict(line.split("=", 1) for line in unit.splitlines() if re.match(r"[A-Z]\w+=", line))
    never = {int(code) for code in settings["RestartPreventExitStatus"].split()}
    assert never == {EXIT_USAGE, EXIT_STARTUP, EXIT_HALTED}
    assert {int(code) for code in settings["SuccessExitStatus"].split()} == {EXIT_SIGINT, EXIT_SIGTERM}
    assert settings["Restart"] == "on-failure"
    assert settings["Type"] == "notify"
    # Six silent intervals of the slowest delivered configuration still feed the watchdog in time.
    assert int(settings["WatchdogSec"].removesuffix("s")) >= 6 * paper_config().engine.tick_interval_seconds
