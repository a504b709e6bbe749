"""The drawings of a page about many sessions, and of one that sets sessions beside each other.

As those of one session (charts.py): in the page's own colours, as wide as a phone, text as text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from neo_engine.domain.number import ZERO
from neo_engine.report.charts import (
    FEW_POINTS,
    FONT,
    INK,
    Panel,
    legend,
    markout_figure,
    new_panel,
    parts_figure,
    svg_of,
    zero_line,
)
from neo_engine.report.compare import Comparison
from neo_engine.report.courses import Course, end_to_end, starts_of
from neo_engine.report.plots import STEPS
from neo_engine.report.series import Point
from neo_engine.report.several import Several

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("blue", "orange", "green", "violet", "red", "sky")  # of sessions, in their order
DASHES: tuple[Any, ...] = ("-", (0, (4, 2)), (0, (1, 1.5)))  # beyond so many sessions
MARKS = "o^svDP"
MOST_BARS = 40  # more sessions than this get no bar each
MOST_DIVIDERS = 60
_UNITS = ((10_800, 60, "minutes"), (259_200, 3_600, "hours"), (float("inf"), 86_400, "days"))
_ROW = 0.3  # inches of a bar


def _unit(seconds: int) -> tuple[int, str]:
    """Return the seconds of the unit that a time axis of this length counts in, and its name."""
    return next((size, name) for limit, size, name in _UNITS if seconds <= limit)


def _line(axis: Axes, points: Sequence[Point], unit: int, **look: Any) -> None:
    dots: dict[str, Any] = {"marker": ".", "markersize": 3.5} if len(points) <= FEW_POINTS else {}
    axis.plot([at / unit for at, _ in points], [value for _, value in points], **{**dots, **look})


def _chain(courses: tuple[Course, ...], lines: Sequence[tuple[list[Point], str, str]], quote: str) -> Figure:
    """Draw series of sessions laid end to end: of each its points, its name and its colour."""
    figure, axis = new_panel()
    *starts, end = starts_of(courses)
    unit, name = _unit(end)
    if len(starts) <= MOST_DIVIDERS:
        for at in starts[1:]:
            axis.axvline(at / unit, color=INK["dim"], linewidth=0.8, linestyle=(0, (1, 2)))
    for points, label, colour in lines:
        _line(axis, points, unit, color=INK[colour], linewidth=1.2, label=label)
    if len(lines) > 1:
        legend(axis)
    axis.set_ylabel(quote, fontsize=FONT)
    axis.set_xlabel(f"{name}, sessions end to end", fontsize=FONT)
    return figure


def _bars(several: Several, quote: str) -> Figure:
    """Draw the P&L of each session, and how much of it is more than holding its capital."""
    names, total, trading = [], [], []
    for summary in several.sessions:
        parts = summary.attribution
        names.append(str(summary.facts.session_id))
        total.append(0.0 if parts is None else float(parts.total))
        trading.append(0.0 if parts is None else float(parts.trading))
    figure, axis = new_panel(0.9 + _ROW * max(len(names), 4))
    places = np.arange(len(names))[::-1]
    axis.barh(places + 0.19, total, color=INK["violet"], height=0.36, label="P&L")
    axis.barh(places - 0.19, trading, color=INK["blue"], height=0.36, label="beyond holding")
    axis.axvline(0, color=INK["dim"], linewidth=0.9)
    axis.set_yticks(places, names)
    axis.set_ylim(-0.6, len(names) - 0.4)
    axis.tick_params(axis="y", colors=INK["ink"], length=0)
    axis.grid(False, axis="y")
    axis.set_ylabel("session", fontsize=FONT)
    axis.set_xlabel(quote, fontsize=FONT)
    legend(axis)
    return figure


def _all_parts(several: Several) -> dict[str, Decimal]:
    parts = several.parts
    told = {
        "Spread captured": parts["spread_captured"],
        "Adverse selection": parts["adverse_selection"],
        "Fills held on": parts["fills_drift"],
        "Capital held": parts["hold"],
    }
    return {**told, "Fees, rounding": parts["total"] - sum(told.values(), ZERO), "Total": parts["total"]}


def _drawn(wanted: Sequence[tuple[bool, str, str, Callable[[], Figure]]]) -> tuple[Panel, ...]:
    return tuple(
        Panel(title=title, caption=caption, svg=svg_of(draw(), title, title))
        for shown, title, caption, draw in wanted
        if shown
    )


def several_panels(several: Several, courses: tuple[Course, ...]) -> tuple[Panel, ...]:
    """Return the drawings of many sessions, of those things that there are data for."""
    quote = several.sessions[0].facts.quote_symbol
    profit = end_to_end(courses, lambda one: one.profit, added_up=True)
    trading = end_to_end(courses, lambda one: one.trading, added_up=True)
    value = end_to_end(courses, lambda one: one.value, added_up=False)
    added = [(profit, "P&L", "violet"), (trading, "beyond holding", "blue")]
    some = any(summary.attribution is not None for summary in several.sessions)
    return _drawn(
        (
            (
                bool(profit),
                "P&L, one session after the other",
                "Each begins where the one before ended; the time between sessions is left out.",
                lambda: _with_zero(_chain(courses, added, quote)),
            ),
            (
                some and len(several.sessions) <= MOST_BARS,
                "P&L by session",
                "Beyond holding: without what the price did to the capital.",
                lambda: _bars(several, quote),
            ),
            (
                some,
                "Where it came from",
                "Parts of the P&L of all sessions; they sum to it exactly.",
                lambda: parts_figure(_all_parts(several), quote),
            ),
            (
                bool(value),
                "Account value",
                "Each session's own, at its own marks.",
                lambda: _chain(courses, [(value, "account value", "green")], quote),
            ),
            (
                several.markouts[0].fills > 0,
                "Markouts",
                "The mid after all fills against their own price; bars are 95 % intervals. Positive is good.",
                lambda: markout_figure(several.markouts),
            ),
        )
    )


def _with_zero(figure: Figure) -> Figure:
    zero_line(figure.axes[0])
    return figure


def _look(place: int) -> dict[str, Any]:
    """Return how the session at a place is drawn, everywhere alike."""
    dashes = DASHES[place // len(COLOURS) % len(DASHES)]
    return {"color": INK[COLOURS[place % len(COLOURS)]], "linestyle": dashes}


def _beside(
    courses: tuple[Course, ...], of: Callable[[Course], list[Point]], label: str, *, steps: bool = False
) -> Figure:
    figure, axis = new_panel()
    unit, name = _unit(max(one.seconds for one in courses))
    for place, one in enumerate(courses):
        drawn = {"drawstyle": STEPS} if steps else {}
        _line(axis, of(one), unit, label=str(one.session_id), linewidth=1.2, **_look(place), **drawn)
    axis.set_ylabel(label, fontsize=FONT)
    axis.set_xlabel(f"{name} since the session began", fontsize=FONT)
    legend(axis, 6)
    return figure


def _markouts_beside(courses: tuple[Course, ...]) -> Figure:
    figure, axis = new_panel()
    zero_line(axis)
    ledgers = [one.ledgers for one in courses[0].markouts.markouts]
    width = 0.5 / max(len(courses), 1)
    for place, one in enumerate(courses):
        told = [(at, mean) for at, mean in enumerate(one.markouts.markouts) if mean.mean_bps is not None]
        middle = [float(mean.mean_bps or 0) for _, mean in told]
        half = [
            float(mean.ci_high_bps if mean.ci_high_bps is not None else mean.mean_bps or 0) - at_mean
            for (_, mean), at_mean in zip(told, middle, strict=True)
        ]
        axis.errorbar(
            [at + width * (place - (len(courses) - 1) / 2) for at, _ in told], middle, yerr=half,
            marker=MARKS[place % len(MARKS)], markersize=4, linewidth=1.0, elinewidth=0.9, capsize=2,
            label=f"{one.session_id} ({one.markouts.fills:,})", **_look(place),
        )  # fmt: skip
    axis.set_xticks(range(len(ledgers)), [str(one) for one in ledgers])
    axis.set_xlabel("ledgers after the fill", fontsize=FONT)
    axis.set_ylabel("bps", fontsize=FONT)
    legend(axis)
    return figure


def _apart(found: Comparison, index: int) -> Figure:
    """Draw the differences of one session to the first, each in half-widths of its own interval."""
    told = []
    for figure_ in found.figures:
        one = figure_.others[index]
        if one.difference is None or one.low is None or one.high is None or one.high == one.low:
            continue
        told.append((figure_.title, one, float(one.high - one.low) / 2))
    figure, axis = new_panel(0.8 + _ROW * max(len(told), 3))
    axis.axvline(0, color=INK["dim"], linewidth=0.9)
    places = np.arange(len(told))[::-1]
    for place, (_, one, scale) in zip(places, told, strict=True):
        colour = INK["red"] if one.is_real else INK["dim"]
        ends = [float(end or 0) / scale for end in (one.low, one.high)]
        axis.plot(ends, [place, place], color=colour, linewidth=2.0, solid_capstyle="butt")
        axis.plot([float(one.difference or 0) / scale], [place], color=colour, marker="o", markersize=5)
    axis.set_yticks(places, [title.partition(",")[0] for title, _, _ in told])
    axis.tick_params(axis="y", colors=INK["ink"], length=0)
    axis.grid(False, axis="y")
    axis.set_ylim(-0.6, len(told) - 0.4)
    axis.set_xlabel("difference / half of its 95 % interval", fontsize=FONT)
    return figure


def _can_be_drawn(found: Comparison, index: int) -> bool:
    known = [figure.others[index] for figure in found.figures]
    return any(one.low is not None and one.low != one.high for one in known)


def comparison_panels(found: Comparison, courses: tuple[Course, ...]) -> tuple[Panel, ...]:
    """Return the drawings of sessions beside each other; one against the first for each other session."""
    first, quote = found.session_ids[0], courses[0].quote_symbol
    apart: list[tuple[bool, str, str, Callable[[], Figure]]] = [
        (
            _can_be_drawn(found, index),
            f"Session {session_id} less session {first}",
            "Red: more than noise; a line that crosses 0 says nothing. Scaled so that all are equally long.",
            lambda index=index: _apart(found, index),  # type: ignore[misc]
        )
        for index, session_id in enumerate(found.session_ids[1:])
    ]
    return _drawn(
        (
            (
                any(one.profit for one in courses),
                "P&L",
                "Account value less net capital.",
                lambda: _with_zero(_beside(courses, lambda one: one.profit, quote)),
            ),
            (
                any(one.trading for one in courses),
                "Beyond holding",
                "P&L without what the price did to the capital.",
                lambda: _with_zero(_beside(courses, lambda one: one.trading, quote)),
            ),
            (
                any(one.markouts.fills for one in courses),
                "Markouts",
                "The mid after all fills against their own price; bars are 95 % intervals. Positive is good.",
                lambda: _markouts_beside(courses),
            ),
            (
                any(one.fills for one in courses),
                "Fills",
                "Counted up.",
                lambda: _beside(courses, lambda one: one.fills, "fills so far", steps=True),
            ),
            (
                any(one.xrp for one in courses),
                "XRP held",
                "",
                lambda: _beside(courses, lambda one: one.xrp, "XRP", steps=True),
            ),
            (
                any(value == value for one in courses for _, value in one.half_spread),
                "Half-spread",
                "",
                lambda: _beside(courses, lambda one: one.half_spread, "bps"),
            ),
            *apart,
        )
    )
