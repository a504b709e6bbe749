"""One book and its pool in a run: what is left of them, and what one pass through them takes.

Theory (rippled BookStep.cpp, OfferStream.cpp). A pass takes from ONE rate only: the pool, where it beats
the book, or all offers of the book's best rate. It goes backwards (what must be paid to get what is
wanted) or forwards (what do we get for what we have). Both look at the same offers but round differently,
and both clean up: an offer found expired, unfunded, reduced to dust or the taker's own is removed for
good, even if the pass itself is thrown away.

Terms. `pays` and `gets` are the taker's: what goes into a step and what comes out. All amounts are
Decimals, drops without a fraction; a rate is pays per gets, so lower is better for the taker.

Transfer fees. A token's issuer keeps a share of what moves between others. `in_fee` is charged on top of
what the owners receive, to the taker; `out_fee` on top of what the taker gets, to the owners (only when
an offer is crossed). Pools pay none, nor do the ones whom BookOfferCrossingStep excuses.

1. Nobody gives more than he offered or has; an owner's funds are netted over the whole run.
2. A pass changes nothing until it is committed; removals of stale offers stand in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

from neo_engine.domain.amm import POOL_ROUNDS_MAX, PoolOffer, PoolSide
from neo_engine.domain.assets import Asset
from neo_engine.domain.hands import AtRate, FromPool, Hand, Purse, Source
from neo_engine.domain.liquidity import PARITY, Removal, RemovalReason, RestingOffer
from neo_engine.domain.number import ONE, ZERO
from neo_engine.domain.steps import (
    divided_down_drops,
    divided_down_issued,
    rate_of,
    ratio_down,
    ratio_up,
    scaled_down_drops,
    scaled_down_issued,
    scaled_up_drops,
    scaled_up_issued,
    sub_near,
)

#: Offers one pass may look at; then its chain of books is not used again (BookStep.cpp, maxOffersToConsume).
OFFERS_MAX = 1000
#: The smallest amounts the ledger knows: a drop, and 10^15 with the exponent -96 (minPositiveAmount).
_LEAST_ISSUED = Decimal("1E-81")

Funds = Callable[[str, Asset], Decimal | None]
Removals = dict[str, Removal]
#: (place, owner receives, taker gets, owner gives, pays left, gets left, gone)
Taken = tuple[int, Decimal, Decimal, Decimal, Decimal, Decimal, bool]


class Context:
    """What all books of a run share (AMMContext.h).

    close_time: of the ledger before. several: more than one chain of books competes, so pools make
    numbered offers. pool_rounds: rounds that used a pool. Of the strand being tried: pool_used, it took
    of a pool; too_long: a pass looked at more offers than one may.
    """

    __slots__ = ("close_time", "pool_rounds", "pool_used", "several", "too_long")

    def __init__(self, close_time: int) -> None:
        self.close_time = close_time
        self.several = self.pool_used = self.too_long = False
        self.pool_rounds = 0


class Wallet:
    """What the accounts can still give of one asset. pending: the purses changed by the present pass."""

    __slots__ = ("_funds", "asset", "known", "pending")

    def __init__(self, asset: Asset, funds: Funds) -> None:
        self.asset = asset
        self._funds = funds
        self.known: dict[str, Purse | None] = {}
        self.pending: dict[str, Purse] = {}

    def purse(self, owner: str) -> Purse | None:
        """Return the purse of `owner` as the present pass has it, None if his funds have no limit."""
        purse = self.pending.get(owner)
        if purse is not None:
            return purse
        if owner in self.known:
            return self.known[owner]
        funds = self._funds(owner, self.asset)
        self.known[owner] = purse = None if funds is None else Purse(funds)
        return purse

    def changed(self, owner: str) -> bool:
        """Tell whether the present pass changed what `owner` can give (found or became unfunded)."""
        purse, before = self.pending.get(owner), self.known.get(owner)
        return purse is not None and before is not None and purse.spendable != before.spendable

    def credit(self, owner: str, amount: Decimal) -> None:
        """Note that `owner` receives `amount`."""
        purse = self.purse(owner)
        if purse is not None:
            self.pending[owner] = purse.credited(amount)

    def commit(self) -> None:
        """Make this pass's purses the true ones."""
        if self.pending:
            for purse in self.pending.values():
                purse.settle()
            self.known.update(self.pending)
            self.pending.clear()


class Pass:
    """What one pass would do; nothing of it is true before it is committed."""

    __slots__ = ("got", "overdrawn", "paid", "passed", "pool_gets", "pool_pays", "takes")

    def __init__(self) -> None:
        self.paid = self.got = ZERO
        self.takes: list[Taken] = []
        self.passed: list[tuple[int, RemovalReason]] = []
        self.pool_pays = self.pool_gets = ZERO
        self.overdrawn = False


class Book:
    """The offers that sell one asset for another, and the pool: what a run has left of them.

    Offers are asked for one by one, in the order of the book: by rate, then by arrival.
    """

    __slots__ = (
        "_answer",
        "_condemned",
        "_source",
        "first",
        "gets_asset",
        "gone",
        "left",
        "offers",
        "pays_asset",
        "pool",
    )

    def __init__(
        self, pays_asset: Asset, gets_asset: Asset, offers: Iterator[RestingOffer], pool: PoolSide | None
    ) -> None:
        self.pays_asset, self.gets_asset = pays_asset, gets_asset
        self._source: Iterator[RestingOffer] | None = offers
        self.offers: list[RestingOffer] = []
        self.pool = pool
        self._answer: tuple[object, PoolOffer | None] | None = None
        self.first = 0
        self.left: dict[int, tuple[Decimal, Decimal]] = {}
        self.gone: set[int] = set()
        self._condemned: list[tuple[int, RemovalReason]] = []

    def has(self, at: int) -> bool:
        """Tell whether there is an offer at place `at`, which may be one behind the last known."""
        if at < len(self.offers):
            return True
        if self._source is not None:
            for offer in self._source:
                self.offers.append(offer)
                return True
            self._source = None
        return False

    def raw_tip(self) -> Decimal | None:
        """Return the best rate in the book, stale offers included: the server asks before it cleans."""
        return self.offers[self.first].rate if self.has(self.first) else None

    def best_rate(self) -> Decimal | None:
        """Return a rate that nothing on offer beats: the best offer's or, before its fee, the pool's."""
        rate = self.raw_tip()
        pool = self.pool
        if pool is not None and pool.pays > 0 and pool.gets > 0:
            spot = pool.spot_rate()
            if rate is None or spot < rate:
                return spot
        return rate

    def received_by(self, owner: str, done: Pass) -> list[Decimal]:
        """Return what `owner` receives in a pass for each of his own offers taken."""
        return [take[1] for take in done.takes if self.offers[take[0]].owner == owner]

    def pool_offer(self, bound: Decimal | None, context: Context) -> PoolOffer | None:
        """Return what the pool offers ahead of a book of rate `bound` (None: none that counts)."""
        if self.pool is None or context.pool_rounds >= POOL_ROUNDS_MAX:
            return None
        asked = (bound, context.several, context.several and context.pool_rounds)
        if self._answer is None or self._answer[0] != asked:
            if context.several:
                answer = self.pool.numbered_offer(context.pool_rounds, bound)
            else:
                answer = self.pool.offer(bound)
            self._answer = (asked, answer)
        return self._answer[1]

    def condemn(self, at: int, reason: RemovalReason) -> None:
        """Mark an offer for removal whatever becomes of the round."""
        self._condemned.append((at, reason))

    def clean(self, removals: Removals) -> None:
        """Take out of the book what was condemned, and note it."""
        if self._condemned:
            for at, reason in self._condemned:
                self._remove(at, reason, removals, lasting=True)
            self._condemned.clear()
        while self.first in self.gone:
            self.first += 1

    def commit(self, done: Pass, removals: Removals) -> None:
        """Make what a pass did true, and note the offers that it left without funds."""
        for at, _, _, _, left_pays, left_gets, gone in done.takes:
            self.left[at] = (left_pays, left_gets)
            if gone:
                self.gone.add(at)
        for at, reason in done.passed:
            self._remove(at, reason, removals, lasting=False)

    def _remove(self, at: int, reason: RemovalReason, removals: Removals, *, lasting: bool) -> None:
        self.gone.add(at)
        index = self.offers[at].index
        if index not in removals:
            removals[index] = Removal(index=index, reason=reason, lasting=lasting)

    def swapped(self) -> None:
        """The pool's amounts changed: what it offered before is no longer true."""
        self._answer = None


class BookStep:
    """A book as one link of a chain.

    taker: who takes. bound: where an offer is crossed by this book alone, the worst acceptable rate; None
    otherwise. threshold: where an offer is crossed, the worst acceptable rate of the whole chain, None
    otherwise. wallet: of what owners give. in_fee: billionths. used: offers that the last pass looked at.
    """

    __slots__ = (
        "_at_rate",
        "_bound",
        "_context",
        "_credits",
        "_cur_gets",
        "_cur_pays",
        "_cur_purse",
        "_free",
        "_gives_free",
        "_least",
        "_out_fee",
        "_receives_free",
        "_scale_down",
        "_taker",
        "_threshold",
        "_wallet",
        "book",
        "in_fee",
        "used",
    )

    def __init__(
        self,
        book: Book,
        wallet: Wallet,
        context: Context,
        *,
        taker: str,
        bound: Decimal | None,
        threshold: Decimal | None,
    ) -> None:
        self.book = book
        self._wallet, self._context = wallet, context
        self._taker, self._bound, self._threshold = taker, bound, threshold
        self.in_fee = self._out_fee = PARITY
        self._free = True
        self._receives_free: str | None = None
        self._gives_free: str | None = None
        self._credits: Wallet | None = None
        if book.pays_asset.issuer:
            scale, self._scale_down = scaled_up_issued, scaled_down_issued
            least = _LEAST_ISSUED
        else:
            scale, self._scale_down = scaled_up_drops, scaled_down_drops
            least = ONE
        if book.gets_asset.issuer:
            self._at_rate = AtRate(ZERO, scale, divided_down_issued, PARITY)
        else:
            self._at_rate = AtRate(ZERO, scale, divided_down_drops, PARITY)
            least = ZERO
        self._least = least
        self.used = 0

    def charge(self, in_fee: int, out_fee: int, *, receives_free: str | None, gives_free: str | None) -> None:
        """Set the fees, in billionths, and who is excused from each as the owner of an offer.

        (BookOfferCrossingStep: getOfrInRate, getOfrOutRate.)
        """
        self.in_fee, self._out_fee = in_fee, out_fee
        self._free = in_fee == out_fee == PARITY
        self._receives_free, self._gives_free = receives_free, gives_free

    def credit_to(self, wallet: Wallet) -> None:
        """Note what owners receive in `wallet`: where other offers of the chain give that asset."""
        self._credits = wallet

    @property
    def several(self) -> bool:
        """More than one strand competes."""
        return self._context.several

    def tip(self) -> tuple[Decimal, bool] | None:
        """Return the best rate on offer, fees aside, and whether it is the pool's; None for none."""
        book_rate = self.book.raw_tip()
        if self.book.pool is not None:
            offer = self._pool_offer(book_rate)
            if offer is not None and (book_rate is None or offer.rate < book_rate):
                return offer.rate, True
        return None if book_rate is None else (book_rate, False)

    def _pool_offer(self, book_rate: Decimal | None) -> PoolOffer | None:
        """Return the pool's offer ahead of a book of `book_rate`.

        Who crosses at a limit below that rate is not kept from the pool by the book (qualityThreshold).
        The limit of a chain of two books is compared as well, though it is a number in other units.
        """
        threshold = self._threshold
        if threshold is not None and book_rate is not None and threshold < book_rate:
            book_rate = book_rate if self._context.several else None
        return self.book.pool_offer(book_rate, self._context)

    def walk(self, hand: Hand) -> Pass:
        """Offer the hand everything of one rate, best first (BookStep.cpp, forEachOffer)."""
        book = self.book
        done = Pass()
        self.used = 0
        at = self._step(done, book.first)
        rate = book.offers[at].rate if at >= 0 else None
        limit = self._bound
        level: Decimal | None = None
        attempted = False
        pool = book.pool
        pool_offer = None if pool is None else self._pool_offer(rate)
        if pool is not None and pool_offer is not None:
            if limit is not None and pool_offer.rate > limit:
                return done
            self._take_pool(done, hand, pool, pool_offer)
            level, attempted = pool_offer.rate, True
        while at >= 0:
            offer = book.offers[at]
            if level is None:
                level = offer.rate
            elif level != offer.rate:
                break
            if limit is not None:
                if offer.rate > limit:
                    break
                if offer.owner == self._taker:
                    book.condemn(at, RemovalReason.SELF_CROSSED)
                    level = level if attempted else None
                    at = self._step(done, at + 1)
                    continue
            attempted = True
            if not self._take_offer(done, hand, at, offer):
                break
            at = self._step(done, at + 1)
        done.paid, done.got = hand.result()
        return done

    def _take_pool(self, done: Pass, hand: Hand, pool: PoolSide, offer: PoolOffer) -> None:
        fee = self.in_fee
        if self._context.several:
            source: Source = self._at_rate
            self._at_rate.rate, self._at_rate.fee = offer.rate, fee
        else:
            source = FromPool(pool, fee)
        hand.take(source, ratio_up(offer.pays, fee, PARITY), offer.gets, offer.pays)
        done.pool_pays, done.pool_gets = hand.owner_pays, hand.taken_gets
        # More than the pool offered: its invariant check refuses the whole round (AMMOffer.cpp).
        done.overdrawn = hand.owner_pays > offer.pays or hand.taken_gets > offer.gets
        self._context.pool_used = True

    def _take_offer(self, done: Pass, hand: Hand, at: int, offer: RestingOffer) -> bool:
        """Take from the offer `_step` stopped at; True if it is used up and the next may follow."""
        pays, gets, purse = self._cur_pays, self._cur_gets, self._cur_purse
        offered_pays, offered_gets = pays, gets
        owner, rate = offer.owner, offer.rate
        if self._free:
            in_fee = out_fee = PARITY
        else:
            in_fee = PARITY if owner == self._receives_free else self.in_fee
            out_fee = PARITY if owner == self._gives_free else self._out_fee
        gives = gets if out_fee == PARITY else ratio_down(gets, out_fee, PARITY)
        if purse is not None and purse.spendable < gives:
            gives = purse.spendable
            offered_gets = ratio_down(gives, PARITY, out_fee)
            offered_pays = min(self._scale_down(offered_gets, rate), pays)
        source = self._at_rate
        source.rate, source.fee = rate, in_fee
        step_pays = offered_pays if in_fee == PARITY else ratio_up(offered_pays, in_fee, PARITY)
        whole = hand.take(source, step_pays, offered_gets, offered_pays)
        if not hand.took:
            return False
        owner_pays, taken_gets = hand.owner_pays, hand.taken_gets
        if not whole:
            gives = ratio_down(taken_gets, out_fee, PARITY)
        left_pays = sub_near(pays, owner_pays)
        left_gets = sub_near(gets, taken_gets)
        # Two amounts that differ by less than a unit of the 16th digit leave nothing.
        gone = whole or left_pays <= 0 or left_gets <= 0
        done.takes.append((at, owner_pays, taken_gets, gives, left_pays, left_gets, gone))
        if purse is not None:
            self._wallet.pending[owner] = purse.debited(gives)
        if self._credits is not None:
            self._credits.credit(owner, owner_pays)
        return gone

    def _step(self, done: Pass, at: int) -> int:
        """Return the place of the next offer that can be taken, from `at` on; -1 if there is none.

        Stale offers on the way are condemned; one that only this pass's own takes made unfunded is
        passed over and goes with the round (OfferStream.cpp, step).
        """
        book = self.book
        while book.has(at):
            if at not in book.gone:
                if self.used >= OFFERS_MAX:
                    self._context.too_long = True
                    return -1
                self.used += 1
                reason = self._stale_reason(at)
                if reason is None:
                    return at
                if reason is not RemovalReason.EXPIRED and self._wallet.changed(book.offers[at].owner):
                    done.passed.append((at, reason))
                else:
                    book.condemn(at, reason)
            at += 1
        return -1

    def _stale_reason(self, at: int) -> RemovalReason | None:
        book = self.book
        offer = book.offers[at]
        if offer.expiration is not None and offer.expiration <= self._context.close_time:
            return RemovalReason.EXPIRED
        left = book.left.get(at)
        if left is not None:
            pays, gets = left
        else:
            pays, gets = offer.pays, offer.gets
        if pays <= 0 or gets <= 0:
            return RemovalReason.DUST
        purse = self._wallet.purse(offer.owner)
        funds = None if purse is None else purse.spendable
        if funds is not None and funds <= 0:
            return RemovalReason.UNFUNDED
        if self._least and self._is_dust(offer.rate, pays, gets, funds):
            return RemovalReason.DUST
        self._cur_pays, self._cur_gets, self._cur_purse = pays, gets, purse
        return None

    def _is_dust(self, rate: Decimal, pays: Decimal, gets: Decimal, funds: Decimal | None) -> bool:
        """Tell whether rounding makes the rest of an offer worse than its rate (OfferStream.cpp).

        Asked where XRP is paid, whose drops are coarse, and between two tokens if less is paid than got.
        """
        if self._least is _LEAST_ISSUED and pays >= gets:
            return False
        if funds is not None and funds < gets:
            pays = min(self._scale_down(funds, rate), pays)
            gets = funds
        if pays < self._least:
            return True
        return pays == self._least and rate_of(pays, gets) > rate
