"""What becomes of our own transactions in the paper venue: arrival, replace, reserve, crossing, expiry."""

from __future__ import annotations

import pytest

from neo_engine.domain.assets import Side
from neo_engine.domain.fills import LiquiditySide
from neo_engine.domain.ledger import NodeAction, OfferChange
from neo_engine.domain.market import VenueOffer
from neo_engine.domain.orders import OrderStatus, TransactionKind
from neo_engine.execution.paper import boundaries, drawn_place
from tests.unit import ledger_fixture as ledgers
from tests.unit.paper_fixture import (
    FEE,
    START_DROPS,
    START_QUOTE,
    XRP,
    D,
    Venue,
    ask,
    bid,
    buys,
    filled,
    last,
    market,
    said,
    sells,
)

OPEN_ONE = 1_400_000  # 1 XRP, the trust line and one offer: what the ledger wants to see before it places
REJECTED, CANCELED, OPEN = OrderStatus.REJECTED, OrderStatus.CANCELED, OrderStatus.OPEN


def results(venue: Venue) -> list[str]:
    return [one.result for one in venue.ledger().transactions]


# arrival


@pytest.mark.parametrize("delay", [1, 3])
def test_an_order_arrives_so_many_ledgers_after_it_was_decided(delay: int) -> None:
    venue = Venue(market(), delay=delay)
    ours = venue.sells("10", "2")
    for _ in range(delay - 1):
        assert said(venue.ledger(buys("1", "2"))) == []
    report = venue.ledger(buys("1", "2"))
    assert filled(report) == [(ours, 1 * XRP, D(2))]
    assert report.snapshot.ledger_index == 100 + delay


def test_an_order_meets_only_the_transactions_behind_its_place_in_the_ledger() -> None:
    venue = Venue(market(), place=lambda _update: 1)
    ours = venue.sells("10", "2")
    report = venue.ledger(buys("3", "6"), buys("2", "4", account="rMaker"))
    assert filled(report) == [(ours, 2 * XRP, D(4))]
    assert report.transactions[0].transaction_index == 2  # behind the two of the ledger itself


def test_an_order_behind_the_last_transaction_meets_the_next_ledger_first() -> None:
    venue = Venue(market(), place=lambda update: len(update.transactions))
    ours = venue.sells("10", "2")
    assert said(venue.ledger(buys("3", "6"))) == [(ours, OPEN, None)]
    assert filled(venue.ledger(buys("3", "6"))) == [(ours, 3 * XRP, D(6))]


def test_its_transaction_is_reported_with_its_fee_and_uses_one_sequence() -> None:
    venue = Venue(market())
    ours = venue.sells("10", "2")
    report = venue.ledger()
    (outcome,) = report.transactions
    assert (outcome.order_id, outcome.kind, outcome.result) == (ours, TransactionKind.CREATE, "tesSUCCESS")
    assert (outcome.fee_drops, outcome.ledger_index) == (FEE, 101)
    account = report.account
    assert (account.balance_drops, account.account_sequence) == (START_DROPS - FEE, 2)
    assert account.owner_count == 2
    assert account.offers == (
        VenueOffer(offer_sequence=1, side=Side.SELL, base_drops=10 * XRP, quote=D(20), expiration=None),
    )


def test_last_ledger_sequence_passed_in_a_gap_rejects_and_costs_nothing() -> None:
    venue = Venue(market())
    ours = venue.sells("10", "2")  # LastLedgerSequence 104
    report = venue.ledger(buys("1", "2"), ledger_index=105)
    assert said(report) == [(ours, REJECTED, "tefMAX_LEDGER")]
    assert report.transactions == ()
    assert (report.account.balance_drops, report.account.account_sequence) == (START_DROPS, 1)


def test_an_order_still_within_last_ledger_sequence_after_a_gap_arrives() -> None:
    venue = Venue(market())
    ours = venue.sells("10", "2")
    assert said(venue.ledger(ledger_index=104)) == [(ours, OPEN, None)]


def test_a_replace_that_lapsed_in_a_gap_leaves_the_old_order_open() -> None:
    venue = Venue(market())
    old = venue.sells("10", "2")
    venue.ledger()
    new = venue.sells("10", "2.1", replaces=old)
    report = venue.ledger(ledger_index=110)
    assert said(report) == [(new, REJECTED, "tefMAX_LEDGER"), (old, OPEN, "tefMAX_LEDGER")]
    assert venue.standing() == {old: 10 * XRP}


def test_a_cancel_that_lapsed_in_a_gap_leaves_the_order_as_filled_as_it_was() -> None:
    venue = Venue(market())
    old = venue.sells("10", "2")
    venue.ledger(buys("4", "8"))
    venue.cancel(old)
    report = venue.ledger(ledger_index=110)
    update = last(report, old)
    # The reason is what tells it from one more partial fill: the order may be moved again.
    assert (update.status, update.reason) == (OrderStatus.PARTIALLY_FILLED, "tefMAX_LEDGER")
    assert (update.remaining_base_drops, update.remaining_quote) == (6 * XRP, D(12))


# cancel


def test_a_cancel_takes_the_offer_off_and_frees_its_reserve() -> None:
    venue = Venue(market())
    ours = venue.sells("10", "2")
    venue.ledger()
    venue.cancel(ours)
    report = venue.ledger(buys("5", "10"))
    assert said(report) == [(ours, CANCELED, "no quote for its slot")]
    assert filled(report) == []
    assert report.account.owner_count == 1
    assert report.account.balance_drops == START_DROPS - 2 * FEE


def test_a_cancel_behind_a_taker_comes_too_late_and_still_succeeds() -> None:
    venue = Venue(market(), place=lambda update: len(update.transactions))
    ours = venue.sells("10", "2")
    venue.ledger()
    venue.cancel(ours)
    report = venue.ledger(buys("10", "20"))
    assert filled(report) == [(ours, 10 * XRP, D(20))]
    assert said(report) == [(ours, OrderStatus.FILLED, None)]
    assert [one.result for one in report.transactions] == ["tesSUCCESS"]


# replace


def test_a_replace_at_the_same_price_stands_behind_what_came_since() -> None:
    venue = Venue(market())
    old = venue.sells("10", "2")
    newer = ask(50, "10", "2")
    created = OfferChange(
        action=NodeAction.CREATED,
        index=newer.index,
        side=newer.side,
        owner=newer.owner,
        sequence=newer.sequence,
        base_drops=newer.base_drops,
        quote=newer.quote,
        previous_base_drops=0,
        previous_quote=D(0),
        touched=False,
        rate=newer.rate,
        book_directory=newer.book_directory,
        book_node="0",
        owner_node="0",
        flags=0,
        expiration=None,
        chain_txn_id="",
    )
    venue.ledger(sells("10", "20", created, account="rMaker"))
    new = venue.sells("10", "2", replaces=old)
    report = venue.ledger(buys("8", "16"))
    assert filled(report) == []
    assert said(report) == [(old, CANCELED, f"replaced by order {new}"), (new, OPEN, None)]
    assert filled(venue.ledger(buys("12", "24"))) == [(new, 2 * XRP, D(4))]


def test_a_replace_refused_as_unfunded_leaves_the_old_offer_filling_as_before() -> None:
    venue = Venue(market(), quote_balance=D(0))
    old = venue.sells("10", "2")
    venue.ledger(buys("4", "8"))
    venue.account.quote_balance = D(0)
    new = venue.buys("10", "1.9", replaces=old)
    report = venue.ledger(buys("1", "2"))
    assert said(report)[:2] == [
        (new, REJECTED, "tecUNFUNDED_OFFER"),
        (old, OrderStatus.PARTIALLY_FILLED, "tecUNFUNDED_OFFER"),
    ]
    assert filled(report) == [(old, 1 * XRP, D(2))]
    assert venue.standing() == {old: 5 * XRP}
    # A tec burns the fee and uses the sequence (2.3).
    assert report.account.account_sequence == 3
    assert report.account.balance_drops == START_DROPS - 5 * XRP - 2 * FEE
    assert report.account.owner_count == 2


def test_a_replace_that_comes_expired_leaves_the_old_offer() -> None:
    venue = Venue(market())
    old = venue.sells("10", "2")
    venue.ledger()  # closes at 1010
    new = venue.sells("10", "2.1", expiration=1010, replaces=old)
    report = venue.ledger()
    assert said(report) == [(new, REJECTED, "tecEXPIRED"), (old, OPEN, "tecEXPIRED")]
    assert venue.standing() == {old: 10 * XRP}
    assert report.account.owner_count == 2  # the cancel was undone, its freed reserve too


def test_a_failed_replace_of_an_expired_offer_does_not_bring_it_back() -> None:
    venue = Venue(market())
    old = venue.sells("10", "2", expiration=1010)
    venue.ledger()
    new = venue.sells("10", "2.1", expiration=1010, replaces=old)
    report = venue.ledger()
    assert said(report) == [(new, REJECTED, "tecEXPIRED")]
    assert report.account.owner_count == 2


def test_a_replace_without_reserve_leaves_the_old_offer_in_its_place_in_the_queue() -> None:
    venue = Venue(market(), balance_drops=OPEN_ONE)
    old = venue.buys("10", "2")
    venue.ledger()  # the fee leaves 10 drops too few for any placing
    new = venue.buys("10", "2.01", replaces=old)
    report = venue.ledger(sells("4", "8", sell=True))
    assert said(report)[:2] == [
        (new, REJECTED, "tecINSUF_RESERVE_OFFER"),
        (old, OPEN, "tecINSUF_RESERVE_OFFER"),
    ]
    assert filled(report) == [(old, 4 * XRP, D(8))]


def test_a_replace_needs_no_reserve_beyond_that_of_the_offer_it_takes_away() -> None:
    venue = Venue(market(), balance_drops=OPEN_ONE + FEE)
    old = venue.buys("10", "2")
    venue.ledger()  # exactly 1.4 XRP are left: enough for one offer, not for two
    new = venue.buys("10", "2.01", replaces=old)
    assert said(venue.ledger()) == [(old, CANCELED, f"replaced by order {new}"), (new, OPEN, None)]
    another = venue.buys("10", "1.9")
    assert said(venue.ledger()) == [(another, REJECTED, "tecINSUF_RESERVE_OFFER")]


def test_a_replace_is_funded_before_the_fee_and_crosses_with_the_reserve_its_cancel_frees() -> None:
    # 5 drops above the reserve before the fee of 10: preclaim sees funds (2.3). After the cancel 0.2 XRP
    # less 5 drops can be sold, and the rest is not placed: 1.400005 XRP before the fee is enough for it.
    venue = Venue(market(bid(1, "10", "2")))
    old = venue.sells("10", "2.5")
    venue.ledger()
    venue.account.balance_drops = OPEN_ONE + 5
    new = venue.sells("10", "2", replaces=old)
    report = venue.ledger()
    assert filled(report) == [(new, 199_995, D("0.39999"))]


def test_a_replace_without_a_drop_above_the_reserve_is_unfunded_whatever_its_cancel_would_free() -> None:
    venue = Venue(market())
    old = venue.sells("10", "2.5")
    venue.ledger()
    venue.account.balance_drops = OPEN_ONE
    new = venue.sells("10", "2", replaces=old)
    assert said(venue.ledger())[0] == (new, REJECTED, "tecUNFUNDED_OFFER")


def test_replacing_an_offer_that_is_gone_is_an_ordinary_place() -> None:
    venue = Venue(market())
    old = venue.sells("4", "2")
    venue.ledger(buys("4", "8"))
    new = venue.sells("4", "2", replaces=old)
    assert said(venue.ledger()) == [(new, OPEN, None)]


# reserve and funds


@pytest.mark.parametrize(
    ("balance_drops", "result"), [(OPEN_ONE, "tesSUCCESS"), (OPEN_ONE - 1, "tecINSUF_RESERVE_OFFER")]
)
def test_the_reserve_is_asked_of_the_balance_before_the_fee(balance_drops: int, result: str) -> None:
    venue = Venue(market(), balance_drops=balance_drops)
    venue.buys("10", "2")
    assert results(venue) == [result]
    assert venue.account.balance_drops == balance_drops - FEE


def test_crossing_with_too_little_reserve_succeeds_and_leaves_no_offer() -> None:
    venue = Venue(market(ask(1, "4", "2")), balance_drops=1_300_000)
    ours = venue.buys("10", "2")
    report = venue.ledger()
    assert [one.result for one in report.transactions] == ["tesSUCCESS"]
    assert filled(report) == [(ours, 4 * XRP, D(8))]
    assert said(report) == [(ours, CANCELED, "nothing was left to place")]
    assert venue.standing() == {}
    assert report.account.owner_count == 1


def test_an_ask_without_xrp_above_the_reserve_is_unfunded() -> None:
    venue = Venue(market(), balance_drops=1_200_000)
    venue.sells("10", "2")
    assert results(venue) == ["tecUNFUNDED_OFFER"]


def test_placing_locks_no_funds_so_two_asks_may_sell_the_same_xrp() -> None:
    venue = Venue(market())
    venue.sells("90", "2")
    venue.sells("90", "2.1")
    venue.ledger()
    assert venue.standing() == {1: 90 * XRP, 2: 90 * XRP}


def test_an_offer_sent_while_the_token_is_frozen_is_refused_as_frozen() -> None:
    venue = Venue(market(issuer={"flags": 0x00400000}))
    ours = venue.sells("10", "2")
    assert said(venue.ledger()) == [(ours, REJECTED, "tecFROZEN")]
    assert venue.account.balance_drops == START_DROPS - FEE


# crossing


def test_a_bid_that_crosses_takes_the_best_asks_at_their_prices_and_rests_at_its_own() -> None:
    venue = Venue(market(ask(1, "4", "2"), ask(2, "3", "2.04"), ask(3, "9", "2.06")))
    ours = venue.buys("10", "2.05")
    report = venue.ledger()
    (fill,) = report.fills
    assert (fill.base_drops, fill.quote) == (7 * XRP, D("14.12"))  # 4 x 2 and 3 x 2.04
    assert (fill.liquidity, fill.node) == (LiquiditySide.TAKER, f"taker {ours}")
    update = last(report, ours)
    assert (update.status, update.remaining_base_drops, update.remaining_quote) == (
        OrderStatus.PARTIALLY_FILLED,
        3 * XRP,
        D("6.15"),
    )
    assert report.account.quote_balance == START_QUOTE - D("14.12")
    assert report.account.balance_drops == START_DROPS - FEE + 7 * XRP


def test_an_ask_that_crosses_takes_the_best_bids_and_rests_at_its_own_price() -> None:
    venue = Venue(market(bid(1, "4", "2"), bid(2, "3", "1.953125")))
    ours = venue.sells("10", "1.6")
    report = venue.ledger()
    assert filled(report) == [(ours, 7 * XRP, D("13.859375"))]  # 4 x 2 and 3 x 1.953125
    update = last(report, ours)
    assert (update.remaining_base_drops, update.remaining_quote) == (3 * XRP, D("4.8"))
    assert report.account.quote_balance == START_QUOTE + D("13.859375")


def test_an_order_that_takes_all_it_asked_for_is_filled_and_never_rests() -> None:
    venue = Venue(market(ask(1, "20", "2")))
    ours = venue.buys("10", "2.05")
    report = venue.ledger()
    assert filled(report) == [(ours, 10 * XRP, D(20))]
    assert said(report) == [(ours, OrderStatus.FILLED, None)]
    assert report.account.owner_count == 1


def test_an_order_whose_money_ran_out_while_taking_is_cancelled_not_filled() -> None:
    venue = Venue(market(ask(1, "20", "2")), quote_balance=D(12))
    ours = venue.buys("10", "2")
    report = venue.ledger()
    assert filled(report) == [(ours, 6 * XRP, D(12))]
    assert said(report) == [(ours, CANCELED, "nothing was left to place")]


@pytest.mark.parametrize("first", ["bid", "ask"])
def test_crossing_our_own_offer_deletes_it_without_a_trade(first: str) -> None:
    venue = Venue(market())
    old = venue.buys("3", "2") if first == "bid" else venue.sells("3", "2")
    venue.ledger()
    new = venue.sells("5", "1.99") if first == "bid" else venue.buys("5", "2.01")
    report = venue.ledger()
    assert filled(report) == []
    assert said(report) == [(old, CANCELED, "self_crossed"), (new, OPEN, None)]
    assert venue.standing() == {new: 5 * XRP}
    assert report.account.owner_count == 2


def test_the_trust_line_keeps_sixteen_digits_and_the_difference_is_carried_as_rounding() -> None:
    venue = Venue(market(bid(1, "10", "2.000000000000001")), quote_balance=D("150000.1234567891"))
    venue.sells("1", "2")
    report = venue.ledger()
    (fill,) = report.fills
    # The bid pays 2.000000000000001; 150002.123456789100000000001 has 16 digits as 150002.1234567891.
    assert fill.quote == D("2.000000000000001")
    assert fill.quote_balance_delta == D(2)
    assert fill.rounding == D("-0.000000000000001")
    assert report.account.quote_balance == D("150002.1234567891")


def test_a_purchase_carries_its_rounding_too() -> None:
    venue = Venue(market(ask(1, "10", "2.000000000000001")), quote_balance=D("150000.1234567891"))
    venue.buys("1", "2.1")
    (fill,) = venue.ledger().fills
    # 149998.123456789099999… has 16 digits as 149998.1234567891: 2 went out, 1E-15 less than was paid.
    assert (fill.quote, fill.quote_balance_delta) == (D("2.000000000000001"), D(-2))
    assert fill.rounding == D("0.000000000000001")


# expiry: Expiration <= close time of the ledger before (2.5)


def test_an_offer_fills_in_the_ledger_whose_parent_closed_before_its_expiration_and_not_after() -> None:
    venue = Venue(market())
    ours = venue.sells("10", "2", expiration=1020)
    venue.ledger()  # 101 closes at 1010
    report = venue.ledger(buys("4", "8"))  # parent closed at 1010; closes at 1020
    assert filled(report) == [(ours, 4 * XRP, D(8))]
    assert said(report)[-1] == (ours, OrderStatus.EXPIRED, "expired")
    assert venue.standing() == {}
    assert filled(venue.ledger(buys("4", "8"))) == []


def test_an_expired_offer_keeps_its_reserve_until_a_taker_meets_it() -> None:
    venue = Venue(market(ask(1, "10", "2.2")))
    ours = venue.sells("10", "2", expiration=1010)
    report = venue.ledger()
    assert said(report)[-1] == (ours, OrderStatus.EXPIRED, "expired")
    assert report.account.owner_count == 2
    assert venue.ledger().account.owner_count == 2
    report = venue.ledger(buys("1", "2.2"))
    assert report.account.owner_count == 1
    assert said(report) == []  # its order ended when it expired


@pytest.mark.parametrize("how", ["cancel", "replace"])
def test_an_expired_offer_is_cleared_by_our_own_cancel_or_replace(how: str) -> None:
    venue = Venue(market())
    old = venue.sells("10", "2", expiration=1010)
    venue.ledger()
    if how == "cancel":
        venue.cancel(old)
    else:
        venue.sells("10", "2", replaces=old)
    report = venue.ledger()
    assert [one.result for one in report.transactions] == ["tesSUCCESS"]
    assert report.account.owner_count == (1 if how == "cancel" else 2)
    assert old not in [order for order, _, _ in said(report)]


# the end


def test_the_end_of_the_market_closes_what_stands_and_what_never_arrived_once() -> None:
    venue = Venue(market())
    standing = venue.sells("10", "2")
    expired = venue.sells("10", "2.1", expiration=1010)
    venue.ledger()
    waiting = venue.sells("10", "2.2")
    closed = [(one.order_id, one.status) for one in venue.exchange.end_of_market()]
    assert closed == [(waiting, CANCELED), (standing, CANCELED)]
    assert expired not in dict(closed)
    assert venue.exchange.end_of_market() == ()


# the place inside a ledger


def test_places_lie_between_the_runs_of_accounts_only() -> None:
    runs = [buys("1", "2", account=name) for name in ("rA", "rA", "rB", "rC", "rC", "rC")]
    assert boundaries(ledgers.update(*runs)) == (0, 2, 3, 6)
    assert boundaries(ledgers.update()) == (0,)


def test_the_place_depends_on_seed_and_ledger_alone() -> None:
    one = ledgers.update(*(buys("1", "2", account=name) for name in "ABCDEFGH"), ledger_index=500)
    other = ledgers.update(*(sells("9", "1", account=name) for name in "STUVWXYZ"), ledger_index=500)
    assert [drawn_place(seed, one) for seed in range(50)] == [drawn_place(seed, other) for seed in range(50)]
    assert len({drawn_place(seed, one) for seed in range(50)}) > 1


def test_every_place_is_drawn_about_as_often() -> None:
    runs = [buys("1", "2", account=name) for name in ("rA", "rA", "rB", "rC")]
    places = [drawn_place(7, ledgers.update(*runs, ledger_index=index)) for index in range(4_000)]
    counts = {place: places.count(place) for place in (0, 2, 3, 4)}
    assert sum(counts.values()) == 4_000
    # Four places, 1000 each; five standard deviations of a binomial count are 5 x sqrt(750) = 137.
    assert all(abs(count - 1_000) < 137 for count in counts.values()), counts
