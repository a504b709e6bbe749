"""OfferCancel: take an offer of one's own out of the book; a missing one is no fault (CancelOffer.cpp)."""

from __future__ import annotations

from neo_engine.simulator.model import keys
from neo_engine.simulator.model.context import Context, Handler, Rules
from neo_engine.simulator.model.removal import remove_offer
from neo_engine.simulator.model.results import SUCCESS
from neo_engine.simulator.model.state import View
from neo_engine.simulator.model.tx import Tx


def preflight(tx: Tx, rules: Rules) -> str:  # noqa: ARG001
    """Return what is wrong with the transaction alone."""
    return SUCCESS if tx.fields["OfferSequence"] else "temBAD_SEQUENCE"


def preclaim(view: View, tx: Tx, rules: Rules) -> str:  # noqa: ARG001
    """Return what stands in the way in the state before: only a sequence in the past names an offer."""
    root = view.read(keys.account_root(tx.account)) or {}
    return "temBAD_SEQUENCE" if root["Sequence"] <= tx.fields["OfferSequence"] else SUCCESS


def apply(context: Context) -> str:
    """Remove the offer if it is there."""
    remove_offer(context.view, keys.offer(context.tx.account, context.tx.fields["OfferSequence"]))
    return SUCCESS


HANDLER = Handler(flags=0, preflight=preflight, preclaim=preclaim, apply=apply)
