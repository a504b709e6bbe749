"""docs/orders.md, docs/halt-reasons.md and docs/risk.md say what the code does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from neo_engine.config import known_keys
from neo_engine.domain.halt import MEANING, HaltReason, exit_code
from neo_engine.domain.orders import LEGAL_MOVES, OrderStatus
from neo_engine.domain.severity import Severity
from neo_engine.execution import diff, tracking
from neo_engine.inventory import funding
from neo_engine.reconciliation import reconciler
from neo_engine.risk import gate
from neo_engine.risk.monitors import MONITORS


def rows(path: Path, first_column: str) -> Iterator[list[str]]:
    """The cells of the rows of each table whose header begins with `first_column`."""
    inside = False
    for line in path.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif cells[0] == first_column:
            inside = True
        elif inside and not set(cells[0]) <= set(":- "):
            yield cells


def words(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def source(module: object) -> str:
    path = getattr(module, "__file__", "")
    return Path(path).read_text(encoding="utf-8")


def test_every_halt_reason_is_told_with_its_exit_code_and_meaning(root: Path) -> None:
    told = [(row[0].strip("`"), int(row[1]), row[2]) for row in rows(root / "docs/halt-reasons.md", "Reason")]
    assert told == [(reason.value, exit_code(reason), MEANING[reason]) for reason in HaltReason]
    assert all(row[3] for row in rows(root / "docs/halt-reasons.md", "Reason"))


def test_the_table_of_states_is_the_table_of_moves(root: Path) -> None:
    told = {row[0].strip("`"): words(row[1]) for row in rows(root / "docs/orders.md", "Status")}
    assert told == {status.value: {after.value for after in LEGAL_MOVES[status]} for status in OrderStatus}


def test_the_picture_of_states_is_drawn_from_the_table(root: Path) -> None:
    text = (root / "docs/orders.md").read_text(encoding="utf-8")
    drawn = re.findall(r"^    (\w+) --> (\w+)$", text, flags=re.MULTILINE)
    expected = {(old.value, new.value) for old, after in LEGAL_MOVES.items() for new in after}
    assert len(drawn) == len(expected)
    assert set(drawn) == expected


def test_every_fault_of_order_tracking_is_told(root: Path) -> None:
    told = {row[0].strip("`") for row in rows(root / "docs/orders.md", "Fault")}
    assert told == set(re.findall(r'fault\(\s*"(\w+)"', source(tracking)))


def test_every_finding_of_the_reconciler_is_told(root: Path) -> None:
    text = source(reconciler)
    code = text[text.index("from __future__") :]
    made = set(re.findall(r'(?:fault|_repair|_close)\(\s*"(\w+)"', code))
    made |= set(re.findall(r'return "(\w+)", (?:OrderStatus|None)', code))
    told = {row[0].strip("`") for row in rows(root / "docs/orders.md", "Finding")}
    assert told == made


def test_the_reconcilers_own_table_is_that_of_the_page(root: Path) -> None:
    listed = re.findall(r"^    ([a-z_]+)  +\w", reconciler.__doc__ or "", flags=re.MULTILINE)
    told = [row[0].strip("`") for row in rows(root / "docs/orders.md", "Finding")]
    assert sorted(listed) == sorted([*told, "finding"])


def test_every_limit_of_the_gate_is_told_in_the_order_it_is_asked(root: Path) -> None:
    told = [row[0].strip("`") for row in rows(root / "docs/risk.md", "Gate")]
    assert told == re.findall(r'^    \("(\w+)", _', source(gate), flags=re.MULTILINE)


def test_every_halt_of_the_monitors_is_told_in_the_order_it_is_asked(root: Path) -> None:
    told = [row[0].strip("`") for row in rows(root / "docs/risk.md", "Halt")]
    asked = [one.halt for one in MONITORS if one.halt not in (None, HaltReason.KILL_SWITCH)]
    assert told == [one.value for one in (HaltReason.KILL_SWITCH, *asked) if one is not None]
    killing = {one.name for one in MONITORS if one.halt is HaltReason.KILL_SWITCH}
    (operator,) = (row for row in rows(root / "docs/risk.md", "Halt") if row[0] == "`kill_switch`")
    assert words(operator[1]) == killing


def test_every_monitor_is_told_in_the_order_of_the_table_with_its_severities(root: Path) -> None:
    told = list(rows(root / "docs/risk.md", "Monitor"))
    assert [row[0].strip("`") for row in told] == [one.name for one in MONITORS]
    assert {row[0].strip("`") for row in told if row[5]} == {one.name for one in MONITORS if one.halt}
    assert all(word in known_keys() for row in told for cell in row[1:] for word in words(cell))


def test_every_severity_is_told_in_its_order(root: Path) -> None:
    told = [row[0].strip("`") for row in rows(root / "docs/risk.md", "Severity")]
    assert told == [one.name for one in Severity]


def test_every_gate_of_capital_and_diff_is_told(root: Path) -> None:
    told = {row[0].strip("`") for row in rows(root / "docs/inventory.md", "Gate")}
    assert told == {funding.CAPITAL_GATE, funding.CAPITAL_SHRUNK_GATE}
    text = (root / "docs/orders.md").read_text(encoding="utf-8")
    gates = set(re.findall(r'_held_back\(quote, "(\w+)"', source(diff)))
    assert gates
    assert all(f"`{name}`" in text for name in gates)
