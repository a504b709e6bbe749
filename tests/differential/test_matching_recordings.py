"""Our matching against the server's own: every taker of the recordings in the tree, run and compared.

The expectation is the metadata of a real server: the offers it took and what it left of each, the pool
afterwards, what left the book, what it placed at which rate, and the result code.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.check_matching import Tally, check

#: Where recordings stand in the tree; each was cut from a longer one.
RECORDINGS = (("neo_engine/feed/data", "*.jsonl.gz"), ("tests/data", "*_cut.jsonl.gz"))
CLASSES = {"offer took", "offer took nothing", "payment took", "bridged took"}


@pytest.fixture(scope="module")
def tallies(root: Path) -> dict[str, Tally]:
    found: dict[str, Tally] = {}
    for folder, names in RECORDINGS:
        for path in sorted((root / folder).glob(names)):
            check(path, found)
    return found


def share(tally: Tally, aspect: str) -> float:
    return tally.good[aspect] / tally.count


def test_the_recordings_show_every_kind_of_taker(tallies: dict[str, Tally]) -> None:
    assert tallies.keys() >= CLASSES
    assert tallies["offer took"].count > 100


def test_takers_take_the_offers_that_the_server_took(tallies: dict[str, Tally]) -> None:
    for name, tally in tallies.items():
        assert share(tally, "offers") >= 0.999, (name, tally.causes["offers"])


def test_amounts_agree_to_a_billionth(tallies: dict[str, Tally]) -> None:
    for name, tally in tallies.items():
        assert share(tally, "near") >= 0.995, (name, tally.causes["near"])


def test_amounts_agree_to_the_last_digit(tallies: dict[str, Tally]) -> None:
    for name, tally in tallies.items():
        assert share(tally, "exact") == 1, (name, tally.causes["exact"])


@pytest.mark.parametrize("aspect", ["result", "gone", "rest"])
def test_results_removals_and_placed_offers_are_the_servers(aspect: str, tallies: dict[str, Tally]) -> None:
    for name, tally in tallies.items():
        assert share(tally, aspect) == 1, (name, tally.causes[aspect])
