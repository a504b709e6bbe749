"""Every way in which a database cannot be opened, by file, error and fix; and the reader's side."""

from __future__ import annotations

import os
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from benchmarks.state_workload import intent, session_end
from neo_engine.config import parse_config
from neo_engine.domain.errors import StateError, UsageError
from neo_engine.state import queries
from neo_engine.state.manager import StateManager, options_of
from tests.unit.state_fixture import OPTIONS, one, opened, python, wal_bytes, write_ticks

NOBODY = 65534  # the user id that owns nothing


def refusal(path: Path) -> str:
    with pytest.raises(StateError) as caught:
        StateManager.open(path, OPTIONS)
    return str(caught.value)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert (
        refusal(tmp_path / "no" / "neo.db")
        == f"{tmp_path / 'no'}: no such folder; make it, or give another --db"
    )


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    assert "no such folder" in refusal(tmp_path / "file" / "neo.db")


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    assert "is a folder" in refusal(tmp_path)


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    path.write_text("mode: paper\n" * 100, encoding="utf-8")
    assert "is not a database" in refusal(path)
    assert path.read_text(encoding="utf-8") == "mode: paper\n" * 100


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    path.touch()
    with opened(path) as store:
        write_ticks(store, 1)
    assert one(path, "SELECT count(*) FROM ticks") == 1


def test_a_damaged_database_is_refused_with_the_way_back(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with opened(path) as store:
        write_ticks(store, 200)
    data = bytearray(path.read_bytes())
    for page in range(8, len(data) // 4096):
        data[page * 4096 : page * 4096 + 16] = b"\xff" * 16
    path.write_bytes(data)
    message = refusal(path)
    assert "damaged" in message or "SQLITE_CORRUPT" in message
    assert "restore the newest" in message


def test_a_database_that_another_connection_holds_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with opened(path):
        pass
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        message = refusal(path)
        other.execute("ROLLBACK")
    assert "SQLITE_BUSY" in message
    assert "close the other program" in message
    with opened(path):
        pass


def test_a_refused_opening_leaves_no_lock_behind(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    path.write_text("no database, but long enough to be one", encoding="utf-8")
    refusal(path)
    path.unlink()
    with opened(path):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="permission bits of folders mean nothing there")
@pytest.mark.parametrize(("file_mode", "folder_mode"), [(0o644, 0o555), (0o444, 0o777)])
def test_a_read_only_folder_or_file_is_refused_to_write_and_open_to_read(
    file_mode: int, folder_mode: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "neo.db"
        with opened(path) as store:
            write_ticks(store, 3)
            store.end_session(session_end(3))
        Path(f"{path}.lock").chmod(0o666)
        path.chmod(file_mode)
        folder.chmod(folder_mode)
        try:
            told = _as_nobody(path)
        finally:
            folder.chmod(0o755)
    refused, read = told.split("|")
    assert "neo.db" in refused
    assert "writable" in refused
    assert read == "3"


def _as_nobody(path: Path) -> str:
    """Open the database in a forked process without rights (root may write anywhere)."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        told = "failed|"
        try:
            if os.getuid() == 0:
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            told = _try_both(path)
        finally:
            os.write(writer, told.encode())
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        return pipe.read()


def _try_both(path: Path) -> str:
    try:
        StateManager.open(path, OPTIONS).close()
        refused = "not refused"
    except StateError as error:
        refused = str(error)
    with closing(queries.open_readonly(path)) as connection:
        return f"{refused}|{connection.execute('SELECT count(*) FROM ticks').fetchone()[0]}"


LIMITED = """
import resource, sys
from msgspec.structs import replace
from pathlib import Path
from benchmarks.state_workload import intent, session_start
from neo_engine.domain.errors import StateError
from neo_engine.state.manager import StateManager
from tests.unit.state_fixture import OPTIONS, write_ticks

store = StateManager.open(Path(sys.argv[1]), OPTIONS)
store.begin_session(session_start())
write_ticks(store, 20)
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
tick = 21
try:
    while True:
        write_ticks(store, tick, start=tick)
        tick += 1
except StateError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
write_ticks(store, tick + 10, start=tick)
print(tick)
store.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of file size there")
def test_a_file_that_may_not_grow_fails_the_tick_and_the_same_process_goes_on_later(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with python(LIMITED, path) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    message, tick = out.splitlines()
    assert "neo.db: committing a tick failed with SQLITE_" in message
    assert "SQLITE_FULL" in message or "SQLITE_IOERR" in message
    assert one(path, "SELECT count(*) FROM ticks") == int(tick) + 10
    assert one(path, "PRAGMA integrity_check") == "ok"


def test_the_configuration_sets_every_option(paper_yaml: str, tmp_path: Path) -> None:
    config = parse_config(paper_yaml, "paper.yaml")
    lock = tmp_path / "account.lock"
    options = options_of(config, group_commit_ticks=1, account_lock=lock)
    assert options == replace(
        OPTIONS,
        synchronous="NORMAL",
        busy_timeout_ms=5000,
        backups_kept=5,
        checkpoint_interval_seconds=60.0,
        orphan_cleanup_days=7,
        depth_levels=10,
        account_lock=lock,
    )


@pytest.mark.parametrize(("synchronous", "level"), [("NORMAL", 1), ("FULL", 2)])
def test_the_connection_is_kept_as_asked(tmp_path: Path, synchronous: str, level: int) -> None:
    with opened(tmp_path / "neo.db", replace(OPTIONS, synchronous=synchronous)) as store:
        pragma = {
            name: store._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "page_size")
        }
    assert pragma == {
        "journal_mode": "wal",
        "synchronous": level,
        "foreign_keys": 1,
        "busy_timeout": 50,
        "page_size": 4096,
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (b"", "is empty"), (b"text of some length", "is not a database")],
)
def test_a_reader_names_what_is_no_database(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "neo.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StateError, match=rf"neo\.db: {message}"):
        queries.open_readonly(path)


def test_a_reader_beside_the_engine_sees_whole_ticks_and_can_write_nothing(tmp_path: Path) -> None:
    path = tmp_path / "odd name #1?.db"
    with opened(path) as store, closing(queries.open_readonly(path)) as reader:
        write_ticks(store, 10)
        assert len(list(queries.ticks(reader, 1))) == len(list(queries.snapshots(reader, 1))) == 10
        assert [row["order_no"] for row in queries.orders(reader, 1)] == [1, 2, 3, 4]
        assert [row["ledger_index"] for row in queries.fills(reader, 1)] == [1010]
        assert queries.capital(reader, 1) == []
        assert queries.engine_state(reader)["session.id"] == "1"
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader.execute("DELETE FROM ticks")
        wal = wal_bytes(path)
        with pytest.raises(sqlite3.OperationalError):
            reader.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert wal_bytes(path) == wal > 0
        write_ticks(store, 20, start=11)
        assert len(list(queries.ticks(reader, 1))) == 20
    assert wal_bytes(path) == 0


def test_a_session_is_found_by_latest_or_id_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    StateManager.open(path, OPTIONS).close()
    with (
        closing(queries.open_readonly(path)) as reader,
        pytest.raises(UsageError, match="no session yet"),
    ):
        queries.which_session(reader, "latest")
    for _ in range(2):
        with opened(path) as store:
            store.commit_intent(intent(1))
            store.end_session(session_end(1))
    with closing(queries.open_readonly(path)) as reader:
        assert [row["session_id"] for row in queries.sessions(reader)] == [1, 2]
        assert queries.which_session(reader, "latest") == 2
        assert queries.which_session(reader, "1") == queries.which_session(reader, 1) == 1
        for wrong in ("0", "3", 3):
            with pytest.raises(
                UsageError, match=f"session {wrong}: not in this database, which holds 1 to 2"
            ):
                queries.which_session(reader, wrong)
        for wrong in ("first", "-1", "", "٢"):
            with pytest.raises(
                UsageError, match=f"session '{wrong}': give a number or latest; the database holds 1 to 2"
            ):
                queries.which_session(reader, wrong)
