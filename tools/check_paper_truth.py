"""How near paper fills come to live ones: `replay --orders` against what really filled, order by order.

    python tools/check_paper_truth.py MARKET.jsonl.gz ORDERS.csv LIVE_FILLS.csv [--seeds N] [--settle]

The recording lacks our own transactions, so it cannot say where inside a ledger they would have stood:
that order is salted by a hash of the whole set (ledger-rules, Order). The paper exchange draws the place
from its seed. For each seed this prints how many really filled orders fill by the same amount (within
1 %), how many fill that did not, and the volume.

With --settle it then takes the one thing the recording cannot know from live_fills.csv: for each
ledger where a difference begins it tries the other places and keeps the one under which the order
agrees. What differs after that is listed with what happened in that ledger.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path

import msgspec
from msgspec.structs import replace

from neo_engine.bootstrap import PAPER_AGENT
from neo_engine.cli_session import DEFAULT_CONFIG, limits_off
from neo_engine.config import Config, load_config
from neo_engine.domain.book import BookTracker
from neo_engine.domain.capital import CapitalEvent, CapitalKind
from neo_engine.domain.fills import Fill
from neo_engine.domain.ledger import FeedStart, LedgerUpdate
from neo_engine.domain.number import xrp_from_drops
from neo_engine.execution.paper import PaperExchange, PlaceRule, boundaries, drawn_place
from neo_engine.execution.paper_account import PaperAccount
from neo_engine.execution.tracking import prepared as numbered
from neo_engine.execution.tracking import submitted
from neo_engine.feed.recorded import RecordedFeed
from neo_engine.ops.clock import SystemClock
from neo_engine.scripted import Script, ScriptedOrder, read_orders
from neo_engine.tick import Observation, initial_state

TOLERANCE = Decimal("0.01")  # of the live amount
Filled = dict[int, Decimal]


@dataclass(slots=True, kw_only=True)
class Run:
    """One paper run: fills by order, and in which ledger each order arrived and ended."""

    filled: Filled
    fills: list[Fill]
    arrived: dict[int, int] = field(default_factory=dict)
    ended: dict[int, int] = field(default_factory=dict)
    reasons: dict[int, str] = field(default_factory=dict)


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """A recording read once: its start and its ledgers."""

    start: FeedStart
    updates: tuple[LedgerUpdate, ...]


def read_market(path: Path) -> Market:
    """Return the recording at `path`. Raises FeedError if it is none."""
    updates = []
    feed = RecordedFeed(path, speed=None, clock=SystemClock(), silence_after_seconds=86_400)
    with closing(feed):
        start = feed.start()
        while not hasattr(item := feed.next(1.0), "detail"):
            if isinstance(item, LedgerUpdate):
                updates.append(item)
    return Market(start=start, updates=tuple(updates))


def paper_run(market: Market, orders: tuple[ScriptedOrder, ...], config: Config, place: PlaceRule) -> Run:
    """Return what the paper exchange makes of `orders` with the given place inside each ledger."""
    start = market.start
    book = BookTracker(start.state)
    address = start.accounts[PAPER_AGENT]
    root, line = book.account(address), book.line(address)
    if root is None or line is None:
        raise SystemExit(f"{start.source}: no account `{PAPER_AGENT}` with a trust line in the header")
    exchange = PaperExchange(
        book=book,
        account=PaperAccount(
            address=address,
            balance_drops=root.balance_drops,
            quote_balance=line.balance,
            owner_count=root.owner_count,
            sequence=root.sequence,
        ),
        seed=0,
        arrival_delay_ledgers=1,
        last_ledger_offset=config.execution.last_ledger_offset,
        depth_levels=1,
        place=place,
    )
    return _drive(market, exchange, Script(orders), config, (root.balance_drops, line.balance))


def _drive(
    market: Market, exchange: PaperExchange, script: Script, config: Config, opening: tuple[int, Decimal]
) -> Run:
    run = Run(filled=defaultdict(Decimal), fills=[])
    state = initial_state(config, market.start.close_time)
    capital = tuple(
        CapitalEvent(
            request_id=name,
            kind=CapitalKind.OPENING,
            base_drops=drops,
            quote=quote,
            note="",
            created_at="",
        )
        for name, drops, quote in (("xrp", opening[0], Decimal(0)), ("quote", 0, opening[1]))
    )
    for update in market.updates:
        report = exchange.advance(update)
        seen = Observation(
            kind="ledger",
            ledger_index=update.ledger_index,
            close_time=update.close_time,
            report=report,
            order_updates=(),
            faults=(),
            capital=capital,
            stop=None,
        )
        capital = ()
        decision = script.decide(state, seen, config, update.close_time)
        for outcome in report.transactions:
            run.arrived[outcome.order_id] = outcome.ledger_index
        for order in decision.changed_orders:
            if order.closed_ledger is not None:
                run.ended[order.order_id] = order.closed_ledger
                run.reasons[order.order_id] = order.failure_reason or order.status.value
        for fill in decision.fills:
            run.filled[fill.order_id] += xrp_from_drops(fill.base_drops)
            run.fills.append(fill)
        sent = exchange.prepare(decision.commands, update.ledger_index)
        marked = numbered(decision.state.orders, sent, update.ledger_index)
        state = replace(decision.state, orders=submitted(marked.orders, exchange.submit(sent)).orders)
    return run


def read_live(path: Path) -> tuple[Filled, dict[int, list[tuple[int, str]]]]:
    """Return live XRP by order, and for each order its (ledger, transaction hash) pairs."""
    filled: Filled = defaultdict(Decimal)
    where: dict[int, list[tuple[int, str]]] = defaultdict(list)
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            filled[int(row["order"])] += Decimal(row["xrp"])
            where[int(row["order"])].append((int(row["ledger_index"]), row["tx_hash"]))
    return filled, where


def agrees(order: int, paper: Filled, live: Filled) -> bool:
    """Tell whether an order filled by the same amount, within TOLERANCE of the live one."""
    really = live.get(order, Decimal(0))
    return abs(paper.get(order, Decimal(0)) - really) <= really * TOLERANCE


def report(name: str, paper: Filled, live: Filled) -> None:
    """Print one line of the table."""
    same = sum(1 for order in live if agrees(order, paper, live))
    extra = [order for order in paper if order not in live]
    volume, really = sum(paper.values(), Decimal(0)), sum(live.values(), Decimal(0))
    print(
        f"{name:<22} {same:>4} of {len(live)} same ({100 * same / len(live):5.1f} %)  "
        f"{len(extra):>2} filled that were not ({100 * len(extra) / len(live):4.1f} %)  "
        f"volume {volume:.2f} of {really:.2f} XRP ({100 * (volume / really - 1):+.2f} %)"
    )


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What `settle` looks with: live fills, the ledgers, and how to run with given places."""

    live: Filled
    updates: dict[int, LedgerUpdate]
    run_with: Callable[[dict[int, int]], Run]
    seed: int

    def kept(self, run: Run, before: int) -> int:
        """Return how many orders before number `before` agree."""
        return sum(1 for order in run.arrived if order < before and agrees(order, run.filled, self.live))

    def better(self, order: int, run: Run, places: dict[int, int]) -> tuple[Run, dict[int, int]] | None:
        """Return the run and places under which `order` agrees and no earlier one is lost, if any."""
        own_ledgers = set(run.arrived.values())
        for ledger in sorted({run.arrived[order], run.ended.get(order, 0)} & own_ledgers):
            now = places.get(ledger, drawn_place(self.seed, self.updates[ledger]))
            for place in boundaries(self.updates[ledger]):
                if place == now:
                    continue
                moved = {**places, ledger: place}
                tried = self.run_with(moved)
                if agrees(order, tried.filled, self.live) and self.kept(tried, order) >= self.kept(
                    run, order
                ):
                    return tried, moved
        return None


def settle(
    market: Market, live: Filled, run_with: Callable[[dict[int, int]], Run], seed: int
) -> tuple[Run, dict[int, int], list[int]]:
    """Return the run with the places that live fills imply, those places, and the orders still unlike."""
    updates = {update.ledger_index: update for update in market.updates}
    search = Search(live=live, updates=updates, run_with=run_with, seed=seed)
    places: dict[int, int] = {}
    unlike: list[int] = []
    run = run_with(places)
    while True:
        wrong = [order for order in sorted(run.arrived) if not agrees(order, run.filled, live)]
        wrong = [order for order in wrong if order not in unlike]
        if not wrong:
            return run, places, unlike
        found = search.better(wrong[0], run, places)
        if found is None:
            unlike.append(wrong[0])
        else:
            run, places = found


def explain(
    order: int, run: Run, live: Filled, where: dict[int, list[tuple[int, str]]], known: set[str]
) -> str:
    """Return what is known of an order that differs."""
    takers = [f"{hash_[:8]} in ledger {ledger}" for ledger, hash_ in where.get(order, [])]
    strangers = [hash_[:8] for _, hash_ in where.get(order, []) if hash_ not in known]
    mine = [fill for fill in run.fills if fill.order_id == order]
    paper = [f"{fill.tx_hash[:8]} in ledger {fill.ledger_index}" for fill in mine]
    cause = "an agent reacted: " + ", ".join(strangers) + " not in the recording" if strangers else ""
    return (
        f"order {order}: live {live.get(order, Decimal(0))} XRP ({', '.join(takers) or '-'}), "
        f"paper {run.filled.get(order, Decimal(0))} XRP ({', '.join(paper) or '-'}), arrived in ledger "
        f"{run.arrived.get(order)}, ended {run.reasons.get(order, '')!r} in {run.ended.get(order)}. {cause}"
    )


def main(arguments: list[str]) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("market", type=Path)
    parser.add_argument("orders", type=Path)
    parser.add_argument("live", type=Path)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--settle", action="store_true")
    options = parser.parse_args(arguments)
    market, orders = read_market(options.market), read_orders(options.orders)
    live, where = read_live(options.live)
    config = limits_off(load_config(DEFAULT_CONFIG))
    for seed in range(1, options.seeds + 1):
        drawn = paper_run(market, orders, config, partial(drawn_place, seed))
        report(f"seed {seed}", drawn.filled, live)
    if not options.settle:
        return 0
    seed = 1

    def run_with(places: dict[int, int]) -> Run:
        return paper_run(
            market,
            orders,
            config,
            lambda update: places.get(update.ledger_index, drawn_place(seed, update)),
        )

    run, places, unlike = settle(market, live, run_with, seed)
    report("order settled", run.filled, live)
    print(f"place inside the ledger taken from live in {len(places)} ledgers: {dict(sorted(places.items()))}")
    known = {tx.tx_hash for update in market.updates for tx in update.transactions}
    for order in unlike:
        print(explain(order, run, live, where, known))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
