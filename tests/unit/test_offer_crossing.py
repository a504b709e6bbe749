"""OfferCreates between any two assets: one claim a test, numbers by hand.

The gateway of USD keeps 0.2 % (rate 1.002) where a test says so; the bank of EUR nothing.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from neo_engine.domain.assets import XRP
from neo_engine.domain.errors import BadNumber
from neo_engine.domain.liquidity import (
    CrossResult,
    OfferTaken,
    PoolSwapped,
    Removal,
    RemovalReason,
    Rest,
    SourcePaid,
)
from neo_engine.domain.offer_crossing import cross
from neo_engine.domain.rounding import tick_rounded_any
from tests.unit.market_fixture import EUR, NOW, USD, WrittenMarket, create, offer, pool, takes

D = Decimal
FEE = {"rGate": 1_002_000_000}


def test_an_order_that_meets_nothing_rests_as_it_is() -> None:
    market = WrittenMarket(offer(USD, EUR, "A", ("201", "100")))
    result = cross(create(("100", USD), ("50", EUR)), market)
    assert result == CrossResult(result="tesSUCCESS", rest=Rest(pays=D(100), gets=D(50), rate=D("0.5")))
    # Only the tip of the book was looked at.
    assert market.asked == ["USDEURA"]


def test_two_tokens_are_rounded_to_the_tick_in_the_makers_favour() -> None:
    # 50.001234 / 100 to five digits up is 0.50002; a seller asks more, a buyer gives less.
    sold = cross(create(("100", USD), ("50.001234", EUR), tick_size=5, sell=True), WrittenMarket())
    assert sold.rest == Rest(pays=D(100), gets=D("50.002"), rate=D("0.50002"))
    # 50.001234 / 0.50002 = 99.998468061277...: cut, plus five, to sixteen digits.
    bought = cross(create(("100", USD), ("50.001234", EUR), tick_size=5), WrittenMarket())
    assert bought.rest is not None
    assert (bought.rest.gets, bought.rest.pays) == (D("50.001234"), D("99.99846806127755"))


def test_amounts_of_nothing_are_refused() -> None:
    with pytest.raises(BadNumber, match="must be positive"):
        tick_rounded_any((D(0), False), (D(1), True), 5, sell=False)


def test_between_two_tokens_the_better_way_goes_first() -> None:
    # Through XRP a EUR costs 1.5 USD, directly 2; the order pays up to 2.5.
    market = WrittenMarket(
        offer(USD, EUR, "A", ("20", "10")),
        offer(USD, XRP, "C", ("15", "10000000")),
        offer(XRP, EUR, "D", ("10000000", "10")),
    )
    result = cross(create(("62.5", USD), ("25", EUR)), market)
    assert [type(move).__name__ for move in result.moves if isinstance(move, SourcePaid)] == [
        "SourcePaid"
    ] * 2
    assert list(takes(result.moves)) == ["D", "C", "A"]
    assert (result.paid, result.got) == (D(35), D(20))
    # 5 EUR are still wanted, at the order's own rate.
    assert result.rest == Rest(pays=D("12.5"), gets=D(5), rate=D("0.4"))


def test_who_pays_a_gateways_token_sends_its_fee_on_top() -> None:
    market = WrittenMarket(offer(USD, EUR, "A", ("200", "100")), rates=FEE)
    result = cross(create(("100", USD), ("50", EUR)), market)
    # The offer was for 100; the owner receives 100, the taker pays 100.2.
    assert (result.paid, result.got, result.rest) == (D("100.2"), D(50), None)
    assert takes(result.moves) == {"A": (D(100), D(50), D(50))}


def test_who_sells_a_gateways_token_rests_with_what_the_fee_did_not_take() -> None:
    market = WrittenMarket(offer(USD, EUR, "A", ("40", "20")), rates=FEE)
    result = cross(create(("100", USD), ("50", EUR), sell=True), market)
    # 40.08 were paid, of which 40 count against the 100 offered.
    assert result.paid == D("40.08")
    assert result.rest == Rest(pays=D(60), gets=D(30), rate=D("0.5"))


def test_the_fee_is_capped_by_what_the_sender_has() -> None:
    market = WrittenMarket(offer(USD, EUR, "A", ("200", "100")), rates=FEE)
    result = cross(create(("100", USD), ("50", EUR), funds=D("50.1")), market)
    # 50.1 with the fee is 50 for the owner, and then nothing is left to offer.
    assert (result.paid, result.got, result.rest) == (D("50.1"), D(25), None)


def test_an_owner_pays_the_fee_of_what_he_gives() -> None:
    market = WrittenMarket(offer(EUR, USD, "A", ("200", "100")), rates=FEE)
    result = cross(create(("100", EUR), ("50", USD)), market)
    assert (result.paid, result.got) == (D(100), D(50))
    assert takes(result.moves) == {"A": (D(100), D(50), D("50.1"))}


def test_an_owner_without_enough_for_the_fee_gives_what_it_leaves() -> None:
    market = WrittenMarket(offer(EUR, USD, "A", ("200", "100")), held={("rA", USD): D("50.1")}, rates=FEE)
    result = cross(create(("200", EUR), ("100", USD)), market)
    # 50.1 of his make 50 for the taker, who pays 100; the offer is then out of funds.
    assert takes(result.moves) == {"A": (D(100), D(50), D("50.1"))}
    taken = next(move for move in result.moves if isinstance(move, OfferTaken))
    assert (taken.gone, taken.left_pays, taken.left_gets) == (True, D(100), D(50))


def test_the_issuer_of_a_token_is_charged_nothing_for_it() -> None:
    paying = WrittenMarket(offer(USD, EUR, "A", ("200", "100")), rates=FEE)
    assert cross(create(("100", USD), ("50", EUR), taker="rGate", funds=None), paying).paid == D(100)
    getting = WrittenMarket(offer(EUR, USD, "A", ("200", "100")), rates=FEE)
    redeemed = cross(create(("100", EUR), ("50", USD), taker="rGate"), getting)
    assert takes(redeemed.moves) == {"A": (D(100), D(50), D(50))}


def test_the_takers_own_offers_of_a_bridge_are_taken_without_fees() -> None:
    # Own offers of the direct book are removed; through XRP they are taken like any other.
    market = WrittenMarket(
        offer(USD, XRP, "C", ("20", "10000000"), owner="rTaker"),
        offer(XRP, EUR, "D", ("10000000", "10"), owner="rTaker"),
        rates=FEE | {"rBank": 1_010_000_000},
    )
    result = cross(create(("50", USD), ("10", EUR)), market)
    assert (result.paid, result.got) == (D(20), D(10))
    assert takes(result.moves)["D"] == (D(10_000_000), D(10), D(10))


def test_an_own_offer_in_the_way_is_removed_and_the_next_rate_taken() -> None:
    market = WrittenMarket(
        offer(USD, EUR, "A", ("10", "10"), owner="rTaker"),
        offer(USD, EUR, "B", ("20", "10")),
        offer(USD, EUR, "C", ("20", "10"), owner="rTaker"),
    )
    result = cross(create(("50", USD), ("20", EUR)), market)
    assert list(takes(result.moves)) == ["B"]
    assert result.removals == (
        Removal(index="USDEURA", reason=RemovalReason.SELF_CROSSED, lasting=True),
        Removal(index="USDEURC", reason=RemovalReason.SELF_CROSSED, lasting=True),
    )


def test_a_passive_order_leaves_its_own_rate_alone() -> None:
    market = WrittenMarket(offer(USD, EUR, "A", ("20", "10")))
    result = cross(create(("20", USD), ("10", EUR), passive=True), market)
    assert (result.moves, result.rest) == ((), Rest(pays=D(20), gets=D(10), rate=D("0.5")))
    better = WrittenMarket(offer(USD, EUR, "A", ("19", "10")))
    assert cross(create(("20", USD), ("10", EUR), passive=True), better).rest is None


def test_fill_or_kill_and_immediate_or_cancel_end_as_the_server_ends_them() -> None:
    market = WrittenMarket(
        offer(USD, EUR, "S", ("10", "10"), expiration=NOW), offer(USD, EUR, "A", ("20", "10"))
    )
    stale = (Removal(index="USDEURS", reason=RemovalReason.EXPIRED, lasting=True),)
    killed = cross(create(("40", USD), ("20", EUR), fill_or_kill=True), market)
    assert killed == CrossResult(result="tecKILLED", removals=stale)
    # What no rate of the book reaches is not looked at, stale or not.
    nothing = cross(create(("10", USD), ("20", EUR), immediate_or_cancel=True), market)
    assert nothing == CrossResult(result="tecKILLED")
    cleaned = cross(create(("30", USD), ("20", EUR), immediate_or_cancel=True), market)
    assert cleaned == CrossResult(result="tecKILLED", removals=stale)
    partly = cross(create(("40", USD), ("20", EUR), immediate_or_cancel=True), market)
    assert (partly.result, partly.got, partly.rest, partly.removals) == ("tesSUCCESS", D(10), None, stale)
    sold = cross(create(("20", USD), ("5", EUR), fill_or_kill=True, sell=True), market)
    assert (sold.result, sold.paid, sold.got) == ("tesSUCCESS", D(20), D(10))


def test_without_reserve_an_order_crosses_but_does_not_rest() -> None:
    market = WrittenMarket(
        offer(USD, EUR, "S", ("10", "10"), expiration=NOW), offer(USD, EUR, "A", ("20", "10"))
    )
    crossed = cross(create(("40", USD), ("20", EUR), owner_may_rest=False), market)
    assert (crossed.result, crossed.got, crossed.rest) == ("tesSUCCESS", D(10), None)
    # Refused, nothing lasts: not even the removal of what was found stale.
    refused = cross(create(("30", USD), ("20", EUR), owner_may_rest=False), market)
    assert refused == CrossResult(result="tecINSUF_RESERVE_OFFER")


def test_without_funds_an_order_is_refused() -> None:
    assert cross(create(("10", USD), ("20", EUR), funds=D(0)), WrittenMarket()) == CrossResult(
        result="tecUNFUNDED_OFFER"
    )


def test_the_reserve_for_a_new_trust_line_may_leave_nothing_to_rest() -> None:
    market = WrittenMarket(offer(XRP, USD, "A", ("10000000", "20")))
    order = create(("20000000", XRP), ("40", USD), funds=D(10_200_000), line_reserve=D(200_000))
    assert (cross(order, market).got, cross(order, market).rest) == (D(20), None)
    richer = create(("20000000", XRP), ("40", USD), funds=D(10_200_001), line_reserve=D(200_000))
    assert cross(richer, market).rest is not None


def test_a_remainder_too_small_for_a_drop_is_none() -> None:
    # 1E-9 USD are left of a sale at a drop for 1E-6.
    market = WrittenMarket(offer(USD, XRP, "A", ("9.999999999", "9999999")))
    order = create(("10", USD), ("9999000", XRP), sell=True)
    result = cross(order, market)
    assert (result.paid, result.rest) == (D("9.999999999"), None)


def test_an_order_bound_by_its_rate_takes_of_a_pool_what_averages_it() -> None:
    # 1000 x / (1000 - x) = 1.25 x for x = 200; with 0.2 % on what is paid the order allows for that.
    market = WrittenMarket(pools={(USD, EUR): pool("1000", "1000")}, rates=FEE)
    result = cross(create(("1125", USD), ("900", EUR)), market)
    assert abs(result.got - 200) < D("1E-9")
    assert abs(result.paid - D("250.5")) < D("1E-9")


def test_a_pool_before_its_fee_within_reach_but_not_after_is_left_alone() -> None:
    market = WrittenMarket(pools={(USD, EUR): pool("1000", "1000", fee_units=1000)})
    result = cross(create(("100.5", USD), ("100", EUR)), market)
    assert (result.got, result.moves) == (D(0), ())


def test_a_pool_is_asked_for_the_takers_own_account_and_an_empty_one_offers_nothing() -> None:
    market = WrittenMarket(pools={(USD, EUR): pool("0", "1000")})
    assert cross(create(("100", USD), ("100", EUR)), market).got == D(0)


def test_bridging_and_direct_pools_compete_in_numbered_offers() -> None:
    market = WrittenMarket(
        offer(XRP, EUR, "D", ("100000000", "100")),
        pools={
            (USD, EUR): pool("100000", "100000"),
            (USD, XRP): pool("100000", "100000000000", account="rOther"),
        },
    )
    result = cross(create(("200", USD), ("100", EUR), sell=True), market)
    accounts = [move.account for move in result.moves if isinstance(move, PoolSwapped)]
    assert {"rPool", "rOther"} <= set(accounts)
    assert result.paid == D(200)
    assert result.rest is None


def test_a_round_that_would_bring_more_forwards_than_was_wanted_fails() -> None:
    # With a fee of a third, the last digit's unit less than the cost buys two units more than wanted.
    market = WrittenMarket(
        offer(USD, EUR, "A", ("1540", "4000"), rate=D("0.385")), rates={"rGate": 1_333_333_333}
    )
    order = create(("2000", USD), ("2891.107552740886", EUR), funds=D("1484.101876702631"))
    result = cross(order, market)
    assert (result.got, result.moves) == (D(0), ())
    assert result.rest is not None
    enough = create(("2000", USD), ("2891.107552740886", EUR), funds=D("1484.101876702632"))
    assert cross(enough, market).got == D("2891.107552740886")
