"""A live session with a journal, played again: the same decisions, to the last byte of the fingerprint."""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.helpers import Done, engine, report, rows, wait_for
from tests.e2e.live_stage import Stage, Trader, furnished
from tests.e2e.server_process import Wire, server


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("replay")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))  # the account locks lie below it
        with (
            server("--market", "hostile", "--speed", "12", "--admin", "--seed", "4") as running,
            Wire(running.ws) as wire,
        ):
            yield Stage(running=running, wire=wire, issuer=furnished(wire), folder=folder, said=[])


def played(journal: Path) -> Done:
    """Play a journal into a database of its own."""
    return engine("replay", "--journal", journal, "--db", journal.with_suffix(".db"), "--json")


@pytest.fixture(scope="module")
def journals(stage: Stage) -> tuple[Trader, Path, Path, Done]:
    """A session that was killed while it quoted, and the one after it that found out what was left."""
    one = stage.trader(1)
    first, second = one.db.with_name("first.journal"), one.db.with_name("second.journal")
    process = one.quoting("--journal", first)
    wait_for("a fill or two", lambda: process.poll() is not None or bool(rows(one.db, "SELECT 1 FROM fills")))
    process.kill()
    process.communicate()
    done = one.ended(one.begin("--journal", second))
    assert done.code == 0, done.err
    return one, first, second, done


def assert_the_same(journal: Path, done: Done) -> None:
    """A journal played again makes the decisions of its session."""
    again = played(journal)
    assert again.code == 0, again.err
    kept = ("fingerprint", "ticks", "ledgers", "halt_reason", "fills", "account_value_rlusd", "fees_drops")
    assert {key: again.json[key] for key in kept} == {key: done.json[key] for key in kept}
    assert report(journal.with_suffix(".db"))["agrees"] is True


def test_a_journaled_session_played_again_makes_the_same_decisions(
    journals: tuple[Trader, Path, Path, Done],
) -> None:
    _one, _first, second, done = journals
    assert_the_same(second, done)


def test_a_session_on_a_server_that_charges_is_played_with_the_headroom_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with server("--market", "hostile", "--speed", "12", "--seed", "4") as running, Wire(running.ws) as wire:
        stage = Stage(running=running, wire=wire, issuer=furnished(wire), folder=tmp_path, said=[])
        one = stage.trader(1)
        journal = one.db.with_name("charged.journal")
        done = one.ended(one.begin("--journal", journal))
    assert done.code == 0, done.err
    lines = map(json.loads, gzip.decompress(journal.read_bytes()).splitlines())
    left = [float(line["value"]) for line in lines if line.get("kind") == "headroom"]
    assert len(set(left)) >= 5, left  # another figure with nearly every ledger
    assert min(left) < 100
    assert_the_same(journal, done)


def test_the_journal_of_a_killed_session_plays_to_the_tick_at_which_it_died(
    journals: tuple[Trader, Path, Path, Done],
) -> None:
    one, first, _second, _done = journals
    again = played(first)
    assert again.json["halt_reason"] == "risk_gateway_unhealthy"
    assert "the journal ends here" in again.json["halt_detail"]
    query = "SELECT lower(hex(fingerprint)) FROM ticks WHERE session_id = 1 ORDER BY tick"
    stored = rows(one.db, query)
    replayed = rows(first.with_suffix(".db"), query)
    # A tick may have been under way: its lines are in the journal, its rows are not in the database.
    common = min(len(stored), len(replayed))
    assert common >= len(stored) - 1
    assert replayed[:common] == stored[:common]


def test_what_was_lost_on_the_day_halts_the_next_session_and_its_replay_alike(stage: Stage) -> None:
    one = stage.trader(2)
    first = one.run("live", "--duration", "20s")
    assert first.code == 0, first.err
    with closing(sqlite3.connect(one.db)) as connection, connection:
        # Some 1,500 RLUSD more were lost by the last tick than it says; the day may cost 500.
        connection.execute(
            "UPDATE ticks SET account_value_rlusd = CAST(CAST(net_capital_rlusd AS REAL) - 1500 AS TEXT) "
            "WHERE id = (SELECT max(id) FROM ticks)"
        )
    journal = one.db.with_name("day.journal")
    second = one.run("live", "--duration", "20s", "--journal", journal)
    assert (second.code, second.json["halt_reason"]) == (4, "risk_max_loss")
    assert "in this UTC day (risk.max_daily_loss_rlusd 500)" in second.json["halt_detail"]
    again = played(journal)
    kept = ("fingerprint", "ticks", "halt_reason", "halt_detail")
    assert {key: again.json[key] for key in kept} == {key: second.json[key] for key in kept}


def test_a_journal_of_another_strategy_is_told_apart_at_the_first_order(
    journals: tuple[Trader, Path, Path, Done], tmp_path: Path
) -> None:
    _one, _first, second, _done = journals
    lines = gzip.decompress(second.read_bytes()).splitlines(keepends=True)
    head = json.loads(lines[0])
    head["session"]["config"]["strategy"]["base_offset_bps"] = "9"
    other = tmp_path / "other.journal"
    other.write_bytes(gzip.compress(json.dumps(head).encode() + b"\n" + b"".join(lines[1:])))
    done = played(other)
    assert done.code != 0
    assert "this is not the session that was written" in done.err


def test_a_journal_takes_no_configuration_and_no_orders_of_its_own(tmp_path: Path) -> None:
    done = engine(
        "replay", "--journal", tmp_path / "x", "--config", tmp_path / "y", "--db", tmp_path / "z.db"
    )
    assert done.error(2).startswith("error: --config: a journal has its own")
    missing = engine("replay", "--journal", tmp_path / "x", "--db", tmp_path / "z.db")
    assert missing.code != 0
    assert "cannot be opened" in missing.err
