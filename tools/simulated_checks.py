"""What must hold after every session of a simulated trial, judged without the engine's own code.

The ledger's side is read from the model's transactions and their metadata through the server's commands
(past every fault) by the reader of `check_live`; the other side is the database, read as any outsider may.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import msgspec

from neo_engine.domain.halt import HaltReason
from neo_engine.rehearsal.world import Rehearsal
from neo_engine.report.summary import summarize
from neo_engine.session import DRIFT_KEY
from neo_engine.simulator.server.dispatch import answer
from neo_engine.state.connection import connect_reader
from tools.check_live import (
    Event,
    Refused,
    ask,
    check_fills,
    check_once,
    check_transactions,
    compare,
    history,
    sent_rows,
)

REASONS = frozenset(reason.value for reason in HaltReason)
UNTYPED = HaltReason.UNEXPECTED_HALT.value
FILLS = "SELECT ledger_index, transaction_index, node, side, xrp_drops, rlusd, rlusd_balance_delta FROM fills"
#: What goes out without a row when the disk fails: cancels, and what withdraws an order that is on its way.
BARE = ("OfferCancel ", "AccountSet ")
#: What the rows cannot have yet of ledgers that no tick has seen.
NOT_YET = frozenset({"other result"})


class ModelWire:
    """The model network as `check_live` asks a server: the truth, whatever its clients are shown."""

    def __init__(self, world: Rehearsal) -> None:
        self._world = world

    def result(self, command: str, **parameters: Any) -> dict[str, Any]:
        """Return the result of a command. Raises Refused."""
        frame = msgspec.json.encode({"command": command, "api_version": 2, **parameters})
        reply = msgspec.json.decode(msgspec.json.encode(answer(frame, self._world.network, None)))
        if reply["status"] != "success":
            raise Refused(f"{command}: {reply.get('error')}: {reply.get('error_message')}")
        return dict(reply["result"])


def after_session(world: Rehearsal, db: Path, crashed: Collection[int], *, bare: bool) -> list[str]:
    """Return what is wrong after a session. crashed: ids of sessions without a last word of their own.

    bare: the disk has failed, so cancels may have gone out without a row (ARCHITECTURE: an offer that stands
    unwatched is worse).
    """
    found = [*_ends(db, crashed), *_reports(db, crashed)]
    last = ask(db, "SELECT coalesce(max(ledger_index), 0) FROM ticks WHERE kind = 'ledger'")[0][0]
    events = [
        one
        for one in history(ModelWire(world), world.account, world.network.issuer)
        if one.ledger_index >= world.first_ledger
    ]
    seen = [one for one in events if one.ledger_index <= last]
    rows = sent_rows(db)
    differences = [
        *check_transactions(
            seen, [one for one in rows if (one.place[0] or 0) <= last and _placed(one, seen)]
        ),
        *check_fills(seen, [row for row in ask(db, FILLS) if row[0] <= last]),
        *check_once(events, rows),
        *(one for one in check_transactions(events, rows) if one.kind not in NOT_YET),
    ]
    return found + _words(dict.fromkeys(map(_plain, differences)), bare=bare)


def _words(differences: Iterable[Any], *, bare: bool) -> list[str]:
    return [
        f"{one.kind}: {one.detail}"
        for one in differences
        if not (bare and one.kind == "unknown transaction" and one.detail.startswith(BARE))
    ]


class _Plain(msgspec.Struct, frozen=True):
    kind: str
    detail: str


def _plain(one: Any) -> _Plain:
    return _Plain(one.kind, one.detail)


def _placed(row: Any, seen: list[Event]) -> bool:
    return row.result is not None or any(one.tx_hash == row.tx_hash for one in seen)


def _ends(db: Path, crashed: Collection[int]) -> list[str]:
    found = []
    for number, reason in ask(db, "SELECT session_id, halt_reason FROM sessions"):
        if number in crashed:
            if reason not in (None, "", *REASONS):
                found.append(f"untyped halt: session {number} ended with {reason!r}")
        elif reason not in REASONS or reason == UNTYPED:
            detail = ask(db, "SELECT halt_detail FROM sessions WHERE session_id = ?", number)[0][0]
            found.append(f"untyped halt: session {number} ended with {reason!r}: {detail}")
    drift = ask(db, "SELECT value FROM engine_state WHERE key = ?", DRIFT_KEY)
    return found + [f"inventory drift: {row[0]}" for row in drift]


def _reports(db: Path, crashed: Collection[int]) -> list[str]:
    """Compare every session's report with the engine's own word."""
    found = []
    connection = connect_reader(db)
    try:
        for (number,) in connection.execute(
            "SELECT session_id FROM sessions WHERE ended_at IS NOT NULL"
        ).fetchall():
            told = summarize(connection, number).agreement
            found += [
                f"report: session {number}: {one.name}: report {one.report}, engine {one.engine}"
                for one in told.differences
                if number not in crashed
            ]
    except sqlite3.Error as error:
        found.append(f"report: {error}")
    finally:
        connection.close()
    return found


def at_the_end(world: Rehearsal, db: Path, *, bare: bool) -> tuple[dict[str, int], list[str]]:
    """Compare everything to the last digit once the book is clear; return counts and differences."""
    verdict = compare(ModelWire(world), db, world.account, world.first_ledger)
    return verdict.counts, _words(verdict.differences, bare=bare)
