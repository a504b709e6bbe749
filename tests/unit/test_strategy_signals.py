"""What is held against quoting near: flow, takers, own bad fills, age; each threshold from both sides."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from neo_engine.domain.assets import Side
from neo_engine.domain.fills import Fill
from neo_engine.domain.market import MarketSnapshot, MarketTrade
from neo_engine.domain.number import ONE, ZERO
from neo_engine.strategy import chain, defence, signals, staleness, toxicity
from neo_engine.strategy.engine import StrategyResult, StrategyState, evaluate, initial_state, with_fills
from neo_engine.strategy.volatility import GAP_LEDGERS_MAX
from tests.unit import core_values as core
from tests.unit.core_values import XRP
from tests.unit.strategy_fixture import BALANCED, configured, holding, market, pool, run

D = Decimal
CONFIG = configured(
    strategy__warmup_ticks=0,
    strategy__base_offset_bps="3",
    strategy__markout_ticks=3,
    strategy__toxicity_window_ticks=24,
    strategy__toxicity_min_trades=4,
    strategy__toxicity_flow_from="0.8",
    strategy__toxicity_markout_from_bps="3",
    strategy__toxicity_markout_full_bps="8",
    strategy__toxicity_factor_max="2",
    strategy__defence_edge_bps="10",
    strategy__defence_factor_max="2",
    strategy__defence_halflife_ticks=4,
    strategy__staleness_from_ticks=10,
    strategy__staleness_full_ticks=30,
    strategy__staleness_factor_max="1.5",
    strategy__inventory_factor_from="0.7",
    strategy__inventory_factor_max="1.5",
)
STRATEGY = CONFIG.strategy
MID = D(2)


def taken(*drops: int) -> tuple[MarketTrade, ...]:
    """Trades of so many drops: bought where positive, sold where negative."""
    return tuple(
        MarketTrade(taker_side=Side.BUY if one > 0 else Side.SELL, price=D(2), base_drops=abs(one))
        for one in drops
    )


def watched(*ledgers: tuple[int, str, tuple[MarketTrade, ...]]) -> toxicity.FlowState:
    state = toxicity.START
    for index, mid, trades in ledgers:
        state = toxicity.observe(state, index, D(mid), trades, STRATEGY)
    return state


def toxic(flow: toxicity.Flow) -> Decimal:
    return toxicity.factor(flow, flow_from=D("0.8"), markout=(D(3), D(8)), most=D(2))


def flow(share: str | None = None, markout: str | None = None) -> toxicity.Flow:
    return toxicity.Flow(
        trades=9,
        share=None if share is None else D(share),
        buys=True,
        markout_bps=None if markout is None else D(markout),
    )


# flow


def test_the_imbalance_is_the_net_share_of_the_volume_and_not_of_the_number() -> None:
    seen = toxicity.measured(watched((1, "2", taken(7, 1)), (2, "2", taken(-1, -1))), STRATEGY)
    assert (seen.trades, seen.share, seen.buys) == (4, D("0.6"), True)  # |8 - 2| / 10
    sold = toxicity.measured(watched((1, "2", taken(1, 1, -1, -7))), STRATEGY)
    assert (sold.share, sold.buys) == (D("0.6"), False)


@pytest.mark.parametrize(("trades", "known"), [(3, False), (4, True)])
def test_fewer_trades_than_needed_say_nothing(trades: int, known: bool) -> None:
    seen = toxicity.measured(watched((1, "2", taken(*[5] * trades))), STRATEGY)
    assert (seen.share is not None) is known
    assert toxic(seen) == (2 if known else 1)


def test_what_is_no_trade_is_left_out() -> None:
    absurd = (*taken(10**18), MarketTrade(taker_side=Side.BUY, price=D("NaN"), base_drops=5))
    nothing = MarketTrade(taker_side=Side.BUY, price=D(2), base_drops=0)
    assert toxicity.measured(watched((1, "2", (*absurd, nothing))), STRATEGY).trades == 0


def test_the_window_is_forgotten_by_time_alone() -> None:
    # 24 ledgers in 12 blocks of two: block 50 (ledgers 100, 101) leaves with block 62 (ledger 124).
    full = watched((100, "2", taken(5, 5, 5, 5)))
    kept = toxicity.observe(full, 123, MID, (), STRATEGY)
    assert toxicity.measured(kept, STRATEGY).share == 1
    gone = toxicity.measured(toxicity.observe(kept, 124, MID, (), STRATEGY), STRATEGY)
    assert (gone.trades, gone.share) == (0, None)


def test_a_markout_is_forgotten_a_window_after_it_was_judged() -> None:
    judged = toxicity.observe(watched((100, "2", taken(5, 5, 5, 5))), 103, MID, (), STRATEGY)  # block 51
    kept = toxicity.observe(judged, 125, MID, (), STRATEGY)
    assert toxicity.measured(kept, STRATEGY).markout_bps == 0
    gone = toxicity.observe(kept, 126, MID, (), STRATEGY)
    assert toxicity.measured(gone, STRATEGY).markout_bps is None


def test_the_memory_of_the_flow_is_bounded_and_its_sums_are_those_of_the_window() -> None:
    state = toxicity.START
    for index in range(1, 400):
        state = toxicity.observe(state, index, MID, taken(index), STRATEGY)
        assert len(state.blocks) < toxicity.BLOCKS
        assert len(state.waiting) <= STRATEGY.markout_ticks
    # Ledgers 376 to 399 are the last twelve blocks.
    seen = toxicity.measured(state, STRATEGY)
    assert seen.trades == 24
    assert state.complete.bought + state.current.bought == sum(range(376, 400))


def test_a_window_shorter_than_its_blocks_is_that_short() -> None:
    short = configured(strategy__toxicity_window_ticks=2, strategy__toxicity_min_trades=1).strategy
    state = toxicity.observe(toxicity.START, 10, MID, taken(5), short)
    assert toxicity.measured(toxicity.observe(state, 11, MID, (), short), short).trades == 1
    assert toxicity.measured(toxicity.observe(state, 12, MID, (), short), short).trades == 0


# takers


def test_the_markout_is_the_mean_move_with_the_taker_from_the_mid_he_left() -> None:
    # Three buy at a mid of 2 and one sells; 3 ledgers later the mid is 2.002, 10 bps up: (30 - 10) / 4.
    state = watched((1, "2", taken(5, 5, 5, -5)), (2, "2.1", ()), (3, "1.9", ()))
    assert toxicity.measured(state, STRATEGY).markout_bps is None
    state = toxicity.observe(state, 4, D("2.002"), (), STRATEGY)
    assert toxicity.measured(state, STRATEGY).markout_bps == 5


def test_after_a_gap_the_next_believed_mid_judges_unless_it_comes_far_too_late() -> None:
    config = configured(strategy__toxicity_window_ticks=1000, strategy__toxicity_min_trades=1).strategy
    state = toxicity.observe(toxicity.START, 1, MID, taken(5), config)
    last = 1 + 3 + GAP_LEDGERS_MAX
    for index, judged in ((last, True), (last + 1, False)):
        after = toxicity.observe(state, index, D("2.002"), (), config)
        assert (toxicity.measured(after, config).markout_bps is not None) is judged
        assert after.waiting == ()


@pytest.mark.parametrize(
    ("share", "markout", "factor"),
    [
        ("0.8", "3", "1"),
        ("0.85", "3", "1.25"),
        ("1", None, "2"),
        (None, "4", "1.2"),
        ("0.8", "8", "2"),
        ("0.8", "80", "2"),
        ("0.9", "4", "1.5"),  # the greater one, not 1.5 x 1.2
        ("0", "-50", "1"),
        (None, None, "1"),
    ],
)
def test_the_toxicity_factor_takes_the_greater_of_both(
    share: str | None, markout: str | None, factor: str
) -> None:
    assert toxic(flow(share, markout)) == D(factor)


def test_others_trades_reach_the_spread_and_their_numbers_are_stored() -> None:
    snapshots = [market("1.999", "2.001", index, trades=taken(9, 9, 9, -1)) for index in range(1, 3)]
    calm, uneasy = market("1.999", "2.001", 1), run(snapshots, CONFIG)[-1]
    factors = dict(uneasy.pricing.factors)
    # (54 - 2) / 56 = 0.92857, of the way from 0.8 to 1: 0.642857
    assert round(factors["toxicity"], 6) == D("1.642857")
    assert round(factors["flow_imbalance"], 6) == D("0.928571")
    base = run([calm], CONFIG)[0].pricing.half_spread_bps
    assert base is not None
    assert uneasy.pricing.half_spread_bps == base + 3 * (factors["toxicity"] - 1)


# own fills


def bought(price: str, ledger: int) -> Fill:
    made = core.fill(core.order(1, "bid-1", price, 5 * XRP), 5 * XRP, ledger=ledger)
    assert made.price == D(price)
    return made


@pytest.mark.parametrize(
    ("loss", "factor"), [("10", "1"), ("10.1", "1.01"), ("15", "1.5"), ("20", "2"), ("99", "2")]
)
def test_only_a_loss_beyond_the_threshold_widens_and_never_beyond_the_cap(loss: str, factor: str) -> None:
    assert defence.loss_factor(D(loss), D(10), D(2)) == D(factor)


@pytest.mark.parametrize(
    ("side", "mid", "excess"),
    [
        (Side.BUY, "1.997", "0.5"),  # 15 bps below what was paid
        (Side.BUY, "2.003", "0"),
        (Side.SELL, "2.003", "0.5"),
        (Side.SELL, "1.997", "0"),
    ],
)
def test_a_fill_is_judged_by_the_mid_so_many_ledgers_later(side: Side, mid: str, excess: str) -> None:
    state = defence.heard(defence.start(4), (replace(bought("2", 10), side=side),))
    early = defence.observe(state, 12, D(mid), elapsed=1, config=STRATEGY)
    assert (early.excess, early.judged) == (0, 0)
    judged = defence.observe(early, 13, D(mid), elapsed=1, config=STRATEGY)
    assert (judged.excess, judged.judged, judged.waiting) == (D(excess), 1, ())


def test_what_a_bad_fill_adds_halves_with_time_and_ends_without_another_fill() -> None:
    state = defence.observe(
        defence.heard(defence.start(4), (bought("2", 10),)), 13, D("1.9"), elapsed=1, config=STRATEGY
    )
    assert state.excess == 1
    for index in range(14, 18):
        state = defence.observe(state, index, D("1.9"), elapsed=1, config=STRATEGY)
    assert round(state.excess, 20) == D("0.5")
    at_once = defence.observe(state, 21, D("1.9"), elapsed=4, config=STRATEGY)  # over a gap alike
    assert round(at_once.excess, 20) == D("0.25")
    # 2^-5 = 0.031 is left after 20 ledgers, 2^-6 = 0.016 < 0.02 is not left after 24.
    for index in range(18, 34):
        state = defence.observe(state, index, D("1.9"), elapsed=1, config=STRATEGY)
    assert state.excess > defence.NEGLIGIBLE
    for index in range(34, 38):
        state = defence.observe(state, index, D("1.9"), elapsed=1, config=STRATEGY)
    assert state.excess == 0


def test_a_long_silence_ends_the_defence_and_fills_too_old_are_not_judged() -> None:
    wide = replace(defence.start(4), excess=ONE)
    assert defence.observe(wide, 100, MID, elapsed=GAP_LEDGERS_MAX, config=STRATEGY).excess == 0
    waiting = defence.heard(defence.start(4), (bought("2", 10),))
    late = defence.observe(waiting, 14 + GAP_LEDGERS_MAX, D(1), elapsed=1, config=STRATEGY)
    assert (late.judged, late.excess, late.waiting) == (0, 0, ())


def test_fills_that_wait_are_bounded() -> None:
    state = defence.heard(defence.start(4), [bought("2", 10)] * (defence.WAITING_MAX + 5))
    assert len(state.waiting) == defence.WAITING_MAX


def ticks(first: int, last: int, mid: str = "2") -> list[MarketSnapshot]:
    half = D("0.001")
    return [market(D(mid) - half, D(mid) + half, index) for index in range(first, last + 1)]


def go_on(state: StrategyState, snapshots: list[MarketSnapshot]) -> StrategyResult:
    for snapshot in snapshots:
        result = evaluate(state, snapshot, BALANCED, CONFIG)
        state = result.state
    return result


def test_an_own_bad_fill_reaches_the_spread_and_leaves_it_again() -> None:
    state = with_fills(go_on(initial_state(CONFIG), ticks(1, 10)).state, (bought("2.004", 10),))
    bad = go_on(state, ticks(11, 13))
    assert dict(bad.pricing.factors)["defence"] > D("1.9")  # 19.96 bps lost
    assert dict(go_on(bad.state, ticks(14, 40)).pricing.factors)["defence"] == 1


def test_the_model_factor_holds_until_enough_fills_were_judged_and_closes_nothing() -> None:
    config = configured(
        strategy__warmup_ticks=0, strategy__model_min_fills=2, strategy__model_gating_factor="1.5"
    )
    state, factors = initial_state(config), []
    for index in range(1, 9):
        state = with_fills(state, (bought("2", index),) if index < 3 else ())
        result = evaluate(state, market("1.999", "2.001", index), BALANCED, config)
        assert len(result.quotes) == 2
        factors.append(dict(result.pricing.factors)["model"])
        state = result.state
    # filled in ledgers 1 and 2, judged in 4 and 5
    assert factors == [D("1.5")] * 4 + [1] * 4


# age


@pytest.mark.parametrize(
    ("age", "factor"), [(10, "1"), (12, "1.05"), (20, "1.25"), (30, "1.5"), (900, "1.5")]
)
def test_a_signal_is_fresh_up_to_one_age_and_widens_up_to_another(age: int, factor: str) -> None:
    assert staleness.factor((("pool", age),), fresh=10, full=30, most=D("1.5")) == D(factor)


def test_the_oldest_signal_counts() -> None:
    both = (("pool", 20), ("volatility", 30))
    assert staleness.factor(both, fresh=10, full=30, most=D("1.5")) == D("1.5")
    assert staleness.factor((), fresh=10, full=30, most=D("1.5")) == 1


def test_blind_ledgers_age_what_was_learnt_and_each_seen_one_makes_up_for_one() -> None:
    state = staleness.observe(staleness.START, 100, elapsed=None, has_pool=False)
    assert staleness.ages(state, 100, None, warm=(True, True, True)) == ()
    blind = staleness.observe(state, 121, elapsed=21, has_pool=False)
    assert staleness.ages(blind, 121, None, warm=(True, True, True)) == (
        *(("volatility", 20), ("flow", 20), ("intensity", 20)),
    )
    later = blind
    for index in range(122, 132):
        later = staleness.observe(later, index, elapsed=1, has_pool=False)
    assert staleness.ages(later, 131, None, warm=(True, False, False)) == (("volatility", 10),)


def test_a_signal_that_never_warmed_up_has_no_age() -> None:
    blind = staleness.observe(staleness.START, 100, elapsed=50, has_pool=False)
    assert staleness.ages(blind, 100, None, warm=(False, False, False)) == ()


def test_after_too_long_a_gap_volatility_and_flow_are_unknown_and_not_old() -> None:
    blind = staleness.observe(staleness.START, 100, elapsed=GAP_LEDGERS_MAX + 1, has_pool=False)
    assert staleness.ages(blind, 100, None, warm=(True, True, True)) == (("intensity", GAP_LEDGERS_MAX),)


def test_a_pool_is_old_while_it_is_away_gone_after_a_while_and_off_where_there_never_was_one() -> None:
    seen = staleness.observe(staleness.START, 100, elapsed=None, has_pool=True)
    away = staleness.observe(seen, 120, elapsed=1, has_pool=False)
    assert staleness.ages(away, 120, None, warm=(True, True, True)) == (("pool", 20),)
    last = 100 + GAP_LEDGERS_MAX
    assert staleness.observe(seen, last, elapsed=1, has_pool=False).pool_ledger == 100
    assert staleness.observe(seen, last + 1, elapsed=1, has_pool=False).pool_ledger is None
    assert staleness.observe(staleness.START, 9, elapsed=1, has_pool=False).pool_ledger is None


def test_a_reference_price_is_one_more_signal_and_none_adds_nothing() -> None:
    def stale(reference_age: int | None) -> dict[str, Decimal]:
        snapshot = market("1.999", "2.001")
        result = evaluate(initial_state(CONFIG), snapshot, BALANCED, CONFIG, reference_age=reference_age)
        return dict(result.pricing.factors)

    assert stale(None)["staleness"] == 1
    assert stale(10)["staleness"] == 1
    old = stale(20)
    assert (old["staleness"], old["reference_age_ticks"]) == (D("1.25"), 20)


def test_blind_ledgers_reach_the_spread_and_seen_ones_end_it() -> None:
    known = go_on(initial_state(CONFIG), ticks(1, 5)).state
    blind = go_on(known, ticks(26, 26))
    assert dict(blind.pricing.factors)["staleness"] == D("1.25")  # 20 ledgers missing
    assert dict(blind.pricing.factors)["volatility_age_ticks"] == 20
    assert dict(go_on(blind.state, ticks(27, 36)).pricing.factors)["staleness"] == 1


def test_a_quiet_market_without_trades_is_not_an_old_one() -> None:
    the_pool = pool(1_000_000, "2000000")
    snapshots = [market("1.999", "2.001", index, the_pool=the_pool) for index in range(1, 200)]
    assert {dict(one.pricing.factors)["multiplier"] for one in run(snapshots, CONFIG)} == {1}


# inventory


@pytest.mark.parametrize(
    ("xrp", "rlusd", "factor"),
    [
        ("100", "200", "1"),
        ("85", "30", "1"),
        ("92.5", "15", "1.25"),
        ("100", "0", "1.5"),
        ("7.5", "185", "1.25"),
    ],
)
def test_a_large_imbalance_widens_up_to_its_cap(xrp: str, rlusd: str, factor: str) -> None:
    result = run([market("1.999", "2.001")], CONFIG, holding(xrp, rlusd))[0]
    assert dict(result.pricing.factors)["inventory"] == D(factor)


@pytest.mark.parametrize(("xrp", "rlusd", "reduces"), [("100", "0", "ask"), ("0", "200", "bid")])
def test_the_inventory_factor_moves_the_adding_side_and_not_the_other(
    xrp: str, rlusd: str, reduces: str
) -> None:
    off = configured(strategy__warmup_ticks=0, strategy__inventory_factor_max="1")
    on = configured(strategy__warmup_ticks=0, strategy__inventory_factor_max="2")
    far = market("1.99", "2.01")
    without, with_it = (
        {quote.slot[:3]: quote.price for quote in run([far], config, holding(xrp, rlusd))[0].quotes}
        for config in (off, on)
    )
    assert abs(with_it[reduces] / without[reduces] - 1) < D("1E-13")
    # 3.0133 bps more of half-spread on both sides, and the price moved by as much: 6 bps
    adds = {"ask": "bid", "bid": "ask"}[reduces]
    assert D("5.9") < abs(with_it[adds] / without[adds] - 1) * 10_000 < D("6.1")


# the start


def test_a_session_that_knows_nothing_has_every_factor_at_one() -> None:
    factors = signals.startup_factors(configured())
    assert set(factors.values()) == {1}
    assert signals.startup_multiplier(configured()) == 1


def test_the_start_is_multiplied_by_the_model_factor_and_capped() -> None:
    unproven = configured(strategy__model_gating_factor="1.9")
    assert signals.startup_multiplier(unproven) == D("1.9")
    capped = configured(strategy__model_gating_factor="1.9", strategy__max_composed_spread_mult="1.2")
    assert signals.startup_multiplier(capped) == D("1.2")
    proven = configured(strategy__model_gating_factor="1.9", strategy__model_min_fills=0)
    assert signals.startup_multiplier(proven) == 1


def test_every_factor_of_the_chain_has_its_key() -> None:
    factors = set(signals.startup_factors(configured())) - {chain.PRODUCT, chain.MULTIPLIER, chain.QUOTA}
    assert factors == set(signals.KEYS)
    assert signals.start(STRATEGY).defence.excess == ZERO
