"""The commands that ask a database in SQL: `query`, and `datasette-config` for the pages that do."""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from neo_engine.domain.errors import UsageError
from neo_engine.ops.logs import setup_logging
from neo_engine.report import ask
from neo_engine.report.choose import one_moment
from neo_engine.report.questions import PARAMETER, by_name, load_questions, nearest
from neo_engine.report.questions_pages import DATABASE, datasette_config
from neo_engine.state.queries import LATEST, open_readonly, which_session

TABLE_ROWS = 100  # shown without --limit; CSV and JSON give all
TIMEOUT_SECONDS = 30
MAX_TIMEOUT_SECONDS = 86_400
MAX_LIMIT_DIGITS = 12
_NAME = re.compile(r"[\w-]+")  # what has no space can only be meant as a name

Verb = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]


def row_limit(text: str) -> int:
    """Return a number of rows. Raises ArgumentTypeError for anything else."""
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_LIMIT_DIGITS and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r}: write a number of rows from 1")
    return int(text)


def timeout(text: str) -> int:
    """Return whole seconds. Raises ArgumentTypeError for anything else, zero and more than a day."""
    digits = text.isascii() and text.isdigit() and len(text) <= MAX_LIMIT_DIGITS
    if not (digits and 0 < int(text) <= MAX_TIMEOUT_SECONDS):
        raise argparse.ArgumentTypeError(f"{text!r}: write whole seconds from 1 to {MAX_TIMEOUT_SECONDS}")
    return int(text)


def add_verbs(verb: Verb) -> None:
    """Add both commands to the engine's parser."""
    one = verb("query", query, "Ask a database a named question or any SELECT; reads only.")
    one.add_argument("what", nargs="?", metavar="NAME|SQL", help="a name of --list, or a SELECT in quotes")
    one.add_argument("--db", type=Path, help="the database; also beside a running engine")
    one.add_argument(
        "--session", default=LATEST, metavar="ID", help=f"what {PARAMETER} is: a number, or {LATEST}"
    )
    form = one.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="exact values as CSV")
    form.add_argument("--json", action="store_true", help="one JSON object on stdout")
    one.add_argument(
        "--limit", type=row_limit, metavar="N", help=f"rows at most (a table: {TABLE_ROWS}, else all)"
    )
    one.add_argument(
        "--timeout", type=timeout, default=TIMEOUT_SECONDS, metavar="SECONDS", help="stop it after so long"
    )
    one.add_argument("--list", action="store_true", help="name the questions")

    one = verb("datasette-config", datasette, "Print the metadata that Datasette needs, as JSON.")
    one.add_argument("--db", type=Path, default=Path(f"{DATABASE}.db"), help="the file it will be given")


def _sql_of(what: str) -> str:
    """Return the SQL of a name, or what was typed when it is no name."""
    if not _NAME.fullmatch(what):
        return what
    questions = load_questions()
    known = by_name(questions).get(what)
    if known is not None:
        return known.sql
    near = nearest(what, questions)
    hint = f"the nearest is {near}; " if near else ""
    raise UsageError(f"query: no question is called {what}; {hint}`query --list` names them all")


def query(options: argparse.Namespace) -> int:
    """Answer one question. Returns 0 also when no row fits it."""
    setup_logging("WARNING", quiet=False)
    if options.list:
        ask.write_list([(one.name, one.question) for one in load_questions()], sys.stdout)
        return 0
    if options.what is None or options.db is None:
        raise UsageError("query: give --db FILE and a name of `query --list`, or a SELECT in quotes")
    sql = _sql_of(options.what)
    with closing(open_readonly(options.db)) as connection, one_moment(connection):
        session = None
        if PARAMETER in sql or options.session != LATEST:
            session = which_session(connection, options.session)
        values = {} if session is None else {PARAMETER.removeprefix(":"): session}
        running = ask.Running(connection, sql, values, seconds=options.timeout, clock=time.monotonic)
        with closing(running):
            count, more = _write(options, running, session)
    if not count:
        print("no rows", file=sys.stderr)
    elif more:
        print(f"the first {count} rows; --limit N gives more", file=sys.stderr)
    return 0


def _write(options: argparse.Namespace, running: ask.Running, session: int | None) -> tuple[int, bool]:
    """Write the answer in the form asked for; return its rows and whether the limit cut it."""
    if options.csv:
        return ask.write_csv(running, sys.stdout, limit=options.limit)
    if options.json:
        answer = ask.answer_of(running, options.limit)
        ask.write_json(answer, sys.stdout, session=session)
    else:
        answer = ask.answer_of(running, options.limit or TABLE_ROWS)
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # a letter the console lacks is no failure
        ask.write_table(answer, sys.stdout)
    return len(answer.rows), answer.more


def datasette(options: argparse.Namespace) -> int:
    """Print the metadata. Returns 0."""
    print(json.dumps(datasette_config(load_questions(), options.db.stem), indent=2))
    return 0
