"""TicketCreate: set sequence numbers aside, to be used in any order (rippled CreateTicket.cpp).

Tickets carry the numbers that follow the transaction's own sequence; the account's sequence jumps over
them. Each counts for the owner reserve. Delegated transactions answer temDISABLED.
"""

from __future__ import annotations

from neo_engine.simulator.model import keys
from neo_engine.simulator.model.context import Context, Handler, Rules
from neo_engine.simulator.model.lines import root_of
from neo_engine.simulator.model.owners import adjust_owner_count, owner_add
from neo_engine.simulator.model.results import SUCCESS
from neo_engine.simulator.model.state import View
from neo_engine.simulator.model.tx import Tx

MAX_TICKETS = 250  # in one transaction, and owned by one account (CreateTicket.h)


def preflight(tx: Tx, rules: Rules) -> str:  # noqa: ARG001
    """Return what is wrong with the transaction alone."""
    if "Delegate" in tx.fields:
        return "temDISABLED"
    return SUCCESS if 1 <= tx.fields["TicketCount"] <= MAX_TICKETS else "temINVALID_COUNT"


def preclaim(view: View, tx: Tx, rules: Rules) -> str:  # noqa: ARG001
    """Return what stands in the way in the state before."""
    owned = root_of(view, tx.account).get("TicketCount", 0) - (tx.ticket is not None)
    return "tecDIR_FULL" if owned + tx.fields["TicketCount"] > MAX_TICKETS else SUCCESS


def apply(context: Context) -> str:
    """Make the tickets. The reserve is checked against the balance before the fee."""
    view, account = context.view, context.tx.account
    count: int = context.tx.fields["TicketCount"]
    root = view.edit(keys.account_root(account))
    if context.prior_balance < context.rules.reserve(root["OwnerCount"] + count):
        return "tecINSUFFICIENT_RESERVE"
    first: int = root["Sequence"]
    for sequence in range(first, first + count):
        index = keys.ticket(account, sequence)
        page = owner_add(view, account, index)
        ticket = {
            "LedgerEntryType": "Ticket",
            "Flags": 0,
            "Account": account,
            "OwnerNode": page,
            "TicketSequence": sequence,
        }
        view.insert(index, ticket)
    root["TicketCount"] = root.get("TicketCount", 0) + count
    root["Sequence"] = first + count
    adjust_owner_count(view, account, count)
    return SUCCESS


HANDLER = Handler(flags=0, preflight=preflight, preclaim=preclaim, apply=apply)
