"""The command that sends one alert, to see that alerts arrive: `alert-test`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from neo_engine.config import load_config
from neo_engine.config_sections import NONE
from neo_engine.domain.alerts import Alert, AlertSeverity
from neo_engine.domain.errors import UsageError
from neo_engine.domain.halt import EXIT_OK, EXIT_STARTUP
from neo_engine.ops.alert_sinks import SendFailed, sinks_of
from neo_engine.ops.alerts import body_of
from neo_engine.ops.clock import SystemClock
from neo_engine.ops.logs import setup_logging
from neo_engine.ops.secrets import redact

TEST = Alert(
    kind="test",
    key="alert-test",
    severity=AlertSeverity.CRITICAL,
    text="sent by alert-test; alerts of this configuration arrive",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `alert-test`."""
    parser.add_argument("--config", type=Path, required=True, help="YAML file whose alerts are tried")


def run(options: argparse.Namespace) -> int:
    """Send one alert to each place, once, and say what became of it; the start-up code when one failed.

    Raises UsageError when the configuration sends alerts nowhere, StartupFailure when the webhook's address
    cannot be had.
    """
    setup_logging("WARNING", quiet=True)
    config = load_config(options.config)
    if config.alerts.webhook == NONE and config.alerts.command == NONE:
        raise UsageError(f"{options.config}: alerts.webhook and alerts.command are none; set one of them")
    key_source = None if config.live is None else config.live.key_source
    code = EXIT_OK
    for sink in sinks_of(config.alerts, key_source, os.environ):
        try:
            sink.send(body_of(TEST, {}, 0, SystemClock().utc_now()))
            print(f"{sink.name}: sent")
        except SendFailed as error:
            print(redact(f"{sink.name}: FAILED, {error}"))
            code = EXIT_STARTUP
    return code
