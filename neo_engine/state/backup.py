"""Backups: before each run, on demand beside a running engine, and back again.

A backup is a copy through SQLite's online backup API: one consistent moment of the database, WAL
included, as a single file (journal mode DELETE, so it can be read from any place). It is written under
a temporary name, checked, and only then given its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from neo_engine.domain.errors import StateError
from neo_engine.event_log import say
from neo_engine.state import schema
from neo_engine.state.connection import check_folder, check_header, connect_reader, explain, file_size
from neo_engine.state.lock import InstanceLock, database_lock_path
from neo_engine.state.options import iso

AUTOMATIC = "neo"  # prefix of pre-run backups; of these, and of the next, old ones are removed
BEFORE_PRUNE = "before-prune"  # before details of old sessions were removed
MANUAL = "manual"  # asked for by the operator
REPLACED = "replaced"  # what a restore took the place of
PART = ".part"  # suffix of a file that is still being written


def backups_folder(path: Path) -> Path:
    """Return the folder of a database's backups: `<db>.backups` beside it."""
    return path.with_name(path.name + ".backups")


def _stamp(now: datetime) -> str:
    return now.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")


def _sync_folder(folder: Path) -> None:
    """Make a rename in the folder survive a power cut (Windows has no such call and needs none)."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _disk_errors(path: Path, doing: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise explain(path, doing, error) from error
    except OSError as error:
        raise StateError(
            f"{path}: {doing} failed ({error.strerror or error}); check free space and permissions"
        ) from error


def _copy(source: sqlite3.Connection, target: Path) -> None:
    """Copy the whole database of `source` to the new file `target` in one step.

    One step holds one read transaction, so a writer beside it neither waits nor makes it start over.
    """
    copy = sqlite3.connect(target, isolation_level=None)
    try:
        source.backup(copy, pages=-1)
        copy.execute("PRAGMA journal_mode = DELETE")
    finally:
        copy.close()


def _problems(connection: sqlite3.Connection, check: str) -> list[str]:
    return [str(row[0]) for row in connection.execute(f"PRAGMA {check}(10)") if row[0] != "ok"]


def _write_backup(source: sqlite3.Connection, target: Path) -> None:
    """Copy, check and give the copy its name. Raises sqlite3.Error, OSError or StateError."""
    part = target.with_name(target.name + PART)
    try:
        part.unlink(missing_ok=True)
        _copy(source, part)
        copy = sqlite3.connect(part, isolation_level=None)
        try:
            problems = _problems(copy, "quick_check")
        finally:
            copy.close()
        if problems:
            raise StateError(f"{target}: the copy is damaged ({problems[0]}); check the disk")
        part.replace(target)
        _sync_folder(target.parent)
    finally:
        part.unlink(missing_ok=True)


def check_quickly(connection: sqlite3.Connection, path: Path) -> None:
    """Run `quick_check` and log it. Raises StateError when the database is damaged."""
    start = time.perf_counter()
    try:
        problems = _problems(connection, "quick_check")
    except sqlite3.Error as error:
        raise explain(path, "quick_check", error) from error
    if problems:
        raise StateError(
            f"{path}: is damaged ({problems[0]}); restore the newest good backup from {backups_folder(path)}"
        )
    say.info(
        "quick_check_ok",
        "database {}: quick_check ok in {elapsed_ms:.0f} ms",
        path,
        elapsed_ms=(time.perf_counter() - start) * 1000,
    )


def pre_run_backup(connection: sqlite3.Connection, path: Path, kept: int, now: datetime) -> Path | None:
    """Back the database up before a run touches it and prune older ones; None when `kept` is 0.

    Raises StateError: a run that cannot be undone is not begun.
    """
    return keeping_backup(connection, path, AUTOMATIC, kept, now) if kept else None


def keeping_backup(connection: sqlite3.Connection, path: Path, prefix: str, kept: int, now: datetime) -> Path:
    """Back the database up under a name that begins with `prefix`; the newest `kept` of these stay.

    Raises StateError.
    """
    folder = backups_folder(path)
    target = folder / f"{prefix}-{_stamp(now)}.db"
    start = time.perf_counter()
    with _disk_errors(target, "the backup"):
        folder.mkdir(exist_ok=True)
        _write_backup(connection, target)
        say.info(
            "backup_written",
            "backup {} written in {elapsed_ms:.0f} ms",
            target,
            elapsed_ms=(time.perf_counter() - start) * 1000,
        )
        _prune(folder, prefix, kept)
    return target


def _prune(folder: Path, prefix: str, kept: int) -> None:
    for broken_off in folder.glob(f"*{PART}"):
        broken_off.unlink()  # of a process that was killed in the middle of a backup
    # The names carry the time to the microsecond in fixed width, so they sort by age.
    for old in sorted(folder.glob(f"{prefix}-*.db"))[:-kept]:
        old.unlink()
        say.info("backup_pruned", "backup {} pruned: {kept} are kept", old, kept=kept)


def backup(path: Path, target: Path | None, now: datetime) -> Path:
    """Back `path` up to `target` (or its backups folder) and return where, beside a running engine too.

    An existing target is refused. Raises StateError naming file and fix.
    """
    source = connect_reader(path)
    try:
        schema.current_version(source, schema.load_migrations(schema.migrations_folder()), path)
        if target is None:
            target = backups_folder(path) / f"{MANUAL}-{_stamp(now)}.db"
            with _disk_errors(target, "making the backups folder"):
                target.parent.mkdir(exist_ok=True)
        check_folder(target)
        if target.exists():
            raise StateError(f"{target}: exists already; give another name or remove it")
        with _disk_errors(target, "the backup"):
            _write_backup(source, target)
    finally:
        source.close()
    say.info("backup_written", "backup of {} written to {}", path, target)
    return target


def rescue(connection: sqlite3.Connection, path: Path, now: datetime) -> Path:
    """Copy an open database whose file is gone to a new file beside its place; return that.

    Raises StateError naming file and fix.
    """
    target = path.with_name(f"{path.name}.rescued-{_stamp(now)}")
    with _disk_errors(target, "rescuing the database"):
        _write_backup(connection, target)
    return target


def _verify(copy: Path, source: Path) -> None:
    """Raise StateError unless the copy of `source` is whole, ours, and points nowhere it should not."""
    connection = sqlite3.connect(copy, isolation_level=None)
    try:
        with _disk_errors(source, "checking it"):
            problems = _problems(connection, "integrity_check")
            if problems:
                raise StateError(f"{source}: is damaged ({problems[0]}); restore another backup")
            known = schema.load_migrations(schema.migrations_folder())
            if schema.current_version(connection, known, source) == 0:
                raise StateError(f"{source}: holds no NEO tables; give a backup made by NEO")
            broken = connection.execute("PRAGMA foreign_key_check").fetchall()
            if broken:
                raise StateError(
                    f"{source}: {len(broken)} rows point nowhere, e.g. in {broken[0][0]}; "
                    "restore another backup"
                )
    finally:
        connection.close()


def restore(path: Path, source: Path, now: datetime) -> Path | None:
    """Put the backup `source` in the place of database `path`; return where the old one is kept now.

    The source is checked on a copy first, so a bad one changes nothing. Refused while an engine runs.
    Raises StateError naming file and fix.
    """
    check_folder(path)
    file_size(path)
    if source.exists() and path.exists() and source.samefile(path):
        raise StateError(f"{source}: is the database itself; give a backup of it")
    lock = InstanceLock.acquire(database_lock_path(path), str(path), iso(now))
    path = path.resolve()  # replace the file, not a link to it
    part = path.with_name(path.name + PART)
    try:
        reader = connect_reader(source)
        try:
            with _disk_errors(source, "copying it"):
                part.unlink(missing_ok=True)
                _copy(reader, part)
        finally:
            reader.close()
        _verify(part, source)
        with _disk_errors(path, "the restore"):
            kept = _keep_replaced(path, now)
            # The old WAL must be gone before the new file is there: SQLite would play it into that.
            # Until the replace below, the old database stands without it; its content is in the copy.
            for suffix in ("-wal", "-shm"):
                Path(f"{path}{suffix}").unlink(missing_ok=True)
            part.replace(path)
            _sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)
        lock.release()
    say.info("database_restored", "{} restored from {}; the replaced one is {}", path, source, kept or "none")
    return kept


def _keep_replaced(path: Path, now: datetime) -> Path | None:
    """Keep the database that a restore replaces: by the backup API, or byte for byte when it is damaged."""
    if not path.exists():
        return None
    folder = backups_folder(path)
    folder.mkdir(exist_ok=True)
    target = folder / f"{REPLACED}-{_stamp(now)}.db"
    try:
        check_header(path)
        _fold_wal(path)
        reader = connect_reader(path)
        try:
            _write_backup(reader, target)
        finally:
            reader.close()
    except (sqlite3.Error, StateError) as error:
        say.warning(
            "damaged_files_kept",
            "{}: too damaged for a checked copy ({}); its files are kept as they are",
            path,
            error,
        )
        for suffix in ("", "-wal"):
            part = Path(f"{path}{suffix}")
            if part.exists():
                shutil.copy2(part, f"{target}{suffix}")
    return target


def _fold_wal(path: Path) -> None:
    """Move what the WAL holds into the database, so that removing the WAL loses nothing.

    No engine runs: its lock is held by this process.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()
