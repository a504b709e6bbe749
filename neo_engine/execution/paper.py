"""The paper exchange: our offers stand in the tracked book and the ledger's own transactions meet them.

Theory (docs/paper.md). Every transaction of a validated ledger that could take from the pair is run
again, as it was sent, against book + pool + our offers, in price-time order; what it takes of ours is
our fill. The tracked book itself then follows the ledger's metadata: our fills do not change what
others do later (no market impact), except that liquidity we already traded with is not traded twice
(`_spent`).

1. A fill never exceeds what the taker would have taken: the same order, better or equal liquidity.
2. Our transactions arrive `arrival_delay_ledgers` after the decision, all of one ledger together
   (order inside a ledger is by account, salted: ledger-rules, Order), at a place drawn from the seed and
   the ledger index alone, so that a run cut short draws the same places.
3. A transaction of ours obeys the ledger: sequence, LastLedgerSequence, fee, reserve, replace
   (OfferSequence) that is undone as a whole by a tec, self-crossing, tick rounding, taking when it
   crosses.
4. An expired offer fills no more, but holds its reserve until a taker meets it or we remove it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from neo_engine.domain.assets import Side
from neo_engine.domain.book import BookOffer, BookTracker
from neo_engine.domain.capital import CapitalEvent
from neo_engine.domain.errors import InvariantViolation
from neo_engine.domain.fills import LiquiditySide
from neo_engine.domain.ledger import (
    LedgerTransaction,
    LedgerUpdate,
    TakerIntent,
    TakerKind,
)
from neo_engine.domain.matching import (
    MatchResult,
    OrderKind,
    Outcome,
    TakerOrder,
    match,
)
from neo_engine.domain.number import plain, xrp_from_drops
from neo_engine.domain.orders import (
    CancelOrder,
    Command,
    OrderStatus,
    OrderUpdate,
    PlaceOrder,
    PreparedTransaction,
    Quote,
    SubmitClass,
    SubmitOutcome,
    TransactionKind,
    TransactionOutcome,
)
from neo_engine.domain.rounding import rate_code
from neo_engine.execution.order_events import DUST_DROPS
from neo_engine.execution.paper_account import PaperAccount, offer_index
from neo_engine.execution.paper_book import SharedBook
from neo_engine.execution.paper_events import LedgerEvents
from neo_engine.execution.snapshot import market_snapshot, market_trades
from neo_engine.execution.takers import asked_of_book
from neo_engine.ports import VenueReport

FROZEN = "tecFROZEN"
TOO_LATE = "tefMAX_LEDGER"
#: The ledger compares rates of 16 digits: an equal one may differ from the exact quotient by this share.
_RATE_SLACK = Decimal("1.000000000000002")


class _Sent(msgspec.Struct, frozen=True, kw_only=True):
    """One of our transactions on its way: the ledger it is due in and what it does."""

    prepared: PreparedTransaction
    command: Command
    due_ledger: int


PlaceRule = Callable[[LedgerUpdate], int]


def boundaries(update: LedgerUpdate) -> tuple[int, ...]:
    """Return the places our transactions can take: before, between and after the accounts' runs."""
    transactions = update.transactions
    inner = [
        position
        for position in range(1, len(transactions))
        if transactions[position].account != transactions[position - 1].account
    ]
    return (0, *inner, len(transactions)) if transactions else (0,)


def drawn_place(seed: int, update: LedgerUpdate) -> int:
    """Return before which transaction ours apply, drawn from the seed and the ledger index alone."""
    places = boundaries(update)
    draw = hashlib.sha256(f"{seed} {update.ledger_index}".encode()).digest()
    return places[int.from_bytes(draw[:8], "big") % len(places)]


class PaperExchange:
    """Implements ports.Exchange against a feed of real ledgers."""

    def __init__(
        self,
        *,
        book: BookTracker,
        account: PaperAccount,
        seed: int,
        arrival_delay_ledgers: int,
        last_ledger_offset: int,
        depth_levels: int,
        place: PlaceRule | None = None,
    ) -> None:
        self._book = book
        self._account = account
        self._seed = seed
        self._delay = arrival_delay_ledgers
        self._last_ledger_offset = last_ledger_offset
        self._depth = depth_levels
        self._place: PlaceRule = place or (lambda update: drawn_place(seed, update))
        self._commands: dict[str, Command] = {}
        self._sent: list[_Sent] = []
        self._shared = SharedBook(book, account)
        self._next_sequence = account.sequence
        self._now = LedgerEvents(book.ledger_index, book.close_time)
        account.set_reserves(book.base_reserve_drops, book.owner_reserve_drops)

    # what the shell asks

    def advance(self, update: LedgerUpdate) -> VenueReport:
        """Apply one validated ledger, our due transactions in their place, and report."""
        book, now = self._book, LedgerEvents(update.ledger_index, update.close_time)
        self._now = now
        book.open_ledger(update)
        self._account.set_reserves(book.base_reserve_drops, book.owner_reserve_drops)
        place = self._place(update) if self._sent else -1
        for position, tx in enumerate(update.transactions):
            if position == place:
                self._arrive(update)
            self._meet(tx)
        if place >= len(update.transactions):
            self._arrive(update)
        now.faults.extend(book.close_ledger(update))
        self._expire(update.close_time)
        return VenueReport(
            snapshot=market_snapshot(book, self._depth, tuple(now.trades)),
            transactions=tuple(now.transactions),
            order_updates=tuple(now.updates),
            fills=tuple(now.fills),
            account=self._account.view(),
            faults=tuple(now.faults),
        )

    def prepare(
        self,
        commands: Sequence[Command],
        ledger_index: int,
        *,
        urgent: bool = False,  # noqa: ARG002 - the port's: here nothing ever waits
    ) -> tuple[PreparedTransaction, ...]:
        """Number and name the transactions for `commands`; nothing is sent yet, and nothing ever waits."""
        prepared = []
        for command in commands:
            sequence = self._next_sequence
            self._next_sequence += 1
            one = _prepared(
                command,
                account=self._account.address,
                seed=self._seed,
                sequence=sequence,
                last_ledger=ledger_index + self._last_ledger_offset,
                fee_drops=self._book.fee_base_drops,
            )
            self._commands[one.tx_hash] = command
            prepared.append(one)
        return tuple(prepared)

    def submit(self, prepared: Sequence[PreparedTransaction]) -> tuple[SubmitOutcome, ...]:
        """Send them: they arrive with a later ledger. The paper venue always takes them."""
        outcomes = []
        for one in prepared:
            command = self._commands.pop(one.tx_hash)
            due = self._now.ledger_index + self._delay
            self._sent.append(_Sent(prepared=one, command=command, due_ledger=due))
            outcomes.append(
                SubmitOutcome(
                    tx_hash=one.tx_hash,
                    order_id=one.order_id,
                    outcome=SubmitClass.ACCEPTED,
                    code="tesSUCCESS",
                )
            )
        return tuple(outcomes)

    def withdraw(self, prepared: Sequence[PreparedTransaction]) -> None:
        """Forget what was prepared last; its sequences are the next ones again."""
        for one in reversed(prepared):
            if self._commands.pop(one.tx_hash, None) is None:
                raise InvariantViolation(
                    f"transaction {one.tx_hash}: it was sent, so it cannot be taken back"
                )
            if one.account_sequence != self._next_sequence - 1:
                raise InvariantViolation(f"sequence {one.account_sequence}: later ones are in use")
            self._next_sequence -= 1

    def transfer(self, event: CapitalEvent) -> str | None:
        """Move capital in or out of the paper account; refuse what it cannot spend."""
        account = self._account
        if event.sign < 0:
            if event.base_drops > account.spendable_drops():
                have = plain(xrp_from_drops(account.spendable_drops()))
                return f"only {have} XRP lie above the account's reserve"
            if event.quote > account.quote_balance:
                return f"only {plain(account.quote_balance)} are in the account"
        account.balance_drops += event.sign * event.base_drops
        account.quote_balance += event.sign * event.quote
        return None

    def end_of_market(self) -> tuple[OrderUpdate, ...]:
        """Close what still works or is on its way: no further ledger will decide it."""
        self._now = LedgerEvents(self._now.ledger_index, self._now.close_time)
        for sent in self._sent:
            if isinstance(sent.command, PlaceOrder):
                self._now.closed(sent.prepared.order_id, OrderStatus.CANCELED, None, "never reached a ledger")
        self._sent.clear()
        for sequence in list(self._account.offers):
            gone = self._account.remove_offer(sequence)
            if gone is not None and not gone.expired:
                self._now.closed(gone.order_id, OrderStatus.CANCELED, sequence, "end of the market")
        return tuple(self._now.updates)

    def close(self) -> None:
        """Nothing to release: the paper exchange holds no file and no socket."""

    # our transactions

    def _arrive(self, update: LedgerUpdate) -> None:
        """Apply what is due. Its indexes come after the ledger's own: a fill's key must be no other's."""
        ledger_index, waiting = update.ledger_index, []
        transaction_index = max((tx.index for tx in update.transactions), default=-1)
        for sent in self._sent:
            if sent.due_ledger > ledger_index:
                waiting.append(sent)
            elif sent.prepared.last_ledger_sequence < ledger_index:
                self._lapse(sent)
            else:
                transaction_index += 1
                self._apply_own(sent, ledger_index, transaction_index)
        self._sent = waiting

    def _lapse(self, sent: _Sent) -> None:
        """LastLedgerSequence has passed: the transaction can never apply and what it aimed at stands."""
        command = sent.command
        if isinstance(command, PlaceOrder):
            self._refuse(command, TOO_LATE)
        else:
            self._still_standing(command.offer_sequence, TOO_LATE)

    def _apply_own(self, sent: _Sent, ledger_index: int, transaction_index: int) -> None:
        account, prepared = self._account, sent.prepared
        before_fee = account.balance_drops
        account.balance_drops -= prepared.fee_drops
        account.sequence = prepared.account_sequence + 1
        if isinstance(sent.command, PlaceOrder):
            result = self._create(sent.command, prepared, before_fee, transaction_index)
        else:
            self._cancel(sent.command)
            result = "tesSUCCESS"  # also for an offer that is gone already (docs OfferCancel)
        self._now.transactions.append(
            TransactionOutcome(
                tx_hash=prepared.tx_hash,
                order_id=prepared.order_id,
                kind=prepared.kind,
                result=result,
                ledger_index=ledger_index,
                transaction_index=transaction_index,
                fee_drops=prepared.fee_drops,
            )
        )

    def _cancel(self, command: CancelOrder) -> None:
        gone = self._account.remove_offer(command.offer_sequence)
        if gone is not None and not gone.expired:
            self._now.closed(gone.order_id, OrderStatus.CANCELED, command.offer_sequence, command.reason)

    def _create(
        self, command: PlaceOrder, prepared: PreparedTransaction, before_fee: int, transaction_index: int
    ) -> str:
        account, quote = self._account, command.quote
        side, replaced = quote.side, command.replaces_sequence
        refusal = self._preclaim(side, before_fee)
        if refusal is not None:
            return self._refuse(command, refusal)
        old = account.remove_offer(replaced) if replaced is not None else None
        order = TakerOrder(
            kind=OrderKind.OFFER,
            taker=account.address,
            side=side,
            base_drops=quote.base_drops,
            quote=quote.quote,
            funds=account.funds(side),
            sell=side is Side.SELL,
            expiration=quote.expiration,
            may_rest=before_fee >= account.reserve_drops(account.owner_count + 1),
        )
        result = match(order, self._shared.liquidity(side.opposite))
        if result.outcome is not Outcome.DONE:
            if (
                old is not None and replaced is not None
            ):  # a tec undoes the cancel too (ledger-rules, Replace)
                account.offers[replaced] = old
                account.owner_count += 1
            return self._refuse(command, str(result.outcome.value))
        if old is not None and not old.expired:
            reason = f"replaced by order {command.order_id}"
            self._now.closed(old.order_id, OrderStatus.CANCELED, replaced, reason)
        self._settle_create(command, prepared, result, transaction_index)
        return str(result.outcome.value)

    def _preclaim(self, side: Side, before_fee: int) -> str | None:
        """Return the code of an offer refused as things stood before its fee and its cancel, or None."""
        account = self._account
        if self._book.global_freeze:
            return FROZEN
        spendable = before_fee - account.reserve_drops(account.owner_count)
        funded = spendable > 0 if side is Side.SELL else account.quote_balance > 0
        return None if funded else str(Outcome.UNFUNDED.value)

    def _refuse(self, command: PlaceOrder, code: str) -> str:
        self._now.closed(command.order_id, OrderStatus.REJECTED, None, code)
        self._still_standing(command.replaces_sequence, code)
        return code

    def _still_standing(self, sequence: int | None, code: str) -> None:
        """Say that an order whose replacement or cancel failed is alive after all."""
        one = self._account.offers.get(sequence) if sequence is not None else None
        if one is None or one.expired:
            return
        self._now.standing(one.order_id, one.filled, one.offer, code)

    def _settle_create(
        self, command: PlaceOrder, prepared: PreparedTransaction, result: MatchResult, transaction_index: int
    ) -> None:
        quote, sequence = command.quote, prepared.account_sequence
        self._remove_ours(result)
        for take in result.takes:
            self._shared.spend(take.index, take.base_drops, take.quote)
        crossed = result.base_drops > 0
        if crossed:
            self._now.fill(
                self._account,
                command.order_id,
                side=quote.side,
                liquidity=LiquiditySide.TAKER,
                sequence=sequence,
                node=f"taker {sequence}",
                transaction=(prepared.tx_hash, transaction_index),
                amounts=(result.base_drops, result.quote),
            )
        rest = result.remainder
        if rest is None:
            whole = crossed and result.base_drops >= quote.base_drops
            status = OrderStatus.FILLED if whole else OrderStatus.CANCELED
            reason = None if whole else "nothing was left to place"
            self._now.closed(command.order_id, status, sequence, reason)
            return
        offer = BookOffer(
            index=offer_index(self._account.address, sequence),
            side=quote.side,
            owner=self._account.address,
            sequence=sequence,
            base_drops=rest.base_drops,
            quote=rest.quote,
            rate=rest.rate,
            book_directory=rate_code(rest.rate),
            book_node="0",
            owner_node="0",
            flags=0,
            expiration=quote.expiration,
            previous_txn_id=prepared.tx_hash,
            previous_txn_ledger=self._now.ledger_index,
            arrival=self._book.take_arrival(),
        )
        self._account.add_offer(command.order_id, offer, crossed)
        self._now.standing(command.order_id, crossed, offer)

    # others' transactions

    def _meet(self, tx: LedgerTransaction) -> None:
        """Run one of the ledger's transactions against our offers, then let the book follow it."""
        traded: list[tuple[int, Decimal]] = []
        if self._account.offers and tx.taker is not None and self._in_reach(tx.taker):
            order = asked_of_book(tx, self._book)
            if order is not None:
                traded = self._run(order, tx)
        self._now.trades.extend(market_trades(tx, self._book))
        self._now.faults.extend(self._book.apply(tx))
        if traded:
            self._shared.spend_created(tx, traded)
        self._shared.forget_gone()

    def _in_reach(self, intent: TakerIntent) -> bool:
        """Tell whether an offer of ours may stand on the side taken at a rate the taker accepts."""
        taken = intent.side
        ours = [one.offer.rate for one in self._account.offers.values() if one.offer.side is not taken]
        if not ours:
            return False
        if intent.kind is not TakerKind.OFFER or not intent.base_drops or not intent.quote:
            return True
        best = min(ours)
        if taken is Side.BUY:
            return best * intent.base_drops <= intent.quote * _RATE_SLACK
        return best * intent.quote <= intent.base_drops * _RATE_SLACK

    def _run(self, order: TakerOrder, tx: LedgerTransaction) -> list[tuple[int, Decimal]]:
        result = match(order, self._shared.liquidity(order.side.opposite))
        ours = {one.offer.index: one for one in self._account.offers.values()}
        traded = []
        for take in result.takes:
            mine = ours.get(take.index)
            if mine is None or take.base_drops <= 0 or take.quote <= 0:
                continue
            offer = replace(mine.offer, base_drops=take.left_base_drops, quote=take.left_quote)
            self._now.fill(
                self._account,
                mine.order_id,
                side=offer.side,
                liquidity=LiquiditySide.MAKER,
                sequence=offer.sequence,
                node=offer.index,
                transaction=(tx.tx_hash, tx.index),
                amounts=(take.base_drops, take.quote),
            )
            traded.append((take.base_drops, take.quote))
            if take.gone:
                self._account.remove_offer(offer.sequence)
                self._close_filled(mine.order_id, offer)
            else:
                mine.offer, mine.filled = offer, True
                self._now.standing(mine.order_id, True, offer)
        self._remove_ours(result)
        return traded

    def _close_filled(self, order_id: int, left: BookOffer) -> None:
        if left.base_drops <= DUST_DROPS:
            self._now.closed(order_id, OrderStatus.FILLED, left.sequence, None)
            return
        reason = f"removed by the ledger with {plain(xrp_from_drops(left.base_drops))} XRP unfilled"
        self._now.closed(order_id, OrderStatus.CANCELED, left.sequence, reason)

    def _remove_ours(self, result: MatchResult) -> None:
        if not result.removals:
            return
        ours = {one.offer.index: sequence for sequence, one in self._account.offers.items()}
        for removal in result.removals:
            sequence = ours.get(removal.index)
            gone = self._account.remove_offer(sequence) if sequence is not None else None
            if gone is not None and not gone.expired:
                self._now.closed(gone.order_id, OrderStatus.CANCELED, sequence, removal.reason.value)

    def _expire(self, close_time: int) -> None:
        """The next ledger's parent closed at `close_time`: offers that expire by then fill no more."""
        for sequence, one in self._account.offers.items():
            if not one.expired and one.offer.expired(close_time):
                one.expired = True
                self._now.closed(one.order_id, OrderStatus.EXPIRED, sequence, "expired")


def _prepared(
    command: Command, *, account: str, seed: int, sequence: int, last_ledger: int, fee_drops: int
) -> PreparedTransaction:
    if isinstance(command, PlaceOrder):
        kind = TransactionKind.CREATE if command.replaces is None else TransactionKind.REPLACE
        what, replaces = _quote_text(command.quote), command.replaces
    elif isinstance(command, CancelOrder):
        kind, what, replaces = TransactionKind.CANCEL, str(command.offer_sequence), None
    else:
        raise InvariantViolation(f"{command!r} is no command")
    text = f"{account} {seed} {sequence} {kind.value} {what} {last_ledger}"
    return PreparedTransaction(
        kind=kind,
        order_id=command.order_id,
        replaces=replaces,
        tx_hash=hashlib.sha256(text.encode()).hexdigest().upper(),
        account_sequence=sequence,
        last_ledger_sequence=last_ledger,
        fee_drops=fee_drops,
        blob=None,
    )


def _quote_text(quote: Quote) -> str:
    return f"{quote.side.value} {quote.base_drops} {plain(quote.quote)} {quote.expiration}"
