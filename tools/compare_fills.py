"""Fills of two sessions side by side: which belong together, and why the others have no partner.

Pure: it reads no file and runs nothing. `tools/compare_paper_live.py` feeds it.

1. A fill has at most one partner, of the same side. Nearer ledgers pair first; within one distance the
   same taker's order before another's, then the nearer size.
2. A cause is read off what stood and who came in the ledger of the fill; nothing is guessed beyond that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from enum import Enum

import msgspec

from neo_engine.domain.assets import Side
from neo_engine.domain.fills import Fill, LiquiditySide
from neo_engine.domain.ledger import LedgerTransaction, LedgerUpdate, TakerKind, taken_legs
from neo_engine.domain.number import ZERO

SAME_SIZE = Decimal("0.01")  # of the first one's size
SAME_PRICE = Decimal("0.00001")  # of the price: 0.1 bps
ALIKE_PRICE = Decimal("0.0001")  # the engine keeps an order within as much of its wish
BPS = 10_000

TakerKey = tuple[str, str, str, int, str]


class Cause(Enum):
    """Why a fill of one session is missing, or has another size, in the other."""

    OWN = "we took it ourselves"
    TAKER = "the taker did not come, or asked for something else"
    NO_ORDER = "no order of ours stood on that side"
    PRICE = "our order stood at another price"
    PLACE = "an order of ours came or went in that ledger: its place decides"
    SIZE = "our order had another size"
    BOOK = "same taker and price: the others' offers differed"


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """An order of ours in the ledger after a decision. moving: it arrives or goes there. left: drops."""

    side: Side
    price: Decimal
    left: int
    moving: bool


class Matched(msgspec.Struct, frozen=True, kw_only=True):
    """Two fills that belong together; distance: ledgers from the first one's to the second one's."""

    first: Fill
    second: Fill

    @property
    def distance(self) -> int:
        """Ledgers by which the second one is later."""
        return self.second.ledger_index - self.first.ledger_index

    @property
    def same_size(self) -> bool:
        """True within SAME_SIZE of the first one's size."""
        return abs(self.second.base_drops - self.first.base_drops) <= self.first.base_drops * SAME_SIZE

    @property
    def price_bps(self) -> Decimal:
        """By how much the second one's price is higher."""
        return (self.second.price / self.first.price - 1) * BPS

    @property
    def same(self) -> bool:
        """True if ledger, price and size agree."""
        near = abs(self.price_bps) <= SAME_PRICE * BPS
        return self.distance == 0 and self.same_size and near


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What `compare` found: pairs, and what is left over on either side."""

    pairs: tuple[Matched, ...]
    only_first: tuple[Fill, ...]
    only_second: tuple[Fill, ...]

    @property
    def same(self) -> int:
        """How many fills agree in ledger, side, price and size."""
        return sum(pair.same for pair in self.pairs)


def compare(
    first: Sequence[Fill], second: Sequence[Fill], within: int, taker_of: Mapping[str, TakerKey]
) -> Comparison:
    """Pair the fills of two sessions, at most `within` ledgers apart. taker_of: by transaction hash."""
    free_first, free_second = list(first), list(second)
    pairs = []
    for distance in range(within + 1):
        for one in list(free_first):
            there = [
                other
                for other in free_second
                if other.side is one.side and abs(other.ledger_index - one.ledger_index) == distance
            ]
            if not there:
                continue
            best = min(there, key=lambda other: _unlike(one, other, taker_of))
            free_first.remove(one)
            free_second.remove(best)
            pairs.append(Matched(first=one, second=best))
    pairs.sort(key=lambda pair: (pair.first.ledger_index, pair.first.transaction_index))
    return Comparison(pairs=tuple(pairs), only_first=tuple(free_first), only_second=tuple(free_second))


def _unlike(one: Fill, other: Fill, taker_of: Mapping[str, TakerKey]) -> tuple[bool, int, int, int]:
    known = taker_of.get(one.tx_hash)
    return (
        known is None or known != taker_of.get(other.tx_hash),
        abs(other.base_drops - one.base_drops),
        other.ledger_index,
        other.transaction_index,
    )


def cause(
    fill: Fill, here: Sequence[Standing], there: Sequence[Standing], *, taker_came: bool, sizes: bool = False
) -> Cause:
    """Return why a fill of one session is not so in the other.

    here, there: our orders in the ledger of the fill, in its own session and in the other. taker_came: the
    same order was sent in the other market's ledger too. sizes: both have a fill, of different sizes.
    """
    if fill.liquidity is LiquiditySide.TAKER:
        return Cause.OWN
    if not taker_came:
        return Cause.TAKER
    side = [order for order in there if order.side is fill.side]
    if not side:
        return Cause.NO_ORDER
    same = [order for order in side if _near(order.price, fill.price)]
    if not same:
        return Cause.PRICE
    own = [order for order in here if order.side is fill.side and _near(order.price, fill.price)]
    if any(order.moving for order in (*own, *same)):
        return Cause.PLACE
    if sizes and {order.left for order in own} != {order.left for order in same}:
        return Cause.SIZE
    return Cause.BOOK


def _near(price: Decimal, other: Decimal) -> bool:
    return abs(price - other) <= other * SAME_PRICE


def alike(first: Sequence[Standing], second: Sequence[Standing]) -> bool:
    """True if as many orders stand on each side, each within 1 bps of its like."""
    for side in Side:
        here, there = (sorted(one.price for one in all_ if one.side is side) for all_ in (first, second))
        if len(here) != len(there) or any(abs(a / b - 1) > ALIKE_PRICE for a, b in zip(here, there)):
            return False
    return True


def taker_key(tx: LedgerTransaction) -> TakerKey | None:
    """Return what makes two markets' transactions the same wish: who, what, and the amounts asked."""
    if tx.taker is None:
        return None
    return tx.account, tx.kind, tx.taker.side.value, tx.taker.base_drops, str(tx.taker.quote)


def volume(fills: Iterable[Fill]) -> Decimal:
    """Return how much XRP was traded, in drops."""
    return sum((Decimal(fill.base_drops) for fill in fills), ZERO)


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """The first ledgers in which two markets differ, our own transactions left out; None: nowhere.

    order: the same transactions in another order. effects: one trades another amount or ends otherwise.
    wishes: somebody sends another transaction. kept: share of the takers' orders (immediate-or-cancel,
    fill-or-kill, payments) of the first market that the second has in the same ledger too.
    """

    order: int | None
    effects: int | None
    wishes: int | None
    kept: Decimal


def diverged(first: Sequence[LedgerUpdate], second: Sequence[LedgerUpdate], ours: str) -> Divergence:
    """Compare two recordings ledger by ledger, over the ledgers that both have."""
    others = {update.ledger_index: _strangers(update, ours) for update in second}
    both = [(update, others[update.ledger_index]) for update in first if update.ledger_index in others]
    found: dict[str, int] = {}
    seen = kept = 0
    tests: dict[str, Callable[[list[LedgerTransaction]], object]] = {
        "order": lambda txs: [tx.tx_hash for tx in txs],
        "effects": lambda txs: {tx.tx_hash: _effect(tx) for tx in txs},
        "wishes": lambda txs: {tx.tx_hash for tx in txs},
    }
    for update, there in both:
        here = _strangers(update, ours)
        for name, test in tests.items():
            if name not in found and test(here) != test(there):
                found[name] = update.ledger_index
        wanted = [taker_key(tx) for tx in here if _at_once(tx)]
        offered = [taker_key(tx) for tx in there if _at_once(tx)]
        seen += len(wanted)
        for key in wanted:
            if key in offered:
                offered.remove(key)
                kept += 1
    return Divergence(
        order=found.get("order"),
        effects=found.get("effects"),
        wishes=found.get("wishes"),
        kept=Decimal(kept) / max(seen, 1),
    )


def _strangers(update: LedgerUpdate, ours: str) -> list[LedgerTransaction]:
    return [tx for tx in update.transactions if tx.account != ours]


def _at_once(tx: LedgerTransaction) -> bool:
    taker = tx.taker
    if taker is None or taker.kind is TakerKind.BRIDGED:
        return False
    return taker.kind is TakerKind.PAYMENT or taker.immediate_or_cancel or taker.fill_or_kill


def _effect(tx: LedgerTransaction) -> object:
    return tx.result, [(leg.side, leg.base_drops, leg.quote) for leg in taken_legs(tx, None)]
