"""Plays a journaled live session again: the same engine, with the journal in place of the world.

Nothing is connected and nothing is signed: every answer, ledger and signature is the journal's, and whatever
the engine asks or makes must be what the session asked and made, or the replay stops there.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
from pydantic import ValidationError

from neo_engine.bootstrap import REPLAY, open_state
from neo_engine.config import Config
from neo_engine.domain.errors import FeedError, NeoError, StartupFailure, StateError
from neo_engine.feed.journal_play import (
    Journal,
    PlayedControl,
    PlayedSignals,
    PlayedSigner,
    PlayedSource,
    PlayedTimer,
)
from neo_engine.live_left import LeftBehind
from neo_engine.live_session import FEED, LiveOptions, World, run_session
from neo_engine.ports import Clock
from neo_engine.session import SessionResult, TickView, record_failed_start


class _Header(msgspec.Struct, frozen=True, kw_only=True):
    """See `live_session.journal_header`."""

    config: dict[str, object]
    seed: int
    duration_seconds: int | None
    dry_run: bool
    adopt_offers: bool
    address: str
    names: tuple[str, ...]
    behind: LeftBehind


def play_journal(
    path: Path, db: Path, clock: Clock, on_tick: Callable[[Config], Callable[[TickView], None]]
) -> SessionResult:
    """Play a journal into a database and return how the session ended.

    on_tick: makes the viewer for a configuration. Raises FeedError for what is no journal, JournalMismatch
    where the engine does something else than the session did.
    """
    with closing(Journal.open(path)) as journal:
        header = _header(journal)
        config = _config(journal, header)
        options = LiveOptions(
            config=config,
            db=db,
            consent=config.live.account if config.live else "",
            endpoints=(),
            seed=header.seed,
            duration_seconds=header.duration_seconds,
            on_tick=on_tick(config),
            dry_run=header.dry_run,
            adopt_offers=header.adopt_offers,
        )
        with open_state(db, config, clock) as store:
            try:
                result = run_session(options, _world(journal, header), header.behind, clock, store)
            except NeoError as error:
                if isinstance(error, StateError):
                    raise
                record_failed_start(
                    store, clock, mode=REPLAY, feed=FEED, seed=header.seed, config=config, detail=str(error)
                )
                raise StartupFailure(f"startup_failure: {error}") from error
        journal.finish()
        return result.session


def _world(journal: Journal, header: _Header) -> World:
    return World(
        source=PlayedSource(journal),
        signer=PlayedSigner(journal),
        address=header.address,
        names=header.names,
        control=PlayedControl(journal),
        signals=PlayedSignals(journal),
        mode=REPLAY,
        timer=lambda _start: PlayedTimer(journal),
    )


def _header(journal: Journal) -> _Header:
    try:
        return msgspec.convert(journal.header, _Header, strict=False)
    except msgspec.ValidationError as error:
        raise FeedError(f"journal {journal.path}: its header is damaged ({error})") from error


def _config(journal: Journal, header: _Header) -> Config:
    try:
        return Config.model_validate(header.config)
    except ValidationError as error:
        raise FeedError(
            f"journal {journal.path}: this engine does not read its configuration "
            f"({error.error_count()} faults); play it with the engine that wrote it"
        ) from error
