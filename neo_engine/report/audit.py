"""Whether what an account did adds up: opening balance + every change = closing balance, link by link.

Pure: `Auditor` is given an account's transactions in order and says what each did to its XRP and to the
pair's token; `audit_sources.py` gets them from a recording or a server.

1. Each balance before a transaction must be the balance after the one before it, to the last digit.
2. Each change must be explained: a fill, the network's fee, a payment or another kind of transaction that
   moves money, a trade of another pair, dust exchanged below one unit, and in the token the rounding of the
   trust line.
3. Each entry (AccountRoot, trust line, offer) names in its metadata the transaction that changed it
   before. If that is not the last one seen, one was missed, and its hash is known.
4. What was followed must end as the source itself says: balances, offers, last transactions.
5. Anything else is a finding; without one the account adds up.

All amounts are signed for the account: positive came in. Sums are exact, nothing is rounded here.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from enum import Enum

import msgspec

from neo_engine.domain.account_events import AccountEvents, OwnFill
from neo_engine.domain.assets import Side
from neo_engine.domain.ledger import (
    AccountChange,
    LedgerTransaction,
    LedgerUpdate,
    LineChange,
    NodeAction,
    OfferChange,
    TakerKind,
)
from neo_engine.domain.number import EXACT, ISSUED_DIGITS, ZERO, plain
from neo_engine.xrpl.history import AccountView, RestingOffer
from neo_engine.xrpl.metadata import account_events

FEES = "network fees"
DUST = "dust"
ROUNDING = "rounding of the trust line"
UNEXPLAINED = "unexplained"
ELSEWHERE = "other markets"
#: The order in which changes are shown; payments and other kinds of transactions stand between.
_FILLS_FIRST = ("maker buys", "maker sells", "taker buys", "taker sells")
_LAST = (ELSEWHERE, DUST, FEES, ROUNDING, UNEXPLAINED)


class FindingKind(Enum):
    """What can be wrong."""

    CHAIN_BREAK = "chain_break"  # an entry was changed by a transaction that is not in the data
    BALANCE_GAP = "balance_gap"  # a balance moved between two transactions
    UNEXPLAINED = "unexplained"  # a transaction moved more or less than is known about it
    BALANCE_DIFFERS = "balance_differs"  # the source says another balance after a ledger
    OFFERS_DIFFER = "offers_differ"  # the source lists other offers at the end
    SOURCE_FAULT = "source_fault"  # data is missing and nothing proves that none of it was the account's


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing wrong. tx_hash: where it was seen, "" at the end. missing: the one missed, or ""."""

    kind: FindingKind
    ledger_index: int
    tx_hash: str
    missing: str
    text: str


class Money(msgspec.Struct, frozen=True, kw_only=True):
    """An amount of both assets, positive in."""

    drops: int
    quote: Decimal

    def plus(self, other: Money) -> Money:
        """Return the exact sum."""
        return Money(drops=self.drops + other.drops, quote=EXACT.add(self.quote, other.quote))

    def less(self, other: Money) -> Money:
        """Return the exact difference."""
        return Money(drops=self.drops - other.drops, quote=EXACT.subtract(self.quote, other.quote))


NOTHING = Money(drops=0, quote=ZERO)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction that changed the account. balance: after it. parts: its change by what it was."""

    ledger_index: int
    close_time: int
    kind: str
    result: str
    own: bool
    parts: dict[str, Money]
    balance: Money
    events: AccountEvents


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """A balance and who says so: `source` is a server or recording, derived from metadata otherwise."""

    money: Money
    from_source: bool


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """The whole result. difference: closing less (opening + changes), zero if it adds up.

    transactions: those given, also such that only name the account. links: how many were compared.
    states: after how many ledgers what was followed was compared with what the source says itself.
    """

    first_ledger: int
    last_ledger: int
    opening: Balance
    closing: Balance
    changes: dict[str, Money]
    difference: Money
    transactions: int
    links: int
    states: int
    entries: tuple[Entry, ...]
    open_offers: tuple[RestingOffer, ...]
    findings: tuple[Finding, ...]

    @property
    def adds_up(self) -> bool:
        """True if there is no finding."""
        return not self.findings


class Auditor:
    """Follows one account. A mutable aggregate: `take` every transaction in order, then `result`."""

    def __init__(self, account: str, opening: AccountView | None, root: str = "") -> None:
        """opening: the account before the first transaction; None to derive it from metadata.

        root: ledger index of its AccountRoot, for an account without an opening state.
        """
        self._account = account
        self._complete = opening is not None and opening.complete
        self._root = root if opening is None or not opening.root else opening.root
        self._drops = None if opening is None else opening.balance_drops
        self._quote = None if opening is None else opening.quote
        self._offers = {} if opening is None else dict(opening.offers)
        self._links = {} if opening is None else dict(opening.links)
        self._known = opening is not None
        self._last_seen = 0
        self._opening_drops, self._opening_quote = self._drops, self._quote
        self._entries: list[Entry] = []
        self._findings: list[Finding] = []
        self._transactions = self._compared = self._states = 0

    def begin(self) -> None:
        """Open the range here: what was followed so far is the opening balance."""
        self._opening_drops, self._opening_quote = self._drops, self._quote
        self._entries, self._findings = [], []
        self._transactions = self._compared = self._states = 0

    def take(
        self,
        update: LedgerUpdate,
        tx: LedgerTransaction,
        *,
        parent_close_time: int,
        transfer_rate: Decimal,
        elsewhere: Money = NOTHING,
        inside: frozenset[str] = frozenset(),
    ) -> None:
        """Follow one transaction. parent_close_time, transfer_rate: as `account_events` has them.

        elsewhere: what it moved by the account's resting offers of other pairs. inside: entries whose change
        before this one lies in the range as well, so it must have been given.
        """
        self._transactions += 1
        self._last_seen = update.ledger_index
        breaks: dict[str, list[str]] = {}
        for change in tx.changes:
            if not isinstance(change, AccountChange | LineChange | OfferChange):
                continue
            what = self._own(change)
            missed = self._missed(change, tx.tx_hash, change.index in inside) if what else ""
            if missed:
                breaks.setdefault(missed, []).append(what)
        for missed, entries in breaks.items():
            text = f"{', '.join(entries)}: changed before by {missed}, which is not in the data"
            self._find(FindingKind.CHAIN_BREAK, update.ledger_index, tx.tx_hash, text, missing=missed)
        self._balances(update.ledger_index, tx)
        events = account_events(update, tx, self._account, parent_close_time, transfer_rate)
        if events is not None:
            self._enter(update, tx, events, elsewhere)

    def result(
        self, ledgers: tuple[int, int], closing: AccountView | None, faults: Iterable[Finding] = ()
    ) -> Audit:
        """Return the audit. closing: the account after the last ledger, as the source says.

        faults: places where the source lacks data. They are findings unless the chain, from an opening
        to a closing state of the source, proves that nothing of this account is missing.
        """
        changes: dict[str, Money] = {}
        total = NOTHING
        for entry in self._entries:
            for label, money in entry.parts.items():
                changes[label] = changes.get(label, NOTHING).plus(money)
                total = total.plus(money)
        if closing is not None:
            self.check(closing)
            self._compare_offers(closing)
        opening = Money(drops=self._opening_drops or 0, quote=self._opening_quote or ZERO)
        end = Money(drops=self._drops or 0, quote=self._quote or ZERO)
        if closing is not None:
            end = Money(drops=closing.balance_drops, quote=closing.quote)
        proven = self._known and closing is not None and bool(closing.links.get(closing.root))
        return Audit(
            first_ledger=ledgers[0],
            last_ledger=ledgers[1],
            opening=Balance(money=opening, from_source=self._known),
            closing=Balance(money=end, from_source=closing is not None),
            changes=_ordered(changes),
            difference=end.less(opening.plus(total)),
            transactions=self._transactions,
            links=self._compared,
            states=self._states,
            entries=tuple(self._entries),
            open_offers=tuple(sorted(self._offers.values(), key=lambda one: one.sequence)),
            findings=(*self._findings, *(() if proven else faults)),
        )

    # -- the chain ----------------------------------------------------------------------------

    def _own(self, change: AccountChange | LineChange | OfferChange) -> str:
        """Return how to name the entry if it is the account's, else ""."""
        if isinstance(change, AccountChange):
            # Where only its thread moved, the entry does not name its account.
            return "AccountRoot" if change.account == self._account or change.index == self._root else ""
        if isinstance(change, LineChange):
            return "trust line" if change.holder == self._account else ""
        return f"offer {change.sequence}" if change.owner == self._account else ""

    def _missed(self, change: AccountChange | LineChange | OfferChange, tx_hash: str, inside: bool) -> str:
        """Note the entry's new link; return the transaction that was missed before it, or ""."""
        known = self._links.get(change.index)
        if change.action is NodeAction.DELETED:
            self._links.pop(change.index, None)
        else:
            self._links[change.index] = tx_hash
        if isinstance(change, AccountChange) and change.account == self._account:
            self._root = change.index
        if isinstance(change, OfferChange):
            self._follow_offer(change)
        last = change.chain_txn_id
        if change.action is NodeAction.CREATED or not last:
            return ""
        if not known:
            return last if known is None and (inside or self._complete) else ""
        self._compared += 1
        return "" if known == last else last

    def _follow_offer(self, change: OfferChange) -> None:
        if change.action is NodeAction.DELETED:
            self._offers.pop(change.index, None)
            return
        self._offers[change.index] = RestingOffer(
            sequence=change.sequence, side=change.side, base_drops=change.base_drops, quote=change.quote
        )

    # -- the balances -------------------------------------------------------------------------

    def _balances(self, ledger_index: int, tx: LedgerTransaction) -> None:
        """Compare both balances before the transaction with those followed, then take the new ones."""
        for change in tx.changes:
            if isinstance(change, AccountChange) and change.account == self._account:
                before = change.previous_balance_drops
                if self._drops is None:
                    self._opening_drops = before
                elif before != self._drops:
                    self._gap(ledger_index, tx.tx_hash, f"{before - self._drops:+,} drops")
                self._drops = change.balance_drops
            elif isinstance(change, LineChange) and change.holder == self._account:
                held = change.previous_balance
                if self._quote is None:
                    self._opening_quote = held
                elif held != self._quote:
                    moved = EXACT.subtract(held, self._quote)
                    self._gap(ledger_index, tx.tx_hash, f"{plain(moved)} of token")
                self._quote = change.balance

    def _gap(self, ledger_index: int, tx_hash: str, moved: str) -> None:
        text = f"the balance had moved by {moved} before this transaction"
        self._find(FindingKind.BALANCE_GAP, ledger_index, tx_hash, text)

    def _enter(
        self, update: LedgerUpdate, tx: LedgerTransaction, events: AccountEvents, elsewhere: Money
    ) -> None:
        parts = _parts(tx, events, elsewhere, self._quote or ZERO)
        if UNEXPLAINED in parts:
            left = parts[UNEXPLAINED]
            text = (
                f"{tx.kind} {tx.result}: nothing explains {left.drops:+,} drops, {plain(left.quote)} of token"
            )
            self._find(FindingKind.UNEXPLAINED, update.ledger_index, tx.tx_hash, text)
        self._entries.append(
            Entry(
                ledger_index=update.ledger_index,
                close_time=update.close_time,
                kind=tx.kind,
                result=tx.result,
                own=tx.account == self._account,
                parts=parts,
                balance=Money(drops=self._drops or 0, quote=self._quote or ZERO),
                events=events,
            )
        )

    # -- the end ------------------------------------------------------------------------------

    def check(self, told: AccountView) -> None:
        """Compare balances and links with the source's own state after a ledger, and go on from that."""
        ledger = told.ledger_index
        self._states += 1
        if self._drops is None:
            self._drops = self._opening_drops = told.balance_drops
        if self._quote is None:
            self._quote = self._opening_quote = told.quote
        for index, last in told.links.items():
            known = self._links.get(index)
            unseen = known is None and self._complete
            if last and (unseen or (known and known != last)):
                what = "AccountRoot" if index == told.root else f"entry {index}"
                text = f"{what}: changed last by {last}, which is not in the data"
                self._find(FindingKind.CHAIN_BREAK, ledger, "", text, missing=last)
                self._links[index] = last
            self._compared += bool(last and known)
        if self._drops != told.balance_drops:
            text = f"XRP: followed {self._drops} drops, the source says {told.balance_drops}"
            self._find(FindingKind.BALANCE_DIFFERS, ledger, "", text)
        if self._quote != told.quote:
            text = f"token: followed {plain(self._quote)}, the source says {plain(told.quote)}"
            self._find(FindingKind.BALANCE_DIFFERS, ledger, "", text)
        self._drops, self._quote = told.balance_drops, told.quote

    def _compare_offers(self, closing: AccountView) -> None:
        ledger = closing.ledger_index
        ours = {offer.sequence: offer for offer in self._offers.values()}
        theirs = {offer.sequence: offer for offer in closing.offers.values()}
        if not self._complete:  # older offers were never told, so only those followed can be compared
            theirs = {sequence: offer for sequence, offer in theirs.items() if sequence in ours}
            self._offers = dict(closing.offers)
        for sequence in sorted(ours.keys() | theirs.keys()):
            if ours.get(sequence) != theirs.get(sequence):
                text = f"offer {sequence}: followed {_shown(ours.get(sequence))}"
                text += f", the source lists {_shown(theirs.get(sequence))}"
                self._find(FindingKind.OFFERS_DIFFER, ledger, "", text)

    def _find(
        self, kind: FindingKind, ledger_index: int, tx_hash: str, text: str, *, missing: str = ""
    ) -> None:
        self._findings.append(
            Finding(kind=kind, ledger_index=ledger_index, tx_hash=tx_hash, missing=missing, text=text)
        )


def _shown(offer: RestingOffer | None) -> str:
    if offer is None:
        return "none"
    return f"{offer.side.value} {offer.base_drops} drops for {plain(offer.quote)}"


def fill_label(fill: OwnFill) -> str:
    """Return the name of a fill's kind: maker or taker, buys or sells."""
    return f"{fill.liquidity.value} {'buys' if fill.side is Side.BUY else 'sells'}"


def fill_money(fill: OwnFill) -> Money:
    """Return what a fill moved by its own amounts, the trust line's rounding left out."""
    if fill.side is Side.BUY:
        return Money(drops=fill.base_drops, quote=-fill.quote)
    return Money(drops=-fill.base_drops, quote=fill.quote)


def _parts(
    tx: LedgerTransaction, events: AccountEvents, elsewhere: Money, balance: Decimal
) -> dict[str, Money]:
    """Return what a transaction did to the account, by what it was; parts of zero are left out."""
    parts: dict[str, Money] = {}

    def add(label: str, drops: int, quote: Decimal) -> None:
        if drops or quote:
            parts[label] = parts.get(label, NOTHING).plus(Money(drops=drops, quote=quote))

    for fill in events.fills:
        money = fill_money(fill)
        add(fill_label(fill), money.drops, money.quote)
    paid_drops, paid_quote = events.paid_base_drops, events.paid_quote
    add(_paid_label(tx.kind, paid_drops, paid_quote), paid_drops, paid_quote)
    own = tx.account == events.account
    add(ELSEWHERE if own and _is_elsewhere(tx) else DUST, events.dust_base_drops, events.dust_quote)
    add(FEES, -events.fee_drops, ZERO)
    left = Money(drops=events.unexplained_drops, quote=events.rounding)
    rounding = not events.unexplained
    if own and _is_elsewhere(tx):
        elsewhere = left  # as the taker we have only the balances' word for it, as in the pair itself
    elif own:
        elsewhere = NOTHING  # our own offers never stand in our own way: the ledger takes them away
    add(ELSEWHERE, elsewhere.drops, elsewhere.quote)
    left = left.less(elsewhere)
    if elsewhere.quote:
        rounding = abs(left.quote) <= _unit(max(abs(balance), abs(elsewhere.quote))) * (1 + len(events.fills))
    add(ROUNDING if rounding else UNEXPLAINED, 0, left.quote)
    add(UNEXPLAINED, left.drops, ZERO)
    return parts


def _is_elsewhere(tx: LedgerTransaction) -> bool:
    """True for a trade of another pair: an offer for it, or a payment that delivered another asset."""
    if tx.kind == "OfferCreate":
        return tx.taker is None or tx.taker.kind is TakerKind.BRIDGED
    delivery = tx.delivery
    return delivery is not None and not (delivery.base_drops or delivery.quote)


def _unit(amount: Decimal) -> Decimal:
    """Return one unit in the last of the 16 digits that a trust line keeps of an amount."""
    return Decimal(1).scaleb(amount.adjusted() - ISSUED_DIGITS + 1)


def _paid_label(kind: str, drops: int, quote: Decimal) -> str:
    if drops >= 0 and quote >= 0:
        return f"{kind} in"
    return f"{kind} out" if drops <= 0 and quote <= 0 else kind


def _ordered(changes: dict[str, Money]) -> dict[str, Money]:
    middle = sorted(changes.keys() - {*_FILLS_FIRST, *_LAST})
    return {label: changes[label] for label in (*_FILLS_FIRST, *middle, *_LAST) if label in changes}
