"""What the data say about a configuration of the model `glft`, and what may soundly be proposed for it.

The model has no offset. Its half-spread is the closed form of strategy/glft.py, from A and k that it learns
while it runs, the volatility, and gamma. Here the same form is worked out for every ledger, with A and k of
the fit: those are counted from the touch, the model's from the mid, so with h the mean half-spread of the
book

    k the same,   A at the mid = A exp(k h)

Proposed are:

    ladder, size             as for the offset model (propose.py), from the fit and the first level
    glft.half_spread_min_bps raised to what the mid moves against fills there, where that is more: nearer than
                             that a fill loses; never lowered

Not proposed, with the reason in a note: glft.risk_aversion, since 1/k and not gamma makes the half-spread
(the note says how far it moves it); glft.half_spread_max_bps, since it would hold the target only by
holding every widening factor too; glft.intensity_window_ticks and intensity_min_trades, of which these data
say nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal, localcontext

from neo_engine.calibration.adverse import Adverse, at_distance
from neo_engine.calibration.evidence import BPS, Evidence
from neo_engine.calibration.hazard import Calibrated, Fit
from neo_engine.calibration.offset import (
    FEE_DROPS,
    Step,
    Target,
    both_sides,
    decided_on,
    fills_an_hour,
    share_within,
)
from neo_engine.calibration.propose import GLFT_FLOOR, Proposal, ladder_and_size, nearest_seen, warnings
from neo_engine.config import Config
from neo_engine.domain.headroom import WHOLE, quota
from neo_engine.domain.number import WORK, ZERO, plain
from neo_engine.strategy import glft, spread
from neo_engine.strategy.intensity import K_MAX, K_MIN, EffectiveIntensity

FLOOR_QUANTUM = 0.1
AVERSIONS = (Decimal("0.1"), Decimal(10))  # times the configured one: how far a note looks


def intensity_of(evidence: Evidence, fit: Fit) -> EffectiveIntensity:
    """Return the fit as the model counts: from the mid, k within the model's limits."""
    half = sum((view.ask - view.bid) / view.mid for view in evidence.ledgers) / len(evidence.ledgers) / 2
    k = min(max(Decimal(repr(fit.k)), K_MIN), K_MAX)
    return EffectiveIntensity(a=Decimal(repr(fit.a * math.exp(fit.k * half * BPS))), k=k)


def glft_steps(
    evidence: Evidence, config: Config, fit: Fit, aversion: Decimal | None = None
) -> tuple[Step, ...]:
    """Return both sides of every ledger that has a next one; offset 0 is the model's own half-spread.

    aversion: in place of `strategy.glft.risk_aversion`. Without gates, skew and the factors of what happened.
    """
    found: list[Step] = []
    strategy = config.strategy
    with localcontext(WORK):
        risk = strategy.glft.risk_aversion if aversion is None else aversion
        gamma = glft.gamma_per_bps(risk, config.order_size.base_size_rlusd)
        curve = glft.solve(intensity_of(evidence, fit), gamma)
        allowed = quota(WHOLE, strategy.ladder_levels)
        for place, mid, state in decided_on(evidence, strategy):
            if state.volatility_bps is None:
                continue
            terms = spread.cost_terms(mid, FEE_DROPS, spread.NO_TRANSFER_FEE, config.order_size)
            made, _ = glft.glft_spread(curve, state.volatility_bps, ZERO, terms, strategy, quota=allowed)
            # The model's own limits are in the half-spread already.
            found += both_sides(
                evidence,
                place,
                multiplier=1.0,
                added=float(made.half_spread_bps),
                least=0.0,
                most=math.inf,
            )
    return tuple(found)


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def _floor(rows: tuple[Adverse, ...], typical: float, config: Config) -> tuple[dict[str, str], str]:
    """Return the raised floor as a setting, if it has to be raised, and a sentence about it."""
    row, limits = at_distance(rows, typical), config.strategy.glft
    if row is None or row.against.mean is None:
        return {}, f"{GLFT_FLOOR} stays: too few fills have a later mid to say what they lose"
    told = f"the mid moved {row.against.mean:.2f} bps against fills near these quotes"
    wanted = math.ceil(row.against.mean / FLOOR_QUANTUM) * FLOOR_QUANTUM
    if wanted <= limits.half_spread_min_bps:
        return {}, f"{GLFT_FLOOR} stays: {told}, no more than it"
    if wanted > limits.half_spread_max_bps:
        return {}, f"{GLFT_FLOOR} stays: {told}, more than glft.half_spread_max_bps lets it earn"
    return {GLFT_FLOOR: plain(Decimal(f"{wanted:.1f}"))}, f"{GLFT_FLOOR} is raised: {told}"


def _kept(evidence: Evidence, config: Config, fit: Fit, half: float) -> str:
    ends = [
        _median(
            [
                step.added
                for step in glft_steps(evidence, config, fit, config.strategy.glft.risk_aversion * one)
            ]
        )
        for one in AVERSIONS
    ]
    return (
        f"glft.risk_aversion stays: with A and k of these data a tenth of it makes the median half-spread "
        f"{ends[0]:.2f} bps and ten times {ends[1]:.2f}, from {half:.2f} now"
    )


def propose_glft(
    evidence: Evidence,
    calibrated: Calibrated,
    rows: tuple[Adverse, ...],
    found: Sequence[Step],
    target: Target,
    *,
    config: Config,
) -> Proposal:
    """Return ladder, size and floor; found: of `glft_steps`. The target is compared with, not sought."""
    fit, nearest = calibrated.fit, nearest_seen(evidence)
    distances = [step.behind(0.0) for step in found]
    typical, half = _median(distances), _median([step.added for step in found])
    settings, lacking = ladder_and_size(
        evidence,
        calibrated,
        max(typical, nearest),
        lambda behind: fills_an_hour(found, behind, fit, nearest),
        config,
    )
    floor, said = _floor(rows, typical, config)
    near = at_distance(rows, typical)
    return Proposal(
        settings={**settings, **floor},
        share_now=share_within(found, 0.0, target.within_bps),
        share=None,
        fills_an_hour_now=fills_an_hour(found, 0.0, fit, nearest),
        fills_an_hour=None,
        typical_distance=typical,
        markout_bps=None if near is None else near.markout.mean,
        notes=(
            "strategy.model is glft: it learns A and k by itself and has no offset, so the target is "
            "compared with, not sought; glft.half_spread_max_bps would force it, and hold every widening "
            "factor too",
            _kept(evidence, config, fit, half),
            said,
            *warnings(distances, typical, nearest, rows, fit_k=fit.k),
            *lacking,
        ),
    )
