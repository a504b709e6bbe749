"""What the ledger stores: the expectations are what a real server wrote (tests/data/tick_rounding.csv)."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

import pytest

from neo_engine.domain.assets import Side
from neo_engine.domain.errors import BadNumber
from neo_engine.domain.rounding import (
    STEADY_TRIES,
    ledger_divide,
    offer_rate,
    rate_code,
    steady_amounts,
    stored_amounts,
    tick_rounded,
)
from neo_engine.strategy.rounding import quote_at

DATA = Path(__file__).resolve().parents[1] / "data" / "tick_rounding.csv"
with DATA.open(encoding="utf-8", newline="") as _file:
    ROWS = list(csv.DictReader(_file))
OURS = [row for row in ROWS if (row["side"] == "sell") == (row["sell"] == "1")]


def name(row: dict[str, str]) -> str:
    return f"{row['recording']}-{row['ledger_index']}-{row['side']}-{row['tx_hash'][:6]}"


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_an_offer_is_stored_as_the_server_stored_it_and_in_its_directory(row: dict[str, str]) -> None:
    base_drops, quote, rate = tick_rounded(
        Side(row["side"]),
        int(row["base_drops"]),
        Decimal(row["quote"]),
        int(row["tick_size"]),
        sell=row["sell"] == "1",
    )
    assert base_drops == int(row["stored_base_drops"])
    assert quote == Decimal(row["stored_quote"])
    assert rate_code(rate) == row["rate_code"]


@pytest.mark.parametrize("row", OURS, ids=name)
def test_our_asks_sell_and_our_bids_do_not(row: dict[str, str]) -> None:
    stored = stored_amounts(
        Side(row["side"]), int(row["base_drops"]), Decimal(row["quote"]), int(row["tick_size"])
    )
    assert stored[:2] == (int(row["stored_base_drops"]), Decimal(row["stored_quote"]))


def test_both_sides_and_both_recordings_are_among_the_examples() -> None:
    assert {(row["recording"], row["side"]) for row in ROWS} == {
        ("calm", "sell"),
        ("calm", "buy"),
        ("hostile", "sell"),
        ("hostile", "buy"),
    }
    assert len(ROWS) >= 20


@pytest.mark.parametrize("row", OURS, ids=name)
def test_a_quote_near_a_stored_offer_is_stored_unchanged_when_sent(row: dict[str, str]) -> None:
    side, drops, tick = Side(row["side"]), int(row["base_drops"]), int(row["tick_size"])
    price = Decimal(row["quote"]) * 1_000_000 / drops
    base_drops, quote, rate = steady_amounts(side, drops, price, tick)
    assert stored_amounts(side, base_drops, quote, tick) == (base_drops, quote, rate)
    assert 0 <= drops - base_drops <= STEADY_TRIES * (STEADY_TRIES + 1) // 2
    # Same tick as the server's own offer: the rates agree to the seventh digit, the 16th may differ.
    assert abs(rate / offer_rate(side, int(row["stored_base_drops"]), Decimal(row["stored_quote"])) - 1) < (
        Decimal("1E-14")
    )


def test_without_a_tick_size_nothing_is_rounded() -> None:
    assert stored_amounts(Side.BUY, 3_000_000, Decimal("6.123456789012345"), 16)[:2] == (
        3_000_000,
        Decimal("6.123456789012345"),
    )
    base_drops, quote, _ = steady_amounts(Side.SELL, 3, Decimal(1) / 3, 16)
    assert (base_drops, quote) == (3, Decimal("0.000001"))


def test_a_quotient_leans_upwards_as_the_servers_does() -> None:
    # 1/3 = 0.33333333333333333|3: cut to 17 digits, +5 of the last, then to nearest: ...3338 -> ...334.
    assert ledger_divide(Decimal(1), Decimal(3)) == Decimal("0.3333333333333334")
    # 2/1: exact quotients stay exact.
    assert ledger_divide(Decimal(2), Decimal(1)) == 2


def test_a_tick_as_fine_as_the_amounts_ends_the_search_at_its_limit() -> None:
    # 546,706 XRP at 14 digits: every amount tried is stored one unit of the last place away.
    drops, quote, _ = steady_amounts(Side.SELL, 546_706_252_904, Decimal("73059.9994606308"), 14)
    assert 546_706_252_904 - drops == (STEADY_TRIES - 1) * STEADY_TRIES // 2
    stored = stored_amounts(Side.SELL, drops, quote, 14)
    assert 0 < stored[1] / quote - 1 < Decimal("2E-13")


def test_the_coarsest_tick_leaves_a_single_drop_standing() -> None:
    # 1 % is the most a tick of three digits moves: 1.01 drops from 1.001, 0.99 from 1.
    assert tick_rounded(Side.SELL, 1, Decimal("10.01"), 3, sell=False)[0] == 1
    assert tick_rounded(Side.BUY, 1, Decimal("0.9990009990009990"), 3, sell=True)[0] == 1


def test_three_drops_that_cannot_stand_still_end_a_tick_away() -> None:
    # 1000000 / 500371.203743407 = 1.99851..., up to 1.9986: 3 / 1.9986 and 2 / 1.9986 both round down.
    drops, quote, _ = steady_amounts(Side.BUY, 3, Decimal("500371.203743407"), 5)
    stored = stored_amounts(Side.BUY, drops, quote, 5)
    assert drops == 2
    assert quote == Decimal("1.000700490343240")
    assert stored[1] == Decimal("1.000650422774804")  # 2 / 1.9987 = 1.00065042277480362...


@pytest.mark.parametrize(
    ("base_drops", "quote"),
    [(0, "1"), (-5, "1"), (5, "0"), (5, "-1"), (10**18, "1"), (1, "1E90"), (1, "1E-97")],
)
def test_amounts_no_ledger_holds_are_refused(base_drops: int, quote: str) -> None:
    with pytest.raises(BadNumber):
        stored_amounts(Side.BUY, base_drops, Decimal(quote), 7)


@pytest.mark.parametrize(("base_drops", "price"), [(0, "1"), (1, "0"), (1, "-2"), (10**18, "1")])
def test_prices_and_sizes_no_offer_has_are_refused(base_drops: int, price: str) -> None:
    with pytest.raises(BadNumber):
        steady_amounts(Side.BUY, base_drops, Decimal(price), 7)


def test_a_division_by_nothing_is_refused() -> None:
    with pytest.raises(BadNumber):
        ledger_divide(Decimal(1), Decimal(0))


def test_a_quote_of_less_than_a_drop_is_none_and_of_more_than_all_xrp_is_refused() -> None:
    assert quote_at("bid-1", Side.BUY, Decimal("1E9"), Decimal(15), 7) is None
    with pytest.raises(BadNumber, match="bid-1"):
        quote_at("bid-1", Side.BUY, Decimal("1E-12"), Decimal(15), 7)
