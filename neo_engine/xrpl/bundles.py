"""Whole ledgers out of stream messages that come twice, out of order, broken or not at all.

A ledger is whole when its ledgerClosed message and as many of its transactions as `txn_count` says are
there, numbered from 0 without a hole and all of the same ledger hash. What is not whole is asked for with
`ledger` (transactions, expanded, with metadata) and put into the form of the stream, so nobody after this
module can tell the difference. Ledgers are handed out in order, each once. Pure: no socket; time, in
seconds of any clock that never goes back, is an argument.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from neo_engine.domain.errors import NeoError
from neo_engine.xrpl import wire

AHEAD_MAX = 256  # ledgers kept from the next one to hand out on; later ones are asked for in their turn
BACKFILL_MAX = 900  # ledgers, an hour; what is older when a connection comes back is a gap
GRACE_SECONDS = 0.5  # given to the messages of a ledger; a server writes them within milliseconds
RETRY_SECONDS = 1.0  # before a ledger is asked for again
TRIES_MAX = 4  # answers without the ledger until it is a gap
JUMP_MAX = 100_000  # ledgers, four days; an index further on is no ledger of this network
INDEX_MAX = 2**32 - 1  # a ledger's index and a time have 32 bits
_HASH_LENGTH = 64


class BadMessage(NeoError):
    """A message or an answer that cannot be what the server meant; the text says what is wrong with it."""


class LedgerBundle(msgspec.Struct, frozen=True, kw_only=True):
    """A validated ledger with all its transactions, as raw stream messages in TransactionIndex order.

    backfilled: it was asked for, wholly or in part; fees and reserves (drops) are then those of the ledger
    heard last, since the answer does not tell them. overtaken: a newer one was waiting when this was taken.
    """

    closed: wire.LedgerClosed
    transactions: tuple[bytes, ...]
    raw_closed: bytes
    backfilled: bool
    overtaken: bool = False


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Ledgers first..last that cannot be had."""

    first: int
    last: int


class _Transaction(wire.TransactionMessage, gc=False):
    ledger_hash: str = ""


class _Item(msgspec.Struct, frozen=True, kw_only=True):
    raw: bytes
    ledger_hash: str


class _Partial:
    """What is there of a ledger."""

    def __init__(self) -> None:
        self.closed: wire.LedgerClosed | None = None
        self.raw_closed = b""
        self.items: dict[int, _Item] = {}
        self.backfilled = False

    @property
    def whole(self) -> bool:
        """True if nothing is missing, and nothing is of another ledger."""
        closed = self.closed
        return (
            closed is not None
            and len(self.items) == closed.txn_count
            and all(place in self.items for place in range(closed.txn_count))
            and all(item.ledger_hash == closed.ledger_hash for item in self.items.values())
        )

    def bundle(self) -> LedgerBundle | None:
        """Return the whole ledger, None while it is not."""
        if self.closed is None or not self.whole:
            return None
        return LedgerBundle(
            closed=self.closed,
            transactions=tuple(self.items[place].raw for place in sorted(self.items)),
            raw_closed=self.raw_closed,
            backfilled=self.backfilled,
        )


_closed_decoder = msgspec.json.Decoder(wire.LedgerClosed)
_transaction_decoder = msgspec.json.Decoder(_Transaction)
_encode = msgspec.json.Encoder(order="sorted").encode


class Bundles:
    """Collects messages and hands out ledgers. after: the last ledger the consumer has, if he has any."""

    def __init__(self, after: int | None = None) -> None:
        self._next = None if after is None else after + 1
        self._tip = 0
        self._heard: wire.LedgerClosed | None = None
        self._partials: dict[int, _Partial] = {}
        self._due: dict[int, float] = {}  # when a ledger that is not whole may be asked for
        self._tries: dict[int, int] = {}
        self._gone: set[int] = set()
        self._cut: Gap | None = None

    @property
    def tip(self) -> int:
        """The last ledger known to be validated, 0 before the first."""
        return self._tip

    def subscribed(self, result: Mapping[str, Any], now: float) -> int:
        """Take in the answer to `subscribe` and return its ledger: what is older will not be streamed.

        Raises BadMessage.
        """
        try:
            closed = msgspec.convert(result, wire.LedgerClosed)
        except msgspec.ValidationError as error:
            raise BadMessage(f"subscribe: the answer tells no ledger: {error}") from error
        self._check(closed)
        if self._next is None:
            self._next = closed.ledger_index + 1
        self._learn(closed, now)
        for index in self._due:
            if index <= closed.ledger_index:
                self._due[index] = now
        return closed.ledger_index

    def closed(self, raw: bytes, now: float) -> int:
        """Take in a ledgerClosed message and return its index. Raises BadMessage."""
        try:
            closed = _closed_decoder.decode(raw)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise BadMessage(f"ledgerClosed: {error}") from error
        self._check(closed)
        self._learn(closed, now)
        partial = self._partial(closed.ledger_index)
        if partial is not None and partial.closed is None:
            partial.closed, partial.raw_closed = closed, raw
        return closed.ledger_index

    def transaction(self, raw: bytes) -> None:
        """Take in a transaction message; one that is not validated is passed over. Raises BadMessage."""
        try:
            message = _transaction_decoder.decode(raw)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise BadMessage(f"transaction: {error}") from error
        if not message.validated:
            return
        place = message.meta.TransactionIndex
        if not 0 < message.ledger_index <= INDEX_MAX or place < 0 or len(message.hash) != _HASH_LENGTH:
            raise BadMessage(f"transaction {message.hash[:80]}: ledger {message.ledger_index}, index {place}")
        partial = self._partial(message.ledger_index)
        if partial is not None:
            partial.items.setdefault(place, _Item(raw=raw, ledger_hash=message.ledger_hash))

    def _check(self, closed: wire.LedgerClosed) -> None:
        index = closed.ledger_index
        whole = (
            0 < index <= INDEX_MAX
            and 0 <= closed.ledger_time <= INDEX_MAX
            and closed.txn_count >= 0
            and min(closed.fee_base, closed.reserve_base, closed.reserve_inc) >= 0
            and len(closed.ledger_hash) == _HASH_LENGTH
        )
        if not whole or (self._tip and index > self._tip + JUMP_MAX):
            raise BadMessage(f"ledgerClosed: impossible values in ledger {index} (last known {self._tip})")

    def _learn(self, closed: wire.LedgerClosed, now: float) -> None:
        """Note that a ledger and all before it exist."""
        if self._heard is None or closed.ledger_index >= self._heard.ledger_index:
            self._heard = closed
        if self._next is None:
            self._next = closed.ledger_index
        oldest = closed.ledger_index - BACKFILL_MAX + 1
        if self._next < oldest:
            self._leave_out(self._next, oldest - 1)
        for index in range(max(self._tip + 1, self._next), closed.ledger_index + 1):
            self._due[index] = now + GRACE_SECONDS
        self._tip = max(self._tip, closed.ledger_index)

    def _leave_out(self, first: int, last: int) -> None:
        self._cut = Gap(first=first if self._cut is None else self._cut.first, last=last)
        self._next = last + 1
        for table in (self._partials, self._due, self._tries):
            for index in [index for index in table if index <= last]:
                del table[index]
        self._gone = {index for index in self._gone if index > last}

    def _partial(self, index: int) -> _Partial | None:
        """Return where a ledger's messages go; None if it is handed out already or too far ahead."""
        if self._next is None or not self._next <= index < self._next + AHEAD_MAX or index in self._gone:
            return None
        return self._partials.setdefault(index, _Partial())

    def take(self) -> LedgerBundle | Gap | None:
        """Return what comes next and forget it; None if that is not there yet."""
        if self._cut is not None:
            gap, self._cut = self._cut, None
            return gap
        if self._next is None:
            return None
        first = self._next
        while self._next in self._gone:
            self._forget(self._next)
        if self._next > first:
            return Gap(first=first, last=self._next - 1)
        partial = self._partials.get(first)
        bundle = None if partial is None else partial.bundle()
        if bundle is not None:
            self._forget(first)
        return bundle

    def _forget(self, index: int) -> None:
        self._partials.pop(index, None)
        self._due.pop(index, None)
        self._tries.pop(index, None)
        self._gone.discard(index)
        self._next = index + 1

    def missing(self, now: float) -> int | None:
        """Return the first ledger that has to be asked for now, None if there is none."""
        if self._next is None:
            return None
        for index in range(self._next, min(self._tip, self._next + AHEAD_MAX - 1) + 1):
            partial = self._partials.get(index)
            whole = index in self._gone or (partial is not None and partial.whole)
            if not whole and self._due.get(index, now) <= now:
                return index
        return None

    def fetched(self, index: int, result: Mapping[str, Any]) -> None:
        """Take in the answer to `ledger`. Raises BadMessage if it is not that ledger, validated and whole."""
        partial = self._partial(index)
        if partial is None or partial.whole:
            return  # the stream was faster
        whole = _from_answer(index, result, self._heard)
        if not whole.whole:
            raise BadMessage(f"ledger {index}: the answer's transactions are not numbered without a hole")
        self._partials[index] = whole

    def failed(self, index: int, now: float, *, final: bool) -> None:
        """Note that asking for a ledger failed. final: the server said something about the ledger itself."""
        self._due[index] = now + RETRY_SECONDS
        if not final:
            return
        self._tries[index] = self._tries.get(index, 0) + 1
        if self._tries[index] >= TRIES_MAX:
            self._gone.add(index)
            self._partials.pop(index, None)


def _from_answer(index: int, result: Mapping[str, Any], heard: wire.LedgerClosed | None) -> _Partial:
    """Return a ledger from the answer to `ledger`, in the stream's form (xrpl.org, Ledger, Subscribe)."""
    header, transactions = result.get("ledger"), None
    if isinstance(header, dict):
        transactions = header.get("transactions", [])
    if result.get("validated") is not True or not isinstance(header, dict):
        raise BadMessage(f"ledger {index}: the answer is not of a validated ledger")
    if not isinstance(transactions, list) or result.get("ledger_index") != index or heard is None:
        raise BadMessage(f"ledger {index}: the answer is of {result.get('ledger_index')!r}")
    told = {
        "type": "ledgerClosed",
        "fee_base": heard.fee_base,
        "ledger_hash": header.get("ledger_hash"),
        "ledger_index": index,
        "ledger_time": header.get("close_time"),
        "reserve_base": heard.reserve_base,
        "reserve_inc": heard.reserve_inc,
        "txn_count": len(transactions),
        "validated_ledgers": heard.validated_ledgers,
    }
    partial = _Partial()
    partial.backfilled = True
    partial.raw_closed = _encode(told)
    try:
        partial.closed = _closed_decoder.decode(partial.raw_closed)
        for given in transactions:
            raw = _encode(_streamed(given, told))
            message = _transaction_decoder.decode(raw)
            partial.items[message.meta.TransactionIndex] = _Item(raw=raw, ledger_hash=message.ledger_hash)
    except msgspec.MsgspecError as error:
        raise BadMessage(f"ledger {index}: {error}") from error
    return partial


def _streamed(given: object, closed: Mapping[str, Any]) -> dict[str, Any]:
    """Return a transaction of an answer as the transactions stream tells it."""
    if not isinstance(given, dict) or not isinstance(given.get("tx_json"), dict):
        raise BadMessage(f"ledger {closed['ledger_index']}: a transaction without tx_json")
    meta = given.get("meta")
    tx_json = {**given["tx_json"], "date": closed["ledger_time"]}
    if "owner_funds" in given:
        tx_json["owner_funds"] = given["owner_funds"]
    return {
        **{name: given[name] for name in ("close_time_iso", "ctid") if name in given},
        "engine_result": meta.get("TransactionResult") if isinstance(meta, dict) else None,
        "hash": given.get("hash"),
        "ledger_hash": closed["ledger_hash"],
        "ledger_index": closed["ledger_index"],
        "meta": meta,
        "status": "closed",
        "tx_json": tx_json,
        "type": "transaction",
        "validated": True,
    }
