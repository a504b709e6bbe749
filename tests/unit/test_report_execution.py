"""Markouts, queue, uptime, latency and gates against numbers worked out by hand."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from decimal import Decimal as D
from pathlib import Path

import numpy as np
import pytest

from neo_engine.report.execution import queue_ahead
from neo_engine.report.gates import SPANS_MAX, read_gates
from neo_engine.report.markouts import spread_of
from neo_engine.report.measures import Execution, Markout
from neo_engine.report.summary import summarize
from neo_engine.state.queries import open_readonly
from tests.unit.report_fixture import build_small, close_time
from tests.unit.report_rows import fill, insert, order, random_session, start, tick
from tools.check_markouts import differences


def execution_of(path: Path) -> Execution:
    with closing(open_readonly(path)) as connection:
        return summarize(connection, 1).execution


def markout(execution: Execution, group: str, name: str, ledgers: int) -> Markout:
    (found,) = [one for one in execution.markouts if (one.group, one.name) == (group, name)]
    return next(one for one in found.markouts if one.ledgers == ledgers)


def three_fills(path: Path) -> None:
    """Mids 2, 2.01, 2.02 in ledgers 1001, 1002, 1004 (1003 is missing); a buy and two sales."""
    with closing(start(path)) as connection:
        for at, mid in ((1, D("2")), (2, D("2.01")), (4, D("2.02"))):
            tick(connection, at, bid=str(mid - D("0.01")), ask=str(mid + D("0.01")), mark=str(mid))
        for number, side, amount, at in (
            (1, "buy", "19.9", 1),
            (2, "sell", "20.2", 1),
            (3, "sell", "20.1", 4),
        ):
            order(connection, number, side)
            mid_text = "2" if at == 1 else "2.02"
            fill(connection, number, side, 10_000_000, amount, at=at, mid=mid_text)


def test_a_markout_is_the_later_mid_against_the_fills_own_price(tmp_path: Path) -> None:
    three_fills(tmp_path / "neo.db")
    execution = execution_of(tmp_path / "neo.db")
    buy = markout(execution, "side", "buy", 1)
    assert (buy.count, buy.mean_bps, buy.sd_bps) == (1, D("100.5025"), None)  # (2.01 - 1.99) / 1.99
    sell = markout(execution, "side", "sell", 1)
    assert (sell.count, sell.mean_bps) == (1, D("49.5050"))  # (2.02 - 2.01) / 2.02; the last has no later mid
    # 75.00373 on average; half of the difference, 25.49878, times the root of 2 is the sample's deviation.
    both = markout(execution, "all", "all", 1)
    assert (both.count, both.mean_bps, both.sd_bps) == (2, D("75.0037"), D("36.0607"))
    assert (both.ci_low_bps, both.ci_high_bps) == (D("25.0261"), D("124.9813"))  # -+ 1.96 x 25.49878


def test_no_ledger_stands_in_for_a_missing_one(tmp_path: Path) -> None:
    three_fills(tmp_path / "neo.db")
    buy = markout(execution_of(tmp_path / "neo.db"), "side", "buy", 2)
    assert (buy.count, buy.mean_bps) == (0, None)  # 1003 is missing; 1004 would be three ledgers later


def test_a_fill_with_no_later_market_does_not_count(tmp_path: Path) -> None:
    three_fills(tmp_path / "neo.db")
    late = markout(execution_of(tmp_path / "neo.db"), "all", "all", 60)
    assert (late.count, late.mean_bps, late.ci_low_bps) == (0, None, None)


def test_fills_fall_into_three_sizes_of_a_third_each_and_into_hours(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with closing(start(path)) as connection:
        for at in range(1, 8):
            tick(connection, at, bid="1.99", ask="2.01", mark="2")
        for number in range(1, 7):
            order(connection, number, "buy")
            when = "2025-05-01T13:00:00Z" if number > 4 else close_time(number)
            fill(
                connection,
                number,
                "buy",
                number * 1_000_000,
                f"{2 * number}",
                at=number,
                mid="2",
                close_time=when,
            )
    groups = [(one.group, one.name, one.fills) for one in execution_of(path).markouts]
    assert groups == [
        ("all", "all", 6),
        ("side", "buy", 6),
        ("size", "small (up to 2 XRP)", 2),
        ("size", "middle (up to 4 XRP)", 2),
        ("size", "large (above 4 XRP)", 2),
        ("hour", "00", 4),
        ("hour", "13", 2),
    ]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_pandas_straight_from_the_rows_gives_the_same_numbers(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "neo.db"
    random_session(path, seed, ticks=90)
    with closing(open_readonly(path)) as connection:
        count, wrong = differences(connection, "latest")
    assert wrong == []
    assert count > 40


def test_the_small_session_recomputed_with_pandas_is_equal(tmp_path: Path) -> None:
    build_small(tmp_path / "neo.db")
    with closing(open_readonly(tmp_path / "neo.db")) as connection:
        assert differences(connection, "1")[1] == []


def test_centiles_and_mean() -> None:
    spread = spread_of(np.arange(1.0, 12.0))
    assert (spread.count, spread.mean, spread.p10, spread.median, spread.p90) == (11, 6, 2, 6, 10)
    assert spread_of(np.zeros(0)).median is None


def level(centi_bps: int, tenths: int) -> bytes:
    return (centi_bps << 24 | tenths).to_bytes(5, "big")


@pytest.mark.parametrize(
    ("behind", "ahead"),
    [
        (-0.5, 0),  # inside the touch
        (0, 10),  # at it
        (1.0, 10),  # between the first and the second
        (3.0, 30),  # at the second
        (2.98, 10),  # more than 0.01 bps before the second
        (9.0, 60),
    ],
)
def test_the_queue_ahead_is_all_others_at_our_price_or_better(behind: float, ahead: float) -> None:
    blob = level(0, 100) + level(300, 200) + level(500, 300)
    assert queue_ahead([blob], np.array([behind])).tolist() == [ahead]
    assert queue_ahead([b""], np.array([behind])).tolist() == [0]


def test_the_queue_is_that_of_the_tick_before_the_fill(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with closing(start(path)) as connection:
        tick(connection, 1, bid="2", ask="2.01", mark="2", bids=level(0, 50), asks=level(0, 70))
        tick(connection, 2, bid="2", ask="2.01", mark="2", bids=level(0, 999), asks=level(0, 999))
        order(connection, 1, "buy", price="2")
        order(connection, 2, "sell", price="2.009")  # better than the touch
        fill(connection, 1, "buy", 1_000_000, "2", at=2, mid="2")
        fill(connection, 2, "sell", 1_000_000, "2.009", at=2, mid="2")
    queue = execution_of(path).queue_ahead_xrp
    assert (queue.count, queue.mean) == (2, D("2.5"))  # 5 XRP and none


def test_fill_ratio_counts_what_the_ledger_took_only(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with closing(start(path)) as connection:
        tick(connection, 1, bid="1.99", ask="2.01", mark="2")
        order(connection, 1, "buy", filled_xrp="4", created_at=close_time(1))
        order(connection, 2, "sell")
        order(connection, 3, "sell", result_code="tecUNFUNDED_OFFER", status="REJECTED")
        fill(connection, 1, "buy", 4_000_000, "8", at=6, mid="2")
    execution = execution_of(path)
    assert execution.orders_on_ledger == 2
    assert (execution.orders_filled_pct, execution.fill_ratio_pct) == (50, 20)
    assert execution.time_to_fill_seconds.median == 20  # five ticks of four seconds


def test_requotes_cost_the_fees_of_replacing_and_canceling(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    build_small(path)
    requotes = execution_of(path).requotes
    # One replace in a ledger (10 drops), one cancel in none; 0.00001 XRP at 2.02 of a spread of 0.65.
    assert (requotes.replaced, requotes.canceled, requotes.fees_drops) == (1, 1, 10)
    assert requotes.fees == D("0.0000202")
    assert (requotes.per_fill, requotes.share_of_spread_pct) == (D("0.3333"), D("0.0031"))


def test_latency_is_from_the_tick_that_sent_to_the_ledger_that_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with closing(start(path)) as connection:
        for at in range(1, 6):
            tick(connection, at, mark="2", bid="1.99", ask="2.01")
        for number, ledger in ((1, 1002), (2, 1004), (3, None)):
            order(connection, number, "buy")
            insert(
                connection,
                "submissions",
                id=number << 16,
                session_id=1,
                tick=1,
                order_id=number,
                kind="create",
                account_sequence=number,
                last_ledger_sequence=1005,
                fee_drops=10,
                ledger_index=ledger,
            )
    (latency,) = execution_of(path).latency
    assert (latency.kind, latency.ledgers.count, latency.in_no_ledger) == ("create", 2, 1)
    assert (latency.ledgers.mean, latency.seconds.mean) == (2, 8)  # one and three ledgers of four seconds


def test_uptime_counts_each_side_and_gates_tell_which_stood_alone(tmp_path: Path) -> None:
    build_small(tmp_path / "neo.db")
    execution = execution_of(tmp_path / "neo.db")
    assert [(one.side, one.ticks, one.share_pct) for one in execution.uptime] == [
        ("bid", 6, 60),
        ("ask", 6, 60),
    ]
    assert {(one.name, one.side): (one.ticks, one.alone) for one in execution.closures} == {
        ("StaleData", "both"): (2, 1),  # beside Gap in tick 9
        ("Gap", "both"): (1, 0),
        ("InventoryLimit", "ask"): (1, 1),
        ("InventoryLimit", "bid"): (1, 1),
        ("Warmup", "both"): (1, 1),
    }


def test_pool_flow_counts_swaps_and_no_deposits(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with closing(start(path)) as connection:
        for at, drops, quote in ((1, 100_000_000, "200"), (2, 97_000_000, "207"), (3, 194_000_000, "414")):
            tick(connection, at, bid="1.99", ask="2.01", mark="2", pool=(drops, quote))
        order(connection, 1, "buy")
        fill(connection, 1, "buy", 1_000_000, "2", at=2, mid="2")
    execution = execution_of(path)
    assert (execution.pool_flow_xrp, execution.our_share_of_flow_pct) == (3, 25)
    assert (execution.pair_volume_xrp, execution.our_share_of_volume_pct) == (
        None,
        None,
    )  # of an older schema


def test_the_share_of_the_pairs_volume_is_of_what_anybody_took(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with closing(start(path)) as connection:
        for at in (1, 2, 3):
            tick(connection, at, bid="1.99", ask="2.01", mark="2")
        order(connection, 1, "buy")
        fill(connection, 1, "buy", 1_000_000, "2", at=2, mid="2")
        for at, drops in ((1, 0), (2, 5_500_000), (3, 2_500_000)):
            connection.execute(
                "UPDATE market_snapshots SET trades = 1, traded_xrp_drops = ? WHERE tick = ?", (drops, at)
            )
        connection.commit()
    execution = execution_of(path)
    assert (execution.pair_volume_xrp, execution.our_share_of_volume_pct) == (8, D("12.5"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE market_snapshots SET traded_xrp_drops = NULL WHERE tick = 1")
        connection.commit()
    assert execution_of(path).pair_volume_xrp is None  # a sum of some would be too little


def test_a_stretch_ends_where_the_gate_opens(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    shut = (("Any", "both", "x"),)
    with closing(start(path)) as connection:
        for at in (1, 2, 3, 4, 5, 6):
            tick(
                connection,
                at,
                gates=() if at == 3 else (*shut, ("Other", "bid", str(at))) if at == 5 else shut,
            )
    with closing(open_readonly(path)) as connection:
        gates = read_gates(connection, 1, 6)
    assert [(one.name, one.first_tick, one.ticks) for one in gates.spans] == [
        ("Any", 1, 2),
        ("Any", 4, 3),
        ("Other", 5, 1),
    ]
    assert gates.span_count == 3
    assert gates.spans[0].end == close_time(2)


def test_of_very_many_stretches_the_longest_are_kept_and_all_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    chance, at, lengths = random.Random(5), 0, []
    with closing(start(path)) as connection:
        connection.execute("BEGIN")
        for _ in range(SPANS_MAX + 50):
            lengths.append(chance.randint(1, 4))
            for _ in range(lengths[-1]):
                at += 1
                tick(connection, at, gates=(("Any", "both", ""),))
            at += 1
            tick(connection, at)
        connection.execute("COMMIT")
    with closing(open_readonly(path)) as connection:
        gates = read_gates(connection, 1, at)
    assert gates.span_count == len(lengths)
    assert sorted(one.ticks for one in gates.spans) == sorted(lengths)[-SPANS_MAX:]
    assert gates.counts[0].ticks == sum(lengths)
