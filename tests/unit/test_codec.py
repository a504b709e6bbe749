"""The codec: what server messages mean. Expectations are the ledger's documented rules and real values."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from neo_engine.domain.assets import Side
from neo_engine.domain.errors import BadNumber
from neo_engine.domain.ledger import (
    AccountChange,
    FeeChange,
    LineChange,
    NodeAction,
    OfferChange,
    PoolChange,
    TakerIntent,
    TakerKind,
    taken_legs,
)
from neo_engine.xrpl.codec import MissingField, issued_of, page_number, rate_of_directory
from tests.unit.ledger_fixture import (
    CODE,
    ISSUER,
    RATES,
    ask_fields,
    bid_fields,
    index_of,
    line_node,
    node,
    rlusd,
    root_node,
    transaction,
)

OFFER = {"TransactionType": "OfferCreate"}
PAYMENT = {"TransactionType": "Payment", "Destination": "rTaker"}


def only(tx_nodes: list[dict[str, Any]]) -> Any:
    (change,) = transaction({"TransactionType": "OfferCancel"}, tx_nodes).changes
    return change


@pytest.mark.parametrize(("directory", "quality"), RATES.items())
def test_a_directory_decodes_to_the_quality_the_server_prints(directory: str, quality: Decimal) -> None:
    assert rate_of_directory(directory) == quality


@pytest.mark.parametrize("text", ["", "A" * 63, "g" * 64, "A" * 48 + "0" * 16, "A" * 48 + "FF" + "1" * 14])
def test_a_directory_without_a_usable_rate_is_refused(text: str) -> None:
    with pytest.raises(BadNumber, match="BookDirectory"):
        rate_of_directory(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("4000000000000000e-28", "4E-13"), ("-0.5", "-0.5"), ("1234567890123.456", "1234567890123.456")],
)
def test_an_issued_amount_is_read_exactly(text: str, value: str) -> None:
    assert issued_of(text, "amount") == Decimal(value)


@pytest.mark.parametrize(
    "text", ["NaN", "Infinity", "-Infinity", "", "abc", "1e97", "1e-98", "12345678901234567", "1" * 100]
)
def test_an_amount_that_no_ledger_can_hold_is_refused(text: str) -> None:
    with pytest.raises(BadNumber, match="amount"):
        issued_of(text, "amount")


def test_page_numbers_lose_their_leading_zeros() -> None:
    assert page_number("0000000000000000") == "0"
    assert page_number("000000000000001A") == "1A"


def test_a_created_offer_without_flags_and_nodes_has_the_defaults() -> None:
    fields = ask_fields("1000000", "2.125833")
    del fields["Flags"]
    change = only([node("CreatedNode", "Offer", index_of(1), NewFields=fields)])
    assert isinstance(change, OfferChange)
    assert (change.action, change.side, change.flags) == (NodeAction.CREATED, Side.SELL, 0)
    assert (change.book_node, change.owner_node, change.expiration) == ("0", "0", None)
    assert (change.base_drops, change.quote, change.touched) == (1_000_000, Decimal("2.125833"), False)


def test_a_side_that_previous_fields_do_not_name_did_not_change() -> None:
    final, previous = bid_fields("1", "3"), {"TakerGets": rlusd("1.5")}
    change = only([node("ModifiedNode", "Offer", index_of(1), FinalFields=final, PreviousFields=previous)])
    assert isinstance(change, OfferChange)
    assert (change.side, change.touched) == (Side.BUY, True)
    assert (change.previous_quote - change.quote, change.previous_base_drops - change.base_drops) == (
        Decimal("0.5"),
        0,
    )


def test_a_deleted_offer_without_previous_fields_was_not_filled() -> None:
    final = ask_fields("5", "1", PreviousTxnID="T0")
    change = only([node("DeletedNode", "Offer", index_of(1), FinalFields=final)])
    assert isinstance(change, OfferChange)
    assert not change.touched
    assert change.chain_txn_id == "T0"


def test_offers_lines_and_pools_of_other_pairs_are_left_out() -> None:
    other = {"currency": "USD", "issuer": ISSUER, "value": "1"}
    offer = node("CreatedNode", "Offer", index_of(1), NewFields=ask_fields("5", "1") | {"TakerPays": other})
    token = ask_fields("5", "1") | {"TakerPays": other, "TakerGets": rlusd("1")}
    tokens = node("CreatedNode", "Offer", index_of(2), NewFields=token)
    foreign = line_node("rMaker", "1", "2")
    foreign["ModifiedNode"]["FinalFields"]["LowLimit"]["currency"] = "USD"
    stranger = line_node("rMaker", "1", "2")
    stranger["ModifiedNode"]["FinalFields"]["HighLimit"]["issuer"] = "rSomebody"
    pool = {"Account": "rPool", "Asset": {"currency": "XRP"}, "Asset2": {"currency": "USD", "issuer": ISSUER}}
    pools = node("ModifiedNode", "AMM", index_of(3), FinalFields=pool)
    nodes = [offer, tokens, foreign, stranger, pools, node("ModifiedNode", "DirectoryNode", index_of(4))]
    assert transaction(OFFER, nodes).changes == ()


def test_a_created_offer_without_anything_to_exchange_is_a_bad_number() -> None:
    with pytest.raises(BadNumber, match="nothing to exchange"):
        only([node("CreatedNode", "Offer", index_of(1), NewFields=ask_fields("0", "1"))])


@pytest.mark.parametrize(
    ("gives", "gets"), [("-5", "1"), ("1.5", "1"), ("5", "-1"), ("5", "NaN"), ("200000000000000000", "1")]
)
def test_an_impossible_amount_in_an_offer_is_a_bad_number(gives: str, gets: str) -> None:
    with pytest.raises(BadNumber):
        only([node("CreatedNode", "Offer", index_of(1), NewFields=ask_fields(gives, gets))])


def test_a_created_entry_without_fields_and_a_node_without_action_are_missing_fields() -> None:
    with pytest.raises(MissingField, match="NewFields"):
        only([node("CreatedNode", "Offer", index_of(1))])
    with pytest.raises(MissingField, match="AffectedNodes"):
        only([{"SomethingElse": {}}])


def test_a_modified_entry_without_fields_moved_only_its_thread() -> None:
    nodes = [
        node("ModifiedNode", kind, index_of(1), PreviousTxnID="T0")
        for kind in ("Offer", "RippleState", "AMM")
    ]
    assert transaction(OFFER, nodes).changes == ()
    change = only([node("ModifiedNode", "AccountRoot", index_of(1), PreviousTxnID="T0")])
    assert isinstance(change, AccountChange)
    assert (change.account, change.chain_txn_id) == (None, "T0")


def test_a_line_is_told_from_the_holders_view_whichever_side_he_is_on() -> None:
    low = only([line_node("rMaker", "10", "7.5")])
    assert isinstance(low, LineChange)
    assert (low.holder, low.balance, low.previous_balance) == ("rMaker", Decimal("7.5"), Decimal(10))
    high = line_node("rMaker", "-10", "-7.5")
    final = high["ModifiedNode"]["FinalFields"]
    final["LowLimit"], final["HighLimit"] = final["HighLimit"], final["LowLimit"]
    change = only([high])
    assert (change.holder, change.balance, change.previous_balance) == ("rMaker", Decimal("7.5"), Decimal(10))


# lsfLowFreeze 0x00400000, lsfHighFreeze 0x00800000, deep 0x02000000 and 0x04000000 (RippleState flags).
@pytest.mark.parametrize(
    ("flags", "frozen"),
    [(0x00800000, True), (0x04000000, True), (0x00400000, False), (0x02000000, False), (0, False)],
)
def test_only_the_issuers_freeze_counts(flags: int, frozen: bool) -> None:
    change = only([line_node("rMaker", "1", "2", flags)])
    assert isinstance(change, LineChange)
    assert change.frozen is frozen


def test_a_new_account_and_a_new_line_began_at_zero() -> None:
    fields = {"Account": "rNew", "Balance": "5000000", "Sequence": 3}
    change = only([node("CreatedNode", "AccountRoot", index_of(1), NewFields=fields)])
    assert isinstance(change, AccountChange)
    assert (change.previous_balance_drops, change.balance_drops) == (0, 5_000_000)
    line = line_node("rNew", "0", "4")
    body = line.pop("ModifiedNode")
    created = only([{"CreatedNode": {**body, "NewFields": body["FinalFields"], "FinalFields": None}}])
    assert (created.previous_balance, created.balance) == (Decimal(0), Decimal(4))


def test_an_amm_entry_tells_fee_and_everyone_who_pays_the_discounted_one() -> None:
    slot = {
        "Account": "rHolder",
        "AuthAccounts": [{"AuthAccount": {"Account": "rFriend"}}],
        "DiscountedFee": 30,
        "Expiration": 77,
    }
    asset = {"currency": CODE, "issuer": ISSUER}
    fields = {
        "Account": "rPool",
        "Asset": asset,
        "Asset2": {"currency": "XRP"},
        "AuctionSlot": slot,
        "TradingFee": 300,
    }
    change = only([node("ModifiedNode", "AMM", index_of(1), FinalFields=fields)])
    assert isinstance(change, PoolChange)
    assert (change.account, change.trading_fee, change.discounted_fee) == ("rPool", 300, 30)
    assert (change.auction_accounts, change.auction_expiration) == (("rHolder", "rFriend"), 77)


def test_voted_fees_are_a_change_and_other_settings_are_not() -> None:
    fees = {"BaseFeeDrops": "12", "ReserveBaseDrops": "2000000", "ReserveIncrementDrops": "300000"}
    change = only([node("ModifiedNode", "FeeSettings", index_of(1), FinalFields=fees)])
    assert change == FeeChange(fee_base_drops=12, base_reserve_drops=2_000_000, owner_reserve_drops=300_000)
    assert (
        transaction(OFFER, [node("ModifiedNode", "FeeSettings", index_of(1), FinalFields={})]).changes == ()
    )


def intent(tx_json: dict[str, Any]) -> TakerIntent | None:
    return transaction(tx_json, []).taker


# tfPassive 0x10000, tfImmediateOrCancel 0x20000, tfFillOrKill 0x40000, tfSell 0x80000 (OfferCreate).
@pytest.mark.parametrize(
    ("flags", "names"),
    [
        (0x00010000, {"passive"}),
        (0x00020000, {"immediate_or_cancel"}),
        (0x00040000, {"fill_or_kill"}),
        (0x000A0000, {"sell", "immediate_or_cancel"}),
        (0, set()),
    ],
)
def test_offer_flags_become_words(flags: int, names: set[str]) -> None:
    sent = {
        "TakerGets": rlusd("4"),
        "TakerPays": "2000000",
        "Flags": flags,
        "Expiration": 9,
        "OfferSequence": 3,
    }
    asked = intent(OFFER | sent)
    assert asked is not None
    assert (asked.kind, asked.side, asked.base_drops, asked.quote) == (
        TakerKind.OFFER,
        Side.BUY,
        2_000_000,
        Decimal(4),
    )
    assert (asked.expiration, asked.replaces) == (9, 3)
    all_names = ("sell", "passive", "immediate_or_cancel", "fill_or_kill")
    assert {name for name in all_names if getattr(asked, name)} == names


def test_a_payment_that_delivers_xrp_for_token_buys() -> None:
    sent = {
        "DeliverMax": "2000000",
        "SendMax": rlusd("4.5"),
        "Flags": 0x00060000,
        "DeliverMin": "100",
        "Paths": [[{}]],
    }
    asked = intent(PAYMENT | sent)
    assert asked is not None
    assert (asked.kind, asked.side, asked.base_drops, asked.quote) == (
        TakerKind.PAYMENT,
        Side.BUY,
        2_000_000,
        Decimal("4.5"),
    )
    assert (asked.partial, asked.limit_quality, asked.has_paths) == (True, True, True)
    assert (asked.deliver_min_base_drops, asked.deliver_min_quote, asked.destination) == (100, None, "rTaker")


def test_a_payment_that_delivers_token_for_xrp_sells() -> None:
    sent = {"Amount": rlusd("4"), "SendMax": "2000000", "DeliverMin": rlusd("1"), "Paths": []}
    asked = intent(PAYMENT | sent)
    assert asked is not None
    assert (asked.side, asked.base_drops, asked.quote) == (Side.SELL, 2_000_000, Decimal(4))
    assert (asked.partial, asked.has_paths) == (False, False)
    assert (asked.deliver_min_base_drops, asked.deliver_min_quote) == (None, Decimal(1))


def test_a_send_max_in_the_senders_own_name_means_the_token_he_holds() -> None:
    own = {"currency": CODE, "issuer": "rTaker", "value": "4"}
    asked = intent(PAYMENT | {"DeliverMax": "2000000", "SendMax": own})
    assert asked is not None
    assert asked.side is Side.BUY


def test_plain_payments_and_other_pairs_ask_nothing_of_our_book() -> None:
    usd = {"currency": "USD", "issuer": ISSUER, "value": "1"}
    assert intent(PAYMENT | {"DeliverMax": "5"}) is None
    assert intent(PAYMENT | {"DeliverMax": rlusd("5")}) is None
    assert intent(OFFER | {"TakerGets": usd, "TakerPays": "5"}) is None
    assert intent({"TransactionType": "AccountSet"}) is None


def test_a_token_order_that_passes_through_our_bids_is_bridged() -> None:
    usd = {"currency": "USD", "issuer": ISSUER, "value": "1"}
    sent = OFFER | {"TakerGets": usd, "TakerPays": rlusd("5")}
    previous = {"TakerGets": rlusd("9"), "TakerPays": "4000000"}
    bid = node(
        "ModifiedNode", "Offer", index_of(1), FinalFields=bid_fields("7", "3000000"), PreviousFields=previous
    )
    pool = [root_node("rPool", 900, 1_000, AMMID="A"), line_node("rPool", "10", "9.5")]
    tx = transaction(sent, [bid, *pool])
    assert tx.taker is not None
    assert (tx.taker.kind, tx.taker.side) == (TakerKind.BRIDGED, Side.SELL)
    assert (tx.taker.base_drops, tx.taker.quote) == (1_000_100, Decimal("2.5"))
    (leg,) = taken_legs(tx, "rPool")
    assert (leg.base_drops, leg.quote, leg.pool_base_drops, leg.pool_quote) == (
        1_000_000,
        Decimal(2),
        100,
        Decimal("0.5"),
    )


def test_an_arbitrage_payment_takes_both_sides() -> None:
    took_ask = node(
        "DeletedNode",
        "Offer",
        index_of(1),
        FinalFields=ask_fields("0", "0"),
        PreviousFields={"TakerGets": "50", "TakerPays": rlusd("1")},
    )
    took_bid = node(
        "ModifiedNode",
        "Offer",
        index_of(2),
        FinalFields=bid_fields("7", "10"),
        PreviousFields={"TakerGets": rlusd("9"), "TakerPays": "50"},
    )
    tx = transaction(PAYMENT | {"DeliverMax": "50"}, [took_ask, took_bid])
    assert [(leg.side, leg.base_drops, leg.quote) for leg in taken_legs(tx, None)] == [
        (Side.BUY, 50, Decimal(1)),
        (Side.SELL, 40, Decimal(2)),
    ]


def test_a_deposit_to_the_pool_takes_nothing() -> None:
    pool = [root_node("rPool", 900, 1_000, AMMID="A"), line_node("rPool", "10", "11")]
    tx = transaction({"TransactionType": "AMMDeposit"}, pool)
    assert tx.taker is None
    assert taken_legs(tx, "rPool") == ()


def test_the_cancelled_sequence_is_kept_for_offer_transactions_only() -> None:
    assert transaction({"TransactionType": "OfferCancel", "OfferSequence": 4}, []).cancels == 4
    assert transaction({"TransactionType": "EscrowFinish", "OfferSequence": 4}, []).cancels is None


def test_a_delivery_is_what_metadata_says_and_nothing_after_a_failure() -> None:
    paid = transaction(PAYMENT | {"DeliverMax": "50"}, [], delivered_amount="20")
    assert paid.delivery is not None
    assert paid.delivery.base_drops == 20
    old = transaction(PAYMENT | {"DeliverMax": rlusd("50")}, [], delivered_amount="unavailable")
    assert old.delivery is not None
    assert old.delivery.quote == Decimal(50)
    partial = transaction(PAYMENT | {"DeliverMax": "50"}, [], DeliveredAmount="7")
    assert partial.delivery is not None
    assert partial.delivery.base_drops == 7
    assert transaction(PAYMENT | {"DeliverMax": "50"}, [], result="tecPATH_DRY").delivery is None
