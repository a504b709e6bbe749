"""The amounts and the rate the ledger really stores for an offer: TickSize and its arithmetic.

Before an offer crosses or rests, the ledger takes its rate TakerPays / TakerGets, rounds it UP to the
issuer's TickSize significant digits (so always in the maker's favour) and recomputes one amount from
it: TakerPays when the offer carries tfSell, else TakerGets (rippled OfferCreate.cpp, `applyGuts`;
Quality.cpp, `round`; ledger-rules, Tick size). We set tfSell on asks and leave it off on bids, so the XRP
amount of ours is always the exact one and the token amount the recomputed one.

1. A product is exact, then rounded to 16 digits NEAREST (half to even), as rippled's `Number` does.
2. A quotient is cut after its 17th or 18th digit, 5 units of that place are added, and only then it is
   rounded NEAREST to 16 digits (rippled STAmount.cpp, `divide`). That is not the nearest value, nor
   one rounded down: it leans upwards, and the last digit of every bid depends on it.
3. The rate in the directory is the quotient of the stored amounts, not the rounded rate itself.

An ask of 603.763811 XRP for 1284.248973 RLUSD, TickSize 7, as a ledger stored it:

>>> amounts = stored_amounts(Side.SELL, 603763811, Decimal("1284.248973"), 7)
>>> amounts[0], str(amounts[1]), rate_code(amounts[2])
(603763811, '1284.249096991392', '4F078E8F8AF8C000')
"""

from __future__ import annotations

from decimal import Context, Decimal, DivisionByZero, InvalidOperation, Overflow

from neo_engine.domain.assets import Side
from neo_engine.domain.errors import BadNumber
from neo_engine.domain.number import (
    DOWN,
    ISSUED_DIGITS,
    ISSUED_MAX_EXPONENT,
    ISSUED_MIN_EXPONENT,
    MAX_DROPS,
    MILLION,
    NEAREST,
    ONE,
    UP,
    issued,
)
from neo_engine.domain.steps import rate_of

TICK_SIZE_OFF = 16  # a TickSize of 16 digits is the full precision: nothing is rounded
TICK_SIZE_MIN = 3  # rippled AccountSet: 3..15, or 0/16 for off
#: Smaller amounts tried by `steady_amounts`: 1, 3, 6, 10, ... 2080 drops less (0.002 XRP at most).
STEADY_TRIES = 64

_FIVE = Decimal(5)
_TRAPS = [InvalidOperation, DivisionByZero, Overflow]
_STORED = Context(prec=ISSUED_DIGITS, rounding=NEAREST, traps=_TRAPS)
_CUT = Context(prec=18, rounding=DOWN, traps=_TRAPS)
_TICK = {
    digits: Context(prec=digits, rounding=UP, traps=_TRAPS) for digits in range(TICK_SIZE_MIN, TICK_SIZE_OFF)
}

Stored = tuple[int, Decimal, Decimal]
StoredAny = tuple[Decimal, Decimal, Decimal]
Amount = tuple[Decimal, bool]


def _quotient(numerator: Decimal, denominator: Decimal) -> Decimal:
    """Return the quotient as rippled has it before its last rounding: cut, plus 5 units (rule 2)."""
    unit = ONE.scaleb(numerator.adjusted() - denominator.adjusted() - 17)
    cut = _CUT.divide(numerator, denominator).quantize(unit, rounding=DOWN)
    return cut + _FIVE * unit


def ledger_divide(numerator: Decimal, denominator: Decimal) -> Decimal:
    """Return numerator / denominator to 16 digits exactly as the ledger rounds a quotient (rule 2).

    Both must be positive and of at most 18 digits. Raises BadNumber when either is not.
    """
    if not (numerator > 0 and denominator > 0):
        raise BadNumber(f"ledger_divide: {numerator} / {denominator}: both must be positive")
    return _in_range(_STORED.plus(_quotient(numerator, denominator)))


def _in_range(value: Decimal) -> Decimal:
    exponent = value.adjusted() - (ISSUED_DIGITS - 1)
    if not ISSUED_MIN_EXPONENT <= exponent <= ISSUED_MAX_EXPONENT:
        raise BadNumber(f"amount: {value} cannot be held by the ledger (exponent {exponent})")
    return value


def offer_rate(side: Side, base_drops: int, quote: Decimal) -> Decimal:
    """Return the rate of an offer: TakerPays / TakerGets, RLUSD per drop (SELL) or drops per RLUSD (BUY).

    What the last 8 bytes of its directory encode. Raises BadNumber unless both amounts are positive.
    """
    drops = Decimal(base_drops)
    return ledger_divide(quote, drops) if side is Side.SELL else ledger_divide(drops, quote)


def rate_code(rate: Decimal) -> str:
    """Return the last 16 hex digits of the directory that holds offers of `rate`.

    One byte of exponent + 100, seven of mantissa (rippled Quality). Raises BadNumber if out of range.
    """
    exponent = _in_range(rate).adjusted() - (ISSUED_DIGITS - 1)
    return f"{exponent + 100:02X}{int(rate.scaleb(-exponent)):014X}"


def tick_rounded(side: Side, base_drops: int, quote: Decimal, tick_size: int, *, sell: bool) -> Stored:
    """Return (base_drops, quote, rate) of anyone's offer on the pair after the ledger's tick rounding.

    side: SELL pays XRP (an ask), BUY pays the token (a bid). sell: it carries tfSell. tick_size:
    significant digits, 16 for off. No amount of a drop or more rounds to nothing, since three digits
    move it by 1 % at most. Raises BadNumber for amounts that are not positive or that no ledger can hold.
    """
    if not (0 < base_drops <= MAX_DROPS and quote > 0):
        raise BadNumber(
            f"offer: {base_drops} drops and {quote} must be positive and within the ledger's limits"
        )
    drops = Decimal(base_drops)
    if side is Side.SELL:
        drops, quote, rate = tick_rounded_any((drops, True), (quote, False), tick_size, sell=sell)
    else:
        quote, drops, rate = tick_rounded_any((quote, False), (drops, True), tick_size, sell=sell)
    return int(drops), quote, rate


def _priced(taker_gets: Decimal, rate: Decimal, *, whole_drops: bool) -> Decimal:
    """Return what an offer of `taker_gets` asks for at `rate` (STAmount.cpp, multiply)."""
    exact = _STORED.multiply(taker_gets, rate)
    return exact.to_integral_value(NEAREST) if whole_drops else _in_range(exact)


def _afforded(taker_pays: Decimal, rate: Decimal, *, whole_drops: bool) -> Decimal:
    """Return what an offer gives that asks for `taker_pays` at `rate` (STAmount.cpp, divide)."""
    if whole_drops:
        return _quotient(taker_pays, rate).to_integral_value(NEAREST)
    return _in_range(rate_of(taker_pays, rate))


def tick_rounded_any(pays: Amount, gets: Amount, tick_size: int, *, sell: bool) -> StoredAny:
    """Return (pays, gets, rate) of an offer between any two assets after the ledger's tick rounding.

    pays, gets: its TakerGets and TakerPays, each an amount and whether it is XRP in drops. rate:
    TakerPays / TakerGets. With tfSell TakerPays is recomputed, else TakerGets. Raises BadNumber for
    amounts that are not positive or that no ledger can hold.
    """
    (paid, pays_xrp), (got, gets_xrp) = pays, gets
    if not (paid > 0 and got > 0):
        raise BadNumber(f"offer: {paid} and {got}: both amounts must be positive")
    rate = rate_of(got, paid)
    tick = _TICK.get(tick_size)
    if tick is None:
        return paid, got, _in_range(rate)
    rate = tick.plus(rate)
    if sell:
        got = _priced(paid, rate, whole_drops=gets_xrp)
    else:
        paid = _afforded(got, rate, whole_drops=pays_xrp)
    return paid, got, _in_range(rate_of(got, paid))


def stored_amounts(side: Side, base_drops: int, quote: Decimal, tick_size: int) -> Stored:
    """Return (base_drops, quote, rate) the ledger stores for an offer of ours.

    Ours: asks carry tfSell, bids do not, so base_drops is never changed. Raises BadNumber as
    `tick_rounded` does.
    """
    return tick_rounded(side, base_drops, quote, tick_size, sell=side is Side.SELL)


def steady_amounts(side: Side, base_drops: int, price: Decimal, tick_size: int) -> Stored:
    """Return amounts for an offer of ours at `price` which the ledger stores unchanged when sent.

    price: RLUSD per XRP; the result is not worse for us: a bid pays at most it, an ask gets at least it
    (to the last of the amount's 16 digits).
    The rate is rounded up to the tick first and the token amount made from it. Where that amount was
    then rounded against us in its 16th digit, the quotient of the two lies a hair above the tick, and
    the ledger would move the offer by a whole tick. A few drops less change that digit, so smaller and
    smaller amounts are tried until one stands still. The steps grow because at some rates one drop
    moves the digit's fraction by next to nothing. When none helps (a few drops, or
    ticks of 13 digits and more) the last ones tried are returned, and the ledger will store them one
    tick further from the market.
    Raises BadNumber for amounts or a price that are not positive or that no ledger can hold.
    """
    if not (0 < base_drops <= MAX_DROPS and price > 0):
        raise BadNumber(f"offer: {base_drops} drops at {price}: both must be positive and within the limits")
    selling, tick = side is Side.SELL, _TICK.get(tick_size)
    if tick is None:
        quote = _in_range(issued(Decimal(base_drops) * price / MILLION, UP if selling else DOWN))
        return base_drops, quote, offer_rate(side, base_drops, quote)
    rate = tick.divide(price, MILLION) if selling else tick.divide(MILLION, price)

    def made_from(drops: Decimal) -> Stored:
        quote = _in_range(_STORED.multiply(drops, rate)) if selling else ledger_divide(drops, rate)
        return int(drops), quote, ledger_divide(quote, drops) if selling else ledger_divide(drops, quote)

    stored, fewer = made_from(Decimal(base_drops)), 0
    for step in range(1, STEADY_TRIES):
        fewer += step
        if tick.plus(stored[2]) == rate or fewer >= base_drops:
            break
        stored = made_from(Decimal(base_drops - fewer))
    return stored
