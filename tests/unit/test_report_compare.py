"""Sessions beside each other: what differs, and whether it is said to be more than noise rightly."""

from __future__ import annotations

import json
import re
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from neo_engine.report.command import main
from neo_engine.report.compare import (
    BLOCK_TICKS,
    BLOCKS_MIN,
    Blocks,
    blocks_of,
    compare_sessions,
    difference,
    differing,
)
from neo_engine.report.data import read_session
from neo_engine.state.queries import open_readonly
from tests.unit.report_fixture import build_small
from tests.unit.report_rows import capital, fill, order, session, start, tick

NAME = "profit_per_hour"


def drawn(seed: int, mean: float, count: int = 40) -> Blocks:
    values = np.random.default_rng(seed).normal(mean, 1.0, count)
    return {NAME: (values, np.ones(count))}


def test_a_difference_far_beyond_the_noise_is_real_and_its_interval_holds_it() -> None:
    found = difference(2, drawn(1, 0.0), drawn(2, 3.0), NAME)
    assert found.is_real is True
    assert found.low is not None
    assert found.high is not None
    assert 2 < found.low < 3 < found.high < 4


def test_of_equal_sessions_about_one_in_twenty_seems_to_differ() -> None:
    # By 40 blocks a side; the bootstrap's interval is a little narrow, so up to 12 of 100 are let pass.
    real = sum(bool(difference(2, drawn(s, 0.0), drawn(s + 1000, 0.0), NAME).is_real) for s in range(100))
    assert real <= 12


@pytest.mark.parametrize(("count", "said"), [(BLOCKS_MIN - 1, None), (BLOCKS_MIN, True)])
def test_with_few_blocks_nothing_is_said(count: int, said: bool | None) -> None:
    assert difference(2, drawn(1, 0.0, count), drawn(2, 9.0, count), NAME).is_real is said


def test_nothing_to_divide_by_is_no_verdict() -> None:
    nothing: Blocks = {NAME: (np.zeros(40), np.zeros(40))}
    found = difference(2, nothing, drawn(1, 1.0), NAME)
    assert (found.difference, found.is_real) == (None, None)
    assert difference(2, {}, drawn(1, 1.0), NAME).difference is None


def test_the_same_question_gets_the_same_answer() -> None:
    assert difference(2, drawn(1, 0.0), drawn(2, 0.3), NAME) == difference(
        2, drawn(1, 0.0), drawn(2, 0.3), NAME
    )


def test_only_keys_that_differ_are_told() -> None:
    found = differing(['{"a": {"b": "1", "c": 2}}', '{"a": {"b": "1.5", "c": 2}, "d": true}'])
    assert [(one.key, one.values) for one in found] == [("a.b", ("1", "1.5")), ("d", (None, "true"))]


def test_figures_are_ratios_over_the_whole_session(tmp_path: Path) -> None:
    # 150 ticks of 4 s: 149 steps. P&L rises by 0.5, of which 100 XRP of capital earned 100 x 0.004.
    path = tmp_path / "neo.db"
    with closing(start(path)) as connection:
        capital(connection, "opening", "XRP", "100", mark="2", at=1, name="a")
        for at in range(1, 2 * BLOCK_TICKS + 1):
            late = at > BLOCK_TICKS
            tick(
                connection,
                at,
                bid="1.999",
                ask="2.001",
                mark="2.004" if late else "2",
                value="0.5" if late else "0",
                quoting="both" if at % 2 else "none",
            )
        order(connection, 1, "sell")
        fill(connection, 1, "sell", 10_000_000, "20.01", at=3, mid="2")
    with closing(open_readonly(path)) as connection:
        blocks = blocks_of(connection, read_session(connection, 1, "RLUSD"))
    hours = 149 * 4 / 3600
    for name, whole in (
        ("profit_per_hour", 0.5 / hours),
        ("trading_per_hour", 0.1 / hours),
        ("fills_per_hour", 1 / hours),
        ("xrp_per_hour", 10 / hours),
        ("captured_bps", 5.0),  # 2.001 against 2
        ("quoting_pct", 50.0),
    ):
        top, bottom = blocks[name]
        assert len(top) == 2
        assert top.sum() / bottom.sum() == pytest.approx(whole), name


def test_the_command_sets_sessions_beside_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "neo.db"
    with closing(start(path, hypothesis="wider is better")) as connection:
        session(connection, 2, config_json='{"risk": {"max_xrp_exposure": "99"}}')
        session(connection, 3)
        for number in (1, 2):
            for at in range(1, BLOCK_TICKS * (BLOCKS_MIN + 1)):
                quoting = "both" if number == 1 and at % 3 else "none"
                tick(connection, at, session_id=number, bid="1.99", ask="2.01", mark="2", quoting=quoting)
    assert (
        main(["--db", str(path), "--compare", "1", "2", "3", "--json", "--html", str(tmp_path / "c.html")])
        == 0
    )
    found = json.loads(capsys.readouterr().out)["comparison"]
    quoting_row = next(one for one in found["figures"] if one["name"] == "quoting_pct")
    assert [one["is_real"] for one in quoting_row["others"]] == [True, None]
    assert {one["key"]: one["values"] for one in found["config"]}["risk.max_xrp_exposure"] == [
        "150",
        "99",
        "150",
    ]
    assert "wider is better" in (tmp_path / "c.html").read_text(encoding="utf-8")
    assert main(["--db", str(path), "--compare", "1", "2"]) == 0
    out = capsys.readouterr().out
    assert "Session 2 against session 1" in out
    assert re.search(r"^Ticks quoting, %  .* real$", out, flags=re.M)
    assert max(map(len, out.splitlines())) <= 100


def test_a_session_beside_itself_differs_in_nothing(tmp_path: Path) -> None:
    build_small(tmp_path / "neo.db")
    with closing(open_readonly(tmp_path / "neo.db")) as connection:
        found = compare_sessions(connection, [1, 1])
    assert found.config == ()
    assert {one.others[0].difference for one in found.figures} <= {0, None}
