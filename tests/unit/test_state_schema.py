"""The migrations runner: forward only, whole or not at all, no edits, nothing newer."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.state_workload import session_end
from neo_engine.domain.errors import StateError
from neo_engine.state import queries
from neo_engine.state.manager import StateManager
from neo_engine.state.schema import load_migrations, migrations_folder
from tests.unit.state_fixture import OPTIONS, fixed_now, one, opened, rows, write_ticks

SECOND = "ALTER TABLE sessions ADD COLUMN mood TEXT NOT NULL DEFAULT 'calm';\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = tmp_path / "migrations"
    shutil.copytree(migrations_folder(), copy)
    return copy


def next_file(folder: Path, name: str = "mood") -> Path:
    return folder / f"{len(load_migrations(folder)) + 1:04d}_{name}.sql"


def open_with(path: Path, folder: Path) -> None:
    StateManager.open(path, OPTIONS, now=fixed_now, migrations=folder).close()


def test_an_old_database_is_brought_forward_and_keeps_its_rows(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "neo.db"
    with opened(path) as store:
        write_ticks(store, 12)
        store.end_session(session_end(12))
    new = next_file(folder)
    new.write_text(SECOND, encoding="utf-8")
    open_with(path, folder)
    assert one(path, "SELECT mood FROM sessions") == "calm"
    assert one(path, "SELECT count(*) FROM ticks") == 12
    recorded = rows(
        path, "SELECT name, sha256, applied_at FROM schema_migrations ORDER BY version DESC LIMIT 1"
    )
    assert recorded == [("mood", hashlib.sha256(SECOND.encode()).hexdigest(), "2026-11-20T22:00:00Z")]


def test_a_newer_database_is_refused_by_writer_and_reader_and_left_alone(
    tmp_path: Path, folder: Path
) -> None:
    path = tmp_path / "neo.db"
    next_file(folder).write_text(SECOND, encoding="utf-8")
    open_with(path, folder)
    before = path.read_bytes()
    with pytest.raises(StateError, match=r"neo\.db: made by a newer NEO .*update NEO"):
        StateManager.open(path, OPTIONS)
    with pytest.raises(StateError, match="newer NEO"):
        queries.open_readonly(path)
    assert path.read_bytes() == before


def test_an_older_database_is_refused_by_the_reader_only(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "neo.db"
    with opened(path):
        pass
    next_file(folder).write_text(SECOND, encoding="utf-8")
    monkeypatch.setattr("neo_engine.state.schema.migrations_folder", lambda: folder)
    with pytest.raises(StateError, match=r"has schema \d+, this NEO reads \d+; start a session on it"):
        queries.open_readonly(path)


def test_an_edited_migration_is_refused(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "neo.db"
    open_with(path, folder)
    first = folder / "0001_initial.sql"
    first.write_text(first.read_text(encoding="utf-8") + "-- one more word\n", encoding="utf-8")
    with pytest.raises(StateError, match=r"0001_initial was edited .*put the file back"):
        open_with(path, folder)


def test_windows_line_ends_are_no_edit(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "neo.db"
    open_with(path, folder)
    first = folder / "0001_initial.sql"
    first.write_bytes(first.read_bytes().replace(b"\n", b"\r\n"))
    open_with(path, folder)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("CREATE TABLE extra (a) STRICT;", "SQLITE_ERROR"),  # STRICT wants a type
        ("CREATE TABLE extra (a TEXT); INSERT INTO nowhere VALUES (1);", "no such table"),
        ("CREATE TABLE extra (a TEXT); COMMIT;", "ends its own transaction"),
        (
            "CREATE TABLE extra (a INTEGER REFERENCES sessions); INSERT INTO extra VALUES (99);",
            "pointing nowhere",
        ),
    ],
)
def test_a_migration_that_fails_is_named_and_leaves_no_record_of_itself(
    tmp_path: Path, folder: Path, sql: str, message: str
) -> None:
    path = tmp_path / "neo.db"
    with opened(path):
        pass
    version = one(path, "SELECT max(version) FROM schema_migrations")
    next_file(folder, "extra").write_text(sql, encoding="utf-8")
    with pytest.raises(StateError, match=f"0002_extra.*{message}|_extra.*{message}"):
        open_with(path, folder)
    assert one(path, "SELECT max(version) FROM schema_migrations") == version
    if "COMMIT" not in sql:
        assert rows(path, "SELECT * FROM sqlite_schema WHERE name = 'extra'") == []


def test_a_missing_folder_a_gap_and_a_misnamed_file_are_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(StateError, match="migrations folder is missing"):
        load_migrations(tmp_path / "nowhere")
    misnamed = folder / "2_more.sql"
    misnamed.write_text(SECOND, encoding="utf-8")
    with pytest.raises(StateError, match=r"2_more\.sql: a migration must be called"):
        load_migrations(folder)
    misnamed.rename(folder / "0099_more.sql")
    with pytest.raises(StateError, match="must be numbered 1, 2, 3"):
        load_migrations(folder)


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE songs (name TEXT)")
    with pytest.raises(StateError, match=r"other\.db: is a database of another program"):
        StateManager.open(path, OPTIONS)
    assert rows(path, "SELECT name FROM sqlite_schema") == [("songs",)]
