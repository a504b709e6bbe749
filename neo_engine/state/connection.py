"""How the database file is opened and how SQLite's errors become ours.

One connection of the process writes and checkpoints; every other one is opened `mode=ro`, which can do
neither. SQLite before 3.51.3 (3.44.6, 3.50.7) can lose committed pages when two connections write and
checkpoint at once (sqlite.org/wal.html, "The WAL-Reset Bug"), so a second one must not exist.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from neo_engine.domain.errors import InvariantViolation, StateError
from neo_engine.event_log import say

HEADER = b"SQLite format 3\0"  # the first 16 bytes of every database file (sqlite.org/fileformat.html)
CACHED_STATEMENTS = 128  # more than the engine has, so each is prepared once
# Size bound of the WAL between two checkpoints by timer: 4000 pages of 4 KiB are 16 MB. SQLite's own
# 1000 would checkpoint each ~120 ticks of a replay at full speed, in the middle of its commits; no bound
# at all would let the WAL grow when the timer is off.
AUTOCHECKPOINT_PAGES = 4000
WAL_LIMIT_BYTES = 16_000_000  # a WAL that grew beyond this under a long reader is cut back to it
READER_TIMEOUT_SECONDS = 5.0  # a reader waits at most this long, e.g. while a WAL is being recovered

_FIXES = {
    "SQLITE_FULL": "free space on its disk",
    "SQLITE_BUSY": "close the other program that writes to it, or raise state.busy_timeout_ms",
    "SQLITE_LOCKED": "close the other program that writes to it",
    "SQLITE_READONLY": "make the file and its folder writable, or give another --db",
    "SQLITE_IOERR": "check its disk, quota and file size limit",
    "SQLITE_CANTOPEN": "check that its folder exists and may be written",
    "SQLITE_NOTADB": "give a database made by NEO with --db",
    "SQLITE_CORRUPT": "restore the newest backup from its .backups folder",
    "SQLITE_PERM": "make the file and its folder accessible",
}
DEFAULT_FIX = "see the error name at sqlite.org/rescode.html"


def explain(path: Path, doing: str, error: sqlite3.Error) -> StateError:
    """Return the StateError that says what failed on `path`, SQLite's name for it, and the fix."""
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    primary = "_".join(name.split("_")[:2])  # SQLITE_IOERR_WRITE is a kind of SQLITE_IOERR
    return StateError(f"{path}: {doing} failed with {name} ({error}); {_FIXES.get(primary, DEFAULT_FIX)}")


def file_size(path: Path) -> int:
    """Return the size of the file in bytes, 0 when there is none. Raises StateError when it is no file."""
    try:
        if path.is_dir():
            raise StateError(f"{path}: is a folder; give the path of a database file with --db")
        return path.stat().st_size
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise StateError(f"{path}: cannot be looked at ({error.strerror}); give another --db") from error


def check_header(path: Path) -> None:
    """Raise StateError unless the file begins as an SQLite database does."""
    try:
        with path.open("rb") as file:
            start = file.read(len(HEADER))
    except OSError as error:
        raise StateError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    if start != HEADER:
        raise StateError(f"{path}: is not a database; give a file made by NEO, or a new name, with --db")


def check_folder(path: Path) -> None:
    """Raise StateError unless the folder that shall hold `path` exists."""
    try:
        exists = path.parent.is_dir()
    except OSError as error:
        raise StateError(
            f"{path.parent}: cannot be looked at ({error.strerror}); give another --db"
        ) from error
    if not exists:
        raise StateError(f"{path.parent}: no such folder; make it, or give another --db")


def connect_writer(
    path: Path, *, synchronous: str, busy_timeout_ms: int, check: Callable[[sqlite3.Connection], object]
) -> sqlite3.Connection:
    """Return the one connection that writes: WAL, foreign keys on, transactions only when asked for.

    check: asked before anything is written (turning WAL on writes too); it refuses by raising StateError.
    Raises StateError naming the file when it is locked, read-only or no database.
    """
    doing = "opening"
    try:
        connection = sqlite3.connect(
            path,
            timeout=busy_timeout_ms / 1000,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=CACHED_STATEMENTS,
        )
    except sqlite3.Error as error:
        raise explain(path, doing, error) from error
    try:
        check(connection)
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise StateError(f"{path}: its file system allows no WAL ({mode}); use a local disk for --db")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA wal_autocheckpoint = {AUTOCHECKPOINT_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
        doing = "taking the write lock"
        connection.execute("BEGIN IMMEDIATE")  # a read-only or locked file shows here, not at the first tick
        connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        connection.close()
        raise explain(path, doing, error) from error
    except StateError:
        connection.close()
        raise
    return connection


def _open_uri(path: Path, options: str) -> sqlite3.Connection:
    uri = f"{path.resolve().as_uri()}?{options}"
    connection = sqlite3.connect(uri, uri=True, timeout=READER_TIMEOUT_SECONDS, isolation_level=None)
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """Return a connection that can neither write nor checkpoint, beside a running engine or not.

    In a folder that may not be written SQLite cannot make its -shm file; the database is then read as
    immutable, which is sound as long as no WAL lies beside it. Raises StateError naming file and fix.
    """
    if not path.exists():
        raise StateError(f"{path}: no such file; give an existing database with --db")
    if file_size(path) == 0:
        raise StateError(f"{path}: is empty; give a database made by NEO with --db")
    check_header(path)
    try:
        return _open_uri(path, "mode=ro")
    except sqlite3.Error as error:
        refused = getattr(error, "sqlite_errorname", "").startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN"))
        if not refused or file_size(Path(f"{path}-wal")) > 0:
            raise explain(path, "opening read-only", error) from error
    try:
        return _open_uri(path, "mode=ro&immutable=1")
    except sqlite3.Error as error:
        raise explain(path, "opening read-only", error) from error


@contextmanager
def transaction(connection: sqlite3.Connection, path: Path, doing: str) -> Iterator[None]:
    """Commit what the block does, or roll all of it back, whatever ends it."""
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    except sqlite3.IntegrityError as error:
        # A row that breaks a constraint is a wrong program, not a wrong disk.
        raise InvariantViolation(f"{path}: {doing}: {error}") from error
    except sqlite3.Error as error:
        raise explain(path, doing, error) from error
    finally:
        if connection.in_transaction:
            _roll_back(connection, path)


def _roll_back(connection: sqlite3.Connection, path: Path) -> None:
    try:
        connection.execute("ROLLBACK")
    except sqlite3.Error:
        # The error that led here is on its way up; SQLite drops the transaction at the next opening.
        say.exception("rollback_failed", "{}: rollback failed", path)
