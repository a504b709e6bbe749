"""What one ledger did to the paper account, collected in order while the ledger is applied."""

from __future__ import annotations

from decimal import Decimal

from neo_engine.domain.assets import Side
from neo_engine.domain.book import BookOffer
from neo_engine.domain.fills import Fill, LiquiditySide
from neo_engine.domain.ledger import LedgerFault
from neo_engine.domain.market import MarketTrade
from neo_engine.domain.number import ZERO
from neo_engine.domain.orders import OrderStatus, OrderUpdate, TransactionOutcome
from neo_engine.execution.paper_account import PaperAccount


class LedgerEvents:
    """The events of one ledger. Fills are booked in the account as they are noted."""

    def __init__(self, ledger_index: int, close_time: int) -> None:
        self.ledger_index = ledger_index
        self.close_time = close_time
        self.transactions: list[TransactionOutcome] = []
        self.updates: list[OrderUpdate] = []
        self.fills: list[Fill] = []
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

    def closed(self, order_id: int, status: OrderStatus, sequence: int | None, reason: str | None) -> None:
        """Note that nothing of an order stands any more."""
        self.updates.append(
            OrderUpdate(
                order_id=order_id,
                status=status,
                remaining_base_drops=0,
                remaining_quote=ZERO,
                offer_sequence=sequence,
                reason=reason,
                ledger_index=self.ledger_index,
            )
        )

    def standing(self, order_id: int, filled: bool, offer: BookOffer, reason: str | None = None) -> None:
        """Note that an order stands with what its offer has left; filled: it has traded before.

        reason: the result code with which the replace or cancel that was to take it away came to nothing.
        """
        self.updates.append(
            OrderUpdate(
                order_id=order_id,
                status=OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.OPEN,
                remaining_base_drops=offer.base_drops,
                remaining_quote=offer.quote,
                offer_sequence=offer.sequence,
                reason=reason,
                ledger_index=self.ledger_index,
            )
        )
