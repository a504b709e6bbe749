"""A strand: a chain of books from what the source pays to what the destination gets, and one round of it.

Theory (rippled StrandFlow.h, DirectStep.cpp, XRPEndpointStep.cpp). A round goes backwards first: from what
is wanted, book by book, to what it costs. Whatever link cannot give all (a book that runs out, a source
without enough) limits the round: what the links before it did is thrown away, it is run again for what
it can, and the round continues from there backwards to the source and forwards to the destination.

The ends. The source pays at most what it has and is allowed. In a payment the issuer of the last asset
keeps its transfer fee of what leaves the last book (`end_fee`), and the destination receives at most what
its trust line has room for.

1. A round changes nothing until it is committed.
2. The order of a committed round's moves is the server's: the limiting link, those before it, the source,
   then those behind it and the destination.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from neo_engine.domain.amm import gets_at_average, near_rates
from neo_engine.domain.assets import Asset
from neo_engine.domain.crossing import BookStep, Pass, Wallet
from neo_engine.domain.hands import Getting, Paying
from neo_engine.domain.liquidity import (
    PARITY,
    DestinationGot,
    Move,
    OfferTaken,
    PoolSwapped,
    SourcePaid,
)
from neo_engine.domain.number import ONE, ZERO
from neo_engine.domain.steps import (
    add_near,
    div_near,
    mul_near,
    ratio_down,
    ratio_up,
    scaled_up_issued,
    whole_near,
)

_SAME_AMOUNT = Decimal("1E-9")  # StrandFlow.h, limitOut
_RATE_EXPONENT = -9  # transfer rates count billionths

#: (rate, it is the pool's) of each book
Tips = list[tuple[Decimal, bool]]


def _as_number(fee: int) -> Decimal:
    return Decimal(fee).scaleb(_RATE_EXPONENT)


class Round:
    """One round of a strand as it would be: its passes book by book, what limited it, paid and got."""

    __slots__ = ("got", "limiting", "paid", "passes")

    def __init__(self, passes: list[Pass], limiting: int, paid: Decimal, got: Decimal) -> None:
        self.passes, self.limiting = passes, limiting
        self.paid, self.got = paid, got


class Strand:
    """The links of one chain, and its ends.

    wallets: all of the run. end_fee: billionths, charged on what
    leaves the last book. held: the destination holds the last asset on a trust line (it is neither XRP nor
    its own). crossing: an offer is crossed (a payment otherwise). simple: one book, and no fee on the way.
    """

    __slots__ = ("_assets", "_crossing", "_end_fee", "_held", "_simple", "_wallets", "steps")

    def __init__(
        self,
        assets: tuple[Asset, ...],
        steps: list[BookStep],
        wallets: list[Wallet],
        *,
        end_fee: int,
        held: bool,
        crossing: bool,
        simple: bool,
    ) -> None:
        self._assets = assets
        self.steps = steps
        self._wallets = wallets
        self._end_fee = end_fee
        self._held, self._crossing = held, crossing
        self._simple = simple

    @property
    def used(self) -> int:
        """Offers that the last passes looked at."""
        used = 0
        for step in self.steps:
            used += step.used
        return used

    def tips(self) -> Tips | None:
        """Return the best rate of each book, fees aside, and whether a pool has it; None if one has none."""
        tips = []
        for step in self.steps:
            tip = step.tip()
            if tip is None:
                return None
            tips.append(tip)
        return tips

    def upper_bound(self, tips: Tips) -> Decimal:
        """Return the best rate the strand can have now (qualityUpperBound).

        Where an offer is crossed fees are left out, except for a pool's: its rate is no constant.
        """
        if self._simple:
            return tips[0][0]
        bound = ONE
        for step, (rate, from_pool) in zip(self.steps, tips):
            bound = scaled_up_issued(bound, self._with_fee(step, rate, from_pool))
        return scaled_up_issued(bound, _as_number(self._end_fee))

    def _with_fee(self, step: BookStep, rate: Decimal, from_pool: bool) -> Decimal:
        if step.in_fee == PARITY or (self._crossing and (not from_pool or step.several)):
            return rate
        return scaled_up_issued(_as_number(step.in_fee), rate)

    def wanted(self, tips: Tips, want: Decimal, limit: Decimal) -> Decimal:
        """Return how much a round of this strand alone may get so as to meet `limit` (limitOut).

        Where a pool is the best offer its average price falls with the amount, so the amount is cut to
        what meets the limit on average.
        """
        for _, from_pool in tips:
            if from_pool:
                break
        else:
            return want
        slope, start = ZERO, ONE
        for step, (rate, from_pool) in zip(self.steps, tips):
            pool = step.book.pool
            if from_pool and pool is not None:
                step_slope, step_start = pool.average()
                if step.in_fee != PARITY:
                    part = div_near(ONE, _as_number(step.in_fee))
                    step_slope, step_start = mul_near(part, step_slope), mul_near(part, step_start)
            else:
                step_slope, step_start = ZERO, div_near(ONE, self._with_fee(step, rate, from_pool=False))
            slope = add_near(slope, mul_near(start, step_slope))
            start = mul_near(start, step_start)
        start = mul_near(start, div_near(ONE, _as_number(self._end_fee)))
        cut = gets_at_average(slope, start, limit)
        if cut is None:
            return want
        if not self._assets[-1].issuer:
            cut = whole_near(cut)
        return want if near_rates(cut, want, _SAME_AMOUNT) else min(cut, want)

    def _restart(self) -> None:
        for wallet in self._wallets:
            wallet.pending.clear()

    def round(self, want: Decimal, cap: Decimal | None, room: Decimal | None) -> Round | None:
        """Return what a round for `want` would do that costs `cap`, all the source can pay, at most.

        None if it comes to nothing. room: what the destination can receive.
        """
        steps = self.steps
        limiting = count = len(steps)
        self._restart()
        got = want if room is None else min(want, room)
        if got <= 0:
            return None
        cost = got if self._end_fee == PARITY else ratio_up(got, self._end_fee, PARITY)
        passes: list[Pass] = []  # the last book's first
        for step in reversed(steps):
            done = step.walk(Getting(cost))
            if done.got != cost and done.got > 0 and not done.overdrawn:
                limiting = count - 1 - len(passes)
                if passes or len(done.takes) + bool(done.pool_gets) > 1:
                    # The server repeats the pass with exactly what it could get: sums are rounded anew.
                    self._restart()
                    done = step.walk(Getting(done.got))
            if done.got <= 0 or done.overdrawn:
                return None
            passes.append(done)
            cost = done.paid
        passes.reverse()
        amount = passes[limiting].got if limiting < count else ZERO
        if cap is not None and cap < cost:
            if cap <= 0:
                return None
            self._restart()
            limiting, amount, cost = -1, cap, cap
        if limiting == count:
            return Round(passes, limiting, cost, got)
        for place in range(limiting + 1, count):
            back = passes[place]
            passes[place] = done = steps[place].walk(Paying(amount, back.paid, back.got))
            if done.got <= 0 or done.paid != amount or done.overdrawn:
                return None
            amount = done.got
        amount = ratio_down(amount, PARITY, self._end_fee)
        if self._held and amount > got:
            # Forwards a trust line never receives more than was found backwards; who crosses an offer
            # must receive exactly what arrives, so there the round fails.
            if self._crossing:
                return None
            amount = got
        return Round(passes, limiting, cost, amount)

    def moves(self, done: Round) -> Iterator[Move]:
        """Yield the changes of balances of a round, in the server's order."""
        paid = SourcePaid(asset=self._assets[0], amount=done.paid)
        got = DestinationGot(asset=self._assets[-1], amount=done.got)
        count, limiting = len(self.steps), done.limiting
        if limiting == count:
            yield got
        for place in range(min(limiting, count - 1), -1, -1):
            yield from self._moves_of(place, done)
        yield paid
        for place in range(limiting + 1, count):
            yield from self._moves_of(place, done)
        if limiting < count:
            yield got

    def _moves_of(self, place: int, done: Round) -> Iterator[Move]:
        book, one = self.steps[place].book, done.passes[place]
        if one.pool_gets and book.pool is not None:
            yield PoolSwapped(
                account=book.pool.account,
                pays_asset=book.pays_asset,
                gets_asset=book.gets_asset,
                pays=one.pool_pays,
                gets=one.pool_gets,
            )
        for at, pays, gets, gives, left_pays, left_gets, gone in one.takes:
            offer = book.offers[at]
            yield OfferTaken(
                index=offer.index,
                owner=offer.owner,
                pays_asset=book.pays_asset,
                gets_asset=book.gets_asset,
                pays=pays,
                gets=gets,
                gives=gives,
                left_pays=left_pays,
                left_gets=left_gets,
                gone=gone,
            )
