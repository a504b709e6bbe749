"""Our account as validated ledgers show it: orders, fills, money, and everything that is none of ours.

Nothing is asked of a server here. Every validated ledger is read transaction by transaction, as metadata
tells it; requests are for the start, for a gap and for a check now and then (`back_fill`, `check`).

1. The same transaction twice changes nothing: each is counted once, by its ledger and place.
2. An order changes only by what a validated ledger did to it. A replace or cancel that ended in a tec, or
   never got in, leaves the old order standing, and that is said (ledger-rules, Replace).
3. Every drop and token that moves is in a fill, a fee or a finding; what is in none is UNEXPLAINED.
4. A transaction whose LastLedgerSequence has passed unseen has not failed: it is `lapsed`, and only
   `failed` (after a proof) ends it.
5. While ledgers are missing, no order expires and no balance is called unexplained: what is missing may
   say otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

from neo_engine.domain.account_events import AccountEvents, OfferEvent, OwnOffer
from neo_engine.domain.account_findings import AccountFinding, FindingKind
from neo_engine.domain.account_snapshot import AccountSnapshot, OpenOffer
from neo_engine.domain.book import BookTracker
from neo_engine.domain.errors import InvariantViolation
from neo_engine.domain.fills import LiquiditySide
from neo_engine.domain.ledger import LedgerTransaction, LedgerUpdate
from neo_engine.domain.market import AccountView, VenueOffer
from neo_engine.domain.number import ONE, ZERO, plain
from neo_engine.domain.orders import OrderStatus, OrderUpdate, TransactionKind
from neo_engine.execution.live_events import (
    Collected,
    InFlight,
    KnownOrder,
    LedgerReport,
    OrderState,
    creates,
    end_of,
    kind_of_payment,
)
from neo_engine.execution.live_holdings import Holdings, Step, snapshot_differences
from neo_engine.execution.order_events import DUST_DROPS

#: How a transaction is read: (its ledger, the transaction, account, when the parent ledger closed, rate).
EventReader = Callable[[LedgerUpdate, LedgerTransaction, str, int, Decimal], AccountEvents | None]

TOO_LATE = "tefMAX_LEDGER"
#: Ledgers for which a transaction is remembered as seen (about an hour): back_fill reaches no further.
REMEMBERED_LEDGERS = 1_024
#: The most that one transaction can move by rounding alone: a drop, or its price, for each offer it met.
MOST_DUST_DROPS = 10
MOST_DUST_QUOTE = Decimal("0.001")


class LiveAccount:
    """Mutable on purpose: one owner applies ledger after ledger; everything handed out is a frozen value.

    snapshot: where to begin. orders, in_flight: what is known then. read: `account_events` of the
    metadata's reader. transfer_rate: the issuer's, until a book says it.
    """

    def __init__(
        self,
        snapshot: AccountSnapshot,
        read: EventReader,
        *,
        orders: Iterable[KnownOrder] = (),
        in_flight: Iterable[InFlight] = (),
        transfer_rate: Decimal = ONE,
    ) -> None:
        self.ledger_index = snapshot.ledger_index
        self.close_time = snapshot.close_time
        self._read = read
        self._holdings = Holdings(snapshot)
        self._rate = transfer_rate
        self._token_frozen = False
        self._orders: dict[int, OrderState] = {}
        self._by_sequence: dict[int, int] = {}
        self._in_flight: dict[str, InFlight] = {}
        self._seen: dict[int, set[int]] = {}
        for order in orders:
            self._add(order)
        for sent in in_flight:
            self._in_flight[sent.prepared.tx_hash] = sent
        on_their_way = {one.prepared.order_id for one in self._in_flight.values() if creates(one)}
        for one in self._orders.values():
            if one.sequence is not None and one.order_id not in on_their_way:
                self._by_sequence[one.sequence] = one.order_id

    # what is known

    @property
    def address(self) -> str:
        """The account's address."""
        return self._holdings.address

    @property
    def offers(self) -> tuple[OpenOffer, ...]:
        """Every offer of the pair on the ledger, the oldest first; expired ones hold their reserve still."""
        return tuple(self._holdings.offers[one] for one in sorted(self._holdings.offers))

    @property
    def unknown_offers(self) -> tuple[OpenOffer, ...]:
        """The offers on the ledger that no order of ours placed."""
        return tuple(one for one in self.offers if one.offer_sequence not in self._by_sequence)

    @property
    def frozen(self) -> bool:
        """True while the issuer has frozen our trust line."""
        return self._holdings.frozen

    @property
    def expired_offers(self) -> tuple[int, ...]:
        """Sequences of offers, ours or strangers', that fill no more but still hold the owner reserve."""
        return tuple(
            one.offer_sequence
            for one in self.offers
            if one.expiration is not None and one.expiration <= self.close_time
        )

    @property
    def tickets(self) -> tuple[int, ...]:
        """Tickets that can be used, ascending."""
        return tuple(sorted(self._holdings.tickets))

    @property
    def in_flight(self) -> tuple[InFlight, ...]:
        """What was sent and has no final result, in the order in which it was."""
        return tuple(self._in_flight.values())

    @property
    def missing_ledgers(self) -> tuple[int, ...]:
        """Ledgers that were not seen whole and have not been read again, ascending."""
        return tuple(sorted(self._holdings.missing))

    def view(self) -> AccountView:
        """Return the account after the last ledger, without expired offers: they fill no more."""
        mine = self._holdings
        return AccountView(
            balance_drops=mine.balance_drops,
            quote_balance=mine.quote_balance,
            owner_count=mine.owner_count,
            account_sequence=mine.account_sequence,
            offers=tuple(
                VenueOffer(
                    offer_sequence=one.offer_sequence,
                    side=one.side,
                    base_drops=one.base_drops,
                    quote=one.quote,
                    expiration=one.expiration,
                )
                for one in self.offers
                if one.expiration is None or one.expiration > self.close_time
            ),
        )

    # what we do

    def expect(self, sent: InFlight, order: KnownOrder | None = None) -> None:
        """Note a transaction before it is sent, and the order it creates (None where it creates none).

        Raises InvariantViolation for a create without its order.
        """
        prepared = sent.prepared
        if order is not None:
            self._add(order)
        if creates(sent) and prepared.order_id not in self._orders:
            raise InvariantViolation(
                f"transaction {prepared.tx_hash}: order {prepared.order_id} is not known"
            )
        self._in_flight[prepared.tx_hash] = sent

    def adopt(self, order: KnownOrder) -> None:
        """Take an unknown offer as `order`. Raises InvariantViolation if there is no such offer."""
        sequence = order.offer_sequence
        if sequence is None or all(one.offer_sequence != sequence for one in self.unknown_offers):
            raise InvariantViolation(f"order {order.order_id}: offer {sequence} does not stand or is taken")
        self._add(order)
        self._by_sequence[sequence] = order.order_id

    def failed(self, tx_hash: str, code: str = TOO_LATE) -> tuple[OrderUpdate, ...]:
        """Take it that a transaction can never be in a ledger, as was proven; return what that means."""
        now = Collected(self.ledger_index)
        sent = self._in_flight.pop(tx_hash, None)
        if sent is not None:
            self._came_to_nothing(sent, code, now)
        return tuple(now.updates)

    # what the ledger does

    def advance(self, update: LedgerUpdate, book: BookTracker) -> LedgerReport:
        """Apply one validated ledger, which `book` has applied already, and report.

        A ledger seen before changes nothing; one that was missing is read late. Raises InvariantViolation
        if the book stands at another ledger than a new update.
        """
        index = update.ledger_index
        if index <= self.ledger_index:
            if index in self._holdings.missing and not update.incomplete:
                return self.back_fill((update,), index, index)
            return self._report(Collected(self.ledger_index))
        if book.ledger_index != index:
            raise InvariantViolation(f"the book stands at ledger {book.ledger_index}, the update is {index}")
        self._rate = book.transfer_rate
        now = Collected(index)
        self._note_gap(update, now)
        for tx in update.transactions:
            self._take(update, tx, book.parent_close_time, now)
        self.ledger_index, self.close_time = index, update.close_time
        self._note_token_freeze(book.global_freeze, now)
        return self._finish(now)

    def back_fill(self, updates: Sequence[LedgerUpdate], first_ledger: int, last_ledger: int) -> LedgerReport:
        """Read late what touched the account in first_ledger..last_ledger; what was seen changes nothing.

        updates: at least the account's transactions of these ledgers (account_tx). An offer that a
        transaction cleared away counts as expired if it was when that ledger closed. Raises
        InvariantViolation for ledgers no longer remembered (the first call may reach back before the
        snapshot as far as it likes): begin with a new snapshot instead.
        """
        if first_ledger <= self._holdings.forgotten:
            raise InvariantViolation(
                f"ledgers {first_ledger} to {last_ledger} cannot be read again: nothing up to "
                f"{self._holdings.forgotten} is remembered; begin with a new snapshot"
            )
        now = Collected(self.ledger_index)
        for update in sorted(updates, key=lambda one: one.ledger_index):
            now.ledger_index = update.ledger_index
            for tx in update.transactions:
                self._take(update, tx, update.close_time - 1, now)
        now.ledger_index = self.ledger_index
        self._holdings.missing.difference_update(range(first_ledger, last_ledger + 1))
        return self._finish(now)

    def check(self, snapshot: AccountSnapshot) -> tuple[AccountFinding, ...]:
        """Compare with the server's word of the same ledger; return the differences.

        Raises InvariantViolation if it is of another ledger.
        """
        if snapshot.ledger_index != self.ledger_index:
            raise InvariantViolation(
                f"a snapshot of ledger {snapshot.ledger_index} says nothing of ledger {self.ledger_index}"
            )
        return tuple(
            AccountFinding(kind=FindingKind.DIFFERENCE, ledger_index=self.ledger_index, detail=text)
            for text in snapshot_differences(self._holdings, snapshot)
        )

    # one ledger

    def _note_gap(self, update: LedgerUpdate, now: Collected) -> None:
        missing = list(range(self.ledger_index + 1, update.ledger_index + update.incomplete))
        if not missing:
            return
        self._holdings.missing.update(missing)
        now.findings.append(
            AccountFinding(
                kind=FindingKind.LEDGER_GAP,
                ledger_index=update.ledger_index,
                detail=f"ledgers {missing[0]} to {missing[-1]} were not seen whole; read them again",
                first_ledger=missing[0],
                last_ledger=missing[-1],
            )
        )

    def _note_token_freeze(self, frozen: bool, now: Collected) -> None:
        if frozen == self._token_frozen:
            return
        self._token_frozen = frozen
        text = "the issuer froze the whole token" if frozen else "the whole token is frozen no more"
        now.findings.append(
            AccountFinding(
                kind=FindingKind.FREEZE, ledger_index=self.ledger_index, detail=text, active=frozen
            )
        )

    def _finish(self, now: Collected) -> LedgerReport:
        if not self._holdings.missing:
            self._expire(now)
            drops, quote = self._holdings.take_gap()
            if drops or quote:
                now.findings.append(
                    AccountFinding(
                        kind=FindingKind.UNEXPLAINED,
                        ledger_index=self.ledger_index,
                        detail=f"{drops} drops and {plain(quote)} token moved without a transaction",
                        base_drops=drops,
                        quote=quote,
                    )
                )
        self._forget()
        return self._report(now)

    def _report(self, now: Collected) -> LedgerReport:
        return LedgerReport(
            ledger_index=self.ledger_index,
            fills=tuple(now.fills),
            order_updates=tuple(now.updates),
            transactions=tuple(now.transactions),
            lapsed=tuple(
                one
                for one in self._in_flight.values()
                if one.prepared.last_ledger_sequence <= self.ledger_index
            ),
            account=self.view(),
            findings=tuple(now.findings),
        )

    def _expire(self, now: Collected) -> None:
        """The next ledger's parent closed at `close_time`: offers that expire by then fill no more."""
        for sequence, offer in self._holdings.offers.items():
            order = self._standing(sequence)
            if order is not None and offer.expiration is not None and offer.expiration <= self.close_time:
                self._close(order, OrderStatus.EXPIRED, "expired", now)

    def _forget(self) -> None:
        """Let go of what is too long ago: memory must not grow with the ledgers."""
        old = self.ledger_index - REMEMBERED_LEDGERS
        self._seen = {one: places for one, places in self._seen.items() if one > old}
        ended = [one for one in self._orders.values() if one.closed is not None and one.closed <= old]
        for order in ended:
            del self._orders[order.order_id]
        if ended:
            # An expired offer keeps its number as long as it stands: it is no stranger's.
            self._by_sequence = {
                sequence: order_id
                for sequence, order_id in self._by_sequence.items()
                if order_id in self._orders or sequence in self._holdings.offers
            }
        self._holdings.forget(old)

    # one transaction

    def _take(self, update: LedgerUpdate, tx: LedgerTransaction, parent_close: int, now: Collected) -> None:
        if tx.index in self._seen.get(update.ledger_index, ()) or not self._holdings.touched_by(tx):
            return
        self._seen.setdefault(update.ledger_index, set()).add(tx.index)
        self._holdings.follow(Step(tx=tx, at=(update.ledger_index, tx.index), now=now))
        events = self._read(update, tx, self.address, parent_close, self._rate)
        if events is None:
            return  # only the account's chain moved
        sent = self._in_flight.pop(tx.tx_hash, None)
        if sent is not None:
            now.outcome(sent, tx)
            order = self._orders.get(sent.prepared.order_id)
            if creates(sent) and tx.succeeded and order is not None:
                self._by_sequence[sent.prepared.account_sequence] = order.order_id
        elif tx.account == self.address:
            text = f"{tx.kind} ended in {tx.result}; this engine did not send it"
            now.found(FindingKind.STRANGE_TRANSACTION, tx, text, fee_drops=tx.fee_drops)
        self._take_fills(events, sent, now)
        for offer in events.offers:
            self._take_offer(offer, events, sent, now)
        if sent is not None:
            self._settle(sent, tx, events, now)
        self._take_money(events, tx, now)

    def _take_fills(self, events: AccountEvents, sent: InFlight | None, now: Collected) -> None:
        for fill in events.fills:
            order_id = self._order_of(fill.offer_sequence)
            if fill.liquidity is LiquiditySide.TAKER:
                order_id = sent.prepared.order_id if sent is not None and creates(sent) else None
            if order_id is None:
                now.orphan(fill)
                continue
            now.fills.append(fill.fill_of(order_id))
            order = self._orders.get(order_id)
            if order is not None:
                order.filled_base_drops += fill.base_drops
                order.filled_quote += fill.quote

    def _take_offer(
        self, offer: OwnOffer, events: AccountEvents, sent: InFlight | None, now: Collected
    ) -> None:
        sequence = offer.offer_sequence
        if offer.event is OfferEvent.PLACED:
            if sequence not in self._by_sequence:
                now.findings.append(
                    AccountFinding(
                        kind=FindingKind.ORPHAN_OFFER,
                        ledger_index=now.ledger_index,
                        detail=f"offer {sequence} stands and is no order of ours",
                        tx_hash=events.tx_hash,
                        transaction_index=events.transaction_index,
                        offer_sequence=sequence,
                    )
                )
            return  # of our own orders `_settle` tells
        order = self._standing(sequence)
        if order is None:
            return
        if offer.event is OfferEvent.REDUCED:
            left = (offer.base_drops, offer.quote)
            filled = order.filled_base_drops > 0
            now.stands(order.order_id, filled=filled, sequence=sequence, left=left)
            return
        status, reason = end_of(offer, events, sent)
        self._close(order, status, reason, now)

    def _settle(self, sent: InFlight, tx: LedgerTransaction, events: AccountEvents, now: Collected) -> None:
        """Say what became of the order that one of our transactions was about."""
        if not tx.succeeded:
            self._came_to_nothing(sent, tx.result, now)
            return
        order = self._orders.get(sent.prepared.order_id)
        if not creates(sent) or order is None or order.closed is not None:
            return
        order.sequence = sent.prepared.account_sequence
        placed = next((one for one in events.offers if one.event is OfferEvent.PLACED), None)
        if placed is not None:
            now.stands(
                order.order_id,
                filled=order.filled_base_drops > 0,
                sequence=placed.offer_sequence,
                left=(placed.base_drops, placed.quote),
            )
            return
        traded = order.filled_base_drops > 0
        whole = order.filled_base_drops + DUST_DROPS >= order.base_drops or order.filled_quote >= order.quote
        if traded and whole:
            self._close(order, OrderStatus.FILLED, None, now)
        else:
            self._close(order, OrderStatus.CANCELED, "nothing was left to place", now)

    def _came_to_nothing(self, sent: InFlight, code: str, now: Collected) -> None:
        """One of our transactions had no effect: what it was to place is refused, what it aimed at stands."""
        prepared = sent.prepared
        order = self._orders.get(prepared.order_id)
        if creates(sent) and order is not None and order.closed is None:
            order.sequence = None
            self._close(order, OrderStatus.REJECTED, code, now)
        target = prepared.order_id if prepared.kind is TransactionKind.CANCEL else prepared.replaces
        old = None if target is None else self._orders.get(target)
        offer = None if old is None or old.sequence is None else self._holdings.offers.get(old.sequence)
        if old is None or offer is None or old.closed is not None:
            return
        now.stands(
            old.order_id,
            filled=old.filled_base_drops > 0,
            sequence=offer.offer_sequence,
            left=(offer.base_drops, offer.quote),
            reason=code,
        )

    def _take_money(self, events: AccountEvents, tx: LedgerTransaction, now: Collected) -> None:
        """Report what came or went without a trade; a fill carries its line's rounding itself."""
        rounding = ZERO if events.fills or events.unexplained else events.rounding
        drops, quote = events.paid_base_drops, events.paid_quote
        if drops or quote:
            quote, rounding = quote + rounding, ZERO
            kind = kind_of_payment(tx, drops, quote)
            text = f"{tx.kind} by {tx.account} moved {drops} drops and {plain(quote)} token"
            now.found(kind, tx, text, moved=(drops, quote))
        dust = (events.dust_base_drops, events.dust_quote + rounding)
        if any(dust):
            # Only parts of a unit are lost to rounding: more that came or went alone was no dust.
            small = abs(dust[0]) <= MOST_DUST_DROPS and abs(dust[1]) <= MOST_DUST_QUOTE
            text = f"{dust[0]} drops and {plain(dust[1])} token moved without a trade"
            now.found(FindingKind.DUST if small else FindingKind.UNEXPLAINED, tx, text, moved=dust)
        if events.unexplained_drops or events.unexplained:
            token = events.rounding if events.unexplained else ZERO
            text = (
                f"{tx.kind} moved {events.unexplained_drops} drops and {plain(token)} token more than it says"
            )
            now.found(FindingKind.UNEXPLAINED, tx, text, moved=(events.unexplained_drops, token))

    # orders

    def _add(self, order: KnownOrder) -> None:
        self._orders[order.order_id] = OrderState(
            order_id=order.order_id,
            sequence=order.offer_sequence,
            base_drops=order.base_drops,
            quote=order.quote,
            filled_base_drops=order.filled_base_drops,
            filled_quote=ZERO,
        )

    def _order_of(self, sequence: int) -> int | None:
        """Return the order that placed an offer; None for a stranger's.

        While ledgers are missing, one of them may hold the transaction in flight that placed it. Otherwise
        its number was used by somebody else.
        """
        known = self._by_sequence.get(sequence)
        if known is not None or not self._holdings.missing:
            return known
        placing = (one.prepared for one in self._in_flight.values() if creates(one))
        return next((one.order_id for one in placing if one.account_sequence == sequence), None)

    def _standing(self, sequence: int) -> OrderState | None:
        """Return the order whose offer this is, unless it has ended."""
        order = self._orders.get(self._order_of(sequence) or 0)
        return None if order is None or order.closed is not None else order

    def _close(self, order: OrderState, status: OrderStatus, reason: str | None, now: Collected) -> None:
        order.closed = now.ledger_index
        now.closed(order.order_id, status, order.sequence, reason)
