"""Half-spread and reservation price of the offset model."""

from __future__ import annotations

from decimal import Decimal

import pytest

from neo_engine.strategy import spread
from tests.unit.strategy_fixture import PLENTY, configured

NO_TERMS = (("transfer_fee_bps", Decimal(0)), ("network_fee_bps", Decimal(0)))
CONFIG = configured(
    strategy__base_offset_bps="4",
    strategy__volatility_reference_bps="2",
    strategy__volatility_factor_max="3",
    strategy__atr_reference_bps="2",
    strategy__atr_factor_max="2",
    strategy__spread_factor_max="5",
    strategy__spread_additive_max_bps="7",
    strategy__half_spread_min_bps="1",
    strategy__half_spread_max_bps="30",
).strategy


@pytest.mark.parametrize(
    ("volatility", "moves", "half"),
    [
        (None, None, "4"),
        ("0", "0", "4"),  # a calm market never narrows the base offset
        ("2", "2", "4"),
        ("3", "2", "6"),  # 4 x 1.5
        ("3", "3", "9"),  # 4 x 1.5 x 1.5
        ("100", "2", "12"),  # volatility capped at 3
        ("100", "100", "20"),  # 3 x 2 = 6, together capped at 5
    ],
)
def test_factors_multiply_and_are_capped_each_and_together(
    volatility: str | None, moves: str | None, half: str
) -> None:
    result = spread.offset_spread(
        None if volatility is None else Decimal(volatility),
        None if moves is None else Decimal(moves),
        NO_TERMS,
        CONFIG,
        quota=PLENTY,
    )
    assert result.half_spread_bps == Decimal(half)


def test_costs_add_to_the_spread_up_to_their_cap_and_are_named() -> None:
    # A transfer fee of 0.1 % is 10 bps, half of it 5; 1000 drops at 2 RLUSD on 20 RLUSD are 1 bps.
    size = configured(order_size__base_size_rlusd="20").order_size
    terms = spread.cost_terms(Decimal(2), 1000, 1_001_000_000, size)
    assert terms == (("transfer_fee_bps", Decimal(5)), ("network_fee_bps", Decimal(1)))
    result = spread.offset_spread(None, None, terms, CONFIG, quota=PLENTY)
    assert result.half_spread_bps == 10
    assert [name for name, _ in result.factors] == [
        *("volatility", "range", "toxicity", "defence", "staleness", "model", "inventory", "quota"),
        *("product", "multiplier"),
        "transfer_fee_bps",
        "network_fee_bps",
    ]
    dear = spread.cost_terms(Decimal(2), 1000, 1_010_000_000, size)
    assert spread.offset_spread(None, None, dear, CONFIG, quota=PLENTY).half_spread_bps == 4 + 7


def test_the_half_spread_stays_within_its_limits() -> None:
    narrow = configured(strategy__base_offset_bps="0").strategy
    assert (
        spread.offset_spread(None, None, NO_TERMS, narrow, quota=PLENTY).half_spread_bps
        == narrow.half_spread_min_bps
    )
    wide = configured(strategy__base_offset_bps="5000").strategy
    assert (
        spread.offset_spread(None, None, NO_TERMS, wide, quota=PLENTY).half_spread_bps
        == wide.half_spread_max_bps
    )


@pytest.mark.parametrize(
    ("base_value", "quote_value", "target", "expected"),
    [
        ("100", "100", "0.5", "0"),
        ("200", "0", "0.5", "1"),
        ("0", "200", "0.5", "-1"),
        ("60", "40", "0.2", "0.5"),  # 0.6 is half way from 0.2 to 1
        ("10", "90", "0.2", "-0.5"),  # 0.1 is half way from 0.2 to 0
        ("0", "0", "0.5", "0"),
        ("100", "0", "1", "0"),
        ("0", "100", "0", "0"),
        ("50", "50", "0", "0.5"),
        ("50", "50", "1", "-0.5"),
    ],
)
def test_imbalance_is_the_share_of_the_way_to_one_end(
    base_value: str, quote_value: str, target: str, expected: str
) -> None:
    result = spread.imbalance(Decimal(base_value), Decimal(quote_value), Decimal(target))
    assert result == Decimal(expected)


def test_too_much_xrp_lowers_the_reservation_price_and_too_little_raises_it() -> None:
    assert spread.reservation(Decimal(2), Decimal(1), Decimal(6)) == Decimal("1.9988")
    assert spread.reservation(Decimal(2), Decimal(-1), Decimal(6)) == Decimal("2.0012")
    assert spread.reservation(Decimal(2), Decimal(0), Decimal(6)) == 2
