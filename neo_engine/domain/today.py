"""What the account's earlier sessions did on the UTC day on which a session begins. Values only."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from neo_engine.domain.number import ZERO


class Today(msgspec.Struct, frozen=True, kw_only=True):
    """fees_drops: network fees sent. pnl_rlusd: profit (loss below zero) at mark, fees in it."""

    fees_drops: int
    pnl_rlusd: Decimal


NOTHING_YET = Today(fees_drops=0, pnl_rlusd=ZERO)
