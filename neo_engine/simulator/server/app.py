"""The sockets of the local server, and the timer that closes its ledgers.

One asyncio loop owns the network: every request, every close and every message happens there, one after
the other. A WebSocket has two tasks, one reads and answers, one writes what `Client` has queued; HTTP
runs in threads that hand their requests to the loop.

A request that fails for a reason of ours is answered with `internal` and logged as an ERROR; the server
stays up. A client who asks for too much is warned, then dropped as rippled drops him: his requests get no
reply any more, and some seconds later the socket is closed with code 1008.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import msgspec
from websockets.asyncio.server import Server as WebSocketServer
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from neo_engine.domain.errors import NeoError, StartupFailure
from neo_engine.domain.request_cost import EXCEPTION, MALFORMED_REQUEST, answered_cost, cost_of
from neo_engine.simulator.server.client import POLICY_VIOLATION, Client
from neo_engine.simulator.server.dispatch import answer, answer_http
from neo_engine.simulator.server.errors import RpcError
from neo_engine.simulator.server.faucet import fund
from neo_engine.simulator.server.http import ANSWER_SECONDS, Answer, HttpServer
from neo_engine.simulator.server.load import Load
from neo_engine.simulator.server.network import MODEL_FAULTS, Network
from neo_engine.simulator.server.options import NEXT_PORT, Address, Options, check_public, is_loopback

Json = dict[str, Any]

FRAME_LIMIT = 1_000_000  # bytes; rippled Tuning.h, maxRequestSize
CLIENTS_MAX = 512
PING_SECONDS = 30
CLOSE_SECONDS = 2  # given to a client to answer a close
SILENCE_SECONDS = 5  # between the last reply and the close of a dropped client, as recorded
THRESHOLD_EXCEEDED = "threshold exceeded"
TRY_AGAIN_LATER = 1013
GOING_AWAY = 1001
FAULTS = (*MODEL_FAULTS, NeoError, RecursionError, RuntimeError)
_log = logging.getLogger("neo_engine.simulator")
_socket_log = logging.getLogger("neo_engine.simulator.sockets")  # the library's own; its INFO is no news
_socket_log.setLevel(logging.WARNING)
_encode = msgspec.json.Encoder(order="sorted").encode


def _calm(record: logging.LogRecord) -> bool:
    """Make one line of what the library takes for an error: a stranger who speaks no WebSocket."""
    if record.msg == "opening handshake failed":
        record.levelno, record.levelname = logging.INFO, "INFO"
        record.exc_info = record.exc_text = None  # the text may have been made already, to redact it
    return True


_socket_log.addFilter(_calm)


class LocalServer:
    """A network on its sockets. Use `run`, or `start` and `stop` around work of one's own."""

    def __init__(self, network: Network, options: Options) -> None:
        check_public(options)
        self.network = network
        self.options = options
        self.load = Load()
        self.clock: Callable[[], float] = time.monotonic
        self._clients: set[Client] = set()
        self._sockets: WebSocketServer | None = None
        self._http: HttpServer | None = None
        self._closer: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> None:
        """Open the sockets and start the timer. Raises StartupFailure if an address cannot be had."""
        self._loop = asyncio.get_running_loop()
        options = self.options
        try:
            self._sockets = await serve(
                self._serve,
                options.listen.host,
                options.listen.port,
                max_size=FRAME_LIMIT,
                ping_interval=PING_SECONDS,
                ping_timeout=PING_SECONDS,
                close_timeout=CLOSE_SECONDS,
                compression=None,
                server_header=None,
                logger=_socket_log,
            )
            if options.http is not None:
                self._http = HttpServer(options.http.host, self._http_port(options.http), self._respond)
        except OSError as error:
            await self.stop()
            wanted = f"{options.listen}" + ("" if options.http is None else f" and {options.http}")
            raise StartupFailure(f"listen: cannot use {wanted}: {error}; choose another port") from error
        if self._http is not None:
            self._http.start()
        ports = [(self.port, "ws"), *([(self._http.port, "http")] if self._http else [])]
        self.network.ports = tuple(ports)
        if options.close_seconds is not None:
            self._closer = asyncio.create_task(self._close_ledgers(options.close_seconds), name="closer")

    def _http_port(self, address: Address) -> int:
        """Return the port for HTTP: the one wanted, or the next after the WebSocket's (NEXT_PORT)."""
        return self.port + 1 if address.port == NEXT_PORT else address.port

    @property
    def port(self) -> int:
        """The WebSocket port."""
        if self._sockets is None:
            return self.options.listen.port
        return int(next(iter(self._sockets.sockets)).getsockname()[1])

    @property
    def addresses(self) -> tuple[str, str | None]:
        """The URLs to connect to: WebSocket, HTTP."""
        socket = Address(host=self.options.listen.host, port=self.port)
        http = None
        if self._http is not None and self.options.http is not None:
            http = f"http://{Address(host=self.options.http.host, port=self._http.port)}"
        return f"ws://{socket}", http

    async def stop(self) -> None:
        """Close everything; clients are told that the server goes away."""
        if self._closer is not None:
            self._closer.cancel()
            await asyncio.gather(self._closer, return_exceptions=True)
        if self._http is not None:
            await asyncio.to_thread(self._http.stop)
        if self._sockets is not None:
            self._sockets.close()
            await self._sockets.wait_closed()

    async def _close_ledgers(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        while True:
            # A close that came late must not be followed by a burst of others.
            await asyncio.sleep(max(due - loop.time(), 0))
            due = max(due + seconds, loop.time())
            self.close_ledger()

    def close_ledger(self) -> None:
        """Close the open ledger; what goes wrong is logged, and tried again at the next close."""
        try:
            self.network.close()
        except FAULTS:
            _log.exception("ledger %d: closing failed", self.network.open_ledger.index)

    async def _serve(self, socket: ServerConnection) -> None:
        address = socket.remote_address[0]
        if len(self._clients) >= CLIENTS_MAX:
            await socket.close(TRY_AGAIN_LATER, "too many clients")
            return
        ready = asyncio.Event()
        request = socket.request
        client = self.make_client(
            address,
            "/" if request is None else request.path,
            socket.transport.abort,
            admin=is_loopback(address),
            unlimited=self.options.unlimited,
            queue_limit=self.options.queue_limit,
            wake=ready.set,
        )
        self._clients.add(client)
        tasks = [
            asyncio.create_task(self._write(socket, client, ready), name="writer"),
            asyncio.create_task(self._read(socket, client), name="reader"),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if client.closing is not None:
                await self._end(socket, client, *tasks)
        finally:
            self._clients.discard(client)
            self.network.streams.forget(client)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, socket: ServerConnection, client: Client) -> None:
        """Deal with each frame until the connection ends or is to be closed."""
        try:
            async for frame in socket:
                self.take(client, frame)
                if client.closing is not None:
                    return
                await asyncio.sleep(0)  # whoever sends without a pause must not keep the loop from others
        except ConnectionClosed as error:
            _log.debug("client %s: %s", client.address, error)

    async def _write(self, socket: ServerConnection, client: Client, ready: asyncio.Event) -> None:
        """Write what is queued until the client is to be closed."""
        try:
            while client.closing is None or len(client):
                await ready.wait()
                ready.clear()
                client.writing = True
                for message in client.take():
                    await socket.send(message, text=True)
                client.writing = False
        except ConnectionClosed as error:
            _log.debug("client %s: %s", client.address, error)

    async def _end(
        self, socket: ServerConnection, client: Client, writer: asyncio.Task[None], reader: asyncio.Task[None]
    ) -> None:
        """Close with the client's code, after what is queued; one who takes nothing is not waited for."""
        await asyncio.wait([writer], timeout=CLOSE_SECONDS)
        writer.cancel()
        reader.cancel()
        await asyncio.gather(writer, reader, return_exceptions=True)
        code, reason = client.closing or (GOING_AWAY, "")
        _log.info("client %s: closed with %d %s", client.address, code, reason)
        await socket.close(code, reason)

    def take(self, client: Client, frame: str | bytes) -> None:
        """Deal with one frame of a client: answer it, or drop him for all he has asked."""
        if client.closing is not None or client.silent:
            return
        if not client.unlimited and self.load.drop(client.address, self._now()):
            self._drop(client)
            return
        reply, cost = self.reply(client, frame)
        if not client.unlimited:
            self.load.charge(client.address, cost, self._now())
            good = reply.get("status") == "success"
            if good and self.load.warn(client.address, self._now()):
                reply = {**reply, "warning": "load"}
        self.send_reply(client, reply)

    def send_reply(self, client: Client, reply: Json) -> None:
        """Queue a reply for its client."""
        client.send(_encode(reply))

    def make_client(self, address: str, path: str, cut: Callable[[], None], **options: Any) -> Client:
        """Return what stands for a new connection. path: of its URL. cut: ends it without a close frame."""
        _log.debug("client %s: connected to %s, cut by %r", address, path, cut)
        return Client(address, **options)

    def seen_by(self, client: Client | None) -> Network:
        """Return the network that answers a client; None: one who asks by HTTP."""
        del client  # here there is but one network for all
        return self.network

    def reply(self, client: Client, frame: str | bytes) -> tuple[Json, int]:
        """Return the reply to a frame and what it cost."""
        text = frame if isinstance(frame, str) else frame.decode("utf-8", "replace")
        cost = _cost(text)
        try:
            reply = answer(frame, self.seen_by(client), client)
        except FAULTS:
            _log.exception("request failed: %.500s", text)
            return internal(text), EXCEPTION
        return reply, answered_cost(cost, refused=reply.get("status") == "error")

    def later(self, seconds: float, deed: Callable[[], None]) -> None:
        """Do something so many seconds from now."""
        asyncio.get_running_loop().call_later(seconds, deed)

    def _now(self) -> int:
        return int(self.clock())

    def _drop(self, client: Client) -> None:
        client.silent = True
        self.later(SILENCE_SECONDS, lambda: client.close(POLICY_VIOLATION, THRESHOLD_EXCEEDED))
        _log.warning("client %s: dropped, %s", client.address, THRESHOLD_EXCEEDED)

    def _respond(self, path: str, body: bytes, address: str) -> Answer:
        """Answer an HTTP request; called in a thread, works in the loop."""
        if self._loop is None:
            return Answer(503, "The server is not ready.\n")
        work = asyncio.run_coroutine_threadsafe(self._answer_http(path, body, address), self._loop)
        return work.result(ANSWER_SECONDS)

    async def _answer_http(self, path: str, body: bytes, address: str) -> Answer:
        limited = not self.options.unlimited
        if limited and self.load.drop(address, self._now()):
            return Answer(503, "Server is overloaded")
        text = body.decode("utf-8", "replace")
        try:
            if path.rstrip("/") == "/accounts":
                return Answer(200, fund(self.network, _object(text)))
            status, reply = answer_http(body, self.seen_by(None), admin=is_loopback(address))
        except RpcError as error:
            return Answer(400, error.body())
        except FAULTS:
            _log.exception("request failed: %.500s", text)
            return Answer(500, {"result": internal(text)})
        if limited:
            self.load.charge(address, _cost(text), self._now())
            result = reply.get("result") if isinstance(reply, dict) else None
            good = isinstance(result, dict) and result.get("status") == "success"
            if isinstance(result, dict) and good and self.load.warn(address, self._now()):
                result["warning"] = "load"
        return Answer(status, reply)


def _cost(text: str) -> int:
    request = _object(text)
    if not request:
        return MALFORMED_REQUEST
    params = request.get("params")
    if "method" in request and isinstance(params, list) and params and isinstance(params[0], dict):
        request = {**params[0], "command": request["method"]}
    return cost_of(request)


def _object(text: str) -> Json:
    """Return the JSON object in a text, an empty one if there is none."""
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return {}


def internal(text: str) -> Json:
    """Return the reply to a request that failed for a reason of ours."""
    request = _object(text)
    reply: Json = {**RpcError("internal").body(), "status": "error", "type": "response", "request": request}
    for name in ("id", "api_version"):
        if name in request:
            reply[name] = request[name]
    return reply
