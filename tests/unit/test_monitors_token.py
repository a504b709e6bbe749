"""The issuer's hand on the token, and the token's distance from what it stands for."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from neo_engine.domain.account_findings import AccountFinding, FindingKind
from neo_engine.domain.halt import HaltReason
from neo_engine.domain.market import DataFault
from neo_engine.domain.reference import ReferencePrice
from neo_engine.domain.severity import Severity
from neo_engine.risk import RiskAssessment, RiskState
from tests.unit.core_values import NOW, D, with_config
from tests.unit.monitor_fixture import CONFIG, START, K, N, P, W, judge, market, said, seen

CLAWED = AccountFinding(
    kind=FindingKind.CLAWBACK, ledger_index=1000, detail="the issuer took back", quote=D("-12.5")
)
FROZE = AccountFinding(kind=FindingKind.FREEZE, ledger_index=1000, detail="the line is frozen")
THAWED = replace(FROZE, active=False)


def issued(*findings: AccountFinding, number: int = 0, state: RiskState = START) -> RiskAssessment:
    return judge(seen(market(number), findings=findings), state=state)


def later(seconds: int, state: RiskState) -> Severity:
    return said(judge(seen(), state=state, now=NOW + seconds), "issuer").severity


def test_a_freeze_that_the_accounts_events_tell_kills_as_the_reconciler_does() -> None:
    result = issued(FROZE)
    assert said(result, "issuer").severity is K
    assert result.halt is not None
    assert result.halt.reason is HaltReason.RECONCILER_HALT
    assert result.halt.detail == "the line is frozen; 220 of the token are held"


def test_a_freeze_stays_until_its_end_is_told() -> None:
    state = issued(FROZE).state
    assert later(4, state) is K
    assert said(issued(THAWED, number=1, state=state), "issuer").severity is N
    assert said(issued(FROZE, THAWED), "issuer").severity is N
    assert said(issued(THAWED, FROZE), "issuer").severity is K


def test_a_token_that_the_ledger_shows_frozen_pulls_while_it_is() -> None:
    frozen = judge(seen(market(faults=(DataFault.FROZEN,))))
    assert said(frozen, "issuer").severity is P
    assert said(judge(seen(market(1)), state=frozen.state), "issuer").severity is N


@pytest.mark.parametrize("fault", sorted(set(DataFault) - {DataFault.FROZEN}, key=lambda one: one.value))
def test_another_fault_of_the_data_is_not_the_issuers(fault: DataFault) -> None:
    assert said(judge(seen(market(faults=(fault,)))), "issuer").severity is N


@pytest.mark.parametrize(("seconds", "severity"), [(0, P), (299, P), (300, N), (301, N)])
def test_a_clawback_pulls_for_five_minutes(seconds: int, severity: Severity) -> None:
    result = issued(CLAWED)
    assert said(result, "issuer").severity is P
    assert "took back 12.5 of the token 0 s ago" in said(result, "issuer").detail
    assert later(seconds, result.state) is severity


def test_a_second_clawback_begins_the_pause_anew() -> None:
    first = issued(CLAWED)
    second = issued(CLAWED, number=50, state=first.state)  # 200 s later
    assert later(499, second.state) is P
    assert later(500, second.state) is N


def test_other_findings_are_not_the_issuers() -> None:
    for kind in set(FindingKind) - {FindingKind.CLAWBACK, FindingKind.FREEZE}:
        assert said(issued(replace(FROZE, kind=kind)), "issuer").severity is N


# the peg: 0.5, 1 and 5 % for 60 s; the mid is 2


def reference(price: str, at: int = NOW) -> ReferencePrice:
    return ReferencePrice(price=D(price), at=at)


def held(price: str, seconds: int) -> RiskAssessment:
    """The reference has been at this price for so many seconds, a ledger every 4 s."""
    state = START
    for number in range(seconds // 4 + 1):
        at = NOW + 4 * number
        result = judge(seen(market(number), reference=reference(price, at)), state=state)
        state = result.state
    return result


@pytest.mark.parametrize(
    ("price", "severity"),
    [
        ("2", N),
        ("2.009999", N),
        ("2.01", W),
        ("2.019999", W),
        ("2.02", P),
        ("2.099999", P),
        ("2.1", K),
        ("2.2", K),
        ("1.990001", N),
        ("1.99", W),
        ("1.98", P),
        ("1.9", K),
        ("0.000001", K),
    ],
)
def test_a_distance_that_lasts(price: str, severity: Severity) -> None:
    assert said(held(price, 60), "depeg").severity is severity
    assert said(held(price, 56), "depeg").severity is N


def test_a_depeg_kills_by_the_kill_switch_and_tells_its_numbers() -> None:
    halt = held("2.1", 60).halt
    assert halt is not None
    assert halt.reason is HaltReason.KILL_SWITCH
    assert halt.detail == (
        "monitor depeg: the reference 2.1 is 5 % from the mid 2 (monitors.depeg_kill_pct 5 for 60 s, "
        "monitors.depeg_seconds 60)"
    )


def test_one_good_price_ends_it_and_one_bad_price_begins_nothing() -> None:
    bad = held("2.2", 60).state
    good = judge(seen(market(16), reference=reference("2", NOW + 64)), state=bad)
    assert said(good, "depeg").severity is N
    again = judge(seen(market(17), reference=reference("2.2", NOW + 68)), state=good.state)
    assert said(again, "depeg").severity is N


def test_each_threshold_counts_its_own_time() -> None:
    state = held("2.02", 60).state  # a pull by now
    far = judge(seen(market(16), reference=reference("3", NOW + 64)), state=state)
    assert said(far, "depeg").severity is P
    still = judge(seen(market(31), reference=reference("3", NOW + 124)), state=far.state)
    assert said(still, "depeg").severity is K


def test_at_zero_seconds_it_acts_at_once() -> None:
    at_once = with_config("monitors", depeg_seconds=0)
    assert said(judge(seen(market(), reference=reference("2.02")), config=at_once), "depeg").severity is P


@pytest.mark.parametrize(("age", "severity"), [(60, N), (61, W), (10**6, W)])
def test_a_reference_that_fell_silent_is_noted_and_closes_nothing(age: int, severity: Severity) -> None:
    result = judge(seen(market(), reference=reference("2", NOW - age)))
    assert said(result, "depeg").severity is severity
    assert (result.gates, result.halt) == ((), None)


def test_a_pull_ends_when_the_reference_falls_silent() -> None:
    state = held("2.02", 60).state
    result = judge(seen(market(31), reference=reference("2.02", NOW + 60)), state=state)
    assert (said(result, "depeg").severity, result.gates) == (W, ())
    told = judge(seen(market(32), reference=reference("2.02", NOW + 60)), state=result.state)
    assert told.changed == ()


def test_without_a_reference_there_is_nothing_to_say() -> None:
    assert said(judge(seen(market())), "depeg").severity is N
    assert said(judge(seen(market(16)), state=held("2.2", 60).state), "depeg").severity is N


@pytest.mark.parametrize("mid", [None, Decimal("NaN"), Decimal(0), Decimal(-1)])
def test_without_a_believed_mid_what_was_said_stands(mid: Decimal | None) -> None:
    state = held("2.02", 60).state
    result = judge(seen(market(16, mid=mid), reference=reference("2", NOW + 64)), state=state)
    assert said(result, "depeg").severity is P
    gap = market(16, faults=(DataFault.GAP,))
    result = judge(seen(gap, reference=reference("2", NOW + 64)), state=state)
    assert said(result, "depeg").severity is P


def test_the_delivered_thresholds_are_those_of_this_file() -> None:
    monitors = CONFIG.monitors
    assert (monitors.depeg_warn_pct, monitors.depeg_pull_pct, monitors.depeg_kill_pct) == (D("0.5"), 1, 5)
    assert (monitors.depeg_seconds, CONFIG.reference.max_age_seconds) == (60, 60)
