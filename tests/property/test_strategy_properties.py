"""What holds for every market, sound or absurd."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

from hypothesis import assume, example, given
from hypothesis import strategies as st

from neo_engine.domain.amm import fee_band
from neo_engine.domain.assets import Side
from neo_engine.domain.market import DataFault, MarketSnapshot, MarketTrade
from neo_engine.domain.number import MAX_DROPS
from neo_engine.domain.records import Accounts
from neo_engine.domain.rounding import STEADY_TRIES, rate_code, steady_amounts, stored_amounts
from neo_engine.strategy.engine import StrategyResult, evaluate, initial_state
from tests.unit.strategy_fixture import configured, holding, level, market, pool, run

NUDGED_AT_MOST = STEADY_TRIES * (STEADY_TRIES + 1) // 2

prices = st.decimals(min_value="0.0001", max_value="10000", places=6, allow_nan=False)
spreads = st.decimals(min_value="0.000001", max_value="0.02", places=6, allow_nan=False)
xrp_amounts = st.integers(0, 134).map(str)
rlusd_amounts = st.integers(0, 359).map(str)
settings_of_quotes = st.fixed_dictionaries(
    {
        "strategy__base_offset_bps": st.integers(0, 200),
        "strategy__skew_bps": st.integers(0, 300),
        "strategy__ladder_levels": st.integers(1, 4),
        "strategy__ladder_step_bps": st.integers(0, 50),
        "strategy__pool_weight": st.sampled_from(("0", "0.25", "1")),
        "strategy__clob_switch_threshold_bps": st.sampled_from(("0", "3", "500")),
        "strategy__anchor_max_divergence_bps": st.sampled_from(("1", "10", "400")),
        "strategy__touch_margin_bps": st.sampled_from(("0.1", "1", "20")),
    }
)


@st.composite
def sound_markets(draw: st.DrawFn) -> MarketSnapshot:
    bid = draw(prices)
    ask = bid * (1 + draw(spreads))
    assume(ask > bid)
    shift = draw(st.sampled_from(("0.95", "0.995", "0.9999", "1", "1.0001", "1.004", "1.05")))
    with_pool = draw(st.booleans())
    the_pool = pool(1_000_000, str(round(bid * 1_000_000 * Decimal(shift), 6) + 1)) if with_pool else None
    tick_size = draw(st.sampled_from((3, 5, 6, 7, 10, 16)))
    return market(bid, ask, the_pool=the_pool, tick_size=tick_size)


def quoted(
    snapshot: MarketSnapshot, changes: dict[str, object], accounts: Accounts
) -> tuple[StrategyResult, int]:
    levels = changes["strategy__ladder_levels"]
    assert isinstance(levels, int)
    config = configured(strategy__warmup_ticks=0, risk__max_open_orders=2 * levels, **changes)
    return run([snapshot], config, accounts)[0], levels


@given(sound_markets(), settings_of_quotes, xrp_amounts, rlusd_amounts)
def test_no_quote_ever_crosses_the_book_the_pool_or_our_own_other_side(
    snapshot: MarketSnapshot, changes: dict[str, object], xrp: str, rlusd: str
) -> None:
    result, _ = quoted(snapshot, changes, holding(xrp, rlusd))
    assert snapshot.best_ask is not None
    assert snapshot.best_bid is not None
    low, high = snapshot.best_bid, snapshot.best_ask
    if snapshot.pool is not None:
        pays, asks = fee_band(snapshot.pool)
        low, high = max(low, pays), min(high, asks)
    bids = [quote.price for quote in result.quotes if quote.side is Side.BUY]
    asks_of_ours = [quote.price for quote in result.quotes if quote.side is Side.SELL]
    assert all(price < high for price in bids)
    assert all(price > low for price in asks_of_ours)
    if bids and asks_of_ours:
        assert max(bids) < min(asks_of_ours)


@given(sound_markets(), settings_of_quotes, xrp_amounts, rlusd_amounts)
def test_quotes_lie_on_their_side_of_the_reservation_price_and_are_sorted(
    snapshot: MarketSnapshot, changes: dict[str, object], xrp: str, rlusd: str
) -> None:
    result, levels = quoted(snapshot, changes, holding(xrp, rlusd))
    reservation = result.pricing.reservation
    assert reservation is not None
    bids = [quote for quote in result.quotes if quote.side is Side.BUY]
    asks = [quote for quote in result.quotes if quote.side is Side.SELL]
    assert list(result.quotes) == bids + asks
    assert max(len(bids), len(asks)) <= levels
    assert all(quote.price < reservation for quote in bids)
    assert all(quote.price > reservation for quote in asks)
    # On a coarse tick two levels may share a rate; then their 16-digit amounts make the last digits.
    hair = Decimal("1E-14")
    assert all(far.price <= near.price * (1 + hair) for near, far in pairwise(bids))
    assert all(far.price >= near.price * (1 - hair) for near, far in pairwise(asks))


@given(sound_markets(), settings_of_quotes, xrp_amounts, rlusd_amounts)
def test_sizes_stay_within_their_limits_and_are_what_the_ledger_stores(
    snapshot: MarketSnapshot, changes: dict[str, object], xrp: str, rlusd: str
) -> None:
    result, _ = quoted(snapshot, changes, holding(xrp, rlusd))
    for quote in result.quotes:
        drop = quote.price / 1_000_000
        # A tick of three digits moves the price by up to 1 %, and with it what the XRP is worth.
        assert quote.quote <= Decimal(15) * Decimal("1.0101") + drop
        assert quote.quote >= Decimal("1.98")
        assert 0 < quote.base_drops <= MAX_DROPS
        stored = stored_amounts(quote.side, quote.base_drops, quote.quote, snapshot.tick_size)
        assert stored[:2] == (quote.base_drops, quote.quote)
        assert quote.price == quote.quote * 1_000_000 / quote.base_drops


@given(sound_markets(), st.integers(0, 133), st.integers(1, 100), st.sampled_from(("offset", "glft")))
def test_more_xrp_never_raises_a_price(snapshot: MarketSnapshot, xrp: int, more: int, model: str) -> None:
    config = configured(
        strategy__model=model,
        strategy__warmup_ticks=0,
        strategy__glft__intensity_min_trades=1,
        risk__max_xrp_exposure="1000",
    )
    assert snapshot.mid is not None
    trades = (MarketTrade(taker_side=Side.BUY, price=snapshot.mid * Decimal("1.001"), base_drops=5),)
    moved = market(
        snapshot.best_bid, snapshot.best_ask, 2, the_pool=snapshot.pool, trades=trades, tick_size=16
    )
    state = run([snapshot], config)[0].state
    less, greater = (evaluate(state, moved, holding(str(held), "150"), config) for held in (xrp, xrp + more))
    assert less.pricing.reservation is not None
    assert greater.pricing.reservation is not None
    assert greater.pricing.reservation <= less.pricing.reservation
    before = {quote.slot: quote.price for quote in less.quotes}
    for quote in greater.quotes:
        # Sizes are cut to drops, so the 16 digits of an amount may move the price's last ones.
        assert quote.price <= before[quote.slot] * (1 + Decimal("1E-14"))


anything = st.one_of(
    st.none(),
    st.decimals(allow_nan=True, allow_infinity=True),
    st.sampled_from(("NaN", "sNaN", "-Infinity", "1E+999999", "1E-999999", "-0", "0")).map(Decimal),
    prices,
)
whole_numbers = st.integers(-(10**30), 10**30)


@st.composite
def absurd_markets(draw: st.DrawFn) -> MarketSnapshot:
    sound = market("1.9990", "2.0010")
    levels = tuple(level(price) for price in draw(st.lists(prices, max_size=2)))
    the_pool = None
    if draw(st.booleans()):
        base = draw(whole_numbers)
        amount = draw(anything)
        the_pool = pool(base, str(Decimal(1) if amount is None else amount), draw(st.integers(-5, 10**6)))
    trades = tuple(
        MarketTrade(taker_side=side, price=Decimal(1) if price is None else price, base_drops=drops)
        for side, price, drops in draw(
            st.lists(st.tuples(st.sampled_from(Side), anything, whole_numbers), max_size=4)
        )
    )
    usual = draw(st.booleans())
    return MarketSnapshot(
        ledger_index=draw(whole_numbers),
        ledger_hash="",
        close_time=draw(whole_numbers),
        fee_base_drops=draw(whole_numbers),
        base_reserve_drops=draw(whole_numbers),
        owner_reserve_drops=draw(whole_numbers),
        bids=levels,
        asks=levels,
        best_bid=sound.best_bid if usual else draw(anything),
        best_ask=sound.best_ask if usual else draw(anything),
        mid=sound.mid if usual else draw(anything),
        pool=the_pool,
        tick_size=draw(st.integers(-3, 40)),
        transfer_rate=draw(whole_numbers),
        trades=trades,
        faults=tuple(draw(st.lists(st.sampled_from(DataFault), max_size=1))),
    )


@given(st.lists(absurd_markets(), min_size=1, max_size=4), st.sampled_from(("offset", "glft")))
def test_no_market_makes_the_engine_raise_or_go_quiet_without_a_reason(
    snapshots: list[MarketSnapshot], model: str
) -> None:
    config = configured(
        strategy__model=model, strategy__warmup_ticks=0, strategy__glft__intensity_min_trades=1
    )
    for result in run(snapshots, config):
        closed = {gate.side for gate in result.gates}
        for side, name in ((Side.BUY, "bid"), (Side.SELL, "ask")):
            assert any(quote.side is side for quote in result.quotes) or closed & {name, "both"}
        for quote in result.quotes:
            assert quote.price > 0


@given(st.lists(sound_markets(), min_size=1, max_size=5), settings_of_quotes)
def test_the_same_markets_give_the_same_quotes_to_the_last_digit(
    snapshots: list[MarketSnapshot], changes: dict[str, object]
) -> None:
    config = configured(strategy__warmup_ticks=0, **changes)
    state = other = initial_state(config)
    for snapshot in snapshots:
        one = evaluate(state, snapshot, holding("100", "200"), config)
        two = evaluate(other, snapshot, holding("100", "200"), config)
        assert repr(one) == repr(two)
        state, other = one.state, two.state


@given(
    st.sampled_from(Side),
    st.integers(10_000, 10**12),
    st.decimals(min_value="0.000001", max_value="1000000", places=9, allow_nan=False),
    st.sampled_from((*range(3, 12), 16)),  # ticks finer than that leave no digit to round with
)
@example(Side.BUY, 7_059_631, Decimal("2.12475683"), 7)
def test_steady_amounts_stand_still_and_are_never_worse_than_the_price(
    side: Side, base_drops: int, price: Decimal, tick_size: int
) -> None:
    drops, quote, rate = steady_amounts(side, base_drops, price, tick_size)
    assert stored_amounts(side, drops, quote, tick_size) == (drops, quote, rate)
    assert 0 <= base_drops - drops <= NUDGED_AT_MOST
    assert len(rate_code(rate)) == 16
    got = quote * 1_000_000 / drops
    last_digit = 1 + Decimal("2E-15")
    assert got <= price * last_digit if side is Side.BUY else got >= price / last_digit
