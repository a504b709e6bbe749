"""A server that lacks something: the local one, behind a socket that takes it away."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

Json = dict[str, Any]
JOIN_SECONDS = 10.0


class Lesser:
    """What is taken away; this one takes nothing. asked: every command that came."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def refusal(self, request: Json) -> str | None:
        """Return the error that a request gets in place of the server's answer."""

    def changed(self, message: Json) -> Json:
        """Return what is told in place of a message of the server."""
        return message


class Without(Lesser):
    """Some commands are not there, and no streams of these names."""

    def __init__(self, *commands: str) -> None:
        super().__init__()
        self._commands = set(commands)

    def refusal(self, request: Json) -> str | None:
        """Refuse them as a server refuses what it does not know."""
        if self._commands & set(request.get("streams", ())):
            return "malformedStream"
        return "unknownCmd" if request["command"] in self._commands else None


class OldApi(Lesser):
    """It speaks version 1 of the API and no other (rippled before 2.0)."""

    def refusal(self, request: Json) -> str | None:
        """Refuse other versions (rippled ServerHandler.cpp)."""
        return None if request.get("api_version", 1) == 1 else "invalid_API_version"


class Clio(Lesser):
    """It says of itself what a Clio server says (Clio ServerInfo.hpp, SubscriptionManager, LedgerFeed.cpp).

    reaches: it has a rippled to hand transactions to; without one it knows neither version nor network of it.
    """

    OF_RIPPLED = ("load_factor", "validation_quorum", "network_id")
    ITS_OWN = ("complete_ledgers", "time", "uptime")
    OF_LEDGER = ("age", "hash", "base_fee_xrp", "reserve_base_xrp", "reserve_inc_xrp", "seq")

    def __init__(self, *, reaches: bool = True) -> None:
        super().__init__()
        self._reaches = reaches

    def changed(self, message: Json) -> Json:
        """Give an answer Clio's warning and its server_info, and leave out what its streams do not have."""
        message.pop("fee_ref", None)
        if message.get("type") == "ledgerClosed":
            message.pop("network_id", None)
        if message.get("type") != "response":
            return message
        warning = {"id": 2001, "message": "This is a clio server. clio only serves validated data."}
        message.setdefault("warnings", []).append(warning)
        result = message.get("result", {})
        result.pop("fee_ref", None)
        if "build_version" in result.get("info", {}):
            result["info"] = self._info(result["info"])
        return message

    def _info(self, info: Json) -> Json:
        of_rippled = (*self.OF_RIPPLED,) if self._reaches else ()
        told = {name: info[name] for name in (*self.ITS_OWN, *of_rippled) if name in info}
        last = info["validated_ledger"]
        told["validated_ledger"] = {name: last[name] for name in self.OF_LEDGER if name in last}
        told |= {"clio_version": "2.5.1", "libxrpl_version": "2.5.0", "cache": {"size": 9, "is_full": True}}
        told.setdefault("load_factor", 1)
        return told | ({"rippled_version": info["build_version"]} if self._reaches else {})


@contextmanager
def lesser(url: str, lacks: Lesser) -> Iterator[str]:
    """Serve what the server at `url` serves, but for what is lacking; give the URL of it."""
    upstreams: list[ClientConnection] = []

    def handle(client: ServerConnection) -> None:
        with closing(connect(url, max_size=None, compression=None)) as upstream:
            upstreams.append(upstream)
            back = threading.Thread(target=_told, args=(upstream, client, lacks))
            back.start()
            _asked(client, upstream, lacks)
        back.join()

    one = serve(handle, "127.0.0.1", 0, max_size=None, compression=None)
    thread = threading.Thread(target=one.serve_forever)
    thread.start()
    try:
        yield f"ws://127.0.0.1:{one.socket.getsockname()[1]}"
    finally:
        for upstream in upstreams:
            upstream.close()
        one.shutdown()
        thread.join(JOIN_SECONDS)
        for left in (one.shutdown_watcher, one.shutdown_notifier):
            os.close(left)  # which the library leaves to the end of the process


def _asked(client: ServerConnection, upstream: ClientConnection, lacks: Lesser) -> None:
    with suppress(ConnectionClosed):  # by either side: the other follows
        for frame in client:
            request = json.loads(frame)
            lacks.asked |= {request["command"], *request.get("streams", ())}
            token = lacks.refusal(request)
            if token is None:
                upstream.send(frame)
            else:
                refused = {"id": request["id"], "type": "response", "status": "error", "error": token}
                client.send(json.dumps({**refused, "request": request}))


def _told(upstream: ClientConnection, client: ServerConnection, lacks: Lesser) -> None:
    with suppress(ConnectionClosed):
        for frame in upstream:
            client.send(json.dumps(lacks.changed(json.loads(frame))))
    client.close()
