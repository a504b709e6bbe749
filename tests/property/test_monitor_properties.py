"""Whatever a tick shows, the aggregate is never below any monitor, and judging it never fails."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from neo_engine.domain.account_findings import AccountFinding, FindingKind
from neo_engine.domain.assets import Side
from neo_engine.domain.link import Link
from neo_engine.domain.market import AccountView, DataFault, Level, MarketSnapshot, MarketTrade
from neo_engine.domain.records import Accounts
from neo_engine.domain.reference import ReferencePrice
from neo_engine.domain.severity import Severity
from neo_engine.domain.today import Today
from neo_engine.risk import RiskObservation, assess, initial_state
from neo_engine.risk.monitors import MONITORS
from tests.unit.core_values import NOW, accounts, paper_config, snapshot
from tests.unit.monitor_fixture import FAR_POOL

pytestmark = pytest.mark.slow

CONFIG = paper_config()
DROPS = st.integers(-(10**17), 10**17)
NUMBERS = st.decimals(allow_nan=True, allow_infinity=True) | st.decimals("0.5", "4", places=4)
AMOUNTS = st.decimals("-1E20", "1E20", allow_nan=False, places=6)
FINDINGS = st.builds(
    AccountFinding,
    kind=st.sampled_from([FindingKind.CLAWBACK, FindingKind.FREEZE, FindingKind.PAID_IN]),
    ledger_index=st.just(1000),
    detail=st.just("told"),
    quote=AMOUNTS,
    active=st.booleans(),
)
REFERENCES = st.builds(
    ReferencePrice, price=st.decimals("0.000001", "1000000"), at=st.integers(NOW - 300, NOW + 200)
)
LINKS = st.builds(Link, attempts=st.integers(0, 8), unhealthy=st.sampled_from(["", "stale"]))
TODAYS = st.builds(Today, fees_drops=st.integers(0, 10**8), pnl_rlusd=AMOUNTS)
CODES = st.sampled_from(["tesSUCCESS", "tecKILLED", "temBAD_OFFER", "terQUEUED", "noAnswer", ""])


@st.composite
def levels(draw: st.DrawFn) -> tuple[Level, ...]:
    found = draw(st.lists(st.tuples(NUMBERS, st.integers(0, 10**12)), max_size=3))
    return tuple(Level(price=price, base_drops=drops, quote=Decimal(1)) for price, drops in found)


@st.composite
def markets(draw: st.DrawFn) -> MarketSnapshot:
    takings = draw(st.lists(st.tuples(st.sampled_from(Side), st.integers(0, 10**15)), max_size=3))
    trades = tuple(
        MarketTrade(taker_side=side, price=Decimal(2), base_drops=drops) for side, drops in takings
    )
    pool = replace(FAR_POOL, quote=draw(NUMBERS), base_drops=draw(DROPS)) if draw(st.booleans()) else None
    return snapshot(
        ledger_index=draw(st.integers(1000, 1003)),
        close_time=NOW + draw(st.integers(-100, 200)),
        mid=draw(st.none() | NUMBERS),
        bids=draw(levels()),
        asks=draw(levels()),
        trades=trades,
        pool=pool,
        faults=tuple(draw(st.lists(st.sampled_from(DataFault), max_size=1))),
    )


@st.composite
def views(draw: st.DrawFn) -> Accounts:
    return accounts(
        draw(DROPS),
        str(draw(AMOUNTS)),
        fills_base_drops=draw(DROPS),
        fees_drops=draw(st.integers(0, 10**9)),
        account_value=draw(AMOUNTS),
        net_capital=draw(AMOUNTS),
        mark=draw(st.none() | st.decimals("0.0001", "10000", places=4)),
    )


@st.composite
def ticks(draw: st.DrawFn) -> tuple[RiskObservation, Accounts, int]:
    view, market = draw(views()), draw(st.none() | markets())
    account = AccountView(
        balance_drops=draw(DROPS),
        quote_balance=draw(NUMBERS),
        owner_count=draw(st.integers(0, 10**6)),
        account_sequence=1,
        offers=(),
    )
    observation = RiskObservation(
        close_time=None if market is None else market.close_time,
        feed_faults=draw(st.integers(0, 3)),
        data_faults=() if market is None else market.faults,
        kill=(),
        snapshot=market,
        account=account if market is not None and draw(st.booleans()) else None,
        books=view,
        results=tuple(draw(st.lists(CODES, max_size=25))),
        newest_order=draw(st.integers(0, 10)),
        findings=tuple(draw(st.lists(FINDINGS, max_size=2))),
        link=draw(LINKS),
        reference=draw(st.none() | REFERENCES),
    )
    return observation, view, NOW + draw(st.integers(-100, 200_000))


@settings(max_examples=300, deadline=None)
@given(st.lists(ticks(), min_size=1, max_size=5), TODAYS)
def test_the_aggregate_is_never_below_any_monitor_and_judging_never_fails(
    sequence: list[tuple[RiskObservation, Accounts, int]], today: Today
) -> None:
    state = initial_state(NOW, today)
    for observation, view, now in sequence:
        before = state
        result = assess(state, view, observation, CONFIG, now)
        state = result.state
        said = [one.severity for one in state.readings]
        assert [one.monitor for one in state.readings] == [one.name for one in MONITORS]
        assert result.severity is max(said)
        assert (result.halt is not None) is (result.severity is Severity.KILL)
        pulled = {gate.side for gate in result.gates}
        if Severity.PULL_QUOTES in said:
            assert "both" in pulled
        if result.severity <= Severity.WARN:
            assert result.gates == ()
        assert [one.severity for one in result.changed] == [
            new
            for old, new in zip([one.severity for one in before.readings], said, strict=True)
            if old != new
        ]
