"""Laws of the request budget: time brings it back, requests take it, and the server agrees with it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from neo_engine.domain.request_cost import HEAVY, MALFORMED, MEDIUM, REFERENCE, RequestBudget
from neo_engine.simulator.server.load import Load

costs = st.sampled_from([REFERENCE, MALFORMED, MEDIUM, HEAVY])
pauses = st.integers(0, 3_000) | st.integers(0, 200_000)
requests = st.tuples(pauses, costs)
kinds = st.sampled_from(
    [
        RequestBudget(),
        RequestBudget(plain=True),
        RequestBudget(clio=True),
        RequestBudget(plain=True, clio=True),
    ]
)
#: name of a change -> how often it comes; those of a complaint more rarely than requests.
changes = st.sampled_from(["sent", "sent", "sent", "refused", "warned", "slowed", "dropped"])


def changed(budget: RequestBudget, name: str, cost: int, now: int) -> RequestBudget:
    if name == "sent":
        return budget.sent(cost, now)
    if name == "refused":
        return budget.refused(cost, now)
    return {"warned": budget.warned, "slowed": budget.slowed, "dropped": budget.dropped}[name](now)


@given(kinds, st.lists(st.tuples(changes, pauses, costs), max_size=60), st.lists(pauses, max_size=20))
def test_it_is_a_share_and_without_requests_it_only_rises(
    budget: RequestBudget, did: list[tuple[str, int, int]], waits: list[int]
) -> None:
    now = 0
    for name, pause, cost in did:
        now += pause
        before = budget.left(now)
        budget = changed(budget, name, cost, now)
        assert 0 <= budget.left(now) <= before <= 100
    left = budget.left(now)
    for pause in waits:
        now += pause
        assert left <= budget.left(now) <= 100
        left = budget.left(now)


@given(kinds, st.lists(requests, min_size=1, max_size=60), st.data())
def test_a_further_request_never_leaves_more_at_any_later_time(
    budget: RequestBudget, sent: list[tuple[int, int]], data: st.DataObject
) -> None:
    left_out = data.draw(st.integers(0, len(sent) - 1))
    all_of_them = one_less = budget
    now = 0
    for number, (pause, cost) in enumerate(sent):
        now += pause
        all_of_them = all_of_them.sent(cost, now)
        if number != left_out:
            one_less = one_less.sent(cost, now)
        assert all_of_them.left(now) <= one_less.left(now)
    for later in (1, 999, 1_000, 40_000, 500_000):
        assert all_of_them.left(now + later) <= one_less.left(now + later)


@given(st.lists(st.tuples(st.integers(0, 900), costs), min_size=1, max_size=150))
def test_the_server_warns_exactly_when_nothing_is_left_by_our_own_account(
    sent: list[tuple[int, int]],
) -> None:
    """Whoever asks alone: at most one warning a second, so within one second a further zero is silent."""
    server, ours, now = Load(), RequestBudget(plain=True), 0
    warned_in = None
    for pause, cost in sent:
        now += pause
        ours = ours.sent(cost, now)
        server.charge("we", cost, now // 1_000)
        warned = server.warn("we", now // 1_000)
        if warned_in != now // 1_000:
            assert warned == (ours.left(now) == 0)
        if warned:
            warned_in = now // 1_000
            ours = ours.warned(now)


@given(st.lists(st.tuples(st.integers(0, 300), costs), max_size=200), st.integers(0, 160_000))
def test_who_shares_an_address_learns_it_from_the_warning(sent: list[tuple[int, int]], others: int) -> None:
    """A load that we did not cause: after each warning our account is not behind the server's."""
    server, ours, now = Load(), RequestBudget(plain=True), 0
    server.charge("we", others, 0)
    for pause, cost in sent:
        now += pause
        ours = ours.sent(cost, now)
        server.charge("we", cost, now // 1_000)
        if server.warn("we", now // 1_000):
            ours = ours.warned(now)
            assert ours.left(now) == 0
