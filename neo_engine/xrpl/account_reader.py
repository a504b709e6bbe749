"""Asking a server about our account, in the engine's words: its state, its past, the fate of a hash.

1. All parts of a snapshot are of the same validated ledger, over all pages; anything else raises
   HistoryError. The account's entries are listed whole (account_objects) rather than as account_lines and
   account_offers, because only the entries name the transaction that last changed them.
2. A hash that a server does not find is a proof of nothing by itself: `searched_all` tells whether it has
   every ledger in question (xrpl.org, "tx"; ledger-rules, Submission).
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from neo_engine.domain.account_snapshot import AccountSnapshot, OpenOffer, TransactionLookup
from neo_engine.domain.errors import BadNumber
from neo_engine.domain.ledger import CheckData, LedgerTransaction, LedgerUpdate
from neo_engine.domain.number import ZERO
from neo_engine.xrpl.codec import Codec, MissingField, drops_of, line_frozen
from neo_engine.xrpl.history import FIX, PAGE_ROWS, HistoryError, close_time, read_history
from neo_engine.xrpl.server import Json, RequestRefused, Server
from neo_engine.xrpl.wire import StateEntry, TransactionMessage

NOT_FOUND = "txnNotFound"
VALIDATED = "validated"
T = TypeVar("T")
_NO_CHECK = CheckData(asks=None, bids=None, pool=None, accounts=None)
_DECODE_ERRORS = (BadNumber, MissingField)


class _TxInfo(msgspec.Struct):
    """An account_info answer."""

    account_data: StateEntry
    ledger_index: int
    validated: bool = False


class _Object(StateEntry):
    """One entry of an account_objects answer; the ticket's own number besides what a state entry has."""

    TicketSequence: int = 0


class _ObjectsPage(msgspec.Struct):
    """One account_objects answer."""

    account_objects: list[_Object]
    ledger_index: int
    marker: Any = None
    validated: bool = False


class _Date(msgspec.Struct):
    """tx_json.date: when the transaction's ledger closed."""

    date: int


class _Dated(msgspec.Struct):
    """A tx answer, for the one field that no stream message has."""

    tx_json: _Date


class AccountReader:
    """What can be asked about one account; the live executor and the recovery ask nothing else."""

    def __init__(self, server: Server, codec: Codec, account: str) -> None:
        self._server = server
        self._codec = codec
        self._account = account

    def snapshot(self, ledger_index: int | None = None) -> AccountSnapshot:
        """Return the account after a ledger (None: the last validated one).

        Raises HistoryError for answers that do not fit together, RequestRefused or RequestLost.
        """
        asked = VALIDATED if ledger_index is None else ledger_index
        answer = self._server.request("account_info", account=self._account, ledger_index=asked)
        info = self._read(answer, _TxInfo, "account_info")
        if not info.validated or ledger_index not in (None, info.ledger_index):
            raise self._broken("account_info", f"it is of ledger {info.ledger_index}, not of {asked}")
        objects = self._objects(info.ledger_index)
        try:
            return self._assembled(info, objects, close_time(self._server, info.ledger_index))
        except _DECODE_ERRORS as error:
            raise self._broken("account_objects", str(error)) from error

    def look_up(self, tx_hash: str, first_ledger: int, last_ledger: int) -> TransactionLookup:
        """Ask for a hash, to be searched for in first_ledger..last_ledger.

        Raises HistoryError, RequestRefused (anything but "not found") or RequestLost.
        """
        try:
            answer = self._server.request(
                "tx",
                transaction=tx_hash,
                min_ledger=min(first_ledger, last_ledger),
                max_ledger=last_ledger,
            )
        except RequestRefused as refused:
            if refused.token != NOT_FOUND:
                raise
            sure = refused.reply.get("searched_all") is True
            return TransactionLookup(tx_hash=tx_hash, update=None, searched_all=sure)
        if answer.get("validated") is not True:
            return TransactionLookup(tx_hash=tx_hash, update=None, searched_all=False)
        message = self._read(answer, TransactionMessage, f"tx {tx_hash}")
        dated = self._read(answer, _Dated, f"tx {tx_hash}")
        if message.hash != tx_hash:
            raise self._broken(f"tx {tx_hash}", f"it is of {message.hash}")
        try:
            transaction = self._codec.transaction(message)
        except _DECODE_ERRORS as error:
            raise self._broken(f"tx {tx_hash}", str(error)) from error
        update = _update(message.ledger_index, dated.tx_json.date, (transaction,))
        return TransactionLookup(tx_hash=tx_hash, update=update, searched_all=False)

    def history(self, first_ledger: int, last_ledger: int) -> tuple[LedgerUpdate, ...]:
        """Return the ledgers of a range that touched the account, oldest first.

        Only index, close time and the account's transactions of each are known, which `incomplete` says.
        Raises HistoryError, RequestRefused or RequestLost.
        """
        if first_ledger > last_ledger:
            return ()
        found = read_history(self._server, self._codec, self._account, (first_ledger, last_ledger))
        ledgers: dict[int, tuple[int, list[LedgerTransaction]]] = {}
        for placed in found.transactions:
            ledgers.setdefault(placed.ledger_index, (placed.close_time, []))[1].append(placed.transaction)
        return tuple(_update(index, closed, tuple(txs)) for index, (closed, txs) in ledgers.items())

    def _objects(self, ledger_index: int) -> list[_Object]:
        found: list[_Object] = []
        markers: list[Any] = []
        while True:
            going_on = {"marker": markers[-1]} if markers else {}
            answer = self._server.request(
                "account_objects",
                account=self._account,
                ledger_index=ledger_index,
                limit=PAGE_ROWS,
                **going_on,
            )
            page = self._read(answer, _ObjectsPage, "account_objects")
            if not page.validated or page.ledger_index != ledger_index:
                raise self._broken(
                    "account_objects", f"a page is of ledger {page.ledger_index}, not of {ledger_index}"
                )
            found.extend(page.account_objects)
            if page.marker is None:
                return found
            if page.marker in markers:
                raise self._broken("account_objects", f"marker {page.marker} came twice")
            markers.append(page.marker)

    def _assembled(self, info: _TxInfo, objects: list[_Object], closed: int) -> AccountSnapshot:
        root, codec = info.account_data, self._codec
        has_line, quote, frozen, line_txn = False, ZERO, False, ""
        for entry in objects:
            held = codec.line_side(entry) if entry.LedgerEntryType == "RippleState" else None
            if held is not None and held[0] == self._account:
                has_line, line_txn = True, entry.PreviousTxnID or ""
                quote = codec.line_balance(entry.Balance, held[1], f"RippleState {entry.index}")
                frozen = line_frozen(entry.Flags, held[1])
        offers = [one for entry in objects if (one := self._offer(entry)) is not None]
        return AccountSnapshot(
            account=self._account,
            ledger_index=info.ledger_index,
            close_time=closed,
            balance_drops=drops_of(root.Balance, f"AccountRoot {self._account}"),
            account_sequence=root.Sequence,
            owner_count=root.OwnerCount,
            root_index=root.index,
            root_txn_id=root.PreviousTxnID or "",
            has_line=has_line,
            quote_balance=quote,
            frozen=frozen,
            line_txn_id=line_txn,
            offers=tuple(sorted(offers, key=lambda one: one.offer_sequence)),
            tickets=tuple(sorted(e.TicketSequence for e in objects if e.LedgerEntryType == "Ticket")),
        )

    def _offer(self, entry: _Object) -> OpenOffer | None:
        gives, gets = entry.TakerGets, entry.TakerPays
        side = self._codec.side_of(gives, gets) if entry.LedgerEntryType == "Offer" else None
        if side is None or gives is None or gets is None:
            return None
        base_drops, quote = self._codec.amounts_of(side, gives, gets, f"Offer {entry.index}")
        return OpenOffer(
            offer_sequence=entry.Sequence,
            side=side,
            base_drops=base_drops,
            quote=quote,
            expiration=entry.Expiration,
            index=entry.index,
            last_txn_id=entry.PreviousTxnID or "",
        )

    def _read(self, answer: Json, shape: type[T], what: str) -> T:
        try:
            # By way of JSON: some parts are kept undecoded, which only a decoder can do.
            return msgspec.json.decode(msgspec.json.encode(answer), type=shape)
        except msgspec.DecodeError as error:
            raise self._broken(what, str(error)) from error

    def _broken(self, what: str, why: str) -> HistoryError:
        return HistoryError(f"{what} of {self._account}: {why}; {FIX}")


def _update(ledger_index: int, closed: int, transactions: tuple[LedgerTransaction, ...]) -> LedgerUpdate:
    return LedgerUpdate(
        ledger_index=ledger_index,
        ledger_hash="",
        close_time=closed,
        fee_base_drops=0,
        base_reserve_drops=0,
        owner_reserve_drops=0,
        transactions=transactions,
        check=_NO_CHECK,
        line=0,
        incomplete=True,
    )
