"""The market `calm` against the main network, from metadata alone.

Expected: what 27 ledgers of May to July 2026 say of XRP/RLUSD there. They hold 41 fills and some 400
offers, so ages and rates are indicative, and the tolerances are as wide as that.
"""

from __future__ import annotations

from functools import cache

import pytest

from tools.measure_market import LEDGERS, SEEDS, Figures, centiles, measure

pytestmark = pytest.mark.slow

#: The main network's own figures.
LIFE_QUARTILES_AND_90 = (3, 3, 6, 13)
FILLED_AGE = 32
REPLACE_PERCENT = 75
SPREAD_BPS = (5, 18)
ASK_XRP, BID_XRP = 1_459, 80
POOL_PERCENT = 100 * 2 / 27


@cache
def calm() -> Figures:
    return measure("calm", range(1, SEEDS + 1), LEDGERS)


def test_two_thousand_ledgers_are_measured() -> None:
    assert calm().ledgers == 2_000


def test_a_cancelled_offer_lived_as_long_as_there() -> None:
    low, median, high, ninety = centiles(calm().cancelled, 25, 50, 75, 90)
    expected_low, expected, expected_high, expected_ninety = LIFE_QUARTILES_AND_90
    assert (low, median) == (expected_low, expected)
    assert abs(high - expected_high) <= 1
    assert abs(ninety - expected_ninety) <= 3


def test_an_offer_that_is_taken_is_older_than_one_that_is_cancelled() -> None:
    (median,) = centiles(calm().filled, 50)
    assert FILLED_AGE / 2 <= median <= FILLED_AGE * 2
    assert median >= 3 * centiles(calm().cancelled, 50)[0]


def test_as_many_new_offers_replace_an_old_one() -> None:
    assert abs(calm().replace_percent - REPLACE_PERCENT) <= 6


def test_new_asks_and_bids_are_as_far_apart() -> None:
    low, high = centiles(calm().spreads, 25, 75)
    assert SPREAD_BPS[0] <= low < high <= SPREAD_BPS[1]


def test_new_offers_are_as_large() -> None:
    (ask,), (bid,) = centiles(calm().asks, 50), centiles(calm().bids, 50)
    assert abs(ask / ASK_XRP - 1) < 0.2
    assert abs(bid / BID_XRP - 1) < 0.35


def test_the_pool_is_touched_as_seldom() -> None:
    assert POOL_PERCENT / 2.5 <= calm().pool_percent <= POOL_PERCENT * 2.5


def test_the_refusals_that_are_common_there_are_common_here() -> None:
    results = calm().results
    for code in ("tecKILLED", "tecUNFUNDED_OFFER", "tecINSUF_RESERVE_OFFER"):
        assert results[f"OfferCreate {code}"] >= 20  # one in a hundred ledgers at least
