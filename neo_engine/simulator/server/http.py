"""JSON-RPC over HTTP: a small server in threads of its own, which hands every request to the network's loop.

POST / is the API, POST /accounts the faucet, GET /health tells that the server is up. Bodies, connections
and times are bounded; whoever sends nonsense gets a status and a text, never a stack trace.
"""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Callable
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeout
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import BoundedSemaphore, Thread
from typing import Any, NamedTuple

import msgspec

Json = dict[str, Any]

BODY_LIMIT = 1_000_000  # bytes; rippled Tuning.h, maxRequestSize
CONNECTIONS_MAX = 64
IDLE_SECONDS = 30
ANSWER_SECONDS = 30
_log = logging.getLogger("neo_engine.simulator")


class Answer(NamedTuple):
    """What goes back: the status and either JSON or a text."""

    status: int
    body: Json | str


#: (path, body, address of the client) -> what goes back; called in a thread of this server.
Respond = Callable[[str, bytes, str], Answer]


class HttpServer:
    """Listens from the moment it is made. Raises OSError if the address cannot be had."""

    def __init__(self, host: str, port: int, respond: Respond) -> None:
        self._server = _Server((host, port), respond)
        self._thread = Thread(target=self._server.serve_forever, args=(0.1,), name="http", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop listening; answers under way end by themselves."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], respond: Respond) -> None:
        self.respond = respond
        self._places = BoundedSemaphore(CONNECTIONS_MAX)
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take a connection while there is a place for it, and close it at once otherwise."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection and give its place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """Note a connection that broke; the server goes on."""
        ours = not isinstance(sys.exc_info()[1], OSError)  # a client may go away whenever it likes
        _log.info("http: connection of %s broke", client_address[0], exc_info=ours)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "neo-simulator"
    sys_version = ""
    timeout = IDLE_SECONDS
    server: _Server

    def do_GET(self) -> None:
        if self.path == "/health":
            self._send(Answer(200, {"info": {}}))
        else:
            self._send(Answer(405, "Use POST with a JSON-RPC request.\n"))

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            self.close_connection = True
            self._send(Answer(411, "Content-Length is missing.\n"))
            return
        if int(length) > BODY_LIMIT:
            self.close_connection = True
            self._send(Answer(413, f"The request is longer than {BODY_LIMIT} bytes.\n"))
            return
        body = self.rfile.read(int(length))
        try:
            answer = self.server.respond(self.path.split("?")[0], body, self.client_address[0])
        except (FutureTimeout, CancelledError, RuntimeError) as error:  # the loop is ending or stuck
            _log.warning("http: no answer: %r", error)
            answer = Answer(503, "The server is not ready.\n")
        self._send(answer)

    def _send(self, answer: Answer) -> None:
        text = isinstance(answer.body, str)
        data = answer.body.encode() if isinstance(answer.body, str) else msgspec.json.encode(answer.body)
        self.send_response(answer.status)
        self.send_header("Content-Type", "text/plain" if text else "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        _log.debug("http: %s", format % args)
