"""A paper session on a network's ledgers, played again from its journal: the same decisions or a mismatch."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from neo_engine.domain.book import BookTracker
from neo_engine.domain.capital import CapitalEvent, CapitalKind
from neo_engine.domain.halt import HaltReason
from neo_engine.domain.pause import Pause
from neo_engine.domain.reference import ReferencePrice
from neo_engine.execution.paper import PaperExchange
from neo_engine.execution.paper_account import PaperAccount
from neo_engine.feed.journal import (
    JournaledControl,
    JournaledReference,
    JournaledSignals,
    JournaledSource,
    JournaledTimer,
    JournalWriter,
)
from neo_engine.feed.journal_play import (
    Journal,
    JournalMismatch,
    PlayedControl,
    PlayedReference,
    PlayedSignals,
    PlayedSource,
    PlayedTimer,
)
from neo_engine.feed.journal_store import (
    ENDING,
    JournaledPart,
    JournaledPatience,
    JournaledStore,
    PlayedPart,
    PlayedPatience,
    PlayedStore,
)
from neo_engine.feed.live import LedgerSource, LiveFeed
from neo_engine.main_loop import MainLoop
from neo_engine.ops.clock import Countdown, SilenceTimer
from neo_engine.outage import POLL_SECONDS, STORE_RETRIES
from neo_engine.ports import (
    Control,
    FeedItem,
    KillRequest,
    Part,
    Patience,
    PauseRequest,
    Reference,
    Signals,
    StateStore,
    Timer,
)
from neo_engine.session import Opening, Session, SessionResult
from neo_engine.tick import decide
from neo_engine.xrpl.bundles import LedgerBundle
from neo_engine.xrpl.gateway import EventKind, GatewayEvent
from tests.unit.played_gateway import PlayedGateway, StillClock
from tests.unit.test_live_feed import ISSUER, RLUSD, URL
from tests.unit.test_main_loop import Control as HandControl
from tests.unit.test_main_loop import Store, quick

XRP = 1_000_000
TICK_SECONDS = 4
PATIENCE = 2_000  # calls of the source after which a session that does not end is a failed test
DEPOSIT = CapitalEvent(
    request_id="d1",
    kind=CapitalKind.DEPOSIT,
    base_drops=0,
    quote=Decimal("12.5"),
    note="more",
    created_at="2026-11-20T00:00:00.000Z",
)


class HandSignals:
    """Signals that come when they are told to."""

    def __init__(self) -> None:
        self.reason: HaltReason | None = None
        self.name = ""
        self.hurry = False

    def come(self) -> None:
        self.hurry = self.reason is not None
        self.reason, self.name = HaltReason.INTERRUPTED_SIGINT, "SIGINT"


class Network(PlayedGateway):
    """A played gateway with silences, and things that happen with its n-th call of `next`."""

    def __init__(self, clock: StillClock) -> None:
        super().__init__()
        self.calls = 0
        self.silent: set[int] = set()
        self.before: dict[int, Callable[[], None]] = {}
        self._clock = clock

    def next(self, timeout_seconds: float) -> LedgerBundle | GatewayEvent | None:
        self.calls += 1
        assert self.calls < PATIENCE, "the session does not end"
        self.before.get(self.calls, lambda: None)()
        if self.calls in self.silent or not self.items:
            self._clock.sleep(3.0)
            return None
        return super().next(timeout_seconds)


class HandReference:
    """Another market whose price changes every third time it is asked, and that may stop."""

    def __init__(self) -> None:
        self.price_now: Decimal | None = None
        self.asked = 0

    def price(self, at: int) -> ReferencePrice | None:
        self.asked += 1
        if self.price_now is None:
            return None
        return ReferencePrice(price=self.price_now + self.asked // 3, at=at - at % 8)

    def close(self) -> None:
        self.price_now = None


class Worker:
    """A part of the session that fails when it is told to."""

    name, reason = "worker", HaltReason.STATE_FAILURE

    def __init__(self) -> None:
        self.failures = 0

    def failure(self) -> str:
        return "it has died" if self.failures else ""

    def restart(self) -> None:
        self.failures -= 1


class World:
    """All that is outside of a session."""

    def __init__(self) -> None:
        self.reference = HandReference()
        self.clock = StillClock()
        self.network = Network(self.clock)
        self.control = HandControl()
        self.signals = HandSignals()
        self.store = Store()
        self.worker = Worker()


OUTAGE_SECONDS = 100
ENDING_SECONDS = 6  # less than the delivered ledgers of a wind-down take


class Observed(LiveFeed):
    """A live feed that keeps what it gave."""

    def next(self, timeout_seconds: float) -> FeedItem | None:  # type: ignore[override]
        item = super().next(timeout_seconds)
        self.given = [*getattr(self, "given", []), *([] if item is None else [item])]
        return item


def ran(
    clock: StillClock,
    source: LedgerSource,
    control: Control,
    signals: Signals,
    timer: Callable[[int], Timer],
    *,
    reference: Reference,
    seconds: int | None,
    store: Store,
    stored: StateStore,
    patience: Patience,
    ending: Patience,
    parts: tuple[Part, ...],
) -> tuple[SessionResult, Store, list[FeedItem]]:
    feed = Observed(source, currency=RLUSD, issuer=ISSUER, clock=clock, names=(URL,))
    start = feed.start()
    session = Session(
        config=quick(tick_interval_seconds=TICK_SECONDS),
        feed=feed,
        feed_start=start,
        exchange=PaperExchange(
            book=BookTracker(start.state),
            account=PaperAccount(
                address="rUs",
                balance_drops=100 * XRP,
                quote_balance=Decimal(200),
                owner_count=1,
                sequence=1,
            ),
            seed=1,
            arrival_delay_ledgers=1,
            last_ledger_offset=4,
            depth_levels=5,
        ),
        store=stored,
        control=control,
        clock=clock,
        signals=signals,
        mode="paper",
        feed_name="xrpl",
        pair="XRP/RLUSD",
        account="rUs",
        opening=Opening(base_drops=100 * XRP, quote=Decimal(200)),
        recording=None,
        speed=None,
        seed=1,
        duration_seconds=seconds,
        on_tick=lambda _view: None,
        decide=decide,
        timer=timer(start.close_time),
        reference=reference,
        patience=patience,
        ending=ending,
        parts=parts,
    )
    result = MainLoop(session).run()
    feed.close()
    return result, store, feed.given


def recorded(
    path: Path, world: World, seconds: int | None = None
) -> tuple[SessionResult, Store, list[FeedItem]]:
    writer = JournalWriter(path, {"seed": 1})
    told = ran(
        world.clock,
        JournaledSource(world.network, writer),
        JournaledControl(world.control, writer),
        JournaledSignals(world.signals, writer),
        lambda start: JournaledTimer(SilenceTimer(world.clock, TICK_SECONDS, start, pull_seconds=12), writer),
        reference=JournaledReference(world.reference, writer),
        seconds=seconds,
        store=world.store,
        stored=JournaledStore(world.store, writer),
        patience=JournaledPatience(Countdown(world.clock, OUTAGE_SECONDS), writer),
        ending=JournaledPatience(Countdown(world.clock, ENDING_SECONDS), writer, ENDING),
        parts=(JournaledPart(world.worker, writer),),
    )
    writer.close()
    return told


def replayed(path: Path, seconds: int | None = None) -> tuple[SessionResult, Store, list[FeedItem]]:
    journal, store = Journal.open(path), Store()
    try:
        told = ran(
            StillClock(),
            PlayedSource(journal),
            PlayedControl(journal),
            PlayedSignals(journal),
            lambda _start: PlayedTimer(journal),
            reference=PlayedReference(journal),
            seconds=seconds,
            store=store,
            stored=PlayedStore(store, journal),
            patience=PlayedPatience(journal),
            ending=PlayedPatience(journal, ENDING),
            parts=(PlayedPart(Worker(), journal),),
        )
        journal.finish()
    finally:
        journal.close()
    return told


def calm(_world: World) -> int | None:
    return 120


def silences(world: World) -> int | None:
    world.network.silent = {*range(5, 12), 20, 21, *range(33, 36)}
    return 160


def connections(world: World) -> int | None:
    for place, kind in (
        (3, EventKind.STALE),
        (4, EventKind.RECONNECTING),
        (9, EventKind.CONNECTED),
        (10, EventKind.HEALTHY),
    ):
        world.network.items.insert(place, GatewayEvent(kind=kind, text="told", endpoint=URL))
    world.network.items.insert(6, GatewayEvent(kind=EventKind.MALFORMED, text="told", endpoint=URL))
    world.network.silent = {5, 6, 7}
    return 120


def a_gap_with_lists_that_are_refused_first(world: World) -> int | None:
    network = world.network
    del network.items[10]
    network.refused["book_offers"] = "slowDown"
    network.before[13] = network.refused.clear
    network.before[14] = network.items.popleft
    network.before[15] = lambda: network.lost.add("amm_info")
    network.before[17] = network.lost.clear
    return 200


def capital_in_a_silent_round(world: World) -> int | None:
    world.network.silent = {8, 9}
    world.network.before[9] = lambda: world.control.asked.append(DEPOSIT)
    return 120


def capital_in_a_ledgers_round(world: World) -> int | None:
    world.network.silent = {9}
    world.network.before[8] = lambda: world.control.asked.append(DEPOSIT)
    return 120


def a_kill_in_a_ledgers_round(world: World) -> int | None:
    kill = KillRequest(source="file", reason="enough")
    world.network.before[20] = lambda: world.control.asked.append(kill)
    return None


def a_kill_in_the_silence_right_after_a_ledger(world: World) -> int | None:
    world.network.silent = {20}
    return a_kill_in_a_ledgers_round(world)


PAUSE = PauseRequest(pause=Pause(side="bid", by="maria", at="2026-11-20T18:00:00Z", reason="news é"))
RESUME = PauseRequest(pause=None)


def a_pause_and_its_end_in_ledgers_rounds(world: World) -> int | None:
    world.network.before[8] = lambda: world.control.asked.append(PAUSE)
    world.network.before[14] = lambda: world.control.asked.append(RESUME)
    return 120


def a_pause_from_the_first_tick_on_that_ends_in_a_silent_round(world: World) -> int | None:
    world.network.silent = {12, 13}
    world.control.asked.append(PAUSE)
    world.network.before[12] = lambda: world.control.asked.append(RESUME)
    return 120


def a_signal_in_a_ledgers_round(world: World) -> int | None:
    world.network.before[20] = world.signals.come
    return None


def a_signal_in_a_silent_round_and_a_second_one(world: World) -> int | None:
    world.network.silent = {20, 21, 22}
    world.network.before = {20: world.signals.come, 21: world.signals.come}
    return None


def ledgers_that_end_for_good(world: World) -> int | None:
    while len(world.network.items) > 15:
        world.network.items.pop()
    world.network.before[400] = world.signals.come
    return None


def another_market_that_leaves_the_peg(world: World) -> int | None:
    world.network.silent = {5, 6, 20, 21}
    world.network.before = {
        8: lambda: setattr(world.reference, "price_now", Decimal(1)),
        9: lambda: world.control.asked.append(DEPOSIT),
        30: lambda: setattr(world.reference, "price_now", None),
    }
    return 160


def an_outage_of_the_database(world: World) -> int | None:
    world.network.before[10] = lambda: world.store.failing.update(intent=STORE_RETRIES + 3)
    return 120


def an_outage_in_which_the_operator_pauses_and_a_signal_comes(world: World) -> int | None:
    sleep, asked = world.clock.sleep, list[float]()

    def slept(seconds: float) -> None:
        sleep(seconds)
        if world.store.failing["intent"] and seconds == POLL_SECONDS:
            asked.append(seconds)
            if len(asked) == 5:
                world.control.asked.append(PAUSE)
            if len(asked) == 9:
                world.signals.come()

    world.clock.sleep = slept  # type: ignore[method-assign]
    world.network.before[20] = lambda: world.store.failing.update(intent=STORE_RETRIES + 6)
    return None


def a_kill_right_after_an_outage(world: World) -> int | None:
    kill = KillRequest(source="file", reason="enough")
    world.network.before[18] = lambda: world.store.failing.update(intent=STORE_RETRIES)
    world.network.before[19] = lambda: world.control.asked.append(kill)
    return None


def answers_that_cannot_be_stored(world: World) -> int | None:
    world.network.before[3] = lambda: world.store.failing.update(outcome=STORE_RETRIES + 1)
    world.network.before[15] = lambda: world.store.failing.update(outcome=2 * STORE_RETRIES + 2)
    return 120


def an_outage_after_a_silence(world: World) -> int | None:
    world.network.silent = set(range(12, 20))
    world.network.before[14] = lambda: world.store.failing.update(intent=STORE_RETRIES + 2)
    return 160


def an_outage_that_outlasts_patience(world: World) -> int | None:
    world.network.before[20] = lambda: world.store.failing.update(intent=10**6)
    return None


def an_end_that_takes_too_long(world: World) -> int | None:
    while len(world.network.items) > 20:
        world.network.items.pop()
    world.network.before[30] = world.signals.come
    return None


def an_outage_in_an_end_that_takes_too_long(world: World) -> int | None:
    def both() -> None:
        world.signals.come()
        world.store.failing.update(intent=10**6)

    world.network.before[20] = both
    return None


def an_outage_that_begins_with_the_end(world: World) -> int | None:
    world.network.before[20] = lambda: world.store.failing.update(end=2)
    return 72


def a_part_that_dies_for_good_in_a_silence(world: World) -> int | None:
    world.network.silent = {20, 21, 22}
    world.network.before[8] = lambda: setattr(world.worker, "failures", 1)
    world.network.before[21] = lambda: setattr(world.worker, "failures", 10)
    return None


SCENES = [
    a_part_that_dies_for_good_in_a_silence,
    an_outage_of_the_database,
    an_outage_in_which_the_operator_pauses_and_a_signal_comes,
    a_kill_right_after_an_outage,
    answers_that_cannot_be_stored,
    an_outage_after_a_silence,
    an_outage_that_outlasts_patience,
    an_outage_that_begins_with_the_end,
    an_end_that_takes_too_long,
    an_outage_in_an_end_that_takes_too_long,
    another_market_that_leaves_the_peg,
    calm,
    silences,
    connections,
    a_gap_with_lists_that_are_refused_first,
    capital_in_a_silent_round,
    capital_in_a_ledgers_round,
    a_kill_in_a_ledgers_round,
    a_kill_in_the_silence_right_after_a_ledger,
    a_pause_and_its_end_in_ledgers_rounds,
    a_pause_from_the_first_tick_on_that_ends_in_a_silent_round,
    a_signal_in_a_ledgers_round,
    a_signal_in_a_silent_round_and_a_second_one,
    ledgers_that_end_for_good,
]


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_a_replay_decides_what_the_session_decided(
    tmp_path: Path, scene: Callable[[World], int | None]
) -> None:
    world = World()
    seconds = scene(world)
    result, store, given = recorded(tmp_path / "j.gz", world, seconds)
    again, store_again, given_again = replayed(tmp_path / "j.gz", seconds)
    assert result.ledgers >= 15
    assert sum(len(one.new_orders) for one in store.intents) >= 2
    assert given_again == given
    assert again == result  # the fingerprint, the halt and the summary
    assert store_again.intents == store.intents
    assert store_again.outcomes == store.outcomes


def test_a_connection_that_is_lost_for_long_halts_neither_the_session_nor_its_replay(tmp_path: Path) -> None:
    world = World()
    for place, kind in enumerate((EventKind.RECONNECTING, EventKind.CONNECTED, EventKind.HEALTHY), 6):
        world.network.items.insert(place, GatewayEvent(kind=kind, text="told", endpoint=URL))
    world.network.silent = set(range(8, 40))  # 96 s
    result, store, _given = recorded(tmp_path / "j.gz", world, 200)
    told = [gate.detail for one in store.intents for gate in one.gates if gate.name == "StaleData"]
    assert any("connecting again, attempt 1 (monitors.reconnect_attempts 5)" in detail for detail in told)
    assert result.halt.reason is HaltReason.DURATION_ELAPSED
    again, _store, _given = replayed(tmp_path / "j.gz", 200)
    assert again == result

    alone = World()
    alone.network.silent = set(range(8, 40))
    halted, _store, _given = recorded(tmp_path / "alone.gz", alone, 200)
    assert halted.halt.reason is HaltReason.RISK_STALE_LEDGER


def test_the_readings_of_another_market_are_those_of_the_journal(tmp_path: Path) -> None:
    world = World()
    another_market_that_leaves_the_peg(world)
    _result, store, _given = recorded(tmp_path / "j.gz", world, 160)
    told = [reading for one in store.intents for reading in one.readings if reading.monitor == "depeg"]
    assert told, "the market was never heard"
    _again, store_again, _given = replayed(tmp_path / "j.gz", 160)
    assert [
        reading for one in store_again.intents for reading in one.readings if reading.monitor == "depeg"
    ] == (told)


def test_another_seconds_limit_is_not_the_same_session(tmp_path: Path) -> None:
    recorded(tmp_path / "j.gz", World(), 120)
    with pytest.raises(JournalMismatch, match="the engine has ended, the session came to ledger"):
        replayed(tmp_path / "j.gz", 60)


def test_one_byte_of_an_amount_changed_makes_another_session_where_the_amount_counts(tmp_path: Path) -> None:
    path = tmp_path / "j.gz"
    result, store, given = recorded(path, World(), 120)
    text = zlib.decompress(path.read_bytes(), wbits=31)
    # The XRP that takers' offers name, in the ledgers in which quotes of ours were filled.
    filled = {fill.key[0] for one in store.intents for fill in one.fills}
    lines = [msgspec.json.decode(line) for line in text.splitlines()]
    ledgers = [one for one in lines if one.get("closed", {}).get("ledger_index") in filled]
    offers = [one for ledger in ledgers for one in ledger["transactions"] if "TakerGets" in one["tx_json"]]
    fingerprints = set()
    for offer in offers[:8]:
        xrp = rb'"hash":"%s".*?"tx_json":.*?"Taker(?:Gets|Pays)":"(\d)' % offer["hash"].encode()
        found = re.search(xrp, text)
        assert found is not None
        digit = b"1" if found.group(1) != b"1" else b"2"
        (tmp_path / "changed").write_bytes(text[: found.start(1)] + digit + text[found.end(1) :])
        again, _store, given_again = replayed(tmp_path / "changed", 120)
        assert given_again != given
        fingerprints.add(again.fingerprint)
    assert fingerprints - {result.fingerprint}
