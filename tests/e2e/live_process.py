"""An account on the local server, ready to trade live, and the configuration that trades it."""

from __future__ import annotations

from typing import Any

from tests.e2e.helpers import wait_for
from tests.e2e.server_process import Wire
from tools.live_account import address_of, live_config, seed_of

__all__ = ["NO_RIPPLE", "address_of", "live_config", "ready_account", "seed_of"]

Json = dict[str, Any]
NO_RIPPLE = 0x0002_0000
LIMIT = "1000000"


def ready_account(wire: Wire, seed: str, *, xrp: str, tokens: str, close: bool = False) -> str:
    """Fund an account, let it trust the network's token and give it some; return the issuer.

    close: have each ledger closed here (a server that closes by itself is waited for).
    """
    account = address_of(seed)
    issuer = str(wire.result("faucet", destination=account, xrp=xrp)["issuer"])
    _next_ledger(wire, close)
    line = {"currency": b"RLUSD".hex().upper().ljust(40, "0"), "issuer": issuer, "value": LIMIT}
    wire.sign_and_submit(seed, TransactionType="TrustSet", Account=account, Flags=NO_RIPPLE, LimitAmount=line)
    _next_ledger(wire, close)
    wire.result("faucet", destination=account, xrp="0", tokens=tokens)
    _next_ledger(wire, close)
    return issuer


def _next_ledger(wire: Wire, close: bool) -> None:
    """Wait until what was sent is validated."""
    if close:
        wire.result("ledger_accept")
        return
    first = wire.result("ledger", ledger_index="validated")["ledger_index"]
    wait_for(
        "two ledgers",
        lambda: wire.result("ledger", ledger_index="validated")["ledger_index"] >= first + 2,
    )
