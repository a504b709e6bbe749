"""What is known for or against quoting near, taken in ledger by ledger and read as factors of the chain.

1. Nothing here closes a side; `gates` does, from the same numbers.
2. A session that knows nothing has every factor at 1, except `model_gating_factor` (`startup_multiplier`).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from neo_engine.config import Config
from neo_engine.config_sections import StrategyConfig
from neo_engine.domain.fills import Fill
from neo_engine.domain.headroom import WHOLE, quota
from neo_engine.domain.market import MarketSnapshot
from neo_engine.domain.number import ONE, ZERO
from neo_engine.strategy import chain, defence, staleness, toxicity
from neo_engine.strategy.anchor import is_empty_pool

#: Factor -> the key that decides how large it may be.
KEYS = {
    chain.VOLATILITY: "strategy.volatility_factor_max",
    chain.RANGE: "strategy.atr_factor_max",
    chain.TOXICITY: "strategy.toxicity_factor_max",
    chain.DEFENCE: "strategy.defence_factor_max",
    chain.STALENESS: "strategy.staleness_factor_max",
    chain.MODEL: "strategy.model_gating_factor",
    chain.INVENTORY: "strategy.inventory_factor_max",
}


class SignalState(msgspec.Struct, frozen=True, kw_only=True):
    """What one tick hands to the next."""

    flow: toxicity.FlowState
    defence: defence.DefenceState
    ages: staleness.AgeState


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """The factors of a tick, the flow behind them, and the numbers worth storing beside them."""

    signals: chain.Signals
    flow: toxicity.Flow
    notes: chain.Factors


def start(config: StrategyConfig) -> SignalState:
    """Return the state before the first ledger."""
    return SignalState(
        flow=toxicity.START, defence=defence.start(config.defence_halflife_ticks), ages=staleness.START
    )


def heard(state: SignalState, fills: Sequence[Fill]) -> SignalState:
    """Return the state with our own fills taken in."""
    return replace(state, defence=defence.heard(state.defence, fills)) if fills else state


def observe(
    state: SignalState, snapshot: MarketSnapshot, mid: Decimal, elapsed: int | None, config: StrategyConfig
) -> SignalState:
    """Return the state after a believed ledger; elapsed: ledgers since the one before, None for the first."""
    ledger, pool = snapshot.ledger_index, snapshot.pool
    has_pool = pool is not None and not is_empty_pool(pool)
    return SignalState(
        flow=toxicity.observe(state.flow, ledger, mid, snapshot.trades, config),
        defence=defence.observe(state.defence, ledger, mid, elapsed=elapsed or 1, config=config),
        ages=staleness.observe(state.ages, ledger, elapsed=elapsed, has_pool=has_pool),
    )


def read(
    state: SignalState,
    ledger_index: int,
    imbalance: Decimal,
    config: StrategyConfig,
    *,
    reference_age: int | None,
    warm: tuple[bool, bool],
) -> Reading:
    """Return the factors now. imbalance: of the inventory, -1 to +1. warm: volatility, intensity."""
    flow = toxicity.measured(state.flow, config)
    toxic = toxicity.factor(
        flow,
        flow_from=config.toxicity_flow_from,
        markout=(config.toxicity_markout_from_bps, config.toxicity_markout_full_bps),
        most=config.toxicity_factor_max,
    )
    known = (warm[0], flow.share is not None, warm[1])
    ages = staleness.ages(state.ages, ledger_index, reference_age, warm=known)
    stale = ONE
    if ages:
        stale = staleness.factor(
            ages,
            fresh=config.staleness_from_ticks,
            full=config.staleness_full_ticks,
            most=config.staleness_factor_max,
        )
    unproven = state.defence.judged < config.model_min_fills
    signals = chain.Signals(
        toxicity=toxic,
        defence=ONE + state.defence.excess,
        staleness=stale,
        model=config.model_gating_factor if unproven else ONE,
        inventory=chain.rise(abs(imbalance), config.inventory_factor_from, ONE, config.inventory_factor_max),
    )
    notes: chain.Factors = ()
    if toxic > ONE:
        notes += _flow_notes(flow)
    if stale > ONE:
        notes += tuple((f"{name}_age_ticks", Decimal(age)) for name, age in ages)
    return Reading(signals=signals, flow=flow, notes=notes)


def _flow_notes(flow: toxicity.Flow) -> chain.Factors:
    """Return the flow as signed numbers: imbalance above 0 is buying."""
    notes: chain.Factors = ()
    if flow.share is not None:
        notes += (("flow_imbalance", flow.share if flow.buys else -flow.share),)
    if flow.markout_bps is not None:
        notes += (("taker_markout_bps", flow.markout_bps),)
    return notes


def startup_factors(config: Config) -> dict[str, Decimal]:
    """Return the factors of a session that knows nothing yet, with full headroom and an even inventory."""
    strategy = config.strategy
    reading = read(start(strategy), 0, ZERO, strategy, reference_age=None, warm=(False, False))
    base = chain.Base(
        half_spread_bps=strategy.base_offset_bps,
        volatility=ONE,
        range=ONE,
        min_bps=strategy.half_spread_min_bps,
        max_bps=strategy.half_spread_max_bps,
    )
    allowed = quota(WHOLE, strategy.ladder_levels)
    return dict(chain.compose(base, reading.signals, (), strategy, quota=allowed).factors)


def startup_multiplier(config: Config) -> Decimal:
    """Return by what a session that knows nothing yet multiplies its base."""
    return startup_factors(config)[chain.MULTIPLIER]
