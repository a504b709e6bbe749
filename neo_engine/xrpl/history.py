"""What a server remembers of an account: its transactions page by page, and its entries after a ledger.

Servers leave things out: one clipped a range without a word, another skipped a row between two pages.
So nothing is believed that can be checked:

1. Every page must repeat the range that was asked for; any other range raises HistoryError.
2. Only validated transactions inside the range count; anything else raises HistoryError.
3. Pages need not be in order inside, and a row may come twice: rows are sorted by ledger and place, and
   the same transaction counts once.
4. A marker that was given before would page for ever, so it raises HistoryError.
5. What is left out all the same shows in the chain of PreviousTxnID (`report/audit.py`).

Pages go from the newest transaction to the oldest unless `forward` (the safer way: what skipped rows did
so forwards). An end of the range that is left open is set by the first page and asked for by name after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from neo_engine.domain.assets import IssuedAsset, Side
from neo_engine.domain.errors import BadNumber, NeoError
from neo_engine.domain.ledger import LedgerTransaction
from neo_engine.domain.number import ONE, ZERO
from neo_engine.xrpl.codec import Codec, MissingField, drops_of, issued_of
from neo_engine.xrpl.server import Json, RequestRefused, Server
from neo_engine.xrpl.wire import StateEntry, Token, TransactionMessage

PAGE_ROWS = 200  # what a server gives without being asked for a number; most allow no more
NO_BOUND = -1  # account_tx: as far as the server's history goes
NO_LEDGER = ("lgrNotFound", "ledgerNotFound", "lgrIdxMalformed")
NO_ACCOUNT = "actNotFound"
TRANSFER_RATE_PARITY = 1_000_000_000  # AccountRoot TransferRate: billionths
_DECODE_ERRORS = (msgspec.DecodeError, BadNumber, MissingField)
FIX = "ask another server with --endpoint"


class HistoryError(NeoError):
    """A server's answer contradicts what it was asked, or cannot be read."""


class RestingOffer(msgspec.Struct, frozen=True, kw_only=True):
    """An account's offer of the pair. base_drops and quote are what is left of it."""

    sequence: int
    side: Side
    base_drops: int
    quote: Decimal


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """An account after a ledger.

    exists: it is on the ledger. offers: ledger index -> offer, of the pair only. root, links: the ledger
    index of its AccountRoot, and the last transaction that changed each of AccountRoot, trust line and
    offers ("" for an unknown root). complete: no line or offer of the pair can be missing in it.
    """

    ledger_index: int
    exists: bool
    balance_drops: int
    quote: Decimal
    offers: dict[str, RestingOffer]
    root: str
    links: dict[str, str]
    complete: bool = True
    is_pool: bool = False


class PlacedTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """A validated transaction and its ledger. close_time: seconds since 2000-01-01.

    elsewhere: as `offers_elsewhere` says. before: ledger index of an entry -> the ledger in which it was
    changed the time before this one.
    """

    ledger_index: int
    close_time: int
    transaction: LedgerTransaction
    elsewhere: tuple[int, Decimal]
    before: dict[str, int]


class AccountHistory(msgspec.Struct, frozen=True, kw_only=True):
    """An account's transactions in first_ledger..last_ledger, oldest first, each once.

    pages: how many answers they came in. repeated: rows that came more than once.
    """

    first_ledger: int
    last_ledger: int
    transactions: tuple[PlacedTransaction, ...]
    pages: int
    repeated: int


class _Date(msgspec.Struct):
    """tx_json.date: when the transaction's ledger closed."""

    date: int


class _Link(msgspec.Struct):
    """The ledger of an entry's last change, where an entry's fields have it."""

    PreviousTxnLgrSeq: int = 0


class _LinkedEntry(msgspec.Struct):
    """An entry in metadata; one that was deleted tells its last change in its fields."""

    LedgerIndex: str
    FinalFields: _Link | None = None
    PreviousTxnLgrSeq: int = 0


class _LinkedNode(msgspec.Struct):
    """One of AffectedNodes; a created one has no change before."""

    DeletedNode: _LinkedEntry | None = None
    ModifiedNode: _LinkedEntry | None = None


class _LinkedMeta(msgspec.Struct):
    """Metadata, for the links only."""

    AffectedNodes: list[_LinkedNode]


class _Row(msgspec.Struct):
    """A row of account_tx, for the fields that `wire.TransactionMessage` does not read."""

    tx_json: _Date
    meta: _LinkedMeta

    def before(self) -> dict[str, int]:
        """Return the ledger of each entry's change before this one."""
        found = {}
        for node in self.meta.AffectedNodes:
            if node.ModifiedNode is not None:
                found[node.ModifiedNode.LedgerIndex] = node.ModifiedNode.PreviousTxnLgrSeq
            elif node.DeletedNode is not None and node.DeletedNode.FinalFields is not None:
                found[node.DeletedNode.LedgerIndex] = node.DeletedNode.FinalFields.PreviousTxnLgrSeq
        return found


class _Root(msgspec.Struct):
    """The AccountRoot in an `account_info` answer."""

    Balance: str
    AMMID: str | None = None
    PreviousTxnID: str = ""
    TransferRate: int = 0
    index: str = ""


class _Info(msgspec.Struct):
    """An `account_info` answer."""

    account_data: _Root


_message = msgspec.json.Decoder(TransactionMessage)
_row = msgspec.json.Decoder(_Row)


def read_history(
    server: Server,
    codec: Codec,
    account: str,
    ledgers: tuple[int | None, int | None],
    *,
    forward: bool = False,
    page_rows: int = PAGE_ROWS,
) -> AccountHistory:
    """Return an account's transactions in a range of ledgers (None: as far as the server goes).

    Raises HistoryError, RequestRefused or RequestLost.
    """
    first, last = (NO_BOUND if bound is None else bound for bound in ledgers)
    found: dict[tuple[int, int], PlacedTransaction] = {}
    markers: list[Any] = []
    pages = rows = 0
    while True:
        page = _page(server, account, (first, last), forward=forward, limit=page_rows, markers=markers)
        pages += 1
        first, last = _range_of(page, account, (first, last))
        for row in _list_in(page, "transactions", account):
            rows += 1
            placed = _placed(codec, row, account, (first, last))
            place = placed.ledger_index, placed.transaction.index
            if found.setdefault(place, placed).transaction.tx_hash != placed.transaction.tx_hash:
                raise HistoryError(
                    f"account_tx of {account}: two transactions claim place {place[1]} of ledger"
                    f" {place[0]}; {FIX}"
                )
        marker = page.get("marker")
        if marker is None:
            break
        if marker in markers:
            raise HistoryError(f"account_tx of {account}: the server gave marker {marker} twice; {FIX}")
        markers.append(marker)
    return AccountHistory(
        first_ledger=first,
        last_ledger=last,
        transactions=tuple(found[place] for place in sorted(found)),
        pages=pages,
        repeated=rows - len(found),
    )


def _page(
    server: Server,
    account: str,
    ledgers: tuple[int, int],
    *,
    forward: bool,
    limit: int,
    markers: list[Any],
) -> Json:
    going_on = {"marker": markers[-1]} if markers else {}
    return server.request(
        "account_tx",
        account=account,
        ledger_index_min=ledgers[0],
        ledger_index_max=ledgers[1],
        forward=forward,
        limit=limit,
        **going_on,
    )


def _range_of(page: Json, account: str, asked: tuple[int, int]) -> tuple[int, int]:
    """Return the range that a page covers. Raises HistoryError unless it is the one asked for."""
    told = page.get("ledger_index_min"), page.get("ledger_index_max")
    first, last = told
    if not isinstance(first, int) or not isinstance(last, int) or page.get("validated") is not True:
        raise HistoryError(f"account_tx of {account}: a page without its range or not validated; {FIX}")
    if any(bound not in (NO_BOUND, given) for bound, given in zip(asked, told)):
        raise HistoryError(
            f"account_tx of {account}: asked for ledgers {asked[0]} to {asked[1]}, the server searched"
            f" {first} to {last}; {FIX}, or narrow --from and --to"
        )
    return first, last


def _list_in(answer: Json, name: str, account: str) -> list[Any]:
    rows = answer.get(name)
    if not isinstance(rows, list):
        raise HistoryError(f"{name} of {account}: the answer has no such list; {FIX}")
    return rows


def _placed(codec: Codec, row: Any, account: str, ledgers: tuple[int, int]) -> PlacedTransaction:
    try:
        data = msgspec.json.encode(row)
        message = _message.decode(data)
        transaction = codec.transaction(message)
        further = _row.decode(data)
        elsewhere = offers_elsewhere(codec, message, account)
    except _DECODE_ERRORS as error:
        raise HistoryError(f"account_tx of {account}: a row cannot be read ({error}); {FIX}") from error
    if not message.validated or not ledgers[0] <= message.ledger_index <= ledgers[1]:
        raise HistoryError(
            f"account_tx of {account}: transaction {message.hash} of ledger {message.ledger_index} is not"
            f" validated or lies outside {ledgers[0]} to {ledgers[1]}; {FIX}"
        )
    return PlacedTransaction(
        ledger_index=message.ledger_index,
        close_time=further.tx_json.date,
        transaction=transaction,
        elsewhere=elsewhere,
        before=further.before(),
    )


def offers_elsewhere(codec: Codec, message: TransactionMessage, account: str) -> tuple[int, Decimal]:
    """Return what a transaction moved by the account's resting offers of other pairs: (drops, token).

    Only XRP and the pair's token, positive in. Raises BadNumber.
    """
    drops, quote = 0, ZERO
    for node in message.meta.AffectedNodes:
        body = node.ModifiedNode or node.DeletedNode
        if body is None or body.LedgerEntryType != "Offer" or body.PreviousFields is None:
            continue
        after, before = body.FinalFields, body.PreviousFields
        if after is None or after.Account != account or codec.side_of(after.TakerGets, after.TakerPays):
            continue
        for sign, old, new in (
            (-1, before.TakerGets, after.TakerGets),
            (1, before.TakerPays, after.TakerPays),
        ):
            if isinstance(old, str) and isinstance(new, str):
                drops += sign * (drops_of(old, "Offer") - drops_of(new, "Offer"))
            elif isinstance(old, Token) and isinstance(new, Token) and codec.is_quote(new):
                quote += sign * (issued_of(old.value, "Offer") - issued_of(new.value, "Offer"))
    return drops, quote


def account_view(server: Server, codec: Codec, account: str, ledger_index: int) -> AccountView | None:
    """Return an account after a ledger; None where the server no longer has that ledger's entries.

    Raises HistoryError, RequestRefused or RequestLost.
    """
    try:
        root = _root(server, account, ledger_index)
        if root is None:
            return AccountView(
                ledger_index=ledger_index,
                exists=False,
                balance_drops=0,
                quote=ZERO,
                offers={},
                root="",
                links={},
            )
        entries = [
            entry for kind in ("state", "offer") for entry in _objects(server, account, kind, ledger_index)
        ]
    except RequestRefused as refused:
        if refused.token in NO_LEDGER:
            return None
        raise
    quote, offers, links = ZERO, {}, {root.index: root.PreviousTxnID}
    try:
        drops = drops_of(root.Balance, f"Balance of {account}")
        for entry in entries:
            held = codec.line_side(entry)
            offer = _resting(codec, entry, account)
            if held is not None and held[0] == account:
                quote = codec.line_balance(entry.Balance, held[1], f"RippleState {entry.index}")
            elif offer is not None:
                offers[entry.index] = offer
            else:
                continue
            links[entry.index] = entry.PreviousTxnID or ""
    except _DECODE_ERRORS as error:
        raise HistoryError(f"{account} in ledger {ledger_index}: {error}; {FIX}") from error
    return AccountView(
        ledger_index=ledger_index,
        exists=True,
        balance_drops=drops,
        quote=quote,
        offers=offers,
        root=root.index,
        links=links,
        is_pool=root.AMMID is not None,
    )


def _resting(codec: Codec, entry: StateEntry, account: str) -> RestingOffer | None:
    side = codec.side_of(entry.TakerGets, entry.TakerPays)
    if side is None or entry.TakerGets is None or entry.TakerPays is None or entry.Account != account:
        return None
    drops, quote = codec.amounts_of(side, entry.TakerGets, entry.TakerPays, f"Offer {entry.index}")
    return RestingOffer(sequence=entry.Sequence, side=side, base_drops=drops, quote=quote)


def _root(server: Server, account: str, ledger_index: int | str) -> _Root | None:
    try:
        answer = server.request("account_info", account=account, ledger_index=ledger_index)
        return msgspec.convert(answer, _Info).account_data
    except RequestRefused as refused:
        if refused.token == NO_ACCOUNT:
            return None
        raise
    except msgspec.ValidationError as error:
        raise HistoryError(f"account_info of {account}: {error}; {FIX}") from error


def _objects(server: Server, account: str, kind: str, ledger_index: int) -> Iterator[StateEntry]:
    """Yield what an account owns of one kind, over all pages."""
    seen: list[Any] = []
    while True:
        going_on = {"marker": seen[-1]} if seen else {}
        answer = server.request(
            "account_objects",
            account=account,
            type=kind,
            ledger_index=ledger_index,
            limit=PAGE_ROWS,
            **going_on,
        )
        for row in _list_in(answer, "account_objects", account):
            try:
                yield msgspec.convert(row, StateEntry)
            except msgspec.ValidationError as error:
                raise HistoryError(f"account_objects of {account}: {error}; {FIX}") from error
        marker = answer.get("marker")
        if marker is None:
            return
        if marker in seen:
            raise HistoryError(f"account_objects of {account}: marker {marker} came twice; {FIX}")
        seen.append(marker)


def transfer_rate(server: Server, issuer: str) -> Decimal:
    """Return what the owner pays, as of now, for each unit of the token that arrives; 1 for no fee."""
    root = _root(server, issuer, "validated")
    if root is None or not root.TransferRate:
        return ONE
    return Decimal(root.TransferRate) / TRANSFER_RATE_PARITY


def close_time(server: Server, ledger_index: int) -> int:
    """Return when a ledger closed, seconds since 2000-01-01. Raises HistoryError, RequestRefused..."""
    told = server.request("ledger", ledger_index=ledger_index).get("ledger")
    value = told.get("close_time") if isinstance(told, dict) else None
    if not isinstance(value, int):
        raise HistoryError(f"ledger {ledger_index}: the answer has no close_time; {FIX}")
    return value


def tokens_held(server: Server, account: str, currency: str) -> tuple[IssuedAsset, ...]:
    """Return the tokens of a currency code that an account has a trust line for, as of now."""
    found: dict[str, None] = {}
    markers: list[Any] = []
    while True:
        going_on = {"marker": markers[-1]} if markers else {}
        answer = server.request(
            "account_lines", account=account, ledger_index="validated", limit=PAGE_ROWS, **going_on
        )
        for line in _list_in(answer, "lines", account):
            if isinstance(line, dict) and line.get("currency") == currency:
                found[str(line.get("account"))] = None
        marker = answer.get("marker")
        if marker is None or marker in markers:
            break
        markers.append(marker)
    return tuple(IssuedAsset(currency=currency, issuer=issuer) for issuer in found)
