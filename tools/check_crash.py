"""Kill a session with SIGKILL at random moments, start the next on the same database, and check it.

    python tools/check_crash.py [--kills 50] [--seed 1] [--dir DIR] [--json]

Each round starts a session at a random speed with one deposit waiting in its inbox, kills it at a
random moment (start-up included), starts a session on the same database that runs to its end, and
then checks the database as it lies there (`problems`) and that the deposit was applied exactly once.
The moments come from the seed alone, but where in the program they fall is the machine's affair.

Prints a table, one line a round; exit code 1 when any check failed. --dir keeps the database.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run as a script, only tools/ would be on the path

from neo_engine.bootstrap import EMBEDDED_RECORDING  # noqa: E402
from neo_engine.domain.capital import CapitalEvent, CapitalKind  # noqa: E402
from neo_engine.domain.orders import WORKING  # noqa: E402
from neo_engine.ops.clock import SystemClock, iso  # noqa: E402
from neo_engine.ops.control import inbox_path, request_capital  # noqa: E402
from neo_engine.report.summary import summarize  # noqa: E402
from neo_engine.state.queries import open_readonly  # noqa: E402

SHORT = ROOT / "tests" / "data" / "calm_cut.jsonl.gz"
#: Speed -> the recording that is killed at it and the latest moment in seconds: at full speed the long one,
#: so that several group commits lie before and after the kill. Start-up takes about half a second.
KILLS = {"max": (EMBEDDED_RECORDING, 1.5), "200": (SHORT, 2.0), "60": (SHORT, 2.5)}
EARLIEST_KILL_SECONDS = 0.1
TIME_LIMIT_SECONDS = 120.0  # a session at full speed takes about a second
DROPS = 1_000_000  # of the deposit in every round
XRP, QUOTE = "XRP", "RLUSD"

Rows = list[tuple[Any, ...]]


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One kill. ticks: stored when the process was dead. ended: it had come to its end before."""

    number: int
    speed: str
    killed_after_seconds: float
    ended: bool
    ticks: int
    detail: str
    problems: tuple[str, ...]


def ask(db: Path, query: str, *values: object) -> Rows:
    """Ask the database read-only, as any outside program may."""
    with closing(sqlite3.connect(f"{db.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
        return connection.execute(query, values).fetchall()


def problems(db: Path) -> list[str]:
    """Return what is wrong with a database at rest, whatever happened to the programs that wrote it."""
    found = [f"integrity_check: {row[0]}" for row in ask(db, "PRAGMA integrity_check") if row[0] != "ok"]
    found += [f"foreign_key_check: {row}" for row in ask(db, "PRAGMA foreign_key_check")]
    found += [
        f"session {row[0]} has no end"
        for row in ask(db, "SELECT session_id FROM sessions WHERE ended_at IS NULL OR halt_reason IS NULL")
    ]
    working = {status.value for status in WORKING}
    found += [
        f"order {number} of session {session} is still {status}"
        for number, session, status in ask(db, "SELECT id, session_id, status FROM orders")
        if status in working
    ]
    keys = ask(db, "SELECT session_id, ledger_index, transaction_index, node FROM fills")
    if len(keys) != len(set(keys)):
        found.append("a fill is there twice")
    for (session,) in ask(db, "SELECT session_id FROM sessions ORDER BY session_id"):
        for check in (_ticks, _inventory, _overlay, _report):
            found += [f"session {session}: {problem}" for problem in check(db, session)]
    return found


def _ticks(db: Path, session: int) -> list[str]:
    """Whole ticks only: numbered without a gap, and as many rows of each kind as the tick says."""
    found = []
    ticks = ask(db, "SELECT tick, kind, placed, fills FROM ticks WHERE session_id = ? ORDER BY tick", session)
    numbers = [row[0] for row in ticks]
    if numbers != list(range(1, len(numbers) + 1)):
        found.append(f"its ticks are {numbers}")
    for table in ("submissions", "feed_faults", "reconciliations"):
        used = {row[0] for row in ask(db, f"SELECT tick FROM {table} WHERE session_id = ?", session)}
        if not used <= set(numbers):
            found.append(f"{table} has rows of ticks {sorted(used - set(numbers))}, which are not there")
    for table, column, said in (
        ("market_snapshots", "tick", {row[0]: int(row[1] == "ledger") for row in ticks}),
        ("orders", "created_tick", {row[0]: row[2] for row in ticks}),
        ("fills", "tick", {row[0]: row[3] for row in ticks}),
    ):
        query = f"SELECT {column}, count(*) FROM {table} WHERE session_id = ? GROUP BY 1"
        stored: dict[int, int] = dict(ask(db, query, session))
        wanted = {tick: count for tick, count in said.items() if count}
        if stored != wanted:
            found.append(f"{table}: rows by tick {stored}, the ticks say {wanted}")
    return found


def _inventory(db: Path, session: int) -> list[str]:
    """Each asset's last `new_balance` is the sum of the session's fills."""
    total = {XRP: Decimal(0), QUOTE: Decimal(0)}
    query = "SELECT side, xrp_drops, rlusd_balance_delta FROM fills WHERE session_id = ?"
    for side, drops, delta in ask(db, query, session):
        total[XRP] += Decimal(drops if side == "buy" else -drops).scaleb(-6)
        total[QUOTE] += Decimal(delta)
    query = (
        "SELECT asset, new_balance FROM inventory_ledger WHERE id IN "
        "(SELECT max(id) FROM inventory_ledger WHERE session_id = ? GROUP BY asset)"
    )
    stored: dict[str, Decimal] = {asset: Decimal(balance) for asset, balance in ask(db, query, session)}
    return [
        f"inventory_ledger says {stored.get(asset, 0)} {asset}, its fills {amount}"
        for asset, amount in total.items()
        if stored.get(asset, 0) != amount
    ]


def _overlay(db: Path, session: int) -> list[str]:
    """The last tick's inventory is the fills plus the capital events that were applied."""
    query = (
        "SELECT inventory_xrp_drops, inventory_rlusd FROM ticks WHERE session_id = ? "
        "ORDER BY tick DESC LIMIT 1"
    )
    last = ask(db, query, session)
    total = {XRP: Decimal(0), QUOTE: Decimal(0)}
    query = "SELECT kind, asset, amount FROM capital_events WHERE session_id = ? AND status = 'applied'"
    for kind, asset, amount in ask(db, query, session):
        total[asset] += -Decimal(amount) if kind == "withdrawal" else Decimal(amount)
    for asset, change in ask(db, "SELECT asset, change FROM inventory_ledger WHERE session_id = ?", session):
        total[asset] += Decimal(change)
    held = (Decimal(last[0][0]).scaleb(-6), Decimal(last[0][1])) if last else (Decimal(0), Decimal(0))
    wanted = (total[XRP], total[QUOTE])
    return [] if held == wanted else [f"its last tick holds {held}, fills and capital events give {wanted}"]


def _report(db: Path, session: int) -> list[str]:
    with closing(open_readonly(db)) as connection:
        agreement = summarize(connection, session).agreement
    return [] if agreement.agrees is not False else [f"report and engine differ: {agreement.comparisons}"]


def _command(db: Path, recording: Path, speed: str) -> list[str]:
    return [
        sys.executable,
        str(ROOT / "run_paper_session.py"),
        *("--config", str(ROOT / "config" / "paper.yaml"), "--recording", str(recording)),
        *("--duration", "1d", "--speed", speed, "--db", str(db), "--json"),
    ]


def _deposit(db: Path, number: int) -> str:
    event = CapitalEvent(
        request_id=f"round-{number}",
        kind=CapitalKind.DEPOSIT,
        base_drops=DROPS,
        quote=Decimal(0),
        note="in the inbox of a session that is killed",
        created_at=iso(SystemClock().utc_now()),
    )
    request_capital(db, event)
    return event.request_id


def _killed(db: Path, recording: Path, speed: str, seconds: float) -> bool:
    """Start a session and kill it after so many seconds; return whether it had ended before."""
    process = subprocess.Popen(
        _command(db, recording, speed), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(seconds)
    process.kill()
    return process.wait() == 0


def _restart(db: Path) -> list[str]:
    """Run a session to its end; return what was wrong with that."""
    done = subprocess.run(
        _command(db, SHORT, "max"),
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_SECONDS,
        check=False,
    )
    if done.returncode:
        return [f"the next session ended with {done.returncode}: {done.stderr.strip()}"]
    said = json.loads(done.stdout)
    state: dict[str, str] = dict(ask(db, "SELECT key, value FROM engine_state WHERE key LIKE 'halt.%'"))
    found = []
    if said["halt_reason"] != "recording_ended" or said["halt_reason"] != state["halt.reason"]:
        found.append(f"the next session ended with {said['halt_reason']}, engine_state says {state}")
    if Path(f"{db}-wal").exists() and Path(f"{db}-wal").stat().st_size:
        found.append("the WAL was not emptied at the end")
    return found


def one_round(db: Path, number: int, dice: random.Random) -> Round:
    """Kill one session, start the next, and check the database."""
    speed = dice.choice(sorted(KILLS))
    recording, latest = KILLS[speed]
    seconds = dice.uniform(EARLIEST_KILL_SECONDS, latest)
    before = ask(db, "SELECT coalesce(max(session_id), 0) FROM sessions")[0][0] if db.exists() else 0
    request = _deposit(db, number)
    ended = _killed(db, recording, speed, seconds)
    found = _restart(db)
    dead = ask(
        db,
        "SELECT session_id, halt_reason, halt_detail, ticks FROM sessions WHERE session_id > ? "
        "AND session_id < (SELECT max(session_id) FROM sessions)",
        before,
    )
    for session, reason, detail, _ticks_stored in dead:
        wanted = "recording_ended" if ended else "unexpected_halt"
        complete = reason == "recording_ended"  # killed after its last commit, before its last breath
        if reason != wanted and not complete:
            found.append(f"the killed session {session} is closed as {reason}, not {wanted}")
        if reason == "unexpected_halt" and "ended without closing the session" not in detail:
            found.append(f"the killed session {session} says only: {detail}")
    applied = ask(db, "SELECT count(*) FROM capital_events WHERE request_id = ?", request)[0][0]
    if applied != 1 or list(inbox_path(db).glob("*.json")):
        found.append(f"the deposit is there {applied} times; inbox: {sorted(inbox_path(db).iterdir())}")
    return Round(
        number=number,
        speed=speed,
        killed_after_seconds=round(seconds, 3),
        ended=ended,
        ticks=dead[0][3] if dead else 0,
        detail=dead[0][2] if dead else "killed before its session began",
        problems=(*found, *problems(db)),
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the rounds and print what came of each; 1 when any check failed."""
    parser = argparse.ArgumentParser(description="Kill sessions at random moments and check what they left.")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dir", type=Path, help="keep the database in this folder")
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of the table")
    options = parser.parse_args(arguments)
    failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.dir or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        dice = random.Random(options.seed)
        if not options.json:
            print("kill  speed  after s  ticks kept  verdict  what the database says of the killed session")
        for number in range(1, options.kills + 1):
            one = one_round(folder / "crash.db", number, dice)
            failed += bool(one.problems)
            if options.json:
                print(json.dumps(asdict(one)), flush=True)
                continue
            verdict = "FAILED" if one.problems else "good"
            after = f"{one.killed_after_seconds:7.3f}"
            print(
                f"{number:4}  {one.speed:>5}  {after}  {one.ticks:10}  {verdict:7}  {one.detail}", flush=True
            )
            for problem in one.problems:
                print(f"      {problem}", flush=True)
    if not options.json:
        print(f"seed {options.seed}: {options.kills} kills, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
