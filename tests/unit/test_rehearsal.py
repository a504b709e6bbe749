"""The world in one thread: the same seed gives the same session, and a session may die anywhere."""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from neo_engine.config import read_yaml
from neo_engine.domain.errors import InvariantViolation, StartupFailure
from neo_engine.domain.halt import HaltReason
from neo_engine.rehearsal.points import POINTS, Crash
from neo_engine.rehearsal.world import LEDGER_SECONDS, Rehearsal, RehearsalTerms
from neo_engine.simulator.agents.hands import line_value
from neo_engine.simulator.clock import SimulatedClock
from neo_engine.simulator.model import keys
from neo_engine.simulator.server.fault_schedule import parse_schedule
from neo_engine.simulator.server.genesis import RLUSD

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
BASE = "config/live_testnet.yaml"
QUICK: dict[str, dict[str, Any]] = {"strategy": {"warmup_ticks": 3, "price_tolerance_bps": Decimal(0)}}
#: Printed by a process of its own: what the session decided and what the network became.
ONE_RUN = """
import sys
from pathlib import Path
from tests.unit.test_rehearsal import HOSTILE, world
one = world("hostile", seed=7, faults=HOSTILE)
done = one.session(Path(sys.argv[1]), ledgers=25)
print(done.session.fingerprint, done.session.halt.reason.value, one.network.chain.header.ledger_hash)
"""
HOSTILE = """
- {fault: latency, every: 40 requests, for: 2 requests, parameters: {seconds: 1.0, jitter: 0.5}}
- {fault: reorder, at_ledger: 6, for: 2 ledgers}
- {fault: malformed_stream, at_ledger: 9, parameters: {how: absurd}}
- {fault: drop, at_request: 30}
- {fault: gap, at_ledger: 14, for: 2 ledgers}
- {fault: lost_reply, at_ledger: 17, for: 2 requests}
"""


def world(market: str = "calm", *, seed: int = 1, faults: str = "[]", **more: Any) -> Rehearsal:
    """A world with a quick configuration."""
    document = read_yaml((ROOT / BASE).read_text(encoding="utf-8"), BASE)
    for section, values in QUICK.items():
        document[section] |= values
    terms = RehearsalTerms(market=market, seed=seed, faults=parse_schedule(faults), **more)
    return Rehearsal.open(document, BASE, terms)


def held(one: Rehearsal) -> tuple[int, Decimal]:
    """Drops and tokens of our account on the ledger."""
    entries = one.network.chain.state.entries
    line = entries[keys.line(one.account, one.network.issuer, RLUSD)]
    return entries[keys.account_root(one.account)]["Balance"], line_value(line, one.account)


def booked(summary: dict[str, Any]) -> tuple[int, Decimal]:
    """The same by the engine's own last word."""
    drops = summary["overlay_base_drops"] + summary["fills_base_drops"] - summary["fees_drops"]
    return drops, Decimal(summary["overlay_rlusd"]) + Decimal(summary["fills_rlusd"])


# the clock


def test_deeds_run_in_the_order_of_their_time_then_of_asking() -> None:
    clock, seen = SimulatedClock(0), list[tuple[str, float]]()
    for name, seconds in (("late", 2.0), ("first", 1.0), ("second", 1.0)):
        clock.after(seconds, lambda name=name: seen.append((name, clock.monotonic())))  # type: ignore[misc]
    clock.sleep(1.5)
    assert seen == [("first", 1.0), ("second", 1.0)]
    assert clock.monotonic() == 1.5
    clock.sleep(10.0)
    assert seen[-1] == ("late", 2.0)
    assert clock.utc_now().isoformat() == "2000-01-01T00:00:11.500000+00:00"


def test_a_deed_may_ask_for_another_but_never_wait() -> None:
    clock, seen = SimulatedClock(0), list[float]()
    clock.after(1.0, lambda: clock.after(1.0, lambda: seen.append(clock.monotonic())))
    clock.sleep(3.0)
    assert seen == [2.0]
    clock.after(0.0, lambda: clock.sleep(1.0))
    with pytest.raises(InvariantViolation, match="waits for time to pass"):
        clock.sleep(1.0)


# a session


def test_a_session_quotes_fills_and_books_what_the_ledger_says(tmp_path: Path) -> None:
    one = world("hostile", seed=3)
    done = one.session(tmp_path / "neo.db", ledgers=30)
    assert done.session.halt.reason is HaltReason.DURATION_ELAPSED
    assert done.left == ()
    assert int(str(done.session.summary["fills"])) > 0
    assert booked(done.session.summary) == held(one)


def test_time_passes_only_as_ledgers_close(tmp_path: Path) -> None:
    one = world()
    began, first = one.clock.monotonic(), one.ledger
    assert first == 1
    one.session(tmp_path / "neo.db", ledgers=10)
    closed = one.ledger - first
    assert 0 <= one.clock.monotonic() - began - closed * LEDGER_SECONDS < LEDGER_SECONDS


@pytest.mark.parametrize("hash_seed", ["0", "1", "4242"])
def test_the_same_seed_gives_the_same_session_in_any_process(hash_seed: str, tmp_path: Path) -> None:
    here = world("hostile", seed=7, faults=HOSTILE)
    done = here.session(tmp_path / "here.db", ledgers=25)
    expected = [
        done.session.fingerprint,
        done.session.halt.reason.value,
        here.network.chain.header.ledger_hash,
    ]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    there = subprocess.run(
        [sys.executable, "-c", ONE_RUN, str(tmp_path / "there.db")],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=120,
        cwd=ROOT,
    )
    assert there.returncode == 0, there.stderr
    assert there.stdout.split() == expected


def test_another_seed_gives_another_session(tmp_path: Path) -> None:
    prints = {
        world("hostile", seed=seed).session(tmp_path / f"{seed}.db", ledgers=8).session.fingerprint
        for seed in (1, 2)
    }
    assert len(prints) == 2


# deaths


@pytest.mark.parametrize("point", [name for name in POINTS if not name.startswith("end")])
def test_a_session_that_died_is_followed_by_one_whose_books_agree(point: str, tmp_path: Path) -> None:
    one = world("hostile", seed=5)
    passed = 0

    def die(name: str) -> None:
        nonlocal passed
        passed += name == point
        if name == point and (passed == 8 or point == "begin.after"):
            raise Crash(name)

    with pytest.raises(Crash):
        one.session(tmp_path / "neo.db", ledgers=40, point=die)
    one.clock.sleep(2 * LEDGER_SECONDS)
    done = one.session(tmp_path / "neo.db", ledgers=20)
    assert done.session.halt.reason is HaltReason.DURATION_ELAPSED, done.session.halt.detail
    assert done.left == ()
    assert booked(done.session.summary) == held(one)


@pytest.mark.parametrize("point", ["end.before", "end.after"])
def test_a_session_that_died_in_its_last_word_leaves_nothing_on_the_ledger(
    point: str, tmp_path: Path
) -> None:
    one = world(seed=5)

    def die(name: str) -> None:
        if name == point:
            raise Crash(name)

    with pytest.raises(Crash):
        one.session(tmp_path / "neo.db", ledgers=8, point=die)
    done = one.session(tmp_path / "neo.db", ledgers=0)
    assert done.left == ()
    assert booked(done.session.summary) == held(one)


def test_points_are_passed_in_their_order_and_none_is_unknown(tmp_path: Path) -> None:
    seen: list[str] = []
    world().session(tmp_path / "neo.db", ledgers=8, point=seen.append)
    assert list(dict.fromkeys(seen)) == list(POINTS)


# what is not there, and what is refused


def test_a_second_session_after_a_kill_is_refused_by_the_latch(tmp_path: Path) -> None:
    one = world()
    db = tmp_path / "neo.db"
    one.at_ledger(5, lambda: db.with_name("neo.db.kill").touch(), seconds=1.0)
    assert one.session(db, ledgers=10).session.halt.reason is HaltReason.KILL_SWITCH
    with pytest.raises(StartupFailure, match="the kill switch is in force"):
        one.session(db, ledgers=10)


def test_a_server_that_refuses_the_subscription_ends_the_start(tmp_path: Path) -> None:
    one = world(faults="[{fault: drop, at_request: 1, for: 3 requests}]")
    with pytest.raises(StartupFailure, match="no server can be used"):
        one.session(tmp_path / "neo.db", ledgers=10)


def test_a_server_that_charges_warns_and_drops_whoever_asks_too_much() -> None:
    one = world(unlimited=False)
    client = one.server.make_client("127.0.0.1", "/", lambda: None, unlimited=False)
    for number in range(3_000):
        one.server.take(client, f'{{"id": {number}, "command": "account_lines", "account": "{one.account}"}}')
        if client.silent:
            break
    assert any(b'"warning":"load"' in message for message in client.take())
    assert client.silent
    one.clock.sleep(6.0)
    assert client.closing == (1008, "threshold exceeded")
