"""What an incident is looked at with: a session, a moment of it, and the ticks before that moment."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import msgspec

from neo_engine.report.why import HELD_LIMIT, Engine, Explanation, explain, untouched
from neo_engine.report.why_rows import Session, Tick, find_tick, ticks_before

LOOKED_AT = HELD_LIMIT  # ticks: eleven hours of ledgers, read in a second


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One incident. ticks: oldest first, the last one is the moment. at_end: that is the session's newest."""

    connection: sqlite3.Connection
    db: Path
    session: Session
    engine: Engine
    ticks: tuple[Tick, ...]
    at_end: bool

    @property
    def running(self) -> bool:
        """Whether an engine runs this session now."""
        return (
            self.session.ended_at is None
            and self.engine.pid is not None
            and self.engine.session in (None, self.session.session_id)
        )

    def answer(self, tick: int | None) -> Explanation:
        """Return what `why` says about a tick of the session; about its present where there is none."""
        if tick is None:
            return untouched(self.session, self.engine)
        now = self.at_end and tick == self.session.last_tick
        row = find_tick(self.connection, self.session, tick)
        return explain(self.connection, self.session, row, self.engine, now=now)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What the stored rows say of a symptom. found: it is there. ticks: those that show it, best first."""

    found: bool
    lines: tuple[str, ...]
    ticks: tuple[int, ...]


def open_case(
    connection: sqlite3.Connection, db: Path, session: Session, engine: Engine, moment: Tick | None
) -> Case:
    """Return the case of a session at a moment, None: its newest tick. Raises as `why_rows` does."""
    last = session.last_tick if moment is None else moment.tick
    ticks = () if last is None else tuple(ticks_before(connection, session, last, LOOKED_AT))
    return Case(
        connection=connection,
        db=db,
        session=session,
        engine=engine,
        ticks=ticks,
        at_end=last == session.last_tick,
    )


def gate_counts(ticks: Iterable[Tick], names: frozenset[str] | None = None) -> str:
    """Return the gates of ticks with how many have each, the most frequent first: `Warmup both 9`."""
    counts = Counter(
        f"{gate.name} {gate.side}"
        for tick in ticks
        for gate in tick.gates
        if names is None or gate.name in names
    )
    return ", ".join(f"{name} {count}" for name, count in counts.most_common(8))


def span_text(first: Tick, last: Tick) -> str:
    """Return where ticks lie, as words."""
    if first.tick == last.tick:
        return f"tick {first.tick}, {first.close_time}"
    return f"ticks {first.tick} to {last.tick}, {first.close_time} to {last.close_time}"


def profit(tick: Tick) -> Decimal:
    """Return the P&L of the session at a tick, RLUSD: account value less net capital."""
    return tick.account_value - tick.net_capital
