"""What a played scenario shows, from the rows on disk alone, held against what it was to show.

Each tick is explained by the code behind the command `why`; a cause is the name that its verdict carries, or
a monitor that closed the side or ended the session there. The end is held against the session's row and
against the model ledger itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import msgspec

from neo_engine.domain.halt import HaltReason
from neo_engine.domain.severity import Severity
from neo_engine.report.choose import one_moment
from neo_engine.report.why import Engine, Explanation, explain
from neo_engine.report.why_rows import Session, Tick, find_session, find_tick
from neo_engine.report.why_table import STOPPING
from neo_engine.scenario.file import NONE, AtEnd, AtTick, Scenario
from neo_engine.scenario.run import Played, Truth
from neo_engine.state.queries import LATEST, open_readonly

NOBODY = Engine(pid=None, session=None, kill_reason=None, latch=None)
_MONITOR = "monitor "
#: Severities of readings that a tick may have as its cause, by whether the session ends there.
_CLOSING = (f"{Severity.PULL_QUOTES.name}:", f"{Severity.REDUCE_ONLY.name}:")
_KILLING = (f"{Severity.KILL.name}:",)
_SHOWN_MAX = 3  # ticks that are told of a broken expectation


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine did at one tick. ledger: of the scenario. causes: every name that is one here.

    gates: all that fired. readings: monitor -> the severity it stored last, those left out that stored none.
    """

    session: int
    ledger: int
    tick: int
    kind: str
    quoting: str
    half_spread_bps: Decimal | None
    cause: str | None
    causes: tuple[str, ...]
    gates: tuple[str, ...]
    readings: dict[str, str]
    verdict: str
    placed: int
    kept: int
    canceled: int
    fills: int


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """An expectation that does not hold: where, what was expected and what was found."""

    where: str
    expected: str
    found: str

    @property
    def text(self) -> str:
        """The fault as a line."""
        return f"{self.where}: expected {self.expected}, found {self.found}"


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A scenario's ticks, its end, and what did not hold. named: the causes, gates and readings that were
    expected and found.
    """

    ticks: tuple[Shown, ...]
    halt: str
    detail: str
    broken: tuple[Broken, ...]
    named: tuple[str, ...]


def judge(scenario: Scenario, played: Played, db: Path) -> Judged:
    """Return what happened and what of it was not expected. Raises StateError for a damaged database."""
    with closing(open_readonly(db)) as connection, one_moment(connection):
        ticks = tuple(_ticks(connection, played))
        last = find_session(connection, LATEST)
        broken = [
            Broken(where=f"event {one.event} in ledger {one.ledger}", expected="it to happen", found=one.text)
            for one in played.done
            if one.failed
        ]
        named: list[str] = []
        for expected in scenario.ticks:
            faults = _tick_faults(expected, ticks)
            broken += faults
            named += [] if faults else names_of(expected)
        faults = _end_faults(scenario.end, connection, last, ticks, played)
        broken += faults
        named += [] if faults else names_of(scenario.end)
    return Judged(
        ticks=ticks,
        halt=last.halt_reason or "",
        detail=last.halt_detail or "",
        broken=tuple(broken),
        named=tuple(dict.fromkeys(named)),
    )


def names_of(expected: AtTick | AtEnd) -> list[str]:
    """Return what an item expects: causes (with the words of `says`), gates, readings above NORMAL."""
    if isinstance(expected, AtEnd):
        halt = None if expected.halt == HaltReason.DURATION_ELAPSED.value else expected.halt
        return [one for one in (halt, expected.cause) if one not in (None, NONE)]
    said = expected.reading
    quoted = f" ({'; '.join(expected.says)})" if expected.says else ""
    cause = "" if expected.cause in (None, NONE) else f"{expected.cause}{quoted}"
    words = [one for one in (cause, expected.gate) if one]
    told = said is not None and said.severity != Severity.NORMAL.name
    return words + ([f"{said.monitor} {said.severity}"] if said and told else [])


# ticks


def _sessions(connection: sqlite3.Connection) -> list[Session]:
    rows = connection.execute("SELECT session_id FROM sessions ORDER BY session_id")
    return [find_session(connection, str(row[0])) for row in rows.fetchall()]


def _ticks(connection: sqlite3.Connection, played: Played) -> Iterable[Shown]:
    for session in _sessions(connection):
        if session.first_tick is None or session.last_tick is None:
            continue
        said = _readings(connection, session)
        readings: dict[str, str] = {}
        for number in range(session.first_tick, session.last_tick + 1):
            tick = find_tick(connection, session, number)
            told = explain(connection, session, tick, NOBODY, now=False)
            readings = {**readings, **said.get(number, {})}
            yield _shown(session, tick, told, played.first_index, readings)


def _readings(connection: sqlite3.Connection, session: Session) -> dict[int, dict[str, str]]:
    """Return tick -> monitor -> severity, of the rows that a session stored."""
    found: dict[int, dict[str, str]] = {}
    for row in connection.execute(
        "SELECT tick, monitor, severity FROM monitor_readings WHERE session_id = ? ORDER BY id",
        (session.session_id,),
    ):
        found.setdefault(row["tick"], {})[row["monitor"]] = row["severity"]
    return found


def _shown(
    session: Session, tick: Tick, told: Explanation, first_index: int, readings: dict[str, str]
) -> Shown:
    return Shown(
        session=session.session_id,
        ledger=tick.ledger_index - first_index + 1,
        tick=tick.tick,
        kind=tick.kind,
        quoting=tick.quoting,
        half_spread_bps=tick.half_spread_bps,
        cause=told.cause,
        causes=causes_of(tick, told),
        gates=tuple(dict.fromkeys(gate.name for gate in tick.gates)),
        readings=readings,
        verdict=told.verdict.partition(": ")[2],
        placed=tick.placed,
        kept=tick.kept,
        canceled=tick.canceled,
        fills=tick.fills,
    )


def causes_of(tick: Tick, told: Explanation) -> tuple[str, ...]:
    """Return the verdict's cause and the monitors behind it."""
    if told.cause is None:
        return ()
    ends = any(gate.name == STOPPING for gate in tick.gates)
    found = [told.cause]
    for step in told.steps:
        if step.name == told.step:
            for fact in step.facts:
                if fact.name.startswith(_MONITOR) and fact.value.startswith(_KILLING if ends else _CLOSING):
                    found.append(fact.name.removeprefix(_MONITOR))
    return tuple(found)


def _tick_faults(expected: AtTick, ticks: Sequence[Shown]) -> list[Broken]:
    looked = [
        one for one in ticks if one.kind == expected.kind and expected.first <= one.ledger <= expected.last
    ]
    said = _expected(expected)
    if not looked:
        return [Broken(where=expected.where, expected=said, found=f"no {expected.kind} tick")]
    wrong = [one for one in looked if not _holds(expected, one)]
    if not wrong or (expected.some and len(wrong) < len(looked)):
        return []
    shown = [f"ledger {one.ledger}: {one.quoting}, {one.cause or NONE} ({one.verdict})" for one in wrong]
    more = f" and {len(wrong) - _SHOWN_MAX} more" if len(wrong) > _SHOWN_MAX else ""
    return [Broken(where=expected.where, expected=said, found="; ".join(shown[:_SHOWN_MAX]) + more)]


def _expected(expected: AtTick) -> str:
    words = [f"quoting {expected.quoting}"] if expected.quoting else []
    words += [f"cause {expected.cause}"] if expected.cause else []
    words += [f"gate {expected.gate}"] if expected.gate else []
    said = expected.reading
    words += [f"monitor {said.monitor} at {said.severity}"] if said else []
    words += [f"a verdict with {text!r}" for text in expected.says]
    words += [f"{expected.fills_min} fills or more"] if expected.fills_min is not None else []
    return " and ".join(words) + (" at one of them" if expected.some else "")


def _holds(expected: AtTick, tick: Shown) -> bool:
    if expected.quoting is not None and tick.quoting != expected.quoting:
        return False
    if expected.fills_min is not None and tick.fills < expected.fills_min:
        return False
    if expected.gate is not None and expected.gate not in tick.gates:
        return False
    said = expected.reading
    if said is not None and tick.readings.get(said.monitor, Severity.NORMAL.name) != said.severity:
        return False
    if not all(text in tick.verdict for text in expected.says):
        return False
    if expected.cause == NONE:
        return not tick.causes
    return expected.cause is None or expected.cause in tick.causes


# the end


def _end_faults(
    end: AtEnd, connection: sqlite3.Connection, last: Session, ticks: Sequence[Shown], played: Played
) -> list[Broken]:
    broken: list[Broken] = []

    def check(what: str, expected: object, found: object, *, holds: bool) -> None:
        if not holds:
            broken.append(Broken(where=f"end, {what}", expected=str(expected), found=str(found)))

    detail = last.halt_detail or ""
    if end.halt is not None:
        found = f"{last.halt_reason} ({detail})"
        check("halt", end.halt, found, holds=last.halt_reason == end.halt)
    if end.detail is not None:
        check("detail", f"a text with {end.detail!r}", detail, holds=end.detail in detail)
    if end.cause is not None:
        causes = _last_causes(ticks, last.halt_reason)
        check("cause", end.cause, ", ".join(causes) or NONE, holds=end.cause in (causes or (NONE,)))
    if end.left is not None:
        check("left on the ledger", end.left, played.truth.offers, holds=end.left == played.truth.offers)
    if end.sessions is not None:
        check("sessions", end.sessions, played.sessions, holds=end.sessions == played.sessions)
    fills = sum(one.fills for one in ticks)
    if end.fills_min is not None:
        check("fills", f"at least {end.fills_min}", fills, holds=fills >= end.fills_min)
    if end.books is not None:
        found = _books(played)
        check("books", end.books, found, holds=(found == "agree") == (end.books == "agree"))
    for what, wanted, stored in (
        ("codes", end.codes, _codes(connection)),
        ("remarks", end.remarks, _remarks(connection)),
        ("orders", end.orders, _statuses(connection)),
    ):
        missing = [one for one in wanted if one not in stored]
        check(what, ", ".join(missing), ", ".join(sorted(stored)) or "none", holds=not missing)
    for text in end.log_once:
        lines = [line for line in played.log if text in line]
        check("log", f"one line with {text!r}", f"{len(lines)} of them", holds=len(lines) == 1)
    return broken


def _last_causes(ticks: Sequence[Shown], halt: str | None) -> tuple[str, ...]:
    """Return the causes of the first tick of the last session that has the halt reason as its cause."""
    mine = [one for one in ticks if one.session == ticks[-1].session]
    return next((one.causes for one in mine if halt in one.causes), ())


def _books(played: Played) -> str:
    """Return `agree`, or how the engine's last word differs from the ledger."""
    if played.result is None:
        return f"nothing: {played.failure}"
    last, truth = played.result.session.summary, played.truth
    base = _whole(last, "overlay_base_drops") + _whole(last, "fills_base_drops") - _whole(last, "fees_drops")
    quote = _exact(last, "overlay_rlusd") + _exact(last, "fills_rlusd")
    if base == truth.balance_drops and quote == Decimal(truth.quote):
        return "agree"
    return differ(base, quote, truth)


def differ(base: int, quote: Decimal, truth: Truth) -> str:
    """Return the engine's count and the ledger's as words."""
    return f"{base} drops and {quote} by the books, {truth.balance_drops} and {truth.quote} on the ledger"


def _whole(summary: dict[str, object], key: str) -> int:
    value = summary[key]
    return value if isinstance(value, int) else 0


def _exact(summary: dict[str, object], key: str) -> Decimal:
    return Decimal(str(summary[key]))


def _codes(connection: sqlite3.Connection) -> set[str]:
    query = "SELECT result FROM v_submissions UNION SELECT preliminary FROM v_submissions"
    return {str(row[0]) for row in connection.execute(query) if row[0] is not None}


def _remarks(connection: sqlite3.Connection) -> set[str]:
    query = "SELECT kind FROM feed_faults UNION SELECT finding FROM reconciliations"
    return {str(row[0]) for row in connection.execute(query)}


def _statuses(connection: sqlite3.Connection) -> set[str]:
    return {str(row[0]) for row in connection.execute("SELECT DISTINCT status FROM orders")}
