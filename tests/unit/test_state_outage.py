"""The state manager while its file is gone or may not be written: nothing half there, nothing lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from neo_engine.domain.errors import StateError
from neo_engine.state.backup import restore
from tests.e2e.helpers import rows
from tests.unit.state_fixture import fixed_now, opened, stream, write_ticks


def ticks(db: Path) -> int:
    return int(rows(db, "SELECT count(*) FROM ticks")[0][0])


def test_a_database_that_may_not_be_written_is_an_outage_until_it_may(tmp_path: Path) -> None:
    """SQLITE_READONLY, as a file system gives it that was mounted read-only under the session."""
    db = tmp_path / "neo.db"
    with opened(db) as store:
        write_ticks(store, 5)
        store._connection.execute("PRAGMA query_only = ON")
        for intent, _outcome in list(stream(6))[5:]:
            with pytest.raises(StateError, match=r"SQLITE_READONLY.*make the file and its folder writable"):
                store.commit_intent(intent)
        assert ticks(db) == 5
        store._connection.execute("PRAGMA query_only = OFF")
        write_ticks(store, 8, start=6)
        assert ticks(db) == 8
    assert rows(db, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_nothing_is_written_into_a_file_that_was_moved_and_all_of_it_once_it_is_back(
    suffix: str, tmp_path: Path
) -> None:
    db = tmp_path / "neo.db"
    file, away = Path(f"{db}{suffix}"), tmp_path / "away"
    with opened(db) as store:
        write_ticks(store, 5)
        file.rename(away)
        with pytest.raises(StateError, match="the file is gone"):
            write_ticks(store, 6, start=6)
        away.rename(file)
        write_ticks(store, 8, start=6)
    assert ticks(db) == 8
    assert rows(db, "PRAGMA integrity_check") == [("ok",)]
    assert list(tmp_path.glob("*.rescued-*")) == []


def test_a_copy_put_in_its_place_is_another_file(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    with opened(db) as store:
        write_ticks(store, 5)
        content = db.read_bytes()
        db.rename(tmp_path / "away")
        db.write_bytes(content)
        with pytest.raises(StateError, match="moved, deleted or replaced"):
            write_ticks(store, 6, start=6)


def test_a_database_that_is_closed_without_its_file_is_rescued_whole_and_restored(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    with opened(db) as store:
        write_ticks(store, 7)
        db.unlink()
    (rescued,) = tmp_path.glob("neo.db.rescued-*")
    assert ticks(rescued) == 7
    assert rows(rescued, "PRAGMA integrity_check") == [("ok",)]
    for left in ("-wal", "-shm"):
        Path(f"{db}{left}").unlink(missing_ok=True)
    restore(db, rescued, fixed_now())
    assert ticks(db) == 7
