"""Whole ledgers from messages of a real server, whatever becomes of them on the way."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neo_engine.xrpl.bundles import (
    BACKFILL_MAX,
    GRACE_SECONDS,
    RETRY_SECONDS,
    TRIES_MAX,
    BadMessage,
    Bundles,
    Gap,
    LedgerBundle,
)

Json = dict[str, Any]
DATA = Path(__file__).parents[1] / "data"
#: ledgerClosed and transaction messages of ledgers 10 to 12, some of them up to three times, as they came
RECORDED = tuple((DATA / "gateway_streams.jsonl").read_bytes().splitlines())
COUNTS = {10: 6, 11: 1, 12: 1}  # txn_count, as their ledgerClosed messages say
FEES = {"fee_base": 10, "reserve_base": 1_000_000, "reserve_inc": 200_000}


def kept(message: bytes, *, ledger: int, kind: str = "") -> bool:
    body = json.loads(message)
    return body["ledger_index"] == ledger and kind in ("", body["type"])


def of(ledger: int, kind: str = "") -> list[bytes]:
    return [message for message in RECORDED if kept(message, ledger=ledger, kind=kind)]


def feed(bundles: Bundles, messages: Iterable[bytes], now: float = 0.0) -> None:
    for message in messages:
        if b'"type":"ledgerClosed"' in message:
            bundles.closed(message, now)
        else:
            bundles.transaction(message)


def taken(bundles: Bundles) -> list[LedgerBundle | Gap]:
    found = []
    while (item := bundles.take()) is not None:
        found.append(item)
    return found


def summary(items: Iterable[LedgerBundle | Gap]) -> list[tuple[int, list[int], bool]]:
    """Ledger, the places of its transactions, whether it was asked for."""
    told = []
    for item in items:
        assert isinstance(item, LedgerBundle)
        places = [json.loads(raw)["meta"]["TransactionIndex"] for raw in item.transactions]
        assert {json.loads(raw)["ledger_index"] for raw in item.transactions} <= {item.closed.ledger_index}
        told.append((item.closed.ledger_index, places, item.backfilled))
    return told


WHOLE = [(index, list(range(count)), False) for index, count in COUNTS.items()]


def subscription(ledger: int) -> Json:
    return {**FEES, "ledger_hash": "A" * 64, "ledger_index": ledger, "ledger_time": 848513708}


def answer(ledger: int) -> Json:
    """What a server answers to `ledger`, made of its stream messages."""
    closed = json.loads(of(ledger, "ledgerClosed")[0])
    seen: dict[str, Json] = {}
    for raw in of(ledger, "transaction"):
        body = json.loads(raw)
        tx_json = {name: value for name, value in body["tx_json"].items() if name != "date"}
        seen[body["hash"]] = {name: body[name] for name in ("hash", "ledger_hash", "meta")} | {
            "tx_json": tx_json
        }
    header = {"close_time": closed["ledger_time"], "ledger_hash": closed["ledger_hash"]}
    return {
        "ledger": {**header, "transactions": list(seen.values())},
        "ledger_index": ledger,
        "validated": True,
    }


def test_recorded_messages_become_whole_ledgers_in_order() -> None:
    bundles = Bundles(after=9)
    feed(bundles, RECORDED)
    assert summary(taken(bundles)) == WHOLE
    assert bundles.missing(1e9) is None


@settings(max_examples=60, deadline=None)
@given(order=st.permutations(range(len(RECORDED))), twice=st.sets(st.integers(0, len(RECORDED) - 1)))
def test_any_order_and_any_duplicates_give_the_same_ledgers_once(order: list[int], twice: set[int]) -> None:
    bundles = Bundles(after=9)
    feed(bundles, [RECORDED[at] for at in order])
    items = taken(bundles)
    feed(bundles, [RECORDED[at] for at in twice])
    assert summary([*items, *taken(bundles)]) == WHOLE


@settings(max_examples=60, deadline=None)
@given(lost=st.sets(st.integers(0, len(RECORDED) - 1)))
def test_whatever_is_lost_is_asked_for_and_handed_out_in_order(lost: set[int]) -> None:
    bundles = Bundles(after=9)
    feed(bundles, [message for at, message in enumerate(RECORDED) if at not in lost])
    bundles.subscribed(subscription(12), 0.0)
    items = taken(bundles)
    while (index := bundles.missing(GRACE_SECONDS)) is not None:
        bundles.fetched(index, answer(index))
        items += taken(bundles)
    assert [(index, places) for index, places, _asked in summary(items)] == [
        (index, list(range(count))) for index, count in COUNTS.items()
    ]


def test_nothing_is_handed_out_before_the_hole_is_filled() -> None:
    bundles = Bundles(after=9)
    feed(bundles, [*of(10), *of(12)])
    assert summary(taken(bundles)) == WHOLE[:1]
    assert bundles.missing(GRACE_SECONDS - 0.01) is None
    assert bundles.missing(GRACE_SECONDS) == 11
    bundles.fetched(11, answer(11))
    assert summary(taken(bundles)) == [(11, [0], True), (12, [0], False)]


def test_a_ledger_with_too_few_transactions_is_asked_for() -> None:
    bundles = Bundles(after=9)
    feed(bundles, of(10)[:-3])  # the three copies of the last transaction
    assert taken(bundles) == []
    assert bundles.missing(GRACE_SECONDS) == 10


def test_what_closed_before_the_subscription_is_asked_for_at_once() -> None:
    bundles = Bundles(after=9)
    bundles.subscribed(subscription(11), 5.0)
    assert bundles.missing(5.0) == 10


def test_the_first_ledger_is_the_one_after_the_subscription() -> None:
    bundles = Bundles()
    bundles.subscribed(subscription(10), 0.0)
    feed(bundles, RECORDED)
    assert [row[0] for row in summary(taken(bundles))] == [11, 12]


def test_an_answer_of_a_real_server_becomes_what_its_stream_told() -> None:
    lines = (DATA / "server_requests.jsonl").read_text(encoding="utf-8").splitlines()
    recorded = [json.loads(line) for line in lines if '"ledger_index":11,' in line.replace(" ", "")]
    reply = next(
        one["reply"]["result"]
        for one in recorded
        if isinstance(one["request"], dict)
        and (one["request"].get("command"), one["request"].get("api_version")) == ("ledger", 2)
    )
    bundles = Bundles(after=10)
    bundles.subscribed(subscription(11), 0.0)
    bundles.fetched(11, reply)
    (item,) = taken(bundles)
    assert isinstance(item, LedgerBundle)
    closed, message = json.loads(of(11, "ledgerClosed")[0]), json.loads(of(11, "transaction")[0])
    told = json.loads(item.transactions[0])
    # Not in an answer: compact id, result in words; owner_funds and the network only where asked for.
    message["tx_json"].pop("owner_funds", None)
    missing = {"ctid", "engine_result_code", "engine_result_message"}
    assert told == {name: value for name, value in message.items() if name not in missing}
    mine = json.loads(item.raw_closed)
    assert {name: closed[name] for name in mine if name != "validated_ledgers"} == {
        name: value for name, value in mine.items() if name != "validated_ledgers"
    }
    assert item.closed.ledger_time == closed["ledger_time"]


def test_a_ledger_nobody_has_becomes_a_gap_and_the_next_one_follows() -> None:
    bundles = Bundles(after=9)
    feed(bundles, [*of(10)[:2], *of(12)])
    now = GRACE_SECONDS
    for _ in range(TRIES_MAX):
        for index in (10, 11):
            assert bundles.missing(now) == index
            bundles.failed(index, now, final=True)
        assert bundles.missing(now) is None
        now += RETRY_SECONDS
    first, *rest = taken(bundles)
    assert first == Gap(first=10, last=11)
    assert summary(rest) == WHOLE[2:]


def test_failures_that_say_nothing_about_the_ledger_make_no_gap() -> None:
    bundles = Bundles(after=9)
    bundles.subscribed(subscription(10), 0.0)
    for second in range(100):
        assert bundles.missing(float(second)) == 10
        bundles.failed(10, float(second), final=False)
    assert taken(bundles) == []


def test_an_absence_of_more_than_an_hour_begins_with_a_gap() -> None:
    bundles = Bundles(after=9)
    bundles.subscribed(subscription(5_000), 0.0)
    assert taken(bundles) == [Gap(first=10, last=5_000 - BACKFILL_MAX)]
    assert bundles.missing(0.0) == 5_000 - BACKFILL_MAX + 1


def test_a_transaction_of_another_ledger_hash_makes_no_whole_ledger() -> None:
    bundles = Bundles(after=10)
    body = json.loads(of(11, "transaction")[0])
    feed(bundles, [json.dumps({**body, "ledger_hash": "B" * 64}).encode(), *of(11, "ledgerClosed")])
    assert taken(bundles) == []
    assert bundles.missing(GRACE_SECONDS) == 11


def test_a_proposed_transaction_is_passed_over() -> None:
    bundles = Bundles(after=10)
    body = json.loads(of(11, "transaction")[0])
    feed(bundles, [json.dumps({**body, "validated": False}).encode(), *of(11, "ledgerClosed")])
    assert taken(bundles) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ledger_index", 0),
        ("ledger_index", 2**32),
        ("ledger_index", 11 + 200_000),
        ("ledger_index", "11"),
        ("ledger_index", True),
        ("ledger_time", -1),
        ("txn_count", -1),
        ("fee_base", -1),
        ("reserve_inc", None),
        ("ledger_hash", "AB"),
    ],
)
def test_impossible_closes_are_refused_and_change_nothing(field: str, value: object) -> None:
    bundles = Bundles(after=9)
    feed(bundles, of(10))
    body = json.loads(of(11, "ledgerClosed")[0])
    with pytest.raises(BadMessage):
        bundles.closed(json.dumps({**body, field: value}).encode(), 0.0)
    assert bundles.tip == 10
    feed(bundles, [*of(11), *of(12)])
    assert summary(taken(bundles)) == WHOLE


@pytest.mark.parametrize(
    "bent", [{"ledger_index": -1}, {"hash": "AB"}, {"meta": None}, {"tx_json": {}}, {"hash": 7}]
)
def test_impossible_transactions_are_refused(bent: Json) -> None:
    body = json.loads(of(11, "transaction")[0])
    with pytest.raises(BadMessage):
        Bundles(after=10).transaction(json.dumps({**body, **bent}).encode())


@pytest.mark.parametrize(
    "bent",
    [
        {"validated": False},
        {"ledger_index": 12},
        {"ledger": None},
        {"ledger": {"close_time": 1, "ledger_hash": "C" * 64, "transactions": ["A" * 64]}},
        {"ledger": {"close_time": "1", "ledger_hash": "C" * 64, "transactions": []}},
    ],
)
def test_an_answer_of_something_else_is_refused(bent: Json) -> None:
    bundles = Bundles(after=10)
    bundles.subscribed(subscription(11), 0.0)
    with pytest.raises(BadMessage):
        bundles.fetched(11, {**answer(11), **bent})
    assert taken(bundles) == []


def test_an_answer_with_a_hole_in_its_transactions_is_refused() -> None:
    bundles = Bundles(after=9)
    bundles.subscribed(subscription(10), 0.0)
    whole = answer(10)
    whole["ledger"]["transactions"].pop(2)
    with pytest.raises(BadMessage, match="without a hole"):
        bundles.fetched(10, whole)


def test_an_answer_after_the_stream_was_faster_changes_nothing() -> None:
    bundles = Bundles(after=10)
    feed(bundles, of(11))
    assert summary(taken(bundles)) == WHOLE[1:2]
    bundles.fetched(11, answer(11))
    assert taken(bundles) == []


def test_messages_of_ledgers_far_ahead_are_not_kept() -> None:
    bundles = Bundles(after=9)
    body = json.loads(of(11, "transaction")[0])
    for index in range(10_000, 12_000):
        bundles.transaction(json.dumps({**body, "ledger_index": index}).encode())
    assert not bundles._partials
