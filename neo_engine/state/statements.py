"""The SQL that writes ticks, in the order in which foreign keys allow it.

One text a statement, always the same, so each is prepared once and found in the connection's cache.
"""

from __future__ import annotations

import msgspec

XRP = "XRP"


class Statement(msgspec.Struct, frozen=True, kw_only=True):
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
# An order's transactions have ids from order << 16 on; one without a hash of its own is the order's.
_ITS_TRANSACTIONS = "BETWEEN ?1 << 16 AND (?1 << 16) + 65535"
_THIS_SUBMISSION = (
    f"WHERE id {_ITS_TRANSACTIONS} AND ?2 = CASE WHEN tx_hash IS NULL "
    "THEN (SELECT submit_tx_hash FROM orders WHERE orders.id = ?1) ELSE hex(tx_hash) END"
)
# Who learns of a result pays the fee; NULL stands for the session that sent the transaction.
_RESULT = (
    "result = ?{0}, ledger_index = ?{1}, transaction_index = ?{2}, fee_drops = ?{3}, "
    "result_session = nullif(?{4}, session_id)"
)
#: The fields of a SessionStart in their order, and the highest order before it.
INSERT_SESSION = _insert(
    "sessions",
    "mode, feed, pair, account, recording, speed, seed, started_at, config_json, config_hash, "
    "engine_version, pid, hypothesis, first_order",
)
INSERT_NOTE = (
    "INSERT INTO session_notes (session_id, created_at, note) "
    "SELECT session_id, ?, ? FROM sessions WHERE session_id = ?"
)
INSERT_CAPITAL = _insert("capital_events", _CAPITAL)
UPSERT_STATE = (
    _insert("engine_state", "key, value, updated_at")
    + " ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at"
)

# Writing order: what is pointed at comes before what points; and changes of earlier rows before new rows,
# while the last page still has the room they need to grow. Plain numbers, since an enum member as an
# index costs more than the append it serves.
(
    TICKS,
    SNAPSHOTS,
    ORDER_UPDATES,
    ORDERS,
    PRELIMINARIES,
    RESULTS,
    SUBMISSIONS,
    UPKEEP,
    UPKEEP_RESULTS,
    FILLS,
    INVENTORY,
    OPENINGS,
    CAPITAL,
    FAULTS,
    FINDINGS,
    READINGS,
    STATE,
) = range(17)

STATEMENTS: tuple[Statement, ...] = (
    Statement(
        name="ticks",
        sql=_insert(
            "ticks",
            "id, session_id, tick, kind, ledger_index, close_time, anchor, anchor_source, divergence_bps, "
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
            "id, session_id, tick, best_bid, best_ask, pool_xrp_drops, pool_rlusd, pool_fee, our_bid, "
            "our_ask, distance_to_bid_touch_bps, distance_to_ask_touch_bps, bids, asks, trades, "
            "traded_xrp_drops",
        ),
        every=True,
    ),
    Statement(
        name="order_updates",
        sql="UPDATE orders SET filled_xrp = ?, filled_rlusd = ?, status = ?, closed_ledger = ?, "
        "submit_tx_hash = coalesce(?, submit_tx_hash), offer_sequence = ?, last_ledger_sequence = ?, "
        "result_code = ?, failure_reason = ? WHERE id = ?",
        every=True,
    ),
    Statement(
        name="orders",
        sql=_insert(
            "orders",
            "id, session_id, order_no, slot, side, price, size_xrp, size_rlusd, filled_xrp, filled_rlusd, "
            "status, created_at, created_tick, closed_ledger, submit_tx_hash, offer_sequence, "
            "last_ledger_sequence, lifetime_seconds, replaces_order, result_code, failure_reason",
        ),
        every=True,
    ),
    Statement(
        name="preliminaries",
        sql=f"UPDATE submissions SET outcome = ?3, preliminary = ?4 {_THIS_SUBMISSION}",
        every=True,
    ),
    Statement(
        name="results",
        sql=f"UPDATE submissions SET {_RESULT.format(3, 4, 5, 6, 7)} {_THIS_SUBMISSION}",
        every=True,
    ),
    Statement(
        name="submissions",
        sql="INSERT INTO submissions (id, order_id, session_id, tick, kind, tx_hash, account_sequence, "
        "last_ledger_sequence, fee_drops, blob, outcome, preliminary, result, ledger_index, "
        "transaction_index) VALUES "
        f"(coalesce((SELECT max(id) + 1 FROM submissions WHERE id {_ITS_TRANSACTIONS}), ?1 << 16), "
        "?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        every=True,
    ),
    # New rows before results here: both may come in one group, and there is too little of it to fold.
    Statement(
        name="upkeep",
        sql=_insert(
            "upkeep",
            "session_id, tick, tx_hash, account_sequence, last_ledger_sequence, fee_drops, tickets, blob",
        ),
        every=True,
    ),
    Statement(
        name="upkeep_results",
        sql=f"UPDATE upkeep SET {_RESULT.format(2, 3, 4, 5, 6)} WHERE tx_hash = ?1",
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
        "(id, session_id, fill_id, asset, change, new_balance) "
        f"SELECT 2 * id + (?5 <> '{XRP}'), session_id, id, ?5, ?6, ?7 FROM fills "
        "WHERE order_id = ?1 AND ledger_index = ?2 AND transaction_index = ?3 AND session_id = ?4 "
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
    Statement(
        name="readings",
        sql=_insert("monitor_readings", "id, session_id, tick, monitor, severity, detail"),
        every=True,
    ),
    Statement(name="state", sql=UPSERT_STATE, every=True),
)
