"""INVENTORY MANAGER: fills-only ledger plus capital overlay, cost basis, P&L, what may be committed."""

from neo_engine.inventory.capital import (
    CapitalResult,
    apply_capital,
    apply_events,
    first_mark,
    waits_for_mark,
)
from neo_engine.inventory.funding import Available, available, fit_to_capital
from neo_engine.inventory.ledger import Inventory, apply_fees, apply_fill, empty
from neo_engine.inventory.pnl import accounts, session_pnl

__all__ = [
    "Available",
    "CapitalResult",
    "Inventory",
    "accounts",
    "apply_capital",
    "apply_events",
    "apply_fees",
    "apply_fill",
    "available",
    "empty",
    "first_mark",
    "fit_to_capital",
    "session_pnl",
    "waits_for_mark",
]
