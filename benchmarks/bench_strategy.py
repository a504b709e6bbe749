"""How long one evaluation of the strategy engine takes. Run: python -m benchmarks.bench_strategy

A wandering market of 10 levels a side with a pool and some trades, the delivered configuration (one
ladder level), every model. The budget is a median below 80 microseconds an evaluation. Measured on a
shared 2-core machine with CPython 3.11: offset 62, glft 67 (p95 131 and 134), a third of it for the signals
of the spread chain and their gates.
"""

from __future__ import annotations

import time
from decimal import Decimal
from pathlib import Path

from neo_engine.config import Config, load_config
from neo_engine.domain.amm import Pool
from neo_engine.domain.assets import Side
from neo_engine.domain.market import Level, MarketSnapshot, MarketTrade
from neo_engine.domain.number import ZERO, issued_mul
from neo_engine.domain.records import Accounts
from neo_engine.strategy.engine import evaluate, initial_state

CONFIG = Path(__file__).resolve().parents[1] / "config" / "paper.yaml"
LEDGERS = 2_000
LEVELS = 10
BUDGET_US = 80


def _levels(best: Decimal, step: Decimal) -> tuple[Level, ...]:
    prices = [best + step * number for number in range(LEVELS)]
    return tuple(Level(price=price, base_drops=300_000_000, quote=300 * price) for price in prices)


def market(ledger_index: int) -> MarketSnapshot:
    """Return a snapshot whose mid wanders by a fixed rule, no chance involved."""
    mid = Decimal("2.1247563") + Decimal((ledger_index * 7919) % 101 - 50) / 100_000
    bids, asks = (
        _levels(mid - Decimal("0.0008512"), Decimal("-0.0004")),
        _levels(mid + Decimal("0.0008512"), Decimal("0.0004")),
    )
    is_bought = ledger_index % 2 == 0  # one-sided flow would close a side, and there would be less to measure
    side, price = (Side.BUY, asks[0].price) if is_bought else (Side.SELL, bids[0].price)
    trades = (MarketTrade(taker_side=side, price=price, base_drops=80_000_000),)
    return MarketSnapshot(
        ledger_index=ledger_index,
        ledger_hash="",
        close_time=4 * ledger_index,
        fee_base_drops=10,
        base_reserve_drops=1_000_000,
        owner_reserve_drops=200_000,
        bids=bids,
        asks=asks,
        best_bid=bids[0].price,
        best_ask=asks[0].price,
        mid=mid,
        pool=Pool(
            account="rPool",
            base_drops=1_000_000_123_456,
            quote=issued_mul(Decimal("2.123456789012"), Decimal(1_000_000), "ROUND_DOWN"),
            trading_fee=300,
            discounted_fee=30,
            auction_accounts=(),
            auction_expiration=0,
        ),
        tick_size=7,
        transfer_rate=1_000_000_000,
        trades=trades,
        faults=(),
    )


def measured_us(config: Config) -> list[float]:
    """Return the time of each evaluation in microseconds, sorted."""
    accounts = Accounts(
        fills_base_drops=3_123_456,
        fills_quote=Decimal("-6.543219876543"),
        overlay_base_drops=100_000_000,
        overlay_quote=Decimal(220),
        fees_drops=1230,
        rounding_quote=ZERO,
        cost_basis=ZERO,
        net_capital=ZERO,
        realised=ZERO,
        unrealised=ZERO,
        mark=None,
        account_value=ZERO,
    )
    state = initial_state(config)
    times = []
    for snapshot in [market(number) for number in range(1, LEDGERS + 1)]:
        begin = time.perf_counter_ns()
        result = evaluate(state, snapshot, accounts, config)
        times.append((time.perf_counter_ns() - begin) / 1000)
        state = result.state
    return sorted(times)


def main() -> None:
    """Print median, 95th percentile and worst time of each model."""
    config = load_config(CONFIG)
    for model in ("offset", "glft"):
        chosen = config.model_copy(update={"strategy": config.strategy.model_copy(update={"model": model})})
        times = measured_us(chosen)
        median, late = times[len(times) // 2], times[len(times) * 95 // 100]
        print(
            f"{model:7} median {median:6.1f} us   p95 {late:6.1f} us   worst {times[-1]:7.1f} us   "
            f"budget {BUDGET_US} us"
        )


if __name__ == "__main__":
    main()
