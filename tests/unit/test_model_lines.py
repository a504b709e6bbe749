"""Trust lines: who holds what, what can be spent, and when a line comes and goes."""

from __future__ import annotations

from decimal import Decimal

import pytest

from neo_engine.domain.assets import XRP
from neo_engine.domain.errors import InvariantViolation
from neo_engine.simulator.model import keys, lines
from neo_engine.simulator.model.metadata import nodes_of
from neo_engine.simulator.model.owners import directory_entries
from tests.unit.model_ledger import ALICE, BOB, CAROL, EUR, ISSUER, USD, Play, market, tokens

D = Decimal


def test_both_ends_of_a_line_see_one_balance_with_opposite_signs() -> None:
    play = market()
    line = play.chain.state.entries[keys.line(ALICE, ISSUER, "USD")]
    low = lines.is_low(ALICE, ISSUER)
    assert lines.line_balance(line, low=low) == 1000
    assert lines.line_balance(line, low=not low) == -1000
    assert play.held(ALICE) == 1000
    assert play.held(CAROL, XRP) == play.root(CAROL)["Balance"]


def test_an_account_that_does_not_exist_holds_and_spends_nothing() -> None:
    play = Play()
    assert play.held(BOB, XRP) == play.held(BOB, USD) == 0
    assert lines.spendable(play.view, BOB, XRP, play.rules) == 0
    assert lines.transfer_rate(play.view, BOB) == 1_000_000_000
    assert lines.tick_size(play.view, USD) == 16
    assert not lines.is_frozen(play.view, BOB, USD)


def test_spendable_xrp_is_what_is_above_the_reserve_of_the_owned_entries() -> None:
    play = market()
    # Two trust lines and 100 XRP less two fees; the reserve is 1 XRP and 0.2 for each line.
    assert lines.spendable(play.view, ALICE, XRP, play.rules) == 100_000_000 - 20 - 1_400_000
    view = play.view
    view.edit(keys.account_root(ALICE))["Balance"] = 1_399_999
    assert lines.spendable(view, ALICE, XRP, play.rules) == 0
    view.edit(keys.account_root(ALICE))["AMMID"] = "A" * 64
    assert lines.spendable(view, ALICE, XRP, play.rules) == 1_399_999


def test_spendable_tokens_are_the_balance_and_without_limit_for_the_issuer() -> None:
    play = market()
    assert lines.spendable(play.view, ALICE, USD, play.rules) == 1000
    assert lines.spendable(play.view, ISSUER, USD, play.rules) is None


@pytest.mark.parametrize(
    ("account", "kind", "fields"),
    [
        (ISSUER, "AccountSet", {"SetFlag": 7}),
        (ISSUER, "TrustSet", {"LimitAmount": tokens(0, USD._replace(issuer=ALICE)), "Flags": 0x00100000}),
        (ISSUER, "TrustSet", {"LimitAmount": tokens(0, USD._replace(issuer=ALICE)), "Flags": 0x00500000}),
    ],
)
def test_frozen_tokens_cannot_be_spent(account: str, kind: str, fields: dict[str, object]) -> None:
    play = market()
    play.do(kind, account, **fields)
    assert lines.is_frozen(play.view, ALICE, USD)
    assert lines.spendable(play.view, ALICE, USD, play.rules) == 0
    assert lines.spendable(play.view, ALICE, EUR, play.rules) == 1000
    assert play.held(ALICE) == 1000


def test_a_holder_who_freezes_his_own_end_can_still_spend_unless_it_is_deep() -> None:
    play = market()
    play.do("TrustSet", ALICE, LimitAmount=tokens(1_000_000), Flags=0x00100000)
    assert lines.spendable(play.view, ALICE, USD, play.rules) == 1000
    play.do("TrustSet", ALICE, LimitAmount=tokens(1_000_000), Flags=0x00400000)
    assert lines.spendable(play.view, ALICE, USD, play.rules) == 0


def test_the_room_of_a_line_is_its_limit_less_what_is_held() -> None:
    play = market()
    assert lines.limit_room(play.view, ALICE, USD) == 999_000
    assert lines.limit_room(play.view, ALICE, XRP) is None
    assert lines.limit_room(play.view, ISSUER, USD) is None
    assert lines.limit_room(play.view, ALICE, USD._replace(currency="GBP")) == 0
    play.trust(ALICE, limit=10)
    assert lines.limit_room(play.view, ALICE, USD) == 0


def test_each_change_of_a_balance_is_rounded_to_16_digits_half_to_even() -> None:
    play = market()
    play.trust(ALICE, limit="9999999999999999e10")
    play.issue(ALICE, "9999999999998999")
    assert play.held(ALICE) == D("9999999999999999")
    play.issue(ALICE, "1.4")  # 10000000000000000.4
    assert play.held(ALICE) == D("1E16")
    play.issue(ALICE, "5")  # 10000000000000005 lies between ...000 and ...010: the even one
    assert play.held(ALICE) == D("1E16")
    play.issue(ALICE, "15")  # 10000000000000015: between ...010 and ...020
    assert play.held(ALICE) == D("10000000000000020")


def test_a_line_without_limit_goes_when_its_last_token_does() -> None:
    play = market()
    play.trust(ALICE, limit=0, Flags=0x00020000)  # NoRipple is the default of who has no DefaultRipple
    index = keys.line(ALICE, ISSUER, "USD")
    assert play.root(ALICE)["OwnerCount"] == 2  # the balance keeps it
    meta = play.do("Payment", ALICE, Destination=ISSUER, Amount=tokens(1000))
    assert index not in play.chain.state.entries
    assert play.root(ALICE)["OwnerCount"] == 1
    assert play.root(ISSUER)["OwnerCount"] == 0
    for account in (ALICE, ISSUER):
        assert index not in directory_entries(play.view, keys.owner_directory(account))
    (gone,) = [node["DeletedNode"] for node in meta["AffectedNodes"] if "DeletedNode" in node]
    assert gone["FinalFields"]["Balance"]["value"] == "0"


def test_a_line_that_ripples_against_its_owner_s_default_stays() -> None:
    play = market()
    play.trust(ALICE, limit=0)
    play.do("Payment", ALICE, Destination=ISSUER, Amount=tokens(1000))
    assert play.held(ALICE) == 0
    assert play.root(ALICE)["OwnerCount"] == 2


def test_a_line_with_a_limit_stays_when_its_last_token_goes() -> None:
    play = market()
    play.do("Payment", ALICE, Destination=ISSUER, Amount=tokens(1000))
    assert play.held(ALICE) == 0
    assert play.root(ALICE)["OwnerCount"] == 2


def test_credit_makes_a_missing_line_that_the_receiver_owns() -> None:
    play = market()
    view = play.view
    asset = USD._replace(currency="GBP")
    lines.credit(view, ISSUER, ALICE, asset, D(7))
    line = view.read(keys.line(ALICE, ISSUER, "GBP"))
    assert line is not None
    mine, theirs = lines.ends(ALICE, ISSUER)
    # Alice has not set DefaultRipple, the issuer has.
    assert line["Flags"] == mine.reserve | mine.no_ripple
    assert line[mine.limit].value == line[theirs.limit].value == 0
    assert lines.balance(view, ALICE, asset) == 7
    assert lines.root_of(view, ALICE)["OwnerCount"] == 3
    created = [node for node in nodes_of(view, "A" * 64, 3) if "CreatedNode" in node]
    assert [node["CreatedNode"]["LedgerEntryType"] for node in created] == ["RippleState"]
    lines.credit(view, ALICE, ISSUER, asset, D(7))
    assert view.read(keys.line(ALICE, ISSUER, "GBP")) is None
    assert lines.root_of(view, ALICE)["OwnerCount"] == 2


def test_value_moves_between_a_holder_and_the_issuer_only() -> None:
    play = market()
    with pytest.raises(InvariantViolation, match="cannot carry"):
        lines.credit(play.view, ALICE, BOB, USD, D(1))
    with pytest.raises(InvariantViolation, match="cannot carry"):
        lines.credit(play.view, ALICE, ISSUER, USD, D(-1))


def test_xrp_that_is_not_there_cannot_be_sent() -> None:
    play = market()
    with pytest.raises(InvariantViolation, match="cannot send"):
        lines.send_xrp(play.view, ALICE, BOB, 100_000_001)
    with pytest.raises(InvariantViolation, match="not in the ledger"):
        lines.root_of(Play().view, ALICE)
    with pytest.raises(InvariantViolation, match="not in the ledger"):
        lines.delete_line(play.view, "A" * 64)
