"""The log's JSON lines: fields, bounds, and that a file that cannot be written disturbs nobody."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from neo_engine.config import load_config
from neo_engine.config_sections import LogConfig
from neo_engine.ops import log_file as module
from neo_engine.ops.log_file import RETRY_SECONDS, LogFile, numbered
from neo_engine.ops.logs import (
    MAX_MESSAGE_CHARS,
    MAX_TRACEBACK_CHARS,
    JsonFormatter,
    LogContext,
    close_logging,
    log_path,
    session_logging,
    setup_logging,
)
from tests.conftest import ROOT

LOG = logging.getLogger("neo_engine")
SEED = "snoPBrXtMeMyMHUVTgbuqAfg1SUTb"  # the ledger's own well-known one


@pytest.fixture(autouse=True)
def _logger_as_before() -> Iterator[None]:
    level, propagate = LOG.level, LOG.propagate
    yield
    close_logging()
    LOG.setLevel(level)
    LOG.propagate = propagate


def settings(**changes: Any) -> LogConfig:
    return LogConfig(**{"level": "DEBUG", "file": "auto", "max_bytes": 10_000, "kept_files": 2, **changes})


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def record(text: str, **fields: Any) -> logging.LogRecord:
    made = logging.LogRecord("neo_engine", logging.INFO, "here.py", 1, text, None, None, func="_place")
    made.__dict__.update(fields)
    return made


class Ticking:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


# fields


def test_a_line_has_all_that_is_known_and_nothing_else(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    with session_logging(settings(), db, quiet=True) as context:
        LOG.info("before a session")
        context.begin(7, "XRP/RLUSD")
        context.at(3, 104_545_003)
        LOG.warning(
            "spread %s", "2.5", extra={"event": "spread", "numbers": {"bps": Decimal("2.50"), "levels": 3}}
        )
    first, second = lines(tmp_path / "neo.db.log.jsonl")
    assert set(first) == {"time", "level", "event", "message"}
    assert first["event"] == "test_log_file.test_a_line_has_all_that_is_known_and_nothing_else"
    time = second.pop("time")
    assert len(time) == len("2026-11-20T20:37:00.125Z")
    assert (time[10], time[19], time[-1]) == ("T", ".", "Z")
    assert second == {
        "level": "WARNING",
        "event": "spread",
        "message": "spread 2.5",
        "session": 7,
        "tick": 3,
        "ledger": 104_545_003,
        "pair": "XRP/RLUSD",
        "numbers": {"bps": "2.5", "levels": 3},
    }


def test_the_time_is_utc_with_milliseconds() -> None:
    made = record("x")
    made.created = 1_700_000_000.125
    assert json.loads(JsonFormatter(LogContext()).format(made))["time"] == "2023-11-14T22:13:20.125Z"


def test_a_traceback_is_kept_on_its_line(tmp_path: Path) -> None:
    with session_logging(settings(), tmp_path / "neo.db", quiet=True):
        try:
            int("no number")
        except ValueError:
            LOG.exception("caught")
    (line,) = lines(tmp_path / "neo.db.log.jsonl")
    assert line["traceback"].startswith("Traceback (most recent call last)")
    assert line["traceback"].endswith("ValueError: invalid literal for int() with base 10: 'no number'")


def test_a_long_text_is_cut_and_half_a_surrogate_is_replaced() -> None:
    line = JsonFormatter(LogContext()).format(record("x" * (MAX_MESSAGE_CHARS + 1), event="\ud800"))
    assert json.loads(line)["message"] == "x" * MAX_MESSAGE_CHARS
    assert json.loads(line)["event"] == "?"
    deep = record("x")
    deep.exc_info, deep.exc_text = (ValueError, ValueError(), None), "y" * MAX_TRACEBACK_CHARS + "z"
    told = json.loads(JsonFormatter(LogContext()).format(deep))["traceback"]
    assert (len(told), told[-1]) == (MAX_TRACEBACK_CHARS, "z")


PLANTED = """
import logging, sys
from pathlib import Path
from neo_engine.config import load_config
from neo_engine.ops.logs import session_logging
from neo_engine.ops.secrets import Secret, install_redaction
install_redaction()
seed, quoted = sys.argv[1], 'a "quoted\\\\" secret'
Secret(quoted)
log = logging.getLogger("neo_engine")
config = load_config(Path("config/paper.yaml")).log
with session_logging(config, Path(sys.argv[2]), quiet=False):
    log.warning("seed %s and %s", seed, quoted)
    log.warning("in the fields", extra={"event": quoted, "numbers": {"seed": seed, quoted: 1}})
    try:
        raise ValueError(f"bad {seed} {quoted}")
    except ValueError:
        log.exception("caught")
    log.warning("%d does not fit", seed)
"""


def test_no_field_of_any_line_holds_a_secret(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PLANTED, SEED, str(tmp_path / "neo.db")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "neo.db.log.jsonl").read_text()
    assert len(text.splitlines()) == 4
    for one in (text, done.stderr):
        assert SEED not in one
        assert "quoted" not in one
    first, second, third, fourth = lines(tmp_path / "neo.db.log.jsonl")
    assert first["message"] == "seed <hidden> and <hidden>"
    assert second["numbers"] == {"seed": "<hidden>", "<hidden>": 1}
    assert "bad <hidden> <hidden>" in third["traceback"]
    assert "does not fit" in fourth["message"]


# where, and how much


def test_the_file_is_beside_the_database_or_where_it_is_told_or_nowhere(tmp_path: Path) -> None:
    db, own = tmp_path / "neo.db", tmp_path / "own.jsonl"
    assert log_path(settings().file, db) == tmp_path / "neo.db.log.jsonl"
    assert log_path(settings(file=str(own)).file, db) == own
    assert log_path("none", db) is None
    with session_logging(settings(file="none"), db, quiet=True):
        LOG.warning("on the console alone")
    assert list(tmp_path.iterdir()) == []


def test_quiet_is_for_the_console_and_the_level_for_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with session_logging(settings(level="INFO"), tmp_path / "neo.db", quiet=True):
        LOG.debug("below both")
        LOG.info("for the file")
        LOG.warning("for both")
        LOG.error("told already", extra={"event": "session_failed"})
    told = capsys.readouterr().err
    assert "for both" in told
    assert "for the file" not in told
    assert "told already" not in told
    messages = [line["message"] for line in lines(tmp_path / "neo.db.log.jsonl")]
    assert messages == ["for the file", "for both", "told already"]


def handler(path: Path, *, kept: int, limit: int = 100, clock: Ticking | None = None) -> LogFile:
    made = LogFile(path, max_bytes=limit, kept_files=kept, monotonic=clock or Ticking())
    made.setFormatter(logging.Formatter("%(message)s"))
    return made


@pytest.mark.parametrize("kept", [0, 1, 3])
def test_the_files_together_stay_within_their_bound_and_hold_the_newest_lines(
    tmp_path: Path, kept: int
) -> None:
    path = tmp_path / "log"
    log = handler(path, kept=kept)
    for number in range(100):
        log.emit(record(f"line {number:04}"))  # ten bytes with its end
    log.close()
    files = [path, *(tmp_path / f"log.{number}" for number in range(1, kept + 1))]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert all(one.stat().st_size <= 100 for one in files)
    told = "".join(one.read_text() for one in reversed(files)).splitlines()
    assert told == [f"line {number:04}" for number in range(100 - len(told), 100)]
    assert len(told) == 10 * (kept + 1)


def test_files_beyond_the_count_go_when_the_count_was_lowered(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for number in (1, 2, 3, 9):
        (tmp_path / f"log.{number}").write_text(f"{number}\n")
    (tmp_path / "log.old").write_text("not ours")
    log = handler(path, kept=2)
    for _ in range(11):
        log.emit(record("123456789"))
    log.close()
    assert {number for number, _ in numbered(path)} == {1, 2}
    assert (tmp_path / "log.2").read_text() == "1\n"
    assert (tmp_path / "log.old").exists()


def test_a_line_longer_than_the_limit_is_written_whole(tmp_path: Path) -> None:
    log = handler(tmp_path / "log", kept=1)
    log.emit(record("x" * 500))
    log.close()
    assert (tmp_path / "log").read_text() == "x" * 500 + "\n"


def test_a_file_that_was_moved_or_removed_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = handler(path, kept=1)
    log.emit(record("one"))
    path.rename(tmp_path / "moved")
    log.emit(record("two"))
    path.unlink()
    log.emit(record("three"))
    log.close()
    assert (tmp_path / "moved").read_text() == "one\n"
    assert path.read_text() == "three\n"


def test_a_line_after_a_killed_writer_begins_on_its_own(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("half a li")
    log = handler(path, kept=1)
    log.emit(record("whole"))
    log.close()
    assert path.read_text() == "half a li\nwhole\n"


# when it cannot be written


def test_a_lost_permission_is_told_once_counted_and_tried_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, clock = tmp_path / "gone", Ticking()
    log = handler(folder / "log", kept=1, limit=10_000, clock=clock)
    for _ in range(3):
        log.emit(record("lost"))
        clock.now += RETRY_SECONDS
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert "No such file or directory" in told[0]
    assert log.lost == 3
    folder.mkdir()
    log.emit(record("back"))
    assert log.lost == 0
    assert (folder / "log").read_text() == "3 lines could not be written\nback\n"
    log.close()


def test_between_two_tries_nothing_is_asked_of_the_disk(tmp_path: Path) -> None:
    folder, clock = tmp_path / "gone", Ticking()
    log = handler(folder / "log", kept=1, limit=10_000, clock=clock)
    log.emit(record("lost"))
    folder.mkdir()
    clock.now += RETRY_SECONDS - 0.1
    log.emit(record("too early"))
    assert not (folder / "log").exists()
    clock.now += 0.1
    log.emit(record("in time"))
    assert (folder / "log").read_text().startswith("2 lines")
    log.close()


def test_a_full_disk_tears_one_line_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, room = Ticking(), [4]
    real = os.write

    def write(handle: int, data: bytes) -> int:
        part = data[: room[0]]
        if not part:
            raise OSError(28, "No space left on device")
        return real(handle, part)

    log = handler(tmp_path / "log", kept=1, limit=10_000, clock=clock)
    monkeypatch.setattr(module.os, "write", write)
    log.emit(record("torn line"))
    room[0] = 0
    clock.now += RETRY_SECONDS
    log.emit(record("no byte of it"))
    room[0] = 1_000
    clock.now += RETRY_SECONDS
    log.emit(record("whole"))
    monkeypatch.undo()
    log.close()
    assert (tmp_path / "log").read_text() == "torn\n2 lines could not be written\nwhole\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_real_full_device_disturbs_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    log = handler(Path("/dev/full"), kept=1)
    log.emit(record("lost"))
    log.close()
    assert log.lost == 1
    assert "No space left on device" in capsys.readouterr().err


def test_the_file_is_closed_however_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "neo.db.log.jsonl"
    with pytest.raises(RuntimeError), session_logging(settings(), tmp_path / "neo.db", quiet=True):
        LOG.warning("opened")
        raise RuntimeError("whatever ends it")
    LOG.warning("after it")
    assert [line["message"] for line in lines(path)] == ["opened"]


def test_every_delivered_configuration_logs_beside_the_database() -> None:
    for name in ("paper", "paper_mainnet", "live_stage1", "live_testnet"):
        assert load_config(ROOT / "config" / f"{name}.yaml").log.file == "auto"


def test_a_console_whose_stderr_was_closed_writes_to_the_one_there_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = io.StringIO()
    monkeypatch.setattr("sys.stderr", old)
    logger = setup_logging("INFO", quiet=False)
    logger.info("one")
    monkeypatch.undo()
    logger.info("two")
    assert "one" in old.getvalue()
    assert "two" in old.getvalue()  # still open: what a live view puts in its place must stay there
    old.close()
    logger.info("three")
    close_logging()
    told = capsys.readouterr().err
    assert "three" in told
    assert "two" not in told
