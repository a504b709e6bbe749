"""The RECONCILER: our orders and balances against the venue's word, finding by finding.

What is unambiguous is repaired, at most `reconciler.max_repairs` times a session; what is ambiguous, or
smells of a fill we did not see, halts with `reconciler_halt` and its numbers. The balances decide which
is which: XRP equal to the drop and RLUSD to the last digit prove that no fill was missed, so an order
that is gone then ended without one.

    finding              what is seen                                             answer
    landed               past its LastLedgerSequence, and on the exchange         it works
    ghost                past its LastLedgerSequence, not there, sequence unused  REJECTED
    filled               not there, filled whole by fills                         FILLED
    cancelled            not there, its cancel was on the way                     CANCELED
    expired              not there or dead there, past its expiration             EXPIRED
    vanished             not there, balances agree                                CANCELED
    cancel_lost          there, LastLedgerSequence of its cancel has passed       it works again
    amount_mismatch      there with other amounts; size less fills agrees         the venue's amounts
    amount_mismatch      there with amounts that fills do not explain             halt
    unexplained          not there, balances differ                               halt
    orphan               on the exchange, unknown to us                           halt
    sequence_ambiguity   two for one sequence, or one that cannot be              halt
    balance_mismatch     XRP not exact in drops, RLUSD not exact                  halt
    repairs_exhausted    more repairs than allowed                                halt

An order in flight is not judged before its LastLedgerSequence has passed, but its offer
is known and no orphan. An expired offer cannot fill, so it is nobody's orphan either (2.5).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from neo_engine.config import Config
from neo_engine.domain.halt import Halt, HaltReason
from neo_engine.domain.market import AccountView, VenueOffer
from neo_engine.domain.number import EXACT, plain, xrp_from_drops
from neo_engine.domain.orders import Order, OrderStatus
from neo_engine.domain.records import Accounts, Finding
from neo_engine.execution.tracking import (
    DUST_DROPS_PER_FILL,
    Orders,
    amended,
    closed_as,
    fault,
    moved,
    resting_status,
)

_IN_FLIGHT = frozenset({OrderStatus.PENDING_SUBMIT, OrderStatus.SUBMITTED, OrderStatus.UNKNOWN})
_RESTING = frozenset({OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED})


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. changed: repaired orders, closed ones included; repairs: how many in this run."""

    orders: Orders
    findings: tuple[Finding, ...]
    changed: tuple[Order, ...]
    repairs: int
    halt: Halt | None


class VenueTruth(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's word after ledger `ledger_index`, closed at `close_time` (seconds since 2000-01-01)."""

    account: AccountView
    ledger_index: int
    close_time: int


def _balance_findings(view: Accounts, account: AccountView) -> list[Finding]:
    """Compare inventory less fees with the balances: XRP in drops, RLUSD to the last digit."""
    findings = []
    drops = view.base_drops - view.fees_drops
    if drops != account.balance_drops:
        difference = xrp_from_drops(account.balance_drops - drops)
        text = (
            f"XRP: ours {plain(xrp_from_drops(drops))}, the ledger's "
            f"{plain(xrp_from_drops(account.balance_drops))}, difference {plain(difference)}"
        )
        findings.append(fault("balance_mismatch", None, text))
    quote = EXACT.add(view.fills_quote, view.overlay_quote)
    if quote != account.quote_balance:
        difference = EXACT.subtract(account.quote_balance, quote)
        text = (
            f"RLUSD: ours {plain(quote)}, the ledger's {plain(account.quote_balance)}, "
            f"difference {plain(difference)}"
        )
        findings.append(fault("balance_mismatch", None, text))
    return findings


def _sequence_findings(orders: Orders, account: AccountView) -> list[Finding]:
    """Find sequences that name two things, or an offer before its transaction."""
    findings = []
    holders: dict[int, int] = {}
    for order in orders.working:
        sequence = order.offer_sequence
        if sequence is None:
            if order.status not in _IN_FLIGHT:
                text = f"{order.status.value} without a sequence"
                findings.append(fault("sequence_ambiguity", order.order_id, text))
            continue
        if sequence in holders:
            text = f"sequence {sequence} is also that of order {holders[sequence]}"
            findings.append(fault("sequence_ambiguity", order.order_id, text))
        holders[sequence] = order.order_id
        if order.status in _RESTING and sequence >= account.account_sequence:
            text = (
                f"{order.status.value}, sequence {sequence}: the account's next is {account.account_sequence}"
            )
            findings.append(fault("sequence_ambiguity", order.order_id, text))
    listed: set[int] = set()
    for offer in account.offers:
        if offer.offer_sequence in listed:
            text = f"the exchange lists sequence {offer.offer_sequence} twice"
            findings.append(fault("sequence_ambiguity", None, text))
        listed.add(offer.offer_sequence)
    return findings


def _expired(expiration: int | None, close_time: int) -> bool:
    """Say whether an offer is dead: Expiration at or before the close time (ledger-rules, Funds)."""
    return expiration is not None and expiration <= close_time


def _orphan_findings(orders: Orders, truth: VenueTruth) -> list[Finding]:
    """Find offers on the exchange that no working order stands for."""
    known = {order.offer_sequence for order in orders.working}
    ended = {order.offer_sequence: order for order in orders.closed.values()}
    findings = []
    for offer in truth.account.offers:
        if offer.offer_sequence in known or _expired(offer.expiration, truth.close_time):
            continue
        closed = ended.get(offer.offer_sequence)
        whose = "no order of ours" if closed is None else f"order {closed.order_id}, {closed.status.value}"
        amounts = f"{plain(xrp_from_drops(offer.base_drops))} XRP for {plain(offer.quote)} RLUSD"
        text = f"{offer.side.value} {amounts}, sequence {offer.offer_sequence}: {whose}"
        findings.append(fault("orphan", closed.order_id if closed else None, text))
    return findings


def _ended(order: Order, truth: VenueTruth, balanced: bool) -> tuple[str, OrderStatus | None]:
    """Return (finding, status) of an order that the exchange no longer lists; None is ambiguous."""
    if order.filled_base_drops + DUST_DROPS_PER_FILL >= order.base_drops:
        return "filled", OrderStatus.FILLED
    if not balanced:
        return "unexplained", None
    if order.status is OrderStatus.PENDING_CANCEL:
        return "cancelled", OrderStatus.CANCELED
    if _expired(order.expiration, truth.close_time):
        return "expired", OrderStatus.EXPIRED
    return "vanished", OrderStatus.CANCELED


def _sum_text(order: Order, offer: VenueOffer | None) -> str:
    there = (
        "not on the exchange"
        if offer is None
        else f"{offer.base_drops} drops for {plain(offer.quote)} RLUSD there"
    )
    return (
        f"{order.status.value}, sequence {order.offer_sequence}: {order.base_drops} drops, "
        f"{order.filled_base_drops} filled, {order.remaining_base_drops} for "
        f"{plain(order.remaining_quote)} RLUSD left; {there}"
    )


def _repair(name: str, before: Order, after: Order, offer: VenueOffer | None) -> tuple[Finding, Order]:
    detail = f"{_sum_text(before, offer)}; now {after.status.value}"
    return Finding(name=name, order_id=before.order_id, halts=False, detail=detail), after


def _close(name: str, order: Order, status: OrderStatus, truth: VenueTruth) -> tuple[Finding, Order]:
    before = order
    if order.status is OrderStatus.PENDING_SUBMIT:
        order = moved(order, OrderStatus.UNKNOWN)  # it was sent after all, or its answer was lost
    after = closed_as(order, status, f"reconciler: {name}", truth.ledger_index)
    return _repair(name, before, after, None)


def _judge_missing(order: Order, truth: VenueTruth, balanced: bool) -> tuple[Finding, Order | None]:
    """Judge an order the exchange does not list."""
    if order.status in _IN_FLIGHT:
        sequence = order.offer_sequence
        unused = sequence is None or truth.account.account_sequence <= sequence
        if unused and order.filled_base_drops == 0:
            return _close("ghost", order, OrderStatus.REJECTED, truth)
    name, status = _ended(order, truth, balanced)
    if status is None:
        return fault(name, order.order_id, _sum_text(order, None)), None
    return _close(name, order, status, truth)


def _judge_amounts(order: Order, offer: VenueOffer) -> tuple[Finding, Order | None] | None:
    """Compare what stands on the exchange with what we hold of it; None when they agree."""
    if order.side is not offer.side:
        return fault(
            "amount_mismatch", order.order_id, f"{_sum_text(order, offer)}, as {offer.side.value}"
        ), None
    if offer.base_drops == order.remaining_base_drops and offer.quote == order.remaining_quote:
        return None
    if offer.base_drops != order.base_drops - order.filled_base_drops:
        return fault("amount_mismatch", order.order_id, _sum_text(order, offer)), None
    after = replace(order, remaining_base_drops=offer.base_drops, remaining_quote=offer.quote)
    return _repair("amount_mismatch", order, after, offer)


def _judge_listed(
    order: Order, offer: VenueOffer, truth: VenueTruth, config: Config
) -> tuple[Finding, Order | None] | None:
    """Judge an order the exchange lists; None when nothing is wrong."""
    if order.status in _IN_FLIGHT:
        amounts = _judge_amounts(order, offer)
        if amounts is not None and amounts[1] is None:
            return amounts
        working = (
            order if order.status is not OrderStatus.PENDING_SUBMIT else moved(order, OrderStatus.UNKNOWN)
        )
        working = replace(working, remaining_base_drops=offer.base_drops, remaining_quote=offer.quote)
        return _repair("landed", order, moved(working, resting_status(working)), offer)
    if _expired(offer.expiration, truth.close_time):
        return _close("expired", order, OrderStatus.EXPIRED, truth)
    amounts = _judge_amounts(order, offer)
    if amounts is not None or order.status is not OrderStatus.PENDING_CANCEL:
        return amounts
    sent = order.cancel_sent_ledger
    if sent is not None and truth.ledger_index <= sent + config.execution.last_ledger_offset:
        return None
    return _repair("cancel_lost", order, moved(order, resting_status(order)), offer)


def _undecided(order: Order, truth: VenueTruth) -> bool:
    """Say whether the order's own transaction may still be to come (its cancel may be behind it)."""
    last, sequence = order.last_ledger_sequence, order.offer_sequence
    if last is None or truth.ledger_index > last:
        return False
    if order.status in _IN_FLIGHT:
        return True
    to_come = sequence is None or sequence >= truth.account.account_sequence
    return order.status is OrderStatus.PENDING_CANCEL and to_come


def _judge_orders(
    orders: Orders, truth: VenueTruth, config: Config, balanced: bool
) -> tuple[list[Finding], list[Order]]:
    """Judge every working order whose fate the ledger has decided."""
    offers = {offer.offer_sequence: offer for offer in truth.account.offers}
    findings: list[Finding] = []
    changed: list[Order] = []
    for order in orders.working:
        if _undecided(order, truth):
            continue
        offer = None if order.offer_sequence is None else offers.get(order.offer_sequence)
        if offer is None:
            judged: tuple[Finding, Order | None] | None = _judge_missing(order, truth, balanced)
        else:
            judged = _judge_listed(order, offer, truth, config)
        if judged is not None:
            findings.append(judged[0])
            if judged[1] is not None:
                changed.append(judged[1])
    return findings, changed


def reconcile(
    orders: Orders,
    view: Accounts,
    truth: VenueTruth,
    config: Config,
    *,
    repairs_so_far: int,
    faults: Sequence[Finding] = (),
) -> Reconciliation:
    """Compare `orders` and `view` (ours) with `truth` (the venue's), all after the same ledger.

    repairs_so_far: repairs earlier in the session. faults: of order tracking; each halts. Not to be
    called while the opening capital waits for a mark: until then our side is empty.
    """
    findings = [*faults, *_balance_findings(view, truth.account)]
    balanced = len(findings) == len(faults)
    ambiguous = _sequence_findings(orders, truth.account)
    findings += ambiguous
    changed: list[Order] = []
    if not ambiguous:
        judged, changed = _judge_orders(orders, truth, config, balanced)
        findings += judged
        findings += _orphan_findings(orders, truth)
    repairs = sum(1 for finding in findings if not finding.halts)
    limit = config.reconciler.max_repairs
    if repairs_so_far + repairs > limit:
        text = f"{repairs_so_far + repairs} repairs in this session (reconciler.max_repairs {limit})"
        findings.append(fault("repairs_exhausted", None, text))
    return Reconciliation(
        orders=amended(orders, changed),
        findings=tuple(findings),
        changed=tuple(changed),
        repairs=repairs,
        halt=halt_of(findings),
    )


def halt_of(findings: Sequence[Finding]) -> Halt | None:
    """Return `reconciler_halt` with every halting finding in its detail, or None."""
    halting = [finding for finding in findings if finding.halts]
    if not halting:
        return None
    texts = []
    for finding in halting:
        whose = "" if finding.order_id is None else f" (order {finding.order_id})"
        texts.append(f"{finding.name}{whose}: {finding.detail}")
    return Halt(reason=HaltReason.RECONCILER_HALT, detail="; ".join(texts))
