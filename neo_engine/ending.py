"""How long the end of a session may take: ledgers, seconds on a live feed, and an operator's second signal.

It begins with the first tick that only cancels. What it waits for is the venue's word on the last cancels.
"""

from __future__ import annotations

from neo_engine.config_sections import EngineConfig
from neo_engine.ports import Patience, Signals


class Ending:
    """Counts from `begin` on. patience: with `limits.shutdown_seconds`; None where no clock runs."""

    def __init__(self, limits: EngineConfig, signals: Signals, patience: Patience | None) -> None:
        self._limits = limits
        self._signals = signals
        self._patience = patience
        self._begun = False
        self._ledgers = 0

    def begin(self) -> None:
        """The session has begun to end; a second time changes nothing."""
        if not self._begun and self._patience is not None:
            self._patience.begin()
        self._begun = True

    def ledger(self) -> None:
        """Count a ledger, or an interval without one."""
        self._ledgers += self._begun

    def late(self) -> str:
        """Return why nothing is waited for any more, whatever the ledgers do; "" to go on."""
        if self._begun and self._patience is not None and self._patience.spent():
            return f"the end took longer than {self._limits.shutdown_seconds} s"
        return ""

    def over(self) -> str:
        """Return why the last cancels are not waited for any more, "" to go on."""
        if self._begun and self._signals.hurry:
            return "a second signal came"
        if self._begun and self._ledgers >= self._limits.shutdown_ledgers:
            return f"{self._ledgers} ledgers or intervals were waited for"
        return self.late()

    def left(self, orders: int) -> str:
        """Return what the end leaves undone, as its halt detail says it; orders: how many still work."""
        if not orders:
            return ""
        why = self.over()
        told = f"; {orders} orders still work, their cancels are under way or refused"
        return f"{told} ({why})" if why else told
