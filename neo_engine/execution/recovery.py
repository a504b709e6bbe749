"""What became of orders and transactions that the last session left open.

The database knows what was meant (intent before act), the ledger what happened. `recover` asks for our
account, its transactions since the last ledger processed, and each hash without a result; `resolve`, which
asks nothing, says what follows. Nothing is ever signed or sent here, so nothing can happen twice.

A hash is final in two ways only (ledger-rules, Submission): a validated ledger holds it, or its
LastLedgerSequence lies behind a validated ledger and a server that has every ledger in between does not
find it. Anything else leaves it open: it may still land, or the server knows too little.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from neo_engine.domain.account_findings import AccountFinding
from neo_engine.domain.account_snapshot import AccountSnapshot, OpenOffer, TransactionLookup
from neo_engine.domain.errors import StartupFailure
from neo_engine.domain.fills import Fill
from neo_engine.domain.ledger import LedgerUpdate
from neo_engine.domain.market import AccountView
from neo_engine.domain.number import ONE
from neo_engine.domain.orders import OrderStatus, OrderUpdate, TransactionOutcome
from neo_engine.execution.live_account import EventReader, LiveAccount
from neo_engine.execution.live_events import (
    Collected,
    InFlight,
    KnownOrder,
    creates,
)

NEVER_SIGNED = "no transaction was signed for it"


class ServerBehind(StartupFailure):
    """The server knows less than the database: it lags, or it is on another network."""


class AccountSource(Protocol):
    """Who can be asked about the account; each answer is checked or an exception (a NeoError)."""

    def snapshot(self, ledger_index: int | None = None) -> AccountSnapshot:
        """Return the account after a ledger (None: the last validated one)."""

    def look_up(self, tx_hash: str, first_ledger: int, last_ledger: int) -> TransactionLookup:
        """Say what is known of a hash, searched for in a range of ledgers."""

    def history(self, first_ledger: int, last_ledger: int) -> tuple[LedgerUpdate, ...]:
        """Return the account's transactions of a range of ledgers, by ledger."""


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """What the database left unresolved. orders: every one that may still work.

    last_ledger: the last one whose outcome is stored. A fill of an earlier one may come again, under its key.
    """

    orders: tuple[KnownOrder, ...]
    in_flight: tuple[InFlight, ...]
    last_ledger: int


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger says of it, after `ledger_index`.

    open: hashes that may still land; their numbers must not be used. unknown_offers: on the ledger, of
    no order: adopt or cancel. vanished: orders that do not stand and whose end was not in the ledgers
    read: the database and the ledger disagree. next_sequence: the lowest number that is free.
    account: to go on with; it expects what is open.
    """

    ledger_index: int
    order_updates: tuple[OrderUpdate, ...]
    fills: tuple[Fill, ...]
    transactions: tuple[TransactionOutcome, ...]
    findings: tuple[AccountFinding, ...]
    unknown_offers: tuple[OpenOffer, ...]
    open: tuple[InFlight, ...]
    vanished: tuple[int, ...]
    next_sequence: int
    view: AccountView


def recover(
    source: AccountSource, left: Left, read: EventReader, *, transfer_rate: Decimal = ONE
) -> tuple[Recovery, LiveAccount]:
    """Ask for all that is needed, and return what follows and the account to go on with.

    read: `account_events` of the metadata's reader. transfer_rate: the issuer's. Raises what `source`
    raises, and ServerBehind for a server that is behind the database: in its past, offers that have gone
    stand, and transactions that were counted come again as a stranger's.
    """
    snapshot = source.snapshot()
    if snapshot.ledger_index < left.last_ledger:
        raise ServerBehind(
            f"the server shows ledger {snapshot.ledger_index}, and ledger {left.last_ledger} is in the "
            "database already: it is behind; wait until it has caught up, or use another endpoint"
        )
    lookups = {one.prepared.tx_hash: _ask(source, one) for one in left.in_flight}
    landed = [one.update.ledger_index for one in lookups.values() if one.update is not None]
    first = min([left.last_ledger + 1, *landed])
    history = source.history(first, snapshot.ledger_index)
    return resolve(left, snapshot, history, lookups, read, transfer_rate=transfer_rate)


def prove(
    source: AccountSource, lapsed: Iterable[InFlight], ledger_index: int
) -> tuple[tuple[InFlight, ...], tuple[LedgerUpdate, ...]]:
    """Look up what lapsed; return what can never land, and the ledgers of what landed unseen after all.

    ledger_index: the last validated one. What is in neither is not proven; ask again. Raises what
    `source` raises.
    """
    dead, landed = [], []
    for sent in lapsed:
        told = _ask(source, sent)
        if told.update is not None:
            landed.append(told.update)
        elif is_dead(sent, told, ledger_index):
            dead.append(sent)
    return tuple(dead), tuple(landed)


def is_dead(sent: InFlight, told: TransactionLookup, ledger_index: int) -> bool:
    """Tell whether a transaction can never be in a ledger, given the last validated one."""
    beyond = ledger_index > sent.prepared.last_ledger_sequence
    return beyond and told.update is None and told.searched_all


def resolve(
    left: Left,
    snapshot: AccountSnapshot,
    history: Sequence[LedgerUpdate],
    lookups: Mapping[str, TransactionLookup],
    read: EventReader,
    *,
    transfer_rate: Decimal = ONE,
) -> tuple[Recovery, LiveAccount]:
    """Return what the answers say of what was left open. lookups: by hash.

    history: our transactions after left.last_ledger, or from the first ledger that a lookup names, up to the
    snapshot's.
    """
    account = LiveAccount(
        snapshot, read, orders=left.orders, in_flight=left.in_flight, transfer_rate=transfer_rate
    )
    landed = [
        told.update
        for told in lookups.values()
        if told.update is not None and told.update.ledger_index <= snapshot.ledger_index
    ]
    first = min((one.ledger_index for one in landed), default=left.last_ledger + 1)
    updates = [*history, *landed]
    report = account.back_fill(updates, min(first, left.last_ledger + 1), snapshot.ledger_index)
    changes = list(report.order_updates)
    for sent in account.in_flight:
        told = lookups.get(sent.prepared.tx_hash)
        if told is not None and is_dead(sent, told, snapshot.ledger_index):
            changes.extend(account.failed(sent.prepared.tx_hash))
    changes.extend(_unsigned(left, snapshot.ledger_index))
    changes.extend(_standing(left, account, changes))
    still_open = account.in_flight
    return (
        Recovery(
            ledger_index=snapshot.ledger_index,
            order_updates=tuple(changes),
            fills=report.fills,
            transactions=report.transactions,
            findings=report.findings,
            unknown_offers=account.unknown_offers,
            open=still_open,
            vanished=_vanished(left, account, changes),
            next_sequence=free_sequence(snapshot.account_sequence, still_open),
            view=report.account,
        ),
        account,
    )


def free_sequence(account_sequence: int, still_open: Iterable[InFlight]) -> int:
    """Return the lowest number from the account's next one on that no open transaction holds.

    A number before an open one that failed for good must be used again, or the open one and all after it
    would wait for it.
    """
    held = {one.prepared.account_sequence for one in still_open if not one.ticketed}
    number = account_sequence
    while number in held:
        number += 1
    return number


def _ask(source: AccountSource, sent: InFlight) -> TransactionLookup:
    prepared = sent.prepared
    return source.look_up(prepared.tx_hash, sent.after_ledger + 1, prepared.last_ledger_sequence)


def _unsigned(left: Left, ledger_index: int) -> tuple[OrderUpdate, ...]:
    """Close the orders that never had a transaction: nothing of them can be anywhere."""
    now = Collected(ledger_index)
    signed = {one.prepared.order_id for one in left.in_flight}
    for order in left.orders:
        if order.offer_sequence is None and order.order_id not in signed:
            now.closed(order.order_id, OrderStatus.CANCELED, None, NEVER_SIGNED)
    return tuple(now.updates)


def _standing(left: Left, account: LiveAccount, changes: Iterable[OrderUpdate]) -> tuple[OrderUpdate, ...]:
    """Say of each order that stands and was not spoken of that it does, unless a cancel is still open."""
    leaving = set()
    for sent in account.in_flight:
        prepared = sent.prepared
        leaving.add(prepared.replaces if creates(sent) else prepared.order_id)
    spoken_of = {one.order_id for one in changes} | leaving
    offers = {one.offer_sequence: one for one in account.offers}
    strangers = {one.offer_sequence for one in account.unknown_offers}
    now = Collected(account.ledger_index)
    for order in left.orders:
        sequence = order.offer_sequence
        if order.order_id in spoken_of or sequence is None or sequence in strangers:
            continue
        offer = offers.get(sequence)
        if offer is not None:
            now.stands(
                order.order_id,
                filled=order.filled_base_drops > 0,
                sequence=sequence,
                left=(offer.base_drops, offer.quote),
            )
    return tuple(now.updates)


def _vanished(left: Left, account: LiveAccount, changes: Iterable[OrderUpdate]) -> tuple[int, ...]:
    explained = {one.order_id for one in changes}
    explained |= {one.prepared.order_id for one in account.in_flight if creates(one)}
    standing = {one.offer_sequence for one in account.offers}
    return tuple(
        order.order_id
        for order in left.orders
        if order.order_id not in explained and order.offer_sequence not in standing
    )
