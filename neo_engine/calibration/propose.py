"""From the fit to settings: offset, ladder and size for a target, and the difference to a configuration file.

    offset   the largest that reaches the target (calibration/offset.py)
    step     ln 2 / k: each level is filled half as often as the one before it
    levels   as many as the lower end of the band still fills once an hour, at most LEVELS_MAX and half of
             risk.max_open_orders
    size     room / (2 sqrt(n)), n the fills of all levels in a quarter of an hour, the time that the
             inventory skew is given to pull back: fills on either side with equal chance let the holdings
             walk by size x sqrt(n), and twice that shall stay within the room between target and soft
             limit; at most risk.max_order_rlusd and what the levels of one side can be paid with

Nothing is written but the difference; a person reads it and applies it.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

import msgspec

from neo_engine.calibration.adverse import Adverse, at_distance
from neo_engine.calibration.evidence import Evidence
from neo_engine.calibration.hazard import Calibrated
from neo_engine.calibration.offset import (
    LEDGERS_AN_HOUR,
    Step,
    Target,
    fills_an_hour,
    offset_for,
    share_within,
)
from neo_engine.config import Config, parse_config
from neo_engine.domain.number import plain

LEVELS_MAX = 4  # of a proposal; more levels lock more reserve than hundreds of XRP can spare
LEVEL_FILLS_AN_HOUR = 1.0
SKEW_HOURS = 0.25
STEP_QUANTUM, SIZE_QUANTUM = Decimal("0.5"), Decimal("0.5")
STEP_MIN, STEP_MAX = Decimal(1), Decimal(50)
GLFT_FLOOR = "glft.half_spread_min_bps"
_PLACES = {
    "base_offset_bps": ("strategy", "base_offset_bps"),
    "ladder_levels": ("strategy", "ladder_levels"),
    "ladder_step_bps": ("strategy", "ladder_step_bps"),
    "base_size_rlusd": ("order_size", "base_size_rlusd"),
    GLFT_FLOOR: ("strategy", "glft", "half_spread_min_bps"),
}


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """Settings as text, by key, and what to expect of them. notes: what to know before using them."""

    settings: Mapping[str, str]
    share_now: float
    share: float | None
    fills_an_hour_now: float
    fills_an_hour: float | None
    typical_distance: float | None
    markout_bps: float | None
    notes: tuple[str, ...]


def _down(value: float, quantum: Decimal) -> Decimal:
    return Decimal(math.floor(Decimal(repr(value)) / quantum)) * quantum


def ladder(calibrated: Calibrated, distance: float, config: Config) -> tuple[int, Decimal]:
    """Return levels and step for a first level at this distance."""
    half = math.log(2) / calibrated.fit.k
    step = min(max(_down(half, STEP_QUANTUM), STEP_MIN), STEP_MAX)
    most = min(LEVELS_MAX, config.risk.max_open_orders // 2)
    levels = 1
    while levels < most:
        low = calibrated.band(distance + levels * float(step)).low
        if -math.expm1(-low) * 2 * LEDGERS_AN_HOUR < LEVEL_FILLS_AN_HOUR:
            break
        levels += 1
    return levels, step


def size(config: Config, *, value_rlusd: float, mid: float, fills: float, levels: int) -> Decimal:
    """Return the size of the first level in RLUSD, rounded down; zero when there is no room."""
    share, soft = float(config.inventory.target_xrp_share), float(config.inventory.soft_limit_share)
    held_xrp, held_rlusd = share * value_rlusd, (1 - share) * value_rlusd
    room = min(
        soft * float(config.risk.max_xrp_exposure) * mid - held_xrp,
        soft * float(config.risk.max_rlusd_exposure) - held_rlusd,
        held_xrp,
        held_rlusd,
    )
    walk = room / (2 * math.sqrt(max(fills * SKEW_HOURS, 1.0)))
    paid = min(held_xrp, held_rlusd) / levels
    return _down(max(0.0, min(walk, paid, float(config.risk.max_order_rlusd))), SIZE_QUANTUM)


def nearest_seen(evidence: Evidence) -> float:
    """Return the nearest distance that the data say something about."""
    return 0.0 if evidence.reaches else min(look.distance for look in evidence.looks)


def ladder_and_size(
    evidence: Evidence,
    calibrated: Calibrated,
    distance: float,
    fills: Callable[[float], float],
    config: Config,
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return levels, step and size for a first level at `distance` as settings, and notes.

    fills: the fills an hour of a level so many bps behind the first.
    """
    levels, step_bps = ladder(calibrated, distance, config)
    mid, value = evidence.ledgers[-1].mid, evidence.value_rlusd
    if value is None:
        value = float(config.paper.start_xrp) * mid + float(config.paper.start_rlusd)
    all_fills = sum(fills(level * float(step_bps)) for level in range(levels))
    amount = size(config, value_rlusd=value, mid=mid, fills=all_fills, levels=levels)
    settings = {"ladder_levels": str(levels), "ladder_step_bps": plain(step_bps)}
    if amount >= config.order_size.min_notional_rlusd:
        return {**settings, "base_size_rlusd": plain(amount)}, ()
    return settings, (
        f"size: {amount} RLUSD would keep the holdings of that many fills within the limits, less than "
        "order_size.min_notional_rlusd; the size stays, so look at the limits",
    )


def propose(
    evidence: Evidence,
    calibrated: Calibrated,
    rows: tuple[Adverse, ...],
    found: Sequence[Step],
    target: Target,
    *,
    config: Config,
) -> Proposal:
    """Return the settings for a target; none when it cannot be reached, with the reason in the notes."""
    fit, nearest = calibrated.fit, nearest_seen(evidence)
    now = float(config.strategy.base_offset_bps)
    share_now, fills_now = (
        share_within(found, now, target.within_bps),
        fills_an_hour(found, now, fit, nearest),
    )
    offset = offset_for(found, target, fit, nearest)
    if offset is None:
        best = share_within(found, 0.0, target.within_bps)
        return Proposal(
            settings={},
            share_now=share_now,
            share=None,
            fills_an_hour_now=fills_now,
            fills_an_hour=None,
            typical_distance=None,
            markout_bps=None,
            notes=(
                f"no offset reaches the target: with none at all {best:.1%} of ticks are within "
                f"{target.within_bps:g} bps, and {fills_an_hour(found, 0.0, fit, nearest):.1f} fills an hour "
                "are expected (strategy.half_spread_min_bps holds quotes out)",
            ),
        )
    distances = sorted(step.behind(offset) for step in found)
    typical = distances[len(distances) // 2]
    settings, lacking = ladder_and_size(
        evidence,
        calibrated,
        max(typical, nearest),
        lambda behind: fills_an_hour(found, offset + behind, fit, nearest),
        config,
    )
    near = at_distance(rows, typical)
    return Proposal(
        settings={"base_offset_bps": plain(Decimal(repr(offset))), **settings},
        share_now=share_now,
        share=share_within(found, offset, target.within_bps),
        fills_an_hour_now=fills_now,
        fills_an_hour=fills_an_hour(found, offset, fit, nearest),
        typical_distance=typical,
        markout_bps=None if near is None else near.markout.mean,
        notes=(*warnings(distances, typical, nearest, rows, fit_k=fit.k), *lacking),
    )


def warnings(
    distances: Sequence[float], typical: float, nearest: float, rows: tuple[Adverse, ...], *, fit_k: float
) -> tuple[str, ...]:
    """Return what to know of quotes at these distances before using them, in sentences."""
    notes: tuple[str, ...] = ()
    nearer = sum(distance < nearest for distance in distances) / len(distances)
    if nearer > 0.5:
        notes += (
            f"{nearer:.0%} of these quotes stand nearer than any distance in the data ({nearest:.1f} bps "
            "behind the touch); their fills are counted as at that distance, so expect more",
        )
    row = at_distance(rows, typical)
    if row is None or row.markout.interval is None or row.markout.mean is None:
        notes += ("too few fills have a later mid to say what they are worth",)
    elif row.markout.interval.high < 0:
        notes += (
            f"fills near this distance lost {-row.markout.mean:.2f} bps each (95 % of the mean markout: "
            f"{row.markout.interval.low:.2f} to {row.markout.interval.high:.2f}): the target costs money, so "
            "quote wider",
        )
    elif row.markout.interval.low < 0:
        notes += (
            "whether fills near this distance gain or lose cannot be told from these data (the interval "
            "holds zero)",
        )
    if fit_k <= 0:
        notes += ("fills do not fall with distance in these data, so the ladder's step is a guess",)
    return notes


def changed_text(text: str, settings: Mapping[str, str]) -> str:
    """Return the configuration's text with these settings; comments and all else stay.

    Raises ConfigError when the changed text is no valid configuration, ValueError when a key is not there.
    """
    lines, sections = text.splitlines(keepends=True), [""]
    left = {_PLACES[key]: value for key, value in settings.items()}
    for place, line in enumerate(lines):
        head = re.match(r"((?:  )*)(\w+): *(#|$)", line)
        if head:
            sections = [*sections[: len(head[1]) // 2], head[2]]
        found = re.match(r"((  )+(\w+): *)([^\s#]+)(.*)", line, re.DOTALL)
        depth = 0 if found is None else (len(found[1]) - len(found[1].lstrip())) // 2
        key = () if found is None else (*sections[:depth], found[3])
        if found and key in left:
            value, rest = left.pop(key), found[5]
            gap = len(found[4]) - len(value)
            if gap > 0:
                rest = " " * gap + rest
            elif gap < 0 and rest.startswith(" " * (1 - gap)):
                rest = rest[-gap:]  # the comment stays in its column
            lines[place] = f"{found[1]}{value}{rest}"
    if left:
        names = sorted(".".join(key) for key in left)
        raise ValueError(f"the configuration has no {', '.join(names)} in its place")
    changed = "".join(lines)
    parse_config(changed, "the proposed configuration")
    return changed


def difference(name: str, text: str, settings: Mapping[str, str]) -> str:
    """Return the unified diff of a configuration file; empty when nothing changes."""
    values = {key: value for key, value in settings.items() if not _equal(text, key, value)}
    changed = changed_text(text, values)
    parts = difflib.unified_diff(text.splitlines(True), changed.splitlines(True), f"a/{name}", f"b/{name}")
    return "".join(parts)


def _equal(text: str, key: str, value: str) -> bool:
    """Return whether the file has this value already, however it is written."""
    content = parse_config(text, "the configuration").model_dump(mode="json")
    for name in _PLACES[key]:
        content = content[name]
    return Decimal(str(content)) == Decimal(value)
