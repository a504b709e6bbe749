"""Logging: readable lines with UTC times on stderr, JSON lines in a file; stdout belongs to the result.

What is logged comes from `event_log.say`: the event's name and numbers for programs, words for people. A line
of another origin (the simulator's) is named after its place, `module.function`. Where in the session a line
belongs is told by one `LogContext`, which the session sets at its beginning and at every tick.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TextIO

import msgspec

from neo_engine.config_sections import AUTO, NONE, LogConfig
from neo_engine.domain.number import plain
from neo_engine.ops.clock import iso
from neo_engine.ops.log_file import LogFile
from neo_engine.ops.secrets import redact

NAME_BYTES_MAX = 255  # of a file's name, on every file system in use (path_resolution(7): NAME_MAX)
LOGGER_NAME = "neo_engine"
FILE_ONLY = frozenset({"session_failed"})  # events: the console gets them by another way
LOG_SUFFIX = ".log.jsonl"  # beside the database
MAX_MESSAGE_CHARS = 8_000  # of one line: a server's whole answer belongs into no log
MAX_TRACEBACK_CHARS = 32_000  # deeper than any stack of ours; the end, where the error is, is kept


class LogContext:
    """Where in a session a log line belongs; None while it is not known yet."""

    __slots__ = ("ledger", "pair", "session", "tick")

    def __init__(self) -> None:
        self.session: int | None = None
        self.tick: int | None = None
        self.ledger: int | None = None
        self.pair: str | None = None

    def begin(self, session: int, pair: str) -> None:
        """Note the session that begins."""
        self.session, self.pair, self.tick, self.ledger = session, pair, None, None

    def at(self, tick: int, ledger: int) -> None:
        """Note the tick that is made, and its ledger."""
        self.tick, self.ledger = tick, ledger


class JsonFormatter(logging.Formatter):
    """One JSON object a record, every text of it redacted, on one line."""

    def __init__(self, context: LogContext) -> None:
        super().__init__()
        self._context = context

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end; fields that are not known are left out."""
        context = self._context
        fields: dict[str, object] = {
            "time": iso(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname,
            "event": event_of(record),
            "message": redact(record.getMessage())[:MAX_MESSAGE_CHARS],
            "session": context.session,
            "tick": context.tick,
            "ledger": context.ledger,
            "pair": context.pair,
        }
        numbers = getattr(record, "numbers", None)
        if isinstance(numbers, Mapping) and numbers:
            fields["numbers"] = {redact(str(name)): _value(value) for name, value in numbers.items()}
        if record.exc_info:
            told = record.exc_text or self.formatException(record.exc_info)
            fields["traceback"] = redact(told)[-MAX_TRACEBACK_CHARS:]
        known = {name: value for name, value in fields.items() if value is not None}
        return msgspec.json.encode(_writable(known)).decode()


def event_of(record: logging.LogRecord) -> str:
    """Return the record's event: as its call gave it, else `module.function` of the place."""
    given = getattr(record, "event", None)
    return redact(str(given)) if given else f"{record.module}.{record.funcName.strip('_')}"


def _value(value: object) -> object:
    """Return a number as JSON can hold it; decimals are exact text, like everywhere in the project."""
    if isinstance(value, Decimal):
        return plain(value) if value.is_finite() else str(value)
    return value if isinstance(value, (bool, int, float, type(None))) else redact(str(value))


def _writable(value: object) -> object:
    """Return the value with every text in UTF-8: half of a surrogate pair has no place in it."""
    if isinstance(value, dict):
        return {_writable(name): _writable(inner) for name, inner in value.items()}
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def setup_logging(level: str, quiet: bool, file: LogFile | None = None) -> logging.Logger:
    """Return the engine's logger, writing lines of at least `level` to stderr (WARNING when quiet).

    file: takes every line of at least `level` besides; its formatter is set already.
    """
    logger = logging.getLogger(LOGGER_NAME)
    close_logging()
    chosen = logging.getLevelNamesMapping()[level]
    console = _Console()
    formatter = logging.Formatter("%(asctime)sZ %(levelname)-7s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    console.setFormatter(formatter)
    console.addFilter(lambda record: getattr(record, "event", None) not in FILE_ONLY)
    console.setLevel(max(chosen, logging.WARNING) if quiet else chosen)
    logger.addHandler(console)
    if file is not None:
        logger.addHandler(file)
    logger.propagate = False
    logger.setLevel(min(console.level, chosen) if file is not None else console.level)
    return logger


class _Console(logging.StreamHandler[TextIO]):
    """Writes to stderr, and where that was closed meanwhile, to what is stderr then."""

    stream: TextIO  # the live view puts itself in its place

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        if self.stream.closed:
            self.stream = sys.stderr
        super().emit(record)


def close_logging() -> None:
    """Take the logger's handlers away, close them and leave it as Python made it; may be called twice."""
    logger = logging.getLogger(LOGGER_NAME)
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.propagate = True
    logger.setLevel(logging.NOTSET)


def log_path(file: str, db: Path) -> Path | None:
    """Return where a session on `db` logs to, by its `log.file`; None for nowhere but stderr."""
    if file == NONE:
        return None
    return db.with_name(db.name + LOG_SUFFIX) if file == AUTO else Path(file).expanduser()


def stored_log(file: str | None, db: Path) -> Path | None:
    """Return the log of a stored session that is still there, None without one; file: its `log.file`."""
    path = log_path(file or NONE, db)
    return path if path is not None and path.is_file() else None


def _can_be(path: Path) -> bool:
    return path.parent.is_dir() and len(os.fsencode(path.name)) <= NAME_BYTES_MAX


@contextmanager
def session_logging(config: LogConfig, db: Path, *, quiet: bool) -> Iterator[LogContext]:
    """Log to stderr and to the file while the block runs; the file is closed however it ends."""
    context, path = LogContext(), log_path(config.file, db)
    file = None
    # Where no database can be either, the session is refused with one line, which needs no second one.
    if path is not None and (config.file != AUTO or _can_be(path)):
        file = LogFile(path, max_bytes=config.max_bytes, kept_files=config.kept_files)
        file.setFormatter(JsonFormatter(context))
    logger = setup_logging(config.level, quiet, file)
    try:
        yield context
    finally:
        if file is not None:
            logger.removeHandler(file)
            file.close()
