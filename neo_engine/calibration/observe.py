"""Reads evidence from stored sessions and from recordings: see `evidence` for what it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from neo_engine.calibration.evidence import ASK, BID, Evidence, LedgerView, Look, Reach, behind_bps
from neo_engine.domain.assets import Side
from neo_engine.domain.book import BookTracker
from neo_engine.domain.book_state import price_of_rate
from neo_engine.domain.ledger import FeedEnd, LedgerTransaction, LedgerUpdate, OfferChange, taken_legs
from neo_engine.domain.number import MILLION
from neo_engine.execution.snapshot import market_snapshot
from neo_engine.feed.recorded import RecordedFeed
from neo_engine.ops.clock import SystemClock
from neo_engine.state.queries import TICKS_OF_SESSION

LEDGER_EPOCH = 946_684_800  # Unix time of 2000-01-01, from which the ledger counts
SILENCE_SECONDS = 3_600  # of a recording; silences are of no interest here
WAIT_SECONDS = 1.0
SAME_PRICE = 1e-6  # a filled order whose price is that near to the snapshot's is the one that stood

Hits = dict[tuple[int, str], float]


# -- sessions


def _unix(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def _hits(connection: sqlite3.Connection, session_id: int) -> Hits:
    """Return (ledger, side) -> price of the best of our orders that it filled as makers."""
    found: Hits = {}
    rows = connection.execute(
        "SELECT f.ledger_index, f.side, o.price FROM fills f JOIN orders o ON o.id = f.order_id "
        "WHERE f.session_id = ? AND f.liquidity = 'maker'",
        (session_id,),
    )
    for ledger, side, text in rows:
        key, price = (ledger, BID if side == "buy" else ASK), float(text)
        better = max if side == "buy" else min
        found[key] = better(found.get(key, price), price)
    return found


def _session_rows(connection: sqlite3.Connection, session_id: int) -> Iterator[tuple[object, ...]]:
    query = (
        "SELECT t.ledger_index, t.close_time, m.best_bid, m.best_ask, m.our_bid, m.our_ask, t.tick "
        "FROM market_snapshots m JOIN ticks t ON t.id = m.id "
        f"WHERE m.{TICKS_OF_SESSION} AND t.kind = 'ledger' ORDER BY m.id"
    )
    return iter(connection.execute(query, (session_id,)))


def _stood(view: LedgerView, place: int, ours: tuple[float | None, float | None], hits: Hits) -> list[Look]:
    """Return what became of our best orders in the ledger after `view`."""
    found = []
    for side, price in zip((BID, ASK), ours, strict=True):
        filled = hits.get((view.index + 1, side))
        if price is None:
            continue  # nothing stood when the ledger began
        if filled is not None and abs(filled / price - 1) > SAME_PRICE:
            price = filled  # it had been replaced before the taker came
        distance = behind_bps(side, price, view)
        found.append(Look(ledger=place, side=side, distance=distance, price=price, hit=filled is not None))
    return found


def of_sessions(connection: sqlite3.Connection, session_ids: Sequence[int]) -> Evidence:
    """Return what our own orders in these sessions tell. Raises sqlite3.Error and ValueError."""
    ledgers: list[LedgerView] = []
    looks: list[Look] = []
    skipped, value = 0, None
    for source, session_id in enumerate(session_ids, 1):
        hits = _hits(connection, session_id)
        before: tuple[LedgerView, tuple[float | None, float | None]] | None = None
        for ledger, closed, bid, ask, our_bid, our_ask, _tick in _session_rows(connection, session_id):
            if bid is None or ask is None or not 0 < float(str(bid)) < float(str(ask)):
                skipped, before = skipped + 1, None
                continue
            view = LedgerView(
                source=source,
                index=int(str(ledger)),
                second=_unix(str(closed)),
                bid=float(str(bid)),
                ask=float(str(ask)),
            )
            if before is not None and before[0].index + 1 == view.index:
                looks += _stood(before[0], len(ledgers) - 1, before[1], hits)
            ours = tuple(None if one is None else float(str(one)) for one in (our_bid, our_ask))
            ledgers.append(view)
            before = view, (ours[0], ours[1])
        value = _account_value(connection, session_id) or value
    return Evidence(
        names=tuple(f"session {one}" for one in session_ids),
        ledgers=tuple(ledgers),
        looks=tuple(looks),
        reaches=(),
        skipped=skipped,
        value_rlusd=value,
    )


def _account_value(connection: sqlite3.Connection, session_id: int) -> float | None:
    row = connection.execute(
        f"SELECT account_value_rlusd FROM ticks WHERE {TICKS_OF_SESSION} ORDER BY id DESC LIMIT 1",
        (session_id,),
    ).fetchone()
    return None if row is None else float(row[0])


# -- recordings


def trade_prices(tx: LedgerTransaction, pool_account: str | None) -> Iterator[tuple[str, Decimal]]:
    """Yield (side taken from, price) of each offer of the pair that a transaction took, and of the pool."""
    if not tx.succeeded or tx.taker is None:
        return
    for change in tx.changes:
        if not (isinstance(change, OfferChange) and change.touched):
            continue
        if change.previous_base_drops > change.base_drops:
            yield BID if change.side is Side.BUY else ASK, price_of_rate(change.side, change.rate)
    for leg in taken_legs(tx, pool_account):
        if leg.pool_base_drops > 0 and leg.pool_quote > 0:
            side = ASK if leg.side is Side.BUY else BID
            yield side, leg.pool_quote * MILLION / leg.pool_base_drops


def reaches_of(view: LedgerView, place: int, prices: Sequence[tuple[str, float]]) -> list[Reach]:
    """Return how deep the trades of the ledger after `view` went, a value a side."""
    found = []
    for side in (BID, ASK):
        depths = [behind_bps(side, price, view) for taken, price in prices if taken == side]
        deepest = max(depths, default=-1.0)
        found.append(Reach(ledger=place, side=side, reach=deepest if deepest >= 0 else None))
    return found


def of_recordings(paths: Sequence[Path]) -> Evidence:
    """Return what everybody's trades in these recordings tell. Raises FeedError."""
    ledgers: list[LedgerView] = []
    reaches: list[Reach] = []
    skipped = 0
    for source, path in enumerate(paths, 1):
        before: LedgerView | None = None
        for view, prices in _recorded(path, source):
            if view is None:
                skipped, before = skipped + 1, None
                continue
            if before is not None and before.index + 1 == view.index:
                reaches += reaches_of(before, len(ledgers) - 1, prices)
            ledgers.append(view)
            before = view
    return Evidence(
        names=tuple(path.name for path in paths),
        ledgers=tuple(ledgers),
        looks=(),
        reaches=tuple(reaches),
        skipped=skipped,
        value_rlusd=None,
    )


def _recorded(path: Path, source: int) -> Iterator[tuple[LedgerView | None, list[tuple[str, float]]]]:
    """Yield each ledger of a recording, None for one without a market to believe, and its trades' prices."""
    feed = RecordedFeed(path, speed=None, clock=SystemClock(), silence_after_seconds=SILENCE_SECONDS)
    with closing(feed):
        book = BookTracker(feed.start().state)
        while not isinstance(item := feed.next(WAIT_SECONDS), FeedEnd):
            if isinstance(item, LedgerUpdate):
                yield _one_ledger(book, item, source)


def _one_ledger(
    book: BookTracker, update: LedgerUpdate, source: int
) -> tuple[LedgerView | None, list[tuple[str, float]]]:
    book.open_ledger(update)
    prices: list[tuple[str, float]] = []
    for tx in update.transactions:
        pool = book.pool.account if book.pool is not None else None
        prices += [(side, float(price)) for side, price in trade_prices(tx, pool)]
        book.apply(tx)
    book.close_ledger(update)
    market = market_snapshot(book, 1, ())
    if market.faults or market.best_bid is None or market.best_ask is None:
        return None, prices
    second = market.close_time + LEDGER_EPOCH
    view = LedgerView(
        source=source,
        index=market.ledger_index,
        second=second,
        bid=float(market.best_bid),
        ask=float(market.best_ask),
    )
    return view, prices
