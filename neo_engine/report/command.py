"""The report's command line: arguments in, text, JSON, HTML, CSV or plots out, an exit code back.

Exit codes: 0 reported (also when report and engine differ: the report says so) · 2 the command line
names something that is not there or cannot be written (file, session, folder) · 3 the file is there but
cannot be read as a database of this version · 130 interrupted.

What only one kind of report needs is imported with it: the list of sessions must not wait for numbers and
plots.
"""

from __future__ import annotations

import argparse
import io
import os
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from neo_engine.domain.errors import NeoError, StateError, UsageError
from neo_engine.domain.halt import EXIT_OK, EXIT_SIGINT, EXIT_STARTUP, EXIT_USAGE
from neo_engine.report import render_text
from neo_engine.report.choose import between, list_sessions, one_moment
from neo_engine.report.files import write_file
from neo_engine.state.queries import LATEST, open_readonly, which_session

if TYPE_CHECKING:
    from neo_engine.report.data import SessionData
    from neo_engine.report.model import SessionSummary

PROGRAM = "summarize_paper_run.py"


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the report's command line."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        allow_abbrev=False,
        description="Report of a session: P&L and where it came from, fills, orders, uptime, distance to "
        "touch, risk. Reads the database only, also while the engine runs.",
    )
    parser.add_argument("--db", type=Path, required=True, help="the session database, e.g. neo.db")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--session", default=LATEST, metavar="ID", help=f"a session's number, or {LATEST} (the default)"
    )
    which.add_argument("--list", action="store_true", help="list the sessions of the database instead")
    which.add_argument(
        "--compare", nargs="+", metavar="ID", help="sessions beside each other, all against the first"
    )
    parser.add_argument(
        "--from", dest="first", metavar="ID|TIME", help="many sessions: the first, or their start"
    )
    parser.add_argument("--to", dest="last", metavar="ID|TIME", help="many sessions: the last of them")
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write the report as one HTML file")
    parser.add_argument("--csv", type=Path, metavar="DIR", help="also write its lists and fills as CSV files")
    parser.add_argument(
        "--plots", type=Path, metavar="DIR", help="also write the plots as PNG files into DIR"
    )
    return parser


def _check(args: argparse.Namespace) -> None:
    """Raise UsageError for options that do not go together."""
    many = args.first is not None or args.last is not None
    chosen = "--list" if args.list else "--compare" if args.compare else "--from and --to" if many else ""
    if many and (args.list or args.compare or args.session != LATEST):
        raise UsageError(
            "--from and --to choose sessions by themselves; leave --session, --list, --compare out"
        )
    if chosen and args.plots is not None:
        raise UsageError(f"--plots is of one session; leave it or {chosen} out")
    if args.csv is not None and (args.list or args.compare):
        raise UsageError(f"--csv is of sessions, not of {chosen}; leave one of them out")
    if args.html is not None and args.list:
        raise UsageError("--html is of a report, not of --list; leave one of them out")
    if args.compare and len(args.compare) == 1:
        raise UsageError("--compare: give two sessions or more, e.g. --compare 1 2")
    if not args.db.exists():
        raise UsageError(f"{args.db}: no such file; give the database of a session with --db")


def _write_extras(
    connection: sqlite3.Connection, summary: SessionSummary, data: SessionData, args: argparse.Namespace
) -> list[Path]:
    facts = summary.facts
    written = []
    if args.plots is not None:
        from neo_engine.report import plots

        title = f"NEO session {facts.session_id} ({facts.mode}, {facts.feed} feed)"
        for name, content in plots.plot_session(data, title).items():
            write_file(args.plots / name, content)
            written.append(args.plots / name)
    if args.csv is not None:
        written += _write_csv(connection, summary, data, args.csv)
    if args.html is not None:
        from neo_engine.report import charts, html

        write_file(args.html, html.page(summary, charts.panels(summary, data)).encode("utf-8"))
        written.append(args.html)
    return written


def _write_csv(
    connection: sqlite3.Connection, summary: SessionSummary, data: SessionData, folder: Path
) -> list[Path]:
    from neo_engine.report.csv_files import csv_files

    written = []
    for name, text in csv_files(connection, summary, data).items():
        write_file(folder / name, text.encode("utf-8"))
        written.append(folder / name)
    return written


def _one(connection: sqlite3.Connection, args: argparse.Namespace, stdout: TextIO) -> list[Path]:
    from neo_engine.report.summary import summarize_with_data

    with one_moment(connection):
        summary, data = summarize_with_data(connection, which_session(connection, args.session))
        written = _write_extras(connection, summary, data, args)
    if args.json:
        stdout.write(render_text.summary_json(summary) + "\n")
    else:
        render_text.print_summary(summary, stdout)
    return written


def _many(connection: sqlite3.Connection, args: argparse.Namespace, stdout: TextIO) -> list[Path]:
    from neo_engine.report.several import several_json, several_sections, together_with_courses
    from neo_engine.report.summary import summarize_with_data

    written: list[Path] = []
    with one_moment(connection):
        session_ids = between(connection, args.first, args.last)
        found, courses = together_with_courses(connection, session_ids)
        for session_id in session_ids if args.csv is not None else ():
            summary, data = summarize_with_data(connection, session_id)
            written += _write_csv(connection, summary, data, args.csv / f"session_{session_id}")
    if args.json:
        stdout.write(render_text.as_json(several_json(found)) + "\n")
    else:
        render_text.print_sections(several_sections(found), stdout)
    if args.html is not None:
        from neo_engine.report import charts_many, html

        title = f"NEO sessions {session_ids[0]} to {session_ids[-1]}"
        drawn = charts_many.several_panels(found, courses)
        text = html.many_page(title, several_sections(found), drawn, html.many_tiles(found))
        write_file(args.html, text.encode("utf-8"))
        written.append(args.html)
    return written


def _compare(connection: sqlite3.Connection, args: argparse.Namespace, stdout: TextIO) -> list[Path]:
    from neo_engine.report.compare import compare_sections, compare_with_courses

    with one_moment(connection):
        session_ids = [which_session(connection, one) for one in args.compare]
        found, courses = compare_with_courses(connection, session_ids)
    if args.json:
        stdout.write(render_text.as_json({"comparison": render_text.builtins(found)}) + "\n")
    else:
        render_text.print_sections(compare_sections(found), stdout)
    if args.html is None:
        return []
    from neo_engine.report import charts_many, html

    title = f"NEO sessions {', '.join(map(str, session_ids))} beside each other"
    drawn = charts_many.comparison_panels(found, courses)
    write_file(args.html, html.many_page(title, compare_sections(found), drawn).encode("utf-8"))
    return [args.html]


def _report(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> None:
    _check(args)
    connection = open_readonly(args.db)
    try:
        if args.list:
            lines = list_sessions(connection)
            if args.json:
                stdout.write(render_text.sessions_json(lines) + "\n")
            else:
                render_text.print_sessions(lines, stdout)
            return
        if args.compare:
            written = _compare(connection, args, stdout)
        elif args.first is not None or args.last is not None:
            written = _many(connection, args, stdout)
        else:
            written = _one(connection, args, stdout)
        for path in written:
            stderr.write(f"written: {path}\n")
    finally:
        connection.close()


def leave_stdout(stdout: TextIO) -> None:
    """Point a closed stdout elsewhere, so that the interpreter's last flush does not complain."""
    if stdout is sys.stdout:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; see the module's text for the codes."""
    stdout, stderr = sys.stdout, sys.stderr
    if isinstance(stdout, io.TextIOWrapper):
        stdout.reconfigure(errors="backslashreplace")  # a letter the console lacks is no reason to fail
    try:
        args = build_parser().parse_args(argv)
    except SystemExit as error:  # argparse has printed its usage line or the help
        return EXIT_OK if not error.code else EXIT_USAGE
    try:
        _report(args, stdout, stderr)
        stdout.flush()
    except BrokenPipeError:
        leave_stdout(stdout)  # the reader, e.g. head, has all it wanted
    except StateError as error:
        stderr.write(f"error: {error}\n")
        return EXIT_STARTUP
    except NeoError as error:
        stderr.write(f"error: {error}\n")
        return EXIT_USAGE
    except KeyboardInterrupt:
        stderr.write("error: interrupted\n")
        return EXIT_SIGINT
    return EXIT_OK
