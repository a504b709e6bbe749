"""Runs the real programs on real files and looks at what they left.

Every process gets a time limit, so a program that hangs is a failed test and never a hanging one.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from neo_engine.bootstrap import EMBEDDED_RECORDING
from neo_engine.cli import main
from tools.check_crash import problems

ROOT = Path(__file__).resolve().parents[2]
CUT = ROOT / "tests" / "data" / "calm_cut.jsonl.gz"
EMBEDDED = EMBEDDED_RECORDING
TIME_LIMIT_SECONDS = 60.0  # a whole recording takes about 2 s; the rest is a busy machine
TRACEBACK = "Traceback (most recent call last)"

Argument = str | Path | int


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A program that ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """stdout as one JSON object; anything else on it fails the test."""
        document = json.loads(self.out, parse_float=Decimal)
        assert isinstance(document, dict)
        return document

    def error(self, code: int) -> str:
        """The one line on stderr of a refusal with exit code `code`."""
        assert self.code == code, (self.code, self.out, self.err)
        lines = self.err.splitlines()
        assert TRACEBACK not in self.err
        assert self.out == ""
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: ")
        return lines[0]


def environment() -> dict[str, str]:
    """The environment of a user who stands in the project's folder, on a narrow plain terminal."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100", "NO_COLOR": "1"}


def start(program: Sequence[Argument], **popen: Any) -> subprocess.Popen[str]:
    """Start `python program...` with its output caught."""
    return subprocess.Popen(
        [sys.executable, *map(str, program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        **popen,
    )


def finish(process: subprocess.Popen[str], seconds: float = TIME_LIMIT_SECONDS) -> Done:
    """Wait for a program; one that does not end in time is killed and fails the test."""
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"still running after {seconds} s: {process.args!r}\n{err[-2000:]}") from None
    return Done(code=process.returncode, out=out, err=err)


def run(program: Sequence[Argument], **popen: Any) -> Done:
    """Run `python program...` to its end."""
    return finish(start(program, **popen))


def in_process(
    capsys: pytest.CaptureFixture[str], parser: argparse.ArgumentParser, arguments: Sequence[Argument]
) -> Done:
    """Run a command inside the test's own process: for the many that are refused before they begin."""
    try:
        code = main(parser, [*map(str, arguments)])
    except SystemExit as left:
        code = int(left.code or 0)
    said = capsys.readouterr()
    return Done(code=code, out=said.out, err=said.err)


def session_command(
    db: Path,
    *,
    config: Path | None = None,
    recording: Path | None = None,
    duration: str = "1d",
    speed: str = "max",
    seed: int = 1,
) -> list[Argument]:
    """The arguments of a paper session that prints JSON; duration 1d: until the recording ends."""
    return [
        ROOT / "run_paper_session.py",
        *("--config", config or ROOT / "config" / "paper.yaml"),
        *("--recording", recording or CUT),
        *("--duration", duration, "--speed", speed, "--seed", seed, "--db", db, "--json"),
    ]


def session(db: Path, **choices: Any) -> Done:
    """Run a paper session to its end."""
    return run(session_command(db, **choices))


def engine(*arguments: Argument, **popen: Any) -> Done:
    """Run `python -m neo_engine VERB ...` to its end."""
    return run(["-m", "neo_engine", *arguments], **popen)


def report(db: Path, *arguments: Argument) -> dict[str, Any]:
    """The report of a session as JSON."""
    done = run([ROOT / "summarize_paper_run.py", "--db", db, "--json", *arguments])
    assert done.code == 0, done.err
    return done.json


def write_config(folder: Path, **changes: object) -> Path:
    """Write config/paper.yaml with changed keys; `risk__max_loss_rlusd=1` means risk.max_loss_rlusd."""
    content = yaml.safe_load((ROOT / "config" / "paper.yaml").read_text(encoding="utf-8"))
    for path, value in changes.items():
        *sections, key = path.split("__")
        place = content
        for name in sections:
            place = place[name]
        place[key] = value
    target = folder / "changed.yaml"
    target.write_text(yaml.safe_dump(content), encoding="utf-8")
    return target


def recorded_lines(source: Path) -> list[bytes]:
    """The lines of a recording: the header, then one a ledger."""
    with gzip.open(source) as file:
        return file.read().splitlines()


def write_recording(path: Path, lines: Sequence[bytes]) -> Path:
    """Write lines as a plain recording."""
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def rows(db: Path, query: str, *values: object) -> list[tuple[Any, ...]]:
    """Ask the database read-only, as any outside program may."""
    with closing(sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
        return connection.execute(query, values).fetchall()


def last_session(db: Path) -> dict[str, Any]:
    """The newest row of `sessions`, and engine_state's words on the halt."""
    with closing(sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
        connection.row_factory = sqlite3.Row
        row = connection.execute("SELECT * FROM sessions ORDER BY session_id DESC LIMIT 1").fetchone()
        state = dict(connection.execute("SELECT key, value FROM engine_state").fetchall())
    return {**dict(row), "state": state}


def wait_for(what: str, true: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait until `true()`; fail naming `what` when it does not come in time."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"waited {seconds} s in vain: {what}"
        time.sleep(0.01)


def ticks_stored(db: Path) -> int:
    """How many ticks are on disk; 0 while the database is being made."""
    if not db.exists():
        return 0
    try:
        return int(rows(db, "SELECT count(*) FROM ticks")[0][0])
    except sqlite3.OperationalError:
        return 0  # the first migration has not been committed yet


def started_session(db: Path, *, ticks: int = 15, **choices: Any) -> subprocess.Popen[str]:
    """Start a session and return once it has stored `ticks` more ticks, its first orders among them."""
    before = ticks_stored(db)
    process = start(session_command(db, **choices))
    wait_for(
        f"{ticks} ticks in {db}", lambda: process.poll() is not None or ticks_stored(db) >= before + ticks
    )
    assert process.poll() is None, process.communicate()
    return process


def check_database(db: Path) -> None:
    """What must hold in any database at rest, whatever happened to the programs that wrote it."""
    assert problems(db) == []


def all_rows(db: Path) -> dict[str, list[dict[str, Any]]]:
    """Every table's rows but `sessions`, engine_state and migrations, without what names a run.

    Left out: the session's id and the database's own numbering, which continue over sessions, and the
    times of the wall clock (`capital_events.created_at`).
    """
    tables = {}
    with closing(sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        for name in ROW_TABLES:
            found = connection.execute(f"SELECT * FROM {name} ORDER BY rowid").fetchall()
            tables[name] = [
                {key: row[key] for key in row.keys() if key not in RUN_COLUMNS.get(name, ())}  # noqa: SIM118
                for row in found
            ]
    return tables


ROW_TABLES = (
    "ticks",
    "market_snapshots",
    "orders",
    "submissions",
    "upkeep",
    "fills",
    "inventory_ledger",
    "capital_events",
    "feed_faults",
    "reconciliations",
    "monitor_readings",
)
RUN_COLUMNS = {"capital_events": ("created_at",)}
