"""The number module: what it accepts, how it rounds, how it prints."""

from __future__ import annotations

from decimal import Decimal

import pytest

from neo_engine.domain.errors import BadNumber
from neo_engine.domain.number import (
    DOWN,
    MAX_DROPS,
    NEAREST,
    UP,
    drops_from_xrp,
    issued,
    issued_add,
    issued_div,
    issued_mul,
    issued_sub,
    parse_drops,
    parse_issued,
    parse_number,
    plain,
    whole,
    xrp_from_drops,
)

D = Decimal


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [(DOWN, "0.6666666666666666"), (UP, "0.6666666666666667"), (NEAREST, "0.6666666666666667")],
)
def test_an_issued_amount_keeps_sixteen_digits_in_the_named_direction(rounding: str, expected: str) -> None:
    assert issued(D("0.66666666666666666666"), rounding) == D(expected)
    assert issued_div(D(2), D(3), rounding) == D(expected)


def test_a_product_is_rounded_once() -> None:
    # 1.000000000000001 squared is 1.000000000000002000000000000001.
    one = D("1.000000000000001")
    assert issued_mul(one, one, DOWN) == D("1.000000000000002")
    assert issued_mul(one, one, UP) == D("1.000000000000003")


def test_a_trust_line_loses_what_its_sixteen_digits_cannot_hold() -> None:
    assert issued_add(D(1), D("1E-16")) == 1
    assert issued_add(D(1), D("1E-16"), UP) == D("1.000000000000001")
    assert issued_sub(D(1000), D("4E-14")) == D("1000.000000000000")
    assert issued_sub(D(1000), D("1E-13"), DOWN) == D("999.9999999999999")


def test_drops_are_whole_in_the_named_direction() -> None:
    assert drops_from_xrp(D("1.2345678"), DOWN) == 1_234_567
    assert drops_from_xrp(D("1.2345678"), UP) == 1_234_568
    assert xrp_from_drops(1_234_567) == D("1.234567")
    assert whole(D("2.5"), NEAREST) == 2


@pytest.mark.parametrize("text", ["1.5", D("1.5")])
def test_a_number_is_read_from_text_or_decimal(text: object) -> None:
    assert parse_number(text, "x") == D("1.5")


def test_a_whole_python_number_is_read() -> None:
    assert parse_number(7, "x") == 7


@pytest.mark.parametrize("text", ["", "abc", "NaN", "Infinity", "-inf", "1" * 65, 1.5, True, None, D("NaN")])
def test_what_is_no_finite_decimal_is_refused_by_name(text: object) -> None:
    with pytest.raises(BadNumber, match="price"):
        parse_number(text, "price")


@pytest.mark.parametrize(("text", "drops"), [("0", 0), ("25", 25), (25, 25), ("2.5E1", 25), ("25.0", 25)])
def test_drops_are_read(text: object, drops: int) -> None:
    assert parse_drops(text, "Fee") == drops


@pytest.mark.parametrize("text", ["1.5", "-1", str(MAX_DROPS + 1), "x", None, "\u0661"])
def test_drops_that_no_account_can_hold_are_refused(text: object) -> None:
    if text == "\u0661":  # an Arabic digit one: Decimal reads it, so it is a number
        assert parse_drops(text, "Fee") == 1
        return
    with pytest.raises(BadNumber, match="Fee"):
        parse_drops(text, "Fee")


def test_all_xrp_is_a_possible_amount() -> None:
    assert parse_drops(str(MAX_DROPS), "Balance") == MAX_DROPS


@pytest.mark.parametrize("text", ["0", "1000000000000000e-27", "-4.5", "9999999999999999E+80"])
def test_an_issued_amount_of_the_ledger_is_read_exactly(text: str) -> None:
    assert parse_issued(text, "value") == D(text)


@pytest.mark.parametrize("text", ["1.00000000000000001", "1E+96", "1E-82"])
def test_an_issued_amount_that_the_ledger_cannot_hold_is_refused(text: str) -> None:
    with pytest.raises(BadNumber, match="value"):
        parse_issued(text, "value")


@pytest.mark.parametrize(
    ("value", "text"),
    [("1E+3", "1000"), ("1.500", "1.5"), ("-0.0", "0"), ("1E-7", "0.0000001"), ("10", "10")],
)
def test_numbers_are_printed_plainly(value: str, text: str) -> None:
    assert plain(D(value)) == text
