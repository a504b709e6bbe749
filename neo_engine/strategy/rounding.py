"""From a price and a size to a quote: exactly the amounts the ledger will store.

1. XRP is cut to whole drops, DOWN; it is the exact side of both asks (tfSell) and bids.
2. RLUSD follows from it and the issuer's TickSize (domain.rounding); an ask asks for at least the
   wanted price, a bid pays at most it: rounding is always in our favour, never across the touch.
3. Sent again, the amounts are stored unchanged, so what stands on the ledger equals the quote.

A bid and an ask of about 15 RLUSD at TickSize 7. The bid's grid is 1/price: 1000000 / 2.12475683 =
470642.092... drops per RLUSD, rounded up to 470642.1. 7059631 drops would make
14.99999893762160|25; cutting that off lifts the rate by more than half of its own 16th digit, and it
would be rounded up to 470642.2 when sent, hence one drop less. The ask's grid is the
price itself:

>>> bid = quote_at("bid-1", Side.BUY, Decimal("2.12475683"), Decimal(15), 7)
>>> bid.base_drops, bid.quote
(7059630, Decimal('14.99999681286481'))
>>> ask = quote_at("ask-1", Side.SELL, Decimal("2.12475683"), Decimal(15), 7)
>>> ask.base_drops, ask.quote == Decimal("15.000000384667"), ask.price == Decimal("2.124757")
(7059631, True, True)
"""

from __future__ import annotations

from decimal import Decimal

from neo_engine.domain.assets import Side
from neo_engine.domain.errors import BadNumber
from neo_engine.domain.number import DOWN, MAX_DROPS, MILLION, whole
from neo_engine.domain.orders import Quote
from neo_engine.domain.rounding import steady_amounts


def quote_at(slot: str, side: Side, price: Decimal, size_rlusd: Decimal, tick_size: int) -> Quote | None:
    """Return the quote nearest to `price` (RLUSD per XRP) on our side of it, worth about `size_rlusd`.

    None when it is worth less than a drop. Raises BadNumber when it would be more than all XRP there is.
    """
    drops = whole(size_rlusd * MILLION / price, DOWN)
    if drops > MAX_DROPS:
        raise BadNumber(f"{slot}: {size_rlusd} RLUSD at {price} is more XRP than exists")
    if drops <= 0:
        return None
    base_drops, quote, _ = steady_amounts(side, drops, price, tick_size)
    return Quote(
        slot=slot,
        side=side,
        price=quote * MILLION / base_drops,
        base_drops=base_drops,
        quote=quote,
        expiration=None,
    )
