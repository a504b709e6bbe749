"""What a session went through, thinned for a drawing of many: so little that hundreds fit in memory.

Times are seconds since the session's first tick. Thinning keeps the lowest and the highest value of every
stretch (series.py), and here the last one too: the next session of a sum begins where this one really ended.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from itertools import accumulate

import msgspec
import numpy as np

from neo_engine.report.accounts import XRP
from neo_engine.report.columns import Columns, Floats
from neo_engine.report.data import SessionData
from neo_engine.report.markouts import marked, markout_groups
from neo_engine.report.measures import MarkoutGroup
from neo_engine.report.series import Point, thin

POINTS = 700  # of a series
_SIGNS = {"opening": 1.0, "deposit": 1.0, "withdrawal": -1.0}


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """A session's paths by seconds since its first tick; NaN breaks a line.

    profit, value: in the quote asset, from the first mark on. trading: profit beyond what holding the capital
    earned. xrp: held. fills: counted up. half_spread: bps. seconds: its length. markouts: of all its fills.
    """

    session_id: int
    quote_symbol: str
    seconds: int
    profit: list[Point]
    trading: list[Point]
    value: list[Point]
    xrp: list[Point]
    fills: list[Point]
    half_spread: list[Point]
    markouts: MarkoutGroup


def capital_xrp(connection: sqlite3.Connection, columns: Columns) -> Floats:
    """Return the XRP of capital (no fills) in each tick."""
    held = np.zeros(len(columns.ticks))
    for tick, kind, amount in connection.execute(
        "SELECT COALESCE(tick, 0), kind, CAST(amount AS REAL) FROM capital_events "
        "WHERE session_id = ? AND status = 'applied' AND asset = ?",
        (columns.session_id, XRP),
    ):
        held[np.searchsorted(columns.ticks.tick, tick) :] += _SIGNS[kind] * amount
    return held


def gains_of_holding(connection: sqlite3.Connection, columns: Columns) -> Floats:
    """Return what the capital's own XRP gained in each tick since the one before; 0 without a mark."""
    mark = columns.ticks.mark
    moved = np.nan_to_num(np.diff(mark, prepend=mark[:1]))
    return np.concatenate(([0.0], capital_xrp(connection, columns)[:-1])) * moved


def course_of(connection: sqlite3.Connection, data: SessionData) -> Course:
    """Return the course of a session; its series are empty when it has no tick."""
    ticks = data.columns.ticks
    count = len(ticks)
    since = ticks.at - ticks.at[0] if count else ticks.at
    unknown = np.isnan(ticks.mark)

    def points(values: Floats) -> list[Point]:
        found = thin(since, values, POINTS)
        known = np.flatnonzero(~np.isnan(values))
        if len(known) and found[-1][0] < since[known[-1]]:
            found.append((int(since[known[-1]]), float(values[known[-1]])))
        return found

    held = np.cumsum(gains_of_holding(connection, data.columns)) if count else ticks.profit
    counted = np.searchsorted(data.fills.tick, ticks.tick, side="right").astype(np.float64)
    return Course(
        session_id=data.columns.session_id,
        quote_symbol=data.quote_symbol,
        seconds=int(since[-1]) if count else 0,
        profit=points(np.where(unknown, np.nan, ticks.profit)),
        trading=points(np.where(unknown, np.nan, ticks.profit - held)),
        value=points(np.where(unknown, np.nan, ticks.value)),
        xrp=points(ticks.xrp),
        fills=points(counted),
        half_spread=points(ticks.half_spread),
        markouts=markout_groups(marked(data.columns, data.fills))[0],
    )


def fewer(points: list[Point], limit: int) -> list[Point]:
    """Return a series of about `limit` points at most, its last one among them."""
    if len(points) <= limit:
        return points
    at = np.array([one for one, _ in points], dtype=np.int64)
    found = thin(at, np.array([value for _, value in points]), limit)
    return found if found[-1] == points[-1] else [*found, points[-1]]


def starts_of(courses: tuple[Course, ...]) -> list[int]:
    """Return the second at which each session begins when they are laid end to end, and the end of all."""
    return [0, *accumulate(one.seconds for one in courses)]


def end_to_end(
    courses: tuple[Course, ...], of: Callable[[Course], list[Point]], *, added_up: bool
) -> list[Point]:
    """Return a series of sessions laid end to end; the line breaks between them.

    added_up: each begins where the one before ended, not at its own value.
    """
    limit = max(POINTS // max(len(courses), 1), 4)
    made: list[Point] = []
    base = 0.0
    for begin, one in zip(starts_of(courses), courses, strict=False):
        series = of(one)
        made.extend((begin + at, base + amount) for at, amount in fewer(series, limit))
        if made and made[-1][1] == made[-1][1]:
            made.append((made[-1][0], math.nan))
        if added_up:
            base += next((last for _, last in reversed(series) if last == last), 0.0)
    return made
