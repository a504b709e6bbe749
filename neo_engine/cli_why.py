"""The commands that ask a database what the engine does and why: `why`, `status`."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from neo_engine.ops.clock import SystemClock
from neo_engine.ops.logs import setup_logging
from neo_engine.report.choose import one_moment
from neo_engine.report.status import engine_on, print_status, read_status, status_json
from neo_engine.report.why import Explanation, explain, untouched
from neo_engine.report.why_rows import find_session, find_tick, find_time
from neo_engine.report.why_text import explanation_json, print_explanation
from neo_engine.state.queries import LATEST, open_readonly

MAX_TICK_DIGITS = 10  # a tick has 32 bits

Verb = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]


def tick_number(text: str) -> int:
    """Return a tick's number. Raises ArgumentTypeError for anything else."""
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_TICK_DIGITS):
        raise argparse.ArgumentTypeError(f"{text!r} is no tick; ticks are counted 1, 2, 3, ...")
    return int(text)


def add_verbs(verb: Verb) -> None:
    """Add both commands to the engine's parser."""
    one = verb("why", why, "Say why a session does not quote, or quotes wide, at one tick.")
    one.add_argument("--db", type=Path, required=True, help="the database; also beside a running engine")
    one.add_argument("--session", default=LATEST, metavar="ID", help=f"a number, or {LATEST} (the default)")
    when = one.add_mutually_exclusive_group()
    when.add_argument("--tick", type=tick_number, metavar="N", help="that tick of the session")
    when.add_argument("--at", metavar="TIME", help="2026-11-20T18:15:00Z, or 18:15:00 of the session's day")
    when.add_argument("--now", action="store_true", help="the last tick, and since when (the default)")
    one.add_argument("--json", action="store_true", help="print one JSON object on stdout")

    one = verb("status", status, "Say what the engine on a database does right now.")
    one.add_argument("--db", type=Path, required=True, help="the database; also beside a running engine")
    one.add_argument("--json", action="store_true", help="print one JSON object on stdout")


def _answer(options: argparse.Namespace) -> Explanation:
    with closing(open_readonly(options.db)) as connection, one_moment(connection):
        session = find_session(connection, options.session)
        engine = engine_on(connection, options.db, SystemClock().utc_now())
        if options.at is not None:
            tick = find_time(connection, session, options.at)
            return explain(connection, session, tick, engine, now=False)
        if options.tick is not None:
            tick = find_tick(connection, session, options.tick)
            return explain(connection, session, tick, engine, now=False)
        if session.last_tick is None:
            return untouched(session, engine)
        return explain(connection, session, find_tick(connection, session, None), engine, now=True)


def why(options: argparse.Namespace) -> int:
    """Explain one tick. Returns 0 whatever the answer is."""
    setup_logging("WARNING", quiet=False)
    answer = _answer(options)
    if options.json:
        print(explanation_json(answer))
    else:
        _any_letter()
        print_explanation(answer, sys.stdout)
    return 0


def status(options: argparse.Namespace) -> int:
    """Tell what the engine does. Returns 0 whether one runs or not."""
    setup_logging("WARNING", quiet=False)
    with closing(open_readonly(options.db)) as connection, one_moment(connection):
        found = read_status(connection, options.db, SystemClock().utc_now())
    if options.json:
        print(status_json(found))
    else:
        _any_letter()
        print_status(found, sys.stdout)
    return 0


def _any_letter() -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a letter the console lacks is no failure
