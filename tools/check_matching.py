"""Run every taker of a recording against the book and the pool before it and compare with the ledger.

    python tools/check_matching.py FILE...

For each transaction that asks for liquidity of the pair (OfferCreate, Payment, one leg of an order that
passes through the pair) `matching.match` is run on the tracked state just before it. Its answer is then
compared with the transaction's metadata: which offers were taken and how much of each, the pool's swap,
what left the book, what was placed, and whether it failed. Nothing of ours is the expectation.
"""

from __future__ import annotations

import gzip
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from time import perf_counter_ns

import msgspec

from neo_engine.domain.amm import Pool
from neo_engine.domain.assets import Side
from neo_engine.domain.book import BookTracker
from neo_engine.domain.ledger import (
    AccountChange,
    LedgerTransaction,
    LineChange,
    NodeAction,
    OfferChange,
    TakerIntent,
    TakerKind,
    taken_legs,
)
from neo_engine.domain.matching import (
    Liquidity,
    MatchResult,
    OrderKind,
    TakerOrder,
    match,
)
from neo_engine.domain.number import ZERO
from neo_engine.domain.taker import taker_order
from neo_engine.xrpl import wire
from neo_engine.xrpl.codec import Codec
from neo_engine.xrpl.state import pair_of, state_of, update_of_line

NO_TICK_SIZE = 16
NEAR = Decimal("1E-9")

Amounts = tuple[int, Decimal]


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """What metadata says a transaction did to our pair. Amounts are (drops, RLUSD), positive.

    takes: of each offer. left: what it left of each of those. gone: offers that left the book, its own
    cancelled one aside. pool: its part; pool_after: what it held then. taker: what the sender's balances
    changed by, the fee aside. placed: (drops, RLUSD, rate) of the offer it put into the book.
    """

    takes: dict[str, Amounts]
    left: dict[str, Amounts]
    gone: frozenset[str]
    pool: Amounts
    pool_after: Amounts
    taker: Amounts
    placed: tuple[int, Decimal, Decimal] | None
    result: str


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A transaction as the engine sees it and as the server sent it."""

    tx: LedgerTransaction
    message: wire.TransactionMessage
    codec: Codec


@dataclass(slots=True)
class Tally:
    """Counts of one class of transactions, and the causes of what differs."""

    count: int = 0
    good: Counter[str] = field(default_factory=Counter)
    causes: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    nanoseconds: list[int] = field(default_factory=list)


ASPECTS = ("result", "offers", "near", "exact", "gone", "rest", "all")


def truth_of(tx: LedgerTransaction, pool: Pool | None, cancelled: str | None) -> Truth:
    """Read from `tx` what really happened; `cancelled` is the index of the offer it replaces."""
    takes: dict[str, Amounts] = {}
    left: dict[str, Amounts] = {}
    gone: set[str] = set()
    placed = None
    moved: dict[str, tuple[int, Decimal]] = {}
    pool_after = (0, ZERO) if pool is None else (pool.base_drops, pool.quote)
    for change in tx.changes:
        if isinstance(change, OfferChange):
            if change.action is NodeAction.CREATED:
                placed = (change.base_drops, change.quote, change.rate)
            if change.touched:
                takes[change.index] = (
                    change.previous_base_drops - change.base_drops,
                    change.previous_quote - change.quote,
                )
                left[change.index] = (change.base_drops, change.quote)
            if change.action is NodeAction.DELETED and change.index != cancelled:
                gone.add(change.index)
        elif isinstance(change, AccountChange) and change.account is not None:
            base, quote = moved.get(change.account, (0, ZERO))
            base = change.balance_drops - change.previous_balance_drops
            moved[change.account] = (base + (tx.fee_drops if change.account == tx.account else 0), quote)
            if pool is not None and change.account == pool.account:
                pool_after = (change.balance_drops, pool_after[1])
        elif isinstance(change, LineChange):
            base, _ = moved.get(change.holder, (0, ZERO))
            moved[change.holder] = (base, change.balance - change.previous_balance)
            if pool is not None and change.holder == pool.account:
                pool_after = (pool_after[0], change.balance)
    swap = moved.get("" if pool is None else pool.account, (0, ZERO))
    taker = moved.get(tx.account, (0, ZERO))
    return Truth(
        takes=takes,
        left=left,
        gone=frozenset(gone),
        pool=(abs(swap[0]), abs(swap[1])),
        pool_after=pool_after,
        taker=(abs(taker[0]), abs(taker[1])),
        placed=placed,
        result=tx.result,
    )


def own_offer(tracker: BookTracker, owner: str, sequence: int | None) -> str | None:
    """Return the index of an account's offer in our two books, by its sequence."""
    if sequence is None:
        return None
    for side in Side:
        for offer in tracker.offers(side):
            if offer.owner == owner and offer.sequence == sequence:
                return offer.index
    return None


def order_of(tracker: BookTracker, case: Case, cancelled: str | None) -> TakerOrder | None:
    """Return the order a transaction makes of the state before it: its fee paid, its old offer cancelled.

    None for one that took both sides at once (it is not one run through one book).
    """
    tx = case.tx
    intent = tx.taker
    state = tracker.account(tx.account)
    if intent is None or state is None:
        return None
    rounds: tuple[int, ...] = ()
    if intent.kind is TakerKind.BRIDGED:
        if len(taken_legs(tx, None if tracker.pool is None else tracker.pool.account)) != 1:
            return None
        rounds = rounds_of(case, intent)
    owned = state.owner_count - (1 if cancelled is not None else 0)
    funds: Decimal | int = tracker.spendable_quote(tx.account)
    if intent.side is Side.SELL:
        funds = max(0, state.balance_drops - tx.fee_drops - tracker.reserve_drops(owned))
    return taker_order(
        tx,
        funds=funds,
        may_rest=state.balance_drops >= tracker.reserve_drops(owned + 1),
        rounds=rounds,
    )


def rounds_of(case: Case, intent: TakerIntent) -> tuple[int, ...]:
    """Return the drops of each round of a leg: what each rate of the other book gave (or took).

    Empty if they do not add up to the leg's drops: another pool or a further pair was used as well.
    """
    rounds: Counter[str] = Counter()
    for node in case.message.meta.AffectedNodes:
        body = node.ModifiedNode or node.DeletedNode
        if body is None or body.PreviousFields is None or body.FinalFields is None:
            continue
        final, old = body.FinalFields, body.PreviousFields
        gives = intent.side is Side.SELL
        before, after = (old.TakerGets, final.TakerGets) if gives else (old.TakerPays, final.TakerPays)
        other = final.TakerPays if gives else final.TakerGets
        if isinstance(before, str) and isinstance(after, str) and not case.codec.is_quote(other):
            rounds[final.BookDirectory] += int(before) - int(after)
    if sum(rounds.values()) != intent.base_drops:
        return ()
    return tuple(drops for _, drops in sorted(rounds.items()))


def liquidity_for(tracker: BookTracker, side: Side, cancelled: str | None) -> Liquidity:
    """Return what stands against a taker of `side`, without the offer he cancels first."""
    book = side.opposite
    offers = tracker.offers(book)
    if cancelled is not None:
        offers = tuple(offer for offer in offers if offer.index != cancelled)
    return Liquidity(
        offers=offers,
        funds=lambda owner: tracker.funds(owner, book),
        pool=tracker.pool,
        tick_size=tracker.tick_size or NO_TICK_SIZE,
        parent_close_time=tracker.parent_close_time,
    )


def close_to(one: Decimal | int, other: Decimal | int) -> bool:
    """True if two amounts differ by at most 1e-9 of the larger one."""
    one, other = Decimal(one), Decimal(other)
    return one == other or abs(one - other) <= NEAR * max(abs(one), abs(other))


def difference(result: MatchResult, truth: Truth, tracker: BookTracker, order: TakerOrder) -> dict[str, str]:
    """Return, by aspect, what differs between our answer and the ledger's; empty if nothing does."""
    faults: dict[str, str] = {}
    if result.outcome.value != truth.result:
        faults["result"] = f"result {result.outcome.value} != {truth.result}"
    takes = {take.index: (take.base_drops, take.quote) for take in result.takes}
    swap = (result.pool_base_drops, result.pool_quote)
    if takes.keys() != truth.takes.keys() or any(swap) != any(truth.pool):
        ours, theirs = takes.keys() - truth.takes.keys(), truth.takes.keys() - takes.keys()
        faults["offers"] = f"offers: {len(ours)} too many, {len(theirs)} missing; pool {swap} != {truth.pool}"
        faults["near"] = faults["exact"] = "other offers"
    else:
        whole = (result.base_drops, result.quote)
        pairs = [("offer", takes[index], amounts) for index, amounts in truth.takes.items()]
        pairs.append(("pool", swap, truth.pool))
        owners = {offer.owner for offer in map(tracker.offer, takes) if offer is not None}
        if order.kind is not OrderKind.LEG and order.taker not in owners:
            # Who takes his own offers by a payment moves nothing, and a leg's sender pays another token.
            pairs.append(("total", whole, truth.taker))
        for what, ours_, theirs_ in pairs:
            if not (close_to(ours_[0], theirs_[0]) and close_to(ours_[1], theirs_[1])):
                faults["near"] = f"{what} {ours_} != {theirs_}"
        left = {take.index: (take.left_base_drops, take.left_quote) for take in result.takes}
        for index, amounts in truth.left.items():
            if left[index] != amounts:
                faults["exact"] = f"offer left {left[index]} != {amounts}"
        pool = tracker.pool
        after = pool if result.pool_after is None else result.pool_after
        if after is not None and (after.base_drops, after.quote) != truth.pool_after:
            faults["exact"] = f"pool after {(after.base_drops, after.quote)} != {truth.pool_after}"
    gone = {removal.index for removal in result.removals} | {take.index for take in result.takes if take.gone}
    if gone != truth.gone:
        faults["gone"] = f"gone: {len(gone - truth.gone)} too many, {len(truth.gone - gone)} missing"
    rest = result.remainder
    placed = None if rest is None else (rest.base_drops, rest.quote, rest.rate)
    if placed != truth.placed:
        faults["rest"] = f"rest {placed} != {truth.placed}"
    return faults


def classify(tx: LedgerTransaction, truth: Truth) -> str:
    """Name the class a transaction is counted in."""
    kind = "none" if tx.taker is None else tx.taker.kind.value
    return f"{kind} {'took' if truth.takes or any(truth.pool) else 'took nothing'}"


def cases(path: Path) -> Iterator[tuple[BookTracker, Case]]:
    """Yield every transaction with the tracker in the state before it."""
    with gzip.open(path, "rb") as handle:
        header = wire.header_decoder.decode(handle.readline())
        pair = pair_of(header)
        tracker = BookTracker(state_of(pair, header.start_ledger, header.state, header.complete))
        codec = Codec(pair=pair)
        for number, text in enumerate(handle, start=2):
            line = wire.line_decoder.decode(text)
            update = update_of_line(codec, line, number)
            messages = {message.hash: message for message in line.transactions}
            tracker.open_ledger(update)
            for tx in update.transactions:
                yield tracker, Case(tx=tx, message=messages[tx.tx_hash], codec=codec)
                tracker.apply(tx)
            tracker.close_ledger(update)


def check(path: Path, tallies: dict[str, Tally]) -> None:
    """Run one recording and add what it shows to `tallies`, by class of transaction."""
    for tracker, case in cases(path):
        tx = case.tx
        if tx.taker is None:
            continue
        cancelled = own_offer(tracker, tx.account, tx.cancels)
        truth = truth_of(tx, tracker.pool, cancelled)
        tally = tallies.setdefault(classify(tx, truth), Tally())
        tally.count += 1
        where = f"{path.name} ledger {tracker.ledger_index + 1} tx {tx.index}"
        order = order_of(tracker, case, cancelled)
        if order is None:
            tally.causes["not one run"].append(where)
            continue
        liquidity = liquidity_for(tracker, order.side, cancelled)
        before = perf_counter_ns()
        result = match(order, liquidity)
        tally.nanoseconds.append(perf_counter_ns() - before)
        faults = difference(result, truth, tracker, order)
        for aspect in ASPECTS[:-1]:
            tally.good[aspect] += aspect not in faults
        tally.good["all"] += not faults
        for aspect, text in faults.items():
            tally.causes[aspect].append(f"{where}: {text}")


def report(tallies: dict[str, Tally], shown: int) -> None:
    """Print the table and, by cause, the first few of what differs."""
    print(
        f"{'class':24}{'count':>7}"
        + "".join(f"{aspect:>9}" for aspect in ASPECTS)
        + f"{'us p50':>8}{'p99':>7}"
    )
    for name, tally in sorted(tallies.items()):
        times = sorted(tally.nanoseconds) or [0]
        median, high = times[len(times) // 2], times[len(times) * 99 // 100]
        shares = "".join(f"{100 * tally.good[aspect] / tally.count:>9.3f}" for aspect in ASPECTS)
        print(f"{name:24}{tally.count:>7}{shares}{median / 1000:>8.1f}{high / 1000:>7.1f}")
    for name, tally in sorted(tallies.items()):
        for cause, places in sorted(tally.causes.items()):
            print(f"\n{name}, {cause}: {len(places)}")
            for place in places[:shown]:
                print(f"  {place}")


def main(arguments: list[str]) -> int:
    """Check the recordings named; exit code 2 without any."""
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    tallies: dict[str, Tally] = {}
    for name in arguments:
        check(Path(name), tallies)
    report(tallies, shown=8)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
