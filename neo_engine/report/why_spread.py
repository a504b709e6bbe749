"""The spread step: the stored factors of a tick against the configured base.

Half-spread = base x multiplier + added bps, within half_spread_min_bps ... max_bps (strategy/chain.py). The
base of the offset model is base_offset_bps; that of GLFT is computed, so there the half-spread is only held
against its two limits.
"""

from __future__ import annotations

from decimal import Decimal

from neo_engine.domain.number import NEAREST, ONE, plain
from neo_engine.domain.records import MULTIPLIERS
from neo_engine.report.why_rows import Session, Tick
from neo_engine.report.why_steps import NOT_REACHED, OK, WIDENED, Fact, Step
from neo_engine.report.why_table import SPREAD
from neo_engine.strategy import chain
from neo_engine.strategy.signals import KEYS

#: Below this ratio to the base a spread counts as the base's own: the network fee always adds a trifle.
WIDE_RATIO = Decimal("1.01")
IMBALANCE = "imbalance"  # moves the reservation price, not the spread
CLAMP = "TouchClamp"  # moved out to stay clear of the opposite touch, in bps, one for each side
#: Stored beside the factors and no cause by themselves: products, inputs, counts.
_INPUTS = frozenset(
    (
        *(chain.PRODUCT, chain.MULTIPLIER, IMBALANCE, "quota_headroom_pct", "quota_levels"),
        *("flow_imbalance", "taker_markout_bps"),  # behind toxicity
        *("intensity_a", "intensity_k_raw", "intensity_k", "inventory_orders", "width_bps"),  # of glft
    )
)
_TENTH, _HUNDREDTH = Decimal("0.1"), Decimal("0.01")
_AGE = "_age_ticks"  # of a signal, behind staleness
_CAPS = {**KEYS, chain.MULTIPLIER: "strategy.max_composed_spread_mult"}
_SIGNALS = {"volatility": "strategy.volatility_reference_bps", "range": "strategy.atr_reference_bps"}


def shown(value: Decimal) -> str:
    """Return a number for people: two decimals at most, rounded NEAREST."""
    return plain(value.quantize(_HUNDREDTH, NEAREST))


def _ratio(session: Session, half: Decimal) -> Decimal | None:
    """Return the half-spread over the configured base; None where there is no base."""
    base = session.number("strategy.base_offset_bps")
    return half / base if base and session.setting("strategy.model") == "offset" else None


def wide_from(session: Session) -> Decimal | None:
    """Return the half-spread in bps from which on it counts as wide; None where there is no base."""
    base = session.number("strategy.base_offset_bps")
    return base * WIDE_RATIO if base and session.setting("strategy.model") == "offset" else None


def _is_input(name: str) -> bool:
    return name in _INPUTS or name.endswith(_AGE)


def is_multiplier(name: str) -> bool:
    """True for a stored factor that multiplies the half-spread, by its whole name."""
    return name in MULTIPLIERS or not (_is_input(name) or name.endswith("_bps") or name.startswith(CLAMP))


def composed(session: Session, tick: Tick) -> Step:
    """Return the spread step of a tick."""
    half = tick.half_spread_bps
    if half is None:
        return Step(name=SPREAD, outcome=NOT_REACHED, text="no price was computed in this tick")
    facts = (_half_fact(session, half), *_factor_facts(session, tick))
    ratio = _ratio(session, half)
    weights = {name: _weight(session, name, value) for name, value in tick.factors if not _is_input(name)}
    wide = {name: weight for name, weight in weights.items() if weight >= WIDE_RATIO - ONE}
    causes = ", ".join(_told(name, value) for name, value in tick.factors if name in wide)
    size = f"{shown(half)} bps to each side"
    clamped = any(name.startswith(CLAMP) for name in wide)
    if ratio is None:
        widened, text = bool(wide), size
    else:
        widened = ratio >= WIDE_RATIO or clamped
        text = f"{ratio.quantize(_TENTH, NEAREST):f} x its base" if widened else f"at its base, {size}"
    text += (f": {causes}" if widened and causes else "") + _limit(session, half)
    if not widened:
        return Step(name=SPREAD, outcome=OK, text=text, facts=facts)
    return Step(
        name=SPREAD,
        outcome=WIDENED,
        text=text,
        facts=facts,
        advice="nothing: it narrows as its causes pass; docs/strategy.md tells every factor",
        cause=max(wide, key=lambda name: wide[name], default=None),
    )


def _told(name: str, value: Decimal) -> str:
    unit = "" if is_multiplier(name) else " bps"
    return f"{name.removesuffix('_bps')} {shown(value)}{unit}"


def _weight(session: Session, name: str, value: Decimal) -> Decimal:
    """Return by what share of the base a factor widens, so that factors and bps compare."""
    if is_multiplier(name):
        return value - ONE
    base = session.number("strategy.base_offset_bps")
    return value / base if base else value


def _limit(session: Session, half: Decimal) -> str:
    """Return the words for a half-spread that stands at one of its limits."""
    section = "strategy.glft" if session.setting("strategy.model") == "glft" else "strategy"
    for end in ("min", "max"):
        key = f"{section}.half_spread_{end}_bps"
        if session.number(key) == half:
            return f", held at {key} {plain(half)}"
    return ""


def _half_fact(session: Session, half: Decimal) -> Fact:
    keys = ["strategy.base_offset_bps", "strategy.half_spread_min_bps", "strategy.half_spread_max_bps"]
    if session.setting("strategy.model") == "glft":
        keys = ["strategy.glft.half_spread_min_bps", "strategy.glft.half_spread_max_bps"]
    return Fact(name="half-spread", value=f"{plain(half)} bps", settings=_values(session, *keys))


def _values(session: Session, *keys: str) -> tuple[tuple[str, str], ...]:
    found = ((key, session.setting(key)) for key in keys)
    return tuple((key, value) for key, value in found if value is not None)


def _factor_facts(session: Session, tick: Tick) -> list[Fact]:
    facts = []
    measured = {"volatility": tick.volatility_bps, "range": tick.atr_bps}
    for name, value in tick.factors:
        signal = measured.get(name)
        seen = f" from {plain(signal)} bps a tick" if signal is not None else ""
        cap = _CAPS.get(name)
        capped = cap is not None and name != chain.MODEL and session.number(cap) == value
        unit = " bps" if name.endswith("_bps") or name.startswith(CLAMP) else ""
        keys = [key for key in (_SIGNALS.get(name), cap) if key is not None]
        facts.append(
            Fact(
                name=name,
                value=f"{plain(value)}{unit}{seen}" + (", at its cap" if capped else ""),
                settings=_values(session, *keys),
            )
        )
    if tick.anchor_source is not None:
        far = (
            "" if tick.divergence_bps is None else f", the pool {plain(tick.divergence_bps)} bps from the mid"
        )
        held = ", held to its limit" if tick.anchor_clamped else ""
        facts.append(Fact(name="anchor", value=f"{tick.anchor_source}{far}{held}"))
    return facts
