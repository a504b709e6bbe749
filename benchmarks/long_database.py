"""A database of one very long session, made by SQL: a few real ticks (state_workload.py) repeated.

Two orders with their transactions in each fifth tick. With `fills`, so many orders are filled in part, a
buy and a sale in turn, three ticks after they were made. Prices follow a slow wave, so that a plot of them
has something to show; the sums of such a session mean nothing.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from msgspec.structs import replace

from benchmarks.bench_state import OPTIONS
from benchmarks.state_workload import FIRST_LEDGER, session_start, stream
from neo_engine.config import load_config
from neo_engine.state.manager import StateManager

PATTERN = 20  # real ticks that are repeated: the calm half of them
CALM_FROM, ORDERS_EVERY = 11, 5
WAVE_TICKS, WAVE_STEPS = 20_000, 1_000_000  # a triangle of +-1 % over so many ticks
ROOT = Path(__file__).resolve().parents[1]
_SKIPPED = {"id", "session_id", "tick", "order_id", "created_tick"}
_PRICES = {"best_bid", "best_ask", "our_bid", "our_ask", "anchor", "reservation", "mark"}
_SESSION = "(SELECT max(session_id) FROM sessions)"
_FILLED_DROPS, _FILLED_TICKS = 1_000_000, 3


def columns(connection: sqlite3.Connection, table: str) -> list[str]:
    """Return the stored columns of a table that the copies take over as they are."""
    names = [row[1] for row in connection.execute(f"PRAGMA table_xinfo({table})") if row[6] == 0]
    return [name for name in names if name not in _SKIPPED]


def _wave(tick: str) -> str:
    """Return SQL for the factor of the prices in a tick: between 0.99 and 1.01."""
    half = WAVE_TICKS // 2
    return f"(1 + (abs({tick} % {WAVE_TICKS} - {half}) - {half // 2}) * 1e-2 / {half // 2})"


def _time(tick: str) -> str:
    return f"strftime('%Y-%m-%dT%H:%M:%SZ', 1795207020 + 4 * ({tick}), 'unixepoch')"


def _moved(name: str) -> str:
    """Return SQL for a column of a copied tick, n.t being the copy and s the original."""
    if name == "close_time":
        return _time("n.t")
    if name == "ledger_index":
        return f"{FIRST_LEDGER} + n.t"
    if name in _PRICES:
        return f"CASE WHEN s.{name} IS NULL THEN NULL ELSE printf('%.9f', s.{name} * {_wave('n.t')}) END"
    return f"s.{name}"


def _repeat_ticks(connection: sqlite3.Connection, ticks: int) -> None:
    counted = (
        f"WITH RECURSIVE n(t) AS (VALUES ({PATTERN + 1}) UNION ALL SELECT t + 1 FROM n WHERE t < {ticks}) "
    )
    source = f"{CALM_FROM} + (n.t - {CALM_FROM}) % {PATTERN - CALM_FROM}"
    for table in ("ticks", "market_snapshots"):
        same = columns(connection, table)
        moved = [_moved(name) for name in same]
        connection.execute(
            f"INSERT INTO {table} (id, session_id, tick, {', '.join(same)}) {counted} "
            f"SELECT {_SESSION} << 32 | n.t, {_SESSION}, n.t, {', '.join(moved)} "
            f"FROM n JOIN {table} s ON s.id = {_SESSION} << 32 | ({source})"
        )


def _repeat_orders(connection: sqlite3.Connection, ticks: int) -> None:
    first, orders = connection.execute(
        f"SELECT max(id), count(*) FROM orders WHERE session_id = {_SESSION}"
    ).fetchone()
    same = [
        name for name in columns(connection, "orders") if name not in ("order_no", "status", "created_at")
    ]
    made = f"({PATTERN // ORDERS_EVERY} + 1 + (n.t - 1) / 2) * {ORDERS_EVERY}"
    more = 2 * (ticks // ORDERS_EVERY) - orders
    numbered = f"WITH RECURSIVE n(t) AS (VALUES (1) UNION ALL SELECT t + 1 FROM n WHERE t < {more}) "
    connection.execute(
        f"INSERT INTO orders (id, session_id, order_no, status, created_at, created_tick, {', '.join(same)}) "
        f"{numbered} SELECT {first} + n.t, {_SESSION}, {orders} + n.t, "
        f"CASE WHEN n.t > {more} - 2 THEN 'PENDING_CANCEL' ELSE 'CANCELED' END, "
        f"{_time(made)}, {made}, "
        f"{', '.join('s.' + name for name in same)} FROM n JOIN orders s ON s.id = {first} - n.t % 2"
    )
    same = columns(connection, "submissions")
    kinds = ["'{}'" if name == "kind" else f"s.{name}" for name in same]
    for kind, offset, which, tick in (
        ("replace", 0, "TRUE", "o.created_tick"),
        ("cancel", 1, "o.status = 'PENDING_CANCEL'", str(ticks)),
    ):
        connection.execute(
            f"INSERT INTO submissions (id, session_id, tick, order_id, {', '.join(same)}) "
            f"SELECT (o.id << 16) + {offset}, o.session_id, {tick}, o.id, {', '.join(kinds).format(kind)} "
            f"FROM orders o JOIN submissions s ON s.id = {first} << 16 WHERE o.id > {first} AND {which}"
        )
    connection.execute(f"UPDATE ticks SET canceled = 2, kept = 0 WHERE id = {_SESSION} << 32 | {ticks}")


def _fill_orders(connection: sqlite3.Connection, fills: int) -> None:
    """Fill one of so many orders in part, a buy and a sale in turn, and answer every transaction."""
    connection.execute("DELETE FROM inventory_ledger")
    connection.execute("DELETE FROM fills")
    (orders,) = connection.execute("SELECT count(*) FROM orders").fetchone()
    step = max(orders * 2 // fills, 4) // 4 * 4
    chosen = f"order_no % {step} IN (1, {step // 2})"  # odd ones buy, even ones sell
    price = f"printf('%.9f', o.price * {_wave('o.created_tick')})"
    amount = f"printf('%.9f', o.price * {_wave('o.created_tick')})"  # of one XRP
    tick = f"(o.created_tick + {_FILLED_TICKS})"
    connection.execute(
        "INSERT INTO fills (session_id, order_id, tick, ledger_index, transaction_index, node, close_time, "
        "tx_hash, side, liquidity, xrp_drops, rlusd, rlusd_balance_delta, rounding, price, mid, "
        f"offer_sequence) SELECT o.session_id, o.id, {tick}, {FIRST_LEDGER} + {tick}, 3, 'N', {_time(tick)}, "
        f"'H', o.side, 'maker', {_FILLED_DROPS}, {amount}, "
        f"CASE o.side WHEN 'buy' THEN '-' ELSE '' END || {amount}, '0', {price}, printf('%.9f', m.mid), 7 "
        "FROM orders o JOIN market_snapshots m "
        f"ON m.id = o.session_id << 32 | {tick} WHERE o.{chosen} ORDER BY o.id LIMIT {fills}"
    )
    connection.execute(
        "INSERT INTO inventory_ledger (id, session_id, fill_id, asset, change, new_balance) "
        "SELECT 2 * id, session_id, id, 'XRP', CASE side WHEN 'buy' THEN '1' ELSE '-1' END, '0' FROM fills"
    )
    connection.execute(
        "INSERT INTO inventory_ledger (id, session_id, fill_id, asset, change, new_balance) "
        "SELECT 2 * id + 1, session_id, id, 'RLUSD', rlusd_balance_delta, '0' FROM fills"
    )
    connection.execute(f"UPDATE orders SET filled_xrp = '1', filled_rlusd = price WHERE {chosen}")
    connection.execute(
        f"UPDATE submissions SET result = 'tes', ledger_index = {FIRST_LEDGER} + tick + 1, fee_drops = 12 "
        "WHERE kind <> 'cancel'"
    )
    connection.executemany(
        "INSERT INTO capital_events (session_id, scope, request_id, kind, asset, amount, mark, status, "
        f"created_at, tick) SELECT {_SESSION}, {_SESSION}, ?, 'opening', ?, ?, '2.1947035', 'applied', "
        "'2026-11-20T20:36:00Z', 1",
        [("xrp", "XRP", "100"), ("rlusd", "RLUSD", "220")],
    )


def make(path: Path, ticks: int, *, fills: int = 0) -> None:
    """Make a database of one session with so many ticks, left as a killed process leaves it.

    fills: 0 keeps those of the few real ticks alone.
    """
    with closing(StateManager.open(path, OPTIONS)) as store:
        config = load_config(ROOT / "config" / "paper.yaml").model_dump_json()
        store.begin_session(replace(session_start(), config_json=config))
        for intent, outcome in stream(PATTERN):
            store.commit_intent(intent)
            if outcome is not None:
                store.commit_outcome(outcome)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        _repeat_ticks(connection, ticks)
        _repeat_orders(connection, ticks)
        if fills:
            _fill_orders(connection, fills)
        connection.commit()
