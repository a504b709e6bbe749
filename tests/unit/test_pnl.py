"""The P&L identity on hand-computed cases; tests/property holds it for random histories."""

from __future__ import annotations

from decimal import Decimal as D

from neo_engine.domain.capital import CapitalKind
from neo_engine.inventory import (
    Available,
    accounts,
    apply_capital,
    apply_fees,
    apply_fill,
    empty,
    session_pnl,
)
from tests.unit.core_values import XRP, capital, fill, order

PLENTY = Available(base_drops=10**12, quote=D(10**9))


def test_a_round_trip_earns_the_spread_less_the_fees_at_mark() -> None:
    inventory, _ = apply_capital(empty(), capital(CapitalKind.OPENING, rlusd="100"), D(2), PLENTY)
    inventory, _ = apply_fill(inventory, fill(order(1, "bid-1", "2", XRP), 10 * XRP))
    inventory, _ = apply_fill(inventory, fill(order(2, "ask-1", "2.1", XRP), 10 * XRP))
    inventory = apply_fees(inventory, 20)
    view = accounts(inventory, D("2.5"))
    assert view.realised == D("1")
    assert view.unrealised == 0
    assert view.account_value == D("101") - D("0.00005")  # 20 drops at 2.5
    assert session_pnl(view) == D("0.99995")


def test_unrealised_is_inventory_at_mark_less_its_cost() -> None:
    inventory, _ = apply_fill(empty(), fill(order(1, "bid-1", "2", XRP), 10 * XRP))
    view = accounts(inventory, D("2.25"))
    assert view.unrealised == D("2.5")
    assert view.account_value == D("2.5")


def test_before_a_mark_xrp_is_worth_its_cost() -> None:
    inventory, _ = apply_fill(empty(), fill(order(1, "bid-1", "2", XRP), 10 * XRP))
    view = accounts(apply_fees(inventory, 10), None)
    assert (view.unrealised, view.account_value, view.mark) == (D(0), D(0), None)


def test_an_xrp_holding_loses_and_wins_with_the_mark_only() -> None:
    inventory, _ = apply_capital(empty(), capital(CapitalKind.OPENING, drops=100 * XRP), D(2), PLENTY)
    assert session_pnl(accounts(inventory, D(2))) == 0
    assert session_pnl(accounts(inventory, D("1.9"))) == D(-10)


def test_the_documented_example_comes_out_as_documented() -> None:
    # docs/inventory.md, "Cost and profit"
    inventory, _ = apply_fill(empty(), fill(order(1, "bid-1", "2.2", XRP), 10 * XRP))
    inventory, _ = apply_fill(inventory, fill(order(2, "ask-1", "2.3", XRP), 4 * XRP))
    assert (inventory.cost_basis, inventory.realised) == (D("13.2"), D("0.4"))
    for number, (event, mark) in enumerate(
        (
            (capital(CapitalKind.DEPOSIT, drops=5 * XRP, request_id="1"), "2.4"),
            (capital(CapitalKind.WITHDRAWAL, drops=5_500_000, request_id="2"), "2.5"),
            (capital(CapitalKind.DEPOSIT, rlusd="100", request_id="3"), "2.5"),
        )
    ):
        inventory, _ = apply_capital(inventory, event, D(mark), PLENTY)
        assert inventory.cost_basis == (D("25.2"), D("12.6"), D("12.6"))[number]
        assert inventory.realised == (D("0.4"), D("1.55"), D("1.55"))[number]
        assert inventory.net_capital == (D("12"), D("-1.75"), D("98.25"))[number]
