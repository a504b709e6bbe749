"""docs/resilience.md names tests: each of them exists."""

from __future__ import annotations

import ast
import re

from tests.style.tree import ROOT, parsed, python_files, shown


def test_every_test_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/resilience.md").read_text(encoding="utf-8")))
    there = {
        node.name
        for path in python_files()
        if shown(path).startswith("tests/")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef)
    }
    assert len(named) > 40
    assert named - there == set()
