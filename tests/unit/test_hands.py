"""The two hands and the purses: what is counted while offers of one rate are taken. Numbers by hand."""

from __future__ import annotations

from decimal import Decimal

from neo_engine.domain.amm import PoolSide
from neo_engine.domain.hands import AtRate, FromPool, Getting, Paying, Purse
from neo_engine.domain.liquidity import PARITY
from neo_engine.domain.steps import divided_down_issued, scaled_up_drops, scaled_up_issued

D = Decimal
#: A transfer fee of 0.2 %.
FEE = 1_002_000_000


def at(rate: str) -> AtRate:
    return AtRate(D(rate), scaled_up_drops, divided_down_issued, PARITY)


def charged(rate: str) -> AtRate:
    return AtRate(D(rate), scaled_up_issued, divided_down_issued, FEE)


def test_paying_no_more_than_the_backward_direction_gets_no_more_than_it() -> None:
    # Backwards 4 was had for 10. Forwards 10 would get 5; the part of 4 costs 9.6, that is 10, too.
    hand = Paying(D(10), D(10), D(4))
    assert hand.take(at("2.4"), D(10), D(5), D(10))
    assert (hand.owner_pays, hand.taken_gets, hand.result()) == (D(10), D(4), (D(10), D(4)))
    # At 2 the part of 4 costs only 8: then the two directions stay apart.
    apart = Paying(D(10), D(10), D(4))
    apart.take(at("2"), D(10), D(5), D(10))
    assert apart.result() == (D(10), D(5))


def test_the_second_of_two_takes_is_made_to_agree_with_the_backward_direction() -> None:
    hand = Paying(D(20), D(20), D(9))
    hand.take(at("2"), D(10), D(5), D(10))
    hand.take(at("2.4"), D(10), D(5), D(10))
    assert (hand.owner_pays, hand.taken_gets, hand.result()) == (D(10), D(4), (D(20), D(9)))
    assert not hand.take(at("2"), D(10), D(5), D(10))


def test_hands_that_took_nothing_have_nothing() -> None:
    assert Getting(D(5)).result() == Paying(D(5), D(5), D(5)).result() == (D(0), D(0))


def test_a_part_costs_the_taker_the_transfer_fee_on_top() -> None:
    # 100 at 2 is 200 for the owner; with 0.2 % it is 200.4 for the taker.
    hand = Getting(D(100))
    assert not hand.take(charged("2"), D("1002"), D(500), D(1000))
    assert (hand.owner_pays, hand.taken_gets, hand.result()) == (D(200), D(100), (D("200.4"), D(100)))


def test_of_what_is_paid_in_part_the_owner_receives_what_the_fee_leaves() -> None:
    hand = Paying(D("200.4"), D(1002), D(500))
    assert not hand.take(charged("2"), D(1002), D(500), D(1000))
    assert (hand.owner_pays, hand.taken_gets, hand.result()) == (D(200), D(100), (D("200.4"), D(100)))


def test_a_fee_rounded_away_leaves_the_whole_offer() -> None:
    # 1.000000000000001 * 1.002 = 1.002000000000001(002), rounded up ...2; one unit less than that still
    # pays for all of it, since the division rounds to nearest.
    owner = D("1.000000000000001")
    hand = Paying(D("1.002000000000001"), D(5), D(5))
    assert not hand.take(charged("1"), D("1.002000000000002"), D(1), owner)
    assert (hand.owner_pays, hand.taken_gets) == (owner, D(1))


def test_a_pool_charges_the_takers_fee_along_its_curve() -> None:
    pool = PoolSide(pays=D(1000), gets=D(1000), fee_units=0, xrp_in=False, xrp_out=False)
    source = FromPool(pool, FEE)
    # Getting 500 costs 1000; paying 1002 is 1000 for the pool.
    assert source.cost(D(500), D(9999)) == (D(1002), D(1000))
    assert source.proceeds(D(1002), D(9999), D(9999)) == (D(500), D(1000))


def test_what_is_received_in_a_run_cannot_be_spent_in_it() -> None:
    purse = Purse(D(100)).debited(D(40)).credited(D(30))
    assert purse.spendable == 60
    purse.settle()
    assert purse.debited(D(10)).spendable == 50


def test_a_purse_spends_the_smaller_of_its_two_counts() -> None:
    # 1 less 4E-17 stays 1 in sixteen digits, twice; but the two debits add up to 8E-17, which shows.
    one = Purse(D(1)).debited(D("4E-17")).debited(D("4E-17"))
    assert one.spendable == D("0.9999999999999999")
    # The other way round: 6E-17 shows at once, and once more; their sum is little more than a unit.
    two = Purse(D(1)).debited(D("6E-17")).debited(D("6E-17"))
    assert two.spendable == D("0.9999999999999998")
