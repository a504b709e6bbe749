"""The report's markouts are those of the view v_markouts, fill by fill, in a session that the engine ran."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from decimal import Decimal as D
from pathlib import Path

import numpy as np
import pytest

from neo_engine.bootstrap import SessionOptions, run_session
from neo_engine.config import load_config
from neo_engine.ops.clock import SystemClock
from neo_engine.report.attribution import HORIZON_LEDGERS, later_mids
from neo_engine.report.columns import load
from neo_engine.report.data import read_session
from neo_engine.report.markouts import LEDGERS, marked
from neo_engine.state.queries import open_readonly
from neo_engine.tick import decide
from tests.style.tree import ROOT
from tools.check_markouts import differences, view_differences

Markouts = dict[tuple[int, int], float | None]
SECONDS = 1_200  # 300 ledgers


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A paper session on a simulated market, and the same with ledgers and mids lost on the way."""
    path = tmp_path_factory.mktemp("markouts") / "neo.db"
    run_session(
        SessionOptions(
            config=load_config(ROOT / "config" / "paper.yaml"),
            db=path,
            mode="paper",
            feed="simulated",
            recording=None,
            market="volatile",
            endpoints=(),
            speed="max",
            seed=5,
            duration_seconds=SECONDS,
            on_tick=lambda _: None,
            decide=decide,
        ),
        SystemClock(),
    )
    return path


@pytest.fixture(scope="module")
def torn(session: Path) -> Path:
    """The same session with every 13th ledger missing and every 7th without a mid."""
    path = session.with_name("torn.db")
    with closing(sqlite3.connect(session)) as whole, closing(sqlite3.connect(path)) as copy:
        whole.backup(copy)
        copy.execute("DELETE FROM market_snapshots WHERE tick % 13 = 0")
        copy.execute("DELETE FROM ticks WHERE tick % 13 = 0")
        copy.execute("UPDATE market_snapshots SET best_ask = NULL WHERE tick % 7 = 0")
        copy.commit()
    return path


def of_view(path: Path) -> Markouts:
    with closing(open_readonly(path)) as connection:
        rows = connection.execute("SELECT fill_id, ledgers, markout_bps FROM v_markouts").fetchall()
    return {(row[0], row[1]): row[2] for row in rows}


def of_report(path: Path) -> Markouts:
    with closing(open_readonly(path)) as connection:
        data = read_session(connection, 1, "RLUSD")
        ids = [row[0] for row in connection.execute("SELECT id FROM fills ORDER BY tick, id")]
    later = marked(data.columns, data.fills).later_bps
    return {
        (fill, ledgers): None if np.isnan(value) else float(value)
        for ledgers, values in zip(LEDGERS, later, strict=True)
        for fill, value in zip(ids, values, strict=True)
    }


@pytest.mark.parametrize("which", ["session", "torn"])
def test_view_and_report_agree_to_the_last_bit(which: str, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(which)
    view, report = of_view(path), of_report(path)
    assert len(view) >= 5 * 20
    assert sum(value is None for value in view.values()) > 0
    assert sum(value is not None for value in view.values()) >= 50
    assert view == report


def test_lost_ledgers_take_markouts_away_and_change_none(session: Path, torn: Path) -> None:
    whole, less = of_report(session), of_report(torn)
    gone = [place for place, value in less.items() if value is None and whole[place] is not None]
    assert len(gone) >= 10
    assert {place: value for place, value in less.items() if value is not None}.items() <= whole.items()


@pytest.mark.parametrize("which", ["session", "torn"])
def test_the_attribution_takes_the_mid_of_the_markout_where_there_is_one(
    which: str, request: pytest.FixtureRequest
) -> None:
    path: Path = request.getfixturevalue(which)
    with closing(open_readonly(path)) as connection:
        rows = connection.execute(
            "SELECT f.ledger_index, m.mid_later FROM v_markouts m JOIN fills f ON f.id = m.fill_id "
            "WHERE m.ledgers = ? ORDER BY f.tick, f.id",
            (HORIZON_LEDGERS,),
        ).fetchall()
        taken = later_mids(load(connection, 1), [row[0] for row in rows], HORIZON_LEDGERS)
    known = [(D(repr(row[1])), mid) for row, mid in zip(rows, taken, strict=True) if row[1] is not None]
    assert len(known) >= 10
    for mid_of_view, mid in known:
        assert mid is not None
        assert abs(mid / mid_of_view - 1) < D("1E-15")


@pytest.mark.parametrize("which", ["session", "torn"])
def test_pandas_gives_every_value_of_report_and_view(which: str, request: pytest.FixtureRequest) -> None:
    with closing(open_readonly(request.getfixturevalue(which))) as connection:
        count, wrong = differences(connection, "1")
    assert wrong == []
    assert count >= 5 * 20


def test_pandas_finds_a_view_that_is_wrong(session: Path) -> None:
    path = session.with_name("wrong.db")
    with closing(sqlite3.connect(session)) as whole, closing(sqlite3.connect(path)) as copy:
        whole.backup(copy)
        (sql,) = copy.execute("SELECT sql FROM sqlite_schema WHERE name = 'v_markouts'").fetchone()
        copy.execute("DROP VIEW v_markouts")
        copy.execute(
            sql.replace("f.ledger_index + h.ledgers", "f.ledger_index + h.ledgers + (h.ledgers = 5)")
        )
        known = copy.execute(
            "SELECT count(markout_bps) FROM v_markouts WHERE ledgers = 5 AND mid_later <> price"
        ).fetchone()[0]
        copy.commit()
        wrong = view_differences(copy, 1)[1]
    assert known >= 10
    assert len(wrong) >= known / 4  # where the mid moved between the fifth ledger and the sixth
    assert all("5 ledgers" in line for line in wrong)
