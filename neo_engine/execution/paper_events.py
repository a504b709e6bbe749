"""What one ledger did to the paper account, collected in order while the ledger is applied."""

from __future__ import annotations

from decimal import Decimal

from neo_engine.domain.assets import Side
from neo_engine.domain.book import BookOffer
from neo_engine.domain.fills import Fill, LiquiditySide
from neo_engine.domain.ledger import LedgerFault
from neo_engine.domain.market import MarketTrade
from neo_engine.execution.order_events import OrderEvents
from neo_engine.execution.paper_account import PaperAccount


class LedgerEvents(OrderEvents):
    """The events of one ledger. Fills are booked in the account as they are noted."""

    def __init__(self, ledger_index: int, close_time: int) -> None:
        super().__init__(ledger_index)
        self.close_time = close_time
        self.trades: list[MarketTrade] = []
        self.faults: list[LedgerFault] = []

    def fill(
        self,
        account: PaperAccount,
        order_id: int,
        *,
        side: Side,
        liquidity: LiquiditySide,
        sequence: int,
        node: str,
        transaction: tuple[str, int],
        amounts: tuple[int, Decimal],
    ) -> None:
        """Book a trade of ours: transaction is (hash, index), amounts (drops, RLUSD), both positive."""
        base_drops, quote = amounts
        moved = account.trade(side, base_drops, quote)
        self.fills.append(
            Fill(
                order_id=order_id,
                ledger_index=self.ledger_index,
                close_time=self.close_time,
                transaction_index=transaction[1],
                node=node,
                tx_hash=transaction[0],
                side=side,
                liquidity=liquidity,
                base_drops=base_drops,
                quote=quote,
                quote_balance_delta=moved,
                rounding=moved - (-quote if side is Side.BUY else quote),
                offer_sequence=sequence,
            )
        )

    def standing(self, order_id: int, filled: bool, offer: BookOffer, reason: str | None = None) -> None:
        """Note that an order stands with what its offer has left, see `stands`."""
        left = offer.base_drops, offer.quote
        self.stands(order_id, filled=filled, sequence=offer.sequence, left=left, reason=reason)
