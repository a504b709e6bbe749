"""What rows leave out or shorten, the views show whole; and the inventory that rows alone give."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from benchmarks.state_workload import intent, session_end, tx_hash
from neo_engine.domain.capital import CapitalEvent, CapitalKind
from neo_engine.domain.market import Level
from neo_engine.domain.orders import PreparedTransaction, TransactionKind
from neo_engine.domain.records import CapitalRecord
from tests.unit.state_fixture import OPTIONS, deposit, one, opened, rows, write_ticks


def capital_record(event: CapitalEvent, *, applied: bool = True) -> CapitalRecord:
    return CapitalRecord(
        event=event,
        applied=applied,
        mark=Decimal("2.19") if applied else None,
        reason=None if applied else "more than there is",
    )


def test_depth_is_stored_best_first_and_no_deeper_than_asked(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    record = intent(1, depth=12)
    with opened(path) as store:
        store.commit_intent(record)
    for side, sign in (("bid", -1), ("ask", 1)):
        query = "SELECT level, price, xrp, behind_bps FROM v_depth WHERE side = ? ORDER BY level"
        levels = rows(path, query, (side,))
        wanted = (record.snapshot.bids if side == "bid" else record.snapshot.asks) if record.snapshot else ()
        assert len(levels) == OPTIONS.depth_levels
        best = wanted[0].price
        for number, (level, told) in enumerate(zip(wanted, levels, strict=False), 1):
            behind = sign * (level.price / best - 1) * 10_000
            assert told[0] == number
            assert told[1] == pytest.approx(float(level.price), rel=6e-7)  # half of 0.01 bps
            assert 0 <= level.base_drops / 10**6 - told[2] < 0.1
            assert told[3] == pytest.approx(float(behind), abs=0.0051)
    # 2.1947035 x (1 - 4 / 10000) = 2.1938256186; 40,000,000 + 31,415,927 + 1 drops.
    query = "SELECT round(price, 7), xrp FROM v_depth WHERE side = 'bid' AND level = 1"
    assert rows(path, query) == [(2.1938256, 71.4)]


def test_depth_beyond_what_two_and_three_bytes_hold_says_that_or_more(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    base = intent(1)
    assert base.snapshot is not None
    # 1 and half of it: 5,000 bps behind; 100 billion XRP, all there is.
    levels = (
        Level(price=Decimal(1), base_drops=10**17, quote=Decimal(10**11)),
        Level(price=Decimal("0.5"), base_drops=99_999, quote=Decimal("0.05")),
    )
    with opened(path) as store:
        store.commit_intent(replace(base, snapshot=replace(base.snapshot, bids=levels, asks=())))
    found = rows(path, "SELECT side, level, xrp, behind_bps FROM v_depth ORDER BY level")
    assert found == [("bid", 1, 1_677_721.5, 0.0), ("bid", 2, 0.0, 655.35)]


def test_what_a_decision_left_out_or_shortened_the_views_show(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    base = intent(5)
    factors = (
        ("volatility", Decimal("1")),
        ("range", Decimal("1.2345678")),
        ("transfer_fee_bps", Decimal("0")),
        ("network_fee_bps", Decimal("0.014139662")),
        ("imbalance", Decimal("1")),
        ("TouchClamp bid", Decimal("-0.5")),
    )
    with opened(path) as store:
        store.commit_intent(replace(base, pricing=replace(base.pricing, factors=factors)))
    assert rows(path, "SELECT name, value FROM v_factors") == [
        ("range", 1.2346),
        ("network_fee_bps", 0.01414),
        ("imbalance", 1.0),
        ("TouchClamp bid", -0.5),
    ]
    quoted = rows(path, "SELECT slot, price, xrp FROM v_quotes")
    assert quoted == [
        (quote.slot, pytest.approx(float(quote.price), rel=1e-9), quote.base_drops / 10**6)
        for quote in base.quotes
    ]
    assert len(quoted) == 2


def test_what_each_view_puts_together_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with opened(path) as store:
        write_ticks(store, 15)
    assert rows(path, "SELECT created_ledger, expiration FROM v_orders WHERE id = 1") == [
        (1005, "2026-11-20T20:47:20Z")  # 20:37:20, and ten minutes
    ]
    assert one(path, "SELECT ledger_index || ' ' || close_time FROM v_snapshots WHERE tick = 10") == (
        "1010 2026-11-20T20:37:40Z"
    )
    assert rows(path, "SELECT tick, asset, change FROM v_inventory") == [
        (10, "XRP", 1.0),
        (10, "RLUSD", -2.19360614825),
    ]
    stored = rows(path, "SELECT order_id, tx_hash, outcome, preliminary FROM v_submissions ORDER BY id")
    assert stored == [(number, tx_hash(number), "accepted", "tesSUCCESS") for number in range(1, 7)]


def test_the_stored_inventory_is_fills_and_capital_of_this_session_alone(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with opened(path) as store:
        write_ticks(store, 10)
        store.end_session(session_end(10))
    options = replace(OPTIONS, group_commit_ticks=100)
    with opened(path, options) as store:
        assert store.stored_inventory() == (0, Decimal(0))
        write_ticks(store, 10)  # one fill: 1,000,000 drops for 2.19360614825
        more = (
            capital_record(deposit("in")),
            capital_record(replace(deposit("out", 4_000_000), kind=CapitalKind.WITHDRAWAL)),
            capital_record(deposit("no", 9_000_000), applied=False),
            capital_record(replace(deposit("token", 0), quote=Decimal("0.1"))),
        )
        store.commit_intent(replace(intent(11), capital=more))
        assert store.stored_inventory() == (22_000_000, Decimal("-2.09360614825"))


def cancel(order_id: int, number: int) -> PreparedTransaction:
    return PreparedTransaction(
        kind=TransactionKind.CANCEL,
        order_id=order_id,
        replaces=None,
        tx_hash=f"{number:064X}",
        account_sequence=number,
        last_ledger_sequence=1010,
        fee_drops=12,
        blob=None,
    )


@pytest.mark.parametrize("group", [1, 100])
def test_the_cancels_of_an_order_stand_beside_its_create_each_with_its_own_answer(
    tmp_path: Path, group: int
) -> None:
    path = tmp_path / "neo.db"
    tried = (cancel(1, 900), cancel(1, 901))
    answered = intent(11).transactions[0]
    results = (
        replace(answered, order_id=1, tx_hash=tried[0].tx_hash, result="tefPAST_SEQ"),
        replace(answered, order_id=1, tx_hash=tried[1].tx_hash, result="tesSUCCESS", fee_drops=15),
    )
    with opened(path, replace(OPTIONS, group_commit_ticks=group)) as store:
        write_ticks(store, 5)
        store.commit_intent(replace(intent(6), prepared=tried))
        store.commit_intent(replace(intent(7), transactions=results))
    query = "SELECT kind, tx_hash, fee_drops, result FROM v_submissions WHERE order_id = 1 ORDER BY id"
    assert rows(path, query) == [
        ("create", tx_hash(1), 12, "tesSUCCESS"),
        ("cancel", tried[0].tx_hash, 12, "tefPAST_SEQ"),
        ("cancel", tried[1].tx_hash, 15, "tesSUCCESS"),
    ]
