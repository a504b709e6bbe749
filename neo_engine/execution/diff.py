"""ORDER DIFF: from the quotes we want and the orders that work to the fewest commands.

A slot of the ladder (`bid-1`, `ask-2`) holds one order. For each slot:

    order in flight                          leave it alone until the ledger decides
    quote, order near enough                 keep: a replace would lose its place in the queue
    quote, order too far off or expiring     replace it (one transaction, ledger-rules, Replace)
    quote, no order                          place
    order, no quote                          cancel
    quote, but the slot's last were refused  wait (domain/backoff.py), and cancel what stands too far off

Near enough: price within `strategy.price_tolerance_bps`, what is left of it within
`strategy.size_tolerance` of the size wanted, and worth at least the minimum notional. So a small partial
fill does not cost the queue position.

Commands come in the order in which they should reach the ledger: cancels first; then, when the market
jumped, the side being run over. If a new bid reaches an old ask of ours, the ask must have moved before
the bid arrives, or the ledger deletes the ask for crossing ourselves ("regardless of amounts", 2.3).
A quote that would cross an own order which does not move now waits for a later tick.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from neo_engine.config import Config
from neo_engine.domain.assets import Side
from neo_engine.domain.backoff import backing_off
from neo_engine.domain.number import BPS, ZERO, plain
from neo_engine.domain.orders import CancelOrder, Command, Order, OrderStatus, PlaceOrder, Quote
from neo_engine.domain.records import Gate

_RESTING = frozenset({OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED})


class OrderDiff(msgspec.Struct, frozen=True, kw_only=True):
    """What to do. kept, canceled: how many orders stay as they are, and how many get a plain cancel.

    gates: quotes held back here, with the reason. in_flight: slots left alone.
    """

    commands: tuple[Command, ...]
    new_orders: tuple[Order, ...]
    kept: int
    canceled: int
    in_flight: tuple[str, ...]
    gates: tuple[Gate, ...]
    next_order_id: int

    @property
    def replaces(self) -> dict[int, int]:
        """New order id -> id of the order it replaces."""
        return {
            command.order_id: command.replaces
            for command in self.commands
            if isinstance(command, PlaceOrder) and command.replaces is not None
        }


def _movable(order: Order, config: Config, ledger_index: int) -> bool:
    """Say whether a command may be sent for the order now.

    A cancel under way is left alone until its LastLedgerSequence has passed; then it can never come.
    """
    if order.offer_sequence is None:
        return False
    if order.status in _RESTING:
        return True
    if order.status is not OrderStatus.PENDING_CANCEL or order.cancel_sent_ledger is None:
        return False
    return ledger_index > order.cancel_sent_ledger + config.execution.last_ledger_offset


def keeps_its_place(order: Order, quote: Quote, config: Config, close_time: int) -> bool:
    """Say whether a resting order is near enough to the quote to keep its place in the queue."""
    if order.status not in _RESTING or order.side is not quote.side:
        return False
    strategy, execution = config.strategy, config.execution
    if abs(quote.price - order.price) * BPS > order.price * strategy.price_tolerance_bps:
        return False
    wanted = quote.base_drops
    if abs(wanted - order.remaining_base_drops) > strategy.size_tolerance * wanted:
        return False
    if order.remaining_quote < config.order_size.min_notional_rlusd:
        return False
    if order.expiration is None:
        return execution.offer_lifetime_seconds == 0
    return order.expiration - close_time >= execution.offer_refresh_seconds


def new_order(order_id: int, quote: Quote, ledger_index: int) -> Order:
    """Return the order that is to place `quote`, decided after ledger `ledger_index`, not sent yet."""
    return Order(
        order_id=order_id,
        slot=quote.slot,
        side=quote.side,
        price=quote.price,
        base_drops=quote.base_drops,
        quote=quote.quote,
        remaining_base_drops=quote.base_drops,
        remaining_quote=quote.quote,
        status=OrderStatus.PENDING_SUBMIT,
        expiration=quote.expiration,
        offer_sequence=None,
        tx_hash=None,
        last_ledger_sequence=None,
        created_ledger=ledger_index,
        failure_reason=None,
        filled_base_drops=0,
        filled_quote=ZERO,
        result_code=None,
        cancel_sent_ledger=None,
        closed_ledger=None,
    )


@dataclass(slots=True)
class _Plan:
    """What each slot needs, before commands are numbered and put in order."""

    places: list[tuple[Quote, Order | None]]
    cancels: list[tuple[Order, str]]
    standing: list[Order]  # kept or in flight: they do not move in this tick
    kept: int
    in_flight: list[str]


def _best_to_keep(order: Order) -> tuple[bool, int]:
    """Sort resting orders first, then the newest: what a late word about a replace may leave behind."""
    return (order.status not in _RESTING, -order.order_id)


def _plan(
    quotes: Sequence[Quote], orders: Sequence[Order], config: Config, close_time: int, ledger_index: int
) -> _Plan:
    plan = _Plan(places=[], cancels=[], standing=[], kept=0, in_flight=[])
    slots: dict[str, list[Order]] = {}
    for order in orders:
        slots.setdefault(order.slot, []).append(order)
    wanted = {quote.slot: quote for quote in quotes}
    replaced: dict[str, Order] = {}
    for slot, held in slots.items():
        if not all(_movable(order, config, ledger_index) for order in held):
            plan.in_flight.append(slot)
            plan.standing.extend(held)
            wanted.pop(slot, None)
            continue
        quote = wanted.get(slot)
        if quote is None:
            plan.cancels.extend((order, "no quote for its slot") for order in held)
            continue
        first, *others = sorted(held, key=_best_to_keep)
        plan.cancels.extend((order, "second order in its slot") for order in others)
        if keeps_its_place(first, quote, config, close_time):
            plan.kept += 1
            plan.standing.append(first)
            del wanted[slot]
        else:
            replaced[slot] = first
    plan.places.extend((quote, replaced.get(slot)) for slot, quote in wanted.items())
    return plan


def _crosses(quote: Quote, others: Iterable[Order]) -> Order | None:
    """Return the own opposite order that `quote` would reach, or None."""
    for order in others:
        if order.side is quote.side:
            continue
        bid, ask = (quote, order) if quote.side is Side.BUY else (order, quote)
        if bid.price >= ask.price:
            return order
    return None


def _held_back(quote: Quote, name: str, detail: str) -> Gate:
    side = "bid" if quote.side is Side.BUY else "ask"
    return Gate(name=name, side=side, detail=f"{quote.slot}: {detail}")


def _permitted(
    plan: _Plan, orders: Sequence[Order], config: Config, waiting: Mapping[str, str]
) -> tuple[list[Gate], int]:
    """Take from the plan what may not be sent now; return the gates and how many old orders stay.

    waiting: slots that are not tried yet, with why.
    """
    limit = config.risk.max_open_orders
    open_slots = {order.slot for order in orders}
    permitted: list[tuple[Quote, Order | None]] = []
    gates: list[Gate] = []
    stays = 0
    for quote, old in plan.places:
        blocking = _crosses(quote, plan.standing)
        if quote.slot in waiting:
            gates.append(_held_back(quote, "Backoff", waiting[quote.slot]))
            if old is not None:  # it is not where it should be, and cannot be moved there
                plan.cancels.append((old, "its replacement was refused"))
        elif blocking is not None:
            own = f"our own order {blocking.order_id} at {plain(blocking.price)}"
            detail = f"{plain(quote.price)} would cross {own}"
            gates.append(_held_back(quote, "SelfCross", detail))
            stays += old is not None
        elif old is None and len(open_slots) >= limit:
            detail = f"{len(open_slots)} orders work already (risk.max_open_orders {limit})"
            gates.append(_held_back(quote, "MaxOpenOrders", detail))
        else:
            open_slots.add(quote.slot)
            permitted.append((quote, old))
    plan.places = permitted
    return gates, stays


def _run_over_first(places: list[tuple[Quote, Order | None]]) -> list[tuple[Quote, Order | None]]:
    """Return the placements with the side being run over first, else in the order given."""
    old_orders = [old for _, old in places if old is not None]
    for quote, _ in places:
        if _crosses(quote, old_orders) is not None:
            first = quote.side.opposite
            return sorted(places, key=lambda place: place[0].side is not first)
    return places


def diff(
    quotes: Sequence[Quote],
    orders: Sequence[Order],
    config: Config,
    *,
    close_time: int,
    ledger_index: int,
    next_order_id: int,
    left: Sequence[Order] = (),
    ended: Iterable[Order] = (),
) -> OrderDiff:
    """Return the commands that turn the working `orders` into `quotes`, in sending order.

    left: those of `orders` that are not touched, whatever is wanted. ended: the latest that work no more.
    close_time: of ledger `ledger_index`, seconds since 2000-01-01; new offers expire
    `execution.offer_lifetime_seconds` after it (0: never). New orders are numbered from `next_order_id`.
    """
    stay = {order.order_id for order in left}
    touched = [order for order in orders if order.order_id not in stay]
    plan = _plan(quotes, touched, config, close_time, ledger_index)
    plan.standing.extend(left)
    gates: list[Gate] = []
    stays = 0
    if plan.places:
        waiting = backing_off((*orders, *ended), ledger_index)
        gates, stays = _permitted(plan, orders, config, waiting)
    lifetime = config.execution.offer_lifetime_seconds
    expiration = close_time + lifetime if lifetime else None
    commands: list[Command] = []
    for order, reason in plan.cancels:
        if order.offer_sequence is not None:
            command = CancelOrder(order_id=order.order_id, offer_sequence=order.offer_sequence, reason=reason)
            commands.append(command)
    new_orders: list[Order] = []
    for quote, old in _run_over_first(plan.places):
        dated = replace(quote, expiration=expiration)
        new_orders.append(new_order(next_order_id, dated, ledger_index))
        commands.append(
            PlaceOrder(
                order_id=next_order_id,
                quote=dated,
                replaces=None if old is None else old.order_id,
                replaces_sequence=None if old is None else old.offer_sequence,
            )
        )
        next_order_id += 1
    return OrderDiff(
        commands=tuple(commands),
        new_orders=tuple(new_orders),
        kept=plan.kept + stays + len(left),
        canceled=len(plan.cancels),
        in_flight=tuple(plan.in_flight),
        gates=tuple(gates),
        next_order_id=next_order_id,
    )


def cancels_of(orders: Iterable[Order], reason: str) -> tuple[CancelOrder, ...]:
    """Return a cancel for every order that can stand on the ledger, one on its way there included.

    A replaced order gets one too: a replace that ends in a tec leaves it standing.
    """
    return tuple(
        CancelOrder(order_id=order.order_id, offer_sequence=order.offer_sequence, reason=reason)
        for order in orders
        if order.offer_sequence is not None
    )
