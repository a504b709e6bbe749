"""Every fill as a line for a tax return: UTC time, both assets, fees, and cost basis and gain of what was
disposed of.

Two methods stand side by side, both exact: FIFO (the XRP bought first is sold first) and average cost (as
in `inventory.ledger`). A part of a lot takes its share of the lot's cost, rounded DOWN to 1e-18; what
rounding leaves stays with the rest, so over all lines gains + cost still held = money that came - money
that went.

1. The account of a live session goes on in the next one, so its lots do too. Each paper session is an
   account.
2. What a session opened with, or was brought in, enters at the mark of its event: what it really cost is
   not known here. What was taken out leaves with its cost and without a gain: moving money is no sale.
3. XRP that a later live session opened with beyond (or short of) the lots came (or went) in between,
   likewise.
4. A sale of more than is held opens a short lot; the buy that closes it has the gain. The note says so.
5. Network fees are apart: those of an order's transactions stand with its first fill, in no cost and no
   gain.

>>> lots = Lots()
>>> bought = lots.exchange(10_000_000, Decimal(-20)), lots.exchange(10_000_000, Decimal(-22))
>>> sold = lots.exchange(-15_000_000, Decimal(33))  # 10 that cost 20, and 5 that cost 11
>>> sold.drops, plain(sold.basis), plain(sold.gain)
(15000000, '31', '2')
"""

from __future__ import annotations

import csv
import heapq
import sqlite3
from collections import deque
from collections.abc import Iterator, Sequence
from decimal import Decimal, localcontext
from typing import TextIO

import msgspec

from neo_engine.domain.errors import StateError
from neo_engine.domain.number import DOWN, ZERO, drops_from_xrp, parse_number, plain, xrp_from_drops
from neo_engine.report.accounts import EXACT_DIGITS, XRP, Books, part_of, value_at

LIVE = "live"
COLUMNS = (
    "time_utc",
    "tx_hash",
    "ledger_index",
    "session_id",
    "mode",
    "account",
    "fill_id",
    "order_id",
    "side",
    "liquidity",
    "base_asset",
    "base_amount",
    "quote_asset",
    "quote_amount",
    "price",
    "network_fee_xrp",
    "network_fee_quote",
    "disposed_base",
    "proceeds_quote",
    "fifo_basis_quote",
    "fifo_gain_quote",
    "average_basis_quote",
    "average_gain_quote",
    "base_held_after",
    "note",
)
SHORT_OPENED = "sold more than these records hold: the rest is a short position"
SHORT_CLOSED = "buys back what was sold short"


class Closed(msgspec.Struct, frozen=True, kw_only=True):
    """What an exchange closed: drops, what they had cost, and the gain. RLUSD."""

    drops: int
    basis: Decimal
    gain: Decimal


NOTHING_CLOSED = Closed(drops=0, basis=ZERO, gain=ZERO)


class Lots:
    """XRP by the order in which it came: (drops, cost) a lot; all lots are long, or all are short."""

    def __init__(self) -> None:
        self._lots: deque[tuple[int, Decimal]] = deque()
        self.drops = 0

    @property
    def cost(self) -> Decimal:
        """What all that is held had cost; negative for what a short brought."""
        return sum((cost for _, cost in self._lots), ZERO)

    def exchange(self, drops: int, quote: Decimal) -> Closed:
        """Let `drops` come (or go, negative) for `quote` RLUSD that go (negative) or come."""
        if self.drops * drops >= 0:
            if drops:
                self._lots.append((abs(drops), -quote))
            self.drops += drops
            return NOTHING_CLOSED
        closing = min(abs(drops), abs(self.drops))
        released = self._take(closing)
        brought = part_of(quote, closing, abs(drops))
        self.drops += drops
        if closing < abs(drops):
            self._lots.append((abs(drops) - closing, brought - quote))
        basis, gain = released, brought - released
        return Closed(drops=closing, basis=basis, gain=gain)

    def remove(self, drops: int) -> None:
        """Let `drops` go without a sale; what is not held is not removed."""
        going = min(drops, max(self.drops, 0))
        self._take(going)
        self.drops -= going

    def _take(self, drops: int) -> Decimal:
        released = ZERO
        while drops:
            held, cost = self._lots.popleft()
            part = min(drops, held)
            share = part_of(cost, part, held)
            if part < held:
                self._lots.appendleft((held - part, cost - share))
            released += share
            drops -= part
        return released


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed of a session's row."""

    session_id: int
    mode: str
    account: str
    quote_symbol: str


class TaxLine(msgspec.Struct, frozen=True, kw_only=True):
    """One fill. values: by COLUMNS. fifo, average: its gains, zero for what disposes of nothing."""

    time: str
    values: tuple[str, ...]
    fifo: Decimal
    average: Decimal
    fee_drops: int


class _Account:
    """The lots and the average of one account, through all its sessions."""

    def __init__(self) -> None:
        self.lots = Lots()
        self.books = Books()
        self.begun = False

    def open(self, drops: int, mark: Decimal) -> None:
        """Take up what a session opened with; of a later one only what came or went in between."""
        change = drops if not self.begun else drops - self.lots.drops
        self.begun = True
        self.move(change, mark)

    def move(self, drops: int, mark: Decimal) -> None:
        """Book XRP that came (or went) without a trade, at the mark."""
        if drops > 0:
            self.lots.exchange(drops, -value_at(drops, mark))
        else:
            self.lots.remove(-drops)
        if drops:
            self.books.capital(sign=1 if drops > 0 else -1, drops=abs(drops), quote=ZERO, mark=mark)

    def trade(self, side: str, drops: int, delta: Decimal) -> tuple[Closed, Decimal]:
        """Book a fill and return what FIFO closed and the gain by average cost."""
        before = self.books.realised
        closed = self.lots.exchange(drops if side == "buy" else -drops, delta)
        self.books.fill(side=side, drops=drops, quote_delta=delta, rounding=ZERO)
        return closed, self.books.realised - before


def sessions_of(connection: sqlite3.Connection, mode: str) -> tuple[Session, ...]:
    """Return the sessions of a mode, oldest first."""
    rows = connection.execute(
        "SELECT session_id, mode, account, pair FROM sessions WHERE mode = ? ORDER BY session_id", (mode,)
    )
    return tuple(
        Session(
            session_id=row[0], mode=row[1], account=row[2], quote_symbol=row[3].partition("/")[2] or "RLUSD"
        )
        for row in rows
    )


def _fees(connection: sqlite3.Connection) -> dict[int, int]:
    """Return the drops burned by the transactions of each order that was ever filled."""
    rows = connection.execute(
        "SELECT order_id, SUM(fee_drops) FROM submissions WHERE (result LIKE 'tes%' OR result LIKE 'tec%') "
        "AND order_id IN (SELECT order_id FROM fills) GROUP BY order_id"
    )
    return {order: int(drops) for order, drops in rows}


_Event = tuple[int, int, int, tuple[object, ...]]
_FILL, _CAPITAL = 0, 1  # their order within a tick, as in the engine's flow


def _events(connection: sqlite3.Connection, session_id: int) -> Iterator[_Event]:
    capital = connection.execute(
        "SELECT COALESCE(tick, 0), id, kind, amount, mark FROM capital_events WHERE session_id = ? "
        "AND status = 'applied' AND asset = ? AND kind <> 'opening' ORDER BY COALESCE(tick, 0), id",
        (session_id, XRP),
    )
    fills = connection.execute(
        "SELECT tick, id, close_time, tx_hash, ledger_index, order_id, side, liquidity, xrp_drops, "
        "rlusd_balance_delta, price FROM fills WHERE session_id = ? ORDER BY tick, id",
        (session_id,),
    )
    return heapq.merge(
        ((row[0], _CAPITAL, row[1], tuple(row[2:])) for row in capital),
        ((row[0], _FILL, row[1], tuple(row[2:])) for row in fills),
    )


def _opening(connection: sqlite3.Connection, session_id: int) -> tuple[int, Decimal] | None:
    """Return XRP (drops) and mark that a session opened with, None when it has no such event."""
    row = connection.execute(
        "SELECT id, amount, mark FROM capital_events WHERE session_id = ? AND kind = 'opening' AND asset = ? "
        "AND status = 'applied'",
        (session_id, XRP),
    ).fetchone()
    if row is None:
        return None
    where = f"capital_events row {row[0]}"
    amount = parse_number(row[1], f"{where}, amount")
    return drops_from_xrp(amount, DOWN), _mark(row[2], where)


def _mark(text: object, where: str) -> Decimal:
    if text is None:
        raise StateError(
            f"{where}: an applied XRP event has no mark; the database is damaged, restore a backup"
        )
    return parse_number(text, f"{where}, mark")


def tax_lines(connection: sqlite3.Connection, sessions: Sequence[Session]) -> Iterator[TaxLine]:
    """Yield every fill of these sessions in order. Raises BadNumber or StateError naming a damaged row."""
    fees = _fees(connection)
    accounts: dict[str, _Account] = {}
    for session in sessions:
        name = session.account if session.mode == LIVE else str(session.session_id)
        account = accounts.setdefault(name, _Account())
        opening = _opening(connection, session.session_id)
        with localcontext() as context:
            context.prec = EXACT_DIGITS
            if opening is not None:
                account.open(*opening)
        for _tick, kind, row_id, values in _events(connection, session.session_id):
            line = None
            with localcontext() as context:
                context.prec = EXACT_DIGITS
                if kind == _FILL:
                    line = _line(account, session, row_id, values, fees)
                else:
                    _move(account, row_id, values)
            if line is not None:
                yield line


def _move(account: _Account, row_id: int, values: tuple[object, ...]) -> None:
    kind, amount, mark = values
    where = f"capital_events row {row_id}"
    drops = drops_from_xrp(parse_number(amount, f"{where}, amount"), DOWN)
    account.move(drops if kind == "deposit" else -drops, _mark(mark, where))


def _line(
    account: _Account, session: Session, row_id: int, values: tuple[object, ...], fees: dict[int, int]
) -> TaxLine:
    time, tx_hash, ledger, order, side, liquidity, drops_value, delta_text, price_text = values
    drops, order_id = int(str(drops_value)), int(str(order))
    delta = parse_number(delta_text, f"fills row {row_id}, rlusd_balance_delta")
    price = parse_number(price_text, f"fills row {row_id}, price")
    closed, average_gain = account.trade(str(side), drops, delta)
    fee_drops = fees.pop(order_id, 0)  # with the first fill of the order, once
    disposal: tuple[str, ...] = ("", "", "", "", "", "")
    if closed.drops:
        proceeds = closed.basis + closed.gain
        parts = (proceeds, closed.basis, closed.gain, proceeds - average_gain, average_gain)
        disposal = (plain(xrp_from_drops(closed.drops)), *(plain(one) for one in parts))
    note = ""
    if account.lots.drops < 0:
        note = SHORT_OPENED
    elif side == "buy" and closed.drops:
        note = SHORT_CLOSED
    first = (str(time), str(tx_hash), str(ledger), str(session.session_id), session.mode, session.account)
    traded = (XRP, plain(xrp_from_drops(drops)), session.quote_symbol, plain(abs(delta)), plain(price))
    cost = (plain(xrp_from_drops(fee_drops)), plain(value_at(fee_drops, price)))
    return TaxLine(
        time=str(time),
        values=(
            *(*first, str(row_id), str(order_id), str(side), str(liquidity)),
            *(*traded, *cost, *disposal),
            *(plain(xrp_from_drops(account.lots.drops)), note),
        ),
        fifo=closed.gain,
        average=average_gain,
        fee_drops=fee_drops,
    )


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What the lines written sum to. Gains in RLUSD."""

    fills: int
    fifo: Decimal
    average: Decimal
    fee_drops: int


def write_tax(lines: Iterator[TaxLine], year: int | None, stream: TextIO) -> Totals:
    """Write the lines of a UTC year, or all, and return their sums. All earlier lines count for the lots."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    fills, fifo, average, fees = 0, ZERO, ZERO, 0
    for line in lines:
        if year is not None and not line.time.startswith(f"{year:04d}-"):
            continue
        writer.writerow(line.values)
        with localcontext() as context:
            context.prec = EXACT_DIGITS
            fills, fifo, average = fills + 1, fifo + line.fifo, average + line.average
        fees += line.fee_drops
    return Totals(fills=fills, fifo=fifo, average=average, fee_drops=fees)
