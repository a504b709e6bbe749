"""The order diff: what is kept, replaced, placed and cancelled, and in which order it is sent."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from neo_engine.config import Config
from neo_engine.domain.orders import CancelOrder, Command, Order, OrderStatus, PlaceOrder, Quote
from neo_engine.execution.diff import OrderDiff, diff
from tests.unit.core_values import NOW, XRP, order, paper_config, quote, with_config

S = OrderStatus


def run(
    quotes: tuple[Quote, ...],
    orders: tuple[Order, ...],
    *,
    config: Config | None = None,
    close_time: int = NOW,
    ledger: int = 1002,
) -> OrderDiff:
    return diff(
        quotes,
        orders,
        config or paper_config(),
        close_time=close_time,
        ledger_index=ledger,
        next_order_id=50,
    )


def short(command: Command) -> str:
    """`place bid-1`, `replace 3 bid-1` or `cancel 3`."""
    if isinstance(command, CancelOrder):
        return f"cancel {command.order_id}"
    if command.replaces is None:
        return f"place {command.quote.slot}"
    return f"replace {command.replaces} {command.quote.slot}"


def commands(result: OrderDiff) -> list[str]:
    return [short(command) for command in result.commands]


BID, ASK = quote("bid-1", "1.99", 7 * XRP), quote("ask-1", "2.01", 7 * XRP)
OLD_BID, OLD_ASK = order(1, "bid-1", "1.99", 7 * XRP), order(2, "ask-1", "2.01", 7 * XRP)


def test_quotes_without_orders_are_placed_with_ids_in_order() -> None:
    result = run((BID, ASK), ())
    assert commands(result) == ["place bid-1", "place ask-1"]
    assert [new.order_id for new in result.new_orders] == [50, 51]
    assert result.next_order_id == 52
    assert {new.status for new in result.new_orders} == {S.PENDING_SUBMIT}
    assert [(new.base_drops, new.remaining_base_drops, new.created_ledger) for new in result.new_orders] == [
        (7 * XRP, 7 * XRP, 1002)
    ] * 2


def test_orders_as_wanted_are_kept() -> None:
    result = run((BID, ASK), (OLD_BID, OLD_ASK))
    assert (result.commands, result.kept, result.next_order_id) == ((), 2, 50)


def test_orders_without_a_quote_are_cancelled() -> None:
    result = run((), (OLD_BID, OLD_ASK))
    assert commands(result) == ["cancel 1", "cancel 2"]
    assert result.canceled == 2
    assert [command.offer_sequence for command in result.commands if isinstance(command, CancelOrder)] == [
        101,
        102,
    ]


# 1 bps of 2 is 0.0002
@pytest.mark.parametrize(("price", "kept"), [("2.000199", 1), ("2.0002", 1), ("2.000201", 0), ("1.9998", 1)])
def test_an_order_within_the_price_tolerance_keeps_its_place(price: str, kept: int) -> None:
    result = run((quote("bid-1", price, 7 * XRP),), (order(1, "bid-1", "2", 7 * XRP),))
    assert result.kept == kept
    assert commands(result) == ([] if kept else ["replace 1 bid-1"])


# tolerance 0.25 of the 8 XRP wanted
@pytest.mark.parametrize(("left", "kept"), [(5_999_999, 0), (6_000_000, 1), (10_000_000, 1), (10_000_001, 0)])
def test_what_is_left_of_an_order_is_compared_with_the_size_wanted(left: int, kept: int) -> None:
    old = order(
        1,
        "bid-1",
        "2",
        12 * XRP,
        S.PARTIALLY_FILLED,
        remaining_base_drops=left,
        remaining_quote=D(2) * left / XRP,
        filled_base_drops=12 * XRP - left,
    )
    assert run((quote("bid-1", "2", 8 * XRP),), (old,)).kept == kept


@pytest.mark.parametrize(("left", "kept"), [(999_999, 0), (1_000_000, 1)])
def test_a_remainder_below_the_minimum_notional_is_replaced(left: int, kept: int) -> None:
    old = order(
        1,
        "bid-1",
        "2",
        7 * XRP,
        S.PARTIALLY_FILLED,
        remaining_base_drops=left,
        remaining_quote=D(2) * left / XRP,
    )
    assert run((quote("bid-1", "2", 1_100_000),), (old,)).kept == kept


@pytest.mark.parametrize(("left", "kept"), [(59, 0), (60, 1), (61, 1)])
def test_an_order_near_its_expiration_is_replaced(left: int, kept: int) -> None:
    result = run((BID,), (order(1, "bid-1", "1.99", 7 * XRP, expiration=NOW + left),))
    assert result.kept == kept


def test_an_order_without_expiration_is_replaced_only_when_offers_should_expire() -> None:
    old = order(1, "bid-1", "1.99", 7 * XRP, expiration=None)
    assert run((BID,), (old,)).kept == 0
    never = with_config("execution", offer_lifetime_seconds=0, offer_refresh_seconds=0)
    assert run((BID,), (old,), config=never).kept == 1


def test_new_offers_expire_after_their_lifetime() -> None:
    (command,) = run((BID,), ()).commands
    assert isinstance(command, PlaceOrder)
    assert command.quote.expiration == NOW + 600
    never = with_config("execution", offer_lifetime_seconds=0, offer_refresh_seconds=0)
    (command,) = run((BID,), (), config=never).commands
    assert isinstance(command, PlaceOrder)
    assert command.quote.expiration is None


def test_a_replace_names_the_order_and_the_sequence_it_removes() -> None:
    result = run((quote("bid-1", "1.98", 7 * XRP),), (OLD_BID,))
    (command,) = result.commands
    assert isinstance(command, PlaceOrder)
    assert (command.order_id, command.replaces, command.replaces_sequence) == (50, 1, 101)
    assert result.replaces == {50: 1}
    assert result.canceled == 0


@pytest.mark.parametrize("status", [S.PENDING_SUBMIT, S.SUBMITTED, S.UNKNOWN, S.PENDING_CANCEL])
@pytest.mark.parametrize("wanted", [(), (quote("bid-1", "1.5", XRP),)], ids=["no quote", "quote"])
def test_an_order_in_flight_is_left_alone(status: OrderStatus, wanted: tuple[Quote, ...]) -> None:
    result = run(wanted, (order(1, "bid-1", "1.99", 7 * XRP, status),))
    assert (result.commands, result.new_orders, result.in_flight) == ((), (), ("bid-1",))


# the cancel was sent after ledger 1001 with an offset of 4: it may still come in 1005
@pytest.mark.parametrize(("ledger", "sent"), [(1005, []), (1006, ["cancel 1"])])
def test_a_cancel_is_sent_again_once_it_can_never_come(ledger: int, sent: list[str]) -> None:
    result = run((), (order(1, "bid-1", "1.99", 7 * XRP, S.PENDING_CANCEL),), ledger=ledger)
    assert commands(result) == sent


def test_an_order_whose_cancel_is_lost_is_replaced_never_kept() -> None:
    result = run((BID,), (order(1, "bid-1", "1.99", 7 * XRP, S.PENDING_CANCEL),), ledger=1006)
    assert commands(result) == ["replace 1 bid-1"]


def test_a_slot_whose_replacement_is_in_flight_is_left_alone() -> None:
    pair = (
        order(1, "bid-1", "1.99", 7 * XRP, S.PENDING_CANCEL),
        order(2, "bid-1", "1.98", 7 * XRP, S.SUBMITTED),
    )
    assert run((), pair, ledger=1020).commands == ()


def test_of_two_orders_in_a_slot_the_resting_newer_one_is_kept() -> None:
    pair = (order(1, "bid-1", "1.9", 7 * XRP, S.PENDING_CANCEL), order(2, "bid-1", "1.99", 7 * XRP))
    result = run((BID,), pair, ledger=1020)
    assert commands(result) == ["cancel 1"]
    assert result.kept == 1


def test_in_a_jump_up_the_ask_moves_before_the_bid() -> None:
    # The new bid, 2.05, is above our old ask, 2.01: sent first it would delete the ask.
    quotes = (quote("bid-1", "2.05", 7 * XRP), quote("ask-1", "2.07", 7 * XRP))
    assert commands(run(quotes, (OLD_BID, OLD_ASK))) == ["replace 2 ask-1", "replace 1 bid-1"]


def test_in_a_jump_down_the_bid_moves_before_the_ask() -> None:
    quotes = (quote("ask-1", "1.95", 7 * XRP), quote("bid-1", "1.93", 7 * XRP))
    assert commands(run(quotes, (OLD_BID, OLD_ASK))) == ["replace 1 bid-1", "replace 2 ask-1"]


def test_an_equal_price_is_run_over_too() -> None:
    quotes = (quote("bid-1", "2.01", 7 * XRP), quote("ask-1", "2.03", 7 * XRP))
    assert commands(run(quotes, (OLD_BID, OLD_ASK))) == ["replace 2 ask-1", "replace 1 bid-1"]


def test_without_a_jump_the_order_of_the_quotes_stays() -> None:
    quotes = (quote("ask-1", "2.02", 7 * XRP), quote("bid-1", "1.98", 7 * XRP))
    assert commands(run(quotes, (OLD_BID, OLD_ASK))) == ["replace 2 ask-1", "replace 1 bid-1"]


def test_an_order_only_cancelled_leaves_before_anything_is_placed() -> None:
    assert commands(run((quote("bid-1", "2.05", 7 * XRP),), (OLD_ASK,))) == ["cancel 2", "place bid-1"]


@pytest.mark.parametrize("status", [S.SUBMITTED, S.UNKNOWN, S.PENDING_CANCEL])
def test_a_quote_that_would_cross_an_own_order_in_flight_waits(status: OrderStatus) -> None:
    result = run((quote("bid-1", "2.01", 7 * XRP),), (order(2, "ask-1", "2.01", 7 * XRP, status),))
    assert result.commands == ()
    assert [(gate.name, gate.side) for gate in result.gates] == [("SelfCross", "bid")]
    assert "order 2 at 2.01" in result.gates[0].detail


def test_a_quote_held_back_leaves_its_old_order_standing() -> None:
    flying = order(2, "ask-1", "2.01", 7 * XRP, S.SUBMITTED)
    result = run((quote("bid-1", "2.02", 7 * XRP),), (OLD_BID, flying))
    assert (result.commands, result.kept) == ((), 1)


@pytest.mark.parametrize(("limit", "placed"), [(2, 1), (3, 2)])
def test_never_more_orders_than_allowed(limit: int, placed: int) -> None:
    config = with_config("risk", max_open_orders=limit)
    result = run((BID, ASK), (order(9, "bid-2", "1.9", 7 * XRP, S.SUBMITTED),), config=config)
    assert len(result.new_orders) == placed
    assert [gate.name for gate in result.gates] == ["MaxOpenOrders"] * (2 - placed)


def test_a_replacement_on_its_way_counts_once() -> None:
    config = with_config("risk", max_open_orders=2)
    pair = (
        order(1, "bid-1", "1.99", 7 * XRP, S.PENDING_CANCEL),
        order(3, "bid-1", "1.98", 7 * XRP, S.SUBMITTED),
    )
    assert commands(run((ASK,), pair, config=config)) == ["place ask-1"]


def test_a_changed_side_is_replaced() -> None:
    wrong = order(1, "bid-1", "1.99", 7 * XRP, side=OLD_ASK.side)
    assert run((BID,), (wrong,)).kept == 0
