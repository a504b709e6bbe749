"""Several orders on their way at once: all are on the wire, in order, before the first answer is there."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from neo_engine.execution.answers import Told
from neo_engine.feed.journal import JournaledSource, JournalWriter
from neo_engine.feed.journal_play import Journal, PlayedSource
from neo_engine.live_session import asker
from neo_engine.xrpl.server import RequestLost, RequestRefused
from neo_engine.xrpl.socket import Connection, Watcher
from neo_engine.xrpl.spending import Spending

Json = dict[str, Any]
BATCH = 6
Answers = Callable[["Heard", ServerConnection], Awaitable[None]]


class Heard:
    """The blobs that a server was sent, with the ids of their requests."""

    def __init__(self) -> None:
        self.blobs: list[str] = []
        self.names: list[str] = []


async def after_all(heard: Heard, socket: ServerConnection) -> None:
    """Answer nothing before the whole batch is there."""
    if len(heard.names) == BATCH:
        for name in reversed(heard.names):
            await socket.send(json.dumps({"id": name, "status": "success", "result": {"of": name}}))


async def first_wants_less(heard: Heard, socket: ServerConnection) -> None:
    """Refuse the first as slowDown and answer the others."""
    name, first = heard.names[-1], len(heard.names) == 1
    told: Json = {"error": "slowDown"} if first else {"status": "success", "result": {}}
    await socket.send(json.dumps({"id": name, "type": "response", **told}))


async def never(_heard: Heard, _socket: ServerConnection) -> None:
    """Answer nothing."""


@asynccontextmanager
async def connected(answers: Answers, unanswered: list[str]) -> AsyncIterator[tuple[Connection, Heard]]:
    """A connection to a server that answers so; unanswered gets an item for each that is counted."""
    heard = Heard()

    async def talk(socket: ServerConnection) -> None:
        async for frame in socket:
            asked = json.loads(frame)
            if asked["command"] == "ping":
                await socket.send(json.dumps({"id": asked["id"], "status": "success", "result": {}}))
                continue
            heard.names.append(asked["id"])
            heard.blobs.append(asked["tx_blob"])
            await answers(heard, socket)

    def nothing(*_said: object) -> None:
        """Take no notice."""

    watcher = Watcher(
        message=nothing,
        trouble=nothing,
        busy=nothing,
        answered=nothing,
        unanswered=lambda: unanswered.append("one"),
    )
    async with serve(talk, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        url = f"ws://127.0.0.1:{port}"
        connection = await Connection.open(url, watcher, Spending(time.monotonic), 5.0)
        running = asyncio.create_task(connection.run())
        yield connection, heard
        connection.end("that was all")
        await running


def written(connection: Connection, blob: str, seconds: float = 5.0) -> asyncio.Task[Json]:
    """Begin a submit."""
    return asyncio.create_task(connection.request("submit", seconds, {"tx_blob": blob}, writes=True))


BLOBS = [f"{number:02X}" for number in range(BATCH)]


def test_a_batch_is_on_the_wire_in_order_before_any_of_it_is_answered() -> None:
    async def talk() -> None:
        async with connected(after_all, []) as (connection, heard):
            results = await asyncio.gather(*(written(connection, blob) for blob in BLOBS))
            assert heard.blobs == BLOBS
            assert [one["of"] for one in results] == heard.names  # each its own answer, whenever it came

    asyncio.run(talk())


def test_writes_keep_their_order_through_a_pause_that_the_server_wants() -> None:
    async def talk() -> None:
        async with connected(first_wants_less, []) as (connection, heard):
            with pytest.raises(RequestRefused):
                await written(connection, "first")
            await asyncio.gather(*(written(connection, blob) for blob in BLOBS))
            assert heard.blobs == ["first", *BLOBS]

    asyncio.run(talk())


def test_a_batch_without_an_answer_counts_once_and_does_not_end_the_connection() -> None:
    async def talk() -> None:
        counted: list[str] = []
        async with connected(never, counted) as (connection, heard):
            tasks = [written(connection, blob, 0.2) for blob in BLOBS]
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            assert [isinstance(one, RequestLost) and one.sent for one in ends] == [True] * BATCH
            assert (heard.blobs, counted, connection.alive) == (BLOBS, ["one"], True)

    asyncio.run(talk())


class Source:
    """A server that takes all and answers when asked; one blob is refused, one lost."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def start(self) -> None:
        """Nothing to do."""

    def next(self, timeout_seconds: float) -> None:
        """Nothing comes."""

    def close(self) -> None:
        """Nothing to release."""

    def request(self, command: str, *, timeout_seconds: float = 10.0, **parameters: Any) -> Json:
        return self.begin(command, timeout_seconds=timeout_seconds, **parameters)()

    def begin(self, command: str, *, timeout_seconds: float = 10.0, **parameters: Any) -> Callable[[], Json]:
        assert timeout_seconds > 0
        blob = parameters["tx_blob"]
        self.said.append(f"sent {blob}")

        def end() -> Json:
            self.said.append(f"answered {blob}")
            if blob == "02":
                raise RequestRefused(command, "tooBusy", "no reason given", {"error": "tooBusy"})
            if blob == "03":
                raise RequestLost(command, "no answer", sent=True)
            return {"engine_result": "tesSUCCESS", "of": blob}

        return end


def test_the_submitter_is_answered_for_each_blob_after_the_last_was_sent() -> None:
    source = Source()
    answers = asker(source).submit(BLOBS)
    assert source.said == [*(f"sent {one}" for one in BLOBS), *(f"answered {one}" for one in BLOBS)]
    lost, refused = Told.LOST, Told.REFUSED
    assert [one.told for one in answers] == [*[Told.ANSWERED] * 2, refused, lost, *[Told.ANSWERED] * 2]
    assert [one.result.get("of") for one in answers] == ["00", "01", None, None, "04", "05"]
    assert (answers[2].token, answers[3].sent) == ("tooBusy", True)


def test_a_journal_gives_a_batch_its_answers_back(tmp_path: Path) -> None:
    path = tmp_path / "batch.gz"
    writer = JournalWriter(path, {})
    told = asker(JournaledSource(Source(), writer)).submit(BLOBS)
    writer.close()
    journal = Journal.open(path)
    try:
        assert asker(PlayedSource(journal)).submit(BLOBS) == told
        journal.finish()
    finally:
        journal.close()
