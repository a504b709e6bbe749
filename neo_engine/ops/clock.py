"""The real clock: the one place that reads the machine's time."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """Wall clock in UTC, a monotonic counter and real sleeping."""

    def utc_now(self) -> datetime:
        """Return the machine's time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never go backwards."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait that long; zero or less returns at once."""
        if seconds > 0:
            time.sleep(seconds)


def iso(moment: datetime) -> str:
    """Return `moment` as UTC ISO-8601 with milliseconds, e.g. 2026-11-20T20:37:00.125Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
