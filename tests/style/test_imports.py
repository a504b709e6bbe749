"""The import graph: entry -> shell -> core and edges -> domain, and a core that touches no world."""

from __future__ import annotations

import ast

import pytest

from tests.style.tree import engine_modules, module_name, parsed, python_files

ENTRY, SHELL, CORE, EDGE, LEAF, DOMAIN = "entry", "shell", "core", "edge", "leaf", "domain"

#: Longest matching prefix decides. An edge is named after its package: two of them do not know each other.
LAYERS = {
    "run_paper_session": ENTRY,
    "summarize_paper_run": ENTRY,
    "neo_engine.__main__": ENTRY,
    "neo_engine.cli": ENTRY,
    "neo_engine.cli_alert": ENTRY,
    "neo_engine.cli_audit": ENTRY,
    "neo_engine.cli_calibrate": ENTRY,
    "neo_engine.cli_data": ENTRY,
    "neo_engine.cli_incident": ENTRY,
    "neo_engine.cli_kill": ENTRY,
    "neo_engine.cli_live": ENTRY,
    "neo_engine.cli_pause": ENTRY,
    "neo_engine.cli_preflight": ENTRY,
    "neo_engine.cli_prune": ENTRY,
    "neo_engine.cli_query": ENTRY,
    "neo_engine.cli_record": ENTRY,
    "neo_engine.cli_scenario": ENTRY,
    "neo_engine.cli_session": ENTRY,
    "neo_engine.cli_simulate": ENTRY,
    "neo_engine.cli_tax": ENTRY,
    "neo_engine.cli_why": ENTRY,
    "neo_engine.bootstrap": ENTRY,
    "neo_engine.live_left": ENTRY,
    "neo_engine.live_session": ENTRY,
    "neo_engine.live_start": ENTRY,
    "neo_engine.live_replay": ENTRY,
    "neo_engine.rehearsal": ENTRY,
    "neo_engine.scenario": ENTRY,
    "neo_engine.main_loop": SHELL,
    "neo_engine.session": SHELL,
    "neo_engine.asked": SHELL,
    "neo_engine.ending": SHELL,
    "neo_engine.outage": SHELL,
    "neo_engine.fault_lines": SHELL,
    "neo_engine.supervision": SHELL,
    "neo_engine.loop_records": SHELL,
    "neo_engine.scripted": SHELL,
    "neo_engine.report": SHELL,
    "neo_engine.incident": SHELL,
    "neo_engine.calibration": SHELL,
    "neo_engine.ops": SHELL,
    "neo_engine.telemetry": SHELL,
    "neo_engine.watch": SHELL,
    "neo_engine.alerting": CORE,
    "neo_engine.tick": CORE,
    "neo_engine.tick_values": CORE,
    "neo_engine.settling": CORE,
    "neo_engine.fingerprint": CORE,
    "neo_engine.strategy": CORE,
    "neo_engine.inventory": CORE,
    "neo_engine.risk": CORE,
    "neo_engine.reconciliation": CORE,
    "neo_engine.execution.diff": CORE,
    "neo_engine.execution.tracking": CORE,
    "neo_engine.execution": EDGE,
    "neo_engine.xrpl": EDGE,
    "neo_engine.feed": EDGE,
    "neo_engine.simulator": EDGE,
    "neo_engine.state": EDGE,
    "neo_engine.event_log": LEAF,
    "neo_engine.ports": LEAF,
    "neo_engine.config": LEAF,
    "neo_engine.config_sections": LEAF,
    "neo_engine": LEAF,  # the package itself: its version
    "neo_engine.domain": DOMAIN,
}

MAY_IMPORT = {
    ENTRY: {ENTRY, SHELL, CORE, EDGE, LEAF, DOMAIN},
    SHELL: {SHELL, CORE, EDGE, LEAF, DOMAIN},
    CORE: {CORE, LEAF, DOMAIN},
    EDGE: {LEAF, DOMAIN},
    LEAF: {LEAF, DOMAIN},
    DOMAIN: {DOMAIN},
}

#: (importing edge, imported module) -> why. Each must be in use: the list may only shrink.
ALLOWED = {
    (
        "neo_engine.feed",
        "neo_engine.simulator.agents",
    ): "the market that the simulated feed tells, in process",
    ("neo_engine.feed", "neo_engine.simulator.model.fields"): "the model's entries in wire form, pure",
    ("neo_engine.feed", "neo_engine.simulator.model.ledger"): "the values of a closed model ledger, pure",
    ("neo_engine.feed", "neo_engine.xrpl.bundles"): "the value in which the live feed's ledgers come",
    ("neo_engine.feed", "neo_engine.xrpl.codec"): "the pure translation of server messages, no socket",
    ("neo_engine.feed", "neo_engine.xrpl.gateway"): "what a gateway tells besides; bootstrap makes it",
    ("neo_engine.feed", "neo_engine.xrpl.server"): "what can go wrong with a request, no socket",
    ("neo_engine.feed", "neo_engine.xrpl.snapshot"): "the state that live feed and recorder start from",
    ("neo_engine.feed", "neo_engine.xrpl.state"): "the pure reading of a recording's header, no socket",
    ("neo_engine.feed", "neo_engine.xrpl.wire"): "the shapes of server messages, no socket",
}

#: All of the standard library that the domain may see: values and arithmetic.
PURE = {
    "__future__",
    "bisect",
    "collections",
    "collections.abc",
    "dataclasses",
    "datetime",
    "decimal",
    "msgspec.structs",
    "msgspec",  # Struct is how the domain writes its frozen values; nothing else of it is used there
    "enum",
    "functools",
    "hashlib",
    "heapq",
    "itertools",
    "operator",
    "typing",
}
WORLD = {
    "asyncio",
    "concurrent",
    "httpx",
    "logging",
    "multiprocessing",
    "os",
    "pathlib",
    "queue",
    "random",
    "secrets",
    "signal",
    "socket",
    "sqlite3",
    "subprocess",
    "sys",
    "threading",
    "time",
    "uuid",
    "websockets",
    "xrpl",
}
CLOCK_CALLS = {"now", "utcnow", "today"}


def owner(module: str) -> str:
    """The longest prefix of `module` that has a layer."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        prefix = ".".join(parts[:length])
        if prefix in LAYERS:
            return prefix
    return ""


def layer(module: str) -> str:
    prefix = owner(module)
    # The bare package stands for its version only; a module in it needs a place of its own.
    return "" if prefix == "neo_engine" and module != prefix else LAYERS.get(prefix, "")


def imports(module: str) -> set[str]:
    """Every module that `module` imports anywhere in its text, relative ones resolved."""
    path = engine_modules()[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base]).strip(".")
            submodules = {f"{base}.{alias.name}" for alias in node.names} & engine_modules().keys()
            found |= submodules
            if len(submodules) < len(node.names):
                found.add(base)
    return found


def ours(module: str) -> set[str]:
    return {
        name for name in imports(module) if name.split(".")[0] == "neo_engine" or name in engine_modules()
    }


def edge_group(module: str) -> str:
    return ".".join(module.split(".")[:2])


MODULES = sorted(engine_modules())


def in_layers(*layers: str) -> list[str]:
    return [module for module in MODULES if layer(module) in layers]


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_layer(module: str) -> None:
    assert layer(module), f"{module}: no layer; add it to LAYERS in this test and to ARCHITECTURE.md"


@pytest.mark.parametrize("module", [module for module in MODULES if layer(module)])
def test_a_module_imports_only_towards_the_domain(module: str) -> None:
    wrong = []
    for name in sorted(ours(module)):
        same_edge = layer(module) == EDGE == layer(name) and edge_group(module) == edge_group(name)
        allowed = (edge_group(module), name) in ALLOWED
        if layer(name) not in MAY_IMPORT[layer(module)] and not same_edge and not allowed:
            wrong.append(f"{name} ({layer(name) or 'no layer'})")
    assert not wrong, f"{module} ({layer(module)}) must not import {', '.join(wrong)}"


@pytest.mark.parametrize("pair", sorted(ALLOWED), ids=" -> ".join)
def test_every_allowed_exception_is_in_use(pair: tuple[str, str]) -> None:
    importer, imported = pair
    users = [
        module for module in in_layers(EDGE) if edge_group(module) == importer and imported in ours(module)
    ]
    assert users, f"{importer} no longer imports {imported}: take the pair out of ALLOWED"


def test_the_shell_knows_the_edges_as_protocols_only() -> None:
    edges = [name for name in ours("neo_engine.main_loop") if layer(name) == EDGE]
    assert not edges, f"neo_engine.main_loop imports {edges}; only bootstrap picks parts"


def test_the_package_of_core_and_edge_imports_neither() -> None:
    # The order diff and the executors share a package; importing the one must not load the other.
    assert not ours("neo_engine.execution")


@pytest.mark.parametrize("module", in_layers(DOMAIN))
def test_the_domain_imports_nothing_but_values_and_arithmetic(module: str) -> None:
    foreign = {name for name in imports(module) if not name.startswith("neo_engine.domain")} - PURE
    assert not foreign, f"{module} imports {sorted(foreign)}"


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith("neo_engine.simulator.model")])
def test_the_model_ledger_imports_nothing_but_the_domain_and_itself(module: str) -> None:
    ours_too = ("neo_engine.domain", "neo_engine.simulator.model")
    pure = PURE | {"base58", "Crypto.Hash"}  # encodings and hashes
    foreign = {name for name in imports(module) if not name.startswith(ours_too)} - pure
    assert not foreign, f"{module} imports {sorted(foreign)}"


@pytest.mark.parametrize("module", in_layers(CORE))
def test_the_core_imports_no_world(module: str) -> None:
    world = {name for name in imports(module) if name.split(".")[0] in WORLD}
    assert not world, f"{module} imports {sorted(world)}"


@pytest.mark.parametrize("module", in_layers(CORE, DOMAIN))
def test_core_and_domain_read_no_clock(module: str) -> None:
    lines = [
        node.lineno
        for node in ast.walk(parsed(engine_modules()[module]))
        if isinstance(node, ast.Attribute) and node.attr in CLOCK_CALLS
    ]
    assert not lines, f"{module} reads a clock in lines {lines}; time is an argument"


@pytest.mark.parametrize(
    "module",
    [
        m
        for m in MODULES
        if layer(m) in (CORE, DOMAIN) or m.startswith(("neo_engine.execution", "neo_engine.simulator.model"))
    ],
)
def test_no_binary_float_where_money_is_computed(module: str) -> None:
    lines = [
        node.lineno
        for node in ast.walk(parsed(engine_modules()[module]))
        if (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.Name) and node.id == "float")
    ]
    assert not lines, f"{module} uses binary floats in lines {lines}; use Decimal or drops"


def test_the_archive_is_never_imported() -> None:
    users = [
        module_name(path)
        for path in python_files()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "Archive"
    ]
    assert not users
