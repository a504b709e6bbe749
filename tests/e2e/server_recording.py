"""A proxy between clients and the server that notes every frame, and closes ledgers between them.

What it notes, in the order in which the server saw it:

    {"client": 1, "sent": ...}  {"client": 1, "received": ...}      frames of a socket, as JSON
    {"posted": path, "body": ..., "status": 200, "answer": ...}     an HTTP request with its answer
    {"closed": 7}                                                   a ledger

Everything happens under one lock, and ledgers close by request only, so that the same notes played again
give the same ledgers. `python -m tests.e2e.server_recording xrplpy FILE` (or xrpljs) cuts the notes of a
whole life to what tests/data keeps.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

from neo_engine.simulator.server.genesis import ISSUER_SEED
from tests.e2e.helpers import ROOT, environment
from tests.e2e.server_process import REPLY_SECONDS, Json, Running, Wire, server

JS = ROOT / "tests" / "js"
START_TIME = "848513700"  # any, but the same whenever the notes are played
LIFE_SECONDS = 120.0  # each step waits for a ledger, and both clients look once a second
POLLED = frozenset({"server_info", "account_info", "fee", "ledger", "tx"})
POLLS_KEPT = 4
CLOSE_SECONDS = 0.25
POLL_SECONDS = 0.005


class Recorder:
    """The notes and the lock. ws, http: where clients connect."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.notes: list[Json] = []
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.ws = self.http = ""
        self._clients = 0

    def serve_socket(self, client: ServerConnection) -> None:
        """Pass frames on for one client until either side ends."""
        with self.lock:
            self._clients += 1
            number = self._clients
        server: ClientConnection = connect(self.running.ws, max_size=None, compression=None)
        with closing(server):
            try:
                while not self.ended.is_set():
                    self._turn(number, client, server)
            except ConnectionClosed:
                return

    def _turn(self, number: int, client: ServerConnection, server: ClientConnection) -> None:
        try:
            frame = str(client.recv(timeout=POLL_SECONDS))
        except TimeoutError:
            frame = ""
        with self.lock:
            if frame:
                request = json.loads(frame)
                self.notes.append({"client": number, "sent": request})
                server.send(frame)
                while self._pass_on(number, client, server, REPLY_SECONDS).get("id") != request.get("id"):
                    pass
            while self._pass_on(number, client, server, 0):
                pass

    def _pass_on(self, number: int, client: ServerConnection, server: ClientConnection, wait: float) -> Json:
        try:
            frame = str(server.recv(timeout=wait))
        except TimeoutError:
            return {}
        message = dict(json.loads(frame))
        self.notes.append({"client": number, "received": message})
        client.send(frame)
        return message

    def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Pass an HTTP request on."""
        request = Request(self.running.http + path, data=body, headers={"Content-Type": "application/json"})
        with self.lock:
            try:
                with urlopen(request, timeout=REPLY_SECONDS) as answer:
                    status, told = int(answer.status), bytes(answer.read())
            except HTTPError as error:
                status, told = error.code, error.read()
            note = {"posted": path, "body": json.loads(body), "status": status, "answer": json.loads(told)}
            self.notes.append(note)
        return status, told

    def close_ledgers(self) -> None:
        """Close a ledger every so often until the end."""
        with Wire(self.running.ws) as wire:
            while not self.ended.wait(CLOSE_SECONDS):
                with self.lock:
                    current = wire.result("ledger_accept")["ledger_current_index"]
                    self.notes.append({"closed": current - 1})


@contextmanager
def recorded(running: Running) -> Iterator[Recorder]:
    """Stand between clients and a server until the block ends."""
    recorder = Recorder(running)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, told = recorder.post(self.path, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=UTF-8")
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sockets = serve(recorder.serve_socket, "127.0.0.1", 0, max_size=None, compression=None)
    recorder.http = f"http://127.0.0.1:{http.server_address[1]}"
    recorder.ws = f"ws://127.0.0.1:{sockets.socket.getsockname()[1]}"
    threads = [
        threading.Thread(target=work)
        for work in (http.serve_forever, sockets.serve_forever, recorder.close_ledgers)
    ]
    for thread in threads:
        thread.start()
    try:
        yield recorder
    finally:
        recorder.ended.set()
        http.shutdown()
        http.server_close()
        sockets.shutdown()
        for thread in threads:
            thread.join(REPLY_SECONDS)
        for end in ("shutdown_watcher", "shutdown_notifier"):  # a pipe that websockets 15 never closes
            if hasattr(sockets, end):
                os.close(getattr(sockets, end))


def find_node() -> tuple[str, str]:
    """Return the program node and the folder with xrpl.js; the second is empty if either is missing."""
    node = shutil.which("node") or ""
    folders = [*os.environ.get("NODE_PATH", "").split(os.pathsep), str(JS / "node_modules")]
    return node, next((one for one in folders if node and one and (Path(one) / "xrpl").is_dir()), "")


def life(which: str) -> tuple[Json, list[Json]]:
    """Let a client live its life on a fresh network; return what it tells and the notes."""
    arguments = ("--close-every", "manual", "--admin", "--start-time", START_TIME)
    with server(*arguments) as running, recorded(running) as recorder:
        python = [sys.executable, "-m", "tests.e2e.life_xrplpy", recorder.ws, recorder.http, ISSUER_SEED]
        node, packages = find_node()
        host = recorder.http.removeprefix("http://")
        script = [node, str(JS / "life.mjs"), recorder.ws, host, ISSUER_SEED]
        done = subprocess.run(
            python if which == "xrplpy" else script,
            capture_output=True,
            text=True,
            timeout=LIFE_SECONDS,
            env={**environment(), "NODE_PATH": packages},
            cwd=ROOT,
            check=False,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout)), recorder.notes


def cut(notes: list[Json]) -> list[Json]:
    """Leave out polling beyond the first few of each kind, and most stream messages."""
    seen: Counter[str] = Counter()
    kept, dropped = [], set()
    for note in notes:
        request = note.get("sent") or note.get("body") or {}
        name = request.get("command") or request.get("method") or ""
        message = note.get("received", {})
        if name in POLLED:
            seen[name] += 1
            if seen[name] > POLLS_KEPT:
                dropped.add(request.get("id"))
                continue
        elif message.get("type") == "response":
            if message["id"] in dropped:
                continue
        elif message:
            seen[message["type"]] += 1
            if seen[message["type"]] > POLLS_KEPT:
                continue
        kept.append(note)
    return kept


if __name__ == "__main__":
    _told, _notes = life(sys.argv[1])
    _lines = [json.dumps(note, separators=(",", ":"), sort_keys=True) for note in cut(_notes)]
    Path(sys.argv[2]).write_text("\n".join(_lines) + "\n", encoding="utf-8")
