"""What validated ledgers did to our account, as values, and the place where one ledger's are collected.

What no order of ours explains is a finding (`domain/account_findings.py`). It carries its numbers; what to do
about it (book it as a capital event, read again what was missed, halt) is decided by who receives it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import msgspec

from neo_engine.domain.account_events import AccountEvents, OfferEvent, OwnFill, OwnOffer
from neo_engine.domain.account_findings import AccountFinding, FindingKind
from neo_engine.domain.fills import Fill
from neo_engine.domain.ledger import LedgerTransaction
from neo_engine.domain.market import AccountView
from neo_engine.domain.number import ZERO, plain, xrp_from_drops
from neo_engine.domain.orders import (
    Order,
    OrderStatus,
    OrderUpdate,
    PreparedTransaction,
    TransactionKind,
    TransactionOutcome,
)
from neo_engine.execution.order_events import DUST_DROPS, OrderEvents


class InFlight(msgspec.Struct, frozen=True, kw_only=True):
    """One of our transactions that was, or may have been, sent and has no final result.

    after_ledger: the last validated ledger when it was signed: it can only be in a later one.
    ticketed: its account_sequence is a ticket's number.
    """

    prepared: PreparedTransaction
    after_ledger: int
    ticketed: bool = False


class KnownOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the account needs it. offer_sequence: None while nothing was signed for it.

    base_drops, quote: its size. filled_base_drops: traded so far.
    """

    order_id: int
    offer_sequence: int | None
    base_drops: int
    quote: Decimal
    filled_base_drops: int = 0


@dataclass(slots=True)
class OrderState:
    """An order while the ledger may still speak of it; closed: the ledger in which it ended."""

    order_id: int
    sequence: int | None
    base_drops: int
    quote: Decimal
    filled_base_drops: int
    filled_quote: Decimal
    closed: int | None = None


def known_order(order: Order) -> KnownOrder:
    """Return what the account needs of an order."""
    return KnownOrder(
        order_id=order.order_id,
        offer_sequence=order.offer_sequence,
        base_drops=order.base_drops,
        quote=order.quote,
        filled_base_drops=order.filled_base_drops,
    )


class LedgerReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became known with one call: of a ledger, or of ledgers read again.

    lapsed: in flight, unseen, and their LastLedgerSequence has passed. That proves nothing by itself: look
    them up (`recovery.prove`); they come again with every report until then. account: after ledger_index.
    """

    ledger_index: int
    fills: tuple[Fill, ...]
    order_updates: tuple[OrderUpdate, ...]
    transactions: tuple[TransactionOutcome, ...]
    lapsed: tuple[InFlight, ...]
    account: AccountView
    findings: tuple[AccountFinding, ...]


class Collected(OrderEvents):
    """The events of one call, in the order in which they are noted."""

    def __init__(self, ledger_index: int) -> None:
        super().__init__(ledger_index)
        self.findings: list[AccountFinding] = []

    def outcome(self, sent: InFlight, tx: LedgerTransaction) -> None:
        """Note the final result of one of our transactions."""
        self.transactions.append(
            TransactionOutcome(
                tx_hash=tx.tx_hash,
                order_id=sent.prepared.order_id,
                kind=sent.prepared.kind,
                result=tx.result,
                ledger_index=self.ledger_index,
                transaction_index=tx.index,
                fee_drops=tx.fee_drops,
            )
        )

    def orphan(self, fill: OwnFill) -> None:
        """Note a trade that belongs to no order of ours."""
        sign = 1 if fill.quote_balance_delta < 0 else -1
        self.findings.append(
            AccountFinding(
                kind=FindingKind.ORPHAN_FILL,
                ledger_index=fill.ledger_index,
                detail=f"offer {fill.offer_sequence}, no order of ours, traded as {fill.liquidity.value}",
                tx_hash=fill.tx_hash,
                transaction_index=fill.transaction_index,
                base_drops=sign * fill.base_drops,
                quote=fill.quote_balance_delta,
                offer_sequence=fill.offer_sequence,
            )
        )

    def found(
        self,
        kind: FindingKind,
        tx: LedgerTransaction,
        detail: str,
        *,
        moved: tuple[int, Decimal] = (0, ZERO),
        fee_drops: int = 0,
        ledgers: tuple[int, int] = (0, 0),
        offer_sequence: int | None = None,
        active: bool = True,
    ) -> None:
        """Note a finding of one transaction; moved: drops and token, positive in."""
        self.findings.append(
            AccountFinding(
                kind=kind,
                ledger_index=self.ledger_index,
                detail=detail,
                tx_hash=tx.tx_hash,
                transaction_index=tx.index,
                base_drops=moved[0],
                quote=moved[1],
                fee_drops=fee_drops,
                first_ledger=ledgers[0],
                last_ledger=ledgers[1],
                offer_sequence=offer_sequence,
                active=active,
            )
        )


def creates(sent: InFlight) -> bool:
    """True if the transaction places an order (a create or a replace)."""
    return sent.prepared.kind in (TransactionKind.CREATE, TransactionKind.REPLACE)


def kind_of_payment(tx: LedgerTransaction, base_drops: int, quote: Decimal) -> FindingKind:
    """Return what a movement of money without a trade is called."""
    if tx.kind in ("Clawback", "AMMClawback"):
        return FindingKind.CLAWBACK
    if tx.kind.startswith("AMM"):
        return FindingKind.POOL
    return FindingKind.PAID_IN if base_drops > 0 or (not base_drops and quote > 0) else FindingKind.PAID_OUT


def end_of(offer: OwnOffer, events: AccountEvents, sent: InFlight | None) -> tuple[OrderStatus, str | None]:
    """Return how an order ended whose offer went away, and why."""
    if offer.event is OfferEvent.REPLACED and sent is not None:
        return OrderStatus.CANCELED, f"replaced by order {sent.prepared.order_id}"
    if offer.event is OfferEvent.EXPIRED:
        return OrderStatus.EXPIRED, "expired"
    if any(fill.node == offer.index for fill in events.fills):
        if offer.base_drops <= DUST_DROPS:
            return OrderStatus.FILLED, None
        return OrderStatus.CANCELED, (
            f"removed by the ledger with {plain(xrp_from_drops(offer.base_drops))} XRP unfilled"
        )
    if offer.event is OfferEvent.FILLED:
        return OrderStatus.FILLED, None
    return OrderStatus.CANCELED, offer.event.value
