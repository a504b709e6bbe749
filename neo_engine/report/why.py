"""Why it does not quote, or quotes wide: the decision tree of one tick, walked on stored rows alone.

    session -> kill switch -> monitors -> data gate -> quote gate -> spread -> capital check -> order diff
        -> exchange

Each step says `ok`, `fewer` (a level is missing), `widened`, `one side`, `stopped` or `not reached`, with
its numbers and the thresholds of the session's own stored configuration. The verdict names the first
step that stopped the quotes, else those that closed a side, else what made the spread wide.

Nothing is decided anew here: a tick's row holds the gates that fired and the factors that were composed.
What no gate can say (which order the exchange refused) comes from the rows of orders and transactions.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from neo_engine.domain.halt import HaltReason
from neo_engine.domain.pause import Pause
from neo_engine.domain.records import Gate
from neo_engine.domain.severity import Severity
from neo_engine.report.why_rows import Made, Remark, Session, Tick, earlier, gates_of, readings, remarks, sent
from neo_engine.report.why_spread import composed, wide_from
from neo_engine.report.why_steps import (
    FEWER,
    OK,
    ONE_SIDE,
    SIDES,
    STOPPED,
    Fact,
    Step,
)
from neo_engine.report.why_table import (
    CAPITAL,
    DATA,
    DIFF,
    EXCHANGE,
    KILL,
    MONITORS,
    QUOTE,
    SESSION,
    STEPS,
    STOPPING,
    gate_text,
    halt_step,
)
from neo_engine.report.why_verdict import LEDGER, UNDECIDED, cause_of, orders_left, sentence

HELD_LIMIT = 10_000  # ticks looked back at: eleven hours of ledgers, read in some hundredths of a second
_SLOTLESS = frozenset(("CapitalShrunk",))  # names a slot that stands all the same


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """What lies beside the database. pid: of the engine that holds its lock, 0 for one that does not say who.

    session: the one that engine says it runs. kill_reason: text of a kill file that waits. latch: why no
    live session may start, while the kill switch's latch is in force. pause: what the pause file orders.
    """

    pid: int | None
    session: int | None
    kill_reason: str | None
    latch: str | None
    pause: Pause | None = None


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """For how long the cause has held: ticks and seconds of ledger time; more: it began before those."""

    ticks: int
    seconds: int
    since_tick: int
    more: bool


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. outcome: the worst of the steps. cause: the gate, the halt reason or the factor named."""

    session_id: int
    running: bool
    tick: int | None
    kind: str | None
    ledger_index: int | None
    close_time: str | None
    verdict: str
    outcome: str
    step: str | None
    cause: str | None
    advice: str | None
    held: Held | None
    steps: tuple[Step, ...]


def explain(
    connection: sqlite3.Connection, session: Session, tick: Tick, engine: Engine, *, now: bool
) -> Explanation:
    """Return the tree of a tick; now: the question is about the present, so the session's end counts too.

    Raises sqlite3.Error or ValueError for a damaged database.
    """
    made = sent(connection, session, tick) if tick.placed or tick.canceled else ()
    told = (*readings(connection, session, tick.tick), *remarks(connection, session, tick.tick))
    ending = next((gate.detail for gate in tick.gates if gate.name == STOPPING), None)
    halt = ending or (session.halt_reason if now else None)
    steps = (
        _session_step(session, engine, halt, now=now),
        _kill_step(session, engine, halt, _asker(halt, told), now=now),
        _monitor_step(session, tick, told, halt),
        _data_step(session, tick),
        _gate_step(QUOTE, session, tick),
        composed(session, tick),
        _gate_step(CAPITAL, session, tick),
        _diff_step(session, tick),
        _exchange_step(tick, made),
    )
    cause = cause_of(steps)
    verdict, name = sentence(tick, steps, cause)
    by_row = ending is not None or (cause is not None and cause.name not in (SESSION, KILL, EXCHANGE))
    return Explanation(
        session_id=session.session_id,
        running=_runs(session, engine),
        tick=tick.tick,
        kind=tick.kind,
        ledger_index=tick.ledger_index,
        close_time=tick.close_time,
        verdict=verdict,
        outcome=OK if cause is None else cause.outcome,
        step=None if cause is None else cause.name,
        cause=name,
        advice=None if cause is None else cause.advice,
        held=_held(connection, session, tick) if now and (by_row or cause is None) else None,
        steps=steps,
    )


def untouched(session: Session, engine: Engine) -> Explanation:
    """Return the answer about the present of a session without any tick."""
    steps = (
        _session_step(session, engine, session.halt_reason, now=True),
        _kill_step(session, engine, session.halt_reason, halt_step(session.halt_reason), now=True),
    )
    cause = cause_of(steps)
    text = "no ledger came yet" if cause is None else cause.text
    return Explanation(
        session_id=session.session_id,
        running=_runs(session, engine),
        tick=None,
        kind=None,
        ledger_index=None,
        close_time=None,
        verdict=f"session {session.session_id} has no tick: {text}",
        outcome=STOPPED,
        step=SESSION if cause is None else cause.name,
        cause=session.halt_reason,
        advice="wait for a ledger, or check the feed" if cause is None else cause.advice,
        held=None,
        steps=steps,
    )


def _runs(session: Session, engine: Engine) -> bool:
    return (
        session.ended_at is None and engine.pid is not None and engine.session in (None, session.session_id)
    )


def _session_step(session: Session, engine: Engine, halt: str | None, *, now: bool) -> Step:
    whose = f"session {session.session_id}"
    facts = [Fact(name="mode", value=f"{session.mode}, feed {session.feed}, since {session.started_at}")]
    if now and engine.pause is not None:
        facts.append(Fact(name="pause file", value=f"{engine.pause.side}, {engine.pause.told}"))
    if _runs(session, engine):
        text = f"it runs, process {engine.pid}" if engine.pid else "it runs"
        outcome, advice = OK, None
        if halt is not None:
            text, outcome, advice = (
                f"it is ending: {halt}",
                STOPPED,
                "wait until its last cancels are confirmed",
            )
        return Step(name=SESSION, outcome=outcome, text=text, facts=tuple(facts), advice=advice, cause=halt)
    if session.ended_at is None:
        text = f"{whose} was never ended and no engine runs: process {session.pid} was killed or crashed"
        advice = "start it again: the next start puts right what it left"
        outcome = STOPPED if now else OK
        return Step(name=SESSION, outcome=outcome, text=text, facts=tuple(facts), advice=advice, cause="died")
    detail = f" ({session.halt_detail})" if session.halt_detail else ""
    text = f"{whose} ended {session.ended_at}: {session.halt_reason}{detail}"
    if halt is None:
        return Step(name=SESSION, outcome=OK, text=f"it went on after this tick; {text}", facts=tuple(facts))
    return Step(
        name=SESSION,
        outcome=STOPPED,
        text=text,
        facts=tuple(facts),
        advice="docs/halt-reasons.md tells what to do about it; then start a new session",
        cause=halt,
    )


def _kill_step(session: Session, engine: Engine, halt: str | None, asker: str, *, now: bool) -> Step:
    facts = []
    if now and engine.kill_reason is not None:
        facts.append(Fact(name="kill file", value=engine.kill_reason))
    if now and engine.latch is not None:
        facts.append(Fact(name="latch", value=engine.latch))
    if halt is not None and asker == KILL:
        detail = f" ({session.halt_detail})" if session.halt_reason == halt else ""
        text = f"the kill switch was pulled{detail}"
        advice = "find out why it was pulled before a new session is started"
    elif now and engine.kill_reason is not None:
        when = "the session ends at once" if _runs(session, engine) else "the next session halts at once"
        text = f"a kill file lies beside the database ({engine.kill_reason}): {when}"
        advice = "remove the kill file when trading may go on"
    elif now and engine.latch is not None and session.mode == "live" and not _runs(session, engine):
        text = f"the kill switch holds: no live session may start ({engine.latch})"
        advice = "python -m neo_engine kill --reset, once the reasons are understood"
    else:
        return Step(name=KILL, outcome=OK, text="not pulled", facts=tuple(facts))
    return Step(
        name=KILL,
        outcome=STOPPED,
        text=text,
        facts=tuple(facts),
        advice=advice,
        cause=HaltReason.KILL_SWITCH.value,
    )


def _asker(halt: str | None, told: Iterable[Remark]) -> str:
    """Return the step that asked for the end: a monitor pulls the kill switch too, and then has a reading."""
    step = halt_step(halt)
    killed = any(one.severity == Severity.KILL.name for one in told)
    return MONITORS if step == KILL and killed else step


def _monitor_step(session: Session, tick: Tick, told: Iterable[Remark], halt: str | None) -> Step:
    facts = tuple(Fact(name=one.kind, value=f"{one.severity}: {one.detail}") for one in told)
    if halt is not None and _asker(halt, told) == MONITORS:
        detail = f" ({session.halt_detail})" if session.halt_reason == halt and session.halt_detail else ""
        return Step(
            name=MONITORS,
            outcome=STOPPED,
            text=f"a monitor or the reconciler halted the session: {halt}{detail}",
            facts=facts,
            advice="docs/halt-reasons.md tells what to do about it",
            cause=halt,
        )
    step = _gate_step(MONITORS, session, tick)
    text = f"{len(facts)} to note, none of which stops a quote" if step.outcome == OK and facts else step.text
    return replace(step, text=text, facts=(*step.facts, *facts))


def _data_step(session: Session, tick: Tick) -> Step:
    step = _gate_step(DATA, session, tick)
    shut = any(gate.side not in SIDES for gate in tick.gates)
    what = UNDECIDED.get(tick.kind)
    if shut or (what is None and (tick.gates or tick.quoting != "none")):
        return step
    return Step(
        name=DATA,
        outcome=STOPPED,
        text=f"nothing was decided: {what or 'the account was not known yet'}; {orders_left(tick.kept)}",
        advice="nothing, unless it lasts: the next ledger is decided on",
        cause="account" if what is None else tick.kind,
    )


def _slot(gate: Gate) -> str:
    return gate.detail.partition(":")[0]


def _standing(tick: Tick) -> dict[str, set[str]]:
    """Return side -> slots that are wanted and that no later gate held back."""
    gone = {_slot(gate) for gate in tick.gates if gate.name not in _SLOTLESS}
    return {
        side: {one.slot for one in tick.quotes if one.slot.startswith(side) and one.slot not in gone}
        for side in SIDES
    }


def _closed(gate: Gate, standing: dict[str, set[str]]) -> set[str]:
    """Return the sides that a gate closed: a level's gate closes one only if no other level of it stands."""
    if gate.side not in SIDES:
        return set(SIDES)
    return set() if standing[gate.side] else {gate.side}


def _gate_step(step: str, session: Session, tick: Tick) -> Step:
    fired = [gate for gate in tick.gates if gate.name != STOPPING and gate_text(gate.name).step == step]
    if not fired:
        return Step(name=step, outcome=OK, text="nothing fired")
    standing = _standing(tick)
    closed: set[str] = set()
    facts = []
    for gate in fired:
        closed |= _closed(gate, standing)
        facts.append(
            Fact(
                name=gate.name if gate.side not in SIDES else f"{gate.name} {gate.side}",
                value=gate.detail,
                settings=_settings(session, gate_text(gate.name).keys, gate.detail),
            )
        )
    outcome = (FEWER, ONE_SIDE, STOPPED)[len(closed)]
    shut = [gate for gate in fired if _closed(gate, standing)]
    shown = next((gate for gate in shut if gate.side not in SIDES), (shut or fired)[0])
    text = gate_text(shown.name)
    told = [shown] if shown.side not in SIDES else shut or [shown]
    said = (one.detail if one.name == shown.name else f"{one.name} {one.detail}" for one in told)
    return Step(
        name=step,
        outcome=outcome,
        text=f"{shown.name}: {text.means}",
        facts=tuple(facts),
        advice=text.advice,
        cause=shown.name,
        detail="; ".join(said),
        closed=tuple(side for side in SIDES if side in closed),
    )


def _settings(session: Session, keys: Iterable[str], detail: str) -> tuple[tuple[str, str], ...]:
    glft = session.setting("strategy.model") == "glft"
    read = (key for key in keys if key not in detail and (glft or not key.startswith("strategy.glft.")))
    values = ((key, session.setting(key)) for key in read)
    return tuple((key, value) for key, value in values if value is not None)


def _diff_step(session: Session, tick: Tick) -> Step:
    step = _gate_step(DIFF, session, tick)
    tried = sum(len(slots) for slots in _standing(tick).values())
    moving = max(0, tried - tick.placed - tick.kept)
    counts = f"wanted {len(tick.quotes)}, placed {tick.placed}, kept {tick.kept}, cancelled {tick.canceled}"
    counts += f", left alone while in flight {moving}" if moving else ""
    quotes = tuple(
        Fact(name=one.slot, value=f"{one.price:f} for {one.drops / 1_000_000:g} XRP") for one in tick.quotes
    )
    text = counts if step.outcome == OK else f"{step.text}; {counts}"
    return replace(step, text=text, facts=(*step.facts, *quotes))


def _refused(one: Made) -> bool:
    return one.kind != "cancel" and (one.status == "REJECTED" or one.outcome == "rejected")


def _exchange_step(tick: Tick, made: tuple[Made, ...]) -> Step:
    if not made:
        return Step(name=EXCHANGE, outcome=OK, text="nothing was sent")
    facts = tuple(
        Fact(
            name=f"{one.kind or 'order'} {one.slot}",
            value=f"order {one.order_id}: {one.outcome or 'no answer stored'}, "
            f"{one.result or 'no result yet'}, now {one.status}"
            + (f" ({one.reason})" if _refused(one) and one.reason else ""),
        )
        for one in made
    )
    refused = [one for one in made if _refused(one)]
    if not refused:
        return Step(name=EXCHANGE, outcome=OK, text=f"{len(made)} sent, none refused", facts=facts)
    standing, gone = _standing(tick), {one.slot for one in refused}
    closed = tuple(side for side in SIDES if standing[side] and standing[side] <= gone)
    whole = len(closed) == sum(1 for side in SIDES if standing[side])
    first = refused[0]
    said = first.reason or first.result or "no reason stored"
    return Step(
        name=EXCHANGE,
        outcome=STOPPED if whole else ONE_SIDE if closed else FEWER,
        text=f"{len(made)} sent, {len(refused)} refused: {first.slot} with {said}",
        facts=facts,
        advice="docs/submission.md explains the codes; the next tick tries again",
        cause=said,
        detail=f"{first.slot}: {said}",
        closed=closed,
    )


def _row_cause(row: sqlite3.Row, wide: Decimal | None) -> tuple[str, str]:
    """Return what a tick's row alone names as its cause: equal for ticks with the same one."""
    gates = sorted(gates_of(row["gates"]), key=lambda gate: STEPS.index(gate_text(gate.name).step))
    shut = next((gate for gate in gates if gate.side not in SIDES), None)
    if shut is not None:
        return shut.name, shut.detail if shut.name == STOPPING else ""
    if row["kind"] != LEDGER:
        return str(row["kind"]), ""
    if row["quoting"] != "both" and gates:
        return gates[0].name, str(row["quoting"])
    half = row["half_spread_bps"]
    is_wide = wide is not None and half is not None and Decimal(half) >= wide
    return str(row["quoting"]), "wide" if is_wide else ""


def _held(connection: sqlite3.Connection, session: Session, tick: Tick) -> Held | None:
    """Return since when every tick up to this one has had the same cause."""
    since, wanted, looked, wide = None, None, 0, wide_from(session)
    for row in earlier(connection, session, tick.tick, HELD_LIMIT):
        looked += 1
        cause = _row_cause(row, wide)
        if wanted is None:
            wanted = cause
        elif cause != wanted:
            break
        since = row
    if since is None:
        return None
    count = tick.tick - int(since["tick"]) + 1
    age = datetime.fromisoformat(tick.close_time) - datetime.fromisoformat(since["close_time"])
    return Held(
        ticks=count,
        seconds=int(age.total_seconds()),
        since_tick=int(since["tick"]),
        more=count == looked == HELD_LIMIT,
    )
