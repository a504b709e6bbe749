"""What we have asked of one server, kept beyond its connections: the server does not forget either.

The rules are those of `domain/request_cost.py`; here they get a clock. Written by the loop's thread alone;
`left` may be read from any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from neo_engine.domain.request_cost import RequestBudget
from neo_engine.xrpl.replies import LOAD, SLOW_DOWN

CLIO_WARNING = 2001  # the id of the warning that each answer of a Clio server carries (xrpl.org, Warnings)


class Spending:
    """The budget of one endpoint. clock: seconds, never back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._budget = RequestBudget()

    @property
    def _now(self) -> int:
        return int(self._clock() * 1_000)

    @property
    def left(self) -> Decimal:
        """How much the server still takes before it complains, in percent."""
        return self._budget.left(self._now)

    def sent(self, cost: int) -> None:
        """Note a request that is sent."""
        self._budget = self._budget.sent(cost, self._now)

    def refused(self, cost: int) -> None:
        """Note that a request of this cost was answered with an error."""
        self._budget = self._budget.refused(cost, self._now)

    def heard(self, warning: str | None, error: str, reply: Mapping[str, Any]) -> None:
        """Note an answer: its complaint if it has one, and which kind of server gave it."""
        if error == SLOW_DOWN:
            self._budget = self._budget.slowed(self._now)
        elif warning == LOAD:
            self._budget = self._budget.warned(self._now)
        self._answered(reply)

    def dropped(self) -> None:
        """Note that the server closed the connection for load."""
        self._budget = self._budget.dropped(self._now)

    def _answered(self, reply: Mapping[str, Any]) -> None:
        """Take in which kind of server an answer is of; an error is of either kind."""
        if reply.get("status") == "success":
            told = reply.get("warnings")
            warnings = told if isinstance(told, list) else []
            clio = any(isinstance(one, dict) and one.get("id") == CLIO_WARNING for one in warnings)
            self._budget = self._budget.answered(clio=clio)

    def pinged(self, result: Mapping[str, Any]) -> None:
        """Note whether the server charges us at all (xrpl.org, ping: `unlimited`)."""
        self._budget = replace(self._budget, unlimited=result.get("unlimited") is True)
