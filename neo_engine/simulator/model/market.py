"""The bridge between a view of the ledger and the run through books and pools.

`ViewMarket` shows a run (domain/offer_crossing, domain/flow) the offers, funds and pools of a view; the run
answers with moves and removals, and `perform` makes them in the view.

Theory (rippled BookStep.cpp, OfferStream.cpp, AMMLiquidity.cpp, AMMUtils.cpp). A run sees the state as it was
before it began. What it moves is credited one change at a time, because a trust line is rounded to 16 digits
at every one of them.

1. Nothing a `ViewMarket` answers changes while the run lasts: the view is changed by `perform` only.
2. `perform` makes the moves in the order given; removals follow, and one already gone is no fault.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from neo_engine.domain.assets import Asset
from neo_engine.domain.errors import InvariantViolation
from neo_engine.domain.liquidity import (
    DestinationGot,
    Move,
    OfferTaken,
    PoolState,
    PoolSwapped,
    Removal,
    RestingOffer,
    SourcePaid,
)
from neo_engine.simulator.model import keys, lines
from neo_engine.simulator.model.amounts import amount_of, decimal_of
from neo_engine.simulator.model.context import Rules
from neo_engine.simulator.model.fields import Entry
from neo_engine.simulator.model.removal import remove_offer
from neo_engine.simulator.model.state import View


class ViewMarket:
    """A view as `domain.liquidity.Market` has it."""

    __slots__ = ("_rules", "_view")

    def __init__(self, view: View, rules: Rules) -> None:
        self._view = view
        self._rules = rules

    @property
    def parent_close_time(self) -> int:
        """Close time of the ledger before, seconds since 2000-01-01."""
        return self._rules.parent_close_time

    def offers(self, pays: Asset, gets: Asset) -> Iterator[RestingOffer]:
        """Yield the offers that sell `gets` for `pays`, best rate first, then oldest; made as asked for.

        Raises InvariantViolation for a directory that names an offer or a page that is not there.
        """
        view = self._view
        for root in view.book(keys.book_base(pays, gets)):
            rate = keys.rate_of_directory(root)
            number = 0
            while True:
                page = view.read(keys.page(root, number))
                if page is None:
                    raise InvariantViolation(f"book {root}: page {number} is missing")
                for index in page["Indexes"]:
                    yield _resting(view, index, rate)
                number = int(page.get("IndexNext", "0"), 16)
                if not number:
                    break

    def funds(self, owner: str, asset: Asset) -> Decimal | None:
        """Return what `owner` can spend of `asset` now; None for a token's own issuer."""
        return lines.spendable(self._view, owner, asset, self._rules)

    def transfer_rate(self, issuer: str) -> int:
        """Return the issuer's transfer rate in billionths, PARITY for none."""
        return lines.transfer_rate(self._view, issuer)

    def pool(self, pays: Asset, gets: Asset, taker: str) -> PoolState | None:
        """Return the pool of the two assets seen by `taker`, None if there is none or it can give nothing.

        A pool whose token is frozen holds nothing as far as a taker is concerned (ammAccountHolds).
        """
        entry = self._view.read(keys.amm(pays, gets))
        if entry is None or not entry["LPTokenBalance"].value:
            return None
        account = entry["Account"]
        held_pays, held_gets = self._held(account, pays), self._held(account, gets)
        if held_pays <= 0 or held_gets <= 0:
            return None
        fee = pool_fee(entry, taker, self._rules.parent_close_time)
        return PoolState(account=account, pays=held_pays, gets=held_gets, fee_units=fee)

    def _held(self, account: str, asset: Asset) -> Decimal:
        """Return what a pool's account holds: all its XRP, and of a token nothing while it is frozen."""
        if asset.issuer and lines.is_frozen(self._view, account, asset):
            return Decimal(0)
        return lines.balance(self._view, account, asset)


def pool_fee(entry: Entry, taker: str, parent_close_time: int) -> int:
    """Return the trading fee `taker` pays, in 1/100,000 (AMMUtils.cpp, getTradingFee).

    The auction slot's holder and the accounts he authorised pay the discounted fee until the slot ends.
    """
    slot = entry.get("AuctionSlot")
    if slot and parent_close_time < slot.get("Expiration", 0):
        friends = (friend["AuthAccount"]["Account"] for friend in slot.get("AuthAccounts", ()))
        if slot.get("Account") == taker or taker in friends:
            return int(slot.get("DiscountedFee", 0))
    return int(entry.get("TradingFee", 0))


def _resting(view: View, index: str, rate: Decimal) -> RestingOffer:
    offer = view.read(index)
    if offer is None:
        raise InvariantViolation(f"book: offer {index} is missing")
    return RestingOffer(
        index=index,
        owner=offer["Account"],
        rate=rate,
        pays=decimal_of(offer["TakerPays"]),
        gets=decimal_of(offer["TakerGets"]),
        expiration=offer.get("Expiration"),
    )


def perform(
    view: View, moves: Iterable[Move], removals: Iterable[Removal], *, source: str, destination: str
) -> None:
    """Make a run's changes: balances and offers move by move, then the offers that left the book.

    source: who paid; destination: who received. Raises InvariantViolation if a move does not fit the view.
    """
    for move in moves:
        if isinstance(move, OfferTaken):
            _take(view, move)
        elif isinstance(move, PoolSwapped):
            _receive(view, move.account, move.pays_asset, move.pays)
            _spend(view, move.account, move.gets_asset, move.gets)
        elif isinstance(move, SourcePaid):
            _spend(view, source, move.asset, move.amount)
        elif isinstance(move, DestinationGot):
            _receive(view, destination, move.asset, move.amount)
    for removal in removals:
        remove_offer(view, removal.index)


def _spend(view: View, account: str, asset: Asset, amount: Decimal) -> None:
    """Take `amount` from an account: XRP off its balance, a token back to its issuer."""
    if asset.is_xrp:
        root = view.edit(keys.account_root(account))
        left = root["Balance"] - int(amount)
        if left < 0:
            raise InvariantViolation(f"account {account}: cannot spend {amount} of {root['Balance']} drops")
        root["Balance"] = left
    elif account != asset.issuer:
        lines.credit(view, account, asset.issuer, asset, amount)


def _receive(view: View, account: str, asset: Asset, amount: Decimal) -> None:
    """Give `amount` to an account: XRP onto its balance, a token from its issuer."""
    if asset.is_xrp:
        view.edit(keys.account_root(account))["Balance"] += int(amount)
    elif account != asset.issuer:
        lines.credit(view, asset.issuer, account, asset, amount)


def _take(view: View, move: OfferTaken) -> None:
    _receive(view, move.owner, move.pays_asset, move.pays)
    _spend(view, move.owner, move.gets_asset, move.gives)
    offer = view.edit(move.index)
    offer["TakerPays"] = amount_of(move.pays_asset, move.left_pays)
    offer["TakerGets"] = amount_of(move.gets_asset, move.left_gets)
    if move.gone:
        remove_offer(view, move.index)
