"""Sessions beside each other: the configuration keys that differ, and whether a difference is more than
noise.

A session is cut into blocks of consecutive ticks (BLOCK_TICKS, or more where there would be over BLOCKS_MAX
of them), long enough that one block says little about the next. Each figure is a ratio of two sums over
blocks. Both sessions' blocks are drawn again RESAMPLES times with replacement, each time as many as there
are; the middle 95 % of the differences to the first session is the interval. A difference is more than
noise when the interval leaves out 0. With fewer than BLOCKS_MIN blocks nothing is said. The draws come from
a fixed seed.

What this cannot see: two sessions of different hours differ by their markets too. Sessions on the same
recording or the same simulated market and seed are the fair comparison.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Sequence
from decimal import Decimal

import msgspec
import numpy as np

from neo_engine.report.columns import Floats, Numbers
from neo_engine.report.courses import Course, course_of, gains_of_holding
from neo_engine.report.data import SessionData, quote_symbol_of, read_session
from neo_engine.report.markouts import LEDGERS, marked, rounded
from neo_engine.report.section import NONE, Section
from neo_engine.report.touch import WITHIN_BPS, distances

BLOCK_TICKS = 75  # about five minutes
BLOCKS_MIN, BLOCKS_MAX = 10, 2_000
RESAMPLES = 2_000
SEED = 20_260_101
_CHUNK = 1_000_000  # numbers drawn at a time
_HOUR = 3_600
_WITHIN = int(WITHIN_BPS * 10_000)
Blocks = dict[str, tuple[Floats, Floats]]

#: Figures, as ratios: what is divided by what.
FIGURES = {
    "profit_per_hour": "P&L, RLUSD an hour",
    "trading_per_hour": "Beyond holding, RLUSD an hour",
    "fills_per_hour": "Fills an hour",
    "xrp_per_hour": "XRP traded an hour",
    "captured_bps": "Spread captured a fill, bps",
    "markout_15_bps": "Markout after 15 ledgers, bps",
    "quoting_pct": "Ticks quoting, %",
    "within_2bps_pct": "Within 2 bps of the touch, %",
    "half_spread_bps": "Half-spread, bps",
}


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of a session against the same of the first. value: here; difference: here less there.

    low, high: of 95 % of the resampled differences; None where there are too few blocks. is_real: the
    interval leaves out 0; None when nothing can be said.
    """

    session_id: int
    value: Decimal | None
    difference: Decimal | None
    low: Decimal | None
    high: Decimal | None
    is_real: bool | None


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of all sessions. base: of the first."""

    name: str
    title: str
    base: Decimal | None
    others: tuple[Difference, ...]


class ConfigKey(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration key that is not the same in all sessions, and its value in each; None: it has none."""

    key: str
    values: tuple[str | None, ...]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions beside each other; blocks: how many each was cut into."""

    session_ids: tuple[int, ...]
    hypotheses: tuple[str | None, ...]
    recordings: tuple[str | None, ...]
    seeds: tuple[int | None, ...]
    blocks: tuple[int, ...]
    config: tuple[ConfigKey, ...]
    figures: tuple[Figure, ...]


def leaves(value: object, prefix: str = "") -> dict[str, str]:
    """Return the dotted keys of a configuration with their values as text.

    >>> leaves({"risk": {"max": "5", "on": True}})
    {'risk.max': '5', 'risk.on': 'true'}
    """
    if not isinstance(value, dict):
        return {prefix: value if isinstance(value, str) else json.dumps(value)}
    found: dict[str, str] = {}
    for name, inner in value.items():
        found |= leaves(inner, f"{prefix}.{name}" if prefix else str(name))
    return found


def differing(configs: Sequence[str]) -> tuple[ConfigKey, ...]:
    """Return the keys whose values differ, of configurations as JSON text."""
    flat = [leaves(json.loads(text)) for text in configs]
    keys = sorted({key for one in flat for key in one})
    return tuple(
        ConfigKey(key=key, values=tuple(one.get(key) for one in flat))
        for key in keys
        if len({one.get(key) for one in flat}) > 1
    )


def _sums(starts: Numbers, places: Numbers, values: Floats) -> Floats:
    """Return the sum of `values` by block; places: the tick of each."""
    total = np.zeros(len(starts))
    np.add.at(total, np.searchsorted(starts, places, side="right") - 1, values)
    return total


def blocks_of(connection: sqlite3.Connection, data: SessionData) -> Blocks:
    """Return each figure's numerators and denominators by block; {} for a session without ticks."""
    columns, fills = data.columns, data.fills
    ticks = columns.ticks
    count = len(ticks)
    if not count:
        return {}
    size = max(BLOCK_TICKS, math.ceil(count / BLOCKS_MAX))
    starts = np.arange(0, max(count - size + 1, 1), size)  # the rest goes with the last one
    every = np.arange(count)

    def steps(values: Floats) -> Floats:
        return np.nan_to_num(np.diff(values, prepend=values[:1]))

    gain = np.where(np.isnan(ticks.mark), 0.0, ticks.profit)
    hold = gains_of_holding(connection, columns)
    hours = _sums(starts, every, steps(ticks.at.astype(np.float64))) / _HOUR
    made = np.minimum(np.searchsorted(ticks.tick, fills.tick), count - 1)
    one = marked(columns, fills)

    def mean(places: Numbers, values: Floats) -> tuple[Floats, Floats]:
        known = ~np.isnan(values)
        return _sums(starts, places[known], values[known]), _sums(
            starts, places[known], np.ones(int(known.sum()))
        )

    near = [distances(columns.markets, side) for side in ("bid", "ask")]
    return {
        "profit_per_hour": (_sums(starts, every, steps(gain)), hours),
        "trading_per_hour": (_sums(starts, every, steps(gain) - hold), hours),
        "fills_per_hour": (_sums(starts, made, np.ones(len(fills))), hours),
        "xrp_per_hour": (_sums(starts, made, fills.xrp), hours),
        "captured_bps": mean(made, one.captured_bps),
        "markout_15_bps": mean(made, one.later_bps[LEDGERS.index(15)]),
        "quoting_pct": mean(every, np.where(ticks.quoting > 0, 100.0, 0.0)),
        "within_2bps_pct": mean(
            columns.markets.place[np.concatenate([places for _, places in near])],
            np.where(np.concatenate([parts for parts, _ in near]) >= _WITHIN, 100.0, 0.0),
        ),
        "half_spread_bps": mean(every, ticks.half_spread),
    }


def resampled(top: Floats, bottom: Floats, draws: np.random.Generator) -> Floats:
    """Return RESAMPLES ratios of sums over blocks drawn with replacement; NaN where nothing is below."""
    count = len(top)
    ratios = []
    rows = max(_CHUNK // count, 1)
    for start in range(0, RESAMPLES, rows):
        chosen = draws.integers(0, count, (min(rows, RESAMPLES - start), count))
        above, below = top[chosen].sum(axis=1), bottom[chosen].sum(axis=1)
        ratios.append(np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0))
    return np.concatenate(ratios)


def _ratio(blocks: Blocks, name: str) -> float:
    if name not in blocks:
        return math.nan
    top, bottom = blocks[name]
    below = float(bottom.sum())
    return float(top.sum()) / below if below > 0 else math.nan


def difference(session_id: int, base: Blocks, other: Blocks, name: str) -> Difference:
    """Return how a figure differs between two sessions, with its interval."""
    here, there = _ratio(other, name), _ratio(base, name)
    low = high = math.nan
    enough = all(name in one and len(one[name][0]) >= BLOCKS_MIN for one in (base, other))
    if enough and not math.isnan(here - there):
        draws = np.random.default_rng(SEED)
        apart = resampled(*other[name], draws) - resampled(*base[name], draws)
        known = apart[~np.isnan(apart)]
        if len(known) >= RESAMPLES // 2:  # else most draws have nothing to divide by
            low, high = (float(one) for one in np.percentile(known, (2.5, 97.5)))
    return Difference(
        session_id=session_id,
        value=rounded(here),
        difference=rounded(here - there),
        low=rounded(low),
        high=rounded(high),
        is_real=None if math.isnan(low) else not low <= 0 <= high,
    )


def compare_sessions(connection: sqlite3.Connection, session_ids: Sequence[int]) -> Comparison:
    """Return sessions beside each other, all against the first. Raises as `summarize` does."""
    return compare_with_courses(connection, session_ids)[0]


def compare_with_courses(
    connection: sqlite3.Connection, session_ids: Sequence[int]
) -> tuple[Comparison, tuple[Course, ...]]:
    """Return sessions beside each other and what can be drawn of each. Raises as `summarize` does."""
    rows: list[sqlite3.Row] = []
    blocks: list[Blocks] = []
    courses: list[Course] = []
    for session_id in session_ids:
        rows.append(
            connection.execute(
                "SELECT config_json, hypothesis, recording, seed FROM sessions WHERE session_id = ?",
                (session_id,),
            ).fetchone()
        )
        data = read_session(connection, session_id, quote_symbol_of(connection, session_id))
        blocks.append(blocks_of(connection, data))
        courses.append(course_of(connection, data))
    base = blocks[0]
    comparison = Comparison(
        session_ids=tuple(session_ids),
        hypotheses=tuple(row["hypothesis"] for row in rows),
        recordings=tuple(row["recording"] for row in rows),
        seeds=tuple(row["seed"] for row in rows),
        blocks=tuple(len(one["profit_per_hour"][0]) if one else 0 for one in blocks),
        config=differing([str(row["config_json"]) for row in rows]),
        figures=tuple(
            Figure(
                name=name,
                title=title,
                base=rounded(_ratio(base, name)),
                others=tuple(
                    difference(session_id, base, other, name)
                    for session_id, other in zip(session_ids[1:], blocks[1:], strict=True)
                ),
            )
            for name, title in FIGURES.items()
        ),
    )
    return comparison, tuple(courses)


def _verdict(one: Difference) -> str:
    if one.is_real is None:
        return "unknown"
    return "real" if one.is_real else "noise"


def _shown(value: Decimal | None) -> str:
    return NONE if value is None else f"{value:+,.3f}"


def _plain(value: Decimal | None) -> str:
    return NONE if value is None else f"{value:,.3f}"


def compare_sections(found: Comparison) -> tuple[Section, ...]:
    """Return the comparison as tables."""
    names = [str(one) for one in found.session_ids]
    about = (
        ("Recording or market", *(one or NONE for one in found.recordings)),
        ("Seed", *(NONE if one is None else str(one) for one in found.seeds)),
        ("Hypothesis", *(one or NONE for one in found.hypotheses)),
        ("Blocks", *(f"{one:,}" for one in found.blocks)),
    )
    keys = tuple((one.key, *(value or NONE for value in one.values)) for one in found.config)
    sections = [
        Section(title="Sessions", columns=("", *names), left=len(names) + 1, rows=about, note=""),
        Section(
            title="Configuration keys that differ",
            columns=("Key", *names),
            left=len(names) + 1,
            rows=keys,
            note="" if keys else "The same configuration.",
        ),
    ]
    for index, session_id in enumerate(found.session_ids[1:]):
        rows = []
        for figure in found.figures:
            one = figure.others[index]
            interval = NONE if one.low is None else f"{_shown(one.low)} to {_shown(one.high)}"
            rows.append(
                (
                    figure.title,
                    _plain(figure.base),
                    _plain(one.value),
                    _shown(one.difference),
                    interval,
                    _verdict(one),
                )
            )
        sections.append(
            Section(
                title=f"Session {session_id} against session {found.session_ids[0]}",
                columns=("", names[0], str(session_id), "Difference", "95 % interval", "Verdict"),
                left=1,
                rows=tuple(rows),
                note="real: the interval of blocks drawn again leaves out 0; unknown: fewer than "
                f"{BLOCKS_MIN} blocks, or too little to divide by. It knows nothing of other hours.",
            )
        )
    return tuple(sections)
