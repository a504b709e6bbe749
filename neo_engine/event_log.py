"""What the engine logs: an event with a name and numbers for programs, and words for people.

    say.warning("commit_failed", "commit failed ({attempt} of {attempts_max}): {}", error, attempt=2, ...)

The name stays the same when the words change; docs/log-events.md has them all. The words are filled as by
`str.format`, from the numbers by name and from texts in order. What a server or a file says is a text:
numbers are numbers, which the types hold.
"""

from __future__ import annotations

import logging
from decimal import Decimal

from neo_engine.domain.number import plain

Number = int | float | Decimal | None  # None: not known
_CALLER = 3  # frames from the logging module to whoever said it


class EventLog:
    """A logger whose every line is an event. Its methods are named after the level they say it at.

    event: snake_case, the same for the same thing everywhere. words: with `{name}` for a number, `{}` for the
    next of `texts`.
    """

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    @property
    def debugs(self) -> bool:
        """True if somebody hears DEBUG: what is costly to say need not be made ready else."""
        return self._logger.isEnabledFor(logging.DEBUG)

    def debug(self, event: str, words: str, /, *texts: object, **numbers: Number) -> None:
        """Say what only a search for a defect wants to know."""
        self._say(logging.DEBUG, _Line(event, words, texts, numbers))

    def info(self, event: str, words: str, /, *texts: object, **numbers: Number) -> None:
        """Say what goes as it should."""
        self._say(logging.INFO, _Line(event, words, texts, numbers))

    def warning(self, event: str, words: str, /, *texts: object, **numbers: Number) -> None:
        """Say what the engine copes with, and a person may want to look at."""
        self._say(logging.WARNING, _Line(event, words, texts, numbers))

    def error(self, event: str, words: str, /, *texts: object, **numbers: Number) -> None:
        """Say what a person has to look at."""
        self._say(logging.ERROR, _Line(event, words, texts, numbers))

    def exception(self, event: str, words: str, /, *texts: object, **numbers: Number) -> None:
        """Say an error with the traceback of the exception that is being handled."""
        self._say(logging.ERROR, _Line(event, words, texts, numbers), traceback=True)

    def _say(self, level: int, line: _Line, *, traceback: bool = False) -> None:
        extra = {"event": line.event, "numbers": line.numbers}
        self._logger.log(level, line, exc_info=traceback, extra=extra, stacklevel=_CALLER)


class _Line:
    """What was said; made into text only where somebody hears it."""

    __slots__ = ("_texts", "_words", "event", "numbers")

    def __init__(self, event: str, words: str, texts: tuple[object, ...], numbers: dict[str, Number]) -> None:
        self.event, self._words, self._texts, self.numbers = event, words, texts, numbers

    def __str__(self) -> str:
        told = {
            name: plain(value) if isinstance(value, Decimal) else value
            for name, value in self.numbers.items()
        }
        try:
            return self._words.format(*self._texts, **told)
        except (LookupError, ValueError, TypeError):
            # Words and values that do not fit each other are no reason to end a session.
            return f"{self._words} {self._texts!r} {told!r}"


#: The engine's own, which every module says its events with.
say = EventLog("neo_engine")
