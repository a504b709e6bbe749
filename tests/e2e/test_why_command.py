"""`why` and `status` as a user types them: beside a running engine, after its end, after a kill."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.e2e.helpers import (
    EMBEDDED,
    ROOT,
    Argument,
    Done,
    all_rows,
    check_database,
    engine,
    finish,
    rows,
    session,
    started_session,
)

DOCUMENTS = [(ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("commands.md", "why.md")]
WIDTH = 100


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    db = tmp_path_factory.mktemp("ended") / "neo.db"
    assert session(db, duration="2m").code == 0
    return db


def why(db: Path, *arguments: Argument) -> Done:
    return engine("why", "--db", db, *arguments)


def documented_commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", DOCUMENTS[1], re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def keys_of_table(title: str) -> set[str]:
    """The names in the first column of the table of docs/commands.md whose head is `title`."""
    table = DOCUMENTS[0].partition(f"| {title} | Meaning |\n|---|---|\n")[2].partition("\n\n")[0]
    return {name for line in table.splitlines() for name in re.findall(r"`(\w+)`", line.split("|")[1])}


@pytest.mark.parametrize("command", documented_commands())
def test_every_documented_line_works_and_changes_nothing(ended: Path, command: str) -> None:
    before = all_rows(ended)
    words = shlex.split(command)[3:]
    words[words.index("neo.db")] = str(ended)
    done = engine(*words)
    assert (done.code, done.err) == (0, "")
    assert max(len(line.rstrip()) for line in done.out.splitlines()) <= 2 * WIDTH
    if "--json" in words:
        assert done.json
    assert all_rows(ended) == before
    check_database(ended)


def test_the_text_begins_with_the_verdict_and_has_every_step(ended: Path) -> None:
    done = why(ended, "--tick", 3)
    lines = done.out.splitlines()
    assert lines[0] == "tick 3: no quotes: the quote gate Warmup (3 of 10 mids seen)"
    assert lines[1] == "to do: wait for as many ledgers, or lower the key"
    steps = re.findall(r"^(\d) ([a-z ]+?)  +(ok|stopped|not reached)  ", done.out, re.MULTILINE)
    assert [number for number, _, _ in steps] == [str(number) for number in range(1, 10)]
    assert ("5", "quote gate", "stopped") in steps
    assert "[strategy.warmup_ticks 10]" in done.out


def test_the_json_holds_what_is_documented(ended: Path) -> None:
    answer = why(ended, "--json").json
    assert set(answer) == keys_of_table("Why key")
    assert (answer["step"], answer["cause"], answer["running"]) == ("session", "duration_elapsed", False)
    assert set(answer["steps"][0]) == {
        *("name", "outcome", "text", "facts", "cause", "detail", "closed", "advice")
    }
    status = engine("status", "--db", ended, "--json").json
    assert set(status) == keys_of_table("Status key")
    assert (status["running"], status["halt_reason"]) == (False, "duration_elapsed")
    assert status["why"] == answer["verdict"]
    with_report = rows(ended, "SELECT realised_rlusd FROM ticks ORDER BY id DESC LIMIT 1")[0][0]
    assert status["holdings"]["realised"] == with_report


def test_what_is_not_there_is_a_usage_error_that_says_what_is(ended: Path, tmp_path: Path) -> None:
    last = rows(ended, "SELECT max(tick) FROM ticks")[0][0]
    span = f"session 1 holds ticks 1 to {last}, 2026-"
    assert f"--tick {last + 1}: {span}" in why(ended, "--tick", last + 1).error(2)
    assert span in why(ended, "--at", "03:00:00").error(2)
    assert "18:15:00" in why(ended, "--at", "soon").error(2)
    assert "session 7: not in this database, which holds 1 to 1" in why(ended, "--session", 7).error(2)
    assert "is no tick" in why(ended, "--tick", "-1").error(2)
    assert "not allowed with" in why(ended, "--tick", 3, "--now").error(2)
    assert "no such file" in why(tmp_path / "typo.db").error(3)
    assert "no such file" in engine("status", "--db", tmp_path / "typo.db").error(3)
    (tmp_path / "bad.db").write_text("no database", encoding="utf-8")
    assert "is not a database" in engine("status", "--db", tmp_path / "bad.db").error(3)


def test_beside_a_running_engine_both_tell_its_present_and_its_end(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    process = started_session(db, recording=EMBEDDED, speed="30", ticks=15)
    status = engine("status", "--db", db, "--json").json
    assert (status["running"], status["pid"], status["session_id"]) == (True, process.pid, 1)
    assert (status["quoting"], status["halt_reason"], status["ended_at"]) == ("both", None, None)
    assert {(one["slot"], one["side"]) for one in status["orders"]} == {("bid-1", "buy"), ("ask-1", "sell")}
    answer = why(db, "--now", "--json").json
    assert answer["running"] is True
    assert answer["step"] in (None, "spread")
    assert answer["verdict"].startswith(f"tick {answer['tick']}: both sides quoted; ")
    assert answer["held"]["ticks"] >= 1
    assert "yes, process" in engine("status", "--db", db).out
    assert engine("kill", "--db", db, "--reason", "price looks wrong").code == 0
    assert finish(process).code == 4
    answer = why(db, "--json").json
    assert (answer["step"], answer["cause"]) == ("kill switch", "kill_switch")
    assert "price looks wrong" in answer["verdict"]
    assert engine("status", "--db", db).out.count("running         no") == 1
    check_database(db)


def test_a_killed_process_is_told_from_a_running_one(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    process = started_session(db, recording=EMBEDDED, speed="30", ticks=15)
    process.kill()
    process.communicate()
    note = db.with_name("neo.db.lock").read_bytes()
    assert engine("status", "--db", db, "--json").json["running"] is False
    answer = why(db, "--json").json
    assert (answer["step"], answer["cause"]) == ("session", "died")
    assert f"process {process.pid} was killed or crashed" in answer["verdict"]
    assert db.with_name("neo.db.lock").read_bytes() == note  # the dead one's note is left as it was
    assert why(db, "--tick", 3, "--json").json["cause"] == "Warmup"
    assert session(db, duration="30s").code == 0
    assert why(db, "--session", 1, "--json").json["cause"] == "unexpected_halt"
