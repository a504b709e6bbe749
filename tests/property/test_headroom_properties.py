"""Less headroom never gives a higher tier, a narrower spread or more levels, whatever came before."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from neo_engine.domain.headroom import FACTOR_MAX, SHADOW_BPS, counted, quota
from neo_engine.domain.number import ZERO

percents = st.decimals(min_value=0, max_value=100, places=3, allow_nan=False) | st.sampled_from(
    [Decimal(bound) for bound in (0, 1, 4, 5, 10, 20, 50, 100)]
)
configured = st.integers(1, 20)


@given(percents, percents, percents, configured)
def test_less_headroom_never_allows_more(before: Decimal, one: Decimal, other: Decimal, most: int) -> None:
    less, more = (quota(counted(before, now), most) for now in sorted((one, other)))
    assert less.tier <= more.tier
    assert less.factor >= more.factor
    assert less.shadow_bps >= more.shadow_bps
    assert less.levels <= more.levels


@given(st.lists(percents, min_size=1), configured)
def test_what_counts_is_never_more_than_there_is_nor_less_than_five_sixths_of_the_least_since(
    seen: list[Decimal], most: int
) -> None:
    left = Decimal(100)
    for now in seen:
        left = counted(left, now)
        allowed = quota(left, most)
        assert min(seen) * 5 / 6 - Decimal("1E-20") <= left <= now
        assert 1 <= allowed.factor <= FACTOR_MAX
        assert ZERO <= allowed.shadow_bps <= 75 * SHADOW_BPS
        assert 1 <= allowed.levels <= most


@given(percents, st.lists(st.decimals(min_value="0.84", max_value="1.19", places=3), min_size=1))
def test_a_headroom_that_swings_by_less_than_a_fifth_settles_at_one_figure(
    middle: Decimal, swings: list[Decimal]
) -> None:
    swing = [min(middle * one, Decimal(100)) for one in swings]
    low = min(swing)
    left = low
    for now in swing:
        if now <= low * Decimal("1.2"):
            left = counted(left, now)
            assert left == low
