"""What connectors to the XRP Ledger have got wrong, one by one: this engine does not. Numbers 15 and 16.

The others are in test_known_mistakes.py and test_known_mistakes_2.py.

15. Memory grows with every reply, and a reconnect leaves the old socket open.
    test_what_waits_for_a_slow_consumer_is_bounded
    test_replies_and_messages_of_a_connection_are_not_kept
    test_each_connection_that_was_cut_gives_its_socket_back
    test_thousands_of_requotes_leave_no_more_behind_than_a_few_hundred
    test_the_followed_account_does_not_grow_with_the_ledgers
16. On paper an order is filled whole at its limit as soon as the market touches it.
    test_on_paper_an_order_waits_behind_what_stood_there_before_it
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import pickle
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from websockets.asyncio.server import ServerConnection, serve

from neo_engine.domain.ledger import NodeAction
from neo_engine.execution import live_account
from neo_engine.execution.answers import LedgerSeen
from neo_engine.execution.fees import Fees
from neo_engine.execution.sequences import Sequences
from neo_engine.execution.submission import Submitter
from neo_engine.xrpl.outbox import EVENTS_MAX, LEDGERS_MAX, EventKind, GatewayEvent, Outbox
from neo_engine.xrpl.socket import Connection, Watcher
from neo_engine.xrpl.spending import Spending
from tests.unit import paper_fixture as paper
from tests.unit.live_fixture import Desk as Follower
from tests.unit.live_fixture import bid, market_network
from tests.unit.network_fixture import ask, send
from tests.unit.played_gateway import PlayedGateway
from tests.unit.submission_fixture import TERMS, Says, place
from tests.unit.test_paper_fills import change

pytestmark = pytest.mark.slow

Json = dict[str, Any]
TF_IMMEDIATE_OR_CANCEL = 0x0002_0000
XRP = 1_000_000


# 15


def test_what_waits_for_a_slow_consumer_is_bounded() -> None:
    """Nobody takes anything while 5,000 ledgers and as many events come."""
    (bundle, *_) = PlayedGateway(ledgers=1).bundles
    outbox = Outbox(lambda: 0.0, 10.0)
    for number in range(5_000):
        outbox.event(GatewayEvent(kind=EventKind.BUSY, text=str(number)))
        if not outbox.full:
            outbox.ledger(bundle)
    taken = []
    while (item := outbox.next(0.0)) is not None:
        taken.append(item)
    events = [item for item in taken if isinstance(item, GatewayEvent)]
    assert (len(taken) - len(events), len(events)) == (LEDGERS_MAX, EVENTS_MAX)
    assert events[-1].text == "4999"


PADDING = "x" * 2_000


async def _answers(socket: ServerConnection) -> None:
    """Answer every request, after a stream message nobody asked for; cut the socket at `crash`."""
    async for frame in socket:
        asked = json.loads(frame)
        if asked["command"] == "crash":
            socket.transport.abort()
            return
        await socket.send(json.dumps({"type": "ledgerClosed", "padding": PADDING}))
        told = {"id": asked["id"], "type": "response", "status": "success", "result": {"padding": PADDING}}
        await socket.send(json.dumps(told))


@asynccontextmanager
async def _server() -> AsyncIterator[str]:
    async with serve(_answers, "127.0.0.1", 0) as running:
        (place_, *_) = running.sockets
        yield f"ws://127.0.0.1:{place_.getsockname()[1]}"


def _watcher() -> Watcher:
    def nothing(*_said: object) -> None:
        """Take no notice."""

    return Watcher(message=nothing, trouble=nothing, busy=nothing, answered=nothing, unanswered=nothing)


def _in_use() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def test_replies_and_messages_of_a_connection_are_not_kept() -> None:
    """600 replies and 600 stream messages of 2 kB: kept, they would be 2.4 MB."""

    async def talk() -> int:
        async with _server() as url:
            connection = await Connection.open(url, _watcher(), Spending(time.monotonic), 5.0)
            running = asyncio.create_task(connection.run())
            marks = []
            for requests in (100, 600):
                for _ in range(requests):
                    await connection.request("ping", 5.0, {})
                marks.append(_in_use())
            connection.end("that was all")
            await running
            return marks[1] - marks[0]

    tracemalloc.start()
    try:
        assert asyncio.run(talk()) < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system does not list open sockets")
def test_each_connection_that_was_cut_gives_its_socket_back() -> None:
    """Twenty connections are cut by the server in the middle of a request, one after the other."""

    async def talk() -> list[int]:
        counts = []
        async with _server() as url:
            for _ in range(20):
                connection = await Connection.open(url, _watcher(), Spending(time.monotonic), 5.0)
                running = asyncio.create_task(connection.run())
                with pytest.raises(Exception, match="crash"):
                    await connection.request("crash", 5.0, {})
                await running
                gc.collect()
                counts.append(len(list(Path("/proc/self/fd").iterdir())))
        return counts

    counts = asyncio.run(talk())
    assert max(counts[1:]) <= counts[0]


class CheapKey:
    """Signs with a hash: what a signature says does not matter to what is kept of it."""

    def sign(self, tx: Json) -> tuple[str, str]:
        """Return a blob as long as a real one and its hash."""
        blob = json.dumps(tx).encode().hex()
        return blob, hashlib.sha256(blob.encode()).hexdigest().upper()


def test_thousands_of_requotes_leave_no_more_behind_than_a_few_hundred() -> None:
    """Each is accepted and validated, and the next one replaces it; a blob alone has some 700 characters."""
    yes = Says("tesSUCCESS", open_ledger_cost="10")
    fees = Fees(max_fee_drops=5_000)
    submitter = Submitter(ask=yes, signer=CheapKey(), terms=TERMS, numbers=Sequences(1), fees=fees)
    fees.ledger(fee_base_drops=10, close_time=1)

    def requote(number: int) -> None:
        replaces = (number - 1, number - 1) if number > 1 else None
        made = submitter.prepare([place(number, replaces=replaces)], number)
        submitter.submit(made)
        results = {one.tx_hash: "tesSUCCESS" for one in made}
        seen = LedgerSeen(
            ledger_index=number + 1,
            close_time=number,
            fee_base_drops=10,
            account_sequence=number + 1,
            results=results,
        )
        assert submitter.advance(seen) == ()

    assert _growth(requote, 300, 3_000) < 20_000
    assert submitter.pending == ()


def _growth(step: Callable[[int], None], first: int, last: int) -> int:
    """Return by how many bytes memory grew from the step `first` to the step `last`."""
    tracemalloc.start()
    try:
        for number in range(1, first + 1):
            step(number)
        before = _in_use()
        for number in range(first + 1, last + 1):
            step(number)
        return _in_use() - before
    finally:
        tracemalloc.stop()


def test_the_followed_account_does_not_grow_with_the_ledgers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requoted and taken from in each of 60 ledgers, of which it may remember eight."""
    monkeypatch.setattr(live_account, "REMEMBERED_LEDGERS", 8)
    follower = Follower(market_network())
    sizes = []
    for number in range(1, 61):
        follower.place(number, ask(1_000_000, "3"), replaces=number - 1 if number > 1 else None)
        send(follower.network, "taker", **bid(1_000, "0.003"), Flags=TF_IMMEDIATE_OR_CANCEL)
        follower.close()
        sizes.append(len(pickle.dumps(follower.account)))
    assert max(sizes[40:]) <= max(sizes[10:40]) * Decimal("1.02")


# 16


def test_on_paper_an_order_waits_behind_what_stood_there_before_it() -> None:
    """Others bid for 10 XRP at our price. Sellers of 6 and 3.5 XRP trade at it, and none of it is ours.

    The next one sells 5 XRP: the half that is left before us goes first.
    """
    ahead = [paper.bid(1, xrp, "2") for xrp in ("10", "4", "0.5")]
    venue = paper.Venue(paper.market(ahead[0]))
    ours = venue.buys("10", "2")
    for before, after, sold in zip(ahead, ahead[1:], ("6", "3.5"), strict=False):
        taken = change(NodeAction.MODIFIED, after, before)
        seller = paper.sells(sold, str(2 * Decimal(sold)), taken)
        assert paper.filled(venue.ledger(seller)) == []
    assert venue.standing() == {ours: 10 * XRP}
    gone = change(NodeAction.DELETED, replace(ahead[2], base_drops=0, quote=Decimal(0)), ahead[2])
    report = venue.ledger(paper.sells("5", "10", gone))
    assert paper.filled(report) == [(ours, 4_500_000, Decimal(9))]
    assert venue.standing() == {ours: 5_500_000}
