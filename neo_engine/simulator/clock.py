"""A clock that never waits: time passes by sleeping only, and what is due on the way is done.

    clock = SimulatedClock(began=820_886_400)
    clock.after(4.0, close_a_ledger)
    clock.sleep(10.0)      # closes a ledger on the way

Deeds run in the order of their time, those of one moment in the order they were asked for; so two runs that
ask for the same deeds do them alike. A deed may ask for others, never wait itself.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from heapq import heappop, heappush

from neo_engine.domain.clock import LEDGER_EPOCH
from neo_engine.domain.errors import InvariantViolation


class SimulatedClock:
    """Implements ports.Clock. began: the moment of its start, seconds since 2000-01-01."""

    def __init__(self, began: int) -> None:
        self._began = LEDGER_EPOCH + timedelta(seconds=began)
        self._now = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._asked = 0
        self._doing = False

    def utc_now(self) -> datetime:
        """Return the simulated wall clock's time in UTC."""
        return self._began + timedelta(seconds=self._now)

    def set_wall(self, seconds: float) -> None:
        """Set the wall clock so much forward (back, if negative), as an operator or a time server does."""
        self._began += timedelta(seconds=seconds)

    def monotonic(self) -> float:
        """Return the seconds since the start."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Let that much time pass and do what is due in it."""
        until = self._now + seconds
        while self.step(until):
            pass

    def after(self, seconds: float, deed: Callable[[], None]) -> None:
        """Have something done so many seconds from now."""
        self._asked += 1
        heappush(self._due, (self._now + max(seconds, 0.0), self._asked, deed))

    def step(self, until: float) -> bool:
        """Do the next thing due by `until` and return True; with none let the time come and return False.

        Raises InvariantViolation when a deed waits.
        """
        if self._doing:
            raise InvariantViolation("simulated clock: a deed waits for time to pass")
        if not self._due or self._due[0][0] > until:
            self._now = max(self._now, until)
            return False
        when, _, deed = heappop(self._due)
        self._now = max(self._now, when)
        self._doing = True
        try:
            deed()
        finally:
            self._doing = False
        return True
