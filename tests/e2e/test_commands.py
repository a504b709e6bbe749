"""Every command does what docs/commands.md says of it."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from neo_engine.domain.halt import MEANING, exit_code
from tests.e2e.helpers import (
    CUT,
    EMBEDDED,
    ROOT,
    TRACEBACK,
    Argument,
    Done,
    check_database,
    engine,
    finish,
    last_session,
    report,
    rows,
    run,
    session,
    session_command,
    start,
    started_session,
    write_config,
)

DOCUMENT = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
VERBS = (
    *(
        "paper",
        "replay",
        "record",
        "backup",
        "restore",
        "kill",
        "capital",
        "config",
        "verify-model",
        "simulate",
    ),
    *("audit", "preflight", "live", "flatten", "why", "status", "pause", "resume", "incident"),
    *("audit", "preflight", "live", "flatten", "why", "status"),
    *("query", "datasette-config", "calibrate", "export-tax"),
)
SIGTERM_CODE = 143


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with three sessions."""
    db = tmp_path_factory.mktemp("used") / "neo.db"
    for seed in (1, 2, 3):
        assert session(db, seed=seed, duration="2m").code == 0
    return db


def copied(used: Path, folder: Path) -> Path:
    return Path(shutil.copy(used, folder / "neo.db"))


def documented_commands() -> list[list[str]]:
    """The command lines of every shell block, without `python`."""
    blocks = re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)
    lines = [shlex.split(line) for block in blocks for line in block.splitlines()]
    assert len(lines) > 15
    return [line[1:] for line in lines]


def placed(folder: Path, command: list[str]) -> list[Argument]:
    """A documented command with the files it names made, in `folder`, and its speed and length bounded."""
    (folder / "my.jsonl.gz").write_bytes(CUT.read_bytes())
    (folder / "orders.csv").write_text(ORDERS, encoding="utf-8")
    for name in ("config", "scenarios"):
        (folder / name).symlink_to(ROOT / name)
    # All scenarios have a test each; no shell is here to expand the pattern.
    placed: list[Argument] = [word.replace("*.yaml", "calm_start.yaml") for word in command]
    if command[0].endswith(".py"):
        placed[0] = ROOT / command[0]
    if command[0] == "run_paper_session.py":
        placed = [word if word not in ("10m", "30", "1h", "2h") else "1000000" for word in placed]
        placed[placed.index("--duration") + 1] = "2m"
        if "--speed" not in placed:
            placed += ["--speed", "max"]
    if SERVER in placed:
        if "--listen" in placed:  # the documented port may be in use on this machine
            del placed[placed.index("--listen") : placed.index("--listen") + 2]
        placed += ["--listen", "127.0.0.1:0"]
    return placed


def served(words: list[Argument], folder: Path) -> Done:
    """Start a server, wait until it says that it listens, and end it."""
    process = start(words, cwd=folder)
    assert process.stdout is not None
    ready = process.stdout.readline()
    process.terminate()
    done = finish(process)
    assert ready.startswith("ready: "), done.err
    return done


SERVER = "simulate"
ORDERS = "offset,slot,side,price,size\n1,a,ask,2.2,10\n1,b,bid,2.0,10\n3,a,ask,2.117,4.5\n9,a,ask,2.118,5\n"


@pytest.mark.parametrize("command", documented_commands(), ids=" ".join)
def test_every_documented_command_line_works(tmp_path: Path, used: Path, command: list[str]) -> None:
    db = copied(used, tmp_path)
    words = placed(tmp_path, command)
    if "restore" in words:
        shutil.copy(used, tmp_path / "copy.db")
    done = served(words, tmp_path) if SERVER in words else run(words, cwd=tmp_path)
    assert done.code == (SIGTERM_CODE if SERVER in words else 0), done.err
    assert TRACEBACK not in done.err
    if "--json" in words:
        assert done.json
    check_database(db)


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_names_every_verb_and_every_documented_option(verb: str) -> None:
    done = engine(*filter(None, [verb]), "--help")
    assert done.code == 0
    assert done.err == ""
    if not verb:
        assert all(re.search(rf"^    {name}\b", done.out, re.MULTILINE) for name in VERBS)
        return
    for command in documented_commands():
        if command[:3] == ["-m", "neo_engine", verb]:
            for option in (word for word in command if word.startswith("--")):
                assert option in done.out, f"{verb} {option}"


@pytest.mark.parametrize("program", ["run_paper_session.py", "summarize_paper_run.py"])
def test_the_scripts_tell_their_options(program: str) -> None:
    done = run([ROOT / program, "--help"])
    assert (done.code, done.err) == (0, "")
    for command in documented_commands():
        if command[0] == program:
            assert all(option in done.out for option in command if option.startswith("--"))


def test_a_command_without_a_verb_is_a_usage_error() -> None:
    assert "VERB" in engine().error(2)
    assert "sell" in engine("sell").error(2)
    assert re.fullmatch(r"NEO \d+\.\d+\.\d+\n", engine("--version").out)


def test_the_table_of_halt_reasons_is_the_engines_own() -> None:
    table = re.findall(r"^\| `(\w+)` \| (\d+) \| (.+?) \|$", DOCUMENT, re.MULTILINE)
    assert table == [(reason.value, str(exit_code(reason)), text) for reason, text in MEANING.items()]


def keys_of_table(title: str) -> set[str]:
    """The names in the first column of the table whose head is `title`."""
    table = DOCUMENT.partition(f"| {title} | Meaning |\n|---|---|\n")[2].partition("\n\n")[0]
    return {name for line in table.splitlines() for name in re.findall(r"`(\w+)`", line.split("|")[1])}


def test_the_json_of_a_session_holds_what_is_documented(tmp_path: Path) -> None:
    done = session(tmp_path / "neo.db")
    assert done.err == ""
    assert set(done.json) == keys_of_table("Session key")


def test_the_json_of_a_report_holds_what_is_documented(used: Path) -> None:
    assert set(report(used)) == keys_of_table("Report key")
    assert report(used, "--session", "1")["session_id"] == 1
    assert report(used)["session_id"] == 3


def test_a_session_without_json_reports_on_stderr_alone(tmp_path: Path) -> None:
    command = session_command(tmp_path / "neo.db")
    command.remove("--json")
    done = run(command)
    assert (done.code, done.out) == (0, "")
    assert "session 1 begins" in done.err
    assert "recording_ended (no further ledger), 60 ledgers" in done.err
    quiet = run([*command, "--quiet"])
    assert (quiet.code, quiet.out) == (0, "")
    assert len(quiet.err.splitlines()) == 1


def test_paper_the_verb_is_the_script(tmp_path: Path) -> None:
    arguments = session_command(tmp_path / "neo.db")[1:]
    assert engine("paper", *arguments).json["fingerprint"] == session(tmp_path / "b.db").json["fingerprint"]


def test_replayed_orders_give_the_fills_as_csv(tmp_path: Path) -> None:
    db, orders, fills = tmp_path / "neo.db", tmp_path / "orders.csv", tmp_path / "fills.csv"
    orders.write_text(ORDERS, encoding="utf-8")
    command: list[Argument] = ["replay", "--recording", CUT, "--orders", orders, "--db", db]
    done = engine(*command, "--fills-csv", fills, "--json")
    assert done.code == 0, done.err
    with fills.open(newline="", encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    stored = rows(
        db,
        "SELECT o.order_no, f.ledger_index, f.xrp_drops, f.rlusd, f.side FROM fills f "
        "JOIN orders o ON o.id = f.order_id ORDER BY f.id",
    )
    assert [
        (
            int(row["order"]),
            int(row["ledger_index"]),
            int(Decimal(row["xrp"]) * 1_000_000),
            row["rlusd"],
            {"bid": "buy", "ask": "sell"}[row["side"]],
        )
        for row in written
    ] == stored
    assert len(stored) == done.json["fills"] > 0
    assert all(int(row["offset"]) == int(row["ledger_index"]) - 947 for row in written)
    sizes = {1: Decimal(10), 2: Decimal(10), 3: Decimal("4.5"), 4: Decimal(5)}
    for number, size in sizes.items():
        assert sum(Decimal(row["xrp"]) for row in written if int(row["order"]) == number) <= size
    assert engine(*command[:-1], tmp_path / "b.db", "--json").json["fingerprint"] == done.json["fingerprint"]
    check_database(db)


def test_backup_and_restore_bring_a_database_back(tmp_path: Path, used: Path) -> None:
    db, copy = copied(used, tmp_path), tmp_path / "copy.db"
    done = engine("backup", "--db", db, "--to", copy)
    assert (done.code, done.out) == (0, f"{copy}\n")
    kept = rows(db, "SELECT * FROM ticks")
    session(db, seed=2)
    assert "exists already" in engine("backup", "--db", db, "--to", copy).error(3)
    done = engine("restore", "--db", db, "--from", copy)
    assert done.code == 0
    assert done.out.startswith(f"{db} restored from {copy}; the old one is {db}.backups/")
    assert rows(db, "SELECT * FROM ticks") == kept
    old = Path(done.out.strip().rpartition(" ")[2])
    assert rows(old, "SELECT count(*) FROM sessions") == [(4,)]
    check_database(db)
    check_database(old)
    named = engine("backup", "--db", db)
    assert Path(named.out.strip()).parent == db.with_name("neo.db.backups")
    check_database(Path(named.out.strip()))


def test_a_backup_beside_a_running_session_is_whole_and_a_restore_is_refused(tmp_path: Path) -> None:
    db, copy = tmp_path / "neo.db", tmp_path / "copy.db"
    process = started_session(db, recording=EMBEDDED, speed="60", ticks=15)
    assert engine("backup", "--db", db, "--to", copy).code == 0
    error = engine("restore", "--db", db, "--from", copy).error(3)
    assert f"in use by process {process.pid}" in error
    process.terminate()
    assert finish(process).code == 143
    ticks = rows(copy, "SELECT tick, fingerprint FROM ticks")
    assert len(ticks) >= 15
    assert rows(db, "SELECT tick, fingerprint FROM ticks")[: len(ticks)] == ticks
    assert rows(copy, "PRAGMA integrity_check") == [("ok",)]
    check_database(db)


def test_a_bad_backup_restores_nothing(tmp_path: Path, used: Path) -> None:
    db, bad = copied(used, tmp_path), tmp_path / "bad.db"
    before = db.read_bytes()
    bad.write_text("no backup", encoding="utf-8")
    assert "bad.db: is not a database" in engine("restore", "--db", db, "--from", bad).error(3)
    assert "no such file" in engine("restore", "--db", db, "--from", tmp_path / "nowhere.db").error(3)
    assert "no such file" in engine("backup", "--db", tmp_path / "nowhere.db").error(3)
    assert db.read_bytes() == before


def test_each_session_is_preceded_by_a_backup_and_old_ones_go(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    config = write_config(tmp_path, state__backups_kept=2)
    for _ in range(4):
        session(db, config=config, duration="30s")
    kept = sorted(db.with_name("neo.db.backups").iterdir())
    assert [rows(path, "SELECT count(*) FROM sessions")[0][0] for path in kept] == [2, 3]


def test_a_kill_for_a_database_that_is_not_there_is_an_error_and_makes_nothing(tmp_path: Path) -> None:
    assert "no such file" in engine("kill", "--db", tmp_path / "typo" / "neo.db").error(3)
    assert "no such file" in engine("kill", "--db", tmp_path / "typo.db").error(3)
    assert list(tmp_path.iterdir()) == []


def test_capital_wants_its_arguments(used: Path) -> None:
    error = engine("capital", "add", "--db", used, "--kind", "deposit").error(2)
    assert "--asset, --amount missing" in error
    add: list[Argument] = [
        *("capital", "add", "--db", used, "--kind", "deposit", "--asset", "XRP", "--amount", "1")
    ]
    assert "--request-id" in engine(*add, "--request-id", "a b").error(2)
    assert "--note" in engine(*add, "--note", "n" * 5000).error(2)
    listed = engine("capital", "list", "--db", used)
    wanted = [line for session_id in (1, 2, 3) for line in _openings(used, session_id)]
    assert listed.out.splitlines() == wanted


def _openings(db: Path, session_id: int) -> list[str]:
    (at,) = rows(db, "SELECT DISTINCT effective_at FROM capital_events WHERE session_id = ?", session_id)[0]
    end = f"applied  session {session_id}  {at}  balance at the start of the session"
    return [f"opening 100 XRP  {end}", f"opening 220 RLUSD  {end}"]


def test_config_checks_and_shows_what_the_engine_reads(tmp_path: Path) -> None:
    done = engine("config", "check", "--config", ROOT / "config" / "paper.yaml")
    assert (done.code, done.out) == (0, "")
    assert done.err.endswith("paper.yaml: good\n")
    shown = engine("config", "show", "--config", ROOT / "config" / "paper.yaml")
    assert (shown.code, shown.err) == (0, "")
    assert shown.json["risk"]["max_xrp_exposure"] == "150.0"
    session(tmp_path / "neo.db", duration="30s")
    assert json.loads(last_session(tmp_path / "neo.db")["config_json"]) == json.loads(shown.out)
    wrong = write_config(tmp_path, risk__max_open_orders=0)
    assert "risk.max_open_orders" in engine("config", "check", "--config", wrong).error(2)


def test_the_report_lists_writes_a_page_and_plots_and_refuses_an_unknown_session(
    used: Path, tmp_path: Path
) -> None:
    summarize = ROOT / "summarize_paper_run.py"
    listed = run([summarize, "--db", used, "--list"])
    assert listed.code == 0
    assert listed.out.count("duration_elapsed") == 3
    page, plots = tmp_path / "report.html", tmp_path / "plots"
    done = run([summarize, "--db", used, "--html", page, "--plots", plots])
    assert done.code == 0, done.err
    text = page.read_text(encoding="utf-8")
    assert "<html" in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    assert any(path.read_bytes().startswith(b"\x89PNG") for path in plots.iterdir())
    assert "holds 1 to 3" in run([summarize, "--db", used, "--session", "9", "--json"]).error(2)
