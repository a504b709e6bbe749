"""Subscriptions, and the messages they get: ledger, transactions, accounts, books, server, book_changes.

Theory (rippled NetworkOPs.cpp, `pubLedger`, `pubValidatedTransaction`, `transJson`; OrderBookDB.cpp,
`processTxn`). A ledger is told first, then its book changes, then each of its transactions in order. A
transaction is sent once for each kind of subscription that it matches: a client with the transactions
stream, an account in it and a book it touched gets it three times. Accounts together count once, and so
do books. What arrives in the open ledger goes to the `..._proposed` subscriptions, which get the
validated one later as well.

A message has the form of the API version of its client's last `subscribe`; it is built and encoded once
for each version, however many clients there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import msgspec

from neo_engine.domain.assets import XRP, Asset
from neo_engine.simulator.history import touched_accounts
from neo_engine.simulator.model import keys
from neo_engine.simulator.model.amounts import Token
from neo_engine.simulator.model.context import Rules
from neo_engine.simulator.model.ledger import ClosedLedger, Header, LedgerTx, owner_funds
from neo_engine.simulator.model.results import RESULTS, SUCCESS
from neo_engine.simulator.model.state import State
from neo_engine.simulator.server import formats
from neo_engine.simulator.server.client import Client
from neo_engine.simulator.server.commands.books import changes_of
from neo_engine.simulator.server.reports import HOST, NODE_KEY, Situation, server_status

Json = dict[str, Any]
Listeners = dict[int, Client]

LEDGER, TRANSACTIONS, PROPOSED, SERVER, BOOK_CHANGES = (
    "ledger",
    "transactions",
    "transactions_proposed",
    "server",
    "book_changes",
)
#: Streams that exist but tell nothing here: there are no validators and no peers.
SILENT = frozenset({"manifests", "validations", "consensus", "peer_status"})
_OLD_NAMES = {"rt_transactions": PROPOSED}
_ACCOUNTS = "accounts"
_ACCOUNTS_PROPOSED = ("accounts_proposed", "rt_accounts")
#: Where a node of metadata keeps the amounts that name an offer's book.
_BOOK_FIELDS = {"CreatedNode": "NewFields", "ModifiedNode": "PreviousFields", "DeletedNode": "FinalFields"}
_encode = msgspec.json.Encoder(order="sorted").encode


class Open(Protocol):
    """The open ledger, as far as its messages need it."""

    state: State
    rules: Rules
    index: int


class Message:
    """A message in the forms of both API versions, encoded when it is first wanted."""

    def __init__(self, body: Json, *, transaction: LedgerTx | None = None, extra: Json | None = None) -> None:
        self._body = body
        self._item = transaction
        self._extra = extra or {}
        self._encoded: dict[int, bytes] = {}

    def form(self, version: int) -> Json:
        """Return the message as a version of the API has it."""
        if self._item is None:
            return self._body
        told = formats.tx_json(self._item.tx.json, version) | self._extra
        if version > 1:
            return {**self._body, "tx_json": told, "hash": self._item.tx.hash}
        return {**self._body, "transaction": {**told, "hash": self._item.tx.hash}}

    def send(self, clients: Iterable[Client]) -> None:
        """Send it to each client."""
        for client in clients:
            version = 2 if client.api_version > 1 else 1
            encoded = self._encoded.get(version)
            if encoded is None:
                encoded = self._encoded[version] = _encode(self.form(version))
            client.send(encoded)


class Streams:
    """Who listens to what."""

    def __init__(self) -> None:
        self._named: dict[str, Listeners] = {}
        self._accounts: dict[str, Listeners] = {}
        self._accounts_proposed: dict[str, Listeners] = {}
        self._books: dict[str, Listeners] = {}

    def subscribe(self, client: Client, params: Mapping[str, Any], at: Situation) -> Json:
        """Add subscriptions; return what the ledger and server streams tell at once."""
        client.api_version = params.get("api_version", 1)
        told: Json = {}
        for given in params.get("streams", ()):
            name = _OLD_NAMES.get(given, given)
            self._named.setdefault(name, {})[id(client)] = client
            if name == LEDGER:
                told |= _ledger_now(at)
            elif name == SERVER:
                told |= _server_now(at)
        for table, accounts in self._wanted_accounts(params):
            for account in accounts:
                table.setdefault(account, {})[id(client)] = client
        for base in _books(params):
            self._books.setdefault(base, {})[id(client)] = client
        return told

    def unsubscribe(self, client: Client, params: Mapping[str, Any]) -> None:
        """End subscriptions; what was not subscribed is passed over."""
        for given in params.get("streams", ()):
            _remove(self._named, _OLD_NAMES.get(given, given), client)
        for table, accounts in self._wanted_accounts(params):
            for account in accounts:
                _remove(table, account, client)
        for base in _books(params):
            _remove(self._books, base, client)

    def forget(self, client: Client) -> None:
        """End every subscription of a client that is gone."""
        for table in (self._named, self._accounts, self._accounts_proposed, self._books):
            for name in [name for name, listeners in table.items() if id(client) in listeners]:
                _remove(table, name, client)

    def _wanted_accounts(self, params: Mapping[str, Any]) -> list[tuple[dict[str, Listeners], Iterable[str]]]:
        proposed = next((params[name] for name in _ACCOUNTS_PROPOSED if name in params), ())
        return [(self._accounts, params.get(_ACCOUNTS, ())), (self._accounts_proposed, proposed)]

    def _to(self, name: str) -> list[Client]:
        return list(self._named.get(name, {}).values())

    def server_status(self, at: Situation) -> None:
        """Tell the `server` stream the load factors."""
        Message(server_status(at)).send(self._to(SERVER))

    def closed(self, closed: ClosedLedger, at: Situation) -> None:
        """Tell a closed ledger, its book changes and its transactions."""
        Message(_ledger_closed(closed, at)).send(self._to(LEDGER))
        changes = self._to(BOOK_CHANGES)
        if changes:
            Message(changes_of(closed.header, closed.transactions)).send(changes)
        for item in closed.transactions:
            listeners = self._listeners(item)
            if listeners:
                _validated(item, closed.header, at).send(listeners)

    def _listeners(self, item: LedgerTx) -> list[Client]:
        """Return who gets a validated transaction, a client once for each kind of subscription."""
        found = [*self._to(TRANSACTIONS), *self._to(PROPOSED)]
        if self._books and item.result == SUCCESS:
            found += _once(self._books.get(base) for base in touched_books(item.meta))
        if self._accounts or self._accounts_proposed:
            touched = sorted(touched_accounts(item))
            tables = (self._accounts_proposed, self._accounts)
            found += _once(table.get(account) for account in touched for table in tables)
        return found

    def proposed(self, item: LedgerTx, ledger: Open) -> None:
        """Tell a transaction that has just got into the open ledger."""
        listeners = list(self._to(PROPOSED))
        if self._accounts_proposed:
            mentioned = sorted(_mentioned(item))
            listeners += _once(self._accounts_proposed.get(account) for account in mentioned)
        if not listeners:
            return
        body: Json = {
            "type": "transaction",
            "validated": False,
            "status": "proposed",
            "ledger_current_index": ledger.index,
            **_outcome(item.result),
        }
        extra = _funds(_owner_funds_now(item, ledger))
        Message(body, transaction=item, extra=extra).send(listeners)


def _once(groups: Iterable[Listeners | None]) -> list[Client]:
    merged: Listeners = {}
    for group in groups:
        merged |= group or {}
    return list(merged.values())


def _remove(table: dict[str, Listeners], name: str, client: Client) -> None:
    listeners = table.get(name, {})
    listeners.pop(id(client), None)
    if not listeners:
        table.pop(name, None)


def _asset(given: Mapping[str, Any]) -> Asset:
    issuer = given.get("issuer", "")
    return XRP if not issuer else Asset(given["currency"], issuer)


def _books(params: Mapping[str, Any]) -> list[str]:
    """Return the bases of the books asked for, with the other side of those wanted both ways."""
    bases = []
    for book in params.get("books", ()):
        pays, gets = _asset(book["taker_pays"]), _asset(book["taker_gets"])
        bases.append(keys.book_base(pays, gets))
        if book.get("both") or book.get("both_sides"):
            bases.append(keys.book_base(gets, pays))
    return bases


def touched_books(meta: Mapping[str, Any]) -> list[str]:
    """Return the bases of the books whose offers a transaction made, changed or removed."""
    bases: dict[str, None] = {}
    for node in meta["AffectedNodes"]:
        for kind, body in node.items():
            fields = body.get(_BOOK_FIELDS[kind], {})
            if body["LedgerEntryType"] == "Offer" and "TakerPays" in fields and "TakerGets" in fields:
                pays, gets = (_wire_asset(fields[name]) for name in ("TakerPays", "TakerGets"))
                bases[keys.book_base(pays, gets)] = None
    return list(bases)


def _wire_asset(amount: Any) -> Asset:
    return XRP if isinstance(amount, str) else Asset(amount["currency"], amount["issuer"])


def _mentioned(item: LedgerTx) -> set[str]:
    """Return the accounts that a transaction names itself, issuers of its amounts included."""
    found = set()
    for name, value in item.tx.fields.items():
        if name in ("Account", "Destination", "Owner", "RegularKey"):
            found.add(value)
        elif isinstance(value, Token):
            found.add(value.issuer)
    return found


def _outcome(result: str) -> Json:
    code, text = RESULTS[result]
    return {"engine_result": result, "engine_result_code": code, "engine_result_message": text}


def _owner_funds_now(item: LedgerTx, ledger: Open) -> str | None:
    if item.tx.kind != "OfferCreate":
        return None
    return owner_funds(ledger.state, item.tx, ledger.rules)


def _funds(told: str | None) -> Json:
    return {} if told is None else {"owner_funds": told}


def _validated(item: LedgerTx, header: Header, at: Situation) -> Message:
    place = formats.ctid(header.ledger_index, item.index, at.network_id)
    body: Json = {
        "type": "transaction",
        "validated": True,
        "status": "closed",
        "meta": item.meta,
        "ledger_hash": header.ledger_hash,
        "ledger_index": header.ledger_index,
        "close_time_iso": formats.iso_time(header.close_time),
        **({} if place is None else {"ctid": place}),
        **_outcome(item.result),
    }
    extra = {"date": header.close_time, **_funds(item.owner_funds)}
    return Message(body, transaction=item, extra=extra)


def _fees(at: Situation) -> Json:
    return {
        "fee_base": at.rules.base_fee,
        "reserve_base": at.rules.base_reserve,
        "reserve_inc": at.rules.owner_reserve,
        "network_id": at.network_id,
        "validated_ledgers": at.complete_ledgers,
    }


def _ledger_now(at: Situation) -> Json:
    return {
        "ledger_hash": at.header.ledger_hash,
        "ledger_index": at.header.ledger_index,
        "ledger_time": at.header.close_time,
        **_fees(at),
    }


def _ledger_closed(closed: ClosedLedger, at: Situation) -> Json:
    return {
        "type": "ledgerClosed",
        "txn_count": len(closed.transactions),
        **_ledger_now(at),
    }


def _server_now(at: Situation) -> Json:
    seed = keys.half(f"{at.header.ledger_hash} random".encode("ascii"))
    return {
        "stand_alone": True,
        "random": seed.hex().upper(),
        "server_status": "full",
        "load_base": 256,
        "load_factor": at.open_level,
        "hostid": HOST,
        "pubkey_node": NODE_KEY,
    }
