"""What a UTC day may cost: its loss and its fees, over all sessions of the account."""

from __future__ import annotations

from contextlib import closing
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from benchmarks.state_workload import FIRST_CLOSE, session_end, session_start
from neo_engine.config import Config
from neo_engine.domain.halt import HaltReason
from neo_engine.domain.records import Accounts
from neo_engine.domain.severity import Severity
from neo_engine.domain.today import NOTHING_YET, Today
from neo_engine.live_left import LeftBehind, left_behind
from neo_engine.risk import RiskAssessment, RiskState, initial_state
from neo_engine.state.manager import StateManager
from tests.unit.core_values import D, accounts, with_config
from tests.unit.monitor_fixture import K, N, P, W, judge, market, said, seen
from tests.unit.state_fixture import OPTIONS, fixed_now
from tests.unit.test_live_left import tick
from tests.unit.test_main_loop import desk, end, ledger
from tests.unit.test_monitors_sending import DAY_BEGINS

ACCOUNT = "rPz9VGdPKspx3ci7bAPtKm8d7bjTDcDC1Q"
DAY = 86_400
#: The day's limit is 25 RLUSD as delivered; the session's own is put out of the way.
ROOMY = with_config("risk", max_loss_rlusd=D(10_000), max_drawdown_pct=D(100))


def result(
    pnl: str, at: int, state: RiskState, *, mark: str | None = "2", config: Config = ROOMY
) -> RiskAssessment:
    """A tick at which the session has made `pnl`."""
    view = accounts(
        0, "0", net_capital=D(1000), account_value=1000 + D(pnl), mark=None if mark is None else D(mark)
    )
    return judge(seen(market(close_time=at)), state=state, view=view, config=config)


@pytest.mark.parametrize(
    ("pnl", "severity"), [("1", N), ("0", N), ("-24.99", N), ("-25", N), ("-25.000001", K), ("-900", K)]
)
def test_the_loss_of_a_day(pnl: str, severity: Severity) -> None:
    assert said(result(pnl, DAY_BEGINS + 4, initial_state(DAY_BEGINS)), "daily_loss").severity is severity


def test_it_ends_the_session_as_a_loss_and_tells_number_and_key() -> None:
    halt = result("-25.5", DAY_BEGINS + 4, initial_state(DAY_BEGINS)).halt
    assert halt is not None
    assert halt.reason is HaltReason.RISK_MAX_LOSS
    assert halt.detail == "P&L -25.5 RLUSD in this UTC day (risk.max_daily_loss_rlusd 25)"


@pytest.mark.parametrize(
    ("earlier", "pnl", "severity"),
    [("-20", "-5", N), ("-20", "-5.01", K), ("-25.01", "0", K), ("30", "-55", N), ("30", "-55.01", K)],
)
def test_what_earlier_sessions_made_on_the_day_counts(earlier: str, pnl: str, severity: Severity) -> None:
    state = initial_state(DAY_BEGINS, Today(fees_drops=0, pnl_rlusd=D(earlier)))
    assert said(result(pnl, DAY_BEGINS + 4, state), "daily_loss").severity is severity


@pytest.mark.parametrize(("pnl", "severity"), [("-45", N), ("-45.01", K)])
def test_a_new_day_begins_from_what_the_session_had_made(pnl: str, severity: Severity) -> None:
    state = initial_state(DAY_BEGINS - 100, Today(fees_drops=0, pnl_rlusd=D(-4)))
    evening = result("-20", DAY_BEGINS - 1, state)
    assert said(evening, "daily_loss").severity is N  # 24 in all
    morning = result("-20", DAY_BEGINS, evening.state)
    assert said(result(pnl, DAY_BEGINS + 4, morning.state), "daily_loss").severity is severity


def test_a_loss_of_the_tick_that_begins_a_day_is_of_that_day() -> None:
    evening = result("-20", DAY_BEGINS - 1, initial_state(DAY_BEGINS - 100))
    assert said(result("-45.01", DAY_BEGINS, evening.state), "daily_loss").severity is K


def test_before_a_mark_only_what_is_known_counts() -> None:
    fresh = initial_state(DAY_BEGINS)
    assert said(result("-900", DAY_BEGINS + 4, fresh, mark=None), "daily_loss").severity is N
    lost = initial_state(DAY_BEGINS, Today(fees_drops=0, pnl_rlusd=D(-26)))
    assert said(result("0", DAY_BEGINS + 4, lost, mark=None), "daily_loss").severity is K


@pytest.mark.parametrize(
    ("earlier", "burned", "severity"),
    [(2_499_999, 0, N), (2_499_999, 1, W), (4_000_000, 999_999, W), (4_000_000, 1_000_000, P)],
)
def test_fees_of_earlier_sessions_on_the_day_count(earlier: int, burned: int, severity: Severity) -> None:
    state = initial_state(DAY_BEGINS, Today(fees_drops=earlier, pnl_rlusd=D(0)))
    view = accounts(0, "0", fees_drops=burned)
    told = judge(seen(market(close_time=DAY_BEGINS + 4)), state=state, view=view)
    assert said(told, "fee_burn").severity is severity
    next_day = judge(seen(market(close_time=DAY_BEGINS + DAY)), state=told.state, view=view)
    assert said(next_day, "fee_burn").severity is N


# what a start reads


def books(value: str, capital: str = "100", mark: str | None = "2") -> Accounts:
    return accounts(
        0, "0", account_value=D(value), net_capital=D(capital), mark=None if mark is None else D(mark)
    )


def session(path: Path, *ticks: tuple[int, Accounts], account: str = ACCOUNT, mode: str = "live") -> None:
    """Store a session with a tick for each (seconds after FIRST_CLOSE, books)."""
    with closing(StateManager.open(path, OPTIONS, now=fixed_now)) as store:
        store.begin_session(replace(session_start(mode), account=account))
        for number, (seconds, view) in enumerate(ticks, 1):
            one = tick(number, snapshot=None, kind="silence")
            store.commit_intent(replace(one, close_time=FIRST_CLOSE + seconds, accounts=view))
        store.end_session(session_end(len(ticks)))


def left(path: Path) -> LeftBehind:
    with closing(StateManager.open(path, OPTIONS, now=fixed_now)) as store:
        return left_behind(store, ACCOUNT)


def made(path: Path, seconds: int) -> Decimal:
    return left(path).today(FIRST_CLOSE + seconds).pnl_rlusd


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "neo.db"


def test_an_empty_database_has_no_day(db: Path) -> None:
    assert left(db).today(FIRST_CLOSE) == NOTHING_YET


def test_the_results_of_a_day_add_up_over_its_sessions_and_end_with_it(db: Path) -> None:
    session(db, (0, books("100")), (4, books("97.5")))
    session(db, (60, books("97.5", "97.5")), (64, books("99.5", "97.5")))
    session(db, (90, books("0", "0", None)))
    assert made(db, 100) == D("-0.5")  # -2.5 + 2 + nothing known
    # FIRST_CLOSE is 20:37:00Z: midnight is 12,180 s later.
    assert made(db, 12_179) == D("-0.5")
    assert made(db, 12_180) == 0


def test_of_a_session_over_midnight_only_the_new_day_counts(db: Path) -> None:
    session(db, (12_000, books("100")), (12_176, books("90")), (12_180, books("88")), (12_184, books("87")))
    assert made(db, 12_200) == -3
    assert made(db, 12_000) == 0  # that day is over


def test_other_accounts_and_paper_are_not_counted(db: Path) -> None:
    session(db, (0, books("50")), account="rHoSnGKTij3VS5LbxMQfae79pob6A8UaC3")
    session(db, (0, books("40")), mode="paper")
    session(db, (0, books("99")))
    assert made(db, 60) == -1


def test_what_a_start_read_stands_in_a_journals_header_and_comes_back(db: Path) -> None:
    session(db, (0, books("100")), (4, books("97.5")))
    behind = left(db)
    header = msgspec.json.decode(msgspec.json.encode(msgspec.to_builtins(behind, str_keys=True)))
    again = msgspec.convert(header, LeftBehind, strict=False)
    assert again == behind
    assert again.today(FIRST_CLOSE).pnl_rlusd == D("-2.5")


def test_a_session_begins_with_what_the_day_has_cost_already() -> None:
    spent = desk(ledger(1), ledger(2), end(2))
    spent.session = replace(spent.session, today=Today(fees_drops=0, pnl_rlusd=D("-25.01")))
    assert spent.run().halt.reason is HaltReason.RISK_MAX_LOSS
    near = desk(ledger(1), ledger(2), end(2))
    near.session = replace(near.session, today=Today(fees_drops=0, pnl_rlusd=D("-24.5")))
    assert near.run().halt.reason is HaltReason.RECORDING_ENDED
