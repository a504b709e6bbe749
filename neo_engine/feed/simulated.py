"""Ledgers from a market of agents on the model ledger, in process: the endless feed.

`start()` opens the market and tells its state; `next()` closes the next ledger, with nothing but what the
agents send, and tells it as a server's stream would: the model's metadata, decoded by the same codec as
any other. Nothing goes wrong in it, it has no end, and it keeps nothing of the past.

Feed time is four seconds a ledger. Close times are the ledger's own, rounded to ten seconds as on the main
network, so they run up to five seconds ahead of it or behind; waiting goes by the even four seconds.
Speed `real` waits them, a number N an Nth of them, `max` not at all. The same market and seed give the same
ledgers at any speed.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
from msgspec.structs import replace

from neo_engine.domain.assets import Side
from neo_engine.domain.book_state import BookOffer, LedgerState
from neo_engine.domain.errors import FeedError
from neo_engine.domain.ledger import (
    BookSnapshot,
    CheckData,
    FeedStart,
    LedgerTransaction,
    LedgerUpdate,
    SnapshotOffer,
)
from neo_engine.domain.link import CONNECTED
from neo_engine.feed.pace import Pace, PaceClock
from neo_engine.simulator.agents import Market, open_market, settings_digest
from neo_engine.simulator.model.fields import fields_to_wire
from neo_engine.simulator.model.ledger import ClosedLedger, LedgerTx
from neo_engine.xrpl.codec import Codec
from neo_engine.xrpl.state import state_of, update_of
from neo_engine.xrpl.wire import LedgerClosed, Meta, StartLedger, StateEntry, TransactionMessage, TxJson

BUILD_VERSION = "model"
NO_CHECK = CheckData(asks=None, bids=None, pool=None, accounts=None)


class SimulatedFeed:
    """A named market as a feed. `speed`: feed seconds per second of the clock, None for no waiting."""

    link = CONNECTED  # nothing goes wrong in it

    def __init__(self, name: str, *, seed: int, speed: float | None, clock: PaceClock) -> None:
        self._name = name
        self._seed = seed
        self._pace = Pace(speed, clock)
        self._market: Market | None = None
        self._codec: Codec | None = None
        self._resync_wanted = False

    @property
    def source(self) -> str:
        """What the session and its report call this feed's source: the market, and which version of it."""
        return f"market {self._name} ({settings_digest(self._name)})"

    def start(self) -> FeedStart:
        """Open the market. Raises UsageError for a name that there is not."""
        market = self._market = open_market(self._name, self._seed)
        self._codec = Codec(pair=market.pair)
        state = _state(market)
        self._pace.begin(market.next_time)
        return FeedStart(
            pair=market.pair,
            accounts=dict(market.accounts),
            watched=(),
            state=state,
            ledger_index=state.ledger_index,
            close_time=state.close_time,
            build_version=BUILD_VERSION,
            source=self.source,
        )

    def next(self, timeout_seconds: float) -> LedgerUpdate | None:
        """Return the next ledger; None if it is not due within `timeout_seconds` of the clock.

        Raises FeedError when called before `start`.
        """
        market, codec = self._market, self._codec
        if market is None or codec is None:
            raise FeedError(f"{self.source}: start() must be called before next()")
        if not self._pace.wait_for(market.next_time, timeout_seconds):
            return None
        return self._update(market, codec, market.advance())

    def request_resync(self) -> None:
        """Attach both books and the pool, read from the state itself, to the next ledger."""
        self._resync_wanted = True

    def close(self) -> None:
        """Let the market go; may be called twice."""
        self._market = None

    def _update(self, market: Market, codec: Codec, closed: ClosedLedger) -> LedgerUpdate:
        header, rules = closed.header, market.chain.rules()
        stream = LedgerClosed(
            fee_base=rules.base_fee,
            ledger_hash=header.ledger_hash,
            ledger_index=header.ledger_index,
            ledger_time=header.close_time,
            reserve_base=rules.base_reserve,
            reserve_inc=rules.owner_reserve,
            txn_count=len(closed.transactions),
        )
        transactions = tuple(_transaction(codec, item) for item in closed.transactions)
        update = update_of(stream, transactions, NO_CHECK, 0)
        if self._resync_wanted:
            self._resync_wanted = False
            update = replace(update, resync=_snapshot(_state(market)))
        return update


def _transaction(codec: Codec, item: LedgerTx) -> LedgerTransaction:
    return codec.transaction(
        TransactionMessage(
            hash=item.tx.hash,
            meta=msgspec.convert(item.meta, Meta),
            tx_json=msgspec.convert(item.tx.json, TxJson),
        )
    )


def _state(market: Market) -> LedgerState:
    """Return the chain's state as the tracker takes it."""
    header = market.chain.header
    entries: list[dict[str, Any]] = [
        {**fields_to_wire(entry), "index": index} for index, entry in market.chain.state.entries.items()
    ]
    start = StartLedger(
        ledger_index=header.ledger_index, ledger_hash=header.ledger_hash, close_time=header.close_time
    )
    return state_of(market.pair, start, msgspec.convert(entries, list[StateEntry]), True)


def _snapshot(state: LedgerState) -> BookSnapshot:
    """Return both books with what each offer's owner can pay, and the pool."""
    drops = {
        one.account: max(
            0,
            one.balance_drops
            - (0 if one.is_pool else state.base_reserve_drops + state.owner_reserve_drops * one.owner_count),
        )
        for one in state.accounts
    }
    tokens = {line.holder: Decimal(0) if line.frozen else line.balance for line in state.lines}

    def listed(side: Side) -> tuple[SnapshotOffer, ...]:
        return tuple(
            SnapshotOffer(offer=offer, owner_funds=_funds(offer, drops, tokens))
            for offer in state.offers
            if offer.side is side
        )

    return BookSnapshot(asks=listed(Side.SELL), bids=listed(Side.BUY), pool=state.pool, complete=True)


def _funds(offer: BookOffer, drops: dict[str, int], tokens: dict[str, Decimal]) -> Decimal:
    if offer.side is Side.SELL:
        return Decimal(drops.get(offer.owner, 0))
    return tokens.get(offer.owner, Decimal(0))
