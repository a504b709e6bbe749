"""The edges as the core and the shell see them: Protocols only, no implementation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

import msgspec

from neo_engine.domain.account_findings import AccountFinding
from neo_engine.domain.capital import CapitalEvent
from neo_engine.domain.fills import Fill
from neo_engine.domain.halt import HaltReason
from neo_engine.domain.headroom import FULL, Headroom
from neo_engine.domain.ledger import FeedEnd, FeedSilence, FeedStart, LedgerFault, LedgerUpdate
from neo_engine.domain.link import Link
from neo_engine.domain.market import AccountView, MarketSnapshot
from neo_engine.domain.orders import (
    Command,
    OrderUpdate,
    PreparedTransaction,
    SubmitOutcome,
    TransactionOutcome,
)
from neo_engine.domain.pause import Pause
from neo_engine.domain.records import IntentRecord, OutcomeRecord, SessionEnd, SessionStart
from neo_engine.domain.reference import ReferencePrice

FeedItem = LedgerUpdate | LedgerFault | FeedSilence | FeedEnd


class Clock(Protocol):
    """Wall and monotonic time, and waiting; a simulated one makes a run deterministic."""

    def utc_now(self) -> datetime:
        """Return the wall clock's time in UTC."""

    def monotonic(self) -> float:
        """Return seconds that never go backwards."""

    def sleep(self, seconds: float) -> None:
        """Wait, or pretend to."""


class Timer(Protocol):
    """Notices that a live feed gave no ledger for an interval."""

    def ledger(self, close_time: int) -> None:
        """Start again: a ledger closed at `close_time` has just come."""

    def due(self) -> int | None:
        """Return the feed's time now if another interval has passed without a ledger, else None."""


class Part(Protocol):
    """Something of the session that works in a thread of its own. reason: of the halt when it cannot."""

    @property
    def name(self) -> str:
        """What it is called in the log."""

    @property
    def reason(self) -> HaltReason:
        """Why the session ends when it is beyond help."""

    def failure(self) -> str:
        """Return why it does not work any more, "" while it does."""

    def restart(self) -> None:
        """Begin anew."""


class Patience(Protocol):
    """How long an outage of the database or the end of a session may last, and the waiting in it."""

    def begin(self) -> None:
        """It begins now."""

    def wait(self, seconds: float) -> None:
        """Wait, or pretend to."""

    def spent(self) -> bool:
        """Return True once it has lasted too long."""


class Signals(Protocol):
    """The signals of the system that ask the process to end."""

    @property
    def reason(self) -> HaltReason | None:
        """The reason of the first signal that came."""

    @property
    def name(self) -> str:
        """Its name, e.g. SIGINT."""

    @property
    def hurry(self) -> bool:
        """True once a second signal came."""


class Feed(Protocol):
    """Where validated ledgers come from: recorded, simulated or live."""

    def start(self) -> FeedStart:
        """Open the source. Raises FeedError when it cannot be used at all."""

    def next(self, timeout_seconds: float) -> FeedItem | None:
        """Return the next item, or None when the time limit passed first (the wall clock's)."""

    def request_resync(self) -> None:
        """Ask for the server's own lists with the next ledger that has them: the market was lost."""

    @property
    def link(self) -> Link:
        """How it is connected, as the last `next()` left it; CONNECTED where there is nothing to lose."""

    def close(self) -> None:
        """Release every file, socket and thread; may be called twice."""


class Reference(Protocol):
    """What another market says the pair is worth."""

    def price(self, at: int) -> ReferencePrice | None:
        """Return its newest price that is not later than `at` (seconds since 2000-01-01), None without one.

        `at` never falls from call to call by more than the clocks of two markets differ.
        """

    def close(self) -> None:
        """Release its file; may be called twice."""


class NoReference:
    """No other market: `depeg` has nothing to say."""

    def price(self, at: int) -> ReferencePrice | None:  # noqa: ARG002 - the port's argument
        """Return None."""
        return None

    def close(self) -> None:
        """Nothing is held."""


class VenueReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a validated ledger did: to the market and to us.

    faults: what was wrong in the ledger itself. findings: what it did to our account besides. headroom: what
    the venue has left for us.
    """

    snapshot: MarketSnapshot
    transactions: tuple[TransactionOutcome, ...]
    order_updates: tuple[OrderUpdate, ...]
    fills: tuple[Fill, ...]
    account: AccountView
    faults: tuple[LedgerFault, ...]
    findings: tuple[AccountFinding, ...] = ()
    headroom: Headroom = FULL


class Exchange(Protocol):
    """Where our orders go and where their fate is read: the paper exchange or the live executor."""

    def advance(self, update: LedgerUpdate) -> VenueReport:
        """Apply one validated ledger and report the market after it and what happened to our orders."""

    def prepare(
        self, commands: Sequence[Command], ledger_index: int, *, urgent: bool = False
    ) -> tuple[PreparedTransaction, ...]:
        """Return the transactions that carry out `commands`, signed and numbered, nothing sent.

        Called every tick, also without commands: the exchange may have upkeep of its own. urgent: the
        session is ending, so nothing may wait and nothing is made ready for later.
        """

    def submit(self, prepared: Sequence[PreparedTransaction]) -> tuple[SubmitOutcome, ...]:
        """Send them, in order, and return the preliminary answers."""

    def withdraw(self, prepared: Sequence[PreparedTransaction]) -> None:
        """Take back the last `prepare`: none of it was sent and none ever will be. Its numbers are free."""

    def transfer(self, event: CapitalEvent) -> str | None:
        """Let a capital event reach the account; return why it cannot, or None when it has."""

    def end_of_market(self) -> tuple[OrderUpdate, ...]:
        """Say what becomes of the orders that still work when no further ledger will come."""

    def close(self) -> None:
        """Release everything; may be called twice."""


class StateStore(Protocol):
    """The state manager as the shell uses it."""

    def begin_session(self, start: SessionStart) -> int:
        """Store the session's row and return its id."""

    def adopt_order(self, order_id: int, stored_id: int) -> None:
        """Let the session's order `order_id` mean the row `stored_id` of an earlier session."""

    def commit_intent(self, record: IntentRecord) -> None:
        """Store a tick, whole or not at all, before its transactions are sent."""

    def commit_outcome(self, record: OutcomeRecord) -> None:
        """Store what the submits answered."""

    def end_session(self, end: SessionEnd) -> None:
        """Store how the session ended."""

    def abandon_session(self, end: SessionEnd) -> str:
        """Store the end of a session whose last rows cannot be written: drop them, close with the others.

        Returns the halt detail as stored: with the count of ticks lost.
        """

    def waiting_capital(self) -> tuple[CapitalEvent, ...]:
        """Return the capital events that no session has taken up yet, oldest first."""

    def settled_capital(self) -> frozenset[str]:
        """Return the request ids of capital events that were applied or refused already."""

    def stored_inventory(self) -> tuple[int, Decimal]:
        """Return the session's inventory (XRP drops, token), summed anew from its rows on disk."""

    def flush(self) -> None:
        """Commit what a group commit still holds back."""

    def close(self) -> None:
        """Stop the checkpoint thread, empty the WAL and close the file; may be called twice."""


class KillRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The operator asked to stop at once; source is file, signal or command."""

    source: str
    reason: str


class PauseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's order about quoting changed; pause: the one in force now, None when there is none."""

    pause: Pause | None


ControlRequest = KillRequest | PauseRequest | CapitalEvent


class Control(Protocol):
    """What the operator asks of a running session from outside."""

    def poll(self) -> tuple[ControlRequest, ...]:
        """Return the requests that arrived since the last call."""

    def done(self, request: ControlRequest) -> None:
        """Acknowledge a request whose effect is on disk."""
