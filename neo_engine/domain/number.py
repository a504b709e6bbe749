"""The one number module: how XRP and issued amounts are held, rounded, parsed and printed.

XRP is an integer count of drops (1 XRP = 1,000,000 drops). An issued amount (RLUSD) is a `Decimal`
of at most 16 significant digits with an exponent between -96 and 80, as the ledger stores it
(xrpl.org, "Currency Formats"; rippled `STAmount`). A price is quote per base: RLUSD per XRP.

Every rounding names its direction: DOWN is towards zero, UP away from zero, NEAREST half to even.

>>> issued(Decimal("1") / Decimal("3"), DOWN)
Decimal('0.3333333333333333')
>>> plain(Decimal("1E+3"))
'1000'
"""

from __future__ import annotations

from decimal import (
    ROUND_DOWN,
    ROUND_HALF_EVEN,
    ROUND_UP,
    Context,
    Decimal,
    DivisionByZero,
    Inexact,
    InvalidOperation,
    Overflow,
)

from neo_engine.domain.errors import BadNumber

DROPS_PER_XRP = 1_000_000
MAX_DROPS = 100_000_000_000 * DROPS_PER_XRP  # all XRP that ever existed
ISSUED_DIGITS = 16  # mantissa of an issued amount (rippled STAmount: 10^15 <= mantissa < 10^16)
ISSUED_MIN_EXPONENT = -96
ISSUED_MAX_EXPONENT = 80
MAX_NUMBER_TEXT = 64  # a longer text is an attack or a defect, never an amount

DOWN = ROUND_DOWN
UP = ROUND_UP
NEAREST = ROUND_HALF_EVEN

ZERO = Decimal(0)
ONE = Decimal(1)
MILLION = Decimal(DROPS_PER_XRP)
BPS = Decimal(10_000)

_TRAPS = [InvalidOperation, DivisionByZero, Overflow]
_ISSUED = {mode: Context(prec=ISSUED_DIGITS, rounding=mode, traps=_TRAPS) for mode in (DOWN, UP, NEAREST)}
#: For sums of money that must not lose a digit: what would need rounding raises Inexact instead.
EXACT = Context(prec=300, rounding=NEAREST, traps=[*_TRAPS, Inexact])
#: Working precision of every calculation that is not itself an amount (prices, statistics).
WORK = Context(prec=28, rounding=NEAREST, traps=_TRAPS)


def issued(value: Decimal, rounding: str) -> Decimal:
    """Return `value` rounded to the 16 significant digits the ledger stores."""
    return _ISSUED[rounding].plus(value)


def issued_mul(a: Decimal, b: Decimal, rounding: str) -> Decimal:
    """Return a * b rounded once to 16 digits (exact product, then one rounding)."""
    return _ISSUED[rounding].multiply(a, b)


def issued_div(a: Decimal, b: Decimal, rounding: str) -> Decimal:
    """Return a / b rounded once to 16 digits. Raises ZeroDivisionError for b = 0."""
    return _ISSUED[rounding].divide(a, b)


def issued_add(a: Decimal, b: Decimal, rounding: str = NEAREST) -> Decimal:
    """Return a + b as a trust line would hold it: rounded to 16 digits at every change."""
    return _ISSUED[rounding].add(a, b)


def issued_sub(a: Decimal, b: Decimal, rounding: str = NEAREST) -> Decimal:
    """Return a - b as a trust line would hold it: rounded to 16 digits at every change."""
    return _ISSUED[rounding].subtract(a, b)


def drops_from_xrp(xrp: Decimal, rounding: str) -> int:
    """Return whole drops for an amount in XRP, rounded in the named direction."""
    return int((xrp * MILLION).to_integral_value(rounding=rounding))


def xrp_from_drops(drops: int) -> Decimal:
    """Return the exact amount in XRP of a count of drops."""
    return Decimal(drops).scaleb(-6)


def whole(value: Decimal, rounding: str) -> int:
    """Return `value` as an integer, rounded in the named direction (drops are whole)."""
    return int(value.to_integral_value(rounding=rounding))


def parse_number(text: object, what: str) -> Decimal:
    """Return the finite Decimal written in `text`; `what` names it in the error.

    Raises BadNumber for NaN, an infinity, a binary float, a text that is no number or is longer
    than any amount can be.
    """
    if isinstance(text, Decimal):
        value = text
    elif isinstance(text, int) and not isinstance(text, bool):
        value = Decimal(text)
    elif isinstance(text, str) and 0 < len(text) <= MAX_NUMBER_TEXT:
        try:
            value = Decimal(text)
        except InvalidOperation:
            raise BadNumber(f"{what}: {text!r} is not a number") from None
    else:
        raise BadNumber(f"{what}: {str(text)[:80]!r} is not a decimal number")
    if not value.is_finite():
        raise BadNumber(f"{what}: {text!s} is not finite")
    return value


def parse_drops(text: object, what: str) -> int:
    """Return the drops written in `text`. Raises BadNumber unless a whole number in [0, MAX_DROPS]."""
    if isinstance(text, str) and len(text) <= 18 and text.isascii() and text.isdigit():
        drops = int(text)
    else:
        value = parse_number(text, what)
        if value != value.to_integral_value():
            raise BadNumber(f"{what}: {text!s} is not a whole number of drops")
        drops = int(value)
    if not 0 <= drops <= MAX_DROPS:
        raise BadNumber(f"{what}: {text!s} drops lie outside 0..{MAX_DROPS}")
    return drops


def parse_issued(text: object, what: str) -> Decimal:
    """Return the issued amount in `text`. Raises BadNumber if the ledger could not hold it exactly."""
    value = parse_number(text, what)
    if value and (
        not ISSUED_MIN_EXPONENT <= value.adjusted() - (ISSUED_DIGITS - 1) <= ISSUED_MAX_EXPONENT
        or issued(value, DOWN) != value
    ):
        raise BadNumber(f"{what}: {text!s} has more than 16 digits or an exponent out of range")
    return value


def plain(value: Decimal) -> str:
    """Return `value` in plain decimal notation, without exponent, trailing zeros or minus zero."""
    if not value:
        return "0"
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text
