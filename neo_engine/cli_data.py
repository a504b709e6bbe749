"""The commands that look after the data: backup, restore, kill, capital, config, verify-model."""

from __future__ import annotations

import argparse
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from neo_engine.config import config_json, load_config
from neo_engine.domain.capital import CapitalEvent, CapitalKind
from neo_engine.domain.errors import BadNumber, FeedError, StartupFailure, StateError, UsageError
from neo_engine.domain.number import parse_number
from neo_engine.feed.lines import LineReader
from neo_engine.ops.clock import SystemClock, iso
from neo_engine.ops.control import (
    MAX_NOTE_CHARS,
    REFUSED_SUFFIX,
    capital_amounts,
    inbox_path,
    request_capital,
    request_kill,
)
from neo_engine.ops.logs import setup_logging
from neo_engine.state import backup as backups
from neo_engine.state import queries
from neo_engine.state.lock import InstanceLock, database_lock_path, holder
from neo_engine.state.manager import StateManager
from neo_engine.state.options import StateOptions

if TYPE_CHECKING:
    from neo_engine.simulator.verify import Verdict

DEFAULT_QUOTE = "RLUSD"
_MAINTENANCE = StateOptions(
    synchronous="FULL",
    busy_timeout_ms=5000,
    group_commit_ticks=1,
    backups_kept=0,
    checkpoint_interval_seconds=0,
    orphan_cleanup_days=None,
    depth_levels=1,
    account_lock=None,
)


def running_engine(db: Path) -> str | None:
    """Return how to name the engine that runs on `db`, or None when none does.

    Raises StateError when the lock file can be neither taken nor read.
    """
    path = database_lock_path(db)
    try:
        InstanceLock.acquire(path, str(db), iso(SystemClock().utc_now())).release()
    except StateError:
        note = holder(path)
        if not note:
            raise
        return _named(note)
    return None


def _named(note: dict[str, object]) -> str:
    return f"process {note.get('pid')} (session {note.get('session') or 'not begun'})"


def backup(options: argparse.Namespace) -> int:
    """Back the database up and print where."""
    setup_logging("WARNING", quiet=False)
    print(backups.backup(options.db, options.to, SystemClock().utc_now()))
    return 0


def restore(options: argparse.Namespace) -> int:
    """Put a checked backup in the place of the database and print where the old one is kept."""
    setup_logging("WARNING", quiet=False)
    kept = backups.restore(options.db, options.source, SystemClock().utc_now())
    print(f"{options.db} restored from {options.source}" + (f"; the old one is {kept}" if kept else ""))
    return 0


def kill(options: argparse.Namespace) -> int:
    """Leave the kill file; the engine sees it within a quarter of a second."""
    if not options.db.exists():
        raise StateError(f"{options.db}: no such file; give the database of the session with --db")
    before = holder(database_lock_path(options.db))
    path = request_kill(options.db, options.reason)
    engine = running_engine(options.db)
    if engine is None and before and not path.exists():
        engine = _named(before)  # it has taken the file up and ended while we looked
    if engine is None:
        print(f"no engine runs on {options.db}; the next session will halt at once. To undo: remove {path}")
    else:
        print(f"kill switch set for {engine}")
    return 0


def capital(options: argparse.Namespace) -> int:
    """Enter a capital event, for the running session or the next one, or list them all."""
    setup_logging("WARNING", quiet=False)
    if options.action == "list":
        return _list_capital(options.db)
    event = _event(options)
    engine = running_engine(options.db)
    if engine is not None:
        request_capital(options.db, event)
        print(f"{event.request_id}: handed to {engine}; it takes effect with its next tick")
        return 0
    with closing(StateManager.open(options.db, _MAINTENANCE)) as store:
        new = store.add_waiting_capital(event, DEFAULT_QUOTE)
    told = "waits for the next session" if new else "was entered before; nothing changed"
    print(f"{event.request_id}: {told}")
    return 0


def note(options: argparse.Namespace) -> int:
    """Keep a note on a session that has ended, as only the engine writes while one runs."""
    setup_logging("WARNING", quiet=False)
    engine = running_engine(options.db)
    if engine is not None:
        raise StartupFailure(
            f"{options.db}: {engine} writes it now; enter the note when it has ended, or give the next "
            "session a --hypothesis"
        )
    if not options.db.exists():
        raise StateError(f"{options.db}: no such file; give the database of a session with --db")
    with closing(StateManager.open(options.db, _MAINTENANCE)) as store:
        with closing(queries.open_readonly(options.db)) as connection:
            session_id = queries.which_session(connection, options.session)
        if not store.add_note(session_id, options.text, iso(SystemClock().utc_now())):
            raise StateError(f"{options.db}: session {session_id} is gone; see --list")
    print(f"noted on session {session_id}")
    return 0


def _event(options: argparse.Namespace) -> CapitalEvent:
    missing = [f"--{name}" for name in ("kind", "asset", "amount") if getattr(options, name) is None]
    if missing:
        raise UsageError(
            f"capital add: {', '.join(missing)} missing; e.g. --kind deposit --asset XRP --amount 25"
        )
    try:
        amount = parse_number(options.amount, "--amount")
        drops, quote = capital_amounts(options.asset, amount, DEFAULT_QUOTE)
    except BadNumber as error:
        raise UsageError(f"capital add: {error}") from error
    if len(options.note) > MAX_NOTE_CHARS:
        raise UsageError(f"capital add: --note: {len(options.note)} characters, at most {MAX_NOTE_CHARS}")
    request_id = options.request_id or uuid.uuid4().hex
    if not (request_id.replace("-", "").isalnum() and len(request_id) <= 64):
        raise UsageError(f"capital add: --request-id {request_id!r}: use up to 64 letters, digits and dashes")
    return CapitalEvent(
        request_id=request_id,
        kind=CapitalKind(options.kind),
        base_drops=drops,
        quote=quote,
        note=options.note,
        created_at=iso(SystemClock().utc_now()),
    )


def _list_capital(db: Path) -> int:
    with closing(queries.open_readonly(db)) as connection:
        rows = connection.execute(
            "SELECT session_id, kind, asset, amount, status, effective_at, note, reason "
            "FROM capital_events ORDER BY id"
        ).fetchall()
    for session, kind, asset, amount, status, at, note, reason in rows:
        place = f"session {session}" if session is not None else "no session yet"
        print("  ".join(filter(None, (f"{kind} {amount} {asset}", status, place, at, note, reason))))
    for path in sorted(inbox_path(db).glob("*.json")):
        print(f"not yet taken up: {path}")
    for path in sorted(inbox_path(db).glob(f"*{REFUSED_SUFFIX}")):
        print(f"unreadable, refused: {path}")
    return 0


def config(options: argparse.Namespace) -> int:
    """Check a configuration file; show prints it as canonical JSON."""
    loaded = load_config(options.config)
    if options.action == "show":
        print(config_json(loaded))
    else:
        print(f"{options.config}: good", file=sys.stderr)
    return 0


def verify_model(options: argparse.Namespace) -> int:
    """Run a recording through the model ledger and print how far they agree."""
    # The model takes a fifth of a second to import, which no other verb should wait for.
    from neo_engine.simulator.verify import verify

    try:
        with closing(LineReader(options.recording)) as reader:
            verdict = verify(_lines(reader), str(options.recording))
    except FeedError as error:
        raise StartupFailure(str(error)) from error
    if options.json:
        print(msgspec.json.encode(verdict).decode())
    else:
        _print_verdict(verdict)
    return 0


def _lines(reader: LineReader) -> Iterator[bytes]:
    while (line := reader.next_line()) is not None:
        yield line
    if reader.failure is not None:
        raise FeedError(f"recording {reader.failure.text}; name another file")


def _print_verdict(verdict: Verdict) -> None:
    total = verdict.transactions
    print(f"{'transactions':28}{total:>9,}")
    for name, count in (
        ("exact result codes", verdict.exact_result_codes),
        ("same effects, within 1e-9", verdict.same_effects),
        ("exact metadata", verdict.exact_metadata),
    ):
        # Cut, not rounded: 100.000 % means every one.
        thousandths = count * 100_000 // total if total else 0
        print(f"{name:28}{count:>9,}{thousandths // 1000:>6}.{thousandths % 1000:03} %")
    print(f"{'end state of the chained run':28}{'equal' if verdict.end_state_equal else 'different':>9}")
    for one in verdict.differences:
        print(f"  {one.count:>6,}  {one.type}: {one.cause}; first: {one.example}")
