"""The tick's flow: what is decided on what was seen, one claim a test."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from msgspec.structs import replace

from neo_engine.config import Config
from neo_engine.domain.account_findings import AccountFinding, FindingKind
from neo_engine.domain.assets import Side
from neo_engine.domain.capital import CapitalEvent, CapitalKind
from neo_engine.domain.halt import Halt, HaltReason
from neo_engine.domain.market import DataFault, MarketSnapshot
from neo_engine.domain.orders import (
    CancelOrder,
    Order,
    OrderStatus,
    PlaceOrder,
    TransactionKind,
    TransactionOutcome,
)
from neo_engine.domain.records import FeedFaultRecord
from neo_engine.execution.tracking import orders_of
from neo_engine.ports import VenueReport
from neo_engine.tick import Decision, EngineState, Observation, decide, initial_state, quoting_of
from tests.unit import core_values as core
from tests.unit.core_values import NOW, XRP, D

DROPS, RLUSD = 100 * XRP, "200"  # worth 400 RLUSD at a mid of 2, half of it XRP: no skew


def settings(**risk: object) -> Config:
    """The delivered configuration, quoting from the first mid on."""
    config = core.with_config("strategy", warmup_ticks=1)
    return config.model_copy(update={"risk": config.risk.model_copy(update=risk)})


CONFIG = settings()
FAULT = FeedFaultRecord(kind="malformed_json", line=3, detail="no JSON")
KILL = Halt(reason=HaltReason.KILL_SWITCH, detail="file: stop")
SIGINT = Halt(reason=HaltReason.INTERRUPTED_SIGINT, detail="signal SIGINT")


def opening() -> tuple[CapitalEvent, CapitalEvent]:
    return (
        core.capital(CapitalKind.OPENING, drops=DROPS, request_id="opening-xrp"),
        core.capital(CapitalKind.OPENING, rlusd=RLUSD, request_id="opening-quote"),
    )


def report(snapshot: MarketSnapshot | None = None, **parts: Any) -> VenueReport:
    fields: dict[str, Any] = {
        "snapshot": snapshot or core.snapshot(),
        "transactions": (),
        "order_updates": (),
        "fills": (),
        "account": core.account(DROPS, RLUSD, owner_count=1),
        "faults": (),
    }
    return VenueReport(**(fields | parts))


def seen(kind: str = "ledger", **parts: Any) -> Observation:
    fields: dict[str, Any] = {
        "kind": kind,
        "ledger_index": 1000,
        "close_time": NOW,
        "report": report() if kind == "ledger" else None,
        "order_updates": (),
        "faults": (),
        "capital": (),
        "stop": None,
    }
    return Observation(**(fields | parts))


def opened(config: Config = CONFIG) -> EngineState:
    """The state after the first ledger of a session: opened, warm, its first quotes taken back."""
    first = decide(initial_state(config, NOW - 4), seen(capital=opening()), config, NOW)
    return replace(first.state, orders=orders_of(()))


def working(*orders: Order) -> EngineState:
    return replace(opened(), orders=orders_of(orders))


def gates(decision: Decision) -> list[str]:
    return [gate.name for gate in decision.gates]


OUR_BID, OUR_ASK = core.order(1, "bid-1", "1.98", 5 * XRP), core.order(2, "ask-1", "2.02", 5 * XRP)


# quoting, and what stops it


def test_a_sound_ledger_is_quoted_on_both_sides() -> None:
    decision = decide(opened(), seen(), CONFIG, NOW)
    assert decision.quoting == "both"
    assert [type(command) for command in decision.commands] == [PlaceOrder, PlaceOrder]
    assert decision.state.tick == 2
    assert {order.status for order in decision.new_orders} == {OrderStatus.PENDING_SUBMIT}
    assert decision.state.orders.working == decision.new_orders


@pytest.mark.parametrize(
    ("snapshot", "gate"),
    [
        (core.snapshot(faults=(DataFault.GAP,)), "Gap"),
        (core.snapshot(faults=(DataFault.FROZEN,)), "Frozen"),
        (core.snapshot(faults=(DataFault.CROSSED,)), "CrossedBook"),
        (core.snapshot(best_ask=None, mid=None), "EmptySide"),
        (core.snapshot(best_bid=D("-1")), "BadNumber"),
        (core.snapshot(best_bid=D("NaN"), mid=D("NaN")), "BadNumber"),
        (core.snapshot(best_ask=D("Infinity"), mid=D("Infinity")), "BadNumber"),
    ],
)
def test_bad_data_is_not_quoted_on_and_what_works_is_cancelled(snapshot: MarketSnapshot, gate: str) -> None:
    decision = decide(working(OUR_BID, OUR_ASK), seen(report=standing(snapshot)), CONFIG, NOW)
    assert gate in gates(decision)
    assert decision.quotes == ()
    assert cancelled(decision) == {1, 2}


def standing(snapshot: MarketSnapshot) -> VenueReport:
    """A ledger in which both orders above stand."""
    account = core.account(DROPS, RLUSD, owner_count=3, offers=(core.offer(OUR_BID), core.offer(OUR_ASK)))
    return report(snapshot, account=account)


def cancelled(decision: Decision) -> set[int]:
    assert all(isinstance(command, CancelOrder) for command in decision.commands)
    return {command.order_id for command in decision.commands}


@pytest.mark.parametrize("kind", ["ledger", "silence", "fault"])
def test_a_stop_cancels_everything_in_whatever_tick_it_comes(kind: str) -> None:
    decision = decide(working(OUR_BID, OUR_ASK), seen(kind, stop=KILL), CONFIG, NOW)
    assert cancelled(decision) == {1, 2}
    assert decision.quotes == ()
    assert decision.halt == KILL
    assert gates(decision)[-1] == "Stopping"


def test_a_stopping_session_never_quotes_again_and_names_its_reason_once() -> None:
    state = replace(opened(), stopping=KILL)
    decision = decide(state, seen(), CONFIG, NOW)
    assert (decision.quotes, decision.commands, decision.halt) == ((), (), None)


def test_a_second_reason_to_stop_does_not_replace_the_first() -> None:
    first = decide(opened(), seen(stop=SIGINT), CONFIG, NOW)
    second = decide(first.state, seen(stop=KILL), CONFIG, NOW)
    assert second.state.stopping == SIGINT
    assert second.halt is None


def test_a_cancel_in_flight_is_not_sent_again_while_it_may_still_come() -> None:
    leaving = core.order(1, "bid-1", "1.98", 5 * XRP, OrderStatus.PENDING_CANCEL, cancel_sent_ledger=998)
    assert decide(working(leaving), seen(stop=KILL), CONFIG, NOW).commands == ()
    again = decide(working(leaving), seen("silence", stop=KILL, ledger_index=1003), CONFIG, NOW)
    assert cancelled(again) == {1}  # 998 + 4 is behind: it can never come


def test_silence_short_of_the_limit_leaves_every_order_where_it_is() -> None:
    decision = decide(working(OUR_BID), seen("silence", close_time=NOW + 9), CONFIG, NOW + 9)
    assert (decision.commands, decision.kept, decision.gates) == ((), 1, ())


def test_silence_of_stale_pull_seconds_pulls_every_quote() -> None:
    decision = decide(working(OUR_BID, OUR_ASK), seen("silence", close_time=NOW + 10), CONFIG, NOW + 10)
    assert gates(decision) == ["StaleData"]
    assert cancelled(decision) == {1, 2}
    assert decision.halt is None


def test_silence_of_stale_halt_seconds_ends_the_session() -> None:
    decision = decide(working(OUR_BID), seen("silence", close_time=NOW + 60), CONFIG, NOW + 60)
    assert decision.halt is not None
    assert decision.halt.reason is HaltReason.RISK_STALE_LEDGER
    assert cancelled(decision) == {1}


def test_a_ledger_that_is_old_when_it_comes_is_not_quoted_on() -> None:
    decision = decide(working(OUR_BID, OUR_ASK), seen(report=standing(core.snapshot())), CONFIG, NOW + 15)
    assert gates(decision) == ["StaleData"]
    assert cancelled(decision) == {1, 2}


def test_one_faulty_message_changes_nothing_and_too_many_end_the_session() -> None:
    state = working(OUR_BID)
    for _ in range(4):
        decision = decide(state, seen("fault", faults=(FAULT,)), CONFIG, NOW)
        assert (decision.commands, decision.halt) == ((), None)
        state = decision.state
    last = decide(state, seen("fault", faults=(FAULT,)), CONFIG, NOW)
    assert last.halt is not None
    assert last.halt.reason is HaltReason.RISK_RPC_FAILURE
    assert cancelled(last) == {1}


def test_nothing_is_decided_before_the_first_ledger() -> None:
    decision = decide(initial_state(CONFIG, NOW), seen("silence", capital=opening()), CONFIG, NOW)
    assert (decision.commands, decision.quotes, decision.capital) == ((), (), ())
    assert decision.state.waiting == opening()


def test_the_end_of_the_market_sends_nothing_more() -> None:
    gone = core.update(OUR_BID, OrderStatus.CANCELED, 0, reason="end of the market")
    decision = decide(working(OUR_BID), seen("end", stop=KILL, order_updates=(gone,)), CONFIG, NOW)
    assert decision.commands == ()
    assert decision.state.orders.working == ()
    assert [order.status for order in decision.changed_orders] == [OrderStatus.CANCELED]


# the network's fee


def dear(fee_drops: int) -> MarketSnapshot:
    return core.snapshot(fee_base_drops=fee_drops)


def test_a_network_fee_at_the_limit_is_paid_and_one_above_it_is_not() -> None:
    at = decide(opened(), seen(report=report(dear(5000))), CONFIG, NOW)
    assert at.quoting == "both"
    above = decide(opened(), seen(report=report(dear(5001))), CONFIG, NOW)
    assert (above.commands, above.quotes, above.new_orders) == ((), (), ())
    refused = [gate for gate in above.gates if gate.name == "Fee"]
    assert [gate.side for gate in refused] == ["bid", "ask"]
    assert "5001 drops" in refused[0].detail
    assert "risk.max_fee_drops 5000" in refused[0].detail


def test_under_too_high_a_fee_what_is_near_enough_stays_and_the_rest_is_cancelled() -> None:
    first = decide(opened(), seen(), CONFIG, NOW)
    bid, ask = (
        replace(order, status=OrderStatus.OPEN, offer_sequence=100 + order.order_id)
        for order in sorted(first.new_orders, key=lambda order: order.side is Side.SELL)
    )
    far = replace(ask, price=ask.price * 2)
    account = core.account(DROPS, RLUSD, owner_count=3, offers=(core.offer(bid), core.offer(far)))
    state = replace(first.state, orders=orders_of((bid, far)))
    # The fee of 10 drops is as before, so that the quotes are: only the limit is lower.
    decision = decide(state, seen(report=report(account=account)), settings(max_fee_drops=9), NOW)
    assert cancelled(decision) == {ask.order_id}
    assert decision.kept == 1
    assert decision.quoting == "bid"


def test_a_stop_under_too_high_a_fee_still_cancels() -> None:
    decision = decide(working(OUR_BID, OUR_ASK), seen(report=standing(dear(9000)), stop=KILL), CONFIG, NOW)
    assert cancelled(decision) == {1, 2}


# money


def test_the_opening_waits_for_the_first_mark_and_is_applied_with_it() -> None:
    no_mid = seen(report=report(core.snapshot(best_ask=None, mid=None)), capital=opening())
    first = decide(initial_state(CONFIG, NOW - 4), no_mid, CONFIG, NOW)
    assert first.state.waiting == opening()
    assert first.accounts.base_drops == 0
    second = decide(first.state, seen(), CONFIG, NOW)
    assert [(one.applied, one.mark) for one in second.capital] == [(True, D(2)), (True, D(1))]
    assert (second.accounts.base_drops, second.accounts.quote) == (DROPS, D(200))
    assert second.accounts.account_value == 400


def test_a_faulty_ledger_sets_no_mark() -> None:
    gap = seen(report=report(core.snapshot(faults=(DataFault.GAP,))), capital=opening())
    assert decide(initial_state(CONFIG, NOW - 4), gap, CONFIG, NOW).state.mark is None


def test_fees_of_our_transactions_are_counted_failed_ones_too() -> None:
    outcomes = tuple(
        TransactionOutcome(
            tx_hash=f"H{number}",
            order_id=number,
            kind=TransactionKind.CREATE,
            result=result,
            ledger_index=1000,
            transaction_index=number,
            fee_drops=fee,
        )
        for number, (result, fee) in enumerate([("tesSUCCESS", 10), ("tecUNFUNDED_OFFER", 12)], start=1)
    )
    account = core.account(DROPS - 22, RLUSD, owner_count=1)
    decision = decide(opened(), seen(report=report(transactions=outcomes, account=account)), CONFIG, NOW)
    assert decision.accounts.fees_drops == 22
    # 400 RLUSD less 22 drops at 2 RLUSD per XRP.
    assert decision.accounts.account_value == D(400) - D("0.000044")


def test_a_fill_moves_inventory_and_is_booked_once() -> None:
    fill = core.fill(OUR_ASK, 2 * XRP, ledger=1000)
    update = core.update(OUR_ASK, OrderStatus.PARTIALLY_FILLED, 3 * XRP, ledger=1000)
    account = core.account(DROPS - 2 * XRP, "204.04", owner_count=2)
    news = report(fills=(fill,), order_updates=(update,), account=account)
    decision = decide(working(OUR_ASK), seen(report=news), CONFIG, NOW)
    assert decision.fills == (fill,)
    assert (decision.accounts.base_drops, decision.accounts.quote) == (DROPS - 2 * XRP, D("204.04"))
    assert [entry.change for entry in decision.inventory] == [D(-2), D("4.04")]
    again = decide(decision.state, seen(report=news), CONFIG, NOW)
    assert (again.fills, again.inventory) == ((), ())
    assert again.accounts.base_drops == DROPS - 2 * XRP


def test_capital_is_applied_after_the_reconciler_has_compared_what_was_there_before() -> None:
    config = settings().model_copy(
        update={"reconciler": CONFIG.reconciler.model_copy(update={"interval_ticks": 1})}
    )
    deposit = core.capital(CapitalKind.DEPOSIT, drops=5 * XRP, request_id="deposit")
    decision = decide(opened(config), seen(capital=(deposit,)), config, NOW)
    # The venue's word is from before the deposit, so nothing is amiss; the deposit counts at once.
    assert decision.findings == ()
    assert decision.accounts.base_drops == DROPS + 5 * XRP


def test_a_withdrawal_is_not_quoted_any_more_in_the_tick_that_applies_it() -> None:
    withdrawal = core.capital(CapitalKind.WITHDRAWAL, rlusd="195", request_id="out")
    decision = decide(opened(), seen(capital=(withdrawal,)), CONFIG, NOW)
    assert decision.capital[0].applied
    bids = [quote.quote for quote in decision.quotes if quote.side is Side.BUY]
    assert sum(bids) <= 5


def test_a_balance_the_books_do_not_explain_halts_with_its_numbers() -> None:
    config = settings().model_copy(
        update={"reconciler": CONFIG.reconciler.model_copy(update={"interval_ticks": 1})}
    )
    wrong = report(account=core.account(DROPS + 1, RLUSD, owner_count=1))
    decision = decide(opened(config), seen(report=wrong), config, NOW)
    assert decision.halt is not None
    assert decision.halt.reason is HaltReason.RECONCILER_HALT
    assert [finding.name for finding in decision.findings] == ["balance_mismatch"]


# touch


def test_distances_to_the_touch_are_in_bps_of_mid_negative_behind_it() -> None:
    orders = (
        core.order(1, "bid-1", "1.988", 5 * XRP),
        core.order(2, "bid-2", "1.98", 5 * XRP),
        core.order(3, "ask-1", "2.009", 5 * XRP),
        core.order(4, "ask-2", "2.001", 5 * XRP, OrderStatus.SUBMITTED),
        core.order(5, "bid-3", "1.989", 5 * XRP, OrderStatus.SUBMITTED),
    )
    touch = decide(working(*orders), seen(), CONFIG, NOW).touch
    # (1.988 - 1.99) x 10000 / 2 and (2.01 - 2.009) x 10000 / 2; what has not arrived does not count.
    assert (touch.our_bid, touch.our_ask) == (D("1.988"), D("2.009"))
    assert (touch.bid_bps, touch.ask_bps) == (D(-10), D(5))


def test_without_an_order_or_a_mid_there_is_no_distance() -> None:
    assert decide(opened(), seen(), CONFIG, NOW).touch.bid_bps is None
    one_sided = standing(core.snapshot(best_ask=None, mid=None))
    touch = decide(working(OUR_BID, OUR_ASK), seen(report=one_sided), CONFIG, NOW).touch
    assert (touch.our_bid, touch.bid_bps, touch.ask_bps) == (D("1.98"), None, None)


def test_quoting_names_the_sides() -> None:
    bid, ask = core.quote("bid-1", "1.99", XRP), core.quote("ask-1", "2.01", XRP)
    assert [quoting_of(quotes) for quotes in ((bid, ask), (bid,), (ask,), ())] == [
        "both",
        "bid",
        "ask",
        "none",
    ]


# purity


@pytest.mark.parametrize(
    "observation",
    [
        seen(),
        seen(stop=KILL),
        seen("silence", close_time=NOW + 15),
        seen("fault", faults=(FAULT,)),
        seen(capital=(core.capital(CapitalKind.DEPOSIT, rlusd="3"),)),
    ],
)
def test_the_same_twice_gives_the_same_and_leaves_the_state_as_it_was(observation: Observation) -> None:
    state = working(OUR_BID, OUR_ASK)
    before = copy.deepcopy(state)
    one = decide(state, observation, CONFIG, observation.close_time)
    other = decide(copy.deepcopy(state), copy.deepcopy(observation), CONFIG, observation.close_time)
    assert one == other
    assert state == before


def test_on_a_ledger_that_was_overtaken_nothing_is_decided() -> None:
    decision = decide(opened(), seen(overtaken=True), CONFIG, NOW)
    assert decision.commands == ()
    assert decision.quoting == "none"
    assert gates(decision) == ["Behind"]
    later = decide(decision.state, seen(), CONFIG, NOW)
    assert later.quoting == "both"


def test_a_stop_on_a_ledger_that_was_overtaken_cancels_on_the_next() -> None:
    decision = decide(working(OUR_BID, OUR_ASK), seen(overtaken=True, stop=KILL), CONFIG, NOW)
    assert decision.halt == KILL
    assert decision.commands == ()
    assert cancelled(decide(decision.state, seen(), CONFIG, NOW)) == {1, 2}


def test_what_a_ledger_showed_besides_our_orders_is_booked_before_the_balances_are_compared() -> None:
    came = AccountFinding(kind=FindingKind.PAID_IN, ledger_index=1000, detail="a payment", base_drops=5 * XRP)
    richer = core.account(DROPS + 5 * XRP, RLUSD, owner_count=1)
    config = CONFIG.model_copy(
        update={"reconciler": CONFIG.reconciler.model_copy(update={"interval_ticks": 1})}
    )
    decision = decide(opened(), seen(report=report(account=richer, findings=(came,))), config, NOW)
    assert [(one.event.base_drops, one.applied) for one in decision.capital] == [(5 * XRP, True)]
    assert {one.name for one in decision.findings} == {"paid_in"}  # and no balance_mismatch
    assert decision.accounts.base_drops == DROPS + 5 * XRP
