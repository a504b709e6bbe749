"""docs/runbook.md: a tree for each symptom, commands that parse, and no gate or halt reason left out."""

from __future__ import annotations

import argparse
import re
import shlex

import pytest

from neo_engine.cli import engine_parser, paper_parser
from neo_engine.domain.halt import HaltReason
from neo_engine.incident.checklist import ITEMS, PHASES, Item
from neo_engine.incident.symptoms import SYMPTOMS
from neo_engine.report.command import build_parser
from neo_engine.report.why_table import GATES
from tests.style.tree import ROOT

TEXT = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
PARSERS = {
    "run_paper_session.py": paper_parser,
    "summarize_paper_run.py": build_parser,
}
#: What a person fills in -> a value that parses.
FILLED = {
    "{db}": "neo.db",
    "{session}": "3",
    "{tick}": " --tick 7",
    "{account}": "rUs",
    "{id}": "x",
    " N ": " 1 ",
}


def tree(symptom: str) -> str:
    """The section of a symptom."""
    found = re.search(rf"^## {symptom}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None, symptom
    return found.group(1)


def commands(text: str) -> list[str]:
    """Every line of every code block."""
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines()]


def parsed(line: str) -> argparse.Namespace:
    """A command line as the program that it names reads it."""
    words = shlex.split(line)
    assert words[0] == "python", line
    parser = engine_parser() if words[1:3] == ["-m", "neo_engine"] else PARSERS[words[1]]()
    return parser.parse_args(words[3:] if words[1] == "-m" else words[2:])


@pytest.mark.parametrize("line", sorted(set(commands(TEXT))))
def test_every_command_parses(line: str) -> None:
    parsed(line)


def test_a_command_with_a_wrong_option_does_not_parse() -> None:
    with pytest.raises(SystemExit):
        parsed("python -m neo_engine incident stopped --db neo.db --wrong")


@pytest.mark.parametrize("symptom", SYMPTOMS)
def test_each_symptom_has_its_tree_of_numbered_steps_that_begins_with_its_command(symptom: str) -> None:
    text = tree(symptom)
    steps = [int(number) for number in re.findall(r"^(\d+)\. ", text, re.MULTILINE)]
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) >= 4
    assert commands(text)[0] == f"python -m neo_engine incident {symptom} --db neo.db"
    assert f"[{symptom}](#{symptom})" in TEXT.partition("## stopped")[0]


def test_there_is_no_tree_without_a_symptom() -> None:
    assert re.findall(r"^## (.+)$", TEXT, re.MULTILINE) == list(SYMPTOMS)


@pytest.mark.parametrize("name", [*GATES, *(reason.value for reason in HaltReason)])
def test_every_gate_and_halt_reason_is_reached_from_a_tree(name: str) -> None:
    assert any(f"`{name}`" in tree(symptom) for symptom in SYMPTOMS)


@pytest.mark.parametrize("symptom", SYMPTOMS)
def test_each_checklist_has_something_to_do_in_every_phase(symptom: str) -> None:
    assert set(ITEMS) == set(SYMPTOMS)
    assert tuple(ITEMS[symptom]) == PHASES
    assert all(ITEMS[symptom][phase] for phase in PHASES)


@pytest.mark.parametrize(
    "item",
    sorted(
        {one for phases in ITEMS.values() for items in phases.values() for one in items if one.command},
        key=str,
    ),
    ids=lambda one: one.command,
)
def test_every_command_of_a_checklist_parses(item: Item) -> None:
    line = item.command
    for place, value in FILLED.items():
        line = line.replace(place, value)
    assert "{" not in line
    parsed(line)
