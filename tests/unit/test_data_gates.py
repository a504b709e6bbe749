"""The data gate, before any price is computed: each of its names closes both sides, just short of it none.

Limits of the monitors beside it are put out of the way, so that the gate is seen alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from msgspec.structs import replace

from neo_engine.domain.link import Link
from neo_engine.domain.market import DataFault, MarketSnapshot
from neo_engine.domain.orders import CancelOrder
from neo_engine.tick import NO_PRICING, Decision, EngineState, decide, initial_state
from tests.unit import core_values as core
from tests.unit import test_tick as ticks
from tests.unit.core_values import NOW, D
from tests.unit.test_tick import OUR_ASK, OUR_BID, opened, opening, seen, standing, working

LOOSE = {"stale_pull_seconds": 1000, "stale_halt_seconds": 2000}
ALONE = ticks.CONFIG.model_copy(update={"risk": ticks.CONFIG.risk.model_copy(update=LOOSE)})
SOUND = core.snapshot()
NAMES = ("NoDataReceived", "StaleData", "CrossedBook", "Gap", "BadNumber", "UnhealthyNode")


def named(decision: Decision) -> set[str]:
    return {gate.name for gate in decision.gates if gate.name in NAMES and gate.side == "both"}


def looked(
    snapshot: MarketSnapshot = SOUND, *, age: int = 0, unhealthy: str = "", state: EngineState | None = None
) -> Decision:
    """A tick on a ledger in which both of our orders stand."""
    told = seen(report=standing(snapshot), link=Link(attempts=0, unhealthy=unhealthy))
    return decide(state or working(OUR_BID, OUR_ASK), told, ALONE, NOW + age)


def refused(decision: Decision, name: str) -> None:
    assert named(decision) == {name}
    assert (decision.quotes, decision.quoting) == ((), "none")
    assert decision.pricing.anchor is decision.pricing.reservation is None
    assert {one.order_id for one in decision.commands if isinstance(one, CancelOrder)} == {1, 2}
    assert decision.halt is None


def passed(decision: Decision) -> None:
    assert named(decision) == set()
    assert decision.quoting == "both"
    assert decision.pricing.anchor is not None


def test_a_sound_ledger_passes() -> None:
    passed(looked())


# NoDataReceived


def test_before_the_first_ledger_there_is_no_data_and_adopted_orders_are_taken_back() -> None:
    state = replace(initial_state(ALONE, NOW - 4), orders=working(OUR_BID, OUR_ASK).orders)
    refused(decide(state, seen("silence"), ALONE, NOW), "NoDataReceived")


def test_after_a_ledger_a_silence_is_no_lack_of_data() -> None:
    decision = decide(working(OUR_BID, OUR_ASK), seen("silence", close_time=NOW + 4), ALONE, NOW + 4)
    assert (named(decision), decision.commands, decision.kept) == (set(), (), 2)


# StaleData: 15 s


@pytest.mark.parametrize("age", [15, 16, 900])
def test_a_ledger_of_15_seconds_is_not_priced_whatever_the_monitor_allows(age: int) -> None:
    decision = looked(age=age)
    refused(decision, "StaleData")
    (gate,) = (one for one in decision.gates if one.name == "StaleData")
    assert gate.detail == f"the ledger is {age} s old (risk.stale_data_seconds 15)"


@pytest.mark.parametrize("age", [0, 14, -3])
def test_a_younger_one_is(age: int) -> None:
    passed(looked(age=age))


def test_a_stale_ledger_moves_no_mark_but_what_it_did_to_us_is_booked() -> None:
    state = working(OUR_BID, OUR_ASK)
    sold = core.fill(OUR_ASK, OUR_ASK.base_drops, ledger=1000)
    news = core.update(OUR_ASK, ticks.OrderStatus.FILLED, 0, ledger=1000)
    told = standing(core.snapshot(best_bid=D("2.99"), best_ask=D("3.01"), mid=D(3)))
    told = replace(told, fills=(sold,), order_updates=(news,))
    decision = decide(state, seen(report=told), ALONE, NOW + 15)
    assert decision.fills == (sold,)
    assert decision.state.mark == D(2)
    assert decision.pricing == NO_PRICING


def test_capital_waits_for_a_ledger_that_can_be_believed() -> None:
    late = decide(initial_state(ALONE, NOW - 4), seen(capital=opening()), ALONE, NOW + 15)
    assert (late.capital, late.state.waiting) == ((), opening())
    fresh = decide(late.state, seen(), ALONE, NOW)
    assert [one.applied for one in fresh.capital] == [True] * len(opening())


# UnhealthyNode


def test_what_a_server_tells_that_is_not_in_step_is_not_priced() -> None:
    decision = looked(unhealthy="wss://one: stale: no closed ledgers for 10.2 s")
    refused(decision, "UnhealthyNode")
    assert decision.state.risk.unhealthy_data.count == 1
    passed(looked(unhealthy="", state=replace(decision.state, orders=working(OUR_BID, OUR_ASK).orders)))


def test_a_server_that_stays_out_of_step_ends_the_session() -> None:
    state, halts = opened(), []
    for _ in range(15):
        decision = decide(state, seen(link=Link(attempts=0, unhealthy="stale")), ALONE, NOW)
        state = decision.state
        halts.append(None if decision.halt is None else decision.halt.reason.value)
    assert halts == [None] * 14 + ["risk_gateway_unhealthy"]


@pytest.mark.parametrize("mid", [D("NaN"), D(-1), D("1E+90")])
def test_a_price_that_only_the_gate_refuses_counts_as_untrusted_data(mid: Decimal) -> None:
    bad = replace(SOUND, best_bid=mid, mid=mid)
    assert bad.faults == ()
    decision = looked(bad)
    refused(decision, "BadNumber")
    assert decision.state.risk.unhealthy_data.count == 1


def test_an_empty_side_that_only_the_gate_finds_does_not_count() -> None:
    decision = looked(replace(SOUND, asks=(), best_ask=None, mid=None))
    assert decision.quoting == "none"
    assert decision.state.risk.unhealthy_data.count == 0


# CrossedBook, Gap, BadNumber


def crossing() -> Iterator[tuple[str, str, bool]]:
    yield "2.01", "2.01", True
    yield "2.0100000001", "2.01", True
    yield "2.0099999999", "2.01", False


@pytest.mark.parametrize(("bid", "ask", "crossed"), list(crossing()))
def test_a_bid_at_or_above_the_ask_is_a_crossed_book(bid: str, ask: str, crossed: bool) -> None:
    decision = looked(core.snapshot(best_bid=D(bid), best_ask=D(ask), mid=D(bid)))
    assert named(decision) == ({"CrossedBook"} if crossed else set())
    assert (decision.pricing.anchor is None) is crossed


@pytest.mark.parametrize("fault", [DataFault.GAP, DataFault.CROSSED, DataFault.BAD_NUMBER])
def test_a_fault_that_came_with_the_ledger_is_its_gate(fault: DataFault) -> None:
    refused(looked(core.snapshot(faults=(fault,))), fault.value)


@pytest.mark.parametrize("price", ["NaN", "sNaN", "Infinity", "0", "-1.99"])
@pytest.mark.parametrize("side", ["best_bid", "best_ask", "mid"])
def test_a_number_that_is_no_price_is_refused(side: str, price: str) -> None:
    refused(looked(core.snapshot(**{side: D(price)})), "BadNumber")


@pytest.mark.parametrize(
    ("mid", "bad"), [("1.9899", True), ("1.99", False), ("2.01", False), ("2.0101", True)]
)
def test_a_mid_outside_the_touch_is_refused(mid: str, bad: bool) -> None:
    assert named(looked(core.snapshot(mid=D(mid)))) == ({"BadNumber"} if bad else set())
