"""A calibration for a terminal and as JSON."""

from __future__ import annotations

import json
import math
from typing import TextIO

import msgspec
from rich.text import Text

from neo_engine.calibration.adverse import HORIZON, HOUR_LEDGERS_MIN, Mean
from neo_engine.calibration.hazard import Interval
from neo_engine.calibration.result import Result
from neo_engine.report.render_text import console_on, has_line_drawing, print_section
from neo_engine.report.section import NONE, Section


def _between(interval: Interval, digits: int) -> str:
    return f"{interval.low:.{digits}f} to {interval.high:.{digits}f}"


def _mean(one: Mean) -> tuple[str, str]:
    if one.mean is None or one.interval is None:
        return NONE, NONE
    return f"{one.mean:+.2f}", f"{one.interval.low:+.2f} to {one.interval.high:+.2f}"


def _range(low: float, high: float) -> str:
    if low == high:
        return f"at {low:g}"
    if math.isinf(low):
        return f"below {high:g}"
    return f"{low:g} and more" if math.isinf(high) else f"{low:g} to {high:g}"


def _evidence(result: Result) -> Section:
    what = (
        "ledgers in which the touch was taken" if result.kind == "recordings" else "fills at known distances"
    )
    rows: list[tuple[str, ...]] = [
        ("from", ", ".join(result.sources)),
        ("ledgers with a market", f"{result.ledgers:,}, and {result.skipped:,} left out"),
        ("observations, a ledger and side each", f"{result.observations:,}"),
        (what, f"{result.hits:,}"),
    ]
    return Section(title="Evidence", columns=("", ""), left=2, rows=tuple(rows), note="")


def _curve(result: Result) -> list[Section]:
    curve, shape = result.curve, result.shape
    if curve is None or shape is None:
        return []
    rows = [
        ("A, fills a ledger and side at the touch", f"{curve.a:.4f}", _between(curve.a_interval, 4)),
        ("k, per bps", f"{curve.k:.4f}", _between(curve.k_interval, 4)),
        *(
            (f"lambda {one.distance:g} bps behind", f"{one.rate:.4f}", _between(one.interval, 4))
            for one in curve.points
        ),
    ]
    fits = [(f"from {low:g}", str(seen), f"{expected:.1f}") for low, seen, expected in shape.rows]
    note = "too few classes for a test" if shape.p is None else f"chance of a worse fit: {shape.p:.4f}"
    return [
        Section(
            title="Fill intensity: A exp(-k distance)",
            columns=("", "Estimate", "95 % interval"),
            left=1,
            rows=tuple(rows),
            note="The intervals of A and k hold together; each lambda's holds by itself.",
        ),
        Section(
            title="Fit, bps behind the touch",
            columns=("Distance", "Seen", "Expected"),
            left=1,
            rows=tuple(fits),
            note=note,
        ),
    ]


def _adverse(result: Result) -> Section:
    rows = tuple(
        (_range(row.low, row.high), f"{row.against.count:,}", *_mean(row.against), *_mean(row.markout))
        for row in result.adverse
    )
    return Section(
        title=f"Adverse selection, {HORIZON} ledgers after the fill, bps",
        columns=("Behind touch", "Fills", "Moved against", "95 %", "Markout", "95 %"),
        left=1,
        rows=rows,
        note="Markout = distance from the mid - moved against.",
    )


def _clock(result: Result) -> Section:
    rows = tuple(
        (
            f"{one.hour:02d}:00",
            f"{one.ledgers:,}",
            NONE if one.move_bps is None else f"{one.move_bps:.2f}",
            NONE if one.ratio is None else f"{one.ratio:.2f}",
            f"{one.fills:,}",
        )
        for one in result.clock
    )
    return Section(
        title="Volatility by UTC hour",
        columns=("Hour", "Ledgers", "Move, bps a ledger", "Against all", "Fills"),
        left=1,
        rows=rows,
        note=f"An hour with fewer than {HOUR_LEDGERS_MIN} ledgers has no figure.",
    )


def _outside(result: Result) -> list[Section]:
    outside = result.outside
    if outside is None:
        return []
    rows: list[tuple[str, ...]] = [
        ("fills in the first 70 % of ledgers, which made the fit", str(outside.train_hits)),
        (
            "fills predicted for the rest",
            f"{outside.predicted:.1f} (95 % {_between(outside.interval, 1)})",
        ),
        ("fills seen in the rest", f"{outside.test_hits}: {'holds' if outside.holds else 'does not hold'}"),
    ]
    if outside.offset is not None and outside.share is not None:
        rows.append(("offset for the target, from the first part", f"{outside.offset:g} bps"))
        rows.append(("ticks near the touch with it in the rest", f"{outside.share:.1%}"))
    return [Section(title="Out of sample", columns=("", ""), left=1, rows=tuple(rows), note="")]


def _proposal(result: Result) -> list[Section]:
    proposal = result.proposal
    if proposal is None:
        return []
    rows: list[tuple[str, ...]] = [(key, value) for key, value in proposal.settings.items()]
    if result.share_seen is not None:
        rows.append(
            ("ticks near the touch in these sessions, with their settings", f"{result.share_seen:.1%}")
        )
    rows.append(("the same by this model, with the configuration's", f"{proposal.share_now:.1%}"))
    if proposal.share is not None:
        rows.append(("... with the proposal", f"{proposal.share:.1%}"))
    rows.append(("fills an hour of the first level, now", f"{proposal.fills_an_hour_now:.1f}"))
    if proposal.fills_an_hour is not None:
        rows.append(("... with the proposal", f"{proposal.fills_an_hour:.1f}"))
    if proposal.typical_distance is not None:
        rows.append(("median distance behind the touch", f"{proposal.typical_distance:.1f} bps"))
    if proposal.markout_bps is not None:
        rows.append(("mean markout of fills near it", f"{proposal.markout_bps:+.2f} bps"))
    return [
        Section(title=f"For {result.target}", columns=("", ""), left=1, rows=tuple(rows), note=""),
    ]


def print_result(result: Result, stream: TextIO) -> None:
    """Write the calibration: what it rests on first, the difference of the configuration last."""
    console, fancy = console_on(stream), has_line_drawing(stream)
    sections = [
        _evidence(result),
        *_curve(result),
        *([_adverse(result)] if result.adverse else []),
        *([_clock(result)] if result.clock else []),
        *_outside(result),
        *_proposal(result),
    ]
    for section in sections:
        print_section(console, section, fancy)
    for line in result.missing:
        console.print(Text(f"not enough data: {line}", style="bold"), soft_wrap=True)
    notes = result.proposal.notes if result.proposal is not None else ()
    for line in (*result.cautions, *notes):
        console.print(Text(f"note: {line}"), soft_wrap=True)
    if result.diff:
        console.print()
        console.print(Text(result.diff), soft_wrap=True, end="")
    elif result.proposal is not None and result.proposal.settings:
        console.print(Text("the configuration has these settings already"), soft_wrap=True)


def result_json(result: Result) -> str:
    """Return the calibration as one JSON object, ASCII only; an open end of a class is null."""
    return json.dumps(json.loads(msgspec.json.encode(result)), indent=2)
