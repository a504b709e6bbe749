"""amm_info: an automated market maker's pool (rippled AMMInfo.cpp, AMMUtils.cpp)."""

from __future__ import annotations

from typing import Any

from neo_engine.domain.assets import Asset
from neo_engine.simulator.model import keys, lines
from neo_engine.simulator.model.amounts import Token, amount_of, to_wire
from neo_engine.simulator.model.fields import Entry
from neo_engine.simulator.model.state import View
from neo_engine.simulator.server.call import Call
from neo_engine.simulator.server.commands.arguments import is_address, issue_of, text_of
from neo_engine.simulator.server.commands.selection import Ledger, account_root, select
from neo_engine.simulator.server.errors import RpcError
from neo_engine.simulator.server.formats import Json, entry_json, moment

AUCTION_SECONDS = 86_400
AUCTION_INTERVALS = 20
_INTERVAL_SECONDS = AUCTION_SECONDS // AUCTION_INTERVALS


def amm_info(call: Call) -> Json:
    """Return a pool, its two amounts in the order asked for. Raises RpcError."""
    ledger = select(call)
    where = ledger.where()
    params = call.params
    by_assets = "asset" in params
    if by_assets != ("asset2" in params) or by_assets == ("amm_account" in params):
        raise RpcError("invalidParams", fields=where)
    assets = None
    if by_assets:
        one, other = issue_of(params["asset"]), issue_of(params["asset2"])
        if one is None or other is None:
            raise RpcError("issueMalformed", fields=where)
        assets = one, other
        index = keys.amm(one, other)
    else:
        index = _pool_of(ledger, params["amm_account"])
    holder = None
    if "account" in params:
        holder = text_of(params["account"])
        if not is_address(holder) or account_root(ledger, holder) is None:
            raise RpcError("actMalformed", fields=where)
    pool = ledger.state.entries.get(index)
    if pool is None:
        raise RpcError("actNotFound", fields=where)
    if assets is None:
        assets = _asset(pool["Asset"]), _asset(pool["Asset2"])
    return {**where, "amm": _pool_json(ledger, index, pool, assets, holder)}


def _pool_of(ledger: Ledger, value: Any) -> str:
    account = text_of(value)
    root = account_root(ledger, account) if is_address(account) else None
    if root is None:
        raise RpcError("actMalformed", fields=ledger.where())
    if "AMMID" not in root:
        raise RpcError("actNotFound", fields=ledger.where())
    return str(root["AMMID"])


def _asset(value: Any) -> Asset:
    return value if isinstance(value, Asset) else Asset(value["currency"], value.get("issuer", ""))


def _pool_json(
    ledger: Ledger, index: str, pool: Entry, assets: tuple[Asset, Asset], holder: str | None
) -> Json:
    view = ledger.view()
    account = pool["Account"]
    wire = entry_json(index, pool)
    told: Json = {
        "account": account,
        "lp_token": wire["LPTokenBalance"] if holder is None else to_wire(_share(view, pool, holder)),
        "trading_fee": pool.get("TradingFee", 0),
    }
    for name, frozen, asset in (
        ("amount", "asset_frozen", assets[0]),
        ("amount2", "asset2_frozen", assets[1]),
    ):
        told[name] = to_wire(amount_of(asset, lines.balance(view, account, asset)))
        if not asset.is_xrp:
            told[frozen] = lines.is_frozen(view, account, asset)
    votes = [slot["VoteEntry"] for slot in wire.get("VoteSlots", [])]
    if votes:
        told["vote_slots"] = [
            {
                "account": vote["Account"],
                "trading_fee": vote.get("TradingFee", 0),
                "vote_weight": vote["VoteWeight"],
            }
            for vote in votes
        ]
    slot = wire.get("AuctionSlot", {})
    if "Account" in slot:
        told["auction_slot"] = _slot_json(slot, ledger.parent_close_time)
    return told


def _share(view: View, pool: Entry, holder: str) -> Token:
    whole: Token = pool["LPTokenBalance"]
    return Token(lines.balance(view, holder, whole.asset), whole.currency, whole.issuer)


def _slot_json(slot: Json, parent_close_time: int) -> Json:
    expiration = slot["Expiration"]
    told: Json = {
        "account": slot["Account"],
        "discounted_fee": slot.get("DiscountedFee", 0),
        "expiration": f"{moment(expiration):%Y-%m-%dT%H:%M:%S}.000000000+0000",
        "price": slot["Price"],
        "time_interval": _interval(expiration, parent_close_time),
    }
    if "AuthAccounts" in slot:
        told["auth_accounts"] = [{"account": one["AuthAccount"]["Account"]} for one in slot["AuthAccounts"]]
    return told


def _interval(expiration: int, now: int) -> int:
    """Return which twentieth of its day a slot is in, 20 once over (AMMCore.cpp, ammAuctionTimeSlot)."""
    age = now - (expiration - AUCTION_SECONDS)
    return age // _INTERVAL_SECONDS if 0 <= age < AUCTION_SECONDS else AUCTION_INTERVALS
