"""A scenario file: YAML in, one checked value out. Every key is known, every fault names file and key.

The format stands in docs/scenarios.md. `at`, `from` and `to` are ledgers of the scenario: 1 is the one that
is open when the session starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import msgspec

import neo_engine.scenario.events  # fills the table
from neo_engine.config import known_keys, live_keys, read_yaml
from neo_engine.domain.errors import UsageError
from neo_engine.domain.severity import Severity
from neo_engine.rehearsal.world import LEDGER_SECONDS
from neo_engine.report.why_table import GATES
from neo_engine.risk.monitors import MONITORS
from neo_engine.scenario.table import RESERVED, Deed, deed_of, names
from neo_engine.simulator.agents.settings import DEFAULT_MARKET, markets
from neo_engine.simulator.server.fault_schedule import KINDS

BASE = "config/live_testnet.yaml"
ROOT = Path(neo_engine.__file__).resolve().parent.parent
LEDGERS_MAX = 2_000  # over two hours of ledgers; a scenario is about one thing
EVENT_SECONDS = 2.0  # after a ledger opened: between what the engine sent and the close
MAX_BYTES = 200_000
NONE = "none"

Quoting = Literal["both", "bid", "ask", "none"]
_KEYS = frozenset(
    {
        *("title", "shows", "market", "seed", "ledgers", "account", "escalation", "charged", "base"),
        *("reference", "config", "events", "expect"),
    }
)
_TICK_KEYS = frozenset(
    {"at", "from", "to", "quoting", "cause", "gate", "reading", "says", "fills_min", "kind", "some"}
)
_CHANGED_HERE = frozenset(
    {
        *("pair.quote_issuer", "live.account", "live.network_id", "live.endpoints", "live.key_source"),
        *("engine.wal_checkpoint_interval_seconds",),
    }
)


class Account(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What our account holds at the start."""

    xrp: Decimal = Decimal(100)
    tokens: Decimal = Decimal(220)


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """An event: at which ledger, how many seconds after it opened, and what."""

    at: int
    seconds: float
    name: str
    deed: Deed


class Said(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a monitor finds. severity: the name of a Severity."""

    monitor: str
    severity: str


class AtTick(msgspec.Struct, frozen=True, kw_only=True):
    """What must hold of the ticks of these ledgers: of every one, or of some. kind: of ticks looked at."""

    first: int
    last: int
    quoting: Quoting | None
    cause: str | None
    gate: str | None
    reading: Said | None
    says: tuple[str, ...]
    fills_min: int | None
    kind: str
    some: bool

    @property
    def where(self) -> str:
        """The ledgers as words."""
        span = f"ledger {self.first}" if self.first == self.last else f"ledgers {self.first} to {self.last}"
        return span if self.kind == "ledger" else f"{span} ({self.kind})"


class AtEnd(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must hold when all is over. See docs/scenarios.md."""

    halt: str | None = None
    cause: str | None = None
    detail: str | None = None
    left: int | None = None
    fills_min: int | None = None
    sessions: int | None = None
    books: Literal["agree", "differ"] | None = None
    codes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    orders: tuple[str, ...] = ()
    log_once: tuple[str, ...] = ()


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """See the module. document: the base configuration with the differences in it, not yet checked."""

    path: str
    title: str
    shows: str
    market: str
    seed: int
    ledgers: int
    account: Account
    escalation: bool
    charged: bool
    reference: bool
    document: Mapping[str, Any]
    events: tuple[Planned, ...]
    ticks: tuple[AtTick, ...]
    end: AtEnd


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    shows: str
    ledgers: int
    market: str = DEFAULT_MARKET
    seed: int = 1
    account: Account = Account()
    escalation: bool = False
    charged: bool = False
    reference: bool = False
    base: str = BASE
    config: dict[str, Any] = {}
    events: list[dict[str, Any]] = []
    expect: list[dict[str, Any]]


def read_scenario(path: Path) -> Scenario:
    """Return the scenario in a file. Raises UsageError or ConfigError naming file, key and remedy."""
    source = str(path)
    raw = read_yaml(_text(path), source)
    _known(raw, _KEYS, source)
    head = _converted(raw, _Head, source)
    if head.market not in markets():
        raise UsageError(f"{source}: market: no market {head.market!r}; there are {', '.join(markets())}")
    if not 1 <= head.ledgers <= LEDGERS_MAX:
        raise UsageError(f"{source}: ledgers: {head.ledgers} must be 1 to {LEDGERS_MAX}")
    events = [_event(one, f"{source}: events[{at}]", head.ledgers) for at, one in enumerate(head.events)]
    if not head.expect:
        raise UsageError(f"{source}: expect: is empty; say at least `- end: {{halt: duration_elapsed}}`")
    ticks, ends = [], []
    for at, one in enumerate(head.expect):
        where = f"{source}: expect[{at}]"
        if "end" in one:
            _known(one, frozenset({"end"}), where)
            ends.append(_converted(one["end"], AtEnd, f"{where}.end"))
        else:
            ticks.append(_at_tick(one, where, head.ledgers))
    if len(ends) != 1:
        raise UsageError(f"{source}: expect: has {len(ends)} items `end`; give one")
    return Scenario(
        path=source,
        title=head.title,
        shows=head.shows,
        market=head.market,
        seed=head.seed,
        ledgers=head.ledgers,
        account=head.account,
        escalation=head.escalation,
        charged=head.charged,
        reference=head.reference,
        document=_document(head, source),
        events=tuple(events),
        ticks=tuple(ticks),
        end=ends[0],
    )


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{path}: larger than {MAX_BYTES} bytes; this is no scenario")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror}); give a scenario file") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def _known(given: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    for key in given:
        if key not in known:
            raise UsageError(f"{where}: unknown key {key!r}; there are {', '.join(sorted(known))}")


def _converted(given: Any, form: Any, where: str) -> Any:
    try:
        return msgspec.convert(given, form)
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {error}; docs/scenarios.md has the keys") from error


def _ledger(given: object, where: str, ledgers: int, *, first: int = 1) -> int:
    if not isinstance(given, int) or isinstance(given, bool) or not first <= given <= ledgers:
        raise UsageError(f"{where}: {given!r} must be a ledger of the scenario, {first} to {ledgers}")
    return given


def _event(given: Mapping[str, Any], where: str, ledgers: int) -> Planned:
    name = given.get("do")
    if not isinstance(name, str):
        raise UsageError(f"{where}.do: must name an event; there are {', '.join(names())}")
    at = _ledger(given.get("at"), f"{where}.at", ledgers)
    usual = 0.0 if name in KINDS else EVENT_SECONDS
    own = name in KINDS and "seconds" in KINDS[name].parameters  # `seconds` says how late replies are
    seconds = usual if own else given.get("seconds", usual)
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float, Decimal)):
        raise UsageError(f"{where}.seconds: must be a number of seconds after the ledger opened")
    if not 0 <= seconds < LEDGER_SECONDS:
        raise UsageError(f"{where}.seconds: {seconds} must be 0 to below {LEDGER_SECONDS}")
    rest = {key: value for key, value in given.items() if key not in RESERVED or (own and key == "seconds")}
    return Planned(at=at, seconds=float(seconds), name=name, deed=deed_of(name, rest, where))


def _at_tick(given: Mapping[str, Any], where: str, ledgers: int) -> AtTick:
    _known(given, _TICK_KEYS, where)
    if ("at" in given) == ("from" in given) or ("from" in given) != ("to" in given):
        raise UsageError(f"{where}: give `at`, or `from` and `to`, or `end`")
    kind = _converted(given.get("kind", "ledger"), Literal["ledger", "silence", "fault"], f"{where}.kind")
    least = 1 if kind == "ledger" else 0  # silences before ledger 1 are about the one before it
    begin = "at" if "at" in given else "from"
    first = _ledger(given.get(begin), f"{where}.{begin}", ledgers, first=least)
    last = _ledger(given.get("to", first), f"{where}.to", ledgers, first=least)
    if last < first:
        raise UsageError(f"{where}.to: {last} lies before `from` {first}; swap them")
    quoting = _converted(given.get("quoting"), Quoting | None, f"{where}.quoting")
    cause = _converted(given.get("cause"), str | None, f"{where}.cause")
    gate = _one_of(_converted(given.get("gate"), str | None, f"{where}.gate"), GATES, f"{where}.gate")
    says = _converted(given.get("says", ()), tuple[str, ...], f"{where}.says")
    fills = _converted(given.get("fills_min"), int | None, f"{where}.fills_min")
    reading = _said(given.get("reading"), f"{where}.reading")
    if not says and all(one is None for one in (quoting, cause, gate, reading, fills)):
        raise UsageError(f"{where}: expects nothing; give quoting, cause, gate, reading, says or fills_min")
    return AtTick(
        first=first,
        last=last,
        quoting=quoting,
        cause=cause,
        gate=gate,
        reading=reading,
        says=says,
        fills_min=fills,
        kind=kind,
        some=_converted(given.get("some", False), bool, f"{where}.some"),
    )


def _one_of(name: str | None, known: Iterable[str], where: str) -> str | None:
    if name is not None and name not in known:
        raise UsageError(f"{where}: no {name!r}; there are {', '.join(known)}")
    return name


def _said(given: Any, where: str) -> Said | None:
    said: Said | None = _converted(given, Said | None, where)
    if said is not None:
        _one_of(said.monitor, [one.name for one in MONITORS], f"{where}.monitor")
        _one_of(said.severity, [one.name for one in Severity], f"{where}.severity")
    return said


def _document(head: _Head, source: str) -> dict[str, Any]:
    """Return the base configuration with the scenario's differences in it."""
    base = ROOT / head.base
    try:
        text = base.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{source}: base: {head.base} cannot be read ({error.strerror}); see config/"
        ) from error
    document = read_yaml(text, head.base)
    known = {*known_keys(), *live_keys()}
    for key, value in head.config.items():
        if key not in known:
            raise UsageError(f"{source}: config: no key {key!r}; docs/config.md has them all, written a.b")
        if key in _CHANGED_HERE:
            raise UsageError(f"{source}: config: {key} is the model network's own; leave it out")
        section: Any = document
        *parents, last = key.split(".")
        for name in parents:
            section = section.setdefault(name, {})
        section[last] = value
    if head.reference and "reference.source" in head.config:
        raise UsageError(f"{source}: reference: gives reference.source a file; leave one of the two out")
    return document
