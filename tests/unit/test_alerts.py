"""Alerts leave by webhook and program, once, in order, and whatever the other side does nobody waits."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import threading
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from neo_engine.config_sections import AlertsConfig
from neo_engine.domain.alerts import Alert, AlertSeverity
from neo_engine.domain.errors import StartupFailure
from neo_engine.ops import alerts as module
from neo_engine.ops.alert_sinks import Program, SendFailed, Sink, Webhook, sinks_of
from neo_engine.ops.alerts import ATTEMPTS, QUEUE_ALERTS, Alerts, AlertTimes, Repeats, body_of
from neo_engine.ops.secrets import Secret
from tests.unit.webhook_fixture import receiver, wait_for

SEED = "snoPBrXtMeMyMHUVTgbuqAfg1SUTb"
QUICK = AlertTimes(first_pause=0.01, flush=5.0)
WHERE = {"session": 7, "tick": 3, "ledger": 1000, "pair": "XRP/RLUSD"}


def settings(**changes: Any) -> AlertsConfig:
    base = {
        "webhook": "none",
        "command": "none",
        "min_severity": "info",
        "repeat_seconds": 900,
        "timeout_seconds": 10,
    }
    return AlertsConfig(**{**base, **changes})


def alert(key: str = "a", severity: AlertSeverity = AlertSeverity.WARNING, text: str = "5 of 3") -> Alert:
    return Alert(kind="pulled", key=key, severity=severity, text=text)


def hook(url: str, timeout_seconds: float = 5.0) -> Webhook:
    return Webhook(Secret(url), timeout_seconds)


# the webhook


def test_a_webhook_gets_the_alert_as_json() -> None:
    with receiver(200) as server:
        with closing(Alerts(settings(), (hook(server.url),), QUICK)) as alerts:
            alerts.raise_alert(alert(), WHERE)
        assert (alerts.sent, alerts.failed, alerts.dropped) == (1, 0, 0)
        (got,) = server.got
        assert server.paths == ["/services/KEYOFTHEHOOK?thread=1"]
    assert got.pop("time").endswith("Z")
    assert got.pop("host")
    assert got == {
        "severity": "warning",
        "kind": "pulled",
        "key": "a",
        "text": "NEO warning pulled: 5 of 3",
        "held_back": 0,
        **WHERE,
    }


@pytest.mark.parametrize("passing", [500, 503, 429, 408])
def test_a_failure_that_may_pass_is_tried_again(passing: int) -> None:
    with receiver(passing, passing, 204) as server:
        with closing(Alerts(settings(), (hook(server.url),), QUICK)) as alerts:
            alerts.raise_alert(alert(), WHERE)
        assert len(server.got) == 3
    assert (alerts.sent, alerts.failed) == (1, 0)


def test_tries_have_an_end_and_their_failure_is_logged_without_the_address(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("neo_engine"), "propagate", True)
    with receiver(500) as server:
        with closing(Alerts(settings(), (hook(server.url),), QUICK)) as alerts:
            alerts.raise_alert(alert(), WHERE)
        assert len(server.got) == ATTEMPTS
    assert (alerts.sent, alerts.failed) == (0, 1)
    assert "could not be sent to the webhook: answered 500" in caplog.text
    assert "KEYOFTHEHOOK" not in caplog.text


@pytest.mark.parametrize("final", [301, 400, 404, 410])
def test_an_answer_that_cannot_pass_is_not_asked_for_again(final: int) -> None:
    with receiver(final) as server:
        with closing(Alerts(settings(), (hook(server.url),), QUICK)) as alerts:
            alerts.raise_alert(alert(), WHERE)
        assert len(server.got) == 1
    assert alerts.failed == 1


@pytest.mark.parametrize("answer", [0, -1], ids=["says nothing", "a letter at a time"])
def test_a_server_that_hangs_is_left_at_the_limit(answer: int) -> None:
    with receiver(answer) as server:
        began = time.monotonic()
        with pytest.raises(SendFailed):
            hook(server.url, 0.3).send(b"{}")
        assert 0.25 < time.monotonic() - began < 3


def test_a_refused_connection_is_a_failure_and_names_no_address() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    with pytest.raises(SendFailed) as caught:
        hook(f"http://127.0.0.1:{port}/KEYOFTHEHOOK").send(b"{}")
    assert str(caught.value) == "ConnectionRefusedError"
    assert not caught.value.final


@pytest.mark.parametrize("url", ["ftp://host/x", "no address", "http://", "http://[half", "http://h:0/"])
def test_an_address_that_is_none_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(StartupFailure) as caught:
        hook(url)
    assert url not in str(caught.value)
    assert "alerts.webhook" in str(caught.value)


# the program


def program(tmp_path: Path, code: str, *, seconds: float = 10, environment: Any = None) -> Program:
    script = tmp_path / "program.py"
    script.write_text(code)
    return Program([sys.executable, str(script), str(tmp_path / "out")], seconds, environment or os.environ)


def test_a_program_gets_the_alert_on_its_stdin(tmp_path: Path) -> None:
    code = "import sys, pathlib; pathlib.Path(sys.argv[1]).write_text(sys.stdin.read())"
    with closing(Alerts(settings(), (program(tmp_path, code),), QUICK)) as alerts:
        alerts.raise_alert(alert(), WHERE)
    assert alerts.sent == 1
    assert json.loads((tmp_path / "out").read_text())["text"] == "NEO warning pulled: 5 of 3"


def test_a_program_that_fails_or_cannot_be_run_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(SendFailed, match="ended with 3"):
        program(tmp_path, "raise SystemExit(3)").send(b"{}")
    with pytest.raises(SendFailed, match="cannot be run") as caught:
        Program([str(tmp_path / "none")], 1, {}).send(b"{}")
    assert caught.value.final


def test_a_program_that_does_not_read_is_no_harm(tmp_path: Path) -> None:
    with pytest.raises(SendFailed):
        program(tmp_path, "import os; os.close(0); raise SystemExit(1)").send(b"x" * 1_000_000)


@pytest.mark.skipif(os.name == "nt", reason="process groups")
def test_a_program_that_never_ends_is_ended_with_its_children(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "pathlib.Path(sys.argv[1]).write_text(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    began = time.monotonic()
    with pytest.raises(SendFailed, match="did not end within"):
        program(tmp_path, code, seconds=2).send(b"{}")
    assert time.monotonic() - began < 10
    child = int((tmp_path / "out").read_text())
    assert wait_for(lambda: not _runs(child))


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


def test_a_program_never_sees_the_variables_that_hold_secrets(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text("import os, sys, json; json.dump(dict(os.environ), open(sys.argv[1], 'w'))")
    command = f"{sys.executable} {script} '{tmp_path / 'out file'}'"
    environment = {**os.environ, "NEO_SEED": SEED, "NEO_HOOK": "http://127.0.0.1:1/x", "KEPT": "yes"}
    config = settings(command=command, webhook="env:NEO_HOOK")
    first, second = sinks_of(config, "env:NEO_SEED", environment)
    assert (first.name, second.name) == ("command", "webhook")
    first.send(b"{}")
    seen = json.loads((tmp_path / "out file").read_text())
    assert seen["KEPT"] == "yes"
    assert not {"NEO_SEED", "NEO_HOOK"} & seen.keys()


def test_nothing_configured_sends_nothing_and_has_no_thread() -> None:
    before = threading.active_count()
    assert sinks_of(settings(), None, {}) == ()
    alerts = Alerts(settings(), ())
    alerts.raise_alert(alert(), WHERE)
    assert threading.active_count() == before
    alerts.close()


def test_a_webhook_whose_address_is_nowhere_is_told_with_its_key() -> None:
    with pytest.raises(StartupFailure, match=r"alerts\.webhook: the environment variable NEO_HOOK"):
        sinks_of(settings(webhook="env:NEO_HOOK"), None, {})


# which, and how often


class Kept:
    """A sink that keeps what it gets; `gate` holds it up."""

    name = "kept"

    def __init__(self, gate: threading.Event | None = None) -> None:
        self.got: list[dict[str, Any]] = []
        self.gate = gate
        self.given_up = False

    def send(self, body: bytes) -> None:
        if self.gate is not None and not self.gate.wait(10):
            raise SendFailed("held up", final=True)
        self.got.append(json.loads(body))

    def give_up(self) -> None:
        self.given_up = True
        if self.gate is not None:
            self.gate.set()


def sent(config: AlertsConfig, alerts: list[Alert]) -> list[str]:
    sink: Sink = Kept()
    with closing(Alerts(config, (sink,), QUICK)) as sender:
        for one in alerts:
            sender.raise_alert(one, {})
    assert isinstance(sink, Kept)
    return [one["key"] for one in sink.got]


@pytest.mark.parametrize(
    ("least", "expected"), [("info", ["0", "1", "2"]), ("warning", ["1", "2"]), ("critical", ["2"])]
)
def test_what_is_below_the_least_severity_stays(least: str, expected: list[str]) -> None:
    each = [alert(str(int(severity)), severity) for severity in AlertSeverity]
    assert sent(settings(min_severity=least), each) == expected


def test_the_same_alert_goes_out_once_a_period_with_the_count_of_those_held_back() -> None:
    repeats = Repeats(10)
    one, other = alert("a"), alert("b")
    assert repeats.held_back(one, 0.0) == 0
    assert repeats.held_back(one, 1.0) is None
    assert repeats.held_back(one, 9.9) is None
    assert repeats.held_back(other, 9.9) == 0
    assert repeats.held_back(one, 10.0) == 2
    assert repeats.held_back(one, 19.9) is None
    assert repeats.held_back(one, 20.0) == 1
    assert repeats.held_back(one, 40.0) == 0


def test_with_a_period_of_zero_every_alert_goes_out() -> None:
    assert sent(settings(repeat_seconds=0), [alert(), alert()]) == ["a", "a"]
    assert sent(settings(repeat_seconds=900), [alert(), alert()]) == ["a"]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REMEMBERED", 2)
    repeats = Repeats(100)
    for key in ("a", "b", "c"):
        assert repeats.held_back(alert(key), 1.0) == 0
    assert repeats.held_back(alert("c"), 1.0) is None
    assert repeats.held_back(alert("a"), 1.0) == 0  # the oldest was forgotten


def test_a_planted_secret_is_in_no_alert() -> None:
    told = Alert(
        kind="halt",
        key=f"k {SEED}",
        severity=AlertSeverity.INFO,
        text=f"bad {SEED}",
        numbers={"seed": SEED},
    )
    body = body_of(told, WHERE, 0, datetime.now(UTC)).decode()
    assert SEED not in body
    assert json.loads(body)["numbers"] == {"seed": "<hidden>"}


# no one waits


def test_raising_never_waits_and_a_full_queue_drops_and_counts() -> None:
    sink = Kept(threading.Event())
    alerts = Alerts(settings(repeat_seconds=0), (sink,), AlertTimes(first_pause=0.01, flush=0.1))
    alerts.raise_alert(alert("first"), {})
    assert wait_for(alerts._queue.empty)  # the thread has taken it, and is held up
    began = time.monotonic()
    for number in range(QUEUE_ALERTS + 5):
        alerts.raise_alert(alert(str(number)), {})
    assert time.monotonic() - began < 1
    assert alerts.dropped == 5
    sink.gate.set() if sink.gate else None
    alerts.close()
    assert [one["key"] for one in sink.got] == ["first", *map(str, range(QUEUE_ALERTS))]


def test_the_end_sends_what_waits_but_only_within_its_limit() -> None:
    with receiver(0) as server:
        quick = AlertTimes(first_pause=0.01, flush=0.2)
        alerts = Alerts(settings(), (hook(server.url, 60),), quick)
        for key in "abc":
            alerts.raise_alert(alert(key), {})
        assert wait_for(lambda: len(server.got) == 1)
        began = time.monotonic()
        alerts.close()
        alerts.close()
        assert time.monotonic() - began < 2
    assert (alerts.sent, alerts.failed, alerts.dropped) == (0, 1, 2)
    assert "neo-alerts" not in {thread.name for thread in threading.enumerate()}


def test_a_pause_between_two_tries_ends_with_the_session() -> None:
    with receiver(500) as server:
        alerts = Alerts(settings(), (hook(server.url),), AlertTimes(first_pause=60, flush=0.1))
        alerts.raise_alert(alert(), {})
        assert wait_for(lambda: len(server.got) == 1)
        began = time.monotonic()
        alerts.close()
        assert time.monotonic() - began < 2
    assert alerts.failed == 1


def test_a_sink_that_breaks_does_not_end_the_thread() -> None:
    class Breaking(Kept):
        def send(self, body: bytes) -> None:
            super().send(body)
            if len(self.got) == 1:
                raise KeyError("a defect")

    sink = Breaking()
    with closing(Alerts(settings(), (sink,), QUICK)) as alerts:
        alerts.raise_alert(alert("a"), {})
        alerts.raise_alert(alert("b"), {})
    assert [one["key"] for one in sink.got] == ["a", "b"]
    assert (alerts.sent, alerts.failed) == (1, 1)
