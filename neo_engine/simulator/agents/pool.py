"""The two that deal with the pool: an arbitrageur between it, the book and the fair price, and its provider.

Arbitrage. An offer that stands beyond the fair price, because its owner was slow, is taken. A pool that is
off by more than its fee is traded back. With constant product x y = k the price y/x becomes P when the XRP
in the pool becomes sqrt(k / P), so buying x (1 - sqrt(p / P)) XRP from a pool at p brings it to P; p counts
with the fee, which is what the arbitrageur pays (the formula of a swap without fee is near enough for that).

>>> drops_to_reach(1_000_000, Decimal(2), Decimal(2))
0
>>> drops_to_reach(1_000_000, Decimal(1), Decimal(4))
500000
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from neo_engine.domain.assets import XRP, Asset
from neo_engine.simulator.agents.hands import (
    BPS,
    DROPS,
    TF_IMMEDIATE_OR_CANCEL,
    TF_SELL,
    Hand,
    Sight,
    away,
    line_value,
    token,
    worth,
)
from neo_engine.simulator.agents.settings import ArbitrageSettings, PoolSettings
from neo_engine.simulator.model import keys
from neo_engine.simulator.model.state import State

TF_TWO_ASSET = 0x00100000
TF_SINGLE_ASSET = 0x00080000
FEE_SCALE = 100_000
PERCENT = 100
SMALLEST_DROPS = 10 * DROPS  # less is not worth a transaction to the arbitrageur


def drops_to_reach(drops: int, price: Decimal, target: Decimal) -> int:
    """Return the XRP whose purchase brings a pool from one price to a higher one, rounded down."""
    return int(drops * (1 - (price / target).sqrt()))


class PoolView:
    """The pool of XRP and one token in the state."""

    def __init__(self, quote: Asset) -> None:
        self._quote = quote
        self._index = keys.amm(XRP, quote)

    def read(self, state: State) -> tuple[int, Decimal, int] | None:
        """Return its drops, its tokens and its fee in 1/100,000; None when it is not there or empty."""
        entry = state.entries.get(self._index)
        if entry is None:
            return None
        account, quote = entry["Account"], self._quote
        line = state.entries.get(keys.line(account, quote.issuer, quote.currency))
        drops: int = state.entries[keys.account_root(account)]["Balance"]
        value = Decimal(0) if line is None else line_value(line, account)
        return (drops, value, entry.get("TradingFee", 0)) if drops and value else None


class Arbitrageur:
    """Takes what stands on the wrong side of the fair price."""

    def __init__(self, hand: Hand, settings: ArbitrageSettings, quote: Asset) -> None:
        self._hand = hand
        self._settings = settings
        self._quote = quote
        self._pool = PoolView(quote)

    def act(self, sight: Sight) -> None:
        """Send at most one order."""
        settings, fair = self._settings, sight.fair
        if self._hand.rng.randrange(PERCENT) >= settings.chance_percent:
            return
        pool = self._pool.read(sight.state)
        size = int(settings.size_xrp * DROPS)
        edge = settings.offer_edge_bps
        if pool is not None and self._trade_pool(sight, *pool):
            return
        if sight.ask is not None and sight.ask < away(fair, -edge):
            self._order(sight, size, -edge / 2, buys=True)
        elif sight.bid is not None and sight.bid > away(fair, edge):
            self._order(sight, size, edge / 2, buys=False)

    def _trade_pool(self, sight: Sight, drops: int, value: Decimal, fee_units: int) -> bool:
        fair, edge = sight.fair, self._settings.pool_edge_bps
        price = value * DROPS / drops
        fee = Decimal(fee_units) / FEE_SCALE
        asked, given = price / (1 - fee), price * (1 - fee)
        if asked < away(fair, -edge):
            amount, buys = drops_to_reach(drops, asked, fair), True
        elif given > away(fair, edge):
            amount, buys = int(drops * ((given / fair).sqrt() - 1)), False
        else:
            return False
        if amount < SMALLEST_DROPS:
            return False
        self._order(sight, amount, Decimal(0), buys=buys)
        return True

    def _order(self, sight: Sight, drops: int, bps: Decimal, *, buys: bool) -> None:
        value = worth(drops, away(sight.fair, bps))
        order = self._hand.buy if buys else self._hand.sell
        order(drops, self._quote, value, TF_IMMEDIATE_OR_CANCEL | (0 if buys else TF_SELL))


class Provider:
    """The liquidity provider: adds to the pool, and takes as much out the next time."""

    def __init__(self, hand: Hand, settings: PoolSettings, quote: Asset) -> None:
        self._hand = hand
        self._settings = settings
        self._quote = quote
        self._pool = PoolView(quote)
        self._added = False
        self._both = True

    def act(self, sight: Sight) -> None:
        """Visit the pool, seldom."""
        settings = self._settings
        if not settings.visit_ledgers or self._hand.rng.randrange(settings.visit_ledgers):
            return
        pool = self._pool.read(sight.state)
        if pool is None:
            return
        drops, value, _ = pool
        if not self._added:
            self._both = bool(self._hand.rng.randrange(2))
        share = Decimal(settings.visit_bps) / BPS
        amounts: dict[str, Any] = {"Amount": str(int(drops * share))}
        if self._both:
            amounts["Amount2"] = token(self._quote, worth(int(drops * share), value * DROPS / drops))
        asset = {"currency": self._quote.currency, "issuer": self._quote.issuer}
        kind = "AMMWithdraw" if self._added else "AMMDeposit"
        flags = TF_TWO_ASSET if self._both else TF_SINGLE_ASSET
        self._hand.send(kind, flags, Asset={"currency": "XRP"}, Asset2=asset, **amounts)
        self._added = not self._added
