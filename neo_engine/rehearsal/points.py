"""The points at which a process may die: around everything that is stored or sent.

`point` is told the name of each as it is passed. It may raise `Crash`: then the session ends there as a
killed process does, without a last word, and its database is as that process would have left it. It may
as well kill the process. What was told: `intent` is a tick's row with the transactions that follow, `submit`
one transaction on its way, `outcome` the row of the answers, `begin` and `end` the session's own row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from neo_engine.domain.records import IntentRecord, OutcomeRecord, SessionEnd, SessionStart
from neo_engine.live_session import LiveSource
from neo_engine.state.manager import StateManager
from neo_engine.xrpl.bundles import LedgerBundle
from neo_engine.xrpl.outbox import GatewayEvent
from neo_engine.xrpl.server import Json

BEGUN, ENDING, ENDED = "begin.after", "end.before", "end.after"
INTENT_BEFORE, INTENT_AFTER = "intent.before", "intent.after"
SUBMIT_BEFORE, SUBMIT_AFTER = "submit.before", "submit.after"
OUTCOME_BEFORE, OUTCOME_AFTER = "outcome.before", "outcome.after"
#: Every point, in the order in which a session passes them.
POINTS = (
    BEGUN,
    INTENT_BEFORE,
    INTENT_AFTER,
    SUBMIT_BEFORE,
    SUBMIT_AFTER,
    OUTCOME_BEFORE,
    OUTCOME_AFTER,
    ENDING,
    ENDED,
)

PAGES_MAX = 4_294_967_294  # SQLite's own limit (sqlite.org/limits.html)

Point = Callable[[str], None]


class Crash(BaseException):
    """The process is gone. No handler for errors may catch it, so it is no Exception."""


def pass_by(name: str) -> None:
    """Let every point pass."""
    del name


class WatchedStore(StateManager):
    """The database, with a point before and after what is stored."""

    point: Point = staticmethod(pass_by)

    def fill_up(self) -> None:
        """Let the disk be full: SQLite itself refuses every page that it would have to add (SQLITE_FULL)."""
        with self._lock:
            pages = self._connection.execute("PRAGMA page_count").fetchone()[0]
            self._connection.execute(f"PRAGMA max_page_count = {pages}")

    def make_space(self) -> None:
        """Let the disk have room again."""
        with self._lock:
            if not self._closed:
                self._connection.execute(f"PRAGMA max_page_count = {PAGES_MAX}")

    def begin_session(self, start: SessionStart) -> int:
        """Store the session's row."""
        session_id = super().begin_session(start)
        self.point(BEGUN)
        return session_id

    def commit_intent(self, record: IntentRecord) -> None:
        """Store a tick."""
        self.point(INTENT_BEFORE)
        super().commit_intent(record)
        self.point(INTENT_AFTER)

    def commit_outcome(self, record: OutcomeRecord) -> None:
        """Store the answers of a tick."""
        self.point(OUTCOME_BEFORE)
        super().commit_outcome(record)
        self.point(OUTCOME_AFTER)

    def end_session(self, end: SessionEnd) -> None:
        """Store how the session ended."""
        self.point(ENDING)
        super().end_session(end)
        self.point(ENDED)


class WatchedSource:
    """The gateway, with a point before and after each transaction sent, when its answer is not heard yet."""

    def __init__(self, source: LiveSource, point: Point) -> None:
        self._source = source
        self._point = point

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def start(self) -> None:
        """Connect and subscribe. Raises StartupFailure."""
        self._source.start()

    def next(self, timeout_seconds: float) -> LedgerBundle | GatewayEvent | None:
        """Return the next ledger or event, None when the time limit passed first."""
        return self._source.next(timeout_seconds)

    def request(self, command: str, *, timeout_seconds: float = 10.0, **parameters: Any) -> Json:
        """Return the result of the answer. Raises RequestRefused or RequestLost."""
        return self._source.request(command, timeout_seconds=timeout_seconds, **parameters)

    def begin(self, command: str, *, timeout_seconds: float = 10.0, **parameters: Any) -> Callable[[], Json]:
        """Have a request sent, as `Pipeline` says."""
        if command != "submit":
            return self._source.begin(command, timeout_seconds=timeout_seconds, **parameters)
        self._point(SUBMIT_BEFORE)
        begun = self._source.begin(command, timeout_seconds=timeout_seconds, **parameters)
        self._point(SUBMIT_AFTER)
        return begun

    def close(self) -> None:
        """Release everything; may be called twice."""
        self._source.close()
