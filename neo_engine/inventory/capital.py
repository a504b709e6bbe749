"""The capital overlay: money that enters or leaves without a trade.

An XRP event is valued at the mark of its moment: it is the same as its value in RLUSD brought in (or
taken out) and traded for XRP at the mark. So a deposit enters the cost basis at the mark, and a
withdrawal releases its share of the basis at average cost and realises the difference to the mark.
An RLUSD event is at 1. `CapitalRecord.mark` is that number: RLUSD per unit of what moved, so net
capital is the sum of sign x amount x mark over the applied records.

An XRP event before any mark is known waits, and so do both halves of the opening, together: until the
first mark the inventory is empty rather than half there. Nothing is lost by it, for no quote, and so
no fill, can exist without a price. If an offer of an earlier session is filled before there is a
mid, that fill's price is a mark: `first_mark`.

Refusals are values: a withdrawal beyond what is available, a malformed event, each with its numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from neo_engine.domain.capital import CapitalEvent, CapitalKind
from neo_engine.domain.errors import InvariantViolation
from neo_engine.domain.fills import Fill
from neo_engine.domain.number import EXACT, ONE, plain, xrp_from_drops
from neo_engine.domain.records import CapitalRecord
from neo_engine.inventory.funding import Available
from neo_engine.inventory.ledger import Inventory, revalued
from neo_engine.inventory.pnl import value_at


class CapitalResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of several events: the inventory, the records to store, and those still waiting."""

    inventory: Inventory
    records: tuple[CapitalRecord, ...]
    waiting: tuple[CapitalEvent, ...]


def first_mark(mark: Decimal | None, fills: Sequence[Fill]) -> Decimal | None:
    """Return `mark`, or the price of the first fill that traded XRP when there is no mark yet."""
    if mark is not None:
        return mark
    return next((fill.price for fill in fills if fill.base_drops > 0), None)


def waits_for_mark(event: CapitalEvent, mark: Decimal | None) -> bool:
    """Say whether the event cannot be valued yet: no mark, and it is XRP, of the opening or observed."""
    whole = event.kind is CapitalKind.OPENING or event.observed
    return mark is None and (event.base_drops > 0 or whole)


def _malformed(event: CapitalEvent) -> str | None:
    if not event.quote.is_finite():
        return f"the RLUSD amount {event.quote} is no finite number"
    if event.base_drops < 0 or event.quote < 0 or (event.base_drops > 0) == (event.quote > 0):
        return (
            f"{event.base_drops} drops and {plain(event.quote)} RLUSD: exactly one amount must be positive, "
            "the other zero"
        )
    return None


def _refusal(event: CapitalEvent, available: Available) -> str | None:
    """Return why the event cannot be applied, or None."""
    fault = _malformed(event)
    if fault is not None or event.observed or event.kind is not CapitalKind.WITHDRAWAL:
        return fault
    if event.base_drops > available.base_drops:
        return (
            f"{plain(xrp_from_drops(event.base_drops))} XRP asked, "
            f"{plain(xrp_from_drops(available.base_drops))} XRP "
            "available after reserves and inventory.xrp_buffer: withdraw at most that"
        )
    if event.quote > available.quote:
        return (
            f"{plain(event.quote)} RLUSD asked, {plain(available.quote)} RLUSD available: "
            "withdraw at most that"
        )
    return None


def apply_capital(
    inventory: Inventory, event: CapitalEvent, mark: Decimal | None, available: Available
) -> tuple[Inventory, CapitalRecord | None]:
    """Return the inventory after `event` and its record; None when it waits or was answered before.

    available: what a withdrawal may take (`funding.available`). mark: RLUSD per XRP.
    Raises InvariantViolation for a mark that is no positive number.
    """
    if event.request_id in inventory.capital_requests:
        return inventory, None
    if mark is not None and not (mark.is_finite() and mark > 0):
        raise InvariantViolation(f"capital event {event.request_id}: the mark {mark} is no positive number")
    refusal = _refusal(event, available)
    if refusal is None and waits_for_mark(event, mark):
        return inventory, None
    requests = inventory.capital_requests | {event.request_id}
    unit = ONE if event.base_drops == 0 else mark
    if refusal is not None or unit is None:
        record = CapitalRecord(event=event, applied=False, mark=unit, reason=refusal)
        return replace(inventory, capital_requests=requests), record
    base_change = event.sign * event.base_drops
    quote_change = event.quote.copy_negate() if event.sign < 0 else event.quote
    worth = value_at(base_change, unit)
    cost_basis, realised = revalued(inventory, base_change, worth.copy_negate())
    after = replace(
        inventory,
        overlay_base_drops=inventory.overlay_base_drops + base_change,
        overlay_quote=EXACT.add(inventory.overlay_quote, quote_change),
        cost_basis=cost_basis,
        realised=realised,
        net_capital=EXACT.add(inventory.net_capital, EXACT.add(worth, quote_change)),
        capital_requests=requests,
    )
    return after, CapitalRecord(event=event, applied=True, mark=unit, reason=None)


def apply_events(
    inventory: Inventory, events: Sequence[CapitalEvent], mark: Decimal | None, available: Available
) -> CapitalResult:
    """Apply `events` in order; each withdrawal takes from what the next may take.

    A deposit does not add to it: the money counts as there when the ledger shows it.
    """
    records: list[CapitalRecord] = []
    waiting: list[CapitalEvent] = []
    for event in events:
        known = event.request_id in inventory.capital_requests
        inventory, record = apply_capital(inventory, event, mark, available)
        if record is not None:
            records.append(record)
            if record.applied and event.kind is CapitalKind.WITHDRAWAL and not event.observed:
                available = Available(
                    base_drops=available.base_drops - event.base_drops,
                    quote=EXACT.subtract(available.quote, event.quote),
                )
        elif not known:
            waiting.append(event)
    return CapitalResult(inventory=inventory, records=tuple(records), waiting=tuple(waiting))
