"""Whether the open database is still the file of its name.

SQLite writes on into a file that was renamed, deleted or replaced: nothing fails, and what is written is not
found under its name. So each commit looks first. The write-ahead log is looked at too: without it, what no
checkpoint has moved yet is lost when the process ends.
"""

from __future__ import annotations

import os
import sqlite3
from datetime import datetime
from pathlib import Path

from neo_engine.domain.errors import StateError
from neo_engine.event_log import say
from neo_engine.state.backup import rescue

Identity = tuple[int, int]  # device and inode: the file itself, whatever its name


def _identity(path: Path) -> Identity | None:
    """Return which file has that name; None for none, or for one that cannot be looked at."""
    try:
        found = os.stat(path)  # noqa: PTH116 - a third of the time of Path.stat, twice a tick
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Place:
    """The files of an open database."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: dict[Path, Identity] = {}
        self._rescued: Path | None = None

    def note(self) -> None:
        """Remember the files as they are; called once a first row was written, so that all are there."""
        for file in (self._path, Path(f"{self._path}-wal")):
            identity = _identity(file)
            if identity is not None:
                self._files[file] = identity

    @property
    def gone(self) -> Path | None:
        """The first of the files that has another place, or none; None while all are where they were."""
        for file, identity in self._files.items():
            if _identity(file) != identity:
                return file
        return None

    def check(self) -> None:
        """Raise StateError unless the files are where they were."""
        file = self.gone
        if file is not None:
            raise StateError(
                f"{file}: the file is gone (moved, deleted or replaced); put it back under its name"
            )

    def rescue(self, connection: sqlite3.Connection, now: datetime) -> str:
        """Copy a database whose file is gone to `<db>.rescued-<time>`, once; return what to tell, or ""."""
        if self.gone is None or self._rescued is not None:
            return ""
        try:
            self._rescued = rescue(connection, self._path, now)
        except StateError as error:
            say.error(
                "database_lost", "{}: its file is gone and it could not be copied: {}", self._path, error
            )
            return "; the database's file is gone and it could not be copied"
        say.error(
            "database_rescued", "{}: its file is gone; what was stored is in {}", self._path, self._rescued
        )
        return f"; the database's file is gone, what was stored is in {self._rescued}"
