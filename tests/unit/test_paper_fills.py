"""What takers take of our resting offers: one claim a test, books small enough to do by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from neo_engine.domain.amm import Pool
from neo_engine.domain.assets import Side
from neo_engine.domain.book import BookOffer
from neo_engine.domain.fills import LiquiditySide
from neo_engine.domain.ledger import LedgerChange, NodeAction, OfferChange, TakerKind
from neo_engine.domain.market import DataFault
from neo_engine.domain.orders import OrderStatus
from tests.unit import ledger_fixture as ledgers
from tests.unit.paper_fixture import (
    FEE,
    RESERVE,
    START_DROPS,
    START_QUOTE,
    XRP,
    D,
    Venue,
    ask,
    bid,
    buys,
    drops,
    filled,
    last,
    market,
    quote,
    said,
    sells,
)

#: 1000 XRP and 2000 RLUSD: a spot of 2 and a fee of 0.3 %, so a buyer pays the pool 2.006 at least.
POOL = Pool(
    account="rPool",
    base_drops=1_000 * XRP,
    quote=D(2000),
    trading_fee=300,
    discounted_fee=30,
    auction_accounts=(),
    auction_expiration=0,
)


EQUAL_DROPS, EQUAL_QUOTE = 19_034_063, D("86.33005438261322")


def change(action: NodeAction, offer: BookOffer, before: BookOffer | None = None) -> LedgerChange:
    """What metadata says of an offer: as it is now, and as it was before if an amount moved."""
    return OfferChange(
        action=action,
        index=offer.index,
        side=offer.side,
        owner=offer.owner,
        sequence=offer.sequence,
        base_drops=offer.base_drops,
        quote=offer.quote,
        previous_base_drops=(before or offer).base_drops,
        previous_quote=(before or offer).quote,
        touched=before is not None,
        rate=offer.rate,
        book_directory=offer.book_directory,
        book_node="0",
        owner_node="0",
        flags=0,
        expiration=offer.expiration,
        chain_txn_id="",
    )


# queue


def test_at_an_equal_price_an_older_offer_is_taken_before_ours() -> None:
    venue = Venue(market(ask(1, "10", "2")))
    ours = venue.sells("10", "2")
    assert filled(venue.ledger(buys("8", "16"))) == []
    assert filled(venue.ledger(buys("15", "30"))) == [(ours, 5 * XRP, D(10))]  # 10 of theirs, 5 of ours


def test_at_an_equal_price_ours_is_taken_before_a_newer_offer() -> None:
    venue = Venue(market())
    ours = venue.sells("10", "2")
    newer = change(NodeAction.CREATED, ask(50, "10", "2"))
    venue.ledger(sells("10", "20", newer, account="rMaker"))
    assert filled(venue.ledger(buys("4", "8"))) == [(ours, 4 * XRP, D(8))]


def test_a_seller_without_sell_flag_stops_when_he_has_what_he_asked_for() -> None:
    venue = Venue(market())
    ours = venue.buys("10", "2")
    assert filled(venue.ledger(sells("4", "7.92"))) == [(ours, drops("3.96"), D("7.92"))]


def test_a_better_price_of_ours_goes_first_and_trades_at_our_price() -> None:
    venue = Venue(market(ask(1, "10", "2")))
    ours = venue.sells("10", "1.99")
    assert filled(venue.ledger(buys("5", "10"))) == [(ours, 5 * XRP, D("9.95"))]


def test_a_worse_price_of_ours_waits_for_what_the_better_ones_leave() -> None:
    venue = Venue(market(ask(1, "10", "2")))
    ours = venue.sells("10", "2.02")
    assert filled(venue.ledger(buys("12", "24.24"))) == [(ours, 2 * XRP, D("4.04"))]


def test_a_bid_of_ours_buys_from_a_seller_who_accepts_its_price() -> None:
    venue = Venue(market(bid(1, "10", "1.98")))
    ours = venue.buys("10", "2")
    report = venue.ledger(sells("4", "7.92", sell=True))
    assert filled(report) == [(ours, 4 * XRP, D(8))]
    assert report.account.balance_drops == START_DROPS - FEE + 4 * XRP
    assert report.account.quote_balance == START_QUOTE - 8


def test_nothing_trades_at_a_price_the_taker_does_not_accept() -> None:
    venue = Venue(market())
    venue.sells("10", "2")
    assert filled(venue.ledger(buys("5", "9.99"))) == []


def test_a_taker_with_exactly_our_amounts_trades_though_the_rate_was_rounded_up() -> None:
    # The exact quotient is 0.00000453555577611638765…: rounded up to 16 digits it asks for a hair more.
    wanted = replace(quote(Side.SELL, "1", "2"), base_drops=EQUAL_DROPS, quote=EQUAL_QUOTE)
    venue = Venue(market())
    ours = venue.place(wanted)
    report = venue.ledger(buys(str(D(EQUAL_DROPS) / XRP), str(EQUAL_QUOTE)))
    assert filled(report) == [(ours, EQUAL_DROPS, EQUAL_QUOTE)]


# amounts


def test_a_part_is_filled_then_the_rest_and_each_is_told() -> None:
    venue = Venue(market())
    ours = venue.sells("10", "2")
    venue.ledger()
    report = venue.ledger(buys("4", "8"))
    update = last(report, ours)
    assert (update.status, update.remaining_base_drops, update.remaining_quote) == (
        OrderStatus.PARTIALLY_FILLED,
        6 * XRP,
        D(12),
    )
    report = venue.ledger(buys("4", "8"), buys("4", "8"))
    assert filled(report) == [(ours, 4 * XRP, D(8)), (ours, 2 * XRP, D(4))]
    assert last(report, ours).status is OrderStatus.FILLED
    assert venue.standing() == {}
    assert len({fill.key for fill in report.fills}) == 2


def test_a_fill_is_never_more_than_the_taker_asked_for() -> None:
    venue = Venue(market())
    ours = venue.sells("50", "2")
    assert filled(venue.ledger(buys("3", "600"))) == [(ours, 3 * XRP, D(6))]


def test_a_fill_is_never_more_than_the_taker_can_pay() -> None:
    # 6.00001 XRP less the fee and 1 XRP of reserve: 5 XRP to sell, though 50 were asked for.
    book = ledgers.tracker(accounts=(ledgers.account("rPoor", 6 * XRP + FEE),))
    venue = Venue(book)
    ours = venue.buys("50", "2")
    assert filled(venue.ledger(sells("50", "100", account="rPoor"))) == [(ours, 5 * XRP, D(10))]


def test_a_taker_who_replaces_has_the_owner_reserve_of_his_old_offer_to_sell() -> None:
    old = ask(7, "1", "9", owner="rPoor")
    book = ledgers.tracker(offers=(old,), accounts=(ledgers.account("rPoor", 6 * XRP + FEE, owner_count=1),))
    venue = Venue(book)
    ours = venue.buys("50", "2")
    tx = sells("50", "100", change(NodeAction.DELETED, old), account="rPoor")
    assert filled(venue.ledger(replace(tx, cancels=7))) == [(ours, 5 * XRP, D(10))]


def test_one_taker_may_take_several_of_our_orders_each_at_its_price() -> None:
    venue = Venue(market())
    first, second = venue.sells("5", "2"), venue.sells("5", "2.01")
    report = venue.ledger(buys("8", "16.16"))
    assert filled(report) == [(first, 5 * XRP, D(10)), (second, 3 * XRP, D("6.03"))]
    assert len({fill.key for fill in report.fills}) == 2


def test_an_offer_our_funds_do_not_cover_sells_what_there_is_and_is_gone() -> None:
    venue = Venue(market())
    ours = venue.sells("150", "2")
    report = venue.ledger(buys("150", "300"))
    # 101.2 XRP less a fee of 10 drops and 1.4 XRP of reserve (the offer locks 0.2 of it).
    assert filled(report) == [(ours, 99_799_990, D("199.59998"))]
    assert said(report)[-1] == (
        ours,
        OrderStatus.CANCELED,
        "removed by the ledger with 50.20001 XRP unfilled",
    )
    assert report.account.owner_count == 1
    assert report.account.balance_drops == RESERVE + 200_000  # the reserve is what is left


def test_an_offer_we_can_pay_nothing_of_is_removed_by_the_taker_who_meets_it() -> None:
    venue = Venue(market(ask(1, "10", "2.5")))
    ours = venue.sells("10", "2")
    venue.ledger()
    venue.account.balance_drops = RESERVE
    report = venue.ledger(buys("5", "12.5"))
    assert filled(report) == []
    assert last(report, ours).status is OrderStatus.CANCELED
    assert report.account.owner_count == 1


@pytest.mark.parametrize(("flags", "fills"), [(0, 2), (0x00400000, 0)])
def test_no_offer_of_ours_trades_while_the_issuer_has_frozen_the_token(flags: int, fills: int) -> None:
    venue = Venue(market(issuer={"flags": 0}))
    venue.sells("10", "2")
    venue.buys("10", "1.6")
    venue.ledger()
    # 0x00400000 is lsfGlobalFreeze. The buyer pays from the issuer's own promise, which no freeze stops.
    venue.book._accounts[ledgers.ISSUER] = ledgers.account(ledgers.ISSUER, 0, flags=flags)
    report = venue.ledger(buys("5", "10", account=ledgers.ISSUER), sells("5", "8"))
    assert len(filled(report)) == fills
    assert (DataFault.FROZEN in report.snapshot.faults) == (fills == 0)


# what takes


@pytest.mark.parametrize(("our_size", "expected"), [("3", [(1, 3 * XRP, D(6))]), ("2.9", [])])
def test_a_killed_fill_or_kill_is_filled_when_ours_completes_it(
    our_size: str, expected: list[tuple[int, int, Decimal]]
) -> None:
    venue = Venue(market(ask(1, "5", "2")))
    venue.sells(our_size, "2")
    assert filled(venue.ledger(buys("8", "16", fill_or_kill=True, result="tecKILLED"))) == expected


def test_a_killed_immediate_or_cancel_takes_ours() -> None:
    venue = Venue(market(ask(1, "5", "2.2")))
    ours = venue.sells("3", "2")
    tx = buys("8", "16", immediate_or_cancel=True, result="tecKILLED")
    assert filled(venue.ledger(tx)) == [(ours, 3 * XRP, D(6))]


def test_an_offer_refused_for_its_reserve_takes_ours_because_crossing_needs_none() -> None:
    venue = Venue(market())
    ours = venue.sells("3", "2")
    assert filled(venue.ledger(buys("8", "16", result="tecINSUF_RESERVE_OFFER"))) == [(ours, 3 * XRP, D(6))]


@pytest.mark.parametrize("result", ["tecUNFUNDED_OFFER", "tecEXPIRED", "tecFROZEN"])
def test_a_transaction_that_never_reached_the_book_takes_nothing(result: str) -> None:
    venue = Venue(market())
    venue.sells("3", "2")
    assert filled(venue.ledger(buys("8", "16", result=result))) == []


def test_a_passive_taker_leaves_an_equal_price_and_takes_a_better_one() -> None:
    venue = Venue(market())
    venue.sells("3", "2")
    assert filled(venue.ledger(buys("3", "6", passive=True))) == []
    assert filled(venue.ledger(buys("3", "6.03", passive=True))) == [(1, 3 * XRP, D(6))]


def test_a_payment_takes_ours_for_what_it_delivers() -> None:
    venue = Venue(market())
    ours = venue.sells("10", "2")
    assert filled(venue.ledger(buys("4", "100", kind=TakerKind.PAYMENT))) == [(ours, 4 * XRP, D(8))]


def test_a_payment_that_found_too_little_is_completed_by_ours() -> None:
    venue = Venue(market(ask(1, "5", "2")))
    ours = venue.sells("3", "2")
    tx = buys("8", "100", kind=TakerKind.PAYMENT, result="tecPATH_PARTIAL")
    assert filled(venue.ledger(tx)) == [(ours, 3 * XRP, D(6))]


def test_a_payment_still_short_with_ours_takes_nothing() -> None:
    venue = Venue(market(ask(1, "5", "2")))
    venue.sells("2", "2")
    tx = buys("8", "100", kind=TakerKind.PAYMENT, result="tecPATH_PARTIAL")
    assert filled(venue.ledger(tx)) == []


def test_a_bridged_leg_takes_ours_at_any_rate_but_no_more_than_it_moved() -> None:
    venue = Venue(market(ask(1, "10", "3")))
    ours = venue.sells("10", "2.9")
    assert filled(venue.ledger(buys("4", "8", kind=TakerKind.BRIDGED))) == [(ours, 4 * XRP, D("11.6"))]


def test_inside_the_pools_fee_band_ours_goes_before_the_pool() -> None:
    venue = Venue(market(pool=POOL))
    ours = venue.sells("5", "2.003")
    assert filled(venue.ledger(buys("5", "10.5"))) == [(ours, 5 * XRP, D("10.015"))]


def test_outside_the_pools_fee_band_the_pool_is_taken_up_to_our_price_first() -> None:
    # The pool gives x XRP for 2000 x / ((1000 - x) 0.997) RLUSD, which is 2.01 each on average at
    # x = 1000 - 2000 / (2.01 x 0.997) = 1.981067: what is left for us is 3.018933.
    venue = Venue(market(pool=POOL))
    ours = venue.sells("5", "2.01")
    report = venue.ledger(buys("5", "10.5"))
    ((order, traded, _),) = filled(report)
    assert order == ours
    assert abs(traded - drops("3.018933")) <= 1


# the tracked book


def test_our_fills_do_not_change_what_others_do_later() -> None:
    theirs = ask(1, "10", "2")
    venue = Venue(market(theirs))
    venue.sells("5", "1.99")
    taken = replace(theirs, base_drops=5 * XRP, quote=D(10))
    report = venue.ledger(buys("5", "10", change(NodeAction.MODIFIED, taken, theirs)))
    assert filled(report) == [(1, 5 * XRP, D("9.95"))]
    # The recording says the taker took 5 of theirs, and so the market after it is shown.
    assert [(level.price, level.base_drops) for level in report.snapshot.asks] == [(D(2), 5 * XRP)]


def test_the_snapshot_shows_others_only_and_the_trades_of_the_ledger() -> None:
    theirs = ask(1, "10", "2")
    venue = Venue(market(theirs, bid(2, "10", "1.98")))
    venue.sells("5", "1.99")
    taken = replace(theirs, base_drops=6 * XRP, quote=D(12))
    snapshot = venue.ledger(buys("4", "8", change(NodeAction.MODIFIED, taken, theirs))).snapshot
    assert (snapshot.best_bid, snapshot.best_ask, snapshot.mid) == (D("1.98"), D(2), D("1.99"))
    assert [(one.taker_side, one.price, one.base_drops) for one in snapshot.trades] == [
        (Side.BUY, D(2), 4 * XRP)
    ]
    assert snapshot.faults == ()


def test_a_missing_ledger_is_a_gap_in_the_snapshot() -> None:
    venue = Venue(market(ask(1, "10", "2")))
    assert venue.ledger(ledger_index=103).snapshot.faults == (DataFault.GAP,)


def test_a_takers_rest_that_traded_with_us_first_is_not_traded_in_full_again() -> None:
    venue = Venue(market())
    ours = venue.sells("4", "2")
    resting = change(NodeAction.CREATED, bid(50, "10", "2", owner="rTaker"))
    assert filled(venue.ledger(buys("10", "20", resting))) == [(ours, 4 * XRP, D(8))]
    second = venue.sells("10", "2")
    report = venue.ledger()
    # The recording knows a rest of 10; he bought 4 from us, so 6 are left.
    assert filled(report) == [(second, 6 * XRP, D(12))]
    assert venue.standing() == {second: 4 * XRP}


def test_what_we_took_is_not_taken_twice_and_is_forgotten_with_the_offer() -> None:
    theirs = ask(1, "10", "2")
    venue = Venue(market(theirs))
    first = venue.buys("4", "2")
    report = venue.ledger()
    assert filled(report) == [(first, 4 * XRP, D(8))]
    assert report.fills[0].liquidity is LiquiditySide.TAKER
    second = venue.buys("10", "2")
    assert filled(venue.ledger()) == [(second, 6 * XRP, D(12))]
    venue.cancel(second)
    venue.ledger(sells("1", "2", change(NodeAction.DELETED, theirs), account="rMaker"))
    # The same index again, which a ledger would not do: nothing of the old one sticks to it.
    venue.ledger(sells("1", "2", change(NodeAction.CREATED, theirs), account="rMaker"))
    third = venue.place(quote(Side.BUY, "10", "2"))
    assert filled(venue.ledger()) == [(third, 10 * XRP, D(20))]
