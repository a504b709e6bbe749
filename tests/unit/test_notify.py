"""What systemd is told, over a real socket; and nothing where there is none."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from neo_engine.ops.notify import EVERY_SECONDS, MAX_STATUS_CHARS, Notifier

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="the system has no such sockets")


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as one:
        one.bind(str(tmp_path / "notify"))
        one.settimeout(2)
        yield one


def heard(manager: socket.socket) -> list[str]:
    """Everything that was told, one datagram after the other."""
    manager.setblocking(False)
    found = []
    while True:
        try:
            found.append(manager.recv(10_000).decode())
        except BlockingIOError:
            return found


def test_ready_alive_and_stopping_are_told(manager: socket.socket, tmp_path: Path) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}, lambda: 0.0)
    notifier.ready("session 7 on XRP/RLUSD")
    notifier.alive("tick 1,\nledger 5")
    notifier.stopping("kill_switch " + "x" * 500)
    assert heard(manager) == [
        "READY=1\nSTATUS=session 7 on XRP/RLUSD",
        "WATCHDOG=1\nSTATUS=tick 1, ledger 5",
        "STOPPING=1\nSTATUS=" + ("kill_switch " + "x" * 500)[:MAX_STATUS_CHARS],
    ]


def test_the_watchdog_is_fed_once_a_second_at_most(manager: socket.socket, tmp_path: Path) -> None:
    now = [100.0]
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}, lambda: now[0])
    for step in (0.0, EVERY_SECONDS - 0.1, 0.1, 0.1):
        now[0] += step
        notifier.alive("tick")
    assert len(heard(manager)) == 2


def test_an_abstract_socket_is_known() -> None:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as one:
        try:
            one.bind("\0neo-engine-test")
        except OSError:
            pytest.skip("the system has no abstract sockets")
        Notifier({"NOTIFY_SOCKET": "@neo-engine-test"}).ready("up")
        assert heard(one) == ["READY=1\nSTATUS=up"]


@pytest.mark.parametrize("address", [None, "", "vsock:2:1234", "/no/such/socket"])
def test_without_a_manager_nothing_happens(address: str | None) -> None:
    notifier = Notifier({} if address is None else {"NOTIFY_SOCKET": address})
    for _ in range(3):
        notifier.ready("up")
        notifier.stopping("down")


def test_a_manager_that_does_not_listen_holds_nobody_up(manager: socket.socket, tmp_path: Path) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    for _ in range(10_000):  # more than any socket's buffer holds
        notifier.ready("up")
    assert 0 < len(heard(manager)) < 10_000
