"""Simulated markets whose fill intensity is known, calibrated: how often the stated interval holds the truth.

Run: python -m tools.check_calibration [--runs N] [--first SEED] [--ledgers N]

A market here is no formula of the calibration: takers arrive on each side as a Poisson process, at moments
drawn one after the other, and each goes to a depth drawn from an exponential. A and k differ from market to
market. Each market is seen in both ways, and both are read by the code that reads real ones:

- trades: every taker's price, as a recording shows it;
- session: a database of the project's schema in which our orders stood at changing distances behind the touch
  and were filled when a taker went deeper.

A run is recovered when both A and k lie in their intervals, which are stated to hold together with 95 %.
"""

from __future__ import annotations

import argparse
import math
import random
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from neo_engine.calibration.evidence import ASK, BID, BPS, SIDES, Evidence, LedgerView
from neo_engine.calibration.hazard import RESAMPLES, Calibrated, by_blocks, calibrate
from neo_engine.calibration.observe import of_sessions, reaches_of
from neo_engine.state.schema import load_migrations, migrate, migrations_folder

RUNS, LEDGERS = 100, 1_500
A_RANGE, K_RANGE = (0.05, 0.5), (0.08, 0.5)
DISTANCE_RANGE = (0.0, 12.0)
MOVE_BPS, HALF_SPREAD_BPS = 2.0, 4.0
QUOTE_LEDGERS = 5  # our order stays at one price for so long, then stands elsewhere
PROBES = (0.0, 2.0, 5.0, 10.0)


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """What a market is made of."""

    seed: int
    a: float
    k: float


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """Ledgers and, for the ledger after each, how deep the takers of each side went, bps behind the touch."""

    ledgers: tuple[LedgerView, ...]
    depths: tuple[dict[str, tuple[float, ...]], ...]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Whether each interval held: of A, of k, of both, and of lambda at each of PROBES."""

    a: bool
    k: bool
    probes: tuple[bool, ...]

    @property
    def both(self) -> bool:
        """The run is recovered."""
        return self.a and self.k


def truth_of(seed: int) -> Truth:
    """Return a market's A and k, drawn evenly on a logarithmic scale."""
    rng = random.Random(f"truth {seed}")

    def drawn(low: float, high: float) -> float:
        return math.exp(rng.uniform(math.log(low), math.log(high)))

    return Truth(seed=seed, a=drawn(*A_RANGE), k=drawn(*K_RANGE))


def arrivals(rng: random.Random, truth: Truth) -> tuple[float, ...]:
    """Return the depths of the takers that come to one side within one ledger."""
    depths = []
    moment = rng.expovariate(truth.a)
    while moment < 1:
        depths.append(rng.expovariate(truth.k))
        moment += rng.expovariate(truth.a)
    return tuple(depths)


def simulate(truth: Truth, ledgers: int) -> Market:
    """Return a market: a mid that walks, a spread, and takers."""
    rng = random.Random(f"market {truth.seed}")
    views, depths, mid = [], [], 2.0
    for number in range(ledgers):
        mid *= 1 + rng.gauss(0, MOVE_BPS) / BPS
        half = mid * HALF_SPREAD_BPS / BPS * rng.uniform(0.5, 1.5)
        views.append(
            LedgerView(source=1, index=1_000 + number, second=4 * number, bid=mid - half, ask=mid + half)
        )
        depths.append({side: arrivals(rng, truth) for side in SIDES})
    return Market(ledgers=tuple(views), depths=tuple(depths))


def _price(view: LedgerView, side: str, behind: float) -> float:
    return view.bid * (1 - behind / BPS) if side == BID else view.ask * (1 + behind / BPS)


def as_trades(market: Market) -> Evidence:
    """Return the market as everybody's trades tell it."""
    reaches = []
    for place in range(len(market.ledgers) - 1):
        view = market.ledgers[place]
        prices = [(side, _price(view, side, depth)) for side in SIDES for depth in market.depths[place][side]]
        reaches += reaches_of(view, place, prices)
    return Evidence(
        names=("simulated",),
        ledgers=market.ledgers,
        looks=(),
        reaches=tuple(reaches),
        skipped=0,
        value_rlusd=None,
    )


# -- a session's database

_TICK = (
    "INSERT INTO ticks (id, session_id, tick, kind, ledger_index, close_time, quoting, placed, canceled, "
    "kept, fills, inventory_xrp_drops, inventory_rlusd, fees_drops, net_capital_rlusd, realised_rlusd, "
    "unrealised_rlusd, account_value_rlusd, fingerprint) VALUES (1 << 32 | ?1, 1, ?1, 'ledger', ?2, "
    "strftime('%Y-%m-%dT%H:%M:%SZ', ?3, 'unixepoch'), 'both', 0, 0, 0, 0, 0, '0', 0, '0', '0', '0', '0', x'')"
)
_SNAPSHOT = (
    "INSERT INTO market_snapshots (id, session_id, tick, best_bid, best_ask, our_bid, our_ask, bids, asks) "
    "VALUES (1 << 32 | ?1, 1, ?1, ?2, ?3, ?4, ?5, x'', x'')"
)
_ORDER = (
    "INSERT INTO orders (id, session_id, side, price, size_xrp, status, created_at) "
    "VALUES (?, 1, ?, ?, '5', 'FILLED', '')"
)
_FILL = (
    "INSERT INTO fills (id, session_id, order_id, tick, ledger_index, transaction_index, node, close_time, "
    "tx_hash, side, liquidity, xrp_drops, rlusd, rlusd_balance_delta, rounding, price, offer_sequence) "
    "VALUES (?1, 1, ?1, ?2, ?3, 0, 'N', '', 'H', ?4, 'maker', 5000000, '10', '0', '0', ?5, 1)"
)


def write_session(market: Market, truth: Truth, path: Path) -> int:
    """Write the market as a session that quoted in it, and return how many fills it had."""
    rng = random.Random(f"quotes {truth.seed}")
    fills, behind = 0, dict.fromkeys(SIDES, 0.0)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, load_migrations(migrations_folder()), path, "2026-01-01T00:00:00Z")
        connection.execute("BEGIN")
        connection.execute(
            "INSERT INTO sessions (session_id, mode, feed, started_at, engine_version) "
            "VALUES (1, 'paper', 'simulated', '', '')"
        )
        for place, view in enumerate(market.ledgers):
            if place % QUOTE_LEDGERS == 0:
                behind = {side: rng.uniform(*DISTANCE_RANGE) for side in SIDES}
            ours = {side: f"{_price(view, side, behind[side]):.12g}" for side in SIDES}
            connection.execute(_TICK, (place + 1, view.index, view.second))
            prices = (repr(view.bid), repr(view.ask), ours[BID], ours[ASK])
            connection.execute(_SNAPSHOT, (place + 1, *prices))
            for side, word in ((BID, "buy"), (ASK, "sell")):
                deepest = max(market.depths[place][side], default=-1.0)
                if place + 1 < len(market.ledgers) and deepest > behind[side]:
                    fills += 1
                    connection.execute(_ORDER, (fills, word, ours[side]))
                    connection.execute(_FILL, (fills, place + 2, view.index + 1, word, ours[side]))
        connection.execute("COMMIT")
    return fills


def as_session(market: Market, truth: Truth) -> Evidence:
    """Return the market as our own orders tell it, written to a database and read back."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "neo.db"
        write_session(market, truth, path)
        with closing(sqlite3.connect(path)) as connection:
            return of_sessions(connection, [1])


# -- the check


def judged(calibrated: Calibrated | None, truth: Truth) -> Outcome:
    """Return which intervals hold the truth; a market without a fit has not been recovered."""
    if calibrated is None:
        return Outcome(a=False, k=False, probes=tuple(False for _ in PROBES))
    probes = tuple(calibrated.band(one).holds(truth.a * math.exp(-truth.k * one)) for one in PROBES)
    return Outcome(a=calibrated.a.holds(truth.a), k=calibrated.k.holds(truth.k), probes=probes)


def recovered(
    seeds: Sequence[int],
    ledgers: int,
    see: Callable[[Market, Truth], Evidence],
    *,
    resamples: int,
) -> list[Outcome]:
    """Return the outcome of each market seen in one way."""
    outcomes = []
    for seed in seeds:
        truth = truth_of(seed)
        evidence = see(simulate(truth, ledgers), truth)
        outcomes.append(judged(calibrate(by_blocks(evidence), resamples=resamples), truth))
    return outcomes


WAYS: dict[str, Callable[[Market, Truth], Evidence]] = {
    "trades": lambda market, _truth: as_trades(market),
    "session": as_session,
}


def main() -> int:
    """Print how often the intervals held; return 1 when both did in fewer than nine of ten markets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--first", type=int, default=1, help="first seed")
    parser.add_argument("--ledgers", type=int, default=LEDGERS)
    options = parser.parse_args()
    seeds, worst = range(options.first, options.first + options.runs), options.runs
    for name, see in WAYS.items():
        outcomes = recovered(seeds, options.ledgers, see, resamples=RESAMPLES)
        both = sum(one.both for one in outcomes)
        worst = min(worst, both)
        a, k = sum(one.a for one in outcomes), sum(one.k for one in outcomes)
        probes = ", ".join(
            f"{distance:g} bps {sum(one.probes[number] for one in outcomes)}"
            for number, distance in enumerate(PROBES)
        )
        print(f"{name:8} of {options.runs}: A and k {both}, A {a}, k {k}; lambda at {probes}")
    return int(worst < 0.9 * options.runs)


if __name__ == "__main__":
    raise SystemExit(main())
