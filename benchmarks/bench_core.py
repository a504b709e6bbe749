"""How long inventory, risk, tracking, diff and reconciler take. Run: python -m benchmarks.bench_core

The usual tick: two working orders, one a side, the quotes as they stand, nothing to do. Measured is all
that a tick asks of the five together: tracking (no news), accounts, reconciliation (every tick here,
though the engine does it every tenth), what may be committed, capital, monitors, approval, diff. The
budget is a median below 60 microseconds; the busy tick (a fill and both sides replaced) has none.
Measured on a shared 2-core machine with CPython 3.11: quiet 50, busy 82 (p95 75 and 112).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from msgspec.structs import replace

from neo_engine.config import load_config
from neo_engine.domain.assets import Side
from neo_engine.domain.capital import CapitalEvent, CapitalKind
from neo_engine.domain.fills import Fill, LiquiditySide
from neo_engine.domain.market import AccountView, MarketSnapshot, VenueOffer
from neo_engine.domain.orders import Order, OrderStatus, OrderUpdate, Quote
from neo_engine.execution import tracking
from neo_engine.execution.diff import diff
from neo_engine.inventory import (
    Available,
    accounts,
    apply_events,
    apply_fill,
    available,
    empty,
    fit_to_capital,
)
from neo_engine.reconciliation import VenueTruth, reconcile
from neo_engine.risk import RiskObservation, approve_all, assess, initial_state

CONFIG = load_config(Path(__file__).resolve().parents[1] / "config" / "paper.yaml")
ROUNDS = 5_000
BUDGET_US = 60
NOW = 800_000_000
LEDGER = 1_000
XRP = 1_000_000
MID = Decimal("2.1247563")


def _quote(slot: str, side: Side, price: str) -> Quote:
    drops = 7 * XRP
    return Quote(
        slot=slot,
        side=side,
        price=Decimal(price),
        base_drops=drops,
        quote=7 * Decimal(price),
        expiration=None,
    )


def _order(number: int, quote: Quote) -> Order:
    return Order(
        order_id=number,
        slot=quote.slot,
        side=quote.side,
        price=quote.price,
        base_drops=quote.base_drops,
        quote=quote.quote,
        remaining_base_drops=quote.base_drops,
        remaining_quote=quote.quote,
        status=OrderStatus.OPEN,
        expiration=NOW + 600,
        offer_sequence=100 + number,
        tx_hash="",
        last_ledger_sequence=LEDGER,
        created_ledger=LEDGER - 4,
        failure_reason=None,
        filled_base_drops=0,
        filled_quote=Decimal(0),
        result_code="tesSUCCESS",
        cancel_sent_ledger=None,
        closed_ledger=None,
    )


QUOTES = (_quote("bid-1", Side.BUY, "2.124"), _quote("ask-1", Side.SELL, "2.1255"))
ORDERS = tracking.orders_of([_order(number, quote) for number, quote in enumerate(QUOTES, start=1)])
ACCOUNT = AccountView(
    balance_drops=100 * XRP,
    quote_balance=Decimal(220),
    owner_count=3,
    account_sequence=500,
    offers=tuple(
        VenueOffer(
            offer_sequence=order.offer_sequence or 0,
            side=order.side,
            base_drops=order.base_drops,
            quote=order.quote,
            expiration=order.expiration,
        )
        for order in ORDERS
    ),
)
MARKET = MarketSnapshot(
    ledger_index=LEDGER + 5,
    ledger_hash="",
    close_time=NOW,
    fee_base_drops=10,
    base_reserve_drops=XRP,
    owner_reserve_drops=200_000,
    bids=(),
    asks=(),
    best_bid=Decimal("2.1239"),
    best_ask=Decimal("2.1256126"),
    mid=MID,
    pool=None,
    tick_size=7,
    transfer_rate=1_000_000_000,
    trades=(),
    faults=(),
)
SEEN = RiskObservation(close_time=NOW, feed_faults=0, data_faults=(), kill=())
TRUTH = VenueTruth(account=ACCOUNT, ledger_index=LEDGER + 5, close_time=NOW)
OPENING = tuple(
    CapitalEvent(
        request_id=name,
        kind=CapitalKind.OPENING,
        base_drops=drops,
        quote=Decimal(rlusd),
        note="",
        created_at="",
    )
    for name, drops, rlusd in (("xrp", 100 * XRP, 0), ("rlusd", 0, 220))
)
INVENTORY = apply_events(empty(), OPENING, MID, Available(base_drops=0, quote=Decimal(0))).inventory
RISK = initial_state(NOW)


def quiet_tick() -> None:
    """One tick with nothing to do."""
    tracked = tracking.apply(ORDERS, (), ())
    view = accounts(INVENTORY, MID)
    checked = reconcile(tracked.orders, view, TRUTH, CONFIG, repairs_so_far=0)
    available(ACCOUNT, MARKET, CONFIG)
    assess(RISK, view, SEEN, CONFIG, NOW)
    working = checked.orders.working
    quotes, _ = fit_to_capital(QUOTES, ACCOUNT, MARKET, CONFIG, working)
    quotes, _ = approve_all(quotes, view, working, MARKET, CONFIG)
    diff(quotes, working, CONFIG, close_time=NOW, ledger_index=LEDGER + 5, next_order_id=3)


MOVED = tuple(replace(quote, price=quote.price - Decimal("0.0005")) for quote in QUOTES)
TRADED = Fill(
    order_id=1,
    ledger_index=LEDGER + 5,
    close_time=NOW,
    transaction_index=3,
    node="N",
    tx_hash="T",
    side=Side.BUY,
    liquidity=LiquiditySide.MAKER,
    base_drops=XRP,
    quote=Decimal("2.124"),
    quote_balance_delta=Decimal("-2.124"),
    rounding=Decimal(0),
    offer_sequence=101,
)
NEWS = OrderUpdate(
    order_id=1,
    status=OrderStatus.PARTIALLY_FILLED,
    remaining_base_drops=6 * XRP,
    remaining_quote=Decimal("12.744"),
    offer_sequence=101,
    reason=None,
    ledger_index=LEDGER + 5,
)


def busy_tick() -> None:
    """A fill and both sides replaced."""
    tracked = tracking.apply(ORDERS, (NEWS,), (TRADED,))
    inventory, _ = apply_fill(INVENTORY, tracked.fills[0])
    view = accounts(inventory, MID)
    assess(RISK, view, SEEN, CONFIG, NOW)
    working = tracked.orders.working
    quotes, _ = fit_to_capital(MOVED, ACCOUNT, MARKET, CONFIG, working)
    quotes, _ = approve_all(quotes, view, working, MARKET, CONFIG)
    plan = diff(quotes, working, CONFIG, close_time=NOW, ledger_index=LEDGER + 5, next_order_id=3)
    tracking.with_new(tracked.orders, plan.new_orders)


def measure(action: Callable[[], None], rounds: int = ROUNDS) -> tuple[Decimal, Decimal]:
    """Return (median, 95th percentile) of one call in microseconds."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter_ns()
        action()
        taken.append(time.perf_counter_ns() - start)
    taken.sort()
    return Decimal(int(statistics.median(taken))) / 1000, Decimal(taken[rounds * 95 // 100]) / 1000


def main() -> int:
    """Print the figures; exit 1 when the quiet tick is over its budget."""
    quiet, quiet_95 = measure(quiet_tick)
    busy, busy_95 = measure(busy_tick)
    print(f"quiet tick: median {quiet:.1f} us, p95 {quiet_95:.1f} us (budget {BUDGET_US} us)")
    print(f"busy tick:  median {busy:.1f} us, p95 {busy_95:.1f} us")
    return int(quiet > BUDGET_US)


if __name__ == "__main__":
    raise SystemExit(main())
