"""The command `scenario`, and the table of events against the page that lists them."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from neo_engine.cli import engine_parser, main
from neo_engine.rehearsal.points import POINTS
from neo_engine.scenario import events
from neo_engine.scenario.table import EVENTS, parameters_of

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")
GOOD = """
title: A trial
shows: Something.
ledgers: 8
config:
  strategy.warmup_ticks: 3
expect:
  - {from: 3, to: 5, quoting: both}
  - end: {halt: duration_elapsed, books: agree, left: 0}
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.yaml"
    path.write_text(GOOD, encoding="utf-8")
    return path


def run(*arguments: str | Path) -> int:
    return main(engine_parser(), ["scenario", *map(str, arguments)])


def test_a_scenario_that_holds_ends_with_0_and_a_line_a_tick(
    good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(good) == 0
    out = capsys.readouterr().out
    assert "A trial: Something." in out
    assert re.search(r"^1 +1 +none +Warmup", out, flags=re.M)
    assert re.search(r"^3 +3 +both +3\.\d", out, flags=re.M)
    assert "every expectation holds" in out
    assert "ended: duration_elapsed" in out


def test_one_that_does_not_hold_ends_with_4_and_says_which(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(GOOD.replace("quoting: both", "quoting: none"), encoding="utf-8")
    assert run(good, bad) == 4
    out = capsys.readouterr().out
    assert "every expectation holds" in out
    assert "NOT as expected: ledgers 3 to 5: expected quoting none, found ledger 3: both" in out


def test_several_end_with_a_table_of_one_line_each(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(
        GOOD.replace("A trial", "Another")
        .replace("quoting: both", "quoting: none")
        .replace("expect:", "expect:\n  - {at: 1, cause: Warmup}"),
        encoding="utf-8",
    )
    assert run(good, bad) == 4
    lines = capsys.readouterr().out.splitlines()[-5:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:4]]
    assert cells[0] == ["file", "symptom", "what why named", "held"]
    assert cells[2] == [str(good), "A trial", "none was expected", "yes"]
    assert cells[3] == [str(bad), "Another", "Warmup", "NO"]
    assert lines[4] == "1 of 2 hold"
    assert run(good) == 0
    assert "what why named" not in capsys.readouterr().out


def test_a_bad_file_ends_with_2_before_anything_is_played(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(GOOD + "colour: red\n", encoding="utf-8")
    assert run(good, bad) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "bad.yaml: unknown key 'colour'" in told.err


def test_the_database_is_kept_and_json_holds_every_tick(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    db = tmp_path / "kept.db"
    assert run(good, "--db", db, "--json") == 0
    told = msgspec.json.decode(capsys.readouterr().out)["scenarios"][0]
    assert told["holds"] and told["halt_reason"] == "duration_elapsed" and told["broken"] == []
    assert [one["quoting"] for one in told["ticks"][:3]] == ["none", "none", "both"]
    assert told["ticks"][0]["causes"] == ["Warmup"]
    assert main(engine_parser(), ["why", "--db", str(db), "--tick", "1"]) == 0
    assert "Warmup" in capsys.readouterr().out


def test_a_database_that_exists_or_two_files_for_one_are_refused(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    db = tmp_path / "old.db"
    db.touch()
    assert run(good, "--db", db) == 2
    assert "exists; give a new file" in capsys.readouterr().err
    assert run(good, good, "--db", tmp_path / "new.db") == 2
    assert "holds one scenario; give one FILE" in capsys.readouterr().err


def rows() -> dict[str, tuple[str, str]]:
    table = PAGE.partition("## Events")[2].partition("\n\nBesides")[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if "`" in line
    ]
    return {name.strip("`"): (text, parameters) for name, text, parameters in cells}


def test_the_page_lists_every_event_with_its_text() -> None:
    told = {name: text for name, (text, _) in rows().items()}
    assert told == {name: (one.__doc__ or "").strip() for name, one in EVENTS.items()}


@pytest.mark.parametrize("name", EVENTS)
def test_the_page_lists_the_parameters_of_an_event(name: str) -> None:
    assert set(re.findall(r"`(\w+)`", rows()[name][1])) == set(parameters_of(name))


def test_the_page_lists_every_point_and_every_way_to_bend() -> None:
    assert all(f"`{point}`" in PAGE for point in POINTS)
    assert all(how in rows()["bend"][1] for how in events.BENDS)
