"""The stored rows of one tick, found by primary keys alone, so that a database of any size answers at once.

ticks.id is session << 32 | tick. Of the other tables (session, tick) never falls as the id grows, since one
engine at a time writes a database and only forward: `first_id` halves the ids until it has the tick's first.

Raises of every public function: UsageError for what is not there, sqlite3.Error and ValueError for a damaged
database (`summary.one_moment` turns them into StateError).
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from neo_engine.domain.errors import UsageError
from neo_engine.domain.number import parse_number
from neo_engine.domain.orders import TERMINAL
from neo_engine.domain.records import Gate
from neo_engine.domain.severity import Severity
from neo_engine.state.queries import which_session
from neo_engine.state.rows import READING_BITS, SHORT_FACTORS, SHORT_SUCCESS, SUCCESS, TICK_BITS

_MAX_TICK = (1 << TICK_BITS) - 1
_CLOCK_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?")
_WHOLE_FACTORS = {short: name for name, short in SHORT_FACTORS.items()}
_ENDED = frozenset(status.value for status in TERMINAL)
#: Tables with rows of a tick -> the column with its number.
_TICK_COLUMNS = {"orders": "created_tick", "feed_faults": "tick", "reconciliations": "tick", "fills": "tick"}
_ORDER_SHIFT = 16  # submissions.id = order << 16, counted up
_READINGS_LIMIT = 5_000  # changes of severity looked back at: far more than a sound session ever has
_CANCEL_SLACK_SECONDS = 600  # an order may outlive its expiration until a ledger says so


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """The session's row. config: as stored, {} when nothing was. first_order: its own ids are higher."""

    session_id: int
    mode: str
    feed: str
    pair: str
    account: str
    started_at: str
    ended_at: str | None
    halt_reason: str | None
    halt_detail: str | None
    pid: int | None
    first_order: int
    config: Mapping[str, Any]
    first_tick: int | None
    last_tick: int | None

    def setting(self, key: str) -> str | None:
        """Return the value of a dotted configuration key as text, None when it is not stored."""
        value: Any = self.config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return None if value is None or isinstance(value, dict) else str(value)

    def number(self, key: str) -> Decimal | None:
        """Return the value of a key as a number, None when it is none."""
        text = self.setting(key)
        return None if text is None else parse_number(text, key)


class WantedQuote(msgspec.Struct, frozen=True, kw_only=True):
    """A quote of the tick: slot, price in RLUSD per XRP, drops."""

    slot: str
    price: Decimal
    drops: int


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `ticks`, its texts read. factors: whole names, those that change nothing left out."""

    tick: int
    kind: str
    ledger_index: int
    close_time: str
    anchor_source: str | None
    anchor_clamped: bool
    divergence_bps: Decimal | None
    volatility_bps: Decimal | None
    atr_bps: Decimal | None
    half_spread_bps: Decimal | None
    factors: tuple[tuple[str, Decimal], ...]
    gates: tuple[Gate, ...]
    quotes: tuple[WantedQuote, ...]
    quoting: str
    placed: int
    canceled: int
    kept: int
    fills: int
    inventory_drops: int
    inventory_quote: Decimal
    fees_drops: int
    mark: Decimal | None
    net_capital: Decimal
    realised: Decimal
    unrealised: Decimal
    account_value: Decimal


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """A feed fault, a finding or a monitor's reading: its kind, how grave it is, its numbers."""

    kind: str
    severity: str
    detail: str


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """An order with, where it was asked for, one of its transactions (kind `create`, `replace`, `cancel`).

    result: the last word known: of the ledger, else what was said right after sending, else None.
    """

    order_id: int
    slot: str
    side: str
    price: Decimal
    left_xrp: Decimal
    status: str
    created_at: str
    reason: str | None
    kind: str | None = None
    outcome: str | None = None
    result: str | None = None


def _decimal(text: object, what: str) -> Decimal | None:
    return None if text is None else parse_number(text, what)


def _number(text: object, what: str) -> Decimal:
    return parse_number(text, what)


def _code(code: str | None) -> str | None:
    return SUCCESS if code == SHORT_SUCCESS else code


def find_session(connection: sqlite3.Connection, which: str) -> Session:
    """Return session `which`: a number or `latest`."""
    wanted = which_session(connection, which)
    row = connection.execute(
        "SELECT session_id, mode, feed, pair, account, started_at, ended_at, halt_reason, halt_detail, pid, "
        "first_order, config_json FROM sessions WHERE session_id = ?",
        (wanted,),
    ).fetchone()
    values = dict(row)
    config = msgspec.json.decode(values.pop("config_json"))
    return Session(
        **values,
        config=config if isinstance(config, dict) else {},
        first_tick=_edge_tick(connection, wanted, "ASC"),
        last_tick=_edge_tick(connection, wanted, "DESC"),
    )


def _edge_tick(connection: sqlite3.Connection, session_id: int, order: str) -> int | None:
    row = connection.execute(
        f"SELECT tick FROM ticks WHERE id BETWEEN ? AND ? ORDER BY id {order} LIMIT 1",
        (session_id << TICK_BITS, session_id << TICK_BITS | _MAX_TICK),
    ).fetchone()
    return None if row is None else int(row[0])


def _tick_of(row: sqlite3.Row) -> Tick:
    where = f"ticks row {row['id']}"
    stored = msgspec.json.decode(row["factors"] or "{}", type=dict[str, Decimal])
    quotes = msgspec.json.decode(row["quotes"] or "{}", type=dict[str, tuple[Decimal, int]])
    return Tick(
        tick=row["tick"],
        kind=row["kind"],
        ledger_index=row["ledger_index"],
        close_time=row["close_time"],
        anchor_source=row["anchor_source"],
        anchor_clamped=bool(row["anchor_clamped"]),
        divergence_bps=_decimal(row["divergence_bps"], where),
        volatility_bps=_decimal(row["volatility_bps"], where),
        atr_bps=_decimal(row["atr_bps"], where),
        half_spread_bps=_decimal(row["half_spread_bps"], where),
        factors=tuple((_WHOLE_FACTORS.get(name, name), value) for name, value in stored.items()),
        gates=gates_of(row["gates"]),
        quotes=tuple(
            WantedQuote(slot=slot, price=price, drops=drops) for slot, (price, drops) in quotes.items()
        ),
        quoting=row["quoting"],
        placed=row["placed"],
        canceled=row["canceled"],
        kept=row["kept"],
        fills=row["fills"],
        inventory_drops=row["inventory_xrp_drops"],
        inventory_quote=_number(row["inventory_rlusd"], where),
        fees_drops=row["fees_drops"],
        mark=_decimal(row["mark"], where),
        net_capital=_number(row["net_capital_rlusd"], where),
        realised=_number(row["realised_rlusd"], where),
        unrealised=_number(row["unrealised_rlusd"], where),
        account_value=_number(row["account_value_rlusd"], where),
    )


def gates_of(text: str | None) -> tuple[Gate, ...]:
    """Return the gates that a tick stored."""
    return msgspec.json.decode(text, type=tuple[Gate, ...]) if text else ()


def _span(connection: sqlite3.Connection, session: Session) -> str:
    """Return what there is of the session's ticks, for an error message."""
    if session.first_tick is None or session.last_tick is None:
        return f"session {session.session_id} holds no tick yet"
    first, last = (_close_time(connection, session, one) for one in (session.first_tick, session.last_tick))
    ticks = f"ticks {session.first_tick} to {session.last_tick}"
    return f"session {session.session_id} holds {ticks}, {first} to {last}"


def _close_time(connection: sqlite3.Connection, session: Session, tick: int) -> str:
    row = connection.execute(
        "SELECT close_time FROM ticks WHERE id = ?", (session.session_id << TICK_BITS | tick,)
    ).fetchone()
    return str(row[0])


def find_tick(connection: sqlite3.Connection, session: Session, tick: int | None) -> Tick:
    """Return a tick of the session, its last one for None."""
    number = session.last_tick if tick is None else tick
    row = None
    if number is not None and 0 < number <= _MAX_TICK:
        row = connection.execute(
            "SELECT * FROM ticks WHERE id = ?", (session.session_id << TICK_BITS | number,)
        ).fetchone()
    if row is None:
        asked = "" if tick is None else f"--tick {tick}: "
        raise UsageError(f"{asked}{_span(connection, session)}")
    return _tick_of(row)


def last_ledger(connection: sqlite3.Connection, session: Session, tick: Tick) -> Tick | None:
    """Return the last tick with a ledger up to `tick`, None before the first."""
    row = connection.execute(
        "SELECT * FROM ticks WHERE id BETWEEN ? AND ? AND kind = 'ledger' ORDER BY id DESC LIMIT 1",
        (session.session_id << TICK_BITS, session.session_id << TICK_BITS | tick.tick),
    ).fetchone()
    return None if row is None else _tick_of(row)


def find_time(connection: sqlite3.Connection, session: Session, at: str) -> Tick:
    """Return the last tick whose ledger closed at or before a time.

    at: UTC ISO-8601, or HH:MM[:SS] of the market's time where only one day of the session has it.
    """
    if session.first_tick is None or session.last_tick is None:
        raise UsageError(f"--at {at}: {_span(connection, session)}")
    first = _close_time(connection, session, session.first_tick)
    last = _close_time(connection, session, session.last_tick)
    moment = _moment(at, first, last)
    if moment is None or not first <= moment <= last:
        raise UsageError(
            f"--at {at}: no such moment; write 2026-11-20T18:15:00Z or, where one day has it, 18:15:00. "
            f"{_span(connection, session)}"
        )
    low, high = session.first_tick, session.last_tick
    while low < high:  # ticks are numbered without a gap, and ledger times never fall
        middle = (low + high + 1) // 2
        low, high = (
            (middle, high) if _close_time(connection, session, middle) <= moment else (low, middle - 1)
        )
    return find_tick(connection, session, low)


def _moment(at: str, first: str, last: str) -> str | None:
    """Return the UTC text that `at` stands for between `first` and `last`, None when there is none or two."""
    if _CLOCK_TIME.fullmatch(at):
        day, end = datetime.fromisoformat(first).date(), datetime.fromisoformat(last).date()
        found: list[str] = []
        while day <= end and len(found) < 2:
            text = f"{day.isoformat()}T{at if len(at) > 5 else at + ':00'}Z"
            found += [text] if first <= text <= last else []
            day += timedelta(days=1)
        return found[0] if len(found) == 1 else None
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        return None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return f"{moment.replace(tzinfo=None, microsecond=0).isoformat()}Z"


def earlier(connection: sqlite3.Connection, session: Session, tick: int, most: int) -> Iterator[sqlite3.Row]:
    """Yield `tick` and those before it, newest first, at most `most`: what a cause is told from."""
    yield from connection.execute(
        "SELECT tick, kind, close_time, gates, quoting, half_spread_bps FROM ticks WHERE id BETWEEN ? AND ? "
        "ORDER BY id DESC LIMIT ?",
        (session.session_id << TICK_BITS, session.session_id << TICK_BITS | tick, most),
    )


def ticks_before(connection: sqlite3.Connection, session: Session, last: int, most: int) -> Iterator[Tick]:
    """Yield the last `most` ticks up to `last`, oldest first."""
    for row in connection.execute(
        "SELECT * FROM (SELECT * FROM ticks WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT ?) ORDER BY id",
        (session.session_id << TICK_BITS, session.session_id << TICK_BITS | last, most),
    ):
        yield _tick_of(row)


def first_id(connection: sqlite3.Connection, table: str, session_id: int, tick: int) -> int:
    """Return the least id of `table` from which on all rows belong to this tick or later ones."""
    column = _TICK_COLUMNS[table]
    low, high = 0, 1 + (connection.execute(f"SELECT max(id) FROM {table}").fetchone()[0] or 0)
    query = f"SELECT session_id, {column} FROM {table} WHERE id >= ? ORDER BY id LIMIT 1"
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(query, (middle,)).fetchone()
        if row is None or (row[0], row[1] or 0) >= (session_id, tick):
            high = middle
        else:
            low = middle + 1
    return low


def remarks(connection: sqlite3.Connection, session: Session, tick: int) -> tuple[Remark, ...]:
    """Return the feed faults and the findings of the reconciler that were stored with a tick."""
    found: list[sqlite3.Row] = []
    for table, kind, severity in (
        ("feed_faults", "kind", "'fault'"),
        ("reconciliations", "finding", "severity"),
    ):
        at = (first_id(connection, table, session.session_id, one) for one in (tick, tick + 1))
        found += connection.execute(
            f"SELECT {kind} AS kind, {severity} AS severity, detail FROM {table} "
            "WHERE id >= ? AND id < ? ORDER BY id",
            tuple(at),
        ).fetchall()
    return tuple(Remark(**dict(row)) for row in found)


def readings(connection: sqlite3.Connection, session: Session, tick: int) -> tuple[Remark, ...]:
    """Return what the monitors said last up to a tick, those that are calm left out, the gravest first.

    A row is stored when a severity changes, so the newest one of each monitor holds.
    """
    known: dict[str, Remark | None] = {}
    for row in connection.execute(
        "SELECT tick, monitor, severity, detail FROM monitor_readings WHERE id >= ? AND id < ? "
        "ORDER BY id DESC LIMIT ?",
        (
            session.session_id << TICK_BITS << READING_BITS,
            (session.session_id << TICK_BITS | tick) + 1 << READING_BITS,
            _READINGS_LIMIT,
        ),
    ):
        if row["monitor"] not in known:
            calm = row["severity"] == Severity.NORMAL.name
            known[row["monitor"]] = (
                None
                if calm
                else Remark(
                    kind=f"monitor {row['monitor']}",
                    severity=row["severity"],
                    detail=f"{row['detail']} (since tick {row['tick']})",
                )
            )
    found = [one for one in known.values() if one is not None]
    return tuple(sorted(found, key=lambda one: -Severity[one.severity]))


_ORDER_COLUMNS = (
    "o.id, o.slot, o.side, o.price, o.size_xrp, o.filled_xrp, o.status, o.created_at, "
    "coalesce(o.failure_reason, o.result_code) AS reason"
)
_SENT_COLUMNS = "u.kind, u.outcome, coalesce(u.result, u.preliminary) AS result"


def _made(row: sqlite3.Row, *, sent: bool) -> Made:
    where = f"orders row {row['id']}"
    return Made(
        order_id=row["id"],
        slot=row["slot"],
        side=row["side"],
        price=_number(row["price"], where),
        left_xrp=_number(row["size_xrp"], where) - _number(row["filled_xrp"], where),
        status=row["status"],
        created_at=row["created_at"],
        reason=_code(row["reason"]),
        kind=row["kind"] if sent else None,
        outcome=row["outcome"] if sent else None,
        result=_code(row["result"]) if sent else None,
    )


def sent(connection: sqlite3.Connection, session: Session, tick: Tick) -> tuple[Made, ...]:
    """Return the transactions that a tick sent about its orders: those it made, then those it took back."""
    first, end = (
        first_id(connection, "orders", session.session_id, one) for one in (tick.tick, tick.tick + 1)
    )
    made = connection.execute(
        f"SELECT {_ORDER_COLUMNS}, {_SENT_COLUMNS} FROM orders o "
        "LEFT JOIN submissions u ON u.id = o.id << 16 WHERE o.id >= ? AND o.id < ? ORDER BY o.id",
        (first, end),
    ).fetchall()
    return (*(_made(row, sent=True) for row in made), *_canceled(connection, session, tick, end))


def _canceled(connection: sqlite3.Connection, session: Session, tick: Tick, end: int) -> Iterator[Made]:
    """Yield the cancels that a tick sent: they stand with their orders, newest order first.

    An order's transactions have ids next to each other, so orders too old to stand end the walk.
    """
    left = tick.canceled
    if not left:
        return
    oldest = _oldest(session, tick.close_time)
    low = 0 if session.mode == "live" else session.first_order << _ORDER_SHIFT
    for row in connection.execute(
        f"SELECT {_ORDER_COLUMNS}, {_SENT_COLUMNS}, u.session_id AS sender, u.tick AS sent_tick "
        "FROM submissions u JOIN orders o ON o.id = u.order_id "
        "WHERE u.id >= ? AND u.id < ? ORDER BY u.id DESC",
        (low, end << _ORDER_SHIFT),
    ):
        if row["created_at"] < oldest:
            return
        if (row["sender"], row["sent_tick"], row["kind"]) == (session.session_id, tick.tick, "cancel"):
            yield _made(row, sent=True)
            left -= 1
            if not left:
                return


def _oldest(session: Session, now: str) -> str:
    """Return the time before which no order that still stands at `now` can have been made."""
    lifetime = session.number("execution.offer_lifetime_seconds")
    if not lifetime:
        return ""
    reach = timedelta(seconds=int(lifetime) + _CANCEL_SLACK_SECONDS)
    return f"{(datetime.fromisoformat(now) - reach).replace(tzinfo=None).isoformat()}Z"


def oldest_order(connection: sqlite3.Connection, session: Session, before: int, now: str, most: int) -> int:
    """Return the oldest id, of at most `most` before id `before`, whose order can have stood at `now`."""
    oldest, low = _oldest(session, now), before
    floor = -1 if session.mode == "live" else session.first_order
    for row in connection.execute(
        "SELECT id, created_at FROM orders WHERE id > ? AND id < ? ORDER BY id DESC LIMIT ?",
        (floor, before, most),
    ):
        if row["created_at"] < oldest:
            break
        low = row["id"]
    return low


def open_orders(connection: sqlite3.Connection, session: Session, now: str) -> tuple[Made, ...]:
    """Return the orders that work at `now`, the close time of the newest tick, oldest first."""
    oldest = _oldest(session, now)
    found: list[Made] = []
    low = -1 if session.mode == "live" else session.first_order
    for row in connection.execute(
        f"SELECT {_ORDER_COLUMNS} FROM orders o WHERE o.id > ? ORDER BY o.id DESC", (low,)
    ):
        if row["created_at"] < oldest:
            break
        if row["status"] not in _ENDED:
            found.append(_made(row, sent=False))
    return tuple(reversed(found))
