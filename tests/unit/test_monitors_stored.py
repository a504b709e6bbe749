"""Readings in the database: one row each time a monitor's severity changed, found by its tick."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from benchmarks.state_workload import intent
from neo_engine.domain.severity import Reading, Severity
from tests.unit.state_fixture import opened, rows

SAID = tuple(
    Reading(monitor=f"monitor_{one.name.lower()}", severity=one, detail=f"{one.value} of 4")
    for one in Severity
)


def test_every_severity_is_stored_by_name_with_its_tick(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    with opened(db) as store:
        store.commit_intent(replace(intent(1), readings=SAID))
        store.commit_intent(intent(2))
        store.commit_intent(replace(intent(3), readings=SAID[:1]))
    told = rows(db, "SELECT session_id, tick, monitor, severity, detail FROM monitor_readings ORDER BY id")
    assert told == [(1, 1, one.monitor, one.severity.name, one.detail) for one in SAID] + [
        (1, 3, "monitor_normal", "NORMAL", "0 of 4")
    ]
    of_tick = rows(
        db, "SELECT count(*) FROM ticks t JOIN monitor_readings r ON r.id >> 5 = t.id WHERE t.tick = 1"
    )
    assert of_tick == [(len(SAID),)]


@pytest.mark.parametrize(
    ("number", "severity"), [((1 << 32 | 1) << 5, "WORSE"), ((1 << 32 | 2) << 5, "WARN"), (1, "WARN")]
)
def test_a_row_of_another_tick_or_an_unknown_severity_is_refused(
    tmp_path: Path, number: int, severity: str
) -> None:
    db = tmp_path / "neo.db"
    with opened(db) as store:
        store.commit_intent(intent(1))
    insert = "INSERT INTO monitor_readings VALUES (?, 1, 1, 'cascade', ?, '')"
    with closing(sqlite3.connect(db)) as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute(insert, (number, severity))
