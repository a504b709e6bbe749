"""Signals as flags: a handler only notes what came; the main loop acts between two steps.

SIGINT, SIGTERM, SIGHUP and (Windows) SIGBREAK end the session; SIGUSR1 (where it exists) is the kill switch.
A second signal asks to leave without waiting for the last cancels to be confirmed.
"""

from __future__ import annotations

import signal
from types import FrameType, TracebackType

from neo_engine.domain.halt import HaltReason

_REASONS = {
    "SIGINT": HaltReason.INTERRUPTED_SIGINT,
    "SIGTERM": HaltReason.INTERRUPTED_SIGTERM,
    "SIGHUP": HaltReason.INTERRUPTED_SIGTERM,  # the terminal was closed: nobody can press Ctrl-C any more
    "SIGBREAK": HaltReason.INTERRUPTED_SIGBREAK,
    "SIGUSR1": HaltReason.KILL_SWITCH,
}


class SignalFlags:
    """Context manager that takes over the signals and puts the old handlers back.

    When a signal came, the process is about to end for it: from then on all of them are ignored, so that
    an impatient second one changes neither what is printed nor the exit code.
    """

    def __init__(self) -> None:
        self.reason: HaltReason | None = None
        self.name = ""
        self.count = 0
        self._old: dict[int, object] = {}

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self.reason is None:
            self.name = signal.Signals(number).name
            self.reason = _REASONS[self.name]

    @property
    def hurry(self) -> bool:
        """True once a second signal came."""
        return self.count > 1

    def __enter__(self) -> SignalFlags:
        for name in _REASONS:
            number = getattr(signal, name, None)
            if number is not None:
                self._old[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for number, handler in self._old.items():
            signal.signal(number, signal.SIG_IGN if self.count else handler)  # type: ignore[arg-type]
        self._old.clear()
