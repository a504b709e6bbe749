"""The checkpoint thread: on its timer, between transactions, and not to be killed by an error."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from neo_engine.state.checkpoint import CheckpointThread
from tests.unit.state_fixture import OPTIONS, opened, wal_bytes, write_ticks

pytestmark = pytest.mark.slow

LOGGER = "neo_engine"


class FailingConnection:
    """A connection whose first checkpoints fail as SQLite's do."""

    def __init__(self, connection: sqlite3.Connection, failures: int) -> None:
        self._connection = connection
        self._failures = failures
        self.in_transaction = False

    def execute(self, sql: str, /) -> sqlite3.Cursor:
        if self._failures:
            self._failures -= 1
            raise sqlite3.OperationalError("disk I/O error")
        return self._connection.execute(sql)


def wait_until(thread: CheckpointThread, runs: int) -> None:
    limit = time.monotonic() + 10
    while thread.runs < runs and time.monotonic() < limit:
        time.sleep(0.01)


def test_a_checkpoint_is_logged_with_its_figures(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with opened(tmp_path / "neo.db") as store:
        write_ticks(store, 20)
        with caplog.at_level(logging.INFO, LOGGER):
            store.checkpoint_now()
    text = caplog.messages[0]
    frames = int(text.split("log=")[1].split()[0])
    assert text.startswith(f"checkpoint mode=PASSIVE busy=0 log={frames} checkpointed={frames} elapsed_ms=")
    assert frames > 0


def test_closing_truncates_and_a_timer_of_zero_never_starts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "neo.db"
    before = threading.active_count()
    with caplog.at_level(logging.INFO, LOGGER):
        with opened(path) as store:
            write_ticks(store, 5)
            assert threading.active_count() == before
        assert [
            one.getMessage().split(" busy")[0] for one in caplog.records if one.module == "checkpoint"
        ] == ["checkpoint mode=TRUNCATE"]
    assert wal_bytes(path) == 0


def test_the_wal_stays_bounded_without_a_timer(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with opened(path, replace(OPTIONS, depth_levels=60)) as store:
        largest = 0
        for start in range(1, 1501, 100):
            write_ticks(store, start + 99, start=start)
            largest = max(largest, wal_bytes(path))
        pages = store._connection.execute("PRAGMA wal_autocheckpoint").fetchone()[0]
    # A WAL frame is a page and 24 bytes, the file begins with 32 (sqlite.org/fileformat.html); the commit
    # that crosses the bound adds its own few pages.
    assert pages == 4000
    assert largest < 32 + (4096 + 24) * (4000 + 50)


def test_an_error_is_logged_with_its_trace_and_the_thread_lives_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db", check_same_thread=False)) as connection:
        thread = CheckpointThread(FailingConnection(connection, 2), threading.RLock(), 0.01)
        thread.start()
        wait_until(thread, 2)
        thread.stop()
        thread.stop()
    assert thread.failures == 2
    assert thread.runs >= 2
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 2
    assert errors[0].exc_info is not None


def test_an_open_transaction_is_never_checkpointed(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db")) as connection:
        failing = FailingConnection(connection, 0)
        failing.in_transaction = True
        thread = CheckpointThread(failing, threading.RLock(), 1)
        thread.run_once()
        thread.stop()
    assert (thread.runs, thread.failures) == (0, 1)


def test_the_timer_fires_between_commits_and_keeps_the_wal_small(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with opened(path, replace(OPTIONS, checkpoint_interval_seconds=0.02)) as store:
        write_ticks(store, 300)
        wait_until(store._thread, 3)
        assert store._thread.failures == 0
        assert store._thread.runs >= 3
