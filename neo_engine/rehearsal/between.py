"""What stands between the engine and its exchange and changes nothing: the base of what watches or bends."""

from __future__ import annotations

from collections.abc import Sequence

from neo_engine.domain.capital import CapitalEvent
from neo_engine.domain.ledger import LedgerUpdate
from neo_engine.domain.orders import Command, OrderUpdate, PreparedTransaction, SubmitOutcome
from neo_engine.ports import Exchange, VenueReport


class Between:
    """An exchange that passes everything on to another."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def advance(self, update: LedgerUpdate) -> VenueReport:
        """Report the ledger as the exchange does."""
        return self._exchange.advance(update)

    def prepare(
        self, commands: Sequence[Command], ledger_index: int, *, urgent: bool = False
    ) -> tuple[PreparedTransaction, ...]:
        """Prepare as the exchange does."""
        return self._exchange.prepare(commands, ledger_index, urgent=urgent)

    def submit(self, prepared: Sequence[PreparedTransaction]) -> tuple[SubmitOutcome, ...]:
        """Send as the exchange does."""
        return self._exchange.submit(prepared)

    def withdraw(self, prepared: Sequence[PreparedTransaction]) -> None:
        """Take back as the exchange does."""
        self._exchange.withdraw(prepared)

    def transfer(self, event: CapitalEvent) -> str | None:
        """Answer as the exchange does."""
        return self._exchange.transfer(event)

    def end_of_market(self) -> tuple[OrderUpdate, ...]:
        """Answer as the exchange does."""
        return self._exchange.end_of_market()

    def close(self) -> None:
        """Close the exchange."""
        self._exchange.close()
