"""An account of our own choosing, and the configuration that trades it on a local server."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from xrpl.core import keypairs

ROOT = Path(__file__).resolve().parents[1]


def seed_of(number: int) -> str:
    """Return a seed of our own choosing, the same for the same number."""
    return str(keypairs.generate_seed(f"{number:032x}"))


def address_of(seed: str) -> str:
    """Return a seed's address."""
    return str(keypairs.derive_classic_address(keypairs.derive_keypair(seed)[0]))


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
