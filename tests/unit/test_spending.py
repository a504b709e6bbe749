"""Our account with one server: what replies tell of it, and what a connection notes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from neo_engine.domain.request_cost import MEDIUM
from neo_engine.xrpl.server import RequestRefused
from neo_engine.xrpl.socket import Connection, Watcher
from neo_engine.xrpl.spending import Spending

Json = dict[str, Any]
GOOD: Json = {"status": "success", "result": {}}
CLIO: Json = {**GOOD, "warnings": [{"id": 2001, "message": "This is a clio server."}]}


class Hand:
    """A clock set by hand, in seconds."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def spent(clock: Hand, *replies: Json) -> Spending:
    """Ten medium requests, and these replies."""
    spending = Spending(clock)
    for _ in range(10):
        spending.sent(MEDIUM)
    for reply in replies:
        spending.heard(None, "", reply)
    return spending


@pytest.mark.parametrize(
    ("replies", "left"),
    [
        ([], "50"),  # 10 of 20, the stricter
        ([GOOD], "97.5"),  # 4,000 of 160,000
        ([CLIO], "50"),
        ([{"status": "error", "error": "unknownCmd"}], "50"),  # it may be of either
        ([{**GOOD, "warnings": [{"id": 1001}, "odd", 5]}], "97.5"),
        ([{**GOOD, "warnings": "odd"}], "97.5"),
        ([{**GOOD, "warnings": [{"id": 1004}, {"id": 2001}]}, GOOD], "50"),  # a proxy before both
    ],
)
def test_a_reply_tells_the_kind_of_server_by_warning_2001(replies: list[Json], left: str) -> None:
    assert str(spent(Hand(), *replies).left) == left


def test_the_kind_of_server_decides_how_what_is_left_comes_back() -> None:
    clock = Hand()
    clio, plain = spent(clock, CLIO), spent(clock, GOOD)
    clock.now += 0.999
    assert clio.left == 50
    clock.now += 0.001
    assert clio.left == 100
    assert plain.left < 98
    clock.now += 130  # four windows of 32 s and more
    assert plain.left == 100


def test_a_ping_tells_who_is_not_charged_and_who_is_again() -> None:
    spending = spent(Hand(), GOOD)
    spending.pinged({"role": "admin", "unlimited": True})
    assert spending.left == 100
    spending.pinged({})
    assert spending.left == 97.5


class Script:
    """A server that answers pings, and all else with the next of these replies; then it closes."""

    def __init__(self, *replies: Json, ping: Json | None = None) -> None:
        self.replies = list(replies)
        self.ping = ping or {}

    async def __call__(self, socket: ServerConnection) -> None:
        async for frame in socket:
            asked = json.loads(frame)
            if asked["command"] == "ping":
                reply: Json = {**GOOD, "result": self.ping}
            elif self.replies:
                reply = self.replies.pop(0)
            else:
                await socket.close(1008, "threshold exceeded")
                return
            await socket.send(json.dumps({"id": asked["id"], "type": "response", **reply}))


@asynccontextmanager
async def connected(
    script: Script, spending: Spending
) -> AsyncIterator[tuple[Connection, asyncio.Task[str]]]:
    """A connection whose first ping is answered."""

    def nothing(*_said: object) -> None:
        """Take no notice."""

    first = asyncio.Event()
    watcher = Watcher(
        message=nothing,
        trouble=nothing,
        busy=nothing,
        answered=lambda _milliseconds: first.set(),
        unanswered=nothing,
    )
    async with serve(script, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        connection = await Connection.open(f"ws://127.0.0.1:{port}", watcher, spending, 5.0)
        running = asyncio.create_task(connection.run())
        await asyncio.wait_for(first.wait(), 5.0)
        yield connection, running
        connection.end("that was all")
        await running


async def ask(connection: Connection, command: str) -> Json:
    """Ask as one writes: a warning does not hold it back."""
    return await connection.request(command, 5.0, {}, writes=True)


def test_what_is_sent_is_charged_and_what_is_refused_costs_a_hundred() -> None:
    async def talk() -> None:
        spending = Spending(Hand())
        refused = {"status": "error", "error": "actNotFound"}
        async with connected(Script(GOOD, refused, refused), spending) as (connection, _running):
            left = [connection.headroom]
            for command in ("account_tx", "account_info", "account_tx"):
                try:
                    await ask(connection, command)
                except RequestRefused as error:
                    assert error.token == "actNotFound"
                left.append(connection.headroom)
        # 20 (the ping), 400, 100 and 400 of 160,000
        assert [str(one) for one in left] == ["99.9875", "99.7375", "99.675", "99.425"]

    asyncio.run(talk())


def test_a_warning_leaves_nothing_and_each_in_a_row_halves_what_can_be_left_after_it() -> None:
    async def talk() -> None:
        clock = Hand()
        warned = {**GOOD, "warning": "load"}
        script = Script(warned, warned, warned, GOOD)
        async with connected(script, Spending(clock)) as (connection, _running):
            seen = []
            for _ in range(4):
                await ask(connection, "fee")
                seen.append((connection.headroom, connection.patience))
                clock.now += 130
                seen.append((connection.headroom, connection.patience))
        assert [[f"{percent:.4f}" for percent in pair] for pair in seen] == [
            *(["0.0000", "50.0000"], ["50.0000", "50.0000"]),
            *(["0.0000", "25.0000"], ["25.0000", "25.0000"]),
            *(["0.0000", "12.5000"], ["12.5000", "12.5000"]),
            *(["99.9875", "100.0000"], ["100.0000", "100.0000"]),
        ]

    asyncio.run(talk())


def test_a_server_that_charges_nothing_still_may_complain() -> None:
    async def talk() -> None:
        warned = {**GOOD, "warning": "load"}
        script = Script(warned, GOOD, ping={"unlimited": True})
        async with connected(script, Spending(Hand())) as (connection, _running):
            await ask(connection, "fee")
            assert connection.headroom == 50
            await ask(connection, "fee")
            assert connection.headroom == 100

    asyncio.run(talk())


def test_a_close_for_load_is_remembered_by_the_next_connection() -> None:
    async def talk() -> None:
        clock = Hand()
        spending = Spending(clock)
        async with connected(Script(), spending) as (connection, running):
            with pytest.raises(Exception, match="threshold exceeded"):
                await ask(connection, "fee")
            await running
        clock.now += 50
        async with connected(Script(GOOD), spending) as (connection, _running):
            assert connection.headroom == 0
            clock.now += 2
            assert 0 < connection.headroom < 10

    asyncio.run(talk())
