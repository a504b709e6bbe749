"""Sizes a reader can hold: functions, modules, nesting, arguments and lines."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.style.tree import parsed, python_files, shown

FUNCTION_LINES = 70
MODULE_LINES = 500
NESTING = 4
POSITIONAL = 5
LINE_CHARS = 110

#: (file, function or "", measure) -> (figure, why). A figure that fits again, or shrank, must be taken
#: out or lowered: the list may only shrink.
EXCEPTIONS: dict[tuple[str, str, str], tuple[int, str]] = {}

BLOCKS = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.TryStar, ast.Match, ast.AsyncFor, ast.AsyncWith)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, Function]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, FUNCTIONS):
            yield prefix + node.name, node
            yield from functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")
        else:
            yield from functions(node, prefix)


def depth(node: ast.AST) -> int:
    """The deepest nesting of blocks below `node`; an elif stands beside its if, a function starts anew."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (*FUNCTIONS, ast.ClassDef)):
            continue
        is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        deepest = max(deepest, depth(child) + (isinstance(child, BLOCKS) and not is_elif))
    return deepest


def positional(function: Function) -> int:
    arguments = [*function.args.posonlyargs, *function.args.args]
    return len([argument for argument in arguments if argument.arg not in ("self", "cls")])


def measured() -> Iterator[tuple[tuple[str, str, str], int, int]]:
    """Yield (place and measure, figure, limit) for everything measured."""
    for path in python_files():
        name, lines = shown(path), path.read_text(encoding="utf-8").splitlines()
        yield (name, "", "longest line"), max((len(line) for line in lines), default=0), LINE_CHARS
        if not name.startswith("tests/"):  # a test module is a list of claims, read one at a time
            yield (name, "", "lines"), len(lines), MODULE_LINES
        for function, node in functions(parsed(path)):
            yield (
                (name, function, "lines"),
                (node.end_lineno or node.lineno) - node.lineno + 1,
                FUNCTION_LINES,
            )
            yield (name, function, "nesting"), depth(node), NESTING
            yield (name, function, "positional arguments"), positional(node), POSITIONAL


def test_everything_fits_its_limit() -> None:
    over = [
        f"{place[0]}{':' if place[1] else ''}{place[1]}: {place[2]} {figure}, at most {limit}"
        for place, figure, limit in measured()
        if figure > EXCEPTIONS.get(place, (limit, ""))[0]
    ]
    assert not over, "\n".join(over)


def test_every_exception_is_still_needed_as_it_is() -> None:
    figures = {place: (figure, limit) for place, figure, limit in measured()}
    stale = [
        place
        for place, (allowed, _why) in EXCEPTIONS.items()
        if place not in figures or figures[place][0] < allowed or allowed <= figures[place][1]
    ]
    assert not stale, f"lower or remove these exceptions: {stale}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def f():\n  return 1", 0),
        ("def f():\n  if a:\n    b\n  elif c:\n    d\n  else:\n    e", 1),
        ("def f():\n  for a in b:\n    if a:\n      while c:\n        with d:\n          e", 4),
        ("def f():\n  if a:\n    def g():\n      if b:\n        c", 1),
        ("def f():\n  if a:\n    b\n  else:\n    c\n    if d:\n      e", 2),
    ],
)
def test_nesting_counts_blocks_and_not_elifs(text: str, expected: int) -> None:
    assert depth(ast.parse(text).body[0]) == expected


def test_the_measures_see_this_file() -> None:
    assert shown(Path(__file__)) in {place[0] for place, _figure, _limit in measured()}
