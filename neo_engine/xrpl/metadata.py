"""Fills from validated metadata, pure: what a transaction did to one account (ledger-rules, Fills).

The rules, in the order they are applied:

1. Only what metadata says counts; a submitted amount is never compared with a stored one. A tec
   result takes the fee and perhaps clears unfunded offers away: the same reading covers it.
2. Maker fill: our offer was modified, or deleted with PreviousFields. Filled = previous - final, a
   side that is not named did not change. Deleted without PreviousFields is never a fill.
3. Taker fill: we sent the transaction. XRP = balance change + fee, token = change of the line, both
   less what our own resting offers gave in the same transaction (a payment may take them).
4. Both are booked: the offer's own amounts make the price, the line's change is what we own, and
   the difference is `rounding` (the line is rounded to 16 digits at each change; an issuer's
   transfer fee, paid by the one who gives the token, is in it too).
5. An amount with one side at zero (dust below one drop) moved money but is no trade.
6. XRP must add up to the drop, the token within a unit in the last place for each change of the line.

The chain of transactions (point 5 of the rules) is watched by `BookTracker`.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec
from msgspec.structs import replace

from neo_engine.domain.account_events import AccountEvents, OfferEvent, OwnFill, OwnOffer
from neo_engine.domain.assets import Side
from neo_engine.domain.fills import LiquiditySide
from neo_engine.domain.ledger import (
    AccountChange,
    LedgerTransaction,
    LedgerUpdate,
    LineChange,
    NodeAction,
    OfferChange,
)
from neo_engine.domain.number import ISSUED_DIGITS, ONE, ZERO

TAKER_NODE = "taker"
#: Transactions in which an account trades with the book or the pool as the taker.
_TRADES = frozenset({"OfferCreate", "Payment"})
#: Kinds whose every effect on balances is read here; of all others the balances are taken as they are.
_EXPLAINED = _TRADES | {"OfferCancel", "AccountSet", "TrustSet"}


class _Money(msgspec.Struct, frozen=True, kw_only=True):
    """An amount of both, positive in."""

    base_drops: int
    quote: Decimal


_NOTHING = _Money(base_drops=0, quote=ZERO)


def account_events(
    update: LedgerUpdate,
    tx: LedgerTransaction,
    account: str,
    parent_close_time: int,
    transfer_rate: Decimal = ONE,
) -> AccountEvents | None:
    """Return what `tx` did to `account`; None if it does not appear in it.

    parent_close_time: of the ledger before, in seconds since 2000-01-01; it tells an expired offer from an
    unfunded one. transfer_rate: what the issuer takes of token given away, 1 for nothing.
    """
    root = next((c for c in tx.changes if isinstance(c, AccountChange) and c.account == account), None)
    line = next((c for c in tx.changes if isinstance(c, LineChange) and c.holder == account), None)
    touched = [c for c in tx.changes if isinstance(c, OfferChange) and c.owner == account]
    if root is None and line is None and not touched:
        return None
    base_delta = 0 if root is None else root.balance_drops - root.previous_balance_drops
    quote_delta = ZERO if line is None else line.balance - line.previous_balance
    fee = tx.fee_drops if tx.account == account else 0
    fills, dust = _maker_fills(update, tx, touched)
    maker = _sum_of(fills)
    left = _Money(
        base_drops=base_delta + fee - maker.base_drops - dust.base_drops,
        quote=quote_delta - maker.quote - dust.quote,
    )
    paid = _payment(tx, account, left, transfer_rate)
    if tx.account == account and tx.kind in _TRADES and _converts(left):
        taker = _taker_fill(update, tx, left)
        fills = (*fills, taker)
        left, paid = _NOTHING, _NOTHING
    elif tx.account == account and tx.kind == "OfferCreate" and tx.succeeded:
        # One side moved and the other did not: we took dust.
        dust = _Money(base_drops=dust.base_drops + left.base_drops, quote=dust.quote + left.quote)
        left = _NOTHING
    else:
        left = _Money(base_drops=left.base_drops - paid.base_drops, quote=left.quote - paid.quote)
    return AccountEvents(
        account=account,
        tx_hash=tx.tx_hash,
        transaction_index=tx.index,
        fills=_with_rounding(fills, left.quote),
        offers=tuple(_own_offer(change, tx, account, parent_close_time) for change in touched),
        base_delta_drops=base_delta,
        quote_delta=quote_delta,
        fee_drops=fee,
        paid_base_drops=paid.base_drops,
        paid_quote=paid.quote,
        dust_base_drops=dust.base_drops,
        dust_quote=dust.quote,
        rounding=left.quote,
        unexplained_drops=left.base_drops,
        unexplained=abs(left.quote) > _tolerance(line, touched, fills, transfer_rate),
    )


def _maker_fills(
    update: LedgerUpdate, tx: LedgerTransaction, touched: list[OfferChange]
) -> tuple[tuple[OwnFill, ...], _Money]:
    fills = []
    dust = _NOTHING
    for change in touched:
        base_drops = change.previous_base_drops - change.base_drops
        quote = change.previous_quote - change.quote
        if not change.touched or not (base_drops or quote):
            continue
        signed_base, signed_quote = _signed(change.side, base_drops, quote)
        if not (base_drops and quote):
            dust = _Money(base_drops=dust.base_drops + signed_base, quote=dust.quote + signed_quote)
            continue
        fills.append(
            OwnFill(
                ledger_index=update.ledger_index,
                close_time=update.close_time,
                transaction_index=tx.index,
                node=change.index,
                tx_hash=tx.tx_hash,
                side=change.side,
                liquidity=LiquiditySide.MAKER,
                base_drops=base_drops,
                quote=quote,
                quote_balance_delta=signed_quote,
                rounding=ZERO,
                offer_sequence=change.sequence,
            )
        )
    return tuple(fills), dust


def _signed(side: Side, base_drops: int, quote: Decimal) -> tuple[int, Decimal]:
    """Return the two amounts with their sign for the one who trades on `side`: positive in."""
    return (base_drops, -quote) if side is Side.BUY else (-base_drops, quote)


def _sum_of(fills: tuple[OwnFill, ...]) -> _Money:
    base_drops, quote = 0, ZERO
    for fill in fills:
        signed_base, signed_quote = _signed(fill.side, fill.base_drops, fill.quote)
        base_drops += signed_base
        quote += signed_quote
    return _Money(base_drops=base_drops, quote=quote)


def _converts(money: _Money) -> bool:
    """True if one came in and the other went out: that is a trade."""
    return (money.base_drops > 0 and money.quote < 0) or (money.base_drops < 0 and money.quote > 0)


def _taker_fill(update: LedgerUpdate, tx: LedgerTransaction, money: _Money) -> OwnFill:
    return OwnFill(
        ledger_index=update.ledger_index,
        close_time=update.close_time,
        transaction_index=tx.index,
        node=TAKER_NODE,
        tx_hash=tx.tx_hash,
        side=Side.BUY if money.base_drops > 0 else Side.SELL,
        liquidity=LiquiditySide.TAKER,
        base_drops=abs(money.base_drops),
        quote=abs(money.quote),
        quote_balance_delta=money.quote,
        rounding=ZERO,
        offer_sequence=tx.account_sequence if tx.ticket is None else tx.ticket,
    )


def _payment(tx: LedgerTransaction, account: str, left: _Money, transfer_rate: Decimal) -> _Money:
    """Return what came in or went out without a trade in this pair.

    What a Payment delivered stands in its own words. Of a conversion for somebody else, and of every
    kind that is not read here (pool deposits, escrows, checks), the balances are the only word.
    """
    if tx.kind not in _EXPLAINED:
        return left
    if tx.kind != "Payment":
        return _NOTHING
    delivery, sent = tx.delivery, tx.account == account
    if delivery is None:
        return _NOTHING  # it failed: the fee is all
    if not sent:
        ours = delivery.destination == account
        return _Money(base_drops=delivery.base_drops, quote=delivery.quote) if ours else _NOTHING
    if tx.taker is not None or delivery.destination == account:
        return left
    return _Money(base_drops=-delivery.base_drops, quote=-delivery.quote * transfer_rate)


def _with_rounding(fills: tuple[OwnFill, ...], rounding: Decimal) -> tuple[OwnFill, ...]:
    """Return the fills with the line's rounding booked on the last of them; the rest is exact."""
    if not fills or not rounding:
        return fills
    last = fills[-1]
    delta = last.quote_balance_delta + rounding
    booked = replace(last, quote_balance_delta=delta, rounding=rounding)
    return (*fills[:-1], booked)


def _tolerance(
    line: LineChange | None, touched: list[OfferChange], fills: tuple[OwnFill, ...], transfer_rate: Decimal
) -> Decimal:
    """Return how much token rounding and the transfer fee can explain: one unit a change of the line.

    A unit is that of the larger one of line and offers: an offer may list far more than its owner has, and
    what was taken of it is known to its own last digit only.
    """
    if line is None:
        return ZERO
    listed = [change.previous_quote for change in touched]
    largest = max(abs(line.balance), abs(line.previous_balance), *listed)
    unit = ZERO if not largest else Decimal(1).scaleb(largest.adjusted() - ISSUED_DIGITS + 1)
    given = sum((fill.quote for fill in fills if fill.side is Side.BUY), ZERO)
    return unit * max(1, len(fills)) + given * (transfer_rate - ONE)


def _own_offer(change: OfferChange, tx: LedgerTransaction, account: str, parent_close_time: int) -> OwnOffer:
    return OwnOffer(
        event=_offer_event(change, tx, account, parent_close_time),
        index=change.index,
        offer_sequence=change.sequence,
        side=change.side,
        base_drops=change.base_drops,
        quote=change.quote,
        expiration=change.expiration,
    )


def _offer_event(
    change: OfferChange, tx: LedgerTransaction, account: str, parent_close_time: int
) -> OfferEvent:
    if change.action is NodeAction.CREATED:
        return OfferEvent.PLACED
    if change.action is NodeAction.MODIFIED:
        return OfferEvent.REDUCED
    if change.touched:
        # Nothing left on either side ends it; anything left means that it was cleared away after a fill.
        filled = change.base_drops == 0 or change.quote == 0
        return OfferEvent.FILLED if filled else OfferEvent.UNFUNDED
    if tx.account == account and tx.cancels == change.sequence:
        return OfferEvent.CANCELED if tx.kind == "OfferCancel" else OfferEvent.REPLACED
    if change.expiration is not None and change.expiration <= parent_close_time:
        return OfferEvent.EXPIRED
    if tx.account == account:
        return OfferEvent.SELF_CROSSED
    return OfferEvent.UNFUNDED
