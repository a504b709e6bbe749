"""The gateway against the local server and its faults: ledgers come whole, in order, once; requests end."""

from __future__ import annotations

import gc
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from neo_engine.domain.errors import StartupFailure
from neo_engine.xrpl.gateway import (
    EventKind,
    Gateway,
    GatewayEvent,
    GatewayOptions,
    LedgerBundle,
    SupervisorState,
)
from neo_engine.xrpl.server import RequestLost, RequestRefused
from tests.e2e.server_process import Running, Wire, server

CLOSE_SECONDS = 0.25
WAIT_SECONDS = 15.0
AT_ONCE_SECONDS = 0.5  # a cut on loopback is seen in a hundredth of it


class Clock:
    """The machine's own clock, as far as the gateway reads one."""

    monotonic = staticmethod(time.monotonic)


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    options = ("--market", "calm", "--seed", "7", "--admin", "--close-every", f"{CLOSE_SECONDS}s")
    with server(*options) as one:
        yield one


@pytest.fixture
def wire(running: Running) -> Iterator[Wire]:
    with Wire(running.ws) as one:
        yield one
        one.result("fault", name="clear")


def made(**options: Any) -> Gateway:
    return Gateway(GatewayOptions(**options), Clock())  # type: ignore[arg-type]


@contextmanager
def opened(*endpoints: str, **options: Any) -> Iterator[Gateway]:
    """A started gateway; after it no thread and no socket of it is left."""
    threads, sockets = set(threading.enumerate()), open_files()
    usual = {"stale_seconds": 2.0, "request_timeout_seconds": 3.0, "attempts_max": 5, "seed": 1}
    gateway = made(endpoints=endpoints, **{**usual, **options})
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.close()
        gateway.close()
    assert set(threading.enumerate()) <= threads
    gc.collect()
    assert open_files() <= sockets


def open_files() -> int:
    """Files and sockets this process has open, where the system tells it."""
    place = Path("/proc/self/fd")
    return len(list(place.iterdir())) if place.exists() else 0


class Seen:
    """What a gateway handed out."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.ledgers: list[LedgerBundle] = []
        self.events: list[GatewayEvent] = []

    @property
    def kinds(self) -> list[EventKind]:
        return [event.kind for event in self.events]

    def take(self, seconds: float = 1.0) -> GatewayEvent | LedgerBundle | None:
        item = self.gateway.next(seconds)
        if isinstance(item, LedgerBundle):
            self.ledgers.append(item)
        elif item is not None:
            self.events.append(item)
        return item

    def until(self, *, ledgers: int = 0, kind: EventKind | None = None) -> None:
        """Take until so many more ledgers have come, or an event."""
        end = time.monotonic() + WAIT_SECONDS
        wanted = len(self.ledgers) + ledgers
        while len(self.ledgers) < wanted or (kind is not None and kind not in self.kinds):
            assert time.monotonic() < end, (len(self.ledgers), self.events, self.gateway.state)
            self.take()


def assert_whole(wire: Wire, ledgers: list[LedgerBundle]) -> None:
    """Each ledger follows the one before and has exactly the transactions of the server, in their order."""
    first = ledgers[0].closed.ledger_index
    assert [one.closed.ledger_index for one in ledgers] == list(range(first, first + len(ledgers)))
    for one in ledgers:
        told = wire.result("ledger", ledger_index=one.closed.ledger_index, transactions=True)["ledger"]
        messages = [msgspec.json.decode(raw) for raw in one.transactions]
        assert one.closed.ledger_hash == told["ledger_hash"]
        assert one.closed.ledger_time == told["close_time"]
        assert sorted(message["hash"] for message in messages) == sorted(told["transactions"])
        assert [m["meta"]["TransactionIndex"] for m in messages] == list(range(one.closed.txn_count))


def test_ledgers_come_whole_and_in_order_and_the_state_becomes_healthy(running: Running, wire: Wire) -> None:
    with opened(running.ws) as gateway:
        begun = gateway.state
        seen = Seen(gateway)
        seen.until(ledgers=6, kind=EventKind.HEALTHY)
        assert (begun, gateway.state) == (SupervisorState.STALE, SupervisorState.HEALTHY)
    assert_whole(wire, seen.ledgers)
    assert not any(one.backfilled for one in seen.ledgers)
    assert seen.kinds == [EventKind.CONNECTED, EventKind.HEALTHY]


def test_a_session_can_go_on_from_the_last_ledger_it_had(running: Running, wire: Wire) -> None:
    with opened(running.ws) as gateway:
        before = Seen(gateway)
        before.until(ledgers=3)
    time.sleep(3 * CLOSE_SECONDS)
    with opened(running.ws, after_ledger=before.ledgers[-1].closed.ledger_index) as gateway:
        after = Seen(gateway)
        after.until(ledgers=6)
        while after.ledgers[-1].backfilled:  # a busy machine may be further behind than six ledgers
            after.until(ledgers=len(after.ledgers) + 1)
    assert after.ledgers[0].backfilled
    assert_whole(wire, before.ledgers + after.ledgers)


def test_ledgers_that_no_server_has_are_told_as_a_gap(running: Running, wire: Wire) -> None:
    first = int(str(wire.result("server_info")["info"]["complete_ledgers"]).partition("-")[0])
    with opened(running.ws, after_ledger=first - 4) as gateway:
        seen = Seen(gateway)
        seen.until(ledgers=3)
    gaps = [event for event in seen.events if event.kind is EventKind.GAP]
    told = [index for gap in gaps for index in range(gap.first_ledger, gap.last_ledger + 1)]
    assert told == [first - 3, first - 2, first - 1]
    assert seen.ledgers[0].closed.ledger_index == first
    assert_whole(wire, seen.ledgers)


def test_a_fetched_ledger_is_what_the_stream_tells_of_it(running: Running) -> None:
    with opened(running.ws) as streamed, opened(running.ws) as fetched:
        first, second = Seen(streamed), Seen(fetched)
        first.until(ledgers=4)
        index = first.ledgers[0].closed.ledger_index
        second.until(ledgers=1)
    with opened(running.ws, after_ledger=index - 1) as late:
        third = Seen(late)
        third.until(ledgers=4)
    for live, asked in zip(first.ledgers, third.ledgers):
        assert asked.backfilled and not live.backfilled
        assert asked.closed.ledger_hash == live.closed.ledger_hash
        absent = {"ctid", "engine_result_code", "engine_result_message"}
        for one, other in zip(live.transactions, asked.transactions, strict=True):
            told = {k: v for k, v in msgspec.json.decode(one).items() if k not in absent}
            given = {k: v for k, v in msgspec.json.decode(other).items() if k not in absent}
            assert given == told


@pytest.mark.parametrize(
    ("fault", "parameters"),
    [
        ("gap", {}),
        ("duplicate", {}),
        ("reorder", {}),
        *(("malformed_stream", {"how": how}) for how in ("cut", "nan", "absurd", "type")),
    ],
)
def test_ledgers_come_whole_in_order_and_once_whatever_happens_to_the_stream(
    running: Running, wire: Wire, fault: str, parameters: dict[str, str]
) -> None:
    with opened(running.ws) as gateway:
        seen = Seen(gateway)
        seen.until(ledgers=1)
        wire.result("fault", name=fault, parameters=parameters, **{"for": "3 ledgers"})
        seen.until(ledgers=7)
    assert_whole(wire, seen.ledgers)
    assert EventKind.GAP not in seen.kinds
    if parameters.get("how") in ("cut", "nan"):
        assert EventKind.MALFORMED in seen.kinds
    if fault == "gap":
        assert any(one.backfilled for one in seen.ledgers)


@pytest.mark.parametrize("fault", ["drop", "close_1008"])
def test_a_cut_fails_requests_at_once_and_loses_no_ledger(running: Running, wire: Wire, fault: str) -> None:
    with opened(running.ws) as gateway:
        seen = Seen(gateway)
        seen.until(ledgers=2)
        wire.result("fault", name=fault, parameters={"command": "fee"})
        began = time.monotonic()
        with pytest.raises(RequestLost) as lost:
            gateway.request("fee", timeout_seconds=10.0)
        assert time.monotonic() - began < AT_ONCE_SECONDS
        assert lost.value.sent
        seen.until(kind=EventKind.RECONNECTING)
        seen.until(ledgers=8)
        assert gateway.request("fee")["drops"]["base_fee"] == "10"
    assert_whole(wire, seen.ledgers)
    assert seen.kinds.count(EventKind.CONNECTED) == 2
    assert any(one.backfilled for one in seen.ledgers)


def test_requests_that_wait_fail_at_once_when_another_one_cuts_the_socket(
    running: Running, wire: Wire
) -> None:
    with opened(running.ws) as gateway:
        wire.result("fault", name="latency", parameters={"seconds": 8, "command": "server_info"})
        ended: list[tuple[float, RequestLost]] = []

        def ask() -> None:
            try:
                gateway.request("server_info", timeout_seconds=10.0)
            except RequestLost as error:
                ended.append((time.monotonic(), error))

        waiting = threading.Thread(target=ask)
        waiting.start()
        time.sleep(0.2)
        wire.result("fault", name="drop", parameters={"command": "fee"})
        cut = time.monotonic()
        with pytest.raises(RequestLost):
            gateway.request("fee")
        waiting.join()
    assert ended[0][0] - cut < AT_ONCE_SECONDS
    assert ended[0][1].sent


def test_an_answer_after_the_time_limit_is_a_loss_and_disturbs_nobody(running: Running, wire: Wire) -> None:
    with opened(running.ws) as gateway:
        wire.result("fault", name="latency", parameters={"seconds": 0.8, "command": "fee"})
        began = time.monotonic()
        with pytest.raises(RequestLost, match="no answer within") as lost:
            gateway.request("fee", timeout_seconds=0.3)
        assert 0.3 <= time.monotonic() - began < 0.7
        assert lost.value.sent
        time.sleep(0.7)
        assert "complete_ledgers" in gateway.request("server_info")["info"]


def test_a_reply_that_cannot_be_read_is_told_and_lost(running: Running, wire: Wire) -> None:
    with opened(running.ws) as gateway:
        wire.result("fault", name="malformed_reply", parameters={"command": "fee"})
        with pytest.raises(RequestLost):
            gateway.request("fee", timeout_seconds=0.4)
        seen = Seen(gateway)
        seen.until(kind=EventKind.MALFORMED)
        assert gateway.request("fee")["drops"]["base_fee"] == "10"


def test_a_missing_ledger_is_asked_for_again_when_its_answer_cannot_be_read(
    running: Running, wire: Wire
) -> None:
    with opened(running.ws, request_timeout_seconds=0.6) as gateway:
        seen = Seen(gateway)
        seen.until(ledgers=1)
        wire.result("fault", name="malformed_reply", parameters={"command": "ledger"})
        wire.result("fault", name="gap")
        seen.until(ledgers=8)
    assert_whole(wire, seen.ledgers)
    assert EventKind.GAP not in seen.kinds


def test_a_network_that_stands_still_is_stale_until_it_goes_on(running: Running, wire: Wire) -> None:
    with opened(running.ws, stale_seconds=0.8) as gateway:
        seen = Seen(gateway)
        seen.until(kind=EventKind.HEALTHY)
        wire.result("fault", name="stall", **{"for": "10 ledgers"})
        seen.until(kind=EventKind.STALE)
        assert gateway.state is SupervisorState.STALE
        assert gateway.request("ping") is not None
        seen.events.clear()
        seen.until(kind=EventKind.HEALTHY)
        seen.until(ledgers=2)
    assert_whole(wire, seen.ledgers)
    assert EventKind.RECONNECTING not in seen.kinds


def test_a_socket_on_which_nothing_is_answered_is_given_up(running: Running, wire: Wire) -> None:
    with opened(running.ws) as gateway:
        wire.result("fault", name="stall", **{"for": "12 ledgers"})
        wire.result("fault", name="lost_reply", parameters={"command": "fee"}, **{"for": "9 requests"})
        for _ in range(3):
            with pytest.raises(RequestLost):
                gateway.request("fee", timeout_seconds=0.2)
        seen = Seen(gateway)
        seen.until(kind=EventKind.RECONNECTING)
        wire.result("fault", name="clear")
        seen.until(ledgers=2)
    assert seen.kinds.count(EventKind.CONNECTED) == 2


def test_slow_down_is_a_refusal_and_holds_back_what_follows(running: Running, wire: Wire) -> None:
    with opened(running.ws) as gateway:
        wire.result("fault", name="slow_down", parameters={"command": "fee"})
        began = time.monotonic()
        with pytest.raises(RequestRefused) as refused:
            gateway.request("fee")
        assert refused.value.token == "slowDown"
        assert gateway.request_headroom == 0
        with pytest.raises(RequestLost) as lost:
            gateway.submit_request("fee", timeout_seconds=0.1)
        assert not lost.value.sent
        gateway.submit_request("fee")
        assert time.monotonic() - began >= 0.5
        assert gateway.request_headroom == 100
        seen = Seen(gateway)
        seen.until(kind=EventKind.BUSY)


def test_a_load_warning_holds_back_reads_and_no_submits(running: Running, wire: Wire) -> None:
    with opened(running.ws) as gateway:
        wire.result("fault", name="load_warning", parameters={"command": "fee"})
        gateway.request("fee")
        with pytest.raises(RequestLost) as lost:
            gateway.request("fee", timeout_seconds=0.1)
        assert not lost.value.sent
        assert gateway.submit_request("fee", timeout_seconds=0.3)["drops"]["base_fee"] == "10"


def test_each_complaint_in_a_row_halves_the_headroom_and_an_answer_without_one_restores_it(
    running: Running, wire: Wire
) -> None:
    with opened(running.ws) as gateway:
        left = [gateway.request_headroom]
        wire.result("fault", name="load_warning", parameters={"command": "fee"}, **{"for": "40 ledgers"})
        for _ in range(3):
            gateway.submit_request("fee")
            left.append(gateway.request_headroom)
        wire.result("fault", name="clear")
        gateway.submit_request("fee")
        assert [*left, gateway.request_headroom] == [100, 50, 25, 12.5, 100]


def test_a_server_that_lags_is_left_for_one_that_does_not(running: Running, wire: Wire) -> None:
    first, second = f"{running.ws}/first", f"{running.ws}/second"
    with opened(first, second) as gateway:
        seen = Seen(gateway)
        seen.until(kind=EventKind.HEALTHY)
        read = next(event.endpoint for event in seen.events if event.kind is EventKind.CONNECTED)
        lagging = {"path": f"/{read.rpartition('/')[2]}", "ledgers": 6}
        wire.result("fault", name="lag", parameters=lagging, **{"for": "40 ledgers"})
        seen.until(kind=EventKind.READER)
        seen.until(ledgers=4)
        assert seen.events[-1].kind is not EventKind.STALE
    moved = [event.endpoint for event in seen.events if event.kind is EventKind.READER]
    assert moved == [first if read == second else second]
    assert_whole(wire, seen.ledgers)
    assert EventKind.GAP not in seen.kinds


def test_a_submit_that_is_lost_is_not_sent_to_another_server(running: Running, wire: Wire) -> None:
    with opened(f"{running.ws}/first", f"{running.ws}/second") as gateway:
        seen = Seen(gateway)
        seen.until(kind=EventKind.HEALTHY)
        wire.result("fault", name="drop", parameters={"command": "submit", "path": "/first"})
        with pytest.raises(RequestLost) as lost:
            gateway.request("submit", tx_blob="00")
        assert lost.value.sent
        with pytest.raises(RequestLost) as lost:
            gateway.submit_request("submit", tx_blob="00")
        assert not lost.value.sent


def test_requests_begun_together_are_answered_each_for_itself(running: Running) -> None:
    with opened(running.ws) as gateway:
        blobs = [f"{number:02X}" for number in range(6)]
        ends = [gateway.begin("submit", tx_blob=blob) for blob in blobs] + [gateway.begin("fee")]
        *submits, fee = ends
        for blob, end in zip(blobs, submits, strict=True):
            with pytest.raises(RequestRefused) as refused:
                end()
            assert (refused.value.token, refused.value.reply["request"]["tx_blob"]) == (
                "invalidTransaction",
                blob,
            )
        assert fee()["drops"]["base_fee"] == "10"
    with pytest.raises(RequestLost) as lost:
        gateway.begin("fee")()
    assert not lost.value.sent


def test_a_read_that_is_lost_is_asked_of_the_next_server(running: Running, wire: Wire) -> None:
    first, second = f"{running.ws}/first", f"{running.ws}/second"
    with opened(first, second) as gateway:
        seen = Seen(gateway)
        seen.until(kind=EventKind.HEALTHY)
        read = next(event.endpoint for event in seen.events if event.kind is EventKind.CONNECTED)
        path = f"/{read.rpartition('/')[2]}"
        wire.result("fault", name="drop", parameters={"command": "fee", "path": path})
        assert gateway.request("fee")["drops"]["base_fee"] == "10"
        seen.until(ledgers=4)
    assert_whole(wire, seen.ledgers)


def test_another_server_takes_over_from_a_writer_that_is_gone(running: Running) -> None:
    with ExitStack() as stack:
        with server("--market", "calm", "--seed", "7", "--close-every", "0.25s") as other:
            gateway = stack.enter_context(opened(other.ws, running.ws))
            written(gateway)
        seen = Seen(gateway)
        seen.until(kind=EventKind.WRITER)
        assert seen.events[-1].endpoint == running.ws
        written(gateway)


def written(gateway: Gateway) -> None:
    """Wait until the writer takes a request: the start waits for one server only, which may be the other."""
    end = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            gateway.submit_request("ping")
        except RequestLost as lost:
            assert not lost.sent and time.monotonic() < end, lost
            time.sleep(0.05)
        else:
            return


def test_a_consumer_who_is_behind_costs_the_stream_but_no_ledger(
    running: Running, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neo_engine.xrpl.outbox.LEDGERS_MAX", 4)
    with opened(running.ws) as gateway:
        end = time.monotonic() + WAIT_SECONDS
        while gateway.state is not SupervisorState.RECONNECTING:
            assert time.monotonic() < end
            time.sleep(0.05)
        time.sleep(1.0)
        assert gateway.request("fee")["drops"]["base_fee"] == "10"
        seen = Seen(gateway)
        seen.until(ledgers=12)
    assert_whole(wire, seen.ledgers)
    assert EventKind.BEHIND in seen.kinds and EventKind.GAP not in seen.kinds


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def test_a_start_that_fails_names_every_endpoint_and_why() -> None:
    port = free_port()
    urls = (f"ws://127.0.0.1:{port}", "ftp://127.0.0.1")
    with pytest.raises(StartupFailure) as failure, opened(*urls):
        raise AssertionError("started without a server")
    text = str(failure.value)
    assert f"ws://127.0.0.1:{port}: ConnectionRefusedError" in text or "OSError" in text
    assert "ftp://127.0.0.1: InvalidURI" in text


@pytest.mark.parametrize("options", [{"endpoints": ()}, {"endpoints": ("ws://x",), "streams": ("ledger",)}])
def test_options_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    usual = {"request_timeout_seconds": 1.0, "stale_seconds": 1.0, "attempts_max": 1, "seed": 0}
    gateway = made(**{**usual, **options})
    with pytest.raises(StartupFailure, match="endpoint"):
        gateway.start()
    gateway.close()


def test_a_server_that_stays_away_ends_in_failed() -> None:
    with server("--market", "calm", "--seed", "7", "--close-every", "0.25s") as one:
        stack = opened(one.ws, attempts_max=3)
        gateway = stack.__enter__()
        seen = Seen(gateway)
        seen.until(ledgers=1)
    try:
        seen.until(kind=EventKind.FAILED)
        assert gateway.state is SupervisorState.FAILED
        # Three in a row are the cut and two attempts that failed: after the first of these another follows.
        order = [EventKind.RECONNECTING, EventKind.DISCONNECTED, EventKind.RETRY, EventKind.FAILED]
        assert [kind for kind in seen.kinds if kind in order] == order
        assert gateway.next(0.1) is None
        with pytest.raises(RequestLost) as lost:
            gateway.request("ping")
        assert not lost.value.sent
    finally:
        stack.__exit__(None, None, None)


def test_close_fails_what_waits_and_what_comes_after(running: Running, wire: Wire) -> None:
    with opened(running.ws) as gateway:
        wire.result("fault", name="latency", parameters={"seconds": 8, "command": "fee"})
        ended: list[RequestLost] = []

        def ask() -> None:
            try:
                gateway.request("fee", timeout_seconds=10.0)
            except RequestLost as error:
                ended.append(error)

        waiting = threading.Thread(target=ask)
        waiting.start()
        time.sleep(0.2)
        began = time.monotonic()
        gateway.close()
        waiting.join()
        assert time.monotonic() - began < 2.0
        assert ended[0].sent
        with pytest.raises(RequestLost) as lost:
            gateway.request("fee")
        assert not lost.value.sent
        while gateway.next(0.0) is not None:
            pass
