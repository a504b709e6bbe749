"""TrustSet: one end of a trust line: its limit, qualities and flags (rippled SetTrust.cpp).

A line is made when something but the default is asked for, and removed when both ends are back at their
defaults and nothing is owed. The first two entries an account owns need no reserve for a line.
Delegated transactions answer temDISABLED.
"""

from __future__ import annotations

from decimal import Decimal

from neo_engine.domain.liquidity import PARITY
from neo_engine.domain.number import ZERO
from neo_engine.simulator.model import keys, lines
from neo_engine.simulator.model.amounts import Token
from neo_engine.simulator.model.context import Context, Handler, Rules
from neo_engine.simulator.model.fields import Entry
from neo_engine.simulator.model.lines import End
from neo_engine.simulator.model.owners import adjust_owner_count
from neo_engine.simulator.model.results import SUCCESS
from neo_engine.simulator.model.state import View
from neo_engine.simulator.model.tx import Tx

SET_AUTH = 0x00010000
SET_NO_RIPPLE = 0x00020000
CLEAR_NO_RIPPLE = 0x00040000
SET_FREEZE = 0x00100000
CLEAR_FREEZE = 0x00200000
SET_DEEP_FREEZE = 0x00400000
CLEAR_DEEP_FREEZE = 0x00800000
_ALL = SET_AUTH | SET_NO_RIPPLE | CLEAR_NO_RIPPLE
_FLAGS = _ALL | SET_FREEZE | CLEAR_FREEZE | SET_DEEP_FREEZE | CLEAR_DEEP_FREEZE
FREE_ENTRIES = 2  # owned entries up to which a new line needs no reserve


def preflight(tx: Tx, rules: Rules) -> str:  # noqa: ARG001
    """Return what is wrong with the transaction alone."""
    if "Delegate" in tx.fields:
        return "temDISABLED"
    limit = tx.fields["LimitAmount"]
    if isinstance(limit, int):
        return "temBAD_LIMIT"
    if lines.is_bad_currency(limit.currency):
        return "temBAD_CURRENCY"
    if limit.value < 0:
        return "temBAD_LIMIT"
    return "temDST_NEEDED" if limit.issuer in (keys.XRP_ISSUER, keys.NEUTRAL_ISSUER) else SUCCESS


def preclaim(view: View, tx: Tx, rules: Rules) -> str:  # noqa: ARG001
    """Return what stands in the way in the state before."""
    limit: Token = tx.fields["LimitAmount"]
    flags = lines.root_of(view, tx.account)["Flags"]
    if tx.flags & SET_AUTH and not flags & lines.REQUIRE_AUTH:
        return "tefNO_AUTH_REQUIRED"
    if tx.account == limit.issuer:
        return "temDST_IS_SRC"
    peer = view.read(keys.account_root(limit.issuer))
    if peer is None:
        return "tecNO_DST"
    line = view.read(keys.line(tx.account, limit.issuer, limit.currency))
    if line is None:
        if peer["Flags"] & lines.DISALLOW_INCOMING_TRUST_LINE:
            return "tecNO_PERMISSION"
        if "AMMID" in peer:
            result = _pool_problem(view, peer["AMMID"], limit.currency)
            if result != SUCCESS:
                return result
    return _freeze_problem(tx, flags, line)


def _pool_problem(view: View, pool_index: str, currency: str) -> str:
    """Return why no line may be made to a pool: only one for its shares, and while it is not empty."""
    pool = view.read(pool_index)
    if pool is None:
        return "tecINTERNAL"
    shares: Token = pool["LPTokenBalance"]
    if not shares.value:
        return "tecAMM_EMPTY"
    return SUCCESS if shares.currency == currency else "tecNO_PERMISSION"


def _freeze_problem(tx: Tx, account_flags: int, line: Entry | None) -> str:
    sets = tx.flags & (SET_FREEZE | SET_DEEP_FREEZE)
    if sets and account_flags & lines.NO_FREEZE:
        return "tecNO_PERMISSION"
    if sets and tx.flags & (CLEAR_FREEZE | CLEAR_DEEP_FREEZE):
        return "tecNO_PERMISSION"
    mine, _ = lines.ends(tx.account, tx.fields["LimitAmount"].issuer)
    after = _frozen(tx, line["Flags"] if line else 0, mine, account_flags)
    deep_alone = after & mine.deep_freeze and not after & mine.freeze
    return "tecNO_PERMISSION" if deep_alone else SUCCESS


def _frozen(tx: Tx, flags: int, mine: End, account_flags: int) -> int:
    """Return the line's flags with the freezes that the transaction asks for."""
    may = not account_flags & lines.NO_FREEZE
    for sets, clears, flag in (
        (SET_FREEZE, CLEAR_FREEZE, mine.freeze),
        (SET_DEEP_FREEZE, CLEAR_DEEP_FREEZE, mine.deep_freeze),
    ):
        setting, clearing = bool(tx.flags & sets), bool(tx.flags & clears)
        if setting and not clearing and may:
            flags |= flag
        elif clearing and not setting:
            flags &= ~flag
    return flags


def apply(context: Context) -> str:
    """Make, change or remove the line."""
    view, tx = context.view, context.tx
    limit: Token = tx.fields["LimitAmount"]
    owned = lines.root_of(view, tx.account)["OwnerCount"]
    needed = 0 if owned < FREE_ENTRIES else context.rules.reserve(owned + 1)
    may_own_more = context.prior_balance >= needed
    index = keys.line(tx.account, limit.issuer, limit.currency)
    if view.read(index) is not None:
        return _change(view, tx, index, may_own_more=may_own_more)
    quality_in, quality_out = tx.fields.get("QualityIn", 0), _quality_out(tx)
    if not (limit.value or quality_in or tx.fields.get("QualityOut") or tx.flags & SET_AUTH):
        return "tecNO_LINE_REDUNDANT"
    if not may_own_more:
        return "tecNO_LINE_INSUF_RESERVE"
    mine, _ = lines.ends(tx.account, limit.issuer)
    flags = _frozen(tx, mine.authorized if tx.flags & SET_AUTH else 0, mine, 0)
    lines.create_line(
        view,
        tx.account,
        limit.issuer,
        limit.currency,
        no_ripple=bool(tx.flags & SET_NO_RIPPLE) and not tx.flags & CLEAR_NO_RIPPLE,
        limit=limit.value,
        flags=flags,
        quality_in=quality_in,
        quality_out=quality_out,
    )
    return SUCCESS


def _quality_out(tx: Tx) -> int:
    quality: int = tx.fields.get("QualityOut", 0)
    return 0 if quality == PARITY else quality


def _change(view: View, tx: Tx, index: str, *, may_own_more: bool) -> str:
    limit: Token = tx.fields["LimitAmount"]
    mine, theirs = lines.ends(tx.account, limit.issuer)
    line = view.edit(index)
    line[mine.limit] = Token(limit.value, limit.currency, tx.account)
    if "QualityIn" in tx.fields:
        _set_quality(line, mine.quality_in, tx.fields["QualityIn"])
    if "QualityOut" in tx.fields:
        _set_quality(line, mine.quality_out, _quality_out(tx))
    flags: int = line["Flags"]
    held = lines.line_balance(line, low=mine is lines.LOW)
    if tx.flags & SET_NO_RIPPLE and not tx.flags & CLEAR_NO_RIPPLE:
        if held < 0:
            return "tecNO_PERMISSION"
        flags |= mine.no_ripple
    elif tx.flags & CLEAR_NO_RIPPLE and not tx.flags & SET_NO_RIPPLE:
        flags &= ~mine.no_ripple
    flags = _frozen(tx, flags, mine, lines.root_of(view, tx.account)["Flags"])
    line["Flags"] = flags
    owns_now = _is_kept(view, line, tx.account, mine, held)
    peer_owns_now = _is_kept(view, line, limit.issuer, theirs, -held)
    if tx.flags & SET_AUTH:
        line["Flags"] |= mine.authorized
    owned_before = bool(flags & mine.reserve)
    _settle(view, line, tx.account, mine, owns=owns_now)
    _settle(view, line, limit.issuer, theirs, owns=peer_owns_now)
    if not (owns_now or peer_owns_now):
        lines.delete_line(view, index)
        return SUCCESS
    if owns_now and not owned_before and not may_own_more:
        return "tecINSUF_RESERVE_LINE"
    return SUCCESS


def _set_quality(line: Entry, name: str, quality: int) -> None:
    if quality:
        line[name] = quality
    else:
        line.pop(name, None)


def _is_kept(view: View, line: Entry, account: str, end: End, held: Decimal) -> bool:
    """True if this end is not at its default, so that its account owns the line."""
    flags: int = line["Flags"]
    ripples = bool(lines.root_of(view, account)["Flags"] & lines.DEFAULT_RIPPLE)
    return (
        line.get(end.quality_in, 0) not in (0, PARITY)
        or line.get(end.quality_out, 0) not in (0, PARITY)
        or (not flags & end.no_ripple) != ripples
        or bool(flags & end.freeze)
        or bool(line[end.limit].value)
        or held > ZERO
    )


def _settle(view: View, line: Entry, account: str, end: End, *, owns: bool) -> None:
    """Give or take the reserve of one end."""
    owned = bool(line["Flags"] & end.reserve)
    if owns and not owned:
        adjust_owner_count(view, account, 1)
        line["Flags"] |= end.reserve
    elif owned and not owns:
        adjust_owner_count(view, account, -1)
        line["Flags"] &= ~end.reserve


HANDLER = Handler(flags=_FLAGS, preflight=preflight, preclaim=preclaim, apply=apply)
