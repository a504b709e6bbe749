"""A session tells its log, a person and the service manager what it does; `alert-test` tries the way."""

from __future__ import annotations

import json
import socket
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.helpers import CUT, check_database, engine, last_session, session, write_config
from tests.unit.webhook_fixture import Receiver, receiver

TAKER = "import pathlib, sys; pathlib.Path(sys.argv[1]).open('a').write(sys.stdin.read() + '\\n')"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def everything_written(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the session may write into; the configuration and the program lie elsewhere."""
    made = tmp_path / "data"
    made.mkdir()
    return made


def alerting_config(tmp_path: Path, **changes: object) -> Path:
    script = tmp_path / "taker.py"
    script.write_text(TAKER)
    command = f"'{sys.executable}' '{script}' '{tmp_path / 'alerts.jsonl'}'"
    wanted: dict[str, object] = {"alerts__webhook": "env:NEO_HOOK", "alerts__command": command}
    return write_config(tmp_path, **{**wanted, "alerts__min_severity": "info", **changes})


def test_a_halt_is_told_to_all_who_shall_know(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, db = alerting_config(tmp_path, risk__max_xrp_exposure="10"), folder / "neo.db"
    with receiver(200) as server, closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NEO_HOOK", server.url)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        done = session(db, config=config)
        manager.setblocking(False)
        notices = [manager.recv(1000).decode() for _ in range(3)]
    assert done.code == 4
    assert last_session(db)["halt_reason"] == "risk_xrp_exposure"
    check_database(db)

    kinds = [(one["kind"], one["key"], one["severity"]) for one in server.got]
    assert kinds == [
        ("session_start", "1", "info"),
        ("halt", "risk_xrp_exposure", "critical"),
        ("session_end", "risk_xrp_exposure", "info"),
    ]
    begun, halted, ended = server.got
    assert "tick" not in begun
    assert (halted["session"], halted["tick"], halted["pair"]) == (1, 1, "XRP/RLUSD")
    assert halted["ledger"] == last_session(db)["first_ledger"]
    assert last_session(db)["halt_detail"] in ended["text"]
    assert lines(tmp_path / "alerts.jsonl") == server.got

    assert [notice.partition("\n")[0] for notice in notices] == ["READY=1", "WATCHDOG=1", "STOPPING=1"]
    assert notices[2] == "STOPPING=1\nSTATUS=risk_xrp_exposure"

    log = lines(folder / "neo.db.log.jsonl")
    events = [line["event"] for line in log]
    assert events.index("session_begins") < events.index("session_ended")
    end = log[events.index("session_ended")]
    assert (end["session"], end["pair"], end["ledger"]) == (1, "XRP/RLUSD", last_session(db)["last_ledger"])
    assert end["numbers"]["ledgers"] == done.json["ledgers"]

    for secret in (b"KEYOFTHEHOOK", server.url.encode()):
        assert secret not in everything_written(folder) + done.err.encode() + done.out.encode()


def run_against(server: Receiver, monkeypatch: pytest.MonkeyPatch, db: Path, config: Path) -> Any:
    monkeypatch.setenv("NEO_HOOK", server.url)
    return session(db, config=config)


def test_a_start_that_fails_is_told_and_logged(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh"
    config = alerting_config(tmp_path, pair__quote_issuer=other, alerts__min_severity="critical")
    with receiver(200) as server:
        done = run_against(server, monkeypatch, folder / "neo.db", config)
    assert "pair.quote_issuer" in done.error(3)
    (alert,) = server.got
    assert (alert["kind"], alert["severity"]) == ("startup", "critical")
    assert other in alert["text"]
    (line,) = [one for one in lines(folder / "neo.db.log.jsonl") if one["level"] == "ERROR"]
    assert line["event"] == "session_failed"
    assert other in line["message"]


def test_a_wrong_command_line_is_told_to_nobody_and_writes_nothing(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiver(200) as server:
        monkeypatch.setenv("NEO_HOOK", server.url)
        done = session(folder / "neo.db", config=alerting_config(tmp_path), recording=tmp_path / "none")
    assert "no such file" in done.error(2)
    assert server.got == []
    assert list(folder.iterdir()) == []


def test_a_webhook_that_is_nowhere_is_a_start_that_fails(tmp_path: Path, folder: Path) -> None:
    config = write_config(tmp_path, alerts__webhook="env:NO_SUCH_HOOK")
    assert "alerts.webhook: the environment variable NO_SUCH_HOOK" in session(
        folder / "neo.db", config=config
    ).error(3)


def test_a_replay_alerts_nobody(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver(200) as server:
        monkeypatch.setenv("NEO_HOOK", server.url)
        config = alerting_config(tmp_path, risk__max_xrp_exposure="10")
        done = engine(
            *("replay", "--recording", CUT, "--config", config, "--db", folder / "neo.db", "--json")
        )
    assert done.code == 4
    assert server.got == []
    assert not (tmp_path / "alerts.jsonl").exists()


def test_what_a_session_decides_does_not_hang_on_whom_it_tells(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loud = alerting_config(tmp_path, log__level="DEBUG")
    with receiver(404) as server:
        told = run_against(server, monkeypatch, folder / "loud.db", loud).json
    quiet = session(folder / "quiet.db", config=write_config(tmp_path, log__file="none")).json
    assert told["fingerprint"] == quiet["fingerprint"]
    assert not (folder / "quiet.db.log.jsonl").exists()
    ticks = [line for line in lines(folder / "loud.db.log.jsonl") if line["event"] == "tick"]
    assert [line["tick"] for line in ticks] == list(range(1, told["ticks"] + 1))
    assert set(ticks[-1]["numbers"]) >= {"anchor", "half_spread_bps", "gates", "inventory_xrp"}
    assert "quoting" in ticks[-1]["message"]


def test_alert_test_sends_one_to_each_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = alerting_config(tmp_path)
    with receiver(200) as server:
        monkeypatch.setenv("NEO_HOOK", server.url)
        done = engine("alert-test", "--config", config)
    assert (done.code, done.out) == (0, "command: sent\nwebhook: sent\n"), done.err
    (got,) = server.got
    assert got["kind"] == "test"
    assert lines(tmp_path / "alerts.jsonl") == [{**got, "time": lines(tmp_path / "alerts.jsonl")[0]["time"]}]


def test_alert_test_says_what_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = alerting_config(tmp_path)
    with receiver(500) as server:
        monkeypatch.setenv("NEO_HOOK", server.url)
        done = engine("alert-test", "--config", config)
        assert len(server.got) == 1
    assert (done.code, done.out) == (3, "command: sent\nwebhook: FAILED, answered 500\n")
    assert "alerts.command are none" in engine("alert-test", "--config", write_config(tmp_path)).error(2)
