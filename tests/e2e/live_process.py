"""An account on the local server, ready to trade live, and the configuration that trades it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from xrpl.core import keypairs

from tests.e2e.helpers import ROOT, wait_for
from tests.e2e.server_process import Wire

Json = dict[str, Any]
NO_RIPPLE = 0x0002_0000
LIMIT = "1000000"


def seed_of(number: int) -> str:
    """Return a seed of our own choosing, the same for the same number."""
    return str(keypairs.generate_seed(f"{number:032x}"))


def address_of(seed: str) -> str:
    """Return a seed's address."""
    return str(keypairs.derive_classic_address(keypairs.derive_keypair(seed)[0]))


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


def live_config(folder: Path, seed: str, issuer: str, endpoint: str, **changed: Mapping[str, Any]) -> Path:
    """Write key file and configuration of a live session; changed: sections with other values."""
    key = folder / "key"
    key.write_text(seed + "\n", encoding="utf-8")
    key.chmod(0o600)
    document = yaml.safe_load((ROOT / "config" / "live_testnet.yaml").read_text(encoding="utf-8"))
    document["pair"]["quote_issuer"] = issuer
    document["live"] |= {
        "account": address_of(seed),
        "key_source": f"file:{key}",
        "network_id": 0,
        "endpoints": [endpoint],
    }
    for section, values in changed.items():
        document[section] |= values
    path = folder / "live.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path
