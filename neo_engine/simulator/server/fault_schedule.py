"""Which faults a server shows, when, and for how long: pure decisions, no socket and no clock.

A schedule is a YAML list. Each item names a `fault`, when it starts (`at_ledger`, `at_request` or `every`),
how long it lasts (`for`) and its `parameters`:

    - {fault: latency, at_request: 10, for: 20 requests, parameters: {seconds: 0.2, jitter: 0.1}}
    - {fault: gap, every: 50 ledgers, for: 2 ledgers}
    - {fault: clawback, at_ledger: 30, parameters: {account: r..., value: "5"}}

1. A ledger's number counts from the moment it is open until its last stream message has gone out.
2. Everything drawn (jitter, which value is bent, in which order) comes from the seed and from counts, so the
   same seed and the same traffic give the same faults.
3. Time is an argument: seconds of any clock that never goes back.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec
import yaml

from neo_engine.domain.errors import UsageError

Value = str | int | float | None


class Place(StrEnum):
    """Where a fault acts."""

    REPLY = "reply"
    STREAM = "stream"
    CLOCK = "clock"
    VIEW = "view"
    LEDGER = "ledger"


class Unit(StrEnum):
    """What `for` and `every` count."""

    LEDGERS = "ledgers"
    REQUESTS = "requests"
    SECONDS = "seconds"


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """So many ledgers, requests or seconds."""

    count: float
    unit: Unit


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that can be asked for. parameters: name -> default; None means that it must be given.

    lasts: unless `for` says otherwise; None where the fault is one deed and `for` has no sense.
    sees: what a client sees of it.
    """

    place: Place
    sees: str
    parameters: dict[str, Value]
    lasts: Span | None


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault to show. Exactly one of at_ledger, at_request and every; none for the command `fault`."""

    name: str
    parameters: dict[str, Any]
    lasts: Span | None
    at_ledger: int | None = None
    at_request: int | None = None
    every: Span | None = None

    @property
    def place(self) -> Place:
        """Where it acts."""
        return KINDS[self.name].place


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """Now. ledger: the open one. request: how many came. closes: how many were due. seconds: a clock."""

    ledger: int
    request: int = 0
    closes: int = 0
    seconds: float = 0.0


class BadSchedule(UsageError):
    """A schedule or a `fault` command that cannot be followed; the text names the item and the remedy."""


ONE_REQUEST = Span(count=1, unit=Unit.REQUESTS)
ONE_LEDGER = Span(count=1, unit=Unit.LEDGERS)
LAG_MAX = 60  # of the 64 ledgers that a history keeps with their entries
#: How a frame is malformed: cut short, NaN in it, an impossible number, a value of another type.
HOWS = ("cut", "nan", "absurd", "type")


def _kind(place: Place, sees: str, lasts: Span | None, **parameters: Value) -> Kind:
    own = parameters if place in (Place.LEDGER, Place.CLOCK) else {**parameters, "path": ""}
    return Kind(place=place, sees=sees, parameters=own, lasts=lasts)


_TOKEN: dict[str, Value] = {"account": None, "issuer": "", "currency": ""}
KINDS: dict[str, Kind] = {
    "latency": _kind(
        Place.REPLY,
        "replies come `seconds` late, and up to `jitter` seconds later still",
        ONE_REQUEST,
        seconds=0.5,
        jitter=0,
        command="",
    ),
    "drop": _kind(Place.REPLY, "the socket is cut without a close frame, no reply", ONE_REQUEST, command=""),
    "close_1008": _kind(
        Place.REPLY, "no reply; the socket closes: 1008, threshold exceeded", ONE_REQUEST, command=""
    ),
    "load_warning": _kind(Place.REPLY, '`"warning": "load"` in the reply', ONE_REQUEST, command=""),
    "slow_down": _kind(Place.REPLY, "the error slowDown in place of the answer", ONE_REQUEST, command=""),
    "lost_reply": _kind(
        Place.REPLY, "no reply, though the request was carried out", ONE_REQUEST, command="submit"
    ),
    "false_reply": _kind(
        Place.REPLY,
        "a submit is answered as applied, and never reaches a ledger",
        ONE_REQUEST,
        command="submit",
    ),
    "malformed_reply": _kind(
        Place.REPLY, "a reply that is cut or holds an impossible value", ONE_REQUEST, how="cut", command=""
    ),
    "gap": _kind(Place.STREAM, "no stream message of these ledgers", ONE_LEDGER),
    "duplicate": _kind(Place.STREAM, "every stream message twice", ONE_LEDGER),
    "reorder": _kind(Place.STREAM, "the stream messages of a ledger in another order", ONE_LEDGER),
    "malformed_stream": _kind(
        Place.STREAM, "one message of the ledger is cut or holds an impossible value", ONE_LEDGER, how="cut"
    ),
    "stall": _kind(Place.CLOCK, "no ledger closes; requests are answered", Span(count=3, unit=Unit.LEDGERS)),
    "stale": _kind(
        Place.VIEW,
        "the validated ledger stands still and no stream message comes; requests are answered",
        Span(count=5, unit=Unit.LEDGERS),
    ),
    "lag": _kind(
        Place.VIEW,
        "this node is `ledgers` behind, in replies and streams",
        Span(count=10, unit=Unit.LEDGERS),
        ledgers=3,
    ),
    "amendment_blocked": _kind(
        Place.VIEW,
        "amendment_blocked in server_info, warning 1002, the error amendmentBlocked for what needs a ledger",
        Span(count=5, unit=Unit.LEDGERS),
    ),
    "freeze": _kind(Place.LEDGER, "the issuer's TrustSet freezes the line", None, **_TOKEN),
    "unfreeze": _kind(Place.LEDGER, "the issuer's TrustSet clears the freeze", None, **_TOKEN),
    "clawback": _kind(Place.LEDGER, "the issuer's Clawback takes tokens", None, **_TOKEN, value=None),
    "deposit": _kind(
        Place.LEDGER,
        "a Payment nobody here asked for: drops, or tokens of an issuer",
        None,
        **_TOKEN,
        value=None,
    ),
    "reserve": _kind(
        Place.LEDGER,
        "a SetFee transaction; other reserves and fees (drops) from that ledger's ledgerClosed on",
        None,
        base=0,
        increment=0,
        fee=0,
    ),
}

_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(ledgers?|requests?|seconds?|s)\Z")
_ITEM_KEYS = {"fault", "at_ledger", "at_request", "every", "for", "parameters"}


def parse_schedule(text: str) -> tuple[Fault, ...]:
    """Return the faults of a schedule file. Raises BadSchedule, naming the item."""
    try:
        items = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadSchedule(f"faults: not YAML ({error}); write a list of faults") from None
    if not isinstance(items, list):
        raise BadSchedule("faults: must be a YAML list, one item a fault")
    return tuple(_item(item, f"faults[{at}]") for at, item in enumerate(items))


def _item(item: object, where: str) -> Fault:
    if not isinstance(item, dict):
        raise BadSchedule(f"{where}: must be a mapping with `fault` and when it starts")
    unknown = sorted(str(key) for key in item if key not in _ITEM_KEYS)
    if unknown:
        raise BadSchedule(f"{where}: unknown key {unknown[0]!r}; known: {', '.join(sorted(_ITEM_KEYS))}")
    starts = [key for key in ("at_ledger", "at_request", "every") if key in item]
    if len(starts) != 1:
        raise BadSchedule(f"{where}: give one of at_ledger, at_request and every")
    fault = parse_fault(item.get("fault"), item.get("parameters", {}), item.get("for"), where)
    start = item[starts[0]]
    if starts[0] == "every":
        every = _span(start, f"{where}.every")
        if every.unit is Unit.SECONDS:
            raise BadSchedule(f"{where}.every: counts ledgers or requests, not seconds")
        return msgspec.structs.replace(fault, every=every)
    if not isinstance(start, int) or isinstance(start, bool) or start < 1:
        raise BadSchedule(f"{where}.{starts[0]}: must be a whole number from 1")
    return msgspec.structs.replace(fault, **{starts[0]: start})


def parse_fault(name: object, parameters: object, lasts: object, where: str) -> Fault:
    """Return a fault that starts at once. Raises BadSchedule for an unknown name or parameter."""
    if not isinstance(name, str) or name not in KINDS:
        raise BadSchedule(f"{where}: no fault named {name!r}; there are {', '.join(KINDS)}")
    if not isinstance(parameters, dict):
        raise BadSchedule(f"{where}.parameters: must be a mapping")
    kind = KINDS[name]
    if lasts is not None and kind.lasts is None:
        raise BadSchedule(f"{where}.for: {name} happens once; leave `for` out")
    span = kind.lasts if lasts is None else _span(lasts, f"{where}.for")
    return Fault(name=name, parameters=_parameters(kind, parameters, f"{where}.parameters"), lasts=span)


def _parameters(kind: Kind, given: Mapping[str, object], where: str) -> dict[str, Any]:
    for name in given:
        if name not in kind.parameters:
            known = ", ".join(kind.parameters) or "none"
            raise BadSchedule(f"{where}: unknown parameter {name!r}; there are: {known}")
    chosen: dict[str, Any] = {}
    for name, default in kind.parameters.items():
        value = given.get(name, default)
        if value is None:
            raise BadSchedule(f"{where}.{name}: must be given")
        if isinstance(default, (int, float)):
            value = _number(value, f"{where}.{name}", whole=name not in ("seconds", "jitter"))
        elif not isinstance(value, str):
            raise BadSchedule(f"{where}.{name}: must be a text; put it in quotation marks")
        chosen[name] = value
    if chosen.get("ledgers", 0) > LAG_MAX:
        raise BadSchedule(f"{where}.ledgers: must be {LAG_MAX} at most; older ledgers are not kept whole")
    if "how" in chosen and chosen["how"] not in HOWS:
        raise BadSchedule(f"{where}.how: must be one of {', '.join(HOWS)}")
    return chosen


def _number(value: object, where: str, *, whole: bool) -> float:
    allowed = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, allowed) or not 0 <= value < 2**53:
        raise BadSchedule(f"{where}: must be a {'whole ' if whole else ''}number, zero or more")
    return value


def _span(value: object, where: str) -> Span:
    found = _SPAN.match(value) if isinstance(value, str) else None
    if found is None:
        raise BadSchedule(f"{where}: must be like `3 ledgers`, `10 requests` or `2.5 seconds`")
    unit = {"l": Unit.LEDGERS, "r": Unit.REQUESTS, "s": Unit.SECONDS}[found[2][0]]
    count = float(found[1])
    if count <= 0 or (unit is not Unit.SECONDS and count != int(count)):
        raise BadSchedule(f"{where}: must be above zero, and whole unless it counts seconds")
    return Span(count=count, unit=unit)


class Running:
    """A fault that has started.

    unit, until: the moment's figure at which it is over; with `left` it ends after so many matching requests
    instead. number: which one of all it is. seen: how often it acted, which is what draws depend on. mark:
    what its actor remembers for it.
    """

    __slots__ = ("fault", "left", "mark", "number", "seen", "unit", "until")

    def __init__(self, fault: Fault, number: int, unit: str, until: float) -> None:
        self.fault = fault
        self.number = number
        self.unit = unit
        self.until = until
        self.left: int | None = None
        self.seen = 0
        self.mark: Any = None

    def over(self, now: Moment) -> bool:
        """True once it has ended."""
        return self.left <= 0 if self.left is not None else getattr(now, self.unit) >= self.until


class Schedule:
    """The faults to come and those that are on. Remembers only what runs and how many were started."""

    def __init__(self, faults: Iterable[Fault], seed: int) -> None:
        self._faults = tuple(faults)
        self._seed = seed
        self._running: list[Running] = []
        self._started = 0

    def start(self, fault: Fault, now: Moment) -> Running:
        """Start a fault now; it covers the open ledger or, counted in requests, those after `now.request`.

        A fault of the ledger is one deed: who starts it does it, and it never is "on".
        """
        self._started += 1
        span = fault.lasts
        if span is None:
            return Running(fault, self._started, "ledger", now.ledger)
        unit, begin = _counted(fault, span.unit, now)
        running = Running(fault, self._started, unit, begin + span.count)
        if span.unit is Unit.REQUESTS and fault.place is Place.REPLY:
            running.left = int(span.count)
        self._running.append(running)
        return running

    def on_request(self, now: Moment) -> tuple[Running, ...]:
        """Start what begins with the request that just came (`now.request` counts it), and return it."""
        before = msgspec.structs.replace(now, request=now.request - 1)
        return self._begin(before, Unit.REQUESTS, now.request, "at_request")

    def on_ledger(self, now: Moment) -> tuple[Running, ...]:
        """Start what begins with the ledger that just opened, and return it: deeds have to be done."""
        return self._begin(now, Unit.LEDGERS, now.ledger, "at_ledger")

    def _begin(self, now: Moment, unit: Unit, count: int, name: str) -> tuple[Running, ...]:
        due = [
            fault
            for fault in self._faults
            if getattr(fault, name) == count
            or (fault.every is not None and fault.every.unit is unit and count % fault.every.count == 0)
        ]
        return tuple(self.start(fault, now) for fault in due)

    def active(self, place: Place, now: Moment, path: str = "") -> tuple[Running, ...]:
        """Return what is on at a place now, in the order of starting; path: where the client connected."""
        self._running = [running for running in self._running if not running.over(now)]
        return tuple(
            running
            for running in self._running
            if running.fault.place is place and running.fault.parameters.get("path", "") in ("", path)
        )

    def take(self, now: Moment, path: str, command: str) -> tuple[Running, ...]:
        """Return the faults of the reply to this request, and count it against theirs."""
        chosen = tuple(
            running
            for running in self.active(Place.REPLY, now, path)
            if running.fault.parameters.get("command", "") in ("", command)
        )
        for running in chosen:
            if running.left is not None:
                running.left -= 1
        return chosen

    def clear(self) -> int:
        """End everything that is on; return how much that was."""
        ended = len(self._running)
        self._running = []
        return ended

    def draw(self, running: Running) -> random.Random:
        """Return the source of what a fault draws this time: the same for the same seed."""
        running.seen += 1
        return random.Random(f"{self._seed} {running.fault.name} {running.number} {running.seen}")


def _counted(fault: Fault, unit: Unit, now: Moment) -> tuple[str, float]:
    """Return which figure of the moment ends a fault, and that figure at its beginning."""
    if unit is Unit.SECONDS:
        return "seconds", now.seconds
    if unit is Unit.REQUESTS:
        return "request", now.request + 1
    # A ledger that does not close does not advance the ledgers either: a stall counts the closes missed.
    return ("closes", now.closes) if fault.place is Place.CLOCK else ("ledger", now.ledger)


def shuffled(messages: Sequence[bytes], source: random.Random) -> list[bytes]:
    """Return the messages in another order; two or more never stay as they were."""
    order = list(messages)
    source.shuffle(order)
    if order == list(messages):
        order = [*order[1:], *order[:1]]
    return order
