"""The fair price of a market: the shipped series, drawn paths, jumps and crashes."""

from __future__ import annotations

import gzip
from decimal import Decimal
from itertools import pairwise
from random import Random

import pytest
from pydantic import ValidationError

from neo_engine.domain.number import ZERO
from neo_engine.simulator.agents.prices import (
    LEDGERS_A_MINUTE,
    SERIES_FILE,
    Path,
    Prices,
    draw_step,
    flat_price,
    prices_of,
    series,
)
from neo_engine.simulator.agents.settings import PriceSettings, market_settings

#: First and last closes of the month, as the published file has them.
FIRST_CLOSES, MONTH = ("2.1917", "2.1914", "2.1915"), 43_199


def closes() -> list[Decimal]:
    with gzip.open(SERIES_FILE, "rt", encoding="ascii") as file:
        return [Decimal(line) for line in file.read().split()[1:]]


def walked(prices: Prices, ledgers: int) -> list[Decimal]:
    return [prices.step() for _ in range(ledgers)]


def changed(**keys: object) -> PriceSettings:
    return PriceSettings.model_validate({**flat_price(Decimal(2)).model_dump(), **keys})


class StartsAt(Random):
    """A generator whose first drawn number is given: where the series begins."""

    def __init__(self, first: int) -> None:
        super().__init__(1)
        self._first: int | None = first

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        first, self._first = self._first, None
        return super().randrange(start, stop, step) if first is None else first


def test_the_shipped_series_is_the_published_month() -> None:
    shipped = closes()
    assert len(shipped) == len(series()) == MONTH
    assert tuple(map(str, shipped[:3])) == FIRST_CLOSES
    assert all(int(close * 10_000) == units for close, units in zip(shipped, series(), strict=True))


def test_the_series_passes_every_close_a_minute_apart() -> None:
    prices = prices_of(market_settings("calm").price, StartsAt(100))
    path = walked(prices, 3 * LEDGERS_A_MINUTE)
    assert path[LEDGERS_A_MINUTE - 1 :: LEDGERS_A_MINUTE] == closes()[101:104]


def test_without_noise_the_way_to_the_next_close_is_a_straight_line() -> None:
    settings = changed(source="series", noise_bps=Decimal(0))
    one, other = closes()[500:502]
    path = walked(prices_of(settings, StartsAt(500)), LEDGERS_A_MINUTE)
    assert path[4] == pytest.approx(one + (other - one) / 3)


def test_the_series_turns_round_at_both_ends_of_the_month() -> None:
    shipped = closes()
    at_the_end = walked(prices_of(changed(source="series"), StartsAt(MONTH - 1)), LEDGERS_A_MINUTE)
    assert at_the_end[-1] == shipped[-2]
    near_the_start = prices_of(changed(source="series"), StartsAt(MONTH - 2))
    minutes = walked(near_the_start, 3 * LEDGERS_A_MINUTE)[LEDGERS_A_MINUTE - 1 :: LEDGERS_A_MINUTE]
    assert minutes == [shipped[-1], shipped[-2], shipped[-3]]


def test_a_drawn_step_has_the_deviation_that_is_asked_for() -> None:
    rng = Random(5)
    drawn = [draw_step(rng, Decimal(3)) for _ in range(20_000)]
    mean = sum(drawn, ZERO) / len(drawn)
    deviation = (sum(((one - mean) ** 2 for one in drawn), ZERO) / len(drawn)).sqrt()
    # Of 20,000 numbers the mean deviates by 3/sqrt(20000) = 0.02, the deviation by 3/sqrt(40000) = 0.015.
    assert abs(mean) < Decimal("0.1")
    assert abs(deviation - 3) < Decimal("0.08")


def test_a_drawn_path_is_pulled_back_to_its_start_and_stays_within_a_fifth_and_five_times_of_it() -> None:
    pulled = changed(noise_bps=Decimal(50), pull_bps=Decimal(50))
    path = walked(Path(pulled, Random(3)), 20_000)
    assert min(path) < 2 < max(path)
    free = walked(Path(changed(trend_bps=Decimal(100)), Random(1)), 2_000)
    assert free[-1] in (Decimal("0.4"), Decimal(10))


def test_a_trend_moves_the_price_by_its_drift_and_turns() -> None:
    path = walked(Path(changed(trend_bps=Decimal(1), trend_ledgers=50), Random(2)), 500)
    moves = [new / old - 1 for old, new in pairwise(path)]
    assert {abs(round(move, 8)) for move in moves} == {Decimal("0.00010000")}
    turns = len([one for one, other in pairwise(moves) if one * other < 0])
    assert 3 <= turns <= 25  # ten are to be expected


def test_jumps_come_as_often_and_as_far_as_they_are_set() -> None:
    settings = changed(jump_ledgers=100, jump_bps_min=100, jump_bps_max=400)
    path = walked(prices_of(settings, Random(4)), 10_000)
    moves = [abs(new / old - 1) * 10_000 for old, new in pairwise(path)]
    jumps = [move for move in moves if move > 50]
    assert 60 <= len(jumps) <= 145  # a hundred are to be expected, give or take ten
    assert all(99 <= jump <= 401 for jump in jumps)


def test_a_crash_falls_evenly_recovers_and_comes_again() -> None:
    settings = changed(
        crash_ledgers=80, crash_bps=Decimal(2_500), crash_fall_ledgers=10, crash_recovery_ledgers=20
    )
    path = walked(prices_of(settings, Random(1)), 170)
    before, after_one, bottom = path[8], path[9], path[18]
    assert (before, after_one, bottom) == (Decimal(2), Decimal("1.95"), Decimal("1.5"))  # 2.5 % a ledger
    assert path[28] == Decimal("1.75")  # half of the recovery
    assert path[39] == path[80] == 2
    assert path[80 + 18] == Decimal("1.5")


@pytest.mark.parametrize("market", ["calm", "volatile", "trending", "crash", "thin", "hostile"])
def test_the_same_generator_gives_the_same_path_and_another_one_another(market: str) -> None:
    settings = market_settings(market).price
    paths = [walked(prices_of(settings, Random(seed)), 200) for seed in (1, 1, 2)]
    assert paths[0] == paths[1] != paths[2]
    assert all(price > 0 for price in paths[0])


def test_settings_that_contradict_each_other_are_refused() -> None:
    for wrong in (
        {"jump_bps_min": 5, "jump_bps_max": 4},
        {"crash_ledgers": 10},
        {"crash_ledgers": 10, "crash_fall_ledgers": 8, "crash_recovery_ledgers": 8},
    ):
        with pytest.raises(ValidationError):
            changed(**wrong)
