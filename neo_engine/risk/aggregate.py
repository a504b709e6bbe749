"""The aggregator: all monitors are asked, and the highest severity of them decides.

    WARN          the reading is stored, nothing else changes
    REDUCE_ONLY   gate `Risk` on the side whose fills would make it worse
    PULL_QUOTES   gate `Risk` on both sides (`StaleData` for staleness, `Cascade` for sweeping): every order
                  is taken back
    KILL          the session ends, for the reason of the first monitor that kills, with all their numbers

A reading is stored when its severity changes, so a quiet session stores none.
"""

from __future__ import annotations

from neo_engine.config import Config
from neo_engine.domain.halt import Halt, HaltReason
from neo_engine.domain.number import ZERO
from neo_engine.domain.records import Accounts, Gate
from neo_engine.domain.severity import Reading, Severity
from neo_engine.domain.today import NOTHING_YET, Today
from neo_engine.risk.monitors import MONITORS
from neo_engine.risk.monitors.reading import calm
from neo_engine.risk.monitors.value import DAY_SECONDS
from neo_engine.risk.state import (
    NO_ANSWER,
    NO_DEPEG,
    NO_JUMP,
    NO_PEAK,
    NO_REFUSAL,
    NO_RUN,
    NOTHING_TAKEN,
    Age,
    Burn,
    Count,
    DayResult,
    Holdings,
    LastMid,
    RiskAssessment,
    RiskObservation,
    RiskState,
    Seen,
)

RISK_GATE = "Risk"
STALE_GATE = "StaleData"
CASCADE_GATE = "Cascade"
_HALTS = {monitor.name: monitor.halt for monitor in MONITORS}


def initial_state(close_time: int, today: Today = NOTHING_YET) -> RiskState:
    """Return the memory of a session that has seen nothing; close_time: of the feed's starting ledger.

    today: what earlier sessions of the account did on that ledger's UTC day.
    """
    day = close_time // DAY_SECONDS
    return RiskState(
        feed_failures=Count(count=0),
        staleness=Age(last_ledger_time=close_time),
        unhealthy_data=Count(count=0),
        daily_loss=DayResult(day=day, before=-today.pnl_rlusd, pnl=ZERO),
        drawdown=NO_PEAK,
        position_velocity=Holdings(steps=((close_time, 0),)),
        cascade=NO_RUN,
        price_velocity=LastMid(mid=None, close_time=close_time),
        balance_jump=NO_JUMP,
        depeg=NO_DEPEG,
        issuer=NOTHING_TAKEN,
        ledger_stall=Age(last_ledger_time=close_time),
        submit_errors=NO_REFUSAL,
        reject_rate=NO_ANSWER,
        fee_burn=Burn(day=day, before=-today.fees_drops, fees=0),
        readings=tuple(calm(monitor.name) for monitor in MONITORS),
        newest_order=0,
    )


def assess(
    state: RiskState, view: Accounts, observation: RiskObservation, config: Config, now: int
) -> RiskAssessment:
    """Return whether the session may go on and quote after this tick; now: the feed's time in seconds."""
    seen = Seen(tick=observation, view=view, at=now)
    readings, memories, changed = [], {}, []
    highest = Severity.NORMAL
    for monitor, last in zip(MONITORS, state.readings, strict=True):
        name = monitor.name
        memory, reading = monitor.judge(getattr(state, name) if monitor.remembers else None, seen, config)
        if monitor.remembers:
            memories[name] = memory
        if reading is None:
            reading = last
        elif reading.severity is not last.severity:
            changed.append(reading)
        if reading.severity > highest:
            highest = reading.severity
        readings.append(reading)
    after = RiskState(
        **memories,
        readings=tuple(readings),
        newest_order=max(state.newest_order, observation.newest_order),
    )
    quiet = highest <= Severity.WARN and not observation.kill
    return RiskAssessment(
        state=after,
        severity=highest,
        halt=None if quiet else halt_of(readings, observation.kill),
        gates=() if quiet else gates_of(readings),
        changed=tuple(changed),
    )


def halt_of(readings: list[Reading], kill: tuple[str, ...]) -> Halt | None:
    """Return the halt that the operator or monitors ask for, or None."""
    if kill:
        return Halt(reason=HaltReason.KILL_SWITCH, detail="; ".join(kill))
    killing = [one for one in readings if one.severity is Severity.KILL]
    if not killing:
        return None
    reason = _HALTS[killing[0].monitor] or HaltReason.KILL_SWITCH
    return Halt(reason=reason, detail="; ".join(_numbers(one) for one in killing))


def _numbers(killing: Reading) -> str:
    """Return the reading's numbers, with its name where the halt reason does not say it."""
    named = _HALTS[killing.monitor] is HaltReason.KILL_SWITCH
    return f"monitor {killing.monitor}: {killing.detail}" if named else killing.detail


def gates_of(readings: list[Reading]) -> tuple[Gate, ...]:
    """Return the gates that the readings close; a KILL closes none, for the session ends."""
    gates = []
    for one in readings:
        pulls = one.severity is Severity.PULL_QUOTES
        if one.monitor == "staleness" and one.severity >= Severity.PULL_QUOTES:
            gates.append(Gate(name=STALE_GATE, side="both", detail=one.detail))
        elif one.monitor == "cascade" and pulls:
            gates.append(Gate(name=CASCADE_GATE, side="both", detail=one.detail))
        elif pulls:
            gates.append(Gate(name=RISK_GATE, side="both", detail=f"{one.monitor}: {one.detail}"))
        elif one.severity is Severity.REDUCE_ONLY:
            gates.append(Gate(name=RISK_GATE, side=one.closes, detail=f"{one.monitor}: {one.detail}"))
    return tuple(gates)
