"""Our own numbers: which sequence or ticket the next transaction bears.

Theory (docs "Reliable Transaction Submission", "Tickets"; ledger-rules, Submission). A transaction with
sequence n is applied only when the account stands at n: a later one waits (terPRE_SEQ) until every number
before it is used. A validated transaction uses its number, tec or not; one that fails for good leaves it
unused, and everything behind it waits. So a freed number is given out again before any new one: the next
transaction fills the gap and costs nothing extra. Only when nothing else is to be sent does a transaction
that does nothing fill it. The server is never asked for the next number while ours are on their way: one
that has not seen them yet would tell an old one.

A ticket is a number set aside: it waits for nobody, and nobody waits for it. A TicketCreate at n for k
tickets sets n+1..n+k aside and leaves the account at n+k+1.

1. A number from `floor` on that is below `next` is on its way, free, or set aside as a ticket: one of them.
2. A number is given out once, except `share`: a rival that withdraws the first, of which one at most
   is validated.
3. `take` always gives a number, whatever the answers were.
4. `floor`, the account's sequence in the last validated ledger we believe, never goes back.
5. With nothing on its way, `ledger` leaves no free number and `next == floor`.
6. The lowest free number is given out first.

Who calls is the only writer: two processes with one key break all of this, and the first sees it as
`ledger` returning True.
"""

from __future__ import annotations

from collections.abc import Iterable

from neo_engine.domain.errors import InvariantViolation


class Sequences:
    """The account's numbers. account_sequence: its next one in a validated ledger."""

    def __init__(self, account_sequence: int, tickets: Iterable[int] = ()) -> None:
        self.floor = account_sequence
        self.next = account_sequence
        self._free: set[int] = set()
        self._claims: dict[int, int] = {}  # number on its way -> how many transactions bear it
        self._making: dict[int, int] = {}  # sequence of a TicketCreate on its way -> how many tickets
        self._ready = set(tickets)
        self._tickets_out: set[int] = set()
        self._overtaken = False  # a number was used that none of ours on its way bears

    @property
    def in_flight(self) -> tuple[int, ...]:
        """Sequences on their way, lowest first."""
        return tuple(sorted(self._claims))

    @property
    def free(self) -> tuple[int, ...]:
        """Sequences given out once that failed for good and are not used again yet, lowest first."""
        return tuple(sorted(self._free))

    @property
    def tickets(self) -> tuple[int, ...]:
        """Tickets ready for use, lowest first."""
        return tuple(sorted(self._ready))

    @property
    def tickets_in_flight(self) -> tuple[int, ...]:
        """Tickets borne by a transaction on its way, lowest first."""
        return tuple(sorted(self._tickets_out))

    @property
    def tickets_coming(self) -> int:
        """Tickets that transactions on their way will make."""
        return sum(self._making.values())

    def gaps(self) -> tuple[int, ...]:
        """Return the free numbers that something on its way waits for, lowest first."""
        last = max(self._claims, default=0)
        return tuple(number for number in self.free if number < last)

    # sequences

    def take(self) -> int:
        """Give out the lowest free number, a new one if there is none."""
        if self._free:
            number = min(self._free)
            self._free.remove(number)
        else:
            number = self.next
            self.next += 1
        self._claims[number] = 1
        return number

    def share(self, number: int) -> int:
        """Give out a number on its way once more, for a transaction that withdraws its first bearer."""
        if number not in self._claims:
            raise InvariantViolation(f"sequence {number}: not on its way, so nothing there can be withdrawn")
        if number in self._making:
            raise InvariantViolation(f"sequence {number}: makes tickets and is not withdrawn")
        self._claims[number] += 1
        return number

    def take_for_tickets(self, count: int) -> int:
        """Give out a number for a TicketCreate and set aside the `count` that its tickets will have."""
        if self._free:
            raise InvariantViolation(f"sequences {self.free}: fill them before tickets are made")
        if count < 1:
            raise InvariantViolation(f"{count} tickets: a TicketCreate makes one at least")
        number = self.take()
        self._making[number] = count
        self.next = number + count + 1
        return number

    def adopt(self, number: int, *, tickets: int = 0) -> None:
        """Take over a number that an earlier session gave out and whose fate is not known.

        tickets: how many its transaction makes, whose numbers follow it.
        A number left out before it is free: nobody of ours bears it.
        """
        self._claims[number] = self._claims.get(number, 0) + 1
        self._free.discard(number)
        if number >= self.next:
            self._free |= set(range(self.next, number))
            self.next = number + 1 + tickets
        if tickets:
            self._making[number] = tickets

    def used(self, number: int, *, succeeded: bool = True) -> None:
        """Note that a validated transaction used the number; succeeded: with tesSUCCESS, not with a tec."""
        self._claims.pop(number, None)
        self._free.discard(number)
        count = self._making.pop(number, 0)
        made = set(range(number + 1, number + count + 1))
        if succeeded:
            self._ready |= made
        else:
            self._free |= made
        self._raise_floor(number + 1 + (count if succeeded else 0))

    def failed(self, number: int) -> None:
        """Note that one bearer of the number can never be validated: free once none is left."""
        left = self._claims.get(number, 0) - 1
        if left > 0:
            self._claims[number] = left
            return
        if left < 0:
            raise InvariantViolation(f"sequence {number}: freed, but it is not on its way")
        del self._claims[number]
        count = self._making.pop(number, 0)
        freed = range(number, number + count + 1)
        self._free |= {one for one in freed if one >= self.floor}

    def ledger(self, account_sequence: int) -> bool:
        """Take the account's sequence in a validated ledger; True if someone else sends for the account.

        A lower one than known comes from a server that lags and is passed over.
        """
        self._raise_floor(account_sequence)
        if not self._claims:
            self._free.clear()
            self.next = self.floor
        foreign, self._overtaken = self._overtaken, False
        return foreign

    def _raise_floor(self, account_sequence: int) -> None:
        self.floor = max(self.floor, account_sequence)
        free = {number for number in self._free if number >= self.floor}
        if self.floor > self.next or len(free) < len(self._free):
            self._overtaken = True
        self.next = max(self.next, self.floor)
        self._free = free

    # tickets

    def take_ticket(self) -> int | None:
        """Give out the lowest ticket, None if none is ready."""
        if not self._ready:
            return None
        ticket = min(self._ready)
        self._ready.remove(ticket)
        self._tickets_out.add(ticket)
        return ticket

    def adopt_ticket(self, ticket: int) -> None:
        """Take over a ticket that a transaction of an earlier session bears."""
        self._ready.discard(ticket)
        self._tickets_out.add(ticket)

    def ticket_used(self, ticket: int) -> None:
        """Note that a validated transaction used the ticket, or that the ledger says there is none."""
        self._tickets_out.discard(ticket)
        self._ready.discard(ticket)

    def ticket_failed(self, ticket: int) -> None:
        """Note that the ticket's transaction can never be validated: it is ready again."""
        if ticket not in self._tickets_out:
            raise InvariantViolation(f"ticket {ticket}: freed, but it is not on its way")
        self._tickets_out.remove(ticket)
        self._ready.add(ticket)

    def tickets_wanted(self, pool: int) -> int:
        """Return how many tickets to make now so that `pool` are ready: none while some are coming.

        Also none while a number is free: the tickets' numbers would wait behind it.
        """
        if self._making or self._free:
            return 0
        return max(pool - len(self._ready) - len(self._tickets_out), 0)
