"""What the documents say against what the code is: keys, ranges, halt reasons, commands, links."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
import pytest
import yaml
from pydantic import BaseModel

from neo_engine.config import Config, known_keys, live_keys, load_config
from neo_engine.config_sections import LiveConfig
from neo_engine.domain.halt import HaltReason, exit_code
from neo_engine.domain.number import plain
from neo_engine.domain.orders import LEGAL_MOVES, TERMINAL, OrderStatus
from neo_engine.report.model import SessionSummary
from tests.style.tree import ROOT, engine_modules, parsed, shown, text_files

MARKETS = ROOT / "config" / "markets.yaml"  # not a session's: what the simulated markets are made of
CONFIGS = sorted(path for path in (ROOT / "config").glob("*.yaml") if path != MARKETS)
DOCUMENTS = [path for path in text_files() if path.suffix == ".md"]

#: Keys that no module reads, and why they exist all the same. A key that is read must leave this list.
READ_BY_THE_CHECK_ONLY = {
    "strategy.requote_interval_seconds": "config.py holds it equal to engine.tick_interval_seconds",
}


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def table_rows(text: str, first_column: str) -> Iterator[list[str]]:
    """Yield the cells of each row of the tables whose header begins with `first_column`."""
    inside = False
    for line in text.splitlines():
        if not line.startswith("|"):
            inside = False
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if cells[0] == first_column:
            inside = True
        elif inside and not set(cells[0]) <= set(":- "):
            yield cells


def word(cell: str) -> str:
    return cell.strip("`")


# configuration


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What the model says of one key."""

    annotation: Any
    metadata: list[Any]

    def text(self) -> str:
        """The range in the words of docs/config.md; "" where the model has no numbers to give."""
        if get_origin(self.annotation) is Literal:
            return " / ".join(get_args(self.annotation))
        if self.annotation not in (int, Decimal):
            return ""
        limits = {
            name: getattr(item, name)
            for item in self.metadata
            for name in ("ge", "gt", "le", "lt")
            if getattr(item, name, None) is not None
        }
        low = f"above {limits['gt']}" if "gt" in limits else f"{limits['ge']}"
        kind = "whole, " if self.annotation is int else ""
        return f"{kind}{low} to {plain(Decimal(limits['le']))}"


def bounds(model: type[BaseModel] = Config, prefix: str = "") -> Iterator[tuple[str, Bounds]]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from bounds(inner, f"{prefix}{name}.")
        else:
            yield prefix + name, Bounds(annotation=inner, metadata=field.metadata)


def documented_keys() -> dict[str, list[str]]:
    return {word(cells[0]): cells for cells in table_rows(text_of("docs/config.md"), "Key")}


def test_docs_config_names_every_key_and_no_other() -> None:
    assert sorted(documented_keys()) == sorted(known_keys() + live_keys())


@pytest.mark.parametrize("key", known_keys() + live_keys())
def test_docs_config_gives_unit_range_and_meaning(key: str) -> None:
    _name, unit, limits, meaning = documented_keys()[key]
    assert unit
    assert len(meaning) > 10
    expected = dict([*bounds(), *bounds(LiveConfig, "live.")])[key].text()
    assert limits == expected if expected else limits


@pytest.mark.parametrize("path", CONFIGS, ids=shown)
def test_a_delivered_configuration_loads_and_comments_its_keys(path: Path) -> None:
    load_config(path)
    bare = [
        line
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.match(r"\s*[a-z_]+: \S", line) and "#" not in line
    ]
    assert not bare, f"{shown(path)}: keys without a comment on the same line: {bare}"


@pytest.mark.parametrize("path", CONFIGS, ids=shown)
def test_a_delivered_configuration_has_exactly_the_known_keys(path: Path) -> None:
    def leaves(value: dict[str, Any], prefix: str = "") -> Iterator[str]:
        for name, inner in value.items():
            if isinstance(inner, dict):
                yield from leaves(inner, f"{prefix}{name}.")
            else:
                yield prefix + name

    found = list(leaves(yaml.safe_load(path.read_text(encoding="utf-8"))))
    expected = known_keys() + (live_keys() if "live.account" in found else ())
    assert sorted(found) == sorted(expected)


@cache
def attributes_read() -> frozenset[str]:
    """Every attribute name read anywhere in the engine outside config.py."""
    return frozenset(
        node.attr
        for module, path in engine_modules().items()
        if module not in ("neo_engine.config", "neo_engine.config_sections")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Attribute)
    )


@pytest.mark.parametrize("key", known_keys() + live_keys())
def test_every_key_is_read_by_some_module(key: str) -> None:
    is_read = key.rpartition(".")[2] in attributes_read()
    assert is_read != (key in READ_BY_THE_CHECK_ONLY)


# halt reasons and order states


def test_docs_commands_lists_every_halt_reason_with_its_exit_code() -> None:
    documented = {
        word(cells[0]): int(cells[1]) for cells in table_rows(text_of("docs/commands.md"), "Halt reason")
    }
    assert documented == {reason.value: exit_code(reason) for reason in HaltReason}


def test_architecture_draws_the_order_states_as_the_table_has_them() -> None:
    documented = {
        word(cells[0]): {word(name) for name in cells[1].split()}
        for cells in table_rows(text_of("ARCHITECTURE.md"), "Order status")
    }
    expected = {
        status.value: {after.value for after in LEGAL_MOVES[status]}
        for status in OrderStatus
        if status not in TERMINAL
    }
    assert documented == expected


def test_the_flow_is_told_in_the_same_words_everywhere() -> None:
    def flow(text: str) -> list[str]:
        lines = text.splitlines()
        start = next(
            i for i, line in enumerate(lines) if line.strip().startswith("validated ledger -> fills")
        )
        return [line.strip() for line in lines[start : start + 3]]

    told = {name: flow(text_of(name)) for name in ("README.md", "ARCHITECTURE.md", "neo_engine/tick.py")}
    assert told["README.md"] == told["ARCHITECTURE.md"] == told["neo_engine/tick.py"]
    assert len(told["README.md"]) == 3


# commands


def code_blocks(text: str) -> Iterator[str]:
    for block in re.findall(r"^```[a-z]*\n(.*?)^```", text, flags=re.M | re.S):
        # A backslash or a backtick at the end of a line carries a command on.
        yield from re.sub(r"[\\`]\n\s*", " ", block).splitlines()


def commands() -> list[tuple[str, str]]:
    return [
        (shown(path), line.strip()) for path in DOCUMENTS for line in code_blocks(path.read_text("utf-8"))
    ]


@cache
def engine_strings() -> frozenset[str]:
    """Every text constant of the engine: where its options and verbs must stand."""
    return frozenset(
        node.value
        for path in engine_modules().values()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def test_every_make_target_in_the_documents_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", text_of("Makefile"), flags=re.M))
    named = {target for _name, line in commands() for target in re.findall(r"^make ([a-z]+)", line)}
    assert {"paper", "test"} <= named
    assert named <= targets


def test_every_script_in_the_documents_exists() -> None:
    scripts = {
        script
        for _name, line in commands()
        for script in re.findall(r"(?:^|\s)python3? (?!-)([\w/\\]+\.py)", line)
    }
    assert {"run_paper_session.py", "summarize_paper_run.py"} <= scripts
    assert [script for script in sorted(scripts) if not (ROOT / script.replace("\\", "/")).is_file()] == []


def test_every_verb_in_the_documents_exists() -> None:
    verbs = {
        verb
        for _name, line in commands()
        for found in re.findall(r"python3? -m neo_engine ([a-z-]+)(?: (add|list|check|show)\b)?", line)
        for verb in found
        if verb
    }
    assert verbs
    assert verbs <= engine_strings()


def test_every_option_of_our_programs_in_the_documents_exists() -> None:
    program = re.compile(r"python3? (-m neo_engine|run_paper_session\.py|summarize_paper_run\.py) ")
    ours = [line for _name, line in commands() if program.search(line)]
    options = {option for line in ours for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", line)}
    assert {"--config", "--db", "--duration"} <= options
    assert options <= engine_strings(), sorted(options - engine_strings())


# JSON keys


def keys_written(module: str, function: str) -> set[str]:
    """The constant keys of the dictionaries that a function builds."""
    return {
        key.value
        for outer in ast.walk(parsed(engine_modules()[module]))
        if isinstance(outer, ast.FunctionDef) and outer.name == function
        for node in ast.walk(outer)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }


def documented_names(header: str) -> set[str]:
    rows = table_rows(text_of("docs/commands.md"), header)
    return {word(name.strip()) for cells in rows for name in cells[0].split(",")}


def test_docs_commands_names_the_json_keys_of_a_session() -> None:
    written = (
        keys_written("neo_engine.cli_session", "result_document")
        | keys_written("neo_engine.main_loop", "_summary")
        | keys_written("neo_engine.session", "accounts_summary")
    )
    assert documented_names("Session key") == written


def test_docs_commands_names_the_json_keys_of_a_report() -> None:
    added = keys_written("neo_engine.report.render_text", "summary_object")
    assert {"session_id", "agrees"} <= added
    parts = {field.name for field in msgspec.structs.fields(SessionSummary)}
    assert documented_names("Report key") == parts | {"session_id", "agrees", "inventory_reconciliation"}


# links


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=shown)
def test_every_relative_link_resolves(path: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert not broken, f"{shown(path)}: {broken}"


def test_the_documents_a_reader_expects_are_there() -> None:
    expected = {
        "README.md",
        "ARCHITECTURE.md",
        "GLOSSARY.md",
        "CHANGELOG.md",
        "Archive/README.md",
        "docs/commands.md",
        "docs/config.md",
        "docs/install.md",
        "docs/windows.md",
    }
    assert expected <= {shown(path) for path in DOCUMENTS}
