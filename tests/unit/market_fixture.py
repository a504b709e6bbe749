"""A market written down: books, funds, pools and transfer rates by hand."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from neo_engine.domain.assets import XRP, Asset
from neo_engine.domain.liquidity import (
    PARITY,
    CrossRequest,
    FlowRequest,
    OfferTaken,
    PoolState,
    RestingOffer,
)

D = Decimal
USD = Asset("USD", "rGate")
EUR = Asset("EUR", "rBank")
NOW = 5000
ENOUGH = D(10) ** 15


class WrittenMarket:
    """Books as given (sorted by rate here), everybody with plenty unless `held` says otherwise."""

    def __init__(
        self,
        *books: RestingOffer,
        held: dict[tuple[str, Asset], Decimal | None] | None = None,
        pools: dict[tuple[Asset, Asset], PoolState] | None = None,
        rates: dict[str, int] | None = None,
    ) -> None:
        self._offers = books
        self._held = held or {}
        self._pools = pools or {}
        self._rates = rates or {}
        self.parent_close_time = NOW
        self.asked: list[str] = []

    def offers(self, pays: Asset, gets: Asset) -> Iterator[RestingOffer]:
        mine = [offer for offer in self._offers if offer.index.startswith(f"{pays.currency}{gets.currency}")]
        for offer in sorted(mine, key=lambda offer: offer.rate):
            self.asked.append(offer.index)
            yield offer

    def funds(self, owner: str, asset: Asset) -> Decimal | None:
        return None if owner == asset.issuer else self._held.get((owner, asset), ENOUGH)

    def pool(self, pays: Asset, gets: Asset, taker: str) -> PoolState | None:
        assert taker
        return self._pools.get((pays, gets))

    def transfer_rate(self, issuer: str) -> int:
        return self._rates.get(issuer, PARITY)


def offer(pays: Asset, gets: Asset, name: str, amounts: tuple[str, str], **fields: Any) -> RestingOffer:
    """An offer of `amounts` (what it asks for, what it gives); its rate is their ratio."""
    values: dict[str, Any] = {
        "index": f"{pays.currency}{gets.currency}{name}",
        "owner": f"r{name}",
        "rate": D(amounts[0]) / D(amounts[1]),
        "pays": D(amounts[0]),
        "gets": D(amounts[1]),
        "expiration": None,
    }
    return RestingOffer(**(values | fields))


def pool(pays: str, gets: str, fee_units: int = 0, account: str = "rPool") -> PoolState:
    return PoolState(account=account, pays=D(pays), gets=D(gets), fee_units=fee_units)


def pay(strands: tuple[tuple[Asset, ...], ...], deliver: str, **fields: Any) -> FlowRequest:
    values: dict[str, Any] = {
        "source": "rSource",
        "destination": "rDestination",
        "strands": strands,
        "deliver": D(deliver),
        "send_max": None,
        "funds": ENOUGH,
        "room": None,
        "partial": False,
        "limit_rate": None,
    }
    return FlowRequest(**(values | fields))


def create(pays: tuple[str, Asset], gets: tuple[str, Asset], **fields: Any) -> CrossRequest:
    values: dict[str, Any] = {
        "taker": "rTaker",
        "pays_asset": pays[1],
        "gets_asset": gets[1],
        "pays": D(pays[0]),
        "gets": D(gets[0]),
        "funds": ENOUGH,
        "tick_size": 16,
        "sell": False,
        "passive": False,
        "immediate_or_cancel": False,
        "fill_or_kill": False,
        "owner_may_rest": True,
    }
    return CrossRequest(**(values | fields))


def takes(moves: tuple[object, ...]) -> dict[str, tuple[Decimal, Decimal, Decimal]]:
    """By offer, its name without the pair: what its owner receives, what goes on, what its owner loses."""
    return {
        move.index[6:]: (move.pays, move.gets, move.gives) for move in moves if isinstance(move, OfferTaken)
    }


__all__ = ["XRP"]
