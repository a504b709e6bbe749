"""`calibrate` as a user types it: from a session, from recordings, with too little, and what it refuses."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from neo_engine.cli import engine_parser
from neo_engine.config import parse_config
from tests.e2e.helpers import (
    CUT,
    EMBEDDED,
    ROOT,
    Argument,
    Done,
    all_rows,
    in_process,
    session,
)
from tests.unit.report_fixture import new_database

PAPER = ROOT / "config" / "paper.yaml"


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("calibrated") / "neo.db"
    assert session(path, recording=EMBEDDED).code == 0
    return path


@pytest.fixture
def calibrate(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(ROOT)

    def called(*arguments: Argument) -> Done:
        return in_process(capsys, engine_parser(), ["calibrate", *arguments])

    return called


def test_a_session_gives_a_proposal_and_changes_nothing(db: Path, calibrate: Any, tmp_path: Path) -> None:
    before, config = all_rows(db), PAPER.read_bytes()
    out = tmp_path / "proposed.diff"
    done = calibrate("--db", db, "--out", out)
    assert done.code == 0, done.err
    for title in ("Evidence", "Fill intensity", "Adverse selection", "Out of sample", "base_offset_bps"):
        assert title in done.out
    assert (all_rows(db), PAPER.read_bytes()) == (before, config)
    diff = out.read_text(encoding="utf-8")
    assert diff in done.out
    assert re.search(r"^\+  base_offset_bps: \d", diff, re.MULTILINE)


def patched(text: str, diff: str) -> str:
    """The text with a unified diff applied, every context and removed line found where the diff says."""
    lines, result, place = text.splitlines(), [], 0
    for line in diff.splitlines()[2:]:
        head = re.match(r"@@ -(\d+)", line)
        if head:
            start = int(head[1]) - 1
            result += lines[place:start]
            place = start
        elif line[0] == "+":
            result.append(line[1:])
        else:
            assert lines[place] == line[1:]
            result += [lines[place]] if line[0] == " " else []
            place += 1
    return "\n".join([*result, *lines[place:]]) + "\n"


def test_the_difference_is_one_of_that_configuration_file(db: Path, calibrate: Any, tmp_path: Path) -> None:
    out = tmp_path / "proposed.diff"
    document = calibrate("--db", db, "--json", "--out", out).json
    diff = out.read_text(encoding="utf-8")
    assert diff.startswith("--- a/config/paper.yaml\n+++ b/config/paper.yaml\n")
    text = patched(PAPER.read_text(encoding="utf-8"), diff)
    parse_config(text, "patched")
    for key, value in document["proposal"]["settings"].items():
        found = re.search(rf"^  {key}: *([\d.]+)", text, re.MULTILINE)
        assert found is not None
        assert float(found[1]) == float(value)


def test_recordings_are_added_up(calibrate: Any) -> None:
    one = calibrate("--recording", CUT, "--json").json
    two = calibrate("--recording", CUT, CUT, "--json").json
    assert two["hits"] == 2 * one["hits"]
    assert (one["kind"], two["sources"]) == ("recordings", [CUT.name, CUT.name])


def test_too_little_is_said_and_nothing_is_written(tmp_path: Path, calibrate: Any) -> None:
    short = tmp_path / "short.db"
    assert session(short, duration="2m").code == 0
    out = tmp_path / "none.diff"
    done = calibrate("--db", short, "--out", out)
    assert done.code == 0
    assert "not enough data: " in done.out
    assert "30 are needed" in done.out
    assert "not written" in done.err
    assert not out.exists()


def test_sessions_are_chosen_by_number_or_all(db: Path, calibrate: Any) -> None:
    assert calibrate("--db", db, "--session", "1", "--json").json["sources"] == ["session 1"]
    assert calibrate("--db", db, "--session", "all", "--json").json["sources"] == ["session 1"]


def test_the_glft_model_gets_ladder_and_size_and_no_offset(db: Path, calibrate: Any, tmp_path: Path) -> None:
    config = tmp_path / "glft.yaml"
    before = PAPER.read_text(encoding="utf-8").replace("  model: offset", "  model: glft  ")
    config.write_text(before, encoding="utf-8")
    document = calibrate("--db", db, "--config", config, "--json").json
    proposal = document["proposal"]
    assert {"ladder_levels", "ladder_step_bps"} <= proposal["settings"].keys()
    assert "base_offset_bps" not in proposal["settings"]
    now, then = parse_config(before, "now"), parse_config(patched(before, document["diff"]), "then")
    assert now != then
    assert str(then.strategy.ladder_levels) == proposal["settings"]["ladder_levels"]
    assert then.strategy.ladder_step_bps == Decimal(proposal["settings"]["ladder_step_bps"])
    assert then.strategy.base_offset_bps == now.strategy.base_offset_bps
    assert then.strategy.glft.risk_aversion == now.strategy.glft.risk_aversion
    notes = " ".join(proposal["notes"])
    for key in ("strategy.model is glft", "glft.half_spread_max_bps", "glft.risk_aversion stays"):
        assert key in notes
    assert "glft.half_spread_min_bps" in notes
    assert (document["outside"]["offset"], document["outside"]["share"]) == (None, None)


def test_a_target_out_of_reach_is_said(db: Path, calibrate: Any) -> None:
    done = calibrate("--db", db, "--target", "99.9% of ticks within 0.1 bps")
    assert done.code == 0
    assert "no offset reaches the target" in done.out


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--target", "much"), "--target"),
        (("--session", "7"), "session 7"),
        (("--config", "none.yaml"), "none.yaml"),
    ],
)
def test_what_is_not_there_is_refused(
    db: Path, calibrate: Any, arguments: tuple[str, ...], word: str
) -> None:
    assert word in calibrate("--db", db, *arguments).error(2)


def test_sources_that_cannot_be_read(tmp_path: Path, calibrate: Any) -> None:
    assert "no such file" in calibrate("--recording", tmp_path / "none.jsonl").error(2)
    broken = tmp_path / "broken.jsonl"
    broken.write_text("{}\n", encoding="utf-8")
    calibrate("--recording", broken).error(3)
    empty = tmp_path / "empty.db"
    new_database(empty).close()
    assert "no session yet" in calibrate("--db", empty, "--session", "all").error(2)
    assert "--session goes with --db" in calibrate("--recording", CUT, "--session", "1").error(2)
    assert calibrate().code == 2
