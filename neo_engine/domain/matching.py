"""What a transaction takes from the pair's book and pool, and what is left of it: as the server does it.

Theory. A taker is an OfferCreate on the pair, a Payment between XRP and the token, or one leg of an
order that only passes through the pair. All three are runs of the one engine (flow.py, and
offer_crossing.py for an OfferCreate) through a market that holds this one book and this one pool; this
module only puts the question in the engine's words and its answer in the pair's: drops and RLUSD.

`match` is pure: liquidity in, result out. Rates are as in `BookOffer`.

1. The taker never pays more than he offered or has, and an OfferCreate never a worse rate than its own.
2. What takers pay and get is what offers and pool get and give, to the unit (token sums to 16 digits).
3. Nothing is said of a transaction that the server refuses: a killed one only cleans up stale offers.

The token must have no transfer fee (`TransferRate` unset): RLUSD has none, and preflight checks it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from enum import Enum

import msgspec
from msgspec.structs import replace

from neo_engine.domain.amm import Pool, fee_units_for
from neo_engine.domain.assets import XRP, Asset, Side
from neo_engine.domain.book import BookOffer
from neo_engine.domain.errors import InvariantViolation
from neo_engine.domain.flow import Run
from neo_engine.domain.liquidity import (
    PARITY,
    CrossRequest,
    PoolState,
    Removal,
    RestingOffer,
)
from neo_engine.domain.number import ZERO
from neo_engine.domain.offer_crossing import ALL_DROPS, ALL_ISSUED, cross_run
from neo_engine.domain.steps import add_near, rate_of

#: The pair's token. Its name and issuer play no part here: nobody is charged a transfer fee.
_TOKEN = Asset("token", "issuer")
_ASKS = (_TOKEN, XRP)
_BIDS = (XRP, _TOKEN)

Funds = Callable[[str], Decimal | int | None]


class OrderKind(Enum):
    """What asks for liquidity."""

    OFFER = "offer"
    PAYMENT = "payment"
    LEG = "leg"


class Outcome(Enum):
    """How the transaction ends; the ledger's result code where it fails."""

    DONE = "tesSUCCESS"
    KILLED = "tecKILLED"
    UNFUNDED = "tecUNFUNDED_OFFER"
    EXPIRED = "tecEXPIRED"
    NO_RESERVE = "tecINSUF_RESERVE_OFFER"
    PATH_PARTIAL = "tecPATH_PARTIAL"
    PATH_DRY = "tecPATH_DRY"


class TakerOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What a taker asks for.

    side: BUY receives XRP and pays the token, SELL the other way round. base_drops, quote: both amounts
    of an OfferCreate; of a payment what to deliver and the most to spend; of a leg the amount in or out,
    the other one None. funds: what the taker can spend of what he pays (drops above his reserve, or
    token balance; None: without limit). sell: tfSell. may_rest: his reserve allows one more offer.
    partial, limit_quality, deliver_min: of a payment; deliver_min in what it delivers.
    pool_ahead: the leg of a token-to-token OfferCreate whose limit lies below the book's rate.
    rounds: of a leg, the drops of each of its rounds where they are known: the other book takes or
    hands them over rate by rate, and the pool's answer to two halves is not its answer to the whole.
    """

    kind: OrderKind
    taker: str
    side: Side
    base_drops: int | None
    quote: Decimal | None
    funds: Decimal | int | None
    sell: bool = False
    passive: bool = False
    immediate_or_cancel: bool = False
    fill_or_kill: bool = False
    expiration: int | None = None
    may_rest: bool = True
    partial: bool = False
    limit_quality: bool = False
    deliver_min: Decimal | int | None = None
    pool_ahead: bool = False
    rounds: tuple[int, ...] = ()


class Liquidity(msgspec.Struct, frozen=True, kw_only=True):
    """What stands against the taker.

    offers: the book he takes from (asks for a BUY), by rate and then arrival. funds: how much of what
    he offers an owner can give now: drops above his reserve for asks, token balance for bids; None for
    the issuer. tick_size: significant digits of the issuer's TickSize, 16 without one.
    parent_close_time: of the ledger before, in seconds since 2000-01-01.
    """

    offers: Sequence[BookOffer]
    funds: Funds
    pool: Pool | None
    tick_size: int
    parent_close_time: int


class Take(msgspec.Struct, frozen=True, kw_only=True):
    """What was taken of one offer. gone: it left the book with it, used up or out of funds.

    left_base_drops, left_quote: what remains of it.
    """

    index: str
    base_drops: int
    quote: Decimal
    left_base_drops: int
    left_quote: Decimal
    gone: bool


class Remainder(msgspec.Struct, frozen=True, kw_only=True):
    """What rests in the book: at the rate of the order as rounded to the tick, before any crossing."""

    base_drops: int
    quote: Decimal
    rate: Decimal


class MatchResult(msgspec.Struct, frozen=True, kw_only=True):
    """What happened. base_drops, quote: all that was exchanged, the pool included, both positive.

    pool_base_drops, pool_quote: the pool's part; pool_after: what it holds then, each swap rounded on
    its own, None if it was not touched. rounds: how many rates and swaps it took.
    """

    outcome: Outcome
    takes: tuple[Take, ...] = ()
    removals: tuple[Removal, ...] = ()
    base_drops: int = 0
    quote: Decimal = ZERO
    pool_base_drops: int = 0
    pool_quote: Decimal = ZERO
    pool_after: Pool | None = None
    remainder: Remainder | None = None
    rounds: int = 0


class _PairMarket:
    """The pair's book and pool as the engine asks for them."""

    __slots__ = ("_bids", "_liquidity", "parent_close_time")

    def __init__(self, liquidity: Liquidity, side: Side) -> None:
        self._liquidity = liquidity
        self._bids = side is Side.SELL
        self.parent_close_time = liquidity.parent_close_time

    def offers(self, pays: Asset, gets: Asset) -> Iterator[RestingOffer]:  # noqa: ARG002
        """Yield the book's offers as the taker sees them."""
        for offer in self._liquidity.offers:
            drops = Decimal(offer.base_drops)
            yield RestingOffer(
                index=offer.index,
                owner=offer.owner,
                rate=offer.rate,
                pays=drops if self._bids else offer.quote,
                gets=offer.quote if self._bids else drops,
                expiration=offer.expiration,
            )

    def funds(self, owner: str, asset: Asset) -> Decimal | None:  # noqa: ARG002
        """Return how much of what he offers an owner can give now."""
        funds = self._liquidity.funds(owner)
        return Decimal(funds) if isinstance(funds, int) else funds

    def pool(self, pays: Asset, gets: Asset, taker: str) -> PoolState | None:  # noqa: ARG002
        """Return the pool as `taker` sees it."""
        pool = self._liquidity.pool
        if pool is None:
            return None
        drops = Decimal(pool.base_drops)
        return PoolState(
            account=pool.account,
            pays=drops if self._bids else pool.quote,
            gets=pool.quote if self._bids else drops,
            fee_units=fee_units_for(pool, taker, self.parent_close_time),
        )

    def transfer_rate(self, issuer: str) -> int:  # noqa: ARG002
        """Return the rate of nothing."""
        return PARITY


def match(order: TakerOrder, liquidity: Liquidity) -> MatchResult:
    """Return what `order` does to `liquidity`. Raises InvariantViolation for an order without amounts."""
    if order.kind is OrderKind.OFFER:
        return _match_offer(order, liquidity)
    return _match_payment(order, liquidity)


def _match_offer(order: TakerOrder, liquidity: Liquidity) -> MatchResult:
    if order.base_drops is None or order.quote is None:
        raise InvariantViolation("match: an OfferCreate needs both amounts")
    if order.expiration is not None and order.expiration <= liquidity.parent_close_time:
        return MatchResult(outcome=Outcome.EXPIRED)
    buys, drops = order.side is Side.BUY, Decimal(order.base_drops)
    pays_asset, gets_asset = _ASKS if buys else _BIDS
    crossed = cross_run(
        CrossRequest(
            taker=order.taker,
            pays_asset=pays_asset,
            gets_asset=gets_asset,
            pays=order.quote if buys else drops,
            gets=drops if buys else order.quote,
            funds=None if order.funds is None else Decimal(order.funds),
            tick_size=liquidity.tick_size,
            sell=order.sell,
            passive=order.passive,
            immediate_or_cancel=order.immediate_or_cancel,
            fill_or_kill=order.fill_or_kill,
            owner_may_rest=order.may_rest,
        ),
        _PairMarket(liquidity, order.side),
    )
    outcome, run, rest = Outcome(crossed.result), crossed.run, crossed.rest
    if run is None:
        return MatchResult(outcome=outcome)
    remainder = None
    if rest is not None:
        base, quote = (rest.gets, rest.pays) if buys else (rest.pays, rest.gets)
        remainder = Remainder(base_drops=int(base), quote=quote, rate=rest.rate)
    if not crossed.moved:
        # Nothing is exchanged, but stale offers met on the way stay deleted (ledger-rules, Replace).
        lasting = tuple([removal for removal in run.removals.values() if removal.lasting])
        return MatchResult(outcome=outcome, removals=lasting, remainder=remainder)
    return _result(order, liquidity, run, remainder)


def _match_payment(order: TakerOrder, liquidity: Liquidity) -> MatchResult:
    rounds = order.rounds or (order.base_drops,)
    pays, gets = _in_and_out(order, rounds[0])
    if pays is None and gets is None:
        raise InvariantViolation("match: a payment or leg needs an amount in or out")
    limit = None
    if order.limit_quality and pays is not None and gets is not None:
        limit = rate_of(pays, gets)
    everything = ALL_DROPS if order.side is Side.BUY else ALL_ISSUED
    run = Run(
        _PairMarket(liquidity, order.side),
        source=order.taker,
        destination=order.taker,
        strands=(_ASKS,) if order.side is Side.BUY else (_BIDS,),
        funds=None if order.funds is None else Decimal(order.funds),
        room=None,
        limit=limit,
        crossing=False,
        pool_ahead=order.pool_ahead,
    )
    for drops in rounds:
        pays, gets = _in_and_out(order, drops)
        run.run(everything if gets is None else gets, pays)
    if order.kind is OrderKind.PAYMENT:
        if run.got != gets and not order.partial:
            return MatchResult(outcome=Outcome.PATH_PARTIAL)
        if run.got <= 0:
            return MatchResult(outcome=Outcome.PATH_DRY)
        if order.deliver_min is not None and run.got < order.deliver_min:
            return MatchResult(outcome=Outcome.PATH_PARTIAL)
    return _result(order, liquidity, run, None)


def _in_and_out(order: TakerOrder, base_drops: int | None) -> tuple[Decimal | None, Decimal | None]:
    base = None if base_drops is None else Decimal(base_drops)
    return (order.quote, base) if order.side is Side.BUY else (base, order.quote)


def _result(order: TakerOrder, liquidity: Liquidity, run: Run, remainder: Remainder | None) -> MatchResult:
    """Add up what the rounds of a run did to each offer and to the pool."""
    buys = order.side is Side.BUY
    book = run.only_book
    takes: dict[int, Take] = {}
    pool_pays = pool_gets = ZERO
    for _, done in run.log:
        one = done.passes[0]
        for at, pays, gets, _, left_pays, left_gets, _ in one.takes:
            base, quote = (gets, pays) if buys else (pays, gets)
            left_base, left_quote = (left_gets, left_pays) if buys else (left_pays, left_gets)
            before = takes.get(at)
            if before is not None:
                base, quote = base + before.base_drops, add_near(quote, before.quote)
            takes[at] = Take(
                index=book.offers[at].index,
                base_drops=int(base),
                quote=quote,
                left_base_drops=int(left_base),
                left_quote=left_quote,
                gone=at in book.gone,
            )
        if one.pool_gets:
            pool_pays, pool_gets = add_near(pool_pays, one.pool_pays), add_near(pool_gets, one.pool_gets)
    pool_after = None
    if pool_gets and book.pool is not None and liquidity.pool is not None:
        pool_base, pool_quote = (book.pool.gets, book.pool.pays) if buys else (book.pool.pays, book.pool.gets)
        pool_after = replace(liquidity.pool, base_drops=int(pool_base), quote=pool_quote)
    return MatchResult(
        outcome=Outcome.DONE,
        takes=tuple(takes.values()),
        removals=tuple(run.removals.values()),
        base_drops=int(run.got if buys else run.paid),
        quote=run.paid if buys else run.got,
        pool_base_drops=int(pool_gets if buys else pool_pays),
        pool_quote=pool_pays if buys else pool_gets,
        pool_after=pool_after,
        remainder=remainder,
        rounds=run.rounds,
    )
