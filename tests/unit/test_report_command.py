"""The report's command line: what is printed where, and with which exit code."""

from __future__ import annotations

import io
import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from neo_engine.report.command import main
from neo_engine.report.render_text import WIDTH, print_summary
from neo_engine.report.summary import summarize
from neo_engine.state.queries import open_readonly
from tests.unit.report_fixture import build_small, new_database

RECONCILIATION = (
    "Inventory reconciliation: fills-only=-23 XRP, capital_overlay=103 XRP, engine_total=80 XRP",
    "Inventory reconciliation: fills-only=46.6500000000001 RLUSD, capital_overlay=170 RLUSD, "
    "engine_total=216.6500000000001 RLUSD",
)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "neo.db"
    build_small(path)
    return path


def spoil(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE ticks SET inventory_xrp_drops = 81000000 WHERE tick = 10")
        connection.execute(
            "UPDATE sessions SET halt_detail = ?", ("<b>caf\u00e9 \u4e2d</b> [red]x[/red]\x1b[2J\n",)
        )


def test_the_reconciliation_lines_stand_alone_in_the_text(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--db", str(database)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("Inventory reconciliation")] == list(RECONCILIATION)
    assert any(line.startswith("Report against engine: equal") for line in lines)


def test_the_text_is_plain_and_fits_100_columns_away_from_a_terminal(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--db", str(database)])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert max(len(line) for line in out.splitlines() if line not in RECONCILIATION) <= WIDTH


def test_a_difference_is_an_error_line_with_both_numbers_and_no_failure(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(database)
    assert main(["--db", str(database)]) == 0
    out = capsys.readouterr().out
    assert "ERROR: inventory_base_drops (last tick): report 80000000, engine 81000000" in out
    assert "Report against engine: NOT EQUAL (1 of " in out
    assert main(["--db", str(database), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["agrees"] is False


def test_json_is_one_object_with_money_as_text_and_nothing_else_on_stdout(
    database: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "--db",
        str(database),
        "--json",
        "--html",
        str(tmp_path / "r.html"),
        "--plots",
        str(tmp_path),
    ]
    assert main(arguments) == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out, parse_float=lambda text: pytest.fail(f"a binary float: {text}"))
    assert report["agrees"] is True
    assert report["session_id"] == 1
    assert report["pnl"]["total"] == "2.2199151600001"
    assert report["inventory_reconciliation"] == list(RECONCILIATION)
    assert "written:" in captured.err


def test_a_code_page_without_line_drawing_or_foreign_letters_is_no_error(database: Path) -> None:
    spoil(database)
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="cp1252", errors="backslashreplace")
    with closing(open_readonly(database)) as connection:
        print_summary(summarize(connection, 1), stream)
    stream.flush()
    text = raw.getvalue().decode("cp1252")
    assert "\u2500" not in text
    assert "[red]x[/red]" in text
    assert "\\u4e2d" in text
    assert "\x1b" not in text


def test_a_strict_code_page_is_survived_by_the_command(database: Path, root: Path) -> None:
    spoil(database)
    done = subprocess.run(
        [sys.executable, str(root / "summarize_paper_run.py"), "--db", str(database)],
        capture_output=True,
        env={"PYTHONIOENCODING": "cp1252:strict", "PYTHONPATH": str(root)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Report against engine" in done.stdout.decode("cp1252")


def test_the_html_page_needs_nothing_else_and_escapes_the_database(database: Path, tmp_path: Path) -> None:
    spoil(database)
    page = tmp_path / "report.html"
    assert main(["--db", str(database), "--html", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert "<b>caf" not in text
    assert "&lt;b&gt;caf\u00e9" in text
    assert text.count("<svg ") == 10
    assert not re.search(r'(src|href)="(?!#)|url\((?!#)|@import', text)
    assert "prefers-color-scheme: dark" in text
    assert "<script" not in text


def test_the_list_shows_every_session(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--db", str(database), "--list"]) == 0
    assert "duration_elapsed" in capsys.readouterr().out
    assert main(["--db", str(database), "--list", "--json"]) == 0
    sessions = json.loads(capsys.readouterr().out)["sessions"]
    assert [(one["session_id"], one["ticks"], one["fills"]) for one in sessions] == [(1, 10, 3)]


def make_text(path: Path) -> None:
    path.write_text("no database " * 50, encoding="utf-8")


def make_newer(path: Path) -> None:
    with closing(new_database(path)) as connection:
        connection.execute(
            "INSERT INTO schema_migrations (version, name, sha256, applied_at) VALUES (99, 'later', 'x', 'y')"
        )


def make_empty(path: Path) -> None:
    new_database(path).close()


def make_nothing(path: Path) -> None:
    """The file is missing."""


@pytest.mark.parametrize(
    ("make", "code", "says"),
    [
        (make_nothing, 2, "no such file"),
        (make_empty, 2, "no session yet"),
        (make_text, 3, "is not a database"),
        (Path.touch, 3, "is empty"),
        (make_newer, 3, "newer"),
        (Path.mkdir, 3, "is a folder"),
    ],
)
def test_a_bad_database_is_one_clear_line_and_its_own_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: object, code: int, says: str
) -> None:
    assert callable(make)
    path = tmp_path / "other.db"
    make(path)
    assert main(["--db", str(path)]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert says in captured.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--session", "9"], "session 9: not in this database"),
        (["--session", "last"], "give a number or latest"),
        (["--plots", "FILE/plots"], "cannot be written"),
        (["--html", "FILE/report.html"], "cannot be written"),
        (["--session"], "expected one argument"),
        (["--jso"], "unrecognized arguments"),
    ],
)
def test_a_bad_argument_is_a_usage_error(
    database: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    arguments = [text.replace("FILE", str(database)) for text in arguments]  # a file is no folder
    assert main(["--db", str(database), *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert says in captured.err


def test_a_reader_that_leaves_early_is_no_failure(database: Path, root: Path) -> None:
    with subprocess.Popen(
        [sys.executable, str(root / "summarize_paper_run.py"), "--db", str(database)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PYTHONPATH": str(root)},
    ) as process:
        if process.stdout is None or process.stderr is None:
            pytest.fail("no pipes")
        process.stdout.close()
        errors = process.stderr.read()
        assert process.wait() == 0
    assert errors == b""


def test_a_report_leaves_no_trace_in_the_database(database: Path) -> None:
    before = database.read_bytes()
    main(["--db", str(database), "--json"])
    assert database.read_bytes() == before
