"""Fills: what validated metadata says was traded with one of our orders (ledger-rules, Fills)."""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

import msgspec

from neo_engine.domain.assets import Side


class LiquiditySide(Enum):
    """MAKER: our resting offer was taken. TAKER: our own transaction took others' liquidity."""

    MAKER = "maker"
    TAKER = "taker"


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """One trade of ours in one transaction, keyed by (ledger_index, transaction_index, node).

    base_drops, quote: traded amounts, both positive; `side` tells the direction. quote is the
    offer's own delta and makes the price. quote_balance_delta is by how much our trust line really
    moved (positive in, negative out): the line is rounded to 16 digits at each change, so it may
    differ from +-quote by one unit in the last place; the difference is `rounding`.
    node: ledger index of the offer touched (maker) or the word `taker`.
    """

    order_id: int
    ledger_index: int
    close_time: int
    transaction_index: int
    node: str
    tx_hash: str
    side: Side
    liquidity: LiquiditySide
    base_drops: int
    quote: Decimal
    quote_balance_delta: Decimal
    rounding: Decimal
    offer_sequence: int

    @property
    def key(self) -> tuple[int, int, str]:
        """What makes the fill unique: a replay of the same event changes nothing."""
        return (self.ledger_index, self.transaction_index, self.node)

    @property
    def price(self) -> Decimal:
        """RLUSD per XRP."""
        return self.quote * 1_000_000 / self.base_drops
