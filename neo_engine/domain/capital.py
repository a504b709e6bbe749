"""Capital events: money that enters or leaves the account without a trade (the overlay)."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

import msgspec


class CapitalKind(Enum):
    """OPENING: the balance a session starts with. DEPOSIT and WITHDRAWAL: entered by the operator."""

    OPENING = "opening"
    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"


class CapitalEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One movement of capital; exactly one of base_drops and quote is positive, the other zero.

    request_id: who asked for it; the same id twice is the same event and changes nothing.
    created_at: UTC ISO-8601 of the request. observed: a ledger showed that it has happened, so it is never
    refused and nobody has to move anything.
    """

    request_id: str
    kind: CapitalKind
    base_drops: int
    quote: Decimal
    note: str
    created_at: str
    observed: bool = False

    @property
    def sign(self) -> int:
        """+1 for money that enters, -1 for money that leaves."""
        return -1 if self.kind is CapitalKind.WITHDRAWAL else 1
