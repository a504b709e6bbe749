"""The reconciler: each finding, what is repaired, what halts, and what is not judged yet."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal as D

import pytest
from msgspec.structs import replace

from neo_engine.domain.assets import Side
from neo_engine.domain.halt import HaltReason
from neo_engine.domain.market import VenueOffer
from neo_engine.domain.orders import Order, OrderStatus
from neo_engine.domain.records import Accounts, Finding
from neo_engine.execution.tracking import Orders, orders_of
from neo_engine.reconciliation import Reconciliation, VenueTruth, reconcile
from tests.unit.core_values import NOW, XRP, account, accounts, offer, order, paper_config

S = OrderStatus
HELD = accounts(100 * XRP, "220")


def run(
    orders: Orders | Sequence[Order],
    offers: tuple[VenueOffer, ...] = (),
    *,
    drops: int = 100 * XRP,
    rlusd: str = "220",
    sequence: int = 500,
    ledger: int = 1006,
    close_time: int = NOW,
    view: Accounts = HELD,
    repairs_so_far: int = 0,
    faults: tuple[Finding, ...] = (),
) -> Reconciliation:
    """Reconcile in ledger 1006: LastLedgerSequence 1004 and a cancel sent after 1001 have passed."""
    return reconcile(
        orders if isinstance(orders, Orders) else orders_of(orders),
        view,
        VenueTruth(
            account=account(drops, rlusd, sequence=sequence, offers=offers),
            ledger_index=ledger,
            close_time=close_time,
        ),
        paper_config(),
        repairs_so_far=repairs_so_far,
        faults=faults,
    )


def names(result: Reconciliation) -> list[str]:
    return [finding.name for finding in result.findings]


def halted(result: Reconciliation) -> bool:
    assert (result.halt is not None) is any(finding.halts for finding in result.findings)
    if result.halt is not None:
        assert result.halt.reason is HaltReason.RECONCILER_HALT
    return result.halt is not None


def repaired(result: Reconciliation, name: str, status: OrderStatus) -> Order:
    """The one order that was repaired, checked to be what the finding says."""
    assert names(result) == [name]
    assert not halted(result)
    assert result.repairs == 1
    (changed,) = result.changed
    assert changed.status is status
    return changed


BID = order(1, "bid-1", "2", 7 * XRP)


def test_orders_and_balances_that_agree_find_nothing() -> None:
    result = run([BID], (offer(BID),))
    assert (result.findings, result.changed, result.repairs, result.halt) == ((), (), 0, None)


# balances


@pytest.mark.parametrize("difference", [-1, 1])
def test_one_drop_of_difference_halts(difference: int) -> None:
    result = run([], drops=100 * XRP + difference)
    assert names(result) == ["balance_mismatch"]
    assert halted(result)
    assert (
        "difference -0.000001" in result.findings[0].detail
        or "difference 0.000001" in result.findings[0].detail
    )


def test_the_last_digit_of_rlusd_counts() -> None:
    # Both differ by less than a binary float could tell at this size.
    view = accounts(100 * XRP, "150000.0000000001")
    assert not halted(run([], rlusd="150000.0000000001", view=view))
    assert halted(run([], rlusd="150000.0000000002", view=view))


def test_fees_are_part_of_the_balance() -> None:
    assert not halted(run([], drops=100 * XRP - 24, view=replace(HELD, fees_drops=24)))


def test_the_rounding_carried_by_fills_is_part_of_the_balance() -> None:
    view = replace(HELD, fills_quote=D("-1.0000000001"), rounding_quote=D("-0.0000000001"))
    assert not halted(run([], rlusd="218.9999999999", view=view))


# gone from the exchange


def test_an_order_filled_whole_is_closed_as_filled() -> None:
    full = order(
        1, "bid-1", "2", 7 * XRP, S.PARTIALLY_FILLED, filled_base_drops=7 * XRP, remaining_base_drops=0
    )
    assert repaired(run([full]), "filled", S.FILLED).closed_ledger == 1006


def test_an_order_gone_with_its_cancel_under_way_is_cancelled() -> None:
    repaired(run([order(1, "bid-1", "2", 7 * XRP, S.PENDING_CANCEL)]), "cancelled", S.CANCELED)


@pytest.mark.parametrize(
    ("now", "name", "status"),
    [
        (NOW + 599, "vanished", S.CANCELED),
        (NOW + 600, "expired", S.EXPIRED),
        (NOW + 601, "expired", S.EXPIRED),
    ],
)
def test_an_order_gone_is_expired_from_its_expiration_on_and_vanished_before(
    now: int, name: str, status: OrderStatus
) -> None:
    after = repaired(run([BID], close_time=now), name, status)
    assert after.failure_reason == f"reconciler: {name}"


@pytest.mark.parametrize("status", [S.OPEN, S.PARTIALLY_FILLED, S.PENDING_CANCEL])
def test_an_order_gone_while_the_balances_differ_halts(status: OrderStatus) -> None:
    result = run([order(1, "bid-1", "2", 7 * XRP, status)], drops=107 * XRP, rlusd="206")
    assert names(result) == ["balance_mismatch", "balance_mismatch", "unexplained"]
    assert halted(result)
    assert result.changed == ()


def test_a_dead_offer_still_listed_is_expired() -> None:
    repaired(run([BID], (offer(BID),), close_time=NOW + 600), "expired", S.EXPIRED)


# in flight


@pytest.mark.parametrize("status", [S.PENDING_SUBMIT, S.SUBMITTED, S.UNKNOWN])
@pytest.mark.parametrize("offers", [(), (offer(BID),)], ids=["not there", "there"])
def test_an_order_in_flight_is_not_judged_before_its_last_ledger(
    status: OrderStatus, offers: tuple[VenueOffer, ...]
) -> None:
    result = run([order(1, "bid-1", "2", 7 * XRP, status)], offers, ledger=1004)
    assert (result.findings, result.changed) == ((), ())


@pytest.mark.parametrize("status", [S.PENDING_SUBMIT, S.SUBMITTED, S.UNKNOWN])
def test_an_order_whose_sequence_was_never_used_is_a_ghost(status: OrderStatus) -> None:
    flying = order(1, "bid-1", "2", 7 * XRP, status)
    repaired(run([flying], sequence=101, ledger=1005), "ghost", S.REJECTED)


@pytest.mark.parametrize("status", [S.PENDING_SUBMIT, S.SUBMITTED, S.UNKNOWN])
def test_an_order_that_landed_unseen_works(status: OrderStatus) -> None:
    flying = order(1, "bid-1", "2", 7 * XRP, status)
    after = repaired(run([flying], (offer(BID),), ledger=1005), "landed", S.OPEN)
    assert after.remaining_base_drops == 7 * XRP


def test_an_order_that_landed_and_ended_unseen_without_a_fill_is_closed() -> None:
    flying = order(1, "bid-1", "2", 7 * XRP, S.SUBMITTED)
    repaired(run([flying], sequence=102), "vanished", S.CANCELED)


def test_an_order_that_landed_with_less_than_fills_explain_halts() -> None:
    flying = order(1, "bid-1", "2", 7 * XRP, S.SUBMITTED)
    result = run([flying], (offer(BID, 6 * XRP),))
    assert names(result) == ["amount_mismatch"]
    assert halted(result)


def test_a_ghost_does_not_hide_a_fill() -> None:
    flying = order(1, "bid-1", "2", 7 * XRP, S.UNKNOWN)
    result = run([flying], sequence=102, drops=107 * XRP, rlusd="206")
    assert names(result)[-1] == "unexplained"
    assert halted(result)


# on the exchange


@pytest.mark.parametrize(("ledger", "found"), [(1005, []), (1006, ["cancel_lost"])])
def test_an_order_whose_cancel_never_came_works_again(ledger: int, found: list[str]) -> None:
    leaving = order(1, "bid-1", "2", 7 * XRP, S.PENDING_CANCEL, last_ledger_sequence=900)
    result = run([leaving], (offer(BID),), ledger=ledger)
    assert names(result) == found
    if found:
        assert repaired(result, "cancel_lost", S.OPEN).cancel_sent_ledger is None


def test_a_cancel_sent_right_after_its_order_is_not_judged_before_the_order() -> None:
    leaving = order(1, "bid-1", "2", 7 * XRP, S.PENDING_CANCEL)
    assert run([leaving], sequence=101, ledger=1004).findings == ()


def test_amounts_that_fills_explain_are_taken_over() -> None:
    late = order(1, "bid-1", "2", 7 * XRP, S.PARTIALLY_FILLED, filled_base_drops=3 * XRP)
    after = repaired(run([late], (offer(BID, 4 * XRP),)), "amount_mismatch", S.PARTIALLY_FILLED)
    assert (after.remaining_base_drops, after.remaining_quote) == (4 * XRP, D(8))


@pytest.mark.parametrize("left", [4 * XRP - 1, 4 * XRP + 1])
def test_amounts_that_fills_do_not_explain_halt(left: int) -> None:
    late = order(1, "bid-1", "2", 7 * XRP, S.PARTIALLY_FILLED, filled_base_drops=3 * XRP)
    result = run([late], (offer(BID, left),))
    assert names(result) == ["amount_mismatch"]
    assert halted(result)
    assert str(left) in result.findings[0].detail


def test_an_offer_of_the_other_side_halts() -> None:
    assert halted(run([BID], (offer(BID, side=Side.SELL),)))


def test_an_offer_unknown_to_us_halts_with_its_numbers() -> None:
    result = run([], (offer(BID),))
    assert names(result) == ["orphan"]
    assert halted(result)
    assert "buy 7 XRP for 14 RLUSD, sequence 101" in result.findings[0].detail


def test_an_offer_of_an_order_we_closed_names_it() -> None:
    ended = replace(BID, status=S.CANCELED)
    result = run(Orders(working=(), closed={1: ended}, seen={}, replaces={}), (offer(BID),))
    assert halted(result)
    assert result.findings[0].order_id == 1
    assert "CANCELED" in result.findings[0].detail


@pytest.mark.parametrize(("now", "halts"), [(NOW + 599, True), (NOW + 600, False)])
def test_a_dead_offer_is_nobodys_orphan(now: int, halts: bool) -> None:
    assert halted(run([], (offer(BID),), close_time=now)) is halts


# sequences


def test_two_orders_with_one_sequence_halt_and_nothing_is_repaired() -> None:
    twin = order(2, "ask-1", "2.1", 7 * XRP, offer_sequence=101)
    result = run([BID, twin])
    assert names(result) == ["sequence_ambiguity"]
    assert halted(result)
    assert result.changed == ()


def test_an_order_that_rests_before_its_transaction_halts() -> None:
    assert names(run([BID], (offer(BID),), sequence=101)) == ["sequence_ambiguity"]
    assert names(run([BID], (offer(BID),), sequence=102)) == []


def test_an_order_that_rests_without_a_sequence_halts() -> None:
    assert names(run([replace(BID, offer_sequence=None)])) == ["sequence_ambiguity"]


def test_a_sequence_listed_twice_halts() -> None:
    assert names(run([BID], (offer(BID), offer(BID)))) == ["sequence_ambiguity"]


# limits and faults


@pytest.mark.parametrize(("before", "halts"), [(18, False), (19, False), (20, True)])
def test_more_repairs_than_allowed_halt(before: int, halts: bool) -> None:
    result = run([BID], repairs_so_far=before)
    assert halted(result) is halts
    assert ("repairs_exhausted" in names(result)) is halts
    assert result.changed[0].status is S.CANCELED


def test_a_fault_of_order_tracking_halts() -> None:
    found = Finding(name="overfill", order_id=1, halts=True, detail="8 of 7")
    result = run([BID], (offer(BID),), faults=(found,))
    assert halted(result)
    assert result.halt is not None
    assert result.halt.detail == "overfill (order 1): 8 of 7"


def test_several_findings_are_all_told() -> None:
    stranger = replace(offer(BID), offer_sequence=333)
    result = run([BID], (stranger,), drops=1)
    assert names(result) == ["balance_mismatch", "unexplained", "orphan"]
    assert result.halt is not None
    assert all(name in result.halt.detail for name in names(result))


def test_a_repaired_order_has_left_the_working_ones() -> None:
    result = run([BID])
    assert result.orders.working == ()
    assert result.orders.closed[1].status is S.CANCELED
