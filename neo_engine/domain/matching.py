"""What a transaction takes from the book and the pool, and what is left of it: as the server does it.

Theory. A taker is an OfferCreate on the pair, a Payment between XRP and the token, or one leg of an
order that only passes through the pair. All three walk the same liquidity (crossing.py); they differ in
what limits them and in what happens to the rest (rippled CreateOffer.cpp, Payment.cpp; docs
"OfferCreate", "Payment"; docs/ledger-rules.md in short):

* an OfferCreate is rounded to the issuer's tick first (the buyer's payment, the seller's receipt),
  then crosses at its rate or better, then rests at its ORIGINAL rate with the amounts scaled down;
* a Payment delivers up to an amount for up to another; no rate bounds the offers it takes;
* a leg takes for a known amount in, or out, at any rate.

`match` is pure: liquidity in, result out. Amounts are drops and RLUSD; rates as in `BookOffer`.

1. The taker never pays more than he offered or has, and an OfferCreate never a worse rate than its own.
2. What takers pay and get is what offers and pool get and give, to the unit (token sums to 16 digits).
3. Nothing is said of a transaction that the server refuses: a killed one only cleans up stale offers.

The token must have no transfer fee (`TransferRate` unset): RLUSD has none, and preflight checks it.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from enum import Enum

import msgspec
from msgspec.structs import replace

from neo_engine.domain.amm import Pool, PoolSide, fee_units_for
from neo_engine.domain.assets import Side
from neo_engine.domain.book import BookOffer
from neo_engine.domain.crossing import Crossing, Funds, RemovalReason, Style, Terms
from neo_engine.domain.errors import InvariantViolation
from neo_engine.domain.number import ZERO
from neo_engine.domain.rounding import tick_rounded
from neo_engine.domain.steps import (
    divided_down_drops,
    divided_down_issued,
    next_better,
    rate_of,
    scaled_up_drops_loosely,
    scaled_up_issued,
    sub_near,
)

#: What "as much as possible" is to the server (STAmount.h: cMaxNative; half of cMaxValue at 10^80).
_ALL_DROPS = Decimal(9_000_000_000_000_000_000)
_ALL_ISSUED = Decimal("4999999999999999E80")


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


class Removal(msgspec.Struct, frozen=True, kw_only=True):
    """An offer that left the book untouched by the taker (or after its take, for want of funds)."""

    index: str
    reason: RemovalReason


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
    # A tick has at least three digits, so it moves an amount by 1 % at most and never to nothing.
    base_drops, quote, rest_rate = tick_rounded(
        order.side, order.base_drops, order.quote, liquidity.tick_size, sell=order.sell
    )
    if order.funds is not None and order.funds <= 0:
        return MatchResult(outcome=Outcome.UNFUNDED)
    base = Decimal(base_drops)
    pays, gets = (quote, base) if order.side is Side.BUY else (base, quote)
    limit = rate_of(pays, gets)
    funds = None if order.funds is None else Decimal(order.funds)
    cap = pays if funds is None else min(pays, funds)
    everything = _ALL_DROPS if order.side is Side.BUY else _ALL_ISSUED
    run = _run(
        order,
        liquidity,
        Terms(
            style=Style.OFFER,
            taker=order.taker,
            side=order.side,
            limit=next_better(limit) if order.passive else limit,
            want=everything if order.sell else gets,
            cap=cap,
            funds=funds,
        ),
    )
    crossed = run.got > 0
    if crossed and order.fill_or_kill:
        crossed = run.paid == cap if order.sell else run.got == gets
    left = _remainder(order, run, pays, gets, limit) if crossed else (pays, gets)
    if left[0] <= 0 or left[1] <= 0:
        return _result(order, liquidity, run, Outcome.DONE)
    unchanged = left == (pays, gets)
    if order.fill_or_kill or (order.immediate_or_cancel and unchanged):
        return _killed(liquidity, run, Outcome.KILLED)
    if order.immediate_or_cancel:
        return _result(order, liquidity, run, Outcome.DONE)
    if not order.may_rest:
        if unchanged:
            return _killed(liquidity, run, Outcome.NO_RESERVE)
        return _result(order, liquidity, run, Outcome.DONE)
    pays, gets = left
    rest_base, rest_quote = (gets, pays) if order.side is Side.BUY else (pays, gets)
    remainder = Remainder(
        base_drops=int(rest_base),
        quote=rest_quote,
        rate=rest_rate,
    )
    if not crossed:
        return MatchResult(
            outcome=Outcome.DONE, removals=_removals(liquidity, run.stale), remainder=remainder
        )
    return _result(order, liquidity, run, Outcome.DONE, remainder)


def _remainder(
    order: TakerOrder, run: Crossing, pays: Decimal, gets: Decimal, limit: Decimal
) -> tuple[Decimal, Decimal]:
    """Return (pays, gets) of what is left after crossing, scaled to keep the offer's rate.

    fixReducedOffersV1: rounded so that the rest is never worse for its takers than its own rate.
    """
    if run.funds is not None and run.funds <= 0:
        return ZERO, ZERO
    if order.sell:
        left = max(ZERO, sub_near(pays, run.paid))
        if not left:
            return ZERO, ZERO
        divide = divided_down_drops if order.side is Side.BUY else divided_down_issued
        return left, divide(left, limit)
    left = max(ZERO, sub_near(gets, run.got))
    if not left:
        return ZERO, ZERO
    scale = scaled_up_issued if order.side is Side.BUY else scaled_up_drops_loosely
    return scale(left, limit), left


def _match_payment(order: TakerOrder, liquidity: Liquidity) -> MatchResult:
    rounds = order.rounds or (order.base_drops,)
    first = rounds[0]
    pays, gets = _in_and_out(order, first)
    if pays is None and gets is None:
        raise InvariantViolation("match: a payment or leg needs an amount in or out")
    limit = None
    if order.limit_quality and pays is not None and gets is not None:
        limit = rate_of(pays, gets)
    everything = _ALL_DROPS if order.side is Side.BUY else _ALL_ISSUED
    run = _run(
        order,
        liquidity,
        Terms(
            style=Style.LEG_POOL_AHEAD if order.pool_ahead else Style.PAYMENT,
            taker=order.taker,
            side=order.side,
            limit=limit,
            want=everything if gets is None else gets,
            cap=pays,
            funds=None if order.funds is None else Decimal(order.funds),
        ),
    )
    for more in rounds[1:]:
        pays, gets = _in_and_out(order, more)
        run.run_on(everything if gets is None else gets, pays)
    if order.kind is OrderKind.PAYMENT:
        if run.got != gets and not order.partial:
            return MatchResult(outcome=Outcome.PATH_PARTIAL)
        if run.got <= 0:
            return MatchResult(outcome=Outcome.PATH_DRY)
        if order.deliver_min is not None and run.got < order.deliver_min:
            return MatchResult(outcome=Outcome.PATH_PARTIAL)
    return _result(order, liquidity, run, Outcome.DONE)


def _in_and_out(order: TakerOrder, base_drops: int | None) -> tuple[Decimal | None, Decimal | None]:
    base = None if base_drops is None else Decimal(base_drops)
    return (order.quote, base) if order.side is Side.BUY else (base, order.quote)


def _run(order: TakerOrder, liquidity: Liquidity, terms: Terms) -> Crossing:
    pool = liquidity.pool
    side = None
    if pool is not None:
        xrp_in = order.side is Side.SELL
        base = Decimal(pool.base_drops)
        side = PoolSide(
            pays=base if xrp_in else pool.quote,
            gets=pool.quote if xrp_in else base,
            fee_units=fee_units_for(pool, order.taker, liquidity.parent_close_time),
            xrp_in=xrp_in,
        )
    run = Crossing(terms, liquidity.offers, liquidity.funds, side, liquidity.parent_close_time)
    run.run()
    return run


def _removals(liquidity: Liquidity, reasons: dict[int, RemovalReason]) -> tuple[Removal, ...]:
    offers = liquidity.offers
    return tuple(Removal(index=offers[at].index, reason=reason) for at, reason in reasons.items())


def _killed(liquidity: Liquidity, run: Crossing, outcome: Outcome) -> MatchResult:
    """Nothing is exchanged, but stale offers met on the way stay deleted (ledger-rules, Replace)."""
    return MatchResult(outcome=outcome, removals=_removals(liquidity, run.stale))


def _result(
    order: TakerOrder,
    liquidity: Liquidity,
    run: Crossing,
    outcome: Outcome,
    remainder: Remainder | None = None,
) -> MatchResult:
    buys = order.side is Side.BUY
    takes = []
    for at, (pays, gets) in run.taken.items():
        left_pays, left_gets = run.left_of(at)
        takes.append(
            Take(
                index=liquidity.offers[at].index,
                base_drops=int(gets if buys else pays),
                quote=pays if buys else gets,
                left_base_drops=int(left_gets if buys else left_pays),
                left_quote=left_pays if buys else left_gets,
                gone=at in run.gone,
            )
        )
    pool_after = None
    if run.pool_gets and run.pool is not None and liquidity.pool is not None:
        pool_base, pool_quote = (run.pool.gets, run.pool.pays) if buys else (run.pool.pays, run.pool.gets)
        pool_after = replace(liquidity.pool, base_drops=int(pool_base), quote=pool_quote)
    reasons = run.stale | run.removed if run.removed else run.stale
    return MatchResult(
        outcome=outcome,
        takes=tuple(takes),
        removals=_removals(liquidity, reasons) if reasons else (),
        base_drops=int(run.got if buys else run.paid),
        quote=run.paid if buys else run.got,
        pool_base_drops=int(run.pool_gets if buys else run.pool_pays),
        pool_quote=run.pool_pays if buys else run.pool_gets,
        pool_after=pool_after,
        remainder=remainder,
        rounds=run.rounds,
    )
