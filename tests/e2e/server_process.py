"""The local server as a process, and a plain client that shows every frame."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import Request, urlopen

import msgspec
from websockets.sync.client import ClientConnection, connect

from neo_engine.simulator.server.genesis import ISSUER_ACCOUNT, ISSUER_SEED, RLUSD
from tests.e2e.helpers import Argument, finish, start

Json = dict[str, Any]
REPLY_SECONDS = 10.0
SILENCE_SECONDS = 0.3  # a reply on loopback takes a hundredth of it


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A server: its process and its URLs."""

    process: subprocess.Popen[str]
    ws: str
    http: str

    def post(self, path: str, body: Any) -> Json:
        """Send JSON by HTTP and return the JSON that comes back."""
        data = json.dumps(body).encode()
        request = Request(self.http + path, data=data, headers={"Content-Type": "application/json"})
        with urlopen(request, timeout=REPLY_SECONDS) as answer:
            return dict(json.loads(answer.read()))

    def fund(self, account: str) -> None:
        """Have the faucet fund an account; it is there after the next close."""
        self.post("/accounts", {"destination": account})


@contextmanager
def server(*arguments: Argument) -> Iterator[Running]:
    """Run a server on free ports until the block ends; it must end by SIGINT without a traceback."""
    process = start(["-m", "neo_engine", "simulate", "--listen", "127.0.0.1:0", *arguments])
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("ready: ws://"), (line, process.stderr and process.stderr.read())
        _ready, ws, http = line.split()[:3]
        yield Running(process=process, ws=ws, http=http)
        assert process.poll() is None, "the server ended by itself"
    finally:
        process.send_signal(signal.SIGINT)
        done = finish(process, 20)
    assert "Traceback" not in done.err, done.err[-3000:]


class Wire:
    """A socket: `ask` returns the reply to a request, `streamed` what came without being asked for."""

    def __init__(self, url: str) -> None:
        self.socket: ClientConnection = connect(url, max_size=None, compression=None)
        self.streamed: deque[str] = deque()
        self._id = 0

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_error: object) -> None:
        self.socket.close()

    def tell(self, command: str, **params: Any) -> int:
        """Send a request and return its id."""
        self._id += 1
        self.socket.send(json.dumps({"id": self._id, "command": command, "api_version": 2, **params}))
        return self._id

    def ask(self, command: str, **params: Any) -> Json:
        """Send a request and return its reply."""
        return self._reply_to(self.tell(command, **params))

    def ask_as_it_is(self, request: Json) -> Json:
        """Send a request that has its own id and return its reply."""
        self.socket.send(json.dumps(request))
        return self._reply_to(request["id"])

    def _reply_to(self, wanted: Any) -> Json:
        end = time.monotonic() + REPLY_SECONDS
        while True:
            frame = self.socket.recv(timeout=end - time.monotonic())
            assert isinstance(frame, str)
            reply = json.loads(frame) if f'"id":{json.dumps(wanted)}' in frame else {}
            if reply.get("id") == wanted:
                return dict(reply)
            self.streamed.append(frame)

    def result(self, command: str, **params: Any) -> Json:
        """Send a request that must succeed and return its result."""
        reply = self.ask(command, **params)
        assert reply["status"] == "success", reply
        return dict(reply["result"])

    def sign_and_submit(self, seed: str, **tx_json: Any) -> Json:
        """Have the server sign a transaction and take it in."""
        return self.result("submit", secret=seed, tx_json=tx_json)

    def messages(self) -> list[Json]:
        """Return what was streamed so far; waits until nothing has come for a moment."""
        while (frame := self.next_frame()) is not None:
            self.streamed.append(frame)
        found = [json.loads(frame) for frame in self.streamed]
        self.streamed.clear()
        return found

    def next_frame(self) -> str | None:
        """Return the next frame, None if there is silence."""
        try:
            return str(self.socket.recv(timeout=SILENCE_SECONDS))
        except TimeoutError:
            return None


def token(value: str) -> Json:
    """An amount of the network's own token."""
    return {"currency": RLUSD, "issuer": ISSUER_ACCOUNT, "value": value}


def holder(running: Running, wire: Wire, account: str, seed: str, tokens: str) -> None:
    """Make an account that holds tokens."""
    running.fund(account)
    wire.result("ledger_accept")
    wire.sign_and_submit(seed, TransactionType="TrustSet", Account=account, LimitAmount=token("1000000"))
    wire.result("ledger_accept")
    wire.sign_and_submit(
        ISSUER_SEED,
        TransactionType="Payment",
        Account=ISSUER_ACCOUNT,
        Destination=account,
        Amount=token(tokens),
    )
    wire.result("ledger_accept")
