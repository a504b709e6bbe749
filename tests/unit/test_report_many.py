"""Many sessions, CSV files, the experiment log; and what bad input is answered with."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal as D
from pathlib import Path

import pytest

from neo_engine.cli import engine_parser
from neo_engine.cli import main as run
from neo_engine.report.choose import between, list_sessions
from neo_engine.report.command import main
from neo_engine.report.several import PARTS, together
from neo_engine.state.lock import InstanceLock, database_lock_path
from neo_engine.state.queries import open_readonly
from neo_engine.state.schema import load_migrations, migrations_folder
from tests.unit.report_fixture import build_small, new_database
from tests.unit.report_rows import insert, session, tick


def engine(arguments: list[str]) -> int:
    """What `python -m neo_engine` does."""
    return run(engine_parser(), arguments)


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """The small session of 2 January, another one of 3 January with an hour, and one without a tick."""
    path = tmp_path / "neo.db"
    build_small(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        session(connection, 2, started_at="2026-01-03T10:00:00.250Z")
        tick(connection, 1, session_id=2, bid="1.99", ask="2.01", mark="2", value="-0.5")
        session(connection, 3, started_at="2026-01-04T00:00:00Z")
    return path


@pytest.fixture
def reader(three: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_readonly(three)) as connection:
        yield connection


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        ("1", "2", (1, 2)),
        ("2", None, (2, 3)),
        (None, "1", (1,)),
        ("2026-01-03", None, (2, 3)),
        (None, "2026-01-03", (1, 2)),  # that day included
        ("2026-01-03T10:00", "2026-01-03T10:00:00Z", (2,)),
        ("2026-01-03T10:00:01", "2026-01-04", (3,)),
    ],
)
def test_sessions_are_chosen_by_number_or_by_time(
    reader: sqlite3.Connection, first: str | None, last: str | None, expected: tuple[int, ...]
) -> None:
    assert between(reader, first, last) == expected


def test_many_sessions_add_up_exactly(reader: sqlite3.Connection) -> None:
    found = together(reader, (1, 2, 3))
    parts = [one.attribution for one in found.sessions if one.attribution is not None]
    assert len(parts) == 2
    for name in PARTS:
        assert found.parts[name] == sum(getattr(one, name) for one in parts)
    assert (found.ticks, found.fills) == (11, 3)
    assert found.markouts[0].fills == 3


def test_the_command_reports_many(three: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--db", str(three), "--from", "1", "--to", "2", "--csv", str(tmp_path / "csv")]) == 0
    out = capsys.readouterr().out
    assert "What 2 sessions earned" in out
    assert max(map(len, out.splitlines())) <= 100
    assert (tmp_path / "csv" / "session_2" / "fills.csv").is_file()
    assert main(["--db", str(three), "--from", "1", "--json"]) == 0
    told = json.loads(
        capsys.readouterr().out, parse_float=lambda text: pytest.fail(f"a binary float: {text}")
    )
    assert [one["session_id"] for one in told["sessions"]] == [1, 2, 3]
    assert told["parts"]["spread_captured"] == "0.65"


def test_csv_files_hold_every_fill_with_its_markouts(three: Path, tmp_path: Path) -> None:
    assert main(["--db", str(three), "--session", "1", "--csv", str(tmp_path / "csv")]) == 0
    with (tmp_path / "csv" / "fills.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["rlusd_balance_delta"] for row in rows] == ["-19.9", "44.44", "22.1100000000001"]
    assert rows[0]["markout_1_bps"] == "50.2513"  # 2 against 1.99
    assert rows[0]["markout_15_bps"] == ""
    with (tmp_path / "csv" / "attribution.csv").open(encoding="utf-8") as file:
        told = {row["figure"]: row["value"] for row in csv.DictReader(file)}
    assert told["total"] == "2.2199151600001"


def test_the_list_is_an_experiment_log(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(three)) as connection, connection:
        connection.execute("UPDATE sessions SET hypothesis = 'wider \u2192 caf\u00e9' WHERE session_id = 2")
    assert engine(["note", "--db", str(three), "--session", "2", "no: \u4e2d fewer fills"]) == 0
    assert engine(["note", "--db", str(three), "--session", "2", "again"]) == 0
    with closing(open_readonly(three)) as connection:
        lines = list_sessions(connection)
    assert [one.profit for one in lines] == [D("2.2199151600001"), D("-0.5"), None]
    assert (lines[1].hypothesis, lines[1].notes) == (
        "wider \u2192 caf\u00e9",
        "no: \u4e2d fewer fills; again",
    )
    capsys.readouterr()
    assert main(["--db", str(three), "--list"]) == 0
    assert "Experiment log" in capsys.readouterr().out
    assert main(["--db", str(three), "--session", "2"]) == 0
    assert "no: \u4e2d fewer fills" in capsys.readouterr().out


def test_a_session_keeps_what_it_is_to_find_out(root: Path, tmp_path: Path) -> None:
    words = ["paper", "--config", str(root / "config" / "paper.yaml"), "--duration", "20s", "--speed", "max"]
    db = tmp_path / "neo.db"
    assert engine([*words, "--db", str(db), "--quiet", "--hypothesis", " wider is calmer "]) == 0
    assert engine([*words, "--db", str(db), "--quiet"]) == 0
    with closing(open_readonly(db)) as connection:
        assert [one.hypothesis for one in list_sessions(connection)] == ["wider is calmer", None]


def test_a_note_waits_for_a_running_engine(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = InstanceLock.acquire(database_lock_path(three), str(three), "now")
    try:
        assert engine(["note", "--db", str(three), "later"]) == 3
    finally:
        lock.release()
    assert "writes it now" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "   ", "x" * 501])
def test_an_empty_or_endless_note_is_refused(three: Path, text: str) -> None:
    with pytest.raises(SystemExit) as left:
        engine(["note", "--db", str(three), text])
    assert left.value.code == 2


def test_a_note_on_no_session_makes_none(three: Path, tmp_path: Path) -> None:
    assert engine(["note", "--db", str(three), "--session", "9", "x"]) == 2
    assert engine(["note", "--db", str(tmp_path / "none.db"), "x"]) == 3
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--from", "7"], "no session from 7 to the last"),
        (["--from", "yesterday"], "give a session's number or a UTC time"),
        (["--from", "1", "--session", "1"], "leave --session"),
        (["--to", "1", "--list"], "leave --session, --list"),
        (["--compare", "1"], "two sessions or more"),
        (["--compare", "1", "9"], "session 9: not in this database"),
        (["--compare", "1", "2", "--csv", "x"], "--csv is of sessions"),
        (["--from", "1", "--plots", "x"], "--plots is of one session"),
        (["--list", "--html", "x"], "--html is of a report"),
        (["--list", "--compare", "1", "2"], "not allowed with"),
        (["--session", "1", "--csv", "FILE/csv"], "cannot be written"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(
    three: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    arguments = [text.replace("FILE", str(three)) for text in arguments]
    assert main(["--db", str(three), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert says in captured.err


@pytest.mark.parametrize("arguments", [["--list"], [], ["--from", "1"], ["--compare", "1", "2"]])
def test_an_older_schema_says_how_to_upgrade(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    path = tmp_path / "old.db"
    with closing(new_database(path)) as connection:
        newest = len(load_migrations(migrations_folder()))
        connection.execute("DELETE FROM schema_migrations WHERE version = ?", (newest,))
    assert main(["--db", str(path), *arguments]) == 3
    assert f"has schema {newest - 1}, this NEO reads {newest}" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--list"], ["--json"], ["--from", "1"]])
def test_a_crashed_session_is_reported_as_far_as_it_got(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    path = tmp_path / "neo.db"
    build_small(path, ended=False)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        insert(connection, "feed_faults", session_id=1, tick=9, kind="Gap", detail="caf\u00e9")
    assert main(["--db", str(path), *arguments]) == 0
    out = capsys.readouterr().out
    assert ('"ended": false' if arguments == ["--json"] else "not closed") in out


def test_a_report_may_run_while_the_engine_writes(three: Path, tmp_path: Path) -> None:
    lock = InstanceLock.acquire(database_lock_path(three), str(three), "now")
    with closing(sqlite3.connect(three, isolation_level=None)) as writer:
        try:
            writer.execute("BEGIN IMMEDIATE")
            tick(writer, 2, session_id=2, bid="1.99", ask="2.01", mark="2")
            assert main(["--db", str(three), "--session", "2", "--html", str(tmp_path / "r.html")]) == 0
            writer.execute("COMMIT")
        finally:
            lock.release()
    assert "of 1 ticks" in (tmp_path / "r.html").read_text(encoding="utf-8")
