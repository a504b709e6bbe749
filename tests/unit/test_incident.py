"""What a symptom's finder picks from stored rows, the case by hand; and what may not leave with a bundle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from benchmarks import state_workload as work
from neo_engine.domain.clock import LEDGER_EPOCH
from neo_engine.domain.errors import StateError
from neo_engine.domain.halt import HaltReason
from neo_engine.domain.records import FeedFaultRecord, Gate, IntentRecord
from neo_engine.domain.severity import Reading, Severity
from neo_engine.incident.bundle import LOG_LINES, default_folder, write_bundle
from neo_engine.incident.case import Case, Finding, open_case
from neo_engine.incident.scrub import scrubbed, scrubbed_value
from neo_engine.incident.symptoms import SYMPTOMS
from neo_engine.incident.tables import TICKS, cell
from neo_engine.report.status import engine_on
from neo_engine.report.why_rows import find_session, find_tick
from neo_engine.state.queries import open_readonly
from tests.unit.state_fixture import NOW
from tests.unit.test_secrets import SEED
from tests.unit.test_why import quiet, written

D = Decimal


@contextmanager
def opened(db: Path, tick: int | None = None) -> Iterator[Case]:
    connection = open_readonly(db)
    try:
        session = find_session(connection, "latest")
        moment = None if tick is None else find_tick(connection, session, tick)
        yield open_case(connection, db, session, engine_on(connection, db, NOW), moment)
    finally:
        connection.close()


def found(db: Path, symptom: str, tick: int | None = None) -> Finding:
    with opened(db, tick) as case:
        return SYMPTOMS[symptom](case)


def priced(tick: int, half: str, factors: tuple[tuple[str, str], ...] = (), **fields: Any) -> IntentRecord:
    """A tick that quotes both sides at a half-spread."""
    made = quiet(tick, quoting="both", **fields)
    pricing = replace(
        made.pricing, half_spread_bps=D(half), factors=tuple((name, D(value)) for name, value in factors)
    )
    return replace(made, pricing=pricing)


def gate(name: str, side: str = "both", detail: str = "numbers") -> Gate:
    return Gate(name=name, side=side, detail=detail)


def closed(tick: int, *gates: Gate, **fields: Any) -> IntentRecord:
    return quiet(tick, gates=gates, **fields)


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "neo.db"


# stopped


def test_stopped_finds_the_last_stretch_without_quotes_and_the_tick_before_it(db: Path) -> None:
    ticks = [
        priced(1, "3"),
        closed(2, gate("Gap")),
        priced(3, "3"),
        closed(4, gate("Gap")),
        closed(5, gate("Gap")),
    ]
    finding = found(written(db, *ticks), "stopped")
    assert finding.found
    assert finding.ticks == (5, 4, 3)
    assert finding.lines[0].startswith("nothing was quoted for 2 ticks, ")
    assert "gates in them: Gap both 2" in finding.lines
    assert "before it: tick 3 quoted both" in finding.lines


def test_stopped_that_is_over_says_so(db: Path) -> None:
    finding = found(written(db, priced(1, "3"), closed(2, gate("Gap")), priced(3, "3")), "stopped")
    assert finding.ticks == (2, 1)
    assert "it is over: tick 3 quoted both" in finding.lines


def test_stopped_of_one_side_names_the_side(db: Path) -> None:
    one = closed(2, gate("Inventory", "bid"), quoting="ask")
    finding = found(written(db, priced(1, "3"), one), "stopped")
    assert finding.lines[0].startswith("only the ask was quoted for 1 ticks")


def test_stopped_is_not_found_where_both_sides_were_quoted(db: Path) -> None:
    finding = found(written(db, priced(1, "3"), priced(2, "3")), "stopped")
    assert (finding.found, finding.ticks) == (False, (2,))


def test_a_moment_hides_what_came_after_it(db: Path) -> None:
    ticks = [closed(1, gate("Warmup")), priced(2, "3"), closed(3, gate("Gap"))]
    assert found(written(db, *ticks), "stopped", tick=2).ticks == (1,)


@pytest.mark.parametrize("symptom", SYMPTOMS)
def test_a_session_without_ticks_is_answered(db: Path, symptom: str) -> None:
    finding = found(written(db, end=HaltReason.STARTUP_FAILURE), symptom)
    assert any("startup_failure" in line for line in finding.lines)
    assert finding.ticks == ()


# spike


def test_spike_finds_the_greatest_jump_of_each(db: Path) -> None:
    def moved(tick: int, mark: str, value: str, half: str) -> IntentRecord:
        made = priced(tick, half)
        return replace(
            made, accounts=replace(made.accounts, mark=D(mark), account_value=D(value), net_capital=D(100))
        )

    ticks = [
        moved(1, "2", "101", "3"),
        moved(2, "2.02", "101", "3"),  # 100 bps up
        moved(3, "1.98", "100.5", "4"),  # 198 bps down, 0.5 lost
        moved(4, "1.98", "98.5", "5"),  # 2 lost
        moved(5, "1.98", "98.5", "12"),  # half-spread + 7
    ]
    finding = found(written(db, *ticks), "spike")
    assert finding.ticks == (5, 3, 4)
    assert finding.lines[0].startswith("half-spread: 5 to 12 bps at tick 5, ")
    assert finding.lines[1].startswith("mid: 2.02 to 1.98, -198.02 bps, at tick 3, ")
    assert finding.lines[2].startswith("loss: P&L 0.5 to -1.5 RLUSD at tick 4, ")


# killed


def test_killed_finds_the_first_tick_that_stopped_and_what_was_read_there(db: Path) -> None:
    reading = Reading(monitor="loss", severity=Severity.KILL, detail="40.5 RLUSD lost")
    stopping = gate("Stopping", detail="risk_max_loss")
    ticks = [priced(1, "3"), closed(2, stopping, readings=(reading,)), closed(3, stopping)]
    finding = found(written(db, *ticks, end=HaltReason.RISK_MAX_LOSS), "killed")
    assert finding.found
    assert finding.ticks == (2, 1, 3)
    assert any("tick 2, " in line and "risk_max_loss" in line for line in finding.lines)
    assert "monitor loss KILL: 40.5 RLUSD lost (since tick 2)" in finding.lines
    assert any("the numbers" in line for line in finding.lines)


def test_killed_names_a_process_that_died(db: Path) -> None:
    finding = found(written(db, priced(1, "3"), priced(2, "3")), "killed")
    assert finding.found
    assert "has no end: process 4711 was killed or crashed" in finding.lines[0]
    assert finding.ticks == (2,)


def test_a_session_that_ended_as_planned_was_not_killed(db: Path) -> None:
    stopping = gate("Stopping", detail="duration_elapsed")
    finding = found(
        written(db, priced(1, "3"), closed(2, stopping), end=HaltReason.DURATION_ELAPSED), "killed"
    )
    assert not finding.found
    assert finding.ticks == (2, 1)


# wide


def test_wide_finds_the_widest_tick_and_counts_the_factors(db: Path) -> None:
    # base_offset_bps is 3: wide from 3.03 on
    ticks = [
        priced(1, "3.02"),
        priced(2, "6", (("volatility", "2"),)),
        priced(3, "12", (("volatility", "2"), ("range", "2.5"))),
        priced(4, "3.03", (("volatility", "1.01"),)),
        priced(5, "3"),
    ]
    finding = found(written(db, *ticks), "wide")
    assert finding.found
    assert finding.ticks == (3, 4)
    assert "4.0 x its base: volatility 2, range 2.5" in finding.lines[0]
    assert finding.lines[1].startswith("wide at 3 of 5 priced ticks")
    assert "by volatility 2, range 1" in finding.lines


@pytest.mark.parametrize(("half", "wide"), [("3.0299", False), ("3.03", True)])
def test_wide_begins_at_a_hundredth_above_the_base(db: Path, half: str, wide: bool) -> None:
    assert found(written(db, priced(1, half)), "wide").found is wide


# limited


def test_limited_finds_the_gates_the_least_headroom_and_the_codes(db: Path) -> None:
    short = (("quota_headroom_pct", "4"),)
    ticks = [
        priced(1, "3"),
        replace(priced(2, "6", short), gates=(gate("QuotaCritical"),), quoting="none"),
        replace(priced(3, "6", (("quota_headroom_pct", "12"),)), gates=(gate("Backoff", "bid", "bid-1: x"),)),
    ]
    finding = found(written(db, *ticks), "limited")
    assert finding.found
    assert finding.ticks == (3, 2)
    assert "gates in them: QuotaCritical both 1, Backoff bid 1" in finding.lines
    assert any(line.startswith("least headroom counted: 4 % at tick 2") for line in finding.lines)


def test_limited_is_not_found_where_nothing_was_short(db: Path) -> None:
    assert not found(written(db, priced(1, "3"), closed(2, gate("Inventory", "bid"))), "limited").found


# stale


def test_stale_finds_the_longest_silence_the_faults_and_the_gates(db: Path) -> None:
    at = work.intent(1).close_time
    fault = FeedFaultRecord(kind="malformed_json", line=3, detail="no JSON")
    ticks = [
        priced(1, "3"),
        closed(2, kind="silence", close_time=at + 10),
        closed(3, gate("StaleData"), kind="silence", close_time=at + 20),
        priced(4, "3", close_time=at + 24),
        closed(5, kind="fault", faults=(fault,), close_time=at + 24),
        priced(6, "3", close_time=at + 28),
    ]
    finding = found(written(db, *ticks), "stale")
    assert finding.found
    assert finding.ticks[:2] == (3, 4)
    assert finding.lines[0].startswith("longest without a ledger: 24 s before tick 4")
    assert "faults of the feed: malformed_json 1" in finding.lines
    assert "gates they closed: StaleData both 1" in finding.lines


def test_stale_counts_a_silence_that_is_not_over(db: Path) -> None:
    at = work.intent(1).close_time
    ticks = [priced(1, "3"), priced(2, "3", close_time=at + 4), closed(3, kind="silence", close_time=at + 40)]
    finding = found(written(db, *ticks), "stale")
    assert finding.lines[0].startswith("longest without a ledger: 36 s before tick 3")


def test_ledgers_in_time_are_not_stale(db: Path) -> None:
    at = work.intent(1).close_time
    ticks = [priced(tick, "3", close_time=at + 4 * tick) for tick in (1, 2, 3)]
    assert not found(written(db, *ticks), "stale").found


# the bundle


def test_a_bundle_is_bounded_whatever_the_session_holds(db: Path, tmp_path: Path) -> None:
    written(db, *(quiet(tick) for tick in range(1, TICKS + 51)))
    with opened(db) as case:
        write_bundle(case, "stopped", SYMPTOMS["stopped"](case), tmp_path / "b", log_file=None, now=NOW)
    lines = (tmp_path / "b" / "ticks.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + TICKS
    assert lines[1].split(",")[2] == "51"


def test_a_folder_that_is_there_is_left_alone(db: Path, tmp_path: Path) -> None:
    written(db, quiet(1))
    (tmp_path / "b").mkdir()
    with opened(db) as case, pytest.raises(StateError, match="exists already"):
        write_bundle(case, "stopped", SYMPTOMS["stopped"](case), tmp_path / "b", log_file=None, now=NOW)
    assert list((tmp_path / "b").iterdir()) == []


def test_a_bundle_that_fails_leaves_nothing(db: Path, tmp_path: Path) -> None:
    written(db, quiet(1))
    with opened(db) as case, pytest.raises(StateError, match="--log"):
        finding = SYMPTOMS["stopped"](case)
        write_bundle(case, "stopped", finding, tmp_path / "b", log_file=tmp_path / "none.log", now=NOW)
    assert all(path.name.startswith("neo.db") for path in tmp_path.iterdir())


def test_the_end_of_a_log_is_kept_without_secrets(db: Path, tmp_path: Path) -> None:
    written(db, quiet(1))
    log = tmp_path / "neo.log"
    log.write_text("".join(f"line {n} wss://u:p@node.example/k{n}\n" for n in range(LOG_LINES + 10)), "utf-8")
    with opened(db) as case:
        write_bundle(case, "stopped", SYMPTOMS["stopped"](case), tmp_path / "b", log_file=log, now=NOW)
    lines = (tmp_path / "b" / "log.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == LOG_LINES
    assert lines[0] == "line 10 wss://node.example"


def test_the_folder_of_a_bundle_carries_time_and_symptom() -> None:
    folder = default_folder(Path("there") / "neo.db", "wide", LEDGER_EPOCH)
    assert folder == Path("there") / "neo.db.incidents" / "20000101T000000.000000Z-wide"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"key {SEED} end", "key <hidden> end"),
        ("wss://u:pw@node.example:51233/key?token=1", "wss://node.example:51233"),
        ('{"url":"https://node.example/v1/abc"}', '{"url":"https://node.example"}'),
        ("no endpoint, no seed", "no endpoint, no seed"),
    ],
)
def test_seeds_and_what_may_be_secret_in_an_endpoint_are_taken_out(text: str, shown: str) -> None:
    assert scrubbed(text) == shown


def test_a_configuration_keeps_the_kind_of_its_key_source_alone() -> None:
    value = {"live": {"key_source": "file:secret/place.seed", "endpoints": ["wss://a.example/key"], "n": 3}}
    assert scrubbed_value(value) == {
        "live": {"key_source": "file:<hidden>", "endpoints": ["wss://a.example"], "n": 3}
    }
    assert json.dumps(scrubbed_value([None, True, "x"])) == '[null, true, "x"]'


def test_a_cell_is_the_values_own_text() -> None:
    assert [cell(one) for one in (None, b"\x0a\xff", 3, "1.50", D("2.10"))] == [
        "",
        "0AFF",
        "3",
        "1.50",
        "2.10",
    ]
