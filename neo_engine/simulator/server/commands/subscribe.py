"""subscribe and unsubscribe: what a client asks for is checked here, the network keeps it.

Source: rippled Subscribe.cpp, Unsubscribe.cpp. All is checked before anything is registered, so a refused
request changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neo_engine.domain.assets import Asset
from neo_engine.simulator.model import keys
from neo_engine.simulator.server.call import Call
from neo_engine.simulator.server.commands.arguments import (
    BOOK_PAGES,
    currency_code,
    is_address,
    issuer_address,
    text_of,
)
from neo_engine.simulator.server.commands.books import Book, book_page
from neo_engine.simulator.server.commands.selection import last_ledger
from neo_engine.simulator.server.errors import RpcError
from neo_engine.simulator.server.formats import Json

STREAMS = frozenset(
    {
        *("book_changes", "consensus", "ledger", "manifests", "peer_status", "rt_transactions"),
        *("server", "transactions", "transactions_proposed", "validations"),
    }
)
_ADMIN_STREAMS = frozenset({"peer_status"})


def subscribe(call: Call) -> Json:
    """Register a client's subscriptions; return what the streams and snapshots tell at once.

    Raises RpcError.
    """
    params = _checked(call)
    books = [_book(one) for one in params.get("books", ())]
    result = dict(call.network.subscribe(call.client, dict(params)))
    for given, book in zip(params.get("books", ()), books, strict=True):
        if given.get("snapshot") or given.get("state_now"):
            _add_snapshot(call, result, given, book)
    return result


def unsubscribe(call: Call) -> Json:
    """End a client's subscriptions. Raises RpcError."""
    params = _checked(call)
    for one in params.get("books", ()):
        _book(one)
    return dict(call.network.unsubscribe(call.client, dict(params)))


def _checked(call: Call) -> Mapping[str, Any]:
    """Return the parameters with streams and accounts checked. Raises RpcError."""
    params = call.params
    if "url" in params:
        raise RpcError("notSupported" if call.admin else "noPermission")
    if call.client is None:
        raise RpcError("invalidParams")
    _check_list(params, "streams")
    for name in params.get("streams", ()):
        if not isinstance(name, str) or name not in STREAMS:
            raise RpcError("malformedStream")
        if name in _ADMIN_STREAMS and not call.admin:
            raise RpcError("noPermission")
    for field in ("accounts_proposed", "rt_accounts", "accounts"):
        _check_list(params, field)
        accounts = params.get(field, ())
        if field in params and not accounts:
            raise RpcError("actMalformed")
        if not all(isinstance(account, str) and is_address(account) for account in accounts):
            raise RpcError("actMalformed")
    if "account_history_tx_stream" in params:
        raise RpcError("notSupported")
    _check_list(params, "books")
    for one in params.get("books", ()):
        sides = (one.get("taker_pays"), one.get("taker_gets")) if isinstance(one, Mapping) else (None, None)
        if not all(isinstance(side, Mapping) for side in sides):
            raise RpcError("invalidParams")
    return params


def _check_list(params: Mapping[str, Any], name: str) -> None:
    if name in params and not isinstance(params[name], list):
        raise RpcError("invalidParams")


def _book(given: Mapping[str, Any]) -> Book:
    """Return the book of a subscription. Raises RpcError."""
    pays = _asset(given["taker_pays"], "srcCurMalformed", "srcIsrMalformed")
    gets = _asset(given["taker_gets"], "dstAmtMalformed", "dstIsrMalformed")
    if pays == gets:
        raise RpcError("badMarket")
    if "taker" in given and not is_address(text_of(given["taker"])):
        raise RpcError("badIssuer")
    if "domain" in given:
        raise RpcError("domainMalformed")
    return Book(pays, gets)


def _asset(side: Mapping[str, Any], bad_currency: str, bad_issuer: str) -> Asset:
    code = currency_code(text_of(side["currency"])) if "currency" in side else None
    if code is None:
        raise RpcError(bad_currency)
    issuer: str | None = ""
    if "issuer" in side:
        issuer = issuer_address(side["issuer"]) if isinstance(side["issuer"], str) else None
    if issuer is None or issuer == keys.NEUTRAL_ISSUER or (code == "XRP") != (not issuer):
        raise RpcError(bad_issuer)
    return Asset(code, issuer)


def _add_snapshot(call: Call, result: Json, given: Mapping[str, Any], book: Book) -> None:
    """Add the offers of a book, or of both its sides, to those already in the result."""
    ledger = last_ledger(call.network)
    taker = text_of(given.get("taker"))
    both = given.get("both") or given.get("both_sides")
    sides = {"bids": book, "asks": book.reversed()} if both else {"offers": book}
    for name, side in sides.items():
        page = book_page(ledger, call.network, side, taker, limit=BOOK_PAGES.usual)
        result[name] = [*result.get(name, ()), *page]
