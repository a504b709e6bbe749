"""The gateway in process: what `xrpl/gateway.py` does with threads and sockets, here on a simulated clock.

Whole ledgers come out of the server's own stream messages by the same `Bundles`; what is missing is asked for
by the same rules, and the same `Supervisor`, `Endpoints` and `Outbox` say how the connection is. Left out are
the thread, the socket, and a choice between several servers: there is one.

1. Time passes only while somebody waits: in `next`, in a request, in the clock's `sleep`.
2. Nothing here draws but the jitter of reconnects, from the seed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from neo_engine.domain.errors import StartupFailure
from neo_engine.domain.headroom import WHOLE
from neo_engine.domain.request_cost import KEPT_FOR_ORDERS
from neo_engine.rehearsal.connection import Asked, DirectConnection
from neo_engine.simulator.clock import SimulatedClock
from neo_engine.simulator.server.direct import DirectServer
from neo_engine.xrpl.bundles import BadMessage, Bundles, Gap, LedgerBundle
from neo_engine.xrpl.endpoints import Endpoints
from neo_engine.xrpl.gateway import (
    FILL_SECONDS,
    READINGS_PER_LIMIT,
    STATE_EVENTS,
    TROUBLES,
    GatewayOptions,
    SupervisorState,
)
from neo_engine.xrpl.outbox import EventKind, GatewayEvent, Outbox
from neo_engine.xrpl.server import Json, RequestLost, RequestRefused
from neo_engine.xrpl.socket import Watcher
from neo_engine.xrpl.spending import Spending
from neo_engine.xrpl.supervisor import Happening, Supervisor


class DirectGateway:
    """Implements live_session.LiveSource on a server in process. options.endpoints: one, a name only."""

    def __init__(self, options: GatewayOptions, server: DirectServer, clock: SimulatedClock) -> None:
        self._options = options
        self._server = server
        self._clock = clock
        self._url = options.endpoints[0]
        self._random = random.Random(options.seed)
        self._endpoints = Endpoints((self._url,), options.attempts_max)
        self._supervisor = Supervisor(options.stale_seconds)
        self._bundles = Bundles(options.after_ledger)
        self._outbox = Outbox(clock.monotonic, options.stale_seconds)
        self._connection: DirectConnection | None = None
        self._followed = False  # subscribed, and told so
        self._subscribed_at = 0.0
        self._filling = False  # a turn of asking for what is missing is due or under way
        self._told = SupervisorState.DISCONNECTED
        self._spending = Spending(clock.monotonic)
        self._closed = False

    @property
    def state(self) -> SupervisorState:
        """How the data is; quotes stand in HEALTHY only."""
        return self._supervisor.state

    @property
    def request_headroom(self) -> Decimal:
        """How much the server still answers, in percent; WHOLE while it is not connected."""
        connection = self._connection
        if connection is None:
            return WHOLE
        return min(connection.pause.headroom(self._clock.monotonic()), self._spending.left)

    def start(self) -> None:
        """Connect and subscribe. Raises StartupFailure when the first attempt fails."""
        self._connect()
        while not self._followed:
            if self._endpoints.unreachable:
                self._closed = True
                raise StartupFailure(
                    f"no server can be used: {self._endpoints.told()}; check the endpoints and the network"
                )
            self._clock.step(math.inf)
        self._clock.after(self._reading_seconds, self._reading)

    def next(self, timeout_seconds: float) -> LedgerBundle | GatewayEvent | None:
        """Return the next ledger or event, None when the time limit passed first."""
        end = self._clock.monotonic() + timeout_seconds
        while True:
            item = self._outbox.next(0.0)
            if item is not None:
                self._pump()
                return item
            if not self._clock.step(end):
                return self._outbox.next(0.0)

    def request(self, command: str, *, timeout_seconds: float = 10.0, **parameters: Any) -> Json:
        """Return the result of the answer. Raises RequestRefused or RequestLost."""
        return self.begin(command, timeout_seconds=timeout_seconds, **parameters)()

    def begin(self, command: str, *, timeout_seconds: float = 10.0, **parameters: Any) -> Callable[[], Json]:
        """Have a request sent and return what waits for its end, as `Pipeline` says."""
        connection = self._connection
        if connection is None:
            asked = Asked(command, parameters, 0.0, writes=False)
            asked.lose(f"no server can be reached: {self._endpoints.told()}", sent=False)
        else:
            asked = connection.ask(command, timeout_seconds, parameters, writes=command == "submit")
        return lambda: self._end_of(asked)

    def close(self) -> None:
        """End the connection; may be called twice."""
        self._closed = True
        if self._connection is not None:
            self._connection.end("ended by us")

    def _end_of(self, asked: Asked) -> Json:
        while not asked.done:
            self._clock.step(asked.end)
        try:
            return asked.result()
        except RequestRefused as error:
            self._blame(error)
            raise

    def _blame(self, error: RequestRefused) -> bool:
        """Count a refusal that speaks of the server's own trouble; return whether it does."""
        if error.token in TROUBLES:
            self._endpoints.erred(self._url)
            return True
        return False

    # -- the connection -----------------------------------------------------------------------------

    def _connect(self) -> None:
        if self._closed:
            return
        url = self._url
        watcher = Watcher(
            message=self._message,
            trouble=lambda text: self._event(EventKind.MALFORMED, text, url),
            busy=lambda text: self._event(EventKind.BUSY, text, url),
            answered=lambda milliseconds: self._endpoints.answered(url, milliseconds),
            unanswered=lambda: self._endpoints.erred(url),
        )
        connection = DirectConnection(
            url, self._server, self._clock, watcher, spending=self._spending, ended=self._lost
        )
        self._connection = connection
        self._subscribe(connection)

    def _subscribe(self, connection: DirectConnection) -> None:
        self._subscribed_at = self._clock.monotonic()
        wanted: Json = {"streams": list(self._options.streams)}
        asked = connection.ask("subscribe", self._options.request_timeout_seconds, wanted)
        asked.then = lambda: self._subscribed(connection, asked)
        if asked.done:
            self._subscribed(connection, asked)

    def _subscribed(self, connection: DirectConnection, asked: Asked) -> None:
        if connection is not self._connection:
            return  # it ended meanwhile, and the request with it
        try:
            ledger = self._bundles.subscribed(asked.result(), self._clock.monotonic())
        except (RequestLost, RequestRefused, BadMessage) as error:
            connection.end(f"subscribe failed: {error}")
            return
        self._fill_later()
        if self._followed:
            return
        self._followed = True
        self._endpoints[self._url].ledger = max(self._endpoints[self._url].ledger, ledger)
        self._endpoints.opened(self._url)
        self._endpoints.judge(timed=False)
        self._supervisor.happened(Happening.OPENED)
        self._told = self.state
        self._event(EventKind.CONNECTED, f"subscribed at ledger {ledger}", self._url)

    def _lost(self, why: str) -> None:
        self._connection = None
        self._followed = False
        self._endpoints.lost(self._url, why)
        if self._closed:
            return
        self._supervisor.happened(Happening.CUT)
        if self._endpoints.exhausted:
            self._supervisor.happened(Happening.EXHAUSTED)
        elif self._endpoints.unreachable:
            self._supervisor.happened(Happening.UNREACHABLE)
        self._tell()
        if self.state is not SupervisorState.FAILED:
            self._clock.after(self._endpoints.delay(self._url, self._random.random()), self._connect)

    # -- what is told -------------------------------------------------------------------------------

    @property
    def _reading_seconds(self) -> float:
        return min(self._options.stale_seconds / READINGS_PER_LIMIT, 1.0)

    def _reading(self) -> None:
        """Take a reading; one whose stream has been silent for too long is subscribed again."""
        if self._closed or self.state is SupervisorState.FAILED:
            return
        now = self._clock.monotonic()
        self._clock.after(self._reading_seconds, self._reading)
        self._supervisor.read(now)
        self._tell()
        silent = now > self._subscribed_at + self._options.stale_seconds
        if self._followed and self._connection is not None and self.state is SupervisorState.STALE and silent:
            self._subscribe(self._connection)

    def _tell(self) -> None:
        if self.state is not self._told:
            self._told = self.state
            now = self._clock.monotonic()
            self._event(STATE_EVENTS[self.state], self._supervisor.old(now) or self._endpoints.told())
        if self._endpoints.missed_again() and self.state is not SupervisorState.FAILED:
            self._event(EventKind.RETRY, self._endpoints.told())

    def _event(self, kind: EventKind, text: str, endpoint: str = "", gap: Gap | None = None) -> None:
        first, last = (0, 0) if gap is None else (gap.first, gap.last)
        self._outbox.event(
            GatewayEvent(kind=kind, text=text, endpoint=endpoint, first_ledger=first, last_ledger=last)
        )

    # -- ledgers ------------------------------------------------------------------------------------

    def _message(self, kind: str, frame: bytes) -> None:
        now = self._clock.monotonic()
        try:
            if kind == "ledgerClosed":
                self._endpoints.heard(self._url, self._bundles.closed(frame, now))
                self._supervisor.market_seen(now)
            elif kind == "transaction":
                self._bundles.transaction(frame)
        except (BadMessage, msgspec.MsgspecError) as error:
            self._event(EventKind.MALFORMED, str(error), self._url)
            return
        self._pump()

    def _pump(self) -> None:
        """Hand out what is whole, as much as there is room for."""
        while not self._outbox.full:
            item = self._bundles.take()
            if item is None:
                break
            if isinstance(item, Gap):
                text = f"ledgers {item.first} to {item.last} cannot be had from any endpoint"
                self._event(EventKind.GAP, text, gap=item)
            else:
                self._supervisor.account_seen(self._clock.monotonic())
                self._outbox.ledger(item)
        self._fill_later()

    def _fill_later(self) -> None:
        """Look in a while whether a ledger that is not whole must be asked for."""
        if not self._filling and self._bundles.missing(math.inf) is not None:
            self._filling = True
            self._clock.after(FILL_SECONDS, self._fill)

    def _fill(self) -> None:
        now, connection = self._clock.monotonic(), self._connection
        self._filling = False
        if self._closed or connection is None or not self._followed:
            return  # the next subscription looks again
        index = self._bundles.missing(now)
        if index is None:
            self._fill_later()
        elif self._endpoints[self._url].ledger < index or self._spending.left < KEPT_FOR_ORDERS:
            self._bundles.failed(index, now, final=False)
            self._fill_later()
        else:
            self._filling = True
            wanted: Json = {"ledger_index": index, "transactions": True, "expand": True, "owner_funds": True}
            asked = connection.ask("ledger", self._options.request_timeout_seconds, wanted)
            asked.then = lambda: self._fetched(index, asked)
            if asked.done:
                self._fetched(index, asked)

    def _fetched(self, index: int, asked: Asked) -> None:
        self._filling = False
        final = True
        try:
            self._bundles.fetched(index, asked.result())
        except RequestRefused as error:
            final = not self._blame(error)
        except RequestLost as error:
            final = error.sent
        except BadMessage as error:
            self._event(EventKind.MALFORMED, str(error), self._url)
        else:
            self._pump()
            return
        self._bundles.failed(index, self._clock.monotonic(), final=final)
        self._pump()
