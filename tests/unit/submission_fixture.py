"""A submitter on a network in process, over a connection that loses what a test wants lost."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from typing import Any

from xrpl.core import keypairs
from xrpl.core.binarycodec import encode_for_signing

from neo_engine.domain.assets import IssuedAsset, Side
from neo_engine.domain.orders import CancelOrder, Command, PlaceOrder, PreparedTransaction, Quote
from neo_engine.execution.answers import Answer, LedgerSeen, Resolution, Told
from neo_engine.execution.fees import Fees
from neo_engine.execution.sequences import Sequences
from neo_engine.execution.submission import Submitter
from neo_engine.execution.transactions import Terms
from neo_engine.simulator.server.dispatch import answer
from neo_engine.simulator.server.genesis import ISSUER_ACCOUNT, RLUSD
from neo_engine.simulator.server.network import Network
from neo_engine.simulator.server.signing import blob_hash, encode, make_tx
from tests.unit.network_fixture import address_of, fresh_network, seed_of, send, sequence_of

Json = dict[str, Any]

OFFSET = 4
NAME = "maker"
TOKEN = IssuedAsset(currency=RLUSD, issuer=ISSUER_ACCOUNT)
TERMS = Terms(
    account=address_of(NAME),
    quote=TOKEN,
    source_tag=77,
    network_id=0,
    last_ledger_offset=OFFSET,
)
OK, LOST_REQUEST, LOST_REPLY, DOWN, BUSY, FALSE_REPLY = (
    "ok",
    "lost request",
    "lost reply",
    "down",
    "busy",
    "false reply",
)


class Wire:
    """The server behind a bad connection. script: what happens to the next submits, OK when it is empty."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.script: deque[str] = deque()
        self.asked: list[tuple[str, Json]] = []
        self.batches: list[int] = []  # how many blobs were handed over at once
        self.blind = False  # no answer to anything but submits
        self.forgetful = False  # the server has no history to search

    def __call__(self, command: str, parameters: Json) -> Answer:
        self.asked.append((command, parameters))
        mode = self.script.popleft() if command == "submit" and self.script else OK
        if mode == DOWN or (self.blind and command != "submit"):
            return Answer(told=Told.LOST, sent=False)
        if self.forgetful and command == "tx":
            return Answer(told=Told.REFUSED, token="txnNotFound", result={"searched_all": False})
        if mode == LOST_REQUEST:
            return Answer(told=Told.LOST)
        if mode == BUSY:
            return Answer(told=Told.REFUSED, token="tooBusy", result={"error": "tooBusy"})
        if mode == FALSE_REPLY:
            told = {"engine_result": "tesSUCCESS", "accepted": True, "applied": True}
            return Answer(told=Told.ANSWERED, result=told)
        reply = answer(json.dumps({"command": command, "api_version": 2, **parameters}), self.network, None)
        if mode == LOST_REPLY:
            return Answer(told=Told.LOST)
        if reply["status"] == "error":
            return Answer(told=Told.REFUSED, token=reply["error"], result=reply)
        return Answer(told=Told.ANSWERED, result=reply["result"])

    def submit(self, blobs: Sequence[str]) -> list[Answer]:
        """Take blobs as one socket does: in order, each whatever became of the one before it."""
        self.batches.append(len(blobs))
        return [self("submit", {"tx_blob": blob}) for blob in blobs]

    def sent(self) -> list[str]:
        """Return the hashes of all blobs sent, in order, repetitions included."""
        return [blob_hash(parameters["tx_blob"]) for command, parameters in self.asked if command == "submit"]


class Says:
    """A server with one answer to everything."""

    def __init__(self, code: str, **fields: Any) -> None:
        self.answer = Answer(told=Told.ANSWERED, result={"engine_result": code, **fields})

    def __call__(self, command: str, parameters: Json) -> Answer:  # noqa: ARG002 - whatever is asked
        return self.answer

    def submit(self, blobs: Sequence[str]) -> list[Answer]:
        return [self.answer for _ in blobs]


class Key:
    """Signs with the test account's key and counts."""

    def __init__(self) -> None:
        self.signed: list[Json] = []

    def sign(self, tx: Json) -> tuple[str, str]:
        self.signed.append(tx)
        public, private = _keys()
        fields = {**tx, "SigningPubKey": public}
        fields["TxnSignature"] = keypairs.sign(bytes.fromhex(encode_for_signing(fields)), private)
        blob = encode(fields)
        return blob, blob_hash(blob)


@cache
def _keys() -> tuple[str, str]:
    public, private = keypairs.derive_keypair(seed_of(NAME))
    return str(public), str(private)


class Desk:
    """A maker's account on a fresh network with its submitter, and what the validated ledgers said."""

    def __init__(self, *, escalation: bool = False, tickets: int = 0, max_fee_drops: int = 5_000) -> None:
        self.network = fresh_network(NAME, escalation=escalation)
        if tickets:
            send(self.network, NAME, TransactionType="TicketCreate", TicketCount=tickets)
            self.network.close()
        first = sequence_of(self.network, NAME)
        self.wire, self.key = Wire(self.network), Key()
        self.numbers = Sequences(first, range(first - tickets, first))
        self.fees = Fees(max_fee_drops=max_fee_drops)
        self.submitter = Submitter(
            ask=self.wire, signer=self.key, terms=TERMS, numbers=self.numbers, fees=self.fees
        )
        self.results: dict[str, str] = {}
        self.resolved: list[Resolution] = []
        self.ledgers: list[int] = []
        self.ledger()

    @property
    def index(self) -> int:
        """The last validated ledger."""
        return self.network.chain.header.ledger_index

    def ledger(self, *, seen: bool = True) -> tuple[Resolution, ...]:
        """Close a ledger and tell the submitter; unless `seen`, its transactions are kept from it."""
        closed = self.network.close()
        mine = {one.tx.hash: one.result for one in closed.transactions if one.tx.account == TERMS.account}
        self.results |= mine
        told = self.submitter.advance(
            LedgerSeen(
                ledger_index=closed.header.ledger_index,
                close_time=closed.header.close_time,
                fee_base_drops=10,
                account_sequence=self.sequence(),
                results=mine if seen else {},
            )
        )
        self.resolved.extend(told)
        return told

    def sequence(self) -> int:
        """Return the account's sequence in the last validated ledger."""
        asked = {"command": "account_info", "account": TERMS.account, "ledger_index": "validated"}
        reply = answer(json.dumps(asked), self.network, None)
        return int(reply["result"]["account_data"]["Sequence"])

    def prepare(self, *commands: Command, urgent: bool = False) -> tuple[PreparedTransaction, ...]:
        """Prepare commands after the last validated ledger."""
        return self.submitter.prepare(commands, self.index, urgent=urgent)

    def go(self, *commands: Command, script: Sequence[str] = (), urgent: bool = False) -> list[str]:
        """Prepare and submit; return the preliminary codes."""
        self.wire.script.extend(script)
        return [one.code for one in self.submitter.submit(self.prepare(*commands, urgent=urgent))]

    def offers(self) -> dict[int, int]:
        """Return our offers on the last validated ledger: sequence -> drops bought or sold."""
        asked = {"command": "account_offers", "account": TERMS.account, "ledger_index": "validated"}
        offers = answer(json.dumps(asked), self.network, None)["result"]["offers"]
        sides = {one["seq"]: (one["taker_gets"], one["taker_pays"]) for one in offers}
        return {
            number: int(pays if isinstance(gets, dict) else gets) for number, (gets, pays) in sides.items()
        }


def crowd(network: Network, count: int) -> None:
    """Put so many transactions of others into the open ledger, unsigned and dearly paid."""
    other = address_of("crowd")
    network.faucet({"destination": other, "xrp": "10000"})
    network.close()
    for number in range(count):
        sequence, _ = network.open_ledger.account(other)
        fields = {"Account": other, "Fee": "9000000", "Sequence": sequence, "TransactionType": "AccountSet"}
        assert network.add_internal(make_tx(fields, f"{number:064X}")) == "tesSUCCESS"


def ask_quote(
    drops: int = 1_000_000, quote: str = "3", *, expiration: int | None = 999_999_999, side: Side = Side.SELL
) -> Quote:
    """Return a quote; its price is that of its amounts."""
    value = Decimal(quote)
    return Quote(
        slot="ask-1" if side is Side.SELL else "bid-1",
        side=side,
        price=value / drops * 1_000_000,
        base_drops=drops,
        quote=value,
        expiration=expiration,
    )


def place(order_id: int, *, replaces: tuple[int, int] | None = None, **quote: Any) -> PlaceOrder:
    """Return the command for an order; replaces: (order id, offer sequence)."""
    old, sequence = replaces or (None, None)
    return PlaceOrder(order_id=order_id, quote=ask_quote(**quote), replaces=old, replaces_sequence=sequence)


def cancel(order_id: int, sequence: int, reason: str = "no quote for its slot") -> CancelOrder:
    """Return the command that takes an offer away."""
    return CancelOrder(order_id=order_id, offer_sequence=sequence, reason=reason)
