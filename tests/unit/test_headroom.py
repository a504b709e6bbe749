"""How much is left and what it allows: each bound and both sides of it, figures worked out by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from neo_engine.domain.errors import InvariantViolation
from neo_engine.domain.headroom import (
    FULL,
    LEAST,
    WHOLE,
    Headroom,
    Tier,
    counted,
    levels,
    quota,
    shadow_bps,
    slots_left,
    spread_factor,
    tier_of,
)
from neo_engine.domain.orders import PreparedTransaction, TransactionKind
from neo_engine.execution.fees import Fees
from neo_engine.execution.pending import Pending, headroom_of
from neo_engine.execution.transactions import Place
from tests.conftest import ROOT

D = Decimal


def test_the_least_of_the_three_counts_and_all_are_told() -> None:
    one = Headroom(requests=D("12.5"), slots=D(40), fees=D("33.3333"))
    assert one.least == D("12.5")
    assert one.told == "requests 12.5 %, queue slots 40 %, fees of the day 33.33 %"
    assert FULL.least == 100


@pytest.mark.parametrize("wrong", ["-0.1", "100.1"])
def test_what_is_no_share_is_refused(wrong: str) -> None:
    with pytest.raises(InvariantViolation, match=r"outside 0\.\.100"):
        Headroom(requests=WHOLE, slots=D(wrong), fees=WHOLE)


@pytest.mark.parametrize(
    ("percent", "tier"),
    [
        ("100", Tier.FULL),
        ("50.01", Tier.FULL),
        ("50", Tier.FULL),
        ("49.99", Tier.NORMAL),
        ("20.01", Tier.NORMAL),
        ("20", Tier.NORMAL),
        ("19.99", Tier.MINIMAL),
        ("10.01", Tier.MINIMAL),
        ("10", Tier.MINIMAL),
        ("9.99", Tier.CONSERVATION),
        ("5.01", Tier.CONSERVATION),
        ("5", Tier.CONSERVATION),
        ("4.99", Tier.CRITICAL),
        ("1.01", Tier.CRITICAL),
        ("1", Tier.CRITICAL),
        ("0.99", Tier.EXHAUSTED),
        ("0", Tier.EXHAUSTED),
    ],
)
def test_a_tier_holds_from_its_bound_on(percent: str, tier: Tier) -> None:
    assert tier_of(D(percent)) is tier


@pytest.mark.parametrize(
    ("percent", "factor"),
    [
        ("100", "1"),
        ("50", "1"),  # tier Full leaves the spread alone
        ("49.99", "1.4144"),  # 1 / sqrt(0.4999)
        ("25", "2"),
        ("20", "2.2361"),
        ("7", "3.7796"),
        ("4.01", "4.9938"),
        ("4", "5"),
        ("3.99", "5"),
        ("1", "5"),
        ("0", "5"),
    ],
)
def test_the_spread_grows_as_one_over_the_root_up_to_five_times(percent: str, factor: str) -> None:
    assert round(spread_factor(D(percent)), 4) == D(factor)


@pytest.mark.parametrize(
    ("percent", "added"),
    [
        ("100", "0"),
        ("4.01", "0"),  # while the factor still grows, nothing is added
        ("4", "0"),
        ("3.2", "1.25"),  # 0.2 x (31.25 - 25)
        ("2", "5"),  # 0.2 x (50 - 25)
        ("1.01", "14.8020"),  # 0.2 x (99.0099 - 25)
        ("1", "15"),
        ("0.99", "15"),
        ("0", "15"),
    ],
)
def test_the_shadow_spread_begins_where_the_factor_ends(percent: str, added: str) -> None:
    assert round(shadow_bps(D(percent)), 4) == D(added)


@pytest.mark.parametrize(
    ("percent", "left"),
    [("100", 8), ("20", 8), ("19.99", 7), ("7", 4), ("5", 4), ("4.99", 3), ("1", 1), ("0", 1)],
)
def test_levels_go_with_the_root_of_the_share_of_what_tier_normal_needs(percent: str, left: int) -> None:
    # 8 x sqrt(7/20) = 4.73, 8 x sqrt(5/20) = 4, 8 x sqrt(1/20) = 1.79
    assert levels(8, D(percent)) == left


def test_a_single_level_stays_one() -> None:
    assert [levels(1, D(percent)) for percent in (100, 19, 1)] == [1, 1, 1]


def test_a_fall_counts_at_once_and_a_rise_from_a_fifth_above_on() -> None:
    assert counted(WHOLE, D(30)) == 30
    assert counted(D(30), D(36)) == 30
    assert counted(D(30), D("36.6")) == D("30.5")
    assert counted(D(30), D(29)) == 29
    assert counted(D(30), WHOLE) > 83


@pytest.mark.parametrize(("now", "tier"), [("59.9", Tier.NORMAL), ("60", Tier.FULL)])
def test_a_tier_is_left_upwards_a_fifth_above_its_bound(now: str, tier: Tier) -> None:
    assert tier_of(counted(D(49), D(now))) is tier


def test_in_tier_full_nothing_changes() -> None:
    for percent in (D(50), D(75), WHOLE):
        allowed = quota(percent, 3)
        assert (allowed.tier, allowed.factor, allowed.shadow_bps, allowed.levels) == (Tier.FULL, 1, 0, 3)


@pytest.mark.parametrize(("taken", "left"), [(0, 100), (1, 90), (5, 50), (10, 0), (11, 0), (40, 0)])
def test_an_account_has_ten_queue_slots(taken: int, left: int) -> None:
    assert slots_left(taken) == left


def on_its_way(number: int, *, applied: bool, ticket: bool = False) -> Pending:
    """A transaction made after ledger 100."""
    order = PreparedTransaction(
        kind=TransactionKind.CREATE,
        order_id=number,
        replaces=None,
        tx_hash=f"HASH{number}",
        account_sequence=number,
        last_ledger_sequence=104,
        fee_drops=10,
        blob="00",
    )
    return Pending(
        tx_hash=order.tx_hash,
        blob="00",
        place=Place(number=number, ticket=ticket, fee_drops=10, last_ledger=104),
        first_ledger=100,
        order=order,
        removes=None,
        submitted=True,
        applied=applied,
    )


def slots(pending: list[Pending], ledger_index: int) -> Decimal:
    return headroom_of(pending, ledger_index, requests=WHOLE, fees=WHOLE).slots


def test_what_an_open_ledger_has_holds_no_slot_until_a_ledger_should_have_it() -> None:
    applied = [on_its_way(number, applied=True) for number in range(1, 4)]
    assert [slots(applied, index) for index in (101, 102, 103)] == [100, 100, 70]


def test_what_no_open_ledger_has_holds_a_slot_and_a_rival_shares_it() -> None:
    rivals = [on_its_way(7, applied=False), on_its_way(7, applied=False)]
    assert slots(rivals, 101) == 90
    assert slots([*rivals, on_its_way(7, applied=False, ticket=True)], 101) == 80


@pytest.mark.parametrize(("burned", "left"), [(0, 100), (600, 40), (999, "0.1"), (1_000, 0), (1_500, 0)])
def test_the_fees_of_the_day_count_against_its_limit(burned: int, left: int | str) -> None:
    fees = Fees(max_fee_drops=100, daily_burn_drops=1_000)
    fees.ledger(fee_base_drops=10, close_time=0)
    fees.sent(burned)
    assert fees.left == D(left)
    fees.ledger(fee_base_drops=10, close_time=86_400)
    assert fees.left == 100


# docs/quota.md

PAGE = (ROOT / "docs" / "quota.md").read_text(encoding="utf-8")


def rows(first_column: str) -> list[list[str]]:
    """The cells of the rows of the table whose header begins so."""
    lines = PAGE.split(f"\n| {first_column} |")[1].splitlines()[2:]
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def test_the_table_of_tiers_says_what_the_code_does() -> None:
    top = WHOLE
    for cells in rows("Tier"):
        tier = Tier[cells[0].strip("`").upper()]
        least = D(cells[1].removesuffix(" %"))
        assert LEAST[tier] == least
        figures = [D(word) for word in cells[2].split() if word != "to"]
        ends = (max(top - D("0.001"), least), least)
        shown = {str(round(spread_factor(end), 2).normalize()) for end in ends}
        assert shown == {str(one.normalize()) for one in figures}
        added = [D(word) for word in cells[3].split() if word not in ("to", "bps")]
        assert {round(shadow_bps(end), 0) for end in ends} == set(added)
        if tier is not Tier.EXHAUSTED:
            most = [D(word) for word in cells[4].split() if word != "to"]
            assert {levels(4, end) for end in ends} == set(most)
        top = least
    assert top == 0


def test_the_example_is_as_stated() -> None:
    said = {cells[0]: D(cells[1]) for cells in rows("quantity")}
    assert said == {
        "factor at 40 %": round(spread_factor(D(40)), 4),
        "factor at 6.25 %": spread_factor(D("6.25")),
        "levels of 2 at 6.25 %": levels(2, D("6.25")),
        "counted after it": round(counted(D("6.25"), D(40)), 3),
    }
