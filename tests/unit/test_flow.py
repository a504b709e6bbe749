"""Payments through books and pools: one claim a test, numbers by hand.

The gateway of USD keeps 0.2 % (rate 1.002) where a test says so; the bank of EUR nothing.
"""

from __future__ import annotations

from decimal import Decimal

from neo_engine.domain.assets import XRP
from neo_engine.domain.flow import flow
from neo_engine.domain.liquidity import (
    DestinationGot,
    FlowResult,
    OfferTaken,
    PoolSwapped,
    Removal,
    RemovalReason,
    SourcePaid,
)
from tests.unit.market_fixture import EUR, NOW, USD, WrittenMarket, offer, pay, pool, takes

D = Decimal
FEE = {"rGate": 1_002_000_000}
DIRECT = ((USD, EUR),)
BRIDGE = ((USD, XRP, EUR),)


def kinds(result: FlowResult) -> list[str]:
    return [move.index[6:] if isinstance(move, OfferTaken) else type(move).__name__ for move in result.moves]


def test_a_payment_takes_one_book_at_the_owners_rate() -> None:
    market = WrittenMarket(offer(USD, EUR, "A", ("200", "100")))
    result = flow(pay(DIRECT, "50"), market)
    assert (result.result, result.paid, result.got) == ("tesSUCCESS", D(100), D(50))
    assert takes(result.moves) == {"A": (D(100), D(50), D(50))}


def test_two_books_are_passed_one_after_the_other() -> None:
    # 50 EUR cost 25,000,000 drops at 500,000 each; those cost 50 USD at 2 per million.
    market = WrittenMarket(
        offer(USD, XRP, "A", ("200", "100000000")), offer(XRP, EUR, "B", ("100000000", "200"))
    )
    result = flow(pay(BRIDGE, "50"), market)
    assert (result.paid, result.got) == (D(50), D(50))
    assert takes(result.moves) == {
        "A": (D(50), D(25_000_000), D(25_000_000)),
        "B": (D(25_000_000), D(50), D(50)),
    }


def test_moves_stand_in_the_order_of_the_backward_pass_when_nothing_limits() -> None:
    market = WrittenMarket(
        offer(USD, XRP, "A", ("200", "100000000")), offer(XRP, EUR, "B", ("100000000", "200"))
    )
    assert kinds(flow(pay(BRIDGE, "50"), market)) == ["DestinationGot", "B", "A", "SourcePaid"]


def test_moves_go_forward_from_a_source_that_limits() -> None:
    market = WrittenMarket(
        offer(USD, XRP, "A", ("200", "100000000")), offer(XRP, EUR, "B", ("100000000", "200"))
    )
    result = flow(pay(BRIDGE, "50", send_max=D(20), partial=True), market)
    assert (result.paid, result.got) == (D(20), D(20))
    assert kinds(result) == ["SourcePaid", "A", "B", "DestinationGot"]


def test_a_first_book_that_limits_is_followed_by_what_lies_before_and_then_behind_it() -> None:
    market = WrittenMarket(
        offer(USD, XRP, "A", ("20", "10000000")), offer(XRP, EUR, "B", ("100000000", "200"))
    )
    result = flow(pay(BRIDGE, "50", partial=True), market)
    assert (result.paid, result.got) == (D(20), D(20))
    assert kinds(result) == ["A", "SourcePaid", "B", "DestinationGot"]


def test_a_last_book_that_limits_is_followed_by_what_lies_before_it() -> None:
    market = WrittenMarket(
        offer(USD, XRP, "A", ("200", "100000000")), offer(XRP, EUR, "B", ("10000000", "20"))
    )
    result = flow(pay(BRIDGE, "50", partial=True), market)
    assert (result.paid, result.got) == (D(20), D(20))
    assert kinds(result) == ["B", "A", "SourcePaid", "DestinationGot"]


def test_rounds_take_the_next_rate_of_each_book() -> None:
    market = WrittenMarket(
        offer(USD, XRP, "A", ("20", "10000000")),
        offer(USD, XRP, "C", ("40", "10000000")),
        offer(XRP, EUR, "B", ("100000000", "200")),
    )
    result = flow(pay(BRIDGE, "40"), market)
    assert (result.paid, result.got) == (D(60), D(40))
    assert kinds(result).count("SourcePaid") == 2


def test_the_source_is_charged_the_transfer_fee_of_what_it_pays() -> None:
    # The owner of A asks 100 for 50; the gateway keeps 0.2 of what it takes for that.
    market = WrittenMarket(offer(USD, EUR, "A", ("200", "100")), rates=FEE)
    result = flow(pay(DIRECT, "50"), market)
    assert (result.paid, result.got) == (D("100.2"), D(50))
    assert takes(result.moves) == {"A": (D(100), D(50), D(50))}


def test_the_transfer_fee_of_what_is_delivered_is_charged_behind_the_last_book() -> None:
    # 100 USD are delivered, 100.2 leave the book; they cost twice that in EUR.
    market = WrittenMarket(offer(EUR, USD, "A", ("1000", "500")), rates=FEE)
    result = flow(pay(((EUR, USD),), "100"), market)
    assert (result.paid, result.got) == (D("200.4"), D(100))
    assert takes(result.moves) == {"A": (D("200.4"), D("100.2"), D("100.2"))}


def test_forwards_the_destination_gets_what_the_fee_leaves() -> None:
    market = WrittenMarket(offer(EUR, USD, "A", ("1000", "500")), rates=FEE)
    result = flow(pay(((EUR, USD),), "100", send_max=D("100.2"), partial=True), market)
    # 100.2 EUR get 50.1 USD, of which 50 arrive.
    assert (result.paid, result.got) == (D("100.2"), D(50))
    assert result.moves[-1] == DestinationGot(asset=USD, amount=D(50))


def test_between_two_books_of_a_payment_the_issuer_charges_as_well() -> None:
    # 10 EUR ask 20 USD in the second book; with the fee 20.04 leave the first, at two per million drops.
    market = WrittenMarket(
        offer(XRP, USD, "A", ("100000000", "200")), offer(USD, EUR, "B", ("200", "100")), rates=FEE
    )
    result = flow(pay(((XRP, USD, EUR),), "10"), market)
    assert (result.paid, result.got) == (D(10_020_000), D(10))
    assert takes(result.moves) == {
        "A": (D(10_020_000), D("20.04"), D("20.04")),
        "B": (D(20), D(10), D(10)),
    }


def test_the_issuer_pays_and_receives_without_a_fee() -> None:
    market = WrittenMarket(offer(USD, EUR, "A", ("200", "100")), rates=FEE)
    assert flow(pay(DIRECT, "50", source="rGate", funds=None), market).paid == D(100)
    back = WrittenMarket(offer(EUR, USD, "A", ("1000", "500")), rates=FEE)
    assert flow(pay(((EUR, USD),), "100", destination="rGate"), back).paid == D(200)
    # Also in the book that takes USD: nobody but the issuer moves them.
    assert flow(pay(DIRECT, "50", destination="rGate"), market).paid == D(100)


def test_an_issuer_without_limit_pays_up_to_his_maximum() -> None:
    market = WrittenMarket(offer(USD, EUR, "A", ("200", "100")))
    result = flow(pay(DIRECT, "50", source="rGate", funds=None, send_max=D(60), partial=True), market)
    assert (result.paid, result.got) == (D(60), D(30))


def test_from_hand_to_hand_the_issuer_charges_once() -> None:
    result = flow(pay(((USD,),), "100"), WrittenMarket(rates=FEE))
    assert (result.paid, result.got, kinds(result)) == (D("100.2"), D(100), ["DestinationGot", "SourcePaid"])
    short = flow(pay(((USD,),), "100", funds=D("50.1"), partial=True), WrittenMarket(rates=FEE))
    assert (short.paid, short.got, kinds(short)) == (D("50.1"), D(50), ["SourcePaid", "DestinationGot"])
    issued = flow(pay(((USD,),), "100", source="rGate", funds=None), WrittenMarket(rates=FEE))
    assert (issued.paid, issued.got) == (D(100), D(100))


def test_forwards_nobody_receives_more_than_was_wanted() -> None:
    # 11101.35732234186 less a third of it is, as the server rounds, 8326.017993837899.
    market = WrittenMarket(rates={"rGate": 1_333_333_333})
    request = pay(((USD,),), "8326.017993837897", funds=D("11101.35732234186"), partial=True)
    result = flow(request, market)
    assert (result.paid, result.got) == (D("11101.35732234186"), D("8326.017993837897"))


def test_what_buys_less_than_a_drop_buys_nothing() -> None:
    market = WrittenMarket(offer(EUR, USD, "A", ("1E-9", "1E-9")), offer(USD, XRP, "B", ("100", "100000000")))
    assert flow(pay(((EUR, USD, XRP),), "50", partial=True), market).result == "tecPATH_DRY"


def test_a_limit_counts_the_fee_of_a_payment_from_hand_to_hand() -> None:
    market = WrittenMarket(rates=FEE)
    limited = flow(pay(((USD,),), "100", limit_rate=D("1.001"), partial=True), market)
    assert limited.result == "tecPATH_DRY"
    assert flow(pay(((USD,),), "100", limit_rate=D("1.002")), market).result == "tesSUCCESS"


def test_a_destination_receives_no_more_than_it_has_room_for() -> None:
    market = WrittenMarket(offer(USD, EUR, "A", ("20", "10")), offer(USD, EUR, "B", ("60", "20")))
    result = flow(pay(DIRECT, "50", room=D(15), partial=True), market)
    assert (result.paid, result.got) == (D(35), D(15))
    full = flow(pay(DIRECT, "50", room=D(0), partial=True), market)
    assert (full.result, full.moves) == ("tecPATH_DRY", ())


def test_a_payment_delivers_all_or_nothing_unless_it_is_partial() -> None:
    market = WrittenMarket(offer(USD, EUR, "A", ("20", "10")))
    assert flow(pay(DIRECT, "50"), market) == FlowResult(result="tecPATH_PARTIAL")
    assert flow(pay(DIRECT, "50", partial=True), market).got == D(10)
    assert flow(pay(DIRECT, "50", partial=True), WrittenMarket()) == FlowResult(result="tecPATH_DRY")
    broke = flow(pay(DIRECT, "50", partial=True, funds=D(0)), market)
    assert broke == FlowResult(result="tecPATH_DRY")


def test_a_limited_payment_takes_only_rounds_at_its_rate_or_better() -> None:
    market = WrittenMarket(offer(USD, EUR, "A", ("20", "10")), offer(USD, EUR, "B", ("30", "10")))
    result = flow(pay(DIRECT, "20", limit_rate=D("2.5"), partial=True), market)
    assert list(takes(result.moves)) == ["A"]


def test_two_strands_compete_round_by_round() -> None:
    # Direct at 2 and 4; through XRP at 3.
    market = WrittenMarket(
        offer(USD, EUR, "A", ("20", "10")),
        offer(USD, EUR, "B", ("40", "10")),
        offer(USD, XRP, "C", ("30", "10000000")),
        offer(XRP, EUR, "D", ("10000000", "10")),
    )
    result = flow(pay(DIRECT + BRIDGE, "25"), market)
    assert (result.paid, result.got) == (D(20 + 30 + 20), D(25))
    assert kinds(result) == [
        *("A", "SourcePaid", "DestinationGot"),
        *("D", "C", "SourcePaid", "DestinationGot"),
        *("DestinationGot", "B", "SourcePaid"),
    ]


def test_a_strand_beyond_the_limit_is_out_for_good() -> None:
    market = WrittenMarket(
        offer(USD, EUR, "A", ("20", "10")),
        offer(USD, XRP, "C", ("30", "10000000")),
        offer(XRP, EUR, "D", ("10000000", "10")),
    )
    result = flow(pay(DIRECT + BRIDGE, "25", limit_rate=D("2.5"), partial=True), market)
    assert list(takes(result.moves)) == ["A"]


def test_while_strands_compete_a_pool_offers_numbered_amounts() -> None:
    # The pool holds a million each and charges nothing: its first offer takes 250 in (0.025 %) and gives
    # 1e6 - 1e12 / 1000250 = 249.9375..., the next ones give once, twice and three times that.
    unit = D(1_000_000) - D(10) ** 12 / D(1_000_250)
    market = WrittenMarket(
        offer(USD, EUR, "A", ("2000", "1000")),
        offer(XRP, EUR, "D", ("30000000", "10")),
        offer(USD, XRP, "C", ("30", "10000000")),
        pools={(USD, EUR): pool("1000000", "1000000")},
    )
    result = flow(pay(DIRECT + BRIDGE, "1500"), market)
    swaps = [move for move in result.moves if isinstance(move, PoolSwapped)]
    assert swaps[0].pays == D(250)
    for swap, times in zip(swaps, (1, 1, 2)):
        assert abs(swap.gets - unit * times) < D("1E-9")
    # The fourth, of three, is needed for the rest only.
    assert len(swaps) == 4
    assert abs(swaps[3].gets - (1500 - 4 * unit)) < D("1E-9")
    assert result.got == D(1500)


def test_a_numbered_offer_taken_in_part_keeps_its_rate() -> None:
    market = WrittenMarket(
        offer(XRP, EUR, "D", ("30000000", "10")),
        offer(USD, XRP, "C", ("30", "10000000")),
        pools={(USD, EUR): pool("1000000", "1000000")},
    )
    result = flow(pay(DIRECT + BRIDGE, "100"), market)
    # Its rate is 250 / 249.9375 = 1.00025, where the curve would ask 100.01000....
    assert abs(result.paid - D("100.025")) < D("1E-9")


def test_alone_a_strand_takes_of_a_pool_along_its_curve() -> None:
    market = WrittenMarket(pools={(USD, EUR): pool("1000", "1000")})
    result = flow(pay(DIRECT, "500"), market)
    assert (result.paid, result.got) == (D(1000), D(500))
    assert result.moves[1] == PoolSwapped(
        account="rPool", pays_asset=USD, gets_asset=EUR, pays=D(1000), gets=D(500)
    )


def test_a_pool_pays_no_transfer_fee_but_its_taker_does() -> None:
    market = WrittenMarket(pools={(USD, EUR): pool("1000", "1000")}, rates=FEE)
    result = flow(pay(DIRECT, "500"), market)
    assert (result.paid, result.got) == (D(1002), D(500))
    back = WrittenMarket(pools={(EUR, USD): pool("1000", "1000")}, rates=FEE)
    # 499 arrive, so 499.998 leave the pool: 1000 * 499.998 / 500.002 = 999.984...
    delivered = flow(pay(((EUR, USD),), "499"), back)
    swap = next(move for move in delivered.moves if isinstance(move, PoolSwapped))
    assert swap.gets == D("499.998")
    assert abs(delivered.paid - D(1000) * D("499.998") / D("500.002")) < D("1E-9")


def test_a_limited_payment_takes_of_a_pool_what_averages_its_rate_with_all_fees() -> None:
    # 1000 x / (1000 - x) * 1.002 = 1.2525 x (no fee of the pool): 1000 - x = 800, x = 200.
    market = WrittenMarket(pools={(USD, EUR): pool("1000", "1000")}, rates=FEE)
    result = flow(pay(DIRECT, "900", limit_rate=D("1.2525"), partial=True), market)
    assert abs(result.got - 200) < D("1E-9")
    assert abs(result.paid - D("250.5")) < D("1E-9")


def test_a_limited_payment_through_book_and_pool_averages_over_both() -> None:
    # The first book asks 2 USD for a million drops, the pool 1000 x / (1000 - x) million drops for x EUR:
    # on average 2000 / (1000 - x) = 2.5 for x = 200.
    market = WrittenMarket(
        offer(USD, XRP, "A", ("2000", "1000000000")),
        pools={(XRP, EUR): pool("1000000000", "1000")},
    )
    result = flow(pay(BRIDGE, "900", limit_rate=D("2.5"), partial=True), market)
    assert abs(result.got - 200) < D("1E-5")
    assert abs(result.paid - 500) < D("1E-5")
    # The same where the gateway of what is delivered keeps its share.
    charged = WrittenMarket(
        offer(EUR, XRP, "A", ("2000", "1000000000")),
        pools={(XRP, USD): pool("1000000000", "1000")},
        rates=FEE,
    )
    paid = flow(pay(((EUR, XRP, USD),), "900", limit_rate=D("2.505"), partial=True), charged)
    assert paid.paid <= paid.got * D("2.5050003")
    assert D(195) < paid.got < D(205)


def test_a_pool_of_drops_is_cut_to_whole_ones() -> None:
    market = WrittenMarket(pools={(USD, XRP): pool("1000", "1000000000")})
    result = flow(pay(((USD, XRP),), "900000000", limit_rate=D("0.00000125"), partial=True), market)
    assert result.got == D(200_000_000)


def test_a_limit_that_no_amount_of_the_pool_meets_changes_nothing() -> None:
    market = WrittenMarket(pools={(USD, EUR): pool("1000", "1000")})
    result = flow(pay(DIRECT, "100", limit_rate=D("0.9"), partial=True), market)
    assert result.result == "tecPATH_DRY"


def test_after_thirty_swaps_a_run_leaves_the_pool_alone() -> None:
    # Each offer is a step dearer than the pool; alone, the pool is asked once between two of them.
    rates = [D(1) + D(step) / 100 for step in range(1, 60)]
    offers = [
        offer(USD, EUR, f"{place:02}", (str(rate), "1"), owner=f"r{place}")
        for place, rate in enumerate(rates)
    ]
    market = WrittenMarket(*offers, pools={(USD, EUR): pool("1000", "1000")})
    result = flow(pay(DIRECT, "400", partial=True), market)
    assert sum(isinstance(move, PoolSwapped) for move in result.moves) == 30
    assert len(takes(result.moves)) == 59


def test_one_pool_is_one_pool_in_both_directions() -> None:
    # Both strands pass it, one each way: what the first takes the second finds.
    forth, back = pool("1000000000", "1000"), pool("1000", "1000000000")
    market = WrittenMarket(
        offer(USD, XRP, "A", ("10", "10000000")),
        offer(XRP, USD, "Z", ("10000000", "10")),
        pools={(XRP, EUR): forth, (EUR, XRP): back},
    )
    strands = ((USD, XRP, EUR), (USD, EUR, XRP, EUR))
    assert flow(pay(strands, "5", partial=True), market).got == D(5)


def test_an_owners_funds_count_once_for_two_books() -> None:
    # X gives XRP in the first book and EUR in the second; Y gives EUR only up to 5.
    market = WrittenMarket(
        offer(USD, XRP, "A", ("100", "100000000"), owner="rX"),
        offer(XRP, EUR, "B", ("100000000", "100"), owner="rX"),
        held={("rX", XRP): D(10_000_000)},
    )
    result = flow(pay(BRIDGE, "50", partial=True), market)
    # What he receives for EUR does not let him give more XRP.
    assert (result.got, takes(result.moves)["A"][1]) == (D(10), D(10_000_000))


def test_what_owners_receive_of_a_token_does_not_fund_their_other_offers() -> None:
    market = WrittenMarket(
        offer(XRP, USD, "A", ("100000000", "100"), owner="rX"),
        offer(USD, EUR, "B", ("100", "100"), owner="rX"),
        offer(USD, EUR, "C", ("200", "100"), owner="rGate"),
        held={("rX", USD): D(10)},
    )
    result = flow(pay(((XRP, USD, EUR),), "50", partial=True), market)
    assert (result.paid, result.got) == (D(10_000_000), D(10))


def test_an_issuers_receipts_need_no_purse() -> None:
    market = WrittenMarket(
        offer(XRP, USD, "A", ("100000000", "100"), owner="rGate"),
        offer(USD, EUR, "B", ("100", "100"), owner="rGate"),
    )
    assert flow(pay(((XRP, USD, EUR),), "50"), market).got == D(50)


def test_a_source_that_takes_its_own_offer_cannot_spend_what_it_receives() -> None:
    market = WrittenMarket(
        offer(USD, EUR, "A", ("10", "10"), owner="rSource"), offer(USD, EUR, "B", ("40", "20"))
    )
    result = flow(pay(DIRECT, "30", funds=D(15), partial=True), market)
    # 10 for his own, then 5 more; the 10 he received stay his.
    assert (result.paid, takes(result.moves)["B"][0]) == (D(15), D(5))


def test_stale_offers_on_the_way_are_removed_for_good() -> None:
    market = WrittenMarket(
        offer(USD, EUR, "A", ("10", "10"), expiration=NOW),
        offer(USD, EUR, "B", ("10", "10"), owner="rPoor"),
        offer(USD, EUR, "C", ("0", "10"), rate=D(1)),
        offer(USD, EUR, "D", ("10", "10")),
        held={("rPoor", EUR): D(0)},
    )
    result = flow(pay(DIRECT, "5"), market)
    assert result.removals == (
        Removal(index="USDEURA", reason=RemovalReason.EXPIRED, lasting=True),
        Removal(index="USDEURB", reason=RemovalReason.UNFUNDED, lasting=True),
        Removal(index="USDEURC", reason=RemovalReason.DUST, lasting=True),
    )


def test_an_offer_left_without_funds_by_its_own_round_goes_with_the_round() -> None:
    market = WrittenMarket(
        offer(USD, EUR, "A", ("10", "10"), owner="rX"),
        offer(USD, EUR, "B", ("10", "10"), owner="rX"),
        offer(USD, EUR, "C", ("10", "10")),
        held={("rX", EUR): D(10)},
    )
    result = flow(pay(DIRECT, "15"), market)
    assert result.removals == (Removal(index="USDEURB", reason=RemovalReason.UNFUNDED, lasting=False),)


def test_a_token_offer_reduced_to_less_than_the_ledger_can_hold_is_dust() -> None:
    # A hundredth of 1E-80 lies below 1E-81, the smallest amount there is; of 1E-79 it does not.
    poor = offer(USD, EUR, "A", ("1", "100"), owner="rPoor")
    rest = offer(USD, EUR, "B", ("10", "100"))
    dust = flow(pay(DIRECT, "5"), WrittenMarket(poor, rest, held={("rPoor", EUR): D("1E-80")}))
    assert dust.removals == (Removal(index="USDEURA", reason=RemovalReason.DUST, lasting=True),)
    kept = flow(pay(DIRECT, "5"), WrittenMarket(poor, rest, held={("rPoor", EUR): D("1E-79")}))
    assert list(takes(kept.moves)) == ["A", "B"]


def test_a_pass_looks_at_a_thousand_offers_and_then_leaves_the_book() -> None:
    stale = [offer(USD, EUR, f"{place:04}", ("1", "1"), expiration=1) for place in range(999)]
    last = offer(USD, EUR, "A", ("10", "10")), offer(USD, EUR, "B", ("20", "10"))
    assert flow(pay(DIRECT, "20", partial=True), WrittenMarket(*stale, *last)).got == D(10)
    more = offer(USD, EUR, "9999", ("1", "1"), expiration=1)
    assert flow(pay(DIRECT, "20", partial=True), WrittenMarket(*stale, more, *last)).got == D(0)


def test_after_fifteen_hundred_offers_no_further_round_is_begun() -> None:
    offers = [
        offer(USD, EUR, f"{place:04}", (f"{10 + place // 800}", "10"), expiration=1 if place % 800 else None)
        for place in range(2400)
    ]
    result = flow(pay(DIRECT, "30", partial=True), WrittenMarket(*offers))
    # 800 stale ones and the next rate's first in the first round, as many in the second.
    assert result.got == D(20)


def test_offers_are_asked_for_only_as_far_as_they_are_needed() -> None:
    market = WrittenMarket(*[offer(USD, EUR, f"{place}", (f"1{place}", "10")) for place in range(9)])
    flow(pay(DIRECT, "5"), market)
    assert market.asked == ["USDEUR0"]


def test_the_source_is_told_what_it_paid_in_its_own_asset() -> None:
    market = WrittenMarket(offer(USD, EUR, "A", ("200", "100")))
    assert flow(pay(DIRECT, "50"), market).moves[-1] == SourcePaid(asset=USD, amount=D(100))
