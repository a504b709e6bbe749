"""The lines of a journal as values: what crosses a door becomes one and comes back (docs/journal.md)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from neo_engine.domain.capital import CapitalEvent
from neo_engine.domain.errors import InvariantViolation
from neo_engine.domain.reference import ReferencePrice
from neo_engine.ports import ControlRequest, KillRequest, PauseRequest
from neo_engine.xrpl.bundles import LedgerBundle
from neo_engine.xrpl.gateway import GatewayEvent, SupervisorState
from neo_engine.xrpl.wire import LedgerClosed

FORMAT = "neo-journal"
VERSION = 3  # 3: the entries `store`, `patience` and `part`

REQUEST, SUBMIT_REQUEST = "request", "submit_request"
Json = dict[str, Any]


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The first line. session: what the writer's caller wants to know again."""

    format: str
    version: int
    session: Json


class Entry(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    """One line. waited: between the entry before it and this one the feed gave nothing at least once."""

    waited: bool = False


class Started(Entry, frozen=True, kw_only=True, tag="start"):
    """The source was started."""


class LedgerEntry(Entry, frozen=True, kw_only=True, tag="ledger"):
    """A LedgerBundle whose messages stand in the line byte for byte."""

    closed: LedgerClosed
    raw_closed: msgspec.Raw
    transactions: tuple[msgspec.Raw, ...]
    backfilled: bool
    overtaken: bool = False


class PackedLedger(Entry, frozen=True, kw_only=True, tag="packed_ledger"):
    """A LedgerBundle with a message that would not come out of the line as it went in: all in base64."""

    closed: LedgerClosed
    raw_closed: bytes
    transactions: tuple[bytes, ...]
    backfilled: bool
    overtaken: bool = False


class EventEntry(Entry, frozen=True, kw_only=True, tag="event"):
    """Something besides a ledger."""

    event: GatewayEvent


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a RequestRefused."""

    command: str
    token: str
    text: str
    reply: Json


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a RequestLost."""

    command: str
    why: str
    sent: bool


class Request(Entry, frozen=True, kw_only=True, tag="request"):
    """A request and what became of it: exactly one of result, refused and lost. call: which method."""

    call: str
    command: str
    parameters: Json
    result: Any = msgspec.UNSET
    refused: Refused | None = None
    lost: Lost | None = None


class Signature(Entry, frozen=True, kw_only=True, tag="sign"):
    """A transaction before it was signed, and its signed form; or failed: why there is none."""

    tx: Json
    blob: str = ""
    hash: str = ""
    failed: str = ""


class TimerEntry(Entry, frozen=True, kw_only=True, tag="timer"):
    """An interval has passed without a ledger. due: the feed's time, seconds since 2000-01-01."""

    due: int


class Asked(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request of the operator: exactly one of the three."""

    kill: KillRequest | None = None
    capital: CapitalEvent | None = None
    pause: PauseRequest | None = None


class ControlEntry(Entry, frozen=True, kw_only=True, tag="control"):
    """What a poll brought."""

    asked: tuple[Asked, ...]


class SignalEntry(Entry, frozen=True, kw_only=True, tag="signal"):
    """A property of the signals that a read found changed: reason, name or hurry."""

    name: str
    value: str | bool | None


class StateEntry(Entry, frozen=True, kw_only=True, tag="state"):
    """The gateway's state, where a read found it changed."""

    value: SupervisorState


class HeadroomEntry(Entry, frozen=True, kw_only=True, tag="headroom"):
    """How much the servers still answer, in percent, where a read found it changed; before the first 100."""

    value: Decimal


class ReferenceEntry(Entry, frozen=True, kw_only=True, tag="reference"):
    """Another market's price, where a read found it changed; before the first there is none."""

    value: ReferencePrice | None


class StoreEntry(Entry, frozen=True, kw_only=True, tag="store"):
    """A commit that failed, or (without an error) the first that did not after one that had.

    name: intent, outcome or end. number: which commit of that name, from 1.
    """

    name: str
    number: int
    error: str = ""


class PatienceEntry(Entry, frozen=True, kw_only=True, tag="patience"):
    """Something had lasted too long when it was asked: an outage of the database, or by name `ending`."""

    name: str = ""


class PartEntry(Entry, frozen=True, kw_only=True, tag="part"):
    """A part of the session (a thread) was found not to work. name: which; why: as the log says it."""

    name: str
    why: str


ANY_ENTRY = (
    Started
    | LedgerEntry
    | PackedLedger
    | EventEntry
    | Request
    | Signature
    | TimerEntry
    | ControlEntry
    | SignalEntry
    | StateEntry
    | HeadroomEntry
    | ReferenceEntry
    | StoreEntry
    | PatienceEntry
    | PartEntry
)
SOURCE_ITEMS = (LedgerEntry, PackedLedger, EventEntry)  # what `next()` of a source gives

_raw_decoder = msgspec.json.Decoder(msgspec.Raw)


def ledger_entry(bundle: LedgerBundle) -> LedgerEntry | PackedLedger:
    """Return a bundle as an entry from which `bundle_of` makes the very same."""
    if all(_stands_in_a_line(raw) for raw in (bundle.raw_closed, *bundle.transactions)):
        return LedgerEntry(
            closed=bundle.closed,
            raw_closed=msgspec.Raw(bundle.raw_closed),
            transactions=tuple(map(msgspec.Raw, bundle.transactions)),
            backfilled=bundle.backfilled,
            overtaken=bundle.overtaken,
        )
    return PackedLedger(
        closed=bundle.closed,
        raw_closed=bundle.raw_closed,
        transactions=bundle.transactions,
        backfilled=bundle.backfilled,
        overtaken=bundle.overtaken,
    )


def _stands_in_a_line(raw: bytes) -> bool:
    """True for JSON without a line's end or anything around it that a decoder would drop."""
    try:
        return b"\n" not in raw and bytes(_raw_decoder.decode(raw)) == raw
    except msgspec.DecodeError:
        return False


def bundle_of(entry: LedgerEntry | PackedLedger) -> LedgerBundle:
    """Return the bundle that was written."""
    return LedgerBundle(
        closed=entry.closed,
        transactions=tuple(map(bytes, entry.transactions)),
        raw_closed=bytes(entry.raw_closed),
        backfilled=entry.backfilled,
        overtaken=entry.overtaken,
    )


def asked_of(request: ControlRequest) -> Asked:
    if isinstance(request, PauseRequest):
        return Asked(pause=request)
    return Asked(kill=request) if isinstance(request, KillRequest) else Asked(capital=request)


def request_of(asked: Asked) -> ControlRequest:
    """Return the operator's request that was written. Raises InvariantViolation for none of the three."""
    request = asked.kill or asked.pause or asked.capital
    if request is None:
        raise InvariantViolation("a request of the operator that is no kill, no pause and no capital")
    return request
