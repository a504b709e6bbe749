"""A report as one HTML file that needs nothing else: tables, drawings inside it, light, dark and paper.

The page holds no script and loads nothing. Every text that comes from the database is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from html import escape

import msgspec

from neo_engine.domain.number import NEAREST
from neo_engine.report.charts import Panel
from neo_engine.report.measures import Markout
from neo_engine.report.model import SessionSummary
from neo_engine.report.section import NONE, Section, bps, pct
from neo_engine.report.sections import Chapter, agreement_lines, chapters, reconciliation_lines, still_open
from neo_engine.report.several import Several
from neo_engine.report.style_sheet import STYLE

_THREE, _ONE = Decimal("0.001"), Decimal("0.1")
_WIDE_COLUMNS, _WIDE_TEXTS = 6, 3  # tables with so many columns, or so many of text, take the whole width
_SHORT = 22  # characters of a text that is not broken: a time, a name, a code
_PAIR = re.compile(r"[\w-]+=\S+ \w+,?")  # of a reconciliation line
_PLANNED = "duration_elapsed"
_SUMS = ("Total", "all")  # rows that begin so sum up the others
_BAD = ("ERROR", "Report against engine: NOT")


class Tile(msgspec.Struct, frozen=True, kw_only=True):
    """One figure at the head of a page. mood: `up`, `down` or empty."""

    name: str
    value: str
    beside: str
    mood: str = ""


def _mood(value: Decimal | None) -> str:
    return "" if not value else "up" if value > 0 else "down"


def _money(value: Decimal | None) -> str:
    return NONE if value is None else f"{value.quantize(_THREE, rounding=NEAREST):+,f}"


def tiles(summary: SessionSummary) -> tuple[Tile, ...]:
    """Return what a reader wants to know first."""
    facts, parts, quote = summary.facts, summary.attribution, summary.facts.quote_symbol
    total = None if parts is None else parts.total
    trading = None if parts is None else parts.trading
    within = sum(side.within_2bps for side in summary.touch)
    measured = sum(side.measured_ticks for side in summary.touch)
    markout = next(one for one in summary.execution.markouts[0].markouts if one.ledgers == 15)
    fall = summary.risk.drawdown
    reason = facts.halt_reason or (NONE if facts.ended else "running" if facts.running else "not closed")
    return (
        Tile(name="P&L", value=_money(total), beside=quote, mood=_mood(total)),
        Tile(name="Trading, beyond holding", value=_money(trading), beside=quote, mood=_mood(trading)),
        Tile(
            name="Fills",
            value=f"{summary.fills.count:,}",
            beside=f"{summary.fills.volume_xrp.quantize(_ONE):,f} XRP",
        ),
        _markout_tile(markout),
        Tile(
            name="Quoting",
            value=pct(summary.uptime.ticks - summary.uptime.none, summary.uptime.ticks),
            beside=_quoting(summary),
        ),
        _within_tile(within, measured),
        Tile(
            name="Deepest drawdown",
            value=NONE if fall is None else f"{fall.worst_pct.quantize(_THREE):f} %",
            beside="" if fall is None or fall.limit_pct is None else f"limit {fall.limit_pct:f} %",
        ),
        Tile(
            name="Ended",
            value=reason,
            beside=facts.halt_meaning or still_open(facts),
            mood="" if reason == _PLANNED or facts.running else "down",
        ),
    )


def _quoting(summary: SessionSummary) -> str:
    """Return of how many ticks, and what closed quoting most where it was closed half of the time."""
    of = f"of {summary.uptime.ticks:,} ticks"
    most = max(summary.execution.closures, key=lambda one: one.ticks, default=None)
    closed = most is not None and 2 * summary.uptime.none >= summary.uptime.ticks
    return f"{of}; most closed by {most.name}" if most is not None and closed else of


def _cells(section: Section, texts: tuple[str, ...], tag: str) -> str:
    cells = (
        f'<{tag} class="{_kind(section, index, text)}">{escape(text)}</{tag}>'
        for index, text in enumerate(texts)
    )
    kind = ' class="sum"' if tag == "td" and texts[0].partition(" ")[0] in _SUMS else ""
    return f"<tr{kind}>{''.join(cells)}</tr>"


def _kind(section: Section, index: int, text: str) -> str:
    """Return the classes of a cell: a number, a text, a short one, or a sentence."""
    if index >= section.left:
        return "n"
    return "t d" if index == section.detail else "t s" if len(text) <= _SHORT else "t"


def table(section: Section) -> str:
    """Return one table with its title and note."""
    parts = [f"<h3>{escape(section.title)}</h3>"]
    if section.rows:
        head = f"<thead>{_cells(section, section.columns, 'th')}</thead>" if any(section.columns) else ""
        body = "\n".join(_cells(section, row, "td") for row in section.rows)
        parts.append(f'<div class="wide" tabindex="0"><table>{head}<tbody>\n{body}\n</tbody></table></div>')
    if section.note:
        parts.append(f'<p class="note">{escape(section.note)}</p>')
    wide = len(section.columns) >= _WIDE_COLUMNS or section.left >= _WIDE_TEXTS
    return f'<section class="table{" full" if wide else ""}">{"".join(parts)}</section>'


def _chapter(chapter: Chapter) -> str:
    body = "\n".join(table(section) for section in chapter.sections)
    return f'<h2>{escape(chapter.title)}</h2>\n<div class="tables">\n{body}\n</div>'


def _tile(one: Tile) -> str:
    value = escape(one.value).replace("_", "_<wbr>")  # a reason is too long for half a phone
    return (
        f'<div class="tile {one.mood}"><span>{escape(one.name)}</span><b>{value}</b>'
        f"<small>{escape(one.beside)}</small></div>"
    )


def _panel(one: Panel) -> str:
    caption = f'<p class="note">{escape(one.caption)}</p>' if one.caption else ""
    return f"<figure><h3>{escape(one.title)}</h3>{one.svg}{caption}</figure>"


def _verdict(summary: SessionSummary) -> str:
    facts, lines = summary.facts, []
    if facts.halt_reason and facts.halt_reason != _PLANNED:
        lines.append(f'<p class="bad">Halted: {escape(facts.halt_detail or facts.halt_reason)}</p>')
    for line in (*agreement_lines(summary), *reconciliation_lines(summary)):
        text = _PAIR.sub(r'<span class="s">\g<0></span>', escape(line))
        lines.append(f'<p class="{"bad" if line.startswith(_BAD) else "told"}">{text}</p>')
    return "\n".join(lines)


def document(title: str, body: str) -> str:
    """Return a whole page around its body. title: plain text."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )


def many_page(
    title: str, sections: Sequence[Section], panels: Sequence[Panel], heads: Sequence[Tile] = ()
) -> str:
    """Return a page about more than one session: figures, drawings, tables."""
    parts = [f'<div class="tiles">{"".join(_tile(one) for one in heads)}</div>'] if heads else []
    if panels:
        drawn = "\n".join(_panel(one) for one in panels)
        parts.append(f'<div class="panels">\n{drawn}\n</div>')
    tables = "\n".join(table(section) for section in sections)
    parts.append(f'<h2>Figures</h2>\n<div class="tables">\n{tables}\n</div>')
    return document(title, "\n".join(parts))


def many_tiles(several: Several) -> tuple[Tile, ...]:
    """Return what a reader wants to know first of many sessions."""
    total, hold = several.parts["total"], several.parts["hold"]
    summaries, quote = several.sessions, several.sessions[0].facts.quote_symbol
    ticks = sum(one.uptime.ticks for one in summaries)
    idle = sum(one.uptime.none for one in summaries)
    planned = sum(one.facts.halt_reason == _PLANNED for one in summaries)
    measured = sum(side.measured_ticks for one in summaries for side in one.touch)
    within = sum(side.within_2bps for one in summaries for side in one.touch)
    falls = [one.risk.drawdown.worst_pct for one in summaries if one.risk.drawdown is not None]
    agrees = {True: "equal", False: "NOT EQUAL", None: NONE}[several.agrees]
    markout = next(one for one in several.markouts[0].markouts if one.ledgers == 15)
    return (
        Tile(
            name="P&L", value=_money(total), beside=f"{quote}, {len(summaries)} sessions", mood=_mood(total)
        ),
        Tile(
            name="Trading, beyond holding",
            value=_money(total - hold),
            beside=quote,
            mood=_mood(total - hold),
        ),
        Tile(
            name="Fills",
            value=f"{several.fills:,}",
            beside=f"{several.volume_xrp.quantize(_ONE):,f} XRP",
        ),
        _markout_tile(markout),
        Tile(name="Quoting", value=pct(ticks - idle, ticks), beside=f"of {ticks:,} ticks"),
        _within_tile(within, measured),
        Tile(
            name="Deepest drawdown",
            value=f"{max(falls).quantize(_THREE):f} %" if falls else NONE,
            beside="of one session",
        ),
        Tile(
            name="Ended as planned",
            value=f"{planned} of {len(summaries)}",
            beside=f"report against engine: {agrees}",
            mood="" if planned == len(summaries) and several.agrees is not False else "down",
        ),
    )


def _within_tile(within: int, measured: int) -> Tile:
    return Tile(
        name="Within 2 bps of the touch",
        value=pct(within, measured) if measured else NONE,
        beside="while an offer stood" if measured else "no offer stood beside others",
    )


def _markout_tile(one: Markout) -> Tile:
    interval = f"{bps(one.ci_low_bps)} to {bps(one.ci_high_bps)} (95 %)"
    if one.ci_low_bps is None:
        interval = "of one fill" if one.count else "no fill with a mid then"
    return Tile(
        name="Markout, 15 ledgers", value=f"{bps(one.mean_bps)} bps" if one.count else NONE, beside=interval
    )


def page(summary: SessionSummary, panels: Sequence[Panel]) -> str:
    """Return the whole page of one session."""
    facts = summary.facts
    market = facts.recording or ""
    when = f"{facts.market_start or NONE} to {facts.market_end or NONE}"
    drawn = "\n".join(_panel(one) for one in panels)
    if not summary.fills.count:
        drawn = f'<p class="note">No fills: nothing was bought or sold.</p>\n{drawn}'
    body = "\n".join(
        (
            f'<p class="note">{escape(f"{facts.mode}, {facts.feed} feed, {facts.pair}. {market}")}'
            f"<br>{escape(when)}</p>",
            f'<div class="tiles">{"".join(_tile(one) for one in tiles(summary))}</div>',
            f'<div class="verdict">{_verdict(summary)}</div>',
            f'<div class="panels">\n{drawn}\n</div>',
            *(_chapter(one) for one in chapters(summary)),
            f'<p class="note">{escape(facts.quote_symbol)} is rounded to 6 decimals here; '
            "the JSON form has every digit. Times are UTC.</p>",
        )
    )
    return document(f"NEO session {facts.session_id}", body)
