"""Capital events, and what may be committed to offers."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from msgspec.structs import replace

from neo_engine.domain.capital import CapitalKind
from neo_engine.domain.errors import InvariantViolation
from neo_engine.inventory import (
    Available,
    Inventory,
    accounts,
    apply_capital,
    apply_events,
    apply_fill,
    available,
    empty,
    first_mark,
    fit_to_capital,
    session_pnl,
)
from tests.unit.core_values import (
    XRP,
    account,
    capital,
    fill,
    offer,
    order,
    paper_config,
    quote,
    snapshot,
)

PLENTY = Available(base_drops=10**12, quote=D(10**9))
NOTHING = Available(base_drops=0, quote=D(0))
OPENING, DEPOSIT, WITHDRAWAL = CapitalKind.OPENING, CapitalKind.DEPOSIT, CapitalKind.WITHDRAWAL
BUFFER = 2 * XRP  # inventory.xrp_buffer of the delivered configuration
RESERVE = 1 * XRP  # base reserve, no objects


def opened(mark: str = "2") -> Inventory:
    """100 XRP and 220 RLUSD."""
    events = (
        capital(OPENING, drops=100 * XRP, request_id="open-xrp"),
        capital(OPENING, rlusd="220", request_id="open-rlusd"),
    )
    return apply_events(empty(), events, D(mark), NOTHING).inventory


# events


def test_an_opening_is_capital_at_the_mark_and_no_profit() -> None:
    inventory = opened()
    assert inventory.net_capital == D("420")
    assert inventory.cost_basis == D("200")
    assert session_pnl(accounts(inventory, D(2))) == 0


def test_both_halves_of_the_opening_wait_for_the_first_mark() -> None:
    events = (
        capital(OPENING, drops=100 * XRP, request_id="open-xrp"),
        capital(OPENING, rlusd="220", request_id="open-rlusd"),
    )
    result = apply_events(empty(), events, None, NOTHING)
    assert result.inventory == empty()
    assert result.records == ()
    assert result.waiting == events


def test_an_rlusd_deposit_needs_no_mark() -> None:
    inventory, record = apply_capital(empty(), capital(DEPOSIT, rlusd="50"), None, NOTHING)
    assert inventory.net_capital == D("50")
    assert record is not None
    assert (record.applied, record.mark) == (True, D(1))


def test_a_deposit_of_xrp_enters_the_basis_at_the_mark() -> None:
    # 100 at 2 and 50 at 2.6: 330 for 150 XRP.
    inventory, record = apply_capital(opened(), capital(DEPOSIT, drops=50 * XRP), D("2.6"), NOTHING)
    assert inventory.cost_basis == D("330")
    assert inventory.net_capital == D("550")
    assert record is not None
    assert record.mark == D("2.6")


def test_a_withdrawal_of_xrp_releases_average_cost_and_realises_the_rest() -> None:
    # 40 of 100 XRP that cost 2 leave at 2.5: 80 released, 20 realised, net capital 420 - 100.
    inventory, _ = apply_capital(opened(), capital(WITHDRAWAL, drops=40 * XRP), D("2.5"), PLENTY)
    assert inventory.cost_basis == D("120")
    assert inventory.realised == D("20")
    assert inventory.net_capital == D("320")
    assert inventory.overlay_base_drops == 60 * XRP
    # What was earned so far, 100 x 0.5, did not leave with the capital.
    assert session_pnl(accounts(inventory, D("2.5"))) == D("50")


@pytest.mark.parametrize("mark", ["1.5", "2", "2.5"])
def test_no_capital_event_changes_the_sessions_profit(mark: str) -> None:
    inventory = opened()
    before = session_pnl(accounts(inventory, D(mark)))
    for number, event in enumerate(
        (
            capital(DEPOSIT, drops=7 * XRP),
            capital(DEPOSIT, rlusd="3.3"),
            capital(WITHDRAWAL, drops=11 * XRP),
            capital(WITHDRAWAL, rlusd="100"),
        )
    ):
        inventory, _ = apply_capital(inventory, replace(event, request_id=str(number)), D(mark), PLENTY)
        assert session_pnl(accounts(inventory, D(mark))) == before


@pytest.mark.parametrize(("asked", "applied"), [(9_999_999, True), (10_000_000, True), (10_000_001, False)])
def test_a_withdrawal_of_xrp_is_refused_from_one_drop_too_many(asked: int, applied: bool) -> None:
    limit = Available(base_drops=10_000_000, quote=D(0))
    inventory, record = apply_capital(opened(), capital(WITHDRAWAL, drops=asked), D(2), limit)
    assert record is not None
    assert record.applied is applied
    assert (inventory.base_drops == 100 * XRP) is not applied


@pytest.mark.parametrize(("asked", "applied"), [("19.99", True), ("20", True), ("20.000001", False)])
def test_a_withdrawal_of_rlusd_is_refused_beyond_the_balance(asked: str, applied: bool) -> None:
    limit = Available(base_drops=0, quote=D(20))
    _, record = apply_capital(opened(), capital(WITHDRAWAL, rlusd=asked), D(2), limit)
    assert record is not None
    assert record.applied is applied


def test_a_refusal_names_what_was_asked_and_what_there_is() -> None:
    limit = Available(base_drops=1_500_000, quote=D(0))
    _, record = apply_capital(opened(), capital(WITHDRAWAL, drops=2 * XRP), D(2), limit)
    assert record is not None
    assert record.reason is not None
    assert "2 XRP asked" in record.reason
    assert "1.5 XRP available" in record.reason


def test_the_second_withdrawal_finds_what_the_first_left() -> None:
    events = (
        capital(WITHDRAWAL, drops=6 * XRP, request_id="a"),
        capital(WITHDRAWAL, drops=6 * XRP, request_id="b"),
        capital(WITHDRAWAL, drops=4 * XRP, request_id="c"),
    )
    result = apply_events(opened(), events, D(2), Available(base_drops=10 * XRP, quote=D(0)))
    assert [record.applied for record in result.records] == [True, False, True]


def test_the_same_request_twice_is_one_event() -> None:
    events = (capital(DEPOSIT, rlusd="5"), capital(DEPOSIT, rlusd="5"))
    result = apply_events(opened(), events, D(2), NOTHING)
    assert result.inventory.net_capital == D("425")
    assert len(result.records) == 1
    assert result.waiting == ()


@pytest.mark.parametrize(
    "event",
    [
        capital(DEPOSIT),
        capital(DEPOSIT, drops=1, rlusd="1"),
        capital(DEPOSIT, drops=-1),
        capital(WITHDRAWAL, rlusd="-5"),
        capital(DEPOSIT, rlusd="NaN"),
        capital(DEPOSIT, rlusd="Infinity"),
    ],
)
def test_a_malformed_event_is_refused_and_moves_nothing(event: object) -> None:
    before = opened()
    inventory, record = apply_capital(before, event, D(2), PLENTY)  # type: ignore[arg-type]
    assert record is not None
    assert not record.applied
    assert record.reason
    assert inventory == replace(before, capital_requests=inventory.capital_requests)


@pytest.mark.parametrize("mark", ["0", "-1", "NaN", "Infinity"])
def test_a_mark_that_is_no_price_is_a_defect(mark: str) -> None:
    with pytest.raises(InvariantViolation, match="request-1"):
        apply_capital(empty(), capital(DEPOSIT, rlusd="1"), D(mark), NOTHING)


def test_the_first_mark_is_the_mid_or_else_the_first_fills_price() -> None:
    traded = fill(order(1, "bid-1", "2.2", XRP), XRP)
    assert first_mark(D("2.1"), (traded,)) == D("2.1")
    assert first_mark(None, (traded,)) == D("2.2")
    assert first_mark(None, ()) is None


def test_a_fill_before_the_first_mid_leaves_the_identity_intact() -> None:
    sold = fill(order(1, "ask-1", "2.2", XRP), 10 * XRP)
    mark = first_mark(None, (sold,))
    result = apply_events(empty(), (capital(OPENING, drops=100 * XRP),), mark, NOTHING)
    inventory, _ = apply_fill(result.inventory, sold)
    assert inventory.realised == 0  # sold at the price it was brought in at
    assert session_pnl(accounts(inventory, D("2.2"))) == 0


# what may be committed


def test_reserves_and_buffer_are_never_available() -> None:
    # 100 XRP - 1 base - 3 x 0.2 owner - 2 buffer.
    view = account(100 * XRP, "220", owner_count=3)
    assert available(view, snapshot(), paper_config()) == Available(base_drops=96_400_000, quote=D("220"))


def test_nothing_is_available_below_the_reserve() -> None:
    view = account(2 * XRP, "0", owner_count=3)
    assert available(view, snapshot(), paper_config()) == Available(base_drops=0, quote=D(0))


def test_quotes_that_fit_pass_untouched() -> None:
    quotes = (quote("bid-1", "1.98", 7 * XRP), quote("ask-1", "2.02", 7 * XRP))
    fitted, gates = fit_to_capital(quotes, account(100 * XRP, "220"), snapshot(), paper_config(), ())
    assert fitted == quotes
    assert gates == ()


@pytest.mark.parametrize(
    ("spare", "stands"), [(-1, 6_999_999), (0, 7_000_000), (1, 7_000_000)], ids=["under", "exact", "over"]
)
def test_an_ask_stands_for_what_is_left_to_the_drop(spare: int, stands: int) -> None:
    view = account(RESERVE + BUFFER + 200_000 + 7 * XRP + spare, "0")
    fitted, gates = fit_to_capital((quote("ask-1", "2", 7 * XRP),), view, snapshot(), paper_config(), ())
    assert [one.base_drops for one in fitted] == [stands]
    assert [gate.name for gate in gates] == (["CapitalShrunk"] if spare < 0 else [])


def test_overlapping_asks_share_one_budget_best_first() -> None:
    view = account(RESERVE + BUFFER + 400_000 + 9 * XRP, "0")
    asks = (quote("ask-1", "2", 7 * XRP), quote("ask-2", "2.1", 7 * XRP))
    fitted, gates = fit_to_capital(asks, view, snapshot(), paper_config(), ())
    assert [one.base_drops for one in fitted] == [7 * XRP, 2 * XRP]
    assert fitted[1].quote == D("4.2")
    assert [(gate.name, gate.side) for gate in gates] == [("CapitalShrunk", "ask")]


def test_a_quote_cut_below_the_minimum_notional_is_dropped_with_its_numbers() -> None:
    # 0.9 XRP at 2 is 1.80 RLUSD; the minimum is 2.
    view = account(RESERVE + BUFFER + 200_000 + 900_000, "0")
    fitted, gates = fit_to_capital((quote("ask-1", "2", 7 * XRP),), view, snapshot(), paper_config(), ())
    assert fitted == ()
    assert [(gate.name, gate.side) for gate in gates] == [("Capital", "ask")]
    assert "needs 7 XRP" in gates[0].detail
    assert "0.9 XRP free" in gates[0].detail


def test_an_ask_of_exactly_the_minimum_notional_stands() -> None:
    view = account(RESERVE + BUFFER + 200_000 + 1 * XRP, "0")
    fitted, _ = fit_to_capital((quote("ask-1", "2", 7 * XRP),), view, snapshot(), paper_config(), ())
    assert [one.quote for one in fitted] == [D(2)]


@pytest.mark.parametrize(("free", "quotes"), [(199_999, 0), (200_000, 1), (399_999, 1), (400_000, 2)])
def test_each_new_bid_locks_one_owner_reserve(free: int, quotes: int) -> None:
    view = account(RESERVE + BUFFER + free, "100")
    bids = (quote("bid-1", "2", 7 * XRP), quote("bid-2", "1.9", 7 * XRP))
    fitted, gates = fit_to_capital(bids, view, snapshot(), paper_config(), ())
    assert len(fitted) == quotes
    assert len(gates) == 2 - quotes


def test_a_replace_needs_no_further_reserve() -> None:
    old = order(1, "bid-1", "1.9", 7 * XRP)
    view = account(RESERVE + BUFFER + 200_000, "100", owner_count=1, offers=(offer(old),))
    fitted, gates = fit_to_capital((quote("bid-1", "2", 7 * XRP),), view, snapshot(), paper_config(), (old,))
    assert len(fitted) == 1
    assert gates == ()


def test_an_order_not_listed_yet_does_not_spare_the_reserve() -> None:
    old = order(1, "bid-1", "1.9", 7 * XRP)
    view = account(RESERVE + BUFFER + 199_999, "100")
    fitted, _ = fit_to_capital((quote("bid-1", "2", 7 * XRP),), view, snapshot(), paper_config(), (old,))
    assert fitted == ()


def test_bids_share_the_rlusd_and_the_last_is_cut_to_what_is_left() -> None:
    bids = (quote("bid-1", "2", 7 * XRP), quote("bid-2", "1.9", 7 * XRP))
    fitted, gates = fit_to_capital(bids, account(100 * XRP, "20"), snapshot(), paper_config(), ())
    assert fitted[0] == bids[0]
    # 6 RLUSD left buy 3.157894 XRP at 1.9, drops rounded down; the price never rises above 1.9.
    assert fitted[1].base_drops == 3_157_894
    assert fitted[1].quote <= D(6)
    assert fitted[1].price <= D("1.9")
    assert [gate.name for gate in gates] == ["CapitalShrunk"]


def test_the_issuers_transfer_fee_is_paid_on_top_of_a_bid() -> None:
    # At 1 % a bid of 100 RLUSD costs 101 (xrpl.org, "Transfer Fees").
    market = snapshot(transfer_rate=1_010_000_000)
    bid = (quote("bid-1", "2", 50 * XRP),)
    assert fit_to_capital(bid, account(100 * XRP, "101"), market, paper_config(), ())[1] == ()
    gates = fit_to_capital(bid, account(100 * XRP, "100.99"), market, paper_config(), ())[1]
    assert [gate.name for gate in gates] == ["CapitalShrunk"]


def test_a_dropped_ask_gives_its_reserve_to_the_next() -> None:
    view = account(RESERVE + BUFFER + 400_000 + 900_000, "0")
    asks = (quote("ask-1", "2", 7 * XRP), quote("ask-2", "2.1", 1_100_000))
    fitted, gates = fit_to_capital(asks, view, snapshot(), paper_config(), ())
    assert [one.slot for one in fitted] == ["ask-2"]
    assert fitted[0].base_drops == 1_100_000
    assert [gate.name for gate in gates] == ["Capital"]


def test_a_cut_quote_stays_on_the_tick_grid() -> None:
    # TickSize 7: the ask's rate is 2.000001e-6 RLUSD a drop, still seven digits after the cut.
    view = account(RESERVE + BUFFER + 200_000 + 3_333_333, "0")
    ask = (quote("ask-1", "2.000001", 7 * XRP),)
    fitted, _ = fit_to_capital(ask, view, snapshot(tick_size=7), paper_config(), ())
    assert fitted[0].price == D("2.000001")
