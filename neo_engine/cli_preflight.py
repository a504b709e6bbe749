"""The command that looks before a live session leaps: `preflight`."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from neo_engine.config import load_config
from neo_engine.config_sections import is_endpoint
from neo_engine.domain.errors import StartupFailure, UsageError
from neo_engine.domain.halt import EXIT_STARTUP
from neo_engine.ops.clock import SystemClock
from neo_engine.ops.logs import setup_logging
from neo_engine.ops.secrets import redact

if TYPE_CHECKING:
    from neo_engine.ops.preflight import Node
    from neo_engine.ops.preflight_checks import Finding

CHECK_COLUMN = 13
ATTEMPTS = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `preflight`."""
    parser.add_argument("--config", type=Path, required=True, help="YAML file, e.g. config/live_testnet.yaml")
    parser.add_argument(
        "--endpoint", action="append", default=[], help="server URL in place of live.endpoints"
    )
    parser.add_argument("--db", type=Path, help="database of the session to come")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")


def run(options: argparse.Namespace) -> int:
    """Check everything and print a line for each; return 0 if nothing failed, else the start-up code."""
    # The keys and their codec take a quarter of a second to import, which no other verb should wait for.
    from neo_engine.ops.preflight import failed, preflight

    setup_logging("WARNING", quiet=True)
    settings, clock = load_config(options.config), SystemClock()
    for url in options.endpoint:
        if not is_endpoint(url):
            raise UsageError(
                f"--endpoint {url}: no WebSocket address; write wss://HOST:PORT or ws://HOST:PORT"
            )
    endpoints = options.endpoint or (settings.live.endpoints if settings.live else ())
    stale_seconds = float(settings.risk.stale_pull_seconds)
    with ExitStack() as stack:
        nodes = [_node(url, stale_seconds, clock, stack) for url in endpoints]
        found = preflight(settings, nodes=nodes, environment=os.environ, clock=clock, database=options.db)
    code = EXIT_STARTUP if failed(found) else 0
    if options.json:
        sys.stdout.write(redact(msgspec.json.encode(_document(found, code)).decode()) + "\n")
    else:
        print(redact(_text(found)))
    return code


def _node(url: str, stale_seconds: float, clock: SystemClock, stack: ExitStack) -> Node:
    from neo_engine.ops.preflight import REQUEST_SECONDS, Node
    from neo_engine.xrpl.gateway import Gateway, GatewayOptions

    gateway = Gateway(
        GatewayOptions(
            endpoints=(url,),
            request_timeout_seconds=REQUEST_SECONDS,
            stale_seconds=stale_seconds,
            attempts_max=ATTEMPTS,
        ),
        clock,
    )
    stack.callback(gateway.close)
    try:
        gateway.start()
    except StartupFailure as error:
        return Node(name=url, server=None, fault=str(error))
    return Node(name=url, server=gateway)


def _counts(found: list[Finding]) -> dict[str, int]:
    from neo_engine.ops.preflight_checks import Status

    return {status.value.lower(): sum(one.status is status for one in found) for status in Status}


def _document(found: list[Finding], code: int) -> dict[str, object]:
    return {"ready": code == 0, "exit_code": code, **_counts(found), "findings": found}


def _text(found: list[Finding]) -> str:
    lines = []
    for one in found:
        lines.append(f"{one.status.value:<5} {one.check:<{CHECK_COLUMN}} {one.found}")
        if one.fix:
            lines.append(f"{'':<5} {'':<{CHECK_COLUMN}} -> {one.fix}")
    counts = _counts(found)
    verdict = "not ready" if counts["fail"] else "ready"
    lines.append(f"{verdict}: {counts['pass']} pass, {counts['warn']} warn, {counts['fail']} FAIL")
    return "\n".join(lines)
