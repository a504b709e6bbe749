"""Monitors of what was lost: by the session, on the day, and from the peak of its value.

Drawdown is measured on the account value net of capital events, so that a withdrawal is no drawdown:

    value = start_value + (account_value - net_capital)
    drawdown_pct = (peak - value) x 100 / max(peak, minimum peak)

The minimum peak (the larger of 1 RLUSD and 2 % of the largest position the limits allow) keeps a
nearly empty account from halting on noise. `drawdown_of` is the one formula for deciding and showing.
Of both amounts only what is beyond the limit kills. Before a mark is known there is neither.

>>> drawdown_of(Decimal(90), Decimal(100), Decimal(8))
Decimal('10')
"""

from __future__ import annotations

from decimal import Decimal

from neo_engine.config import Config
from neo_engine.domain.number import ONE, WORK, ZERO, plain
from neo_engine.domain.severity import Reading, Severity
from neo_engine.risk.monitors.reading import calm, shown
from neo_engine.risk.state import DayResult, Peak, Seen

DAY_SECONDS = 86_400  # 2000-01-01 began at midnight UTC, so that days of this clock are days of UTC
MINIMUM_PEAK = ONE  # RLUSD
MINIMUM_PEAK_SHARE = Decimal("0.02")  # of the largest allowed position's value
_HUNDRED = Decimal(100)


def minimum_peak(config: Config, mark: Decimal) -> Decimal:
    """Return the least peak a drawdown is measured against, in RLUSD, at `mark` RLUSD per XRP."""
    return least_peak(config.risk.max_xrp_exposure, config.risk.max_rlusd_exposure, mark)


def least_peak(max_xrp: Decimal, max_rlusd: Decimal, mark: Decimal) -> Decimal:
    """Return the same from the two limits of a position."""
    position = max(WORK.multiply(max_xrp, mark), max_rlusd)
    return max(MINIMUM_PEAK, WORK.multiply(position, MINIMUM_PEAK_SHARE))


def drawdown_of(value: Decimal, peak: Decimal, least_peak: Decimal) -> Decimal:
    """Return by how many percent `value` lies below `peak`: 0 at or above it, never more than 100."""
    fall = WORK.subtract(peak, value)
    if fall <= 0:
        return ZERO
    return min(WORK.divide(WORK.multiply(fall, _HUNDRED), max(peak, least_peak)), _HUNDRED)


def loss(memory: None, seen: Seen, config: Config) -> tuple[None, Reading]:
    """Kill when the session has lost more than `risk.max_loss_rlusd`, fees and what is held at mark in it."""
    view, limit = seen.view, config.risk.max_loss_rlusd
    lost = ZERO if view.mark is None else WORK.subtract(view.net_capital, view.account_value)
    if lost <= limit:
        return memory, calm("loss")
    detail = f"session P&L {shown(-lost)} RLUSD (risk.max_loss_rlusd {plain(limit)})"
    return memory, Reading(monitor="loss", severity=Severity.KILL, detail=detail)


def daily_loss(memory: DayResult, seen: Seen, config: Config) -> tuple[DayResult, Reading]:
    """Kill when the account has lost more than `risk.max_daily_loss_rlusd` on the UTC day that runs.

    Fees and what is held at mark are in it, and so is what earlier sessions made or lost on this day: to
    start again makes no new limit. A new day begins from nothing at its first tick.
    """
    view, day, limit = seen.view, seen.at // DAY_SECONDS, config.risk.max_daily_loss_rlusd
    pnl = memory.pnl if view.mark is None else WORK.subtract(view.account_value, view.net_capital)
    if day != memory.day:
        memory = DayResult(day=day, before=memory.pnl, pnl=pnl)
    elif pnl != memory.pnl:
        memory = DayResult(day=day, before=memory.before, pnl=pnl)
    made = WORK.subtract(pnl, memory.before)
    if -made <= limit:
        return memory, calm("daily_loss")
    detail = f"P&L {shown(made)} RLUSD in this UTC day (risk.max_daily_loss_rlusd {plain(limit)})"
    return memory, Reading(monitor="daily_loss", severity=Severity.KILL, detail=detail)


def drawdown(memory: Peak, seen: Seen, config: Config) -> tuple[Peak, Reading]:
    """Kill when the value has fallen by more than `risk.max_drawdown_pct` from its peak."""
    view, limit = seen.view, config.risk.max_drawdown_pct
    if view.mark is None:
        return memory, calm("drawdown")
    start = memory.start_value if memory.start_value is not None else view.net_capital
    value = WORK.add(start, WORK.subtract(view.account_value, view.net_capital))
    peak = value if memory.peak_value is None else max(memory.peak_value, value)
    pct = drawdown_of(value, peak, minimum_peak(config, view.mark))
    memory = Peak(start_value=start, peak_value=peak, pct=pct)
    if pct <= limit:
        return memory, calm("drawdown")
    detail = (
        f"drawdown {shown(pct)} % from a peak of {shown(peak)} RLUSD (risk.max_drawdown_pct {plain(limit)})"
    )
    return memory, Reading(monitor="drawdown", severity=Severity.KILL, detail=detail)
