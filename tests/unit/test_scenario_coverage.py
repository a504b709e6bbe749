"""The delivered scenarios show every monitor at every severity it can have, and every gate.

Read from the files alone: that what they expect holds is `test_scenarios.py`. Which severities a monitor has
is the table of docs/risk.md.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from neo_engine.domain.severity import Severity
from neo_engine.report.why_table import GATES
from neo_engine.risk.monitors import MONITORS
from neo_engine.scenario.file import Scenario, read_scenario

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "scenarios").glob("*.yaml"))
HEAD = "| Monitor | Measures | Warn | Reduce only | Pull | Kill |"
SEVERITIES = (Severity.WARN, Severity.REDUCE_ONLY, Severity.PULL_QUOTES, Severity.KILL)

#: Gates that no scenario shows -> why none can. Each has its unit tests.
NOT_SHOWN = {
    "MalformedMessage": "no exchange marks a snapshot with it; a faulty message is a tick of kind fault",
    "DuplicateSlot": "the ladder numbers its places, so only a defect can name one twice",
    "MaxOpenOrders": "a configuration with more places than orders is refused, and there are no other places",
    "WouldCross": "the ladder keeps its quotes off the touch that the gate looks at",
    "SelfCross": "the fate of an order is known within two ledgers, too soon for the price to pass it",
}


@cache
def scenarios() -> tuple[Scenario, ...]:
    return tuple(read_scenario(path) for path in FILES)


def documented() -> set[tuple[str, str]]:
    """Return (monitor, severity) for each cell of the table that says when a monitor is so severe."""
    found = set()
    lines = (ROOT / "docs" / "risk.md").read_text(encoding="utf-8").splitlines()
    for line in lines[lines.index(HEAD) + 2 :]:
        if not line.startswith("|"):
            break
        name, _measures, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        found |= {
            (name.strip("`"), severity.name) for severity, cell in zip(SEVERITIES, cells, strict=True) if cell
        }
    return found


def shown() -> set[tuple[str, str]]:
    """Return (monitor, severity) of every expected reading, and KILL of those that an end has as cause."""
    found = set()
    for one in scenarios():
        found |= {(item.reading.monitor, item.reading.severity) for item in one.ticks if item.reading}
        if one.end.cause in {monitor.name for monitor in MONITORS}:
            found.add((one.end.cause, Severity.KILL.name))
    return found


def test_the_table_has_every_monitor() -> None:
    assert {name for name, _severity in documented()} == {monitor.name for monitor in MONITORS}
    assert len(documented()) == 33
    kills = {name for name, severity in documented() if severity == Severity.KILL.name}
    assert kills == {monitor.name for monitor in MONITORS if monitor.halt is not None}


def test_every_monitor_is_shown_at_every_severity_it_has() -> None:
    assert documented() - shown() == set()
    assert {one for one in shown() if one[1] != Severity.NORMAL.name} - documented() == set()


def test_every_monitor_that_pulls_or_kills_is_named_by_why() -> None:
    named = {one.cause for scenario in scenarios() for one in scenario.ticks}
    named |= {scenario.end.cause for scenario in scenarios()}
    stop = {name for name, severity in documented() if severity != Severity.WARN.name}
    assert stop - named == set()


def test_every_gate_is_named_by_why_or_fires() -> None:
    causes = {one.cause for scenario in scenarios() for one in scenario.ticks}
    fired = {one.gate for scenario in scenarios() for one in scenario.ticks}
    assert set(GATES) - causes - fired == set(NOT_SHOWN)
    # These three stand beside a monitor's own gate, or are the end itself, which is named by its reason.
    beside = {"Inventory", "Frozen", "Risk", "Stopping", "Cascade"}
    assert set(GATES) - causes - beside == set(NOT_SHOWN)
