"""What became of orders that a dead session left open: every point at which it can die, and what is asked."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from neo_engine.domain.account_findings import FindingKind
from neo_engine.domain.account_snapshot import TransactionLookup
from neo_engine.domain.errors import StartupFailure
from neo_engine.domain.orders import OrderStatus
from neo_engine.execution.live_account import LiveAccount
from neo_engine.execution.live_events import InFlight, KnownOrder
from neo_engine.execution.recovery import Left, Recovery, free_sequence, recover
from neo_engine.simulator.server.network import Network
from neo_engine.xrpl.account_reader import AccountReader
from neo_engine.xrpl.history import HistoryError
from neo_engine.xrpl.metadata import account_events
from neo_engine.xrpl.server import RequestRefused
from tests.unit.live_fixture import CODEC, Desk, NetworkServer, bid, market_network
from tests.unit.network_fixture import address_of, ask, send

Json = dict[str, Any]
TF_KILL = 0x00040000


def told(found: Recovery) -> list[tuple[int, OrderStatus, int, str | None]]:
    return [(one.order_id, one.status, one.remaining_base_drops, one.reason) for one in found.order_updates]


class Crash:
    """A session that dies: what its database would hold, and the restart."""

    def __init__(self) -> None:
        self.desk = Desk(market_network())
        self.last_ledger = self.desk.account.ledger_index
        self.left: dict[int, KnownOrder] = {}
        self.sent: list[InFlight] = []

    def intend(self, order_id: int, fields: Json, **more: Any) -> InFlight:
        """Sign an order and store the intent; nothing is sent."""
        sent = self.desk.place(order_id, fields, submit=False, **more)
        self.left[order_id] = self.desk.orders[order_id]
        self.sent.append(sent)
        return sent

    def seen(self, order_id: int, fields: Json) -> None:
        """Place an order and store everything about it, its outcome included."""
        self.desk.place(order_id, fields)
        self.desk.close()
        self.left[order_id] = self.desk.orders[order_id]
        self.last_ledger = self.desk.account.ledger_index

    def ledgers(self, count: int = 1) -> None:
        """Let ledgers close that the dead session does not see."""
        for _ in range(count):
            self.desk.network.close()

    def restart(self) -> tuple[Recovery, LiveAccount]:
        """Ask the server what became of it, and check that no request changes anything."""
        server = NetworkServer(self.desk.network)
        source = AccountReader(server, CODEC, address_of("we"))
        left = Left(
            orders=tuple(self.left.values()), in_flight=tuple(self.sent), last_ledger=self.last_ledger
        )
        result = recover(source, left, account_events)
        asked = {command for command, _ in server.asked}
        assert asked <= {"account_info", "account_objects", "account_tx", "ledger", "tx"}
        return result


def test_a_server_that_is_behind_the_database_is_not_believed() -> None:
    crash = Crash()
    crash.seen(1, ask())
    crash.last_ledger += 1
    with pytest.raises(StartupFailure, match=f"ledger {crash.last_ledger} is in the database already"):
        crash.restart()
    crash.ledgers()
    found, _ = crash.restart()
    assert (found.ledger_index, found.unknown_offers, found.vanished) == (crash.last_ledger, (), ())


# --- every point at which a session can die -----------------------------------------------------------------


def test_died_before_anything_was_signed() -> None:
    crash = Crash()
    crash.left[1] = KnownOrder(order_id=1, offer_sequence=None, base_drops=1_000_000, quote=Decimal(3))
    found, _ = crash.restart()
    assert told(found) == [(1, OrderStatus.CANCELED, 0, "no transaction was signed for it")]
    assert (found.open, found.vanished, found.unknown_offers) == ((), (), ())


def test_died_between_intent_and_submit_and_the_last_ledger_has_not_passed() -> None:
    crash = Crash()
    sent = crash.intend(1, ask(), last=3)
    crash.ledgers(3)
    found, account = crash.restart()
    assert (told(found), found.open) == ([], (sent,))
    # Its number may still be used by it, so the next one is the one after.
    assert found.next_sequence == sent.prepared.account_sequence + 1
    assert account.in_flight == (sent,)


def test_died_between_intent_and_submit_and_the_last_ledger_has_passed() -> None:
    crash = Crash()
    sent = crash.intend(1, ask(), last=3)
    crash.ledgers(4)
    found, account = crash.restart()
    assert told(found) == [(1, OrderStatus.REJECTED, 0, "tefMAX_LEDGER")]
    assert (found.open, account.in_flight, found.transactions) == ((), (), ())
    assert found.next_sequence == sent.prepared.account_sequence


def test_died_after_the_submit_and_it_is_not_in_a_ledger_yet() -> None:
    crash = Crash()
    sent = crash.intend(1, ask())
    crash.desk.submit(sent)
    found, account = crash.restart()
    assert (told(found), found.open) == ([], (sent,))
    crash.desk.account = account
    report = crash.desk.close()
    assert [(one.order_id, one.status) for one in report.order_updates] == [(1, OrderStatus.OPEN)]
    assert (report.findings, report.lapsed) == ((), ())
    assert crash.desk.agrees()


def test_died_after_it_landed_and_before_its_outcome_was_stored() -> None:
    crash = Crash()
    sent = crash.intend(1, ask())
    crash.desk.submit(sent)
    crash.ledgers(1)
    found, _ = crash.restart()
    assert told(found) == [(1, OrderStatus.OPEN, 1_000_000, None)]
    (outcome,) = found.transactions
    assert (outcome.result, outcome.ledger_index) == ("tesSUCCESS", crash.last_ledger + 1)
    assert (found.open, found.unknown_offers, found.vanished, found.findings) == ((), (), (), ())
    assert found.next_sequence == sent.prepared.account_sequence + 1


def test_died_after_it_landed_and_it_was_filled_meanwhile() -> None:
    crash = Crash()
    crash.desk.submit(crash.intend(1, ask(1_000_000, "3")))
    crash.ledgers(1)
    send(crash.desk.network, "taker", **bid(400_000, "1.3"))
    crash.ledgers(1)
    send(crash.desk.network, "taker", **bid(600_000, "2"))
    crash.ledgers(9)
    found, _ = crash.restart()
    assert told(found) == [
        (1, OrderStatus.OPEN, 1_000_000, None),
        (1, OrderStatus.PARTIALLY_FILLED, 600_000, None),
        (1, OrderStatus.FILLED, 0, None),
    ]
    assert [(one.order_id, one.base_drops, one.quote) for one in found.fills] == [
        (1, 400_000, Decimal("1.2")),
        (1, 600_000, Decimal("1.8")),
    ]
    assert found.view.quote_balance == Decimal("1003")
    assert (found.open, found.vanished) == ((), ())


def test_died_after_its_outcome_was_stored_and_the_order_still_stands() -> None:
    crash = Crash()
    crash.seen(1, ask())
    crash.ledgers(2)
    found, account = crash.restart()
    assert told(found) == [(1, OrderStatus.OPEN, 1_000_000, None)]
    assert (found.transactions, found.open, found.unknown_offers) == ((), (), ())
    crash.desk.account = account
    send(crash.desk.network, "taker", **bid(1_000_000, "3.1"))
    crash.desk.book = Desk(crash.desk.network).book
    report = crash.desk.close()
    assert [one.order_id for one in report.fills] == [1]


@pytest.mark.parametrize("landed", [False, True])
def test_died_while_a_replace_was_on_its_way(landed: bool) -> None:
    crash = Crash()
    crash.seen(1, ask(1_000_000, "3"))
    sent = crash.intend(2, ask(1_000_000, "4"), replaces=1)
    if landed:
        crash.desk.submit(sent)
    crash.ledgers(4)
    found, _ = crash.restart()
    if landed:
        assert told(found) == [
            (1, OrderStatus.CANCELED, 0, "replaced by order 2"),
            (2, OrderStatus.OPEN, 1_000_000, None),
        ]
    else:
        assert told(found) == [
            (2, OrderStatus.REJECTED, 0, "tefMAX_LEDGER"),
            (1, OrderStatus.OPEN, 1_000_000, "tefMAX_LEDGER"),
        ]
    assert (found.open, found.vanished, found.unknown_offers) == ((), (), ())


def test_died_while_a_replace_was_on_its_way_that_ended_in_a_tec() -> None:
    crash = Crash()
    crash.seen(1, ask(1_000_000, "3"))
    crash.desk.submit(crash.intend(2, ask(1_000_000, "4"), replaces=1, Flags=TF_KILL))
    crash.ledgers(1)
    found, _ = crash.restart()
    assert told(found) == [
        (2, OrderStatus.REJECTED, 0, "tecKILLED"),
        (1, OrderStatus.OPEN, 1_000_000, "tecKILLED"),
    ]
    assert [one.fee_drops for one in found.transactions] == [10]


@pytest.mark.parametrize("filled_first", [False, True])
def test_died_while_a_cancel_was_on_its_way(filled_first: bool) -> None:
    crash = Crash()
    crash.seen(1, ask(1_000_000, "3"))
    cancel = crash.desk.cancel(1, submit=False)
    crash.sent.append(cancel)
    if filled_first:
        send(crash.desk.network, "taker", **bid(1_000_000, "3.1"))
        crash.ledgers(1)
    crash.desk.submit(cancel)
    crash.ledgers(1)
    found, _ = crash.restart()
    end = (OrderStatus.FILLED, 0, None) if filled_first else (OrderStatus.CANCELED, 0, "canceled")
    assert told(found) == [(1, *end)]
    assert [one.result for one in found.transactions] == ["tesSUCCESS"]
    assert len(found.fills) == int(filled_first)


def test_an_open_cancel_leaves_its_order_unspoken_of() -> None:
    crash = Crash()
    crash.seen(1, ask())
    cancel = crash.desk.cancel(1, submit=False)
    crash.sent.append(cancel)
    crash.ledgers(1)
    found, _ = crash.restart()
    assert (told(found), found.open) == ([], (cancel,))


# --- what else is found -------------------------------------------------------------------------------------


def test_an_offer_of_no_order_is_listed_with_its_amounts() -> None:
    crash = Crash()
    crash.seen(1, ask(1_000_000, "3"))
    send(crash.desk.network, "we", **ask(2_000_000, "8"))
    crash.ledgers(1)
    found, _ = crash.restart()
    (offer,) = found.unknown_offers
    assert (offer.base_drops, offer.quote) == (2_000_000, Decimal(8))
    assert {one.kind for one in found.findings} == {FindingKind.STRANGE_TRANSACTION, FindingKind.ORPHAN_OFFER}


def test_an_order_whose_end_lies_before_what_was_read_has_vanished() -> None:
    crash = Crash()
    crash.seen(1, ask(1_000_000, "3"))
    crash.desk.cancel(1)
    crash.ledgers(1)
    crash.last_ledger = crash.desk.network.chain.header.ledger_index
    found, _ = crash.restart()
    assert (found.vanished, told(found)) == ((1,), [])


def test_money_that_came_meanwhile_is_found() -> None:
    crash = Crash()
    payment: Json = {"TransactionType": "Payment", "Destination": address_of("we"), "Amount": "7000000"}
    send(crash.desk.network, "taker", **payment)
    crash.ledgers(1)
    found, _ = crash.restart()
    assert [(one.kind, one.base_drops) for one in found.findings] == [(FindingKind.PAID_IN, 7_000_000)]


def test_a_transaction_in_a_ledger_said_to_be_processed_is_not_lost() -> None:
    crash = Crash()
    crash.desk.submit(crash.intend(1, ask(1_000_000, "3")))
    crash.ledgers(1)
    send(crash.desk.network, "taker", **bid(1_000_000, "3.1"))
    crash.ledgers(1)
    crash.last_ledger = crash.desk.network.chain.header.ledger_index
    found, _ = crash.restart()
    assert told(found)[-1] == (1, OrderStatus.FILLED, 0, None)
    assert len(found.fills) == 1


def test_every_page_is_read() -> None:
    crash = Crash()
    for number in range(1, 12):
        crash.seen(number, ask(1_000_000, str(3 + number)))
    server = NetworkServer(crash.desk.network)
    small = SmallPages(server)
    snapshot = AccountReader(small, CODEC, address_of("we")).snapshot()
    assert len(snapshot.offers) == 11
    assert small.pages == 2  # 11 offers and a trust line, ten entries a page
    assert snapshot == AccountReader(server, CODEC, address_of("we")).snapshot()


class SmallPages:
    """A server that gives few rows a page, whatever it is asked for; change: what it does to an answer."""

    def __init__(self, server: NetworkServer, change: Callable[[str, Json], Json] | None = None) -> None:
        self.server = server
        self.pages = 0
        self.change = change or (lambda _command, answer: answer)

    def request(self, command: str, *, timeout_seconds: float = 10.0, **parameters: Any) -> Json:
        """Return the result. Raises RequestRefused."""
        if command == "account_objects":
            self.pages += 1
            parameters["limit"] = 10
        answer = self.server.request(command, timeout_seconds=timeout_seconds, **parameters)
        return self.change(command, answer)


@pytest.mark.parametrize(
    ("command", "fields", "text"),
    [
        ("account_info", {"validated": False}, "account_info"),
        ("account_objects", {"ledger_index": 4}, "a page is of ledger 4"),
        ("account_objects", {"marker": "again"}, "marker again came twice"),
        ("account_objects", {"account_objects": 7}, "account_objects"),
        ("ledger", {"ledger": {}}, "no close_time"),
    ],
)
def test_a_snapshot_whose_parts_do_not_fit_together_is_refused(command: str, fields: Json, text: str) -> None:
    network = market_network()

    def change(asked: str, answer: Json) -> Json:
        return answer | fields if asked == command else answer

    class Repeating(NetworkServer):
        def request(self, command: str, *, timeout_seconds: float = 10.0, **parameters: Any) -> Json:
            parameters.pop("marker", None)
            return super().request(command, timeout_seconds=timeout_seconds, **parameters)

    source = AccountReader(SmallPages(Repeating(network), change), CODEC, address_of("we"))
    with pytest.raises(HistoryError, match=text):
        source.snapshot()


class Refusing(NetworkServer):
    """A server without the history in question, or one that answers `tx` with another error."""

    def __init__(self, network: Network, token: str) -> None:
        super().__init__(network)
        self.token = token

    def request(self, command: str, *, timeout_seconds: float = 10.0, **parameters: Any) -> Json:
        """Return the result. Raises RequestRefused for every `tx`."""
        if command == "tx":
            raise RequestRefused("tx", self.token, "", {"searched_all": False})
        return super().request(command, timeout_seconds=timeout_seconds, **parameters)


def test_a_hash_that_a_server_without_all_ledgers_does_not_find_stays_open() -> None:
    crash = Crash()
    sent = crash.intend(1, ask(), last=2)
    crash.ledgers(9)
    source = AccountReader(Refusing(crash.desk.network, "txnNotFound"), CODEC, address_of("we"))
    left = Left(orders=(crash.left[1],), in_flight=(sent,), last_ledger=crash.last_ledger)
    found, _ = recover(source, left, account_events)
    assert (found.order_updates, found.open) == ((), (sent,))


def test_another_refusal_of_a_hash_is_no_answer() -> None:
    crash = Crash()
    crash.intend(1, ask())
    source = AccountReader(Refusing(crash.desk.network, "tooBusy"), CODEC, address_of("we"))
    with pytest.raises(RequestRefused, match="tooBusy"):
        source.look_up(crash.sent[0].prepared.tx_hash, 1, 9)


def test_a_transaction_not_validated_is_no_answer_yet() -> None:
    crash = Crash()
    sent = crash.intend(1, ask())
    crash.desk.submit(sent)
    told_of = crash.desk.source.look_up(sent.prepared.tx_hash, 1, 9)
    assert told_of == TransactionLookup(tx_hash=sent.prepared.tx_hash, update=None, searched_all=False)


def test_the_lowest_free_number_fills_a_hole_before_open_ones() -> None:
    crash = Crash()
    first = crash.intend(1, ask())
    number = first.prepared.account_sequence
    later = [
        replace(first, prepared=replace(first.prepared, account_sequence=number + step)) for step in (1, 2)
    ]
    assert free_sequence(number, later) == number
    assert free_sequence(number, [first, *later]) == number + 3
    assert free_sequence(number, [replace(first, ticketed=True)]) == number
