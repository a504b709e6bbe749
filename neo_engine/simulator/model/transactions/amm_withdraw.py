"""AMMWithdraw: give share tokens back for one or both assets of the pool; the last tokens end the pool.

Theory (rippled AMMWithdraw.cpp, AMMHelpers.cpp, AMMUtils.cpp; XLS-30 sections on withdrawal). One flag
says what the fields mean; B, b are an asset held and drawn, T, t the tokens outstanding and taken:

    tfLPToken               t taken; both assets t/T of what is held
    tfWithdrawAll           the same with all the sender's tokens
    tfTwoAsset              Amount, Amount2 the most drawn; as much as the scarcer allows
    tfSingleAsset           Amount drawn
    tfOneAssetLPToken       t taken for one asset; Amount the least drawn (0: any)
    tfOneAssetWithdrawAll   the same with all the sender's tokens
    tfLimitLPToken          as much as makes a unit cost EPrice tokens; Amount the least drawn (0: any)

Tokens are rounded up and assets down. Who alone has tokens has all: the pool's count is set to what his
line says, since the two may differ in their last digits.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from neo_engine.domain.assets import Asset
from neo_engine.domain.number import DOWN, ZERO, issued_div
from neo_engine.domain.steps import add_near, div_near, mul_near, rate_of, sub_near
from neo_engine.simulator.model import keys, lines, pools
from neo_engine.simulator.model.amounts import Amount, Token, asset_of, decimal_of
from neo_engine.simulator.model.context import Context, Handler, Rules
from neo_engine.simulator.model.fields import Entry
from neo_engine.simulator.model.market import pool_fee
from neo_engine.simulator.model.owners import adjust_owner_count, directory_entries, owner_remove
from neo_engine.simulator.model.pools import Holdings, Trade, decimal_field
from neo_engine.simulator.model.results import SUCCESS
from neo_engine.simulator.model.state import View
from neo_engine.simulator.model.tx import Tx

LP_TOKEN = 0x00010000
WITHDRAW_ALL = 0x00020000
ONE_ASSET_WITHDRAW_ALL = 0x00040000
SINGLE_ASSET = 0x00080000
TWO_ASSET = 0x00100000
ONE_ASSET_LP_TOKEN = 0x00200000
LIMIT_LP_TOKEN = 0x00400000

#: Flag -> the fields it needs; it may have no others of these (AMMWithdraw.cpp, preflight).
_FORMS: dict[int, frozenset[str]] = {
    LP_TOKEN: frozenset({"LPTokenIn"}),
    WITHDRAW_ALL: frozenset(),
    ONE_ASSET_WITHDRAW_ALL: frozenset({"Amount"}),
    SINGLE_ASSET: frozenset({"Amount"}),
    TWO_ASSET: frozenset({"Amount", "Amount2"}),
    ONE_ASSET_LP_TOKEN: frozenset({"Amount", "LPTokenIn"}),
    LIMIT_LP_TOKEN: frozenset({"Amount", "EPrice"}),
}
_FLAGS = sum(_FORMS)
_ALL = WITHDRAW_ALL | ONE_ASSET_WITHDRAW_ALL
_FIELDS = frozenset({"Amount", "Amount2", "EPrice", "LPTokenIn"})
#: How far the pool's count of tokens may be from its only holder's (AMMUtils.cpp).
_LAST_HOLDER_DISTANCE = Decimal("0.001")
_LINES_REMOVED_MAX = 512  # with one transaction (rippled Protocol.h, maxDeletableAMMTrustLines)
_FREE_LINES = 2  # an account with fewer entries needs no reserve for a line (docs "Reserves")


def preflight(tx: Tx, rules: Rules) -> str:  # noqa: ARG001
    """Return what is wrong with the transaction alone."""
    fields = tx.fields
    if _FORMS.get(tx.flags & _FLAGS) != _FIELDS & fields.keys() or not {"Asset", "Asset2"} <= fields.keys():
        return "temMALFORMED"
    pair = (pools.asset_from_wire(fields["Asset"]), pools.asset_from_wire(fields["Asset2"]))
    result = pools.wrong_pair(*pair)
    if result != SUCCESS:
        return result
    any_amount = bool(tx.flags & (ONE_ASSET_WITHDRAW_ALL | ONE_ASSET_LP_TOKEN | LIMIT_LP_TOKEN))
    result = pools.wrong_amounts(fields, "LPTokenIn", pair, first_may_be_zero=any_amount)
    if result != SUCCESS:
        return result
    return pools.wrong_amount(fields["EPrice"]) if "EPrice" in fields else SUCCESS


def preclaim(view: View, tx: Tx, rules: Rules) -> str:  # noqa: ARG001
    """Return what stands in the way in the state before: the pool, permission, freeze, the tokens."""
    index, entry = pools.pool_of(view, tx.fields)
    if entry is None:
        return "terNO_AMM"
    pool = pools.holdings_of(view, index, entry, _first(tx), 0)
    if not pool.tokens:
        return "tecAMM_EMPTY"
    for name, held in (("Amount", pool.first_held), ("Amount2", pool.second_held)):
        wanted = tx.fields.get(name)
        result = SUCCESS if wanted is None else _undrawable(view, tx.account, pool, wanted, held)
        if result != SUCCESS:
            return result
    result = _wrong_tokens(tx, pool, lines.balance(view, tx.account, pool.share))
    if result != SUCCESS:
        return result
    if tx.flags & (LP_TOKEN | WITHDRAW_ALL):
        for asset in (pool.first, pool.second):
            result = _barred(view, tx.account, pool, asset)
            if result != SUCCESS:
                return result
    return SUCCESS


def _first(tx: Tx) -> Asset | None:
    amount = tx.fields.get("Amount")
    return None if amount is None else asset_of(amount)


def _undrawable(view: View, account: str, pool: Holdings, wanted: Amount, held: Decimal) -> str:
    if decimal_of(wanted) > held:
        return "tecAMM_BALANCE"
    return _barred(view, account, pool, asset_of(wanted))


def _barred(view: View, account: str, pool: Holdings, asset: Asset) -> str:
    """Return why `account` may not draw the asset: unauthorised, or frozen with the pool or with him."""
    result = pools.unauthorized(view, account, asset)
    if result != SUCCESS:
        return result
    barred = pools.frozen(view, pool.account, asset) or pools.individually_frozen(view, account, asset)
    return "tecFROZEN" if barred else SUCCESS


def _wrong_tokens(tx: Tx, pool: Holdings, held: Decimal) -> str:
    """Return what is wrong with the tokens given back, of which the sender has `held`."""
    if held <= 0:
        return "tecAMM_BALANCE"
    given = tx.fields.get("LPTokenIn")
    if given is not None and asset_of(given) != pool.share:
        return "temBAD_AMM_TOKENS"
    if given is not None and given.value > held:
        return "tecAMM_INVALID_TOKENS"
    price = tx.fields.get("EPrice")
    return "temBAD_AMM_TOKENS" if price is not None and asset_of(price) != pool.share else SUCCESS


def _equal_for_tokens(tx: Tx, pool: Holdings, given: Decimal) -> Trade | str:
    if given == pool.tokens:
        return Trade(first=pool.first_held, second=pool.second_held, tokens=given)
    tokens = given if tx.flags & _ALL else pools.tidy_taken(pool.tokens, given)
    if not tokens:
        return "tecAMM_INVALID_TOKENS"
    part = rate_of(tokens, pool.tokens)
    first = pools.scaled_down(pool.first_held, part, pool.first.is_xrp)
    second = pools.scaled_down(pool.second_held, part, pool.second.is_xrp)
    return Trade(first=first, second=second, tokens=tokens) if first and second else "tecAMM_FAILED"


def _equal_within(tx: Tx, pool: Holdings, given: Decimal) -> Trade | str:  # noqa: ARG001
    return pools.equal_within(pool, pools.limits_of(tx.fields), _part_taken, pools.scaled_down)


def _part_taken(pool: Holdings, drawn: Decimal, held: Decimal) -> tuple[Decimal, Decimal]:
    """Return the tokens for drawing `drawn` of `held`, and the share of all tokens they are."""
    tokens = pools.tidy_taken(pool.tokens, pools.scaled_up(pool.tokens, div_near(drawn, held), False))
    return tokens, div_near(tokens, pool.tokens)


def _single(tx: Tx, pool: Holdings, given: Decimal) -> Trade | str:  # noqa: ARG001
    drawn = decimal_field(tx.fields, "Amount") or ZERO
    tokens = pools.tokens_for_drawing(pool.first_held, drawn, pool.tokens, pool.fee)
    tokens = pools.tidy_taken(pool.tokens, tokens)
    if not tokens:
        return "tecAMM_INVALID_TOKENS"
    trade = pools.fit_drawing(pool.first_held, drawn, tokens, pool)
    return trade if trade.tokens else "tecAMM_INVALID_TOKENS"


def _single_for_tokens(tx: Tx, pool: Holdings, given: Decimal) -> Trade | str:
    tokens = given if tx.flags & _ALL else pools.tidy_taken(pool.tokens, given)
    if not tokens:
        return "tecAMM_INVALID_TOKENS"
    xrp = pool.first.is_xrp
    drawn = pools.drawing_for_tokens(pool.first_held, pool.tokens, tokens, pool.fee, xrp=xrp)
    if drawn < (decimal_field(tx.fields, "Amount") or ZERO):
        return "tecAMM_FAILED"
    return Trade(first=drawn, second=None, tokens=tokens)


def _single_at_price(tx: Tx, pool: Holdings, given: Decimal) -> Trade | str:  # noqa: ARG001
    """With E the price in tokens a unit, t = T (T + B E (f - 2)) / (T f - B E) (singleWithdrawEPrice)."""
    price = decimal_field(tx.fields, "EPrice") or ZERO
    worth = mul_near(pool.first_held, price)
    below = sub_near(mul_near(pool.tokens, pool.fee), worth)
    if not below:
        return "tefEXCEPTION"
    above = add_near(pool.tokens, mul_near(worth, sub_near(pool.fee, Decimal(2))))
    tokens = pools.scaled_up(pool.tokens, div_near(above, below), False)
    tokens = pools.tidy_taken(pool.tokens, tokens)
    if tokens <= 0:
        return "tecAMM_INVALID_TOKENS"
    drawn = pools.trimmed_down(issued_div(tokens, price, DOWN), xrp=pool.first.is_xrp)
    if drawn < (decimal_field(tx.fields, "Amount") or ZERO):
        return "tecAMM_FAILED"
    return Trade(first=drawn, second=None, tokens=tokens)


_TRADES: dict[int, Callable[[Tx, Holdings, Decimal], Trade | str]] = {
    LP_TOKEN: _equal_for_tokens,
    WITHDRAW_ALL: _equal_for_tokens,
    ONE_ASSET_WITHDRAW_ALL: _single_for_tokens,
    SINGLE_ASSET: _single,
    TWO_ASSET: _equal_within,
    ONE_ASSET_LP_TOKEN: _single_for_tokens,
    LIMIT_LP_TOKEN: _single_at_price,
}


def apply(context: Context) -> str:
    """Work out the trade, pay the assets out, take the tokens, end the pool with the last of them."""
    view, tx = context.view, context.tx
    index, entry = pools.pool_of(view, tx.fields)
    if entry is None:
        return "tecINTERNAL"
    fee = pool_fee(entry, tx.account, context.rules.parent_close_time)
    held = lines.balance(view, tx.account, entry["LPTokenBalance"].asset)
    if _is_only_holder(view, entry, tx.account):
        if not _nearly(held, entry["LPTokenBalance"].value):
            return "tecAMM_INVALID_TOKENS"
        entry = view.edit(index)
        entry["LPTokenBalance"] = Token(held, *entry["LPTokenBalance"].asset)
    pool = pools.holdings_of(view, index, entry, _first(tx), fee)
    given = held if tx.flags & _ALL else decimal_field(tx.fields, "LPTokenIn") or ZERO
    trade = _TRADES[tx.flags & _FLAGS](tx, pool, given)
    if isinstance(trade, str):
        return trade
    result = _exceeds(pool, trade, held)
    if result == SUCCESS:
        result = _exchange(context, pool, trade)
    if result != SUCCESS:
        return result
    left = sub_near(pool.tokens, trade.tokens)
    if left or not _end_pool(view, pool):
        view.edit(index)["LPTokenBalance"] = Token(left, *pool.share)
    return SUCCESS


def _is_only_holder(view: View, entry: Entry, account: str) -> bool:
    """True if nobody else has a line for the pool's tokens (isOnlyLiquidityProvider)."""
    share = entry["LPTokenBalance"].asset
    for index in directory_entries(view, keys.owner_directory(entry["Account"])):
        owned = view.read(index) or {}
        if owned.get("LedgerEntryType") != "RippleState":
            continue
        ends = (owned["LowLimit"], owned["HighLimit"])
        is_share = any(end.asset == share for end in ends)
        if is_share and all(end.issuer != account for end in ends):
            return False
    return True


def _nearly(one: Decimal, other: Decimal) -> bool:
    low, high = sorted((one, other))
    return one == other or div_near(sub_near(high, low), high) < _LAST_HOLDER_DISTANCE


def _exceeds(pool: Holdings, trade: Trade, held: Decimal) -> str:
    """Return what is wrong with the trade against the pool and the tokens held (withdraw)."""
    if not 0 < trade.tokens <= held:
        return "tecAMM_INVALID_TOKENS"
    if trade.tokens > pool.tokens:
        return "tecINTERNAL"
    all_first, all_second = trade.first == pool.first_held, trade.second == pool.second_held
    if all_first != all_second or (trade.tokens == pool.tokens and not all_first):
        return "tecAMM_BALANCE"
    above = trade.first > pool.first_held or (trade.second or ZERO) > pool.second_held
    return "tecAMM_BALANCE" if above else SUCCESS


def _exchange(context: Context, pool: Holdings, trade: Trade) -> str:
    """Pay the assets out, each if there is a reserve for its line, and take the tokens."""
    view, account = context.view, context.tx.account
    for asset, value in ((pool.first, trade.first), (pool.second, trade.second)):
        if value is None:
            continue
        if not _has_reserve(context, asset):
            return "tecINSUFFICIENT_RESERVE"
        pools.send(view, pool.account, account, asset, value)
    lines.credit(view, account, pool.account, pool.share, trade.tokens)
    return SUCCESS


def _has_reserve(context: Context, asset: Asset) -> bool:
    """True if the sender has a line for the asset or could pay its reserve; two entries are free."""
    view, account = context.view, context.tx.account
    if asset.is_xrp or view.read(keys.line(account, asset.issuer, asset.currency)) is not None:
        return True
    root = view.read(keys.account_root(account)) or {}
    count = root["OwnerCount"]
    reserve = context.rules.reserve(count + 1) if count >= _FREE_LINES else 0
    return bool(max(context.prior_balance, root["Balance"]) >= reserve)


def _end_pool(view: View, pool: Holdings) -> bool:
    """Remove a pool without tokens: lines, entry, account; False if it has too many lines for once.

    Then the lines that were removed stay so, and the empty pool waits for more (deleteAMMAccount).
    """
    for visited, index in enumerate(list(directory_entries(view, keys.owner_directory(pool.account)))):
        if visited >= _LINES_REMOVED_MAX:
            return False
        owned = view.read(index) or {}
        if owned.get("LedgerEntryType") == "RippleState":
            _end_line(view, index, owned, pool.account)
    entry = view.read(pool.index) or {}
    owner_remove(view, pool.account, entry["OwnerNode"], pool.index)
    view.erase(pool.index)
    view.erase(keys.account_root(pool.account))
    return True


def _end_line(view: View, index: str, line: Entry, pool_account: str) -> None:
    """Remove a line with nothing on it; its owner at the other end gets his reserve back."""
    low, high = line["LowLimit"].issuer, line["HighLimit"].issuer
    lines.delete_line(view, index)
    adjust_owner_count(view, high if low == pool_account else low, -1)


HANDLER = Handler(flags=_FLAGS, preflight=preflight, preclaim=preclaim, apply=apply)
