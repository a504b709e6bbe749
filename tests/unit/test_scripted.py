"""A list of orders in place of the strategy: how it is read, and when each row is sent."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from neo_engine.domain.assets import Side
from neo_engine.domain.capital import CapitalKind
from neo_engine.domain.errors import UsageError
from neo_engine.domain.halt import Halt, HaltReason
from neo_engine.domain.orders import CancelOrder, OrderStatus, PlaceOrder
from neo_engine.execution.tracking import orders_of
from neo_engine.ports import VenueReport
from neo_engine.scripted import Script, ScriptedOrder, read_orders
from neo_engine.tick import Decision, EngineState, Observation, initial_state
from tests.unit import core_values as core
from tests.unit.core_values import NOW, XRP, D

HEADER = "offset,slot,side,price,size\n"
CONFIG = core.paper_config()


def written(tmp_path: Path, *rows: str, header: str = HEADER) -> Path:
    path = tmp_path / "orders.csv"
    path.write_text(header + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


# reading


def test_rows_are_numbered_from_one_and_exact(tmp_path: Path) -> None:
    assert read_orders(written(tmp_path, "3,a,ask,2.01,10", "5,b,bid,1.99,0.0000019")) == (
        ScriptedOrder(number=1, offset=3, slot="a", side=Side.SELL, price=D("2.01"), base_drops=10 * XRP),
        ScriptedOrder(number=2, offset=5, slot="b", side=Side.BUY, price=D("1.99"), base_drops=1),
    )


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (("x,a,ask,2,1",), "line 2: offset: 'x' is not a number"),
        (("1,a,ask,2,1", "1,a,ask,nan,1"), "line 3: price: nan is not finite"),
        (("1.5,a,ask,2,1",), "offset must be a whole number from 0"),
        (("-1,a,ask,2,1",), "offset must be a whole number from 0"),
        (("1,a,ask,0,1",), "line 2: .*price"),
        (("1,a,ask,2,0.0000001",), "size above 0"),
        (("1,a,sell,2,1",), "side must be ask or bid"),
        (("1,,ask,2,1",), "slot must not be empty"),
        (("1,a,ask,2",), "size"),
        ((), "0 orders; give 1 to"),
    ],
)
def test_a_bad_row_is_refused_with_its_line_and_what_is_wrong(
    tmp_path: Path, rows: tuple[str, ...], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        read_orders(written(tmp_path, *rows))


def test_other_columns_a_missing_file_and_other_bytes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="line 1: the columns must be offset,slot,side,price,size"):
        read_orders(written(tmp_path, "1,2", header="a,b\n"))
    with pytest.raises(UsageError, match="name an existing file"):
        read_orders(tmp_path / "none.csv")
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_orders(binary)


# deciding


def row(number: int, offset: int, slot: str = "a", price: str = "2.01", size: int = 10) -> ScriptedOrder:
    return ScriptedOrder(
        number=number, offset=offset, slot=slot, side=Side.SELL, price=D(price), base_drops=size * XRP
    )


def seen(ledger: int, kind: str = "ledger", **parts: Any) -> Observation:
    report = VenueReport(
        snapshot=core.snapshot(ledger_index=ledger, close_time=NOW + 4 * ledger),
        transactions=(),
        order_updates=(),
        fills=(),
        account=core.account(100 * XRP, "200", owner_count=1),
        faults=(),
    )
    fields: dict[str, Any] = {
        "kind": kind,
        "ledger_index": ledger,
        "close_time": NOW + 4 * ledger,
        "report": report if kind == "ledger" else None,
        "order_updates": (),
        "faults": (),
        "capital": (),
        "stop": None,
    }
    return Observation(**(fields | parts))


def run(script: Script, state: EngineState, observation: Observation) -> Decision:
    return script.decide(state, observation, CONFIG, observation.close_time)


def begin() -> EngineState:
    return initial_state(CONFIG, NOW)


def stands(decision: Decision, sequence: int) -> EngineState:
    """The state once the decision's orders stand, the first with `sequence`."""
    working = tuple(
        replace(order, status=OrderStatus.OPEN, offer_sequence=sequence + at)
        for at, order in enumerate(decision.state.orders.working)
    )
    return replace(decision.state, orders=orders_of(working))


def test_a_row_is_decided_one_ledger_before_it_arrives_and_only_then() -> None:
    script = Script((row(1, 2),))
    first = run(script, begin(), seen(900))  # ledger number 0
    assert first.commands == ()
    second = run(script, first.state, seen(901))
    (command,) = second.commands
    assert isinstance(command, PlaceOrder)
    assert (command.order_id, command.replaces, command.replaces_sequence) == (1, None, None)
    assert run(script, second.state, seen(902)).commands == ()


def test_amounts_are_the_rows_price_times_its_size_to_sixteen_digits_in_our_favour() -> None:
    third = Decimal("2.000000000000001")
    script = Script(
        (
            replace(row(1, 1), price=third, base_drops=1_500_001),
            replace(row(2, 1, "b"), price=third, base_drops=1_500_001, side=Side.BUY),
        )
    )
    ask, bid = run(script, begin(), seen(900)).quotes
    # 2.000000000000001 x 1.500001 = 3.000002000000001500001: the ask asks the 16th digit more.
    assert (ask.base_drops, ask.quote, bid.quote) == (
        1_500_001,
        D("3.000002000000002"),
        D("3.000002000000001"),
    )
    assert ask.expiration is None


def test_a_later_row_of_a_slot_replaces_the_one_that_stands_there() -> None:
    script = Script((row(1, 1), row(2, 3), row(3, 3, slot="b")))
    first = run(script, begin(), seen(900))
    state = stands(first, sequence=77)
    second = run(script, run(script, state, seen(901)).state, seen(902))
    replacing, other = second.commands
    assert isinstance(replacing, PlaceOrder)
    assert isinstance(other, PlaceOrder)
    assert (replacing.replaces, replacing.replaces_sequence) == (1, 77)
    assert (other.replaces, other.replaces_sequence) == (None, None)
    assert dict(second.replaces) == {2: 1}


def test_a_row_after_one_that_was_filled_names_its_sequence_but_replaces_no_order() -> None:
    script = Script((row(1, 1), row(2, 3)))
    state = stands(run(script, begin(), seen(900)), sequence=77)
    after = run(script, state, seen(901))
    filled = replace(after.state, orders=orders_of(()))
    (command,) = run(script, filled, seen(902)).commands
    assert isinstance(command, PlaceOrder)
    assert (command.replaces, command.replaces_sequence) == (None, 77)


def test_a_row_whose_predecessor_was_refused_replaces_the_one_before_it() -> None:
    script = Script((row(1, 1), row(2, 2), row(3, 4)))
    state = stands(run(script, begin(), seen(900)), sequence=77)
    second = run(script, state, seen(901))
    # Order 2 ended in a tec: order 1 stands still (ledger-rules, Replace).
    refused = replace(
        second.state.orders.working[1], status=OrderStatus.REJECTED, failure_reason="tecUNFUNDED_OFFER"
    )
    one = second.state.orders.working[0]
    orders = replace(orders_of((one,)), closed={2: refused})
    third = run(script, replace(second.state, orders=orders), seen(902))
    (command,) = run(script, third.state, seen(903)).commands if third.commands == () else third.commands
    assert isinstance(command, PlaceOrder)
    assert (command.order_id, command.replaces, command.replaces_sequence) == (3, 1, 77)


def test_a_row_decided_in_a_ledger_that_never_came_is_not_sent() -> None:
    script = Script((row(1, 0), row(2, 3)))
    first = run(script, begin(), seen(900))  # row 1 would have been decided before the recording begins
    assert first.commands == ()
    assert run(script, first.state, seen(903)).commands == ()  # ledger 902 is missing


def test_silence_sends_nothing_and_a_stop_cancels() -> None:
    script = Script((row(1, 1), row(2, 2)))
    first = run(script, begin(), seen(900))
    assert run(script, first.state, seen(900, "silence")).commands == ()
    kill = Halt(reason=HaltReason.KILL_SWITCH, detail="file: stop")
    stopped = run(script, stands(first, sequence=77), seen(901, stop=kill))
    assert [command.order_id for command in stopped.commands if isinstance(command, CancelOrder)] == [1]
    assert len(stopped.commands) == 1


def test_what_happened_is_booked_as_in_any_session() -> None:
    opening = core.capital(CapitalKind.OPENING, drops=100 * XRP)
    decision = run(Script((row(1, 5),)), begin(), seen(900, capital=(opening,)))
    assert decision.accounts.overlay_base_drops == 100 * XRP
