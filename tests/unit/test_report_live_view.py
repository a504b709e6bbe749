"""The live view: how often it shows, what it survives, and that it stays off stdout."""

from __future__ import annotations

import io
import logging
import sys
from decimal import Decimal as D

import pytest
from msgspec.structs import replace

from neo_engine.domain.assets import Side
from neo_engine.domain.fills import Fill, LiquiditySide
from neo_engine.domain.records import Gate
from neo_engine.report.live_view import (
    LINE_SECONDS,
    REFRESH_SECONDS,
    LiveView,
    ViewState,
    clock_text,
    plain_line,
)

STATE = ViewState(
    tick=1,
    ledger_index=96_000_001,
    elapsed_seconds=0,
    duration_seconds=1800,
    mid=D("2.5"),
    anchor=D("2.4999"),
    anchor_source="clob",
    our_bid=D("2.499"),
    our_ask=None,
    bid_touch_bps=D("-1.25"),
    ask_touch_bps=None,
    base_drops=103_200_000,
    quote=D("210.12"),
    max_xrp_exposure=D(150),
    max_rlusd_exposure=D(400),
    realised=D("0.5"),
    unrealised=D("-0.25"),
    fees=D("0.0001"),
    total=D("0.2499"),
    fills=0,
    last_fill=None,
    open_orders=1,
    gates=(),
    faults=0,
)
FILL = Fill(
    order_id=1,
    ledger_index=96_000_009,
    close_time=0,
    transaction_index=3,
    node="N",
    tx_hash="H",
    side=Side.SELL,
    liquidity=LiquiditySide.MAKER,
    base_drops=6_000_000,
    quote=D("15.06"),
    quote_balance_delta=D("15.06"),
    rounding=D(0),
    offer_sequence=4,
)
GATE = Gate(name="InventoryLimit", side="ask", detail="138 XRP above 135")


class HandClock:
    """A monotonic clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class CountingTerminal(io.StringIO):
    """A terminal that remembers how often it was drawn on."""

    encoding = "utf-8"

    def __init__(self) -> None:
        super().__init__()
        self.flushes = 0

    def isatty(self) -> bool:
        return True

    def flush(self) -> None:
        self.flushes += 1
        super().flush()


class BrokenTerminal(CountingTerminal):
    """A terminal that goes away: every write from the `last`-th on fails with `error`."""

    def __init__(self, error: Exception, last: int) -> None:
        super().__init__()
        self.error = error
        self.left = last

    def write(self, text: str) -> int:
        self.left -= 1
        if self.left < 0:
            raise self.error
        return super().write(text)


class BrokenPipe(BrokenTerminal):
    """The same without being a terminal."""

    def isatty(self) -> bool:
        return False


def view_on(stream: io.StringIO, clock: HandClock, *, quiet: bool = False) -> LiveView:
    return LiveView(
        stream=stream, monotonic=clock, quiet=quiet, title="NEO paper XRP/RLUSD", quote_symbol="RLUSD"
    )


@pytest.fixture(autouse=True)
def ordinary_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "110")
    monkeypatch.setenv("LINES", "40")


def lines_of(stream: io.StringIO) -> list[str]:
    return stream.getvalue().splitlines()


def test_plain_lines_come_once_a_market_minute_when_nothing_happens() -> None:
    stream, clock = io.StringIO(), HandClock()
    view = view_on(stream, clock)
    for seconds in range(0, 600, 4):
        clock.now += 4
        view.update(replace(STATE, elapsed_seconds=seconds))
    assert len(lines_of(stream)) == 10


@pytest.mark.parametrize(
    "news", [replace(STATE, fills=1), replace(STATE, gates=(GATE,)), replace(STATE, faults=1)]
)
def test_a_fill_a_gate_or_a_fault_is_a_line_at_once(news: ViewState) -> None:
    stream, clock = io.StringIO(), HandClock()
    view = view_on(stream, clock)
    view.update(STATE)
    clock.now += LINE_SECONDS
    view.update(news)
    assert len(lines_of(stream)) == 2


def test_at_full_speed_there_is_at_most_one_line_a_second_and_nothing_is_forgotten() -> None:
    stream, clock = io.StringIO(), HandClock()
    view = view_on(stream, clock)
    for tick in range(1, 5001):
        clock.now += 0.001
        view.update(replace(STATE, tick=tick, elapsed_seconds=4 * tick, fills=tick))
    view.close()
    shown = lines_of(stream)
    assert len(shown) in (6, 7)
    assert " fills 5000 " in shown[-1]


def test_the_panel_is_drawn_at_most_eight_times_a_second_and_ends_on_the_last_state() -> None:
    stream, clock = CountingTerminal(), HandClock()
    view = view_on(stream, clock)
    view.update(STATE)
    first = stream.flushes
    for tick in range(1000):
        clock.now += 0.001
        view.update(replace(STATE, tick=tick))
    drawn = stream.getvalue().count("Ledger")
    assert drawn <= 1 + 1 / REFRESH_SECONDS
    assert stream.flushes > first
    view.update(replace(STATE, tick=7777))
    view.close()
    assert "tick 7,777" in stream.getvalue()


def test_the_panel_says_all_that_matters() -> None:
    stream, clock = CountingTerminal(), HandClock()
    view = view_on(stream, clock)
    view.update(STATE)
    clock.now += 10
    view.update(replace(STATE, elapsed_seconds=600, fills=3, last_fill=FILL, gates=(GATE,), faults=2))
    view.close()
    text = stream.getvalue()
    for part in (
        "0:10:00 of 0:30:00, 0:20:00 left (about 0:00:20 to wait)",
        "mid 2.500000, anchor 2.499900 (clob)",
        "bid 2.499000 (-1.25 bps to touch), ask none",
        "103.2000 of 150.0000",
        "210.1200 of 400.0000",
        "+0.2499 RLUSD = realised +0.5000 + unrealised -0.2500 - fees 0.000100",
        "3; last: sold 6 XRP at 2.510000 in ledger 96000009",
        "InventoryLimit closes ask: 138 XRP above 135",
    ):
        assert part in text, part


def test_closing_shows_the_cursor_again_and_may_be_repeated() -> None:
    stream, clock = CountingTerminal(), HandClock()
    view = view_on(stream, clock)
    view.update(STATE)
    assert "\x1b[?25l" in stream.getvalue()
    view.close()
    view.close()
    assert stream.getvalue().rindex("\x1b[?25h") > stream.getvalue().rindex("\x1b[?25l")


def test_quiet_shows_nothing() -> None:
    for stream in (io.StringIO(), CountingTerminal()):
        view = view_on(stream, HandClock(), quiet=True)
        view.update(STATE)
        view.close()
        assert stream.getvalue() == ""


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    stream = CountingTerminal()
    view = view_on(stream, HandClock())
    view.update(STATE)
    view.close()
    assert stream.getvalue() == plain_line(STATE, "RLUSD") + "\n"


def test_nothing_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    view = view_on(CountingTerminal(), HandClock())
    view.update(STATE)
    view.close()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("kind", [BrokenTerminal, BrokenPipe])
@pytest.mark.parametrize("last", [0, 1, 2])
@pytest.mark.parametrize(
    "error", [BrokenPipeError(32, "Broken pipe"), OSError(5, "Input/output error"), ValueError("closed file")]
)
def test_a_terminal_that_goes_away_ends_the_view_and_not_the_session(
    kind: type[BrokenTerminal], last: int, error: Exception
) -> None:
    stream, clock = kind(error, last), HandClock()
    stdout = sys.stdout
    view = view_on(stream, clock)
    for tick in range(20):
        clock.now += 70
        view.update(replace(STATE, tick=tick, fills=tick))
    view.close()
    assert sys.stdout is stdout


def test_a_stream_that_was_closed_before_is_no_failure() -> None:
    stream = io.StringIO()
    stream.close()
    view = view_on(stream, HandClock())
    view.update(STATE)
    view.close()


def test_log_lines_pass_through_the_panel_and_the_handler_is_given_back() -> None:
    stream, clock = CountingTerminal(), HandClock()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger("neo_engine")
    logger.addHandler(handler)
    try:
        view = view_on(stream, clock)
        view.update(STATE)
        assert handler.stream is not stream
        logger.warning("feed fault [Gap] at line 12")
        view.close()
        assert handler.stream is stream
    finally:
        logger.removeHandler(handler)
    assert "feed fault [Gap] at line 12" in stream.getvalue()


def test_a_code_page_without_line_drawing_gets_an_ascii_panel() -> None:
    raw = io.BytesIO()

    class OldConsole(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    stream = OldConsole(raw, encoding="cp1252", errors="strict")
    view = LiveView(stream=stream, monotonic=HandClock(), quiet=False, title="NEO", quote_symbol="RLUSD")
    view.update(STATE)
    view.close()
    assert b"103.2000 of 150.0000" in raw.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00:00"), (59.9, "0:00:59"), (90_061, "25:01:01"), (-5, "0:00:00")]
)
def test_a_span_of_time_is_hours_minutes_and_seconds(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text
