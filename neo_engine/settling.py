"""The first half of a tick: what has happened, before anything is wanted. Pure.

validated ledger -> fills -> inventory -> reconciliation -> capital -> monitors

What the ledger did to us is booked in any case. Its market is passed on only when it may be believed by its
age and by what the server says of itself: else there is no snapshot, and a gate says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from msgspec.structs import replace

from neo_engine.config import Config
from neo_engine.domain.assets import Side
from neo_engine.domain.capital import CapitalKind
from neo_engine.domain.fills import Fill
from neo_engine.domain.halt import HaltReason
from neo_engine.domain.market import AccountView, DataFault, MarketSnapshot, is_price
from neo_engine.domain.number import BPS
from neo_engine.domain.orders import Order, OrderStatus, TransactionKind
from neo_engine.domain.records import Accounts, CapitalRecord, Gate, InventoryEntry, Touch
from neo_engine.execution.tracking import Tracked
from neo_engine.execution.tracking import apply as track
from neo_engine.inventory import (
    Available,
    Inventory,
    accounts,
    apply_events,
    apply_fees,
    apply_fill,
    available,
    first_mark,
)
from neo_engine.reconciliation.account import NOTHING, answer
from neo_engine.reconciliation.reconciler import Reconciliation, VenueTruth, halt_of, reconcile
from neo_engine.risk import RiskObservation, assess
from neo_engine.strategy.engine import with_fills
from neo_engine.strategy.gates import data_gates, manual_gates, no_data_gate, stale_gates, unhealthy_gates
from neo_engine.tick_values import NO_TOUCH, EngineState, Observation, Settled

NOTHING_AVAILABLE = Available(base_drops=0, quote=Decimal(0))
_STANDING = frozenset({OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED, OrderStatus.PENDING_CANCEL})
_PLACING = frozenset({TransactionKind.CREATE, TransactionKind.REPLACE})


def settle(state: EngineState, seen: Observation, config: Config, now: int) -> Settled:
    """Return what has happened: ledger -> fills -> inventory -> reconciliation -> capital -> monitors."""
    report = seen.report
    unseen = _unseen(state, seen, config, now)
    snapshot = report.snapshot if report and not unseen else None
    news = report.order_updates if report else seen.order_updates
    tracked = track(state.orders, news, report.fills if report else (), report.transactions if report else ())
    inventory, entries = _book_fills(state.inventory, tracked.fills)
    if report:
        inventory = apply_fees(inventory, sum(one.fee_drops for one in report.transactions))
    mark = _sound_mid(snapshot) or state.mark
    mark = first_mark(mark, tracked.fills)
    account = report.account if report else state.account
    free = available(account, snapshot, config) if account and snapshot else NOTHING_AVAILABLE
    told = answer(report.findings, config, seen.close_time) if report else NOTHING
    # What the ledger shows to have happened is in its balances already, so it comes before the comparison.
    opened = bool(state.inventory.capital_requests)
    shown = apply_events(inventory, told.capital if opened else (), mark, free)
    inventory, view = shown.inventory, accounts(shown.inventory, mark)
    books = view if opened else None
    checked = _reconcile(state, seen, config, tracked, view)
    orders = checked.orders if checked else tracked.orders
    events = (*state.waiting, *shown.waiting, *seen.capital, *(() if opened else told.capital))
    # Without a ledger nobody knows what may leave, so capital waits for the next one.
    moved = apply_events(inventory, events, mark, free) if events and snapshot else None
    if moved is not None:
        inventory, account = moved.inventory, _less_withdrawn(account, moved.records)
        view = accounts(inventory, mark)
    risk = assess(state.risk, view, _risk_observation(seen, state, books, unseen), config, now)
    findings = (*told.findings, *(checked.findings if checked else tracked.faults))
    halt = state.stopping or seen.stop or risk.halt or told.halt or halt_of(findings)
    after = EngineState(
        tick=state.tick + 1,
        inventory=inventory,
        orders=orders,
        next_order_id=state.next_order_id,
        strategy=with_fills(state.strategy, tracked.fills),
        risk=risk.state,
        mark=mark,
        account=account,
        waiting=moved.waiting if moved else events,
        repairs=state.repairs + (checked.repairs if checked else 0),
        stopping=halt,
    )
    return Settled(
        state=after,
        accounts=view,
        snapshot=snapshot,
        fills=tracked.fills,
        inventory=entries,
        capital=(*shown.records, *(moved.records if moved else ())),
        findings=findings,
        gates=(
            *(gate for gate in unseen if gate.name not in {one.name for one in risk.gates}),
            *risk.gates,
            *manual_gates(seen.pause),
        ),
        readings=risk.changed,
        touch=_touch(orders.working, snapshot),
        changed_orders=_latest(tracked.changed, checked.changed if checked else ()),
        halt=halt if state.stopping is None else None,
    )


def _sound_mid(snapshot: MarketSnapshot | None) -> Decimal | None:
    """Return the mid if the snapshot may be believed and it is a price, else None."""
    if snapshot is None or snapshot.faults or snapshot.mid is None:
        return None
    return snapshot.mid if is_price(snapshot.mid) else None


def _book_fills(inventory: Inventory, fills: Sequence[Fill]) -> tuple[Inventory, tuple[InventoryEntry, ...]]:
    entries: list[InventoryEntry] = []
    for fill in fills:
        inventory, rows = apply_fill(inventory, fill)
        entries.extend(rows)
    return inventory, tuple(entries)


def _reconcile(
    state: EngineState, seen: Observation, config: Config, tracked: Tracked, view: Accounts
) -> Reconciliation | None:
    """Compare with the venue's word every `reconciler.interval_ticks`, and at once after a fault.

    Before the opening is applied there is no inventory to compare.
    """
    if seen.report is None or not state.inventory.capital_requests:
        return None
    due = (state.tick + 1) % config.reconciler.interval_ticks == 0
    if not due and not tracked.faults:
        return None
    return reconcile(
        tracked.orders,
        view,
        VenueTruth(account=seen.report.account, ledger_index=seen.ledger_index, close_time=seen.close_time),
        config,
        repairs_so_far=state.repairs,
        faults=tracked.faults,
    )


def _less_withdrawn(account: AccountView | None, records: Sequence[CapitalRecord]) -> AccountView | None:
    """Return the venue's word less what leaves now: this tick must not commit it any more."""
    for record in records:
        leaves = record.event.kind is CapitalKind.WITHDRAWAL and not record.event.observed
        if record.applied and account is not None and leaves:
            account = replace(
                account,
                balance_drops=account.balance_drops - record.event.base_drops,
                quote_balance=account.quote_balance - record.event.quote,
            )
    return account


def _unseen(state: EngineState, seen: Observation, config: Config, now: int) -> tuple[Gate, ...]:
    """Return why this tick has no market to look at; empty for one that has, and for one that waits."""
    if seen.report is None:
        return () if state.account is not None else (no_data_gate(),)
    gates = stale_gates(seen.report.snapshot, config, now)
    return gates + unhealthy_gates(seen.link.unhealthy)


def _risk_observation(
    seen: Observation, state: EngineState, books: Accounts | None, unseen: Sequence[Gate]
) -> RiskObservation:
    """Return what the monitors are told; books: what is held by our own count at the ledger's moment."""
    report = seen.report
    snapshot = report.snapshot if report else None
    faults = tuple(DataFault(gate.name) for gate in unseen) if report else ()
    # What the strategy will not price is no data to be trusted either, whoever found the fault.
    unpriced = tuple(DataFault(gate.name) for gate in data_gates(snapshot)) if snapshot else ()
    kill = seen.stop is not None and seen.stop.reason is HaltReason.KILL_SWITCH
    return RiskObservation(
        close_time=seen.close_time if seen.kind == "ledger" else None,
        feed_faults=len(seen.faults),
        data_faults=(*faults, *unpriced),
        kill=(seen.stop.detail,) if kill and seen.stop else (),
        snapshot=None if faults else snapshot,
        account=report.account if report and books else None,
        books=books,
        results=_results(seen, state),
        newest_order=state.next_order_id - 1,
        findings=report.findings if report else (),
        link=seen.link,
        reference=seen.reference,
    )


def _results(seen: Observation, state: EngineState) -> tuple[str, ...]:
    """Return the codes that answered our creates and replaces since the last tick, oldest first.

    What the server refused at once was closed right after the tick that made it; a ledger told the others.
    """
    codes = []
    for order_id in range(state.risk.newest_order + 1, state.next_order_id):
        ended = state.orders.closed.get(order_id)
        if ended is not None and ended.status is OrderStatus.REJECTED and ended.result_code is not None:
            codes.append(ended.result_code)
    if seen.report is not None:
        codes += [one.result for one in seen.report.transactions if one.kind in _PLACING]
    return tuple(codes)


def _latest(tracked: Sequence[Order], repaired: Sequence[Order]) -> tuple[Order, ...]:
    """Return the orders that changed, each once, as the reconciler left them."""
    return tuple({order.order_id: order for order in (*tracked, *repaired)}.values())


def _touch(working: Sequence[Order], snapshot: MarketSnapshot | None) -> Touch:
    """Return how far our best standing orders are from the touch of all others, in bps of mid."""
    if snapshot is None:
        return NO_TOUCH
    bids = [order.price for order in working if order.side is Side.BUY and order.status in _STANDING]
    asks = [order.price for order in working if order.side is Side.SELL and order.status in _STANDING]
    our_bid, our_ask = max(bids, default=None), min(asks, default=None)
    mid, best_bid, best_ask = snapshot.mid, snapshot.best_bid, snapshot.best_ask
    bid_bps = ask_bps = None
    if mid is None or best_bid is None or best_ask is None:
        return Touch(our_bid=our_bid, our_ask=our_ask, bid_bps=None, ask_bps=None)
    if is_price(mid) and is_price(best_bid) and is_price(best_ask):
        bid_bps = (our_bid - best_bid) * BPS / mid if our_bid is not None else None
        ask_bps = (best_ask - our_ask) * BPS / mid if our_ask is not None else None
    return Touch(our_bid=our_bid, our_ask=our_ask, bid_bps=bid_bps, ask_bps=ask_bps)
