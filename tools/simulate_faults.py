"""Run the real main loop through drawn faults of network, ledger, disk, process and operator.

    python -m tools.simulate_faults --first 1 --count 100 [--jobs 2] [--out FILE.jsonl]
    python -m tools.simulate_faults --seed 17            one trial again, tick by tick
    python -m tools.simulate_faults --table FILE.jsonl

A trial is a rehearsed world (`neo_engine/rehearsal`): the live engine on a model network, one thread, a
simulated clock. Sessions follow each other on one database until the trial's ledgers have passed; then every
fault ends, a session only cancels, and the books are compared with the ledger to the last digit. Everything
comes from the seed, so a seed that fails fails again. With --out a seed that is in the file already is not
run again. Exit code 0 when nothing failed, 4 otherwise.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from pathlib import Path

import msgspec

from neo_engine.domain.errors import NeoError, StartupFailure, StateError
from neo_engine.domain.halt import HaltReason
from neo_engine.live_replay import play_journal
from neo_engine.live_session import LiveResult
from neo_engine.ops.kill_switch import ResetOrder, reset
from neo_engine.rehearsal.points import Crash
from neo_engine.rehearsal.world import LEDGER_SECONDS
from neo_engine.session import SessionResult, TickView
from tools.check_live import EXIT_DIFFERENT, ask
from tools.simulated_checks import after_session, at_the_end
from tools.simulated_draw import ALL_KINDS, LEDGERS, Trial, draw
from tools.simulated_world import Done, Happenings, Listener

SESSIONS_MAX = 12  # of a trial; one whose engine ends more often shows nothing new
FLATTEN_MAX = 4
AWAY_LEDGERS = 2  # between a session that ended early and the next
SEEN_SECONDS = 4 * LEDGER_SECONDS  # after a fault's end in which a sign of it still counts
STRANGER = "something else sends for it"  # and nobody else has the account's key here
CALM = HaltReason.DURATION_ELAPSED.value


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a trial. faults: (kind, detected, recovered). halts: typed reasons of sessions.

    replayed: sessions whose journal was played again. digest: of every session's fingerprint and the last
    ledger's hash. failures: all that is wrong.
    """

    seed: int
    market: str
    ledgers: int
    simulated_seconds: float
    sessions: int
    replayed: int
    crashes: int
    halts: tuple[str, ...]
    faults: tuple[tuple[str, bool, bool], ...]
    counts: dict[str, int]
    digest: str
    seconds: float
    failures: tuple[str, ...]


class Runner:
    """One trial from its first session to the last comparison."""

    def __init__(self, trial: Trial, folder: Path, say: Callable[[str], None]) -> None:
        self.trial = trial
        self.db = folder / "neo.db"
        self.say = say
        self.h = Happenings(trial, self.db, say)
        self.failures = self.h.failures
        self.crashed: set[int] = set()  # and those whose end the disk refused
        self.deaths = 0
        self.halts: list[str] = []
        self.sessions = 0
        self.replayed = 0
        self.digest = sha256()
        self.counts: dict[str, int] = {}

    def run(self) -> None:
        """Run sessions until the trial's ledgers have passed, then clear the book and compare."""
        world = self.h.world
        while world.ledger <= LEDGERS and self.sessions < SESSIONS_MAX and not self.failures:
            wanted = self.trial.sessions[min(self.sessions, len(self.trial.sessions) - 1)]
            self._session(min(wanted, LEDGERS - world.ledger + 1))
            self._check()
            self._reset_latch()
        if self.failures:
            return
        self.say("      -- every fault ends; the book is cleared")
        self.h.clear()
        world.clock.sleep(AWAY_LEDGERS * LEDGER_SECONDS)
        for _ in range(FLATTEN_MAX):
            result = self._session(0)
            self._check()
            if self.failures:
                return
            if result is not None and result.left == ():
                break
        else:
            self.failures.append(f"wedged: the book is not clear after {FLATTEN_MAX} sessions")
            return
        self.counts, found = at_the_end(world, self.db, bare=self.h.disk_failed)
        self.failures += found

    def _session(self, ledgers: int) -> LiveResult | None:
        h, world = self.h, self.h.world
        self.sessions += 1
        self.say(f"      -- session {self.sessions}, {ledgers} ledgers")
        result = None
        journal = self._journal()
        away = AWAY_LEDGERS
        try:
            result = world.session(
                self.db,
                ledgers=ledgers,
                on_tick=h.tick,
                point=h.point,
                between=h.between,
                on_store=h.opened,
                journal=journal,
            )
        except Crash as crash:
            self._died(crash)
            away = h.away_ledgers
        except (StartupFailure, StateError) as error:
            self.halts.append("startup_failure" if isinstance(error, StartupFailure) else "no database")
            self.say(f"      -- no start: {error}")
        except Exception as error:  # noqa: BLE001 - whatever comes out here is what the trial looks for
            frames = traceback.extract_tb(error.__traceback__)
            place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
            self.failures.append(f"unhandled exception: {type(error).__name__}: {error} ({place})")
            self.say(traceback.format_exc())
        h.ended()
        if result is not None:
            halt = result.session.halt
            self.halts.append(halt.reason.value)
            self.say(f"      -- ended: {halt.reason.value}: {halt.detail}; left {result.left}")
            self.digest.update(result.session.fingerprint.encode())
            if STRANGER in halt.detail:
                self.failures.append(f"own transaction not known again: {halt.detail}")
            if journal is not None:
                self._replay(journal, result.session)
        if result is None or self.halts[-1] != CALM:
            world.clock.sleep(away * LEDGER_SECONDS)
        return result

    def _journal(self) -> Path | None:
        """Return where the session writes its journal; a market that is bent behind its door has none."""
        bent = any(one.kind == "bend" for one in self.trial.injections)
        return None if bent else self.db.with_name(f"{self.sessions}.journal")

    def _replay(self, journal: Path, done: SessionResult) -> None:
        """Play a session's journal into a database of its own: every decision must be the same."""
        try:
            again = play_journal(journal, journal.with_suffix(".db"), self.h.world.clock, unwatched)
        except NeoError as error:
            self.failures.append(f"the journal of session {self.sessions} does not play: {error}")
            return
        if (again.fingerprint, again.ticks, again.halt.reason) != (
            done.fingerprint,
            done.ticks,
            done.halt.reason,
        ):
            self.failures.append(
                f"the journal of session {self.sessions} plays to tick {again.ticks}, {again.halt}; "
                f"the session was {done.ticks}, {done.halt}"
            )
        self.replayed += 1

    def _died(self, crash: Crash) -> None:
        if not self.db.exists():
            return
        number = ask(self.db, "SELECT coalesce(max(session_id), 0) FROM sessions")[0][0]
        self.crashed.add(number)
        self.deaths += 1
        self.say(f"      -- session {number} died: {crash}")

    def _check(self) -> None:
        if self.db.exists() and not self.failures:
            self._unstored()
            self.failures += after_session(self.h.world, self.db, self.crashed, bare=self.h.disk_failed)

    def _unstored(self) -> None:
        """Note the session whose end the disk refused: the next opening closes it, as one that died."""
        for (number,) in ask(self.db, "SELECT session_id FROM sessions WHERE ended_at IS NULL"):
            if self.h.disk_failed:
                self.crashed.add(number)
                self.say(f"      -- the end of session {number} is not on disk")

    def _reset_latch(self) -> None:
        """Open the latch as an operator does who has looked, so that the next session may start."""
        if self.db.exists():
            order = ResetOrder(reason="the trial goes on", by="trial", seen=None, force=True)
            try:
                done = reset(self.db, order, self.h.world.clock.utc_now())
            except StateError as error:
                self.say(f"      -- the latch stays: {error}")
                return
            if done is not None:
                self.say("      -- the operator resets the latch")


def unwatched(_config: object) -> Callable[[TickView], None]:
    """Return the viewer of a replay: nobody looks."""
    return lambda _view: None


def run_trial(trial: Trial, folder: Path, say: Callable[[str], None] = lambda _text: None) -> Outcome:
    """Run one trial in its folder and judge it; say: told what happens, line by line."""
    began = time.monotonic()
    runner = Runner(trial, folder, say)
    listener, log = Listener(runner.h), logging.getLogger("neo_engine")
    propagate, log.propagate = log.propagate, False
    log.addHandler(listener)
    try:
        runner.run()
    finally:
        log.removeHandler(listener)
        log.propagate = propagate
        runner.h.close()
    runner.failures += [f"traceback in the log: {text}" for text in listener.tracebacks]
    world = runner.h.world
    runner.digest.update(world.network.chain.header.ledger_hash.encode())
    return Outcome(
        seed=trial.seed,
        market=trial.market,
        ledgers=world.ledger,
        simulated_seconds=round(world.clock.monotonic(), 1),
        sessions=runner.sessions,
        replayed=runner.replayed,
        crashes=runner.deaths,
        halts=tuple(runner.halts),
        faults=tuple(_judged(one, runner) for one in runner.h.done),
        counts=runner.counts,
        digest=runner.digest.hexdigest()[:16],
        seconds=round(time.monotonic() - began, 2),
        failures=tuple(runner.failures),
    )


def _judged(one: Done, runner: Runner) -> tuple[str, bool, bool]:
    """Return kind, whether the engine said something meanwhile, and whether it went on or ended typed."""
    h = runner.h
    crashed = one.kind == "crash" and runner.deaths > 0
    detected = crashed or any(one.at <= sign.seconds <= one.until + SEEN_SECONDS for sign in h.signs)
    recovered = any(second > one.until for second in h.quoted) or runner.halts[-2:-1] != [CALM]
    return one.kind, detected, recovered


# many trials


def one_seed(seed: int) -> Outcome:
    """Run the trial of a seed; an exception of the trial itself is a failure too."""
    with tempfile.TemporaryDirectory(prefix=f"simulated-{seed}-") as folder:
        try:
            return run_trial(draw(seed), Path(folder))
        except Exception:  # noqa: BLE001 - the other seeds must still run
            return Outcome(
                seed=seed,
                market="",
                ledgers=0,
                simulated_seconds=0.0,
                sessions=0,
                replayed=0,
                crashes=0,
                halts=(),
                faults=(),
                counts={},
                digest="",
                seconds=0.0,
                failures=(f"the trial broke: {traceback.format_exc()[-600:]}",),
            )


def command(seed: int) -> str:
    """Return what replays a seed."""
    return f"python -m tools.simulate_faults --seed {seed}"


def table(outcomes: Sequence[Outcome]) -> str:
    """Return the table of many trials."""
    done: dict[str, Counter[str]] = defaultdict(Counter)
    for outcome in outcomes:
        for kind, detected, recovered in outcome.faults:
            done[kind].update({"injected": 1, "detected": int(detected), "recovered": int(recovered)})
    lines = [f"{'fault':18} {'injected':>8} {'detected':>8} {'recovered':>9}"]
    for kind in ALL_KINDS:
        row = done[kind]
        lines.append(f"{kind:18} {row['injected']:8} {row['detected']:8} {row['recovered']:9}")
    whole: Counter[str] = Counter()
    for row in done.values():
        whole.update(row)
    lines.append(f"{'all':18} {whole['injected']:8} {whole['detected']:8} {whole['recovered']:9}")
    halts = Counter(reason for outcome in outcomes for reason in outcome.halts)
    lines += ["", "sessions ended by"]
    lines += [f"  {reason:24} {count:6}" for reason, count in halts.most_common()]
    lines.append(f"  {'crash':24} {sum(one.crashes for one in outcomes):6}")
    counts: Counter[str] = Counter()
    for one in outcomes:
        counts.update(one.counts)
    hours = sum(one.simulated_seconds for one in outcomes) / 3600
    work = sum(one.seconds for one in outcomes)
    ledgers = sum(one.ledgers for one in outcomes)
    failed = [one for one in outcomes if one.failures]
    lines += [
        "",
        f"seeds {len(outcomes)}, sessions {sum(one.sessions for one in outcomes)}, ledgers {ledgers}, "
        f"simulated hours {hours:.1f}, {ledgers / work if work else 0:.0f} ledgers a second and process",
        f"compared: {counts['transactions']} transactions, {counts['fills']} fills",
        f"played again from their journals: {sum(one.replayed for one in outcomes)} sessions",
        f"failures {len(failed)}",
    ]
    lines += [f"  seed {one.seed}: {one.failures[0]}\n    {command(one.seed)}" for one in failed]
    return "\n".join(lines)


def read(path: Path) -> list[Outcome]:
    """Return what a file holds, a seed's last line where it has several."""
    if not path.exists():
        return []
    lines = [line for line in path.read_bytes().splitlines() if line.strip()]
    found = {one.seed: one for one in (msgspec.json.decode(line, type=Outcome) for line in lines)}
    return list(found.values())


def run_seeds(seeds: Iterable[int], jobs: int, out: Path | None) -> list[Outcome]:
    """Run many; each outcome is appended to the file as soon as it is there."""
    outcomes = []
    with ProcessPoolExecutor(max_workers=jobs) as pool:
        for outcome in pool.map(one_seed, seeds, chunksize=4):
            outcomes.append(outcome)
            if out is not None:
                with out.open("ab") as file:
                    file.write(msgspec.json.encode(outcome) + b"\n")
            if outcome.failures:
                print(
                    f"seed {outcome.seed} failed: {outcome.failures[0]}\n  {command(outcome.seed)}",
                    flush=True,
                )
    return outcomes


def main(arguments: list[str] | None = None) -> int:
    """Run trials, replay one, or print the table of a file; 4 when any trial failed."""
    parser = argparse.ArgumentParser(description="The real main loop through simulated faults, seed by seed.")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--out", type=Path, help="append a line of JSON a seed; those in it are not run again"
    )
    parser.add_argument("--seed", type=int, help="replay one seed and print every tick")
    parser.add_argument("--table", type=Path, metavar="FILE", help="print the table of a file and end")
    options = parser.parse_args(arguments)
    if options.seed is not None:
        trial = draw(options.seed)
        print(msgspec.json.format(msgspec.json.encode(trial)).decode())
        with tempfile.TemporaryDirectory() as folder:
            outcomes = [run_trial(trial, Path(folder), lambda text: print(text, flush=True))]
        print(f"digest {outcomes[0].digest}")
        for text in outcomes[0].failures:
            print(f"FAILED: {text}")
    elif options.table is not None:
        outcomes = read(options.table)
        print(table(outcomes))
    else:
        known = read(options.out) if options.out is not None else []
        run = {one.seed for one in known}
        seeds = [one for one in range(options.first, options.first + options.count) if one not in run]
        outcomes = known + run_seeds(seeds, options.jobs, options.out)
        print(table(outcomes))
    return EXIT_DIFFERENT if any(one.failures for one in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
