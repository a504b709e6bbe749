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

from collections.abc import Sequence

from msgspec.structs import replace

from neo_engine.config import Config
from neo_engine.domain.assets import Side
from neo_engine.domain.headroom import FULL
from neo_engine.domain.market import MarketSnapshot
from neo_engine.domain.orders import Order, Quote
from neo_engine.domain.records import Gate, Pricing
from neo_engine.domain.reference import ReferencePrice
from neo_engine.execution.diff import OrderDiff, cancels_of, keeps_its_place
from neo_engine.execution.diff import diff as order_diff
from neo_engine.execution.tracking import with_new
from neo_engine.inventory import fit_to_capital
from neo_engine.risk import Refused, approve_all
from neo_engine.settling import settle
from neo_engine.strategy.engine import evaluate
from neo_engine.strategy.gates import ASK, BID, BOTH, is_open
from neo_engine.strategy.quota import left_standing
from neo_engine.tick_values import (
    NO_PRICING,
    NO_TOUCH,
    Decision,
    EngineState,
    Observation,
    Settled,
    initial_state,
)

__all__ = [
    "NO_PRICING",
    "NO_TOUCH",
    "Decision",
    "EngineState",
    "Observation",
    "Settled",
    "decide",
    "initial_state",
    "pull",
    "quoting_of",
    "settle",
    "undecided",
    "withheld",
]

STOPPING_GATE = "Stopping"
FEE_GATE = "Fee"
BEHIND_GATE = "Behind"
STORAGE_GATE = "Storage"
_QUOTING = {(True, True): "both", (True, False): "bid", (False, True): "ask", (False, False): "none"}


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
    wanted = evaluate(
        settled.state.strategy,
        settled.snapshot,
        settled.accounts,
        config,
        headroom=left,
        reference_age=_ledgers_old(seen.reference, config, now),
    )
    state = replace(settled.state, strategy=wanted.state)
    quotes, gates = wanted.quotes, (*settled.gates, *wanted.gates)
    if settled.gates:  # a monitor or the operator closes these sides: nothing of ours is wanted there
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


def _ledgers_old(reference: ReferencePrice | None, config: Config, now: int) -> int | None:
    """Return the age of another market's price in ledgers, None without one."""
    if reference is None:
        return None
    return max(now - reference.at, 0) // config.engine.tick_interval_seconds


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


def withheld(state: EngineState, seen: Observation, config: Config, now: int, *, why: str) -> Decision:
    """Return the decision of a tick that cannot be stored: what was seen counts, nothing is wanted.

    Every order is cancelled and none is placed, whatever `decide` made of the same tick; one that is still on
    its way too, as no later tick may come for long. why: what the database says.
    """
    settled = settle(state, seen, config, now)
    gate = Gate(name=STORAGE_GATE, side="both", detail=why)
    decision = pull(replace(settled, gates=(*settled.gates, gate)), config, seen)
    if seen.kind == "end":
        return decision
    cancels = cancels_of(settled.state.orders.working, why)
    return replace(decision, commands=cancels, canceled=len(cancels))


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
