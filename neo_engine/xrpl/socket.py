"""One connection to a server: requests by id, stream messages to whoever wants them, an end with a reason.

Lives in an asyncio loop; nothing here but `headroom` may be called from another thread.

1. Every pending request fails at once when the socket closes.
2. Everything is bounded: PENDING_MAX requests wait for a reply, a frame has FRAME_MAX bytes, the library
   holds FRAMES_MAX frames that are not read yet and then stops reading the socket.
3. A frame that cannot be read is counted and skipped: it may have been a reply, whose request then runs into
   its time limit.
4. A `load` warning holds back reads, slowDown holds back everything, longer with each in a row; a good
   answer without a warning ends it.
5. Writes leave in the order they were asked for, a pause or not; a server answers the requests of a socket
   one after the other (rippled reads the next one when the last is answered: ServerHandler.cpp, `complete`).
6. A ping of ours every PING_SECONDS keeps the server from closing an idle socket: rippled does so after 30 s
   without traffic (BaseWSPeer.h, startTimer), proxies before public servers after 60 s. One without a reply
   ends the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from decimal import Decimal

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from neo_engine.domain.errors import NeoError
from neo_engine.domain.request_cost import cost_of
from neo_engine.xrpl.replies import BadFrame, Pause, read_frame, result_of
from neo_engine.xrpl.server import API_VERSION, Json, RequestLost, RequestRefused
from neo_engine.xrpl.spending import Spending

FRAME_MAX = 32 * 1024 * 1024  # bytes; a full ledger of the main network with its metadata has a few million
FRAMES_MAX = 64
PENDING_MAX = 64
PING_SECONDS = 15.0
CLOSE_SECONDS = 1.0  # given to a server to answer our close
UNANSWERED_MAX = 3  # requests in a row without a reply and nothing else read: the server is as good as gone
THRESHOLD_EXCEEDED = "threshold exceeded"  # why rippled closes on a client whose load is too high
_OPEN_FAULTS = (OSError, TimeoutError, WebSocketException, ValueError, ImportError)


class NotConnected(NeoError):
    """A connection could not be opened; the text says why."""


_encode = msgspec.json.Encoder().encode
Sink = Callable[[str, bytes], None]


class Watcher:
    """What a connection tells its owner; the owner replaces the functions it wants.

    message(type, frame): a stream message. trouble(text): a frame that was skipped. busy(text): the server
    asked for less. answered(milliseconds), unanswered(): of requests.
    """

    def __init__(
        self,
        *,
        message: Sink,
        trouble: Callable[[str], None],
        busy: Callable[[str], None],
        answered: Callable[[float], None],
        unanswered: Callable[[], None],
    ) -> None:
        self.message = message
        self.trouble = trouble
        self.busy = busy
        self.answered = answered
        self.unanswered = unanswered


class Connection:
    """An open socket. `run` must be running for replies to come."""

    def __init__(self, url: str, socket: ClientConnection, watcher: Watcher, spending: Spending) -> None:
        self.url = url
        self._socket = socket
        self._watcher = watcher
        self._spending = spending
        self._pending: dict[str, asyncio.Future[Json | None]] = {}
        self._last_id = 0
        self._why = ""
        self._pause = Pause()  # in loop time
        self._unanswered = 0
        self._gave_up_at = 0.0
        self._writing = asyncio.Lock()  # from a write's turn until it is handed to the socket

    @classmethod
    async def open(cls, url: str, watcher: Watcher, spending: Spending, timeout_seconds: float) -> Connection:
        """Connect. Raises NotConnected when it fails or takes longer than the time limit."""
        try:
            socket = await connect(
                url,
                open_timeout=timeout_seconds,
                close_timeout=CLOSE_SECONDS,
                ping_interval=None,
                max_size=FRAME_MAX,
                max_queue=FRAMES_MAX,
            )
        except _OPEN_FAULTS as error:
            raise NotConnected(
                f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            ) from error
        return cls(url, socket, watcher, spending)

    @property
    def alive(self) -> bool:
        """True until the connection has ended."""
        return not self._why

    @property
    def headroom(self) -> Decimal:
        """How much the server still answers, in percent: what our spending leaves, or its complaints if less.

        May be read from any thread.
        """
        return min(self.patience, self._spending.left)

    @property
    def patience(self) -> Decimal:
        """What complaints leave, in percent. May be read from any thread."""
        return self._pause.headroom(time.monotonic())  # the clock of asyncio's loops

    async def run(self) -> str:
        """Read until the connection ends; return why."""
        pinger = asyncio.create_task(self._ping(), name=f"ping {self.url}")
        try:
            while True:
                self._read(await self._socket.recv(decode=False))
        except ConnectionClosed as error:
            self._why = self._why or _closed(error)
            if error.rcvd is not None and error.rcvd.reason == THRESHOLD_EXCEEDED:
                self._spending.dropped()
        finally:
            pinger.cancel()
            self._fail(self._why or "ended by us")
            await asyncio.gather(pinger, return_exceptions=True)
            await self._socket.close()
        return self._why

    def end(self, why: str) -> None:
        """End the connection at once; pending requests fail."""
        self._fail(why)
        self._socket.transport.abort()

    def _fail(self, why: str) -> None:
        self._why = self._why or why
        pending, self._pending = self._pending, {}
        for future in pending.values():
            if not future.done():
                future.set_result(None)

    async def _ping(self) -> None:
        while True:  # the first at once: its answer tells whether the server charges us
            try:
                with contextlib.suppress(RequestRefused):  # it is alive, and that was the question
                    self._spending.pinged(await self.request("ping", PING_SECONDS, {}))
            except RequestLost as error:
                self.end(f"no answer to {error}")
                return
            await asyncio.sleep(PING_SECONDS)

    def _read(self, frame: bytes) -> None:
        try:
            head, reply = read_frame(frame)
        except BadFrame as error:
            self._watcher.trouble(str(error))
            return
        self._unanswered = 0
        if reply is None:
            self._watcher.message(head.type, frame)
            return
        now, token = asyncio.get_running_loop().time(), str(reply.get("error", ""))
        complaint = self._pause.heed(head.warning, token, now)
        if complaint:
            self._watcher.busy(complaint)
        self._spending.heard(head.warning, token, reply)
        future = self._pending.pop(str(head.id), None)
        if future is not None and not future.done():
            future.set_result(reply)

    async def request(
        self, command: str, timeout_seconds: float, parameters: Json, *, writes: bool = False
    ) -> Json:
        """Send a request and return its result. writes: a `load` warning does not hold it back.

        Raises RequestRefused or RequestLost.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_seconds
        future: asyncio.Future[Json | None] = loop.create_future()
        name, cost = "", cost_of({**parameters, "command": command})
        began = time.monotonic()
        try:
            async with asyncio.timeout_at(end):
                async with self._writing if writes else contextlib.nullcontext():
                    await self._wait_turn(command, end, writes=writes)
                    self._last_id += 1
                    name = f"neo{self._last_id}"
                    self._pending[name] = future
                    asked = {**parameters, "id": name, "command": command, "api_version": API_VERSION}
                    began = time.monotonic()
                    self._spending.sent(cost)
                    await self._socket.send(_encode(asked), text=True)
                reply = await future
        except TimeoutError as error:
            self._give_up(began)
            raise RequestLost(
                command, f"{self.url}: no answer within {timeout_seconds:g} s", sent=True
            ) from error
        except ConnectionClosed as error:
            raise RequestLost(command, f"{self.url}: {self._why or _closed(error)}", sent=True) from error
        finally:
            self._pending.pop(name, None)
        if reply is None:
            raise RequestLost(command, f"{self.url}: {self._why}", sent=True)
        self._watcher.answered((time.monotonic() - began) * 1000)
        if "error" in reply:
            self._spending.refused(cost)
        return result_of(command, reply)

    def _give_up(self, began: float) -> None:
        """Count a request without an answer; of several that waited at the same time, the first."""
        if began < self._gave_up_at:
            return
        self._gave_up_at = time.monotonic()
        self._watcher.unanswered()
        self._unanswered += 1
        if self._unanswered >= UNANSWERED_MAX:
            self.end(f"{self._unanswered} requests in a row without an answer")

    async def _wait_turn(self, command: str, end: float, *, writes: bool) -> None:
        """Wait while the server wants less. Raises RequestLost (not sent) if that is over the time limit."""
        loop = asyncio.get_running_loop()
        while (start := self._pause.until(writes=writes)) > loop.time():
            if start >= end:
                raise RequestLost(command, f"{self.url}: the server wants less load for longer", sent=False)
            await asyncio.sleep(start - loop.time())
        if not self.alive:
            raise RequestLost(command, f"{self.url}: {self._why}", sent=False)
        if len(self._pending) >= PENDING_MAX:
            raise RequestLost(command, f"{self.url}: {PENDING_MAX} requests wait for answers", sent=False)


def _closed(error: ConnectionClosed) -> str:
    frame = error.rcvd
    return (
        "cut without a close"
        if frame is None
        else f"closed by the server: {frame.code} {frame.reason}".strip()
    )
