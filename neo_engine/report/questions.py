"""Twenty questions that an operator asks, each with its SQL and what the answer means.

This is their one source: `python -m neo_engine query NAME` runs them, docs/sql.md shows them and
datasette/metadata.yaml offers them as pages; tests hold all three equal.

1. `:session` is the session asked about; a question without it is about the whole database.
2. Ticks and snapshots of a session are found by their ids, so that a large database answers at once.
3. Money in an answer is a REAL to look at; the exact TEXT is in the tables (docs/schema.md).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

import msgspec
import yaml

from neo_engine.domain.errors import StateError

PARAMETER = ":session"
_NEAR = 0.4  # of difflib's likeness, 0 to 1: nearer names are suggested


class Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """name: as typed. question: as asked. sql: one SELECT. meaning: how to read the answer.

    chart: how a page draws it, in the words of datasette-vega; None for a table alone.
    """

    name: str
    question: str
    sql: str
    meaning: str
    chart: str | None = None

    @property
    def about_a_session(self) -> bool:
        """True if the answer is about one session."""
        return PARAMETER in self.sql


def questions_file() -> Path:
    """Return the file that holds the questions, beside this module."""
    return Path(__file__).with_name("questions.yaml")


def load_questions() -> tuple[Question, ...]:
    """Return the questions in the order in which they are told. Raises StateError for a damaged file."""
    path = questions_file()
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return msgspec.convert(content, tuple[Question, ...])
    except (OSError, UnicodeDecodeError, yaml.YAMLError, msgspec.ValidationError) as error:
        raise StateError(f"{path}: cannot be read ({error}); check the project out again") from error


def by_name(questions: tuple[Question, ...]) -> Mapping[str, Question]:
    """Return the questions by their names."""
    return {one.name: one for one in questions}


def nearest(name: str, questions: tuple[Question, ...]) -> str | None:
    """Return the known name most like `name`, None when none is like it."""
    found = difflib.get_close_matches(name, [one.name for one in questions], n=1, cutoff=_NEAR)
    return found[0] if found else None
