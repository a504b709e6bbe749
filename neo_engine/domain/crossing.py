"""One taker's run through a book and a pool, offer by offer, as the server's payment engine makes it.

Theory (rippled StrandFlow.h, BookStep.cpp, OfferStream.cpp). A run is a series of rounds. A round takes
from ONE rate only: the pool, where it beats the book, or all offers of the book's best rate. It is
computed backwards first (what must be paid to get what is wanted) and, if that costs more than may be
paid, forwards again (what do we get for what we have). Both directions look at the same offers but
round differently, and both clean up: an offer found expired, unfunded, reduced to dust or the taker's
own is removed for good, even if the round itself is thrown away.

Terms. `pays` and `gets` are the taker's: what goes into a step and what comes out. All amounts are
Decimals, drops without a fraction; a rate is pays per gets, so lower is better for the taker.

1. Nobody gives more than he offered or has; an owner's funds are netted over the whole run.
2. A round changes nothing until it is committed; removals of stale offers stand in any case.
3. Each committed round is one rate of the book, or one swap with the pool.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from enum import Enum

import msgspec

from neo_engine.domain.amm import PoolOffer, PoolSide, near_rates
from neo_engine.domain.assets import Side
from neo_engine.domain.book import BookOffer
from neo_engine.domain.hands import AtRate, FromPool, Getting, Hand, Paying, Purse, total
from neo_engine.domain.number import ONE, ZERO
from neo_engine.domain.steps import (
    add_near,
    mul_near,
    rate_of,
    scaled_down_drops,
    scaled_down_issued,
    sub_near,
    whole_near,
)

#: Rounds with the pool in one run (AMMContext.h, MaxIterations).
POOL_ROUNDS_MAX = 30
#: Rounds in one run before the server gives up (StrandFlow.h, maxTries).
ROUNDS_MAX = 1000
_SAME_AMOUNT = Decimal("1E-9")  # StrandFlow.h, limitOut
_CLEARLY = Decimal("0.999999999999")  # a rate below this part of the limit needs no exact division
_SAME_RATE = Decimal("1E-7")  # StrandFlow.h, the check of a round's own rate

Funds = Callable[[str], Decimal | int | None]


class RemovalReason(Enum):
    """Why an offer left the book without (or after) a trade."""

    EXPIRED = "expired"
    UNFUNDED = "unfunded"  # the owner has nothing left to give
    DUST = "dust"  # what is left is worth less than a drop at its own rate
    SELF_CROSSED = "self_crossed"  # the taker's own offer stood in his way


class Style(Enum):
    """How a run treats rates. OFFER: an OfferCreate on the pair. PAYMENT: its rate is no bound on offers.

    LEG_POOL_AHEAD: the leg of a token-to-token OfferCreate whose limit, a number in other units, lies
    below the book's rate: then the server lets the pool go ahead of the book at any price
    (BookOfferCrossingStep, qualityThreshold).
    """

    OFFER = "offer"
    PAYMENT = "payment"
    LEG_POOL_AHEAD = "leg_pool_ahead"


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a run may do. limit: the worst acceptable rate, None for any.

    want: most to get. cap: most to pay (None: any). funds: what the taker has (None: enough); it is
    netted round by round and so may differ from the cap by units of the 16th digit.
    """

    style: Style
    taker: str
    side: Side
    limit: Decimal | None
    want: Decimal
    cap: Decimal | None
    funds: Decimal | None


class _Round:
    """What one direction of one round would do; nothing of it is true before `Crossing.commit`."""

    __slots__ = ("funds", "got", "overdrawn", "paid", "passed", "pool_gets", "pool_pays", "takes")

    def __init__(self) -> None:
        self.paid = self.got = ZERO
        self.takes: list[tuple[int, Decimal, Decimal, Decimal, Decimal, bool]] = []
        self.passed: list[tuple[int, RemovalReason]] = []
        self.funds: dict[str, Purse] = {}
        self.pool_pays = self.pool_gets = ZERO
        self.overdrawn = False


class Crossing:
    """The state of one run: what is left of each offer, of each owner's funds and of the pool.

    `offers` must stand in the order of the book: by rate, then by arrival. `funds` answers how much
    of what he offers an owner can give now (None: without limit, the issuer himself).
    """

    def __init__(
        self, terms: Terms, offers: Sequence[BookOffer], funds: Funds, pool: PoolSide | None, close_time: int
    ) -> None:
        self._offers = offers
        self._count = len(offers)
        self._funds_of = funds
        self._close_time = close_time
        self.pool = pool
        self._crossing = terms.style is Style.OFFER
        self._pool_ahead = terms.style is Style.LEG_POOL_AHEAD
        self._taker = terms.taker
        self._limit = terms.limit
        self._well_within = None if terms.limit is None else mul_near(terms.limit, _CLEARLY)
        self._want, self._cap = terms.want, terms.cap
        self._purse = None if terms.funds is None else Purse(terms.funds)
        self._xrp_in = terms.side is Side.SELL
        self._scale_down = scaled_down_drops if self._xrp_in else scaled_down_issued
        self._first = 0
        self._left: dict[int, tuple[Decimal, Decimal]] = {}
        self._funds: dict[str, Purse | None] = {}
        self._pool_rounds = 0
        self._pool_answer: tuple[Decimal | None, PoolOffer | None] | None = None
        self._cur_pays = self._cur_gets = ZERO
        self._cur_funds: Purse | None = None
        self.taken: dict[int, tuple[Decimal, Decimal]] = {}
        self.gone: set[int] = set()
        self.removed: dict[int, RemovalReason] = {}
        self.stale: dict[int, RemovalReason] = {}
        self.pool_pays = self.pool_gets = ZERO
        self.paid = self.got = ZERO
        self.rounds = 0

    def run(self) -> None:
        """Make rounds until nothing more is wanted, may be paid, or is on offer within the limit."""
        want_left, cap_left = self._want, self._cap
        paid: list[Decimal] = []
        got: list[Decimal] = []
        paid_total = got_total = ZERO
        while want_left > 0 and (cap_left is None or cap_left > 0) and self.rounds < ROUNDS_MAX:
            wanted = self._wanted(want_left)
            if wanted is None:
                break
            done = self._round(wanted, cap_left)
            if done is None or not self._acceptable(done, wanted != want_left):
                self._clean()
                break
            self._commit(done)
            self._clean()
            self.rounds += 1
            paid.append(done.paid)
            got.append(done.got)
            paid_total, got_total = total(paid), total(got)
            want_left = sub_near(self._want, got_total)
            if self._cap is not None:
                cap_left = sub_near(self._cap, paid_total)
        self.paid, self.got = add_near(self.paid, paid_total), add_near(self.got, got_total)

    def run_on(self, want: Decimal, cap: Decimal | None) -> None:
        """Make a further run for these amounts on top of what was taken: the next round of a leg."""
        self._want, self._cap = want, cap
        self.run()

    def _wanted(self, want_left: Decimal) -> Decimal | None:
        """Return how much this round may get; None if nothing meets the limit (limitOut, qualityUpperBound).

        Where the pool is the best offer its average price falls with the amount, so the amount is cut
        to what meets the limit on average.
        """
        limit = self._limit
        if limit is None:
            return want_left
        book_rate = self._raw_tip()
        offer = self._pool_offer(book_rate)
        pool_best = offer is not None and (book_rate is None or offer.rate < book_rate)
        best = offer.rate if offer is not None and pool_best else book_rate
        if self._crossing and (best is None or best > limit):
            return None
        if not pool_best or self.pool is None:
            return want_left
        cut = self.pool.gets_at_average(limit)
        if cut is None:
            return want_left
        if not self._xrp_in:
            cut = whole_near(cut)
        return want_left if near_rates(cut, want_left, _SAME_AMOUNT) else min(cut, want_left)

    def _acceptable(self, done: _Round, was_cut: bool) -> bool:
        """Tell whether a round's own rate meets the limit, but for rounding where the amount was cut."""
        if self._well_within is None or self._limit is None:
            return True
        if done.paid < mul_near(self._well_within, done.got):
            return True
        rate = rate_of(done.paid, done.got)
        return rate <= self._limit or (was_cut and near_rates(rate, self._limit, _SAME_RATE))

    def _round(self, want: Decimal, cap: Decimal | None) -> _Round | None:
        done = self._walk(Getting(want))
        if done.got <= 0:
            return None
        if done.got != want and len(done.takes) + bool(done.pool_gets) > 1:
            # The server repeats the round with exactly what it could get: sums are rounded anew.
            done = self._walk(Getting(done.got))
        if done.overdrawn:
            return None
        if self._purse is not None:
            funds = self._purse.spendable
            cap = funds if cap is None else min(cap, funds)
            if cap <= 0:
                return None
        if cap is not None and cap < done.paid:
            done = self._walk(Paying(cap, done.paid, done.got))
            if done.got <= 0 or done.paid != cap or done.overdrawn:
                return None
        return done

    def _walk(self, hand: Hand) -> _Round:
        """Offer the hand everything of one rate, best first (BookStep.cpp, forEachOffer)."""
        done = _Round()
        at = self._step(done, self._first)
        rate = self._offers[at].rate if at >= 0 else None
        pool_offer = self._pool_offer(rate)
        level: Decimal | None = None
        attempted = False
        if self.pool is not None and pool_offer is not None:
            if self._crossing and self._limit is not None and pool_offer.rate > self._limit:
                return done
            self._take_pool(done, hand, self.pool, pool_offer)
            level, attempted = pool_offer.rate, True
        limit = self._limit if self._crossing else None
        while at >= 0:
            offer = self._offers[at]
            if level is None:
                level = offer.rate
            elif level != offer.rate:
                break
            if limit is not None:
                if offer.owner == self._taker and offer.rate <= limit:
                    self._condemn(at, RemovalReason.SELF_CROSSED)
                    level = level if attempted else None
                    at = self._step(done, at + 1)
                    continue
                if offer.rate > limit:
                    break
            attempted = True
            if not self._take_offer(done, hand, at, offer):
                break
            at = self._step(done, at + 1)
        done.paid, done.got = hand.result()
        return done

    def _take_pool(self, done: _Round, hand: Hand, pool: PoolSide, offer: PoolOffer) -> None:
        hand.take(FromPool(pool), offer.pays, offer.gets)
        done.pool_pays, done.pool_gets = hand.taken_pays, hand.taken_gets
        # More than the pool offered: its invariant check refuses the whole round (AMMOffer.cpp).
        done.overdrawn = hand.taken_pays > offer.pays or hand.taken_gets > offer.gets

    def _take_offer(self, done: _Round, hand: Hand, at: int, offer: BookOffer) -> bool:
        """Take from the offer `_step` stopped at; True if it is used up and the next may follow."""
        pays, gets, purse = self._cur_pays, self._cur_gets, self._cur_funds
        offered_pays, offered_gets = pays, gets
        if purse is not None and purse.spendable < gets:
            offered_gets = purse.spendable
            offered_pays = min(self._scale_down(offered_gets, offer.rate), pays)
        whole = hand.take(AtRate(offer.rate, self._xrp_in), offered_pays, offered_gets)
        if not hand.took:
            return False
        left_pays = sub_near(pays, hand.taken_pays)
        left_gets = sub_near(gets, hand.taken_gets)
        # Two amounts that differ by less than a unit of the 16th digit leave nothing.
        gone = whole or left_pays <= 0 or left_gets <= 0
        done.takes.append((at, hand.taken_pays, hand.taken_gets, left_pays, left_gets, gone))
        if purse is not None:
            done.funds[offer.owner] = purse.debited(hand.taken_gets)
        return gone

    def _step(self, done: _Round, at: int) -> int:
        """Return the place of the next offer that can be taken, from `at` on; -1 if there is none.

        Stale offers on the way are condemned; one that only this round's own takes made unfunded is
        passed over and goes with the round (OfferStream.cpp, step).
        """
        while at < self._count:
            if at not in self.gone:
                reason = self._stale_reason(done, at)
                if reason is None:
                    return at
                owner = self._offers[at].owner
                if reason is not RemovalReason.EXPIRED and owner in done.funds:
                    done.passed.append((at, reason))
                else:
                    self._condemn(at, reason)
            at += 1
        return -1

    def _stale_reason(self, done: _Round, at: int) -> RemovalReason | None:
        offer = self._offers[at]
        if offer.expiration is not None and offer.expiration <= self._close_time:
            return RemovalReason.EXPIRED
        left = self._left.get(at)
        if left is not None:
            pays, gets = left
        elif self._xrp_in:
            pays, gets = Decimal(offer.base_drops), offer.quote
        else:
            pays, gets = offer.quote, Decimal(offer.base_drops)
        if pays <= 0 or gets <= 0:
            return RemovalReason.DUST
        owner = offer.owner
        purse = done.funds.get(owner)
        if purse is None:
            purse = self._purse_of(owner)
        funds = None if purse is None else purse.spendable
        if funds is not None and funds <= 0:
            return RemovalReason.UNFUNDED
        if self._xrp_in and self._is_dust(offer.rate, pays, gets, funds):
            return RemovalReason.DUST
        self._cur_pays, self._cur_gets, self._cur_funds = pays, gets, purse
        return None

    def _is_dust(self, rate: Decimal, pays: Decimal, gets: Decimal, funds: Decimal | None) -> bool:
        """Tell whether whole drops would make the rest of a bid worse than its rate (OfferStream.cpp)."""
        if funds is not None and funds < gets:
            pays = min(scaled_down_drops(funds, rate), pays)
            gets = funds
        if pays <= 0:
            return True
        return pays <= ONE and rate_of(pays, gets) > rate

    def _purse_of(self, owner: str) -> Purse | None:
        if owner in self._funds:
            return self._funds[owner]
        answer = self._funds_of(owner)
        purse = None
        if answer is not None:
            funds = Decimal(answer) if isinstance(answer, int) else answer
            purse = Purse(funds)
        self._funds[owner] = purse
        return purse

    @property
    def funds(self) -> Decimal | None:
        """What the taker can still pay; None if that was never limited."""
        return None if self._purse is None else self._purse.spendable

    def _condemn(self, at: int, reason: RemovalReason) -> None:
        self.stale.setdefault(at, reason)

    def _clean(self) -> None:
        for at in self.stale:
            self.gone.add(at)
        while self._first < self._count and self._first in self.gone:
            self._first += 1

    def _commit(self, done: _Round) -> None:
        for at, pays, gets, left_pays, left_gets, gone in done.takes:
            before = self.taken.get(at)
            if before is not None:
                pays, gets = add_near(before[0], pays), add_near(before[1], gets)
            self.taken[at] = (pays, gets)
            self._left[at] = (left_pays, left_gets)
            if gone:
                self.gone.add(at)
        for at, reason in done.passed:
            self.gone.add(at)
            self.removed[at] = reason
        self._funds.update(done.funds)
        if self._purse is not None:
            self._purse = self._purse.debited(done.paid)
        if done.pool_gets and self.pool is not None:
            self.pool.swap(done.pool_pays, done.pool_gets)
            self.pool_pays = add_near(self.pool_pays, done.pool_pays)
            self.pool_gets = add_near(self.pool_gets, done.pool_gets)
            self._pool_rounds += 1
            self._pool_answer = None

    def left_of(self, at: int) -> tuple[Decimal, Decimal]:
        """Return (pays, gets) left of the offer at place `at`, which must have been taken from."""
        return self._left[at]

    def _raw_tip(self) -> Decimal | None:
        """Return the best rate in the book, stale offers included: the server asks before it cleans."""
        return self._offers[self._first].rate if self._first < self._count else None

    def _pool_offer(self, book_rate: Decimal | None) -> PoolOffer | None:
        if self.pool is None or self._pool_rounds >= POOL_ROUNDS_MAX:
            return None
        bound = book_rate
        out_of_reach = (
            self._crossing and self._limit is not None and book_rate is not None and self._limit < book_rate
        )
        if self._pool_ahead or out_of_reach:
            bound = None
        if self._pool_answer is None or self._pool_answer[0] != bound:
            self._pool_answer = (bound, self.pool.offer(bound))
        return self._pool_answer[1]
