"""Run many random paper sessions on simulated markets and see whether their P&L adds up to the last digit.

Run: python -m tools.check_attribution [--sessions N] [--first SEED]. Each session has a market, a length,
sizes, offsets, ladder, capital and a limit on what it may hold drawn from its own seed; half of them get a
deposit and a withdrawal on the way. For each, three exact identities must hold: the parts of the
attribution, realised and unrealised by FIFO, and the report against the engine. Prints their counts; exit
code 1 when one fails.
"""

from __future__ import annotations

import argparse
import logging
import random
import sys
import tempfile
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import msgspec

from neo_engine.bootstrap import SessionOptions, run_session
from neo_engine.config import Config, load_config
from neo_engine.domain.capital import CapitalEvent, CapitalKind
from neo_engine.ops.clock import SystemClock
from neo_engine.ops.control import request_capital
from neo_engine.report.summary import summarize
from neo_engine.session import TickView
from neo_engine.state.queries import LATEST, open_readonly
from neo_engine.tick import decide

ROOT = Path(__file__).resolve().parents[1]
SESSIONS = 1_000
A_DATABASE = 50  # sessions that share one: a new one takes longer than a session
MARKETS = ("calm", "volatile", "trending", "crash", "thin", "hostile")
SECONDS = (60, 240)  # market time of a session


class Tally(msgspec.Struct, kw_only=True):
    """What was counted."""

    sessions: int = 0
    with_fills: int = 0
    fills: int = 0
    halted: int = 0
    parts_exact: int = 0
    fifo_exact: int = 0
    engine_equal: int = 0


def _some(chance: random.Random, low: str, high: str, digits: int) -> Decimal:
    step = Decimal(1).scaleb(-digits)
    span = (Decimal(high) - Decimal(low)) / step
    return Decimal(low) + step * chance.randint(0, int(span))


def random_config(config: Config, chance: random.Random) -> Config:
    """Return `config` with other sizes, offsets, ladder, capital and limits."""
    strategy = config.strategy.model_copy(
        update={
            "base_offset_bps": _some(chance, "0.1", "6", 1),
            "half_spread_min_bps": Decimal("0.1"),
            "ladder_levels": chance.randint(1, 3),
            "warmup_ticks": chance.randint(2, 6),
            "skew_bps": _some(chance, "0", "20", 1),
        }
    )
    size = config.order_size.model_copy(update={"base_size_rlusd": _some(chance, "3", "40", 3)})
    paper = config.paper.model_copy(
        update={
            "start_xrp": _some(chance, "20", "200", 6),
            "start_rlusd": _some(chance, "20", "400", 8),
        }
    )
    risk = config.risk.model_copy(update={"max_xrp_exposure": _some(chance, "150", "300", 1)})
    return config.model_copy(update={"strategy": strategy, "order_size": size, "paper": paper, "risk": risk})


def _capital(chance: random.Random, db: Path, number: int) -> None:
    for kind, low, high in ((CapitalKind.DEPOSIT, "1", "30"), (CapitalKind.WITHDRAWAL, "0.5", "5")):
        in_xrp = chance.random() < 0.5
        amount = _some(chance, low, high, 6)
        request_capital(
            db,
            CapitalEvent(
                request_id=f"{kind.value}-{number}",
                kind=kind,
                base_drops=int(amount * 1_000_000) if in_xrp else 0,
                quote=Decimal(0) if in_xrp else amount,
                note="",
                created_at="2026-01-01T00:00:00Z",
            ),
        )


def run_one(db: Path, config: Config, seed: int, tally: Tally) -> str | None:
    """Run the session of `seed` and check it; return what is wrong, None when nothing is."""
    chance = random.Random(seed)
    moved = chance.random() < 0.5
    at = chance.randint(5, 15)

    def on_tick(view: TickView) -> None:
        if moved and view.tick == at:
            _capital(chance, db, seed)

    result = run_session(
        SessionOptions(
            config=random_config(config, chance),
            db=db,
            mode="paper",
            feed="simulated",
            recording=None,
            market=chance.choice(MARKETS),
            endpoints=(),
            speed="max",
            seed=seed,
            duration_seconds=chance.randint(*SECONDS),
            on_tick=on_tick,
            decide=decide,
        ),
        SystemClock(),
    )
    with closing(open_readonly(db)) as connection:
        summary = summarize(connection, LATEST)
    parts = summary.attribution
    exact = parts is not None and parts.residue == 0 and parts.total == summary.pnl.total
    fifo = parts is not None and parts.residue_fifo == 0
    tally.sessions += 1
    tally.fills += summary.fills.count
    tally.with_fills += summary.fills.count > 0
    tally.halted += result.halt.reason.value != "duration_elapsed"
    tally.parts_exact += exact
    tally.fifo_exact += fifo
    tally.engine_equal += summary.agreement.agrees is True
    if exact and fifo and summary.agreement.agrees is True:
        return None
    return f"seed {seed}: parts {exact}, FIFO {fifo}, engine {summary.agreement.agrees}"


def main() -> int:
    """Run them all and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sessions", type=int, default=SESSIONS)
    parser.add_argument("--first", type=int, default=1, metavar="SEED", help="the seed of the first session")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # a thousand beginnings and ends
    config = load_config(ROOT / "config" / "paper.yaml")
    tally, wrong = Tally(), []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.sessions):
            db = Path(folder) / f"{number // A_DATABASE}.db"
            found = run_one(db, config, options.first + number, tally)
            if found is not None:
                wrong.append(found)
                print(found, file=sys.stderr)
    print(
        f"{tally.sessions:,} sessions (seeds {options.first} to {options.first + options.sessions - 1}), "
        f"{tally.with_fills:,} with fills, {tally.fills:,} fills, {tally.halted:,} halted"
    )
    for name, count in (
        ("parts sum to the total exactly", tally.parts_exact),
        ("FIFO sums to the total exactly", tally.fifo_exact),
        ("report equals engine", tally.engine_equal),
    ):
        print(f"{name:32}{count:>7,} of {tally.sessions:,}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
