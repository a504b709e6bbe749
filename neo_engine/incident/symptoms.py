"""Six symptoms, and for each the stored ticks that show it.

stopped: nothing is quoted. spike: a jump of the half-spread, of the mid, or a loss. killed: the session was
ended. wide: the half-spread lies over its base. limited: headroom or refusals hold orders back. stale:
ledgers are missing, late or unusable.

Nothing is decided anew: a finder picks ticks and counts what they stored, `why` explains the picked ones.
Raises of every public function: sqlite3.Error and ValueError for a damaged database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import pairwise

from neo_engine.domain.halt import EXIT_OK, HaltReason, exit_code
from neo_engine.domain.number import BPS, NEAREST, plain
from neo_engine.incident.case import Case, Finding, gate_counts, profit, span_text
from neo_engine.incident.counts import faults_of, refusals_of
from neo_engine.report.why_rows import Tick, readings
from neo_engine.report.why_spread import WIDE_RATIO, composed, wide_from
from neo_engine.report.why_steps import WIDENED
from neo_engine.report.why_table import STOPPING
from neo_engine.report.why_verdict import LEDGER

HEADROOM = "quota_headroom_pct"
LIMITING = frozenset(("QuotaExhausted", "QuotaCritical", "Backoff", "Fee"))
STALE = frozenset(
    (
        *("NoDataReceived", "StaleData", "Gap", "UnhealthyNode", "MalformedMessage", "BadNumber"),
        *("CrossedBook", "EmptySide", "Behind"),
    )
)
MOST_TICKS = 4  # explained in full: what a person reads at night
MOST_READINGS = 6
_CENT = Decimal("0.01")
_SIDES = {"none": "nothing was quoted", "bid": "only the bid was quoted", "ask": "only the ask was quoted"}


def _shown(value: Decimal) -> str:
    return plain(value.quantize(_CENT, NEAREST))


def _seconds(first: Tick, last: Tick) -> int:
    age = datetime.fromisoformat(last.close_time) - datetime.fromisoformat(first.close_time)
    return int(age.total_seconds())


def _picked(*ticks: Tick | None) -> tuple[int, ...]:
    """Return the numbers of ticks, each once, at most MOST_TICKS."""
    return tuple(dict.fromkeys(tick.tick for tick in ticks if tick is not None))[:MOST_TICKS]


def _nothing(case: Case, text: str) -> Finding:
    looked = f"{text} in {span_text(case.ticks[0], case.ticks[-1])}" if case.ticks else text
    return Finding(found=False, lines=(looked,), ticks=_picked(*case.ticks[-1:]))


def _no_ticks(case: Case) -> Finding:
    answer = case.answer(None)
    return Finding(found=True, lines=(answer.verdict,), ticks=())


def _stretch(ticks: Sequence[Tick], quoting: str) -> tuple[int, int] | None:
    """Return the places of the last run of ticks that quoted so: its first and its last."""
    end = next((place for place in range(len(ticks) - 1, -1, -1) if ticks[place].quoting == quoting), None)
    if end is None:
        return None
    start = end
    while start > 0 and ticks[start - 1].quoting == quoting:
        start -= 1
    return start, end


def stopped(case: Case) -> Finding:
    """Find the last ticks that quoted nothing, else one side only."""
    ticks = case.ticks
    if not ticks:
        return _no_ticks(case)
    wanted = (ticks[-1].quoting, "none", "bid", "ask")
    found = next(((one, place) for one in wanted if one in _SIDES and (place := _stretch(ticks, one))), None)
    if found is None:
        return _nothing(case, "both sides were quoted at every tick")
    quoting, (start, end) = found
    whole = ticks[start : end + 1]
    first, last = whole[0], whole[-1]
    lines = [
        f"{_SIDES[quoting]} for {len(whole)} ticks, {_seconds(first, last)} s: {span_text(first, last)}",
        f"gates in them: {gate_counts(whole) or 'none'}",
    ]
    without = Counter(one.kind for one in whole if one.kind != LEDGER)
    if without:
        told = ", ".join(f"{count} of kind {kind}" for kind, count in sorted(without.items()))
        lines.append(f"ticks without a ledger: {told}")
    if end + 1 < len(ticks):
        lines.append(f"it is over: tick {ticks[end + 1].tick} quoted {ticks[end + 1].quoting}")
    before = ticks[start - 1] if start else None
    if before is not None:
        lines.append(f"before it: tick {before.tick} quoted {before.quoting}")
    elif first.tick != case.session.first_tick:
        lines.append(f"it began before tick {first.tick}, the oldest that was looked at")
    return Finding(found=True, lines=tuple(lines), ticks=_picked(last, first, before))


def _jump(
    ticks: Sequence[Tick],
    value: Callable[[Tick], Decimal | None],
    size: Callable[[Decimal, Decimal], Decimal],
) -> tuple[Tick, Decimal, Decimal] | None:
    """Return the tick with the greatest `size` against the last known value, with both; None for no jump."""
    best, most, last = None, Decimal(0), None
    for tick in ticks:
        now = value(tick)
        if now is None:
            continue
        if last is not None and size(last, now) > most:
            best, most = (tick, last, now), size(last, now)
        last = now
    return best


def spike(case: Case) -> Finding:
    """Find the greatest jumps of the half-spread and of the mid, and the greatest loss, within one tick."""
    if not case.ticks:
        return _no_ticks(case)
    half = _jump(case.ticks, lambda one: one.half_spread_bps, lambda a, b: abs(b - a))
    mid = _jump(case.ticks, lambda one: one.mark, lambda a, b: abs(b - a) / a if a else Decimal(0))
    loss = _jump(case.ticks, lambda one: profit(one) if one.mark is not None else None, lambda a, b: a - b)
    lines = []
    if half is not None:
        tick, a, b = half
        lines.append(f"half-spread: {_shown(a)} to {_shown(b)} bps at tick {tick.tick}, {tick.close_time}")
    if mid is not None:
        tick, a, b = mid
        moved = _shown((b - a) * BPS / a)
        lines.append(f"mid: {plain(a)} to {plain(b)}, {moved} bps, at tick {tick.tick}, {tick.close_time}")
    if loss is not None:
        tick, a, b = loss
        lines.append(
            f"loss: P&L {_shown(a)} to {_shown(b)} RLUSD at tick {tick.tick}, {tick.close_time}, "
            f"with {tick.fills} fills"
        )
    if not lines:
        return _nothing(case, "neither the half-spread nor the mid moved, and nothing was lost")
    lines.append(f"the greatest within one tick of {span_text(case.ticks[0], case.ticks[-1])}")
    return Finding(
        found=True, lines=tuple(lines), ticks=_picked(*(one[0] for one in (half, mid, loss) if one))
    )


def _read_before(case: Case, tick: Tick) -> Iterator[str]:
    """Yield what monitors said last at a tick, and the holdings there."""
    told = readings(case.connection, case.session, tick.tick)[:MOST_READINGS]
    for one in told:
        yield f"{one.kind} {one.severity}: {one.detail}"
    if not told:
        yield "no monitor had anything to say"
    yield (
        f"P&L {_shown(profit(tick))} RLUSD, {plain(Decimal(tick.inventory_drops) / 1_000_000)} XRP and "
        f"{_shown(tick.inventory_quote)} of the token held"
    )


def _switch(case: Case) -> Iterator[str]:
    """Yield what waits beside the database."""
    if case.engine.latch is not None:
        yield f"the kill switch holds for live sessions: {case.engine.latch}"
    if case.engine.kill_reason is not None:
        yield f"a kill file waits for the next session: {case.engine.kill_reason}"


def killed(case: Case) -> Finding:
    """Find the tick that began to end the session, and what was read at it and before it."""
    session, ticks = case.session, case.ticks
    place = next((n for n, one in enumerate(ticks) if any(g.name == STOPPING for g in one.gates)), None)
    lines = []
    if session.halt_reason is not None:
        detail = f" ({session.halt_detail})" if session.halt_detail else ""
        lines.append(f"session {session.session_id} ended {session.ended_at}: {session.halt_reason}{detail}")
    elif not case.running:
        lines.append(f"session {session.session_id} has no end: process {session.pid} was killed or crashed")
    if place is None:
        if not lines:
            return _nothing(case, f"session {session.session_id} runs: nothing asked it to end")
        if ticks:
            lines.append(f"last tick stored: {span_text(ticks[-1], ticks[-1])}")
            lines += _read_before(case, ticks[-1])
        return Finding(found=_is_halt(case), lines=(*lines, *_switch(case)), ticks=_picked(*ticks[-1:]))
    tick, before = ticks[place], ticks[place - 1] if place else None
    why = next(gate.detail for gate in tick.gates if gate.name == STOPPING)
    lines.append(f"tick {tick.tick}, {tick.close_time}, was the first to stop: {why}")
    lines += _read_before(case, tick)
    if before is not None:
        lines.append(f"the tick before it, {before.tick}, quoted {before.quoting}")
    last = ticks[-1] if ticks[-1].kept == 0 else None
    lines += _switch(case)
    return Finding(found=_is_halt(case), lines=tuple(lines), ticks=_picked(tick, before, last))


def _is_halt(case: Case) -> bool:
    """False for a session that runs or ended as planned."""
    reason = case.session.halt_reason
    if reason is None:
        return not case.running
    known = {one.value: one for one in HaltReason}
    return reason not in known or exit_code(known[reason]) != EXIT_OK


def wide(case: Case) -> Finding:
    """Find the widest half-spread against its base, and which factors made the spread wide how often."""
    if not case.ticks:
        return _no_ticks(case)
    priced = [one for one in case.ticks if one.half_spread_bps is not None]
    if not priced:
        return _nothing(case, "no price was computed")
    widest = max(priced, key=lambda one: (one.half_spread_bps or Decimal(0), one.tick))
    steps = [(one, composed(case.session, one)) for one in priced]
    causes = Counter(step.cause or "a limit" for _one, step in steps if step.outcome == WIDENED)
    base = wide_from(case.session)
    over = "" if base is None else f", wide from {_shown(base)} bps on ({plain(WIDE_RATIO)} x its base)"
    lines = [
        f"the widest, tick {widest.tick}, {widest.close_time}: {composed(case.session, widest).text}{over}",
        f"wide at {causes.total()} of {len(priced)} priced ticks, {span_text(priced[0], priced[-1])}",
    ]
    if causes:
        lines.append("by " + ", ".join(f"{name} {count}" for name, count in causes.most_common(6)))
    last = next((one for one, step in reversed(steps) if step.outcome == WIDENED), None)
    if last is not None and last is not priced[-1]:
        lines.append(f"it is over: the last wide one was tick {last.tick}, {last.close_time}")
    return Finding(found=bool(causes), lines=tuple(lines), ticks=_picked(widest, last))


def limited(case: Case) -> Finding:
    """Find what held orders back: headroom, waits after refusals, the fee; and the codes of the refusals."""
    ticks = case.ticks
    if not ticks:
        return _no_ticks(case)
    held = [one for one in ticks if any(gate.name in LIMITING for gate in one.gates)]
    short = [(value, one) for one in ticks if (value := dict(one.factors).get(HEADROOM)) is not None]
    refused = refusals_of(case.connection, case.session, ticks[0].tick, ticks[-1].tick)
    lines = []
    if held:
        lines.append(f"{len(held)} ticks held back, {span_text(held[0], held[-1])}")
        lines.append(f"gates in them: {gate_counts(held, LIMITING)}")
    if short:
        least, at = min(short, key=lambda one: one[0])
        lines.append(f"least headroom counted: {_shown(least)} % at tick {at.tick}, {at.close_time}")
    if refused:
        total = sum(count for _code, count in refused)
        told = ", ".join(f"{code} {count}" for code, count in refused)
        lines.append(f"{total} orders or transactions refused: {told}")
    if not lines:
        return _nothing(case, "no headroom was short and nothing was refused")
    burned = ticks[-1].fees_drops - ticks[0].fees_drops
    limit = case.session.setting("live.max_daily_fee_drops")
    lines.append(f"fees burned meanwhile: {burned} drops" + (f" of {limit} a day" if limit else ""))
    worst = min(short, key=lambda one: one[0])[1] if short else None
    return Finding(
        found=True,
        lines=tuple(lines),
        ticks=_picked(*held[-1:], worst, *held[:1]) or _picked(ticks[-1]),
    )


def stale(case: Case) -> Finding:
    """Find the longest time without a ledger, the faults of the feed and the gates that they closed."""
    ticks = case.ticks
    if not ticks:
        return _no_ticks(case)
    ledgers = [one for one in ticks if one.kind == LEDGER]
    silent = [one for one in ticks if one.kind in ("silence", "fault")]
    closed = [one for one in ticks if any(gate.name in STALE for gate in one.gates)]
    gap = max(pairwise([*ledgers, *_open_end(ticks, ledgers)]), key=lambda two: _seconds(*two), default=None)
    faults = faults_of(case.connection, case.session, ticks[0].tick, ticks[-1].tick)
    pull, halt = (case.session.setting(f"risk.stale_{name}_seconds") for name in ("pull", "halt"))
    lines = []
    if gap is not None:
        where = f"before tick {gap[1].tick}, {gap[1].close_time}"
        lines.append(
            f"longest without a ledger: {_seconds(*gap)} s {where} (pull from {pull} s, halt {halt} s)"
        )
    if silent:
        lines.append(f"{len(silent)} ticks without a ledger, {span_text(silent[0], silent[-1])}")
    if faults:
        lines.append("faults of the feed: " + ", ".join(f"{kind} {count}" for kind, count in faults))
    if closed:
        lines.append(f"gates they closed: {gate_counts(closed, STALE)}")
    if not (silent or faults or closed):
        return Finding(
            found=False, lines=(*lines, "no ledger was late, none unusable"), ticks=_picked(ticks[-1])
        )
    return Finding(found=True, lines=tuple(lines), ticks=_picked(*closed[-1:], gap and gap[1], *silent[-1:]))


def _open_end(ticks: Sequence[Tick], ledgers: Sequence[Tick]) -> Sequence[Tick]:
    """Return the last tick where it has no ledger: the wait for the next one is not over."""
    return ticks[-1:] if ledgers and ticks[-1].kind != LEDGER else ()


SYMPTOMS: dict[str, Callable[[Case], Finding]] = {
    "stopped": stopped,
    "spike": spike,
    "killed": killed,
    "wide": wide,
    "limited": limited,
    "stale": stale,
}
