"""The answer of `why` for a terminal and as JSON."""

from __future__ import annotations

import json
from typing import TextIO

import msgspec
from rich.text import Text

from neo_engine.report.render_text import console_on, has_line_drawing, print_section
from neo_engine.report.section import Section
from neo_engine.report.why import Explanation, Held
from neo_engine.report.why_steps import Step


def held_text(held: Held) -> str:
    """Return for how long the cause has held, as words."""
    more = " or more" if held.more else ""
    ticks = f"{held.ticks} tick{'' if held.ticks == 1 else 's'}"
    return f"so for {ticks}, {held.seconds} s{more} (since tick {held.since_tick})"


def _rows(number: int, step: Step) -> list[tuple[str, str, str]]:
    rows = [(f"{number} {step.name}", step.outcome, step.text)]
    rows += [("", "", fact.text) for fact in step.facts]
    return rows


def print_explanation(answer: Explanation, stream: TextIO) -> None:
    """Write the answer: the verdict first, then every step with its numbers."""
    console = console_on(stream)
    console.print(Text(answer.verdict, style="bold"), soft_wrap=True)
    if answer.held is not None:
        console.print(Text(held_text(answer.held)), soft_wrap=True)
    if answer.advice is not None:
        console.print(Text(f"to do: {answer.advice}"), soft_wrap=True)
    console.print()
    where = f"session {answer.session_id}"
    if answer.tick is not None:
        where += f", tick {answer.tick} ({answer.kind}), ledger {answer.ledger_index}, {answer.close_time}"
    rows = [row for number, step in enumerate(answer.steps, 1) for row in _rows(number, step)]
    section = Section(title=where, columns=("step", "outcome", "why"), left=3, rows=tuple(rows), note="")
    print_section(console, section, has_line_drawing(stream))


def explanation_json(answer: Explanation) -> str:
    """Return the answer as one JSON object, ASCII only: counts are numbers, every other number is text."""
    value = msgspec.to_builtins(answer)
    for step in value["steps"]:
        for fact in step["facts"]:
            fact["settings"] = dict(fact["settings"])
    return json.dumps(value, indent=2)
