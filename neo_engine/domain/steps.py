"""The arithmetic of one taker's steps, to the last digit: how rippled rounds when it takes offers and pools.

Theory. The server computes with 16-digit decimal mantissas in styles that each have their own quirks,
and a taker's amounts agree with the ledger's only if the quirks are kept:

* rates: `rate_of`, the server's `divide` (rounding.py tells its rule);
* offers: a product or quotient is truncated, or rounded up from its 17th digit on (STAmount.cpp,
  `mulRoundStrict`, `divRoundStrict`); a partial take of an offer rounds in its owner's favour;
* transfer fees: a ratio of two integers, cut after 18 digits, rounded to 16 and, upwards, given one unit
  more wherever anything was cut (IOUAmount.cpp, `mulRatio`);
* pools: `Number` rounds sums and products correctly in any direction, but a quotient is truncated
  to 17 or 18 digits first, so a remainder below that is not seen (Number.cpp, 16-digit range).

Numbers. Everything here is a positive Decimal of at most 16 significant digits unless a function
says otherwise; drops are Decimals without a fraction. A rate is what a taker pays for one unit received.

1. No function returns more than 16 digits, or for drops a fraction.
2. Directions are in the names: `up` never below, `down` never above the exact result, `near` is
   half to even, except where the server's own truncation shows through, as told at the function.

>>> rate_of(Decimal(2), Decimal(3))
Decimal('0.6666666666666667')
>>> scaled_up_drops(Decimal("1.5"), Decimal("471000.3"))
Decimal('706501')
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import (
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    ROUND_UP,
    Context,
    Decimal,
    DivisionByZero,
    InvalidOperation,
    Overflow,
)

from neo_engine.domain.number import ISSUED_DIGITS, ONE, ZERO

_TRAPS = [InvalidOperation, DivisionByZero, Overflow]
_EXACT_DIGITS = 40  # a product of two 16-digit numbers has at most 32
_GUARDED = ISSUED_DIGITS + 1


def _context(digits: int, rounding: str) -> Context:
    return Context(prec=digits, rounding=rounding, traps=_TRAPS)


_exact_mul = _context(_EXACT_DIGITS, ROUND_DOWN).multiply
_exact_add = _context(_EXACT_DIGITS, ROUND_DOWN).add
_near, _ceiling, _floor = (
    _context(ISSUED_DIGITS, mode) for mode in (ROUND_HALF_EVEN, ROUND_CEILING, ROUND_FLOOR)
)
_up16, _down16 = (_context(ISSUED_DIGITS, mode).plus for mode in (ROUND_UP, ROUND_DOWN))
_down17 = _context(_GUARDED, ROUND_DOWN).plus
_up18 = _context(_GUARDED + 1, ROUND_UP).plus
_div18 = _context(_GUARDED + 1, ROUND_DOWN).divide
_near_plus, _ceiling_plus = _near.plus, _ceiling.plus
_RATIO_DIGITS = 18  # digits that `mulRatio` keeps: what a 64-bit mantissa surely holds
_LOWEST_FIVE = -200  # below the last place of any quotient of two amounts the ledger can hold
_FIVES = [Decimal(5).scaleb(exponent) for exponent in range(_LOWEST_FIVE, 201)]

#: Sums, products and differences of the server's `Number`, correctly rounded to 16 digits.
add_near, add_down = _near.add, _floor.add
sub_near, sub_up, sub_down = _near.subtract, _ceiling.subtract, _floor.subtract
mul_near, mul_up, mul_down = _near.multiply, _ceiling.multiply, _floor.multiply


def _truncated_quotient(a: Decimal, b: Decimal) -> tuple[Decimal, int]:
    """Return a / b truncated as the server does it, and the exponent of its last place.

    The server divides a mantissa times 10^17 by a mantissa, which leaves 18 digits when the first
    mantissa is not below the second, else 17.
    """
    quotient = _div18(a, b)
    last_place = a.adjusted() - b.adjusted() - _GUARDED
    if quotient.adjusted() != last_place + _GUARDED:
        quotient = _down17(quotient)
    return quotient, last_place


def div_near(a: Decimal, b: Decimal) -> Decimal:
    """Return `Number` a / b rounded half to even, after the server's truncation. Any signs."""
    return _near_plus(_truncated_quotient(a, b)[0])


def div_up(a: Decimal, b: Decimal) -> Decimal:
    """Return `Number` a / b rounded towards plus infinity, after the server's truncation. Any signs."""
    return _ceiling_plus(_truncated_quotient(a, b)[0])


def square_root(value: Decimal) -> Decimal:
    """Return the square root as the server's `root2` finds it: Newton's rule in 16 digits.

    It stops when a step repeats or bounces between two neighbours, so the last digit is its own.
    """
    if value in (ZERO, ONE):
        return value
    shift = value.adjusted() + 1
    shift += shift % 2
    scaled = value.scaleb(-shift)
    # The starting point is the server's own fit of the root between 0 and 1.
    root = mul_near(add_near(mul_near(Decimal(-60), scaled), Decimal(144)), scaled)
    root = div_near(add_near(root, Decimal(18)), Decimal(105))
    last = before = ZERO
    while True:
        before, last = last, root
        root = div_near(add_near(root, div_near(scaled, root)), Decimal(2))
        if root in (last, before):
            return root.scaleb(shift // 2)


def rate_of(pays: Decimal, gets: Decimal) -> Decimal:
    """Return the rate of paying `pays` for `gets` as the server encodes it (STAmount `getRate`).

    The same value as `rounding.ledger_divide` (a test holds them together); this one is made for the
    inner loop and checks no ranges.
    """
    quotient, last_place = _truncated_quotient(pays, gets)
    return _near_plus(_exact_add(quotient, _FIVES[last_place - _LOWEST_FIVE]))


def next_better(rate: Decimal) -> Decimal:
    """Return the next lower rate the ledger can hold: what tfPassive makes of a limit."""
    return rate.next_minus(_near)


def scaled_up_issued(amount: Decimal, rate: Decimal) -> Decimal:
    """Return amount * rate in issued units rounded up (`mulRoundStrict`, `mulRound`).

    Rounded up at the 18th digit, cut at the 17th, rounded up at the 16th: when the product's 17th
    digit is 0 the result is cut, not rounded up.
    """
    product = _exact_mul(amount, rate)
    if product.adjusted() != amount.adjusted() + rate.adjusted():
        product = _down17(_up18(product))
    return _up16(product)


def scaled_up_drops(amount: Decimal, rate: Decimal) -> Decimal:
    """Return amount * rate in whole drops, rounded up (`mulRoundStrict`)."""
    return _exact_mul(amount, rate).to_integral_value(ROUND_CEILING)


def scaled_down_issued(amount: Decimal, rate: Decimal) -> Decimal:
    """Return amount * rate in issued units, rounded down (`mulRoundStrict`)."""
    return _down16(_exact_mul(amount, rate))


def scaled_down_drops(amount: Decimal, rate: Decimal) -> Decimal:
    """Return amount * rate in whole drops, rounded down (`mulRoundStrict`)."""
    return _exact_mul(amount, rate).to_integral_value(ROUND_FLOOR)


def divided_down_issued(amount: Decimal, rate: Decimal) -> Decimal:
    """Return amount / rate in issued units, rounded down (`divRoundStrict`)."""
    return _down16(_div18(amount, rate))


def divided_down_drops(amount: Decimal, rate: Decimal) -> Decimal:
    """Return amount / rate in whole drops, rounded down (`divRoundStrict`)."""
    return _div18(amount, rate).to_integral_value(ROUND_FLOOR)


def _mantissa(value: Decimal) -> tuple[int, int]:
    exponent = value.adjusted() - (ISSUED_DIGITS - 1)
    return int(value.scaleb(-exponent)), exponent


def scaled_up_drops_loosely(amount: Decimal, rate: Decimal) -> Decimal:
    """Return amount * rate in drops by the server's older rule (`mulRound`), for an offer's remainder.

    All but the first digit after the point are cut; what is left is rounded up. A product (held in 17
    or 18 digits) with only one or two digits after the point always gains a drop, even when they are 0.
    """
    a, a_exponent = _mantissa(amount)
    b, b_exponent = _mantissa(rate)
    value = -(-(a * b) // 10**14)
    exponent = a_exponent + b_exponent + 14
    if exponent >= 0:
        return Decimal(value).scaleb(exponent)
    cut = -exponent - 1
    value //= 10**cut
    value += 9 if cut >= 2 else 10
    return Decimal(value // 10)


def _log10_up(value: int) -> int:
    """Return the smallest power of ten that is not below `value`, as its exponent; 0 for 0."""
    return len(str(value - 1)) if value > 1 else 0


def _ratio(amount: Decimal, numerator: int, denominator: int) -> tuple[Decimal, bool]:
    """Return issued `amount` * numerator / denominator rounded to nearest, and whether digits were cut."""
    mantissa, exponent = _mantissa(amount)
    low, rest = divmod(mantissa * numerator, denominator)
    if rest:
        room = _RATIO_DIGITS - _log10_up(low)
        exponent -= room
        more, rest = divmod(rest * 10**room, denominator)
        low = low * 10**room + more
    return _near_plus(Decimal(low).scaleb(exponent)), bool(rest)


def ratio_up(amount: Decimal, numerator: int, denominator: int) -> Decimal:
    """Return issued `amount` * numerator / denominator rounded up, as transfer fees are (`mulRatio`).

    The server rounds to nearest first and then adds a unit of the 16th digit if anything was cut below
    the 18th; so the result may lie a unit above the exact one rounded up, or, where the cut digits are
    only the 17th and 18th, below it.
    """
    if numerator == denominator or not amount:
        return amount
    result, cut = _ratio(amount, numerator, denominator)
    return result.next_plus(_near) if cut else result


def ratio_down(amount: Decimal, numerator: int, denominator: int) -> Decimal:
    """Return issued `amount` * numerator / denominator "rounded down": to nearest (`mulRatio`)."""
    if numerator == denominator or not amount:
        return amount
    return _ratio(amount, numerator, denominator)[0]


def divided_up_issued(amount: Decimal, rate: Decimal) -> Decimal:
    """Return amount / rate in issued units rounded up by the server's older rule (`divRound`).

    Rounded up at the 17th or 18th digit, cut at the 17th, rounded up at the 16th.
    """
    a, a_exponent = _mantissa(amount)
    b, b_exponent = _mantissa(rate)
    value = Decimal(-(-(a * 10**_GUARDED) // b)).scaleb(a_exponent - b_exponent - _GUARDED)
    return _up16(_down17(value))


def whole_down(value: Decimal) -> Decimal:
    """Return `value` without its fraction, rounded down: a pool's answer in drops."""
    return value.to_integral_value(ROUND_FLOOR)


def whole_up(value: Decimal) -> Decimal:
    """Return `value` rounded up to whole drops: what a pool asks for."""
    return value.to_integral_value(ROUND_CEILING)


def whole_near(value: Decimal) -> Decimal:
    """Return `value` rounded half to even to whole drops."""
    return value.to_integral_value(ROUND_HALF_EVEN)


def unchanged(value: Decimal) -> Decimal:
    """Return an issued amount as it is: it is already as fine as the ledger holds it."""
    return value


Trimming = Callable[[Decimal], Decimal]
