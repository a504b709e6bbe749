"""A server as the rest of the engine sees it: one request, one answer, and what can go wrong with it.

Who asks blocks until the answer, the refusal or the time limit. A refusal is the server's own word and
final for that request; a loss says nothing about what the server did with it. Nobody may read a loss as a
refusal: a transaction whose submit was lost may be on the ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from neo_engine.domain.errors import NeoError

Json = dict[str, Any]
API_VERSION = 2  # what every request asks for
UNKNOWN_COMMAND = "unknownCmd"
OTHER_API = "invalid_API_version"


class RequestRefused(NeoError):
    """The server answered with an error. token: its name (actNotFound); reply: the whole answer."""

    def __init__(self, command: str, token: str, text: str, reply: Json) -> None:
        super().__init__(f"{command}: {token}: {text}")
        self.command = command
        self.token = token
        self.reply = reply


class RequestLost(NeoError):
    """No answer came: the socket closed, the time limit passed, or no server can be reached.

    sent: the request may have reached a server.
    """

    def __init__(self, command: str, why: str, *, sent: bool) -> None:
        super().__init__(f"{command}: {why}")
        self.command = command
        self.sent = sent


class Server(Protocol):
    """Where requests go; `xrpl/gateway.py` is the real one."""

    def request(self, command: str, *, timeout_seconds: float = 10.0, **parameters: Any) -> Json:
        """Return the `result` of the answer. Raises RequestRefused or RequestLost."""


class Pipeline(Server, Protocol):
    """A server that takes further requests before it has answered the first ones."""

    def begin(self, command: str, *, timeout_seconds: float = 10.0, **parameters: Any) -> Callable[[], Json]:
        """Have a request sent, a write behind the writes begun before it, and return at once.

        The function returned waits for the end of it: it returns and raises what `request` does.
        """
