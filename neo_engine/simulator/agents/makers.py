"""Makers: a ladder of offers on each side of the fair price, each standing for a drawn time.

An offer whose time is over is replaced at the price and size of the moment, mostly in place (OfferSequence:
one transaction), else cancelled and placed anew in the next ledger. What was taken, expired or cleared
away is placed anew after a short pause. One that the fair price has come too near to is replaced at once
by a maker that flees; the others let it be taken. A maker is as slow as its lives are long: in between the
price moves and the offer does not, which is how it comes to be taken.
"""

from __future__ import annotations

from neo_engine.domain.assets import Asset
from neo_engine.domain.number import ZERO
from neo_engine.simulator.agents.hands import TF_PASSIVE, TF_SELL, Hand, Sight, away, spread_size, worth
from neo_engine.simulator.agents.settings import MakerSettings
from neo_engine.simulator.model import keys

PAUSE_LEDGERS = 4  # at most, before an offer that is gone is placed anew
PERCENT = 100

Place = tuple[int, str]  # an offer's sequence and its index


class _Rung:
    """One place of a ladder: the offer there and its price, the one it replaced, when it is due."""

    __slots__ = ("before", "due", "level", "now", "price", "sells")

    def __init__(self, level: int, sells: bool, due: int) -> None:
        self.level = level
        self.sells = sells
        self.due = due
        self.price = ZERO
        self.now: Place | None = None
        self.before: Place | None = None


class Maker:
    """One maker."""

    def __init__(self, hand: Hand, settings: MakerSettings, asset: Asset, first_ledger: int) -> None:
        self._hand = hand
        self._rng = hand.rng
        self._settings = settings
        self._asset = asset
        self._rungs = [
            _Rung(level, sells, first_ledger + self._rng.randrange(PAUSE_LEDGERS))
            for level in range(settings.levels)
            for sells in (True, False)
        ]

    def act(self, sight: Sight) -> None:
        """Send what is due."""
        entries = sight.state.entries
        ledger = sight.ledger_index
        flee = self._settings.flee_bps
        # An ask below the one price, or a bid above the other, is too near to the fair price to be left.
        low, high = (away(sight.fair, flee), away(sight.fair, -flee)) if flee else (ZERO, None)
        for rung in self._rungs:
            now = rung.now
            if now is not None:
                if now[1] not in entries:
                    self._missing(rung, sight)
                elif rung.price < low if rung.sells else high is not None and rung.price > high:
                    rung.due = ledger
            if ledger >= rung.due:
                self._renew(rung, sight)

    def _missing(self, rung: _Rung, sight: Sight) -> None:
        """The offer is gone, or never came to be: then the one it was to replace still stands."""
        before, rung.before = rung.before, None
        if before is not None and before[1] in sight.state.entries:
            rung.now = before
            rung.due = sight.ledger_index
            return
        rung.now = None
        rung.due = sight.ledger_index + self._rng.randrange(PAUSE_LEDGERS)

    def _renew(self, rung: _Rung, sight: Sight) -> None:
        old = rung.now
        rung.before = None
        if old is None:
            self._place(rung, sight)
        elif self._rng.randrange(PERCENT) < self._settings.replace_percent:
            rung.before = old
            self._place(rung, sight, OfferSequence=old[0])
        else:
            self._hand.send("OfferCancel", OfferSequence=old[0])
            rung.now = None
            rung.due = sight.ledger_index + 1

    def _place(self, rung: _Rung, sight: Sight, **fields: int) -> None:
        settings, hand, rng = self._settings, self._hand, self._rng
        distance = settings.half_spread_bps + settings.step_bps * rung.level
        distance += settings.widening * sight.turbulence_bps
        distance = distance * rng.randint(85, 115) / PERCENT
        if settings.expires_seconds:
            fields["Expiration"] = sight.close_time + settings.expires_seconds
        if rung.sells:
            drops = spread_size(rng, settings.ask_xrp)
            rung.price = away(sight.fair, distance)
            value = worth(drops, rung.price)
            sequence = hand.sell(drops, self._asset, value, TF_SELL, **fields)
        else:
            drops = spread_size(rng, settings.bid_xrp)
            rung.price = away(sight.fair, -distance)
            value = worth(drops, rung.price)
            passive = TF_PASSIVE if settings.passive else 0
            sequence = hand.buy(drops, self._asset, value, passive, **fields)
        rung.now = (sequence, keys.offer(hand.address, sequence))
        rung.due = sight.ledger_index + rng.choice(settings.lives_ledgers)
