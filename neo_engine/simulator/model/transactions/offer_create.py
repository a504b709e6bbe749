"""OfferCreate: cancel an old offer, cross what the book and the pool have, place what is left.

Theory (rippled CreateOffer.cpp; docs "OfferCreate"). The order of things is the server's: checks by the
transaction alone, checks by the state before it, then the old offer (OfferSequence) goes, the expiry is
looked at again, the amounts are rounded to the tick and crossed (domain/offer_crossing), and what rests
needs the reserve for one more owned entry, measured by the balance before the fee. What ends in a tec undoes
all of it, the cancel too; only offers found stale in the state before stay deleted.

The book an offer rests in is told by its amounts; its directory's index ends in the rate of the order as
rounded to the tick, before any crossing, so the directory and not the remaining amounts tells the price.
"""

from __future__ import annotations

from decimal import Decimal

from neo_engine.domain.assets import Asset
from neo_engine.domain.liquidity import CrossRequest, CrossResult, Rest
from neo_engine.domain.number import ZERO
from neo_engine.domain.offer_crossing import cross
from neo_engine.simulator.model import keys, lines
from neo_engine.simulator.model.amounts import Amount, Token, amount_of, asset_of, decimal_of
from neo_engine.simulator.model.context import Context, Handler, Rules
from neo_engine.simulator.model.fields import Entry
from neo_engine.simulator.model.market import ViewMarket, perform
from neo_engine.simulator.model.owners import adjust_owner_count, directory_add, owner_add
from neo_engine.simulator.model.removal import remove_offer
from neo_engine.simulator.model.results import SUCCESS, is_tec
from neo_engine.simulator.model.state import View
from neo_engine.simulator.model.tx import Tx

PASSIVE = 0x00010000
IMMEDIATE_OR_CANCEL = 0x00020000
FILL_OR_KILL = 0x00040000
SELL = 0x00080000
HYBRID = 0x00100000
LSF_PASSIVE = 0x00010000
LSF_SELL = 0x00020000


def preflight(tx: Tx, rules: Rules) -> str:  # noqa: ARG001
    """Return what is wrong with the transaction alone (CreateOffer.cpp, preflight)."""
    fields = tx.fields
    if tx.flags & HYBRID and "DomainID" not in fields:
        return "temINVALID_FLAG"
    if tx.flags & IMMEDIATE_OR_CANCEL and tx.flags & FILL_OR_KILL:
        return "temINVALID_FLAG"
    if "DomainID" in fields:
        return "temDISABLED"  # permissioned domains are no part of the model
    if fields.get("Expiration") == 0:
        return "temBAD_EXPIRATION"
    if fields.get("OfferSequence") == 0:
        return "temBAD_SEQUENCE"
    return _amounts_fault(fields["TakerPays"], fields["TakerGets"])


def _amounts_fault(pays: Amount, gets: Amount) -> str:
    if isinstance(pays, int) and isinstance(gets, int):
        return "temBAD_OFFER"
    if decimal_of(pays) <= 0 or decimal_of(gets) <= 0:
        return "temBAD_OFFER"
    if asset_of(pays) == asset_of(gets):
        return "temREDUNDANT"
    tokens = [amount for amount in (pays, gets) if isinstance(amount, Token)]
    if any(token.currency in keys.BAD_CURRENCIES for token in tokens):
        return "temBAD_CURRENCY"
    if any(token.issuer == keys.XRP_ISSUER for token in tokens):
        return "temBAD_ISSUER"
    return SUCCESS


def preclaim(view: View, tx: Tx, rules: Rules) -> str:
    """Return what stands in the way in the state before (CreateOffer.cpp, preclaim)."""
    fields = tx.fields
    wants, gives = asset_of(fields["TakerPays"]), asset_of(fields["TakerGets"])
    if lines.is_globally_frozen(view, wants) or lines.is_globally_frozen(view, gives):
        return "tecFROZEN"
    funds = lines.spendable(view, tx.account, gives, rules)
    if funds is not None and funds <= 0:
        return "tecUNFUNDED_OFFER"
    cancelled = fields.get("OfferSequence")
    if cancelled is not None:
        root = view.read(keys.account_root(tx.account)) or {}
        if root["Sequence"] <= cancelled:
            return "temBAD_SEQUENCE"
    if _expired(tx, rules):
        return "tecEXPIRED"
    return SUCCESS if wants.is_xrp else _may_hold(view, tx.account, wants)


def _expired(tx: Tx, rules: Rules) -> bool:
    expiration = tx.fields.get("Expiration")
    return expiration is not None and expiration <= rules.parent_close_time


def _may_hold(view: View, account: str, asset: Asset) -> str:
    """Return why `account` may not receive `asset` (CreateOffer.cpp, checkAcceptAsset)."""
    issuer = view.read(keys.account_root(asset.issuer))
    if issuer is None:
        return "tecNO_ISSUER"
    if account == asset.issuer:
        return SUCCESS
    line = view.read(keys.line(account, asset.issuer, asset.currency))
    if issuer["Flags"] & lines.REQUIRE_AUTH:
        if line is None:
            return "tecNO_LINE"
        _, theirs = lines.ends(account, asset.issuer)
        if not line["Flags"] & theirs.authorized:
            return "tecNO_AUTH"
    # It does not matter which end froze it: accepting tokens shall not be possible.
    if line is not None and line["Flags"] & (lines.LOW.deep_freeze | lines.HIGH.deep_freeze):
        return "tecFROZEN"
    return SUCCESS


def apply(context: Context) -> str:
    """Cancel, cross and place; return the result."""
    view, tx, rules = context.view, context.tx, context.rules
    cancelled = tx.fields.get("OfferSequence")
    if cancelled is not None:
        remove_offer(view, keys.offer(tx.account, cancelled))
    if _expired(tx, rules):
        return "tecEXPIRED"
    crossed = cross(_request(view, tx, rules), ViewMarket(view, rules))
    if is_tec(crossed.result):
        context.lasting_removals = [removal.index for removal in crossed.removals if removal.lasting]
        return crossed.result
    if crossed.moves or crossed.removals:
        perform(view, crossed.moves, crossed.removals, source=tx.account, destination=tx.account)
    return _place_if_paid_for(context, crossed)


def _request(view: View, tx: Tx, rules: Rules) -> CrossRequest:
    pays, gets = tx.fields["TakerGets"], tx.fields["TakerPays"]
    pays_asset, gets_asset = asset_of(pays), asset_of(gets)
    flags = tx.flags
    return CrossRequest(
        taker=tx.account,
        pays_asset=pays_asset,
        gets_asset=gets_asset,
        pays=decimal_of(pays),
        gets=decimal_of(gets),
        funds=lines.spendable(view, tx.account, pays_asset, rules),
        tick_size=min(lines.tick_size(view, pays_asset), lines.tick_size(view, gets_asset)),
        sell=bool(flags & SELL),
        passive=bool(flags & PASSIVE),
        immediate_or_cancel=bool(flags & IMMEDIATE_OR_CANCEL),
        fill_or_kill=bool(flags & FILL_OR_KILL),
        # The server looks at the reserve after the crossing, which may free or add an owned entry.
        owner_may_rest=True,
        line_reserve=_line_reserve(view, tx.account, pays_asset, gets_asset, rules),
    )


def _line_reserve(view: View, sender: str, pays: Asset, gets: Asset, rules: Rules) -> Decimal:
    """Return by how much a trust line that crossing would make lowers the XRP that is left to sell."""
    if pays.issuer or not gets.issuer or gets.issuer == sender:
        return ZERO
    line = keys.line(sender, gets.issuer, gets.currency)
    return ZERO if view.read(line) is not None else Decimal(rules.owner_reserve)


def _place_if_paid_for(context: Context, crossed: CrossResult) -> str:
    rest, tx = crossed.rest, context.tx
    if rest is None:
        return SUCCESS
    root = context.view.read(keys.account_root(tx.account)) or {}
    if context.prior_balance < context.rules.reserve(root["OwnerCount"] + 1):
        return SUCCESS if crossed.paid or crossed.got else "tecINSUF_RESERVE_OFFER"
    _place(context.view, tx, rest)
    return SUCCESS


def _place(view: View, tx: Tx, rest: Rest) -> None:
    """Put the rest into the owner's directory and the book's (CreateOffer.cpp, applyGuts)."""
    pays_asset, gets_asset = asset_of(tx.fields["TakerPays"]), asset_of(tx.fields["TakerGets"])
    index = keys.offer(tx.account, tx.order_sequence)
    owner_node = owner_add(view, tx.account, index)
    adjust_owner_count(view, tx.account, 1)
    directory = keys.book_directory(keys.book_base(pays_asset, gets_asset), rest.rate)
    describe = keys.book_fields(pays_asset, gets_asset)
    book_node = directory_add(
        view, directory, index, in_order=True, describe={**describe, "ExchangeRate": directory[48:].lower()}
    )
    offer: Entry = {
        "LedgerEntryType": "Offer",
        "Account": tx.account,
        "BookDirectory": directory,
        "BookNode": book_node,
        "Flags": (LSF_PASSIVE if tx.flags & PASSIVE else 0) | (LSF_SELL if tx.flags & SELL else 0),
        "OwnerNode": owner_node,
        "Sequence": tx.order_sequence,
        "TakerGets": amount_of(gets_asset, rest.pays),
        "TakerPays": amount_of(pays_asset, rest.gets),
    }
    if "Expiration" in tx.fields:
        offer["Expiration"] = tx.fields["Expiration"]
    view.insert(index, offer)


def owner_funds(view: View, tx: Tx, rules: Rules) -> Decimal | None:
    """Return what the sender has of TakerGets now, as the streams tell it; None for its own issuer.

    A sender who issues the token himself has no funds to tell (NetworkOPs.cpp, transJson).
    """
    return lines.spendable(view, tx.account, asset_of(tx.fields["TakerGets"]), rules)


HANDLER = Handler(
    flags=PASSIVE | IMMEDIATE_OR_CANCEL | FILL_OR_KILL | SELL | HYBRID,
    preflight=preflight,
    preclaim=preclaim,
    apply=apply,
)
