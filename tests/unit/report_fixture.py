"""A database whose every total is known by hand, and a large one for measuring.

The small session, amounts in XRP and RLUSD (worked out on paper, not by the engine):

    opening      100 XRP at mark 2.00, 220 RLUSD          cost 200            net capital 420
    tick 2 buy    10 XRP for 19.90                        cost 219.90, 110 XRP
    tick 3 sell   22 XRP for 44.44     22/110 of cost = 43.98: realised 0.46; cost 175.92, 88 XRP
    tick 4 sell   11 XRP for 22.11     1/8 of cost = 21.99; the line moved 22.1100000000001:
                                       realised 0.1200000000001; cost 153.93, 77 XRP
    tick 5 deposit 3 XRP at mark 2.01  cost 159.96, 80 XRP                    net capital 426.03
    tick 5 withdrawal 50 RLUSD                                                net capital 376.03
    fees   3 x 10 (tes) + 12 (tec) = 42 drops; a tef and an unanswered one burn nothing
    mark   2.02 (mid of tick 10)

    fills-only  -23 XRP, 46.6500000000001 RLUSD    overlay 103 XRP, 170 RLUSD
    inventory    80 XRP, 216.6500000000001 RLUSD   balance 79.999958 XRP
    realised 0.5800000000001   unrealised 80 x 2.02 - 159.96 = 1.64   fees 0.000042 x 2.02 = 0.00008484
    total 2.2199151600001 = account value 378.2499151600001 - net capital 376.03
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from neo_engine.state.schema import load_migrations, migrate, migrations_folder

CONFIG = {"risk": {"max_xrp_exposure": "150.0", "max_rlusd_exposure": "400.0"}}

SUMMARY: dict[str, object] = {
    "fills_base_drops": -23_000_000,
    "fills_rlusd": "46.6500000000001",
    "overlay_base_drops": 103_000_000,
    "overlay_rlusd": "170",
    "fees_drops": 42,
    "rounding_rlusd": "0.0000000000001",
    "cost_basis_rlusd": "159.96",
    "net_capital_rlusd": "376.03",
    "realised_rlusd": "0.5800000000001",
    "unrealised_rlusd": "1.64",
    "account_value_rlusd": "378.2499151600001",
    "mark": "2.02",
    "fills": 3,
    "feed_faults": 1,
    "touch": {"bid_ticks": 6, "bid_within_2bps": 2, "ask_ticks": 6, "ask_within_2bps": 3},
}

#: tick, kind, mid, best bid, best ask, our bid, our ask, quoting, gates (name, side, detail)
TICKS: tuple[
    tuple[
        int,
        str,
        str | None,
        str | None,
        str | None,
        str | None,
        str | None,
        str,
        tuple[tuple[str, str, str], ...],
    ],
    ...,
] = (
    (1, "ledger", "2", "1.999", "2.001", None, None, "none", (("Warmup", "both", "1 of 2 mids"),)),
    (2, "ledger", "2", "1.999", "2.001", "1.999", "2.0014", "both", ()),
    (3, "ledger", "2", "1.999", "2.001", "1.9986", "2.0015", "both", ()),
    (4, "ledger", "2", "1.999", "2.001", "1.998", "2.002", "both", ()),
    (5, "ledger", "2", "1.999", "2.001", "1.997", "2.0005", "both", ()),
    (6, "ledger", "2", "1.999", "2.001", "1.9969", None, "bid", (("InventoryLimit", "ask", "low XRP"),)),
    (7, "ledger", "2", "1.999", "2.001", None, "2.003", "ask", (("InventoryLimit", "bid", "high XRP"),)),
    (8, "silence", None, None, None, None, None, "none", (("StaleData", "both", "16 s"),)),
    (
        9,
        "fault",
        None,
        None,
        None,
        None,
        None,
        "none",
        (("Gap", "both", "1 missing"), ("StaleData", "both", "20 s")),
    ),
    (10, "ledger", "2.02", "2.019", "2.021", "2.018", "2.021", "both", ()),
)

#: from tick -> XRP drops, RLUSD, fee drops, mark, net capital, realised, unrealised, account value
BOOKS = {
    1: (100_000_000, "220", 0, "2", "420", "0", "0", "420"),
    10: (
        80_000_000,
        "216.6500000000001",
        42,
        "2.02",
        "376.03",
        "0.5800000000001",
        "1.64",
        "378.2499151600001",
    ),
}

SESSION = (
    "INSERT INTO sessions (session_id, mode, feed, pair, account, recording, speed, seed, started_at, "
    "ended_at, halt_reason, halt_detail, config_json, config_hash, engine_version, pid, first_ledger, "
    "last_ledger, market_start, market_end, ticks, fingerprint, summary_json) VALUES ("
    + ", ".join("?" * 23)
    + ")"
)
_TICK = (
    "INSERT INTO ticks (id, session_id, tick, kind, ledger_index, close_time, anchor, anchor_source, gates, "
    "quoting, placed, canceled, kept, fills, inventory_xrp_drops, inventory_rlusd, fees_drops, mark, "
    "net_capital_rlusd, realised_rlusd, unrealised_rlusd, account_value_rlusd, fingerprint) VALUES ("
    + ", ".join("?" * 23)
    + ")"
)
_SNAPSHOT = (
    "INSERT INTO market_snapshots (id, session_id, tick, best_bid, best_ask, our_bid, our_ask, "
    "distance_to_bid_touch_bps, distance_to_ask_touch_bps, bids, asks) VALUES (" + ", ".join("?" * 11) + ")"
)
_ORDER = (
    "INSERT INTO orders (id, session_id, side, price, size_xrp, status, created_at, result_code, "
    "failure_reason) VALUES (?, 1, ?, '2', '10', ?, '2025-05-01T00:00:00Z', ?, ?)"
)
_SUBMISSION = (
    "INSERT INTO submissions (id, session_id, tick, order_id, kind, account_sequence, "
    "last_ledger_sequence, fee_drops, result, ledger_index) VALUES "
    "((?1 << 16) + (?2 = 'cancel'), 1, 1, ?1, ?2, ?3, 99, ?4, ?5, ?6)"
)
_FILL = (
    "INSERT INTO fills (id, session_id, order_id, tick, ledger_index, transaction_index, node, close_time, "
    "tx_hash, side, liquidity, xrp_drops, rlusd, rlusd_balance_delta, rounding, price, mid, offer_sequence) "
    "VALUES (?, 1, ?, ?, ?, 0, 'N', ?, 'H', ?, ?, ?, ?, ?, ?, ?, ?, 7)"
)
_CAPITAL = (
    "INSERT INTO capital_events (session_id, scope, request_id, kind, asset, amount, mark, status, reason, "
    "created_at, tick) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '2025-05-01T00:00:00Z', ?)"
)


def new_database(path: Path) -> sqlite3.Connection:
    """Return a writing connection to a fresh database with the project's schema."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    migrate(connection, load_migrations(migrations_folder()), path, "2025-05-01T00:00:00Z")
    return connection


def session_row(
    session_id: int, *, ended: bool, ticks: int, summary: dict[str, object]
) -> tuple[object, ...]:
    """Return one row of `sessions`."""
    return (
        session_id,
        "paper",
        "recorded",
        "XRP/RLUSD",
        "rPaper",
        "calm.jsonl.gz",
        "max",
        7,
        "2026-01-02T03:04:05Z",
        "2026-01-02T03:05:05Z" if ended else None,
        "duration_elapsed" if ended else None,
        "40 s of market time" if ended else None,
        json.dumps(CONFIG),
        "c" * 64,
        "0.1.0",
        4242,
        1001 if ended else None,
        1010 if ended else None,
        close_time(1) if ended else None,
        close_time(10) if ended else None,
        ticks if ended else 0,
        "ab" * 32 if ended else None,
        json.dumps(summary) if ended else None,
    )


def close_time(tick: int) -> str:
    """Return the close time of a tick: four seconds a tick from midnight of 1 May 2025."""
    seconds = 4 * tick
    day, rest = divmod(seconds, 86_400)
    return f"2025-05-{1 + day:02d}T{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}Z"


def _distance(better: str | None, worse: str | None, mid: str | None) -> float | None:
    if better is None or worse is None or mid is None:
        return None
    return (float(better) - float(worse)) * 10_000 / float(mid)


def _insert_ticks(connection: sqlite3.Connection) -> None:
    books = BOOKS[1]
    for tick, kind, mid, best_bid, best_ask, our_bid, our_ask, quoting, gates in TICKS:
        books = BOOKS.get(tick, books)
        when, ledger = close_time(tick), 1000 + tick
        key, fingerprint = 1 << 32 | tick, bytes([tick]) * 32
        text = json.dumps([dict(zip(("name", "side", "detail"), gate, strict=True)) for gate in gates])
        connection.execute(
            _TICK,
            (key, 1, tick, kind, ledger, when, mid, "clob", text, quoting, 0, 0, 0, 0, *books, fingerprint),
        )
        if kind == "ledger":
            bid, ask = _distance(our_bid, best_bid, mid), _distance(best_ask, our_ask, mid)
            connection.execute(
                _SNAPSHOT,
                (key, 1, tick, best_bid, best_ask, our_bid, our_ask, bid, ask, b"", b""),
            )


def _insert_orders(connection: sqlite3.Connection) -> None:
    connection.executemany(
        _ORDER,
        [
            (1, "buy", "FILLED", "tes", None),
            (2, "sell", "FILLED", "tes", None),
            (3, "sell", "CANCELED", "tes", "replaced by order 4"),
            (4, "sell", "CANCELED", "tes", "shutdown"),
            (5, "buy", "REJECTED", "tecUNFUNDED_OFFER", "tecUNFUNDED_OFFER"),
            (6, "buy", "DENIED", None, "order of 60.5 RLUSD above 50"),
            (7, "buy", "DENIED", None, "order of 61 RLUSD above 50"),
            (8, "buy", "EXPIRED", "tes", "expired"),
        ],
    )
    connection.executemany(
        _SUBMISSION,
        [
            (1, "create", 11, 10, "tes", 1002),
            (2, "create", 12, 10, "tes", 1002),
            (4, "replace", 13, 10, "tes", 1004),
            (5, "create", 14, 12, "tecUNFUNDED_OFFER", 1005),
            (8, "create", 15, 10, "tefPAST_SEQ", None),
            (4, "cancel", 16, 10, None, None),
        ],
    )


def _insert_fills(connection: sqlite3.Connection) -> None:
    connection.executemany(
        _FILL,
        [
            (1, 1, 2, 1002, close_time(2), "buy", "maker", 10_000_000, "19.9", "-19.9", "0", "1.99", "2"),
            (2, 2, 3, 1003, close_time(3), "sell", "maker", 22_000_000, "44.44", "44.44", "0", "2.02", "2"),
            (3, 3, 4, 1004, close_time(4), "sell", "taker", 11_000_000, "22.11", "22.1100000000001",
             "0.0000000000001", "2.01", "2"),
        ],
    )  # fmt: skip
    connection.executemany(
        "INSERT INTO inventory_ledger (id, session_id, fill_id, asset, change, new_balance) "
        "VALUES (2 * ?1 + (?2 <> 'XRP'), 1, ?1, ?2, ?3, ?4)",
        [
            (1, "XRP", "10", "10"),
            (1, "RLUSD", "-19.9", "-19.9"),
            (2, "XRP", "-22", "-12"),
            (2, "RLUSD", "44.44", "24.54"),
            (3, "XRP", "-11", "-23"),
            (3, "RLUSD", "22.1100000000001", "46.6500000000001"),
        ],
    )


def _insert_capital(connection: sqlite3.Connection) -> None:
    connection.executemany(
        _CAPITAL,
        [
            (1, 1, "open-xrp", "opening", "XRP", "100", "2", "applied", None, 1),
            (1, 1, "open-rlusd", "opening", "RLUSD", "220", "2", "applied", None, 1),
            (1, 0, "d1", "deposit", "XRP", "3", "2.01", "applied", None, 5),
            (1, 0, "w1", "withdrawal", "RLUSD", "50", "2.01", "applied", None, 5),
            (1, 0, "w2", "withdrawal", "XRP", "1000", None, "refused", "more than is held", 6),
            (None, 0, "w3", "withdrawal", "XRP", "1", None, "waiting", None, None),
        ],
    )


def build_small(path: Path, *, ended: bool = True) -> None:
    """Write the small session (id 1) to a new database at `path`."""
    connection = new_database(path)
    connection.execute("BEGIN")
    connection.execute(SESSION, session_row(1, ended=ended, ticks=10, summary=SUMMARY))
    _insert_ticks(connection)
    _insert_orders(connection)
    _insert_fills(connection)
    _insert_capital(connection)
    connection.execute(
        "INSERT INTO feed_faults (session_id, tick, kind, line, detail) "
        "VALUES (1, 9, 'Gap', 12, 'ledger 1009 is missing')"
    )
    connection.execute(
        "INSERT INTO reconciliations (session_id, tick, finding, order_id, severity, detail) "
        "VALUES (1, 10, 'ghost_offer', 4, 'repaired', 'offer 13 was gone')"
    )
    connection.execute("COMMIT")
    connection.close()


def _large_rows(ticks: int) -> Iterable[tuple[tuple[object, ...], tuple[object, ...]]]:
    depth = b"".join((step * 400 << 24 | 400).to_bytes(5, "big") for step in range(10))
    for tick in range(1, ticks + 1):
        wave = math.sin(tick / 900) * 0.02 + math.sin(tick / 37) * 0.002
        mid = 2.5 + wave
        best_bid, best_ask = f"{mid - 0.0005:.6f}", f"{mid + 0.0005:.6f}"
        quoting = tick % 50 >= 3
        our_bid = f"{mid - 0.001 - tick % 7 / 5000:.6f}" if quoting else None
        our_ask = f"{mid + 0.001 + tick % 5 / 5000:.6f}" if quoting else None
        gates = "[]" if quoting else '[{"name": "StaleData", "side": "both", "detail": "16 s"}]'
        ledger, when = 1000 + tick, close_time(tick)
        drops = 90_000_000 + int(math.sin(tick / 1500) * 20_000_000)
        rlusd = f"{220 - math.sin(tick / 1500) * 50:.10f}"
        value = f"{445 + math.sin(tick / 3000) * 3 + tick / ticks:.12f}"
        row = (
            1 << 32 | tick,
            1,
            tick,
            "ledger",
            ledger,
            when,
            f"{mid + 0.0002:.6f}",
            "clob",
            gates,
            "both" if quoting else "none",
        )
        books = (drops, rlusd, tick, f"{mid:.6f}", "445", f"{tick / 50_000:.10f}", "0.25", value)
        yield (
            (*row, 0, 0, 0, 0, *books, bytes(32)),
            (1 << 32 | tick, 1, tick, best_bid, best_ask, our_bid, our_ask,
             _distance(our_bid, best_bid, str(mid)), _distance(best_ask, our_ask, str(mid)), depth, depth),
        )  # fmt: skip


def build_large(path: Path, ticks: int) -> None:
    """Write a session of `ticks` waves, a fill every 40 ticks, at `path`; its sums mean nothing."""
    connection = new_database(path)
    connection.execute("BEGIN")
    connection.execute(SESSION, session_row(1, ended=False, ticks=ticks, summary={}))
    for tick_row, snapshot_row in _large_rows(ticks):
        connection.execute(_TICK, tick_row)
        connection.execute(_SNAPSHOT, snapshot_row)
    connection.executemany(_ORDER, ((n, "buy", "FILLED", "tes", None) for n in range(1, ticks // 40 + 1)))
    for number in range(1, ticks // 40 + 1):
        tick = number * 40
        wave = math.sin(tick / 900) * 0.02 + math.sin(tick / 37) * 0.002
        side, sign, price = ("buy", "-", 2.499 + wave) if number % 2 else ("sell", "", 2.501 + wave)
        amount = f"{price * 6:.10f}"
        connection.execute(
            _FILL,
            (number, number, tick, 1000 + tick, close_time(tick), side, "maker", 6_000_000, amount,
             sign + amount, "0", f"{price:.10f}", f"{2.5 + wave:.6f}"),
        )  # fmt: skip
    _insert_capital(connection)
    connection.execute("COMMIT")
    connection.close()
