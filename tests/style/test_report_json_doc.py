"""docs/report-json.md against the values that the JSON form is made of, and against a real report."""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from neo_engine.report.command import main
from neo_engine.report.compare import Comparison as Compared
from neo_engine.report.compare import Difference, Figure
from neo_engine.report.model import SessionLine, SessionSummary
from tests.style.tree import ROOT
from tests.unit.report_fixture import build_small

TEXT = (ROOT / "docs" / "report-json.md").read_text(encoding="utf-8")
ADDED = {"Uptime": {"quoting_pct"}, "TouchSide": {"within_2bps_pct"}}
HEAD = {"SessionSummary", "Agreement"}  # told in the text above the tables


def structs(kind: object, seen: dict[str, type[msgspec.Struct]]) -> dict[str, type[msgspec.Struct]]:
    """Every struct that a report holds, by name."""
    for inner in typing.get_args(kind):
        structs(inner, seen)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__name__ not in seen:
        seen[kind.__name__] = kind
        for hint in typing.get_type_hints(kind).values():
            structs(hint, seen)
    return seen


def documented() -> dict[str, dict[str, str]]:
    found = {}
    for part in re.split(r"^## ", TEXT, flags=re.M)[1:]:
        name, _, body = part.partition("\n")
        found[name] = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \| [^|]*\w[^|]* \|$", body, flags=re.M))
    return found


def test_every_key_of_a_report_is_documented_and_no_other() -> None:
    expected = {
        name: {field.name for field in msgspec.structs.fields(kind)} | ADDED.get(name, set())
        for name, kind in structs(SessionSummary, {}).items()
        if name not in HEAD
    }
    assert {name: set(keys) for name, keys in documented().items()} == expected


@pytest.mark.parametrize("kind", [Compared, Figure, Difference, SessionLine])
def test_the_other_forms_name_their_keys(kind: type[msgspec.Struct]) -> None:
    missing = [field.name for field in msgspec.structs.fields(kind) if f"`{field.name}`" not in TEXT]
    assert missing == []


def checked(value: object, type_: str) -> bool:
    allowed: dict[str, type | tuple[type, ...]] = {
        "number": int, "text": str, "bool": bool, "list": list, "object": dict,
    }  # fmt: skip
    word, _, null = type_.strip().partition(" or ")
    if value is None:
        return null == "null"
    return isinstance(value, allowed[word]) and (word == "bool" or not isinstance(value, bool))


def walked(name: str, value: dict[str, object]) -> Iterator[str]:
    for key, type_ in documented()[name].items():
        if not checked(value[key], type_):
            yield f"{name}.{key}: {value[key]!r} is no {type_}"


def test_a_real_report_has_the_types_that_the_page_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_small(tmp_path / "neo.db")
    assert main(["--db", str(tmp_path / "neo.db"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    execution, risk = told["execution"], told["risk"]
    for name, value in (
        ("SessionFacts", told["facts"]),
        ("AssetInventory", told["xrp"]),
        ("ProfitAndLoss", told["pnl"]),
        ("FillStats", told["fills"]),
        ("FillGroup", told["fills"]["groups"][0]),
        ("OrderStats", told["orders"]),
        ("OrderOutcome", told["orders"]["outcomes"][0]),
        ("Refusal", told["orders"]["refusals"][0]),
        ("TransactionGroup", told["orders"]["transactions"][0]),
        ("Uptime", told["uptime"]),
        ("TouchSide", told["touch"][0]),
        ("GateCount", told["gates"][0]),
        ("NamedCount", told["faults"][0]),
        ("Attribution", told["attribution"]),
        ("Execution", execution),
        ("MarkoutGroup", execution["markouts"][0]),
        ("Markout", execution["markouts"][0]["markouts"][0]),
        ("Spread", execution["time_to_fill_seconds"]),
        ("SideUptime", execution["uptime"][0]),
        ("Closure", execution["closures"][0]),
        ("Requotes", execution["requotes"]),
        ("Latency", execution["latency"][0]),
        ("Risk", risk),
        ("ExposurePath", risk["exposure"][0]),
        ("Span", risk["spans"][0]),
        ("Event", risk["events"][0]),
        ("Comparison", told["agreement"]["comparisons"][0]),
    ):
        assert list(walked(name, value)) == []
