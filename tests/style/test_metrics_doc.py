"""docs/metrics.md: its examples compute, and it names every figure."""

from __future__ import annotations

import doctest

import msgspec
import pytest

from neo_engine.report.measures import Attribution, Execution, Requotes
from tests.style.tree import ROOT

PAGE = ROOT / "docs" / "metrics.md"


def test_every_example_gives_what_the_page_says() -> None:
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert (failed, tried > 20) == (0, True)


@pytest.mark.parametrize("kind", [Attribution, Execution, Requotes])
def test_every_figure_has_its_formula(kind: type[msgspec.Struct]) -> None:
    told = {"mark", "horizon_ledgers", "markouts", "uptime", "requotes"}
    told |= {"realised_fifo", "unrealised_fifo", "residue_fifo"}  # under their own headings
    text = PAGE.read_text(encoding="utf-8")
    missing = {field.name for field in msgspec.structs.fields(kind)} - told
    assert [name for name in sorted(missing) if f"`{name}`" not in text] == []
