"""Ledgers from the network itself: whole ones in order, as a gateway hands them over, and faults as values.

`start()` connects and asks for the state of the last validated ledger; `next()` gives each ledger after it.

1. A ledger's arrival is noted before it is judged, so one that cannot be used is told once and not again as
   a gap; the tracker sees the hole by itself.
2. After anything missed the server's own lists of that very ledger come with the next one
   (`LedgerUpdate.resync`). While they cannot be had, the market stays untrusted and the next ledger tries.
3. What the gateway tells of its connections is logged; it reconnects by itself. When it has given up,
   `next()` raises FeedError. A silence is noticed by the shell's timer, since time passes without a ledger.
4. `link` is what the gateway's events so far amount to: an attempt to connect again begins where a connection
   ended (RECONNECTING) and where one failed (RETRY), and attempts are counted until a ledger comes. From
   STALE, or a lost connection, to HEALTHY what the server says is not to be believed.
5. Every wait has a limit: `next()` that of its caller, but a ledger that brings a resync takes the limits
   of its three requests.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol
from urllib.parse import urlsplit

from msgspec.structs import replace

from neo_engine.domain.assets import Pair
from neo_engine.domain.errors import FeedError, NeoError, StartupFailure
from neo_engine.domain.ledger import (
    BookSnapshot,
    CheckData,
    FeedStart,
    LedgerFault,
    LedgerFaultKind,
    LedgerTransaction,
    LedgerUpdate,
)
from neo_engine.domain.link import CONNECTED, Link
from neo_engine.event_log import say
from neo_engine.feed.faults import DECODE_ERRORS, FaultLog, in_order, kind_of
from neo_engine.ports import Clock
from neo_engine.xrpl.bundles import LedgerBundle
from neo_engine.xrpl.codec import Codec
from neo_engine.xrpl.gateway import EventKind, GatewayEvent
from neo_engine.xrpl.server import RequestLost, RequestRefused, Server
from neo_engine.xrpl.snapshot import AtLedger, OtherLedger, Snapshot, ledger_state, take_snapshot
from neo_engine.xrpl.state import snapshot_of, update_of
from neo_engine.xrpl.wire import TransactionMessage, transaction_decoder

MAX_CLOSE_TIME_LEAP_SECONDS = 7_200  # the main network's longest halt took about an hour (February 2025)
SLOW_DOWN = "slowDown"  # what a server says before it closes; a load warning comes long before that
#: Requests for the server's lists: so many at once, and one more with each so many ledgers (half a minute).
RESYNCS_AT_ONCE = 3
RESYNC_LEDGERS = 8
START_RETRIES = 2
START_PAUSE_SECONDS = 3.0  # about a ledger
NO_CHECK = CheckData(asks=None, bids=None, pool=None, accounts=None)
_BEGINS = (EventKind.RECONNECTING, EventKind.RETRY)  # an attempt to connect again
_BAD = (EventKind.STALE, EventKind.RECONNECTING, EventKind.DISCONNECTED)
REQUEST_ERRORS = (RequestRefused, RequestLost, OtherLedger)

_URL = re.compile(r"wss?://[^\s,;]*[^\s,;:.)]")  # without the mark that ends the sentence


class LedgerSource(Server, Protocol):
    """What the feed needs of a gateway; `xrpl/gateway.py` is the real one."""

    def start(self) -> None:
        """Connect and subscribe. Raises StartupFailure."""

    def next(self, timeout_seconds: float) -> LedgerBundle | GatewayEvent | None:
        """Return the next ledger or event, None when the time limit passed first."""

    def close(self) -> None:
        """Release everything; may be called twice."""


def shown_endpoint(url: str) -> str:
    """Return an endpoint without what may be secret in it: some providers put a key into the path.

    >>> shown_endpoint("wss://neo:secret@node.example:51233/key?token=1")
    'wss://node.example:51233'
    """
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if parts.hostname and ":" in parts.hostname else parts.hostname or ""
    try:
        port = parts.port
    except ValueError:  # no number: nothing of it needs to be seen
        port = None
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")


def without_secrets(text: str) -> str:
    """Return `text` with every endpoint in it as `shown_endpoint` shows it."""
    return _URL.sub(lambda found: shown_endpoint(found.group()), text)


def told_event(event: GatewayEvent) -> str:
    """Return an event as a line of the log."""
    where, text = shown_endpoint(event.endpoint) if event.endpoint else "", without_secrets(event.text)
    told = f"{event.kind.value}: {text}" if text else event.kind.value
    return told if where in text else f"{where}: {told}"


def started_source(source: LedgerSource) -> None:
    """Start a gateway. Raises StartupFailure without what may be secret in an endpoint."""
    try:
        source.start()
    except StartupFailure as error:
        raise StartupFailure(without_secrets(str(error))) from error


class LiveFeed:
    """A network as a feed. issuer None: to be found on the network, where that is small.

    names: the endpoints as people may see them. `connected` is called whenever another connection or server
    is used from now on: it may not know what the last one was told.
    """

    def __init__(
        self, source: LedgerSource, *, currency: str, issuer: str | None, clock: Clock, names: tuple[str, ...]
    ) -> None:
        self.connected: Callable[[], None] = lambda: None
        self._source = source
        self._currency = currency
        self._issuer = issuer
        self._clock = clock
        self._names = ", ".join(names)
        self._faults = FaultLog()
        self._codec: Codec | None = None
        self._last_index = 0
        self._last_time = 0
        self._timed_index = 0
        self._resync_wanted = False
        self._resync_earned = 0  # the ledger by which all requests for lists so far are earned
        self._attempts = 0  # begun since the last ledger
        self._connecting = False
        self._unhealthy = ""

    @property
    def link(self) -> Link:
        """How the gateway is connected, as the events that `next()` took tell it."""
        if not self._attempts and not self._unhealthy:
            return CONNECTED
        return Link(attempts=self._attempts if self._connecting else 0, unhealthy=self._unhealthy)

    def start(self) -> FeedStart:
        """Connect and read the state to start from.

        Raises FeedError naming the endpoints and the fix, StartupFailure as the gateway does.
        """
        started_source(self._source)
        try:
            snapshot = self._taken()
            state = ledger_state(snapshot)
        except FeedError as error:
            raise FeedError(f"{self._names}: {without_secrets(str(error))}") from error
        except (*REQUEST_ERRORS, *DECODE_ERRORS) as error:
            raise self._unusable(error) from error
        self._codec = Codec(pair=snapshot.pair)
        self._last_index = self._timed_index = state.ledger_index
        self._last_time = state.close_time
        say.info("feed_started", "{}", _told(snapshot), ledger_index=state.ledger_index)
        return FeedStart(
            pair=snapshot.pair,
            accounts={},
            watched=(),
            state=state,
            ledger_index=state.ledger_index,
            close_time=state.close_time,
            build_version=snapshot.build_version,
            source=self._names,
            live=True,
        )

    def _taken(self) -> Snapshot:
        """Return the state of a ledger; a server's passing trouble is waited out."""
        for attempt in range(1, START_RETRIES + 1):
            try:
                return take_snapshot(self._source, self._currency, self._issuer, self._clock)
            except (RequestRefused, RequestLost) as error:
                say.warning(
                    "state_unavailable",
                    "no state of a ledger yet: {}",
                    _plain(error),
                    attempt=attempt,
                    attempts_max=START_RETRIES,
                )
                self._clock.sleep(START_PAUSE_SECONDS)
        return take_snapshot(self._source, self._currency, self._issuer, self._clock)

    def _unusable(self, error: Exception) -> FeedError:
        return FeedError(
            f"{self._names}: the state of a validated ledger could not be read ({_plain(error)}); "
            "try again or name another server with --endpoint"
        )

    def next(self, timeout_seconds: float) -> LedgerUpdate | LedgerFault | None:
        """Return the next ledger or fault; None if none came in time.

        Raises FeedError when called before `start`, and when every endpoint was given up.
        """
        codec = self._codec
        if codec is None:
            raise FeedError(f"{self._names}: start() must be called before next()")
        item = self._source.next(timeout_seconds)
        if isinstance(item, GatewayEvent):
            return self._event(item)
        if item is None or item.closed.ledger_index <= self._last_index:
            return None  # the state we began with holds it
        self._attempts, self._connecting = 0, False
        return self._ledger(codec, item)

    def request_resync(self) -> None:
        """Attach the server's own lists to the next ledger."""
        self._resync_wanted = True

    def close(self) -> None:
        """Let the connections go; may be called twice."""
        self._source.close()

    # -- judging ------------------------------------------------------------------------------

    def _event(self, event: GatewayEvent) -> LedgerFault | None:
        text = told_event(event)
        kinds = LedgerFaultKind
        self._note(event.kind, text)
        if event.kind is EventKind.FAILED:
            raise FeedError(f"{text}; name further servers with --endpoint")
        if event.kind is EventKind.GAP:
            self._last_index = max(self._last_index, event.last_ledger)
            self._resync_wanted = True
            return self._faults.make(kinds.LEDGER_GAP, 0, event.last_ledger, text)
        if event.kind is EventKind.MALFORMED:
            return self._faults.make(kinds.MALFORMED_JSON, 0, self._last_index, text)
        if event.kind in (EventKind.CONNECTED, EventKind.WRITER):
            self.connected()
        mild = event.kind is EventKind.BUSY and SLOW_DOWN not in text
        calm = mild or event.kind in (EventKind.CONNECTED, EventKind.HEALTHY)
        (say.info if calm else say.warning)(f"gateway_{event.kind.value}", "{}", text)
        return None

    def _note(self, kind: EventKind, text: str) -> None:
        """Keep what an event says of the connection."""
        if kind in _BEGINS:
            self._attempts, self._connecting = self._attempts + 1, True
        elif kind in (EventKind.CONNECTED, EventKind.READER, EventKind.HEALTHY):
            self._connecting = False
        if kind in _BAD:
            self._unhealthy = text
        elif kind is EventKind.HEALTHY:
            self._unhealthy = ""

    def _ledger(self, codec: Codec, bundle: LedgerBundle) -> LedgerUpdate | LedgerFault:
        index = bundle.closed.ledger_index
        missed = index - self._last_index - 1
        self._last_index = index
        self._resync_wanted = self._resync_wanted or missed > 0
        if missed > 0:
            say.warning(
                "ledgers_missing",
                "ledger {ledger_index}: the {missed} before it are missing",
                ledger_index=index,
                missed=missed,
            )
        try:
            messages = [transaction_decoder.decode(raw) for raw in bundle.transactions]
            transactions = tuple([codec.transaction(message) for message in messages])
            update = update_of(bundle.closed, transactions, NO_CHECK, 0)
        except DECODE_ERRORS as error:
            return self._dropped(kind_of(error), index, str(error))
        foreign = _foreign(messages, index)
        if foreign:
            return self._dropped(LedgerFaultKind.NOT_VALIDATED, index, foreign)
        ordered, disorder = in_order(update.transactions)
        if ordered is None:
            return self._dropped(LedgerFaultKind.TRANSACTION_ORDER, index, disorder)
        return self._believed(codec, bundle, update, ordered)

    def _believed(
        self,
        codec: Codec,
        bundle: LedgerBundle,
        update: LedgerUpdate,
        ordered: tuple[LedgerTransaction, ...],
    ) -> LedgerUpdate | LedgerFault:
        """Return a ledger that could be read, with what is still wrong in it mended or marked."""
        index = update.ledger_index
        leap = update.close_time - self._last_time
        if not 0 < leap <= MAX_CLOSE_TIME_LEAP_SECONDS * (index - self._timed_index):
            text = f"close time {update.close_time} after {self._last_time}"
            return self._dropped(LedgerFaultKind.CLOSE_TIME, index, text)
        self._last_time, self._timed_index = update.close_time, index
        missing = bundle.closed.txn_count > len(ordered)
        if missing:
            say.warning(
                "transactions_missing",
                "ledger {ledger_index} counts {counted} transactions, {here} are here",
                ledger_index=index,
                counted=bundle.closed.txn_count,
                here=len(ordered),
            )
        self._resync_wanted = self._resync_wanted or missing
        resync = self._snapshot(codec, update) if self._resync_wanted and self._may_ask(index) else None
        self._resync_wanted = self._resync_wanted and resync is None
        return replace(
            update,
            transactions=ordered,
            incomplete=missing,
            resync=resync,
            overtaken=bundle.overtaken,
        )

    def _dropped(self, kind: LedgerFaultKind, index: int, text: str) -> LedgerFault:
        self._resync_wanted = True
        return self._faults.make(kind, 0, index, f"ledger {index} was dropped: {text}")

    def _may_ask(self, index: int) -> bool:
        """Tell whether lists may be asked for with this ledger, and note it; wanted twice is one request.

        Counted in ledgers, so that a replay asks where the session asked.
        """
        if index < self._resync_earned - (RESYNCS_AT_ONCE - 1) * RESYNC_LEDGERS:
            return False
        self._resync_earned = max(self._resync_earned, index) + RESYNC_LEDGERS
        return True

    def _snapshot(self, codec: Codec, update: LedgerUpdate) -> BookSnapshot | None:
        try:
            check = AtLedger(self._source, update.ledger_index, update.ledger_hash).check(codec.pair)
            return snapshot_of(codec, check)
        except (*REQUEST_ERRORS, *DECODE_ERRORS, KeyError, TypeError) as error:
            say.warning(
                "lists_unavailable",
                "ledger {ledger_index}: no lists to repair the market from: {}",
                _plain(error),
                ledger_index=update.ledger_index,
            )
            return None


def _plain(error: Exception) -> str:
    text = str(error) if isinstance(error, NeoError) else f"{type(error).__name__}: {error}"
    return without_secrets(text)


def _told(snapshot: Snapshot) -> str:
    what = f"state of ledger {snapshot.start.ledger_index} of {_pair(snapshot.pair)}"
    if snapshot.complete:
        return f"{what}: whole, {len(snapshot.entries)} entries"
    return f"{what}: {len(snapshot.asks or ())} asks, {len(snapshot.bids or ())} bids and the pool"


def _pair(pair: Pair) -> str:
    return f"{pair.symbol} ({pair.quote.issuer})"


def _foreign(messages: list[TransactionMessage], index: int) -> str:
    """Return why one of them is no validated transaction of the ledger, or ""."""
    for message in messages:
        if not message.validated:
            return f"transaction {message.hash} is not validated"
        if message.ledger_index not in (0, index):
            return f"transaction {message.hash} belongs to ledger {message.ledger_index}"
    return ""
