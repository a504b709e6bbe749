"""The database fails under a running session, by real causes; the session waits, resumes, and lost nothing.

The paper account of the exchange holds what every fill did, stored or not. So rows that add up to it
(no `inventory_drift_at_shutdown`) are all the fills there were.
"""

from __future__ import annotations

import resource
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.helpers import (
    EMBEDDED,
    TRACEBACK,
    Done,
    check_database,
    finish,
    last_session,
    report,
    rows,
    session,
    started_session,
    ticks_stored,
    write_config,
)

SPEED = "400"  # half an hour of market in five seconds
TICKS = 60
BLOCK = b"\0" * 4096
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="prlimit and mounts are Linux's")


def config_of(tmp_path: Path, *, patience: int = 600) -> Path:
    return write_config(tmp_path, state__busy_timeout_ms=50, state__outage_halt_seconds=patience)


def begun(db: Path, config: Path) -> subprocess.Popen[str]:
    return started_session(db, config=config, recording=EMBEDDED, speed=SPEED, ticks=TICKS)


def until_told(process: subprocess.Popen[str], text: str, seconds: float = 30.0) -> None:
    """Read the session's stderr up to a line with `text`."""
    assert process.stderr is not None
    end, seen = time.monotonic() + seconds, []
    for line in process.stderr:
        seen.append(line)
        if text in line:
            return
        assert time.monotonic() < end, seen
    raise AssertionError(f"never told {text!r}: {seen}")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session of the same recording under which nothing failed."""
    db = tmp_path_factory.mktemp("undisturbed") / "neo.db"
    assert session(db, recording=EMBEDDED).code == 0
    return db


def check_resumed(done: Done, db: Path, undisturbed: Path) -> None:
    """The session went on to its planned end, and every ledger and fill has its row."""
    assert (done.code, done.json["halt_reason"]) == (0, "recording_ended"), done.err[-2000:]
    assert TRACEBACK not in done.err
    check_database(db)
    assert "inventory_drift_at_shutdown" not in last_session(db)["state"]
    ledgers = "SELECT ledger_index FROM ticks WHERE kind = 'ledger' ORDER BY tick"
    assert rows(db, ledgers) == rows(undisturbed, ledgers)
    (count, highest) = rows(db, "SELECT count(*), max(tick) FROM ticks")[0]
    assert count == highest == last_session(db)["ticks"]
    pulled = [tick for tick, gates in rows(db, "SELECT tick, gates FROM ticks") if "Storage" in str(gates)]
    assert len(pulled) == 1
    # quotes came back after it, and fills with them
    assert rows(db, "SELECT count(*) FROM ticks WHERE tick > ? AND quoting <> 'none'", pulled[0])[0][0] > 10
    summary = report(db)
    assert summary["fills"]["count"] == rows(db, "SELECT count(*) FROM fills")[0][0]


def test_a_lock_held_by_another_program_is_waited_out(tmp_path: Path, undisturbed: Path) -> None:
    db = tmp_path / "neo.db"
    process = begun(db, config_of(tmp_path))
    with closing(sqlite3.connect(db, isolation_level=None, timeout=5)) as other:
        other.execute("BEGIN EXCLUSIVE")
        until_told(process, "the database still fails")
        other.execute("ROLLBACK")
    done = finish(process)
    check_resumed(done, db, undisturbed)
    assert "the database works again" in done.err


@LINUX
def test_a_limit_on_file_sizes_that_passes_is_waited_out(tmp_path: Path, undisturbed: Path) -> None:
    """Not a byte more can be written to any file, the log's included."""
    db = tmp_path / "neo.db"
    process = begun(db, config_of(tmp_path))
    before = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1, before[1]))
    until_told(process, "the database still fails")
    stored = ticks_stored(db)
    time.sleep(0.7)
    assert ticks_stored(db) == stored
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, before)
    check_resumed(finish(process), db, undisturbed)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 40 MB: twice what the session needs."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    if sys.platform != "linux" or mount is None:
        pytest.skip("needs Linux' tmpfs")
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(place)], check=False, capture_output=True
    )
    if made.returncode:
        pytest.skip(f"may not mount: {made.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_waited_out(tmp_path: Path, small_disk: Path, undisturbed: Path) -> None:
    db = small_disk / "neo.db"
    process = begun(db, config_of(tmp_path))
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        while True:
            try:
                file.write(BLOCK)
            except OSError:
                break
    until_told(process, "the database still fails")
    ballast.unlink()
    check_resumed(finish(process), db, undisturbed)


def test_a_file_that_is_moved_and_put_back_is_used_on(tmp_path: Path, undisturbed: Path) -> None:
    db, away = tmp_path / "neo.db", tmp_path / "away.db"
    process = begun(db, config_of(tmp_path))
    db.rename(away)
    until_told(process, "the database still fails")
    away.rename(db)
    check_resumed(finish(process), db, undisturbed)


def gone_for_good(db: Path) -> None:
    db.unlink()


def replaced_by_another(db: Path) -> None:
    db.unlink()
    db.write_bytes(b"")


def without_its_log(db: Path) -> None:
    Path(f"{db}-wal").unlink()


@pytest.mark.parametrize("lose", [gone_for_good, replaced_by_another, without_its_log])
def test_a_file_that_does_not_come_back_is_rescued_when_patience_ends(
    tmp_path: Path, lose: Callable[[Path], None]
) -> None:
    db = tmp_path / "neo.db"
    process = begun(db, config_of(tmp_path, patience=2))
    lose(db)
    done = finish(process)
    assert (done.code, done.json["halt_reason"]) == (4, "state_failure")
    assert TRACEBACK not in done.err
    assert "put it back under its name" in done.json["halt_detail"]
    (rescued,) = tmp_path.glob("neo.db.rescued-*")
    assert str(rescued) in done.json["halt_detail"]
    check_database(rescued)
    row = last_session(rescued)
    assert row["halt_reason"] == "state_failure"
    assert row["ticks"] == rows(rescued, "SELECT max(tick) FROM ticks")[0][0] >= TICKS
    assert "cancels sent without a record" in done.json["halt_detail"]
    # the rescued database is used on like any other
    assert session(rescued).code == 0


def test_a_kill_is_heard_while_the_database_fails(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    process = begun(db, config_of(tmp_path))
    with closing(sqlite3.connect(db, isolation_level=None, timeout=5)) as other:
        other.execute("BEGIN EXCLUSIVE")
        until_told(process, "the database still fails")
        began = time.monotonic()
        Path(f"{db}.kill").write_text("enough", encoding="utf-8")
        done = finish(process, 20)
        other.execute("ROLLBACK")
    assert time.monotonic() - began < 10
    assert (done.code, done.json["halt_reason"]) == (4, "state_failure")
    assert "the kill switch was pulled" in done.json["halt_detail"]


def test_a_killed_session_in_an_outage_leaves_whole_ticks(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    process = begun(db, config_of(tmp_path))
    with closing(sqlite3.connect(db, isolation_level=None, timeout=5)) as other:
        other.execute("BEGIN EXCLUSIVE")
        until_told(process, "the database still fails")
        process.kill()
        process.communicate()
        other.execute("ROLLBACK")
    assert session(db).code == 0
    check_database(db)
    first = rows(db, "SELECT halt_reason, ticks FROM sessions ORDER BY session_id")[0]
    assert first == ("unexpected_halt", rows(db, "SELECT max(tick) FROM ticks WHERE session_id = 1")[0][0])
