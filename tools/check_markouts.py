"""Recompute markouts and P&L with pandas straight from `fills` and `market_snapshots`, and compare.

Run: python -m tools.check_markouts --db FILE [--session latest|ID]. Shares no code with the report or the
view: markouts by a join on ledger indexes, P&L in exact decimals from fills, capital events and fees. Prints
what differs, of the report's counts, means and deviations and of every single value of the view v_markouts.
Exit code 1 when one does.
"""

from __future__ import annotations

import argparse
import math
import sqlite3
import sys
from contextlib import closing
from decimal import Decimal, localcontext
from pathlib import Path

import pandas as pd

from neo_engine.domain.number import plain
from neo_engine.report.model import SessionSummary
from neo_engine.report.summary import summarize
from neo_engine.state.queries import LATEST, open_readonly

HORIZONS = (1, 2, 5, 15, 60)
DIGITS = 4
VIEW_BPS = 1e-9  # the same binary floats, added up in another order
_EXACT = 300


def _markets(connection: sqlite3.Connection, session_id: int) -> pd.DataFrame:
    frame = pd.read_sql_query(
        "SELECT t.ledger_index, m.best_bid, m.best_ask FROM market_snapshots m JOIN ticks t ON t.id = m.id "
        "WHERE m.session_id = ? AND m.best_bid IS NOT NULL AND m.best_ask IS NOT NULL "
        "ORDER BY t.ledger_index",
        connection,
        params=(session_id,),
    )
    frame["later"] = (frame["best_bid"].astype(float) + frame["best_ask"].astype(float)) / 2
    return frame[["ledger_index", "later"]]


def _fills(connection: sqlite3.Connection, session_id: int) -> pd.DataFrame:
    frame = pd.read_sql_query(
        "SELECT id, ledger_index, close_time, side, xrp_drops, rlusd, rlusd_balance_delta, price, mid "
        "FROM fills WHERE session_id = ?",
        connection,
        params=(session_id,),
    )
    frame["sign"] = frame["side"].map({"buy": 1, "sell": -1})
    frame["hour"] = frame["close_time"].str.slice(11, 13)
    return frame


def _marked(fills: pd.DataFrame, markets: pd.DataFrame, ledgers: int) -> pd.DataFrame:
    """Return the fills with `bps`, their markouts so many ledgers later; NaN where that one has no mid."""
    wanted = fills.assign(ledger_index=fills["ledger_index"] + ledgers)
    both = wanted.merge(markets, on="ledger_index", how="left", validate="many_to_one")
    both["bps"] = both["sign"] * (both["later"] / both["price"].astype(float) - 1) * 10_000
    return both


def view_differences(connection: sqlite3.Connection, session_id: int) -> tuple[int, list[str]]:
    """Return how many values of v_markouts were compared, and a line for each that differs."""
    fills, markets = _fills(connection, session_id), _markets(connection, session_id)
    stored = {
        (int(row[0]), int(row[1])): math.nan if row[2] is None else float(row[2])
        for row in connection.execute(
            "SELECT fill_id, ledgers, markout_bps FROM v_markouts WHERE session_id = ?", (session_id,)
        )
    }
    own = {
        (int(key), ledgers): float(bps)
        for ledgers in HORIZONS
        for key, bps in _marked(fills, markets, ledgers)[["id", "bps"]].to_numpy()
    }
    wrong = [
        f"only one of v_markouts and the rows has fill, ledgers {key}" for key in stored.keys() ^ own.keys()
    ]
    for key in sorted(stored.keys() & own.keys()):
        theirs, ours = stored[key], own[key]
        if math.isnan(theirs) != math.isnan(ours) or abs(theirs - ours) > VIEW_BPS:
            wrong.append(f"v_markouts of fill {key[0]}, {key[1]} ledgers: {theirs}, recomputed {ours}")
    return len(stored), wrong


def markouts(connection: sqlite3.Connection, session_id: int) -> dict[tuple[str, str, int], list[float]]:
    """Return (group, name, ledgers) -> count, mean, standard deviation of all fills, sides and hours."""
    fills, markets = _fills(connection, session_id), _markets(connection, session_id)
    found: dict[tuple[str, str, int], list[float]] = {}
    for ledgers in HORIZONS:
        both = _marked(fills, markets, ledgers)
        groups = [(("all", "all"), both), *((("side", str(k)), g) for k, g in both.groupby("side"))]
        groups += [(("hour", str(k)), g) for k, g in both.groupby("hour")]
        for (group, name), rows in groups:
            bps = rows["bps"].dropna()
            found[group, name, ledgers] = [float(len(bps)), float(bps.mean()), float(bps.std(ddof=1))]
    return found


def profit(connection: sqlite3.Connection, session_id: int) -> dict[str, Decimal]:
    """Return P&L, spread captured and the P&L of holding, exact, in RLUSD."""
    (mark_text,) = connection.execute(
        "SELECT mark FROM ticks WHERE session_id = ? ORDER BY tick DESC LIMIT 1", (session_id,)
    ).fetchone()
    capital = pd.read_sql_query(
        "SELECT kind, asset, amount, mark FROM capital_events WHERE session_id = ? AND status = 'applied'",
        connection,
        params=(session_id,),
    )
    (fees,) = connection.execute(
        "SELECT coalesce(sum(fee_drops), 0) FROM (SELECT * FROM (SELECT session_id, result_session, result, "
        "fee_drops FROM submissions UNION ALL SELECT session_id, result_session, result, fee_drops FROM "
        "upkeep)) WHERE coalesce(result_session, session_id) = ? AND substr(result, 1, 3) IN ('tes', 'tec')",
        (session_id,),
    ).fetchone()
    with localcontext() as context:
        context.prec = _EXACT
        mark = Decimal(mark_text)
        total, spread, hold = -Decimal(int(fees)) / 1_000_000 * mark, Decimal(0), Decimal(0)
        trades = _fills(connection, session_id).astype(object)
        for sign, drops, amount, moved, mid in trades[
            ["sign", "xrp_drops", "rlusd", "rlusd_balance_delta", "mid"]
        ].to_numpy():
            xrp = int(sign) * Decimal(int(drops)) / 1_000_000
            total += Decimal(moved) + xrp * mark
            if isinstance(mid, str):
                spread += xrp * Decimal(mid) - int(sign) * Decimal(amount)
        of_xrp = capital[capital["asset"] == "XRP"].astype(object)
        for kind, amount, own_mark in of_xrp[["kind", "amount", "mark"]].to_numpy():
            sign = -1 if kind == "withdrawal" else 1
            hold += sign * Decimal(amount) * (mark - Decimal(own_mark))
        return {"total": total + hold, "spread_captured": spread, "hold": hold}


def _report_markouts(summary: SessionSummary) -> dict[tuple[str, str, int], list[Decimal | None]]:
    return {
        (group.group, group.name, one.ledgers): [Decimal(one.count), one.mean_bps, one.sd_bps]
        for group in summary.execution.markouts
        for one in group.markouts
        if group.group != "size"  # its bounds are the report's own
    }


def _same(report: Decimal | None, own: float) -> bool:
    if report is None:
        return math.isnan(own)
    return bool(
        abs(float(report) - own) <= 0.5 * 10**-DIGITS + 1e-9
    )  # the report is rounded to so many digits


def differences(connection: sqlite3.Connection, session: str) -> tuple[int, list[str]]:
    """Return how many numbers were compared, and a line for each that differs."""
    summary = summarize(connection, session)
    session_id = summary.facts.session_id
    report, own = _report_markouts(summary), markouts(connection, session_id)
    if not summary.fills.count:
        own = {key: numbers for key, numbers in own.items() if key[0] == "all"}
    wrong = [f"only one of the two has {key}" for key in sorted(report.keys() ^ own.keys())]
    count = 0
    for key in sorted(report.keys() & own.keys()):
        for name, theirs, ours in zip(("count", "mean", "sd"), report[key], own[key], strict=True):
            count += 1
            if not _same(theirs, ours):
                wrong.append(f"markout {key} {name}: report {theirs}, recomputed {ours}")
    if summary.attribution is not None:
        for name, exact in profit(connection, session_id).items():
            count += 1
            if getattr(summary.attribution, name) != exact:
                shown = plain(getattr(summary.attribution, name))
                wrong.append(f"{name}: report {shown}, recomputed {plain(exact)}")
    values, odd = view_differences(connection, session_id)
    return count + values, wrong + odd


def main() -> int:
    """Compare one session and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--db", type=Path, required=True)
    parser.add_argument("--session", default=LATEST)
    options = parser.parse_args()
    with closing(open_readonly(options.db)) as connection:
        count, wrong = differences(connection, options.session)
    for line in wrong:
        print(line)
    print(f"{count} numbers recomputed with pandas: {count - len(wrong)} equal, {len(wrong)} different")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
