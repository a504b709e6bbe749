"""The aggregator, and what each severity does to a tick: the highest decides, and everything is told."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from neo_engine.config import Config, parse_config
from neo_engine.domain.assets import Side
from neo_engine.domain.errors import ConfigError
from neo_engine.domain.halt import HaltReason
from neo_engine.domain.market import MarketSnapshot
from neo_engine.domain.orders import CancelOrder, OrderStatus, TransactionKind, TransactionOutcome
from neo_engine.domain.severity import Severity
from neo_engine.execution.tracking import orders_of
from neo_engine.risk.monitors import MONITORS
from neo_engine.tick import Decision, EngineState, decide, initial_state
from tests.unit import core_values as core
from tests.unit import test_tick as ticks
from tests.unit.core_values import NOW, XRP, D, accounts
from tests.unit.monitor_fixture import START, K, N, P, R, W, bought, judge, market, seen


def test_severities_are_ordered() -> None:
    assert N < W < R < P < K
    assert max(Severity) is K


def test_a_calm_tick_reads_nothing_and_stores_nothing() -> None:
    result = judge(seen(market()))
    assert (result.severity, result.changed, result.gates, result.halt) == (N, (), (), None)
    assert [one.monitor for one in result.state.readings] == [one.name for one in MONITORS]


def test_the_highest_severity_decides() -> None:
    view = accounts(140 * XRP, fees_drops=2_500_000)
    assert judge(seen(market()), view=accounts(0, fees_drops=2_500_000)).severity is W
    assert judge(seen(market()), view=view).severity is R
    assert judge(seen(market(), results=("temBAD_OFFER",) * 3), view=view).severity is P
    assert judge(seen(market(), feed_faults=5), view=view).severity is K


def test_a_warning_closes_nothing() -> None:
    result = judge(seen(market()), view=accounts(0, fees_drops=2_500_000))
    assert (result.gates, result.halt) == ((), None)
    assert [(one.monitor, one.severity) for one in result.changed] == [("fee_burn", W)]


def test_a_reading_is_told_once_when_it_comes_when_it_moves_and_when_it_goes() -> None:
    state, told = START, []
    for number, drops in enumerate([0, 2_500_000, 2_600_000, 5_000_000, 5_000_001]):
        result = judge(seen(market(number)), state=state, view=accounts(0, fees_drops=drops))
        state = result.state
        told.append([one.severity for one in result.changed])
    assert told == [[], [W], [], [P], []]


def test_of_several_that_kill_the_first_is_the_reason_and_all_tell_their_numbers() -> None:
    result = judge(seen(market(), feed_faults=5), view=accounts(151 * XRP, "401"))
    assert result.halt is not None
    assert result.halt.reason is HaltReason.RISK_RPC_FAILURE
    assert result.halt.detail == (
        "5 faulty messages in a row (risk.max_feed_failures 5); "
        "151 XRP held (risk.max_xrp_exposure 150); 401 RLUSD held (risk.max_rlusd_exposure 400)"
    )


def test_an_exposure_comes_before_the_monitors_of_the_kill_switch() -> None:
    view = accounts(-100 * XRP, "401", fills_base_drops=300 * XRP)
    halt = judge(seen(market()), view=view).halt
    assert halt is not None
    assert halt.reason is HaltReason.RISK_XRP_EXPOSURE
    assert "monitor position_velocity: 300 XRP in 60 s, 200 % of risk.max_xrp_exposure 150" in halt.detail


# in a tick


def quoted(snapshot: MarketSnapshot, state: EngineState | None = None, **parts: object) -> Decision:
    report = ticks.report(snapshot, **parts)
    return decide(state or ticks.opened(), ticks.seen(report=report), ticks.CONFIG, snapshot.close_time)


def test_a_pull_takes_every_order_back_and_the_next_calm_ledger_quotes_again() -> None:
    state = ticks.working(ticks.OUR_BID, ticks.OUR_ASK)
    offers = (core.offer(ticks.OUR_BID), core.offer(ticks.OUR_ASK))
    there = core.account(ticks.DROPS, ticks.RLUSD, owner_count=3, offers=offers)
    flash = core.snapshot(best_bid=D("2.09"), best_ask=D("2.11"), mid=D("2.1"))
    pulled = quoted(flash, state, account=there)
    assert ticks.cancelled(pulled) == {1, 2}
    assert [(gate.name, gate.side) for gate in pulled.gates][:1] == [("Risk", "both")]
    assert "monitors.price_pull_pct 5" in pulled.gates[0].detail
    assert [(one.monitor, one.severity) for one in pulled.readings] == [("price_velocity", P)]
    calm = quoted(flash, replace(pulled.state, orders=orders_of(())))
    assert calm.quoting == "both"
    assert [(one.monitor, one.severity) for one in calm.readings] == [("price_velocity", N)]


def test_a_killing_monitor_ends_the_session_and_takes_every_order_back() -> None:
    state = ticks.working(ticks.OUR_BID, ticks.OUR_ASK)
    flash = core.snapshot(best_bid=D("2.39"), best_ask=D("2.41"), mid=D("2.4"))
    killed = quoted(flash, state)
    assert killed.halt is not None
    assert killed.halt.reason is HaltReason.KILL_SWITCH
    assert ticks.cancelled(killed) == {1, 2}


def test_little_xrp_above_the_reserve_closes_asks_and_leaves_bids() -> None:
    # 1 + 475 x 0.2 = 96 XRP are locked, so that 4 of 100 are left.
    low = core.account(ticks.DROPS, ticks.RLUSD, owner_count=475)
    decision = quoted(core.snapshot(), account=low)
    assert decision.quoting == "bid"
    assert ("Risk", "ask") in [(gate.name, gate.side) for gate in decision.gates]


def test_reduce_only_on_a_tick_without_a_ledger_leaves_the_orders_alone() -> None:
    state = ticks.working(ticks.OUR_ASK)
    state = replace(state, inventory=replace(state.inventory, overlay_base_drops=140 * XRP))
    decision = decide(state, ticks.seen("silence", close_time=NOW + 4), ticks.CONFIG, NOW + 4)
    assert [(gate.name, gate.side) for gate in decision.gates] == [("Risk", "bid")]
    assert (decision.commands, decision.kept) == ((), 1)


def refusal(order_id: int, code: str) -> TransactionOutcome:
    return TransactionOutcome(
        tx_hash=f"H{order_id}",
        order_id=order_id,
        kind=TransactionKind.CREATE,
        result=code,
        ledger_index=1000,
        transaction_index=order_id,
        fee_drops=0,
    )


def test_refusals_that_a_ledger_tells_and_those_of_the_server_count_once_each() -> None:
    state = ticks.opened()
    first, second = sorted(order.order_id for order in quoted(core.snapshot()).new_orders)
    refused = [
        core.order(number, slot, "2", XRP, OrderStatus.REJECTED, result_code="temBAD_OFFER")
        for number, slot in ((first, "bid-1"), (second, "ask-1"))
    ]
    closed = {order.order_id: order for order in refused}
    state = replace(state, next_order_id=second + 1, orders=replace(orders_of(()), closed=closed))
    after = quoted(core.snapshot(), state).state
    assert after.risk.submit_errors.count == 2
    again = quoted(core.snapshot(), replace(after, orders=state.orders)).state
    assert again.risk.submit_errors.count == 2
    told = quoted(core.snapshot(), again, transactions=(refusal(99, "tecUNFUNDED_OFFER"),))
    assert told.state.risk.submit_errors.count == 3
    assert told.quoting == "none"


def test_a_refused_cancel_does_not_count() -> None:
    lost = replace(refusal(1, "tefPAST_SEQ"), kind=TransactionKind.CANCEL)
    assert quoted(core.snapshot(), transactions=(lost,) * 5).state.risk.submit_errors.count == 0


# no monitor stands between nothing and the first quote


def test_from_nothing_twenty_calm_ledgers_reach_quoting(delivered: Config) -> None:
    state, quoting = initial_state(delivered, NOW - 4), []
    for number in range(20):
        at = NOW + 4 * number
        calm = core.snapshot(ledger_index=1000 + number, close_time=at, trades=bought(3, -3))
        opening = ticks.opening() if number == 0 else ()
        observation = ticks.seen(
            report=ticks.report(calm), ledger_index=1000 + number, close_time=at, capital=opening
        )
        decision = decide(state, observation, delivered, at)
        assert decision.readings == ()
        assert [one.severity for one in decision.state.risk.readings] == [N] * len(MONITORS)
        state = replace(decision.state, orders=orders_of(()))
        quoting.append(decision.quoting)
    assert quoting[-1] == "both"


def test_every_pull_that_keeps_answers_away_ends_while_nothing_is_sent() -> None:
    state = ticks.opened()
    flood = tuple(refusal(number, "tecUNFUNDED_OFFER") for number in range(100, 140))
    pulled = quoted(core.snapshot(), state, transactions=flood)
    assert pulled.quoting == "none"
    state, sides = pulled.state, []
    for number in range(1, 20):
        at = NOW + 4 * number
        calm = core.snapshot(ledger_index=1000 + number, close_time=at)
        observation = ticks.seen(report=ticks.report(calm), ledger_index=1000 + number, close_time=at)
        decision = decide(state, observation, ticks.CONFIG, at)
        state = replace(decision.state, orders=orders_of(()))
        sides.append(decision.quoting)
    assert sides[:14] == ["none"] * 14  # 60 s are 15 ledgers
    assert sides[14] == "both"
    assert not any(isinstance(one, CancelOrder) for one in decision.commands)
    assert {quote.side for quote in decision.quotes} == {Side.BUY, Side.SELL}


@pytest.fixture
def delivered() -> Config:
    return core.paper_config()


# thresholds that contradict each other are refused


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("velocity_pull_pct", "50", "velocity_pull_pct must be greater than monitors.velocity_warn_pct"),
        ("velocity_kill_pct", "100", "velocity_kill_pct must be greater than monitors.velocity_pull_pct"),
        ("cascade_kill", "0.8", "cascade_kill must be greater than monitors.cascade_pull"),
        ("price_kill_pct", "5", "price_kill_pct must be greater than monitors.price_pull_pct"),
        ("reject_pull_share", "0.25", "reject_pull_share must be greater than monitors.reject_warn_share"),
        ("reserve_warn_xrp", "5", "reserve_warn_xrp must be greater than monitors.reserve_reduce_xrp"),
    ],
)
def test_thresholds_must_rise(paper_yaml: str, key: str, value: str, said: str) -> None:
    lines = [
        f"  {key}: {value}" if line.startswith(f"  {key}:") else line for line in paper_yaml.splitlines()
    ]
    with pytest.raises(ConfigError) as caught:
        parse_config("\n".join(lines), "my.yaml")
    (fault,) = caught.value.faults
    assert f"monitors.{said}" in fault


def test_a_live_fee_limit_below_that_of_the_monitor_is_refused(live_yaml: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(live_yaml.replace("fee_pull_drops: 5000000", "fee_pull_drops: 5000001"), "my.yaml")
    assert "monitors.fee_pull_drops must be at most live.max_daily_fee_drops" in str(caught.value)


@pytest.fixture
def live_yaml() -> str:
    folder = Path(core.__file__).resolve().parents[2] / "config"
    return (folder / "live_testnet.yaml").read_text(encoding="utf-8")


def test_amounts_at_absurd_sizes_are_judged_without_an_error() -> None:
    huge = accounts(10**17, "1E+80", account_value=Decimal("-1E+80"), net_capital=Decimal("1E+80"))
    assert judge(seen(market()), view=huge).severity is K
