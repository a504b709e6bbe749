"""The taker's two hands: how amounts are counted while offers of one rate are taken.

Theory (rippled BookStep.cpp, Quality.cpp, PaymentSandbox.cpp). A round of a run is computed backwards
(`Getting`: so much is wanted, what does it cost?) and, where that is more than may be paid,
forwards (`Paying`: so much is there, what does it get?). Both are offered the same things and take them
whole, or the last one in part; parts come from an offer at its fixed rate or from the pool along its curve.

Amounts are Decimals, drops without a fraction; `pays` and `gets` are the taker's. What he pays may be
more than what the owner receives: the issuer of a token keeps its transfer fee (`fee`, billionths,
`PARITY` for none).

1. A hand never takes more than it was offered, nor more than it wants or has.
2. A part costs no less, and gets no more, than its share of the whole: rounding favours the owner.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from neo_engine.domain.amm import PoolSide
from neo_engine.domain.liquidity import PARITY
from neo_engine.domain.number import ZERO
from neo_engine.domain.steps import add_near, ratio_down, ratio_up, sub_near

Scaling = Callable[[Decimal, Decimal], Decimal]


class AtRate:
    """Partial takes of an offer at its fixed rate (Quality.cpp, ceil_out_strict and ceil_in_strict).

    scale: amount * rate in units of what is paid, rounded up. divide: amount / rate in units of what is
    got, rounded down.
    """

    __slots__ = ("_divide", "_scale", "fee", "rate")

    def __init__(self, rate: Decimal, scale: Scaling, divide: Scaling, fee: int) -> None:
        self.rate = rate
        self.fee = fee
        self._scale = scale
        self._divide = divide

    def cost(self, gets: Decimal, whole: Decimal) -> tuple[Decimal, Decimal]:
        """Return what part `gets` costs the taker, rounded up, and what of it the owner receives.

        whole: what the owner asks for everything on offer; he never receives more.
        """
        owner = min(self._scale(gets, self.rate), whole)
        return (owner if self.fee == PARITY else ratio_up(owner, self.fee, PARITY)), owner

    def proceeds(self, pays: Decimal, whole: Decimal, at_most: Decimal) -> tuple[Decimal, Decimal]:
        """Return what part `pays` gets, rounded down, never more than `at_most`, and the owner's receipt."""
        if self.fee != PARITY:
            pays = ratio_down(pays, PARITY, self.fee)
            if pays >= whole:
                return at_most, whole
        return min(self._divide(pays, self.rate), at_most), pays


class FromPool:
    """Partial takes of a pool's offer: along its curve, so the price improves on the whole offer's."""

    __slots__ = ("_pool", "fee")

    def __init__(self, pool: PoolSide, fee: int) -> None:
        self._pool = pool
        self.fee = fee

    def cost(self, gets: Decimal, whole: Decimal) -> tuple[Decimal, Decimal]:  # noqa: ARG002
        """Return what `gets` costs the taker, rounded up, and what of it the pool receives."""
        owner = self._pool.getting(gets)
        return ratio_up(owner, self.fee, PARITY), owner

    def proceeds(
        self,
        pays: Decimal,
        whole: Decimal,  # noqa: ARG002
        at_most: Decimal,  # noqa: ARG002
    ) -> tuple[Decimal, Decimal]:
        """Return what `pays` gets, rounded down, and what the pool receives."""
        pays = ratio_down(pays, PARITY, self.fee)
        return self._pool.paying(pays), pays


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

    __slots__ = ("_got", "_left", "_paid", "_want", "owner_pays", "taken_gets", "took")

    def __init__(self, want: Decimal) -> None:
        self._want = self._left = want
        self._paid: list[Decimal] = []
        self._got: list[Decimal] = []
        self.took = False
        self.owner_pays = self.taken_gets = ZERO

    def take(self, source: Source, pays: Decimal, gets: Decimal, owner_pays: Decimal) -> bool:
        """Take from what is on offer; True if it was taken whole.

        pays: what the taker pays for all of it, owner_pays: what of it the owner receives. `took` tells
        whether any was taken; owner_pays and taken_gets how much.
        """
        self.took = self._left > 0
        if not self.took:
            return False
        whole = gets <= self._left
        if not whole:
            gets = self._left
            pays, owner_pays = source.cost(gets, owner_pays)
        self._paid.append(pays)
        self._got.append(gets)
        self._left = sub_near(self._want, total(self._got)) if whole else ZERO
        self.owner_pays, self.taken_gets = owner_pays, gets
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
        "owner_pays",
        "taken_gets",
        "took",
    )

    def __init__(self, have: Decimal, backward_paid: Decimal, backward_got: Decimal) -> None:
        self._have = self._left = have
        self._back_paid, self._back_got = backward_paid, backward_got
        self._paid: list[Decimal] = []
        self._got: list[Decimal] = []
        self.took = False
        self.owner_pays = self.taken_gets = ZERO

    def take(self, source: Source, pays: Decimal, gets: Decimal, owner_pays: Decimal) -> bool:
        """Take from what is on offer; True if it was taken whole. As `Getting.take`."""
        self.took = self._left > 0
        if not self.took:
            return False
        whole = pays <= self._left
        if whole:
            taken_gets, receipt = gets, owner_pays
            taken_pays = pays
        else:
            taken_pays = self._left
            taken_gets, receipt = source.proceeds(taken_pays, owner_pays, gets)
        paid = total([*self._paid, taken_pays]) if whole else self._have
        got = total([*self._got, taken_gets])
        if got > self._back_got and paid <= self._back_paid:
            wanted = sub_near(self._back_got, total(self._got)) if self._got else self._back_got
            cost, agreed = source.cost(wanted, owner_pays) if wanted < gets else (pays, owner_pays)
            if cost == self._left:
                self.owner_pays, self.taken_gets = agreed, min(wanted, gets)
                self._paid, self._got = [self._have], [self._back_got]
                self._left = ZERO
                return whole
        self._paid.append(taken_pays)
        self._got.append(taken_gets)
        self._left = sub_near(self._have, paid)
        self.owner_pays, self.taken_gets = receipt, taken_gets
        return whole

    def result(self) -> tuple[Decimal, Decimal]:
        """Return (paid, got)."""
        if not self._got:
            return ZERO, ZERO
        return self._have if self._left == 0 else total(self._paid), total(self._got)


Hand = Getting | Paying


class Purse:
    """What one account can still give of one asset in a run, as the server's payment sandbox counts it.

    Two counts are kept, each rounded to 16 digits its own way: the balance after each change, and what
    the account had at first less the sum of its debits, the settled rounds' and this round's. The smaller
    one can be spent: what an account receives in a run it cannot spend in it, and rounding never lets it
    spend twice (PaymentSandbox.cpp, balanceHook). In drops the first is never the smaller one.
    """

    __slots__ = ("_all", "_balance", "_fresh", "_spent", "_start", "spendable")

    def __init__(self, start: Decimal) -> None:
        self._start = self._balance = self.spendable = start
        self._spent = self._fresh = self._all = ZERO

    def debited(self, amount: Decimal) -> Purse:
        """Return the purse after giving `amount`."""
        purse = Purse(self._start)
        purse._spent = spent = self._spent
        purse._fresh = fresh = add_near(self._fresh, amount)
        purse._all = spent = add_near(fresh, spent)
        purse._balance = balance = sub_near(self._balance, amount)
        counted = sub_near(self._start, spent)
        purse.spendable = counted if counted < balance else balance
        return purse

    def credited(self, amount: Decimal) -> Purse:
        """Return the purse after receiving `amount`."""
        purse = Purse(self._start)
        purse._spent, purse._fresh, purse._all = self._spent, self._fresh, self._all
        purse._balance = balance = add_near(self._balance, amount)
        counted = sub_near(self._start, self._all)
        purse.spendable = counted if counted < balance else balance
        return purse

    def settle(self) -> None:
        """The round this purse belongs to is committed: its debits join those of the rounds before."""
        self._spent, self._fresh = self._all, ZERO
