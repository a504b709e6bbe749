"""What requests cost at a server, and how much more it takes. Pure; docs/quota.md has the table.

Theory (rippled Fees.cpp, Tuning.h, DecayingSample.h, Logic.h). A server keeps a load for each address. A
request adds its cost; the load loses a 32nd part each second, so it halves in some 22 seconds. Divided by the
window of 32 it is compared with the thresholds: at 5,000 a reply carries the `load` warning, which costs
4,000 more, at 25,000 the client is dropped, which costs 6,000 more. A Clio server (Clio DOSGuard.cpp, its
defaults) counts requests instead, whatever they ask for: 20 in a second; the next is answered slowDown.

1. What the local server charges and what our own model of a server charges is this one table.
2. Without requests the load only falls; each request raises it.
3. What is left is between 0 and 100 %, and a further request never raises it.

Worked example: requests of 400 reach 5,000 x 32 = 160,000 with the 400th; the first leaves 99.75 %.

>>> RequestBudget(plain=True).sent(MEDIUM, 0).left(0)
Decimal('99.75')
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
from msgspec.structs import replace

from neo_engine.domain.headroom import WHOLE
from neo_engine.domain.number import WORK

WINDOW_SECONDS = 32
FORGET_WINDOWS = 4  # after so many windows without a charge a load is zero
WARNING_THRESHOLD = 5_000
DROP_THRESHOLD = 25_000
REFERENCE, MALFORMED, EXCEPTION, MEDIUM, HEAVY = 20, 100, 100, 400, 3_000
MALFORMED_REQUEST = 200
WARNING_COST = 4_000
DROP_COST = 6_000
CLIO_REQUESTS = 20  # of an address in CLIO_MILLISECONDS
CLIO_MILLISECONDS = 1_000
#: Percent of requests that history and checks leave to orders and cancels: below it they wait. Tier Normal
#: ends here, so what can wait does so before the quotes lose a level. A rippled takes 80 orders more, then.
KEPT_FOR_ORDERS = Decimal(20)

MEDIUM_COMMANDS = frozenset(
    {
        *("account_channels", "account_currencies", "account_lines", "account_nfts", "account_objects"),
        *("account_offers", "account_tx", "book_changes", "book_offers", "gateway_balances"),
        *("noripple_check", "simulate", "submit", "transaction_entry"),
    }
)
HEAVY_COMMANDS = frozenset({"path_find", "ripple_path_find", "sign", "sign_for"})
_SNAPSHOT = ("snapshot", "state_now")


def cost_of(request: Mapping[str, Any]) -> int:
    """Return what a well-formed request costs."""
    command = request.get("command")
    if not isinstance(command, str):
        return MALFORMED
    if command in MEDIUM_COMMANDS:
        return HEAVY if command == "submit" and "tx_blob" not in request else MEDIUM
    if command in HEAVY_COMMANDS:
        return HEAVY
    if command == "subscribe" and _wants_snapshot(request.get("books")):
        return MEDIUM
    if command == "ledger" and (request.get("full") or request.get("accounts")):
        return HEAVY
    return REFERENCE


def _wants_snapshot(books: object) -> bool:
    return isinstance(books, list) and any(
        isinstance(book, dict) and any(book.get(name) for name in _SNAPSHOT) for book in books
    )


def answered_cost(cost: int, *, refused: bool) -> int:
    """Return what a request costs in the end: one that is refused at least as much as a malformed one."""
    return max(cost, MALFORMED) if refused else cost


class RequestLoad(msgspec.Struct, frozen=True, kw_only=True):
    """What an address has cost a server of late. value: not divided by the window. at: whole seconds."""

    value: int = 0
    at: int = 0

    @property
    def normalised(self) -> int:
        """What the thresholds are compared with, rounded down."""
        return self.value // WINDOW_SECONDS

    def faded(self, now: int) -> RequestLoad:
        """Return what is left of it at a second; of an earlier one nothing has faded."""
        elapsed = now - self.at
        value = 0 if elapsed > FORGET_WINDOWS * WINDOW_SECONDS else self.value
        for _ in range(elapsed if value else 0):
            value -= (value + WINDOW_SECONDS - 1) // WINDOW_SECONDS
        return RequestLoad(value=value, at=max(self.at, now))

    def charged(self, cost: int, now: int) -> RequestLoad:
        """Return it after a charge."""
        faded = self.faded(now)
        return replace(faded, value=faded.value + cost)

    def at_least(self, threshold: int, now: int) -> RequestLoad:
        """Return it raised to a threshold if it is below."""
        faded = self.faded(now)
        return replace(faded, value=max(faded.value, threshold * WINDOW_SECONDS))


class RequestBudget(msgspec.Struct, frozen=True, kw_only=True):
    """Our own account of what a server still takes from us; times are whole milliseconds of a steady clock.

    recent: when the last requests were sent, the newest last, CLIO_REQUESTS at most. plain, clio: it has
    answered as a rippled, as a Clio; while neither is known, and where both are (a proxy), both limits
    count. unlimited: it charges us nothing, as it tells an administrator.
    """

    load: RequestLoad = RequestLoad()
    recent: tuple[int, ...] = ()
    plain: bool = False
    clio: bool = False
    unlimited: bool = False

    def sent(self, cost: int, now: int) -> RequestBudget:
        """Return it after a request was sent."""
        recent = (*(at for at in self.recent if now - at < CLIO_MILLISECONDS), now)
        load = self.load.charged(cost, _seconds(now))
        return replace(self, load=load, recent=recent[-CLIO_REQUESTS:])

    def refused(self, cost: int, now: int) -> RequestBudget:
        """Return it after a request of this cost was answered with an error."""
        more = answered_cost(cost, refused=True) - cost
        return replace(self, load=self.load.charged(more, _seconds(now)))

    def warned(self, now: int) -> RequestBudget:
        """Return it after a `load` warning: the server counted more than we did, and charges for it."""
        raised = self.slowed(now)
        return replace(raised, load=raised.load.charged(WARNING_COST, _seconds(now)))

    def slowed(self, now: int) -> RequestBudget:
        """Return it after slowDown: nothing is left, whatever we counted."""
        load = self.load.at_least(WARNING_THRESHOLD, _seconds(now))
        return replace(self, load=load, recent=(now,) * CLIO_REQUESTS)

    def dropped(self, now: int) -> RequestBudget:
        """Return it after the server closed the connection for load."""
        raised = self.slowed(now)
        load = raised.load.at_least(DROP_THRESHOLD, _seconds(now))
        return replace(raised, load=load.charged(DROP_COST, _seconds(now)))

    def answered(self, *, clio: bool) -> RequestBudget:
        """Return it after an answer that tells which kind of server this is."""
        return replace(self, clio=self.clio or clio, plain=self.plain or not clio)

    def left(self, now: int) -> Decimal:
        """Return how much the server still takes before it complains, in percent."""
        if self.unlimited:
            return WHOLE
        by_load = _share(self.load.faded(_seconds(now)).value, WARNING_THRESHOLD * WINDOW_SECONDS)
        by_count = _share(sum(now - at < CLIO_MILLISECONDS for at in self.recent), CLIO_REQUESTS)
        if self.plain == self.clio:
            return min(by_load, by_count)
        return by_load if self.plain else by_count


def _seconds(milliseconds: int) -> int:
    return milliseconds // 1_000


def _share(used: int, most: int) -> Decimal:
    """Return what is left of `most`, in percent."""
    return WORK.divide(WHOLE * max(most - used, 0), Decimal(most))
