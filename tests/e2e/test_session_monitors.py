"""A whole session whose monitors speak: what they said is on disk, and the gates say the same."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from tests.e2e.helpers import check_database, rows, session, write_config


def test_a_sweep_pulls_the_quotes_and_is_told_with_its_numbers(tmp_path: Path) -> None:
    config = write_config(tmp_path, monitors__cascade_pull=0.001)
    db = tmp_path / "neo.db"
    assert session(db, config=config).code == 0
    told = rows(
        db, "SELECT tick, severity, detail FROM monitor_readings WHERE monitor = 'cascade' ORDER BY id"
    )
    assert {severity for _tick, severity, _detail in told} == {"PULL_QUOTES", "NORMAL"}
    assert all(one[1] != other[1] for one, other in pairwise(told))
    assert all("(monitors.cascade_pull 0.001)" in detail for _tick, one, detail in told if one != "NORMAL")
    pulled = {tick for tick, severity, _detail in told if severity == "PULL_QUOTES"}
    closed = rows(
        db,
        "SELECT t.tick, t.quoting FROM ticks t, json_each(t.gates) g "
        "WHERE g.value ->> 'name' = 'Cascade' AND g.value ->> 'side' = 'both'",
    )
    assert pulled <= {tick for tick, _quoting in closed}
    assert {quoting for _tick, quoting in closed} == {"none"}
    check_database(db)


def test_a_kill_of_a_monitor_ends_the_session_with_its_numbers(tmp_path: Path) -> None:
    config = write_config(tmp_path, monitors__cascade_pull=0.001, monitors__cascade_kill=0.002)
    db = tmp_path / "neo.db"
    done = session(db, config=config)
    assert (done.code, done.json["halt_reason"]) == (4, "kill_switch")
    assert done.json["halt_detail"].startswith("monitor cascade: ")
    assert "monitors.cascade_kill 0.002" in done.json["halt_detail"]
    last = rows(db, "SELECT monitor, severity FROM monitor_readings WHERE severity = 'KILL'")
    assert last == [("cascade", "KILL")]
    assert rows(db, "SELECT count(*) FROM orders WHERE status IN ('OPEN', 'PARTIALLY_FILLED')") == [(0,)]
    check_database(db)
