"""Backup before a run, beside a run, and back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from benchmarks.state_workload import session_end
from neo_engine.domain.errors import StateError
from neo_engine.state.backup import backup, backups_folder, restore
from neo_engine.state.manager import StateManager
from tests.unit.state_fixture import NOW, OPTIONS, everything, one, opened, rows, wal_bytes, write_ticks

LATER = NOW + timedelta(hours=1)


def made(path: Path, ticks: int) -> Path:
    with opened(path) as store:
        write_ticks(store, ticks)
        store.end_session(session_end(ticks))
    return path


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_run_on_an_old_database_is_preceded_by_a_backup_and_old_ones_are_pruned(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    options = replace(OPTIONS, backups_kept=2)
    for day in range(5):
        StateManager.open(path, options, now=partial(NOW.__add__, timedelta(days=day))).close()
        folder = backups_folder(path)
        assert folder.exists() == (day > 0)  # a new database has nothing to lose
        if day == 1:
            (folder / "neo-20260101T000000.000000Z.db.part").write_text("broken off", encoding="utf-8")
    assert names(backups_folder(path)) == [
        "neo-20261123T220000.000000Z.db",
        "neo-20261124T220000.000000Z.db",
    ]


def test_a_pre_run_backup_holds_what_was_there_before_the_run(tmp_path: Path) -> None:
    path = made(tmp_path / "neo.db", 20)
    before = everything(path)
    with opened(path, replace(OPTIONS, backups_kept=1)) as store:
        write_ticks(store, 5)
    (copy,) = backups_folder(path).iterdir()
    assert everything(copy) == before


def test_a_backup_beside_a_running_engine_holds_every_committed_tick(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with opened(path) as store:
        write_ticks(store, 50)
        copy = backup(path, tmp_path / "copy.db", NOW)
        write_ticks(store, 60, start=51)
        own = backup(path, None, NOW)
    assert one(copy, "SELECT count(*) FROM ticks") == 50
    assert one(own, "SELECT count(*) FROM ticks") == 60
    assert own == tmp_path / "neo.db.backups" / "manual-20261120T220000.000000Z.db"
    assert one(copy, "PRAGMA journal_mode") == "delete"
    assert wal_bytes(path) == 0


def test_a_backup_never_overwrites_and_names_what_is_no_database(tmp_path: Path) -> None:
    path = made(tmp_path / "neo.db", 3)
    taken = tmp_path / "taken.db"
    taken.write_text("mine", encoding="utf-8")
    with pytest.raises(StateError, match=r"taken\.db: exists already"):
        backup(path, taken, NOW)
    assert taken.read_text(encoding="utf-8") == "mine"
    with pytest.raises(StateError, match="no such folder"):
        backup(path, tmp_path / "no" / "copy.db", NOW)
    with pytest.raises(StateError, match="no such file"):
        backup(tmp_path / "none.db", None, NOW)
    with pytest.raises(StateError, match="is not a database"):
        backup(taken, tmp_path / "copy.db", NOW)
    assert not (tmp_path / "copy.db").exists()


def test_a_restore_brings_the_backup_back_and_keeps_what_it_replaced(tmp_path: Path) -> None:
    path = made(tmp_path / "neo.db", 20)
    copy = backup(path, tmp_path / "copy.db", NOW)
    old = everything(path)
    made(path, 30)
    new = everything(path)
    kept = restore(path, copy, LATER)
    assert everything(path) == old
    assert kept is not None
    assert everything(kept) == new
    with opened(path) as store:  # and it is a database to run on
        write_ticks(store, 3)


def leave_wal(path: Path) -> bytes:
    """Leave what a killed process leaves: the database with a WAL of commits beside it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("UPDATE sessions SET halt_detail = 'in the WAL only'")
        wal, main = Path(f"{path}-wal").read_bytes(), path.read_bytes()
    path.write_bytes(main)
    Path(f"{path}-wal").write_bytes(wal)
    return wal


def test_a_restore_plays_no_left_over_wal_into_the_restored_database(tmp_path: Path) -> None:
    path = made(tmp_path / "neo.db", 20)
    copy = backup(path, tmp_path / "copy.db", NOW)
    old = everything(path)
    leave_wal(path)
    kept = restore(path, copy, LATER)
    assert wal_bytes(path) == 0
    assert everything(path) == old
    assert kept is not None
    assert one(kept, "SELECT halt_detail FROM sessions") == "in the WAL only"


def test_a_restore_to_a_new_place_works_and_keeps_nothing(tmp_path: Path) -> None:
    copy = backup(made(tmp_path / "neo.db", 5), tmp_path / "copy.db", NOW)
    assert restore(tmp_path / "other.db", copy, LATER) is None
    assert everything(tmp_path / "other.db") == everything(tmp_path / "neo.db")


def test_a_restore_over_a_damaged_database_keeps_its_bytes(tmp_path: Path) -> None:
    path = made(tmp_path / "neo.db", 5)
    copy = backup(path, tmp_path / "copy.db", NOW)
    old = everything(path)
    wal = leave_wal(path)
    path.write_bytes(b"no database any more")
    kept = restore(path, copy, LATER)
    assert kept is not None
    assert kept.read_bytes() == b"no database any more"
    assert Path(f"{kept}-wal").read_bytes() == wal
    assert wal_bytes(path) == 0
    assert everything(path) == old


def damaged(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for page in range(8, len(data) // 4096):
        data[page * 4096 : page * 4096 + 16] = b"\xff" * 16
    path.write_bytes(data)


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("DROP TABLE schema_migrations")


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES (99, 'later', 'ff', 'then')")
        connection.commit()


def pointing_nowhere(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE ticks SET session_id = 99, id = 99 << 32 | tick")
        connection.commit()


def text(path: Path) -> None:
    path.write_text("a text file", encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (damaged, "damaged|SQLITE_CORRUPT"),
        (foreign, "another program"),
        (newer, "newer NEO"),
        (pointing_nowhere, "point nowhere"),
        (text, "is not a database"),
        (Path.unlink, "no such file"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_bad_source_is_refused_and_the_target_is_untouched(
    tmp_path: Path, spoil: object, message: str
) -> None:
    path = made(tmp_path / "neo.db", 60)
    copy = backup(path, tmp_path / "copy.db", NOW)
    assert callable(spoil)
    spoil(copy)
    before = path.read_bytes()
    with pytest.raises(StateError, match=rf"copy\.db.*({message})"):
        restore(path, copy, LATER)
    assert path.read_bytes() == before
    assert not backups_folder(path).exists()
    assert not list(tmp_path.glob("*.part"))
    with opened(path):  # the lock is free again
        pass


def test_a_restore_is_refused_while_an_engine_runs_and_onto_itself(tmp_path: Path) -> None:
    path = made(tmp_path / "neo.db", 5)
    copy = backup(path, tmp_path / "copy.db", NOW)
    with opened(path), pytest.raises(StateError, match=r"neo\.db: in use by process \d+"):
        restore(path, copy, LATER)
    with pytest.raises(StateError, match="is the database itself"):
        restore(path, path, LATER)
    assert rows(path, "SELECT session_id FROM sessions") == [(1,), (2,)]
