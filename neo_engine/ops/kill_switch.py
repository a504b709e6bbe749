"""The kill switch looked at, and reset by hand: what holds, since when, and what speaks against a reset.

1. Everything is read from the database. A reset needs its lock, so no engine runs then.
2. Drawdown is what the risk gate computes (`risk.drawdown_of`), over the live sessions from the one that
   latched first to the newest. Between two of them the price's move of what was held counts, money that came
   or went does not. It is never shown as more than 100 %: more than all cannot be lost.
3. A reset saves a backup first, then stores its own record and opens the latch in one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import msgspec
from pydantic import ValidationError

from neo_engine.config import Config
from neo_engine.domain.errors import BadNumber
from neo_engine.domain.halt import HaltReason
from neo_engine.domain.kill import (
    LATCH_KEY,
    RESET_KEY,
    KillReason,
    Latch,
    from_json,
    in_force,
    opened,
    to_json,
    until,
)
from neo_engine.domain.number import MILLION, WORK, ZERO, parse_number, plain, xrp_from_drops
from neo_engine.domain.severity import Severity
from neo_engine.ops.clock import iso
from neo_engine.ops.control import kill_path
from neo_engine.risk import drawdown_of, minimum_peak
from neo_engine.risk.exposure import max_drops
from neo_engine.state import backup, queries
from neo_engine.state.connection import connect_writer, transaction
from neo_engine.state.lock import InstanceLock, database_lock_path
from neo_engine.state.schema import require_current
from neo_engine.state.statements import UPSERT_STATE

MOST_DRAWDOWN_PCT = Decimal(2)
ALL_PCT = Decimal(100)
BUSY_TIMEOUT_MS = 5000  # a reader beside us may be recovering the WAL
STALE = frozenset(
    {
        HaltReason.RISK_STALE_LEDGER.value,
        HaltReason.RISK_RPC_FAILURE.value,
        HaltReason.RISK_GATEWAY_UNHEALTHY.value,
    }
)
_PLACES = Decimal("0.0001")
#: Live sessions that began; those that were refused at their start saw nothing.
_SESSIONS = (
    "SELECT session_id, account, started_at, halt_reason, config_json, EXISTS (SELECT 1 FROM ticks t "
    "WHERE t.id BETWEEN s.session_id << 32 AND (s.session_id << 32) + 0xFFFFFFFF) AS ticked FROM sessions s "
    "WHERE mode = 'live' AND coalesce(halt_reason, '') <> 'startup_failure' ORDER BY session_id"
)
_VALUES = (
    "SELECT account_value_rlusd, net_capital_rlusd, mark, inventory_xrp_drops - fees_drops AS drops "
    f"FROM ticks WHERE {queries.TICKS_OF_SESSION} AND mark IS NOT NULL ORDER BY id"
)
_LAST = (
    "SELECT inventory_xrp_drops, inventory_rlusd FROM ticks "
    f"WHERE {queries.TICKS_OF_SESSION} ORDER BY id DESC LIMIT 1"
)
#: The newest word of a monitor in session ?1: a row is written when its severity changes.
_READING = (
    "SELECT severity, detail FROM monitor_readings WHERE id BETWEEN ?1 << 37 "
    "AND (?1 + 1 << 37) - 1 AND monitor = ?2 ORDER BY id DESC LIMIT 1"
)
CASCADE = "cascade"
PULLING = frozenset({Severity.PULL_QUOTES.name, Severity.KILL.name})


class Fall(msgspec.Struct, frozen=True, kw_only=True):
    """How far the account value (RLUSD) lies below its peak, in percent, by the last stored tick."""

    drawdown_pct: Decimal
    value: Decimal
    peak: Decimal


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """All that `kill --show` says. against: what a reset would be refused for, besides unread reasons.

    session: the newest live session that began, fall: None where no price was seen. last_reset: its record.
    """

    latch: Latch
    in_force: bool
    until: datetime | None
    session: int | None
    ended_by: str | None
    fall: Fall | None
    against: tuple[str, ...]
    last_reset: str | None


class ResetOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator asks. seen: the number that `kill --show` told, None when not given."""

    reason: str
    by: str
    seen: int | None
    force: bool


class ResetRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A reset as engine_state keeps it: who, when, why, what was reset, and what --force overrode."""

    by: str
    at: datetime
    reason: str
    forced: bool
    overridden: tuple[str, ...]
    number: int
    reasons: tuple[KillReason, ...]
    backup: str


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A reset that was not done, and everything that speaks against it."""

    against: tuple[str, ...]


def look(db: Path, now: datetime) -> Situation:
    """Return what holds and what a reset would be refused for, beside a running engine too.

    Raises StateError for a database that cannot be read.
    """
    with closing(queries.open_readonly(db)) as connection:
        state = queries.engine_state(connection)
        latch = from_json(state.get(LATCH_KEY, ""), now)
        sessions = connection.execute(_SESSIONS).fetchall()
        against = [*_kill_file(db), *_stale(sessions)]
        ticked = [row for row in sessions if row["ticked"]]
        fall = None
        try:
            if ticked:
                against += _cascade(connection, ticked[-1]["session_id"])
                config = _config(ticked[-1])
                fall = measure(_since(latch, ticked, connection), config)
                against += [*_drawdown(fall), *_inventory(connection, ticked[-1]["session_id"], config)]
        except BadNumber as error:
            against.append(f"drawdown and inventory cannot be judged: {error}")
    return Situation(
        latch=latch,
        in_force=in_force(latch, now),
        until=until(latch),
        session=sessions[-1]["session_id"] if sessions else None,
        ended_by=sessions[-1]["halt_reason"] if sessions else None,
        fall=fall,
        against=tuple(against),
        last_reset=state.get(RESET_KEY),
    )


def reset(db: Path, order: ResetOrder, now: datetime) -> ResetRecord | Refused | None:
    """Open the latch, or say what speaks against it; None when nothing latched.

    Raises StateError while an engine runs on the database, or when it or its backup cannot be written.
    """
    lock = InstanceLock.acquire(database_lock_path(db), str(db), iso(now))
    try:
        found = look(db, now)
        if not found.latch.reasons:
            return None
        against = (*_unread(found.latch, order.seen, db), *found.against)
        if against and not order.force:
            return Refused(against=against)
        record = ResetRecord(
            by=order.by,
            at=now,
            reason=order.reason,
            forced=order.force,
            overridden=against,
            number=found.latch.number,
            reasons=found.latch.reasons,
            backup=str(backup.backup(db, None, now).resolve()),
        )
        _store(db, record, found.latch)
        return record
    finally:
        lock.release()


def _store(db: Path, record: ResetRecord, latch: Latch) -> None:
    """Write the record and open the latch, both or neither; the caller holds the lock."""
    rows = {LATCH_KEY: to_json(opened(latch)), RESET_KEY: msgspec.json.encode(record).decode()}
    connection = connect_writer(
        db,
        synchronous="FULL",
        busy_timeout_ms=BUSY_TIMEOUT_MS,
        check=lambda opening: require_current(opening, db),
    )
    with closing(connection), transaction(connection, db, "resetting the kill switch"):
        at = iso(record.at)
        connection.executemany(UPSERT_STATE, [(key, value, at) for key, value in rows.items()])


# what speaks against a reset


def _unread(latch: Latch, seen: int | None, db: Path) -> list[str]:
    if seen == latch.number:
        return []
    said = "no --seen was given" if seen is None else f"--seen {seen}"
    fix = f"read them with `kill --show --db {db}` and give its number"
    return [f"reasons unread: {said}, the newest is number {latch.number}; {fix}"]


def _kill_file(db: Path) -> list[str]:
    path = kill_path(db)
    if not path.exists():
        return []
    return [f"kill file: {path} is there, so the next session would halt at once; remove it"]


def _stale(sessions: list[sqlite3.Row]) -> list[str]:
    if not sessions or sessions[-1]["halt_reason"] not in STALE:
        return []
    number, reason = sessions[-1]["session_id"], sessions[-1]["halt_reason"]
    return [f"data stale: session {number} ended by {reason}; `flatten` shows whether ledgers come again"]


def _cascade(connection: sqlite3.Connection, session_id: int) -> list[str]:
    row = connection.execute(_READING, (session_id, CASCADE)).fetchone()
    if row is None or row["severity"] not in PULLING:
        return []
    return [
        f"cascade: session {session_id} ended in it ({row['detail']}); `flatten` looks at the market anew"
    ]


def _drawdown(fall: Fall | None) -> list[str]:
    if fall is None or fall.drawdown_pct <= MOST_DRAWDOWN_PCT:
        return []
    return [
        f"drawdown: {shown(fall.drawdown_pct)} % from a peak of {shown(fall.peak)} RLUSD (at most "
        f"{plain(MOST_DRAWDOWN_PCT)} %); `flatten` measures it at today's price"
    ]


def _inventory(connection: sqlite3.Connection, session_id: int, config: Config) -> list[str]:
    row = connection.execute(_LAST, (session_id,)).fetchone()
    drops, quote = row["inventory_xrp_drops"], parse_number(row["inventory_rlusd"], "ticks.inventory_rlusd")
    found = []
    if drops > max_drops(config):
        limit = plain(config.risk.max_xrp_exposure)
        found.append(f"inventory: {plain(xrp_from_drops(drops))} XRP held (risk.max_xrp_exposure {limit})")
    if quote > config.risk.max_rlusd_exposure:
        limit = plain(config.risk.max_rlusd_exposure)
        found.append(f"inventory: {plain(quote)} RLUSD held (risk.max_rlusd_exposure {limit})")
    return found


def _config(row: sqlite3.Row) -> Config:
    try:
        return Config.model_validate(msgspec.json.decode(row["config_json"]))
    except (msgspec.DecodeError, ValidationError) as error:
        raise BadNumber(
            f"this engine does not read the configuration of session {row['session_id']}"
        ) from error


# drawdown


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """A tick with a price. drops: the XRP balance; value, capital: account value and net capital (RLUSD)."""

    value: Decimal
    capital: Decimal
    mark: Decimal
    drops: int


def _since(
    latch: Latch, sessions: list[sqlite3.Row], connection: sqlite3.Connection
) -> Iterable[Iterable[Moment]]:
    """Return the moments of each live session of the newest one's account, from the one that latched on."""
    newest = sessions[-1]
    ours = [row for row in sessions if row["account"] == newest["account"]]
    first = iso(latch.reasons[0].at) if latch.reasons else newest["started_at"]
    before = [row["session_id"] for row in ours if row["started_at"] <= first]
    start = before[-1] if before else ours[0]["session_id"]
    for row in ours:
        if row["session_id"] >= start:
            yield map(_moment, connection.execute(_VALUES, (row["session_id"],)))


def _moment(row: sqlite3.Row) -> Moment:
    return Moment(
        value=parse_number(row["account_value_rlusd"], "ticks.account_value_rlusd"),
        capital=parse_number(row["net_capital_rlusd"], "ticks.net_capital_rlusd"),
        mark=parse_number(row["mark"], "ticks.mark"),
        drops=row["drops"],
    )


def measure(sessions: Iterable[Iterable[Moment]], config: Config) -> Fall | None:
    """Return the fall at the last moment of all; None when no session saw a price.

    Within a session as the risk gate: value = start value + (account value - net capital).
    """
    value, peak, last = ZERO, None, None
    for moments in sessions:
        base = None
        for now in moments:
            gain = WORK.subtract(now.value, now.capital)
            if base is None:
                base = now.capital if last is None else WORK.subtract(_carried(value, last, now), gain)
            value = WORK.add(base, gain)
            peak = value if peak is None else max(peak, value)
            last = now
    if last is None or peak is None:
        return None
    fall = drawdown_of(value, peak, minimum_peak(config, last.mark))
    return Fall(drawdown_pct=min(fall, ALL_PCT), value=value, peak=peak)


def _carried(value: Decimal, before: Moment, now: Moment) -> Decimal:
    """Return the value of what was held, at the price that the next session begins with."""
    moved = WORK.multiply(WORK.subtract(now.mark, before.mark), Decimal(before.drops))
    return WORK.add(value, WORK.divide(moved, MILLION))


def shown(value: Decimal) -> str:
    """Return a number for a person: four decimals at most, rounded to nearest."""
    return plain(value.quantize(_PLACES)) if abs(value) < Decimal("1e20") else plain(value)
