"""The whole calibration of one evidence, as one value."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from neo_engine.calibration.adverse import Adverse, Hour, adverse, clock
from neo_engine.calibration.check import FIT_P_MIN, Outside, Shape, missing, out_of_sample, shape
from neo_engine.calibration.evidence import Evidence
from neo_engine.calibration.glft import glft_steps, propose_glft
from neo_engine.calibration.hazard import Calibrated, Interval, by_blocks, calibrate
from neo_engine.calibration.offset import Target, steps
from neo_engine.calibration.propose import Proposal, nearest_seen, propose
from neo_engine.config import Config

BAND_BPS = (0.0, 1.0, 2.0, 5.0, 10.0)  # distances at which the curve is told


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """lambda and its 95 % interval at a distance, fills a ledger and side."""

    distance: float
    rate: float
    interval: Interval


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """The fit as told. a, k: with intervals that hold together at 95 %; points: each at 95 %."""

    a: float
    a_interval: Interval
    k: float
    k_interval: Interval
    points: tuple[Point, ...]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """enough: there was enough data for a fit; missing says what was not. diff: of the configuration file.

    share_seen: of the looks, those within the target's bps, with the settings the sessions had.
    """

    sources: tuple[str, ...]
    kind: str
    ledgers: int
    skipped: int
    observations: int
    hits: int
    enough: bool
    missing: tuple[str, ...]
    target: str
    share_seen: float | None
    curve: Curve | None
    shape: Shape | None
    adverse: tuple[Adverse, ...]
    clock: tuple[Hour, ...]
    outside: Outside | None
    proposal: Proposal | None
    cautions: tuple[str, ...]
    diff: str = ""


def _curve(calibrated: Calibrated) -> Curve:
    fit = calibrated.fit
    points = tuple(Point(distance=one, rate=fit.rate(one), interval=calibrated.band(one)) for one in BAND_BPS)
    return Curve(a=fit.a, a_interval=calibrated.a, k=fit.k, k_interval=calibrated.k, points=points)


def _cautions(fits: Shape, outside: Outside | None, target: Target) -> tuple[str, ...]:
    found: tuple[str, ...] = ()
    if fits.p is not None and fits.p < FIT_P_MIN:
        found += (
            "an exponential does not fit these fills (chance of a worse fit "
            f"{fits.p:.4f}): read the seen column, and take fills an hour as rough",
        )
    if outside is None:
        found += ("the first part or the rest has too little for an out-of-sample check",)
    elif not outside.holds:
        found += (
            f"the fit does not hold out of sample, {outside.predicted:.0f} predicted, {outside.test_hits} "
            "seen: "
            "the market changed within these data",
        )
    share = None if outside is None else outside.share
    if share is not None and target.share is not None and abs(share - target.share) > target.share / 2:
        found += (
            f"the offset of the first part gave {share:.1%} on the rest, not {target.share:.1%}: "
            "spreads changed within these data",
        )
    return found


def calibration(evidence: Evidence, target: Target, config: Config) -> Result:
    """Return everything that the evidence tells; without enough of it no curve and no proposal."""
    blocks = by_blocks(evidence)
    lacking = missing(evidence, blocks)
    calibrated = None if lacking else calibrate(blocks)
    if not lacking and calibrated is None:
        lacking = ("how fills fall with distance cannot be found: too few fills away from one distance",)
    elif calibrated is not None and not calibrated.k.low > 0:
        lacking = (
            f"k could be zero or less (interval {calibrated.k.low:.3f} to {calibrated.k.high:.3f} per bps): "
            "whether fills fall with distance cannot be told yet",
        )
    near = [look.distance <= target.within_bps for look in evidence.looks]
    rows, hours = adverse(evidence), clock(evidence)
    curve = fits = outside = proposal = None
    cautions: tuple[str, ...] = ()
    if calibrated is not None and not lacking:
        is_glft = config.strategy.model == "glft"
        found = glft_steps(evidence, config, calibrated.fit) if is_glft else steps(evidence, config)
        nearest = nearest_seen(evidence)
        fits = shape(blocks, calibrated, reaches=bool(evidence.reaches))
        outside = out_of_sample(evidence, found, target, nearest)
        if is_glft:  # no offset is chosen
            outside = None if outside is None else replace(outside, offset=None, share=None)
            proposal = propose_glft(evidence, calibrated, rows, found, target, config=config)
        else:
            proposal = propose(evidence, calibrated, rows, found, target, config=config)
        cautions = _cautions(fits, outside, target)
        curve = _curve(calibrated)
    return Result(
        sources=evidence.names,
        kind="recordings" if evidence.reaches else "sessions",
        ledgers=len(evidence.ledgers),
        skipped=evidence.skipped,
        observations=len(evidence.looks) + len(evidence.reaches),
        hits=evidence.hits,
        enough=not lacking,
        missing=lacking,
        target=target.text,
        share_seen=sum(near) / len(near) if near else None,
        curve=curve,
        shape=fits,
        adverse=rows,
        clock=hours,
        outside=outside,
        proposal=proposal,
        cautions=cautions,
    )
