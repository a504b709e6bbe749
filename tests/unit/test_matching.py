"""What a taker takes: one claim a test, books small enough to do by hand.

Rates in these books are round: an ask at 2 RLUSD per XRP has the rate 0.000002 RLUSD per drop, a bid at
2 the rate 500000 drops per RLUSD. The recordings are checked elsewhere, to the last digit.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from neo_engine.domain.amm import Pool
from neo_engine.domain.assets import Side
from neo_engine.domain.book import BookOffer
from neo_engine.domain.errors import InvariantViolation
from neo_engine.domain.ledger import LedgerTransaction
from neo_engine.domain.liquidity import RemovalReason
from neo_engine.domain.matching import (
    Liquidity,
    MatchResult,
    OrderKind,
    Outcome,
    TakerOrder,
    match,
)
from neo_engine.domain.taker import taker_order

D = Decimal
XRP = 1_000_000
NOW = 5000
Funds = Callable[[str], Decimal | int | None]


def ask(name: str, xrp: str, price: str, **fields: Any) -> BookOffer:
    base = int(D(xrp) * XRP)
    rate = D(price) / XRP
    return resting(name, Side.SELL, base, base * rate, rate, **fields)


def bid(name: str, xrp: str, price: str, **fields: Any) -> BookOffer:
    base = int(D(xrp) * XRP)
    rate = XRP / D(price)
    return resting(name, Side.BUY, base, base / rate, rate, **fields)


def resting(name: str, side: Side, base: int, quote: Decimal, rate: Decimal, **fields: Any) -> BookOffer:
    values: dict[str, Any] = {
        "index": name,
        "side": side,
        "owner": f"r{name}",
        "sequence": 1,
        "base_drops": base,
        "quote": quote,
        "rate": rate,
        "book_directory": "",
        "book_node": "0",
        "owner_node": "0",
        "flags": 0,
        "expiration": None,
        "previous_txn_id": "",
        "previous_txn_ledger": 1,
        "arrival": 0,
    }
    return BookOffer(**(values | fields))


def against(
    *offers: BookOffer,
    funds: dict[str, Decimal | int | None] | None = None,
    pool: Pool | None = None,
    tick_size: int = 16,
) -> Liquidity:
    known = funds or {}
    return Liquidity(
        offers=offers,
        funds=lambda owner: known.get(owner, 10**17),
        pool=pool,
        tick_size=tick_size,
        parent_close_time=NOW,
    )


def order(side: Side, xrp: str, rlusd: str, **fields: Any) -> TakerOrder:
    values: dict[str, Any] = {
        "kind": OrderKind.OFFER,
        "taker": "rTaker",
        "side": side,
        "base_drops": int(D(xrp) * XRP),
        "quote": D(rlusd),
        "funds": 10**17,
    }
    return TakerOrder(**(values | fields))


def taken(result: MatchResult) -> dict[str, tuple[int, Decimal]]:
    return {take.index: (take.base_drops, take.quote) for take in result.takes}


def removed(result: MatchResult) -> dict[str, RemovalReason]:
    return {removal.index: removal.reason for removal in result.removals}


def test_a_buyer_takes_the_cheapest_ask_first_at_its_own_price() -> None:
    result = match(order(Side.BUY, "15", "31.5"), against(ask("A", "10", "2"), ask("B", "10", "2.1")))
    assert taken(result) == {"A": (10 * XRP, D(20)), "B": (5 * XRP, D("10.5"))}
    assert [take.gone for take in result.takes] == [True, False]
    assert (result.takes[1].left_base_drops, result.takes[1].left_quote) == (5 * XRP, D("10.5"))
    assert (result.base_drops, result.quote, result.remainder) == (15 * XRP, D("30.5"), None)


def test_a_seller_takes_the_highest_bid_first_at_its_own_price() -> None:
    result = match(
        order(Side.SELL, "15", "15", sell=True), against(bid("A", "10", "2"), bid("B", "10", "1.6"))
    )
    assert taken(result) == {"A": (10 * XRP, D(20)), "B": (5 * XRP, D(8))}
    assert (result.base_drops, result.quote) == (15 * XRP, D(28))


def test_at_one_rate_the_older_offer_is_taken_first() -> None:
    result = match(order(Side.BUY, "10", "20"), against(ask("Old", "10", "2"), ask("New", "10", "2")))
    assert list(taken(result)) == ["Old"]


def test_offers_of_one_rate_are_taken_in_one_round() -> None:
    result = match(order(Side.BUY, "20", "40"), against(ask("A", "10", "2"), ask("B", "10", "2")))
    assert (result.rounds, len(result.takes)) == (1, 2)


def test_what_is_not_filled_rests_at_the_original_rate() -> None:
    result = match(order(Side.BUY, "15", "31.5"), against(ask("A", "10", "2")))
    rest = result.remainder
    assert rest is not None
    # 5 XRP are still wanted at 2.1; the 0.1 RLUSD per XRP saved on the first ten stays with the buyer.
    assert (rest.base_drops, rest.quote) == (5 * XRP, D("10.5"))
    assert abs(rest.rate - D(15 * XRP) / D("31.5")) < D("1E-9")


def test_a_sale_rests_with_the_xrp_it_has_not_sold() -> None:
    result = match(order(Side.SELL, "15", "30", sell=True), against(bid("A", "10", "2.5")))
    rest = result.remainder
    assert rest is not None
    assert (rest.base_drops, rest.quote, rest.rate) == (5 * XRP, D(10), D("0.000002"))


def test_without_the_sell_flag_a_seller_stops_at_what_he_asked_for() -> None:
    result = match(order(Side.SELL, "10", "20"), against(bid("A", "20", "2.5")))
    assert (result.base_drops, result.quote, result.remainder) == (8 * XRP, D(20), None)


def test_with_the_sell_flag_a_buyer_spends_everything() -> None:
    result = match(order(Side.BUY, "10", "20", sell=True), against(ask("A", "20", "1.6")))
    assert (result.base_drops, result.quote) == (12_500_000, D(20))


def test_with_the_sell_flag_a_buyer_rests_with_the_token_he_has_not_spent() -> None:
    result = match(order(Side.BUY, "10", "20", sell=True), against(ask("A", "5", "1.6")))
    rest = result.remainder
    assert rest is not None
    assert (rest.base_drops, rest.quote) == (6 * XRP, D(12))


def test_a_seller_without_the_flag_rests_with_what_he_still_wants() -> None:
    result = match(order(Side.SELL, "10", "20"), against(bid("A", "4", "2.5")))
    rest = result.remainder
    assert rest is not None
    assert (rest.base_drops, rest.quote) == (5 * XRP, D(10))


def test_nothing_is_taken_above_the_limit() -> None:
    result = match(order(Side.BUY, "10", "20"), against(ask("A", "10", "2.000001")))
    assert (result.takes, result.outcome) == ((), Outcome.DONE)
    assert result.remainder is not None
    assert (result.remainder.base_drops, result.remainder.quote) == (10 * XRP, D(20))


def test_passive_leaves_its_own_rate_alone_but_takes_better() -> None:
    book = against(ask("A", "5", "1.9"), ask("B", "10", "2"))
    result = match(order(Side.BUY, "10", "20", passive=True), book)
    assert list(taken(result)) == ["A"]
    assert result.remainder is not None
    assert result.remainder.base_drops == 5 * XRP


def test_fill_or_kill_takes_all_or_nothing() -> None:
    book = against(ask("A", "10", "2"))
    killed = match(order(Side.BUY, "11", "22", fill_or_kill=True), book)
    assert (killed.outcome, killed.takes, killed.remainder) == (Outcome.KILLED, (), None)
    filled = match(order(Side.BUY, "10", "22", fill_or_kill=True), book)
    assert (filled.outcome, taken(filled)) == (Outcome.DONE, {"A": (10 * XRP, D(20))})


def test_fill_or_kill_with_the_sell_flag_must_spend_all() -> None:
    book = against(bid("A", "10", "2"))
    killed = match(order(Side.SELL, "11", "20", fill_or_kill=True, sell=True), book)
    filled = match(order(Side.SELL, "10", "15", fill_or_kill=True, sell=True), book)
    assert (killed.outcome, filled.outcome, filled.quote) == (Outcome.KILLED, Outcome.DONE, D(20))


def test_immediate_or_cancel_never_rests() -> None:
    partly = match(order(Side.BUY, "15", "30", immediate_or_cancel=True), against(ask("A", "10", "2")))
    assert (partly.outcome, partly.base_drops, partly.remainder) == (Outcome.DONE, 10 * XRP, None)
    nothing = match(order(Side.BUY, "15", "30", immediate_or_cancel=True), against(ask("A", "10", "3")))
    assert (nothing.outcome, nothing.remainder) == (Outcome.KILLED, None)


def test_an_offer_expires_with_the_close_of_the_parent_ledger() -> None:
    book = against(
        ask("Gone", "10", "2", expiration=NOW), ask("Last", "10", "2", expiration=NOW + 1), ask("B", "9", "2")
    )
    result = match(order(Side.BUY, "15", "30"), book)
    assert list(taken(result)) == ["Last", "B"]
    assert removed(result) == {"Gone": RemovalReason.EXPIRED}


def test_an_offer_without_funds_is_removed() -> None:
    result = match(
        order(Side.BUY, "5", "10"), against(ask("A", "9", "2"), ask("B", "9", "2"), funds={"rA": 0})
    )
    assert list(taken(result)) == ["B"]
    assert removed(result) == {"A": RemovalReason.UNFUNDED}


def test_a_killed_order_still_cleans_up_what_it_found_stale() -> None:
    book = against(ask("A", "9", "2"), ask("B", "9", "2"), funds={"rA": 0})
    killed = match(order(Side.BUY, "10", "20", fill_or_kill=True), book)
    assert (killed.outcome, removed(killed)) == (Outcome.KILLED, {"A": RemovalReason.UNFUNDED})


def test_an_offer_gives_what_its_owner_has_and_is_gone() -> None:
    result = match(order(Side.BUY, "10", "20"), against(ask("A", "9", "2"), funds={"rA": 4 * XRP}))
    assert taken(result) == {"A": (4 * XRP, D(8))}
    take = result.takes[0]
    assert (take.gone, take.left_base_drops, take.left_quote) == (True, 5 * XRP, D(10))


def test_two_offers_of_one_owner_share_his_funds() -> None:
    book = against(
        bid("A", "4", "2"),
        bid("B", "4", "2", owner="rA"),
        bid("C", "4", "2", owner="rA"),
        funds={"rA": D(12)},
    )
    result = match(order(Side.SELL, "12", "20", sell=True), book)
    assert taken(result) == {"A": (4 * XRP, D(8)), "B": (2 * XRP, D(4))}
    # C became unfunded in this very round, so it goes with the round.
    assert removed(result) == {"C": RemovalReason.UNFUNDED}


def test_an_offer_that_became_unfunded_is_removed_when_the_next_round_finds_it() -> None:
    book = against(
        ask("A", "4", "2"), ask("B", "4", "2.1", owner="rA"), ask("C", "4", "2.2"), funds={"rA": 4 * XRP}
    )
    result = match(order(Side.BUY, "8", "20"), book)
    assert list(taken(result)) == ["A", "C"]
    assert removed(result) == {"B": RemovalReason.UNFUNDED}


def test_the_issuer_gives_without_limit() -> None:
    result = match(order(Side.SELL, "10", "10", sell=True), against(bid("A", "10", "2"), funds={"rA": None}))
    assert taken(result) == {"A": (10 * XRP, D(20))}


def test_the_takers_own_offers_in_his_way_are_removed_and_not_traded() -> None:
    book = against(
        ask("Mine", "5", "1.9", owner="rTaker"), ask("A", "5", "2"), ask("Mine2", "5", "2", owner="rTaker")
    )
    result = match(order(Side.BUY, "10", "20"), book)
    assert list(taken(result)) == ["A"]
    assert removed(result) == {"Mine": RemovalReason.SELF_CROSSED, "Mine2": RemovalReason.SELF_CROSSED}


def test_the_takers_own_offers_beyond_his_limit_stay() -> None:
    result = match(order(Side.BUY, "10", "20"), against(ask("Mine", "5", "2.1", owner="rTaker")))
    assert removed(result) == {}


def test_a_bid_reduced_to_dust_is_removed() -> None:
    # One drop for a millionth of a millionth: at two RLUSD per XRP that drop is worth more.
    dust = resting("Dust", Side.BUY, 1, D("1E-9"), D(500_000))
    empty = resting("Empty", Side.BUY, 0, D(0), D(500_000))
    result = match(order(Side.SELL, "1", "1", sell=True), against(empty, dust, bid("A", "10", "2")))
    assert list(taken(result)) == ["A"]
    assert removed(result) == {"Empty": RemovalReason.DUST, "Dust": RemovalReason.DUST}


@pytest.mark.parametrize(("funds", "alive"), [("1E-6", False), ("0.000001", False), ("0.000002", True)])
def test_a_bid_whose_owner_can_pay_for_less_than_a_drop_is_removed(funds: str, alive: bool) -> None:
    book = against(bid("A", "10", "2"), funds={"rA": D(funds)})
    result = match(order(Side.SELL, "1", "1", sell=True), book)
    assert bool(result.takes) is alive
    assert (removed(result) == {}) is alive


def test_a_taker_pays_only_what_he_has_and_then_rests_nothing() -> None:
    result = match(order(Side.BUY, "10", "20", funds=D(9)), against(ask("A", "10", "2")))
    assert (result.base_drops, result.quote, result.remainder) == (4_500_000, D(9), None)


def test_a_taker_without_limit_of_funds_pays_what_he_offered() -> None:
    result = match(order(Side.BUY, "10", "20", funds=None), against(ask("A", "20", "2")))
    assert (result.base_drops, result.quote) == (10 * XRP, D(20))


@pytest.mark.parametrize("funds", [D(0), 0, D(-1)])
def test_a_taker_with_nothing_is_refused(funds: Decimal | int) -> None:
    assert match(order(Side.BUY, "10", "20", funds=funds), against()).outcome is Outcome.UNFUNDED


def test_an_expired_order_does_nothing() -> None:
    result = match(order(Side.BUY, "10", "20", expiration=NOW), against(ask("A", "10", "2")))
    assert (result.outcome, result.takes) == (Outcome.EXPIRED, ())
    assert match(order(Side.BUY, "10", "20", expiration=NOW + 1), against()).outcome is Outcome.DONE


@pytest.mark.parametrize(("side", "sell"), [(Side.BUY, True), (Side.SELL, False)])
def test_the_coarsest_tick_leaves_a_single_drop_standing(side: Side, sell: bool) -> None:
    # Both recompute the drops: 1 / 1.0101 and 1 * 1.0101, to the nearest drop.
    quote = D(1) / D("1.0001") if side is Side.BUY else D("1.0001")
    rest = match(order(side, "1", "1", base_drops=1, quote=quote, sell=sell), against(tick_size=3)).remainder
    assert rest is not None
    assert rest.base_drops == 1


def test_the_reserve_forbids_resting_but_not_crossing() -> None:
    refused = match(order(Side.BUY, "10", "20", may_rest=False), against(ask("A", "10", "3")))
    assert (refused.outcome, refused.remainder) == (Outcome.NO_RESERVE, None)
    crossed = match(order(Side.BUY, "10", "20", may_rest=False), against(ask("A", "5", "2")))
    assert (crossed.outcome, crossed.base_drops, crossed.remainder) == (Outcome.DONE, 5 * XRP, None)


def test_an_offer_needs_both_amounts() -> None:
    with pytest.raises(InvariantViolation, match="both amounts"):
        match(order(Side.BUY, "1", "1", quote=None), against())


def payment(side: Side, xrp: str, rlusd: str, **fields: Any) -> TakerOrder:
    return order(side, xrp, rlusd, kind=OrderKind.PAYMENT, **fields)


def test_a_payment_delivers_all_or_fails() -> None:
    book = against(ask("A", "10", "2"))
    short = match(payment(Side.BUY, "11", "100"), book)
    assert (short.outcome, short.takes) == (Outcome.PATH_PARTIAL, ())
    full = match(payment(Side.BUY, "10", "100"), book)
    assert (full.outcome, taken(full)) == (Outcome.DONE, {"A": (10 * XRP, D(20))})


def test_a_partial_payment_delivers_what_its_maximum_buys() -> None:
    result = match(payment(Side.BUY, "10", "5", partial=True), against(ask("A", "10", "2")))
    assert (result.outcome, result.base_drops, result.quote) == (Outcome.DONE, 2_500_000, D(5))


def test_a_partial_payment_delivers_no_less_than_its_minimum() -> None:
    pay = payment(Side.BUY, "10", "5", partial=True, deliver_min=2_500_001)
    assert match(pay, against(ask("A", "10", "2"))).outcome is Outcome.PATH_PARTIAL


def test_a_payment_that_finds_nothing_is_dry() -> None:
    assert match(payment(Side.BUY, "10", "5", partial=True), against()).outcome is Outcome.PATH_DRY


def test_a_payment_is_bounded_by_what_the_sender_has() -> None:
    pay = payment(Side.SELL, "10", "20", partial=True, funds=3 * XRP)
    assert match(pay, against(bid("A", "10", "2"))).quote == D(6)
    broke = payment(Side.SELL, "10", "20", partial=True, funds=0)
    assert match(broke, against(bid("A", "10", "2"))).outcome is Outcome.PATH_DRY


def test_a_payment_takes_any_rate_unless_it_limits_quality() -> None:
    book = against(ask("A", "5", "2"), ask("B", "5", "9"))
    anything = match(payment(Side.BUY, "10", "100", partial=True), book)
    assert list(taken(anything)) == ["A", "B"]
    limited = match(payment(Side.BUY, "10", "40", partial=True, limit_quality=True), book)
    assert list(taken(limited)) == ["A"]


def test_a_payment_trades_with_the_senders_own_offers() -> None:
    book = against(ask("Mine", "5", "2", owner="rTaker"))
    assert list(taken(match(payment(Side.BUY, "5", "10"), book))) == ["Mine"]


POOL = Pool(
    account="rPool",
    base_drops=1000 * XRP,
    quote=D(2000),
    trading_fee=0,
    discounted_fee=0,
    auction_accounts=(),
    auction_expiration=0,
)


def test_without_a_book_all_comes_from_the_pool() -> None:
    result = match(payment(Side.BUY, "100", "300"), against(pool=POOL))
    assert result.takes == ()
    assert (result.base_drops, result.pool_base_drops) == (100 * XRP, 100 * XRP)
    assert result.quote == result.pool_quote == D("222.222222222223")
    after = result.pool_after
    assert after is not None
    assert (after.base_drops, after.quote) == (900 * XRP, D("2222.222222222223"))


def test_the_pool_goes_first_up_to_the_rate_of_the_book() -> None:
    # From 2 to 2.42 the pool gives 1000 * (1 - 1/1.1) XRP; the rest comes from the book.
    result = match(order(Side.BUY, "100", "250"), against(ask("A", "100", "2.42"), pool=POOL))
    assert result.pool_base_drops == 90_909_090
    assert taken(result)["A"][0] == 100 * XRP - 90_909_090
    assert result.rounds == 2


def test_a_book_better_than_the_pool_goes_first() -> None:
    result = match(order(Side.SELL, "10", "10", sell=True), against(bid("A", "10", "2.1"), pool=POOL))
    assert (result.pool_base_drops, taken(result)["A"][0]) == (0, 10 * XRP)


def test_an_order_takes_of_the_pool_what_averages_its_own_rate() -> None:
    # 2000 * x / (1000 - x) = 2.5 * x: x = 200.
    result = match(order(Side.BUY, "500", "1250"), against(pool=POOL))
    assert (result.pool_base_drops, result.pool_quote) == (200 * XRP, D(500))
    assert result.remainder is not None
    assert (result.remainder.base_drops, result.remainder.quote) == (300 * XRP, D(750))


def test_a_sale_takes_of_the_pool_what_averages_its_own_rate() -> None:
    # 2000 * x / (1000 + x) = 1.6 * x: x = 250.
    result = match(order(Side.SELL, "500", "800", sell=True), against(pool=POOL))
    assert abs(result.pool_base_drops - 250 * XRP) <= 1
    assert result.pool_quote / result.pool_base_drops >= D("0.0000016")


def test_a_pool_worse_than_the_limit_is_left_alone() -> None:
    result = match(order(Side.BUY, "10", "19"), against(ask("A", "10", "3"), pool=POOL))
    assert (result.pool_base_drops, result.takes) == (0, ())


def test_a_pool_is_not_blocked_by_a_book_beyond_the_limit() -> None:
    result = match(order(Side.BUY, "10", "25"), against(ask("A", "10", "2.6"), pool=POOL))
    assert result.pool_base_drops == 10 * XRP


def leg(side: Side, drops: int | None, **fields: Any) -> TakerOrder:
    values: dict[str, Any] = {"kind": OrderKind.LEG, "base_drops": drops, "quote": None, "funds": None}
    return order(side, "1", "1", **(values | fields))


def test_a_leg_takes_for_the_drops_it_brings() -> None:
    assert match(leg(Side.SELL, 5 * XRP), against(bid("A", "10", "2"))).quote == D(10)
    assert match(leg(Side.BUY, 5 * XRP), against(ask("A", "10", "2"))).quote == D(10)


def test_a_leg_can_be_known_by_its_token() -> None:
    assert match(leg(Side.SELL, None, quote=D(4)), against(bid("A", "10", "2"))).base_drops == 2 * XRP


def test_a_leg_ahead_of_the_book_goes_to_the_pool_at_any_price() -> None:
    book = against(bid("A", "10", "3"), pool=POOL)
    assert taken(match(leg(Side.SELL, XRP), book)) == {"A": (XRP, D(3))}
    ahead = match(leg(Side.SELL, XRP, pool_ahead=True), book)
    assert (ahead.takes, ahead.pool_base_drops) == ((), XRP)


def test_a_leg_in_two_rounds_asks_the_pool_twice() -> None:
    fee = Pool(
        account="rPool",
        base_drops=1000 * XRP,
        quote=D(2000),
        trading_fee=1000,
        discounted_fee=0,
        auction_accounts=(),
        auction_expiration=0,
    )
    whole = match(leg(Side.SELL, 200 * XRP), against(pool=fee))
    halves = match(leg(Side.SELL, 200 * XRP, rounds=(100 * XRP, 100 * XRP)), against(pool=fee))
    assert whole.base_drops == halves.base_drops == 200 * XRP
    assert halves.rounds == 2
    # The first half's fee stays in the pool and is worth something to the second.
    assert whole.quote != halves.quote


def test_a_leg_without_amounts_is_refused() -> None:
    with pytest.raises(InvariantViolation, match="in or out"):
        match(leg(Side.SELL, None), against())


def test_a_bid_taken_in_two_rounds_is_one_take() -> None:
    result = match(leg(Side.SELL, 4 * XRP, rounds=(XRP, 3 * XRP)), against(bid("A", "10", "2")))
    assert taken(result) == {"A": (4 * XRP, D(8))}
    assert (result.rounds, result.takes[0].left_base_drops) == (2, 6 * XRP)


def test_an_order_inside_the_pools_fee_band_takes_nothing_of_it() -> None:
    pool = replace(POOL, trading_fee=300)
    result = match(order(Side.BUY, "10", "20.04"), against(ask("A", "10", "3"), pool=pool))
    assert (result.base_drops, result.outcome) == (0, Outcome.DONE)
    above = match(order(Side.BUY, "1", "2.03"), against(ask("A", "10", "3"), pool=pool))
    assert above.pool_base_drops == XRP


def test_a_pool_that_would_be_overdrawn_by_rounding_refuses_the_round() -> None:
    # A unit of the 16th digit less than the pool's whole offer costs, rounded up, a drop more than it.
    pool = replace(POOL, base_drops=72_845_203, quote=D("45908328746.71756"))
    book = against(resting("A", Side.BUY, 10**9, D(10**12), D("0.002380130304957195")), pool=pool)
    pay = payment(Side.SELL, "1", "1", base_drops=10**9, partial=True)
    dry = match(replace(pay, quote=D("8424334961.317249")), book)
    assert (dry.outcome, dry.takes, dry.pool_after) == (Outcome.PATH_DRY, (), None)
    whole = match(replace(pay, quote=D("8424334961.317250")), book)
    assert (whole.outcome, whole.pool_base_drops) == (Outcome.DONE, 16_371_585)


def test_what_a_discarded_look_ahead_found_stale_stays_removed() -> None:
    # Backwards the first round takes all of A and finds B expired; forwards it takes one XRP of A.
    book = against(bid("A", "10", "2"), bid("B", "10", "2", expiration=NOW), bid("C", "10", "1.6"))
    result = match(leg(Side.SELL, 15 * XRP, rounds=(XRP, 14 * XRP)), book)
    assert taken(result) == {"A": (10 * XRP, D(20)), "C": (5 * XRP, D(8))}
    assert removed(result) == {"B": RemovalReason.EXPIRED}


def test_a_transaction_that_asks_for_nothing_is_no_taker() -> None:
    tx = LedgerTransaction(
        tx_hash="H",
        index=0,
        kind="OfferCancel",
        account="rA",
        result="tesSUCCESS",
        fee_drops=10,
        account_sequence=1,
        ticket=None,
        cancels=1,
        changes=(),
        taker=None,
    )
    assert taker_order(tx, funds=None, may_rest=True) is None
