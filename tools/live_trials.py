"""Let the live engine trade through random faults and sudden deaths, and check that it loses nothing.

    python -m tools.live_trials --runs 30 [--first-seed 1] [--jobs 1] [--out FILE.jsonl]
    python -m tools.live_trials --table FILE.jsonl

Each trial is a local server of its own with a market and two to five faults, an account, and the engine on
it, killed (SIGKILL) up to three times and started again by the same command. Then the faults are cleared, a
last session must get something validated, `flatten` must empty the book, and `check_live` compares the
database with the ledger. All that is drawn comes from the trial's seed; where in the program a kill falls is
the machine's affair.

One line of JSON a trial; a trial's folder is removed when it is well and kept when it is not. Exit code 0
when every trial is `ok` or `halted` (a typed reason, which such faults may rightly have), 4 otherwise.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import yaml
from websockets.exceptions import WebSocketException

from neo_engine.domain.halt import EXIT_STARTUP
from neo_engine.simulator.server.fault_schedule import HOWS, KINDS, Place
from tools.check_live import EXIT_DIFFERENT, Refused, Wire, ask, compare
from tools.live_account import address_of, live_config, seed_of
from tools.trial_processes import Broken, Run, engine, server

Json = dict[str, Any]
MARKETS = ("hostile", "hostile", "volatile", "trending", "calm")  # mostly those that fill
SPEED = 8  # a ledger of four seconds closes twice a second: the engine's own timers count real seconds
LEDGER_SECONDS = 4
FIRST_LEDGER = 102  # at about which a session starts: 98 are warm-up, then comes the money
SESSION_LEDGERS = 22
PROBE_LEDGERS = 14  # of the session in which something must be validated
KILLS_MAX, RESTARTS_MAX = 3, 2
EARLY_SECONDS, LATE_SECONDS = 1.0, 6.0  # a kill falls into the start as often as into what comes after
FUND_SECONDS = 30.0
SESSION_SECONDS, FLATTEN_SECONDS = 75.0, 45.0
LIMIT, XRP, TOKENS = "1000000", "300", "500"
NO_RIPPLE = 0x0002_0000
KEPT = {"ok", "halted"}
UNTYPED = "unexpected_halt"


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What a seed chose. kills: seconds after the start of a session at which it is killed.

    ledgers: how long the session lasts that nobody kills.
    """

    seed: int
    market: str
    faults: tuple[Json, ...]
    kills: tuple[float, ...]
    ledgers: int

    @property
    def kinds(self) -> tuple[str, ...]:
        """The names of its faults."""
        return tuple(dict.fromkeys(str(one["fault"]) for one in self.faults))


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a trial. reasons: how sessions ended that nobody killed; halts: the words of typed ones.

    found: all that is wrong.
    """

    seed: int
    market: str
    faults: tuple[str, ...]
    kills: int
    reasons: tuple[str, ...]
    halts: tuple[str, ...]
    outcome: str
    detail: str
    found: tuple[str, ...]
    counts: dict[str, int]
    seconds: float
    folder: str = ""


# what a seed chooses


def draw(seed: int, kills: int | None = None, ledgers: int = SESSION_LEDGERS) -> Trial:
    """Return the trial of a seed; its first kind of fault wraps through all kinds, seed after seed.

    kills: that many instead of some. ledgers: of the session that nobody kills.
    """
    dice = random.Random(seed)
    account = address_of(seed_of(seed))
    names = list(KINDS)
    chosen = [names[seed % len(names)], *dice.sample(names, dice.randint(1, 4))]
    count = dice.randint(0, KILLS_MAX) if kills is None else kills
    latest = [dice.choice((EARLY_SECONDS, LATE_SECONDS)) for _ in range(count)]
    killed = tuple(round(dice.uniform(0.05, one), 3) for one in latest)
    last = FIRST_LEDGER + ledgers + int(sum(killed) * SPEED / LEDGER_SECONDS)
    faults = tuple(_fault(name, dice, account, dice.randint(FIRST_LEDGER, last)) for name in chosen)
    return Trial(seed=seed, market=dice.choice(MARKETS), faults=faults, kills=killed, ledgers=ledgers)


def _fault(name: str, dice: random.Random, account: str, at_ledger: int) -> Json:
    kind = KINDS[name]
    parameters: Json = {}
    lasts = None
    if kind.place is Place.REPLY:
        # As often all commands as those alone that move money or prove where it is.
        lasts = f"{dice.randint(1, 8)} requests"
        commands = ("submit", "submit", "tx", "account_tx", "account_info", "")
        if name in ("lost_reply", "false_reply"):
            parameters["command"] = "submit"
        else:
            parameters["command"] = dice.choice(commands)
    elif kind.lasts is not None:
        lasts = f"{dice.randint(1, 8)} ledgers"
    if "how" in kind.parameters:
        parameters["how"] = dice.choice(HOWS)
    if name == "latency":
        parameters["seconds"] = round(dice.uniform(0.2, 6.0), 2)
    if name == "lag":
        parameters["ledgers"] = dice.randint(1, 6)
    if name in ("freeze", "unfreeze", "clawback", "deposit"):
        parameters["account"] = account
    if name == "clawback":
        parameters["value"] = str(dice.randint(1, 40))
    if name == "deposit":
        parameters["value"] = str(dice.randint(1, 30) * 1_000_000)
    if name == "reserve":
        parameters |= dice.choice(({"base": 2_000_000}, {"increment": 400_000}, {"fee": 25}))
    item: Json = {"fault": name, "at_ledger": at_ledger, "parameters": parameters}
    return item if lasts is None else {**item, "for": lasts}


# one trial


def fund(wire: Wire, account: str, seed: str) -> str:
    """Give the account XRP, a line and tokens; return the issuer. Raises Broken when no ledger closes."""
    issuer = str(wire.result("faucet", destination=account, xrp=XRP)["issuer"])
    _wait_ledgers(wire, 1)
    line = {"currency": b"RLUSD".hex().upper().ljust(40, "0"), "issuer": issuer, "value": LIMIT}
    trust = {"TransactionType": "TrustSet", "Account": account, "Flags": NO_RIPPLE, "LimitAmount": line}
    wire.result("submit", secret=seed, tx_json=trust)
    _wait_ledgers(wire, 1)
    wire.result("faucet", destination=account, xrp="0", tokens=TOKENS)
    _wait_ledgers(wire, 1)
    return issuer


def _wait_ledgers(wire: Wire, count: int) -> None:
    first = int(wire.result("ledger", ledger_index="validated")["ledger_index"])
    end = time.monotonic() + FUND_SECONDS
    while int(wire.result("ledger", ledger_index="validated")["ledger_index"]) < first + count:
        if time.monotonic() > end:
            raise Broken(f"no ledger closes: still before ledger {first + count}")
        time.sleep(0.1)


def write_config(folder: Path, seed: str, issuer: str, endpoint: str) -> Path:
    """Write key file and configuration: the test network's, with limits that leave room for a trial."""
    return live_config(
        folder,
        seed,
        issuer,
        endpoint,
        live={"account_check_ledgers": 8},
        strategy={"warmup_ticks": 3},
        risk={
            "max_xrp_exposure": 600.0,
            "max_rlusd_exposure": 1500.0,
            "max_loss_rlusd": 200.0,
            "max_daily_loss_rlusd": 200.0,
            "max_drawdown_pct": 50.0,
            "stale_pull_seconds": 3,  # real ones: six ledgers
            "stale_halt_seconds": 12,
        },
    )


def _verb(folder: Path, verb: str, account: str, *more: str) -> list[str]:
    files = ("--config", str(folder / "live.yaml"), "--db", str(folder / "live.db"))
    return [verb, *files, "--consent", account, "--json", *more]


def sessions(folder: Path, trial: Trial, account: str) -> list[Run]:
    """Run the engine through the trial's kills, then to the end of its duration; a halt is tried again."""
    command = _verb(folder, "live", account, "--duration", f"{trial.ledgers * LEDGER_SECONDS}s")
    runs: list[Run] = []
    for number, seconds in enumerate(trial.kills):
        runs.append(engine(folder, f"killed{number}", command, limit=SESSION_SECONDS, kill_after=seconds))
    for number in range(1 + RESTARTS_MAX):
        runs.append(engine(folder, f"session{number}", command, limit=SESSION_SECONDS))
        if runs[-1].code == 0 or runs[-1].hung:
            break
    return runs


def _clear(endpoint: str, trial: Trial, account: str) -> None:
    """End every fault, those too that had not come yet, and thaw what was frozen."""
    with Wire(endpoint) as wire:
        wire.result("fault", name="clear")
        shown = int(wire.result("ledger", ledger_index="validated")["ledger_index"])
        _wait_ledgers(wire, max(1, max(int(one["at_ledger"]) for one in trial.faults) + 1 - shown))
        wire.result("fault", name="clear")
        if "freeze" in trial.kinds:
            wire.result("fault", name="unfreeze", parameters={"account": account})
            _wait_ledgers(wire, 2)


def run_trial(trial: Trial, folder: Path) -> Outcome:
    """Run one trial in its folder and judge it."""
    began = time.monotonic()
    seed = seed_of(trial.seed)
    account = address_of(seed)
    runs: list[Run] = []
    counts: dict[str, int] = {}
    try:
        schedule = folder / "faults.yaml"
        schedule.write_text(yaml.safe_dump(list(trial.faults)), encoding="utf-8")
        with server(folder, market=trial.market, seed=trial.seed, speed=SPEED, faults=schedule) as endpoint:
            with Wire(endpoint) as wire:
                write_config(folder, seed, fund(wire, account, seed), endpoint)
            runs += sessions(folder, trial, account)
            _clear(endpoint, trial, account)
            duration = f"{min(PROBE_LEDGERS, trial.ledgers) * LEDGER_SECONDS}s"
            runs.append(
                engine(
                    folder,
                    "probe",
                    _verb(folder, "live", account, "--duration", duration),
                    limit=SESSION_SECONDS,
                )
            )
            runs.append(engine(folder, "flatten", _verb(folder, "flatten", account), limit=FLATTEN_SECONDS))
            with Wire(endpoint) as wire:
                verdict = compare(wire, folder / "live.db", account)
            counts = verdict.counts
            found = [(one.kind, one.detail) for one in verdict.differences]
    except (Broken, Refused, OSError, WebSocketException, sqlite3.Error) as error:
        found = [("crash of tool", f"{type(error).__name__}: {error}")]
    found = [*judge(folder / "live.db", runs), *found]
    ends = _ends(folder / "live.db", runs)
    halts = [(reason, words) for reason, words in ends if reason != "duration_elapsed"]
    typed = dict.fromkeys(reason for reason, _words in halts)
    outcome, detail = found[0] if found else ("halted", ", ".join(typed)) if typed else ("ok", "")
    return Outcome(
        seed=trial.seed,
        market=trial.market,
        faults=trial.kinds,
        kills=len(trial.kills),
        reasons=tuple(reason for reason, _words in ends),
        halts=tuple(f"{reason}: {words[-300:]}" for reason, words in halts),
        outcome=outcome,
        detail=detail,
        found=tuple(f"{kind}: {text}" for kind, text in found),
        counts=counts,
        seconds=round(time.monotonic() - began, 1),
    )


def _session_of(db: Path, run: Run) -> tuple[int, str, str] | None:
    """Return id, reason and detail of the session that a process ran, None if it began none."""
    query = "SELECT session_id, halt_reason, halt_detail FROM sessions WHERE pid = ? ORDER BY session_id DESC"
    try:
        found = ask(db, query, run.pid)
    except sqlite3.OperationalError:
        return None  # every process died before it had made the database
    return (found[0][0], str(found[0][1]), str(found[0][2])) if found else None


def _ends(db: Path, runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Return reason and words of each end that was not a kill's."""
    ends = []
    for run in runs:
        if not run.killed:
            session = _session_of(db, run)
            refused = "startup_failure" if run.code == EXIT_STARTUP else UNTYPED
            ends.append((refused, run.said) if session is None else session[1:])
    return ends


def judge(db: Path, runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Return what was wrong with the processes themselves: outcome and detail, the worst first."""
    found: list[tuple[str, str]] = []
    for run in runs:
        if run.killed:
            continue
        session = _session_of(db, run)
        if run.hung:
            found.append(("hang", f"{run.what} ran beyond its time limit: {run.said[-300:]}"))
        elif "Traceback" in run.said or run.code == 1 or (session is not None and session[1] == UNTYPED):
            text = run.said[-300:] if session is None else f"{session[1]}: {session[2]}"
            found.append(("untyped halt", f"{run.what} ended with {run.code}: {text}"))
    last = {run.what: run for run in runs}
    if "flatten" in last and last["flatten"].code != 0:
        found.append(("wedged", f"flatten ended with {last['flatten'].code}: {last['flatten'].said[-300:]}"))
    probe = _session_of(db, last["probe"]) if "probe" in last else None
    if probe is not None and not _something_validated(db, probe[0]):
        found.append(("wedged", f"nothing of session {probe[0]} was validated: {probe[1]}: {probe[2]}"))
    return found


def _something_validated(db: Path, session: int) -> bool:
    """Tell whether a session got a transaction into a ledger, or never had one to send."""
    both = (
        "SELECT ledger_index FROM v_submissions WHERE session_id = ? UNION ALL "
        "SELECT ledger_index FROM v_upkeep WHERE session_id = ?"
    )
    sent = [row[0] for row in ask(db, both, session, session)]
    return not sent or any(index is not None for index in sent)


# many trials


def one_trial(trial: Trial, kept: Path) -> Outcome:
    """Run a trial; its folder stays in `kept` when it did not go well."""
    folder = Path(tempfile.mkdtemp(prefix=f"trial-{trial.seed}-"))
    outcome = run_trial(trial, folder)
    if outcome.outcome in KEPT:
        shutil.rmtree(folder)
        return outcome
    kept.mkdir(parents=True, exist_ok=True)
    place = Path(shutil.move(str(folder), kept / folder.name))
    (place / "trial.json").write_bytes(msgspec.json.encode({"trial": trial, "outcome": outcome}))
    return msgspec.structs.replace(outcome, folder=str(place))


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the table: each kind of fault with its runs, and what came of them."""
    lines = [f"{'fault':18} {'runs':>4} {'ok':>4} {'halted':>6} {'failed':>6}  reasons and failures"]
    by_kind: dict[str, list[Outcome]] = defaultdict(list)
    for one in outcomes:
        for kind in one.faults:
            by_kind[kind].append(one)
        by_kind["kill -9" if one.kills else "no kill"].append(one)
        by_kind["all"].append(one)
    for kind in (*KINDS, "kill -9", "no kill", "all"):
        runs = by_kind.get(kind, [])
        said = Counter(one.outcome for one in runs)
        halted = Counter(why for one in runs if one.outcome == "halted" for why in one.detail.split(", "))
        failed = Counter(one.outcome for one in runs if one.outcome not in KEPT)
        words = [f"{name} {count}" for name, count in (*sorted(halted.items()), *sorted(failed.items()))]
        bad = sum(failed.values())
        lines.append(
            f"{kind:18} {len(runs):4} {said['ok']:4} {said['halted']:6} {bad:6}  {', '.join(words)}".rstrip()
        )
    return "\n".join(lines)


def _read(path: Path) -> list[Outcome]:
    lines = path.read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Outcome) for line in lines if line.strip()]


def main(arguments: list[str] | None = None) -> int:
    """Run the trials, or only print the table of a file; 4 when any trial failed."""
    parser = argparse.ArgumentParser(description="Live sessions through random faults and kills, checked.")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, help="append one line of JSON a trial; default: stdout only")
    parser.add_argument("--keep", type=Path, default=Path("live-trials"), help="folder of failed trials")
    parser.add_argument("--table", type=Path, metavar="FILE", help="print the table of a file and end")
    options = parser.parse_args(arguments)
    if options.table is not None:
        outcomes = _read(options.table)
        print(table(outcomes))
        return EXIT_DIFFERENT if any(one.outcome not in KEPT for one in outcomes) else 0
    writing = threading.Lock()

    def run(seed: int) -> Outcome:
        outcome = one_trial(draw(seed), options.keep)
        line = msgspec.json.encode(outcome).decode()
        with writing:
            print(line, flush=True)
            if options.out is not None:
                with options.out.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
        return outcome

    seeds = range(options.first_seed, options.first_seed + options.runs)
    with ThreadPoolExecutor(max_workers=options.jobs) as pool:
        outcomes = list(pool.map(run, seeds))
    print(table(outcomes))
    return EXIT_DIFFERENT if any(one.outcome not in KEPT for one in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
