"""What a live session does to the latch of its database (domain.kill): reads it, heeds it, adds to it.

Its text goes to disk with the tick that halts, in that tick's own transaction, and once more with the end of
the session: a process that is killed between the two leaves it behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from neo_engine.domain.errors import StartupFailure
from neo_engine.domain.halt import Halt
from neo_engine.domain.kill import (
    LATCH_KEY,
    KillReason,
    Latch,
    add,
    from_json,
    in_force,
    opened,
    to_json,
    until,
)
from neo_engine.domain.severity import Reading, Severity
from neo_engine.event_log import say
from neo_engine.ops.clock import iso
from neo_engine.ports import Clock
from neo_engine.risk.monitors import MONITORS

PASSING = frozenset({"position_velocity"})  # a position that ran away stands still once nothing is quoted
_REASONS = {one.name: one.halt for one in MONITORS if one.halt is not None and one.name not in PASSING}


class SessionLatch:
    """The latch while one live session runs."""

    def __init__(self, state: Mapping[str, str], clock: Clock) -> None:
        """state: engine_state. A latch that is no longer in force is opened, with a warning."""
        self._clock = clock
        now = clock.utc_now()
        self.latch = from_json(state.get(LATCH_KEY, ""), now)
        self._noted: set[Halt] = set()
        if self.latch.reasons and not in_force(self.latch, now):
            say.warning(
                "kill_latch_expired",
                "kill switch: ignored, its newest reason is too old: {}",
                told(self.latch),
            )
            self.latch = opened(self.latch)

    def note(self, stop: Halt | None, readings: Iterable[Reading] = ()) -> None:
        """Add what latches: why the session is asked to stop, and each monitor that has begun to kill.

        Also when it stops for another reason already. The same halt again changes nothing.
        """
        halts = [] if stop is None else [stop]
        for one in readings:
            reason = _REASONS.get(one.monitor)
            if reason is not None and one.severity is Severity.KILL:
                halts.append(Halt(reason=reason, detail=f"monitor {one.monitor}: {one.detail}"))
        for halt in halts:
            if halt not in self._noted:
                self._noted.add(halt)
                at = self._clock.utc_now()
                self.latch = add(self.latch, KillReason(reason=halt.reason, detail=halt.detail, at=at))

    def rows(self) -> dict[str, str]:
        """Return what belongs into engine_state: nothing while the database never had a latch."""
        return {LATCH_KEY: to_json(self.latch)} if self.latch.number else {}


class NoLatch:
    """Of a session that risks no money: it latches nothing."""

    def note(self, stop: Halt | None, readings: Iterable[Reading] = ()) -> None:
        """Keep nothing."""

    def rows(self) -> dict[str, str]:
        """Return nothing to store."""
        return {}


NO_LATCH = NoLatch()


def told(latch: Latch) -> str:
    """Return every reason with its time and numbers, oldest first."""
    return "; ".join(f"{one.reason.value} at {iso(one.at)} ({one.detail})" for one in latch.reasons)


def check_latch(state: Mapping[str, str], now: datetime, db: Path) -> None:
    """Raise StartupFailure while the latch of the database is in force. state: engine_state."""
    latch = from_json(state.get(LATCH_KEY, ""), now)
    end = until(latch)
    if end is not None and in_force(latch, now):
        raise StartupFailure(
            f"the kill switch is in force until {iso(end)}: {told(latch)}. Look with `python -m neo_engine "
            f"kill --show --db {db}`, then `python -m neo_engine kill --reset --db {db} "
            f"--seen {latch.number} --reason TEXT`; `flatten` cancels offers even so"
        )
