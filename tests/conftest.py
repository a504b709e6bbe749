"""What every test shares: how hypothesis runs, and where the tree is."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

# No deadline: on a busy machine a slow example is not a wrong one. The blob printed with a failure
# brings the same example back (`@reproduce_failure`).
settings.register_profile("neo", deadline=None, print_blob=True)
settings.load_profile("neo")


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the project."""
    return ROOT


@pytest.fixture(scope="session")
def paper_yaml(root: Path) -> str:
    """The text of the paper configuration as it is delivered."""
    return (root / "config" / "paper.yaml").read_text(encoding="utf-8")
