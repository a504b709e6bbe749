"""What live sessions that ended left unresolved, as rows; and the end of what is proven dead."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

import msgspec

from neo_engine.domain.orders import WORKING

TOO_LATE = "tefMAX_LEDGER"  # its LastLedgerSequence passed and no ledger holds it
_WORKING = ", ".join(sorted(f"'{status.value}'" for status in WORKING))
_OF_ACCOUNT = "s.mode = 'live' AND s.account = ?1 AND s.ended_at IS NOT NULL"
_ORDERS = (
    "FROM orders o JOIN sessions s ON s.session_id = o.session_id {join} "
    f"WHERE o.status IN ({_WORKING}) AND {_OF_ACCOUNT} "
)
_TICK_OF = "LEFT JOIN ticks t ON t.id = {0}.session_id << 32 | {0}.{1}"
#: Fees sent or burned on the day of the newest tick; only the sessions of that day are looked through.
_FEES_OF_THE_LAST_DAY = f"""
WITH ours AS (
    SELECT s.session_id, s.first_order,
           (SELECT substr(t.close_time, 1, 10) FROM ticks t WHERE t.id BETWEEN s.session_id << 32
            AND (s.session_id << 32) + 0xFFFFFFFF ORDER BY t.id DESC LIMIT 1) AS day
    FROM sessions s WHERE {_OF_ACCOUNT}
), last AS (SELECT session_id, first_order, day FROM ours WHERE day = (SELECT max(day) FROM ours))
SELECT t.day, sum(t.fee_drops) AS fee_drops FROM (
    SELECT last.day, u.fee_drops FROM last JOIN submissions u ON u.session_id = last.session_id
    AND u.id >= (last.first_order + 1) << 16 JOIN ticks k ON k.id = u.session_id << 32 | u.tick
    WHERE substr(k.close_time, 1, 10) = last.day AND u.outcome IS NOT 'rejected'
    UNION ALL
    SELECT last.day, p.fee_drops FROM last JOIN upkeep p ON p.session_id = last.session_id
    JOIN ticks k ON k.id = p.session_id << 32 | p.tick WHERE substr(k.close_time, 1, 10) = last.day
) t GROUP BY t.day
"""
#: P&L at the end of the newest tick's day and when the day began, of each session that had a tick on it; the
#: amounts are text, so that the sums are made outside. A session that began on the day began it with nothing.
_RESULTS_OF_THE_LAST_DAY = f"""
WITH ours AS (
    SELECT s.session_id,
           (SELECT t.id FROM ticks t WHERE t.id BETWEEN s.session_id << 32
            AND (s.session_id << 32) + 0xFFFFFFFF ORDER BY t.id DESC LIMIT 1) AS last
    FROM sessions s WHERE {_OF_ACCOUNT}
), days AS (
    SELECT o.session_id, o.last, substr(t.close_time, 1, 10) AS day FROM ours o JOIN ticks t ON t.id = o.last
), ended AS (
    SELECT d.*, (SELECT max(t.id) FROM ticks t WHERE t.id BETWEEN d.session_id << 32 AND d.last
                 AND substr(t.close_time, 1, 10) < d.day) AS before
    FROM days d WHERE d.day = (SELECT max(day) FROM days)
)
SELECT e.session_id, e.day, t.account_value_rlusd, t.net_capital_rlusd, t.mark,
       b.account_value_rlusd AS value_before, b.net_capital_rlusd AS capital_before, b.mark AS mark_before
FROM ended e JOIN ticks t ON t.id = e.last LEFT JOIN ticks b ON b.id = e.before ORDER BY e.session_id
"""
_SETTLED = f"SET result = '{TOO_LATE}', fee_drops = 0, result_session = nullif(?1, session_id)"

#: Ledgers only go up within a session: the last one it took is its highest. A tick without a ledger bears the
#: number of one before it, which a start may have read and no tick has stored. Without any, where all began.
_END_TICK = (
    "SELECT t.ledger_index FROM ticks t WHERE t.id BETWEEN s.session_id << 32 "
    "AND (s.session_id << 32) + 0xFFFFFFFF {of} ORDER BY t.id {order} LIMIT 1"
)
_A_LEDGER = "AND t.kind = 'ledger'"
_LAST_LEDGER = (
    f"SELECT coalesce(max(({_END_TICK.format(of=_A_LEDGER, order='DESC')})), "
    f"min(({_END_TICK.format(of='', order='ASC')}))) FROM sessions s WHERE {_OF_ACCOUNT}"
)


class LeftRows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one account's ended live sessions, oldest first; columns as in docs/schema.md, and:

    orders: those still working; created_ledger: of the tick that made it, create_result: of the transaction
    that was to place it. submissions: of v_submissions, no result and not refused; after_ledger: of the tick
    that prepared it, replaces_order: of its order. upkeep: of v_upkeep, no result; after_ledger likewise.
    fills: of those orders. last_ledger: the last one that a tick took, None without any tick. fees: one row,
    the UTC day of the newest tick and the fees sent on it, or none; cancels of an older session's orders may
    be missing. results: of that day, each session's account value and net capital at its last tick and at
    its last one before the day.
    """

    orders: tuple[sqlite3.Row, ...]
    submissions: tuple[sqlite3.Row, ...]
    upkeep: tuple[sqlite3.Row, ...]
    fills: tuple[sqlite3.Row, ...]
    last_ledger: int | None
    fees: tuple[sqlite3.Row, ...]
    results: tuple[sqlite3.Row, ...]


def rows_left(connection: sqlite3.Connection, account: str) -> LeftRows:
    """Return what ended live sessions of `account` left unresolved. Raises sqlite3.Error."""
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row

    def rows(query: str) -> tuple[sqlite3.Row, ...]:
        return tuple(cursor.execute(query, (account,)))

    made = _ORDERS.format(join=_TICK_OF.format("o", "created_tick"))
    traded = _ORDERS.format(join="JOIN fills f ON f.order_id = o.id")
    open_ones = (
        f"JOIN sessions s ON s.session_id = u.session_id {_TICK_OF.format('u', 'tick')} "
        f"WHERE u.result IS NULL AND {_OF_ACCOUNT} "
    )
    return LeftRows(
        orders=rows(
            "SELECT o.*, t.ledger_index AS created_ledger, (SELECT u.result FROM submissions u "
            "WHERE u.id BETWEEN o.id << 16 AND (o.id << 16) + 65535 AND u.kind <> 'cancel') AS create_result "
            f"{made} ORDER BY o.id"
        ),
        submissions=rows(
            "SELECT u.*, t.ledger_index AS after_ledger, o.replaces_order FROM v_submissions u "
            f"JOIN orders o ON o.id = u.order_id {open_ones} AND u.outcome IS NOT 'rejected' "
            "ORDER BY u.session_id, u.tick, u.account_sequence"
        ),
        upkeep=rows(f"SELECT u.*, t.ledger_index AS after_ledger FROM v_upkeep u {open_ones} ORDER BY u.id"),
        fills=rows(f"SELECT f.* {traded} ORDER BY f.id"),
        last_ledger=rows(_LAST_LEDGER)[0][0],
        fees=tuple(cursor.execute(_FEES_OF_THE_LAST_DAY, (account,))),
        results=tuple(cursor.execute(_RESULTS_OF_THE_LAST_DAY, (account,))),
    )


def settle(connection: sqlite3.Connection, dead_hashes: Collection[str], session_id: int | None) -> int:
    """Give transactions without a result that of one which came too late, inside the caller's transaction.

    session_id: the one running, None between sessions. They burned nothing. Returns how many there were.
    Raises sqlite3.Error.
    """
    dead = {tx_hash.upper() for tx_hash in dead_hashes}
    if not dead:
        return 0
    # One pass over the rows without a result: without the order a hash finds none by a key.
    unresolved = connection.execute("SELECT id, upper(tx_hash) FROM v_submissions WHERE result IS NULL")
    found = [(session_id, row_id) for row_id, tx_hash in unresolved if tx_hash in dead]
    settled = 0
    if found:
        settled = connection.executemany(f"UPDATE submissions {_SETTLED} WHERE id = ?2", found).rowcount
    hashes = [(session_id, bytes.fromhex(one)) for one in sorted(dead)]
    update = f"UPDATE upkeep {_SETTLED} WHERE tx_hash = ?2 AND result IS NULL"
    return settled + connection.executemany(update, hashes).rowcount
