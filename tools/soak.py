"""A live session in real time, as a process with real sockets, against a local server that misbehaves.

    python -m tools.soak --minutes 10 [--seed 1] [--speed 4] [--kills N] [--market calm] [--out FILE.json]

The server shows every kind of fault it has, one after the other in an order drawn from the seed. The engine
is started again whenever it ends by a typed halt, and after each kill -9 that --kills asks for. At the end
every fault is cleared, `flatten` empties the book and `check_live` compares the database with the ledger.
A table says what came of it (tools/soak_report.py). Exit code 0 when everything that must be zero is zero, 1
otherwise.

--speed says how many times faster than the main network's ledgers close; the engine's own timers count real
seconds either way. The configuration is that of the test network with every monitor as delivered, larger
position limits, and stale limits in seconds that fit the speed.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from neo_engine.domain.errors import NeoError
from neo_engine.ops.clock import SystemClock
from neo_engine.ops.kill_switch import ResetOrder, reset
from neo_engine.simulator.server.fault_schedule import KINDS
from tools.check_live import Refused, Wire, compare
from tools.live_account import address_of, seed_of
from tools.live_trials import LEDGER_SECONDS, fund, write_config
from tools.simulated_draw import drawn_fault
from tools.soak_report import Sample, Shown, Soak, failed, table
from tools.trial_processes import engine, server, started

ROOM_LEDGERS = 10  # between the end of a fault and the next one
SAMPLE_SECONDS = 0.5
RESTART_SECONDS = 1.0
END_SECONDS = 60.0  # for a session to cancel and end
FLATTEN_SECONDS = 60.0
ENGINE_PATH = "/engine"  # the faults are for it alone, so that whoever looks on sees the truth


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for."""

    minutes: float
    seed: int
    speed: int
    kills: int
    market: str


class Watch:
    """Looks at the running engine and at what is on its disk."""

    def __init__(self, folder: Path) -> None:
        self.db = folder / "live.db"
        self.samples: list[Sample] = []
        self.signs: list[float] = []
        self._read: dict[Path, int] = {}
        self._folder = folder

    def look(self, pid: int, now: float) -> None:
        """Take a sample of a process, and note the time of what it has said since the last one."""
        proc = Path("/proc") / str(pid)
        try:
            status = (proc / "status").read_text()
            descriptors = len(list((proc / "fd").iterdir()))
        except OSError:
            return  # it has just ended
        resident = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")), 0)
        wal = self.db.with_name(self.db.name + "-wal")
        size = wal.stat().st_size if wal.exists() else 0
        self.samples.append(
            Sample(seconds=now, pid=pid, resident_kb=resident, descriptors=descriptors, wal_bytes=size)
        )
        for path in self._folder.glob("session*.err"):
            text = path.read_bytes()
            fresh = text[self._read.get(path, 0) :]
            self._read[path] = len(text)
            if b"WARNING" in fresh or b"ERROR" in fresh:
                self.signs.append(now)


class Soaking:
    """One soak, from the first session to the comparison."""

    def __init__(self, plan: Plan, folder: Path, endpoint: str, account: str) -> None:
        self.plan = plan
        self.folder = folder
        self.endpoint = endpoint
        self.account = account
        self.watch = Watch(folder)
        self.dice = random.Random(f"soak {plan.seed}")
        self.began = time.monotonic()
        self.shown: list[Shown] = []
        self.codes: list[int | None] = []
        self.killed: list[int] = []
        self.pids: list[int] = []
        self._process: subprocess.Popen[str] | None = None
        self._names: list[str] = []

    @property
    def now(self) -> float:
        """Seconds since the soak began."""
        return time.monotonic() - self.began

    def _command(self, verb: str, *more: str) -> list[str]:
        files = ("--config", str(self.folder / "live.yaml"), "--db", str(self.folder / "live.db"))
        return [verb, *files, "--consent", self.account, "--json", *more]

    def run(self, wire: Wire) -> None:
        """Let it trade until the time is over."""
        end = self.plan.minutes * 60
        kills = sorted(self.dice.uniform(0.1, 0.9) * end for _ in range(self.plan.kills))
        due = 0.0
        while self.now < end:
            self._keep_running()
            if kills and self.now >= kills[0]:
                kills.pop(0)
                self._kill()
            if self.now >= due and self.now < end - self._seconds(ROOM_LEDGERS):
                due = self.now + self._seconds(self._show(wire) + ROOM_LEDGERS)
            if self._process is not None:
                self.watch.look(self._process.pid, self.now)
            time.sleep(SAMPLE_SECONDS)

    def _seconds(self, ledgers: int) -> float:
        return ledgers * LEDGER_SECONDS / self.plan.speed

    def _keep_running(self) -> None:
        process = self._process
        if process is not None:
            if process.poll() is None:
                return
            self.codes.append(process.returncode)
            self._reset_latch()
            time.sleep(RESTART_SECONDS)
        name = f"session{len(self.pids)}"
        self._process = started(self.folder, name, *self._command("live", "--duration", "24h"))
        self.pids.append(self._process.pid)

    def _kill(self) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()
            self.killed.append(process.pid)
            self._process = None

    def _reset_latch(self) -> None:
        order = ResetOrder(reason="the soak goes on", by="soak", seen=None, force=True)
        try:
            reset(self.watch.db, order, SystemClock().utc_now())
        except NeoError as error:
            print(f"the latch was not reset: {error}", file=sys.stderr)

    def _show(self, wire: Wire) -> int:
        """Show the next fault; return how many ledgers it lasts."""
        if not self._names:
            self._names = list(KINDS)
            self.dice.shuffle(self._names)
        name = self._names.pop()
        parameters, lasts, length = drawn_fault(name, self.dice)
        if "path" in KINDS[name].parameters:
            parameters["path"] = ENGINE_PATH
        if "account" in KINDS[name].parameters:
            parameters["account"] = self.account
        wanted: dict[str, Any] = {"name": name, "parameters": parameters}
        if lasts is not None:
            wanted["for"] = lasts
        ledger = int(wire.result("ledger", ledger_index="validated")["ledger_index"])
        try:
            wire.result("fault", **wanted)
        except Refused as error:
            print(f"{name} was not shown: {error}", file=sys.stderr)
            return 0
        self.shown.append(Shown(kind=name, seconds=self.now, ledger=ledger, length=length))
        if name == "freeze":  # a frozen line ends every session: it is thawed as the fault ends
            time.sleep(self._seconds(length + 2))
            wire.result("fault", name="unfreeze", parameters={"account": self.account})
        return length

    def finish(self, wire: Wire) -> list[str]:
        """End faults and session, clear the book; return what is wrong with how it went."""
        wire.result("fault", name="clear")
        found: list[str] = []
        process = self._process
        if process is not None:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                found.append(f"the last session did not end within {END_SECONDS:g} s of its signal")
            self.codes.append(process.returncode)
            self._process = None
        done = engine(self.folder, "flatten", self._command("flatten"), limit=FLATTEN_SECONDS)
        if done.code != 0:
            found.append(f"flatten ended with {done.code}: {done.said[-300:]}")
        return found

    def stop(self) -> None:
        """End the engine, whatever has happened."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def soak(plan: Plan, folder: Path) -> Soak:
    """Run one soak in a folder and return what came of it."""
    nothing = folder / "faults.yaml"
    nothing.write_text("[]\n", encoding="utf-8")
    seed = seed_of(plan.seed)
    account = address_of(seed)
    with (
        server(folder, market=plan.market, seed=plan.seed, speed=plan.speed, faults=nothing) as endpoint,
        Wire(endpoint) as wire,
    ):
        write_config(folder, seed, fund(wire, account, seed), endpoint + ENGINE_PATH)
        one = Soaking(plan, folder, endpoint, account)
        try:
            one.run(wire)
            wrong = one.finish(wire)
        finally:
            one.stop()
        verdict = compare(wire, one.watch.db, account)
    errors = [path.read_text(encoding="utf-8", errors="replace") for path in folder.glob("*.err")]
    return Soak(
        minutes=plan.minutes,
        seed=plan.seed,
        speed=plan.speed,
        ledger_seconds=LEDGER_SECONDS / plan.speed,
        shown=tuple(one.shown),
        signs=tuple(one.watch.signs),
        samples=tuple(one.watch.samples),
        codes=tuple(one.codes),
        pids=tuple(one.pids),
        killed=tuple(one.killed),
        tracebacks=sum(text.count("Traceback (most recent call last)") for text in errors),
        differences=tuple(f"{two.kind}: {two.detail}" for two in verdict.differences),
        counts=verdict.counts,
        wrong=tuple(wrong),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one soak and print its table; 1 when anything that must be zero is not."""
    parser = argparse.ArgumentParser(description="A live session in real time through every kind of fault.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--speed", type=int, default=4, help="ledgers close so many times faster (4)")
    parser.add_argument("--kills", type=int, default=0, help="kill -9 the engine so many times")
    parser.add_argument("--market", default="calm")
    parser.add_argument("--keep", type=Path, help="folder for database and logs; default: none is kept")
    options = parser.parse_args(arguments)
    plan = Plan(
        minutes=options.minutes,
        seed=options.seed,
        speed=options.speed,
        kills=options.kills,
        market=options.market,
    )
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
        return _told(soak(plan, options.keep), options.keep / "live.db")
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        return _told(soak(plan, Path(folder)), Path(folder) / "live.db")


def _told(done: Soak, db: Path) -> int:
    try:
        print(table(done, db))
        return 1 if failed(done, db) else 0
    except sqlite3.Error as error:
        print(f"error: the database cannot be read: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    os.environ.setdefault("NO_COLOR", "1")
    sys.exit(main())
