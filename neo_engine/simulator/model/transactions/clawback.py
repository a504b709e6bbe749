"""Clawback: an issuer takes its tokens back from a holder (rippled Clawback.cpp).

The amount's issuer field names the holder. No more is taken than is there. Clawback of multi-purpose
tokens (Holder) and delegated transactions answer temDISABLED.
"""

from __future__ import annotations

from neo_engine.domain.assets import Asset
from neo_engine.simulator.model import keys, lines
from neo_engine.simulator.model.amounts import Token
from neo_engine.simulator.model.context import Context, Handler, Rules
from neo_engine.simulator.model.results import SUCCESS
from neo_engine.simulator.model.state import View
from neo_engine.simulator.model.tx import Tx


def preflight(tx: Tx, rules: Rules) -> str:  # noqa: ARG001
    """Return what is wrong with the transaction alone."""
    if "Delegate" in tx.fields:
        return "temDISABLED"
    if "Holder" in tx.fields:
        return "temMALFORMED"
    amount = tx.fields["Amount"]
    if isinstance(amount, int) or amount.issuer == tx.account or amount.value <= 0:
        return "temBAD_AMOUNT"
    return SUCCESS


def preclaim(view: View, tx: Tx, rules: Rules) -> str:  # noqa: ARG001
    """Return what stands in the way in the state before."""
    amount: Token = tx.fields["Amount"]
    holder = view.read(keys.account_root(amount.issuer))
    if holder is None:
        return "terNO_ACCOUNT"
    if "AMMID" in holder:
        return "tecAMM_ACCOUNT"
    flags = lines.root_of(view, tx.account)["Flags"]
    if not flags & lines.ALLOW_CLAWBACK or flags & lines.NO_FREEZE:
        return "tecNO_PERMISSION"
    if view.read(keys.line(amount.issuer, tx.account, amount.currency)) is None:
        return "tecNO_LINE"
    held = lines.balance(view, amount.issuer, Asset(amount.currency, tx.account))
    if held < 0:
        return "tecNO_PERMISSION"
    return SUCCESS if held else "tecINSUFFICIENT_FUNDS"


def apply(context: Context) -> str:
    """Take the amount, or what is there of it, from the holder's line."""
    amount: Token = context.tx.fields["Amount"]
    asset = Asset(amount.currency, context.tx.account)
    value = min(amount.value, lines.balance(context.view, amount.issuer, asset))
    lines.credit(context.view, amount.issuer, context.tx.account, asset, value)
    return SUCCESS


HANDLER = Handler(flags=0, preflight=preflight, preclaim=preclaim, apply=apply)
