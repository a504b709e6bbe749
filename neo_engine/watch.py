"""What a session tells of itself while it runs: to its log, to a person (alerts), to the service manager.

The main loop makes one call a tick and one at the end. Nothing in here decides anything, waits for anything
or raises: what cannot be told is counted and logged by the part that could not.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

from neo_engine import alerting
from neo_engine.config import Config
from neo_engine.domain.alerts import Alert
from neo_engine.domain.errors import NeoError, StartupFailure, StateError
from neo_engine.domain.halt import Halt
from neo_engine.domain.number import xrp_from_drops
from neo_engine.event_log import say
from neo_engine.ops.alert_sinks import sinks_of
from neo_engine.ops.alerts import Alerts
from neo_engine.ops.logs import LogContext, session_logging
from neo_engine.ops.notify import Notifier
from neo_engine.tick_values import Decision, Observation


class Watch(Protocol):
    """Whom a session tells."""

    def begun(self, session_id: int, pair: str, mode: str) -> None:
        """A session has begun."""

    def tick(self, seen: Observation, decision: Decision) -> None:
        """A tick was decided; nothing of it is stored or sent yet."""

    def database(self, error: StateError) -> None:
        """A commit failed; it may be tried again."""

    def ended(self, halt: Halt, drift: str | None) -> None:
        """The session has ended. drift: both inventories, when they differ."""


class NoWatch:
    """Tells nobody: replays, tests."""

    def begun(self, session_id: int, pair: str, mode: str) -> None:
        """Do nothing."""

    def tick(self, seen: Observation, decision: Decision) -> None:
        """Do nothing."""

    def database(self, error: StateError) -> None:
        """Do nothing."""

    def ended(self, halt: Halt, drift: str | None) -> None:
        """Do nothing."""


NO_WATCH = NoWatch()


class SessionWatch:
    """Tells log, alerts and service manager."""

    def __init__(self, context: LogContext, alerts: Alerts, notifier: Notifier) -> None:
        self._context = context
        self._alerts = alerts
        self._notifier = notifier
        self._pulled: frozenset[str] = frozenset()
        self._halt_told = False
        self._stopping = False

    def begun(self, session_id: int, pair: str, mode: str) -> None:
        """Note the session in every line from here on, and tell that it runs."""
        self._context.begin(session_id, pair)
        self._raise(alerting.of_begin(session_id, pair, mode))
        self._notifier.ready(f"session {session_id} on {pair}")

    def tick(self, seen: Observation, decision: Decision) -> None:
        """Note the tick in every line from here on, tell what follows from it, and feed the watchdog."""
        self._context.at(decision.state.tick, seen.ledger_index)
        if say.debugs:
            _say_tick(seen, decision)
        for alert in alerting.of_tick(seen, decision, self._pulled):
            self._raise(alert)
        self._pulled = alerting.pulled_after(decision, self._pulled)
        if decision.halt is not None:
            self._halt_told = True
        self._notifier.alive(f"tick {decision.state.tick}, ledger {seen.ledger_index}, {decision.quoting}")
        if decision.state.stopping is not None and not self._stopping:
            self._stopping = True
            self._notifier.stopping(decision.state.stopping.reason.value)

    def database(self, error: StateError) -> None:
        """Tell that a commit failed; the loop lives, so the watchdog is fed."""
        self._raise(alerting.of_database(str(error)))
        self._notifier.alive(f"the database fails: {error}")

    def ended(self, halt: Halt, drift: str | None) -> None:
        """Tell how the session ended."""
        for alert in alerting.of_end(halt, drift, halt_told=self._halt_told):
            self._raise(alert)
        if not self._stopping:
            self._notifier.stopping(halt.reason.value)

    def failed(self, error: NeoError) -> None:
        """Tell that the session could not begin."""
        self._raise(alerting.of_failed_start(str(error)))

    def _raise(self, alert: Alert) -> None:
        say.debug("alert", "alert {}: {}", alert.kind, alert.text)
        context = self._context
        where = {
            "session": context.session,
            "tick": context.tick,
            "ledger": context.ledger,
            "pair": context.pair,
        }
        self._alerts.raise_alert(alert, {name: value for name, value in where.items() if value is not None})


def _say_tick(seen: Observation, decision: Decision) -> None:
    accounts = decision.accounts
    say.debug(
        "tick",
        "tick {}, ledger {}: {}, quoting {}; gates: {}",
        decision.state.tick,
        seen.ledger_index,
        seen.kind,
        decision.quoting,
        ", ".join(f"{gate.name} ({gate.side})" for gate in decision.gates) or "none",
        anchor=decision.pricing.anchor,
        half_spread_bps=decision.pricing.half_spread_bps,
        gates=len(decision.gates),
        commands=len(decision.commands),
        fills=len(decision.fills),
        inventory_xrp=xrp_from_drops(accounts.base_drops),
        inventory_rlusd=accounts.quote,
        account_value_rlusd=accounts.account_value,
    )


@contextmanager
def watched(config: Config, db: Path, *, quiet: bool, alerts: bool = True) -> Iterator[Watch]:
    """Set up what a session on `db` tells and to whom, and take all of it down however the block ends.

    alerts: False for a session that is only repeated. Raises StartupFailure when the webhook's address cannot
    be had. A start that fails in the block is told before it goes on; what the operator typed wrong is not.
    """
    with session_logging(config.log, db, quiet=quiet) as context:
        key_source = None if config.live is None else config.live.key_source
        sinks = sinks_of(config.alerts, key_source, os.environ) if alerts else ()
        with closing(Alerts(config.alerts, sinks)) as sender:
            watch = SessionWatch(context, sender, Notifier(os.environ if alerts else {}))
            try:
                yield watch
            except (StartupFailure, StateError) as error:
                say.error("session_failed", "{}", error)
                watch.failed(error)
                raise
