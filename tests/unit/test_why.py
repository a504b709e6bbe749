"""Why it does not quote: the true cause is named from the database alone, by primary keys only."""

from __future__ import annotations

import ast
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from benchmarks import state_workload as work
from neo_engine.bootstrap import SessionOptions, run_session
from neo_engine.config import Config, known_keys, live_keys, load_config
from neo_engine.domain.errors import UsageError
from neo_engine.domain.halt import HaltReason
from neo_engine.domain.kill import LATCH_KEY, OPEN, KillReason, add, to_json
from neo_engine.domain.market import DataFault
from neo_engine.domain.orders import OrderStatus
from neo_engine.domain.records import FeedFaultRecord, Finding, Gate, IntentRecord, SessionStart
from neo_engine.domain.severity import Reading, Severity
from neo_engine.ops.clock import SystemClock
from neo_engine.ops.control import request_kill
from neo_engine.report.status import engine_on, read_status
from neo_engine.report.why import Explanation, explain, untouched
from neo_engine.report.why_rows import find_session, find_tick, find_time
from neo_engine.report.why_table import GATES, STEPS, STOPPING, halt_step
from neo_engine.report.why_text import explanation_json, held_text
from neo_engine.state.lock import database_lock_path, is_held
from neo_engine.state.manager import StateManager
from neo_engine.state.queries import open_readonly
from neo_engine.strategy.gates import data_gates
from tests.style.tree import ROOT, engine_modules, parsed
from tests.unit.state_fixture import NOW, OPTIONS, fixed_now

DATA = ROOT / "tests" / "data"
PAPER = ROOT / "config" / "paper.yaml"
CORE = (
    *("neo_engine.strategy", "neo_engine.risk", "neo_engine.inventory", "neo_engine.tick"),
    "neo_engine.execution.diff",
)
#: One capitalised word in the core's sources that is no gate.
NO_GATES = {"XRP", "RLUSD"}


def changed(**sections: dict[str, object]) -> Config:
    config = load_config(PAPER)
    updates = {name: getattr(config, name).model_copy(update=keys) for name, keys in sections.items()}
    return config.model_copy(update=updates)


def ran(db: Path, config: Config, recording: Path = DATA / "calm_cut.jsonl.gz") -> Path:
    options = SessionOptions(
        config=config,
        db=db,
        mode="paper",
        feed="recorded",
        recording=recording,
        speed="max",
        seed=1,
        duration_seconds=None,
        on_tick=lambda _: None,
    )
    run_session(options, SystemClock())
    return db


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ran(tmp_path_factory.mktemp("calm") / "neo.db", load_config(PAPER))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    db = tmp_path_factory.mktemp("hostile") / "neo.db"
    return ran(db, load_config(PAPER), DATA / "hostile_cut.jsonl.gz")


def ask(db: Path, tick: int | None = None, at: str | None = None) -> Explanation:
    """The answer about a tick, a time, or, without either, about now."""
    with closing(open_readonly(db)) as connection:
        session = find_session(connection, "latest")
        engine = engine_on(connection, db, NOW)
        if session.last_tick is None:
            return untouched(session, engine)
        row = find_time(connection, session, at) if at is not None else find_tick(connection, session, tick)
        return explain(connection, session, row, engine, now=tick is None and at is None)


def outcomes(answer: Explanation) -> dict[str, str]:
    return {step.name: step.outcome for step in answer.steps if step.outcome != "ok"}


def facts(answer: Explanation, name: str) -> list[str]:
    return [fact.text for step in answer.steps if step.name == name for fact in step.facts]


def started(mode: str = "paper") -> SessionStart:
    config = load_config(PAPER).model_dump_json()
    return replace(work.session_start(mode), config_json=config)


def written(db: Path, *intents: IntentRecord, end: HaltReason | None = None, mode: str = "paper") -> Path:
    """A database with one session of these ticks; without `end` it is left as a killed process leaves it."""
    with closing(StateManager.open(db, OPTIONS, now=fixed_now)) as store:
        store.begin_session(started(mode))
        for one in intents:
            store.commit_intent(one)
        if end is not None:
            last = replace(work.session_end(len(intents)), halt_reason=end.value, halt_detail="the numbers")
            store.end_session(last)
    return db


def quiet(tick: int, **fields: Any) -> IntentRecord:
    """A tick that wants nothing and sends nothing."""
    nothing = {
        "new_orders": (),
        "changed_orders": (),
        "prepared": (),
        "replaces": {},
        "transactions": (),
        "fills": (),
        "inventory": (),
        "gates": (),
        "quotes": (),
        "quoting": "none",
        "kept": 0,
    }
    return replace(work.intent(tick), **{**nothing, **fields})


# gates


def test_a_tick_in_warm_up_names_the_warm_up_with_its_count_and_key(calm: Path) -> None:
    answer = ask(calm, 3)
    assert answer.verdict == "tick 3: no quotes: the quote gate Warmup (3 of 10 mids seen)"
    assert (answer.outcome, answer.step, answer.cause) == ("stopped", "quote gate", "Warmup")
    assert outcomes(answer) == {"quote gate": "stopped"}
    assert facts(answer, "quote gate") == ["Warmup: 3 of 10 mids seen [strategy.warmup_ticks 10]"]


def test_a_calm_tick_quotes_both_sides_at_the_base(calm: Path) -> None:
    # base_offset 3 bps plus the network fee: 10 drops at 2.1 RLUSD of an order of 15 RLUSD are 0.014 bps
    answer = ask(calm, 20)
    assert answer.verdict.startswith("tick 20: both sides quoted; the spread is at its base, 3.01 bps")
    assert (answer.outcome, answer.step, outcomes(answer)) == ("ok", None, {})


def test_a_wide_spread_names_its_factors(hostile: Path) -> None:
    with closing(sqlite3.connect(hostile)) as connection:
        tick, half, factors = connection.execute(
            "SELECT tick, half_spread_bps, factors FROM ticks WHERE quoting = 'both' "
            "ORDER BY CAST(half_spread_bps AS REAL) DESC LIMIT 1"
        ).fetchone()
    stored = json.loads(factors)
    answer = ask(hostile, tick)
    assert (answer.outcome, answer.cause) == ("widened", "volatility")
    assert answer.verdict == (
        f"tick {tick}: both sides quoted; the spread is {float(half) / 3:.1f} x its base: "
        f"volatility {stored['v']:.2f}, range {stored['r']:.2f}, toxicity {stored['toxicity']:.2f}, "
        f"defence {stored['defence']:.2f}"
    )
    assert any("strategy.volatility_reference_bps 3.0" in fact for fact in facts(answer, "spread"))


def test_a_gap_in_the_ledgers_stops_at_the_data_gate(tmp_path: Path) -> None:
    gap = Gate(name="Gap", side="both", detail="ledger 7 is missing")
    answer = ask(written(tmp_path / "neo.db", quiet(1, gates=(gap,), kept=2)), 1)
    assert answer.verdict == (
        "tick 1: no quotes: the data gate Gap (ledger 7 is missing); 2 orders stay in the book"
    )
    assert outcomes(answer)["data gate"] == "stopped"


def test_an_empty_book_stops_at_the_data_gate(tmp_path: Path) -> None:
    market = replace(work.snapshot(1, 3), bids=(), best_bid=None, mid=None)
    intent = quiet(
        1,
        snapshot=market,
        gates=data_gates(market),
        pricing=replace(work.intent(1).pricing, half_spread_bps=None),
    )
    answer = ask(written(tmp_path / "neo.db", intent), 1)
    assert answer.verdict == "tick 1: no quotes: the data gate EmptySide (no bids)"
    assert outcomes(answer) == {"data gate": "stopped", "spread": "not reached"}


def test_the_first_of_several_steps_is_named(tmp_path: Path) -> None:
    gates = (
        Gate(name="AnchorDivergence", side="both", detail="book spread 300 bps > 200"),
        Gate(
            name="StaleData", side="both", detail="no validated ledger for 16 s (risk.stale_pull_seconds 15)"
        ),
    )
    answer = ask(written(tmp_path / "neo.db", quiet(1, gates=gates)), 1)
    assert (answer.step, answer.cause) == ("data gate", "StaleData")
    # the key named in the gate's own numbers is not said twice
    assert facts(answer, "data gate") == [
        "StaleData: no validated ledger for 16 s (risk.stale_pull_seconds 15) "
        "[risk.stale_halt_seconds 60, risk.stale_data_seconds 15]"
    ]


def test_a_full_inventory_closes_one_side(tmp_path: Path) -> None:
    # 100 XRP are held; 0.5 x 150 XRP is the soft limit, and 220 RLUSD stay below that of RLUSD
    half: dict[str, object] = {"soft_limit_share": Decimal("0.5")}
    db = ran(tmp_path / "neo.db", changed(inventory=half, risk={"max_rlusd_exposure": Decimal(1000)}))
    answer = ask(db, 20)
    assert answer.verdict.startswith(
        "tick 20: only the ask is quoted: bid closed by the monitors Risk (position_xrp: "
    )
    assert "inventory.soft_limit_share 0.5 of risk.max_xrp_exposure 150" in answer.verdict
    # two steps closed the bid for the same reason: the first is named
    assert answer.verdict.count("bid closed") == 1
    assert {answer.outcome, outcomes(answer)["monitors"], outcomes(answer)["quote gate"]} == {"one side"}
    assert "risk.max_xrp_exposure 150.0" in facts(answer, "quote gate")[0]
    assert facts(answer, "monitors")[1].startswith("monitor position_xrp: REDUCE_ONLY: ")


def test_one_gate_that_closes_both_sides_tells_both_numbers(tmp_path: Path) -> None:
    # 100 XRP >= 0.5 x 150 XRP, and 220 RLUSD >= 0.5 x 400 RLUSD
    db = ran(tmp_path / "neo.db", changed(inventory={"soft_limit_share": Decimal("0.5")}))
    verdict = ask(db, 20).verdict
    assert verdict.startswith("tick 20: no quotes: the monitors Risk (position_xrp: 100 XRP held, from 75 ")
    assert "; position_rlusd: 220 RLUSD held, from 200 " in verdict


def test_a_monitor_that_kills_is_named_and_not_the_operator(tmp_path: Path) -> None:
    reading = Reading(monitor="cascade", severity=Severity.KILL, detail="5.2 near depths")
    calm = Reading(monitor="staleness", severity=Severity.NORMAL, detail="0 s")
    warn = Reading(monitor="staleness", severity=Severity.WARN, detail="11 s")
    stopping = Gate(name=STOPPING, side="both", detail="kill_switch")
    ticks = (
        quiet(1, readings=(warn,)),
        quiet(2, readings=(calm,)),
        quiet(3, readings=(reading,), gates=(stopping,)),
    )
    db = written(tmp_path / "neo.db", *ticks, end=HaltReason.KILL_SWITCH)
    for answer in (ask(db), ask(db, 3)):
        assert (answer.step, answer.cause) == ("monitors", "kill_switch")
        assert facts(answer, "monitors") == ["monitor cascade: KILL: 5.2 near depths (since tick 3)"]
    assert facts(ask(db, 1), "monitors") == ["monitor staleness: WARN: 11 s (since tick 1)"]
    assert facts(ask(db, 2), "monitors") == []


def test_little_headroom_widens_by_its_factor_and_not_by_its_counts(tmp_path: Path) -> None:
    factors = (
        *(("volatility", Decimal(1)), ("range", Decimal(1)), ("multiplier", Decimal(1))),
        *(("quota_headroom_pct", Decimal(25)), ("quota", Decimal(2))),
        *(("quota_shadow_bps", Decimal("0.3")), ("quota_levels", Decimal(3)), ("imbalance", Decimal("0.4"))),
    )
    # 3 bps x 2 + 0.3 bps = 2.1 x 3 bps
    pricing = replace(work.intent(15).pricing, half_spread_bps=Decimal("6.3"), factors=factors)
    quotes = work.intent(15).quotes
    answer = ask(written(tmp_path / "neo.db", quiet(15, pricing=pricing, quotes=quotes, quoting="both")), 15)
    assert answer.verdict == (
        "tick 15: both sides quoted; the spread is 2.1 x its base: quota 2, quota_shadow 0.3 bps"
    )
    assert answer.cause == "quota"


def test_a_factor_of_the_chain_is_the_cause_and_what_is_behind_it_only_a_fact(tmp_path: Path) -> None:
    factors = (
        *(("volatility", Decimal(1)), ("toxicity", Decimal(2)), ("staleness", Decimal("1.25"))),
        *(("model", Decimal(1)), ("product", Decimal("2.5")), ("multiplier", Decimal("2.5"))),
        *(("flow_imbalance", Decimal("-0.99")), ("taker_markout_bps", Decimal(9))),
        ("pool_age_ticks", Decimal(20)),
    )
    pricing = replace(work.intent(15).pricing, half_spread_bps=Decimal("7.5"), factors=factors)
    quotes = work.intent(15).quotes
    answer = ask(written(tmp_path / "neo.db", quiet(15, pricing=pricing, quotes=quotes, quoting="both")), 15)
    assert answer.verdict == (
        "tick 15: both sides quoted; the spread is 2.5 x its base: toxicity 2, staleness 1.25"
    )
    assert answer.cause == "toxicity"
    told = facts(answer, "spread")
    assert "toxicity: 2, at its cap [strategy.toxicity_factor_max 2.0]" in told
    assert "pool_age_ticks: 20" in told
    assert "multiplier: 2.5 [strategy.max_composed_spread_mult 10.0]" in told


def test_two_closed_sides_are_no_quotes_with_both_reasons(tmp_path: Path) -> None:
    gates = (
        Gate(name="Inventory", side="bid", detail="140 XRP held >= 135"),
        Gate(name="Capital", side="ask", detail="ask-1: needs 7 XRP, 0 XRP free"),
    )
    answer = ask(written(tmp_path / "neo.db", quiet(1, gates=gates)), 1)
    assert answer.verdict == (
        "tick 1: no quotes: bid closed by the quote gate Inventory (140 XRP held >= 135), "
        "ask closed by the capital check Capital (ask-1: needs 7 XRP, 0 XRP free)"
    )


def test_a_dropped_level_leaves_its_side_open(tmp_path: Path) -> None:
    quotes = work.intent(15).quotes
    gate = Gate(name="MinNotional", side="bid", detail="bid-2 is worth 1 RLUSD < 2")
    answer = ask(written(tmp_path / "neo.db", quiet(15, gates=(gate,), quotes=quotes, quoting="both")), 15)
    assert outcomes(answer)["quote gate"] == "fewer"
    assert answer.verdict.endswith("; a level is missing: MinNotional (bid-2 is worth 1 RLUSD < 2)")


def test_a_silent_tick_decides_nothing_and_leaves_the_orders(tmp_path: Path) -> None:
    answer = ask(written(tmp_path / "neo.db", quiet(1, kind="silence", snapshot=None, kept=1)), 1)
    assert answer.verdict == ("tick 1: nothing was decided: no ledger came; 1 order stays in the book")


def test_faults_and_findings_of_the_tick_and_no_other_are_told(tmp_path: Path) -> None:
    def marked(tick: int) -> IntentRecord:
        return quiet(
            tick,
            faults=(FeedFaultRecord(kind="MalformedMessage", line=tick, detail=f"line {tick}"),),
            findings=(Finding(name="vanished", order_id=None, halts=False, detail=f"order of {tick}"),),
        )

    db = written(tmp_path / "neo.db", *(marked(tick) for tick in range(1, 6)))
    written(db, *(marked(tick) for tick in range(1, 4)))
    assert facts(ask(db, 2), "monitors") == [
        "MalformedMessage: fault: line 2",
        "vanished: repaired: order of 2",
    ]


# orders


def test_an_own_offer_in_the_way_is_the_order_diffs(tmp_path: Path) -> None:
    quotes = work.intent(15).quotes
    gate = Gate(name="SelfCross", side="bid", detail="bid-1: 2.2 would cross our own order 3 at 2.1")
    db = written(tmp_path / "neo.db", quiet(15, gates=(gate,), quotes=quotes, quoting="both", kept=1))
    answer = ask(db, 15)
    assert outcomes(answer)["order diff"] == "one side"
    assert answer.verdict.startswith(
        "tick 15: only the ask is quoted: bid closed by the order diff SelfCross ("
    )


def test_what_a_tick_sent_is_found_with_its_answers(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    with closing(StateManager.open(db, OPTIONS, now=fixed_now)) as store:
        store.begin_session(started())
        for intent, outcome in work.stream(12):
            store.commit_intent(intent)
            if outcome is not None:
                store.commit_outcome(outcome)
    answer = ask(db, 5)
    assert facts(answer, "exchange") == [
        "create bid-1: order 1: accepted, tesSUCCESS, now CANCELED",
        "create ask-1: order 2: accepted, tesSUCCESS, now CANCELED",
    ]
    assert [one.partition(",")[0] for one in facts(ask(db, 10), "exchange")] == [
        "replace bid-1: order 3: accepted",
        "replace ask-1: order 4: accepted",
    ]
    assert facts(ask(db, 7), "exchange") == []


def test_orders_that_the_exchange_refused_stop_at_the_exchange(tmp_path: Path) -> None:
    first = work.intent(5)
    refused = tuple(
        replace(order, status=OrderStatus.REJECTED, failure_reason="tecINSUF_RESERVE_OFFER")
        for order in first.new_orders
    )
    sent = replace(first, gates=(), quoting="both")
    db = written(tmp_path / "neo.db", sent, quiet(6, changed_orders=refused))
    answer = ask(db, 5)
    assert answer.verdict == (
        "tick 5: nothing stands of what was wanted: the exchange tecINSUF_RESERVE_OFFER "
        "(bid-1: tecINSUF_RESERVE_OFFER)"
    )
    half = written(tmp_path / "half.db", sent, quiet(6, changed_orders=refused[:1]))
    assert ask(half, 5).verdict.startswith("tick 5: only the ask is quoted: bid closed by the exchange tec")


def test_the_cancels_of_a_halt_are_found_with_their_old_orders(tmp_path: Path) -> None:
    db = ran(tmp_path / "neo.db", changed(risk={"max_loss_rlusd": Decimal("0.01")}))
    with closing(sqlite3.connect(db)) as connection:
        tick, wanted = connection.execute("SELECT tick, canceled FROM ticks WHERE canceled > 0").fetchone()
        sent = connection.execute(
            "SELECT count(*) FROM submissions WHERE tick = ? AND kind = 'cancel'", (tick,)
        ).fetchone()[0]
    answer = ask(db, tick)
    told = [one for one in facts(answer, "exchange") if one.startswith("cancel")]
    assert len(told) == sent == wanted > 0
    assert (answer.step, answer.cause) == ("monitors", "risk_max_loss")
    assert "risk.max_loss_rlusd 0.01" in answer.verdict


# the end


def test_now_tells_how_long_the_same_cause_has_held(tmp_path: Path) -> None:
    gaps = [quiet(tick, gates=(Gate(name="Gap", side="both", detail=f"{tick}"),)) for tick in range(4, 9)]
    db = written(tmp_path / "neo.db", *(quiet(tick) for tick in range(1, 4)), *gaps)
    with closing(StateManager.open(db, OPTIONS, now=fixed_now)) as store:  # the same again, while it runs
        store.begin_session(started())
        for one in (*(quiet(tick) for tick in range(1, 4)), *gaps):
            store.commit_intent(one)
        answer = ask(db)
    assert (answer.running, answer.cause) == (True, "Gap")
    assert answer.held is not None
    # ticks 4 to 8, four seconds apart
    assert held_text(answer.held) == "so for 5 ticks, 16 s (since tick 4)"
    assert ask(db, 6).held is None


def test_a_killed_process_is_the_answer_of_now_and_not_of_its_ticks(tmp_path: Path) -> None:
    db = written(tmp_path / "neo.db", quiet(1), quiet(2, gates=(Gate(name="Gap", side="both", detail="g"),)))
    now = ask(db)
    assert (now.running, now.step, now.cause) == (False, "session", "died")
    assert "session 1 was never ended and no engine runs: process 4711 was killed or crashed" in now.verdict
    assert (ask(db, 2).step, ask(db, 2).cause) == ("data gate", "Gap")


@pytest.mark.parametrize(
    ("reason", "step"),
    [
        (HaltReason.DURATION_ELAPSED, "session"),
        (HaltReason.INTERRUPTED_SIGTERM, "session"),
        (HaltReason.KILL_SWITCH, "kill switch"),
        (HaltReason.RISK_MAX_DRAWDOWN, "monitors"),
        (HaltReason.RECONCILER_HALT, "monitors"),
    ],
)
def test_a_halted_session_names_the_step_that_asked_for_it(
    tmp_path: Path, reason: HaltReason, step: str
) -> None:
    stopping = Gate(name=STOPPING, side="both", detail=reason.value)
    db = written(tmp_path / "neo.db", quiet(1), quiet(2, gates=(stopping,)), end=reason)
    answers = ask(db), ask(db, 2)
    assert {(one.step, one.cause, one.outcome) for one in answers} == {(step, reason.value, "stopped")}
    assert all("the numbers" in one.verdict for one in answers)
    assert ask(db, 1).cause == "account"


def test_a_kill_file_and_a_latch_are_part_of_now(tmp_path: Path) -> None:
    db = written(tmp_path / "neo.db", quiet(1), end=HaltReason.DURATION_ELAPSED, mode="live")
    request_kill(db, "price looks wrong")
    assert facts(ask(db), "kill switch") == ["kill file: price looks wrong"]
    latch = add(OPEN, KillReason(reason=HaltReason.RISK_MAX_LOSS, detail="lost 30", at=NOW))
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("INSERT INTO engine_state VALUES (?, ?, ?)", (LATCH_KEY, to_json(latch), "x"))
        connection.commit()
    assert "lost 30" in facts(ask(db), "kill switch")[1]
    with closing(open_readonly(db)) as connection:
        assert engine_on(connection, db, NOW + timedelta(hours=25)).latch is None


def test_a_session_without_a_tick_says_so(tmp_path: Path) -> None:
    db = written(tmp_path / "neo.db")
    answer = ask(db)
    assert answer.verdict.startswith("session 1 has no tick: session 1 was never ended")
    assert answer.tick is None


# what is asked for


@pytest.mark.parametrize(
    ("at", "tick"),
    [
        ("2026-11-20T21:45:01Z", 3),
        ("2026-11-20T21:45:03+00:00", 3),
        ("2026-11-20T22:45:03+01:00", 3),
        ("21:45:01", 3),
        ("21:46", 14),
    ],
)
def test_a_time_finds_the_last_tick_before_it(calm: Path, at: str, tick: int) -> None:
    with closing(sqlite3.connect(calm)) as connection:
        times = dict(connection.execute("SELECT tick, close_time FROM ticks"))
    found = ask(calm, at=at)
    if at == "21:46":
        tick = max(one for one, time in times.items() if time <= "2026-11-20T21:46:00Z")
    assert (found.tick, found.close_time) == (tick, times[tick])


@pytest.mark.parametrize("at", ["20:00:00", "2026-11-20T21:00:00Z", "yesterday", "2027-01-01T00:00:00Z", ""])
def test_a_time_without_a_tick_is_refused_and_told_what_there_is(calm: Path, at: str) -> None:
    with pytest.raises(UsageError, match=r"session 1 holds ticks 1 to 61, 2026-11-20T21:44:.*Z to 2026"):
        ask(calm, at=at)


@pytest.mark.parametrize("tick", [0, 62, 2**32, 2**40])
def test_an_unknown_tick_is_refused_and_told_what_there_is(calm: Path, tick: int) -> None:
    with pytest.raises(UsageError, match=f"--tick {tick}: session 1 holds ticks 1 to 61"):
        ask(calm, tick)


@pytest.mark.parametrize("which", ["2", "0", "last", "-1", "９"])
def test_an_unknown_session_is_refused_and_told_what_there_is(calm: Path, which: str) -> None:
    with closing(open_readonly(calm)) as connection, pytest.raises(UsageError, match="1"):
        find_session(connection, which)


def test_every_tick_of_two_sessions_has_an_answer(calm: Path, hostile: Path) -> None:
    for db, count in ((calm, 61), (hostile, 51)):
        for tick in range(1, count + 1):
            answer = ask(db, tick)
            assert [step.name for step in answer.steps] == list(STEPS)
            assert answer.verdict.startswith(f"tick {tick}: ")
            assert json.loads(explanation_json(answer))["verdict"] == answer.verdict


# status


def test_the_status_tells_what_the_last_tick_left(calm: Path) -> None:
    with closing(open_readonly(calm)) as connection:
        status = read_status(connection, calm, datetime.now(UTC))
        row = connection.execute("SELECT * FROM ticks ORDER BY id DESC LIMIT 1").fetchone()
        fills = connection.execute("SELECT count(*) FROM fills").fetchone()[0]
    assert (status.running, status.session_id, status.tick) == (False, 1, 61)
    assert status.holdings is not None
    assert status.holdings.xrp * 1_000_000 == row["inventory_xrp_drops"]
    pnl = Decimal(row["account_value_rlusd"]) - Decimal(row["net_capital_rlusd"])
    assert abs(status.holdings.pnl - pnl) < Decimal("1E-12")
    assert status.fills is not None
    assert status.fills.count == fills  # the whole session lasted five minutes
    assert status.orders == ()  # its end closed them
    assert status.halt_reason == "recording_ended"


def test_the_status_of_a_running_session_has_its_orders_with_their_distance(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    with closing(StateManager.open(db, OPTIONS, now=fixed_now)) as store:
        store.begin_session(started())
        for intent, outcome in work.stream(12):
            store.commit_intent(intent)
            if outcome is not None:
                store.commit_outcome(outcome)
        with closing(open_readonly(db)) as connection:
            status = read_status(connection, db, NOW)
    assert (status.running, status.session_id, status.quoting) == (True, 1, "both")
    assert [(one.order_id, one.slot) for one in status.orders] == [(3, "bid-1"), (4, "ask-1")]
    # our bid 5 bps below the mid; the best one of others 3 bps below it, as 12 is a multiple of 3
    assert [one.distance_bps for one in status.orders] == [Decimal("-2.00"), Decimal("-2.00")]


def test_a_lock_is_seen_and_nothing_is_made_or_written(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    lock = database_lock_path(db)
    assert not is_held(lock)
    assert not lock.exists()
    with closing(StateManager.open(db, OPTIONS, now=fixed_now)):
        note = lock.read_bytes()
        assert is_held(lock)
        assert lock.read_bytes() == note
    assert not is_held(lock)


# the table, the queries


def words_of_the_core() -> Iterator[str]:
    """Every text of one capitalised word in the sources that make gates: their names are among them."""
    for name, path in engine_modules().items():
        if not name.startswith(CORE):
            continue
        exported = {
            id(word)
            for node in parsed(path).body
            if isinstance(node, ast.Assign) and "__all__" in ast.dump(node.targets[0])
            for word in ast.walk(node)
        }
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in exported:
                word = node.value
                if word.isascii() and word.isalpha() and word[0].isupper() and len(word) > 2:
                    yield word


def test_every_gate_of_the_engine_is_in_the_table_and_no_other() -> None:
    named = set(words_of_the_core()) - NO_GATES | {fault.value for fault in DataFault}
    assert "Warmup" in named
    assert named - set(GATES) == set(), "add it to report/why_table.py and docs/why.md"
    assert set(GATES) - named == set()


def test_every_key_of_the_table_is_one_of_the_configuration() -> None:
    keys = {key for gate in GATES.values() for key in gate.keys}
    assert keys <= {*known_keys(), *live_keys()}
    assert {gate.step for gate in GATES.values()} <= set(STEPS)


def test_every_halt_reason_has_a_step() -> None:
    assert {halt_step(reason.value) for reason in HaltReason} == {"session", "kill switch", "monitors"}
    assert halt_step(None) == "session"


def test_the_document_has_every_gate() -> None:
    text = (ROOT / "docs" / "why.md").read_text(encoding="utf-8")
    for name, gate in GATES.items():
        keys = ", ".join(f"`{key}`" for key in gate.keys)
        assert f"| `{name}` | {gate.step} | {gate.means} | {gate.advice} | {keys} |" in text, name


def test_no_query_reads_a_large_table_from_end_to_end(calm: Path) -> None:
    queries: set[str] = set()
    with closing(open_readonly(calm)) as connection:
        connection.set_trace_callback(queries.add)
        session = find_session(connection, "latest")
        engine = engine_on(connection, calm, NOW)
        row = find_time(connection, session, "21:46:30")
        assert row.placed
        explain(connection, session, row, engine, now=False)
        last = find_tick(connection, session, None)
        assert explain(connection, session, last, engine, now=True).held is not None
        explain(connection, session, replace(row, canceled=2), engine, now=False)
        read_status(connection, calm, NOW)
        connection.set_trace_callback(None)
        assert len(queries) > 15
        for query in queries:
            if not query.startswith("SELECT"):
                continue
            plan = [step[3] for step in connection.execute(f"EXPLAIN QUERY PLAN {query}")]
            large = [step for step in plan if step.startswith("SCAN") and "fills" not in step]
            assert large == [] or "max(id)" in query or "session_id)" in query, (query, plan)
