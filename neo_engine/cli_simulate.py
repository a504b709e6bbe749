"""`python -m neo_engine simulate`: a model network with a server that speaks the ledger's own API."""

from __future__ import annotations

import argparse
import asyncio
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from pathlib import Path

from neo_engine.domain.errors import BadNumber, UsageError
from neo_engine.domain.number import parse_number
from neo_engine.ops.logs import setup_logging
from neo_engine.simulator.server.options import NEXT_PORT, Address, Options, check_public

NO_MARKET = "none"
MANUAL = "manual"
CLOSE_SECONDS = Decimal(4)  # what the main network takes for a ledger
CLOSE_SECONDS_MIN, CLOSE_SECONDS_MAX = Decimal("0.02"), Decimal(86_400)
SPEED_MAX = Decimal(100_000)
PORT_MAX = 65_535
_LEDGER_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def address(text: str) -> Address:
    """Return host and port of `127.0.0.1:6006` or `[::1]:6006`. Raises ArgumentTypeError."""
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not (colon and bare and port.isascii() and port.isdigit() and int(port) <= PORT_MAX):
        raise argparse.ArgumentTypeError(f"{text!r}: write HOST:PORT, e.g. 127.0.0.1:6006")
    return Address(host=bare, port=int(port))


def http_address(text: str) -> Address | None:
    """Return where to listen for HTTP, None for `off`. Raises ArgumentTypeError."""
    return None if text == "off" else address(text)


def _within(text: str, what: str, least: Decimal, most: Decimal) -> Decimal:
    try:
        value = parse_number(text, what)
    except BadNumber:
        value = least - 1
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"{text!r}: {what} must lie within {least} and {most}")
    return value


def close_every(text: str) -> Decimal | None:
    """Return the ledger seconds between closes of `4s` or `0.5s`, None for `manual`."""
    if text == MANUAL:
        return None
    if not text.endswith("s"):
        raise argparse.ArgumentTypeError(f"{text!r}: write seconds such as 4s or 0.5s, or {MANUAL}")
    return _within(text.removesuffix("s"), "--close-every", CLOSE_SECONDS_MIN, CLOSE_SECONDS_MAX)


def speed(text: str) -> Decimal:
    """Return how many times faster than real time ledgers close; `real` is 1."""
    return Decimal(1) if text == "real" else _within(text, "--speed", Decimal("0.01"), SPEED_MAX)


def start_time(text: str) -> int:
    """Return seconds since 2000-01-01 for an ISO time with its zone, or for such a count itself."""
    if text.isascii() and text.isdigit():
        return int(_within(text, "--start-time", Decimal(0), Decimal(2**32 - 1)))
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        when = _LEDGER_EPOCH.replace(tzinfo=None)
    if when.tzinfo is None or when < _LEDGER_EPOCH:
        raise argparse.ArgumentTypeError(f"{text!r}: write a time since 2000 such as 2026-11-20T18:15:00Z")
    return int((when - _LEDGER_EPOCH).total_seconds())


def seed(text: str) -> int:
    """Return a seed. Raises ArgumentTypeError unless it is a whole number."""
    return int(_within(text, "--seed", Decimal(0), Decimal(2**63 - 1)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `simulate`."""
    parser.add_argument("--listen", type=address, default=Address(host="127.0.0.1", port=6006))
    parser.add_argument(
        "--http-listen",
        type=http_address,
        default=Address(host="", port=NEXT_PORT),
        help="JSON-RPC and the faucet; default: the next port on the same host; off",
    )
    parser.add_argument("--close-every", type=close_every, default=CLOSE_SECONDS, help="4s, 0.5s or manual")
    parser.add_argument("--speed", type=speed, default=Decimal(1), help="N times real time")
    parser.add_argument("--start-time", type=start_time, help="of the first ledger; default: now")
    parser.add_argument("--market", default=NO_MARKET, help="agents that trade: a market's name, or none")
    parser.add_argument("--seed", type=seed, default=1, help="of everything random in the market")
    parser.add_argument("--escalation", action="store_true", help="fees rise when ledgers are full")
    parser.add_argument("--faults", type=Path, metavar="FILE", help="schedule of faults to show (YAML)")
    parser.add_argument("--admin", action="store_true", help="nobody is charged for what he asks")
    parser.add_argument("--public", action="store_true", help="let other machines connect")
    parser.add_argument("--quiet", action="store_true", help="warnings and errors only")


def _ledger_now() -> int:
    return int((datetime.now(UTC) - _LEDGER_EPOCH).total_seconds())


def simulate(options: argparse.Namespace) -> int:
    """Run the server until a signal ends it; return the exit code.

    Raises UsageError for options that do not fit each other, StartupFailure if a port cannot be had.
    """
    # The sockets' and the codec's libraries take half a second to load, which no other command should pay.
    from neo_engine.simulator.server.faults import FaultyServer, faults_of
    from neo_engine.simulator.server.process import Plan, network_of, serve_until_signal

    setup_logging("INFO", options.quiet)
    http = options.http_listen
    if http is not None and not http.host:
        http = Address(host=options.listen.host, port=NEXT_PORT if options.listen.port else 0)
    if options.listen.port == PORT_MAX and http is not None and http.port == NEXT_PORT:
        raise UsageError(f"--http-listen: there is no port after {PORT_MAX}; name one, or off")
    step = CLOSE_SECONDS if options.close_every is None else options.close_every
    serving = Options(
        listen=options.listen,
        http=http,
        close_seconds=None if options.close_every is None else float(step / options.speed),
        public=options.public,
        unlimited=options.admin,
    )
    check_public(serving)
    plan = Plan(
        market=None if options.market == NO_MARKET else options.market,
        seed=options.seed,
        start=_ledger_now() if options.start_time is None else options.start_time,
        seconds_per_ledger=max(int(step.to_integral_value(rounding=ROUND_CEILING)), 1),
        escalation=options.escalation,
    )
    server = FaultyServer(network_of(plan, faults_of(options.faults, options.seed)), serving)
    return asyncio.run(serve_until_signal(server, f"market {options.market}, seed {options.seed}"))
