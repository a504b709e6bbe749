"""`incident` as a user types it: a bundle says what the database says, of any database, and no secret."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shlex
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from neo_engine.incident.symptoms import SYMPTOMS
from neo_engine.incident.tables import TICKS
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
    write_config,
)
from tests.unit.test_secrets import SEED

PNG = b"\x89PNG\r\n\x1a\n"
DOCUMENT = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
HALTED_CODE = 4


@pytest.fixture(scope="module")
def halted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session that lost more than it may, after more ticks than a bundle holds."""
    folder = tmp_path_factory.mktemp("halted")
    config = write_config(folder, risk__max_loss_rlusd="100", monitors__cascade_kill="100000")
    db = folder / "neo.db"
    assert session(db, config=config, recording=EMBEDDED).code == 0
    kill = folder / "neo.db.kill"
    kill.write_text("price looks wrong", encoding="utf-8")
    assert session(db, config=config, recording=EMBEDDED).code == HALTED_CODE
    return db


def incident(db: Path, symptom: str, *arguments: Argument) -> Done:
    return engine("incident", symptom, "--db", db, *arguments)


def table_of(bundle: Path, name: str) -> list[dict[str, str]]:
    with (bundle / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def keys_of_table(title: str) -> set[str]:
    table = DOCUMENT.partition(f"| {title} |")[2].partition("\n\n")[0]
    return {name for line in table.splitlines()[2:] for name in re.findall(r"`([\w.]+)`", line.split("|")[1])}


def text_of(value: object) -> str:
    """A stored value as a cell of a CSV, worked out here anew."""
    if value is None:
        return ""
    return value.hex().upper() if isinstance(value, bytes) else str(value)


def stored(db: Path, query: str) -> list[dict[str, str]]:
    with closing(sqlite3.connect(f"{db.as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        found = connection.execute(query).fetchall()
    return [{name: text_of(row[name]) for name in row.keys()} for row in found]  # noqa: SIM118


#: What a bundle of session 1 must hold: worked out over session and tick columns, not over keys.
OF_TICKS = "session_id = 1 AND tick > (SELECT max(tick) - 500 FROM ticks WHERE session_id = 1)"
QUESTIONS = {
    "ticks": f"SELECT * FROM ticks WHERE {OF_TICKS} ORDER BY id",
    "fills": f"SELECT * FROM fills WHERE {OF_TICKS} ORDER BY id",
    "monitor_readings": "SELECT * FROM monitor_readings WHERE session_id = 1 ORDER BY id",
    "feed_faults": "SELECT * FROM feed_faults WHERE session_id = 1 ORDER BY id",
    "reconciliations": "SELECT * FROM reconciliations WHERE session_id = 1 ORDER BY id",
    "capital_events": "SELECT * FROM capital_events WHERE session_id = 1 ORDER BY id",
}


def test_every_table_of_a_bundle_says_what_the_database_says(halted: Path, tmp_path: Path) -> None:
    before = all_rows(halted)
    done = incident(halted, "killed", "--session", 1, "--to", tmp_path / "b", "--json")
    assert (done.code, done.err) == (0, "")
    bundle = tmp_path / "b"
    for name, question in QUESTIONS.items():
        expected = stored(halted, question)
        assert table_of(bundle, name) == expected, name
    assert len(table_of(bundle, "ticks")) == min(
        TICKS, rows(halted, "SELECT count(*) FROM ticks WHERE session_id = 1")[0][0]
    )
    orders = table_of(bundle, "orders")
    ids = ", ".join(row["id"] for row in orders)
    assert orders == stored(halted, f"SELECT * FROM orders WHERE id IN ({ids}) ORDER BY id")
    first = int(table_of(bundle, "ticks")[0]["tick"])
    made = rows(halted, f"SELECT id FROM orders WHERE session_id = 1 AND created_tick >= {first}")
    assert {str(number) for (number,) in made} <= {row["id"] for row in orders}
    submissions = table_of(bundle, "submissions")
    names = ", ".join(submissions[0])
    assert "blob" not in submissions[0]
    of_orders = f"SELECT {names} FROM submissions WHERE order_id IN ({ids}) ORDER BY id"
    assert submissions == stored(halted, of_orders)
    snapshots = table_of(bundle, "market_snapshots")
    columns = ", ".join(snapshots[0])
    assert snapshots == stored(halted, f"SELECT {columns} FROM market_snapshots WHERE {OF_TICKS} ORDER BY id")
    assert all_rows(halted) == before
    check_database(halted)


def test_a_bundle_of_a_halted_session_names_the_halt_and_is_whole(halted: Path) -> None:
    done = incident(halted, "killed", "--json")
    answer = done.json
    assert set(answer) == keys_of_table("Incident key")
    assert answer["found"] is True
    assert "kill_switch (file: price looks wrong)" in answer["verdict"][0]
    assert answer["why"]["cause"] == "kill_switch"
    bundle = Path(answer["bundle"])
    assert bundle.parent == halted.with_name("neo.db.incidents")
    assert re.fullmatch(r"\d{8}T\d{6}\.\d{6}Z-killed", bundle.name)
    assert {path.name for path in bundle.iterdir()} == set(answer["files"]) == keys_of_table("File")
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    assert set(manifest["files"]) == set(answer["files"]) - {"manifest.json"}
    for name, told in manifest["files"].items():
        content = (bundle / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (told["bytes"], told["sha256"])
    assert manifest["database_bytes"] == halted.stat().st_size
    assert manifest["sqlite_version"] == sqlite3.sqlite_version
    assert all(
        (bundle / name).read_bytes().startswith(PNG) for name in manifest["files"] if name.endswith("png")
    )
    assert "kill_switch" in (bundle / "why.txt").read_text(encoding="utf-8")
    log = [json.loads(line) for line in (bundle / "log.txt").read_text(encoding="utf-8").splitlines()]
    assert any(line.get("session") == 2 and "kill_switch" in line["message"] for line in log)
    state = json.loads((bundle / "state.json").read_text(encoding="utf-8"))
    assert state["session"]["halt_reason"] == "kill_switch"
    config = json.loads((bundle / "config.json").read_text(encoding="utf-8"))
    assert config == json.loads(rows(halted, "SELECT config_json FROM sessions WHERE session_id = 2")[0][0])


def test_the_commands_of_a_checklist_name_this_database_and_work(halted: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "b"
    done = incident(halted, "stopped", "--session", 1, "--to", bundle)
    assert done.out.splitlines()[-1] == f"checklist: {bundle / 'checklist.md'}"
    text = (bundle / "checklist.md").read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        *("## Immediate", "## Within an hour", "## Within a day", "## Before the next session", "## Notes")
    ]
    assert "- [ ] " in text
    assert str(halted) in text
    lines = re.findall(r"^  python -m neo_engine ((?:why|status) .*)$", text, re.MULTILINE)
    assert len(lines) == 2
    for line in lines:
        assert engine(*shlex.split(line)).code == 0


def test_a_planted_secret_is_nowhere_in_a_bundle(halted: Path, tmp_path: Path) -> None:
    db = Path(shutil.copy(halted, tmp_path / "neo.db"))
    with closing(sqlite3.connect(db)) as connection, connection:
        (config,) = connection.execute("SELECT config_json FROM sessions WHERE session_id = 2").fetchone()
        value = json.loads(config)
        value["live"] = {
            "endpoints": ["wss://user:hunter2@node.example/apikey77"],
            "key_source": "file:my/hidden77",
        }
        connection.execute(
            "UPDATE sessions SET config_json = ?, halt_detail = ? WHERE session_id = 2",
            (json.dumps(value), f"failed with {SEED} at wss://node.example/apikey77"),
        )
        connection.execute("UPDATE engine_state SET value = ? WHERE key = 'halt.detail'", (f"{SEED}",))
        connection.execute(
            "UPDATE orders SET failure_reason = 'wss://node.example/apikey77' WHERE session_id = 1"
        )
        connection.execute(
            "INSERT INTO feed_faults (session_id, tick, kind, detail) VALUES (2, 1, 'x', ?)",
            (f"https://node.example/apikey77?t=hunter2 {SEED}",),
        )
    log = tmp_path / "neo.log"
    log.write_text(f"told {SEED}\nat wss://user:hunter2@node.example/apikey77\n", encoding="utf-8")
    for number, which in enumerate((1, 2)):
        bundle = tmp_path / f"b{number}"
        done = incident(db, "killed", "--session", which, "--to", bundle, "--log", log)
        assert done.code == 0, done.err
        said = done.out.encode() + b"".join(path.read_bytes() for path in bundle.iterdir())
        for secret in (SEED, "hunter2", "apikey77", "hidden77"):
            assert secret.encode() not in said, secret
        assert b"wss://node.example" in said


@pytest.mark.parametrize("symptom", SYMPTOMS)
def test_a_crashed_database_is_read_as_it_lies(tmp_path: Path, symptom: str) -> None:
    db = tmp_path / "neo.db"
    process = started_session(db, recording=EMBEDDED, speed="60", ticks=12)
    beside = incident(db, symptom, "--to", tmp_path / "beside")
    assert beside.code == 0, beside.err
    process.kill()
    finish(process)
    ticks = rows(db, "SELECT count(*) FROM ticks")[0][0]
    done = incident(db, symptom, "--to", tmp_path / "after", "--json")
    assert (done.code, done.err) == (0, "")
    assert len(table_of(tmp_path / "after", "ticks")) == ticks
    if symptom == "killed":
        assert f"process {process.pid} was killed or crashed" in done.json["verdict"][0]


def test_a_moment_ends_the_tables_there(halted: Path, tmp_path: Path) -> None:
    assert incident(halted, "wide", "--session", 1, "--tick", 20, "--to", tmp_path / "b").code == 0
    assert [row["tick"] for row in table_of(tmp_path / "b", "ticks")] == [str(n) for n in range(1, 21)]
    at = rows(halted, "SELECT close_time FROM ticks WHERE session_id = 1 AND tick = 30")[0][0]
    assert incident(halted, "wide", "--session", 1, "--at", at, "--to", tmp_path / "c").code == 0
    assert int(table_of(tmp_path / "c", "ticks")[-1]["tick"]) >= 30


def test_what_is_not_there_is_one_clear_error_and_leaves_nothing(halted: Path, tmp_path: Path) -> None:
    target = tmp_path / "b"
    to: tuple[Argument, ...] = ("--to", target)
    assert "no such file" in incident(tmp_path / "typo.db", "wide", *to).error(3)
    (tmp_path / "bad.db").write_text("no database", encoding="utf-8")
    assert "is not a database" in incident(tmp_path / "bad.db", "wide", *to).error(3)
    assert "session 7: not in this database, which holds 1 to 2" in incident(
        halted, "wide", "--session", 7, *to
    ).error(2)
    assert "holds ticks 1 to" in incident(halted, "wide", "--tick", 99999, *to).error(2)
    assert "--at soon" in incident(halted, "wide", "--at", "soon", *to).error(2)
    assert "not allowed with" in incident(halted, "wide", "--tick", 1, "--at", "x", *to).error(2)
    assert "invalid choice" in incident(halted, "gloomy", *to).error(2)
    assert "--log" in incident(halted, "wide", "--log", tmp_path / "none.log", *to).error(3)
    assert not target.exists()
    target.mkdir()
    assert "exists already" in incident(halted, "wide", *to).error(3)
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert "cannot be written" in incident(halted, "wide", "--to", tmp_path / "file" / "b").error(3)


def test_a_session_that_could_not_begin_is_answered_and_an_empty_database_is_a_usage_error(
    tmp_path: Path,
) -> None:
    db = tmp_path / "neo.db"
    damaged = tmp_path / "damaged.jsonl"
    damaged.write_text("no recording\n", encoding="utf-8")
    assert session(db, recording=damaged).code == 3
    done = incident(db, "killed", "--to", tmp_path / "b", "--json")
    assert done.code == 0, done.err
    assert "startup_failure" in " ".join(done.json["verdict"])
    assert table_of(tmp_path / "b", "ticks") == []
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("DELETE FROM sessions")
    assert "holds no session yet" in incident(db, "killed", "--to", tmp_path / "c").error(2)
    assert not (tmp_path / "c").exists()
