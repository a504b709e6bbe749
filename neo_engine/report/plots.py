"""Two pictures of a session: prices with our quotes and fills, and what we held.

matplotlib is imported here only when a plot is asked for, with the Agg backend, which needs no
display. Colours are from the Okabe-Ito set, told apart by every common kind of colour blindness; buys
and sells differ by marker as well. The time axis is UTC.
"""

from __future__ import annotations

import io
from datetime import UTC, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any

from neo_engine.domain.clock import LEDGER_EPOCH
from neo_engine.report.data import SessionData
from neo_engine.report.series import Holdings, Market, Point, holdings_series, market_series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PRICES_FILE = "prices_quotes_fills.png"
INVENTORY_FILE = "inventory.png"
DPI = 120
DAY_SECONDS = 86_400
MIN_SPAN_SECONDS = 20  # a session of one tick still gets an axis
FEW_POINTS = 300  # up to here each value gets a dot, so that one alone between two gaps is seen
FEW_FILLS = 200
_BLACK, _BLUE, _SKY, _ORANGE, _GREEN, _VERMILLION, _PURPLE = (
    "#000000", "#0072B2", "#56B4E9", "#E69F00", "#009E73", "#D55E00", "#CC79A7",
)  # fmt: skip
_TIME_FORMS = (  # by seconds shown
    (900, "%H:%M:%S"),
    (129_600, "%H:%M"),
    (518_400, "%m-%d %H:%M"),
    (float("inf"), "%m-%d"),
)
STEPS = "steps-post"  # a price or a holding stays what it was until the next tick


def day_of(at: float) -> float:
    """Return a ledger time as matplotlib counts: in days since 1970-01-01."""
    return (LEDGER_EPOCH.timestamp() + at) / DAY_SECONDS


def _times(points: list[Point]) -> list[float]:
    return [day_of(at) for at, _ in points]


def _values(points: list[Point]) -> list[float]:
    return [value for _, value in points]


def new_figure(heights: tuple[float, ...]) -> tuple[Figure, Any]:
    """Return a figure of panels, heights in inches, that share one time axis."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)
    return figure, panels[:, 0]


def time_axis(axis: Axes, series: list[list[Point]], most_labels: int | None = None) -> None:
    """Let the axis count in UTC over the times of the series; one without any time stays as it is."""
    dates: Any = import_module("matplotlib.dates")  # its calls carry no types
    times = [at for points in series for at, _ in (points[:1] + points[-1:])]
    span, day = 0, ""
    if times:
        first, last = min(times), max(times)
        span = last - first
        pad = max(span * 0.01, (MIN_SPAN_SECONDS - span) / 2)
        axis.set_xlim(day_of(first - pad), day_of(last + pad))
        day = f", from {LEDGER_EPOCH + timedelta(seconds=first):%Y-%m-%d}"
    form = next(form for limit, form in _TIME_FORMS if span <= limit)
    axis.xaxis.set_major_locator(dates.AutoDateLocator(tz=UTC, minticks=3, maxticks=most_labels))
    axis.xaxis.set_major_formatter(dates.DateFormatter(form, tz=UTC))
    axis.set_xlabel(f"Market time (UTC{day})")


def style(axis: Axes, ylabel: str) -> None:
    axis.set_ylabel(ylabel)
    axis.grid(True, color="#DDDDDD", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.ticklabel_format(axis="y", useOffset=False, style="plain")
    for edge in ("top", "right"):
        axis.spines[edge].set_visible(False)


def legend(axis: Axes, columns: int) -> None:
    """Put the legend above the axes, where it can cover no data."""
    axis.legend(
        loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, frameon=False, fontsize=9, borderaxespad=0.2
    )


def line(axis: Axes, points: list[Point], label: str, few: int = FEW_POINTS, **look: Any) -> None:
    """Draw a series; of up to `few` points each gets a dot."""
    dots: dict[str, Any] = {"marker": ".", "markersize": 3.5} if len(points) <= few else {}
    axis.plot(_times(points), _values(points), label=label, **dots, **look)


def _fill_marks(axis: Axes, buys: list[Point], sells: list[Point]) -> None:
    size = 60 if len(buys) + len(sells) <= FEW_FILLS else 14
    for points, label, marker, color in ((buys, "bought", "^", _BLUE), (sells, "sold", "v", _VERMILLION)):
        axis.scatter(
            _times(points),
            _values(points),
            s=size,
            marker=marker,
            color=color,
            edgecolors="white",
            linewidths=0.5,
            zorder=4,
            label=label,
        )


def draw_prices(market: Market, title: str, quote_symbol: str) -> Figure:
    """Return the figure of mid, anchor, our quotes and fills, as prices and as distances from the mid."""
    figure, (prices, distances) = new_figure((4.6, 3.0))
    line(prices, market.our_ask, "our ask", color=_ORANGE, linewidth=1.0, drawstyle=STEPS)
    line(prices, market.mid, "mid of the book", color=_BLACK, linewidth=1.0)
    line(prices, market.anchor, "anchor", color=_PURPLE, linewidth=1.0, linestyle=(0, (4, 2)))
    line(prices, market.our_bid, "our bid", color=_SKY, linewidth=1.0, drawstyle=STEPS)
    _fill_marks(prices, market.buys, market.sells)
    style(prices, f"{quote_symbol} per XRP")
    legend(prices, 6)
    distances.axhline(0, color=_BLACK, linewidth=1.0)
    line(distances, market.our_ask_bps, "our ask", color=_ORANGE, linewidth=0.8, drawstyle=STEPS)
    line(distances, market.our_bid_bps, "our bid", color=_SKY, linewidth=0.8, drawstyle=STEPS)
    _fill_marks(distances, market.buys_bps, market.sells_bps)
    style(distances, "bps from the mid")
    time_axis(distances, [market.mid, market.anchor, market.our_bid, market.our_ask])
    figure.align_ylabels([prices, distances])
    figure.suptitle(
        f"{title}: prices, quotes and {market.fill_count:,} fills", x=0.01, ha="left", fontsize=12
    )
    return figure


def _holding(axis: Axes, points: list[Point], limit: float | None, name: str, color: str) -> None:
    line(axis, points, f"{name} inventory", color=color, linewidth=1.2, drawstyle=STEPS)
    if limit is not None:
        axis.axhline(
            limit, color=_BLACK, linewidth=1.0, linestyle=(0, (5, 3)), label=f"limit {limit:g} {name}"
        )
    axis.set_ylim(bottom=min([0.0, *_values(points)]), top=None)
    style(axis, name)
    legend(axis, 2)


def draw_inventory(holdings: Holdings, title: str, quote_symbol: str) -> Figure:
    """Return the figure of both inventories against their limits, of account value and of P&L."""
    figure, axes = new_figure((2.4, 2.4, 2.4, 2.7))
    _holding(axes[0], holdings.xrp, holdings.max_xrp, "XRP", _BLUE)
    _holding(axes[1], holdings.quote, holdings.max_quote, quote_symbol, _GREEN)
    line(axes[2], holdings.account_value, "account value", color=_VERMILLION, linewidth=1.2)
    line(
        axes[2],
        holdings.net_capital,
        "net capital",
        color=_BLACK,
        linewidth=1.0,
        linestyle=(0, (5, 3)),
        drawstyle=STEPS,
    )
    style(axes[2], quote_symbol)
    legend(axes[2], 2)
    line(axes[3], holdings.profit, "P&L = account value - net capital", color=_PURPLE, linewidth=1.2)
    axes[3].axhline(0, color=_BLACK, linewidth=0.8)
    style(axes[3], quote_symbol)
    legend(axes[3], 2)
    time_axis(axes[3], [holdings.xrp])
    figure.align_ylabels(list(axes))
    figure.suptitle(f"{title}: inventory, account value and P&L", x=0.01, ha="left", fontsize=12)
    return figure


def plot_png(figure: Figure) -> bytes:
    """Return the figure as a PNG file's bytes; equal figures give equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def plot_session(data: SessionData, title: str) -> dict[str, bytes]:
    """Return the PNG files of a session by file name."""
    quote = data.quote_symbol
    return {
        PRICES_FILE: plot_png(draw_prices(market_series(data.columns, data.fills), title, quote)),
        INVENTORY_FILE: plot_png(draw_inventory(holdings_series(data.columns, data.limits), title, quote)),
    }
