"""ledger_entry: one entry by what names it (rippled LedgerEntry.cpp, LedgerEntryHelpers.h).

Each parser turns the value of its field into an index. Every kind of entry can be named by its index; those
the model has can be named by their parts as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from neo_engine.simulator.model import keys
from neo_engine.simulator.model.genesis import AMENDMENTS_INDEX
from neo_engine.simulator.server.call import Call
from neo_engine.simulator.server.commands.arguments import (
    currency_code,
    is_address,
    is_hash,
    issue_of,
    uint_of,
)
from neo_engine.simulator.server.commands.entry_types import ENTRY_TYPES
from neo_engine.simulator.server.commands.selection import select
from neo_engine.simulator.server.errors import INVALID_PARAMS, RpcError, invalid_params
from neo_engine.simulator.server.formats import Json, entry_binary, entry_json

_ZERO = "0" * 64
Parser = Callable[[Any, str], str]


def _refused(token: str, message: str) -> RpcError:
    return RpcError(token, message, code=INVALID_PARAMS)


def _bad_field(token: str, name: str, kind: str) -> RpcError:
    return _refused(token, f"Invalid field '{name}', not {kind}.")


def _index(value: Any, name: str) -> str:
    if isinstance(value, str) and is_hash(value):
        return value.upper()
    raise _bad_field("malformedRequest", name, "hex string")


def _required(value: Mapping[str, Any], *names: str) -> None:
    for name in names:
        if value.get(name) is None:
            raise _refused("malformedRequest", f"Missing field '{name}'.")


def _is_account(value: Any) -> bool:
    return isinstance(value, str) and is_address(value) and value != keys.XRP_ISSUER


def _account(value: Mapping[str, Any], name: str, token: str) -> str:
    _required(value, name)
    if not _is_account(value[name]):
        raise _bad_field(token, name, "AccountID")
    return str(value[name])


def _sequence(value: Mapping[str, Any], name: str) -> int:
    _required(value, name)
    given = value[name]
    number = None if isinstance(given, (bool, float)) else uint_of(given)
    if number is None:
        raise _bad_field("malformedRequest", name, "number")
    return number


def _account_root(value: Any, name: str) -> str:
    if not _is_account(value):
        raise _bad_field("malformedAddress", name, "AccountID")
    return keys.account_root(value)


def _amm(value: Any, name: str) -> str:
    if not isinstance(value, Mapping):
        return _index(value, name)
    _required(value, "asset", "asset2")
    one, other = issue_of(value["asset"]), issue_of(value["asset2"])
    if one is None or other is None:
        raise _refused("malformedRequest", "")
    return keys.amm(one, other)


def _directory(value: Any, name: str) -> str:
    if not isinstance(value, Mapping):
        return _index(value, name)
    given = value.get("sub_index", 0)
    number = None if isinstance(given, bool) else uint_of(given)
    if number is None:
        raise _bad_field("malformedRequest", "sub_index", "integer")
    if ("owner" in value) == ("dir_root" in value):
        raise _refused("malformedRequest", "Must have exactly one of `owner` and `dir_root` fields.")
    if "dir_root" in value:
        root = value["dir_root"]
        if not (isinstance(root, str) and is_hash(root)):
            raise _bad_field("malformedDirRoot", "dir_root", "hash")
        return keys.page(root.upper(), number)
    if not _is_account(value["owner"]):
        raise _bad_field("malformedAddress", "owner", "Account")
    return keys.page(keys.owner_directory(value["owner"]), number)


def _offer(value: Any, name: str) -> str:
    if not isinstance(value, Mapping):
        return _index(value, name)
    return keys.offer(_account(value, "account", "malformedAddress"), _sequence(value, "seq"))


def _ripple_state(value: Any, name: str) -> str:
    if not isinstance(value, Mapping):
        return _index(value, name)
    _required(value, "currency", "accounts")
    accounts = value["accounts"]
    if not isinstance(accounts, list) or len(accounts) != 2:
        raise _bad_field("malformedRequest", "accounts", "length-2 array of Accounts")
    if not all(_is_account(account) for account in accounts):
        raise _bad_field("malformedAddress", "accounts", "array of Accounts")
    if accounts[0] == accounts[1]:
        raise _refused("malformedRequest", "Cannot have a trustline to self.")
    given = value["currency"]
    code = currency_code(given) if isinstance(given, str) and given else None
    if code is None:
        raise _bad_field("malformedCurrency", "currency", "Currency")
    return keys.line(accounts[0], accounts[1], code)


def _ticket(value: Any, name: str) -> str:
    if not isinstance(value, Mapping):
        return _index(value, name)
    return keys.ticket(_account(value, "account", "malformedAddress"), _sequence(value, "ticket_seq"))


def _fixed(index: str) -> Parser:
    """Return a parser of an entry of which there is one: its index, or true."""

    def parse(value: Any, name: str) -> str:
        return index if value is True else _index(value, name)

    return parse


#: Field -> (parser, the type the entry must have; None for any).
PARSERS: dict[str, tuple[Parser, str | None]] = {
    **{name: (_index, kind) for name, kind in ENTRY_TYPES.items() if name not in ("account", "state")},
    "account_root": (_account_root, "AccountRoot"),
    "amendments": (_fixed(AMENDMENTS_INDEX), "Amendments"),
    "amm": (_amm, "AMM"),
    "directory": (_directory, "DirectoryNode"),
    "fee": (_fixed(keys.FEE_SETTINGS), "FeeSettings"),
    "index": (_index, None),
    "offer": (_offer, "Offer"),
    "ripple_state": (_ripple_state, "RippleState"),
    "ticket": (_ticket, "Ticket"),
}


def ledger_entry(call: Call) -> Json:
    """Return one entry of a ledger. Raises RpcError."""
    params = call.params
    named = [name for name in PARSERS if name in params]
    if len(named) > 1:
        raise invalid_params("Too many fields provided.")
    ledger = select(call)
    if not named:
        if call.api_version < 2:
            raise RpcError("unknownOption", fields=ledger.where())
        raise invalid_params("No ledger_entry params provided.")
    parse, kind = PARSERS[named[0]]
    index = parse(params[named[0]], named[0])
    entry = None if index == _ZERO else ledger.state.entries.get(index)
    if entry is None:
        raise RpcError("entryNotFound")
    if kind is not None and entry["LedgerEntryType"] != kind:
        raise RpcError("unexpectedLedgerType")
    if params.get("binary"):
        return {**ledger.where(), "index": index, "node_binary": entry_binary(entry)}
    return {**ledger.where(), "index": index, "node": entry_json(index, entry)}
