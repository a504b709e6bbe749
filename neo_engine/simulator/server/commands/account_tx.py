"""account_tx: an account's transactions, newest or oldest first (rippled AccountTx.cpp).

Theory. Version 1 clips a range to what the server has and only then finds it empty (lgrIdxsInvalid);
version 2 refuses a bound outside (lgrIdxMalformed) and a range turned round (invalidLgrRange). -1, or any
negative bound, means none. The marker names the first transaction not yet told.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from neo_engine.simulator.history import StoredTx
from neo_engine.simulator.server.call import Call
from neo_engine.simulator.server.commands.arguments import (
    ACCOUNT_PAGES,
    UINT32_MAX,
    address,
    is_address,
    is_hash,
    limit_of,
    text_of,
    uint_of,
)
from neo_engine.simulator.server.commands.selection import (
    Ledger,
    by_hash,
    by_index,
    last_ledger,
    open_ledger,
)
from neo_engine.simulator.server.errors import RpcError, invalid_field, invalid_params
from neo_engine.simulator.server.formats import (
    Json,
    dated,
    iso_time,
    meta_blob,
    tx_blob,
    tx_json,
    tx_json_v1,
)

PAGE_JSON = 200  # more only for an admin, whatever `limit` says
PAGE_BINARY = 500
_BAD_MARKER = (
    "invalid marker. Provide ledger index via ledger field, and transaction sequence number via seq field"
)
Place = tuple[int, int]


def account_tx(call: Call) -> Json:
    """Return a page of an account's transactions in a range of ledgers. Raises RpcError."""
    params = call.params
    for name in ("binary", "forward"):
        if call.api_version > 1 and not isinstance(params.get(name, False), bool):
            raise invalid_field(name)
    limit = limit_of(call, ACCOUNT_PAGES)
    account = address(call)
    if not is_address(account):
        raise RpcError("actMalformed")
    first, last = _range(call)
    start = _marker(params["marker"]) if "marker" in params else None
    binary, forward = bool(params.get("binary")), bool(params.get("forward"))
    found = _from(call.network.history.account_txs(account, first, last, forward=forward), start, forward)
    size = limit if call.admin else min(limit, PAGE_BINARY if binary else PAGE_JSON)
    page, following = _cut(found, size)
    result: Json = {
        "account": account,
        "ledger_index_max": last,
        "ledger_index_min": first,
        "limit": limit,
        "transactions": [_told(call, stored, binary=binary) for stored in page],
        "validated": True,
    }
    if following is not None:
        result["marker"] = {"ledger": following[0], "seq": following[1]}
    return result


def _bound(value: Any, none: int) -> int:
    """Return a bound of the range, `none` for a negative one. Raises RpcError for no number."""
    if isinstance(value, int) and value < 0:
        return none
    number = uint_of(value)
    if number is None:
        raise RpcError("internal")
    return number


def _range(call: Call) -> Place:
    """Return the first and the last ledger to search. Raises RpcError."""
    params = call.params
    last_index = call.network.chain.header.ledger_index
    kept = call.network.history.first or last_index, last_index
    bounds = [name for name in ("ledger_index_min", "ledger_index_max") if name in params]
    if call.api_version > 1 and bounds and ("ledger_hash" in params or "ledger_index" in params):
        raise invalid_params("invalidParams")
    if bounds:
        low = _bound(params.get("ledger_index_min", -1), 0)
        high = _bound(params.get("ledger_index_max", -1), UINT32_MAX)
        return _clipped(call.api_version, (low, high), kept)
    ledger = _one_ledger(call)
    if ledger is None:
        return kept
    if ledger.header is None or not kept[0] <= ledger.index <= kept[1]:
        raise RpcError("lgrNotValidated")
    return ledger.index, ledger.index


def _clipped(api_version: int, wanted: Place, kept: Place) -> Place:
    low, high = wanted
    if api_version > 1 and ((high > kept[1] and high != UINT32_MAX) or (low < kept[0] and low)):
        raise RpcError("lgrIdxMalformed")
    first, last = max(low, kept[0]), min(high, kept[1])
    if last < first:
        raise RpcError("lgrIdxsInvalid" if api_version == 1 else "invalidLgrRange")
    return first, last


def _one_ledger(call: Call) -> Ledger | None:
    """Return the one ledger that is asked for, None for all. Raises RpcError."""
    params = call.params
    if "ledger_hash" in params:
        value = params["ledger_hash"]
        if not isinstance(value, str):
            raise invalid_params("ledgerHashNotString")
        if not is_hash(value):
            raise invalid_params("ledgerHashMalformed")
        return by_hash(call.network, value)
    if "ledger_index" not in params:
        return None
    value = params["ledger_index"]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        number = uint_of(value)
        if number is None:
            raise RpcError("internal")
        return by_index(call.network, number)
    name = text_of(value)
    if name in ("", "current"):
        return open_ledger(call.network)
    if name in ("closed", "validated"):
        return last_ledger(call.network)
    raise invalid_params("ledger_index string malformed")


def _marker(value: Any) -> Place:
    """Return ledger and index in it where a page goes on. Raises RpcError."""
    if isinstance(value, dict) and "ledger" in value and "seq" in value:
        ledger, seq = uint_of(value["ledger"]), uint_of(value["seq"])
        if ledger is not None and seq is not None:
            return ledger, seq
    raise invalid_params(_BAD_MARKER)


def _place(stored: StoredTx) -> Place:
    return stored.header.ledger_index, stored.item.index


def _from(found: Iterator[StoredTx], start: Place | None, forward: bool) -> Iterator[StoredTx]:
    for stored in found:
        at = _place(stored)
        if start is None or (at >= start if forward else at <= start):
            yield stored


def _cut(found: Iterator[StoredTx], size: int) -> tuple[list[StoredTx], Place | None]:
    page: list[StoredTx] = []
    for stored in found:
        if len(page) == size:
            return page, _place(stored)
        page.append(stored)
    return page, None


def _told(call: Call, stored: StoredTx, *, binary: bool) -> Json:
    item, header = stored.item, stored.header
    if binary:
        meta_name = "meta_blob" if call.api_version > 1 else "meta"
        return {
            "ledger_index": header.ledger_index,
            meta_name: meta_blob(item.meta),
            "tx_blob": tx_blob(item.tx.json),
            "validated": True,
        }
    place = dated(item, header, call.network.network_id)
    if call.api_version == 1:
        tx = {**tx_json_v1(item), **place, "inLedger": header.ledger_index}
        return {"meta": item.meta, "tx": tx, "validated": True}
    return {
        "close_time_iso": iso_time(header.close_time),
        "hash": item.tx.hash,
        "ledger_hash": header.ledger_hash,
        "ledger_index": header.ledger_index,
        "meta": item.meta,
        "tx_json": {**tx_json(item.tx.json, 2), **place},
        "validated": True,
    }
