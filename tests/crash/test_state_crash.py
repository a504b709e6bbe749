"""A writer killed at any moment: the database is whole and holds whole ticks only."""

from __future__ import annotations

import random
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.state_workload import expected_rows
from neo_engine.state.manager import StateManager
from tests.unit.state_fixture import OPTIONS, counts, one, python, rows

KILLS = 20
SEED = 20261120
WRITER = """
import sys
from msgspec.structs import replace
from pathlib import Path
from benchmarks.state_workload import intent, outcome, session_start
from neo_engine.state.manager import StateManager
from tests.unit.state_fixture import OPTIONS

options = replace(OPTIONS, group_commit_ticks=int(sys.argv[2]), checkpoint_interval_seconds=0.02)
store = StateManager.open(Path(sys.argv[1]), options)
store.begin_session(session_start())
tick = 0
while True:
    tick += 1
    store.commit_intent(intent(tick))
    answer = outcome(tick)
    if answer is not None:
        store.commit_outcome(answer)
    print(tick, flush=True)
"""


def killed(process: subprocess.Popen[str], after_seconds: float) -> int:
    """Kill the writer some time after its first tick and return the last tick it called committed."""
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    time.sleep(after_seconds)
    process.kill()
    # Not communicate(): it would pass over what readline() has already taken into its buffer.
    told = process.stdout.read()
    process.communicate(timeout=30)
    return max([1, *(int(line) for line in told.split("\n")[:-1] if line)])


@pytest.mark.slow
@pytest.mark.parametrize("group", [1, 10])
def test_a_writer_killed_at_random_leaves_whole_ticks_and_loses_none_it_committed(
    tmp_path: Path, group: int
) -> None:
    moments = random.Random(SEED + group)
    for number in range(KILLS):
        path = tmp_path / f"{number}.db"
        last = killed(python(WRITER, path, group), moments.uniform(0, 0.12))
        with closing(StateManager.open(path, OPTIONS)) as store:
            assert store.recovered.sessions == (1,)
        ticks = one(path, "SELECT count(*) FROM ticks")
        assert isinstance(ticks, int)
        told = f"seed {SEED + group}, kill {number}: {last} ticks told, {ticks} on disk"
        assert one(path, "SELECT coalesce(max(tick), 0) FROM ticks") == ticks, told
        assert last - group < ticks <= last + group, told
        assert group > 1 or ticks >= last, told
        assert ticks % group == 0, told
        expected = expected_rows(ticks)
        assert counts(path, list(expected)) == expected, told
        assert one(path, "PRAGMA integrity_check") == "ok", told
        assert rows(path, "PRAGMA foreign_key_check") == [], told
        assert one(path, "SELECT halt_reason FROM sessions") == "unexpected_halt", told
