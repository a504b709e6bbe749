"""The processes of a trial, each with a time limit and ended by its own number: a server, and the engine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS, END_SECONDS = 30.0, 10.0


class Broken(Exception):
    """The trial itself could not go on; the text says where."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One process of the engine. code: None when it was killed or hung. said: its last words."""

    what: str
    pid: int
    code: int | None
    killed: bool
    hung: bool
    said: str


def started(folder: Path, name: str, *arguments: str) -> subprocess.Popen[str]:
    """Start `python -m neo_engine ...` with its words in files of the trial's folder."""
    with (folder / f"{name}.out").open("w") as out, (folder / f"{name}.err").open("w") as err:
        return subprocess.Popen(
            [sys.executable, "-m", "neo_engine", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
        )


@contextmanager
def server(folder: Path, *, market: str, seed: int, speed: int, faults: Path) -> Iterator[str]:
    """Run a server with a schedule of faults; yield its WebSocket address. Raises Broken if it ends early."""
    process = started(
        folder,
        "server",
        *("simulate", "--listen", "127.0.0.1:0", "--http-listen", "off", "--admin"),
        *("--market", market, "--seed", str(seed), "--speed", str(speed)),
        *("--faults", str(faults)),
    )
    try:
        end = time.monotonic() + READY_SECONDS
        while not (ready := (folder / "server.out").read_text().split()):
            if process.poll() is not None or time.monotonic() > end:
                raise Broken(f"the server did not start: {(folder / 'server.err').read_text()[-500:]}")
            time.sleep(0.05)
        yield ready[1]
        if process.poll() is not None:
            raise Broken(f"the server ended by itself: {(folder / 'server.err').read_text()[-500:]}")
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def engine(
    folder: Path, name: str, arguments: Sequence[str], *, limit: float, kill_after: float | None = None
) -> Run:
    """Run the engine to its end, or kill it after so many seconds; what runs beyond `limit` hangs."""
    process = started(folder, name, *arguments)
    hung = killed = False
    try:
        process.wait(limit if kill_after is None else kill_after)
    except subprocess.TimeoutExpired:
        killed, hung = kill_after is not None, kill_after is None
        process.kill()
        process.wait()
    said = (folder / f"{name}.err").read_text(encoding="utf-8", errors="replace").strip()
    return Run(
        what=name,
        pid=process.pid,
        code=None if killed or hung else process.returncode,
        killed=killed,
        hung=hung,
        said=said[-2000:],
    )
