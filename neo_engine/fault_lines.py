"""The log's lines about feed faults: of each kind one a minute, so that a broken server cannot fill it.

Every fault is a row of its tick all the same (`feed_faults`); only the log is spared.
"""

from __future__ import annotations

from collections import Counter

from neo_engine.domain.ledger import LedgerFault
from neo_engine.event_log import say

EVERY_SECONDS = 60  # of the feed's time


class FaultLines:
    """See the module."""

    def __init__(self) -> None:
        self._told: dict[str, int] = {}
        self._held: Counter[str] = Counter()

    def tell(self, fault: LedgerFault, now: int) -> None:
        """Log a fault, or count it; now: the feed's time in seconds."""
        kind = fault.kind.value
        told = self._told.get(kind)
        if told is not None and now - told < EVERY_SECONDS:
            self._held[kind] += 1
            return
        self._told[kind] = now
        held = self._held.pop(kind, 0)
        more = f" (and {held} more of this kind since the last line)" if held else ""
        say.warning(
            "feed_fault",
            "feed fault {} at line {line}: {}{}",
            kind,
            fault.text,
            more,
            line=fault.line,
            held_back=held,
        )
