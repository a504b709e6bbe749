"""Arguments in, exit code out. Every command of the project passes through `main`.

Exit codes (domain.halt): 0 ended as planned, 1 unexpected, 2 usage or configuration, 3 start-up
failure, 4 halted by engine, risk, reconciler or kill switch, 130/143 signal. With `--json` stdout holds
one JSON object and nothing else; progress and logs go to stderr.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import NoReturn

from neo_engine import __version__
from neo_engine.domain.errors import ConfigError, NeoError, StartupFailure, StateError, UsageError
from neo_engine.domain.halt import EXIT_OK, EXIT_SIGINT, EXIT_STARTUP, EXIT_UNEXPECTED, EXIT_USAGE
from neo_engine.domain.number import parse_number
from neo_engine.ops.control import MAX_NOTE_CHARS
from neo_engine.ops.secrets import install_redaction, redact

DURATION_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
MAX_DURATION_SECONDS = 10 * 365 * 86400
FEEDS = ("recorded", "simulated", "xrpl")
MAX_SEED_DIGITS = 18  # what SQLite's 64-bit INTEGER holds

Command = Callable[[argparse.Namespace], int]
Verb = Callable[[str, Command, str], argparse.ArgumentParser]


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are one line, like every other error of the engine."""

    def error(self, message: str) -> NoReturn:
        """Leave with the usage code."""
        self.exit(EXIT_USAGE, f"error: {message}; `{self.prog} --help` tells how\n")


def duration(text: str) -> int:
    """Return seconds for 90s, 10m, 2h or 1d. Raises ArgumentTypeError for anything else or zero."""
    number, unit = text[:-1], text[-1:]
    if unit not in DURATION_UNITS or not (number.isascii() and number.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; write 90s, 10m, 2h or 1d")
    seconds = int(number) * DURATION_UNITS[unit]
    if not 0 < seconds <= MAX_DURATION_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r}: a session must last more than 0 s and under ten years")
    return seconds


def speed(text: str) -> str:
    """Return `text` if it is real, max or a positive number. Raises ArgumentTypeError otherwise."""
    if text in ("real", "max"):
        return text
    try:
        value = parse_number(text, "--speed")
    except NeoError:
        value = Decimal(0)
    if not 0 < value <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r}: write real, max or a number above 0, e.g. 30")
    return text


def seed(text: str) -> int:
    """Return a seed: any whole number the database can hold. Raises ArgumentTypeError otherwise."""
    digits = text[1:] if text.startswith("-") else text
    if not (digits.isascii() and digits.isdigit() and len(digits) <= MAX_SEED_DIGITS):
        raise argparse.ArgumentTypeError(
            f"{text!r}: write a whole number of at most {MAX_SEED_DIGITS} digits"
        )
    return int(text)


def note_text(text: str) -> str:
    """Return a note on a session. Raises ArgumentTypeError for an empty one or one that is too long."""
    if not 0 < len(text.strip()) <= MAX_NOTE_CHARS:
        raise argparse.ArgumentTypeError(f"write 1 to {MAX_NOTE_CHARS} characters, not {len(text)}")
    return text.strip()


def _session_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="YAML file, e.g. config/paper.yaml")
    parser.add_argument("--duration", type=duration, required=True, help="in the feed's time: 90s, 10m, 2h")
    parser.add_argument("--db", type=Path, required=True, help="database file; made when missing")
    parser.add_argument(
        "--feed",
        choices=FEEDS,
        help="default: recorded, or simulated when the session outlasts the recording",
    )
    parser.add_argument("--recording", type=Path, help="recording file; without it the embedded one")
    parser.add_argument("--market", help="market of the simulated feed, e.g. calm or hostile")
    parser.add_argument("--speed", type=speed, default="real", help="real, N times real, or max")
    parser.add_argument("--seed", type=seed, default=1, help="of everything random in the session")
    parser.add_argument("--endpoint", action="append", default=[], help="server URL (xrpl feed only)")
    parser.add_argument(
        "--hypothesis", type=note_text, metavar="TEXT", help="what the session is to find out; kept with it"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.add_argument("--quiet", action="store_true", help="no live view, warnings only")


def paper_parser() -> argparse.ArgumentParser:
    """Return the parser of run_paper_session.py."""
    parser = Parser(
        prog="run_paper_session.py",
        description="Run one timed paper session and store everything it does.",
        allow_abbrev=False,
    )
    from neo_engine import cli_session

    _session_arguments(parser)
    parser.set_defaults(command=cli_session.paper)
    return parser


# The verbs, by the modules that they need. A group is imported when one of its verbs is asked for: all of
# them together take most of a second, which `kill` and `status` must not wait for.


def _session_verbs(verb: Verb) -> None:
    from neo_engine import cli_session

    one = verb("paper", cli_session.paper, "Run a timed paper session (what run_paper_session.py does).")
    _session_arguments(one)

    one = verb("replay", cli_session.replay, "Run the engine, or a list of orders, against a recording.")
    source = one.add_mutually_exclusive_group(required=True)
    source.add_argument("--recording", type=Path, help="recording of ledgers (format 1)")
    source.add_argument("--journal", type=Path, help="journal of a live session")
    what = one.add_mutually_exclusive_group()
    what.add_argument("--config", type=Path, help="engine configuration (default: config/paper.yaml)")
    what.add_argument("--orders", type=Path, help="CSV offset,slot,side,price,size in place of the strategy")
    one.add_argument("--db", type=Path, required=True)
    one.add_argument("--fills-csv", type=Path, help="write the fills there")
    one.add_argument("--seed", type=seed, default=1)
    one.add_argument("--speed", type=speed, default="max")
    one.add_argument("--json", action="store_true")
    one.add_argument("--quiet", action="store_true")


def _live_verbs(verb: Verb) -> None:
    from neo_engine import cli_live

    one = verb("live", cli_live.live, "Trade for real, with the account of a configuration (docs/live.md).")
    cli_live.add_live(one)
    one.add_argument("--duration", type=duration, help="in ledger time: 90s, 10m, 2h (default: no end)")
    one.add_argument("--seed", type=seed, default=1, help="of everything random in the session")

    text = "Cancel every offer of the account for the pair and verify it on the ledger."
    cli_live.add_flatten(verb("flatten", cli_live.flatten, text))


def _audit_verb(verb: Verb) -> None:
    from neo_engine import cli_audit

    text = "Say what an account did and whether its balances and offers add up."
    cli_audit.add_arguments(verb("audit", cli_audit.audit, text))


def _simulate_verb(verb: Verb) -> None:
    from neo_engine import cli_simulate

    text = "Serve a model network over the ledger's own API."
    cli_simulate.add_arguments(verb("simulate", cli_simulate.simulate, text))


def _scenario_verb(verb: Verb) -> None:
    from neo_engine import cli_scenario

    text = "Play scenarios on a model network and say whether the engine did what it must."
    cli_scenario.add_arguments(verb("scenario", cli_scenario.run, text))


def _preflight_verb(verb: Verb) -> None:
    from neo_engine import cli_preflight

    text = "Check everything that a live session needs, and say what to do."
    cli_preflight.add_arguments(verb("preflight", cli_preflight.run, text))


def _alert_verb(verb: Verb) -> None:
    from neo_engine import cli_alert

    cli_alert.add_arguments(verb("alert-test", cli_alert.run, "Send one alert, to see that alerts arrive."))


def _record_verb(verb: Verb) -> None:
    from neo_engine import cli_record

    one = verb("record", cli_record.record, "Write recordings from a running network.")
    cli_record.add_arguments(one)
    one.add_argument("--duration", type=duration, help="in ledger time: 90s, 10m, 2h (default: no end)")


def _data_verbs(verb: Verb) -> None:
    from neo_engine import cli_data
    from neo_engine.state import queries

    one = verb("backup", cli_data.backup, "Copy the database, also beside a running engine.")
    one.add_argument("--db", type=Path, required=True)
    one.add_argument("--to", type=Path, help="target file (default: a time-stamped one in <db>.backups)")

    one = verb("restore", cli_data.restore, "Replace the database by a backup, after checking it.")
    one.add_argument("--db", type=Path, required=True)
    one.add_argument("--from", dest="source", type=Path, required=True, help="the backup")

    one = verb("capital", cli_data.capital, "Enter or list deposits and withdrawals (the capital overlay).")
    one.add_argument("action", choices=("add", "list"))
    one.add_argument("--db", type=Path, required=True)
    one.add_argument("--kind", choices=("deposit", "withdrawal"))
    one.add_argument("--asset", help="XRP or the quote token, e.g. RLUSD")
    one.add_argument("--amount", help="exact decimal, in units of the asset")
    one.add_argument("--note", default="", help="kept with the event")
    one.add_argument("--request-id", help="makes a repeated call harmless (default: a new one)")

    one = verb("note", cli_data.note, "Keep a note on a session, shown beside its hypothesis by --list.")
    one.add_argument("text", type=note_text, metavar="TEXT")
    one.add_argument("--db", type=Path, required=True)
    one.add_argument("--session", default=queries.LATEST, metavar="ID", help="default: the latest")

    one = verb("config", cli_data.config, "Check a configuration, or show it as the engine reads it.")
    one.add_argument("action", choices=("check", "show"))
    one.add_argument("--config", type=Path, required=True)

    one = verb("verify-model", cli_data.verify_model, "Run a recording through the model ledger and compare.")
    one.add_argument("recording", type=Path, metavar="RECORDING", help="recording of format 1, whole state")
    one.add_argument("--json", action="store_true", help="print one JSON object on stdout")


def _prune_verb(verb: Verb) -> None:
    from neo_engine import cli_prune

    text = "Remove the details of old sessions; orders, fills and all money stay."
    cli_prune.add_arguments(verb("prune", cli_prune.run, text))


def _kill_verb(verb: Verb) -> None:
    from neo_engine import cli_kill

    text = "Pull every quote and halt the session that runs on a database; look at the kill switch, reset it."
    cli_kill.add_arguments(verb("kill", cli_kill.run, text))


def _pause_verbs(verb: Verb) -> None:
    from neo_engine import cli_pause

    cli_pause.add_verbs(verb)


def _why_verbs(verb: Verb) -> None:
    from neo_engine import cli_why

    cli_why.add_verbs(verb)


def _incident_verb(verb: Verb) -> None:
    from neo_engine import cli_incident

    cli_incident.add_verb(verb)


def _query_verbs(verb: Verb) -> None:
    from neo_engine import cli_query

    cli_query.add_verbs(verb)


def _calibrate_verb(verb: Verb) -> None:
    from neo_engine import cli_calibrate

    cli_calibrate.add_verb(verb)


def _tax_verb(verb: Verb) -> None:
    from neo_engine import cli_tax

    cli_tax.add_verb(verb)


#: The verbs of each group, in the order in which `--help` lists them.
GROUPS: tuple[tuple[tuple[str, ...], Callable[[Verb], None]], ...] = (
    (("paper", "replay"), _session_verbs),
    (("live", "flatten"), _live_verbs),
    (("preflight",), _preflight_verb),
    (("kill",), _kill_verb),
    (("pause", "resume"), _pause_verbs),
    (("why", "status"), _why_verbs),
    (("incident",), _incident_verb),
    (("query", "datasette-config"), _query_verbs),
    (("calibrate",), _calibrate_verb),
    (("export-tax",), _tax_verb),
    (("audit",), _audit_verb),
    (("record",), _record_verb),
    (("backup", "restore", "capital", "note", "config", "verify-model"), _data_verbs),
    (("prune",), _prune_verb),
    (("alert-test",), _alert_verb),
    (("simulate",), _simulate_verb),
    (("scenario",), _scenario_verb),
)


def engine_parser(arguments: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Return the parser of `python -m neo_engine VERB`; with arguments, of their verb and its group."""
    parser = Parser(
        prog="python -m neo_engine", description="The NEO market-making engine.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"NEO {__version__}")
    if arguments and arguments[0] == "--version":
        return parser
    verbs = parser.add_subparsers(metavar="VERB", required=True)

    def verb(name: str, command: Command, text: str) -> argparse.ArgumentParser:
        one = verbs.add_parser(name, help=text, description=text, allow_abbrev=False)
        one.set_defaults(command=command)
        return one

    asked = [add for names, add in GROUPS if arguments and arguments[0] in names]
    for add in asked or [add for _names, add in GROUPS]:
        add(verb)
    return parser


def main(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> int:
    """Parse, run and return the exit code; every operating error is one clear text on stderr."""
    options = parser.parse_args(arguments)
    command: Command = options.command
    try:
        code = command(options)
        sys.stdout.flush()
    except BrokenPipeError:
        from neo_engine.report.command import leave_stdout

        leave_stdout(sys.stdout)  # the reader, e.g. head, has all it wanted
        return EXIT_OK
    except ConfigError as error:
        for fault in error.faults:
            _tell(f"{error.source}: {fault}")
        return EXIT_USAGE
    except UsageError as error:
        _tell(str(error))
        return EXIT_USAGE
    except (StartupFailure, StateError) as error:
        _tell(str(error))
        return EXIT_STARTUP
    except NeoError as error:
        _tell(str(error))
        return EXIT_UNEXPECTED
    except KeyboardInterrupt:  # before a session took the signals over, or after it gave them back
        _tell("interrupted")
        return EXIT_SIGINT
    return code


def _tell(fault: str) -> None:
    print(f"error: {redact(fault)}", file=sys.stderr)


def run(parser: argparse.ArgumentParser) -> None:
    """Run `main` with the process's arguments and leave with its exit code."""
    install_redaction()
    sys.exit(main(parser, sys.argv[1:]))
