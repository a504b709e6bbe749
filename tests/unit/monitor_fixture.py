"""What the tests of the monitors start from: ledgers a few seconds apart, at the paper limits.

Limits (config/paper.yaml): 150 XRP, 400 RLUSD, ledger interval 4 s; thresholds of `monitors` as delivered.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from neo_engine.config import Config
from neo_engine.domain.amm import Pool
from neo_engine.domain.assets import Side
from neo_engine.domain.market import Level, MarketSnapshot, MarketTrade
from neo_engine.domain.records import Accounts
from neo_engine.domain.severity import Reading, Severity
from neo_engine.risk import RiskAssessment, RiskObservation, RiskState, assess, initial_state
from neo_engine.risk.monitors import MONITORS
from tests.unit.core_values import NOW, XRP, D, accounts, paper_config, snapshot

CONFIG = paper_config()
START = initial_state(NOW)
HELD = accounts(100 * XRP, "220")
N, W, R, P, K = Severity
#: A pool of 1,000 XRP at 2 RLUSD and a fee of 1 %: its next drop is sold at 2.02.., beyond 50 bps.
FAR_POOL = Pool(
    account="rPool",
    base_drops=1000 * XRP,
    quote=D(2000),
    trading_fee=1000,
    discounted_fee=100,
    auction_accounts=(),
    auction_expiration=0,
)


def level(price: str, xrp: int) -> Level:
    return Level(price=D(price), base_drops=xrp * XRP, quote=D(price) * xrp)


def market(number: int = 0, **changes: object) -> MarketSnapshot:
    """Ledger 1000 + number, 4 s each: 100 XRP a side within 50 bps of a mid of 2, and 900 beyond."""
    base = snapshot(
        ledger_index=1000 + number,
        close_time=NOW + 4 * number,
        bids=(level("1.995", 60), level("1.99", 40), level("1.9", 900)),
        asks=(level("2.005", 60), level("2.01", 40), level("2.1", 900)),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def bought(*xrp: int) -> tuple[MarketTrade, ...]:
    """Trades of takers that bought so much XRP; below zero they sold."""
    return tuple(
        MarketTrade(taker_side=Side.BUY if one > 0 else Side.SELL, price=D(2), base_drops=abs(one) * XRP)
        for one in xrp
    )


def seen(market: MarketSnapshot | None = None, **parts: Any) -> RiskObservation:
    """A tick on this ledger; without one, a silence."""
    fields: dict[str, Any] = {
        "close_time": None if market is None else market.close_time,
        "feed_faults": 0,
        "data_faults": () if market is None else market.faults,
        "kill": (),
        "snapshot": market,
    }
    return RiskObservation(**(fields | parts))


def judge(
    observation: RiskObservation,
    *,
    state: RiskState = START,
    view: Accounts = HELD,
    config: Config = CONFIG,
    now: int | None = None,
) -> RiskAssessment:
    at = observation.close_time if now is None else now
    return assess(state, view, observation, config, NOW if at is None else at)


def said(result: RiskAssessment, monitor: str) -> Reading:
    """What one monitor says after the tick."""
    names = [one.name for one in MONITORS]
    reading = result.state.readings[names.index(monitor)]
    assert reading.monitor == monitor
    return reading
