"""A thread that dies or only fails is noticed by the loop, started again, and given up with a reason."""

from __future__ import annotations

import logging
import sqlite3
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from neo_engine.domain.halt import HaltReason
from neo_engine.state.checkpoint import FAILURES_IN_A_ROW, WAL_TOLD_BYTES, CheckpointThread
from neo_engine.supervision import RESTARTS_MAX, Supervision
from neo_engine.xrpl.gateway import EventKind, Gateway, GatewayEvent, GatewayOptions
from tests.e2e.helpers import wait_for
from tests.unit.state_fixture import OPTIONS, opened
from tests.unit.test_main_loop import Clock, desk, end, ledger

BLOCK = "x" * 4_000


class Worker:
    """A part that fails so many times."""

    name, reason = "worker", HaltReason.STATE_FAILURE

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.restarts = 0

    def failure(self) -> str:
        return "it has died" if self.failures else ""

    def restart(self) -> None:
        self.restarts += 1
        self.failures -= 1


@pytest.mark.parametrize(("failures", "halts"), [(0, False), (RESTARTS_MAX, False), (RESTARTS_MAX + 1, True)])
def test_a_part_is_started_again_within_its_limit_and_then_halts_the_session(
    failures: int, halts: bool, caplog: pytest.LogCaptureFixture
) -> None:
    worker = Worker(failures)
    d = desk(*(ledger(number) for number in range(1, 12)), end(11))
    d.session = replace(d.session, parts=(worker,))
    result = d.run()
    assert worker.restarts == min(failures, RESTARTS_MAX)
    assert caplog.text.count("worker: it has died; started again") == worker.restarts
    if halts:
        assert result.halt.reason is HaltReason.STATE_FAILURE
        assert result.halt.detail == "worker: it has died, started again 3 times"
        assert d.cancels() == [1, 2]
    else:
        assert result.halt.reason is HaltReason.RECORDING_ENDED


def test_a_part_beyond_help_is_answered_while_the_feed_is_quiet() -> None:
    d = desk(ledger(1), ledger(2), live=True)
    worker = Worker(0)
    d.session = replace(d.session, parts=(worker,))
    d.feed.before[4] = lambda: setattr(worker, "failures", RESTARTS_MAX + 1)
    assert d.run().halt.reason is HaltReason.STATE_FAILURE
    assert d.store.intents[2].kind == "silence"


class Refusing:
    """A connection whose checkpoints fail with `error` so many times."""

    in_transaction = False

    def __init__(self, error: BaseException, times: int) -> None:
        self.error = error
        self.times = times
        self.real = sqlite3.connect(":memory:", check_same_thread=False)

    def execute(self, sql: str, /) -> sqlite3.Cursor:
        if self.times:
            self.times -= 1
            raise self.error
        return self.real.execute(sql)


def checkpoints(connection: Refusing) -> CheckpointThread:
    return CheckpointThread(connection, threading.RLock(), 0.005)


@pytest.mark.parametrize("error", [sqlite3.OperationalError("full"), ValueError("a defect"), KeyError("x")])
def test_the_checkpoint_thread_survives_whatever_is_raised_and_counts_it(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    connection = Refusing(error, 3)
    thread = checkpoints(connection)
    thread.start()
    wait_for("three failures and a success", lambda: thread.runs > 0)
    thread.stop()
    connection.real.close()
    assert thread.failures == 3
    assert thread.failure() == ""
    told = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(told) == 3
    assert all(record.exc_info for record in told)  # with its traceback


def test_checkpoints_that_only_fail_are_a_failure_of_the_part_and_a_restart_begins_the_count_anew() -> None:
    connection = Refusing(sqlite3.OperationalError("full"), FAILURES_IN_A_ROW)
    thread = checkpoints(connection)
    for _ in range(FAILURES_IN_A_ROW - 1):
        thread.run_once()
    assert thread.failure() == ""
    thread.run_once()
    assert thread.failure() == f"{FAILURES_IN_A_ROW} checkpoints in a row failed"
    thread.start()
    thread.restart()
    assert thread.failure() == ""
    thread.stop()
    connection.real.close()


class Fatal(BaseException):
    """What no handler for errors may catch."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_dead_checkpoint_thread_is_noticed_and_replaced() -> None:
    connection = Refusing(Fatal(), 1)
    thread = checkpoints(connection)
    assert thread.failure() == ""  # not started yet: none is wanted
    thread.start()
    wait_for("the thread to die", lambda: thread.failure() == "its thread has ended")
    supervision = Supervision([thread])
    assert supervision.look() is None
    assert supervision.restarts == {"checkpoint thread": 1}
    wait_for("a checkpoint of the new thread", lambda: thread.runs > 0)
    assert thread.failure() == ""
    thread.stop()
    connection.real.close()
    assert thread.failure() == ""  # ended because it was asked to


def test_a_long_reader_lets_the_wal_grow_which_is_told_and_ends_with_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "neo.db"
    wal = Path(f"{path}-wal")
    with opened(path, OPTIONS) as store:
        write = store._connection.execute
        write("CREATE TABLE ballast (text TEXT)")
        reader = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sessions").fetchone()
        told = "write-ahead log has grown"
        while wal.stat().st_size < WAL_TOLD_BYTES - 4_000_000:
            write("BEGIN")
            for _ in range(500):
                write("INSERT INTO ballast VALUES (?)", (BLOCK,))
            write("COMMIT")
        store.checkpoint_now()
        assert told not in caplog.text
        for _ in range(3):
            write("BEGIN")
            for _ in range(1_000):
                write("INSERT INTO ballast VALUES (?)", (BLOCK,))
            write("COMMIT")
            store.checkpoint_now()
        assert caplog.text.count(told) == 1  # and not again until it has doubled
        reader.execute("ROLLBACK")
        reader.close()
        store.checkpoint_now()
        write("INSERT INTO ballast VALUES (?)", (BLOCK,))
        assert wal.stat().st_size <= 16_000_000  # cut back to its limit once nobody needs it


def test_a_gateway_that_ends_by_a_defect_says_so_in_the_feed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread is no part: the loop hears of it and halts, as with any other lost gateway."""

    async def broken(_self: Gateway) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(Gateway, "_fill", broken)
    monkeypatch.setattr(threading, "excepthook", lambda _args: None)
    gateway = Gateway(GatewayOptions(endpoints=("ws://127.0.0.1:9",)), Clock())
    with pytest.raises(Exception, match="gateway"):
        gateway.start()
    told = gateway.next(1.0)
    assert isinstance(told, GatewayEvent)
    assert (told.kind, told.text) == (EventKind.FAILED, "the gateway's thread ended by a defect")
    gateway.close()
