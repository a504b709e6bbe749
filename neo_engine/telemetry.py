"""Distance to touch, rolled up: the diagnostic of each tick for engine_state and the summary.

Behind the touch is negative, at it zero, inside it positive (domain.records.Touch). The share within
2 bps counts distances of -2 or better.
"""

from __future__ import annotations

from collections import deque
from copy import copy
from decimal import Decimal

from neo_engine.domain.number import plain
from neo_engine.domain.records import Touch

WINDOW_TICKS = 100  # about eight minutes of ledgers
WITHIN_BPS = Decimal(-2)
_CENT = Decimal("0.0001")


class _SideTouch:
    def __init__(self) -> None:
        self.recent: deque[Decimal | None] = deque(maxlen=WINDOW_TICKS)
        self.recent_sum = Decimal(0)
        self.recent_count = 0
        self.recent_within = 0
        self.count = 0
        self.within = 0

    def add(self, distance: Decimal | None) -> None:
        if len(self.recent) == WINDOW_TICKS:
            old = self.recent[0]
            if old is not None:
                self.recent_sum -= old
                self.recent_count -= 1
                self.recent_within -= old >= WITHIN_BPS
        if distance is not None:
            distance = distance.quantize(_CENT)
            self.recent_sum += distance
            self.recent_count += 1
            self.count += 1
            if distance >= WITHIN_BPS:
                self.recent_within += 1
                self.within += 1
        self.recent.append(distance)

    def copy(self) -> _SideTouch:
        twin = copy(self)
        twin.recent = self.recent.copy()
        return twin

    def rolling(self) -> str:
        """Return `quoted/within/mean` of the window as compact JSON fields."""
        mean = plain((self.recent_sum / self.recent_count).quantize(_CENT)) if self.recent_count else ""
        return f'{{"quoted":{self.recent_count},"within_2bps":{self.recent_within},"mean_bps":"{mean}"}}'


class TouchTelemetry:
    """Counts of one session, and of its last WINDOW_TICKS ticks."""

    def __init__(self) -> None:
        self.bid = _SideTouch()
        self.ask = _SideTouch()

    def with_tick(self, touch: Touch) -> TouchTelemetry:
        """Return the counts with one tick more; these stay as they are, in case it cannot be stored."""
        more = TouchTelemetry()
        more.bid, more.ask = self.bid.copy(), self.ask.copy()
        more.add(touch)
        return more

    def add(self, touch: Touch) -> None:
        """Count one tick."""
        self.bid.add(touch.bid_bps)
        self.ask.add(touch.ask_bps)

    def rolling_json(self) -> str:
        """Return the window's figures as JSON text for engine_state."""
        return f'{{"bid":{self.bid.rolling()},"ask":{self.ask.rolling()}}}'

    def summary(self) -> dict[str, int]:
        """Return the session's counts for its summary."""
        return {
            "bid_ticks": self.bid.count,
            "bid_within_2bps": self.bid.within,
            "ask_ticks": self.ask.count,
            "ask_within_2bps": self.ask.within,
        }
