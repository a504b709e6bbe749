"""A real server on a loopback port that takes alerts, well or badly, and notes what it got."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Receiver(http.server.ThreadingHTTPServer):
    """answers: the status of each request in turn, the last one for all that follow.

    0 hangs until the server ends; -1 sends its status line a letter at a time.
    """

    daemon_threads = False
    block_on_close = True

    def __init__(self, answers: list[int], delay_seconds: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = answers
        self.delay_seconds = delay_seconds
        self.got: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.ending = threading.Event()

    @property
    def url(self) -> str:
        """Where to post to; the path stands for the key that real ones have in it."""
        return f"http://127.0.0.1:{self.server_address[1]}/services/KEYOFTHEHOOK?thread=1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what some tests are about."""


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        """Note the alert and answer as planned."""
        server = self.server
        server.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        server.paths.append(self.path)
        answer = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
        server.ending.wait(server.delay_seconds)
        if answer == 0:
            server.ending.wait(30)
        elif answer == -1:
            for letter in b"HTTP/1.1 200 OK" * 100:
                self.wfile.write(bytes([letter]))
                if server.ending.wait(0.05):
                    return
        else:
            self.send_response(answer)
            self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def receiver(*answers: int, delay_seconds: float = 0.0) -> Iterator[Receiver]:
    """Serve while the block runs."""
    with Receiver(list(answers) or [200], delay_seconds) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.ending.set()
            server.shutdown()
            thread.join()


def wait_for(condition: Any, seconds: float = 5.0) -> bool:
    """Return whether the condition came true within that time."""
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            return False
        time.sleep(0.005)
    return True
