"""Profit and loss of the session, to the last digit.

    realised + unrealised - fees_drops / 10^6 x mark = account_value - net_capital

unrealised = XRP inventory at mark - cost_basis; account_value = (XRP inventory - fees) at mark + RLUSD.
No step rounds, so the two sides are equal as numbers, not only as far as they are printed.
"""

from __future__ import annotations

from decimal import Decimal

from neo_engine.domain.number import EXACT, ZERO
from neo_engine.domain.records import Accounts
from neo_engine.inventory.ledger import Inventory


def value_at(drops: int, mark: Decimal) -> Decimal:
    """Return what `drops` are worth at `mark` (RLUSD per XRP), exact."""
    return EXACT.multiply(EXACT.scaleb(Decimal(drops), -6), mark)


def accounts(inventory: Inventory, mark: Decimal | None) -> Accounts:
    """Return inventory and P&L at `mark` (RLUSD per XRP).

    Before any mark is known XRP is valued at its cost and fees at nothing, so unrealised is zero and
    account_value - net_capital = realised.
    """
    quote = inventory.quote
    if mark is None:
        unrealised = ZERO
        account_value = EXACT.add(quote, inventory.cost_basis)
    else:
        held = value_at(inventory.base_drops, mark)
        unrealised = EXACT.subtract(held, inventory.cost_basis)
        account_value = EXACT.add(EXACT.subtract(held, value_at(inventory.fees_drops, mark)), quote)
    return Accounts(
        fills_base_drops=inventory.fills_base_drops,
        fills_quote=inventory.fills_quote,
        overlay_base_drops=inventory.overlay_base_drops,
        overlay_quote=inventory.overlay_quote,
        fees_drops=inventory.fees_drops,
        rounding_quote=inventory.rounding_quote,
        cost_basis=inventory.cost_basis,
        net_capital=inventory.net_capital,
        realised=inventory.realised,
        unrealised=unrealised,
        mark=mark,
        account_value=account_value,
    )


def session_pnl(view: Accounts) -> Decimal:
    """Return what the session earned after fees, in RLUSD: account value less net capital, exact."""
    return EXACT.subtract(view.account_value, view.net_capital)
