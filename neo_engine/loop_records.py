"""The rows of a tick, from what it saw and decided, and what the loop counts while it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from neo_engine.domain.orders import Order, PreparedTransaction
from neo_engine.domain.records import IntentRecord
from neo_engine.fingerprint import START
from neo_engine.tick import Decision, Observation


@dataclass(slots=True)
class Progress:
    """What the loop counts while it runs."""

    fingerprint: bytes = START
    ledgers: int = 0
    fills: int = 0
    faults: int = 0
    first_ledger: int | None = None
    last_ledger: int | None = None
    last_close_time: int = 0


def intent_record(
    seen: Observation,
    decision: Decision,
    *,
    prepared: tuple[PreparedTransaction, ...],
    numbered: Sequence[Order],
    adopted: Sequence[Order],
    state: Mapping[str, str],
    fingerprint: bytes,
) -> IntentRecord:
    """Return all of a tick that must be on disk before its transactions are sent.

    numbered: orders as they are once `prepared` is on disk. adopted: orders of earlier sessions that have no
    row yet. state: rows of `engine_state`.
    """
    new = {order.order_id: order for order in (*decision.new_orders, *adopted)}
    changed = {order.order_id: order for order in decision.changed_orders}
    for order in numbered:
        (new if order.order_id in new else changed)[order.order_id] = order
    report = seen.report
    return IntentRecord(
        tick=decision.state.tick,
        kind=seen.kind,
        ledger_index=seen.ledger_index,
        close_time=seen.close_time,
        snapshot=report.snapshot if report else None,
        transactions=report.transactions if report else (),
        fills=decision.fills,
        inventory=decision.inventory,
        capital=decision.capital,
        faults=seen.faults,
        findings=decision.findings,
        pricing=decision.pricing,
        gates=decision.gates,
        quotes=decision.quotes,
        quoting=decision.quoting,
        touch=decision.touch,
        accounts=decision.accounts,
        new_orders=tuple(new.values()),
        changed_orders=tuple(changed.values()),
        replaces=decision.replaces,
        prepared=prepared,
        canceled=decision.canceled,
        kept=decision.kept,
        state=state,
        fingerprint=fingerprint,
        readings=decision.readings,
    )
