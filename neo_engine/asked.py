"""What was asked of a running session from outside: kill, pause, capital, signals.

It is taken in one place (`listen`), so that a tick sees one state of it.
"""

from __future__ import annotations

from neo_engine.domain.capital import CapitalEvent
from neo_engine.domain.halt import Halt, HaltReason
from neo_engine.domain.pause import Pause
from neo_engine.event_log import say
from neo_engine.ports import Control, KillRequest, PauseRequest, Signals
from neo_engine.session import pause_told


class Asked:
    """See the module. waiting: capital events that no tick has taken yet. known: ids of those once taken."""

    def __init__(self, control: Control, signals: Signals) -> None:
        self._control = control
        self._signals = signals
        self.kill: KillRequest | None = None
        self.signal: Halt | None = None
        self.pause: Pause | None = None
        self.waiting: list[CapitalEvent] = []
        self.known: set[str] = set()

    def listen(self) -> None:
        """Take what was asked since the last time."""
        if self._signals.reason is not None:
            self.signal = Halt(reason=self._signals.reason, detail=f"signal {self._signals.name}")
        for request in self._control.poll():
            if isinstance(request, KillRequest):
                self.kill = self.kill or request
            elif isinstance(request, PauseRequest):
                self.pause = request.pause
                say.warning("pause_changed", "{}", pause_told(request.pause))
            elif request.request_id in self.known:
                self._control.done(request)  # asked twice, or a crash came between its effect and this
            else:
                self.waiting.append(request)

    @property
    def stop(self) -> Halt | None:
        """The stop that was asked for; a kill goes before a signal."""
        if self.kill is not None:
            return Halt(reason=HaltReason.KILL_SWITCH, detail=f"{self.kill.source}: {self.kill.reason}")
        return self.signal

    def hurried(self) -> str:
        """Listen; return why an outage of the database is waited out no longer, "" to go on."""
        self.listen()
        if self.kill is not None:
            return f"the kill switch was pulled ({self.kill.source}: {self.kill.reason})"
        return f"a second signal came after {self._signals.name}" if self._signals.hurry else ""

    def take_capital(self) -> tuple[CapitalEvent, ...]:
        """Return the capital events that wait, which are the caller's now."""
        taken = tuple(self.waiting)
        self.waiting.clear()
        return taken
