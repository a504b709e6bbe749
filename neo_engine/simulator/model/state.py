"""The entries of one ledger, and a view in which a transaction changes them.

A `State` is what a ledger holds after its last transaction. Copying one is cheap, since entries are never
changed in place: a copy shares them. A `View` lies over a state while one transaction runs: what it
reads is the state's, what it edits is a copy of its own; `metadata` (metadata.py) tells the difference
and `State.absorb` takes it over. Dropping the view undoes everything.

Books. The state keeps, for each book, the sorted indexes of its directories, so that the next rate is
found without a search through all entries (rippled walks its tree with `succ`).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping

from neo_engine.domain.errors import InvariantViolation
from neo_engine.simulator.model.fields import Entry
from neo_engine.simulator.model.keys import BOOK_BASE_DIGITS

BOOK_FIELD = "ExchangeRate"  # only the root page of a book directory has it


class State:
    """All entries of a ledger by index, and its books' directories in order."""

    def __init__(self, entries: Mapping[str, Entry] | None = None) -> None:
        self.entries: dict[str, Entry] = dict(entries or {})
        self._books: dict[str, list[str]] = {}
        for index, entry in self.entries.items():
            if BOOK_FIELD in entry and entry.get("RootIndex") == index:
                self._books.setdefault(index[:BOOK_BASE_DIGITS], []).append(index)
        for roots in self._books.values():
            roots.sort()

    def copy(self) -> State:
        """Return a state of its own with the same entries."""
        twin = State()
        twin.entries = self.entries.copy()
        twin._books = {base: roots.copy() for base, roots in self._books.items()}
        return twin

    def book(self, base: str) -> list[str]:
        """Return the indexes of a book's directories, best rate first. Not to be changed."""
        return self._books.get(base, [])

    def books(self) -> Iterator[str]:
        """Yield the base of every book that has a directory."""
        return (base for base, roots in self._books.items() if roots)

    def put(self, index: str, entry: Entry) -> None:
        """Set an entry."""
        if BOOK_FIELD in entry and index not in self.entries:
            insort(self._books.setdefault(index[:BOOK_BASE_DIGITS], []), index)
        self.entries[index] = entry

    def drop(self, index: str) -> None:
        """Remove an entry. Raises InvariantViolation if there is none."""
        entry = self.entries.pop(index, None)
        if entry is None:
            raise InvariantViolation(f"state: no entry {index} to remove")
        if BOOK_FIELD in entry:
            base = index[:BOOK_BASE_DIGITS]
            roots = self._books[base]
            roots.pop(bisect_left(roots, index))
            if not roots:
                del self._books[base]

    def absorb(self, view: View) -> None:
        """Take over what a view changed."""
        for index, entry in view.now.items():
            self.put(index, entry)
        for index in view.gone:
            self.drop(index)


class View:
    """A state with one transaction's changes over it.

    now: entries made or edited. gone: entries removed, as they were at the end.
    """

    __slots__ = ("gone", "now", "state")

    def __init__(self, state: State) -> None:
        self.state = state
        self.now: dict[str, Entry] = {}
        self.gone: dict[str, Entry] = {}

    def read(self, index: str) -> Entry | None:
        """Return an entry, not to be changed, or None."""
        entry = self.now.get(index)
        if entry is not None:
            return entry
        if index in self.gone:
            return None
        return self.state.entries.get(index)

    def edit(self, index: str) -> Entry:
        """Return an entry to be changed in place. Raises InvariantViolation if there is none.

        Lists in it are still the state's: replace them, never change them.
        """
        entry = self.now.get(index)
        if entry is None:
            entry = None if index in self.gone else self.state.entries.get(index)
            if entry is None:
                raise InvariantViolation(f"view: no entry {index} to edit")
            entry = self.now[index] = entry.copy()
        return entry

    def insert(self, index: str, entry: Entry) -> None:
        """Add an entry. Raises InvariantViolation if there is one."""
        if self.read(index) is not None:
            raise InvariantViolation(f"view: entry {index} is there already")
        self.gone.pop(index, None)
        self.now[index] = entry

    def erase(self, index: str) -> None:
        """Remove an entry, which keeps its last contents for metadata."""
        entry = self.edit(index)
        del self.now[index]
        if index in self.state.entries:
            self.gone[index] = entry

    def book(self, base: str) -> Iterator[str]:
        """Yield the directories of a book that are left, best rate first, newly made ones aside.

        A transaction places its own offer after it has crossed, so it never needs those.
        """
        gone = self.gone
        return (root for root in self.state.book(base) if root not in gone)
