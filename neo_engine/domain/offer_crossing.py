"""An OfferCreate from its cancel to what rests of it: rounded, crossed, killed or placed.

Theory (rippled CreateOffer.cpp, flowCross and applyGuts; docs/ledger-rules.md in short). The offer is
rounded to the tick first. Then it is crossed, directly and, between two tokens, through XRP as well, at
its own rate or better. The gateway of a token keeps its transfer fee of what the sender pays; the offer
allows for that: it may send so much more, and its limit is worse by it. What is left rests at the
ORIGINAL rate with the amounts scaled down.

1. The sender never pays more than he offered, the gateway's fee aside, or than he has.
2. Of an offer that is killed only the removal of stale offers lasts; of one refused for want of funds or
   reserve nothing does (Transactor.cpp).
3. Checks before the cancel (freeze, expiration, sequence, funds as they stood then) are the caller's.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from neo_engine.domain.assets import XRP
from neo_engine.domain.flow import Run
from neo_engine.domain.liquidity import PARITY, CrossRequest, CrossResult, Market, Rest
from neo_engine.domain.number import ZERO
from neo_engine.domain.rounding import tick_rounded_any
from neo_engine.domain.steps import (
    divided_down_drops,
    divided_down_issued,
    divided_up_issued,
    next_better,
    rate_of,
    scaled_up_drops_loosely,
    scaled_up_issued,
    sub_near,
)

#: What "as much as possible" is to the server (STAmount.h: cMaxNative; half of cMaxValue at 10^80).
ALL_DROPS = Decimal(9_000_000_000_000_000_000)
ALL_ISSUED = Decimal("4999999999999999E80")
_RATE_EXPONENT = -9  # transfer rates count billionths


class Crossed(msgspec.Struct, frozen=True, kw_only=True):
    """How an offer ends, and the run that shows what moved; `run` is None where none was made.

    result: the ledger's code. moved: what the run did counts.
    """

    result: str
    run: Run | None = None
    moved: bool = False
    rest: Rest | None = None


def cross(request: CrossRequest, market: Market) -> CrossResult:
    """Return what an OfferCreate does to `market`. Raises BadNumber for amounts no ledger can hold."""
    crossed = cross_run(request, market)
    run = crossed.run
    if run is None:
        return CrossResult(result=crossed.result)
    if not crossed.moved:
        lasting = tuple([removal for removal in run.removals.values() if removal.lasting])
        return CrossResult(result=crossed.result, removals=lasting, rest=crossed.rest)
    return CrossResult(
        result=crossed.result,
        paid=run.paid,
        got=run.got,
        moves=tuple(run.moves()),
        removals=tuple(run.removals.values()),
        rest=crossed.rest,
    )


def cross_run(request: CrossRequest, market: Market) -> Crossed:
    """Return how an OfferCreate ends with the run it made, for who needs more than the result of it."""
    # A tick has at least three digits, so it moves an amount by 1 % at most and never to nothing.
    pays, gets, rest_rate = tick_rounded_any(
        (request.pays, request.pays_asset.is_xrp),
        (request.gets, request.gets_asset.is_xrp),
        request.tick_size,
        sell=request.sell,
    )
    funds = request.funds
    if funds is not None and funds <= 0:
        return Crossed(result="tecUNFUNDED_OFFER")
    fee = PARITY
    if funds is not None and request.pays_asset.issuer:
        fee = market.transfer_rate(request.pays_asset.issuer)
    cap = pays if fee == PARITY else scaled_up_issued(pays, _as_number(fee))
    limit = rate_of(cap, gets)
    if funds is not None and funds < cap:
        cap = funds
    worst = next_better(limit) if request.passive else limit
    run = _run(request, market, worst)
    if run.out_of_reach(worst):
        return _ended(request, run, False, True, Rest(pays=pays, gets=gets, rate=rest_rate))
    want = gets
    if request.sell:
        want = ALL_ISSUED if request.gets_asset.issuer else ALL_DROPS
    run.run(want, cap)
    moved = run.got > 0
    if moved and request.fill_or_kill:
        moved = run.paid == cap if request.sell else run.got == gets
    if not moved:
        return _ended(request, run, False, True, Rest(pays=pays, gets=gets, rate=rest_rate))
    left = _left(request, run, (pays, gets, limit if fee == PARITY else rate_of(pays, gets)), fee)
    unchanged = left == (pays, gets)
    return _ended(request, run, True, unchanged, Rest(pays=left[0], gets=left[1], rate=rest_rate))


def _as_number(fee: int) -> Decimal:
    return Decimal(fee).scaleb(_RATE_EXPONENT)


def _run(request: CrossRequest, market: Market, limit: Decimal) -> Run:
    pays_asset, gets_asset = request.pays_asset, request.gets_asset
    direct = (pays_asset, gets_asset)
    return Run(
        market,
        source=request.taker,
        destination=request.taker,
        strands=(direct,) if XRP in direct else (direct, (pays_asset, XRP, gets_asset)),
        funds=request.funds,
        room=None,
        limit=limit,
        crossing=True,
    )


def _left(
    request: CrossRequest, run: Run, offered: tuple[Decimal, Decimal, Decimal], fee: int
) -> tuple[Decimal, Decimal]:
    """Return (pays, gets) of what is left after crossing of an offer of (pays, gets, rate).

    fixReducedOffersV1: rounded so that the rest is never worse for its takers than its own rate.
    """
    pays, gets, rate = offered
    funds = run.funds
    if funds is not None and funds - request.line_reserve <= 0:
        return ZERO, ZERO
    if request.sell:
        paid = run.paid if fee == PARITY else divided_up_issued(run.paid, _as_number(fee))
        left = max(ZERO, sub_near(pays, paid))
        if not left:
            return ZERO, ZERO
        divide = divided_down_drops if not request.gets_asset.issuer else divided_down_issued
        return left, divide(left, rate)
    left = max(ZERO, sub_near(gets, run.got))
    if not left:
        return ZERO, ZERO
    scale = scaled_up_drops_loosely if not request.pays_asset.issuer else scaled_up_issued
    return scale(left, rate), left


def _ended(request: CrossRequest, run: Run, moved: bool, unchanged: bool, rest: Rest) -> Crossed:
    """Decide what becomes of the rest (applyGuts)."""
    if rest.pays <= 0 or rest.gets <= 0:
        return Crossed(result="tesSUCCESS", run=run, moved=moved)
    if request.fill_or_kill or (request.immediate_or_cancel and unchanged):
        return Crossed(result="tecKILLED", run=run)
    if request.immediate_or_cancel:
        return Crossed(result="tesSUCCESS", run=run, moved=moved)
    if not request.owner_may_rest:
        if unchanged:
            return Crossed(result="tecINSUF_RESERVE_OFFER")
        return Crossed(result="tesSUCCESS", run=run, moved=moved)
    return Crossed(result="tesSUCCESS", run=run, moved=moved, rest=rest)
