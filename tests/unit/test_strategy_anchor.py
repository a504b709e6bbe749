"""Anchor rules of the owner: pool within 3 bps informs, further away does not, and nothing beyond 10 bps."""

from __future__ import annotations

from decimal import Decimal

import pytest

from neo_engine.domain.amm import Pool
from neo_engine.domain.market import is_price
from neo_engine.strategy.anchor import is_sound_pool, read_anchor
from tests.unit.strategy_fixture import configured, pool

MID = Decimal("2.0")


def test_without_a_pool_the_mid_is_the_anchor_and_there_is_no_divergence() -> None:
    for nothing in (None, pool(0, "0")):
        view = read_anchor(MID, nothing, 7, configured().strategy)
        assert (view.anchor, view.source, view.divergence_bps, view.clamped) == (MID, "clob", None, False)
        assert view.outside_ticks == 0


@pytest.mark.parametrize(
    ("pool_quote", "anchor", "source"),
    [
        ("2000600", "2.00015", "pool"),  # 3 bps, the threshold itself: 2 x 0.75 + 2.0006 x 0.25
        ("1999400", "1.99985", "pool"),
        ("2000602", "2.0", "clob"),
        ("1999398", "2.0", "clob"),
    ],
)
def test_the_pool_informs_the_anchor_up_to_the_switch_threshold(
    pool_quote: str, anchor: str, source: str
) -> None:
    config = configured(
        strategy__clob_switch_threshold_bps="3",
        strategy__pool_weight="0.25",
        strategy__anchor_max_divergence_bps="10",
    )
    view = read_anchor(MID, pool(1_000_000, pool_quote), 0, config.strategy)
    assert (view.anchor, view.source, view.clamped) == (Decimal(anchor), source, False)


@pytest.mark.parametrize(("pool_quote", "anchor"), [("2008000", "2.002"), ("1992000", "1.998")])
def test_no_anchor_lies_further_from_the_mid_than_allowed(pool_quote: str, anchor: str) -> None:
    config = configured(
        strategy__clob_switch_threshold_bps="100",
        strategy__pool_weight="1",
        strategy__anchor_max_divergence_bps="10",
    )
    view = read_anchor(MID, pool(1_000_000, pool_quote), 0, config.strategy)
    assert (view.anchor, view.source, view.clamped) == (Decimal(anchor), "pool", True)


def test_ticks_outside_the_fee_band_are_counted_only_beyond_the_margin_and_in_a_row() -> None:
    config = configured(strategy__pool_band_margin_bps="10").strategy
    # Pool at 2.01 with 0.3 %: it pays 2.01 x 0.997 = 2.00397, 19.85 bps above the mid.
    far = read_anchor(MID, pool(1_000_000, "2010000"), 4, config)
    assert far.outside_bps == Decimal("19.85")
    assert far.outside_ticks == 5
    # At 2.007 it pays 2.000979, 4.895 bps above: outside, but within the margin.
    near = read_anchor(MID, pool(1_000_000, "2007000"), 4, config)
    assert near.outside_bps == Decimal("4.895")
    assert near.outside_ticks == 0
    # Below the mid the pool asks 1.99 / 0.997.
    below = read_anchor(MID, pool(1_000_000, "1990000"), 0, config)
    assert below.outside_ticks == 1
    assert round(below.outside_bps, 3) == Decimal("20.060")


@pytest.mark.parametrize("value", [None, "NaN", "sNaN", "Infinity", "-Infinity", "0", "-1", "1E16", "1E-16"])
def test_only_finite_positive_numbers_are_prices(value: str | None) -> None:
    assert not is_price(None if value is None else Decimal(value))


@pytest.mark.parametrize(
    "unsound",
    [
        pool(-1, "5"),
        pool(0, "5"),
        pool(5, "0"),
        pool(5, "-5"),
        pool(5, "NaN"),
        pool(5, "Infinity"),
        pool(5, "5", fee=1001),
        pool(5, "5", fee=-1),
        pool(10**12, "5"),
        pool(1, "1E60"),
    ],
)
def test_a_pool_with_impossible_numbers_is_not_believed(unsound: Pool) -> None:
    assert not is_sound_pool(unsound)
