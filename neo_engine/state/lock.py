"""One engine a database and one engine an account: locks of the operating system.

The kernel gives a lock back when its process dies, however it dies, so none is ever stale. The file
only carries who holds it; it stays behind when released, since removing it would let two processes
lock two files of the same name.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from pathlib import Path

from neo_engine.domain.errors import StateError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

MAX_NOTE_BYTES = 1000  # a note is three short fields; more than this is not ours
# Windows locks bytes against reading too, so the locked byte lies where no note ever reaches.
WINDOWS_LOCKED_BYTE = 1 << 20
# A command that only asks whether an engine runs holds the lock for a moment; an engine that starts just
# then looks again.
ATTEMPTS = 3
PAUSE_SECONDS = 0.05


def lock_folder() -> Path:
    """Return the user's folder of account locks.

    It hangs on the home folder alone: XDG_RUNTIME_DIR is unset under cron and systemd units, and two
    engines that looked into different folders would not see each other.
    """
    return Path.home() / ".local" / "state" / "neo-engine"


def account_lock_path(folder: Path, account: str, mode: str) -> Path:
    """Return the lock file of an account in a mode; hashed, so any account text makes a file name."""
    return folder / f"account-{hashlib.sha256(f'{mode}:{account}'.encode()).hexdigest()[:32]}.lock"


def database_lock_path(database: Path) -> Path:
    """Return the lock file that guards a database: `<db>.lock` beside the real file behind any link."""
    real = database.resolve()
    return real.with_name(real.name + ".lock")


def _try_lock(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            os.lseek(handle, WINDOWS_LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _lock_within_patience(handle: int) -> bool:
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_SECONDS)
        if _try_lock(handle):
            return True
    return False


def _unlock(handle: int) -> None:
    if sys.platform == "win32":
        os.lseek(handle, WINDOWS_LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)
    else:
        fcntl.flock(handle, fcntl.LOCK_UN)


def holder(path: Path) -> dict[str, object]:
    """Return what the lock file at `path` says of its (last) holder; empty when it says nothing."""
    try:
        text = path.read_bytes()[:MAX_NOTE_BYTES]
        note = json.loads(text) if text.strip() else {}
    except (OSError, ValueError):
        return {}  # no file, or a holder killed while writing its note: who it is is not known
    return note if isinstance(note, dict) else {}


def is_held(path: Path) -> bool:
    """Say whether a living process holds the lock file at `path`; nothing is made or written.

    Raises StateError when the file cannot be looked at.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StateError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    try:
        free = _try_lock(handle)
        if free:
            _unlock(handle)
    except OSError as error:
        raise StateError(f"{path}: cannot be locked ({error.strerror}); use a local disk") from error
    finally:
        os.close(handle)
    return not free


class InstanceLock:
    """A held lock. Made by `acquire`, ended by `release` or by the death of the process."""

    def __init__(self, path: Path, handle: int, note: dict[str, object]) -> None:
        self._path = path
        self._handle: int | None = handle
        self._note = note

    @classmethod
    def acquire(cls, path: Path, what: str, started_at: str) -> InstanceLock:
        """Take the lock of `what` (for messages), or raise StateError naming the process that holds it.

        started_at: UTC ISO-8601, for the note.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StateError(
                f"{path}: the lock file cannot be made ({error.strerror}); make its folder writable"
            ) from error
        try:
            if not _lock_within_patience(handle):
                note = holder(path)
                raise StateError(
                    f"{what}: in use by process {note.get('pid', 'unknown')} "
                    f"(since {note.get('started_at', 'unknown')}, session {note.get('session') or 'none'}); "
                    "stop that one first"
                )
            lock = cls(path, handle, {"pid": os.getpid(), "started_at": started_at, "session": None})
            lock._write()
        except OSError as error:
            os.close(handle)
            raise StateError(f"{path}: cannot be locked ({error.strerror}); use a local disk") from error
        except StateError:
            os.close(handle)
            raise
        return lock

    def note_session(self, session_id: int) -> None:
        """Write the session into the note. Raises StateError when the file cannot be written."""
        self._note["session"] = session_id
        try:
            self._write()
        except OSError as error:
            raise StateError(f"{self._path}: cannot be written ({error.strerror}); check its disk") from error

    def _write(self) -> None:
        if self._handle is None:
            raise StateError(f"{self._path}: the lock was given back already")
        # Padded to one length and written at once, so that a reader never sees half a note.
        text = json.dumps(self._note).ljust(200) + "\n"
        os.lseek(self._handle, 0, os.SEEK_SET)
        os.write(self._handle, text.encode())

    def release(self) -> None:
        """Give the lock back; may be called twice."""
        if self._handle is None:
            return
        handle, self._handle = self._handle, None
        try:
            os.ftruncate(handle, 0)
            _unlock(handle)
        except OSError as error:
            raise StateError(
                f"{self._path}: cannot be unlocked ({error.strerror}); end this process"
            ) from error
        finally:
            os.close(handle)
