"""How good the quoting and the fills of a session were; formulas in docs/metrics.md.

What is stored sets the bounds. The depth of a snapshot knows a level's price to 0.01 bps and its size to
0.1 XRP, as of the ledger before the fill; who stood before us at our very price in time is not known, so
the queue ahead is the most it can have been.
"""

from __future__ import annotations

import sqlite3
from decimal import Decimal

import numpy as np

from neo_engine.domain.number import NEAREST, WORK, xrp_from_drops
from neo_engine.report.accounts import value_at
from neo_engine.report.columns import Columns, Floats, Numbers, numbers
from neo_engine.report.gates import Gates
from neo_engine.report.markouts import Fills, marked, markout_groups, rounded, spread_of
from neo_engine.report.measures import Execution, Latency, Requotes, SideUptime, Spread
from neo_engine.report.model import share_pct
from neo_engine.state.queries import ORDERS_OF_SESSION
from neo_engine.state.rows import TICK_BITS

_DEPTH_BYTES, _LEVELS = 5, 60  # a level of market_snapshots.bids; engine.depth_levels at its most
_SAME_BPS = 0.011  # prices this near to each other are one: a level's distance is rounded to 0.01 bps
_FOUR = Decimal("0.0001")
KINDS = ("create", "replace", "cancel")


def _placed(connection: sqlite3.Connection, session_id: int) -> tuple[int, int, float, float]:
    """Return of the orders that the ledger took: how many, with a fill, XRP offered and filled."""
    row = connection.execute(
        "SELECT COUNT(*), TOTAL(filled_xrp <> '0'), TOTAL(size_xrp), TOTAL(filled_xrp) FROM orders "
        f"WHERE {ORDERS_OF_SESSION} AND result_code = 'tes'",
        (session_id,),
    ).fetchone()
    return int(row[0]), int(row[1]), float(row[2]), float(row[3])


def _time_to_fill(connection: sqlite3.Connection, session_id: int) -> Spread:
    (waited,) = connection.execute(
        "SELECT group_concat(waited) FROM (SELECT unixepoch(min(f.close_time)) - unixepoch(o.created_at) "
        "AS waited FROM fills f JOIN orders o ON o.id = f.order_id WHERE f.session_id = ? "
        "AND f.liquidity = 'maker' GROUP BY f.order_id)",
        (session_id,),
    ).fetchone()
    return spread_of(numbers(waited))


def levels_of(blobs: list[bytes], count: int) -> tuple[Floats, Floats]:
    """Return (distance in bps, size in XRP) of `count` levels a row; a level that is not there has no size.

    >>> distance, size = levels_of([bytes([0, 100, 0, 0, 25])], 2)
    >>> distance.tolist(), size.tolist()
    ([[1.0, 0.0]], [[2.5, 0.0]])
    """
    width = _DEPTH_BYTES * count
    packed = b"".join(blob[:width].ljust(width, b"\0") for blob in blobs)
    table = np.frombuffer(packed, dtype=np.uint8).reshape(len(blobs), count, _DEPTH_BYTES).astype(np.int64)
    distance = (table[:, :, 0] << 8 | table[:, :, 1]) / 100
    size = (table[:, :, 2] << 16 | table[:, :, 3] << 8 | table[:, :, 4]) / 10
    return distance, size


def queue_ahead(blobs: list[bytes], behind_bps: Floats) -> Floats:
    """Return the XRP of others at our price or better, for orders `behind_bps` behind the best of others.

    Negative: inside the touch, where nobody is ahead.
    """
    if not blobs:
        return np.zeros(0)
    distance, size = levels_of(blobs, min(max(map(len, blobs)) // _DEPTH_BYTES, _LEVELS) or 1)
    ahead = distance <= behind_bps[:, None] + _SAME_BPS
    return np.asarray((size * ahead).sum(axis=1), dtype=np.float64)


def _queue(connection: sqlite3.Connection, session_id: int) -> Spread:
    """Return the queue ahead of our maker fills, by the market of the tick before each."""
    parts = []
    for side, best, levels, sign in (("buy", "best_bid", "bids", 1), ("sell", "best_ask", "asks", -1)):
        rows = connection.execute(
            f"SELECT m.{levels}, (m.{best} - o.price) * {sign}e4 / m.{best} FROM fills f "
            "JOIN orders o ON o.id = f.order_id "
            f"JOIN market_snapshots m ON m.id = f.session_id << {TICK_BITS} | (f.tick - 1) "
            f"WHERE f.session_id = ? AND f.side = ? AND f.liquidity = 'maker' AND m.{best} IS NOT NULL",
            (session_id, side),
        ).fetchall()
        parts.append(queue_ahead([row[0] for row in rows], np.array([row[1] for row in rows], dtype=float)))
    return spread_of(np.concatenate(parts))


def _requotes(
    connection: sqlite3.Connection, session_id: int, fills: int, mark: Decimal | None, spread: Decimal | None
) -> Requotes:
    (replaced,) = connection.execute(
        f"SELECT COUNT(*) FROM orders WHERE {ORDERS_OF_SESSION} AND failure_reason LIKE 'replaced%'",
        (session_id,),
    ).fetchone()
    canceled, drops = connection.execute(
        "SELECT TOTAL(kind = 'cancel'), COALESCE(SUM(CASE WHEN result LIKE 'tes%' OR result LIKE 'tec%' "
        "THEN fee_drops ELSE 0 END), 0) FROM submissions "
        "WHERE COALESCE(result_session, session_id) = ? AND kind <> 'create'",
        (session_id,),
    ).fetchone()
    fees = None if mark is None else value_at(drops, mark)
    share = None
    if fees is not None and spread is not None and spread > 0:
        share = WORK.divide(fees * 100, spread).quantize(_FOUR, rounding=NEAREST)
    return Requotes(
        replaced=replaced,
        canceled=int(canceled),
        fees_drops=drops,
        fees=fees,
        per_fill=rounded(replaced / fills) if fills else None,
        share_of_spread_pct=share,
    )


def _latency(connection: sqlite3.Connection, columns: Columns) -> tuple[Latency, ...]:
    """Return from which tick to which ledger our transactions took, by kind."""
    ticks = columns.ticks
    found = []
    for kind in KINDS:
        (count, sent_text, ledger_text) = connection.execute(
            "SELECT COUNT(*), group_concat(CASE WHEN ledger_index IS NOT NULL THEN tick END), "
            "group_concat(ledger_index) FROM submissions WHERE session_id = ? AND kind = ?",
            (columns.session_id, kind),
        ).fetchone()
        if not count:
            continue
        sent, ledger = numbers(sent_text).astype(np.int64), numbers(ledger_text).astype(np.int64)
        from_place = np.minimum(np.searchsorted(ticks.tick, sent), len(ticks) - 1)
        to_place = np.minimum(np.searchsorted(ticks.ledger, ledger), len(ticks) - 1)
        seen = ticks.ledger[to_place] == ledger  # the session saw that ledger close
        waited = (ledger - ticks.ledger[from_place]).astype(np.float64)
        seconds = (ticks.at[to_place] - ticks.at[from_place])[seen].astype(np.float64)
        found.append(
            Latency(
                kind=kind,
                ledgers=spread_of(waited),
                seconds=spread_of(seconds),
                in_no_ledger=count - len(ledger),
            )
        )
    return tuple(found)


def _uptime(quoting: Numbers) -> tuple[SideUptime, ...]:
    sides = (("bid", 1), ("ask", 2))
    counts = [(side, int(np.count_nonzero(quoting & bit))) for side, bit in sides]
    return tuple(
        SideUptime(side=side, ticks=count, share_pct=share_pct(count, len(quoting))) for side, count in counts
    )


def pool_flow(columns: Columns) -> float | None:
    """Return the XRP that the pool traded, net in each ledger: steps in which its amounts moved apart."""
    xrp, quote = columns.markets.pool_xrp, columns.markets.pool_quote
    seen = ~np.isnan(xrp) & ~np.isnan(quote)
    if not bool(np.any(seen)):
        return None
    change_xrp, change_quote = np.diff(xrp[seen]), np.diff(quote[seen])
    return float(np.abs(change_xrp[change_xrp * change_quote < 0]).sum())


def pair_volume(columns: Columns) -> int | None:
    """Return the drops that anybody took of book and pool in the ledgers seen; None where not all have it."""
    drops = columns.markets.traded_drops
    # Whole numbers below 2 ** 53 are exact in a binary float, and so is their sum.
    return None if not len(drops) or bool(np.any(np.isnan(drops))) else int(drops.sum())


def _pct(part: float, whole: float) -> Decimal:
    return (rounded(100 * part / whole) if whole else None) or Decimal(0)


def execution(
    connection: sqlite3.Connection,
    columns: Columns,
    fills: Fills,
    gates: Gates,
    *,
    mark: Decimal | None,
    spread_captured: Decimal | None,
) -> Execution:
    """Return the quality of a session's quoting and fills. Raises ValueError for a damaged value."""
    session_id = columns.session_id
    count, with_fill, offered, filled = _placed(connection, session_id)
    flow, volume = pool_flow(columns), float(fills.xrp.sum())
    pair = pair_volume(columns)
    return Execution(
        markouts=markout_groups(marked(columns, fills)),
        orders_on_ledger=count,
        orders_filled_pct=share_pct(with_fill, count),
        fill_ratio_pct=_pct(filled, offered),
        time_to_fill_seconds=_time_to_fill(connection, session_id),
        queue_ahead_xrp=_queue(connection, session_id),
        uptime=_uptime(columns.ticks.quoting),
        closures=gates.closures,
        requotes=_requotes(connection, session_id, len(fills), mark, spread_captured),
        latency=_latency(connection, columns),
        pool_flow_xrp=None if flow is None else rounded(flow),
        our_share_of_flow_pct=None if flow is None else _pct(volume, volume + flow),
        pair_volume_xrp=None if pair is None else xrp_from_drops(pair),
        our_share_of_volume_pct=_pct(volume * 1e6, pair) if pair else None,
    )
