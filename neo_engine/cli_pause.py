"""The commands `pause` and `resume`: close quoting on one side or both without ending the session."""

from __future__ import annotations

import argparse
import getpass
import json
from collections.abc import Callable
from pathlib import Path

import msgspec

from neo_engine.domain.errors import StateError, UsageError
from neo_engine.domain.halt import EXIT_OK
from neo_engine.domain.pause import Pause
from neo_engine.ops.clock import SystemClock, iso
from neo_engine.ops.control import (
    MAX_NAME_CHARS,
    MAX_PAUSE_REASON_CHARS,
    UNKNOWN,
    pause_path,
    read_pause,
    remove_pause,
    request_pause,
)
from neo_engine.state.lock import database_lock_path, holder, is_held

SIDES = ("both", "bid", "ask")
Verb = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]


def add_verbs(verb: Verb) -> None:
    """Add both commands to the engine's parser."""
    one = verb("pause", pause, "Close quoting, on one side or both; the session goes on.")
    one.add_argument("--db", type=Path, required=True, help="the database of the session")
    one.add_argument("--side", choices=SIDES, default="both", help="what to close (default: both)")
    one.add_argument("--reason", required=True, help="stored with every tick while it holds")
    one.add_argument("--json", action="store_true", help="print one JSON object on stdout")

    one = verb("resume", resume, "Let a paused session quote again.")
    one.add_argument("--db", type=Path, required=True, help="the database of the session")
    one.add_argument("--json", action="store_true", help="print one JSON object on stdout")


def pause(options: argparse.Namespace) -> int:
    """Leave the pause file; a running session heeds it with its next tick. Returns 0."""
    _check_database(options.db)
    reason = options.reason.strip()
    if not reason or len(reason) > MAX_PAUSE_REASON_CHARS or not reason.isprintable():
        raise UsageError(
            f"pause: --reason: one line of 1 to {MAX_PAUSE_REASON_CHARS} characters that says why"
        )
    before = read_pause(pause_path(options.db))
    now = iso(SystemClock().utc_now())
    request_pause(options.db, Pause(side=options.side, by=_who(), at=now, reason=reason))
    lines = [f"paused: {_sides(options.side)}; {_effect(options.db, 'the next session starts so')}"]
    if before is not None:
        lines.append(f"in place of: {_sides(before.side)}, {before.told}")
    lines.append(f"to undo: python -m neo_engine resume --db {options.db}")
    _tell(options, lines, before)
    return EXIT_OK


def resume(options: argparse.Namespace) -> int:
    """Take the pause file away. Returns 0, also when there was none."""
    _check_database(options.db)
    before = read_pause(pause_path(options.db))
    remove_pause(options.db)
    if before is None:
        lines = [f"{options.db}: quoting was not paused; nothing changed"]
    else:
        effect = _effect(options.db, "the next session quotes")
        lines = [f"resumed: {_sides(before.side)}, {effect}", f"it was: {before.told}"]
    _tell(options, lines, before)
    return EXIT_OK


def _check_database(db: Path) -> None:
    if not db.exists():
        raise StateError(f"{db}: no such file; give the database of the session with --db")


def _sides(side: str) -> str:
    return "both sides" if side == "both" else f"the {side}"


def _engine(db: Path) -> int | None:
    """Return the process of the engine that runs on the database, 0 for one that does not say, else None."""
    lock = database_lock_path(db)
    if not is_held(lock):
        return None
    process = holder(lock).get("pid")
    return process if isinstance(process, int) else 0


def _effect(db: Path, later: str) -> str:
    process = _engine(db)
    if process is None:
        return f"no engine runs, {later}"
    return f"process {process or UNKNOWN} heeds it with its next tick"


def _tell(options: argparse.Namespace, lines: list[str], before: Pause | None) -> None:
    if not options.json:
        print("\n".join(lines))
        return
    found = read_pause(pause_path(options.db))
    document = {
        "db": str(options.db),
        "pause": None if found is None else msgspec.to_builtins(found),
        "before": None if before is None else msgspec.to_builtins(before),
        "engine": _engine(options.db),
    }
    print(json.dumps(document, indent=2))


def _who() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError, ImportError):
        return UNKNOWN
    return name[:MAX_NAME_CHARS] or UNKNOWN
