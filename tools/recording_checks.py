"""A recording checked against itself: the tracked market must equal what the server answered.

Three claims, each over every ledger that carries check data:

* `book_differences`: both books, offer by offer, field by field, and the pool;
* `account_differences`: each watched account's balances and offers;
* `BalanceCheck`: an account's fills, fees and payments add up to the change of its balance: in XRP
  to the drop, in the token exactly once each transaction's rounding (a unit in the last place of
  the line's 16 digits) is added.

Every function returns what differs as text, nothing if all is equal. Decoding errors are the
caller's (msgspec.DecodeError, BadNumber): a recording that cannot be read cannot be checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from neo_engine.domain.account_events import AccountEvents
from neo_engine.domain.assets import Side
from neo_engine.domain.book import BookOffer, BookTracker
from neo_engine.domain.ledger import CheckData, LedgerUpdate
from neo_engine.domain.number import DOWN, NEAREST, ONE, ZERO, issued_div, issued_mul, whole
from neo_engine.xrpl.metadata import account_events
from neo_engine.xrpl.state import BOOK_OFFERS_LIMIT, amm_pool, book_lines, watched_accounts
from neo_engine.xrpl.wire import BookLine, Token, XrpOrToken


def _amount(amount: XrpOrToken | None) -> Decimal | None:
    if amount is None:
        return None
    return Decimal(amount.value if isinstance(amount, Token) else amount)


def _fields_of(offer: BookOffer) -> dict[str, object]:
    base, quote = Decimal(offer.base_drops), offer.quote
    gives, gets = (base, quote) if offer.side is Side.SELL else (quote, base)
    return {
        "Account": offer.owner,
        "BookDirectory": offer.book_directory,
        "BookNode": offer.book_node,
        "Expiration": offer.expiration,
        "Flags": offer.flags,
        "OwnerNode": offer.owner_node,
        "PreviousTxnID": offer.previous_txn_id,
        "PreviousTxnLgrSeq": offer.previous_txn_ledger,
        "Sequence": offer.sequence,
        "TakerGets": gives,
        "TakerPays": gets,
        "index": offer.index,
        "quality": offer.rate,
    }


def _listed_fields(listed: BookLine) -> dict[str, object]:
    return {
        "Account": listed.Account,
        "BookDirectory": listed.BookDirectory,
        "BookNode": listed.BookNode,
        "Expiration": listed.Expiration,
        "Flags": listed.Flags,
        "OwnerNode": listed.OwnerNode,
        "PreviousTxnID": listed.PreviousTxnID,
        "PreviousTxnLgrSeq": listed.PreviousTxnLgrSeq,
        "Sequence": listed.Sequence,
        "TakerGets": _amount(listed.TakerGets),
        "TakerPays": _amount(listed.TakerPays),
        "index": listed.index,
        "quality": Decimal(listed.quality),
        "owner_funds": None if listed.owner_funds is None else Decimal(listed.owner_funds),
        "taker_gets_funded": _amount(listed.taker_gets_funded),
        "taker_pays_funded": _amount(listed.taker_pays_funded),
    }


def _with_funding(tracker: BookTracker, offers: Iterable[BookOffer]) -> list[dict[str, object]]:
    """Add the funded amounts as `book_offers` states them (rippled NetworkOPs, getBookPage).

    An owner's funds are shared by his offers of this book in order, expired ones included; what a
    taker pays for a funded part is rounded to the NEAREST unit there.
    """
    left: dict[str, Decimal] = {}
    fee, issuer = tracker.transfer_rate, tracker.pair.quote.issuer
    listed = []
    for offer in offers:
        fields = _fields_of(offer)
        selling = offer.side is Side.SELL
        first = offer.owner not in left
        gives = Decimal(offer.base_drops) if selling else offer.quote
        have = left[offer.owner] if not first else tracker.funds(offer.owner, offer.side)
        if not selling and offer.owner == issuer:
            have = gives
        cost = ONE if selling or offer.owner == issuer else fee
        payable = have if cost == ONE else issued_div(have, cost, DOWN)
        funded = min(gives, payable)
        fields["owner_funds"] = have if first else None
        fields["taker_gets_funded"] = fields["taker_pays_funded"] = None
        if funded < gives:
            asked = (
                min(offer.quote, issued_mul(funded, offer.rate, NEAREST))
                if selling
                else Decimal(min(offer.base_drops, whole(funded * offer.rate, NEAREST)))
            )
            fields["taker_gets_funded"], fields["taker_pays_funded"] = funded, asked
        left[offer.owner] = max(ZERO, have - funded * cost)
        listed.append(fields)
    return listed


def _one_side(tracker: BookTracker, side: Side, data: bytes) -> list[str]:
    server = [_listed_fields(one) for one in book_lines(data)]
    ours = _with_funding(tracker, tracker.offers(side)[:BOOK_OFFERS_LIMIT])
    differences = []
    if len(server) != len(ours):
        differences.append(f"{side.value} book: {len(ours)} offers tracked, the server lists {len(server)}")
    for place, (mine, listed) in enumerate(zip(ours, server, strict=False)):
        for name, value in listed.items():
            if mine[name] != value:
                text = f"{side.value} book, offer {place}, {name}: tracked {mine[name]}, server {value}"
                differences.append(text)
    return differences


def book_differences(tracker: BookTracker, check: CheckData) -> list[str]:
    """Return where the tracked books and pool differ from the server's own lists."""
    differences: list[str] = []
    if check.asks is not None:
        differences += _one_side(tracker, Side.SELL, check.asks)
    if check.bids is not None:
        differences += _one_side(tracker, Side.BUY, check.bids)
    if check.pool is not None and tracker.pool != amm_pool(check.pool):
        differences.append(f"pool: tracked {tracker.pool}, server {amm_pool(check.pool)}")
    return differences


def account_differences(tracker: BookTracker, check: CheckData) -> list[str]:
    """Return where the tracked watched accounts differ from the server's account data."""
    if check.accounts is None:
        return []
    differences: list[str] = []
    quote = tracker.pair.quote
    for address, watched in watched_accounts(check.accounts).items():
        data, state = watched.account_data, tracker.account(address)
        theirs: list[object] = [int(data.Balance), data.Sequence, data.OwnerCount, data.Flags]
        ours: Sequence[object] = ()
        if state is not None:
            ours = [state.balance_drops, state.sequence, state.owner_count, state.flags]
        if ours != theirs:
            differences.append(f"{address}: balance, sequence, owner count, flags {ours}, server {theirs}")
        held = [Decimal(one.balance) for one in watched.lines if _is_line(one.account, one.currency, tracker)]
        line = tracker.line(address)
        if held and (line is None or line.balance != held[0]):
            differences.append(f"{address}: {quote.symbol} {line}, server {held[0]}")
    return differences


def _is_line(peer: str, currency: str, tracker: BookTracker) -> bool:
    return peer == tracker.pair.quote.issuer and currency == tracker.pair.quote.currency


class BalanceCheck:
    """Adds up what `account_events` reads for some accounts and compares with the server's balances."""

    def __init__(self, tracker: BookTracker, addresses: Iterable[str]) -> None:
        self.events = self.fills = 0
        self.rounding_max = ZERO
        self._base: dict[str, int] = {}
        self._quote: dict[str, Decimal] = {}
        self._wrong: list[str] = []
        for address in addresses:
            state, line = tracker.account(address), tracker.line(address)
            self._base[address] = 0 if state is None else state.balance_drops
            self._quote[address] = ZERO if line is None else line.balance

    def follow(self, update: LedgerUpdate, parent_close_time: int, transfer_rate: Decimal) -> None:
        """Read one ledger's transactions for every account."""
        for tx in update.transactions:
            for address in self._base:
                events = account_events(update, tx, address, parent_close_time, transfer_rate)
                if events is not None:
                    self._add(events)

    def _add(self, events: AccountEvents) -> None:
        self.events += 1
        self.fills += len(events.fills)
        self.rounding_max = max(self.rounding_max, abs(events.rounding))
        base_drops = events.paid_base_drops + events.dust_base_drops - events.fee_drops
        quote = events.paid_quote + events.dust_quote
        for fill in events.fills:
            bought = fill.side is Side.BUY
            base_drops += fill.base_drops if bought else -fill.base_drops
            quote += -fill.quote if bought else fill.quote
        self._base[events.account] += base_drops
        self._quote[events.account] += quote + events.rounding
        if events.unexplained_drops or events.unexplained:
            what = f"{events.unexplained_drops} drops, {events.rounding} of token"
            self._wrong.append(f"{events.account}: transaction {events.tx_hash} leaves {what} unexplained")

    def differences(self, check: CheckData) -> list[str]:
        """Return what was unexplained since the last call and which sums miss the server's balances."""
        wrong, self._wrong = self._wrong, []
        if check.accounts is None:
            return wrong
        watched = watched_accounts(check.accounts)
        for address in self._base.keys() & watched.keys():
            theirs = int(watched[address].account_data.Balance)
            if self._base[address] != theirs:
                wrong.append(
                    f"{address}: XRP adds up to {self._base[address]} drops, the server says {theirs}"
                )
        return wrong

    def token_differences(self, tracker: BookTracker, check: CheckData) -> list[str]:
        """Return which accounts' token sums miss the server's lines."""
        if check.accounts is None:
            return []
        wrong = []
        for address, watched in watched_accounts(check.accounts).items():
            held = [
                Decimal(one.balance) for one in watched.lines if _is_line(one.account, one.currency, tracker)
            ]
            if address in self._quote and held and self._quote[address] != held[0]:
                text = f"token adds up to {self._quote[address]}, the server says {held[0]}"
                wrong.append(f"{address}: {text}")
        return wrong
