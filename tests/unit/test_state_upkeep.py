"""Transactions about no order, results that a later session learns, and what is proven dead."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from benchmarks.state_workload import intent, session_end, session_start, tx_hash
from neo_engine.domain.errors import InvariantViolation, StateError
from neo_engine.domain.orders import NO_ORDER, PreparedTransaction, TransactionKind, TransactionOutcome
from neo_engine.domain.records import IntentRecord
from neo_engine.report.accounts import fees_paid
from neo_engine.report.summary import summarize
from neo_engine.state import queries
from neo_engine.state.manager import StateManager
from neo_engine.state.schema import load_migrations, migrate, migrations_folder
from tests.unit.state_fixture import OPTIONS, fixed_now, one, opened, rows, write_ticks

ACCOUNT = session_start().account


def tickets(number: int, count: int = 3) -> PreparedTransaction:
    return PreparedTransaction(
        kind=TransactionKind.UPKEEP,
        order_id=NO_ORDER,
        replaces=None,
        tx_hash=f"{number:064X}",
        account_sequence=number,
        last_ledger_sequence=1_009,
        fee_drops=12,
        blob="12AB",
        tickets=count,
    )


def outcome(sent: PreparedTransaction, order_id: int, fee_drops: int = 11) -> TransactionOutcome:
    return TransactionOutcome(
        tx_hash=sent.tx_hash,
        order_id=order_id,
        kind=sent.kind,
        result="tesSUCCESS",
        ledger_index=1_007,
        transaction_index=4,
        fee_drops=fee_drops,
    )


def bare(tick: int, **changes: Any) -> IntentRecord:
    """A tick of the workload about no order and no trade, but for the changes."""
    nothing: dict[str, Any] = dict.fromkeys(
        ("transactions", "fills", "inventory", "new_orders", "changed_orders", "prepared"), ()
    )
    return replace(intent(tick), **{**nothing, "replaces": {}, **changes})


def left_open(path: Path) -> None:
    """Session 1 dies at tick 5 with the creates of orders 1 and 2, and tickets, on their way."""
    with opened(path, mode="live") as store:
        write_ticks(store, 4)
        fifth = intent(5)
        store.commit_intent(replace(fifth, prepared=(*fifth.prepared, tickets(900))))


@pytest.mark.parametrize("group", [1, 100])
def test_upkeep_has_a_row_of_its_own_and_its_result_finds_it(tmp_path: Path, group: int) -> None:
    path = tmp_path / "neo.db"
    sent = tickets(900)
    with opened(path, replace(OPTIONS, group_commit_ticks=group), mode="live") as store:
        store.commit_intent(bare(1, prepared=(sent, tickets(901, 0))))
        store.commit_intent(bare(2, transactions=(outcome(sent, NO_ORDER),)))
    assert rows(path, "SELECT * FROM v_upkeep ORDER BY id") == [
        (1, 1, 1, sent.tx_hash, 900, 1_009, 11, 3, "12AB", "tesSUCCESS", 1_007, 4, None),
        (2, 1, 1, f"{901:064X}", 901, 1_009, 12, 0, "12AB", None, None, None, None),
    ]
    assert one(path, "SELECT result || length(tx_hash) FROM upkeep WHERE id = 1") == "tes32"
    assert one(path, "SELECT count(*) FROM submissions") == 0


def test_a_result_of_upkeep_that_was_never_stored_is_a_defect(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with (
        opened(path, mode="live") as store,
        pytest.raises(InvariantViolation, match="upkeep_results: 1 rows to write hit 0"),
    ):
        store.commit_intent(bare(1, transactions=(outcome(tickets(900), NO_ORDER),)))
    assert one(path, "SELECT count(*) FROM ticks") == 0


def test_who_learns_a_result_counts_its_fee(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    left_open(path)
    create = intent(5).prepared[0]
    with opened(path, mode="live") as store:
        store.adopt_order(7, 1)
        learned = (outcome(create, 7, 13), outcome(tickets(900), NO_ORDER))
        store.commit_intent(bare(1, transactions=learned, prepared=(tickets(902),)))
        store.commit_intent(bare(2, transactions=(outcome(tickets(902), NO_ORDER, 17),)))
        store.end_session(session_end(2))
    query = "SELECT tx_hash, session_id, result, fee_drops, result_session FROM {} ORDER BY id"
    assert rows(path, query.format("v_submissions")) == [
        (tx_hash(1), 1, "tesSUCCESS", 13, 2),
        (tx_hash(2), 1, None, 12, None),
    ]
    assert rows(path, query.format("v_upkeep")) == [
        (f"{900:064X}", 1, "tesSUCCESS", 11, 2),
        (f"{902:064X}", 2, "tesSUCCESS", 17, None),
    ]
    with closing(queries.open_readonly(path)) as connection:
        # 13 + 11 + 17, each once.
        assert [fees_paid(connection, session) for session in (1, 2)] == [0, 41]
        groups = {
            session: [
                (group.kind, group.result, group.count, group.fees_drops)
                for group in summarize(connection, session).orders.transactions
            ]
            for session in (1, 2)
        }
    assert groups[1] == [
        ("create", None, 1, 0),
        ("create", "tesSUCCESS", 1, 0),
        ("upkeep", "tesSUCCESS", 1, 0),
    ]
    assert groups[2] == [("create", "tesSUCCESS", 1, 13), ("upkeep", "tesSUCCESS", 2, 28)]


def test_what_is_proven_dead_comes_back_no_more_and_burned_nothing(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    left_open(path)
    with closing(StateManager.open(path, OPTIONS, now=fixed_now)) as store:
        left = store.left(ACCOUNT)
        assert [row["tx_hash"] for row in left.submissions] == [tx_hash(1), tx_hash(2)]
        assert [(row["tx_hash"], row["after_ledger"]) for row in left.upkeep] == [(f"{900:064X}", 1_005)]
        dead = [tx_hash(1).lower(), f"{900:064X}"]
        assert store.settle_submissions(dead) == 2
        assert store.settle_submissions(dead) == 0
        assert store.settle_submissions([]) == 0
        left = store.left(ACCOUNT)
        assert ([row["tx_hash"] for row in left.submissions], left.upkeep) == ([tx_hash(2)], ())
        store.begin_session(session_start("live"))
        assert store.settle_submissions([tx_hash(2)]) == 1
        assert store.left(ACCOUNT).submissions == ()
    query = "SELECT result, ledger_index, fee_drops, result_session FROM {} ORDER BY id"
    assert rows(path, query.format("submissions")) == [
        ("tefMAX_LEDGER", None, 0, None),
        ("tefMAX_LEDGER", None, 0, 2),
    ]
    assert rows(path, query.format("upkeep")) == [("tefMAX_LEDGER", None, 0, None)]
    with closing(queries.open_readonly(path)) as connection:
        assert [fees_paid(connection, session) for session in (1, 2)] == [0, 0]


def test_a_result_of_a_ledger_is_not_settled_away(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with opened(path, mode="live") as store:
        write_ticks(store, 6)  # order 1 and 2 are in ledger 1006
        assert store.settle_submissions([tx_hash(1), tx_hash(2)]) == 0
    assert rows(path, "SELECT DISTINCT result, fee_drops FROM submissions") == [("tes", 12)]


def test_settling_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    left_open(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE TRIGGER refuse BEFORE UPDATE ON upkeep BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    with closing(StateManager.open(path, OPTIONS, now=fixed_now)) as store:
        with pytest.raises(InvariantViolation, match="settling transactions: full"):
            store.settle_submissions([tx_hash(1), f"{900:064X}"])
        assert len(store.left(ACCOUNT).submissions) == 2
        assert store.settle_submissions([tx_hash(1)]) == 1


def test_what_the_running_or_another_session_left_is_not_ours_to_resolve(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with opened(path) as store:  # on paper
        store.commit_intent(bare(1, prepared=(tickets(900),)))
        store.end_session(session_end(1))
    with opened(path, mode="live") as store:
        store.commit_intent(bare(9, prepared=(tickets(901),)))
        left = store.left(ACCOUNT)
        assert (left.orders, left.submissions, left.upkeep, left.last_ledger) == ((), (), (), None)
        store.end_session(session_end(9))
        assert store.left("another account").upkeep == ()
        left = store.left(ACCOUNT)
        assert [(row["account_sequence"], row["after_ledger"]) for row in left.upkeep] == [(901, 1_009)]
        assert left.last_ledger == 1_009
    with opened(path, mode="live") as store:  # one that never had a tick says nothing of ledgers
        store.end_session(session_end(0))
        assert store.left(ACCOUNT).last_ledger == 1_009


def test_a_database_of_the_first_schema_is_brought_forward_and_goes_on(tmp_path: Path) -> None:
    path, folder = tmp_path / "neo.db", tmp_path / "first"
    folder.mkdir()
    shutil.copy(migrations_folder() / "0001_initial.sql", folder)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        assert migrate(connection, load_migrations(folder), path, "2026-11-20T00:00:00Z") == 1
        connection.execute(
            "INSERT INTO sessions (mode, feed, account, started_at, engine_version, pid) "
            "VALUES ('live', 'xrpl', ?, '2026-11-20T00:00:00Z', '0.1.0', 1)",
            (ACCOUNT,),
        )
        connection.execute(
            "INSERT INTO orders (session_id, order_no, side, price, size_xrp, size_rlusd, status, "
            "created_at, submit_tx_hash) VALUES (1, 1, 'buy', '2', '10', '20', 'SUBMITTED', "
            "'2026-11-20T00:00:00Z', ?)",
            (tx_hash(1),),
        )
        connection.execute(
            "INSERT INTO submissions (id, session_id, tick, order_id, kind, account_sequence, "
            "last_ledger_sequence, fee_drops) VALUES (65536, 1, 1, 1, 'create', 5, 1009, 12)"
        )
    known = load_migrations(migrations_folder())
    with pytest.raises(StateError, match=f"has schema 1, this NEO reads {len(known)};"):
        queries.open_readonly(path)
    with opened(path, mode="live") as store:
        left = store.left(ACCOUNT)
        assert [(row["tx_hash"], row["result_session"]) for row in left.submissions] == [(tx_hash(1), None)]
        store.adopt_order(1, 1)
        sent = replace(tickets(1), kind=TransactionKind.CREATE)
        store.commit_intent(bare(1, transactions=(outcome(sent, 1),), prepared=(tickets(900),)))
    applied = rows(path, "SELECT version, name FROM schema_migrations ORDER BY version")
    assert applied[:2] == [(1, "initial"), (2, "upkeep")]
    assert applied == [(one.version, one.name) for one in known]
    assert rows(path, "SELECT result, fee_drops, result_session FROM v_submissions") == [
        ("tesSUCCESS", 11, 2)
    ]
    assert one(path, "SELECT count(*) FROM upkeep") == 1
