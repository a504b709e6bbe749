"""What calibration proposes for the glft model: the closed form of the fit, the floor, what it leaves."""

from __future__ import annotations

import math
from decimal import Decimal as D
from pathlib import Path

import pytest
from msgspec.structs import replace

from neo_engine.calibration.adverse import Adverse, Mean, adverse
from neo_engine.calibration.evidence import Evidence, LedgerView
from neo_engine.calibration.glft import glft_steps, intensity_of, propose_glft
from neo_engine.calibration.hazard import Calibrated, Fit, Interval, by_blocks, calibrate
from neo_engine.calibration.offset import read_target
from neo_engine.calibration.propose import GLFT_FLOOR, Proposal, changed_text, difference
from neo_engine.config import Config, load_config, parse_config
from tools.check_calibration import as_trades, simulate, truth_of

TARGET = read_target("30% of ticks within 2 bps")
Market = tuple[Config, Evidence, Calibrated]
FIT = Fit(log_a=math.log(0.4), k=0.2, log_likelihood=0.0, covariance=(0.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def config(root: Path) -> Config:
    return load_config(root / "config" / "paper.yaml")


@pytest.fixture(scope="module")
def plain_market(config: Config) -> Market:
    market = as_trades(simulate(truth_of(3), 1200))
    found = calibrate(by_blocks(market), resamples=100)
    assert found is not None
    return config, market, found


def still(half: float) -> Evidence:
    """Forty ledgers of a market at 2 that does not move; half: of its spread, in RLUSD."""
    return Evidence(
        names=("here",),
        ledgers=tuple(
            LedgerView(source=1, index=index, second=4 * index, bid=2 - half, ask=2 + half)
            for index in range(40)
        ),
        looks=(),
        reaches=(),
        skipped=0,
        value_rlusd=None,
    )


def test_the_intensity_is_moved_from_the_touch_to_the_mid() -> None:
    found = intensity_of(still(0.001), FIT)  # the touch is 5 bps from the mid
    assert float(found.a) == pytest.approx(0.4 * math.exp(0.2 * 5))
    assert found.k == D("0.2")


def test_a_k_beyond_the_models_limits_is_held_within_them() -> None:
    assert intensity_of(still(0.0), replace(FIT, k=20.0)).k == D(10)
    assert intensity_of(still(0.0), replace(FIT, k=0.0001)).k == D("0.001")


def test_in_a_market_at_rest_the_half_spread_is_the_closed_form_and_the_fee(config: Config) -> None:
    """Without volatility 1/gamma ln(1 + gamma/k), gamma = 0.5 x 15 / 10000; 10 drops at 2 of 15 RLUSD."""
    found = glft_steps(still(0.001), config, FIT)
    closed = math.log(1 + 0.00075 / 0.2) / 0.00075
    expected = closed + 10e-6 * 2 / 15 * 10_000
    assert [step.added for step in found] == pytest.approx([expected] * len(found), abs=1e-9)
    assert len(found) == 2 * (39 - (config.strategy.warmup_ticks - 1))
    # From 2 down by the half-spread, against the best bid 1.999, in bps of that.
    behind = (1.999 - 2 * (1 - found[0].added / 10_000)) / 1.999 * 10_000
    assert found[0].behind(0.0) == pytest.approx(behind)


def test_the_models_own_limits_hold(config: Config) -> None:
    wide = replace(FIT, k=0.002)  # 1/k is 500 bps
    assert {step.added for step in glft_steps(still(0.001), config, wide)} == {60.0}
    narrow = replace(FIT, k=5.0)  # 0.2 bps
    assert {step.added for step in glft_steps(still(0.001), config, narrow)} == {1.5}


def row(against: float | None) -> Adverse:
    interval = None if against is None else Interval(low=against - 1, high=against + 1)
    mean = Mean(count=50, mean=against, interval=interval)
    return Adverse(low=0.0, high=0.0, against=mean, markout=mean)


def proposed(market: Market, rows: tuple[Adverse, ...]) -> Proposal:
    config, seen, calibrated = market
    found = glft_steps(seen, config, calibrated.fit)
    return propose_glft(seen, calibrated, rows, found, TARGET, config=config)


@pytest.mark.parametrize(
    ("against", "floor", "says"),
    [
        (1.41, None, "no more than it"),  # 1.5 now, rounded up it is the same
        (1.5, None, "no more than it"),
        (1.51, "1.6", "is raised"),
        (-3.0, None, "no more than it"),
        (60.0, "60", "is raised"),
        (60.01, None, "more than glft.half_spread_max_bps"),
        (None, None, "too few fills"),
    ],
)
def test_the_floor_is_raised_to_what_fills_lose_and_never_lowered(
    plain_market: Market, against: float | None, floor: str | None, says: str
) -> None:
    proposal = proposed(plain_market, (row(against),))
    assert proposal.settings.get(GLFT_FLOOR) == floor
    (told,) = [note for note in proposal.notes if note.startswith(GLFT_FLOOR)]
    assert says in told


def test_a_proposal_is_a_valid_difference_and_of_the_nested_key_alone(
    plain_market: Market, root: Path
) -> None:
    config, market, _ = plain_market
    whole = (root / "config" / "paper.yaml").read_text(encoding="utf-8")
    text = whole.replace("model: offset", "model: glft")
    settings = {**proposed(plain_market, adverse(market)).settings, GLFT_FLOOR: "2.5"}
    then = parse_config(changed_text(text, settings), "changed")
    assert then.strategy.glft.half_spread_min_bps == D("2.5")
    assert then.strategy.half_spread_min_bps == config.strategy.half_spread_min_bps
    assert then.strategy.ladder_step_bps == D(settings["ladder_step_bps"])
    diff = difference("config/paper.yaml", text, {GLFT_FLOOR: "2.5"})
    changed = [line for line in diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    assert changed == [
        "-    half_spread_min_bps: 1.5         # the model's half-spread stays within ...",
        "+    half_spread_min_bps: 2.5         # the model's half-spread stays within ...",
    ]


def test_the_risk_aversion_note_tells_how_far_it_moves_the_half_spread(plain_market: Market) -> None:
    config, market, calibrated = plain_market
    notes = proposed(plain_market, adverse(market)).notes
    (told,) = [note for note in notes if "risk_aversion" in note]
    for aversion in ("0.05", "5", "0.5"):
        halves = sorted(step.added for step in glft_steps(market, config, calibrated.fit, D(aversion)))
        assert f"{halves[len(halves) // 2]:.2f}" in told
