"""Which alerts follow from what a session sees and decides: pure, the one place that judges it.

Invariants:
1. A halt gives one critical alert, by the tick that begins it or, when no tick could, by the end.
2. A planned end (exit code 0) and a signal give no halt; the end of every session gives one `session_end`.
3. A monitor gives an alert when it pulls the quotes and one when it no longer does, and none in between.
"""

from __future__ import annotations

from neo_engine.domain.alerts import Alert, AlertSeverity
from neo_engine.domain.halt import EXIT_HALTED, EXIT_UNEXPECTED, MEANING, Halt, HaltReason, exit_code
from neo_engine.domain.records import Finding
from neo_engine.domain.severity import Reading, Severity
from neo_engine.tick_values import Decision, Observation

FEED_MONITORS = frozenset({"staleness", "feed_failures", "unhealthy_data"})
#: Findings of the reconciler about money (`FindingKind` and `balance_mismatch`) -> how bad they are.
BALANCE_FINDINGS = {
    "unexplained": AlertSeverity.CRITICAL,
    "difference": AlertSeverity.CRITICAL,
    "balance_mismatch": AlertSeverity.CRITICAL,
    "strange_transaction": AlertSeverity.CRITICAL,
    "orphan_fill": AlertSeverity.WARNING,
    "paid_in": AlertSeverity.WARNING,
    "paid_out": AlertSeverity.WARNING,
    "clawback": AlertSeverity.WARNING,
    "pool": AlertSeverity.WARNING,
}
_ENDED_BY_ITSELF = (EXIT_HALTED, EXIT_UNEXPECTED)


def of_begin(session_id: int, pair: str, mode: str) -> Alert:
    """Return the alert of a session that begins."""
    text = f"session {session_id} begins: {mode} {pair}"
    return Alert(kind="session_start", key=str(session_id), severity=AlertSeverity.INFO, text=text)


def of_halt(halt: Halt) -> tuple[Alert, ...]:
    """Return the alert of a session that stops, none for a planned end or a signal."""
    if exit_code(halt.reason) not in _ENDED_BY_ITSELF:
        return ()
    kind = "kill" if halt.reason is HaltReason.KILL_SWITCH else "halt"
    text = f"{halt.reason.value}: {MEANING[halt.reason]} ({halt.detail})"
    return (Alert(kind=kind, key=halt.reason.value, severity=AlertSeverity.CRITICAL, text=text),)


def of_tick(seen: Observation, decision: Decision, pulled: frozenset[str]) -> tuple[Alert, ...]:
    """Return what a tick tells. pulled: the monitors that had pulled the quotes before it."""
    alerts = [] if decision.halt is None else list(of_halt(decision.halt))
    alerts += [alert for one in decision.readings if (alert := _of_reading(one, pulled)) is not None]
    alerts += [alert for one in decision.findings if (alert := _of_finding(one, seen)) is not None]
    return tuple(alerts)


def pulled_after(decision: Decision, pulled: frozenset[str]) -> frozenset[str]:
    """Return the monitors that pull the quotes after a tick."""
    changed = {one.monitor for one in decision.readings}
    pulling = {one.monitor for one in decision.readings if one.severity >= Severity.PULL_QUOTES}
    return (pulled - changed) | pulling


def _of_reading(reading: Reading, pulled: frozenset[str]) -> Alert | None:
    """A KILL is told as the halt that follows from it."""
    name, severity = reading.monitor, AlertSeverity.WARNING
    if reading.severity is Severity.KILL:
        return None
    if reading.severity is Severity.PULL_QUOTES:
        kind = "feed_lost" if name in FEED_MONITORS else "pulled"
        text = f"quotes pulled, {name}: {reading.detail}"
    elif name in pulled:
        kind, severity, text = "resumed", AlertSeverity.INFO, f"{name} no longer pulls the quotes"
    elif reading.severity is Severity.REDUCE_ONLY:
        kind, text = "monitor", f"{name} closes the {reading.closes} side: {reading.detail}"
    elif reading.severity is Severity.WARN:
        kind, severity, text = "monitor", AlertSeverity.INFO, f"{name}: {reading.detail}"
    else:
        return None
    return Alert(kind=kind, key=name, severity=severity, text=text)


def _of_finding(finding: Finding, seen: Observation) -> Alert | None:
    severity = BALANCE_FINDINGS.get(finding.name)
    if severity is None:
        return None
    text = f"{finding.name} at ledger {seen.ledger_index}: {finding.detail}"
    return Alert(kind="balance", key=finding.name, severity=severity, text=text)


def of_database(error: str) -> Alert:
    """Return the alert of a commit that failed."""
    return Alert(kind="database", key="commit", severity=AlertSeverity.WARNING, text=error)


def of_failed_start(error: str) -> Alert:
    """Return the alert of a session that could not begin."""
    return Alert(kind="startup", key="startup", severity=AlertSeverity.CRITICAL, text=error)


def of_end(halt: Halt, drift: str | None, *, halt_told: bool) -> tuple[Alert, ...]:
    """Return what the end of a session tells. drift: both inventories, when they differ.

    halt_told: a tick has told its halt already.
    """
    alerts = () if halt_told else of_halt(halt)
    if drift is not None:
        text = f"the engine's inventory and its rows differ: {drift}"
        alerts += (Alert(kind="drift", key="drift", severity=AlertSeverity.CRITICAL, text=text),)
    text = f"session ended: {halt.reason.value} ({halt.detail})"
    end = Alert(kind="session_end", key=halt.reason.value, severity=AlertSeverity.INFO, text=text)
    return (*alerts, end)
