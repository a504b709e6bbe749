"""Our account as validated ledgers show it, against what servers told of real accounts and of our own."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from neo_engine.domain.account_events import AccountEvents
from neo_engine.domain.account_findings import AccountFinding, FindingKind
from neo_engine.domain.assets import Side
from neo_engine.domain.errors import InvariantViolation
from neo_engine.domain.fills import LiquiditySide
from neo_engine.domain.orders import (
    TERMINAL,
    Order,
    OrderStatus,
    SubmitClass,
    SubmitOutcome,
    TransactionKind,
)
from neo_engine.execution import live_account, tracking
from neo_engine.execution.live_account import LiveAccount
from neo_engine.execution.live_events import (
    KnownOrder,
    LedgerReport,
    known_order,
)
from neo_engine.execution.recovery import prove
from neo_engine.simulator.server.genesis import ISSUER_ACCOUNT
from neo_engine.xrpl.metadata import account_events
from tests.unit.live_fixture import (
    WATCHED,
    Desk,
    Play,
    bid,
    closed_update,
    issuer_sends,
    market_network,
    recorded,
    rlusd,
    sent_as,
    told_of,
    upkeep,
)
from tests.unit.network_fixture import address_of, ask, send

Json = dict[str, Any]
TF_FREEZE, TF_CLEAR_FREEZE = 0x00100000, 0x00200000
TF_KILL = 0x00040000
TF_NO_RIPPLE = 0x00020000  # without it the line is not in its default state and stays


def kinds(report: LedgerReport) -> list[FindingKind]:
    return [one.kind for one in report.findings]


def only(report: LedgerReport, kind: FindingKind) -> AccountFinding:
    (found,) = [one for one in report.findings if one.kind is kind]
    return found


def told(report: LedgerReport) -> list[tuple[int, OrderStatus, int, str | None]]:
    return [(one.order_id, one.status, one.remaining_base_drops, one.reason) for one in report.order_updates]


# --- recordings: every watched maker as ours --------------------------------------------------------------


def offer_of(listed: Json) -> tuple[int, Side, int, Decimal, int | None]:
    """An offer as the recording's server lists it, in our words."""
    gets, pays = listed["taker_gets"], listed["taker_pays"]
    selling = isinstance(gets, str)
    drops, token = (gets, pays) if selling else (pays, gets)
    side = Side.SELL if selling else Side.BUY
    return listed["seq"], side, int(drops), Decimal(token["value"]), listed.get("expiration")


@pytest.mark.parametrize("who", WATCHED)
@pytest.mark.parametrize("name", ["calm", "hostile"])
def test_a_recorded_maker_is_followed_exactly_as_its_server_told_after_every_ledger(
    name: str, who: str
) -> None:
    start, updates = recorded(name)
    address = start.accounts[who]
    play = Play(start, address)
    remaining = {one.offer_sequence: one.base_drops for one in play.account.offers}
    first = play.account.view()
    moved_drops, moved_quote, checked = 0, Decimal(0), 0
    payments: list[tuple[FindingKind, Decimal]] = []
    for update in updates:
        report = play.step(update)
        for found in report.findings:
            payments.append((found.kind, round(found.quote, 6)))
            moved_drops += found.base_drops
            moved_quote += found.quote
        for fill in report.fills:
            moved_drops += fill.base_drops if fill.side is Side.BUY else -fill.base_drops
            moved_quote += fill.quote_balance_delta
        moved_drops -= sum(one.fee_drops for one in report.transactions)
        for one in report.order_updates:
            remaining[one.order_id] = one.remaining_base_drops
            if one.status in TERMINAL:
                del remaining[one.order_id]
        server = told_of(update, address)
        root, view = server["account_data"], report.account
        held = [
            Decimal(line["balance"]) for line in server["lines"] if line["account"] == start.pair.quote.issuer
        ]
        assert (view.balance_drops, view.account_sequence, view.owner_count) == (
            int(root["Balance"]),
            root["Sequence"],
            root["OwnerCount"],
        )
        assert [view.quote_balance] == held
        resting = {offer_of(one) for one in server["offers"]}
        assert {
            (o.offer_sequence, o.side, o.base_drops, o.quote, o.expiration) for o in play.account.offers
        } == (resting)
        live = {one[0]: one[2] for one in resting if one[4] is None or one[4] > update.close_time}
        assert remaining == live
        checked += 1
    assert checked == len(updates) > 40
    # The pool's owner once pays 8,000 RLUSD to one of them; nothing else is none of their orders.
    paid = [(FindingKind.PAID_IN, Decimal(8_000))] if (name, who) == ("calm", "maker6") else []
    assert payments == paid
    last = play.account.view()
    assert last.balance_drops - first.balance_drops == moved_drops
    assert last.quote_balance - first.quote_balance == moved_quote


def test_the_engines_makers_trade_in_the_recordings() -> None:
    # So that the test above compares fills: both sides of the spread, makers and takers.
    seen: dict[LiquiditySide, int] = defaultdict(int)
    for name in ("calm", "hostile"):
        start, updates = recorded(name)
        for who in WATCHED:
            play = Play(start, start.accounts[who])
            for update in updates:
                for fill in play.step(update).fills:
                    seen[fill.liquidity] += 1
    assert seen[LiquiditySide.MAKER] > 50
    assert seen[LiquiditySide.TAKER] > 0


def test_a_ledger_left_out_is_named_and_reading_it_late_restores_everything() -> None:
    start, updates = recorded("hostile")
    for who in ("maker1", "maker2"):
        whole, gappy = Play(start, start.accounts[who]), Play(start, start.accounts[who])
        everything, pieces = [], []
        for update in updates[:30]:
            everything.append(whole.step(update))
        for update in updates[:30]:
            gappy.expect(update)
        for update in updates[:10] + updates[13:30]:
            gappy.book.advance(update)
            pieces.append(gappy.account.advance(update, gappy.book))
        gap = only(pieces[10], FindingKind.LEDGER_GAP)
        lost = updates[10:13]
        assert (gap.first_ledger, gap.last_ledger) == (lost[0].ledger_index, lost[-1].ledger_index)
        pieces.append(gappy.account.back_fill(lost, gap.first_ledger, gap.last_ledger))
        assert {f.key for r in pieces for f in r.fills} == {f.key for r in everything for f in r.fills}
        assert {t for r in pieces for t in r.transactions} == {t for r in everything for t in r.transactions}
        assert gappy.account.view() == whole.account.view()
        assert pieces[-1].findings == ()
        assert pieces[-1].lapsed == ()
        late = gappy.step(updates[30])
        assert late.findings == ()


# --- our own orders ---------------------------------------------------------------------------------------


def test_an_order_is_placed_taken_in_part_and_filled() -> None:
    desk = Desk(market_network())
    sent = desk.place(1, ask(1_000_000, "3"))
    placed = desk.close()
    assert told(placed) == [(1, OrderStatus.OPEN, 1_000_000, None)]
    (outcome,) = placed.transactions
    assert (outcome.tx_hash, outcome.result, outcome.fee_drops) == (sent.prepared.tx_hash, "tesSUCCESS", 10)
    send(desk.network, "taker", **bid(400_000, "1.3"))
    part = desk.close()
    assert told(part) == [(1, OrderStatus.PARTIALLY_FILLED, 600_000, None)]
    (fill,) = part.fills
    assert (fill.order_id, fill.base_drops, fill.quote, fill.liquidity) == (
        1,
        400_000,
        Decimal("1.2"),
        LiquiditySide.MAKER,
    )
    send(desk.network, "taker", **bid(600_000, "2"))
    whole = desk.close()
    assert told(whole) == [(1, OrderStatus.FILLED, 0, None)]
    # 1000 XRP less the fees of TrustSet and of the order and less the XRP sold.
    assert whole.account.balance_drops == 1_000_000_000 - 20 - 1_000_000
    assert whole.account.quote_balance == Decimal("1003")
    assert whole.account.offers == ()
    assert desk.agrees()


def test_an_order_that_takes_and_rests_is_partly_filled_and_its_rest_is_the_ledgers() -> None:
    desk = Desk(market_network())
    send(desk.network, "taker", **bid(400_000, "1.6"))
    desk.close()
    desk.place(1, ask(1_000_000, "3"))
    report = desk.close()
    (fill,) = report.fills
    assert (fill.liquidity, fill.base_drops, fill.side) == (LiquiditySide.TAKER, 400_000, Side.SELL)
    # It got 1.6 of the 3 RLUSD it asks; the other 1.4 cost 466,666.7 drops at its price.
    assert told(report) == [(1, OrderStatus.PARTIALLY_FILLED, 466_667, None)]
    assert desk.agrees()


def test_an_order_filled_at_once_never_rests() -> None:
    desk = Desk(market_network())
    send(desk.network, "taker", **bid(2_000_000, "8"))
    desk.close()
    desk.place(1, ask(1_000_000, "3"))
    report = desk.close()
    assert told(report) == [(1, OrderStatus.FILLED, 0, None)]
    assert len(report.fills) == 1


def test_a_replace_takes_the_old_order_away_and_places_the_new_one() -> None:
    desk = Desk(market_network())
    desk.place(1, ask(1_000_000, "3"))
    desk.close()
    desk.place(2, ask(1_000_000, "4"), replaces=1)
    report = desk.close()
    assert told(report) == [
        (1, OrderStatus.CANCELED, 0, "replaced by order 2"),
        (2, OrderStatus.OPEN, 1_000_000, None),
    ]
    assert [one.kind for one in report.transactions] == [TransactionKind.REPLACE]
    assert desk.agrees()


def test_a_replace_that_ends_in_a_tec_leaves_the_old_order_and_says_so() -> None:
    desk = Desk(market_network())
    desk.place(1, ask(1_000_000, "3"))
    desk.close()
    # Fill or kill with nobody to fill it: tecKILLED, so the ledger undoes the cancel too.
    desk.place(2, ask(1_000_000, "4"), replaces=1, Flags=TF_KILL)
    report = desk.close()
    assert [one.result for one in report.transactions] == ["tecKILLED"]
    assert told(report) == [
        (2, OrderStatus.REJECTED, 0, "tecKILLED"),
        (1, OrderStatus.OPEN, 1_000_000, "tecKILLED"),
    ]
    assert [one.offer_sequence for one in report.account.offers] == [desk.orders[1].offer_sequence]
    assert report.account.balance_drops == 1_000_000_000 - 30
    assert desk.agrees()


def test_an_order_is_cancelled_by_its_transaction_and_by_a_ticket() -> None:
    desk = Desk(market_network())
    made = send(desk.network, "we", TransactionType="TicketCreate", TicketCount=2)
    desk.account.expect(upkeep(made["tx_json"]["hash"], desk.account.ledger_index + 3))
    tickets = desk.close()
    assert kinds(tickets) == []
    assert [(one.kind, one.fee_drops) for one in tickets.transactions] == [(TransactionKind.UPKEEP, 10)]
    first, second = desk.account.tickets
    desk.place(1, ask(1_000_000, "3"))
    desk.place(2, ask(1_000_000, "4"), TicketSequence=first)
    desk.close()
    assert desk.orders[2].offer_sequence == first
    desk.cancel(1)
    desk.cancel(2, TicketSequence=second)
    report = desk.close()
    assert sorted(told(report)) == [
        (1, OrderStatus.CANCELED, 0, "canceled"),
        (2, OrderStatus.CANCELED, 0, "canceled"),
    ]
    assert report.findings == ()
    assert desk.account.tickets == ()
    assert desk.agrees()


def test_an_expired_order_ends_when_it_can_fill_no_more_and_keeps_its_reserve_until_it_is_cleared() -> None:
    desk = Desk(market_network())
    expiration = desk.account.close_time + 25
    desk.place(1, ask(1_000_000, "3"), Expiration=expiration)
    assert told(desk.close()) == [(1, OrderStatus.OPEN, 1_000_000, None)]
    while (report := desk.close()).ledger_index and desk.account.close_time < expiration:
        assert report.order_updates == ()
    assert told(report) == [(1, OrderStatus.EXPIRED, 0, "expired")]
    assert report.account.offers == ()
    assert report.account.owner_count == 2
    assert len(desk.account.offers) == 1
    send(desk.network, "taker", **bid(1_000_000, "3.1"))
    cleared = desk.close()
    assert (cleared.order_updates, cleared.fills, cleared.findings) == ((), (), ())
    assert cleared.account.owner_count == 1
    assert desk.agrees()


def test_an_offer_whose_funds_are_gone_ends_as_unfunded() -> None:
    desk = Desk(market_network())
    desk.place(1, bid(1_000_000_000, "1000"))
    desk.place(2, bid(100_000_000, "99"))
    desk.close()
    # 1000 RLUSD stand in both; who takes all of the first leaves the second without funds.
    network = desk.network
    network.faucet({"destination": address_of("taker"), "xrp": "5000"})
    desk.close()
    send(network, "taker", **ask(1_000_000_000, "1000"))
    assert told(desk.close()) == [(1, OrderStatus.FILLED, 0, None), (2, OrderStatus.CANCELED, 0, "unfunded")]
    assert desk.agrees()


def test_an_offer_taken_as_far_as_the_funds_went_is_removed_and_the_rest_is_told() -> None:
    desk = Desk(market_network())
    desk.place(1, bid(2_000_000_000, "2000"))
    desk.close()
    desk.network.faucet({"destination": address_of("taker"), "xrp": "5000"})
    desk.close()
    send(desk.network, "taker", **ask(2_000_000_000, "2000"))
    report = desk.close()
    assert told(report) == [(1, OrderStatus.CANCELED, 0, "removed by the ledger with 1000 XRP unfilled")]
    assert [one.base_drops for one in report.fills] == [1_000_000_000]
    assert desk.agrees()


# --- what is in flight ------------------------------------------------------------------------------------


def test_a_transaction_never_seen_lapses_at_its_last_ledger_and_fails_only_by_proof() -> None:
    desk = Desk(market_network())
    sent = desk.place(1, ask(), submit=False, last=2)
    assert desk.close().lapsed == ()
    last = desk.close()
    assert last.lapsed == (sent,)
    assert last.order_updates == ()
    assert prove(desk.source, last.lapsed, last.ledger_index) == ((), ())  # no ledger is behind it yet
    after = desk.close()
    assert after.lapsed == (sent,)
    dead, landed = prove(desk.source, after.lapsed, after.ledger_index)
    assert (dead, landed) == ((sent,), ())
    (update,) = desk.account.failed(sent.prepared.tx_hash)
    assert (update.order_id, update.status, update.reason) == (1, OrderStatus.REJECTED, "tefMAX_LEDGER")
    assert desk.close().lapsed == ()
    assert desk.account.failed(sent.prepared.tx_hash) == ()


def test_a_cancel_or_replace_that_lapsed_leaves_its_order_standing() -> None:
    desk = Desk(market_network())
    desk.place(1, ask())
    desk.close()
    cancel = desk.cancel(1, submit=False)
    new = desk.place(2, ask(1_000_000, "5"), replaces=1, submit=False)
    standing = (1, OrderStatus.OPEN, 1_000_000, "tefMAX_LEDGER")
    updates = desk.account.failed(cancel.prepared.tx_hash) + desk.account.failed(new.prepared.tx_hash)
    assert [(o.order_id, o.status, o.remaining_base_drops, o.reason) for o in updates] == [
        standing,
        (2, OrderStatus.REJECTED, 0, "tefMAX_LEDGER"),
        standing,
    ]


def test_a_transaction_that_landed_in_a_ledger_not_seen_is_found_by_its_proof() -> None:
    desk = Desk(market_network())
    sent = desk.place(1, ask(), last=1)
    unseen = closed_update(desk.network)
    desk.book.advance(unseen)
    report = desk.read(closed_update(desk.network))
    assert report.lapsed == (sent,)
    assert only(report, FindingKind.LEDGER_GAP).first_ledger == unseen.ledger_index
    dead, landed = prove(desk.source, report.lapsed, report.ledger_index)
    assert dead == ()
    late = desk.account.back_fill(landed, unseen.ledger_index, unseen.ledger_index)
    assert told(late) == [(1, OrderStatus.OPEN, 1_000_000, None)]
    assert (late.lapsed, late.findings) == ((), ())
    assert desk.agrees()


def test_a_fill_seen_before_its_order_was_seen_to_be_placed_belongs_to_it() -> None:
    desk = Desk(market_network())
    desk.place(1, ask(1_000_000, "3"))
    unseen = closed_update(desk.network)
    desk.book.advance(unseen)
    send(desk.network, "taker", **bid(1_000_000, "3.1"))
    report = desk.close()
    assert [one.order_id for one in report.fills] == [1]
    assert told(report) == [(1, OrderStatus.FILLED, 0, None)]
    assert kinds(report) == [FindingKind.LEDGER_GAP]
    late = desk.account.back_fill((unseen,), unseen.ledger_index, unseen.ledger_index)
    assert (late.order_updates, late.fills, late.findings) == ((), (), ())
    assert len(late.transactions) == 1
    assert desk.agrees()


# --- what is none of ours ---------------------------------------------------------------------------------


def test_an_order_sent_with_our_key_by_somebody_else_is_an_orphan_with_its_fills() -> None:
    desk = Desk(market_network())
    send(desk.network, "we", **ask(1_000_000, "3"))
    report = desk.close()
    assert kinds(report) == [FindingKind.STRANGE_TRANSACTION, FindingKind.ORPHAN_OFFER]
    assert only(report, FindingKind.STRANGE_TRANSACTION).fee_drops == 10
    (offer,) = desk.account.unknown_offers
    assert only(report, FindingKind.ORPHAN_OFFER).offer_sequence == offer.offer_sequence
    send(desk.network, "taker", **bid(400_000, "1.3"))
    traded = desk.close()
    found = only(traded, FindingKind.ORPHAN_FILL)
    assert (found.base_drops, found.quote) == (-400_000, Decimal("1.2"))
    assert traded.fills == ()
    assert desk.agrees()


def test_an_adopted_offer_is_an_order_like_any_other() -> None:
    desk = Desk(market_network())
    send(desk.network, "we", **ask(1_000_000, "3"))
    desk.close()
    (offer,) = desk.account.unknown_offers
    order = KnownOrder(
        order_id=7, offer_sequence=offer.offer_sequence, base_drops=offer.base_drops, quote=offer.quote
    )
    desk.account.adopt(order)
    assert desk.account.unknown_offers == ()
    send(desk.network, "taker", **bid(1_000_000, "3.1"))
    report = desk.close()
    assert told(report) == [(7, OrderStatus.FILLED, 0, None)]
    assert [one.order_id for one in report.fills] == [7]
    with pytest.raises(InvariantViolation, match="does not stand or is taken"):
        desk.account.adopt(order)


def test_a_stranger_who_used_the_number_of_our_order_gets_no_fill_of_ours() -> None:
    desk = Desk(market_network())
    sent = desk.place(1, ask(1_000_000, "3"), submit=False)
    other = send(desk.network, "we", **ask(1_000_000, "2.9"))
    assert other["tx_json"]["Sequence"] == sent.prepared.account_sequence
    desk.close()
    send(desk.network, "taker", **bid(1_000_000, "3"))
    report = desk.close()
    assert report.fills == ()
    assert kinds(report) == [FindingKind.ORPHAN_FILL]


@pytest.mark.parametrize(
    ("amount", "moved"), [("5000000", (5_000_000, Decimal(0))), (rlusd("7.5"), (0, Decimal("7.5")))]
)
def test_a_payment_in_and_out_is_found_with_its_amount(amount: Any, moved: tuple[int, Decimal]) -> None:
    desk = Desk(market_network())
    send(desk.network, "taker", TransactionType="Payment", Destination=address_of("we"), Amount=amount)
    came = only(desk.close(), FindingKind.PAID_IN)
    assert (came.base_drops, came.quote) == moved
    send(desk.network, "we", TransactionType="Payment", Destination=address_of("taker"), Amount=amount)
    left = only(desk.close(), FindingKind.PAID_OUT)
    assert (left.base_drops, left.quote) == (-moved[0], -moved[1])
    assert desk.agrees()


def test_a_clawback_is_found_with_what_it_took() -> None:
    desk = Desk(market_network())
    amount = {**rlusd("250"), "issuer": address_of("we")}
    assert (
        issuer_sends(desk.network, TransactionType="Clawback", Amount=amount)["engine_result"] == "tesSUCCESS"
    )
    report = desk.close()
    assert kinds(report) == [FindingKind.CLAWBACK]
    assert report.findings[0].quote == Decimal(-250)
    assert report.account.quote_balance == Decimal(750)
    assert desk.agrees()


def test_a_freeze_of_our_line_and_of_the_token_is_found_when_it_comes_and_when_it_goes() -> None:
    desk = Desk(market_network())
    line = {"TransactionType": "TrustSet", "LimitAmount": {**rlusd("0"), "issuer": address_of("we")}}
    found = []
    for fields in (
        {**line, "Flags": TF_FREEZE},
        {**line, "Flags": TF_CLEAR_FREEZE},
        {"TransactionType": "AccountSet", "SetFlag": 7},
        {"TransactionType": "AccountSet", "ClearFlag": 7},
    ):
        issuer_sends(desk.network, **fields)
        report = desk.close()
        found += [(one.kind, one.active, bool(one.tx_hash)) for one in report.findings]
        assert desk.agrees()
    freeze = FindingKind.FREEZE
    assert found == [
        (freeze, True, True),
        (freeze, False, True),
        (freeze, True, False),
        (freeze, False, False),
    ]


def test_a_change_of_our_trust_line_and_its_end_are_found() -> None:
    desk = Desk(market_network())
    send(desk.network, "we", TransactionType="TrustSet", LimitAmount=rlusd("5"))
    assert only(desk.close(), FindingKind.TRUST_LINE).active
    payment: Json = {"TransactionType": "Payment", "Destination": ISSUER_ACCOUNT, "Amount": rlusd("1000")}
    send(desk.network, "we", **payment)
    desk.close()
    send(desk.network, "we", TransactionType="TrustSet", LimitAmount=rlusd("0"), Flags=TF_NO_RIPPLE)
    report = desk.close()
    assert not only(report, FindingKind.TRUST_LINE).active
    assert report.account.quote_balance == 0
    assert desk.agrees()


def test_a_deposit_to_a_pool_is_found_and_is_no_trade() -> None:
    desk = Desk(market_network())
    create: Json = {"Amount": "10000000", "Amount2": rlusd("30"), "TradingFee": 500, "Fee": "200000"}
    assert send(desk.network, "we", TransactionType="AMMCreate", **create)["engine_result"] == "tesSUCCESS"
    report = desk.close()
    pool = only(report, FindingKind.POOL)
    assert (pool.base_drops, pool.quote) == (-10_000_000, Decimal(-30))
    assert report.fills == ()
    assert desk.agrees()


def test_money_that_a_transaction_moved_in_another_book_is_unexplained() -> None:
    desk = Desk(market_network())
    other = {"currency": "USD", "issuer": address_of("taker")}
    send(desk.network, "we", TransactionType="TrustSet", LimitAmount={**other, "value": "100"})
    sells: Json = {"TakerGets": {**other, "value": "5"}, "TakerPays": "2000000"}
    send(desk.network, "taker", TransactionType="OfferCreate", **sells)
    desk.close()
    buys: Json = {"TakerGets": "2000000", "TakerPays": {**other, "value": "5"}}
    send(desk.network, "we", TransactionType="OfferCreate", **buys)
    report = desk.close()
    found = only(report, FindingKind.UNEXPLAINED)
    assert (found.base_drops, found.quote) == (-2_000_000, Decimal(0))
    assert desk.agrees()


def test_more_than_a_transaction_says_is_unexplained() -> None:
    desk = Desk(market_network())

    def read(*asked: Any) -> AccountEvents | None:
        events = account_events(*asked)
        return None if events is None else replace(events, unexplained_drops=3, unexplained=True)

    desk.account = LiveAccount(desk.source.snapshot(), read)
    desk.place(1, ask())
    assert only(desk.close(), FindingKind.UNEXPLAINED).base_drops == 3


def test_dust_and_rounding_without_a_fill_are_found_with_their_amounts() -> None:
    desk = Desk(market_network())

    def read(*asked: Any) -> AccountEvents | None:
        events = account_events(*asked)
        return None if events is None else replace(events, dust_base_drops=1, rounding=Decimal("1E-13"))

    desk.account = LiveAccount(desk.source.snapshot(), read)
    desk.place(1, ask())
    found = only(desk.close(), FindingKind.DUST)
    assert (found.base_drops, found.quote) == (1, Decimal("1E-13"))


def test_an_order_of_the_core_is_known_by_its_size_and_number() -> None:
    order = as_order(4, Side.BUY, 2_000_000, Decimal(6), OrderStatus.OPEN)
    assert known_order(order) == KnownOrder(
        order_id=4, offer_sequence=4, base_drops=2_000_000, quote=Decimal(6)
    )


def test_a_missed_transaction_breaks_the_chain_and_its_ledgers_are_named() -> None:
    desk = Desk(market_network())
    known = desk.account.ledger_index
    send(desk.network, "taker", TransactionType="Payment", Destination=address_of("we"), Amount="5000000")
    whole = closed_update(desk.network)
    quiet = desk.read(replace(whole, transactions=()))
    assert quiet.findings == ()
    desk.place(1, ask())
    report = desk.close()
    broken = only(report, FindingKind.CHAIN_BREAK)
    assert (broken.first_ledger, broken.last_ledger) == (known + 1, known + 2)
    history = desk.source.history(broken.first_ledger, broken.last_ledger)
    late = desk.account.back_fill(history, broken.first_ledger, broken.last_ledger)
    assert kinds(late) == [FindingKind.PAID_IN]
    assert late.account == report.account
    assert desk.agrees()


def test_a_missed_transaction_that_stays_unknown_leaves_the_money_unexplained() -> None:
    desk = Desk(market_network())
    send(desk.network, "taker", TransactionType="Payment", Destination=address_of("we"), Amount="5000000")
    desk.read(replace(closed_update(desk.network), transactions=()))
    desk.place(1, ask())
    broken = only(desk.close(), FindingKind.CHAIN_BREAK)
    late = desk.account.back_fill((), broken.first_ledger, broken.last_ledger)
    found = only(late, FindingKind.UNEXPLAINED)
    assert (found.base_drops, found.quote) == (5_000_000, Decimal(0))
    assert desk.close().findings == ()


def test_a_ledger_not_whole_is_read_again_when_it_is() -> None:
    desk = Desk(market_network())
    desk.place(1, ask())
    whole = closed_update(desk.network)
    cut = desk.read(replace(whole, transactions=(), incomplete=True))
    gap = only(cut, FindingKind.LEDGER_GAP)
    assert (gap.first_ledger, gap.last_ledger) == (whole.ledger_index, whole.ledger_index)
    assert list(desk.account.missing_ledgers) == [whole.ledger_index]
    late = desk.account.advance(whole, desk.book)
    assert told(late) == [(1, OrderStatus.OPEN, 1_000_000, None)]
    assert list(desk.account.missing_ledgers) == []
    assert desk.agrees()


def test_an_offer_that_changes_and_was_never_seen_breaks_the_chain() -> None:
    desk = Desk(market_network())
    send(desk.network, "we", **ask(1_000_000, "3"))
    desk.read(replace(closed_update(desk.network), transactions=()))
    send(desk.network, "taker", **bid(400_000, "1.3"))
    broken = only(desk.close(), FindingKind.CHAIN_BREAK)
    history = desk.source.history(broken.first_ledger, broken.last_ledger)
    late = desk.account.back_fill(history, broken.first_ledger, broken.last_ledger)
    assert kinds(late) == [FindingKind.STRANGE_TRANSACTION, FindingKind.ORPHAN_OFFER]
    assert desk.agrees()


def test_a_server_that_says_something_else_of_the_same_ledger_is_contradicted_with_numbers() -> None:
    desk = Desk(market_network())
    desk.place(1, ask(1_000_000, "3"))
    desk.close()
    snapshot = desk.source.snapshot()
    wrong = replace(snapshot, balance_drops=snapshot.balance_drops + 1, offers=())
    texts = [one.detail for one in desk.account.check(wrong)]
    assert texts[0] == "drops: 999000000 on the ledger, 998999999 followed".replace(
        "999000000", str(snapshot.balance_drops + 1)
    ).replace("998999999", str(snapshot.balance_drops))
    assert len(texts) == 2
    with pytest.raises(InvariantViolation, match="says nothing of ledger"):
        desk.account.check(replace(snapshot, ledger_index=7))


# --- order and memory -------------------------------------------------------------------------------------


def test_a_ledger_twice_changes_nothing() -> None:
    desk = Desk(market_network())
    desk.place(1, ask(1_000_000, "3"))
    update = closed_update(desk.network)
    first = desk.read(update)
    again = desk.account.advance(update, desk.book)
    late = desk.account.back_fill((update, update), update.ledger_index, update.ledger_index)
    assert len(first.order_updates) == 1
    for report in (again, late):
        assert (report.fills, report.order_updates, report.transactions, report.findings) == ((), (), (), ())
        assert report.account == first.account


def test_a_book_that_has_not_read_the_ledger_is_refused() -> None:
    desk = Desk(market_network())
    with pytest.raises(InvariantViolation, match="the book stands at ledger"):
        desk.account.advance(closed_update(desk.network), desk.book)


def test_an_order_nobody_described_is_refused_before_it_is_sent() -> None:
    desk = Desk(market_network())
    sent = desk.place(1, ask(), submit=False)
    stranger = replace(sent, prepared=replace(sent.prepared, order_id=9))
    with pytest.raises(InvariantViolation, match="order 9 is not known"):
        desk.account.expect(stranger)


def test_what_is_too_long_ago_is_forgotten_and_cannot_be_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_account, "REMEMBERED_LEDGERS", 4)
    desk = Desk(market_network())
    first = desk.account.ledger_index + 1
    for number in range(1, 8):
        desk.place(number, ask(1_000_000, "3"), replaces=number - 1 if number > 1 else None)
        assert desk.close().findings == ()
    with pytest.raises(InvariantViolation, match="begin with a new snapshot"):
        desk.account.back_fill((), first, first)
    assert desk.agrees()


# --- the core takes it as it is ---------------------------------------------------------------------------


def as_order(order_id: int, side: Side, base_drops: int, quote: Decimal, status: OrderStatus) -> Order:
    """An order of the core with a number and a size, and nothing of it traded."""
    return Order(
        order_id=order_id,
        slot=f"slot-{order_id}",
        side=side,
        price=quote * 1_000_000 / base_drops,
        base_drops=base_drops,
        quote=quote,
        remaining_base_drops=base_drops,
        remaining_quote=quote,
        status=status,
        expiration=None,
        offer_sequence=order_id if status is OrderStatus.OPEN else None,
        tx_hash=None,
        last_ledger_sequence=None,
        created_ledger=0,
        failure_reason=None,
        filled_base_drops=0,
        filled_quote=Decimal(0),
        result_code=None,
        cancel_sent_ledger=None,
        closed_ledger=None,
    )


@pytest.mark.parametrize("who", ["maker1", "maker2", "maker4"])
@pytest.mark.parametrize("name", ["calm", "hostile"])
def test_the_cores_order_tracker_follows_the_reports_without_a_fault(name: str, who: str) -> None:
    start, updates = recorded(name)
    play = Play(start, start.accounts[who])
    opening = [
        as_order(one.offer_sequence, one.side, one.base_drops, one.quote, OrderStatus.OPEN)
        for one in play.account.offers
    ]
    orders = tracking.orders_of(opening)
    for update in updates:
        own = [tx for tx in update.transactions if tx.account == play.account.address]
        for tx in own:
            sent, known = sent_as(tx, update.ledger_index)
            prepared = sent.prepared
            if known is not None and tx.taker is not None:
                new = as_order(
                    known.order_id, tx.taker.side, known.base_drops, known.quote, OrderStatus.PENDING_SUBMIT
                )
                orders = tracking.with_new(orders, [new])
            if {prepared.order_id, prepared.replaces} & {one.order_id for one in orders}:
                gone = prepared.replaces not in {one.order_id for one in orders}
                prepared = replace(prepared, replaces=None) if gone else prepared
                orders = tracking.prepared(orders, [prepared], update.ledger_index - 1).orders
                answer = SubmitOutcome(
                    tx_hash=prepared.tx_hash,
                    order_id=prepared.order_id,
                    outcome=SubmitClass.ACCEPTED,
                    code="tesSUCCESS",
                )
                orders = tracking.submitted(orders, [answer]).orders
        report = play.step(update)
        tracked = tracking.apply(orders, report.order_updates, report.fills, report.transactions)
        assert tracked.faults == ()
        orders = tracked.orders
        standing = {one.offer_sequence: one.base_drops for one in report.account.offers}
        assert {one.offer_sequence: one.remaining_base_drops for one in orders} == standing
