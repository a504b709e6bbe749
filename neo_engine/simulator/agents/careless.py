"""Two whose orders come to nothing: one careless about its funds, one that has barely its reserve.

What the careless one does: bids without any token (tecUNFUNDED_OFFER), asks for several times what it owns
and then pays its XRP away (an offer that lists more than its owner has, then one without funds), offers of a
few drops that nobody can take exactly. The poor one asks the ledger to keep an offer for which it has no
reserve (tecINSUF_RESERVE_OFFER).
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from neo_engine.domain.assets import Asset
from neo_engine.simulator.agents.hands import DROPS, Hand, Sight, Waiting, away, worth
from neo_engine.simulator.agents.settings import RefusedSettings

PERMILLE = 1_000
FAR_BPS = 60  # where an order that must not trade is placed
NEAR_BPS = 3
WAIT_LEDGERS = 60
SHORT_TIMES = 4  # how often it offers what it has
KEPT_DROPS = 5 * DROPS  # what the careless one keeps when it pays away: its reserve and fees
DUST_DROPS = 20
WAITING_MAX = 6
_DUST_PLACES = Decimal("1E-12")


class Careless:
    """Offers more than it has, or next to nothing. `bank`: where its XRP goes."""

    def __init__(self, hand: Hand, settings: RefusedSettings, quote: Asset, bank: str) -> None:
        self._hand = hand
        self._settings = settings
        self._quote = quote
        self._bank = bank
        self._waiting = Waiting(hand)
        self._pays_next = False

    def act(self, sight: Sight) -> None:
        """Send what comes to its mind."""
        hand, settings = self._hand, self._settings
        self._waiting.tidy(sight)
        if self._pays_next:
            self._pays_next = False
            spare = hand.drops(sight.state) - KEPT_DROPS
            if spare > 0:
                hand.send("Payment", Destination=self._bank, Amount=str(spare))
        chance = hand.rng.randrange
        if chance(PERMILLE) < settings.unfunded_permille:
            drops = chance(100, 1_000_000) * DROPS
            self._keep(hand.buy(drops, self._quote, worth(drops, away(sight.fair, -FAR_BPS))), sight)
        if len(self._waiting) >= WAITING_MAX:
            return
        if chance(PERMILLE) < settings.short_permille:
            drops = max(SHORT_TIMES * hand.drops(sight.state), DROPS)
            self._keep(hand.sell(drops, self._quote, worth(drops, away(sight.fair, NEAR_BPS))), sight)
            self._pays_next = True
        if chance(PERMILLE) < settings.dust_permille:
            drops = chance(1, DUST_DROPS)
            value = away(sight.fair, NEAR_BPS) * drops / DROPS
            value = value.quantize(_DUST_PLACES, rounding=ROUND_HALF_EVEN)
            self._keep(hand.sell(drops, self._quote, value), sight)

    def _keep(self, sequence: int, sight: Sight) -> None:
        self._waiting.add(sequence, sight.ledger_index + WAIT_LEDGERS)


class Poor:
    """Offers some of the little it has, though the ledger lets it own nothing more."""

    def __init__(self, hand: Hand, settings: RefusedSettings, quote: Asset) -> None:
        self._hand = hand
        self._settings = settings
        self._quote = quote

    def act(self, sight: Sight) -> None:
        """Send an offer, now and then."""
        if self._hand.rng.randrange(PERMILLE) < self._settings.reserve_permille:
            drops = self._hand.rng.randint(1_000, 50_000)
            self._hand.sell(drops, self._quote, worth(drops, away(sight.fair, FAR_BPS)))
