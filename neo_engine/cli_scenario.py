"""The command `scenario`: play scenarios and say whether the engine did what it must."""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.text import Text

from neo_engine.domain.errors import UsageError
from neo_engine.domain.halt import EXIT_HALTED, EXIT_OK
from neo_engine.domain.number import plain
from neo_engine.ops.logs import setup_logging
from neo_engine.report.render_text import console_on, has_line_drawing, print_section
from neo_engine.report.section import Section

if TYPE_CHECKING:
    from neo_engine.scenario.file import Scenario
    from neo_engine.scenario.judge import Judged, Shown
    from neo_engine.scenario.run import Played

COLUMNS = ("ledger", "tick", "quoting", "cause", "bps", "placed", "kept", "cancelled", "fills")


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A scenario with what came of it."""

    scenario: Scenario
    played: Played
    judged: Judged


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="scenarios/*.yaml, or your own")
    parser.add_argument("--db", type=Path, help="keep the database of one scenario there (a new file)")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")


def run(options: argparse.Namespace) -> int:
    """Play each file. Returns 0 if all expectations hold, 4 if not.

    Raises UsageError or ConfigError for a file that is no scenario, before any is played.
    """
    setup_logging("ERROR", quiet=True)
    # Keys, codec and model take a second to import, which no other verb should wait for.
    from neo_engine.scenario.file import read_scenario

    if options.db is not None and (len(options.files) > 1 or options.db.exists()):
        why = "holds one scenario; give one FILE" if len(options.files) > 1 else "exists; give a new file"
        raise UsageError(f"--db {options.db}: {why}")
    scenarios = [read_scenario(path) for path in options.files]
    told = []
    for scenario in scenarios:
        one = _one(scenario, options.db)
        told.append(one)
        if not options.json:
            _print(one)
    if len(told) > 1 and not options.json:
        _print_summary(told)
    if options.json:
        document = {"scenarios": [_document(one) for one in told]}
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    return EXIT_HALTED if any(one.judged.broken for one in told) else EXIT_OK


def _one(scenario: Scenario, db: Path | None) -> Told:
    from neo_engine.scenario.judge import judge
    from neo_engine.scenario.run import play

    with tempfile.TemporaryDirectory(prefix="neo-scenario-") as folder:
        path = db or Path(folder) / "scenario.db"
        played = play(scenario, path)
        return Told(scenario=scenario, played=played, judged=judge(scenario, played, path))


def _cause(tick: Shown) -> str:
    names = [name for name in tick.causes if name != "Risk"] or list(tick.causes)
    return ", ".join(dict.fromkeys(names))


def _row(tick: Shown) -> tuple[str, ...]:
    kind = "" if tick.kind == "ledger" else f" {tick.kind}"
    half = "" if tick.half_spread_bps is None else plain(round(tick.half_spread_bps, 2))
    counts = (tick.placed, tick.kept, tick.canceled, tick.fills)
    shown = tuple(str(count) if count else "" for count in counts)
    return (f"{tick.ledger}{kind}", str(tick.tick), tick.quoting, _cause(tick), half, *shown)


def _print(told: Told) -> None:
    stream = sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")  # a letter the console lacks is no failure
    scenario, judged = told.scenario, told.judged
    section = Section(
        title=f"{scenario.title}: {scenario.shows}",
        columns=COLUMNS,
        left=4,
        rows=tuple(_row(tick) for tick in judged.ticks),
        note="",
    )
    console = console_on(stream)
    print_section(console, section, has_line_drawing(stream))
    for line in _notes(told):
        console.print(Text(line), soft_wrap=True)
    console.print()


def _print_summary(told: Sequence[Told]) -> None:
    """Print one line a scenario, as a table that other texts can take over (Markdown)."""
    rows = [("file", "symptom", "what why named", "held")]
    rows += [
        (
            one.scenario.path,
            one.scenario.title,
            ", ".join(one.judged.named) or "none was expected",
            "NO" if one.judged.broken else "yes",
        )
        for one in told
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    held = sum(not one.judged.broken for one in told)
    sys.stdout.write("\n".join([*lines, f"{held} of {len(told)} hold", ""]))


def _notes(told: Told) -> list[str]:
    """Return what is to be said below the table of ticks."""
    scenario, judged = told.scenario, told.judged
    notes = [f"event in ledger {one.ledger}: {one.event}: {one.text}" for one in told.played.done]
    notes.append(f"ended: {judged.halt} ({judged.detail})")
    notes += [f"NOT as expected: {one.text}" for one in judged.broken]
    verdict = "does not hold" if judged.broken else "every expectation holds"
    return [*notes, f"{scenario.path}: {verdict}, {len(judged.ticks)} ticks"]


def _document(told: Told) -> dict[str, object]:
    scenario, played, judged = told.scenario, told.played, told.judged
    return {
        "file": scenario.path,
        "title": scenario.title,
        "holds": not judged.broken,
        "halt_reason": judged.halt,
        "halt_detail": judged.detail,
        "sessions": played.sessions,
        "first_ledger": played.first_index,
        "events": msgspec.to_builtins(played.done),
        "ticks": [
            {
                **msgspec.to_builtins(tick),
                "half_spread_bps": None if tick.half_spread_bps is None else plain(tick.half_spread_bps),
            }
            for tick in judged.ticks
        ],
        "broken": msgspec.to_builtins(judged.broken),
        "named": list(judged.named),
    }
