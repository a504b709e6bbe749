"""What an agent sees of a ledger, what it sends, and the offers of its own that it keeps in mind.

An agent decides from the state after the last ledger and this view of it; it remembers of its own
offers their sequence and where they stand, and asks the state whether they still do. So it cannot believe
anything that is not so, whatever became of what it sent.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Context, Decimal
from random import Random
from typing import Any, NamedTuple

import msgspec

from neo_engine.domain.assets import XRP, Asset
from neo_engine.domain.number import plain
from neo_engine.simulator.model import keys
from neo_engine.simulator.model.fields import Entry
from neo_engine.simulator.model.state import State
from neo_engine.simulator.model.tx import Tx

# Flags of OfferCreate and Payment (rippled TxFlags.h).
TF_PASSIVE = 0x00010000
TF_IMMEDIATE_OR_CANCEL = 0x00020000
TF_FILL_OR_KILL = 0x00040000
TF_SELL = 0x00080000
TF_PARTIAL_PAYMENT = 0x00020000

DROPS = 1_000_000
BPS = 10_000
_CENT = Decimal("0.000001")  # agents write token amounts with six decimals
_exact = Context(prec=16, rounding=ROUND_HALF_EVEN)
_encoder = msgspec.json.Encoder(order="sorted")

HashOf = Callable[[dict[str, Any]], str]


def model_hash(fields: dict[str, Any]) -> str:
    """Return a hash that names a transaction in the model only: half the SHA-512 of its sorted JSON."""
    return keys.half(_encoder.encode(fields)).hex().upper()


class Sight(NamedTuple):
    """What agents know before a ledger. ledger_index: of the one that comes. close_time: of the last one.

    fair: what they take XRP to be worth in tokens. turbulence_bps: how far it moved a ledger, of late.
    ask, bid: best prices in the book, None where a side is empty. fee: drops a transaction.
    """

    state: State
    ledger_index: int
    close_time: int
    fair: Decimal
    turbulence_bps: Decimal
    ask: Decimal | None
    bid: Decimal | None
    fee: int


def away(price: Decimal, bps: int | Decimal) -> Decimal:
    """Return a price so many bps higher (lower if negative), in seven digits, half to even."""
    moved = price * (BPS + bps) / BPS
    return moved.quantize(Decimal(1).scaleb(moved.adjusted() - 6), rounding=ROUND_HALF_EVEN)


def best_price(state: State, pays: Asset, gets: Asset) -> Decimal | None:
    """Return the best price of a book in tokens per XRP, None where it is empty. 16 digits, half to even."""
    roots = state.book(keys.book_base(pays, gets))
    if not roots:
        return None
    rate = keys.rate_of_directory(roots[0])
    return rate.scaleb(6) if gets.is_xrp else _exact.divide(Decimal(DROPS), rate)


def spread_size(rng: Random, median: Decimal) -> int:
    """Return a size in drops around a median in XRP: an eighth to eight times it, the middle likelier."""
    low, high = 35, 100
    up = rng.randint(low, high) * rng.randint(low, high)
    down = rng.randint(low, high) * rng.randint(low, high)
    return int(median * DROPS * up) // down


def worth(drops: int, price: Decimal) -> Decimal:
    """Return what XRP is worth, six decimals, half to even; never nothing."""
    return max((drops * price / DROPS).quantize(_CENT, rounding=ROUND_HALF_EVEN), _CENT)


def rounded(value: Decimal) -> Decimal:
    """Return an amount of a token in six decimals, rounded down, which a ledger can always hold."""
    return value.quantize(_CENT, rounding=ROUND_DOWN)


def token(asset: Asset, value: Decimal) -> dict[str, str]:
    """Return an amount of a token in wire form."""
    return {"currency": asset.currency, "issuer": asset.issuer, "value": plain(value)}


class Hand:
    """One account of the agents': it writes transactions in its name, numbered one after the other."""

    __slots__ = ("_fee", "_hash_of", "_next", "_sent", "address", "rng", "root")

    def __init__(self, address: str, hash_of: HashOf, rng: Random) -> None:
        self.address = address
        self.rng = rng
        self.root = keys.account_root(address)
        self._hash_of = hash_of
        self._next = 0
        self._fee = "0"
        self._sent: list[Tx] = []

    def begin(self, sight: Sight, sent: list[Tx]) -> None:
        """Take the account's sequence from the state; what is sent from here on goes into `sent`."""
        self._next = sight.state.entries[self.root]["Sequence"]
        self._fee = str(sight.fee)
        self._sent = sent

    def send(self, kind: str, flags: int = 0, **fields: Any) -> int:
        """Send one transaction and return its sequence."""
        sequence = self._next
        self._next = sequence + 1
        body = {
            "Account": self.address,
            "Fee": self._fee,
            "Flags": flags,
            "Sequence": sequence,
            "SigningPubKey": "",
            "TransactionType": kind,
            **fields,
        }
        self._sent.append(Tx(body, self._hash_of(body)))
        return sequence

    def sell(self, drops: int, asset: Asset, value: Decimal, flags: int = 0, **fields: Any) -> int:
        """Offer XRP for a token."""
        return self.send("OfferCreate", flags, TakerGets=str(drops), TakerPays=token(asset, value), **fields)

    def buy(self, drops: int, asset: Asset, value: Decimal, flags: int = 0, **fields: Any) -> int:
        """Offer a token for XRP."""
        return self.send("OfferCreate", flags, TakerGets=token(asset, value), TakerPays=str(drops), **fields)

    def drops(self, state: State) -> int:
        """Return the account's XRP, reserves included."""
        balance: int = state.entries[self.root]["Balance"]
        return balance

    def holds(self, state: State, asset: Asset) -> Decimal:
        """Return what the account has of a token."""
        line = state.entries.get(keys.line(self.address, asset.issuer, asset.currency))
        return Decimal(0) if line is None else line_value(line, self.address)


def line_value(line: Entry, holder: str) -> Decimal:
    """Return a trust line's balance from its holder's view; the ledger keeps the low account's."""
    value: Decimal = line["Balance"].value
    return value if line["LowLimit"].issuer == holder else -value


class Waiting:
    """Offers left in the book until their time is over: then cancelled."""

    __slots__ = ("_hand", "_offers")

    def __init__(self, hand: Hand) -> None:
        self._hand = hand
        self._offers: dict[int, tuple[str, int]] = {}

    def add(self, sequence: int, until: int) -> None:
        """Keep an offer in mind until that ledger."""
        self._offers[sequence] = (keys.offer(self._hand.address, sequence), until)

    def __len__(self) -> int:
        return len(self._offers)

    def tidy(self, sight: Sight) -> None:
        """Forget what is gone and cancel what has waited long enough."""
        entries = sight.state.entries
        over = [
            sequence
            for sequence, (index, until) in self._offers.items()
            if index not in entries or until <= sight.ledger_index
        ]
        for sequence in over:
            index, _ = self._offers.pop(sequence)
            if index in entries:
                self._hand.send("OfferCancel", OfferSequence=sequence)


__all__ = ["XRP", "Hand", "HashOf", "Sight", "Waiting", "away", "best_price", "model_hash", "worth"]
