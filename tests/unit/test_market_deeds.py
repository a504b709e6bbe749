"""What a scenario does to a market's agents: a jump of what they take XRP to be worth, and rest."""

from __future__ import annotations

from decimal import Decimal

import pytest

from neo_engine.simulator.agents.market import Market, open_market


def sent_by(market: Market, who: str) -> int:
    """How many transactions an agent sends into the next ledger, which then closes."""
    sent = market.transactions()
    closed = market.chain.close(sent, market.next_time)
    market.closed(closed)
    return sum(1 for tx in sent if tx.account == market.accounts[who])


def test_a_shift_moves_the_price_at_once_and_for_good() -> None:
    moved, plain = open_market("calm", 4), open_market("calm", 4)
    moved.shift(Decimal("0.5"))
    assert moved.fair_price == plain.fair_price / 2
    for market in (moved, plain):
        market.advance()
    assert moved.fair_price == plain.fair_price / 2
    moved.shift(Decimal(2))
    assert moved.fair_price == plain.fair_price


@pytest.mark.parametrize("factor", ["0", "-1", "NaN"])
def test_a_price_cannot_become_nothing(factor: str) -> None:
    market = open_market("calm", 4)
    with pytest.raises((ValueError, ArithmeticError)):
        market.shift(Decimal(factor))
    assert market.fair_price > 0


def test_an_agent_at_rest_sends_nothing_until_its_ledger_has_closed() -> None:
    market = open_market("calm", 4)
    last = market.chain.header.ledger_index + 12
    market.rest("maker1", last)
    counts = [sent_by(market, "maker1") for _ in range(24)]
    assert counts[:12] == [0] * 12
    assert sum(counts[12:]) > 0
    assert sum(sent_by(market, "maker2") for _ in range(6)) > 0


def test_an_agent_that_there_is_not_cannot_rest() -> None:
    market = open_market("calm", 4)
    assert {"maker1", "taker1", "arb", "lp", "bank"} <= set(market.agents)
    with pytest.raises(KeyError):
        market.rest("nobody", 200)


def test_a_market_left_alone_is_what_it_was() -> None:
    one, two = open_market("calm", 4), open_market("calm", 4)
    two.shift(Decimal(1))
    assert [one.advance().header for _ in range(5)] == [two.advance().header for _ in range(5)]
