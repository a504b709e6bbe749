"""What one transaction did to one account: its fills, its offers, its money. Values only.

`xrpl/metadata.py` reads them from validated metadata; nothing else may say that we traded.
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum

import msgspec

from neo_engine.domain.assets import Side
from neo_engine.domain.fills import Fill, LiquiditySide


class OfferEvent(Enum):
    """What became of one of our offers in a transaction."""

    PLACED = "placed"
    REDUCED = "reduced"  # partly filled, the rest stands
    FILLED = "filled"  # nothing is left
    CANCELED = "canceled"  # by our OfferCancel
    REPLACED = "replaced"  # by our OfferCreate with its OfferSequence
    SELF_CROSSED = "self_crossed"  # our own new offer would have crossed it, so the ledger took it away
    EXPIRED = "expired"  # its time was over and a transaction came across it
    UNFUNDED = "unfunded"  # the ledger cleared it away: no funds, or only dust left


class OwnOffer(msgspec.Struct, frozen=True, kw_only=True):
    """One of our offers touched: base_drops and quote are what is left of it (or was, when it ended)."""

    event: OfferEvent
    index: str
    offer_sequence: int
    side: Side
    base_drops: int
    quote: Decimal
    expiration: int | None


class OwnFill(msgspec.Struct, frozen=True, kw_only=True):
    """One trade of an account, as `Fill` but not yet tied to an order of ours (see `fill_of`)."""

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

    def fill_of(self, order_id: int) -> Fill:
        """Return the fill of the order that placed the offer `offer_sequence`."""
        return Fill(
            order_id=order_id,
            ledger_index=self.ledger_index,
            close_time=self.close_time,
            transaction_index=self.transaction_index,
            node=self.node,
            tx_hash=self.tx_hash,
            side=self.side,
            liquidity=self.liquidity,
            base_drops=self.base_drops,
            quote=self.quote,
            quote_balance_delta=self.quote_balance_delta,
            rounding=self.rounding,
            offer_sequence=self.offer_sequence,
        )


class AccountEvents(msgspec.Struct, frozen=True, kw_only=True):
    """All that one transaction did to one account.

    base_delta_drops, quote_delta: by how much its balances really moved, the fee included.
    fee_drops: paid by it (0 unless it sent the transaction). paid_*: payments and pool deposits,
    positive in, negative out. rounding: token of quote_delta that neither fills nor payments
    explain; a unit or so in the last place of a 16-digit balance for each change of the line.
    dust_*: exchanged on an offer with one side below one unit: money moved, but it is no trade.
    unexplained_drops: XRP that nothing explains, and `unexplained` says whether the token's
    rounding is larger than rounding can be: either means the parser or the source is wrong.
    """

    account: str
    tx_hash: str
    transaction_index: int
    fills: tuple[OwnFill, ...]
    offers: tuple[OwnOffer, ...]
    base_delta_drops: int
    quote_delta: Decimal
    fee_drops: int
    paid_base_drops: int
    paid_quote: Decimal
    dust_base_drops: int
    dust_quote: Decimal
    rounding: Decimal
    unexplained_drops: int
    unexplained: bool
