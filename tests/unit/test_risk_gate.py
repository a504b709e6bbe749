"""The risk gate: each limit exactly at, below and above it."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from msgspec.structs import replace

from neo_engine.domain.market import MarketSnapshot
from neo_engine.domain.orders import Order, OrderStatus, Quote
from neo_engine.domain.records import Accounts
from neo_engine.risk import ApprovalContext, Approved, Refused, approve, approve_all
from tests.unit.core_values import XRP, accounts, order, paper_config, quote, snapshot, with_config

CONFIG = paper_config()
BID = quote("bid-1", "1.99", 7 * XRP)
ASK = quote("ask-1", "2.01", 7 * XRP)


def judged(
    wanted: Quote,
    *,
    view: Accounts | None = None,
    working: tuple[Order, ...] = (),
    market: MarketSnapshot | None = None,
    approved: tuple[Quote, ...] = (),
) -> str | None:
    """The name of the limit that refuses the quote, or None."""
    answer = approve(
        wanted,
        ApprovalContext(
            accounts=view or accounts(100 * XRP, "220"),
            working=working,
            snapshot=market or snapshot(),
            config=CONFIG,
            approved=approved,
        ),
    )
    if isinstance(answer, Approved):
        assert answer.quote == wanted
        return None
    assert answer.reason
    return answer.name


def test_sound_quotes_pass() -> None:
    assert judged(BID) is None
    assert judged(ASK) is None


@pytest.mark.parametrize("bad", ["NaN", "sNaN", "Infinity", "-Infinity", "0", "-1"])
def test_a_number_that_is_no_positive_finite_one_is_refused(bad: str) -> None:
    assert judged(replace(BID, price=D(bad))) == "BadNumber"
    assert judged(replace(BID, quote=D(bad))) == "BadNumber"


@pytest.mark.parametrize("drops", [0, -1])
def test_no_drops_are_no_order(drops: int) -> None:
    assert judged(replace(BID, base_drops=drops)) == "BadNumber"


@pytest.mark.parametrize(
    ("quote_amount", "refused"), [("13.93", False), ("13.9313", False), ("13.94", True), ("139.3", True)]
)
def test_amounts_that_are_not_the_price_are_refused(quote_amount: str, refused: bool) -> None:
    # 7 XRP at 1.99 is 13.93; one basis point of it is 0.0014.
    assert (judged(replace(BID, quote=D(quote_amount))) == "BadNumber") is refused


@pytest.mark.parametrize(("drops", "refused"), [(24_999_999, False), (25_000_000, False), (25_000_001, True)])
def test_an_order_above_its_largest_size_is_refused(drops: int, refused: bool) -> None:
    market = snapshot(best_ask=D("2.5"))
    assert (judged(quote("bid-1", "2", drops), market=market) == "MaxOrderSize") is refused


@pytest.mark.parametrize(("price", "refused"), [("2.009999", False), ("2.01", True), ("2.02", True)])
def test_a_bid_may_not_reach_the_best_ask(price: str, refused: bool) -> None:
    assert (judged(quote("bid-1", price, 7 * XRP)) == "WouldCross") is refused


@pytest.mark.parametrize(("price", "refused"), [("1.990001", False), ("1.99", True), ("1.98", True)])
def test_an_ask_may_not_reach_the_best_bid(price: str, refused: bool) -> None:
    assert (judged(quote("ask-1", price, 7 * XRP)) == "WouldCross") is refused


def test_an_empty_side_cannot_be_crossed() -> None:
    assert judged(quote("bid-1", "2.05", 7 * XRP), market=snapshot(best_ask=None)) is None
    assert judged(quote("ask-1", "1.95", 7 * XRP), market=snapshot(best_bid=None)) is None


def test_quotes_of_one_tick_may_not_cross_each_other() -> None:
    market = snapshot(best_bid=None, best_ask=None)
    bid, ask = quote("bid-1", "2", 7 * XRP), quote("ask-1", "2", 7 * XRP)
    assert judged(ask, market=market, approved=(bid,)) == "WouldCross"
    assert judged(bid, market=market, approved=(ask,)) == "WouldCross"
    assert judged(quote("ask-1", "2.000001", 7 * XRP), market=market, approved=(bid,)) is None


@pytest.mark.parametrize(
    ("held", "refused"), [(142_999_999, False), (143_000_000, False), (143_000_001, True)]
)
def test_a_bid_that_would_fill_beyond_the_xrp_limit_is_refused(held: int, refused: bool) -> None:
    assert (judged(BID, view=accounts(held)) == "MaxExposure") is refused


@pytest.mark.parametrize(("held", "refused"), [("385.92", False), ("385.93", False), ("385.9301", True)])
def test_an_ask_that_would_fill_beyond_the_rlusd_limit_is_refused(held: str, refused: bool) -> None:
    # 7 XRP at 2.01 bring 14.07.
    assert (judged(ASK, view=accounts(0, held)) == "MaxExposure") is refused


@pytest.mark.parametrize(("held", "refused"), [(139 * XRP, False), (139 * XRP + 1, True)])
def test_other_working_orders_of_the_side_count_with_what_is_left_of_them(held: int, refused: bool) -> None:
    other = order(1, "bid-2", "1.98", 7 * XRP, OrderStatus.PARTIALLY_FILLED, remaining_base_drops=4 * XRP)
    assert (judged(BID, view=accounts(held), working=(other,)) == "MaxExposure") is refused


@pytest.mark.parametrize(("held", "refused"), [("377.85", False), ("377.8501", True)])
def test_other_working_asks_count_with_the_rlusd_they_would_bring(held: str, refused: bool) -> None:
    # 14.07 of the quote and 4 XRP left at 2.02.
    other = order(1, "ask-2", "2.02", 7 * XRP, OrderStatus.PARTIALLY_FILLED, remaining_quote=D("8.08"))
    bid = order(2, "bid-1", "1.9", 7 * XRP)
    assert (judged(ASK, view=accounts(0, held), working=(other, bid)) == "MaxExposure") is refused


def test_the_other_side_does_not_count() -> None:
    other = order(1, "ask-1", "2.02", 7 * XRP)
    assert judged(BID, view=accounts(143 * XRP), working=(other,)) is None


@pytest.mark.parametrize(("held", "refused"), [(136 * XRP, False), (136 * XRP + 1, True)])
def test_an_order_and_its_replacement_can_both_fill_so_both_count(held: int, refused: bool) -> None:
    old = order(1, "bid-1", "1.98", 7 * XRP)
    assert (judged(BID, view=accounts(held), working=(old,)) == "MaxExposure") is refused


@pytest.mark.parametrize(("held", "refused"), [(143 * XRP, False), (143 * XRP + 1, True)])
def test_a_quote_whose_order_stays_in_place_counts_once(held: int, refused: bool) -> None:
    lifetime = CONFIG.execution.offer_lifetime_seconds
    old = order(1, "bid-1", "1.99", 7 * XRP, expiration=snapshot().close_time + lifetime)
    assert (judged(BID, view=accounts(held), working=(old,)) == "MaxExposure") is refused


def test_quotes_approved_before_count() -> None:
    second = quote("bid-2", "1.98", 7 * XRP)
    assert judged(second, view=accounts(136 * XRP), approved=(BID,)) is None
    assert judged(second, view=accounts(136 * XRP + 1), approved=(BID,)) == "MaxExposure"


@pytest.mark.parametrize(("others", "refused"), [(8, False), (9, False), (10, True)])
def test_never_more_than_the_allowed_orders_work(others: int, refused: bool) -> None:
    working = tuple(order(i, f"ask-{i}", "2.5", XRP) for i in range(1, others + 1))
    assert (judged(BID, working=working) == "MaxOpenOrders") is refused


def test_a_replace_adds_no_order() -> None:
    working = tuple(order(i, f"bid-{i}", "1.5", XRP) for i in range(1, 11))
    assert judged(BID, working=working) is None


def test_a_slot_is_quoted_once() -> None:
    assert judged(BID, approved=(BID,)) == "DuplicateSlot"


def test_approved_and_denied_keep_their_order() -> None:
    quotes = (BID, quote("bid-2", "2.5", 7 * XRP), ASK, quote("ask-2", "1.5", 7 * XRP), BID)
    approved, denied = approve_all(quotes, accounts(100 * XRP, "220"), (), snapshot(), CONFIG)
    assert approved == (BID, ASK)
    assert [(one.quote.slot, one.name) for one in denied] == [
        ("bid-2", "WouldCross"),
        ("ask-2", "WouldCross"),
        ("bid-1", "DuplicateSlot"),
    ]


def test_a_refused_quote_leaves_room_for_the_next() -> None:
    config = with_config("risk", max_open_orders=2)
    quotes = (quote("bid-1", "2.5", 7 * XRP), quote("bid-2", "1.98", 7 * XRP), ASK)
    approved, _ = approve_all(quotes, accounts(100 * XRP, "220"), (), snapshot(), config)
    assert [one.slot for one in approved] == ["bid-2", "ask-1"]


def test_a_refusal_becomes_a_gate_of_its_side() -> None:
    refused = Refused(quote=ASK, name="WouldCross", reason="numbers")
    assert (refused.gate.name, refused.gate.side, refused.gate.detail) == (
        "WouldCross",
        "ask",
        "ask-1: numbers",
    )
    assert Refused(quote=BID, name="WouldCross", reason="numbers").gate.side == "bid"
