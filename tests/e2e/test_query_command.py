"""`query` as a user types it: every question on a real session, and everything that must be refused."""

from __future__ import annotations

import csv
import io
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from neo_engine.cli import engine_parser
from neo_engine.report.questions import load_questions
from tests.e2e.helpers import Argument, Done, all_rows, engine, in_process, report, session, write_config
from tests.unit.report_fixture import new_database

NAMES = [one.name for one in load_questions()]
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sessions, the second with another offset."""
    folder = tmp_path_factory.mktemp("asked")
    path = folder / "neo.db"
    assert session(path, duration="5m").code == 0
    assert session(path, config=write_config(folder, strategy__base_offset_bps=2.5)).code == 0
    return path


@pytest.fixture
def ask(db: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def asked(*arguments: Argument, file: Path = db) -> Done:
        return in_process(capsys, engine_parser(), ["query", *arguments, "--db", file])

    return asked


def records(done: Done) -> list[dict[str, Any]]:
    assert done.code == 0, done.err
    answer = done.json
    return [dict(zip(answer["columns"], row, strict=True)) for row in answer["rows"]]


@pytest.mark.parametrize("name", NAMES)
def test_every_question_has_an_answer_and_changes_nothing(db: Path, ask: Any, name: str) -> None:
    before = all_rows(db)
    done = ask(name)
    assert (done.code, done.err) == (0, "")
    assert len(done.out.splitlines()) >= 3  # head, line, a row
    assert len(records(ask(name, "--json", "--session", "2"))) >= 1
    assert all_rows(db) == before


def test_the_answers_are_the_reports_own_numbers(db: Path, ask: Any) -> None:
    """The report keeps its books by other code, exactly."""
    told = report(db, "--session", "2")
    (pnl,) = records(ask("pnl", "--json"))
    for key, name in (
        ("total", "total_rlusd"),
        ("realised", "realised_rlusd"),
        ("unrealised", "unrealised_rlusd"),
        ("account_value", "account_value_rlusd"),
    ):
        assert float(pnl[name]) == pytest.approx(float(told["pnl"][key]), abs=1e-9)
    hours = records(ask("pnl-by-hour", "--json"))
    assert sum(float(row["earned_rlusd"]) for row in hours) == pytest.approx(float(told["pnl"]["total"]))
    fills = records(ask("fills", "--json"))
    assert sum(row["fills"] for row in fills) == told["fills"]["count"]
    assert sum(float(row["xrp"]) for row in fills) == pytest.approx(float(told["fills"]["volume_xrp"]))
    assert sum(row["fees_drops"] for row in records(ask("fees", "--json"))) == told["pnl"]["fees_drops"]
    touch = {row["side"]: row for row in records(ask("touch", "--json"))}
    for side in told["touch"]:
        mine = touch[side["side"]]
        assert mine["ticks"] == side["measured_ticks"]
        assert float(mine["within_2bps_pct"]) == pytest.approx(
            100 * side["within_2bps"] / side["measured_ticks"]
        )
    assert sum(row["ticks"] for row in records(ask("uptime", "--json"))) == told["facts"]["ticks"]


def test_markouts_are_what_fills_and_snapshots_give_without_the_view(db: Path, ask: Any) -> None:
    """Recomputed exactly from the raw rows: the mid of exactly so many ledgers later, in the same session."""
    with sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True) as connection:
        mids = {
            (session_id, ledger): (Decimal(bid) + Decimal(ask_)) / 2
            for session_id, ledger, bid, ask_ in connection.execute(
                "SELECT t.session_id, t.ledger_index, m.best_bid, m.best_ask FROM ticks t "
                "JOIN market_snapshots m ON m.id = t.id WHERE t.kind = 'ledger'"
            )
            if bid is not None and ask_ is not None
        }
        fills = connection.execute("SELECT id, session_id, ledger_index, side, price FROM fills").fetchall()
    connection.close()
    expected = {}
    for key, session_id, ledger, side, text in fills:
        for ledgers in (1, 2, 5, 15, 60):
            mid, price, sign = (
                mids.get((session_id, ledger + ledgers)),
                Decimal(text),
                1 if side == "buy" else -1,
            )
            expected[key, ledgers] = None if mid is None else sign * (mid - price) / price * 10_000
    rows = records(ask("SELECT fill_id, ledgers, markout_bps FROM v_markouts", "--json"))
    found = {(row["fill_id"], row["ledgers"]): row["markout_bps"] for row in rows}
    assert found.keys() == expected.keys()
    assert any(value is None for value in expected.values())
    for place, value in expected.items():
        told = found[place]
        assert (told is None) == (value is None), place
        assert value is None or float(told) == pytest.approx(float(value), abs=1e-6)


def test_the_changed_setting_is_the_one_that_was_changed(ask: Any) -> None:
    assert records(ask("settings-changed", "--json")) == [
        {"setting": "strategy.base_offset_bps", "before": "3.0", "now": "2.5"}
    ]


def test_csv_and_json_give_stored_values_whole(db: Path, ask: Any) -> None:
    sql = (
        "SELECT f.id, f.price, f.xrp_drops, t.fingerprint, NULL AS nothing_, 0.1 AS tenth "
        "FROM fills f JOIN ticks t ON t.id = 1 << 32 | 1"
    )
    with sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True) as connection:
        expected = connection.execute(sql).fetchall()
    connection.close()
    assert len(expected) > 1
    lines = list(csv.reader(io.StringIO(ask(sql, "--csv").out)))
    assert lines[0] == ["id", "price", "xrp_drops", "fingerprint", "nothing_", "tenth"]
    assert lines[1:] == [
        [str(key), price, str(drops), fingerprint.hex(), "", "0.1"]
        for key, price, drops, fingerprint, _none, _tenth in expected
    ]
    rows = ask(sql, "--json").json["rows"]
    assert rows == [
        [key, price, drops, fingerprint.hex(), None, Decimal("0.1")]
        for key, price, drops, fingerprint, _none, _tenth in expected
    ]


def test_limit_cuts_and_says_so(ask: Any) -> None:
    cut = ask("SELECT id FROM fills ORDER BY id", "--limit", "2", "--json")
    assert (cut.json["rows"], cut.json["more"]) == ([[1], [2]], True)
    assert cut.err == "the first 2 rows; --limit N gives more\n"
    whole = ask("SELECT id FROM fills WHERE id <= 2", "--limit", "2", "--json")
    assert (whole.json["rows"], whole.json["more"], whole.err) == ([[1], [2]], False, "")
    assert len(ask("SELECT id FROM ticks", "--csv").out.splitlines()) > 101
    table = ask("SELECT id FROM ticks")
    assert "the first 100 rows" in table.err


def test_no_row_is_an_answer(ask: Any) -> None:
    done = ask("SELECT * FROM fills WHERE id < 0", "--csv")
    assert (done.code, done.err) == (0, "no rows\n")
    assert done.out.startswith("id,session_id,")
    assert ask("SELECT 1 AS one WHERE 0", "--json").json["rows"] == []


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM fills",
        "INSERT INTO engine_state VALUES ('a', 'b', 'c')",
        "UPDATE sqlite_master SET name = 'x'",
        "DROP TABLE fills",
        "CREATE TEMP TABLE x (a)",
        "PRAGMA journal_mode = DELETE",
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "PRAGMA query_only = 0",
        "BEGIN IMMEDIATE",
        "COMMIT",
        "SELECT load_extension('x')",
        "VACUUM",
    ],
)
def test_what_would_do_more_than_read_is_refused(db: Path, ask: Any, sql: str) -> None:
    before = all_rows(db)
    assert "query: " in ask(sql).error(2)
    assert all_rows(db) == before


def test_another_file_cannot_be_attached(tmp_path: Path, ask: Any) -> None:
    target = tmp_path / "new.db"
    assert "only reading" in ask(f"ATTACH '{target}' AS other").error(2)
    assert "only reading" in ask(f"VACUUM INTO '{target}'").error(2) or not target.exists()
    assert not target.exists()


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("SELECT * FROM nope", "no such table: nope"),
        ("SELECT 1; SELECT 2", "one statement"),
        ("SELEKT 1", "syntax error"),
        ("SELECT :other", ":other"),
        ("SELECT hex(zeroblob(500000000))", "too big"),
        ("-- nothing", "no SELECT"),
        (" ", "no SELECT"),
        ("SELECT 'a\0b'", "null character"),
    ],
)
def test_wrong_sql_is_told_in_one_line(ask: Any, sql: str, word: str) -> None:
    assert word in ask(sql).error(2)


def test_a_query_without_end_is_stopped(ask: Any) -> None:
    text = ask(ENDLESS, "--timeout", "1").error(2)
    assert "stopped after 1 s" in text
    assert "--timeout" in text


def test_an_unknown_name_is_answered_with_the_nearest(ask: Any) -> None:
    assert "the nearest is markouts;" in ask("markout").error(2)
    assert "no question is called zzz; `query --list`" in ask("zzz").error(2)


def test_an_unknown_session_is_refused_and_one_that_is_not_asked_about_is_not_needed(
    tmp_path: Path, ask: Any
) -> None:
    assert "session 7: not in this database, which holds 1 to 2;" in ask("fills", "--session", "7").error(2)
    empty = tmp_path / "empty.db"
    new_database(empty).close()
    assert "no session yet" in ask("fills", file=empty).error(2)
    done = ask("sessions", file=empty)
    assert (done.code, done.err) == (0, "no rows\n")


@pytest.mark.parametrize(
    "arguments", [("--limit", "0"), ("--limit", "x"), ("--timeout", "0"), ("--csv", "--json")]
)
def test_options_that_make_no_sense(ask: Any, arguments: tuple[str, ...]) -> None:
    assert ask("fills", *arguments).code == 2


def test_without_a_question_or_a_database_it_says_what_to_give(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["query"], ["query", "fills"], ["query", "--db", "neo.db"]):
        assert "--list" in in_process(capsys, engine_parser(), arguments).error(2)


def test_the_list_names_every_question_without_a_database(capsys: pytest.CaptureFixture[str]) -> None:
    done = in_process(capsys, engine_parser(), ["query", "--list"])
    assert [line.split()[0] for line in done.out.splitlines()] == NAMES


def test_a_file_that_is_no_database_gives_three(tmp_path: Path, ask: Any) -> None:
    other = tmp_path / "x.db"
    other.write_text("hello", encoding="utf-8")
    ask("fills", file=other).error(3)
    ask("fills", file=tmp_path / "none.db").error(3)


def test_it_runs_as_a_program(db: Path) -> None:
    done = engine("query", "uptime", "--db", db, "--csv")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("quoting,ticks,share_pct\n")
