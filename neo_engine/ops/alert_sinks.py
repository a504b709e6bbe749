"""The two ways an alert leaves the machine: posted to a webhook, or handed to a program.

Both end within their time limit, whatever the other side does: a server that takes the connection and says
nothing, one that says one letter a second, a program that never ends.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shlex
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from neo_engine.config_sections import NONE, AlertsConfig
from neo_engine.domain.errors import StartupFailure
from neo_engine.ops.secrets import Secret, load_secret

_SUCCESS = range(200, 300)
#: What may pass by itself (RFC 9110): too slow, too many, the server's own faults. Any other is final.
_PASSING = (408, 429)
_SERVER_FAULTS = range(500, 600)
_HEADERS = {"Content-Type": "application/json", "User-Agent": "neo-engine"}


class SendFailed(Exception):
    """An alert did not get out. final: another try would fail like this one."""

    def __init__(self, why: str, *, final: bool = False) -> None:
        super().__init__(why)
        self.final = final


class Sink(Protocol):
    """Where alerts go."""

    name: str

    def send(self, body: bytes) -> None:
        """Hand one alert over. Raises SendFailed within the time limit."""

    def give_up(self) -> None:
        """End a send that another thread is in, as soon as can be."""


class Webhook:
    """Posts alerts to an address that stays hidden."""

    name = "webhook"

    def __init__(self, address: Secret, timeout_seconds: float) -> None:
        self._address = address
        self._timeout = timeout_seconds
        self._connection: http.client.HTTPConnection | None = None
        _split(address)

    def send(self, body: bytes) -> None:
        """Post one alert. Raises SendFailed."""
        parts = _split(self._address)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = self._connection = kind(parts.hostname or "", parts.port, timeout=self._timeout)
        # A socket's own limit begins anew with every byte; this one is for the whole.
        limit = threading.Timer(self._timeout, self.give_up)
        limit.daemon = True
        limit.start()
        try:
            connection.request("POST", target, body, _HEADERS)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            raise SendFailed(type(error).__name__) from None  # its text may hold the address
        finally:
            limit.cancel()
            limit.join()
            connection.close()
            self._connection = None
        if status not in _SUCCESS:
            final = status not in _PASSING and status not in _SERVER_FAULTS
            raise SendFailed(f"answered {status}", final=final)

    def give_up(self) -> None:
        """Cut the connection of a send that is under way."""
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):  # it ended by itself just now
                connection.sock.shutdown(socket.SHUT_RDWR)


def _split(address: Secret) -> SplitResult:
    """Return the parts of the address. Raises StartupFailure, without showing it, when it is none."""
    parts = None
    try:
        parts = urlsplit(address.reveal())
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # half an address
        usable = False
    if parts is None or not usable:
        raise StartupFailure("alerts.webhook: what lies there is no http or https address; write it anew")
    return parts


class Program:
    """Runs a program with the alert on its stdin; its output goes nowhere."""

    name = "command"

    def __init__(self, words: list[str], timeout_seconds: float, environment: Mapping[str, str]) -> None:
        self._words = words
        self._timeout = timeout_seconds
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None

    def send(self, body: bytes) -> None:
        """Run the program once. Raises SendFailed when it cannot be run, fails, or does not end in time."""
        try:
            process = subprocess.Popen(
                self._words,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=self._environment,
                start_new_session=True,  # Ctrl-C is for the engine; and its children can be ended with it
            )
        except (OSError, ValueError) as error:
            raise SendFailed(f"{self._words[0]} cannot be run ({type(error).__name__})", final=True) from None
        self._process = process
        try:
            process.communicate(body, timeout=self._timeout)
        except subprocess.TimeoutExpired:
            raise SendFailed(f"did not end within {self._timeout:g} s") from None
        except OSError as error:  # it ended without reading
            process.wait()
            raise SendFailed(f"did not take the alert ({type(error).__name__})") from None
        finally:
            self._end(process)
            self._process = None
        if process.returncode != 0:
            raise SendFailed(f"ended with {process.returncode}")

    def give_up(self) -> None:
        """End the program that runs."""
        process = self._process
        if process is not None:
            _kill(process)

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        """Leave no process and no pipe behind."""
        if process.poll() is None:
            _kill(process)
            process.wait()
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):  # it ended by itself just now
        if os.name == "nt":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)


def sinks_of(
    config: AlertsConfig, key_source: str | None, environment: Mapping[str, str]
) -> tuple[Sink, ...]:
    """Return where a configuration sends alerts, the program first: it seldom hangs.

    key_source: of the account's seed; a variable that holds it, or the webhook's address, is kept from the
    program. Raises StartupFailure when the webhook's address cannot be had.
    """
    found: list[Sink] = []
    if config.command != NONE:
        hidden = {source.removeprefix("env:") for source in (config.webhook, key_source or "")}
        rest = {name: value for name, value in environment.items() if name not in hidden}
        found.append(Program(shlex.split(config.command), config.timeout_seconds, rest))
    if config.webhook != NONE:
        address = load_secret(config.webhook, environment, key="alerts.webhook", what="the webhook's address")
        found.append(Webhook(address, config.timeout_seconds))
    return tuple(found)
