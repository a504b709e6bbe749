"""No attribute is born outside its constructor: what an object has is read in one place."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.style.tree import parsed, python_files, shown

#: Made by a base class of another module.
INHERITED = {"FaultyNetwork.open_ledger", "_Handler.close_connection"}
MAKERS = ("__init__", "__new__", "__post_init__")


def _declared(node: ast.ClassDef) -> set[str]:
    """Return the names that class body and constructors give to an instance."""
    names: set[str] = set()
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            names.add(item.target.id)
        elif isinstance(item, ast.Assign):
            targets = {target.id for target in item.targets if isinstance(target, ast.Name)}
            names |= set(ast.literal_eval(item.value)) if "__slots__" in targets else targets
        elif isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
            names |= {item.name} | (set(_set_on_self(item)) if item.name in MAKERS else set())
    return names


def _set_on_self(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """Yield the attributes that a method gives to its first argument."""
    first = function.args.args[0].arg if function.args.args else ""
    for node in ast.walk(function):
        stored = isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        if stored and isinstance(node.value, ast.Name) and node.value.id == first:
            yield node.attr


def born_late(tree: ast.Module) -> list[str]:
    """Return `Class.attribute` of those first set in another method, in classes whose bases are known here.

    >>> born_late(ast.parse("class A:\\n def __init__(self): self.x = 1\\n def f(self): self.x = self.y = 2"))
    ['A.y']
    """
    classes = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    late: list[str] = []
    for name, node in classes.items():
        known, queue = set[str](), [node]
        while queue:
            one = queue.pop()
            known |= _declared(one)
            queue += [
                classes[base.id] for base in one.bases if isinstance(base, ast.Name) and base.id in classes
            ]
        for item in node.body:
            if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) and not any(
                isinstance(mark, ast.Name) and mark.id in ("staticmethod", "classmethod")
                for mark in item.decorator_list
            ):
                late += [f"{name}.{attribute}" for attribute in _set_on_self(item) if attribute not in known]
    return sorted(set(late))


def test_the_check_sees_a_late_attribute_and_passes_an_early_one() -> None:
    text = "class A:\n def __init__(self): self.x = 1\n def f(self): self.x = self.y = 2\n"
    assert born_late(ast.parse(text)) == ["A.y"]
    assert born_late(ast.parse(text.replace("self.y", "self.x"))) == []


def test_no_attribute_is_born_outside_its_constructor() -> None:
    late = [(shown(path), name) for path in python_files() for name in born_late(parsed(path))]
    assert [one for one in late if one[0].startswith("neo_engine/") and one[1] not in INHERITED] == []
    assert {name for _path, name in late} >= INHERITED  # the list may only shrink
