"""A market prepared in memory: the reports of a real recording, given round and round for as long as asked.

The recording is run once through the paper exchange, without orders of ours, and each ledger's market
snapshot is kept. `PreparedFeed` gives ledgers with rising indexes and close times; `PreparedExchange`
gives the kept snapshots for them and accepts our orders: each arrives with the next ledger and stands
until it is replaced, cancelled or filled. Fills follow the recording's own trades: a trade whose price
reaches a standing offer of ours fills it in part or whole, at our price. So balances, fees, fills and
order states are those of a venue and every check of the engine runs; only the work of the real edges
(reading, decoding, following and matching the book) is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from msgspec.structs import replace

from neo_engine.config import Config
from neo_engine.domain.assets import Side
from neo_engine.domain.book import BookTracker
from neo_engine.domain.capital import CapitalEvent
from neo_engine.domain.fills import Fill, LiquiditySide
from neo_engine.domain.ledger import CheckData, FeedEnd, FeedStart, LedgerUpdate
from neo_engine.domain.link import CONNECTED
from neo_engine.domain.market import AccountView, MarketSnapshot, VenueOffer
from neo_engine.domain.number import MILLION, NEAREST, ZERO, issued, issued_add
from neo_engine.domain.orders import (
    CancelOrder,
    Command,
    OrderStatus,
    OrderUpdate,
    PlaceOrder,
    PreparedTransaction,
    SubmitClass,
    SubmitOutcome,
    TransactionKind,
    TransactionOutcome,
)
from neo_engine.execution.paper import PaperExchange
from neo_engine.execution.paper_account import PaperAccount
from neo_engine.feed.recorded import RecordedFeed
from neo_engine.ops.clock import SystemClock
from neo_engine.ports import FeedItem, VenueReport

SECONDS_A_LEDGER = 4
FEE_DROPS = 10
ACCOUNT = "rPreparedMarket"
# Enough that a million ticks of fills cannot empty the account.
BALANCE_DROPS, BALANCE_QUOTE = 10_000_000 * 1_000_000, Decimal(20_000_000)
NO_CHECK = CheckData(asks=None, bids=None, pool=None, accounts=None)


def recorded_snapshots(path: Path, config: Config) -> tuple[FeedStart, tuple[MarketSnapshot, ...]]:
    """Return the start of a recording and the market after each of its ledgers."""
    feed = RecordedFeed(path, speed=None, clock=SystemClock(), silence_after_seconds=86_400)
    start = feed.start()
    exchange = PaperExchange(
        book=BookTracker(start.state),
        account=PaperAccount(address=ACCOUNT, balance_drops=0, quote_balance=ZERO, owner_count=0, sequence=1),
        seed=1,
        arrival_delay_ledgers=1,
        last_ledger_offset=config.execution.last_ledger_offset,
        depth_levels=config.engine.depth_levels,
    )
    snapshots = []
    while not isinstance(item := feed.next(0), FeedEnd):
        if isinstance(item, LedgerUpdate):
            snapshots.append(exchange.advance(item).snapshot)
    feed.close()
    return start, tuple(snapshots)


class PreparedFeed:
    """Implements ports.Feed: `ticks` empty ledgers, `SECONDS_A_LEDGER` apart."""

    link = CONNECTED

    def __init__(self, start: FeedStart, ticks: int) -> None:
        self._start = start
        self._last = start.ledger_index + ticks
        self._index = start.ledger_index
        self._close_time = start.close_time

    def start(self) -> FeedStart:
        """Return the recording's own start."""
        return self._start

    def next(self, timeout_seconds: float) -> FeedItem | None:  # noqa: ARG002 - the port's argument
        """Return the next ledger; it is always there."""
        if self._index == self._last:
            return FeedEnd(close_time=self._close_time, detail="the benchmark is over")
        self._index += 1
        self._close_time += SECONDS_A_LEDGER
        return LedgerUpdate(
            ledger_index=self._index,
            ledger_hash="",
            close_time=self._close_time,
            fee_base_drops=FEE_DROPS,
            base_reserve_drops=1_000_000,
            owner_reserve_drops=200_000,
            transactions=(),
            check=NO_CHECK,
            line=0,
        )

    def request_resync(self) -> None:
        """Nothing to do: no ledger is ever missing."""

    def close(self) -> None:
        """Nothing to release."""


@dataclass(slots=True, kw_only=True)
class _Standing:
    order_id: int
    offer: VenueOffer
    price: Decimal
    tx_hash: str


@dataclass(slots=True, kw_only=True)
class _News:
    transactions: list[TransactionOutcome]
    updates: list[OrderUpdate]
    fills: list[Fill]


class PreparedExchange:
    """Implements ports.Exchange on kept snapshots."""

    def __init__(self, snapshots: Sequence[MarketSnapshot], config: Config) -> None:
        self._snapshots = snapshots
        self._offset = config.execution.last_ledger_offset
        self._turn = 0
        self._balance_drops = BALANCE_DROPS
        self._quote = BALANCE_QUOTE
        self._sequence = 1
        self._standing: dict[int, _Standing] = {}
        self._commands: list[Command] = []
        self._sent: list[tuple[PreparedTransaction, Command]] = []

    def advance(self, update: LedgerUpdate) -> VenueReport:
        """Give the next kept market, let what was sent arrive and trades meet our offers."""
        kept = self._snapshots[self._turn % len(self._snapshots)]
        self._turn += 1
        news = _News(transactions=[], updates=[], fills=[])
        for place, (tx, command) in enumerate(self._sent):
            self._arrive(news, update.ledger_index, place, tx, command)
        self._sent.clear()
        for place, trade in enumerate(kept.trades):
            for one in tuple(self._standing.values()):
                beaten = trade.price <= one.price if one.offer.side is Side.BUY else trade.price >= one.price
                if one.offer.side is not trade.taker_side and beaten:
                    self._fill(news, update, one, trade.base_drops, 100 + place)
        return VenueReport(
            snapshot=replace(kept, ledger_index=update.ledger_index, close_time=update.close_time),
            transactions=tuple(news.transactions),
            order_updates=tuple(news.updates),
            fills=tuple(news.fills),
            account=AccountView(
                balance_drops=self._balance_drops,
                quote_balance=self._quote,
                owner_count=1 + len(self._standing),
                account_sequence=self._sequence,
                offers=tuple(one.offer for one in self._standing.values()),
            ),
            faults=(),
        )

    def _arrive(
        self, news: _News, ledger_index: int, place: int, tx: PreparedTransaction, command: Command
    ) -> None:
        self._balance_drops -= tx.fee_drops
        news.transactions.append(
            TransactionOutcome(
                tx_hash=tx.tx_hash,
                order_id=tx.order_id,
                kind=tx.kind,
                result="tesSUCCESS",
                ledger_index=ledger_index,
                transaction_index=place,
                fee_drops=tx.fee_drops,
            )
        )
        place_order = isinstance(command, PlaceOrder)
        gone = command.replaces_sequence if isinstance(command, PlaceOrder) else command.offer_sequence
        old = self._standing.pop(gone, None) if gone is not None else None
        if old is not None:
            reason = f"replaced by order {command.order_id}" if place_order else "cancelled"
            news.updates.append(_update(old, OrderStatus.CANCELED, ledger_index, reason))
        if isinstance(command, PlaceOrder):
            quote = command.quote
            new = _Standing(
                order_id=command.order_id,
                offer=VenueOffer(
                    offer_sequence=tx.account_sequence,
                    side=quote.side,
                    base_drops=quote.base_drops,
                    quote=quote.quote,
                    expiration=quote.expiration,
                ),
                price=quote.price,
                tx_hash=tx.tx_hash,
            )
            self._standing[tx.account_sequence] = new
            news.updates.append(_update(new, OrderStatus.OPEN, ledger_index, None))

    def _fill(self, news: _News, update: LedgerUpdate, one: _Standing, wanted: int, place: int) -> None:
        offer, buys = one.offer, one.offer.side is Side.BUY
        drops = min(wanted, offer.base_drops)
        whole = drops == offer.base_drops
        quote = offer.quote if whole else issued(one.price * drops / MILLION, NEAREST)
        before = self._quote
        self._quote = issued_add(before, -quote if buys else quote)
        self._balance_drops += drops if buys else -drops
        moved = self._quote - before
        news.fills.append(
            Fill(
                order_id=one.order_id,
                ledger_index=update.ledger_index,
                close_time=update.close_time,
                transaction_index=place,
                node=f"{offer.offer_sequence:064x}",
                tx_hash=f"{update.ledger_index * 1000 + place:064x}",
                side=offer.side,
                liquidity=LiquiditySide.MAKER,
                base_drops=drops,
                quote=quote,
                quote_balance_delta=moved,
                rounding=moved - (-quote if buys else quote),
                offer_sequence=offer.offer_sequence,
            )
        )
        if whole:
            del self._standing[offer.offer_sequence]
            news.updates.append(_update(one, OrderStatus.FILLED, update.ledger_index, None))
            return
        one.offer = replace(offer, base_drops=offer.base_drops - drops, quote=offer.quote - quote)
        news.updates.append(_update(one, OrderStatus.PARTIALLY_FILLED, update.ledger_index, None))

    def prepare(
        self,
        commands: Sequence[Command],
        ledger_index: int,
        *,
        urgent: bool = False,  # noqa: ARG002 - no upkeep here
    ) -> tuple[PreparedTransaction, ...]:
        """Number the transactions; the hash is the sequence, written with 64 digits."""
        prepared = []
        for command in commands:
            kind, replaces = TransactionKind.CANCEL, None
            if isinstance(command, PlaceOrder):
                replaces = command.replaces
                kind = TransactionKind.CREATE if replaces is None else TransactionKind.REPLACE
            prepared.append(
                PreparedTransaction(
                    kind=kind,
                    order_id=command.order_id,
                    replaces=replaces,
                    tx_hash=f"{self._sequence:064X}",
                    account_sequence=self._sequence,
                    last_ledger_sequence=ledger_index + self._offset,
                    fee_drops=FEE_DROPS,
                    blob=None,
                )
            )
            self._sequence += 1
        self._commands = list(commands)
        return tuple(prepared)

    def submit(self, prepared: Sequence[PreparedTransaction]) -> tuple[SubmitOutcome, ...]:
        """Accept everything; it arrives with the next ledger."""
        self._sent.extend(zip(prepared, self._commands, strict=True))
        return tuple(
            SubmitOutcome(
                tx_hash=one.tx_hash, order_id=one.order_id, outcome=SubmitClass.ACCEPTED, code="tesSUCCESS"
            )
            for one in prepared
        )

    def withdraw(self, prepared: Sequence[PreparedTransaction]) -> None:
        """Forget what was prepared last."""
        self._sequence -= len(prepared)
        self._commands = []

    def transfer(self, event: CapitalEvent) -> str | None:  # noqa: ARG002 - the port's argument
        """Refuse: capital does not move in a benchmark."""
        return "no capital moves in a prepared market"

    def end_of_market(self) -> tuple[OrderUpdate, ...]:
        """Close what stands or is on its way."""
        index, reason = 10**9, "end of the market"
        standing = [_update(one, OrderStatus.CANCELED, index, reason) for one in self._standing.values()]
        unsent = [command for _tx, command in self._sent if not isinstance(command, CancelOrder)]
        never = [
            OrderUpdate(
                order_id=command.order_id,
                status=OrderStatus.CANCELED,
                remaining_base_drops=0,
                remaining_quote=ZERO,
                offer_sequence=None,
                reason=reason,
                ledger_index=index,
            )
            for command in unsent
        ]
        return (*standing, *never)

    def close(self) -> None:
        """Nothing to release."""


def _update(one: _Standing, status: OrderStatus, ledger_index: int, reason: str | None) -> OrderUpdate:
    stands = status in (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED)
    return OrderUpdate(
        order_id=one.order_id,
        status=status,
        remaining_base_drops=one.offer.base_drops if stands else 0,
        remaining_quote=one.offer.quote if stands else ZERO,
        offer_sequence=one.offer.offer_sequence,
        reason=reason,
        ledger_index=ledger_index,
    )
