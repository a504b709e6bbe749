"""Holdings, drawdown, worst minutes and events against numbers worked out by hand."""

from __future__ import annotations

from contextlib import closing
from decimal import Decimal as D
from pathlib import Path

import pytest

from neo_engine.report.measures import Risk
from neo_engine.report.summary import summarize
from neo_engine.state.queries import open_readonly
from tests.unit.report_fixture import build_small, close_time
from tests.unit.report_rows import fill, insert, order, start, tick


def risk_of(path: Path) -> Risk:
    with closing(open_readonly(path)) as connection:
        return summarize(connection, 1).risk


def test_holdings_are_told_against_their_limits(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    with closing(start(path)) as connection:
        for at, drops in ((1, 100_000_000), (2, 150_000_000), (3, 150_000_001), (4, 50_000_000)):
            tick(connection, at, inventory_xrp_drops=drops, inventory_rlusd="-3.5")
    xrp, quote = risk_of(path).exposure
    assert (xrp.lowest, xrp.highest, xrp.last) == (50, D("150.000001"), 50)
    assert (xrp.limit, xrp.ticks_above_limit, xrp.highest_pct_of_limit) == (150, 1, D("100.0000"))
    assert (quote.lowest, quote.highest_pct_of_limit, quote.ticks_above_limit) == (D("-3.5"), D("-0.8750"), 0)


def test_the_drawdown_is_the_risk_gates_own(tmp_path: Path) -> None:
    # Net capital 400: values 400, 420 (the peak), 399, 410. A withdrawal of 100 is no loss.
    path = tmp_path / "neo.db"
    with closing(start(path)) as connection:
        for at, value, capital in (
            (1, "400", "400"),
            (2, "420", "400"),
            (3, "299", "300"),
            (4, "310", "300"),
        ):
            tick(connection, at, value=value, net_capital_rlusd=capital, mark="2", bid="1.99", ask="2.01")
    drawdown = risk_of(path).drawdown
    assert drawdown is not None
    assert (drawdown.worst_pct, drawdown.worst_tick) == (D(5), 3)  # 21 of 420
    assert (drawdown.value, drawdown.peak, drawdown.peak_at) == (399, 420, close_time(2))
    assert drawdown.now_pct.quantize(D("0.0001")) == D("2.3810")  # 10 of 420
    assert drawdown.limit_pct == 10


def test_a_small_account_is_measured_against_the_least_peak(tmp_path: Path) -> None:
    # Limits of 150 XRP at 2 and 400 RLUSD: at least 2 % of 400 = 8 RLUSD. From 4 to 2 is 2 of 8.
    path = tmp_path / "neo.db"
    with closing(start(path)) as connection:
        tick(connection, 1, value="4", net_capital_rlusd="4", mark="2", bid="1.99", ask="2.01")
        tick(connection, 2, value="2", net_capital_rlusd="4", mark="2", bid="1.99", ask="2.01")
    drawdown = risk_of(path).drawdown
    assert drawdown is not None
    assert drawdown.worst_pct == 25


def test_the_worst_minutes_come_first_and_gains_do_not_count(tmp_path: Path) -> None:
    # 15 ticks of 4 s a minute. P&L of the four minutes: 0, -1, -4, +1.
    path = tmp_path / "neo.db"
    with closing(start(path)) as connection:
        for at in range(1, 60):
            profit = ("0", "-1", "-5", "-4")[4 * at // 60]
            mark = "2.02" if 4 * at // 60 == 2 else "2"
            tick(connection, at, value=profit, mark=mark, bid="1.99", ask="2.01")
        order(connection, 1, "buy")
        fill(connection, 1, "buy", 1_000_000, "2", at=31, mid="2")
    worst = risk_of(path).worst_minutes
    assert [(one.at, one.profit, one.fills) for one in worst] == [
        ("2025-05-01T00:02:00Z", -4, 1),
        ("2025-05-01T00:01:00Z", -1, 0),
    ]
    assert worst[0].mid_move_bps == 100


def test_monitors_findings_that_halt_and_the_end_are_one_time_line(tmp_path: Path) -> None:
    path = tmp_path / "neo.db"
    build_small(path)
    with closing(open_readonly(path)) as connection:
        assert [one.what for one in summarize(connection, 1).risk.events] == ["session end"]
    with closing(start(tmp_path / "more.db", halt_reason="kill_switch", halt_detail="by hand")) as connection:
        for at in (1, 2, 3):
            tick(connection, at)
        for number, at, severity in ((0, 2, "WARN"), (0, 3, "KILL")):
            key = (1 << 32 | at) << 5 | number
            insert(connection, "monitor_readings", id=key, session_id=1, tick=at, monitor="cascade",
                   severity=severity, detail="5.4 taken")  # fmt: skip
        for at, severity in ((1, "repaired"), (2, "halt")):
            insert(connection, "reconciliations", session_id=1, tick=at, finding="ghost", severity=severity,
                   detail="offer 13")  # fmt: skip
    events = risk_of(tmp_path / "more.db").events
    assert [(one.tick, one.what, one.severity) for one in events] == [
        (2, "cascade", "WARN"),
        (2, "ghost", "halt"),
        (3, "cascade", "KILL"),
        (3, "session end", "kill_switch"),
    ]


@pytest.mark.parametrize("text", ["{}", '{"risk": 3}', "[]"])
def test_a_configuration_without_limits_has_no_drawdown(tmp_path: Path, text: str) -> None:
    with closing(start(tmp_path / "neo.db", config_json=text)) as connection:
        tick(connection, 1, value="4", mark="2", bid="1.99", ask="2.01")
    risk = risk_of(tmp_path / "neo.db")
    assert risk.drawdown is None
    assert risk.exposure[0].limit is None
