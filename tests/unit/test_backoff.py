"""After a refusal: how long a slot waits, what ends the wait, and what is cancelled meanwhile."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from neo_engine.domain.backoff import WAITS, backing_off, wait_of
from neo_engine.domain.orders import (
    CancelOrder,
    Order,
    OrderStatus,
    PlaceOrder,
    SubmitClass,
    SubmitOutcome,
)
from neo_engine.execution.answers import TABLE
from neo_engine.execution.diff import OrderDiff, diff
from neo_engine.execution.tracking import orders_of, submitted, with_new
from neo_engine.tick import decide
from tests.conftest import ROOT
from tests.unit import core_values as core
from tests.unit.core_values import NOW, XRP
from tests.unit.test_tick import CONFIG, opened, report, seen

LEDGER = 1_000


def refused(order_id: int, code: str, *, slot: str = "bid-1", ledger: int = LEDGER) -> Order:
    """An order that ended with this code."""
    order = core.order(order_id, slot, "1.98", 5 * XRP, OrderStatus.REJECTED)
    return replace(order, result_code=code, failure_reason=code, closed_ledger=ledger)


def waits_until(*orders: Order) -> int | None:
    """The first ledger from LEDGER on in which bid-1 is tried again, None if it is at once."""
    waiting = [index for index in range(LEDGER, LEDGER + 200) if "bid-1" in backing_off(orders, index)]
    assert waiting == list(range(LEDGER, LEDGER + len(waiting)))
    return waiting[-1] + 1 if waiting else None


@pytest.mark.parametrize(
    ("code", "ledgers"),
    [
        ("temBAD_OFFER", 32),
        ("temREDUNDANT", 32),
        ("invalidTransaction", 32),
        ("tecFROZEN", 32),
        ("tecINSUF_RESERVE_OFFER", 8),
        ("tecUNFUNDED_OFFER", 4),
        ("tecDIR_FULL", 4),
        ("tecEXPIRED", 1),
        ("telCAN_NOT_QUEUE_FULL", 2),
        ("telINSUF_FEE_P", 2),
        ("terQUEUED", 2),
        ("tefPAST_SEQ", 2),
        ("noAnswer", 1),
        ("tooBusy", 4),
        ("telCAN_NOT_QUEUE_BALANCE", 2),
        ("telCAN_NOT_QUEUE_FEE", 2),
        ("telCAN_NOT_QUEUE_BLOCKED", 2),
        ("terPRE_SEQ", 2),
        ("terINSUF_FEE_B", 8),
        ("tefNO_TICKET", 2),
        ("tefMAX_LEDGER", 1),
        ("tecKILLED", 1),
        ("temBAD_SEQUENCE", 2),
        ("slowDown", 8),
        ("highFee", 4),
        ("noNetwork", 4),
        ("amendmentBlocked", 32),
        ("unlBlocked", 32),
        ("dry run: tecUNFUNDED_OFFER", 0),
    ],
)
def test_each_class_of_refusal_has_its_wait(code: str, ledgers: int) -> None:
    assert wait_of(code, 1) == ledgers
    assert waits_until(refused(1, code)) == (LEDGER + ledgers if ledgers else None)


def test_every_result_that_has_a_meaning_of_its_own_at_the_submit_has_a_wait_of_its_class() -> None:
    of_a_class = {beginning for beginning in WAITS if beginning}
    assert [code for code in TABLE if not code.startswith(tuple(of_a_class))] == []


def test_each_refusal_in_a_row_doubles_the_wait_up_to_a_limit() -> None:
    assert [wait_of("tecUNFUNDED_OFFER", times) for times in range(1, 8)] == [4, 8, 16, 32, 64, 64, 64]
    assert wait_of("temBAD_OFFER", 10**6) == 64
    assert wait_of("dry run: tesSUCCESS", 10**6) == 0
    row = [refused(number, "tecUNFUNDED_OFFER") for number in (1, 2, 3)]
    assert waits_until(*row) == LEDGER + 16


def test_the_wait_is_of_the_last_refusal_and_from_its_ledger_on() -> None:
    before = refused(1, "temBAD_OFFER", ledger=LEDGER - 40)
    assert waits_until(before, refused(2, "telINSUF_FEE_P")) == LEDGER + 4
    late = refused(1, "tecUNFUNDED_OFFER", ledger=LEDGER - 4)
    assert waits_until(late) is None


def test_an_order_that_was_not_refused_ends_the_wait_and_the_row() -> None:
    stood = core.order(2, "bid-1", "1.98", 5 * XRP, OrderStatus.FILLED)
    assert waits_until(refused(1, "tecUNFUNDED_OFFER"), stood) is None
    assert waits_until(refused(1, "tecUNFUNDED_OFFER"), stood, refused(3, "tecUNFUNDED_OFFER")) == LEDGER + 4


def test_an_order_refused_by_our_own_gate_says_nothing_of_the_ledger() -> None:
    denied = core.order(2, "bid-1", "1.98", 5 * XRP, OrderStatus.DENIED)
    assert waits_until(refused(1, "tecUNFUNDED_OFFER"), denied) == LEDGER + 4


def test_other_slots_do_not_wait() -> None:
    assert set(backing_off([refused(1, "temBAD_OFFER", slot="ask-2")], LEDGER)) == {"ask-2"}


def planned(orders: tuple[Order, ...], *ended: Order) -> OrderDiff:
    """The diff of a bid and an ask wanted."""
    decision = decide(opened(), seen(), CONFIG, NOW)
    return diff(
        decision.quotes,
        orders,
        CONFIG,
        close_time=NOW,
        ledger_index=LEDGER + 1,
        next_order_id=50,
        ended=ended,
    )


def placed(plan: OrderDiff) -> list[str]:
    return [one.quote.slot for one in plan.commands if isinstance(one, PlaceOrder)]


def test_a_waiting_slot_is_not_placed_and_says_why() -> None:
    plan = planned((), refused(1, "tecUNFUNDED_OFFER"))
    assert placed(plan) == ["ask-1"]
    (gate,) = plan.gates
    assert (gate.name, gate.side) == ("Backoff", "bid")
    assert gate.detail == ("bid-1: 1 in a row refused, last tecUNFUNDED_OFFER in ledger 1000; waits for 1004")


def test_the_old_order_of_a_refused_replacement_is_cancelled_if_it_stands_too_far_off() -> None:
    old = core.order(1, "bid-1", "1.90", 5 * XRP)
    plan = planned((old,), refused(2, "tecUNFUNDED_OFFER"))
    assert [one.order_id for one in plan.commands if isinstance(one, CancelOrder)] == [1]
    assert (plan.canceled, plan.kept, placed(plan)) == (1, 0, ["ask-1"])


def test_an_old_order_near_enough_keeps_its_place() -> None:
    (bid,) = [one for one in decide(opened(), seen(), CONFIG, NOW).new_orders if one.slot == "bid-1"]
    stands = replace(bid, order_id=1, status=OrderStatus.OPEN, offer_sequence=9)
    plan = planned((stands,), refused(2, "tecUNFUNDED_OFFER"))
    assert (plan.kept, plan.canceled, placed(plan)) == (1, 0, ["ask-1"])


def test_a_session_tries_a_refused_side_again_after_its_wait_and_the_other_side_meanwhile() -> None:
    state = opened()
    quoted = []
    for number in range(1, 8):
        now, index = NOW + 4 * number, LEDGER + number
        snapshot = replace(core.snapshot(), ledger_index=index, close_time=now)
        saw = seen(report=report(snapshot), ledger_index=index, close_time=now)
        decision = decide(state, saw, CONFIG, now)
        commands = [one for one in decision.commands if isinstance(one, PlaceOrder)]
        quoted.append([one.quote.slot for one in commands])
        # The bid is refused in its ledger; the ask comes to stand and is forgotten here.
        closed = dict(decision.state.orders.closed)
        for order in decision.new_orders:
            if order.slot == "bid-1":
                closed[order.order_id] = refused(order.order_id, "telCAN_NOT_QUEUE_FULL", ledger=index)
        state = replace(decision.state, orders=replace(orders_of(()), closed=closed))
    # Refused in ledgers 1001 and 1003: waits of 2 and of 4, so again in 1003 and in 1007.
    assert [index for index, slots in enumerate(quoted, 1) if "bid-1" in slots] == [1, 3, 7]
    assert all("ask-1" in slots for slots in quoted)


def test_a_refusal_at_the_submit_counts_from_the_ledger_it_was_made_for() -> None:
    decision = decide(opened(), seen(), CONFIG, NOW)
    order = replace(decision.new_orders[0], tx_hash="H")
    answer = SubmitOutcome(
        tx_hash="H", order_id=order.order_id, outcome=SubmitClass.REJECTED, code="temBAD_OFFER"
    )
    marked = submitted(with_new(orders_of(()), (order,)), (answer,))
    assert list(backing_off(marked.orders.closed.values(), 1_001)) == [order.slot]


def test_the_document_has_every_class_with_its_wait() -> None:
    page = (ROOT / "docs" / "orders.md").read_text(encoding="utf-8")
    said = {}
    for line in page.split("| Code begins with |")[1].splitlines()[2:]:
        if not line.startswith("|"):
            break
        code, ledgers = line.strip("|").split("|")[:2]
        said["" if "anything else" in code else code.split("`")[1]] = int(ledgers)
    assert said == WAITS
