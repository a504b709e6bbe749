"""What may be committed to offers, and quotes cut down to it.

The rules of the ledger (docs/ledger-rules.md, Replace and Funds):

1. base reserve + owner count x owner reserve can be neither sold nor locked; on top of it stays
   `inventory.xrp_buffer`, from which fees are paid.
2. A new offer locks one more owner reserve, a bid as much as an ask. A replace locks none: the
   ledger counts after the old offer is gone.
3. Placing does not lock the funds themselves, and an offer whose owner runs out of them is deleted.
   So several asks share one budget here, best first, and so do several bids.
4. Who gives a token with a transfer fee pays it on top of what he gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from neo_engine.config import Config
from neo_engine.domain.assets import Side
from neo_engine.domain.market import AccountView, MarketSnapshot
from neo_engine.domain.number import (
    DOWN,
    EXACT,
    MILLION,
    UP,
    WORK,
    ZERO,
    drops_from_xrp,
    issued_div,
    plain,
    xrp_from_drops,
)
from neo_engine.domain.orders import Order, Quote
from neo_engine.domain.records import Gate
from neo_engine.domain.rounding import TICK_SIZE_OFF, steady_amounts

NO_TRANSFER_FEE = 1_000_000_000  # TransferRate in billionths: 1.0 exactly
_HAIR = Decimal("1E-15")  # an issued amount of 16 digits is exact to half of this share
CAPITAL_GATE = "Capital"  # a quote was dropped: it cannot be paid for
CAPITAL_SHRUNK_GATE = "CapitalShrunk"  # a quote stands for less than wanted; its side still quotes


class Available(msgspec.Struct, frozen=True, kw_only=True):
    """What may be committed or withdrawn: drops of XRP and RLUSD, neither negative."""

    base_drops: int
    quote: Decimal


def _free_drops(account: AccountView, snapshot: MarketSnapshot, config: Config) -> int:
    """Return XRP above reserves and buffer in drops; negative when they are not even covered."""
    reserve = snapshot.base_reserve_drops + account.owner_count * snapshot.owner_reserve_drops
    return account.balance_drops - reserve - drops_from_xrp(config.inventory.xrp_buffer, UP)


def available(account: AccountView, snapshot: MarketSnapshot, config: Config) -> Available:
    """Return what may be committed beside the objects that exist now (their reserve is kept)."""
    return Available(
        base_drops=max(_free_drops(account, snapshot, config), 0),
        quote=max(account.quote_balance, ZERO),
    )


def _spendable_quote(account: AccountView, snapshot: MarketSnapshot) -> Decimal:
    """Return the RLUSD that bids may give, after the issuer's transfer fee, rounded DOWN."""
    balance = max(account.quote_balance, ZERO)
    if snapshot.transfer_rate <= NO_TRANSFER_FEE:
        return balance
    gross = EXACT.multiply(balance, Decimal(NO_TRANSFER_FEE))
    return issued_div(gross, Decimal(snapshot.transfer_rate), DOWN)


def _resized(quote: Quote, base_drops: int, tick_size: int) -> Quote | None:
    """Return `quote` cut to at most `base_drops` at its own tick, as the ledger stores it, or None.

    Its price is the quotient of rounded amounts, so it may lie a hair beyond its tick, and rounding it
    again would move it by a whole one: it is first moved back by that hair.
    """
    if base_drops <= 0:
        return None
    price = quote.price
    if tick_size < TICK_SIZE_OFF:
        hair = WORK.multiply(price, _HAIR)
        price = WORK.subtract(price, hair) if quote.side is Side.SELL else WORK.add(price, hair)
    drops, amount, _ = steady_amounts(quote.side, base_drops, price, tick_size)
    if not drops:
        return None
    return replace(quote, base_drops=drops, quote=amount, price=WORK.divide(amount * MILLION, Decimal(drops)))


def _xrp(drops: int) -> str:
    return f"{plain(xrp_from_drops(drops))} XRP"


def _side_name(side: Side) -> str:
    return "bid" if side is Side.BUY else "ask"


def _no_reserve(quote: Quote, free_drops: int, reserve: int) -> Gate:
    return Gate(
        name=CAPITAL_GATE,
        side=_side_name(quote.side),
        detail=f"{quote.slot}: a new offer locks {_xrp(reserve)} of owner reserve, {_xrp(free_drops)} free",
    )


def _cut(
    quote: Quote, base_left: int, quote_left: Decimal, minimum: Decimal, tick_size: int
) -> tuple[Quote | None, Gate]:
    """Return what of a quote that does not fit can stand (None: less than the minimum) and the gate."""
    if quote.side is Side.SELL:
        base_drops = max(base_left, 0)
        wanted, left = _xrp(quote.base_drops), _xrp(base_left)
    else:
        base_drops = int(EXACT.divide_int(EXACT.multiply(quote_left, Decimal(quote.base_drops)), quote.quote))
        wanted, left = f"{plain(quote.quote)} RLUSD", f"{plain(quote_left)} RLUSD"
    fitted = _resized(quote, base_drops, tick_size)
    stands = fitted is not None and fitted.quote >= minimum
    end = "" if stands else f", less than the minimum of {plain(minimum)} RLUSD"
    gate = Gate(
        name=CAPITAL_SHRUNK_GATE if stands else CAPITAL_GATE,
        side=_side_name(quote.side),
        detail=f"{quote.slot}: needs {wanted}, {left} free after reserves and buffer{end}",
    )
    return (fitted if stands else None), gate


def fit_to_capital(
    quotes: Sequence[Quote],
    account: AccountView,
    snapshot: MarketSnapshot,
    config: Config,
    replaced: Sequence[Order],
) -> tuple[tuple[Quote, ...], tuple[Gate, ...]]:
    """Return the quotes that can be paid for, in order, and a gate for each that had to give way.

    replaced: the working orders whose slots these quotes take over; one whose offer the ledger lists
    needs no further owner reserve. Quotes earlier in `quotes` come first, so the best level should.
    A quote too large is cut to what is left, or dropped below `order_size.min_notional_rlusd`.
    """
    reserve = snapshot.owner_reserve_drops
    listed = {offer.offer_sequence for offer in account.offers}
    taken_over = {order.slot for order in replaced if order.offer_sequence in listed}
    base_left = _free_drops(account, snapshot, config)
    quote_left = _spendable_quote(account, snapshot)
    minimum = config.order_size.min_notional_rlusd
    gates: list[Gate] = []
    seated: list[tuple[Quote, int]] = []
    for quote in quotes:
        if quote.slot in taken_over:
            seated.append((quote, 0))
        elif base_left < reserve:
            gates.append(_no_reserve(quote, base_left, reserve))
        else:
            base_left -= reserve
            seated.append((quote, reserve))
    fitted: list[Quote] = []
    for quote, locked in seated:
        fits = quote.base_drops <= base_left if quote.side is Side.SELL else quote.quote <= quote_left
        kept: Quote | None = quote
        if not fits:
            kept, gate = _cut(quote, base_left, quote_left, minimum, snapshot.tick_size)
            gates.append(gate)
        if kept is None:
            base_left += locked
        elif kept.side is Side.SELL:
            base_left -= kept.base_drops
            fitted.append(kept)
        else:
            quote_left = EXACT.subtract(quote_left, kept.quote)
            fitted.append(kept)
    return tuple(fitted), tuple(gates)
