"""Payment: XRP, tokens along trust lines, and conversions through books and pools (rippled Payment.cpp).

Three ways, by what is sent and what arrives: XRP straight into the other account; one currency along its
trust lines (rippling.py); two currencies through books and pools (domain/flow.py), along the default
path of one book and along explicit Paths of books.

Answered with temDISABLED, because the model has nothing like it: CredentialIDs, DomainID, Delegate; Paths
with an account that is not the issuer of what has come so far; Paths beside a default path in one and
the same currency along which something could flow (tfNoRippleDirect takes that path away); and a last
book whose token is not the one to deliver. Amounts of multi-purpose tokens are refused when the
transaction is read. An account with DepositAuth takes deposits from itself only: there are no
preauthorizations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from neo_engine.domain.assets import XRP, Asset
from neo_engine.domain.flow import flow
from neo_engine.domain.liquidity import FlowRequest
from neo_engine.domain.steps import rate_of
from neo_engine.simulator.model import keys, lines
from neo_engine.simulator.model.amounts import Amount, Token, amount_of, asset_of, decimal_of, to_wire
from neo_engine.simulator.model.context import Context, Handler, Rules
from neo_engine.simulator.model.market import ViewMarket, perform
from neo_engine.simulator.model.results import SUCCESS
from neo_engine.simulator.model.rippling import DRY, PARTIAL, Delivery, chain_problem, send_along
from neo_engine.simulator.model.state import View
from neo_engine.simulator.model.tx import Tx

NO_RIPPLE_DIRECT = 0x00010000
PARTIAL_PAYMENT = 0x00020000
LIMIT_QUALITY = 0x00040000
_FLAGS = NO_RIPPLE_DIRECT | PARTIAL_PAYMENT | LIMIT_QUALITY
MAX_PATHS = 6  # Payment.h, MaxPathSize
MAX_PATH_LENGTH = 8  # Payment.h, MaxPathLength
PASSWORD_SPENT = 0x00010000
_UNKNOWN_FIELDS = frozenset({"CredentialIDs", "DomainID", "Delegate"})

Strand = tuple[Asset, ...]


def _most(tx: Tx) -> Amount:
    """Return what the sender pays at most: SendMax, or the amount itself, issued by the sender."""
    given: Amount | None = tx.fields.get("SendMax")
    if given is not None:
        return given
    amount: Amount = tx.fields["Amount"]
    return amount if isinstance(amount, int) else Token(amount.value, amount.currency, tx.account)


def preflight(tx: Tx, rules: Rules) -> str:  # noqa: ARG001
    """Return what is wrong with the transaction alone."""
    fields = tx.fields
    if _UNKNOWN_FIELDS & fields.keys():
        return "temDISABLED"
    amount, most = fields["Amount"], _most(tx)
    if fields["Destination"] == keys.XRP_ISSUER:
        return "temDST_NEEDED"
    if decimal_of(most) <= 0 or decimal_of(amount) <= 0:
        return "temBAD_AMOUNT"
    if any(isinstance(one, Token) and lines.is_bad_currency(one.currency) for one in (most, amount)):
        return "temBAD_CURRENCY"
    if tx.account == fields["Destination"] and _same_token(most, amount) and "Paths" not in fields:
        return "temREDUNDANT"
    result = _check_xrp(tx) if isinstance(amount, int) and isinstance(most, int) else SUCCESS
    if result == SUCCESS and "DeliverMin" in fields:
        result = _check_deliver_min(tx)
    if result == SUCCESS and fields.get("Paths"):
        result = _check_paths(tx)
    return result


def _same_token(one: Amount, other: Amount) -> bool:
    """True for amounts of one currency (rippled equalTokens looks at no issuer)."""
    return asset_of(one).currency == asset_of(other).currency


def _check_xrp(tx: Tx) -> str:
    if "SendMax" in tx.fields:
        return "temBAD_SEND_XRP_MAX"
    if "Paths" in tx.fields:
        return "temBAD_SEND_XRP_PATHS"
    if tx.flags & PARTIAL_PAYMENT:
        return "temBAD_SEND_XRP_PARTIAL"
    if tx.flags & LIMIT_QUALITY:
        return "temBAD_SEND_XRP_LIMIT"
    return "temBAD_SEND_XRP_NO_DIRECT" if tx.flags & NO_RIPPLE_DIRECT else SUCCESS


def _check_deliver_min(tx: Tx) -> str:
    least, amount = tx.fields["DeliverMin"], tx.fields["Amount"]
    fits = (
        tx.flags & PARTIAL_PAYMENT
        and asset_of(least) == asset_of(amount)
        and 0 < decimal_of(least) <= decimal_of(amount)
    )
    return SUCCESS if fits else "temBAD_AMOUNT"


def _check_paths(tx: Tx) -> str:
    """Return temDISABLED for Paths that the model cannot follow; the module's text names them."""
    strands = [_strand_of(tx, path) for path in tx.fields["Paths"]]
    return "temDISABLED" if None in strands else SUCCESS


def _strand_of(tx: Tx, path: Sequence[Mapping[str, Any]]) -> Strand | str | None:
    """Return the assets a path passes, the code of what is wrong with it, or None if out of reach.

    An element names what the next book gives: a currency, an issuer or both (PaySteps.cpp, toStrand).
    """
    at = asset_of(_most(tx))
    strand = [at]
    for element in path:
        if "account" in element:
            if element.keys() & {"currency", "issuer"}:
                return "temBAD_PATH"
            if element["account"] != at.issuer:
                return None
            continue
        currency = element.get("currency", at.currency)
        is_xrp = currency == "XRP"
        issuer = element.get("issuer", "" if is_xrp else at.issuer)
        following = XRP if is_xrp else Asset(currency, issuer)
        if following == at or is_xrp == bool(issuer):
            return "temBAD_PATH"
        if following in strand:
            return "temBAD_PATH_LOOP"
        strand.append(following)
        at = following
    return _ended(tx, strand)


def _ended(tx: Tx, strand: list[Asset]) -> Strand | str | None:
    """Return the strand with the book to the asset to deliver at its end."""
    wanted, at = asset_of(tx.fields["Amount"]), strand[-1]
    if at.currency != wanted.currency:
        if wanted in strand:
            return "temBAD_PATH_LOOP"
        strand.append(wanted)
    elif at != wanted and wanted.issuer != tx.fields["Destination"]:
        return None
    return tuple(strand) if len(strand) > 1 else None


def preclaim(view: View, tx: Tx, rules: Rules) -> str:
    """Return what stands in the way in the state before."""
    target = view.read(keys.account_root(tx.fields["Destination"]))
    amount = tx.fields["Amount"]
    if target is None:
        if not isinstance(amount, int):
            return "tecNO_DST"
        if tx.flags & PARTIAL_PAYMENT:
            return "telNO_DST_PARTIAL"
        if amount < rules.reserve(0):
            return "tecNO_DST_INSUF_XRP"
    elif target["Flags"] & lines.REQUIRE_DEST_TAG and "DestinationTag" not in tx.fields:
        return "tecDST_TAG_NEEDED"
    paths = tx.fields.get("Paths", ())
    if len(paths) > MAX_PATHS or any(len(path) > MAX_PATH_LENGTH for path in paths):
        return "telBAD_PATH_COUNT"
    return SUCCESS


def apply(context: Context) -> str:
    """Move the money; tells what arrived in `context.delivered`."""
    view, tx = context.view, context.tx
    destination: str = tx.fields["Destination"]
    amount: Amount = tx.fields["Amount"]
    index = keys.account_root(destination)
    if view.read(index) is None:
        new = {"LedgerEntryType": "AccountRoot", "Account": destination, "Balance": 0, "Flags": 0}
        view.insert(index, {**new, "OwnerCount": 0, "Sequence": context.rules.ledger_index})
    if isinstance(amount, int) and not tx.fields.keys() & {"SendMax", "Paths"}:
        context.delivered = to_wire(amount)
        return _pay_xrp(context, amount)
    closed = lines.root_of(view, destination)["Flags"] & lines.DEPOSIT_AUTH
    if closed and tx.account != destination:
        return "tecNO_PERMISSION"
    delivery = _deliver(context)
    if delivery.result != SUCCESS:
        return DRY if delivery.result.startswith("ter") else delivery.result
    if "DeliverMin" in tx.fields and delivery.got < decimal_of(tx.fields["DeliverMin"]):
        return PARTIAL
    context.delivered = to_wire(amount_of(asset_of(amount), delivery.got))
    return SUCCESS


def _pay_xrp(context: Context, drops: int) -> str:
    """Send XRP; the reserve is kept, but it may pay the fee."""
    view, tx = context.view, context.tx
    sender, destination = lines.root_of(view, tx.account), tx.fields["Destination"]
    kept = max(context.rules.reserve(sender["OwnerCount"]), tx.fee)
    if context.prior_balance < drops + kept:
        return "tecUNFUNDED_PAYMENT"
    target = lines.root_of(view, destination)
    if "AMMID" in target:
        return "tecNO_PERMISSION"
    base = context.rules.reserve(0)
    # An account that has spent all its XRP may always be given enough to pay fees again.
    if target["Flags"] & lines.DEPOSIT_AUTH and (drops > base or target["Balance"] > base):
        return "tecNO_PERMISSION"
    lines.send_xrp(view, tx.account, destination, drops)
    if target["Flags"] & PASSWORD_SPENT:
        view.edit(keys.account_root(destination))["Flags"] &= ~PASSWORD_SPENT
    return SUCCESS


def _deliver(context: Context) -> Delivery:
    tx = context.tx
    amount: Amount = tx.fields["Amount"]
    most = _most(tx)
    paths = tx.fields.get("Paths") or ()
    if tx.flags & NO_RIPPLE_DIRECT and not paths:
        return Delivery(result="temRIPPLE_EMPTY")
    limited = tx.flags & LIMIT_QUALITY
    limit_rate = rate_of(decimal_of(most), decimal_of(amount)) if limited else None
    wanted: list[Strand | str | None] = [_strand_of(tx, path) for path in paths]
    if isinstance(amount, Token) and isinstance(most, Token) and _same_token(most, amount):
        chain = _chain(tx, most, amount)
        if not paths:
            return send_along(
                context.view,
                chain,
                amount.currency,
                deliver=amount.value,
                send_max=most.value,
                partial=bool(tx.flags & PARTIAL_PAYMENT),
                limit_rate=limit_rate,
            )
        direct = not tx.flags & NO_RIPPLE_DIRECT
        if direct and chain_problem(context.view, chain, amount.currency) == SUCCESS:
            return Delivery(result="temDISABLED")
    elif not tx.flags & NO_RIPPLE_DIRECT:
        wanted.insert(0, _ended(tx, [asset_of(most)]))
    return _through_books(context, wanted, limit_rate)


def _chain(tx: Tx, most: Token, amount: Token) -> list[str]:
    """Return the accounts of a payment in one currency: sender, issuers, receiver."""
    destination = tx.fields["Destination"]
    chain = [tx.account]
    for account in (most.issuer, amount.issuer if amount.issuer != destination else "", destination):
        if account and account != chain[-1]:
            chain.append(account)
    return chain


def _through_books(
    context: Context, wanted: Sequence[Strand | str | None], limit_rate: Decimal | None
) -> Delivery:
    view, tx, rules = context.view, context.tx, context.rules
    destination: str = tx.fields["Destination"]
    strands: list[Strand] = []
    problem = SUCCESS
    for strand in wanted:
        found = strand if isinstance(strand, str) else _strand_problem(view, tx, strand)
        if found.startswith("tem"):
            return Delivery(result=found)
        if found != SUCCESS:
            problem = found
        elif isinstance(strand, tuple) and strand not in strands:
            strands.append(strand)
    if not strands:
        return Delivery(result=problem)
    pays, gets = strands[0][0], strands[0][-1]
    strands = [strand for strand in strands if strand[-1] == gets]
    result = flow(
        FlowRequest(
            source=tx.account,
            destination=destination,
            strands=tuple(strands),
            deliver=decimal_of(tx.fields["Amount"]),
            send_max=decimal_of(_most(tx)),
            funds=lines.spendable(view, tx.account, pays, rules),
            room=lines.limit_room(view, destination, gets),
            partial=bool(tx.flags & PARTIAL_PAYMENT),
            limit_rate=limit_rate,
        ),
        ViewMarket(view, rules),
    )
    if result.result == SUCCESS:
        perform(view, result.moves, result.removals, source=tx.account, destination=destination)
    return Delivery(result=result.result, got=result.got)


def _strand_problem(view: View, tx: Tx, strand: Strand | None) -> str:
    """Return why nothing can flow along a strand, tesSUCCESS if something may."""
    if strand is None:
        return DRY
    first, last, destination = strand[0], strand[-1], tx.fields["Destination"]
    if any(view.read(keys.account_root(asset.issuer)) is None for asset in strand if asset.issuer):
        return "tecNO_ISSUER"
    if first.issuer and first.issuer != tx.account:
        result = chain_problem(view, (tx.account, first.issuer), first.currency, in_strand=True)
        if result != SUCCESS:
            return result
        if lines.has_no_ripple(view, first.issuer, tx.account, first.currency):
            return "terNO_RIPPLE"
    if last.issuer and last.issuer != destination:
        result = chain_problem(view, (last.issuer, destination), last.currency, in_strand=True)
        if result != SUCCESS:
            return result
        if lines.has_no_ripple(view, last.issuer, destination, last.currency):
            return "terNO_RIPPLE"
    return SUCCESS


HANDLER = Handler(flags=_FLAGS, preflight=preflight, preclaim=preclaim, apply=apply)
