"""Our transactions as the ledger reads them, and the order in which they should reach it.

Theory (docs OfferCreate, OfferCancel, "Tickets"; ledger-rules, Flags, Replace). A requote is one
OfferCreate with OfferSequence: one fee, one number. Every offer carries an Expiration, so that a dead
process leaves nothing in the book for long. An ask carries tfSell: then tick rounding moves what it asks
for; without the flag it moves what a bid gives. Either way the XRP stays exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from neo_engine.domain.assets import IssuedAsset, Side
from neo_engine.domain.errors import InvariantViolation
from neo_engine.domain.number import plain
from neo_engine.domain.orders import CancelOrder, Command, Quote

Json = dict[str, Any]

SELL_FLAG = 0x0008_0000  # tfSell: tick rounding moves the token, the XRP sold stays exact
NETWORK_ID_MAX_OMITTED = 1024  # networks up to this id refuse the field, those above require it


class Signer(Protocol):
    """Who holds the key."""

    def sign(self, tx: Json) -> tuple[str, str]:
        """Return the signed blob (hex) and its hash."""


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What all our transactions have in common. last_ledger_offset: ledgers they live, for Expiration see
    the quote. network_id: put into transactions above 1024 only."""

    account: str
    quote: IssuedAsset
    source_tag: int
    network_id: int
    last_ledger_offset: int


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Number, fee (drops) and end of life of one transaction. ticket: number is a ticket's."""

    number: int
    ticket: bool
    fee_drops: int
    last_ledger: int


def common_fields(kind: str, terms: Terms, place: Place) -> Json:
    """Return what a transaction of any type carries; of an AccountSet or TicketCreate nearly all."""
    tx: Json = {
        "TransactionType": kind,
        "Account": terms.account,
        "Fee": str(place.fee_drops),
        "Sequence": 0 if place.ticket else place.number,
        "LastLedgerSequence": place.last_ledger,
        "SourceTag": terms.source_tag,
    }
    if place.ticket:
        tx["TicketSequence"] = place.number
    if terms.network_id > NETWORK_ID_MAX_OMITTED:
        tx["NetworkID"] = terms.network_id
    return tx


def transaction_of(command: Command, terms: Terms, place: Place) -> Json:
    """Return the unsigned transaction of a command; its amounts are the quote's own, digit for digit.

    Raises InvariantViolation for an offer that would never expire: a dead process must leave nothing.
    """
    if isinstance(command, CancelOrder):
        return {**common_fields("OfferCancel", terms, place), "OfferSequence": command.offer_sequence}
    quote = command.quote
    if quote.expiration is None:
        raise InvariantViolation(
            f"order {command.order_id}: its offer would never expire; "
            "set execution.offer_lifetime_seconds above 0"
        )
    drops = str(quote.base_drops)
    asset = terms.quote
    token = {"currency": asset.currency, "issuer": asset.issuer, "value": plain(quote.quote)}
    sells = quote.side is Side.SELL
    tx = common_fields("OfferCreate", terms, place)
    tx |= {"TakerGets": drops, "TakerPays": token} if sells else {"TakerGets": token, "TakerPays": drops}
    tx["Expiration"] = quote.expiration
    if sells:
        tx["Flags"] = SELL_FLAG
    if command.replaces_sequence is not None:
        tx["OfferSequence"] = command.replaces_sequence
    return tx


def ordered(commands: Sequence[Command], standing: Mapping[int, Quote]) -> tuple[Command, ...]:
    """Return the commands in the order in which they should reach the ledger.

    Cancels first. Then what crosses no offer of ours, which moves the side being run over out of the way;
    last what would cross one where it stands now, or the ledger deletes that one without a trade. standing:
    our offers by sequence, as far as known. Otherwise the order given is kept.
    """

    def rank(command: Command) -> int:
        if isinstance(command, CancelOrder):
            return 0
        return 2 if any(_crosses(command.quote, own) for own in standing.values()) else 1

    return tuple(sorted(commands, key=rank))


def _crosses(quote: Quote, own: Quote) -> bool:
    if quote.side is own.side:
        return False
    bid, ask = (quote, own) if quote.side is Side.BUY else (own, quote)
    return bid.price >= ask.price
