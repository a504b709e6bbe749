"""Three pictures of the ticks of a bundle: prices with our quotes and fills, the spread with its factors and
the gates that fired, and what we held. The picked ticks are marked by a line in each.

Binary floats are used here for pixels only, as in report/series.py.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from neo_engine.domain.clock import ledger_seconds
from neo_engine.incident.case import Case, profit
from neo_engine.incident.tables import TICKS
from neo_engine.report import plots
from neo_engine.report.series import Holdings, Market, Point
from neo_engine.report.why_rows import Session, Tick, first_id
from neo_engine.report.why_spread import is_multiplier
from neo_engine.report.why_verdict import LEDGER
from neo_engine.state.rows import TICK_BITS
from neo_engine.strategy.chain import MULTIPLIER, PRODUCT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PRICES, SPREAD, HOLDINGS = "prices.png", "spread.png", "holdings.png"
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MOST_FACTORS = len(_COLOURS)
_MOST_GATES = 10
_GAP = math.nan


def draw(case: Case, picked: Sequence[int]) -> dict[str, bytes]:
    """Return the pictures as PNG by file name; none where there is no tick."""
    shown = case.ticks[-TICKS:]
    if not shown:
        return {}
    session = case.session
    title = f"session {session.session_id} ({session.mode}), ticks {shown[0].tick} to {shown[-1].tick}"
    if picked:
        title += f" (dotted: {', '.join(map(str, sorted(picked)))})"
    symbol = session.pair.partition("/")[2] or "RLUSD"
    figures = {
        PRICES: plots.draw_prices(_market(case, shown), title, symbol),
        SPREAD: _draw_spread(session, shown, title),
        HOLDINGS: plots.draw_inventory(_holdings(session, shown), title, symbol),
    }
    marked = [_at(tick) for tick in shown if tick.tick in picked]
    return {name: plots.plot_png(_marked(figure, marked)) for name, figure in figures.items()}


def _at(tick: Tick) -> int:
    return ledger_seconds(tick.close_time)


def _marked(figure: Figure, times: Iterable[int]) -> Figure:
    for at in times:
        for axis in figure.axes:
            axis.axvline(plots.day_of(at), color="#777777", linewidth=0.9, linestyle=(0, (1, 2)), zorder=0)
    return figure


def _points(pairs: Iterable[tuple[int, object]]) -> list[Point]:
    return [(at, _GAP if value is None else float(str(value))) for at, value in pairs]


def _bps(mid: object, price: object) -> float | None:
    return None if mid is None or price is None else (float(str(price)) / float(str(mid)) - 1) * 10_000


def _market(case: Case, shown: Sequence[Tick]) -> Market:
    number = case.session.session_id
    rows = case.connection.execute(
        "SELECT t.close_time, m.mid, t.anchor, m.our_bid, m.our_ask FROM ticks t "
        "LEFT JOIN market_snapshots m ON m.id = t.id WHERE t.id BETWEEN ? AND ? ORDER BY t.id",
        (number << TICK_BITS | shown[0].tick, number << TICK_BITS | shown[-1].tick),
    ).fetchall()
    times = [ledger_seconds(str(row["close_time"])) for row in rows]
    fills = case.connection.execute(
        "SELECT close_time, side, price, mid FROM fills WHERE id >= ? AND id < ? ORDER BY id LIMIT 5000",
        tuple(first_id(case.connection, "fills", number, one) for one in (shown[0].tick, shown[-1].tick + 1)),
    ).fetchall()

    def line(name: str) -> list[Point]:
        return _points(zip(times, (row[name] for row in rows), strict=True))

    def far(name: str) -> list[Point]:
        return _points(zip(times, (_bps(row["mid"], row[name]) for row in rows), strict=True))

    def trades(side: str, *, bps: bool) -> list[Point]:
        ours = [row for row in fills if row["side"] == side]
        values = (_bps(row["mid"], row["price"]) if bps else row["price"] for row in ours)
        return _points(zip((ledger_seconds(str(row["close_time"])) for row in ours), values, strict=True))

    return Market(
        mid=line("mid"),
        anchor=line("anchor"),
        our_bid=line("our_bid"),
        our_ask=line("our_ask"),
        our_bid_bps=far("our_bid"),
        our_ask_bps=far("our_ask"),
        buys=trades("buy", bps=False),
        sells=trades("sell", bps=False),
        buys_bps=trades("buy", bps=True),
        sells_bps=trades("sell", bps=True),
        fill_count=len(fills),
    )


def _limit(session: Session, key: str) -> float | None:
    value = session.number(key)
    return None if value is None else float(value)


def _holdings(session: Session, shown: Sequence[Tick]) -> Holdings:
    def line(values: Iterable[object]) -> list[Point]:
        return _points(zip(map(_at, shown), values, strict=True))

    return Holdings(
        xrp=line(Decimal(one.inventory_drops) / 1_000_000 for one in shown),
        quote=line(one.inventory_quote for one in shown),
        account_value=line(one.account_value if one.mark is not None else None for one in shown),
        net_capital=line(one.net_capital for one in shown),
        profit=line(profit(one) if one.mark is not None else None for one in shown),
        max_xrp=_limit(session, "risk.max_xrp_exposure"),
        max_quote=_limit(session, "risk.max_rlusd_exposure"),
    )


def _draw_spread(session: Session, shown: Sequence[Tick], title: str) -> Figure:
    """Return the figure of the half-spread, of the factors that multiply it, and of the gates that fired."""
    gates = sorted({gate.name for tick in shown for gate in tick.gates})[:_MOST_GATES]
    heights = (3.0, 2.6, 0.9 + 0.3 * max(len(gates), 1))
    figure, (half, factors, fired) = plots.new_figure(heights)
    times = [_at(tick) for tick in shown]
    widths = _points(zip(times, (tick.half_spread_bps for tick in shown), strict=True))
    plots.line(half, widths, "half-spread", color=_COLOURS[0], linewidth=1.2, drawstyle="steps-post")
    top = max((value for _at_, value in widths if not math.isnan(value)), default=1.0)
    section = "strategy.glft" if session.setting("strategy.model") == "glft" else "strategy"
    for key, look in (
        ("strategy.base_offset_bps", (0, (5, 3))),
        (f"{section}.half_spread_min_bps", (0, (1, 2))),
        (f"{section}.half_spread_max_bps", (0, (1, 2))),
    ):
        value = _limit(session, key)
        if value is not None and value <= 1.5 * top:  # a far limit would press the line flat
            name = f"{key.rpartition('.')[2]} {value:g}"
            half.axhline(value, color="#000000", linewidth=0.9, linestyle=look, label=name)
    half.set_ylim(bottom=0)
    plots.style(half, "bps to each side")
    plots.legend(half, 4)
    _factor_lines(factors, shown, times)
    _gate_marks(fired, shown, gates)
    plots.time_axis(fired, [[(at, 0.0) for at in times]])
    figure.suptitle(f"{title}: half-spread, factors and gates", x=0.01, ha="left", fontsize=12)
    return figure


def _factor_lines(axis: Any, shown: Sequence[Tick], times: Sequence[int]) -> None:
    stored = [dict(tick.factors) for tick in shown]
    most: dict[str, Decimal] = {}
    for one in stored:
        for name, value in one.items():
            if is_multiplier(name) and name != PRODUCT:  # that is all of them once more, before the cap
                most[name] = max(most.get(name, value), value)
    # The product lies behind the others, wide and pale: where one factor is all of it, both are seen.
    names = sorted(most, key=lambda name: (name != MULTIPLIER, -most[name]))[:_MOST_FACTORS]
    for place, name in enumerate(names):
        # A factor that changes nothing is not stored: 1 wherever a price was computed.
        values = (
            one.get(name, Decimal(1)) if tick.half_spread_bps is not None else None
            for tick, one in zip(shown, stored, strict=True)
        )
        points = _points(zip(times, values, strict=True))
        look = (
            {"color": "#C4C4C4", "linewidth": 5.0} if name == MULTIPLIER else {"color": _COLOURS[place - 1]}
        )
        plots.line(
            axis, points, "all of them" if name == MULTIPLIER else name, drawstyle="steps-post", **look
        )
    axis.axhline(1, color="#000000", linewidth=0.8)
    plots.style(axis, "factor")
    if most:
        plots.legend(axis, 6)
    else:
        _say(axis, "no factor widened the spread")


def _gate_marks(axis: Any, shown: Sequence[Tick], gates: Sequence[str]) -> None:
    kinds = [("both", "s", _COLOURS[1]), ("bid", "^", _COLOURS[0]), ("ask", "v", _COLOURS[2])]
    for side, marker, colour in kinds:
        places = [
            (plots.day_of(_at(tick)), gates.index(gate.name))
            for tick in shown
            for gate in tick.gates
            if gate.side == side and gate.name in gates
        ]
        if places:
            xs, ys = zip(*places, strict=True)
            axis.scatter(xs, ys, s=16, marker=marker, color=colour, label=f"closes {side}", linewidths=0)
    plots.style(axis, "")
    axis.set_yticks(range(len(gates)), labels=gates)
    axis.set_ylim(-0.7, max(len(gates), 1) - 0.3)
    if gates:
        plots.legend(axis, 3)
    else:
        _say(axis, "no gate fired")
    silent = [plots.day_of(_at(tick)) for tick in shown if tick.kind != LEDGER]
    if silent:
        axis.plot(silent, [-0.55] * len(silent), "|", color="#555555", markersize=5)


def _say(axis: Any, text: str) -> None:
    axis.text(0.5, 0.5, text, transform=axis.transAxes, ha="center", va="center", color="#555555")
