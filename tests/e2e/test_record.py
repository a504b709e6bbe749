"""`record` and paper sessions on a running network: the local server, as a user runs them."""

from __future__ import annotations

import gzip
import json
import shlex
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from neo_engine.cli import engine_parser, paper_parser
from neo_engine.domain.ledger import FeedEnd, LedgerUpdate
from neo_engine.feed.recorded import RecordedFeed
from neo_engine.ops.clock import SystemClock
from tests.e2e.helpers import (
    ROOT,
    Argument,
    check_database,
    engine,
    finish,
    in_process,
    last_session,
    report,
    run,
    session,
    start,
    ticks_stored,
    wait_for,
    write_config,
)
from tests.e2e.server_process import Running, server

CONFIG = ROOT / "config" / "paper.yaml"
MAINNET_RLUSD = "rMxCKbEDwqr76QuheSUMdEGf4B9xJ8m5De"
FAST = ("--close-every", "4s", "--speed", "16", "--seed", "7")  # a ledger every quarter of a second


@pytest.fixture(scope="module")
def market() -> Iterator[Running]:
    with server("--market", "volatile", *FAST) as running:
        yield running


def record_command(running: Running, out: Path, *more: Argument) -> list[Argument]:
    what = ("record", "--endpoint", running.ws, "--out", out, "--pair", "RLUSD", "--json")
    return ["-m", "neo_engine", *what, *more]


def recorded(running: Running, out: Path, *more: Argument) -> dict[str, Any]:
    done = run(record_command(running, out, *more))
    assert done.code == 0, done.err
    return done.json


def ledgers_in(path: Path) -> list[int]:
    """The ledgers of a recording that must hold no fault."""
    feed = RecordedFeed(path, speed=None, clock=SystemClock(), silence_after_seconds=10**6)
    feed.start()
    found = []
    while not isinstance(item := feed.next(1.0), FeedEnd):
        assert isinstance(item, LedgerUpdate), item
        found.append(item.ledger_index)
    feed.close()
    return found


def verdict(path: Path) -> dict[str, Any]:
    done = engine("verify-model", path, "--json")
    assert done.code == 0, done.err
    return done.json


def assert_all_exact(told: dict[str, Any]) -> None:
    assert told["transactions"] > 0
    assert told["exact_result_codes"] == told["exact_metadata"] == told["transactions"]
    assert told["end_state_equal"] is True
    assert told["differences"] == []


def test_a_recording_replays_to_the_last_digit_and_carries_a_session(market: Running, tmp_path: Path) -> None:
    out = tmp_path / "my.jsonl.gz"
    told = recorded(market, out, "--duration", "100s", "--check-every", "5")
    assert (told["complete"], told["gaps"], told["checks_failed"]) == (True, 0, 0)
    assert told["checks"] == -(-told["ledgers"] // 5)
    assert ledgers_in(out) == list(range(told["first_ledger"], told["last_ledger"] + 1))
    found = verdict(out)
    assert_all_exact(found)
    assert found["transactions"] == told["transactions"]
    db = tmp_path / "neo.db"
    done = session(db, recording=out)
    assert done.code == 0, done.err
    assert (done.json["ledgers"], done.json["feed_faults"]) == (told["ledgers"], 0)
    assert report(db)["agrees"] is True


def test_a_killed_recording_stays_readable_and_the_next_run_begins_a_further_part(
    market: Running, tmp_path: Path
) -> None:
    out = tmp_path / "my.jsonl.gz"
    process = start(record_command(market, out))
    wait_for("a recording", lambda: out.exists() and out.stat().st_size > 60_000)
    process.kill()
    finish(process)
    first = ledgers_in(out)
    assert first
    assert_all_exact(verdict(out))
    told = recorded(market, out, "--duration", "20s")
    assert told["parts"] == [str(tmp_path / "my.2.jsonl.gz")]
    second = ledgers_in(tmp_path / "my.2.jsonl.gz")
    assert second[0] > first[-1]


def test_parts_follow_each_other_without_a_missing_ledger(market: Running, tmp_path: Path) -> None:
    out = tmp_path / "my.jsonl.gz"
    process = start(record_command(market, out, "--rotate-mb", "1", "--check-every", "1"))
    wait_for("a second part", (tmp_path / "my.2.jsonl.gz").exists, 50)
    process.send_signal(signal.SIGINT)
    done = finish(process)
    assert done.json["gaps"] == 0
    numbers = [number for name in done.json["parts"] for number in ledgers_in(Path(name))]
    assert numbers == list(range(numbers[0], numbers[0] + done.json["ledgers"]))


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_in_order(market: Running, tmp_path: Path, sent: signal.Signals, code: int) -> None:
    out = tmp_path / "my.jsonl.gz"
    process = start(record_command(market, out))
    wait_for("a recording", lambda: out.exists() and out.stat().st_size > 50_000)
    process.send_signal(sent)
    done = finish(process)
    assert done.code == code, done.err
    assert len(ledgers_in(out)) == done.json["ledgers"] > 0
    assert done.json["bytes"] == out.stat().st_size


FAULTS = """
- {fault: gap, every: 9 ledgers, for: 2 ledgers}
- {fault: duplicate, every: 4 ledgers}
- {fault: reorder, every: 5 ledgers}
- {fault: malformed_stream, every: 7 ledgers}
- {fault: drop, every: 11 requests}
"""


def test_a_recording_from_a_faulty_server_is_whole_all_the_same(tmp_path: Path) -> None:
    faults, out = tmp_path / "faults.yaml", tmp_path / "my.jsonl.gz"
    faults.write_text(FAULTS, encoding="utf-8")
    with server("--market", "volatile", *FAST, "--faults", faults) as running:
        told = recorded(running, out, "--duration", "120s", "--check-every", "3")
    assert told["gaps"] == 0
    assert told["backfilled"] > 0
    numbers = ledgers_in(out)
    assert numbers == list(range(numbers[0], numbers[0] + told["ledgers"]))
    assert_all_exact(verdict(out))


def test_watched_accounts_are_recorded_under_their_names(market: Running, tmp_path: Path) -> None:
    issuer = json.loads(run(record_command(market, tmp_path / "a.gz", "--duration", "4s")).out)
    assert issuer["ledgers"] > 0
    quote = _header(tmp_path / "a.gz")["pair"]["quote"]["issuer"]
    recorded(
        market, tmp_path / "b.gz", "--duration", "4s", "--check-every", "1", "--accounts", f"issuer={quote}"
    )
    header = _header(tmp_path / "b.gz")
    assert (header["accounts"], header["watched"]) == ({"issuer": quote}, ["issuer"])


def _header(path: Path) -> dict[str, Any]:
    with gzip.open(path) as file:
        return dict(json.loads(file.readline()))


def paper_command(db: Path, url: str, *more: Argument) -> list[Argument]:
    what = ("--config", CONFIG, "--db", db, "--feed", "xrpl", "--endpoint", url, "--json")
    return [ROOT / "run_paper_session.py", *what, "--duration", "160s", *more]


def test_a_paper_session_on_a_running_network_fills_and_its_report_agrees(
    market: Running, tmp_path: Path
) -> None:
    db = tmp_path / "neo.db"
    done = run(paper_command(db, market.ws))
    assert done.code == 0, done.err
    told = done.json
    assert told["halt_reason"] == "duration_elapsed"
    assert told["ledgers"] >= 40  # one in four seconds of ledger time
    assert told["fills"] > 0
    assert told["feed_faults"] == 0
    assert report(db)["agrees"] is True
    stored = last_session(db)
    assert (stored["feed"], stored["recording"]) == ("xrpl", market.ws)
    check_database(db)


def test_a_network_that_falls_silent_ends_the_session_with_its_reason(tmp_path: Path) -> None:
    config = write_config(tmp_path, risk__stale_pull_seconds=3, risk__stale_halt_seconds=6)
    db = tmp_path / "neo.db"
    with server("--market", "calm", *FAST) as running:
        process = start(paper_command(db, running.ws, "--config", config, "--duration", "1d"))
        wait_for("twenty ticks", lambda: ticks_stored(db) >= 20)
    done = finish(process)
    assert done.code == 4, done.err
    assert done.json["halt_reason"] == "risk_stale_ledger"
    assert report(db)["agrees"] is True


def documented() -> list[list[str]]:
    """The command lines of docs/commands.md that this page's tests are about, without `python`."""
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    lines = [shlex.split(line)[1:] for line in text.splitlines() if line.startswith("python ")]
    return [line for line in lines if "xrpl" in line or "record" in line[:3]]


@pytest.mark.parametrize("command", documented(), ids=" ".join)
def test_every_documented_command_line_works_on_a_local_network(
    market: Running, tmp_path: Path, command: list[str]
) -> None:
    words: list[Argument] = [*command]
    while "--endpoint" in words:
        del words[words.index("--endpoint") : words.index("--endpoint") + 2]
    words += ["--endpoint", market.ws, "--duration", "8s"]
    if command[0].endswith(".py"):
        words[0] = ROOT / command[0]
        words += ["--config", CONFIG]  # the local network has an issuer of its own
    else:
        words += ["--pair", "RLUSD"]
    done = run(words, cwd=tmp_path)
    assert done.code == 0, done.err
    assert list(tmp_path.iterdir())


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_a_server_that_is_not_there_is_named_with_the_fix(tmp_path: Path) -> None:
    url = f"ws://127.0.0.1:{free_port()}"
    done = run(paper_command(tmp_path / "neo.db", url))
    assert done.code == 3, done.err
    assert url in done.err
    assert last_session(tmp_path / "neo.db")["halt_reason"] == "startup_failure"
    done = engine("record", "--endpoint", url, "--out", tmp_path / "my.jsonl.gz")
    assert url in done.error(3)
    assert not (tmp_path / "my.jsonl.gz").exists()


def test_a_token_that_nobody_issues_there_is_named_with_the_fix(market: Running, tmp_path: Path) -> None:
    config = ROOT / "config" / "paper_mainnet.yaml"
    done = run(paper_command(tmp_path / "neo.db", market.ws, "--config", config))
    assert done.code == 3, done.err
    assert f"{market.ws}: no account {MAINNET_RLUSD}" in done.err


WRONG_PAPER: dict[str, tuple[tuple[Argument, ...], str]] = {
    "no server": (("--feed", "xrpl"), "--endpoint wss://"),
    "an address of no socket": (("--feed", "xrpl", "--endpoint", "http://x.example"), "write a WebSocket"),
    "a port that is none": (("--feed", "xrpl", "--endpoint", "ws://x.example:abc"), "write a WebSocket"),
    "a server twice": (("--feed", "xrpl", *("--endpoint", "ws://x.example") * 2), "once"),
    "another pace": (("--feed", "xrpl", "--endpoint", "ws://x.example", "--speed", "max"), "leave --speed"),
    "a server of another feed": (("--feed", "recorded", "--endpoint", "ws://x.example"), "add --feed xrpl"),
    "a file": (("--feed", "xrpl", "--endpoint", "ws://x.example", "--recording", "x.gz"), "--recording"),
    "a market": (("--feed", "xrpl", "--endpoint", "ws://x.example", "--market", "calm"), "--market"),
}


@pytest.mark.parametrize("case", WRONG_PAPER)
def test_a_paper_session_that_cannot_be_is_refused_before_anything_is_touched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    options, words = WRONG_PAPER[case]
    command = ("--config", CONFIG, "--db", tmp_path / "neo.db", "--duration", "1m", *options)
    assert words in in_process(capsys, paper_parser(), command).error(2)
    assert list(tmp_path.iterdir()) == []


WRONG_RECORD: dict[str, tuple[tuple[Argument, ...], str]] = {
    "an address of no socket": (("--endpoint", "http://x.example"), "write a WebSocket"),
    "a pair without its issuer's address": (("--pair", "RLUSD.rX"), "RLUSD.rMxC"),
    "XRP against itself": (("--pair", f"XRP.{MAINNET_RLUSD}"), "RLUSD.rMxC"),
    "an account without a name": (("--accounts", MAINNET_RLUSD), "NAME=ADDRESS"),
    "a part of no size": (("--rotate-mb", "0"), "whole number"),
    "checks less than never": (("--check-every", "-1"), "whole number"),
}


@pytest.mark.parametrize("case", WRONG_RECORD)
def test_a_recording_that_cannot_be_is_refused_before_anything_is_touched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    options, words = WRONG_RECORD[case]
    command = ("record", "--endpoint", "ws://x.example", "--out", tmp_path / "my.jsonl.gz", *options)
    assert words in in_process(capsys, engine_parser(), command).error(2)
    assert list(tmp_path.iterdir()) == []
