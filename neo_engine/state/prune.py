"""Takes the details of old sessions away and keeps all that their money hangs on.

What goes, of sessions that ended before a day and are not the newest: rows of ticks, market_snapshots,
feed_faults and monitor_readings. What stays of these: every row of a tick in which something was filled or
capital moved, of the first and the last tick, of the tick that saw the price which the session is valued at,
and of what is still open. All other tables stay whole. So a report of money gives the same numbers before
and after, to the last digit. The newest live session stays whole too, and while the kill switch holds, every
live session: its drawdown is worked out from their ticks.

Invariants:
1. No engine runs meanwhile: the database's lock is held.
2. A backup is written and checked before a row is removed.
3. All rows of all sessions go in one transaction, with a note for each session in engine_state (`pruned.N`).
4. Giving the space back is SQLite's own VACUUM: interrupted at any point, the database is what it was.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from neo_engine.domain.errors import StateError
from neo_engine.domain.kill import LATCH_KEY, from_json
from neo_engine.domain.orders import TERMINAL
from neo_engine.state.backup import BEFORE_PRUNE, keeping_backup
from neo_engine.state.connection import connect_writer, explain, file_size, transaction
from neo_engine.state.lock import InstanceLock, database_lock_path
from neo_engine.state.options import iso
from neo_engine.state.queries import ORDERS_OF_SESSION, PRUNED, TICKS_OF_SESSION, open_readonly
from neo_engine.state.schema import require_current
from neo_engine.state.statements import UPSERT_STATE

BACKUPS_KEPT = 2  # of those before a prune: the last one, and the one before it
#: Room for the backup, the WAL of the removal and VACUUM's copy, each at most as large as the database.
FREE_SPACE_TIMES = 3
BUSY_TIMEOUT_MS = 5000
_SECONDS_CHARS = len("2026-11-20T20:37:00")

#: Table -> which of its rows belong to session ?1.
_DETAILS = {
    "ticks": TICKS_OF_SESSION,
    "market_snapshots": TICKS_OF_SESSION,
    "feed_faults": "session_id = ?1",
    "monitor_readings": "session_id = ?1",
}
_TERMINAL = ", ".join(sorted(f"'{status.value}'" for status in TERMINAL))
#: Ticks that stay. A live start asks those of open orders and transactions for their ledger; the last line is
#: the newest whose mid is the mark of the last tick, which a report looks up.
_KEPT_TICKS = f"""
    SELECT tick FROM fills WHERE session_id = ?1
    UNION SELECT tick FROM capital_events WHERE session_id = ?1 AND tick IS NOT NULL
    UNION SELECT created_tick FROM orders WHERE {ORDERS_OF_SESSION} AND status NOT IN ({_TERMINAL})
    UNION SELECT tick FROM submissions WHERE session_id = ?1 AND result IS NULL
    UNION SELECT tick FROM upkeep WHERE session_id = ?1 AND result IS NULL
    UNION SELECT MIN(tick) FROM ticks WHERE {TICKS_OF_SESSION}
    UNION SELECT MAX(tick) FROM ticks WHERE {TICKS_OF_SESSION}
    UNION SELECT MAX(m.tick) FROM market_snapshots m, (
        SELECT mark FROM ticks WHERE {TICKS_OF_SESSION} ORDER BY id DESC LIMIT 1) t
    WHERE m.{TICKS_OF_SESSION} AND abs(m.mid / CAST(t.mark AS REAL) - 1) < 1e-9
"""


class SessionDetails(msgspec.Struct, frozen=True, kw_only=True):
    """A session that would be pruned. removed: table -> rows that go; ticks: how many it had."""

    session_id: int
    ended_at: str
    ticks: int
    removed: dict[str, int]


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """What was removed, or would be. backup: None when nothing was removed. Sizes in bytes."""

    sessions: tuple[SessionDetails, ...]
    backup: str | None
    bytes_before: int
    bytes_after: int


def plan(path: Path, keep_days: int, now: datetime) -> Pruned:
    """Return what `prune` would remove; nothing is changed, and an engine may run.

    Raises StateError when the database cannot be read.
    """
    with closing(open_readonly(path)) as connection, _read_errors(path):
        found = _planned(connection, keep_days, now)
    size = file_size(path)
    return Pruned(sessions=found, backup=None, bytes_before=size, bytes_after=size)


def prune(path: Path, keep_days: int, now: datetime) -> Pruned:
    """Remove the details of sessions that ended more than `keep_days` days ago, after a backup.

    Raises StateError while an engine runs, without enough free space, and for what goes wrong with the disk.
    """
    file_size(path)
    with closing(open_readonly(path)):  # before the lock file is made: there may be no such database
        lock = InstanceLock.acquire(database_lock_path(path), str(path), iso(now))
    try:
        return _pruned(path.resolve(), keep_days, now)
    finally:
        lock.release()


def _pruned(path: Path, keep_days: int, now: datetime) -> Pruned:
    before = file_size(path) + file_size(Path(f"{path}-wal"))
    with closing(open_readonly(path)) as reader, _read_errors(path):
        found = _planned(reader, keep_days, now)
        if not found:
            return Pruned(sessions=(), backup=None, bytes_before=before, bytes_after=before)
        _check_space(path, before)
        backup = keeping_backup(reader, path, BEFORE_PRUNE, BACKUPS_KEPT, now)
    with closing(
        connect_writer(
            path,
            synchronous="FULL",
            busy_timeout_ms=BUSY_TIMEOUT_MS,
            check=lambda opened: require_current(opened, path),
        )
    ) as connection:
        with transaction(connection, path, "removing the details"):
            for one in found:
                _remove(connection, one, iso(now))
        _give_back(connection, path)
    after = file_size(path) + file_size(Path(f"{path}-wal"))
    return Pruned(sessions=found, backup=str(backup), bytes_before=before, bytes_after=after)


def _planned(connection: sqlite3.Connection, keep_days: int, now: datetime) -> tuple[SessionDetails, ...]:
    (newest,) = connection.execute("SELECT MAX(session_id) FROM sessions WHERE mode = 'live'").fetchone()
    row = connection.execute("SELECT value FROM engine_state WHERE key = ?", (LATCH_KEY,)).fetchone()
    latched = row is not None and bool(from_json(row[0], now).reasons)
    cutoff = iso(now.astimezone(UTC) - timedelta(days=keep_days))[:_SECONDS_CHARS]
    rows = connection.execute(
        "SELECT session_id, ended_at FROM sessions WHERE ended_at IS NOT NULL "
        "AND substr(ended_at, 1, ?2) < ?1 AND session_id < (SELECT MAX(session_id) FROM sessions) "
        "AND ?3 || session_id NOT IN (SELECT key FROM engine_state) "
        "AND NOT (mode = 'live' AND (?4 OR session_id = ?5)) ORDER BY session_id",
        (cutoff, _SECONDS_CHARS, PRUNED, latched, newest),
    ).fetchall()
    return tuple(
        SessionDetails(
            session_id=session_id,
            ended_at=ended_at,
            ticks=_count(connection, f"SELECT COUNT(*) FROM ticks WHERE {TICKS_OF_SESSION}", session_id),
            removed={
                table: _count(
                    connection,
                    f"SELECT COUNT(*) FROM {table} WHERE {which} AND tick NOT IN ({_KEPT_TICKS})",
                    session_id,
                )
                for table, which in _DETAILS.items()
            },
        )
        for session_id, ended_at in rows
    )


def _count(connection: sqlite3.Connection, query: str, session_id: int) -> int:
    return int(connection.execute(query, (session_id,)).fetchone()[0])


def _remove(connection: sqlite3.Connection, one: SessionDetails, now: str) -> None:
    kept = [row[0] for row in connection.execute(_KEPT_TICKS, (one.session_id,)) if row[0] is not None]
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS kept (tick INTEGER PRIMARY KEY)")
    connection.execute("DELETE FROM temp.kept")
    connection.executemany("INSERT INTO temp.kept VALUES (?)", [(tick,) for tick in kept])
    for table, which in _DETAILS.items():
        connection.execute(
            f"DELETE FROM {table} WHERE {which} AND tick NOT IN (SELECT k.tick FROM temp.kept k)",
            (one.session_id,),
        )
    note = msgspec.json.encode({"at": now, "ticks": one.ticks, "removed": one.removed}, order="sorted")
    connection.execute(UPSERT_STATE, (f"{PRUNED}{one.session_id}", note.decode(), now))


def _check_space(path: Path, size: int) -> None:
    needed, free = FREE_SPACE_TIMES * size, shutil.disk_usage(path.parent).free
    if free < needed:
        raise StateError(
            f"{path}: pruning needs {needed} bytes free on its disk for the backup and two copies, there are "
            f"{free}; nothing was removed; free some space"
        )


def _give_back(connection: sqlite3.Connection, path: Path) -> None:
    """Give the free pages back to the disk. Raises StateError; the details are gone all the same."""
    try:
        with _temporary_files_beside(path):
            connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.Error as error:
        raise explain(path, "giving the space back (the details are removed already)", error) from error


@contextmanager
def _temporary_files_beside(path: Path) -> Iterator[None]:
    """Let VACUUM's copy lie on the disk whose space was checked: the system's own folder may be small."""
    before = os.environ.get("SQLITE_TMPDIR")
    os.environ["SQLITE_TMPDIR"] = str(path.parent)
    try:
        yield
    finally:
        if before is None:
            del os.environ["SQLITE_TMPDIR"]
        else:
            os.environ["SQLITE_TMPDIR"] = before


@contextmanager
def _read_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise explain(path, "looking for details to remove", error) from error
