"""The monitors of what is held, at and on both sides of every threshold, and what they remember."""

from __future__ import annotations

import pytest

from neo_engine.domain.halt import HaltReason
from neo_engine.domain.severity import Severity
from neo_engine.risk import RiskAssessment, RiskState
from tests.unit.core_values import NOW, XRP, D, account, accounts, with_config
from tests.unit.monitor_fixture import START, K, N, P, R, W, judge, market, said, seen

# position: limits 150 XRP and 400 RLUSD, soft limit 0.9 of them


@pytest.mark.parametrize(
    ("drops", "severity"),
    [(134_999_999, N), (135_000_000, R), (135_000_001, R), (150_000_000, R), (150_000_001, K)],
)
def test_xrp_held(drops: int, severity: Severity) -> None:
    result = judge(seen(market()), view=accounts(drops))
    assert said(result, "position_xrp").severity is severity
    assert [(gate.name, gate.side) for gate in result.gates] == ([("Risk", "bid")] if severity is R else [])


@pytest.mark.parametrize(
    ("quote", "severity"), [("359.99", N), ("360", R), ("360.01", R), ("400", R), ("400.01", K)]
)
def test_rlusd_held(quote: str, severity: Severity) -> None:
    result = judge(seen(market()), view=accounts(0, quote))
    assert said(result, "position_rlusd").severity is severity
    assert [(gate.name, gate.side) for gate in result.gates] == ([("Risk", "ask")] if severity is R else [])


def test_the_side_that_reduces_is_left_open_and_the_gate_says_why() -> None:
    (gate,) = judge(seen(market()), view=accounts(135 * XRP)).gates
    assert gate.detail == (
        "position_xrp: 135 XRP held, from 135 on only asks (inventory.soft_limit_share 0.9 of "
        "risk.max_xrp_exposure 150)"
    )


# velocity: 150 XRP is 100 %


def held(state: RiskState, drops: int, at: int) -> RiskAssessment:
    """Fills have brought so much; the overlay keeps the whole position at 50 XRP."""
    view = accounts(50 * XRP - drops, fills_base_drops=drops)
    return judge(seen(market(close_time=NOW + at)), state=state, view=view)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("drops", "severity"),
    [
        (74_999_999, N),
        (75_000_000, W),
        (75_000_001, W),
        (149_999_999, W),
        (150_000_000, P),
        (299_999_999, P),
        (300_000_000, K),
        (300_000_001, K),
    ],
)
def test_the_change_by_fills_within_the_window(drops: int, severity: Severity, sign: int) -> None:
    result = held(START, sign * drops, 4)
    assert said(result, "position_velocity").severity is severity
    assert (result.halt is not None and result.halt.reason is HaltReason.KILL_SWITCH) is (severity is K)


@pytest.mark.parametrize(("at", "severity"), [(63, W), (64, N), (65, N)])
def test_a_change_leaves_the_window_after_its_seconds(at: int, severity: Severity) -> None:
    state = held(START, 75 * XRP, 4).state
    assert said(held(state, 75 * XRP, at), "position_velocity").severity is severity


def test_small_changes_of_a_window_add_up_and_old_ones_drop_out() -> None:
    state, spoke = START, []
    for step in range(1, 9):  # 15 XRP every 20 s: 45 XRP within any 60 s
        result = held(state, step * 15 * XRP, step * 20)
        state = result.state
        spoke.append(said(result, "position_velocity").severity)
    assert set(spoke) == {N}
    state, spoke = START, []
    for step in range(1, 7):  # 15 XRP every 10 s: 75 XRP with the fifth
        result = held(state, step * 15 * XRP, step * 10)
        state = result.state
        spoke.append(said(result, "position_velocity").severity)
    assert spoke == [N, N, N, N, W, W]


def test_there_and_back_counts_as_far_as_it_went() -> None:
    state = held(START, 75 * XRP, 4).state
    back = held(state, 0, 8)
    assert said(back, "position_velocity").severity is W  # 75 XRP in 4 s, back to where it was


def test_the_window_remembers_no_more_than_it_needs() -> None:
    state = START
    for step in range(1, 500):
        state = held(state, step, step * 4).state
    assert len(state.position_velocity.steps) <= 17


def test_money_put_in_is_no_velocity() -> None:
    result = judge(seen(market()), view=accounts(140 * XRP))
    assert said(result, "position_velocity").severity is N


# balance jump: 20 % of 150 XRP is 30 XRP, of 400 RLUSD is 80


def balance(state: RiskState, drops: int, quote: str, at: int = 0, **books: object) -> RiskAssessment:
    """Our books have 100 XRP and 220 RLUSD; the ledger says something else."""
    view = accounts(100 * XRP, "220", **books)
    there = account(drops, quote)
    return judge(seen(market(close_time=NOW + at), account=there, books=view), state=state, view=view)


@pytest.mark.parametrize(
    ("drops", "quote", "severity"),
    [
        (70_000_001, "220", N),
        (70_000_000, "220", W),
        (129_999_999, "220", N),
        (130_000_000, "220", W),
        (100_000_000, "140.01", N),
        (100_000_000, "140", W),
        (100_000_000, "299.99", N),
        (100_000_000, "300", W),
    ],
)
def test_a_balance_far_from_our_books(drops: int, quote: str, severity: Severity) -> None:
    assert said(balance(START, drops, quote), "balance_jump").severity is severity


@pytest.mark.parametrize(("after", "severity"), [(4, W), (5, K), (6, K)])
def test_a_jump_that_nothing_explains_kills_after_its_seconds(after: int, severity: Severity) -> None:
    state = balance(START, 130 * XRP, "220").state
    result = balance(state, 130 * XRP, "220", at=after)
    assert said(result, "balance_jump").severity is severity
    if severity is K:
        assert result.halt is not None
        assert result.halt.reason is HaltReason.KILL_SWITCH
        assert "30 XRP and 0 RLUSD from our books" in result.halt.detail


def test_a_fill_heard_of_in_time_explains_a_jump() -> None:
    state = balance(START, 130 * XRP, "220").state
    told = balance(state, 130 * XRP, "160", at=4, fills_base_drops=30 * XRP, fills_quote=D(-60))
    assert said(told, "balance_jump").severity is N
    assert said(balance(told.state, 130 * XRP, "220", at=9), "balance_jump").severity is W  # counted anew


def test_fees_explain_what_they_burned() -> None:
    assert said(balance(START, 70 * XRP, "220", fees_drops=30 * XRP), "balance_jump").severity is N


def test_silence_neither_explains_a_jump_nor_lets_it_age() -> None:
    state = balance(START, 130 * XRP, "220").state
    silent = judge(seen(), state=state, now=NOW + 9)
    assert said(silent, "balance_jump").severity is W
    assert silent.halt is None


def test_before_the_opening_is_booked_there_is_nothing_to_compare() -> None:
    assert said(judge(seen(market())), "balance_jump").severity is N


@pytest.mark.parametrize("quote", ["NaN", "Infinity"])
def test_a_balance_that_is_no_number_is_a_jump(quote: str) -> None:
    state = balance(START, 100 * XRP, quote).state
    assert said(balance(state, 100 * XRP, quote, at=5), "balance_jump").severity is K


# reserve: 1 XRP and 0.2 an object; with five objects 2 XRP are locked


def spare(drops: int, owner_count: int = 5) -> RiskAssessment:
    there = account(drops, "220", owner_count=owner_count)
    view = accounts(drops, "220")
    return judge(seen(market(), account=there, books=view), view=view)


@pytest.mark.parametrize(
    ("drops", "severity"),
    [(12_000_000, N), (11_999_999, W), (7_000_000, W), (6_999_999, R), (2_000_000, R), (0, R)],
)
def test_xrp_above_the_reserve(drops: int, severity: Severity) -> None:
    result = spare(drops)
    assert said(result, "reserve_headroom").severity is severity
    assert [(gate.name, gate.side) for gate in result.gates] == ([("Risk", "ask")] if severity is R else [])


def test_objects_that_lock_reserve_take_from_the_headroom() -> None:
    assert said(spare(12 * XRP, owner_count=6), "reserve_headroom").severity is W


def test_a_threshold_of_zero_never_closes_asks_above_the_reserve() -> None:
    config = with_config("monitors", reserve_warn_xrp=D("0.000001"), reserve_reduce_xrp=D(0))
    there, view = account(2 * XRP, "0", owner_count=5), accounts(2 * XRP)
    result = judge(seen(market(), account=there, books=view), view=view, config=config)
    assert said(result, "reserve_headroom").severity is W
