"""The life of orders against a venue whose word arrives shuffled, twice, late or never.

Four things must hold in the end, whatever was lost on the way: the quantity filled is the venue's, so is
the amount paid (and with it the price), the balances and the P&L are those of the venue's fills, and the
same news in another order gives the same orders.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from neo_engine.domain.assets import Side
from neo_engine.domain.capital import CapitalEvent, CapitalKind
from neo_engine.domain.fills import Fill, LiquiditySide
from neo_engine.domain.market import AccountView, VenueOffer
from neo_engine.domain.orders import (
    LEGAL_MOVES,
    TERMINAL,
    WORKING,
    CancelOrder,
    Command,
    Order,
    OrderStatus,
    OrderUpdate,
    PreparedTransaction,
    Quote,
    SubmitClass,
    SubmitOutcome,
    TransactionKind,
    TransactionOutcome,
)
from neo_engine.execution import tracking
from neo_engine.execution.diff import diff
from neo_engine.inventory import accounts, apply_fees, apply_fill, empty
from neo_engine.inventory.capital import apply_events
from neo_engine.inventory.funding import Available
from neo_engine.reconciliation import VenueTruth, reconcile
from tests.unit.core_values import NOW, with_config

pytestmark = pytest.mark.slow

S = OrderStatus
CONFIG = with_config("reconciler", max_repairs=10**6)
FEE = 10
START_DROPS, START_QUOTE = 10**9, Decimal(10**5)


@dataclass
class Standing:
    """One of our offers at the venue; what was taken from it stays known after its end."""

    order_id: int
    sequence: int
    quote: Quote
    left: int
    filled: int = 0
    paid: Decimal = Decimal(0)
    alive: bool = True


@dataclass
class Venue:
    """A ledger as simple as it can be: a queue of our transactions, offers, balances."""

    ledger: int = 1000
    sequence: int = 1
    drops: int = START_DROPS
    rlusd: Decimal = START_QUOTE
    queue: list[tuple[PreparedTransaction, Command]] = field(default_factory=list)
    offers: dict[int, Standing] = field(default_factory=dict)
    updates: list[OrderUpdate] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
    results: list[TransactionOutcome] = field(default_factory=list)

    def say(self, one: Standing, status: OrderStatus, reason: str | None) -> None:
        left = 0 if status in TERMINAL else one.left
        self.updates.append(
            OrderUpdate(
                order_id=one.order_id,
                status=status,
                remaining_base_drops=left,
                remaining_quote=one.quote.price * left / 10**6,
                offer_sequence=one.sequence,
                reason=reason,
                ledger_index=self.ledger,
            )
        )

    def take(self, one: Standing, drops: int) -> None:
        """A stranger takes `drops` of an offer."""
        amount = one.quote.price * drops / 10**6
        buys = one.quote.side is Side.BUY
        one.left -= drops
        one.filled += drops
        one.paid += amount
        self.drops += drops if buys else -drops
        self.rlusd += -amount if buys else amount
        self.fills.append(
            Fill(
                order_id=one.order_id,
                ledger_index=self.ledger,
                close_time=NOW,
                transaction_index=len(self.fills),
                node=f"offer {one.sequence}",
                tx_hash=f"taker {self.ledger} {len(self.fills)}",
                side=one.quote.side,
                liquidity=LiquiditySide.MAKER,
                base_drops=drops,
                quote=amount,
                quote_balance_delta=-amount if buys else amount,
                rounding=Decimal(0),
                offer_sequence=one.sequence,
            )
        )
        if one.left == 0:
            one.alive = False
            self.say(one, S.FILLED, None)
        else:
            self.say(one, S.PARTIALLY_FILLED, None)

    def land(self, tx: PreparedTransaction, command: Command, refuse: bool) -> None:
        """One of our transactions is applied: fee and sequence go in any case."""
        self.drops -= FEE
        self.sequence = max(self.sequence, tx.account_sequence + 1)
        result = "tecINSUF_RESERVE_OFFER" if refuse else "tesSUCCESS"
        self.results.append(
            TransactionOutcome(
                tx_hash=tx.tx_hash,
                order_id=tx.order_id,
                kind=tx.kind,
                result=result,
                ledger_index=self.ledger,
                transaction_index=0,
                fee_drops=FEE,
            )
        )
        if isinstance(command, CancelOrder):
            self.remove(command.offer_sequence, "cancelled")
            return
        one = Standing(
            order_id=tx.order_id,
            sequence=tx.account_sequence,
            quote=command.quote,
            left=command.quote.base_drops,
        )
        if refuse:
            self.say(one, S.REJECTED, result)
            old = self.offers.get(command.replaces_sequence or 0)
            if old is not None and old.alive:
                self.say(old, S.PARTIALLY_FILLED if old.filled else S.OPEN, None)
            return
        if command.replaces_sequence is not None:
            self.remove(command.replaces_sequence, f"replaced by order {tx.order_id}")
        self.offers[one.sequence] = one
        self.say(one, S.OPEN, None)

    def remove(self, sequence: int, reason: str) -> None:
        old = self.offers.get(sequence)
        if old is not None and old.alive:
            old.alive = False
            self.say(old, S.CANCELED, reason)

    def account(self) -> AccountView:
        listed = tuple(
            VenueOffer(
                offer_sequence=one.sequence,
                side=one.quote.side,
                base_drops=one.left,
                quote=one.quote.price * one.left / 10**6,
                expiration=None,
            )
            for one in self.offers.values()
            if one.alive
        )
        return AccountView(
            balance_drops=self.drops,
            quote_balance=self.rlusd,
            owner_count=len(listed),
            account_sequence=self.sequence,
            offers=listed,
        )


def reachable(old: OrderStatus, new: OrderStatus) -> bool:
    """Whether the table has a way from `old` to `new`, in any number of moves."""
    known, open_ = {old}, [old]
    while open_:
        for after in LEGAL_MOVES[open_.pop()] - known:
            known.add(after)
            open_.append(after)
    return new in known


class OrderLives(RuleBasedStateMachine):
    """Our side: diff, tracking, inventory, reconciler. Their side: `Venue`."""

    @initialize()
    def start(self) -> None:
        self.venue = Venue()
        self.orders = tracking.orders_of([])
        self.every: dict[int, Order] = {}
        self.late: list[OrderUpdate] = []
        self.next_order_id = 1
        self.next_sequence = 1
        opening = [
            CapitalEvent(
                request_id=name,
                kind=CapitalKind.OPENING,
                base_drops=drops,
                quote=rlusd,
                note="",
                created_at="",
            )
            for name, drops, rlusd in (("x", START_DROPS, Decimal(0)), ("q", 0, START_QUOTE))
        ]
        nothing = Available(base_drops=0, quote=Decimal(0))
        self.inventory = apply_events(empty(), opening, Decimal(2), nothing).inventory

    def note(self, changed: tuple[Order, ...]) -> None:
        for order in changed:
            before = self.every.get(order.order_id)
            if before is not None and before.status is not order.status:
                assert reachable(before.status, order.status)
            self.every[order.order_id] = order

    @rule(data=st.data())
    def quote(self, data: st.DataObject) -> None:
        """A tick: some quotes, the diff, intent, submit and its answers."""
        quotes = []
        for slot, side in (("bid-1", Side.BUY), ("ask-1", Side.SELL)):
            if data.draw(st.booleans()):
                step = data.draw(st.integers(min_value=0, max_value=3))
                price = (
                    Decimal("1.9") + Decimal(step) / 100
                    if side is Side.BUY
                    else Decimal("2.1") - Decimal(step) / 100
                )
                size = data.draw(st.sampled_from([3, 7, 8])) * 10**6
                quotes.append(
                    Quote(
                        slot=slot,
                        side=side,
                        price=price,
                        base_drops=size,
                        quote=price * size / 10**6,
                        expiration=None,
                    )
                )
        result = diff(
            quotes,
            self.orders.working,
            CONFIG,
            close_time=NOW,
            ledger_index=self.venue.ledger,
            next_order_id=self.next_order_id,
        )
        self.next_order_id = result.next_order_id
        transactions = []
        for command in result.commands:
            cancels = isinstance(command, CancelOrder)
            replaces = None if isinstance(command, CancelOrder) else command.replaces
            kind = TransactionKind.CREATE if replaces is None else TransactionKind.REPLACE
            transactions.append(
                PreparedTransaction(
                    kind=TransactionKind.CANCEL if cancels else kind,
                    order_id=command.order_id,
                    replaces=replaces,
                    tx_hash=f"tx {self.next_sequence}",
                    account_sequence=self.next_sequence,
                    last_ledger_sequence=self.venue.ledger + CONFIG.execution.last_ledger_offset,
                    fee_drops=FEE,
                    blob=None,
                )
            )
            self.next_sequence += 1
        marked = tracking.prepared(
            tracking.with_new(self.orders, result.new_orders), transactions, self.venue.ledger
        )
        self.note(result.new_orders)
        self.note(marked.changed)
        answers = []
        for tx, command in zip(transactions, result.commands, strict=True):
            answer = data.draw(st.sampled_from(["accepted", "accepted", "unknown", "lost", "rejected"]))
            outcome = {"accepted": SubmitClass.ACCEPTED, "rejected": SubmitClass.REJECTED}.get(
                answer, SubmitClass.UNKNOWN
            )
            answers.append(
                SubmitOutcome(tx_hash=tx.tx_hash, order_id=tx.order_id, outcome=outcome, code="temBAD_OFFER")
            )
            if answer in ("accepted", "unknown"):
                self.venue.queue.append((tx, command))
        done = tracking.submitted(marked.orders, answers)
        self.note(done.changed)
        self.orders = done.orders

    @rule(data=st.data())
    def ledger(self, data: st.DataObject) -> None:
        """A validated ledger: strangers take, our transactions land, wait or lapse; then its news."""
        venue = self.venue
        venue.ledger += 1
        self.trade(data)
        waiting = []
        for tx, command in venue.queue:
            if venue.ledger > tx.last_ledger_sequence:
                continue
            if data.draw(st.sampled_from([True, True, False])):
                refuse = not isinstance(command, CancelOrder) and data.draw(st.integers(0, 3)) == 0
                venue.land(tx, command, refuse)
            else:
                waiting.append((tx, command))
        venue.queue = waiting
        self.trade(data)
        self.hear(data)

    def trade(self, data: st.DataObject) -> None:
        for one in list(self.venue.offers.values()):
            if one.alive and data.draw(st.integers(0, 2)) == 0:
                self.venue.take(one, data.draw(st.integers(min_value=1, max_value=one.left)))

    def hear(self, data: st.DataObject) -> None:
        """Deliver the news: every fill, maybe twice; updates shuffled, doubled, late or never."""
        venue = self.venue
        fates = [
            (update, data.draw(st.sampled_from(["once", "once", "twice", "late", "never"])))
            for update in venue.updates
        ]
        updates = [*self.late]
        self.late = [update for update, fate in fates if fate == "late"]
        for update, fate in fates:
            updates.extend([update] * {"once": 1, "twice": 2}.get(fate, 0))
        updates = data.draw(st.permutations(updates))
        fills = data.draw(st.permutations(venue.fills + venue.fills[:1]))
        news = tracking.apply(self.orders, updates, fills, venue.results)
        again = tracking.apply(self.orders, updates[::-1], fills[::-1], venue.results)
        assert news.faults == ()
        assert again.changed == news.changed  # the order of arrival does not matter
        assert {fill.key for fill in news.fills} == {fill.key for fill in venue.fills}
        repeated = tracking.apply(news.orders, updates, fills)
        assert (repeated.fills, repeated.faults) == ((), ())
        self.note(news.changed)
        self.orders = news.orders
        for fill in sorted(news.fills, key=lambda fill: fill.key):
            self.inventory, _ = apply_fill(self.inventory, fill)
        self.inventory = apply_fees(self.inventory, FEE * len(venue.results))
        venue.updates, venue.fills, venue.results = [], [], []

    @rule()
    def reconcile(self) -> None:
        """Nothing lost here is ambiguous, so everything is repaired and nothing halts."""
        truth = VenueTruth(account=self.venue.account(), ledger_index=self.venue.ledger, close_time=NOW)
        if self.unheard():
            return  # our side is of an older ledger: not to be compared
        result = reconcile(self.orders, accounts(self.inventory, None), truth, CONFIG, repairs_so_far=0)
        assert result.halt is None, result.halt
        self.note(result.changed)
        self.orders = result.orders
        again = reconcile(self.orders, accounts(self.inventory, None), truth, CONFIG, repairs_so_far=0)
        assert again.findings == ()

    def unheard(self) -> bool:
        return bool(self.venue.fills or self.venue.updates)

    @invariant()
    def balances_are_the_venues(self) -> None:
        if not self.unheard():
            assert self.inventory.balance_drops == self.venue.drops
            assert self.inventory.quote == self.venue.rlusd

    @invariant()
    def quantities_are_the_venues(self) -> None:
        if self.unheard():
            return
        for one in self.venue.offers.values():
            ours = self.every[one.order_id]
            assert (ours.filled_base_drops, ours.filled_quote) == (one.filled, one.paid)

    @invariant()
    def a_slot_stands_at_most_once_at_the_venue(self) -> None:
        slots = [one.quote.slot for one in self.venue.offers.values() if one.alive]
        assert len(slots) == len(set(slots))
        assert all(order.status in WORKING for order in self.orders.working)

    def teardown(self) -> None:
        """Once nothing can arrive any more, what works here is what stands there."""
        if not hasattr(self, "venue"):
            return
        self.venue.ledger += 2 * CONFIG.execution.last_ledger_offset + 1
        self.venue.queue = []
        self.reconcile()
        standing = {one.order_id: one.left for one in self.venue.offers.values() if one.alive}
        working = {order.order_id: order.remaining_base_drops for order in self.orders.working}
        assert working == standing
        assert all(order.status in (S.OPEN, S.PARTIALLY_FILLED) for order in self.orders.working)


TestOrderLives = OrderLives.TestCase
TestOrderLives.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
