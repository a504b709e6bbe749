"""What holds for every run through two strands, with fees and pools: nothing is made, nothing overdrawn."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from neo_engine.domain.assets import XRP, Asset
from neo_engine.domain.flow import flow
from neo_engine.domain.liquidity import (
    CrossRequest,
    DestinationGot,
    FlowRequest,
    Move,
    OfferTaken,
    PoolState,
    PoolSwapped,
    RestingOffer,
    SourcePaid,
)
from neo_engine.domain.offer_crossing import cross
from neo_engine.domain.rounding import tick_rounded_any
from neo_engine.domain.steps import rate_of
from tests.unit.market_fixture import EUR, NOW, USD, WrittenMarket

D = Decimal
OWNERS = ("rA", "rB", "rC", "rTaker")
BOOKS = ((USD, EUR), (USD, XRP), (XRP, EUR))
#: Sums of a few tokens amounts, each rounded to 16 digits, differ from the exact one by less.
ROUNDING = D("1E-12")
#: A round of a pool may miss the limit by what the server forgives (1E-7 of the rate).
FORGIVEN = D("1.0000002")

units = st.integers(1, 5000)


def amount(asset: Asset, count: int, percent: int) -> Decimal:
    """`count` units of value, give or take some per cent: a dollar, a euro or half a XRP each."""
    value = D(count) * D(percent) / 100
    return (value * 500_000).to_integral_value() if asset.is_xrp else value


@st.composite
def offers(draw: st.DrawFn) -> list[RestingOffer]:
    found = []
    for place in range(draw(st.integers(0, 8))):
        pays, gets = draw(st.sampled_from(BOOKS))
        count = draw(units)
        asked, given_ = amount(pays, count, draw(st.integers(98, 106))), amount(gets, count, 100)
        found.append(
            RestingOffer(
                index=f"{pays.currency}{gets.currency}{place}",
                owner=draw(st.sampled_from(OWNERS)),
                rate=rate_of(asked, given_),
                pays=asked,
                gets=given_,
                expiration=draw(st.sampled_from([None, None, NOW, NOW + 1])),
            )
        )
    return found


@st.composite
def markets(draw: st.DrawFn) -> tuple[WrittenMarket, dict[tuple[str, Asset], Decimal | None]]:
    held: dict[tuple[str, Asset], Decimal | None] = {
        (owner, asset): amount(asset, draw(st.integers(0, 4000)), 100)
        for owner in OWNERS
        for asset in (XRP, EUR)
    }
    pools = {}
    for pays, gets in BOOKS:
        if draw(st.booleans()):
            count = draw(st.integers(100, 100_000))
            pools[pays, gets] = PoolState(
                account=f"r{pays.currency}{gets.currency}",
                pays=amount(pays, count, 100),
                gets=amount(gets, count, draw(st.integers(95, 105))),
                fee_units=draw(st.sampled_from([0, 300, 1000])),
            )
    rates = {
        "rGate": draw(st.sampled_from([1_000_000_000, 1_002_000_000, 1_010_000_000])),
        "rBank": draw(st.sampled_from([1_000_000_000, 1_001_000_000])),
    }
    return WrittenMarket(*draw(offers()), held=held, pools=pools, rates=rates), held


def flows(moves: tuple[Move, ...]) -> tuple[dict[Asset, Decimal], dict[Asset, Decimal]]:
    """Return, by asset, what was handed over and what was received in all."""
    given_: dict[Asset, Decimal] = defaultdict(Decimal)
    received: dict[Asset, Decimal] = defaultdict(Decimal)
    for move in moves:
        match move:
            case SourcePaid():
                given_[move.asset] += move.amount
            case DestinationGot():
                received[move.asset] += move.amount
            case PoolSwapped():
                received[move.pays_asset] += move.pays
                given_[move.gets_asset] += move.gets
            case OfferTaken():
                received[move.pays_asset] += move.pays
                given_[move.gets_asset] += move.gives
    return given_, received


def check_conserved(market: WrittenMarket, moves: tuple[Move, ...]) -> None:
    given_, received = flows(moves)
    assert given_[XRP] == received[XRP]
    for asset in (USD, EUR):
        fee = D(market.transfer_rate(asset.issuer)) / 10**9
        # Issuers keep between nothing and their fee; nobody receives what nobody gave.
        assert received[asset] <= given_[asset] * (1 + ROUNDING)
        assert given_[asset] <= received[asset] * fee * (1 + ROUNDING)


def check_funded(held: dict[tuple[str, Asset], Decimal | None], moves: tuple[Move, ...]) -> None:
    spent: dict[tuple[str, Asset], Decimal] = defaultdict(Decimal)
    for move in moves:
        if isinstance(move, OfferTaken):
            spent[move.owner, move.gets_asset] += move.gives
            assert move.pays >= 0
            assert move.gets >= 0
    for key, total in spent.items():
        limit = held[key]
        assert limit is not None
        assert total <= limit * (1 + ROUNDING)


orders = st.tuples(
    units, st.integers(95, 110), st.booleans(), st.booleans(), st.booleans(), st.integers(1, 6000)
)


def order_of(draft: tuple[int, int, bool, bool, bool, int]) -> CrossRequest:
    count, percent, sell, passive, kill, funds = draft
    return CrossRequest(
        taker="rTaker",
        pays_asset=USD,
        gets_asset=EUR,
        pays=amount(USD, count, percent),
        gets=D(count),
        funds=D(funds),
        tick_size=5,
        sell=sell,
        passive=passive,
        immediate_or_cancel=False,
        fill_or_kill=kill,
        owner_may_rest=True,
    )


Markets = tuple[WrittenMarket, dict[tuple[str, Asset], Decimal | None]]


@given(markets(), orders)
def test_a_crossed_order_makes_nothing_and_overdraws_nobody(
    drawn: Markets, draft: tuple[int, int, bool, bool, bool, int]
) -> None:
    market, held = drawn
    order = order_of(draft)
    result = cross(order, market)
    check_conserved(market, result.moves)
    check_funded(held, result.moves)
    assert order.funds is not None
    assert result.paid <= order.funds


@given(markets(), orders)
def test_a_crossed_order_never_pays_a_worse_rate_than_its_own_and_the_fee(
    drawn: Markets, draft: tuple[int, int, bool, bool, bool, int]
) -> None:
    market, _ = drawn
    order = order_of(draft)
    pays, gets, _ = tick_rounded_any((order.pays, False), (order.gets, False), 5, sell=order.sell)
    fee = D(market.transfer_rate("rGate")) / 10**9
    result = cross(order, market)
    assert result.paid <= result.got * pays / gets * fee * FORGIVEN
    if not order.sell:
        assert result.got <= gets
    if result.rest is not None:
        assert 0 < result.rest.pays <= pays
        assert result.rest.gets <= gets * (1 + ROUNDING)


@given(markets(), orders)
def test_an_order_that_is_killed_moves_nothing(
    drawn: Markets, draft: tuple[int, int, bool, bool, bool, int]
) -> None:
    result = cross(order_of(draft), drawn[0])
    if result.result != "tesSUCCESS":
        assert (result.moves, result.paid, result.got, result.rest) == ((), D(0), D(0), None)
        assert all(removal.lasting for removal in result.removals)


@given(markets(), units, st.integers(1, 6000), st.sampled_from([None, 500]), st.booleans())
def test_a_payment_makes_nothing_and_overdraws_nobody(
    drawn: Markets, deliver: int, send_max: int, room: int | None, several: bool
) -> None:
    market, held = drawn
    strands: tuple[tuple[Asset, ...], ...] = ((USD, EUR), (USD, XRP, EUR))
    request = FlowRequest(
        source="rTaker",
        destination="rDestination",
        strands=strands if several else strands[1:],
        deliver=D(deliver),
        send_max=D(send_max),
        funds=D(5000),
        room=None if room is None else D(room),
        partial=True,
        limit_rate=None,
    )
    result = flow(request, market)
    check_funded(held, result.moves)
    given_, received = flows(result.moves)
    assert given_[XRP] == received[XRP]
    # Two fees at most: of what goes in and of what comes out.
    assert received[EUR] <= given_[EUR] * (1 + ROUNDING)
    assert received[USD] <= given_[USD] * (1 + ROUNDING)
    assert result.paid <= min(send_max, 5000)
    assert result.got <= min(deliver, deliver if room is None else room)
    assert result == flow(request, market)
