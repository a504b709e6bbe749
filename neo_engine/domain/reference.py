"""A price of the pair from outside the ledger, to compare with."""

from __future__ import annotations

from decimal import Decimal

import msgspec


class ReferencePrice(msgspec.Struct, frozen=True, kw_only=True):
    """price: RLUSD per XRP. age_ledgers: validated ledgers since it was last heard, 0 with this one."""

    price: Decimal
    age_ledgers: int
