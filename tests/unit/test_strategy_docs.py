"""The worked examples of docs/strategy.md: each figure in their tables is what the engine says."""

from __future__ import annotations

from decimal import Decimal

import pytest

from neo_engine.domain.assets import Side
from neo_engine.domain.headroom import quota
from neo_engine.domain.market import DataFault
from neo_engine.domain.number import ZERO
from neo_engine.strategy import (
    chain,
    defence,
    gates,
    glft,
    intensity,
    ladder,
    spread,
    staleness,
    toxicity,
    volatility,
)
from tests.conftest import ROOT
from tests.unit.strategy_fixture import PLENTY, configured, holding, market, pool, run

PAGE = (ROOT / "docs" / "strategy.md").read_text(encoding="utf-8")


def stated(example: int) -> dict[str, Decimal]:
    """The figures of the table headed `quantity <example>`."""
    rows = PAGE.split(f"| quantity {example} | value |\n")[1].splitlines()[1:]
    figures = {}
    for row in rows:
        if not row.startswith("|"):
            break
        name, value = (cell.strip() for cell in row.strip("|").split("|"))
        figures[name] = Decimal(value)
    return figures


def assert_as_stated(example: int, found: dict[str, Decimal | int | None]) -> None:
    figures = stated(example)
    assert figures.keys() == found.keys()
    for name, figure in figures.items():
        value = found[name]
        assert value is not None, name
        assert round(Decimal(value), max(0, -int(figure.as_tuple().exponent))) == figure, name


def test_example_1_one_tick_of_the_offset_model() -> None:
    config = configured(
        strategy__model="offset",
        strategy__anchor_max_divergence_bps="10",
        strategy__clob_switch_threshold_bps="3",
        strategy__pool_weight="0.25",
        strategy__base_offset_bps="3",
        strategy__skew_bps="8",
        strategy__warmup_ticks=10,
        inventory__target_xrp_share="0.5",
        order_size__base_size_rlusd="15",
    )
    the_pool = pool(1_000_000, "2000400")
    snapshots = [market("1.9990", "2.0010", index, the_pool=the_pool) for index in range(1, 12)]
    result = run(snapshots, config, holding("120", "160.008"))[-1]
    bid, ask = result.quotes
    assert_as_stated(
        1,
        {
            "anchor": result.pricing.anchor,
            "divergence_bps": result.pricing.divergence_bps,
            "reservation": result.pricing.reservation,
            "half_spread_bps": result.pricing.half_spread_bps,
            "bid base_drops": bid.base_drops,
            "bid quote": bid.quote,
            "ask base_drops": ask.base_drops,
            "ask quote": ask.quote,
        },
    )


def test_example_2_volatility_and_range() -> None:
    state = volatility.start(1)
    for index, mid in enumerate(("2.000", "2.001", "2.001", "2.001"), 1):
        state = volatility.observe(state, Decimal(mid), index, atr_ticks=14)
    config = configured(
        strategy__volatility_reference_bps="1",
        strategy__volatility_factor_max="3",
        strategy__atr_reference_bps="2",
        strategy__atr_factor_max="2",
        strategy__spread_factor_max="2.25",
    )
    factors = dict(
        spread.offset_spread(state.volatility_bps, state.range_bps, (), config.strategy, quota=PLENTY).factors
    )
    assert_as_stated(
        2,
        {
            "volatility_bps": state.volatility_bps,
            "range_bps": state.range_bps,
            "volatility factor": factors["volatility"],
            "range factor": factors["range"],
            "multiplier": factors["multiplier"],
        },
    )


def test_example_3_the_glft_closed_form() -> None:
    raw = intensity.estimate(intensity.Sums(ledgers=50, trades=40, inside=40, depth_bps=Decimal(200)))
    curve = glft.solve(intensity.effective(raw), glft.gamma_per_bps(Decimal("0.5"), Decimal(15)))
    result, shift = glft.glft_spread(
        curve, Decimal("2.5"), Decimal(3), (), configured().strategy, quota=PLENTY
    )
    assert_as_stated(3, {"half_spread_bps": result.half_spread_bps, "shift_bps": shift})


def test_example_4_kept_off_the_touch() -> None:
    reach = ladder.limits(Decimal("1.9980"), Decimal("1.9985"), None, Decimal("0.1"))
    rung = ladder.build_side(
        Side.BUY, Decimal(2), Decimal(5), configured(), limit=reach.bid_max, tick_size=7, levels=1
    )
    assert_as_stated(4, {"bid limit": reach.bid_max, "TouchClamp bid": rung.clamp_bps})
    assert rung.quotes[0].price <= reach.bid_max
    assert rung.clamp_bps > ZERO


def test_example_5_factors_that_compound() -> None:
    config = configured(
        strategy__base_offset_bps="3",
        strategy__toxicity_flow_from="0.8",
        strategy__toxicity_factor_max="2",
        strategy__defence_edge_bps="10",
        strategy__defence_factor_max="2",
        strategy__staleness_from_ticks=10,
        strategy__staleness_full_ticks=30,
        strategy__staleness_factor_max="1.5",
        strategy__inventory_factor_from="0.7",
        strategy__inventory_factor_max="1.5",
        strategy__max_composed_spread_mult="10",
    ).strategy
    flow = toxicity.Flow(trades=40, share=Decimal("0.9"), buys=True, markout_bps=None)
    factors = chain.Signals(
        toxicity=toxicity.factor(
            flow, flow_from=config.toxicity_flow_from, markout=(Decimal(3), Decimal(8)), most=Decimal(2)
        ),
        defence=defence.loss_factor(Decimal(15), config.defence_edge_bps, config.defence_factor_max),
        staleness=staleness.factor((("pool", 20),), fresh=10, full=30, most=config.staleness_factor_max),
        model=Decimal(1),
        inventory=chain.rise(Decimal("0.85"), config.inventory_factor_from, Decimal(1), Decimal("1.5")),
    )
    terms = (("network_fee_bps", Decimal("0.014")),)
    moves = config.volatility_reference_bps * Decimal("1.5")
    full, short = (
        spread.offset_spread(moves, None, terms, config, quota=quota(Decimal(left), 1), signals=factors)
        for left in (100, 25)
    )
    price = spread.lean(Decimal(2), full, Decimal("0.85"))
    told, told_short = dict(full.factors), dict(short.factors)
    assert_as_stated(
        5,
        {
            **{name: told[name] for name in ("toxicity", "defence", "staleness", "inventory", "product")},
            "half_spread_bps": full.half_spread_bps,
            "reservation": price,
            "ask": price * (1 + full.half_spread_bps / 10_000),
            "product at 25 % headroom": told_short["product"],
            "multiplier at 25 % headroom": told_short["multiplier"],
            "half_spread_bps at 25 % headroom": short.half_spread_bps,
        },
    )


@pytest.mark.parametrize(
    "name",
    [fault.value for fault in DataFault]
    + [gates.WARMUP, gates.ANCHOR_DIVERGENCE, gates.INVENTORY, gates.MIN_NOTIONAL]
    + [gates.VIABILITY, gates.TOXIC_FLOW, gates.NO_EDGE_FLAT],
)
def test_every_gate_is_documented(name: str) -> None:
    assert f"`{name}`" in PAGE
