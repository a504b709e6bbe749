"""tx: one transaction by its hash or its compact id (rippled Tx.cpp)."""

from __future__ import annotations

import re

from neo_engine.simulator.history import StoredTx
from neo_engine.simulator.server.call import Call, Network
from neo_engine.simulator.server.commands.arguments import is_hash, text_of, uint_of
from neo_engine.simulator.server.errors import RpcError
from neo_engine.simulator.server.formats import (
    Json,
    dated,
    iso_time,
    meta_blob,
    tx_blob,
    tx_json,
    tx_json_v1,
)

RANGE_MAX = 1_000  # ledgers
_CTID = re.compile("[Cc]([0-9A-Fa-f]{7})([0-9A-Fa-f]{4})([0-9A-Fa-f]{4})")


def tx(call: Call) -> Json:
    """Return a transaction, validated or not yet. Raises RpcError; searched_all tells a sure absence."""
    params = call.params
    if "transaction" in params and "ctid" in params:
        raise RpcError("invalidParams")
    stored: StoredTx | None = None
    tx_hash = ""
    if "transaction" in params:
        tx_hash = text_of(params["transaction"])
        if not is_hash(tx_hash):
            raise RpcError("notImpl")
    elif "ctid" in params:
        stored = _by_ctid(text_of(params["ctid"]), call.network)
    else:
        raise RpcError("invalidParams")
    span = _span(call)
    if tx_hash:
        stored = call.network.history.tx(tx_hash.upper())
    binary = bool(params.get("binary"))
    if stored is not None:
        return _validated(call, stored, binary=binary)
    return _waiting(call, tx_hash.upper(), span, binary=binary)


def _by_ctid(text: str, network: Network) -> StoredTx | None:
    match = _CTID.fullmatch(text)
    if match is None:
        raise RpcError("invalidParams")
    ledger_index, tx_index, network_id = (int(part, 16) for part in match.groups())
    if network_id != network.network_id:
        raise RpcError(
            "wrongNetwork",
            f"Wrong network. You should submit this request to a node running on NetworkID: {network_id}",
        )
    ledger = network.history.ledger(ledger_index)
    if ledger is None or tx_index >= len(ledger.transactions):
        return None
    return StoredTx(header=ledger.header, item=ledger.transactions[tx_index])


def _span(call: Call) -> tuple[int, int] | None:
    """Return the ledgers to search, None without a range. Raises RpcError for a bad or too wide one."""
    if "min_ledger" not in call.params or "max_ledger" not in call.params:
        return None
    low, high = uint_of(call.params["min_ledger"]), uint_of(call.params["max_ledger"])
    if low is None or high is None or high < low:
        raise RpcError("invalidLgrRange")
    if high - low > RANGE_MAX:
        raise RpcError("excessiveLgrRange")
    return low, high


def _validated(call: Call, stored: StoredTx, *, binary: bool) -> Json:
    item, header = stored.item, stored.header
    place = dated(item, header, call.network.network_id)
    result: Json = {"hash": item.tx.hash, "ledger_index": header.ledger_index, "validated": True}
    if "ctid" in place:
        result["ctid"] = place["ctid"]
    if call.api_version > 1:
        result |= {"close_time_iso": iso_time(header.close_time), "ledger_hash": header.ledger_hash}
        if binary:
            return result | {"meta_blob": meta_blob(item.meta), "tx_blob": tx_blob(item.tx.json)}
        return result | {"meta": item.meta, "tx_json": {**tx_json(item.tx.json, 2), **place}}
    result |= {**place, "inLedger": header.ledger_index}
    if binary:
        return result | {"meta": meta_blob(item.meta), "tx": tx_blob(item.tx.json)}
    return {**tx_json_v1(item), **result, "meta": item.meta}


def _waiting(call: Call, tx_hash: str, span: tuple[int, int] | None, *, binary: bool) -> Json:
    """Return a transaction of the open ledger. Raises RpcError if it is not there either."""
    history = call.network.history
    for item in call.network.open_ledger.transactions:
        if item.tx.hash != tx_hash:
            continue
        if call.api_version > 1:
            told = {"tx_blob": tx_blob(item.tx.json)} if binary else {"tx_json": tx_json(item.tx.json, 2)}
            return {**told, "hash": tx_hash, "validated": False}
        body = {"tx": tx_blob(item.tx.json), "hash": tx_hash} if binary else tx_json_v1(item)
        return {**body, "validated": False}
    if span is None:
        raise RpcError("txnNotFound")
    searched = bool(history.first) and history.first <= span[0] and span[1] <= history.last
    raise RpcError("txnNotFound", fields={"searched_all": searched})
