"""Which client the server warns and which it drops: the loads of all addresses.

The costs, the thresholds and how a load fades are those of `domain/request_cost.py`. The warning is given
once a second at most and costs 4,000; a drop costs 6,000, so that coming back at once does not help. All
clients of one address share one load.

Worked example: replies of 400 reach the warning with the 400th. With that warning's 4,000 the drop at
25,000 * 32 = 800,000 comes after 1,990 replies.

>>> load = Load()
>>> seen = [number for number in range(1, 401) if load.charge("a", 400, 0) or load.warn("a", 0)]
>>> seen
[400]
"""

from __future__ import annotations

from neo_engine.domain.request_cost import (
    DROP_COST,
    DROP_THRESHOLD,
    WARNING_COST,
    WARNING_THRESHOLD,
    RequestLoad,
)

ADDRESSES_MAX = 4_096  # loads kept; the one that was touched longest ago goes first


class Load:
    """The loads of all addresses. Times are whole seconds of any steady clock."""

    def __init__(self) -> None:
        self._loads: dict[str, RequestLoad] = {}
        self._warned_at: dict[str, int] = {}

    def _add(self, address: str, cost: int, now: int) -> RequestLoad:
        """Charge an address and return its load."""
        load = self._loads.pop(address, RequestLoad(at=now)).charged(cost, now)
        self._loads[address] = load
        if len(self._loads) > ADDRESSES_MAX:
            oldest = next(iter(self._loads))
            del self._loads[oldest]
            self._warned_at.pop(oldest, None)
        return load

    def charge(self, address: str, cost: int, now: int) -> None:
        """Add a request's cost to an address."""
        self._add(address, cost, now)

    def warn(self, address: str, now: int) -> bool:
        """True if the reply has to carry the warning, which is charged for."""
        if self._add(address, 0, now).normalised < WARNING_THRESHOLD or self._warned_at.get(address) == now:
            return False
        self._warned_at[address] = now
        self._add(address, WARNING_COST, now)
        return True

    def drop(self, address: str, now: int) -> bool:
        """True if the address has used too much and is to be dropped, which is charged for."""
        if self._add(address, 0, now).normalised < DROP_THRESHOLD:
            return False
        self._add(address, DROP_COST, now)
        return True
