"""What our account owns, followed entry by entry: AccountRoot, trust line, offers, tickets.

Each entry remembers the place (ledger, transaction) that last changed it and the transaction's hash, so

1. a transaction read late (after a gap) never puts an entry back to what it was before;
2. an entry whose previous transaction is not the one remembered says that an event was missed
   (`PreviousTxnID`, ledger-rules, Fills), between the two ledgers named in the finding;
3. a balance that does not begin where the last one ended is a gap, in drops and token, which the
   transactions read late must close exactly. What stays open is money that nothing explains.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from msgspec.structs import replace

from neo_engine.domain.account_findings import FindingKind
from neo_engine.domain.account_snapshot import AccountSnapshot, OpenOffer
from neo_engine.domain.ledger import (
    AccountChange,
    LedgerTransaction,
    LineChange,
    NodeAction,
    OfferChange,
)
from neo_engine.domain.number import ZERO, plain
from neo_engine.execution.live_events import Collected

Place = tuple[int, int]
AFTER_ALL = 2**32  # the place behind every transaction of a ledger


@dataclass(slots=True, frozen=True)
class _Link:
    """The last change of an entry."""

    txn_id: str
    at: Place


@dataclass(slots=True, frozen=True)
class Step:
    """One transaction being applied: its place, and where findings go."""

    tx: LedgerTransaction
    at: Place
    now: Collected


class Holdings:
    """Mutable on purpose: changed in place by `LiveAccount`, one transaction at a time."""

    def __init__(self, snapshot: AccountSnapshot) -> None:
        self.address = snapshot.account
        self.opened: Place = (snapshot.ledger_index, AFTER_ALL)
        self.balance_drops = snapshot.balance_drops
        self.account_sequence = snapshot.account_sequence
        self.owner_count = snapshot.owner_count
        self.has_line = snapshot.has_line
        self.quote_balance = snapshot.quote_balance
        self.frozen = snapshot.frozen
        self.offers = {one.offer_sequence: one for one in snapshot.offers}
        self.tickets = set(snapshot.tickets)
        self.gap_drops = 0
        self.gap_quote = ZERO
        self.missing: set[int] = set()
        self.forgotten = 0
        self._root_index = snapshot.root_index
        self._root = _Link(snapshot.root_txn_id, self.opened)
        self._root_value_at = self.opened
        self._line = _Link(snapshot.line_txn_id, self.opened)
        self._links = {one.offer_sequence: _Link(one.last_txn_id, self.opened) for one in snapshot.offers}
        self._gone: dict[int, Place] = {}

    def touched_by(self, tx: LedgerTransaction) -> bool:
        """Tell whether a transaction changed any entry of the account."""
        return any(
            (isinstance(change, AccountChange) and self._is_root(change))
            or (isinstance(change, LineChange) and change.holder == self.address)
            or (isinstance(change, OfferChange) and change.owner == self.address)
            for change in tx.changes
        )

    def follow(self, step: Step) -> None:
        """Apply what a transaction did to the account's entries, unless they are newer already."""
        tx = step.tx
        sequence_before, newest = self.account_sequence, step.at > self._root_value_at
        for change in tx.changes:
            if isinstance(change, AccountChange) and self._is_root(change):
                self._follow_root(change, step)
            elif isinstance(change, LineChange) and change.holder == self.address:
                self._follow_line(change, step)
            elif isinstance(change, OfferChange) and change.owner == self.address:
                self._follow_offer(change, step)
        if newest and tx.account == self.address:
            self._follow_tickets(tx, sequence_before)

    def take_gap(self) -> tuple[int, Decimal]:
        """Return what nothing explains so far, and forget it."""
        gap = (self.gap_drops, self.gap_quote)
        self.gap_drops, self.gap_quote = 0, ZERO
        return gap

    def forget(self, ledger_index: int) -> None:
        """Forget the places of offers that went away in ledgers up to `ledger_index`."""
        self.forgotten = max(self.forgotten, ledger_index)
        self._gone = {one: at for one, at in self._gone.items() if at[0] > ledger_index}
        self.missing = {one for one in self.missing if one > ledger_index}

    def _is_root(self, change: AccountChange) -> bool:
        return change.account == self.address or change.index == self._root_index

    def _follow_root(self, change: AccountChange, step: Step) -> None:
        tx, at = step.tx, step.at
        if at > self._root.at:
            self._check(self._root, change, step, "the account")
            self._root = _Link(tx.tx_hash, at)
        if change.account is None:
            return  # only its chain moved
        if at <= self._root_value_at:
            if at > self.opened:
                self.gap_drops -= change.balance_drops - change.previous_balance_drops
            return
        self.gap_drops += change.previous_balance_drops - self.balance_drops
        self._root_value_at = at
        self.balance_drops = change.balance_drops
        self.account_sequence = change.sequence
        self.owner_count = change.owner_count

    def _follow_line(self, change: LineChange, step: Step) -> None:
        tx, at = step.tx, step.at
        if at <= self._line.at:
            if at > self.opened:
                self.gap_quote -= change.balance - change.previous_balance
            return
        self._check(self._line, change, step, "the trust line")
        self._line = _Link(tx.tx_hash, at)
        self.gap_quote += change.previous_balance - self.quote_balance
        gone = change.action is NodeAction.DELETED
        frozen = change.frozen and not gone
        if frozen != self.frozen:
            text = "the issuer froze our trust line" if frozen else "our trust line is frozen no more"
            step.now.found(FindingKind.FREEZE, tx, text, active=frozen)
        elif gone or not self.has_line or tx.kind == "TrustSet":
            text = "is gone" if gone else "was changed" if self.has_line else "is new"
            step.now.found(FindingKind.TRUST_LINE, tx, f"our trust line {text} ({tx.kind})", active=not gone)
        self.has_line = not gone
        self.frozen = frozen
        self.quote_balance = ZERO if gone else change.balance

    def _follow_offer(self, change: OfferChange, step: Step) -> None:
        tx, at = step.tx, step.at
        sequence = change.sequence
        link = self._links.get(sequence)
        if at <= (self._gone.get(sequence, self.opened) if link is None else link.at):
            return
        what = f"offer {sequence}"
        if link is not None:
            self._check(link, change, step, what)
        elif change.action is not NodeAction.CREATED:
            self._broken(self.opened, step, f"{what} was not known to stand")
        if change.action is NodeAction.DELETED:
            self._links.pop(sequence, None)
            self.offers.pop(sequence, None)
            self._gone[sequence] = at
            return
        self._links[sequence] = _Link(tx.tx_hash, at)
        self.offers[sequence] = OpenOffer(
            offer_sequence=sequence,
            side=change.side,
            base_drops=change.base_drops,
            quote=change.quote,
            expiration=change.expiration,
            index=change.index,
            last_txn_id=tx.tx_hash,
        )

    def _follow_tickets(self, tx: LedgerTransaction, sequence_before: int) -> None:
        if tx.ticket is not None:
            self.tickets.discard(tx.ticket)
        if tx.kind == "TicketCreate" and tx.succeeded:
            # Tickets take the numbers between the transaction's own and the account's next sequence.
            first = sequence_before if tx.ticket is not None else tx.account_sequence + 1
            self.tickets.update(range(first, self.account_sequence))

    def _check(
        self,
        link: _Link,
        change: AccountChange | LineChange | OfferChange,
        step: Step,
        what: str,
    ) -> None:
        last = change.chain_txn_id
        if change.action is NodeAction.CREATED or not last or not link.txn_id or last == link.txn_id:
            return
        self._broken(link.at, step, f"{what} was changed before by {last}, which was not seen")

    def _broken(self, known: Place, step: Step, detail: str) -> None:
        last = step.at[0]
        first = max(known[0] + (known[1] == AFTER_ALL), self.forgotten + 1)
        if any(first <= one <= last for one in self.missing):
            return  # these ledgers are known to be missing: that was said already
        self.missing.update(range(first, last + 1))
        text = f"{detail}; read ledgers {first} to {last} again"
        step.now.found(FindingKind.CHAIN_BREAK, step.tx, text, ledgers=(first, last))


def snapshot_differences(holdings: Holdings, snapshot: AccountSnapshot) -> tuple[str, ...]:
    """Return where a snapshot of the same ledger says something else, a text for each."""
    theirs = {one.offer_sequence: replace(one, last_txn_id="") for one in snapshot.offers}
    ours = {sequence: replace(one, last_txn_id="") for sequence, one in holdings.offers.items()}
    texts = [
        f"{what}: {plain(Decimal(told))} on the ledger, {plain(Decimal(known))} followed"
        for what, told, known in (
            ("drops", snapshot.balance_drops, holdings.balance_drops),
            ("token", snapshot.quote_balance, holdings.quote_balance),
            ("sequence", snapshot.account_sequence, holdings.account_sequence),
            ("owner count", snapshot.owner_count, holdings.owner_count),
            ("frozen", int(snapshot.frozen), int(holdings.frozen)),
        )
        if told != known
    ]
    texts += [
        f"offer {sequence}: {theirs.get(sequence)} on the ledger, {ours.get(sequence)} followed"
        for sequence in sorted(theirs.keys() | ours.keys())
        if theirs.get(sequence) != ours.get(sequence)
    ]
    return tuple(texts)
