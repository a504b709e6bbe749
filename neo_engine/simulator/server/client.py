"""One client as the network sees it: what he may do, and a bounded queue of messages for him.

Every message to a client passes `Client.send`: replies and streams alike. The socket's side takes the
queue with `take` and writes it; while it is still writing what it took, the queue grows, and past its
limit the client is cut with code 1008, as rippled does (BaseWSPeer.h, `send`): a slow reader must not make
the server hold the whole market for him.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

QUEUE_LIMIT = 500  # rippled's example configuration, send_queue_limit
BURST_LIMIT = 50_000  # messages of one ledger, handed over before the socket had its turn
POLICY_VIOLATION = 1008
TOO_SLOW = "Policy error: client is too slow."


class Client:
    """A connection. address: the host it came from, whose load it shares.

    admin: may use the commands that change the network. unlimited: is never charged for its requests.
    api_version: of its last `subscribe`, which decides the form of its streams. writing: the socket has
    not yet taken what it was given. silent: dropped for overload, nothing is answered any more.
    """

    def __init__(
        self,
        address: str,
        *,
        admin: bool = True,
        unlimited: bool = True,
        queue_limit: int = QUEUE_LIMIT,
        wake: Callable[[], None] | None = None,
    ) -> None:
        self.address = address
        self.admin = admin
        self.unlimited = unlimited
        self.api_version = 1
        self.writing = False
        self.silent = False
        self.closing: tuple[int, str] | None = None
        self._queue: deque[bytes] = deque()
        self._limit = queue_limit
        self._wake = wake or _nobody_waits

    def __len__(self) -> int:
        return len(self._queue)

    def send(self, message: bytes) -> None:
        """Queue a message; the client is cut if he is too far behind. Nothing goes to one who is closing."""
        if self.closing is not None or self.silent:
            return
        if len(self._queue) >= (self._limit if self.writing else BURST_LIMIT):
            self._queue.clear()
            self.close(POLICY_VIOLATION, TOO_SLOW)
            return
        self._queue.append(message)
        self._wake()

    def take(self) -> list[bytes]:
        """Return and forget everything queued."""
        messages = list(self._queue)
        self._queue.clear()
        return messages

    def close(self, code: int, reason: str) -> None:
        """Ask for the connection to be closed once what is queued was written; the first reason stays."""
        if self.closing is None:
            self.closing = (code, reason)
            self._wake()


def _nobody_waits() -> None:
    """Stand in for the socket of a client that has none."""
