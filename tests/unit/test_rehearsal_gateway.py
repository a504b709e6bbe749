"""The gateway in process: answers, losses, pauses and states as over a socket, on a simulated clock."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from neo_engine.domain.errors import StartupFailure
from neo_engine.rehearsal.connection import TRIP_SECONDS
from neo_engine.rehearsal.gateway import DirectGateway
from neo_engine.rehearsal.world import ENDPOINT, LEDGER_SECONDS, Rehearsal
from neo_engine.xrpl.bundles import LedgerBundle
from neo_engine.xrpl.gateway import GatewayEvent, GatewayOptions, SupervisorState
from neo_engine.xrpl.outbox import EventKind
from neo_engine.xrpl.server import RequestLost, RequestRefused
from neo_engine.xrpl.socket import PING_SECONDS
from tests.unit.test_rehearsal import world

STALE = 10.0


def gateway_on(one: Rehearsal, **more: Any) -> DirectGateway:
    options = GatewayOptions(endpoints=(ENDPOINT,), stale_seconds=STALE, **more)
    return DirectGateway(options, one.server, one.clock)


def started(one: Rehearsal, **more: Any) -> DirectGateway:
    gateway = gateway_on(one, **more)
    gateway.start()
    return gateway


def fault(one: Rehearsal, name: str, lasts: str | None = None, **parameters: Any) -> None:
    asked: dict[str, Any] = {"name": name, "parameters": parameters}
    one.faults.command(one.network, asked if lasts is None else {**asked, "for": lasts})


def heard(gateway: DirectGateway, seconds: float) -> list[LedgerBundle | GatewayEvent]:
    """All that comes within so many seconds."""
    clock = gateway._clock
    end, found = clock.monotonic() + seconds, list[LedgerBundle | GatewayEvent]()
    while clock.monotonic() < end:
        item = gateway.next(end - clock.monotonic())
        if item is not None:
            found.append(item)
    return found


def ledgers(items: list[LedgerBundle | GatewayEvent]) -> list[int]:
    return [one.closed.ledger_index for one in items if isinstance(one, LedgerBundle)]


def kinds(items: list[LedgerBundle | GatewayEvent]) -> list[EventKind]:
    return [one.kind for one in items if isinstance(one, GatewayEvent)]


def test_ledgers_come_whole_in_order_each_once_and_none_is_asked_for() -> None:
    one = world()
    first = one.first_ledger
    items = heard(started(one), 8 * LEDGER_SECONDS + 1)
    assert ledgers(items) == list(range(first, first + 8))
    assert kinds(items) == [EventKind.CONNECTED, EventKind.HEALTHY]
    assert not any(item.backfilled for item in items if isinstance(item, LedgerBundle))


def test_ledgers_that_the_stream_lost_are_asked_for() -> None:
    one = world()
    gateway, first = started(one), one.first_ledger
    fault(one, "gap", "2 ledgers")
    items = heard(gateway, 6 * LEDGER_SECONDS + 1)
    assert ledgers(items) == list(range(first, first + 6))
    filled = [
        item.closed.ledger_index for item in items if isinstance(item, LedgerBundle) and item.backfilled
    ]
    assert filled == [first, first + 1]


@pytest.mark.parametrize("name", ["duplicate", "reorder"])
def test_messages_twice_or_in_another_order_change_nothing(name: str) -> None:
    plain = heard(started(world("hostile", seed=2)), 6 * LEDGER_SECONDS)
    one = world("hostile", seed=2)
    gateway = started(one)
    fault(one, name, "6 ledgers")
    bent = heard(gateway, 6 * LEDGER_SECONDS)
    assert [item for item in bent if isinstance(item, LedgerBundle)] == [
        item for item in plain if isinstance(item, LedgerBundle)
    ]


@pytest.mark.parametrize("how", ["cut", "nan"])
def test_a_message_that_is_no_json_is_told_and_its_ledger_asked_for(how: str) -> None:
    one = world()
    gateway, first = started(one), one.first_ledger
    fault(one, "malformed_stream", "1 ledgers", how=how)
    items = heard(gateway, 4 * LEDGER_SECONDS + 1)
    assert ledgers(items) == list(range(first, first + 4))
    assert EventKind.MALFORMED in kinds(items)


def test_an_answer_takes_a_trip_and_a_refusal_is_one() -> None:
    one = world()
    gateway = started(one)
    began = one.clock.monotonic()
    told = gateway.request("account_info", account=one.account, ledger_index="validated")
    assert told["account_data"]["Account"] == one.account
    assert one.clock.monotonic() - began == pytest.approx(TRIP_SECONDS)
    with pytest.raises(RequestRefused) as caught:
        gateway.request("account_info", account="rrrrrrrrrrrrrrrrrrrrrhoLvTp")
    assert caught.value.token == "actNotFound"


def test_begun_requests_are_under_way_together() -> None:
    one = world()
    gateway = started(one)
    began = one.clock.monotonic()
    begun = [gateway.begin("ledger", ledger_index="validated") for _ in range(5)]
    assert {wait()["ledger_index"] for wait in begun} == {one.first_ledger - 1}
    assert one.clock.monotonic() - began == pytest.approx(TRIP_SECONDS)


def test_a_late_reply_lets_ledgers_close_meanwhile() -> None:
    one = world()
    gateway = started(one)
    fault(one, "latency", "1 requests", seconds=9.0)
    began, index = one.clock.monotonic(), one.network.open_ledger.index
    gateway.request("server_info")
    assert one.clock.monotonic() - began == pytest.approx(9.0 + TRIP_SECONDS)
    assert one.network.open_ledger.index == index + 2


def test_a_reply_that_never_comes_is_lost_and_may_have_been_carried_out() -> None:
    one = world()
    gateway = started(one)
    fault(one, "lost_reply", "1 requests", command="")
    with pytest.raises(RequestLost, match="no answer in time") as caught:
        gateway.request("server_info", timeout_seconds=3.0)
    assert caught.value.sent


def test_three_requests_in_a_row_without_an_answer_end_the_connection() -> None:
    one = world()
    gateway = started(one)
    fault(one, "gap", "3 ledgers")  # nothing else is read meanwhile
    fault(one, "lost_reply", "3 requests", command="server_info")
    for _ in range(3):
        with pytest.raises(RequestLost):
            gateway.request("server_info", timeout_seconds=1.0)
    with pytest.raises(RequestLost) as caught:
        gateway.request("server_info")
    assert not caught.value.sent
    assert EventKind.RECONNECTING in kinds(heard(gateway, 4.0))
    assert gateway.request("server_info")["info"]["server_state"] == "full"


@pytest.mark.parametrize(
    ("name", "words"), [("drop", "cut without a close"), ("close_1008", "closed by .*1008")]
)
def test_a_cut_loses_what_is_pending_and_the_gateway_comes_back(name: str, words: str) -> None:
    one = world()
    gateway, first = started(one), one.first_ledger
    assert heard(gateway, 1.0)
    fault(one, name, "1 requests", command="server_info")
    with pytest.raises(RequestLost, match=words) as caught:
        gateway.request("server_info")
    assert caught.value.sent
    items = heard(gateway, 5 * LEDGER_SECONDS)
    assert kinds(items)[:2] == [EventKind.RECONNECTING, EventKind.CONNECTED]
    assert ledgers(items)[:4] == list(range(first, first + 4))
    assert gateway.state is SupervisorState.HEALTHY


def test_slow_down_holds_back_everything_and_takes_the_headroom() -> None:
    one = world()
    gateway = started(one)
    assert gateway.request_headroom == Decimal(100)
    fault(one, "slow_down", "1 requests")
    with pytest.raises(RequestRefused) as caught:
        gateway.request("server_info")
    assert caught.value.token == "slowDown"
    assert gateway.request_headroom == 0
    began = one.clock.monotonic()
    with pytest.raises(RequestRefused, match="invalidParams"):
        gateway.request("submit", tx_blob="")
    assert one.clock.monotonic() - began == pytest.approx(0.5 + TRIP_SECONDS)


def test_a_load_warning_holds_back_reads_but_no_write() -> None:
    one = world()
    gateway = started(one)
    fault(one, "load_warning", "1 requests")
    gateway.request("server_info")
    assert gateway.request_headroom == Decimal(50)
    began = one.clock.monotonic()
    with pytest.raises(RequestRefused, match="invalidParams"):
        gateway.request("submit", tx_blob="")
    assert one.clock.monotonic() - began == pytest.approx(TRIP_SECONDS)
    assert gateway.request_headroom == Decimal(100)


def test_a_request_whose_time_is_over_before_the_pause_is_not_sent() -> None:
    one = world()
    gateway = started(one)
    fault(one, "slow_down", "6 requests")
    for _ in range(6):  # 0.5, 1, 2, 4, 8, 16 s
        with pytest.raises(RequestRefused):
            gateway.request("server_info", timeout_seconds=20.0)
    with pytest.raises(RequestLost, match="wants less load") as caught:
        gateway.request("server_info", timeout_seconds=5.0)
    assert not caught.value.sent


def test_a_ping_ends_a_pause_that_nothing_else_would_end() -> None:
    one = world()
    gateway = started(one)
    fault(one, "load_warning", "3 requests")
    for _ in range(3):
        gateway.request("server_info")
    assert gateway.request_headroom < Decimal(50)
    heard(gateway, PING_SECONDS + 1.0)
    assert gateway.request_headroom == Decimal(100)


def test_a_stream_that_falls_silent_turns_stale_and_healthy_again() -> None:
    one = world()
    gateway = started(one)
    heard(gateway, 2 * LEDGER_SECONDS)
    fault(one, "stall", "6 ledgers")
    items = heard(gateway, 12 * LEDGER_SECONDS)
    assert kinds(items) == [EventKind.STALE, EventKind.HEALTHY]


def test_a_server_that_is_gone_for_good_is_given_up() -> None:
    one = world()
    gateway = started(one, attempts_max=3)
    fault(one, "drop", "100 requests")
    with pytest.raises(RequestLost):
        gateway.request("server_info")
    told = kinds(heard(gateway, 60.0))
    assert told[-1] is EventKind.FAILED
    assert EventKind.DISCONNECTED in told


def test_a_start_without_an_answer_fails_and_names_the_endpoint() -> None:
    one = world()
    fault(one, "close_1008", "2 requests")
    with pytest.raises(StartupFailure, match=r"ws://127\.0\.0\.1:6006: closed by the server: 1008"):
        gateway_on(one).start()


def test_nothing_is_asked_or_heard_after_the_end() -> None:
    one = world()
    gateway = started(one)
    gateway.close()
    gateway.close()
    assert not one.server.faults.clients
    with pytest.raises(RequestLost) as caught:
        gateway.request("server_info")
    assert not caught.value.sent
    assert ledgers(heard(gateway, 3 * LEDGER_SECONDS)) == []
