"""An account to follow: a maker of a recording played as ours, or one of our own on a network in process."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from neo_engine.domain.account_snapshot import AccountSnapshot, OpenOffer
from neo_engine.domain.assets import IssuedAsset, Pair
from neo_engine.domain.book import BookTracker, LedgerState
from neo_engine.domain.ledger import CheckData, FeedEnd, FeedStart, LedgerTransaction, LedgerUpdate
from neo_engine.domain.number import ZERO
from neo_engine.domain.orders import NO_ORDER, PreparedTransaction, TransactionKind
from neo_engine.execution.live_account import LiveAccount
from neo_engine.execution.live_events import InFlight, KnownOrder, LedgerReport
from neo_engine.feed.pace import MAX_SPEED
from neo_engine.feed.recorded import RecordedFeed
from neo_engine.ops.clock import SystemClock
from neo_engine.simulator.model.fields import fields_to_wire
from neo_engine.simulator.server.dispatch import answer
from neo_engine.simulator.server.genesis import ISSUER_ACCOUNT, ISSUER_SEED, RLUSD
from neo_engine.simulator.server.network import Network
from neo_engine.simulator.server.signing import blob_hash, encode, sign
from neo_engine.xrpl.account_reader import AccountReader
from neo_engine.xrpl.codec import Codec
from neo_engine.xrpl.metadata import account_events
from neo_engine.xrpl.server import API_VERSION, RequestLost, RequestRefused
from neo_engine.xrpl.state import state_of, update_of
from neo_engine.xrpl.wire import LedgerClosed, StartLedger, StateEntry, TransactionMessage
from tests.unit.network_fixture import address_of, fresh_network, seed_of, send, sequence_of

Json = dict[str, Any]

DATA = Path(__file__).parent.parent / "data"
RECORDINGS = {"calm": DATA / "calm_cut.jsonl.gz", "hostile": DATA / "hostile_cut.jsonl.gz"}
WATCHED = ("neo", "maker1", "maker2", "maker4", "maker6")
PAIR = Pair(quote=IssuedAsset(currency=RLUSD, issuer=ISSUER_ACCOUNT))
CODEC = Codec(pair=PAIR)
OPENING_RLUSD = "1000"
_NO_CHECK = CheckData(asks=None, bids=None, pool=None, accounts=None)
_message = msgspec.json.Decoder(TransactionMessage)


def recorded(name: str) -> tuple[FeedStart, list[LedgerUpdate]]:
    """Return a recording's start and its ledgers."""
    path = RECORDINGS[name]
    feed = RecordedFeed(path, speed=MAX_SPEED, clock=SystemClock(), silence_after_seconds=3_600)
    start, updates = feed.start(), []
    while not isinstance(item := feed.next(1.0), FeedEnd):
        assert isinstance(item, LedgerUpdate)
        updates.append(item)
    feed.close()
    return start, updates


def snapshot_in(state: LedgerState, address: str) -> AccountSnapshot:
    """Return an account out of a whole ledger's state."""
    chain = dict(state.chain)
    root = next(one for one in state.accounts if one.account == address)
    root_index = next(index for index, one in state.account_index if one == address)
    line = next((one for one in state.lines if one.holder == address), None)
    offers = [one for one in state.offers if one.owner == address]
    return AccountSnapshot(
        account=address,
        ledger_index=state.ledger_index,
        close_time=state.close_time,
        balance_drops=root.balance_drops,
        account_sequence=root.sequence,
        owner_count=root.owner_count,
        root_index=root_index,
        root_txn_id=chain[root_index],
        has_line=line is not None,
        quote_balance=ZERO if line is None else line.balance,
        frozen=line is not None and line.frozen,
        line_txn_id="",
        offers=tuple(
            OpenOffer(
                offer_sequence=one.sequence,
                side=one.side,
                base_drops=one.base_drops,
                quote=one.quote,
                expiration=one.expiration,
                index=one.index,
                last_txn_id=chain[one.index],
            )
            for one in sorted(offers, key=lambda one: one.sequence)
        ),
    )


class Play:
    """One account of a recording as ours: what it sends is expected, as the engine would, a ledger before.

    An order's number is the sequence of its offer.
    """

    def __init__(self, start: FeedStart, address: str) -> None:
        self.book = BookTracker(start.state)
        snapshot = snapshot_in(start.state, address)
        orders = [_known(one.offer_sequence, one.base_drops, one.quote) for one in snapshot.offers]
        self.account = LiveAccount(snapshot, account_events, orders=orders)

    def expect(self, update: LedgerUpdate) -> None:
        """Expect every transaction that the account has in a ledger."""
        for tx in update.transactions:
            if tx.account != self.account.address:
                continue
            if tx.kind == "OfferCancel" or (tx.kind == "OfferCreate" and tx.taker is not None):
                self.account.expect(*sent_as(tx, update.ledger_index))
            else:
                self.account.expect(upkeep(tx.tx_hash, update.ledger_index))

    def step(self, update: LedgerUpdate) -> LedgerReport:
        """Expect and apply a ledger."""
        self.expect(update)
        self.book.advance(update)
        return self.account.advance(update, self.book)


def upkeep(tx_hash: str, last_ledger: int) -> InFlight:
    """Return how the engine would have noted a transaction that is about no order."""
    prepared = PreparedTransaction(
        kind=TransactionKind.UPKEEP,
        order_id=NO_ORDER,
        replaces=None,
        tx_hash=tx_hash,
        account_sequence=0,
        last_ledger_sequence=last_ledger,
        fee_drops=0,
        blob=None,
    )
    return InFlight(prepared=prepared, after_ledger=last_ledger - 1)


def _known(sequence: int, base_drops: int, quote: Decimal) -> KnownOrder:
    return KnownOrder(order_id=sequence, offer_sequence=sequence, base_drops=base_drops, quote=quote)


def sent_as(tx: LedgerTransaction, ledger_index: int) -> tuple[InFlight, KnownOrder | None]:
    """Return how the engine would have noted a transaction, sent one ledger before."""
    kind = TransactionKind.CANCEL
    if tx.kind == "OfferCreate":
        kind = TransactionKind.CREATE if tx.cancels is None else TransactionKind.REPLACE
    number = tx.account_sequence if tx.ticket is None else tx.ticket
    prepared = PreparedTransaction(
        kind=kind,
        order_id=(tx.cancels or 0) if kind is TransactionKind.CANCEL else number,
        replaces=tx.cancels if kind is TransactionKind.REPLACE else None,
        tx_hash=tx.tx_hash,
        account_sequence=number,
        last_ledger_sequence=ledger_index + 3,
        fee_drops=tx.fee_drops,
        blob=None,
    )
    sent = InFlight(prepared=prepared, after_ledger=ledger_index - 1, ticketed=tx.ticket is not None)
    if tx.taker is None:
        return sent, None
    return sent, _known(number, tx.taker.base_drops, tx.taker.quote)


def told_of(update: LedgerUpdate, address: str) -> Json:
    """Return what the recording's server told of a watched account after a ledger."""
    told: Json = json.loads(update.check.accounts or b"{}")
    return next(one for one in told.values() if one["account_data"]["Account"] == address)


class NetworkServer:
    """Implements `Server` on a network in process, and remembers what was asked."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.asked: list[tuple[str, Json]] = []

    def request(self, command: str, *, timeout_seconds: float = 10.0, **parameters: Any) -> Json:
        """Return the result at once, whatever the time limit. Raises RequestRefused."""
        assert timeout_seconds > 0
        self.asked.append((command, parameters))
        frame = json.dumps({"command": command, "api_version": API_VERSION, **parameters})
        reply = json.loads(msgspec.json.encode(answer(frame, self.network, None)))
        if reply["status"] == "error":
            raise RequestRefused(command, reply["error"], reply.get("error_message", ""), reply)
        result: Json = reply["result"]
        return result

    def begin(self, command: str, *, timeout_seconds: float = 10.0, **parameters: Any) -> Callable[[], Json]:
        """Take a request at once, and tell what came of it when asked."""
        try:
            result = self.request(command, timeout_seconds=timeout_seconds, **parameters)
        except (RequestRefused, RequestLost) as error:
            return partial(_thrown, error)
        return lambda: result


def _thrown(error: Exception) -> Json:
    raise error


def network_state(network: Network) -> LedgerState:
    """Return the last closed ledger as the tracker takes it."""
    header = network.chain.header
    entries = [
        {**fields_to_wire(entry), "index": index} for index, entry in network.chain.state.entries.items()
    ]
    start = StartLedger(
        ledger_index=header.ledger_index, ledger_hash=header.ledger_hash, close_time=header.close_time
    )
    return state_of(PAIR, start, msgspec.convert(entries, list[StateEntry]), True)


def closed_update(network: Network) -> LedgerUpdate:
    """Close a ledger and return it as the feed tells it."""
    rules = network.open_ledger.rules
    closed = network.close()
    header = closed.header
    stream = LedgerClosed(
        fee_base=rules.base_fee,
        ledger_hash=header.ledger_hash,
        ledger_index=header.ledger_index,
        ledger_time=header.close_time,
        reserve_base=rules.base_reserve,
        reserve_inc=rules.owner_reserve,
        txn_count=len(closed.transactions),
    )
    messages = [
        {"hash": one.tx.hash, "meta": one.meta, "tx_json": one.tx.json} for one in closed.transactions
    ]
    transactions = tuple(CODEC.transaction(_message.decode(msgspec.json.encode(one))) for one in messages)
    return update_of(stream, transactions, _NO_CHECK, 0)


def market_network(*more: str) -> Network:
    """Return a network on which we, a taker and `more` hold 1000 XRP and 1000 RLUSD each."""
    names = ("we", "taker", *more)
    network = fresh_network(*names)
    for name in names:
        limit = {"currency": RLUSD, "issuer": ISSUER_ACCOUNT, "value": "1000000"}
        send(network, name, TransactionType="TrustSet", LimitAmount=limit)
    network.close()
    for name in names:
        network.faucet({"destination": address_of(name), "xrp": "0", "tokens": OPENING_RLUSD})
    network.close()
    return network


def rlusd(value: str) -> Json:
    """Return an amount of the network's token."""
    return {"currency": RLUSD, "issuer": ISSUER_ACCOUNT, "value": value}


def bid(drops: int, value: str) -> Json:
    """Return the fields of an order that buys XRP."""
    return {"TransactionType": "OfferCreate", "TakerPays": str(drops), "TakerGets": rlusd(value)}


def issuer_sends(network: Network, **fields: Any) -> Json:
    """Sign and submit a transaction of the token's issuer."""
    sequence = network.open_ledger.account(ISSUER_ACCOUNT)[0]
    tx_json = {"Account": ISSUER_ACCOUNT, "Fee": "10", "Sequence": sequence, **fields}
    signed = sign(tx_json, ISSUER_SEED)
    return network.submit(signed, encode(signed), fail_hard=False)


class Desk:
    """Our side of a network: what we send is noted first, and each ledger is read."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.server = NetworkServer(network)
        self.source = AccountReader(self.server, CODEC, address_of("we"))
        self.book = BookTracker(network_state(network))
        self.account = LiveAccount(self.source.snapshot(), account_events)
        self.orders: dict[int, KnownOrder] = {}

    def place(
        self,
        order_id: int,
        fields: Json,
        *,
        replaces: int | None = None,
        submit: bool = True,
        last: int = 3,
        **more: Any,
    ) -> InFlight:
        """Sign an order, note it, and submit it unless told not to."""
        extra: Json = dict(more)
        if replaces is not None:
            extra["OfferSequence"] = self.orders[replaces].offer_sequence
        base, value = (fields["TakerGets"], fields["TakerPays"])
        if isinstance(base, dict):
            base, value = value, base
        kind = TransactionKind.CREATE if replaces is None else TransactionKind.REPLACE
        sent = self._signed({**fields, **extra}, kind, order_id, replaces=replaces, last=last)
        order = KnownOrder(
            order_id=order_id,
            offer_sequence=sent.prepared.account_sequence,
            base_drops=int(base),
            quote=Decimal(value["value"]),
        )
        self.orders[order_id] = order
        self.account.expect(sent, order)
        if submit:
            self.submit(sent)
        return sent

    def cancel(self, order_id: int, *, submit: bool = True, last: int = 3, **more: Any) -> InFlight:
        """Sign a cancel, note it, and submit it unless told not to."""
        fields = {"TransactionType": "OfferCancel", "OfferSequence": self.orders[order_id].offer_sequence}
        sent = self._signed({**fields, **more}, TransactionKind.CANCEL, order_id, replaces=None, last=last)
        self.account.expect(sent)
        if submit:
            self.submit(sent)
        return sent

    def _signed(
        self, fields: Json, kind: TransactionKind, order_id: int, *, replaces: int | None, last: int
    ) -> InFlight:
        after = self.network.chain.header.ledger_index
        number = fields.get("TicketSequence", sequence_of(self.network, "we"))
        tx_json = {
            "Account": address_of("we"),
            "Fee": "10",
            "Sequence": 0 if "TicketSequence" in fields else number,
            "LastLedgerSequence": after + last,
            **fields,
        }
        tx_json["Sequence"] = fields.get("Sequence", tx_json["Sequence"])
        signed = sign(tx_json, seed_of("we"))
        blob = encode(signed)
        prepared = PreparedTransaction(
            kind=kind,
            order_id=order_id,
            replaces=replaces,
            tx_hash=blob_hash(blob),
            account_sequence=fields.get("TicketSequence", tx_json["Sequence"]),
            last_ledger_sequence=after + last,
            fee_drops=10,
            blob=blob,
        )
        return InFlight(prepared=prepared, after_ledger=after, ticketed="TicketSequence" in fields)

    def submit(self, sent: InFlight) -> Json:
        """Hand a signed transaction to the network."""
        return self.server.request("submit", tx_blob=sent.prepared.blob)

    def close(self) -> LedgerReport:
        """Close a ledger and read it."""
        return self.read(closed_update(self.network))

    def read(self, update: LedgerUpdate) -> LedgerReport:
        """Read a ledger that was closed before."""
        self.book.advance(update)
        return self.account.advance(update, self.book)

    def agrees(self) -> bool:
        """Tell whether the server's own lists say what was followed."""
        return self.account.check(self.source.snapshot(self.account.ledger_index)) == ()
