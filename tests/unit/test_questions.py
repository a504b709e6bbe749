"""The twenty questions: one source, and pages that say the same."""

from __future__ import annotations

import json
import sqlite3
import tomllib
from pathlib import Path

import pytest
import yaml

from neo_engine.cli import engine_parser
from neo_engine.report.questions import Question, by_name, load_questions, nearest
from neo_engine.report.questions_pages import DATABASE, datasette_config, markdown, replaced
from neo_engine.state.queries import open_readonly
from tests.e2e.helpers import in_process
from tests.unit.report_fixture import build_small
from tools.write_questions import metadata_text

QUESTIONS = load_questions()


def named(name: str) -> Question:
    return by_name(QUESTIONS)[name]


def test_there_are_twenty_with_names_of_their_own() -> None:
    assert len(QUESTIONS) == len(by_name(QUESTIONS)) == 20


@pytest.mark.parametrize("one", QUESTIONS, ids=lambda one: one.name)
def test_a_question_is_one_select_with_a_meaning(one: Question) -> None:
    assert one.question.endswith("?")
    assert len(one.meaning) > 40
    assert one.sql.startswith(("SELECT", "WITH"))
    assert one.sql.count(";") == 1
    assert one.sql.endswith(";")


def test_the_page_shows_exactly_the_questions(root: Path) -> None:
    page = (root / "docs" / "sql.md").read_text(encoding="utf-8")
    assert replaced(page, QUESTIONS) == page, "run python -m tools.write_questions"
    assert markdown(QUESTIONS) in page


def test_a_page_without_its_marks_is_not_written() -> None:
    with pytest.raises(ValueError, match="lacks"):
        replaced("# nothing", QUESTIONS)


def test_the_metadata_file_is_what_the_questions_give(root: Path) -> None:
    text = (root / "datasette" / "metadata.yaml").read_text(encoding="utf-8")
    assert text == metadata_text(QUESTIONS), "run python -m tools.write_questions"
    assert yaml.safe_load(text) == datasette_config(QUESTIONS, DATABASE)


def test_the_page_installs_what_the_optional_extra_pins(root: Path) -> None:
    extra = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]["datasette"]
    page = (root / "docs" / "datasette.md").read_text(encoding="utf-8")
    assert f"pip install {' '.join(extra)}\n" in page


def test_datasette_config_prints_the_metadata_of_any_file(capsys: pytest.CaptureFixture[str]) -> None:
    done = in_process(capsys, engine_parser(), ["datasette-config", "--db", "some/june.db"])
    assert done.code == 0
    content = json.loads(done.out)
    assert content == datasette_config(QUESTIONS, "june")
    assert set(content["databases"]["june"]["queries"]) == {one.name for one in QUESTIONS}


@pytest.mark.parametrize("name", [one.name for one in QUESTIONS])
def test_the_pages_sql_gives_the_same_with_a_number_as_text_or_nothing(tmp_path: Path, name: str) -> None:
    """Datasette hands fields over as text, and an empty one means the latest session."""
    path = tmp_path / "neo.db"
    build_small(path)
    query = datasette_config(QUESTIONS, "neo")["databases"]["neo"]["queries"][name]
    connection = open_readonly(path)
    expected = connection.execute(named(name).sql, {"session": 1}).fetchall()
    for typed in ("1", ""):
        assert connection.execute(query["sql"], {"session": typed}).fetchall() == expected
    connection.close()


def test_a_plot_names_columns_that_the_answer_has(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    build_small(path)
    connection = open_readonly(path)
    drawn = [one for one in QUESTIONS if one.chart is not None]
    assert drawn
    for one in drawn:
        cursor = connection.execute(one.sql, {"session": 1} if one.about_a_session else {})
        columns = {column[0] for column in cursor.description}
        parts = dict(part.split("=") for part in (one.chart or "").split("&"))
        assert {value for key, value in parts.items() if key.endswith("_column")} <= columns, one.name
    connection.close()


@pytest.mark.parametrize(
    ("typed", "expected"), [("markout", "markouts"), ("fils", "fills"), ("zzzzzz", None)]
)
def test_the_nearest_name(typed: str, expected: str | None) -> None:
    assert nearest(typed, QUESTIONS) == expected


#: Answers worked out by hand from the rows of tests/unit/report_fixture.py.
BY_HAND: dict[str, list[tuple[object, ...]]] = {
    # 10 ticks: 1, 8 and 9 none; 6 bid; 7 ask.
    "uptime": [("both", 5, 50.0), ("none", 3, 30.0), ("ask", 1, 10.0), ("bid", 1, 10.0)],
    "gates": [
        ("StaleData", "both", 2, 8, 9),
        ("Gap", "both", 1, 9, 9),
        ("InventoryLimit", "ask", 1, 6, 6),
        ("InventoryLimit", "bid", 1, 7, 7),
        ("Warmup", "both", 1, 1, 1),
    ],
    "orders": [
        ("CANCELED", "tesSUCCESS", 2, 0.0, 0.0),
        ("DENIED", None, 2, 0.0, 0.0),
        ("FILLED", "tesSUCCESS", 2, 0.0, 0.0),
        ("EXPIRED", "tesSUCCESS", 1, 0.0, 0.0),
        ("REJECTED", "tecUNFUNDED_OFFER", 1, 0.0, 0.0),
    ],
    # tef and unanswered ones burn nothing; the mark is 2.02.
    "fees": [
        ("create", "tesSUCCESS", 2, 20, pytest.approx(0.00002 * 2.02)),
        ("create", "tecUNFUNDED_OFFER", 1, 12, pytest.approx(0.000012 * 2.02)),
        ("replace", "tesSUCCESS", 1, 10, pytest.approx(0.00001 * 2.02)),
    ],
    # Mid 2 before each: bought 10 at 1.99; sold 22 at 2.02; took 11 at 2.01 as a seller.
    "fills": [
        ("buy", "maker", 1, 10.0, 19.9, pytest.approx(1.99), pytest.approx(0.1), pytest.approx(50.0)),
        ("sell", "maker", 1, 22.0, 44.44, pytest.approx(2.02), pytest.approx(0.44), pytest.approx(100.0)),
        ("sell", "taker", 1, 11.0, 22.11, pytest.approx(2.01), pytest.approx(0.11), pytest.approx(50.0)),
    ],
}


@pytest.mark.parametrize("name", BY_HAND)
def test_an_answer_is_what_the_rows_give_by_hand(tmp_path: Path, name: str) -> None:
    path = tmp_path / "neo.db"
    build_small(path)
    connection = open_readonly(path)
    connection.row_factory = None
    assert connection.execute(named(name).sql, {"session": 1}).fetchall() == BY_HAND[name]
    connection.close()


def test_settings_that_differ_are_told_and_only_those(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    build_small(path)
    connection = sqlite3.connect(path)
    changed = json.dumps({"risk": {"max_xrp_exposure": "120.0", "new_key": "1"}})
    connection.execute(
        "INSERT INTO sessions (session_id, mode, feed, started_at, config_json, engine_version) "
        "VALUES (2, 'paper', 'recorded', '', ?, '')",
        (changed,),
    )
    found = connection.execute(named("settings-changed").sql, {"session": 2}).fetchall()
    connection.close()
    assert found == [
        ("risk.max_rlusd_exposure", "400.0", None),
        ("risk.max_xrp_exposure", "150.0", "120.0"),
        ("risk.new_key", None, "1"),
    ]
