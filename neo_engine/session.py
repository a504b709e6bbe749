"""What a session is made of, and the rows it begins and ends with."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import msgspec

from neo_engine import __version__
from neo_engine.config import Config, config_hash, config_json
from neo_engine.domain.capital import CapitalEvent, CapitalKind
from neo_engine.domain.errors import InvariantViolation, NeoError, StartupFailure, StateError
from neo_engine.domain.halt import Halt, HaltReason
from neo_engine.domain.ledger import FeedStart
from neo_engine.domain.number import ZERO, plain, xrp_from_drops
from neo_engine.domain.orders import Order
from neo_engine.domain.pause import Pause
from neo_engine.domain.records import Accounts, CapitalRecord, SessionEnd, SessionStart
from neo_engine.domain.today import NOTHING_YET, Today
from neo_engine.event_log import say
from neo_engine.execution.diff import cancels_of
from neo_engine.execution.tracking import Orders, orders_of
from neo_engine.fingerprint import START
from neo_engine.ops.clock import iso
from neo_engine.ops.latch import NO_LATCH, NoLatch, SessionLatch
from neo_engine.ports import (
    Clock,
    Control,
    Exchange,
    Feed,
    NoReference,
    Part,
    Patience,
    Reference,
    Signals,
    StateStore,
    Timer,
    VenueReport,
)
from neo_engine.tick import Decision, EngineState, Observation
from neo_engine.watch import NO_WATCH, Watch

DRIFT_KEY = "inventory_drift_at_shutdown"


Decide = Callable[[EngineState, Observation, Config, int], Decision]


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """What the account holds when the session starts (the opening capital events)."""

    base_drops: int
    quote: Decimal


class Adopted(msgspec.Struct, frozen=True, kw_only=True):
    """Orders of earlier sessions that this one goes on with, numbered from 1 in it.

    stored: the number here -> orders.id of the row. new: those that have no row yet.
    """

    orders: Orders
    stored: Mapping[int, int]
    new: tuple[Order, ...]


NO_REFERENCE = NoReference()
NOTHING_ADOPTED = Adopted(orders=orders_of(()), stored={}, new=())


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One session's parts, picked by bootstrap. duration_seconds: on the feed's clock, None endless.

    timer: of a live feed's silences; any other feed tells them itself, in its own time. latch: of a live
    session; any other neither sets nor heeds one. today: what the account's earlier sessions did on the UTC
    day on which this one begins. reference: another market's price. patience: with a database that fails;
    None: the session ends then. parts: what works in threads of its own. watch: whom it tells what it does.
    """

    config: Config
    feed: Feed
    feed_start: FeedStart
    exchange: Exchange
    store: StateStore
    control: Control
    clock: Clock
    signals: Signals
    mode: str
    feed_name: str
    pair: str
    account: str
    opening: Opening
    recording: str | None
    speed: str | None
    seed: int
    duration_seconds: int | None
    on_tick: Callable[[TickView], None]
    decide: Decide
    timer: Timer | None = None
    adopted: Adopted = NOTHING_ADOPTED
    hypothesis: str | None = None
    latch: SessionLatch | NoLatch = NO_LATCH
    today: Today = NOTHING_YET
    reference: Reference = NO_REFERENCE
    patience: Patience | None = None
    ending: Patience | None = None
    parts: tuple[Part, ...] = ()
    watch: Watch = NO_WATCH


class TickView(msgspec.Struct, frozen=True, kw_only=True):
    """What a viewer may show after a tick."""

    tick: int
    kind: str
    ledger_index: int
    elapsed_seconds: int
    duration_seconds: int | None
    report: VenueReport | None
    decision: Decision
    fills_total: int
    faults_total: int


class SessionResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a session ended; `summary` is its own last word, as stored."""

    session_id: int
    halt: Halt
    ticks: int
    ledgers: int
    fingerprint: str
    summary: dict[str, object]


def session_start(session: Session) -> SessionStart:
    """Return the row a session begins with."""
    return SessionStart(
        mode=session.mode,
        feed=session.feed_name,
        pair=session.pair,
        account=session.account,
        recording=session.recording,
        speed=session.speed,
        seed=session.seed,
        started_at=iso(session.clock.utc_now()),
        config_json=config_json(session.config),
        config_hash=config_hash(session.config),
        engine_version=__version__,
        pid=os.getpid(),
        hypothesis=session.hypothesis,
    )


def opening_events(opening: Opening, session_id: int, now: str) -> list[CapitalEvent]:
    """Return the capital that a session opens with; now: UTC ISO-8601."""
    parts = (("xrp", opening.base_drops, ZERO), ("quote", 0, opening.quote))
    return [
        CapitalEvent(
            request_id=f"session-{session_id}-opening-{name}",
            kind=CapitalKind.OPENING,
            base_drops=drops,
            quote=quote,
            note="balance at the start of the session",
            created_at=now,
        )
        for name, drops, quote in parts
        if drops or quote
    ]


def tell_beginning(session: Session, session_id: int) -> None:
    """Log what begins, and tell the session's watch."""
    session.watch.begun(session_id, session.pair, session.mode)
    say.info(
        "session_begins",
        "session {} begins: {} {} on the {} feed, {} XRP and {} {} in the account, seed {seed}",
        session_id,
        session.mode,
        session.pair,
        session.feed_name,
        plain(xrp_from_drops(session.opening.base_drops)),
        plain(session.opening.quote),
        session.pair.rpartition("/")[2],
        xrp=xrp_from_drops(session.opening.base_drops),
        quote=session.opening.quote,
        seed=session.seed,
    )


def tell_stopping(halt: Halt) -> None:
    """Log why the session begins to stop."""
    say.info("session_stopping", "stopping: {} ({})", halt.reason.value, halt.detail)


def tell_settled(record: CapitalRecord) -> None:
    """Log what became of money that came or went."""
    event, told = record.event, "applied" if record.applied else f"refused, {record.reason}"
    say.info(
        "capital_settled",
        "capital {} {}: {}",
        event.kind.value,
        event.request_id,
        told,
        base_drops=event.base_drops,
        quote=event.quote,
    )


def tell_ended(session_id: int, halt: Halt, *, ticks: int, ledgers: int) -> None:
    """Log the end of a session."""
    say.info(
        "session_ended",
        "session {} ended: {} ({})",
        session_id,
        halt.reason.value,
        halt.detail,
        ticks=ticks,
        ledgers=ledgers,
    )


def pause_told(pause: Pause | None) -> str:
    """Return the operator's order about quoting, for the log."""
    if pause is None:
        return "quoting goes on: the operator's pause has ended"
    return f"quoting is closed by the operator, side {pause.side}: {pause.told}"


def accounts_summary(accounts: Accounts) -> dict[str, object]:
    """Return the engine's own last word on inventory and P&L; money as text, XRP in drops."""
    return {
        "fills_base_drops": accounts.fills_base_drops,
        "fills_rlusd": plain(accounts.fills_quote),
        "overlay_base_drops": accounts.overlay_base_drops,
        "overlay_rlusd": plain(accounts.overlay_quote),
        "fees_drops": accounts.fees_drops,
        "rounding_rlusd": plain(accounts.rounding_quote),
        "cost_basis_rlusd": plain(accounts.cost_basis),
        "net_capital_rlusd": plain(accounts.net_capital),
        "realised_rlusd": plain(accounts.realised),
        "unrealised_rlusd": plain(accounts.unrealised),
        "account_value_rlusd": plain(accounts.account_value),
        "mark": None if accounts.mark is None else plain(accounts.mark),
    }


def record_failed_start(
    store: StateStore, clock: Clock, *, mode: str, feed: str, seed: int, config: Config, detail: str
) -> None:
    """Store a session that could not begin, so that the reason is on disk like any other."""
    now = iso(clock.utc_now())
    store.begin_session(
        SessionStart(
            mode=mode,
            feed=feed,
            pair="",
            account="",
            recording=None,
            speed=None,
            seed=seed,
            started_at=now,
            config_json=config_json(config),
            config_hash=config_hash(config),
            engine_version=__version__,
            pid=os.getpid(),
        )
    )
    store.end_session(
        SessionEnd(
            ended_at=now,
            halt_reason=HaltReason.STARTUP_FAILURE.value,
            halt_detail=detail,
            ticks=0,
            first_ledger=None,
            last_ledger=None,
            market_start=None,
            market_end=None,
            fingerprint=START.hex(),
            summary_json="{}",
            state={},
        )
    )


@contextmanager
def failed_start_stored(
    store: StateStore, clock: Clock, *, mode: str, feed: str, seed: int, config: Config
) -> Iterator[None]:
    """Store a start that fails inside as a session of its own, and raise it as StartupFailure.

    A StateError passes: there is nowhere to store it.
    """
    try:
        yield
    except StateError:
        raise
    except NeoError as error:
        record_failed_start(store, clock, mode=mode, feed=feed, seed=seed, config=config, detail=str(error))
        raise StartupFailure(f"{HaltReason.STARTUP_FAILURE.value}: {error}") from error


def drift(store: StateStore, accounts: Accounts | None) -> dict[str, str]:
    """Return nothing when the rows give the engine's inventory, else DRIFT_KEY with both, logged as ERROR.

    accounts: of the last tick that was stored, None before the first. Rows that cannot be written or read
    are logged: there is nothing to compare then.
    """
    if accounts is None:
        return {}
    try:
        stored = store.stored_inventory()
    except NeoError as error:
        say.error(
            "inventory_unchecked", "the last inventory could not be compared with the database: {}", error
        )
        return {}
    engine = (accounts.base_drops, accounts.quote)
    if engine == stored:
        return {}
    say.error(
        "inventory_drift",
        "inventory drift: the engine holds {}, its rows give {}; compare both with the account itself",
        _told(engine),
        _told(stored),
        engine_base_drops=engine[0],
        engine_quote=engine[1],
        stored_base_drops=stored[0],
        stored_quote=stored[1],
    )
    numbers = {
        "engine_base_drops": engine[0],
        "engine_rlusd": plain(engine[1]),
        "stored_base_drops": stored[0],
        "stored_rlusd": plain(stored[1]),
    }
    return {DRIFT_KEY: msgspec.json.encode(numbers).decode()}


def _told(inventory: tuple[int, Decimal]) -> str:
    return f"{inventory[0]} drops and {plain(inventory[1])}"


def move_capital(exchange: Exchange, decision: Decision) -> None:
    """Let applied events reach the account; the opening is there already. Raises InvariantViolation."""
    for record in decision.capital:
        event = record.event
        if record.applied and event.kind is not CapitalKind.OPENING and not event.observed:
            refusal = exchange.transfer(event)
            if refusal is not None:
                raise InvariantViolation(
                    f"capital event {event.request_id} was judged affordable, but {refusal}"
                )


def pulled_bare(exchange: Exchange, orders: Orders, ledger_index: int) -> str:
    """Cancel every order without asking anything else; return what could not be done, "" without orders."""
    cancels = cancels_of(orders, "shutdown")
    if not cancels:
        return ""
    try:
        # Urgent, so that nothing but the cancels goes out: upkeep without a row would be unknown.
        exchange.submit(exchange.prepare(cancels, ledger_index, urgent=True))
    except Exception as error:  # noqa: BLE001 - whatever is broken, the end must still be stored
        say.exception("last_cancels_failed", "the last cancels failed", cancels=len(cancels))
        return f"; {len(cancels)} orders could not be cancelled: {where(error)}"
    return f"; {len(cancels)} cancels sent without a record"


def where(error: Exception) -> str:
    """Return `Type: text (file:line)` of the innermost frame of an exception."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"
