"""The strategy engine: one market snapshot and one inventory in, quotes and their reasons out.

    snapshot -> data gates -> anchor -> estimators -> reservation, half-spread -> gates -> ladder -> quotes

Pure: equal arguments give equal results to the last digit on every platform (decimal arithmetic in
one fixed context, no binary float). It never raises for a market, however absurd.

1. With a data gate nothing is priced and the state stays as it was.
2. With any other gate the prices are still computed and stored, so that a quiet tick can be explained.
3. Each side is quoted unless a gate closes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, localcontext

import msgspec
from msgspec.structs import replace

from neo_engine.config import Config
from neo_engine.domain.assets import Side
from neo_engine.domain.errors import InvariantViolation
from neo_engine.domain.fills import Fill
from neo_engine.domain.headroom import FULL, Headroom, Quota
from neo_engine.domain.market import MarketSnapshot
from neo_engine.domain.number import BPS, MILLION, ONE, WORK, ZERO
from neo_engine.domain.orders import Quote
from neo_engine.domain.records import Accounts, Gate, Pricing
from neo_engine.strategy import gates as gate
from neo_engine.strategy import glft, intensity, ladder, quota, signals, spread, volatility
from neo_engine.strategy.anchor import AnchorView, read_anchor
from neo_engine.strategy.chain import Factors


class StrategyState(msgspec.Struct, frozen=True, kw_only=True):
    """What one tick hands to the next. outside_ticks: see `AnchorView`. curve: of intensity, glft only."""

    volatility: volatility.VolatilityState
    outside_ticks: int
    intensity: intensity.IntensityState
    curve: glft.Curve | None
    quota: quota.QuotaState
    signals: signals.SignalState


class StrategyResult(msgspec.Struct, frozen=True, kw_only=True):
    """State for the next tick, how the prices came about, what closed a side, and the quotes wanted."""

    state: StrategyState
    pricing: Pricing
    gates: tuple[Gate, ...]
    quotes: tuple[Quote, ...]


def initial_state(config: Config) -> StrategyState:
    """Return the state before the first snapshot: nothing known, so warm-up lies ahead."""
    return StrategyState(
        volatility=volatility.start(config.strategy.volatility_halflife_ticks),
        outside_ticks=0,
        intensity=intensity.START,
        curve=None,
        quota=quota.START,
        signals=signals.start(config.strategy),
    )


def with_fills(state: StrategyState, fills: Sequence[Fill]) -> StrategyState:
    """Return the state with our own fills taken in, whether or not their tick is priced."""
    return replace(state, signals=signals.heard(state.signals, fills)) if fills else state


def evaluate(
    state: StrategyState,
    snapshot: MarketSnapshot,
    accounts: Accounts,
    config: Config,
    *,
    headroom: Headroom = FULL,
    reference_age: int | None = None,
) -> StrategyResult:
    """Return the quotes for this snapshot, sorted bid-1, bid-2, ..., ask-1, ..., and every reason.

    headroom: what the venue has left for us (docs/quota.md). reference_age: ledger intervals since the newest
    price of another market was made, None where no reference is configured or none was heard yet.
    """
    with localcontext(WORK):
        left, allowed = quota.heed(state.quota, headroom, config.strategy.ladder_levels)
        state = replace(state, quota=left)
        closed = gate.data_gates(snapshot)
        if closed:
            return _unpriced(state, closed)
        left_to_us = _Venue(allowed=allowed, headroom=headroom, reference_age=reference_age)
        return _priced(state, snapshot, accounts, config, left_to_us)


class _Venue(msgspec.Struct, frozen=True, kw_only=True):
    """What a tick is told besides market and inventory."""

    allowed: Quota
    headroom: Headroom
    reference_age: int | None


def _unpriced(state: StrategyState, closed: tuple[Gate, ...]) -> StrategyResult:
    moves = state.volatility
    pricing = Pricing(
        anchor=None,
        anchor_source=None,
        divergence_bps=None,
        clamped=False,
        volatility_bps=moves.volatility_bps,
        atr_bps=moves.range_bps,
        reservation=None,
        half_spread_bps=None,
        factors=(),
    )
    return StrategyResult(state=state, pricing=pricing, gates=closed, quotes=())


def _priced(
    state: StrategyState,
    snapshot: MarketSnapshot,
    accounts: Accounts,
    config: Config,
    venue: _Venue,
) -> StrategyResult:
    strategy, allowed = config.strategy, venue.allowed
    bid, ask, mid = snapshot.best_bid, snapshot.best_ask, snapshot.mid
    if bid is None or ask is None or mid is None:
        raise InvariantViolation("strategy: a snapshot without a mid passed the data gates")
    view = read_anchor(mid, snapshot.pool, state.outside_ticks, strategy)
    closed = gate.book_gates(gate.spread_bps(bid, ask, mid), strategy)
    state = _learn(state, snapshot, mid, view, config, believed=not closed)
    moves = state.volatility
    volatility_bps = moves.volatility_bps
    held = accounts.base_drops * view.anchor / MILLION
    share = spread.imbalance(held, accounts.quote, config.inventory.target_xrp_share)
    state = replace(state, quota=quota.force(state.quota, allowed.tier, share))
    reading = signals.read(
        state.signals,
        snapshot.ledger_index,
        share,
        strategy,
        reference_age=venue.reference_age,
        warm=(moves.mids >= strategy.warmup_ticks, state.intensity.raw is not None),
    )
    terms = spread.cost_terms(view.anchor, snapshot.fee_base_drops, snapshot.transfer_rate, config.order_size)
    given = _Given(anchor=view.anchor, share=share, allowed=allowed, reading=reading, terms=terms)
    priced = _price(state, accounts, config, given)
    closed += gate.warmup_gates(moves.mids, None if priced else _trades_seen(state), strategy)
    closed += gate.divergence_gates(view, strategy)
    closed += gate.viability_gates(spread.floor_bps(terms, strategy), snapshot.pool)
    closed += gate.inventory_gates(accounts, config)
    if priced is not None and reading.flow.is_known:
        half, fee = priced.half_spread_bps, spread.network_fee_bps(terms)
        closed += gate.toxic_gates(reading.flow, half, strategy)
        closed += gate.edge_gates(reading.flow, half, fee, share, strategy)
    closed += quota.quota_gates(state.quota, allowed.tier, venue.headroom)
    rungs: tuple[ladder.Rung, ...] = ()
    if priced is not None:
        rungs = _ladder(priced, snapshot, view, closed, config, levels=allowed.levels)
    factors = priced.factors if priced is not None else ()
    for name, rung in zip(("TouchClamp bid", "TouchClamp ask"), rungs, strict=False):
        if rung.clamp_bps:
            factors += ((name, rung.clamp_bps),)
    pricing = Pricing(
        anchor=view.anchor,
        anchor_source=view.source,
        divergence_bps=view.divergence_bps,
        clamped=view.clamped,
        volatility_bps=volatility_bps,
        atr_bps=moves.range_bps,
        reservation=priced.reservation if priced is not None else None,
        half_spread_bps=priced.half_spread_bps if priced is not None else None,
        factors=factors,
    )
    return StrategyResult(
        state=state,
        pricing=pricing,
        gates=closed + tuple(dropped for rung in rungs for dropped in rung.gates),
        quotes=tuple(quote for rung in rungs for quote in rung.quotes),
    )


def _learn(
    state: StrategyState,
    snapshot: MarketSnapshot,
    mid: Decimal,
    view: AnchorView,
    config: Config,
    *,
    believed: bool,
) -> StrategyState:
    """Return the state with this tick's mid, pool and trades taken in; an unbelieved mid teaches nothing."""
    if not believed:
        return state
    strategy, before = config.strategy, state.volatility
    moves = volatility.observe(before, mid, snapshot.ledger_index, atr_ticks=strategy.atr_ticks)
    learnt = state.signals
    if moves is not before:
        elapsed = snapshot.ledger_index - before.ledger_index if before.mid is not None else None
        learnt = signals.observe(learnt, snapshot, mid, elapsed, strategy)
    trades, curve = state.intensity, state.curve
    # Trades are measured from the mid just before them, so a ledger after a gap cannot be used.
    follows = before.mid is not None and snapshot.ledger_index == before.ledger_index + 1
    if strategy.model == "glft" and follows and before.mid is not None:
        trades = intensity.observe(trades, before.mid, snapshot.trades, strategy.glft)
        if trades.raw is not None and trades.raw is not state.intensity.raw:
            gamma = glft.gamma_per_bps(strategy.glft.risk_aversion, config.order_size.base_size_rlusd)
            curve = glft.solve(intensity.effective(trades.raw), gamma)
    return StrategyState(
        volatility=moves,
        outside_ticks=view.outside_ticks,
        intensity=trades,
        curve=curve,
        quota=state.quota,
        signals=learnt,
    )


def _trades_seen(state: StrategyState) -> int:
    return intensity.total(state.intensity).trades


class _Given(msgspec.Struct, frozen=True, kw_only=True):
    """What a price is made from besides state and accounts. share: the inventory's imbalance."""

    anchor: Decimal
    share: Decimal
    allowed: Quota
    reading: signals.Reading
    terms: Factors


class _Price(msgspec.Struct, frozen=True, kw_only=True):
    reservation: Decimal
    half_spread_bps: Decimal
    factors: Factors


def _price(state: StrategyState, accounts: Accounts, config: Config, given: _Given) -> _Price | None:
    """Return reservation price and half-spread, or None while the glft model lacks its estimates."""
    strategy, volatility_bps = config.strategy, state.volatility.volatility_bps
    anchor, share, terms, reading = given.anchor, given.share, given.terms, given.reading
    if strategy.model == "offset":
        result = spread.offset_spread(
            volatility_bps,
            state.volatility.range_bps,
            terms,
            strategy,
            quota=given.allowed,
            signals=reading.signals,
        )
        price = spread.reservation(anchor, share, strategy.skew_bps)
        notes: Factors = (("imbalance", share),)
    else:
        raw = state.intensity.raw
        if state.curve is None or raw is None or volatility_bps is None:
            return None
        held, target = accounts.base_drops * anchor / MILLION, config.inventory.target_xrp_share
        orders = (held - target * (held + accounts.quote)) / config.order_size.base_size_rlusd
        result, shift = glft.glft_spread(
            state.curve, volatility_bps, orders, terms, strategy, quota=given.allowed, signals=reading.signals
        )
        price = anchor * (ONE - shift / BPS)
        notes = intensity.notes(raw)
    return _Price(
        reservation=spread.lean(price, result, share),
        half_spread_bps=result.half_spread_bps,
        factors=(*result.factors, *notes, *reading.notes),
    )


def _ladder(
    priced: _Price,
    snapshot: MarketSnapshot,
    view: AnchorView,
    closed: tuple[Gate, ...],
    config: Config,
    *,
    levels: int,
) -> tuple[ladder.Rung, ...]:
    """Return the bid side and the ask side, empty where a gate closes it."""
    band = None
    if view.pool_low is not None and view.pool_high is not None:
        band = (view.pool_low, view.pool_high)
    bid, ask = snapshot.best_bid or ZERO, snapshot.best_ask or ZERO
    reach = ladder.limits(bid, ask, band, config.strategy.touch_margin_bps)
    rungs = []
    for side, name, limit in (
        (Side.BUY, gate.BID, reach.bid_max),
        (Side.SELL, gate.ASK, reach.ask_min),
    ):
        if gate.is_open(closed, name):
            rungs.append(
                ladder.build_side(
                    side,
                    priced.reservation,
                    priced.half_spread_bps,
                    config,
                    limit=limit,
                    tick_size=snapshot.tick_size,
                    levels=levels,
                )
            )
        else:
            rungs.append(ladder.Rung(quotes=(), gates=(), clamp_bps=ZERO))
    return tuple(rungs)
