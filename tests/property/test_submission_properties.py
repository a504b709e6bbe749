"""Orders over a connection that loses, refuses and lies: each stands once or never, and we know which.

The first machine is the numbers alone, against a ledger that decides at random. The second is the whole
submitter on a network in process: whatever is lost, once the connection is sound again every order is on
the ledger once or proved absent, what we believe is what the ledger says, and the next order goes through.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from neo_engine.domain.orders import Command
from neo_engine.execution.sequences import Sequences
from neo_engine.execution.submission import PROOFS_PER_LEDGER
from tests.unit.submission_fixture import (
    BUSY,
    DOWN,
    FALSE_REPLY,
    LOST_REPLY,
    LOST_REQUEST,
    OFFSET,
    OK,
    Desk,
    cancel,
    place,
)

pytestmark = pytest.mark.slow

FIRST = 100


class NumbersMachine(RuleBasedStateMachine):
    """The counter against a ledger: it applies what stands next, or lets it fail, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = Sequences(FIRST)
        self.account = FIRST  # the ledger's own count
        self.live: Counter[int] = Counter()  # number -> bearers neither validated nor failed
        self.makers: dict[int, int] = {}
        self.tickets: set[int] = set()  # on the ledger
        self.tickets_out: set[int] = set()

    @rule()
    def give(self) -> None:
        number = self.numbers.take()
        assert not self.live[number]
        assert number >= self.account
        assert number not in self.tickets
        self.live[number] = 1

    @precondition(lambda self: not self.numbers.free)
    @rule(count=st.integers(1, 3))
    def make_tickets(self, count: int) -> None:
        number = self.numbers.take_for_tickets(count)
        assert not self.live[number]
        self.live[number] = 1
        self.makers[number] = count

    @precondition(lambda self: bool(set(self.live) - set(self.makers)))
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(set(self.live) - set(self.makers))))
        self.numbers.share(number)
        self.live[number] += 1

    @precondition(lambda self: self.account in self.live)
    @rule(succeeded=st.booleans())
    def validate(self, succeeded: bool) -> None:
        number = self.account
        count = self.makers.pop(number, 0)
        count = count if succeeded else 0
        self.account = number + 1 + count
        self.tickets |= set(range(number + 1, number + count + 1))
        del self.live[number]
        self.numbers.used(number, succeeded=succeeded)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def lapse(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.live)))
        self.live -= Counter([number])
        if not self.live[number]:
            self.makers.pop(number, None)
        self.numbers.failed(number)

    @rule(lag=st.integers(0, 5))
    def hear_of_the_ledger(self, lag: int) -> None:
        assert self.numbers.ledger(max(self.account - lag, FIRST)) is False

    @rule()
    def take_ticket(self) -> None:
        ticket = self.numbers.take_ticket()
        if ticket is not None:
            assert ticket in self.tickets
            assert ticket not in self.tickets_out
            self.tickets_out.add(ticket)

    @precondition(lambda self: self.tickets_out)
    @rule(used=st.booleans())
    def end_ticket(self, used: bool) -> None:
        ticket = self.tickets_out.pop()
        if used:
            self.tickets.remove(ticket)
            self.numbers.ticket_used(ticket)
        else:
            self.numbers.ticket_failed(ticket)

    @invariant()
    def every_number_is_live_free_or_set_aside(self) -> None:
        numbers = self.numbers
        live = {number for number, bearers in self.live.items() if bearers}
        aside = {one for maker, count in self.makers.items() for one in range(maker + 1, maker + count + 1)}
        assert set(numbers.in_flight) == live
        parts = [live, set(numbers.free), aside]
        assert sum(len(part) for part in parts) == len(set().union(*parts))
        assert set().union(*parts) == set(range(self.account, numbers.next))
        assert numbers.floor == self.account

    @invariant()
    def every_ticket_of_the_ledger_is_ready_or_out(self) -> None:
        assert set(self.numbers.tickets) | set(self.numbers.tickets_in_flight) == self.tickets

    def teardown(self) -> None:
        """Let everything on its way fail: the counter stands where the ledger does."""
        for number in self.live.elements():
            self.numbers.failed(number)
        assert self.numbers.ledger(self.account) is False
        assert (self.numbers.next, self.numbers.free) == (self.account, ())
        assert self.numbers.take() == self.account


FAULTS = st.lists(
    st.sampled_from([OK, OK, OK, LOST_REPLY, LOST_REQUEST, DOWN, BUSY, FALSE_REPLY]), max_size=6
)


class SubmitterMachine(RuleBasedStateMachine):
    """A session's submitter on a network that applies, holds and forgets as a real one does."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(tickets=2)
        self.orders = 0
        self.offered: dict[str, int] = {}  # hash of a create -> its drops, which no other has
        self.prepared: list[str] = []

    def send(self, commands: list[Command], script: list[str], *, urgent: bool = False) -> None:
        desk = self.desk
        made = desk.prepare(*commands, urgent=urgent)
        upkeep = desk.submitter.upkeep(desk.index, ticket_pool=2)
        self.prepared += [one.tx_hash for one in made]
        for one in made:
            if one.kind.value != "cancel":
                self.offered[one.tx_hash] = one.order_id
        desk.wire.script.extend(script)
        desk.submitter.submit(made)
        desk.submitter.submit(upkeep)
        desk.wire.script.clear()

    def new(self, **fields: Any) -> Command:
        self.orders += 1
        return place(self.orders, drops=self.orders, **fields)

    @rule(count=st.integers(1, 3), script=FAULTS)
    def quote(self, count: int, script: list[str]) -> None:
        self.send([self.new() for _ in range(count)], script)

    @rule(script=FAULTS)
    def quote_what_is_refused(self, script: list[str]) -> None:
        self.send([self.new(quote="0"), self.new(), self.new(expiration=1)], script)

    @precondition(lambda self: self.desk.offers())
    @rule(script=FAULTS, data=st.data())
    def replace(self, script: list[str], data: st.DataObject) -> None:
        sequence = data.draw(st.sampled_from(sorted(self.desk.offers())))
        self.send([self.new(replaces=(10_000, sequence))], script)

    @rule(script=FAULTS, urgent=st.booleans(), data=st.data())
    def cancel(self, script: list[str], urgent: bool, data: st.DataObject) -> None:
        known = sorted({*self.desk.offers(), *self.desk.numbers.in_flight})
        if known:
            sequence = data.draw(st.sampled_from(known))
            self.send([cancel(20_000, sequence)], script, urgent=urgent)

    @rule(seen=st.sampled_from([True, True, True, False]), script=FAULTS)
    def ledger(self, seen: bool, script: list[str]) -> None:
        self.desk.wire.script.extend(script)
        self.desk.ledger(seen=seen)
        self.desk.wire.script.clear()

    @rule()
    def reconnect(self) -> None:
        self.desk.submitter.reconnected()

    @rule()
    def prepare_what_is_never_sent(self) -> None:
        for one in self.desk.prepare(self.new()):
            self.prepared.append(one.tx_hash)

    def teardown(self) -> None:
        """Mend the connection and wait until the last life has ended; then look."""
        desk = self.desk
        for _ in range(OFFSET + 1 + len(desk.submitter.pending) // PROOFS_PER_LEDGER):
            desk.ledger()
        desk.ledger()
        desk.ledger()  # with nothing on its way the counter follows the ledger
        told = {one.prepared.tx_hash: one.result for one in desk.resolved}
        assert desk.submitter.pending == ()
        assert desk.submitter.must_stop is None
        for tx_hash in self.prepared:
            if tx_hash in told and told[tx_hash] is None:
                assert tx_hash not in desk.results, "given up, but on the ledger"
            if tx_hash in told and told[tx_hash] is not None:
                assert desk.results[tx_hash] == told[tx_hash]
        signed = Counter(str(tx.get("TakerGets")) for tx in desk.key.signed if "TakerGets" in tx)
        assert set(signed.values()) <= {1}, "an order was signed twice"
        on_ledger = Counter(self.offered[tx_hash] for tx_hash in desk.results if tx_hash in self.offered)
        assert set(on_ledger.values()) <= {1}, "an order is on the ledger twice"
        assert (desk.numbers.in_flight, desk.numbers.gaps()) == ((), ())
        assert desk.numbers.next == desk.sequence()
        assert desk.go(self.new()) == ["tesSUCCESS"]


NumbersMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
TestNumbers = NumbersMachine.TestCase
SubmitterMachine.TestCase.settings = settings(max_examples=20, stateful_step_count=15)
TestSubmitter = SubmitterMachine.TestCase
