"""Every line of the log is an event, in words that fit its numbers, and docs/log-events.md has it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from string import Formatter

import msgspec
import pytest

from neo_engine.xrpl.outbox import EventKind
from tests.style.test_docs import table_rows, text_of, word
from tests.style.test_imports import CORE, in_layers, ours
from tests.style.tree import engine_modules, parsed

LEVELS = {"debug": "DEBUG", "info": "INFO", "warning": "WARNING", "error": "ERROR", "exception": "ERROR"}
#: Composed names: what stands before the part that is known at run time only, and what that can be.
COMPOSED = {"gateway_": [kind.value for kind in EventKind]}
#: Written by the log file about itself: no call says it.
ABOUT_THE_LOG = {"log_resumed": ({"WARNING"}, {"lost"})}
#: Who may take hold of a logger, and why. Each must do so: the list may only shrink.
LOGGERS = {
    "neo_engine.event_log": "says the events",
    "neo_engine.ops.logs": "sets up where they go",
    "neo_engine.report.live_view": "draws around the console's lines",
    "neo_engine.scenario.log": "overhears them",
}


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """A call of `say`. place: module and line. texts: how many it gives."""

    place: str
    levels: frozenset[str]
    event: ast.expr
    words: ast.expr
    texts: int
    numbers: frozenset[str]

    @property
    def events(self) -> list[str]:
        """Its name, or every name that a composed one can be; none where it is neither."""
        if isinstance(self.event, ast.Constant) and isinstance(self.event.value, str):
            return [self.event.value]
        if isinstance(self.event, ast.JoinedStr) and isinstance(self.event.values[0], ast.Constant):
            first = str(self.event.values[0].value)
            return [first + rest for rest in COMPOSED.get(first, []) if len(self.event.values) == 2]
        return []


def said_in(tree: ast.Module, module: str) -> Iterator[Said]:
    """Yield every call of a method of `say`, also where the level is chosen in place."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        methods = [node.func.body, node.func.orelse] if isinstance(node.func, ast.IfExp) else [node.func]
        chosen = [
            one for one in methods if isinstance(one, ast.Attribute) and ast.unparse(one.value) == "say"
        ]
        if not chosen:
            continue
        event, words, *texts = node.args
        yield Said(
            place=f"{module}:{node.lineno}",
            levels=frozenset(LEVELS[one.attr] for one in chosen),
            event=event,
            words=words,
            texts=len(texts),
            numbers=frozenset(str(keyword.arg) for keyword in node.keywords),
        )


def foreign_calls(tree: ast.Module) -> list[str]:
    """Return the calls that log past `say`: of the logging module, or of a logger whatever it is called."""
    return [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {*LEVELS, "warn", "critical", "log"}
        and "log" in ast.unparse(node.func.value).lower()
    ]


@cache
def modules() -> dict[str, ast.Module]:
    """The engine's own; the model network is a program of its own and logs as one."""
    return {
        name: parsed(path)
        for name, path in engine_modules().items()
        if not name.startswith("neo_engine.simulator")
    }


@cache
def said() -> tuple[Said, ...]:
    return tuple(one for name, tree in modules().items() for one in said_in(tree, name))


def in_code() -> dict[str, tuple[set[str], set[str]]]:
    """Event -> its levels and numbers, over all places that say it."""
    found: dict[str, tuple[set[str], set[str]]] = {
        name: (set(a), set(b)) for name, (a, b) in ABOUT_THE_LOG.items()
    }
    for one in said():
        for event in one.events:
            levels, numbers = found.setdefault(event, (set(), set()))
            levels |= one.levels
            numbers |= one.numbers
    return found


def in_docs() -> dict[str, tuple[set[str], set[str]]]:
    return {
        word(cells[0]): (set(cells[1].split(" or ")), set(re.findall(r"`(\w+)`", cells[2])))
        for cells in table_rows(text_of("docs/log-events.md"), "Event")
    }


def test_the_checks_see_a_call_past_say_and_one_without_an_event() -> None:
    past = "self._log.info('x')\nlogging.error('x')\nsay.info('a', 'x')\nmath.sin(2)"
    assert foreign_calls(ast.parse(past)) == ["self._log.info('x')", "logging.error('x')"]
    text = "say.info(name, 'x'); (say.info if a else say.warning)(f'gateway_{b}', '{}', c)"
    first, second, third = said_in(ast.parse(f"{text}; say.error('e', '{{n}}', n=1)"), "m")
    assert (first.events, third.events) == ([], ["e"])
    assert "gateway_failed" in second.events
    assert (second.levels, second.texts, third.numbers) == ({"INFO", "WARNING"}, 1, {"n"})


def test_nothing_is_logged_past_say() -> None:
    assert {name: calls for name, tree in modules().items() if (calls := foreign_calls(tree))} == {
        "neo_engine.event_log": [
            "self._logger.log(level, line, exc_info=traceback, extra=extra, stacklevel=_CALLER)"
        ]
    }


@pytest.mark.parametrize("call", ["getLogger", "LoggerAdapter"])
def test_only_a_few_modules_take_hold_of_a_logger(call: str) -> None:
    takers = {name for name, tree in modules().items() if f"logging.{call}(" in ast.unparse(tree)}
    assert takers == (set(LOGGERS) if call == "getLogger" else set())


def test_the_core_says_nothing() -> None:
    assert [name for name in in_layers(CORE) if "neo_engine.event_log" in ours(name)] == []


def test_every_event_has_a_name_that_is_known_before_it_happens() -> None:
    assert len(said()) > 80
    assert [one.place for one in said() if not one.events] == []
    names = {event for one in said() for event in one.events}
    assert [name for name in sorted(names) if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name)] == []


def test_the_words_have_a_place_for_every_text_and_for_no_number_that_is_not_given() -> None:
    for one in said():
        assert isinstance(one.words, ast.Constant), one.place
        places = [name for _, name, _, _ in Formatter().parse(str(one.words.value)) if name is not None]
        assert places.count("") == one.texts, one.place
        assert set(places) - {""} <= one.numbers, one.place


def test_the_page_has_every_event_and_no_other() -> None:
    assert sorted(in_docs()) == sorted(in_code())


@pytest.mark.parametrize("event", sorted(in_code()))
def test_the_page_tells_level_and_numbers_of_an_event(event: str) -> None:
    (levels, numbers), (told, listed) = in_code()[event], in_docs()[event]
    assert listed == numbers
    # The level of what a gateway tells hangs on its kind, which the call does not show.
    assert told <= levels if event.startswith(tuple(COMPOSED)) else told == levels


def test_the_page_says_of_every_event_what_it_means() -> None:
    rows = list(table_rows(text_of("docs/log-events.md"), "Event"))
    assert [cells[0] for cells in rows if len(cells[3]) < 15] == []
    assert len({word(cells[0]) for cells in rows}) == len(rows)
