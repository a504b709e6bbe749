"""The real clock, the one place that reads the machine's time; and the timer of a live feed's silence."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from neo_engine.ports import Clock


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


class SilenceTimer:
    """Notices that no ledger came: due once every `interval_seconds` of `clock` since the last one."""

    def __init__(self, clock: Clock, interval_seconds: int, close_time: int) -> None:
        self._clock = clock
        self._interval = interval_seconds
        self.ledger(close_time)

    def ledger(self, close_time: int) -> None:
        """Start again: a ledger closed at `close_time` (seconds since 2000-01-01) has just come."""
        self._close_time = close_time
        self._since = self._clock.monotonic()
        self._next = self._interval

    def due(self) -> int | None:
        """Return the feed's time now if another interval has passed without a ledger, else None."""
        silent = int(self._clock.monotonic() - self._since)
        if silent < self._next:
            return None
        self._next = silent - silent % self._interval + self._interval
        return self._close_time + silent


class OutageTimer:
    """Waits while the database fails, for `limit_seconds` of `clock`; with 0 not at all."""

    def __init__(self, clock: Clock, limit_seconds: int) -> None:
        self._clock = clock
        self._limit = limit_seconds
        self._since = 0.0

    def begin(self) -> None:
        """An outage begins now."""
        self._since = self._clock.monotonic()

    def wait(self, seconds: float) -> None:
        """Wait that long."""
        self._clock.sleep(seconds)

    def spent(self) -> bool:
        """Return True once the outage has lasted too long."""
        return self._clock.monotonic() - self._since >= self._limit


def iso(moment: datetime) -> str:
    """Return `moment` as UTC ISO-8601 with milliseconds, e.g. 2026-11-20T20:37:00.125Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
