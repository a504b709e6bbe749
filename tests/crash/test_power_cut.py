"""A power cut under the database: what each `synchronous` level promises is kept, and the check can fail."""

from __future__ import annotations

import shutil
import sys

import pytest

from tools.power_cut import run

CUTS, TICKS, SEED = 60, 60, 7

needs_compiler = pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("cc") is None,
    reason="the recording library is for Linux and is built with cc",
)


@needs_compiler
def test_with_full_no_tick_that_was_told_is_lost_by_a_power_cut() -> None:
    cuts, deeds = run(CUTS, TICKS, "FULL", SEED)
    assert deeds > TICKS
    assert [one for one in cuts if one.problems] == []
    assert all(one.stored >= one.told for one in cuts)
    assert len({one.told for one in cuts}) > TICKS // 4, "the cuts fall on many different ticks"


@needs_compiler
def test_with_normal_a_power_cut_leaves_a_whole_database_that_may_lack_the_last_ticks() -> None:
    cuts, _deeds = run(CUTS, TICKS, "NORMAL", SEED)
    assert [one for one in cuts if one.problems] == []
    assert any(one.stored < one.told for one in cuts), "else the cuts take nothing away that was not synced"


@needs_compiler
def test_without_syncs_the_same_cuts_break_the_database() -> None:
    # Which pages the cuts take follows the writer's pace too, so one run may be lucky; five are not.
    runs = (run(CUTS, TICKS, "OFF", seed)[0] for seed in range(SEED, SEED + 5))
    assert any(one.problems for cuts in runs for one in cuts)
