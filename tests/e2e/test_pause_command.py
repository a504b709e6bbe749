"""`pause` and `resume` as a user types them: the quotes go, the session goes on, the quotes come back."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.e2e.helpers import (
    EMBEDDED,
    ROOT,
    check_database,
    engine,
    finish,
    report,
    rows,
    session,
    started_session,
    ticks_stored,
    wait_for,
)

DOCUMENT = (ROOT / "docs" / "pause.md").read_text(encoding="utf-8")


def keys_of_table(title: str) -> set[str]:
    """The names in the first column of the table of docs/pause.md whose head is `title`."""
    table = DOCUMENT.partition(f"| {title} | Meaning |\n|---|---|\n")[2].partition("\n\n")[0]
    return {name for line in table.splitlines() for name in re.findall(r"`(\w+)`", line.split("|")[1])}


def quoting(db: Path) -> str:
    """What the newest tick wanted: asked in SQL, which is quick on a busy machine too."""
    return str(rows(db, "SELECT quoting FROM ticks ORDER BY id DESC LIMIT 1")[0][0])


def manual_sides(db: Path) -> set[str]:
    """The sides that the gate Manual closed, in the newest session."""
    found = rows(
        db,
        "SELECT DISTINCT g.value ->> 'side' FROM ticks t, json_each(t.gates) g "
        "WHERE g.value ->> 'name' = 'Manual' AND t.session_id = (SELECT max(session_id) FROM sessions)",
    )
    return {side for (side,) in found}


def test_a_running_session_pauses_goes_on_and_quotes_again(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    process = started_session(db, recording=EMBEDDED, speed="10", ticks=12)
    assert engine("status", "--db", db, "--json").json["quoting"] == "both"
    paused = engine("pause", "--db", db, "--reason", "news at six", "--json").json
    assert set(paused) == keys_of_table("Key")
    assert set(paused["pause"]) == keys_of_table("Pause key")
    assert (paused["engine"], paused["before"]) == (process.pid, None)
    wait_for("the quotes to go", lambda: quoting(db) == "none")
    at = ticks_stored(db)
    wait_for("the session to go on", lambda: ticks_stored(db) > at + 10)
    status = engine("status", "--db", db, "--json").json
    assert status["running"] is True
    assert status["quoting"] == "none"
    assert status["orders"] == []
    assert status["pause"] == paused["pause"]
    assert "news at six" in status["why"]
    why = engine("why", "--db", db, "--json").json
    assert (why["step"], why["cause"]) == ("quote gate", "Manual")
    assert why["held"]["ticks"] > 5
    again = engine("pause", "--db", db, "--side", "ask", "--reason", "the bid may buy")
    assert "in place of: both sides" in again.out
    wait_for("the bid alone", lambda: quoting(db) == "bid")
    assert f"process {process.pid}" in engine("resume", "--db", db).out
    wait_for("both sides", lambda: quoting(db) == "both")
    status = engine("status", "--db", db, "--json").json
    assert (status["pause"], status["quoting"]) == (None, "both")
    process.terminate()
    assert finish(process).code == 143
    assert manual_sides(db) == {"both", "ask"}
    told = report(db)
    assert told["agrees"] is True
    assert "Manual" in {gate["name"] for gate in told["gates"]}
    check_database(db)


def test_a_session_that_starts_beside_the_file_is_paused_from_its_first_tick_on(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    assert session(db, duration="30s").code == 0
    assert "no engine runs, the next session starts so" in engine("pause", "--db", db, "--reason", "x").out
    assert session(db, duration="2m").code == 0
    assert rows(db, "SELECT count(*) FROM orders WHERE session_id = 2") == [(0,)]
    where = "WHERE session_id = 2 AND (gates IS NULL OR instr(gates, 'Manual') = 0)"
    assert rows(db, f"SELECT count(*) FROM ticks {where}") == [(0,)]
    assert rows(db, "SELECT count(*) > 20 FROM ticks WHERE session_id = 2") == [(1,)]
    done = engine("resume", "--db", db)
    assert (done.code, done.err) == (0, "")
    assert session(db, duration="2m").code == 0
    assert rows(db, "SELECT count(*) > 0 FROM orders WHERE session_id = 3") == [(1,)]
    check_database(db)


@pytest.mark.parametrize("content", ["", "no JSON", '{"side": "up", "reason": "x"}'])
def test_a_file_by_hand_closes_both_sides_whatever_it_says(tmp_path: Path, content: str) -> None:
    db = tmp_path / "neo.db"
    (tmp_path / "neo.db.pause").write_text(content, encoding="utf-8")
    assert session(db, duration="2m").code == 0
    assert manual_sides(db) == {"both"}
    assert rows(db, "SELECT count(*) FROM orders") == [(0,)]


def test_what_cannot_be_done_is_one_clear_error(tmp_path: Path) -> None:
    typo = tmp_path / "typo.db"
    assert "no such file" in engine("pause", "--db", typo, "--reason", "x").error(3)
    assert "no such file" in engine("resume", "--db", typo).error(3)
    assert list(tmp_path.iterdir()) == []
    db = tmp_path / "neo.db"
    db.touch()
    assert "--reason" in engine("pause", "--db", db).error(2)
    assert "--reason" in engine("pause", "--db", db, "--reason", " ").error(2)
    assert "--reason" in engine("pause", "--db", db, "--reason", "x" * 201).error(2)
    assert "--side" in engine("pause", "--db", db, "--side", "left", "--reason", "x").error(2)
    assert "was not paused" in engine("resume", "--db", db).out
    (tmp_path / "neo.db.pause").mkdir()
    assert "cannot be written" in engine("pause", "--db", db, "--reason", "x").error(3)
    assert "cannot be removed" in engine("resume", "--db", db).error(3)


@pytest.mark.parametrize("line", re.findall(r"^python -m neo_engine .*$", DOCUMENT, re.MULTILINE))
def test_every_documented_line_works(tmp_path: Path, line: str) -> None:
    db = tmp_path / "neo.db"
    db.touch()
    words = shlex.split(line)[3:]
    words[words.index("neo.db")] = str(db)
    done = engine(*words)
    assert (done.code, done.err) == (0, "")
