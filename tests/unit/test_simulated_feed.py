"""The simulated feed: what it tells of the model ledger, pacing, repetition and repair."""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import pairwise

import pytest

from neo_engine.domain.assets import Side
from neo_engine.domain.book import BookTracker
from neo_engine.domain.errors import FeedError, UsageError
from neo_engine.domain.ledger import FeedStart, LedgerUpdate, TakerKind
from neo_engine.feed.simulated import SimulatedFeed
from neo_engine.simulator.agents import Market, open_market
from neo_engine.simulator.model import keys
from neo_engine.xrpl.metadata import account_events

LEDGERS = 150
SEED = 11


class Clock:
    """A clock that only passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)


def feed_of(market: str = "calm", seed: int = SEED, speed: float | None = None) -> SimulatedFeed:
    return SimulatedFeed(market, seed=seed, speed=speed, clock=Clock())


def taken(feed: SimulatedFeed) -> LedgerUpdate:
    item = feed.next(1.0)
    assert isinstance(item, LedgerUpdate)
    return item


def run(feed: SimulatedFeed, ledgers: int = LEDGERS) -> tuple[FeedStart, list[LedgerUpdate]]:
    return feed.start(), [taken(feed) for _ in range(ledgers)]


def twin(seed: int = SEED, ledgers: int = LEDGERS) -> Market:
    """The same market, run beside the feed: its state is what a tracker must come to."""
    market = open_market("calm", seed)
    for _ in range(ledgers):
        market.advance()
    return market


def test_a_tracker_that_follows_the_feed_comes_to_the_ledgers_own_state() -> None:
    start, updates = run(feed_of())
    tracker = BookTracker(start.state)
    for update in updates:
        assert tracker.advance(update) == ()
    market = twin()
    entries = market.chain.state.entries
    quote = market.pair.quote.issuer
    for who, address in market.accounts.items():
        root = tracker.account(address)
        assert root is not None
        assert root.balance_drops == entries[keys.account_root(address)]["Balance"], who
        line = tracker.line(address)
        held = entries.get(keys.line(address, quote, market.pair.quote.currency))
        assert (line is None) == (held is None), who
        if line is not None and held is not None:
            assert abs(line.balance) == abs(held["Balance"].value), who
    offers = {index for index, entry in entries.items() if entry["LedgerEntryType"] == "Offer"}
    tracked = {offer.index for offer in (*tracker.asks, *tracker.bids)}
    assert tracked <= offers
    others = offers - tracked  # of USD
    assert all("USD" in str(entries[index]) for index in others)
    assert len(tracked) > 20


def test_what_metadata_says_of_each_account_explains_its_balances_to_the_last_drop() -> None:
    start, updates = run(feed_of("hostile"))
    parent = start.close_time
    fills = 0
    for update in updates:
        for tx in update.transactions:
            for who, address in start.accounts.items():
                if who == "issuer":  # it holds no line of its own token
                    continue
                events = account_events(update, tx, address, parent)
                # What a maker of USD gives an order that is bridged is none of the pair's business.
                if events is not None and (tx.taker is None or tx.taker.kind is not TakerKind.BRIDGED):
                    assert not events.unexplained
                    assert not events.unexplained_drops
                    fills += len(events.fills)
        parent = update.close_time
    assert fills > 100


def test_ledgers_follow_each_other_and_close_times_are_the_main_networks() -> None:
    start, updates = run(feed_of())
    assert [u.ledger_index for u in updates] == list(
        range(start.ledger_index + 1, start.ledger_index + 1 + LEDGERS)
    )
    times = [start.close_time, *(u.close_time for u in updates)]
    # Rounded to ten seconds, or one second after the ledger before (Ledger Close Times).
    assert all(new == old + 1 or (new > old and new % 10 == 0) for old, new in pairwise(times))
    assert abs(times[-1] - times[0] - 4 * LEDGERS) <= 10
    assert not start.live


def test_the_same_seed_tells_the_same_and_another_one_something_else() -> None:
    one, other, third = run(feed_of()), run(feed_of()), run(feed_of(seed=SEED + 1))
    assert one == other
    assert one[1] != third[1]


def test_the_name_of_the_market_is_the_source() -> None:
    feed = feed_of("thin")
    assert feed.start().source == feed.source
    assert re.fullmatch(r"market thin \([0-9a-f]{8}\)", feed.source)


def test_check_data_comes_only_when_asked_for() -> None:
    feed = feed_of()
    start = feed.start()
    tracker = BookTracker(start.state)
    first = taken(feed)
    assert first.resync is None
    assert first.check.asks is first.check.bids is first.check.pool is None
    tracker.advance(first)
    feed.request_resync()
    second, third = taken(feed), taken(feed)
    assert second.resync is not None
    assert third.resync is None


def test_a_resync_gives_the_books_that_following_gives() -> None:
    feed = feed_of()
    start = feed.start()
    followed, repaired = BookTracker(start.state), BookTracker(start.state)
    for _ in range(20):
        update = taken(feed)
        followed.advance(update)
        repaired.advance(update)
    lost = taken(feed)
    followed.advance(lost)  # the other one misses a ledger
    feed.request_resync()
    update = taken(feed)
    followed.advance(update)
    repaired.open_ledger(update)
    lost_its_way = not repaired.trusted
    repaired.close_ledger(update)
    assert lost_its_way
    assert repaired.trusted
    for side in (Side.SELL, Side.BUY):
        seen = [(offer.index, offer.base_drops, offer.quote) for offer in repaired.offers(side)]
        assert seen == [(offer.index, offer.base_drops, offer.quote) for offer in followed.offers(side)]
    assert repaired.pool == followed.pool
    for _ in range(20):
        update = taken(feed)
        assert repaired.advance(update) == ()


def test_an_owners_funds_in_a_resync_are_his_balance_above_the_reserve() -> None:
    feed = feed_of()
    feed.start()
    feed.request_resync()
    update = taken(feed)
    entries = twin(ledgers=1).chain.state.entries
    snapshot = update.resync
    assert snapshot is not None
    for listed in snapshot.asks:
        root = entries[keys.account_root(listed.offer.owner)]
        reserve = 1_000_000 + 200_000 * root["OwnerCount"]
        assert listed.owner_funds == max(0, root["Balance"] - reserve)
    assert snapshot.bids
    assert all(listed.owner_funds is not None and listed.owner_funds >= 0 for listed in snapshot.bids)


@pytest.mark.parametrize(("speed", "seconds"), [(1.0, 4.0), (40.0, 0.1)])
def test_at_a_speed_a_ledger_comes_every_four_seconds_of_feed_time(speed: float, seconds: float) -> None:
    clock = Clock()
    feed = SimulatedFeed("calm", seed=SEED, speed=speed, clock=clock)
    feed.start()
    begun = clock.now
    for number in range(10):
        assert isinstance(feed.next(60.0), LedgerUpdate)
        assert clock.now - begun == pytest.approx(number * seconds)


def test_a_ledger_that_is_not_due_in_time_is_none_and_comes_later() -> None:
    clock = Clock()
    feed = SimulatedFeed("calm", seed=SEED, speed=1.0, clock=clock)
    feed.start()
    first = feed.next(0.25)
    waits = [feed.next(0.25) for _ in range(15)]
    second = feed.next(0.25)
    assert isinstance(first, LedgerUpdate)
    assert waits == [None] * 15
    assert isinstance(second, LedgerUpdate)
    assert second.ledger_index == first.ledger_index + 1


def test_at_full_speed_nobody_waits() -> None:
    clock = Clock()
    feed = SimulatedFeed("calm", seed=SEED, speed=None, clock=clock)
    run(feed, 5)
    assert clock.slept == []


def test_speed_changes_nothing_of_what_is_told() -> None:
    assert run(feed_of(speed=100.0), 20) == run(feed_of(), 20)


def test_next_before_start_and_after_close_is_refused() -> None:
    feed = feed_of()
    with pytest.raises(FeedError, match="start"):
        feed.next(1.0)
    feed.start()
    feed.close()
    feed.close()
    with pytest.raises(FeedError, match="start"):
        feed.next(1.0)


def test_an_unknown_market_is_refused_when_it_is_opened() -> None:
    with pytest.raises(UsageError, match="--market psychic"):
        feed_of("psychic").start()


def test_the_paper_account_of_the_feed_is_the_one_recordings_have() -> None:
    start = feed_of().start()
    tracker = BookTracker(start.state)
    root, line = tracker.account(start.accounts["neo"]), tracker.line(start.accounts["neo"])
    assert root is not None
    assert line is not None
    assert root.balance_drops == 499_999_990
    assert line.balance == Decimal(1_000)
    assert tracker.transfer_rate == 1
