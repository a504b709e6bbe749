"""Wire to domain, pure: what the server says, in the engine's words.

The words taker_gets, taker_pays and quality stop here. An offer whose owner gives XRP is an ask
(`Side.SELL`), one whose owner gets XRP is a bid (`Side.BUY`). Rates are decoded exactly from the
last eight bytes of the book directory: exponent + 100 in the first byte, a 56-bit mantissa after it
(rippled `getQuality`/`amountFromQuality`); the ratio of the remaining amounts is never used, since
the rate is fixed at placement (xrpl.org, "Offers").

>>> rate_of_directory("A156AD8F38DA875D057A4C836B375BCDD79901130362E9A64F078D6F10D11A00")
Decimal('0.000002125833000000000')

Errors: every number that is not one, is not finite or lies outside what a ledger can hold raises
`BadNumber` naming the field; a message that lacks what its type must have raises `MissingField`.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from functools import lru_cache

import msgspec
from msgspec.structs import replace

from neo_engine.domain.assets import Pair, Side
from neo_engine.domain.errors import BadNumber, NeoError
from neo_engine.domain.ledger import (
    AccountChange,
    Delivery,
    FeeChange,
    LedgerChange,
    LedgerTransaction,
    LineChange,
    NodeAction,
    OfferChange,
    PoolChange,
    TakerIntent,
    TakerKind,
    taken_legs,
)
from neo_engine.domain.number import (
    ISSUED_DIGITS,
    ISSUED_MAX_EXPONENT,
    ISSUED_MIN_EXPONENT,
    ZERO,
    parse_drops,
    parse_issued,
)
from neo_engine.xrpl.wire import (
    RAW_EMPTY,
    Fields,
    Node,
    NodeBody,
    Token,
    TransactionMessage,
    TxJson,
    XrpOrToken,
)

# AccountRoot, RippleState and transaction flags (xrpl.org, the page of each).
LSF_GLOBAL_FREEZE = 0x00400000
LSF_LOW_FREEZE = 0x00400000
LSF_HIGH_FREEZE = 0x00800000
LSF_LOW_DEEP_FREEZE = 0x02000000
LSF_HIGH_DEEP_FREEZE = 0x04000000
TF_PASSIVE = 0x00010000
TF_IMMEDIATE_OR_CANCEL = 0x00020000
TF_FILL_OR_KILL = 0x00040000
TF_SELL = 0x00080000
TF_PARTIAL_PAYMENT = 0x00020000
TF_LIMIT_QUALITY = 0x00040000

UNAVAILABLE = "unavailable"  # delivered_amount of a partial payment older than the field
RATE_EXPONENT_OFFSET = 100  # rippled: the exponent is stored with 100 added
_MANTISSA_BITS = 56
_MIN_MAGNITUDE = ISSUED_MIN_EXPONENT + ISSUED_DIGITS - 1
_MAX_MAGNITUDE = ISSUED_MAX_EXPONENT + ISSUED_DIGITS - 1
_DIRECTORY = re.compile(r"[0-9A-Fa-f]{64}")

CREATED, MODIFIED, DELETED = NodeAction.CREATED, NodeAction.MODIFIED, NodeAction.DELETED


class MissingField(NeoError):
    """A message lacks a field that its own kind must carry."""


@lru_cache(maxsize=1024)  # one entry a price in use; full, it takes a third of a megabyte
def rate_of_directory(directory: str) -> Decimal:
    """Return the exact rate encoded in a book directory's index (64 hex digits).

    Ledger units of what the owner gets per unit of what he gives: RLUSD per drop for an ask, drops
    per RLUSD for a bid. Raises BadNumber for anything else than 64 hex digits or a zero rate.
    """
    if not _DIRECTORY.fullmatch(directory):
        raise BadNumber(f"BookDirectory: {directory[:80]!r} is not 64 hex digits")
    bits = int(directory[48:], 16)
    mantissa = bits & ((1 << _MANTISSA_BITS) - 1)
    exponent = (bits >> _MANTISSA_BITS) - RATE_EXPONENT_OFFSET
    if mantissa == 0 or not ISSUED_MIN_EXPONENT <= exponent <= ISSUED_MAX_EXPONENT:
        raise BadNumber(f"BookDirectory: {directory} encodes no usable rate")
    return Decimal(mantissa).scaleb(exponent)


def drops_of(amount: object, what: str) -> int:
    """Return the drops in an XRP amount (a string). Raises BadNumber for a token or a bad number."""
    if not isinstance(amount, str):
        raise BadNumber(f"{what}: {str(amount)[:80]!r} is not an amount of drops")
    return parse_drops(amount, what)


def issued_of(text: str, what: str) -> Decimal:
    """Return the issued amount in `text` (either sign). Raises BadNumber unless the ledger can hold it."""
    # Sixteen characters cannot hold more than sixteen digits, so the slower exact check is not needed.
    if len(text) <= ISSUED_DIGITS:
        try:
            value = Decimal(text)
        except InvalidOperation:
            raise BadNumber(f"{what}: {text!r} is not a number") from None
        if value.is_finite() and (not value or _MIN_MAGNITUDE <= value.adjusted() <= _MAX_MAGNITUDE):
            return value
    return parse_issued(text, what)


def page_number(text: str) -> str:
    """Return a directory page's number as the server's JSON has it: hex without leading zeros."""
    return text.lstrip("0") or "0"


def _fields_after(action: NodeAction, body: NodeBody) -> Fields | None:
    """The entry's fields after the transaction; None when only its thread moved (no field changed)."""
    if action is not CREATED:
        return body.FinalFields
    if body.NewFields is None:
        raise MissingField(f"{body.LedgerEntryType} {body.LedgerIndex}: it was created without NewFields")
    return body.NewFields


def _node(node: Node) -> tuple[NodeAction, NodeBody]:
    body = node.ModifiedNode
    if body is not None:
        return MODIFIED, body
    body = node.DeletedNode
    if body is not None:
        return DELETED, body
    body = node.CreatedNode
    if body is not None:
        return CREATED, body
    raise MissingField("AffectedNodes: an entry is neither CreatedNode, ModifiedNode nor DeletedNode")


class Codec(msgspec.Struct, frozen=True, kw_only=True):
    """Decodes messages for one pair. Stateless: what a message means never depends on an earlier one."""

    pair: Pair

    def is_quote(self, amount: XrpOrToken | None) -> bool:
        """True for an amount of the pair's token."""
        if not isinstance(amount, Token):
            return False
        return amount.currency == self.pair.quote.currency and amount.issuer == self.pair.quote.issuer

    def side_of(self, gives: XrpOrToken | None, gets: XrpOrToken | None) -> Side | None:
        """Return which book an offer that gives and gets these amounts stands in; None for another pair."""
        if isinstance(gives, str):
            return Side.SELL if self.is_quote(gets) else None
        if isinstance(gets, str):
            return Side.BUY if self.is_quote(gives) else None
        return None

    def amounts_of(self, side: Side, gives: XrpOrToken, gets: XrpOrToken, what: str) -> tuple[int, Decimal]:
        """Return (base_drops, quote) of an offer's two amounts, neither negative."""
        base, quote = (gives, gets) if side is Side.SELL else (gets, gives)
        if not isinstance(quote, Token):
            raise BadNumber(f"{what}: {quote!r} is not an issued amount")
        value = issued_of(quote.value, what)
        if value < 0:
            raise BadNumber(f"{what}: {quote.value} is negative")
        return drops_of(base, what), value

    def transaction(self, message: TransactionMessage) -> LedgerTransaction:
        """Return the domain's view of a transaction message. Raises BadNumber or MissingField."""
        tx = message.tx_json
        changes: list[LedgerChange] = []
        for node in message.meta.AffectedNodes:
            action, body = _node(node)
            kind = body.LedgerEntryType
            if kind == "DirectoryNode":
                continue
            change: LedgerChange | None = None
            if kind == "AccountRoot":
                change = _account_change(action, body)
            elif kind == "Offer":
                change = self._offer_change(action, body)
            elif kind == "RippleState":
                change = self._line_change(action, body)
            elif kind == "AMM":
                change = self._pool_change(action, body)
            elif kind == "FeeSettings":
                change = _fee_change(body)
            if change is not None:
                changes.append(change)
        decoded = LedgerTransaction(
            tx_hash=message.hash,
            index=message.meta.TransactionIndex,
            kind=tx.TransactionType,
            account=tx.Account,
            result=message.meta.TransactionResult,
            fee_drops=parse_drops(tx.Fee, f"Fee of {message.hash}"),
            account_sequence=tx.Sequence,
            ticket=tx.TicketSequence,
            cancels=tx.OfferSequence if tx.TransactionType in ("OfferCreate", "OfferCancel") else None,
            changes=tuple(changes),
            taker=self._intent(tx, message.hash),
            delivery=self._delivery(message) if tx.TransactionType == "Payment" else None,
        )
        if decoded.taker is None and len(changes) > 1:
            return _with_bridged(decoded)
        return decoded

    def _offer_change(self, action: NodeAction, body: NodeBody) -> OfferChange | None:
        fields = _fields_after(action, body)
        if fields is None:
            return None  # only its thread moved: nothing about the offer changed
        gives, gets = fields.TakerGets, fields.TakerPays
        side = self.side_of(gives, gets)
        if side is None or gives is None or gets is None:
            return None
        what = f"Offer {body.LedgerIndex}"
        base_drops, quote = self.amounts_of(side, gives, gets, what)
        if action is CREATED and (base_drops == 0 or quote == 0):
            raise BadNumber(f"{what}: it was created with nothing to exchange")
        previous_base, previous_quote, touched = base_drops, quote, False
        old = body.PreviousFields
        if old is not None and action is not CREATED:
            # A side that metadata does not name did not change (ledger-rules, Fills: its delta is zero).
            touched = old.TakerGets is not None or old.TakerPays is not None
            if touched:
                old_gives = gives if old.TakerGets is None else old.TakerGets
                old_gets = gets if old.TakerPays is None else old.TakerPays
                previous_base, previous_quote = self.amounts_of(side, old_gives, old_gets, what)
        chain = fields.PreviousTxnID if action is DELETED else body.PreviousTxnID
        return OfferChange(
            action=action,
            index=body.LedgerIndex,
            side=side,
            owner=fields.Account or "",
            sequence=fields.Sequence,
            base_drops=base_drops,
            quote=quote,
            previous_base_drops=previous_base,
            previous_quote=previous_quote,
            touched=touched,
            rate=rate_of_directory(fields.BookDirectory),
            book_directory=fields.BookDirectory,
            book_node=page_number(fields.BookNode),
            owner_node=page_number(fields.OwnerNode),
            flags=fields.Flags,
            expiration=fields.Expiration,
            chain_txn_id=chain or "",
        )

    def line_side(self, fields: Fields) -> tuple[str, bool] | None:
        """Return (holder, holder is the low account) of a trust line of our token, else None."""
        low, high = fields.LowLimit, fields.HighLimit
        quote = self.pair.quote
        if low is None or high is None or low.currency != quote.currency:
            return None
        if high.issuer == quote.issuer:
            return low.issuer, True
        if low.issuer == quote.issuer:
            return high.issuer, False
        return None

    def line_balance(self, balance: XrpOrToken | None, low: bool, what: str) -> Decimal:
        """Return a line's balance from the holder's view; the ledger keeps the low account's."""
        if not isinstance(balance, Token):
            raise BadNumber(f"{what}: its Balance {balance!r} is not an issued amount")
        value = issued_of(balance.value, what)
        return value if low else -value

    def _line_change(self, action: NodeAction, body: NodeBody) -> LineChange | None:
        fields = _fields_after(action, body)
        held = None if fields is None else self.line_side(fields)
        if fields is None or held is None:
            return None
        holder, low = held
        what = f"RippleState {body.LedgerIndex}"
        balance = self.line_balance(fields.Balance, low, what)
        previous = ZERO if action is CREATED else balance
        old = body.PreviousFields
        if action is not CREATED and old is not None and old.Balance is not None:
            previous = self.line_balance(old.Balance, low, what)
        chain = fields.PreviousTxnID if action is DELETED else body.PreviousTxnID
        return LineChange(
            action=action,
            index=body.LedgerIndex,
            holder=holder,
            balance=balance,
            previous_balance=previous,
            frozen=line_frozen(fields.Flags, low),
            chain_txn_id=chain or "",
        )

    def is_our_pool(self, fields: Fields) -> bool:
        """True for the AMM entry of the pair, whichever asset stands first."""
        first, second = fields.Asset, fields.Asset2
        if first is None or second is None:
            return False
        if first.currency != "XRP":
            first, second = second, first
        quote = self.pair.quote
        return first.currency == "XRP" and second.currency == quote.currency and second.issuer == quote.issuer

    def _pool_change(self, action: NodeAction, body: NodeBody) -> PoolChange | None:
        fields = _fields_after(action, body)
        if fields is None or not self.is_our_pool(fields):
            return None
        chain = fields.PreviousTxnID if action is DELETED else body.PreviousTxnID
        return pool_change(action, body.LedgerIndex, fields, chain or "")

    def _delivery(self, message: TransactionMessage) -> Delivery | None:
        tx, meta = message.tx_json, message.meta
        if meta.TransactionResult != "tesSUCCESS" or tx.Destination is None:
            return None
        # Only a partial payment has DeliveredAmount; the server adds delivered_amount to every payment.
        asked = tx.Amount if tx.DeliverMax is None else tx.DeliverMax
        amount = meta.DeliveredAmount if meta.delivered_amount is None else meta.delivered_amount
        if amount is None or amount == UNAVAILABLE:
            amount = asked
        base_drops, quote = 0, ZERO
        if isinstance(amount, str):
            base_drops = drops_of(amount, f"Payment {message.hash}")
        elif isinstance(amount, Token) and self.is_quote(amount):
            quote = issued_of(amount.value, f"Payment {message.hash}")
        return Delivery(destination=tx.Destination, base_drops=base_drops, quote=quote)

    def _intent(self, tx: TxJson, tx_hash: str) -> TakerIntent | None:
        if tx.TransactionType == "OfferCreate":
            return self._offer_intent(tx, tx_hash)
        if tx.TransactionType == "Payment":
            return self._payment_intent(tx, tx_hash)
        return None

    def _offer_intent(self, tx: TxJson, tx_hash: str) -> TakerIntent | None:
        gives, gets = tx.TakerGets, tx.TakerPays
        side = self.side_of(gives, gets)
        if side is None or gives is None or gets is None:
            return None
        base_drops, quote = self.amounts_of(side, gives, gets, f"OfferCreate {tx_hash}")
        flags = tx.Flags
        return TakerIntent(
            kind=TakerKind.OFFER,
            side=side,
            base_drops=base_drops,
            quote=quote,
            sell=bool(flags & TF_SELL),
            passive=bool(flags & TF_PASSIVE),
            immediate_or_cancel=bool(flags & TF_IMMEDIATE_OR_CANCEL),
            fill_or_kill=bool(flags & TF_FILL_OR_KILL),
            expiration=tx.Expiration,
            replaces=tx.OfferSequence,
        )

    def _payment_intent(self, tx: TxJson, tx_hash: str) -> TakerIntent | None:
        deliver = tx.DeliverMax if tx.DeliverMax is not None else tx.Amount
        spend = tx.SendMax
        if isinstance(spend, Token) and spend.issuer == tx.Account:
            # SendMax may name the sender as issuer: "any token of this code that I hold".
            spend = Token(value=spend.value, currency=spend.currency, issuer=self.pair.quote.issuer)
        side = self.side_of(spend, deliver)
        if side is None or spend is None or deliver is None:
            return None
        what = f"Payment {tx_hash}"
        base_drops, quote = self.amounts_of(side, spend, deliver, what)
        minimum = tx.DeliverMin
        min_base = drops_of(minimum, what) if minimum is not None and side is Side.BUY else None
        min_quote = None
        if isinstance(minimum, Token) and side is Side.SELL:
            min_quote = issued_of(minimum.value, what)
        return TakerIntent(
            kind=TakerKind.PAYMENT,
            side=side,
            base_drops=base_drops,
            quote=quote,
            partial=bool(tx.Flags & TF_PARTIAL_PAYMENT),
            limit_quality=bool(tx.Flags & TF_LIMIT_QUALITY),
            has_paths=tx.Paths is not RAW_EMPTY and len(tx.Paths) > len(b"[]"),
            deliver_min_base_drops=min_base,
            deliver_min_quote=min_quote,
            destination=tx.Destination,
        )


def line_frozen(flags: int, holder_is_low: bool) -> bool:
    """True if the issuer froze the line: the holder cannot spend what is on it."""
    mask = LSF_HIGH_FREEZE | LSF_HIGH_DEEP_FREEZE if holder_is_low else LSF_LOW_FREEZE | LSF_LOW_DEEP_FREEZE
    return bool(flags & mask)


def pool_change(action: NodeAction, index: str, fields: Fields, chain: str) -> PoolChange:
    """Return the fee and auction slot of an AMM entry."""
    slot = fields.AuctionSlot
    holders: list[str] = []
    if slot is not None:
        if slot.Account:
            holders.append(slot.Account)
        holders.extend(entry.AuthAccount.Account for entry in slot.AuthAccounts or [])
    return PoolChange(
        action=action,
        index=index,
        account=fields.Account or "",
        trading_fee=fields.TradingFee,
        discounted_fee=0 if slot is None else slot.DiscountedFee,
        auction_accounts=tuple(holders),
        auction_expiration=0 if slot is None else slot.Expiration,
        chain_txn_id=chain,
    )


def _account_change(action: NodeAction, body: NodeBody) -> AccountChange:
    fields = _fields_after(action, body)
    if fields is None:
        return AccountChange(
            action=action,
            index=body.LedgerIndex,
            account=None,
            balance_drops=0,
            previous_balance_drops=0,
            sequence=0,
            owner_count=0,
            flags=0,
            tick_size=None,
            transfer_rate=None,
            is_pool=False,
            chain_txn_id=body.PreviousTxnID or "",
        )
    what = f"AccountRoot {fields.Account}"
    balance = drops_of(fields.Balance, what)
    previous = 0 if action is CREATED else balance
    old = body.PreviousFields
    if old is not None and old.Balance is not None and action is not CREATED:
        previous = drops_of(old.Balance, what)
    chain = fields.PreviousTxnID if action is DELETED else body.PreviousTxnID
    return AccountChange(
        action=action,
        index=body.LedgerIndex,
        account=fields.Account,
        balance_drops=balance,
        previous_balance_drops=previous,
        sequence=fields.Sequence,
        owner_count=fields.OwnerCount,
        flags=fields.Flags,
        tick_size=fields.TickSize,
        transfer_rate=fields.TransferRate,
        is_pool=fields.AMMID is not None,
        chain_txn_id=chain or "",
    )


def _fee_change(body: NodeBody) -> FeeChange | None:
    fields = body.FinalFields if body.NewFields is None else body.NewFields
    if fields is None or fields.BaseFeeDrops is None:
        return None
    return FeeChange(
        fee_base_drops=parse_drops(fields.BaseFeeDrops, "FeeSettings BaseFeeDrops"),
        base_reserve_drops=parse_drops(fields.ReserveBaseDrops, "FeeSettings ReserveBaseDrops"),
        owner_reserve_drops=parse_drops(fields.ReserveIncrementDrops, "FeeSettings ReserveIncrementDrops"),
    )


def _with_bridged(tx: LedgerTransaction) -> LedgerTransaction:
    """Return `tx` with what it took from our pair as its intent, if it took anything.

    Our pool is the pool account that moved the pair's token as well, so no state is needed. A
    transaction that took both sides is given the side it took more XRP on; `taken_legs` tells both.
    """
    holders = {change.holder for change in tx.changes if isinstance(change, LineChange)}
    pools = (change.account for change in tx.changes if isinstance(change, AccountChange) and change.is_pool)
    legs = taken_legs(tx, next((account for account in pools if account in holders), None))
    if not legs:
        return tx
    leg = max(legs, key=lambda one: one.base_drops + one.pool_base_drops)
    intent = TakerIntent(
        kind=TakerKind.BRIDGED,
        side=leg.side,
        base_drops=leg.base_drops + leg.pool_base_drops,
        quote=leg.quote + leg.pool_quote,
    )
    return replace(tx, taker=intent)
