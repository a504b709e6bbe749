"""What is read from a session or a recording, in one form, before any statistics.

Distances are in bps of the touch's price, counted from the best price of others away from the market: 0 at
the touch, positive behind it, negative inside the spread (`market_snapshots` stores the opposite sign).

1. A `Look` is one order of ours that stood at `distance` when a ledger began, and whether that ledger
   filled it. From sessions: at most one a ledger and side, the best order.
2. A `Reach` is how deep a ledger went on one side, as takers show it to everybody: an order of ours at
   `distance` would have been filled when distance < reach. None: nobody took that side, or not as far as
   the touch of the ledger before. From recordings: one a ledger and side.
3. Only two ledgers that follow each other make a Look or a Reach; `ledger` is the place of the earlier one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

import msgspec

BID, ASK = "bid", "ask"
SIDES = (BID, ASK)
BPS = 10_000.0


class LedgerView(msgspec.Struct, frozen=True, kw_only=True):
    """A ledger with both sides. source: number of its session or recording. second: Unix time."""

    source: int
    index: int
    second: int
    bid: float
    ask: float

    @property
    def mid(self) -> float:
        """Halfway between the best prices."""
        return (self.bid + self.ask) / 2


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """An order of ours through one ledger. price: its own, RLUSD per XRP."""

    ledger: int
    side: str
    distance: float
    price: float
    hit: bool


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """How deep a ledger went on one side."""

    ledger: int
    side: str
    reach: float | None


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """All that was read; either looks or reaches are empty. value_rlusd: of the account, None when unknown.

    skipped: ledgers that could not be used (gap, empty side, not trusted).
    """

    names: tuple[str, ...]
    ledgers: tuple[LedgerView, ...]
    looks: tuple[Look, ...]
    reaches: tuple[Reach, ...]
    skipped: int
    value_rlusd: float | None

    @property
    def hits(self) -> int:
        """Fills at known distances, or ledgers that went to the touch or deeper."""
        if self.reaches:
            return sum(one.reach is not None for one in self.reaches)
        return sum(one.hit for one in self.looks)


def behind_bps(side: str, price: float, view: LedgerView) -> float:
    """Return how far `price` lies behind the touch of its side, negative inside it.

    >>> view = LedgerView(source=1, index=1, second=0, bid=2.0, ask=2.002)
    >>> round(behind_bps(BID, 1.999, view), 9), round(behind_bps(ASK, 2.0010, view), 4)
    (5.0, -4.995)
    """
    if side == BID:
        return (view.bid - price) / view.bid * BPS
    return (price - view.ask) / view.ask * BPS


def from_mid_bps(side: str, price: float, view: LedgerView) -> float:
    """Return how far `price` lies from the mid, positive on the side's own side of it."""
    sign = 1.0 if side == ASK else -1.0
    return sign * (price / view.mid - 1) * BPS


def follows(evidence_ledgers: Sequence[LedgerView], place: int) -> bool:
    """Return whether the ledger after `place` is the very next one of the same source."""
    if place + 1 >= len(evidence_ledgers):
        return False
    now, then = evidence_ledgers[place], evidence_ledgers[place + 1]
    return now.source == then.source and then.index == now.index + 1


def later(evidence: Evidence, place: int, ledgers: int) -> LedgerView | None:
    """Return the ledger exactly `ledgers` after the one at `place`, None when it was not seen."""
    now = evidence.ledgers[place]
    wanted = now.index + ledgers
    # Places and indexes go up together within a source, so the place is at most so many further.
    end = min(place + ledgers, len(evidence.ledgers) - 1)
    while end > place and evidence.ledgers[end].source != now.source:
        end -= 1
    found = bisect_left(evidence.ledgers, wanted, place, end + 1, key=lambda view: view.index)
    if found <= end and evidence.ledgers[found].index == wanted:
        return evidence.ledgers[found]
    return None


def part(evidence: Evidence, first: int, last: int) -> Evidence:
    """Return the evidence of ledgers from place `first` to before `last`; places stay what they are."""
    return Evidence(
        names=evidence.names,
        ledgers=evidence.ledgers,
        looks=tuple(one for one in evidence.looks if first <= one.ledger < last),
        reaches=tuple(one for one in evidence.reaches if first <= one.ledger < last),
        skipped=evidence.skipped,
        value_rlusd=evidence.value_rlusd,
    )
