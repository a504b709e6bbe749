"""Where the events of a scenario act: a rehearsed world, what stands between engine and exchange, a crash.

What an event does is written down, as is an event that came to nothing: it never ends the engine's work,
and a scenario in which one failed does not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from neo_engine.domain.errors import NeoError
from neo_engine.domain.ledger import LedgerUpdate
from neo_engine.domain.market import MarketSnapshot
from neo_engine.ports import Exchange, VenueReport
from neo_engine.rehearsal.between import Between
from neo_engine.rehearsal.points import Crash, WatchedStore
from neo_engine.rehearsal.world import Rehearsal

Bend = Callable[[VenueReport], VenueReport]


class EventFailed(NeoError):
    """An event that the network did not let happen; the text says why."""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an event. ledger: the one that was open. failed: it came to nothing."""

    ledger: int
    event: str
    text: str
    failed: bool = False


class Bent(Between):
    """An exchange whose reports are seen, and bent while the stage says so."""

    def __init__(self, exchange: Exchange, stage: Stage) -> None:
        super().__init__(exchange)
        self._stage = stage

    def advance(self, update: LedgerUpdate) -> VenueReport:
        """Report the ledger, bent as the events ask for."""
        report = super().advance(update)
        self._stage.snapshot = report.snapshot
        for bend in self._stage.bends_of(update.ledger_index):
            report = bend(report)
        return report


class Stage:
    """See the module. snapshot: the market as the engine's exchange reported it last, not bent.

    reference: the file of another market's prices, None where the scenario has none.
    """

    def __init__(self, world: Rehearsal, db: Path, reference: Path | None) -> None:
        self.world = world
        self.db = db
        self.reference = reference
        self.snapshot: MarketSnapshot | None = None
        self.done: list[Done] = []
        self.crash_at: str | None = None
        self.reference_until = 0  # the earliest time of the next row
        self.away_ledgers = 0  # between the crash and the next start
        self._bends: list[tuple[int, int, Bend]] = []
        self._store: WatchedStore | None = None
        self._full = False

    def opened(self, store: WatchedStore) -> None:
        """Take the session's database, and fill its disk where that is full."""
        self._store = store
        self.disk(full=self._full)

    def disk(self, *, full: bool) -> None:
        """Let the disk be full, or have space again."""
        self._full = full
        if self._store is not None and full:
            self._store.fill_up()
        elif self._store is not None:
            self._store.make_space()

    def between(self, exchange: Exchange) -> Exchange:
        """Return what the engine gets in place of its exchange."""
        return Bent(exchange, self)

    def bend(self, first: int, last: int, how: Bend) -> None:
        """Have the reports of these ledgers of the world bent."""
        self._bends.append((self.world.index_of(first), self.world.index_of(last), how))

    def bends_of(self, ledger_index: int) -> Iterator[Bend]:
        """Yield how the report of a ledger is bent, in the order of the events."""
        yield from (how for first, last, how in self._bends if first <= ledger_index <= last)

    def point(self, name: str) -> None:
        """Crash at the point that an event named. Raises Crash."""
        if name == self.crash_at:
            self.crash_at = None
            self.done.append(Done(ledger=self.world.ledger, event="crash", text=f"the process died: {name}"))
            raise Crash(name)

    def perform(self, event: str, deed: Callable[[Stage], str]) -> None:
        """Do what an event asks for and write down what became of it."""
        ledger = self.world.ledger
        try:
            text, failed = deed(self), False
        except NeoError as error:
            text, failed = str(error), True
        self.done.append(Done(ledger=ledger, event=event, text=text, failed=failed))
