"""Runs one SELECT that somebody typed, so that it can neither write nor run for ever, and writes its answer.

1. The connection is `mode=ro` and an authorizer refuses everything but reading: no write, no attached
   file, no setting. Either alone would do; the second gives a clear message.
2. A progress handler ends a query after its time, and no single value may be larger than VALUE_BYTES_MAX.
3. CSV and JSON give each value as stored: integers and texts whole, a REAL with the digits that give it
   back, a blob as hex, NULL as nothing. The table is to look at: a REAL has ten digits there.
"""

from __future__ import annotations

import csv
import json
import math
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TextIO

import msgspec
from rich import box
from rich.table import Table
from rich.text import Text

from neo_engine.domain.errors import UsageError
from neo_engine.report.render_text import console_on, has_line_drawing, printable

Value = None | int | float | str | bytes
Row = tuple[Value, ...]

#: Steps of SQLite's machine between two looks at the clock: some hundred a second.
STEPS_BETWEEN_LOOKS = 20_000
VALUE_BYTES_MAX = 16_000_000  # a configuration has a few thousand; zeroblob(1e9) is a mistake
_READING = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)
#: Pragmas that only show; and what SQLite says when it meets json_each or the like for the first time and
#: declares its columns. A real UPDATE of the schema's table is refused by SQLite itself, and by mode=ro.
_ALSO = frozenset(
    {
        (sqlite3.SQLITE_PRAGMA, "table_info"),
        (sqlite3.SQLITE_PRAGMA, "table_xinfo"),
        (sqlite3.SQLITE_PRAGMA, "table_list"),
        (sqlite3.SQLITE_UPDATE, "sqlite_master"),
    }
)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """columns: their names. rows: at most as many as asked for. more: there would have been further ones."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    more: bool


class _Guard:
    """Looks at each step that a query prepares and at the clock while it runs."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self.refused = False
        self.timed_out = False
        self._clock = clock
        self._end = clock() + seconds

    def authorize(self, action: int, first: str | None, *_others: str | None) -> int:
        """Allow reading only."""
        if action in _READING or (action, first) in _ALSO:
            return sqlite3.SQLITE_OK
        self.refused = True
        return sqlite3.SQLITE_DENY

    def progress(self) -> int:
        """Return 1, which ends the query, when its time is over."""
        self.timed_out = self._clock() >= self._end
        return int(self.timed_out)


class Running:
    """A query that has begun: its columns, and its rows one at a time. The caller closes it."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        sql: str,
        values: dict[str, int],
        *,
        seconds: float,
        clock: Callable[[], float],
    ) -> None:
        """Begin one SELECT. clock: monotonic. Raises UsageError for SQL that is wrong or would write."""
        self._connection, self._seconds = connection, seconds
        self._guard = _Guard(seconds, clock)
        connection.row_factory = None
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX)
        connection.set_authorizer(self._guard.authorize)
        connection.set_progress_handler(self._guard.progress, STEPS_BETWEEN_LOOKS)
        try:
            with self._told():
                self._cursor = connection.execute(sql, values)
            if self._cursor.description is None:
                raise UsageError("query: there is no SELECT in it; `query --list` names the questions")
        except BaseException:
            self.close()
            raise
        self.columns = tuple(column[0] for column in self._cursor.description)

    def close(self) -> None:
        """Let the connection do again what it may; no row comes after it."""
        self._connection.set_progress_handler(None, 0)
        self._connection.set_authorizer(None)

    def rows(self) -> Iterator[Row]:
        """Yield the rows. Raises UsageError when the time is over."""
        with self._told():
            yield from self._cursor

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise _explained(error, self._guard, self._seconds) from error
        except ValueError as error:  # a NUL character, or a letter that is half of one
            raise UsageError(f"query: {error}") from error


def answer_of(running: Running, limit: int | None) -> Answer:
    """Return the answer whole. limit: rows wanted, None for all."""
    rows = tuple(islice(running.rows(), None if limit is None else limit + 1))
    more = limit is not None and len(rows) > limit
    return Answer(columns=running.columns, rows=rows[:limit], more=more)


def _explained(error: Exception, guard: _Guard, seconds: float) -> BaseException:
    if guard.timed_out:
        return UsageError(
            f"query: stopped after {seconds:g} s; ask for less (a session's ticks by their id, see "
            "docs/schema.md), or give more time with --timeout"
        )
    if guard.refused:
        return UsageError("query: only reading is allowed, and this would do more; nothing was changed")
    if getattr(error, "sqlite_errorname", "") == "SQLITE_INTERRUPT":
        return KeyboardInterrupt()  # Ctrl-C while SQLite was at work
    return UsageError(f"query: {error}")


# -- the answer as text


def _exact(value: Value) -> int | float | str | None:
    """Return a value as CSV and JSON give it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no word for it
    return value


def write_csv(running: Running, stream: TextIO, *, limit: int | None) -> tuple[int, bool]:
    """Write a header line and the rows as they come; NULL is an empty field.

    Returns how many rows there were, and whether `limit` cut them.
    """
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(running.columns)
    count = 0
    for row in running.rows():
        if count == limit:
            return count, True
        writer.writerow([_exact(value) for value in row])
        count += 1
    return count, False


def write_json(answer: Answer, stream: TextIO, *, session: int | None) -> None:
    """Write one JSON object, ASCII only, a row a line."""
    lines = ",\n  ".join(json.dumps([_exact(value) for value in row]) for row in answer.rows)
    rows = f"[\n  {lines}\n ]" if lines else "[]"
    stream.write(
        f'{{\n "session": {json.dumps(session)},\n "columns": {json.dumps(answer.columns)},\n'
        f' "more": {json.dumps(answer.more)},\n "rows": {rows}\n}}\n'
    )


def _cell(value: Value) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.10g}"
    return printable(value) if isinstance(value, str) else str(_exact(value))


def _is_number(column: Iterator[Value]) -> bool:
    known = [value for value in column if value is not None]
    return bool(known) and all(isinstance(value, (int, float)) for value in known)


def write_table(answer: Answer, stream: TextIO) -> None:
    """Write the rows as a table: as wide as the terminal, elsewhere as wide as it needs to be."""
    console = console_on(stream)
    fancy = has_line_drawing(stream)
    table = Table(box=box.SIMPLE_HEAD if fancy else box.ASCII2, show_edge=False, pad_edge=False)
    for index, name in enumerate(answer.columns):
        number = _is_number(row[index] for row in answer.rows)
        table.add_column(
            Text(printable(name)), justify="right" if number else "left", no_wrap=number, overflow="fold"
        )
    for row in answer.rows:
        table.add_row(*(Text(_cell(value)) for value in row))
    if not stream.isatty():
        unbounded = console.options.update(width=sys.maxsize)
        console.width = max(1, table.__rich_measure__(console, unbounded).maximum)
    console.print(table)


def write_list(names: Sequence[tuple[str, str]], stream: TextIO) -> None:
    """Write names and what each asks, aligned."""
    width = max(len(name) for name, _ in names)
    for name, text in names:
        stream.write(f"{name:<{width}}  {text}\n")
