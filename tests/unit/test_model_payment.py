"""Payments: XRP, along trust lines with transfer fees, and through books; figures by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from neo_engine.domain.assets import XRP, Asset
from neo_engine.simulator.model import keys
from neo_engine.simulator.model.genesis import GENESIS_ACCOUNT
from tests.unit.model_ledger import (
    ALICE,
    BOB,
    CAROL,
    EUR,
    ISSUER,
    OTHER_ISSUER,
    USD,
    XRP_100,
    Play,
    address,
    market,
    tokens,
)

D = Decimal
NOBODY = address("nobody")
PARTIAL = 0x00020000
FEE_RATE = 1_002_000_000  # 0.2 %


def test_xrp_makes_an_account_whose_sequence_is_the_ledger_index() -> None:
    play = Play()
    meta = play.do("Payment", GENESIS_ACCOUNT, Destination=ALICE, Amount="1000000")
    assert play.root(ALICE)["Sequence"] == play.rules.ledger_index == 3
    assert play.root(ALICE)["Balance"] == 1_000_000
    assert play.root(GENESIS_ACCOUNT)["Balance"] == 10**17 - 1_000_000 - 10
    assert meta["delivered_amount"] == "1000000"
    assert "DeliveredAmount" not in meta


@pytest.mark.parametrize(
    ("drops", "result"),
    [
        ("98999990", "tesSUCCESS"),  # 100 XRP less the reserve of 1 XRP: which may pay the fee
        ("99000000", "tesSUCCESS"),
        ("99000001", "tecUNFUNDED_PAYMENT"),
        ("100000000", "tecUNFUNDED_PAYMENT"),
    ],
)
def test_xrp_is_sent_down_to_the_reserve_which_may_pay_the_fee(drops: str, result: str) -> None:
    play = Play()
    play.fund(ALICE, BOB)
    applied = play.send("Payment", ALICE, Destination=BOB, Amount=drops)
    assert applied.result == result
    sent = int(drops) if result == "tesSUCCESS" else 0
    assert play.root(ALICE)["Balance"] == 100_000_000 - 10 - sent
    assert play.root(BOB)["Balance"] == 100_000_000 + sent


def test_xrp_payments_meet_the_receiver_s_conditions() -> None:
    play = Play()
    play.fund(ALICE, BOB)
    assert play.send("Payment", ALICE, Destination=NOBODY, Amount="999999").result == "tecNO_DST_INSUF_XRP"
    assert play.send("Payment", ALICE, Destination=NOBODY, Amount=tokens(1)).result == "tecNO_DST"
    play.do("AccountSet", BOB, SetFlag=1)
    assert play.send("Payment", ALICE, Destination=BOB, Amount="1").result == "tecDST_TAG_NEEDED"
    play.do("Payment", ALICE, Destination=BOB, Amount="1", DestinationTag=0)
    play.do("AccountSet", BOB, ClearFlag=1)
    play.do("AccountSet", BOB, SetFlag=3)
    play.do("Payment", ALICE, Destination=BOB, Amount="1")  # DisallowXRP is advice only
    play.do("AccountSet", BOB, SetFlag=9)
    assert play.send("Payment", ALICE, Destination=BOB, Amount="1").result == "tecNO_PERMISSION"
    play.do("Payment", BOB, Destination=ALICE, Amount="98999962")
    assert play.root(BOB)["Balance"] == 999_990
    play.do("Payment", ALICE, Destination=BOB, Amount="1000000")  # below the base reserve he may be helped


_PATH = [[{"currency": "EUR", "issuer": OTHER_ISSUER}]]
_ALICE_USD = Asset("USD", ALICE)


@pytest.mark.parametrize(
    ("result", "fields"),
    [
        ("temREDUNDANT", {"Destination": ALICE, "Amount": "1"}),
        ("temREDUNDANT", {"Destination": ALICE, "Amount": tokens(1)}),
        ("temBAD_AMOUNT", {"Amount": "0"}),
        ("temBAD_AMOUNT", {"Amount": tokens("-1")}),
        ("temBAD_AMOUNT", {"Amount": tokens(1), "SendMax": "0"}),
        ("temBAD_CURRENCY", {"Amount": tokens(1, USD._replace(currency="XRP"))}),
        ("temBAD_SEND_XRP_MAX", {"Amount": "1", "SendMax": "1"}),
        ("temBAD_SEND_XRP_PATHS", {"Amount": "1", "Paths": _PATH}),
        ("temBAD_SEND_XRP_PARTIAL", {"Amount": "1", "Flags": PARTIAL}),
        ("temBAD_SEND_XRP_LIMIT", {"Amount": "1", "Flags": 0x00040000}),
        ("temBAD_SEND_XRP_NO_DIRECT", {"Amount": "1", "Flags": 0x00010000}),
        ("temINVALID_FLAG", {"Amount": "1", "Flags": 0x00080000}),
        ("temDST_NEEDED", {"Amount": "1", "Destination": keys.XRP_ISSUER}),
        ("temBAD_AMOUNT", {"Amount": tokens(2), "DeliverMin": tokens(1)}),
        ("temBAD_AMOUNT", {"Amount": tokens(2), "DeliverMin": tokens(3), "Flags": PARTIAL}),
        ("temBAD_AMOUNT", {"Amount": tokens(2), "DeliverMin": tokens(1, EUR), "Flags": PARTIAL}),
        ("temBAD_AMOUNT", {"Amount": tokens(2), "DeliverMin": tokens(0), "Flags": PARTIAL}),
        ("temDISABLED", {"Amount": "1", "CredentialIDs": ["A" * 64]}),
        ("temDISABLED", {"Amount": tokens(1), "SendMax": "9", "Paths": [[{"account": BOB}]]}),
        ("temRIPPLE_EMPTY", {"Amount": tokens(1), "SendMax": "9", "Flags": 0x00010000}),
        ("temBAD_PATH", {"Amount": tokens(1), "SendMax": "9", "Paths": [[{"currency": "XRP"}]]}),
        ("temBAD_PATH", {"Amount": tokens(1), "SendMax": "9", "Paths": [[{"currency": "EUR"}]]}),
        (
            "temBAD_PATH_LOOP",
            {
                "Amount": tokens(1),
                "SendMax": tokens(9, EUR),
                "Paths": [[{"currency": "XRP"}, *_PATH[0], {"currency": "XRP"}]],
            },
        ),
        ("telBAD_PATH_COUNT", {"Amount": tokens(1), "SendMax": "9", "Paths": _PATH * 7}),
    ],
)
def test_malformed_payments_change_nothing(result: str, fields: dict[str, Any]) -> None:
    play = market()
    before = dict(play.chain.state.entries)
    applied = play.send("Payment", ALICE, **{"Destination": BOB, **fields})
    assert (applied.result, applied.meta) == (result, None)
    assert play.chain.state.entries == before


def test_the_receiver_gets_the_amount_and_the_sender_pays_the_transfer_fee_on_top() -> None:
    play = market(transfer_rate=FEE_RATE)
    meta = play.do("Payment", ALICE, Destination=BOB, Amount=tokens(100), SendMax=tokens(101))
    assert play.held(ALICE) == D("899.8")  # 100 x 1.002
    assert play.held(BOB) == 1100
    assert meta["delivered_amount"] == tokens(100)


def test_a_partial_payment_delivers_what_the_maximum_leaves_after_the_fee() -> None:
    play = market(transfer_rate=FEE_RATE)
    meta = play.do("Payment", ALICE, Destination=BOB, Amount=tokens(100), SendMax=tokens(50), Flags=PARTIAL)
    # 50 / 1.002 = 49.900199600798403...: 16 digits.
    assert meta["delivered_amount"] == meta["DeliveredAmount"] == tokens("49.9001996007984")
    assert play.held(ALICE) == 950
    assert play.held(BOB) == D("1049.900199600798")  # the balance has 16 digits too


def test_a_fee_is_rounded_up_in_the_16th_digit() -> None:
    play = market(transfer_rate=1_000_000_001)
    play.do("Payment", ALICE, Destination=ISSUER, Amount=tokens(998))
    play.do("Payment", ALICE, Destination=BOB, Amount=tokens("1.000000000000001"), SendMax=tokens(2))
    # 1.000000000000001 x 1.000000001 = 1.000000001000001000000001: up to 1.000000001000002 in 16 digits.
    assert play.held(ALICE) == D("0.999999998999998")


def test_without_a_maximum_above_the_amount_a_fee_cannot_be_paid() -> None:
    play = market(transfer_rate=FEE_RATE)
    assert play.send("Payment", ALICE, Destination=BOB, Amount=tokens(100)).result == "tecPATH_PARTIAL"
    assert play.held(ALICE) == 1000


def test_no_fee_is_taken_between_a_holder_and_the_issuer() -> None:
    play = market(transfer_rate=FEE_RATE)
    play.do("Payment", ALICE, Destination=ISSUER, Amount=tokens(100))
    play.issue(ALICE, 1)
    assert play.held(ALICE) == 901


def test_what_a_holder_does_not_have_is_not_delivered() -> None:
    play = market()
    assert play.send("Payment", ALICE, Destination=BOB, Amount=tokens(1001)).result == "tecPATH_PARTIAL"
    meta = play.do("Payment", ALICE, Destination=BOB, Amount=tokens(1001), Flags=PARTIAL)
    assert meta["delivered_amount"] == tokens(1000)
    assert play.send("Payment", ALICE, Destination=BOB, Amount=tokens(1)).result == "tecPATH_DRY"


def test_a_limit_bounds_what_is_received() -> None:
    play = market()
    play.trust(BOB, limit=1010)
    for sender in (ALICE, ISSUER):
        applied = play.send("Payment", sender, Destination=BOB, Amount=tokens(20))
        assert applied.result == "tecPATH_PARTIAL"
    meta = play.do("Payment", ALICE, Destination=BOB, Amount=tokens(20), Flags=PARTIAL)
    assert meta["delivered_amount"] == tokens(10)
    assert (
        play.send("Payment", ALICE, Destination=BOB, Amount=tokens(1), Flags=PARTIAL).result == "tecPATH_DRY"
    )


def test_deliver_min_refuses_too_small_a_part() -> None:
    play = market()
    play.trust(BOB, limit=1010)
    sent = {"Destination": BOB, "Amount": tokens(20), "Flags": PARTIAL}
    assert play.send("Payment", ALICE, **sent, DeliverMin=tokens("10.1")).result == "tecPATH_PARTIAL"
    assert play.held(BOB) == 1000
    play.do("Payment", ALICE, **sent, DeliverMin=tokens(10))
    assert play.held(BOB) == 1010


def test_frozen_tokens_go_to_the_issuer_only() -> None:
    play = market()
    play.do("TrustSet", ISSUER, LimitAmount=tokens(0, _ALICE_USD), Flags=0x00100000)
    assert play.send("Payment", ALICE, Destination=BOB, Amount=tokens(1)).result == "tecPATH_DRY"
    play.do("Payment", ALICE, Destination=ISSUER, Amount=tokens(1))
    play.do("Payment", BOB, Destination=ALICE, Amount=tokens(1))  # a frozen line still receives
    assert play.held(ALICE) == 1000


def test_tokens_do_not_pass_an_issuer_without_default_ripple() -> None:
    play = market(ripple=False)
    assert play.send("Payment", ALICE, Destination=BOB, Amount=tokens(1)).result == "tecPATH_DRY"
    play.do("Payment", ALICE, Destination=ISSUER, Amount=tokens(1))


def test_tokens_need_a_line_and_the_issuer_s_consent_where_he_asks_for_it() -> None:
    play = market()
    play.fund(NOBODY)
    assert play.send("Payment", ALICE, Destination=NOBODY, Amount=tokens(1)).result == "tecPATH_DRY"
    gate = address("gate")
    gbp = Asset("GBP", gate)
    play.fund(gate)
    play.do("AccountSet", gate, SetFlag=2)
    play.trust(ALICE, gbp)
    assert play.send("Payment", gate, Destination=ALICE, Amount=tokens(1, gbp)).result == "tecPATH_DRY"
    play.do("TrustSet", gate, LimitAmount=tokens(0, Asset("GBP", ALICE)), Flags=0x00010000)
    play.issue(ALICE, 1, gbp)


def test_the_receiver_s_name_as_issuer_means_any_issuer_he_trusts() -> None:
    play = market(transfer_rate=FEE_RATE)
    play.do("Payment", ALICE, Destination=BOB, Amount=tokens(100, Asset("USD", BOB)), SendMax=tokens(101))
    assert (play.held(ALICE), play.held(BOB)) == (D("899.8"), 1100)


def test_quality_limited_payments_refuse_a_worse_rate() -> None:
    play = market(transfer_rate=FEE_RATE)
    sent = {"Destination": BOB, "Amount": tokens(100), "Flags": PARTIAL | 0x00040000}
    assert play.send("Payment", ALICE, **sent, SendMax=tokens("100.1")).result == "tecPATH_DRY"
    play.do("Payment", ALICE, **sent, SendMax=tokens("100.2"))
    assert play.held(BOB) == 1100


def _book() -> Play:
    """Bob sells 40 USD for 20 XRP, Carol 40 EUR for 10 XRP and 60 USD for 50 EUR."""
    play = market()
    play.do("OfferCreate", BOB, TakerGets=tokens(40), TakerPays="20000000")
    play.do("OfferCreate", CAROL, TakerGets=tokens(40, EUR), TakerPays="10000000")
    play.do("OfferCreate", CAROL, TakerGets=tokens(60), TakerPays=tokens(50, EUR))
    play.do("OfferCreate", CAROL, TakerGets="10000000", TakerPays=tokens(25))
    return play


def test_xrp_buys_tokens_from_a_book_for_another() -> None:
    play = _book()
    before = play.root(ALICE)["Balance"]
    play.do("Payment", ALICE, Destination=CAROL, Amount=tokens(10), SendMax="6000000")
    assert play.root(ALICE)["Balance"] == before - 5_000_000 - 10
    assert play.held(CAROL) == 1010
    assert play.held(BOB) == 990


def test_a_conversion_to_self_is_a_trade() -> None:
    play = _book()
    meta = play.do("Payment", ALICE, Destination=ALICE, Amount=tokens(999), SendMax="4000000", Flags=PARTIAL)
    assert meta["delivered_amount"] == tokens(8)
    assert play.held(ALICE) == 1008


def test_tokens_buy_xrp_that_makes_an_account() -> None:
    play = _book()
    play.do("Payment", ALICE, Destination=NOBODY, Amount="2000000", SendMax=tokens(6))
    assert play.root(NOBODY)["Balance"] == 2_000_000
    assert play.held(ALICE) == 995


def test_the_default_path_is_the_one_book_between_the_two_tokens() -> None:
    play = _book()
    play.do("Payment", ALICE, Destination=BOB, Amount=tokens(12), SendMax=tokens(11, EUR))
    assert play.held(ALICE, EUR) == 990  # 12 USD x 50 / 60
    assert play.held(BOB) == 1012


def test_a_path_leads_over_two_books() -> None:
    play = _book()
    play.do(
        "Payment",
        ALICE,
        Destination=BOB,
        Amount=tokens(4, EUR),
        SendMax=tokens(3),
        Paths=[[{"currency": "XRP"}, {"currency": "EUR", "issuer": OTHER_ISSUER}]],
    )
    assert play.held(ALICE) == D("997.5")  # 4 EUR cost 1 XRP, and that costs 2.5 USD
    assert play.held(BOB, EUR) == 1004


def test_of_two_ways_the_better_one_is_taken_first() -> None:
    play = _book()
    play.do("OfferCreate", CAROL, TakerGets=tokens(2, EUR), TakerPays=tokens(1))
    play.do(
        "Payment",
        ALICE,
        Destination=BOB,
        Amount=tokens(6, EUR),
        SendMax=tokens(9),
        Paths=[[{"currency": "XRP"}]],
    )
    assert play.held(ALICE) == D("996.5")  # 2 EUR for 1 USD, then 4 EUR for 2.5 USD
    play = _book()
    dry = play.send("Payment", ALICE, Destination=BOB, Amount=tokens(5, EUR), SendMax=tokens(9))
    assert dry.result == "tecPATH_PARTIAL"


def test_a_payment_into_a_line_at_its_limit_or_of_a_frozen_token_finds_no_path() -> None:
    play = _book()
    play.do("TrustSet", ISSUER, LimitAmount=tokens(0, _ALICE_USD), Flags=0x00100000)
    sent = {"Destination": ALICE, "Amount": "1000000", "SendMax": tokens(5)}
    assert play.send("Payment", ALICE, **sent).result == "tecPATH_DRY"
    play.trust(CAROL, limit=1000)
    sent = {"Destination": CAROL, "Amount": tokens(1), "SendMax": XRP_100}
    assert play.send("Payment", ALICE, **sent).result == "tecPATH_DRY"
    sent["Amount"] = tokens(1, Asset("USD", NOBODY))
    assert play.send("Payment", ALICE, **sent).result == "tecNO_ISSUER"


def test_a_path_beside_a_live_path_in_the_same_currency_is_not_modelled() -> None:
    play = _book()
    sent = {"Destination": BOB, "Amount": tokens(1), "SendMax": tokens(2)}
    paths = [[*_PATH[0], {"currency": "XRP"}, {"currency": "USD", "issuer": ISSUER}]]
    assert play.send("Payment", ALICE, **sent, Paths=paths).result == "temDISABLED"
    assert play.held(ALICE, XRP) == play.root(ALICE)["Balance"]


def test_a_payment_passes_two_issuers_where_one_trusts_the_other() -> None:
    play = market(transfer_rate=FEE_RATE)
    other_usd = Asset("USD", OTHER_ISSUER)
    play.trust(OTHER_ISSUER, limit=100)
    play.trust(BOB, other_usd)
    play.do("Payment", ALICE, Destination=BOB, Amount=tokens(10, other_usd), SendMax=tokens(11))
    # The first issuer passes on what was redeemed to it, for its fee; the second one issues its own.
    assert play.held(ALICE) == D("989.98")
    assert play.held(OTHER_ISSUER) == 10
    assert play.held(BOB, other_usd) == 10
    play.do("Payment", BOB, Destination=ALICE, Amount=tokens(5), SendMax=tokens(6, other_usd))
    # Now the second issuer redeems, which costs nothing; the fee is the first one's again.
    assert play.held(BOB, other_usd) == D("4.99")
    assert play.held(OTHER_ISSUER) == D("4.99")
    assert play.held(ALICE) == D("994.98")


def test_quality_in_makes_received_tokens_count_for_less() -> None:
    play = market()
    play.trust(BOB, QualityIn=500_000_000)
    play.do("Payment", ALICE, Destination=BOB, Amount=tokens(10), SendMax=tokens(20))
    assert (play.held(ALICE), play.held(BOB)) == (980, 1020)  # 20 that count as 10
    meta = play.do("Payment", ALICE, Destination=BOB, Amount=tokens(10), SendMax=tokens(6), Flags=PARTIAL)
    assert meta["delivered_amount"] == tokens(3)
    play.trust(BOB, limit=1030)
    meta = play.do("Payment", ALICE, Destination=BOB, Amount=tokens(10), SendMax=tokens(20), Flags=PARTIAL)
    assert meta["delivered_amount"] == tokens(2)  # room for 4 more
    assert play.held(BOB) == 1030


def test_books_are_not_reached_past_an_issuer_without_default_ripple() -> None:
    play = market(ripple=False)
    play.do("OfferCreate", BOB, TakerGets=tokens(40), TakerPays="20000000")
    play.do("OfferCreate", CAROL, TakerGets="10000000", TakerPays=tokens(25))
    buys = play.send("Payment", ALICE, Destination=CAROL, Amount=tokens(1), SendMax="9000000")
    sells = play.send("Payment", ALICE, Destination=CAROL, Amount="1000000", SendMax=tokens(9))
    assert (buys.result, sells.result) == ("tecPATH_DRY", "tecPATH_DRY")


@pytest.mark.parametrize(
    ("result", "amount", "paths"),
    [
        ("temBAD_PATH", tokens(1), [[{"account": ISSUER, "currency": "USD"}]]),
        ("temBAD_PATH", tokens(1), [[{"currency": "XRP", "issuer": ISSUER}]]),
        ("temBAD_PATH_LOOP", tokens(1), [[{"currency": "USD", "issuer": ISSUER}, {"currency": "XRP"}]]),
        ("temDISABLED", tokens(1), [[{"currency": "USD", "issuer": OTHER_ISSUER}]]),
        ("tesSUCCESS", tokens(1), [[{"account": OTHER_ISSUER}, {"currency": "XRP"}]]),
    ],
)
def test_paths_are_followed_or_refused(result: str, amount: Any, paths: Any) -> None:
    play = _book()
    sent = {"Destination": BOB, "Amount": amount, "SendMax": tokens(9, EUR)}
    assert play.send("Payment", ALICE, **sent, Paths=paths).result == result


def test_an_account_is_not_made_by_a_partial_payment() -> None:
    play = _book()
    sent = {"Destination": NOBODY, "Amount": "2000000", "SendMax": tokens(6), "Flags": PARTIAL}
    assert play.send("Payment", ALICE, **sent).result == "telNO_DST_PARTIAL"


def test_a_pool_s_account_takes_no_payments() -> None:
    play = market()
    play.do("AMMCreate", ALICE, Amount="10000000", Amount2=tokens(20), TradingFee=0, Fee="200000")
    (pool,) = [entry["Account"] for entry in play.chain.state.entries.values() if "LPTokenBalance" in entry]
    for amount in ("1", tokens(1)):  # pools carry DepositAuth too
        assert play.send("Payment", ALICE, Destination=pool, Amount=amount).result == "tecNO_PERMISSION"


def test_deposit_authorization_stops_tokens_but_not_one_s_own() -> None:
    play = _book()
    play.do("AccountSet", ALICE, SetFlag=9)
    assert play.send("Payment", BOB, Destination=ALICE, Amount=tokens(1)).result == "tecNO_PERMISSION"
    play.do("Payment", ALICE, Destination=ALICE, Amount=tokens(2), SendMax="1000000")
    assert play.held(ALICE) == 1002
