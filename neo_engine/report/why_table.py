"""Every reason not to quote, in one table: its step of the decision tree, what it means, what to do.

Gates are stored by name (`ticks.gates`), so this is the place that explains a stored name. The end of a
session is stored by its halt reason; `halt_step` says which step of the tree asked for it.
"""

from __future__ import annotations

import msgspec

from neo_engine.domain.halt import HaltReason

SESSION = "session"
KILL = "kill switch"
MONITORS = "monitors"
DATA = "data gate"
QUOTE = "quote gate"
SPREAD = "spread"
CAPITAL = "capital check"
DIFF = "order diff"
EXCHANGE = "exchange"
#: The decision tree of a tick, in the order in which it is walked.
STEPS = (SESSION, KILL, MONITORS, DATA, QUOTE, SPREAD, CAPITAL, DIFF, EXCHANGE)

STOPPING = "Stopping"  # the session ends: its detail is the halt reason


class GateText(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate's name stands for. keys: the configuration that its thresholds come from."""

    step: str
    means: str
    advice: str
    keys: tuple[str, ...] = ()


def _gate(step: str, means: str, advice: str, *keys: str) -> GateText:
    return GateText(step=step, means=means, advice=advice, keys=keys)


_WAIT = "nothing: it ends by itself with the first sound ledger"
_DEFECT = "report it with a backup of the database: no healthy session shows this"

#: Name as stored -> its explanation. Every name that a gate of the engine can have is here.
GATES: dict[str, GateText] = {
    STOPPING: _gate(SESSION, "the session ends, so every order is taken back", "see the halt reason"),
    "Storage": _gate(
        DATA,
        "the database could not be written, so every order was taken back",
        "see what it says: free space, permissions, another program that holds it, a file that was moved",
        "state.outage_halt_seconds",
    ),
    "Risk": _gate(
        MONITORS,
        "a monitor closed one side or pulled the quotes",
        "see the monitor's own numbers; docs/risk.md tells its thresholds",
    ),
    "Cascade": _gate(
        MONITORS,
        "one side sweeps the book, so the quotes are pulled",
        "nothing: it ends when the sweep does; look at the market before raising the key",
        "monitors.cascade_pull",
        "monitors.cascade_near_bps",
    ),
    "NoDataReceived": _gate(DATA, "no ledger was received yet", "check the feed's server or file"),
    "StaleData": _gate(
        DATA,
        "the last validated ledger is too old to quote on",
        "check the connection and the server; the next ledger ends it",
        "risk.stale_pull_seconds",
        "risk.stale_halt_seconds",
        "risk.stale_data_seconds",
    ),
    "CrossedBook": _gate(DATA, "the best bid is not below the best ask", _WAIT),
    "Gap": _gate(
        DATA, "ledgers are missing, so the book may be wrong", "nothing, if the feed can read them again"
    ),
    "BadNumber": _gate(DATA, "a price, a size or the pool is no usable number", "look at the source's data"),
    "MalformedMessage": _gate(
        DATA, "the source sent something unreadable", "look at its faults: table feed_faults"
    ),
    "UnhealthyNode": _gate(
        DATA,
        "the server that is read is not in step: nothing fresh came from it for a while, or it is gone",
        "nothing, if it ends with the next ledgers; else use another server",
        "risk.max_unhealthy_ticks",
    ),
    "EmptySide": _gate(DATA, "nobody else bids, or nobody asks: there is no mid", "wait until others quote"),
    "Frozen": _gate(
        DATA, "the issuer has frozen the token", "do not hold more of it; ask the issuer what it means"
    ),
    "Behind": _gate(
        DATA, "a newer ledger was there already", "nothing, unless it comes often: a slow machine"
    ),
    "Manual": _gate(
        QUOTE,
        "the operator has closed this side, or both",
        "python -m neo_engine resume, once the reason is gone",
    ),
    "Warmup": _gate(
        QUOTE,
        "too little was seen to know volatility or intensity",
        "wait for as many ledgers, or lower the key",
        "strategy.warmup_ticks",
        "strategy.glft.intensity_min_trades",
    ),
    "AnchorDivergence": _gate(
        QUOTE,
        "the book is too wide, or the pool disagrees with it for too long",
        "look at the market; raise the key only if the price is sound",
        "strategy.book_max_spread_bps",
        "strategy.pool_band_margin_bps",
        "strategy.pool_band_ticks",
    ),
    "Viability": _gate(
        QUOTE,
        "even the narrowest half-spread lies beyond the fee of the pool, so the pool is always taken first",
        "lower the base offset, or wait until the pool's fee is voted up or the costs fall",
        "strategy.base_offset_bps",
        "strategy.half_spread_min_bps",
        "strategy.glft.half_spread_min_bps",
    ),
    "ToxicFlow": _gate(
        QUOTE,
        "nearly all takers go one way, or they gain more than the half-spread earns",
        "nothing: the window moves on; raise the key only if such flow is usual in this market",
        "strategy.toxic_close_share",
        "strategy.toxicity_window_ticks",
        "strategy.toxicity_min_trades",
    ),
    "NoEdgeFlat": _gate(
        QUOTE,
        "a fill is expected to earn too little, by what others' takings were followed by",
        "nothing: the window moves on; a wider strategy.base_offset_bps leaves more edge",
        "strategy.min_edge_bps",
        "strategy.edge_flat_share",
        "strategy.markout_ticks",
    ),
    "Inventory": _gate(
        QUOTE,
        "so much is held that one side no longer adds to it",
        "nothing: the other side reduces it; or move capital",
        "inventory.soft_limit_share",
        "risk.max_xrp_exposure",
        "risk.max_rlusd_exposure",
    ),
    "MinNotional": _gate(
        QUOTE,
        "a level is worth less than the smallest order",
        "raise order_size.base_size_rlusd or strategy.ladder_size_factor",
        "order_size.min_notional_rlusd",
        "order_size.base_size_rlusd",
    ),
    "MaxOrderSize": _gate(
        QUOTE, "one order is larger than allowed", "lower the size, or raise the key", "risk.max_order_rlusd"
    ),
    "DuplicateSlot": _gate(QUOTE, "two quotes want the same place of the ladder", _DEFECT),
    "MaxOpenOrders": _gate(
        QUOTE,
        "more orders would work than allowed",
        "fewer levels, or raise the key",
        "risk.max_open_orders",
        "strategy.ladder_levels",
    ),
    "WouldCross": _gate(
        QUOTE, "the quote would take instead of make", "nothing: the next ledger decides anew"
    ),
    "MaxExposure": _gate(
        QUOTE,
        "if all orders of the side fill, too much is held",
        "smaller or fewer levels, less capital, or a higher limit",
        "risk.max_xrp_exposure",
        "risk.max_rlusd_exposure",
    ),
    "QuotaExhausted": _gate(
        QUOTE,
        "requests, queue slots or the day's fees are used up: nothing is placed, what stands is left",
        "wait: headroom comes back by itself; else another server, or a higher limit of fees",
        "live.max_daily_fee_drops",
    ),
    "QuotaCritical": _gate(
        QUOTE,
        "so little headroom is left that only the side that reduces the inventory quotes",
        "wait: headroom comes back by itself; else another server, or a higher limit of fees",
        "live.max_daily_fee_drops",
    ),
    "Fee": _gate(
        QUOTE,
        "the network asks more for a transaction than allowed",
        "wait for the network to calm down, or raise the key",
        "risk.max_fee_drops",
    ),
    "Capital": _gate(
        CAPITAL,
        "an offer cannot be paid for",
        "bring in capital, or lower inventory.xrp_buffer or the size",
        "inventory.xrp_buffer",
        "order_size.base_size_rlusd",
    ),
    "CapitalShrunk": _gate(
        CAPITAL,
        "an offer stands for less than wanted",
        "bring in capital, or lower order_size.base_size_rlusd",
        "inventory.xrp_buffer",
        "order_size.base_size_rlusd",
    ),
    "Backoff": _gate(
        DIFF,
        "the slot's last orders were refused, so it waits before the next one",
        "look at the codes that refused them: docs/submission.md; it tries again by itself",
    ),
    "SelfCross": _gate(
        DIFF, "the offer would reach an own one that does not move now", "nothing: it waits for a later tick"
    ),
}

_FOUND = frozenset({HaltReason.RECONCILER_HALT.value, HaltReason.SUBMISSION_REFUSED.value})
_UNKNOWN = _gate(QUOTE, "a gate that this version does not know", "use the version that made the database")


def gate_text(name: str) -> GateText:
    """Return the explanation of a stored gate, also of one from another version."""
    return GATES.get(name, _UNKNOWN)


def halt_step(reason: str | None) -> str:
    """Return the step of the tree that asked for the end with this stored halt reason."""
    if reason == HaltReason.KILL_SWITCH.value:
        return KILL
    if reason in _FOUND or (reason or "").startswith("risk_"):
        return MONITORS
    return SESSION
