"""The drawings of a report's page: small SVG panels that take the page's own colours.

matplotlib draws in the colours of `INK`; in the SVG each is replaced by a CSS variable of the page, so that
one drawing serves light, dark and paper. Each panel is as wide as a phone; wider screens show two side by
side. Text stays text. Equal data give equal bytes: ids come from the panel's name.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from neo_engine.domain.clock import ledger_seconds
from neo_engine.report import plots
from neo_engine.report.data import SessionData
from neo_engine.report.measures import Attribution, MarkoutGroup, Span
from neo_engine.report.model import TOUCH_BUCKETS, SessionSummary
from neo_engine.report.plots import STEPS, day_of
from neo_engine.report.risks import drawdown_path
from neo_engine.report.series import Holdings, Market, Point, holdings_series, market_series, thin

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: CSS variable of the page -> the colour that stands for it in a drawing.
INK = {
    "ink": "#1b1b1c",
    "dim": "#666667",
    "line": "#d0d0d1",
    "blue": "#0072b2",
    "sky": "#56b4e9",
    "orange": "#e69f00",
    "green": "#009e73",
    "red": "#d55e00",
    "violet": "#cc79a7",
}
POINTS = 700  # of a series: more than the pixels of a panel
SIZE = (5.4, 2.7)  # inches; at 72 units an inch about as wide as a phone's screen
GATES_SHOWN = 8
FEW_FILLS, MANY_FILLS = 150, 600  # up to here their marks are large, up to here middling
FEW_POINTS = 60  # up to here each value gets a dot
MOST_LABELS = 6  # of a time axis
FONT = 10.5  # on a phone a unit is about a pixel


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """One drawing: its title, what it shows, and the SVG element."""

    title: str
    caption: str
    svg: str


def new_panel(height: float = SIZE[1]) -> tuple[Figure, Axes]:
    """Return an empty drawing; height: in inches."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(SIZE[0], height), layout="constrained")
    FigureCanvasSVG(figure)
    figure.patch.set_alpha(0)
    axis: Any = figure.subplots()
    axis.patch.set_alpha(0)
    axis.tick_params(colors=INK["dim"], labelsize=FONT)
    axis.grid(True, color=INK["line"], linewidth=0.6)
    axis.set_axisbelow(True)
    axis.yaxis.label.set_color(INK["dim"])
    axis.xaxis.label.set_color(INK["dim"])
    for name, edge in axis.spines.items():
        edge.set_visible(name in ("left", "bottom"))
        edge.set_color(INK["line"])
    return figure, axis


#: Ids that nothing in the drawing points at; those of clip paths and marker shapes stay.
_IDLE_IDS = re.compile(r' id="(?:figure|axes|patch|line2d|text|matplotlib|xtick|ytick|legend|[A-Z])[^"]*"')
#: In tags only, never in the text between them: a tenth of a unit is less than a pixel.
_DIGITS = re.compile(r"(\d+\.\d)\d+(?=[^<>]*>)")


def svg_of(figure: Figure, name: str, label: str) -> str:
    """Return the drawing as an SVG element; name: makes its ids its own. label: what a reader hears."""
    matplotlib: Any = import_module("matplotlib")
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Type", "Format")))
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text[text.index("<svg") :], flags=re.S)
    opening = rf'<svg viewBox="\1" role="img" aria-label="{escape(label)}">'
    text = re.sub(r'<svg [^>]*?viewBox="([^"]+)"[^>]*>', opening, text, count=1)
    text = _DIGITS.sub(r"\1", _IDLE_IDS.sub("", text).replace("xlink:href", "href"))
    text = re.sub(r"font: ([\d.]+)px [^;\"]+", r"font: \1px system-ui, sans-serif", text)
    for variable, colour in INK.items():
        text = text.replace(colour, f"var(--{variable})")
    return re.sub(r"\n\s*", "\n", text).strip()


def legend(axis: Axes, columns: int = 4) -> None:
    """Put the names above the drawing, where they can cover nothing."""
    shown = axis.legend(
        loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, frameon=False, fontsize=FONT,
        borderaxespad=0.1, handlelength=1.4, columnspacing=1.0, labelcolor=INK["ink"],
    )  # fmt: skip
    shown.set_in_layout(True)


def line(axis: Axes, points: list[Point], label: str, **look: Any) -> None:
    """Draw a series; on a panel dots soon hide the line."""
    plots.line(axis, points, label, FEW_POINTS, **look)


def time_axis(axis: Axes, series: list[list[Point]]) -> None:
    """Let the axis count in UTC, with few labels."""
    plots.time_axis(axis, series, MOST_LABELS)


def zero_line(axis: Axes) -> None:
    """Draw the line that parts gains from losses."""
    axis.axhline(0, color=INK["dim"], linewidth=0.9)


def _marks(axis: Axes, buys: list[Point], sells: list[Point]) -> None:
    count = len(buys) + len(sells)
    size = 30 if count <= FEW_FILLS else 22 if count <= MANY_FILLS else 7
    for points, label, marker, colour in ((buys, "bought", "^", "blue"), (sells, "sold", "v", "red")):
        if points:
            axis.scatter(
                [day_of(at) for at, _ in points], [value for _, value in points],
                s=size, marker=marker, color=INK[colour], linewidths=0, zorder=4, label=label,
            )  # fmt: skip


def _profit(holdings: Holdings, quote: str) -> Figure:
    figure, axis = new_panel()
    zero_line(axis)
    line(axis, holdings.profit, "P&L", color=INK["violet"], linewidth=1.3)
    axis.set_ylabel(quote, fontsize=FONT)
    time_axis(axis, [holdings.profit])
    return figure


def _prices(market: Market, quote: str) -> Figure:
    figure, axis = new_panel()
    line(axis, market.mid, "mid", color=INK["ink"], linewidth=1.0)
    line(axis, market.anchor, "anchor", color=INK["violet"], linewidth=0.9, linestyle=(0, (4, 2)))
    _marks(axis, market.buys, market.sells)
    axis.set_ylabel(f"{quote} per XRP", fontsize=FONT)
    axis.ticklabel_format(axis="y", useOffset=False, style="plain")
    legend(axis)
    time_axis(axis, [market.mid, market.anchor])
    return figure


def _quotes(market: Market) -> Figure:
    figure, axis = new_panel()
    zero_line(axis)
    line(axis, market.our_ask_bps, "our ask", color=INK["orange"], linewidth=0.9, drawstyle=STEPS)
    line(axis, market.our_bid_bps, "our bid", color=INK["sky"], linewidth=0.9, drawstyle=STEPS)
    _marks(axis, market.buys_bps, market.sells_bps)
    axis.set_ylabel("bps from the mid", fontsize=FONT)
    legend(axis)
    time_axis(axis, [market.our_ask_bps, market.our_bid_bps, market.mid])
    return figure


def _holding(points: list[Point], limit: float | None, asset: str, colour: str) -> Figure:
    figure, axis = new_panel()
    line(axis, points, "held", color=INK[colour], linewidth=1.2, drawstyle=STEPS)
    if limit is not None:
        axis.axhline(limit, color=INK["red"], linewidth=1.0, linestyle=(0, (5, 3)), label=f"limit {limit:g}")
    axis.set_ylim(bottom=min([0.0, *(value for _, value in points)]))
    axis.set_ylabel(asset, fontsize=FONT)
    legend(axis)
    time_axis(axis, [points])
    return figure


def _drawdown(points: list[Point], limit: float | None) -> Figure:
    figure, axis = new_panel()
    line(axis, points, "drawdown", color=INK["red"], linewidth=1.1)
    deepest = max((value for _, value in points), default=0.0)
    if limit is not None and deepest > limit / 4:  # far from it, the limit would flatten the path
        axis.axhline(
            limit, color=INK["dim"], linewidth=1.0, linestyle=(0, (5, 3)), label=f"limit {limit:g} %"
        )
        legend(axis)
    axis.set_ylim(bottom=0, top=None if deepest else 1)
    axis.set_ylabel("%", fontsize=FONT)
    time_axis(axis, [points])
    return figure


def told_parts(parts: Attribution) -> dict[str, Decimal]:
    """Return the bars of a P&L: its parts by name, and their sum last."""
    return {
        "Spread captured": parts.spread_captured,
        "Adverse selection": parts.adverse_selection,
        "Fills held on": parts.fills_drift,
        "Capital held": parts.hold,
        "Fees, rounding": parts.network_fees + parts.transfer_fees + parts.rounding,
        "Total": parts.total,
    }


def parts_figure(told: Mapping[str, Decimal], quote: str) -> Figure:
    """Return bars of amounts by name; the last is their sum."""
    figure, axis = new_panel()
    values = [float(value) for value in told.values()]
    places = np.arange(len(told))[::-1]
    colours = [INK["green"] if value >= 0 else INK["red"] for value in values]
    colours[-1] = INK["violet"]
    axis.barh(places, values, color=colours, height=0.62)
    axis.axvline(0, color=INK["dim"], linewidth=0.9)
    axis.set_yticks(places, list(told))
    axis.tick_params(axis="y", colors=INK["ink"], length=0)
    axis.grid(False, axis="y")
    reach = max(map(abs, values)) or 1.0
    for place, value in zip(places, values, strict=True):
        axis.text(
            value + (reach * 0.03 if value >= 0 else -reach * 0.03), place, f"{value:+.4g}" if value else "0",
            va="center", ha="left" if value >= 0 else "right", fontsize=FONT, color=INK["ink"],
        )  # fmt: skip
    low, high = min(0.0, *values), max(0.0, *values)
    axis.set_xlim(low - reach * (0.38 if low < 0 else 0.05), high + reach * (0.38 if high > 0 else 0.05))
    axis.set_xlabel(quote, fontsize=FONT)
    return figure


def markout_figure(groups: tuple[MarkoutGroup, ...]) -> Figure:
    """Return the mean markouts of all fills and of each side, with their intervals."""
    figure, axis = new_panel()
    zero_line(axis)
    looks = {"all": ("violet", "o"), "buy": ("blue", "^"), "sell": ("red", "v")}
    for group in groups:
        look = looks.get(group.name) if group.group in ("all", "side") else None
        if look is None:
            continue
        told = [(place, one) for place, one in enumerate(group.markouts) if one.mean_bps is not None]
        places = np.array([place for place, _ in told], dtype=float)
        shift = {"all": 0.0, "buy": -0.12, "sell": 0.12}[group.name]
        mean = np.array([float(one.mean_bps or 0) for _, one in told])
        half = np.array([float(one.ci_high_bps or one.mean_bps or 0) for _, one in told]) - mean
        axis.errorbar(
            places + shift, mean, yerr=half, color=INK[look[0]], marker=look[1], markersize=4, linewidth=1.1,
            elinewidth=0.9, capsize=2, label=f"{group.name} ({group.fills:,})",
        )  # fmt: skip
    axis.set_xticks(range(len(groups[0].markouts)), [str(one.ledgers) for one in groups[0].markouts])
    axis.set_xlabel("ledgers after the fill", fontsize=FONT)
    axis.set_ylabel("bps", fontsize=FONT)
    legend(axis)
    return figure


def _touch(summary: SessionSummary) -> Figure:
    figure, axis = new_panel()
    for shift, side, colour in zip((-0.2, 0.2), summary.touch, ("sky", "orange"), strict=True):
        shares = [100 * count / side.measured_ticks if side.measured_ticks else 0 for count in side.buckets]
        axis.bar(np.arange(len(shares)) + shift, shares, width=0.38, color=INK[colour], label=side.side)
    axis.set_xticks(range(len(TOUCH_BUCKETS)), [f"{name} bps" for name in TOUCH_BUCKETS])
    axis.grid(False, axis="x")
    axis.set_ylabel("% of ticks", fontsize=FONT)
    legend(axis)
    return figure


def _gates(spans: tuple[Span, ...], whole: list[Point]) -> Figure:
    ticks: dict[str, int] = {}
    for span in spans:
        ticks[span.name] = ticks.get(span.name, 0) + span.ticks
    names = sorted(ticks, key=lambda name: (-ticks[name], name))[:GATES_SHOWN]
    figure, axis = new_panel(0.9 + 0.27 * max(len(names), 3))
    seconds = max((whole[-1][0] - whole[0][0]) if whole else 1, 1)
    thinnest = seconds / 300  # a stretch of one tick is still seen
    colours = {"bid": "sky", "ask": "orange", "both": "violet"}
    for span in spans:
        if span.name not in names:
            continue
        start, end = ledger_seconds(span.start), ledger_seconds(span.end)
        axis.broken_barh(
            [(day_of(start), max(end - start, thinnest) / 86_400)],
            (len(names) - 1 - names.index(span.name) - 0.35, 0.7),
            facecolors=INK[colours.get(span.side, "violet")],
        )
    axis.set_yticks(range(len(names)), names[::-1])
    axis.tick_params(axis="y", colors=INK["ink"], length=0)
    axis.grid(False, axis="y")
    axis.set_ylim(-0.6, len(names) - 0.4)
    time_axis(axis, [whole])
    return figure


def _drawdown_points(data: SessionData) -> list[Point]:
    if not {"max_xrp_exposure", "max_rlusd_exposure"} <= data.limits.keys():
        return []
    ticks = data.columns.ticks
    known = ~np.isnan(ticks.mark)
    if not bool(np.any(known)):
        return []
    percent, _, _ = drawdown_path(
        data.columns, data.limits["max_xrp_exposure"], data.limits["max_rlusd_exposure"]
    )
    return thin(ticks.at[known], percent, POINTS)


def panels(summary: SessionSummary, data: SessionData) -> tuple[Panel, ...]:
    """Return the drawings that the session has data for."""
    quote, ticks = summary.facts.quote_symbol, len(data.columns.ticks)
    if not ticks:
        return ()
    market = market_series(data.columns, data.fills, POINTS)
    holdings = holdings_series(data.columns, data.limits, POINTS)
    fall = _drawdown_points(data)
    limit = data.limits.get("max_drawdown_pct")
    parts, groups = summary.attribution, summary.execution.markouts
    priced = any(value == value for _, value in market.mid)  # not NaN alone
    wanted: list[tuple[bool, str, str, Callable[[], Figure]]] = [
        (parts is not None, "P&L", "Account value less net capital.", lambda: _profit(holdings, quote)),
        (
            parts is not None,
            "Where it came from",
            "Parts of the P&L; they sum to it exactly.",
            lambda: parts_figure({} if parts is None else told_parts(parts), quote),
        ),
        (priced, "Price and fills", "The book's mid, the anchor, our fills.", lambda: _prices(market, quote)),
        (
            bool(market.our_bid_bps or market.our_ask_bps),
            "Quotes and fills, from the mid",
            "Our best offers in the book.",
            lambda: _quotes(market),
        ),
        (
            groups[0].fills > 0,
            "Markouts",
            "The mid after our fills against their own price; bars are 95 % intervals. Positive is good.",
            lambda: markout_figure(groups),
        ),
        (
            any(side.measured_ticks for side in summary.touch),
            "Distance to touch",
            "How far behind the best price of others; at and inside it are in the first.",
            lambda: _touch(summary),
        ),
        (True, "XRP held", "", lambda: _holding(holdings.xrp, holdings.max_xrp, "XRP", "blue")),
        (True, f"{quote} held", "", lambda: _holding(holdings.quote, holdings.max_quote, quote, "green")),
        (
            bool(fall),
            "Drawdown",
            "Of the account value net of capital, from its peak.",
            lambda: _drawdown(fall, None if limit is None else float(limit)),
        ),
        (
            bool(summary.risk.spans),
            "Gates",
            "When a gate closed the bid (light blue), the ask (orange) or both (violet).",
            lambda: _gates(summary.risk.spans, holdings.xrp),
        ),
    ]
    return tuple(
        Panel(title=title, caption=caption, svg=svg_of(draw(), title, title))
        for shown, title, caption, draw in wanted
        if shown
    )
