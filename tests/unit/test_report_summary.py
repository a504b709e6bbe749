"""The report's numbers against totals worked out by hand (report_fixture.py shows the working)."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal as D
from pathlib import Path

import pytest

from neo_engine.domain.errors import StateError, UsageError
from neo_engine.report.accounts import Books, part_of
from neo_engine.report.choose import list_sessions
from neo_engine.report.model import SessionSummary
from neo_engine.report.summary import summarize
from neo_engine.report.touch import bucket_of, distance_bps
from neo_engine.state.queries import open_readonly
from tests.unit.report_fixture import SUMMARY, build_small, new_database


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "neo.db"
    build_small(path)
    return path


@pytest.fixture
def summary(database: Path) -> Iterator[SessionSummary]:
    with closing(open_readonly(database)) as connection:
        yield summarize(connection, "latest")


def changed(path: Path, sql: str, *values: object) -> SessionSummary:
    """The summary after one edit of the database."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(sql, values)
    with closing(open_readonly(path)) as connection:
        return summarize(connection, 1)


def test_inventory_is_fills_plus_overlay_to_the_last_digit(summary: SessionSummary) -> None:
    xrp, quote = summary.xrp, summary.quote
    assert (xrp.start, xrp.fills_only, xrp.capital_overlay, xrp.inventory) == (D(100), D(-23), D(103), D(80))
    assert (quote.start, quote.capital_overlay) == (D(220), D(170))
    assert (quote.fills_only, quote.inventory) == (D("46.6500000000001"), D("216.6500000000001"))
    assert (xrp.engine_total, quote.engine_total) == (D(80), D("216.6500000000001"))


def test_fees_lower_the_balance_and_only_what_a_ledger_holds_is_a_fee(summary: SessionSummary) -> None:
    assert summary.pnl.fees_drops == 42
    assert summary.xrp.fees == D("0.000042")
    assert summary.xrp.balance == D("79.999958")


def test_profit_and_loss_is_the_one_worked_out_by_hand(summary: SessionSummary) -> None:
    pnl = summary.pnl
    assert pnl.mark == D("2.02")
    assert pnl.mark_time == "2025-05-01T00:00:40Z"
    assert pnl.realised == D("0.5800000000001")
    assert pnl.unrealised == D("1.64")
    assert pnl.fees == D("0.00008484")
    assert pnl.total == D("2.2199151600001")
    assert pnl.cost_basis == D("159.96")
    assert pnl.account_value == D("378.2499151600001")
    assert pnl.net_capital == D("376.03")
    assert pnl.rounding == D("1E-13")


def test_the_parts_add_up_exactly(summary: SessionSummary) -> None:
    assert summary.pnl.residue == 0


def test_fills_are_counted_by_side_and_liquidity_with_their_average_price(summary: SessionSummary) -> None:
    fills = summary.fills
    assert (fills.count, fills.maker, fills.taker) == (3, 2, 1)
    assert (fills.volume_xrp, fills.volume_quote) == (D(43), D("86.45"))
    assert [(g.side, g.liquidity, g.count, g.average_price) for g in fills.groups] == [
        ("buy", "maker", 1, D("1.99")),
        ("sell", "maker", 1, D("2.02")),
        ("sell", "taker", 1, D("2.01")),
    ]


def test_orders_are_counted_by_outcome_and_reasons_with_numbers_fall_together(
    summary: SessionSummary,
) -> None:
    orders = summary.orders
    assert (orders.count, orders.filled, orders.partly_filled) == (8, 2, 1)
    assert {(o.status, o.result_code): o.count for o in orders.outcomes} == {
        ("FILLED", "tesSUCCESS"): 2,
        ("CANCELED", "tesSUCCESS"): 2,
        ("DENIED", None): 2,
        ("REJECTED", "tecUNFUNDED_OFFER"): 1,
        ("EXPIRED", "tesSUCCESS"): 1,
    }
    assert [(r.status, r.reason, r.count) for r in orders.refusals] == [
        ("DENIED", "order of # RLUSD above #", 2),
        ("REJECTED", "tecUNFUNDED_OFFER", 1),
    ]
    assert sum(t.fees_drops for t in orders.transactions) == 42


def test_uptime_counts_every_tick_once(summary: SessionSummary) -> None:
    uptime = summary.uptime
    assert (uptime.ticks, uptime.both, uptime.bid, uptime.ask, uptime.none) == (10, 5, 1, 1, 3)
    assert uptime.quoting_pct == 70


def test_distance_to_touch_of_the_bid_is_the_one_worked_out_by_hand(summary: SessionSummary) -> None:
    # 0, -2, -5, -10, -10.5 and (2.018 - 2.019) x 10000 / 2.02 = -4.9505
    bid = summary.touch[0]
    assert (bid.measured_ticks, bid.within_2bps, bid.buckets) == (6, 2, (2, 2, 1, 1))
    assert bid.mean_bps == D("-5.4084")  # -32.4505 / 6
    assert bid.median_bps == D("-4.9752")  # between -5 and -4.95049...


def test_a_quote_inside_the_touch_counts_as_within(summary: SessionSummary) -> None:
    # -2, -2.5, -5, +2.5, -10, 0
    ask = summary.touch[1]
    assert (ask.measured_ticks, ask.within_2bps, ask.buckets) == (6, 3, (3, 2, 1, 0))
    assert (ask.mean_bps, ask.median_bps) == (D("-2.8333"), D("-2.25"))


@pytest.mark.parametrize(
    ("distance", "bucket"),
    [("3", 0), ("0", 0), ("-2", 0), ("-2.0001", 1), ("-5", 1), ("-5.0001", 2), ("-10", 2), ("-10.0001", 3)],
)
def test_the_bounds_of_a_bucket_belong_to_the_nearer_one(distance: str, bucket: int) -> None:
    assert bucket_of(D(distance)) == bucket


def test_a_distance_is_rounded_half_to_even_to_four_decimals() -> None:
    assert distance_bps(D("1.999999995"), D("2"), D("2")) == D("0.0000")  # -0.000025
    assert distance_bps(D("1.999999985"), D("2"), D("2")) == D("-0.0001")  # -0.000075


def test_gates_are_counted_in_ticks_and_keep_their_last_numbers(summary: SessionSummary) -> None:
    assert [(g.name, g.side, g.ticks, g.last_detail) for g in summary.gates] == [
        ("StaleData", "both", 2, "20 s"),
        ("Gap", "both", 1, "1 missing"),
        ("InventoryLimit", "ask", 1, "low XRP"),
        ("InventoryLimit", "bid", 1, "high XRP"),
        ("Warmup", "both", 1, "1 of 2 mids"),
    ]


def test_faults_and_findings_are_counted(summary: SessionSummary) -> None:
    assert [(f.name, f.count) for f in summary.faults] == [("Gap", 1)]
    assert [(f.name, f.group, f.count) for f in summary.findings] == [("ghost_offer", "repaired", 1)]


def test_report_and_engine_agree_on_a_sound_session(summary: SessionSummary) -> None:
    assert summary.agreement.agrees is True
    assert summary.agreement.missing == ()


@pytest.mark.parametrize("name", [name for name in SUMMARY if name != "touch"])
def test_any_number_of_the_engine_that_is_off_is_named(database: Path, name: str) -> None:
    value = SUMMARY[name]
    wrong = value + 1 if isinstance(value, int) else str(D(str(value)) + D("0.0000000000001"))
    text = json.dumps({**SUMMARY, name: wrong})
    agreement = changed(database, "UPDATE sessions SET summary_json = ?", text).agreement
    assert agreement.agrees is False
    assert [item.name for item in agreement.differences] == [f"{name} (summary_json)"]


def test_a_lost_fill_is_noticed(database: Path) -> None:
    changed(database, "DELETE FROM inventory_ledger WHERE fill_id = 2")
    agreement = changed(database, "DELETE FROM fills WHERE id = 2").agreement
    names = {item.name for item in agreement.differences}
    assert {
        "inventory_base_drops (last tick)",
        "fills_rlusd (summary_json)",
        "realised_rlusd (last tick)",
    } <= names


def test_a_touch_count_that_is_off_is_named(database: Path) -> None:
    touch = {"bid_ticks": 6, "bid_within_2bps": 3, "ask_ticks": 6, "ask_within_2bps": 3}
    text = json.dumps({**SUMMARY, "touch": touch})
    agreement = changed(database, "UPDATE sessions SET summary_json = ?", text).agreement
    assert [item.name for item in agreement.differences] == ["touch.bid_within_2bps (summary_json)"]


def test_a_mark_that_no_price_of_the_session_explains_is_an_error(database: Path) -> None:
    agreement = changed(database, "UPDATE ticks SET mark = '9.99' WHERE tick = 10").agreement
    assert "mark (stored prices)" in {item.name for item in agreement.differences}


def test_only_live_lets_a_valuation_differ_and_then_by_less_than_a_hundredth(database: Path) -> None:
    # 1 % of the account value of 378.2499... is 3.782499...
    near = json.dumps({**SUMMARY, "account_value_rlusd": "382.03"})
    far = json.dumps({**SUMMARY, "account_value_rlusd": "382.04"})
    assert changed(database, "UPDATE sessions SET summary_json = ?", near).agreement.agrees is False
    assert changed(database, "UPDATE sessions SET mode = 'live'").agreement.agrees is True
    assert changed(database, "UPDATE sessions SET summary_json = ?", far).agreement.agrees is False


def test_a_number_the_engine_did_not_store_is_told_as_missing(database: Path) -> None:
    text = json.dumps({name: value for name, value in SUMMARY.items() if name != "mark"})
    agreement = changed(database, "UPDATE sessions SET summary_json = ?", text).agreement
    assert agreement.missing == ("mark",)
    assert agreement.agrees is True


def test_a_running_session_is_compared_with_its_last_tick(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    build_small(path, ended=False)
    with closing(open_readonly(path)) as connection:
        summary = summarize(connection, 1)
    assert summary.facts.ended is False
    assert summary.facts.first_ledger == 1001
    assert summary.facts.fingerprint == "0a" * 32
    assert summary.agreement.agrees is True
    assert summary.xrp.engine_total == 80


def test_the_report_sees_one_moment_while_the_engine_writes(database: Path) -> None:
    with closing(open_readonly(database)) as reader, closing(sqlite3.connect(database)) as writer:
        reader.execute("BEGIN")
        before = summarize(reader, 1)
        with writer:
            writer.execute("DELETE FROM inventory_ledger")
            writer.execute("DELETE FROM fills")
        assert summarize(reader, 1) == before
        reader.rollback()
        assert summarize(reader, 1).fills.count == 0


def test_a_session_without_a_tick_has_a_report(database: Path) -> None:
    summary = changed(
        database,
        "INSERT INTO sessions (session_id, mode, feed, pair, started_at, engine_version) "
        "VALUES (2, 'paper', 'recorded', 'XRP/RLUSD', '2026-01-02T04:00:00Z', '0.1.0')",
    )
    assert summary.facts.session_id == 1
    with closing(open_readonly(database)) as connection:
        empty = summarize(connection, "latest")
        assert [line.session_id for line in list_sessions(connection)] == [1, 2]
    assert (empty.facts.session_id, empty.uptime.ticks, empty.pnl.mark) == (2, 0, None)
    assert empty.agreement.agrees is None


def test_a_session_that_is_not_there_is_named_with_those_that_are(database: Path) -> None:
    with closing(open_readonly(database)) as connection:
        with pytest.raises(UsageError, match="session 7: not in this database, which holds 1 to 1"):
            summarize(connection, "7")
        with pytest.raises(UsageError, match="give a number or latest"):
            summarize(connection, "-1")


def test_an_empty_database_says_what_to_do(tmp_path: Path) -> None:
    new_database(tmp_path / "neo.db").close()
    with (
        closing(open_readonly(tmp_path / "neo.db")) as connection,
        pytest.raises(UsageError, match=r"no session yet; run one first: python run_paper_session\.py"),
    ):
        summarize(connection, "latest")


@pytest.mark.parametrize(
    ("sql", "place"),
    [
        ("UPDATE fills SET rlusd_balance_delta = 'NaN' WHERE id = 2", "fills row 2, rlusd_balance_delta"),
        ("UPDATE capital_events SET amount = 'ten' WHERE request_id = 'd1'", "capital_events row 3, amount"),
        ("UPDATE capital_events SET mark = NULL WHERE request_id = 'd1'", "capital_events row 3"),
        ("UPDATE market_snapshots SET our_bid = '' WHERE tick = 3", "market_snapshots tick 3"),
        ("UPDATE ticks SET gates = '[' WHERE tick = 3", "malformed JSON"),
    ],
)
def test_a_damaged_row_is_named(database: Path, sql: str, place: str) -> None:
    with pytest.raises(StateError, match=place):
        changed(database, sql)


def test_a_share_of_the_cost_is_rounded_down_and_the_rest_stays() -> None:
    # 2 / 3 to 18 decimals, downwards; towards zero for a negative amount too.
    assert part_of(D(2), 1, 3) == D("0.666666666666666666")
    assert part_of(D(-2), 1, 3) == D("-0.666666666666666666")
    assert part_of(D("1.23456789012345678901"), 5, 5) == D("1.23456789012345678901")


def test_a_sale_beyond_what_is_held_opens_a_short_at_what_it_brought() -> None:
    # 4 XRP cost 8; 6 sold for 15: 4 of them brought 10 and realise 2, the other 2 stand at -5.
    books = Books()
    books.fill(side="buy", drops=4_000_000, quote_delta=D(-8), rounding=D(0))
    books.fill(side="sell", drops=6_000_000, quote_delta=D(15), rounding=D(0))
    assert (books.drops, books.realised, books.cost) == (-2_000_000, D(2), D(-5))
    # Bought back for 4: the short is closed with 1 earned.
    books.fill(side="buy", drops=2_000_000, quote_delta=D(-4), rounding=D(0))
    assert (books.drops, books.realised, books.cost) == (0, D(3), D(0))


def test_a_withdrawal_realises_its_share_at_its_mark() -> None:
    # 10 XRP at cost 20; 4 withdrawn at 2.5 are worth 10 and cost 8.
    books = Books()
    books.capital(sign=1, drops=10_000_000, quote=D(0), mark=D(2))
    books.capital(sign=-1, drops=4_000_000, quote=D(0), mark=D("2.5"))
    assert (books.realised, books.cost, books.net_capital, books.overlay_drops) == (
        D(2),
        D(12),
        D(10),
        6_000_000,
    )
