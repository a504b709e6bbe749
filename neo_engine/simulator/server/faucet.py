"""Money for newcomers: XRP from the genesis account, tokens from the network's issuer.

Both are parties of the model itself, so their payments need no signature. The answer over HTTP has what
xrpl-py's `generate_faucet_wallet` and xrpl.js's `fundWallet` look for.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Protocol

from xrpl.constants import CryptoAlgorithm
from xrpl.core import addresscodec, keypairs

from neo_engine.domain.errors import BadNumber
from neo_engine.domain.number import DOWN, drops_from_xrp, parse_number, plain
from neo_engine.simulator.model import keys
from neo_engine.simulator.model.genesis import GENESIS_ACCOUNT
from neo_engine.simulator.model.tx import Tx
from neo_engine.simulator.server import signing
from neo_engine.simulator.server.errors import RpcError, invalid_field
from neo_engine.simulator.server.genesis import RLUSD
from neo_engine.simulator.server.reports import Situation

Json = dict[str, Any]

DEFAULT_XRP = Decimal(1000)
XRP_MAX = Decimal(10_000_000)  # a call; the genesis account has 100 billion
TOKENS_MAX = Decimal(1_000_000_000)


class Ledger(Protocol):
    """The open ledger, as far as a payment needs it."""

    def account(self, address: str) -> tuple[int, int]:
        """Return an account's sequence and drops, zeros if there is none."""


class Network(Protocol):
    """What the faucet needs of the network."""

    @property
    def open_ledger(self) -> Ledger:
        """The ledger that is being filled."""

    @property
    def issuer(self) -> str:
        """Who issues the network's token."""

    def situation(self) -> Situation:
        """Return what the fee is made of."""

    def add_internal(self, tx: Tx) -> str:
        """Take in an unsigned transaction; return its preliminary result."""


def pay(network: Network, sender: str, destination: str, amount: Any) -> Json:
    """Send a payment of a party of the model; return its hash and preliminary result."""
    sequence, _ = network.open_ledger.account(sender)
    tx_json = {
        "TransactionType": "Payment",
        "Account": sender,
        "Destination": destination,
        "Amount": amount,
        "Fee": str(network.situation().open_cost),
        "Sequence": sequence,
        "SigningPubKey": "",
    }
    tx_hash = signing.hash_of(tx_json)
    result = network.add_internal(signing.make_tx(tx_json, tx_hash))
    return {"hash": tx_hash, "engine_result": result}


def faucet(network: Network, params: Mapping[str, Any]) -> Json:
    """Fund `destination` with `xrp` (1000 if not given) and, where he trusts the issuer, `tokens`.

    Both are exact decimal texts or whole numbers in units of the asset. The answer names the token's issuer,
    whom a trust line must name. Raises RpcError for bad fields.
    """
    destination = params.get("destination")
    if not isinstance(destination, str):
        raise invalid_field("destination")
    try:
        keys.account_id(destination)
    except BadNumber as error:
        raise RpcError("actMalformed") from error
    xrp = _amount(params, "xrp", XRP_MAX, DEFAULT_XRP)
    tokens = _amount(params, "tokens", TOKENS_MAX, Decimal(0))
    told: Json = {
        "account": destination,
        "xrp": plain(xrp),
        "tokens": plain(tokens),
        "currency": RLUSD,
        "issuer": network.issuer,
        "payments": [],
    }
    if xrp:
        drops = str(drops_from_xrp(xrp, DOWN))
        told["payments"].append(pay(network, GENESIS_ACCOUNT, destination, drops))
    if tokens:
        issuer = network.issuer
        amount = {"currency": RLUSD, "issuer": issuer, "value": plain(tokens)}
        told["payments"].append(pay(network, issuer, destination, amount))
    return told


def _amount(params: Mapping[str, Any], name: str, most: Decimal, default: Decimal) -> Decimal:
    given = params.get(name)
    if given is None:
        return default
    try:
        value = parse_number(str(given), name)
    except BadNumber as error:
        raise invalid_field(name) from error
    if not 0 <= value <= most:
        raise RpcError("invalidParams", f"Field '{name}' must lie within 0 and {plain(most)}.")
    return value


def fund(network: Network, params: Mapping[str, Any]) -> Json:
    """Answer POST /accounts: fund `destination`, or a new account whose seed is told. Raises RpcError."""
    wanted: Json = {"xrp": params.get("xrpAmount")}
    seed = None
    destination = params.get("destination")
    if destination is None:
        seed = addresscodec.encode_seed(secrets.token_bytes(16), CryptoAlgorithm.ED25519)
        destination = keypairs.derive_classic_address(keypairs.derive_keypair(seed)[0])
    told = faucet(network, {**wanted, "destination": destination})
    account = {"address": destination, "classicAddress": destination}
    payment = told["payments"][0] if told["payments"] else {}
    answer: Json = {
        "account": account if seed is None else {**account, "secret": seed},
        "amount": told["xrp"],
        "balance": told["xrp"],
        "transactionHash": payment.get("hash"),
    }
    return answer if seed is None else {**answer, "seed": seed}
