"""The pool: its price, its fee, its swaps and what it offers against a book. Expectations by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from neo_engine.domain.amm import (
    Pool,
    PoolSide,
    fee_band,
    fee_units_for,
    near_rates,
    quote_for_purchase,
    quote_for_sale,
    smaller_root,
    spot_price,
)
from neo_engine.domain.errors import BadNumber

D = Decimal
POOL = Pool(
    account="rPool",
    base_drops=1_000_000_000,
    quote=D(2000),
    trading_fee=300,
    discounted_fee=30,
    auction_accounts=("rHolder", "rFriend"),
    auction_expiration=1000,
)
FREE = replace(POOL, trading_fee=0)


def side(pool: Pool, *, xrp_in: bool, fee_units: int | None = None) -> PoolSide:
    base = D(pool.base_drops)
    return PoolSide(
        pays=base if xrp_in else pool.quote,
        gets=pool.quote if xrp_in else base,
        fee_units=pool.trading_fee if fee_units is None else fee_units,
        xrp_in=xrp_in,
        xrp_out=not xrp_in,
    )


def test_the_spot_price_is_the_ratio_of_what_the_pool_holds() -> None:
    assert spot_price(POOL) == 2


def test_the_fee_band_lies_around_the_spot_price() -> None:
    low, high = fee_band(POOL)
    assert low == D("1.994")
    assert high == D("2.006018054162487462387161484")  # 2 / 0.997


def test_a_purchase_without_fee_follows_the_curve_rounded_up() -> None:
    # 2000 * 1000/900 - 2000 = 222.22222..., to 16 digits up: after is 2222.222222222223 (16 digits).
    assert quote_for_purchase(FREE, 100_000_000, 0) == D("222.222222222223")


def test_a_sale_with_fee_follows_the_curve_rounded_down() -> None:
    # 1994 / 1000.997, cut where 2000 - x leaves off.
    assert quote_for_sale(POOL, 1_000_000, 300) == D("1.992013962079")


def test_a_sale_of_nothing_gets_nothing() -> None:
    assert quote_for_sale(FREE, 0, 0) == 0


@pytest.mark.parametrize("drops", [0, 1_000_000_000, 2_000_000_000])
def test_all_of_the_pool_cannot_be_bought(drops: int) -> None:
    with pytest.raises(BadNumber, match="rPool"):
        quote_for_purchase(POOL, drops, 300)


@pytest.mark.parametrize(
    ("account", "parent_close_time", "fee"),
    [("rHolder", 999, 30), ("rFriend", 0, 30), ("rHolder", 1000, 300), ("rOther", 0, 300)],
)
def test_the_auction_slot_discounts_until_it_ends(account: str, parent_close_time: int, fee: int) -> None:
    assert fee_units_for(POOL, account, parent_close_time) == fee


def test_rates_are_near_when_they_differ_by_less_than_the_distance_of_the_worse() -> None:
    assert near_rates(D(1), D(1), D("1E-7"))
    assert near_rates(D("1.00000009"), D(1), D("1E-7"))
    assert not near_rates(D(1), D("1.0000002"), D("1E-7"))


@pytest.mark.parametrize("xrp_in", [True, False])
def test_a_pool_inside_its_fee_band_offers_nothing(xrp_in: bool) -> None:
    pool = side(POOL, xrp_in=xrp_in)
    spot = pool.spot_rate()
    assert pool.offer(spot) is None
    assert pool.offer(spot * D("1.00000005")) is None  # nearer than 1e-7: the same to the server
    assert pool.offer(spot * D("1.003")) is None  # 1 / 0.997 is a little more


@pytest.mark.parametrize("xrp_in", [True, False])
def test_a_pool_offers_up_to_the_rate_of_the_book(xrp_in: bool) -> None:
    pool = side(POOL, xrp_in=xrp_in)
    rate = pool.spot_rate() * D("1.01")
    offer = pool.offer(rate)
    assert offer is not None
    assert 0 < offer.pays / offer.gets <= rate
    pool.swap(offer.pays, offer.gets)
    after = pool.pays / pool.gets
    # Scenario B of the formula binds or A does: the spot afterwards is at most the book's rate.
    assert after <= rate * D("1.0000001")


def test_without_fee_half_a_step_moves_the_price_to_the_book() -> None:
    # Spot 2 to 2.42 RLUSD per XRP is a factor 1.21: amounts move by sqrt = 1.1.
    pool = side(FREE, xrp_in=False, fee_units=0)
    offer = pool.offer(D("0.00000242"))
    assert offer is not None
    assert offer.gets == 90_909_090  # 1,000,000,000 * (1 - 1/1.1), rounded down
    assert abs(offer.pays - D("199.9999979")) < D("1E-5")


def test_without_a_book_the_pool_offers_ninety_nine_hundredths() -> None:
    offer = side(FREE, xrp_in=False).offer(None)
    assert offer is not None
    assert offer.gets == 990_000_000
    assert offer.pays == D(198_000)  # 2000 / 0.01 - 2000
    assert offer.rate == D("0.000002")


def test_an_empty_pool_offers_nothing() -> None:
    empty = PoolSide(pays=D(0), gets=D(5), fee_units=300, xrp_in=True, xrp_out=False)
    assert empty.offer(None) is None
    assert PoolSide(pays=D(5), gets=D(0), fee_units=300, xrp_in=True, xrp_out=False).offer(None) is None


def test_a_pool_of_one_drop_has_nothing_to_offer() -> None:
    assert PoolSide(pays=D(5), gets=D(1), fee_units=300, xrp_in=False, xrp_out=True).offer(None) is None


def test_a_swap_too_small_for_a_drop_is_no_offer() -> None:
    tiny = PoolSide(pays=D(1), gets=D(40), fee_units=0, xrp_in=False, xrp_out=True)
    assert tiny.offer(D("0.0251")) is None  # 0.02 drops would be fair
    small = PoolSide(pays=D(40), gets=D(1), fee_units=0, xrp_in=True, xrp_out=False)
    assert small.offer(D("40.1")) is None


def test_how_much_can_be_got_at_an_average_rate() -> None:
    # Without fee the average over o is I / (O - o): 2000 / (1e9 - o) = 0.000004 leaves half.
    pool = side(FREE, xrp_in=False, fee_units=0)
    assert pool.gets_at_average(D("0.000004")) == 500_000_000
    assert pool.gets_at_average(D("0.000001")) is None


def test_a_quadratic_without_a_root_has_none() -> None:
    assert smaller_root(D(1), D(1), D(1)) == 0
    assert smaller_root(D(1), D(0), D(0)) == 0
    assert smaller_root(D(1), D(-3), D(2)) == 1
    assert smaller_root(D(1), D(3), D(2)) == -1


@pytest.mark.parametrize(
    ("pays", "gets", "xrp_in", "rate", "offered"),
    [
        ("8873710162047", "63292920233.88706", True, "140.6352974496447", True),
        ("6014642776514.271", "9370201872444", False, "0.6547282241683872", True),
        ("899828756526", "28485770.41620257", True, "31683.76414084641", False),
        ("4016.332167001633", "81203010741", False, "4.960921615300872E-8", False),
    ],
)
def test_an_offer_that_rounding_made_too_dear_is_shrunk_once_or_not_made(
    pays: str, gets: str, xrp_in: bool, rate: str, offered: bool
) -> None:
    # Just outside the fee band the whole offer is tiny against the pool and its last digits decide.
    units = 1000 if rate.startswith("0.65") else 300
    pool = PoolSide(pays=D(pays), gets=D(gets), fee_units=units, xrp_in=xrp_in, xrp_out=not xrp_in)
    offer = pool.offer(D(rate))
    assert (offer is not None) is offered
    if offer is not None:
        assert offer.pays / offer.gets <= D(rate)


def test_numbered_offers_grow_like_fibonacci_numbers() -> None:
    pool = PoolSide(pays=D(10**6), gets=D(10**6), fee_units=0, xrp_in=False, xrp_out=False)
    offers = [pool.numbered_offer(number, None) for number in range(6)]
    gets = [offer.gets for offer in offers if offer is not None]
    # 250 in, a quarter per mille: 10^12 / 1000250 = 999750.0624843789|05..., where the quotient's 17th
    # digit is 0, so that rounding up leaves it; the rest of the million goes out.
    assert gets[0] == D("249.9375156211")
    assert gets == [gets[0] * times for times in (1, 1, 2, 3, 5, 8)]
    assert offers[0] is not None
    assert offers[0].pays == D(250)


def test_a_numbered_offer_in_drops_is_whole() -> None:
    pool = PoolSide(pays=D(10_001), gets=D(10_001), fee_units=0, xrp_in=True, xrp_out=False)
    offer = pool.numbered_offer(0, None)
    assert offer is not None
    assert offer.pays == 3  # 2.50025 rounded up


def test_a_numbered_offer_keeps_to_its_size_after_swaps() -> None:
    pool = PoolSide(pays=D(10**6), gets=D(10**6), fee_units=0, xrp_in=False, xrp_out=False)
    first = pool.numbered_offer(1, None)
    pool.swap(D(1000), D(999))
    second = pool.numbered_offer(1, None)
    assert first is not None
    assert second is not None
    assert second.gets == first.gets
    assert second.pays > first.pays


def test_a_numbered_offer_the_pool_cannot_make_is_none() -> None:
    empty = PoolSide(pays=D(5), gets=D(0), fee_units=0, xrp_in=False, xrp_out=False)
    assert empty.numbered_offer(0, None) is None
    small = PoolSide(pays=D(1000), gets=D(1000), fee_units=0, xrp_in=False, xrp_out=False)
    # 0.2499 times 6765 is more than 1000.
    assert small.numbered_offer(19, None) is None
    # Its spot is 1; 1.0005 is beaten by the first offer (1.00025), 1.0001 and 1 are not.
    assert small.numbered_offer(0, D("1.0005")) is not None
    assert small.numbered_offer(0, D("1.0001")) is None
    assert small.numbered_offer(0, D(1)) is None


def test_between_two_tokens_a_pool_is_sized_by_what_is_paid() -> None:
    # Without fee, from 1 to 1.21 the amounts move by the root, 1.1: 100 in.
    pool = PoolSide(pays=D(1000), gets=D(1000), fee_units=0, xrp_in=False, xrp_out=False)
    offer = pool.offer(D("1.21"))
    assert offer is not None
    assert abs(offer.pays - 100) < D("1E-9")
    assert abs(offer.gets - D(1000) / 11) < D("1E-9")


def test_a_swap_is_seen_from_the_other_side() -> None:
    back = PoolSide(pays=D(1000), gets=D(500), fee_units=0, xrp_in=False, xrp_out=False)
    back.swap(D(10), D(20), forwards=False)
    assert (back.pays, back.gets) == (D(980), D(510))
