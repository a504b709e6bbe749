"""The migrations runner: numbered SQL files, forward only, each in one transaction, recorded.

1. A file that was applied never changes: its sha256 is kept and compared at every opening.
2. A database that knows a migration this code does not know is newer and is refused.
3. Numbers run 1, 2, 3, ... without a gap, so a version is one number.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from pathlib import Path

import msgspec

import neo_engine
from neo_engine.domain.errors import StateError
from neo_engine.event_log import say
from neo_engine.state.connection import explain

_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_TABLE = """CREATE TABLE IF NOT EXISTS schema_migrations (
    version    INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    sha256     TEXT NOT NULL,
    applied_at TEXT NOT NULL
) STRICT"""


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the migrations folder; sha256 is taken over its text with Unix line ends."""

    version: int
    name: str
    sha256: str
    sql: str


def migrations_folder() -> Path:
    """Return the folder `migrations` beside the package, wherever that is installed."""
    return Path(neo_engine.__file__).resolve().parent.parent / "migrations"


def load_migrations(folder: Path) -> tuple[Migration, ...]:
    """Return the migrations in `folder`, in order. Raises StateError when any is missing or misnamed."""
    if not folder.is_dir():
        raise StateError(f"{folder}: the migrations folder is missing; check the project out again")
    found = []
    for path in sorted(folder.glob("*.sql")):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            raise StateError(f"{path}: a migration must be called like 0002_what_it_does.sql; rename it")
        try:
            # A checkout on Windows may turn line ends around; that is no edit.
            sql = path.read_text(encoding="utf-8").replace("\r\n", "\n")
        except (OSError, UnicodeDecodeError) as error:
            raise StateError(f"{path}: cannot be read ({error}); check the project out again") from error
        digest = hashlib.sha256(sql.encode()).hexdigest()
        found.append(Migration(version=int(match[1]), name=match[2], sha256=digest, sql=sql))
    versions = [migration.version for migration in found]
    if not found or versions != list(range(1, len(found) + 1)):
        raise StateError(
            f"{folder}: migrations must be numbered 1, 2, 3, ... (found {versions}); add or rename"
        )
    return tuple(found)


def _applied(connection: sqlite3.Connection) -> list[tuple[int, str, str]]:
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if "schema_migrations" in tables:
        query = "SELECT version, name, sha256 FROM schema_migrations ORDER BY version"
        return list(connection.execute(query))
    if tables:
        raise StateError(
            "is a database of another program; give a file made by NEO, or a new name, with --db"
        )
    return []


def current_version(connection: sqlite3.Connection, known: tuple[Migration, ...], path: Path) -> int:
    """Return how many of the `known` migrations the database has.

    Raises StateError for another program's database, a newer one, and an edited migration.
    """
    try:
        applied = _applied(connection)
    except sqlite3.Error as error:
        raise explain(path, "reading its schema version", error) from error
    except StateError as error:
        raise StateError(f"{path}: {error}") from None
    if len(applied) > len(known):
        raise StateError(
            f"{path}: made by a newer NEO (schema {len(applied)}, this one knows {len(known)}); "
            "update NEO or restore an older backup"
        )
    for (version, name, sha256), migration in zip(applied, known, strict=False):
        if (version, sha256) != (migration.version, migration.sha256):
            raise StateError(
                f"{path}: migration {version:04d}_{name} was edited after it was applied; "
                "put the file back and write a new migration instead"
            )
    return len(applied)


def require_current(connection: sqlite3.Connection, path: Path) -> None:
    """Raise StateError unless the database has exactly the schema this code reads."""
    known = load_migrations(migrations_folder())
    version = current_version(connection, known, path)
    if version < len(known):
        raise StateError(
            f"{path}: has schema {version}, this NEO reads {len(known)}; "
            "start a session on it once to upgrade it"
        )


def migrate(connection: sqlite3.Connection, known: tuple[Migration, ...], path: Path, now: str) -> int:
    """Apply what is missing, each migration whole or not at all, and return how many were applied.

    now: UTC ISO-8601 text that is recorded. Raises StateError naming the migration that failed.
    """
    version = current_version(connection, known, path)
    missing = known[version:]
    for migration in missing:
        _apply(connection, migration, path, now)
        say.info(
            "migration_applied",
            "database {}: applied migration {version:04d}_{}",
            path,
            migration.name,
            version=migration.version,
        )
    return len(missing)


def _apply(connection: sqlite3.Connection, migration: Migration, path: Path, now: str) -> None:
    label = f"migration {migration.version:04d}_{migration.name}"
    try:
        # Rebuilding a table needs foreign keys off; they are checked as a whole before the commit
        # (sqlite.org/lang_altertable.html, section 7).
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.executescript(f"BEGIN IMMEDIATE;\n{_TABLE};\n{migration.sql}")
        if not connection.in_transaction:
            raise StateError(f"{path}: {label} ends its own transaction; remove COMMIT and ROLLBACK from it")
        broken = connection.execute("PRAGMA foreign_key_check").fetchall()
        if broken:
            raise StateError(
                f"{path}: {label} leaves {len(broken)} rows pointing nowhere, e.g. {broken[0]}; fix it"
            )
        connection.execute(
            "INSERT INTO schema_migrations (version, name, sha256, applied_at) VALUES (?, ?, ?, ?)",
            (migration.version, migration.name, migration.sha256, now),
        )
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise explain(path, label, error) from error
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.execute("PRAGMA foreign_keys = ON")
