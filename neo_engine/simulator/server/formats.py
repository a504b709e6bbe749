"""How the server writes what a ledger holds: times, entries, headers and transactions, as JSON and binary.

Sources: rippled LedgerToJson.cpp, Transaction.cpp (getJson), DeliverMax.cpp, CTID.h; docs "Binary Format".

A Payment's amount has two names: API version 1 tells `Amount` and `DeliverMax`, version 2 `DeliverMax`
alone, the binary form knows `Amount` only. Whatever form a transaction was given in, `tx_fields` brings it
to the binary form's names, and the two versions are made of that.

>>> iso_time(848513710)
'2026-11-20T18:15:10Z'
>>> ctid(12, 0, 0)
'C000000C00000000'
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from xrpl.constants import XRPLException
from xrpl.core.binarycodec import decode, encode

from neo_engine.simulator.model.amounts import Token, to_wire
from neo_engine.simulator.model.fields import Entry, fields_to_wire
from neo_engine.simulator.model.ledger import CLOSE_RESOLUTION_SECONDS, Header, LedgerTx

Json = dict[str, Any]

_LEDGER_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_CTID_LEDGER_MAX = 0x0FFFFFFF
_CTID_PART_MAX = 0xFFFF
#: What the codec raises for an object or a blob that is none; it promises nothing narrower.
CODEC_FAULTS = (
    XRPLException,
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


def moment(seconds: int) -> datetime:
    """Return the time of a count of seconds since 2000-01-01."""
    return _LEDGER_EPOCH + timedelta(seconds=seconds)


def iso_time(seconds: int) -> str:
    """Return close_time_iso."""
    return moment(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def human_time(seconds: int) -> str:
    """Return close_time_human; the month's English name whatever the locale."""
    when = moment(seconds)
    month = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")[
        when.month - 1
    ]
    return f"{when.year}-{month}-{when:%d %H:%M:%S}.000000000 UTC"


def _plain_json(value: Any) -> Any:
    """Return a field's value with the amounts inside it in wire form (AuctionSlot holds one)."""
    if isinstance(value, Token):
        return to_wire(value)
    if isinstance(value, Mapping):
        return {name: _plain_json(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain_json(one) for one in value]
    return value


def entry_json(index: str, entry: Entry) -> Json:
    """Return a ledger entry as the API has it."""
    told = {name: _plain_json(value) for name, value in fields_to_wire(entry).items()}
    return {**told, "index": index}


def entry_binary(entry: Entry) -> str:
    """Return a ledger entry's binary form as hex."""
    return encode({name: _plain_json(value) for name, value in fields_to_wire(entry).items()})


def header_json(header: Header, api_version: int) -> Json:
    """Return a closed ledger's own fields. Version 1 writes the index as text."""
    index = header.ledger_index
    told: Json = {
        "account_hash": header.account_hash,
        "close_flags": 0,
        "close_time": header.close_time,
        "close_time_human": human_time(header.close_time),
        "close_time_iso": iso_time(header.close_time),
        "close_time_resolution": CLOSE_RESOLUTION_SECONDS,
        "closed": True,
        "ledger_hash": header.ledger_hash,
        "ledger_index": index if api_version > 1 else str(index),
        "parent_close_time": header.parent_close_time,
        "parent_hash": header.parent_hash,
        "total_coins": str(header.total_coins),
        "transaction_hash": header.transaction_hash,
    }
    return told


def header_binary(header: Header) -> str:
    """Return a closed ledger's header as hex (rippled LedgerHeader.cpp, addRaw)."""
    return (
        f"{header.ledger_index:08X}{header.total_coins:016X}{header.parent_hash}{header.transaction_hash}"
        f"{header.account_hash}{header.parent_close_time:08X}{header.close_time:08X}"
        f"{CLOSE_RESOLUTION_SECONDS:02X}00"
    )


def ctid(ledger_index: int, tx_index: int, network_id: int) -> str | None:
    """Return a transaction's compact id, None where the numbers are too large for one."""
    if ledger_index >= _CTID_LEDGER_MAX or tx_index > _CTID_PART_MAX or network_id >= _CTID_PART_MAX:
        return None
    return f"C{ledger_index:07X}{tx_index:04X}{network_id:04X}"


def tx_fields(json: Mapping[str, Any]) -> Json:
    """Return a transaction under the binary form's names, without its hash."""
    told = {name: value for name, value in json.items() if name != "hash"}
    if "DeliverMax" in told and told.get("TransactionType") == "Payment":
        deliver_max = told.pop("DeliverMax")
        told.setdefault("Amount", deliver_max)
    return told


def tx_json(json: Mapping[str, Any], api_version: int) -> Json:
    """Return a transaction without its hash as a version of the API has it."""
    told = tx_fields(json)
    if told.get("TransactionType") == "Payment" and "Amount" in told:
        told["DeliverMax"] = told["Amount"]
        if api_version > 1:
            del told["Amount"]
    return told


def tx_json_v1(item: LedgerTx) -> Json:
    """Return a transaction with its hash, version 1."""
    return {**tx_json(item.tx.json, 1), "hash": item.tx.hash}


def dated(item: LedgerTx, header: Header, network_id: int) -> Json:
    """Return what tells where a validated transaction stands: date, ledger_index and ctid."""
    told: Json = {"date": header.close_time, "ledger_index": header.ledger_index}
    compact = ctid(header.ledger_index, item.index, network_id)
    return told if compact is None else {**told, "ctid": compact}


def tx_blob(json: Mapping[str, Any]) -> str:
    """Return a transaction's binary form as hex. Raises one of CODEC_FAULTS for what is no transaction."""
    return encode(tx_fields(json))


def tx_of_blob(blob: str) -> Json:
    """Return the transaction in a blob. Raises one of CODEC_FAULTS for anything else."""
    return decode(blob)


def meta_blob(meta: Mapping[str, Any]) -> str:
    """Return metadata's binary form as hex; delivered_amount is told by the server only, and left out."""
    return encode({name: value for name, value in meta.items() if name != "delivered_amount"})
