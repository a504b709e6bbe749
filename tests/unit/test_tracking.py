"""Order tracking: the table of moves, fills, lost and repeated news, failed replaces."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from msgspec.structs import replace

from neo_engine.domain.assets import Side
from neo_engine.domain.errors import InvariantViolation
from neo_engine.domain.orders import (
    LEGAL_MOVES,
    TERMINAL,
    WORKING,
    Order,
    OrderStatus,
    PreparedTransaction,
    SubmitClass,
    SubmitOutcome,
    TransactionKind,
    TransactionOutcome,
)
from neo_engine.execution import tracking
from neo_engine.execution.tracking import (
    RECENT_CLOSED,
    Orders,
    Tracked,
    apply,
    orders_of,
    prepared,
    submitted,
)
from tests.unit.core_values import XRP, fill, order, update

S = OrderStatus
RESTING = (S.OPEN, S.PARTIALLY_FILLED)


def named(status: OrderStatus) -> str:
    return status.value


def one(result: Tracked | tracking.Marked) -> Order:
    """The only order that changed."""
    (changed,) = result.changed
    return changed


def names(result: Tracked) -> list[str]:
    return [finding.name for finding in result.faults]


# the table


@pytest.mark.parametrize("new", S, ids=named)
@pytest.mark.parametrize("old", [status for status in S if status in WORKING], ids=named)
def test_the_venues_word_moves_an_order_as_the_table_says_or_is_a_fault(
    old: OrderStatus, new: OrderStatus
) -> None:
    filled = 3 * XRP if new in (S.PARTIALLY_FILLED, S.FILLED) or old is S.PARTIALLY_FILLED else 0
    if new is S.FILLED:
        filled = 7 * XRP
    before = order(1, "bid-1", "2", 7 * XRP, old, filled_base_drops=filled)
    left = 0 if new in TERMINAL else 7 * XRP - filled
    result = apply(orders_of([before]), [update(before, new, left, reason="code")], [])
    resting = S.PARTIALLY_FILLED if filled else S.OPEN
    means = resting if new is S.OPEN else new
    if means is old or means in LEGAL_MOVES[old]:
        assert names(result) == []
        after = result.changed[0] if result.changed else before
        assert after.status is means
        assert (after.order_id in {o.order_id for o in result.orders.working}) is (means in WORKING)
    else:
        assert names(result)[0] == "illegal_move"
        assert result.faults[0].halts
        assert result.orders.working[0].status in (old, S.FILLED)


@pytest.mark.parametrize("ended", [status for status in S if status in TERMINAL], ids=named)
def test_nothing_follows_the_end_of_an_order(ended: OrderStatus) -> None:
    orders = closed(ended)
    for status in S:
        later = update(order(1, "bid-1", "2", 7 * XRP), status, 0, ledger=1100)
        result = apply(orders, [later], [])
        assert names(result) == ([] if status is ended else ["illegal_move"])
        assert result.changed == ()


def closed(ended: OrderStatus) -> Orders:
    before = order(1, "bid-1", "2", 7 * XRP)
    after = replace(before, status=ended, closed_ledger=1050, remaining_base_drops=0)
    return Orders(working=(), closed={1: after}, seen={}, replaces={})


def test_the_end_of_an_order_keeps_its_reason_and_ledger() -> None:
    before = order(1, "bid-1", "2", 7 * XRP, S.SUBMITTED)
    news = update(before, S.REJECTED, 0, ledger=1003, reason="tecINSUF_RESERVE_OFFER")
    after = one(apply(orders_of([before]), [news], []))
    assert (after.failure_reason, after.result_code) == ("tecINSUF_RESERVE_OFFER",) * 2
    assert (after.closed_ledger, after.remaining_base_drops, after.remaining_quote) == (1003, 0, D(0))


# fills


def test_a_fill_adds_to_what_was_filled_and_takes_from_what_is_left() -> None:
    before = order(1, "bid-1", "2", 7 * XRP)
    after = one(apply(orders_of([before]), [], [fill(before, 3 * XRP)]))
    assert after.status is S.PARTIALLY_FILLED
    assert (after.filled_base_drops, after.filled_quote) == (3 * XRP, D(6))
    assert (after.remaining_base_drops, after.remaining_quote) == (4 * XRP, D(8))


def test_a_fill_key_counts_once_in_a_batch_and_across_batches() -> None:
    before = order(1, "bid-1", "2", 7 * XRP)
    traded = fill(before, 3 * XRP)
    first = apply(orders_of([before]), [], [traded, traded])
    again = apply(first.orders, [], [traded])
    assert (len(first.fills), first.changed[0].filled_base_drops) == (1, 3 * XRP)
    assert (again.fills, again.changed, again.faults) == ((), (), ())


def test_fills_known_from_before_a_restart_count_no_more() -> None:
    before = order(1, "bid-1", "2", 7 * XRP, S.PARTIALLY_FILLED, filled_base_drops=3 * XRP)
    traded = fill(before, 3 * XRP)
    assert apply(orders_of([before], [traded]), [], [traded]).fills == ()


def test_an_order_filled_whole_is_closed_even_if_the_update_is_lost() -> None:
    before = order(1, "bid-1", "2", 7 * XRP)
    result = apply(orders_of([before]), [], [fill(before, 3 * XRP), fill(before, 4 * XRP, index=1)])
    assert one(result).status is S.FILLED
    assert result.closed == result.changed
    assert one(result).failure_reason is None
    late = apply(result.orders, [update(before, S.FILLED, 0)], [])
    assert (late.changed, late.faults) == ((), ())


@pytest.mark.parametrize(("drops", "faults"), [(7_000_000, []), (7_000_001, []), (7_000_002, ["overfill"])])
def test_more_than_one_drop_above_the_size_is_an_overfill(drops: int, faults: list[str]) -> None:
    before = order(1, "bid-1", "2", 7 * XRP)
    result = apply(orders_of([before]), [], [fill(before, drops)])
    assert names(result) == faults
    assert len(result.fills) == 1


def test_a_fill_after_the_end_is_a_fault_and_still_counted() -> None:
    before = order(1, "bid-1", "2", 7 * XRP)
    orders = apply(orders_of([before]), [update(before, S.CANCELED, 0)], []).orders
    result = apply(orders, [], [fill(before, 3 * XRP, ledger=1005)])
    assert names(result) == ["fill_after_close"]
    assert len(result.fills) == 1
    assert one(result).filled_base_drops == 3 * XRP
    assert one(result).status is S.CANCELED
    assert apply(result.orders, [], [fill(before, 3 * XRP, ledger=1005)]).faults == ()


def test_a_fill_and_the_cancel_of_one_ledger_are_no_fault() -> None:
    before = order(1, "bid-1", "2", 7 * XRP)
    result = apply(orders_of([before]), [update(before, S.CANCELED, 0)], [fill(before, 3 * XRP)])
    assert (names(result), one(result).status, one(result).filled_base_drops) == ([], S.CANCELED, 3 * XRP)


def test_a_fill_of_a_stranger_is_a_fault_and_still_counted() -> None:
    result = apply(orders_of([]), [], [fill(order(9, "bid-1", "2", XRP), XRP)])
    assert names(result) == ["unknown_order"]
    assert len(result.fills) == 1


def test_a_fill_of_the_other_side_is_a_fault() -> None:
    before = order(1, "bid-1", "2", 7 * XRP)
    assert names(apply(orders_of([before]), [], [replace(fill(before, XRP), side=Side.SELL)])) == [
        "fill_wrong_side"
    ]


def test_a_fill_of_an_order_never_submitted_is_a_fault() -> None:
    before = order(1, "bid-1", "2", 7 * XRP, S.PENDING_SUBMIT)
    assert names(apply(orders_of([before]), [], [fill(before, XRP)])) == ["illegal_move"]


def test_a_fill_of_an_unknown_order_shows_that_it_landed() -> None:
    before = order(1, "bid-1", "2", 7 * XRP, S.UNKNOWN)
    assert one(apply(orders_of([before]), [], [fill(before, XRP)])).status is S.PARTIALLY_FILLED


def test_more_gone_than_filled_is_a_missing_fill() -> None:
    before = order(1, "bid-1", "2", 7 * XRP)
    lost = apply(orders_of([before]), [update(before, S.PARTIALLY_FILLED, 3 * XRP)], [fill(before, 2 * XRP)])
    assert names(lost) == ["missing_fill"]
    assert names(apply(orders_of([before]), [update(before, S.FILLED, 0)], [])) == ["missing_fill"]


@pytest.mark.parametrize(("dust", "faults"), [(2, []), (3, ["missing_fill"])])
def test_a_drop_of_dust_for_each_fill_is_done(dust: int, faults: list[str]) -> None:
    before = order(1, "ask-1", "2", 7 * XRP)
    parts = [fill(before, 3 * XRP), fill(before, 4 * XRP - dust, index=1)]
    result = apply(orders_of([before]), [update(before, S.FILLED, 0)], parts)
    assert names(result) == faults
    assert one(result).status is S.FILLED


# news out of order


def test_the_order_of_one_ledgers_news_does_not_matter() -> None:
    before = order(1, "bid-1", "2", 7 * XRP, S.SUBMITTED)
    news = [
        update(before, S.OPEN, 7 * XRP),
        update(before, S.PARTIALLY_FILLED, 4 * XRP),
        update(before, S.FILLED, 0),
    ]
    fills = [fill(before, 3 * XRP), fill(before, 4 * XRP, index=1)]
    forward = apply(orders_of([before]), news, fills)
    backward = apply(orders_of([before]), news[::-1], fills[::-1])
    assert one(forward) == one(backward)
    assert (names(forward), one(forward).status) == ([], S.FILLED)


def test_news_of_two_ledgers_is_taken_in_their_order() -> None:
    # The replace failed in 1003, the order came back and was partly filled in 1004.
    leaving = order(1, "bid-1", "2", 7 * XRP, S.PENDING_CANCEL)
    news = [update(leaving, S.OPEN, 7 * XRP, ledger=1003)]
    after = one(apply(orders_of([leaving]), news, [fill(leaving, XRP, ledger=1004)]))
    assert (after.status, after.cancel_sent_ledger) == (S.PARTIALLY_FILLED, None)


def test_a_fill_of_a_later_ledger_than_the_cancel_is_a_fault_in_the_same_batch_too() -> None:
    before = order(1, "bid-1", "2", 7 * XRP)
    result = apply(orders_of([before]), [update(before, S.CANCELED, 0)], [fill(before, XRP, ledger=1003)])
    assert (names(result), one(result).status) == (["fill_after_close"], S.CANCELED)


def test_an_offer_never_grows_by_late_news() -> None:
    before = order(1, "bid-1", "2", 7 * XRP)
    orders = apply(orders_of([before]), [], [fill(before, 3 * XRP)]).orders
    result = apply(orders, [update(before, S.OPEN, 7 * XRP)], [])
    assert result.orders.working[0].remaining_base_drops == 4 * XRP
    assert result.orders.working[0].remaining_quote == D(8)


def test_old_news_changes_nothing() -> None:
    before = order(1, "bid-1", "2", 7 * XRP)
    orders = apply(orders_of([before]), [update(before, S.PARTIALLY_FILLED, 4 * XRP, ledger=1010)], []).orders
    assert apply(orders, [update(before, S.OPEN, 7 * XRP, ledger=1009)], []).changed == ()


def test_news_of_a_stranger_is_a_fault() -> None:
    assert names(apply(orders_of([]), [update(order(9, "bid-1", "2", XRP), S.OPEN, XRP)], [])) == [
        "unknown_order"
    ]


def test_nothing_new_returns_the_same_value() -> None:
    orders = orders_of([order(1, "bid-1", "2", 7 * XRP)])
    assert apply(orders, [], []).orders is orders


def test_the_result_of_the_own_transaction_is_kept() -> None:
    before = order(1, "bid-1", "2", 7 * XRP, S.SUBMITTED)
    outcome = TransactionOutcome(
        tx_hash="HASH1",
        order_id=1,
        kind=TransactionKind.CREATE,
        result="tesSUCCESS",
        ledger_index=1002,
        transaction_index=0,
        fee_drops=10,
    )
    result = apply(orders_of([before]), [update(before, S.OPEN, 7 * XRP)], [], [outcome])
    assert (one(result).result_code, one(result).status) == ("tesSUCCESS", S.OPEN)


def test_closed_orders_are_remembered_up_to_a_limit() -> None:
    many = [order(number, "bid-1", "2", XRP) for number in range(1, RECENT_CLOSED + 11)]
    orders = orders_of(many)
    for each in many:
        orders = apply(orders, [update(each, S.CANCELED, 0)], []).orders
    assert len(orders.closed) == RECENT_CLOSED
    assert min(orders.closed) == 11
    assert set(orders.seen) == set(orders.closed)


# a cancel or replace on its way


def test_a_partial_fill_does_not_call_off_a_cancel() -> None:
    before = order(1, "bid-1", "2", 7 * XRP, S.PENDING_CANCEL)
    news = update(before, S.PARTIALLY_FILLED, 4 * XRP, ledger=1003)
    after = one(apply(orders_of([before]), [news], [fill(before, 3 * XRP, ledger=1003)]))
    assert (after.status, after.remaining_base_drops, after.cancel_sent_ledger) == (
        S.PENDING_CANCEL,
        4 * XRP,
        1001,
    )


def test_a_failed_replace_brings_the_old_order_back() -> None:
    before = order(1, "bid-1", "2", 7 * XRP, S.PENDING_CANCEL)
    after = one(apply(orders_of([before]), [update(before, S.OPEN, 7 * XRP)], []))
    assert (after.status, after.cancel_sent_ledger) == (S.OPEN, None)


def test_a_failed_replace_of_a_part_filled_order_brings_it_back_as_such() -> None:
    before = order(
        1, "bid-1", "2", 7 * XRP, S.PENDING_CANCEL, filled_base_drops=XRP, remaining_base_drops=6 * XRP
    )
    after = one(apply(orders_of([before]), [update(before, S.OPEN, 6 * XRP)], []))
    assert after.status is S.PARTIALLY_FILLED


def test_news_from_before_the_cancel_was_sent_does_not_call_it_off() -> None:
    before = order(1, "bid-1", "2", 7 * XRP, S.PENDING_CANCEL)
    result = apply(orders_of([before]), [update(before, S.OPEN, 7 * XRP, ledger=1001)], [])
    assert result.orders.working[0].status is S.PENDING_CANCEL


# our own steps


def transaction(kind: TransactionKind, order_id: int, replaces: int | None = None) -> PreparedTransaction:
    return PreparedTransaction(
        kind=kind,
        order_id=order_id,
        replaces=replaces,
        tx_hash=f"TX{order_id}",
        account_sequence=300 + order_id,
        last_ledger_sequence=1014,
        fee_drops=10,
        blob=None,
    )


def answer(order_id: int, outcome: SubmitClass, code: str = "tesSUCCESS") -> SubmitOutcome:
    return SubmitOutcome(tx_hash=f"TX{order_id}", order_id=order_id, outcome=outcome, code=code)


def new(order_id: int) -> Order:
    return order(
        order_id,
        "bid-1",
        "2.1",
        7 * XRP,
        S.PENDING_SUBMIT,
        tx_hash=None,
        offer_sequence=None,
        last_ledger_sequence=None,
        created_ledger=1010,
    )


def replacing() -> Orders:
    """Order 2 is prepared to replace order 1, which rests."""
    orders = tracking.with_new(orders_of([order(1, "bid-1", "2", 7 * XRP)]), [new(2)])
    return prepared(orders, [transaction(TransactionKind.REPLACE, 2, 1)], 1010).orders


def test_prepared_numbers_the_new_order_and_marks_the_old_one() -> None:
    old, fresh = replacing().working
    assert (old.status, old.cancel_sent_ledger) == (S.PENDING_CANCEL, 1010)
    assert (fresh.status, fresh.tx_hash, fresh.offer_sequence) == (S.PENDING_SUBMIT, "TX2", 302)
    assert fresh.last_ledger_sequence == 1014


def test_a_cancel_marks_its_order_and_may_be_sent_again() -> None:
    orders = orders_of([order(1, "bid-1", "2", 7 * XRP)])
    first = prepared(orders, [transaction(TransactionKind.CANCEL, 1)], 1010)
    again = prepared(first.orders, [transaction(TransactionKind.CANCEL, 1)], 1020)
    assert (one(again).status, one(again).cancel_sent_ledger) == (S.PENDING_CANCEL, 1020)


def test_an_order_for_which_nothing_was_prepared_is_denied() -> None:
    result = prepared(tracking.with_new(orders_of([]), [new(2)]), [], 1010)
    assert (one(result).status, result.orders.working) == (S.DENIED, ())


def test_a_transaction_for_an_order_that_does_not_work_is_a_defect() -> None:
    with pytest.raises(InvariantViolation, match="order 9"):
        prepared(orders_of([]), [transaction(TransactionKind.CANCEL, 9)], 1010)
    with pytest.raises(InvariantViolation, match="order 9"):
        prepared(orders_of([]), [transaction(TransactionKind.CREATE, 9)], 1010)


@pytest.mark.parametrize(
    ("outcome", "status"), [(SubmitClass.ACCEPTED, S.SUBMITTED), (SubmitClass.UNKNOWN, S.UNKNOWN)]
)
def test_an_answer_moves_the_new_order(outcome: SubmitClass, status: OrderStatus) -> None:
    result = submitted(replacing(), [answer(2, outcome)])
    assert [o.status for o in result.orders.working] == [S.PENDING_CANCEL, status]


def test_a_refused_replace_ends_the_new_order_and_brings_the_old_one_back() -> None:
    result = submitted(replacing(), [answer(2, SubmitClass.REJECTED, "temBAD_OFFER")])
    assert [(o.order_id, o.status) for o in result.orders.working] == [(1, S.OPEN)]
    (ended,) = result.closed
    assert (ended.status, ended.failure_reason, ended.result_code, ended.closed_ledger) == (
        S.REJECTED,
        "temBAD_OFFER",
        "temBAD_OFFER",
        1010,
    )


def test_a_replace_refused_by_the_ledger_brings_the_old_order_back_without_a_word_about_it() -> None:
    orders = submitted(replacing(), [answer(2, SubmitClass.ACCEPTED)]).orders
    refused = update(orders.working[1], S.REJECTED, 0, ledger=1012, reason="tecINSUF_RESERVE_OFFER")
    result = apply(orders, [refused], [])
    assert [(o.order_id, o.status) for o in result.orders.working] == [(1, S.OPEN)]
    assert result.orders.replaces == {}


def test_a_refused_cancel_brings_its_order_back() -> None:
    orders = orders_of([order(1, "bid-1", "2", 7 * XRP)])
    orders = prepared(orders, [transaction(TransactionKind.CANCEL, 1)], 1010).orders
    assert one(submitted(orders, [answer(1, SubmitClass.REJECTED)])).status is S.OPEN
    assert submitted(orders, [answer(1, SubmitClass.UNKNOWN)]).changed == ()


def test_no_answer_at_all_is_unknown() -> None:
    assert [o.status for o in submitted(replacing(), []).orders.working] == [S.PENDING_CANCEL, S.UNKNOWN]


def test_an_answer_to_an_order_that_moved_on_changes_nothing() -> None:
    orders = submitted(replacing(), [answer(2, SubmitClass.ACCEPTED)]).orders
    assert (
        submitted(orders, [answer(2, SubmitClass.REJECTED), answer(77, SubmitClass.REJECTED)]).changed == ()
    )


def test_orders_count_and_iterate_as_the_working_ones() -> None:
    orders = orders_of([order(2, "ask-1", "2", XRP), order(1, "bid-1", "2", XRP)])
    assert [o.order_id for o in orders] == [1, 2]
    assert len(orders) == 2
    assert not orders_of([])


@pytest.mark.parametrize("turned", [False, True])
def test_a_fill_and_the_refusal_of_its_replacement_in_one_ledger_may_arrive_in_any_order(
    turned: bool,
) -> None:
    old = order(
        1, "bid-1", "2", 7 * XRP, S.PENDING_CANCEL, filled_base_drops=7 * XRP - 1, cancel_sent_ledger=1001
    )
    new = order(2, "bid-1", "2.1", 7 * XRP, S.SUBMITTED)
    orders = replace(orders_of([old, new]), replaces={2: 1})
    news = [update(old, S.FILLED, 0), update(new, S.REJECTED, 0, reason="tecINSUF_RESERVE_OFFER")]
    last_drop = fill(old, 1)
    result = apply(orders, news[::-1] if turned else news, [last_drop])
    assert result.faults == ()
    # The replace was on its way when the old order filled: it never went back to resting.
    assert [(o.order_id, o.status, o.cancel_sent_ledger) for o in result.changed] == [
        (1, S.FILLED, 1001),
        (2, S.REJECTED, None),
    ]
