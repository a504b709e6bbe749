"""The command that writes fills for a tax return: `export-tax`."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from neo_engine.domain.errors import UsageError
from neo_engine.domain.number import plain, xrp_from_drops
from neo_engine.ops.logs import setup_logging
from neo_engine.report.choose import one_moment
from neo_engine.report.tax import LIVE, sessions_of, tax_lines, write_tax
from neo_engine.state.queries import LATEST, open_readonly, which_session

MODES = (LIVE, "paper", "replay")
FIRST_YEAR = 2012  # no ledger is older

Verb = Callable[[str, Callable[[argparse.Namespace], int], str], argparse.ArgumentParser]


def tax_year(text: str) -> int:
    """Return a year. Raises ArgumentTypeError for anything else."""
    if not (text.isascii() and text.isdigit() and len(text) == 4 and int(text) >= FIRST_YEAR):
        raise argparse.ArgumentTypeError(f"{text!r} is no year; write e.g. 2026")
    return int(text)


def add_verb(verb: Verb) -> None:
    """Add the command to the engine's parser."""
    one = verb("export-tax", export_tax, "Write fills as CSV with cost basis and gain, by FIFO and average.")
    one.add_argument("--db", type=Path, required=True, help="the database; also beside a running engine")
    one.add_argument("--year", type=tax_year, help="only fills of this UTC year (default: all)")
    one.add_argument("--mode", choices=MODES, default=LIVE, help=f"sessions of which mode (default: {LIVE})")
    one.add_argument("--out", type=Path, metavar="FILE", help="write there (default: stdout)")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--out {path}: cannot be written ({error.strerror}); give another file") from error


def export_tax(options: argparse.Namespace) -> int:
    """Write the lines and tell their sums on stderr. Returns 0, also when there is none."""
    setup_logging("WARNING", quiet=False)
    text = io.StringIO()
    with closing(open_readonly(options.db)) as connection, one_moment(connection):
        which_session(connection, LATEST)  # says so when there is none at all
        sessions = sessions_of(connection, options.mode)
        if not sessions:
            other = [mode for mode in MODES if mode != options.mode and sessions_of(connection, mode)]
            raise UsageError(
                f"export-tax: {options.db} has no {options.mode} session; --mode {other[0]} writes the others"
            )
        totals = write_tax(tax_lines(connection, sessions), options.year, text)
    if options.out is None:
        sys.stdout.write(text.getvalue())
    else:
        _write(options.out, text.getvalue())
    period = "" if options.year is None else f" of {options.year}"
    quote = sessions[0].quote_symbol
    place = "" if options.out is None else f" written to {options.out}"
    print(
        f"{totals.fills} fills{period}{place}; gains in {quote}: {plain(totals.fifo)} by FIFO, "
        f"{plain(totals.average)} by average cost; network fees of filled orders: "
        f"{plain(xrp_from_drops(totals.fee_drops))} XRP",
        file=sys.stderr,
    )
    return 0
