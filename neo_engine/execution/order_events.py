"""What one ledger made of our orders, noted in order: the part that paper and live have in common."""

from __future__ import annotations

from decimal import Decimal

from neo_engine.domain.fills import Fill
from neo_engine.domain.number import ZERO
from neo_engine.domain.orders import OrderStatus, OrderUpdate, TransactionOutcome

DUST_DROPS = 1  # a rest that the ledger's own rounding leaves of an order filled whole


class OrderEvents:
    """Fills, changes of orders and outcomes of transactions of one ledger."""

    def __init__(self, ledger_index: int) -> None:
        self.ledger_index = ledger_index
        self.fills: list[Fill] = []
        self.updates: list[OrderUpdate] = []
        self.transactions: list[TransactionOutcome] = []

    def closed(self, order_id: int, status: OrderStatus, sequence: int | None, reason: str | None) -> None:
        """Note that nothing of an order stands any more."""
        self._note(order_id, status, sequence, (0, ZERO), reason)

    def stands(
        self,
        order_id: int,
        *,
        filled: bool,
        sequence: int,
        left: tuple[int, Decimal],
        reason: str | None = None,
    ) -> None:
        """Note that an order stands; left: drops and token of its offer; filled: it has traded before.

        reason: the result with which the replace or cancel that was to take it away came to nothing.
        """
        status = OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.OPEN
        self._note(order_id, status, sequence, left, reason)

    def _note(
        self,
        order_id: int,
        status: OrderStatus,
        sequence: int | None,
        left: tuple[int, Decimal],
        reason: str | None,
    ) -> None:
        self.updates.append(
            OrderUpdate(
                order_id=order_id,
                status=status,
                remaining_base_drops=left[0],
                remaining_quote=left[1],
                offer_sequence=sequence,
                reason=reason,
                ledger_index=self.ledger_index,
            )
        )
