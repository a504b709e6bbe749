"""The views of money and execution: their numbers by hand, and how they are found in a large database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from neo_engine.state.queries import open_readonly
from tests.unit.report_fixture import SESSION, build_small, close_time, new_database, session_row

Markouts = dict[tuple[int, int], float | None]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    path = tmp_path / "neo.db"
    build_small(path)
    connection = open_readonly(path)
    yield connection
    connection.close()


def markouts(connection: sqlite3.Connection) -> Markouts:
    rows = connection.execute("SELECT fill_id, ledgers, markout_bps FROM v_markouts").fetchall()
    return {(row[0], row[1]): row[2] for row in rows}


def test_a_markout_is_the_mid_so_many_ledgers_later_against_the_price_signed_for_us(
    small: sqlite3.Connection,
) -> None:
    found = markouts(small)
    assert len(found) == 3 * 5
    # Bought at 1.99 in ledger 1002; the mid is 2 to ledger 1007, there is none in 1008 and 1009.
    for ledgers in (1, 2, 5):
        assert found[1, ledgers] == pytest.approx(0.01 / 1.99 * 10_000)
    # Sold at 2.02 in 1003 and at 2.01 in 1004.
    assert found[2, 1] == pytest.approx(0.02 / 2.02 * 10_000)
    assert found[3, 1] == pytest.approx(0.01 / 2.01 * 10_000)
    query = "SELECT markout_rlusd, mid_later, xrp FROM v_markouts WHERE fill_id = 2 AND ledgers = 1"
    assert tuple(small.execute(query).fetchone()) == pytest.approx((0.44, 2.0, 22.0))


def test_no_other_ledger_stands_in_for_one_that_is_missing(small: sqlite3.Connection) -> None:
    found = markouts(small)
    assert found[2, 5] is None  # 1008: a silence
    assert found[3, 5] is None  # 1009: a fault
    assert found[1, 15] is None  # 1017: after the end
    assert found[3, 2] is not None


def test_a_markout_passes_over_ticks_without_a_ledger_and_stops_at_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "gap.db"
    connection = new_database(path)
    summary: dict[str, object] = {}
    connection.execute(SESSION, session_row(1, ended=True, ticks=4, summary=summary))
    for tick, kind, ledger, mid in (
        (1, "ledger", 100, "2"),
        (2, "silence", 100, None),
        (3, "ledger", 101, "2.002"),
        (4, "ledger", 103, "2.004"),
    ):
        connection.execute(
            "INSERT INTO ticks (id, session_id, tick, kind, ledger_index, close_time, quoting, placed, "
            "canceled, kept, fills, inventory_xrp_drops, inventory_rlusd, fees_drops, net_capital_rlusd, "
            "realised_rlusd, unrealised_rlusd, account_value_rlusd, fingerprint) VALUES (1 << 32 | ?1, 1, "
            "?1, ?2, ?3, ?4, 'none', 0, 0, 0, 0, 0, '0', 0, '0', '0', '0', '0', x'00')",
            (tick, kind, ledger, close_time(tick)),
        )
        if mid is not None:
            connection.execute(
                "INSERT INTO market_snapshots (id, session_id, tick, best_bid, best_ask, bids, asks) "
                "VALUES (1 << 32 | ?1, 1, ?1, ?2, ?2, x'', x'')",
                (tick, mid),
            )
    connection.execute(
        "INSERT INTO orders (id, session_id, side, price, size_xrp, status, created_at) "
        "VALUES (1, 1, 'buy', '2', '1', 'FILLED', '')"
    )
    connection.execute(
        "INSERT INTO fills (id, session_id, order_id, tick, ledger_index, transaction_index, node, "
        "close_time, tx_hash, side, liquidity, xrp_drops, rlusd, rlusd_balance_delta, rounding, price, "
        "offer_sequence) VALUES (1, 1, 1, 1, 100, 0, 'N', '', 'H', "
        "'buy', 'maker', 1000000, '2', '-2', '0', '2', 1)"
    )
    found = markouts(connection)
    connection.close()
    # One later is 101, in tick 3 (10 bps above 2). Two later would be 102, which is missing: not 103.
    assert found == {(1, 1): pytest.approx(10.0), (1, 2): None, (1, 5): None, (1, 15): None, (1, 60): None}


def test_v_pnl_adds_up_and_v_sessions_tells_the_last_tick(small: sqlite3.Connection) -> None:
    last = small.execute("SELECT * FROM v_pnl ORDER BY id DESC LIMIT 1").fetchone()
    # From the fixture: realised 0.58 + unrealised 1.64 - fees 42 drops x 2.02 = 2.21991516.
    assert last["total_rlusd"] == pytest.approx(2.2199151600001)
    parts = last["realised_rlusd"] + last["unrealised_rlusd"] - last["fees_rlusd"]
    assert last["total_rlusd"] == pytest.approx(parts, abs=1e-9)
    session = small.execute("SELECT * FROM v_sessions").fetchone()
    assert (session["fills"], session["ticks"], session["fees_drops"]) == (3, 10, 42)
    assert session["traded_xrp"] == pytest.approx(43.0)
    assert session["total_rlusd"] == pytest.approx(2.2199151600001)


def test_v_gates_and_v_fills_show_what_stands_in_other_rows(small: sqlite3.Connection) -> None:
    gates = small.execute("SELECT tick, name, side, detail FROM v_gates WHERE tick = 9").fetchall()
    assert [tuple(row) for row in gates] == [
        (9, "Gap", "both", "1 missing"),
        (9, "StaleData", "both", "20 s"),
    ]
    fills = small.execute("SELECT tick, mid, mid_before FROM v_fills").fetchall()
    assert [tuple(row) for row in fills] == [(2, 2.0, 2.0), (3, 2.0, 2.0), (4, 2.0, 2.0)]


SESSION_RANGE = "id BETWEEN 1 << 32 AND (1 << 32) + 0xFFFFFFFF"


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM v_markouts",
        "SELECT * FROM v_fills",
        "SELECT * FROM v_sessions",
        *(
            f"SELECT * FROM {view} WHERE {SESSION_RANGE}"
            for view in ("v_ticks", "v_pnl", "v_quotes", "v_factors", "v_gates", "v_snapshots")
        ),
    ],
)
def test_no_view_reads_all_ticks_or_snapshots(small: sqlite3.Connection, query: str) -> None:
    steps = [row["detail"] for row in small.execute(f"EXPLAIN QUERY PLAN {query}")]
    big = ("ticks", "market_snapshots", "t", "m")
    assert [step for step in steps if step.split()[0] == "SCAN" and step.split()[1] in big] == []
    assert any(step.startswith("SEARCH") and "USING INTEGER PRIMARY KEY" in step for step in steps)


def test_the_plans_are_looked_at_where_there_is_something_to_find(small: sqlite3.Connection) -> None:
    steps = [row["detail"] for row in small.execute("EXPLAIN QUERY PLAN SELECT * FROM v_pnl")]
    assert steps == ["SCAN ticks"]  # without the range all sessions are read


def test_the_schema_has_no_secondary_index(small: sqlite3.Connection) -> None:
    made = small.execute("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL").fetchall()
    assert made == []
