"""Exposure: what is held, and what would be held if every order of a side filled to the end.

Held means inventory (fills plus overlay), as the configuration says of `risk.max_*_exposure`.

The worst case counts every working order and every quote that would be sent. A replace is atomic on the
ledger, but it arrives a ledger late: the old order can fill whole before it, and the new one after it
(a missing old offer does not stop a replace: ledger-rules, Replace). Only a quote that finds its order
in place already, and so is not sent, counts once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
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


def worst_case_drops(
    view: Accounts, working: Iterable[Order], quotes: Iterable[Quote], stays: Callable[[Order, Quote], bool]
) -> int:
    """Return the drops held if every working bid and every new bid in `quotes` filled whole."""
    bids = [order for order in working if order.side is Side.BUY]
    total = view.base_drops + sum(order.remaining_base_drops for order in bids)
    for quote in quotes:
        if quote.side is Side.BUY:
            same = _staying(quote, bids, stays)
            there = 0 if same is None else same.remaining_base_drops
            total += max(0, quote.base_drops - there)
    return total


def worst_case_quote(
    view: Accounts, working: Iterable[Order], quotes: Iterable[Quote], stays: Callable[[Order, Quote], bool]
) -> Decimal:
    """Return the RLUSD held if every working ask and every new ask in `quotes` filled whole."""
    asks = [order for order in working if order.side is Side.SELL]
    total = sum((order.remaining_quote for order in asks), view.quote)
    for quote in quotes:
        if quote.side is Side.SELL:
            same = _staying(quote, asks, stays)
            there = ZERO if same is None else same.remaining_quote
            total += max(ZERO, quote.quote - there)
    return total


def _staying(quote: Quote, working: list[Order], stays: Callable[[Order, Quote], bool]) -> Order | None:
    """Return the working order that already is this quote, or None when a new one would be sent."""
    return next((order for order in working if order.slot == quote.slot and stays(order, quote)), None)
