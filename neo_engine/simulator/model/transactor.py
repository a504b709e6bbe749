"""Applying one transaction: the checks in the server's order, the fee, the change, the metadata.

Theory (rippled Transactor.cpp, applySteps.cpp). Preflight looks at the transaction alone, preclaim at the
state before it. Then fee and sequence are taken and the type's own code runs. If that ends in a tec,
everything is undone but fee and sequence; offers found stale on the way stay deleted where the order
was killed. A result that is neither tes nor tec changes nothing at all. While a ledger is built, a tec
may still become a success after the other transactions, so it is put off (`retry`); only what undid or
cleaned up something on the way claims its fee at once.

1. After `apply` the state is changed only if the result goes into a ledger.
2. XRP is destroyed by the fee and by nothing else.
"""

from __future__ import annotations

from typing import Any

import msgspec

from neo_engine.simulator.model import keys
from neo_engine.simulator.model.amounts import to_wire
from neo_engine.simulator.model.context import Context, Handler, Rules
from neo_engine.simulator.model.metadata import nodes_of
from neo_engine.simulator.model.owners import adjust_owner_count, owner_remove
from neo_engine.simulator.model.registry import HANDLERS
from neo_engine.simulator.model.removal import remove_offer
from neo_engine.simulator.model.results import SUCCESS, is_applied, is_tec
from neo_engine.simulator.model.state import State, View
from neo_engine.simulator.model.transactions import set_fee
from neo_engine.simulator.model.tx import UNIVERSAL_FLAGS, Tx

#: Networks with an id up to this one want no NetworkID in their transactions.
LEGACY_NETWORK_MAX = 1024
#: Stale offers that one killed transaction removes at most (rippled Protocol.h, unfundedOfferRemoveLimit).
STALE_MAX = 1000
#: tecs after which offers found stale stay deleted (Transactor.cpp, operator()).
_CLEANING = frozenset({"tecKILLED", "tecOVERSIZE"})
#: tecs of a type's own code that stand even where a transaction may be tried again (same place).
_STANDING = frozenset({"tecEXPIRED", "tecINCOMPLETE", "tecKILLED", "tecOVERSIZE"})


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """How a transaction ended. meta: None unless it goes into a ledger; without TransactionIndex.

    fee: drops destroyed: what it offered, or all its sender had (tecINSUFF_FEE).
    """

    result: str
    meta: dict[str, Any] | None
    fee: int = 0


def apply(
    state: State,
    tx: Tx,
    rules: Rules,
    *,
    open_ledger: bool = False,
    dry: bool = False,
    retry: bool = False,
) -> Applied:
    """Run `tx` on `state`, which takes its changes over unless `dry`.

    open_ledger: fees below the base fee are refused (telINSUF_FEE_P), as a server refuses to relay them.
    retry: it will be tried again, so most tecs change nothing yet: `meta` is None then.
    Raises InvariantViolation if the model breaks a rule of its own.
    """
    if tx.kind == set_fee.KIND and not open_ledger:
        return Applied(result=SUCCESS, meta=set_fee.run(state, tx, rules.ledger_index))
    handler = HANDLERS.get(tx.kind)
    if handler is None:
        return Applied(result="temUNKNOWN", meta=None)
    view = View(state)
    result = check(view, tx, rules, handler, open_ledger=open_ledger)
    if not is_applied(result) or (retry and is_tec(result)):
        return Applied(result=result, meta=None)
    context = _charged(view, tx, rules)
    if not is_tec(result):
        _remember_transaction(view, tx)
        result = handler.apply(context)
        if not is_applied(result) or (retry and is_tec(result) and result not in _STANDING):
            return Applied(result=result, meta=None)
    if is_tec(result):
        stale = context.lasting_removals if result in _CLEANING else []
        context = _charged(View(state), tx, rules)
        for index in stale[:STALE_MAX]:
            remove_offer(context.view, index)
    meta: dict[str, Any] = {
        "AffectedNodes": nodes_of(context.view, tx.hash, rules.ledger_index),
        "TransactionResult": result,
    }
    if context.delivered is not None and result == SUCCESS:
        if context.delivered != to_wire(tx.fields["Amount"]):
            meta["DeliveredAmount"] = context.delivered
        meta["delivered_amount"] = context.delivered
    if not dry:
        state.absorb(context.view)
    return Applied(result=result, meta=meta, fee=min(tx.fee, context.prior_balance))


def check(view: View, tx: Tx, rules: Rules, handler: Handler, *, open_ledger: bool) -> str:
    """Return what stands in the way of `tx` before anything is changed, tesSUCCESS for nothing."""
    for step in (_check_network, _check_form):
        result = step(tx, rules, handler)
        if result != SUCCESS:
            return result
    result = handler.preflight(tx, rules)
    if result != SUCCESS:
        return result
    result = _check_sender(view, tx, rules)
    if result != SUCCESS:
        return result
    result = _check_fee(view, tx, rules, handler, open_ledger)
    if result != SUCCESS:
        return result
    return handler.preclaim(view, tx, rules)


def _check_network(tx: Tx, rules: Rules, handler: Handler) -> str:  # noqa: ARG001
    given = tx.fields.get("NetworkID")
    if rules.network_id <= LEGACY_NETWORK_MAX:
        return SUCCESS if given is None else "telNETWORK_ID_MAKES_TX_NON_CANONICAL"
    if given is None:
        return "telREQUIRES_NETWORK_ID"
    return SUCCESS if given == rules.network_id else "telWRONG_NETWORK"


def _check_form(tx: Tx, rules: Rules, handler: Handler) -> str:  # noqa: ARG001
    if tx.flags & ~(UNIVERSAL_FLAGS | handler.flags):
        return "temINVALID_FLAG"
    if tx.ticket is not None and not tx.sequence and "AccountTxnID" in tx.fields:
        return "temINVALID"
    return SUCCESS


def _check_sender(view: View, tx: Tx, rules: Rules) -> str:
    root = view.read(keys.account_root(tx.account))
    if root is None:
        return "terNO_ACCOUNT"
    if tx.ticket is not None and tx.sequence:
        return "temSEQ_AND_TICKET"
    sequence = root["Sequence"]
    if tx.ticket is None:
        if tx.sequence != sequence:
            return "terPRE_SEQ" if tx.sequence > sequence else "tefPAST_SEQ"
    elif tx.ticket >= sequence:
        return "terPRE_TICKET"
    elif view.read(keys.ticket(tx.account, tx.ticket)) is None:
        return "tefNO_TICKET"
    if "AccountTxnID" in tx.fields and root.get("AccountTxnID") != tx.fields["AccountTxnID"]:
        return "tefWRONG_PRIOR"
    if rules.ledger_index > tx.fields.get("LastLedgerSequence", rules.ledger_index):
        return "tefMAX_LEDGER"
    return SUCCESS


def base_fee_of(tx: Tx, rules: Rules) -> int:
    """Return the drops a transaction costs at least."""
    handler = HANDLERS.get(tx.kind)
    units = 1 if handler is None else handler.fee_units
    return rules.owner_reserve if units is None else units * rules.base_fee


def _check_fee(view: View, tx: Tx, rules: Rules, handler: Handler, open_ledger: bool) -> str:
    least = rules.owner_reserve if handler.fee_units is None else handler.fee_units * rules.base_fee
    if open_ledger and tx.fee < least:
        return "telINSUF_FEE_P"
    root = view.read(keys.account_root(tx.account))
    balance = 0 if root is None else root["Balance"]
    if balance < tx.fee:
        return "tecINSUFF_FEE" if balance > 0 and not open_ledger else "terINSUF_FEE_B"
    return SUCCESS


def _charged(view: View, tx: Tx, rules: Rules) -> Context:
    """Take fee and sequence (or ticket); a fee beyond the balance takes all of it (tecINSUFF_FEE)."""
    index = keys.account_root(tx.account)
    root = view.edit(index)
    balance = root["Balance"]
    root["Balance"] = balance - min(balance, tx.fee)
    if tx.ticket is None:
        root["Sequence"] = tx.sequence + 1
    else:
        _use_ticket(view, tx.account, tx.ticket)
    return Context(view=view, tx=tx, rules=rules, prior_balance=balance)


def _remember_transaction(view: View, tx: Tx) -> None:
    """Set AccountTxnID where the account keeps it (Transactor.cpp, apply); a tec leaves the old one."""
    index = keys.account_root(tx.account)
    root = view.edit(index)
    if "AccountTxnID" in root:
        root["AccountTxnID"] = tx.hash


def _use_ticket(view: View, account: str, sequence: int) -> None:
    index = keys.ticket(account, sequence)
    ticket = view.read(index) or {}
    # The emptied directory stays (Transactor.cpp, ticketDelete): the transaction may well own something soon.
    owner_remove(view, account, ticket["OwnerNode"], index, keep_root=True)
    view.erase(index)
    root = view.edit(keys.account_root(account))
    if root["TicketCount"] == 1:
        del root["TicketCount"]
    else:
        root["TicketCount"] -= 1
    adjust_owner_count(view, account, -1)
