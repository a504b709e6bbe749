"""A paper session on a market of agents at full speed: how fast, and whether it stays small.

Run: python -m benchmarks.bench_simulated [--market NAME] [--ledgers N] [--seed N]

One session in this process, everything stored, a simulated day unless told otherwise. Memory is what the
process holds at each quarter, not the most it ever held, so that it can be seen to stay level.
"""

from __future__ import annotations

import argparse
import tempfile
from decimal import Decimal
from pathlib import Path

from benchmarks.measure import Stopwatch, figure, peak_memory_mb, title
from neo_engine.bootstrap import SIMULATED, SPEED_MAX, SessionOptions, run_session
from neo_engine.cli_session import DEFAULT_CONFIG
from neo_engine.config import Config, load_config
from neo_engine.ops.clock import SystemClock
from neo_engine.session import TickView
from neo_engine.simulator.agents import open_market
from neo_engine.simulator.agents.market import LEDGER_SECONDS
from neo_engine.simulator.agents.settings import DEFAULT_MARKET

DAY_LEDGERS = 21_600
LEDGERS_A_SECOND = 300
QUARTERS = 4
MARKET_LEDGERS = 1_000  # enough for the market's own pace
PAGE_BYTES = 4_096
HELD = Path("/proc/self/statm")  # Linux; elsewhere the most memory stands in for it


def memory_mb() -> float:
    """Return the memory this process holds now, in MB."""
    if HELD.exists():
        return int(HELD.read_text(encoding="ascii").split()[1]) * PAGE_BYTES / 1e6
    return peak_memory_mb()


class Watch:
    """Notes memory and time at each quarter of a session."""

    def __init__(self, ledgers: int) -> None:
        self._marks = {ledgers * quarter // QUARTERS for quarter in range(1, QUARTERS + 1)}
        self._ticks = 0
        self._watch = Stopwatch()
        self.seen: list[tuple[float, float]] = []

    def tick(self, _view: TickView) -> None:
        """Count a tick: one ledger is one."""
        self._ticks += 1
        if self._ticks in self._marks:
            self.seen.append((memory_mb(), self._watch.spent().wall))


def unlimited(config: Config) -> Config:
    """Return `config` without the limits at which a session of a day would stop by itself."""
    names = ("max_loss_rlusd", "max_daily_loss_rlusd", "max_xrp_exposure", "max_rlusd_exposure")
    limits = {**dict.fromkeys(names, Decimal(10) ** 6), "max_drawdown_pct": Decimal(100)}
    risk = config.risk.model_copy(update=limits)
    return config.model_copy(update={"risk": risk})


def market_alone(name: str, seed: int) -> None:
    """Print what the market itself takes: agents, transactions, metadata, no session."""
    market = open_market(name, seed)
    watch = Stopwatch()
    transactions = sum(len(market.advance().transactions) for _ in range(MARKET_LEDGERS))
    wall = watch.spent().wall
    figure("market alone", MARKET_LEDGERS / wall, "ledgers/s")
    figure("transactions", transactions / MARKET_LEDGERS, "a ledger")
    figure("the same", transactions / wall, "a second")


def session(name: str, seed: int, ledgers: int) -> None:
    """Run one session and print its figures."""
    watch = Watch(ledgers)
    with tempfile.TemporaryDirectory() as folder:
        db = Path(folder, "bench.db")
        options = SessionOptions(
            config=unlimited(load_config(DEFAULT_CONFIG)),
            db=db,
            mode="paper",
            feed=SIMULATED,
            recording=None,
            speed=SPEED_MAX,
            seed=seed,
            duration_seconds=ledgers * LEDGER_SECONDS,
            on_tick=watch.tick,
            market=name,
        )
        stopwatch = Stopwatch()
        result = run_session(options, SystemClock())
        spent = stopwatch.spent()
        figure(f"session, {result.ledgers} ledgers", spent.wall, "s wall")
        figure("the same", spent.user, "s user")
        figure("pace", result.ledgers / spent.wall, "ledgers/s", least=LEDGERS_A_SECOND)
        before = 0.0
        for quarter, (held, wall) in enumerate(watch.seen, start=1):
            part = f"{100 * quarter // QUARTERS} %"
            figure(f"memory at {part}", held, "MB")
            figure(f"pace of the quarter up to {part}", ledgers / QUARTERS / (wall - before), "ledgers/s")
            before = wall
        figure("database", db.stat().st_size / 1e6, "MB")
        figure("the same", db.stat().st_size / result.ledgers, "bytes/ledger")
    print(f"  {result.halt.reason.value}, fingerprint {result.fingerprint[:16]}")


def main() -> None:
    """Print the figures of one market."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--market", default=DEFAULT_MARKET)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ledgers", type=int, default=DAY_LEDGERS)
    options = parser.parse_args()
    title(f"paper session on market {options.market}, {options.ledgers} ledgers at full speed")
    market_alone(options.market, options.seed)
    session(options.market, options.seed, options.ledgers)


if __name__ == "__main__":
    main()
