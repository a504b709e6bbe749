"""Through the real loop: who is told what of a session, and when."""

from __future__ import annotations

import json
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from neo_engine.config_sections import AlertsConfig
from neo_engine.domain.halt import HaltReason
from neo_engine.main_loop import MainLoop
from neo_engine.ops.alerts import Alerts
from neo_engine.ops.clock import Countdown
from neo_engine.ops.logs import LogContext
from neo_engine.ops.notify import Notifier
from neo_engine.outage import STORE_RETRIES
from neo_engine.ports import KillRequest
from neo_engine.watch import SessionWatch
from tests.unit.test_main_loop import Desk, desk, end, ledger

ALERTS = AlertsConfig(
    webhook="none", command="none", min_severity="info", repeat_seconds=0, timeout_seconds=1
)


class Kept:
    """Where the alerts of a test end up."""

    name = "kept"

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []

    def send(self, body: bytes) -> None:
        self.got.append(json.loads(body))

    def give_up(self) -> None:
        """Nothing to cut."""


def run(d: Desk, notifier: Notifier | None = None) -> tuple[list[dict[str, Any]], LogContext]:
    """Run the desk's session under a watch; return its alerts and where its last log line would belong."""
    sink, context = Kept(), LogContext()
    with closing(Alerts(ALERTS, (sink,))) as alerts:
        watch = SessionWatch(context, alerts, notifier or Notifier({}))
        MainLoop(replace(d.session, watch=watch)).run()
    return sink.got, context


def kinds(alerts: list[dict[str, Any]]) -> list[str]:
    return [one["kind"] for one in alerts]


def test_a_planned_session_tells_its_beginning_and_its_end() -> None:
    alerts, context = run(desk(ledger(1), ledger(2), end(2)))
    assert kinds(alerts) == ["session_start", "session_end"]
    assert (context.session, context.pair, context.ledger) == (7, "XRP/RLUSD", 102)
    assert alerts[1]["tick"] == context.tick


def test_the_kill_switch_is_told_once_though_the_loop_winds_down() -> None:
    d = desk(*(ledger(number) for number in range(1, 9)))
    d.feed.before[3] = lambda: d.control.asked.append(KillRequest(source="file", reason="looks wrong"))
    alerts, _ = run(d)
    assert kinds(alerts) == ["session_start", "kill", "session_end"]
    assert "looks wrong" in alerts[1]["text"]


def test_a_commit_that_fails_is_told_and_so_is_the_end_that_follows() -> None:
    d = desk(ledger(1), ledger(2), end(2))
    d.feed.before[2] = lambda: d.store.failing.update(intent=STORE_RETRIES - 1)
    alerts, _ = run(desk(ledger(1), end(1)))
    assert "database" not in kinds(alerts)
    alerts, _ = run(d)
    assert kinds(alerts).count("database") == STORE_RETRIES - 1
    assert "halt" not in kinds(alerts)

    broken = desk(*(ledger(number) for number in range(1, 9)))
    broken.feed.before[3] = lambda: broken.store.failing.update(intent=99)
    alerts, _ = run(broken)
    assert [one["key"] for one in alerts if one["kind"] == "halt"] == [HaltReason.STATE_FAILURE.value]
    assert "the disk is full" in alerts[kinds(alerts).index("database")]["text"]
    assert kinds(alerts)[-1] == "session_end"


def test_a_silent_feed_is_told_as_lost_and_then_halts() -> None:
    d = desk(ledger(1), live=True)
    alerts, _ = run(d)
    told = [(one["kind"], one["key"]) for one in alerts]
    assert told.index(("feed_lost", "staleness")) < told.index(("halt", "risk_stale_ledger"))
    assert told.count(("feed_lost", "staleness")) == 1


def test_the_service_manager_hears_ready_ticks_and_stopping_once(tmp_path: Path) -> None:
    seconds = iter(range(1000))
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(str(tmp_path / "notify"))
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}, lambda: float(next(seconds)))
        d = desk(ledger(1), ledger(2), ledger(3), ledger(4), duration_seconds=8)
        _, context = run(d, notifier)
        manager.setblocking(False)
        heard = []
        while True:
            try:
                heard.append(manager.recv(1000).decode().split("\n")[0])
            except BlockingIOError:
                break
    assert heard[0] == "READY=1"
    assert heard.count("STOPPING=1") == 1
    assert heard.count("WATCHDOG=1") == context.tick
    assert len(heard) == 2 + heard.count("WATCHDOG=1")


def test_the_watchdog_is_fed_while_the_database_fails(tmp_path: Path) -> None:
    seconds = iter(range(1000))
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(str(tmp_path / "notify"))
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}, lambda: float(next(seconds)))
        d = desk(ledger(1), ledger(2), end(2))  # a socket holds ten messages
        d.session = replace(d.session, patience=Countdown(d.clock, 600))
        d.feed.before[2] = lambda: d.store.failing.update(intent=STORE_RETRIES)
        _, context = run(d, notifier)
        manager.setblocking(False)
        heard = []
        while True:
            try:
                heard.append(manager.recv(1000).decode())
            except BlockingIOError:
                break
    fed = [text for text in heard if text.startswith("WATCHDOG=1")]
    assert len(fed) == context.tick + STORE_RETRIES
    assert sum("the database fails: intent: the disk is full" in text for text in fed) == STORE_RETRIES
