"""The real clock, the one place that reads the machine's time; and what measures silences and outages by it.

Nothing is decided by the wall clock: it may be set back, and only names the times of rows. What measures time
counts the time in which the machine sleeps too (a laptop whose lid is closed), where the system can say so.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from neo_engine.ports import Clock

_BOOT: int | None = getattr(time, "CLOCK_BOOTTIME", None)
#: The loop looks at its timer four times a second. So long without a look, and the process did not run.
ASLEEP_SECONDS = 10


class SystemClock:
    """Wall clock in UTC, a monotonic counter and real sleeping."""

    def utc_now(self) -> datetime:
        """Return the machine's time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never go backwards and go on while the machine sleeps.

        Linux: CLOCK_BOOTTIME (clock_gettime(2)); its CLOCK_MONOTONIC stands still in a suspend.
        """
        return time.monotonic() if _BOOT is None else time.clock_gettime(_BOOT)

    def sleep(self, seconds: float) -> None:
        """Wait that long; zero or less returns at once."""
        if seconds > 0:
            time.sleep(seconds)


class SilenceTimer:
    """Notices that no ledger came: due once every `interval_seconds` of `clock` since the last one.

    Time in which nobody looked for ASLEEP_SECONDS is no silence of the feed's: the machine slept, or the
    process was held up. It counts as `pull_seconds` at most, from when somebody looks again: the first tick
    then pulls the quotes, and the connection gets the time to come back that any other loss gives it.
    """

    def __init__(self, clock: Clock, interval_seconds: int, close_time: int, *, pull_seconds: int) -> None:
        self._clock = clock
        self._interval = interval_seconds
        self._pull = pull_seconds
        self._close_time = close_time
        self._looked = self._since = clock.monotonic()
        self._next = interval_seconds

    def ledger(self, close_time: int) -> None:
        """Start again: a ledger closed at `close_time` (seconds since 2000-01-01) has just come.

        After a sleep it may have waited since before that, so the silence goes on then.
        """
        now = self._clock.monotonic()
        slept = self._slept(now)
        self._close_time = close_time
        self._since = now - self._pull if slept else now
        self._next = self._interval

    def due(self) -> int | None:
        """Return the feed's time now if another interval has passed without a ledger, else None."""
        now = self._clock.monotonic()
        if self._slept(now):
            self._since = max(self._since, now - self._pull)
        silent = int(now - self._since)
        if silent < self._next:
            return None
        self._next = silent - silent % self._interval + self._interval
        return self._close_time + silent

    def _slept(self, now: float) -> bool:
        unseen, self._looked = now - self._looked, now
        return unseen > max(ASLEEP_SECONDS, self._pull)


class Countdown:
    """Patience of `limit_seconds` of `clock` from `begin` on; with 0 none at all."""

    def __init__(self, clock: Clock, limit_seconds: int) -> None:
        self._clock = clock
        self._limit = limit_seconds
        self._since = 0.0

    def begin(self) -> None:
        """What is waited for begins now."""
        self._since = self._clock.monotonic()

    def wait(self, seconds: float) -> None:
        """Wait that long."""
        self._clock.sleep(seconds)

    def spent(self) -> bool:
        """Return True once it has lasted too long."""
        return self._clock.monotonic() - self._since >= self._limit


def iso(moment: datetime) -> str:
    """Return `moment` as UTC ISO-8601 with milliseconds, e.g. 2026-11-20T20:37:00.125Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
