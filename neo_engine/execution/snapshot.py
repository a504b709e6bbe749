"""The market snapshot of a tick, read off the tracked book: the same for paper and live."""

from __future__ import annotations

from decimal import Context, Decimal

from neo_engine.domain.assets import Side
from neo_engine.domain.book import BookTracker
from neo_engine.domain.ledger import LedgerTransaction, taken_legs
from neo_engine.domain.market import DataFault, Level, MarketSnapshot, MarketTrade
from neo_engine.domain.number import MILLION, NEAREST
from neo_engine.domain.rounding import TICK_SIZE_OFF

_TRANSFER_RATE_NONE = 1_000_000_000
#: A mid has ten significant digits: a thousandth of RLUSD's finest price step. A bid's price is a quotient
#: without end, so more digits would only make every value at the mark longer.
_MID = Context(prec=10, rounding=NEAREST)
_TWO = Decimal(2)


def market_snapshot(
    book: BookTracker, depth: int, trades: tuple[MarketTrade, ...], own_account: str | None = None
) -> MarketSnapshot:
    """Return the market after the last applied ledger, without the offers of `own_account`.

    depth: price levels a side. trades: what was taken in this ledger, by anyone.
    """
    bids = _levels(book, Side.BUY, depth, own_account)
    asks = _levels(book, Side.SELL, depth, own_account)
    best_bid = bids[0].price if bids else None
    best_ask = asks[0].price if asks else None
    mid = None
    if best_bid is not None and best_ask is not None:
        mid = _MID.divide(_MID.add(best_bid, best_ask), _TWO)
    faults = []
    if not book.trusted:
        faults.append(DataFault.GAP)
    if best_bid is not None and best_ask is not None and best_bid >= best_ask:
        faults.append(DataFault.CROSSED)
    if book.global_freeze:
        faults.append(DataFault.FROZEN)
    return MarketSnapshot(
        ledger_index=book.ledger_index,
        ledger_hash=book.ledger_hash,
        close_time=book.close_time,
        fee_base_drops=book.fee_base_drops,
        base_reserve_drops=book.base_reserve_drops,
        owner_reserve_drops=book.owner_reserve_drops,
        bids=bids,
        asks=asks,
        best_bid=best_bid,
        best_ask=best_ask,
        mid=mid,
        pool=book.pool,
        tick_size=book.tick_size or TICK_SIZE_OFF,
        transfer_rate=int(book.transfer_rate * _TRANSFER_RATE_NONE),
        trades=trades,
        faults=tuple(faults),
    )


def market_trades(tx: LedgerTransaction, book: BookTracker) -> list[MarketTrade]:
    """Return what a transaction took of book and pool; `book` has not applied it yet."""
    if not tx.succeeded or tx.taker is None:
        return []
    trades = []
    pool = book.pool
    for leg in taken_legs(tx, pool.account if pool else None):
        base_drops = leg.base_drops + leg.pool_base_drops
        quote = leg.quote + leg.pool_quote
        if base_drops > 0 and quote > 0:
            price = quote * MILLION / base_drops
            trades.append(MarketTrade(taker_side=leg.side, price=price, base_drops=base_drops))
    return trades


def _levels(book: BookTracker, side: Side, depth: int, own_account: str | None) -> tuple[Level, ...]:
    return tuple(
        Level(price=level.price, base_drops=level.base_drops, quote=level.quote)
        for level in book.live_levels(side, depth, book.close_time, own_account)
    )
