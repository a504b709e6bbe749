"""Puts a live session together: the account's key, a gateway, what the last session left, and the engine.

The order is the argument. First everything that can be refused without a socket; then the locks, so that no
second engine trades the account; then key, network and authority; then what became of all that was left
open; and only then the loop. Nothing is signed before that for the ledger, and nothing is sent before its
intent is on disk.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from neo_engine.bootstrap import check_pair, checked_endpoints, open_state, rare_collections, silence_timer
from neo_engine.config import UNSET, Config, LiveConfig
from neo_engine.domain.account_snapshot import OpenOffer
from neo_engine.domain.assets import Side, currency_code
from neo_engine.domain.book import BookTracker
from neo_engine.domain.errors import NeoError, StartupFailure, StateError, UsageError
from neo_engine.domain.fills import Fill
from neo_engine.domain.halt import HaltReason
from neo_engine.domain.ledger import FeedStart
from neo_engine.domain.number import EXACT, MILLION, ZERO
from neo_engine.domain.orders import Order, OrderStatus, PreparedTransaction
from neo_engine.execution.answers import Answer, Told
from neo_engine.execution.fees import Fees
from neo_engine.execution.live import LiveExchange, LiveTerms, News, Rehearse
from neo_engine.execution.live_account import LiveAccount
from neo_engine.execution.live_events import KnownOrder
from neo_engine.execution.recovery import Recovery, recover
from neo_engine.execution.sequences import Sequences
from neo_engine.execution.submission import Submitter
from neo_engine.execution.tracking import Orders
from neo_engine.execution.transactions import Signer, Terms
from neo_engine.feed.live import LedgerSource, LiveFeed, shown_endpoint
from neo_engine.live_left import LeftBehind, left_behind
from neo_engine.main_loop import MainLoop
from neo_engine.ops.control import FileControl
from neo_engine.ops.preflight_checks import Finding, Status, authority, network
from neo_engine.ops.secrets import load_secret
from neo_engine.ops.signals import SignalFlags
from neo_engine.ports import Clock, Control, Signals, Timer
from neo_engine.session import Adopted, Opening, Session, SessionResult, TickView, record_failed_start
from neo_engine.state.lock import account_lock_path, lock_folder
from neo_engine.state.manager import StateManager
from neo_engine.tick import decide
from neo_engine.xrpl.account_reader import AccountReader
from neo_engine.xrpl.codec import Codec
from neo_engine.xrpl.gateway import Gateway, GatewayOptions
from neo_engine.xrpl.metadata import account_events
from neo_engine.xrpl.server import Pipeline, RequestLost, RequestRefused, Server
from neo_engine.xrpl.signer import Signer as KeySigner
from neo_engine.xrpl.signer import unsigned

LIVE, FEED, DRY_FEED = "live", "xrpl", "xrpl dry run"
SUBMIT_SECONDS = 4.0  # a tick: an answer that comes later is of no use to it

log = logging.getLogger("neo_engine")

Json = dict[str, Any]


class LiveOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line chose. consent: the account that the operator agreed to trade with.

    endpoints: in place of the file's. dry_run: sign and simulate, send nothing. adopt_offers: take over
    offers that no order of ours placed; they are then cancelled like any order that is not wanted.
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


class LiveResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a live session ended. left: offers that stand on the ledger after it, None if nobody could say."""

    session: SessionResult
    left: tuple[OpenOffer, ...] | None


class LiveSource(LedgerSource, Pipeline, Protocol):
    """What a session needs of a gateway: ledgers, answers, and orders sent one behind the other."""


class World(msgspec.Struct, frozen=True, kw_only=True):
    """Everything outside that a live session hears and speaks to; a journal puts itself in between."""

    source: LiveSource
    signer: Signer
    address: str
    names: tuple[str, ...]
    control: Control
    signals: Signals
    timer: Callable[[FeedStart], Timer | None]


class _KeySigner:
    """The signer as the executor sees it."""

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
    ):
        try:
            return _run(options, live, _world(options, live, key, clock, signals), clock, store)
        except NeoError as error:
            if isinstance(error, StateError):
                raise
            record_failed_start(
                store,
                clock,
                mode=LIVE,
                feed=FEED,
                seed=options.seed,
                config=options.config,
                detail=str(error),
            )
            raise StartupFailure(f"{HaltReason.STARTUP_FAILURE.value}: {error}") from error


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
        signer=_KeySigner(key),
        address=key.address,
        names=tuple(shown_endpoint(one) for one in endpoints),
        control=FileControl(options.db, clock, takes_capital=False),
        signals=signals,
        timer=lambda start: silence_timer(config, clock, start),
    )


def _run(
    options: LiveOptions, live: LiveConfig, world: World, clock: Clock, store: StateManager
) -> LiveResult:
    config, source = options.config, world.source
    feed = LiveFeed(
        source,
        currency=currency_code(config.pair.quote_currency),
        issuer=config.pair.quote_issuer,
        clock=clock,
        names=world.names,
    )
    with closing(feed):
        start = feed.start()
        check_pair(config, start.pair)
        _check_network(source, live)
        _check_authority(source, live, world.address)
        reader = AccountReader(source, Codec(pair=start.pair), live.account)
        found = _found_out(options, live, store, reader, start)
        exchange, connected = _exchange(options, live, world, start, found)
        feed.connected = connected
        session = Session(
            config=config,
            feed=feed,
            feed_start=start,
            exchange=exchange,
            store=store,
            control=world.control,
            clock=clock,
            signals=world.signals,
            mode=LIVE,
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
        )
        with closing(exchange), rare_collections():
            result = MainLoop(session).run()
            return LiveResult(session=result, left=_left_standing(reader))


class _Found(msgspec.Struct, frozen=True, kw_only=True):
    """What the start found out of the account: see `_found_out`."""

    recovery: Recovery
    account: LiveAccount
    adopted: Adopted
    opening: Opening
    news: News
    reader: AccountReader


def _found_out(
    options: LiveOptions, live: LiveConfig, store: StateManager, reader: AccountReader, start: FeedStart
) -> _Found:
    """Find out what became of everything left open. Raises StartupFailure for offers that nobody knows."""
    behind = left_behind(store, live.account)
    left = behind.left
    if not left.last_ledger:
        left = replace(left, last_ledger=start.ledger_index)
    book = BookTracker(start.state)
    recovery, account = recover(reader, left, account_events, transfer_rate=book.transfer_rate)
    settled = {one.tx_hash for one in recovery.transactions} | {one.prepared.tx_hash for one in recovery.open}
    store.settle_submissions(
        [one.prepared.tx_hash for one in left.in_flight if one.prepared.tx_hash not in settled]
    )
    fills = _unstored(recovery.fills, behind.orders)
    adopted = _adopted(options, behind, recovery, account)
    if left.in_flight or left.orders or fills:
        log.warning(
            "left open: %d orders, %d transactions; found: %d fills, %d results, %d still open",
            len(left.orders),
            len(left.in_flight),
            len(fills),
            len(recovery.transactions),
            len(recovery.open),
        )
    news = News(
        updates=list(recovery.order_updates), fills=list(fills), transactions=list(recovery.transactions)
    )
    fees = sum(one.fee_drops for one in recovery.transactions)
    return _Found(
        recovery=recovery,
        account=account,
        adopted=adopted,
        opening=_opening(recovery, fills, fees),
        news=news,
        reader=reader,
    )


def _unstored(fills: tuple[Fill, ...], orders: Orders) -> tuple[Fill, ...]:
    """Return the fills that no earlier session has stored: the others are in what it booked."""
    stored = {(order_id, key[0], key[1]) for order_id, seen in orders.seen.items() for key in seen.fill_keys}
    return tuple(
        one for one in fills if (one.order_id, one.ledger_index, one.transaction_index) not in stored
    )


def _opening(recovery: Recovery, fills: tuple[Fill, ...], fees: int) -> Opening:
    """Return what the account held before what this session still has to book."""
    drops, quote = recovery.view.balance_drops + fees, recovery.view.quote_balance
    for one in fills:
        drops -= one.base_drops if one.side is Side.BUY else -one.base_drops
        quote = EXACT.subtract(quote, one.quote_balance_delta)
    return Opening(base_drops=drops, quote=quote)


def _adopted(options: LiveOptions, behind: LeftBehind, recovery: Recovery, account: LiveAccount) -> Adopted:
    """Return the orders to go on with, offers that nobody placed among them if the operator wants that."""
    unknown = [one for one in recovery.unknown_offers if one.offer_sequence not in account.expired_offers]
    if unknown and not options.adopt_offers:
        numbers = ", ".join(str(one.offer_sequence) for one in unknown)
        raise StartupFailure(
            f"{account.address} has offers that no order of this database placed (sequences {numbers}); "
            "cancel them with `flatten`, or take them over with --adopt-offers"
        )
    number = max((one.order_id for one in behind.orders), default=0)
    new = []
    for one in unknown:
        number += 1
        order = _order_of(one, number, recovery.ledger_index)
        account.adopt(
            KnownOrder(
                order_id=number,
                offer_sequence=one.offer_sequence,
                base_drops=one.base_drops,
                quote=one.quote,
            )
        )
        new.append(order)
    orders = behind.orders
    if new:
        orders = Orders(
            working=(*orders.working, *new),
            closed=orders.closed,
            seen=orders.seen,
            replaces=orders.replaces,
        )
    return Adopted(orders=orders, stored=behind.stored, new=tuple(new))


def _order_of(offer: OpenOffer, number: int, ledger_index: int) -> Order:
    return Order(
        order_id=number,
        slot=f"adopted-{offer.offer_sequence}",
        side=offer.side,
        price=offer.quote * MILLION / offer.base_drops,
        base_drops=offer.base_drops,
        quote=offer.quote,
        remaining_base_drops=offer.base_drops,
        remaining_quote=offer.quote,
        status=OrderStatus.OPEN,
        expiration=offer.expiration,
        offer_sequence=offer.offer_sequence,
        tx_hash=None,
        last_ledger_sequence=None,
        created_ledger=ledger_index,
        failure_reason=None,
        filled_base_drops=0,
        filled_quote=ZERO,
        result_code=None,
        cancel_sent_ledger=None,
        closed_ledger=None,
    )


def _exchange(
    options: LiveOptions, live: LiveConfig, world: World, start: FeedStart, found: _Found
) -> tuple[LiveExchange, Callable[[], None]]:
    """Return the exchange, and what is to be called when another connection is used."""
    config, book = options.config, BookTracker(start.state)
    fees = Fees(max_fee_drops=config.risk.max_fee_drops, daily_burn_drops=live.max_daily_fee_drops)
    fees.ledger(fee_base_drops=book.fee_base_drops, close_time=book.close_time)
    submitter = Submitter(
        ask=Asker(world.source),
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
        rehearse=rehearser(world.source) if options.dry_run else None,
    )
    return exchange, submitter.reconnected


class Asker:
    """The server as the submitter asks it: every end of a request is a value."""

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
        log.warning("%s", lost)
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
            return str(error)

    return rehearse


def _check_network(source: Server, live: LiveConfig) -> None:
    _required(network(source.request("server_info")["info"], live))


def _check_authority(source: Server, live: LiveConfig, address: str) -> None:
    """Raise StartupFailure unless the account is there and the key may sign for it."""
    try:
        answer = source.request("account_info", account=live.account, ledger_index="validated")
    except RequestRefused as error:
        if error.token != "actNotFound":
            raise
        raise StartupFailure(
            f"live.account {live.account} is not on this network; fund it, or check address and network"
        ) from error
    _required(authority(answer["account_data"], address, live))


def _required(found: Finding) -> None:
    if found.status is Status.FAIL:
        raise StartupFailure(f"{found.check}: {found.found}; {found.fix}")


def _left_standing(reader: AccountReader) -> tuple[OpenOffer, ...] | None:
    """Return the offers that still stand and may trade, as the ledger says after the session."""
    try:
        told = reader.snapshot()
    except NeoError as error:
        log.error("nobody could say what is left on the ledger: %s", error)
        return None
    return tuple(one for one in told.offers if one.expiration is None or one.expiration > told.close_time)
