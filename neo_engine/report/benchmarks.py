"""What the same capital would have earned without us: rebalanced half and half, and in the pool.

Comparisons, not money: binary floats, rounded to 6 decimals. Both start with the first mid (pool price)
that the session saw, take each later capital event at its own mark, and end with the session's last.

Half and half: at every mid half of the value is in XRP and half in RLUSD, for free. From mid a to mid b the
value grows by the factor (1 + b / a) / 2.

The pool: liquidity L = sqrt(XRP x RLUSD) at the price P = RLUSD / XRP is worth 2 L sqrt(P). A share of the
pool grows with P and with what swaps leave in fees: the growth g of L over the steps in which the two
amounts moved against each other (a swap). Steps in which both grew or shrank are others' deposits or
withdrawals and change no share. So value = start x g x sqrt(P_end / P_start). A ledger with a swap and a
deposit counts as one of them, and the start pays no fee.

>>> growth_half(np.array([2.0, 2.2, 2.0]))  # up by a tenth, then down by an eleventh
array([1.        , 1.05      , 1.00227273])
"""

from __future__ import annotations

import sqlite3
from decimal import Decimal

import numpy as np

from neo_engine.report.accounts import XRP
from neo_engine.report.columns import Columns, Floats, Numbers

_DIGITS = Decimal("0.000001")
_SIGNS = {"opening": 1.0, "deposit": 1.0, "withdrawal": -1.0}


def growth_half(mid: Floats) -> Floats:
    """Return the value of 1 RLUSD held half and half along `mid`, from its first on."""
    steps = (1 + mid[1:] / mid[:-1]) / 2
    return np.concatenate(([1.0], np.cumprod(steps)))


def growth_pool(xrp: Floats, quote: Floats) -> Floats:
    """Return the value of 1 RLUSD's share of the pool along its amounts, from the first on.

    >>> growth_pool(np.array([100.0, 200.0]), np.array([200.0, 400.0]))  # a deposit earns nobody anything
    array([1., 1.])
    """
    change_xrp, change_quote = np.diff(xrp), np.diff(quote)
    swap = (change_xrp * change_quote) < 0
    root = np.sqrt(xrp * quote)
    fees = np.where(swap, root[1:] / root[:-1], 1.0)
    price = quote / xrp
    grown: Floats = np.concatenate(([1.0], np.cumprod(fees))) * np.sqrt(price / price[0])
    return grown


def _capital(connection: sqlite3.Connection, session_id: int) -> list[tuple[int, float]]:
    """Return (tick, RLUSD at its own mark) of each capital event; what goes out is negative."""
    rows = connection.execute(
        "SELECT COALESCE(tick, 0), kind, asset, CAST(amount AS REAL), CAST(mark AS REAL) FROM capital_events "
        "WHERE session_id = ? AND status = 'applied'",
        (session_id,),
    )
    return [
        (tick, _SIGNS[kind] * amount * (mark if asset == XRP else 1.0))
        for tick, kind, asset, amount, mark in rows
    ]


def _profit(capital: list[tuple[int, float]], ticks: Numbers, growth: Floats) -> Decimal | None:
    if not len(growth) or not capital:
        return None
    total = 0.0
    for tick, value in capital:
        start = min(int(np.searchsorted(ticks, tick)), len(growth) - 1)
        total += value * (growth[-1] / growth[start] - 1)
    return Decimal(total).quantize(_DIGITS)


def fifty_fifty(connection: sqlite3.Connection, columns: Columns, mark: Decimal) -> Decimal | None:
    """Return the P&L of the capital held half and half, at `mark`; None without a mid or without capital."""
    mid = columns.markets.mid
    seen = np.flatnonzero(~np.isnan(mid))
    if not len(seen):
        return None
    growth = growth_half(np.append(mid[seen], float(mark)))
    return _profit(_capital(connection, columns.session_id), columns.markets.tick[seen], growth)


def pool_share(connection: sqlite3.Connection, columns: Columns) -> Decimal | None:
    """Return the P&L of the capital in the pool; None without a pool or without capital."""
    markets = columns.markets
    seen = np.flatnonzero((markets.pool_xrp > 0) & (markets.pool_quote > 0))
    if not len(seen):
        return None
    growth = growth_pool(markets.pool_xrp[seen], markets.pool_quote[seen])
    return _profit(_capital(connection, columns.session_id), markets.tick[seen], growth)
