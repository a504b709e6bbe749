"""Accounts and their settings: a real network's first transactions to the last digit, and refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from neo_engine.domain.assets import Asset
from neo_engine.simulator.model import keys, lines
from neo_engine.simulator.model.context import Rules
from neo_engine.simulator.model.genesis import GENESIS_ACCOUNT, genesis, state_from_wire
from neo_engine.simulator.model.ledger import Chain
from neo_engine.simulator.model.owners import directory_entries
from neo_engine.simulator.model.state import State
from neo_engine.simulator.model.transactor import Applied, apply
from neo_engine.simulator.model.tx import Tx
from tests.unit.model_ledger import ALICE, BOB, CAROL, ISSUER, USD, Play, address, market, tokens

#: What the recorded transactions do not tell of their ledgers: the parent's hash names the pool's account,
#: the parent's close time ends its auction slot.
PARENT_HASH = "A167E9634B61D6B6231B32A9C97420F4C7B9A8F7D7ED818E6C16C1AA629C16A3"
PARENT_CLOSE = 848_513_704
OPEN_WHEN_REFUSED = 10


def _recorded(root: Path) -> list[dict[str, Any]]:
    text = (root / "tests" / "data" / "model_submits.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def _apply(state: State, row: dict[str, Any], ledger_index: int, *, only_ask: bool = False) -> Applied:
    rules = Rules(
        ledger_index=ledger_index,
        parent_close_time=PARENT_CLOSE,
        parent_hash=PARENT_HASH,
        base_fee=10,
        base_reserve=1_000_000,
        owner_reserve=200_000,
    )
    return apply(state, Tx(row["tx_json"], row["hash"]), rules, open_ledger=only_ask, dry=only_ask)


def test_a_real_network_s_first_transactions_have_the_same_metadata_to_the_last_digit(root: Path) -> None:
    rows = [row for row in _recorded(root) if row["meta"]]
    rows.sort(key=lambda row: (row["ledger_index"], row["meta"]["TransactionIndex"]))
    state, header = genesis(close_time=PARENT_CLOSE)
    assert header.ledger_index + 1 == rows[0]["ledger_index"]
    for row in rows:
        applied = _apply(state, row, row["ledger_index"])
        assert applied.meta is not None, row["note"]
        applied.meta["TransactionIndex"] = row["meta"]["TransactionIndex"]
        assert applied.meta == row["meta"], row["note"]
    assert len(rows) == 41


def test_what_a_real_server_refuses_is_refused_with_the_same_code(root: Path) -> None:
    state, _ = genesis(close_time=PARENT_CLOSE)
    recorded = _recorded(root)
    for row in recorded:
        if row["meta"] and row["ledger_index"] < OPEN_WHEN_REFUSED:
            _apply(state, row, row["ledger_index"])
    before = dict(state.entries)
    refused = [row for row in recorded if not row["engine_result"].startswith(("tes", "tec"))]
    for row in refused:
        applied = _apply(state, row, OPEN_WHEN_REFUSED, only_ask=True)
        assert (applied.result, applied.meta) == (row["engine_result"], None), row["note"]
    assert len(refused) == 10
    assert state.entries == before


def test_genesis_gives_all_xrp_to_one_account_and_names_fees_and_amendments() -> None:
    state, header = genesis(close_time=1000, total_coins=5000, base_fee=7, base_reserve=11, owner_reserve=13)
    assert state.entries[keys.account_root(GENESIS_ACCOUNT)]["Balance"] == header.total_coins == 5000
    rules = Chain(state, header).rules()
    assert (rules.base_fee, rules.base_reserve, rules.owner_reserve) == (7, 11, 13)
    assert (rules.ledger_index, rules.parent_close_time) == (3, 1000)
    (ids,) = [entry["Amendments"] for entry in state.entries.values() if "Amendments" in entry]
    # The id of "AMM" by hand: the first half of the SHA-512 of its name.
    assert keys.half(b"AMM").hex().upper() in ids
    assert len(set(ids)) == 77
    assert genesis(close_time=1000)[1] == genesis(close_time=1000)[1] != header


def test_a_state_read_from_the_wire_holds_amounts_and_book_order() -> None:
    play = market()
    play.do("OfferCreate", ALICE, TakerGets="1000000", TakerPays=tokens(3))
    play.do("OfferCreate", ALICE, TakerGets="1000000", TakerPays=tokens(2))
    base = keys.book_base(USD, Asset("XRP", ""))
    wired = [{**_wire(entry), "index": index} for index, entry in play.chain.state.entries.items()]
    state = state_from_wire(wired)
    assert state.entries == play.chain.state.entries
    assert state.book(base) == play.chain.state.book(base)
    assert len(state.book(base)) == 2


def _wire(entry: dict[str, Any]) -> dict[str, Any]:
    def told(value: Any) -> Any:
        named = isinstance(value, tuple)
        return tokens(str(value.value), Asset(value.currency, value.issuer)) if named else value

    drops = {"Balance", "TakerGets", "TakerPays"}
    return {
        name: str(value) if name in drops and isinstance(value, int) else told(value)
        for name, value in entry.items()
    }


@pytest.mark.parametrize(
    ("result", "fields"),
    [
        ("temINVALID_FLAG", {"SetFlag": 1, "ClearFlag": 1}),
        ("temINVALID_FLAG", {"SetFlag": 1, "Flags": 0x00020000}),
        ("temINVALID_FLAG", {"Flags": 0x000C0000}),
        ("temINVALID_FLAG", {"Flags": 0x00400000}),
        ("temBAD_TRANSFER_RATE", {"TransferRate": 999_999_999}),
        ("temBAD_TRANSFER_RATE", {"TransferRate": 2_000_000_001}),
        ("temBAD_TICK_SIZE", {"TickSize": 2}),
        ("temBAD_TICK_SIZE", {"TickSize": 17}),
        ("telBAD_PUBLIC_KEY", {"MessageKey": "05" + "0" * 64}),
        ("telBAD_DOMAIN", {"Domain": "61" * 257}),
        ("temMALFORMED", {"SetFlag": 10}),
        ("temDISABLED", {"SetFlag": 8, "Delegate": BOB}),
        ("tecNO_ALTERNATIVE_KEY", {"SetFlag": 4}),
        ("tecOWNERS", {"SetFlag": 2}),
        ("tecOWNERS", {"SetFlag": 16}),
    ],
)
def test_settings_that_make_no_sense_are_refused(result: str, fields: dict[str, Any]) -> None:
    play = market()
    flags = play.root(ALICE)["Flags"]
    assert play.send("AccountSet", ALICE, **fields).result == result
    assert play.root(ALICE)["Flags"] == flags


@pytest.mark.parametrize(
    ("value", "flag"),
    [
        (1, lines.REQUIRE_DEST_TAG),
        (2, lines.REQUIRE_AUTH),
        (3, lines.DISALLOW_XRP),
        (7, lines.GLOBAL_FREEZE),
        (8, lines.DEFAULT_RIPPLE),
        (9, lines.DEPOSIT_AUTH),
        (15, lines.DISALLOW_INCOMING_TRUST_LINE),
    ],
)
def test_flags_are_set_and_cleared(value: int, flag: int) -> None:
    play = Play()
    play.fund(ALICE)
    play.do("AccountSet", ALICE, SetFlag=value)
    assert play.root(ALICE)["Flags"] == flag
    play.do("AccountSet", ALICE, ClearFlag=value)
    assert play.root(ALICE)["Flags"] == 0


def test_transaction_flags_set_and_clear_the_old_flags() -> None:
    play = Play()
    play.fund(ALICE)
    play.do("AccountSet", ALICE, Flags=0x00010000 | 0x00040000 | 0x00100000)
    assert play.root(ALICE)["Flags"] == 0x000E0000
    play.do("AccountSet", ALICE, Flags=0x00020000 | 0x00080000 | 0x00200000)
    assert play.root(ALICE)["Flags"] == 0


def test_who_gives_up_freezing_can_neither_unfreeze_all_nor_claw_back() -> None:
    play = Play()
    play.fund(ALICE, BOB)
    play.do("AccountSet", ALICE, SetFlag=6)
    play.do("AccountSet", ALICE, SetFlag=7)
    play.do("AccountSet", ALICE, ClearFlag=7)
    assert play.root(ALICE)["Flags"] == lines.NO_FREEZE | lines.GLOBAL_FREEZE
    assert play.send("AccountSet", ALICE, SetFlag=16).result == "tecNO_PERMISSION"
    play.do("AccountSet", BOB, SetFlag=16)
    assert play.send("AccountSet", BOB, SetFlag=6).result == "tecNO_PERMISSION"
    freeze = play.send("TrustSet", ALICE, LimitAmount=tokens(1, USD._replace(issuer=BOB)), Flags=0x00100000)
    assert freeze.result == "tecNO_PERMISSION"


def test_texts_rates_and_keys_are_kept_and_unset() -> None:
    play = Play()
    play.fund(ALICE)
    kept: dict[str, Any] = {
        "Domain": "6578616D706C652E636F6D",
        "EmailHash": "1" * 32,
        "MessageKey": "03" + "A" * 64,
        "TransferRate": 1_001_000_000,
        "TickSize": 5,
    }
    play.do("AccountSet", ALICE, **kept)
    assert {name: play.root(ALICE)[name] for name in kept} == kept
    unset = {"Domain": "", "EmailHash": "0" * 32, "MessageKey": "", "TransferRate": 1_000_000_000}
    play.do("AccountSet", ALICE, **unset, TickSize=0)
    assert not kept.keys() & play.root(ALICE).keys()
    play.do("AccountSet", ALICE, SetFlag=5)
    assert play.root(ALICE)["AccountTxnID"] == "0" * 64
    play.do("AccountSet", ALICE, ClearFlag=5)
    assert "AccountTxnID" not in play.root(ALICE)
    play.do("AccountSet", ALICE, SetFlag=10, NFTokenMinter=BOB)
    assert play.root(ALICE)["NFTokenMinter"] == BOB
    play.do("AccountSet", ALICE, ClearFlag=10)
    assert "NFTokenMinter" not in play.root(ALICE)


def test_a_master_key_is_disabled_only_beside_another_key() -> None:
    play = Play()
    play.fund(ALICE)
    play.root(ALICE)["RegularKey"] = BOB
    play.do("AccountSet", ALICE, SetFlag=4)
    assert play.root(ALICE)["Flags"] == lines.DISABLE_MASTER
    play.do("AccountSet", ALICE, ClearFlag=4)
    assert play.root(ALICE)["Flags"] == 0


_ALICE_S = USD._replace(issuer=ALICE)


@pytest.mark.parametrize(
    ("result", "fields"),
    [
        ("temBAD_LIMIT", {"LimitAmount": "1"}),
        ("temBAD_LIMIT", {"LimitAmount": tokens(-1)}),
        ("temBAD_CURRENCY", {"LimitAmount": tokens(1, USD._replace(currency="XRP"))}),
        ("temDST_NEEDED", {"LimitAmount": tokens(1, USD._replace(issuer=keys.XRP_ISSUER))}),
        ("temDST_IS_SRC", {"LimitAmount": tokens(1, _ALICE_S)}),
        ("tecNO_DST", {"LimitAmount": tokens(1, USD._replace(issuer=address("nobody")))}),
        ("tefNO_AUTH_REQUIRED", {"LimitAmount": tokens(1), "Flags": 0x00010000}),
        ("tecNO_LINE_REDUNDANT", {"LimitAmount": tokens(0, USD._replace(currency="GBP"))}),
        ("tecNO_PERMISSION", {"LimitAmount": tokens(1), "Flags": 0x00300000}),
        ("tecNO_PERMISSION", {"LimitAmount": tokens(1), "Flags": 0x00400000}),
        ("temINVALID_FLAG", {"LimitAmount": tokens(1), "Flags": 0x00080000}),
        ("temDISABLED", {"LimitAmount": tokens(1), "Delegate": BOB}),
    ],
)
def test_trust_that_makes_no_sense_is_refused(result: str, fields: dict[str, Any]) -> None:
    play = market()
    assert play.send("TrustSet", ALICE, **fields).result == result


def test_the_first_two_lines_need_no_reserve_and_the_third_does() -> None:
    play = market()
    poor, gbp = address("poor"), USD._replace(currency="GBP")
    play.fund(poor, drops="1000060")
    play.trust(poor)
    play.trust(poor, USD._replace(currency="JPY"))
    assert play.send("TrustSet", poor, LimitAmount=tokens(1, gbp)).result == "tecNO_LINE_INSUF_RESERVE"
    assert play.root(poor)["OwnerCount"] == 2
    # Another's line that he takes a share in counts just the same.
    play.do("TrustSet", ISSUER, LimitAmount=tokens(5, gbp._replace(issuer=poor)))
    assert play.send("TrustSet", poor, LimitAmount=tokens(1, gbp)).result == "tecINSUF_RESERVE_LINE"
    play.fund(poor, drops="600000")  # 1 XRP and three times 0.2
    play.trust(poor, gbp)
    assert play.root(poor)["OwnerCount"] == 3


def test_a_line_whose_both_ends_are_back_at_their_defaults_is_removed() -> None:
    play = market()
    gbp = USD._replace(currency="GBP")
    play.trust(BOB, gbp, Flags=0x00020000, QualityIn=2_000_000_000, QualityOut=1_000_000_000)
    index = keys.line(BOB, ISSUER, "GBP")
    mine, _ = lines.ends(BOB, ISSUER)
    line = play.chain.state.entries[index]
    assert line[mine.quality_in] == 2_000_000_000
    assert mine.quality_out not in line
    play.trust(BOB, gbp, limit=0, QualityIn=0)
    assert index not in play.chain.state.entries
    assert play.root(BOB)["OwnerCount"] == 2
    assert index not in directory_entries(play.view, keys.owner_directory(ISSUER))


def test_an_issuer_s_freeze_makes_him_an_owner_of_the_line_until_he_lifts_it() -> None:
    play = market()
    limit = tokens(0, _ALICE_S)
    play.do("TrustSet", ISSUER, LimitAmount=limit, Flags=0x00500000)
    assert play.root(ISSUER)["OwnerCount"] == 1
    lifted = play.send("TrustSet", ISSUER, LimitAmount=limit, Flags=0x00200000)
    assert lifted.result == "tecNO_PERMISSION"  # deep freeze stands on the plain one
    play.do("TrustSet", ISSUER, LimitAmount=limit, Flags=0x00A00000)
    assert play.root(ISSUER)["OwnerCount"] == 0


def test_no_ripple_is_refused_to_who_owes_and_cleared_at_will() -> None:
    play = market()
    refused = play.send("TrustSet", ISSUER, LimitAmount=tokens(0, _ALICE_S), Flags=0x00020000)
    assert refused.result == "tecNO_PERMISSION"
    play.trust(ALICE, Flags=0x00020000)
    assert lines.has_no_ripple(play.view, ALICE, ISSUER, "USD")
    play.trust(ALICE, Flags=0x00040000, QualityOut=1_100_000_000)
    assert not lines.has_no_ripple(play.view, ALICE, ISSUER, "USD")


def test_who_wants_no_incoming_lines_gets_none_but_keeps_those_he_has() -> None:
    play = market()
    play.do("AccountSet", ISSUER, SetFlag=15)
    refused = play.send("TrustSet", ALICE, LimitAmount=tokens(1, USD._replace(currency="GBP")))
    assert refused.result == "tecNO_PERMISSION"
    play.trust(ALICE, limit=5)


def test_tickets_follow_the_sequence_and_are_used_in_any_order() -> None:
    play = Play()
    play.fund(ALICE, BOB)
    play.do("TicketCreate", ALICE, TicketCount=3)
    assert play.root(ALICE)["Sequence"] == 3 + 1 + 3
    assert play.root(ALICE)["TicketCount"] == play.root(ALICE)["OwnerCount"] == 3
    play.do("Payment", ALICE, TicketSequence=6, Destination=BOB, Amount="1")
    again = play.send("Payment", ALICE, TicketSequence=6, Destination=BOB, Amount="1")
    assert again.result == "tefNO_TICKET"
    ahead = play.send("Payment", ALICE, TicketSequence=7, Destination=BOB, Amount="1")
    assert ahead.result == "terPRE_TICKET"
    for number in (4, 5):
        play.do("Payment", ALICE, TicketSequence=number, Destination=BOB, Amount="1")
    assert "TicketCount" not in play.root(ALICE)
    assert play.root(ALICE)["OwnerCount"] == 0
    # A used ticket leaves the emptied directory behind (Transactor.cpp, ticketDelete: keepRoot).
    assert play.chain.state.entries[keys.owner_directory(ALICE)]["Indexes"] == []


def test_tickets_are_counted_up_to_250_and_need_the_reserve() -> None:
    play = Play()
    play.fund(ALICE)
    play.fund(BOB, drops="1400009")
    for count in (0, 251):
        assert play.send("TicketCreate", ALICE, TicketCount=count).result == "temINVALID_COUNT"
    play.do("TicketCreate", ALICE, TicketCount=250)
    assert play.send("TicketCreate", ALICE, TicketCount=1).result == "tecDIR_FULL"
    play.do("TicketCreate", ALICE, TicketCount=1, TicketSequence=5)  # the ticket spent makes room
    assert play.send("TicketCreate", BOB, TicketCount=3).result == "tecINSUFFICIENT_RESERVE"
    poor = play.send("TicketCreate", BOB, TicketCount=2, Delegate=ALICE)
    assert poor.result == "temDISABLED"
    play.fund(BOB, drops="1")
    play.do("TicketCreate", BOB, TicketCount=2)  # the fee may come out of the reserve


@pytest.mark.parametrize(
    ("result", "fields"),
    [
        ("temBAD_AMOUNT", {"Amount": "1"}),
        ("temBAD_AMOUNT", {"Amount": tokens(1)}),
        ("temBAD_AMOUNT", {"Amount": tokens(0, _ALICE_S)}),
        ("temMALFORMED", {"Amount": tokens(1, _ALICE_S), "Holder": ALICE}),
        ("temDISABLED", {"Amount": tokens(1, _ALICE_S), "Delegate": ALICE}),
        ("terNO_ACCOUNT", {"Amount": tokens(1, USD._replace(issuer=address("nobody")))}),
        ("tecNO_PERMISSION", {"Amount": tokens(1, _ALICE_S)}),
    ],
)
def test_clawbacks_that_make_no_sense_are_refused(result: str, fields: dict[str, Any]) -> None:
    play = market()
    assert play.send("Clawback", ISSUER, **fields).result == result


def test_a_clawback_takes_what_is_there_and_no_more() -> None:
    play = Play()
    play.fund(ISSUER, ALICE, CAROL)
    play.do("AccountSet", ISSUER, SetFlag=16)
    assert play.send("Clawback", ISSUER, Amount=tokens(1, _ALICE_S)).result == "tecNO_LINE"
    play.trust(ALICE)
    assert play.send("Clawback", ISSUER, Amount=tokens(1, _ALICE_S)).result == "tecINSUFFICIENT_FUNDS"
    play.issue(ALICE, 10)
    play.do("Clawback", ISSUER, Amount=tokens(4, _ALICE_S))
    assert play.held(ALICE) == 6
    play.do("TrustSet", ISSUER, LimitAmount=tokens(0, _ALICE_S), Flags=0x00100000)
    play.do("Clawback", ISSUER, Amount=tokens(100, _ALICE_S))
    assert play.held(ALICE) == 0
    play.root(CAROL)["AMMID"] = "A" * 64
    pool = USD._replace(issuer=CAROL)
    assert play.send("Clawback", ISSUER, Amount=tokens(1, pool)).result == "tecAMM_ACCOUNT"


def test_a_holder_cannot_claw_back_from_his_issuer() -> None:
    play = Play()
    play.fund(ISSUER, ALICE)
    play.do("AccountSet", ALICE, SetFlag=16)
    play.trust(ALICE)
    play.issue(ALICE, 10)
    assert play.send("Clawback", ALICE, Amount=tokens(1)).result == "tecNO_PERMISSION"


def test_a_pool_is_trusted_for_its_shares_only_and_only_while_it_has_some() -> None:
    play = market()
    play.do("AMMCreate", ALICE, Amount="10000000", Amount2=tokens(20), TradingFee=0, Fee="200000")
    (pool,) = [entry for entry in play.chain.state.entries.values() if "LPTokenBalance" in entry]
    shares = pool["LPTokenBalance"]
    asset = Asset(shares.currency, shares.issuer)
    wrong = play.send("TrustSet", BOB, LimitAmount=tokens(1, asset._replace(currency="USD")))
    assert wrong.result == "tecNO_PERMISSION"
    pool["LPTokenBalance"] = shares._replace(value=shares.value * 0)
    assert play.send("TrustSet", BOB, LimitAmount=tokens(1, asset)).result == "tecAMM_EMPTY"
    pool["LPTokenBalance"] = shares
    play.trust(BOB, asset)
    assert not lines.is_frozen(play.view, ALICE, asset)
    play.do("TrustSet", ISSUER, LimitAmount=tokens(0, _ALICE_S), Flags=0x00100000)
    assert lines.is_frozen(play.view, ALICE, asset)  # as frozen as the token in the pool
    assert not lines.is_frozen(play.view, BOB, asset)


def test_a_globally_frozen_account_receives_nothing_in_passing() -> None:
    play = market()
    play.do("AccountSet", BOB, SetFlag=7)
    assert play.send("Payment", ALICE, Destination=BOB, Amount=tokens(1)).result == "tecPATH_DRY"
    play.do("AccountSet", ISSUER, SetFlag=7)
    assert lines.is_frozen(play.view, ISSUER, USD)
    play.issue(CAROL, 1)  # between an issuer and a holder a freeze is no bar
