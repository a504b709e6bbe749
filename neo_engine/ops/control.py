"""What the operator asks of a session from outside: a kill file, a pause file, an inbox of capital events.

Only the engine writes its database (ARCHITECTURE invariant 11), so other programs leave files beside it:

* `<db>.kill`: its presence is the kill switch, its text the reason;
* `<db>.pause`: its presence closes quoting, its content says on which side and why. The session goes on, and
  only the operator removes the file. Content that cannot be read closes both sides;
* `<db>.inbox/*.json`: one capital event each, written under another name and then renamed, so that
  a half-written file is never read. A file is removed only after its effect is on disk.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Literal

import msgspec

from neo_engine.domain.capital import CapitalEvent, CapitalKind
from neo_engine.domain.errors import BadNumber, StateError
from neo_engine.domain.number import ISSUED_DIGITS, parse_drops, parse_issued, plain
from neo_engine.domain.pause import Pause
from neo_engine.event_log import say
from neo_engine.ops.clock import iso
from neo_engine.ports import Clock, ControlRequest, KillRequest, PauseRequest

REFUSED_SUFFIX = ".refused"
POLL_SECONDS = 0.05  # an answer within a twentieth of a second, and no file-system call on most ticks
MAX_REQUEST_BYTES = 10_000  # a capital event takes about 300
MAX_REASON_CHARS = 500
MAX_NOTE_CHARS = 500  # of a session or a capital event: a sentence or two
MAX_PAUSE_REASON_CHARS = 200  # stored with every tick while it holds
MAX_NAME_CHARS = 40
UNKNOWN = "unknown"


class _CapitalFile(msgspec.Struct, forbid_unknown_fields=True):
    request_id: str
    kind: str
    base_drops: str
    quote: str
    note: str
    created_at: str


class _PauseFile(msgspec.Struct, forbid_unknown_fields=True):
    side: Literal["both", "bid", "ask"]
    reason: str
    by: str = UNKNOWN
    at: str = ""


def kill_path(db: Path) -> Path:
    """Return where the kill file of a database lies."""
    return db.with_name(db.name + ".kill")


def pause_path(db: Path) -> Path:
    """Return where the pause file of a database lies."""
    return db.with_name(db.name + ".pause")


def inbox_path(db: Path) -> Path:
    """Return the folder of waiting capital events of a database."""
    return db.with_name(db.name + ".inbox")


def _replace_into(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise StateError(
            f"{path}: cannot be written ({error.strerror}); check the folder's permissions"
        ) from error


def request_kill(db: Path, reason: str) -> Path:
    """Leave the kill file for the engine on `db`. Raises StateError when it cannot be written."""
    path = kill_path(db)
    _replace_into(path, reason[:MAX_REASON_CHARS].encode())
    return path


def request_pause(db: Path, pause: Pause) -> Path:
    """Leave the pause file, in place of any there is. Raises StateError when it cannot be written."""
    path = pause_path(db)
    _replace_into(path, msgspec.json.encode(pause))
    return path


def remove_pause(db: Path) -> None:
    """Take the pause file away. Raises StateError when it stays."""
    path = pause_path(db)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StateError(
            f"{path}: cannot be removed ({error.strerror}); remove it by hand, quoting is closed until then"
        ) from error


def read_pause(path: Path) -> Pause | None:
    """Return what a pause file orders, None when there is none. Whatever cannot be read closes both sides."""
    try:
        changed = path.stat().st_mtime
        with path.open("rb") as file:
            data = file.read(MAX_REQUEST_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        return _closed(f"the pause file cannot be read ({error.strerror})", UNKNOWN)
    at = iso(datetime.fromtimestamp(changed, UTC))
    try:
        raw = msgspec.json.decode(data, type=_PauseFile)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        text = _line(data.decode("utf-8", "replace"))
        return _closed(f"the pause file's content is not readable: {text}" if text else "no reason given", at)
    return Pause(
        side=raw.side,
        by=_line(raw.by)[:MAX_NAME_CHARS] or UNKNOWN,
        at=_line(raw.at)[:MAX_NAME_CHARS] or at,
        reason=_line(raw.reason)[:MAX_PAUSE_REASON_CHARS] or "no reason given",
    )


def _closed(reason: str, at: str) -> Pause:
    return Pause(side="both", by=UNKNOWN, at=at, reason=reason[:MAX_PAUSE_REASON_CHARS])


def _line(text: str) -> str:
    """Return a text as one line without what a terminal would take for a command."""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()


def request_capital(db: Path, event: CapitalEvent) -> Path:
    """Leave a capital event for the running engine. Raises StateError when it cannot be written."""
    path = inbox_path(db) / f"{event.created_at.replace(':', '')}-{event.request_id}.json"
    content = _CapitalFile(
        request_id=event.request_id,
        kind=event.kind.value,
        base_drops=str(event.base_drops),
        quote=plain(event.quote),
        note=event.note,
        created_at=event.created_at,
    )
    _replace_into(path, msgspec.json.encode(content))
    return path


def _read_event(path: Path) -> CapitalEvent:
    if path.stat().st_size > MAX_REQUEST_BYTES:
        raise BadNumber(f"{path}: larger than {MAX_REQUEST_BYTES} bytes; this is no capital event")
    raw = msgspec.json.decode(path.read_bytes(), type=_CapitalFile)
    kind = CapitalKind(raw.kind)
    base, quote = parse_drops(raw.base_drops, "base_drops"), parse_issued(raw.quote, "quote")
    if kind is CapitalKind.OPENING or quote < 0 or (base > 0) == (quote > 0):
        raise BadNumber(f"{path}: must move a positive amount of exactly one asset, as deposit or withdrawal")
    return CapitalEvent(
        request_id=raw.request_id,
        kind=kind,
        base_drops=base,
        quote=quote,
        note=raw.note,
        created_at=raw.created_at,
    )


def _remove(path: Path) -> None:
    """Remove a file whose effect is on disk; one that stays is seen again, and known then."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        say.error("request_file_stays", "{}: cannot be removed ({}); remove it by hand", path, error.strerror)


def _put_aside(path: Path, aside: Path) -> None:
    try:
        path.replace(aside)
    except OSError as error:
        say.error("request_file_stays", "{}: cannot be renamed ({}); remove it by hand", path, error.strerror)


class FileControl:
    """The engine's side of the files above. takes_capital: False leaves the inbox for another session."""

    def __init__(self, db: Path, clock: Clock, *, takes_capital: bool) -> None:
        self._takes_capital = takes_capital
        self._kill = kill_path(db)
        self._pause = pause_path(db)
        self._paused: Pause | None = None
        self._pause_mark: tuple[int, int, int] | None = None
        self._inbox = inbox_path(db)
        self._clock = clock
        self._next_poll = clock.monotonic()
        self._pending: dict[str, Path] = {}

    def poll(self) -> tuple[ControlRequest, ...]:
        """Return what arrived; unreadable files are set aside as `*.refused`, with a warning."""
        now = self._clock.monotonic()
        if now < self._next_poll:
            return ()
        self._next_poll = now + POLL_SECONDS
        requests: list[ControlRequest] = []
        if self._kill.exists():
            requests.append(KillRequest(source="file", reason=self._kill_reason()))
        requests += self._changed_pause()
        if self._takes_capital and self._inbox.is_dir():
            for path in sorted(self._inbox.glob("*.json")):
                event = self._take(path)
                if event is not None:
                    requests.append(event)
        return tuple(requests)

    def _kill_reason(self) -> str:
        try:
            text = self._kill.read_bytes()[:MAX_REASON_CHARS].decode("utf-8", "replace").strip()
        except OSError:
            text = ""  # the file is there: that alone is the order to stop
        return text or "kill file found"

    def _changed_pause(self) -> list[ControlRequest]:
        """Return the order about quoting if it is another one than at the last poll."""
        try:
            found = self._pause.stat()
            mark = (found.st_mtime_ns, found.st_size, found.st_ino)
        except OSError:
            mark = None  # not there, or not to be looked at: reading it tells which
        if mark is not None and mark == self._pause_mark:
            return []
        self._pause_mark = mark
        pause = read_pause(self._pause)
        if pause == self._paused:
            return []
        self._paused = pause
        return [PauseRequest(pause=pause)]

    def _take(self, path: Path) -> CapitalEvent | None:
        if path in self._pending.values():
            return None
        try:
            event = _read_event(path)
        except FileNotFoundError:
            return None  # taken back by whoever left it
        except (OSError, ValueError, msgspec.MsgspecError, BadNumber) as error:
            aside = path.with_suffix(REFUSED_SUFFIX)
            say.warning("capital_file_refused", "capital event refused, kept as {}: {}", aside, error)
            _put_aside(path, aside)
            return None
        if event.request_id in self._pending:
            _remove(path)  # asked twice: the first file stands for both
            return None
        self._pending[event.request_id] = path
        return event

    def done(self, request: ControlRequest) -> None:
        """Remove the file of a request whose effect is on disk."""
        if isinstance(request, KillRequest):
            _remove(self._kill)
            return
        if isinstance(request, PauseRequest):
            return  # its file is the state: the operator's alone
        path = self._pending.pop(request.request_id, None)
        if path is not None:
            _remove(path)


def capital_amounts(asset: str, amount: Decimal, quote_symbol: str) -> tuple[int, Decimal]:
    """Return (drops, quote) of `amount` of `asset`. Raises BadNumber for another asset or a bad amount."""
    if amount <= 0:
        raise BadNumber(
            f"amount: {amount} must be greater than zero; use deposit or withdrawal for the direction"
        )
    if asset.upper() == "XRP":
        return parse_drops(amount * 1_000_000, "amount in XRP (at most 6 decimals)"), Decimal(0)
    if asset.upper() == quote_symbol.upper():
        return 0, parse_issued(amount, f"amount in {quote_symbol} (at most {ISSUED_DIGITS} digits)")
    raise BadNumber(f"asset: {asset!r} is not traded; use XRP or {quote_symbol}")
