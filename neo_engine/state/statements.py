"""The SQL that writes ticks, in the order in which foreign keys allow it.

One text a statement, always the same, so each is prepared once and found in the connection's cache.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One SQL text; with `every` each of its rows must hit a row, or the program is wrong."""

    name: str
    sql: str
    every: bool


def _insert(table: str, columns: str) -> str:
    marks = ", ".join("?" * len(columns.split(",")))
    return f"INSERT INTO {table} ({columns}) VALUES ({marks})"


_CAPITAL = (
    "session_id, scope, request_id, kind, asset, amount, mark, status, reason, note, created_at, "
    "effective_at, tick"
)
_NEWEST_SUBMISSION = (
    "WHERE tx_hash = ?1 AND session_id = (SELECT max(session_id) FROM submissions WHERE tx_hash = ?1)"
)
INSERT_CAPITAL = _insert("capital_events", _CAPITAL)
UPSERT_STATE = (
    _insert("engine_state", "key, value, updated_at")
    + " ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at"
)

# Writing order: what is pointed at comes before what points. Plain numbers, since an enum member as an
# index costs more than the append it serves.
(
    TICKS,
    SNAPSHOTS,
    ORDERS,
    ORDER_UPDATES,
    SUBMISSIONS,
    PRELIMINARIES,
    RESULTS,
    FILLS,
    INVENTORY,
    OPENINGS,
    CAPITAL,
    FAULTS,
    FINDINGS,
    STATE,
) = range(14)

STATEMENTS: tuple[Statement, ...] = (
    Statement(
        name="ticks",
        sql=_insert(
            "ticks",
            "session_id, tick, kind, ledger_index, close_time, anchor, anchor_source, divergence_bps, "
            "anchor_clamped, volatility_bps, atr_bps, reservation, half_spread_bps, factors, gates, quotes, "
            "quoting, placed, canceled, kept, fills, inventory_xrp_drops, inventory_rlusd, fees_drops, mark, "
            "net_capital_rlusd, realised_rlusd, unrealised_rlusd, account_value_rlusd, fingerprint",
        ),
        every=True,
    ),
    Statement(
        name="snapshots",
        sql=_insert(
            "market_snapshots",
            "session_id, tick, ledger_index, close_time, best_bid, best_ask, mid, pool_xrp_drops, "
            "pool_rlusd, pool_fee, our_bid, our_ask, distance_to_bid_touch_bps, distance_to_ask_touch_bps, "
            "within_2bps_bid, within_2bps_ask, bids, asks",
        ),
        every=True,
    ),
    Statement(
        name="orders",
        sql=_insert(
            "orders",
            "id, session_id, order_no, slot, side, price, size_xrp, size_rlusd, filled_xrp, filled_rlusd, "
            "status, created_at, updated_at, created_tick, created_ledger, closed_ledger, submit_tx_hash, "
            "offer_sequence, last_ledger_sequence, expiration, replaces_order, result_code, failure_reason",
        ),
        every=True,
    ),
    Statement(
        name="order_updates",
        sql="UPDATE orders SET filled_xrp = ?, filled_rlusd = ?, status = ?, updated_at = ?, "
        "closed_ledger = ?, submit_tx_hash = ?, offer_sequence = ?, last_ledger_sequence = ?, "
        "result_code = ?, failure_reason = ? WHERE id = ?",
        every=True,
    ),
    Statement(
        name="submissions",
        sql=_insert(
            "submissions",
            "session_id, tick, order_id, kind, tx_hash, account_sequence, last_ledger_sequence, "
            "fee_drops, blob",
        ),
        every=True,
    ),
    Statement(
        name="preliminaries",
        sql=f"UPDATE submissions SET outcome = ?2, preliminary = ?3 {_NEWEST_SUBMISSION}",
        every=True,
    ),
    Statement(
        name="results",
        sql="UPDATE submissions SET result = ?2, ledger_index = ?3, transaction_index = ?4, fee_drops = ?5 "
        + _NEWEST_SUBMISSION,
        every=True,
    ),
    Statement(
        name="fills",
        sql=_insert(
            "fills",
            "session_id, order_id, tick, ledger_index, transaction_index, node, close_time, tx_hash, side, "
            "liquidity, xrp_drops, rlusd, rlusd_balance_delta, rounding, price, mid, offer_sequence",
        )
        + " ON CONFLICT DO NOTHING",
        every=False,
    ),
    Statement(
        name="inventory",
        # A fill that an earlier session has already counted is not found here: nothing changes.
        sql="INSERT INTO inventory_ledger "
        "(session_id, fill_id, tick, asset, change, new_balance, created_at) "
        "SELECT session_id, id, ?5, ?6, ?7, ?8, ?9 FROM fills "
        "WHERE session_id = ?1 AND ledger_index = ?2 AND transaction_index = ?3 AND node = ?4 "
        "ON CONFLICT DO NOTHING",
        every=False,
    ),
    Statement(name="openings", sql=INSERT_CAPITAL, every=True),
    Statement(
        name="capital",
        sql=INSERT_CAPITAL
        + " ON CONFLICT (scope, request_id) DO UPDATE SET session_id = excluded.session_id, "
        "mark = excluded.mark, status = excluded.status, reason = excluded.reason, "
        "effective_at = excluded.effective_at, tick = excluded.tick WHERE status = 'waiting'",
        every=False,
    ),
    Statement(name="faults", sql=_insert("feed_faults", "session_id, tick, kind, line, detail"), every=True),
    Statement(
        name="findings",
        sql=_insert("reconciliations", "session_id, tick, finding, order_id, severity, detail"),
        every=True,
    ),
    Statement(name="state", sql=UPSERT_STATE, every=True),
)
