"""One engine a database and one an account, by locks that die with their process."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from neo_engine.domain.errors import StateError
from neo_engine.state.lock import InstanceLock, account_lock_path, database_lock_path, holder, lock_folder
from neo_engine.state.manager import StateManager
from tests.unit.state_fixture import OPTIONS, opened, python

HOLD = """
import sys
from msgspec.structs import replace
from pathlib import Path
from benchmarks.state_workload import session_start
from neo_engine.state.manager import StateManager
from tests.unit.state_fixture import OPTIONS

account = Path(sys.argv[2]) if len(sys.argv) > 2 else None
store = StateManager.open(Path(sys.argv[1]), replace(OPTIONS, account_lock=account))
store.begin_session(session_start())
print("held", flush=True)
sys.stdin.read()
"""


def holding(*arguments: object) -> subprocess.Popen[str]:
    process = python(HOLD, *arguments)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate(timeout=30)


def test_a_second_engine_is_refused_with_the_first_ones_pid_and_let_in_when_that_is_killed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "neo.db"
    process = holding(path)
    try:
        with pytest.raises(
            StateError, match=rf"neo\.db: in use by process {process.pid} \(since 20.*, session 1\)"
        ):
            StateManager.open(path, OPTIONS)
    finally:
        end(process)
    with opened(path) as store:
        assert store.recovered.sessions == (1,)


def test_a_second_engine_on_the_same_account_is_refused_on_another_database_too(tmp_path: Path) -> None:
    account = account_lock_path(tmp_path / "locks", "rHoSnGKTij3VS5LbxMQfae79pob6A8UaC3", "live")
    process = holding(tmp_path / "one.db", account)
    options = replace(OPTIONS, account_lock=account)
    try:
        with pytest.raises(StateError, match=f"the account: in use by process {process.pid}"):
            StateManager.open(tmp_path / "two.db", options)
        StateManager.open(tmp_path / "two.db", OPTIONS).close()  # its database lock was given back
    finally:
        end(process)
    StateManager.open(tmp_path / "two.db", options).close()


def test_a_link_to_a_database_has_the_same_lock(tmp_path: Path) -> None:
    path, link = tmp_path / "neo.db", tmp_path / "link.db"
    with opened(path):
        link.symlink_to(path)
        assert database_lock_path(link) == database_lock_path(path)
        with pytest.raises(StateError, match="in use"):
            StateManager.open(link, OPTIONS)


def test_the_note_names_process_and_session_and_is_empty_after_release(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    lock = InstanceLock.acquire(path, "x", "2026-11-20T00:00:00Z")
    lock.note_session(7)
    assert holder(path) == {"pid": os.getpid(), "started_at": "2026-11-20T00:00:00Z", "session": 7}
    lock.release()
    lock.release()
    assert holder(path) == {}
    assert path.exists()
    with pytest.raises(StateError, match="given back already"):
        lock.note_session(8)


@pytest.mark.parametrize("note", ["", "{", "[1]", "\x00\x01"])
def test_a_note_that_cannot_be_read_still_refuses(tmp_path: Path, note: str) -> None:
    path = tmp_path / "x.lock"
    lock = InstanceLock.acquire(path, "x", "now")
    path.write_text(note, encoding="utf-8")
    with pytest.raises(StateError, match="x: in use by process unknown"):
        InstanceLock.acquire(path, "x", "now")
    lock.release()


def test_a_lock_file_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(StateError, match=r"a\.lock: the lock file cannot be made"):
        InstanceLock.acquire(tmp_path / "file" / "a.lock", "a", "now")


def test_accounts_and_modes_have_lock_files_of_their_own() -> None:
    folder = lock_folder()
    paths = {account_lock_path(folder, name, mode) for name in ("rA", "../rB") for mode in ("live", "paper")}
    assert len(paths) == 4
    assert {path.parent for path in paths} == {folder}
