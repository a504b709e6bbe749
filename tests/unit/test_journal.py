"""The journal: what came in is played back as it came, and a replay that leaves the path is told so."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from neo_engine.domain.capital import CapitalEvent, CapitalKind
from neo_engine.domain.errors import FeedError, NeoError
from neo_engine.domain.halt import HaltReason
from neo_engine.feed.journal import (
    JournaledControl,
    JournaledSignals,
    JournaledSigner,
    JournaledSource,
    JournaledTimer,
    JournalWriter,
)
from neo_engine.feed.journal_entries import Signature
from neo_engine.feed.journal_play import (
    Journal,
    JournalMismatch,
    PlayedControl,
    PlayedSignals,
    PlayedSigner,
    PlayedSource,
    PlayedTimer,
)
from neo_engine.ops.secrets import Secret
from neo_engine.ports import ControlRequest, KillRequest
from neo_engine.xrpl.bundles import LedgerBundle
from neo_engine.xrpl.gateway import EventKind, GatewayEvent, SupervisorState
from neo_engine.xrpl.server import Json, RequestLost, RequestRefused
from neo_engine.xrpl.signer import Signer
from neo_engine.xrpl.wire import LedgerClosed
from tests.conftest import ROOT

HEADER = {"seed": 7, "account": "rOurs"}
URL = "wss://one.example:51233"
#: Public test vector (pass phrase "masterpassphrase", xrpl.org, "Cryptographic Keys").
SEED, ACCOUNT = "snoPBrXtMeMyMHUVTgbuqAfg1SUTb", "rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh"
STREAMS = ROOT / "tests" / "data" / "gateway_streams.jsonl"
KILL = KillRequest(source="file", reason="enough é")
DEPOSIT = CapitalEvent(
    request_id="d1",
    kind=CapitalKind.DEPOSIT,
    base_drops=0,
    quote=Decimal("1.230000"),
    note="",
    created_at="2026-11-20T00:00:00.000Z",
)


def real_bundles() -> list[LedgerBundle]:
    """The ledgers of messages that a server of the real software sent."""
    bundles: list[LedgerBundle] = []
    for line in STREAMS.read_bytes().splitlines():
        told = msgspec.json.decode(line)
        if told["type"] == "ledgerClosed":
            closed = msgspec.json.decode(line, type=LedgerClosed)
            bundles.append(
                LedgerBundle(closed=closed, transactions=(), raw_closed=line, backfilled=len(bundles) == 1)
            )
        elif told["type"] == "transaction":
            bundles[-1] = replace(bundles[-1], transactions=(*bundles[-1].transactions, line))
    return bundles


BUNDLES = real_bundles()


class World:
    """Everything outside, by hand: what each door gives next."""

    def __init__(self) -> None:
        self.items: list[LedgerBundle | GatewayEvent | None] = []
        self.answers: list[Json | RequestRefused | RequestLost] = []
        self.times: list[int | None] = []
        self.asked: list[tuple[ControlRequest, ...]] = []
        self.finished: list[ControlRequest] = []
        self.reason: HaltReason | None = None
        self.name = ""
        self.hurry = False
        self.state = SupervisorState.STALE
        self.request_headroom = Decimal(100)
        self.failing = False
        self.closed = 0
        self.ledgers: list[int] = []

    def start(self) -> None:
        if self.failing:
            raise FeedError("no server")

    def next(self, timeout_seconds: float) -> LedgerBundle | GatewayEvent | None:
        return self.items.pop(0) if self.items and timeout_seconds >= 0 else None

    def request(self, command: str, *, timeout_seconds: float = 10.0, **parameters: Any) -> Json:
        assert timeout_seconds <= 10
        answer = self.answers.pop(0) if self.answers else {"command": command, "asked": parameters}
        if isinstance(answer, Exception):
            raise answer
        return answer

    submit_request = request

    def begin(self, command: str, *, timeout_seconds: float = 10.0, **parameters: Any) -> Callable[[], Json]:
        return lambda: self.request(command, timeout_seconds=timeout_seconds, **parameters)

    def close(self) -> None:
        self.closed += 1

    def sign(self, tx: Json) -> tuple[str, str]:
        if self.failing:
            raise NeoError("a field is malformed")
        return f"blob {tx['Sequence']}", f"hash {tx['Sequence']}"

    def ledger(self, close_time: int) -> None:
        self.ledgers.append(close_time)

    def due(self) -> int | None:
        return self.times.pop(0) if self.times else None

    def poll(self) -> tuple[ControlRequest, ...]:
        return self.asked.pop(0) if self.asked else ()

    def done(self, request: ControlRequest) -> None:
        self.finished.append(request)


class Doors:
    """The engine's five doors."""

    def __init__(self, source: Any, signer: Any, timer: Any, control: Any, signals: Any) -> None:
        self.source, self.signer, self.timer = source, signer, timer
        self.control, self.signals = control, signals


_open: list[JournalWriter | Journal] = []


@pytest.fixture(autouse=True)
def _closed_in_the_end() -> Iterator[None]:
    yield
    while _open:
        _open.pop().close()


def written(path: Path, world: World) -> tuple[Doors, JournalWriter]:
    writer = JournalWriter(path, HEADER)
    _open.append(writer)
    kinds = (JournaledSource, JournaledSigner, JournaledTimer, JournaledControl, JournaledSignals)
    return Doors(*[kind(world, writer) for kind in kinds]), writer  # type: ignore[arg-type]


def played(path: Path) -> tuple[Doors, Journal]:
    journal = Journal.open(path)
    _open.append(journal)
    kinds = (PlayedSource, PlayedSigner, PlayedTimer, PlayedControl, PlayedSignals)
    return Doors(*[kind(journal) for kind in kinds]), journal


Use = Callable[[Doors], object]


def both(path: Path, world: World, use: Use) -> tuple[object, object]:
    """Use the doors with the world behind them, then with its journal; everything must be played."""
    doors, writer = written(path, world)
    first = use(doors)
    writer.close()
    doors, journal = played(path)
    second = use(doors)
    journal.finish()
    journal.close()
    return first, second


def written_by(path: Path, use: Use, world: World | None = None) -> Doors:
    """Return the doors of a journal that `use` wrote."""
    doors, writer = written(path, world or World())
    use(doors)
    writer.close()
    return played(path)[0]


def raised(call: Callable[[], object]) -> tuple[type[Exception], str, dict[str, object]]:
    with pytest.raises(NeoError) as caught:
        call()
    return type(caught.value), str(caught.value), vars(caught.value)


# round trips


def test_real_ledgers_come_back_byte_for_byte(tmp_path: Path) -> None:
    world = World()
    world.items = [*BUNDLES]
    first, second = both(tmp_path / "j.gz", world, lambda doors: [doors.source.next(0) for _ in BUNDLES])
    assert len(BUNDLES) >= 2
    assert sum(len(one.transactions) for one in BUNDLES) >= 10
    assert first == BUNDLES == second


ODD = [
    b"{",
    b"",
    b' {"a":1}',
    b'{"a":1}\n',
    b'{"a":\n1}',
    b"\xff\xfe",
    b'{"a":"\xff"}',
    b"1 2",
    b"null",
    b'"\r"',
]


@pytest.mark.parametrize("raw", ODD)
def test_messages_that_are_no_plain_json_come_back_byte_for_byte(tmp_path: Path, raw: bytes) -> None:
    bundle = replace(BUNDLES[0], transactions=(raw, *BUNDLES[0].transactions))
    world = World()
    world.items = [bundle, replace(bundle, raw_closed=raw)]
    first, second = both(tmp_path / "j.gz", world, lambda doors: [doors.source.next(0), doors.source.next(0)])
    assert first == second == [bundle, replace(bundle, raw_closed=raw)]


@pytest.mark.parametrize("kind", EventKind)
def test_events_come_back(tmp_path: Path, kind: EventKind) -> None:
    event = GatewayEvent(kind=kind, text="told", endpoint=URL, first_ledger=3, last_ledger=4)
    world = World()
    world.items = [event]
    assert both(tmp_path / "j.gz", world, lambda doors: doors.source.next(0)) == (event, event)


def test_the_header_comes_back(tmp_path: Path) -> None:
    written(tmp_path / "j.gz", World())[1].close()
    assert played(tmp_path / "j.gz")[1].header == HEADER


@pytest.mark.parametrize("call", ["request", "submit_request"])
def test_answers_come_back_with_their_fields_in_order(tmp_path: Path, call: str) -> None:
    answer = {"z": [1, 2.5, None, {"b": True, "a": "é"}], "a": 2**64, "n": -0.1}
    world = World()
    world.answers = [answer]
    first, second = both(
        tmp_path / "j.gz", world, lambda doors: getattr(doors.source, call)("x", accounts=("r1", "r2"))
    )
    assert first == second == answer
    assert list(second) == ["z", "a", "n"]  # type: ignore[call-overload]


def test_requests_begun_together_are_written_where_each_one_ends(tmp_path: Path) -> None:
    world = World()
    world.answers = [{"n": 1}, RequestLost("submit", "cut", sent=True), {"n": 3}]

    def use(doors: Doors) -> object:
        ends = [doors.source.begin("submit", tx_blob=str(number)) for number in range(3)]
        return ends[0](), raised(ends[1]), ends[2]()

    first, second = both(tmp_path / "j.gz", world, use)
    assert first == second
    assert first == ({"n": 1}, (RequestLost, "submit: cut", {"command": "submit", "sent": True}), {"n": 3})
    doors, _journal = played(tmp_path / "j.gz")
    with pytest.raises(JournalMismatch, match='tx_blob is "0" there and "1" here'):
        doors.source.begin("submit", tx_blob="1")()


@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize("call", ["request", "submit_request"])
def test_refusals_and_losses_come_back_with_all_their_parts(tmp_path: Path, call: str, sent: bool) -> None:
    world = World()
    world.answers = [
        RequestRefused("tx", "txnNotFound", "not found: x", {"searched_all": sent}),
        RequestLost("submit", "the time limit passed", sent=sent),
    ]

    def use(doors: Doors) -> object:
        ask = getattr(doors.source, call)
        return [raised(lambda: ask("tx", transaction="AB")), raised(lambda: ask("submit", tx_blob="12"))]

    first, second = both(tmp_path / "j.gz", world, use)
    assert first == second
    assert first == [
        (
            RequestRefused,
            "tx: txnNotFound: not found: x",
            {"command": "tx", "token": "txnNotFound", "reply": {"searched_all": sent}},
        ),
        (RequestLost, "submit: the time limit passed", {"command": "submit", "sent": sent}),
    ]


def test_signatures_come_back_and_the_reason_of_one_that_could_not_be_made(tmp_path: Path) -> None:
    world = World()

    def use(doors: Doors) -> object:
        world.failing = False
        one = doors.signer.sign({"Sequence": 4, "TakerGets": {"value": "1", "currency": "X"}})
        world.failing = True
        return one, raised(lambda: doors.signer.sign({"Sequence": 5}))

    first, second = both(tmp_path / "j.gz", world, use)
    assert first == second == (("blob 4", "hash 4"), (NeoError, "a field is malformed", {}))


def test_operator_timer_signals_and_state_come_back(tmp_path: Path) -> None:
    world = World()
    world.asked, world.times = [(KILL, DEPOSIT)], [77]
    world.reason, world.name, world.hurry = HaltReason.INTERRUPTED_SIGINT, "SIGINT", True

    def use(doors: Doors) -> object:
        doors.timer.ledger(70)
        doors.control.done(KILL)
        told = [doors.source.state, doors.control.poll(), doors.control.poll(), doors.timer.due()]
        return [*told, doors.signals.reason, doors.signals.name, doors.signals.hurry, doors.signals.reason]

    first, second = both(tmp_path / "j.gz", world, use)
    assert first == second
    assert first == [
        SupervisorState.STALE,
        (KILL, DEPOSIT),
        (),
        77,
        HaltReason.INTERRUPTED_SIGINT,
        "SIGINT",
        True,
        HaltReason.INTERRUPTED_SIGINT,
    ]
    assert (world.ledgers, world.finished) == ([70], [KILL])


def test_the_headroom_comes_back_where_it_was_read_and_only_a_change_is_a_line(tmp_path: Path) -> None:
    world = World()

    def use(doors: Doors) -> object:
        told = []
        for number, percent in enumerate(("100", "100", "12.5", "12.5", "0", "100")):
            world.request_headroom = Decimal(percent)
            told += [doors.source.request_headroom, doors.signer.sign({"Sequence": number})]
        return told

    first, second = both(tmp_path / "j.gz", world, use)
    assert first == second
    assert first[::2] == [100, 100, Decimal("12.5"), Decimal("12.5"), 0, 100]
    lines = zlib.decompress((tmp_path / "j.gz").read_bytes(), wbits=31).splitlines()
    told = [line for line in lines if b'"headroom"' in line]
    assert [msgspec.json.decode(line)["value"] for line in told] == ["12.5", "0", "100"]


def test_nothing_that_came_is_no_line(tmp_path: Path) -> None:
    doors, writer = written(tmp_path / "j.gz", World())
    for _ in range(5):
        assert doors.source.next(0) is None
        assert (doors.timer.due(), doors.control.poll(), doors.signals.hurry) == (None, (), False)
        assert (doors.signals.reason, doors.signals.name) == (None, "")
    writer.close()
    assert list(played(tmp_path / "j.gz")[1].entries()) == []


def test_closing_a_source_closes_the_world_and_not_the_journal(tmp_path: Path) -> None:
    world = World()
    doors, writer = written(tmp_path / "j.gz", world)
    doors.source.close()
    doors.source.request("fee")
    writer.close()
    writer.close()
    assert world.closed == 1
    played_doors, journal = played(tmp_path / "j.gz")
    assert played_doors.source.request("fee")["command"] == "fee"
    played_doors.source.close()
    journal.finish()


def test_a_start_that_fails_is_not_written(tmp_path: Path) -> None:
    world = World()
    world.failing = True
    doors, writer = written(tmp_path / "j.gz", world)
    with pytest.raises(FeedError, match="no server"):
        doors.source.start()
    world.failing = False
    doors.source.start()
    writer.close()
    doors, journal = played(tmp_path / "j.gz")
    doors.source.start()
    journal.finish()


# what belongs to which round


@pytest.mark.parametrize("silent", [True, False])
def test_what_came_in_a_ledgers_round_is_told_apart_from_what_came_in_the_silence_after_it(
    tmp_path: Path, silent: bool
) -> None:
    world = World()
    world.items = [BUNDLES[0], None] if silent else [BUNDLES[0]]
    world.asked = [(), (KILL,)] if silent else [(KILL,)]

    def use(doors: Doors) -> object:
        rounds: list[object] = []
        for _ in range(1 + silent):
            rounds.append((doors.source.next(0), doors.signals.reason, doors.control.poll()))
        return rounds

    first, second = both(tmp_path / "j.gz", world, use)
    assert first == second
    assert second[-1][2] == (KILL,)  # type: ignore[index]


def test_a_second_signal_seen_late_in_a_round_is_not_told_early_in_it(tmp_path: Path) -> None:
    world = World()
    world.items = [BUNDLES[0]]

    def use(doors: Doors) -> object:
        item, reason = doors.source.next(0), doors.signals.reason
        world.reason, world.name, world.hurry = HaltReason.KILL_SWITCH, "SIGUSR1", True
        return item, reason, doors.signals.hurry

    assert both(tmp_path / "j.gz", world, use) == ((BUNDLES[0], None, True),) * 2


# mismatches


def test_a_request_with_another_parameter_names_it_with_line_and_both_values(tmp_path: Path) -> None:
    path = tmp_path / "j.gz"
    doors = written_by(path, lambda one: one.source.request("tx", transaction="AB", min_ledger=4))
    with pytest.raises(JournalMismatch) as caught:
        doors.source.request("tx", transaction="AB", min_ledger=5, binary=True)
    assert str(caught.value) == (
        f"journal {path}, line 2: request tx: binary is nothing there and true here, min_ledger is 4 there "
        "and 5 here; this is not the session that was written"
    )


def test_another_command_or_method_is_a_mismatch(tmp_path: Path) -> None:
    ask: Use = lambda doors: doors.source.request("fee")  # noqa: E731
    with pytest.raises(JournalMismatch, match=r"line 2: the session asked request fee, .* request ledger"):
        written_by(tmp_path / "a.gz", ask).source.request("ledger")
    with pytest.raises(JournalMismatch, match="the engine asks submit_request fee"):
        written_by(tmp_path / "b.gz", ask).source.submit_request("fee")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"Fee": "11"}, 'Fee is "10" there and "11" here'),
        ({"Sequence": True}, "Sequence is 1 there and true here"),
        ({"Expiration": 5}, "Expiration is nothing there and 5 here"),
        ({"TakerGets": {"value": "1.0", "issuer": "r"}}, 'TakerGets is {"value":"1",'),
    ],
)
def test_the_whole_transaction_must_be_the_same(tmp_path: Path, change: Json, told: str) -> None:
    tx = {"Sequence": 1, "Fee": "10", "TakerGets": {"value": "1", "issuer": "r"}}
    doors = written_by(tmp_path / "j.gz", lambda one: one.signer.sign(tx))
    with pytest.raises(JournalMismatch) as caught:
        doors.signer.sign({**tx, **change})
    assert told in str(caught.value)


def test_the_order_of_a_transactions_fields_does_not_matter(tmp_path: Path) -> None:
    doors = written_by(tmp_path / "j.gz", lambda one: one.signer.sign({"Sequence": 1, "Fee": "10"}))
    assert doors.signer.sign({"Fee": "10", "Sequence": 1}) == ("blob 1", "hash 1")


def test_a_question_where_the_session_did_something_else_is_a_mismatch(tmp_path: Path) -> None:
    path = tmp_path / "j.gz"
    doors = written_by(path, lambda one: one.signer.sign({"Sequence": 1}))
    text = r'line 2: the session came to sign \{"Sequence":1\}, the engine asks for request fee \{\}'
    with pytest.raises(JournalMismatch, match=text):
        doors.source.request("fee")
    with pytest.raises(JournalMismatch, match=text):  # and nothing goes on after it
        doors.signer.sign({"Sequence": 1})


def test_a_wait_for_what_never_comes_ends_at_once(tmp_path: Path) -> None:
    doors = written_by(tmp_path / "j.gz", lambda one: one.signer.sign({"Sequence": 1}))
    with pytest.raises(JournalMismatch, match="the engine waits for something the journal does not have"):
        doors.source.next(1.0)


def test_a_wait_that_was_one_in_the_session_ends_when_what_came_then_is_not_taken(tmp_path: Path) -> None:
    world = World()
    world.times = [5]
    doors = written_by(tmp_path / "j.gz", lambda one: (one.source.next(0), one.timer.due()), world)
    assert doors.source.next(0) is None
    assert doors.control.poll() == ()
    with pytest.raises(JournalMismatch, match=r"waits for something .*: here comes timer"):
        doors.source.next(0)


def test_a_question_before_the_silence_in_which_it_was_asked_is_a_mismatch(tmp_path: Path) -> None:
    ask: Use = lambda one: (one.source.next(0), one.source.request("fee"))  # noqa: E731
    doors = written_by(tmp_path / "j.gz", ask)
    with pytest.raises(JournalMismatch, match="waited for the feed first"):
        doors.source.request("fee")


def test_a_state_that_the_session_did_not_look_at_is_a_mismatch(tmp_path: Path) -> None:
    doors = written_by(tmp_path / "j.gz", lambda one: one.source.request("fee"))
    with pytest.raises(JournalMismatch, match="the gateway's state"):
        _ = doors.source.state


def test_what_is_left_when_the_engine_has_ended_is_told(tmp_path: Path) -> None:
    written_by(tmp_path / "j.gz", lambda one: one.source.request("fee"))
    journal = played(tmp_path / "j.gz")[1]
    with pytest.raises(
        JournalMismatch, match=r"line 2: the engine has ended, the session came to request fee"
    ):
        journal.finish()


# files


def test_the_end_of_a_journal_ends_the_feed(tmp_path: Path) -> None:
    doors = written_by(tmp_path / "j.gz", lambda one: one.source.request("fee"))
    doors.source.request("fee")
    for call in (lambda: doors.source.next(0), lambda: doors.signer.sign({})):
        with pytest.raises(FeedError, match=r"the journal ends here, after line 2; the engine asks for"):
            call()


def test_a_session_that_still_writes_or_was_killed_can_be_read_to_its_last_line(tmp_path: Path) -> None:
    world = World()
    world.items = [*BUNDLES]
    doors, _writer = written(tmp_path / "j.gz", world)
    for _ in BUNDLES:
        doors.source.next(0)
    doors, journal = played(tmp_path / "j.gz")  # nobody has closed it
    assert [doors.source.next(0) for _ in BUNDLES] == BUNDLES
    assert journal.cut
    with pytest.raises(
        FeedError, match=r"the journal ends here, after line .*cut off as by a killed process"
    ):
        doors.source.next(0)
    journal.finish()


@pytest.mark.parametrize("packed", [True, False])
def test_a_file_cut_anywhere_gives_its_whole_lines_and_a_clean_end(tmp_path: Path, packed: bool) -> None:
    world = World()
    doors, writer = written(tmp_path / "j.gz", world)
    for number in range(20):
        doors.signer.sign({"Sequence": number})
    writer.close()
    data = (tmp_path / "j.gz").read_bytes()
    if not packed:
        data = zlib.decompress(data, wbits=31)
    counts = set()
    for end in range(200, len(data), 7):
        (tmp_path / "cut.gz").write_bytes(data[:end])
        journal = Journal.open(tmp_path / "cut.gz")
        entries = list(journal.entries())
        assert entries == [
            Signature(tx={"Sequence": n}, blob=f"blob {n}", hash=f"hash {n}") for n in range(len(entries))
        ]
        counts.add(len(entries))
        journal.finish()
        journal.close()
    assert len(counts) >= 15


def test_damage_in_the_middle_is_told_with_its_line_and_only_when_it_is_reached(tmp_path: Path) -> None:
    doors, writer = written(tmp_path / "j.gz", World())
    doors.source.request("fee")
    doors.source.request("ledger")
    writer.close()
    lines = zlib.decompress((tmp_path / "j.gz").read_bytes(), wbits=31).splitlines(keepends=True)
    (tmp_path / "bad").write_bytes(lines[0] + lines[1] + b'{"kind":"moon"}\n' + lines[2])
    doors, journal = played(tmp_path / "bad")
    doors.source.request("fee")
    with pytest.raises(FeedError, match=r"bad, line 3: cannot be read .*moon.*undamaged copy"):
        doors.source.request("ledger")
    with pytest.raises(FeedError, match="line 3"):
        journal.finish()
    packed = bytearray((tmp_path / "j.gz").read_bytes())
    packed[14] ^= 0xFF
    (tmp_path / "bad").write_bytes(packed)
    with pytest.raises(FeedError, match=r"bad.*(cannot be read|no journal)"):
        list(played(tmp_path / "bad")[1].entries())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "no journal"),
        (b'{"type":"header"}\n', "no journal"),
        (
            b'{"format":"neo-journal","version":2,"session":{}}\n',
            "neo-journal 2; this engine plays neo-journal 3",
        ),
    ],
)
def test_anything_but_a_journal_is_refused(tmp_path: Path, text: bytes, why: str) -> None:
    (tmp_path / "x").write_bytes(text)
    with pytest.raises(FeedError, match=why):
        Journal.open(tmp_path / "x")
    with pytest.raises(FeedError, match="cannot be opened"):
        Journal.open(tmp_path / "missing")


def test_a_journal_never_overwrites_a_file(tmp_path: Path) -> None:
    (tmp_path / "j.gz").write_bytes(b"mine")
    with pytest.raises(FeedError, match="name another file"):
        JournalWriter(tmp_path / "j.gz", HEADER)
    assert (tmp_path / "j.gz").read_bytes() == b"mine"


def test_a_journal_that_cannot_be_written_is_told_once_and_the_session_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("neo_engine"), "propagate", True)
    doors, writer = written(tmp_path / "j.gz", World())
    doors.source.request("fee")
    doors.source.request("fee", odd=object())  # no JSON
    assert doors.source.request("fee")["command"] == "fee"
    assert doors.signer.sign({"Sequence": 1}) == ("blob 1", "hash 1")
    assert "cannot be replayed further" in writer.failure
    assert len([one for one in caplog.records if one.levelname == "ERROR"]) == 1
    writer.close()
    assert len(list(played(tmp_path / "j.gz")[1].entries())) == 1


# secrets


@pytest.mark.parametrize("native", [True, False])
def test_the_seed_and_the_private_key_are_in_no_byte_of_the_file(tmp_path: Path, native: bool) -> None:
    key = Signer(Secret(SEED), account=ACCOUNT, regular_key=False, native=native)

    class Adapter:
        def sign(self, tx: Json) -> tuple[str, str]:
            signed = key.sign(tx)
            return signed.blob, signed.tx_hash

    writer = JournalWriter(tmp_path / "j.gz", HEADER)
    signer = JournaledSigner(Adapter(), writer)
    tx = {
        "TransactionType": "AccountSet",
        "Account": ACCOUNT,
        "Fee": "10",
        "Sequence": 1,
        "LastLedgerSequence": 9,
        "Flags": 0,
    }
    blob, _hash = signer.sign(tx)
    with pytest.raises(NeoError):
        signer.sign({**tx, "Fee": "no fee"})
    with pytest.raises(NeoError):
        signer.sign({**tx, "Account": "rSomebodyElse"})
    writer.close()
    packed = (tmp_path / "j.gz").read_bytes()
    text = zlib.decompress(packed, wbits=31)
    private = key._keys.private
    for secret in (SEED, private, private.lower(), private[2:]):
        assert secret.encode() not in packed + text
        assert bytes.fromhex(private[2:]) not in packed + text
    assert blob.encode() in text


def test_a_secret_in_an_endpoint_reaches_neither_engine_nor_file(tmp_path: Path) -> None:
    secret = "wss://node.example/s3cret"
    world = World()
    world.items = [GatewayEvent(kind=EventKind.STALE, text=f"{secret}: old", endpoint=secret)]
    world.answers = [
        RequestLost("submit", f"the writer {secret} is not connected", sent=False),
        RequestRefused("fee", "tooBusy", f"{secret} says no", {}),
    ]

    def use(doors: Doors) -> object:
        lost = raised(lambda: doors.source.submit_request("submit", tx_blob="1"))
        refused = raised(lambda: doors.source.request("fee"))
        return doors.source.next(0), lost, refused

    first, second = both(tmp_path / "j.gz", world, use)
    assert first == second
    assert "s3cret" not in str(first)
    assert "wss://node.example is not connected" in str(first)
    assert b"s3cret" not in zlib.decompress((tmp_path / "j.gz").read_bytes(), wbits=31)


# any interleaving


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """What one round of the loop meets. reactions: what the engine asks if anything came."""

    item: int | None  # of ITEMS
    asked: bool
    due: bool
    signal: bool
    hurry: bool
    reactions: tuple[str, ...]


ITEMS = [*BUNDLES, GatewayEvent(kind=EventKind.STALE, text="old", endpoint=URL)]
script = st.builds(
    Script,
    item=st.none() | st.integers(0, len(ITEMS) - 1),
    asked=st.booleans(),
    due=st.booleans(),
    signal=st.booleans(),
    hurry=st.booleans(),
    reactions=st.lists(st.sampled_from(["request", "submit_request", "sign", "refused"]), max_size=4).map(
        tuple
    ),
)


class Loop:
    """Looks at the doors in the main loop's order, and acts only where something new came, as it does."""

    def __init__(self, doors: Doors, scripts: list[Script]) -> None:
        self._doors = doors
        self._scripts = scripts
        self._known: set[object] = {None, False}
        self.rounds: list[list[object]] = []  # those in which something came

    def round(self, meanwhile: Callable[[], None]) -> None:
        """Do one round; `meanwhile` happens in the world just before its end."""
        doors, busy = self._doors, len(self.rounds)
        item = doors.source.next(0)
        came: list[object] = [] if item is None else [item]
        came += self._news(doors.signals.reason)
        came += doors.control.poll()
        if not isinstance(item, LedgerBundle):
            came += [one for one in [doors.timer.due()] if one is not None]
        if came:
            came += [self._act(what, busy, n) for n, what in enumerate(self._scripts[busy].reactions)]
        meanwhile()
        came += self._news(doors.signals.hurry)
        if came:
            self.rounds.append([*came, doors.signals.name])

    def _news(self, value: object) -> list[object]:
        if value in self._known:
            return []
        self._known.add(value)
        return [value]

    def _act(self, what: str, busy: int, number: int) -> object:
        source = self._doors.source
        if what == "sign":
            return self._doors.signer.sign({"Sequence": busy, "Fee": str(number)})
        if what == "refused":
            return raised(lambda: source.request("refused", number=busy))
        return getattr(source, what)("fee", number=number)


class RefusingWorld(World):
    """Refuses one command."""

    def request(self, command: str, *, timeout_seconds: float = 10.0, **parameters: Any) -> Json:
        if command == "refused":
            raise RequestRefused(command, "invalidParams", "no", parameters)
        return super().request(command, timeout_seconds=timeout_seconds, **parameters)


@settings(max_examples=60, deadline=None)
@given(scripts=st.lists(script, min_size=1, max_size=12))
def test_any_interleaving_is_played_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, scripts: list[Script]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "j.gz"
    world = RefusingWorld()
    doors, writer = written(path, world)
    loop = Loop(doors, scripts)
    for one in scripts:
        world.items = [] if one.item is None else [ITEMS[one.item]]
        world.asked = [(KILL, DEPOSIT)] if one.asked else []
        world.times = [77] if one.due else []
        if one.signal:
            world.reason, world.name = HaltReason.INTERRUPTED_SIGTERM, "SIGTERM"

        def hurried(one: Script = one) -> None:
            world.hurry = world.hurry or one.hurry

        loop.round(hurried)
    writer.close()

    doors, journal = played(path)
    replay = Loop(doors, scripts)
    while len(replay.rounds) < len(loop.rounds):
        replay.round(lambda: None)
    journal.finish()
    journal.close()
    assert replay.rounds == loop.rounds
