"""The taker's two hands: how amounts are counted while offers of one rate are taken.

Theory (rippled BookStep.cpp, Quality.cpp, PaymentSandbox.cpp). A round of a run is computed backwards
(`Getting`: so much is wanted, what does it cost?) and, where that is more than may be paid,
forwards (`Paying`: so much is there, what does it get?). Both are offered the same things and take them
whole, or the last one in part; parts come from an offer at its fixed rate or from the pool along its curve.

Amounts are Decimals, drops without a fraction; `pays` and `gets` are the taker's.

1. A hand never takes more than it was offered, nor more than it wants or has.
2. A part costs no less, and gets no more, than its share of the whole: rounding favours the owner.
"""

from __future__ import annotations

from decimal import Decimal

from neo_engine.domain.amm import PoolSide
from neo_engine.domain.number import ZERO
from neo_engine.domain.steps import (
    add_near,
    divided_down_drops,
    divided_down_issued,
    scaled_up_drops,
    scaled_up_issued,
    sub_near,
)


class AtRate:
    """Partial takes of an offer at its fixed rate (Quality.cpp, ceil_out_strict and ceil_in_strict)."""

    __slots__ = ("_divide", "_scale", "rate")

    def __init__(self, rate: Decimal, xrp_in: bool) -> None:
        self.rate = rate
        self._scale = scaled_up_drops if xrp_in else scaled_up_issued
        self._divide = divided_down_issued if xrp_in else divided_down_drops

    def cost(self, gets: Decimal, at_most: Decimal) -> Decimal:
        """Return what part `gets` costs, rounded up, never more than the whole."""
        return min(self._scale(gets, self.rate), at_most)

    def proceeds(self, pays: Decimal, at_most: Decimal) -> Decimal:
        """Return what part `pays` gets, rounded down, never more than the whole."""
        return min(self._divide(pays, self.rate), at_most)


class FromPool:
    """Partial takes of a pool's offer: along its curve, so the price improves on the whole offer's."""

    __slots__ = ("_pool",)

    def __init__(self, pool: PoolSide) -> None:
        self._pool = pool

    def cost(self, gets: Decimal, at_most: Decimal) -> Decimal:  # noqa: ARG002
        """Return what `gets` costs, rounded up."""
        return self._pool.getting(gets)

    def proceeds(self, pays: Decimal, at_most: Decimal) -> Decimal:  # noqa: ARG002
        """Return what `pays` gets, rounded down."""
        return self._pool.paying(pays)


Source = AtRate | FromPool


def total(amounts: list[Decimal]) -> Decimal:
    """Return the sum as the server forms it: smallest first, rounded to 16 digits at each step."""
    count = len(amounts)
    if count == 1:
        return amounts[0]
    if count == 2:
        return add_near(amounts[0], amounts[1])
    result = ZERO
    for amount in sorted(amounts):
        result = add_near(result, amount)
    return result


class Getting:
    """The backward direction: `want` is fixed, what it costs is found (BookStep.cpp, revImp)."""

    __slots__ = ("_got", "_left", "_paid", "_want", "taken_gets", "taken_pays", "took")

    def __init__(self, want: Decimal) -> None:
        self._want = self._left = want
        self._paid: list[Decimal] = []
        self._got: list[Decimal] = []
        self.took = False
        self.taken_pays = self.taken_gets = ZERO

    def take(self, source: Source, pays: Decimal, gets: Decimal) -> bool:
        """Take from what is on offer; True if it was taken whole. `took` tells whether any was."""
        self.took = self._left > 0
        if not self.took:
            return False
        whole = gets <= self._left
        if not whole:
            gets = self._left
            pays = source.cost(gets, pays)
        self._paid.append(pays)
        self._got.append(gets)
        self._left = sub_near(self._want, total(self._got)) if whole else ZERO
        self.taken_pays, self.taken_gets = pays, gets
        return whole

    def result(self) -> tuple[Decimal, Decimal]:
        """Return (paid, got)."""
        if not self._got:
            return ZERO, ZERO
        return total(self._paid), self._want if not self._left else total(self._got)


class Paying:
    """The forward direction: `have` is fixed, what it gets is found (BookStep.cpp, fwdImp).

    backward_*: what the backward direction found; if paying no more would get more, the last take
    is made to agree with it, provided that costs the same.
    """

    __slots__ = (
        "_back_got",
        "_back_paid",
        "_got",
        "_have",
        "_left",
        "_paid",
        "taken_gets",
        "taken_pays",
        "took",
    )

    def __init__(self, have: Decimal, backward_paid: Decimal, backward_got: Decimal) -> None:
        self._have = self._left = have
        self._back_paid, self._back_got = backward_paid, backward_got
        self._paid: list[Decimal] = []
        self._got: list[Decimal] = []
        self.took = False
        self.taken_pays = self.taken_gets = ZERO

    def take(self, source: Source, pays: Decimal, gets: Decimal) -> bool:
        """Take from what is on offer; True if it was taken whole. `took` tells whether any was."""
        self.took = self._left > 0
        if not self.took:
            return False
        whole = pays <= self._left
        taken_pays, taken_gets = pays, gets
        if not whole:
            taken_pays = self._left
            taken_gets = source.proceeds(taken_pays, gets)
        paid = total([*self._paid, taken_pays]) if whole else self._have
        got = total([*self._got, taken_gets])
        if got > self._back_got and paid <= self._back_paid:
            wanted = sub_near(self._back_got, total(self._got)) if self._got else self._back_got
            cost = source.cost(wanted, pays) if wanted < gets else pays
            if cost == self._left:
                self.taken_pays, self.taken_gets = cost, min(wanted, gets)
                self._paid, self._got = [self._have], [self._back_got]
                self._left = ZERO
                return whole
        self._paid.append(taken_pays)
        self._got.append(taken_gets)
        self._left = sub_near(self._have, paid)
        self.taken_pays, self.taken_gets = taken_pays, taken_gets
        return whole

    def result(self) -> tuple[Decimal, Decimal]:
        """Return (paid, got)."""
        if not self._got:
            return ZERO, ZERO
        return self._have if self._left == 0 else total(self._paid), total(self._got)


Hand = Getting | Paying


class Purse:
    """What one account can still give in a run, as the server's payment sandbox counts it.

    Two counts are kept, each rounded to 16 digits its own way: the balance after each debit, and what
    the account had at first less the sum of its debits. The smaller one can be spent, so that rounding
    never lets it spend twice (PaymentSandbox.cpp, balanceHook). In drops the two are the same.
    """

    __slots__ = ("_balance", "_spent", "_start", "spendable")

    def __init__(self, start: Decimal) -> None:
        self._start = self._balance = self.spendable = start
        self._spent = ZERO

    def debited(self, amount: Decimal) -> Purse:
        """Return the purse after giving `amount`."""
        purse = Purse(self._start)
        purse._spent = spent = add_near(self._spent, amount)
        purse._balance = balance = sub_near(self._balance, amount)
        counted = sub_near(self._start, spent)
        purse.spendable = counted if counted < balance else balance
        return purse
