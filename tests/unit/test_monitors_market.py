"""The monitors of the market, at and on both sides of every threshold, and what they remember."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from neo_engine.domain.assets import Side
from neo_engine.domain.halt import HaltReason
from neo_engine.domain.market import DataFault, Level
from neo_engine.domain.severity import Severity
from neo_engine.risk.monitors.market import near_drops
from tests.unit.core_values import XRP, D, with_config
from tests.unit.monitor_fixture import FAR_POOL, START, K, N, P, bought, judge, level, market, said, seen


def sweep(*ledgers: tuple[int, ...]) -> Severity:
    """The severity after a calm ledger and then one of these takings a ledger (XRP; below zero sold)."""
    state = judge(seen(market())).state
    for number, amounts in enumerate(ledgers, start=1):
        result = judge(seen(market(number, trades=bought(*amounts))), state=state)
        state = result.state
    return said(result, "cascade").severity


# cascade: 100 XRP stand near on either side, so that one XRP taken is 0.01


@pytest.mark.parametrize("sign", [1, -1], ids=["buyers", "sellers"])
@pytest.mark.parametrize(("xrp", "severity"), [(79, N), (80, P), (81, P), (499, P), (500, K), (501, K)])
def test_one_ledger_that_takes_much_of_the_near_depth(xrp: int, severity: Severity, sign: int) -> None:
    assert sweep((sign * xrp,)) is severity


def test_the_shares_of_a_run_add_up() -> None:
    assert sweep((40,), (39,)) is N
    assert sweep((40,), (40,)) is P
    assert sweep((30,), (30,), (20,)) is P
    assert sweep(*[(50,)] * 10) is K


def test_the_other_side_begins_a_run_of_its_own() -> None:
    assert sweep((79,), (-79,)) is N
    assert sweep((79,), (-79,), (-1,)) is P


def test_a_ledger_without_takers_or_with_as_many_of_both_ends_the_run() -> None:
    assert sweep((79,), (), (79,)) is N
    assert sweep((79,), (50, -50), (79,)) is N


def test_what_the_other_side_took_counts_against_it() -> None:
    assert sweep((100, -21)) is N
    assert sweep((100, -20)) is P


def test_a_ledger_that_was_not_seen_ends_the_run() -> None:
    state = judge(seen(market())).state
    state = judge(seen(market(1, trades=bought(79))), state=state).state
    assert said(judge(seen(market(3, trades=bought(79))), state=state), "cascade").severity is N


def test_a_ledger_that_is_not_believed_ends_the_run_and_says_nothing() -> None:
    state = judge(seen(market())).state
    state = judge(seen(market(1, trades=bought(80))), state=state).state
    bad = judge(seen(market(2, faults=(DataFault.GAP,))), state=state)
    assert said(bad, "cascade").severity is P
    assert said(judge(seen(market(3, trades=bought(500))), state=bad.state), "cascade").severity is N


def test_silence_leaves_a_sweep_as_it_was() -> None:
    state = judge(seen(market())).state
    state = judge(seen(market(1, trades=bought(80))), state=state).state
    silent = judge(seen(), state=state, now=market(1).close_time + 2)
    assert said(silent, "cascade").severity is P
    assert silent.changed == ()


def test_where_nothing_stood_near_a_taking_counts_as_one_whole_depth() -> None:
    state = judge(seen(market(asks=(level("2.1", 900),)))).state
    assert said(judge(seen(market(1, trades=bought(1))), state=state), "cascade").severity is P


def test_the_first_ledger_of_a_session_says_nothing() -> None:
    assert said(judge(seen(market(trades=bought(900)))), "cascade").severity is N


def test_near_depth_ends_at_its_distance_from_the_mid() -> None:
    # 50 bps of 2 is 0.01: an ask at exactly 2.01 is near, one behind it is not.
    assert near_drops(market(), Side.BUY, D(50)) == near_drops(market(), Side.SELL, D(50)) == 100 * XRP
    assert near_drops(market(), Side.BUY, D("49.9")) == 60 * XRP
    assert near_drops(market(), Side.BUY, D(500)) == 1000 * XRP


def test_a_pool_behind_its_fee_is_not_near_and_one_within_counts_what_moves_it_there() -> None:
    assert near_drops(market(pool=FAR_POOL), Side.BUY, D(50)) == 100 * XRP
    # Without a fee, from 2 up to 2.01 the pool gives 1000 x (1 - sqrt(2 / 2.01)) = 2.490663.. XRP, and
    # from 2 down to 1.99 it takes 1000 x (sqrt(2 / 1.99) - 1) = 2.509414.. XRP.
    free = market(pool=replace(FAR_POOL, trading_fee=0))
    assert near_drops(free, Side.BUY, D(50)) == 100 * XRP + 2_490_663
    assert near_drops(free, Side.SELL, D(50)) == 100 * XRP + 2_509_414


def test_the_reading_tells_its_numbers_and_ends_the_session_by_the_kill_switch() -> None:
    state = judge(seen(market())).state
    result = judge(seen(market(1, trades=bought(500))), state=state)
    assert result.halt is not None
    assert result.halt.reason is HaltReason.KILL_SWITCH
    assert result.halt.detail == (
        "monitor cascade: buyers took 5 of the near depth in 1 ledgers in a row (monitors.cascade_kill 5)"
    )


# price velocity


def moved(mid: str, *, seconds: int = 4) -> Severity:
    state = judge(seen(market())).state
    after = market(1, mid=D(mid), close_time=market().close_time + seconds)
    return said(judge(seen(after), state=state), "price_velocity").severity


@pytest.mark.parametrize(
    ("mid", "severity"),
    [
        ("2.0998", N),
        ("2.1", P),
        ("2.1002", P),
        ("2.2998", P),
        ("2.3", K),
        ("2.3002", K),
        ("1.9002", N),
        ("1.9", P),
        ("1.8998", P),
        ("1.7002", P),
        ("1.7", K),
        ("1.6998", K),
    ],
)
def test_a_flash_move_within_a_ledger(mid: str, severity: Severity) -> None:
    assert moved(mid) is severity


@pytest.mark.parametrize(("mid", "severity"), [("2.1998", N), ("2.2", P), ("2.5998", P), ("2.6", K)])
def test_a_move_is_taken_by_the_second(mid: str, severity: Severity) -> None:
    assert moved(mid, seconds=8) is severity  # twice the interval, so twice the move


@pytest.mark.parametrize("seconds", [-9, 0, 1, 4])
def test_ledgers_nearer_than_an_interval_count_as_one_apart(seconds: int) -> None:
    assert moved("2.0998", seconds=seconds) is N
    assert moved("2.1", seconds=seconds) is P


def test_a_mid_that_is_not_believed_is_passed_over() -> None:
    state = judge(seen(market())).state
    gap = judge(seen(market(1, mid=D(20), faults=(DataFault.GAP,))), state=state)
    assert said(gap, "price_velocity").severity is N
    assert said(judge(seen(market(2)), state=gap.state), "price_velocity").severity is N


def test_a_pull_for_a_flash_move_ends_with_the_next_calm_ledger() -> None:
    state = judge(seen(market())).state
    fast = judge(seen(market(1, mid=D("2.1"))), state=state)
    assert [(one.monitor, one.severity) for one in fast.changed] == [("price_velocity", P)]
    calm = judge(seen(market(2, mid=D("2.1"))), state=fast.state)
    assert [(one.monitor, one.severity) for one in calm.changed] == [("price_velocity", N)]
    assert calm.gates == ()


def test_a_kill_for_a_flash_move_tells_its_numbers() -> None:
    result = judge(seen(market(1, mid=D("2.3"))), state=judge(seen(market())).state)
    assert result.halt is not None
    assert result.halt.detail == (
        "monitor price_velocity: mid moved 15 % in 4 s: 15 % in 4 s (monitors.price_kill_pct 15)"
    )


# absurd inputs


@pytest.mark.parametrize("mid", ["NaN", "Infinity", "-1", "0", "1E+999", "1E-999"])
def test_a_mid_that_is_no_price_says_nothing(mid: str) -> None:
    result = judge(seen(market(1, mid=D(mid), trades=bought(900))), state=judge(seen(market())).state)
    assert result.severity is N


def test_levels_without_a_price_and_a_pool_without_sense_are_no_depth() -> None:
    nan = Level(price=D("NaN"), base_drops=100 * XRP, quote=D(200))
    absurd = market(asks=(nan,), pool=replace(FAR_POOL, quote=D("NaN")))
    assert near_drops(absurd, Side.BUY, D(50)) == 0
    assert near_drops(market(), Side.SELL, D(10_000)) == 1000 * XRP  # a limit of zero


def test_the_thresholds_are_those_of_the_configuration() -> None:
    config = with_config("monitors", price_pull_pct=D(1), cascade_near_bps=D(500), cascade_pull=D("0.1"))
    state = judge(seen(market()), config=config).state
    result = judge(seen(market(1, mid=D("2.02"), trades=bought(99))), state=state, config=config)
    assert (said(result, "price_velocity").severity, said(result, "cascade").severity) == (P, N)
    again = judge(seen(market(1, trades=bought(100))), state=state, config=config)
    assert said(again, "cascade").severity is P
    assert said(judge(seen(market(1, trades=bought(100))), state=START), "cascade").severity is N
