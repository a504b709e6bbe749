"""The command that learns settings from what was seen: `calibrate`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from msgspec.structs import replace

from neo_engine.calibration.evidence import Evidence
from neo_engine.calibration.observe import of_recordings, of_sessions
from neo_engine.calibration.offset import read_target
from neo_engine.calibration.propose import difference
from neo_engine.calibration.result import Result, calibration
from neo_engine.calibration.text import print_result, result_json
from neo_engine.config import load_config
from neo_engine.domain.errors import FeedError, StartupFailure, UsageError
from neo_engine.ops.logs import setup_logging
from neo_engine.report.choose import one_moment
from neo_engine.state.queries import LATEST, open_readonly, which_session

DEFAULT_CONFIG = Path("config") / "paper.yaml"
DEFAULT_TARGET = "30% of ticks within 2 bps"
ALL = "all"

Verb = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]


def add_verb(verb: Verb) -> None:
    """Add the command to the engine's parser."""
    one = verb("calibrate", calibrate, "Learn fill intensity and a fitting offset, ladder and size; propose.")
    source = one.add_mutually_exclusive_group(required=True)
    source.add_argument("--db", type=Path, help="sessions' own orders: the database")
    source.add_argument(
        "--recording", type=Path, nargs="+", metavar="FILE", help="everybody's trades: recordings of ledgers"
    )
    one.add_argument(
        "--session",
        nargs="+",
        default=None,
        metavar="ID",
        help=f"with --db: numbers, {LATEST} (the default) or {ALL}",
    )
    one.add_argument(
        "--config", type=Path, default=DEFAULT_CONFIG, help=f"what to change (default: {DEFAULT_CONFIG})"
    )
    shown = DEFAULT_TARGET.replace("%", "%%")  # argparse formats its help
    one.add_argument("--target", default=DEFAULT_TARGET, help=f'"{shown}" or "12 fills an hour"')
    one.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    one.add_argument("--out", type=Path, metavar="DIFF", help="also write the proposed difference there")


def _from_sessions(db: Path, wanted: list[str]) -> Evidence:
    with closing(open_readonly(db)) as connection, one_moment(connection):
        if wanted == [ALL]:
            which_session(connection, LATEST)  # says so when there is none
            ids = [
                row[0] for row in connection.execute("SELECT session_id FROM sessions ORDER BY session_id")
            ]
        else:
            ids = sorted({which_session(connection, one) for one in wanted})
        return of_sessions(connection, ids)


def _evidence(options: argparse.Namespace) -> Evidence:
    if options.db is not None:
        return _from_sessions(options.db, options.session or [LATEST])
    if options.session is not None:
        raise UsageError("calibrate: --session goes with --db")
    for path in options.recording:
        if not path.is_file():
            raise UsageError(f"--recording {path}: no such file; give a recording (.jsonl or .jsonl.gz)")
    try:
        return of_recordings(options.recording)
    except FeedError as error:
        raise StartupFailure(str(error)) from error


def _with_diff(result: Result, path: Path) -> Result:
    if result.proposal is None or not result.proposal.settings:
        return result
    try:
        name = path.as_posix().lstrip("/")  # a diff names files below where it is applied
        diff = difference(name, path.read_text(encoding="utf-8"), result.proposal.settings)
    except ValueError as error:
        raise UsageError(f"calibrate: {path}: {error}; apply the settings by hand") from error
    return replace(result, diff=diff)


def calibrate(options: argparse.Namespace) -> int:
    """Print the calibration, and write the difference where one was asked for. Returns 0 whatever it says."""
    setup_logging("WARNING", quiet=False)
    target, config = read_target(options.target), load_config(options.config)
    result = _with_diff(calibration(_evidence(options), target, config), options.config)
    if options.json:
        print(result_json(result))
    else:
        print_result(result, sys.stdout)
    if options.out is not None:
        _write_diff(options.out, result.diff)
    return 0


def _write_diff(path: Path, diff: str) -> None:
    if not diff:
        print(f"{path}: not written, there is nothing to change", file=sys.stderr)
        return
    try:
        path.write_text(diff, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--out {path}: cannot be written ({error.strerror}); give another file") from error
    print(f"written: {path}; look at it, then apply it with `git apply` or `patch -p1`", file=sys.stderr)
