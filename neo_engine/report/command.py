"""The report's command line: arguments in, text, JSON, HTML or plots out, an exit code back.

Exit codes: 0 reported (also when report and engine differ: the report says so) · 2 the command line
names something that is not there or cannot be written (file, session, folder) · 3 the file is there but
cannot be read as a database of this version · 130 interrupted.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from neo_engine.domain.errors import NeoError, StateError, UsageError
from neo_engine.domain.halt import EXIT_OK, EXIT_SIGINT, EXIT_STARTUP, EXIT_USAGE
from neo_engine.report import render_text
from neo_engine.report.data import SessionData
from neo_engine.report.files import write_file
from neo_engine.report.model import SessionSummary
from neo_engine.report.summary import LATEST, list_sessions, one_moment, resolve_session, summarize_with_data
from neo_engine.state.queries import open_readonly

PROGRAM = "summarize_paper_run.py"


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the report's command line."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        allow_abbrev=False,
        description="Report of a session: inventory, P&L, fills, orders, uptime, distance to touch. "
        "Reads the database only, also while the engine runs.",
    )
    parser.add_argument("--db", type=Path, required=True, help="the session database, e.g. neo.db")
    parser.add_argument(
        "--session", default=LATEST, metavar="ID", help=f"a session's number, or {LATEST} (the default)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    parser.add_argument("--html", type=Path, metavar="FILE", help="also write the report as one HTML file")
    parser.add_argument(
        "--plots", type=Path, metavar="DIR", help="also write the plots as PNG files into DIR"
    )
    parser.add_argument("--list", action="store_true", help="list the sessions of the database instead")
    return parser


def _write_extras(
    summary: SessionSummary, data: SessionData, html_file: Path | None, plots_folder: Path | None
) -> list[Path]:
    facts = summary.facts
    written = []
    if plots_folder is not None:
        from neo_engine.report import plots

        title = f"NEO session {facts.session_id} ({facts.mode}, {facts.feed} feed)"
        for name, content in plots.plot_session(data, title).items():
            write_file(plots_folder / name, content)
            written.append(plots_folder / name)
    if html_file is not None:
        from neo_engine.report import charts, html

        write_file(html_file, html.page(summary, charts.panels(summary, data)).encode("utf-8"))
        written.append(html_file)
    return written


def _report(args: argparse.Namespace, stdout: TextIO, stderr: TextIO) -> None:
    if not args.db.exists():
        raise UsageError(f"{args.db}: no such file; give the database of a session with --db")
    connection = open_readonly(args.db)
    try:
        if args.list:
            lines = list_sessions(connection)
            if args.json:
                stdout.write(render_text.sessions_json(lines) + "\n")
            else:
                render_text.print_sessions(lines, stdout)
            return
        with one_moment(connection):
            session_id = resolve_session(connection, args.session)
            summary, data = summarize_with_data(connection, session_id)
            written = _write_extras(summary, data, args.html, args.plots)
        if args.json:
            stdout.write(render_text.summary_json(summary) + "\n")
        else:
            render_text.print_summary(summary, stdout)
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
