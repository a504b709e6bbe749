"""The paper account: balances, offers and reserves of an account that exists beside the ledger.

It obeys the ledger's rules (ledger-rules, Funds): XRP in drops, the trust line rounded to 16 digits at
each change, an owner reserve for each object, offers that lock nothing and are paid from what is there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal

from neo_engine.domain.assets import Side
from neo_engine.domain.book import BookOffer
from neo_engine.domain.market import AccountView, VenueOffer
from neo_engine.domain.number import issued_add


@dataclass(slots=True, kw_only=True)
class PaperOffer:
    """One of our offers in the book: the order it belongs to and the offer as takers meet it."""

    order_id: int
    offer: BookOffer
    filled: bool
    expired: bool


def offer_index(account: str, sequence: int) -> str:
    """Return a stable 64-hex name for an offer of the paper account (no ledger computes it)."""
    return hashlib.sha256(f"paper offer {account} {sequence}".encode()).hexdigest().upper()


class PaperAccount:
    """Mutable on purpose: changed in place by the paper exchange, one ledger transaction at a time."""

    def __init__(
        self, *, address: str, balance_drops: int, quote_balance: Decimal, owner_count: int, sequence: int
    ) -> None:
        self.address = address
        self.balance_drops = balance_drops
        self.quote_balance = quote_balance
        self.owner_count = owner_count
        self.sequence = sequence
        self.offers: dict[int, PaperOffer] = {}
        self.base_reserve_drops = 0
        self.owner_reserve_drops = 0

    def set_reserves(self, base_reserve_drops: int, owner_reserve_drops: int) -> None:
        """Take over the ledger's present reserves, in drops."""
        self.base_reserve_drops = base_reserve_drops
        self.owner_reserve_drops = owner_reserve_drops

    def reserve_drops(self, owner_count: int) -> int:
        """Return the drops an account with so many objects cannot spend."""
        return self.base_reserve_drops + owner_count * self.owner_reserve_drops

    def spendable_drops(self) -> int:
        """Return the XRP above the reserve, in drops."""
        return max(0, self.balance_drops - self.reserve_drops(self.owner_count))

    def funds(self, side: Side) -> Decimal:
        """Return what an order of `side` can be paid from: drops for SELL, token for BUY."""
        return Decimal(self.spendable_drops()) if side is Side.SELL else max(Decimal(0), self.quote_balance)

    def trade(self, side: Side, base_drops: int, quote: Decimal) -> Decimal:
        """Book a trade of ours; return by how much the trust line really moved (negative out)."""
        before = self.quote_balance
        if side is Side.BUY:
            self.balance_drops += base_drops
            self.quote_balance = issued_add(before, -quote)
        else:
            self.balance_drops -= base_drops
            self.quote_balance = issued_add(before, quote)
        return self.quote_balance - before

    def add_offer(self, order_id: int, offer: BookOffer, filled: bool) -> None:
        """Let an offer stand; it locks one owner reserve."""
        self.offers[offer.sequence] = PaperOffer(order_id=order_id, offer=offer, filled=filled, expired=False)
        self.owner_count += 1

    def remove_offer(self, sequence: int) -> PaperOffer | None:
        """Take an offer away and free its reserve; None if it does not stand."""
        gone = self.offers.pop(sequence, None)
        if gone is not None:
            self.owner_count -= 1
        return gone

    def view(self) -> AccountView:
        """Return the venue's word about the account; expired offers are no longer standing."""
        return AccountView(
            balance_drops=self.balance_drops,
            quote_balance=self.quote_balance,
            owner_count=self.owner_count,
            account_sequence=self.sequence,
            offers=tuple(
                VenueOffer(
                    offer_sequence=sequence,
                    side=one.offer.side,
                    base_drops=one.offer.base_drops,
                    quote=one.offer.quote,
                    expiration=one.offer.expiration,
                )
                for sequence, one in self.offers.items()
                if not one.expired
            ),
        )
