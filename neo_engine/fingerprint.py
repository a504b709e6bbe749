"""One fingerprint of a session: a sha256 chain over everything its ticks saw done and decided.

Link n = sha256(link n-1, text of tick n). The text holds the ledger, gates, pricing, quotes, commands,
order changes, fills, capital and P&L, in a fixed order and plain decimals; it holds no wall-clock
time, process id or session id, so two runs of one recording, configuration and seed are equal, and
the chain of a run cut off at a ledger is a prefix of the whole one (ARCHITECTURE invariant 12).
"""

from __future__ import annotations

import hashlib
from decimal import Decimal

from neo_engine.domain.orders import CancelOrder, Order, PlaceOrder, Quote
from neo_engine.tick import Decision, Observation

START = hashlib.sha256(b"neo fingerprint 1").digest()


def _quote(quote: Quote) -> str:
    return (
        f"{quote.slot} {quote.side.value} {quote.price} {quote.base_drops} {quote.quote} {quote.expiration}"
    )


def _order(order: Order) -> str:
    return (
        f"{order.order_id} {order.status.value} {order.remaining_base_drops} {order.remaining_quote} "
        f"{order.offer_sequence} {order.failure_reason}"
    )


def _command(command: PlaceOrder | CancelOrder) -> str:
    if isinstance(command, PlaceOrder):
        return f"place {command.order_id} {_quote(command.quote)} {command.replaces}"
    return f"cancel {command.order_id} {command.offer_sequence} {command.reason}"


def _normal(value: Decimal | None) -> str:
    return "" if value is None else str(value.normalize())


def tick_text(seen: Observation, decision: Decision) -> str:
    """Return the canonical text of one tick: what the chain hashes."""
    pricing, accounts = decision.pricing, decision.accounts
    lines = [
        f"{seen.kind} {seen.ledger_index} {seen.close_time}",
        f"{_normal(pricing.anchor)} {pricing.anchor_source} {pricing.clamped} {_normal(pricing.reservation)} "
        f"{_normal(pricing.half_spread_bps)} {_normal(pricing.volatility_bps)}",
        f"{accounts.base_drops} {_normal(accounts.quote)} {accounts.fees_drops} "
        f"{_normal(accounts.realised)} {_normal(accounts.unrealised)}",
    ]
    lines += [f"gate {gate.name} {gate.side} {gate.detail}" for gate in decision.gates]
    lines += [f"quote {_quote(quote)}" for quote in decision.quotes]
    lines += [_command(command) for command in decision.commands]
    lines += [f"order {_order(order)}" for order in decision.changed_orders]
    lines += [
        f"fill {fill.key} {fill.order_id} {fill.base_drops} {fill.quote} {fill.quote_balance_delta}"
        for fill in decision.fills
    ]
    lines += [
        f"capital {one.event.kind.value} {one.event.base_drops} {one.event.quote} {one.applied}"
        for one in decision.capital
    ]
    lines += [f"finding {one.name} {one.order_id} {one.detail}" for one in decision.findings]
    if decision.halt is not None:
        lines.append(f"halt {decision.halt.reason.value} {decision.halt.detail}")
    return "\n".join(lines)


def extend(previous: bytes, seen: Observation, decision: Decision) -> bytes:
    """Return the next link of the chain (32 bytes)."""
    return hashlib.sha256(previous + tick_text(seen, decision).encode()).digest()
