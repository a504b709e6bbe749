"""The bank: keeps what every agent owns within bounds, by payments on the ledger.

One account a ledger is looked at, in turn. Below half of what it should own it is paid up to it, above twice
as much it pays the rest away: XRP from and to the bank, tokens from and to their issuers. So nobody is ruined
and nobody piles up everything, however long a market lives, and every balance still comes from a transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from neo_engine.domain.assets import XRP, Asset
from neo_engine.simulator.agents.hands import DROPS, Hand, Sight, rounded, token, worth


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What one agent should own of XRP: drops. It is paid up below `low` and pays away above `high`.

    tokens: of which it should own as much worth, half of it at least and twice at most. empty: tokens of
    which it should own nothing.
    """

    hand: Hand
    drops: int
    low: int
    high: int
    tokens: tuple[Asset, ...] = ()
    empty: tuple[Asset, ...] = ()


class Bank:
    """Looks after all shares. issuers: each token's."""

    def __init__(self, hand: Hand, issuers: Mapping[Asset, Hand], shares: tuple[Share, ...]) -> None:
        self._hand = hand
        self._issuers = issuers
        self._shares = shares

    def act(self, sight: Sight) -> None:
        """Look at the next account, and put right what it owns."""
        share = self._shares[sight.ledger_index % len(self._shares)]
        self._xrp(sight, share)
        wanted = worth(share.drops, sight.fair)
        for asset in share.tokens:
            held = share.hand.holds(sight.state, asset)
            if held < wanted / 2:
                self._pay(self._issuers[asset], share.hand, asset, rounded(wanted - held))
            elif held > wanted * 2:
                self._pay(share.hand, self._issuers[asset], asset, rounded(held - wanted))
        for asset in share.empty:
            held = share.hand.holds(sight.state, asset)
            if held > 0:
                self._pay(share.hand, self._issuers[asset], asset, held)

    def _xrp(self, sight: Sight, share: Share) -> None:
        held = share.hand.drops(sight.state)
        if held < share.low:
            self._pay(self._hand, share.hand, XRP, Decimal(share.drops - held))
        elif held > share.high:
            self._pay(share.hand, self._hand, XRP, Decimal(held - share.drops))

    def open(self, sight: Sight) -> None:
        """Give every account its tokens, for the first time."""
        for share in self._shares:
            for asset in share.tokens:
                self._pay(self._issuers[asset], share.hand, asset, worth(share.drops, sight.fair))

    def _pay(self, giver: Hand, taker: Hand, asset: Asset, value: Decimal) -> None:
        amount: Any = str(int(value)) if asset.is_xrp else token(asset, value)
        giver.send("Payment", Destination=taker.address, Amount=amount)


def even_share(hand: Hand, xrp: Decimal, tokens: tuple[Asset, ...]) -> Share:
    """Return a share of this much XRP and the same worth of tokens, half to twice of it."""
    drops = int(xrp * DROPS)
    return Share(hand=hand, drops=drops, low=drops // 2, high=drops * 2, tokens=tokens)
