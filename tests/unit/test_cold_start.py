"""No gate waits for what only quoting can bring: without one fill ever, a healthy market is always quoted.

Whole ticks are run here. What a tick placed is forgotten before the next one and never fills.
"""

from __future__ import annotations

import random
from decimal import Decimal
from functools import cache
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from neo_engine.config import Config
from neo_engine.domain.assets import Side
from neo_engine.domain.headroom import FULL, Headroom
from neo_engine.domain.market import DataFault, MarketSnapshot, MarketTrade
from neo_engine.execution.tracking import orders_of
from neo_engine.report.why_ends import ENDS, Ends
from neo_engine.report.why_table import GATES
from neo_engine.tick import Decision, EngineState, decide
from tests.style.tree import ROOT
from tests.unit.core_values import NOW
from tests.unit.strategy_fixture import configured, market, pool
from tests.unit.test_tick import opened, report, seen

#: A healthy market has at least one trade in two ledgers, so 30 of them (the greatest number that anything
#: waits for) are there after about 60 ledgers; this is three times as long.
COLD_LEDGERS = 180
#: Window of trades, warm-up and the longest look at a pool, together with room for a restarted warm-up.
AGAIN_LEDGERS = 220
D = Decimal


@cache
def config_of(model: str) -> Config:
    return configured(strategy__model=model)


def healthy(
    chance: random.Random,
    index: int,
    mid: Decimal,
    *,
    trades_a_ledger: float = 0.8,
    has_pool: bool = True,
    half_bps: int = 4,
) -> MarketSnapshot:
    """A market of makers who stand about `mid` and takers of either side, as likely and as large."""
    half = mid * half_bps / 10_000
    trades = []
    if chance.random() < trades_a_ledger:
        side = chance.choice((Side.BUY, Side.SELL))
        price = mid + half if side is Side.BUY else mid - half
        trades.append(
            MarketTrade(taker_side=side, price=price, base_drops=chance.randint(10_000_000, 60_000_000))
        )
    the_pool = pool(1_000_000, str(round(mid * 1_000_000, 6))) if has_pool else None
    return market(mid - half, mid + half, index, the_pool=the_pool, trades=tuple(trades), mid=mid)


def wander(chance: random.Random, mid: Decimal) -> Decimal:
    """The mid a ledger later: up to 2 bps up or down."""
    return round(mid * (1 + D(chance.randint(-200, 200)) / 1_000_000), 8)


def ledger(
    state: EngineState, snapshot: MarketSnapshot, config: Config, headroom: Headroom = FULL
) -> Decision:
    """Decide on a ledger with nothing of ours in the book."""
    now = NOW + 4 * (snapshot.ledger_index - 1000)
    told = report(replace(snapshot, close_time=now), headroom=headroom)
    saw = seen(report=told, ledger_index=snapshot.ledger_index, close_time=now)
    return decide(replace(state, orders=orders_of(())), saw, config, now)


def until_both(
    state: EngineState,
    chance: random.Random,
    first: int,
    mid: Decimal,
    config: Config,
    *,
    most: int,
    **kind: Any,
) -> tuple[int, EngineState]:
    """Return after how many healthy ledgers both sides were quoted, and the state then."""
    closed: list[str] = []
    for number in range(most):
        mid = wander(chance, mid)
        decision = ledger(state, healthy(chance, first + number, mid, **kind), config)
        state = decision.state
        assert state.inventory.fills_base_drops == 0
        closed = [f"{gate.name} {gate.side}: {gate.detail}" for gate in decision.gates]
        if decision.quoting == "both":
            return number + 1, state
    raise AssertionError(f"not both sides within {most} ledgers: {closed}")


@given(
    st.integers(0, 2**32),
    st.sampled_from(("offset", "glft")),
    st.sampled_from((0.5, 0.8, 1.0)),
    st.booleans(),
    st.integers(2, 20),
)
def test_a_session_that_starts_from_nothing_quotes_both_sides_without_a_fill(
    seed: int, model: str, trades_a_ledger: float, has_pool: bool, half_bps: int
) -> None:
    config, chance = config_of(model), random.Random(seed)
    until_both(
        opened(config),
        chance,
        1001,
        D(2),
        config,
        most=COLD_LEDGERS,
        trades_a_ledger=trades_a_ledger,
        has_pool=has_pool,
        half_bps=half_bps,
    )


def test_the_offset_model_needs_no_trade_at_all() -> None:
    config, chance = config_of("offset"), random.Random(1)
    needed, _ = until_both(opened(config), chance, 1001, D(2), config, most=20, trades_a_ledger=0)
    # the opening ledger was the first mid
    assert needed == config.strategy.warmup_ticks - 1


def test_a_model_that_distrusts_a_session_without_fills_quotes_all_the_same() -> None:
    config = configured(strategy__model_gating_factor="2", strategy__model_min_fills=1000)
    needed, state = until_both(opened(config), random.Random(2), 1001, D(2), config, most=20)
    decision = ledger(state, healthy(random.Random(3), 1001 + needed, D(2)), config)
    assert (decision.quoting, dict(decision.pricing.factors)["model"]) == ("both", 2)


# every gate


def test_every_gate_says_what_ends_it_and_the_page_says_the_same() -> None:
    assert ENDS.keys() == GATES.keys()
    page = (ROOT / "docs" / "why.md").read_text(encoding="utf-8")
    for name, ends in ENDS.items():
        assert ends
        assert len(set(ends)) == len(ends)
        assert f"| `{name}` | {', '.join(one.value for one in ends)} |" in page, name


def test_our_own_fills_are_nothing_that_a_gate_may_wait_for() -> None:
    assert {one.value for one in Ends} == {"time", "market", "server", "operator"}


def still(index: int, **changes: object) -> MarketSnapshot:
    return replace(market("1.9992", "2.0008", index), **changes)


def bought_up(index: int) -> MarketSnapshot:
    """A ledger of a rise of 2.9 bps with a buyer in it."""
    mid = D(2) * (1 + D(index - 1200) * D("0.00029"))
    trade = MarketTrade(taker_side=Side.BUY, price=mid, base_drops=10_000_000)
    return market(mid - D("0.0008"), mid + D("0.0008"), index, trades=(trade,))


def one_way(index: int) -> MarketSnapshot:
    """A ledger of a market that stands still while everybody sells."""
    return still(index, trades=(MarketTrade(taker_side=Side.SELL, price=D("1.999"), base_drops=10**7),))


def low(percent: str) -> Headroom:
    return replace(FULL, requests=D(percent))


Cause = tuple[list[MarketSnapshot], Headroom]
FAULTS = {
    fault.value: ([still(1201, faults=(fault,))], FULL)
    for fault in DataFault
    if fault is not DataFault.NO_DATA
}
#: Gate -> ledgers that close it, from 1201 on; the last test of this file tells which ones are left out.
CAUSES: dict[str, Cause] = {
    **FAULTS,
    "NoDataReceived": ([still(1201, faults=(DataFault.NO_DATA,))], FULL),
    "Warmup": ([still(1301)], FULL),  # a hundred blind ledgers
    "AnchorDivergence": (
        [still(index, pool=pool(1_000_000, "2020000")) for index in range(1201, 1220)],
        FULL,
    ),
    "Viability": ([still(1201, pool=pool(1_000_000, "2000000", fee=10))], FULL),
    "ToxicFlow": ([one_way(index) for index in range(1201, 1330)], FULL),
    "NoEdgeFlat": ([bought_up(index) for index in range(1201, 1330)], FULL),
    "QuotaCritical": ([still(1201)], low("3")),
    "QuotaExhausted": ([still(1201)], low("0")),
    "Fee": ([still(1201, fee_base_drops=5_001)], FULL),
}


def caused(name: str, last: int) -> Cause:
    """Return the ledgers that close a gate, to follow ledger `last`."""
    ledgers, headroom = CAUSES[name]
    return [replace(one, ledger_index=one.ledger_index - 1200 + last) for one in ledgers], headroom


@pytest.mark.parametrize("model", ["offset", "glft"])
@pytest.mark.parametrize("name", sorted(CAUSES))
def test_a_gate_that_closed_opens_again_without_a_fill(name: str, model: str) -> None:
    config, chance = config_of(model), random.Random(7)
    needed, state = until_both(opened(config), chance, 1001, D(2), config, most=COLD_LEDGERS)
    ledgers, headroom = caused(name, 1000 + needed)
    closed = []
    for snapshot in ledgers:
        decision = ledger(state, snapshot, config, headroom)
        state = decision.state
        closed.append((name in [gate.name for gate in decision.gates], decision.quoting))
    assert closed[-1][0], closed[-1]
    assert closed[-1][1] != "both"
    last, mid = ledgers[-1].ledger_index, ledgers[-1].mid or D(2)
    until_both(state, chance, last + 1, mid, config, most=AGAIN_LEDGERS)


@pytest.mark.parametrize("name", ["ToxicFlow", "NoEdgeFlat"])
def test_what_others_traded_is_forgotten_by_time_when_nobody_trades_any_more(name: str) -> None:
    config = config_of("offset")
    needed, state = until_both(opened(config), random.Random(7), 1001, D(2), config, most=COLD_LEDGERS)
    ledgers, _ = caused(name, 1000 + needed)
    for snapshot in ledgers:
        decision = ledger(state, snapshot, config)
        state = decision.state
    assert decision.quoting != "both"
    last, mid = ledgers[-1].ledger_index, ledgers[-1].mid
    assert mid is not None
    for number in count(1):
        decision = ledger(state, market(mid - D("0.0008"), mid + D("0.0008"), last + number), config)
        state = decision.state
        if decision.quoting == "both":
            break
        # the window, a block of it, and the time until the last taking is judged
        assert number <= config.strategy.toxicity_window_ticks + 9 + config.strategy.markout_ticks


def test_the_gates_not_simulated_here_are_ended_by_a_person_or_by_the_next_tick() -> None:
    left = set(GATES) - set(CAUSES)
    assert left == {
        *("Stopping", "MinNotional", "MaxOrderSize", "DuplicateSlot", "MaxOpenOrders"),  # keys
        *("Inventory", "MaxExposure", "Capital", "CapitalShrunk"),  # what is held: the other side, capital
        *("Behind", "WouldCross", "Backoff", "SelfCross"),  # the next ledgers: tests of tick, risk and diff
        *("Risk", "Cascade", "Manual"),  # tests of the monitors and of the pause
        "Storage",  # tests of outages of the database
    }
    assert all(set(ENDS[name]) & {Ends.OPERATOR, Ends.TIME, Ends.MARKET} for name in left)
