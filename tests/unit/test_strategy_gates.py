"""Viability, ToxicFlow and NoEdgeFlat: what closes which side, at and on both sides of every threshold."""

from __future__ import annotations

from decimal import Decimal

import pytest

from neo_engine.domain.assets import Side
from neo_engine.domain.market import MarketTrade
from neo_engine.strategy.gates import edge_gates, toxic_gates, viability_gates
from neo_engine.strategy.spread import cost_terms, floor_bps
from neo_engine.strategy.toxicity import Flow
from tests.unit.strategy_fixture import configured, holding, market, names, pool, run

D = Decimal
CONFIG = configured(
    strategy__toxic_close_share="0.95",
    strategy__min_edge_bps="0.5",
    strategy__edge_flat_share="0.2",
    strategy__markout_ticks=3,
).strategy


def flow(*, share: str | None = None, buys: bool = True, markout: str | None = None) -> Flow:
    return Flow(
        trades=40,
        share=None if share is None else D(share),
        buys=buys,
        markout_bps=None if markout is None else D(markout),
    )


# Viability


@pytest.mark.parametrize(
    ("floor", "fee", "closes"),
    [("30", 300, False), ("30.001", 300, True), ("0.1", 0, True), ("100", 1000, False)],
)
def test_the_pools_fee_is_the_ceiling_of_the_narrowest_half_spread(
    floor: str, fee: int, closes: bool
) -> None:
    gates = viability_gates(D(floor), pool(1_000_000, "2000000", fee=fee))
    assert names(gates) == ({("Viability", "both")} if closes else set())


def test_without_a_pool_or_with_an_empty_one_there_is_no_ceiling() -> None:
    assert viability_gates(D(9999), None) == ()
    assert viability_gates(D(9999), pool(0, "0", fee=0)) == ()


@pytest.mark.parametrize(
    ("changes", "floor"),
    [
        ({"base_offset_bps": "3", "half_spread_min_bps": "1.5"}, "4"),
        ({"base_offset_bps": "3", "half_spread_min_bps": "7"}, "7"),
        ({"base_offset_bps": "3", "spread_additive_max_bps": "0.25"}, "3.25"),
        ({"base_offset_bps": "300", "half_spread_max_bps": "60"}, "60"),
        ({"model": "glft", "base_offset_bps": "300", "glft__half_spread_min_bps": "2"}, "2"),
    ],
)
def test_the_floor_is_what_configuration_and_costs_leave(changes: dict[str, object], floor: str) -> None:
    strategy = configured(**{f"strategy__{key}": value for key, value in changes.items()}).strategy
    # 1000 drops at 2 RLUSD are 1 bps of 20 RLUSD
    terms = cost_terms(D(2), 1000, 1_000_000_000, configured(order_size__base_size_rlusd="20").order_size)
    assert floor_bps(terms, strategy) == D(floor)


@pytest.mark.parametrize("model", ["offset", "glft"])
def test_a_market_whose_pool_is_cheaper_is_not_quoted_and_one_that_turns_dearer_is(model: str) -> None:
    config = configured(
        strategy__model=model,
        strategy__warmup_ticks=0,
        strategy__glft__intensity_min_trades=1,
        strategy__glft__half_spread_min_bps="2",
    )
    trade = (MarketTrade(taker_side=Side.BUY, price=D("2.001"), base_drops=5),)
    cheap, dear = (pool(1_000_000, "2000000", fee=fee) for fee in (19, 31))
    snapshots = [market("1.999", "2.001", n, trades=trade, the_pool=cheap) for n in (1, 2)]
    *_, closed, again = run([*snapshots, market("1.999", "2.001", 3, the_pool=dear)], config)
    assert (closed.quotes, names(closed.gates)) == ((), {("Viability", "both")})
    assert closed.pricing.half_spread_bps is not None
    assert len(again.quotes) == 2


# ToxicFlow


@pytest.mark.parametrize(
    ("share", "buys", "side"),
    [
        ("0.9499", True, None),
        ("0.95", True, "ask"),
        ("0.95", False, "bid"),
        ("1", True, "ask"),
        (None, True, None),
    ],
)
def test_one_sided_flow_closes_the_side_it_takes(share: str | None, buys: bool, side: str | None) -> None:
    gates = toxic_gates(flow(share=share, buys=buys), D(3), CONFIG)
    assert names(gates) == ({("ToxicFlow", side)} if side else set())


@pytest.mark.parametrize(
    ("markout", "closes"), [("3", False), ("3.0001", True), ("-9", False), (None, False)]
)
def test_takers_who_gain_more_than_the_half_spread_close_both(markout: str | None, closes: bool) -> None:
    gates = toxic_gates(flow(markout=markout), D(3), CONFIG)
    assert names(gates) == ({("ToxicFlow", "both")} if closes else set())


def test_both_sides_closed_are_told_once() -> None:
    (gate,) = toxic_gates(flow(share="1", markout="5"), D(3), CONFIG)
    assert (gate.side, gate.detail) == ("both", "takers gain 5 bps in 3 ledgers > 3 bps of half-spread")
    (gate,) = toxic_gates(flow(share="0.97"), D(3), CONFIG)
    assert gate.detail == "97 % of the flow is buying >= 95 %, 40 trades in 100 ledgers"


# NoEdgeFlat


@pytest.mark.parametrize(
    ("markout", "closes"),
    # 4 - markout - 0.1 against 0.5
    [("3.39", False), ("3.4", True), ("3.41", True), (None, False)],
)
def test_an_edge_that_is_not_above_the_least_closes(markout: str | None, closes: bool) -> None:
    gates = edge_gates(flow(markout=markout), D(4), D("0.1"), D(0), CONFIG)
    assert names(gates) == ({("NoEdgeFlat", "both")} if closes else set())


@pytest.mark.parametrize(
    ("imbalance", "side"),
    [("0", "both"), ("0.1999", "both"), ("0.2", "bid"), ("1", "bid"), ("-0.1999", "both"), ("-0.2", "ask")],
)
def test_with_an_inventory_only_the_side_that_adds_closes(imbalance: str, side: str) -> None:
    (gate,) = edge_gates(flow(markout="9"), D(4), D("0.1"), D(imbalance), CONFIG)
    assert (gate.name, gate.side) == ("NoEdgeFlat", side)


def test_an_even_inventory_is_flat_whatever_the_key() -> None:
    strict = configured(strategy__edge_flat_share="0").strategy
    (gate,) = edge_gates(flow(markout="9"), D(4), D("0.1"), D(0), strict)
    assert gate.side == "both"


def test_its_numbers_are_told() -> None:
    (gate,) = edge_gates(flow(markout="3.7"), D(4), D("0.1"), D(0), CONFIG)
    assert gate.detail == "0.2 bps a fill <= 0.5: 4 of half-spread, 3.7 lost to takers, 0.1 of fee"


# through the engine


def test_informed_takers_close_the_market_and_its_end_by_time_opens_it_without_a_fill() -> None:
    config = configured(
        strategy__warmup_ticks=0, strategy__toxicity_window_ticks=24, strategy__toxicity_min_trades=10
    )
    # 2.9 bps a ledger up, with a buyer in each: 8.7 bps in three ledgers. Volatility stays below its
    # reference of 3 and toxicity is 2, so the half-spread is 6 bps.
    up = [
        market(
            D(2) * (1 + D(n) * D("0.00029")) - D("0.001"),
            D(2) * (1 + D(n) * D("0.00029")) + D("0.001"),
            n,
            trades=(MarketTrade(taker_side=Side.BUY, price=D(2), base_drops=10**6),),
        )
        for n in range(30)
    ]
    still = [market(up[-1].best_bid, up[-1].best_ask, n) for n in range(30, 60)]
    results = run([*up, *still], config)
    assert names(results[29].gates) == {("ToxicFlow", "both"), ("NoEdgeFlat", "both")}
    assert results[29].quotes == ()
    held = run([*up], config, holding("130", "60"))[-1]
    assert ("NoEdgeFlat", "bid") in names(held.gates)
    assert len(results[-1].quotes) == 2
    assert results[-1].gates == ()
