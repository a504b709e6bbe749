"""`python -m neo_engine record`: write recordings of format 1 from a running network."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from neo_engine.bootstrap import checked_endpoints
from neo_engine.config_sections import is_account_address
from neo_engine.domain.assets import IssuedAsset, currency_code
from neo_engine.domain.errors import BadNumber, FeedError, StartupFailure
from neo_engine.domain.halt import EXIT_HALTED, exit_code
from neo_engine.ops.clock import SystemClock
from neo_engine.ops.logs import setup_logging
from neo_engine.ops.signals import SignalFlags

RLUSD_ISSUER = "rMxCKbEDwqr76QuheSUMdEGf4B9xJ8m5De"  # on the main network
MEGABYTE = 1_000_000
CHECK_EVERY = 10  # three more requests every forty seconds
MAX_WHOLE = 1_000_000
MAX_WATCHED = 20  # three requests each a check


def pair(text: str) -> tuple[str, str | None]:
    """Return currency code and issuer (None: found on the network). Raises ArgumentTypeError."""
    symbol, dot, issuer = text.partition(".")
    try:
        code = currency_code(symbol)
        IssuedAsset(currency=code, issuer=issuer)
    except BadNumber as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}; write e.g. RLUSD.{RLUSD_ISSUER}") from error
    if symbol.upper() == "XRP" or (dot and not is_account_address(issuer)):
        raise argparse.ArgumentTypeError(f"{text!r}: write a token and its issuer, e.g. RLUSD.{RLUSD_ISSUER}")
    return code, issuer or None


def accounts(text: str) -> dict[str, str]:
    """Return names and addresses of `neo=r...,maker=r...`. Raises ArgumentTypeError."""
    found: dict[str, str] = {}
    for one in text.split(","):
        name, _, address = one.partition("=")
        if not name or name in found or not is_account_address(address):
            raise argparse.ArgumentTypeError(f"{one!r}: write NAME=ADDRESS,..., each name once")
        found[name] = address
    if len(found) > MAX_WATCHED:
        raise argparse.ArgumentTypeError(f"{len(found)} accounts; at most {MAX_WATCHED} can be watched")
    return found


def _whole(least: int, text: str) -> int:
    if not (text.isascii() and text.isdigit() and least <= int(text[:10]) <= MAX_WHOLE):
        raise argparse.ArgumentTypeError(f"{text!r}: write a whole number within {least} and {MAX_WHOLE}")
    return int(text)


def whole(text: str) -> int:
    """Return a whole number, 0 too. Raises ArgumentTypeError."""
    return _whole(0, text)


def megabytes(text: str) -> int:
    """Return a whole number above 0. Raises ArgumentTypeError."""
    return _whole(1, text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `record`."""
    parser.add_argument("--endpoint", action="append", required=True, help="server URL; may be repeated")
    parser.add_argument("--out", type=Path, required=True, help="first file, e.g. my.jsonl.gz")
    parser.add_argument(
        "--pair",
        type=pair,
        default=pair(f"RLUSD.{RLUSD_ISSUER}"),
        help="token and issuer (default: RLUSD on the main network); RLUSD alone: found on a small network",
    )
    parser.add_argument("--accounts", type=accounts, default={}, help="watched: NAME=ADDRESS,...")
    parser.add_argument(
        "--check-every",
        type=whole,
        default=CHECK_EVERY,
        help="ledgers between two of the server's own lists, 0 for none",
    )
    parser.add_argument("--rotate-mb", type=megabytes, help="begin a new part at this size")
    parser.add_argument("--quiet", action="store_true", help="warnings and errors only")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")


def record(options: argparse.Namespace) -> int:
    """Record until the time is over or a signal comes; return the exit code.

    Raises UsageError, StartupFailure when nothing can be recorded, FeedError when recording has to end.
    """
    endpoints = checked_endpoints(options.endpoint)
    # The sockets' library takes half a second to load, which no other command should pay.
    from neo_engine.feed.recorder import Recorder, RecorderOptions
    from neo_engine.xrpl.gateway import Gateway, GatewayOptions

    setup_logging("INFO", quiet=options.quiet or options.json)
    clock = SystemClock()
    currency, issuer = options.pair
    rotate = options.rotate_mb
    recorder = Recorder(
        Gateway(GatewayOptions(endpoints=endpoints), clock),
        RecorderOptions(
            out=options.out,
            currency=currency,
            issuer=issuer,
            accounts=options.accounts,
            check_every=options.check_every,
            part_bytes=None if rotate is None else rotate * MEGABYTE,
            seconds=options.duration,
        ),
        clock,
    )
    with SignalFlags() as signals:
        try:
            told = recorder.run(lambda: signals.reason is not None)
        except FeedError as error:
            if recorder.summary.ledgers:
                _say(recorder.summary, as_json=options.json)
                raise
            raise StartupFailure(str(error)) from error
    _say(told, as_json=options.json)
    if told.failure:
        print(f"error: {told.failure}; name further servers with --endpoint", file=sys.stderr)
        return EXIT_HALTED
    return 0 if signals.reason is None else exit_code(signals.reason)


def _say(told: msgspec.Struct, *, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(told).decode())
        return
    for name, value in msgspec.structs.asdict(told).items():
        text = ", ".join(value) if isinstance(value, list) else "" if value is None else value
        print(f"{name:16}{text}")
