"""What another market says the pair is worth. Values only."""

from __future__ import annotations

from decimal import Decimal

import msgspec


class ReferencePrice(msgspec.Struct, frozen=True, kw_only=True):
    """One price of another market: of 1 XRP in what the quote token stands for (US dollars for RLUSD).

    at: when it was made, in seconds since 2000-01-01 (UTC).
    """

    price: Decimal
    at: int
