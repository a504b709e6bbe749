"""Plays a journaled live session again: the same engine, with the journal in place of the world.

Nothing is connected and nothing is signed: every answer, ledger and signature is the journal's, and whatever
the engine asks or makes must be what the session asked and made, or the replay stops there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
from msgspec.structs import replace
from pydantic import ValidationError

from neo_engine import __version__
from neo_engine.bootstrap import REPLAY, open_state
from neo_engine.config import Config, config_hash, config_json
from neo_engine.domain.assets import Side
from neo_engine.domain.errors import FeedError
from neo_engine.domain.halt import HaltReason
from neo_engine.domain.number import ONE, ZERO
from neo_engine.domain.orders import Order, OrderStatus, PreparedTransaction, Quote
from neo_engine.domain.records import IntentRecord, SessionEnd, SessionStart
from neo_engine.execution.diff import new_order
from neo_engine.feed.journal_play import (
    Journal,
    PlayedControl,
    PlayedReference,
    PlayedSignals,
    PlayedSigner,
    PlayedSource,
    PlayedTimer,
)
from neo_engine.feed.journal_store import ENDING, PlayedPart, PlayedPatience, PlayedStore
from neo_engine.fingerprint import START
from neo_engine.inventory import accounts, empty
from neo_engine.live_left import LeftBehind
from neo_engine.live_session import FEED, LIVE, LiveOptions, World, run_session
from neo_engine.ops.clock import iso
from neo_engine.ports import Clock
from neo_engine.session import SessionResult, TickView, failed_start_stored
from neo_engine.state.manager import StateManager
from neo_engine.tick import NO_PRICING, NO_TOUCH


class _Header(msgspec.Struct, frozen=True, kw_only=True):
    """See `live_session.journal_header`."""

    config: dict[str, object]
    seed: int
    duration_seconds: int | None
    dry_run: bool
    adopt_offers: bool
    address: str
    names: tuple[str, ...]
    behind: LeftBehind


def play_journal(
    path: Path, db: Path, clock: Clock, on_tick: Callable[[Config], Callable[[TickView], None]]
) -> SessionResult:
    """Play a journal into a database and return how the session ended.

    on_tick: makes the viewer for a configuration. Raises FeedError for what is no journal, JournalMismatch
    where the engine does something else than the session did.
    """
    with closing(Journal.open(path)) as journal:
        header = _header(journal)
        config = _config(journal, header)
        options = LiveOptions(
            config=config,
            db=db,
            consent=config.live.account if config.live else "",
            endpoints=(),
            seed=header.seed,
            duration_seconds=header.duration_seconds,
            on_tick=on_tick(config),
            dry_run=header.dry_run,
            adopt_offers=header.adopt_offers,
        )
        with open_state(db, config, clock) as store:
            behind = inherit(store, header.behind, config, clock)
            with failed_start_stored(store, clock, mode=REPLAY, feed=FEED, seed=header.seed, config=config):
                result = run_session(options, _world(journal, header), behind, clock, store)
        journal.finish()
        return result.session


def inherit(store: StateManager, behind: LeftBehind, config: Config, clock: Clock) -> LeftBehind:
    """Write what the session found left by the one before, as a session of its own; return it with its rows.

    So the results that the session learned find the rows they belong to, and its report adds up. An order
    that had ended is known by its number alone: its row has no amounts.
    """
    if not behind.stored and not behind.left.in_flight:
        return behind
    working = {order.order_id: order for order in behind.orders}
    ended = {number: _ended(number) for number in behind.stored if number not in working}
    orders = {**working, **ended}
    store.begin_session(
        SessionStart(
            mode=LIVE,
            feed=FEED,
            pair="",
            account=config.live.account if config.live else "",
            recording=None,
            speed=None,
            seed=0,
            started_at=iso(clock.utc_now()),
            config_json=config_json(config),
            config_hash=config_hash(config),
            engine_version=__version__,
            pid=os.getpid(),
        )
    )
    prepared = tuple(one.prepared for one in behind.left.in_flight)
    store.commit_intent(_intent(behind.left.last_ledger, tuple(orders.values()), prepared))
    store.end_session(
        SessionEnd(
            ended_at=iso(clock.utc_now()),
            halt_reason=HaltReason.UNEXPECTED_HALT.value,
            halt_detail="what the journaled session found left; see the database it ran on",
            ticks=1,
            first_ledger=None,
            last_ledger=None,
            market_start=None,
            market_end=None,
            fingerprint=START.hex(),
            summary_json="{}",
            state={},
        )
    )
    return replace(behind, stored={number: number for number in orders})


def _ended(number: int) -> Order:
    """Return an order that had ended before: all that is known of it is its number."""
    nothing = Quote(slot="ended before", side=Side.BUY, price=ONE, base_drops=0, quote=ZERO, expiration=None)
    reason = "ended before this journal"
    return replace(new_order(number, nothing, 0), status=OrderStatus.CANCELED, failure_reason=reason)


def _intent(
    ledger_index: int, orders: tuple[Order, ...], prepared: tuple[PreparedTransaction, ...]
) -> IntentRecord:
    """Return a tick about nothing but these orders and transactions."""
    return IntentRecord(
        tick=1,
        kind="end",
        ledger_index=ledger_index,
        close_time=0,
        snapshot=None,
        transactions=(),
        fills=(),
        inventory=(),
        capital=(),
        faults=(),
        findings=(),
        pricing=NO_PRICING,
        gates=(),
        quotes=(),
        quoting="none",
        touch=NO_TOUCH,
        accounts=accounts(empty(), None),
        new_orders=orders,
        changed_orders=(),
        replaces={one.order_id: one.replaces for one in prepared if one.replaces is not None},
        prepared=prepared,
        canceled=0,
        kept=0,
        state={},
        fingerprint=START,
    )


def _world(journal: Journal, header: _Header) -> World:
    return World(
        source=PlayedSource(journal),
        signer=PlayedSigner(journal),
        address=header.address,
        names=header.names,
        control=PlayedControl(journal),
        signals=PlayedSignals(journal),
        mode=REPLAY,
        timer=lambda _start: PlayedTimer(journal),
        reference=PlayedReference(journal),
        patience=PlayedPatience(journal),
        ending=PlayedPatience(journal, ENDING),
        stored=lambda store: PlayedStore(store, journal),
        parts=lambda parts: tuple(PlayedPart(part, journal) for part in parts),
    )


def _header(journal: Journal) -> _Header:
    try:
        return msgspec.convert(journal.header, _Header, strict=False)
    except msgspec.ValidationError as error:
        raise FeedError(f"journal {journal.path}: its header is damaged ({error})") from error


def _config(journal: Journal, header: _Header) -> Config:
    try:
        return Config.model_validate(header.config)
    except ValidationError as error:
        raise FeedError(
            f"journal {journal.path}: this engine does not read its configuration "
            f"({error.error_count()} faults); play it with the engine that wrote it"
        ) from error
