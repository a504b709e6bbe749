"""What the gateway has for its consumer: ledgers and events in one order, a bounded number of each.

When a ledger arrived is noted as it is put in. One that waited too long (the machine slept, the consumer was
held up) is told as overtaken: a newer one exists, even if nobody has heard of it yet.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from neo_engine.xrpl.bundles import LedgerBundle

LEDGERS_MAX = 64  # four minutes of ledgers
EVENTS_MAX = 256


class EventKind(StrEnum):
    """What the gateway tells besides ledgers. The first six are the supervisor's moves."""

    CONNECTED = "connected"  # a connection is open and subscribed; the state is Stale until data flows
    HEALTHY = "healthy"
    STALE = "stale"
    RECONNECTING = "reconnecting"
    DISCONNECTED = "disconnected"
    FAILED = "failed"
    RETRY = "retry"  # an attempt to connect failed at every endpoint, the next one follows
    GAP = "gap"  # ledgers first_ledger..last_ledger cannot be had from any endpoint and are left out
    MALFORMED = "malformed"  # a frame that cannot be read was skipped
    BUSY = "busy"  # a server asked for less load; requests to it wait
    BEHIND = "behind"  # the consumer took too little; the stream was dropped and will be filled in
    READER = "reader"  # another endpoint is read now
    WRITER = "writer"  # another endpoint is written to now


class GatewayEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something besides a ledger. endpoint: its URL, empty if it concerns all."""

    kind: EventKind
    text: str
    endpoint: str = ""
    first_ledger: int = 0
    last_ledger: int = 0


class Outbox:
    """What waits for the consumer, in order; filled by the gateway's thread, emptied by any other."""

    def __init__(self, monotonic: Callable[[], float], old_seconds: float) -> None:
        """Make an empty one. old_seconds: a ledger that has waited longer is no news any more."""
        self._monotonic = monotonic
        self._old = old_seconds
        self._items: deque[LedgerBundle | GatewayEvent] = deque()
        self._arrived: deque[float] = deque()  # of each ledger in `_items`
        self._changed = threading.Condition()
        self._ledgers = 0
        self._closed = False

    @property
    def full(self) -> bool:
        """True if no further ledger may be put in."""
        return self._ledgers >= LEDGERS_MAX

    @property
    def half_empty(self) -> bool:
        """True if a consumer who was behind has caught up enough."""
        return self._ledgers <= LEDGERS_MAX // 2

    def ledger(self, bundle: LedgerBundle) -> None:
        """Put in a ledger; the caller has seen that there is room."""
        with self._changed:
            self._ledgers += 1
            self._items.append(bundle)
            self._arrived.append(self._monotonic())
            self._changed.notify()

    def event(self, event: GatewayEvent) -> None:
        """Put in an event; the oldest gives way if there are too many."""
        with self._changed:
            waiting = [item for item in self._items if isinstance(item, GatewayEvent)]
            if len(waiting) >= EVENTS_MAX:
                lesser = [item for item in waiting if item.kind is not EventKind.GAP]
                self._items.remove((lesser or waiting)[0])
            self._items.append(event)
            self._changed.notify()

    def next(self, timeout_seconds: float) -> LedgerBundle | GatewayEvent | None:
        """Return the first item; None when there is none within the time limit, or ever again."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed, timeout_seconds)
            if not self._items:
                return None
            item = self._items.popleft()
            if isinstance(item, LedgerBundle):
                self._ledgers -= 1
                waited = self._monotonic() - self._arrived.popleft()
                item = replace(item, overtaken=self._ledgers > 0 or waited > self._old)
            return item

    def close(self) -> None:
        """Wake whoever waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
