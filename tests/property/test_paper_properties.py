"""The paper venue over recorded ledgers: whatever is sent, no drop and no digit is made or lost."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from neo_engine.config import Config, load_config
from neo_engine.domain.assets import Side
from neo_engine.domain.book import BookTracker
from neo_engine.domain.capital import CapitalEvent, CapitalKind
from neo_engine.domain.ledger import FeedEnd, FeedStart, LedgerUpdate
from neo_engine.domain.number import MILLION
from neo_engine.domain.orders import (
    LEGAL_MOVES,
    CancelOrder,
    Command,
    Order,
    OrderStatus,
    PlaceOrder,
    Quote,
)
from neo_engine.domain.rounding import steady_amounts
from neo_engine.execution.diff import new_order
from neo_engine.execution.paper import PaperExchange
from neo_engine.execution.paper_account import PaperAccount
from neo_engine.execution.tracking import Orders, orders_of, prepared, submitted, with_new
from neo_engine.execution.tracking import apply as track
from neo_engine.feed.recorded import RecordedFeed
from neo_engine.ports import VenueReport
from neo_engine.tick import Observation, decide, initial_state

ROOT = Path(__file__).resolve().parents[2]
CUTS = ("calm_cut", "hostile_cut")
START_DROPS, START_QUOTE, START_OBJECTS = 100_000_000, Decimal(220), 1


class StoppedClock:
    """A recorded feed at full speed asks no clock."""

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, _seconds: float) -> None:
        raise AssertionError("a feed at full speed never waits")


@cache
def recorded(cut: str) -> tuple[FeedStart, tuple[LedgerUpdate, ...]]:
    path = ROOT / "tests" / "data" / f"{cut}.jsonl.gz"
    feed = RecordedFeed(path, speed=None, clock=StoppedClock(), silence_after_seconds=10_000)
    start, updates = feed.start(), []
    while not isinstance(item := feed.next(0.0), FeedEnd):
        assert isinstance(item, LedgerUpdate)
        updates.append(item)
    feed.close()
    return start, tuple(updates)


@dataclass
class Books:
    """What a bookkeeper who sees only fills and fees believes of the account."""

    drops: int = START_DROPS
    quote: Decimal = START_QUOTE
    keys: set[tuple[int, int, str]] = field(default_factory=set)
    fills: int = 0

    def check(self, report: VenueReport, account: PaperAccount) -> None:
        for fill in report.fills:
            assert fill.key not in self.keys
            self.keys.add(fill.key)
            assert fill.base_drops > 0
            assert fill.quote > 0
            bought = fill.side is Side.BUY
            self.drops += fill.base_drops if bought else -fill.base_drops
            self.quote += fill.quote_balance_delta
            exact = -fill.quote if bought else fill.quote
            assert fill.quote_balance_delta == exact + fill.rounding
            assert abs(fill.rounding) <= Decimal("1E-12")  # one unit in the 16th digit of a few hundred
        self.fills += len(report.fills)
        self.drops -= sum(one.fee_drops for one in report.transactions)
        view = report.account
        assert (view.balance_drops, view.quote_balance) == (self.drops, self.quote)
        assert view.quote_balance >= 0
        assert account.spendable_drops() >= 0
        assert view.owner_count == START_OBJECTS + len(account.offers)
        # Trades never touch the reserve; only fees may, and those of a session are a few thousand drops.
        assert view.balance_drops >= account.base_reserve_drops


@dataclass
class Venue:
    """The paper exchange over one cut, with its orders tracked as the engine does it."""

    exchange: PaperExchange
    account: PaperAccount
    books: Books
    orders: Orders
    statuses: dict[int, OrderStatus]
    next_id: int = 1

    def advance(self, update: LedgerUpdate) -> VenueReport:
        report = self.exchange.advance(update)
        self.books.check(report, self.account)
        tracked = track(self.orders, report.order_updates, report.fills, report.transactions)
        assert tracked.faults == ()
        assert len(tracked.fills) == len(report.fills)
        for order in tracked.changed:
            before = self.statuses.get(order.order_id, OrderStatus.SUBMITTED)
            assert order.status is before or order.status in reachable(before), (before, order)
            self.statuses[order.order_id] = order.status
        self.orders = tracked.orders
        standing = {one.offer_sequence: one for one in report.account.offers}
        for order in self.orders.working:
            if order.status in (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED):
                offer = standing[order.offer_sequence or 0]
                assert (offer.base_drops, offer.quote) == (order.remaining_base_drops, order.remaining_quote)
        assert {order.offer_sequence for order in self.orders.working} >= set(standing)
        return report

    def send(self, commands: list[Command], new: list[Order], ledger_index: int) -> None:
        orders = with_new(self.orders, new)
        transactions = self.exchange.prepare(commands, ledger_index)
        orders = prepared(orders, transactions, ledger_index).orders
        self.orders = submitted(orders, self.exchange.submit(transactions)).orders
        for order in self.orders.working:
            self.statuses[order.order_id] = order.status


def reachable(status: OrderStatus) -> set[OrderStatus]:
    """Statuses one ledger may bring an order to: a few legal moves in a row."""
    found, fresh = set(LEGAL_MOVES[status]), set(LEGAL_MOVES[status])
    while fresh:
        fresh = {after for one in fresh for after in LEGAL_MOVES[one]} - found
        found |= fresh
    return found


def venue(cut: str, seed: int, delay: int) -> tuple[Venue, tuple[LedgerUpdate, ...]]:
    start, updates = recorded(cut)
    account = PaperAccount(
        address="paper-account",
        balance_drops=START_DROPS,
        quote_balance=START_QUOTE,
        owner_count=START_OBJECTS,
        sequence=1,
    )
    exchange = PaperExchange(
        book=BookTracker(start.state),
        account=account,
        seed=seed,
        arrival_delay_ledgers=delay,
        last_ledger_offset=4,
        depth_levels=5,
    )
    return Venue(exchange, account, Books(), orders_of(()), {}), updates


def random_quote(draw: random.Random, mid: Decimal, tick_size: int, close_time: int) -> Quote:
    side = draw.choice((Side.BUY, Side.SELL))
    price = mid * (1 + Decimal(draw.randrange(-40, 41)) / 10_000)  # within 0.4 %: some cross, some rest
    wanted = draw.randrange(1_000, 60_000_000)
    drops, amount, _ = steady_amounts(side, wanted, price, tick_size)
    lifetime = draw.choice((None, None, 5, 15, 40))
    return Quote(
        slot=f"{side.value}-{draw.randrange(3)}",
        side=side,
        price=amount * MILLION / drops,
        base_drops=drops,
        quote=amount,
        expiration=None if lifetime is None else close_time + lifetime,
    )


def random_commands(
    draw: random.Random, one: Venue, report: VenueReport
) -> tuple[list[Command], list[Order]]:
    """Some cancels, replaces and places; an order whose command is on its way is left alone."""
    snapshot, commands, new = report.snapshot, list[Command](), list[Order]()
    if snapshot.mid is None:
        return commands, new
    free = [
        order
        for order in one.orders.working
        if order.status in (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED)
    ]
    draw.shuffle(free)
    for _ in range(draw.randrange(4)):
        old = free.pop() if free and draw.random() < 0.6 else None
        if old is not None and old.offer_sequence is not None and draw.random() < 0.3:
            commands.append(
                CancelOrder(order_id=old.order_id, offer_sequence=old.offer_sequence, reason="at random")
            )
            continue
        quote = random_quote(draw, snapshot.mid, snapshot.tick_size, snapshot.close_time)
        commands.append(
            PlaceOrder(
                order_id=one.next_id,
                quote=quote,
                replaces=old.order_id if old else None,
                replaces_sequence=old.offer_sequence if old else None,
            )
        )
        new.append(new_order(one.next_id, quote, snapshot.ledger_index))
        one.next_id += 1
    return commands, new


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10**6), cut=st.sampled_from(CUTS), delay=st.sampled_from((1, 1, 2, 3)))
def test_random_orders_conserve_every_drop_and_digit_and_move_legally(
    seed: int, cut: str, delay: int
) -> None:
    draw = random.Random(seed)
    one, updates = venue(cut, seed, delay)
    for update in updates:
        if draw.random() < 0.03:
            continue  # a ledger is missing: what was due in it comes late or never
        report = one.advance(update)
        commands, new = random_commands(draw, one, report)
        if commands:
            one.send(commands, new, update.ledger_index)
    ended = track(one.orders, one.exchange.end_of_market(), (), ())
    assert ended.faults == ()
    assert ended.orders.working == ()
    assert one.account.owner_count == START_OBJECTS


def test_random_orders_do_trade_so_that_the_property_above_is_not_empty() -> None:
    draw, fills = random.Random(5), 0
    one, updates = venue("calm_cut", 5, 1)
    for update in updates:
        report = one.advance(update)
        fills += len(report.fills)
        one.send(*random_commands(draw, one, report), update.ledger_index)
    assert fills > 20


def test_the_same_orders_fill_the_same_twice() -> None:
    def run() -> list[object]:
        draw, seen = random.Random(11), list[object]()
        one, updates = venue("hostile_cut", 11, 1)
        for update in updates:
            report = one.advance(update)
            seen.append((report.fills, report.order_updates, report.account, report.transactions))
            one.send(*random_commands(draw, one, report), update.ledger_index)
        return seen

    assert run() == run()


# whole sessions


@cache
def delivered() -> Config:
    return load_config(ROOT / "config" / "paper.yaml")


def changed(section: str, base: Config, **keys: object) -> Config:
    return base.model_copy(update={section: getattr(base, section).model_copy(update=keys)})


def configuration(name: str) -> Config:
    config = changed("strategy", delivered(), warmup_ticks=3)
    config = changed("reconciler", config, interval_ticks=1)
    if name == "glft":
        glft = config.strategy.glft.model_copy(update={"intensity_min_trades": 5})
        return changed("strategy", config, model="glft", glft=glft)
    if name == "ladder":
        return changed("strategy", config, ladder_levels=3)
    if name == "short-lived":
        return changed("execution", config, offer_lifetime_seconds=30, offer_refresh_seconds=8)
    if name == "tight":
        # Such quotes earn less than a hostile market's takers gain: with the flow known they would be closed.
        return changed(
            "strategy",
            config,
            base_offset_bps=Decimal("0.5"),
            half_spread_min_bps=Decimal("0.1"),
            toxicity_min_trades=1_000_000,
        )
    return config


def opening() -> tuple[CapitalEvent, ...]:
    return tuple(
        CapitalEvent(
            request_id=f"opening-{name}",
            kind=CapitalKind.OPENING,
            base_drops=drops,
            quote=quote,
            note="",
            created_at="2026-11-20T00:00:00Z",
        )
        for name, drops, quote in (("xrp", START_DROPS, Decimal(0)), ("quote", 0, START_QUOTE))
    )


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", ["offset", "glft", "ladder", "short-lived", "tight"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_session_is_never_found_at_odds_with_its_venue(cut: str, name: str, seed: int) -> None:
    """The reconciler looks after every ledger, and has nothing to say in any."""
    config = configuration(name)
    one, updates = venue(cut, seed, delay=1)
    state = initial_state(config, recorded(cut)[0].close_time)
    quoted = 0
    for number, update in enumerate(updates):
        report = one.exchange.advance(update)
        one.books.check(report, one.account)
        seen = Observation(
            kind="ledger",
            ledger_index=update.ledger_index,
            close_time=update.close_time,
            report=report,
            order_updates=(),
            faults=(),
            capital=opening() if number == 0 else (),
            stop=None,
        )
        decision = decide(state, seen, config, update.close_time)
        assert decision.findings == ()
        assert decision.halt is None
        assert decision.accounts.base_drops - decision.accounts.fees_drops == report.account.balance_drops
        assert decision.accounts.quote == report.account.quote_balance
        transactions = one.exchange.prepare(decision.commands, update.ledger_index)
        orders = prepared(decision.state.orders, transactions, update.ledger_index).orders
        orders = submitted(orders, one.exchange.submit(transactions)).orders
        quoted += decision.quoting != "none"
        state = replace(decision.state, orders=orders)
    assert quoted > len(updates) // 2
