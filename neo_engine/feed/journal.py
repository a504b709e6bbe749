"""The journal: everything that crosses from the world into the engine, in the order its one thread saw it.

A wrapper around each door of the engine (source, signer, timer, control, signals, reference) passes
everything through and writes what came in; `feed/journal_play.py` gives exactly that back. docs/journal.md
has the format.

1. What is written is what the engine was given: texts lose what may be secret in an endpoint before either
   of them sees it. A key is never in reach of this module.
2. Nothing that came is no line. The first entry after a `next()` that gave nothing says so (`waited`): a
   signal in the round of a ledger is taken into that ledger's tick, one in a silent round is its own tick.
3. Signals, the gateway's state and its headroom are written where a read finds them changed, each by itself.
4. A journal that cannot be written any more is one ERROR in the log and ends there. The session goes on:
   orders that stand must still be cancelled.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from neo_engine.domain.errors import FeedError, NeoError
from neo_engine.domain.halt import HaltReason
from neo_engine.domain.headroom import WHOLE
from neo_engine.domain.reference import ReferencePrice
from neo_engine.event_log import say
from neo_engine.feed.journal_entries import (
    FORMAT,
    REQUEST,
    SOURCE_ITEMS,
    SUBMIT_REQUEST,
    VERSION,
    ControlEntry,
    Entry,
    EventEntry,
    Head,
    HeadroomEntry,
    Json,
    Lost,
    ReferenceEntry,
    Refused,
    Request,
    SignalEntry,
    Signature,
    Started,
    StateEntry,
    TimerEntry,
    asked_of,
    ledger_entry,
)
from neo_engine.feed.live import LedgerSource, shown_endpoint, without_secrets
from neo_engine.ports import Control, ControlRequest, Reference, Signals, Timer
from neo_engine.xrpl.bundles import LedgerBundle
from neo_engine.xrpl.gateway import GatewayEvent, SupervisorState
from neo_engine.xrpl.server import Pipeline, RequestLost, RequestRefused

PACK_LEVEL = 1  # the engine waits for it: under 1 ms for 50 transactions, where level 6 takes twice that
DAMAGE = (OSError, TypeError, ValueError, msgspec.MsgspecError)  # the disk, or a value that is no JSON

T = TypeVar("T")


class Signer(Protocol):
    """Who holds the key."""

    def sign(self, tx: Json) -> tuple[str, str]:
        """Return the signed blob (hex) and its hash."""


class JournalWriter:
    """One journal file, each line packed and written before the engine goes on.

    failure: why nothing is written any more, "" while all is well.
    """

    def __init__(self, path: Path, header: Json) -> None:
        """Make the file and write `header` into it. Raises FeedError when that cannot be done."""
        self.path = path
        self.failure = ""
        self._waited = False
        self._packer = zlib.compressobj(PACK_LEVEL, wbits=zlib.MAX_WBITS | 16)  # 16: with gzip's header
        try:
            head = msgspec.json.encode(Head(format=FORMAT, version=VERSION, session=header))
            self._file = path.open("xb", buffering=0)
            self._line(head)
        except DAMAGE as error:
            raise FeedError(
                f"journal {path}: cannot be written ({_why(error)}); name another file"
            ) from error

    def write(self, entry: Entry) -> None:
        """Append an entry; after a failure, nothing."""
        waited = self._waited and not isinstance(entry, SOURCE_ITEMS)
        self._waited = False
        if self.failure:
            return
        try:
            self._line(msgspec.json.encode(replace(entry, waited=True) if waited else entry))
        except DAMAGE as error:
            self.failure = (
                f"journal {self.path}: ends here, the session cannot be replayed further: {_why(error)}"
            )
            say.error("journal_ended", "{}", self.failure)

    def nothing_came(self) -> None:
        """Note that `next()` gave nothing."""
        self._waited = True

    def close(self) -> None:
        """End the file; may be called twice. What comes later is not written."""
        if self._file.closed:
            return
        try:
            if not self.failure:
                self._append(self._packer.flush())
        except OSError as error:
            say.error(
                "journal_unfinished", "journal {}: its end could not be written: {}", self.path, _why(error)
            )
        finally:
            self._file.close()
        self.failure = self.failure or "closed"

    def _line(self, line: bytes) -> None:
        # Flushed to the end of the line: what a killed process has written can be unpacked.
        self._append(self._packer.compress(line + b"\n") + self._packer.flush(zlib.Z_SYNC_FLUSH))

    def _append(self, packed: bytes) -> None:
        rest = memoryview(packed)
        while rest:
            rest = rest[self._file.write(rest) or 0 :]


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


class JournaledSource:
    """A gateway, or anything else that gives ledgers, with a journal. For the engine's thread alone."""

    def __init__(self, source: LedgerSource, writer: JournalWriter) -> None:
        self._source = source
        self._writer = writer
        self._state: SupervisorState | None = None
        self._headroom = WHOLE

    @property
    def request_headroom(self) -> Decimal:
        """How much the servers still answer, in percent. Raises AttributeError if the source has no word."""
        headroom: Decimal = self._source.request_headroom  # type: ignore[attr-defined]
        if headroom != self._headroom:
            self._headroom = headroom
            self._writer.write(HeadroomEntry(value=headroom))
        return headroom

    @property
    def state(self) -> SupervisorState:
        """The source's state; only what decides may read it here, a viewer asks the source itself.

        Raises AttributeError if the source has none.
        """
        state: SupervisorState = self._source.state  # type: ignore[attr-defined]
        if state is not self._state:
            self._state = state
            self._writer.write(StateEntry(value=state))
        return state

    def start(self) -> None:
        """Start the source. Raises as it does, and nothing is written then."""
        self._source.start()
        self._writer.write(Started())

    def next(self, timeout_seconds: float) -> LedgerBundle | GatewayEvent | None:
        """Return the next ledger or event, None when the time limit passed first."""
        item = self._source.next(timeout_seconds)
        if item is None:
            self._writer.nothing_came()
        elif isinstance(item, LedgerBundle):
            self._writer.write(ledger_entry(item))
        else:
            item = _without_secrets(item)
            self._writer.write(EventEntry(event=item))
        return item

    def request(self, command: str, *, timeout_seconds: float = 10.0, **parameters: Any) -> Json:
        """Return the `result` of the answer. Raises RequestRefused or RequestLost."""
        return self._asked(REQUEST, command, timeout_seconds, parameters)

    def submit_request(self, command: str, *, timeout_seconds: float = 10.0, **parameters: Any) -> Json:
        """Ask the writer, once. Raises RequestRefused, RequestLost, or AttributeError without a writer."""
        return self._asked(SUBMIT_REQUEST, command, timeout_seconds, parameters)

    def begin(self, command: str, *, timeout_seconds: float = 10.0, **parameters: Any) -> Callable[[], Json]:
        """Have a request sent; it is written when its end is waited for, which is when the engine sees it.

        Raises AttributeError if the source takes none ahead.
        """
        source: Pipeline = self._source  # type: ignore[assignment]
        end = source.begin(command, timeout_seconds=timeout_seconds, **parameters)
        return lambda: self._noted(Request(call=REQUEST, command=command, parameters=parameters), end)

    def close(self) -> None:
        """Close the source; the journal stays open."""
        self._source.close()

    def _asked(self, call: str, command: str, seconds: float, parameters: Json) -> Json:
        method = getattr(self._source, call)
        entry = Request(call=call, command=command, parameters=parameters)
        return self._noted(entry, lambda: method(command, timeout_seconds=seconds, **parameters))

    def _noted(self, entry: Request, end: Callable[[], Json]) -> Json:
        """Write a request with its end, and pass that on."""
        try:
            result = end()
        except RequestRefused as error:
            text = _cleaned(error).removeprefix(f"{error.command}: {error.token}: ")
            told = Refused(command=error.command, token=error.token, text=text, reply=error.reply)
            self._writer.write(replace(entry, refused=told))
            raise
        except RequestLost as error:
            why = _cleaned(error).removeprefix(f"{error.command}: ")
            self._writer.write(replace(entry, lost=Lost(command=error.command, why=why, sent=error.sent)))
            raise
        self._writer.write(replace(entry, result=result))
        return result


def _cleaned(error: NeoError) -> str:
    """Take what may be secret in an endpoint out of an error's text, for whoever sees it; return the text."""
    text = without_secrets(str(error))
    error.args = (text,)
    return text


def _without_secrets(event: GatewayEvent) -> GatewayEvent:
    where = shown_endpoint(event.endpoint) if event.endpoint else ""
    return replace(event, text=without_secrets(event.text), endpoint=where)


class JournaledSigner:
    """A signer with a journal: the transaction and its blob are written, and nothing of the key."""

    def __init__(self, signer: Signer, writer: JournalWriter) -> None:
        self._signer = signer
        self._writer = writer

    def sign(self, tx: Json) -> tuple[str, str]:
        """Return the signed blob (hex) and its hash. Raises the signer's NeoError."""
        try:
            blob, tx_hash = self._signer.sign(tx)
        except NeoError as error:
            self._writer.write(Signature(tx=tx, failed=str(error)))
            raise
        self._writer.write(Signature(tx=tx, blob=blob, hash=tx_hash))
        return blob, tx_hash


class JournaledTimer:
    """A timer with a journal."""

    def __init__(self, timer: Timer, writer: JournalWriter) -> None:
        self._timer = timer
        self._writer = writer

    def ledger(self, close_time: int) -> None:
        """Start again."""
        self._timer.ledger(close_time)

    def due(self) -> int | None:
        """Return the feed's time now if another interval has passed without a ledger, else None."""
        now = self._timer.due()
        if now is not None:
            self._writer.write(TimerEntry(due=now))
        return now


class JournaledControl:
    """The operator's requests with a journal."""

    def __init__(self, control: Control, writer: JournalWriter) -> None:
        self._control = control
        self._writer = writer

    def poll(self) -> tuple[ControlRequest, ...]:
        """Return the requests that arrived since the last call."""
        requests = self._control.poll()
        if requests:
            self._writer.write(ControlEntry(asked=tuple(map(asked_of, requests))))
        return requests

    def done(self, request: ControlRequest) -> None:
        """Acknowledge a request whose effect is on disk."""
        self._control.done(request)


class JournaledSignals:
    """The signals with a journal: a change is written where it is read first."""

    def __init__(self, signals: Signals, writer: JournalWriter) -> None:
        self._signals = signals
        self._writer = writer
        self._seen: dict[str, object] = {"reason": None, "name": "", "hurry": False}

    @property
    def reason(self) -> HaltReason | None:
        """The reason of the first signal that came."""
        reason = self._signals.reason
        self._noted("reason", None if reason is None else reason.value)
        return reason

    @property
    def name(self) -> str:
        """Its name."""
        return self._noted("name", self._signals.name)

    @property
    def hurry(self) -> bool:
        """True once a second signal came."""
        return self._noted("hurry", self._signals.hurry)

    def _noted(self, name: str, value: T) -> T:
        if value != self._seen[name]:
            self._seen[name] = value
            self._writer.write(SignalEntry(name=name, value=value))  # type: ignore[arg-type]
        return value


class JournaledReference:
    """Another market's price with a journal. Asked again for the same time it says the same."""

    def __init__(self, reference: Reference, writer: JournalWriter) -> None:
        self._reference = reference
        self._writer = writer
        self._at: int | None = None
        self._last: ReferencePrice | None = None

    def price(self, at: int) -> ReferencePrice | None:
        """Return the newest price that is not later than `at`, None without one."""
        if at == self._at:
            return self._last
        self._at, before = at, self._last
        self._last = self._reference.price(at)
        if self._last != before:
            self._writer.write(ReferenceEntry(value=self._last))
        return self._last

    def close(self) -> None:
        """Close the reference; the journal stays open."""
        self._reference.close()
