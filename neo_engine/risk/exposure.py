"""Exposure: what is held, and what would be held if every order of a side filled to the end.

Held means inventory (fills plus overlay), as the configuration says of `risk.max_*_exposure`.

The worst case counts each slot of the ladder once: a replace is atomic on the ledger (XRPL_RULES 2.3),
so a slot stands for the larger of what works in it and what is wanted in it, never for both.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from neo_engine.config import Config
from neo_engine.domain.assets import Side
from neo_engine.domain.number import DOWN, ZERO, drops_from_xrp
from neo_engine.domain.orders import Order, Quote
from neo_engine.domain.records import Accounts


def max_drops(config: Config) -> int:
    """Return `risk.max_xrp_exposure` in drops, rounded DOWN: never more than allowed."""
    limit = config.risk.max_xrp_exposure
    return drops_from_xrp(limit, DOWN)


def worst_case_drops(view: Accounts, working: Iterable[Order], quotes: Iterable[Quote]) -> int:
    """Return the drops held if every working bid and every bid in `quotes` filled whole."""
    slots: dict[str, int] = {}
    for order in working:
        if order.side is Side.BUY:
            slots[order.slot] = max(slots.get(order.slot, 0), order.remaining_base_drops)
    for quote in quotes:
        if quote.side is Side.BUY:
            slots[quote.slot] = max(slots.get(quote.slot, 0), quote.base_drops)
    return view.base_drops + sum(slots.values())


def worst_case_quote(view: Accounts, working: Iterable[Order], quotes: Iterable[Quote]) -> Decimal:
    """Return the RLUSD held if every working ask and every ask in `quotes` filled whole."""
    slots: dict[str, Decimal] = {}
    for order in working:
        if order.side is Side.SELL:
            slots[order.slot] = max(slots.get(order.slot, ZERO), order.remaining_quote)
    for quote in quotes:
        if quote.side is Side.SELL:
            slots[quote.slot] = max(slots.get(quote.slot, ZERO), quote.quote)
    return sum(slots.values(), view.quote)
