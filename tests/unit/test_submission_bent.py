"""Answers that have not the form of the API: they say nothing, and end nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from neo_engine.execution.answers import Answer, Told
from tests.unit.submission_fixture import LOST_REQUEST, OFFSET, Desk, place

Json = dict[str, Any]


@pytest.mark.parametrize(
    "bent",
    [
        {"validated": True},
        {"validated": True, "meta": "word", "ledger_index": 7},
        {"validated": True, "meta": {"TransactionResult": 5}, "ledger_index": 7},
        {"validated": True, "meta": {"TransactionResult": "tesSUCCESS"}, "ledger_index": "word"},
    ],
)
def test_a_bent_answer_about_a_transaction_says_nothing(bent: Json) -> None:
    desk = Desk()
    desk.go(place(1), script=[LOST_REQUEST, LOST_REQUEST])
    real = desk.submitter._ask

    class Bent:
        def __call__(self, command: str, parameters: Json) -> Answer:  # noqa: ARG002
            return Answer(told=Told.ANSWERED, result=bent)

        def submit(self, blobs: Sequence[str]) -> list[Answer]:
            return [Answer(told=Told.LOST) for _ in blobs]

    desk.submitter._ask = Bent()
    for _ in range(OFFSET + 2):
        assert desk.ledger() == ()
    desk.submitter._ask = real
    assert [one.result for one in desk.ledger()] == [None]  # now it is proved dead


@pytest.mark.parametrize("tx_json", ["word", None, {"hash": 7}, {"hash": "word"}, {}])
def test_a_submits_answer_without_a_readable_hash_is_judged_by_its_code(tx_json: object) -> None:
    desk = Desk()

    class Bent:
        def __call__(self, command: str, parameters: Json) -> Answer:
            return desk.wire(command, parameters)

        def submit(self, blobs: Sequence[str]) -> list[Answer]:
            told = {"engine_result": "tesSUCCESS", "accepted": True, "tx_json": tx_json}
            return [Answer(told=Told.ANSWERED, result=told) for _ in blobs]

    desk.submitter._ask = Bent()
    assert desk.go(place(1)) == ["tesSUCCESS"]
    assert desk.submitter.must_stop is None


def test_a_server_that_calls_our_transaction_by_another_hash_is_not_trusted() -> None:
    desk = Desk()

    class False_:
        def __call__(self, command: str, parameters: Json) -> Answer:
            return desk.wire(command, parameters)

        def submit(self, blobs: Sequence[str]) -> list[Answer]:
            told = {"engine_result": "tesSUCCESS", "accepted": True, "tx_json": {"hash": "AB" * 32}}
            return [Answer(told=Told.ANSWERED, result=told) for _ in blobs]

    desk.submitter._ask = False_()
    desk.go(place(1))
    assert "not to be trusted" in (desk.submitter.must_stop or "")
