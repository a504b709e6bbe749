"""How a server is to serve: addresses and limits, and who may reach it."""

from __future__ import annotations

import ipaddress

import msgspec

from neo_engine.domain.errors import UsageError
from neo_engine.simulator.server.client import QUEUE_LIMIT

NEXT_PORT = -1  # of HTTP: the one after the WebSocket's


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where to listen; port 0 takes any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to serve. close_seconds: real seconds between closes, None for closes on request only.

    http: None for no HTTP. public: other machines may connect. unlimited: nobody is charged.
    queue_limit: messages a client may be behind.
    """

    listen: Address
    http: Address | None
    close_seconds: float | None
    public: bool = False
    unlimited: bool = False
    queue_limit: int = QUEUE_LIMIT


def is_loopback(host: str) -> bool:
    """True for an address of this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_public(options: Options) -> None:
    """Raise UsageError if an address is open to others and that was not asked for."""
    for name, address in (("--listen", options.listen), ("--http-listen", options.http)):
        if address is not None and not options.public and not is_loopback(address.host):
            raise UsageError(
                f"{name} {address}: other machines could connect to it; "
                "use 127.0.0.1, or add --public to allow that"
            )
