"""What a session report says, as values: everything a text, JSON or HTML rendering needs.

Amounts are exact: XRP as Decimal XRP (drops where a name says so), RLUSD and prices as Decimal.
Shares and distances are Decimals too, rounded as their docstring says; no binary float is in here.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from neo_engine.domain.number import ZERO
from neo_engine.report.measures import Attribution, Execution, Risk

TOUCH_BUCKETS = ("0-2", "2-5", "5-10", "10+")
_SHARE_DIGITS = Decimal("0.0001")


def share_pct(count: int, total: int) -> Decimal:
    """Return `count` of `total` in percent, rounded half to even to 4 decimals; 0 of nothing is 0."""
    if total == 0:
        return ZERO
    return (Decimal(count) * 100 / Decimal(total)).quantize(_SHARE_DIGITS)


class SessionFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Who, what and when. Times are UTC ISO-8601; None where the session has not got there yet.

    ended: the engine closed the session. running: a living process writes it now; None where its lock file
    cannot be read. Neither: its process died.
    ticks: rows of `ticks`, counted, and of them by kind (ledger, silence, fault). pruned: when and how much
    of the session's details was removed; None while they are whole.
    """

    session_id: int
    mode: str
    feed: str
    pair: str
    quote_symbol: str
    account: str
    recording: str | None
    speed: str | None
    seed: int | None
    engine_version: str
    config_hash: str
    pid: int | None
    started_at: str
    ended_at: str | None
    ended: bool
    running: bool | None
    market_start: str | None
    market_end: str | None
    first_ledger: int | None
    last_ledger: int | None
    ticks: int
    ticks_by_kind: tuple[tuple[str, int], ...]
    halt_reason: str | None
    halt_meaning: str | None
    halt_detail: str | None
    fingerprint: str | None
    hypothesis: str | None
    notes: tuple[str, ...]
    pruned: str | None = None


class AssetInventory(msgspec.Struct, frozen=True, kw_only=True):
    """One asset's ledger, in its own unit.

    start: what the session opened with. fills_only: the sum of all fills. capital_overlay: opening,
    deposits and withdrawals. inventory = fills_only + capital_overlay, by the rows. engine_total: the
    engine's own number for it (None before the first tick). fees: network fees (XRP only).
    balance = inventory - fees: what the account should hold.
    """

    asset: str
    start: Decimal
    fills_only: Decimal
    capital_overlay: Decimal
    inventory: Decimal
    engine_total: Decimal | None
    fees: Decimal
    balance: Decimal


class ProfitAndLoss(msgspec.Struct, frozen=True, kw_only=True):
    """P&L in RLUSD at `mark` (the last mid seen); None where it needs a mark and there is none.

    total = realised + unrealised - fees; account_value - net_capital is the same by another way, and
    `residue` is the difference of the two: exactly zero, or the books are wrong.
    rounding: what the trust line's 16 digits gained or lost on us over all fills (part of realised).
    """

    mark: Decimal | None
    mark_time: str | None
    realised: Decimal
    unrealised: Decimal | None
    fees_drops: int
    fees: Decimal | None
    total: Decimal | None
    cost_basis: Decimal
    account_value: Decimal | None
    net_capital: Decimal
    rounding: Decimal
    residue: Decimal | None


class FillGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Fills of one side and liquidity: how many, how much, at what average price (RLUSD per XRP)."""

    side: str
    liquidity: str
    count: int
    volume_xrp: Decimal
    volume_quote: Decimal
    average_price: Decimal | None


class FillStats(msgspec.Struct, frozen=True, kw_only=True):
    """All fills of the session."""

    count: int
    maker: int
    taker: int
    volume_xrp: Decimal
    volume_quote: Decimal
    groups: tuple[FillGroup, ...]


class OrderOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """Orders that share a status and the ledger's result code."""

    status: str
    result_code: str | None
    count: int


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Orders denied by us, rejected by the ledger or unknown, by reason (numbers in it shown as #)."""

    status: str
    reason: str
    count: int


class TransactionGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Our transactions by kind and validated result; a missing result is not (yet) in a ledger.

    Those that the session sent, and those of earlier ones whose result it learned. fees_drops: what it paid
    for them, which is nothing where a later session learned the result.
    """

    kind: str
    result: str | None
    count: int
    fees_drops: int


class OrderStats(msgspec.Struct, frozen=True, kw_only=True):
    """All orders of the session and the transactions that carried them."""

    count: int
    filled: int
    partly_filled: int
    outcomes: tuple[OrderOutcome, ...]
    refusals: tuple[Refusal, ...]
    transactions: tuple[TransactionGroup, ...]


class Uptime(msgspec.Struct, frozen=True, kw_only=True):
    """Ticks by what was quoted."""

    ticks: int
    both: int
    bid: int
    ask: int
    none: int

    @property
    def quoting_pct(self) -> Decimal:
        """Share of ticks with at least one side quoted, in percent."""
        return share_pct(self.ticks - self.none, self.ticks)


class TouchSide(msgspec.Struct, frozen=True, kw_only=True):
    """Distance to touch of one side, in bps of mid; negative is behind the touch.

    measured_ticks: ticks in which our offer stood and the touch existed; shares are of these.
    at_touch: at it or inside it.
    within_2bps: at -2 bps or better (at and inside the touch included). Each distance is rounded half
    to even to 4 decimals first, as the engine's own counters do. mean: rounded to 4 decimals; median:
    the middle value (the mean of the two middle ones for an even count). buckets: how far behind the
    touch, as in TOUCH_BUCKETS, each upper bound included; at or inside the touch counts as 0-2.
    """

    side: str
    measured_ticks: int
    at_touch: int
    within_2bps: int
    mean_bps: Decimal | None
    median_bps: Decimal | None
    buckets: tuple[int, ...]


class GateCount(msgspec.Struct, frozen=True, kw_only=True):
    """In how many ticks a gate closed a side, with the numbers it gave the last time."""

    name: str
    side: str
    ticks: int
    last_detail: str


class NamedCount(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of event and how often it happened. `group` is its severity where it has one."""

    name: str
    group: str
    count: int
    last_detail: str


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One number of the report beside the engine's own, both as text."""

    name: str
    report: str
    engine: str
    equal: bool


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """The report against the engine.

    agrees: True when every comparison is equal, False when one is not, None when there was nothing to
    compare with. missing: engine numbers that the session did not store.
    """

    agrees: bool | None
    comparisons: tuple[Comparison, ...]
    missing: tuple[str, ...]

    @property
    def differences(self) -> tuple[Comparison, ...]:
        """The comparisons that failed."""
        return tuple(item for item in self.comparisons if not item.equal)


class SessionSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The whole report of one session."""

    facts: SessionFacts
    xrp: AssetInventory
    quote: AssetInventory
    pnl: ProfitAndLoss
    fills: FillStats
    orders: OrderStats
    uptime: Uptime
    touch: tuple[TouchSide, ...]
    gates: tuple[GateCount, ...]
    faults: tuple[NamedCount, ...]
    findings: tuple[NamedCount, ...]
    attribution: Attribution | None
    execution: Execution
    risk: Risk
    agreement: Agreement


class SessionLine(msgspec.Struct, frozen=True, kw_only=True):
    """One session in the list of all, with what the experiment log says of it.

    profit: account value less net capital at its last tick, RLUSD; None before a mark. hypothesis: what it
    was to find out; notes: what the operator noted afterwards, joined.
    """

    session_id: int
    mode: str
    feed: str
    started_at: str
    ended_at: str | None
    halt_reason: str | None
    ticks: int
    fills: int
    config_hash: str
    hypothesis: str | None
    profit: Decimal | None
    notes: str | None
