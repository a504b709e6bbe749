"""What earlier live sessions left open, from their rows to the values that a new session begins with.

1. Orders that may still work are numbered from 1, oldest first; `stored` leads from a number to its row.
2. An order that ended, but one of whose transactions has no result yet, has a number from ENDED_FROM on: its
   result must find its row, and new orders must not get its number.
3. Nothing is guessed: a row that cannot be what the engine wrote raises StateError or BadNumber.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from enum import Enum
from typing import TypeVar

import msgspec

from neo_engine.domain.assets import Side
from neo_engine.domain.clock import ledger_seconds, utc_text
from neo_engine.domain.errors import StateError
from neo_engine.domain.fills import Fill, LiquiditySide
from neo_engine.domain.number import DOWN, EXACT, ZERO, drops_from_xrp, parse_number, xrp_from_drops
from neo_engine.domain.orders import NO_ORDER, Order, OrderStatus, PreparedTransaction, TransactionKind
from neo_engine.domain.today import Today
from neo_engine.execution.live_events import InFlight, creates, known_order
from neo_engine.execution.recovery import Left
from neo_engine.execution.tracking import Orders, orders_of
from neo_engine.simulator.model.keys import offer
from neo_engine.state.left import TOO_LATE
from neo_engine.state.manager import StateManager
from neo_engine.state.rows import SHORT_SUCCESS, SUCCESS

ENDED_FROM = 1 << 30  # more orders than a session makes
TAKER = "taker"
_HASH = re.compile(r"[0-9A-Fa-f]{64}")
_Word = TypeVar("_Word", bound=Enum)
_RESTORE = "the database is damaged, restore a backup"


class LeftBehind(msgspec.Struct, frozen=True, kw_only=True):
    """What is left, ready to be recovered: see the module's text.

    orders: the same orders as `left.orders`, for the tracker. stored: number -> orders.id. fees_drops: sent
    on fees_day (UTC, e.g. 2026-11-21), the last day of a tick. pnl_rlusd: made on pnl_day, likewise.
    """

    left: Left
    orders: Orders
    stored: dict[int, int]
    fees_day: str = ""
    fees_drops: int = 0
    pnl_day: str = ""
    pnl_rlusd: Decimal = ZERO

    def fees_on(self, close_time: int) -> int:
        """Return the fees sent on the UTC day of a ledger (seconds since 2000-01-01), as far as known."""
        return self.fees_drops if utc_text(close_time)[:10] == self.fees_day else 0

    def today(self, close_time: int) -> Today:
        """Return what earlier sessions did on the UTC day of a ledger (seconds since 2000-01-01)."""
        same = utc_text(close_time)[:10] == self.pnl_day
        return Today(fees_drops=self.fees_on(close_time), pnl_rlusd=self.pnl_rlusd if same else ZERO)


def left_behind(store: StateManager, account: str) -> LeftBehind:
    """Return what ended live sessions of `account` left unresolved.

    left.last_ledger: 0 when no such session had a tick. Raises StateError or BadNumber naming the row.
    """
    rows = store.left(account)
    numbers = {row["id"]: number for number, row in enumerate(rows.orders, 1)}
    numbers |= _ended(rows.submissions, numbers)
    ticketed = _ticket_reader() if rows.submissions or rows.upkeep else None
    in_flight = [] if ticketed is None else [_submission(row, numbers, ticketed) for row in rows.submissions]
    if ticketed is not None:
        in_flight += [_upkeep(row, ticketed) for row in rows.upkeep]
    working = tuple(_order(row, numbers[row["id"]], in_flight) for row in rows.orders)
    seen = [_fill(row, numbers[row["order_id"]], account) for row in rows.fills]
    return LeftBehind(
        left=Left(
            orders=tuple(known_order(one) for one in working),
            in_flight=tuple(in_flight),
            last_ledger=rows.last_ledger or 0,
        ),
        orders=orders_of(working, seen, _replaced(in_flight, {one.order_id for one in working})),
        stored={number: order_id for order_id, number in numbers.items()},
        fees_day=rows.fees[0]["day"] if rows.fees else "",
        fees_drops=rows.fees[0]["fee_drops"] if rows.fees else 0,
        pnl_day=rows.results[0]["day"] if rows.results else "",
        pnl_rlusd=_made(rows.results),
    )


def _made(results: Iterable[sqlite3.Row]) -> Decimal:
    """Return what the sessions of a day made on it: profit now less that when the day began."""
    made = ZERO
    for row in results:
        where = f"ticks of session {row['session_id']}"
        made = EXACT.add(made, _profit(where, row, "account_value_rlusd", "net_capital_rlusd", "mark"))
        if row["value_before"] is not None:
            before = _profit(where, row, "value_before", "capital_before", "mark_before")
            made = EXACT.subtract(made, before)
    return made


def _profit(where: str, row: sqlite3.Row, value: str, capital: str, mark: str) -> Decimal:
    """Return account value less net capital; nothing before a mark was known."""
    if row[mark] is None:
        return ZERO
    return EXACT.subtract(
        parse_number(row[value], f"{where}, {value}"), parse_number(row[capital], f"{where}, {capital}")
    )


def _ended(submissions: Iterable[sqlite3.Row], working: Mapping[int, int]) -> dict[int, int]:
    named = {row["order_id"] for row in submissions}
    named |= {row["replaces_order"] for row in submissions if _replaces(row)}
    ended = sorted(order_id for order_id in named if order_id is not None and order_id not in working)
    return {order_id: ENDED_FROM + place for place, order_id in enumerate(ended)}


def _replaces(row: sqlite3.Row) -> bool:
    return bool(row["kind"] == TransactionKind.REPLACE.value)


def _replaced(in_flight: Iterable[InFlight], working: set[int]) -> dict[int, int]:
    """Return which order's offer each working order takes away, while that is open."""
    pairs = ((one.prepared.order_id, one.prepared.replaces) for one in in_flight)
    return {new: old for new, old in pairs if new in working and old is not None and old in working}


# transactions


def _ticket_reader() -> Callable[[str, sqlite3.Row], bool]:
    """Return what tells whether a stored transaction bears a ticket, and that its blob is what was signed."""
    # Here, because xrpl-py takes long to import and most sessions leave nothing open.
    from xrpl.constants import XRPLException
    from xrpl.core.binarycodec import decode

    from neo_engine.xrpl.signer import blob_hash

    def ticketed(where: str, row: sqlite3.Row) -> bool:
        blob, tx_hash = row["blob"], row["tx_hash"]
        if tx_hash is None or _HASH.fullmatch(tx_hash) is None:
            raise _damaged(where, "tx_hash", tx_hash)
        try:
            if not blob or blob_hash(blob) != tx_hash.upper():
                raise _damaged(where, "blob", blob)
            fields = decode(blob)
        except (XRPLException, ValueError, LookupError) as error:
            raise _damaged(where, "blob", blob) from error
        number = fields.get("TicketSequence", fields.get("Sequence"))
        if number != row["account_sequence"]:
            raise _damaged(where, "account_sequence", row["account_sequence"])
        return "TicketSequence" in fields

    return ticketed


def _submission(
    row: sqlite3.Row, numbers: Mapping[int, int], ticketed: Callable[[str, sqlite3.Row], bool]
) -> InFlight:
    where = f"submissions row {row['id']}"
    replaces = None
    if _replaces(row):
        if row["replaces_order"] is None:
            raise _damaged(f"orders row {row['order_id']}", "replaces_order", None)
        replaces = numbers[row["replaces_order"]]
    kind = _one_of(TransactionKind, where, row, "kind")
    about = (kind, numbers[row["order_id"]], replaces, 0)
    return _in_flight(where, row, about, ticketed=ticketed(where, row))


def _upkeep(row: sqlite3.Row, ticketed: Callable[[str, sqlite3.Row], bool]) -> InFlight:
    where = f"upkeep row {row['id']}"
    about = (TransactionKind.UPKEEP, NO_ORDER, None, int(row["tickets"]))
    return _in_flight(where, row, about, ticketed=ticketed(where, row))


def _in_flight(
    where: str,
    row: sqlite3.Row,
    about: tuple[TransactionKind, int, int | None, int],
    *,
    ticketed: bool,
) -> InFlight:
    """Return the value of a row; about: kind, order, the order it replaces, tickets it makes."""
    kind, order_id, replaces, tickets = about
    return InFlight(
        prepared=PreparedTransaction(
            kind=kind,
            order_id=order_id,
            replaces=replaces,
            tx_hash=row["tx_hash"],
            account_sequence=row["account_sequence"],
            last_ledger_sequence=row["last_ledger_sequence"],
            fee_drops=row["fee_drops"],
            blob=row["blob"],
            tickets=tickets,
            ticketed=ticketed,
        ),
        after_ledger=_there(where, "tick", row["tick"], row["after_ledger"]),
        ticketed=ticketed,
    )


# orders and fills


def _order(row: sqlite3.Row, number: int, in_flight: Iterable[InFlight]) -> Order:
    where = f"orders row {row['id']}"
    placing = any(creates(one) and one.prepared.order_id == number for one in in_flight)
    leaving = [one.after_ledger for one in in_flight if _aims_at(one) == number]
    status = _one_of(OrderStatus, where, row, "status")
    # Without a transaction that is or was alive, nothing of the order can be on the ledger.
    signed = placing or (row["create_result"] != TOO_LATE and status is not OrderStatus.PENDING_SUBMIT)
    if placing and status is OrderStatus.PENDING_SUBMIT:
        status = OrderStatus.UNKNOWN  # the process died before an answer was stored, if it was sent at all
    base_drops, quote = _drops(where, row, "size_xrp"), _token(where, row, "size_rlusd")
    filled_drops, filled_quote = _drops(where, row, "filled_xrp"), _token(where, row, "filled_rlusd")
    if not base_drops or not quote:
        raise _damaged(where, "size_xrp, size_rlusd", f"{row['size_xrp']}, {row['size_rlusd']}")
    lifetime = row["lifetime_seconds"]
    return Order(
        order_id=number,
        slot=row["slot"],
        side=_one_of(Side, where, row, "side"),
        price=_token(where, row, "price"),
        base_drops=base_drops,
        quote=quote,
        # A taker's last drop or digit may go beyond the size (ledger-rules, Fills): then nothing is left.
        remaining_base_drops=max(base_drops - filled_drops, 0),
        remaining_quote=max(EXACT.subtract(quote, filled_quote), ZERO),
        status=status,
        expiration=None if lifetime is None else _time(where, row, "created_at") + lifetime,
        offer_sequence=row["offer_sequence"] if signed else None,
        tx_hash=row["submit_tx_hash"] if signed else None,
        last_ledger_sequence=row["last_ledger_sequence"] if signed else None,
        created_ledger=_there(where, "created_tick", row["created_tick"], row["created_ledger"]),
        failure_reason=row["failure_reason"],
        filled_base_drops=filled_drops,
        filled_quote=filled_quote,
        result_code=SUCCESS if row["result_code"] == SHORT_SUCCESS else row["result_code"],
        cancel_sent_ledger=max(leaving, default=None),
        closed_ledger=None,
    )


def _aims_at(sent: InFlight) -> int | None:
    """Return the order that a transaction takes off the ledger."""
    prepared = sent.prepared
    return prepared.order_id if prepared.kind is TransactionKind.CANCEL else prepared.replaces


def _fill(row: sqlite3.Row, number: int, account: str) -> Fill:
    where = f"fills row {row['id']}"
    node, sequence = row["node"], row["offer_sequence"]
    if node != TAKER:
        # Only the end of the offer's ledger index is stored; the tracker must know a fill by all of it.
        whole = offer(account, sequence)
        if not node or not whole.endswith(node.upper()):
            raise _damaged(where, "node", node)
        node = whole
    return Fill(
        order_id=number,
        ledger_index=row["ledger_index"],
        close_time=_time(where, row, "close_time"),
        transaction_index=row["transaction_index"],
        node=node,
        tx_hash=row["tx_hash"],
        side=_one_of(Side, where, row, "side"),
        liquidity=_one_of(LiquiditySide, where, row, "liquidity"),
        base_drops=row["xrp_drops"],
        quote=_token(where, row, "rlusd"),
        quote_balance_delta=parse_number(row["rlusd_balance_delta"], f"{where}, rlusd_balance_delta"),
        rounding=parse_number(row["rounding"], f"{where}, rounding"),
        offer_sequence=sequence,
    )


# columns


def _damaged(where: str, column: str, value: object) -> StateError:
    shown = "nothing" if value is None else repr(str(value)[:40])
    return StateError(f"{where}, {column}: {shown} is not what the engine writes; {_RESTORE}")


def _there(where: str, column: str, tick: object, ledger_index: int | None) -> int:
    if ledger_index is None:
        raise StateError(f"{where}, {column}: its tick {tick} is not stored; {_RESTORE}")
    return ledger_index


def _one_of(words: type[_Word], where: str, row: sqlite3.Row, column: str) -> _Word:
    try:
        return words(row[column])
    except ValueError:
        raise _damaged(where, column, row[column]) from None


def _drops(where: str, row: sqlite3.Row, column: str) -> int:
    value = parse_number(row[column], f"{where}, {column}")
    drops = drops_from_xrp(value, DOWN)
    if value < 0 or xrp_from_drops(drops) != value:
        raise _damaged(where, column, row[column])
    return drops


def _token(where: str, row: sqlite3.Row, column: str) -> Decimal:
    value = parse_number(row[column], f"{where}, {column}")
    if value < 0:
        raise _damaged(where, column, row[column])
    return value


def _time(where: str, row: sqlite3.Row, column: str) -> int:
    try:
        return ledger_seconds(row[column])
    except (TypeError, ValueError):
        raise _damaged(where, column, row[column]) from None
