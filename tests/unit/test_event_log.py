"""What is said is a line of words, a name and numbers, and costs nothing where nobody hears it."""

from __future__ import annotations

import logging
from decimal import Decimal

import pytest

from neo_engine.event_log import EventLog, say
from neo_engine.ops.logs import JsonFormatter, LogContext, close_logging, event_of, setup_logging

NAME = "neo_engine.heard"


class Ear(logging.Handler):
    """Keeps what it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def ear() -> Ear:
    heard, logger = Ear(), logging.getLogger(NAME)
    logger.handlers, logger.propagate = [heard], False
    logger.setLevel(logging.DEBUG)
    return heard


def test_words_are_filled_from_numbers_by_name_and_texts_in_order(ear: Ear) -> None:
    EventLog(NAME).warning("sold", "{}: {xrp} of {of} at {}", "here", "{odd} %s", xrp=Decimal("1E+3"), of=2)
    (record,) = ear.records
    assert record.getMessage() == "here: 1000 of 2 at {odd} %s"
    assert event_of(record) == "sold"
    assert record.__dict__["numbers"] == {"xrp": Decimal("1E+3"), "of": 2}


@pytest.mark.parametrize("method", ["debug", "info", "warning", "error"])
def test_a_line_has_the_level_and_the_place_of_who_said_it(ear: Ear, method: str) -> None:
    getattr(EventLog(NAME), method)("sold", "sold")
    (record,) = ear.records
    assert record.levelname == method.upper()
    assert record.funcName == "test_a_line_has_the_level_and_the_place_of_who_said_it"
    assert not record.exc_info


def test_an_exception_is_an_error_with_its_traceback(ear: Ear) -> None:
    try:
        int("no number")
    except ValueError:
        EventLog(NAME).exception("broken", "it broke", tries=3)
    (record,) = ear.records
    assert record.levelname == "ERROR"
    line = JsonFormatter(LogContext()).format(record)
    assert '"event":"broken"' in line
    assert '"numbers":{"tries":3}' in line
    assert "invalid literal for int()" in line


class Costly:
    """A text that is not made unless somebody hears it."""

    def __str__(self) -> str:
        raise AssertionError("made")


def test_what_nobody_hears_is_not_made_into_text(ear: Ear) -> None:
    logging.getLogger(NAME).setLevel(logging.INFO)
    one = EventLog(NAME)
    one.debug("tick", "{}", Costly())
    assert (ear.records, one.debugs) == ([], False)
    logging.getLogger(NAME).setLevel(logging.DEBUG)
    assert one.debugs


@pytest.mark.parametrize("words", ["{} and {}", "{n}", "{:d}", "{"])
def test_words_that_do_not_fit_are_a_line_and_no_error_of_the_session(ear: Ear, words: str) -> None:
    EventLog(NAME).info("odd", words, "one", m=1)
    (record,) = ear.records
    assert record.getMessage() == f"{words} ('one',) {{'m': 1}}"


def test_a_start_that_failed_is_told_to_the_file_and_not_twice_on_the_console(
    capsys: pytest.CaptureFixture[str],
) -> None:
    setup_logging("INFO", quiet=False)
    try:
        say.error("session_failed", "{}", "no key")
        say.error("feed_failed", "the feed failed: {}", "no server")
    finally:
        close_logging()
    told = capsys.readouterr().err
    assert "no key" not in told
    assert "the feed failed: no server" in told
