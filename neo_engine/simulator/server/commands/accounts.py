"""account_info, account_currencies and gateway_balances (rippled AccountInfo.cpp and its neighbours)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from neo_engine.domain.number import ZERO, issued_add
from neo_engine.simulator.model import keys, lines
from neo_engine.simulator.model.amounts import value_text
from neo_engine.simulator.model.fields import Entry
from neo_engine.simulator.model.owners import directory_entries
from neo_engine.simulator.server.call import Call
from neo_engine.simulator.server.commands.arguments import is_address, text_of
from neo_engine.simulator.server.commands.selection import (
    Ledger,
    account_root,
    checked_address,
    known_account,
    select,
)
from neo_engine.simulator.server.errors import RpcError, invalid_field, missing_field
from neo_engine.simulator.server.formats import Json, entry_json

#: Name in account_flags -> flag of an AccountRoot.
ACCOUNT_FLAGS = {
    "allowTrustLineClawback": lines.ALLOW_CLAWBACK,
    "allowTrustLineLocking": 0x40000000,
    "defaultRipple": lines.DEFAULT_RIPPLE,
    "depositAuth": lines.DEPOSIT_AUTH,
    "disableMasterKey": lines.DISABLE_MASTER,
    "disallowIncomingCheck": 0x08000000,
    "disallowIncomingNFTokenOffer": 0x04000000,
    "disallowIncomingPayChan": 0x10000000,
    "disallowIncomingTrustline": lines.DISALLOW_INCOMING_TRUST_LINE,
    "disallowIncomingXRP": lines.DISALLOW_XRP,
    "globalFreeze": lines.GLOBAL_FREEZE,
    "noFreeze": lines.NO_FREEZE,
    "passwordSpent": 0x00010000,
    "requireAuthorization": lines.REQUIRE_AUTH,
    "requireDestinationTag": lines.REQUIRE_DEST_TAG,
}


class SeenLine(NamedTuple):
    """A trust line as one end sees it. balance: negative where that end owes."""

    peer: str
    currency: str
    balance: Decimal
    limit: Decimal
    limit_peer: Decimal
    flags: int
    mine: lines.End
    theirs: lines.End
    entry: Entry


def seen_line(account: str, entry: Entry) -> SeenLine:
    """Return a RippleState as `account`, one of its ends, sees it."""
    low = entry["LowLimit"].issuer == account
    mine, theirs = (lines.LOW, lines.HIGH) if low else (lines.HIGH, lines.LOW)
    return SeenLine(
        peer=entry[theirs.limit].issuer,
        currency=entry["Balance"].currency,
        balance=lines.line_balance(entry, low=low),
        limit=entry[mine.limit].value,
        limit_peer=entry[theirs.limit].value,
        flags=entry["Flags"],
        mine=mine,
        theirs=theirs,
        entry=entry,
    )


def owned(ledger: Ledger, account: str) -> Iterator[tuple[str, Entry]]:
    """Yield index and entry of all that stands in an account's directory."""
    entries = ledger.state.entries
    for index in directory_entries(ledger.view(), keys.owner_directory(account)):
        yield index, entries[index]


def lines_of(ledger: Ledger, account: str) -> Iterator[SeenLine]:
    """Yield the trust lines of an account."""
    for _, entry in owned(ledger, account):
        if entry["LedgerEntryType"] == "RippleState":
            yield seen_line(account, entry)


def _ident(call: Call) -> str:
    """Return the text of `account`, or of its old name. Raises RpcError for none or for no text."""
    for name in ("account", "ident"):
        if name in call.params:
            value = call.params[name]
            if not isinstance(value, str):
                raise invalid_field(name)
            return value
    raise missing_field("account")


def account_info(call: Call) -> Json:
    """Return an account's entry and what is derived of it. Raises RpcError."""
    text = _ident(call)
    ledger = select(call)
    where = ledger.where()
    account = checked_address(ledger, text)
    root = account_root(ledger, account)
    if root is None:
        raise RpcError("actNotFound", fields={**where, "account": account})
    queue = bool(call.params.get("queue"))
    if queue and ledger.header is not None:
        raise RpcError("invalidParams", fields=where)
    flags = root["Flags"]
    result: Json = {
        **where,
        "account_data": entry_json(keys.account_root(account), root),
        "account_flags": {name: bool(flags & flag) for name, flag in ACCOUNT_FLAGS.items()},
    }
    wants_signers = call.params.get("signer_lists", False)
    if call.api_version > 1 and not isinstance(wants_signers, bool):
        raise RpcError("invalidParams", fields=result)
    if wants_signers:
        holder = result["account_data"] if call.api_version == 1 else result
        holder["signer_lists"] = [
            entry_json(index, entry)
            for index, entry in owned(ledger, account)
            if entry["LedgerEntryType"] == "SignerList"
        ]
    if queue:
        result["queue_data"] = queue_data(call.network.queue_of(account))
    return result


def queue_data(queued: Sequence[Json]) -> Json:
    """Return what account_info tells of an account's queued transactions."""
    if not queued:
        return {"txn_count": 0}
    told: Json = {
        "txn_count": len(queued),
        "transactions": list(queued),
        "auth_change_queued": any(one.get("auth_change") for one in queued),
        "max_spend_drops_total": str(sum(int(one["max_spend_drops"]) for one in queued)),
    }
    for kind, field in (("sequence", "seq"), ("ticket", "ticket")):
        numbers = [one[field] for one in queued if field in one]
        if numbers:
            told[f"{kind}_count"] = len(numbers)
            told[f"lowest_{kind}"] = min(numbers)
            told[f"highest_{kind}"] = max(numbers)
    return told


def currencies(ledger: Ledger, account: str) -> tuple[list[str], list[str]]:
    """Return the codes an account can receive and those it can send, each in the ledger's order."""
    receive, send = set(), set()
    for line in lines_of(ledger, account):
        if line.balance < line.limit:
            receive.add(line.currency)
        if -line.balance < line.limit_peer:
            send.add(line.currency)
    return sorted(receive, key=keys.currency_bytes), sorted(send, key=keys.currency_bytes)


def account_currencies(call: Call) -> Json:
    """Return which currencies an account's lines let it receive and send. Raises RpcError."""
    text = _ident(call)
    ledger = select(call)
    receive, send = currencies(ledger, known_account(ledger, text))
    return {**ledger.where(), "receive_currencies": receive, "send_currencies": send}


def gateway_balances(call: Call) -> Json:
    """Return what an issuer owes, by holder where he is a hot wallet or frozen. Raises RpcError."""
    ledger = select(call)
    params = call.params
    if "account" not in params and "ident" not in params:
        raise missing_field("account")
    account = text_of(params["account"] if "account" in params else params["ident"])
    if not is_address(account):
        raise RpcError("actMalformed")
    result: Json = {**ledger.where(), "account": account}
    if call.api_version > 1 and account_root(ledger, account) is None:
        raise RpcError("actNotFound", fields=result)
    hot = _hot_wallets(call, result)
    sums: dict[str, Decimal] = {}
    told: dict[str, dict[str, list[Json]]] = {}
    for line in lines_of(ledger, account):
        if not line.balance:
            continue
        owed = line.balance < 0
        if line.peer not in hot and owed and not line.flags & line.mine.freeze:
            sums[line.currency] = issued_add(sums.get(line.currency, ZERO), -line.balance)
            continue
        name = "balances" if line.peer in hot else "frozen_balances" if owed else "assets"
        value = line.balance if name == "assets" else -line.balance
        entry = {"currency": line.currency, "value": value_text(value)}
        told.setdefault(name, {}).setdefault(line.peer, []).append(entry)
    if sums:
        result["obligations"] = {code: value_text(value) for code, value in sums.items()}
    return {**result, **told}


def _hot_wallets(call: Call, where: Json) -> frozenset[str]:
    given: Any = call.params.get("hotwallet")
    wallets = [given] if isinstance(given, str) else given or []
    if not isinstance(wallets, list) or not all(isinstance(one, str) and is_address(one) for one in wallets):
        raise RpcError("invalidHotWallet" if call.api_version < 2 else "invalidParams", fields=where)
    return frozenset(wallets)
