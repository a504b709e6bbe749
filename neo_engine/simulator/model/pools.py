"""Pools: what one is in the ledger, and the arithmetic of paying into it and drawing from it.

Theory (XLS-30; rippled AMMHelpers.cpp, AMMUtils.cpp, AMMCore.cpp with fixAMMv1_1 to v1_3). A pool is an
account without keys, which holds two assets and issues a token for shares in them. With B held of an
asset, T share tokens outstanding and the fee f (share of 1):

    at the start        T = sqrt(B1 * B2)
    b pays for t:       t = T (r - c) / (1 + c),    r = b/B, c = sqrt(g^2 + r/(1-f)) - g, g = (1-f/2)/(1-f)
    t draws b:          b = B (s^2 - s (2-f)) / (s f - 1),    s = t/T

and each solved for its other side. Paying one asset is a deposit of both after a swap of half of it, so the
fee is taken on that half. Tokens given are rounded down and tokens taken up, assets the other way round,
so that sqrt(B1 * B2) never falls below T by rounding (the server's invariant).

1. Amounts are Decimals: whole drops (`xrp` true) or 16-digit token units; intermediate results have the
   server's 16 digits, rounded half to even unless the name says otherwise.
2. Tokens that 16 digits of T cannot hold are not given: T + t - T = t for every t that comes out of `tidy`.

A pool of 400 XRP and 900 of a token, without a fee, and 4 % more of the token: T (sqrt(1.04) - 1)

>>> start = first_tokens(Decimal(400_000_000), Decimal(900))
>>> start == 600_000, round(tokens_for_paying(Decimal(900), Decimal(36), start, Decimal(0)), 6)
(True, Decimal('11882.341631'))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from hashlib import sha256
from typing import Any

import msgspec
from Crypto.Hash import RIPEMD160  # not every build of OpenSSL offers it to hashlib

from neo_engine.domain.amm import fee_share
from neo_engine.domain.assets import XRP, Asset
from neo_engine.domain.number import DOWN, ONE, ZERO, issued_div
from neo_engine.domain.steps import (
    add_down,
    add_near,
    div_near,
    mul_down,
    mul_near,
    mul_up,
    square_root,
    sub_down,
    sub_near,
    whole_down,
    whole_up,
)
from neo_engine.simulator.model import keys, lines
from neo_engine.simulator.model.amounts import Amount, asset_of, decimal_of
from neo_engine.simulator.model.context import Rules
from neo_engine.simulator.model.fields import Entry
from neo_engine.simulator.model.results import SUCCESS
from neo_engine.simulator.model.state import View

TRADING_FEE_MAX = 1000  # 1 %, in 1/100,000 (rippled AMMCore.h, TRADING_FEE_THRESHOLD)
SLOT_SECONDS = 24 * 60 * 60  # how long the auction slot is its holder's
DISCOUNT = 10  # the slot's holder pays a tenth of the fee
WEIGHT_WHOLE = 100_000  # the vote weight of somebody who holds all tokens
#: How a pool's account is set up: no master key, rippling through it, no payments into it.
POOL_ACCOUNT_FLAGS = lines.DISABLE_MASTER | lines.DEFAULT_RIPPLE | lines.DEPOSIT_AUTH
_ADDRESS_ATTEMPTS = 256  # rippled View.cpp, pseudoAccountAddress
_SHARE_CURRENCY = b"\x03"  # the first byte of a share token's currency
_BAD_CURRENCY = "0000000000000000000000005852500000000000"  # a token that calls itself XRP

_TWO, _FOUR = Decimal(2), Decimal(4)


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """What moves between an account and a pool: assets one way, share tokens the other.

    second: None where only one asset moves.
    """

    first: Decimal
    second: Decimal | None
    tokens: Decimal


class Holdings(msgspec.Struct, frozen=True, kw_only=True):
    """A pool, its two assets in the order of the transaction. tokens: outstanding shares. fee: share of 1."""

    index: str
    account: str
    first: Asset
    second: Asset
    first_held: Decimal
    second_held: Decimal
    share: Asset
    tokens: Decimal
    fee: Decimal


# Arithmetic


def _root_down(value: Decimal) -> Decimal:
    """Return the square root as the server's `root2` finds it while it rounds everything down."""
    if value in (ZERO, ONE):
        return value
    shift = value.adjusted() + 1
    shift += shift % 2
    scaled = value.scaleb(-shift)
    # The starting point is the server's own fit of the root between 0 and 1 (Number.cpp).
    root = mul_down(add_down(mul_down(Decimal(-60), scaled), Decimal(144)), scaled)
    root = issued_div(add_down(root, Decimal(18)), Decimal(105), DOWN)
    last = before = ZERO
    while True:
        before, last = last, root
        root = issued_div(add_down(root, issued_div(scaled, root, DOWN)), _TWO, DOWN)
        if root in (last, before):
            return root.scaleb(shift // 2)


def first_tokens(one: Decimal, other: Decimal) -> Decimal:
    """Return the share tokens of a new pool, rounded down (ammLPTokens)."""
    return _root_down(mul_down(one, other))


def scaled_up(held: Decimal, part: Decimal, xrp: bool) -> Decimal:
    """Return held * part rounded up to the asset's unit."""
    product = mul_up(held, part)
    return whole_up(product) if xrp else product


def scaled_down(held: Decimal, part: Decimal, xrp: bool) -> Decimal:
    """Return held * part rounded down to the asset's unit."""
    return trimmed_down(mul_down(held, part), xrp=xrp)


def trimmed_down(value: Decimal, *, xrp: bool) -> Decimal:
    """Return `value` rounded down to the asset's unit."""
    return whole_down(value) if xrp else value


def equal_within(
    pool: Holdings,
    limits: tuple[Decimal, Decimal],
    share_of: Callable[[Holdings, Decimal, Decimal], tuple[Decimal, Decimal]],
    scaled: Callable[[Decimal, Decimal, bool], Decimal],
) -> Trade | str:
    """Return both assets in the pool's proportion, neither above its limit, or the code of a refusal.

    As much as the first limit allows if the second asset's part then fits its own, else the other way round
    (AMMDeposit.cpp and AMMWithdraw.cpp, equalDepositLimit and equalWithdrawLimit). share_of(pool, amount,
    held): the share tokens for an amount, and their part of all; scaled(held, part, xrp): an asset's part.
    """
    first, second = limits
    tokens, part = share_of(pool, first, pool.first_held)
    if not tokens:
        return "tecAMM_INVALID_TOKENS"
    other = scaled(pool.second_held, part, pool.second.is_xrp)
    if other <= second:
        return Trade(first=first, second=other, tokens=tokens)
    tokens, part = share_of(pool, second, pool.second_held)
    if not tokens:
        return "tecAMM_INVALID_TOKENS"
    other = scaled(pool.first_held, part, pool.first.is_xrp)
    return Trade(first=other, second=second, tokens=tokens) if other <= first else "tecAMM_FAILED"


def limits_of(fields: Mapping[str, Any]) -> tuple[Decimal, Decimal]:
    """Return the numbers of Amount and Amount2, zero for one that is not there."""
    return decimal_field(fields, "Amount") or ZERO, decimal_field(fields, "Amount2") or ZERO


def tidy_given(outstanding: Decimal, tokens: Decimal) -> Decimal:
    """Return the tokens by which `outstanding` really grows, rounded down (adjustLPTokens, deposit)."""
    return sub_down(add_down(outstanding, tokens), outstanding)


def tidy_taken(outstanding: Decimal, tokens: Decimal) -> Decimal:
    """Return the tokens by which `outstanding` really shrinks, rounded down (adjustLPTokens, withdraw)."""
    return add_down(sub_down(tokens, outstanding), outstanding)


def fee_factors(fee: Decimal) -> tuple[Decimal, Decimal]:
    """Return 1 - f and (1 - f/2) / (1 - f)."""
    kept = sub_near(ONE, fee)
    return kept, div_near(sub_near(ONE, div_near(fee, _TWO)), kept)


def larger_root(a: Decimal, b: Decimal, c: Decimal) -> Decimal | None:
    """Return (-b + sqrt(b^2 - 4ac)) / 2a, or None where there is no root (solveQuadraticEq)."""
    inner = sub_near(mul_near(b, b), mul_near(mul_near(_FOUR, a), c))
    if inner < 0 or not a:
        return None
    return div_near(add_near(-b, square_root(inner)), mul_near(_TWO, a))


def tokens_for_paying(held: Decimal, paid: Decimal, outstanding: Decimal, fee: Decimal) -> Decimal:
    """Return the tokens that `paid` of one asset gets, rounded down (lpTokensOut)."""
    kept, half = fee_factors(fee)
    part = div_near(paid, held)
    c = sub_near(square_root(add_near(mul_near(half, half), div_near(part, kept))), half)
    return mul_down(outstanding, div_near(sub_near(part, c), add_near(ONE, c)))


def payment_for_tokens(
    held: Decimal, outstanding: Decimal, tokens: Decimal, fee: Decimal, *, xrp: bool
) -> Decimal:
    """Return how much of one asset `tokens` cost, rounded up (ammAssetIn)."""
    kept, half = fee_factors(fee)
    part = div_near(tokens, outstanding)
    more = add_near(ONE, part)
    d = sub_near(half, div_near(part, more))
    a = div_near(ONE, mul_near(more, more))
    b = sub_near(div_near(mul_near(_TWO, d), more), div_near(ONE, kept))
    c = sub_near(mul_near(d, d), mul_near(half, half))
    return scaled_up(held, larger_root(a, b, c) or ZERO, xrp)


def tokens_for_drawing(held: Decimal, drawn: Decimal, outstanding: Decimal, fee: Decimal) -> Decimal:
    """Return the tokens that drawing `drawn` (at most `held`) of one asset costs, up (lpTokensIn)."""
    part = div_near(drawn, held)
    c = sub_near(add_near(mul_near(part, fee), _TWO), fee)
    root = square_root(max(sub_near(mul_near(c, c), mul_near(_FOUR, part)), ZERO))
    return mul_up(outstanding, div_near(sub_near(c, root), _TWO))


def drawing_for_tokens(
    held: Decimal, outstanding: Decimal, tokens: Decimal, fee: Decimal, *, xrp: bool
) -> Decimal:
    """Return how much of one asset `tokens` draw, rounded down (ammAssetOut)."""
    part = div_near(tokens, outstanding)
    above = sub_near(mul_near(part, part), mul_near(part, sub_near(_TWO, fee)))
    return scaled_down(held, div_near(above, sub_near(mul_near(part, fee), ONE)), xrp)


def fit_payment(held: Decimal, paid: Decimal, tokens: Decimal, pool: Holdings) -> Trade:
    """Return tokens and the payment that fits them, not above `paid` (adjustAssetInByTokens).

    held: what the pool has of the paid asset, its first.
    """
    xrp, out, fee = pool.first.is_xrp, pool.tokens, pool.fee
    needed = payment_for_tokens(held, out, tokens, fee, xrp=xrp)
    if needed > paid:
        less = sub_near(paid, sub_near(needed, paid))
        tokens = tidy_given(out, tokens_for_paying(held, less, out, fee))
        needed = payment_for_tokens(held, out, tokens, fee, xrp=xrp)
    return Trade(first=min(paid, needed), second=None, tokens=tokens)


def fit_drawing(held: Decimal, drawn: Decimal, tokens: Decimal, pool: Holdings) -> Trade:
    """Return tokens and the drawing that fits them, not above `drawn` (adjustAssetOutByTokens)."""
    xrp, out, fee = pool.first.is_xrp, pool.tokens, pool.fee
    given = drawing_for_tokens(held, out, tokens, fee, xrp=xrp)
    if given > drawn:
        less = sub_near(drawn, sub_near(given, drawn))
        tokens = tidy_taken(out, tokens_for_drawing(held, less, out, fee))
        given = drawing_for_tokens(held, out, tokens, fee, xrp=xrp)
    return Trade(first=min(drawn, given), second=None, tokens=tokens)


# Names and entries


def asset_from_wire(fields: Mapping[str, Any]) -> Asset:
    """Return the asset that an Asset field names."""
    return Asset(str(fields["currency"]), str(fields.get("issuer", "")))


def asset_to_wire(asset: Asset) -> dict[str, str]:
    """Return the asset as an Asset field has it."""
    return {"currency": "XRP"} if asset.is_xrp else {"currency": asset.currency, "issuer": asset.issuer}


def asset_order(asset: Asset) -> tuple[bytes, bytes]:
    """Return what assets are sorted by in a pool's entry: currency, then issuer; XRP comes first."""
    return keys.currency_bytes(asset.currency), keys.issuer_bytes(asset)


def share_currency(one: Asset, other: Asset) -> str:
    """Return the currency code of the pool's share token (AMMCore.cpp, ammLPTCurrency)."""
    currencies = sorted((keys.currency_bytes(one.currency), keys.currency_bytes(other.currency)))
    return (_SHARE_CURRENCY + keys.half(b"".join(currencies))[:19]).hex().upper()


def free_address(view: View, parent_hash: str, pool_index: str) -> str | None:
    """Return the address for a new pool's account, None if all that may be tried are taken.

    Made of the parent ledger's hash, so nobody can know it before (View.cpp, pseudoAccountAddress).
    """
    for attempt in range(_ADDRESS_ATTEMPTS):
        told = attempt.to_bytes(2, "big") + bytes.fromhex(parent_hash) + bytes.fromhex(pool_index)
        once = sha256(keys.half(told)).digest()
        address = keys.address_of(RIPEMD160.new(once).digest())
        if view.read(keys.account_root(address)) is None:
            return address
    return None


def pool_of(view: View, fields: Mapping[str, Any]) -> tuple[str, Entry | None]:
    """Return the index and the entry (None without one) of the pool that Asset and Asset2 name."""
    index = keys.amm(asset_from_wire(fields["Asset"]), asset_from_wire(fields["Asset2"]))
    return index, view.read(index)


def holdings_of(view: View, index: str, entry: Entry, first: Asset | None, fee_units: int) -> Holdings:
    """Return what a pool holds, `first` (None: as in the entry) before the other asset."""
    one, other = asset_from_wire(entry["Asset"]), asset_from_wire(entry["Asset2"])
    if first == other:
        one, other = other, one
    account, tokens = entry["Account"], entry["LPTokenBalance"]
    return Holdings(
        index=index,
        account=account,
        first=one,
        second=other,
        first_held=lines.balance(view, account, one),
        second_held=lines.balance(view, account, other),
        share=tokens.asset,
        tokens=tokens.value,
        fee=fee_share(fee_units),
    )


def start_fee(entry: Entry, account: str, fee_units: int, parent_close_time: int) -> None:
    """Give `account` the only vote and the auction slot of a pool (initializeFeeAuctionVote)."""
    vote: dict[str, Any] = {"Account": account, "VoteWeight": WEIGHT_WHOLE}
    if fee_units:
        vote["TradingFee"] = fee_units
    entry["VoteSlots"] = [{"VoteEntry": vote}]
    slot = dict(entry.get("AuctionSlot", {}))
    slot["Account"] = account
    slot["Expiration"] = parent_close_time + SLOT_SECONDS
    share = entry["LPTokenBalance"]
    slot["Price"] = {"currency": share.currency, "issuer": share.issuer, "value": "0"}
    entry["AuctionSlot"] = slot
    set_fee(entry, fee_units)


def set_fee(entry: Entry, fee_units: int) -> None:
    """Set a pool's fee and the slot holder's; a fee of zero is no field."""
    slot = dict(entry["AuctionSlot"])
    for owner, name, value in (
        (entry, "TradingFee", fee_units),
        (slot, "DiscountedFee", fee_units // DISCOUNT),
    ):
        if value:
            owner[name] = value
        else:
            owner.pop(name, None)
    entry["AuctionSlot"] = slot


# Checks and moves that the pool transactions share


def wrong_asset(asset: Asset, pair: tuple[Asset, Asset] | None = None) -> str:
    """Return what is wrong with an asset by itself, and with its not being of `pair` (invalidAMMAsset)."""
    if asset.currency.upper() == _BAD_CURRENCY:
        return "temBAD_CURRENCY"
    if asset.issuer and asset.currency == "XRP":
        return "temBAD_ISSUER"
    if pair is not None and asset not in pair:
        return "temBAD_AMM_TOKENS"
    return SUCCESS


def wrong_pair(one: Asset, other: Asset) -> str:
    """Return what is wrong with two assets as a pool's (invalidAMMAssetPair)."""
    if one == other:
        return "temBAD_AMM_TOKENS"
    result = wrong_asset(one)
    return result if result != SUCCESS else wrong_asset(other)


def wrong_amount(amount: Amount, pair: tuple[Asset, Asset] | None = None, *, zero: bool = False) -> str:
    """Return what is wrong with an amount (invalidAMMAmount). zero: it may be zero."""
    result = wrong_asset(asset_of(amount), pair)
    if result != SUCCESS:
        return result
    value = decimal_of(amount)
    return "temBAD_AMOUNT" if value < 0 or (not value and not zero) else SUCCESS


def wrong_amounts(
    fields: Mapping[str, Any], tokens: str, pair: tuple[Asset, Asset], *, first_may_be_zero: bool
) -> str:
    """Return what is wrong with Amount, Amount2 and the field `tokens`, whichever are there."""
    one, other, shares = fields.get("Amount"), fields.get("Amount2"), fields.get(tokens)
    if one is not None and other is not None and asset_of(one) == asset_of(other):
        return "temBAD_AMM_TOKENS"
    if shares is not None and decimal_of(shares) <= 0:
        return "temBAD_AMM_TOKENS"
    for amount, zero in ((one, first_may_be_zero), (other, False)):
        result = SUCCESS if amount is None else wrong_amount(amount, pair, zero=zero)
        if result != SUCCESS:
            return result
    return SUCCESS


def unauthorized(view: View, account: str, asset: Asset) -> str:
    """Return why `account` may not hold the token, tesSUCCESS if it may (View.cpp, requireAuth)."""
    issuer = asset.issuer
    if not issuer or issuer == account:
        return SUCCESS
    root = view.read(keys.account_root(issuer))
    if root is None or not root["Flags"] & lines.REQUIRE_AUTH:
        return SUCCESS
    line = view.read(keys.line(account, issuer, asset.currency))
    if line is None:
        return "tecNO_LINE"
    _, theirs = lines.ends(account, issuer)
    return SUCCESS if line["Flags"] & theirs.authorized else "tecNO_AUTH"


def individually_frozen(view: View, account: str, asset: Asset) -> bool:
    """True if the issuer has frozen the account's line (View.cpp, isIndividualFrozen)."""
    if not asset.issuer or asset.issuer == account:
        return False
    line = view.read(keys.line(account, asset.issuer, asset.currency))
    return line is not None and bool(line["Flags"] & lines.ends(account, asset.issuer)[1].freeze)


def frozen(view: View, account: str, asset: Asset) -> bool:
    """True if the issuer has frozen the token, for all or for `account` (View.cpp, isFrozen)."""
    return lines.is_globally_frozen(view, asset) or individually_frozen(view, account, asset)


def liquid_drops(view: View, account: str, rules: Rules, more: int) -> int:
    """Return the drops above the reserve with `more` entries owned than now (View.cpp, xrpLiquid)."""
    root = view.read(keys.account_root(account))
    if root is None:
        return 0
    balance: int = root["Balance"]
    return max(balance - rules.reserve(root["OwnerCount"] + more), 0)


def send(view: View, sender: str, receiver: str, asset: Asset, value: Decimal) -> None:
    """Move an amount without a transfer fee, a token through its issuer (View.cpp, accountSend).

    Raises InvariantViolation for XRP that the sender does not have.
    """
    if not value or sender == receiver:
        return
    if asset == XRP:
        lines.send_xrp(view, sender, receiver, int(value))
    elif asset.issuer in (sender, receiver):
        lines.credit(view, sender, receiver, asset, value)
    else:
        lines.credit(view, asset.issuer, receiver, asset, value)
        lines.credit(view, sender, asset.issuer, asset, value)


def decimal_field(fields: Mapping[str, Any], name: str) -> Decimal | None:
    """Return the number in an amount field, None without the field."""
    amount = fields.get(name)
    return None if amount is None else decimal_of(amount)
