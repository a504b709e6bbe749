"""The live feed on a recorded market: the same ledgers as the recording tells, and faults as values."""

from __future__ import annotations

import logging
from decimal import Decimal

import pytest
from msgspec.structs import replace

from neo_engine.domain.assets import Side
from neo_engine.domain.book import BookTracker
from neo_engine.domain.book_state import LedgerState
from neo_engine.domain.errors import FeedError
from neo_engine.domain.ledger import FeedStart, LedgerFault, LedgerFaultKind, LedgerUpdate
from neo_engine.domain.link import CONNECTED, Link
from neo_engine.feed.live import NO_CHECK, LiveFeed, shown_endpoint, without_secrets
from neo_engine.feed.recorded import RecordedFeed
from neo_engine.xrpl.gateway import EventKind, GatewayEvent
from tests.unit.played_gateway import CUT, PlayedGateway, StillClock

RLUSD = "524C555344000000000000000000000000000000"
ISSUER = "rM59iXJz2ZaRmW4bssBm8V5ZkZGvEAkVbj"  # the recording's
URL = "wss://one.example:51233"


def live(gateway: PlayedGateway, issuer: str | None = ISSUER) -> LiveFeed:
    return LiveFeed(gateway, currency=RLUSD, issuer=issuer, clock=StillClock(), names=(URL,))


def recorded() -> tuple[LedgerState, list[LedgerUpdate]]:
    feed = RecordedFeed(CUT, speed=None, clock=StillClock(), silence_after_seconds=10**6)
    state, updates = feed.start().state, []
    while isinstance(item := feed.next(1.0), LedgerUpdate):
        updates.append(item)
    feed.close()
    return state, updates


def started(gateway: PlayedGateway) -> tuple[LiveFeed, FeedStart]:
    feed = live(gateway)
    return feed, feed.start()


def event(kind: EventKind, first: int = 0, last: int = 0) -> GatewayEvent:
    return GatewayEvent(kind=kind, text="told", endpoint=URL, first_ledger=first, last_ledger=last)


def given(feed: LiveFeed) -> LedgerUpdate:
    item = feed.next(0)
    assert isinstance(item, LedgerUpdate), item
    return item


def fault(feed: LiveFeed) -> LedgerFault:
    item = feed.next(0)
    assert isinstance(item, LedgerFault), item
    return item


def test_it_tells_what_a_recording_of_the_same_ledgers_tells() -> None:
    gateway = PlayedGateway()
    feed, start = started(gateway)
    state, updates = recorded()
    assert start.state == state
    assert (start.live, start.source, start.build_version) == (True, URL, "3.1.1")
    assert [given(feed) for _ in updates] == [replace(one, line=0, check=NO_CHECK) for one in updates]
    assert feed.next(0) is None


def test_without_an_issuer_it_finds_the_one_whose_token_has_a_pool() -> None:
    gateway = PlayedGateway()
    with pytest.raises(FeedError, match=r"quote_issuer.*2 there have a pool"):
        live(gateway, None).start()
    state = gateway.header["state"]
    state[:] = [one for one in state if one["LedgerEntryType"] != "AMM" or ISSUER in str(one)]
    assert live(gateway, None).start().pair.quote.issuer == ISSUER


def test_on_a_large_network_the_issuer_must_be_named() -> None:
    with pytest.raises(FeedError, match=r"quote_issuer.*too large"):
        live(PlayedGateway(small=False), None).start()


def test_a_large_networks_books_are_what_the_server_lists_with_its_owners_funds() -> None:
    gateway = PlayedGateway(small=False)
    _feed, start = started(gateway)
    assert not start.state.complete
    book = BookTracker(start.state)
    asked = [parameters for command, parameters in gateway.asked if command == "book_offers"]
    assert [one["limit"] for one in asked] == [100, 100]
    line = gateway.request("book_offers", ledger_index=start.ledger_index, taker_gets={"currency": "XRP"})
    assert [one.index for one in book.asks] == [one["index"] for one in line["offers"]]
    for told in line["offers"]:
        if "owner_funds" in told:
            assert book.funds(told["Account"], Side.SELL) == Decimal(told["owner_funds"])
    told = next(one for one in gateway.header["state"] if one.get("Account") == ISSUER and "TickSize" in one)
    assert book.tick_size == told["TickSize"]
    assert start.state.pool is not None


def test_a_state_of_lists_follows_the_ledgers_without_a_fault_and_ends_in_the_same_market() -> None:
    # The lists stand for the state after the first ledger, so both are followed from there.
    gateway = PlayedGateway(small=False)
    gateway.validated = gateway.bundles[0].closed.ledger_index
    feed, start = started(gateway)
    small, (state, updates) = BookTracker(start.state), recorded()
    whole = BookTracker(state)
    whole.advance(updates[0])
    assert feed.next(0) is None  # the first ledger, which the state holds already
    for update in updates[1:]:
        whole.advance(update)
        faults = small.advance(given(feed))
        assert not [one for one in faults if one.kind is LedgerFaultKind.UNKNOWN_ENTRY]
    for side in Side:
        ours = small.live_levels(side, 5, small.parent_close_time)
        assert ours == whole.live_levels(side, 5, whole.parent_close_time)


def test_a_ledger_that_the_first_state_holds_is_not_given_again() -> None:
    gateway = PlayedGateway()
    gateway.items.appendleft(gateway.bundles[0])
    feed, _start = started(gateway)
    first = given(feed)
    assert feed.next(0) is None
    assert given(feed).ledger_index == first.ledger_index + 1


def test_a_missing_ledger_brings_the_servers_lists_with_the_next_one() -> None:
    gateway = PlayedGateway()
    feed, start = started(gateway)
    book = BookTracker(start.state)
    book.advance(given(feed))
    gateway.items.popleft()
    update = given(feed)
    assert update.resync is not None
    book.advance(update)
    assert book.trusted
    assert given(feed).resync is None


def test_a_gap_that_the_gateway_tells_is_one_fault_and_then_repaired() -> None:
    gateway = PlayedGateway()
    feed, _start = started(gateway)
    lost = gateway.items.popleft().closed.ledger_index  # type: ignore[union-attr]
    gateway.items.appendleft(event(EventKind.GAP, lost, lost))
    assert fault(feed).kind is LedgerFaultKind.LEDGER_GAP
    update = given(feed)
    assert update.ledger_index == lost + 1
    assert update.resync is not None


def test_lists_that_cannot_be_had_are_asked_for_again_with_the_next_ledger() -> None:
    gateway = PlayedGateway()
    feed, _start = started(gateway)
    feed.request_resync()
    gateway.lost.add("book_offers")
    assert given(feed).resync is None
    gateway.lost.clear()
    gateway.refused["amm_info"] = "lgrNotFound"
    assert given(feed).resync is None
    gateway.refused.clear()
    assert given(feed).resync is not None


def test_lists_are_asked_for_three_times_at_once_and_then_once_in_eight_ledgers() -> None:
    gateway = PlayedGateway()
    feed, start = started(gateway)
    gateway.lost.add("book_offers")
    asked: list[int] = []
    while gateway.items:
        before = len(gateway.asked)
        feed.request_resync()
        feed.request_resync()  # wanted twice: one request
        update = given(feed)
        if len(gateway.asked) > before:
            asked.append(update.ledger_index - start.ledger_index)
    first = asked[0]
    assert asked[:3] == [first, first + 1, first + 2]
    assert asked[3:6] == [first + 8, first + 16, first + 24]


BROKEN = {
    "text that is no JSON": (b"{", LedgerFaultKind.MALFORMED_JSON),
    "a message without its fields": (b"{}", LedgerFaultKind.MISSING_FIELD),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_ledger_that_cannot_be_read_is_dropped_and_told_once(case: str) -> None:
    message, kind = BROKEN[case]
    gateway = PlayedGateway()
    feed, _start = started(gateway)
    first = gateway.bundles[0]
    gateway.items[0] = replace(first, transactions=(message, *first.transactions[1:]))
    told = fault(feed)
    assert (told.kind, told.ledger_index) == (kind, first.closed.ledger_index)
    assert given(feed).resync is not None  # and no second fault for the hole


def test_a_transaction_that_is_not_validated_drops_its_ledger() -> None:
    gateway = PlayedGateway()
    feed, _start = started(gateway)
    first = gateway.bundles[0]
    forged = first.transactions[0].replace(b'"validated":true', b'"validated":false')
    gateway.items[0] = replace(first, transactions=(forged, *first.transactions[1:]))
    assert fault(feed).kind is LedgerFaultKind.NOT_VALIDATED


def test_fewer_transactions_than_the_ledger_counts_are_never_believed() -> None:
    gateway = PlayedGateway()
    feed, _start = started(gateway)
    first = gateway.bundles[0]
    gateway.items[0] = replace(first, transactions=first.transactions[:-1])
    update = given(feed)
    assert update.incomplete
    assert update.resync is not None


@pytest.mark.parametrize("leap", [0, 7_201])
def test_a_close_time_that_cannot_be_drops_the_ledger_and_not_those_after_it(leap: int) -> None:
    gateway = PlayedGateway()
    feed, start = started(gateway)
    first = gateway.bundles[0]
    closed = first.closed
    closed.ledger_time = start.close_time + leap
    assert fault(feed).kind is LedgerFaultKind.CLOSE_TIME
    assert given(feed).ledger_index == closed.ledger_index + 1


def test_what_the_gateway_tells_of_its_connections_is_logged_and_no_tick(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = PlayedGateway()
    feed, _start = started(gateway)
    gateway.items.extendleft([event(EventKind.RECONNECTING), event(EventKind.STALE)])
    # Whatever an earlier test left on the logger must not hear this one.
    monkeypatch.setattr(logging.getLogger("neo_engine"), "handlers", [])
    monkeypatch.setattr(logging.getLogger("neo_engine"), "propagate", True)
    caplog.clear()
    with caplog.at_level("WARNING", logger="neo_engine"):
        assert feed.next(0) is None
        assert feed.next(0) is None
    assert [one.getMessage() for one in caplog.records] == [
        f"{URL}: stale: told",
        f"{URL}: reconnecting: told",
    ]


def test_attempts_to_connect_again_are_counted_until_a_ledger_comes() -> None:
    kinds = EventKind
    gateway = PlayedGateway()
    feed, _start = started(gateway)
    assert feed.link == CONNECTED
    ledgers = [gateway.items.popleft() for _ in range(2)]
    told = {
        kinds.RECONNECTING: 1,
        kinds.DISCONNECTED: 1,
        kinds.RETRY: 2,
        kinds.BUSY: 2,
        kinds.CONNECTED: 0,
    }
    for kind, attempts in told.items():
        gateway.items.appendleft(event(kind))
        assert feed.next(0) is None
        assert feed.link == Link(attempts=attempts, unhealthy=feed.link.unhealthy), f"after {kind}"
        assert feed.link.unhealthy  # until the server is healthy again
    gateway.items.appendleft(event(kinds.RECONNECTING))  # it was cut before a ledger came
    assert feed.next(0) is None
    assert feed.link.attempts == 3
    gateway.items.extendleft(reversed([event(kinds.CONNECTED), event(kinds.HEALTHY), *ledgers]))
    assert feed.next(0) is None
    assert feed.next(0) is None
    assert feed.link == Link(attempts=0, unhealthy="")
    given(feed)
    gateway.items.appendleft(event(kinds.RECONNECTING))
    assert feed.next(0) is None
    assert feed.link.attempts == 1


def test_a_server_that_is_stale_is_not_to_be_believed_until_it_is_healthy() -> None:
    gateway = PlayedGateway()
    feed, _start = started(gateway)
    gateway.items.appendleft(event(EventKind.STALE))
    assert feed.next(0) is None
    assert feed.link == Link(attempts=0, unhealthy=f"{URL}: stale: told")
    given(feed)
    assert feed.link.unhealthy  # a ledger alone proves nothing
    gateway.items.appendleft(event(EventKind.HEALTHY))
    assert feed.next(0) is None
    assert feed.link == CONNECTED


def test_a_frame_that_cannot_be_read_is_a_fault() -> None:
    gateway = PlayedGateway()
    feed, _start = started(gateway)
    gateway.items.appendleft(event(EventKind.MALFORMED))
    assert fault(feed).kind is LedgerFaultKind.MALFORMED_JSON


def test_servers_that_were_given_up_end_it_with_the_fix() -> None:
    gateway = PlayedGateway()
    feed, _start = started(gateway)
    gateway.items.appendleft(event(EventKind.FAILED))
    with pytest.raises(FeedError, match=f"{URL}: failed: told; name further servers with --endpoint"):
        feed.next(0)


def test_a_start_without_an_issuer_on_the_network_names_key_and_server() -> None:
    with pytest.raises(FeedError, match=f"{URL}: no account rMxCKbEDwqr76Q.*--endpoint"):
        live(PlayedGateway(small=False), "rMxCKbEDwqr76QuheSUMdEGf4B9xJ8m5De").start()


def test_a_start_is_tried_again_while_the_servers_nodes_disagree_and_then_names_the_fix() -> None:
    gateway = PlayedGateway()
    gateway.refused["ledger_data"] = "lgrNotFound"
    with pytest.raises(FeedError, match=f"{URL}: .*lacks ledger.*try again or name another server"):
        live(gateway).start()
    assert [command for command, _ in gateway.asked].count("ledger_data") == 5


def test_no_wait_is_without_a_limit() -> None:
    gateway = PlayedGateway(small=False)
    feed, _start = started(gateway)
    feed.request_resync()
    given(feed)
    assert max(gateway.limits) <= 10  # seconds; what a request may take at most


def test_it_must_be_started_first() -> None:
    with pytest.raises(FeedError, match="start"):
        live(PlayedGateway()).next(0)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("wss://s1.ripple.com", "wss://s1.ripple.com"),
        ("wss://neo:secret@node.example:51233/key?token=1", "wss://node.example:51233"),
        ("ws://[::1]:6006/", "ws://[::1]:6006"),
    ],
)
def test_an_endpoint_is_shown_without_what_may_be_secret(url: str, shown: str) -> None:
    assert shown_endpoint(url) == shown


def test_a_secret_in_an_endpoint_is_shown_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    secret = "wss://node.example/s3cret"
    assert (
        without_secrets(f"{secret}: cut, then {secret}; end.")
        == "wss://node.example: cut, then wss://node.example; end."
    )
    gateway = PlayedGateway()
    feed, _start = started(gateway)
    logging.getLogger("neo_engine").propagate = True
    for kind in (EventKind.STALE, EventKind.MALFORMED):
        told = GatewayEvent(kind=kind, text=f"{secret}: told", endpoint=secret)
        gateway.items.appendleft(told)
        item = feed.next(0)
        assert "s3cret" not in str(item)
    gateway.items.appendleft(GatewayEvent(kind=EventKind.FAILED, text=f"{secret}: gone"))
    with pytest.raises(FeedError) as failed:
        feed.next(0)
    assert "s3cret" not in str(failed.value)
    assert "s3cret" not in caplog.text
