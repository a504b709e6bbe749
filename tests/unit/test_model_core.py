"""What every transaction of the model ledger uses: places, amounts, directories, fees, order, metadata."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from xrpl.core.binarycodec.definitions import definitions

from neo_engine.bootstrap import EMBEDDED_RECORDING
from neo_engine.domain.assets import XRP, Asset
from neo_engine.domain.errors import BadNumber, InvariantViolation
from neo_engine.simulator.model import keys
from neo_engine.simulator.model.amounts import Token, from_wire, to_wire, value_text
from neo_engine.simulator.model.fields import entry_from_wire, fields_to_wire
from neo_engine.simulator.model.ledger import canonical_order, next_close_time
from neo_engine.simulator.model.metadata import nodes_of
from neo_engine.simulator.model.owners import (
    PAGE_ENTRIES,
    adjust_owner_count,
    directory_add,
    directory_entries,
    directory_remove,
)
from neo_engine.simulator.model.results import RESULTS
from neo_engine.simulator.model.state import State, View
from neo_engine.simulator.model.tx import Tx
from tests.unit.model_ledger import ALICE, BOB, CAROL, USD, XRP_100, Play, market, tokens, tx_hash

ROOT = "A" * 64


@pytest.fixture(scope="module")
def entries() -> list[dict[str, Any]]:
    """Every entry of a real ledger."""
    with gzip.open(EMBEDDED_RECORDING, "rb") as file:
        found: list[dict[str, Any]] = json.loads(file.readline())["state"]
    return found


def asset_of(fields: dict[str, str]) -> Asset:
    return Asset(fields["currency"], fields["issuer"]) if "issuer" in fields else XRP


def place_of(entry: dict[str, Any]) -> str | None:
    """The index by our keys, None for the kinds whose place is fixed."""
    kind = entry["LedgerEntryType"]
    if kind == "AccountRoot":
        return keys.account_root(entry["Account"])
    if kind == "Offer":
        return keys.offer(entry["Account"], entry["Sequence"])
    if kind == "RippleState":
        low, high = entry["LowLimit"], entry["HighLimit"]
        return keys.line(low["issuer"], high["issuer"], low["currency"])
    if kind == "AMM":
        return keys.amm(asset_of(entry["Asset"]), asset_of(entry["Asset2"]))
    if kind == "DirectoryNode" and "Owner" in entry:
        return keys.owner_directory(entry["Owner"])
    return None


def test_a_real_ledger_s_entries_stand_where_our_keys_say(entries: list[dict[str, Any]]) -> None:
    placed = [(entry["index"], place_of(entry)) for entry in entries]
    known = [(index, place) for index, place in placed if place is not None]
    assert len(known) > 200
    assert [index for index, _ in known] == [place for _, place in known]


def test_a_real_ledger_s_offers_lie_in_the_directories_of_their_book_and_rate(
    entries: list[dict[str, Any]],
) -> None:
    pages = {entry["index"]: entry for entry in entries if entry["LedgerEntryType"] == "DirectoryNode"}
    offers = [entry for entry in entries if entry["LedgerEntryType"] == "Offer"]
    assert len(offers) > 50
    for offer in offers:
        pays, gets = from_wire(offer["TakerPays"], "p"), from_wire(offer["TakerGets"], "g")
        base = keys.book_base(*(XRP if isinstance(one, int) else one.asset for one in (pays, gets)))
        directory = offer["BookDirectory"]
        assert directory.startswith(base)
        assert keys.book_directory(base, keys.rate_of_directory(directory)) == directory
        root = pages[directory]
        names = keys.book_fields(*(XRP if isinstance(one, int) else one.asset for one in (pays, gets)))
        assert {name: root.get(name, "0" * 40) for name in names} == names
        assert root["ExchangeRate"] == directory[48:].lower()


def test_every_entry_of_a_real_ledger_keeps_its_texts_through_the_model(
    entries: list[dict[str, Any]],
) -> None:
    for entry in entries:
        bare = {name: value for name, value in entry.items() if name != "index"}
        assert fields_to_wire(entry_from_wire(entry)) == bare


@pytest.mark.parametrize(
    ("value", "text"),
    [
        # STAmount::getText: plain where the exponent of the 16 digits lies in -25..-5, else with it.
        ("0", "0"),
        ("1", "1"),
        ("-0.5", "-0.5"),
        ("1E-10", "0.0000000001"),
        ("1E-11", "1000000000000000e-26"),
        ("12345678901.23456", "12345678901.23456"),
        ("123456789012.3456", "1234567890123456e-4"),
        ("1E+15", "1000000000000000"),
        ("9999999999999999E+80", "9999999999999999e80"),
    ],
)
def test_token_values_are_written_as_the_server_writes_them(value: str, text: str) -> None:
    assert value_text(Decimal(value)) == text


@pytest.mark.parametrize("bad", ["-1", "1.5", "x", None, 3.5, {"currency": "USD"}, ["1"]])
def test_what_no_ledger_can_hold_is_refused(bad: object) -> None:
    with pytest.raises(BadNumber):
        from_wire(bad, "Amount")


@pytest.mark.parametrize("bad", ["", "rubbish", ALICE[:-1], "sEdTM1uX8pu2do5XvTnutH6HsouMaM2"])
def test_what_is_no_address_is_refused(bad: str) -> None:
    with pytest.raises(BadNumber, match="account"):
        keys.account_id(bad)


def test_every_result_code_has_the_number_of_the_public_definitions() -> None:
    public = definitions._DEFINITIONS["TRANSACTION_RESULTS"]
    assert len(RESULTS) > 180
    for code, (number, message) in RESULTS.items():
        assert public[code] == number, code
        assert message


@pytest.mark.parametrize(
    ("code", "number", "message"),
    [
        # As a rippled 3.1.1 answered to submits.
        ("tecKILLED", 150, "No funds transferred and no offer created."),
        ("tecUNFUNDED_OFFER", 103, "Insufficient balance to fund created offer."),
        ("tecINSUF_RESERVE_OFFER", 123, "Insufficient reserve to create offer."),
        ("tecEXPIRED", 148, "Expiration time is passed."),
        ("temBAD_OFFER", -292, "Malformed: Bad offer."),
        ("temBAD_SEQUENCE", -283, "Malformed: Sequence is not in the past."),
        ("temINVALID_FLAG", -276, "The transaction has an invalid flag."),
        ("tefPAST_SEQ", -190, "This sequence number has already passed."),
        ("tefMAX_LEDGER", -187, "Ledger sequence too high."),
        ("tefNO_TICKET", -180, "Ticket is not in ledger."),
        ("terPRE_SEQ", -92, "Missing/inapplicable prior transaction."),
        ("telINSUF_FEE_P", -394, "Fee insufficient."),
        (
            "telNETWORK_ID_MAKES_TX_NON_CANONICAL",
            -384,
            "Transactions submitted to this node/network must NOT include a NetworkID field.",
        ),
    ],
)
def test_result_messages_are_the_server_s(code: str, number: int, message: str) -> None:
    assert RESULTS[code] == (number, message)


# -- directories --------------------------------------------------------------------------------


def index_of(number: int) -> str:
    return f"{number:064X}"


def filled(count: int, *, in_order: bool = True) -> View:
    view = View(State())
    for number in range(count, 0, -1):
        directory_add(view, ROOT, index_of(number), in_order=in_order, describe={"Owner": ALICE})
    return view


def test_a_book_keeps_arrival_and_an_owner_s_page_is_sorted() -> None:
    assert list(directory_entries(filled(3), ROOT)) == [index_of(number) for number in (3, 2, 1)]
    assert list(directory_entries(filled(3, in_order=False), ROOT)) == [index_of(n) for n in (1, 2, 3)]


def test_a_full_page_is_followed_by_another_and_the_ring_closes_at_the_root() -> None:
    view = filled(2 * PAGE_ENTRIES + 1)
    root, middle, last = (view.read(keys.page(ROOT, number)) or {} for number in (0, 1, 2))
    assert [len(page["Indexes"]) for page in (root, middle, last)] == [PAGE_ENTRIES, PAGE_ENTRIES, 1]
    assert (root["IndexNext"], root["IndexPrevious"]) == ("1", "2")
    assert middle["IndexNext"] == "2"
    assert "IndexPrevious" not in middle  # page 0 is the default
    assert last["IndexPrevious"] == "1"


def test_an_emptied_middle_page_leaves_its_neighbours_linked() -> None:
    view = filled(2 * PAGE_ENTRIES + 1)
    for index in list((view.read(keys.page(ROOT, 1)) or {})["Indexes"]):
        directory_remove(view, ROOT, "1", index)
    assert view.read(keys.page(ROOT, 1)) is None
    assert (view.read(ROOT) or {})["IndexNext"] == "2"
    assert (view.read(keys.page(ROOT, 2)) or {})["IndexPrevious"] == "0"
    assert len(list(directory_entries(view, ROOT))) == PAGE_ENTRIES + 1


def test_an_emptied_root_stays_while_it_has_other_pages_and_goes_with_the_last() -> None:
    view = filled(PAGE_ENTRIES + 1)
    for index in list((view.read(ROOT) or {})["Indexes"]):
        directory_remove(view, ROOT, "0", index)
    assert view.read(ROOT) is not None
    directory_remove(view, ROOT, "1", index_of(1))
    assert view.read(ROOT) is None
    assert view.read(keys.page(ROOT, 1)) is None


def test_what_is_not_on_its_page_is_a_defect() -> None:
    with pytest.raises(InvariantViolation, match="is not on page 0"):
        directory_remove(filled(1), ROOT, "0", index_of(7))
    play = Play()
    play.fund(ALICE)
    with pytest.raises(InvariantViolation, match="owner count would be -1"):
        adjust_owner_count(play.view, ALICE, -1)


# -- views and metadata -------------------------------------------------------------------------


def account(balance: int) -> dict[str, Any]:
    return {"LedgerEntryType": "AccountRoot", "Account": ALICE, "Balance": balance, "Flags": 0}


def test_a_dropped_view_changes_nothing_and_an_absorbed_one_does() -> None:
    place = keys.account_root(ALICE)
    state = State({place: account(5)})
    view = View(state)
    view.edit(place)["Balance"] = 7
    assert state.entries[place]["Balance"] == 5
    state.absorb(view)
    assert state.entries[place]["Balance"] == 7


def test_a_copied_state_does_not_see_later_changes() -> None:
    place = keys.account_root(ALICE)
    state = State({place: account(5)})
    twin = state.copy()
    view = View(state)
    view.erase(place)
    state.absorb(view)
    assert twin.entries.keys() == {place}
    assert not state.entries


def test_missing_and_double_entries_are_defects() -> None:
    view = View(State({ROOT: account(1)}))
    with pytest.raises(InvariantViolation, match="is there already"):
        view.insert(ROOT, account(2))
    with pytest.raises(InvariantViolation, match="to edit"):
        view.edit("B" * 64)
    with pytest.raises(InvariantViolation, match="to remove"):
        view.state.drop("B" * 64)


def test_what_is_the_same_in_the_end_is_not_told() -> None:
    place = keys.account_root(ALICE)
    view = View(State({place: account(5)}))
    view.edit(place)["Balance"] = 6
    view.edit(place)["Balance"] = 5
    assert nodes_of(view, "F" * 64, 9) == []


def test_a_field_that_only_appears_gives_empty_previous_fields() -> None:
    # As a server tells of an owner directory that got its second page.
    page = {"LedgerEntryType": "DirectoryNode", "Flags": 0, "RootIndex": ROOT, "Indexes": []}
    view = View(State({ROOT: page}))
    view.edit(ROOT)["IndexNext"] = "1"
    (node,) = nodes_of(view, "F" * 64, 9)
    assert node["ModifiedNode"]["PreviousFields"] == {}
    assert node["ModifiedNode"]["FinalFields"] == {"Flags": 0, "RootIndex": ROOT, "IndexNext": "1"}


def test_previous_transactions_form_a_chain() -> None:
    play = Play()
    play.fund(ALICE, BOB)
    play.do("Payment", ALICE, Destination=BOB, Amount="1")
    before = play.root(ALICE)["PreviousTxnID"]
    second = play.do("Payment", ALICE, Destination=BOB, Amount="2")
    last = {node["ModifiedNode"]["PreviousTxnID"] for node in second["AffectedNodes"]}
    assert last == {before}
    assert play.root(ALICE)["PreviousTxnID"] == play.root(BOB)["PreviousTxnID"] != before


# -- sender, sequence, fee ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "result"),
    [
        ({"Sequence": 2}, "tefPAST_SEQ"),
        ({"Sequence": 4}, "terPRE_SEQ"),
        ({"TicketSequence": 3}, "terPRE_TICKET"),
        ({"TicketSequence": 1}, "tefNO_TICKET"),
        ({"TicketSequence": 1, "Sequence": 3}, "temSEQ_AND_TICKET"),
        ({"TicketSequence": 1, "AccountTxnID": "0" * 64}, "temINVALID"),
        ({"AccountTxnID": "0" * 64}, "tefWRONG_PRIOR"),
        ({"LastLedgerSequence": 2}, "tefMAX_LEDGER"),
        ({"LastLedgerSequence": 3}, "tesSUCCESS"),
        ({"NetworkID": 0}, "telNETWORK_ID_MAKES_TX_NON_CANONICAL"),
        ({"Flags": 0x01000000}, "temINVALID_FLAG"),
        ({"Fee": "100000000"}, "tesSUCCESS"),
        ({"Fee": "100000001"}, "tecINSUFF_FEE"),
        ({"Account": BOB}, "terNO_ACCOUNT"),
        ({"TransactionType": "NFTokenMint"}, "temUNKNOWN"),
    ],
)
def test_the_sender_is_checked_before_anything_is_changed(fields: dict[str, Any], result: str) -> None:
    play = Play()
    play.fund(ALICE)
    assert play.root(ALICE)["Sequence"] == 3
    before = dict(play.chain.state.entries)
    account_of = fields.pop("Account", ALICE)
    kind = fields.pop("TransactionType", "AccountSet")
    applied = play.send(kind, account_of, **fields)
    assert applied.result == result
    assert (applied.meta is None) == (not result.startswith(("tes", "tec")))
    assert (play.chain.state.entries == before) == (applied.meta is None)


def test_a_fee_beyond_the_balance_takes_all_of_it_and_the_sequence() -> None:
    play = Play()
    play.fund(ALICE)
    applied = play.send("AccountSet", ALICE, Fee="200000000")
    assert (applied.result, applied.fee) == ("tecINSUFF_FEE", 100_000_000)
    assert (play.root(ALICE)["Balance"], play.root(ALICE)["Sequence"]) == (0, 4)
    assert play.send("AccountSet", ALICE).result == "terINSUF_FEE_B"


def test_the_coins_of_the_header_fall_by_what_fees_really_destroyed() -> None:
    play = Play()
    play.fund(ALICE, BOB)
    coins = play.chain.header.total_coins
    held = all_drops(play)
    play.chain.close([sent("AccountSet", ALICE, 3, Fee="200000000"), sent("AccountSet", BOB, 3)], 848_500_010)
    assert coins - play.chain.header.total_coins == held - all_drops(play) == 100_000_010


def all_drops(play: Play) -> int:
    return sum(entry["Balance"] for entry in play.chain.state.entries.values() if "Sequence" in entry)


# -- ledgers ------------------------------------------------------------------------------------


def sent(kind: str, account_of: str, sequence: int, **fields: Any) -> Tx:
    json_ = {"TransactionType": kind, "Account": account_of, "Fee": "10", "Sequence": sequence, **fields}
    return Tx(json_, tx_hash(json_))


def some() -> Iterator[Tx]:
    for account_of in (ALICE, BOB, CAROL):
        for sequence in (5, 4, 3):
            yield sent("AccountSet", account_of, sequence)
        yield sent("AccountSet", account_of, 0, TicketSequence=2)


def test_the_order_is_one_of_accounts_then_sequences_then_tickets_whatever_the_order_of_arrival() -> None:
    order = canonical_order(some())
    assert [tx.hash for tx in canonical_order(reversed(list(some())))] == [tx.hash for tx in order]
    for at in range(0, len(order), 4):
        group = order[at : at + 4]
        assert len({tx.account for tx in group}) == 1
        assert [(tx.sequence, tx.ticket) for tx in group] == [(3, None), (4, None), (5, None), (0, 2)]


def test_the_order_of_accounts_changes_with_the_set() -> None:
    firsts = set()
    for tag in range(20):
        more = [*some(), sent("AccountSet", ALICE, 6, Flags=tag)]
        firsts.add(canonical_order(more)[0].account)
    assert len(firsts) > 1


def test_the_same_transactions_give_the_same_hashes_in_any_order_of_arrival() -> None:
    hashes = []
    for turn in (list, lambda txs: list(reversed(txs))):
        play = Play()
        play.fund(ALICE, BOB, CAROL)
        txs = [sent("Payment", one, 3, Destination=ALICE, Amount="5") for one in (BOB, CAROL)]
        hashes.append(play.chain.close(turn(txs), 848_500_010).header)
    assert hashes[0] == hashes[1]
    assert hashes[0].ledger_hash != hashes[0].parent_hash


def test_a_gap_in_the_sequences_is_given_back_and_what_was_used_fails() -> None:
    play = Play()
    play.fund(ALICE)
    txs = [sent("AccountSet", ALICE, 3), sent("AccountSet", ALICE, 5), sent("AccountSet", ALICE, 2)]
    closed = play.chain.close(txs, 848_500_010)
    assert [item.tx.sequence for item in closed.transactions] == [3]
    assert [tx.sequence for tx in closed.retry] == [5]
    assert [(tx.sequence, result) for tx, result in closed.failed] == [(2, "tefPAST_SEQ")]


def test_a_claimed_fee_waits_for_the_rest_of_the_ledger() -> None:
    # Whoever comes first by the salt: Bob's offer is unfunded until Alice has paid him.
    for tag in range(8):
        play = market()
        play.do("Payment", BOB, Destination=USD.issuer, Amount=tokens(1000))
        pays = sent("Payment", ALICE, play.root(ALICE)["Sequence"], Destination=BOB, Amount=tokens(5))
        sells = sent(
            *("OfferCreate", BOB, play.root(BOB)["Sequence"]),
            TakerPays="1000000",
            TakerGets=tokens(5),
            SourceTag=tag,
        )
        closed = play.chain.close([pays, sells], 848_500_010)
        assert [item.result for item in closed.transactions] == ["tesSUCCESS", "tesSUCCESS"]
        assert [item.owner_funds for item in closed.transactions] == [None, "5"]


def test_a_claimed_fee_that_stays_one_stands_at_the_end_of_the_ledger() -> None:
    for tag in range(8):
        play = Play()
        play.fund(ALICE, BOB)
        unfunded = sent("OfferCreate", BOB, 3, TakerPays="1000000", TakerGets=tokens(5), SourceTag=tag)
        closed = play.chain.close([sent("AccountSet", ALICE, 3), unfunded], 848_500_010)
        assert [item.result for item in closed.transactions] == ["tesSUCCESS", "tecUNFUNDED_OFFER"]
        assert [item.meta["TransactionIndex"] for item in closed.transactions] == [0, 1]


@pytest.mark.parametrize(
    ("wanted", "parent", "closes"),
    [(104, 90, 100), (105, 90, 110), (114, 110, 111), (90, 110, 111)],
)
def test_close_times_are_whole_tens_and_later_than_the_parent_s(
    wanted: int, parent: int, closes: int
) -> None:
    assert next_close_time(wanted, parent) == closes


def test_xrp_is_in_the_state_or_burnt() -> None:
    play = market()
    play.chain.close([], 848_500_010)
    before = all_drops(play)
    txs = [sent("Payment", ALICE, play.root(ALICE)["Sequence"], Destination=BOB, Amount="7", Fee="15")]
    play.chain.close(txs, 848_500_020)
    assert before - all_drops(play) == 15
    assert play.chain.header.ledger_index == 4


def test_amounts_tell_their_asset_and_their_wire_form() -> None:
    assert to_wire(7) == "7"
    assert Token(Decimal(1), "USD", USD.issuer).asset == USD
    assert to_wire(from_wire(tokens("0.10"), "Amount")) == tokens("0.1")
    assert from_wire(XRP_100, "Amount") == 100_000_000
