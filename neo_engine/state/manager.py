"""STATE MANAGER: the one connection that writes what the engine knows, whole ticks only.

1. A tick is on disk whole or not at all: one transaction, or one for a group of whole ticks.
2. A failed write rolls back, raises StateError and leaves the manager usable: the same record can be
   committed again. Ticks of a group that were accepted before it stay queued.
3. The same fill or capital request twice changes nothing.
4. Every statement and every checkpoint runs under one lock, so neither falls into the other.
5. Nothing is written into a file that is no longer the one of its name.
6. A group commit gives the same rows as a commit a tick: rows are only held back, and where one row
   changed more than once only its last, whole state is written.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from msgspec.structs import astuple

from neo_engine.domain.capital import CapitalEvent
from neo_engine.domain.clock import utc_text
from neo_engine.domain.errors import InvariantViolation, StateError
from neo_engine.domain.records import IntentRecord, OutcomeRecord, SessionEnd, SessionStart
from neo_engine.event_log import say
from neo_engine.ports import Part
from neo_engine.state import backup, recovery, schema
from neo_engine.state.checkpoint import CheckpointThread, checkpoint
from neo_engine.state.connection import (
    check_folder,
    check_header,
    connect_writer,
    explain,
    file_size,
    transaction,
)
from neo_engine.state.groups import joined
from neo_engine.state.inventory import inventory_of
from neo_engine.state.left import LeftRows, rows_left, settle
from neo_engine.state.lock import InstanceLock, database_lock_path
from neo_engine.state.options import StateOptions, iso, options_of, utc_now
from neo_engine.state.place import Place
from neo_engine.state.recovery import Recovered
from neo_engine.state.rows import (
    OPERATOR_SCOPE,
    Batch,
    Numbering,
    Row,
    capital_asset,
    intent_batch,
    outcome_batch,
)
from neo_engine.state.statements import (
    INSERT_CAPITAL,
    INSERT_NOTE,
    INSERT_SESSION,
    STATE,
    STATEMENTS,
    UPSERT_STATE,
    XRP,
    Statement,
)
from neo_engine.state.waiting import waiting_event

__all__ = ["StateManager", "StateOptions", "options_of"]


SESSION_ENDED = "session ended"  # failure_reason of paper orders that its last tick did not close
STALE_KEYS = ("inventory_drift_at_shutdown",)  # what an earlier session said of its own end


class StateManager:
    """The database of a running engine. `open` makes it, `close` ends it; implements ports.StateStore."""

    def __init__(
        self,
        path: Path,
        options: StateOptions,
        now: Callable[[], datetime],
        connection: sqlite3.Connection,
        locks: list[InstanceLock],
    ) -> None:
        self.path = path
        self._options = options
        self._now = now
        self._connection = connection
        self._locks = locks
        self._lock = threading.RLock()
        self._thread = CheckpointThread(connection, self._lock, options.checkpoint_interval_seconds)
        self._place = Place(path)
        self._session: Numbering | None = None
        self._adopted: dict[int, int] = {}
        self._pending: list[Batch] = []
        self._pending_ticks = 0
        self._state: dict[str, str] = {}
        self._closed = False
        self.recovered = Recovered(sessions=(), paper_orders=0, orphans=0)

    @classmethod
    def open(
        cls,
        path: Path,
        options: StateOptions,
        *,
        now: Callable[[], datetime] = utc_now,
        migrations: Path | None = None,
    ) -> StateManager:
        """Open or make the database: lock, check, back up, migrate, recover, start the checkpoints.

        migrations: another folder than the project's own. Raises StateError naming file and fix.
        """
        known = schema.load_migrations(migrations or schema.migrations_folder())
        check_folder(path)
        new = file_size(path) == 0
        if not new:
            check_header(path)
        locks: list[InstanceLock] = []
        connection: sqlite3.Connection | None = None
        done = False
        try:
            _take_locks(path, options, iso(now()), locks)
            connection = connect_writer(
                path,
                synchronous=options.synchronous,
                busy_timeout_ms=options.busy_timeout_ms,
                check=lambda opened: schema.current_version(opened, known, path),
            )
            manager = cls(path, options, now, connection, locks)
            manager._prepare(known, new=new)
            done = True
        finally:
            if not done:
                if connection is not None:
                    connection.close()
                for lock in reversed(locks):
                    lock.release()
        return manager

    def _prepare(self, known: tuple[schema.Migration, ...], *, new: bool) -> None:
        path, connection, options = self.path, self._connection, self._options
        if not new:
            backup.check_quickly(connection, path)
            backup.pre_run_backup(connection, path, options.backups_kept, self._now())
        schema.migrate(connection, known, path, iso(self._now()))
        with transaction(connection, path, "recovering after a crash"):
            self.recovered = recovery.recover(connection, self._now(), options.orphan_cleanup_days)
        self._place.note()
        self._state = dict(connection.execute("SELECT key, value FROM engine_state"))
        say.info("database_open", "database {} open: SQLite {}", path, sqlite3.sqlite_version)
        self._thread.start()

    # --- sessions -----------------------------------------------------------------------------------

    def begin_session(self, start: SessionStart) -> int:
        """Store the session's row, clear the last one's halt reason, and return its id.

        Raises StateError when it cannot be written, InvariantViolation while another one runs.
        """
        with self._lock:
            self._usable()
            if self._session is not None:
                raise InvariantViolation(f"session {self._session.session_id} has not ended yet")
            with transaction(self._connection, self.path, "beginning the session"):
                highest = self._connection.execute("SELECT coalesce(max(id), 0) FROM orders").fetchone()[0]
                session_id = self._insert_session(start, highest)
                changed = {
                    "halt.reason": "",
                    "halt.detail": "",
                    "session.id": str(session_id),
                    "session.mode": start.mode,
                    "session.pid": str(start.pid),
                    "session.started_at": start.started_at,
                }
                self._connection.executemany(
                    UPSERT_STATE, [(key, value, start.started_at) for key, value in changed.items()]
                )
                self._connection.executemany(
                    "DELETE FROM engine_state WHERE key = ?", [(key,) for key in STALE_KEYS]
                )
            self._state = {k: v for k, v in {**self._state, **changed}.items() if k not in STALE_KEYS}
            self._adopted = {}
            self._session = Numbering(
                session_id=session_id,
                first_order=highest,
                quote_symbol=start.pair.partition("/")[2] or "RLUSD",
                replayed=start.mode == "replay",
                depth_levels=self._options.depth_levels,
                adopted=self._adopted,
            )
            for lock in self._locks:
                lock.note_session(session_id)
            return session_id

    def _insert_session(self, start: SessionStart, highest: int) -> int:
        cursor = self._connection.execute(INSERT_SESSION, (*astuple(start), highest))
        if cursor.lastrowid is None:
            raise InvariantViolation("SQLite gave the new session no row id")
        return cursor.lastrowid

    def end_session(self, end: SessionEnd) -> None:
        """Store how the session ended, after everything a group commit still held. Raises StateError."""
        with self._lock:
            session = self._active()
            self.flush()
            self._place.check()
            changed = {**end.state, "halt.reason": end.halt_reason, "halt.detail": end.halt_detail}
            with transaction(self._connection, self.path, "ending the session"):
                self._connection.execute(
                    "UPDATE sessions SET ended_at = ?, halt_reason = ?, halt_detail = ?, ticks = ?, "
                    "first_ledger = ?, last_ledger = ?, market_start = ?, market_end = ?, fingerprint = ?, "
                    "summary_json = ? WHERE session_id = ?",
                    (
                        end.ended_at,
                        end.halt_reason,
                        end.halt_detail,
                        end.ticks,
                        end.first_ledger,
                        end.last_ledger,
                        end.market_start,
                        end.market_end,
                        end.fingerprint,
                        end.summary_json,
                        session.session_id,
                    ),
                )
                self._connection.executemany(
                    UPSERT_STATE, [(key, value, end.ended_at) for key, value in changed.items()]
                )
                recovery.close_orders(self._connection, session.session_id, SESSION_ENDED)
            self._state.update(changed)
            self._session = None

    def abandon_session(self, end: SessionEnd) -> str:
        """Store the end of a session whose last rows cannot be written: drop them, close with the others.

        Its ticks, ledgers and fingerprint are those on disk, and it has no summary. A database whose file is
        gone is copied. Returns the halt detail with the count of ticks lost. Raises StateError.
        """
        with self._lock:
            session = self._active()
            lost, self._pending, self._pending_ticks = self._pending_ticks, [], 0
            self._make_room()
            detail = f"{end.halt_detail}; {lost} ticks were not stored" if lost else end.halt_detail
            with transaction(self._connection, self.path, "closing the session"):
                recovery.close_with_rows(
                    self._connection, session.session_id, end.halt_reason, detail, end.ended_at
                )
                recovery.keep_latch(self._connection, end)
                recovery.close_orders(self._connection, session.session_id, SESSION_ENDED)
            self._session = None
            return detail + self._place.rescue(self._connection, self._now())

    def _make_room(self) -> None:
        """Move the WAL into the database: on a full disk the space it had takes the last rows."""
        try:
            checkpoint(self._connection, "TRUNCATE")
        except sqlite3.Error as error:
            say.warning("no_room_made", "{}: no room could be made for the last rows: {}", self.path, error)

    # --- ticks --------------------------------------------------------------------------------------

    def commit_intent(self, record: IntentRecord) -> None:
        """Store a tick, whole or not at all, before its transactions are sent.

        Raises StateError when the disk refuses (nothing of the tick is kept, commit it again later),
        InvariantViolation when the record contradicts what is stored.
        """
        with self._lock:
            batch = intent_batch(record, self._active())
            changed = {key: value for key, value in record.state.items() if self._state.get(key) != value}
            if changed:
                at = utc_text(record.close_time)
                batch.extend((STATE, (key, value, at)) for key, value in changed.items())
            ticks = self._pending_ticks + 1
            self._accept(batch, write=ticks >= self._options.group_commit_ticks)
            self._pending_ticks = ticks if self._pending else 0
            self._state.update(changed)

    def commit_outcome(self, record: OutcomeRecord) -> None:
        """Store what the submits of a tick answered. Raises StateError as commit_intent does."""
        with self._lock:
            batch = outcome_batch(record, self._active())
            self._accept(batch, write=self._options.group_commit_ticks == 1)

    def _accept(self, batch: Batch, *, write: bool) -> None:
        """Queue a batch and, when asked, write the queue; a batch whose write fails is not kept."""
        self._pending.append(batch)
        if not write:
            return
        try:
            self._write_pending()
        finally:
            if self._pending:
                self._pending.pop()

    def _write_pending(self) -> None:
        self._place.check()
        rows = joined(self._pending)
        with transaction(self._connection, self.path, "committing a tick"):
            for statement, waiting in zip(STATEMENTS, rows, strict=True):
                if not waiting:
                    continue
                count = self._connection.executemany(statement.sql, waiting).rowcount
                if count != len(waiting):
                    self._short(statement, count, len(waiting))
        self._pending = []
        self._pending_ticks = 0

    def _short(self, statement: Statement, count: int, wanted: int) -> None:
        """Say that fewer rows changed than were given: a defect, or events that were known already."""
        if statement.every:
            raise InvariantViolation(f"{statement.name}: {wanted} rows to write hit {count} in {self.path}")
        say.warning(
            "rows_known_already",
            "{}: {known} of {wanted} were on disk already; nothing changed",
            statement.name,
            known=wanted - count,
            wanted=wanted,
        )

    def flush(self) -> None:
        """Commit what a group commit still holds back. Raises StateError; it all stays queued then."""
        with self._lock:
            self._usable()
            if self._pending:
                self._write_pending()

    # --- capital ------------------------------------------------------------------------------------

    def waiting_capital(self) -> tuple[CapitalEvent, ...]:
        """Return the capital events that no session has taken up yet, oldest first.

        In a session only those in XRP or the pair's own token: others wait for a session of theirs. In a
        replay none: what it decides hangs on recording, configuration and seed alone.
        """
        query = (
            "SELECT request_id, kind, asset, amount, note, created_at FROM capital_events "
            "WHERE status = 'waiting' ORDER BY id"
        )
        with self._lock:
            if self._session is not None and self._session.replayed:
                return ()
            rows = self._read(query, ())
            symbol = None if self._session is None else self._session.quote_symbol
        return tuple(waiting_event(row) for row in rows if symbol is None or row[2] in (XRP, symbol))

    def add_waiting_capital(self, event: CapitalEvent, quote_symbol: str) -> bool:
        """Keep a capital event for the next session; return False when its request is known already.

        quote_symbol: the token's name, e.g. RLUSD, used when the event is not in XRP. Raises StateError.
        """
        asset, amount = capital_asset(event, quote_symbol)
        row: Row = (
            None,
            OPERATOR_SCOPE,
            event.request_id,
            event.kind.value,
            asset,
            amount,
            None,
            "waiting",
            None,
            event.note,
            event.created_at,
            None,
            None,
        )
        with self._lock:
            self._usable()
            with transaction(self._connection, self.path, "storing a capital event"):
                done = self._connection.execute(INSERT_CAPITAL + " ON CONFLICT DO NOTHING", row)
            return done.rowcount == 1

    def add_note(self, session_id: int, note: str, created_at: str) -> bool:
        """Keep the operator's note on a session; return False when there is no such session."""
        with self._lock:
            self._usable()
            with transaction(self._connection, self.path, "storing a note"):
                return self._connection.execute(INSERT_NOTE, (created_at, note, session_id)).rowcount == 1

    def settled_capital(self) -> frozenset[str]:
        """Return the ids of the operator's requests that some session has applied or refused."""
        query = "SELECT request_id FROM capital_events WHERE scope = ? AND status <> 'waiting'"
        with self._lock:
            return frozenset(row[0] for row in self._read(query, (OPERATOR_SCOPE,)))

    # --- what earlier sessions left -------------------------------------------------------------------

    def left(self, account: str) -> LeftRows:
        """Return what ended live sessions of `account` left unresolved. Raises StateError."""
        with self._lock, self._reading():
            return rows_left(self._connection, account)

    def settle_submissions(self, dead_hashes: Collection[str]) -> int:
        """Store that these transactions can never be in a ledger, as was proven; return how many were open.

        All or none. One that has a result keeps it. Raises StateError when the disk refuses.
        """
        with self._lock:
            self.flush()
            session = None if self._session is None else self._session.session_id
            with transaction(self._connection, self.path, "settling transactions"):
                return settle(self._connection, dead_hashes, session)

    def stored_inventory(self) -> tuple[int, Decimal]:
        """Return the running session's inventory as its rows on disk have it: XRP drops, token.

        The sum of its fills and of its applied capital events, worked out anew and exactly, after what a
        group commit held back has been written. Raises StateError when the disk refuses, BadNumber for a
        damaged row, InvariantViolation without a session.
        """
        with self._lock:
            session = self._active()
            self.flush()
            with self._reading():
                return inventory_of(self._connection, session.session_id)

    def adopt_order(self, order_id: int, stored_id: int) -> None:
        """Let the session's order number `order_id` mean the earlier session's row `stored_id`.

        Its fills and changes then go to that row. Raises InvariantViolation without a session.
        """
        with self._lock:
            self._active()
            self._adopted[order_id] = stored_id

    def state(self) -> Mapping[str, str]:
        """Return a copy of engine_state, what a group commit holds back included."""
        with self._lock:
            return dict(self._state)

    # --- the end --------------------------------------------------------------------------------------

    @property
    def parts(self) -> tuple[Part, ...]:
        """What works in a thread of its own, for the session's supervision."""
        return (self._thread,)

    def checkpoint_now(self) -> None:
        """Do at once what the checkpoint thread does on its timer."""
        with self._lock:
            self._usable()
            self._thread.run_once()

    def close(self) -> None:
        """Write what is queued, stop the thread, empty the WAL, close the file and give the locks back.

        May be called twice. Raises StateError when the queued ticks or the last checkpoint failed; the
        file is closed and the locks are free even then.
        """
        if self._closed:
            return
        # Outside the lock: the thread needs it to finish the checkpoint it is in.
        self._thread.stop()
        with self._lock:
            try:
                self._place.rescue(self._connection, self._now())
                self.flush()
                result = checkpoint(self._connection, "TRUNCATE")
                if result.busy:
                    say.warning("wal_stays", "{}: a reader is open, its WAL stays until it ends", self.path)
            except sqlite3.Error as error:
                raise explain(self.path, "the last checkpoint", error) from error
            finally:
                self._closed = True
                self._connection.close()
                for lock in reversed(self._locks):
                    lock.release()

    def _usable(self) -> None:
        if self._closed:
            raise StateError(f"{self.path}: the database was closed already; open it again")

    def _active(self) -> Numbering:
        self._usable()
        if self._session is None:
            raise InvariantViolation("no session has begun")
        return self._session

    @contextmanager
    def _reading(self) -> Iterator[None]:
        self._usable()
        try:
            yield
        except sqlite3.Error as error:
            raise explain(self.path, "reading", error) from error

    def _read(self, query: str, values: Row) -> list[tuple[str, ...]]:
        with self._reading():
            return self._connection.execute(query, values).fetchall()


def _take_locks(path: Path, options: StateOptions, at: str, locks: list[InstanceLock]) -> None:
    locks.append(InstanceLock.acquire(database_lock_path(path), str(path), at))
    if options.account_lock is not None:
        locks.append(InstanceLock.acquire(options.account_lock, "the account", at))
