"""A list of orders in place of the strategy: what `replay --orders` runs, limits off.

A row says: in ledger number `offset` of the recording (0 = its first) an order of `side` (ask or bid),
`price` (RLUSD per XRP) and `size` (XRP) arrives and replaces the last one of its `slot`. It is decided
one ledger earlier, like a live order. Everything else of a tick (fills, inventory, reconciliation) is
the engine's own; only the strategy, capital, risk and order-diff steps are left out.

A row whose deciding ledger is not in the recording (one before its first, or missing in a gap) is
never sent.
"""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

import msgspec
from msgspec.structs import replace

from neo_engine.config import Config
from neo_engine.domain.assets import Side
from neo_engine.domain.errors import BadNumber, UsageError
from neo_engine.domain.number import DOWN, MAX_DROPS, MILLION, UP, drops_from_xrp, issued_div, parse_number
from neo_engine.domain.orders import OrderStatus, PlaceOrder, Quote
from neo_engine.execution.diff import new_order
from neo_engine.execution.tracking import with_new
from neo_engine.tick import Decision, EngineState, Observation, pull, quoting_of, settle, undecided

COLUMNS = ("offset", "slot", "side", "price", "size")
SIDES = {"ask": Side.SELL, "bid": Side.BUY}
MAX_ROWS = 1_000_000
MAX_PRICE = Decimal(10) ** 12  # and 1 / this: no token is worth more or less, and every ratio stays exact


class ScriptedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One row: number counts from 1, size in drops, price in RLUSD per XRP."""

    number: int
    offset: int
    slot: str
    side: Side
    price: Decimal
    base_drops: int


def read_orders(path: Path) -> tuple[ScriptedOrder, ...]:
    """Return the rows of an orders CSV. Raises UsageError naming file, line and fix."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise UsageError(f"{path}, line 1: the columns must be {','.join(COLUMNS)}")
            rows = [_row(path, number, row) for number, row in enumerate(reader, start=1)]
    except OSError as error:
        raise UsageError(
            f"--orders {path}: cannot be read ({error.strerror}); name an existing file"
        ) from error
    except csv.Error as error:
        raise UsageError(f"--orders {path}: no CSV ({error}); write {','.join(COLUMNS)}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--orders {path}: not UTF-8 text (byte {error.start})") from error
    if not 0 < len(rows) <= MAX_ROWS:
        raise UsageError(f"--orders {path}: {len(rows)} orders; give 1 to {MAX_ROWS}")
    return tuple(rows)


def _row(path: Path, number: int, row: dict[str, str]) -> ScriptedOrder:
    place = f"{path}, line {number + 1}"
    try:
        offset = parse_number(row["offset"], "offset")
        price = parse_number(row["price"], "price")
        size = parse_number(row["size"], "size")
        base_drops = drops_from_xrp(size, DOWN)
    except BadNumber as error:
        raise UsageError(f"{place}: {error}") from error
    side = SIDES.get(row["side"])
    if side is None or not row["slot"]:
        raise UsageError(f"{place}: side must be ask or bid and slot must not be empty")
    if offset < 0 or offset != int(offset) or base_drops <= 0:
        raise UsageError(f"{place}: offset must be a whole number from 0, size above 0")
    if not 1 / MAX_PRICE <= price <= MAX_PRICE or base_drops > MAX_DROPS:
        raise UsageError(f"{place}: a price lies within a factor of {MAX_PRICE} of 1, a size within all XRP")
    return ScriptedOrder(
        number=number, offset=int(offset), slot=row["slot"], side=side, price=price, base_drops=base_drops
    )


class Script:
    """Decides from the list. order_id equals the row's number, so fills name their row."""

    def __init__(self, orders: tuple[ScriptedOrder, ...]) -> None:
        self._by_offset: dict[int, list[ScriptedOrder]] = {}
        for order in orders:
            self._by_offset.setdefault(order.offset, []).append(order)
        self._first_ledger: int | None = None
        self._slots: dict[str, list[int]] = {}
        self._sequences: dict[int, int] = {}

    def decide(self, state: EngineState, seen: Observation, config: Config, now: int) -> Decision:
        """Return the tick's decision: the rows due in the next ledger, as they stand in the list."""
        for order in state.orders.working:
            if order.offer_sequence is not None:
                self._sequences[order.order_id] = order.offer_sequence
        settled = settle(state, seen, config, now)
        if settled.state.stopping is not None:
            return pull(settled, config, seen)
        if seen.kind != "ledger":
            return undecided(settled)
        if self._first_ledger is None:
            self._first_ledger = seen.ledger_index
        offset = seen.ledger_index - self._first_ledger + config.paper.arrival_delay_ledgers
        due = self._by_offset.get(offset, [])
        if not due:
            return undecided(settled)
        return self._place(undecided(settled), due, seen.ledger_index)

    def _place(self, decision: Decision, due: list[ScriptedOrder], ledger_index: int) -> Decision:
        """Send each row as an OfferCreate that names the last sequence of its slot, gone or not."""
        working = {order.order_id for order in decision.state.orders.working}
        commands, new = [], []
        replaces: dict[int, int] = {}
        for row in due:
            last = self._last(row.slot, decision)
            quote = _quote(row)
            if last is not None and last in working:
                replaces[row.number] = last
            commands.append(
                PlaceOrder(
                    order_id=row.number,
                    quote=quote,
                    replaces=replaces.get(row.number),
                    replaces_sequence=self._sequences.get(last) if last is not None else None,
                )
            )
            new.append(new_order(row.number, quote, ledger_index))
            self._slots.setdefault(row.slot, []).append(row.number)
        return replace(
            decision,
            state=replace(decision.state, orders=with_new(decision.state.orders, new)),
            commands=tuple(commands),
            new_orders=tuple(new),
            replaces=replaces,
            quotes=tuple(command.quote for command in commands),
            quoting=quoting_of(tuple(command.quote for command in commands)),
            kept=decision.kept - len(replaces),
        )

    def _last(self, slot: str, decision: Decision) -> int | None:
        """Return the newest order of the slot that the ledger did not refuse: a tec left the older one."""
        placed = self._slots.get(slot, [])
        closed = decision.state.orders.closed
        while placed:
            ended = closed.get(placed[-1])
            if ended is None or ended.status is not OrderStatus.REJECTED:
                return placed[-1]
            placed.pop()
        return None


def _quote(order: ScriptedOrder) -> Quote:
    """Return the amounts as they are sent: price x size to 16 digits, in the maker's favour."""
    rounding = UP if order.side is Side.SELL else DOWN
    return Quote(
        slot=order.slot,
        side=order.side,
        price=order.price,
        base_drops=order.base_drops,
        quote=issued_div(order.price * order.base_drops, MILLION, rounding),
        expiration=None,
    )
