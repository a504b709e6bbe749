"""The fills-only ledger: balances, average cost, what each fill leaves behind."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from msgspec.structs import replace

from neo_engine.domain.capital import CapitalKind
from neo_engine.domain.errors import InvariantViolation
from neo_engine.inventory import Available, Inventory, apply_capital, apply_fees, apply_fill, empty
from tests.unit.core_values import XRP, capital, fill, order

BID = order(1, "bid-1", "2.2", 100 * XRP)
ASK = order(2, "ask-1", "2.3", 100 * XRP)
PLENTY = Available(base_drops=10**12, quote=D(10**9))


def funded() -> Inventory:
    """100 XRP at 2 and 220 RLUSD brought in."""
    inventory = empty()
    for number, event in enumerate(
        (
            capital(CapitalKind.OPENING, drops=100 * XRP),
            capital(CapitalKind.OPENING, rlusd="220"),
        )
    ):
        inventory, _ = apply_capital(inventory, replace(event, request_id=str(number)), D(2), PLENTY)
    return inventory


def test_a_buy_adds_what_was_paid_to_the_basis() -> None:
    inventory, _ = apply_fill(empty(), fill(BID, 10 * XRP))
    assert inventory.base_drops == 10 * XRP
    assert inventory.quote == D("-22")
    assert inventory.cost_basis == D("22")
    assert inventory.realised == 0


def test_a_sale_realises_the_difference_to_average_cost() -> None:
    # 10 at 2.2 and 10 at 2.0 cost 42, so 2.1 each; 5 sold at 2.3 earn 5 x 0.2 = 1.
    inventory, _ = apply_fill(empty(), fill(BID, 10 * XRP))
    inventory, _ = apply_fill(inventory, fill(order(3, "bid-1", "2", 10 * XRP), 10 * XRP))
    inventory, _ = apply_fill(inventory, fill(ASK, 5 * XRP))
    assert inventory.realised == D("1")
    assert inventory.cost_basis == D("31.5")


def test_the_last_drop_sold_takes_the_whole_basis_with_it() -> None:
    # 3 drops for 0.0000067 RLUSD: a third is no finite decimal, yet nothing may stay or be lost.
    bought = replace(fill(BID, 3), quote=D("0.0000067"), quote_balance_delta=D("-0.0000067"))
    inventory, _ = apply_fill(empty(), bought)
    for index in range(3):
        inventory, _ = apply_fill(inventory, fill(ASK, 1, index=index))
    assert inventory.base_drops == 0
    assert inventory.cost_basis == 0
    assert inventory.realised == 3 * D("0.0000023") - D("0.0000067")


def test_fills_move_the_fills_only_balances_and_never_the_overlay() -> None:
    inventory, entries = apply_fill(funded(), fill(ASK, 10 * XRP))
    assert (inventory.fills_base_drops, inventory.fills_quote) == (-10 * XRP, D("23"))
    assert (inventory.overlay_base_drops, inventory.overlay_quote) == (100 * XRP, D("220"))
    assert inventory.base_drops == 90 * XRP
    assert inventory.quote == D("243")
    assert [(row.asset, row.change, row.new_balance) for row in entries] == [
        ("XRP", D("-10"), D("-10")),
        ("RLUSD", D("23"), D("23")),
    ]


def test_the_second_fill_continues_the_fills_only_balance() -> None:
    inventory, _ = apply_fill(funded(), fill(ASK, 10 * XRP))
    _, entries = apply_fill(inventory, fill(BID, 4 * XRP))
    assert [(row.change, row.new_balance) for row in entries] == [(D("4"), D("-6")), (D("-8.8"), D("14.2"))]


def test_the_rounding_of_the_trust_line_is_owned() -> None:
    # A line of 16 digits near 150,000 moves in steps of 1e-10 (measured on the ledger).
    inventory, entries = apply_fill(funded(), fill(ASK, XRP, rounding="0.0000000001"))
    assert inventory.rounding_quote == D("0.0000000001")
    assert inventory.fills_quote == D("2.3000000001")
    assert entries[1].change == D("2.3000000001")
    assert inventory.realised == D("0.3000000001")


def test_fees_lower_the_balance_and_leave_the_inventory() -> None:
    inventory = apply_fees(funded(), 12)
    assert inventory.base_drops == 100 * XRP
    assert inventory.balance_drops == 100 * XRP - 12
    assert apply_fees(inventory, 0) is inventory


def test_negative_fees_are_a_defect() -> None:
    with pytest.raises(InvariantViolation, match="-1 drops"):
        apply_fees(empty(), -1)


def test_a_buy_that_brings_rlusd_is_a_defect() -> None:
    with pytest.raises(InvariantViolation, match="order 1"):
        apply_fill(empty(), replace(fill(BID, XRP), quote_balance_delta=D("2.2")))


def test_selling_more_than_is_known_opens_a_short_and_keeps_the_books_closed() -> None:
    # 2 XRP at 2.2 held, 5 sold at 2.3: 2 x 0.1 realised, 3 short that brought 6.9; bought back at 2.2.
    inventory, _ = apply_fill(empty(), fill(BID, 2 * XRP))
    inventory, _ = apply_fill(inventory, fill(ASK, 5 * XRP))
    assert inventory.realised == D("0.2")
    assert inventory.cost_basis == D("-6.9")
    inventory, _ = apply_fill(inventory, fill(BID, 3 * XRP))
    assert inventory.cost_basis == 0
    assert inventory.realised == D("0.5") == inventory.quote


def test_another_quote_asset_is_named_in_its_rows() -> None:
    _, entries = apply_fill(empty(), fill(BID, XRP), "USD")
    assert [row.asset for row in entries] == ["XRP", "USD"]
