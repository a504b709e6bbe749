"""The whole flow of one tick, pure, on one screen.

    validated ledger -> fills -> inventory -> reconciliation
                     -> market snapshot -> quotes (strategy) -> capital -> risk -> order diff
                     -> COMMIT INTENT -> submit -> COMMIT OUTCOME -> next ledger

`decide` is everything up to the first commit: values in, one `Decision` out. It reads no clock, no
file and no network, so a recorded session replayed makes the same decisions, bit for bit.

A tick has a kind: `ledger` (one validated ledger), `silence` (the timer noticed that none came, or
the operator asked for something between two), `fault` (the feed could not give one) or `end` (no
further ledger will come). Only a ledger tick prices and quotes; the others may pull quotes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from neo_engine.config import Config
from neo_engine.domain.assets import Side
from neo_engine.domain.capital import CapitalEvent, CapitalKind
from neo_engine.domain.fills import Fill
from neo_engine.domain.halt import Halt, HaltReason
from neo_engine.domain.headroom import FULL
from neo_engine.domain.market import AccountView, MarketSnapshot
from neo_engine.domain.number import BPS
from neo_engine.domain.orders import Command, Order, OrderStatus, OrderUpdate, Quote, TransactionKind
from neo_engine.domain.records import (
    Accounts,
    CapitalRecord,
    FeedFaultRecord,
    Finding,
    Gate,
    InventoryEntry,
    Pricing,
    Touch,
)
from neo_engine.domain.severity import Reading
from neo_engine.execution.diff import OrderDiff, keeps_its_place
from neo_engine.execution.diff import diff as order_diff
from neo_engine.execution.tracking import Orders, Tracked, orders_of, with_new
from neo_engine.execution.tracking import apply as track
from neo_engine.inventory import (
    Available,
    Inventory,
    accounts,
    apply_events,
    apply_fees,
    apply_fill,
    available,
    empty,
    first_mark,
    fit_to_capital,
)
from neo_engine.ports import VenueReport
from neo_engine.reconciliation.account import NOTHING, answer
from neo_engine.reconciliation.reconciler import Reconciliation, VenueTruth, halt_of, reconcile
from neo_engine.risk import Refused, RiskObservation, RiskState, approve_all, assess
from neo_engine.risk import initial_state as initial_risk
from neo_engine.strategy.anchor import is_price
from neo_engine.strategy.engine import StrategyState, evaluate, with_fills
from neo_engine.strategy.engine import initial_state as initial_strategy
from neo_engine.strategy.gates import ASK, BID, BOTH, is_open
from neo_engine.strategy.quota import left_standing

NO_PRICING = Pricing(
    anchor=None,
    anchor_source=None,
    divergence_bps=None,
    clamped=False,
    volatility_bps=None,
    atr_bps=None,
    reservation=None,
    half_spread_bps=None,
    factors=(),
)
NO_TOUCH = Touch(our_bid=None, our_ask=None, bid_bps=None, ask_bps=None)
NOTHING_AVAILABLE = Available(base_drops=0, quote=Decimal(0))
STOPPING_GATE = "Stopping"
FEE_GATE = "Fee"
BEHIND_GATE = "Behind"
_STANDING = frozenset({OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED, OrderStatus.PENDING_CANCEL})
_PLACING = frozenset({TransactionKind.CREATE, TransactionKind.REPLACE})
_QUOTING = {(True, True): "both", (True, False): "bid", (False, True): "ask", (False, False): "none"}


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one tick may know. close_time: seconds since 2000-01-01 on the feed's clock.

    report: what the ledger did (ledger ticks only). order_updates: what the end of the market did to
    our orders (end ticks only). stop: the session is to end for this reason; quotes are pulled. overtaken: a
    newer ledger is known to be there, so that nothing is decided on this one.
    """

    kind: str
    ledger_index: int
    close_time: int
    report: VenueReport | None
    order_updates: tuple[OrderUpdate, ...]
    faults: tuple[FeedFaultRecord, ...]
    capital: tuple[CapitalEvent, ...]
    stop: Halt | None
    overtaken: bool = False


class EngineState(msgspec.Struct, frozen=True, kw_only=True):
    """All that one tick hands to the next. `stopping`: the session winds down for that reason.

    mark: the last mid, RLUSD per XRP. account: the venue's last word. waiting: capital events that
    cannot be valued before the first mark. repairs: what the reconciler has mended so far.
    """

    tick: int
    inventory: Inventory
    orders: Orders
    next_order_id: int
    strategy: StrategyState
    risk: RiskState
    mark: Decimal | None
    account: AccountView | None
    waiting: tuple[CapitalEvent, ...]
    repairs: int
    stopping: Halt | None


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """The first half of a tick: what has happened, before anything is wanted."""

    state: EngineState
    accounts: Accounts
    snapshot: MarketSnapshot | None
    fills: tuple[Fill, ...]
    inventory: tuple[InventoryEntry, ...]
    capital: tuple[CapitalRecord, ...]
    findings: tuple[Finding, ...]
    gates: tuple[Gate, ...]
    readings: tuple[Reading, ...]
    touch: Touch
    changed_orders: tuple[Order, ...]
    halt: Halt | None


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What a tick decided, and why. `halt`: set by the tick that begins to end the session.

    readings: of monitors, those whose severity changed in this tick.
    """

    state: EngineState
    accounts: Accounts
    fills: tuple[Fill, ...]
    inventory: tuple[InventoryEntry, ...]
    capital: tuple[CapitalRecord, ...]
    findings: tuple[Finding, ...]
    pricing: Pricing
    gates: tuple[Gate, ...]
    quotes: tuple[Quote, ...]
    quoting: str
    touch: Touch
    commands: tuple[Command, ...]
    new_orders: tuple[Order, ...]
    changed_orders: tuple[Order, ...]
    replaces: Mapping[int, int]
    canceled: int
    kept: int
    halt: Halt | None
    readings: tuple[Reading, ...] = ()


def initial_state(config: Config, close_time: int, adopted: Orders | None = None) -> EngineState:
    """Return the state before the first tick; close_time: of the ledger the feed starts from.

    adopted: orders of earlier sessions that still work, numbered from 1.
    """
    orders = adopted or orders_of(())
    return EngineState(
        tick=0,
        inventory=empty(),
        orders=orders,
        next_order_id=1 + max((order.order_id for order in orders), default=0),
        strategy=initial_strategy(config),
        risk=initial_risk(close_time),
        mark=None,
        account=None,
        waiting=(),
        repairs=0,
        stopping=None,
    )


def decide(state: EngineState, seen: Observation, config: Config, now: int) -> Decision:
    """Return what tick `state.tick + 1` does about what was seen; now: the feed's time in seconds.

    Raises InvariantViolation for what cannot be, never for what the world may do.
    """
    settled = settle(state, seen, config, now)
    if seen.overtaken:
        behind = Gate(name=BEHIND_GATE, side="both", detail="a newer ledger is there: that one is decided on")
        return undecided(replace(settled, gates=(*settled.gates, behind)))
    if settled.state.stopping is not None:
        return pull(settled, config, seen)
    if settled.snapshot is None:
        pulled = any(gate.side == BOTH for gate in settled.gates)
        return pull(settled, config, seen) if pulled else undecided(settled)
    account = settled.state.account
    if account is None:
        return undecided(settled)
    working = settled.state.orders.working
    left = seen.report.headroom if seen.report else FULL
    wanted = evaluate(settled.state.strategy, settled.snapshot, settled.accounts, config, headroom=left)
    state = replace(settled.state, strategy=wanted.state)
    quotes, gates = wanted.quotes, (*settled.gates, *wanted.gates)
    if settled.gates:  # monitors close these sides: nothing of ours is wanted there
        sides = {Side.BUY: is_open(settled.gates, BID), Side.SELL: is_open(settled.gates, ASK)}
        quotes = tuple(quote for quote in quotes if sides[quote.side])
    quotes, short = fit_to_capital(quotes, account, settled.snapshot, config, working)
    quotes, denied = approve_all(quotes, settled.accounts, working, settled.snapshot, config)
    quotes, dear = _within_fee(quotes, working, settled.snapshot, config, now)
    plan = order_diff(
        quotes,
        working,
        config,
        close_time=now,
        ledger_index=seen.ledger_index,
        next_order_id=state.next_order_id,
        left=left_standing(working, gates),
        ended=state.orders.closed.values(),
    )
    return _decision(
        replace(settled, state=state),
        plan=plan,
        quotes=quotes,
        pricing=wanted.pricing,
        gates=(*gates, *short, *(one.gate for one in (*denied, *dear)), *plan.gates),
    )


def _sound_mid(snapshot: MarketSnapshot | None) -> Decimal | None:
    """Return the mid if the snapshot may be believed and it is a price, else None."""
    if snapshot is None or snapshot.faults or snapshot.mid is None:
        return None
    return snapshot.mid if is_price(snapshot.mid) else None


def _within_fee(
    quotes: tuple[Quote, ...],
    working: Sequence[Order],
    snapshot: MarketSnapshot,
    config: Config,
    now: int,
) -> tuple[tuple[Quote, ...], tuple[Refused, ...]]:
    """Return the quotes that may stand at the network's fee, and those refused for it.

    Above `risk.max_fee_drops` only what needs no transaction stands: an order near enough to its quote
    keeps its place. One that would be replaced is cancelled instead: a cancel is never blocked.
    """
    fee, limit = snapshot.fee_base_drops, config.risk.max_fee_drops
    if fee <= limit:
        return quotes, ()
    slots = {
        quote.slot
        for quote in quotes
        for order in working
        if order.slot == quote.slot and keeps_its_place(order, quote, config, now)
    }
    reason = f"the network asks {fee} drops a transaction (risk.max_fee_drops {limit})"
    refused = [Refused(quote=one, name=FEE_GATE, reason=reason) for one in quotes if one.slot not in slots]
    return tuple(quote for quote in quotes if quote.slot in slots), tuple(refused)


def settle(state: EngineState, seen: Observation, config: Config, now: int) -> Settled:
    """Return what has happened: ledger -> fills -> inventory -> reconciliation -> capital -> monitors."""
    report = seen.report
    snapshot = report.snapshot if report else None
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
    moved = apply_events(inventory, events, mark, free) if events and report else None
    if moved is not None:
        inventory, account = moved.inventory, _less_withdrawn(account, moved.records)
        view = accounts(inventory, mark)
    risk = assess(state.risk, view, _risk_observation(seen, state, books), config, now)
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
        gates=risk.gates,
        readings=risk.changed,
        touch=_touch(orders.working, snapshot),
        changed_orders=_latest(tracked.changed, checked.changed if checked else ()),
        halt=halt if state.stopping is None else None,
    )


def pull(settled: Settled, config: Config, seen: Observation) -> Decision:
    """Return the decision that wants nothing in the book: every order is cancelled."""
    gates = settled.gates
    stopping = settled.state.stopping
    if stopping is not None:
        gates = (*gates, Gate(name=STOPPING_GATE, side="both", detail=stopping.reason.value))
    if seen.kind == "end":
        return replace(undecided(settled), gates=gates)
    plan = order_diff(
        (),
        settled.state.orders.working,
        config,
        close_time=seen.close_time,
        ledger_index=seen.ledger_index,
        next_order_id=settled.state.next_order_id,
    )
    return _decision(settled, plan=plan, quotes=(), pricing=NO_PRICING, gates=gates)


def undecided(settled: Settled) -> Decision:
    """Return the decision that leaves every order where it is."""
    working = settled.state.orders.working
    plan = OrderDiff(
        commands=(),
        new_orders=(),
        kept=len(working),
        canceled=0,
        in_flight=(),
        gates=(),
        next_order_id=settled.state.next_order_id,
    )
    return _decision(settled, plan=plan, quotes=(), pricing=NO_PRICING, gates=settled.gates)


def _decision(
    settled: Settled, *, plan: OrderDiff, quotes: tuple[Quote, ...], pricing: Pricing, gates: tuple[Gate, ...]
) -> Decision:
    return Decision(
        state=replace(
            settled.state,
            next_order_id=plan.next_order_id,
            orders=with_new(settled.state.orders, plan.new_orders),
        ),
        accounts=settled.accounts,
        fills=settled.fills,
        inventory=settled.inventory,
        capital=settled.capital,
        findings=settled.findings,
        pricing=pricing,
        gates=gates,
        quotes=quotes,
        quoting=quoting_of(quotes),
        touch=settled.touch,
        commands=plan.commands,
        new_orders=plan.new_orders,
        changed_orders=settled.changed_orders,
        replaces=plan.replaces,
        canceled=plan.canceled,
        kept=plan.kept,
        halt=settled.halt,
        readings=settled.readings,
    )


def quoting_of(quotes: Sequence[Quote]) -> str:
    """Return which sides are quoted: both, bid, ask or none."""
    has_bid = any(quote.side is Side.BUY for quote in quotes)
    has_ask = any(quote.side is Side.SELL for quote in quotes)
    return _QUOTING[has_bid, has_ask]


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


def _risk_observation(seen: Observation, state: EngineState, books: Accounts | None) -> RiskObservation:
    """Return what the monitors are told; books: what is held by our own count at the ledger's moment."""
    report = seen.report
    snapshot = report.snapshot if report else None
    kill = seen.stop is not None and seen.stop.reason is HaltReason.KILL_SWITCH
    return RiskObservation(
        close_time=seen.close_time if seen.kind == "ledger" else None,
        feed_faults=len(seen.faults),
        data_faults=snapshot.faults if snapshot else (),
        kill=(seen.stop.detail,) if kill and seen.stop else (),
        snapshot=snapshot,
        account=report.account if report and books else None,
        books=books,
        results=_results(seen, state),
        newest_order=state.next_order_id - 1,
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
