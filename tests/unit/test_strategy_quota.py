"""What little headroom does to the quotes: wider, fewer, one side, none."""

from __future__ import annotations

from decimal import Decimal

import pytest

from neo_engine.domain.headroom import FULL, WHOLE, Headroom, Tier
from neo_engine.domain.orders import Quote
from neo_engine.domain.records import Accounts, Gate
from neo_engine.strategy import glft, intensity, spread
from neo_engine.strategy.engine import StrategyResult, StrategyState, evaluate, initial_state
from neo_engine.strategy.quota import START, QuotaState, force, heed, left_standing, quota_gates
from tests.unit import core_values as core
from tests.unit.core_values import XRP
from tests.unit.strategy_fixture import BALANCED, PLENTY, configured, holding, market, names

D = Decimal
CONFIG = configured(
    strategy__model="offset",
    strategy__warmup_ticks=0,
    strategy__base_offset_bps="3",
    strategy__half_spread_max_bps="60",
    strategy__spread_additive_max_bps="20",
    strategy__ladder_levels=4,
    strategy__ladder_step_bps="5",
    strategy__ladder_size_factor="1",
    risk__max_open_orders=8,
)
CALM = market("1.99", "2.01")
RICH_IN_XRP = holding("130", "20")
RICH_IN_RLUSD = holding("5", "300")


def left(percent: str | int) -> Headroom:
    return Headroom(requests=WHOLE, slots=D(percent), fees=WHOLE)


def quoted(
    percent: str | int, accounts: Accounts = BALANCED, state: StrategyState | None = None
) -> StrategyResult:
    return evaluate(state or initial_state(CONFIG), CALM, accounts, CONFIG, headroom=left(percent))


def half(result: StrategyResult) -> Decimal:
    assert result.pricing.half_spread_bps is not None
    return result.pricing.half_spread_bps


def slots(quotes: tuple[Quote, ...]) -> list[str]:
    return [quote.slot for quote in quotes]


BASE = half(quoted(100))
COST = BASE - 3  # the network fee of one transaction


@pytest.mark.parametrize("percent", [100, 75, 50])
def test_in_tier_full_everything_is_as_without_a_headroom(percent: int) -> None:
    assert quoted(percent).quotes == evaluate(initial_state(CONFIG), CALM, BALANCED, CONFIG).quotes
    stored = [one for one in quoted(percent).pricing.factors if one[0].startswith("quota")]
    assert stored == [("quota", 1)]


@pytest.mark.parametrize(
    ("percent", "wide"),
    [("25", "6"), ("4", "15"), ("2", "20"), ("1", "30")],  # 3 x 2, 3 x 5, 3 x 5 + 5, 3 x 5 + 15
)
def test_the_base_offset_is_widened_and_the_cost_of_a_trade_is_not(percent: str, wide: str) -> None:
    assert half(quoted(percent)) == D(wide) + COST


def test_the_limits_of_the_spread_hold_under_the_widest_quota() -> None:
    narrow = configured(strategy__half_spread_max_bps="7").strategy
    _, least = heed(START, left("1"), 1)
    assert spread.offset_spread(None, None, (), narrow, quota=least).half_spread_bps == 7
    tight = configured(strategy__spread_additive_max_bps="2", strategy__base_offset_bps="3").strategy
    assert spread.offset_spread(None, None, (), tight, quota=least).half_spread_bps == 17


def test_the_glft_spread_is_widened_alike_and_its_inventory_shift_is_not() -> None:
    raw = intensity.estimate(intensity.Sums(ledgers=50, trades=40, inside=40, depth_bps=D(200)))
    curve = glft.solve(intensity.effective(raw), glft.gamma_per_bps(D("0.5"), D(15)))
    settings = configured(strategy__glft__half_spread_max_bps="60").strategy
    _, some = heed(START, left(25), 1)
    plain, moved = glft.glft_spread(curve, D("2.5"), D(3), (), settings, quota=PLENTY)
    wide, moved_too = glft.glft_spread(curve, D("2.5"), D(3), (), settings, quota=some)
    assert (wide.half_spread_bps, moved_too) == (2 * plain.half_spread_bps, moved)


@pytest.mark.parametrize(("percent", "levels"), [("20", 4), ("19", 3), ("7", 2), ("5", 2)])
def test_the_ladder_has_fewer_levels_from_the_outside(percent: str, levels: int) -> None:
    wanted = [f"{side}-{number}" for side in ("bid", "ask") for number in range(1, levels + 1)]
    assert slots(quoted(percent).quotes) == wanted


def test_what_was_done_is_named_with_its_numbers() -> None:
    factors = dict(quoted("7").pricing.factors)
    assert factors["quota_headroom_pct"] == 7
    assert round(factors["quota"], 4) == D("3.7796")
    assert (factors["quota_shadow_bps"], factors["quota_levels"]) == (0, 2)


def test_critical_quotes_only_what_brings_the_inventory_back() -> None:
    assert names(quoted("4", RICH_IN_XRP).gates) == {("QuotaCritical", "bid")}
    assert slots(quoted("4", RICH_IN_XRP).quotes) == ["ask-1"]
    assert slots(quoted("4", RICH_IN_RLUSD).quotes) == ["bid-1"]
    balanced = quoted("4", BALANCED)
    assert (balanced.quotes, names(balanced.gates)) == ((), {("QuotaCritical", "both")})


def test_conservation_quotes_both_sides() -> None:
    assert {slot[:3] for slot in slots(quoted("5", RICH_IN_XRP).quotes)} == {"bid", "ask"}


@pytest.mark.parametrize(
    ("forced", "imbalance", "after"),
    [
        ("", "0.19", ""),
        ("", "0.2", "ask"),
        ("", "-0.19", ""),
        ("", "-0.2", "bid"),
        ("ask", "0.01", "ask"),  # until the target is reached
        ("ask", "0", ""),
        ("ask", "-0.19", ""),  # past the target is no reason to buy back
        ("ask", "-0.2", "bid"),
        ("bid", "-0.01", "bid"),
        ("bid", "0.19", ""),
    ],
)
def test_the_forced_side_cannot_whipsaw(forced: str, imbalance: str, after: str) -> None:
    state = force(QuotaState(headroom=D(4), forced=forced), Tier.CRITICAL, D(imbalance))
    assert state.forced == after


def test_the_forced_side_is_forgotten_above_critical_and_kept_below() -> None:
    state = QuotaState(headroom=D(4), forced="ask")
    assert force(state, Tier.EXHAUSTED, D("0.1")).forced == "ask"
    assert force(state, Tier.CONSERVATION, D("0.9")).forced == ""


def test_exhausted_closes_both_sides_and_says_what_is_left_of_what() -> None:
    result = quoted("0.9")
    assert (result.quotes, names(result.gates)) == ((), {("QuotaExhausted", "both")})
    (gate,) = result.gates
    assert gate.detail == (
        "0.9 % counts (requests 100 %, queue slots 0.9 %, fees of the day 100 %) < 1 %: "
        "nothing is placed, what stands is left"
    )


@pytest.mark.parametrize("tier", [Tier.FULL, Tier.NORMAL, Tier.MINIMAL, Tier.CONSERVATION])
def test_no_tier_above_critical_closes_a_side(tier: Tier) -> None:
    assert quota_gates(START, tier, FULL) == ()


def test_the_headroom_is_heeded_while_data_is_bad_too() -> None:
    blind = evaluate(initial_state(CONFIG), market(None, "2.01"), BALANCED, CONFIG, headroom=left(7))
    assert blind.state.quota.headroom == 7


def test_recovery_leads_back_to_all_quotes() -> None:
    low = quoted("7")
    assert quoted("59", state=low.state).pricing.factors != quoted("100").pricing.factors
    back = quoted("100", state=low.state)
    assert (back.quotes, back.pricing) == (quoted("100").quotes, quoted("100").pricing)


# which orders a tick leaves alone

BID, ASK = core.order(1, "bid-1", "1.98", 5 * XRP), core.order(2, "ask-1", "2.02", 5 * XRP)
EXHAUSTED = Gate(name="QuotaExhausted", side="both", detail="")


def gate(side: str) -> Gate:
    return Gate(name="Inventory", side=side, detail="")


@pytest.mark.parametrize(
    ("gates", "left"),
    [
        ((), ()),
        ((gate("both"),), ()),
        ((EXHAUSTED,), (BID, ASK)),
        ((gate("bid"), EXHAUSTED), (ASK,)),
        ((EXHAUSTED, gate("ask")), (BID,)),
        ((EXHAUSTED, gate("both")), ()),
    ],
)
def test_exhausted_keeps_in_place_what_no_other_gate_closes(
    gates: tuple[Gate, ...], left: tuple[object, ...]
) -> None:
    assert tuple(left_standing((BID, ASK), gates)) == left


def test_an_order_without_an_end_is_not_left_standing() -> None:
    endless = core.order(3, "ask-2", "2.03", 5 * XRP, expiration=None)
    assert tuple(left_standing((BID, endless), (EXHAUSTED,))) == (BID,)
