"""Takers: orders that want to trade now, limit orders that wait, payments, and orders of other tokens.

What an order is: immediate-or-cancel at a price somewhat worse than fair (now and then not worse enough: then
tecKILLED), fill-or-kill (killed when the book is too thin), a plain limit order near the fair price that
waits until it is taken or given up, a partial payment to oneself, or USD against RLUSD, which goes through
XRP where that is the better way.
"""

from __future__ import annotations

from decimal import Decimal

from neo_engine.domain.assets import Asset
from neo_engine.simulator.agents.hands import (
    TF_FILL_OR_KILL,
    TF_IMMEDIATE_OR_CANCEL,
    TF_PARTIAL_PAYMENT,
    TF_SELL,
    Hand,
    Sight,
    Waiting,
    away,
    spread_size,
    token,
    worth,
)
from neo_engine.simulator.agents.settings import TakerSettings

PERMILLE = 1_000
WAITING_MAX = 16  # limit orders of one taker at once
GREEDY_ONE_IN = 2  # fill-or-kill orders that ask for more than there is at a good price
GREED = 100
GREEDY_SLIP_BPS = 3
BRIDGED_SLIP_BPS = 150  # a transfer fee of 20 bps and two books lie between the tokens


class Taker:
    """One taker. `usd`: the other token it holds."""

    def __init__(self, hand: Hand, settings: TakerSettings, quote: Asset, usd: Asset) -> None:
        self._hand = hand
        self._rng = hand.rng
        self._settings = settings
        self._quote = quote
        self._usd = usd
        self._waiting = Waiting(hand)
        weighted = (
            (settings.ioc_weight, self._at_once),
            (settings.fok_weight, self._whole_or_nothing),
            (settings.limit_weight, self._limit),
            (settings.payment_weight, self._payment),
            (settings.bridged_weight, self._bridged),
        )
        self._orders = [order for weight, order in weighted for _ in range(weight)]

    def act(self, sight: Sight) -> None:
        """Send an order, or none."""
        self._waiting.tidy(sight)
        if self._rng.randrange(PERMILLE) < self._settings.orders_permille:
            drops = spread_size(self._rng, self._settings.size_xrp)
            self._rng.choice(self._orders)(sight, drops, buys=bool(self._rng.randrange(2)))

    def _slipped(self, sight: Sight, *, buys: bool) -> Decimal:
        slip = self._rng.randint(self._settings.slip_bps_min, self._settings.slip_bps_max)
        return away(sight.fair, slip if buys else -slip)

    def _order(self, drops: int, price: Decimal, flags: int, *, buys: bool) -> int:
        value = worth(drops, price)
        if buys:
            return self._hand.buy(drops, self._quote, value, flags)
        return self._hand.sell(drops, self._quote, value, flags)

    def _at_once(self, sight: Sight, drops: int, *, buys: bool) -> None:
        flags = TF_IMMEDIATE_OR_CANCEL | (TF_SELL if self._rng.randrange(2) else 0)
        self._order(drops, self._slipped(sight, buys=buys), flags, buys=buys)

    def _whole_or_nothing(self, sight: Sight, drops: int, *, buys: bool) -> None:
        price = self._slipped(sight, buys=buys)
        if not self._rng.randrange(GREEDY_ONE_IN):
            drops *= GREED
            price = away(sight.fair, GREEDY_SLIP_BPS if buys else -GREEDY_SLIP_BPS)
        self._order(drops, price, TF_FILL_OR_KILL, buys=buys)

    def _limit(self, sight: Sight, drops: int, *, buys: bool) -> None:
        if len(self._waiting) >= WAITING_MAX:
            return
        settings, rng = self._settings, self._rng
        distance = rng.randint(settings.distance_bps_min, settings.distance_bps_max)
        sequence = self._order(drops, away(sight.fair, -distance if buys else distance), 0, buys=buys)
        wait = rng.randint(settings.wait_ledgers_min, settings.wait_ledgers_max)
        self._waiting.add(sequence, sight.ledger_index + wait)

    def _payment(self, sight: Sight, drops: int, *, buys: bool) -> None:
        amount = token(self._quote, worth(drops, self._slipped(sight, buys=buys)))
        to, most = (str(drops), amount) if buys else (amount, str(drops))
        self._hand.send(
            "Payment", TF_PARTIAL_PAYMENT, Destination=self._hand.address, DeliverMax=to, SendMax=most
        )

    def _bridged(self, sight: Sight, drops: int, *, buys: bool) -> None:
        value = worth(drops, sight.fair)
        least = worth(drops, away(sight.fair, -BRIDGED_SLIP_BPS))
        gives, wants = (self._quote, self._usd) if buys else (self._usd, self._quote)
        self._hand.send(
            "OfferCreate",
            TF_IMMEDIATE_OR_CANCEL | TF_SELL,
            TakerGets=token(gives, value),
            TakerPays=token(wants, least),
        )
