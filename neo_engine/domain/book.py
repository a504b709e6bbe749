"""The pair's order book as the ledger keeps it, followed transaction by transaction.

Two books exist: asks (the owner sells XRP, `Side.SELL`) and bids (the owner buys XRP, `Side.BUY`).
`BookTracker` begins with the state of one ledger (`LedgerState`) and applies each transaction's
changes (`ledger.py`), so that after every ledger it holds what the server's `book_offers`,
`amm_info` and `account_info` would say, without asking.

1. Order: lower rate first; at one rate the older first (xrpl.org, "Offers": offers of a directory
   are taken in the order they were placed). Directory indexes of one book differ only in their last
   16 hex digits, which encode the rate so that text order is rate order.
2. Unfunded and expired offers stay listed, as in the ledger; the `live_*` queries leave them out.
3. An owner's funds are shared by his offers of one side, better ones first.
4. An entry whose previous transaction is not the last one seen for it means a missed event: a
   `LedgerFault` value, never an exception. After it the market is not `trusted` until a resync.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from decimal import Decimal

from msgspec.structs import replace

from neo_engine.domain.amm import Pool
from neo_engine.domain.assets import Side
from neo_engine.domain.book_state import (
    AccountState,
    BookOffer,
    LedgerState,
    LineState,
    LiveOffer,
    PriceLevel,
    exact_product,
    price_of_rate,
)
from neo_engine.domain.ledger import (
    AccountChange,
    BookSnapshot,
    FeeChange,
    LedgerFault,
    LedgerFaultKind,
    LedgerTransaction,
    LedgerUpdate,
    LineChange,
    NodeAction,
    OfferChange,
    PoolChange,
)
from neo_engine.domain.number import DOWN, ONE, UP, ZERO, issued_div, issued_mul, whole

#: An issuer's own promise has no limit; this is the largest amount the ledger can write.
UNLIMITED_QUOTE = Decimal("9999999999999999E+80")
TRANSFER_RATE_PARITY = 1_000_000_000  # AccountRoot TransferRate: billionths; this or none means no fee
GLOBAL_FREEZE = 0x00400000  # AccountRoot flag lsfGlobalFreeze
NO_TICK_SIZE = 16  # AccountRoot TickSize: absent, 0 and 16 all mean full precision


__all__ = ["AccountState", "BookOffer", "BookTracker", "LedgerState", "LineState", "LiveOffer", "PriceLevel"]


class _Side:
    """One book: keys (directory, arrival) sorted, with the offers' indexes beside them."""

    __slots__ = ("indexes", "keys")

    def __init__(self) -> None:
        self.keys: list[tuple[str, int]] = []
        self.indexes: dict[tuple[str, int], str] = {}

    def add(self, offer: BookOffer) -> None:
        key = (offer.book_directory, offer.arrival)
        insort(self.keys, key)
        self.indexes[key] = offer.index

    def remove(self, offer: BookOffer) -> None:
        key = (offer.book_directory, offer.arrival)
        del self.keys[bisect_left(self.keys, key)]
        del self.indexes[key]


class BookTracker:
    """The pair's market on the ledger, followed change by change. A mutable aggregate on purpose.

    A value rebuilt for each of a dozen transactions a ledger would copy thousands of entries to
    change three; this object is changed in place by one owner, holds no clock and does no I/O, so
    the same updates always give the same state. Everything it hands out is a frozen value.

    Use: `advance(update)` for a whole ledger, or `open_ledger`, `apply` per transaction, then
    `close_ledger` when something (the paper exchange) must look in between.
    """

    def __init__(self, state: LedgerState) -> None:
        self.pair = state.pair
        self.ledger_index = state.ledger_index
        self.ledger_hash = state.ledger_hash
        self.close_time = state.close_time
        self.parent_close_time = state.close_time
        self.fee_base_drops = state.fee_base_drops
        self.base_reserve_drops = state.base_reserve_drops
        self.owner_reserve_drops = state.owner_reserve_drops
        self.pool = state.pool
        self.trusted = True
        self._complete = state.complete
        self._offers: dict[str, BookOffer] = {}
        self._sides = {Side.SELL: _Side(), Side.BUY: _Side()}
        self._accounts = {one.account: one for one in state.accounts}
        self._account_index = dict(state.account_index)
        self._lines = {one.holder: one for one in state.lines}
        self._chain = dict(state.chain)
        self._arrivals = 0
        self._applying = state.ledger_index
        self._line_number = 0
        for offer in state.offers:
            self._insert(offer)
            self._arrivals = max(self._arrivals, offer.arrival + 1)

    # -- following the ledger -----------------------------------------------------------------

    def advance(self, update: LedgerUpdate) -> tuple[LedgerFault, ...]:
        """Apply a whole ledger; return what was wrong with it (nothing, as a rule)."""
        self.open_ledger(update)
        faults: list[LedgerFault] = []
        for tx in update.transactions:
            faults.extend(self.apply(tx))
        faults.extend(self.close_ledger(update))
        return tuple(faults)

    def open_ledger(self, update: LedgerUpdate) -> None:
        """Begin a ledger: afterwards `parent_close_time` is that of the ledger before it.

        A ledger that does not follow the last one, or lacks transactions, makes the market untrusted;
        the feed has said so in a fault already.
        """
        self._applying = update.ledger_index
        self._line_number = update.line
        self.parent_close_time = self.close_time
        if update.incomplete or update.ledger_index != self.ledger_index + 1:
            self.distrust()

    def apply(self, tx: LedgerTransaction) -> tuple[LedgerFault, ...]:
        """Apply one transaction's changes; return chain breaks and unknown entries."""
        faults: list[LedgerFault] = []
        tx_hash = tx.tx_hash
        for change in tx.changes:
            if isinstance(change, FeeChange):
                self._set_fees(change)
                continue
            fault = self._check_chain(change, tx_hash)
            if fault is not None:
                faults.append(fault)
            if isinstance(change, AccountChange):
                self._apply_account(change)
            elif isinstance(change, OfferChange):
                self._apply_offer(change, tx_hash)
            elif isinstance(change, LineChange):
                self._apply_line(change)
            else:
                self._apply_pool(change)
        if faults:
            self.distrust()
        return tuple(faults)

    def close_ledger(self, update: LedgerUpdate) -> tuple[LedgerFault, ...]:
        """End a ledger: take its fees and close time, repair from `update.resync` if it is there.

        Returns a fault if the best live ask lies below the best live bid.
        """
        self.ledger_index = update.ledger_index
        self.ledger_hash = update.ledger_hash
        self.close_time = update.close_time
        self.fee_base_drops = update.fee_base_drops
        self.base_reserve_drops = update.base_reserve_drops
        self.owner_reserve_drops = update.owner_reserve_drops
        if update.resync is not None:
            self.resync(update.resync)
        ask, bid = self.best(Side.SELL, update.close_time), self.best(Side.BUY, update.close_time)
        # Asks count quote per drop, bids drops per quote: prices cross when the product is below 1.
        if ask is None or bid is None or exact_product(ask.rate, bid.rate) >= ONE:
            return ()
        text = f"best ask {ask.price:.8f} lies below best bid {bid.price:.8f}"
        return (self._fault(LedgerFaultKind.CROSSED_PRICES, text),)

    def distrust(self) -> None:
        """Say that events were missed: `trusted` is False until `resync`."""
        self.trusted = False

    def resync(self, snapshot: BookSnapshot) -> None:
        """Rebuild both books and the pool from the server's lists, and trust the market again.

        Owners' funds are set so that what they can spend is what the server said. Everything the
        lists do not name is learned again from the next change that touches it, without a fault.
        """
        self._offers.clear()
        self._chain.clear()
        self._sides = {Side.SELL: _Side(), Side.BUY: _Side()}
        self._complete = False
        self._arrivals = max(len(snapshot.asks), len(snapshot.bids))
        for listed in snapshot.asks + snapshot.bids:
            offer = listed.offer
            self._insert(offer)
            self._chain[offer.index] = offer.previous_txn_id
            if listed.owner_funds is not None:
                self._set_funds(offer.owner, offer.side, listed.owner_funds)
        self.pool = snapshot.pool
        self.trusted = True

    # -- questions ----------------------------------------------------------------------------

    @property
    def asks(self) -> tuple[BookOffer, ...]:
        """Every offer that sells XRP, best first, unfunded and expired ones included."""
        return self.offers(Side.SELL)

    @property
    def bids(self) -> tuple[BookOffer, ...]:
        """Every offer that buys XRP, best first, unfunded and expired ones included."""
        return self.offers(Side.BUY)

    def offers(self, side: Side) -> tuple[BookOffer, ...]:
        """Every offer of one side, best first, unfunded and expired ones included."""
        book = self._sides[side]
        return tuple([self._offers[book.indexes[key]] for key in book.keys])

    def offer(self, index: str) -> BookOffer | None:
        """The offer with this ledger index, if it rests in one of the two books."""
        return self._offers.get(index)

    def account(self, address: str) -> AccountState | None:
        """What is known of an account; None if it was never seen."""
        return self._accounts.get(address)

    def line(self, holder: str) -> LineState | None:
        """The holder's trust line of the token; None if he has none."""
        return self._lines.get(holder)

    @property
    def tick_size(self) -> int | None:
        """Significant digits of a new offer's rate as the issuer demands; None: no such rule."""
        issuer = self._accounts.get(self.pair.quote.issuer)
        size = None if issuer is None else issuer.tick_size
        return size if size and size < NO_TICK_SIZE else None

    @property
    def transfer_rate(self) -> Decimal:
        """What the owner pays for each unit of token that arrives: 1 where the issuer takes no fee."""
        issuer = self._accounts.get(self.pair.quote.issuer)
        rate = None if issuer is None else issuer.transfer_rate
        return ONE if not rate else Decimal(rate) / TRANSFER_RATE_PARITY

    @property
    def global_freeze(self) -> bool:
        """True while the issuer has frozen the whole token."""
        issuer = self._accounts.get(self.pair.quote.issuer)
        return issuer is not None and bool(issuer.flags & GLOBAL_FREEZE)

    def reserve_drops(self, owner_count: int) -> int:
        """Drops that an account with so many objects cannot spend."""
        return self.base_reserve_drops + owner_count * self.owner_reserve_drops

    def spendable_drops(self, address: str) -> int:
        """XRP above the reserve, in drops; 0 for an unknown account. A pool needs no reserve."""
        state = self._accounts.get(address)
        if state is None:
            return 0
        if state.is_pool:
            return state.balance_drops
        return max(0, state.balance_drops - self.reserve_drops(state.owner_count))

    def spendable_quote(self, address: str) -> Decimal:
        """Token that can be spent, 0 if frozen or none; the issuer's own promise has no limit."""
        if address == self.pair.quote.issuer:
            return UNLIMITED_QUOTE
        line = self._lines.get(address)
        if line is None or line.frozen or line.balance <= 0 or self.global_freeze:
            return ZERO
        return line.balance

    def funds(self, owner: str, side: Side) -> Decimal:
        """What `owner` can pay now for offers of `side`: drops for SELL, token for BUY."""
        if side is Side.BUY:
            return self.spendable_quote(owner)
        if self.global_freeze and owner != self.pair.quote.issuer:
            return ZERO
        return Decimal(self.spendable_drops(owner))

    def live_offers(
        self, side: Side, parent_close_time: int, exclude_owner: str | None = None
    ) -> Iterator[LiveOffer]:
        """Yield the offers a taker could use in a ledger whose parent closed then, best first.

        Amounts are the funded part. What the taker pays for a funded part is rounded UP, as the
        ledger rounds it, and never above what the offer asks in all. Dust (`_is_dust`) is left out.
        """
        left: dict[str, Decimal] = {}
        fee, issuer = self.transfer_rate, self.pair.quote.issuer
        book, offers = self._sides[side], self._offers
        indexes, selling = book.indexes, side is Side.SELL
        for key in book.keys:
            offer = offers[indexes[key]]
            owner, expiration = offer.owner, offer.expiration
            if owner == exclude_owner or (expiration is not None and expiration <= parent_close_time):
                continue
            have = left.get(owner)
            if have is None:
                have = self.funds(owner, side)
            base_drops, quote = offer.base_drops, offer.quote
            if selling:
                if have < base_drops:
                    base_drops = int(have)
                    quote = min(quote, issued_mul(Decimal(base_drops), offer.rate, UP))
                left[owner] = have - base_drops
            else:
                cost = ONE if owner == issuer else fee
                payable = have if cost == ONE else issued_div(have, cost, DOWN)
                if payable < quote:
                    quote = payable
                    base_drops = min(base_drops, whole(exact_product(quote, offer.rate), UP))
                left[owner] = max(ZERO, have - quote * cost)
                if base_drops <= 1 and _is_dust(base_drops, quote, offer.rate):
                    continue
            if base_drops > 0 and quote > 0:
                yield LiveOffer(offer=offer, base_drops=base_drops, quote=quote)

    def live_levels(
        self, side: Side, depth: int, parent_close_time: int, exclude_owner: str | None = None
    ) -> tuple[PriceLevel, ...]:
        """Return up to `depth` price levels of live offers, best first."""
        levels: list[PriceLevel] = []
        rate, base_drops, quote, count = ZERO, 0, ZERO, 0
        for live in self.live_offers(side, parent_close_time, exclude_owner):
            if count and live.offer.rate != rate:
                levels.append(_level(side, rate, base_drops, quote, count))
                base_drops, quote, count = 0, ZERO, 0
                if len(levels) >= depth:
                    return tuple(levels)
            rate = live.offer.rate
            base_drops += live.base_drops
            quote += live.quote
            count += 1
        if count and len(levels) < depth:
            levels.append(_level(side, rate, base_drops, quote, count))
        return tuple(levels)

    def best(self, side: Side, parent_close_time: int, exclude_owner: str | None = None) -> BookOffer | None:
        """Return the best live offer of a side; None for an empty, unfunded or expired side."""
        live = next(self.live_offers(side, parent_close_time, exclude_owner), None)
        return None if live is None else live.offer

    # -- one change at a time -----------------------------------------------------------------

    def _fault(self, kind: LedgerFaultKind, text: str) -> LedgerFault:
        return LedgerFault(kind=kind, line=self._line_number, ledger_index=self._applying, text=text)

    def _check_chain(
        self, change: OfferChange | AccountChange | LineChange | PoolChange, tx_hash: str
    ) -> LedgerFault | None:
        known = self._chain.get(change.index)
        if change.action is NodeAction.DELETED:
            self._chain.pop(change.index, None)
        else:
            self._chain[change.index] = tx_hash
        if change.action is NodeAction.CREATED or not self.trusted:
            return None
        last = change.chain_txn_id
        if known == last or not (last and known if known is not None else self._complete):
            return None
        what = f"{type(change).__name__} {change.index} in transaction {tx_hash}"
        if known is None:
            return self._fault(LedgerFaultKind.UNKNOWN_ENTRY, f"{what}: this entry was never seen before")
        text = f"{what}: it was changed before by {last}, which was not seen"
        return self._fault(LedgerFaultKind.CHAIN_BREAK, text)

    def take_arrival(self) -> int:
        """Return the next place in time: an offer that takes it stands behind all older ones of its rate."""
        self._arrivals += 1
        return self._arrivals - 1

    def _insert(self, offer: BookOffer) -> None:
        self._offers[offer.index] = offer
        self._sides[offer.side].add(offer)

    def _apply_offer(self, change: OfferChange, tx_hash: str) -> None:
        known = self._offers.get(change.index)
        if change.action is NodeAction.DELETED:
            if known is not None:
                del self._offers[change.index]
                self._sides[known.side].remove(known)
            return
        offer = BookOffer(
            index=change.index,
            side=change.side,
            owner=change.owner,
            sequence=change.sequence,
            base_drops=change.base_drops,
            quote=change.quote,
            rate=change.rate,
            book_directory=change.book_directory,
            book_node=change.book_node,
            owner_node=change.owner_node,
            flags=change.flags,
            expiration=change.expiration,
            previous_txn_id=tx_hash,
            previous_txn_ledger=self._applying,
            arrival=self.take_arrival() if known is None else known.arrival,
        )
        if known is None:
            self._insert(offer)
        else:
            self._offers[change.index] = offer

    def _apply_account(self, change: AccountChange) -> None:
        address = change.account
        if address is None:
            return  # only its chain moved
        if change.action is NodeAction.DELETED:
            self._accounts.pop(address, None)
            return
        self._accounts[address] = AccountState(
            account=address,
            balance_drops=change.balance_drops,
            sequence=change.sequence,
            owner_count=change.owner_count,
            flags=change.flags,
            tick_size=change.tick_size,
            transfer_rate=change.transfer_rate,
            is_pool=change.is_pool,
        )
        pool = self.pool
        if pool is not None and pool.account == address:
            self.pool = replace(pool, base_drops=change.balance_drops)

    def _apply_line(self, change: LineChange) -> None:
        if change.action is NodeAction.DELETED:
            self._lines.pop(change.holder, None)
        else:
            self._lines[change.holder] = LineState(
                holder=change.holder, balance=change.balance, frozen=change.frozen
            )
        pool = self.pool
        if pool is not None and pool.account == change.holder:
            self.pool = replace(pool, quote=change.balance)

    def _apply_pool(self, change: PoolChange) -> None:
        if change.action is NodeAction.DELETED:
            self.pool = None
            return
        root, line = self._accounts.get(change.account), self._lines.get(change.account)
        self.pool = Pool(
            account=change.account,
            base_drops=0 if root is None else root.balance_drops,
            quote=ZERO if line is None else line.balance,
            trading_fee=change.trading_fee,
            discounted_fee=change.discounted_fee,
            auction_accounts=change.auction_accounts,
            auction_expiration=change.auction_expiration,
        )

    def _set_fees(self, change: FeeChange) -> None:
        self.fee_base_drops = change.fee_base_drops
        self.base_reserve_drops = change.base_reserve_drops
        self.owner_reserve_drops = change.owner_reserve_drops

    def _set_funds(self, owner: str, side: Side, funds: Decimal) -> None:
        """Make `owner` able to spend exactly `funds`, as the server says he is."""
        if side is Side.BUY:
            if owner != self.pair.quote.issuer:
                self._lines[owner] = LineState(holder=owner, balance=funds, frozen=False)
            return
        old = self._accounts.get(owner, _nobody(owner))
        balance_drops = int(funds) + self.reserve_drops(old.owner_count)
        self._accounts[owner] = replace(old, balance_drops=balance_drops)


def _nobody(address: str) -> AccountState:
    return AccountState(
        account=address,
        balance_drops=0,
        sequence=0,
        owner_count=0,
        flags=0,
        tick_size=None,
        transfer_rate=None,
        is_pool=False,
    )


def _is_dust(base_drops: int, quote: Decimal, rate: Decimal) -> bool:
    """True for a bid that asks at most one drop if it gives less token for it than its rate says.

    The ledger deletes such an offer instead of using it (rippled OfferStream,
    shouldRmSmallIncreasedQOffer). An ask asks token, which does not round so coarsely.
    """
    return exact_product(quote, rate) < base_drops


def _level(side: Side, rate: Decimal, base_drops: int, quote: Decimal, count: int) -> PriceLevel:
    return PriceLevel(
        price=price_of_rate(side, rate), base_drops=base_drops, quote=quote, rate=rate, offers=count
    )
