"""Volatility, range, intensity and the GLFT closed form against figures worked out by hand."""

from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path

import mypy.api
import pytest

from neo_engine.domain.assets import Side
from neo_engine.domain.market import MarketTrade
from neo_engine.strategy import glft, intensity, volatility
from neo_engine.strategy.intensity import BLOCKS_MAX, EffectiveIntensity, RawIntensity, Sums
from tests.unit.strategy_fixture import configured

GLFT = configured(strategy__glft__intensity_window_ticks=24, strategy__glft__intensity_min_trades=4)
MID = Decimal(2)


def watch(state: volatility.VolatilityState, *seen: tuple[int, str]) -> volatility.VolatilityState:
    for ledger_index, mid in seen:
        state = volatility.observe(state, Decimal(mid), ledger_index, atr_ticks=14)
    return state


def test_nothing_is_estimated_from_one_mid() -> None:
    state = watch(volatility.start(30), (5, "2"))
    assert (state.mids, state.volatility_bps, state.range_bps) == (1, None, None)


def test_the_half_life_halves_the_weight_of_a_return() -> None:
    # Long enough for the decay to rule: 25 bps^2 once, then nothing for three half-lives of 2 ledgers.
    state = volatility.start(2)
    state = watch(state, (1, "2"), (2, "2"), (3, "2"), (4, "2"), (5, "2"), (6, "2.001"))
    before = state.variance
    state = watch(state, *((ledger, "2.001") for ledger in range(7, 13)))
    assert before is not None
    assert state.variance is not None
    assert abs(state.variance / before - Decimal("0.125")) < Decimal("1E-24")


def test_a_return_over_a_gap_counts_as_that_many_equal_ones() -> None:
    # 5 bps over 5 ledgers: variance 25/5 and range 5/5 a ledger.
    state = watch(volatility.start(30), (1, "2"), (6, "2.001"))
    assert (state.variance, state.range_bps, state.mids) == (Decimal(5), Decimal(1), 2)


def test_a_gap_beyond_the_limit_starts_the_warm_up_again() -> None:
    known = watch(volatility.start(30), (1, "2"), (2, "2.001"))
    inside = watch(known, (2 + volatility.GAP_LEDGERS_MAX, "2.002"))
    beyond = watch(known, (3 + volatility.GAP_LEDGERS_MAX, "2.002"))
    assert inside.mids == 3
    assert (beyond.mids, beyond.variance, beyond.range_bps) == (1, None, None)


def test_an_old_or_repeated_ledger_teaches_nothing() -> None:
    known = watch(volatility.start(30), (1, "2"), (2, "2.001"))
    assert watch(known, (2, "9")) == known
    assert watch(known, (1, "9")) == known


def test_the_range_is_wilders_average() -> None:
    # Moves of 10, 0, 0 bps with a period of 2: mean of the first two, then 1/2 of the way each.
    state = volatility.start(30)
    for ledger_index, mid in ((1, "2"), (2, "2.002"), (3, "2.002"), (4, "2.002")):
        state = volatility.observe(state, Decimal(mid), ledger_index, atr_ticks=2)
    assert state.range_bps == Decimal("2.5")


def trade(side: Side, price: str) -> MarketTrade:
    return MarketTrade(taker_side=side, price=Decimal(price), base_drops=1_000_000)


def test_depth_is_measured_from_the_mid_on_the_takers_side() -> None:
    sums = intensity.ledger_sums(
        MID,
        (
            trade(Side.BUY, "2.001"),  # 5 bps deep
            trade(Side.SELL, "1.9992"),  # 4 bps deep
            trade(Side.BUY, "2.02"),  # 100 bps: cut at 20
            trade(Side.BUY, "1.999"),  # short of the mid: left out
            trade(Side.SELL, "NaN"),
            trade(Side.SELL, "-1"),
        ),
    )
    assert sums == Sums(ledgers=1, trades=3, inside=2, depth_bps=Decimal(29))


def test_the_estimate_is_the_maximum_likelihood_of_a_cut_exponential() -> None:
    # 2 uncut trades over 29 bps of depth; 3 trades in one ledger, two sides.
    assert intensity.estimate(Sums(ledgers=1, trades=3, inside=2, depth_bps=Decimal(29))) == RawIntensity(
        raw_a=Decimal("1.5"), raw_k=Decimal(2) / Decimal(29), trades=3
    )


@pytest.mark.parametrize(
    ("sums", "raw_k", "k"),
    [
        (Sums(ledgers=1, trades=3, inside=3, depth_bps=Decimal(0)), None, intensity.K_MAX),
        (Sums(ledgers=1, trades=3, inside=3, depth_bps=Decimal("0.1")), Decimal(30), intensity.K_MAX),
        (Sums(ledgers=1, trades=3, inside=3, depth_bps=Decimal("0.3")), Decimal(10), intensity.K_MAX),
        (Sums(ledgers=1, trades=3, inside=3, depth_bps=Decimal("0.4")), Decimal("7.5"), Decimal("7.5")),
        (Sums(ledgers=1, trades=3, inside=0, depth_bps=Decimal(60)), Decimal(0), intensity.K_MIN),
    ],
)
def test_the_raw_k_is_what_the_trades_say_and_the_effective_one_stays_within_its_limits(
    sums: Sums, raw_k: Decimal | None, k: Decimal
) -> None:
    raw = intensity.estimate(sums)
    assert raw.raw_k == raw_k
    assert intensity.effective(raw) == EffectiveIntensity(a=raw.raw_a, k=k)
    stored = dict(intensity.notes(raw))
    assert (stored.get("intensity_k_raw"), stored["intensity_k"]) == (raw_k, k)


@pytest.mark.parametrize(("trades", "enough"), [(3, False), (4, True)])
def test_whether_the_data_suffice_is_asked_of_the_raw_estimate(trades: int, enough: bool) -> None:
    raw = RawIntensity(raw_a=Decimal(1), raw_k=Decimal(1), trades=trades)
    assert intensity.is_enough(raw, GLFT.strategy.glft) is enough


MIXED = """
from decimal import Decimal
from neo_engine.config_sections import GlftConfig
from neo_engine.strategy import glft, intensity

def wrong(raw: intensity.RawIntensity, used: intensity.EffectiveIntensity, config: GlftConfig) -> None:
    glft.solve(raw, Decimal(1))
    intensity.is_enough(used, config)
    used.raw_k
    raw.k

def right(raw: intensity.RawIntensity, config: GlftConfig) -> None:
    intensity.is_enough(raw, config)
    glft.solve(intensity.effective(raw), Decimal(1))
"""


def test_the_type_checker_refuses_one_intensity_for_the_other(tmp_path: Path) -> None:
    source = tmp_path / "mixed.py"
    source.write_text(MIXED, encoding="utf-8")
    out, _, status = mypy.api.run(["--strict", "--no-error-summary", str(source)])
    refused = {int(line.split(":")[1]) for line in out.splitlines() if ": error:" in line}
    assert (status, refused) == (1, {7, 8, 9, 10}), out


def watch_trades(count: int, *, every: int, state: intensity.IntensityState) -> intensity.IntensityState:
    for number in range(1, count + 1):
        trades = (trade(Side.BUY, "2.001"),) if number % every == 0 else ()
        state = intensity.observe(state, MID, trades, GLFT.strategy.glft)
    return state


def test_the_first_estimate_comes_with_the_least_number_of_trades() -> None:
    assert watch_trades(3, every=1, state=intensity.START).raw is None
    assert watch_trades(4, every=1, state=intensity.START).raw is not None


def test_a_quiet_market_is_judged_over_a_longer_time_than_the_window() -> None:
    # One trade in 40 ledgers: the window of 24 never holds four of them, 160 ledgers do.
    assert watch_trades(159, every=40, state=intensity.START).raw is None
    state = watch_trades(160, every=40, state=intensity.START)
    # Blocks of two ledgers: the 38 ledgers before the first trade's block are not needed any more.
    assert state.raw == RawIntensity(raw_a=Decimal(4) / 244, raw_k=Decimal("0.2"), trades=4)


def test_old_blocks_leave_the_window_of_a_busy_market() -> None:
    state = watch_trades(500, every=1, state=intensity.START)
    assert intensity.total(state).ledgers == 24
    assert state.raw == RawIntensity(raw_a=Decimal("0.5"), raw_k=Decimal("0.2"), trades=24)


def test_the_memory_of_a_dead_market_stays_bounded() -> None:
    state = watch_trades(1000, every=10_000, state=intensity.START)
    assert len(state.blocks) <= BLOCKS_MAX
    assert intensity.total(state).ledgers == 1000


@pytest.mark.parametrize(
    ("a", "k", "gamma"),
    [("0.4", "0.2", "0.00075"), ("1.5", "3", "0.05"), ("0.01", "0.001", "2"), ("0.3", "0.15", "1E-6")],
)
def test_the_closed_form_agrees_with_the_paper(a: str, k: str, gamma: str) -> None:
    curve = glft.solve(EffectiveIntensity(a=Decimal(a), k=Decimal(k)), Decimal(gamma))
    fa, fk, fg = float(a), float(k), float(gamma)
    assert math.isclose(float(curve.half_spread_bps), math.log1p(fg / fk) / fg, rel_tol=1e-9)
    width = math.sqrt(fg / (2 * fk * fa) * math.exp((1 + fk / fg) * math.log1p(fg / fk)))
    assert math.isclose(float(curve.width_per_sigma), width, rel_tol=1e-9)


def test_a_vanishing_risk_aversion_gives_the_limits_of_the_formulas() -> None:
    # ln(1 + g/k)/g -> 1/k and (1 + g/k)^(1 + k/g) -> e.
    curve = glft.solve(EffectiveIntensity(a=Decimal("0.4"), k=Decimal("0.2")), Decimal("1E-15"))
    assert curve.half_spread_bps == 5
    assert math.isclose(float(curve.width_per_sigma), math.sqrt(1e-15 / 0.16 * math.e), rel_tol=1e-12)
