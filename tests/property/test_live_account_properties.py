"""Properties of the followed account: no repetition and no order of arrival changes what is known."""

from __future__ import annotations

from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from neo_engine.domain.account_findings import FindingKind
from neo_engine.domain.ledger import FeedStart, LedgerUpdate
from neo_engine.execution.live_events import LedgerReport
from tests.unit.live_fixture import Play, recorded

LEDGERS = 24


@cache
def market() -> tuple[FeedStart, tuple[LedgerUpdate, ...]]:
    start, updates = recorded("hostile")
    return start, tuple(updates[:LEDGERS])


@cache
def whole(who: str) -> tuple[Play, tuple[LedgerReport, ...]]:
    start, updates = market()
    play = Play(start, start.accounts[who])
    return play, tuple(play.step(update) for update in updates)


@settings(max_examples=25, deadline=None)
@given(
    who=st.sampled_from(["maker1", "maker2", "maker4"]),
    repeats=st.lists(st.tuples(st.integers(0, LEDGERS - 1), st.integers(0, LEDGERS - 1)), max_size=40),
)
def test_shuffled_duplicates_change_nothing(who: str, repeats: list[tuple[int, int]]) -> None:
    start, updates = market()
    expected, reports = whole(who)
    play = Play(start, start.accounts[who])
    for number, update in enumerate(updates):
        assert play.step(update) == reports[number]
        for after, earlier in repeats:
            if after == number and earlier <= number:
                again = play.account.advance(updates[earlier], play.book)
                assert (again.fills, again.order_updates, again.transactions, again.findings) == ((),) * 4
                assert again.account == reports[number].account
    assert play.account.view() == expected.account.view()
    assert play.account.in_flight == ()


@settings(max_examples=25, deadline=None)
@given(
    who=st.sampled_from(["maker1", "maker2", "maker4"]),
    lost=st.sets(st.integers(1, LEDGERS - 2), min_size=1, max_size=8),
    order=st.randoms(use_true_random=False),
)
def test_ledgers_read_late_in_any_order_lose_and_double_nothing(
    who: str, lost: set[int], order: object
) -> None:
    start, updates = market()
    expected, reports = whole(who)
    play = Play(start, start.accounts[who])
    found: list[LedgerReport] = []
    for update in updates:
        play.expect(update)
    for number, update in enumerate(updates):
        play.book.advance(update)
        if number not in lost:
            found.append(play.account.advance(update, play.book))
    late = sorted(lost) + sorted(lost)
    order.shuffle(late)  # type: ignore[attr-defined]
    for number in late:
        found.append(play.account.advance(updates[number], play.book))
    fills = [fill.key for report in found for fill in report.fills]
    assert sorted(fills) == sorted(fill.key for report in reports for fill in report.fills)
    hashes = [one.tx_hash for report in found for one in report.transactions]
    assert sorted(hashes) == sorted(one.tx_hash for report in reports for one in report.transactions)
    assert play.account.view() == expected.account.view()
    assert play.account.offers == expected.account.offers
    assert (play.account.in_flight, play.account.missing_ledgers) == ((), ())
    # The ledgers left out are named when the next one comes, and nothing else is said of them.
    gaps = [one for report in found for one in report.findings]
    assert {one.kind for one in gaps} == {FindingKind.LEDGER_GAP}
    named = {index for one in gaps for index in range(one.first_ledger, one.last_ledger + 1)}
    assert named == {updates[number].ledger_index for number in lost}
