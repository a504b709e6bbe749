"""Series are thinned without losing a peak, and the pictures can always be drawn."""

from __future__ import annotations

import math
import struct
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neo_engine.report.data import read_session
from neo_engine.report.files import ReportError, write_file
from neo_engine.report.plots import INVENTORY_FILE, PRICES_FILE, plot_session
from neo_engine.report.series import holdings_series, market_series, thin
from neo_engine.state.queries import open_readonly
from tests.unit.report_fixture import build_large, build_small, new_database

VALUES = st.lists(st.none() | st.integers(-1000, 1000), max_size=300)


def thinned(values: list[int | None], limit: int) -> list[tuple[int, float]]:
    return thin(np.arange(len(values)), np.array(values, dtype=np.float64), limit)


@given(values=VALUES, limit=st.integers(2, 40))
def test_thinning_keeps_the_extremes_and_invents_nothing(values: list[int | None], limit: int) -> None:
    points = [(at, value) for at, value in thinned(values, limit) if not math.isnan(value)]
    given_values = [value for value in values if value is not None]
    assert all(values[at] == value for at, value in points)
    assert [at for at, _ in points] == sorted({at for at, _ in points})
    if given_values:
        kept = [value for _, value in points]
        assert (min(kept), max(kept)) == (min(given_values), max(given_values))
    assert len(points) <= max(limit, 2) + 1


@given(values=VALUES)
def test_a_short_series_is_kept_whole(values: list[int | None]) -> None:
    points = [(at, value) for at, value in thinned(values, 1000) if not math.isnan(value)]
    assert points == [(at, value) for at, value in enumerate(values) if value is not None]


def test_a_gap_breaks_the_line_once() -> None:
    points = thinned([1, None, None, 4], 100)
    assert [at for at, _ in points] == [0, 1, 3]
    assert math.isnan(points[1][1])


def test_the_series_of_a_session_are_its_rows(tmp_path: Path) -> None:
    build_small(tmp_path / "neo.db")
    with closing(open_readonly(tmp_path / "neo.db")) as connection:
        data = read_session(connection, 1, "RLUSD")
    market, holdings = market_series(data.columns, data.fills), holdings_series(data.columns, data.limits)
    assert [value for _, value in market.buys] == [1.99]
    assert [value for _, value in market.sells] == [2.02, 2.01]
    assert market.sells_bps[0][1] == pytest.approx(100)  # 2.02 against a mid of 2
    assert market.mid[-1][1] == 2.02
    assert (holdings.max_xrp, holdings.max_quote) == (150, 400)
    assert holdings.xrp[-1][1] == 80
    assert holdings.profit[-1][1] == pytest.approx(2.2199151600001)


def size_of(png: bytes) -> tuple[int, int]:
    """Width and height from the header of a PNG file (PNG specification, section 11.2.2)."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", png[16:24])
    return int(width), int(height)


@pytest.mark.parametrize("ticks", [0, 1, 5_000])
def test_both_pictures_can_be_drawn_of_any_session(tmp_path: Path, ticks: int) -> None:
    path = tmp_path / "neo.db"
    if ticks:
        build_large(path, ticks)
    else:
        with closing(new_database(path)) as connection:
            connection.execute(
                "INSERT INTO sessions (session_id, mode, feed, started_at, engine_version) "
                "VALUES (1, 'paper', 'recorded', '2026-01-02T04:00:00Z', '0.1.0')"
            )
    with closing(open_readonly(path)) as connection:
        files = plot_session(read_session(connection, 1, "RLUSD"), "NEO session 1")
    assert set(files) == {PRICES_FILE, INVENTORY_FILE}
    assert all(size_of(png) >= (1000, 800) for png in files.values())


def test_a_file_that_cannot_be_written_is_named_with_the_fix(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ReportError, match=r"plot\.png: cannot be written .*; give a path"):
        write_file(tmp_path / "file" / "plot.png", b"")
