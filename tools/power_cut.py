"""Cut the power under the database, again and again, and see what is left.

    python -m tools.power_cut [--cuts 200] [--ticks 120] [--synchronous FULL|NORMAL|OFF] [--seed 1] [--json]

A writer (the real state manager, its checkpoint thread at work) stores ticks while a small library that is
loaded into it (tools/power_cut_shim.c, built with `cc`) records every write, truncation and sync of its
files, in order. A power cut is then a place in that record. What was synced before it is there. Of what
came after a file's last sync each 512-byte sector has, by chance, any of the versions it had since, or the
synced one: a disk and its cache may write in any order and stop in the middle of a page. A file that was
never synced may be missing. From that the files are laid down anew, opened by the state manager as any
start does, and checked:

1. the database is whole (`integrity_check`, `foreign_key_check`) and holds whole ticks only, from the
   first on without a gap, with all their rows;
2. with `synchronous: FULL` no tick is missing that the writer was told to be stored before the cut; with
   `NORMAL` the last ones may be, and how many is told;
3. the session that was cut is closed as `unexpected_halt`, where its row was on disk.

`OFF`, which no configuration allows, is there to see that broken promises are found.

A sync of a file makes its name durable too, as ext4, xfs, btrfs and NTFS do; overwriting a sector leaves
its neighbours alone. Linux with glibc only. Exit code 1 when any cut broke a promise.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
from msgspec.structs import replace

from benchmarks.state_workload import expected_rows, intent, outcome, session_start
from neo_engine.domain.errors import NeoError
from neo_engine.state.manager import StateManager
from neo_engine.state.options import StateOptions

ROOT = Path(__file__).resolve().parents[1]
SHIM = Path(__file__).with_name("power_cut_shim.c")
SECTOR = 512
CUTS, TICKS, SEED = 200, 120, 1
WRITER_SECONDS = 120.0  # it takes about one
TOLD_SUFFIX = ".told"
HEAD = struct.Struct("=cIQQ")  # op, length of the path, offset, length of the data
LEVELS = ("FULL", "NORMAL")  # that a configuration may have


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a process did to a file. op: W write, T truncate to `offset`, S sync, U unlink."""

    op: str
    path: str
    offset: int
    data: bytes


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """One power cut. told: ticks that were said to be stored before it. stored: those found after it."""

    number: int
    at: int
    told: int
    stored: int
    problems: tuple[str, ...]


def options_of(synchronous: str) -> StateOptions:
    """Return the state manager's options: as delivered, but a checkpoint every few commits."""
    return StateOptions(
        synchronous=synchronous,
        busy_timeout_ms=1000,
        group_commit_ticks=1,
        backups_kept=0,
        checkpoint_interval_seconds=0.02,
        orphan_cleanup_days=7,
        depth_levels=10,
        account_lock=None,
    )


def write(path: Path, ticks: int, synchronous: str) -> None:
    """Store ticks, and say of each that it is stored, in a file of its own; never close the database."""
    told = os.open(f"{path}{TOLD_SUFFIX}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    store = StateManager.open(path, options_of(synchronous))
    store.begin_session(session_start())
    os.write(told, b"0\n")
    for tick in range(1, ticks + 1):
        store.commit_intent(intent(tick))
        answer = outcome(tick)
        if answer is not None:
            store.commit_outcome(answer)
        os.write(told, b"%d\n" % tick)
    os._exit(0)


def built(folder: Path) -> Path:
    """Return the library, built. Raises SystemExit without a compiler."""
    library = folder / "power_cut_shim.so"
    compiler = shutil.which("cc")
    if compiler is None:
        raise SystemExit(
            "error: cc: no C compiler found; install one (Debian, Ubuntu: apt install gcc libc6-dev)"
        )
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, SHIM, "-ldl"], check=True)
    return library


def recorded(folder: Path, ticks: int, synchronous: str) -> tuple[Path, list[Deed]]:
    """Run a writer on a new database below `folder`; return the database and what was done to its files."""
    db, log = folder / "cut.db", folder / "deeds.log"
    words = [sys.executable, "-m", "tools.power_cut", "--write", str(db), "--ticks", str(ticks)]
    subprocess.run(
        [*words, "--synchronous", synchronous],
        cwd=ROOT,
        env={
            **os.environ,
            "LD_PRELOAD": str(built(folder)),
            "POWER_CUT_FILES": str(db),
            "POWER_CUT_LOG": str(log),
        },
        check=True,
        timeout=WRITER_SECONDS,
    )
    return db, list(deeds(log.read_bytes()))


def deeds(log: bytes) -> Iterator[Deed]:
    """Yield what a log tells, in order."""
    at = 0
    while at < len(log):
        op, path_length, offset, length = HEAD.unpack_from(log, at)
        at += HEAD.size
        path = log[at : at + path_length].decode()
        at += path_length
        yield Deed(op=op.decode(), path=path, offset=offset, data=log[at : at + length])
        at += length


class Disk:
    """One file as a power cut finds it: what was synced, and what was done since."""

    def __init__(self) -> None:
        self.synced = bytearray()
        self.durable = False
        self.since: list[Deed] = []

    def do(self, deed: Deed) -> None:
        """Take one deed."""
        if deed.op == "S":
            for one in self.since:
                _apply(self.synced, one)
            self.durable, self.since = True, []
        else:
            self.since.append(deed)

    def left(self, chance: random.Random) -> bytes | None:
        """Return what is on the disk after the cut, None when the file is not there."""
        kept = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        if not self.durable and chance.random() >= kept:
            return None
        content = bytearray(self.synced)
        for one in self.since:
            if one.op != "W":
                if chance.random() < kept:
                    _apply(content, one)
                continue
            for sector in _sectors(one):
                if chance.random() < kept:
                    _apply(content, sector)
        return bytes(content)


def _apply(content: bytearray, deed: Deed) -> None:
    if deed.op == "U":
        content.clear()
        return
    length = deed.offset + len(deed.data)
    if deed.op == "T":
        del content[deed.offset :]
    if len(content) < length:
        content.extend(bytes(length - len(content)))
    content[deed.offset : length] = deed.data


def _sectors(deed: Deed) -> Iterator[Deed]:
    at = 0
    while at < len(deed.data):
        offset = deed.offset + at
        length = min(SECTOR - offset % SECTOR, len(deed.data) - at)
        yield replace(deed, offset=offset, data=deed.data[at : at + length])
        at += length


def lay_down(done: Sequence[Deed], db: Path, target: Path, chance: random.Random) -> int:
    """Lay down at `target` what a cut after `done` leaves of `db`; return the ticks told by then."""
    disks = {name: Disk() for name in (str(db), f"{db}-wal")}
    told = 0
    for deed in done:
        if deed.path.endswith(TOLD_SUFFIX):
            told = int(deed.data)
        elif deed.path in disks:
            disks[deed.path].do(deed)
    for name, disk in disks.items():
        content = disk.left(chance)
        if content is not None:
            Path(f"{target}{name.removeprefix(str(db))}").write_bytes(content)
    return told


def check(target: Path, told: int, synchronous: str) -> tuple[int, list[str]]:
    """Open what is left as any start does; return the ticks found and every promise that was broken."""
    try:
        with closing(StateManager.open(target, options_of("FULL"))) as store:
            recovered = store.recovered.sessions
    except NeoError as error:
        return 0, [str(error)]
    found = []
    with closing(sqlite3.connect(target)) as connection:
        ask = connection.execute
        found += [f"integrity_check: {row[0]}" for row in ask("PRAGMA integrity_check") if row[0] != "ok"]
        found += [f"foreign_key_check: {row}" for row in ask("PRAGMA foreign_key_check")]
        stored, last = ask("SELECT count(*), coalesce(max(tick), 0) FROM ticks").fetchone()
        if stored != last:
            found.append(f"{stored} ticks, the last of them {last}")
        for table, rows in expected_rows(stored).items():
            (count,) = ask(f"SELECT count(*) FROM {table}").fetchone()
            # The answers of the last tick are a commit of their own, after the tick's.
            if count != rows:
                found.append(f"{table}: {count} rows, {rows} expected after tick {stored}")
        ended = ask("SELECT session_id, halt_reason FROM sessions").fetchall()
        if ended != [(one, "unexpected_halt") for one in recovered] or len(ended) > 1:
            found.append(f"sessions {ended}, recovered {recovered}")
        if stored and not ended:
            found.append("ticks without their session")
    if synchronous == "FULL" and stored < told:
        found.append(f"tick {told} was told to be stored, and {stored} is the last")
    return stored, found


def cut(number: int, db: Path, done: list[Deed], synchronous: str, seed: int) -> Cut:
    """Cut the power once, at a place that the seed draws, after the session has begun."""
    chance = random.Random(f"{seed} {synchronous} {number}")
    begun = next(at for at, deed in enumerate(done) if deed.path.endswith(TOLD_SUFFIX))
    at = chance.randint(begun + 1, len(done))
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "left.db"
        told = lay_down(done[:at], db, target, chance)
        stored, problems = check(target, told, synchronous)
    return Cut(number=number, at=at, told=told, stored=stored, problems=tuple(problems))


def run(cuts: int, ticks: int, synchronous: str, seed: int) -> tuple[list[Cut], int]:
    """Return the cuts under one record, and how many deeds it has."""
    with tempfile.TemporaryDirectory() as folder:
        db, done = recorded(Path(folder), ticks, synchronous)
        return [cut(number, db, done, synchronous, seed) for number in range(cuts)], len(done)


def main() -> int:
    """Print what the cuts left; return 1 when a promise was broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cuts", type=int, default=CUTS)
    parser.add_argument("--ticks", type=int, default=TICKS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--synchronous", choices=(*LEVELS, "OFF"), help="default: FULL, then NORMAL")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write is not None:
        write(options.write, options.ticks, options.synchronous)
    logging.getLogger("neo_engine").setLevel(logging.ERROR)  # each cut is a session that did not end
    broken = 0
    for level in LEVELS if options.synchronous is None else (options.synchronous,):
        found, done = run(options.cuts, options.ticks, level, options.seed)
        bad = [one for one in found if one.problems]
        broken += len(bad)
        lost = [max(one.told - one.stored, 0) for one in found]
        figures = {
            "synchronous": level,
            "cuts": len(found),
            "writes_and_syncs": done,
            "promises_broken": len(bad),
            "cuts_that_lost_told_ticks": sum(1 for one in lost if one),
            "most_told_ticks_lost": max(lost, default=0),
        }
        print(json.dumps(figures) if options.json else "  ".join(f"{k} {v}" for k, v in figures.items()))
        for one in bad:
            print(f"cut {one.number} after deed {one.at}: {'; '.join(one.problems)}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
