"""The live exchange on a network in process: what is sent, what is missed, what is read again."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from neo_engine.domain.account_findings import FindingKind
from neo_engine.domain.account_snapshot import AccountSnapshot, TransactionLookup
from neo_engine.domain.book import BookTracker
from neo_engine.domain.capital import CapitalKind
from neo_engine.domain.errors import FeedError
from neo_engine.domain.headroom import WHOLE
from neo_engine.domain.ledger import LedgerUpdate
from neo_engine.domain.market import DataFault
from neo_engine.domain.orders import (
    Command,
    OrderStatus,
    PreparedTransaction,
    SubmitClass,
    SubmitOutcome,
    TransactionKind,
)
from neo_engine.execution.fees import Fees
from neo_engine.execution.live import LiveExchange, LiveTerms, News
from neo_engine.execution.live_account import LiveAccount
from neo_engine.execution.sequences import Sequences
from neo_engine.execution.submission import Submitter
from neo_engine.execution.transactions import Terms
from neo_engine.live_session import asker, rehearser
from neo_engine.ports import VenueReport
from neo_engine.simulator.server.signing import blob_hash, encode, sign
from neo_engine.xrpl.account_reader import AccountReader
from neo_engine.xrpl.metadata import account_events
from tests.unit.core_values import capital
from tests.unit.live_fixture import (
    CODEC,
    PAIR,
    NetworkServer,
    bid,
    closed_update,
    market_network,
    network_state,
)
from tests.unit.network_fixture import address_of, seed_of, send
from tests.unit.submission_fixture import cancel, place

WE = "we"
SOON = 40  # seconds until an offer expires: some ledgers


class Hand:
    """Signs as `we`."""

    def sign(self, tx: dict[str, Any]) -> tuple[str, str]:
        signed = sign(dict(tx), seed_of(WE))
        blob = encode(signed)
        return blob, blob_hash(blob)


class Patchy:
    """The account's reader, that can be out of reach."""

    def __init__(self, reader: AccountReader) -> None:
        self._reader = reader
        self.away = False

    def _there(self) -> AccountReader:
        if self.away:
            raise FeedError("out of reach")
        return self._reader

    def snapshot(self, ledger_index: int | None = None) -> AccountSnapshot:
        return self._there().snapshot(ledger_index)

    def look_up(self, tx_hash: str, first_ledger: int, last_ledger: int) -> TransactionLookup:
        return self._there().look_up(tx_hash, first_ledger, last_ledger)

    def history(self, first_ledger: int, last_ledger: int) -> tuple[LedgerUpdate, ...]:
        return self._there().history(first_ledger, last_ledger)


class Desk:
    """We on a network, with the exchange between."""

    def __init__(self, *, tickets: int = 0, check_ledgers: int = 1_000, dry: bool = False) -> None:
        self.network = market_network()
        self.server = NetworkServer(self.network)
        self.source = Patchy(AccountReader(self.server, CODEC, address_of(WE)))
        self.book = BookTracker(network_state(self.network))
        self.account = LiveAccount(self.source.snapshot(), account_events)
        fees = Fees(max_fee_drops=5_000)
        fees.ledger(fee_base_drops=10, close_time=self.book.close_time)
        self.submitter = Submitter(
            ask=asker(self.server),
            signer=Hand(),
            terms=Terms(
                account=address_of(WE),
                quote=PAIR.quote,
                source_tag=7,
                network_id=0,
                last_ledger_offset=4,
            ),
            numbers=Sequences(self.account.view().account_sequence),
            fees=fees,
        )
        self.answers: Decimal = WHOLE
        self.exchange = LiveExchange(
            book=self.book,
            account=self.account,
            submitter=self.submitter,
            source=self.source,
            terms=LiveTerms(depth_levels=5, tickets=tickets, check_ledgers=check_ledgers),
            first=News(),
            requests=lambda: self.answers,
            rehearse=rehearser(self.server) if dry else None,
        )

    @property
    def index(self) -> int:
        return self.network.chain.header.ledger_index

    @property
    def close_time(self) -> int:
        return self.network.chain.header.close_time

    def prepare(self, *commands: Command, urgent: bool = False) -> tuple[PreparedTransaction, ...]:
        return self.exchange.prepare(commands, self.index, urgent=urgent)

    def go(self, *commands: Command, urgent: bool = False) -> tuple[SubmitOutcome, ...]:
        return self.exchange.submit(self.prepare(*commands, urgent=urgent))

    def ledger(self) -> VenueReport:
        return self.exchange.advance(closed_update(self.network))

    def missed(self) -> None:
        """Close a ledger that the exchange does not see."""
        closed_update(self.network)

    def take(self, drops: int, value: str) -> None:
        """Have the taker buy XRP."""
        send(self.network, "taker", **bid(drops, value))


@pytest.fixture
def desk() -> Desk:
    return Desk()


def statuses(report: VenueReport) -> list[tuple[int, OrderStatus]]:
    return [(one.order_id, one.status) for one in report.order_updates]


def kinds(report: VenueReport) -> list[FindingKind]:
    return [one.kind for one in report.findings]


def test_an_order_is_sent_stands_is_filled_and_the_balances_are_the_ledgers(desk: Desk) -> None:
    sent = desk.go(place(1, drops=10_000_000, quote="20"))
    assert [one.outcome for one in sent] == [SubmitClass.ACCEPTED]
    first = desk.ledger()
    assert statuses(first) == [(1, OrderStatus.OPEN)]
    assert [(one.kind, one.result, one.fee_drops) for one in first.transactions] == [
        (TransactionKind.CREATE, "tesSUCCESS", 10)
    ]
    desk.take(4_000_000, "8")
    second = desk.ledger()
    assert [(one.order_id, one.base_drops, str(one.quote)) for one in second.fills] == [(1, 4_000_000, "8")]
    assert statuses(second) == [(1, OrderStatus.PARTIALLY_FILLED)]
    told = desk.server.request("account_info", account=address_of(WE), ledger_index="validated")
    assert second.account.balance_drops == int(told["account_data"]["Balance"])


def test_our_own_offers_are_not_in_the_market(desk: Desk) -> None:
    desk.go(place(1, drops=10_000_000, quote="20"))
    report = desk.ledger()
    assert [one.offer_sequence for one in report.account.offers]
    assert report.snapshot.asks == ()


def test_a_fill_in_a_ledger_that_was_missed_is_read_again_with_the_next(desk: Desk) -> None:
    desk.go(place(1, drops=10_000_000, quote="20"))
    desk.ledger()
    desk.take(4_000_000, "8")
    desk.missed()
    report = desk.ledger()
    assert [(one.order_id, one.base_drops) for one in report.fills] == [(1, 4_000_000)]
    assert FindingKind.LEDGER_GAP in kinds(report)
    assert FindingKind.UNEXPLAINED not in kinds(report)


def test_while_it_cannot_be_read_again_the_market_is_not_trusted(desk: Desk) -> None:
    desk.go(place(1, drops=10_000_000, quote="20"))
    desk.ledger()
    desk.take(4_000_000, "8")
    desk.missed()
    desk.source.away = True
    blind = desk.ledger()
    assert blind.fills == ()
    assert DataFault.GAP in blind.snapshot.faults
    desk.source.away = False
    seeing = desk.ledger()
    assert [one.base_drops for one in seeing.fills] == [4_000_000]
    assert DataFault.GAP not in seeing.snapshot.faults or not desk.book.trusted


def test_an_order_that_never_got_into_a_ledger_is_refused_only_after_its_last_ledger(desk: Desk) -> None:
    prepared = desk.prepare(place(1))  # on disk, but the process never comes to send it
    for _ in range(4):
        assert desk.ledger().order_updates == ()
    report = desk.ledger()
    assert statuses(report) == [(1, OrderStatus.REJECTED)]
    again = desk.prepare(place(2))
    assert again[0].account_sequence == prepared[0].account_sequence  # the number is used again


def test_an_expired_offer_is_cleared_from_the_ledger_without_an_order(desk: Desk) -> None:
    desk.go(place(1, expiration=desk.close_time + SOON))
    desk.ledger()
    owners = desk.account.view().owner_count
    while desk.account.expired_offers == ():
        desk.ledger()
    cleared = desk.prepare()
    assert [(one.kind, one.order_id) for one in cleared] == [(TransactionKind.UPKEEP, 0)]
    assert desk.exchange.submit(cleared) == ()
    assert desk.prepare() == ()  # one cancel is enough
    report = desk.ledger()
    assert [one.kind for one in report.transactions] == [TransactionKind.UPKEEP]
    assert report.account.owner_count == owners - 1


@pytest.mark.parametrize(("urgent", "made"), [(False, [3]), (True, [])])
def test_tickets_are_made_ready_unless_the_session_is_ending(urgent: bool, made: list[int]) -> None:
    desk = Desk(tickets=3)
    prepared = desk.prepare(urgent=urgent)
    assert [one.tickets for one in prepared] == made
    desk.exchange.submit(prepared)
    desk.ledger()
    assert len(desk.account.tickets) == sum(made)


def test_an_urgent_cancel_bears_a_ticket_and_waits_for_no_sequence() -> None:
    desk = Desk(tickets=2)
    desk.go()
    desk.go(place(1))
    desk.ledger()
    sequence = desk.account.offers[0].offer_sequence
    (sent,) = desk.prepare(cancel(1, sequence), urgent=True)
    assert sent.ticketed
    desk.exchange.submit((sent,))
    assert statuses(desk.ledger()) == [(1, OrderStatus.CANCELED)]
    assert desk.account.offers == ()


def test_a_difference_to_the_servers_own_lists_is_a_finding() -> None:
    desk = Desk(check_ledgers=2)
    desk.ledger()
    assert FindingKind.DIFFERENCE not in kinds(desk.ledger())
    real = desk.source.snapshot

    def other(ledger_index: int | None = None) -> AccountSnapshot:
        told = real(ledger_index)
        return AccountSnapshot(**{**_fields(told), "balance_drops": told.balance_drops - 1})

    desk.source.snapshot = other  # type: ignore[method-assign]
    desk.ledger()
    assert FindingKind.DIFFERENCE in kinds(desk.ledger())


def comparisons(desk: Desk) -> list[int | None]:
    """A list that gets the ledger of each comparison with the server's own lists."""
    asked: list[int | None] = []
    real = desk.source.snapshot

    def counted(ledger_index: int | None = None) -> AccountSnapshot:
        asked.append(ledger_index)
        return real(ledger_index)

    desk.source.snapshot = counted  # type: ignore[method-assign]
    return asked


def test_a_comparison_that_got_no_answer_is_not_asked_for_with_every_ledger() -> None:
    desk = Desk(check_ledgers=20)
    asked = comparisons(desk)
    begin = desk.index
    desk.source.away = True
    for _ in range(20 + 9):
        desk.ledger()
    assert asked == [begin + 20, begin + 28]
    desk.source.away = False
    for _ in range(7 + 20):
        desk.ledger()
    assert asked[2:] == [begin + 36, begin + 56]


@pytest.mark.parametrize(("left", "asked_after"), [("20", [20, 40]), ("19.99", [40])])
def test_a_comparison_leaves_the_last_fifth_of_requests_to_orders_but_not_for_ever(
    left: str, asked_after: list[int]
) -> None:
    desk = Desk(check_ledgers=20)
    asked = comparisons(desk)
    begin = desk.index
    desk.answers = Decimal(left)
    for _ in range(20 + 20):
        desk.ledger()
    assert asked == [begin + ledgers for ledgers in asked_after]


def test_a_comparison_that_was_put_off_is_made_as_soon_as_there_is_room() -> None:
    desk = Desk(check_ledgers=20)
    asked = comparisons(desk)
    begin = desk.index
    desk.answers = Decimal(5)
    for _ in range(24):
        desk.ledger()
    desk.answers = Decimal(20)
    for _ in range(3):
        desk.ledger()
    assert asked == [begin + 26]  # what the servers answer is told after ledger 25, for the next one


def _fields(value: AccountSnapshot) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__struct_fields__}


def test_a_transaction_of_another_program_is_told_with_its_fee_and_stops_the_sending(desk: Desk) -> None:
    send(desk.network, WE, TransactionType="AccountSet")
    report = desk.ledger()
    assert FindingKind.STRANGE_TRANSACTION in kinds(report)
    assert FindingKind.CANNOT_SEND in kinds(report)
    assert FindingKind.CANNOT_SEND not in kinds(desk.ledger())  # said once


def test_money_that_comes_from_outside_is_told_to_the_drop(desk: Desk) -> None:
    send(desk.network, "taker", TransactionType="Payment", Destination=address_of(WE), Amount="2500000")
    report = desk.ledger()
    assert [(one.kind, one.base_drops) for one in report.findings] == [(FindingKind.PAID_IN, 2_500_000)]


def test_in_a_dry_run_nothing_is_sent_and_no_number_is_used() -> None:
    desk = Desk(tickets=2, dry=True)
    first = desk.prepare(place(1, drops=1_000_000, quote="3"), place(2, drops=1_000_000, quote="4"))
    outcomes = desk.exchange.submit(first)
    assert [(one.outcome, one.code) for one in outcomes] == [
        (SubmitClass.REJECTED, "dry run: tesSUCCESS"),
        (SubmitClass.REJECTED, "dry run: tesSUCCESS"),
    ]
    assert [command for command, _ in desk.server.asked if command == "submit"] == []
    assert desk.ledger().account.offers == ()
    second = desk.prepare(place(3))
    assert second[0].account_sequence == first[0].account_sequence


def test_a_live_account_moves_no_money_for_the_overlay(desk: Desk) -> None:
    assert desk.exchange.transfer(capital(CapitalKind.DEPOSIT, drops=1)) is not None


def test_what_still_works_at_the_end_is_left_to_the_ledger(desk: Desk) -> None:
    desk.go(place(1))
    desk.ledger()
    assert desk.exchange.end_of_market() == ()
    assert len(desk.account.offers) == 1


# what is left for us


def test_ten_transactions_that_no_ledger_has_leave_no_queue_slot_until_they_can_never_come(
    desk: Desk,
) -> None:
    assert desk.ledger().headroom.slots == 100
    desk.prepare(*(place(number, drops=1_000_000, quote="3") for number in range(1, 11)))
    left = [desk.ledger().headroom.slots for _ in range(5)]
    assert left == [0, 0, 0, 0, 100]  # the fifth ledger is behind their last one


def test_what_the_next_ledger_takes_holds_no_slot_and_its_fees_count_against_the_day(desk: Desk) -> None:
    desk.go(*(place(number, drops=1_000_000, quote="3") for number in range(1, 11)))
    headroom = desk.ledger().headroom
    assert (headroom.requests, headroom.slots) == (100, 100)
    assert headroom.fees == Decimal("99.998")  # 10 x 10 drops of 5,000,000


def test_what_the_servers_still_answer_is_asked_for_with_every_ledger(desk: Desk) -> None:
    desk.answers = Decimal("12.5")
    assert desk.ledger().headroom.requests == Decimal("12.5")
    desk.answers = WHOLE
    assert desk.ledger().headroom.least == 100
