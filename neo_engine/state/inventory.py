"""The inventory of a session as its rows have it, summed anew: what the engine's own must equal.

inventory = fills + capital overlay: a fill moves XRP by its drops and the token by what the trust line
moved; an applied capital event moves its asset by its amount. Whole drops and Decimals, never rounded.
"""

from __future__ import annotations

import sqlite3
from decimal import Decimal, localcontext

from neo_engine.domain.number import DOWN, EXACT, ZERO, drops_from_xrp, parse_number
from neo_engine.state.statements import XRP


def inventory_of(connection: sqlite3.Connection, session_id: int) -> tuple[int, Decimal]:
    """Return a session's XRP in drops and its token. Raises sqlite3.Error, BadNumber for a damaged row."""
    drops, quote = 0, ZERO
    with localcontext(EXACT):
        for row_id, side, traded, delta in connection.execute(
            "SELECT id, side, xrp_drops, rlusd_balance_delta FROM fills WHERE session_id = ?", (session_id,)
        ):
            drops += traded if side == "buy" else -traded
            quote += parse_number(delta, f"fills row {row_id}, rlusd_balance_delta")
        for row_id, kind, asset, text in connection.execute(
            "SELECT id, kind, asset, amount FROM capital_events WHERE session_id = ? AND status = 'applied'",
            (session_id,),
        ):
            amount = parse_number(text, f"capital_events row {row_id}, amount")
            if kind == "withdrawal":
                amount = -amount
            if asset == XRP:
                drops += drops_from_xrp(amount, DOWN)  # exact: amounts are whole drops
            else:
                quote += amount
    return drops, quote
