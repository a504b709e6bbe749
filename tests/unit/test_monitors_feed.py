"""A ledger that does not come: the market's, the connection's or the network's silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from neo_engine.config import load_config
from neo_engine.domain.halt import HaltReason
from neo_engine.domain.link import Link
from neo_engine.domain.severity import Severity
from neo_engine.risk import RiskAssessment, RiskState
from tests.unit.core_values import NOW, with_config
from tests.unit.monitor_fixture import START, K, N, P, judge, market, said, seen

#: The halt as all live files deliver it.
LIVE = with_config("risk", stale_halt_seconds=30)


def silent(age: int, attempts: int = 0, state: RiskState = START) -> RiskAssessment:
    link = Link(attempts=attempts, unhealthy="")
    return judge(seen(link=link), state=state, config=LIVE, now=NOW + age)


@pytest.mark.parametrize("name", ["live_stage1", "live_testnet", "paper_mainnet"])
def test_the_networks_files_pull_at_10_seconds_and_halt_at_30(root: Path, name: str) -> None:
    risk = load_config(root / "config" / f"{name}.yaml").risk
    assert (risk.stale_pull_seconds, risk.stale_halt_seconds, risk.stale_data_seconds) == (10, 30, 15)


@pytest.mark.parametrize(("age", "severity"), [(9, N), (10, P), (11, P), (29, P), (30, K), (31, K)])
def test_staleness(age: int, severity: Severity) -> None:
    assert said(silent(age), "staleness").severity is severity


@pytest.mark.parametrize("age", [30, 31, 300])
@pytest.mark.parametrize(("attempts", "severity"), [(1, P), (4, P), (5, P), (6, K), (7, K)])
def test_while_connecting_again_up_to_five_attempts_nothing_halts(
    attempts: int, severity: Severity, age: int
) -> None:
    result = silent(age, attempts)
    assert said(result, "staleness").severity is severity
    assert (result.halt is None) is (severity is P)
    assert f"attempt {attempts} (monitors.reconnect_attempts 5)" in said(result, "staleness").detail


def test_the_sixth_attempt_does_not_halt_before_the_ledger_is_old_enough() -> None:
    assert said(silent(29, 6), "staleness").severity is P


@pytest.mark.parametrize(("later", "severity"), [(0, P), (9, P), (10, K), (11, K)])
def test_a_connection_that_is_back_has_ten_seconds_to_bring_what_was_missed(
    later: int, severity: Severity
) -> None:
    state = silent(40, 2).state
    assert said(silent(40 + later, state=state), "staleness").severity is severity


def test_a_ledger_ends_that_grace() -> None:
    broken = silent(40, 2).state
    came = judge(seen(market(11)), state=broken, config=LIVE)  # 44 s later
    assert said(came, "staleness").severity is N
    assert said(silent(44 + 30, state=came.state), "staleness").severity is K


def test_without_attempts_allowed_a_lost_connection_halts_like_any_silence() -> None:
    never = LIVE.model_copy(update={"monitors": LIVE.monitors.model_copy(update={"reconnect_attempts": 0})})
    result = judge(seen(link=Link(attempts=1, unhealthy="")), config=never, now=NOW + 30)
    assert result.halt is not None
    assert result.halt.reason is HaltReason.RISK_STALE_LEDGER


# the network's: 3 intervals of 4 s


@pytest.mark.parametrize(("age", "severity"), [(0, N), (11, N), (12, P), (13, P), (10**6, P)])
def test_a_network_that_stands_still_is_told_and_never_kills(age: int, severity: Severity) -> None:
    reading = said(silent(age), "ledger_stall")
    assert reading.severity is severity
    assert ("though connected: the network or the servers stand still" in reading.detail) is (severity is P)
    assert "the gateway says" not in reading.detail


def test_a_ledger_that_cannot_be_had_is_told_from_a_network_that_stands_still() -> None:
    link = Link(attempts=0, unhealthy="stale: no whole ledgers for 12.0 s")
    reading = said(judge(seen(link=link), config=LIVE, now=NOW + 12), "ledger_stall")
    assert reading.severity is P
    assert reading.detail.endswith("; the gateway says: stale: no whole ledgers for 12.0 s")


@pytest.mark.parametrize("attempts", [1, 99])
def test_a_lost_connection_is_no_stall(attempts: int) -> None:
    assert said(silent(100, attempts), "ledger_stall").severity is N


def test_a_ledger_ends_the_stall_however_old_it_is() -> None:
    state = silent(12).state
    assert said(judge(seen(market()), state=state, config=LIVE, now=NOW + 14), "ledger_stall").severity is N
