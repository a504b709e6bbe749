"""AMMCreate: make a pool of two assets, with its account, its share token and its first vote.

Theory (rippled AMMCreate.cpp; View.cpp, createPseudoAccount). It costs the owner reserve as a fee. The
maker gets all shares, sqrt(a * b) of them, the only vote and the auction slot for a day. The pool's account
has no keys; its address comes from the parent ledger's hash, so nobody can be there before.
"""

from __future__ import annotations

from decimal import Decimal

from neo_engine.domain.assets import XRP, Asset
from neo_engine.domain.number import ZERO
from neo_engine.simulator.model import keys, lines, pools
from neo_engine.simulator.model.amounts import Amount, Token, asset_of, decimal_of
from neo_engine.simulator.model.context import Context, Handler, Rules
from neo_engine.simulator.model.fields import Entry
from neo_engine.simulator.model.owners import owner_add
from neo_engine.simulator.model.results import SUCCESS
from neo_engine.simulator.model.state import View
from neo_engine.simulator.model.tx import Tx


def _amounts(tx: Tx) -> tuple[Amount, Amount]:
    return tx.fields["Amount"], tx.fields["Amount2"]


def preflight(tx: Tx, rules: Rules) -> str:  # noqa: ARG001
    """Return what is wrong with the transaction alone."""
    if not {"Amount", "Amount2", "TradingFee"} <= tx.fields.keys():
        return "temMALFORMED"
    one, other = _amounts(tx)
    if asset_of(one) == asset_of(other):
        return "temBAD_AMM_TOKENS"
    for amount in (one, other):
        result = pools.wrong_amount(amount)
        if result != SUCCESS:
            return result
    return "temBAD_FEE" if tx.fields["TradingFee"] > pools.TRADING_FEE_MAX else SUCCESS


def preclaim(view: View, tx: Tx, rules: Rules) -> str:
    """Return what stands in the way in the state before: a pool, permission, freeze, funds."""
    one, other = (asset_of(amount) for amount in _amounts(tx))
    index = keys.amm(one, other)
    if view.read(index) is not None:
        return "tecDUPLICATE"
    for asset in (one, other):
        result = pools.unauthorized(view, tx.account, asset)
        if result != SUCCESS:
            return result
    if any(pools.frozen(view, tx.account, asset) for asset in (one, other)):
        return "tecFROZEN"
    if any(_no_default_ripple(view, asset) for asset in (one, other)):
        return "terNO_RIPPLE"
    if any(_short_of_funds(view, tx.account, amount, rules) for amount in _amounts(tx)):
        short = not pools.liquid_drops(view, tx.account, rules, 1)
        return "tecINSUF_RESERVE_LINE" if short else "tecUNFUNDED_AMM"
    if any("AMMID" in (view.read(keys.account_root(asset.issuer)) or {}) for asset in _issued(one, other)):
        return "tecAMM_INVALID_TOKENS"
    return SUCCESS


def _issued(*assets: Asset) -> tuple[Asset, ...]:
    return tuple(asset for asset in assets if asset.issuer)


def _no_default_ripple(view: View, asset: Asset) -> bool:
    root = view.read(keys.account_root(asset.issuer)) if asset.issuer else None
    return root is not None and not root["Flags"] & lines.DEFAULT_RIPPLE


def _short_of_funds(view: View, account: str, amount: Amount, rules: Rules) -> bool:
    """True if `account` cannot pay the amount and keep the reserve for the line to its shares."""
    liquid = pools.liquid_drops(view, account, rules, 1)
    if not liquid:
        return True
    if isinstance(amount, int):
        return liquid < amount
    if account == amount.issuer:
        return False
    held = lines.spendable(view, account, amount.asset, rules)
    return held is not None and held < amount.value


def apply(context: Context) -> str:
    """Make the pool's account and entry, pay the assets in and the shares out."""
    view, tx, rules = context.view, context.tx, context.rules
    one, other = _amounts(tx)
    index = keys.amm(asset_of(one), asset_of(other))
    address = pools.free_address(view, rules.parent_hash, index)
    if address is None:
        return "tecDUPLICATE"
    share = Asset(pools.share_currency(asset_of(one), asset_of(other)), address)
    tokens = pools.first_tokens(decimal_of(one), decimal_of(other))
    view.insert(keys.account_root(address), _account(address, index, rules.ledger_index))
    entry = _entry(address, asset_of(one), asset_of(other), Token(tokens, share.currency, address))
    pools.start_fee(entry, tx.account, tx.fields["TradingFee"], rules.parent_close_time)
    entry["OwnerNode"] = owner_add(view, address, index)
    view.insert(index, entry)
    pools.send(view, address, tx.account, share, tokens)
    for amount in (one, other):
        # The fee came off after the check of funds; the server's payment fails where that was too much.
        if isinstance(amount, int) and lines.balance(view, tx.account, XRP) < amount:
            return "tecFAILED_PROCESSING"
        _pay_in(view, tx.account, address, asset_of(amount), decimal_of(amount))
    return SUCCESS


def _account(address: str, index: str, ledger_index: int) -> Entry:
    return {
        "LedgerEntryType": "AccountRoot",
        "AMMID": index,
        "Account": address,
        "Balance": 0,
        "Flags": pools.POOL_ACCOUNT_FLAGS,
        "OwnerCount": 0,
        "Sequence": ledger_index,
    }


def _entry(address: str, one: Asset, other: Asset, tokens: Token) -> Entry:
    first, second = sorted((one, other), key=pools.asset_order)
    return {
        "LedgerEntryType": "AMM",
        "Account": address,
        "Asset": pools.asset_to_wire(first),
        "Asset2": pools.asset_to_wire(second),
        "Flags": 0,
        "LPTokenBalance": tokens,
    }


def _pay_in(view: View, account: str, address: str, asset: Asset, value: Decimal) -> None:
    pools.send(view, account, address, asset, value)
    if asset.issuer and value > ZERO:
        view.edit(keys.line(address, asset.issuer, asset.currency))["Flags"] |= lines.AMM_NODE


HANDLER = Handler(flags=0, preflight=preflight, preclaim=preclaim, apply=apply, fee_units=None)
