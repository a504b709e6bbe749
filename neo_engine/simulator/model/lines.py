"""Trust lines and balances: who holds what, what of it can be spent, and how value moves along a line.

Theory (rippled View.cpp). A token balance is no entry of its own: it stands in the trust line between a
holder and the issuer, seen from the account with the lower id, so the other end reads it with the sign
turned. A line belongs to the end whose settings are not the default: that end pays an owner reserve for
it. A line with nothing but defaults on both ends is removed.

1. Every change of a balance is rounded to 16 digits, half to even, when it is made (STAmount add).
2. `credit` moves value between a holder and the issuer only: a transfer is two credits, and a transfer
   fee is the difference between them.
3. An end's reserve is given back when its balance leaves the positive and nothing else keeps the line:
   no limit, no quality, no freeze, and NoRipple as its DefaultRipple says.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from neo_engine.domain.assets import Asset
from neo_engine.domain.errors import InvariantViolation
from neo_engine.domain.liquidity import PARITY
from neo_engine.domain.number import ZERO, issued_add, issued_sub
from neo_engine.domain.rounding import TICK_SIZE_OFF
from neo_engine.simulator.model import keys
from neo_engine.simulator.model.amounts import Token
from neo_engine.simulator.model.context import Rules
from neo_engine.simulator.model.fields import Entry
from neo_engine.simulator.model.owners import adjust_owner_count, owner_add, owner_remove
from neo_engine.simulator.model.state import View

# Flags of an AccountRoot (rippled LedgerFormats.h).
REQUIRE_DEST_TAG = 0x00020000
REQUIRE_AUTH = 0x00040000
DISALLOW_XRP = 0x00080000
DISABLE_MASTER = 0x00100000
NO_FREEZE = 0x00200000
GLOBAL_FREEZE = 0x00400000
DEFAULT_RIPPLE = 0x00800000
DEPOSIT_AUTH = 0x01000000
DISALLOW_INCOMING_TRUST_LINE = 0x20000000
ALLOW_CLAWBACK = 0x80000000

#: Flag of a line that a pool is an end of.
AMM_NODE = 0x01000000
#: Codes that no token may have: XRP's own, as text and as hex (rippled UintTypes.cpp, badCurrency).
_BAD_CURRENCIES = frozenset({"XRP", "0" * 24 + b"XRP".hex().upper() + "0" * 10, "0" * 40, ""})


def is_bad_currency(code: str) -> bool:
    """True for a token's code that would pass it off as XRP."""
    return code in _BAD_CURRENCIES


class End(NamedTuple):
    """The flags and fields of one end of a trust line."""

    reserve: int
    authorized: int
    no_ripple: int
    freeze: int
    deep_freeze: int
    limit: str
    node: str
    quality_in: str
    quality_out: str


LOW = End(
    0x00010000,
    0x00040000,
    0x00100000,
    0x00400000,
    0x02000000,
    *("LowLimit", "LowNode", "LowQualityIn", "LowQualityOut"),
)
HIGH = End(
    0x00020000,
    0x00080000,
    0x00200000,
    0x00800000,
    0x04000000,
    *("HighLimit", "HighNode", "HighQualityIn", "HighQualityOut"),
)


def is_low(account: str, peer: str) -> bool:
    """True if `account` is the low end of its line with `peer`."""
    return keys.account_id(account) < keys.account_id(peer)


def ends(account: str, peer: str) -> tuple[End, End]:
    """Return the ends of `account` and of `peer` in the line between them."""
    return (LOW, HIGH) if is_low(account, peer) else (HIGH, LOW)


def root_of(view: View, account: str) -> Entry:
    """Return an AccountRoot, not to be changed. Raises InvariantViolation if there is none."""
    root = view.read(keys.account_root(account))
    if root is None:
        raise InvariantViolation(f"account {account}: not in the ledger")
    return root


def line_balance(line: Entry, *, low: bool) -> Decimal:
    """Return a line's balance as its low or its high end sees it; negative where that end owes."""
    value: Decimal = line["Balance"].value
    return value if low else -value


def balance(view: View, account: str, asset: Asset) -> Decimal:
    """Return what `account` holds of `asset` by his line with its issuer, or all of his XRP in drops.

    Zero without a line or account, negative where he owes the issuer.
    """
    if asset.is_xrp:
        root = view.read(keys.account_root(account))
        return ZERO if root is None else Decimal(root["Balance"])
    line = view.read(keys.line(account, asset.issuer, asset.currency))
    return ZERO if line is None else line_balance(line, low=is_low(account, asset.issuer))


def spendable(view: View, account: str, asset: Asset, rules: Rules) -> Decimal | None:
    """Return what `account` can spend of `asset` now; never below zero, None for its issuer.

    XRP: what is above the reserve, of which a pool needs none (View.cpp, xrpLiquid). A token: the
    balance, ZERO where it is frozen (View.cpp, accountFunds).
    """
    if asset.is_xrp:
        root = view.read(keys.account_root(account))
        if root is None:
            return ZERO
        kept = 0 if "AMMID" in root else rules.reserve(root["OwnerCount"])
        return Decimal(max(root["Balance"] - kept, 0))
    if account == asset.issuer:
        return None
    held = balance(view, account, asset)
    return held if held > 0 and not is_frozen(view, account, asset) else ZERO


def transfer_rate(view: View, issuer: str) -> int:
    """Return an issuer's transfer rate in billionths, PARITY for none."""
    root = view.read(keys.account_root(issuer))
    return PARITY if root is None else root.get("TransferRate", PARITY)


def tick_size(view: View, asset: Asset) -> int:
    """Return the digits that rates in a book of the asset may have; 16 where its issuer sets none."""
    root = view.read(keys.account_root(asset.issuer)) if asset.issuer else None
    return TICK_SIZE_OFF if root is None else root.get("TickSize", TICK_SIZE_OFF)


def is_globally_frozen(view: View, asset: Asset) -> bool:
    """True if the asset's issuer has frozen all of it."""
    root = view.read(keys.account_root(asset.issuer)) if asset.issuer else None
    return root is not None and bool(root["Flags"] & GLOBAL_FREEZE)


def is_frozen(view: View, account: str, asset: Asset) -> bool:
    """True if `account` cannot spend the token: frozen by its issuer, or deep frozen by either end.

    A pool's share is frozen with any of the pool's two assets (View.cpp, isLPTokenFrozen).
    """
    issuer = asset.issuer
    if not issuer or account == issuer:
        return is_globally_frozen(view, asset)
    root = view.read(keys.account_root(issuer))
    if root is None:
        return False
    if root["Flags"] & GLOBAL_FREEZE:
        return True
    line = view.read(keys.line(account, issuer, asset.currency))
    if line is not None:
        _, theirs = ends(account, issuer)
        if line["Flags"] & (theirs.freeze | LOW.deep_freeze | HIGH.deep_freeze):
            return True
    return "AMMID" in root and _is_pool_frozen(view, account, root["AMMID"])


def _is_pool_frozen(view: View, account: str, pool_index: str) -> bool:
    pool = view.read(pool_index)
    if pool is None:
        return False
    held = (Asset(one["currency"], one.get("issuer", "")) for one in (pool["Asset"], pool["Asset2"]))
    return any(is_frozen(view, account, asset) for asset in held)


def is_blocked(view: View, source: str, target: str, currency: str) -> bool:
    """True if `target` takes nothing from `source` over their line (rippled StepChecks.h, checkFreeze).

    The target's global freeze, its freeze of the line, or a deep freeze by either end.
    """
    if root_of(view, target)["Flags"] & GLOBAL_FREEZE:
        return True
    line = view.read(keys.line(source, target, currency))
    _, theirs = ends(source, target)
    blocking = theirs.freeze | LOW.deep_freeze | HIGH.deep_freeze
    return line is not None and bool(line["Flags"] & blocking)


def has_no_ripple(view: View, account: str, peer: str, currency: str) -> bool:
    """True if `account` has set NoRipple on its line with `peer`."""
    line = view.read(keys.line(account, peer, currency))
    mine, _ = ends(account, peer)
    return line is not None and bool(line["Flags"] & mine.no_ripple)


def limit_room(view: View, account: str, asset: Asset) -> Decimal | None:
    """Return how much more of the asset `account` lets itself be given; None for XRP and the issuer."""
    if asset.is_xrp or account == asset.issuer:
        return None
    line = view.read(keys.line(account, asset.issuer, asset.currency))
    if line is None:
        return ZERO
    mine, _ = ends(account, asset.issuer)
    limit: Decimal = line[mine.limit].value
    return max(issued_sub(limit, line_balance(line, low=mine is LOW)), ZERO)


def send_xrp(view: View, sender: str, receiver: str, drops: int) -> None:
    """Move XRP. Raises InvariantViolation if the sender does not have it or an account is missing."""
    source = view.edit(keys.account_root(sender))
    if not 0 <= drops <= source["Balance"]:
        raise InvariantViolation(f"account {sender}: cannot send {drops} of {source['Balance']} drops")
    source["Balance"] -= drops
    view.edit(keys.account_root(receiver))["Balance"] += drops


def credit(view: View, sender: str, receiver: str, asset: Asset, value: Decimal) -> None:
    """Move `value` of a token from `sender` to `receiver`, of whom one is its issuer.

    Makes the receiver's line where there is none, gives a reserve back and removes the line where it
    returns to its default (View.cpp, rippleCredit, issueIOU, redeemIOU). Raises InvariantViolation for
    a negative value or if neither is the issuer.
    """
    if asset.issuer not in (sender, receiver) or sender == receiver or value < 0:
        raise InvariantViolation(f"line {sender} - {receiver}: cannot carry {value} of {asset}")
    index = keys.line(sender, receiver, asset.currency)
    if view.read(index) is None:
        unset = not root_of(view, receiver)["Flags"] & DEFAULT_RIPPLE
        create_line(view, receiver, sender, asset.currency, held=value, no_ripple=unset)
        return
    line = view.edit(index)
    low = is_low(sender, receiver)
    before = line_balance(line, low=low)
    after = issued_sub(before, value)
    old: Token = line["Balance"]
    line["Balance"] = Token(after if low else issued_sub(ZERO, after), old.currency, old.issuer)
    mine, theirs = (LOW, HIGH) if low else (HIGH, LOW)
    if before > 0 >= after and _keeps_nothing(view, line, sender, mine):
        adjust_owner_count(view, sender, -1)
        line["Flags"] &= ~mine.reserve
        if not after and not line["Flags"] & theirs.reserve:
            delete_line(view, index)


def _keeps_nothing(view: View, line: Entry, account: str, mine: End) -> bool:
    flags: int = line["Flags"]
    ripples = bool(root_of(view, account)["Flags"] & DEFAULT_RIPPLE)
    return (
        bool(flags & mine.reserve)
        and bool(flags & mine.no_ripple) != ripples
        and not flags & mine.freeze
        and not line[mine.limit].value
        and not line.get(mine.quality_in)
        and not line.get(mine.quality_out)
    )


def create_line(
    view: View,
    owner: str,
    peer: str,
    currency: str,
    *,
    no_ripple: bool,
    limit: Decimal = ZERO,
    held: Decimal = ZERO,
    flags: int = 0,
    quality_in: int = 0,
    quality_out: int = 0,
) -> str:
    """Make a line for which `owner` pays the reserve, and return its index (View.cpp, trustCreate).

    no_ripple, limit, qualities (billionths): the owner's. held: the balance as the owner sees it. flags:
    more flags of the line. The peer's NoRipple is as its DefaultRipple says.
    """
    mine, theirs = ends(owner, peer)
    index = keys.line(owner, peer, currency)
    flags |= mine.reserve | (mine.no_ripple if no_ripple else 0)
    if not root_of(view, peer)["Flags"] & DEFAULT_RIPPLE:
        flags |= theirs.no_ripple
    seen = issued_add(ZERO, held) if mine is LOW else issued_sub(ZERO, held)
    line: Entry = {
        "LedgerEntryType": "RippleState",
        "Flags": flags,
        "Balance": Token(seen, currency, keys.NEUTRAL_ISSUER),
        mine.limit: Token(limit, currency, owner),
        theirs.limit: Token(ZERO, currency, peer),
        mine.node: owner_add(view, owner, index),
        theirs.node: owner_add(view, peer, index),
    }
    if quality_in:
        line[mine.quality_in] = quality_in
    if quality_out:
        line[mine.quality_out] = quality_out
    view.insert(index, line)
    adjust_owner_count(view, owner, 1)
    return index


def delete_line(view: View, index: str) -> None:
    """Remove a line from the ledger and both directories; owner counts are not touched (trustDelete)."""
    line = view.read(index)
    if line is None:
        raise InvariantViolation(f"line {index}: not in the ledger")
    owner_remove(view, line["LowLimit"].issuer, line["LowNode"], index)
    owner_remove(view, line["HighLimit"].issuer, line["HighNode"], index)
    view.erase(index)
