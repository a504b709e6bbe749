"""Old details go, the money stays: a report gives the same numbers before and after, to the last digit."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from neo_engine.domain.errors import InvariantViolation, StateError
from neo_engine.domain.halt import HaltReason
from neo_engine.domain.kill import LATCH_KEY, OPEN, KillReason, add, to_json
from neo_engine.state import prune as module
from neo_engine.state.lock import InstanceLock, database_lock_path
from neo_engine.state.prune import BACKUPS_KEPT, FREE_SPACE_TIMES, plan, prune
from tests.e2e.helpers import ROOT, engine, report, run, session

NOW = datetime.now(UTC)
#: The hours are room for a long run: `NOW` is when the file was read, the sessions end when their test comes.
LATER = NOW + timedelta(days=30, hours=6)
DETAILS = ("ticks", "market_snapshots", "feed_faults", "monitor_readings")
#: Report parts that ticks are not needed for; `facts` apart, which say that they were removed.
MONEY = ("xrp", "quote", "pnl", "fills", "orders", "findings", "inventory_reconciliation")


@pytest.fixture(scope="module")
def two_sessions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with two paper sessions of 120 ledgers."""
    db = tmp_path_factory.mktemp("two") / "neo.db"
    for seed in (1, 2):
        assert session(db, seed=seed).code == 0
    return db


@pytest.fixture
def db(two_sessions: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(two_sessions, tmp_path / "neo.db"))


def rows(db: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(db)) as connection:
        return connection.execute(query).fetchall()


def write(db: Path, *statements: str) -> None:
    with closing(sqlite3.connect(db)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def count(db: Path, table: str, session_id: int) -> int:
    return int(rows(db, f"SELECT COUNT(*) FROM {table} WHERE session_id = {session_id}")[0][0])


def test_the_reports_money_is_equal_before_and_after(db: Path) -> None:
    before, newest = report(db, "--session", "1"), report(db)
    assert before["agrees"] is True
    assert before["fills"]["count"] > 0
    found = prune(db, 30, LATER)
    after = report(db, "--session", "1")
    assert {name: after[name] for name in MONEY} == {name: before[name] for name in MONEY}
    assert after["agrees"] is True
    assert after["facts"]["fingerprint"] == before["facts"]["fingerprint"]
    changed = {name for name, value in after["facts"].items() if value != before["facts"][name]}
    assert changed == {"ticks", "ticks_by_kind", "pruned"}
    assert before["facts"]["pruned"] is None
    (one,) = found.sessions
    assert f"{one.removed['ticks']} of {one.ticks} ticks removed" in after["facts"]["pruned"]
    assert report(db) == newest


def test_what_goes_is_what_was_planned_and_the_rest_is_untouched(db: Path) -> None:
    tables = [name for (name,) in rows(db, "SELECT name FROM sqlite_schema WHERE type = 'table'")]
    others = [name for name in tables if name not in (*DETAILS, "engine_state")]
    kept = {name: rows(db, f"SELECT * FROM {name}") for name in others}
    before = {name: count(db, name, 1) for name in DETAILS}
    newest = {name: rows(db, f"SELECT * FROM {name} WHERE session_id = 2") for name in DETAILS}
    planned = plan(db, 30, LATER)
    done = prune(db, 30, LATER)
    assert done.sessions == planned.sessions
    (one,) = done.sessions
    assert one.session_id == 1
    assert one.removed["ticks"] > before["ticks"] / 2
    assert {name: before[name] - count(db, name, 1) for name in DETAILS} == one.removed
    assert {name: rows(db, f"SELECT * FROM {name}") for name in others} == kept
    assert {name: rows(db, f"SELECT * FROM {name} WHERE session_id = 2") for name in DETAILS} == newest
    filled = {tick for (tick,) in rows(db, "SELECT DISTINCT tick FROM fills WHERE session_id = 1")}
    left = {tick for (tick,) in rows(db, "SELECT tick FROM ticks WHERE session_id = 1")}
    assert filled | {1, one.ticks} <= left
    assert rows(db, "PRAGMA integrity_check") == [("ok",)]


def test_the_space_is_given_back_and_a_backup_has_everything(db: Path) -> None:
    before = {name: count(db, name, 1) for name in DETAILS}
    done = prune(db, 30, LATER)
    assert done.bytes_after == db.stat().st_size < done.bytes_before
    assert rows(db, "PRAGMA freelist_count") == [(0,)]
    assert done.backup is not None
    assert {name: count(Path(done.backup), name, 1) for name in DETAILS} == before


def test_a_second_time_there_is_nothing_to_do(db: Path) -> None:
    prune(db, 30, LATER)
    content = db.read_bytes()
    again = prune(db, 30, LATER)
    assert (again.sessions, again.backup) == ((), None)
    assert db.read_bytes() == content


@pytest.mark.parametrize(("age", "pruned"), [(timedelta(days=29), 0), (timedelta(days=31), 1)])
def test_only_sessions_older_than_the_days_to_keep_go(db: Path, age: timedelta, pruned: int) -> None:
    assert len(plan(db, 30, NOW + age).sessions) == pruned


def test_the_newest_session_and_one_that_did_not_end_stay(db: Path) -> None:
    assert [one.session_id for one in plan(db, 30, LATER).sessions] == [1]
    write(db, "UPDATE sessions SET ended_at = NULL WHERE session_id = 1")
    assert plan(db, 30, LATER).sessions == ()


def test_live_sessions_stay_while_the_kill_switch_holds_and_the_newest_always(db: Path) -> None:
    write(
        db,
        "UPDATE sessions SET mode = 'live' WHERE session_id = 1",
    )
    assert plan(db, 30, LATER).sessions == ()  # it is the newest live one
    write(
        db,
        "INSERT INTO sessions (session_id, mode, feed, started_at, ended_at, engine_version) "
        "VALUES (3, 'live', 'xrpl', '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z', 'x')",
    )
    assert [one.session_id for one in plan(db, 30, LATER).sessions] == [1, 2]
    latch = to_json(add(OPEN, KillReason(reason=HaltReason.KILL_SWITCH, detail="x", at=NOW)))
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("INSERT INTO engine_state VALUES (?, ?, '')", (LATCH_KEY, latch))
    assert [one.session_id for one in plan(db, 30, LATER).sessions] == [2]


def test_ticks_of_what_is_still_open_stay(db: Path) -> None:
    ((order, tick),) = rows(
        db,
        "SELECT o.id, o.created_tick FROM orders o WHERE o.session_id = 1 AND NOT EXISTS "
        "(SELECT 1 FROM fills f WHERE f.session_id = 1 AND f.tick = o.created_tick) "
        "AND o.created_tick BETWEEN 20 AND 100 ORDER BY o.id LIMIT 1",
    )
    write(db, f"UPDATE orders SET status = 'OPEN' WHERE id = {order}")
    prune(db, 30, LATER)
    assert rows(db, f"SELECT COUNT(*) FROM ticks WHERE session_id = 1 AND tick = {tick}") == [(1,)]
    assert rows(db, f"SELECT created_ledger IS NOT NULL FROM v_orders WHERE id = {order}") == [(1,)]


def test_it_is_refused_while_an_engine_runs(db: Path) -> None:
    held = InstanceLock.acquire(database_lock_path(db), str(db), NOW.isoformat())
    content = db.read_bytes()
    try:
        with pytest.raises(StateError, match="in use by process"):
            prune(db, 30, LATER)
    finally:
        held.release()
    assert db.read_bytes() == content


def test_without_enough_room_nothing_is_touched(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size, usage = db.stat().st_size, shutil.disk_usage(db.parent)
    content = db.read_bytes()

    def free(amount: int) -> Callable[[Path], Any]:
        return lambda _path: usage._replace(free=amount)

    monkeypatch.setattr(module.shutil, "disk_usage", free(FREE_SPACE_TIMES * size - 1))
    with pytest.raises(StateError, match="nothing was removed"):
        prune(db, 30, LATER)
    assert db.read_bytes() == content
    assert not db.with_name("neo.db.backups").exists()
    monkeypatch.setattr(module.shutil, "disk_usage", free(FREE_SPACE_TIMES * size))
    assert len(prune(db, 30, LATER).sessions) == 1


def test_a_backup_that_fails_removes_nothing(db: Path) -> None:
    db.with_name("neo.db.backups").write_text("in the way")
    before = count(db, "ticks", 1)
    with pytest.raises(StateError, match="the backup failed"):
        prune(db, 30, LATER)
    assert count(db, "ticks", 1) == before


def test_a_removal_that_breaks_off_removes_nothing(db: Path) -> None:
    write(db, "CREATE TRIGGER stop BEFORE DELETE ON monitor_readings BEGIN SELECT RAISE(ABORT, 'x'); END")
    write(db, "INSERT INTO monitor_readings VALUES (((1 << 32 | 50) << 5), 1, 50, 'cascade', 'WARN', '')")
    before = {name: count(db, name, 1) for name in DETAILS}
    with pytest.raises(InvariantViolation, match="removing the details"):
        prune(db, 30, LATER)
    assert {name: count(db, name, 1) for name in DETAILS} == before
    assert rows(db, "SELECT COUNT(*) FROM engine_state WHERE key LIKE 'pruned.%'") == [(0,)]


def test_space_that_cannot_be_given_back_loses_nothing(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = report(db, "--session", "1")

    def full(*_given: object) -> None:
        raise StateError("no space left")

    monkeypatch.setattr(module, "_give_back", full)
    with pytest.raises(StateError, match="no space left"):
        prune(db, 30, LATER)
    after = report(db, "--session", "1")
    assert {name: after[name] for name in MONEY} == {name: before[name] for name in MONEY}
    assert after["facts"]["pruned"] is not None


def test_a_reader_beside_it_sees_one_moment_and_does_no_harm(db: Path) -> None:
    before = count(db, "ticks", 1)
    with closing(sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        query = "SELECT COUNT(*) FROM ticks WHERE session_id = 1"
        assert reader.execute(query).fetchone() == (before,)
        (one,) = prune(db, 30, LATER).sessions
        assert reader.execute(query).fetchone() == (before,)
        reader.execute("ROLLBACK")
        assert reader.execute(query).fetchone() == (before - one.removed["ticks"],)


def test_of_the_backups_before_a_prune_the_newest_stay(db: Path) -> None:
    for day in range(BACKUPS_KEPT + 1):
        write(db, "DELETE FROM engine_state WHERE key LIKE 'pruned.%'")
        prune(db, 30, LATER + timedelta(days=day))
    assert len(list(db.with_name("neo.db.backups").glob("before-prune-*.db"))) == BACKUPS_KEPT


# the command


def old(db: Path) -> Path:
    write(db, "UPDATE sessions SET ended_at = '2026-01-02T03:04:05.678Z' WHERE session_id = 1")
    return db


def test_the_command_looks_asks_and_removes(db: Path) -> None:
    old(db)
    content = db.read_bytes()
    looked = engine("prune", "--db", db, "--keep-days", 30, "--dry-run")
    assert looked.code == 0
    assert "session 1, ended 2026-01-02T03:04:05.678Z" in looked.out
    assert "to remove" in looked.out
    refused = engine("prune", "--db", db, "--keep-days", 30)
    assert refused.code == 2
    assert "add --yes" in refused.err
    assert db.read_bytes() == content
    done = engine("prune", "--db", db, "--keep-days", 30, "--yes", "--json")
    assert done.code == 0
    facts = {"sessions", "backup", "bytes_before", "bytes_after", "incidents", "incidents_by_hand"}
    assert set(done.json) == facts
    assert done.json["sessions"][0]["session_id"] == 1
    assert engine("prune", "--db", db, "--keep-days", 30, "--yes").out == "nothing to remove\n"


def test_the_report_says_that_details_are_gone(db: Path) -> None:
    prune(db, 30, LATER)
    told = run([ROOT / "summarize_paper_run.py", "--db", db, "--session", 1])
    assert told.code == 0
    assert "Details removed" in told.out
    assert "ERROR" not in told.out
    note = json.loads(rows(db, "SELECT value FROM engine_state WHERE key = 'pruned.1'")[0][0])
    assert set(note) == {"at", "ticks", "removed"}
    unknown = engine("why", "--db", db, "--session", 1, "--tick", 50)
    assert unknown.code == 2


@pytest.mark.parametrize("days", ["0", "-1", "x", "99999999"])
def test_days_that_are_none_are_refused(db: Path, days: str) -> None:
    assert engine("prune", "--db", db, f"--keep-days={days}").code == 2


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    done = engine("prune", "--db", tmp_path / "none.db", "--keep-days", 30, "--yes")
    assert "no such file" in done.error(3)
    assert list(tmp_path.iterdir()) == []
