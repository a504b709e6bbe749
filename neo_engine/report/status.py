"""What an engine does right now, read from another process: the database and the files beside it.

Times: ticks have their ledger's time, which is the wall clock's only on a running network;
`written_seconds` is the age of the newest write to the database by the wall clock, whatever the feed.
"""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TextIO

import msgspec
from rich.text import Text

from neo_engine.domain.errors import StateError
from neo_engine.domain.headroom import WHOLE, tier_of
from neo_engine.domain.kill import LATCH_KEY, from_json, in_force
from neo_engine.domain.number import BPS, NEAREST, ZERO, parse_number, plain, xrp_from_drops
from neo_engine.domain.pause import Pause
from neo_engine.ops.control import MAX_REASON_CHARS, kill_path, pause_path, read_pause
from neo_engine.ops.latch import told
from neo_engine.report.render_text import console_on, has_line_drawing, print_section
from neo_engine.report.section import NONE, Section, money
from neo_engine.report.why import Engine, explain, untouched
from neo_engine.report.why_rows import (
    Remark,
    Session,
    Tick,
    find_session,
    find_tick,
    last_ledger,
    open_orders,
    readings,
)
from neo_engine.state.lock import database_lock_path, holder, is_held
from neo_engine.state.queries import LATEST
from neo_engine.state.rows import TICK_BITS

FILLS_SECONDS = 600  # fills this recent are told
_HUNDREDTH = Decimal("0.01")
_REAL_FEED = "xrpl"


class OpenOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that works. left: XRP. distance_bps: from the touch of all others, negative is behind it."""

    order_id: int
    slot: str
    side: str
    price: Decimal
    left_xrp: Decimal
    status: str
    distance_bps: Decimal | None


class FillsLately(msgspec.Struct, frozen=True, kw_only=True):
    """Fills of the last FILLS_SECONDS of ledger time: how many, and XRP bought and sold."""

    count: int
    bought_xrp: Decimal
    sold_xrp: Decimal


class Holdings(msgspec.Struct, frozen=True, kw_only=True):
    """Inventory and P&L after the last tick; amounts in the token are at `mark` where they are values.

    pnl: realised + unrealised, less fees at the mark.
    """

    xrp: Decimal
    quote: Decimal
    mark: Decimal | None
    realised: Decimal
    unrealised: Decimal
    fees_drops: int
    pnl: Decimal
    account_value: Decimal


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What runs on a database.

    tick_age_seconds: of the last tick, None where its time is not the wall clock's. ledger_age_seconds: since
    the last ledger, by the wall clock on a running network, else by the feed's time at the last tick.
    monitors: those that are not calm, the gravest first. headroom_pct, tier: as counted at the last ledger,
    None before a price was computed; pause: what the operator has closed.
    """

    running: bool
    pid: int | None
    kill_requested: str | None
    kill_latch: str | None
    pause: Pause | None
    session_id: int | None
    mode: str | None = None
    feed: str | None = None
    pair: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    halt_reason: str | None = None
    halt_detail: str | None = None
    tick: int | None = None
    kind: str | None = None
    ledger_index: int | None = None
    close_time: str | None = None
    tick_age_seconds: int | None = None
    ledger_age_seconds: int | None = None
    written_seconds: int | None = None
    quoting: str | None = None
    why: str | None = None
    gates: tuple[str, ...] = ()
    monitors: tuple[Remark, ...] = ()
    headroom_pct: Decimal | None = None
    tier: str | None = None
    orders: tuple[OpenOrder, ...] = ()
    holdings: Holdings | None = None
    fills: FillsLately | None = None


def engine_on(connection: sqlite3.Connection, db: Path, now: datetime) -> Engine:
    """Return which engine holds the lock of `db`, the kill and pause files beside it and the latch in it.

    now: the wall clock, UTC. Raises StateError when the lock file is there and cannot be looked at.
    """
    path = database_lock_path(db)
    pid = session = None
    if is_held(path):
        note = holder(path)
        pid, session = _whole(note.get("pid")) or 0, _whole(note.get("session"))
    try:
        reason: str | None = kill_path(db).read_bytes()[:MAX_REASON_CHARS].decode("utf-8", "replace").strip()
    except FileNotFoundError:
        reason = None
    except OSError:
        reason = ""  # it is there: that alone is the order to stop
    row = connection.execute("SELECT value FROM engine_state WHERE key = ?", (LATCH_KEY,)).fetchone()
    latch = from_json("" if row is None else row[0], now)
    return Engine(
        pid=pid,
        session=session,
        kill_reason="no reason given" if reason == "" else reason,
        latch=told(latch) if in_force(latch, now) else None,
        pause=read_pause(pause_path(db)),
    )


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None


def read_status(connection: sqlite3.Connection, db: Path, now: datetime) -> Status:
    """Return what runs on `db`; now: the wall clock, UTC.

    Raises StateError when files beside the database cannot be looked at, sqlite3.Error or ValueError for
    a damaged database.
    """
    engine = engine_on(connection, db, now)
    if connection.execute("SELECT max(session_id) FROM sessions").fetchone()[0] is None:
        return Status(
            running=engine.pid is not None,
            pid=engine.pid,
            kill_requested=engine.kill_reason,
            kill_latch=engine.latch,
            pause=engine.pause,
            session_id=None,
        )
    session = find_session(connection, LATEST)
    tick = None if session.last_tick is None else find_tick(connection, session, None)
    answer = (
        untouched(session, engine) if tick is None else explain(connection, session, tick, engine, now=True)
    )
    real = session.mode == "live" or session.feed.startswith(_REAL_FEED)
    ledger = None if tick is None else last_ledger(connection, session, tick)
    headroom = None if ledger is None else _headroom(ledger)
    return Status(
        running=engine.pid is not None,
        pid=engine.pid,
        kill_requested=engine.kill_reason,
        kill_latch=engine.latch,
        pause=engine.pause,
        session_id=session.session_id,
        mode=session.mode,
        feed=session.feed,
        pair=session.pair,
        started_at=session.started_at,
        ended_at=session.ended_at,
        halt_reason=session.halt_reason,
        halt_detail=session.halt_detail,
        tick=None if tick is None else tick.tick,
        kind=None if tick is None else tick.kind,
        ledger_index=None if tick is None else tick.ledger_index,
        close_time=None if tick is None else tick.close_time,
        tick_age_seconds=_age(tick.close_time, now) if tick is not None and real else None,
        ledger_age_seconds=_ledger_age(tick, ledger, now if real else None),
        written_seconds=_written(db, now),
        quoting=None if tick is None else tick.quoting,
        why=answer.verdict,
        gates=() if tick is None else tuple(f"{one.name} {one.side}: {one.detail}" for one in tick.gates),
        monitors=() if tick is None else readings(connection, session, tick.tick),
        headroom_pct=headroom,
        tier=None if headroom is None else tier_of(headroom).name.lower(),
        orders=() if tick is None else _orders(connection, session, tick),
        holdings=None if tick is None else _holdings(tick),
        fills=None if tick is None else _fills(connection, session, tick),
    )


def _age(close_time: str, now: datetime) -> int:
    return max(0, int((now - datetime.fromisoformat(close_time)).total_seconds()))


def _ledger_age(tick: Tick | None, ledger: Tick | None, now: datetime | None) -> int | None:
    """Return the seconds since the last ledger; now: None where only the feed's time is known."""
    if tick is None or ledger is None:
        return None
    return _age(ledger.close_time, datetime.fromisoformat(tick.close_time) if now is None else now)


def _headroom(ledger: Tick) -> Decimal | None:
    """Return the headroom in percent at a ledger; a tick that stores none of its own had all of it."""
    if ledger.half_spread_bps is None:
        return None
    return dict(ledger.factors).get("quota_headroom_pct", WHOLE)


def _written(db: Path, now: datetime) -> int:
    newest = 0.0
    for path in (db, Path(f"{db}-wal")):
        try:
            newest = max(newest, path.stat().st_mtime)
        except FileNotFoundError:
            continue  # no WAL: everything is in the database
        except OSError as error:
            raise StateError(f"{path}: cannot be looked at ({error.strerror}); check permissions") from error
    return max(0, int((now - datetime.fromtimestamp(newest, UTC)).total_seconds()))


def _orders(connection: sqlite3.Connection, session: Session, tick: Tick) -> tuple[OpenOrder, ...]:
    market = connection.execute(
        "SELECT best_bid, best_ask FROM market_snapshots WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1",
        (session.session_id << TICK_BITS, session.session_id << TICK_BITS | tick.tick),
    ).fetchone()
    touch = {"buy": None, "sell": None} if market is None else {"buy": market[0], "sell": market[1]}
    found = []
    for one in open_orders(connection, session, tick.close_time):
        distance = None
        if touch["buy"] is not None and touch["sell"] is not None:
            bid, ask = (parse_number(touch[side], "best price") for side in ("buy", "sell"))
            ahead = one.price - bid if one.side == "buy" else ask - one.price
            distance = (ahead * BPS * 2 / (bid + ask)).quantize(_HUNDREDTH, NEAREST)
        found.append(
            OpenOrder(
                order_id=one.order_id,
                slot=one.slot,
                side=one.side,
                price=one.price,
                left_xrp=one.left_xrp,
                status=one.status,
                distance_bps=distance,
            )
        )
    return tuple(found)


def _holdings(tick: Tick) -> Holdings:
    fees = ZERO if tick.mark is None else xrp_from_drops(tick.fees_drops) * tick.mark
    return Holdings(
        xrp=xrp_from_drops(tick.inventory_drops),
        quote=tick.inventory_quote,
        mark=tick.mark,
        realised=tick.realised,
        unrealised=tick.unrealised,
        fees_drops=tick.fees_drops,
        pnl=tick.realised + tick.unrealised - fees,
        account_value=tick.account_value,
    )


def _fills(connection: sqlite3.Connection, session: Session, tick: Tick) -> FillsLately:
    """Return the latest fills, newest first by their ids, until one is too old or another session's."""
    oldest = datetime.fromisoformat(tick.close_time) - timedelta(seconds=FILLS_SECONDS)
    count, bought, sold = 0, 0, 0
    for row in connection.execute(
        "SELECT session_id, close_time, side, xrp_drops FROM fills ORDER BY id DESC"
    ):
        if row["session_id"] != session.session_id or datetime.fromisoformat(row["close_time"]) < oldest:
            break
        count += 1
        bought += row["xrp_drops"] if row["side"] == "buy" else 0
        sold += row["xrp_drops"] if row["side"] == "sell" else 0
    return FillsLately(count=count, bought_xrp=xrp_from_drops(bought), sold_xrp=xrp_from_drops(sold))


def status_json(status: Status) -> str:
    """Return the status as one JSON object, ASCII only: counts are numbers, every amount is exact text."""
    return json.dumps(msgspec.to_builtins(status), indent=2)


def _lines(status: Status) -> list[tuple[str, str]]:
    who = f"yes, process {status.pid}" if status.pid else "yes" if status.running else "no"
    lines = [("running", who)]
    if status.kill_requested is not None:
        lines.append(("kill file", status.kill_requested))
    if status.kill_latch is not None:
        lines.append(("kill switch", f"holds for live sessions: {status.kill_latch}"))
    if status.pause is not None:
        lines.append(("paused", f"{status.pause.side}, by {status.pause.told}"))
    if status.session_id is None:
        return [*lines, ("session", "none yet")]
    lines.append(("session", f"{status.session_id}, {status.mode}, feed {status.feed}, {status.pair}"))
    lines.append(("since", f"{status.started_at}"))
    if status.ended_at is not None:
        detail = f" ({status.halt_detail})" if status.halt_detail else ""
        lines.append(("ended", f"{status.ended_at}: {status.halt_reason}{detail}"))
    if status.tick is None:
        return [*lines, ("last tick", "none yet")]
    age = "" if status.tick_age_seconds is None else f", {status.tick_age_seconds} s ago"
    lines.append(
        (
            "last tick",
            f"{status.tick} ({status.kind}), ledger {status.ledger_index}, {status.close_time}{age}; "
            f"written {status.written_seconds} s ago",
        )
    )
    lines.append(("quoting", f"{status.quoting}" if status.running else "nothing: no engine runs"))
    lines.append(("why", f"{status.why}"))
    lines += [("gate", gate) for gate in status.gates]
    lines += [(one.kind, f"{one.severity}: {one.detail}") for one in status.monitors]
    if status.ledger_age_seconds is not None:
        lines.append(("last ledger", f"{status.ledger_age_seconds} s ago"))
    if status.headroom_pct is not None:
        lines.append(("headroom", f"{plain(round(status.headroom_pct, 2))} %, tier {status.tier}"))
    if status.holdings is not None:
        lines += _holding_lines(status.holdings, (status.pair or "").partition("/")[2] or "RLUSD")
    if status.fills is not None:
        fills = status.fills
        minutes = FILLS_SECONDS // 60
        lines.append(
            (
                f"fills, {minutes} min",
                f"{fills.count}: bought {plain(fills.bought_xrp)} XRP, sold {plain(fills.sold_xrp)} XRP",
            )
        )
    return lines


def _holding_lines(held: Holdings, symbol: str) -> list[tuple[str, str]]:
    return [
        ("inventory", f"{money(held.xrp)} XRP, {money(held.quote)} {symbol}, at {money(held.mark)}"),
        (
            "P&L",
            f"{money(held.pnl)} {symbol}: realised {money(held.realised)}, "
            f"unrealised {money(held.unrealised)}, fees {held.fees_drops} drops",
        ),
        ("account value", f"{money(held.account_value)} {symbol}"),
    ]


def print_status(status: Status, stream: TextIO) -> None:
    """Write the status to `stream`."""
    console, fancy = console_on(stream), has_line_drawing(stream)
    console.print(Text("NEO status", style="bold"))
    rows = tuple(_lines(status))
    print_section(console, Section(title="", columns=("", ""), left=2, rows=rows, note=""), fancy)
    if status.tick is None:
        return
    orders = tuple(
        (
            one.slot,
            one.status,
            money(one.price),
            plain(one.left_xrp),
            NONE if one.distance_bps is None else f"{one.distance_bps:+f}",
        )
        for one in status.orders
    )
    columns = ("slot", "status", "price", "XRP left", "bps to touch")
    note = "" if orders else "none"
    print_section(
        console, Section(title="open orders", columns=columns, left=2, rows=orders, note=note), fancy
    )
