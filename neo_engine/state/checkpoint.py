"""The checkpoint thread: moves the WAL into the database on a timer, on the writer's own connection.

It takes the writer's lock for each checkpoint, so it never runs inside a transaction and no second
connection ever checkpoints (see connection.py for why that matters).
"""

from __future__ import annotations

import sqlite3
import threading
import time
from typing import Protocol

import msgspec

from neo_engine.domain.halt import HaltReason
from neo_engine.event_log import say

PAGE_BYTES = 4096  # SQLite's own, which the engine keeps
WAL_TOLD_BYTES = 32_000_000  # twice what the WAL keeps after a checkpoint (connection.WAL_LIMIT_BYTES)
FAILURES_IN_A_ROW = 10  # of the timer's checkpoints: ten minutes as delivered; then the thread has failed
JOIN_SECONDS = 30.0  # far more than a checkpoint takes; a thread that is later than this hangs


class Connection(Protocol):
    """What the thread needs of the writer's connection."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""

    def execute(self, sql: str, /) -> sqlite3.Cursor:
        """Run one statement."""


class CheckpointResult(msgspec.Struct, frozen=True, kw_only=True):
    """What SQLite answered: busy is 1 when a reader or writer kept it from finishing.

    log_frames: pages in the WAL, checkpointed_frames: pages of it that are in the database now.
    """

    mode: str
    busy: int
    log_frames: int
    checkpointed_frames: int
    elapsed_ms: float


def checkpoint(connection: Connection, mode: str) -> CheckpointResult:
    """Run one checkpoint of `mode` (PASSIVE, TRUNCATE), log and return it. Raises sqlite3.Error."""
    start = time.perf_counter()
    busy, frames, done = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
    result = CheckpointResult(
        mode=mode,
        busy=busy,
        log_frames=frames,
        checkpointed_frames=done,
        elapsed_ms=(time.perf_counter() - start) * 1000,
    )
    say.info(
        "checkpoint",
        "checkpoint mode={} busy={busy} log={log_frames} checkpointed={checkpointed_frames} "
        "elapsed_ms={elapsed_ms:.1f}",
        result.mode,
        busy=result.busy,
        log_frames=result.log_frames,
        checkpointed_frames=result.checkpointed_frames,
        elapsed_ms=result.elapsed_ms,
    )
    return result


class CheckpointThread:
    """Checkpoints every `interval_seconds` until stopped; an error is logged and the thread lives on.

    Implements supervision.Part.
    """

    name = "checkpoint thread"
    reason = HaltReason.STATE_FAILURE

    def __init__(self, connection: Connection, lock: threading.RLock, interval_seconds: float) -> None:
        self._connection = connection
        self._lock = lock
        self._interval_seconds = interval_seconds
        self._stopping = threading.Event()
        self._thread = self._new_thread()
        self._started = False
        self._told_bytes = WAL_TOLD_BYTES
        self._in_a_row = 0
        self.runs = 0
        self.failures = 0

    def _new_thread(self) -> threading.Thread:
        return threading.Thread(target=self._run, name="neo-checkpoint", daemon=True)

    def start(self) -> None:
        """Start the timer. An interval of 0 means no timer, and then nothing is started."""
        if self._interval_seconds > 0:
            self._started = True
            self._thread.start()

    def failure(self) -> str:
        """Return why there are no checkpoints any more, "" while there are or none are wanted."""
        if self._started and not self._stopping.is_set() and not self._thread.is_alive():
            return "its thread has ended"
        if self._in_a_row >= FAILURES_IN_A_ROW:
            return f"{self._in_a_row} checkpoints in a row failed"
        return ""

    def restart(self) -> None:
        """Begin anew, with a thread of its own where that has ended."""
        self._in_a_row = 0
        if not self._thread.is_alive():
            self._thread = self._new_thread()
            self._thread.start()

    def stop(self) -> None:
        """Stop the timer and wait for a checkpoint that is under way. May be called twice."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(JOIN_SECONDS)
            if self._thread.is_alive():
                say.error(
                    "checkpoint_thread_stuck",
                    "the checkpoint thread did not end within {waited_seconds:.0f} s",
                    waited_seconds=JOIN_SECONDS,
                )

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_seconds):
            try:
                self.run_once()
            except Exception:  # noqa: BLE001 - without this thread the WAL is moved in the middle of commits
                self._failed()
                say.exception(
                    "checkpoint_thread_failed", "the checkpoint thread met something unexpected and goes on"
                )

    def run_once(self) -> None:
        """Do what the timer does: one PASSIVE checkpoint between two transactions."""
        with self._lock:
            if self._connection.in_transaction:
                # Only a defect leaves one open while the lock is free; a checkpoint now would fail.
                say.error(
                    "checkpoint_skipped",
                    "checkpoint skipped: a transaction is open outside the state manager's lock",
                )
                self._failed()
                return
            try:
                result = checkpoint(self._connection, "PASSIVE")
            except sqlite3.Error:
                self._failed()
                say.exception(
                    "checkpoint_failed",
                    "checkpoint failed; it is tried again in {next_seconds:.0f} s",
                    next_seconds=self._interval_seconds,
                )
                return
            self.runs += 1
            self._in_a_row = 0
            self._tell_size(result)

    def _failed(self) -> None:
        self.failures += 1
        self._in_a_row += 1

    def _tell_size(self, result: CheckpointResult) -> None:
        """Tell of a WAL that grows because somebody reads an old state of it; again at twice the size."""
        size = result.log_frames * PAGE_BYTES
        if size < WAL_TOLD_BYTES:
            self._told_bytes = WAL_TOLD_BYTES
        elif size >= self._told_bytes:
            self._told_bytes = 2 * size
            say.warning(
                "wal_grown",
                "the database's write-ahead log has grown to {megabytes} MB: a program that reads the "
                "database keeps it from being emptied; close that program",
                megabytes=size // 1_000_000,
            )
