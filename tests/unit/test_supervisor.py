"""The supervisor's table and its readings, against a list written by hand and against the page."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from neo_engine.xrpl.supervisor import MOVES, Happening, Supervisor, SupervisorState, moved

H, S, R, D, F = (
    SupervisorState.HEALTHY,
    SupervisorState.STALE,
    SupervisorState.RECONNECTING,
    SupervisorState.DISCONNECTED,
    SupervisorState.FAILED,
)
#: opened, fresh, old, cut, unreachable, exhausted
EXPECTED = {
    H: (H, H, S, R, D, F),
    S: (S, H, S, R, D, F),
    R: (S, R, R, R, D, F),
    D: (S, D, D, D, D, F),
    F: (F, F, F, F, F, F),
}
PAGE = Path(__file__).parents[2] / "docs" / "gateway.md"


@pytest.mark.parametrize(("state", "happening"), list(product(SupervisorState, Happening)))
def test_every_pair_of_state_and_event_leads_where_it_should(
    state: SupervisorState, happening: Happening
) -> None:
    assert moved(state, happening) is EXPECTED[state][list(Happening).index(happening)]


def test_the_page_shows_the_table() -> None:
    row = re.compile(r"^\| `(\w+)` \| `(\w+)` \| `(\w+)` \|$", re.MULTILINE)
    shown = set(row.findall(PAGE.read_text(encoding="utf-8")))
    table = {
        (state.value, what.value, then.value)
        for state, moves in MOVES.items()
        for what, then in moves.items()
    }
    assert shown == table


def fed(state: SupervisorState) -> Supervisor:
    """A supervisor with a limit of 10 s in a state, with data of second 0."""
    supervisor = Supervisor(10.0)
    supervisor.market_seen(0.0)
    supervisor.account_seen(0.0)
    supervisor.state = state
    return supervisor


def test_data_is_stale_after_the_second_old_reading_only() -> None:
    supervisor = fed(H)
    assert [supervisor.read(now) for now in (10.0, 10.1, 10.2)] == [H, H, S]


def test_data_is_healthy_after_the_second_fresh_reading_only() -> None:
    supervisor = fed(S)
    assert [supervisor.read(now) for now in (1.0, 2.0)] == [S, H]


def test_readings_that_alternate_change_nothing() -> None:
    supervisor = fed(H)
    for now in (11.0, 31.0, 51.0):
        assert supervisor.read(now) is H
        supervisor.market_seen(now)
        supervisor.account_seen(now)
        assert supervisor.read(now + 1) is H


def test_ledgers_that_are_heard_but_never_whole_are_stale() -> None:
    supervisor = fed(H)
    supervisor.market_seen(20.0)
    assert [supervisor.read(now) for now in (21.0, 22.0)] == [H, S]
    assert supervisor.old(22.0) == "no whole ledgers for 22.0 s"


def test_a_new_connection_must_prove_itself_by_two_readings_of_its_own() -> None:
    supervisor = fed(S)
    supervisor.read(1.0)
    supervisor.happened(Happening.CUT)
    assert supervisor.happened(Happening.OPENED) is S
    assert [supervisor.read(now) for now in (2.0, 3.0)] == [S, H]


def test_a_failed_supervisor_stays_failed() -> None:
    supervisor = fed(R)
    assert supervisor.happened(Happening.EXHAUSTED) is F
    supervisor.happened(Happening.OPENED)
    assert [supervisor.read(now) for now in (1.0, 2.0)] == [F, F]
