"""AccountSet: an account's flags and settings (rippled SetAccount.cpp).

The model has no regular keys and signer lists of its own, so every signature counts as the master key's,
and that key can only be disabled in an account that came from a recording with a RegularKey.
Delegated transactions answer temDISABLED.
"""

from __future__ import annotations

from typing import NamedTuple

from neo_engine.domain.liquidity import PARITY
from neo_engine.domain.rounding import TICK_SIZE_MIN, TICK_SIZE_OFF
from neo_engine.simulator.model import keys, lines
from neo_engine.simulator.model.context import Context, Handler, Rules
from neo_engine.simulator.model.fields import Entry
from neo_engine.simulator.model.owners import directory_entries
from neo_engine.simulator.model.results import SUCCESS
from neo_engine.simulator.model.state import View
from neo_engine.simulator.model.tx import Tx

# Values of SetFlag and ClearFlag (rippled TxFlags.h).
ASF_REQUIRE_DEST = 1
ASF_REQUIRE_AUTH = 2
ASF_DISALLOW_XRP = 3
ASF_DISABLE_MASTER = 4
ASF_ACCOUNT_TXN_ID = 5
ASF_NO_FREEZE = 6
ASF_GLOBAL_FREEZE = 7
ASF_DEFAULT_RIPPLE = 8
ASF_DEPOSIT_AUTH = 9
ASF_NFTOKEN_MINTER = 10
ASF_ALLOW_CLAWBACK = 16

#: Flags that are set and cleared with nothing else to it: SetFlag value -> flag of the AccountRoot.
_PLAIN = {
    ASF_DEFAULT_RIPPLE: lines.DEFAULT_RIPPLE,
    ASF_DEPOSIT_AUTH: lines.DEPOSIT_AUTH,
    12: 0x04000000,  # DisallowIncomingNFTokenOffer
    13: 0x08000000,  # DisallowIncomingCheck
    14: 0x10000000,  # DisallowIncomingPayChan
    15: lines.DISALLOW_INCOMING_TRUST_LINE,
    17: 0x40000000,  # AllowTrustLineLocking
}


class _Legacy(NamedTuple):
    """A flag that the transaction's own Flags may set or clear too."""

    value: int
    sets: int
    clears: int
    flag: int


_LEGACY = (
    _Legacy(ASF_REQUIRE_DEST, 0x00010000, 0x00020000, lines.REQUIRE_DEST_TAG),
    _Legacy(ASF_REQUIRE_AUTH, 0x00040000, 0x00080000, lines.REQUIRE_AUTH),
    _Legacy(ASF_DISALLOW_XRP, 0x00100000, 0x00200000, lines.DISALLOW_XRP),
)
_TX_FLAGS = 0x003F0000
_MAX_DOMAIN_DIGITS = 2 * 256  # bytes as hex
#: Hex digits and first two digits of a public key that MessageKey may hold (PublicKey.cpp).
_KEY_DIGITS = 66
_KEY_PREFIXES = frozenset({"02", "03", "ED"})
_HASHES = frozenset({"EmailHash", "WalletLocator"})
_KEPT_TEXTS = ("EmailHash", "WalletLocator", "MessageKey", "Domain")


def _asks(tx: Tx, legacy: _Legacy) -> tuple[bool, bool]:
    """Return whether the transaction sets, and whether it clears, a legacy flag."""
    set_flag, clear_flag = tx.fields.get("SetFlag", 0), tx.fields.get("ClearFlag", 0)
    return (
        bool(tx.flags & legacy.sets) or set_flag == legacy.value,
        bool(tx.flags & legacy.clears) or clear_flag == legacy.value,
    )


def preflight(tx: Tx, rules: Rules) -> str:  # noqa: ARG001
    """Return what is wrong with the transaction alone."""
    fields = tx.fields
    if "Delegate" in fields:
        return "temDISABLED"
    set_flag, clear_flag = fields.get("SetFlag", 0), fields.get("ClearFlag", 0)
    if set_flag and set_flag == clear_flag:
        return "temINVALID_FLAG"
    if any(all(_asks(tx, legacy)) for legacy in _LEGACY):
        return "temINVALID_FLAG"
    rate = fields.get("TransferRate", 0)
    if rate and not PARITY <= rate <= 2 * PARITY:
        return "temBAD_TRANSFER_RATE"
    tick = fields.get("TickSize", 0)
    if tick and not TICK_SIZE_MIN <= tick <= TICK_SIZE_OFF:
        return "temBAD_TICK_SIZE"
    key = str(fields.get("MessageKey", "")).upper()
    if key and (len(key) != _KEY_DIGITS or key[:2] not in _KEY_PREFIXES):
        return "telBAD_PUBLIC_KEY"
    if len(fields.get("Domain", "")) > _MAX_DOMAIN_DIGITS:
        return "telBAD_DOMAIN"
    minter = "NFTokenMinter" in fields
    if (set_flag == ASF_NFTOKEN_MINTER and not minter) or (clear_flag == ASF_NFTOKEN_MINTER and minter):
        return "temMALFORMED"
    return SUCCESS


def preclaim(view: View, tx: Tx, rules: Rules) -> str:  # noqa: ARG001
    """Return what stands in the way in the state before."""
    flags = lines.root_of(view, tx.account)["Flags"]
    set_flag = tx.fields.get("SetFlag", 0)
    owns = any(True for _ in directory_entries(view, keys.owner_directory(tx.account)))
    wants_auth, _ = _asks(tx, _LEGACY[1])
    if wants_auth and not flags & lines.REQUIRE_AUTH and owns:
        return "tecOWNERS"
    if set_flag == ASF_ALLOW_CLAWBACK:
        if flags & lines.NO_FREEZE:
            return "tecNO_PERMISSION"
        if owns:
            return "tecOWNERS"
    if set_flag == ASF_NO_FREEZE and flags & lines.ALLOW_CLAWBACK:
        return "tecNO_PERMISSION"
    return SUCCESS


def apply(context: Context) -> str:
    """Set what the transaction names."""
    tx = context.tx
    root = context.view.edit(keys.account_root(tx.account))
    set_flag = tx.fields.get("SetFlag", 0)
    if (
        set_flag == ASF_DISABLE_MASTER
        and not root["Flags"] & lines.DISABLE_MASTER
        and "RegularKey" not in root
    ):
        return "tecNO_ALTERNATIVE_KEY"
    root["Flags"] = _new_flags(tx, root["Flags"])
    clear_flag = tx.fields.get("ClearFlag", 0)
    if set_flag == ASF_ACCOUNT_TXN_ID and "AccountTxnID" not in root:
        root["AccountTxnID"] = "0" * 64
    elif clear_flag == ASF_ACCOUNT_TXN_ID:
        root.pop("AccountTxnID", None)
    for name in _KEPT_TEXTS:
        if name in tx.fields:
            _keep(root, name, tx.fields[name], unset=_is_empty(name, tx.fields[name]))
    if "TransferRate" in tx.fields:
        rate = tx.fields["TransferRate"]
        _keep(root, "TransferRate", rate, unset=rate in (0, PARITY))
    if "TickSize" in tx.fields:
        tick = tx.fields["TickSize"]
        _keep(root, "TickSize", tick, unset=tick in (0, TICK_SIZE_OFF))
    if set_flag == ASF_NFTOKEN_MINTER:
        root["NFTokenMinter"] = tx.fields["NFTokenMinter"]
    elif clear_flag == ASF_NFTOKEN_MINTER:
        root.pop("NFTokenMinter", None)
    return SUCCESS


def _is_empty(name: str, value: str) -> bool:
    """True for no text, and for a hash of zeros only."""
    return not value or (name in _HASHES and not value.strip("0"))


def _keep(root: Entry, name: str, value: object, *, unset: bool) -> None:
    if unset:
        root.pop(name, None)
    else:
        root[name] = value


def _new_flags(tx: Tx, flags: int) -> int:
    set_flag, clear_flag = tx.fields.get("SetFlag", 0), tx.fields.get("ClearFlag", 0)
    for legacy in _LEGACY:
        sets, clears = _asks(tx, legacy)
        flags = flags | legacy.flag if sets else flags
        flags = flags & ~legacy.flag if clears else flags
    if set_flag == ASF_DISABLE_MASTER:
        flags |= lines.DISABLE_MASTER
    elif clear_flag == ASF_DISABLE_MASTER:
        flags &= ~lines.DISABLE_MASTER
    if set_flag == ASF_NO_FREEZE:
        flags |= lines.NO_FREEZE
    # Who has given up freezing may still freeze everything once, but then for good.
    if set_flag == ASF_GLOBAL_FREEZE:
        flags |= lines.GLOBAL_FREEZE
    elif clear_flag == ASF_GLOBAL_FREEZE and not flags & lines.NO_FREEZE:
        flags &= ~lines.GLOBAL_FREEZE
    if set_flag == ASF_ALLOW_CLAWBACK:
        flags |= lines.ALLOW_CLAWBACK
    return flags & ~_PLAIN.get(clear_flag, 0) | _PLAIN.get(set_flag, 0)


HANDLER = Handler(flags=_TX_FLAGS, preflight=preflight, preclaim=preclaim, apply=apply)
