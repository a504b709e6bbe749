"""A report as text for a terminal or a file, at most 100 columns wide, and as JSON.

Colours and line-drawing only where the stream is a terminal and its encoding has them (a Windows
console with code page 1252 has not); a character the encoding lacks is written as an escape, never
raised as an error.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import TextIO

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from neo_engine.domain.number import plain
from neo_engine.report.model import SessionLine, SessionSummary, share_pct
from neo_engine.report.section import Section, short
from neo_engine.report.sections import (
    agreement_lines,
    reconciliation_lines,
    sections,
    sessions_sections,
)

WIDTH = 100


class QuietPipeConsole(Console):
    """A rich console that raises BrokenPipeError instead of ending the process by itself."""

    def on_broken_pipe(self) -> None:
        """Let the caller decide: rich would exit with 1 and point stdout elsewhere."""
        raise BrokenPipeError("the reader of the output has gone")


def has_line_drawing(stream: TextIO) -> bool:
    """Return whether the stream's encoding can write every character of a line-drawn table."""
    try:
        "─│┌┐└┘━╸╺█".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def printable(text: str) -> str:
    """Return `text` with line breaks and terminal control characters shown as escapes."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def _table(section: Section, fancy: bool) -> Table:
    headed = any(section.columns)
    table = Table(
        box=box.SIMPLE_HEAD if fancy else box.ASCII2,
        show_header=headed,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1),
    )
    for index, name in enumerate(section.columns):
        number = index >= section.left
        table.add_column(
            Text(name), justify="right" if number else "left", no_wrap=number or index == 0, overflow="fold"
        )
    for row in section.rows:
        table.add_row(
            *(
                Text(printable(short(cell) if index == section.detail else cell))
                for index, cell in enumerate(row)
            )
        )
    return table


def print_section(console: Console, section: Section, fancy: bool) -> None:
    """Print a section: its title, its table and its note. fancy: with line drawing."""
    console.print(Text(section.title, style="bold"))
    if section.rows:
        console.print(_table(section, fancy))
    if section.note:
        console.print(Text(section.note, style="dim"))
    console.print()


def console_on(stream: TextIO) -> Console:
    """Return a console that writes plain text of a fixed width where `stream` is no terminal."""
    terminal = stream.isatty()
    return QuietPipeConsole(
        file=stream,
        width=None if terminal else WIDTH,
        force_terminal=terminal,
        no_color=None if terminal else True,
        markup=False,
        emoji=False,
        highlight=False,
    )


def _safe(line: str, stream: TextIO) -> str:
    encoding = stream.encoding or "ascii"
    return line.encode(encoding, errors="backslashreplace").decode(encoding)


def print_summary(summary: SessionSummary, stream: TextIO) -> None:
    """Write the whole report to `stream`. Raises OSError when the stream cannot be written."""
    console, fancy = console_on(stream), has_line_drawing(stream)
    console.print(Text(f"NEO session {summary.facts.session_id}", style="bold"))
    console.print()
    first, *rest = sections(summary)
    print_section(console, first, fancy)
    for line in reconciliation_lines(summary):
        console.print(Text(_safe(line, stream)), soft_wrap=True)
    for line in agreement_lines(summary):
        style = "bold red" if line.startswith(("ERROR", "Report against engine: NOT")) else ""
        console.print(Text(_safe(line, stream), style=style), soft_wrap=True)
    console.print()
    for section in rest:
        print_section(console, section, fancy)
    console.print(
        Text(
            f"{summary.facts.quote_symbol} is rounded to 6 decimals here; --json has every digit.",
            style="dim",
        )
    )


def print_sessions(lines: tuple[SessionLine, ...], stream: TextIO) -> None:
    """Write the list of sessions to `stream`."""
    print_sections(sessions_sections(lines), stream)


def print_sections(sections_: Iterable[Section], stream: TextIO) -> None:
    """Write tables to `stream`."""
    console, fancy = console_on(stream), has_line_drawing(stream)
    for section in sections_:
        print_section(console, section, fancy)


def _json_value(value: object) -> object:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, dict):
        return {key: _json_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_value(item) for item in value]
    return value


def summary_object(summary: SessionSummary) -> dict[str, object]:
    """Return the report as JSON-ready values: counts are numbers, every other number is exact text."""
    value = msgspec.to_builtins(summary, builtin_types=(Decimal,))
    value["facts"]["ticks_by_kind"] = dict(summary.facts.ticks_by_kind)
    value["uptime"]["quoting_pct"] = summary.uptime.quoting_pct
    for side, fields in zip(summary.touch, value["touch"], strict=True):
        fields["within_2bps_pct"] = share_pct(side.within_2bps, side.measured_ticks)
    agreement = value.pop("agreement")
    agreement.pop("agrees")
    whole = {"session_id": summary.facts.session_id, "agrees": summary.agreement.agrees, **value}
    whole["agreement"] = {**agreement, "differences": [item.name for item in summary.agreement.differences]}
    whole["inventory_reconciliation"] = reconciliation_lines(summary)
    result = _json_value(whole)
    return result if isinstance(result, dict) else {}


def summary_json(summary: SessionSummary) -> str:
    """Return the report as one JSON object, ASCII only."""
    return json.dumps(summary_object(summary), indent=2)


def sessions_json(lines: tuple[SessionLine, ...]) -> str:
    """Return the list of sessions as one JSON object, ASCII only."""
    return as_json({"sessions": msgspec.to_builtins(lines, builtin_types=(Decimal,))})


def builtins(value: msgspec.Struct) -> dict[str, object]:
    """Return a struct as a dictionary, its Decimals kept."""
    made = msgspec.to_builtins(value, builtin_types=(Decimal,))
    return made if isinstance(made, dict) else {}


def as_json(value: object) -> str:
    """Return any values of a report as JSON, ASCII only; every Decimal is exact text."""
    return json.dumps(_json_value(value), indent=2)
