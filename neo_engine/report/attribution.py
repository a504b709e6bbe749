"""Where a session's P&L came from: parts that add up to its total, to the last digit.

All amounts in RLUSD; gains are positive, costs negative. M is the mark. A fill of x XRP has the sign s (+1
for a buy, -1 for a sale), the offers' own amount r, the change q of the trust line, the mid m of its ledger
and the mid h HORIZON_LEDGERS later. Where its markout has no mid (markouts.py) h is the next one, and M after
the last: a sum cannot leave a fill out. Then

    q + s x M  =  s (x m - r)  +  s x (h - m)  +  s x (M - h)  +  (q + s r)
                  spread          adverse         drift           rounding or transfer fee

is an identity, whatever m and h are. Over all fills, with c XRP of each capital event at its own mark e,

    total = sum of the fills + sum of c (M - e) - network fees x M = account value - net capital.

A fill whose ledger had no mid takes its own price for m: it captured no spread, and its markout is all
adverse selection and drift. `residue` is the total by average cost (accounts.py) less the parts: exactly 0.

FIFO: a buy opens a lot, a sale closes the oldest first. Of a lot closed in part the share of its cost is
rounded DOWN to 1e-18 and the rest stays in the lot, so that realised + unrealised is the same by both rules.

>>> books = Fifo()
>>> books.exchange(10_000_000, Decimal(-20))
>>> books.exchange(10_000_000, Decimal(-30))
>>> books.exchange(-15_000_000, Decimal(45))
>>> books.realised, books.cost
(Decimal('10.000000000000000000'), Decimal('15.000000000000000000'))
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Iterator
from decimal import Decimal, localcontext

import numpy as np

from neo_engine.domain.number import DROPS_PER_XRP, ZERO
from neo_engine.report.accounts import EXACT_DIGITS, Event, FillEvent, part_of
from neo_engine.report.benchmarks import fifty_fifty, pool_share
from neo_engine.report.columns import Columns
from neo_engine.report.measures import Attribution
from neo_engine.report.model import ProfitAndLoss

HORIZON_LEDGERS = 15  # about a minute: by then a price that moved because of the taker has moved
#: A transfer fee is at least this share of what is paid (a rate counts in billionths); rounding is far less.
LEAST_TRANSFER_SHARE = Decimal("1E-9")


class Fifo:
    """Lots of XRP, oldest first; what is sold beyond what is held opens lots of a short."""

    __slots__ = ("_lots", "realised")

    def __init__(self) -> None:
        self._lots: deque[tuple[int, Decimal]] = deque()  # drops (negative: short), RLUSD paid for them
        self.realised = ZERO

    @property
    def cost(self) -> Decimal:
        """What the lots cost together."""
        return sum((cost for _, cost in self._lots), ZERO)

    def exchange(self, drops: int, quote: Decimal) -> None:
        """Let `drops` of XRP come (or go, negative) against `quote` RLUSD that go (or come)."""
        left, brought = drops, quote
        while left and self._lots and (self._lots[0][0] > 0) != (left > 0):
            held, cost = self._lots[0]
            closing = min(abs(left), abs(held))
            released = part_of(cost, closing, abs(held))
            share = part_of(brought, closing, abs(left))
            self.realised += share - released
            brought -= share
            left += closing if left < 0 else -closing
            if closing == abs(held):
                self._lots.popleft()
            else:
                self._lots[0] = (held + (closing if held < 0 else -closing), cost - released)
        if left:
            self._lots.append((left, -brought))
        else:
            self.realised += brought  # 0, but for an event that moved no XRP


def later_mids(columns: Columns, ledgers: list[int], horizon: int) -> list[Decimal | None]:
    """Return for each ledger the first mid that the session saw `horizon` ledgers later or after."""
    mid = columns.markets.mid
    seen = np.flatnonzero(~np.isnan(mid))
    at = np.searchsorted(columns.market_ledger[seen], np.array(ledgers, dtype=np.int64) + horizon)
    markets = columns.markets
    wanted = np.unique(at[at < len(seen)])
    known: dict[int, Decimal] = {
        place: (Decimal(repr(bid)) + Decimal(repr(ask))) / 2
        for place, bid, ask in zip(
            wanted.tolist(),
            markets.best_bid[seen[wanted]].tolist(),
            markets.best_ask[seen[wanted]].tolist(),
            strict=True,
        )
    }
    return [known.get(place) for place in at.tolist()]


class Parts:
    """Running sums of the parts, exact; told every event of a session in its order, once."""

    def __init__(self, mark: Decimal, later: Iterator[Decimal | None]) -> None:
        self.mark = mark
        self.spread = ZERO
        self.adverse = ZERO
        self.drift = ZERO
        self.hold = ZERO
        self.rounding = ZERO
        self.transfer_fees = ZERO
        self.without_mid = 0
        self.fifo = Fifo()
        self._later = later

    def take(self, event: Event) -> None:
        """Add what one event earned. Decimal's context must be of EXACT_DIGITS."""
        if isinstance(event, FillEvent):
            self._fill(event)
        elif event.drops:
            drops = event.sign * event.drops
            paid = drops * event.mark / DROPS_PER_XRP
            self.hold += drops * self.mark / DROPS_PER_XRP - paid
            self.fifo.exchange(drops, -paid)

    def _fill(self, fill: FillEvent) -> None:
        is_buy = fill.side == "buy"
        drops = fill.drops if is_buy else -fill.drops
        amount = fill.amount if is_buy else -fill.amount
        xrp = Decimal(drops).scaleb(-6)
        if fill.mid is None:
            self.without_mid += 1
            at_mid = amount  # what was paid
        else:
            at_mid = xrp * fill.mid
            self.spread += at_mid - amount
        later = next(self._later)
        now = xrp * self.mark
        then = now if later is None else xrp * later
        self.adverse += then - at_mid
        self.drift += now - then
        line = fill.moved + amount
        if line:
            if is_buy and -line >= amount * LEAST_TRANSFER_SHARE:
                self.transfer_fees += line
            else:
                self.rounding += line
        self.fifo.exchange(drops, fill.moved)


def parts_of(connection: sqlite3.Connection, columns: Columns, mark: Decimal) -> Parts:
    """Return the empty sums of a session; `keep_books` tells them its events."""
    ledgers = [
        int(row[0])
        for row in connection.execute(
            "SELECT ledger_index FROM fills WHERE session_id = ? ORDER BY tick, id", (columns.session_id,)
        )
    ]
    return Parts(mark, iter(later_mids(columns, ledgers, HORIZON_LEDGERS)))


def attribution(
    connection: sqlite3.Connection, columns: Columns, parts: Parts, pnl: ProfitAndLoss
) -> Attribution:
    """Return the parts of the P&L once they were told every event."""
    with localcontext() as context:
        context.prec = EXACT_DIGITS  # nothing below is ever rounded
        total, fees = pnl.total or ZERO, pnl.fees or ZERO
        mark_pnl = parts.adverse + parts.drift + parts.hold
        whole = parts.spread + mark_pnl + parts.rounding + parts.transfer_fees - fees
        held = (pnl.unrealised or ZERO) + pnl.cost_basis  # the XRP inventory at the mark
        unrealised = held - parts.fifo.cost
        return Attribution(
            mark=parts.mark,
            horizon_ledgers=HORIZON_LEDGERS,
            spread_captured=parts.spread,
            adverse_selection=parts.adverse,
            fills_drift=parts.drift,
            hold=parts.hold,
            mark_pnl=mark_pnl,
            rounding=parts.rounding,
            transfer_fees=parts.transfer_fees,
            network_fees=-fees,
            total=whole,
            residue=total - whole,
            fills_without_mid=parts.without_mid,
            realised_fifo=parts.fifo.realised,
            unrealised_fifo=unrealised,
            residue_fifo=total - (parts.fifo.realised + unrealised - fees),
            trading=total - parts.hold,
            fifty_fifty=fifty_fifty(connection, columns, parts.mark),
            pool=pool_share(connection, columns),
        )
