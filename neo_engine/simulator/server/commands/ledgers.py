"""ledger, ledger_current, ledger_closed and ledger_data (rippled LedgerHandler.cpp, LedgerToJson.cpp)."""

from __future__ import annotations

from bisect import bisect_right

from neo_engine.simulator.model.ledger import LedgerTx
from neo_engine.simulator.server.call import Call
from neo_engine.simulator.server.commands.arguments import is_hash
from neo_engine.simulator.server.commands.entry_types import entry_type
from neo_engine.simulator.server.commands.selection import Ledger, last_ledger, open_ledger, select
from neo_engine.simulator.server.errors import RpcError, expected_field
from neo_engine.simulator.server.formats import (
    Json,
    entry_binary,
    entry_json,
    header_binary,
    header_json,
    iso_time,
    meta_blob,
    tx_blob,
    tx_json,
    tx_json_v1,
)

DATA_PAGE_JSON = 256  # rippled Tuning.h, pageLength
DATA_PAGE_BINARY = 2_048
TYPE_DEPRECATED = 2_004  # warnRPC_FIELDS_DEPRECATED
_TYPE_WARNING = (
    "Some fields from your request are deprecated. Please check the documentation at "
    "https://xrpl.org/docs/references/http-websocket-apis/ and update your request. "
    "Field `type` is deprecated."
)
_NO_HASH = "0" * 64


def ledger(call: Call) -> Json:
    """Return a ledger's header, on demand with its transactions and entries. Raises RpcError."""
    params = call.params
    if not any(name in params for name in ("ledger", "ledger_hash", "ledger_index")):
        told: Json = {
            "closed": {"ledger": _header(last_ledger(call.network), call)},
            "open": {"ledger": _header(open_ledger(call.network), call)},
        }
    else:
        chosen = select(call)
        if (params.get("full") or params.get("accounts")) and not call.admin:
            raise RpcError("noPermission")
        if params.get("queue") and chosen.header is not None:
            raise RpcError("invalidParams")
        told = {**chosen.where(), "ledger": _filled(chosen, call)}
    if "type" in params:
        told["warnings"] = [{"id": TYPE_DEPRECATED, "message": _TYPE_WARNING}]
    return told


def _header(chosen: Ledger, call: Call, *, binary: bool = False) -> Json:
    header = chosen.header
    if header is None:
        if binary:
            return {"closed": False}
        index = chosen.index if call.api_version > 1 else str(chosen.index)
        return {"closed": False, "ledger_index": index, "parent_hash": chosen.parent_hash}
    if binary:
        return {"closed": True, "ledger_data": header_binary(header)}
    return header_json(header, call.api_version)


def _filled(chosen: Ledger, call: Call) -> Json:
    params = call.params
    full, binary = bool(params.get("full")), bool(params.get("binary"))
    expand = full or bool(params.get("expand"))
    told = _header(chosen, call, binary=binary)
    if full or params.get("transactions"):
        items = sorted(chosen.transactions, key=lambda item: item.tx.hash)
        told["transactions"] = [
            _tx(item, chosen, call, binary=binary) if expand else item.tx.hash for item in items
        ]
    if full or params.get("accounts"):
        entries = sorted(chosen.state.entries.items())
        if binary:
            told["accountState"] = [
                {"hash": index, "tx_blob": entry_binary(entry)} for index, entry in entries
            ]
        else:
            told["accountState"] = [entry_json(index, entry) if expand else index for index, entry in entries]
    return told


def _tx(item: LedgerTx, chosen: Ledger, call: Call, *, binary: bool) -> Json:
    version_2 = call.api_version > 1
    closed = chosen.header is not None
    told: Json
    if binary:
        told = {"tx_blob": tx_blob(item.tx.json)}
        if version_2:
            told["hash"] = item.tx.hash
        if closed:
            told["meta_blob" if version_2 else "meta"] = meta_blob(item.meta)
    elif version_2:
        told = {"hash": item.tx.hash, "tx_json": tx_json(item.tx.json, 2), "validated": closed}
        if chosen.header is not None:
            told |= {
                "close_time_iso": iso_time(chosen.header.close_time),
                "ledger_hash": chosen.header.ledger_hash,
                "ledger_index": chosen.index,
                "meta": item.meta,
            }
    else:
        told = tx_json_v1(item)
        if closed:
            told["metaData"] = item.meta
    if call.params.get("owner_funds") and item.owner_funds is not None:
        told["owner_funds"] = item.owner_funds
    return told


def ledger_current(call: Call) -> Json:
    """Return the index of the open ledger."""
    return {"ledger_current_index": call.network.open_ledger.index}


def ledger_closed(call: Call) -> Json:
    """Return index and hash of the last closed ledger."""
    header = call.network.chain.header
    return {"ledger_hash": header.ledger_hash, "ledger_index": header.ledger_index}


def ledger_data(call: Call) -> Json:
    """Return a page of a ledger's entries in the order of their indexes. Raises RpcError.

    The marker is the number before the first entry not told: the page after it begins with what is greater.
    """
    chosen = select(call)
    params = call.params
    marker = params.get("marker")
    if "marker" in params and not (isinstance(marker, str) and is_hash(marker)):
        raise expected_field("marker", "valid")
    binary = bool(params.get("binary"))
    limit = _data_limit(call, DATA_PAGE_BINARY if binary else DATA_PAGE_JSON)
    result = {**chosen.where(), "ledger_index": chosen.index}
    result["ledger_hash"] = _NO_HASH if chosen.header is None else chosen.header.ledger_hash
    if "marker" not in params:
        result["ledger"] = _header(chosen, call, binary=binary)
    wanted = entry_type(call)
    entries = chosen.state.entries
    order = sorted(entries)
    start = bisect_right(order, marker.upper()) if isinstance(marker, str) else 0
    page = order[start : start + limit]
    if start + limit < len(order):
        result["marker"] = f"{int(order[start + limit], 16) - 1:064X}"
    result["state"] = [
        {"data": entry_binary(entries[index]), "index": index}
        if binary
        else entry_json(index, entries[index])
        for index in page
        if wanted is None or entries[index]["LedgerEntryType"] == wanted
    ]
    return result


def _data_limit(call: Call, most: int) -> int:
    value = call.params.get("limit", -1)
    if not isinstance(value, int):
        raise expected_field("limit", "integer")
    return most if value < 0 or (value > most and not call.admin) else int(value)
