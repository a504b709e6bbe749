"""The fills-only ledger and its overlay: what we hold, what it cost, what we earned by closing it.

inventory = fills + overlay: fills move only the fills-only balances, capital events only the overlay.
balance = inventory - fees: network fees burn XRP but are neither a trade nor a capital event.

Theory: average cost. XRP that comes in adds what was paid for it to `cost_basis`; XRP that goes out
releases its share of the basis, and the difference to what it brought is realised. The share is
rounded once, DOWN to 1e-18; what rounding leaves stays in the basis, so nothing is lost or made.
A capital event in XRP is the same trade done at the mark with money brought in (or taken out) for it.

Invariants, exact to the last digit after every function here:
1. quote = net_capital + realised - cost_basis.
2. No XRP held: cost_basis = 0.
From 1 follows the identity of `pnl.accounts`.

Worked example: 10 XRP bought for 22 RLUSD, then 4 sold for 9.2: they cost 8.8, so 0.4 is realised.

>>> inventory = traded(empty(), 10_000_000, Decimal("-22"))
>>> inventory = traded(inventory, -4_000_000, Decimal("9.2"))
>>> plain(inventory.cost_basis), plain(inventory.realised)
('13.2', '0.4')
"""

from __future__ import annotations

from decimal import Context, Decimal, DivisionByZero, InvalidOperation, Overflow

import msgspec
from msgspec.structs import replace

from neo_engine.domain.assets import Side
from neo_engine.domain.errors import InvariantViolation
from neo_engine.domain.fills import Fill
from neo_engine.domain.number import DOWN, EXACT, ZERO, plain, xrp_from_drops
from neo_engine.domain.records import InventoryEntry

_SHARE = Context(prec=150, rounding=DOWN, traps=[InvalidOperation, DivisionByZero, Overflow])
_SHARE_QUANTUM = Decimal("1E-18")  # finer than any issued amount a trade of one drop can move


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """What is held and what it cost. XRP in drops, everything else in RLUSD, all exact.

    fills_*: moved by fills only. overlay_*: moved by capital events only. rounding_quote: sum of what
    the trust line's rounding gave or took (already inside fills_quote). net_capital: capital brought
    in less taken out, each event at its own mark. capital_requests: ids of capital events already
    answered; the operator enters few, so they are kept for the session.
    """

    fills_base_drops: int
    fills_quote: Decimal
    overlay_base_drops: int
    overlay_quote: Decimal
    fees_drops: int
    rounding_quote: Decimal
    cost_basis: Decimal
    net_capital: Decimal
    realised: Decimal
    capital_requests: frozenset[str]

    @property
    def base_drops(self) -> int:
        """XRP inventory in drops: fills plus overlay."""
        return self.fills_base_drops + self.overlay_base_drops

    @property
    def quote(self) -> Decimal:
        """RLUSD inventory, exact: fills plus overlay."""
        return EXACT.add(self.fills_quote, self.overlay_quote)

    @property
    def balance_drops(self) -> int:
        """XRP the ledger should say we have, in drops: inventory less fees burned."""
        return self.base_drops - self.fees_drops


def empty() -> Inventory:
    """Return the inventory before anything happened."""
    return Inventory(
        fills_base_drops=0,
        fills_quote=ZERO,
        overlay_base_drops=0,
        overlay_quote=ZERO,
        fees_drops=0,
        rounding_quote=ZERO,
        cost_basis=ZERO,
        net_capital=ZERO,
        realised=ZERO,
        capital_requests=frozenset(),
    )


def _share(amount: Decimal, part: int, whole: int) -> Decimal:
    """Return amount x part / whole, rounded DOWN to 1e-18, and exactly `amount` when part = whole."""
    if part == whole:
        return amount
    quotient = _SHARE.divide(EXACT.multiply(amount, Decimal(part)), Decimal(whole))
    return quotient.quantize(_SHARE_QUANTUM, context=_SHARE)


def revalued(inventory: Inventory, base_change: int, quote_change: Decimal) -> tuple[Decimal, Decimal]:
    """Return (cost_basis, realised) after `base_change` drops came or went for `quote_change` RLUSD.

    A sale beyond what is held (someone moved XRP in without telling us) is no crash here: the rest
    opens a short whose negative basis is what it brought; the reconciler sees the balance differ.
    """
    held = inventory.base_drops
    if held * base_change >= 0:
        return EXACT.subtract(inventory.cost_basis, quote_change), inventory.realised
    closing = min(abs(base_change), abs(held))
    released = _share(inventory.cost_basis, closing, abs(held))
    brought = _share(quote_change, closing, abs(base_change))
    realised = EXACT.add(inventory.realised, EXACT.subtract(brought, released))
    opened = EXACT.subtract(quote_change, brought)
    return EXACT.subtract(EXACT.subtract(inventory.cost_basis, released), opened), realised


def traded(inventory: Inventory, base_change: int, quote_change: Decimal) -> Inventory:
    """Return the inventory after a trade moved the fills-only balances (positive is in)."""
    cost_basis, realised = revalued(inventory, base_change, quote_change)
    return replace(
        inventory,
        fills_base_drops=inventory.fills_base_drops + base_change,
        fills_quote=EXACT.add(inventory.fills_quote, quote_change),
        cost_basis=cost_basis,
        realised=realised,
    )


def apply_fill(
    inventory: Inventory, fill: Fill, quote_asset: str = "RLUSD"
) -> tuple[Inventory, tuple[InventoryEntry, ...]]:
    """Return the inventory after `fill` and its two rows of the fills-only ledger, XRP first.

    XRP moves by the offer's drops, RLUSD by what the trust line really moved (ledger-rules, Fills), so
    the line's rounding is owned, not lost. Whether the fill is new is the order tracker's matter.
    Raises InvariantViolation if the fill moves nothing or its RLUSD against its own side.
    """
    sign = 1 if fill.side is Side.BUY else -1
    if fill.base_drops < 0 or fill.quote_balance_delta * sign > 0:
        raise InvariantViolation(
            f"fill {fill.key} of order {fill.order_id}: a {fill.side.value} of {fill.base_drops} drops "
            f"cannot move RLUSD by {plain(fill.quote_balance_delta)}"
        )
    base_change = sign * fill.base_drops
    after = replace(
        traded(inventory, base_change, fill.quote_balance_delta),
        rounding_quote=EXACT.add(inventory.rounding_quote, fill.rounding),
    )
    entries = (
        InventoryEntry(
            fill_key=fill.key,
            asset="XRP",
            change=xrp_from_drops(base_change),
            new_balance=xrp_from_drops(after.fills_base_drops),
        ),
        InventoryEntry(
            fill_key=fill.key,
            asset=quote_asset,
            change=fill.quote_balance_delta,
            new_balance=after.fills_quote,
        ),
    )
    return after, entries


def apply_fees(inventory: Inventory, drops: int) -> Inventory:
    """Return the inventory after network fees of `drops` were burned. Raises InvariantViolation if < 0."""
    if drops == 0:
        return inventory
    if drops < 0:
        raise InvariantViolation(f"network fees cannot be negative: {drops} drops")
    return replace(inventory, fees_drops=inventory.fees_drops + drops)
