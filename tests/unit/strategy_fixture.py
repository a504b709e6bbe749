"""A market, an account and a configuration for tests of the strategy engine, with every figure visible."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from neo_engine.config import Config, load_config
from neo_engine.domain.amm import Pool
from neo_engine.domain.headroom import WHOLE, quota
from neo_engine.domain.market import DataFault, Level, MarketSnapshot, MarketTrade
from neo_engine.domain.number import ZERO
from neo_engine.domain.records import Accounts, Gate
from neo_engine.strategy.engine import StrategyResult, StrategyState, evaluate, initial_state

PLENTY = quota(WHOLE, 1)
PAPER = Path(__file__).resolve().parents[2] / "config" / "paper.yaml"


@cache
def paper() -> Config:
    """The delivered paper configuration."""
    return load_config(PAPER)


def configured(**changes: Any) -> Config:
    """The paper configuration with `section__key=value` changes (glft's keys: strategy__glft__key)."""
    raw = paper().model_dump()
    for path, value in changes.items():
        *sections, key = path.split("__")
        place = raw
        for section in sections:
            place = place[section]
        assert key in place, path
        place[key] = value
    return Config.model_validate(raw)


def pool(base_xrp: int, quote: str, fee: int = 300) -> Pool:
    """A pool without an auction slot; fee in 1/100000."""
    return Pool(
        account="rPool",
        base_drops=base_xrp * 1_000_000,
        quote=Decimal(quote),
        trading_fee=fee,
        discounted_fee=fee // 10,
        auction_accounts=(),
        auction_expiration=0,
    )


def level(price: Decimal) -> Level:
    """500 XRP at this price."""
    return Level(price=price, base_drops=500_000_000, quote=500 * price)


def market(
    bid: str | Decimal | None,
    ask: str | Decimal | None,
    ledger_index: int = 1,
    *,
    mid: Decimal | None = None,
    the_pool: Pool | None = None,
    tick_size: int = 7,
    trades: tuple[MarketTrade, ...] = (),
    faults: tuple[DataFault, ...] = (),
    fee_base_drops: int = 10,
    transfer_rate: int = 1_000_000_000,
) -> MarketSnapshot:
    """A snapshot with one level a side; mid is half way unless given."""
    best_bid = None if bid is None else Decimal(bid)
    best_ask = None if ask is None else Decimal(ask)
    if mid is None and best_bid is not None and best_ask is not None:
        mid = (best_bid + best_ask) / 2
    return MarketSnapshot(
        ledger_index=ledger_index,
        ledger_hash=f"{ledger_index:064X}",
        close_time=800_000_000 + 4 * ledger_index,
        fee_base_drops=fee_base_drops,
        base_reserve_drops=1_000_000,
        owner_reserve_drops=200_000,
        bids=() if best_bid is None else (level(best_bid),),
        asks=() if best_ask is None else (level(best_ask),),
        best_bid=best_bid,
        best_ask=best_ask,
        mid=mid,
        pool=the_pool,
        tick_size=tick_size,
        transfer_rate=transfer_rate,
        trades=trades,
        faults=faults,
    )


def holding(xrp: str, rlusd: str) -> Accounts:
    """An account that holds so much and has never traded."""
    return Accounts(
        fills_base_drops=0,
        fills_quote=ZERO,
        overlay_base_drops=int(Decimal(xrp) * 1_000_000),
        overlay_quote=Decimal(rlusd),
        fees_drops=0,
        rounding_quote=ZERO,
        cost_basis=ZERO,
        net_capital=ZERO,
        realised=ZERO,
        unrealised=ZERO,
        mark=None,
        account_value=ZERO,
    )


BALANCED = holding("100", "200")


def run(
    snapshots: list[MarketSnapshot], config: Config, accounts: Accounts = BALANCED
) -> list[StrategyResult]:
    """Evaluate the snapshots one after the other and return every result."""
    state: StrategyState = initial_state(config)
    results = []
    for snapshot in snapshots:
        result = evaluate(state, snapshot, accounts, config)
        results.append(result)
        state = result.state
    return results


def names(gates: tuple[Gate, ...]) -> set[tuple[str, str]]:
    """(name, side) of each gate."""
    return {(gate.name, gate.side) for gate in gates}
