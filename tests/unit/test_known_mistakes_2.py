"""What connectors to the XRP Ledger have got wrong, one by one: this engine does not. Numbers 9 to 14.

Numbers 1 to 8 are in test_known_mistakes.py, 15 and 16 in test_known_mistakes_3.py.

 9. The account's state is asked for again and again, until the rate limit makes it half a minute old.
    test_a_requote_costs_one_request_and_nothing_is_asked_before_it
    test_the_account_is_that_of_the_last_ledger_and_no_request_was_needed_for_it
10. Every submit says fail_hard, and so nothing is ever queued when fees rise.
    test_a_cancel_under_rising_fees_waits_in_the_queue_and_arrives
11. The price of an offer that is funded in part is computed from what is funded, in binary floats.
    test_the_price_of_a_partly_funded_offer_is_that_of_its_directory
12. Offers never expire, so a dead process leaves live quotes; a requote is a cancel and a create.
    test_the_quotes_of_a_dead_process_fill_no_more_once_their_time_is_over
    test_six_requotes_are_six_transactions_and_six_fees
13. An exchange below one drop is a trade at price 0; a difference between what was submitted and what the
    ledger stored is a partial fill.
    test_an_exchange_below_one_drop_is_money_and_no_trade
    test_amounts_that_the_ledger_rounded_when_it_placed_an_offer_are_no_fill
14. An order filled on the ledger ends as cancelled, because the cancel's answer came first.
    test_a_cancel_and_a_fill_of_one_ledger_end_as_the_ledger_ordered_them
    test_an_order_filled_whole_before_its_cancel_ends_as_filled
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from neo_engine.domain.account_findings import FindingKind
from neo_engine.domain.assets import Side
from neo_engine.domain.ledger import AccountChange, LedgerUpdate, LineChange, NodeAction, OfferChange
from neo_engine.domain.orders import OrderStatus
from neo_engine.simulator.server.queue import EXPECTED_MIN
from neo_engine.xrpl.snapshot import AtLedger
from neo_engine.xrpl.state import snapshot_of
from tests.unit.live_fixture import (
    CODEC,
    PAIR,
    NetworkServer,
    bid,
    closed_update,
    issuer_sends,
    market_network,
    network_state,
    rlusd,
)
from tests.unit.live_fixture import Desk as Follower
from tests.unit.network_fixture import address_of, ask, send
from tests.unit.submission_fixture import TERMS, cancel, crowd, place
from tests.unit.submission_fixture import Desk as Sender
from tests.unit.test_known_mistakes import TF_IMMEDIATE_OR_CANCEL, WE, root_of

Json = dict[str, Any]
TF_SELL = 0x0008_0000
XRP = 1_000_000


# 9


def test_a_requote_costs_one_request_and_nothing_is_asked_before_it() -> None:
    """Ten requotes, one a ledger: ten requests in all. Fee, ledger and sequence come with the stream."""
    desk = Sender()
    assert desk.go(place(1)) == ["tesSUCCESS"]
    for number in range(2, 11):
        desk.ledger()
        (sequence,) = desk.offers()
        assert desk.go(place(number, replaces=(number - 1, sequence), drops=number)) == ["tesSUCCESS"]
    desk.ledger()
    assert list(desk.offers().values()) == [10]
    assert [command for command, _ in desk.wire.asked] == ["submit"] * 10


def test_the_account_is_that_of_the_last_ledger_and_no_request_was_needed_for_it() -> None:
    """Ledger by ledger somebody trades with us; each time we know what the server would tell."""
    follower = Follower(market_network())
    follower.place(1, ask(9_000_000, "27"))
    begun = len(follower.server.asked)
    for drops in range(1_000_000, 8_000_000, 1_000_000):
        report = follower.close()
        root = root_of(follower.network, WE)
        told = (int(root["Balance"]), root["Sequence"], root["OwnerCount"])
        view = report.account
        assert (view.balance_drops, view.account_sequence, view.owner_count) == told
        assert report.ledger_index == follower.network.chain.header.ledger_index
        send(follower.network, "taker", **bid(drops, str(drops * 4 // XRP)), Flags=TF_IMMEDIATE_OR_CANCEL)
    assert follower.server.asked[begun:] == []


# 10


def test_a_cancel_under_rising_fees_waits_in_the_queue_and_arrives() -> None:
    """The open ledger is full of dear transactions. With fail_hard the network would refuse ours."""
    desk = Sender(escalation=True)
    desk.network.faucet({"destination": address_of("hard"), "xrp": "1000"})
    desk.go(place(1))
    desk.ledger()
    (sequence,) = desk.offers()
    crowd(desk.network, EXPECTED_MIN + 1)
    hard = send(desk.network, "hard", fail_hard=True, TransactionType="AccountSet")
    assert hard["engine_result"] == "telCAN_NOT_QUEUE"
    assert desk.go(cancel(1, sequence)) == ["terQUEUED"]
    desk.ledger()
    desk.ledger()
    assert desk.offers() == {}
    assert desk.submitter.pending == ()
    assert {frozenset(told) for command, told in desk.wire.asked if command == "submit"} == {
        frozenset({"tx_blob"})
    }


# 11


def test_the_price_of_a_partly_funded_offer_is_that_of_its_directory() -> None:
    """A bid of 1000 XRP at 3.33 whose owner has 0.000005 RLUSD left: that buys one drop and a half.

    Of whole drops a price computed from them would be far off.
    """
    network = market_network("poor")
    send(network, "poor", **bid(1_000_000_000, "3333.333333333333"))
    left = {"TransactionType": "Payment", "Destination": address_of("taker"), "Amount": rlusd("999.999995")}
    send(network, "poor", **left)
    network.close()
    server = NetworkServer(network)
    token, xrp = {"currency": PAIR.quote.currency, "issuer": PAIR.quote.issuer}, {"currency": "XRP"}
    (listed,) = server.request("book_offers", taker_gets=token, taker_pays=xrp)["offers"]
    funded = Decimal(listed["taker_gets_funded"]["value"]) * XRP / int(listed["taker_pays_funded"])
    tail = int(listed["BookDirectory"][-16:], 16)
    quality = Decimal(tail & (2**56 - 1)).scaleb((tail >> 56) - 100)  # drops for one of the token
    price = XRP / quality
    assert abs(funded - price) > Decimal("0.1")
    book = Follower(network).book
    best = book.best(Side.BUY, book.close_time)
    assert best is not None
    assert (best.rate, best.price) == (quality, price)
    assert [one.price for one in book.live_levels(Side.BUY, 5, book.close_time)] == [price]
    at = AtLedger(server, network.chain.header.ledger_index)
    answered = snapshot_of(CODEC, at.check(PAIR))
    assert answered is not None
    assert [(one.offer.rate, one.offer.price) for one in answered.bids] == [(quality, price)]
    # Neither does what is left after a trade move it.
    network.faucet({"destination": address_of("poor"), "xrp": "0", "tokens": "1000"})
    network.close()
    send(network, "taker", **ask(7, "0.000021"), Flags=TF_IMMEDIATE_OR_CANCEL)
    network.close()
    (rest,) = network_state(network).offers
    assert rest.base_drops == 1_000_000_000 - 7
    assert (rest.rate, rest.price) == (quality, price)


# 12


def test_the_quotes_of_a_dead_process_fill_no_more_once_their_time_is_over() -> None:
    """We quote for 20 seconds and say no word after it; a taker comes before and one after the end."""
    desk = Sender()
    network, address = desk.network, address_of("taker")
    network.faucet({"destination": address, "xrp": "1000"})
    desk.ledger()
    limit = rlusd("1000000")
    send(network, "taker", TransactionType="TrustSet", LimitAmount=limit)
    desk.ledger()
    network.faucet({"destination": address, "xrp": "0", "tokens": "100"})
    desk.ledger()
    ends = network.chain.header.close_time + 20
    desk.go(place(1, expiration=ends))
    network.close()
    before = int(root_of(network, TERMS.account)["Balance"])
    send(network, "taker", **bid(400_000, "1.3"))
    network.close()
    assert int(root_of(network, TERMS.account)["Balance"]) == before - 400_000
    while network.chain.header.close_time < ends:
        network.close()
    send(network, "taker", **bid(400_000, "1.3"))
    network.close()
    assert int(root_of(network, TERMS.account)["Balance"]) == before - 400_000
    assert desk.offers() == {}  # the taker who met it cleared it away
    assert all("Expiration" in tx for tx in desk.key.signed if tx["TransactionType"] == "OfferCreate")


def test_six_requotes_are_six_transactions_and_six_fees() -> None:
    """Cancel and create would be twelve of each, and six moments without a quote."""
    desk = Sender()
    desk.go(*(place(number, drops=number) for number in range(1, 7)))
    desk.ledger()
    sequences = sorted(desk.offers())
    before = root_of(desk.network, TERMS.account)
    orders = [
        place(number + 6, replaces=(number, old), drops=100 + number)
        for number, old in enumerate(sequences, start=1)
    ]
    assert desk.go(*orders) == ["tesSUCCESS"] * 6
    desk.ledger()
    after = root_of(desk.network, TERMS.account)
    assert int(before["Balance"]) - int(after["Balance"]) == 6 * 10
    assert after["Sequence"] - before["Sequence"] == 6
    assert after["OwnerCount"] == before["OwnerCount"] == 6
    assert sorted(desk.offers().values()) == [101, 102, 103, 104, 105, 106]


# 13


def without_drops(update: LedgerUpdate, token: Decimal) -> LedgerUpdate:
    """Return a ledger in which our offer gave no XRP and got only so much token."""

    def bent(change: Any) -> Any:
        if isinstance(change, OfferChange) and change.owner == WE:
            base, value = change.previous_base_drops, change.previous_quote - token
            return replace(change, action=NodeAction.MODIFIED, base_drops=base, quote=value)
        if isinstance(change, AccountChange) and change.account == WE:
            return replace(change, balance_drops=change.previous_balance_drops)
        if isinstance(change, LineChange) and change.holder == WE:
            return replace(change, balance=change.previous_balance + token)
        return change

    return replace(
        update,
        transactions=tuple(replace(tx, changes=tuple(map(bent, tx.changes))) for tx in update.transactions),
    )


def test_an_exchange_below_one_drop_is_money_and_no_trade() -> None:
    """A taker's transaction as the ledger made it, bent to what older rules allowed: token for no drop."""
    follower = Follower(market_network())
    follower.place(1, ask(1_000_000, "3"))
    follower.close()
    send(follower.network, "taker", **bid(400_000, "1.3"))
    report = follower.read(without_drops(closed_update(follower.network), Decimal("4E-7")))
    assert report.fills == ()
    (found,) = report.findings
    assert (found.kind, found.base_drops, found.quote) == (FindingKind.DUST, 0, Decimal("4E-7"))
    (word,) = report.order_updates
    assert (word.status, word.remaining_base_drops) == (OrderStatus.OPEN, 1_000_000)
    assert report.account.quote_balance == 1_000 + Decimal("4E-7")


@pytest.mark.parametrize(
    ("order", "stored"),
    [
        # A rate has three digits here, rounded the maker's way: an ask at 3.14159 asks 3.15. A bid at 3.13
        # asks 319,488.8… drops for one RLUSD, so now 320,000, and gives 3.125 RLUSD for its million.
        ({**ask(1_000_000, "3.14159"), "Flags": TF_SELL}, Decimal("3.15")),
        (bid(1_000_000, "3.13"), Decimal("3.125")),
    ],
)
def test_amounts_that_the_ledger_rounded_when_it_placed_an_offer_are_no_fill(
    order: Json, stored: Decimal
) -> None:
    """The issuer allows three digits in a price, so the ledger stores other amounts than were sent."""
    network = market_network()
    issuer_sends(network, TransactionType="AccountSet", TickSize=3)
    network.close()
    follower = Follower(network)
    follower.place(1, order)
    report = follower.close()
    (listed,) = follower.server.request("account_offers", account=WE)["offers"]
    amount = next(one for one in (listed["taker_gets"], listed["taker_pays"]) if isinstance(one, dict))
    assert Decimal(amount["value"]) == stored
    (word,) = report.order_updates
    assert (word.status, word.remaining_base_drops, word.remaining_quote) == (
        OrderStatus.OPEN,
        1_000_000,
        stored,
    )
    assert (report.fills, report.findings) == ((), ())


# 14


def succeeded(follower: Follower, told: Json) -> bool:
    """Tell whether a submitted transaction ended in tesSUCCESS, as the server has it."""
    found = follower.server.request("tx", transaction=told["tx_json"]["hash"])
    assert found["validated"] is True
    return bool(found["meta"]["TransactionResult"] == "tesSUCCESS")


def test_a_cancel_and_a_fill_of_one_ledger_end_as_the_ledger_ordered_them() -> None:
    """Each time our cancel is taken in first, and the open ledger promises it; the closed one draws lots."""
    follower = Follower(market_network())
    network, seen = follower.network, set()
    balance = int(root_of(network, WE)["Balance"])
    for number in range(1, 13):
        follower.place(number, ask(1_000_000, "3"))
        follower.close()
        follower.cancel(number)
        told = send(network, "taker", **bid(400_000, "1.3"), Flags=TF_IMMEDIATE_OR_CANCEL)
        assert told["engine_result"] == "tecKILLED"
        report = follower.close()
        taken = succeeded(follower, told)
        seen.add(taken)
        assert [fill.base_drops for fill in report.fills] == ([400_000] if taken else [])
        (word,) = [one for one in report.order_updates if one.status is OrderStatus.CANCELED]
        assert word.order_id == number
        balance -= 2 * 10 + (400_000 if taken else 0)
        assert int(root_of(network, WE)["Balance"]) == report.account.balance_drops == balance
    assert seen == {True, False}


def test_an_order_filled_whole_before_its_cancel_ends_as_filled() -> None:
    """Where the whole order goes first, our cancel still ends in tesSUCCESS: it found nothing to cancel."""
    follower = Follower(market_network())
    network, seen = follower.network, set()
    for number in range(1, 13):
        follower.place(number, ask(1_000_000, "3"))
        follower.close()
        follower.cancel(number)
        told = send(network, "taker", **bid(1_000_000, "3.1"), Flags=TF_IMMEDIATE_OR_CANCEL)
        report = follower.close()
        taken = succeeded(follower, told)
        seen.add(taken)
        (word,) = report.order_updates
        assert word.status is (OrderStatus.FILLED if taken else OrderStatus.CANCELED)
        assert sum(fill.base_drops for fill in report.fills) == (1_000_000 if taken else 0)
        assert [one.result for one in report.transactions] == ["tesSUCCESS"]
    assert seen == {True, False}
