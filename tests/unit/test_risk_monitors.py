"""The monitors: each halt at its limit and on both sides of it, the memory between ticks."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from msgspec.structs import replace

from neo_engine.domain.halt import HaltReason
from neo_engine.domain.market import DataFault
from neo_engine.domain.records import Accounts
from neo_engine.risk import (
    RiskAssessment,
    RiskObservation,
    RiskState,
    assess,
    drawdown_of,
    initial_state,
    minimum_peak,
)
from neo_engine.risk.state import Count
from tests.unit.core_values import NOW, XRP, accounts, paper_config, with_config

CONFIG = paper_config()
UNTRUSTED = sorted(set(DataFault) - {DataFault.EMPTY_SIDE, DataFault.FROZEN}, key=lambda fault: fault.value)


def seen(
    *,
    at: int | None = NOW,
    feed_faults: int = 0,
    data: tuple[DataFault, ...] = (),
    kill: tuple[str, ...] = (),
) -> RiskObservation:
    return RiskObservation(close_time=at, feed_faults=feed_faults, data_faults=data, kill=kill)


def judge(
    view: Accounts | None = None,
    observation: RiskObservation | None = None,
    *,
    state: RiskState | None = None,
    now: int = NOW,
) -> RiskAssessment:
    return assess(
        state or initial_state(NOW), view or accounts(100 * XRP, "220"), observation or seen(), CONFIG, now
    )


def reason(result: RiskAssessment) -> HaltReason | None:
    return result.halt.reason if result.halt else None


def worth(value: str, *, net: str = "1000", mark: str = "2") -> Accounts:
    """Books whose account value and net capital are as given."""
    return accounts(0, "0", account_value=D(value), net_capital=D(net), mark=D(mark))


def test_a_sound_tick_has_nothing_to_say() -> None:
    result = judge()
    assert (result.halt, result.gates, result.drawdown_pct) == (None, (), D(0))


@pytest.mark.parametrize(
    ("drops", "halts"), [(149_999_999, False), (150_000_000, False), (150_000_001, True)]
)
def test_xrp_held_above_its_limit_halts(drops: int, halts: bool) -> None:
    assert (reason(judge(accounts(drops))) is HaltReason.RISK_XRP_EXPOSURE) is halts


def test_xrp_exposure_is_fills_plus_overlay() -> None:
    view = accounts(100 * XRP, fills_base_drops=50 * XRP + 1)
    assert reason(judge(view)) is HaltReason.RISK_XRP_EXPOSURE


@pytest.mark.parametrize(("quote", "halts"), [("399.99", False), ("400", False), ("400.000000001", True)])
def test_rlusd_held_above_its_limit_halts(quote: str, halts: bool) -> None:
    assert (reason(judge(accounts(0, quote))) is HaltReason.RISK_RLUSD_EXPOSURE) is halts


@pytest.mark.parametrize(("value", "halts"), [("975.01", False), ("975", False), ("974.99", True)])
def test_a_loss_above_its_limit_halts(value: str, halts: bool) -> None:
    result = judge(worth(value))
    assert (reason(result) is HaltReason.RISK_MAX_LOSS) is halts


@pytest.mark.parametrize(("value", "halts"), [("90.01", False), ("90", False), ("89.99", True)])
def test_a_drawdown_above_its_limit_halts(value: str, halts: bool) -> None:
    # Net capital 100, so 10 % of the peak is 10 RLUSD, below the 25 RLUSD of max_loss.
    start = judge(worth("100", net="100")).state
    result = judge(worth(value, net="100"), state=start)
    assert (reason(result) is HaltReason.RISK_MAX_DRAWDOWN) is halts
    assert result.drawdown_pct == 100 - D(value)


def test_a_drawdown_counts_from_the_peak_not_from_the_start() -> None:
    state = judge(worth("100", net="100")).state
    state = judge(worth("110", net="100"), state=state).state
    result = judge(worth("98", net="100"), state=state)
    assert state.drawdown.peak_value == D(110)
    assert reason(result) is HaltReason.RISK_MAX_DRAWDOWN  # 12 of 110 is 10.9 %
    assert "10.9091 %" in (result.halt.detail if result.halt else "")


def test_a_withdrawal_is_no_drawdown() -> None:
    state = judge(worth("400", net="400")).state
    result = judge(worth("100", net="100"), state=state)
    assert (result.halt, result.drawdown_pct) == (None, D(0))


def test_a_deposit_hides_no_drawdown() -> None:
    state = judge(worth("100", net="100")).state
    result = judge(worth("188", net="200"), state=state)
    assert result.drawdown_pct == 12


def test_a_small_account_is_measured_against_the_minimum_peak() -> None:
    # 2 % of max(150 XRP x 2, 400 RLUSD) = 8: a loss of 0.5 from a peak of 1 is 6.25 %, not 50 %.
    assert minimum_peak(CONFIG, D(2)) == 8
    state = judge(worth("1", net="1")).state
    assert judge(worth("0.5", net="1"), state=state).drawdown_pct == D("6.25")


def test_the_minimum_peak_is_never_below_one() -> None:
    tiny = with_config("risk", max_xrp_exposure=D(1), max_rlusd_exposure=D(1))
    assert minimum_peak(tiny, D(2)) == 1


def test_the_minimum_peak_follows_the_larger_position() -> None:
    assert minimum_peak(CONFIG, D(3)) == 9  # 150 XRP at 3 is more than 400 RLUSD


def test_no_fall_is_no_drawdown() -> None:
    assert drawdown_of(D(10), D(10), D(1)) == 0
    assert drawdown_of(D(11), D(10), D(1)) == 0


def test_before_a_mark_there_is_neither_loss_nor_drawdown() -> None:
    result = judge(replace(worth("0"), mark=None))
    assert (result.halt, result.state.drawdown.peak_value) == (None, None)


@pytest.mark.parametrize(("faults", "halts"), [(4, False), (5, True), (6, True)])
def test_feed_failures_in_a_row_halt(faults: int, halts: bool) -> None:
    state = initial_state(NOW)
    for _ in range(faults - 1):
        state = judge(observation=seen(at=None, feed_faults=1), state=state).state
    result = judge(observation=seen(at=None, feed_faults=1), state=state)
    assert (reason(result) is HaltReason.RISK_RPC_FAILURE) is halts


def test_a_good_ledger_clears_the_failures_before_it() -> None:
    state = judge(observation=seen(at=None, feed_faults=4)).state
    state = judge(state=state).state
    assert state.feed_failures.count == 0
    assert judge(observation=seen(at=None, feed_faults=4), state=state).halt is None


def test_a_burst_that_ended_with_a_ledger_is_still_seen() -> None:
    assert reason(judge(observation=seen(feed_faults=5))) is HaltReason.RISK_RPC_FAILURE


@pytest.mark.parametrize(("age", "pulled"), [(9, False), (10, True), (11, True)])
def test_quotes_are_pulled_without_a_ledger(age: int, pulled: bool) -> None:
    result = judge(observation=seen(at=None), now=NOW + age)
    assert [(gate.name, gate.side) for gate in result.gates] == ([("StaleData", "both")] if pulled else [])
    assert result.halt is None


@pytest.mark.parametrize(("age", "halts"), [(59, False), (60, True), (61, True)])
def test_the_session_halts_without_a_ledger(age: int, halts: bool) -> None:
    result = judge(observation=seen(at=None), now=NOW + age)
    assert (reason(result) is HaltReason.RISK_STALE_LEDGER) is halts


def test_a_ledger_that_is_old_when_it_comes_is_stale_too() -> None:
    result = judge(observation=seen(at=NOW), now=NOW + 20)
    assert [gate.name for gate in result.gates] == ["StaleData"]


def test_a_new_ledger_ends_the_staleness() -> None:
    state = judge(observation=seen(at=None), now=NOW + 30).state
    assert judge(observation=seen(at=NOW + 31), state=state, now=NOW + 31).gates == ()


@pytest.mark.parametrize("fault", UNTRUSTED, ids=lambda fault: fault.value)
def test_untrusted_data_for_too_long_halts(fault: DataFault) -> None:
    state = initial_state(NOW)
    reasons = []
    for _ in range(15):
        result = judge(observation=seen(data=(fault,)), state=state)
        state = result.state
        reasons.append(reason(result))
    assert reasons == [None] * 14 + [HaltReason.RISK_GATEWAY_UNHEALTHY]


def test_one_trusted_ledger_clears_the_unhealthy_count() -> None:
    state = replace(initial_state(NOW), unhealthy_data=Count(count=14))
    assert judge(state=state).state.unhealthy_data.count == 0


@pytest.mark.parametrize("fault", [DataFault.EMPTY_SIDE, DataFault.FROZEN])
def test_what_the_market_is_does_not_count_against_the_server(fault: DataFault) -> None:
    state = replace(initial_state(NOW), unhealthy_data=Count(count=14))
    result = judge(observation=seen(data=(fault,)), state=state)
    assert (result.halt, result.state.unhealthy_data.count) == (None, 0)


def test_a_harmless_fault_does_not_excuse_another() -> None:
    state = replace(initial_state(NOW), unhealthy_data=Count(count=14))
    result = judge(observation=seen(data=(DataFault.EMPTY_SIDE, DataFault.CROSSED)), state=state)
    assert reason(result) is HaltReason.RISK_GATEWAY_UNHEALTHY


def test_silence_is_neither_healthy_nor_unhealthy() -> None:
    state = replace(initial_state(NOW), unhealthy_data=Count(count=7))
    result = judge(observation=seen(at=None, data=(DataFault.STALE,)), state=state)
    assert result.state.unhealthy_data.count == 7


def test_the_kill_switch_comes_before_everything() -> None:
    view = accounts(999 * XRP, "999", account_value=D(0))
    observation = seen(at=None, feed_faults=99, kill=("file: operator",))
    result = judge(view, observation, now=NOW + 999)
    assert result.halt is not None
    assert (result.halt.reason, result.halt.detail) == (HaltReason.KILL_SWITCH, "file: operator")


@pytest.mark.parametrize(
    ("view", "numbers"),
    [
        (accounts(151 * XRP), ("151 XRP", "risk.max_xrp_exposure 150")),
        (accounts(0, "401.5"), ("401.5 RLUSD", "risk.max_rlusd_exposure 400")),
        (worth("970"), ("-30 RLUSD", "risk.max_loss_rlusd 25")),
    ],
)
def test_a_halt_tells_its_numbers_and_its_key(view: Accounts, numbers: tuple[str, ...]) -> None:
    result = judge(view)
    assert result.halt is not None
    assert all(number in result.halt.detail for number in numbers)
