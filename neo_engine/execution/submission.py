"""Deciding what is sent, and sending it: each order reaches the ledger once or never.

Theory (docs "Reliable Transaction Submission", "Finality of Results"; ledger-rules, Submission; the whole
story in docs/submission.md). A submit's answer is preliminary. What is final: a validated ledger with the
transaction in it, or the proof that no ledger up to its LastLedgerSequence has it. A lost answer says
nothing, so the same signed blob is sent again: the ledger takes a hash once. A second signature would be a
second order.

1. A transaction is signed once. Only the blob that was prepared, and stored, is ever sent for it.
2. Its number is free again when it was refused before any server could have kept it, or on proof.
3. Nothing is sent that was prepared but not handed to `submit`.
4. `fail_hard` is never set: such a transaction is not queued, and under rising fees it never arrives.
5. One number has two signatures only where a stuck quote is withdrawn: of the two one at most is validated.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from neo_engine.domain.errors import InvariantViolation
from neo_engine.domain.headroom import Headroom
from neo_engine.domain.orders import (
    CancelOrder,
    Command,
    PlaceOrder,
    PreparedTransaction,
    Quote,
    SubmitClass,
    SubmitOutcome,
    TransactionKind,
)
from neo_engine.execution.answers import (
    MALFORMED,
    Answer,
    Ask,
    LedgerSeen,
    Resolution,
    Step,
    Told,
    Verdict,
    classify,
    code_of,
    final_in,
    hash_in,
)
from neo_engine.execution.fees import Fees
from neo_engine.execution.pending import UPKEEP, About, Pending, headroom_of
from neo_engine.execution.sequences import Sequences
from neo_engine.execution.transactions import (
    Place,
    Signer,
    Terms,
    common_fields,
    ordered,
    transaction_of,
)

Json = dict[str, Any]

RETRIES_AT_ONCE = 1  # a lost submit is sent again at once, then with each ledger until its last one
PROOFS_PER_LEDGER = 10  # each costs a request of the server's rate budget
SUCCESS = "tesSUCCESS"


class Submitter:
    """Prepares and sends our transactions, and says what became of those that no ledger told of.

    must_stop: why no further order can succeed (wrong key or network, a second writer), None while well.
    """

    def __init__(self, *, ask: Ask, signer: Signer, terms: Terms, numbers: Sequences, fees: Fees) -> None:
        self._ask = ask
        self._signer = signer
        self._terms = terms
        self._numbers = numbers
        self._fees = fees
        self._pending: dict[str, Pending] = {}
        self._quotes: dict[int, Quote] = {}  # our offers by sequence: sent, and neither ended nor expired
        self.must_stop: str | None = None

    @property
    def pending(self) -> tuple[str, ...]:
        """Hashes whose fate is open, in the order prepared."""
        return tuple(self._pending)

    def headroom(self, ledger_index: int, requests: Decimal) -> Headroom:
        """Return what is left after a validated ledger; requests: percent, as the gateway says."""
        return headroom_of(self._pending.values(), ledger_index, requests=requests, fees=self._fees.left)

    # deciding

    def prepare(
        self, commands: Sequence[Command], ledger_index: int, *, urgent: bool = False
    ) -> tuple[PreparedTransaction, ...]:
        """Return the commands' transactions, numbered and signed, in sending order; nothing is sent.

        A quote that no fee may be paid for is left out, and a replace becomes the cancel of the old one.
        urgent: cancels bear tickets while there are any, so that they wait for nothing.
        """
        made = []
        for command in ordered(commands, self._quotes):
            one = self._prepared(command, ledger_index, urgent=urgent)
            if one is not None:
                made.append(one)
        return tuple(made)

    def _prepared(self, command: Command, ledger_index: int, *, urgent: bool) -> PreparedTransaction | None:
        if isinstance(command, CancelOrder):
            return self._cancel(command, ledger_index, urgent=urgent)
        fee = self._fees.fee(cancel=False)
        if fee is not None:
            place = self._place(self._numbers.take(), fee, ledger_index)
            self._quotes[place.number] = command.quote
            return self._signed(command, place, ledger_index)
        if command.replaces is None or command.replaces_sequence is None:
            return None
        cancel = CancelOrder(
            order_id=command.replaces,
            offer_sequence=command.replaces_sequence,
            reason=self._fees.why_none(),
        )
        return self._cancel(cancel, ledger_index, urgent=urgent)

    def _cancel(self, command: CancelOrder, ledger_index: int, *, urgent: bool) -> PreparedTransaction:
        """Prepare a cancel; of a quote that is stuck on its way, a rival for its number."""
        target = self._create_at(command.offer_sequence)
        if target is not None and target.submitted and not target.applied:
            fee = self._fees.to_withdraw(
                max(one.place.fee_drops for one in self._bearers(target.place.number))
            )
            if fee is not None:
                number = self._numbers.share(target.place.number)
                place = self._place(number, fee, ledger_index)
                return self._signed(
                    command, place, ledger_index, tx=common_fields("AccountSet", self._terms, place)
                )
        fee = self._fees.fee(cancel=True)
        if fee is None:
            raise InvariantViolation(f"order {command.order_id}: a cancel always has a fee")
        # A create on its way is cancelled by a later sequence: a ticket might come before it.
        ticket = self._numbers.take_ticket() if target is None and (urgent or self._stuck()) else None
        if ticket is not None:
            place = self._place(ticket, fee, ledger_index, ticket=True)
        else:
            place = self._place(self._numbers.take(), fee, ledger_index)
        return self._signed(command, place, ledger_index)

    def upkeep(
        self, ledger_index: int, *, ticket_pool: int, clear: Iterable[int] = ()
    ) -> tuple[PreparedTransaction, ...]:
        """Return what keeps the account in order (UPKEEP), signed, nothing sent; after `prepare`.

        A cancel for each offer in `clear`: dead ones, that hold the owner reserve.
        A transaction without effect for each gap that something on its way waits for, and one TicketCreate
        when fewer than `ticket_pool` tickets are ready, unless something is stuck before it.
        """
        made = []
        for _ in self._numbers.gaps():
            fee = self._fees.fee(cancel=True)
            if fee is None:
                raise InvariantViolation("a gap in our sequences: its filler always has a fee")
            place = self._place(self._numbers.take(), fee, ledger_index)
            tx = common_fields("AccountSet", self._terms, place)
            made.append(self._remember(tx, place, ledger_index, UPKEEP))
        leaving = {one.removes for one in self._pending.values()}
        for sequence in clear:
            fee = self._fees.fee(cancel=False)
            if sequence not in leaving and fee is not None:
                place = self._place(self._numbers.take(), fee, ledger_index)
                tx = {**common_fields("OfferCancel", self._terms, place), "OfferSequence": sequence}
                made.append(self._remember(tx, place, ledger_index, replace(UPKEEP, removes=sequence)))
        wanted = self._numbers.tickets_wanted(ticket_pool)
        fee = self._fees.fee(cancel=False)
        if wanted and fee is not None and not made and not self._stuck():
            place = self._place(self._numbers.take_for_tickets(wanted), fee, ledger_index)
            tx = {**common_fields("TicketCreate", self._terms, place), "TicketCount": wanted}
            made.append(self._remember(tx, place, ledger_index, replace(UPKEEP, tickets=wanted)))
        return tuple(made)

    def _place(self, number: int, fee_drops: int, ledger_index: int, *, ticket: bool = False) -> Place:
        self._fees.sent(fee_drops)
        last = ledger_index + self._terms.last_ledger_offset
        return Place(number=number, ticket=ticket, fee_drops=fee_drops, last_ledger=last)

    def _signed(
        self, command: Command, place: Place, ledger_index: int, *, tx: Json | None = None
    ) -> PreparedTransaction:
        replaces = command.replaces if isinstance(command, PlaceOrder) else None
        kind = TransactionKind.CREATE if replaces is None else TransactionKind.REPLACE
        if isinstance(command, CancelOrder):
            kind = TransactionKind.CANCEL
        removes = command.offer_sequence if isinstance(command, CancelOrder) else command.replaces_sequence
        return self._remember(
            tx or transaction_of(command, self._terms, place),
            place,
            ledger_index,
            About(
                kind=kind,
                order_id=command.order_id,
                replaces=replaces,
                removes=removes if tx is None else None,
            ),
        )

    def _remember(self, tx: Json, place: Place, ledger_index: int, about: About) -> PreparedTransaction:
        """Sign a transaction, and keep it until its fate is known."""
        blob, tx_hash = self._signer.sign(tx)
        if tx_hash in self._pending:
            raise InvariantViolation(f"transaction {tx_hash}: prepared twice")
        order = PreparedTransaction(
            kind=about.kind,
            order_id=about.order_id,
            replaces=about.replaces,
            tx_hash=tx_hash,
            account_sequence=place.number,
            last_ledger_sequence=place.last_ledger,
            fee_drops=place.fee_drops,
            blob=blob,
            tickets=about.tickets,
            ticketed=place.ticket,
        )
        self._pending[tx_hash] = Pending(
            tx_hash=tx_hash,
            blob=blob,
            place=place,
            first_ledger=ledger_index,
            order=order,
            removes=about.removes,
        )
        return order

    def _bearers(self, number: int) -> list[Pending]:
        """Return what is on its way with a sequence: one, or a quote and what withdraws it."""
        return [one for one in self._pending.values() if one.place.number == number and not one.place.ticket]

    def _create_at(self, number: int) -> Pending | None:
        """Return the create or replace on its way that bears a sequence."""
        for one in self._bearers(number):
            if one.creates:
                return one
        return None

    def _stuck(self) -> bool:
        """Tell whether a new sequence might wait: for a gap, or for one that no open ledger has."""
        waiting = (one for one in self._pending.values() if one.submitted and not one.place.ticket)
        return bool(self._numbers.gaps()) or any(not one.applied for one in waiting)

    # sending

    def submit(self, prepared: Sequence[PreparedTransaction]) -> tuple[SubmitOutcome, ...]:
        """Send what `prepare` gave, in order, and return the preliminary answers.

        All are on the wire before the first answer is waited for: a batch takes one round trip, and a dead
        connection costs one time limit and one more for the repetition, however many there are.
        """
        verdicts = self._send_all([one.tx_hash for one in prepared])
        return tuple(
            SubmitOutcome(tx_hash=one.tx_hash, order_id=one.order_id, outcome=verdict.outcome, code=code)
            for one, (verdict, code) in zip(prepared, verdicts, strict=True)
        )

    def discard(self, prepared: Sequence[PreparedTransaction]) -> None:
        """Take back what was prepared and will never be sent: its numbers are free."""
        for one in prepared:
            pending = self._pending[one.tx_hash]
            if pending.submitted:
                raise InvariantViolation(
                    f"transaction {one.tx_hash}: it was sent, so it cannot be taken back"
                )
            self._fail(pending)

    def _send_all(self, hashes: Iterable[str]) -> list[tuple[Verdict, str]]:
        batch = []
        for tx_hash in hashes:
            one = self._pending.get(tx_hash)
            if one is None:
                raise InvariantViolation(f"transaction {tx_hash}: submitted, but not prepared or ended")
            batch.append(one)
        for one in batch:
            one.submitted = True
        verdicts = self._send(batch)
        return [(verdicts[one.tx_hash], one.code) for one in batch]

    def _send(self, batch: Sequence[Pending]) -> dict[str, Verdict]:
        """Send blobs, the unanswered ones once more behind the others; return what each answer means."""
        verdicts: dict[str, Verdict] = {}
        for _ in range(1 + RETRIES_AT_ONCE):
            if not batch:
                break
            answers = self._ask.submit([one.blob for one in batch])
            answered = list(zip(batch, answers, strict=True))
            for one, answer in answered:
                verdicts[one.tx_hash] = self._answered(one, answer)
            batch = [one for one, answer in answered if answer.told is Told.LOST]
        return verdicts

    def _answered(self, one: Pending, answer: Answer) -> Verdict:
        """Take the answer to a blob, and return what it means."""
        exposed_before = one.exposed
        lost = answer.told is Told.LOST
        verdict = classify(answer)
        one.code = code_of(answer)
        self._learn_cost(answer)
        told = hash_in(answer)
        if told not in (None, one.tx_hash):
            self.must_stop = f"transaction {one.tx_hash}: the server calls it {told}; it is not to be trusted"
        if verdict.outcome is SubmitClass.REJECTED:
            if verdict.step is Step.STOP:
                self.must_stop = f"transaction {one.tx_hash}: {one.code}: {verdict.why}"
            if not exposed_before:
                self._fail(one)
                return verdict
            # An earlier copy may have been kept somewhere: only a ledger can tell now.
            verdict = Verdict(outcome=SubmitClass.UNKNOWN, step=Step.LOOK_UP)
        one.exposed = exposed_before or not lost or answer.sent
        one.applied = one.applied or one.code.startswith(("tes", "tec"))
        one.step = verdict.step
        if verdict.step is Step.FILL_GAP:
            self._missed_before(one.place.number)
        return verdict

    def _missed_before(self, number: int) -> None:
        """Have all before this sequence sent again: whatever was said, something is missing there."""
        for one in self._pending.values():
            if one.submitted and one.resend and not one.place.ticket and one.place.number < number:
                one.step, one.applied = Step.SEND_AGAIN, False

    def _learn_cost(self, answer: Answer) -> None:
        cost = answer.result.get("open_ledger_cost")
        if isinstance(cost, str) and cost.isascii() and cost.isdigit():
            self._fees.told(int(cost))

    # what became of it

    def adopt(self, order: PreparedTransaction, since_ledger: int) -> None:
        """Take over a transaction of an earlier session: its fate is looked up, its blob never sent.

        since_ledger: a validated ledger before it was sent. Raises InvariantViolation without its blob.
        """
        if order.blob is None:
            raise InvariantViolation(f"transaction {order.tx_hash}: stored without its blob")
        ticket = order.ticketed
        if ticket:
            self._numbers.adopt_ticket(order.account_sequence)
        else:
            self._numbers.adopt(order.account_sequence, tickets=order.tickets)
        place = Place(
            number=order.account_sequence,
            ticket=ticket,
            fee_drops=order.fee_drops,
            last_ledger=order.last_ledger_sequence,
        )
        self._pending[order.tx_hash] = Pending(
            tx_hash=order.tx_hash,
            blob=order.blob,
            place=place,
            first_ledger=since_ledger,
            order=order,
            removes=None,
            submitted=True,
            exposed=True,
            resend=False,
            step=Step.LOOK_UP,
        )

    def reconnected(self) -> None:
        """Have all that is open sent again with the next ledger: another server may not know of it."""
        for one in self._pending.values():
            if one.submitted and one.resend:
                one.step = Step.SEND_AGAIN

    def advance(self, seen: LedgerSeen) -> tuple[Resolution, ...]:
        """Take a validated ledger; return what is final besides what that ledger itself told."""
        self._fees.ledger(fee_base_drops=seen.fee_base_drops, close_time=seen.close_time)
        self._quotes = {
            number: quote
            for number, quote in self._quotes.items()
            if quote.expiration is None or quote.expiration > seen.close_time
        }
        found: list[Resolution] = []
        for tx_hash, result in seen.results.items():
            one = self._pending.get(tx_hash)
            if one is not None:
                found += self._validated(one, result)
        if self._numbers.ledger(seen.account_sequence):
            self.must_stop = (
                f"account {self._terms.account}: something else sends for it (sequence "
                f"{seen.account_sequence}); stop the other program or give this one a key of its own"
            )
        found += self._look_up(seen.ledger_index)
        found += self._send_open(seen.ledger_index)
        return tuple(found)

    def _look_up(self, ledger_index: int) -> list[Resolution]:
        """Ask for what should be decided by now, the oldest first, as far as the budget goes."""
        found: list[Resolution] = []
        asked = 0
        for one in list(self._pending.values()):
            over = one.place.last_ledger < ledger_index
            passed = not one.place.ticket and one.place.number < self._numbers.floor
            if one.tx_hash not in self._pending or not (over or passed or one.step is Step.LOOK_UP):
                continue
            if not one.submitted:
                found += self._fail(one) if over else []
                continue
            if asked == PROOFS_PER_LEDGER:
                break
            asked += 1
            found += self._fate(one, over=over)
        return found

    def _fate(self, one: Pending, *, over: bool) -> list[Resolution]:
        """Return the final word on one transaction if there is one. over: its last ledger has passed."""
        last = one.place.last_ledger
        span = {"min_ledger": one.first_ledger, "max_ledger": last}
        answer = self._ask("tx", {"transaction": one.tx_hash, **span})
        result = answer.result
        if answer.told is Told.ANSWERED and result.get("validated") is True:
            final = final_in(result)
            if final is None:
                return []
            rivals = self._validated(one, final[0])
            return [*_resolved(one, *final), *rivals]
        if not over or answer.told is Told.LOST:
            return []
        absent = answer.token == "txnNotFound" and result.get("searched_all") is True
        return self._fail(one) if absent or self._unused(one.place) else []

    def _unused(self, place: Place) -> bool:
        """Prove by state what a server without the history cannot: the number is unused after its end."""
        if place.ticket:
            return False
        parameters = {"account": self._terms.account, "ledger_index": "validated"}
        answer = self._ask("account_info", parameters)
        told = answer.result
        if answer.told is not Told.ANSWERED or told.get("validated") is not True:
            return False
        try:
            sequence, ledger_index = int(told["account_data"]["Sequence"]), int(told["ledger_index"])
        except MALFORMED:
            return False
        return ledger_index > place.last_ledger and sequence <= place.number

    def _send_open(self, ledger_index: int) -> list[Resolution]:
        """Send again what no server is known to keep, lowest number first."""
        batch = [
            one
            for one in sorted(self._pending.values(), key=lambda one: one.place.number)
            if one.step in (Step.SEND_AGAIN, Step.RAISE_FEE)
            and one.submitted
            and one.resend
            and one.place.last_ledger > ledger_index
        ]
        verdicts = self._send(batch)
        refused = [one for one in batch if verdicts[one.tx_hash].outcome is SubmitClass.REJECTED]
        return [word for one in refused for word in _resolved(one, None, None)]

    def _validated(self, one: Pending, result: str) -> list[Resolution]:
        """Take a validated transaction; return those that it leaves without a number."""
        place = one.place
        del self._pending[one.tx_hash]
        if result == SUCCESS and one.removes is not None:
            self._quotes.pop(one.removes, None)
        if place.ticket:
            self._numbers.ticket_used(place.number)
            return []
        self._numbers.used(place.number, succeeded=result == SUCCESS)
        if result != SUCCESS and one.creates:
            self._quotes.pop(place.number, None)
        rivals = self._bearers(place.number)
        for rival in rivals:
            del self._pending[rival.tx_hash]
            self._forget(rival)
        return [word for rival in rivals for word in _resolved(rival, None, None)]

    def _fail(self, one: Pending) -> list[Resolution]:
        """Take a transaction that can never be validated: its number is free."""
        del self._pending[one.tx_hash]
        number = one.place.number
        if not one.place.ticket:
            self._numbers.failed(number)
        elif one.code == "tefNO_TICKET":
            self._numbers.ticket_used(number)
        else:
            self._numbers.ticket_failed(number)
        self._forget(one)
        return _resolved(one, None, None)

    def _forget(self, one: Pending) -> None:
        self._fees.returned(one.place.fee_drops)
        if one.creates:
            self._quotes.pop(one.place.number, None)


def _resolved(one: Pending, result: str | None, ledger_index: int | None) -> list[Resolution]:
    return [Resolution(prepared=one.order, result=result, ledger_index=ledger_index, code=one.code)]
