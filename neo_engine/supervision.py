"""Looks after the session's other threads: one that has died or only fails is started again, within limits.

The loop asks each part once a round, which costs a look at a flag. A part is started again RESTARTS_MAX times
in a session; what fails then fails for a reason that no restart mends, and the session ends with the part's
own halt reason. Threads that the loop hears from anyway are no parts: a gateway or a reader of a recording
that ends by a defect says so in the feed, and an alert that cannot be sent must never end a session.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from neo_engine.domain.halt import Halt
from neo_engine.event_log import say
from neo_engine.ports import Part

RESTARTS_MAX = 3


class Supervision:
    """See the module."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self.restarts: Counter[str] = Counter()

    def look(self) -> Halt | None:
        """Start again what has failed; return the halt when that was tried often enough."""
        for part in self._parts:
            why = part.failure()
            if not why:
                continue
            tried = self.restarts[part.name]
            if tried >= RESTARTS_MAX:
                return Halt(reason=part.reason, detail=f"{part.name}: {why}, started again {tried} times")
            self.restarts[part.name] += 1
            say.error(
                "part_restarted",
                "{}: {}; started again ({restart} of {restarts_max})",
                part.name,
                why,
                restart=tried + 1,
                restarts_max=RESTARTS_MAX,
            )
            part.restart()
        return None
