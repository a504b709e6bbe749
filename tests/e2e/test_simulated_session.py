"""Paper sessions on a market of agents, run as a user runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from neo_engine.bootstrap import EMBEDDED_RECORDING, EMBEDDED_SECONDS
from neo_engine.cli import paper_parser
from neo_engine.domain.ledger import LedgerUpdate
from neo_engine.feed.recorded import RecordedFeed
from neo_engine.ops.clock import SystemClock
from tests.e2e.helpers import ROOT, Argument, Done, check_database, in_process, last_session, run

MARKETS = ("calm", "volatile", "trending", "crash", "thin", "hostile")
CONFIG = ROOT / "config" / "paper.yaml"


def command(db: Path, *options: Argument, duration: str = "4m") -> list[Argument]:
    return [
        ROOT / "run_paper_session.py",
        *("--config", CONFIG, "--duration", duration, "--speed", "max", "--db", db, *options),
    ]


def said(db: Path, *options: Argument, duration: str = "4m") -> dict[str, Any]:
    done = run(command(db, *options, "--json", duration=duration))
    assert done.code == 0, done.err
    return done.json


def test_a_session_longer_than_the_recording_runs_on_the_simulated_market(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    told = said(db, duration="1h")
    assert told["halt_reason"] == "duration_elapsed"
    assert told["ledgers"] >= 900  # one in four seconds
    stored = last_session(db)
    assert (stored["feed"], stored["recording"].partition(" (")[0]) == ("simulated", "market calm")
    assert stored["pair"] == "XRP/RLUSD"
    check_database(db)


def test_a_shorter_one_runs_on_the_embedded_recording(tmp_path: Path) -> None:
    db = tmp_path / "neo.db"
    said(db)
    stored = last_session(db)
    assert (stored["feed"], stored["recording"]) == ("recorded", EMBEDDED_RECORDING.name)


def test_the_embedded_recording_is_as_long_as_the_choice_takes_it_to_be() -> None:
    feed = RecordedFeed(EMBEDDED_RECORDING, speed=None, clock=SystemClock(), silence_after_seconds=10**6)
    begun = last = feed.start().close_time
    while isinstance(item := feed.next(1.0), LedgerUpdate):
        last = item.close_time
    feed.close()
    assert last - begun == EMBEDDED_SECONDS


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--market", "thin", "--seed", 5), "feed: simulated, market thin, seed 5"),
        (("--feed", "simulated"), "feed: simulated, market calm, seed 1"),
        ((), "feed: recorded, the embedded recording"),
    ],
)
def test_the_choice_is_told_in_one_line(tmp_path: Path, options: tuple[Argument, ...], line: str) -> None:
    done = run(command(tmp_path / "neo.db", *options, duration="20s"))
    assert done.code == 0, done.err
    assert len([text for text in done.err.splitlines() if line in text]) == 1


@pytest.mark.parametrize("market", MARKETS)
def test_every_market_carries_a_session(tmp_path: Path, market: str) -> None:
    db = tmp_path / "neo.db"
    done: Done = run(command(db, "--market", market, "--json", duration="10m"))
    # A wild market may halt the session by its own limits; that is code 4 and no defect.
    assert done.code in (0, 4), done.err
    told = done.json
    assert told["halt_reason"] == "duration_elapsed" or told["halt_reason"].startswith("risk_")
    assert told["feed_faults"] == 0
    check_database(db)


def test_one_seed_is_one_session_and_another_seed_another(tmp_path: Path) -> None:
    options = ("--market", "hostile", "--seed")
    prints = [said(tmp_path / f"{n}.db", *options, seed)["fingerprint"] for n, seed in enumerate((3, 3, 4))]
    assert prints[0] == prints[1] != prints[2]


def test_a_session_may_start_from_what_the_markets_own_account_holds(tmp_path: Path) -> None:
    config = tmp_path / "neo.yaml"
    text = CONFIG.read_text(encoding="utf-8").replace("start_from: config ", "start_from: recording ")
    config.write_text(text.replace("max_xrp_exposure: 150.0", "max_xrp_exposure: 9000.0"), encoding="utf-8")
    done = run(command(tmp_path / "neo.db", "--config", config, "--market", "calm", "--json"))
    told = done.json
    assert (told["overlay_base_drops"], told["overlay_rlusd"]) == (499_999_990, "1000")


WRONG: dict[str, tuple[tuple[Argument, ...], str]] = {
    "an unknown market": (("--market", "psychic"), "choose one of calm, volatile"),
    "a market and a recording": (("--market", "calm", "--recording", "x.jsonl"), "--recording"),
    "the simulated feed and a recording": (("--feed", "simulated", "--recording", "x.jsonl"), "--recording"),
    "a market of the recorded feed": (("--feed", "recorded", "--market", "calm"), "--market"),
    "a feed that is not there yet": (("--feed", "xrpl"), "--feed simulated"),
}


@pytest.mark.parametrize("case", WRONG)
def test_choices_that_cannot_be_are_refused_before_anything_is_touched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    options, words = WRONG[case]
    error = in_process(capsys, paper_parser(), command(tmp_path / "neo.db", *options)[1:]).error(2)
    assert words in error, error
    assert list(tmp_path.iterdir()) == []
