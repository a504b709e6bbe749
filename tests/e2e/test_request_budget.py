"""Our account of requests against the local server itself: it warns when we say that nothing is left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest

from neo_engine.domain.request_cost import KEPT_FOR_ORDERS, MEDIUM, WARNING_THRESHOLD, WINDOW_SECONDS
from neo_engine.simulator.server.genesis import ISSUER_ACCOUNT, RLUSD
from neo_engine.xrpl.gateway import EventKind, Gateway, GatewayEvent, GatewayOptions, LedgerBundle
from tests.e2e.server_process import Running, Wire, server

BOOK: dict[str, Any] = {
    "taker_gets": {"currency": "XRP"},
    "taker_pays": {"currency": RLUSD, "issuer": ISSUER_ACCOUNT},
}
#: Percent. A request takes 0.25. Both sides fade by whole seconds of the machine's one steady clock, so they
#: differ only by a request that one counts just before a second ends and the other just after: 12 of 160,000,
#: for each second that passes. Between our reading and the server's a second may end, which can only make
#: ours the smaller one. Twice a request and as many such seconds as there are here stay below 1.
NEAR = Decimal(1)
LITTLE = Decimal(6)  # percent; 94 of 100 fade below 80 in six seconds
WARM_SECONDS = 60.0
STEADY_SECONDS = 6.0
PAUSE_SECONDS = 0.05


class Clock:
    """The machine's own clock, as far as the gateway reads one."""

    monotonic = staticmethod(time.monotonic)


class Client:
    """A gateway that asks for a book again and again, and sees whether it was warned."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.asked = 0
        self.ledgers: list[LedgerBundle] = []

    def ask(self) -> None:
        """Ask as one writes: nothing but slowDown holds it back."""
        self.gateway.submit_request("book_offers", **BOOK)
        self.asked += 1

    def warned(self) -> bool:
        """True if a `load` warning has come since the last call."""
        seen = False
        while (item := self.gateway.next(0.0)) is not None:
            if isinstance(item, GatewayEvent):
                seen = seen or item.kind is EventKind.BUSY
            else:
                self.ledgers.append(item)
        return seen


@contextmanager
def client(running: Running) -> Iterator[Client]:
    options = GatewayOptions(endpoints=(running.ws,), request_timeout_seconds=3.0)
    gateway = Gateway(options, Clock())  # type: ignore[arg-type]
    gateway.start()
    try:
        yield Client(gateway)
    finally:
        gateway.close()


@pytest.fixture
def running() -> Iterator[Running]:
    """A server that charges, new for each test: all clients of this machine are one address to it."""
    with server("--close-every", "0.5s", "--market", "calm", "--seed", "7") as one:
        yield one


def test_a_client_without_restraint_is_warned_when_our_account_is_used_up(running: Running) -> None:
    with client(running) as one:
        used_up_at = None
        end = time.monotonic() + WARM_SECONDS
        while time.monotonic() < end:
            left = one.gateway.request_headroom
            one.ask()
            if one.warned():
                break
            if used_up_at is None and one.gateway.request_headroom == 0:
                used_up_at = one.asked
        else:
            pytest.fail(f"no warning after {one.asked} requests")
        assert left <= NEAR, one.asked
        assert one.asked >= WARNING_THRESHOLD * WINDOW_SECONDS // MEDIUM - 1
        # The other way round: no request went unwarned for long after nothing was left by our account.
        assert used_up_at is None or one.asked - used_up_at <= NEAR / Decimal("0.25")
        assert one.gateway.request_headroom <= NEAR


def test_a_client_that_keeps_its_account_above_zero_is_never_warned(running: Running) -> None:
    with client(running) as one:
        held_back = 0
        end = None
        give_up = time.monotonic() + WARM_SECONDS
        while (end is None or time.monotonic() < end) and time.monotonic() < give_up:
            if one.gateway.request_headroom > NEAR:
                one.ask()
            else:
                held_back += 1
                end = end or time.monotonic() + STEADY_SECONDS
                time.sleep(PAUSE_SECONDS)
            assert not one.warned(), (one.asked, one.gateway.request_headroom)
        assert held_back > 0
        # 99 % of 400, and what fades in the steady seconds: about 160,000 / 32 / 400 = 12 a second.
        assert one.asked > 0.99 * 400 + 12 * (STEADY_SECONDS - 2)


def test_a_missing_ledger_waits_until_orders_have_their_fifth(running: Running) -> None:
    with client(running) as one, Wire(running.ws) as wire:
        while one.gateway.request_headroom > LITTLE:
            one.ask()
        assert not one.warned()
        one.ledgers.clear()
        wire.result("fault", name="gap", **{"for": "2 ledgers"})
        first = None
        end = time.monotonic() + WARM_SECONDS
        while first is None and time.monotonic() < end:
            left = one.gateway.request_headroom
            assert not one.warned()
            first = next((ledger for ledger in one.ledgers if ledger.backfilled), None)
            time.sleep(0.01)
        assert first is not None
        assert left >= KEPT_FOR_ORDERS - NEAR
