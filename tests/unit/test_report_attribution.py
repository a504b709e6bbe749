"""The parts of the P&L against numbers worked out by hand, and their sum on random sessions."""

from __future__ import annotations

from contextlib import closing
from decimal import Decimal as D
from decimal import localcontext
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neo_engine.report.attribution import HORIZON_LEDGERS, Fifo
from neo_engine.report.measures import Attribution
from neo_engine.report.model import SessionSummary
from neo_engine.report.summary import summarize
from neo_engine.state.queries import open_readonly
from tests.unit.report_fixture import build_small
from tests.unit.report_rows import capital, fill, order, random_session, start, tick

pytestmark = pytest.mark.slow


def report(path: Path) -> SessionSummary:
    with closing(open_readonly(path)) as connection:
        return summarize(connection, 1)


def parts_of(path: Path) -> Attribution:
    parts = report(path).attribution
    assert parts is not None
    return parts


def test_the_parts_of_the_small_session_are_those_worked_out_by_hand(tmp_path: Path) -> None:
    # A buy of 10 at 1.99, sales of 22 at 2.02 and of 11 at 2.01, all at a mid of 2; the mark is 2.02.
    build_small(tmp_path / "neo.db")
    parts = parts_of(tmp_path / "neo.db")
    assert parts.spread_captured == D("0.65")  # 0.1 + 0.44 + 0.11
    assert parts.adverse_selection == D("-0.46")  # 0.2 - 0.44 - 0.22: the session ends within the horizon
    assert parts.fills_drift == 0
    assert parts.hold == D("2.03")  # 100 x 0.02 + 3 x 0.01
    assert parts.mark_pnl == D("1.57")
    assert parts.rounding == D("1E-13")
    assert parts.transfer_fees == 0
    assert parts.network_fees == D("-0.00008484")
    assert parts.total == D("2.2199151600001")
    assert parts.trading == D("0.1899151600001")
    assert (parts.residue, parts.residue_fifo, parts.fills_without_mid) == (0, 0, 0)


def test_fifo_closes_the_oldest_lot_first(tmp_path: Path) -> None:
    # Of the 100 XRP for 200: 22 for 44.44 earn 0.44, 11 for 22.1100000000001 earn 0.1100000000001.
    # Left: 67 for 134, 10 for 19.9, 3 for 6.03: 80 XRP for 159.93, worth 161.6.
    build_small(tmp_path / "neo.db")
    parts = parts_of(tmp_path / "neo.db")
    assert parts.realised_fifo == D("0.5500000000001")
    assert parts.unrealised_fifo == D("1.67")


def test_the_same_capital_held_half_and_half_earns_half_of_the_move(tmp_path: Path) -> None:
    # Mids 2 to 2.02: a factor of 1.005 on 420 from tick 1 and on 6.03 - 50 from tick 5.
    build_small(tmp_path / "neo.db")
    parts = parts_of(tmp_path / "neo.db")
    assert parts.fifty_fifty == D("1.880150")
    assert parts.pool is None


def test_what_the_mid_does_within_the_horizon_is_adverse_selection_and_after_it_drift(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with closing(start(path)) as connection:
        for at, mid in ((1, "2"), (HORIZON_LEDGERS, "2.2"), (HORIZON_LEDGERS + 1, "1.9"), (30, "2.5")):
            tick(connection, at, bid=str(D(mid) - D("0.01")), ask=str(D(mid) + D("0.01")), mark=mid)
        order(connection, 1, "buy")
        fill(connection, 1, "buy", 10_000_000, "19.8", at=1, mid="2")
    parts = parts_of(path)
    assert parts.spread_captured == D("0.2")
    assert parts.adverse_selection == D("-1.0")  # 10 x (1.9 - 2): the mid of ledger 1016, not that of 1015
    assert parts.fills_drift == D("6.0")  # 10 x (2.5 - 1.9)
    assert parts.total == D("5.2")  # 10 x 2.5 - 19.8


def test_a_fill_without_a_mid_captures_no_spread(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with closing(start(path)) as connection:
        tick(connection, 1, bid="1.99", ask="2.01", mark="2")
        order(connection, 1, "sell")
        fill(connection, 1, "sell", 10_000_000, "21", at=1, mid=None)
    parts = parts_of(path)
    assert (parts.fills_without_mid, parts.spread_captured) == (1, 0)
    assert parts.adverse_selection == 1  # sold for 21 what is worth 20


@pytest.mark.parametrize(
    ("side", "line", "fee", "rounding"),
    [
        ("buy", "-20.04", "-0.04", "0"),  # 0.2 % on top, paid by the one who gives the token
        ("buy", "-20.00000002", "-0.00000002", "0"),  # a billionth: the least rate there is
        ("buy", "-20.000000019", "0", "-0.000000019"),
        ("buy", "-19.96", "0", "0.04"),  # more came than was asked for: no fee
        ("sell", "19.96", "0", "-0.04"),  # a seller receives; nobody charges him
    ],
)
def test_a_transfer_fee_is_told_from_rounding(
    tmp_path: Path, side: str, line: str, fee: str, rounding: str
) -> None:
    path = tmp_path / "neo.db"
    with closing(start(path)) as connection:
        tick(connection, 1, bid="1.99", ask="2.01", mark="2")
        order(connection, 1, side)
        fill(connection, 1, side, 10_000_000, "20", at=1, mid="2", line=line)
    parts = parts_of(path)
    assert (parts.transfer_fees, parts.rounding) == (D(fee), D(rounding))
    assert parts.residue == 0


def test_the_pool_earns_half_the_move_and_the_fees_of_its_swaps(tmp_path: Path) -> None:
    # 100 XRP at 1 and 100 RLUSD. The swap leaves 90 XRP and 112 RLUSD: k from 10,000 to 10,080. The deposit
    # that doubles both earns nobody anything. Value: 200 x sqrt(1.008) x sqrt(112 / 90) = 224 (2 x 112).
    path = tmp_path / "neo.db"
    with closing(start(path)) as connection:
        capital(connection, "opening", "XRP", "100", mark="1", at=1, name="a")
        capital(connection, "opening", "RLUSD", "100", mark="1", at=1, name="b")
        for at, drops, quote in ((1, 100_000_000, "100"), (2, 90_000_000, "112"), (3, 180_000_000, "224")):
            tick(connection, at, bid="0.99", ask="1.01", mark="1", pool=(drops, quote))
    assert parts_of(path).pool == D("24.000000")


def test_before_any_price_there_is_nothing_to_divide(tmp_path: Path) -> None:
    with closing(start(tmp_path / "neo.db")) as connection:
        tick(connection, 1)
    assert report(tmp_path / "neo.db").attribution is None


def test_a_short_of_lots_is_closed_oldest_first() -> None:
    # Sold 4 for 9 and 4 for 7; 6 bought back for 12, 2 each: 9 - 8 and half of 7 - 4.
    books = Fifo()
    books.exchange(-4_000_000, D(9))
    books.exchange(-4_000_000, D(7))
    books.exchange(6_000_000, D(-12))
    assert (books.realised, books.cost) == (D("0.5"), D("-3.5"))
    # Bought 5 for 15: 2 close the short, which brought 3.5, and 3 for 9 stay.
    books.exchange(5_000_000, D(-15))
    assert (books.realised, books.cost) == (D("-2.0"), D(9))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**9))
def test_on_any_session_the_parts_sum_to_the_total_exactly(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    path = tmp_path_factory.mktemp("random") / "neo.db"
    random_session(path, seed)
    summary = report(path)
    parts, pnl = summary.attribution, summary.pnl
    assert parts is not None
    assert parts.residue == 0
    assert parts.residue_fifo == 0
    assert pnl.residue == 0
    with localcontext() as context:
        context.prec = 300
        by_hand = (
        parts.spread_captured + parts.adverse_selection + parts.fills_drift + parts.hold + parts.rounding
        + parts.transfer_fees + parts.network_fees
    )  # fmt: skip
    assert by_hand == pnl.total
    assert parts.rounding + parts.transfer_fees == pnl.rounding
