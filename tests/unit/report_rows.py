"""Rows of a session by hand or by chance, for tests of what a report makes of them."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path

from tests.unit.report_fixture import close_time, new_database

CONFIG = {"risk": {"max_xrp_exposure": "150", "max_rlusd_exposure": "400", "max_drawdown_pct": "10"}}


def insert(connection: sqlite3.Connection, table: str, **values: object) -> None:
    """Insert one row of the columns named."""
    marks = ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))


def start(path: Path, session_id: int = 1, **more: object) -> sqlite3.Connection:
    """Return a connection to a new database with one empty session; the caller closes it."""
    connection = new_database(path)
    session(connection, session_id, **more)
    return connection


def session(connection: sqlite3.Connection, session_id: int, **more: object) -> None:
    """Add a session that has not ended."""
    row: dict[str, object] = {
        "session_id": session_id,
        "mode": "paper",
        "feed": "simulated",
        "pair": "XRP/RLUSD",
        "started_at": f"2026-01-{session_id:02d}T03:04:05Z",
        "engine_version": "0.1.0",
        "config_json": json.dumps(CONFIG),
        "config_hash": f"{session_id:064x}",
    }
    insert(connection, "sessions", **{**row, **more})


def tick(
    connection: sqlite3.Connection,
    number: int,
    *,
    session_id: int = 1,
    ledger: int | None = None,
    bid: str | None = None,
    ask: str | None = None,
    value: str = "0",
    mark: str | None = None,
    gates: Sequence[tuple[str, str, str]] = (),
    **more: object,
) -> None:
    """Add a tick, and its market where `bid` or `ask` is given.

    more: columns of `ticks`; pool: (drops, RLUSD); bids, asks: depth as stored.
    """
    key = session_id << 32 | number
    pool = more.pop("pool", None)
    depth = {name: more.pop(name) for name in ("bids", "asks") if name in more}
    told = [dict(zip(("name", "side", "detail"), gate, strict=True)) for gate in gates]
    row: dict[str, object] = {
        "id": key,
        "session_id": session_id,
        "tick": number,
        "kind": "ledger",
        "ledger_index": 1000 + number if ledger is None else ledger,
        "close_time": close_time(number),
        "quoting": "none",
        "gates": json.dumps(told) if told else None,
        "placed": 0,
        "canceled": 0,
        "kept": 0,
        "fills": 0,
        "inventory_xrp_drops": 0,
        "inventory_rlusd": "0",
        "fees_drops": 0,
        "mark": mark,
        "net_capital_rlusd": "0",
        "realised_rlusd": "0",
        "unrealised_rlusd": "0",
        "account_value_rlusd": value,
        "fingerprint": bytes(32),
    }
    insert(connection, "ticks", **{**row, **more})
    if bid is None and ask is None and pool is None:
        return
    drops, quote = pool if isinstance(pool, tuple) else (None, None)
    market: dict[str, object] = {
        "id": key,
        "session_id": session_id,
        "tick": number,
        "best_bid": bid,
        "best_ask": ask,
        "pool_xrp_drops": drops,
        "pool_rlusd": quote,
        "bids": b"",
        "asks": b"",
    }
    insert(connection, "market_snapshots", **{**market, **depth})


def order(connection: sqlite3.Connection, number: int, side: str, **more: object) -> None:
    """Add an order of 10 XRP at 2 that the ledger took."""
    row: dict[str, object] = {
        "id": number,
        "session_id": 1,
        "order_no": number,
        "side": side,
        "price": "2",
        "size_xrp": "10",
        "size_rlusd": "20",
        "status": "OPEN",
        "created_at": close_time(1),
        "created_tick": 1,
        "result_code": "tes",
    }
    insert(connection, "orders", **{**row, **more})


def fill(
    connection: sqlite3.Connection,
    number: int,
    side: str,
    drops: int,
    amount: str,
    *,
    at: int,
    mid: str | None,
    line: str | None = None,
    **more: object,
) -> None:
    """Add a fill of order `number` in the ledger of tick `at`.

    line: the trust line's change, where it is not +-amount.
    """
    sign = -1 if side == "buy" else 1
    moved = Decimal(line) if line is not None else sign * Decimal(amount)
    row: dict[str, object] = {
        "id": number,
        "session_id": 1,
        "order_id": number,
        "tick": at,
        "ledger_index": 1000 + at,
        "transaction_index": 0,
        "node": "N",
        "close_time": close_time(at),
        "tx_hash": "H",
        "side": side,
        "liquidity": "maker",
        "xrp_drops": drops,
        "rlusd": amount,
        "rlusd_balance_delta": str(moved),
        "rounding": str(moved - sign * Decimal(amount)),
        "price": str(Decimal(amount) * 1_000_000 / drops)[:16],
        "mid": mid,
        "offer_sequence": 7,
    }
    insert(connection, "fills", **{**row, **more})


def capital(
    connection: sqlite3.Connection, kind: str, asset: str, amount: str, *, mark: str, at: int, name: str
) -> None:
    """Add an applied capital event."""
    insert(
        connection,
        "capital_events",
        session_id=1,
        scope=1,
        request_id=name,
        kind=kind,
        asset=asset,
        amount=amount,
        mark=mark,
        status="applied",
        created_at=close_time(at),
        tick=at,
    )


def random_session(path: Path, seed: int, ticks: int = 40) -> None:
    """Write a session of random fills, capital and mids with many digits: shorts, gaps and odd lines too."""
    chance = random.Random(seed)
    connection = start(path)
    capital(connection, "opening", "XRP", f"{chance.randint(0, 200)}", mark="2.123456789", at=1, name="a")
    capital(connection, "opening", "RLUSD", f"{chance.randint(0, 400)}.5", mark="2.1", at=1, name="b")
    mid = Decimal("2.1")
    number = 0
    for at in range(1, ticks + 1):
        mid *= 1 + Decimal(chance.randint(-50, 50)) / 10_000
        mid = mid.quantize(Decimal(f"1E-{chance.randint(3, 11)}"))
        seen = chance.random() < 0.8
        sides = {"bid": str(mid - Decimal("0.001")), "ask": str(mid + Decimal("0.001"))} if seen else {}
        tick(connection, at, ledger=1000 + 2 * at, mark=str(mid), **sides)  # type: ignore[arg-type]
        for _ in range(chance.randint(0, 2)):
            number += 1
            side, drops = chance.choice(("buy", "sell")), chance.randint(1, 90_000_000)
            price = mid * (1 + Decimal(chance.randint(-30, 30)) / 10_000)
            amount = (price * drops / 1_000_000).quantize(Decimal("1E-13"))
            sign = -1 if side == "buy" else 1
            line = sign * amount + Decimal(chance.randint(-3, 3)).scaleb(-13)
            if side == "buy" and chance.random() < 0.2:
                line -= amount * Decimal("0.002")  # the issuer's transfer fee
            order(connection, number, side)
            fill(
                connection, number, side, drops, str(amount), at=at, mid=str(mid) if seen else None,
                line=str(line), ledger_index=1000 + 2 * at,
            )  # fmt: skip
        if chance.random() < 0.1:
            kind, asset = chance.choice(("deposit", "withdrawal")), chance.choice(("XRP", "RLUSD"))
            amount = Decimal(chance.randint(1, 9_999_999)).scaleb(-6)
            capital(connection, kind, asset, str(amount), mark=str(mid), at=at, name=f"c{at}")
    insert_fees(connection, [chance.randint(10, 5_000) for _ in range(3)])
    connection.close()


def insert_fees(connection: sqlite3.Connection, drops: Iterable[int]) -> None:
    """Add one transaction about no order for each fee, all in ledgers."""
    for number, fee in enumerate(drops):
        insert(
            connection,
            "upkeep",
            session_id=1,
            tick=1,
            tx_hash=number.to_bytes(32, "big"),
            account_sequence=number,
            last_ledger_sequence=9,
            fee_drops=fee,
            tickets=0,
            result="tes",
            ledger_index=5,
        )
