"""What calibration reads, tells and proposes: numbers by hand, and the answer when there is not enough."""

from __future__ import annotations

import math
import random
import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from neo_engine.calibration.adverse import adverse, clock, clustered
from neo_engine.calibration.check import missing, out_of_sample, shape
from neo_engine.calibration.evidence import ASK, BID, Evidence, LedgerView, Look, Reach, later
from neo_engine.calibration.hazard import Fit, by_blocks, calibrate
from neo_engine.calibration.observe import of_recordings, of_sessions, reaches_of
from neo_engine.calibration.offset import (
    Step,
    fills_an_hour,
    offset_for,
    read_target,
    share_within,
    steps,
)
from neo_engine.calibration.propose import changed_text, difference, propose, size
from neo_engine.calibration.result import Result, calibration
from neo_engine.config import Config, load_config, parse_config
from neo_engine.domain.errors import ConfigError, UsageError
from tests.e2e.helpers import CUT
from tests.unit.report_fixture import build_small
from tools.check_calibration import as_session, as_trades, simulate, truth_of, write_session

TARGET = read_target("30% of ticks within 2 bps")


def view(
    index: int, mid: float = 2.0, *, half: float = 0.001, source: int = 1, second: int = 0
) -> LedgerView:
    return LedgerView(source=source, index=index, second=second, bid=mid - half, ask=mid + half)


def seen(
    ledgers: Sequence[LedgerView], looks: Sequence[Look] = (), reaches: Sequence[Reach] = ()
) -> Evidence:
    return Evidence(
        names=("here",),
        ledgers=tuple(ledgers),
        looks=tuple(looks),
        reaches=tuple(reaches),
        skipped=0,
        value_rlusd=None,
    )


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(Path(__file__).resolve().parents[2] / "config" / "paper.yaml")


# -- reading


def test_a_session_gives_a_look_a_side_and_ledger_with_its_fill(tmp_path: Path) -> None:
    """From the rows of tests/unit/report_fixture.py: best bid 1.999, best ask 2.001."""
    path = tmp_path / "neo.db"
    build_small(path)
    with closing(sqlite3.connect(path)) as connection:
        # Fill 1 was of order 1, a buy in ledger 1002; our bid at tick 1 was none, so it has no look.
        found = of_sessions(connection, [1])
    assert (len(found.ledgers), found.hits) == (8, 1)
    by_place = {(look.ledger, look.side): look for look in found.looks}
    # Tick 2 (place 1): bid at the touch, not filled in ledger 1003; the ask became order 2, whose price is 2.
    assert by_place[1, BID].distance == pytest.approx(0.0)
    assert not by_place[1, BID].hit
    assert by_place[1, ASK].hit
    assert by_place[1, ASK].distance == pytest.approx((2.0 - 2.001) / 2.001 * 10_000)
    # Tick 3: bid 1.9986 is 2.001 bps behind 1.999; the sale in ledger 1004 was ours as a taker: no fill here.
    assert by_place[2, BID].distance == pytest.approx(0.0004 / 1.999 * 10_000)
    assert not by_place[2, ASK].hit
    # Tick 7's next ledger is missing (8 silence, 9 fault), so it tells nothing.
    assert max(place for place, _side in by_place) == 5
    assert found.value_rlusd == pytest.approx(378.2499151600001)


def test_the_simulated_session_reads_back_every_fill_and_distance(tmp_path: Path) -> None:
    truth = truth_of(9)
    market = simulate(truth, 300)
    fills = write_session(market, truth, tmp_path / "neo.db")
    found = as_session(market, truth)
    assert found.hits == fills > 0
    assert len(found.looks) == 2 * 299
    assert all(-0.001 <= look.distance <= 12.001 for look in found.looks)


def test_a_recording_gives_how_deep_each_ledger_went() -> None:
    found = of_recordings([CUT])
    assert len(found.reaches) == 2 * (len(found.ledgers) - 1)
    assert found.hits > 20
    assert all(one.bid < one.ask for one in found.ledgers)


def test_the_deepest_trade_counts_and_one_inside_the_spread_does_not() -> None:
    market = view(1)
    bid, ask = reaches_of(market, 7, [(BID, 1.998), (BID, 1.9989), (ASK, 2.0)])
    assert bid.reach == pytest.approx(0.001 / 1.999 * 10_000)
    assert (bid.ledger, ask.reach) == (7, None)
    assert reaches_of(market, 0, [(ASK, 2.001)])[1].reach == 0.0


def test_a_later_ledger_is_exactly_that_one_of_the_same_source() -> None:
    found = seen([view(1), view(2), view(4), view(5), view(2, source=2), view(3, source=2)])
    assert later(found, 0, 1) == found.ledgers[1]
    assert later(found, 0, 2) is None  # 3 is missing
    assert later(found, 0, 3) == found.ledgers[2]
    assert later(found, 3, 1) is None  # the end of the source
    assert later(found, 4, 1) == found.ledgers[5]


# -- adverse selection and clock


def test_adverse_selection_is_what_the_mid_moved_against_and_markout_what_is_left() -> None:
    """Every fill is a sale 5 bps above the mid, and sixteen ledgers later the mid stands 2 bps higher."""
    ledgers = [view(index, 2.0 * (1 + 0.0002 * (index // 16 % 2 == 1))) for index in range(320)]
    places = [place for place in range(300) if place // 16 % 2 == 0]
    looks = [Look(ledger=place, side=ASK, distance=1.0, price=2.001, hit=True) for place in places]
    (row,) = adverse(seen(ledgers, looks))
    assert (row.low, row.high, row.against.count) == (0.0, 2.0, len(places))
    assert row.against.mean == pytest.approx(2.0, abs=1e-6)
    assert row.markout.mean == pytest.approx((2.001 - 2.0004) / 2.001 * 10_000, abs=1e-6)
    bought = [replace(look, side=BID) for look in looks]
    assert adverse(seen(ledgers, bought))[0].against.mean == pytest.approx(-2.0, abs=1e-6)


def test_fills_of_one_move_count_as_little_as_one() -> None:
    rng = random.Random(1)
    apart = clustered(((place * 40, rng.gauss(0, 1)) for place in range(60)), 2400)
    moves = [rng.gauss(0, 1) for _ in range(6)]
    together = clustered(((block * 400 + one, moves[block]) for block in range(6) for one in range(10)), 2400)
    assert apart.interval is not None
    assert together.interval is not None
    assert together.interval.high - together.interval.low > 1.5 * (apart.interval.high - apart.interval.low)


def test_fewer_than_ten_fills_have_no_mean() -> None:
    assert clustered(((place * 20, 1.0) for place in range(9)), 900).mean is None
    assert clustered(((place * 20, 1.0) for place in range(10)), 900).mean == 1.0


def test_the_clock_tells_each_hours_moves() -> None:
    calm = [view(index, 2.0 * (1 + 0.0001 * (index % 2)), second=4 * index) for index in range(301)]
    wild = [
        view(1000 + index, 2.0 * (1 + 0.0002 * (index % 2)), second=7200 + 4 * index) for index in range(301)
    ]
    short = [view(5000 + index, second=10_800 + index) for index in range(300)]
    first, second, third = clock(seen([*calm, *wild, *short]))
    assert (first.hour, first.ledgers, second.hour, third.hour) == (0, 300, 2, 3)
    assert first.move_bps == pytest.approx(1.0, rel=1e-3)
    assert second.move_bps == pytest.approx(2.0, rel=1e-3)
    assert third.move_bps is None  # 299 moves


# -- offset


def step(zero: float, *, multiplier: float = 1.0, added: float = 0.0) -> Step:
    return Step(
        place=0, side=BID, multiplier=multiplier, added=added, zero=zero, scale=1.0, least=1.5, most=60.0
    )


def test_the_offset_for_a_share_is_the_largest_that_reaches_it() -> None:
    """At offset o a quote stands zero + 2 o + 0.5 behind: within 2 bps for o <= (1.5 - zero) / 2."""
    found = [step(-float(zero), multiplier=2.0, added=0.5) for zero in range(1, 11)]
    fit = Fit(log_a=0.0, k=0.1, log_likelihood=0.0, covariance=(0.0, 0.0, 0.0))
    assert offset_for(found, TARGET, fit, 0.0) == 4.75  # zeros -8, -9 and -10 are within: three of ten
    assert share_within(found, 4.75, 2.0) == 0.3
    assert share_within(found, 4.76, 2.0) == 0.2
    assert offset_for(found, read_target("31% of ticks within 2 bps"), fit, 0.0) == 4.25


def test_a_target_that_the_least_half_spread_forbids_is_not_reached() -> None:
    found = [step(1.0) for _ in range(10)]  # 1 + 1.5 bps behind at least
    fit = Fit(log_a=0.0, k=0.1, log_likelihood=0.0, covariance=(0.0, 0.0, 0.0))
    assert offset_for(found, TARGET, fit, 0.0) is None


def test_fills_an_hour_are_both_sides_chances_and_the_offset_follows_from_them() -> None:
    fit = Fit(log_a=math.log(0.1), k=0.2, log_likelihood=0.0, covariance=(0.0, 0.0, 0.0))
    found = [step(0.0)]
    assert fills_an_hour(found, 5.0, fit, 0.0) == pytest.approx(1800 * (1 - math.exp(-0.1 * math.exp(-1))))
    assert fills_an_hour([step(-9.0)], 5.0, fit, 0.0) == pytest.approx(1800 * (1 - math.exp(-0.1)))
    offset = offset_for(found, read_target("65 fills an hour"), fit, 0.0)
    assert offset is not None
    assert fills_an_hour(found, offset, fit, 0.0) >= 65 > fills_an_hour(found, offset + 0.01, fit, 0.0)
    assert offset_for(found, read_target("5000 fills an hour"), fit, 0.0) is None


def test_a_step_is_the_quote_of_one_ledger_looked_at_with_the_next(config: Config) -> None:
    """A calm market: the factors are 1, the added bps are the network fee's alone."""
    ledgers = [view(index) for index in range(40)]
    found = steps(seen(ledgers), config)
    assert {one.place for one in found} == set(range(9, 39))  # ten mids of warm-up; the last has no next one
    fee = 0.00001 * 2.0 * 10_000 / 15
    first = found[0]
    assert (first.multiplier, first.added) == (1.0, pytest.approx(fee))
    # mid 2, bid 1.999: a bid 3 bps and the fee below the mid.
    price = 2.0 * (1 - (3 + fee) / 10_000)
    assert first.behind(3.0) == pytest.approx((1.999 - price) / 1.999 * 10_000)


@pytest.mark.parametrize(
    "text", ["", "30%", "0% of ticks within 2 bps", "100% of ticks within 2 bps", "many fills an hour"]
)
def test_a_target_nobody_understands_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--target"):
        read_target(text)


# -- enough, fitting, holding


def test_what_is_missing_is_named_with_both_numbers() -> None:
    ledgers = [view(index) for index in range(299)]
    looks = [Look(ledger=place, side=ASK, distance=1.0, price=2.0, hit=place < 29) for place in range(290)]
    found = seen(ledgers, looks)
    lacking = missing(found, by_blocks(found))
    assert lacking[0].startswith("299 ledgers with a market, 300")
    assert lacking[1].startswith("29 fills at known distances, 30")
    assert any("nearly one distance" in one for one in lacking)


def test_enough_at_the_thresholds_is_enough() -> None:
    looks = [
        Look(ledger=place, side=ASK, distance=float(place % 2), price=2.0, hit=place % 10 == 0)
        for place in range(300)
    ]
    found = seen([view(index) for index in range(300)], looks)
    assert found.hits == 30
    assert missing(found, by_blocks(found)) == ()


def test_too_little_gives_no_curve_and_no_proposal(config: Config) -> None:
    result = calibration(as_trades(simulate(truth_of(1), 200)), TARGET, config)
    assert not result.enough
    assert result.missing
    assert (result.curve, result.proposal, result.outside) == (None, None, None)


def test_fills_that_do_not_fall_with_distance_give_no_proposal(config: Config) -> None:
    rng = random.Random(2)
    looks = [
        Look(ledger=place, side=ASK, distance=rng.uniform(0, 10), price=2.0, hit=rng.random() < 0.1)
        for place in range(900)
    ]
    result = calibration(seen([view(index) for index in range(901)], looks), TARGET, config)
    assert not result.enough
    assert "k could be zero or less" in result.missing[0]


def test_a_true_exponential_fits_and_holds_out_of_sample(config: Config) -> None:
    truth = truth_of(3)
    result = calibration(as_trades(simulate(truth, 1200)), TARGET, config)
    assert result.enough
    assert result.shape is not None
    assert result.shape.p is not None
    assert result.shape.p > 0.01
    assert result.outside is not None
    assert result.outside.holds
    assert result.outside.share == pytest.approx(0.3, abs=0.06)
    assert result.cautions == ()


def test_a_market_that_changes_does_not_hold_out_of_sample(config: Config) -> None:
    market = simulate(truth_of(3), 1200)
    empty: dict[str, tuple[float, ...]] = {BID: (), ASK: ()}
    quiet = replace(market, depths=(*market.depths[:840], *(empty for _ in range(360))))
    result = calibration(as_trades(quiet), TARGET, config)
    assert result.outside is not None
    assert not result.outside.holds
    assert any("does not hold out of sample" in one for one in result.cautions)


def test_takers_of_two_kinds_do_not_fit_one_exponential() -> None:
    rng = random.Random(8)
    reaches = [
        Reach(ledger=place, side=ASK, reach=rng.choice((0.2, 18.0)) if rng.random() < 0.4 else None)
        for place in range(900)
    ]
    blocks = by_blocks(seen([view(index) for index in range(901)], reaches=reaches))
    calibrated = calibrate(blocks, resamples=50)
    assert calibrated is not None
    found = shape(blocks, calibrated, reaches=True)
    assert found.p is not None
    assert found.p < 0.01


def test_without_a_rest_there_is_no_check(config: Config) -> None:
    found = as_trades(simulate(truth_of(3), 20))
    assert out_of_sample(found, steps(found, config), TARGET, 0.0) is None


def test_the_page_names_every_json_key(root: Path) -> None:
    page = (root / "docs" / "calibration.md").read_text(encoding="utf-8")
    table = page.partition("| Calibration key | Meaning |\n|---|---|\n")[2].partition("\n\n")[0]
    named = {key for line in table.splitlines() for key in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert named == set(Result.__struct_fields__)


# -- proposing


def test_a_proposal_reaches_its_target_and_is_a_valid_configuration(config: Config, root: Path) -> None:
    found = as_trades(simulate(truth_of(3), 1200))
    calibrated = calibrate(by_blocks(found), resamples=100)
    assert calibrated is not None
    walked = steps(found, config)
    proposal = propose(found, calibrated, adverse(found), walked, TARGET, config=config)
    offset = float(proposal.settings["base_offset_bps"])
    assert share_within(walked, offset, 2.0) >= 0.3 > share_within(walked, offset + 0.05, 2.0)
    step_bps = float(proposal.settings["ladder_step_bps"])
    assert 0 <= math.log(2) / calibrated.fit.k - step_bps < 0.5  # half as many fills a level, rounded down
    text = (root / "config" / "paper.yaml").read_text(encoding="utf-8")
    changed = parse_config(changed_text(text, proposal.settings), "changed")
    assert changed.strategy.base_offset_bps == Decimal(proposal.settings["base_offset_bps"])
    assert changed.order_size.base_size_rlusd == Decimal(proposal.settings["base_size_rlusd"])


def test_the_size_keeps_a_walk_of_fills_within_the_limits(config: Config) -> None:
    """400 RLUSD, half of it XRP at 2: room is min(0.9 x 150 x 2 - 200, 0.9 x 400 - 200, 200, 200) = 70."""
    assert size(config, value_rlusd=400.0, mid=2.0, fills=100.0, levels=1) == Decimal("7.0")  # 70 / (2 x 5)
    assert size(config, value_rlusd=400.0, mid=2.0, fills=1.0, levels=1) == Decimal("35.0")  # 70 / 2
    assert size(config, value_rlusd=1000.0, mid=2.0, fills=1.0, levels=1) == 0  # above the limits already


def test_the_difference_changes_values_and_nothing_else(root: Path) -> None:
    text = (root / "config" / "paper.yaml").read_text(encoding="utf-8")
    settings = {"base_offset_bps": "4.25", "ladder_levels": "1", "base_size_rlusd": "12.5"}
    diff = difference("config/paper.yaml", text, settings)
    changed = [line for line in diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")]
    assert changed == [
        "-  base_offset_bps: 3.0               # half-spread before factors",
        "+  base_offset_bps: 4.25              # half-spread before factors",
        "-  base_size_rlusd: 15.0              # size of the first level of each side",
        "+  base_size_rlusd: 12.5              # size of the first level of each side",
    ]
    assert difference("config/paper.yaml", text, {"base_offset_bps": "3", "ladder_levels": "1"}) == ""


def test_a_proposal_that_is_no_valid_configuration_is_refused(root: Path) -> None:
    text = (root / "config" / "paper.yaml").read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match="max_open_orders"):
        changed_text(text, {"ladder_levels": "6"})
    with pytest.raises(ValueError, match="base_offset_bps"):
        changed_text(text.replace("  base_offset_bps:", "  # base_offset_bps:"), {"base_offset_bps": "4"})
