"""The engine as a process, in real time, through faults and a kill: the zeros of the table are zero."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.check_live import ask
from tools.soak import Plan, soak
from tools.soak_report import Sample, Soak, descriptors, failed, longest, memory_slope, slope, table, zeros

MINUTES, SPEED, SEED = 0.9, 8, 3


@pytest.mark.slow
def test_a_minute_of_faults_loses_nothing_and_ends_as_asked(tmp_path: Path) -> None:
    plan = Plan(minutes=MINUTES, seed=SEED, speed=SPEED, kills=1, market="calm")
    done = soak(plan, tmp_path)
    db = tmp_path / "live.db"
    told = table(done, db)
    assert zeros(done, db) == {
        "unhandled exceptions": [],
        "invalid orders": [],
        "rows lost": [],
        "not ended as asked": [],
    }, told
    assert not failed(done, db)
    assert len(done.shown) >= 4
    assert len(done.killed) == 1
    assert done.counts["transactions"] > 0
    assert ask(db, "SELECT count(*) FROM ticks WHERE quoting <> 'none'")[0][0] > 0, told


def sample(seconds: float, pid: int, kilobytes: int, files: int = 10) -> Sample:
    return Sample(seconds=seconds, pid=pid, resident_kb=kilobytes, descriptors=files, wal_bytes=0)


def test_the_slope_is_that_of_least_squares() -> None:
    # By hand: means 1 and 2; (-1)(-1) + 0(-1) + 1*2 = 3 over 1 + 0 + 1 = 2.
    assert slope([(0.0, 1.0), (1.0, 1.0), (2.0, 4.0)]) == 1.5
    assert slope([(1.0, 5.0)]) == 0.0
    assert slope([]) == 0.0


def test_memory_and_descriptors_are_those_of_the_longest_session_without_its_beginning() -> None:
    seen = [sample(0.0, 1, 999)] + [sample(60.0 * at, 2, 100 * at, 10 + at) for at in range(9)]
    assert {one.pid for one in longest(seen)} == {2}
    assert memory_slope(seen) == pytest.approx(100.0)
    # Four samples of its leaving and a third of the other five are left out.
    assert descriptors(seen) == (11, 14)
    assert descriptors([]) == (0, 0)


def test_whatever_must_be_zero_and_is_not_fails_the_soak(tmp_path: Path) -> None:
    plan = Plan(minutes=0.0, seed=1, speed=SPEED, kills=0, market="calm")
    done = soak(plan, tmp_path)
    db = tmp_path / "live.db"
    assert not failed(done, db), table(done, db)
    for changed in (
        {"tracebacks": 1},
        {"codes": (1,)},
        {"codes": (-6,)},
        {"differences": ("lost fill: one",)},
        {"wrong": ("flatten ended with 4",)},
    ):
        worse = Soak(**{name: getattr(done, name) for name in Soak.__struct_fields__} | changed)
        assert failed(worse, db), changed
