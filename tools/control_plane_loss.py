"""What the control plane is worth: a day's loss on a bad market with it and without it, side by side.

    python -m tools.control_plane_loss [--markets crash hostile] [--seeds 3] [--duration 1d] [--jobs 2]

Each row is one simulated market and seed, quoted twice from the same account: `on` with the delivered
configuration, `off` with everything that watches or widens out of reach (OFF: monitors, limits of loss and
position, quote gates, spread factors). A paper session's orders change nothing for others, so both see the
very same market, and its last mid is known from the one that ran to the end.

    day    account at the last mid of the day, less the account at the first mid; what was held when a session
           ended early is valued there too, as its owner would find it
    hold   the same of an account that never traded
    quoted day - hold: what the quoting itself brought or cost
    worst  largest fall of the account's value from its peak while the session ran, less what holding fell by

Amounts are RLUSD, exact; shown with two decimals.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import yaml

from neo_engine.config import parse_config, read_yaml

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "config" / "paper.yaml"
SESSION_SECONDS = 1800.0  # a simulated day takes about one minute
DROPS = Decimal(1_000_000)
FAR = "1000000000"  # a threshold that nothing reaches
#: What "off" means: every threshold out of reach, every factor at 1.
OFF: dict[str, object] = {
    "risk.max_xrp_exposure": FAR,
    "risk.max_rlusd_exposure": FAR,
    "risk.max_loss_rlusd": FAR,
    "risk.max_daily_loss_rlusd": FAR,
    "risk.max_drawdown_pct": "100",
    "risk.max_unhealthy_ticks": 1_000_000,
    "inventory.soft_limit_share": "1",
    "strategy.pool_band_ticks": 1_000_000,
    "strategy.book_max_spread_bps": "10000",
    "strategy.volatility_factor_max": "1",
    "strategy.atr_factor_max": "1",
    "strategy.spread_factor_max": "1",
    "strategy.toxicity_min_trades": 1_000_000,  # so the flow is never known: no factor, no gate of it
    "strategy.defence_factor_max": "1",
    "strategy.staleness_factor_max": "1",
    "strategy.inventory_factor_max": "1",
    "monitors.velocity_warn_pct": "999999997",
    "monitors.velocity_pull_pct": "999999998",
    "monitors.velocity_kill_pct": "999999999",
    "monitors.cascade_pull": "999999998",
    "monitors.cascade_kill": "999999999",
    "monitors.price_pull_pct": "999999998",
    "monitors.price_kill_pct": "999999999",
    "monitors.balance_jump_pct": FAR,
    "monitors.submit_errors_pull": 1_000_000,
    "monitors.reserve_warn_xrp": "0.000001",
    "monitors.reserve_reduce_xrp": "0",
    "monitors.fee_pull_drops": 10**12,
}


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """One session: what it held at its first and last mark, and how it went. quoted_pct: of its ticks."""

    halt: str
    ticks: int
    first_mid: Decimal
    last_mid: Decimal
    first: tuple[Decimal, Decimal]
    last: tuple[Decimal, Decimal]
    fills: int
    worst: Decimal
    quoted_pct: Decimal

    def worth(self, mid: Decimal) -> Decimal:
        """Return what is held at the end, at a mid, less what was held at the first mid."""
        return self.last[0] * mid + self.last[1] - self.first[0] * self.first_mid - self.first[1]

    def hold(self, mid: Decimal) -> Decimal:
        """Return the same of an account that never traded."""
        return self.first[0] * (mid - self.first_mid)


def off(raw: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration with the control plane out of reach."""
    for key, value in OFF.items():
        section, name = key.split(".")
        if name not in raw[section]:
            raise SystemExit(f"error: OFF: {key}: no such key in {CONFIG}; name it anew in this file")
        raw[section][name] = value
    return raw


def configurations(folder: Path) -> dict[str, Path]:
    """Write both configurations and return where they lie."""
    found = {}
    for name in ("off", "on"):
        raw = read_yaml(CONFIG.read_text(encoding="utf-8"), str(CONFIG))
        text = json.dumps(off(raw) if name == "off" else raw, default=str)
        parse_config(text, name)  # a fault shows here and not in each session
        found[name] = folder / f"{name}.yaml"
        found[name].write_text(yaml.safe_dump(json.loads(text)), encoding="utf-8")
    return found


def session(config: Path, db: Path, market: str, seed: int, duration: str) -> Day:
    """Run one session and return its day. Raises SystemExit when it ends otherwise than sessions may."""
    words = ["--config", str(config), "--duration", duration, "--db", str(db), "--feed", "simulated"]
    words += ["--market", market, "--seed", str(seed), "--speed", "max", "--json", "--quiet"]
    done = subprocess.run(
        [sys.executable, "run_paper_session.py", *words],
        check=False,  # a halt is an answer
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SESSION_SECONDS,
    )
    if done.returncode not in (0, 4):
        raise SystemExit(f"error: {market}, seed {seed}: exit code {done.returncode}: {done.stderr[-500:]}")
    return read(db, json.loads(done.stdout))


def read(db: Path, summary: dict[str, Any]) -> Day:
    """Return the day of the database's only session."""
    with closing(sqlite3.connect(f"{db.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        rows = connection.execute(
            "SELECT m.mid, t.inventory_xrp_drops, t.inventory_rlusd, t.quoting, t.fees_drops FROM ticks t "
            "JOIN market_snapshots m ON m.id = t.id WHERE m.mid IS NOT NULL ORDER BY t.tick"
        ).fetchall()
        fills = connection.execute("SELECT count(*) FROM fills").fetchone()[0]
    held = [(Decimal(str(mid)), (Decimal(x) - Decimal(f)) / DROPS, Decimal(q)) for mid, x, q, _s, f in rows]
    first, last = held[0], held[-1]
    peak, worst = Decimal(0), Decimal(0)
    for mid, xrp, quote in held:
        beyond = (xrp - first[1]) * mid + quote - first[2]  # than holding would have had at this mid
        peak = max(peak, beyond)
        worst = max(worst, peak - beyond)
    return Day(
        halt=summary["halt_reason"],
        ticks=len(rows),
        first_mid=first[0],
        last_mid=last[0],
        first=first[1:],
        last=last[1:],
        fills=fills,
        worst=worst,
        quoted_pct=Decimal(100 * sum(1 for row in rows if row[3] != "none")) / len(rows),
    )


def line(market: str, seed: int, name: str, day: Day, mid: Decimal) -> str:
    """Return one row of the table."""
    whole, hold = day.worth(mid), day.hold(mid)
    return (
        f"{market:8} {seed:4} {name:4} {whole:10.2f} {hold:10.2f} {whole - hold:10.2f} {day.worst:8.2f} "
        f"{day.fills:6} {day.quoted_pct:7.1f} {day.ticks:6} {day.halt}"
    )


def main(words: Sequence[str] | None = None) -> int:
    """Print the table and the sums of each market."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--markets", nargs="+", default=["crash", "hostile"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--duration", default="1d")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args(words)
    print(
        f"{'market':8} {'seed':>4} {'':4} {'day':>10} {'hold':>10} {'quoted':>10} {'worst':>8} {'fills':>6} "
        f"{'quoted%':>7} {'ticks':>6} ended by"
    )
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(options.jobs) as pool:
        folder = Path(name)
        both = configurations(folder)
        for market in options.markets:
            runs = {
                (seed, plane): pool.submit(
                    session, config, folder / f"{market}-{seed}-{plane}.db", market, seed, options.duration
                )
                for seed in range(1, options.seeds + 1)
                for plane, config in both.items()
            }
            sums = {plane: [Decimal(0), Decimal(0)] for plane in both}
            for seed in range(1, options.seeds + 1):
                end = runs[seed, "off"].result().last_mid
                for plane in both:
                    day = runs[seed, plane].result()
                    print(line(market, seed, plane, day, end), flush=True)
                    sums[plane][0] += day.worth(end) - day.hold(end)
                    sums[plane][1] = max(sums[plane][1], day.worst)
            told = ", ".join(
                f"{plane}: quoted {one[0]:.2f} in sum, worst {one[1]:.2f}" for plane, one in sums.items()
            )
            print(f"{market:8} {told}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
