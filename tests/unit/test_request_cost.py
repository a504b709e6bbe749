"""What requests cost and what they leave: each threshold from both sides, figures worked out by hand."""

from __future__ import annotations

from decimal import Decimal
from functools import reduce
from typing import Any

import pytest

from neo_engine.domain.request_cost import (
    CLIO_REQUESTS,
    DROP_THRESHOLD,
    EXCEPTION,
    FORGET_WINDOWS,
    HEAVY,
    HEAVY_COMMANDS,
    MALFORMED,
    MALFORMED_REQUEST,
    MEDIUM,
    MEDIUM_COMMANDS,
    REFERENCE,
    WARNING_THRESHOLD,
    WINDOW_SECONDS,
    RequestBudget,
    RequestLoad,
    answered_cost,
    cost_of,
)
from tests.conftest import ROOT

D = Decimal
SECOND = 1_000
RIPPLED = RequestBudget(plain=True)
CLIO = RequestBudget(clio=True)


def after(requests: int, *, cost: int = MEDIUM, budget: RequestBudget = RIPPLED) -> RequestBudget:
    """A budget after so many requests in second 0."""
    return reduce(lambda one, _number: one.sent(cost, 0), range(requests), budget)


def test_the_figures_are_those_of_rippled() -> None:
    assert (REFERENCE, MEDIUM, HEAVY) == (20, 400, 3_000)
    assert (MALFORMED, EXCEPTION, MALFORMED_REQUEST) == (100, 100, 200)
    assert (WARNING_THRESHOLD, DROP_THRESHOLD, WINDOW_SECONDS, FORGET_WINDOWS) == (5_000, 25_000, 32, 4)


@pytest.mark.parametrize(
    ("request_", "cost"),
    [
        ({"command": "submit", "tx_blob": "00"}, 400),
        ({"command": "submit", "tx_json": {}, "secret": "s"}, 3_000),  # the server would have to sign
        ({"command": "simulate", "tx_json": {}}, 400),
        ({"command": "account_tx"}, 400),
        ({"command": "account_lines"}, 400),
        ({"command": "account_objects"}, 400),
        ({"command": "account_offers"}, 400),
        ({"command": "book_offers"}, 400),
        ({"command": "account_info"}, 20),
        ({"command": "ledger", "transactions": True, "expand": True}, 20),
        ({"command": "ledger", "full": True}, 3_000),
        ({"command": "tx"}, 20),
        ({"command": "subscribe", "streams": ["ledger"]}, 20),
        ({"command": "subscribe", "books": [{"snapshot": True}]}, 400),
        ({"command": "path_find"}, 3_000),
        ({"command": 5}, 100),
    ],
)
def test_each_command_has_its_cost(request_: dict[str, Any], cost: int) -> None:
    assert cost_of(request_) == cost


@pytest.mark.parametrize(("cost", "in_the_end"), [(20, 100), (99, 100), (100, 100), (400, 400)])
def test_a_refused_request_costs_a_hundred_at_least(cost: int, in_the_end: int) -> None:
    assert answered_cost(cost, refused=True) == in_the_end
    assert answered_cost(cost, refused=False) == cost
    spent = RIPPLED.sent(cost, 0).refused(cost, 0)
    assert spent.load.value == in_the_end


@pytest.mark.parametrize(
    ("requests", "left"), [(0, "100"), (1, "99.75"), (100, "75"), (399, "0.25"), (400, "0"), (900, "0")]
)
def test_four_hundred_requests_of_four_hundred_use_everything(requests: int, left: str) -> None:
    assert after(requests).left(0) == D(left)


def test_a_load_loses_a_thirty_second_each_second_rounded_up_and_is_forgotten_after_four_windows() -> None:
    # 64 - 2 = 62, 62 - 2 = 60, ..., 33 - 2 = 31, then one each second
    load = RequestLoad(value=64, at=100)
    assert [load.faded(at).value for at in (99, 100, 101, 102, 115, 116, 117, 118)] == [
        *(64, 64, 62, 60),
        *(34, 32, 31, 30),
    ]
    great = RequestLoad(value=10**6, at=0)
    assert great.faded(128).value > 0
    assert great.faded(129).value == 0


def test_a_load_does_not_fade_backwards() -> None:
    assert RequestLoad(value=64, at=100).charged(6, 90) == RequestLoad(value=70, at=100)


def test_half_is_left_again_after_some_twenty_two_seconds() -> None:
    # (31/32) ** 21 = 0.5134, ** 22 = 0.4974
    full = after(400)
    assert full.left(21 * SECOND) < 50 < full.left(22 * SECOND)


def test_a_warning_takes_all_that_we_thought_was_left_and_costs_something_itself() -> None:
    warned = RIPPLED.warned(0)
    assert warned.load.value == 160_000 + 4_000
    # 164,000 x (31/32) ** 7 = 131,323 and ** 8 = 127,219; 20 % are left below 128,000
    assert warned.left(0) == 0
    assert warned.left(7 * SECOND) < 20 < warned.left(8 * SECOND)


def test_a_warning_never_lowers_what_we_counted() -> None:
    assert after(500).warned(0).load.value == 200_000 + 4_000
    assert after(500).slowed(0).load.value == 200_000


def test_slow_down_leaves_nothing_at_either_kind_of_server() -> None:
    assert RIPPLED.slowed(0).left(0) == 0
    assert CLIO.slowed(0).left(999) == 0
    assert CLIO.slowed(0).left(1_000) == 100


def test_a_drop_leaves_nothing_for_fifty_seconds() -> None:
    dropped = RIPPLED.dropped(0)
    assert dropped.load.value == 800_000 + 6_000
    # 806,000 x (31/32) ** 50 = 164,774 and ** 51 = 159,625
    assert dropped.left(50 * SECOND) == 0
    assert dropped.left(51 * SECOND) > 0


@pytest.mark.parametrize(("requests", "left"), [(0, 100), (1, 95), (19, 5), (20, 0), (21, 0)])
def test_a_clio_takes_twenty_in_a_second_whatever_they_cost(requests: int, left: int) -> None:
    assert after(requests, cost=HEAVY, budget=CLIO).left(0) == left
    assert after(requests, cost=REFERENCE, budget=CLIO).left(999) == left
    assert after(requests, cost=REFERENCE, budget=CLIO).left(1_000) == 100


def test_a_clio_counts_the_last_second_and_not_the_clocks() -> None:
    budget = after(12, budget=CLIO)
    for _ in range(6):
        budget = budget.sent(MEDIUM, 700)
    assert [budget.left(at) for at in (700, 999, 1_000, 1_699, 1_700)] == [10, 10, 70, 70, 100]
    assert len(after(500, budget=CLIO).recent) == CLIO_REQUESTS


def test_the_stricter_limit_counts_until_the_kind_is_known_and_where_it_changes() -> None:
    unknown = after(10, budget=RequestBudget())
    assert unknown.left(0) == 50  # 10 of 20
    assert unknown.left(SECOND) == D("97.578125")  # 4,000 - 125 of 160,000
    assert unknown.answered(clio=False).left(0) == D("97.5")
    assert unknown.answered(clio=True).left(SECOND) == 100
    assert unknown.answered(clio=True).answered(clio=False).left(0) == 50


def test_who_is_not_charged_has_everything_left() -> None:
    assert after(900, budget=RequestBudget(unlimited=True)).left(0) == 100


# docs/quota.md

PAGE = (ROOT / "docs" / "quota.md").read_text(encoding="utf-8")


def rows_below(head: str) -> list[list[str]]:
    """The cells of the table with this heading."""
    rows = []
    for line in PAGE.split(head)[1].splitlines()[2:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_the_document_has_the_cost_of_every_command() -> None:
    page = rows_below("| Cost | Requests |")
    said = {int(cost.replace(",", "")): cell.split("`")[1::2] for cost, cell in page}
    assert sorted(said) == [REFERENCE, MALFORMED, MALFORMED_REQUEST, MEDIUM, HEAVY]
    assert set(said[MEDIUM]) == MEDIUM_COMMANDS | {"subscribe"}
    assert set(said[HEAVY]) == HEAVY_COMMANDS | {"submit", "ledger"}


def test_the_example_of_the_document_is_what_is_counted() -> None:
    said = {name: D(value) for name, value in rows_below("| requests | left, % |")}
    busy = RIPPLED
    for second in range(60):
        if second % 4 == 0:
            for _ in range(6):
                busy = busy.sent(MEDIUM, second * SECOND)
    assert said == {
        "six orders and cancels at once": after(6).left(0),
        "six in each of 15 ledgers, one every 4 s": round(busy.left(56 * SECOND), 2),
        "375 orders and cancels at once": after(375).left(0),
        "15 s after them": round(after(375).left(15 * SECOND), 2),
        "400 orders and cancels at once": after(400).left(0),
        "8 s after a warning": round(RIPPLED.warned(0).left(8 * SECOND), 2),
    }
