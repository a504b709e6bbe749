"""How fast a feed gives what it has: its own time against the clock's.

A feed's time is its ledgers' close time. At speed `real` a second of it takes a second, at a number N an
Nth of one, at `max` none.
"""

from __future__ import annotations

from typing import Protocol

from neo_engine.domain.errors import FeedError

REAL_TIME = 1.0
MAX_SPEED = None  # as fast as it can be made or read


class PaceClock(Protocol):
    """The two things pacing needs of a clock."""

    def monotonic(self) -> float:
        """Return seconds that never go backwards."""

    def sleep(self, seconds: float) -> None:
        """Wait, or pretend to."""


def parse_speed(text: str) -> float | None:
    """Return feed seconds per second for `real`, a positive number or `max` (None).

    Raises FeedError for anything else.
    """
    if text == "real":
        return REAL_TIME
    if text == "max":
        return MAX_SPEED
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise FeedError(f"--speed {text!r}: write real, max or a number above 0, e.g. 60")
    return speed


class Pace:
    """Waits until a feed's time has come. speed: its seconds per second of the clock, None for no waiting."""

    def __init__(self, speed: float | None, clock: PaceClock) -> None:
        self._speed = speed
        self._clock = clock
        self._origin_time = 0
        self._origin_clock = 0.0

    def begin(self, feed_time: int) -> None:
        """Let `feed_time` (seconds) be now."""
        self._origin_time = feed_time
        self._origin_clock = self._clock.monotonic()

    def wait_for(self, feed_time: int, timeout_seconds: float) -> bool:
        """Wait until the feed reaches `feed_time`; False if that lies beyond the timeout."""
        if self._speed is None:
            return True
        due = self._origin_clock + (feed_time - self._origin_time) / self._speed
        wait = due - self._clock.monotonic()
        if wait > timeout_seconds:
            self._clock.sleep(timeout_seconds)
            return False
        if wait > 0:
            self._clock.sleep(wait)
        return True
