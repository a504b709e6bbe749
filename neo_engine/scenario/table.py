"""The table of events, and how one is read from a scenario.

An event is a function of the stage with annotated keyword parameters; name, parameters, defaults and text
of the event are the function's. Numbers must be above zero, but for those of SIGNED. A fault of the server's
schedule (docs/simulator.md) is an event of the same name, unless there is one here.

    @event
    def price_jump(stage: Stage, *, percent: Decimal) -> str:
        '''what the agents take XRP to be worth jumps by so many percent'''
        stage.world.market.shift(1 + percent / 100)
        return f"fair price {percent:+f} %"
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from neo_engine.domain.errors import UsageError
from neo_engine.scenario.stage import EventFailed, Stage
from neo_engine.simulator.server.fault_schedule import KINDS, BadSchedule, Place, parse_fault

Deed = Callable[[Stage], str]
Event = Callable[..., str]
SIGNED = frozenset({"percent", "bps"})  # these have a direction
RESERVED = ("at", "do", "seconds")  # keys of every event
EVENTS: dict[str, Event] = {}
_FORMS: dict[str, type[msgspec.Struct]] = {}


def event(function: Event) -> Event:
    """Add a function to the table under its name."""
    name = function.__name__
    signature = inspect.signature(function, eval_str=True)
    fields: list[Any] = [
        (one.name, one.annotation) if one.default is one.empty else (one.name, one.annotation, one.default)
        for one in signature.parameters.values()
        if one.kind is one.KEYWORD_ONLY
    ]
    _FORMS[name] = msgspec.defstruct(name, fields, kw_only=True, frozen=True, forbid_unknown_fields=True)
    EVENTS[name] = function
    return function


def parameters_of(name: str) -> dict[str, str]:
    """Return the parameters of an event of the table: name -> its default, "must be given" without one."""
    told = {}
    for field in msgspec.structs.fields(_FORMS[name]):
        needed = field.default is msgspec.NODEFAULT
        told[field.name] = "must be given" if needed else "" if field.default is None else str(field.default)
    return told


def names() -> tuple[str, ...]:
    """Return the names of all events."""
    faults = (name for name, kind in KINDS.items() if kind.place is not Place.LEDGER)
    return tuple(sorted({*EVENTS, *faults}))


def deed_of(name: str, given: Mapping[str, Any], where: str) -> Deed:
    """Return what an event does. Raises UsageError naming key and remedy."""
    if name in EVENTS:
        return _own(name, given, where)
    if name not in names():
        raise UsageError(f"{where}.do: no event named {name!r}; there are {', '.join(names())}")
    # Schedules count in floats and whole numbers; a scenario's own numbers are exact.
    plain = {key: float(value) if isinstance(value, Decimal) else value for key, value in given.items()}
    lasts = plain.pop("for", None)
    try:
        fault = parse_fault(name, plain, lasts, where)
    except BadSchedule as error:
        raise UsageError(str(error)) from error
    command: dict[str, Any] = {"name": name, "parameters": fault.parameters}
    if lasts is not None:
        command["for"] = lasts

    def start(stage: Stage) -> str:
        told = stage.world.faults.command(stage.world.network, command)
        return f"on for {told['for']}" if "for" in told else "done"

    return start


def _own(name: str, given: Mapping[str, Any], where: str) -> Deed:
    known = parameters_of(name)
    for key in given:
        if key not in known:
            raise UsageError(
                f"{where}: unknown key {key!r} of {name}; there are {', '.join(known) or 'none'}"
            )
    try:
        values = msgspec.convert(dict(given), _FORMS[name])
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {name}: {error}; see docs/scenarios.md") from error
    chosen = msgspec.structs.asdict(values)
    for key in given:
        value = chosen[key]
        number = isinstance(value, (int, Decimal)) and not isinstance(value, bool)
        if number and key not in SIGNED and not value > 0:
            raise UsageError(f"{where}.{key}: {value} must be above zero")
    return lambda stage: EVENTS[name](stage, **chosen)


def taken(what: str, result: str) -> None:
    """Raise EventFailed unless a transaction got into the open ledger."""
    if result != "tesSUCCESS":
        raise EventFailed(f"{what}: the network answers {result}")
