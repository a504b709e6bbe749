"""Tells systemd how the service does: ready, alive, ending (sd_notify, without its library).

The protocol is one datagram of `NAME=value` lines to the UNIX socket that NOTIFY_SOCKET names (man
sd_notify). Where the variable is not set, on Windows and in a shell, nothing is sent. The watchdog is fed by
the loop alone (ticks, and attempts to store one): a loop that hangs is restarted, whatever other threads do.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping

from neo_engine.event_log import say

SOCKET_VARIABLE = "NOTIFY_SOCKET"
EVERY_SECONDS = 1.0  # a replay makes hundreds of ticks a second; WatchdogSec is at least many seconds
MAX_STATUS_CHARS = 200


class Notifier:
    """Speaks to the service manager, if there is one. monotonic: seconds that never go backwards."""

    def __init__(
        self, environment: Mapping[str, str], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._address = _address(environment.get(SOCKET_VARIABLE, ""))
        self._monotonic = monotonic
        self._fed_at: float | None = None
        self._failed = False

    def ready(self, status: str) -> None:
        """Say that the session has begun."""
        self._send(f"READY=1\nSTATUS={_line(status)}")

    def alive(self, status: str) -> None:
        """Feed the watchdog, once a second at most."""
        now = self._monotonic()
        if self._fed_at is None or now - self._fed_at >= EVERY_SECONDS:
            self._fed_at = now
            self._send(f"WATCHDOG=1\nSTATUS={_line(status)}")

    def stopping(self, status: str) -> None:
        """Say that the session is ending."""
        self._send(f"STOPPING=1\nSTATUS={_line(status)}")

    def _send(self, text: str) -> None:
        if self._address is None:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
                one.setblocking(False)
                one.sendto(text.encode("utf-8", "replace"), self._address)
        except OSError as error:
            if not self._failed:
                self._failed = True
                say.warning("service_manager_unreachable", "the service manager cannot be told: {}", error)


def _address(text: str) -> str | None:
    """Return the socket's address; `@` begins an abstract one, whose first byte is zero."""
    if not text or not hasattr(socket, "AF_UNIX"):
        return None
    if text.startswith("@"):
        return "\0" + text[1:]
    if not text.startswith("/"):
        say.warning(
            "service_socket_unknown",
            "{}={}: only a path or an abstract socket is known",
            SOCKET_VARIABLE,
            text,
        )
        return None
    return text


def _line(text: str) -> str:
    return " ".join(text.split())[:MAX_STATUS_CHARS]
