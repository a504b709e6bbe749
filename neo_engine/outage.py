"""Waiting for a database that cannot be written: full disk, lost permission, a lock, a file that is gone.

1. A commit is tried a few times at once. What still fails is an outage. It lasts until a commit succeeds or
   patience (`state.outage_halt_seconds`) is spent; then the commit's StateError goes on its way.
2. Between two attempts the wait doubles, from OUTAGE_FIRST_SECONDS to OUTAGE_MOST_SECONDS: long enough for a
   disk in trouble, short enough that the session goes on soon after it is mended.
3. Operator and signals are heard all the while. A kill or a second signal ends the waiting; a first signal
   does not, as what is not stored yet would be lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from neo_engine.domain.errors import StateError
from neo_engine.domain.orders import PreparedTransaction, SubmitClass
from neo_engine.event_log import say
from neo_engine.ports import Exchange, Patience

POLL_SECONDS = 0.25  # how long a signal or a kill file can wait while the feed or the database is quiet
STORE_RETRIES = 3  # a locked database or a full disk may pass; more only delays pulling the quotes
STORE_RETRY_SECONDS = 0.5
OUTAGE_FIRST_SECONDS = 0.5
OUTAGE_MOST_SECONDS = 30.0


class Commits:
    """Makes commits, at once or with patience.

    failed: told of each that fails. ended: asked while waiting; says why the waiting must end, "" to go on.
    """

    def __init__(
        self, patience: Patience, *, failed: Callable[[StateError], None], ended: Callable[[], str]
    ) -> None:
        self._patience = patience
        self._failed = failed
        self._ended = ended
        self.outages = 0

    def at_once(self, action: Callable[[], None]) -> None:
        """Run a commit; a passing fault (locked, full) is tried again. Raises the last StateError."""
        for attempt in range(1, STORE_RETRIES + 1):
            try:
                return action()
            except StateError as error:
                self._failed(error)
                if attempt == STORE_RETRIES:
                    raise
                say.error(
                    "commit_failed",
                    "commit failed ({attempt} of {attempts_max}): {}",
                    error,
                    attempt=attempt,
                    attempts_max=STORE_RETRIES,
                )
                self._patience.wait(STORE_RETRY_SECONDS)
        return None

    def begin(self, error: StateError) -> None:
        """An outage begins. Raises `error` where none is waited for."""
        self._patience.begin()
        if self._patience.spent():
            raise error
        self.outages += 1
        say.error(
            "database_outage_begins", "the database fails, quotes are pulled until it works again: {}", error
        )

    def patiently(self, action: Callable[[], None], error: StateError) -> None:
        """Run a commit again and again after `begin`. Raises StateError when the waiting must end."""
        seconds, attempts = OUTAGE_FIRST_SECONDS, 0
        while True:
            self._wait(seconds, error)
            attempts += 1
            try:
                action()
            except StateError as again:
                error = again
                self._failed(error)
                say.error(
                    "database_outage_lasts",
                    "the database still fails (attempt {attempts}): {}",
                    error,
                    attempts=attempts,
                    next_seconds=seconds,
                )
                seconds = min(2 * seconds, OUTAGE_MOST_SECONDS)
            else:
                say.warning(
                    "database_outage_ends",
                    "the database works again (attempt {attempts}): the session goes on",
                    attempts=attempts,
                )
                return

    def _wait(self, seconds: float, error: StateError) -> None:
        left = seconds
        while left > 0:
            why = self._ended()
            if why:
                raise StateError(f"{error}; {why} while it was tried again") from error
            if self._patience.spent():
                raise error
            self._patience.wait(min(POLL_SECONDS, left))
            left -= POLL_SECONDS


class SentBare:
    """Cancels that were sent before they are on disk, and what was answered last to each.

    An answer that is lost may mean a cancel that is: nobody reads ledgers now, so they are sent again here.
    """

    def __init__(self, exchange: Exchange, cancels: Sequence[PreparedTransaction]) -> None:
        self._exchange = exchange
        self._cancels = cancels
        self.outcomes = exchange.submit(cancels) if cancels else ()

    @property
    def accepted(self) -> bool:
        """True when a server has taken all of them."""
        return all(one.outcome is SubmitClass.ACCEPTED for one in self.outcomes)

    def repeat(self) -> None:
        """Send again what no server is known to have."""
        unknown = {one.tx_hash for one in self.outcomes if one.outcome is SubmitClass.UNKNOWN}
        lost = [one for one in self._cancels if one.tx_hash in unknown]
        if lost:
            again = {one.tx_hash: one for one in self._exchange.submit(lost)}
            self.outcomes = tuple(again.get(one.tx_hash, one) for one in self.outcomes)
