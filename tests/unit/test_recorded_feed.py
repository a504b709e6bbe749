"""The recorded feed: what a broken file does to it, pacing, silence and repair.

Each test breaks a good recording (60 real ledgers, cut from a stand-alone server) in one way.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from neo_engine.domain.book import BookTracker
from neo_engine.domain.errors import FeedError
from neo_engine.domain.ledger import FeedEnd, FeedSilence, LedgerFault, LedgerFaultKind, LedgerUpdate
from neo_engine.feed import lines
from neo_engine.feed.pace import parse_speed
from neo_engine.feed.recorded import FeedItem, RecordedFeed

DATA = Path(__file__).resolve().parents[1] / "data"
CUT = DATA / "calm_cut.jsonl.gz"
KEPT = 8  # ledgers of the cut that these tests use
Kinds = LedgerFaultKind


class FakeClock:
    """A clock that only moves when it is told to sleep."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@cache
def good_lines() -> tuple[bytes, ...]:
    with gzip.open(CUT) as file:
        return tuple(next(file).rstrip(b"\n") for _ in range(KEPT + 1))


def ledger(number: int) -> dict[str, Any]:
    """The recording's ledger line `number`, from 1, as a dictionary of its own."""
    line: dict[str, Any] = json.loads(good_lines()[number])
    return line


def write(path: Path, *lines: bytes | dict[str, Any]) -> Path:
    text = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"\n".join(text) + b"\n")
    return path


def opened(path: Path, *, speed: float | None = None, clock: FakeClock | None = None) -> RecordedFeed:
    return RecordedFeed(path, speed=speed, clock=clock or FakeClock(), silence_after_seconds=20)


def read(path: Path) -> tuple[list[FeedItem], BookTracker]:
    """Everything a feed gives, with a tracker that followed it."""
    feed = opened(path)
    try:
        tracker = BookTracker(feed.start().state)
        items: list[FeedItem] = []
        while not items or not isinstance(items[-1], FeedEnd):
            item = feed.next(1.0)
            assert item is not None
            items.append(item)
            if isinstance(item, LedgerUpdate):
                items.extend(tracker.advance(item))
        return items, tracker
    finally:
        feed.close()


def faults(items: list[FeedItem]) -> list[tuple[LedgerFaultKind, int]]:
    return [(item.kind, item.line) for item in items if isinstance(item, LedgerFault)]


def indexes(items: list[FeedItem]) -> list[int]:
    return [item.ledger_index for item in items if isinstance(item, LedgerUpdate)]


def first_index() -> int:
    index: int = ledger(1)["ledger"]["ledger_index"]
    return index


def changed(number: int, change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    line = ledger(number)
    change(line)
    return line


def test_a_good_recording_gives_its_ledgers_and_then_the_end_for_ever(tmp_path: Path) -> None:
    path = write(tmp_path / "good.jsonl", *good_lines(), b"")
    items, _ = read(path)
    assert indexes(items) == [first_index() + n for n in range(KEPT)]
    assert faults(items) == []
    feed = opened(path)
    feed.start()
    for _ in range(KEPT):
        feed.next(1.0)
    end = feed.next(1.0)
    assert isinstance(end, FeedEnd)
    assert feed.next(1.0) == end
    assert end.close_time == ledger(KEPT)["ledger"]["ledger_time"]
    feed.close()
    feed.close()


def test_gzip_plain_and_joined_gzip_files_give_the_same(tmp_path: Path) -> None:
    plain = write(tmp_path / "plain.jsonl", *good_lines())
    packed = tmp_path / "packed.bin"
    half = len(plain.read_bytes()) // 2
    packed.write_bytes(gzip.compress(plain.read_bytes()[:half]) + gzip.compress(plain.read_bytes()[half:]))
    assert read(packed)[0][:-1] == read(plain)[0][:-1]


def test_the_last_line_needs_no_newline(tmp_path: Path) -> None:
    path = tmp_path / "no_newline.jsonl"
    path.write_bytes(b"\n".join(good_lines()))
    assert len(indexes(read(path)[0])) == KEPT


def test_the_start_tells_pair_accounts_and_where_it_begins() -> None:
    feed = opened(CUT)
    start = feed.start()
    feed.close()
    assert start.pair.symbol == "XRP/RLUSD"
    assert start.ledger_index == first_index() - 1
    assert start.accounts.keys() >= set(start.watched)
    assert start.build_version == "3.1.1"


BROKEN: dict[str, tuple[Callable[[dict[str, Any]], object], LedgerFaultKind]] = {
    "no hash": (lambda line: line["ledger"].pop("ledger_hash"), Kinds.MISSING_FIELD),
    "no transactions": (lambda line: line.pop("transactions"), Kinds.MISSING_FIELD),
    "no metadata": (lambda line: line["transactions"][0].pop("meta"), Kinds.MISSING_FIELD),
    "index as text": (lambda line: line["ledger"].update(ledger_index="7"), Kinds.WRONG_TYPE),
    "transactions no list": (lambda line: line.update(transactions={}), Kinds.WRONG_TYPE),
    "another type": (lambda line: line.update(type="header"), Kinds.WRONG_TYPE),
    "fee NaN": (lambda line: line["transactions"][0]["tx_json"].update(Fee="NaN"), Kinds.BAD_NUMBER),
    "fee negative": (lambda line: line["transactions"][0]["tx_json"].update(Fee="-5"), Kinds.BAD_NUMBER),
    "base fee zero": (lambda line: line["ledger"].update(fee_base=0), Kinds.BAD_NUMBER),
    "reserve absurd": (lambda line: line["ledger"].update(reserve_base=10**12), Kinds.BAD_NUMBER),
    "time negative": (lambda line: line["ledger"].update(ledger_time=-5), Kinds.BAD_NUMBER),
    "not validated": (lambda line: line["transactions"][0].update(validated=False), Kinds.NOT_VALIDATED),
    "of another ledger": (lambda line: line["transactions"][0].update(ledger_index=5), Kinds.NOT_VALIDATED),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_line_is_dropped_with_its_fault_and_the_next_one_is_a_gap(name: str, tmp_path: Path) -> None:
    change, kind = BROKEN[name]
    lines = good_lines()
    items, _ = read(write(tmp_path / "x.jsonl", *lines[:2], changed(2, change), *lines[3:]))
    assert faults(items) == [(kind, 3), (Kinds.LEDGER_GAP, 4)]
    assert indexes(items) == [first_index(), *(first_index() + n for n in range(2, KEPT))]


def amounts(line: dict[str, Any]) -> list[dict[str, Any]]:
    """Every offer that the line's metadata created."""
    nodes = [node for tx in line["transactions"] for node in tx["meta"]["AffectedNodes"]]
    made = [node["CreatedNode"] for node in nodes if "CreatedNode" in node]
    return [body["NewFields"] for body in made if body["LedgerEntryType"] == "Offer"]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-1", "1e400", "0.12345678901234567", "", "abc"])
def test_an_impossible_amount_in_metadata_is_a_bad_number(value: str, tmp_path: Path) -> None:
    def spoil(line: dict[str, Any]) -> None:
        fields = amounts(line)[0]
        name = "TakerGets" if isinstance(fields["TakerGets"], dict) else "TakerPays"
        fields[name]["value"] = value

    lines = good_lines()
    items, _ = read(write(tmp_path / "x.jsonl", *lines[:3], changed(3, spoil), *lines[4:]))
    assert faults(items)[0] == (Kinds.BAD_NUMBER, 4)


@pytest.mark.parametrize("text", [b"{", b"\xff\xfe", b'{"type": NaN}', b"[" * 100_000, b'"' + b"x" * 999])
def test_a_line_that_is_no_json_object_of_ours_is_a_fault_and_no_more(text: bytes, tmp_path: Path) -> None:
    items, _ = read(write(tmp_path / "x.jsonl", *good_lines()[:2], text, *good_lines()[2:]))
    ((kind, line),) = faults(items)
    assert kind in (Kinds.MALFORMED_JSON, Kinds.WRONG_TYPE)
    assert line == 3
    assert len(indexes(items)) == KEPT
    (fault,) = [item for item in items if isinstance(item, LedgerFault)]
    assert len(fault.text) <= 400


def test_a_ledger_twice_and_an_old_one_are_dropped(tmp_path: Path) -> None:
    lines = good_lines()
    items, _ = read(write(tmp_path / "x.jsonl", *lines[:4], lines[3], lines[1], *lines[4:]))
    assert faults(items) == [(Kinds.DUPLICATE_LEDGER, 5), (Kinds.OUT_OF_ORDER_LEDGER, 6)]
    assert len(indexes(items)) == KEPT


def test_after_a_gap_the_market_is_repaired_from_the_servers_lists(tmp_path: Path) -> None:
    lines = good_lines()
    items, tracker = read(write(tmp_path / "x.jsonl", *lines[:3], *lines[5:]))
    (gap,) = [item for item in items if isinstance(item, LedgerFault)]
    assert (gap.kind, gap.line, gap.resync) == (Kinds.LEDGER_GAP, 4, True)
    assert "2 are missing" in gap.text
    assert tracker.trusted
    _, whole = read(write(tmp_path / "y.jsonl", *lines))
    assert [one.index for one in tracker.asks] == [one.index for one in whole.asks]
    assert [one.index for one in tracker.bids] == [one.index for one in whole.bids]
    assert tracker.pool == whole.pool


def without_lists(number: int) -> dict[str, Any]:
    line = ledger(number)
    for name in ("asks", "bids", "amm", "accounts"):
        line.pop(name)
    return line


def test_without_lists_the_market_stays_untrusted_until_a_line_has_them(tmp_path: Path) -> None:
    lines = good_lines()
    feed = opened(write(tmp_path / "x.jsonl", *lines[:3], without_lists(5), without_lists(6), lines[7]))
    tracker = BookTracker(feed.start().state)
    trusted = []
    while not isinstance(item := feed.next(1.0), FeedEnd):
        if isinstance(item, LedgerFault):
            assert not item.resync
        if isinstance(item, LedgerUpdate):
            assert tracker.advance(item) == ()
            trusted.append(tracker.trusted)
    feed.close()
    assert trusted == [True, True, False, False, True]


def test_a_resync_can_be_asked_for(tmp_path: Path) -> None:
    feed = opened(write(tmp_path / "x.jsonl", *good_lines()))
    feed.start()
    first = feed.next(1.0)
    feed.request_resync()
    second, third = feed.next(1.0), feed.next(1.0)
    feed.close()
    assert [isinstance(one, LedgerUpdate) and one.resync is not None for one in (first, second, third)] == [
        False,
        True,
        False,
    ]


def best_ask(line: dict[str, Any]) -> Any:
    return line["asks"][0]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda line: best_ask(line).update(TakerGets="NaN"), Kinds.BAD_NUMBER),
        (lambda line: best_ask(line).pop("index"), Kinds.MISSING_FIELD),
        (lambda line: best_ask(line).update(Sequence="x"), Kinds.WRONG_TYPE),
        (lambda line: line.update(asks=line["bids"]), Kinds.BAD_NUMBER),
        (lambda line: line["amm"].update(amount2="5"), Kinds.BAD_NUMBER),
        (lambda line: line["amm"]["auction_slot"].update(expiration="soon"), Kinds.BAD_NUMBER),
        # The best ask's rate becomes a tenth of what it was: far below the best bid.
        (
            lambda line: best_ask(line).update(
                BookDirectory=best_ask(line)["BookDirectory"][:48] + "4E078D6F10D11A00"
            ),
            Kinds.CROSSED_PRICES,
        ),
    ],
)
def test_lists_that_cannot_be_believed_repair_nothing(
    change: Callable[[dict[str, Any]], object], kind: LedgerFaultKind, tmp_path: Path
) -> None:
    lines = good_lines()
    path = write(tmp_path / "x.jsonl", *lines[:3], changed(5, change), lines[6])
    items, tracker = read(path)
    assert faults(items) == [(kind, 4), (Kinds.LEDGER_GAP, 4)]
    assert [item.resync for item in items if isinstance(item, LedgerUpdate)][2] is None
    assert tracker.trusted  # the line after it was believed


def test_missing_transactions_are_a_fault_and_the_lists_repair_them(tmp_path: Path) -> None:
    lines = good_lines()
    cut = changed(2, lambda line: line["transactions"].pop())
    items, tracker = read(write(tmp_path / "x.jsonl", *lines[:2], cut, *lines[3:]))
    assert faults(items) == [(Kinds.TRANSACTION_MISSING, 3)]
    assert tracker.trusted


def test_transactions_out_of_order_are_sorted_with_a_fault(tmp_path: Path) -> None:
    lines = good_lines()
    turned = changed(3, lambda line: line["transactions"].reverse())
    items, tracker = read(write(tmp_path / "x.jsonl", *lines[:3], turned, *lines[4:]))
    assert faults(items) == [(Kinds.TRANSACTION_ORDER, 4)]
    assert tracker.trusted


def test_a_transaction_twice_is_taken_once(tmp_path: Path) -> None:
    lines = good_lines()
    twice = changed(3, lambda line: line["transactions"].append(line["transactions"][0]))
    items, tracker = read(write(tmp_path / "x.jsonl", *lines[:3], twice, *lines[4:]))
    assert faults(items) == [(Kinds.TRANSACTION_ORDER, 4)]
    assert tracker.trusted


def test_two_transactions_in_one_place_drop_the_ledger(tmp_path: Path) -> None:
    lines = good_lines()
    clash = changed(3, lambda line: line["transactions"][1]["meta"].update(TransactionIndex=0))
    items, _ = read(write(tmp_path / "x.jsonl", *lines[:3], clash, *lines[4:]))
    assert faults(items) == [(Kinds.TRANSACTION_ORDER, 4), (Kinds.LEDGER_GAP, 5)]


@pytest.mark.parametrize("seconds", [0, -100, 8_000])
def test_a_close_time_that_no_ledger_can_have_becomes_the_least_possible(
    seconds: int, tmp_path: Path
) -> None:
    lines = good_lines()
    before: int = ledger(1)["ledger"]["ledger_time"]
    wrong = changed(2, lambda line: line["ledger"].update(ledger_time=before + seconds))
    items, _ = read(write(tmp_path / "x.jsonl", *lines[:2], wrong, *lines[3:]))
    assert faults(items) == [(Kinds.CLOSE_TIME, 3)]
    assert [item.close_time for item in items if isinstance(item, LedgerUpdate)][1] == before + 1


def test_a_missed_event_is_a_chain_break(tmp_path: Path) -> None:
    def lose(line: dict[str, Any]) -> None:
        """Take one account's change out of the metadata, as if the server had not sent it."""
        nodes = line["transactions"][0]["meta"]["AffectedNodes"]
        kinds = [next(iter(node.values()))["LedgerEntryType"] for node in nodes]
        nodes.pop(kinds.index("AccountRoot"))

    lines = good_lines()
    items, tracker = read(write(tmp_path / "x.jsonl", *lines[:2], changed(2, lose), *lines[3:]))
    assert {kind for kind, _ in faults(items)} == {Kinds.CHAIN_BREAK}
    assert not tracker.trusted


def test_a_truncated_file_gives_what_it_has_then_a_fault_then_the_end(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl.gz"
    whole = gzip.compress(b"\n".join(good_lines()) + b"\n")
    path.write_bytes(whole[: len(whole) * 3 // 4])
    items, _ = read(path)
    assert indexes(items)
    assert faults(items)[-1][0] is Kinds.TRUNCATED_FILE
    assert isinstance(items[-1], FeedEnd)
    assert "ends in the middle" in items[-1].detail


def test_a_damaged_file_gives_a_fault_then_the_end(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl.gz"
    good = gzip.compress(b"\n".join(good_lines()) + b"\n")
    path.write_bytes(good + b"this is not another gzip member")
    items, _ = read(path)
    assert len(indexes(items)) == KEPT
    assert faults(items)[-1][0] is Kinds.UNREADABLE_FILE


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes in its folders")
def test_a_file_that_gives_nothing_more_is_a_fault_and_the_end_and_never_a_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "WAIT_SECONDS", 0.3)
    path = tmp_path / "pipe.jsonl"
    os.mkfifo(path)
    writer = os.open(path, os.O_RDWR)  # so that the pipe never ends
    os.write(writer, b"the beginning of a line")
    reader = lines.LineReader(path)
    assert reader.next_line() is None
    assert reader.failure is not None
    assert reader.failure.text.endswith("nothing could be read for 0 s")
    os.close(writer)  # the pipe ends, so the thread can
    reader.close()


def header(**changes: Any) -> dict[str, Any]:
    first: dict[str, Any] = json.loads(good_lines()[0])
    return first | changes


@pytest.mark.parametrize(
    ("first", "what"),
    [
        (b"", "line 1"),
        (b"no json", "line 1"),
        (b"\x1f\x8bnot gzip", "damaged"),
        ({"type": "header"}, "pair"),
        ({"type": "ledger"}, "line 1"),
    ],
)
def test_a_file_that_is_no_recording_is_refused_with_the_way_out(
    first: Any, what: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "odd.jsonl", first)
    feed = opened(path)
    with pytest.raises(FeedError) as caught:
        feed.start()
    feed.close()
    assert str(path) in str(caught.value)
    assert what in str(caught.value)
    assert "--recording" in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "other"},
        {"state": []},
        {"pair": {"base": {"currency": "USD", "issuer": "r"}, "quote": {"currency": "XRP"}}},
        {"start_ledger": {"ledger_index": 1, "ledger_hash": "", "close_time": -1}},
        {"state": [{"LedgerEntryType": "AccountRoot", "index": "A", "Balance": "1"}]},
    ],
)
def test_a_header_that_makes_no_sense_is_refused(wrong: dict[str, Any], tmp_path: Path) -> None:
    feed = opened(write(tmp_path / "odd.jsonl", header(**wrong)))
    with pytest.raises(FeedError, match="line 1"):
        feed.start()
    feed.close()


def test_an_empty_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="cannot be opened"):
        opened(tmp_path / "nowhere.jsonl").start()
    empty = tmp_path / "empty.jsonl"
    empty.touch()
    with pytest.raises(FeedError, match="the file is empty"):
        opened(empty).start()


def test_a_hole_in_feed_time_is_a_silence_every_so_many_seconds(tmp_path: Path) -> None:
    lines = good_lines()
    last: int = ledger(2)["ledger"]["ledger_time"]
    late = changed(3, lambda line: line["ledger"].update(ledger_time=last + 60))
    items, _ = read(write(tmp_path / "x.jsonl", *lines[:3], late))
    assert [item.close_time for item in items if isinstance(item, FeedSilence)] == [last + 20, last + 40]
    assert faults(items) == []


def test_real_speed_waits_as_long_as_the_ledgers_took(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", *good_lines())
    for speed in (1.0, 4.0):
        clock = FakeClock()
        feed = opened(path, speed=speed, clock=clock)
        start = feed.start()
        while not isinstance(feed.next(1_000.0), FeedEnd):
            pass
        feed.close()
        took = ledger(KEPT)["ledger"]["ledger_time"] - start.close_time
        assert sum(clock.slept) == pytest.approx(took / speed)


def test_nothing_due_within_the_timeout_gives_none_after_it(tmp_path: Path) -> None:
    clock = FakeClock()
    feed = opened(write(tmp_path / "x.jsonl", *good_lines()), speed=1.0, clock=clock)
    start = feed.start()
    wait = ledger(1)["ledger"]["ledger_time"] - start.close_time
    assert feed.next(0.25) is None
    assert clock.slept == [0.25]
    assert isinstance(feed.next(wait), LedgerUpdate)
    feed.close()


@pytest.mark.parametrize(("text", "speed"), [("real", 1.0), ("max", None), ("30", 30.0), ("0.5", 0.5)])
def test_speeds_are_read(text: str, speed: float | None) -> None:
    assert parse_speed(text) == speed


@pytest.mark.parametrize("text", ["", "fast", "0", "-3", "nan", "inf"])
def test_an_impossible_speed_is_refused(text: str) -> None:
    with pytest.raises(FeedError, match="--speed"):
        parse_speed(text)


def test_a_closed_feed_ends() -> None:
    feed = opened(CUT)
    feed.start()
    feed.close()
    items = [feed.next(1.0) for _ in range(200)]
    assert isinstance(items[-1], FeedEnd)


def test_faults_are_counted_by_kind(tmp_path: Path) -> None:
    lines = good_lines()
    feed = opened(write(tmp_path / "x.jsonl", *lines[:4], lines[3], lines[3], lines[1], *lines[4:]))
    feed.start()
    while not isinstance(feed.next(1.0), FeedEnd):
        pass
    feed.close()
    assert feed.fault_counts == {Kinds.DUPLICATE_LEDGER: 2, Kinds.OUT_OF_ORDER_LEDGER: 1}


def test_misuse_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="silence_after_seconds"):
        RecordedFeed(CUT, speed=None, clock=FakeClock(), silence_after_seconds=0)
    feed = opened(tmp_path / "x.jsonl")
    with pytest.raises(FeedError, match="start"):
        feed.next(1.0)
    feed.close()
