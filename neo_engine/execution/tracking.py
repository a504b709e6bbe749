"""Order tracking: what our orders have become, by the venue's word and by fills.

`Orders` is a value: the working orders, the latest closed ones, and what was seen of each. The
functions return a new one with what changed; `LEGAL_MOVES` (domain/orders.py) is the only authority on
which status may follow which.

Invariants:
1. A fill key counts once per order, whatever is repeated; a new fill is never thrown away, even when
   it is a fault, because the money moved: `Tracked.fills` goes to the inventory.
2. Within a ledger fills come before updates, and updates from more left to less, resting to closed; so
   the order in which one ledger's news arrives does not matter. News older than what an order has
   already seen changes nothing.
3. What the venue says against the table is a fault (a halting `Finding`), never an exception.
   What we ourselves do against the table is `InvariantViolation`.
4. An order leaves `working` only by a terminal status; then nothing of it stands: remaining is zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import msgspec
from msgspec.structs import replace

from neo_engine.domain.errors import InvariantViolation
from neo_engine.domain.fills import Fill
from neo_engine.domain.number import NEAREST, ZERO, issued_sub, plain
from neo_engine.domain.orders import (
    LEGAL_MOVES,
    TERMINAL,
    Order,
    OrderStatus,
    OrderUpdate,
    PreparedTransaction,
    SubmitClass,
    SubmitOutcome,
    TransactionKind,
    TransactionOutcome,
    check_move,
)
from neo_engine.domain.records import Finding

FillKey = tuple[int, int, str]

#: Closed orders remembered, so that late or repeated news of them is told from news of strangers.
#: At two replaces a ledger this is about two minutes; older ledgers are refused by the feed.
RECENT_CLOSED = 64
#: Drops by which fills may exceed an order's size: the ledger rounds a taker's last drop.
OVERFILL_TOLERANCE_DROPS = 1

#: Drops that each fill may leave unsold in an offer that the ledger calls done: the XRP a taker gets for
#: his tokens is rounded down to whole drops, so an ask can run out of tokens to ask for first.
DUST_DROPS_PER_FILL = 1

_RESTING = frozenset({OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED})
_FILLED_BY_PARTS = frozenset({OrderStatus.SUBMITTED, OrderStatus.OPEN, OrderStatus.UNKNOWN})


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of one order: the newest ledger that spoke of it and the keys of its fills."""

    ledger_index: int
    fill_keys: frozenset[FillKey]


_NOTHING_SEEN = Seen(ledger_index=0, fill_keys=frozenset())


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """All orders the engine still has to do with; build with `orders_of`.

    working: by id. closed: the latest ones. replaces: id of a working order -> id of the one its
    transaction takes away. To iterate or to ask for the length means the working orders.
    """

    working: tuple[Order, ...]
    closed: Mapping[int, Order]
    seen: Mapping[int, Seen]
    replaces: Mapping[int, int]

    def __iter__(self) -> Iterator[Order]:
        return iter(self.working)

    def __len__(self) -> int:
        return len(self.working)


class Marked(msgspec.Struct, frozen=True, kw_only=True):
    """The orders after something we did. changed: every order that is different now, closed ones too.

    closed: those of `changed` that ended.
    """

    orders: Orders
    changed: tuple[Order, ...]
    closed: tuple[Order, ...]


class Tracked(msgspec.Struct, frozen=True, kw_only=True):
    """The orders after news of the ledger; changed and closed as in `Marked`.

    fills: the fills not seen before, for the inventory. faults: what contradicts the table or the
    amounts; each halts through the reconciler.
    """

    orders: Orders
    changed: tuple[Order, ...]
    closed: tuple[Order, ...]
    fills: tuple[Fill, ...]
    faults: tuple[Finding, ...]


def orders_of(
    working: Sequence[Order], seen_fills: Sequence[Fill] = (), replaces: Mapping[int, int] | None = None
) -> Orders:
    """Return the tracker's value for `working` orders.

    At a restart: with the fills already stored for them and, for those whose outcome is open, the
    orders they replace.
    """
    keys: dict[int, set[FillKey]] = {}
    ledgers: dict[int, int] = {}
    for fill in seen_fills:
        keys.setdefault(fill.order_id, set()).add(fill.key)
        ledgers[fill.order_id] = max(ledgers.get(fill.order_id, 0), fill.ledger_index)
    seen = {
        order_id: Seen(ledger_index=ledgers[order_id], fill_keys=frozenset(found))
        for order_id, found in keys.items()
    }
    return Orders(
        working=tuple(sorted(working, key=_order_id)), closed={}, seen=seen, replaces=dict(replaces or {})
    )


def _order_id(order: Order) -> int:
    return order.order_id


def fault(name: str, order_id: int | None, detail: str) -> Finding:
    """Return a halting finding."""
    return Finding(name=name, order_id=order_id, halts=True, detail=detail)


def resting_status(order: Order) -> OrderStatus:
    """Return the status of an order that stands in the book: by whether anything of it was filled."""
    return OrderStatus.PARTIALLY_FILLED if order.filled_base_drops > 0 else OrderStatus.OPEN


def closed_as(order: Order, status: OrderStatus, reason: str | None, ledger_index: int) -> Order:
    """Return `order` ended. Raises InvariantViolation if the table does not allow the move."""
    check_move(order.order_id, order.status, status)
    return replace(
        order,
        status=status,
        remaining_base_drops=0,
        remaining_quote=ZERO,
        failure_reason=None if status is OrderStatus.FILLED else reason,
        closed_ledger=ledger_index,
    )


def moved(order: Order, status: OrderStatus) -> Order:
    """Return `order` in another working status. Raises InvariantViolation if the table forbids it."""
    check_move(order.order_id, order.status, status)
    if status in _RESTING:
        return replace(order, status=status, cancel_sent_ledger=None)
    return replace(order, status=status)


class _Desk:
    """The orders while news is applied to them; lives inside one call."""

    def __init__(self, orders: Orders) -> None:
        self.working = {order.order_id: order for order in orders.working}
        self.closed = dict(orders.closed)
        self.seen = dict(orders.seen)
        self.replaces = dict(orders.replaces)
        self.changed: dict[int, Order] = {}
        self.fills: list[Fill] = []
        self.faults: list[Finding] = []
        self.reported: dict[int, OrderUpdate] = {}

    def put(self, order: Order) -> None:
        """Take `order` as the new state of its id."""
        known = self.working.get(order.order_id) or self.closed.get(order.order_id)
        if order == known:
            return
        self.changed[order.order_id] = order
        if order.status not in TERMINAL:
            self.working[order.order_id] = order
            return
        self.working.pop(order.order_id, None)
        self.closed[order.order_id] = order
        old = self.working.get(self.replaces.pop(order.order_id, 0))
        refused = order.status is OrderStatus.REJECTED or order.status is OrderStatus.DENIED
        if refused and old is not None and old.status is OrderStatus.PENDING_CANCEL:
            self.put(
                moved(old, resting_status(old))
            )  # its replacement came to nothing (ledger-rules, Replace)

    def note(self, order_id: int, ledger_index: int, key: FillKey | None) -> None:
        """Remember that a ledger spoke of the order, and the key of a fill."""
        seen = self.seen.get(order_id, _NOTHING_SEEN)
        keys = seen.fill_keys if key is None else seen.fill_keys | {key}
        self.seen[order_id] = Seen(ledger_index=max(seen.ledger_index, ledger_index), fill_keys=keys)

    def orders(self) -> Orders:
        """Return the orders as they are now, with the newest closed ones only."""
        for order_id in tuple(islice(self.closed, max(len(self.closed) - RECENT_CLOSED, 0))):
            del self.closed[order_id]
            self.seen.pop(order_id, None)
        return Orders(
            working=tuple([self.working[order_id] for order_id in sorted(self.working)]),
            closed=self.closed,
            seen=self.seen,
            replaces=self.replaces,
        )

    def marked(self) -> Marked:
        """Return the orders and what changed, in the order of ids."""
        changed = tuple(self.changed[order_id] for order_id in sorted(self.changed))
        closed = tuple(order for order in changed if order.status in TERMINAL)
        return Marked(orders=self.orders(), changed=changed, closed=closed)


def _take_fill(desk: _Desk, fill: Fill) -> None:
    """Add one fill to its order. A key seen before changes nothing."""
    if fill.key in desk.seen.get(fill.order_id, _NOTHING_SEEN).fill_keys:
        return
    desk.note(fill.order_id, fill.ledger_index, fill.key)
    desk.fills.append(fill)
    text = f"fill {fill.key} of {fill.base_drops} drops for {plain(fill.quote)} RLUSD"
    order = desk.working.get(fill.order_id)
    if order is None:
        late = desk.closed.get(fill.order_id)
        if late is None:
            desk.faults.append(fault("unknown_order", fill.order_id, f"{text}: no such order is known"))
            return
        desk.faults.append(
            fault("fill_after_close", fill.order_id, f"{text}: the order ended as {late.status.value}")
        )
        desk.put(_with_amounts(late, fill))
        return
    if order.side is not fill.side:
        desk.faults.append(
            fault("fill_wrong_side", order.order_id, f"{text}: the order is a {order.side.value}")
        )
    order = _with_amounts(order, fill)
    left = max(order.base_drops - order.filled_base_drops, 0)
    order = replace(
        order,
        remaining_base_drops=min(order.remaining_base_drops, left),
        remaining_quote=max(issued_sub(order.remaining_quote, fill.quote, NEAREST), ZERO),
    )
    if order.status in _FILLED_BY_PARTS:
        order = replace(order, status=OrderStatus.PARTIALLY_FILLED)
    elif order.status is OrderStatus.PENDING_SUBMIT:
        desk.faults.append(fault("illegal_move", order.order_id, f"{text}: the order was never submitted"))
    desk.put(order)


def _with_amounts(order: Order, fill: Fill) -> Order:
    return replace(
        order,
        filled_base_drops=order.filled_base_drops + fill.base_drops,
        filled_quote=order.filled_quote + fill.quote,
    )


def _target(order: Order, update: OrderUpdate) -> OrderStatus:
    """Return the status the update means for `order`.

    OPEN of an order partly filled is PARTIALLY_FILLED. While a cancel is on its way, a partial fill
    without a reason changes the amounts only; OPEN, or a result code, from a ledger after the one the
    cancel was sent on says that the cancel or replace came to nothing (ledger-rules, Replace).
    """
    if update.status not in _RESTING:
        return update.status
    if order.status is OrderStatus.PENDING_CANCEL:
        sent = order.cancel_sent_ledger
        only_a_fill = update.status is OrderStatus.PARTIALLY_FILLED and update.reason is None
        if only_a_fill or (sent is not None and update.ledger_index <= sent):
            return OrderStatus.PENDING_CANCEL
    if update.status is OrderStatus.OPEN:
        return resting_status(order)
    return update.status


def _take_update(desk: _Desk, update: OrderUpdate) -> None:
    """Move one order to what the venue says of it."""
    order = desk.working.get(update.order_id)
    if order is None:
        _late_update(desk, update)
        return
    if update.ledger_index < desk.seen.get(update.order_id, _NOTHING_SEEN).ledger_index:
        return
    desk.note(update.order_id, update.ledger_index, None)
    target = _target(order, update)
    if target is not order.status and target not in LEGAL_MOVES[order.status]:
        text = f"ledger {update.ledger_index} says {target.value} of an order that is {order.status.value} "
        desk.faults.append(fault("illegal_move", order.order_id, f"{text}({update.reason})"))
        return
    desk.reported[order.order_id] = update
    if order.offer_sequence is None and update.offer_sequence is not None:
        order = replace(order, offer_sequence=update.offer_sequence)
    if target in TERMINAL:
        ended = closed_as(order, target, update.reason, update.ledger_index)
        if target is OrderStatus.REJECTED:
            ended = replace(ended, result_code=update.reason)
        desk.put(ended)
        return
    newer = update.remaining_base_drops <= order.remaining_base_drops  # an offer never grows
    desk.put(
        replace(
            order,
            status=target,
            remaining_base_drops=update.remaining_base_drops if newer else order.remaining_base_drops,
            remaining_quote=update.remaining_quote if newer else order.remaining_quote,
            cancel_sent_ledger=order.cancel_sent_ledger if target is OrderStatus.PENDING_CANCEL else None,
        )
    )


def _late_update(desk: _Desk, update: OrderUpdate) -> None:
    """Judge news of an order that is not working: a repetition, old news, or a fault."""
    ended = desk.closed.get(update.order_id)
    if ended is None:
        text = f"ledger {update.ledger_index} says {update.status.value}: no such order is known"
        desk.faults.append(fault("unknown_order", update.order_id, text))
        return
    old = ended.closed_ledger is None or update.ledger_index <= ended.closed_ledger
    if old or update.status is ended.status:
        return
    text = f"ledger {update.ledger_index} says {update.status.value} of an order that ended as "
    text += f"{ended.status.value} in ledger {ended.closed_ledger}"
    desk.faults.append(fault("illegal_move", update.order_id, text))


def _settle(desk: _Desk) -> None:
    """End what is filled whole, and compare sizes with fills once all news of the batch is in."""
    for order_id in sorted({fill.order_id for fill in desk.fills} | set(desk.reported)):
        order = desk.working.get(order_id) or desk.closed.get(order_id)
        if order is None:
            continue
        if order.filled_base_drops > order.base_drops + OVERFILL_TOLERANCE_DROPS:
            text = f"{order.filled_base_drops} drops filled of an order of {order.base_drops}"
            desk.faults.append(fault("overfill", order_id, text))
        update = desk.reported.get(order_id)
        if update is not None and (update.status in _RESTING or update.status is OrderStatus.FILLED):
            gone = order.base_drops - update.remaining_base_drops
            fills = len(desk.seen.get(order_id, _NOTHING_SEEN).fill_keys)
            if order.filled_base_drops + max(fills, 1) * DUST_DROPS_PER_FILL < gone:
                text = f"the venue says {gone} drops are gone, fills say {order.filled_base_drops}"
                desk.faults.append(fault("missing_fill", order_id, text))
        filled_whole = order.filled_base_drops >= order.base_drops
        if filled_whole and OrderStatus.FILLED in LEGAL_MOVES[order.status]:
            ledger_index = desk.seen.get(order_id, _NOTHING_SEEN).ledger_index
            desk.put(closed_as(order, OrderStatus.FILLED, None, ledger_index))


def _news_key(event: Fill | OrderUpdate) -> tuple[int, int, int, int, str]:
    """Sort news as invariant 2 says."""
    if isinstance(event, Fill):
        return (event.ledger_index, 0, event.transaction_index, 0, event.node)
    ended = int(event.status in TERMINAL)
    # Older orders first: an order that was filled is filled before its refused replacement is heard of.
    return (event.ledger_index, 1, ended, -event.remaining_base_drops, f"{event.order_id:012d}")


def apply(
    orders: Orders,
    updates: Sequence[OrderUpdate],
    fills: Sequence[Fill],
    transactions: Sequence[TransactionOutcome] = (),
) -> Tracked:
    """Return the orders after a ledger's news: fills, updates, and results of our own transactions."""
    if not updates and not fills and not transactions:
        return Tracked(orders=orders, changed=(), closed=(), fills=(), faults=())
    desk = _Desk(orders)
    for outcome in transactions:
        order = desk.working.get(outcome.order_id)
        if order is not None and outcome.kind is not TransactionKind.CANCEL:
            desk.put(replace(order, result_code=outcome.result))
    news: list[Fill | OrderUpdate] = [*fills, *updates]
    for event in sorted(news, key=_news_key):
        if isinstance(event, Fill):
            _take_fill(desk, event)
        else:
            _take_update(desk, event)
    _settle(desk)
    marked = desk.marked()
    return Tracked(
        orders=marked.orders,
        changed=marked.changed,
        closed=marked.closed,
        fills=tuple(desk.fills),
        faults=tuple(desk.faults),
    )


def with_new(orders: Orders, new_orders: Sequence[Order]) -> Orders:
    """Return the orders with those the order diff made, not sent yet."""
    return amended(orders, new_orders)


def prepared(orders: Orders, transactions: Sequence[PreparedTransaction], ledger_index: int) -> Marked:
    """Return the orders once their transactions are signed and numbered, before anything is sent.

    New orders (`with_new`) get hash, sequence and LastLedgerSequence; one for which the venue prepared
    nothing is DENIED. Orders to be replaced or cancelled become PENDING_CANCEL. ledger_index: the
    validated ledger after which they are sent. Raises InvariantViolation for an order not working.
    """
    desk = _Desk(orders)
    for tx in transactions:
        if tx.kind is TransactionKind.UPKEEP:
            continue
        if tx.kind is TransactionKind.CANCEL:
            _mark_leaving(desk, tx.order_id, tx.tx_hash, ledger_index)
            continue
        order = desk.working.get(tx.order_id)
        if order is None or order.status is not OrderStatus.PENDING_SUBMIT:
            raise InvariantViolation(
                f"transaction {tx.tx_hash}: order {tx.order_id} does not wait to be sent"
            )
        desk.put(
            replace(
                order,
                tx_hash=tx.tx_hash,
                offer_sequence=tx.account_sequence,
                last_ledger_sequence=tx.last_ledger_sequence,
            )
        )
        if tx.replaces is not None:
            _mark_leaving(desk, tx.replaces, tx.tx_hash, ledger_index)
            desk.replaces[tx.order_id] = tx.replaces
    for order in tuple(desk.working.values()):
        if order.status is OrderStatus.PENDING_SUBMIT and order.tx_hash is None:
            reason = "the venue prepared no transaction"
            desk.put(closed_as(order, OrderStatus.DENIED, reason, ledger_index))
    return desk.marked()


def _mark_leaving(desk: _Desk, order_id: int, tx_hash: str, ledger_index: int) -> None:
    """Note that a cancel or replace of a working order is on its way."""
    order = desk.working.get(order_id)
    if order is None:
        raise InvariantViolation(f"transaction {tx_hash} takes away order {order_id}, which is not working")
    if order.status is not OrderStatus.PENDING_CANCEL:
        order = moved(order, OrderStatus.PENDING_CANCEL)
    desk.put(replace(order, cancel_sent_ledger=ledger_index))


def submitted(orders: Orders, outcomes: Sequence[SubmitOutcome]) -> Marked:
    """Return the orders after the venue's preliminary answers to what `prepared` marked.

    A refused replace or cancel leaves the old order where it was: back in the book. A new order for
    which no answer came is UNKNOWN: only its hash can tell.
    """
    desk = _Desk(orders)
    for answer in outcomes:
        order = desk.working.get(answer.order_id)
        if order is None:
            continue
        if order.tx_hash == answer.tx_hash:
            _take_answer(desk, order, answer)
        elif answer.outcome is SubmitClass.REJECTED and order.status is OrderStatus.PENDING_CANCEL:
            desk.put(moved(order, resting_status(order)))
    for order in tuple(desk.working.values()):
        if order.status is OrderStatus.PENDING_SUBMIT:
            desk.put(moved(order, OrderStatus.UNKNOWN))
    return desk.marked()


def _take_answer(desk: _Desk, order: Order, answer: SubmitOutcome) -> None:
    """Move a new order to what the answer to its own transaction says."""
    if order.status is not OrderStatus.PENDING_SUBMIT:
        return
    if answer.outcome is SubmitClass.REJECTED:
        ended = closed_as(order, OrderStatus.REJECTED, answer.code, order.created_ledger)
        desk.put(replace(ended, result_code=answer.code))
    else:
        accepted = answer.outcome is SubmitClass.ACCEPTED
        desk.put(moved(order, OrderStatus.SUBMITTED if accepted else OrderStatus.UNKNOWN))


def amended(orders: Orders, changes: Sequence[Order]) -> Orders:
    """Return the orders with each of `changes` in place of its id (closed ones leave `working`)."""
    if not changes:
        return orders
    desk = _Desk(orders)
    for order in changes:
        desk.put(order)
    return desk.orders()
