"""The paper account: reserves, the trust line's digits, capital in and out."""

from __future__ import annotations

from decimal import Decimal

import pytest

from neo_engine.domain.assets import Side
from neo_engine.domain.capital import CapitalEvent, CapitalKind
from neo_engine.execution.paper_account import PaperAccount, offer_index
from tests.unit.core_values import capital
from tests.unit.paper_fixture import RESERVE, START_DROPS, START_QUOTE, XRP, D, Venue, bid, market


def account(balance_drops: int = START_DROPS, quote: Decimal = START_QUOTE) -> PaperAccount:
    one = PaperAccount(
        address="rUs", balance_drops=balance_drops, quote_balance=quote, owner_count=1, sequence=1
    )
    one.set_reserves(1 * XRP, 200_000)
    return one


def test_what_lies_above_base_reserve_and_owner_reserves_can_be_spent() -> None:
    assert account().spendable_drops() == START_DROPS - 1_200_000
    assert account(balance_drops=RESERVE - 1).spendable_drops() == 0


def test_each_offer_locks_one_owner_reserve_until_it_is_removed() -> None:
    one = account()
    one.add_offer(7, bid(5, "3", "2"), filled=False)
    assert one.spendable_drops() == START_DROPS - 1_400_000
    assert one.remove_offer(5) is not None
    assert one.spendable_drops() == START_DROPS - 1_200_000
    assert one.remove_offer(5) is None
    assert one.owner_count == 1


@pytest.mark.parametrize(
    ("side", "quote", "balance", "moved"),
    [
        (Side.SELL, "1.000000000000000", "301", "1.000000000000000"),
        (Side.SELL, "1.234567890123456", "301.2345678901235", "1.2345678901235"),  # 6 rounds up
        (Side.BUY, "1.234567890123456", "298.7654321098765", "-1.2345678901235"),  # …765 4|4 rounds down
    ],
)
def test_the_trust_line_holds_sixteen_digits_after_each_trade(
    side: Side, quote: str, balance: str, moved: str
) -> None:
    one = account()
    assert one.trade(side, 1 * XRP, D(quote)) == D(moved)
    assert one.quote_balance == D(balance)
    assert one.balance_drops == START_DROPS + (XRP if side is Side.BUY else -XRP)


def test_a_balance_below_nothing_funds_nothing() -> None:
    assert account(quote=D("-1E-15")).funds(Side.BUY) == 0


def test_a_deposit_and_a_withdrawal_move_the_balances() -> None:
    venue = Venue(market())
    for event in (
        capital(CapitalKind.DEPOSIT, drops=5 * XRP),
        capital(CapitalKind.DEPOSIT, rlusd="7.5"),
        capital(CapitalKind.WITHDRAWAL, drops=2 * XRP),
        capital(CapitalKind.WITHDRAWAL, rlusd="0.5"),
    ):
        assert venue.exchange.transfer(event) is None
    assert venue.account.balance_drops == START_DROPS + 3 * XRP
    assert venue.account.quote_balance == START_QUOTE + 7


@pytest.mark.parametrize(
    ("event", "refusal"),
    [
        (
            capital(CapitalKind.WITHDRAWAL, drops=100 * XRP + 1),
            "only 100 XRP lie above the account's reserve",
        ),
        (capital(CapitalKind.WITHDRAWAL, rlusd="300.1"), "only 300 are in the account"),
    ],
)
def test_a_withdrawal_beyond_what_can_be_spent_is_refused_and_moves_nothing(
    event: CapitalEvent, refusal: str
) -> None:
    venue = Venue(market())
    assert venue.exchange.transfer(event) == refusal
    assert (venue.account.balance_drops, venue.account.quote_balance) == (START_DROPS, START_QUOTE)


def test_a_withdrawal_of_all_that_can_be_spent_is_accepted() -> None:
    venue = Venue(market())
    assert venue.exchange.transfer(capital(CapitalKind.WITHDRAWAL, drops=100 * XRP)) is None
    assert venue.account.balance_drops == RESERVE


def test_offers_of_different_sequences_have_different_names_of_64_hex_digits() -> None:
    names = {offer_index("rUs", sequence) for sequence in range(100)}
    assert len(names) == 100
    assert all(len(name) == 64 and int(name, 16) >= 0 for name in names)
