"""The books of a session, kept a second time from its rows alone.

The engine's inventory manager keeps fills, capital and cost basis as it trades. Here the same is
rebuilt from `fills`, `capital_events`, `submissions` and `upkeep` by the same rules, sharing no code with it,
so that the report can say whether the two agree, to the last digit.

Rules, all amounts in RLUSD unless a name says drops, m = the mark (RLUSD per XRP):

1. inventory = fills + overlay. A fill moves XRP by its drops and RLUSD by what the trust line moved.
2. Average cost: a buy or a deposit adds its cost (a deposit at its own mark); a sale or a withdrawal of
   d of D drops takes the share cost x d / D with it, rounded DOWN to 1e-18 (all of it when d = D), and
   realises the rest. What goes out beyond what is held opens a short at what it brought.
3. realised + unrealised - fees x m = account value - net capital, where unrealised = XRP x m - cost and
   account value = (XRP - fees) x m + RLUSD; capital counts at the mark of its own event.
4. Network fees lower the balance and the account value, never the inventory.

Rule 3 holds exactly whatever rounding rule 2 needs: what is not realised stays in the cost.

>>> books = Books()
>>> books.capital(sign=1, drops=10_000_000, quote=Decimal(0), mark=Decimal(2))
>>> books.fill(side="sell", drops=4_000_000, quote_delta=Decimal("8.40"), rounding=Decimal(0))
>>> books.realised, books.cost
(Decimal('0.400000000000000000'), Decimal('12.000000000000000000'))
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from decimal import Decimal, localcontext

import msgspec

from neo_engine.domain.errors import BadNumber, StateError
from neo_engine.domain.number import (
    DOWN,
    DROPS_PER_XRP,
    ZERO,
    drops_from_xrp,
    parse_number,
    xrp_from_drops,
)

#: Sums and products of stored numbers never need rounding in this many digits.
EXACT_DIGITS = 300
COST_QUANTUM = Decimal("1E-18")
XRP = "XRP"
_SIGNS = {"opening": 1, "deposit": 1, "withdrawal": -1}


class Books:
    """Running accounts of one session; every amount exact, mutated event by event, in their order."""

    __slots__ = (
        "cost",
        "fills_drops",
        "fills_quote",
        "net_capital",
        "opening_drops",
        "opening_quote",
        "overlay_drops",
        "overlay_quote",
        "realised",
        "rounding",
    )

    def __init__(self) -> None:
        self.fills_drops = 0
        self.fills_quote = ZERO
        self.overlay_drops = 0
        self.overlay_quote = ZERO
        self.opening_drops = 0
        self.opening_quote = ZERO
        self.cost = ZERO
        self.realised = ZERO
        self.net_capital = ZERO
        self.rounding = ZERO

    @property
    def drops(self) -> int:
        """XRP inventory in drops."""
        return self.fills_drops + self.overlay_drops

    @property
    def quote(self) -> Decimal:
        """RLUSD inventory."""
        return self.fills_quote + self.overlay_quote

    def fill(self, *, side: str, drops: int, quote_delta: Decimal, rounding: Decimal) -> None:
        """Book one fill: `drops` positive, `quote_delta` signed as the trust line moved."""
        change = drops if side == "buy" else -drops
        self._exchange(change, quote_delta)
        self.fills_drops += change
        self.fills_quote += quote_delta
        self.rounding += rounding

    def capital(self, *, sign: int, drops: int, quote: Decimal, mark: Decimal) -> None:
        """Book one capital event of `drops` or `quote` (both positive), sign -1 for a withdrawal."""
        value = sign * xrp_from_drops(drops) * mark
        self._exchange(sign * drops, -value)
        self.overlay_drops += sign * drops
        self.overlay_quote += sign * quote
        self.net_capital += value + sign * quote

    def opening(self, *, drops: int, quote: Decimal) -> None:
        """Note what the session started with (it is booked as capital as well)."""
        self.opening_drops += drops
        self.opening_quote += quote

    def _exchange(self, drops: int, quote: Decimal) -> None:
        """Let `drops` of XRP come (or go, negative) against `quote` RLUSD that go (or come)."""
        held = self.drops
        if held == 0 or (held > 0) == (drops > 0):
            self.cost -= quote
            return
        closing = min(abs(drops), abs(held))
        released = part_of(self.cost, closing, abs(held))
        brought = part_of(quote, closing, abs(drops)) if drops else ZERO
        self.realised += brought - released
        self.cost -= released + quote - brought


def part_of(amount: Decimal, part: int, whole: int) -> Decimal:
    """Return amount x part / whole rounded DOWN to 1e-18; exactly `amount` when part = whole.

    >>> part_of(Decimal(2), 1, 3)
    Decimal('0.666666666666666666')
    """
    if part == whole:
        return amount
    with localcontext() as context:
        context.prec = EXACT_DIGITS
        context.rounding = DOWN  # twice DOWN is DOWN: the quotient's last digit cannot be rounded up
        return (amount * part / whole).quantize(COST_QUANTUM)


class FillEvent(msgspec.Struct, frozen=True):
    """One fill as booked. drops, amount: positive; moved: of the trust line, signed; mid: None: not known."""

    row_id: int
    side: str
    drops: int
    amount: Decimal
    moved: Decimal
    rounding: Decimal
    mid: Decimal | None
    ledger: int


class CapitalBooking(msgspec.Struct, frozen=True):
    """An applied capital event: drops or quote, positive; sign -1 for a withdrawal; mark 0 for RLUSD."""

    row_id: int
    is_opening: bool
    sign: int
    drops: int
    quote: Decimal
    mark: Decimal


Event = FillEvent | CapitalBooking


def _capital(row: tuple[int, str, str, str, str | None]) -> CapitalBooking:
    row_id, kind, asset, text, mark_text = row
    where = f"capital_events row {row_id}"
    amount = parse_number(text, f"{where}, amount")
    is_xrp = asset == XRP
    if is_xrp and not mark_text:
        raise StateError(
            f"{where}: an applied XRP event has no mark; the database is damaged, restore a backup"
        )
    return CapitalBooking(
        row_id,
        kind == "opening",
        _SIGNS[kind],
        drops_from_xrp(amount, DOWN) if is_xrp else 0,  # exact: amounts are whole drops
        ZERO if is_xrp else amount,
        parse_number(mark_text, f"{where}, mark") if is_xrp else ZERO,
    )


def _fill(row: tuple[int, str, int, str, str, str, str | None, int]) -> FillEvent:
    row_id, side, drops, amount, moved, rounding, mid, ledger = row
    return FillEvent(
        row_id,
        side,
        drops,
        _number(amount, row_id, "rlusd"),
        _number(moved, row_id, "rlusd_balance_delta"),
        ZERO if rounding == "0" else _number(rounding, row_id, "rounding"),
        None if mid is None else _number(mid, row_id, "mid"),
        ledger,
    )


def _number(text: str, row_id: int, name: str) -> Decimal:
    try:
        return parse_number(text, "")
    except BadNumber as error:
        raise BadNumber(f"fills row {row_id}, {name}{error}") from None


def events(connection: sqlite3.Connection, session_id: int) -> Iterator[Event]:
    """Yield fills and applied capital of a session in their order, read one at a time.

    Within a tick fills come before capital, as in the engine's flow. Raises BadNumber or StateError naming
    the row that cannot be read.
    """
    capital = connection.execute(
        "SELECT COALESCE(tick, 0), id, kind, asset, amount, mark FROM capital_events "
        "WHERE session_id = ? AND status = 'applied' ORDER BY 1, id",
        (session_id,),
    )
    waiting = deque(map(tuple, capital))
    rows = connection.execute(
        "SELECT tick, id, side, xrp_drops, rlusd, rlusd_balance_delta, rounding, mid, ledger_index "
        "FROM fills "
        "WHERE session_id = ? ORDER BY tick, id",
        (session_id,),
    )
    for tick, *row in rows:
        while waiting and waiting[0][0] < tick:
            yield _capital(waiting.popleft()[1:])
        yield _fill(tuple(row))
    while waiting:
        yield _capital(waiting.popleft()[1:])


def keep_books(connection: sqlite3.Connection, session_id: int, *listeners: Callable[[Event], None]) -> Books:
    """Return the session's books from its rows; each of the listeners is told every event too.

    Raises BadNumber or StateError naming the row that cannot be read.
    """
    books = Books()
    with localcontext() as context:
        context.prec = EXACT_DIGITS
        for event in events(connection, session_id):
            if isinstance(event, FillEvent):
                books.fill(
                    side=event.side, drops=event.drops, quote_delta=event.moved, rounding=event.rounding
                )
            else:
                if event.is_opening:
                    books.opening(drops=event.drops, quote=event.quote)
                books.capital(sign=event.sign, drops=event.drops, quote=event.quote, mark=event.mark)
            for listener in listeners:
                listener(event)
    return books


def fees_paid(connection: sqlite3.Connection, session_id: int) -> int:
    """Return the drops that the session booked for our transactions: those a validated ledger holds.

    These end in tes or tec. Of one that an earlier session sent, the session that learned the result pays.
    """
    total = 0
    for table in ("submissions", "upkeep"):
        (drops,) = connection.execute(
            f"SELECT COALESCE(SUM(fee_drops), 0) FROM {table} "
            "WHERE COALESCE(result_session, session_id) = ? AND (result LIKE 'tes%' OR result LIKE 'tec%')",
            (session_id,),
        ).fetchone()
        total += int(drops)
    return total


def value_at(drops: int, mark: Decimal) -> Decimal:
    """Return the exact value of `drops` at `mark`, in RLUSD."""
    with localcontext() as context:
        context.prec = EXACT_DIGITS
        return drops * mark / DROPS_PER_XRP
