"""The counting of descriptors and threads that every test is under: it sees what it is for."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tests.leaks import DESCRIPTORS, Before

SOON = 0.05


@pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="the system lists no descriptors")
def test_a_descriptor_left_open_is_seen_and_named(tmp_path: Path) -> None:
    before, path = Before(), tmp_path / "left"
    handle = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        assert [one for one in before.leaked(SOON) if str(path) in one]
    finally:
        os.close(handle)
    assert before.leaked(SOON) == []


def test_a_thread_left_running_is_seen_and_named() -> None:
    before, stop = Before(), threading.Event()
    thread = threading.Thread(target=stop.wait, name="left-running")
    thread.start()
    try:
        assert before.leaked(SOON) == ["thread left-running"]
    finally:
        stop.set()
        thread.join()
    assert before.leaked(SOON) == []


def test_a_thread_that_is_ending_is_waited_for() -> None:
    before, stop = Before(), threading.Event()
    threading.Timer(0.1, stop.set).start()
    threading.Thread(target=stop.wait).start()
    assert before.leaked() == []
