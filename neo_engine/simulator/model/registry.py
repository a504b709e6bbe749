"""Which code runs which transaction type."""

from __future__ import annotations

from neo_engine.simulator.model.context import Handler
from neo_engine.simulator.model.transactions import (
    account_set,
    amm_create,
    amm_deposit,
    amm_vote,
    amm_withdraw,
    clawback,
    offer_cancel,
    offer_create,
    payment,
    ticket_create,
    trust_set,
)

HANDLERS: dict[str, Handler] = {
    "AccountSet": account_set.HANDLER,
    "AMMCreate": amm_create.HANDLER,
    "AMMDeposit": amm_deposit.HANDLER,
    "AMMVote": amm_vote.HANDLER,
    "AMMWithdraw": amm_withdraw.HANDLER,
    "Clawback": clawback.HANDLER,
    "OfferCancel": offer_cancel.HANDLER,
    "OfferCreate": offer_create.HANDLER,
    "Payment": payment.HANDLER,
    "TicketCreate": ticket_create.HANDLER,
    "TrustSet": trust_set.HANDLER,
}
