"""What a client's requests cost him, and when the server warns and drops him.

Theory (rippled Tuning.h, Fees.cpp, DecayingSample.h, Logic.h). Each address has a balance. A request adds
its cost; the balance halves in some 22 seconds (it loses a 32nd part each second). Divided by the window
of 32 it is compared with the thresholds: at 5,000 the reply carries `"warning": "load"`, once a second at
most, and the warning itself costs 4,000; at 25,000 the client is dropped, which costs another 6,000, so
that coming back at once does not help. All clients of one address share one balance.

Worked example: replies of 400 reach 5,000 * 32 = 160,000 with the 400th. With that warning's 4,000 the
drop at 800,000 comes after 1,990 replies.

>>> load = Load()
>>> seen = [number for number in range(1, 401) if load.charge("a", 400, 0) or load.warn("a", 0)]
>>> seen
[400]
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WINDOW_SECONDS = 32
FORGET_WINDOWS = 4  # after so many windows without a charge a balance is zero
WARNING_THRESHOLD = 5_000
DROP_THRESHOLD = 25_000
REFERENCE, MALFORMED, EXCEPTION, MEDIUM, HEAVY = 20, 100, 100, 400, 3_000
MALFORMED_REQUEST = 200
WARNING_COST = 4_000
DROP_COST = 6_000
ADDRESSES_MAX = 4_096  # balances kept; the one that was touched longest ago goes first

_MEDIUM_COMMANDS = frozenset(
    {
        *("account_channels", "account_currencies", "account_lines", "account_nfts", "account_objects"),
        *("account_offers", "account_tx", "book_changes", "book_offers", "gateway_balances"),
        *("noripple_check", "simulate", "submit", "transaction_entry"),
    }
)
_HEAVY_COMMANDS = frozenset({"path_find", "ripple_path_find", "sign", "sign_for"})
_SNAPSHOT = ("snapshot", "state_now")


def cost_of(request: Mapping[str, Any]) -> int:
    """Return what a well-formed request costs."""
    command = request.get("command")
    if not isinstance(command, str):
        return MALFORMED
    if command in _MEDIUM_COMMANDS:
        return HEAVY if command == "submit" and "tx_blob" not in request else MEDIUM
    if command in _HEAVY_COMMANDS:
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


class _Balance:
    __slots__ = ("at", "value", "warned_at")

    def __init__(self, at: int) -> None:
        self.value = 0
        self.at = at
        self.warned_at: int | None = None

    def add(self, cost: int, now: int) -> int:
        """Add a cost and return the normalised balance (rounded down)."""
        elapsed = now - self.at
        if elapsed > FORGET_WINDOWS * WINDOW_SECONDS:
            self.value = 0
        else:
            for _ in range(elapsed if self.value else 0):
                self.value -= (self.value + WINDOW_SECONDS - 1) // WINDOW_SECONDS
        self.at = max(self.at, now)
        self.value += cost
        return self.value // WINDOW_SECONDS


class Load:
    """The balances of all addresses. Times are whole seconds of any steady clock."""

    def __init__(self) -> None:
        self._balances: dict[str, _Balance] = {}

    def _of(self, address: str, now: int) -> _Balance:
        balance = self._balances.pop(address, None) or _Balance(now)
        self._balances[address] = balance
        if len(self._balances) > ADDRESSES_MAX:
            del self._balances[next(iter(self._balances))]
        return balance

    def charge(self, address: str, cost: int, now: int) -> None:
        """Add a request's cost to an address."""
        self._of(address, now).add(cost, now)

    def warn(self, address: str, now: int) -> bool:
        """True if the reply has to carry the warning, which is charged for."""
        balance = self._of(address, now)
        if balance.add(0, now) < WARNING_THRESHOLD or balance.warned_at == now:
            return False
        balance.warned_at = now
        balance.add(WARNING_COST, now)
        return True

    def drop(self, address: str, now: int) -> bool:
        """True if the address has used too much and is to be dropped, which is charged for."""
        balance = self._of(address, now)
        if balance.add(0, now) < DROP_THRESHOLD:
            return False
        balance.add(DROP_COST, now)
        return True
