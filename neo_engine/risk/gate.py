"""The RISK GATE: each quote is approved or refused with a name and its numbers.

It takes quotes only. Taking an order off the ledger is never asked about: a cancel always passes.
A value exactly at a limit passes; only a quote that would go beyond it is refused ("denied").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec

from neo_engine.config import Config
from neo_engine.domain.assets import Side
from neo_engine.domain.market import MarketSnapshot
from neo_engine.domain.number import MILLION, WORK, plain, xrp_from_drops
from neo_engine.domain.orders import Order, Quote
from neo_engine.domain.records import Accounts, Gate
from neo_engine.execution.diff import keeps_its_place
from neo_engine.risk.exposure import max_drops, worst_case_drops, worst_case_quote

#: Amounts and price of a quote may differ by this share (1 bps) and by one drop, not more: rounding
#: to the ledger's grid moves them by far less, a slipped decimal point by far more.
PRICE_MISMATCH = Decimal("0.0001")


class ApprovalContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a quote is judged against. approved: the quotes of this tick that passed before it."""

    accounts: Accounts
    working: tuple[Order, ...]
    snapshot: MarketSnapshot
    config: Config
    approved: tuple[Quote, ...]


class Approved(msgspec.Struct, frozen=True, kw_only=True):
    """The quote may be sent."""

    quote: Quote


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """The quote may not be sent: `name` of the limit and `reason` with its numbers."""

    quote: Quote
    name: str
    reason: str

    @property
    def gate(self) -> Gate:
        """The refusal as the tick stores it."""
        side = "bid" if self.quote.side is Side.BUY else "ask"
        return Gate(name=self.name, side=side, detail=f"{self.quote.slot}: {self.reason}")


def _numbers(quote: Quote, _context: ApprovalContext) -> str | None:
    if not (quote.price.is_finite() and quote.quote.is_finite()):
        return f"price {quote.price} or amount {quote.quote} is not finite"
    if quote.price <= 0 or quote.quote <= 0 or quote.base_drops <= 0:
        return (
            f"price {plain(quote.price)}, {quote.base_drops} drops and {plain(quote.quote)} RLUSD must all "
            "be positive"
        )
    worth = WORK.divide(WORK.multiply(quote.price, Decimal(quote.base_drops)), MILLION)
    one_drop = WORK.divide(quote.price, MILLION)
    if abs(WORK.subtract(quote.quote, worth)) > WORK.add(WORK.multiply(worth, PRICE_MISMATCH), one_drop):
        return f"{plain(quote.quote)} RLUSD is not {quote.base_drops} drops at {plain(quote.price)}"
    return None


def _order_size(quote: Quote, context: ApprovalContext) -> str | None:
    limit = context.config.risk.max_order_rlusd
    if quote.quote > limit:
        return f"{plain(quote.quote)} RLUSD (risk.max_order_rlusd {plain(limit)})"
    return None


def _slot_once(quote: Quote, context: ApprovalContext) -> str | None:
    if any(other.slot == quote.slot for other in context.approved):
        return "the slot is already quoted in this tick"
    return None


def _open_orders(quote: Quote, context: ApprovalContext) -> str | None:
    slots = {order.slot for order in context.working}
    slots.update(other.slot for other in context.approved)
    slots.add(quote.slot)
    limit = context.config.risk.max_open_orders
    if len(slots) > limit:
        return f"{len(slots)} orders would work at once (risk.max_open_orders {limit})"
    return None


def _no_crossing(quote: Quote, context: ApprovalContext) -> str | None:
    """An equal price crosses too: only tfPassive would spare it, and that takes anything better."""
    best_bid, best_ask = context.snapshot.best_bid, context.snapshot.best_ask
    if quote.side is Side.BUY:
        if best_ask is not None and quote.price >= best_ask:
            return f"bid {plain(quote.price)} would cross the best ask {plain(best_ask)}"
        own = [other.price for other in context.approved if other.side is Side.SELL]
        if own and quote.price >= min(own):
            return f"bid {plain(quote.price)} would cross our own ask {plain(min(own))}"
        return None
    if best_bid is not None and quote.price <= best_bid:
        return f"ask {plain(quote.price)} would cross the best bid {plain(best_bid)}"
    own = [other.price for other in context.approved if other.side is Side.BUY]
    if own and quote.price <= max(own):
        return f"ask {plain(quote.price)} would cross our own bid {plain(max(own))}"
    return None


def _exposure(quote: Quote, context: ApprovalContext) -> str | None:
    quotes = (*context.approved, quote)

    def stays(order: Order, wanted: Quote) -> bool:
        return keeps_its_place(order, wanted, context.config, context.snapshot.close_time)

    if quote.side is Side.BUY:
        drops = worst_case_drops(context.accounts, context.working, quotes, stays)
        if drops > max_drops(context.config):
            limit = plain(context.config.risk.max_xrp_exposure)
            return f"{plain(xrp_from_drops(drops))} XRP if all bids fill (risk.max_xrp_exposure {limit})"
        return None
    amount = worst_case_quote(context.accounts, context.working, quotes, stays)
    if amount > context.config.risk.max_rlusd_exposure:
        limit = plain(context.config.risk.max_rlusd_exposure)
        return f"{plain(amount)} RLUSD if all asks fill (risk.max_rlusd_exposure {limit})"
    return None


#: In this order: numbers first, because the others compute with them.
_CHECKS: tuple[tuple[str, Callable[[Quote, ApprovalContext], str | None]], ...] = (
    ("BadNumber", _numbers),
    ("MaxOrderSize", _order_size),
    ("DuplicateSlot", _slot_once),
    ("MaxOpenOrders", _open_orders),
    ("WouldCross", _no_crossing),
    ("MaxExposure", _exposure),
)


def approve(quote: Quote, context: ApprovalContext) -> Approved | Refused:
    """Return Approved, or Refused naming the first limit that `quote` would break."""
    for name, check in _CHECKS:
        reason = check(quote, context)
        if reason is not None:
            return Refused(quote=quote, name=name, reason=reason)
    return Approved(quote=quote)


def approve_all(
    quotes: Sequence[Quote],
    accounts: Accounts,
    working: tuple[Order, ...],
    snapshot: MarketSnapshot,
    config: Config,
) -> tuple[tuple[Quote, ...], tuple[Refused, ...]]:
    """Return (approved, denied), each in the order given; each quote is judged beside those approved."""
    approved: tuple[Quote, ...] = ()
    denied: list[Refused] = []
    for quote in quotes:
        context = ApprovalContext(
            accounts=accounts, working=working, snapshot=snapshot, config=config, approved=approved
        )
        answer = approve(quote, context)
        if isinstance(answer, Approved):
            approved = (*approved, quote)
        else:
            denied.append(answer)
    return approved, tuple(denied)
