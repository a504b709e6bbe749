"""The pages of many sessions: what is drawn of them, that no extreme is lost, and that they stay small."""

from __future__ import annotations

import math
import random
import re
import sqlite3
from contextlib import closing
from decimal import Decimal as D
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from neo_engine.report.charts_many import MOST_BARS, comparison_panels, several_panels
from neo_engine.report.command import main
from neo_engine.report.compare import compare_with_courses
from neo_engine.report.courses import POINTS, Course, course_of, end_to_end, fewer, starts_of
from neo_engine.report.data import read_session
from neo_engine.report.html import many_tiles
from neo_engine.report.series import Point
from neo_engine.report.several import together_with_courses
from neo_engine.state.queries import open_readonly
from tests.unit.report_rows import capital, fill, order, random_session, session, start, tick

MAX_PAGE_BYTES = 3_000_000


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """Random fills in session 1, ticks and no fill in 2, nothing at all in 3."""
    path = tmp_path / "neo.db"
    random_session(path, 4, ticks=60)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        session(connection, 2)
        for at in range(1, 5):
            tick(connection, at, session_id=2, bid="1.99", ask="2.01", mark="2", value=str(at))
        session(connection, 3)
    return path


def titles(html: str) -> list[str]:
    return re.findall(r"<figure><h3>([^<]*)</h3>", html)


def test_the_page_of_many_sessions_has_figures_and_drawings(three: Path, tmp_path: Path) -> None:
    page = tmp_path / "many.html"
    assert main(["--db", str(three), "--from", "1", "--html", str(page)]) == 0
    html = page.read_text(encoding="utf-8")
    assert titles(html) == [
        "P&amp;L, one session after the other",
        "P&amp;L by session",
        "Where it came from",
        "Account value",
        "Markouts",
    ]
    assert html.count('<div class="tile ') == 8
    assert "What 3 sessions earned" in html
    assert "<script" not in html
    assert not re.search(r'(?:src|href)="http', html)


def test_the_page_of_a_comparison_draws_the_sessions_over_each_other(three: Path, tmp_path: Path) -> None:
    page = tmp_path / "beside.html"
    assert main(["--db", str(three), "--compare", "1", "2", "3", "--html", str(page)]) == 0
    html = page.read_text(encoding="utf-8")
    assert titles(html) == ["P&amp;L", "Beyond holding", "Markouts", "Fills", "XRP held"]
    assert "Session 3 against session 1" in html
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_sessions_without_any_tick_have_pages_without_drawings(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with closing(start(path)) as connection:
        session(connection, 2)
    for options in (["--from", "1"], ["--compare", "1", "2"]):
        page = tmp_path / "page.html"
        assert main(["--db", str(path), *options, "--html", str(page)]) == 0
        html = page.read_text(encoding="utf-8")
        assert ("<figure" in html, "<table" in html) == (False, True)


def test_the_differences_are_drawn_where_there_are_blocks_enough(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    chance = random.Random(3)
    with closing(start(path)) as connection:
        connection.execute("BEGIN")
        session(connection, 2)
        for session_id in (1, 2):
            for at in range(1, 901):
                value = str(chance.gauss(0, 1) + session_id * at / 100)
                tick(connection, at, session_id=session_id, bid="1.99", ask="2.01", mark="2", value=value)
        connection.execute("COMMIT")
    with closing(open_readonly(path)) as connection:
        found, courses = compare_with_courses(connection, [1, 2])
    drawn = {one.title: one.svg for one in comparison_panels(found, courses)}
    assert "Session 2 less session 1" in drawn
    assert ">P&amp;L<" in drawn["Session 2 less session 1"]


def test_beyond_holding_is_the_profit_less_what_the_price_did_to_capital(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with closing(start(path)) as connection:
        capital(connection, "opening", "XRP", "10", mark="2", at=1, name="a")
        for at, mark, value in ((1, None, "0"), (2, "2", "0"), (3, "2.5", "7"), (4, "2.4", "5")):
            tick(connection, at, mark=mark, value=value)
    with closing(open_readonly(path)) as connection:
        course = course_of(connection, read_session(connection, 1, "RLUSD"))
    assert [value for _, value in course.profit] == [0, 7, 5]
    assert [value for _, value in course.trading] == pytest.approx([0, 7 - 5, 5 - 4])  # 10 XRP x 0.5, x 0.4
    assert (course.profit[0][0] > 0, course.profit[-1][0]) == (True, course.seconds)


def course(session_id: int, profit: list[Point], seconds: int) -> Course:
    return Course(
        session_id=session_id, quote_symbol="RLUSD", seconds=seconds, profit=profit, trading=[], value=profit,
        xrp=[], fills=[], half_spread=[], markouts=None,  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_sum_begins_where_the_session_before_ended_and_the_line_breaks_between() -> None:
    courses = (
        course(1, [(0, 0.0), (10, 5.0)], 10),
        course(2, [], 4),
        course(3, [(0, 1.0), (6, -2.0)], 6),
    )
    assert starts_of(courses) == [0, 10, 14, 20]
    added = end_to_end(courses, lambda one: one.profit, added_up=True)
    assert [point for point in added if not math.isnan(point[1])] == [(0, 0), (10, 5), (14, 6), (20, 3)]
    assert [at for at, value in added if math.isnan(value)] == [10, 20]
    each = end_to_end(courses, lambda one: one.value, added_up=False)
    assert [point for point in each if not math.isnan(point[1])] == [(0, 0), (10, 5), (14, 1), (20, -2)]


@pytest.mark.parametrize("count", [1, 3, 50, 400])
def test_thinning_for_many_sessions_keeps_the_extremes_and_the_end_of_each(count: int) -> None:
    chance = np.random.default_rng(count)
    courses = []
    for number in range(count):
        values = chance.normal(0, 1, POINTS).round(6).tolist()
        courses.append(course(number, list(enumerate(values)), POINTS - 1))
    chain = end_to_end(tuple(courses), lambda one: one.value, added_up=False)
    assert len(chain) <= max(POINTS + 2 * count, 6 * count)
    starts = starts_of(tuple(courses))
    for one, begin, end in zip(courses, starts, starts[1:], strict=False):
        kept = [value for at, value in chain if begin <= at <= end and not math.isnan(value)]
        values = [value for _, value in one.value]
        assert {min(values), max(values), values[-1]} <= set(kept)


def test_a_series_with_room_is_left_alone() -> None:
    points: list[Point] = [(0, 1.0), (1, 2.0)]
    assert fewer(points, 2) is points


def test_many_sessions_get_no_bar_each_and_a_small_page(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    count = MOST_BARS + 1
    with closing(start(path)) as connection:
        connection.execute("BEGIN")
        for session_id in range(1, count + 1):
            if session_id > 1:
                session(connection, session_id, started_at="2026-01-01T03:04:05Z")
            for at in range(1, 30):
                tick(
                    connection, at, session_id=session_id, bid="1.99", ask="2.01", mark="2", value=str(at % 7)
                )
        connection.execute("COMMIT")
    page = tmp_path / "many.html"
    assert main(["--db", str(path), "--from", "1", "--html", str(page)]) == 0
    html = page.read_text(encoding="utf-8")
    assert "P&amp;L by session" not in titles(html)
    assert len(html.encode()) < MAX_PAGE_BYTES / 10
    assert main(["--db", str(path), "--from", "1", "--to", str(MOST_BARS), "--html", str(page)]) == 0
    assert "P&amp;L by session" in titles(page.read_text(encoding="utf-8"))


def test_the_head_of_many_sessions_adds_up_and_counts(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with closing(start(path, ended_at="2026-01-01T04:00:00Z", halt_reason="duration_elapsed")) as connection:
        session(connection, 2, ended_at="2026-01-02T04:00:00Z", halt_reason="max_loss")
        for at in (1, 2):
            tick(connection, at, bid="1.99", ask="2.01", mark="2", quoting="both" if at == 1 else "none")
        order(connection, 1, "buy")
        fill(connection, 1, "buy", 10_000_000, "19.9", at=1, mid="2")
    with closing(open_readonly(path)) as connection:
        several, courses = together_with_courses(connection, [1, 2])
    head = {one.name: one for one in many_tiles(several)}
    assert (head["P&L"].value, head["P&L"].mood) == ("+0.100", "up")
    assert head["Fills"].value == "1"
    assert (head["Quoting"].value, head["Quoting"].beside) == ("50.0 %", "of 2 ticks")
    assert (head["Ended as planned"].value, head["Ended as planned"].mood) == ("1 of 2", "down")
    assert head["Within 2 bps of the touch"].value == "-"  # no offer stood
    lost = replace(several, parts={**several.parts, "total": D("-1")})
    assert {one.name: one.mood for one in many_tiles(lost)}["P&L"] == "down"
    assert "+0.1" in "".join(one.svg for one in several_panels(several, courses))
