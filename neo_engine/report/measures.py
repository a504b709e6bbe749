"""What a report says beyond the books, as values: attribution, execution quality, risk.

Formulas, units and signs are in docs/metrics.md. Money is exact; statistics are Decimals rounded half to
even to 4 decimals (shares, bps, seconds) or 6 (RLUSD where a docstring says so). No binary float is in
here.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec


class Attribution(msgspec.Struct, frozen=True, kw_only=True):
    """Parts of the P&L in RLUSD; gains positive, costs negative.

    total = spread_captured + mark_pnl + rounding + transfer_fees + network_fees, and
    mark_pnl = adverse_selection + fills_drift + hold. residue: the books' total less this one; exactly 0.
    adverse_selection: what the mid did to fills within `horizon_ledgers`; fills_drift: afterwards, until the
    mark. hold: what the price did to capital alone, which is what holding it would have earned; trading =
    total - hold. residue_fifo: the total less (realised_fifo + unrealised_fifo - network fees); exactly 0.
    fills_without_mid: took their own price for the mid. fifty_fifty, pool: P&L of the same capital, to 6
    decimals; None where the market of it was never seen.
    """

    mark: Decimal
    horizon_ledgers: int
    spread_captured: Decimal
    adverse_selection: Decimal
    fills_drift: Decimal
    hold: Decimal
    mark_pnl: Decimal
    rounding: Decimal
    transfer_fees: Decimal
    network_fees: Decimal
    total: Decimal
    residue: Decimal
    fills_without_mid: int
    realised_fifo: Decimal
    unrealised_fifo: Decimal
    residue_fifo: Decimal
    trading: Decimal
    fifty_fifty: Decimal | None
    pool: Decimal | None


class Markout(msgspec.Struct, frozen=True, kw_only=True):
    """The price `ledgers` after the fills of a group against their own, in bps; positive is good for us.

    count: fills with a mid that late. sd_bps: of the sample (n - 1); None below two. ci_low_bps,
    ci_high_bps: mean -+ 1.96 sd / sqrt(count).
    """

    ledgers: int
    count: int
    mean_bps: Decimal | None
    sd_bps: Decimal | None
    ci_low_bps: Decimal | None
    ci_high_bps: Decimal | None


class MarkoutGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Markouts of some fills. group: `all`, `side`, `size` or `hour` (UTC); name: which of it.

    half_spread_bps: their mean spread captured at the mid of their ledger; None when none had a mid.
    """

    group: str
    name: str
    fills: int
    half_spread_bps: Decimal | None
    markouts: tuple[Markout, ...]


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """A distribution: count, mean, and the values that 10, 50 and 90 of a hundred do not exceed."""

    count: int
    mean: Decimal | None
    p10: Decimal | None
    median: Decimal | None
    p90: Decimal | None


class SideUptime(msgspec.Struct, frozen=True, kw_only=True):
    """Ticks in which a side was quoted."""

    side: str
    ticks: int
    share_pct: Decimal


class Closure(msgspec.Struct, frozen=True, kw_only=True):
    """Ticks in which a gate closed a side, by reason. alone: it was the only gate that did."""

    name: str
    side: str
    ticks: int
    alone: int
    share_pct: Decimal


class Requotes(msgspec.Struct, frozen=True, kw_only=True):
    """What it cost to follow the market. per_fill: replaced orders a fill; fees in drops, and at the mark."""

    replaced: int
    canceled: int
    fees_drops: int
    fees: Decimal | None
    per_fill: Decimal | None
    share_of_spread_pct: Decimal | None


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """From the tick that sent a transaction to the ledger that holds it, by kind.

    ledgers, seconds: by ledger index and close time. in_no_ledger: proven never to be in one, or not known
    yet.
    """

    kind: str
    ledgers: Spread
    seconds: Spread
    in_no_ledger: int


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """How good the fills and the quoting were.

    orders_on_ledger: the ledger took them (tesSUCCESS). fill_ratio_pct: XRP filled of the XRP they offered;
    orders_filled_pct: of them, with any fill. time_to_fill_seconds: from the ledger an order was decided on
    to its first fill. queue_ahead_xrp: XRP of others at our price or better in the last market before a
    fill. pool_flow_xrp: net XRP that the pool traded; our_share_of_flow_pct: our volume of it and ours
    together. pair_volume_xrp: what anybody took of book and pool in the ledgers seen, None for sessions
    stored before it was noted; our_share_of_volume_pct: our volume against it.
    """

    markouts: tuple[MarkoutGroup, ...]
    orders_on_ledger: int
    orders_filled_pct: Decimal
    fill_ratio_pct: Decimal
    time_to_fill_seconds: Spread
    queue_ahead_xrp: Spread
    uptime: tuple[SideUptime, ...]
    closures: tuple[Closure, ...]
    requotes: Requotes
    latency: tuple[Latency, ...]
    pool_flow_xrp: Decimal | None
    our_share_of_flow_pct: Decimal | None
    pair_volume_xrp: Decimal | None
    our_share_of_volume_pct: Decimal | None


class ExposurePath(msgspec.Struct, frozen=True, kw_only=True):
    """One asset's inventory over the ticks, against its limit (None: the configuration has none)."""

    asset: str
    lowest: Decimal
    highest: Decimal
    mean: Decimal
    last: Decimal
    limit: Decimal | None
    highest_pct_of_limit: Decimal | None
    ticks_above_limit: int


class Drawdown(msgspec.Struct, frozen=True, kw_only=True):
    """The deepest fall of the account value net of capital, by the risk gate's formula.

    value, peak: RLUSD. limit_pct: risk.max_drawdown_pct. now_pct: at the last tick.
    """

    worst_pct: Decimal
    worst_at: str
    worst_tick: int
    value: Decimal
    peak: Decimal
    peak_at: str
    now_pct: Decimal
    limit_pct: Decimal | None


class Minute(msgspec.Struct, frozen=True, kw_only=True):
    """One minute of the market's time: what it earned (RLUSD), the move of the mid, its fills."""

    at: str
    profit: Decimal
    mid_move_bps: Decimal | None
    fills: int


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of consecutive ticks in which a gate closed a side."""

    name: str
    side: str
    start: str
    end: str
    ticks: int
    first_tick: int
    detail: str


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a monitor's severity, a finding that halts, the session's end."""

    at: str
    tick: int | None
    what: str
    severity: str
    detail: str


class Risk(msgspec.Struct, frozen=True, kw_only=True):
    """Inventory and value against their limits, and everything that stopped or narrowed the quoting.

    spans, events: the first SPANS_MAX and EVENTS_MAX (risk.py); span_count, event_count: of all.
    """

    exposure: tuple[ExposurePath, ...]
    drawdown: Drawdown | None
    worst_minutes: tuple[Minute, ...]
    spans: tuple[Span, ...]
    span_count: int
    events: tuple[Event, ...]
    event_count: int
