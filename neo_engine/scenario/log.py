"""What the engine logs while a scenario is played, so that a scenario can expect a line of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from neo_engine.ops.logs import LOGGER_NAME

_SHOWN = logging.INFO


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(_SHOWN)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line."""
        self.lines.append(f"{record.levelname} {record.getMessage()}")


@contextmanager
def overheard() -> Iterator[list[str]]:
    """Give the list that grows by each line from INFO on, `LEVEL text`; others hear what they did."""
    logger = logging.getLogger(LOGGER_NAME)
    level, heard = logger.level, [(one, one.level) for one in logger.handlers]
    usual = logger.getEffectiveLevel()
    ear = _Lines()
    for handler, own in heard:
        handler.setLevel(max(own, usual))
    logger.addHandler(ear)
    logger.setLevel(min(usual, _SHOWN))
    try:
        yield ear.lines
    finally:
        logger.removeHandler(ear)
        logger.setLevel(level)
        for handler, own in heard:
            handler.setLevel(own)
