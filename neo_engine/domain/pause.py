"""The operator's order to quote on one side only, or not at all, without ending the session."""

from __future__ import annotations

import msgspec


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """What is closed, and by whom. side: `both`, `bid` or `ask`. at: UTC ISO-8601, or `unknown`."""

    side: str
    by: str
    at: str
    reason: str

    @property
    def told(self) -> str:
        """Who, when and why, as one line."""
        return f"{self.by}, {self.at}: {self.reason}"
