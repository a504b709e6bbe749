"""book_offers and book_changes.

Theory (rippled NetworkOPs.cpp, getBookPage; BookChanges.h). A page of a book lists every offer, best rate
first, funded or not, expired or not: a reader has to look himself. An owner's money is counted down over
his offers: the first one tells it (owner_funds), and one he cannot fully pay for tells what is left
(taker_gets_funded, taker_pays_funded). An issuer's own offers are always funded.

What a ledger changed in a book is told by the offers its transactions consumed, in the order of the
transactions' hashes; offers taken away by their owner do not count.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from neo_engine.domain.assets import Asset
from neo_engine.domain.errors import BadNumber
from neo_engine.domain.liquidity import PARITY
from neo_engine.domain.number import (
    NEAREST,
    ZERO,
    issued_add,
    issued_mul,
    issued_sub,
    plain,
    whole,
)
from neo_engine.domain.rounding import ledger_divide
from neo_engine.simulator.model import keys, lines
from neo_engine.simulator.model.amounts import (
    Amount,
    amount_of,
    asset_of,
    decimal_of,
    from_wire,
    to_wire,
    value_text,
)
from neo_engine.simulator.model.fields import Entry
from neo_engine.simulator.model.ledger import Header, LedgerTx
from neo_engine.simulator.model.owners import directory_entries
from neo_engine.simulator.server.call import Call, Network
from neo_engine.simulator.server.commands.arguments import (
    BOOK_PAGES,
    currency_code,
    is_address,
    is_hash,
    issuer_address,
    limit_of,
)
from neo_engine.simulator.server.commands.selection import Ledger, rules_of, select
from neo_engine.simulator.server.errors import RpcError, expected_field, invalid_field, missing_field
from neo_engine.simulator.server.formats import Json, entry_json

_BILLION = Decimal(1_000_000_000)  # transfer rates are billionths


class Book(NamedTuple):
    """One side of a market. pays, gets: TakerPays and TakerGets of its offers."""

    pays: Asset
    gets: Asset

    def reversed(self) -> Book:
        """Return the other side."""
        return Book(self.gets, self.pays)


def book_offers(call: Call) -> Json:
    """Return the first offers of a book. Raises RpcError."""
    ledger = select(call)
    sides = [_side(call.params, name) for name in ("taker_pays", "taker_gets")]
    for side, name in zip(sides, ("taker_pays", "taker_gets"), strict=True):
        _currency_field(side, name)
    codes = [
        _code(sides[0], "taker_pays", "srcCurMalformed"),
        _code(sides[1], "taker_gets", "dstAmtMalformed"),
    ]
    pays = Asset(codes[0], _issuer(sides[0], codes[0], "taker_pays", "srcIsrMalformed"))
    gets = Asset(codes[1], _issuer(sides[1], codes[1], "taker_gets", "dstIsrMalformed"))
    taker = _taker(call.params)
    if "domain" in call.params:
        domain = call.params["domain"]
        if not (isinstance(domain, str) and is_hash(domain)):
            raise RpcError("domainMalformed", "Unable to parse domain.")
    if pays == gets:
        raise RpcError("badMarket")
    limit = limit_of(call, BOOK_PAGES)
    page: list[Json] = []
    if "domain" not in call.params:  # the model has no permissioned books: those are all empty
        page = book_page(ledger, call.network, Book(pays, gets), taker, limit=limit)
    return {**ledger.where(), "offers": page}


def _side(params: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    for required in ("taker_pays", "taker_gets"):
        if required not in params:
            raise missing_field(required)
    value = params[name]
    if value is not None and not isinstance(value, Mapping):
        raise expected_field(name, "object")
    return value or {}


def _currency_field(side: Mapping[str, Any], name: str) -> None:
    if "currency" not in side:
        raise missing_field(f"{name}.currency")
    if not isinstance(side["currency"], str):
        raise expected_field(f"{name}.currency", "string")


def _code(side: Mapping[str, Any], name: str, token: str) -> str:
    code = currency_code(side["currency"])
    if code is None:
        raise RpcError(token, f"Invalid field '{name}.currency', bad currency.")
    return code


def _issuer(side: Mapping[str, Any], code: str, name: str, token: str) -> str:
    """Return the issuer of one side, "" for XRP. Raises RpcError."""
    issuer: str | None = ""
    if "issuer" in side:
        if not isinstance(side["issuer"], str):
            raise expected_field(f"{name}.issuer", "string")
        issuer = issuer_address(side["issuer"])
        if issuer is None:
            raise RpcError(token, f"Invalid field '{name}.issuer', bad issuer.")
        if issuer == keys.NEUTRAL_ISSUER:
            raise RpcError(token, f"Invalid field '{name}.issuer', bad issuer account one.")
    if code == "XRP" and issuer:
        raise RpcError(token, f"Unneeded field '{name}.issuer' for XRP currency specification.")
    if code != "XRP" and not issuer:
        raise RpcError(token, f"Invalid field '{name}.issuer', expected non-XRP issuer.")
    return issuer or ""


def _taker(params: Mapping[str, Any]) -> str:
    if "taker" not in params:
        return ""
    if not isinstance(params["taker"], str):
        raise expected_field("taker", "string")
    if not is_address(params["taker"]):
        raise invalid_field("taker")
    return str(params["taker"])


def _offers(ledger: Ledger, book: Book) -> Iterator[tuple[Decimal, str, Entry]]:
    view = ledger.view()
    entries = ledger.state.entries
    for root in ledger.state.book(keys.book_base(book.pays, book.gets)):
        rate = keys.rate_of_directory(root)
        for index in directory_entries(view, root):
            yield rate, index, entries[index]


def book_page(ledger: Ledger, network: Network, book: Book, taker: str, *, limit: int) -> list[Json]:
    """Return the first offers of a book, with what their owners can pay.

    taker: who would take them, "" for nobody: an issuer pays no transfer fee on his own token.
    """
    view, rules = ledger.view(), rules_of(ledger, network)
    gets = book.gets
    frozen = any(lines.is_globally_frozen(view, asset) for asset in book)
    fee = lines.transfer_rate(view, gets.issuer) if gets.issuer and taker != gets.issuer else PARITY
    left: dict[str, Decimal] = {}
    page: list[Json] = []
    for rate, index, entry in _offers(ledger, book):
        if len(page) == limit:
            break
        owner = entry["Account"]
        wanted = decimal_of(entry["TakerGets"])
        first = True
        if owner == gets.issuer:
            funds = wanted
        elif frozen:
            funds = ZERO
        elif owner in left:
            funds, first = left[owner], False
        else:
            funds = lines.spendable(view, owner, gets, rules) or ZERO
        told = entry_json(index, entry)
        ratio = Decimal(PARITY if owner == gets.issuer else fee) / _BILLION
        reach = funds if ratio == 1 or not funds else ledger_divide(funds, ratio)
        funded = min(wanted, reach)
        if reach < wanted:
            told["taker_gets_funded"] = to_wire(amount_of(gets, funded))
            told["taker_pays_funded"] = to_wire(_paid(funded, rate, entry["TakerPays"]))
        spent = funded if ratio == 1 else min(funds, issued_mul(funded, ratio, NEAREST))
        left[owner] = issued_sub(funds, spent) if gets.issuer else funds - spent
        told["quality"] = value_text(rate)
        if first:
            told["owner_funds"] = value_text(funds) if gets.issuer else plain(funds)
        page.append(told)
    return page


def _paid(funded: Decimal, rate: Decimal, most: Amount) -> Amount:
    asset = asset_of(most)
    value = issued_mul(funded, rate, NEAREST)
    if asset.is_xrp:
        value = Decimal(whole(value, NEAREST))
    return amount_of(asset, min(value, decimal_of(most)))


def book_changes(call: Call) -> Json:
    """Return what a ledger changed in the books. Raises RpcError."""
    ledger = select(call)
    if ledger.header is not None:
        return changes_of(ledger.header, ledger.transactions)
    told = {"ledger_index": ledger.index, "ledger_hash": "0" * 64, "ledger_time": ledger.parent_close_time}
    return {**told, "type": "bookChanges", "validated": False, "changes": _tally(ledger.transactions)}


def changes_of(header: Header, transactions: tuple[LedgerTx, ...]) -> Json:
    """Return the book_changes message of a closed ledger."""
    return {
        "changes": _tally(transactions),
        "ledger_hash": header.ledger_hash,
        "ledger_index": header.ledger_index,
        "ledger_time": header.close_time,
        "type": "bookChanges",
        "validated": True,
    }


class _Traded(NamedTuple):
    """The volumes of a pair and its rates (first volume by second)."""

    volume_a: Decimal
    volume_b: Decimal
    high: Decimal
    low: Decimal
    open: Decimal
    close: Decimal


def _tally(transactions: tuple[LedgerTx, ...]) -> list[Json]:
    tally: dict[tuple[str, str], _Traded] = {}
    for item in sorted(transactions, key=lambda one: one.tx.hash):
        cancelled = item.tx.fields.get("OfferSequence")
        for node in item.meta["AffectedNodes"]:
            change = _consumed(node, cancelled)
            if change is None:
                continue
            pair, one, other = change
            rate = _rate(one, other)
            old = tally.get(pair)
            if old is None:
                tally[pair] = _Traded(one, other, rate, rate, rate, rate)
                continue
            tally[pair] = _Traded(
                issued_add(old.volume_a, one),
                issued_add(old.volume_b, other),
                max(old.high, rate),
                min(old.low, rate),
                old.open,
                rate,
            )
    return [_pair_json(pair, tally[pair]) for pair in sorted(tally)]


def _rate(one: Decimal, other: Decimal) -> Decimal:
    """Return the rate of two volumes, zero for one that is too small or too large for the ledger."""
    if not one:
        return ZERO
    try:
        return ledger_divide(one, other)
    except BadNumber:
        return ZERO


def _consumed(
    node: Mapping[str, Any], cancelled: int | None
) -> tuple[tuple[str, str], Decimal, Decimal] | None:
    """Return the pair and the two volumes an offer's node tells, None if it was not taken."""
    (kind, body), *_ = node.items()
    final, previous = body.get("FinalFields"), body.get("PreviousFields")
    if kind == "CreatedNode" or body["LedgerEntryType"] != "Offer" or final is None or previous is None:
        return None
    if not {"TakerGets", "TakerPays"} <= previous.keys():
        return None
    if kind == "DeletedNode" and cancelled is not None and final.get("Sequence") == cancelled:
        return None
    sides = []
    for name in ("TakerGets", "TakerPays"):
        after, before = from_wire(final[name], name), from_wire(previous[name], name)
        sides.append((_asset_name(after), abs(issued_sub(decimal_of(after), decimal_of(before)))))
    gets, pays = sides
    if pays[0] == _XRP_NAME or (gets[0] != _XRP_NAME and pays[0] <= gets[0]):
        gets, pays = pays, gets
    if not pays[1]:
        return None
    return (gets[0], pays[0]), gets[1], pays[1]


_XRP_NAME = "XRP_drops"


def _asset_name(amount: Amount) -> str:
    asset = asset_of(amount)
    return _XRP_NAME if asset.is_xrp else f"{asset.issuer}/{asset.currency}"


def _pair_json(pair: tuple[str, str], traded: _Traded) -> Json:
    one, other = pair
    return {
        "close": value_text(traded.close),
        "currency_a": one,
        "currency_b": other,
        "high": value_text(traded.high),
        "low": value_text(traded.low),
        "open": value_text(traded.open),
        "volume_a": plain(traded.volume_a) if one == _XRP_NAME else value_text(traded.volume_a),
        "volume_b": value_text(traded.volume_b),
    }
