"""A transaction of ours between its signature and its final result: what the submitter keeps of it."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from neo_engine.domain.headroom import Headroom, slots_left
from neo_engine.domain.orders import NO_ORDER, PreparedTransaction, TransactionKind
from neo_engine.execution.answers import Step
from neo_engine.execution.transactions import Place

NOT_SENT = "notSent"
APPLIED_LEDGERS = 2  # the ledger that closes while one is sent, and the one it is in; later it may be queued


class Pending(msgspec.Struct, kw_only=True):
    """A transaction whose fate is open. removes: sequence of the offer it takes away.

    submitted: handed over to be sent. exposed: a server may have kept it. applied: an open ledger had it.
    resend: False for one of an earlier session, whose quotes are not wanted any more.
    """

    tx_hash: str
    blob: str
    place: Place
    first_ledger: int
    order: PreparedTransaction
    removes: int | None
    submitted: bool = False
    exposed: bool = False
    applied: bool = False
    resend: bool = True
    step: Step = Step.WAIT
    code: str = NOT_SENT

    @property
    def creates(self) -> bool:
        """True if it places an offer."""
        return self.order.kind in (TransactionKind.CREATE, TransactionKind.REPLACE)


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What a transaction is about, as `PreparedTransaction` and `Pending` have it."""

    kind: TransactionKind
    order_id: int = NO_ORDER
    replaces: int | None = None
    removes: int | None = None
    tickets: int = 0


UPKEEP = About(kind=TransactionKind.UPKEEP)


def headroom_of(
    pending: Iterable[Pending], ledger_index: int, *, requests: Decimal, fees: Decimal
) -> Headroom:
    """Return what is left after a validated ledger; requests, fees: percent of theirs.

    A queue slot is held by each number on its way that no open ledger has, or had so long ago that a ledger
    should have it; what withdraws a quote takes that one's slot (rippled TxQ: a replacement, same number).
    """
    held = {
        (one.place.number, one.place.ticket)
        for one in pending
        if not one.applied or ledger_index > one.first_ledger + APPLIED_LEDGERS
    }
    return Headroom(requests=requests, slots=slots_left(len(held)), fees=fees)
