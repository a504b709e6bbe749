"""One recording, one configuration, one seed: one session, however fast it runs and wherever it is stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.helpers import (
    CUT,
    EMBEDDED,
    all_rows,
    check_database,
    engine,
    recorded_lines,
    rows,
    session,
    write_config,
    write_recording,
)

ROW_NUMBERS = ("session_id", "id", "order_id", "fill_id", "replaces_order", "scope", "request_id")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A database with one session at full speed, group commits on, and what the session printed."""
    db = tmp_path_factory.mktemp("first") / "neo.db"
    done = session(db)
    assert done.code == 0, done.err
    return db, done.json


def chain(db: Path) -> list[str]:
    """The fingerprint after each tick of the newest session."""
    query = (
        "SELECT hex(fingerprint) FROM ticks WHERE session_id = "
        "(SELECT max(session_id) FROM sessions) ORDER BY tick"
    )
    return [row[0] for row in rows(db, query)]


def test_the_printed_fingerprint_is_the_stored_one_and_the_last_link_of_the_chain(
    first: tuple[Path, dict[str, Any]],
) -> None:
    db, printed = first
    assert rows(db, "SELECT fingerprint FROM sessions") == [(printed["fingerprint"],)]
    assert chain(db)[-1].lower() == printed["fingerprint"]
    assert printed["fills"] > 0  # an empty session would make every test here pass
    check_database(db)


def test_the_same_again_gives_the_same_fingerprint_and_the_same_rows(
    first: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    db, printed = first
    assert session(tmp_path / "neo.db").json["fingerprint"] == printed["fingerprint"]
    assert all_rows(tmp_path / "neo.db") == all_rows(db)


def test_another_seed_gives_another_fingerprint(first: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    assert session(tmp_path / "neo.db", seed=2).json["fingerprint"] != first[1]["fingerprint"]


@pytest.mark.parametrize("speed", ["1000000", "300"])
def test_a_commit_a_tick_and_pacing_change_no_decision_and_no_row(
    first: tuple[Path, dict[str, Any]], tmp_path: Path, speed: str
) -> None:
    db, printed = first
    done = session(tmp_path / "neo.db", speed=speed)
    assert done.json["fingerprint"] == printed["fingerprint"]
    assert all_rows(tmp_path / "neo.db") == all_rows(db)


def test_the_size_of_a_group_commit_changes_no_row(
    first: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    db, printed = first
    config = write_config(tmp_path, state__group_commit_ticks=7)
    assert session(tmp_path / "neo.db", config=config).json["fingerprint"] == printed["fingerprint"]
    assert all_rows(tmp_path / "neo.db") == all_rows(db)


def test_a_database_that_holds_other_sessions_changes_no_decision(
    first: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    db, printed = first
    used = tmp_path / "neo.db"
    session(used, seed=2)
    assert session(used).json["fingerprint"] == printed["fingerprint"]
    assert chain(used) == chain(db)
    check_database(used)
    mine = {
        name: [{key: one[key] for key in one if key not in ROW_NUMBERS} for one in found if _second(one)]
        for name, found in all_rows(used).items()
    }
    alone = {
        name: [{key: one[key] for key in one if key not in ROW_NUMBERS} for one in found]
        for name, found in all_rows(db).items()
    }
    assert mine == alone


def _second(row: dict[str, Any]) -> bool:
    return bool(row["session_id"] == 2)


@pytest.mark.parametrize("ledgers", [1, 12, 25, 26, 41, 59])
def test_a_recording_cut_off_gives_the_same_decisions_up_to_the_cut(
    first: tuple[Path, dict[str, Any]], tmp_path: Path, ledgers: int
) -> None:
    """No look-ahead: what comes after a ledger cannot change what was decided at it."""
    short = write_recording(tmp_path / "short.jsonl", recorded_lines(CUT)[: ledgers + 1])
    assert session(tmp_path / "neo.db", recording=short).code == 0
    links = chain(tmp_path / "neo.db")
    assert len(links) == ledgers + 1  # and the tick that closes what still works
    assert links[:ledgers] == chain(first[0])[:ledgers]


def test_a_session_and_its_replay_are_equal(first: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    done = engine("replay", "--recording", CUT, "--db", tmp_path / "neo.db", "--json")
    assert done.json["fingerprint"] == first[1]["fingerprint"]


def test_the_embedded_recording_gives_equal_rows_in_both_ways_of_committing(tmp_path: Path) -> None:
    one = session(tmp_path / "one.db", recording=EMBEDDED)
    other = session(tmp_path / "other.db", recording=EMBEDDED, speed="1000000")
    assert one.json["fingerprint"] == other.json["fingerprint"]
    assert all_rows(tmp_path / "one.db") == all_rows(tmp_path / "other.db")
    check_database(tmp_path / "one.db")
    check_database(tmp_path / "other.db")
