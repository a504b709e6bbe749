"""The recorder on a played market: what it writes is what it heard, whole to the last line, in parts."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import msgspec
import pytest

from neo_engine.domain.book import BookTracker
from neo_engine.domain.errors import FeedError
from neo_engine.domain.ledger import FeedStart, LedgerUpdate
from neo_engine.feed.recorded import RecordedFeed
from neo_engine.feed.recorder import Recorder, RecorderOptions, RecordSummary, part_path
from neo_engine.xrpl.gateway import EventKind, GatewayEvent
from tests.unit.played_gateway import CUT, PlayedGateway, StillClock

RLUSD = "524C555344000000000000000000000000000000"
ISSUER = "rM59iXJz2ZaRmW4bssBm8V5ZkZGvEAkVbj"
NEO = "rHoSnGKTij3VS5LbxMQfae79pob6A8UaC3"


def options(out: Path, **changes: Any) -> RecorderOptions:
    chosen: dict[str, Any] = {
        "out": out,
        "currency": RLUSD,
        "issuer": ISSUER,
        "accounts": {"neo": NEO},
        "check_every": 0,
        "part_bytes": None,
        "seconds": None,
        **changes,
    }
    return RecorderOptions(**chosen)


def record(gateway: PlayedGateway, out: Path, **changes: Any) -> RecordSummary:
    """Record everything the gateway has."""
    recorder = Recorder(gateway, options(out, **changes), StillClock())
    return recorder.run(lambda: not gateway.items)


def read(path: Path) -> tuple[FeedStart, list[LedgerUpdate]]:
    """Read a recording that must hold no fault."""
    feed = RecordedFeed(path, speed=None, clock=StillClock(), silence_after_seconds=10**6)
    start, updates = feed.start(), []
    while isinstance(item := feed.next(1.0), LedgerUpdate):
        updates.append(item)
    feed.close()
    assert not feed.fault_counts
    return start, updates


def lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path) as file:
        return [msgspec.json.decode(line) for line in file]


def test_a_recording_of_a_played_recording_is_the_same_one(tmp_path: Path) -> None:
    out = tmp_path / "my.jsonl.gz"
    told = record(PlayedGateway(), out, check_every=1)
    assert read(out)[0].state == read(CUT)[0].state
    was, became = lines(CUT)[1:], lines(out)[1:]
    # The cut holds five watched accounts, of which one is watched here.
    assert became == [{**line, "accounts": {NEO: line["accounts"][NEO]}} for line in was]
    assert (told.ledgers, told.checks, told.gaps, told.complete) == (60, 60, 0, True)
    assert told.transactions == sum(len(line["transactions"]) for line in was)
    assert told.bytes == out.stat().st_size


@pytest.mark.parametrize(("every", "checks"), [(0, 0), (7, 9), (60, 1)])
def test_the_servers_lists_are_asked_for_every_so_many_ledgers(
    tmp_path: Path, every: int, checks: int
) -> None:
    out = tmp_path / "my.jsonl.gz"
    assert record(PlayedGateway(), out, check_every=every).checks == checks
    assert sum("asks" in line for line in lines(out)) == checks


def test_lists_that_cannot_be_had_cost_their_check_and_no_ledger(tmp_path: Path) -> None:
    gateway = PlayedGateway()
    gateway.lost.add("book_offers")
    told = record(gateway, tmp_path / "my.jsonl.gz", check_every=1)
    assert (told.ledgers, told.checks, told.checks_failed) == (60, 0, 60)
    assert len(read(tmp_path / "my.jsonl.gz")[1]) == 60


def test_a_file_cut_anywhere_reads_to_its_last_whole_line(tmp_path: Path) -> None:
    out = tmp_path / "my.jsonl.gz"
    record(PlayedGateway(ledgers=5), out)
    data = out.read_bytes()
    ends = [at for at in range(1, len(data)) if data[at : at + 4] == b"\x1f\x8b\x08\x00"] + [len(data)]
    assert len(ends) == 6  # the header and five ledgers, each a gzip member
    cut = tmp_path / "cut.jsonl.gz"
    for number, end in enumerate(ends[1:], 1):
        cut.write_bytes(data[:end])
        assert len(read(cut)[1]) == number
        cut.write_bytes(data[: end - 10])
        feed = RecordedFeed(cut, speed=None, clock=StillClock(), silence_after_seconds=10**6)
        feed.start()
        ledgers = 0
        for _ in range(10):
            ledgers += isinstance(feed.next(1.0), LedgerUpdate)
        feed.close()
        assert ledgers == number - 1


def test_a_large_networks_recording_says_that_it_is_not_complete_and_holds_the_owners_money(
    tmp_path: Path,
) -> None:
    out = tmp_path / "my.jsonl.gz"
    gateway = PlayedGateway(small=False, ledgers=1)
    assert not record(gateway, out).complete
    start, whole = read(out)[0], BookTracker(read(CUT)[0].state)
    book = BookTracker(start.state)
    assert not start.state.complete
    assert book.asks
    assert book.bids
    for offer in book.asks + book.bids:
        assert book.funds(offer.owner, offer.side) == whole.funds(offer.owner, offer.side)


def state_at(gateway: PlayedGateway, index: int) -> bool:
    """True if the state of that ledger was asked for."""
    return ("ledger", {"ledger_index": index}) in gateway.asked


def test_a_part_that_is_full_is_followed_by_one_that_misses_no_ledger(tmp_path: Path) -> None:
    gateway = PlayedGateway(ledgers=6)
    told = record(gateway, tmp_path / "my.jsonl.gz", part_bytes=1)
    assert [Path(one).name for one in told.parts] == [
        "my.jsonl.gz",
        *(f"my.{number}.jsonl.gz" for number in range(2, 7)),
    ]
    assert (told.ledgers, told.gaps) == (6, 0)
    for name, bundle in zip(told.parts, gateway.bundles, strict=True):
        index = bundle.closed.ledger_index
        assert state_at(gateway, index - 1)
        header, line = lines(Path(name))
        assert header["start_ledger"]["ledger_index"] == index - 1
        assert line["ledger"]["ledger_index"] == index


def test_missing_ledgers_begin_a_new_part_and_are_counted(tmp_path: Path) -> None:
    gateway = PlayedGateway(ledgers=6)
    for lost in gateway.bundles[2:4]:
        gateway.items.remove(lost)
    told = record(gateway, tmp_path / "my.jsonl.gz")
    assert (told.ledgers, told.gaps, len(told.parts)) == (4, 2, 2)
    first = gateway.bundles[4].closed.ledger_index
    assert [one["ledger"]["ledger_index"] for one in lines(Path(told.parts[1]))[1:]] == [first, first + 1]


def test_a_second_run_on_the_same_name_begins_a_further_part_and_leaves_the_first_alone(
    tmp_path: Path,
) -> None:
    out = tmp_path / "my.jsonl.gz"
    record(PlayedGateway(ledgers=2), out)
    before = out.read_bytes()
    assert record(PlayedGateway(ledgers=2), out).parts == [str(tmp_path / "my.2.jsonl.gz")]
    assert out.read_bytes() == before


def test_a_state_that_is_gone_is_replaced_by_the_last_validated_one(tmp_path: Path) -> None:
    gateway = PlayedGateway(ledgers=6)
    start = gateway.header["start_ledger"]
    gateway.forget(start["ledger_index"])
    gateway.validated = gateway.bundles[2].closed.ledger_index
    told = record(gateway, tmp_path / "my.jsonl.gz")
    assert told.first_ledger == gateway.bundles[3].closed.ledger_index
    assert told.ledgers == 3


def test_a_server_without_any_state_ends_it_with_the_fix(tmp_path: Path) -> None:
    gateway = PlayedGateway()
    gateway.refused["ledger_data"] = "lgrNotFound"
    with pytest.raises(FeedError, match=r"cannot be had.*use another --endpoint"):
        record(gateway, tmp_path / "my.jsonl.gz")
    assert gateway.closed
    assert list(tmp_path.iterdir()) == []


def test_servers_that_were_given_up_end_it_with_what_was_recorded(tmp_path: Path) -> None:
    gateway = PlayedGateway(ledgers=3)
    gateway.items.append(GatewayEvent(kind=EventKind.FAILED, text="no endpoint is left"))
    gateway.items.append(gateway.bundles[0])
    told = record(gateway, tmp_path / "my.jsonl.gz")
    assert (told.ledgers, told.failure) == (3, "failed: no endpoint is left")
    assert len(read(tmp_path / "my.jsonl.gz")[1]) == 3


def test_it_ends_when_the_ledgers_time_is_over(tmp_path: Path) -> None:
    gateway = PlayedGateway()
    told = record(gateway, tmp_path / "my.jsonl.gz", seconds=60)
    begun = gateway.header["start_ledger"]["close_time"]
    times = [bundle.closed.ledger_time - begun for bundle in gateway.bundles]
    assert told.ledgers == 1 + sum(passed < 60 for passed in times)


def test_a_file_that_cannot_be_made_is_named_with_the_fix(tmp_path: Path) -> None:
    out = tmp_path / "no" / "my.jsonl.gz"
    with pytest.raises(FeedError, match=f"--out {out}: cannot be written.*name another file"):
        record(PlayedGateway(), out)


@pytest.mark.parametrize(
    ("name", "second"),
    [("my.jsonl.gz", "my.2.jsonl.gz"), ("my.jsonl", "my.2.jsonl"), ("my.rec", "my.2.rec"), ("my", "my.2")],
)
def test_parts_are_named_after_the_first(name: str, second: str) -> None:
    assert part_path(Path(name), 1) == Path(name)
    assert part_path(Path(name), 2) == Path(second)
