"""The book our paper offers stand in: the tracked one, ours among them, less what is already traded.

When one of our trades uses up liquidity that the recording shows untouched (we took it, or a taker
traded with us before his rest was placed), the tracked book still lists it. It is remembered here as
spent, so that it is not traded a second time; it is forgotten when the offer leaves the book.
"""

from __future__ import annotations

from bisect import insort
from decimal import Decimal

from msgspec.structs import replace

from neo_engine.domain.assets import Side
from neo_engine.domain.book import BookOffer, BookTracker
from neo_engine.domain.ledger import LedgerTransaction, NodeAction, OfferChange
from neo_engine.domain.matching import Liquidity
from neo_engine.domain.number import ZERO
from neo_engine.domain.rounding import TICK_SIZE_OFF
from neo_engine.execution.paper_account import PaperAccount


def _priority(offer: BookOffer) -> tuple[Decimal, int]:
    return offer.rate, offer.arrival


class SharedBook:
    """The tracked book and the paper account as one source of liquidity."""

    def __init__(self, book: BookTracker, account: PaperAccount) -> None:
        self._book = book
        self._account = account
        self._spent: dict[str, tuple[int, Decimal]] = {}

    def liquidity(self, side: Side) -> Liquidity:
        """Return the book of `side` in price-time order, as a taker meets it now."""
        ours = [one.offer for one in self._account.offers.values() if one.offer.side is side]
        others = self._book.offers(side)
        if self._spent:
            others = tuple(kept for offer in others if (kept := self._unspent(offer)) is not None)
        offers = list(others)
        for offer in ours:  # the others stand in this order already
            insort(offers, offer, key=_priority)
        return Liquidity(
            offers=offers,
            funds=lambda owner: self._funds(owner, side),
            pool=self._book.pool,
            tick_size=self._book.tick_size or TICK_SIZE_OFF,
            parent_close_time=self._book.parent_close_time,
        )

    def spend(self, index: str, base_drops: int, quote: Decimal) -> None:
        """Remember that we traded with offer `index`."""
        base_before, quote_before = self._spent.get(index, (0, ZERO))
        self._spent[index] = (base_before + base_drops, quote_before + quote)

    def spend_created(self, tx: LedgerTransaction, traded: list[tuple[int, Decimal]]) -> None:
        """Remember that the offer `tx` placed had traded `traded` with us before it came to rest."""
        for change in tx.changes:
            if (
                isinstance(change, OfferChange)
                and change.action is NodeAction.CREATED
                and change.owner == tx.account
            ):
                for base_drops, quote in traded:
                    self.spend(change.index, base_drops, quote)

    def forget_gone(self) -> None:
        """Forget what was spent of offers that no longer stand."""
        if self._spent:
            self._spent = {index: spent for index, spent in self._spent.items() if self._book.offer(index)}

    def _funds(self, owner: str, side: Side) -> Decimal | None:
        if owner == self._account.address:  # a freeze of the token leaves no offer of it funded
            return ZERO if self._book.global_freeze else self._account.funds(side)
        if side is Side.BUY and owner == self._book.pair.quote.issuer:
            return None
        return self._book.funds(owner, side)

    def _unspent(self, offer: BookOffer) -> BookOffer | None:
        spent = self._spent.get(offer.index)
        if spent is None:
            return offer
        base_drops, quote = offer.base_drops - spent[0], offer.quote - spent[1]
        return replace(offer, base_drops=base_drops, quote=quote) if base_drops > 0 and quote > 0 else None
