"""The real server, seen from a synchronous engine: whole ledgers in order, requests with one answer each.

One thread with an asyncio loop owns every socket. In it each endpoint has a keeper that connects, listens to
the ledger stream (that is how lag is seen) and comes back after a loss; a director chooses whom to read,
subscribes, takes the supervisor's readings and tells what changed; a filler asks for the ledgers that the
stream did not bring. Outside, everything blocks and may be called from any thread.

Nothing grows: LEDGERS_MAX whole ledgers wait for the consumer. When he does not come for them, the stream is
given up (state Reconnecting, event BEHIND), requests still work, and when he has taken half of them it is
subscribed again and what was missed is filled in. At most EVENTS_MAX events wait; the oldest give way, gaps
last of all.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from neo_engine.domain.errors import InvariantViolation, StartupFailure
from neo_engine.domain.headroom import WHOLE
from neo_engine.domain.request_cost import KEPT_FOR_ORDERS
from neo_engine.ports import Clock
from neo_engine.xrpl.bundles import INDEX_MAX, BadMessage, Bundles, Gap, LedgerBundle
from neo_engine.xrpl.endpoints import Endpoints
from neo_engine.xrpl.outbox import LEDGERS_MAX, EventKind, GatewayEvent, Outbox
from neo_engine.xrpl.server import Json, RequestLost, RequestRefused
from neo_engine.xrpl.socket import Connection, NotConnected, Watcher
from neo_engine.xrpl.spending import Spending
from neo_engine.xrpl.supervisor import Happening, Supervisor, SupervisorState

__all__ = ["EventKind", "Gateway", "GatewayEvent", "GatewayOptions", "LedgerBundle", "SupervisorState"]

FILL_SECONDS = 0.1  # between two ledgers that are asked for: ten a second
READINGS_PER_LIMIT = 4  # readings of the supervisor within stale_seconds, but one a second at least
LATE_SECONDS = 5.0  # given to the thread beyond a request's own time limit
#: Refusals that speak of the server, not of the request (rippled ErrorCodes.cpp): another may do better.
TROUBLES = frozenset(
    {
        *(
            "amendmentBlocked",
            "failedToForward",
            "internal",
            "noClosed",
            "noCurrent",
            "noNetwork",
            "notReady",
        ),
        *("notSynced", "slowDown", "tooBusy", "unlBlocked"),
    }
)


class GatewayOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to connect to. after_ledger: hand out from the next one on; None: from the next that closes.

    streams must hold ledger and transactions: without them no ledger can be known to be whole.
    """

    endpoints: tuple[str, ...]
    streams: tuple[str, ...] = ("ledger", "transactions")
    accounts: tuple[str, ...] = ()
    request_timeout_seconds: float = 10.0
    stale_seconds: float = 10.0
    attempts_max: int = 20
    seed: int = 0
    after_ledger: int | None = None


class _Index(msgspec.Struct):
    ledger_index: Annotated[int, msgspec.Meta(ge=1, le=INDEX_MAX)]


_index_decoder = msgspec.json.Decoder(_Index)
STATE_EVENTS = {
    SupervisorState.HEALTHY: EventKind.HEALTHY,
    SupervisorState.STALE: EventKind.STALE,
    SupervisorState.RECONNECTING: EventKind.RECONNECTING,
    SupervisorState.DISCONNECTED: EventKind.DISCONNECTED,
    SupervisorState.FAILED: EventKind.FAILED,
}


class Gateway:
    """Implements `xrpl.server.Pipeline`; every method may be called from any thread."""

    def __init__(self, options: GatewayOptions, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._random = random.Random(options.seed)
        self._endpoints = Endpoints(options.endpoints or ("",), options.attempts_max)
        self._supervisor = Supervisor(options.stale_seconds)
        self._bundles = Bundles(options.after_ledger)
        self._outbox = Outbox(clock.monotonic, options.stale_seconds)
        self._open: dict[str, Connection] = {}
        self._spending = {url: Spending(clock.monotonic) for url in options.endpoints}
        self._followed: Connection | None = None  # whose stream is taken in
        self._subscribed_at = 0.0
        self._behind = False
        self._told = (SupervisorState.DISCONNECTED, self._endpoints.writer)
        self._lock = threading.Lock()  # over _loop: no request may be handed to a loop that ends
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._turn = asyncio.Event()
        self._ready: Future[None] = Future()
        self._thread: threading.Thread | None = None

    @property
    def state(self) -> SupervisorState:
        """How the data is; quotes stand in HEALTHY only."""
        return self._supervisor.state

    @property
    def request_headroom(self) -> Decimal:
        """How much reader and writer still answer, in percent, the least of both.

        One that is not connected is not counted: `state` and lost requests tell of it.
        """
        used = (self._open.get(url) for url in (self._endpoints.reader, self._endpoints.writer))
        return min((one.headroom for one in used if one is not None), default=WHOLE)

    def start(self) -> None:
        """Connect and subscribe. Raises StartupFailure naming every endpoint tried and why."""
        options = self._options
        if not options.endpoints or not {"ledger", "transactions"} <= set(options.streams):
            raise StartupFailure(
                "gateway: give at least one endpoint, and the streams ledger and transactions"
            )
        if self._thread is not None:
            raise InvariantViolation("gateway: started twice")
        self._thread = threading.Thread(target=self._run, name="xrpl gateway", daemon=True)
        self._thread.start()
        try:
            self._ready.result()
        except StartupFailure:
            self.close()
            raise

    def request(self, command: str, *, timeout_seconds: float = 10.0, **parameters: Any) -> Json:
        """Ask the server that is read; a read that is lost is asked of the next one within the time limit.

        A page (`marker`) is not: only the server that gave the marker understands it. `submit` goes to the
        writer, as submit_request does. Raises RequestRefused or RequestLost.
        """
        if command == "submit":
            return self.submit_request(command, timeout_seconds=timeout_seconds, **parameters)
        return self._outside(command, timeout_seconds, parameters, writes=False)

    def submit_request(self, command: str, *, timeout_seconds: float = 10.0, **parameters: Any) -> Json:
        """Ask the pinned writer, once. Raises RequestRefused or RequestLost."""
        return self._outside(command, timeout_seconds, parameters, writes=True)

    def begin(self, command: str, *, timeout_seconds: float = 10.0, **parameters: Any) -> Callable[[], Json]:
        """Have a request sent and return what waits for its end, as `Pipeline` says."""
        seconds, writes = timeout_seconds, command == "submit"
        waiting = self._handed_over(command, seconds, parameters, writes=writes)
        return lambda: self._end_of(command, seconds, waiting)

    def next(self, timeout_seconds: float) -> LedgerBundle | GatewayEvent | None:
        """Return the next ledger or event, None when the time limit passed first."""
        item = self._outbox.next(timeout_seconds)
        if self._behind and self._outbox.half_empty:
            self._wake()
        return item

    def close(self) -> None:
        """End the thread and its sockets; may be called twice."""
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not None:
            self._thread.join()

    def _wake(self) -> None:
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._turn.set)

    def _outside(self, command: str, seconds: float, parameters: Json, *, writes: bool) -> Json:
        """Have the loop ask, and wait."""
        waiting = self._handed_over(command, seconds, parameters, writes=writes)
        return self._end_of(command, seconds, waiting)

    def _handed_over(
        self, command: str, seconds: float, parameters: Json, *, writes: bool
    ) -> Future[Json] | None:
        """Have the loop ask; None when there is no loop any more."""
        with self._lock:
            if self._loop is None:
                return None
            ask = self._ask_writer if writes else self._ask_readers
            return asyncio.run_coroutine_threadsafe(ask(command, seconds, parameters), self._loop)

    def _end_of(self, command: str, seconds: float, waiting: Future[Json] | None) -> Json:
        if waiting is None:
            raise RequestLost(command, "the gateway is not running", sent=False)
        try:
            return waiting.result(seconds + LATE_SECONDS)
        except (CancelledError, TimeoutError) as error:
            waiting.cancel()
            raise RequestLost(command, "the gateway closed meanwhile", sent=True) from error

    # From here on everything runs in the loop's thread.

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        finally:
            if not self._stop.is_set():  # a defect of ours; the thread's traceback tells it
                self._supervisor.happened(Happening.EXHAUSTED)
                self._event(EventKind.FAILED, "the gateway's thread ended by a defect")
            if not self._ready.done():
                self._ready.set_exception(StartupFailure(f"gateway: no start; {self._endpoints.told()}"))
            self._outbox.close()

    async def _main(self) -> None:
        with self._lock:
            self._loop = asyncio.get_running_loop()
        work = [self._keep(url) for url in self._options.endpoints]
        tasks = [asyncio.create_task(one) for one in (*work, self._direct(), self._fill(), self._stop.wait())]
        try:
            done, _rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            with self._lock:
                self._loop = None
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _event(self, kind: EventKind, text: str, endpoint: str = "", gap: Gap | None = None) -> None:
        first, last = (0, 0) if gap is None else (gap.first, gap.last)
        self._outbox.event(
            GatewayEvent(kind=kind, text=text, endpoint=endpoint, first_ledger=first, last_ledger=last)
        )

    async def _ask_writer(self, command: str, seconds: float, parameters: Json) -> Json:
        url = self._endpoints.writer
        connection = self._open.get(url)
        if connection is None:
            raise RequestLost(
                command, f"the writer {url} is not connected: {self._endpoints[url].why}", sent=False
            )
        try:
            return await connection.request(command, seconds, parameters, writes=True)
        except RequestRefused as error:
            self._blame(url, error)
            raise

    async def _ask_readers(self, command: str, seconds: float, parameters: Json) -> Json:
        """Ask one server after the other until one answers or refuses for a reason of the request itself."""
        end = asyncio.get_running_loop().time() + seconds
        failed: RequestLost | RequestRefused | None = None
        sent = False
        for url in self._endpoints.ranked():
            left = end - asyncio.get_running_loop().time()
            connection = self._open.get(url)
            if connection is None or left <= 0 or (failed is not None and "marker" in parameters):
                continue
            try:
                return await connection.request(command, left, parameters)
            except RequestLost as error:
                failed, sent = error, sent or error.sent
            except RequestRefused as error:
                if not self._blame(url, error):
                    raise
                failed = error
        if failed is None:
            raise RequestLost(command, f"no server can be reached: {self._endpoints.told()}", sent=False)
        if isinstance(failed, RequestLost):
            failed.sent = sent
        raise failed

    def _blame(self, url: str, error: RequestRefused) -> bool:
        """Count a refusal that speaks of the server's own trouble; return whether it does."""
        if error.token in TROUBLES:
            self._endpoints.erred(url)
            return True
        return False

    async def _keep(self, url: str) -> None:
        """Hold a connection to an endpoint, for ever."""
        while True:
            try:
                connection = await Connection.open(
                    url, self._watcher(url), self._spending[url], self._options.request_timeout_seconds
                )
            except NotConnected as error:
                why = str(error)
            else:
                why = await self._hold(url, connection)
            self._endpoints.lost(url, why)
            self._turn.set()
            await asyncio.sleep(self._endpoints.delay(url, self._random.random()))

    async def _hold(self, url: str, connection: Connection) -> str:
        """Listen to the ledger stream until the connection ends; return why it did."""
        running = asyncio.create_task(connection.run(), name=f"reader {url}")
        try:
            seconds = self._options.request_timeout_seconds
            result = await connection.request("subscribe", seconds, {"streams": ["ledger"]})
            self._endpoints[url].ledger = msgspec.convert(result, _Index).ledger_index
            self._open[url] = connection
            self._endpoints.opened(url)
            self._turn.set()
            return await running
        except (RequestLost, RequestRefused, msgspec.ValidationError) as error:
            return f"subscribe failed: {error}"
        finally:
            self._open.pop(url, None)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            if self._followed is connection:
                self._followed = None
                self._supervisor.happened(Happening.CUT)

    def _watcher(self, url: str) -> Watcher:
        return Watcher(
            message=lambda kind, frame: self._message(url, kind, frame),
            trouble=lambda text: self._event(EventKind.MALFORMED, text, url),
            busy=lambda text: self._event(EventKind.BUSY, text, url),
            answered=lambda milliseconds: self._endpoints.answered(url, milliseconds),
            unanswered=lambda: self._endpoints.erred(url),
        )

    def _message(self, url: str, kind: str, frame: bytes) -> None:
        """Take in a stream message; of a server that is not read only where it stands."""
        read = self._followed is not None and self._followed.url == url
        now = self._clock.monotonic()
        try:
            if kind == "ledgerClosed" and read:
                self._endpoints.heard(url, self._bundles.closed(frame, now))
                self._supervisor.market_seen(now)
            elif kind == "ledgerClosed":
                self._endpoints.heard(url, _index_decoder.decode(frame).ledger_index)
            elif kind == "transaction" and read:
                self._bundles.transaction(frame)
        except (BadMessage, msgspec.MsgspecError) as error:
            self._event(EventKind.MALFORMED, str(error), url)
            return
        self._pump()

    def _pump(self) -> None:
        """Hand out what is whole."""
        while not self._outbox.full:
            item = self._bundles.take()
            if item is None:
                return
            if isinstance(item, Gap):
                text = f"ledgers {item.first} to {item.last} cannot be had from any endpoint"
                self._event(EventKind.GAP, text, gap=item)
            else:
                self._supervisor.account_seen(self._clock.monotonic())
                self._outbox.ledger(item)
        if not self._behind:
            self._behind = True
            self._event(EventKind.BEHIND, f"{LEDGERS_MAX} ledgers wait to be taken; the stream is given up")
            self._turn.set()

    async def _direct(self) -> None:
        """Choose whom to read, take readings and tell what changed, until all endpoints are given up."""
        seconds = min(self._options.stale_seconds / READINGS_PER_LIMIT, 1.0)
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._turn.wait()
            due = not self._turn.is_set()
            self._turn.clear()
            self._endpoints.judge(timed=due)
            if self._behind:
                await self._pause_stream()
            else:
                await self._follow()
            if self._endpoints.exhausted:
                self._supervisor.happened(Happening.EXHAUSTED)
            elif self._endpoints.unreachable:
                self._supervisor.happened(Happening.UNREACHABLE)
            elif due:
                self._supervisor.read(self._clock.monotonic())
            self._tell()
            if not self._begun() or self.state is SupervisorState.FAILED:
                self._stop.set()
                return

    def _begun(self) -> bool:
        """Tell `start` how it went, once that is known; False if it went wrong."""
        if not self._ready.done():
            if self._followed is not None:
                self._ready.set_result(None)
            elif self._endpoints.unreachable:
                text = f"no server can be used: {self._endpoints.told()}; check the endpoints and the network"
                self._ready.set_exception(StartupFailure(text))
                return False
        return True

    async def _pause_stream(self) -> None:
        """Give up the stream while the consumer is behind."""
        old, self._followed = self._followed, None
        if old is not None:
            self._supervisor.happened(Happening.CUT)
            await self._unsubscribe(old)
        if self._outbox.half_empty:
            self._behind = False
            self._pump()
            self._turn.set()

    async def _follow(self) -> None:
        """Read the stream of the server that is to be read; again when it has been silent for too long."""
        connection = self._open.get(self._endpoints.reader)
        old, now = self._followed, self._clock.monotonic()
        silent = (
            self.state is SupervisorState.STALE and now > self._subscribed_at + self._options.stale_seconds
        )
        if connection is None or (connection is old and not silent):
            return
        self._followed = connection  # its messages may come before this task runs again after the answer
        self._subscribed_at = now
        wanted: Json = {"streams": list(self._options.streams)}
        if self._options.accounts:
            wanted["accounts"] = list(self._options.accounts)
        try:
            result = await connection.request("subscribe", self._options.request_timeout_seconds, wanted)
            ledger = self._bundles.subscribed(result, self._clock.monotonic())
        except (RequestLost, RequestRefused, BadMessage) as error:
            connection.end(f"subscribe failed: {error}")
            self._followed = None
            self._supervisor.happened(Happening.CUT)
            return
        if connection is old:
            return
        kind = EventKind.CONNECTED if old is None else EventKind.READER
        self._supervisor.happened(Happening.OPENED)
        self._told = (self.state, self._told[1])
        self._event(kind, f"subscribed at ledger {ledger}", connection.url)
        if old is not None:
            await self._unsubscribe(old)

    async def _unsubscribe(self, connection: Connection) -> None:
        """End all but the ledger stream of a server that is no longer read."""
        given_up: Json = {"streams": [name for name in self._options.streams if name != "ledger"]}
        if self._options.accounts:
            given_up["accounts"] = list(self._options.accounts)
        try:
            await connection.request("unsubscribe", self._options.request_timeout_seconds, given_up)
        except (RequestLost, RequestRefused) as error:
            connection.end(f"unsubscribe failed: {error}")

    def _tell(self) -> None:
        """Tell a change of the state or of the writer."""
        state, writer = self._told
        self._told = (self.state, self._endpoints.writer)
        if self.state is not state:
            now = self._clock.monotonic()
            self._event(STATE_EVENTS[self.state], self._supervisor.old(now) or self._endpoints.told())
        if self._endpoints.missed_again() and self.state is not SupervisorState.FAILED:
            self._event(EventKind.RETRY, self._endpoints.told())
        if self._endpoints.writer != writer:
            text = f"took over from {writer}: {self._endpoints[writer].why}"
            self._event(EventKind.WRITER, text, self._endpoints.writer)

    async def _fill(self) -> None:
        """Ask for the ledgers that the stream did not bring, one at a time."""
        while True:
            await asyncio.sleep(FILL_SECONDS)
            now = self._clock.monotonic()
            index = None if self._behind or not self._open else self._bundles.missing(now)
            if index is not None:
                await self._fetch(index)
                self._pump()

    async def _fetch(self, index: int) -> None:
        """Ask for a ledger those servers that have seen it and have more left than orders need."""
        final = False
        for url in self._endpoints.ranked():
            connection = self._open.get(url)
            if connection is None or self._endpoints[url].ledger < index:
                continue
            if self._spending[url].left < KEPT_FOR_ORDERS:
                continue
            wanted: Json = {"ledger_index": index, "transactions": True, "expand": True, "owner_funds": True}
            try:
                result = await connection.request("ledger", self._options.request_timeout_seconds, wanted)
                self._bundles.fetched(index, result)
                return
            except RequestRefused as error:
                final = final or not self._blame(url, error)
            except RequestLost as error:
                final = final or error.sent
            except BadMessage as error:
                final = True
                self._event(EventKind.MALFORMED, str(error), url)
        self._bundles.failed(index, self._clock.monotonic(), final=final)
