"""The page: drawings in the page's colours with their numbers whole, for every kind of session."""

from __future__ import annotations

import re
from contextlib import closing
from decimal import Decimal as D
from pathlib import Path

import pytest
from msgspec.structs import replace

from neo_engine.report.charts import INK, panels
from neo_engine.report.command import main
from neo_engine.report.html import page, tiles
from neo_engine.report.model import SessionSummary
from neo_engine.report.summary import summarize_with_data
from neo_engine.state.lock import InstanceLock, database_lock_path
from neo_engine.state.queries import open_readonly
from tests.unit.report_fixture import build_large, build_small
from tests.unit.report_rows import start, tick

pytestmark = pytest.mark.slow

MAX_PAGE_BYTES = 3_000_000


def made(path: Path) -> tuple[SessionSummary, str]:
    with closing(open_readonly(path)) as connection:
        summary, data = summarize_with_data(connection, 1)
    return summary, page(summary, panels(summary, data))


def texts(html: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", html)


def test_a_drawing_takes_its_colours_from_the_page_and_keeps_none_of_its_own(tmp_path: Path) -> None:
    build_small(tmp_path / "neo.db")
    _, html = made(tmp_path / "neo.db")
    drawn = "".join(re.findall(r"<svg.*?</svg>", html, flags=re.S))
    assert not [colour for colour in INK.values() if colour in drawn]
    own = set(re.findall(r"#[0-9a-fA-F]{6}\b", drawn))
    assert own <= {"#000000", "#ffffff"}
    assert all(f"--{name}:" in html for name in INK)


def test_the_numbers_of_a_drawing_are_whole_though_its_lines_are_rounded(tmp_path: Path) -> None:
    build_small(tmp_path / "neo.db")
    _, html = made(tmp_path / "neo.db")
    told = texts(html)
    assert "+0.65" in told  # the spread captured
    assert "+2.22" in told  # the total
    assert not re.search(r' d="[^"]*\d\.\d\d', html)


def test_two_drawings_share_no_id(tmp_path: Path) -> None:
    build_small(tmp_path / "neo.db")
    _, html = made(tmp_path / "neo.db")
    ids = re.findall(r' id="([^"]+)"', html)
    assert ids
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(#|href="#)([^")]+)', html)) <= set(ids)


def test_the_same_session_gives_the_same_page(tmp_path: Path) -> None:
    build_small(tmp_path / "neo.db")
    assert made(tmp_path / "neo.db")[1] == made(tmp_path / "neo.db")[1]


@pytest.mark.parametrize("ticks", [0, 1, 2])
def test_a_session_of_few_ticks_has_a_page(tmp_path: Path, ticks: int) -> None:
    with closing(start(tmp_path / "neo.db")) as connection:
        for at in range(1, ticks + 1):
            tick(connection, at, bid="1.99", ask="2.01", mark="2", value="-1")
    summary, html = made(tmp_path / "neo.db")
    assert "No fills" in html
    assert html.count("<svg") == (0 if ticks == 0 else 6)
    assert summary.fills.count == 0


def test_a_session_that_never_saw_a_price_has_a_page(tmp_path: Path) -> None:
    with closing(start(tmp_path / "neo.db")) as connection:
        tick(connection, 1, gates=(("NoBook", "both", "nobody bids"),))
        tick(connection, 2, bid="1.99")
    _, html = made(tmp_path / "neo.db")
    assert "No price was seen" in html


def test_a_page_stays_small_whatever_the_session_is(tmp_path: Path) -> None:
    build_large(tmp_path / "neo.db", 30_000)
    _, html = made(tmp_path / "neo.db")
    assert len(html.encode()) < MAX_PAGE_BYTES / 2


def test_negative_inventory_is_shown_as_it_is(tmp_path: Path) -> None:
    with closing(start(tmp_path / "neo.db")) as connection:
        tick(connection, 1, bid="1.99", ask="2.01", mark="2", inventory_xrp_drops=-5_000_000)
    summary, html = made(tmp_path / "neo.db")
    assert summary.risk.exposure[0].lowest == -5
    assert "-5.00" in html


def test_foreign_letters_and_tags_of_the_database_are_text(tmp_path: Path) -> None:
    detail = 'caf\u00e9 \u4e2d <script>x</script> & "q"'
    with closing(start(tmp_path / "neo.db", halt_reason="kill_switch", halt_detail=detail)) as connection:
        tick(connection, 1, gates=(("<b>Any</b>", "both", detail),))
    _, html = made(tmp_path / "neo.db")
    assert "<script" not in html
    assert "<b>Any" not in html
    assert "caf\u00e9 \u4e2d &lt;script&gt;" in html


def test_the_head_says_what_counts_and_colours_it(tmp_path: Path) -> None:
    build_small(tmp_path / "neo.db")
    summary, _ = made(tmp_path / "neo.db")
    head = {one.name: one for one in tiles(summary)}
    assert (head["P&L"].value, head["P&L"].mood) == ("+2.220", "up")
    assert head["Ended"].mood == ""
    parts = summary.attribution
    assert parts is not None
    lost = replace(summary, attribution=replace(parts, total=D("-0.0004"), trading=D(0)))
    told = {one.name: (one.value, one.mood) for one in tiles(lost)}
    assert told["P&L"] == ("-0.000", "down")
    assert told["Trading, beyond holding"] == ("+0.000", "")


LONG = "sellers took 5.3551 of the near depth in 8 ledgers in a row (monitors.cascade_kill 5) and more"


def test_a_page_shows_a_detail_whole_and_a_terminal_cuts_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(start(tmp_path / "neo.db")) as connection:
        tick(connection, 1, gates=(("Cascade", "both", LONG),))
    _, html = made(tmp_path / "neo.db")
    assert f'<td class="t d">{LONG}</td>' in html
    assert main(["--db", str(tmp_path / "neo.db")]) == 0
    told = capsys.readouterr().out
    assert "sellers took 5.3551" in told
    assert "r..." in told  # of "row", where 57 characters end
    assert "monitors.cascade_kill" not in told


@pytest.mark.parametrize(
    ("reason", "told"), [("kill_switch", True), ("duration_elapsed", False), (None, False)]
)
def test_a_halted_session_says_why_at_the_top(tmp_path: Path, reason: str | None, told: bool) -> None:
    more = {} if reason is None else {"halt_reason": reason, "ended_at": "2026-01-01T04:00:00Z"}
    with closing(start(tmp_path / "neo.db", halt_detail=LONG, **more)) as connection:
        tick(connection, 1)
    _, html = made(tmp_path / "neo.db")
    assert (f'<p class="bad">Halted: {LONG}</p>' in html) is told


def test_what_closed_quoting_most_is_told_where_it_was_closed_half_of_the_time(tmp_path: Path) -> None:
    gates = (("Warmup", "both", "1 of 10"),)
    with closing(start(tmp_path / "neo.db")) as connection:
        for at in (1, 2):
            tick(connection, at, gates=gates if at == 1 else (), quoting="none" if at == 1 else "both")
    summary, _ = made(tmp_path / "neo.db")
    assert {one.name: one.beside for one in tiles(summary)}["Quoting"] == "of 2 ticks; most closed by Warmup"
    rarer = replace(summary, uptime=replace(summary.uptime, ticks=3, both=2))
    assert {one.name: one.beside for one in tiles(rarer)}["Quoting"] == "of 3 ticks"


def test_figures_without_data_are_none_and_not_zero(tmp_path: Path) -> None:
    with closing(start(tmp_path / "neo.db")) as connection:
        tick(connection, 1, bid="1.99", ask="2.01", mark="2")
    summary, _ = made(tmp_path / "neo.db")
    head = {one.name: one.value for one in tiles(summary)}
    assert (head["Within 2 bps of the touch"], head["Markout, 15 ledgers"]) == ("-", "-")
    build_small(tmp_path / "small.db")
    summary, _ = made(tmp_path / "small.db")
    (whole, *others) = summary.execution.markouts
    for count, told in ((0, "no fill with a mid then"), (1, "of one fill")):
        mean = None if count == 0 else D(1)
        few = tuple(replace(one, count=count, mean_bps=mean, ci_low_bps=None) for one in whole.markouts)
        execution = replace(summary.execution, markouts=(replace(whole, markouts=few), *others))
        head = {one.name: one.beside for one in tiles(replace(summary, execution=execution))}
        assert head["Markout, 15 ledgers"] == told
    assert {one.name: one.value for one in tiles(summary)}["Within 2 bps of the touch"].endswith(" %")


def test_a_session_without_an_end_runs_or_died_and_the_page_knows_which(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with closing(start(path, pid=4711)) as connection:
        tick(connection, 1)
    lock_file = database_lock_path(path)

    def told() -> tuple[bool | None, str]:
        summary, html = made(path)
        ended = {one.name: f"{one.value}: {one.beside}" for one in tiles(summary)}["Ended"]
        assert ended.partition(": ")[2] in html
        return summary.facts.running, ended

    died = (False, "not closed: its process died; the next start on this database closes it")
    assert told() == died
    lock = InstanceLock.acquire(lock_file, str(path), "now")
    try:
        assert told() == died  # a process that has no session yet
        lock.note_session(2)
        assert told() == died
        lock.note_session(1)
        assert told() == (True, "running: process 4711 writes it now")
    finally:
        lock.release()
    assert told() == died
    lock_file.unlink()
    lock_file.symlink_to(lock_file)  # a file that cannot be opened, also by root
    assert told()[0] is None
    assert told()[1].startswith("not closed: it still runs, or its process died")
