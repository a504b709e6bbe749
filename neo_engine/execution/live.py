"""The live exchange: our orders as real transactions, their fate read from validated ledgers.

It composes what knows the account (`LiveAccount`), what numbers, signs and sends (`Submitter`), and who can
be asked (`AccountSource`); the rules are theirs. Here is their order in a ledger:

    apply to the book -> read our account -> read again what was missed -> settle what no ledger told
                      -> compare with the server's lists now and then -> report

1. What could not be read again is tried with every ledger, and until then the market counts as untrusted
   (`Gap`): a fill may be in what is missing.
2. A transaction is expected before it is sent, so that its ledger finds it known.
3. Nothing is signed twice, and nothing is sent that the shell has not stored: `submit` sends only what
   `prepare` gave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from neo_engine.domain.account_findings import AccountFinding, FindingKind
from neo_engine.domain.book import BookTracker
from neo_engine.domain.capital import CapitalEvent
from neo_engine.domain.errors import InvariantViolation, NeoError
from neo_engine.domain.fills import Fill
from neo_engine.domain.headroom import WHOLE
from neo_engine.domain.ledger import LedgerFault, LedgerUpdate
from neo_engine.domain.market import DataFault, MarketTrade
from neo_engine.domain.orders import (
    Command,
    OrderUpdate,
    PlaceOrder,
    PreparedTransaction,
    SubmitClass,
    SubmitOutcome,
    TransactionKind,
    TransactionOutcome,
)
from neo_engine.domain.request_cost import KEPT_FOR_ORDERS
from neo_engine.event_log import say
from neo_engine.execution.answers import LedgerSeen
from neo_engine.execution.live_account import LiveAccount
from neo_engine.execution.live_events import InFlight, KnownOrder, LedgerReport
from neo_engine.execution.recovery import AccountSource
from neo_engine.execution.snapshot import market_snapshot, market_trades
from neo_engine.execution.submission import Submitter
from neo_engine.ports import VenueReport

T = TypeVar("T")
OBSERVED = "a live account's money moves on the ledger, which tells of it by itself"

CLEARED_AT_ONCE = 5  # expired offers cancelled in a ledger: a queue holds ten transactions of an account
#: Between two attempts to compare: a server too busy to answer makes each cost the tick seconds.
RETRY_LEDGERS = 8


class LiveTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What the configuration says of it. tickets: kept ready. check_ledgers: between two comparisons."""

    depth_levels: int
    tickets: int
    check_ledgers: int


class News(msgspec.Struct, kw_only=True):
    """What became known, gathered until the next report."""

    updates: list[OrderUpdate] = []
    fills: list[Fill] = []
    transactions: list[TransactionOutcome] = []
    findings: list[AccountFinding] = []

    def take(self, report: LedgerReport) -> None:
        """Add a report of the account's."""
        self.updates.extend(report.order_updates)
        self.fills.extend(report.fills)
        self.transactions.extend(report.transactions)
        self.findings.extend(report.findings)


#: Runs a prepared transaction on a server without sending it, and returns its result code.
Rehearse = Callable[[PreparedTransaction], str]


class LiveExchange:
    """Implements ports.Exchange on a running network.

    first: what was found out at start, told with the first ledger. requests: asked once a ledger, says how
    much the servers still answer, in percent. rehearse: given for a dry run, in which nothing is ever sent.
    """

    def __init__(
        self,
        *,
        book: BookTracker,
        account: LiveAccount,
        submitter: Submitter,
        source: AccountSource,
        terms: LiveTerms,
        first: News,
        requests: Callable[[], Decimal],
        rehearse: Rehearse | None = None,
    ) -> None:
        self._book = book
        self._account = account
        self._submitter = submitter
        self._source = source
        self._terms = terms
        self._news = first
        self._requests = requests
        self._left = WHOLE  # what the servers still answered after the ledger before, percent
        self._rehearse = rehearse
        self._checked = account.ledger_index
        self.dead: list[str] = []  # hashes proved never to be in a ledger
        self._told_stop = False

    # what the ledger does

    def advance(self, update: LedgerUpdate) -> VenueReport:
        """Apply one validated ledger, find out what else became final, and report."""
        trades, faults = self._follow(update)
        results = self._results((update,))
        self._news.take(self._account.advance(update, self._book))
        results |= self._read_missing(update.ledger_index)
        self._settle(update, results)
        self._compare(update.ledger_index)
        self._note_stop()
        self._left = self._requests()
        headroom = self._submitter.headroom(update.ledger_index, self._left)
        return replace(self._report(trades, faults), headroom=headroom)

    def _follow(self, update: LedgerUpdate) -> tuple[tuple[MarketTrade, ...], tuple[LedgerFault, ...]]:
        """Let the book follow the ledger; return what others took and what was wrong in it."""
        book = self._book
        trades: list[MarketTrade] = []
        faults: list[LedgerFault] = []
        book.open_ledger(update)
        for tx in update.transactions:
            if tx.account != self._account.address:
                trades.extend(market_trades(tx, book))
            faults.extend(book.apply(tx))
        faults.extend(book.close_ledger(update))
        return tuple(trades), tuple(faults)

    def _results(self, updates: Iterable[LedgerUpdate]) -> dict[str, str]:
        ours = self._account.address
        return {tx.tx_hash: tx.result for one in updates for tx in one.transactions if tx.account == ours}

    def _read_missing(self, ledger_index: int) -> dict[str, str]:
        """Read again what was missed; return the results of our transactions in it."""
        missing = self._account.missing_ledgers
        if not missing:
            return {}
        return self._read_again(missing[0], min(missing[-1], ledger_index))

    def _read_again(self, first: int, last: int) -> dict[str, str]:
        found = self._asked(f"ledgers {first} to {last}", lambda: self._source.history(first, last))
        if found is None:
            return {}
        self._news.take(self._account.back_fill(found, first, last))
        say.warning(
            "ledgers_read_again",
            "ledgers {first} to {last} were read again: {touching} of them touch the account",
            first=first,
            last=last,
            touching=len(found),
        )
        return self._results(found)

    def _asked(self, what: str, ask: Callable[[], T]) -> T | None:
        """Return an answer, None when there is none now: a later ledger tries again."""
        try:
            return ask()
        except InvariantViolation:
            raise
        except NeoError as error:
            say.warning(
                "account_read_failed", "{} could not be read, a later ledger tries again: {}", what, error
            )
            return None

    def _settle(self, update: LedgerUpdate, results: dict[str, str]) -> None:
        """Tell the submitter of the ledger, and the account of what is final without one."""
        seen = LedgerSeen(
            ledger_index=update.ledger_index,
            close_time=update.close_time,
            fee_base_drops=update.fee_base_drops,
            account_sequence=self._account.view().account_sequence,
            results=results,
        )
        for word in self._submitter.advance(seen):
            tx_hash = word.prepared.tx_hash
            if word.result is None:
                self._news.updates.extend(self._account.failed(tx_hash, word.code))
                self.dead.append(tx_hash)
                say.info(
                    "transaction_dead", "transaction {} will never be in a ledger ({})", tx_hash, word.code
                )
            elif word.ledger_index is not None:
                self._read_again(word.ledger_index, word.ledger_index)

    def _compare(self, ledger_index: int) -> None:
        """Compare the account with the server's own lists, once in so many ledgers.

        While orders need what the server still answers it waits, but no longer than as many ledgers again.
        """
        late = ledger_index - self._checked - self._terms.check_ledgers
        waits = self._left < KEPT_FOR_ORDERS and late < self._terms.check_ledgers
        if late < 0 or waits or self._account.missing_ledgers or self._account.ledger_index != ledger_index:
            return
        told = self._asked("the account", lambda: self._source.snapshot(ledger_index))
        if told is None:
            pause = min(RETRY_LEDGERS, self._terms.check_ledgers)
            self._checked = ledger_index + pause - self._terms.check_ledgers
            return
        self._checked = ledger_index
        self._news.findings.extend(self._account.check(told))

    def _note_stop(self) -> None:
        why = self._submitter.must_stop
        if why is None or self._told_stop:
            return
        self._told_stop = True
        self._news.findings.append(
            AccountFinding(kind=FindingKind.CANNOT_SEND, ledger_index=self._account.ledger_index, detail=why)
        )

    def _report(self, trades: tuple[MarketTrade, ...], faults: tuple[LedgerFault, ...]) -> VenueReport:
        snapshot = market_snapshot(self._book, self._terms.depth_levels, trades, self._account.address)
        if self._account.missing_ledgers and DataFault.GAP not in snapshot.faults:
            snapshot = replace(snapshot, faults=(*snapshot.faults, DataFault.GAP))
        news, self._news = self._news, News()
        return VenueReport(
            snapshot=snapshot,
            transactions=tuple(news.transactions),
            order_updates=tuple(news.updates),
            fills=tuple(news.fills),
            account=self._account.view(),
            faults=faults,
            findings=tuple(news.findings),
        )

    # what we do

    def prepare(
        self, commands: Sequence[Command], ledger_index: int, *, urgent: bool = False
    ) -> tuple[PreparedTransaction, ...]:
        """Return the signed transactions, upkeep last; each is expected from now on, nothing is sent."""
        pool = 0 if urgent or self._rehearse is not None else self._terms.tickets
        prepared = (
            *self._submitter.prepare(commands, ledger_index, urgent=urgent),
            *self._submitter.upkeep(
                ledger_index, ticket_pool=pool, clear=self._account.expired_offers[:CLEARED_AT_ONCE]
            ),
        )
        places = {one.order_id: one for one in commands if isinstance(one, PlaceOrder)}
        for one in prepared:
            sent = InFlight(prepared=one, after_ledger=ledger_index, ticketed=one.ticketed)
            creates = one.kind in (TransactionKind.CREATE, TransactionKind.REPLACE)
            self._account.expect(sent, _known(places[one.order_id], one) if creates else None)
        return prepared

    def submit(self, prepared: Sequence[PreparedTransaction]) -> tuple[SubmitOutcome, ...]:
        """Send them in order and return the answers, of upkeep none: its fate shows in the numbers."""
        if self._rehearse is not None:
            return self._rehearsed(prepared, self._rehearse)
        upkeep = {one.tx_hash for one in prepared if one.kind is TransactionKind.UPKEEP}
        return tuple(one for one in self._submitter.submit(prepared) if one.tx_hash not in upkeep)

    def _rehearsed(
        self, prepared: Sequence[PreparedTransaction], rehearse: Rehearse
    ) -> tuple[SubmitOutcome, ...]:
        """Run them on a server that keeps nothing; for us each is refused."""
        outcomes = [
            SubmitOutcome(
                tx_hash=one.tx_hash,
                order_id=one.order_id,
                outcome=SubmitClass.REJECTED,
                code=f"dry run: {rehearse(one)}",
            )
            for one in prepared
        ]
        self.withdraw(prepared)
        return tuple(outcomes)

    def withdraw(self, prepared: Sequence[PreparedTransaction]) -> None:
        """Take back what was prepared and not sent: its numbers are free, and no ledger will have it."""
        self._submitter.discard(prepared)
        for one in prepared:
            self._account.failed(one.tx_hash)

    def transfer(self, event: CapitalEvent) -> str | None:  # noqa: ARG002 - the port's: it is never possible
        """Refuse: nobody moves money of a live account from here."""
        return OBSERVED

    def end_of_market(self) -> tuple[OrderUpdate, ...]:
        """Say nothing: what still works stays on the ledger, and the next start finds out."""
        return ()

    def close(self) -> None:
        """Nothing to release: the feed owns the connections."""


def _known(command: PlaceOrder, prepared: PreparedTransaction) -> KnownOrder:
    return KnownOrder(
        order_id=command.order_id,
        offer_sequence=prepared.account_sequence,
        base_drops=command.quote.base_drops,
        quote=command.quote.quote,
    )
