"""The shell: startup, tick, shutdown. It reads the world, calls `decide`, persists and submits.

Invariants:
1. Nothing is submitted before its intent is committed; the answers are committed right after.
2. There is one shutdown path (`_finish`) and it runs once, whatever ended the session.
3. From the moment a session is asked to stop it only cancels; it waits for the venue to confirm, but not
   for ever (`ending.py`), and says what was left.
4. A tick that cannot be stored is tried again with every quote pulled (`outage.py`); no other is made before
   it is on disk. When patience is spent, it is the last one and the reason is `state_failure`.
5. While a live feed gives no ledger, a tick is made every `engine.tick_interval_seconds` of the clock,
   so that a stale market is noticed. Any other feed tells its silences itself, in its own time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec
from msgspec.structs import replace

from neo_engine.asked import Asked
from neo_engine.domain.clock import utc_text
from neo_engine.domain.errors import FeedError, InvariantViolation, NeoError, StartupFailure, StateError
from neo_engine.domain.halt import Halt, HaltReason
from neo_engine.domain.ledger import FeedEnd, FeedSilence, LedgerFault, LedgerUpdate
from neo_engine.domain.orders import Order, OrderUpdate, PreparedTransaction, SubmitOutcome
from neo_engine.domain.records import FeedFaultRecord, IntentRecord, OutcomeRecord, SessionEnd
from neo_engine.ending import Ending
from neo_engine.event_log import say
from neo_engine.execution.tracking import Orders, prepared, submitted
from neo_engine.fault_lines import FaultLines
from neo_engine.fingerprint import extend
from neo_engine.loop_records import Progress, intent_record
from neo_engine.ops.clock import Countdown, iso
from neo_engine.outage import POLL_SECONDS, Commits, SentBare
from neo_engine.ports import FeedItem, VenueReport
from neo_engine.session import (
    DRIFT_KEY,
    Session,
    SessionResult,
    TickView,
    accounts_summary,
    drift,
    move_capital,
    opening_events,
    pulled_bare,
    session_start,
    tell_beginning,
    tell_ended,
    tell_settled,
    tell_stopping,
    where,
)
from neo_engine.supervision import Supervision
from neo_engine.telemetry import TouchTelemetry
from neo_engine.tick import Decision, Observation, initial_state, withheld


class MainLoop:
    """Runs one session from its first ledger to its typed end."""

    def __init__(self, session: Session) -> None:
        self._s = session
        start = session.feed_start
        self._start_time = start.close_time
        self._timer = session.timer
        self._state = initial_state(session.config, self._start_time, session.adopted.orders, session.today)
        self._session_id = 0
        self._n = Progress(last_close_time=self._start_time)
        self._touch = TouchTelemetry()
        self._touch_summary = self._touch.summary()
        self._decision: Decision | None = None
        self._unstored: Observation | None = None  # what a tick saw, until its rows are on disk
        self._asked = Asked(session.control, session.signals)
        self._ending = Ending(session.config.engine, session.signals, session.ending)
        self._supervision = Supervision(session.parts)
        self._fault_lines = FaultLines()
        self._fallen: Halt | None = None  # a part of the session that is beyond help
        self._owed: list[OutcomeRecord] = []  # answers that could not be stored: they go before any other row
        self._unrecorded = 0  # cancels that were sent and accepted, and whose intent is not on disk yet
        self._patient = True  # False once the session's end is being stored: that must not take for ever
        self._commits = Commits(
            session.patience or Countdown(session.clock, 0),
            failed=session.watch.database,
            ended=lambda: self._asked.hurried() or self._ending.late(),
        )

    def run(self) -> SessionResult:
        """Run the session to its end and return how it ended; only startup failures are raised.

        Raises StartupFailure when the session's row or its opening cannot be stored.
        """
        self._begin()
        try:
            halt = self._loop()
        except StateError as error:
            say.error("database_failed", "the database failed: {}", error)
            halt = self._failed(HaltReason.STATE_FAILURE, str(error))
        except FeedError as error:
            say.error("feed_failed", "the feed failed: {}", error)
            halt = self._failed(HaltReason.RISK_GATEWAY_UNHEALTHY, str(error))
        except NeoError as error:
            say.error("session_given_up", "the session cannot go on: {}", error)
            halt = self._failed(HaltReason.ENGINE_REQUESTED_HALT, str(error))
        except Exception as error:  # noqa: BLE001 - the one net under the session: typed, logged, exit code 1
            say.exception("unexpected_halt", "unexpected: the session ends")
            halt = self._failed(HaltReason.UNEXPECTED_HALT, where(error))
        return self._finish(halt)

    def _failed(self, reason: HaltReason, detail: str) -> Halt:
        """Return the halt for what broke the session, naming what it was stopping for, if it was."""
        before = self._state.stopping
        told = f"{detail}; while stopping: {before.reason.value}" if before else detail
        return Halt(reason=reason, detail=told)

    # startup

    def _begin(self) -> None:
        s = self._s
        now = iso(s.clock.utc_now())
        try:
            self._session_id = s.store.begin_session(session_start(s))
            for order_id, stored_id in s.adopted.stored.items():
                s.store.adopt_order(order_id, stored_id)
            waiting = s.store.waiting_capital()
            self._asked.known = {*s.store.settled_capital(), *(event.request_id for event in waiting)}
        except StateError as error:
            raise StartupFailure(str(error)) from error
        self._asked.waiting.extend((*opening_events(s.opening, self._session_id, now), *waiting))
        tell_beginning(s, self._session_id)

    # ticks

    def _loop(self) -> Halt:
        while True:
            item = self._s.feed.next(POLL_SECONDS)
            self._asked.listen()
            self._fallen = self._fallen or self._supervision.look()
            if isinstance(item, FeedEnd):
                return self._end_of_feed()
            if item is not None:
                self._tick(self._observe(item))
            elif self._urgent():
                self._tick(self._silence(self._n.last_close_time))
            while self._owed:  # what was sent may stand: the next tick stores the answers, or pulls
                self._tick(self._silence(self._n.last_close_time))
            if not isinstance(item, LedgerUpdate):
                self._notice_silence()
            if self._wound_down():
                break
        stopping = self._state.stopping
        if stopping is None:  # _wound_down is only true when it is set
            raise StateError("the session wound down without a reason")
        self._end_of_market(stopping)
        return stopping

    def _notice_silence(self) -> None:
        """Make the tick of an interval in which a live feed gave no ledger."""
        now = self._timer.due() if self._timer is not None else None
        if now is not None:
            self._ending.ledger()
            self._tick(self._silence(now))

    def _stop(self, close_time: int) -> Halt | None:
        s = self._s
        asked = self._asked.stop or self._fallen
        if asked is not None:
            return asked
        elapsed = close_time - self._start_time
        if s.duration_seconds is not None and elapsed >= s.duration_seconds:
            return Halt(reason=HaltReason.DURATION_ELAPSED, detail=f"{elapsed} s of market time")
        return None

    def _urgent(self) -> bool:
        """True when a stop was asked for that no tick has taken up yet: it must not wait for a ledger."""
        return self._state.stopping is None and (self._asked.stop is not None or self._fallen is not None)

    def _wound_down(self) -> bool:
        stopping = self._state.stopping is not None
        return stopping and (not self._state.orders.working or bool(self._ending.over()))

    def _observe(self, item: FeedItem) -> Observation:
        if isinstance(item, LedgerUpdate):
            return self._ledger(item)
        if isinstance(item, LedgerFault):
            return self._observation("fault", self._n.last_close_time, faults=(self._note(item),))
        if isinstance(item, FeedSilence):
            return self._silence(item.close_time)
        raise StateError(f"the feed gave {item!r}, which is no tick")

    def _ledger(self, update: LedgerUpdate) -> Observation:
        n = self._n
        report = self._s.exchange.advance(update)
        n.ledgers += 1
        n.first_ledger = n.first_ledger or update.ledger_index
        n.last_ledger = update.ledger_index
        n.last_close_time = update.close_time
        if self._timer is not None:
            self._timer.ledger(update.close_time)
        if not update.overtaken:
            self._ending.ledger()
        if report.faults:
            self._s.feed.request_resync()
        faults = tuple(self._note(fault) for fault in report.faults)
        seen = self._observation("ledger", update.close_time, report=report, faults=faults)
        return replace(seen, overtaken=True) if update.overtaken else seen

    def _note(self, fault: LedgerFault) -> FeedFaultRecord:
        self._fault_lines.tell(fault, self._n.last_close_time)
        return FeedFaultRecord(kind=fault.kind.value, line=fault.line or None, detail=fault.text)

    def _silence(self, close_time: int) -> Observation:
        self._n.last_close_time = max(self._n.last_close_time, close_time)
        return self._observation("silence", self._n.last_close_time)

    def _observation(
        self,
        kind: str,
        close_time: int,
        *,
        report: VenueReport | None = None,
        order_updates: tuple[OrderUpdate, ...] = (),
        faults: tuple[FeedFaultRecord, ...] = (),
    ) -> Observation:
        return Observation(
            kind=kind,
            ledger_index=self._n.last_ledger or self._s.feed_start.ledger_index,
            close_time=close_time,
            report=report,
            order_updates=order_updates,
            faults=faults,
            capital=self._asked.take_capital(),
            stop=self._stop(close_time),
            pause=self._asked.pause,
            link=self._s.feed.link,
            reference=self._s.reference.price(close_time),
        )

    def _tick(self, seen: Observation) -> None:
        s = self._s
        self._unstored = seen
        decision = s.decide(self._state, seen, s.config, seen.close_time)
        # What the session stops for already was noted, unless it is a monitor's that passes by itself.
        s.latch.note(None if seen.stop == self._state.stopping else seen.stop, decision.readings)
        s.watch.tick(seen, decision)
        move_capital(s.exchange, decision)
        stopping = decision.state.stopping is not None
        if stopping:
            self._ending.begin()
        transactions = s.exchange.prepare(decision.commands, seen.ledger_index, urgent=stopping)
        numbered = prepared(decision.state.orders, transactions, seen.ledger_index)
        touch = self._touch.with_tick(decision.touch)
        try:
            record = self._intent(seen, decision, transactions, numbered.changed, touch)
            self._commits.at_once(partial(self._commit, record))
        except Exception as error:
            # None of it was sent: its numbers are free, or what is sent next waits behind them for ever.
            s.exchange.withdraw(transactions)
            if not isinstance(error, StateError) or not self._patient:
                raise
            decision = self._outage(seen, error)
        else:
            self._touch = touch
            self._committed(seen, record, decision, numbered.orders)
            self._acknowledge(decision)
            orders = self._send(seen, decision, numbered.orders, transactions)
            self._state = replace(decision.state, orders=orders)
        if decision.halt is not None:
            tell_stopping(decision.halt)
        s.on_tick(
            TickView(
                tick=decision.state.tick,
                kind=seen.kind,
                ledger_index=seen.ledger_index,
                elapsed_seconds=seen.close_time - self._start_time,
                duration_seconds=s.duration_seconds,
                report=seen.report,
                decision=decision,
                fills_total=self._n.fills,
                faults_total=self._n.faults,
            )
        )

    def _commit(self, record: IntentRecord, sent: SentBare | None = None) -> None:
        """Store a tick after the answers owed; sent: its cancels, gone ahead. Raises StateError."""
        if sent is not None:
            sent.repeat()
        while self._owed:
            self._s.store.commit_outcome(self._owed[0])
            del self._owed[0]
        self._s.store.commit_intent(record)

    def _outage(self, seen: Observation, error: StateError) -> Decision:
        """Pull every quote of a tick that cannot be stored, and store that once the database works again.

        The one place where an act precedes its intent: a cancel can only lessen what stands, and waiting for
        the disk would leave the quotes in the book. Raises StateError when it is waited for no longer.
        """
        s = self._s
        self._commits.begin(error)
        decision = withheld(self._state, seen, s.config, seen.close_time, why=str(error))
        cancels = s.exchange.prepare(decision.commands, seen.ledger_index, urgent=True)
        numbered = prepared(decision.state.orders, cancels, seen.ledger_index)
        sent = SentBare(s.exchange, cancels)
        self._unrecorded = len(cancels) if sent.accepted else 0
        touch = self._touch.with_tick(decision.touch)
        record = self._intent(seen, decision, cancels, numbered.changed, touch)
        self._commits.patiently(partial(self._commit, record, sent), error)
        self._touch, self._unrecorded = touch, 0
        if self._timer is not None:
            self._timer.ledger(self._n.last_close_time)  # nobody listened: the silence is counted anew
        self._committed(seen, record, decision, numbered.orders)
        self._acknowledge(decision)
        orders = self._answered(seen, decision, numbered.orders, sent.outcomes)
        self._state = replace(decision.state, orders=orders)
        return decision

    def _committed(self, seen: Observation, record: IntentRecord, decision: Decision, orders: Orders) -> None:
        """Take over what is on disk now, so that the session's last word never says more than its rows."""
        n = self._n
        n.fingerprint = record.fingerprint
        n.fills += len(decision.fills)
        n.faults += len(seen.faults)
        self._touch_summary = self._touch.summary()
        self._decision, self._unstored = decision, None
        self._state = replace(decision.state, orders=orders)

    def _acknowledge(self, decision: Decision) -> None:
        """Tell the operator's side which capital events are on disk now."""
        if not decision.capital:
            return
        self._store(self._s.store.flush)
        for record in decision.capital:
            tell_settled(record)
            self._asked.known.add(record.event.request_id)
            self._s.control.done(record.event)

    def _intent(
        self,
        seen: Observation,
        decision: Decision,
        transactions: tuple[PreparedTransaction, ...],
        numbered: tuple[Order, ...],
        touch: TouchTelemetry,
    ) -> IntentRecord:
        adopted = self._s.adopted.new if decision.state.tick == 1 else ()
        return intent_record(
            seen,
            decision,
            prepared=transactions,
            numbered=numbered,
            adopted=adopted,
            state=self._telemetry(decision, touch),
            fingerprint=extend(self._n.fingerprint, seen, decision),
        )

    def _telemetry(self, decision: Decision, touch: TouchTelemetry) -> dict[str, str]:
        return {
            "touch.rolling": touch.rolling_json(),
            "tick.last": str(decision.state.tick),
            "gates.last": ", ".join(f"{gate.name} ({gate.side})" for gate in decision.gates),
            **self._s.latch.rows(),
        }

    def _store(self, action: Callable[[], None]) -> None:
        """Run a commit that holds nothing up but the session's going on."""
        try:
            self._commits.at_once(action)
        except StateError as error:
            if not self._patient:
                raise
            self._commits.begin(error)
            self._commits.patiently(action, error)

    def _send(
        self,
        seen: Observation,
        decision: Decision,
        orders: Orders,
        transactions: tuple[PreparedTransaction, ...],
    ) -> Orders:
        """Submit what is on disk and commit the answers; return the orders after them."""
        outcomes = self._s.exchange.submit(transactions) if transactions else ()
        return self._answered(seen, decision, orders, outcomes)

    def _answered(
        self, seen: Observation, decision: Decision, orders: Orders, outcomes: tuple[SubmitOutcome, ...]
    ) -> Orders:
        """Commit what the submits answered and return the orders after it.

        What cannot be stored is owed: it goes before the next tick, which pulls where it fails as well.
        """
        if not outcomes:
            return orders
        answered = submitted(orders, outcomes)
        record = OutcomeRecord(
            tick=decision.state.tick,
            close_time=seen.close_time,
            outcomes=outcomes,
            changed_orders=answered.changed,
        )
        try:
            self._commits.at_once(lambda: self._s.store.commit_outcome(record))
        except StateError:
            if not self._patient:
                raise
            self._owed.append(record)
        return answered.orders

    # shutdown

    def _end_of_feed(self) -> Halt:
        stopping = self._state.stopping or Halt(reason=HaltReason.RECORDING_ENDED, detail="no further ledger")
        self._end_of_market(stopping)
        return stopping

    def _end_of_market(self, stopping: Halt) -> None:
        """Give the last word on orders that still work, as one more tick."""
        updates = self._s.exchange.end_of_market()
        seen = self._observation("end", self._n.last_close_time, order_updates=updates)
        self._tick(replace(seen, stop=stopping))

    def _pull(self, halt: Halt) -> str:
        """Take a last tick that only cancels; return what is left, and what could not be done.

        It sees again what the tick before could not store: a row of that ledger without its fills would hide
        them. Where it fails too, bare cancels go out: an offer that stands unwatched is worse than no row.
        """
        if self._unrecorded:
            return f"; {self._unrecorded} cancels sent without a record"
        silence = self._silence(self._n.last_close_time)
        for seen in (self._unstored, silence) if self._unstored else (silence,):
            try:
                self._tick(replace(seen, stop=halt))
            except Exception as error:  # noqa: BLE001 - whatever is broken, the end must still be stored
                say.error("last_cancels_unstored", "the last cancels could not be stored: {}", where(error))
                if isinstance(error, StateError):
                    break  # the database has had its three tries, and quotes must not wait for more
            else:
                return self._ending.left(len(self._state.orders.working))
        return pulled_bare(self._s.exchange, self._state.orders, silence.ledger_index)

    def _finish(self, halt: Halt) -> SessionResult:
        """The one shutdown path: pull what is left, store the end, release everything."""
        s, n = self._s, self._n
        self._patient = False
        detail = halt.detail + (self._pull(halt) if self._state.orders.working else "")
        s.latch.note(self._stop(n.last_close_time))
        apart = drift(s.store, None if self._decision is None else self._decision.accounts)
        summary = {**self._summary(), **apart}
        end = SessionEnd(
            ended_at=iso(s.clock.utc_now()),
            halt_reason=halt.reason.value,
            halt_detail=detail,
            ticks=self._state.tick,
            first_ledger=n.first_ledger,
            last_ledger=n.last_ledger,
            market_start=utc_text(self._start_time),
            market_end=utc_text(n.last_close_time),
            fingerprint=n.fingerprint.hex(),
            summary_json=msgspec.json.encode(summary).decode(),
            state={"touch.rolling": self._touch.rolling_json(), **apart, **s.latch.rows()},
        )
        try:
            self._store(lambda: s.store.end_session(end))
        except (StateError, InvariantViolation) as error:
            say.error("session_end_unstored", "the end of the session could not be stored: {}", error)
            detail = self._give_up(end)
        if self._asked.kill is not None:
            s.control.done(self._asked.kill)
        tell_ended(self._session_id, replace(halt, detail=detail), ticks=self._state.tick, ledgers=n.ledgers)
        s.watch.ended(replace(halt, detail=detail), apart.get(DRIFT_KEY))
        return SessionResult(
            session_id=self._session_id,
            halt=replace(halt, detail=detail),
            ticks=self._state.tick,
            ledgers=n.ledgers,
            fingerprint=n.fingerprint.hex(),
            summary=summary,
        )

    def _give_up(self, end: SessionEnd) -> str:
        """Close the session with what is on disk already and return the halt detail with what is lost."""
        try:
            return self._s.store.abandon_session(end)
        except (StateError, InvariantViolation) as error:
            say.error(
                "session_left_open",
                "the session stays open in the database, the next one closes it: {}",
                error,
            )
            self._asked.kill = None  # its file stays, as it may be all that is left of it
            return f"{end.halt_detail}; this end could not be stored"

    def _summary(self) -> dict[str, object]:
        if self._decision is None:
            return {}
        counts = {"fills": self._n.fills, "feed_faults": self._n.faults, "touch": self._touch_summary}
        return accounts_summary(self._decision.accounts) | counts
