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

import heapq
import sqlite3
from collections.abc import Iterator
from decimal import Decimal, localcontext

from neo_engine.domain.errors import StateError
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
_FILL, _CAPITAL = 0, 1  # their order within a tick
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


def _capital_rows(
    connection: sqlite3.Connection, session_id: int
) -> Iterator[tuple[int, int, int, tuple[str, ...]]]:
    rows = connection.execute(
        "SELECT COALESCE(tick, 0), id, kind, asset, amount, COALESCE(mark, '') FROM capital_events "
        "WHERE session_id = ? AND status = 'applied' ORDER BY COALESCE(tick, 0), id",
        (session_id,),
    )
    for tick, row_id, *values in rows:
        yield tick, _CAPITAL, row_id, tuple(values)


def _fill_rows(
    connection: sqlite3.Connection, session_id: int
) -> Iterator[tuple[int, int, int, tuple[str, ...]]]:
    rows = connection.execute(
        "SELECT tick, id, side, xrp_drops, rlusd_balance_delta, rounding FROM fills "
        "WHERE session_id = ? ORDER BY tick, id",
        (session_id,),
    )
    for tick, row_id, *values in rows:
        yield tick, _FILL, row_id, tuple(values)


def _book_capital(books: Books, row_id: int, values: tuple[str, ...]) -> None:
    kind, asset, text, mark_text = values
    where = f"capital_events row {row_id}"
    amount = parse_number(text, f"{where}, amount")
    is_xrp = asset == XRP
    if is_xrp and not mark_text:
        raise StateError(
            f"{where}: an applied XRP event has no mark; the database is damaged, restore a backup"
        )
    drops = drops_from_xrp(amount, DOWN) if is_xrp else 0  # exact: amounts are whole drops
    quote = ZERO if is_xrp else amount
    if kind == "opening":
        books.opening(drops=drops, quote=quote)
    mark = parse_number(mark_text, f"{where}, mark") if is_xrp else ZERO
    books.capital(sign=_SIGNS[kind], drops=drops, quote=quote, mark=mark)


def keep_books(connection: sqlite3.Connection, session_id: int) -> Books:
    """Return the session's books from its rows, read one at a time.

    Within a tick fills come before capital, as in the engine's flow. Raises BadNumber or StateError naming
    the row that cannot be read.
    """
    books = Books()
    events = heapq.merge(_capital_rows(connection, session_id), _fill_rows(connection, session_id))
    with localcontext() as context:
        context.prec = EXACT_DIGITS
        for _tick, kind, row_id, values in events:
            if kind == _CAPITAL:
                _book_capital(books, row_id, values)
                continue
            side, drops, delta, rounding = values
            books.fill(
                side=side,
                drops=int(drops),
                quote_delta=parse_number(delta, f"fills row {row_id}, rlusd_balance_delta"),
                rounding=parse_number(rounding, f"fills row {row_id}, rounding"),
            )
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
