"""The sentence on top of an answer: what stopped the quotes first, else what closed a side or widened."""

from __future__ import annotations

from collections.abc import Iterable

from neo_engine.report.why_rows import Tick
from neo_engine.report.why_steps import FEWER, ONE_SIDE, SIDES, STOPPED, WIDENED, Step, names_of
from neo_engine.report.why_table import KILL, MONITORS, SESSION, SPREAD

_ENDERS = frozenset((SESSION, KILL, MONITORS))
LEDGER = "ledger"  # the kind of tick that decides
#: Kinds of ticks that decide nothing -> why.
UNDECIDED = {
    "silence": "no ledger came",
    "fault": "the feed could not give a ledger",
    "end": "the market ended",
}


def orders_left(count: int) -> str:
    """Return how many orders stay, as words."""
    return f"{count} order{' stays' if count == 1 else 's stay'} in the book"


def cause_of(steps: Iterable[Step]) -> Step | None:
    """Return the step that the verdict names: the first of the worst outcome; None when all is well.

    A session that was halted names the step that asked for it.
    """
    known = list(steps)
    for outcome in (STOPPED, ONE_SIDE, WIDENED, FEWER):
        found = [step for step in known if step.outcome == outcome]
        if found and found[0].name == SESSION:
            return next((step for step in found[1:] if step.cause == found[0].cause), found[0])
        if found:
            return found[0]
    return None


def sentence(tick: Tick, steps: tuple[Step, ...], cause: Step | None) -> tuple[str, str | None]:
    """Return the sentence on top and the name of the cause."""
    head = f"tick {tick.tick}: "
    if cause is not None and cause.outcome == STOPPED:
        return head + _stop_sentence(tick, cause), cause.cause
    sides = [step for step in steps if step.outcome == ONE_SIDE]
    closed = {side for step in sides for side in step.closed}
    if sides and (tick.quoting == "none" or closed == set(SIDES)):
        return f"{head}no quotes: {_sides_sentence(sides)}", sides[0].cause
    spread = next(step for step in steps if step.name == SPREAD)
    wide = f"the spread is {spread.text}"
    if sides:
        other = next(side for side in SIDES if side not in closed)
        return f"{head}only the {other} is quoted: {_sides_sentence(sides)}; {wide}", sides[0].cause
    fewer = [step for step in steps if step.outcome == FEWER]
    missing = f"; a level is missing: {names_of(fewer)}" if fewer else ""
    name = None if cause is None else cause.cause
    quoted = "both sides quoted" if tick.quoting == "both" else f"only the {tick.quoting} is quoted"
    return f"{head}{quoted}; {wide}{missing}", name


def _sides_sentence(sides: Iterable[Step]) -> str:
    """Return what closed each side first."""
    told, shut = [], set[str]()
    for one in sides:
        new = [side for side in one.closed if side not in shut]
        if new:
            told.append(f"{' and '.join(new)} closed by the {one.name} {names_of([one])}")
            shut.update(new)
    return ", ".join(told)


def _stop_sentence(tick: Tick, cause: Step) -> str:
    if cause.name in _ENDERS and not cause.detail:
        return f"no quotes: {cause.text}"
    if not cause.detail:  # of a tick that decided nothing
        return cause.text
    wanted = "no quotes" if tick.quoting == "none" else "nothing stands of what was wanted"
    left = f"; {orders_left(tick.kept)}" if tick.kept and tick.quoting == "none" else ""
    return f"{wanted}: the {cause.name} {names_of([cause])}{left}"
