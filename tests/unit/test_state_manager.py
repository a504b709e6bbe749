"""The state manager: whole ticks, exact numbers, nothing twice, and a database that can be refused."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from benchmarks.state_workload import (
    FIRST_CLOSE,
    expected_rows,
    intent,
    session_end,
    session_start,
    tx_hash,
)
from neo_engine.domain.capital import CapitalEvent, CapitalKind
from neo_engine.domain.errors import InvariantViolation, StateError
from neo_engine.domain.number import plain
from neo_engine.domain.records import CapitalRecord, FeedFaultRecord, Finding
from neo_engine.state.manager import StateManager
from neo_engine.state.rows import exact
from tests.unit.state_fixture import (
    OPTIONS,
    counts,
    deposit,
    everything,
    fixed_now,
    one,
    opened,
    rows,
    wal_bytes,
    write_ticks,
)


def test_a_thousand_fills_beside_the_checkpoint_thread_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    base = intent(10)  # the first tick of the workload with a fill
    options = replace(OPTIONS, checkpoint_interval_seconds=0.1)
    with opened(path, options) as store:
        write_ticks(store, 9)
        for number in range(1000):
            fill = replace(base.fills[0], transaction_index=0, ledger_index=5000 + number)
            entries = tuple(replace(entry, fill_key=fill.key) for entry in base.inventory)
            new = base.new_orders if number == 0 else ()
            record = replace(base, tick=10 + number, fills=(fill,), inventory=entries, transactions=())
            changed = base.changed_orders if number == 0 else ()
            prepared = base.prepared if number == 0 else ()
            store.commit_intent(replace(record, new_orders=new, changed_orders=changed, prepared=prepared))
            if number % 100 == 0:
                time.sleep(0.1)  # so that the timer fires among the commits on any machine
        runs, failures = store._thread.runs, store._thread.failures
    assert runs >= 5
    assert failures == 0
    assert one(path, "SELECT count(*) FROM fills") == 1000
    assert one(path, "SELECT count(DISTINCT ledger_index) FROM fills") == 1000
    assert one(path, "SELECT count(*) FROM inventory_ledger") == 2000
    assert one(path, "PRAGMA integrity_check") == "ok"
    assert wal_bytes(path) == 0


def test_a_session_leaves_the_rows_its_ticks_say_and_an_empty_wal(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with opened(path) as store:
        write_ticks(store, 100)
        assert wal_bytes(path) > 0
        store.end_session(session_end(100))
    expected = expected_rows(100)
    assert counts(path, list(expected)) == expected
    assert wal_bytes(path) == 0
    assert rows(path, "PRAGMA foreign_key_check") == []


@pytest.mark.parametrize("group", [2, 7, 100, 1000])
def test_a_group_commit_leaves_the_same_rows_as_a_commit_a_tick(tmp_path: Path, group: int) -> None:
    single, grouped = tmp_path / "single.db", tmp_path / "grouped.db"
    for path, ticks in ((single, 1), (grouped, group)):
        with opened(path, replace(OPTIONS, group_commit_ticks=ticks)) as store:
            write_ticks(store, 150)
            store.end_session(session_end(150))
    assert everything(grouped) == everything(single)


def test_a_group_is_on_disk_after_its_last_tick_or_a_flush_and_not_before(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with opened(path, replace(OPTIONS, group_commit_ticks=10)) as store:
        write_ticks(store, 9)
        assert one(path, "SELECT count(*) FROM ticks") == 0
        write_ticks(store, 13, start=10)
        assert one(path, "SELECT count(*) FROM ticks") == 10
        store.flush()
        assert one(path, "SELECT count(*) FROM ticks") == 13


def test_amounts_are_stored_exactly_and_in_plain_notation(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with opened(path) as store:
        write_ticks(store, 10)
    # 6,834,605 drops at tick 5; 2.1947035 x 0.9995 = 2.19360614825.
    assert rows(path, "SELECT size_xrp, price, typeof(price) FROM orders WHERE id = 1") == [
        ("6.834605", "2.19360614825", "text")
    ]
    assert rows(path, "SELECT xrp_drops, rlusd, rlusd_balance_delta, price, close_time FROM fills") == [
        (1_000_000, "2.19360614825", "-2.19360614825", "2.19360614825", "2026-11-20T20:37:40Z")
    ]
    assert rows(path, "SELECT asset, change, new_balance FROM inventory_ledger ORDER BY id") == [
        ("XRP", "1", "1"),
        ("RLUSD", "-2.19360614825", "-2.19360614825"),
    ]


def test_distance_and_flag_are_rounded_half_to_even_as_the_summary_counts_them(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    base = intent(1)
    touches = (("-2.00005", "-2.00006"), ("-2", None))
    with opened(path) as store:
        for tick, (bid, ask) in enumerate(touches, 1):
            ask_bps = None if ask is None else Decimal(ask)
            touch = replace(base.touch, bid_bps=Decimal(bid), ask_bps=ask_bps)
            store.commit_intent(replace(base, tick=tick, touch=touch))
    query = (
        "SELECT distance_to_bid_touch_bps, within_2bps_bid, distance_to_ask_touch_bps, within_2bps_ask "
        "FROM market_snapshots ORDER BY tick"
    )
    assert rows(path, query) == [(-2.0, 1, -2.0001, 0), (-2.0, 1, None, None)]


def test_a_tick_without_a_ledger_has_no_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    fault = FeedFaultRecord(kind="Gap", line=12, detail="ledger 1009 is missing")
    finding = Finding(name="BalanceDiffers", order_id=None, halts=True, detail="1 drop")
    with opened(path) as store:
        store.commit_intent(
            replace(intent(1), kind="silence", snapshot=None, faults=(fault,), findings=(finding,))
        )
    assert counts(path, ["ticks", "market_snapshots"]) == {"ticks": 1, "market_snapshots": 0}
    assert rows(path, "SELECT tick, kind, line, detail FROM feed_faults") == [
        (1, "Gap", 12, "ledger 1009 is missing")
    ]
    assert rows(path, "SELECT finding, order_id, severity FROM reconciliations") == [
        ("BalanceDiffers", None, "halt")
    ]


def test_what_the_submits_answered_stands_beside_the_intent(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    query = "SELECT outcome, preliminary, result, ledger_index FROM v_submissions WHERE tx_hash = ?"
    with opened(path) as store:
        write_ticks(store, 4)
        store.commit_intent(intent(5))
        assert rows(path, query, (tx_hash(1),)) == [(None, None, None, None)]
        assert one(path, "SELECT status FROM orders WHERE id = 1") == "PENDING_SUBMIT"
        write_ticks(store, 10, start=6)
        assert rows(path, query, (tx_hash(3),)) == [("accepted", "tesSUCCESS", None, None)]
        write_ticks(store, 11, start=11)
        assert rows(path, query, (tx_hash(3),)) == [("accepted", "tesSUCCESS", "tesSUCCESS", 1011)]
    assert rows(path, "SELECT status, failure_reason FROM orders WHERE id = 1") == [("CANCELED", "replaced")]
    assert one(path, "SELECT replaces_order FROM orders WHERE id = 3") == 1


def test_orders_of_a_second_session_get_ids_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    for _ in range(2):
        with opened(path) as store:
            write_ticks(store, 20)
            store.end_session(session_end(20))
    assert rows(path, "SELECT id, session_id, order_no, replaces_order FROM orders WHERE id > 7") == [
        (8, 1, 8, 6),
        (9, 2, 1, None),
        (10, 2, 2, None),
        (11, 2, 3, 9),
        (12, 2, 4, 10),
        (13, 2, 5, 11),
        (14, 2, 6, 12),
        (15, 2, 7, 13),
        (16, 2, 8, 14),
    ]
    assert one(path, "SELECT count(*) FROM fills WHERE session_id = 2 AND order_id < 9") == 0


def test_a_tick_stored_twice_is_a_defect_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with opened(path) as store:
        write_ticks(store, 12)
        before = everything(path)
        with pytest.raises(InvariantViolation, match=r"ticks\.id"):
            store.commit_intent(intent(12))
        assert everything(path) == before
        write_ticks(store, 13, start=13)
    assert one(path, "SELECT max(tick) FROM ticks") == 13


def test_a_change_of_an_order_that_is_not_stored_is_a_defect(tmp_path: Path) -> None:
    with opened(tmp_path / "neo.db") as store:
        with pytest.raises(InvariantViolation, match="order_updates: 2 rows to write hit 0"):
            store.commit_intent(replace(intent(6), changed_orders=intent(5).new_orders))
        assert one(tmp_path / "neo.db", "SELECT count(*) FROM ticks") == 0


def test_an_inventory_entry_without_its_fill_is_a_defect(tmp_path: Path) -> None:
    with (
        opened(tmp_path / "neo.db") as store,
        pytest.raises(InvariantViolation, match="not a fill of it"),
    ):
        store.commit_intent(replace(intent(10), fills=(), new_orders=(), prepared=()))


def test_the_same_fill_twice_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with opened(path) as store:
        write_ticks(store, 10)
        fills, ledger = rows(path, "SELECT * FROM fills"), rows(path, "SELECT * FROM inventory_ledger")
        again = replace(intent(10), tick=11, new_orders=(), prepared=(), changed_orders=())
        store.commit_intent(again)
        assert rows(path, "SELECT * FROM fills") == fills
        assert rows(path, "SELECT * FROM inventory_ledger") == ledger
        assert one(path, "SELECT count(*) FROM ticks") == 11


def test_a_fill_of_an_adopted_order_counts_once_over_both_sessions(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with opened(path, mode="live") as store:
        write_ticks(store, 10)
        store.end_session(session_end(10))
    with opened(path, mode="live") as store:
        left = store.left(session_start().account)
        assert [row["id"] for row in left.orders] == [1, 2, 3, 4]
        assert [row["tx_hash"] for row in left.submissions] == [tx_hash(number) for number in (3, 4)]
        assert left.last_ledger == 1010
        nothing = store.left("another account")
        assert (nothing.orders, nothing.submissions, nothing.last_ledger) == ((), (), None)
        store.adopt_order(1, 3)  # order 3 was the bid that tick 10 filled
        fill = intent(10).fills[0]
        same = replace(fill, order_id=1)
        new = replace(same, ledger_index=fill.ledger_index + 1)
        entries = tuple(replace(entry, fill_key=new.key) for entry in intent(10).inventory)
        base = replace(intent(1), inventory=(*intent(10).inventory, *entries))
        store.commit_intent(replace(base, fills=(same, new)))
    assert rows(path, "SELECT session_id, order_id, ledger_index FROM fills ORDER BY id") == [
        (1, 3, 1010),
        (2, 3, 1011),
    ]
    assert one(path, "SELECT count(*) FROM inventory_ledger") == 4


def test_a_new_session_inherits_no_halt_reason_and_no_drift(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with opened(path) as store:
        store.end_session(replace(session_end(0), state={"inventory_drift_at_shutdown": "0.000001"}))
        assert store.state()["halt.reason"] == "duration_elapsed"
    state = dict(rows(path, "SELECT key, value FROM engine_state"))
    assert (state["halt.reason"], state["halt.detail"]) == ("duration_elapsed", "0 ticks")
    assert state["inventory_drift_at_shutdown"] == "0.000001"
    with opened(path) as store:
        state = dict(rows(path, "SELECT key, value FROM engine_state"))
        assert (state["halt.reason"], state["halt.detail"], state["session.id"]) == ("", "", "2")
        assert "inventory_drift_at_shutdown" not in state
        assert store.state() == state


def test_engine_state_is_written_only_where_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    query = "SELECT value, updated_at FROM engine_state WHERE key = 'quoting'"
    with opened(path) as store:
        for tick in (1, 2, 3):
            store.commit_intent(intent(tick))
        assert rows(path, query) == [("none", "2026-11-20T20:37:04Z")]
        store.commit_intent(intent(12))
        assert rows(path, query) == [("both", "2026-11-20T20:37:48Z")]


def capital_record(event: CapitalEvent, *, applied: bool = True) -> CapitalRecord:
    reason = None if applied else "more than there is"
    return CapitalRecord(
        event=event, applied=applied, mark=Decimal("2.19") if applied else None, reason=reason
    )


def test_waiting_capital_is_taken_up_once(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    quote = replace(deposit("q"), base_drops=0, quote=Decimal("12.5"), kind=CapitalKind.WITHDRAWAL)
    with closing(StateManager.open(path, OPTIONS, now=fixed_now)) as store:
        assert store.add_waiting_capital(deposit("a"), "RLUSD")
        assert not store.add_waiting_capital(deposit("a", 1), "RLUSD")
        assert store.add_waiting_capital(quote, "RLUSD")
        assert store.add_waiting_capital(replace(quote, request_id="other pair"), "USD")
    with opened(path) as store:
        assert store.waiting_capital() == (deposit("a"), quote)
        assert store.settled_capital() == frozenset()
        applied = (capital_record(deposit("a")), capital_record(quote, applied=False))
        store.commit_intent(replace(intent(1), capital=applied))
        assert store.waiting_capital() == ()
        store.commit_intent(replace(intent(2), capital=(capital_record(deposit("a"), applied=False),)))
        assert store.settled_capital() == {"a", "q"}
    query = "SELECT session_id, request_id, asset, amount, mark, status, reason, tick FROM capital_events"
    assert rows(path, query + " WHERE asset <> 'USD' ORDER BY id") == [
        (1, "a", "XRP", "25", "2.19", "applied", None, 1),
        (1, "q", "RLUSD", "12.5", None, "refused", "more than there is", 1),
    ]
    with opened(path) as store:
        assert not store.add_waiting_capital(deposit("a"), "RLUSD")
        assert store.waiting_capital() == ()


def test_an_opening_balance_belongs_to_its_session_alone(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    opening = replace(deposit("opening-xrp"), kind=CapitalKind.OPENING)
    record = replace(intent(1), capital=(capital_record(opening),))
    for _ in range(2):
        with opened(path) as store:
            store.commit_intent(record)
            with pytest.raises(InvariantViolation, match="capital_events"):
                store.commit_intent(replace(record, tick=2))
    assert rows(path, "SELECT session_id, scope, kind FROM capital_events ORDER BY id") == [
        (1, 1, "opening"),
        (2, 2, "opening"),
    ]


def test_a_replay_takes_the_same_deposit_again_and_settles_no_request(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    record = replace(intent(1), capital=(capital_record(deposit("a")),))
    for mode in ("paper", "replay", "replay"):
        with opened(path, mode=mode) as store:
            store.commit_intent(record)
    assert rows(path, "SELECT session_id, scope FROM capital_events ORDER BY id") == [(1, 0), (2, 2), (3, 3)]


@pytest.mark.parametrize("group", [1, 4])
def test_a_full_disk_loses_no_whole_tick_and_the_same_tick_can_be_stored_later(
    tmp_path: Path, group: int
) -> None:
    path, clean = tmp_path / "neo.db", tmp_path / "clean.db"
    options = replace(OPTIONS, group_commit_ticks=group)
    with opened(path, options) as store:
        write_ticks(store, 7)
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages + 1}")
        failed = 8
        with pytest.raises(
            StateError, match=r"neo\.db: committing a tick failed with SQLITE_FULL .*free space"
        ):
            while True:
                write_ticks(store, failed, start=failed)
                failed += 1
        on_disk = one(path, "SELECT max(tick) FROM ticks")
        assert on_disk == one(path, "SELECT count(*) FROM ticks")
        assert on_disk == failed - 1 if group == 1 else on_disk == (failed - 1) // group * group
        store._connection.execute("PRAGMA max_page_count = 1000000")
        write_ticks(store, 60, start=failed)
        store.end_session(session_end(60))
    with opened(clean) as store:
        write_ticks(store, 60)
        store.end_session(session_end(60))
    assert everything(path) == everything(clean)


def test_a_database_locked_by_another_program_is_named_and_works_again_later(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with opened(path) as store, closing(sqlite3.connect(path, isolation_level=None)) as other:
        write_ticks(store, 5)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateError, match=r"neo\.db: committing a tick failed with SQLITE_BUSY"):
            store.commit_intent(intent(6))
        other.execute("ROLLBACK")
        write_ticks(store, 8, start=6)
    assert one(path, "SELECT count(*) FROM ticks") == 8


def test_a_write_to_a_database_made_read_only_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with opened(path) as store:
        store._connection.execute("PRAGMA query_only = ON")
        with pytest.raises(StateError, match=r"SQLITE_READONLY.*writable"):
            store.commit_intent(intent(1))
        store._connection.execute("PRAGMA query_only = OFF")
        store.commit_intent(intent(1))


def test_a_second_session_before_the_first_has_ended_is_a_defect(tmp_path: Path) -> None:
    with opened(tmp_path / "neo.db") as store, pytest.raises(InvariantViolation, match="has not ended"):
        store.begin_session(session_start())


def test_a_tick_without_a_session_is_a_defect(tmp_path: Path) -> None:
    with (
        closing(StateManager.open(tmp_path / "neo.db", OPTIONS)) as store,
        pytest.raises(InvariantViolation, match="no session"),
    ):
        store.commit_intent(intent(1))


def test_a_closed_manager_says_so_and_closes_again(tmp_path: Path) -> None:
    store = StateManager.open(tmp_path / "neo.db", OPTIONS)
    store.begin_session(session_start())
    store.close()
    store.close()
    for action in (store.flush, store.waiting_capital, lambda: store.commit_intent(intent(1))):
        with pytest.raises(StateError, match="closed already"):
            action()


def test_closing_writes_what_a_group_still_held(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with opened(path, replace(OPTIONS, group_commit_ticks=100)) as store:
        write_ticks(store, 33)
    assert one(path, "SELECT count(*) FROM ticks") == 33
    assert wal_bytes(path) == 0


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="the kernel lists no descriptors here")
def test_opening_and_closing_leaves_no_descriptor_and_no_thread(tmp_path: Path) -> None:
    import threading

    options = replace(OPTIONS, checkpoint_interval_seconds=0.05, account_lock=tmp_path / "account.lock")
    for _ in range(2):  # the first opening loads what stays loaded
        before = len(os.listdir("/proc/self/fd")), threading.active_count()  # noqa: PTH208 - counts only
        with opened(tmp_path / "neo.db", options) as store:
            write_ticks(store, 5)
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before  # noqa: PTH208


def test_times_are_those_of_the_ledger(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with opened(path) as store:
        store.commit_intent(replace(intent(1), close_time=FIRST_CLOSE))
    # 848,522,220 s after 2000-01-01T00:00:00Z.
    assert one(path, "SELECT close_time FROM ticks") == "2026-11-20T20:37:00Z"


@given(st.decimals(allow_nan=False, allow_infinity=False, places=None))
def test_the_short_way_to_plain_text_says_what_the_long_way_says(value: Decimal) -> None:
    if abs(value.adjusted()) < 100:
        assert exact(value) == plain(value)
