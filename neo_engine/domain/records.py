"""What a tick leaves behind, as values: the only thing the shell hands to the state manager."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from neo_engine.domain.capital import CapitalEvent
from neo_engine.domain.fills import Fill
from neo_engine.domain.market import MarketSnapshot
from neo_engine.domain.number import EXACT
from neo_engine.domain.orders import (
    Order,
    PreparedTransaction,
    Quote,
    SubmitOutcome,
    TransactionOutcome,
)
from neo_engine.domain.severity import Reading


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """One reason not to quote that fired in a tick: its name, the side it closes and its numbers.

    side: `bid`, `ask` or `both`.
    """

    name: str
    side: str
    detail: str


class InventoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the fills-only ledger: `asset` moved by `change` through a fill, to `new_balance`.

    change and new_balance in units of the asset (XRP or RLUSD), exact.
    """

    fill_key: tuple[int, int, str]
    asset: str
    change: Decimal
    new_balance: Decimal


class CapitalRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a capital event: applied at `mark` (RLUSD per XRP) or refused with a reason."""

    event: CapitalEvent
    applied: bool
    mark: Decimal | None
    reason: str | None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A difference the reconciler found: its class, the order, whether it halts, and its numbers."""

    name: str
    order_id: int | None
    halts: bool
    detail: str


class FeedFaultRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One fault of the feed: kind, line of the recording (or None) and text."""

    kind: str
    line: int | None
    detail: str


#: Names in `Pricing.factors` of what multiplies, so that 1 leaves the spread as it is; for all others 0 does.
MULTIPLIERS = frozenset(
    (
        *("volatility", "range", "toxicity", "defence", "staleness", "model", "inventory", "quota"),
        *("product", "multiplier"),  # of all of them, before and after their cap
    )
)


class Pricing(msgspec.Struct, frozen=True, kw_only=True):
    """How the strategy engine came to its quotes this tick; None where a step was not reached.

    Prices in RLUSD per XRP, spreads and volatilities in bps (volatility per tick).
    factors: name -> factor, additive bps or what they came from, in the order composed (strategy/chain.py).
    """

    anchor: Decimal | None
    anchor_source: str | None
    divergence_bps: Decimal | None
    clamped: bool
    volatility_bps: Decimal | None
    atr_bps: Decimal | None
    reservation: Decimal | None
    half_spread_bps: Decimal | None
    factors: tuple[tuple[str, Decimal], ...]


class Touch(msgspec.Struct, frozen=True, kw_only=True):
    """Distance of our best resting order to the touch, in bps of mid; None where undefined.

    bid_bps = (our_bid - best_bid) x 10000 / mid, ask_bps = (best_ask - our_ask) x 10000 / mid:
    negative is behind the touch, zero at it, positive inside it.
    """

    our_bid: Decimal | None
    our_ask: Decimal | None
    bid_bps: Decimal | None
    ask_bps: Decimal | None


class Accounts(msgspec.Struct, frozen=True, kw_only=True):
    """Inventory and P&L after a tick; amounts exact, RLUSD values at `mark`.

    inventory = fills + overlay; balance = inventory - fees. account_value = balance valued at mark.
    realised + unrealised - fees_drops x mark = account_value - net capital (each event at its mark).
    """

    fills_base_drops: int
    fills_quote: Decimal
    overlay_base_drops: int
    overlay_quote: Decimal
    fees_drops: int
    rounding_quote: Decimal
    cost_basis: Decimal
    net_capital: Decimal
    realised: Decimal
    unrealised: Decimal
    mark: Decimal | None
    account_value: Decimal

    @property
    def base_drops(self) -> int:
        """XRP inventory in drops: fills plus overlay."""
        return self.fills_base_drops + self.overlay_base_drops

    @property
    def quote(self) -> Decimal:
        """RLUSD inventory: fills plus overlay (exact sum)."""
        return EXACT.add(self.fills_quote, self.overlay_quote)


class IntentRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Everything of a tick that must be on disk before its transactions are sent.

    readings: of monitors, those whose severity changed.
    """

    tick: int
    kind: str
    ledger_index: int
    close_time: int
    snapshot: MarketSnapshot | None
    transactions: tuple[TransactionOutcome, ...]
    fills: tuple[Fill, ...]
    inventory: tuple[InventoryEntry, ...]
    capital: tuple[CapitalRecord, ...]
    faults: tuple[FeedFaultRecord, ...]
    findings: tuple[Finding, ...]
    pricing: Pricing
    gates: tuple[Gate, ...]
    quotes: tuple[Quote, ...]
    quoting: str
    touch: Touch
    accounts: Accounts
    new_orders: tuple[Order, ...]
    changed_orders: tuple[Order, ...]
    replaces: Mapping[int, int]
    prepared: tuple[PreparedTransaction, ...]
    canceled: int
    kept: int
    state: Mapping[str, str]
    fingerprint: bytes
    readings: tuple[Reading, ...] = ()


class OutcomeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the submits of a tick answered: committed right after them."""

    tick: int
    close_time: int
    outcomes: tuple[SubmitOutcome, ...]
    changed_orders: tuple[Order, ...]


class SessionStart(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a session when it begins; started_at is UTC ISO-8601 by the wall clock.

    hypothesis: what the operator wants to find out, None when nothing was said.
    """

    mode: str
    feed: str
    pair: str
    account: str
    recording: str | None
    speed: str | None
    seed: int
    started_at: str
    config_json: str
    config_hash: str
    engine_version: str
    pid: int
    hypothesis: str | None = None


class SessionEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How a session ended; summary_json is the engine's own last word, compared with the report's."""

    ended_at: str
    halt_reason: str
    halt_detail: str
    ticks: int
    first_ledger: int | None
    last_ledger: int | None
    market_start: str | None
    market_end: str | None
    fingerprint: str
    summary_json: str
    state: Mapping[str, str]
