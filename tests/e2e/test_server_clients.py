"""Unmodified clients live a maker's and a taker's whole life against the local server.

What they come to is worked out by hand from the offers they make (see LIFE_TOKENS); the frames of both lives
are kept in tests/data and played again in every run, with or without node.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.helpers import ROOT
from tests.e2e.server_process import Json, Wire, server
from tests.e2e.server_recording import START_TIME, find_node, life
from tools.check_transcripts import compare

DATA = ROOT / "tests" / "data"
#: 5000 issued; 5 XRP sold at 48 / 20 brings 12; the bid of 40 / 20 pays the 3.9 that the taker asks for.
LIFE_TOKENS = "5008.1"
STEPS = {
    **dict.fromkeys(("trust maker", "trust taker", "issue maker", "issue taker"), "tesSUCCESS"),
    **dict.fromkeys(("ask", "bid", "replace", "partial fill", "hit the bid"), "tesSUCCESS"),
    **dict.fromkeys(("tickets", "offer by ticket", "cancel by ticket", "cancel 1", "cancel 2"), "tesSUCCESS"),
    "kill": "tecKILLED",
}
#: Of the maker: funded, trusting, issued to, 3 quotes, 2 fills, tickets, 2 by ticket, 2 cancels.
HISTORY = 13
LEDGER_HASHES = (
    "ledger_hash",
    "account_hash",
    "parent_hash",
    "transaction_hash",
    "info.validated_ledger.hash",
)


def check(told: Json) -> None:
    assert told["steps"] == STEPS
    assert (told["resting"], told["left"]) == (2, 0)
    assert told["makerTokens"] == LIFE_TOKENS
    assert (told["history"], told["historyOnce"]) == (HISTORY, HISTORY)


@pytest.mark.slow
def test_an_unmodified_xrpl_py_lives_a_whole_life() -> None:
    told, notes = life("xrplpy")
    check(told)
    assert told["book"] == [True]
    assert told["seen"]["transaction"] == HISTORY - 3  # those before the subscription
    sent: list[Json] = [note.get("sent") or note.get("body") or {} for note in notes]
    assert {"submit", "book_offers", "account_tx", "subscribe"} <= {one.get("command") for one in sent}
    assert {"submit", "account_info"} <= {one.get("method") for one in sent}  # by JSON-RPC


@pytest.mark.slow
def test_an_unmodified_xrpl_js_lives_a_whole_life() -> None:
    node, packages = find_node()
    if not packages:
        why = "node" if not node else "the package xrpl"
        pytest.skip(f"{why} is not installed; install Node.js, then: make js")
    told, _notes = life("xrpljs")
    check(told)
    assert (told["quoted"]["sells"], told["quoted"]["buys"]) == (1, 1)
    # Bought, sold (3.9 at 2), and three fees of the base fee with this client's cushion of a fifth.
    assert Decimal(str(told["takerGained"])) == 5 - Decimal("1.95") - 3 * Decimal("0.000012")


# the frames of both, played again


def notes_of(name: str) -> list[Json]:
    lines = (DATA / f"clients_{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def differing(real: Any, ours: Any) -> Iterator[str]:
    for path, kind, one, other in compare(real, ours):
        about_server = path.startswith("result.info.") and kind == "value"
        if not path.endswith(LEDGER_HASHES) and not about_server:
            yield f"{path}: {kind}: {one!r} became {other!r}"


@pytest.mark.parametrize("name", ["xrplpy", "xrpljs"])
def test_the_recorded_requests_of_a_client_get_the_recorded_replies(name: str) -> None:
    notes = notes_of(name)
    wrong: list[str] = []
    compared = 0
    arguments = ("--close-every", "manual", "--admin", "--start-time", START_TIME)
    with server(*arguments) as running, Wire(running.ws) as closer:
        wires: dict[int, Wire] = {}
        for at, note in enumerate(notes):
            if "closed" in note:
                assert closer.result("ledger_accept")["ledger_current_index"] == note["closed"] + 1
                continue
            if "posted" in note:
                real, ours = note["answer"], running.post(note["posted"], note["body"])
            elif "sent" in note:
                number = note["client"]
                if number not in wires:
                    wires[number] = Wire(running.ws)
                real = recorded_reply(notes[at + 1 :], note["sent"]["id"])
                ours = wires[number].ask_as_it_is(note["sent"])
            else:
                continue
            compared += 1
            wrong += [f"{name}, line {at + 1}: {text}" for text in differing(real, ours)]
        for wire in wires.values():
            wire.socket.close()
    assert compared > 40
    assert wrong == []


def recorded_reply(notes: list[Json], wanted: Any) -> Json:
    return next(dict(note["received"]) for note in notes if note.get("received", {}).get("id", ...) == wanted)


def test_the_package_of_the_javascript_client_is_pinned_exactly() -> None:
    package = json.loads((ROOT / "tests" / "js" / "package.json").read_text(encoding="utf-8"))
    assert list(package["dependencies"]) == ["xrpl"]
    assert all(part.isdigit() for part in package["dependencies"]["xrpl"].split("."))
    assert Path(ROOT / "tests" / "js" / "life.mjs").is_file()
