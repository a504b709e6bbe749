"""The monitors of what we send, at and on both sides of every threshold, and what they remember."""

from __future__ import annotations

import pytest

from neo_engine.domain.severity import Severity
from neo_engine.risk import RiskAssessment, RiskState, initial_state
from neo_engine.risk.monitors.sending import is_refusal
from tests.unit.core_values import NOW, XRP, accounts
from tests.unit.monitor_fixture import START, K, N, P, W, judge, market, said, seen

OK, NO = "tesSUCCESS", "tecUNFUNDED_OFFER"
DAY_BEGINS = 800_064_000  # 9,260 days of 86,400 s after 2000-01-01


def answered(*codes: str, state: RiskState = START, at: int = 0) -> RiskAssessment:
    return judge(seen(market(close_time=NOW + at), results=codes), state=state)


@pytest.mark.parametrize(
    ("code", "refused"),
    [
        ("tesSUCCESS", False),
        ("tecINSUF_RESERVE_OFFER", True),
        ("temBAD_OFFER", True),
        ("tefMAX_LEDGER", True),
        ("invalidTransaction", True),
        ("invalidParams", True),
        ("terQUEUED", None),
        ("telCAN_NOT_QUEUE", None),
        ("noAnswer", None),
        ("dry run: tesSUCCESS", None),
        ("dry run: temBAD_OFFER", None),
        ("", None),
    ],
)
def test_what_counts_as_refused(code: str, refused: bool | None) -> None:
    assert is_refusal(code) is refused


# submit errors: three in a row


@pytest.mark.parametrize(("count", "severity"), [(2, N), (3, P), (4, P)])
@pytest.mark.parametrize("code", [NO, "temBAD_OFFER", "tefPAST_SEQ"])
def test_orders_refused_in_a_row(count: int, severity: Severity, code: str) -> None:
    assert said(answered(*[code] * count), "submit_errors").severity is severity


def test_refusals_add_up_over_ticks_and_one_success_starts_them_again() -> None:
    state = answered(NO, state=answered(NO).state, at=4).state
    assert said(answered(NO, state=state, at=8), "submit_errors").severity is P
    assert said(answered(OK, NO, state=state, at=8), "submit_errors").severity is N


def test_what_decides_nothing_neither_adds_nor_clears() -> None:
    assert said(answered(NO, "terQUEUED", NO, "noAnswer"), "submit_errors").severity is N
    assert said(answered(NO, "terQUEUED", NO, "noAnswer", NO), "submit_errors").severity is P


@pytest.mark.parametrize(("after", "severity"), [(59, P), (60, N), (61, N)])
def test_a_pull_for_refusals_ends_by_itself(after: int, severity: Severity) -> None:
    state = answered(NO, NO, NO).state
    assert said(answered(state=state, at=after), "submit_errors").severity is severity
    silent = judge(seen(), state=state, now=NOW + after)
    assert said(silent, "submit_errors").severity is severity


def test_submit_errors_never_kill() -> None:
    result = answered(*[NO] * 500)
    assert (result.severity, result.halt) == (P, None)
    assert {(gate.name, gate.side) for gate in result.gates} == {("Risk", "both")}


# reject rate: of the last 20


def mixed(refused: int, of: int = 20) -> list[str]:
    """So many refusals, no three in a row."""
    codes = [OK] * of
    for number in range(refused):
        codes[number * of // refused] = NO
    return codes


@pytest.mark.parametrize(("refused", "severity"), [(4, N), (5, W), (6, W), (9, W), (10, P), (11, P)])
def test_the_share_of_refused_orders(refused: int, severity: Severity) -> None:
    result = answered(*mixed(refused))
    assert said(result, "reject_rate").severity is severity
    assert said(result, "submit_errors").severity is N


def test_fewer_answers_than_the_window_say_nothing() -> None:
    few = answered(*mixed(9, of=19))
    assert said(few, "reject_rate").severity is N
    assert said(answered(OK, state=few.state, at=4), "reject_rate").severity is W


def test_old_answers_leave_the_window() -> None:
    state = answered(*[NO, OK] * 10).state
    assert said(answered(*[OK] * 10, state=state, at=4), "reject_rate").severity is W
    assert said(answered(*[OK] * 12, state=state, at=4), "reject_rate").severity is N


@pytest.mark.parametrize(("after", "severity"), [(59, P), (60, N)])
def test_a_pull_for_the_rate_ends_by_itself(after: int, severity: Severity) -> None:
    state = answered(*[NO, OK] * 10).state
    assert said(answered(state=state, at=after), "reject_rate").severity is severity


def test_after_the_pause_the_rate_needs_a_whole_window_again() -> None:
    state = answered(state=answered(*[NO, OK] * 10).state, at=60).state
    assert said(answered(NO, state=state, at=64), "reject_rate").severity is N


# fee burn: 5,000,000 drops a day


def burned(drops: int, *, state: RiskState = START, now: int = NOW) -> RiskAssessment:
    view = accounts(100 * XRP, "220", fees_drops=drops)
    return judge(seen(market(close_time=now)), state=state, view=view)


@pytest.mark.parametrize(
    ("drops", "severity"),
    [(0, N), (2_499_999, N), (2_500_000, W), (4_999_999, W), (5_000_000, P), (5_000_001, P), (10**15, P)],
)
def test_fees_of_a_day(drops: int, severity: Severity) -> None:
    assert said(burned(drops), "fee_burn").severity is severity


def test_a_new_day_of_utc_has_a_budget_of_its_own() -> None:
    first = burned(5_000_000, state=initial_state(DAY_BEGINS - 100), now=DAY_BEGINS - 1)
    assert said(first, "fee_burn").severity is P
    second = burned(5_000_000, state=first.state, now=DAY_BEGINS)
    assert said(second, "fee_burn").severity is N
    assert said(burned(7_500_000, state=second.state, now=DAY_BEGINS + 4), "fee_burn").severity is W


def test_fees_of_the_tick_that_begins_a_day_are_of_that_day() -> None:
    first = burned(1_000_000, state=initial_state(DAY_BEGINS - 100), now=DAY_BEGINS - 1)
    assert said(burned(3_500_000, state=first.state, now=DAY_BEGINS), "fee_burn").severity is W


def test_fees_never_kill() -> None:
    assert burned(10**18).severity is not K
