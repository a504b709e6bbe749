"""Lines for a tax return: basis and gain by hand, lots over sessions, and that nothing is lost."""

from __future__ import annotations

import csv
import io
import random
import sqlite3
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import pytest

from neo_engine.cli import engine_parser
from neo_engine.report.tax import COLUMNS, SHORT_CLOSED, SHORT_OPENED, Lots
from tests.e2e.helpers import Done, in_process
from tests.unit.report_fixture import build_small, new_database


@pytest.fixture
def export(capsys: pytest.CaptureFixture[str]) -> Any:
    def exported(*arguments: object) -> Done:
        return in_process(capsys, engine_parser(), ["export-tax", *map(str, arguments)])

    return exported


def lines_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def gains(lines: list[dict[str, str]], method: str) -> list[str]:
    return [line[f"{method}_gain_quote"] for line in lines]


def test_the_small_session_by_hand(tmp_path: Path, export: Any) -> None:
    """Opening 100 XRP at 2.00; bought 10 for 19.90; sold 22 for 44.44 and 11 for 22.1100000000001."""
    path = tmp_path / "neo.db"
    build_small(path)
    done = export("--db", path, "--mode", "paper")
    assert done.code == 0
    assert tuple(done.out.splitlines()[0].split(",")) == COLUMNS
    bought, first, second = lines_of(done.out)
    assert (bought["side"], bought["base_amount"], bought["quote_amount"]) == ("buy", "10", "19.9")
    assert (bought["disposed_base"], bought["fifo_gain_quote"], bought["base_held_after"]) == ("", "", "110")
    # FIFO: both sales come out of the opening's XRP, which entered at 2.00.
    assert (first["proceeds_quote"], first["fifo_basis_quote"], first["fifo_gain_quote"]) == (
        "44.44",
        "44",
        "0.44",
    )
    assert (second["fifo_basis_quote"], second["fifo_gain_quote"]) == ("22", "0.1100000000001")
    # Average cost, from the fixture's own calculation: 43.98 and 21.99.
    assert (first["average_basis_quote"], first["average_gain_quote"]) == ("43.98", "0.46")
    assert (second["average_basis_quote"], second["average_gain_quote"]) == ("21.99", "0.1200000000001")
    # Order 1's create burned 10 drops, at the fill's price 1.99; order 3 sent nothing that burned.
    assert (bought["network_fee_xrp"], bought["network_fee_quote"]) == ("0.00001", "0.0000199")
    assert second["network_fee_xrp"] == "0"
    assert done.err == (
        "3 fills; gains in RLUSD: 0.5500000000001 by FIFO, 0.5800000000001 by average cost; "
        "network fees of filled orders: 0.00002 XRP\n"
    )


def test_a_year_is_utc_and_earlier_fills_still_count_for_the_lots(tmp_path: Path, export: Any) -> None:
    path = tmp_path / "neo.db"
    build_small(path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE fills SET close_time = '2025-12-31T23:59:59Z' WHERE id = 1")
        connection.execute("UPDATE fills SET close_time = '2026-01-01T00:00:00Z' WHERE id > 1")
    connection.close()
    before = lines_of(export("--db", path, "--mode", "paper", "--year", 2025).out)
    assert [one["fill_id"] for one in before] == ["1"]
    later = lines_of(export("--db", path, "--mode", "paper", "--year", 2026).out)
    assert gains(later, "average") == ["0.46", "0.1200000000001"]  # the buy of 2025 is in the average
    assert lines_of(export("--db", path, "--mode", "paper", "--year", 2024).out) == []


def live_database(path: Path, openings: tuple[str, str]) -> None:
    """Two live sessions of one account: the first buys 10 XRP for 30, the second sells 15 for 45."""
    connection = new_database(path)
    for session, (xrp, mark) in enumerate(zip(openings, ("2", "2.5"), strict=True), 1):
        connection.execute(
            "INSERT INTO sessions (session_id, mode, feed, pair, account, started_at, engine_version) "
            "VALUES (?, 'live', 'xrpl', 'XRP/RLUSD', 'rMe', '', '')",
            (session,),
        )
        connection.execute(
            "INSERT INTO capital_events (session_id, scope, request_id, kind, asset, amount, mark, status, "
            "created_at, tick) VALUES (?1, ?1, 'open', 'opening', 'XRP', ?2, ?3, 'applied', '', 1)",
            (session, xrp, mark),
        )
    for fill, (session, side, drops, delta) in enumerate(
        ((1, "buy", 10_000_000, "-30"), (2, "sell", 15_000_000, "45")), 1
    ):
        connection.execute(
            "INSERT INTO orders (id, session_id, side, price, size_xrp, status, created_at) "
            "VALUES (?, ?, ?, '3', '1', 'FILLED', '')",
            (fill, session, side),
        )
        connection.execute(
            "INSERT INTO fills (id, session_id, order_id, tick, ledger_index, transaction_index, node, "
            "close_time, tx_hash, side, liquidity, xrp_drops, rlusd, rlusd_balance_delta, rounding, price, "
            "offer_sequence) VALUES (?1, ?2, ?1, 2, 100, 0, 'N', '2026-05-01T00:00:00Z', 'H', ?3, 'maker', "
            "?4, '1', ?5, '0', '3', 1)",
            (fill, session, side, drops, delta),
        )
    connection.close()


@pytest.mark.parametrize(
    ("openings", "basis"),
    [
        (("10", "20"), 35),  # 10 at 2, and 5 of the 10 that cost 30
        (("10", "24"), 35),  # 4 more came in between: they are behind the others
        (("10", "16"), 39),  # 4 went in between, the oldest: 6 at 2, and 9 at 3
    ],
)
def test_lots_of_a_live_account_go_on_in_its_next_session(
    tmp_path: Path, export: Any, openings: tuple[str, str], basis: int
) -> None:
    path = tmp_path / "live.db"
    live_database(path, openings)
    done = export("--db", path)
    assert done.code == 0
    sale = lines_of(done.out)[1]
    assert Decimal(sale["fifo_basis_quote"]) == basis
    assert Decimal(sale["fifo_gain_quote"]) == 45 - basis


def test_paper_sessions_are_accounts_of_their_own(tmp_path: Path, export: Any) -> None:
    path = tmp_path / "paper.db"
    live_database(path, ("10", "20"))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE sessions SET mode = 'paper'")
    connection.close()
    sale = lines_of(export("--db", path, "--mode", "paper").out)[1]
    assert sale["fifo_basis_quote"] == "37.5"  # 15 of the 20 XRP its own session opened with, at 2.5


def test_more_sold_than_held_is_a_short_and_says_so(tmp_path: Path, export: Any) -> None:
    path = tmp_path / "short.db"
    live_database(path, ("0", "0"))
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE fills SET side = 'sell', rlusd_balance_delta = '30' WHERE id = 1")
        connection.execute("UPDATE fills SET side = 'buy', rlusd_balance_delta = '-36' WHERE id = 2")
        connection.execute("UPDATE sessions SET account = 'rOne' WHERE session_id = 1")
        connection.execute("UPDATE fills SET session_id = 1, xrp_drops = 12000000, tick = 3 WHERE id = 2")
    connection.close()
    sold, bought = lines_of(export("--db", path).out)
    assert (sold["note"], sold["fifo_gain_quote"], sold["base_held_after"]) == (SHORT_OPENED, "", "-10")
    # 10 of the 12 close the short: they brought 30 and cost 36 x 10 / 12 = 30.
    assert (bought["note"], bought["disposed_base"], bought["base_held_after"]) == (SHORT_CLOSED, "10", "2")
    assert bought["fifo_gain_quote"] == "0"


def test_gains_and_what_is_left_are_exactly_what_came_and_went() -> None:
    rng = random.Random(11)
    with localcontext() as context:
        context.prec = 300
        for _ in range(50):
            lots, money, gain = Lots(), Decimal(0), Decimal(0)
            for _ in range(60):
                drops = rng.randint(1, 10**9) * rng.choice((1, -1))
                quote = -Decimal(drops).scaleb(-6) * Decimal(rng.randint(1, 10**16)).scaleb(-16)
                money += quote
                gain += lots.exchange(drops, quote).gain
            assert money == gain - lots.cost


def test_there_must_be_sessions_of_the_mode(tmp_path: Path, export: Any) -> None:
    path = tmp_path / "neo.db"
    build_small(path)
    assert "no live session; --mode paper" in export("--db", path).error(2)
    empty = tmp_path / "empty.db"
    new_database(empty).close()
    assert "no session yet" in export("--db", empty).error(2)
    assert export("--db", path, "--year", "26").code == 2
    export("--db", tmp_path / "none.db").error(3)


def test_out_writes_the_same_lines_to_a_file(tmp_path: Path, export: Any) -> None:
    path, target = tmp_path / "neo.db", tmp_path / "tax.csv"
    build_small(path)
    shown = export("--db", path, "--mode", "paper").out
    done = export("--db", path, "--mode", "paper", "--out", target)
    assert (done.code, done.out) == (0, "")
    assert str(target) in done.err
    assert target.read_text(encoding="utf-8") == shown
    assert "cannot be written" in export("--db", path, "--mode", "paper", "--out", tmp_path).error(2)


def test_a_damaged_row_is_named(tmp_path: Path, export: Any) -> None:
    path = tmp_path / "neo.db"
    build_small(path)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE fills SET rlusd_balance_delta = 'x' WHERE id = 2")
    connection.close()
    assert "fills row 2" in export("--db", path, "--mode", "paper").error(3)
