"""What cannot be: one line on stderr that names the thing and the fix, the documented code, nothing lost."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from neo_engine.cli import engine_parser, paper_parser
from neo_engine.state.schema import load_migrations, migrations_folder
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
    in_process,
    last_session,
    recorded_lines,
    rows,
    run,
    session,
    session_command,
    start,
    started_session,
    write_config,
    write_recording,
)

PAPER_YAML = ROOT / "config" / "paper.yaml"


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that holds one session; tests take a copy of it."""
    db = tmp_path_factory.mktemp("used") / "neo.db"
    assert session(db).code == 0
    return db


def copied(used: Path, folder: Path) -> Path:
    target = folder / "neo.db"
    shutil.copy(used, target)
    return target


# Configuration: code 2, the file and the key are named, nothing is made.

CHANGES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "unknown key": (
        "max_fee_drops: 5000",
        "max_fee_drops: 5000\n  max_fee_drop: 5000",
        ("risk.max_fee_drop: unknown key", "the nearest known one is risk.max_fee_drops"),
    ),
    "wrong type": ("max_open_orders: 10 ", "max_open_orders: ten ", ("risk.max_open_orders", "whole")),
    "negative limit": (
        "max_loss_rlusd: 25",
        "max_loss_rlusd: -25",
        ("risk.max_loss_rlusd", "greater than 0"),
    ),
    "NaN limit": ("max_drawdown_pct: 10.0", "max_drawdown_pct: .nan", ("risk.max_drawdown_pct", "number")),
    "infinite limit": ("max_loss_rlusd: 25.0", "max_loss_rlusd: .inf", ("risk.max_loss_rlusd", "number")),
    "mismatched intervals": (
        "requote_interval_seconds: 4",
        "requote_interval_seconds: 5",
        ("strategy.requote_interval_seconds", "engine.tick_interval_seconds"),
    ),
    "missing key": ("max_fee_drops: 5000", "", ("risk.max_fee_drops", "missing; add it")),
    "not YAML": ("mode: paper", "mode: [paper", ("not valid YAML", "line")),
    "a live configuration": ("mode: paper", "mode: live", ("mode",)),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_wrong_configuration_is_refused_by_its_key(
    tmp_path: Path, paper_yaml: str, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    old, new, words = CHANGES[case]
    assert paper_yaml.count(old) == 1
    config = tmp_path / "wrong.yaml"
    config.write_text(paper_yaml.replace(old, new), encoding="utf-8")
    command = session_command(tmp_path / "neo.db", config=config)
    error = in_process(capsys, paper_parser(), command[1:]).error(2)
    assert all(word in error for word in words), error
    assert [path.name for path in tmp_path.iterdir()] == ["wrong.yaml"]


def test_a_retired_key_is_refused_with_what_replaced_it(tmp_path: Path) -> None:
    config = write_config(tmp_path, strategy__max_inventory_usd=500)
    error = session(tmp_path / "neo.db", config=config).error(2)
    assert "strategy.max_inventory_usd: this key is retired" in error
    assert "use risk.max_xrp_exposure and risk.max_rlusd_exposure instead" in error


def test_every_fault_of_a_configuration_is_told_at_once(tmp_path: Path) -> None:
    config = write_config(tmp_path, risk__max_open_orders=-1, engine__depth_levels="deep")
    done = session(tmp_path / "neo.db", config=config)
    assert done.code == 2
    told = sorted(line.split(":")[2].strip() for line in done.err.splitlines())
    assert told == ["engine.depth_levels", "risk.max_open_orders"]


# The command line: code 2, before anything is touched.

WRONG_OPTIONS: dict[str, tuple[tuple[Argument, ...], str]] = {
    "no configuration": (("--config", "nowhere.yaml"), "nowhere.yaml"),
    "no recording": (("--recording", "nowhere.jsonl"), "--recording nowhere.jsonl: no such file"),
    "a folder as recording": (("--recording", "."), "--recording"),
    "zero duration": (("--duration", "0s"), "--duration"),
    "negative duration": (("--duration", "-5m"), "--duration"),
    "absurd duration": (("--duration", "99999999999999999999d"), "under ten years"),
    "duration without a unit": (("--duration", "10"), "write 90s, 10m, 2h or 1d"),
    "zero speed": (("--speed", "0"), "write real, max or a number above 0"),
    "negative speed": (("--speed=-3",), "write real, max or a number above 0"),
    "no speed": (("--speed", "fast"), "write real, max or a number above 0"),
    "NaN speed": (("--speed", "nan"), "write real, max or a number above 0"),
    "seed": (("--seed", "99999999999999999999999"), "--seed"),
    "unknown feed": (("--feed", "psychic"), "psychic"),
    "a feed of another version": (("--feed", "xrpl"), "--feed xrpl"),
    "an endpoint for a recording": (("--endpoint", "wss://example.org"), "--endpoint"),
    "unknown option": (("--sped", "3"), "--sped"),
}


@pytest.mark.parametrize("case", WRONG_OPTIONS)
def test_a_wrong_command_line_is_refused_before_anything_is_touched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    options, words = WRONG_OPTIONS[case]
    command = [*session_command(tmp_path / "neo.db"), *options]
    error = in_process(capsys, paper_parser(), command[1:]).error(2)
    assert words in error, error
    assert list(tmp_path.iterdir()) == []


WRONG_ORDERS = {
    "no header": "1,a,ask,2.1,5\n",
    "no orders": "offset,slot,side,price,size\n",
    "a word": "offset,slot,side,price,size\n1,a,ask,much,5\n",
    "a missing cell": "offset,slot,side,price,size\n1,a,ask,2.1\n",
    "an unknown side": "offset,slot,side,price,size\n1,a,sell,2.1,5\n",
    "a negative offset": "offset,slot,side,price,size\n-1,a,ask,2.1,5\n",
    "a broken offset": "offset,slot,side,price,size\n1.5,a,ask,2.1,5\n",
    "no price": "offset,slot,side,price,size\n1,a,ask,0,5\n",
    "NaN": "offset,slot,side,price,size\n1,a,ask,nan,5\n",
    "a size beyond all XRP": "offset,slot,side,price,size\n1,a,ask,2.1,1e30\n",
    "a price beyond the ledger": "offset,slot,side,price,size\n1,a,ask,1e90,5\n",
    "a cell without end": 'offset,slot,side,price,size\n1,"' + "a" * 200_000 + '",ask,2.1,5\n',
}


@pytest.mark.parametrize("case", WRONG_ORDERS)
def test_a_wrong_list_of_orders_is_refused_by_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    orders = tmp_path / "orders.csv"
    orders.write_text(WRONG_ORDERS[case], encoding="utf-8")
    command = ["replay", "--recording", CUT, "--orders", orders, "--db", tmp_path / "neo.db", "--json"]
    error = in_process(capsys, engine_parser(), command).error(2)
    assert "orders.csv" in error
    assert not (tmp_path / "neo.db").exists()


def test_fills_that_cannot_be_written_are_refused_before_the_run(tmp_path: Path) -> None:
    target = tmp_path / "nowhere" / "fills.csv"
    error = engine(
        "replay", "--recording", CUT, "--db", tmp_path / "neo.db", "--fills-csv", target, "--json"
    ).error(2)
    assert f"--fills-csv {target}: cannot be written" in error
    assert not (tmp_path / "neo.db").exists()


def test_a_refusal_looks_the_same_from_outside(tmp_path: Path) -> None:
    assert "--speed" in run([*session_command(tmp_path / "neo.db"), "--speed", "fast"]).error(2)
    assert "nowhere.yaml" in session(tmp_path / "neo.db", config=tmp_path / "nowhere.yaml").error(2)
    assert list(tmp_path.iterdir()) == []


# The database: code 3, and whatever lies there stays as it was.


def no_database(folder: Path, _used: Path) -> Path:
    path = folder / "neo.db"
    path.write_text("shopping list\n" * 100, encoding="utf-8")
    return path


def anothers_database(folder: Path, _used: Path) -> Path:
    path = folder / "neo.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE songs (title TEXT)")
    return path


def newer_schema(folder: Path, used: Path) -> Path:
    path = copied(used, folder)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO schema_migrations SELECT max(version) + 1, 'later', 'x', applied_at "
            "FROM schema_migrations"
        )
    return path


def edited_migration(folder: Path, used: Path) -> Path:
    path = copied(used, folder)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE schema_migrations SET sha256 = 'x' WHERE version = 1")
    return path


def damaged(folder: Path, used: Path) -> Path:
    path = copied(used, folder)
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * 40_000)
    return path


def a_folder(folder: Path, _used: Path) -> Path:
    path = folder / "neo.db"
    path.mkdir()
    return path


def in_no_folder(folder: Path, _used: Path) -> Path:
    return folder / "nowhere" / "neo.db"


def below_a_file(folder: Path, used: Path) -> Path:
    return copied(used, folder) / "neo.db"


def a_name_too_long(folder: Path, _used: Path) -> Path:
    return folder / ("n" * 300)


def a_lock_that_cannot_be_made(folder: Path, used: Path) -> Path:
    path = copied(used, folder)
    path.with_name("neo.db.lock").mkdir()
    return path


def a_wal_that_cannot_be_made(folder: Path, used: Path) -> Path:
    path = copied(used, folder)
    path.with_name("neo.db-wal").mkdir()
    return path


def backups_that_cannot_be_made(folder: Path, used: Path) -> Path:
    path = copied(used, folder)
    path.with_name("neo.db.backups").write_text("in the way", encoding="utf-8")
    return path


KNOWN_SCHEMA = len(load_migrations(migrations_folder()))
BAD_DATABASES: dict[Callable[[Path, Path], Path], str] = {
    no_database: "is not a database; give a file made by NEO",
    anothers_database: "is a database of another program",
    newer_schema: f"made by a newer NEO (schema {KNOWN_SCHEMA + 1}, this one knows {KNOWN_SCHEMA})",
    edited_migration: "migration 0001_initial was edited after it was applied",
    damaged: "restore the newest",
    a_folder: "is a folder; give the path of a database file",
    in_no_folder: "no such folder; make it, or give another --db",
    below_a_file: "no such folder; make it, or give another --db",
    a_name_too_long: "give another --db",
    a_lock_that_cannot_be_made: "the lock file cannot be made",
    a_wal_that_cannot_be_made: "check that its folder exists and may be written",
    backups_that_cannot_be_made: "check free space and permissions",
}


@pytest.mark.parametrize("make", BAD_DATABASES)
def test_a_database_that_cannot_be_used_is_refused_and_left_alone(
    tmp_path: Path, used: Path, make: Callable[[Path, Path], Path]
) -> None:
    db = make(tmp_path, used)
    real = tmp_path / "neo.db"
    before = real.read_bytes() if real.is_file() else None
    error = session(db).error(3)
    assert BAD_DATABASES[make] in error, error
    assert str(tmp_path) in error
    assert (real.read_bytes() if real.is_file() else None) == before


def test_a_database_in_use_by_another_engine_is_refused_by_its_process(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    process = started_session(db, recording=EMBEDDED, speed="60", ticks=5)
    error = session(db).error(3)
    assert f"{db}: in use by process {process.pid}" in error
    assert "session 1" in error
    process.terminate()
    assert finish(process).code == 143  # the first one never noticed
    assert rows(db, "SELECT count(*) FROM sessions") == [(1,)]
    check_database(db)


def test_a_database_locked_by_another_program_is_refused_at_the_start(tmp_path: Path, used: Path) -> None:
    db = copied(used, tmp_path)
    config = write_config(tmp_path, state__busy_timeout_ms=200)
    with closing(sqlite3.connect(db, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        error = session(db, config=config).error(3)
        assert "SQLITE_BUSY" in error
        assert "close the other program that writes to it" in error
    assert rows(db, "SELECT count(*) FROM sessions") == [(1,)]
    assert session(db).code == 0


def test_a_database_locked_in_the_middle_of_a_session_halts_it(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    config = write_config(tmp_path, state__busy_timeout_ms=100, state__outage_halt_seconds=0)
    process = started_session(db, config=config, speed="60", ticks=15)
    with closing(sqlite3.connect(db, isolation_level=None, timeout=5)) as other:
        other.execute("BEGIN EXCLUSIVE")
        done = finish(process, 30)
        other.execute("ROLLBACK")
    assert done.code == 4
    assert TRACEBACK not in done.err
    assert done.json["halt_reason"] == "state_failure"
    assert "SQLITE_BUSY" in done.json["halt_detail"]
    # Nothing could be written, not even the end; the next session closes the first.
    assert session(db).code == 0
    assert rows(db, "SELECT halt_reason FROM sessions") == [("unexpected_halt",), ("recording_ended",)]
    check_database(db)


def test_a_lock_that_passes_is_waited_for(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    config = write_config(tmp_path, state__busy_timeout_ms=100)
    process = started_session(db, config=config, speed="60", ticks=15)
    with closing(sqlite3.connect(db, isolation_level=None, timeout=5)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert process.stderr is not None
        assert "commit failed (1 of 3)" in process.stderr.readline()
        other.execute("ROLLBACK")
    done = finish(process)
    assert (done.code, done.json["halt_reason"]) == (0, "recording_ended")
    whole = session(tmp_path / "whole.db")
    assert done.json["fingerprint"] == whole.json["fingerprint"]
    check_database(db)


# A full disk: a limit on the size of files is the portable way to run out of space.


LIMITED = """
import os, resource, sys
size = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


def with_files_of_at_most(size: int, program: Sequence[Argument]) -> Done:
    return run(["-c", LIMITED, size, *program])


@pytest.mark.parametrize("size", [1_000, 50_000])
def test_a_disk_that_is_full_at_the_start_is_a_failed_start(tmp_path: Path, size: int) -> None:
    db = tmp_path / "neo.db"
    error = with_files_of_at_most(size, session_command(db)).error(3)
    assert "check its disk, quota and file size limit" in error
    assert session(db).code == 0  # what was left behind is no obstacle


@pytest.mark.parametrize("speed", ["max", "1000000"])
def test_a_disk_that_fills_up_halts_the_session_with_a_typed_reason(tmp_path: Path, speed: str) -> None:
    db = tmp_path / "neo.db"
    config = write_config(tmp_path, state__outage_halt_seconds=0)
    command = session_command(db, recording=EMBEDDED, speed=speed, config=config)
    done = with_files_of_at_most(250_000, command)
    assert done.code == 4
    assert TRACEBACK not in done.err
    stored = last_session(db)
    assert (
        stored["halt_reason"] == stored["state"]["halt.reason"] == done.json["halt_reason"] == "state_failure"
    )
    assert stored["halt_detail"] == done.json["halt_detail"]
    assert "check its disk, quota and file size limit" in stored["halt_detail"]
    assert rows(db, "SELECT count(*) FROM ticks") == [(stored["ticks"],)]
    check_database(db)
    assert session(db).json["halt_reason"] == "recording_ended"
    check_database(db)


# The recording: what can be read is used, what cannot is told.


def test_a_recording_cut_in_the_middle_is_used_as_far_as_it_goes(tmp_path: Path) -> None:
    db, cut = tmp_path / "neo.db", tmp_path / "cut.jsonl.gz"
    whole = CUT.read_bytes()
    cut.write_bytes(whole[: len(whole) * 2 // 3])
    done = session(db, recording=cut)
    assert (done.code, done.json["halt_reason"]) == (0, "recording_ended")
    assert 0 < done.json["ledgers"] < 60
    assert done.json["feed_faults"] == 1
    assert rows(db, "SELECT kind FROM feed_faults") == [("truncated_file",)]
    assert "ends in the middle" in done.err
    check_database(db)


def test_damaged_compression_is_a_fault_and_the_end(tmp_path: Path) -> None:
    db, bad = tmp_path / "neo.db", tmp_path / "bad.jsonl.gz"
    whole = gzip.compress(b"".join(gzip.decompress(CUT.read_bytes()).splitlines(keepends=True)[:40]))
    header = whole[:10]  # a second member follows the first, and its first block is of no known type
    bad.write_bytes(whole + header + b"\x07" * 1000)
    done = session(db, recording=bad)
    assert (done.code, done.json["halt_reason"]) == (0, "recording_ended")
    assert rows(db, "SELECT kind FROM feed_faults ORDER BY id DESC LIMIT 1") == [("unreadable_file",)]
    assert done.json["feed_faults"] == rows(db, "SELECT count(*) FROM feed_faults")[0][0]
    check_database(db)


def no_header(lines: list[bytes]) -> bytes:
    return b"\n".join(lines[1:])


def garbage(_lines: list[bytes]) -> bytes:
    return b"\x00\x01 no recording at all \xff" * 100


def nothing(_lines: list[bytes]) -> bytes:
    return b""


def header_of_half_a_line(lines: list[bytes]) -> bytes:
    return lines[0][: len(lines[0]) // 2]


def packed_garbage(lines: list[bytes]) -> bytes:
    return gzip.compress(garbage(lines))[:40]


def another_token(lines: list[bytes]) -> bytes:
    header = json.loads(lines[0])
    header["pair"]["quote"]["currency"] = "EUR"
    return b"\n".join([json.dumps(header).encode(), *lines[1:3]])


@pytest.mark.parametrize(
    "spoil", [no_header, garbage, nothing, header_of_half_a_line, packed_garbage, another_token]
)
def test_a_recording_that_cannot_begin_is_a_stored_startup_failure(
    tmp_path: Path, spoil: Callable[[list[bytes]], bytes]
) -> None:
    db, bad = tmp_path / "neo.db", tmp_path / "bad.jsonl"
    bad.write_bytes(spoil(recorded_lines(CUT)))
    error = session(db, recording=bad).error(3)
    stored = last_session(db)
    assert stored["halt_reason"] == stored["state"]["halt.reason"] == "startup_failure"
    assert stored["halt_detail"] == stored["state"]["halt.detail"]
    assert stored["halt_detail"] in error
    check_database(db)


def test_a_session_after_a_failed_start_knows_nothing_of_it(tmp_path: Path) -> None:
    db, bad = tmp_path / "neo.db", tmp_path / "bad.jsonl"
    bad.write_bytes(garbage([]))
    assert session(db, recording=bad).code == 3
    assert session(db).code == 0
    assert last_session(db)["state"]["halt.reason"] == "recording_ended"
    assert last_session(db)["state"]["halt.detail"] == "no further ledger"
    check_database(db)


def test_a_paper_account_below_its_reserve_cannot_begin(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    error = session(db, config=write_config(tmp_path, paper__start_xrp=1)).error(3)
    assert "raise paper.start_xrp" in error
    assert last_session(db)["halt_reason"] == "startup_failure"


def test_a_recording_with_a_header_alone_ends_at_once(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    recording = write_recording(tmp_path / "short.jsonl", recorded_lines(CUT)[:1])
    done = session(db, recording=recording)
    assert (done.code, done.json["halt_reason"], done.json["ledgers"]) == (0, "recording_ended", 0)
    check_database(db)


def test_a_reader_of_a_report_without_its_database_is_told(tmp_path: Path) -> None:
    done = run([ROOT / "summarize_paper_run.py", "--db", tmp_path / "nowhere.db", "--json"])
    assert "no such file" in done.error(2)
    process = start([ROOT / "summarize_paper_run.py", "--db", PAPER_YAML])
    assert "is not a database" in finish(process).error(3)
