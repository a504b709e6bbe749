"""OfferCreate and OfferCancel on the model ledger: refusals, replacing, reserve, placing, cleaning up.

How orders cross is proven by the recordings (test_model_verify) and by the matching's own tests; here stands
what those recordings do not hold. Amounts are worked out by hand in each test.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from neo_engine.domain.assets import XRP
from neo_engine.simulator.model import keys
from neo_engine.simulator.model.owners import directory_entries
from neo_engine.simulator.model.transactions.offer_create import (
    FILL_OR_KILL,
    HYBRID,
    IMMEDIATE_OR_CANCEL,
    PASSIVE,
    SELL,
)
from tests.unit.model_ledger import ALICE, BOB, CAROL, EUR, ISSUER, USD, Play, address, market, tokens

EUR_WIRE = tokens(1, EUR)
GLOBAL_FREEZE = 7
REQUIRE_AUTH = 2


def offer(play: Play, account: str, pays: Any, gets: Any, **fields: Any) -> str:
    """Send an OfferCreate; return its result."""
    return play.send("OfferCreate", account, TakerPays=pays, TakerGets=gets, **fields).result


def place(play: Play, account: str, pays: Any, gets: Any, **fields: Any) -> int:
    """Send an OfferCreate that must succeed; return its sequence."""
    sequence: int = play.root(account)["Sequence"]
    play.do("OfferCreate", account, TakerPays=pays, TakerGets=gets, **fields)
    return sequence


def resting(play: Play, account: str, sequence: int) -> dict[str, Any] | None:
    return play.chain.state.entries.get(keys.offer(account, sequence))


def owned(play: Play, account: str) -> int:
    return sum(1 for _ in directory_entries(play.view, keys.owner_directory(account)))


def leave(play: Play, account: str, drops: int) -> None:
    """Burn an account's XRP down to `drops` by one fee."""
    play.do("AccountSet", account, Fee=str(play.root(account)["Balance"] - drops))


# -- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "pays", "gets", "fields"),
    [
        ("temBAD_OFFER", "1", "1", {}),
        ("temBAD_OFFER", "0", tokens(1), {}),
        ("temBAD_OFFER", "1", tokens(0), {}),
        ("temBAD_OFFER", "1", tokens(-1), {}),
        ("temREDUNDANT", tokens(1), tokens(2), {}),
        ("temBAD_CURRENCY", "1", {"currency": "XRP", "issuer": ISSUER, "value": "1"}, {}),
        ("temBAD_ISSUER", "1", {"currency": "USD", "issuer": keys.XRP_ISSUER, "value": "1"}, {}),
        ("temINVALID_FLAG", "1", tokens(1), {"Flags": FILL_OR_KILL | IMMEDIATE_OR_CANCEL}),
        ("temINVALID_FLAG", "1", tokens(1), {"Flags": HYBRID}),
        ("temINVALID_FLAG", "1", tokens(1), {"Flags": 0x00200000}),
        ("temBAD_EXPIRATION", "1", tokens(1), {"Expiration": 0}),
        ("temBAD_SEQUENCE", "1", tokens(1), {"OfferSequence": 0}),
        ("temBAD_SEQUENCE", "1", tokens(1), {"OfferSequence": 1_000}),
        ("temDISABLED", "1", tokens(1), {"DomainID": "A" * 64}),
        ("tecEXPIRED", "1", tokens(1), {"Expiration": 848_500_000}),
        ("tesSUCCESS", "1", tokens(1), {"Expiration": 848_500_001}),
    ],
)
def test_orders_that_make_no_sense_are_refused(
    result: str, pays: Any, gets: Any, fields: dict[str, Any]
) -> None:
    play = market()
    before = dict(play.chain.state.entries)
    assert offer(play, ALICE, pays, gets, **fields) == result
    assert (play.chain.state.entries == before) == result.startswith("tem")


def test_an_order_needs_some_of_what_it_sells() -> None:
    play = market()
    play.do("Payment", ALICE, Destination=ISSUER, Amount=tokens(1000))
    assert offer(play, ALICE, "1", tokens(1)) == "tecUNFUNDED_OFFER"
    assert offer(play, ISSUER, "1", tokens(1)) == "tesSUCCESS"  # the issuer always has it
    leave(play, BOB, 1_400_000)  # the reserve of his two lines
    assert offer(play, BOB, tokens(1), "1") == "tecUNFUNDED_OFFER"


def test_an_order_whose_fee_takes_the_last_spendable_drop_is_unfunded_too() -> None:
    play = market()
    leave(play, ALICE, 1_400_010)  # ten drops above the reserve before the fee, none after it
    assert offer(play, ALICE, tokens(1), "1") == "tecUNFUNDED_OFFER"


def test_a_globally_frozen_token_is_neither_bought_nor_sold() -> None:
    play = market()
    play.do("AccountSet", ISSUER, SetFlag=GLOBAL_FREEZE)
    assert offer(play, ALICE, "1", tokens(1)) == "tecFROZEN"
    assert offer(play, ALICE, tokens(1), "1") == "tecFROZEN"


def test_a_frozen_line_sells_nothing_and_a_deep_frozen_one_buys_nothing() -> None:
    play = market()
    play.do("TrustSet", ISSUER, LimitAmount=tokens(0) | {"issuer": ALICE}, Flags=0x00100000)
    assert offer(play, ALICE, "1", tokens(1)) == "tecUNFUNDED_OFFER"
    assert offer(play, ALICE, tokens(1), "1") == "tesSUCCESS"
    play.do("TrustSet", ISSUER, LimitAmount=tokens(0) | {"issuer": ALICE}, Flags=0x00400000)
    assert offer(play, ALICE, tokens(1), "1") == "tecFROZEN"


def test_what_is_bought_must_have_an_issuer() -> None:
    play = market()
    nobody = keys.address_of(bytes(19) + b"\x07")
    assert offer(play, ALICE, {"currency": "USD", "issuer": nobody, "value": "1"}, "1") == "tecNO_ISSUER"


def test_an_issuer_who_asks_for_consent_must_have_given_it() -> None:
    play = Play()
    play.fund(ISSUER, ALICE, BOB)
    play.do("AccountSet", ISSUER, SetFlag=REQUIRE_AUTH)
    play.trust(ALICE)
    assert offer(play, BOB, tokens(1), "1") == "tecNO_LINE"
    assert offer(play, ALICE, tokens(1), "1") == "tecNO_AUTH"
    play.do("TrustSet", ISSUER, LimitAmount=tokens(0) | {"issuer": ALICE}, Flags=0x00010000)
    assert offer(play, ALICE, tokens(1), "1") == "tesSUCCESS"
    assert offer(play, ISSUER, tokens(1), "1") == "tesSUCCESS"


# -- placing ------------------------------------------------------------------------------------


def test_an_order_rests_in_the_directory_of_its_rate_with_its_flags() -> None:
    play = market()
    sequence = place(
        *(play, ALICE, tokens(2), "1000000"), Flags=SELL | PASSIVE, Expiration=848_600_000, SourceTag=9
    )
    # 2 USD for 1,000,000 drops: 2e-6 a drop, 16 digits 2000000000000000e-21, exponent byte 79 = 4F.
    directory = keys.book_base(USD, XRP) + "4F071AFD498D0000"
    entry = resting(play, ALICE, sequence) or {}
    assert {name: entry[name] for name in ("Account", "BookDirectory", "BookNode", "Flags", "Sequence")} == {
        "Account": ALICE,
        "BookDirectory": directory,
        "BookNode": "0",
        "Flags": 0x00030000,
        "Sequence": sequence,
    }
    assert (entry["Expiration"], entry["TakerGets"], "SourceTag" in entry) == (848_600_000, 1_000_000, False)
    assert play.chain.state.entries[directory]["ExchangeRate"] == "4f071afd498d0000"
    assert (play.root(ALICE)["OwnerCount"], owned(play, ALICE)) == (3, 3)


def test_an_order_of_a_ticket_bears_the_ticket_s_number() -> None:
    play = market()
    first = play.root(ALICE)["Sequence"] + 1
    play.do("TicketCreate", ALICE, TicketCount=1)
    play.do("OfferCreate", ALICE, TakerPays=tokens(2), TakerGets="1000000", TicketSequence=first)
    assert resting(play, ALICE, first) is not None
    assert "TicketCount" not in play.root(ALICE)
    assert (play.root(ALICE)["OwnerCount"], owned(play, ALICE)) == (3, 3)


def test_a_tick_moves_the_side_that_is_not_exact_in_the_maker_s_favour() -> None:
    play = market()
    play.do("AccountSet", ISSUER, TickSize=3)
    # 1.2345 USD for 1,000,000 drops is 1.2345e-6 a drop: up to 1.24e-6 with three digits.
    sell = resting(play, ALICE, place(play, ALICE, tokens("1.2345"), "1000000", Flags=SELL)) or {}
    assert (sell["TakerPays"].value, sell["TakerGets"]) == (Decimal("1.24"), 1_000_000)
    # A buy keeps TakerPays and gives less: 1.2345 / 1.24e-6 = 995564.5..., to the nearest drop.
    buy = resting(play, BOB, place(play, BOB, tokens("1.2345"), "1000000")) or {}
    assert (buy["TakerPays"].value, buy["TakerGets"]) == (Decimal("1.2345"), 995_565)


def test_a_passive_order_leaves_an_equal_rate_and_takes_a_better_one() -> None:
    play = market()
    maker = place(play, BOB, "1000000", tokens(2))
    passive = place(play, ALICE, tokens(2), "1000000", Flags=PASSIVE)
    assert resting(play, BOB, maker) is not None
    assert resting(play, ALICE, passive) is not None
    taker = place(play, CAROL, tokens("1.9"), "1000000", Flags=PASSIVE)
    # A buy stops at 1.9 USD: 950,000 drops at Bob's rate. He is left with the rest.
    left = resting(play, BOB, maker) or {}
    assert (left["TakerPays"], left["TakerGets"].value) == (50_000, Decimal("0.1"))
    assert resting(play, CAROL, taker) is None


# -- replacing ----------------------------------------------------------------------------------


def test_a_replace_is_one_transaction_and_needs_no_further_reserve() -> None:
    play = market()
    old = place(play, ALICE, tokens(2), "1000000")
    leave(play, ALICE, 1_600_000 + 20)  # base and three owned entries, twenty drops to sell or burn
    new = place(play, ALICE, tokens(3), "1000000", OfferSequence=old)
    assert resting(play, ALICE, old) is None
    assert resting(play, ALICE, new) is not None
    assert (play.root(ALICE)["OwnerCount"], owned(play, ALICE)) == (3, 3)


def test_a_replace_that_ends_in_a_tec_leaves_the_old_order_where_it_was() -> None:
    play = market()
    old = place(play, ALICE, tokens(2), "1000000")
    for flags, result in ((FILL_OR_KILL, "tecKILLED"), (IMMEDIATE_OR_CANCEL, "tecKILLED")):
        assert offer(play, ALICE, tokens(3), "1000000", OfferSequence=old, Flags=flags) == result
    assert offer(play, ALICE, tokens(3), "1", OfferSequence=old, Expiration=1) == "tecEXPIRED"
    assert resting(play, ALICE, old) is not None
    assert play.root(ALICE)["OwnerCount"] == 3


def test_a_replace_of_what_is_gone_just_places() -> None:
    play = market()
    sequence = place(play, ALICE, tokens(2), "1000000", OfferSequence=1)
    assert resting(play, ALICE, sequence) is not None


# -- reserve ------------------------------------------------------------------------------------


def test_without_the_reserve_nothing_is_placed_unless_something_crossed() -> None:
    play = market()
    leave(play, ALICE, 1_600_000 - 1)  # one drop less than three owned entries need
    assert offer(play, ALICE, "1000000", tokens(2)) == "tecINSUF_RESERVE_OFFER"
    maker = place(play, BOB, tokens(1), "500000")
    sequence = place(play, ALICE, "1000000", tokens(2))
    assert resting(play, BOB, maker) is None
    assert resting(play, ALICE, sequence) is None
    assert play.held(ALICE) == 999


def test_the_reserve_is_measured_before_the_fee() -> None:
    play = market()
    leave(play, ALICE, 1_600_000)
    assert offer(play, ALICE, "1000000", tokens(2)) == "tesSUCCESS"
    assert play.root(ALICE)["Balance"] == 1_599_990


# -- crossing -----------------------------------------------------------------------------------


def test_a_full_cross_exchanges_both_amounts_and_removes_the_offer() -> None:
    play = market()
    maker = place(play, BOB, tokens(2), "1000000")
    before = {name: play.held(name, XRP) for name in (ALICE, BOB)}
    meta = play.do("OfferCreate", ALICE, TakerPays="1000000", TakerGets=tokens(2), Flags=FILL_OR_KILL)
    assert [play.held(name) for name in (ALICE, BOB)] == [998, 1002]
    assert play.held(ALICE, XRP) - before[ALICE] == 1_000_000 - 10
    assert play.held(BOB, XRP) - before[BOB] == -1_000_000
    assert resting(play, BOB, maker) is None
    gone = [node["DeletedNode"] for node in meta["AffectedNodes"] if "DeletedNode" in node]
    assert {node["LedgerEntryType"] for node in gone} == {"Offer", "DirectoryNode"}
    (taken,) = (node for node in gone if node["LedgerEntryType"] == "Offer")
    assert taken["PreviousFields"] == {"TakerGets": "1000000", "TakerPays": tokens(2)}
    assert taken["FinalFields"]["TakerGets"] == "0"
    assert (play.root(BOB)["OwnerCount"], owned(play, BOB)) == (2, 2)


def test_the_rest_of_a_taker_keeps_his_own_rate() -> None:
    play = market()
    place(play, BOB, tokens(1), "1000000")  # asks 1 USD for an XRP
    # Alice pays 4 USD for 2 XRP: takes Bob's XRP for 1 USD; 1 XRP is left to buy, at her 2 USD.
    rest = resting(play, ALICE, place(play, ALICE, "2000000", tokens(4))) or {}
    assert (rest["TakerPays"], rest["TakerGets"].value) == (1_000_000, 2)
    assert play.held(ALICE) == 999


def test_one_s_own_offer_is_removed_and_not_traded_with() -> None:
    play = market()
    own = place(play, ALICE, tokens(2), "1000000")
    new = place(play, ALICE, "1000000", tokens(2))
    assert resting(play, ALICE, own) is None
    assert resting(play, ALICE, new) is not None
    assert play.held(ALICE) == 1000


def test_a_killed_order_still_removes_the_stale_offers_it_met() -> None:
    play = market()
    stale = place(play, BOB, tokens(1), "1000000", Expiration=848_500_030)
    empty = place(play, CAROL, EUR_WIRE, tokens(1))
    play.do("Payment", CAROL, Destination=ISSUER, Amount=tokens(1000))
    play.chain.close([], 848_500_040)
    play.rules = play.chain.rules()
    assert offer(play, ALICE, "1000000", tokens("0.5"), Flags=IMMEDIATE_OR_CANCEL) == "tecKILLED"
    assert resting(play, BOB, stale) is not None  # not met: it asks for more than 0.5
    assert offer(play, ALICE, "1000000", tokens(1), Flags=FILL_OR_KILL) == "tecKILLED"
    assert resting(play, BOB, stale) is None
    assert play.root(BOB)["OwnerCount"] == 2
    assert offer(play, ALICE, tokens(1), EUR_WIRE, Flags=IMMEDIATE_OR_CANCEL) == "tecKILLED"
    assert resting(play, CAROL, empty) is None


def test_a_transfer_fee_is_paid_by_who_gives_the_token() -> None:
    play = market(transfer_rate=1_010_000_000)
    place(play, BOB, tokens(100), "100000")
    place(play, ALICE, "100000", tokens(100))
    # The taker gives 100 and 1 % to the issuer.
    assert [play.held(name) for name in (ALICE, BOB)] == [899, 1100]
    place(play, BOB, "100000", tokens(100))
    place(play, ALICE, tokens(100), "100000")
    # Now the owner of the offer gives, and he pays it.
    assert [play.held(name) for name in (ALICE, BOB)] == [999, 999]


def test_buying_a_token_without_a_line_makes_one() -> None:
    play = market()
    dave = address("dave")
    play.fund(dave)
    assert play.root(dave)["OwnerCount"] == 0
    place(play, BOB, "1000000", tokens(5))
    place(play, dave, tokens(5), "1000000")
    assert play.held(dave) == 5
    assert (play.root(dave)["OwnerCount"], owned(play, dave)) == (1, 1)


# -- OfferCancel --------------------------------------------------------------------------------


def test_a_cancelled_order_is_gone_and_a_missing_one_is_no_fault() -> None:
    play = market()
    sequence = place(play, ALICE, tokens(2), "1000000")
    play.do("OfferCancel", ALICE, OfferSequence=sequence)
    assert resting(play, ALICE, sequence) is None
    assert (play.root(ALICE)["OwnerCount"], owned(play, ALICE)) == (2, 2)
    meta = play.do("OfferCancel", ALICE, OfferSequence=sequence)
    assert [node["ModifiedNode"]["LedgerEntryType"] for node in meta["AffectedNodes"]] == ["AccountRoot"]


@pytest.mark.parametrize(("sequence", "result"), [(0, "temBAD_SEQUENCE"), (10_000, "temBAD_SEQUENCE")])
def test_only_a_sequence_of_the_past_can_be_cancelled(sequence: int, result: str) -> None:
    assert market().send("OfferCancel", ALICE, OfferSequence=sequence).result == result


def test_nobody_cancels_another_s_order() -> None:
    play = market()
    sequence = place(play, BOB, tokens(2), "1000000")
    play.do("OfferCancel", ALICE, OfferSequence=min(sequence, play.root(ALICE)["Sequence"] - 1))
    assert resting(play, BOB, sequence) is not None
