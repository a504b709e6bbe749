"""Plays a journal back: each door of the engine gets what came through it, in the order in which it came.

The entries are one stream. A call that asks the world something (a request, a signature) must find its own
entry next, with the same parameters or the same transaction, else the replay has left the session's path and
JournalMismatch names the place. A call that only looks (timer, control, signals, state, headroom, reference)
finds nothing unless its entry is next. `next()` of the source gives the ledger or event that is next; if
another kind is, nothing, but only where the session's feed gave nothing too: anywhere else the engine waits
for what will never come.

The file is read as it is played; a whole line is held, never the whole file.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

from neo_engine.domain.errors import BadNumber, FeedError, NeoError
from neo_engine.domain.halt import HaltReason
from neo_engine.domain.headroom import WHOLE
from neo_engine.domain.reference import ReferencePrice
from neo_engine.feed.journal_entries import (
    ANY_ENTRY,
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
    LedgerEntry,
    PackedLedger,
    PartEntry,
    PatienceEntry,
    ReferenceEntry,
    Request,
    SignalEntry,
    Signature,
    Started,
    StateEntry,
    StoreEntry,
    TimerEntry,
    bundle_of,
    request_of,
)
from neo_engine.feed.lines import BLOCK_BYTES, GZIP_MAGIC, MAX_LINE_BYTES, READ_BYTES
from neo_engine.ports import ControlRequest
from neo_engine.xrpl.bundles import LedgerBundle
from neo_engine.xrpl.gateway import GatewayEvent, SupervisorState
from neo_engine.xrpl.server import RequestLost, RequestRefused

SHOWN_CHARS = 200  # of a value in a message
SHOWN_FIELDS = 5
EntryKind = TypeVar("EntryKind", bound=Entry)

_entry_decoder = msgspec.json.Decoder(ANY_ENTRY)
_canonical = msgspec.json.Encoder(order="sorted").encode


class JournalMismatch(NeoError):
    """The replay does not do what the session did."""


class _Lines:
    """The whole lines of a file, packed or not. cut: it ended in the middle of a line or of the packing."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        self.number = 0
        self.cut = False

    def __iter__(self) -> Iterator[bytes]:
        rest = bytearray()
        for data in self._unpacked():
            rest += data
            if b"\n" in data:
                *whole, last = bytes(rest).split(b"\n")
                rest = bytearray(last)
                for line in whole:
                    self.number += 1
                    yield line
            if len(rest) > MAX_LINE_BYTES:
                raise self.damaged(f"a line is longer than {MAX_LINE_BYTES} bytes")
        self.cut = self.cut or bool(rest)

    def damaged(self, why: object) -> FeedError:
        """Return the error for a file that cannot be read on."""
        return FeedError(
            f"journal {self._path}, after line {self.number}: cannot be read ({why}); take an undamaged copy"
        )

    def _unpacked(self) -> Iterator[bytes]:
        try:
            data = self._file.read(READ_BYTES)
            if data[:2] != GZIP_MAGIC:
                while data:
                    yield data
                    data = self._file.read(BLOCK_BYTES)
                return
            packer = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)  # 16: a gzip header is expected
            while data and not packer.eof:
                yield packer.decompress(data, BLOCK_BYTES)
                data = packer.unconsumed_tail or self._file.read(READ_BYTES)
            self.cut = not packer.eof
        except (OSError, zlib.error) as error:
            raise self.damaged(error) from error


class Journal:
    """A journal that is being played. header: what its writer was given; line: that of the next entry."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        """Read the first line of an open file. Raises FeedError for anything but a journal."""
        self.path = path
        self.line = 1
        self._file = file
        self._reader = _Lines(path, file)
        self._lines = iter(self._reader)
        self._head: Entry | None = None
        self._ended = False
        self._damage: FeedError | None = None
        self._waited = False  # `next()` gave nothing since the last entry
        self._mismatch = ""
        self.header = self._read_header()
        self._advance()

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Open a journal. Raises FeedError for a missing file and for anything but a journal."""
        try:
            file = path.open("rb")
        except OSError as error:
            raise FeedError(f"journal {path}: cannot be opened ({error.strerror}); check the path") from error
        try:
            return cls(path, file)
        except FeedError:
            file.close()
            raise

    def _read_header(self) -> Json:
        line = next(self._lines, None)
        try:
            head = msgspec.json.decode(line or b"", type=Head)
        except msgspec.MsgspecError as error:
            raise FeedError(f"journal {self.path}: its first line is no journal's ({error})") from error
        if (head.format, head.version) != (FORMAT, VERSION):
            raise FeedError(
                f"journal {self.path}: {head.format} {head.version}; this engine plays {FORMAT} {VERSION}"
            )
        return head.session

    def _advance(self) -> None:
        """Read the next entry; what is wrong with it is told when it is asked for, not before."""
        self._waited = False
        self._head = None
        self.line += 1
        try:
            line = next(self._lines, None)
            self._ended = line is None
            if line is not None:
                self._head = _entry_decoder.decode(line)
        except FeedError as error:
            self._damage = error
        except (msgspec.MsgspecError, BadNumber) as error:
            self._damage = FeedError(
                f"journal {self.path}, line {self.line}: cannot be read ({error}); take an undamaged copy"
            )

    @property
    def cut(self) -> bool:
        """True once the end was seen and the writer did not come to it: it was killed, or still writes."""
        return self._ended and self._reader.cut

    def entries(self) -> Iterator[Entry]:
        """Yield what is left of the journal, in order. Raises FeedError for a damaged file."""
        while self._head is not None:
            head = self._head
            self._advance()
            yield head
        if self._damage is not None:
            raise self._damage

    def item(self) -> LedgerBundle | GatewayEvent | None:
        """Return what the feed gave next, None where it gave nothing. Raises FeedError at the end."""
        head = self._next("the feed")
        if isinstance(head, LedgerEntry | PackedLedger):
            self._advance()
            return bundle_of(head)
        if isinstance(head, EventEntry):
            self._advance()
            return head.event
        if not head.waited or self._waited:
            raise self.mismatch(
                f"the engine waits for something the journal does not have: here comes {_told(head)}"
            )
        self._waited = True
        return None

    def seen(self, kind: type[EntryKind], name: str = "") -> EntryKind | None:
        """Return the next entry if it is of a kind and it is its time; name: which signal, which commit."""
        head = self._head
        if not isinstance(head, kind) or (head.waited and not self._waited) or self._mismatch:
            return None
        if isinstance(head, SignalEntry | PartEntry | PatienceEntry) and head.name != name:
            return None
        if isinstance(head, StoreEntry) and f"{head.name} {head.number}" != name:
            return None
        self._advance()
        return head

    def answer(self, kind: type[EntryKind], asked: str) -> EntryKind:
        """Return the next entry, which must be of a kind, without passing it; asked: what the engine wants.

        Raises JournalMismatch for another one, FeedError at the end.
        """
        head = self._next(asked)
        if not isinstance(head, kind):
            raise self.mismatch(f"the session came to {_told(head)}, the engine asks for {asked}")
        if head.waited and not self._waited:
            raise self.mismatch(f"the session waited for the feed first, the engine asks for {asked}")
        return head

    def passed(self) -> None:
        """Go on to the next entry."""
        self._advance()

    def mismatch(self, why: str) -> JournalMismatch:
        """Return the error for this place; from now on nothing is played."""
        self._mismatch = (
            f"journal {self.path}, line {self.line}: {why}; this is not the session that was written"
        )
        return JournalMismatch(self._mismatch)

    def finish(self) -> None:
        """Raise JournalMismatch unless everything was played and nothing was asked in vain.

        Raises FeedError if the journal is damaged at the place where the engine has ended.
        """
        if self._mismatch:
            raise JournalMismatch(self._mismatch)
        if self._damage is not None:
            raise self._damage
        if self._head is not None:
            raise self.mismatch(f"the engine has ended, the session came to {_told(self._head)}")

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._file.close()

    def _next(self, asked: str) -> Entry:
        if self._mismatch:
            raise JournalMismatch(self._mismatch)
        if self._damage is not None:
            raise self._damage
        if self._head is None:
            how = ", cut off as by a killed process" if self.cut else ""
            raise FeedError(
                f"journal {self.path}: the journal ends here, after line {self.line - 1}{how}; "
                f"the engine asks for {asked}"
            )
        return self._head


def _told(entry: Entry) -> str:
    """Return an entry as a message tells it."""
    text: object = ""
    if isinstance(entry, SOURCE_ITEMS):
        text = entry.event.kind.value if isinstance(entry, EventEntry) else entry.closed.ledger_index
    elif isinstance(entry, Request):
        text = f"{entry.command} {_shown(entry.parameters)}"
    elif isinstance(entry, Signature):
        text = _shown(entry.tx)
    elif isinstance(entry, SignalEntry):
        text = f"{entry.name} {entry.value}"
    elif isinstance(entry, StoreEntry):
        text = f"{entry.name} {entry.number} {entry.error}"
    return f"{entry.__struct_config__.tag} {text}".strip()


def _shown(value: object) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}..."


def _apart(written: Json, asked: Json) -> str:
    """Return how two objects differ, field by field, "" if they do not. Order and tuples do not matter."""
    if _canonical(written) == _canonical(asked):
        return ""
    found = []
    for name in sorted(written.keys() | asked.keys()):
        told = [_shown(one[name]) if name in one else "nothing" for one in (written, asked)]
        if name not in written or name not in asked or _canonical(written[name]) != _canonical(asked[name]):
            found.append(f"{name} is {told[0]} there and {told[1]} here")
    more = f" and {len(found) - SHOWN_FIELDS} more" if len(found) > SHOWN_FIELDS else ""
    return ", ".join(found[:SHOWN_FIELDS]) + more


class PlayedSource:
    """The gateway of a journal. No time passes here, so time limits mean nothing."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._state: SupervisorState | None = None
        self._headroom = WHOLE

    @property
    def request_headroom(self) -> Decimal:
        """What the servers still answered here, in percent."""
        entry = self._journal.seen(HeadroomEntry)
        if entry is not None:
            self._headroom = entry.value
        return self._headroom

    @property
    def state(self) -> SupervisorState:
        """The state as the session saw it. Raises JournalMismatch where the session had not looked yet."""
        entry = self._journal.seen(StateEntry)
        if entry is not None:
            self._state = entry.value
        if self._state is None:
            raise self._journal.mismatch("the engine looks at the gateway's state, the session did not")
        return self._state

    def start(self) -> None:
        """Pass the start. Raises JournalMismatch, or FeedError for an empty journal."""
        self._journal.answer(Started, "start")
        self._journal.passed()

    def next(self, timeout_seconds: float) -> LedgerBundle | GatewayEvent | None:  # noqa: ARG002
        """Return the next ledger or event, None where the session's feed gave nothing.

        Raises JournalMismatch where nothing will ever come, FeedError at the journal's end.
        """
        return self._journal.item()

    def request(
        self,
        command: str,
        *,
        timeout_seconds: float = 10.0,  # noqa: ARG002
        **parameters: Any,
    ) -> Json:
        """Return what was answered. Raises RequestRefused, RequestLost, JournalMismatch or FeedError."""
        return self._answer(REQUEST, command, parameters)

    def begin(
        self,
        command: str,
        *,
        timeout_seconds: float = 10.0,  # noqa: ARG002
        **parameters: Any,
    ) -> Callable[[], Json]:
        """Return what gives the answer: it was written where the session waited for it."""
        return lambda: self._answer(REQUEST, command, parameters)

    def submit_request(
        self,
        command: str,
        *,
        timeout_seconds: float = 10.0,  # noqa: ARG002
        **parameters: Any,
    ) -> Json:
        """Return what the writer answered. Raises as `request` does."""
        return self._answer(SUBMIT_REQUEST, command, parameters)

    def close(self) -> None:
        """Nothing is held here; the journal is closed by who opened it."""

    def _answer(self, call: str, command: str, parameters: Json) -> Json:
        asked = f"{call} {command} {_shown(parameters)}"
        entry = self._journal.answer(Request, asked)
        if (entry.call, entry.command) != (call, command):
            raise self._journal.mismatch(
                f"the session asked {entry.call} {entry.command}, the engine asks {call} {command}"
            )
        apart = _apart(entry.parameters, parameters)
        if apart:
            raise self._journal.mismatch(f"{call} {command}: {apart}")
        self._journal.passed()
        if entry.refused is not None:
            told = entry.refused
            raise RequestRefused(told.command, told.token, told.text, told.reply)
        if entry.lost is not None:
            raise RequestLost(entry.lost.command, entry.lost.why, sent=entry.lost.sent)
        result: Json = entry.result
        return result


class PlayedSigner:
    """The signer of a journal: it needs no key."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def sign(self, tx: Json) -> tuple[str, str]:
        """Return the blob and hash that were written for this very transaction.

        Raises JournalMismatch for another one, NeoError where signing failed, FeedError at the end.
        """
        entry = self._journal.answer(Signature, f"sign {_shown(tx)}")
        apart = _apart(entry.tx, tx)
        if apart:
            raise self._journal.mismatch(f"sign: {apart}")
        self._journal.passed()
        if entry.failed:
            raise NeoError(entry.failed)
        return entry.blob, entry.hash


class PlayedTimer:
    """The timer of a journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def ledger(self, close_time: int) -> None:
        """The silences are those of the journal, whatever ledger came."""

    def due(self) -> int | None:
        """Return the feed's time if an interval had passed here, else None."""
        entry = self._journal.seen(TimerEntry)
        return None if entry is None else entry.due


class PlayedControl:
    """The operator of a journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def poll(self) -> tuple[ControlRequest, ...]:
        """Return what had arrived here."""
        entry = self._journal.seen(ControlEntry)
        return () if entry is None else tuple(map(request_of, entry.asked))

    def done(self, request: ControlRequest) -> None:
        """Nobody waits for it any more."""


class PlayedReference:
    """The other market of a journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._at: int | None = None
        self._last: ReferencePrice | None = None

    def price(self, at: int) -> ReferencePrice | None:
        """Return the price as the session saw it here."""
        entry = self._journal.seen(ReferenceEntry) if at != self._at else None
        self._at = at
        if entry is not None:
            self._last = entry.value
        return self._last

    def close(self) -> None:
        """Nothing is held here."""


class PlayedSignals:
    """The signals of a journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._values: dict[str, str | bool | None] = {"reason": None, "name": "", "hurry": False}

    @property
    def reason(self) -> HaltReason | None:
        """The reason of the first signal that had come here."""
        value = self._value("reason")
        return None if value is None else HaltReason(value)

    @property
    def name(self) -> str:
        """Its name."""
        return str(self._value("name"))

    @property
    def hurry(self) -> bool:
        """True once a second signal had come here."""
        return bool(self._value("hurry"))

    def _value(self, name: str) -> str | bool | None:
        entry = self._journal.seen(SignalEntry, name)
        if entry is not None:
            self._values[name] = entry.value
        return self._values[name]
