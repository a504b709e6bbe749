"""Our own numbers, by hand; the state machine is in tests/property."""

from __future__ import annotations

import pytest

from neo_engine.domain.errors import InvariantViolation
from neo_engine.execution.sequences import Sequences


def test_numbers_are_given_out_in_a_row_from_the_accounts_own() -> None:
    numbers = Sequences(7)
    assert [numbers.take(), numbers.take(), numbers.take()] == [7, 8, 9]
    assert numbers.in_flight == (7, 8, 9)


def test_a_freed_number_in_the_middle_is_given_out_before_any_new_one() -> None:
    numbers = Sequences(7)
    for _ in range(3):
        numbers.take()
    numbers.failed(8)
    assert numbers.gaps() == (8,)
    assert [numbers.take(), numbers.take()] == [8, 10]
    assert numbers.gaps() == ()


def test_a_free_number_behind_everything_on_its_way_is_no_gap() -> None:
    numbers = Sequences(7)
    numbers.take(), numbers.take()
    numbers.failed(8)
    assert (numbers.free, numbers.gaps()) == ((8,), ())


def test_with_nothing_on_its_way_the_ledgers_word_is_taken() -> None:
    numbers = Sequences(7)
    numbers.take(), numbers.take()
    numbers.failed(7)
    numbers.failed(8)
    assert numbers.ledger(7) is False
    assert (numbers.next, numbers.free) == (7, ())


def test_while_something_is_on_its_way_the_ledgers_word_does_not_move_the_counter() -> None:
    numbers = Sequences(7)
    numbers.take(), numbers.take()
    assert numbers.ledger(7) is False
    assert numbers.take() == 9


def test_a_server_that_lags_cannot_take_the_counter_back() -> None:
    numbers = Sequences(7)
    numbers.used(numbers.take())
    assert numbers.ledger(7) is False  # the server has not seen our transaction yet
    assert numbers.take() == 8


def test_a_number_used_by_nobody_of_ours_tells_of_a_second_writer() -> None:
    numbers = Sequences(7)
    assert numbers.ledger(9) is True
    assert numbers.ledger(9) is False  # told once
    assert numbers.take() == 9


def test_a_freed_number_that_the_ledger_passes_tells_of_a_second_writer() -> None:
    numbers = Sequences(7)
    numbers.take(), numbers.take()
    numbers.failed(7)
    assert numbers.ledger(8) is True


def test_a_number_below_the_accounts_sequence_is_never_given_out_again() -> None:
    numbers = Sequences(7)
    numbers.take(), numbers.take()
    numbers.used(8)
    numbers.failed(7)  # whoever used 7, it was not ours
    assert numbers.take() == 9


def test_a_rival_shares_the_number_and_frees_it_only_with_the_first() -> None:
    numbers = Sequences(7)
    numbers.take(), numbers.take()
    assert numbers.share(7) == 7
    numbers.failed(7)
    assert numbers.in_flight == (7, 8)
    numbers.failed(7)
    assert numbers.gaps() == (7,)


@pytest.mark.parametrize("number", [6, 8])
def test_only_a_number_on_its_way_can_be_shared(number: int) -> None:
    numbers = Sequences(7)
    numbers.take()
    with pytest.raises(InvariantViolation, match=f"sequence {number}"):
        numbers.share(number)


def test_tickets_take_the_numbers_after_their_maker() -> None:
    # A recorded account made 3 tickets with sequence 4 and sent its next transaction with 8.
    numbers = Sequences(4)
    assert numbers.take_for_tickets(3) == 4
    assert numbers.take() == 8
    numbers.used(4)
    assert numbers.tickets == (5, 6, 7)
    assert numbers.floor == 8


def test_tickets_that_a_tec_did_not_make_leave_a_gap_that_is_filled() -> None:
    numbers = Sequences(4)
    numbers.take_for_tickets(2)
    assert numbers.take() == 7
    numbers.used(4, succeeded=False)
    assert (numbers.tickets, numbers.gaps()) == ((), (5, 6))
    assert numbers.ledger(5) is False


def test_no_tickets_are_made_while_some_are_coming_or_a_number_is_free() -> None:
    numbers = Sequences(4)
    assert numbers.tickets_wanted(3) == 3
    numbers.take_for_tickets(3)
    assert numbers.tickets_wanted(3) == 0
    numbers.failed(4)
    assert numbers.free == (4, 5, 6, 7)
    assert numbers.tickets_wanted(3) == 0
    with pytest.raises(InvariantViolation, match="fill them"):
        numbers.take_for_tickets(3)


def test_a_ticket_comes_back_when_its_transaction_failed_and_is_gone_when_used() -> None:
    numbers = Sequences(9, [5, 6])
    assert (numbers.take_ticket(), numbers.take_ticket(), numbers.take_ticket()) == (5, 6, None)
    numbers.ticket_failed(6)
    numbers.ticket_used(5)
    assert (numbers.tickets, numbers.tickets_in_flight) == ((6,), ())
    assert numbers.tickets_wanted(2) == 1


def test_an_adopted_number_leaves_what_is_missing_before_it_free() -> None:
    numbers = Sequences(7)
    numbers.adopt(9)
    assert numbers.gaps() == (7, 8)
    assert [numbers.take(), numbers.take(), numbers.take()] == [7, 8, 10]


def test_a_number_not_on_its_way_cannot_be_freed() -> None:
    numbers = Sequences(7)
    with pytest.raises(InvariantViolation, match="not on its way"):
        numbers.failed(7)
    with pytest.raises(InvariantViolation, match="not on its way"):
        numbers.ticket_failed(3)
