"""The command `audit`: everything an account did in a recording or on a server, and whether it adds up."""

from __future__ import annotations

import argparse
import io
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from neo_engine.config_sections import is_account_address
from neo_engine.domain.assets import currency_code
from neo_engine.domain.errors import BadNumber, FeedError, StartupFailure, UsageError
from neo_engine.domain.halt import EXIT_HALTED, EXIT_OK
from neo_engine.ops.clock import SystemClock
from neo_engine.ops.logs import setup_logging

if TYPE_CHECKING:
    from neo_engine.report.audit_sources import Audited

TOKEN = "RLUSD"
MAX_LEDGER = 2**32 - 1  # a ledger index has 32 bits
ATTEMPTS_MAX = 3  # an audit is started by hand: whoever did would rather read why than wait


def ledger_index(text: str) -> int:
    """Return a ledger's index. Raises ArgumentTypeError for anything else."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and 0 < int(text) <= MAX_LEDGER):
        raise argparse.ArgumentTypeError(f"{text!r} is no ledger index; write a number such as 104545000")
    return int(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("account", metavar="ACCOUNT", help="an address, or a name that the recording gives")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--recording", type=Path, metavar="FILE", help="a recording of format 1")
    source.add_argument("--endpoint", metavar="URL", help="a server, e.g. wss://s1.ripple.com")
    parser.add_argument(
        "--from", dest="first", type=ledger_index, metavar="L", help="first ledger (default: the oldest)"
    )
    parser.add_argument(
        "--to", dest="last", type=ledger_index, metavar="L", help="last ledger (default: the newest)"
    )
    parser.add_argument("--token", default=TOKEN, help=f"with --endpoint: the token's code (default {TOKEN})")
    parser.add_argument("--issuer", help="with --endpoint: the token's issuer, if the account has several")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")


def audit(options: argparse.Namespace) -> int:
    """Audit and print. Returns 0 if everything adds up, 4 if not."""
    # What the sources need takes a quarter of a second to import, which no other verb should wait for.
    from neo_engine.report.audit_text import audit_json, print_audit

    setup_logging("WARNING", quiet=False)
    if options.first is not None and options.last is not None and options.first > options.last:
        raise UsageError(f"--from {options.first} lies after --to {options.last}: swap them")
    audited = _recorded(options) if options.recording is not None else _served(options)
    if options.json:
        print(audit_json(audited))
    else:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")  # a letter the console lacks is no failure
        print_audit(audited, sys.stdout)
    return EXIT_OK if audited.audit.adds_up else EXIT_HALTED


def _recorded(options: argparse.Namespace) -> Audited:
    from neo_engine.report.audit_sources import audit_recording

    if options.issuer is not None or options.token != TOKEN:
        raise UsageError("--token and --issuer belong to --endpoint: a recording names its own pair")
    bounds = options.first, options.last
    try:
        return audit_recording(options.recording, options.account, bounds, SystemClock())
    except FeedError as error:
        raise StartupFailure(str(error)) from error


def _served(options: argparse.Namespace) -> Audited:
    from neo_engine.report.audit_sources import audit_server, token_of
    from neo_engine.xrpl.gateway import Gateway, GatewayOptions
    from neo_engine.xrpl.history import HistoryError
    from neo_engine.xrpl.server import RequestLost, RequestRefused

    account, issuer = options.account, options.issuer
    for address in (account, issuer):
        if address is not None and not is_account_address(address):
            raise UsageError(f"{address!r} is no address: copy it whole, it begins with r")
    try:
        currency_code(options.token)
    except BadNumber as error:
        raise UsageError(f"--token: {error}") from error
    wanted = GatewayOptions(endpoints=(options.endpoint,), attempts_max=ATTEMPTS_MAX)
    with closing(Gateway(wanted, SystemClock())) as gateway:
        gateway.start()
        try:
            token = token_of(gateway, account, options.token, issuer)
            return audit_server(gateway, options.endpoint, account, token, (options.first, options.last))
        except (RequestRefused, RequestLost, HistoryError) as error:
            raise StartupFailure(f"{options.endpoint}: {error}") from error
