"""A run through books and pools: round after round of the best strand, until enough, or nothing, is got.

Theory (rippled StrandFlow.h, Flow.cpp). Strands compete by the best rate each could have; the best one
that gets anything at an acceptable rate makes a round, and then all are compared again. Payments and
crossed offers differ in what bounds them: a payment takes any rate unless it limits the rate of each
round, an offer takes its own rate or better. While more than one strand competes, pools offer growing,
numbered amounts (`PoolSide.numbered_offer`); alone, a strand takes of a pool all that the limit allows.

Not modelled: QualityIn and QualityOut of trust lines, authorised trust lines, deep freeze, domains.

1. The source never pays more than it has, or is allowed; nobody spends what he receives in the run.
2. Each committed round is one rate of each of its books, or one swap with its pool.
3. What was found stale is removed even if the round, or the run, comes to nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from neo_engine.domain.amm import PoolSide, near_rates
from neo_engine.domain.assets import Asset
from neo_engine.domain.crossing import Book, BookStep, Context, Removals, Wallet
from neo_engine.domain.flow_strand import Round, Strand
from neo_engine.domain.hands import Purse, total
from neo_engine.domain.liquidity import PARITY, FlowRequest, FlowResult, Market, Move
from neo_engine.domain.number import ZERO
from neo_engine.domain.steps import add_near, mul_near, rate_of, scaled_up_issued, sub_near

#: Offers looked at in one run after which no further round is begun (StrandFlow.h, maxOffersToConsider).
#: The server's other limit, 1000 rounds, is never met before: all but 30 rounds look at two offers or end
#: a book.
OFFERS_MAX = 1500
_CLEARLY = Decimal("0.999999999999")  # a rate below this part of the limit needs no exact division
_SAME_RATE = Decimal("1E-7")  # StrandFlow.h, the check of a round's own rate


class Run:
    """The state of one run. paid, got: totals as the server sums them.

    funds: what the source has, None without limit (he issues it). room: what the destination can still
    receive. limit: the worst acceptable rate. pool_ahead: pools go before offers of any rate, as in one
    leg alone of an offer that is bridged. removals: by index, in the order in which the offers left.
    log: each committed round and its strand.
    """

    __slots__ = (
        "_books",
        "_chains",
        "_context",
        "_crossing",
        "_destination",
        "_issues",
        "_limit",
        "_looked_at",
        "_market",
        "_next",
        "_pool_ahead",
        "_purse",
        "_room",
        "_source",
        "_wallets",
        "got",
        "log",
        "paid",
        "removals",
    )

    def __init__(
        self,
        market: Market,
        *,
        source: str,
        destination: str,
        strands: Sequence[tuple[Asset, ...]],
        funds: Decimal | None,
        room: Decimal | None,
        limit: Decimal | None,
        crossing: bool,
        pool_ahead: bool = False,
    ) -> None:
        self._market = market
        self._source, self._destination = source, destination
        self._issues = funds is None
        self._crossing, self._pool_ahead = crossing, pool_ahead
        self._limit = limit
        self._context = Context(market.parent_close_time)
        self._purse = None if funds is None else Purse(funds)
        self._room = None if room is None else Purse(room)
        self._books: list[Book] = []
        self._chains = [(assets, self._chain(assets)) for assets in strands]
        self._wallets: list[Wallet] = []
        self._next: list[Strand] | None = None
        self._looked_at = 0
        self.removals: Removals = {}
        self.log: list[tuple[Strand, Round]] = []
        self.paid = self.got = ZERO

    @property
    def rounds(self) -> int:
        """How many rounds were committed."""
        return len(self.log)

    @property
    def only_book(self) -> Book:
        """The book of a run that has just one."""
        (book,) = self._books
        return book

    @property
    def funds(self) -> Decimal | None:
        """What the source can still pay; None if that has no limit."""
        return None if self._purse is None else self._purse.spendable

    def _chain(self, assets: tuple[Asset, ...]) -> list[Book]:
        chain, pays = [], assets[0]
        for gets in assets[1:]:
            for book in self._books:
                if book.pays_asset == pays and book.gets_asset == gets:
                    break
            else:
                book = self._book(pays, gets)
                self._books.append(book)
            chain.append(book)
            pays = gets
        return chain

    def _book(self, pays: Asset, gets: Asset) -> Book:
        side = None
        state = self._market.pool(pays, gets, self._source)
        if state is not None:
            side = PoolSide(
                account=state.account,
                pays=state.pays,
                gets=state.gets,
                fee_units=state.fee_units,
                xrp_in=not pays.issuer,
                xrp_out=not gets.issuer,
            )
        return Book(pays, gets, self._market.offers(pays, gets), side)

    def _wallet(self, asset: Asset) -> Wallet:
        """Return the wallet of what offers of the run give in `asset`."""
        for wallet in self._wallets:
            if wallet.asset == asset:
                return wallet
        wallet = Wallet(asset, self._market.funds)
        self._wallets.append(wallet)
        return wallet

    def out_of_reach(self, limit: Decimal) -> bool:
        """Tell whether nothing on offer meets `limit`, however little is taken and without any fee."""
        for _, books in self._chains:
            bound: Decimal | None = None
            for book in books:
                rate = book.best_rate()
                if rate is None:
                    break
                bound = rate if bound is None else scaled_up_issued(bound, rate)
            else:
                if bound is None or bound <= limit:
                    return False
        return True

    def _fee(self, asset: Asset) -> int:
        """Return the transfer rate of what others than its issuer and the destination move."""
        if not asset.issuer or asset.issuer == self._destination:
            return PARITY
        return self._market.transfer_rate(asset.issuer)

    def _strand(self, assets: tuple[Asset, ...], books: list[Book]) -> Strand:
        crossing, limit = self._crossing, self._limit
        threshold = ZERO if self._pool_ahead else limit if crossing else None
        steps = []
        in_fee = PARITY
        for place, book in enumerate(books):
            pays, gets = book.pays_asset, book.gets_asset
            step = BookStep(
                book,
                self._wallet(gets),
                self._context,
                taker=self._source,
                bound=limit if crossing and len(books) == 1 else None,
                threshold=threshold,
            )
            in_fee = out_fee = PARITY
            if pays.issuer and not (crossing if place else self._issues):
                in_fee = self._fee(pays)
            if crossing and gets.issuer:
                out_fee = self._fee(gets)
            if in_fee != PARITY or out_fee != PARITY:
                step.charge(
                    in_fee,
                    out_fee,
                    receives_free=self._source if crossing and not place else None,
                    gives_free=self._destination if crossing and place else None,
                )
            steps.append(step)
        last = assets[-1]
        charged = not crossing and (books or not self._issues)
        end_fee = self._fee(last) if charged else PARITY
        return Strand(
            assets,
            steps,
            self._wallets,
            end_fee=end_fee,
            held=bool(last.issuer) and last.issuer != self._destination,
            crossing=crossing,
            simple=len(books) == 1 and in_fee == end_fee == PARITY,
        )

    def _strands(self) -> list[Strand]:
        strands = [self._strand(assets, books) for assets, books in self._chains]
        self._context.several = len(strands) > 1
        # The links behind a first one; its receipts are the source's own asset.
        for strand in strands:
            for step in strand.steps[1:]:
                # In drops, receipts change nothing: what was there at first less all debits decides.
                if step.book.pays_asset.issuer:
                    step.credit_to(self._wallet(step.book.pays_asset))
        return strands

    def run(self, want: Decimal, cap: Decimal | None) -> None:
        """Make rounds until `want` is got, `cap` is paid, or nothing is on offer within the limit.

        Called again, it goes on from what the first call left, for other amounts.
        """
        want_left, cap_left = want, cap
        paid: list[Decimal] = []
        got: list[Decimal] = []
        paid_total = got_total = ZERO
        self._looked_at = 0
        while want_left > 0 and (cap_left is None or cap_left > 0):
            best = self._best(want_left, cap_left)
            if best is not None:
                strand, done = best
                self._commit(strand, done)
                paid.append(done.paid)
                got.append(done.got)
                paid_total, got_total = total(paid), total(got)
                want_left = sub_near(want, got_total)
                if cap is not None:
                    cap_left = sub_near(cap, paid_total)
            for book in self._books:
                book.clean(self.removals)
            if best is None or self._looked_at >= OFFERS_MAX:
                break
        self.paid, self.got = add_near(self.paid, paid_total), add_near(self.got, got_total)

    def _active(self) -> list[Strand]:
        """Return the strands to try, best first; one that cannot meet the limit is out for good."""
        if self._next is None:
            self._next = self._strands()
        found, limit = self._next, self._limit
        if len(found) > 1:
            rated = []
            for strand in found:
                tips = strand.tips()
                rate = None if tips is None else strand.upper_bound(tips)
                if rate is not None and (limit is None or rate <= limit):
                    rated.append((rate, strand))
            rated.sort(key=_rate_first)
            found = [strand for _, strand in rated]
        self._context.several = len(found) > 1
        return found

    def _best(self, want: Decimal, cap: Decimal | None) -> tuple[Strand, Round] | None:
        """Return the round to make and its strand, None if there is none."""
        active, limit = self._active(), self._limit
        self._next = []
        if self._purse is not None:
            spendable = self._purse.spendable
            if cap is None or spendable < cap:
                cap = spendable
        room = None if self._room is None else self._room.spendable
        for place, strand in enumerate(active):
            self._context.pool_used = self._context.too_long = False
            wanted = want
            if limit is not None:
                tips = strand.tips()
                if self._crossing and (tips is None or strand.upper_bound(tips) > limit):
                    continue
                if tips is not None and len(active) == 1:
                    wanted = strand.wanted(tips, want, limit)
            done = strand.round(wanted, cap, room)
            self._looked_at += strand.used
            if done is None or not (limit is None or _acceptable(done, limit, was_cut=wanted != want)):
                continue
            if not self._context.too_long:
                self._next.append(strand)
            self._next.extend(active[place + 1 :])
            return strand, done
        return None

    def _commit(self, strand: Strand, done: Round) -> None:
        for step, one in zip(strand.steps, done.passes):
            book = step.book
            book.commit(one, self.removals)
            if one.pool_gets and book.pool is not None:
                self._swap(book, book.pool.account, one.pool_pays, one.pool_gets)
        for wallet in self._wallets:
            wallet.commit()
        if self._purse is not None:
            purse = self._purse
            if strand.steps and strand.steps[0].book.pays_asset.issuer:
                for received in strand.steps[0].book.received_by(self._source, done.passes[0]):
                    purse = purse.credited(received)
            self._purse = purse = purse.debited(done.paid)
            purse.settle()
        if self._room is not None:
            self._room = self._room.debited(done.got)
            self._room.settle()
        if self._context.pool_used:
            self._context.pool_rounds += 1
        self.log.append((strand, done))

    def _swap(self, book: Book, account: str, pays: Decimal, gets: Decimal) -> None:
        """Change a pool's amounts in the book it was taken through, and in one of the other direction."""
        for other in self._books:
            if other.pool is not None and other.pool.account == account:
                other.pool.swap(pays, gets, forwards=other is book)
                other.swapped()

    def moves(self) -> Iterator[Move]:
        """Yield all changes of balances of the committed rounds, in the server's order."""
        for strand, done in self.log:
            yield from strand.moves(done)


def _acceptable(done: Round, limit: Decimal, *, was_cut: bool) -> bool:
    """Tell whether a round's own rate meets the limit, but for rounding where the amount was cut."""
    if done.paid < mul_near(mul_near(limit, _CLEARLY), done.got):
        return True
    rate = rate_of(done.paid, done.got)
    return rate <= limit or (was_cut and near_rates(rate, limit, _SAME_RATE))


def _rate_first(rated: tuple[Decimal, Strand]) -> Decimal:
    return rated[0]


def flow(request: FlowRequest, market: Market) -> FlowResult:
    """Return what a payment through books and pools does to `market`.

    A strand of one asset is a payment in it, from hand to hand. Nothing lasts of a payment that fails,
    not even the removal of stale offers.
    """
    run = Run(
        market,
        source=request.source,
        destination=request.destination,
        strands=request.strands,
        funds=request.funds,
        room=request.room,
        limit=request.limit_rate,
        crossing=False,
    )
    run.run(request.deliver, request.send_max)
    if run.got != request.deliver and not request.partial:
        return FlowResult(result="tecPATH_PARTIAL")
    if run.got <= 0:
        return FlowResult(result="tecPATH_DRY")
    return FlowResult(
        result="tesSUCCESS",
        paid=run.paid,
        got=run.got,
        moves=tuple(run.moves()),
        removals=tuple(run.removals.values()),
    )
