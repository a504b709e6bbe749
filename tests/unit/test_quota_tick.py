"""Little headroom through whole ticks: an hour of it, the way back, and what stands when nothing is left."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from neo_engine.domain.assets import Side
from neo_engine.domain.halt import Halt, HaltReason
from neo_engine.domain.headroom import WHOLE, Headroom
from neo_engine.domain.market import DataFault, MarketSnapshot
from neo_engine.domain.orders import CancelOrder, Order, PlaceOrder
from neo_engine.execution.tracking import orders_of
from neo_engine.tick import Decision, EngineState, decide
from tests.unit import core_values as core
from tests.unit.core_values import NOW, XRP
from tests.unit.strategy_fixture import configured
from tests.unit.test_tick import opened, report, seen

CONFIG = configured(
    strategy__warmup_ticks=1,
    strategy__base_offset_bps="3",
    strategy__ladder_levels=3,
    strategy__ladder_step_bps="4",
    strategy__ladder_size_factor="1",
    risk__max_open_orders=6,
    order_size__base_size_rlusd="15",
)
HOUR = 900  # ledgers of four seconds
KILL = Halt(reason=HaltReason.KILL_SWITCH, detail="file: stop")


def left(percent: str | int) -> Headroom:
    return Headroom(requests=Decimal(percent), slots=WHOLE, fees=WHOLE)


def ledger(state: EngineState, number: int, percent: str | int, stop: Halt | None = None) -> Decision:
    """Decide on ledger 1000 + number of a still market; what was wanted before is forgotten."""
    snapshot: MarketSnapshot = replace(
        core.snapshot(), ledger_index=1000 + number, close_time=NOW + 4 * number
    )
    told = report(snapshot, headroom=left(percent))
    now = NOW + 4 * number
    saw = seen(report=told, ledger_index=1000 + number, close_time=now, stop=stop)
    return decide(replace(state, orders=orders_of(())), saw, CONFIG, now)


def factors(decision: Decision) -> dict[str, Decimal]:
    return dict(decision.pricing.factors)


def test_an_hour_at_seven_percent_never_quotes_more_or_nearer_than_allowed_and_then_all_comes_back() -> None:
    state = opened(CONFIG)
    full = ledger(state, 1, 100)
    assert [quote.slot for quote in full.quotes] == ["bid-1", "bid-2", "bid-3", "ask-1", "ask-2", "ask-3"]
    state = full.state
    for number in range(2, 2 + HOUR):
        low = ledger(state, number, 7)
        state = low.state
        # 3 x sqrt(7/20) = 1.77 levels; 1/sqrt(0.07) = 3.78
        assert [quote.slot for quote in low.quotes] == ["bid-1", "ask-1"]
        assert round(factors(low)["quota"], 4) == Decimal("3.7796")
        assert low.pricing.half_spread_bps is not None
        assert full.pricing.half_spread_bps is not None
        assert full.pricing.half_spread_bps < low.pricing.half_spread_bps <= 60
    back = ledger(state, 2 + HOUR, 100)
    assert [replace(one, expiration=None) for one in back.quotes] == list(full.quotes)
    assert [(name, value) for name, value in factors(back).items() if name.startswith("quota")] == [
        ("quota", 1)
    ]


def test_the_headroom_of_each_ledger_decides_anew_between_the_worst_and_the_best() -> None:
    state, found = opened(CONFIG), []
    for number, percent in enumerate((100, 30, 12, 6, "0.5", "1.1", "1.3", 26, 59, 60, 100), 1):
        decision = ledger(state, number, percent)
        state = decision.state
        found.append((decision.quoting, len(decision.quotes)))
    assert found == [
        ("both", 6),
        ("both", 6),  # wider, all levels
        ("both", 4),  # 3 x sqrt(12/20) = 2.3
        ("both", 2),
        ("none", 0),
        ("none", 0),  # 1.1 / 1.2 is below 1
        ("none", 0),  # Critical, and the inventory is balanced
        ("both", 6),  # 26 / 1.2 is 21.7: Normal
        ("both", 6),
        ("both", 6),
        ("both", 6),
    ]


BID = core.order(1, "bid-1", "1.98", 5 * XRP)
ASK = core.order(2, "ask-1", "2.02", 5 * XRP)


def standing(
    percent: str | int, *orders: Order, stop: Halt | None = None, faults: tuple[DataFault, ...] = ()
) -> Decision:
    """Decide on a ledger in which these orders stand far from where they would be placed now."""
    account = core.account(
        100 * XRP, "200", owner_count=1 + len(orders), offers=tuple(core.offer(one) for one in orders)
    )
    told = report(core.snapshot(faults=faults), account=account, headroom=left(percent))
    state = replace(opened(CONFIG), orders=orders_of(orders))
    return decide(state, seen(report=told, stop=stop), CONFIG, NOW)


def cancelled(decision: Decision) -> set[int]:
    return {one.order_id for one in decision.commands if isinstance(one, CancelOrder)}


def test_exhausted_sends_nothing_and_leaves_what_stands() -> None:
    decision = standing("0.5", BID, ASK)
    assert (decision.commands, decision.quotes, decision.kept) == ((), (), 2)
    assert [gate.name for gate in decision.gates] == ["QuotaExhausted"]


@pytest.mark.parametrize("percent", ["0", "0.5", "3", "7", "100"])
def test_a_stop_and_bad_data_cancel_whatever_the_headroom(percent: str) -> None:
    assert cancelled(standing(percent, BID, ASK, stop=KILL)) == {1, 2}
    assert cancelled(standing(percent, BID, ASK, faults=(DataFault.GAP,))) == {1, 2}


def test_exhausted_with_a_side_full_of_inventory_cancels_that_side_alone() -> None:
    heavy = core.account(100 * XRP, "200", owner_count=3, offers=(core.offer(BID), core.offer(ASK)))
    limited = configured(
        strategy__warmup_ticks=1, risk__max_xrp_exposure="100", inventory__soft_limit_share="1"
    )
    state = replace(opened(limited), orders=orders_of((BID, ASK)))
    told = report(core.snapshot(), account=heavy, headroom=left(0))
    decision = decide(state, seen(report=told), limited, NOW)
    assert cancelled(decision) == {1}
    assert decision.kept == 1


def test_a_low_tier_replaces_and_critical_pulls_the_side_it_does_not_quote() -> None:
    moved = [one for one in standing("7", BID, ASK).commands if isinstance(one, PlaceOrder)]
    assert {one.replaces for one in moved} == {1, 2}
    assert {one.quote.side for one in moved} == {Side.BUY, Side.SELL}
    assert cancelled(standing("3", BID, ASK)) == {1, 2}
