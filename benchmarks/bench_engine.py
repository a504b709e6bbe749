"""The engine alone: its real loop and its real database on a market prepared in memory.

Run: python -m benchmarks.bench_engine [--ticks N] [--group N] [--recording FILE] [--long]

What a tick costs from the ledger's report to the commit of the answers, by commit policy; the time of
`decide` alone; bytes on disk. `--long` runs one long session and compares its last tenth with its first.
The time the prepared market itself takes is measured apart and told, not subtracted.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import tempfile
import time
from array import array
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import msgspec

from benchmarks.measure import SERIES, Spent, Stopwatch, centile, figure, peak_memory_mb, title
from benchmarks.prepared_market import (
    ACCOUNT,
    BALANCE_DROPS,
    BALANCE_QUOTE,
    PreparedExchange,
    PreparedFeed,
    recorded_snapshots,
)
from neo_engine.bootstrap import EMBEDDED_RECORDING, rare_collections
from neo_engine.cli_session import DEFAULT_CONFIG
from neo_engine.config import Config, load_config
from neo_engine.domain.ledger import FeedStart, LedgerUpdate
from neo_engine.domain.market import MarketSnapshot
from neo_engine.main_loop import MainLoop
from neo_engine.ops.clock import SystemClock
from neo_engine.ops.signals import SignalFlags
from neo_engine.ports import ControlRequest, VenueReport
from neo_engine.session import Opening, Session, TickView
from neo_engine.state.manager import StateManager
from neo_engine.state.options import options_of
from neo_engine.tick import Decision, EngineState, Observation, decide

TICKS = 5_000
LONG_TICKS = 1_000_000
CPU_EVERY = 100
POLICIES = (("NORMAL", 1, 3_000), ("NORMAL", 100, 8_000))
TICK_P99_MS = 5
DECIDE_P50_US = 300  # with every monitor, factor and gate
MEMORY_MB = 200
BYTES_A_TICK = 1_024
EVENNESS = 0.9


class NoRequests:
    """Implements ports.Control: nobody asks for anything."""

    def poll(self) -> tuple[ControlRequest, ...]:
        """Return nothing."""
        return ()

    def done(self, request: ControlRequest) -> None:
        """Nothing was asked, so nothing is acknowledged."""


class TimedExchange(PreparedExchange):
    """The prepared market with a watch on its own share of the time."""

    def __init__(self, snapshots: Sequence[MarketSnapshot], config: Config) -> None:
        super().__init__(snapshots, config)
        self.nanoseconds = 0

    def advance(self, update: LedgerUpdate) -> VenueReport:
        """Give the next ledger's report."""
        begin = time.perf_counter_ns()
        report = super().advance(update)
        self.nanoseconds += time.perf_counter_ns() - begin
        return report


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One session: seconds, each tick's and each decision's nanoseconds, and what it left.

    cpu_ns: processor time of the process at the end of every `CPU_EVERY`th tick.
    """

    ticks: int
    spent: Spent
    tick_ns: array[int]
    decide_ns: array[int]
    cpu_ns: array[int]
    market_seconds: float
    bytes_a_tick: float
    fills: int
    halt: str

    @property
    def rate(self) -> float:
        """Ticks a second of wall time."""
        return self.ticks / self.spent.wall


def wide(config: Config) -> Config:
    """Return `config` for an account that holds millions: no limit ends a long benchmark."""
    huge = Decimal(10) ** 12
    limits = ("max_xrp_exposure", "max_rlusd_exposure", "max_loss_rlusd", "max_daily_loss_rlusd")
    risk = config.risk.model_copy(update=dict.fromkeys(limits, huge))
    return config.model_copy(update={"risk": risk})


def run(
    config: Config, market: tuple[FeedStart, tuple[MarketSnapshot, ...]], ticks: int, *, sync: str, group: int
) -> Run:
    """Run a session of `ticks` ticks into a new database and return its figures."""
    start, snapshots = market
    exchange = TimedExchange(snapshots, config)
    tick_ns, decide_ns, cpu_ns = array("q"), array("q"), array("q")
    last = 0

    def timed(state: EngineState, seen: Observation, config: Config, now: int) -> Decision:
        begin = time.perf_counter_ns()
        decision = decide(state, seen, config, now)
        decide_ns.append(time.perf_counter_ns() - begin)
        return decision

    def on_tick(_view: TickView) -> None:
        nonlocal last
        now = time.perf_counter_ns()
        tick_ns.append(now - last)
        last = now
        if not len(tick_ns) % CPU_EVERY:
            cpu_ns.append(time.process_time_ns())

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "bench.db")
        state = config.state.model_copy(update={"synchronous": sync, "backups_kept": 0})
        config = config.model_copy(update={"state": state})
        store = StateManager.open(path, options_of(config, group_commit_ticks=group, account_lock=None))
        session = Session(
            config=config,
            feed=PreparedFeed(start, ticks),
            feed_start=start,
            exchange=exchange,
            store=store,
            control=NoRequests(),
            clock=SystemClock(),
            signals=SignalFlags(),
            mode="paper",
            feed_name="recorded",
            pair=start.pair.symbol,
            account=ACCOUNT,
            opening=Opening(base_drops=BALANCE_DROPS, quote=BALANCE_QUOTE),
            recording=None,
            speed="max",
            seed=1,
            duration_seconds=None,
            on_tick=on_tick,
            decide=timed,
        )
        with rare_collections():
            watch = Stopwatch()
            last = time.perf_counter_ns()
            result = MainLoop(session).run()
            spent = watch.spent()
        store.close()
        size = path.stat().st_size
    return Run(
        ticks=result.ticks,
        spent=spent,
        tick_ns=tick_ns,
        decide_ns=decide_ns,
        cpu_ns=cpu_ns,
        market_seconds=exchange.nanoseconds / 1e9,
        bytes_a_tick=size / result.ticks,
        fills=int(str(result.summary["fills"])),
        halt=result.halt.reason.value,
    )


def report(runs: Sequence[Run], *, least: float) -> None:
    """Print the medians of some runs of one policy."""

    def median(values: Sequence[float]) -> float:
        return statistics.median(values)

    figure("ticks a second, wall", median([one.rate for one in runs]), "ticks/s", least=least)
    figure("ticks a second of user time", median([one.ticks / one.spent.user for one in runs]), "ticks/s")
    inside = [one.ticks / (one.spent.wall - one.market_seconds) for one in runs]
    figure("ticks a second, less the prepared market", median(inside), "ticks/s")
    figure("tick, median", median([centile(one.tick_ns, 50) for one in runs]) / 1e3, "us")
    slow = median([centile(one.tick_ns, 99) for one in runs]) / 1e6
    figure("tick, 99 of 100", slow, "ms", most=TICK_P99_MS)
    decided = median([centile(one.decide_ns, 50) for one in runs]) / 1e3
    figure("decide, median", decided, "us", most=DECIDE_P50_US)
    figure("decide, 99 of 100", median([centile(one.decide_ns, 99) for one in runs]) / 1e3, "us")
    figure("database", median([one.bytes_a_tick for one in runs]), "bytes/tick", most=BYTES_A_TICK)
    print(f"  {runs[0].ticks} ticks with {runs[0].fills} fills, ended by {runs[0].halt}")


def long_session(config: Config, market: tuple[FeedStart, tuple[MarketSnapshot, ...]], ticks: int) -> None:
    """Run one session of `ticks` ticks and compare its end with its beginning."""
    title(f"one session of {ticks:,} ticks, group commits of 100")
    one = run(config, market, ticks, sync="NORMAL", group=100)
    tenth = (len(one.cpu_ns) - 1) // 10
    ticks_a_tenth = tenth * CPU_EVERY
    first = one.cpu_ns[tenth] - one.cpu_ns[0]
    last = one.cpu_ns[-1] - one.cpu_ns[-1 - tenth]
    figure("ticks a second of processor time, first tenth", ticks_a_tenth * 1e9 / first, "ticks/s")
    figure("ticks a second of processor time, last tenth", ticks_a_tenth * 1e9 / last, "ticks/s")
    figure("last tenth in percent of the first", 100 * first / last, "%", least=100 * EVENNESS)
    figure("ticks a second, wall", one.rate, "ticks/s")
    figure("most memory", peak_memory_mb(), "MB", most=MEMORY_MB)
    figure("database", one.bytes_a_tick, "bytes/tick", most=BYTES_A_TICK)
    print(f"  {one.ticks} ticks with {one.fills} fills, ended by {one.halt}")


def main() -> None:
    """Print the figures of each policy, or of one long session."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ticks", type=int, help="ticks of each run")
    parser.add_argument("--recording", type=Path, default=EMBEDDED_RECORDING)
    parser.add_argument("--series", type=int, default=SERIES, help="runs of each policy")
    parser.add_argument("--group", type=int, help="only the policy with group commits of so many ticks")
    parser.add_argument("--long", action="store_true", help="one long session instead")
    options = parser.parse_args()
    logging.disable(logging.ERROR)
    config = wide(load_config(DEFAULT_CONFIG))
    market = recorded_snapshots(options.recording, config)
    if options.long:
        long_session(config, market, options.ticks or LONG_TICKS)
        return
    for sync, group, least in POLICIES:
        if options.group in (None, group):
            title(f"engine alone, {sync}, a commit every {group} tick(s), median of {options.series} runs")
            ticks = options.ticks or TICKS
            runs = [run(config, market, ticks, sync=sync, group=group) for _ in range(options.series)]
            report(runs, least=least)


if __name__ == "__main__":
    main()
