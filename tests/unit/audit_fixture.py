"""Servers in process for tests of the audit: the recorded network, and one that answers wrongly on demand."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

from neo_engine.domain.assets import IssuedAsset, Pair, currency_code
from neo_engine.simulator.server.dispatch import answer
from neo_engine.simulator.server.network import Network
from neo_engine.xrpl.codec import Codec
from neo_engine.xrpl.server import RequestRefused
from tests.unit.network_fixture import RECORDED, RecordedOrder, recorded_network, replay

Json = dict[str, Any]
Bend = Callable[[str, Json, Json], Json]

#: Accounts of the recorded submits, by what they did.
MAKER = "rJReafc8qUYmCXCPT2uSMyHLaVawLMk84B"
TAKER = "rPqTB73iaXTarVqFePUUALbYwUojb7Ju5Q"
CLAWED_BACK = "rnfghvUtK6zwhU7ih2JWFD3GSxVSjJeyo7"
TOKEN = IssuedAsset(currency=currency_code("RLUSD"), issuer="rnoVoABTJKx8s8itTCruCBroNHywK4RM3L")
CODEC = Codec(pair=Pair(quote=TOKEN))
LAST = 12  # the last ledger of the recorded network


class InProcess:
    """A server without a socket. bend: changes answers, given command, parameters and the right result."""

    def __init__(self, network: Network, bend: Bend | None = None) -> None:
        self.network = network
        self.bend = bend
        self.asked: list[tuple[str, Json]] = []

    def request(self, command: str, *, timeout_seconds: float = 10.0, **parameters: Any) -> Json:
        assert timeout_seconds > 0
        self.asked.append((command, parameters))
        frame = json.dumps({"command": command, "api_version": 2, **parameters})
        reply = answer(frame, self.network, None)
        if reply["status"] == "error":
            raise RequestRefused(command, reply["error"], str(reply.get("error_message")), reply)
        result: Json = json.loads(json.dumps(reply["result"]))
        return result if self.bend is None else self.bend(command, parameters, result)


@cache
def _closed_network() -> Network:
    """Return the network of the recorded transactions, all of them validated; nobody changes it."""
    network = recorded_network(RecordedOrder)
    replay(network)
    while network.open_ledger.index <= LAST:
        network.close()
    return network


def recorded_server(bend: Bend | None = None) -> InProcess:
    """Return a server on the recorded transactions."""
    return InProcess(_closed_network(), bend)


def recorded_hashes(account: str) -> set[str]:
    """Return the validated transactions that touch an account, as the real server's metadata says."""
    found = set()
    for told in RECORDED:
        fields = [
            node[kind].get("FinalFields", node[kind].get("NewFields", {}))
            for node in (told.get("meta") or {}).get("AffectedNodes", ())
            for kind in node
        ]
        if account in json.dumps(fields):
            found.add(told["hash"])
    return found
