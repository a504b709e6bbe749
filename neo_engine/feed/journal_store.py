"""The database's failures in a journal: what could not be stored changes what the engine does next.

Only failures are written, and the first success after one: a session whose database never failed has no such
line. A commit is known by its name and by which one of that name it is. In the replay the commit that failed
fails again, with the same words, before it gets to the replay's own database.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from decimal import Decimal

from neo_engine.domain.capital import CapitalEvent
from neo_engine.domain.errors import StateError
from neo_engine.domain.records import IntentRecord, OutcomeRecord, SessionEnd, SessionStart
from neo_engine.feed.journal import JournalWriter
from neo_engine.feed.journal_entries import PartEntry, PatienceEntry, StoreEntry
from neo_engine.feed.journal_play import Journal
from neo_engine.ports import Part, Patience, StateStore

INTENT, OUTCOME, END = "intent", "outcome", "end"
ENDING = "ending"  # the patience with the end of a session


class _Commits(ABC):
    """A store whose three commits pass through `_done`; everything else is the store's own."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._calls: Counter[str] = Counter()
        self._failing = False

    @abstractmethod
    def _done(self, name: str, commit: Callable[[], None]) -> None:
        """Run a commit of that name. Raises StateError."""

    def commit_intent(self, record: IntentRecord) -> None:
        """Store a tick. Raises StateError."""
        self._done(INTENT, lambda: self._store.commit_intent(record))

    def commit_outcome(self, record: OutcomeRecord) -> None:
        """Store what the submits answered. Raises StateError."""
        self._done(OUTCOME, lambda: self._store.commit_outcome(record))

    def end_session(self, end: SessionEnd) -> None:
        """Store how the session ended. Raises StateError."""
        self._done(END, lambda: self._store.end_session(end))

    def begin_session(self, start: SessionStart) -> int:
        """Store the session's row and return its id."""
        return self._store.begin_session(start)

    def adopt_order(self, order_id: int, stored_id: int) -> None:
        """Let the session's order mean an earlier row."""
        self._store.adopt_order(order_id, stored_id)

    def abandon_session(self, end: SessionEnd) -> str:
        """Close a session whose last rows cannot be written."""
        return self._store.abandon_session(end)

    def waiting_capital(self) -> tuple[CapitalEvent, ...]:
        """Return the capital events that no session has taken up yet."""
        return self._store.waiting_capital()

    def settled_capital(self) -> frozenset[str]:
        """Return the ids of capital events that were applied or refused."""
        return self._store.settled_capital()

    def stored_inventory(self) -> tuple[int, Decimal]:
        """Return the inventory as its rows have it."""
        return self._store.stored_inventory()

    def flush(self) -> None:
        """Commit what is held back; a journaled session holds nothing back."""
        self._store.flush()

    def close(self) -> None:
        """Close the store; the journal stays open."""
        self._store.close()


class JournaledStore(_Commits):
    """A store with a journal."""

    def __init__(self, store: StateStore, writer: JournalWriter) -> None:
        super().__init__(store)
        self._writer = writer

    def _done(self, name: str, commit: Callable[[], None]) -> None:
        self._calls[name] += 1
        number = self._calls[name]
        try:
            commit()
        except StateError as error:
            self._failing = True
            self._writer.write(StoreEntry(name=name, number=number, error=str(error)))
            raise
        if self._failing:
            self._failing = False
            self._writer.write(StoreEntry(name=name, number=number))


class PlayedStore(_Commits):
    """The replay's own store, which fails where the session's did."""

    def __init__(self, store: StateStore, journal: Journal) -> None:
        super().__init__(store)
        self._journal = journal

    def _done(self, name: str, commit: Callable[[], None]) -> None:
        """Commit. Raises StateError as the session did, JournalMismatch where it did something else.

        Raises FeedError where the journal ends in an outage.
        """
        self._calls[name] += 1
        number = self._calls[name]
        if self._failing:  # the session told what became of each commit until one succeeded
            self._journal.answer(StoreEntry, f"commit {name} {number}")
        entry = self._journal.seen(StoreEntry, f"{name} {number}")
        if entry is None and self._failing:
            raise self._journal.mismatch(f"the engine commits {name} {number}, the session did not")
        if entry is not None:
            self._failing = bool(entry.error)
            if entry.error:
                raise StateError(entry.error)
        commit()


class JournaledPatience:
    """Patience with a journal: its end is written. name: of the entry."""

    def __init__(self, patience: Patience, writer: JournalWriter, name: str = "") -> None:
        self._patience = patience
        self._writer = writer
        self._name = name

    def begin(self) -> None:
        """It begins now."""
        self._patience.begin()

    def wait(self, seconds: float) -> None:
        """Wait that long."""
        self._patience.wait(seconds)

    def spent(self) -> bool:
        """Return True once it has lasted too long."""
        spent = self._patience.spent()
        if spent:
            self._writer.write(PatienceEntry(name=self._name))
        return spent


class PlayedPatience:
    """The patience of a journal, by the name of its entry. Nobody waits in a replay."""

    def __init__(self, journal: Journal, name: str = "") -> None:
        self._journal = journal
        self._name = name

    def begin(self) -> None:
        """The journal knows when it was spent."""

    def wait(self, seconds: float) -> None:
        """No time passes."""

    def spent(self) -> bool:
        """Return True where the session's patience was spent."""
        return self._journal.seen(PatienceEntry, self._name) is not None


class JournaledPart:
    """A part of the session with a journal: each failure that the loop saw is written."""

    def __init__(self, part: Part, writer: JournalWriter) -> None:
        self.name, self.reason = part.name, part.reason
        self._part = part
        self._writer = writer

    def failure(self) -> str:
        """Return why it does not work any more."""
        why = self._part.failure()
        if why:
            self._writer.write(PartEntry(name=self.name, why=why))
        return why

    def restart(self) -> None:
        """Begin anew."""
        self._part.restart()


class PlayedPart:
    """The same part of the replay, which fails where the session's did and nowhere else."""

    def __init__(self, part: Part, journal: Journal) -> None:
        self.name, self.reason = part.name, part.reason
        self._journal = journal

    def failure(self) -> str:
        """Return why the session's did not work any more here."""
        entry = self._journal.seen(PartEntry, self.name)
        return "" if entry is None else entry.why

    def restart(self) -> None:
        """The replay's own part works."""
