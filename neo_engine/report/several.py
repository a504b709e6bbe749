"""Many sessions as one: what they earned together, and the markouts of all their fills.

Sessions are independent, each with its own books and its own mark; their P&L is added up, exactly.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from decimal import Decimal, localcontext

import msgspec

from neo_engine.domain.number import ZERO
from neo_engine.report.accounts import EXACT_DIGITS
from neo_engine.report.courses import Course, course_of
from neo_engine.report.markouts import Marked, marked, markout_groups, pooled
from neo_engine.report.measures import MarkoutGroup
from neo_engine.report.model import SessionSummary
from neo_engine.report.render_text import builtins, summary_object
from neo_engine.report.section import NONE, Section, money, pct
from neo_engine.report.sections_more import markout_sections
from neo_engine.report.summary import summarize_with_data

#: Parts of the P&L that are added up, and what the table calls them.
PARTS = {
    "spread_captured": "Spread",
    "adverse_selection": "Adverse",
    "fills_drift": "Held on",
    "hold": "Capital",
    "network_fees": "Fees",
    "total": "P&L",
}


class Several(msgspec.Struct, frozen=True, kw_only=True):
    """The reports of many sessions. parts: name of Attribution -> its sum in RLUSD, exact.

    agrees: every report equals what its engine said; None when one had nothing to compare with.
    markouts: of all fills together.
    """

    sessions: tuple[SessionSummary, ...]
    ticks: int
    fills: int
    volume_xrp: Decimal
    agrees: bool | None
    parts: dict[str, Decimal]
    markouts: tuple[MarkoutGroup, ...]


def _agrees(summaries: Sequence[SessionSummary]) -> bool | None:
    told = [summary.agreement.agrees for summary in summaries]
    return False if False in told else None if None in told else True


def together(connection: sqlite3.Connection, session_ids: Sequence[int]) -> Several:
    """Return the reports of sessions, one at least. Raises as `summarize` does."""
    return together_with_courses(connection, session_ids)[0]


def together_with_courses(
    connection: sqlite3.Connection, session_ids: Sequence[int]
) -> tuple[Several, tuple[Course, ...]]:
    """Return the reports of sessions, one at least, and what can be drawn of each. Raises as `summarize`."""
    summaries: list[SessionSummary] = []
    fills: list[Marked] = []
    courses: list[Course] = []
    for session_id in session_ids:
        summary, data = summarize_with_data(connection, session_id)
        summaries.append(summary)
        fills.append(marked(data.columns, data.fills))
        courses.append(course_of(connection, data))
    known = [summary.attribution for summary in summaries if summary.attribution is not None]
    with localcontext() as context:
        context.prec = EXACT_DIGITS
        several = Several(
            sessions=tuple(summaries),
            ticks=sum(summary.uptime.ticks for summary in summaries),
            fills=sum(summary.fills.count for summary in summaries),
            volume_xrp=sum((summary.fills.volume_xrp for summary in summaries), ZERO),
            agrees=_agrees(summaries),
            parts={name: sum((getattr(parts, name) for parts in known), ZERO) for name in PARTS},
            markouts=markout_groups(pooled(fills)),
        )
        return several, tuple(courses)


def several_json(several: Several) -> dict[str, object]:
    """Return the JSON form: the whole report of each session, and what they come to together."""
    together_ = builtins(several)
    return {**together_, "sessions": [summary_object(summary) for summary in several.sessions]}


def several_sections(several: Several) -> tuple[Section, ...]:
    """Return the tables of many sessions: each in a row with what it earned and from what, then all."""
    money_rows = []
    quality_rows = []
    for summary in several.sessions:
        parts = summary.attribution
        amounts = (NONE,) * len(PARTS) if parts is None else tuple(money(getattr(parts, n)) for n in PARTS)
        money_rows.append((str(summary.facts.session_id), *amounts))
        measured = sum(side.measured_ticks for side in summary.touch)
        fall = summary.risk.drawdown
        quality_rows.append(
            (
                str(summary.facts.session_id),
                summary.facts.halt_reason or ("running" if summary.facts.running else "not closed"),
                f"{summary.uptime.ticks:,}",
                f"{summary.fills.count:,}",
                pct(summary.uptime.ticks - summary.uptime.none, summary.uptime.ticks),
                pct(sum(side.within_2bps for side in summary.touch), measured),
                NONE if fall is None else f"{fall.worst_pct:.2f} %",
                {True: "equal", False: "NOT EQUAL", None: NONE}[summary.agreement.agrees],
            )
        )
    money_rows.append(("all", *(money(several.parts[name]) for name in PARTS)))
    return (
        Section(
            title=f"What {len(several.sessions)} sessions earned",
            columns=("Session", *PARTS.values()),
            left=1,
            rows=tuple(money_rows),
            note="RLUSD, each at its own mark. Rounding and transfer fees are in P&L too.",
        ),
        Section(
            title="How they went",
            columns=("Session", "Ended", "Ticks", "Fills", "Quoting", "<= 2 bps", "Drawdown", "Engine"),
            left=2,
            rows=tuple(quality_rows),
            note="Engine: the report against what the engine itself stored.",
        ),
        *markout_sections(several.markouts),
    )
