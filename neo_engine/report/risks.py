"""What was risked: holdings against their limits, drawdown, the worst minutes, and what stopped the quoting.

The deepest drawdown is found in binary floats and stated by the risk gate's own formula (risk.drawdown_of)
from the stored numbers of its tick and its peak's.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from decimal import Decimal

import numpy as np

from neo_engine.domain.clock import utc_text
from neo_engine.domain.number import NEAREST, WORK, parse_number
from neo_engine.report.columns import Columns, Floats
from neo_engine.report.gates import Gates
from neo_engine.report.markouts import Fills, rounded
from neo_engine.report.measures import Drawdown, Event, ExposurePath, Minute, Risk
from neo_engine.report.model import SessionFacts
from neo_engine.risk import MINIMUM_PEAK, MINIMUM_PEAK_SHARE, drawdown_of, least_peak
from neo_engine.state.rows import READING_BITS, TICK_BITS

WORST_MINUTES = 5
EVENTS_MAX = 500  # the latest ones are kept: they lead to the end
_SIX = Decimal("0.000001")
_MINUTE = 60


def limits(connection: sqlite3.Connection, session_id: int) -> dict[str, Decimal]:
    """Return the numbers of the section `risk` of the session's configuration; {} when it has none."""
    (text,) = connection.execute(
        "SELECT config_json FROM sessions WHERE session_id = ?", (session_id,)
    ).fetchone()
    config = json.loads(text)
    section = config.get("risk") if isinstance(config, dict) else None
    if not isinstance(section, dict):
        return {}
    return {name: parse_number(str(value), f"risk.{name}") for name, value in section.items()}


def _money(value: float) -> Decimal:
    return Decimal(repr(float(value))).quantize(_SIX, rounding=NEAREST)


def _path(asset: str, held: Floats, limit: Decimal | None) -> ExposurePath:
    highest = float(held.max())
    return ExposurePath(
        asset=asset,
        lowest=_money(held.min()),
        highest=_money(highest),
        mean=_money(held.mean()),
        last=_money(held[-1]),
        limit=limit,
        highest_pct_of_limit=rounded(100 * highest / float(limit)) if limit else None,
        ticks_above_limit=int(np.count_nonzero(held > float(limit))) if limit is not None else 0,
    )


def drawdown_path(columns: Columns, max_xrp: Decimal, max_quote: Decimal) -> tuple[Floats, Floats, Floats]:
    """Return (percent, value, peak) of every tick with a mark; value is net of later capital events."""
    ticks = columns.ticks
    known = ~np.isnan(ticks.mark)
    profit, mark = ticks.profit[known], ticks.mark[known]
    value = ticks.capital[known][:1] + profit
    peak = np.maximum.accumulate(value)
    position = np.maximum(float(max_xrp) * mark, float(max_quote))
    least = np.maximum(float(MINIMUM_PEAK), position * float(MINIMUM_PEAK_SHARE))  # as risk.least_peak
    percent = np.minimum((peak - value) * 100 / np.maximum(peak, least), 100)
    return percent, value, peak


def _drawdown(
    connection: sqlite3.Connection, columns: Columns, found: Mapping[str, Decimal]
) -> Drawdown | None:
    ticks = columns.ticks
    known = np.flatnonzero(~np.isnan(ticks.mark))
    if not len(known) or not {"max_xrp_exposure", "max_rlusd_exposure"} <= found.keys():
        return None
    max_xrp, max_quote = found["max_xrp_exposure"], found["max_rlusd_exposure"]
    percent, value, _peak = drawdown_path(columns, max_xrp, max_quote)
    worst = int(np.argmax(percent))
    top = int(np.argmax(value[: worst + 1]))
    top_now = int(np.argmax(value))

    def stored(index: int) -> tuple[Decimal, Decimal, Decimal]:
        row = connection.execute(
            "SELECT account_value_rlusd, net_capital_rlusd, mark FROM ticks WHERE id = ?",
            (columns.session_id << TICK_BITS | int(ticks.tick[known[index]]),),
        ).fetchone()
        worth, capital, mark = (parse_number(one, "ticks") for one in row)
        return WORK.subtract(worth, capital), capital, mark

    start = stored(0)[1]

    def fall(low: int, high: int) -> tuple[Decimal, Decimal, Decimal]:
        gain, _, mark = stored(low)
        lower, upper = WORK.add(start, gain), WORK.add(start, stored(high)[0])
        return drawdown_of(lower, upper, least_peak(max_xrp, max_quote, mark)), lower, upper

    worst_pct, low_value, high_value = fall(worst, top)
    return Drawdown(
        worst_pct=worst_pct,
        worst_at=utc_text(int(ticks.at[known[worst]])),
        worst_tick=int(ticks.tick[known[worst]]),
        value=low_value,
        peak=high_value,
        peak_at=utc_text(int(ticks.at[known[top]])),
        now_pct=fall(len(known) - 1, top_now)[0],
        limit_pct=found.get("max_drawdown_pct"),
    )


def worst_minutes(columns: Columns, fills: Fills) -> tuple[Minute, ...]:
    """Return the minutes that lost most, worst first; none where no minute lost."""
    ticks = columns.ticks
    known = np.flatnonzero(~np.isnan(ticks.mark))
    if not len(known):
        return ()
    minute = ticks.at[known] // _MINUTE
    ends = np.append(np.flatnonzero(np.diff(minute)), len(known) - 1)
    before = np.concatenate(([0], ends[:-1]))
    profit, mark = ticks.profit[known], ticks.mark[known]
    earned = profit[ends] - profit[before]
    made = fills.at // _MINUTE
    found = []
    for place in np.argsort(earned, kind="stable")[:WORST_MINUTES].tolist():
        if earned[place] >= 0:
            break
        when = int(minute[ends[place]])
        found.append(
            Minute(
                at=utc_text(when * _MINUTE),
                profit=_money(earned[place]),
                mid_move_bps=rounded(float((mark[ends[place]] / mark[before[place]] - 1) * 10_000)),
                fills=int(np.count_nonzero(made == when)),
            )
        )
    return tuple(found)


def _events(connection: sqlite3.Connection, facts: SessionFacts) -> tuple[tuple[Event, ...], int]:
    session_id = facts.session_id
    first = session_id << TICK_BITS + READING_BITS
    rows = connection.execute(
        "SELECT t.close_time, r.tick, r.monitor, r.severity, r.detail FROM monitor_readings r "
        f"JOIN ticks t ON t.id = r.id >> {READING_BITS} "
        f"WHERE r.id BETWEEN ?1 AND ?1 + (0xFFFFFFFF << {READING_BITS}) "
        "UNION ALL SELECT t.close_time, c.tick, c.finding, c.severity, c.detail FROM reconciliations c "
        f"JOIN ticks t ON t.id = c.session_id << {TICK_BITS} | c.tick "
        "WHERE c.session_id = ?2 AND c.severity = 'halt' ORDER BY 2, 1",
        (first, session_id),
    )
    events = [
        Event(at=at, tick=tick, what=what, severity=severity, detail=detail)
        for at, tick, what, severity, detail in rows
    ]
    if facts.halt_reason is not None:
        events.append(
            Event(
                at=facts.market_end or facts.ended_at or "",
                tick=facts.ticks or None,
                what="session end",
                severity=facts.halt_reason,
                detail=facts.halt_detail or "",
            )
        )
    return tuple(events[-EVENTS_MAX:]), len(events)


def risks(
    connection: sqlite3.Connection,
    columns: Columns,
    fills: Fills,
    gates: Gates,
    *,
    facts: SessionFacts,
    found: Mapping[str, Decimal],
) -> Risk:
    """Return what the session risked; found: its `limits`. Raises ValueError for a damaged value."""
    events, event_count = _events(connection, facts)
    ticks = columns.ticks
    exposure: tuple[ExposurePath, ...] = ()
    if len(ticks):
        exposure = (
            _path("XRP", ticks.xrp, found.get("max_xrp_exposure")),
            _path(facts.quote_symbol, ticks.quote, found.get("max_rlusd_exposure")),
        )
    return Risk(
        exposure=exposure,
        drawdown=_drawdown(connection, columns, found),
        worst_minutes=worst_minutes(columns, fills),
        spans=gates.spans,
        span_count=gates.span_count,
        events=events,
        event_count=event_count,
    )
