"""Paper fills against the fills of the same orders on a real server (tests/data/paper_truth)."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from neo_engine.cli_session import DEFAULT_CONFIG, limits_off
from neo_engine.config import load_config
from neo_engine.domain.ledger import LedgerUpdate
from neo_engine.execution.paper import drawn_place
from neo_engine.scripted import read_orders
from tools.check_paper_truth import Filled, Market, Run, agrees, paper_run, read_live, read_market, settle

DATA = Path(__file__).resolve().parent.parent / "data" / "paper_truth"
CONFIG = limits_off(load_config(DEFAULT_CONFIG))
ORDERS = read_orders(DATA / "orders.csv")


@pytest.fixture(scope="module")
def market() -> Market:
    return read_market(DATA / "market.jsonl.gz")


@pytest.fixture(scope="module")
def live() -> Filled:
    return read_live(DATA / "live_fills.csv")[0]


def drawn(market: Market, seed: int) -> Run:
    return paper_run(market, ORDERS, CONFIG, lambda update: drawn_place(seed, update))


def same(run: Run, live: Filled) -> int:
    return sum(1 for order in live if agrees(order, run.filled, live))


def test_nine_in_ten_really_filled_orders_fill_alike_wherever_ours_stand_in_a_ledger(
    market: Market, live: Filled
) -> None:
    for seed in (1, 2, 3):
        run = drawn(market, seed)
        assert same(run, live) >= 0.9 * len(live)
        assert sum(1 for order in run.filled if order not in live) <= 0.05 * len(live)


def test_with_the_place_inside_the_ledger_as_it_was_every_order_fills_as_it_really_did(
    market: Market, live: Filled
) -> None:
    def run_with(places: dict[int, int]) -> Run:
        def place(update: LedgerUpdate) -> int:
            return places.get(update.ledger_index, drawn_place(1, update))

        return paper_run(market, ORDERS, CONFIG, place)

    run, places, unlike = settle(market, live, run_with, seed=1)
    assert unlike == []
    assert same(run, live) == len(live)
    assert set(run.filled) == set(live)
    # Fewer than one ledger in ten of those with our orders needed it: the rest agrees as drawn.
    assert len(places) <= 5
    assert abs(sum(run.filled.values()) - sum(live.values())) <= Decimal("0.01")


def test_the_same_seed_gives_the_same_fills_and_the_place_depends_on_nothing_later(market: Market) -> None:
    whole = drawn(market, 7)
    assert whole.fills == drawn(market, 7).fills
    cut = Market(start=market.start, updates=market.updates[:150])
    last = cut.updates[-1].ledger_index
    assert drawn(cut, 7).fills == [fill for fill in whole.fills if fill.ledger_index <= last]
