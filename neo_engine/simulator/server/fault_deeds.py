"""Faults that are deeds on the ledger: what an issuer, a stranger or the validators do to us.

All are transactions of the model like any other, with metadata and their place in a ledger. The issuer and
the stranger are believed without a signature (`Network.add_internal`); the validators' SetFee goes
straight into the next closed ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neo_engine.domain.errors import BadNumber
from neo_engine.simulator.model import keys
from neo_engine.simulator.model.genesis import GENESIS_ACCOUNT
from neo_engine.simulator.model.results import is_applied
from neo_engine.simulator.model.state import State
from neo_engine.simulator.model.transactions import set_fee
from neo_engine.simulator.model.tx import Tx
from neo_engine.simulator.server import signing
from neo_engine.simulator.server.fault_schedule import BadSchedule
from neo_engine.simulator.server.network import Network

Json = dict[str, Any]
SET_FREEZE, CLEAR_FREEZE = 0x0010_0000, 0x0020_0000
FEE_FIELDS = {"fee": "BaseFeeDrops", "base": "ReserveBaseDrops", "increment": "ReserveIncrementDrops"}


def ledger_tx(name: str, parameters: Mapping[str, Any], state: State, ledger_index: int) -> Json:
    """Return the transaction of a ledger fault, without fee and sequence.

    issuer and currency may be left out where the account has one trust line only. Raises BadSchedule where
    the ledger has no such account or line, and for amounts that are none.
    """
    if name == "reserve":
        return _set_fee(parameters, ledger_index)
    account = parameters["account"]
    try:
        known = keys.account_root(account) in state.entries
    except BadNumber as error:
        raise BadSchedule(f"{name}: {error}") from None
    if not known:
        raise BadSchedule(f"{name}: ledger {ledger_index} has no account {account}; fund it first")
    value = parameters.get("value", "0")
    if name == "deposit" and not parameters["issuer"] and not parameters["currency"]:
        return {
            "TransactionType": "Payment",
            "Account": GENESIS_ACCOUNT,
            "Destination": account,
            "Amount": value,
        }
    issuer, currency = _line(name, parameters, state)
    if name == "deposit":
        token = {"currency": currency, "issuer": issuer, "value": value}
        return {"TransactionType": "Payment", "Account": issuer, "Destination": account, "Amount": token}
    held = {"currency": currency, "issuer": account, "value": value}
    if name == "clawback":
        return {"TransactionType": "Clawback", "Account": issuer, "Amount": held}
    flag = SET_FREEZE if name == "freeze" else CLEAR_FREEZE
    return {"TransactionType": "TrustSet", "Account": issuer, "LimitAmount": held, "Flags": flag}


def _set_fee(parameters: Mapping[str, Any], ledger_index: int) -> Json:
    wanted = {field: str(parameters[name]) for name, field in FEE_FIELDS.items() if parameters[name]}
    if not wanted:
        raise BadSchedule("reserve: give base, increment or fee, in drops")
    return {
        "TransactionType": set_fee.KIND,
        "Account": keys.XRP_ISSUER,
        "LedgerSequence": ledger_index,
        **wanted,
    }


def _line(name: str, parameters: Mapping[str, Any], state: State) -> tuple[str, str]:
    """Return issuer and currency of the account's line that the parameters mean."""
    account, issuer, currency = (parameters[key] for key in ("account", "issuer", "currency"))
    if issuer and currency:
        return issuer, currency
    found = [
        (peer, low["currency"])
        for low, peer in _lines_of(account, state)
        if issuer in ("", peer) and currency in ("", low["currency"])
    ]
    if len(found) != 1:
        raise BadSchedule(f"{name}: account {account} has {len(found)} such lines; give issuer and currency")
    return found[0]


def _lines_of(account: str, state: State) -> list[tuple[Json, str]]:
    lines = []
    for entry in state.entries.values():
        if entry["LedgerEntryType"] == "RippleState":
            low, high = entry["LowLimit"], entry["HighLimit"]
            if account in (low.issuer, high.issuer):
                peer = high.issuer if account == low.issuer else low.issuer
                lines.append(({"currency": low.currency}, peer))
    return lines


def do(network: Network, pseudo: list[Tx], name: str, parameters: Mapping[str, Any]) -> Json:
    """Bring a ledger fault into the open ledger; return its hash and preliminary result.

    pseudo: where the validators' transaction waits for the next close. Raises BadSchedule if the ledger
    does not take it.
    """
    ledger = network.open_ledger
    tx_json = ledger_tx(name, parameters, ledger.state, ledger.index)
    sequence, _ = ledger.account(tx_json["Account"])
    fee = 0 if name == "reserve" else ledger.rules.base_fee
    filled = {"Fee": str(fee), "Sequence": sequence, "SigningPubKey": "", **tx_json}
    try:
        tx_hash = signing.hash_of(filled)
        tx = signing.make_tx(filled, tx_hash)
    except (signing.BadTransaction, BadNumber) as error:
        raise BadSchedule(f"{name}: {error}") from None
    if name == "reserve":
        pseudo.append(tx)
        return {"hash": tx_hash, "engine_result": "tesSUCCESS"}
    result = network.add_internal(tx)
    if not is_applied(result):
        raise BadSchedule(f"{name}: ledger {ledger.index} answers {result}; nothing was done")
    return {"hash": tx_hash, "engine_result": result}
