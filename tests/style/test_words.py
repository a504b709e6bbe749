"""Words and constructs that have no place in the tree."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.style.tree import parsed, python_files, shown, text_files

HERE = Path(__file__)

#: This file is the one place that may hold these words.
FORBIDDEN = {
    "an unfinished place": r"\b(TODO|FIXME|XXX)\b",
    "a stub": r"\bNotImplementedError\b",
    "patching instead of a written fake": r"\bunittest\.mock\b",
    "a test that is switched off": r"\bmark\.(skip|xfail)\b",
    "a path of one machine": r"(?<![\w.~-])/(work|root|tmp)(?![\w-])",
    "a package registry": r"pypi\.(org|python)|--(extra-)?index-url",
    "a checker switched off for a whole file": r"#\s*(ruff: noqa|mypy: ignore-errors)",
}


@pytest.mark.parametrize("name", FORBIDDEN)
def test_no_file_contains(name: str) -> None:
    pattern = re.compile(FORBIDDEN[name])
    found = [
        f"{shown(path)}:{number}: {line.strip()[:90]}"
        for path in text_files()
        if path != HERE
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, f"{name}:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("an unfinished place", "# TODO later"),
        ("a path of one machine", "open('/tmp/x')"),
        ("a path of one machine", "see /work"),
        ("a package registry", "https://pypi.org/simple"),
        ("a test that is switched off", "@pytest.mark.skip"),
        ("a stub", "raise NotImplementedError"),
    ],
)
def test_the_patterns_find_what_they_are_for(name: str, text: str) -> None:
    assert re.search(FORBIDDEN[name], text)


@pytest.mark.parametrize(
    "text", ["benchmarks/workload.py", "tmp_path / 'x'", "/workers", "net/work", "TODOS"]
)
def test_the_patterns_leave_ordinary_words_alone(text: str) -> None:
    assert not any(re.search(pattern, text) for pattern in FORBIDDEN.values())


def test_no_exception_is_caught_bare_or_swallowed() -> None:
    found = []
    for path in python_files():
        for node in ast.walk(parsed(path)):
            if not isinstance(node, ast.ExceptHandler):
                continue
            swallowed = all(
                isinstance(one, ast.Pass)
                or (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
                for one in node.body
            )
            if node.type is None or swallowed:
                found.append(f"{shown(path)}:{node.lineno}")
    assert not found, "handle, map or let pass what is caught here: " + ", ".join(found)


def test_every_text_file_has_unix_line_ends_and_ends_with_one() -> None:
    wrong = []
    for path in text_files():
        data = path.read_bytes()
        if b"\r" in data or (data.strip() and not data.endswith(b"\n")):
            wrong.append(shown(path))
    assert not wrong
