"""docs/schema.md against the database itself, both ways."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from neo_engine.state.schema import load_migrations, migrate, migrations_folder

Columns = dict[str, tuple[str, ...]]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    path = tmp_path / "schema.db"
    connection = sqlite3.connect(path, isolation_level=None)
    migrate(connection, load_migrations(migrations_folder()), path, "2026-11-20T00:00:00Z")
    yield connection
    connection.close()


@pytest.fixture
def document(root: Path) -> str:
    return (root / "docs" / "schema.md").read_text(encoding="utf-8")


def in_database(connection: sqlite3.Connection) -> Columns:
    names = connection.execute(
        "SELECT name || ' (' || type || ')', name FROM sqlite_schema WHERE type IN ('table', 'view')"
    ).fetchall()
    return {
        heading: tuple(row[1] for row in connection.execute(f"PRAGMA table_xinfo({name})"))
        for heading, name in names
    }


def in_document(text: str) -> Columns:
    found: Columns = {}
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        heading, _, body = section.partition("\n")
        columns = tuple(re.findall(r"^\| `(\w+)` \| [^|]+\w[^|]* \| [^|]+\w[^|]* \|$", body, re.MULTILINE))
        if columns:
            found[heading] = columns
    return found


def test_the_document_has_every_table_view_and_column_in_order_with_unit_and_meaning(
    database: sqlite3.Connection, document: str
) -> None:
    assert in_document(document) == in_database(database)


def test_every_example_of_the_document_runs(database: sqlite3.Connection, document: str) -> None:
    examples = re.findall(r"```sql\n(.*?)```", document, flags=re.DOTALL)
    assert len(examples) >= 3
    for example in examples:
        database.execute(example).fetchall()
