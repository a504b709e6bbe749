"""The whole engine: when it quotes, when it does not, and that it says why."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest

from neo_engine.domain.amm import Pool
from neo_engine.domain.assets import Side
from neo_engine.domain.market import DataFault, MarketSnapshot, MarketTrade
from neo_engine.domain.records import Accounts
from neo_engine.strategy.engine import evaluate, initial_state
from tests.unit.strategy_fixture import BALANCED, configured, holding, market, names, pool, run

READY = configured(strategy__warmup_ticks=0)
SOUND = market("1.9990", "2.0010")


def test_a_sound_market_is_quoted_on_both_sides_inside_the_touch() -> None:
    result = run([SOUND], READY)[0]
    assert [quote.slot for quote in result.quotes] == ["bid-1", "ask-1"]
    assert result.gates == ()
    bid, ask = result.quotes
    assert Decimal("1.9990") < bid.price < Decimal("2.0") < ask.price < Decimal("2.0010")
    assert (bid.side, ask.side, bid.expiration) == (Side.BUY, Side.SELL, None)


@pytest.mark.parametrize("fault", list(DataFault))
def test_every_fault_of_the_data_closes_both_sides_under_its_own_name(fault: DataFault) -> None:
    result = run([market("1.9990", "2.0010", faults=(fault,))], READY)[0]
    assert names(result.gates) == {(fault.value, "both")}
    assert result.quotes == ()
    assert result.pricing.anchor is None
    assert result.state == initial_state(READY)


def test_all_faults_of_a_snapshot_are_named() -> None:
    result = run([market("1", "2", faults=(DataFault.STALE, DataFault.GAP))], READY)[0]
    assert names(result.gates) == {("StaleData", "both"), ("Gap", "both")}


@pytest.mark.parametrize(
    ("snapshot", "name"),
    [
        (market(None, "2.0"), "EmptySide"),
        (market("2.0", None), "EmptySide"),
        (market(None, None), "EmptySide"),
        (market("2.0", "2.0"), "CrossedBook"),
        (market("2.1", "2.0"), "CrossedBook"),
        (market("NaN", "2.0", mid=Decimal(2)), "BadNumber"),
        (market("2.0", "Infinity"), "BadNumber"),
        (market("2.0", "2.1", mid=Decimal("sNaN")), "BadNumber"),
        (market("-1", "2.1"), "BadNumber"),
        (market("0", "2.1"), "BadNumber"),
        (market("2.0", "2.1", mid=Decimal(3)), "BadNumber"),
        (market("2.0", "2.001", the_pool=pool(5, "NaN")), "BadNumber"),
        (market("2.0", "2.001", the_pool=pool(5, "10", fee=100_000)), "BadNumber"),
    ],
)
def test_data_is_checked_even_when_the_snapshot_claims_to_be_sound(
    snapshot: MarketSnapshot, name: str
) -> None:
    result = run([snapshot], READY)[0]
    assert names(result.gates) == {(name, "both")}
    assert (result.quotes, result.pricing.anchor) == ((), None)


def test_an_empty_side_invents_no_mid_and_keeps_what_was_known() -> None:
    known, blind, after = run(
        [SOUND, market("1.9990", None, 2), market("1.9990", "2.0010", 3)],
        READY,
    )
    assert blind.state == known.state
    assert blind.pricing.anchor is None
    assert after.state.volatility.mids == 2


def test_warm_up_counts_believed_mids_only() -> None:
    config = configured(strategy__warmup_ticks=3)
    snapshots = [
        SOUND,
        market(None, "2.0010", 2),
        market("1.9990", "2.0010", 3),
        market("1.9990", "2.0010", 4),
    ]
    results = run(snapshots, config)
    assert [names(result.gates) for result in results] == [
        {("Warmup", "both")},
        {("EmptySide", "both")},
        {("Warmup", "both")},
        set(),
    ]
    # A tick that does not quote is explained all the same.
    assert results[0].pricing.anchor == 2
    assert results[0].pricing.half_spread_bps is not None


def test_a_pool_outside_its_band_closes_the_gate_only_after_the_allowed_ticks() -> None:
    config = configured(strategy__warmup_ticks=0, strategy__pool_band_ticks=3)
    astray, back = pool(1_000_000, "2010000"), pool(1_000_000, "2004000")
    pools: list[Pool] = [astray, astray, astray, astray, back, astray]
    results = run(
        [market("1.9990", "2.0010", index, the_pool=one) for index, one in enumerate(pools, 1)], config
    )
    closed = [("AnchorDivergence", "both") in names(result.gates) for result in results]
    assert closed == [False, False, False, True, False, False]
    assert results[3].quotes == ()
    assert results[3].pricing.divergence_bps == 50


def test_a_pool_away_from_the_mid_within_its_band_closes_nothing() -> None:
    # 25 bps with a fee of 30: normal in the recordings.
    snapshots = [
        market("1.9990", "2.0010", index, the_pool=pool(1_000_000, "2005000")) for index in range(1, 40)
    ]
    results = run(snapshots, READY)
    assert all(result.gates == () for result in results)
    assert {result.pricing.anchor_source for result in results} == {"clob"}


def test_a_book_too_wide_has_no_price_and_teaches_nothing() -> None:
    wide, narrow = run([market("1.5", "2.5"), market("1.9990", "2.0010", 2)], READY)
    assert names(wide.gates) == {("AnchorDivergence", "both")}
    assert wide.state.volatility.mids == 0
    assert narrow.gates == ()


@pytest.mark.parametrize(
    ("accounts", "closed", "slots"),
    [
        (holding("135", "100"), {("Inventory", "bid")}, ["ask-1"]),
        (holding("134.999999", "100"), set(), ["bid-1", "ask-1"]),
        (holding("50", "360"), {("Inventory", "ask")}, ["bid-1"]),
        (holding("50", "359.9"), set(), ["bid-1", "ask-1"]),
        (holding("140", "390"), {("Inventory", "bid"), ("Inventory", "ask")}, []),
    ],
)
def test_near_a_limit_only_the_reducing_side_quotes(
    accounts: Accounts, closed: set[tuple[str, str]], slots: list[str]
) -> None:
    config = configured(
        strategy__warmup_ticks=0,
        inventory__soft_limit_share="0.9",
        risk__max_xrp_exposure="150",
        risk__max_rlusd_exposure="400",
    )
    result = run([SOUND], config, accounts)[0]
    assert names(result.gates) == closed
    assert [quote.slot for quote in result.quotes] == slots


def test_a_bid_that_would_cross_is_moved_out_and_never_dropped() -> None:
    # The pool informs the anchor fully and lies above the ask: the bid would take the ask.
    config = configured(
        strategy__warmup_ticks=0,
        strategy__clob_switch_threshold_bps="1000",
        strategy__anchor_max_divergence_bps="100",
        strategy__pool_weight="1",
        strategy__touch_margin_bps="1",
    )
    result = run([market("1.9999", "2.0001", the_pool=pool(1_000_000, "2010000"))], config)[0]
    bid, ask = result.quotes
    assert bid.price <= Decimal("2.0001") * Decimal("0.9999")
    assert bid.price > Decimal("1.9998")
    assert ask.price > Decimal("2.0001")
    assert [name for name, _ in result.pricing.factors if name.startswith("TouchClamp")] == ["TouchClamp bid"]


def test_an_ask_stays_above_what_the_pool_pays() -> None:
    # Pool at 2.03: it pays 2.02391, far above the book; an ask below that would be taken by nobody but it.
    result = run([market("1.9990", "2.0010", the_pool=pool(1_000_000, "2030000"))], READY)[0]
    ask = next(quote for quote in result.quotes if quote.side is Side.SELL)
    assert ask.price > Decimal("2.02391")
    assert any(name == "TouchClamp ask" for name, _ in result.pricing.factors)


def test_a_ladder_steps_away_and_scales_its_sizes() -> None:
    config = configured(
        strategy__warmup_ticks=0,
        strategy__ladder_levels=3,
        strategy__ladder_step_bps="10",
        strategy__ladder_size_factor="0.5",
        order_size__base_size_rlusd="16",
        order_size__min_notional_rlusd="2",
    )
    quotes = run([SOUND], config)[0].quotes
    assert [quote.slot for quote in quotes] == ["bid-1", "bid-2", "bid-3", "ask-1", "ask-2", "ask-3"]
    bids, asks = quotes[:3], quotes[3:]
    for near, far in pairwise(bids):
        assert abs((near.price - far.price) / near.price * 10_000 - 10) < Decimal("0.1")
    for near, far in pairwise(asks):
        assert abs((far.price - near.price) / near.price * 10_000 - 10) < Decimal("0.1")
    for side in (bids, asks):
        for quote, size in zip(side, (16, 8, 4), strict=True):
            assert abs(quote.quote / size - 1) < Decimal("0.001")


def test_a_level_below_the_least_notional_is_dropped_and_named_and_the_others_stand() -> None:
    config = configured(
        strategy__warmup_ticks=0,
        strategy__ladder_levels=3,
        strategy__ladder_size_factor="0.5",
        order_size__base_size_rlusd="8",
        order_size__min_notional_rlusd="4",
    )
    result = run([SOUND], config)[0]
    assert [quote.slot for quote in result.quotes] == ["bid-1", "bid-2", "ask-1", "ask-2"]
    assert names(result.gates) == {("MinNotional", "bid"), ("MinNotional", "ask")}
    assert "bid-3" in result.gates[0].detail


def test_an_asset_so_dear_that_a_drop_is_too_much_is_named_too() -> None:
    # At 4,000,000 RLUSD per XRP a drop is worth 4: three of them make the most of 15 RLUSD.
    result = run([market("3999000", "4001000")], READY)[0]
    assert [quote.base_drops for quote in result.quotes] == [3, 3]
    assert names(result.gates) == set()
    dear = run([market("8999000000", "9001000000")], READY)[0]
    assert names(dear.gates) == {("MinNotional", "bid"), ("MinNotional", "ask")}


def test_an_asset_so_cheap_that_the_order_exceeds_all_xrp_is_a_bad_number() -> None:
    result = run([market("1.9990E-14", "2.0010E-14")], READY)[0]
    assert names(result.gates) == {("BadNumber", "bid"), ("BadNumber", "ask")}
    assert result.quotes == ()


def test_a_skew_beyond_the_price_itself_is_refused_not_quoted() -> None:
    config = configured(strategy__warmup_ticks=0, strategy__skew_bps="10000")
    result = run([SOUND], config, holding("100", "0"))[0]
    assert names(result.gates) == {("BadNumber", "bid")}
    assert [quote.slot for quote in result.quotes] == ["ask-1"]


def glft_market(count: int) -> list[MarketSnapshot]:
    trades = (MarketTrade(taker_side=Side.BUY, price=Decimal("2.0010"), base_drops=10_000_000),)
    return [market("1.9990", "2.0010", index, trades=trades) for index in range(1, count + 1)]


def test_the_glft_model_warms_up_on_everybodys_trades_and_then_quotes() -> None:
    config = configured(
        strategy__model="glft", strategy__warmup_ticks=2, strategy__glft__intensity_min_trades=30
    )
    results = run(glft_market(40), config)
    # The trades of the first ledger have no mid before them, so the 30th counted is in ledger 31.
    quoting = [bool(result.quotes) for result in results]
    assert quoting == [False] * 30 + [True] * 10
    assert names(results[10].gates) == {("Warmup", "both")}
    assert results[10].pricing.half_spread_bps is None
    assert dict(results[-1].pricing.factors)["intensity_k"] == Decimal("0.2")  # every trade 5 bps deep


def test_the_glft_model_leans_against_its_inventory() -> None:
    config = configured(strategy__model="glft", strategy__warmup_ticks=2)
    moving = [
        market(
            Decimal("1.9990") + Decimal(index % 2) / 1000,
            Decimal("2.0010") + Decimal(index % 2) / 1000,
            index,
            trades=(MarketTrade(taker_side=Side.BUY, price=Decimal("2.002"), base_drops=10_000_000),),
        )
        for index in range(1, 60)
    ]
    short, even, long = (
        run(moving, config, accounts)[-1].pricing.reservation
        for accounts in (holding("50", "300"), holding("100", "200"), holding("130", "140"))
    )
    assert short is not None
    assert even is not None
    assert long is not None
    assert long < even < short


def test_a_ledger_after_a_gap_adds_no_trades_to_the_intensity() -> None:
    config = configured(strategy__model="glft", strategy__warmup_ticks=0)
    first, second = glft_market(1)[0], market("1.9990", "2.0010", 5, trades=glft_market(1)[0].trades)
    assert run([first, second], config)[-1].state.intensity.current.ledgers == 0


def test_evaluating_twice_gives_the_same_to_the_last_digit() -> None:
    state = run([SOUND, market("1.9991", "2.0012", 2)], READY)[-1].state
    snapshot = market("1.9992", "2.0008", 3, the_pool=pool(1_000_000, "2000300"))
    first = evaluate(state, snapshot, BALANCED, READY)
    second = evaluate(state, snapshot, BALANCED, READY)
    assert repr(first) == repr(second)
