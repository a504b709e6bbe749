"""Orders for a gateway's token as a server crossed them, some of them bridged through XRP.

The token has TransferRate 1.002 and TickSize 5. Each case holds what the order met; the expectation is
the server's metadata, to the last digit: what is left of each offer, what left the book, what was
placed, and what everybody's balances were then.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from neo_engine.domain.assets import XRP, Asset
from neo_engine.domain.liquidity import (
    CrossRequest,
    CrossResult,
    DestinationGot,
    OfferTaken,
    PoolState,
    PoolSwapped,
    RestingOffer,
    SourcePaid,
)
from neo_engine.domain.number import issued_add
from neo_engine.domain.offer_crossing import cross

CASES = json.loads((Path(__file__).parent.parent / "data" / "gateway_orders.json").read_text("utf-8"))
D = Decimal


class CutMarket:
    """What was cut out of the ledger for one order."""

    def __init__(self, case: dict[str, Any]) -> None:
        self._case = case
        self.parent_close_time = case["parent_close_time"]
        self.assets = {name: Asset(code, issuer) for name, (code, issuer, _) in case["issuers"].items()}
        self.assets["XRP"] = XRP
        self._names = {asset: name for name, asset in self.assets.items()}

    def offers(self, pays: Asset, gets: Asset) -> Iterator[RestingOffer]:
        for book in self._case["books"]:
            if (book["pays"], book["gets"]) == (self._names[pays], self._names[gets]):
                for one in book["offers"]:
                    numbers = {name: D(one[name]) for name in ("rate", "pays", "gets")}
                    yield RestingOffer(**(one | numbers))

    def funds(self, owner: str, asset: Asset) -> Decimal | None:
        return D(self._case["funds"][self._names[asset]][owner])

    def pool(self, pays: Asset, gets: Asset, taker: str) -> PoolState | None:
        assert taker == self._case["request"]["taker"]
        for one in self._case["pools"]:
            if (one["pays"], one["gets"]) == (self._names[pays], self._names[gets]):
                return PoolState(
                    account=one["account"],
                    pays=D(one["holds_pays"]),
                    gets=D(one["holds_gets"]),
                    fee_units=one["fee_units"],
                )
        return None

    def transfer_rate(self, issuer: str) -> int:
        rates: dict[str, int] = {one: rate for _, one, rate in self._case["issuers"].values()}
        return rates[issuer]

    def request(self) -> CrossRequest:
        values = dict(self._case["request"])
        for name in ("pays", "gets", "funds"):
            values[name] = D(values[name])
        for name in ("pays_asset", "gets_asset"):
            values[name] = self.assets[values[name]]
        return CrossRequest(**values)

    def balances_after(self, result: CrossResult) -> dict[str, dict[str, Decimal]]:
        """Every balance known before, with each move rounded to 16 digits in turn."""
        taker = self._case["request"]["taker"]
        known = {
            account: {name: D(amount) for name, amount in held.items()}
            for account, held in self._case["balances"].items()
        }

        def change(account: str, asset: Asset, amount: Decimal) -> None:
            held = known.get(account, {})
            if self._names[asset] in held:
                held[self._names[asset]] = issued_add(held[self._names[asset]], amount)

        for move in result.moves:
            match move:
                case SourcePaid():
                    change(taker, move.asset, -move.amount)
                case DestinationGot():
                    change(taker, move.asset, move.amount)
                case PoolSwapped():
                    change(move.account, move.pays_asset, move.pays)
                    change(move.account, move.gets_asset, -move.gets)
                case OfferTaken():
                    change(move.owner, move.pays_asset, move.pays)
                    change(move.owner, move.gets_asset, -move.gives)
        return known


@pytest.mark.parametrize("case", CASES, ids=[case["hash"][:8] for case in CASES])
def test_an_order_for_a_gateways_token_ends_as_the_server_ended_it(case: dict[str, Any]) -> None:
    market, truth = CutMarket(case), case["truth"]
    result = cross(market.request(), market)
    assert result.result == truth["result"]
    taken = [move for move in result.moves if isinstance(move, OfferTaken)]
    left = {move.index: [move.left_pays, move.left_gets] for move in taken}
    assert left == {index: [D(one) for one in amounts] for index, amounts in truth["left"].items()}
    gone = {move.index for move in taken if move.gone} | {removal.index for removal in result.removals}
    assert gone == set(truth["gone"])
    rest = None if result.rest is None else [result.rest.pays, result.rest.gets, result.rest.rate]
    assert rest == (None if truth["placed"] is None else [D(one) for one in truth["placed"]])
    after = {
        account: {name: D(amount) for name, amount in held.items()}
        for account, held in truth["balances"].items()
    }
    assert market.balances_after(result) == after


def test_the_cases_hold_bridges_in_several_rounds_and_both_sides_of_the_fee() -> None:
    rounds, owners_paid = set(), False
    for case in CASES:
        market = CutMarket(case)
        moves = cross(market.request(), market).moves
        if "XRP" not in (case["request"]["pays_asset"], case["request"]["gets_asset"]):
            rounds.add(sum(isinstance(move, SourcePaid) for move in moves))
        owners_paid |= any(isinstance(move, OfferTaken) and move.gives > move.gets for move in moves)
    assert rounds == {0, 1, 2, 3}
    assert owners_paid
