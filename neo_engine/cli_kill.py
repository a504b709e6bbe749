"""The command `kill`: pull the kill switch, look at it, reset it."""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path

import msgspec

from neo_engine import cli_data
from neo_engine.domain.errors import StateError, UsageError
from neo_engine.domain.halt import EXIT_HALTED, EXIT_OK
from neo_engine.domain.kill import RESET_KEY
from neo_engine.ops.clock import SystemClock, iso
from neo_engine.ops.control import MAX_REASON_CHARS
from neo_engine.ops.kill_switch import (
    MOST_DRAWDOWN_PCT,
    Refused,
    ResetOrder,
    ResetRecord,
    Situation,
    look,
    reset,
    shown,
)
from neo_engine.ops.logs import setup_logging

DEFAULT_REASON = "operator"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `kill`."""
    parser.add_argument("--db", type=Path, required=True)
    parser.add_argument("--reason", help=f"kept with the halt or the reset (a halt: {DEFAULT_REASON})")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--show", action="store_true", help="what holds, and what a reset would be refused for")
    what.add_argument("--reset", action="store_true", help="let live sessions start again")
    parser.add_argument("--seen", type=int, metavar="N", help="with --reset: the number that --show tells")
    parser.add_argument(
        "--force", action="store_true", help="with --reset: in spite of everything; is stored"
    )
    parser.add_argument("--json", action="store_true", help="with --show: print one JSON object on stdout")


def run(options: argparse.Namespace) -> int:
    """Pull the kill switch, or with --show look at it, or with --reset open it."""
    _check(options)
    if not (options.show or options.reset):
        options.reason = options.reason or DEFAULT_REASON
        return cli_data.kill(options)
    setup_logging("WARNING", quiet=False)
    if not options.db.exists():
        raise StateError(f"{options.db}: no such file; give the database of the session with --db")
    return _show(options) if options.show else _reset(options)


def _check(options: argparse.Namespace) -> None:
    """Raise UsageError for options that do not go together."""
    if not options.reset and (options.force or options.seen is not None):
        raise UsageError("kill: --force and --seen belong to --reset")
    if options.json and not options.show:
        raise UsageError("kill: --json belongs to --show")
    if options.reset and not (options.reason or "").strip():
        raise UsageError('kill --reset: --reason missing; say why trading may go on, e.g. --reason "checked"')
    if options.reset and len(options.reason) > MAX_REASON_CHARS:
        raise UsageError(f"kill --reset: --reason: at most {MAX_REASON_CHARS} characters")


def _show(options: argparse.Namespace) -> int:
    found = look(options.db, SystemClock().utc_now())
    if options.json:
        sys.stdout.write(msgspec.json.encode(_document(found)).decode() + "\n")
        return EXIT_OK
    print(f"kill switch of {options.db}: {_headline(found)}")
    for one in found.latch.reasons:
        print(f"  {iso(one.at)}  {one.reason.value}: {one.detail}")
    if found.session is not None:
        ended = "not ended" if found.ended_by is None else f"ended by {found.ended_by}"
        print(f"newest live session: {found.session}, {ended}")
    if found.fall is not None:
        print(
            f"drawdown: {shown(found.fall.drawdown_pct)} % (account value {shown(found.fall.value)}, peak "
            f"{shown(found.fall.peak)} RLUSD; for a reset at most {MOST_DRAWDOWN_PCT} %)"
        )
    if found.latch.reasons:
        print("against a reset: " + ("" if found.against else "nothing"))
        for text in found.against:
            print(f"  {text}")
        number = found.latch.number
        print(f"to reset: python -m neo_engine kill --reset --db {options.db} --seen {number} --reason TEXT")
    last = _last_reset(found)
    if last is not None:
        forced = ", forced" if last.forced else ""
        print(f"last reset: {iso(last.at)} by {last.by}{forced}, up to number {last.number}: {last.reason}")
    return EXIT_OK


def _headline(found: Situation) -> str:
    if found.until is None:
        return "not latched"
    number = f"reason number {found.latch.number}"
    if found.in_force:
        return f"IN FORCE until {iso(found.until)}, {number}"
    return f"latched, but in force no more since {iso(found.until)}, {number}"


def _document(found: Situation) -> dict[str, object]:
    fall = found.fall
    return {
        "in_force": found.in_force,
        "until": None if found.until is None else iso(found.until),
        "number": found.latch.number,
        "reasons": [
            {"reason": one.reason.value, "detail": one.detail, "at": iso(one.at)}
            for one in found.latch.reasons
        ],
        "session": found.session,
        "ended_by": found.ended_by,
        "drawdown_pct": None if fall is None else shown(fall.drawdown_pct),
        "account_value_rlusd": None if fall is None else shown(fall.value),
        "peak_rlusd": None if fall is None else shown(fall.peak),
        "against_reset": list(found.against),
        "last_reset": _last_reset(found),
    }


def _last_reset(found: Situation) -> ResetRecord | None:
    if found.last_reset is None:
        return None
    try:
        return msgspec.json.decode(found.last_reset, type=ResetRecord)
    except msgspec.MsgspecError as error:
        raise StateError(
            f"engine_state, {RESET_KEY}: is not what the engine writes ({error}); restore a backup"
        ) from error


def _reset(options: argparse.Namespace) -> int:
    order = ResetOrder(reason=options.reason.strip(), by=_who(), seen=options.seen, force=options.force)
    done = reset(options.db, order, SystemClock().utc_now())
    if done is None:
        print(f"kill switch of {options.db}: not latched, there is nothing to reset")
        return EXIT_OK
    if isinstance(done, Refused):
        print(f"kill switch of {options.db}: NOT reset:", file=sys.stderr)
        for text in done.against:
            print(f"  {text}", file=sys.stderr)
        print("each can be put right, or overridden with --force, which is stored", file=sys.stderr)
        return EXIT_HALTED
    names = ", ".join(one.reason.value for one in done.reasons)
    print(f"kill switch of {options.db}: reset by {done.by}; it held for {names} (number {done.number})")
    for text in done.overridden:
        print(f"  overridden: {text}")
    print(f"backup: {done.backup}")
    return EXIT_OK


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "unknown"
