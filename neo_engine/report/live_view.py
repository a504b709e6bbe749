"""What a running session shows on stderr: a panel on a terminal, plain lines elsewhere, or nothing.

1. Looking costs the session nothing it would notice: a panel is drawn at most every REFRESH_SECONDS, a
   plain line printed at most every LINE_SECONDS, by the monotonic clock that is handed in.
2. A terminal that closes or a pipe that breaks ends the view, never the session: every write error
   turns the view off.
3. stdout is never written to.
4. While the panel stands, log lines of the engine appear above it, not through it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from typing import TextIO, cast

import msgspec
from rich.console import Group, RenderableType
from rich.file_proxy import FileProxy
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from neo_engine.domain.fills import Fill
from neo_engine.domain.number import NEAREST, plain, xrp_from_drops
from neo_engine.domain.records import Gate
from neo_engine.report.render_text import QuietPipeConsole, has_line_drawing

REFRESH_SECONDS = 0.125  # eight pictures a second: smooth to the eye, no load at full speed
LINE_SECONDS = 1.0  # plain lines go to logs and CI, where more than one a second drowns the rest
LINE_MARKET_SECONDS = 60  # a line a market minute even when nothing happens
RATE_AFTER_SECONDS = 1.0  # wall time needed before the speed of the market can be told
PANEL_WIDTH = 96
BAR_WIDTH = 30
LOGGER_NAME = "neo_engine"
_TOUCH = Decimal("0.01")
_CENTS = Decimal("0.0001")


class ViewState(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to show after a tick.

    elapsed_seconds, duration_seconds: on the feed's clock, None for a session without an end. mid,
    anchor, our_bid, our_ask: RLUSD per XRP. *_touch_bps: distance to touch, negative is behind. fees
    and P&L in RLUSD at the mark; None before there is one.
    """

    tick: int
    ledger_index: int
    elapsed_seconds: int
    duration_seconds: int | None
    mid: Decimal | None
    anchor: Decimal | None
    anchor_source: str | None
    our_bid: Decimal | None
    our_ask: Decimal | None
    bid_touch_bps: Decimal | None
    ask_touch_bps: Decimal | None
    base_drops: int
    quote: Decimal
    max_xrp_exposure: Decimal
    max_rlusd_exposure: Decimal
    realised: Decimal
    unrealised: Decimal
    fees: Decimal
    total: Decimal
    fills: int
    last_fill: Fill | None
    open_orders: int
    gates: tuple[Gate, ...]
    faults: int


class _Mode(Enum):
    OFF = "off"
    PANEL = "panel"
    LINES = "lines"


def clock_text(seconds: float) -> str:
    """Return a span of time as h:mm:ss, rounded down to whole seconds.

    >>> clock_text(3725)
    '1:02:05'
    """
    whole = max(int(seconds), 0)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def _price(value: Decimal | None) -> str:
    return "-" if value is None else f"{value.quantize(Decimal('0.000001'), rounding=NEAREST):f}"


def _signed(value: Decimal) -> str:
    return f"{value.quantize(_CENTS, rounding=NEAREST):+f}"


def _amount(value: Decimal) -> str:
    return f"{value.quantize(_CENTS, rounding=NEAREST):,f}"


def _quote_text(name: str, price: Decimal | None, distance: Decimal | None) -> str:
    if price is None:
        return f"{name} none"
    far = "" if distance is None else f" ({distance.quantize(_TOUCH, rounding=NEAREST):+f} bps to touch)"
    return f"{name} {_price(price)}{far}"


def _fill_text(fill: Fill | None) -> str:
    if fill is None:
        return ""
    verb = "bought" if fill.side.value == "buy" else "sold"
    amount = plain(xrp_from_drops(fill.base_drops))
    return f"; last: {verb} {amount} XRP at {_price(fill.price)} in ledger {fill.ledger_index}"


def plain_line(state: ViewState, quote_symbol: str) -> str:
    """Return the state as one line of text."""
    duration = "" if state.duration_seconds is None else f" of {clock_text(state.duration_seconds)}"
    gates = ", ".join(dict.fromkeys(f"{gate.name} ({gate.side})" for gate in state.gates)) or "none"
    return (
        f"{clock_text(state.elapsed_seconds)}{duration} ledger {state.ledger_index} mid {_price(state.mid)} "
        f"{_quote_text('bid', state.our_bid, state.bid_touch_bps)} "
        f"{_quote_text('ask', state.our_ask, state.ask_touch_bps)} "
        f"XRP {_amount(xrp_from_drops(state.base_drops))} {quote_symbol} {_amount(state.quote)} "
        f"P&L {_signed(state.total)} fills {state.fills} open {state.open_orders} gates {gates} "
        f"faults {state.faults}"
    )


class LiveView:
    """Shows the newest state of a session on `stream`; see the module's text for its promises.

    title: one line that names the session. monotonic: seconds that never go backwards. quiet: show
    nothing at all.
    """

    def __init__(
        self,
        *,
        stream: TextIO,
        monotonic: Callable[[], float],
        quiet: bool,
        title: str,
        quote_symbol: str,
    ) -> None:
        self._stream = stream
        self._monotonic = monotonic
        self._title = title
        self._quote = quote_symbol
        self._state: ViewState | None = None
        self._shown: ViewState | None = None
        self._last_shown = float("-inf")
        self._started_at = 0.0
        self._started_elapsed = 0
        self._live: Live | None = None
        self._handlers: list[tuple[logging.StreamHandler[TextIO], TextIO]] = []
        self._console = QuietPipeConsole(file=stream, markup=False, emoji=False, highlight=False)
        self._mode = self._choose(quiet)

    def _choose(self, quiet: bool) -> _Mode:
        if quiet:
            return _Mode.OFF
        try:
            terminal = self._stream.isatty()
        except ValueError:  # the stream is closed already
            return _Mode.OFF
        return _Mode.PANEL if terminal and not self._console.is_dumb_terminal else _Mode.LINES

    @property
    def off(self) -> bool:
        """True while nothing is shown, so that nothing needs to be prepared either."""
        return self._mode is _Mode.OFF

    def update(self, state: ViewState) -> None:
        """Take the state after a tick; shows it if enough time has passed since the last one shown."""
        if self._mode is _Mode.OFF:
            return
        now = self._monotonic()
        if self._state is None:
            self._started_at, self._started_elapsed = now, state.elapsed_seconds
        self._state = state
        wait = REFRESH_SECONDS if self._mode is _Mode.PANEL else LINE_SECONDS
        if now - self._last_shown < wait:
            return
        if self._mode is _Mode.PANEL or self._is_news(state):
            self._show(now)

    def close(self) -> None:
        """Show the last state and leave the stream as it was; may be called twice."""
        if self._mode is not _Mode.OFF and self._state is not None and self._state is not self._shown:
            self._show(self._monotonic())
        self._turn_off()

    def _is_news(self, state: ViewState) -> bool:
        shown = self._shown
        if shown is None or state.fills != shown.fills or state.faults != shown.faults:
            return True
        closed = {(gate.name, gate.side) for gate in state.gates}
        if closed != {(gate.name, gate.side) for gate in shown.gates}:
            return True
        return state.elapsed_seconds - shown.elapsed_seconds >= LINE_MARKET_SECONDS

    def _show(self, now: float) -> None:
        state = self._state
        if state is None:
            return
        self._last_shown, self._shown = now, state
        try:
            if self._mode is _Mode.LINES:
                self._write_line(plain_line(state, self._quote))
            else:
                self._draw(self._panel(state, now))
        except (OSError, ValueError):  # broken pipe, closed terminal, closed file: the view ends here
            self._turn_off()

    def _write_line(self, line: str) -> None:
        encoding = self._stream.encoding or "ascii"
        self._stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        self._stream.flush()

    def _draw(self, panel: RenderableType) -> None:
        if self._live is not None:
            self._live.update(panel, refresh=True)
            return
        self._live = Live(
            panel, console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        self._live.start(refresh=True)
        self._borrow_log_handlers()

    def _borrow_log_handlers(self) -> None:
        for handler in logging.getLogger(LOGGER_NAME).handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is self._stream:
                self._handlers.append((handler, self._stream))
                handler.setStream(cast(TextIO, FileProxy(self._console, self._stream)))

    def _turn_off(self) -> None:
        """End the view and undo what it borrowed; what a dead terminal refuses is not tried again."""
        self._mode = _Mode.OFF
        live, self._live = self._live, None
        try:
            if live is not None:
                live.stop()
        except (OSError, ValueError):
            self._console.quiet = True
        for handler, stream in self._handlers:
            handler.stream = stream  # not setStream: it would flush the proxy to a terminal that may be gone
        self._handlers.clear()

    def _panel(self, state: ViewState, now: float) -> RenderableType:
        body = Table.grid(padding=(0, 2))
        body.add_column(style="dim", no_wrap=True)
        body.add_column(overflow="fold")
        for name, value in self._rows(state):
            body.add_row(name, value)
        top = Table.grid(padding=(0, 2))
        top.add_column(no_wrap=True)
        top.add_column()
        bar: RenderableType = ""
        if state.duration_seconds:
            passed = min(state.elapsed_seconds, state.duration_seconds)
            bar = _bar(Decimal(passed), Decimal(state.duration_seconds))
        top.add_row(self._time_text(state, now), bar)
        safe = not has_line_drawing(self._stream)
        return Panel(
            Group(top, body), title=self._title, title_align="left", width=PANEL_WIDTH, safe_box=safe
        )

    def _time_text(self, state: ViewState, now: float) -> str:
        """Return market time passed and left, and by the clock, once the market's speed can be told."""
        wall = now - self._started_at
        passed = state.elapsed_seconds - self._started_elapsed
        rate = passed / wall if wall >= RATE_AFTER_SECONDS else 0.0
        text = clock_text(state.elapsed_seconds)
        if state.duration_seconds is not None:
            left = max(state.duration_seconds - state.elapsed_seconds, 0)
            text += f" of {clock_text(state.duration_seconds)}, {clock_text(left)} left"
            if left and rate > 0:
                text += f" (about {clock_text(left / rate)} to wait)"
        return text

    def _rows(self, state: ViewState) -> list[tuple[str, RenderableType]]:
        anchor = "none" if state.anchor is None else f"{_price(state.anchor)} ({state.anchor_source})"
        quotes = (
            f"{_quote_text('bid', state.our_bid, state.bid_touch_bps)}, "
            f"{_quote_text('ask', state.our_ask, state.ask_touch_bps)}"
        )
        xrp = xrp_from_drops(state.base_drops)
        result = (
            f"{_signed(state.total)} {self._quote} = realised {_signed(state.realised)} "
            f"+ unrealised {_signed(state.unrealised)} - fees {_price(state.fees)}"
        )
        return [
            ("Ledger", Text(f"{state.ledger_index}, tick {state.tick:,}")),
            ("Market", Text(f"mid {_price(state.mid)}, anchor {anchor}")),
            ("Quotes", Text(quotes)),
            ("XRP", _holding(xrp, state.max_xrp_exposure)),
            (self._quote, _holding(state.quote, state.max_rlusd_exposure)),
            ("P&L", Text(result, style="red" if state.total < 0 else "green")),
            ("Fills", Text(f"{state.fills:,}{_fill_text(state.last_fill)}")),
            ("Orders", Text(f"{state.open_orders} open")),
            ("Gates", _gates(state.gates)),
            ("Faults", Text(str(state.faults), style="yellow" if state.faults else "")),
        ]


def _bar(value: Decimal, limit: Decimal) -> RenderableType:
    """Return a bar of `value` within `limit`, and its share in percent for those who see no colours."""
    held = float(min(max(value, Decimal(0)), limit))
    row = Table.grid(padding=(0, 1))
    row.add_row(
        ProgressBar(total=float(limit), completed=held, width=BAR_WIDTH), f"{value * 100 / limit:.0f} %"
    )
    return row


def _holding(value: Decimal, limit: Decimal) -> RenderableType:
    row = Table.grid(padding=(0, 2))
    row.add_column(min_width=26)
    row.add_row(Text(f"{_amount(value)} of {_amount(limit)}"), _bar(value, limit))
    return row


def _gates(gates: tuple[Gate, ...]) -> Text:
    if not gates:
        return Text("all open", style="green")
    return Text("\n".join(f"{gate.name} closes {gate.side}: {gate.detail}" for gate in gates), style="yellow")
