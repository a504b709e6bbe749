"""Pairing the fills of two sessions: hand-made fills whose partners and causes are plain to see."""

from __future__ import annotations

from decimal import Decimal

from neo_engine.domain.assets import Side
from neo_engine.domain.fills import Fill, LiquiditySide
from neo_engine.domain.ledger import CheckData, LedgerTransaction, LedgerUpdate, TakerIntent, TakerKind
from tools.compare_fills import (
    Cause,
    Standing,
    TakerKey,
    alike,
    cause,
    compare,
    diverged,
    taker_key,
    volume,
)

TWO = Decimal(2)
BUYER: TakerKey = ("rTaker", "OfferCreate", "buy", 10_000_000, "20")


def fill(
    ledger: int,
    side: Side = Side.SELL,
    xrp: int = 5,
    *,
    price: Decimal = TWO,
    tx_hash: str = "",
    liquidity: LiquiditySide = LiquiditySide.MAKER,
) -> Fill:
    quote = price * xrp
    return Fill(
        order_id=1,
        ledger_index=ledger,
        close_time=ledger * 4,
        transaction_index=0,
        node="",
        tx_hash=tx_hash or f"{ledger}",
        side=side,
        liquidity=liquidity,
        base_drops=xrp * 1_000_000,
        quote=quote,
        quote_balance_delta=quote,
        rounding=Decimal(0),
        offer_sequence=1,
    )


def standing(price: Decimal, side: Side = Side.SELL, *, xrp: int = 5, moving: bool = False) -> Standing:
    return Standing(side=side, price=price, left=xrp * 1_000_000, moving=moving)


def transaction(account: str, index: int, base_drops: int = 10_000_000) -> LedgerTransaction:
    return LedgerTransaction(
        tx_hash=f"{account} {base_drops}",
        index=index,
        kind="OfferCreate",
        account=account,
        result="tesSUCCESS",
        fee_drops=10,
        account_sequence=1,
        ticket=None,
        cancels=None,
        changes=(),
        taker=TakerIntent(
            kind=TakerKind.OFFER,
            side=Side.BUY,
            base_drops=base_drops,
            quote=Decimal(20),
            immediate_or_cancel=True,
        ),
    )


def ledger(index: int, *transactions: LedgerTransaction) -> LedgerUpdate:
    return LedgerUpdate(
        ledger_index=index,
        ledger_hash="",
        close_time=index * 4,
        fee_base_drops=10,
        base_reserve_drops=1_000_000,
        owner_reserve_drops=200_000,
        transactions=transactions,
        check=CheckData(asks=None, bids=None, pool=None, accounts=None),
        line=0,
    )


def test_equal_fills_pair_whole() -> None:
    both = [fill(10), fill(12, Side.BUY)]
    found = compare(both, list(both), 3, {})
    assert found.same == 2
    assert (found.only_first, found.only_second) == ((), ())


def test_the_other_side_is_no_partner() -> None:
    found = compare([fill(10, Side.SELL)], [fill(10, Side.BUY)], 3, {})
    assert found.pairs == ()
    assert len(found.only_first) == len(found.only_second) == 1


def test_the_same_ledger_pairs_before_a_nearer_size_in_another() -> None:
    found = compare([fill(10, xrp=5)], [fill(11, xrp=5), fill(10, xrp=1)], 3, {})
    assert [(pair.second.ledger_index, pair.same_size) for pair in found.pairs] == [(10, False)]
    assert [one.ledger_index for one in found.only_second] == [11]


def test_an_exact_pair_is_not_broken_by_an_earlier_fill_without_partner() -> None:
    found = compare([fill(9), fill(10)], [fill(10)], 3, {})
    assert [(pair.first.ledger_index, pair.distance) for pair in found.pairs] == [(10, 0)]
    assert [one.ledger_index for one in found.only_first] == [9]


def test_nothing_pairs_beyond_the_distance() -> None:
    assert len(compare([fill(10)], [fill(13)], 3, {}).pairs) == 1
    assert compare([fill(10)], [fill(14)], 3, {}).pairs == ()


def test_a_later_or_an_earlier_fill_is_a_pair_but_not_the_same() -> None:
    found = compare([fill(10), fill(20)], [fill(11), fill(19)], 3, {})
    assert [pair.distance for pair in found.pairs] == [1, -1]
    assert found.same == 0


def test_the_same_taker_comes_before_the_nearer_size() -> None:
    takers = {"here": BUYER, "there": BUYER, "else": ("rOther", "Payment", "buy", 1, "2")}
    found = compare(
        [fill(10, xrp=5, tx_hash="here")],
        [fill(10, xrp=5, tx_hash="else"), fill(10, xrp=3, tx_hash="there")],
        3,
        takers,
    )
    assert [pair.second.tx_hash for pair in found.pairs] == ["there"]


def test_one_per_cent_of_size_is_the_same_and_two_are_not() -> None:
    near = compare([fill(10, xrp=100)], [fill(10, xrp=101)], 0, {}).pairs[0]
    far = compare([fill(10, xrp=100)], [fill(10, xrp=102)], 0, {}).pairs[0]
    assert (near.same, far.same) == (True, False)


def test_the_price_is_compared_in_bps() -> None:
    pair = compare([fill(10)], [fill(10, price=Decimal("2.0002"))], 0, {}).pairs[0]
    assert pair.price_bps == 1
    assert not pair.same


def test_volume_is_the_sum_in_drops() -> None:
    assert volume([fill(10, xrp=2), fill(11, xrp=3)]) == 5_000_000


def test_a_cause_is_read_off_what_stood_and_who_came() -> None:
    one, ours = fill(10), [standing(TWO)]
    assert cause(one, ours, ours, taker_came=False) is Cause.TAKER
    assert cause(one, ours, [], taker_came=True) is Cause.NO_ORDER
    assert cause(one, ours, [standing(TWO, Side.BUY)], taker_came=True) is Cause.NO_ORDER
    assert cause(one, ours, [standing(Decimal("2.001"))], taker_came=True) is Cause.PRICE
    assert cause(one, ours, ours, taker_came=True) is Cause.BOOK
    assert cause(one, ours, [standing(TWO, moving=True)], taker_came=True) is Cause.PLACE
    assert cause(one, [standing(TWO, moving=True)], ours, taker_came=True) is Cause.PLACE


def test_a_size_is_a_cause_only_where_both_filled() -> None:
    one, other = fill(10, xrp=5), [standing(TWO, xrp=4)]
    assert cause(one, [standing(TWO)], other, taker_came=True, sizes=True) is Cause.SIZE
    assert cause(one, [standing(TWO)], other, taker_came=True) is Cause.BOOK


def test_what_we_took_has_no_taker() -> None:
    taken = fill(10, liquidity=LiquiditySide.TAKER)
    assert cause(taken, [], [], taker_came=False) is Cause.OWN


def test_orders_within_one_bps_are_alike_and_one_more_is_not() -> None:
    assert alike([standing(TWO)], [standing(Decimal("2.0002"))])
    assert not alike([standing(TWO)], [standing(Decimal("2.0003"))])
    assert not alike([standing(TWO)], [standing(TWO), standing(TWO, Side.BUY)])


def test_markets_differ_first_in_order_then_in_what_is_sent() -> None:
    a, b, ours = transaction("a", 0), transaction("b", 1), transaction("neo", 2)
    here = [ledger(1, a, b, ours), ledger(2, a, b), ledger(3, a), ledger(4, a)]
    there = [ledger(1, a, b), ledger(2, b, a), ledger(3, transaction("a", 0, 7)), ledger(4, a)]
    found = diverged(here, there, "neo")
    assert (found.order, found.effects, found.wishes) == (2, 3, 3)
    assert found.kept == Decimal(5) / 6


def test_equal_markets_differ_nowhere() -> None:
    here = [ledger(1, transaction("a", 0))]
    found = diverged(here, here, "neo")
    assert (found.order, found.effects, found.wishes) == (None, None, None)
    assert found.kept == 1


def test_a_takers_key_is_who_what_and_how_much() -> None:
    tx = transaction("a", 0)
    assert taker_key(tx) == ("a", "OfferCreate", "buy", 10_000_000, "20")
