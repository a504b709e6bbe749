"""A session that is killed at any moment loses nothing that it committed, and the next one cleans up."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest

from tests.e2e.helpers import (
    check_database,
    finish,
    last_session,
    rows,
    run,
    session,
    session_command,
    start,
    started_session,
    ticks_stored,
    wait_for,
)
from tools.check_crash import main, one_round


@pytest.mark.parametrize("seed", [1, 2])
def test_kills_at_random_moments_leave_a_whole_database(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    for number in range(1, 5):
        one = one_round(tmp_path / "neo.db", number, dice)
        assert one.problems == (), f"seed {seed}: {one}"


def test_what_a_killed_session_committed_is_a_prefix_of_the_whole_session(tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed.db", tmp_path / "whole.db"
    process = started_session(killed, speed="100", ticks=25)
    process.send_signal(signal.SIGKILL)
    assert finish(process).code == -signal.SIGKILL
    assert session(killed).code == 0
    assert session(whole).code == 0
    links = "SELECT hex(fingerprint) FROM ticks WHERE session_id = ? ORDER BY tick"
    kept = rows(killed, links, 1)
    assert len(kept) >= 25
    assert kept == rows(whole, links, 1)[: len(kept)]
    assert rows(killed, links, 2) == rows(whole, links, 1)
    check_database(killed)


def test_the_next_session_says_what_it_found(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    process = started_session(db, speed="100", ticks=20)
    process.kill()
    finish(process)
    stored = ticks_stored(db)
    command = [argument for argument in session_command(db) if argument != "--json"]
    done = run(command)
    assert done.code == 0
    assert "ended without closing the session" in done.err
    ((reason, detail, ticks),) = rows(
        db, "SELECT halt_reason, halt_detail, ticks FROM sessions WHERE session_id = 1"
    )
    assert reason == "unexpected_halt"
    assert detail.startswith(f"process {process.pid} ended without closing the session; last tick {stored},")
    assert ticks == stored
    assert last_session(db)["halt_reason"] == "recording_ended"
    assert last_session(db)["state"]["halt.reason"] == "recording_ended"
    check_database(db)


def test_orders_of_a_killed_paper_session_are_closed_with_their_reason(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    process = started_session(db, speed="100", ticks=20)
    process.kill()
    finish(process)
    open_then = rows(
        db, "SELECT id FROM orders WHERE status NOT IN ('FILLED', 'CANCELED', 'EXPIRED', 'REJECTED')"
    )
    assert open_then
    assert session(db).code == 0
    closed = rows(db, "SELECT id FROM orders WHERE failure_reason = 'session died' AND status = 'CANCELED'")
    assert closed == open_then


def test_a_kill_in_the_middle_of_a_second_session_leaves_the_first_as_it_was(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    assert session(db).code == 0
    first = rows(db, "SELECT * FROM sessions WHERE session_id = 1")
    ticks = rows(db, "SELECT * FROM ticks WHERE session_id = 1")
    process = start(session_command(db, speed="200", seed=3))
    wait_for("ticks of the second session", lambda: ticks_stored(db) > len(ticks) + 5)
    process.kill()
    finish(process)
    assert session(db).code == 0
    assert rows(db, "SELECT * FROM sessions WHERE session_id = 1") == first
    assert rows(db, "SELECT * FROM ticks WHERE session_id = 1") == ticks
    check_database(db)


def test_the_tool_prints_a_line_for_each_kill_and_its_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--kills", "1", "--seed", "5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[-1] == "seed 5: 1 kills, 0 failed"
