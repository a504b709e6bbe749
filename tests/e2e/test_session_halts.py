"""Every end has one typed reason, told the same way by the exit code, the JSON and the database."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.helpers import (
    CUT,
    EMBEDDED,
    TRACEBACK,
    Done,
    check_database,
    engine,
    finish,
    last_session,
    recorded_lines,
    rows,
    run,
    session,
    session_command,
    start,
    started_session,
    wait_for,
    write_config,
    write_recording,
)

ANSWER_SECONDS = 10.0  # a stop between two ledgers is taken up within a quarter of a second; the rest is load


def check_end(db: Path, done: Done, reason: str, code: int, detail: str) -> None:
    """The reason, its code and the numbers (a pattern) stand in every place where they are promised."""
    assert TRACEBACK not in done.err
    printed, stored = done.json, last_session(db)
    assert (done.code, printed["exit_code"]) == (code, code), done.err
    assert stored["state"]["halt.reason"] == stored["halt_reason"] == printed["halt_reason"] == reason
    assert stored["state"]["halt.detail"] == stored["halt_detail"] == printed["halt_detail"]
    assert re.search(detail, stored["halt_detail"]), stored["halt_detail"]
    assert stored["ended_at"] >= stored["started_at"]
    assert stored["ticks"] == printed["ticks"]
    wal = Path(f"{db}-wal")
    assert not wal.exists() or wal.stat().st_size == 0
    check_database(db)


def check_clean_run_after(db: Path) -> None:
    """The next session shows nothing of the last one's end."""
    check_end(db, session(db), "recording_ended", 0, "^no further ledger$")
    assert "inventory_drift_at_shutdown" not in last_session(db)["state"]


def test_a_timed_session_ends_when_its_time_is_over(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    done = session(db, duration="2m")
    check_end(db, done, "duration_elapsed", 0, r"^1[2-9]\d s of market time$")
    first, last = rows(db, "SELECT market_start, market_end FROM sessions")[0]
    assert first < last


def test_a_session_longer_than_its_recording_ends_with_it(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    check_end(db, session(db), "recording_ended", 0, "^no further ledger$")


RISK_LIMITS = {
    # The paper account starts with 100 XRP and 220 RLUSD (config/paper.yaml).
    "risk_xrp_exposure": ({"risk__max_xrp_exposure": 99}, r"^100 XRP held \(risk.max_xrp_exposure 99\)"),
    "risk_rlusd_exposure": (
        {"risk__max_rlusd_exposure": 219.5},
        r"^220 RLUSD held \(risk.max_rlusd_exposure 219.5\)",
    ),
    "risk_max_loss": (
        {"risk__max_loss_rlusd": 0.000001},
        r"^session P&L -0\.\d+ RLUSD \(risk.max_loss_rlusd 0.000001\)",
    ),
    "risk_max_loss of the day": (
        {"risk__max_daily_loss_rlusd": 0.000001},
        r"^P&L -0\.\d+ RLUSD in this UTC day \(risk.max_daily_loss_rlusd 0.000001\)",
    ),
    "risk_max_drawdown": (
        {"risk__max_drawdown_pct": 0.01},
        r"^drawdown 0\.\d+ % from a peak of 43\d\.\d+ RLUSD \(risk.max_drawdown_pct 0.01\)",
    ),
}


@pytest.mark.parametrize("reason", RISK_LIMITS)
def test_a_crossed_limit_halts_and_the_next_session_knows_nothing_of_it(tmp_path: Path, reason: str) -> None:
    changes, detail = RISK_LIMITS[reason]
    db = tmp_path / "neo.db"
    halted = reason.split()[0]
    check_end(db, session(db, config=write_config(tmp_path, **changes)), halted, 4, detail)
    check_clean_run_after(db)


def malformed(lines: list[bytes]) -> list[bytes]:
    return [line[:100] if 20 <= place < 26 else line for place, line in enumerate(lines)]


def silent(lines: list[bytes]) -> list[bytes]:
    """From ledger 20 on everything is 90 s later."""
    return [later(line, 90) if place >= 20 else line for place, line in enumerate(lines)]


def later(line: bytes, seconds: int) -> bytes:
    content = json.loads(line)
    content["ledger"]["ledger_time"] += seconds
    return json.dumps(content).encode()


def lost(lines: list[bytes]) -> list[bytes]:
    """Ledger 20 is missing, and the server never says again what the book looks like."""
    return [*lines[:20], *(unchecked(line) for line in lines[21:])]


def unchecked(line: bytes) -> bytes:
    content = json.loads(line)
    for name in ("asks", "bids", "amm", "accounts"):
        content.pop(name, None)
    return json.dumps(content).encode()


FEED_TROUBLE: dict[str, tuple[Callable[[list[bytes]], list[bytes]], str]] = {
    "risk_rpc_failure": (malformed, r"^5 faulty messages in a row \(risk.max_feed_failures 5\)"),
    "risk_stale_ledger": (silent, r"^no validated ledger for 60 s \(risk.stale_halt_seconds 60\)"),
    "risk_gateway_unhealthy": (
        lost,
        r"^15 ledgers in a row with untrusted data \(risk.max_unhealthy_ticks 15\); last: \w+",
    ),
}


@pytest.mark.parametrize("reason", FEED_TROUBLE)
def test_a_feed_that_cannot_be_trusted_halts(tmp_path: Path, reason: str) -> None:
    spoil, detail = FEED_TROUBLE[reason]
    db = tmp_path / "neo.db"
    recording = write_recording(tmp_path / "bad.jsonl", spoil(recorded_lines(CUT)))
    check_end(db, session(db, recording=recording), reason, 4, detail)
    check_clean_run_after(db)


def test_nothing_is_placed_while_the_feed_cannot_be_trusted(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    recording = write_recording(tmp_path / "bad.jsonl", lost(recorded_lines(CUT)))
    session(db, recording=recording)
    after_the_gap = "SELECT quoting, placed FROM ticks WHERE kind = 'ledger' AND ledger_index > 966"
    found = rows(db, after_the_gap)
    assert found
    assert set(found) == {("none", 0)}


def by_file(db: Path, _process: subprocess.Popen[str]) -> None:
    db.with_name(db.name + ".kill").write_text("the price looks wrong\n", encoding="utf-8")


def by_empty_file(db: Path, _process: subprocess.Popen[str]) -> None:
    db.with_name(db.name + ".kill").touch()


def by_command(db: Path, process: subprocess.Popen[str]) -> None:
    done = engine("kill", "--db", db, "--reason", "the price looks wrong")
    assert done.code == 0
    assert f"process {process.pid} (session 1)" in done.out


def by_signal(_db: Path, process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGUSR1)


@pytest.mark.parametrize(
    ("pull", "detail"),
    [
        (by_file, "^file: the price looks wrong"),
        (by_empty_file, "^file: kill file found"),
        (by_command, "^file: the price looks wrong"),
        (by_signal, "^signal SIGUSR1"),
    ],
)
def test_the_kill_switch_pulls_every_order_within_seconds(
    tmp_path: Path, pull: Callable[[Path, subprocess.Popen[str]], None], detail: str
) -> None:
    db = tmp_path / "neo.db"
    process = started_session(db, recording=EMBEDDED, speed="60", ticks=20)
    pull(db, process)
    asked = time.monotonic()
    done = finish(process, 20)
    assert time.monotonic() - asked < ANSWER_SECONDS
    check_end(db, done, "kill_switch", 4, detail)
    assert not db.with_name(db.name + ".kill").exists()
    check_clean_run_after(db)


def test_a_kill_between_two_ledgers_does_not_wait_for_the_next(tmp_path: Path) -> None:
    """At real speed ledgers are some four seconds apart, and cancels are confirmed by a ledger."""
    db = tmp_path / "neo.db"
    process = started_session(db, speed="real", ticks=1)
    by_command(db, process)
    done = finish(process, 20)
    check_end(db, done, "kill_switch", 4, "^file: the price looks wrong")
    assert rows(db, "SELECT kind FROM ticks ORDER BY tick DESC LIMIT 2") == [("end",), ("silence",)]


def test_a_kill_file_that_lies_there_halts_the_next_session_at_once(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    session(db)
    told = engine("kill", "--db", db)
    assert "no engine runs" in told.out
    check_end(db, session(db), "kill_switch", 4, "^file: operator")
    assert rows(db, "SELECT count(*) FROM orders WHERE session_id = 2") == [(0,)]
    check_clean_run_after(db)


SIGNALS = {
    signal.SIGINT: ("interrupted_sigint", 130),
    signal.SIGTERM: ("interrupted_sigterm", 143),
}


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_the_session_in_order(tmp_path: Path, number: signal.Signals) -> None:
    reason, code = SIGNALS[number]
    db = tmp_path / "neo.db"
    process = started_session(db, recording=EMBEDDED, speed="60", ticks=20)
    process.send_signal(number)
    check_end(db, finish(process, 20), reason, code, f"^signal {number.name}$")
    check_clean_run_after(db)


def test_further_signals_hurry_the_end_and_change_neither_reason_nor_code(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    process = started_session(db, speed="30", ticks=13)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        process.send_signal(number)
        time.sleep(0.02)
    check_end(db, finish(process, 20), "interrupted_sigint", 130, "^signal SIGINT$")


def test_a_signal_while_the_database_is_being_opened_is_not_lost(tmp_path: Path) -> None:
    """The lock file is the first thing a session makes, long before it stores a tick."""
    db = tmp_path / "neo.db"
    process = start_until_lock(db)
    process.send_signal(signal.SIGTERM)
    check_end(db, finish(process, 20), "interrupted_sigterm", 143, "^signal SIGTERM$")


def start_until_lock(db: Path) -> subprocess.Popen[str]:
    process = start(session_command(db, speed="60", recording=EMBEDDED))
    wait_for("the lock file", db.with_name(db.name + ".lock").exists)
    return process


BROKEN_TICK = """
import sys
from pathlib import Path

from neo_engine.bootstrap import SessionOptions, run_session
from neo_engine.config import load_config
from neo_engine.domain.errors import InvariantViolation
from neo_engine.domain.halt import exit_code
from neo_engine.ops.clock import SystemClock
from neo_engine.ops.logs import setup_logging
from neo_engine.tick import decide

ERRORS = {"ZeroDivisionError": ZeroDivisionError, "InvariantViolation": InvariantViolation}
db, config, recording, speed, name = sys.argv[1:]


def broken(state, seen, config, now):
    if state.tick == 20:
        raise ERRORS[name]("made up")
    return decide(state, seen, config, now)


setup_logging("INFO", quiet=False)
result = run_session(
    SessionOptions(
        config=load_config(Path(config)),
        db=Path(db),
        mode="paper",
        feed="recorded",
        recording=Path(recording),
        speed=speed,
        seed=1,
        duration_seconds=None,
        on_tick=lambda view: None,
        decide=broken,
    ),
    SystemClock(),
)
sys.exit(exit_code(result.halt.reason))
"""


@pytest.mark.parametrize("speed", ["max", "1000000"])
@pytest.mark.parametrize("name", ["ZeroDivisionError", "InvariantViolation"])
def test_a_defect_in_a_tick_is_an_unexpected_halt_with_its_type_and_place(
    tmp_path: Path, paper_yaml: str, name: str, speed: str
) -> None:
    db, script, config = tmp_path / "neo.db", tmp_path / "broken.py", tmp_path / "paper.yaml"
    script.write_text(BROKEN_TICK, encoding="utf-8")
    config.write_text(paper_yaml, encoding="utf-8")
    done = run([script, db, config, CUT, speed, name])
    assert done.code == 1, done.err
    assert TRACEBACK in done.err  # in the log: a defect must be found
    stored = last_session(db)
    assert stored["halt_reason"] == stored["state"]["halt.reason"] == "unexpected_halt"
    assert stored["halt_detail"].startswith(f"{name}: made up (broken.py:")
    assert stored["ticks"] == 20
    check_database(db)
    check_clean_run_after(db)
