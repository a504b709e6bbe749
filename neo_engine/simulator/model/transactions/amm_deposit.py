"""AMMDeposit: pay one or both assets of a pool in, and get share tokens for them.

Theory (rippled AMMDeposit.cpp, AMMHelpers.cpp; XLS-30 sections on deposit). One flag says what the fields
mean; B, b are an asset held and paid, T, t the tokens outstanding and given:

    tfLPToken           t given; both assets t/T of what is held; Amount, Amount2 the least paid
    tfTwoAsset          Amount, Amount2 the most paid; as much as the scarcer allows
    tfSingleAsset       Amount paid; LPTokenOut the least got
    tfOneAssetLPToken   t given; Amount the most paid
    tfLimitLPToken      Amount paid if a token then costs EPrice at most; else as much as makes it cost that
    tfTwoAssetIfEmpty   Amount, Amount2 start a pool that has no tokens left

Tokens are rounded down and payments up; a payment is fitted to the tokens that 16 digits of T can hold.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from neo_engine.domain.assets import Asset
from neo_engine.domain.number import DOWN, ONE, ZERO, issued_div
from neo_engine.domain.steps import add_near, div_near, mul_near, rate_of, sub_near
from neo_engine.simulator.model import keys, lines, pools
from neo_engine.simulator.model.amounts import Token, asset_of
from neo_engine.simulator.model.context import Context, Handler, Rules
from neo_engine.simulator.model.fields import Entry
from neo_engine.simulator.model.market import pool_fee
from neo_engine.simulator.model.pools import Holdings, Trade, decimal_field
from neo_engine.simulator.model.results import SUCCESS
from neo_engine.simulator.model.state import View
from neo_engine.simulator.model.tx import Tx

LP_TOKEN = 0x00010000
SINGLE_ASSET = 0x00080000
TWO_ASSET = 0x00100000
ONE_ASSET_LP_TOKEN = 0x00200000
LIMIT_LP_TOKEN = 0x00400000
TWO_ASSET_IF_EMPTY = 0x00800000

#: Flag -> the fields it needs, and those it may have besides (AMMDeposit.cpp, preflight).
_FORMS: dict[int, tuple[frozenset[str], frozenset[str]]] = {
    LP_TOKEN: (frozenset({"LPTokenOut"}), frozenset({"Amount", "Amount2"})),
    SINGLE_ASSET: (frozenset({"Amount"}), frozenset({"LPTokenOut"})),
    TWO_ASSET: (frozenset({"Amount", "Amount2"}), frozenset({"LPTokenOut"})),
    ONE_ASSET_LP_TOKEN: (frozenset({"Amount", "LPTokenOut"}), frozenset()),
    LIMIT_LP_TOKEN: (frozenset({"Amount", "EPrice"}), frozenset()),
    TWO_ASSET_IF_EMPTY: (frozenset({"Amount", "Amount2"}), frozenset({"TradingFee"})),
}
_FLAGS = sum(_FORMS)
_FIELDS = frozenset({"Amount", "Amount2", "EPrice", "LPTokenOut", "TradingFee"})


def preflight(tx: Tx, rules: Rules) -> str:  # noqa: ARG001
    """Return what is wrong with the transaction alone."""
    fields = tx.fields
    given = _FIELDS & fields.keys()
    form = _FORMS.get(tx.flags & _FLAGS)
    if form is None or not form[0] <= given <= form[0] | form[1] or not {"Asset", "Asset2"} <= fields.keys():
        return "temMALFORMED"
    if tx.flags & LP_TOKEN and ("Amount" in given) != ("Amount2" in given):
        return "temMALFORMED"
    pair = (pools.asset_from_wire(fields["Asset"]), pools.asset_from_wire(fields["Asset2"]))
    result = pools.wrong_pair(*pair)
    if result != SUCCESS:
        return result
    result = pools.wrong_amounts(fields, "LPTokenOut", pair, first_may_be_zero="EPrice" in given)
    if result != SUCCESS:
        return result
    if "EPrice" in given:
        paid = asset_of(fields["Amount"])
        result = pools.wrong_amount(fields["EPrice"], (paid, paid))
        if result != SUCCESS:
            return result
    return "temBAD_FEE" if fields.get("TradingFee", 0) > pools.TRADING_FEE_MAX else SUCCESS


def preclaim(view: View, tx: Tx, rules: Rules) -> str:
    """Return what stands in the way in the state before: the pool, permission, freeze, funds, reserve."""
    index, entry = pools.pool_of(view, tx.fields)
    if entry is None:
        return "terNO_AMM"
    pool = pools.holdings_of(view, index, entry, pools.asset_from_wire(tx.fields["Asset"]), 0)
    for check in (_wrong_fill, _barred, _unpayable):
        result = check(view, tx, pool, rules)
        if result != SUCCESS:
            return result
    wanted = tx.fields.get("LPTokenOut")
    if wanted is not None and asset_of(wanted) != pool.share:
        return "temBAD_AMM_TOKENS"
    if not lines.balance(view, tx.account, pool.share) and not pools.liquid_drops(view, tx.account, rules, 1):
        return "tecINSUF_RESERVE_LINE"
    return SUCCESS


def _wrong_fill(view: View, tx: Tx, pool: Holdings, rules: Rules) -> str:  # noqa: ARG001
    """Return what is wrong with the pool's being empty or not."""
    if tx.flags & TWO_ASSET_IF_EMPTY:
        return "tecAMM_NOT_EMPTY" if pool.tokens else SUCCESS
    return SUCCESS if pool.tokens else "tecAMM_EMPTY"


def _barred(view: View, tx: Tx, pool: Holdings, rules: Rules) -> str:  # noqa: ARG001
    """Return why the sender may not deposit at all: either asset unauthorised or frozen (AMMClawback)."""
    for asset in (pool.first, pool.second):
        result = pools.unauthorized(view, tx.account, asset)
        if result != SUCCESS:
            return result
        if pools.frozen(view, tx.account, asset):
            return "tecFROZEN"
    return SUCCESS


def _unpayable(view: View, tx: Tx, pool: Holdings, rules: Rules) -> str:
    """Return why what is to be paid cannot be: frozen in the pool, or more than the account has."""
    if tx.flags & LP_TOKEN:
        barred = any(pools.frozen(view, pool.account, asset) for asset in (pool.first, pool.second))
        return "tecFROZEN" if barred else SUCCESS
    for amount in (tx.fields.get("Amount"), tx.fields.get("Amount2")):
        if amount is None:
            continue
        if pools.frozen(view, pool.account, asset_of(amount)):
            return "tecFROZEN"
        value = Decimal(amount) if isinstance(amount, int) else amount.value
        if _has(view, tx.account, pool, rules, (asset_of(amount), value)):
            continue
        shares = view.read(keys.line(tx.account, pool.account, pool.share.currency))
        return "tecINSUF_RESERVE_LINE" if isinstance(amount, int) and shares is None else "tecUNFUNDED_AMM"
    return SUCCESS


def _has(view: View, account: str, pool: Holdings, rules: Rules, amount: tuple[Asset, Decimal]) -> bool:
    """True if `account` can pay the amount and keep the reserve for a line to its shares."""
    asset, value = amount
    if asset.is_xrp:
        shares = view.read(keys.line(account, pool.account, pool.share.currency))
        return pools.liquid_drops(view, account, rules, int(shares is None)) >= value
    return account == asset.issuer or lines.balance(view, account, asset) >= value


def _equal_for_tokens(tx: Tx, pool: Holdings) -> Trade | str:
    tokens = pools.tidy_given(pool.tokens, tx.fields["LPTokenOut"].value)
    if not tokens:
        return "tecAMM_INVALID_TOKENS"
    part = rate_of(tokens, pool.tokens)
    return Trade(
        first=pools.scaled_up(pool.first_held, part, pool.first.is_xrp),
        second=pools.scaled_up(pool.second_held, part, pool.second.is_xrp),
        tokens=tokens,
    )


def _equal_within(tx: Tx, pool: Holdings) -> Trade | str:
    return pools.equal_within(pool, pools.limits_of(tx.fields), _part_given, pools.scaled_up)


def _part_given(pool: Holdings, paid: Decimal, held: Decimal) -> tuple[Decimal, Decimal]:
    """Return the tokens for paying `paid` of `held`, and the share of all tokens they are."""
    tokens = pools.tidy_given(pool.tokens, pools.scaled_down(pool.tokens, div_near(paid, held), False))
    return tokens, div_near(tokens, pool.tokens)


def _single(tx: Tx, pool: Holdings) -> Trade | str:
    paid = decimal_field(tx.fields, "Amount") or ZERO
    tokens = pools.tokens_for_paying(pool.first_held, paid, pool.tokens, pool.fee)
    tokens = pools.tidy_given(pool.tokens, tokens)
    if tokens <= 0:
        return "tecAMM_INVALID_TOKENS"
    trade = pools.fit_payment(pool.first_held, paid, tokens, pool)
    return trade if trade.tokens else "tecAMM_INVALID_TOKENS"


def _single_for_tokens(tx: Tx, pool: Holdings) -> Trade | str:
    tokens = pools.tidy_given(pool.tokens, tx.fields["LPTokenOut"].value)
    if not tokens:
        return "tecAMM_INVALID_TOKENS"
    xrp = pool.first.is_xrp
    cost = pools.payment_for_tokens(pool.first_held, pool.tokens, tokens, pool.fee, xrp=xrp)
    if cost > (decimal_field(tx.fields, "Amount") or ZERO):
        return "tecAMM_FAILED"
    return Trade(first=cost, second=None, tokens=tokens)


def _single_at_price(tx: Tx, pool: Holdings) -> Trade | str:
    price = decimal_field(tx.fields, "EPrice") or ZERO
    if decimal_field(tx.fields, "Amount"):
        trade = _single(tx, pool)
        if isinstance(trade, str) or div_near(trade.first, trade.tokens) <= price:
            return trade
    part = _part_at_price(pool, price)
    if part is None:
        return "tefEXCEPTION"
    paid = pools.scaled_up(pool.first_held, part, pool.first.is_xrp)
    if paid <= 0:
        return "tecAMM_FAILED"
    tokens = pools.tidy_given(pool.tokens, issued_div(paid, price, DOWN))
    trade = pools.fit_payment(pool.first_held, paid, tokens, pool)
    return trade if trade.tokens else "tecAMM_INVALID_TOKENS"


def _part_at_price(pool: Holdings, price: Decimal) -> Decimal | None:
    """Return the part of what is held that makes a token cost `price`; None where no part does.

    With c = (1-f) B / (E T) and g = (1-f/2) / (1-f) it is (1-f) x of
    c^2 x^2 + (c^2 g^2 + 2c - d^2) x + 2c g^2 + 1 - 2dg = 0,  d = 1-f + cg - c (singleDepositEPrice).
    """
    two = Decimal(2)
    kept, half = pools.fee_factors(pool.fee)
    c = div_near(mul_near(kept, pool.first_held), mul_near(price, pool.tokens))
    d = sub_near(add_near(kept, mul_near(c, half)), c)
    squared = mul_near(c, c)
    slope = add_near(mul_near(mul_near(squared, half), half), mul_near(two, c))
    start = add_near(mul_near(mul_near(mul_near(two, c), half), half), ONE)
    root = pools.larger_root(
        squared, sub_near(slope, mul_near(d, d)), sub_near(start, mul_near(mul_near(two, d), half))
    )
    return None if root is None else mul_near(kept, root)


def _start_again(tx: Tx, pool: Holdings) -> Trade | str:  # noqa: ARG001
    first, second = decimal_field(tx.fields, "Amount") or ZERO, decimal_field(tx.fields, "Amount2") or ZERO
    return Trade(first=first, second=second, tokens=pools.first_tokens(first, second))


_TRADES: dict[int, Callable[[Tx, Holdings], Trade | str]] = {
    LP_TOKEN: _equal_for_tokens,
    SINGLE_ASSET: _single,
    TWO_ASSET: _equal_within,
    ONE_ASSET_LP_TOKEN: _single_for_tokens,
    LIMIT_LP_TOKEN: _single_at_price,
    TWO_ASSET_IF_EMPTY: _start_again,
}


def apply(context: Context) -> str:
    """Work out the trade, pay the assets in and the tokens out."""
    view, tx = context.view, context.tx
    index, entry = pools.pool_of(view, tx.fields)
    if entry is None:
        return "tecINTERNAL"
    paid = tx.fields.get("Amount")
    first = None if paid is None else asset_of(paid)
    pool = pools.holdings_of(view, index, entry, first, _fee(entry, tx, context.rules))
    trade = _TRADES[tx.flags & _FLAGS](tx, pool)
    if isinstance(trade, str):
        return trade
    result = _exchange(context, pool, trade)
    if result != SUCCESS:
        return result
    changed = view.edit(index)
    changed["LPTokenBalance"] = Token(add_near(pool.tokens, trade.tokens), *pool.share)
    if not pool.tokens:
        fee_units = tx.fields.get("TradingFee", 0)
        pools.start_fee(changed, tx.account, fee_units, context.rules.parent_close_time)
    return SUCCESS


def _fee(entry: Entry, tx: Tx, rules: Rules) -> int:
    if not entry["LPTokenBalance"].value:
        return int(tx.fields.get("TradingFee", 0))
    return pool_fee(entry, tx.account, rules.parent_close_time)


def _exchange(context: Context, pool: Holdings, trade: Trade) -> str:
    """Make the trade's payments, the tokens last, each after its check (AMMDeposit.cpp, deposit)."""
    view, tx = context.view, context.tx
    if trade.tokens <= 0:
        return "tecAMM_INVALID_TOKENS"
    if _below_least(tx, trade):
        return "tecAMM_FAILED"
    for asset, value in ((pool.first, trade.first), (pool.second, trade.second)):
        if value is None:
            continue
        if value <= 0:
            return "temBAD_AMOUNT"
        if not _has(view, tx.account, pool, context.rules, (asset, value)):
            return "tecUNFUNDED_AMM"
        pools.send(view, tx.account, pool.account, asset, value)
    pools.send(view, pool.account, tx.account, pool.share, trade.tokens)
    return SUCCESS


def _below_least(tx: Tx, trade: Trade) -> bool:
    if tx.flags & LP_TOKEN:
        least = (decimal_field(tx.fields, "Amount"), decimal_field(tx.fields, "Amount2"))
        return any(
            low is not None and got is not None and got < low
            for low, got in zip(least, (trade.first, trade.second))
        )
    if tx.flags & (SINGLE_ASSET | TWO_ASSET):
        return trade.tokens < (decimal_field(tx.fields, "LPTokenOut") or ZERO)
    return False


HANDLER = Handler(flags=_FLAGS, preflight=preflight, preclaim=preclaim, apply=apply)
