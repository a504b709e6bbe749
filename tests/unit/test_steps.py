"""The server's step arithmetic: each quirk by an example small enough to do by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neo_engine.domain import steps
from neo_engine.domain.rounding import ledger_divide

D = Decimal


def test_a_quotient_does_not_see_what_lies_below_its_seventeenth_digit() -> None:
    # 1/999 = 0.001001001001001001|0|01...: the 17th digit is 0, so rounding up sees nothing to round.
    assert steps.div_up(D(1), D(999)) == D("0.001001001001001001")
    # 1/3 = 0.3333333333333333|3: here there is.
    assert steps.div_up(D(1), D(3)) == D("0.3333333333333334")
    assert steps.div_near(D(1), D(3)) == D("0.3333333333333333")


def test_a_quotient_of_a_larger_mantissa_sees_two_digits_more() -> None:
    # 999000/998001 = 1.001001001001001|00|1...: 18 digits are kept, both of the last two are 0.
    assert steps.div_up(D(1000), D(999)) == D("1.001001001001001")
    # 9/7 = 1.285714285714285|71...: two digits to round by.
    assert steps.div_up(D(9), D(7)) == D("1.285714285714286")


def test_a_rate_leans_upwards() -> None:
    # 33333333333333333 + 5 = 3333333333333333|8, which rounds up although the true next digit is 3.
    assert steps.rate_of(D(1), D(3)) == D("0.3333333333333334")
    assert steps.rate_of(D("2.5"), D(1_000_000)) == D("0.0000025")


@given(st.integers(1, 10**16 - 1), st.integers(1, 10**16 - 1), st.integers(-20, 20))
def test_the_inner_rate_is_the_one_that_resting_offers_get(a: int, b: int, exponent: int) -> None:
    pays, gets = D(a).scaleb(exponent), D(b)
    assert steps.rate_of(pays, gets) == ledger_divide(pays, gets)


def test_the_next_better_rate_is_one_unit_of_the_last_digit_lower() -> None:
    assert steps.next_better(D("470588.3")) == D("470588.2999999999")
    assert steps.next_better(D(1)) == D("0.9999999999999999")


def test_a_part_of_an_offer_costs_its_share_rounded_up() -> None:
    # 3 drops at 0.3333333333333334 = 1.0000000000000002, one digit too many.
    assert steps.scaled_up_issued(D(3), D("0.3333333333333334")) == D("1.000000000000001")
    assert steps.scaled_down_issued(D(3), D("0.3333333333333334")) == D("1.000000000000000")
    assert steps.scaled_up_drops(D("1.5"), D("471000.3")) == 706_501
    assert steps.scaled_down_drops(D("1.5"), D("471000.3")) == 706_500


def test_a_product_of_thirty_two_digits_is_cut_before_it_is_rounded_up() -> None:
    # 4 * 5.000000000000001 = 20.000000000000004: 17th digit 4, rounded up.
    assert steps.scaled_up_issued(D(4), D("5.000000000000001")) == D("20.00000000000001")
    # 4.000000000000002 * 5.000000000000001 = 20.00000000000001|40...; likewise.
    assert steps.scaled_up_issued(D("4.000000000000002"), D("5.000000000000001")) == D("20.00000000000002")
    # 5.000000000000001 squared = 25.00000000000001|0000000000000001: 17th digit 0, the rest is cut.
    five = D("5.000000000000001")
    assert steps.scaled_up_issued(five, five) == D("25.00000000000001")


def test_a_part_bought_gets_its_share_rounded_down() -> None:
    assert steps.divided_down_issued(D(2), D(3)) == D("0.6666666666666666")
    assert steps.divided_down_drops(D(2_000_000), D(3)) == 666_666


@pytest.mark.parametrize(
    ("amount", "rate", "drops"),
    [
        ("1", "471000.3", 471_001),  # a fraction of 0.3 counts as a drop
        ("1", "471000.03", 471_000),  # 0.03 is cut with the second digit
        ("3", "471000", 471_000 * 3),  # nothing to round
    ],
)
def test_a_remainder_in_drops_is_rounded_up_by_its_first_digit_only(
    amount: str, rate: str, drops: int
) -> None:
    assert steps.scaled_up_drops_loosely(D(amount), D(rate)) == drops


def test_a_remainder_with_one_digit_to_cut_always_gains_a_drop() -> None:
    # Mantissas 2E15 and 5E15 give 1E17 with exponent -1: one digit to cut, so 10 is added before.
    assert steps.scaled_up_drops_loosely(D(2), D("5000000000000000")) == 10**16 + 1


def test_a_remainder_beyond_all_digits_is_scaled_exactly() -> None:
    assert steps.scaled_up_drops_loosely(D(2000), D("3000000000000000")) == 6 * 10**18


@pytest.mark.parametrize(
    ("value", "root"),
    [("0", "0"), ("1", "1"), ("4", "2"), ("2", "1.414213562373095"), ("1E+20", "1E+10"), ("0.25", "0.5")],
)
def test_the_square_root_is_right_to_the_last_digit_in_simple_cases(value: str, root: str) -> None:
    assert steps.square_root(D(value)) == D(root)


@given(st.integers(1, 10**16 - 1), st.integers(-30, 30))
def test_the_square_root_is_off_by_a_few_units_of_the_last_digit_at_most(
    mantissa: int, exponent: int
) -> None:
    # Newton's sum of two roots above 1/2 has a last digit ten times as coarse; half of that is five units.
    value = D(mantissa).scaleb(exponent)
    root = steps.square_root(value)
    unit = D(1).scaleb(root.adjusted() - 15)
    assert abs(root - value.sqrt()) <= 6 * unit


def test_drops_lose_their_fraction_in_the_named_direction() -> None:
    assert steps.whole_down(D("1.9")) == 1
    assert steps.whole_up(D("1.1")) == steps.whole_near(D("1.5")) == 2
    assert steps.unchanged(D("1.9")) == D("1.9")


def test_a_transfer_fee_that_comes_out_even_is_exact() -> None:
    assert steps.ratio_up(D(100), 1_002_000_000, 10**9) == D("100.2")
    assert steps.ratio_down(D("100.2"), 10**9, 1_002_000_000) == D(100)
    assert steps.ratio_up(D(7), 10**9, 10**9) == steps.ratio_down(D(7), 10**9, 10**9) == D(7)
    assert steps.ratio_up(D(0), 1_002_000_000, 10**9) == steps.ratio_down(D(0), 2, 3) == D(0)


def test_a_ratio_rounded_up_is_rounded_to_nearest_and_then_gains_a_unit() -> None:
    # 0.333333333333333333 (18 digits, more were cut): nearest 0.3333333333333333, plus a unit.
    assert steps.ratio_up(D(1), 1, 3) == D("0.3333333333333334")
    # 0.666666666666666666: nearest is already above, and it gains a unit all the same.
    assert steps.ratio_up(D(2), 1, 3) == D("0.6666666666666668")
    # 1.000000000000001 * 1.002 = 1.002000000000001|002: the last 2 is the 19th digit.
    assert steps.ratio_up(D("1.000000000000001"), 1_002_000_000, 10**9) == D("1.002000000000002")


def test_a_ratio_with_nothing_below_the_eighteenth_digit_gains_no_unit() -> None:
    # 1.500000000000001|5 and 1.500000000000004|5 are ties: to the even digit, even where that is down.
    assert steps.ratio_up(D("1.000000000000001"), 3, 2) == D("1.500000000000002")
    assert steps.ratio_up(D("1.000000000000003"), 3, 2) == D("1.500000000000004")


def test_a_ratio_rounded_down_is_rounded_to_nearest() -> None:
    assert steps.ratio_down(D(1), 1, 3) == D("0.3333333333333333")
    assert steps.ratio_down(D(2), 1, 3) == D("0.6666666666666667")


def test_what_a_gateways_fee_did_not_take_is_rounded_up() -> None:
    assert steps.divided_up_issued(D("100.2"), D("1.002")) == D(100)
    assert steps.divided_up_issued(D(1), D(3)) == D("0.3333333333333334")
    # 1/999 = 0.001001001001001001|001: rounded up at the 17th digit, then at the 16th.
    assert steps.divided_up_issued(D(1), D(999)) == D("0.001001001001001002")
