"""The command that takes away the details of old sessions, and old bundles of incidents: `prune`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from neo_engine.domain.errors import UsageError
from neo_engine.incident.keep import INCIDENTS_KEPT, Bundles, bundles, remove
from neo_engine.ops.clock import SystemClock
from neo_engine.ops.logs import setup_logging
from neo_engine.state.prune import Pruned, plan, prune

MAX_DAYS = 36_500


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_DAYS):
        raise argparse.ArgumentTypeError(f"{text!r}: write a whole number of days, 1 to {MAX_DAYS}")
    return int(text)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `prune`."""
    parser.add_argument("--db", type=Path, required=True)
    parser.add_argument(
        "--keep-days", type=_days, required=True, help="sessions that ended within as many days stay whole"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would go, change nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")


def run(options: argparse.Namespace) -> int:
    """Say what would go, and unless it is a dry run remove it once the operator agrees.

    Raises UsageError where nobody can be asked, StateError when the database cannot be read or written.
    """
    setup_logging("WARNING", quiet=False)
    now = SystemClock().utc_now()
    found, incidents = plan(options.db, options.keep_days, now), bundles(options.db)
    done = bool(found.sessions or incidents.surplus) and not options.dry_run
    if done:
        if not options.json:
            print(_told(found, incidents, done=False))
        _agree(options, len(found.sessions), len(incidents.surplus))
        if found.sessions:
            found = prune(options.db, options.keep_days, now)
        remove(incidents)
    if options.json:
        sys.stdout.write(msgspec.json.encode(_document(found, incidents)).decode() + "\n")
    else:
        print(_told(found, incidents, done=done))
    return 0


def _agree(options: argparse.Namespace, sessions: int, incidents: int) -> None:
    if options.yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("prune: nothing was removed; add --yes to remove it, or --dry-run to look only")
    what = f"the details of {sessions} sessions and {incidents} folders of incidents"
    if input(f"Remove {what} for good? [y/N] ").strip().lower() not in ("y", "yes"):
        raise UsageError("prune: nothing was removed")


def _document(found: Pruned, incidents: Bundles) -> dict[str, object]:
    told: dict[str, object] = msgspec.to_builtins(found)
    return told | {
        "incidents": [one.name for one in incidents.surplus],
        "incidents_by_hand": [one.name for one in incidents.by_hand],
    }


def _told(found: Pruned, incidents: Bundles, *, done: bool) -> str:
    word = "removed" if done else "to remove"
    lines = [
        f"session {one.session_id}, ended {one.ended_at}: {one.removed['ticks']:,} of {one.ticks:,} ticks, "
        f"{one.removed['market_snapshots']:,} snapshots, {one.removed['feed_faults']:,} feed faults, "
        f"{one.removed['monitor_readings']:,} readings {word}"
        for one in found.sessions
    ]
    lines += [f"incident {one.name}: {word}" for one in incidents.surplus]
    if not lines:
        lines.append("nothing to remove")
    if incidents.by_hand:
        lines.append(
            f"{len(incidents.by_hand)} incidents that somebody worked on stay besides the newest "
            f"{INCIDENTS_KEPT}; remove them by hand"
        )
    if found.backup is not None:
        lines.append(f"{found.bytes_before:,} bytes before, {found.bytes_after:,} after")
        lines.append(f"backup: {found.backup}")
    return "\n".join(lines)
