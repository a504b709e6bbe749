"""What holds for every book, pool and taker: nothing is made, nothing is overpaid, nothing overdrawn."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from neo_engine.domain.amm import Pool, PoolSide
from neo_engine.domain.assets import Side
from neo_engine.domain.book import BookOffer
from neo_engine.domain.matching import Liquidity, MatchResult, OrderKind, TakerOrder, match
from neo_engine.domain.rounding import tick_rounded

D = Decimal
OWNERS = ("rA", "rB", "rC", "rTaker")
NOW = 100
#: Token sums are rounded to 16 digits one by one; ten of them differ from the exact sum by less.
ROUNDING = D("1E-13")
#: A round of the pool may miss the limit by what the server forgives (1E-7 of the rate).
FORGIVEN = D("1.0000002")

prices = st.integers(1_900_000, 2_100_000).map(lambda micro: D(micro) / 1_000_000)
drops = st.integers(1, 5_000_000_000)


@st.composite
def books(draw: st.DrawFn, side: Side) -> list[BookOffer]:
    found = []
    for place in range(draw(st.integers(0, 6))):
        base = draw(drops)
        base, quote, rate = tick_rounded(
            side, base, max(D("1E-6"), base * draw(prices) / 1_000_000), 7, sell=True
        )
        found.append(
            BookOffer(
                index=f"{place}",
                side=side,
                owner=draw(st.sampled_from(OWNERS)),
                sequence=place,
                base_drops=base,
                quote=quote,
                rate=rate,
                book_directory="",
                book_node="0",
                owner_node="0",
                flags=0,
                expiration=draw(st.sampled_from([None, None, NOW, NOW + 1])),
                previous_txn_id="",
                previous_txn_ledger=1,
                arrival=place,
            )
        )
    return sorted(found, key=lambda offer: (offer.rate, offer.arrival))


@st.composite
def pools(draw: st.DrawFn) -> Pool | None:
    if draw(st.booleans()):
        return None
    base = draw(st.integers(10**6, 10**12))
    return Pool(
        account="rPool",
        base_drops=base,
        quote=max(D("0.000001"), base * draw(prices) / 1_000_000),
        trading_fee=draw(st.sampled_from([0, 10, 300, 1000])),
        discounted_fee=0,
        auction_accounts=(),
        auction_expiration=0,
    )


@st.composite
def markets(draw: st.DrawFn) -> tuple[TakerOrder, Liquidity, dict[str, Decimal]]:
    side = draw(st.sampled_from(list(Side)))
    base = draw(drops)
    order = TakerOrder(
        kind=draw(st.sampled_from([OrderKind.OFFER, OrderKind.PAYMENT])),
        taker="rTaker",
        side=side,
        base_drops=base,
        quote=max(D("1E-6"), base * draw(prices) / 1_000_000),
        funds=draw(st.sampled_from([D(10**15), D(1000)])),
        sell=draw(st.booleans()),
        passive=draw(st.booleans()),
        fill_or_kill=draw(st.booleans()),
        partial=True,
        limit_quality=draw(st.booleans()),
    )
    unit = 1 if side is Side.BUY else D("1E-6")
    funds = {owner: D(draw(st.integers(0, 4_000_000_000))) * unit for owner in OWNERS}
    liquidity = Liquidity(
        offers=draw(books(side.opposite)),
        funds=funds.__getitem__,
        pool=draw(pools()),
        tick_size=draw(st.sampled_from([5, 7, 16])),
        parent_close_time=NOW,
    )
    return order, liquidity, funds


def paid_and_got(order: TakerOrder, result: MatchResult) -> tuple[Decimal, Decimal]:
    base = D(result.base_drops)
    return (result.quote, base) if order.side is Side.BUY else (base, result.quote)


def limit_of(order: TakerOrder, tick_size: int) -> Decimal:
    """What the order would pay for one unit, as rounded to the tick if it is an offer."""
    assert order.base_drops is not None
    assert order.quote is not None
    base, quote = order.base_drops, order.quote
    if order.kind is OrderKind.OFFER:
        base, quote, _ = tick_rounded(order.side, base, quote, tick_size, sell=order.sell)
    return quote / base if order.side is Side.BUY else base / quote


@given(markets())
def test_what_the_taker_pays_and_gets_is_what_the_others_get_and_give(
    market: tuple[TakerOrder, Liquidity, dict[str, Decimal]],
) -> None:
    order, liquidity, _ = market
    result = match(order, liquidity)
    assert result.base_drops == sum(take.base_drops for take in result.takes) + result.pool_base_drops
    quote = sum((take.quote for take in result.takes), result.pool_quote)
    assert abs(result.quote - quote) <= ROUNDING * quote


@given(markets())
def test_no_taker_pays_more_than_he_offered_or_has(
    market: tuple[TakerOrder, Liquidity, dict[str, Decimal]],
) -> None:
    order, liquidity, _ = market
    paid, got = paid_and_got(order, match(order, liquidity))
    assert order.funds is not None
    assert paid <= order.funds
    if order.kind is OrderKind.PAYMENT:
        assert paid <= (order.quote if order.side is Side.BUY else order.base_drops)  # type: ignore[operator]
        assert got <= (order.base_drops if order.side is Side.BUY else order.quote)  # type: ignore[operator]


@given(markets())
def test_no_taker_pays_a_worse_rate_than_his_limit(
    market: tuple[TakerOrder, Liquidity, dict[str, Decimal]],
) -> None:
    order, liquidity, _ = market
    if order.kind is OrderKind.PAYMENT and not order.limit_quality:
        return
    paid, got = paid_and_got(order, match(order, liquidity))
    assert paid <= got * limit_of(order, liquidity.tick_size) * FORGIVEN


@given(markets())
def test_no_offer_gives_more_than_it_has_or_sells_below_its_rate(
    market: tuple[TakerOrder, Liquidity, dict[str, Decimal]],
) -> None:
    order, liquidity, _ = market
    offers = {offer.index: offer for offer in liquidity.offers}
    for take in match(order, liquidity).takes:
        offer = offers[take.index]
        assert 0 <= take.base_drops <= offer.base_drops
        assert 0 <= take.quote <= offer.quote
        assert take.left_base_drops == offer.base_drops - take.base_drops
        if not take.gone:
            # What the owner gets is at least his rate, up to a unit of the 16th digit.
            pays, gets = (
                (take.quote, D(take.base_drops))
                if order.side is Side.BUY
                else (D(take.base_drops), take.quote)
            )
            assert pays >= gets * offer.rate * (1 - D("2E-15"))


@given(markets())
def test_no_owner_gives_more_than_his_funds(
    market: tuple[TakerOrder, Liquidity, dict[str, Decimal]],
) -> None:
    order, liquidity, funds = market
    offers = {offer.index: offer for offer in liquidity.offers}
    given_away = dict.fromkeys(OWNERS, D(0))
    for take in match(order, liquidity).takes:
        owner = offers[take.index].owner
        given_away[owner] += take.base_drops if order.side is Side.BUY else take.quote
    for owner, amount in given_away.items():
        assert amount <= funds[owner] * (1 + ROUNDING)


@given(markets())
def test_the_pool_never_loses_in_the_product_of_its_amounts(
    market: tuple[TakerOrder, Liquidity, dict[str, Decimal]],
) -> None:
    order, liquidity, _ = market
    after = match(order, liquidity).pool_after
    if after is not None and liquidity.pool is not None:
        before = liquidity.pool
        product = before.base_drops * before.quote
        assert after.base_drops * after.quote >= product * (1 - D("1E-14"))


@given(markets())
def test_expired_offers_and_killed_orders_trade_nothing(
    market: tuple[TakerOrder, Liquidity, dict[str, Decimal]],
) -> None:
    order, liquidity, _ = market
    result = match(order, liquidity)
    expired = {offer.index for offer in liquidity.offers if offer.expiration == NOW}
    assert not expired & {take.index for take in result.takes}
    if result.outcome.value != "tesSUCCESS":
        assert not result.takes
        assert (result.base_drops, result.quote, result.remainder) == (0, D(0), None)


@given(markets())
def test_what_rests_is_never_better_for_others_than_the_order_was(
    market: tuple[TakerOrder, Liquidity, dict[str, Decimal]],
) -> None:
    order, liquidity, _ = market
    rest = match(order, liquidity).remainder
    if rest is None or rest.base_drops < 1000 or rest.quote < D("0.001"):
        return
    base, quote = D(rest.base_drops), rest.quote
    asked = quote / base if order.side is Side.SELL else base / quote
    assert abs(asked / rest.rate - 1) <= D("0.001")


@given(markets())
def test_the_same_market_gives_the_same_answer(
    market: tuple[TakerOrder, Liquidity, dict[str, Decimal]],
) -> None:
    order, liquidity, _ = market
    assert match(order, liquidity) == match(order, liquidity)


@given(st.integers(10**3, 10**13), st.integers(1, 10**16 - 1), st.integers(0, 1000), st.integers(1, 10**9))
def test_a_swap_there_and_back_gains_nothing(base: int, mantissa: int, fee: int, amount: int) -> None:
    quote = D(mantissa).scaleb(-9)
    sale = PoolSide(pays=D(base), gets=quote, fee_units=fee, xrp_in=True, xrp_out=False)
    got = sale.paying(D(amount))
    sale.swap(D(amount), got)
    back = PoolSide(pays=sale.gets, gets=sale.pays, fee_units=fee, xrp_in=False, xrp_out=True)
    if got:
        # The pool's token balance is rounded to 16 digits, which may be worth a fraction of a drop.
        assert back.paying(got) <= amount + 1 + D(base) * D("1E-15")
