"""How the database is kept, as one checked value, and the wall clock's time as text."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from neo_engine.config import Config


class StateOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the database is kept.

    synchronous: NORMAL or FULL. group_commit_ticks: ticks a transaction, 1 = each. backups_kept: pre-run
    backups, 0 = none. checkpoint_interval_seconds: 0 = no timer. orphan_cleanup_days: see recovery,
    None = no clean-up (a command that only looks after the data). depth_levels: price levels stored on
    each side. account_lock: lock file that keeps a second engine off the same account (None: the
    database's own lock is all, as for paper).
    """

    synchronous: str
    busy_timeout_ms: int
    group_commit_ticks: int
    backups_kept: int
    checkpoint_interval_seconds: float
    orphan_cleanup_days: int | None
    depth_levels: int
    account_lock: Path | None


def options_of(config: Config, *, group_commit_ticks: int, account_lock: Path | None) -> StateOptions:
    """Return the options a configuration asks for; how often to commit is the session's choice."""
    return StateOptions(
        synchronous=config.state.synchronous,
        busy_timeout_ms=config.state.busy_timeout_ms,
        group_commit_ticks=group_commit_ticks,
        backups_kept=config.state.backups_kept,
        checkpoint_interval_seconds=float(config.engine.wal_checkpoint_interval_seconds),
        orphan_cleanup_days=config.reconciler.orphan_cleanup_days,
        depth_levels=config.engine.depth_levels,
        account_lock=account_lock,
    )


def utc_now() -> datetime:
    """Return the wall clock's time in UTC."""
    return datetime.now(UTC)


def iso(moment: datetime) -> str:
    """Return a moment as the UTC ISO-8601 text every table uses."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
