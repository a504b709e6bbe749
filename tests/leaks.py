"""Every test gives back what it opened: descriptors and threads are counted before and after it.

pytest itself turns a ResourceWarning into a failure (`filterwarnings = error`), but it is only given when the
collector finds an object that was never closed; an object that something still holds on to, a descriptor from
`os.open` and a thread give none.
"""

from __future__ import annotations

import gc
import threading
import time
from pathlib import Path

DESCRIPTORS = Path("/proc/self/fd")  # Linux only; elsewhere threads alone are counted
KEPT_BY_A_LIBRARY = ("/matplotlib/mpl-data/fonts/",)  # its fonts, opened once in a process
PATIENCE_SECONDS = 5.0  # a server that was told to end may still be about it
PAUSE_SECONDS = 0.01


def open_descriptors() -> dict[str, str]:
    """Return the process's open descriptors and what each stands for; empty where the system does not say."""
    found: dict[str, str] = {}
    if not DESCRIPTORS.is_dir():
        return found
    for entry in DESCRIPTORS.iterdir():
        try:
            found[entry.name] = str(entry.readlink())
        except FileNotFoundError:
            continue  # the descriptor of this very listing
    return found


def live_threads() -> set[threading.Thread]:
    """Return the threads that run."""
    return set(threading.enumerate())


class Before:
    """What was open before a test."""

    def __init__(self) -> None:
        self._descriptors = open_descriptors()
        self._threads = live_threads()

    def left(self) -> list[str]:
        """Return what was opened since and is still there, at once."""
        opened = [
            f"descriptor {number}: {what}"
            for number, what in open_descriptors().items()
            if self._descriptors.get(number) != what and not any(part in what for part in KEPT_BY_A_LIBRARY)
        ]
        return opened + [f"thread {one.name}" for one in live_threads() - self._threads]

    def leaked(self, patience_seconds: float = PATIENCE_SECONDS) -> list[str]:
        """Return what is left once the collector ran and threads that are ending had their time."""
        if not self.left():
            return []
        gc.collect()
        limit = time.monotonic() + patience_seconds
        while (left := self.left()) and time.monotonic() < limit:
            time.sleep(PAUSE_SECONDS)
        return left
