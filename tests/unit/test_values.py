"""Quick dataclasses are the standard ones in every way but their time."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from neo_engine.domain.assets import IssuedAsset, Side
from neo_engine.domain.market import Level
from neo_engine.domain.orders import Quote
from neo_engine.domain.values import quick, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow:
    """The same fields without `quick`."""

    first: int
    second: str = "two"
    third: Decimal | None = None


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Quick:
    """Fields with and without defaults."""

    first: int
    second: str = "two"
    third: Decimal | None = None


def quote() -> Quote:
    return Quote(
        slot="bid-1",
        side=Side.BUY,
        price=Decimal(2),
        base_drops=7,
        quote=Decimal("0.000014"),
        expiration=None,
    )


def test_a_quick_value_holds_what_it_was_given_and_its_defaults() -> None:
    assert dataclasses.asdict(Quick(first=1)) == dataclasses.asdict(Slow(first=1))
    assert dataclasses.astuple(Quick(first=1, third=Decimal(3))) == (1, "two", Decimal(3))


def test_a_quick_value_equals_hashes_and_prints_as_the_standard_one() -> None:
    assert Quick(first=1) == Quick(first=1)
    assert Quick(first=1) != Quick(first=2)
    assert hash(Quick(first=1)) == hash(Slow(first=1))
    assert repr(Quick(first=1)) == repr(Slow(first=1)).replace("Slow", "Quick")


@pytest.mark.parametrize("made", [Quick(first=1), replace(Quick(first=2), first=1)])
def test_a_quick_value_cannot_be_changed_however_it_was_made(made: Quick) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.first = 2  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        del made.second
    with pytest.raises((AttributeError, TypeError)):
        object.__setattr__(made, "fourth", 4)
    assert type(made) is Quick


@pytest.mark.parametrize("arguments", [{}, {"first": 1, "fourth": 4}])
def test_missing_and_unknown_arguments_are_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(TypeError):
        Quick(**arguments)  # type: ignore[arg-type]


def test_positional_arguments_are_refused() -> None:
    with pytest.raises(TypeError):
        Quick(1)  # type: ignore[misc]


def test_a_quick_class_keeps_its_signature() -> None:
    assert list(inspect.signature(Quick).parameters) == list(inspect.signature(Slow).parameters)


def test_replace_changes_only_what_it_names_and_leaves_the_original() -> None:
    before = quote()
    after = replace(before, base_drops=8)
    assert dataclasses.replace(before, base_drops=8) == after
    assert (before.base_drops, after.base_drops) == (7, 8)


def test_replace_refuses_a_field_that_is_none() -> None:
    with pytest.raises(AttributeError):
        replace(quote(), size=8)  # type: ignore[call-arg]


def test_replace_runs_the_checks_of_a_class_that_is_not_quick() -> None:
    asset = IssuedAsset(currency="USD", issuer="rIssuer")
    assert replace(asset, currency="EUR") == IssuedAsset(currency="EUR", issuer="rIssuer")
    with pytest.raises(ValueError, match="neither three characters"):
        replace(asset, currency="RLUSD")


def test_a_quick_value_survives_pickling_and_copying() -> None:
    level = Level(price=Decimal("2.1"), base_drops=5, quote=Decimal("0.0000105"))
    assert pickle.loads(pickle.dumps(level)) == level
    assert copy.deepcopy(level) == level


def test_a_class_that_does_more_than_hold_its_fields_is_refused() -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Checked:
        first: int

        def __post_init__(self) -> None:
            raise AssertionError

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Listed:
        first: list[int] = field(default_factory=list)

    @dataclass(frozen=True, kw_only=True)
    class Unslotted:
        first: int

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Derived(Slow):
        fourth: int

    for refused in (Checked, Listed, Unslotted, Derived):
        with pytest.raises(TypeError, match=refused.__name__):
            quick(refused)
