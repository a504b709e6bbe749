"""The tracked book: order, funds, live offers, chain, repair. Expectations are worked out by hand."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from neo_engine.domain.amm import Pool
from neo_engine.domain.assets import Side
from neo_engine.domain.book import BookTracker
from neo_engine.domain.ledger import BookSnapshot, LedgerFaultKind, SnapshotOffer
from neo_engine.xrpl.state import state_of
from neo_engine.xrpl.wire import StartLedger, StateEntry, Token, header_decoder
from tests.unit.ledger_fixture import (
    ASK_2_125833,
    ASK_2_125938,
    ASKS,
    BASE_RESERVE,
    BID_200000,
    BID_472452_9,
    ISSUER,
    OWNER_RESERVE,
    PAIR,
    account,
    ask_fields,
    bid_fields,
    index_of,
    line,
    line_node,
    node,
    offer,
    rlusd,
    root_node,
    tracker,
    transaction,
    update,
)

OFFER = {"TransactionType": "OfferCreate"}
NOW = 1_000
RICH = account("rMaker", 10_000_000_000)


def created(number: int, fields: dict[str, Any]) -> dict[str, Any]:
    return node("CreatedNode", "Offer", index_of(number), NewFields=fields)


def owners(book: BookTracker, side: Side) -> list[int]:
    return [one.sequence for one in book.offers(side)]


def test_a_better_rate_stands_first_and_at_one_rate_the_older() -> None:
    book = tracker(offers=(offer(1, ASK_2_125938, "rA", 5, "1"), offer(2, ASK_2_125833, "rB", 5, "1")))
    for number in (3, 4):
        fields = ask_fields("5", "1", Sequence=number)
        assert (
            book.advance(update(transaction(OFFER, [created(number, fields)]), ledger_index=98 + number))
            == ()
        )
    assert owners(book, Side.SELL) == [2, 3, 4, 1]


def test_a_partly_filled_offer_keeps_its_place_and_a_deleted_one_leaves() -> None:
    book = tracker(offers=tuple(offer(n, ASK_2_125833, "rMaker", 10, "2") for n in (1, 2, 3)))
    modified = node(
        "ModifiedNode",
        "Offer",
        index_of(2),
        FinalFields=ask_fields("4", "0.8", Sequence=2),
        PreviousFields={"TakerGets": "10", "TakerPays": rlusd("2")},
        PreviousTxnID="T0",
    )
    gone = node("DeletedNode", "Offer", index_of(1), FinalFields=ask_fields("0", "0", PreviousTxnID="T0"))
    assert book.advance(update(transaction(OFFER, [modified, gone]))) == ()
    assert [(one.sequence, one.base_drops, one.quote) for one in book.asks] == [
        (2, 4, Decimal("0.8")),
        (3, 10, Decimal(2)),
    ]
    assert (book.asks[0].previous_txn_id, book.asks[0].previous_txn_ledger) == ("H1", 101)
    assert book.bids == ()
    assert book.offer(index_of(1)) is None


def test_xrp_below_the_reserve_cannot_be_spent() -> None:
    two_objects = account("rMaker", BASE_RESERVE + 2 * OWNER_RESERVE + 7, owner_count=2)
    book = tracker(
        accounts=(two_objects, account("rPoor", BASE_RESERVE - 1), account("rPool", 5, is_pool=True))
    )
    assert book.reserve_drops(2) == 1_400_000
    assert book.funds("rMaker", Side.SELL) == 7
    assert book.funds("rPoor", Side.SELL) == 0
    assert book.funds("rPool", Side.SELL) == 5
    assert book.funds("rNobody", Side.SELL) == 0


def test_token_that_is_frozen_owed_or_missing_cannot_be_spent() -> None:
    lines = (line("rA", "5"), line("rB", "5", frozen=True), line("rC", "-5"))
    book = tracker(lines=lines, accounts=(account(ISSUER, 0),))
    assert [book.funds(one, Side.BUY) for one in ("rA", "rB", "rC", "rD")] == [5, 0, 0, 0]
    assert book.funds(ISSUER, Side.BUY) > Decimal("1e90")
    assert not book.global_freeze


def test_a_global_freeze_leaves_every_offer_unfunded() -> None:
    # AccountRoot lsfGlobalFreeze is 0x00400000.
    issuer = account(ISSUER, 0, flags=0x00400000)
    book = tracker(accounts=(issuer, RICH), lines=(line("rMaker", "5"),))
    assert book.global_freeze
    assert book.funds("rMaker", Side.SELL) == 0
    assert book.funds("rMaker", Side.BUY) == 0


def test_the_issuers_settings_are_read_and_their_absence_means_none() -> None:
    assert tracker().tick_size is None
    assert tracker().transfer_rate == 1
    off = tracker(accounts=(account(ISSUER, 0, tick_size=16),))
    assert (off.tick_size, off.transfer_rate) == (None, 1)
    on = tracker(accounts=(account(ISSUER, 0, tick_size=5, transfer_rate=1_002_000_000),))
    assert (on.tick_size, on.transfer_rate) == (5, Decimal("1.002"))


def test_an_owners_funds_go_to_his_better_offers_first() -> None:
    # Spendable 150 drops: the first ask takes 100 of them, the second is funded for 50, the third for none.
    offers = tuple(offer(n, ASK_2_125833, "rMaker", 100, "0.0002125833") for n in (1, 2, 3))
    book = tracker(offers=offers, accounts=(account("rMaker", BASE_RESERVE + 150),))
    live = list(book.live_offers(Side.SELL, NOW))
    assert [(one.offer.sequence, one.base_drops) for one in live] == [(1, 100), (2, 50)]
    # 50 drops x 0.000002125833 RLUSD, exact.
    assert live[1].quote == Decimal("0.00010629165")


def test_what_is_paid_for_a_funded_bid_is_rounded_up_to_a_drop() -> None:
    # 1 RLUSD of funds at 472452.9 drops each: 472453 drops.
    book = tracker(offers=(offer(1, BID_472452_9, "rMaker", 944_906, "2"),), lines=(line("rMaker", "1"),))
    (live,) = book.live_offers(Side.BUY, NOW)
    assert (live.quote, live.base_drops) == (Decimal(1), 472_453)


def test_a_bid_pays_the_issuers_fee_out_of_its_funds_and_the_issuer_pays_none() -> None:
    issuer = account(ISSUER, 0, transfer_rate=1_250_000_000)
    offers = (
        offer(1, BID_472452_9, "rMaker", 944_906, "2"),
        offer(2, BID_472452_9, "rMaker", 944_906, "2"),
        offer(3, BID_472452_9, ISSUER, 944_906, "2"),
    )
    book = tracker(offers=offers, lines=(line("rMaker", "4"),), accounts=(issuer,))
    # Each unit that arrives costs 1.25: 4 RLUSD carry 2 for the first (2.5) and 1.2 for the second (1.5).
    assert [(one.offer.sequence, one.quote) for one in book.live_offers(Side.BUY, NOW)] == [
        (1, Decimal(2)),
        (2, Decimal("1.2")),
        (3, Decimal(2)),
    ]


def test_dust_that_asks_a_drop_for_less_than_its_rate_is_not_live() -> None:
    # As recorded: funds of 4e-13 RLUSD at 200000 drops each are worth 8e-8 of a drop.
    offers = (offer(1, BID_200000, "rMaker", 1_000_000_000_000, "5000000"),)
    book = tracker(offers=offers, lines=(line("rMaker", "4E-13"),))
    assert book.best(Side.BUY, NOW) is None
    assert len(book.bids) == 1


@pytest.mark.parametrize(("expiration", "live"), [(1_001, True), (1_000, False), (None, True)])
def test_an_offer_is_over_once_the_parent_closed_at_its_expiration(
    expiration: int | None, live: bool
) -> None:
    book = tracker(
        offers=(offer(1, ASK_2_125833, "rMaker", 5, "1", expiration=expiration),), accounts=(RICH,)
    )
    assert (book.best(Side.SELL, NOW) is not None) is live


def test_levels_add_up_offers_of_one_rate_and_stop_at_the_depth() -> None:
    offers = (
        offer(1, ASK_2_125833, "rMaker", 10, "1"),
        offer(2, ASK_2_125833, "rOther", 20, "2"),
        offer(3, ASK_2_125938, "rMaker", 40, "4"),
    )
    book = tracker(offers=offers, accounts=(RICH, account("rOther", 10_000_000_000)))
    best, second = book.live_levels(Side.SELL, 5, NOW)
    assert (best.price, best.base_drops, best.quote, best.offers) == (Decimal("2.125833"), 30, Decimal(3), 2)
    assert (second.price, second.base_drops) == (Decimal("2.125938"), 40)
    assert book.live_levels(Side.SELL, 1, NOW) == (best,)
    (without,) = book.live_levels(Side.SELL, 1, NOW, exclude_owner="rMaker")
    assert (without.base_drops, without.offers) == (20, 1)
    assert book.live_levels(Side.BUY, 5, NOW) == ()


def test_a_bids_price_is_a_million_over_its_rate() -> None:
    assert offer(1, BID_200000, "rMaker", 1, "1").price == 5


def test_a_change_whose_predecessor_was_not_seen_is_a_chain_break() -> None:
    book = tracker(accounts=(RICH,))
    moved = root_node("rMaker", 10, 20)
    moved["ModifiedNode"]["PreviousTxnID"] = "T-UNSEEN"
    (fault,) = book.advance(update(transaction(OFFER, [moved])))
    assert fault.kind is LedgerFaultKind.CHAIN_BREAK
    assert (fault.ledger_index, fault.line) == (101, 2)
    assert "T-UNSEEN" in fault.text
    assert not book.trusted


def test_an_entry_never_seen_is_a_fault_only_where_the_state_was_complete() -> None:
    gone = node("DeletedNode", "Offer", index_of(1), FinalFields=ask_fields("5", "1", PreviousTxnID="T0"))
    (fault,) = tracker().advance(update(transaction(OFFER, [gone])))
    assert fault.kind is LedgerFaultKind.UNKNOWN_ENTRY
    partial = tracker(complete=False)
    assert partial.advance(update(transaction(OFFER, [gone, root_node("rNew", 5, 6)]))) == ()
    learned = partial.account("rNew")
    assert learned is not None
    assert learned.balance_drops == 6


def test_a_partial_state_learns_an_offer_from_its_first_change() -> None:
    book = tracker(complete=False)
    seen = node(
        "ModifiedNode",
        "Offer",
        index_of(4),
        FinalFields=bid_fields("1", "472452"),
        PreviousFields={"TakerGets": rlusd("2")},
    )
    assert book.advance(update(transaction(OFFER, [seen]))) == ()
    assert [one.index for one in book.bids] == [index_of(4)]


def test_a_ledger_that_does_not_follow_or_is_incomplete_makes_the_market_untrusted() -> None:
    for given in (update(ledger_index=103), update(incomplete=True)):
        book = tracker()
        assert book.advance(given) == ()
        assert not book.trusted
        assert book.ledger_index == given.ledger_index


def test_while_untrusted_changes_are_taken_without_further_faults() -> None:
    book = tracker()
    assert book.advance(update(transaction(OFFER, [root_node("rNew", 5, 6)]), ledger_index=103)) == ()
    assert book.account("rNew") is not None


def test_a_resync_rebuilds_books_funds_and_pool_and_trusts_again() -> None:
    book = tracker(
        offers=(offer(1, ASK_2_125833, "rGone", 5, "1"),), accounts=(account("rMaker", 1, owner_count=3),)
    )
    ask, bid = offer(7, ASK_2_125938, "rMaker", 100, "1"), offer(8, BID_472452_9, "rNew", 944_906, "2")
    second = offer(9, BID_472452_9, ISSUER, 944_906, "2")
    pool = Pool(
        account="rPool",
        base_drops=5,
        quote=Decimal(10),
        trading_fee=300,
        discounted_fee=30,
        auction_accounts=(),
        auction_expiration=0,
    )
    snapshot = BookSnapshot(
        asks=(SnapshotOffer(offer=ask, owner_funds=Decimal(60)),),
        bids=(
            SnapshotOffer(offer=bid, owner_funds=Decimal(1)),
            SnapshotOffer(offer=second, owner_funds=Decimal(2)),
        ),
        pool=pool,
        complete=True,
    )
    assert book.advance(update(ledger_index=105, resync=snapshot)) == ()
    assert book.trusted
    assert book.pool == pool
    assert owners(book, Side.SELL) == [7]
    assert owners(book, Side.BUY) == [8, 9]
    assert book.funds("rMaker", Side.SELL) == 60
    assert book.funds("rNew", Side.BUY) == 1
    # What is known after it is checked again: the offer's own last transaction is in the list.
    moved = node(
        "ModifiedNode", "Offer", index_of(7), FinalFields=ask_fields("5", "1"), PreviousTxnID="T-UNSEEN"
    )
    (fault,) = book.advance(update(transaction(OFFER, [moved]), ledger_index=106))
    assert fault.kind is LedgerFaultKind.CHAIN_BREAK


def test_a_resync_gives_funds_to_an_owner_never_seen() -> None:
    book = tracker()
    ask = SnapshotOffer(offer=offer(7, ASK_2_125938, "rNew", 100, "1"), owner_funds=Decimal(60))
    book.resync(BookSnapshot(asks=(ask,), bids=(), pool=None, complete=True))
    assert book.funds("rNew", Side.SELL) == 60


def test_a_live_ask_below_a_live_bid_is_reported_as_crossed() -> None:
    # Ask at 2.125833, bid at 5 (rate 200000).
    offers = (offer(1, ASK_2_125833, "rMaker", 5, "1"), offer(2, BID_200000, "rMaker", 1_000_000, "5"))
    book = tracker(offers=offers, accounts=(RICH,), lines=(line("rMaker", "5"),))
    (fault,) = book.advance(update())
    assert fault.kind is LedgerFaultKind.CROSSED_PRICES
    assert "2.12583300 lies below best bid 5.00000000" in fault.text


def test_the_parents_close_time_is_that_of_the_ledger_before() -> None:
    book = tracker()
    book.advance(update())
    assert (book.parent_close_time, book.close_time) == (1_000, 1_010)
    book.open_ledger(update(ledger_index=102))
    assert book.parent_close_time == 1_010


def test_voted_fees_hold_from_their_transaction_on() -> None:
    fees = {"BaseFeeDrops": "12", "ReserveBaseDrops": "2000000", "ReserveIncrementDrops": "300000"}
    tx = transaction(OFFER, [node("ModifiedNode", "FeeSettings", index_of(1), FinalFields=fees)])
    book = tracker()
    assert book.apply(tx) == ()
    assert (book.fee_base_drops, book.reserve_drops(1)) == (12, 2_300_000)


def test_the_pool_follows_its_account_its_line_and_its_entry() -> None:
    book = tracker(complete=False)
    asset = {"currency": PAIR.quote.currency, "issuer": ISSUER}
    fields = {"Account": "rPool", "Asset": {"currency": "XRP"}, "Asset2": asset, "TradingFee": 300}
    made = [
        node("CreatedNode", "AMM", index_of(9), NewFields=fields),
        root_node("rPool", 0, 500, AMMID="A"),
        line_node("rPool", "0", "7"),
    ]
    book.advance(update(transaction({"TransactionType": "AMMCreate"}, made)))
    assert book.pool is not None
    assert (book.pool.base_drops, book.pool.quote, book.pool.trading_fee) == (500, Decimal(7), 300)
    voted = node("ModifiedNode", "AMM", index_of(9), FinalFields={**fields, "TradingFee": 250})
    book.advance(update(transaction({"TransactionType": "AMMVote"}, [voted]), ledger_index=102))
    assert book.pool is not None
    assert (book.pool.base_drops, book.pool.quote, book.pool.trading_fee) == (500, Decimal(7), 250)
    gone = node("DeletedNode", "AMM", index_of(9), FinalFields=fields)
    book.advance(update(transaction({"TransactionType": "AMMDelete"}, [gone]), ledger_index=103))
    assert book.pool is None


def test_a_deleted_account_and_a_deleted_line_are_gone() -> None:
    book = tracker(accounts=(RICH,), lines=(line("rMaker", "5"),))
    final = {"Account": "rMaker", "Balance": "0", "PreviousTxnID": "T0"}
    away = node("DeletedNode", "AccountRoot", "ROOTrMaker", FinalFields=final)
    closed = line_node("rMaker", "5", "0")
    body = closed.pop("ModifiedNode")
    body["FinalFields"]["PreviousTxnID"] = "T0"
    assert book.advance(update(transaction(OFFER, [away, {"DeletedNode": body}]))) == ()
    assert book.account("rMaker") is None
    assert book.line("rMaker") is None


def test_a_thread_that_moved_is_remembered() -> None:
    book = tracker(accounts=(RICH,))
    thread = node("ModifiedNode", "AccountRoot", "ROOTrMaker", PreviousTxnID="T0")
    assert book.advance(update(transaction(OFFER, [thread]))) == ()
    moved = root_node("rMaker", 10, 20)
    moved["ModifiedNode"]["PreviousTxnID"] = "H1"
    assert book.advance(update(transaction(OFFER, [moved]), ledger_index=102)) == ()


def entry(**fields: Any) -> dict[str, Any]:
    return fields


def page(index: str, indexes: list[str], following: str, before: str) -> dict[str, Any]:
    return entry(
        LedgerEntryType="DirectoryNode",
        index=index,
        RootIndex=ASK_2_125833,
        Indexes=indexes,
        IndexNext=following,
        IndexPrevious=before,
    )


def test_offers_of_one_directory_begin_in_page_order() -> None:
    numbers = (5, 3, 9, 1)
    offers = [ask_fields("5", "1", Sequence=n, index=index_of(n), LedgerEntryType="Offer") for n in numbers]
    # Pages 0, 1 and 3 (2 emptied and went); a further page points back to the one before it.
    pages = [
        page("P3", [index_of(1)], "0", "1"),
        page(ASK_2_125833, [index_of(5)], "1", "3"),
        page("P1", [index_of(3), index_of(9)], "3", "0"),
    ]
    fees = entry(
        LedgerEntryType="FeeSettings",
        BaseFeeDrops="10",
        ReserveBaseDrops="1000000",
        ReserveIncrementDrops="200000",
    )
    header = {
        "type": "header",
        "pair": {"base": {"currency": "XRP"}, "quote": {"currency": PAIR.quote.currency, "issuer": ISSUER}},
        "start_ledger": {"ledger_index": 100, "ledger_hash": "", "close_time": 1_000},
        "state": [*offers, *pages, fees],
    }
    read = header_decoder.decode(json.dumps(header).encode())
    book = BookTracker(state_of(PAIR, read.start_ledger, read.state, True))
    assert owners(book, Side.SELL) == list(numbers)


def test_offers_whose_directory_is_missing_stand_by_age() -> None:
    entries = [
        StateEntry(
            LedgerEntryType="FeeSettings",
            BaseFeeDrops="10",
            ReserveBaseDrops="1",
            ReserveIncrementDrops="1",
        )
    ]
    for number, ledger in ((1, 9), (2, 8)):
        listed = StateEntry(LedgerEntryType="Offer", index=index_of(number), Account="rA", Sequence=number)
        listed.BookDirectory, listed.PreviousTxnLgrSeq = ASKS + "4F078D6F10D11A00", ledger
        listed.TakerGets, listed.TakerPays = "5", None
        entries.append(listed)
    start = StartLedger(ledger_index=1, ledger_hash="", close_time=5)
    assert BookTracker(state_of(PAIR, start, entries, True)).asks == ()
    for listed in entries[1:]:
        listed.TakerPays = Token(**rlusd("1"))
    assert owners(BookTracker(state_of(PAIR, start, entries, True)), Side.SELL) == [2, 1]
