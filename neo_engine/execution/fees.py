"""What a transaction pays: the ledger's base fee, more when the open ledger asks for it, never without end.

Theory (docs "Transaction Cost"; ledger-rules, Submission). Each ledger message tells `fee_base`; each
submit reply tells `open_ledger_cost`, what gets a transaction into the open ledger rather than into the
queue. The latter holds for the ledger it was told in and is forgotten with the next one.

A quote that must pay more than the cap is not sent: it earns less than it costs to be wrong about it. A
cancel is never blocked. It pays up to `CANCEL_CAP_MULTIPLE` caps, and when even that does not reach the
open ledger it is sent at that cap all the same and may be queued. A replace refused here becomes a cancel
of the old quote.

1. No transaction pays more than its cap, and none less than `fee_base` unless the cap forbids more.
2. What is sent counts against the day at once, and comes back when it is proved never to be validated.
3. Beyond the day's limit nothing is quoted; cancels are still sent.

>>> fees = Fees(max_fee_drops=100)
>>> fees.ledger(fee_base_drops=10, close_time=0)
>>> fees.fee(cancel=False), fees.told(500), fees.fee(cancel=False), fees.fee(cancel=True)
(10, None, None, 500)
"""

from __future__ import annotations

from decimal import Decimal

from neo_engine.domain.errors import InvariantViolation
from neo_engine.domain.headroom import WHOLE
from neo_engine.domain.number import WORK

#: Times `risk.max_fee_drops` that a cancel may pay. A quote left standing in a market that runs away costs
#: more than any fee of that size: at the usual 5,000 drops this is 0.1 XRP.
CANCEL_CAP_MULTIPLE = 20
#: Drops a day that quoting may burn. Six quotes moved in every ledger of a day burn about 1.3 XRP.
DAILY_BURN_DROPS = 5_000_000
SECONDS_PER_DAY = 86_400
REPLACE_PERCENT = 125  # a rival for a queued transaction's place must pay more than this share of its fee


class Fees:
    """The fee of the next transaction and what the day has burned, both in drops."""

    def __init__(self, *, max_fee_drops: int, daily_burn_drops: int = DAILY_BURN_DROPS) -> None:
        self.quote_cap = max_fee_drops
        self.cancel_cap = max_fee_drops * CANCEL_CAP_MULTIPLE
        self.burned_today = 0
        self._daily = daily_burn_drops
        self._base = 0
        self._open_cost = 0
        self._day = -1

    def ledger(self, *, fee_base_drops: int, close_time: int) -> None:
        """Take a validated ledger's base fee and close time (seconds since 2000-01-01, whole UTC days)."""
        self._base = fee_base_drops
        self._open_cost = 0
        day = close_time // SECONDS_PER_DAY
        if day > self._day:
            self._day = day
            self.burned_today = 0

    @property
    def left(self) -> Decimal:
        """What is left of the day's limit, in percent of it."""
        unburned = max(self._daily - self.burned_today, 0)
        return WORK.divide(WHOLE * unburned, Decimal(self._daily))

    def told(self, open_ledger_cost: int) -> None:
        """Take what a submit reply says the open ledger costs now, in drops."""
        self._open_cost = open_ledger_cost

    def fee(self, *, cancel: bool) -> int | None:
        """Return what a transaction pays, None for a quote that may not be sent now.

        Raises InvariantViolation before the first ledger.
        """
        if not self._base:
            raise InvariantViolation("fee: no validated ledger has told its base fee yet")
        asked = max(self._base, self._open_cost)
        if cancel:
            return min(asked, self.cancel_cap)
        return asked if asked <= self.quote_cap and self.burned_today + asked <= self._daily else None

    def why_none(self) -> str:
        """Return why a quote gets no fee, in words for a person."""
        asked = max(self._base, self._open_cost)
        if asked > self.quote_cap:
            return f"the network asks {asked} drops a transaction (risk.max_fee_drops {self.quote_cap})"
        return f"{self.burned_today} drops of fees were sent today, the limit is {self._daily}"

    def to_withdraw(self, fee_drops: int) -> int | None:
        """Return the fee of a rival for the place of a transaction that pays `fee_drops`.

        The least whole drops above the queue's share of it; None above the cancels' cap.
        """
        asked = max(fee_drops * REPLACE_PERCENT // 100 + 1, self._base, self._open_cost)
        return asked if asked <= self.cancel_cap else None

    def sent(self, fee_drops: int) -> None:
        """Count a fee that may be burned."""
        self.burned_today += fee_drops

    def returned(self, fee_drops: int) -> None:
        """Take back a fee that can never be burned; one of an earlier day does not count below zero."""
        self.burned_today = max(self.burned_today - fee_drops, 0)
