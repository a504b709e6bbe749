"""The composed spread never leaves its limits, whatever is known, configured or seen."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from neo_engine.config import Config
from neo_engine.domain.assets import Side
from neo_engine.domain.headroom import FULL, WHOLE, Headroom, quota
from neo_engine.domain.market import MarketTrade
from neo_engine.domain.number import ONE, ZERO
from neo_engine.domain.records import MULTIPLIERS
from neo_engine.strategy import chain
from neo_engine.strategy.engine import StrategyResult, evaluate, initial_state, with_fills
from tests.unit import core_values as core
from tests.unit.core_values import XRP
from tests.unit.strategy_fixture import configured, holding, market, pool


def decimals(low: str, high: str, places: int = 3) -> st.SearchStrategy[Decimal]:
    return st.decimals(min_value=low, max_value=high, places=places, allow_nan=False)


multiples = decimals("1", "100")
shares = decimals("0", "1")
percents = decimals("0", "100")
models = st.sampled_from(("offset", "glft"))


@st.composite
def configurations(draw: st.DrawFn) -> Config:
    """Every key of the chain anywhere in its range; counts are small, so that a short run reaches them."""
    low, glft_low = draw(decimals("0.001", "100")), draw(decimals("0.001", "100"))
    markout, age = draw(decimals("0", "50")), draw(st.integers(0, 5))
    changes: dict[str, Any] = {
        "model": draw(models),
        "warmup_ticks": 0,
        "glft__intensity_min_trades": 1,
        "glft__half_spread_min_bps": glft_low,
        "glft__half_spread_max_bps": glft_low + draw(decimals("0", "500")),
        "half_spread_min_bps": low,
        "half_spread_max_bps": low + draw(decimals("0", "500")),
        "base_offset_bps": draw(decimals("0", "100")),
        "volatility_factor_max": draw(multiples),
        "atr_factor_max": draw(multiples),
        "spread_factor_max": draw(multiples),
        "max_composed_spread_mult": draw(multiples),
        "spread_additive_max_bps": draw(decimals("0", "100")),
        "markout_ticks": draw(st.integers(1, 3)),
        "toxicity_window_ticks": draw(st.integers(1, 30)),
        "toxicity_min_trades": draw(st.integers(1, 3)),
        "toxicity_flow_from": draw(shares),
        "toxicity_markout_from_bps": markout,
        "toxicity_markout_full_bps": markout + draw(decimals("0.001", "50")),
        "toxicity_factor_max": draw(multiples),
        "defence_edge_bps": draw(decimals("0.001", "50")),
        "defence_factor_max": draw(multiples),
        "defence_halflife_ticks": draw(st.integers(1, 20)),
        "staleness_from_ticks": age,
        "staleness_full_ticks": age + draw(st.integers(1, 20)),
        "staleness_factor_max": draw(multiples),
        "model_min_fills": draw(st.integers(0, 3)),
        "model_gating_factor": draw(decimals("1", "2")),
        "inventory_factor_from": draw(shares),
        "inventory_factor_max": draw(multiples),
    }
    return configured(**{f"strategy__{key}": value for key, value in changes.items()})


steps = st.tuples(
    st.integers(1, 70),  # ledgers since the one before
    decimals("-0.02", "0.02", 6),  # move of the mid
    st.lists(st.tuples(st.sampled_from(Side), st.integers(1, 10**12)), max_size=3),  # trades
    st.booleans(),  # a fill of ours
    st.booleans(),  # a pool
    percents,
    st.none() | st.integers(0, 50),  # age of a reference price
)


def limits(config: Config) -> tuple[Decimal, Decimal]:
    held = config.strategy.glft if config.strategy.model == "glft" else config.strategy
    return held.half_spread_min_bps, held.half_spread_max_bps


def assert_composed(result: StrategyResult, config: Config) -> None:
    half = result.pricing.half_spread_bps
    if half is None:
        return
    low, high = limits(config)
    assert low <= half <= high
    factors = dict(result.pricing.factors)
    assert factors.keys() >= MULTIPLIERS
    assert all(factors[name] >= 1 for name in MULTIPLIERS)
    assert factors["multiplier"] == min(factors["product"], config.strategy.max_composed_spread_mult)
    assert result.pricing.reservation is not None
    assert result.pricing.reservation > 0 or config.strategy.skew_bps >= 10_000


@given(configurations(), st.lists(steps, min_size=1, max_size=8), st.integers(0, 130), st.integers(0, 350))
def test_no_history_and_no_configuration_leads_out_of_the_limits(
    config: Config, history: list[Any], xrp: int, rlusd: int
) -> None:
    state, index, mid = initial_state(config), 0, Decimal(2)
    accounts = holding(str(xrp), str(rlusd))
    for elapsed, move, trades, is_filled, has_pool, percent, age in history:
        index, mid = index + elapsed, mid * (1 + move)
        snapshot = market(
            mid * Decimal("0.9995"),
            mid * Decimal("1.0005"),
            index,
            the_pool=pool(1_000_000, "2000000") if has_pool else None,
            trades=tuple(MarketTrade(taker_side=side, price=mid, base_drops=drops) for side, drops in trades),
        )
        fill = core.fill(core.order(1, "bid-1", "2", 5 * XRP), 5 * XRP, ledger=index)
        state = with_fills(state, (fill,) if is_filled else ())
        headroom = Headroom(requests=percent, slots=WHOLE, fees=WHOLE)
        result = evaluate(state, snapshot, accounts, config, headroom=headroom, reference_age=age)
        assert_composed(result, config)
        state = result.state


@st.composite
def some_signals(draw: st.DrawFn) -> chain.Signals:
    return chain.Signals(
        toxicity=draw(multiples),
        defence=draw(multiples),
        staleness=draw(multiples),
        model=draw(multiples),
        inventory=draw(multiples),
    )


@st.composite
def bases(draw: st.DrawFn) -> chain.Base:
    low = draw(decimals("0.001", "100"))
    return chain.Base(
        half_spread_bps=draw(decimals("0", "1000")),
        volatility=draw(multiples),
        range=draw(multiples),
        min_bps=low,
        max_bps=low + draw(decimals("0", "9000")),
    )


terms = st.lists(st.tuples(st.just("some_bps"), decimals("0", "1000")), max_size=3).map(tuple)


@given(bases(), some_signals(), terms, percents, st.tuples(multiples, decimals("0", "10000")))
def test_whatever_is_composed_stays_within_its_caps(
    base: chain.Base,
    signals: chain.Signals,
    added: chain.Factors,
    percent: Decimal,
    caps: tuple[Decimal, Decimal],
) -> None:
    most, additive = caps
    config = configured(
        strategy__max_composed_spread_mult=most, strategy__spread_additive_max_bps=additive
    ).strategy
    result = chain.compose(base, signals, added, config, quota=quota(percent, 4))
    factors = dict(result.factors)
    assert 1 <= factors["multiplier"] <= most
    assert base.min_bps <= result.even_bps <= result.half_spread_bps <= base.max_bps
    assert result.half_spread_bps <= max(base.half_spread_bps * most + additive, base.min_bps)


@given(bases(), some_signals(), terms, percents, percents)
def test_more_headroom_never_gives_a_wider_spread(
    base: chain.Base, signals: chain.Signals, added: chain.Factors, one: Decimal, other: Decimal
) -> None:
    config = configured().strategy
    less, more = (
        chain.compose(base, signals, added, config, quota=quota(left, 4)).half_spread_bps
        for left in sorted((one, other))
    )
    assert more <= less


@given(models, percents, percents)
def test_nor_does_it_through_the_engine(model: str, one: Decimal, other: Decimal) -> None:
    config = configured(
        strategy__model=model, strategy__warmup_ticks=0, strategy__glft__intensity_min_trades=1
    )
    trade = (MarketTrade(taker_side=Side.BUY, price=Decimal("2.002"), base_drops=5),)
    state = evaluate(initial_state(config), market("1.999", "2.001", 1), holding("100", "200"), config).state
    halves = []
    for left in sorted((one, other)):
        headroom = replace(FULL, slots=left)
        snapshot = market("1.999", "2.001", 2, trades=trade)
        result = evaluate(state, snapshot, holding("100", "200"), config, headroom=headroom)
        assert result.pricing.half_spread_bps is not None
        halves.append(result.pricing.half_spread_bps)
    assert halves[0] >= halves[1]


@given(bases(), st.sampled_from(("toxicity", "defence", "staleness", "model", "inventory")), multiples)
def test_a_greater_factor_never_gives_a_narrower_spread(base: chain.Base, name: str, factor: Decimal) -> None:
    config = configured().strategy
    plenty = quota(WHOLE, 1)
    wider = replace(chain.CALM, **{name: factor})
    calm, wide = (
        chain.compose(base, one, (), config, quota=plenty).half_spread_bps for one in (chain.CALM, wider)
    )
    assert calm <= wide


@given(st.integers(0, 7))
def test_factors_of_one_and_a_half_compound_up_to_the_cap_and_no_further(count: int) -> None:
    # 1.5^5 = 7.59 is allowed, 1.5^6 = 11.39 is not. The first two are volatility and range, capped at 3.
    half = Decimal("1.5")
    chosen = [half] * count + [ONE] * (7 - count)
    base = chain.Base(
        half_spread_bps=Decimal(3),
        volatility=chosen[0],
        range=chosen[1],
        min_bps=Decimal(1),
        max_bps=Decimal(60),
    )
    signals = chain.Signals(
        toxicity=chosen[2],
        defence=chosen[3],
        staleness=chosen[4],
        model=chosen[5],
        inventory=chosen[6],
    )
    config = configured(strategy__spread_factor_max="3", strategy__max_composed_spread_mult="10").strategy
    result = chain.compose(base, signals, (), config, quota=quota(WHOLE, 1))
    factors = dict(result.factors)
    assert factors["product"] == half**count
    assert factors["multiplier"] == min(half**count, 10)
    assert result.half_spread_bps == 3 * factors["multiplier"]


@given(decimals("0.001", "100"), st.integers(1, 10**6))
def test_with_no_signal_every_factor_is_one(base_bps: Decimal, window: int) -> None:
    config = configured(
        strategy__warmup_ticks=0, strategy__base_offset_bps=base_bps, strategy__toxicity_window_ticks=window
    )
    result = evaluate(initial_state(config), market("1.999", "2.001"), holding("100", "200"), config)
    factors = dict(result.pricing.factors)
    assert {factors[name] for name in MULTIPLIERS} == {ONE}
    assert factors["imbalance"] == ZERO
