"""What is asked of the server itself: its state, its fees, a sign of life; and payment paths.

Path finding is not part of the model: ripple_path_find checks its request as rippled does and answers
that there is no path.
"""

from __future__ import annotations

import secrets
from typing import Any

from base58 import XRP_ALPHABET, b58decode_check

from neo_engine.domain.errors import BadNumber
from neo_engine.simulator.model.amounts import from_wire
from neo_engine.simulator.server.call import Call
from neo_engine.simulator.server.commands.accounts import currencies
from neo_engine.simulator.server.commands.arguments import is_address, text_of
from neo_engine.simulator.server.commands.selection import account_root, select
from neo_engine.simulator.server.errors import RpcError, missing_field
from neo_engine.simulator.server.formats import Json

_NODE_KEY_PREFIX, _NODE_KEY_BYTES = 28, 34  # of a node's public key in base58
_NODE_KEY_CHARS_MAX = 60
RANDOM_BYTES = 32


def server_info(call: Call) -> Json:
    """Return how the server is, for people."""
    return call.network.server_info()


def server_state(call: Call) -> Json:
    """Return how the server is, for programs."""
    return call.network.server_state()


def fee(call: Call) -> Json:
    """Return what a transaction costs now."""
    return call.network.fee_report()


def ping(call: Call) -> Json:
    """Return nothing, or what an admin is told of himself; unlimited: he is not charged for requests."""
    if not call.admin:
        return {}
    charged = call.client is not None and not call.client.unlimited
    return {"role": "admin"} if charged else {"role": "admin", "unlimited": True}


def random(call: Call) -> Json:  # noqa: ARG001
    """Return 256 bits that nobody can foresee."""
    return {"random": secrets.token_hex(RANDOM_BYTES).upper()}


def manifest(call: Call) -> Json:
    """Return what is known of a validator's key: nothing, there are no validators. Raises RpcError."""
    if "public_key" not in call.params:
        raise missing_field("public_key")
    key = text_of(call.params["public_key"])
    if not _is_node_key(key):
        raise RpcError("invalidParams", fields={"requested": key})
    return {"requested": key}


def _is_node_key(key: str) -> bool:
    if len(key) > _NODE_KEY_CHARS_MAX:
        return False
    try:
        raw = b58decode_check(key, alphabet=XRP_ALPHABET)
    except ValueError:
        return False
    return len(raw) == _NODE_KEY_BYTES and raw[0] == _NODE_KEY_PREFIX


def ledger_accept(call: Call) -> Json:
    """Close the open ledger."""
    return call.network.accept()


def faucet(call: Call) -> Json:
    """Fund an account: a command of this server alone. Raises RpcError."""
    return call.network.faucet(dict(call.params))


def ripple_path_find(call: Call) -> Json:
    """Return no path between two accounts. Raises RpcError for a bad request."""
    params = call.params
    source = _party(call, "source_account", "srcAct")
    destination = _party(call, "destination_account", "dstAct")
    if "destination_amount" not in params:
        raise RpcError("dstAmtMissing")
    amount: Any = params["destination_amount"]
    try:
        from_wire(amount, "destination_amount")
    except BadNumber:
        raise RpcError("dstAmtMalformed") from None
    ledger = select(call)
    if account_root(ledger, source) is None:
        raise RpcError("srcActNotFound")
    receivable: list[str] = []
    if account_root(ledger, destination) is not None:
        receivable, _ = currencies(ledger, destination)
    result: Json = {
        **ledger.where(),
        "alternatives": [],
        "destination_account": destination,
        "destination_amount": amount,
        "destination_currencies": [*receivable, "XRP"],
        "full_reply": True,
        "source_account": source,
    }
    return {**result, "id": params["id"]} if "id" in params else result


def _party(call: Call, name: str, token: str) -> str:
    if name not in call.params:
        raise RpcError(f"{token}Missing")
    value = call.params[name]
    if not isinstance(value, str) or not is_address(value):
        raise RpcError(f"{token}Malformed")
    return value
