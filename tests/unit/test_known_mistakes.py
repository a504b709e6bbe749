"""What connectors to the XRP Ledger have got wrong, one by one: this engine does not. Numbers 1 to 8.

Each number is a mistake seen in published trading software or its issue threads; each test stages what made
it fail there, against a whole network in process, and takes the expected numbers from that ledger.

 1. A submit without an answer is sent anew under another sequence: two orders where one was meant.
    test_a_submit_without_an_answer_is_never_sent_again_under_another_sequence
 2. Nothing is stored before a submit: after a crash an offer stands that no order knows.
    test_hash_sequence_and_last_ledger_are_on_disk_when_the_submit_goes_out
 3. The next sequence is asked of a server, and that one has not seen the last transaction.
    test_a_server_that_lags_has_no_say_in_the_next_sequence
 4. temBAD_SEQUENCE to a cancel is read as "the offer is gone already".
    test_a_cancel_refused_with_tem_bad_sequence_leaves_the_order_standing
 5. Any change of a balance is read as a fill, also the fee of an order that was killed.
    test_the_fee_of_a_killed_order_is_no_fill
 6. The fee is counted into what a taker bought or sold.
    test_a_takers_fill_is_what_was_traded_and_the_fee_is_apart
 7. Of an answer in pages only the first is read.
    test_an_account_of_several_pages_is_read_to_the_last_entry
    test_trust_lines_and_tokens_on_a_second_page_are_found
 8. Reserves are constants of the program, and what counts against them is counted by the program.
    test_reserves_are_the_ledgers_own_and_follow_a_vote
    test_the_owner_count_is_read_and_not_counted

Numbers 9 to 14 are in test_known_mistakes_2.py, 15 and 16 in test_known_mistakes_3.py.
"""

from __future__ import annotations

import copy
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from neo_engine.domain.assets import Side
from neo_engine.domain.fills import LiquiditySide
from neo_engine.domain.halt import HaltReason
from neo_engine.domain.orders import (
    OrderStatus,
    PreparedTransaction,
    SubmitClass,
    SubmitOutcome,
    TransactionKind,
)
from neo_engine.execution.answers import LedgerSeen
from neo_engine.execution.snapshot import market_snapshot
from neo_engine.inventory.funding import available
from neo_engine.main_loop import MainLoop
from neo_engine.simulator.server.fault_deeds import do
from neo_engine.simulator.server.faults import FaultyNetwork
from neo_engine.simulator.server.genesis import ISSUER_ACCOUNT, fresh_chain
from neo_engine.simulator.server.network import Network
from neo_engine.simulator.server.signing import make_tx
from neo_engine.state.manager import StateManager
from neo_engine.xrpl.account_reader import AccountReader
from neo_engine.xrpl.history import tokens_held
from neo_engine.xrpl.snapshot import AtLedger
from tests.unit import core_values as core
from tests.unit.live_fixture import CODEC, NetworkServer, bid, market_network, upkeep
from tests.unit.live_fixture import Desk as Follower
from tests.unit.network_fixture import FIRST_CLOSE, address_of, ask, send
from tests.unit.state_fixture import OPTIONS, fixed_now
from tests.unit.submission_fixture import LOST_REPLY, NAME, cancel, place
from tests.unit.submission_fixture import Desk as Sender
from tests.unit.test_main_loop import desk as session_desk
from tests.unit.test_main_loop import ledger

Json = dict[str, Any]
WE = address_of("we")
TF_IMMEDIATE_OR_CANCEL = 0x0002_0000


def history_of(network: Network, address: str) -> list[Json]:
    """Return an account's validated transactions as the server lists them, oldest first."""
    asked: Json = {"account": address, "ledger_index_min": -1, "ledger_index_max": -1, "forward": True}
    rows: list[Json] = []
    while True:
        told = NetworkServer(network).request("account_tx", **asked)
        rows.extend(told["transactions"])
        if "marker" not in told:
            return rows
        asked["marker"] = told["marker"]


def root_of(network: Network, address: str) -> Json:
    """Return the account's root in the last validated ledger."""
    root: Json = NetworkServer(network).request("account_info", account=address, ledger_index="validated")
    return dict(root["account_data"])


# 1


def test_a_submit_without_an_answer_is_never_sent_again_under_another_sequence() -> None:
    """A replace arrives but both answers are lost, the next order goes out, and the stream misses it all.

    Taken as failed and signed anew, the replace would stand twice.
    """
    desk = Sender()
    desk.go(place(1))
    desk.ledger()
    (first,) = desk.offers()
    lost = desk.go(place(2, replaces=(1, first), drops=5), script=[LOST_REPLY, LOST_REPLY])
    assert lost == ["noAnswer"]
    desk.go(place(3, drops=7))
    desk.ledger(seen=False)
    for _ in range(5):
        desk.ledger()
    assert desk.offers() == {first + 1: 5, first + 2: 7}
    sent = [row["tx_json"] for row in history_of(desk.network, address_of(NAME))]
    placed = [tx["Sequence"] for tx in sent if tx["TransactionType"] == "OfferCreate"]
    assert placed == [first, first + 1, first + 2]
    assert len(desk.key.signed) == 3
    assert [one.result for one in desk.resolved if one.prepared.order_id == 2] == ["tesSUCCESS"]


# 2


class ReadsBeforeSending:
    """An exchange that looks into the database file, as another program would, before it sends anything."""

    def __init__(self, exchange: Any, path: Path) -> None:
        self._exchange = exchange
        self._path = path
        self.found: list[tuple[str, str]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._exchange, name)

    def submit(self, prepared: Sequence[PreparedTransaction]) -> tuple[SubmitOutcome, ...]:
        """Find each transaction on disk, its order too, then send."""
        query = (
            "SELECT u.kind, o.side, o.price FROM v_submissions u JOIN orders o ON o.id = u.order_id"
            " WHERE u.tx_hash = ? AND u.account_sequence = ? AND u.last_ledger_sequence = ?"
            " AND u.outcome IS NULL"
        )
        with closing(sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True)) as other:
            for one in prepared:
                wanted = (one.tx_hash, one.account_sequence, one.last_ledger_sequence)
                ((kind, side, price),) = other.execute(query, wanted)
                assert side in ("buy", "sell") and Decimal(price) > 0
                self.found.append((one.tx_hash, kind))
        sent: tuple[SubmitOutcome, ...] = self._exchange.submit(prepared)
        return sent


def test_hash_sequence_and_last_ledger_are_on_disk_when_the_submit_goes_out(tmp_path: Path) -> None:
    """The main loop with its real database: a power cut during the submit would lose nothing of it."""
    path = tmp_path / "neo.db"
    desk = session_desk(ledger(1), *(ledger(number) for number in range(2, 9)), duration_seconds=16)
    with closing(StateManager.open(path, OPTIONS, now=fixed_now)) as store:
        exchange = ReadsBeforeSending(desk.exchange, path)
        result = MainLoop(replace(desk.session, store=store, exchange=exchange)).run()
    assert result.halt.reason is HaltReason.DURATION_ELAPSED
    with closing(sqlite3.connect(path)) as after:
        stored = set(after.execute("SELECT tx_hash, kind FROM v_submissions WHERE outcome IS NOT NULL"))
    assert set(exchange.found) == stored
    assert {kind for _, kind in stored} == {"create", "cancel"}
    assert len(exchange.found) == 4  # a bid and an ask, and their cancels at the end


# 3


def test_a_server_that_lags_has_no_say_in_the_next_sequence() -> None:
    """Two orders are on their way when the connection moves to a server that has seen neither.

    It would tell the account's old sequence, and an order signed with that is tefPAST_SEQ or a rival.
    """
    desk = Sender()
    first = desk.numbers.next
    behind = copy.deepcopy(desk.network)
    desk.go(place(1, drops=1), place(2, drops=2))
    desk.wire.network = behind
    assert root_of(behind, address_of(NAME))["Sequence"] == first
    assert desk.go(place(3, drops=3)) == ["terPRE_SEQ"]  # it lacks the two before
    asked = {command for command, _ in desk.wire.asked}
    assert asked == {"submit"}
    old = behind.close().header
    desk.submitter.advance(
        LedgerSeen(
            ledger_index=old.ledger_index,
            close_time=old.close_time,
            fee_base_drops=10,
            account_sequence=first,
            results={},
        )
    )
    assert [one.account_sequence for one in desk.prepare(place(4, drops=4))] == [first + 3]
    desk.wire.network = desk.network
    desk.submitter.reconnected()
    for _ in range(3):
        desk.ledger()
    assert desk.offers() == {first: 1, first + 1: 2, first + 2: 3}
    assert [tx["Sequence"] for tx in desk.key.signed] == [first, first + 1, first + 2, first + 3]
    assert desk.submitter.must_stop is None


# 4


def test_a_cancel_refused_with_tem_bad_sequence_leaves_the_order_standing() -> None:
    """A server that lags has not seen the offer and says temBAD_SEQUENCE to its cancel, by ticket.

    Others took that for the offer's end, and it went on trading.
    """
    desk = Sender(tickets=2)
    behind = copy.deepcopy(desk.network)
    desk.go(place(1, drops=9))
    desk.ledger()
    (sequence,) = desk.offers()
    desk.wire.network = behind
    told = desk.submitter.submit(desk.prepare(cancel(1, sequence), urgent=True))
    assert [(one.code, one.outcome) for one in told] == [("temBAD_SEQUENCE", SubmitClass.REJECTED)]
    desk.wire.network = desk.network
    desk.ledger()
    assert desk.offers() == {sequence: 9}
    assert len(desk.numbers.tickets) == 2  # nothing was used
    assert desk.go(cancel(1, sequence), urgent=True) == ["tesSUCCESS"]
    desk.ledger()
    assert desk.offers() == {}


# 5


def test_the_fee_of_a_killed_order_is_no_fill() -> None:
    """A bid that takes at once or never finds nobody: the ledger ends it with tecKILLED and keeps its fee."""
    follower = Follower(market_network())
    before = int(root_of(follower.network, WE)["Balance"])
    follower.place(1, bid(1_000_000, "2"), Flags=TF_IMMEDIATE_OR_CANCEL, Fee="5000")
    report = follower.close()
    assert int(root_of(follower.network, WE)["Balance"]) == before - 5_000
    (outcome,) = report.transactions
    assert (outcome.result, outcome.fee_drops) == ("tecKILLED", 5_000)
    assert (report.fills, report.findings) == ((), ())
    assert [(one.order_id, one.status) for one in report.order_updates] == [(1, OrderStatus.REJECTED)]
    assert follower.agrees()


# 6


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
def test_a_takers_fill_is_what_was_traded_and_the_fee_is_apart(side: Side) -> None:
    """We take what stands in the book and pay 5,000 drops of fee for it; 400,000 drops changed hands."""
    follower = Follower(market_network())
    send(follower.network, "taker", **(ask(400_000, "1") if side is Side.BUY else bid(400_000, "1")))
    follower.close()
    before = int(root_of(follower.network, WE)["Balance"])
    order = bid(400_000, "1") if side is Side.BUY else ask(400_000, "1")
    follower.place(1, order, Fee="5000")
    report = follower.close()
    moved = int(root_of(follower.network, WE)["Balance"]) - before
    assert moved == (400_000 if side is Side.BUY else -400_000) - 5_000
    (fill,) = report.fills
    assert (fill.liquidity, fill.side, fill.base_drops) == (LiquiditySide.TAKER, side, 400_000)
    assert fill.quote == 1
    assert [one.fee_drops for one in report.transactions] == [5_000]
    assert report.findings == ()


# 7


def stuff(network: Network, address: str, fields: Sequence[Json]) -> None:
    """Put transactions of an account into one ledger, unsigned."""
    for number, more in enumerate(fields):
        sequence, _ = network.open_ledger.account(address)
        tx = make_tx({"Account": address, "Fee": "10", "Sequence": sequence, **more}, f"{number:064X}")
        assert network.add_internal(tx) == "tesSUCCESS"
    network.close()


def test_an_account_of_several_pages_is_read_to_the_last_entry() -> None:
    """230 offers, of which a page holds 200: in the list of entries and in that of transactions."""
    network = market_network()
    before = root_of(network, WE)["OwnerCount"]
    stuff(network, WE, [ask(1_000 + number, "3") for number in range(230)])
    assert root_of(network, WE)["OwnerCount"] == before + 230
    server = NetworkServer(network)
    source = AccountReader(server, CODEC, WE)
    assert sorted(one.base_drops for one in source.snapshot().offers) == [1_000 + n for n in range(230)]
    told = source.history(network.chain.header.ledger_index, network.chain.header.ledger_index)
    hashes = [tx.tx_hash for update in told for tx in update.transactions]
    assert len(hashes) == 230
    assert set(hashes) == {f"{number:064X}" for number in range(230)}
    asked = [command for command, _ in server.asked]
    assert (asked.count("account_objects"), asked.count("account_tx")) == (2, 2)


class FewRows(NetworkServer):
    """A server that gives ten rows a page, whatever it is asked for: each may choose."""

    def request(self, command: str, *, timeout_seconds: float = 10.0, **parameters: Any) -> Json:
        """Return the result. Raises RequestRefused."""
        if "limit" in parameters:
            parameters["limit"] = 10
        return super().request(command, timeout_seconds=timeout_seconds, **parameters)


def test_trust_lines_and_tokens_on_a_second_page_are_found() -> None:
    """25 trust lines, ten a page; the one that is looked for may be on any of them."""
    network = market_network()
    codes = [f"{letter}{number}A" for letter in "ABCDE" for number in range(5)]
    lines = [
        {
            "TransactionType": "TrustSet",
            "LimitAmount": {"currency": code, "issuer": ISSUER_ACCOUNT, "value": "7"},
        }
        for code in codes
    ]
    stuff(network, WE, lines)
    server = FewRows(network)
    listed = AtLedger(server, network.chain.header.ledger_index).watched([WE])[WE]
    assert {one["currency"] for one in listed["lines"]} > set(codes)
    assert len(listed["lines"]) == 26
    for code in codes:
        assert [one.issuer for one in tokens_held(server, WE, code)] == [ISSUER_ACCOUNT]
    pages = [command for command, _ in server.asked].count("account_lines")
    assert pages == 3 * (1 + len(codes))


# 8


def voting_market() -> FaultyNetwork:
    """Return a network whose validators can vote, on which we hold 1000 XRP and a trust line."""
    network = FaultyNetwork(fresh_chain(FIRST_CLOSE), seconds_per_ledger=4)
    network.faucet({"destination": WE, "xrp": "1000"})
    network.close()
    limit = {"currency": CODEC.pair.quote.currency, "issuer": ISSUER_ACCOUNT, "value": "1000"}
    send(network, "we", TransactionType="TrustSet", LimitAmount=limit, Flags=0x0002_0000)
    network.close()
    return network


def test_reserves_are_the_ledgers_own_and_follow_a_vote() -> None:
    """The validators raise the base reserve from 1 to 5 XRP and that of each object from 0.2 to 1.5."""
    network = voting_market()
    follower = Follower(network)
    follower.place(1, ask(1_000_000, "3"))
    config = core.with_config("inventory", xrp_buffer=Decimal(2))
    free = []
    for vote in (False, True):
        if vote:
            do(
                network,
                network.faults.pseudo,
                "reserve",
                {"base": "5000000", "increment": "1500000", "fee": ""},
            )
            follower.close()
        report = follower.close()
        info = follower.server.request("server_info")["info"]["validated_ledger"]
        base, increment = (Decimal(str(info[f"reserve_{name}_xrp"])) for name in ("base", "inc"))
        assert (base, increment) == ((Decimal(5), Decimal("1.5")) if vote else (Decimal(1), Decimal("0.2")))
        snapshot = market_snapshot(follower.book, 5, ())
        free.append(available(report.account, snapshot, config).base_drops)
        root = root_of(network, WE)
        locked = (base + increment * root["OwnerCount"] + 2) * 1_000_000
        assert free[-1] == int(root["Balance"]) - locked
    # One offer and one trust line: 4 XRP more of base, and twice 1.3 XRP.
    assert free[0] - free[1] == 6_600_000


def test_the_owner_count_is_read_and_not_counted() -> None:
    """Offers of other pairs, tickets and lines to others count too, whatever the pair's own lists show."""
    follower = Follower(market_network())
    euro = {"currency": "EUR", "issuer": ISSUER_ACCOUNT, "value": "4"}
    network = follower.network
    for fields in (
        {"TransactionType": "OfferCreate", "TakerGets": "1000000", "TakerPays": euro},
        {"TransactionType": "TrustSet", "LimitAmount": euro},
        {"TransactionType": "TicketCreate", "TicketCount": 3},
    ):
        told = send(network, "we", **fields)
        follower.account.expect(upkeep(told["tx_json"]["hash"], follower.account.ledger_index + 3))
    follower.place(1, ask(1_000_000, "3"))
    report = follower.close()
    assert [one.kind for one in report.transactions[:3]] == [TransactionKind.UPKEEP] * 3
    count = root_of(network, WE)["OwnerCount"]
    assert count == 7  # two lines, two offers, three tickets
    assert (report.account.owner_count, len(report.account.offers)) == (count, 1)
    assert follower.source.snapshot().owner_count == count
