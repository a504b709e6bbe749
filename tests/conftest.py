"""What every test shares: how hypothesis runs, and where the tree is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from neo_engine.ops.logs import close_logging
from tests.leaks import Before

ROOT = Path(__file__).resolve().parent.parent

# No deadline: on a busy machine a slow example is not a wrong one. Examples are the same in every run, so
# that a change is judged by what it changes; NEO_EXPLORE=1 draws new ones, and the blob printed with a
# failure brings that example back (`@reproduce_failure`). A failing one becomes a test with a name.
settings.register_profile("neo", deadline=None, print_blob=True, derandomize=True, database=None)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile("explore" if os.environ.get("NEO_EXPLORE") else "neo")


#: Folders whose tests start processes or run the whole engine: `slow`, like single modules that say so.
SLOW_FOLDERS = ("crash", "differential", "e2e")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow: it runs without branches being counted, which costs as much again as the test."""
    for item in items:
        if item.path.parent.name in SLOW_FOLDERS:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the project."""
    return ROOT


@pytest.fixture(scope="session")
def paper_yaml(root: Path) -> str:
    """The text of the paper configuration as it is delivered."""
    return (root / "config" / "paper.yaml").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _nothing_leaks() -> Iterator[None]:
    """Fail a test that leaves a descriptor open or a thread running; give back the process's one logger."""
    before = Before()
    yield
    close_logging()
    leaked = before.leaked()
    assert not leaked, f"left behind: {leaked}"
