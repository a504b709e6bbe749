"""Puts a live session together: the account's key, a gateway, what the last session left, and the engine.

The order is the argument. First everything that can be refused without a socket; then the locks, so that no
second engine trades the account; then key, network and authority; then what became of all that was left
open; and only then the loop. Nothing is signed before that for the ledger, and nothing is sent before its
intent is on disk.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from neo_engine.bootstrap import check_pair, checked_endpoints, open_state, rare_collections, silence_timer
from neo_engine.config import Config, config_json
from neo_engine.config_sections import UNSET, LiveConfig
from neo_engine.domain.account_snapshot import OpenOffer
from neo_engine.domain.assets import currency_code
from neo_engine.domain.book import BookTracker
from neo_engine.domain.errors import NeoError, StateError, UsageError
from neo_engine.domain.ledger import FeedStart
from neo_engine.domain.orders import PreparedTransaction
from neo_engine.event_log import say
from neo_engine.execution.answers import Answer, Ask, Told
from neo_engine.execution.fees import Fees
from neo_engine.execution.live import LiveExchange, LiveTerms, Rehearse
from neo_engine.execution.sequences import Sequences
from neo_engine.execution.submission import Submitter
from neo_engine.execution.transactions import Signer, Terms
from neo_engine.feed.journal import (
    JournaledControl,
    JournaledReference,
    JournaledSignals,
    JournaledSigner,
    JournaledSource,
    JournaledTimer,
    JournalWriter,
)
from neo_engine.feed.journal_store import ENDING, JournaledPart, JournaledPatience, JournaledStore
from neo_engine.feed.live import LedgerSource, LiveFeed, shown_endpoint
from neo_engine.feed.reference import open_reference
from neo_engine.live_left import LeftBehind, left_behind
from neo_engine.live_start import (
    Found,
    check_authority,
    check_network,
    check_not_frozen,
    found_out,
    patiently,
)
from neo_engine.main_loop import MainLoop
from neo_engine.ops.clock import Countdown
from neo_engine.ops.control import FileControl
from neo_engine.ops.latch import NO_LATCH, SessionLatch, check_latch
from neo_engine.ops.secrets import load_secret
from neo_engine.ops.signals import SignalFlags
from neo_engine.ports import Clock, Control, Exchange, Part, Patience, Reference, Signals, StateStore, Timer
from neo_engine.session import Session, SessionResult, TickView, failed_start_stored
from neo_engine.state.lock import account_lock_path, lock_folder
from neo_engine.state.manager import StateManager
from neo_engine.tick import decide
from neo_engine.watch import NO_WATCH, Watch
from neo_engine.xrpl.account_reader import AccountReader
from neo_engine.xrpl.codec import Codec
from neo_engine.xrpl.gateway import Gateway, GatewayOptions
from neo_engine.xrpl.server import UNKNOWN_COMMAND, Pipeline, RequestLost, RequestRefused, Server
from neo_engine.xrpl.signer import Signer as KeySigner
from neo_engine.xrpl.signer import unsigned

LIVE, FEED, DRY_FEED = "live", "xrpl", "xrpl dry run"
AT_ONCE = 0  # duration of a session that only cancels: `flatten`
SUBMIT_SECONDS = 4.0  # a tick: an answer that comes later is of no use to it


Json = dict[str, Any]


class LiveOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line chose. consent: the account that the operator agreed to trade with.

    endpoints: in place of the file's. dry_run: sign and simulate, send nothing. adopt_offers: take over
    offers that no order of ours placed; they are then cancelled like any order that is not wanted. journal:
    write there all that is needed to play the session again.
    """

    config: Config
    db: Path
    consent: str
    endpoints: tuple[str, ...]
    seed: int
    duration_seconds: int | None
    on_tick: Callable[[TickView], None]
    dry_run: bool = False
    adopt_offers: bool = False
    journal: Path | None = None
    watch: Watch = NO_WATCH


class LiveResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a live session ended. left: offers that stand on the ledger after it, None if nobody could say."""

    session: SessionResult
    left: tuple[OpenOffer, ...] | None


class LiveSource(LedgerSource, Pipeline, Protocol):
    """What a session needs of a gateway: ledgers, answers, and orders sent one behind the other."""

    @property
    def request_headroom(self) -> Decimal:
        """How much the servers still answer, in percent."""


def as_it_is(exchange: Exchange) -> Exchange:
    """Return the exchange itself: nothing stands between it and the engine."""
    return exchange


def as_it_stores(store: StateStore) -> StateStore:
    """Return the store itself: nothing stands between it and the engine."""
    return store


class World(msgspec.Struct, frozen=True, kw_only=True):
    """Everything outside that a live session hears and speaks to; a journal puts itself in between.

    between: puts something between the engine and its exchange, as a rehearsal does. stored: the same for the
    database. patience: with a database that fails.
    """

    source: LiveSource
    signer: Signer
    address: str
    names: tuple[str, ...]
    control: Control
    signals: Signals
    mode: str
    timer: Callable[[FeedStart], Timer | None]
    reference: Reference
    patience: Patience
    ending: Patience
    between: Callable[[Exchange], Exchange] = as_it_is
    stored: Callable[[StateStore], StateStore] = as_it_stores
    parts: Callable[[Sequence[Part]], tuple[Part, ...]] = tuple


def journal_header(options: LiveOptions, world: World, behind: LeftBehind) -> Json:
    """Return what a journal must keep of a session besides what happens in it.

    Its endpoints are shown as people may see them: some providers put a key into the path.
    """
    config = msgspec.json.decode(config_json(options.config))
    config["live"]["endpoints"] = [shown_endpoint(one) for one in config["live"]["endpoints"]]
    return {
        "config": config,
        "seed": options.seed,
        "duration_seconds": options.duration_seconds,
        "dry_run": options.dry_run,
        "adopt_offers": options.adopt_offers,
        "address": world.address,
        "names": world.names,
        "behind": msgspec.to_builtins(behind, str_keys=True),
    }


class SealedKey:
    """A key as the executor sees it."""

    def __init__(self, signer: KeySigner) -> None:
        self._signer = signer

    def sign(self, tx: Json) -> tuple[str, str]:
        """Return blob and hash."""
        signed = self._signer.sign(tx)
        return signed.blob, signed.tx_hash


def checked(options: LiveOptions) -> LiveConfig:
    """Return the file's live section. Raises UsageError unless operator and file agree on a live session."""
    live = options.config.live
    if live is None:
        raise UsageError(
            f"mode: {options.config.mode} in the configuration; a live session needs mode: live, as in "
            "config/live_testnet.yaml"
        )
    if live.account == UNSET:
        raise UsageError("live.account is unset; write your account's address there")
    if options.consent != live.account:
        raise UsageError(
            f"--consent {options.consent}: the configuration trades {live.account}; name that account to "
            "agree, or use its configuration"
        )
    checked_endpoints(options.endpoints)
    return live


def run_live(options: LiveOptions, clock: Clock) -> LiveResult:
    """Run one live session to its end.

    Raises UsageError for a choice that cannot be, StartupFailure or StateError when it cannot begin; a start
    that failed after the database was open leaves a session row with `startup_failure`.
    """
    live = checked(options)
    lock = account_lock_path(lock_folder(), live.account, LIVE)
    key = KeySigner(
        load_secret(live.key_source, os.environ), account=live.account, regular_key=live.regular_key
    )
    with (
        SignalFlags() as signals,
        open_state(options.db, options.config, clock, account_lock=lock) as store,
        failed_start_stored(store, clock, mode=LIVE, feed=FEED, seed=options.seed, config=options.config),
    ):
        if options.duration_seconds != AT_ONCE:
            check_latch(store.state(), clock.utc_now(), options.db)
        behind = left_behind(store, live.account)
        return run_journaled(options, _world(options, live, key, clock, signals), behind, clock, store)


def run_journaled(
    options: LiveOptions, world: World, behind: LeftBehind, clock: Clock, store: StateManager
) -> LiveResult:
    """Run the session in a world, with a journal where `options` has one. Raises what `run_session` does."""
    if options.journal is None:
        return run_session(options, world, behind, clock, store)
    header = journal_header(options, world, behind)
    with closing(JournalWriter(options.journal, header)) as writer:
        return run_session(options, _journaled(world, writer), behind, clock, store)


def _world(
    options: LiveOptions, live: LiveConfig, key: KeySigner, clock: Clock, signals: SignalFlags
) -> World:
    config, endpoints = options.config, options.endpoints or live.endpoints
    gateway = Gateway(
        GatewayOptions(endpoints=endpoints, stale_seconds=config.risk.stale_pull_seconds, seed=options.seed),
        clock,
    )
    return World(
        source=gateway,
        signer=SealedKey(key),
        address=key.address,
        names=tuple(shown_endpoint(one) for one in endpoints),
        control=FileControl(options.db, clock, takes_capital=False),
        signals=signals,
        mode=LIVE,
        timer=lambda start: silence_timer(config, clock, start),
        reference=open_reference(config.reference),
        patience=Countdown(clock, config.state.outage_halt_seconds),
        ending=Countdown(clock, config.engine.shutdown_seconds),
    )


def _journaled(world: World, writer: JournalWriter) -> World:
    """Return the world with a journal at each of its doors."""

    def timer(start: FeedStart) -> Timer | None:
        real = world.timer(start)
        return None if real is None else JournaledTimer(real, writer)

    return replace(
        world,
        source=JournaledSource(world.source, writer),
        signer=JournaledSigner(world.signer, writer),
        control=JournaledControl(world.control, writer),
        signals=JournaledSignals(world.signals, writer),
        timer=timer,
        reference=JournaledReference(world.reference, writer),
        patience=JournaledPatience(world.patience, writer),
        ending=JournaledPatience(world.ending, writer, ENDING),
        stored=lambda store: JournaledStore(store, writer),
        parts=lambda parts: tuple(JournaledPart(part, writer) for part in parts),
    )


def run_session(
    options: LiveOptions, world: World, behind: LeftBehind, clock: Clock, store: StateManager
) -> LiveResult:
    """Run the session in a world, real or played. Raises NeoError when it cannot begin."""
    config, source, live = options.config, world.source, checked(options)
    feed = LiveFeed(
        source,
        currency=currency_code(config.pair.quote_currency),
        issuer=config.pair.quote_issuer,
        clock=clock,
        names=world.names,
    )
    with closing(feed), closing(world.reference):
        start = feed.start()
        check_pair(config, start.pair)
        patiently(lambda: check_network(source, live), clock)
        patiently(lambda: check_authority(source, live, world.address), clock)
        reader = AccountReader(source, Codec(pair=start.pair), live.account)
        found = patiently(lambda: found_out(behind, reader, start, adopt_offers=options.adopt_offers), clock)
        if options.duration_seconds != AT_ONCE:
            check_not_frozen(found.account)
        store.settle_submissions(found.dead)
        exchange, connected = _exchange(options, world, start, found, behind)
        feed.connected = connected
        session = Session(
            config=config,
            feed=feed,
            feed_start=start,
            exchange=world.between(exchange),
            store=world.stored(store),
            control=world.control,
            clock=clock,
            signals=world.signals,
            mode=world.mode,
            feed_name=DRY_FEED if options.dry_run else FEED,
            pair=start.pair.symbol,
            account=live.account,
            opening=found.opening,
            recording=", ".join(world.names),
            speed=None,
            seed=options.seed,
            duration_seconds=options.duration_seconds,
            on_tick=options.on_tick,
            decide=decide,
            timer=world.timer(start),
            adopted=found.adopted,
            latch=SessionLatch(store.state(), clock) if world.mode == LIVE else NO_LATCH,
            today=behind.today(start.close_time),
            reference=world.reference,
            patience=world.patience,
            ending=world.ending,
            parts=world.parts(store.parts),
            watch=options.watch,
        )
        with closing(exchange), rare_collections():
            result = MainLoop(session).run()
            try:
                store.settle_submissions(exchange.dead)
            except StateError as error:
                # The session has its end; the next start proves the same again.
                say.error(
                    "settling_failed",
                    "transactions that are dead could not be settled: {}",
                    error,
                    transactions=len(exchange.dead),
                )
            return LiveResult(session=result, left=_left_standing(reader))


def _exchange(
    options: LiveOptions, world: World, start: FeedStart, found: Found, behind: LeftBehind
) -> tuple[LiveExchange, Callable[[], None]]:
    """Return the exchange, and what is to be called when another connection is used."""
    config, live, book = options.config, checked(options), BookTracker(start.state)
    fees = Fees(max_fee_drops=config.risk.max_fee_drops, daily_burn_drops=live.max_daily_fee_drops)
    fees.ledger(fee_base_drops=book.fee_base_drops, close_time=book.close_time)
    fees.sent(behind.fees_on(book.close_time))
    submitter = Submitter(
        ask=asker(world.source),
        signer=world.signer,
        terms=Terms(
            account=live.account,
            quote=start.pair.quote,
            source_tag=live.source_tag,
            network_id=live.network_id,
            last_ledger_offset=config.execution.last_ledger_offset,
        ),
        numbers=Sequences(found.recovery.view.account_sequence, found.account.tickets),
        fees=fees,
    )
    for one in found.recovery.open:
        submitter.adopt(one.prepared, one.after_ledger)
    exchange = LiveExchange(
        book=book,
        account=found.account,
        submitter=submitter,
        source=found.reader,
        terms=LiveTerms(
            depth_levels=config.engine.depth_levels,
            tickets=live.tickets,
            check_ledgers=live.account_check_ledgers,
        ),
        first=found.news,
        requests=lambda: world.source.request_headroom,
        rehearse=rehearser(world.source) if options.dry_run else None,
    )
    return exchange, submitter.reconnected


def asker(source: Pipeline) -> Ask:
    """Return the server as the submitter asks it: every end of a request is a value."""
    return _Asker(source)


class _Asker:
    def __init__(self, source: Pipeline) -> None:
        self._source = source

    def __call__(self, command: str, parameters: Json) -> Answer:
        """Return the answer to one request."""
        return _end_of(self._source.begin(command, timeout_seconds=SUBMIT_SECONDS, **parameters))

    def submit(self, blobs: Sequence[str]) -> list[Answer]:
        """Have all blobs on their way, in order, then return the answers."""
        begin = self._source.begin
        begun = [begin("submit", timeout_seconds=SUBMIT_SECONDS, tx_blob=blob) for blob in blobs]
        return [_end_of(one) for one in begun]


def _end_of(request: Callable[[], Json]) -> Answer:
    try:
        return Answer(told=Told.ANSWERED, result=request())
    except RequestRefused as refused:
        return Answer(told=Told.REFUSED, token=refused.token, result=refused.reply)
    except RequestLost as lost:
        say.warning("request_lost", "{}", lost)
        return Answer(told=Told.LOST, sent=lost.sent)


def rehearser(source: Server) -> Rehearse:
    """Return what runs a transaction on the server without sending it.

    Each is judged by itself, so it goes without its sequence: in a dry run none of those before it exists.
    """

    def rehearse(prepared: PreparedTransaction) -> str:
        tx = unsigned(prepared.blob or "")
        del tx["Sequence"]
        try:
            return str(source.request("simulate", tx_json=tx)["engine_result"])
        except (RequestRefused, RequestLost) as error:
            lacking = isinstance(error, RequestRefused) and error.token == UNKNOWN_COMMAND
            return "not rehearsed, the server has no simulate" if lacking else str(error)

    return rehearse


def _left_standing(reader: AccountReader) -> tuple[OpenOffer, ...] | None:
    """Return the offers that still stand and may trade, as the ledger says after the session."""
    try:
        told = reader.snapshot()
    except NeoError as error:
        say.error("left_standing_unknown", "nobody could say what is left on the ledger: {}", error)
        return None
    return tuple(one for one in told.offers if one.expiration is None or one.expiration > told.close_time)
