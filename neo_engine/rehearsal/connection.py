"""One connection to a server in process, as `xrpl/socket.py` holds one to a server far away.

Frames, ids, time limits, and the pauses that a server asks for are treated alike; the pure part of it
(`xrpl/replies.py`) is the same code. Nothing waits here: a request is a value that is done later, and
whoever needs its end lets the clock go on until it is.

1. A frame to the server arrives at once; what the server queued is read TRIP_SECONDS later, in order.
2. Writes leave in the order they were asked for, a pause or not.
3. Every request ends: by its reply, by its time limit, or with the connection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress

import msgspec

from neo_engine.domain.errors import InvariantViolation
from neo_engine.domain.request_cost import cost_of
from neo_engine.simulator.clock import SimulatedClock
from neo_engine.simulator.server.client import Client
from neo_engine.simulator.server.direct import DirectServer
from neo_engine.simulator.server.faults import FaultyClient
from neo_engine.xrpl.replies import BadFrame, Pause, read_frame, result_of
from neo_engine.xrpl.server import API_VERSION, Json, RequestLost, RequestRefused
from neo_engine.xrpl.socket import PENDING_MAX, PING_SECONDS, THRESHOLD_EXCEEDED, UNANSWERED_MAX, Watcher
from neo_engine.xrpl.spending import Spending

TRIP_SECONDS = 0.02  # to a server near by and back
HOST, PATH = "127.0.0.1", "/"
_encode = msgspec.json.Encoder().encode


class Asked:
    """A request on its way. end: when its time limit is over. done: it has a reply or was lost.

    lost: why it has no reply, once it is known that it has none. then: called at its end.
    """

    def __init__(self, command: str, parameters: Json, end: float, *, writes: bool) -> None:
        self.command = command
        self.parameters = parameters
        self.cost = cost_of({**parameters, "command": command})
        self.end = end
        self.writes = writes
        self.began = 0.0
        self.done = False
        self.then: Callable[[], None] | None = None
        self._reply: Json | None = None
        self.lost: RequestLost | None = None

    def answer(self, reply: Json) -> None:
        """End it with its reply."""
        self._reply = reply
        self._end()

    def lose(self, why: str, *, sent: bool) -> None:
        """End it without one."""
        self.lost = RequestLost(self.command, why, sent=sent)
        self._end()

    def _end(self) -> None:
        self.done = True
        if self.then is not None:
            self.then()

    def result(self) -> Json:
        """Return the result. Raises RequestRefused or RequestLost."""
        if self.lost is not None:
            raise self.lost
        if self._reply is None:
            raise InvariantViolation(f"request {self.command}: its result is asked for before it has one")
        return result_of(self.command, self._reply)


class DirectConnection:
    """An open connection. ended: called once, with the reason, when it is over."""

    def __init__(
        self,
        url: str,
        server: DirectServer,
        clock: SimulatedClock,
        watcher: Watcher,
        *,
        spending: Spending,
        ended: Callable[[str], None],
    ) -> None:
        self.url = url
        self.pause = Pause()
        self._server = server
        self._clock = clock
        self._watcher = watcher
        self._spending = spending
        self._ended = ended
        self._client: Client = server.make_client(
            HOST,
            PATH,
            lambda: clock.after(0.0, lambda: self.end("cut without a close")),
            admin=True,
            unlimited=server.options.unlimited,
            wake=self._wake,
        )
        self._pending: dict[str, Asked] = {}
        self._writes: deque[Asked] = deque()
        self._last_id = 0
        self._why = ""
        self._reading = False  # a delivery is due
        self._unanswered = 0
        self._gave_up_at = 0.0
        clock.after(0.0, self._ping)

    def ask(self, command: str, seconds: float, parameters: Json, *, writes: bool = False) -> Asked:
        """Have a request sent as soon as the server wants one."""
        asked = Asked(command, parameters, self._clock.monotonic() + seconds, writes=writes)
        self._clock.after(seconds, lambda: self._time_out(asked))
        if writes:
            self._writes.append(asked)
            self._write()
        else:
            self._try(asked)
        return asked

    def end(self, why: str) -> None:
        """End the connection; pending requests are lost. May be called twice."""
        if self._why:
            return
        self._why = why
        self._server.network.streams.forget(self._client)
        if isinstance(self._client, FaultyClient):
            self._server.faults.clients.discard(self._client)
        pending, self._pending = self._pending, {}
        writes, self._writes = self._writes, deque()
        for asked in pending.values():
            asked.lose(f"{self.url}: {why}", sent=True)
        for asked in writes:
            asked.lose(f"{self.url}: {why}", sent=False)
        self._ended(why)

    def _ping(self) -> None:
        """Ask whether the server is there; its answer ends a pause, and without one the connection ends."""
        if self._why:
            return
        asked = self.ask("ping", PING_SECONDS, {})
        asked.then = lambda: self._pinged(asked)
        if asked.done:
            self._pinged(asked)

    def _pinged(self, asked: Asked) -> None:
        if self._why:
            return
        if asked.lost is not None:
            self.end(f"no answer to {asked.lost}")
            return
        with suppress(RequestRefused):  # it is alive, and that was the question
            self._spending.pinged(asked.result())
        self._clock.after(PING_SECONDS, self._ping)

    # -- out --------------------------------------------------------------------------------------

    def _write(self) -> None:
        """Send the writes that wait, each when its turn has come."""
        while self._writes and self._try(self._writes[0]):
            self._writes.popleft()

    def _try(self, asked: Asked) -> bool:
        """Send a request or give it up; False while it has to wait for its turn."""
        if asked.done:
            return True
        now, start = self._clock.monotonic(), self.pause.until(writes=asked.writes)
        if self._why:
            asked.lose(f"{self.url}: {self._why}", sent=False)
        elif start >= asked.end:
            asked.lose(f"{self.url}: the server wants less load for longer", sent=False)
        elif start > now:
            self._clock.after(start - now, self._write if asked.writes else lambda: self._retry(asked))
            return False
        elif len(self._pending) >= PENDING_MAX:
            asked.lose(f"{self.url}: {PENDING_MAX} requests wait for answers", sent=False)
        else:
            self._send(asked)
        return True

    def _retry(self, asked: Asked) -> None:
        self._try(asked)

    def _send(self, asked: Asked) -> None:
        self._last_id += 1
        name = f"neo{self._last_id}"
        self._pending[name] = asked
        asked.began = self._clock.monotonic()
        self._spending.sent(asked.cost)
        frame = {**asked.parameters, "id": name, "command": asked.command, "api_version": API_VERSION}
        self._server.take(self._client, _encode(frame))

    def _time_out(self, asked: Asked) -> None:
        if asked.done:
            return
        for name in [name for name, one in self._pending.items() if one is asked]:
            del self._pending[name]
        if asked in self._writes:
            self._writes.remove(asked)
        asked.lose(f"{self.url}: no answer in time", sent=True)
        if asked.began < self._gave_up_at:
            return  # it waited beside one that was counted
        self._gave_up_at = self._clock.monotonic()
        self._watcher.unanswered()
        self._unanswered += 1
        if self._unanswered >= UNANSWERED_MAX:
            self.end(f"{self._unanswered} requests in a row without an answer")

    # -- in ---------------------------------------------------------------------------------------

    def _wake(self) -> None:
        """The server has queued something."""
        if not self._reading and not self._why:
            self._reading = True
            self._clock.after(TRIP_SECONDS, self._deliver)

    def _deliver(self) -> None:
        self._reading = False
        for frame in self._client.take():
            if self._why:
                return
            self._read(frame)
        if self._client.closing is not None:
            code, reason = self._client.closing
            if reason == THRESHOLD_EXCEEDED:
                self._spending.dropped()
            self.end(f"closed by the server: {code} {reason}".strip())

    def _read(self, frame: bytes) -> None:
        try:
            head, reply = read_frame(frame)
        except BadFrame as error:
            self._watcher.trouble(str(error))
            return
        self._unanswered = 0
        if reply is None:
            self._watcher.message(head.type, frame)
            return
        token = str(reply.get("error", ""))
        complaint = self.pause.heed(head.warning, token, self._clock.monotonic())
        if complaint:
            self._watcher.busy(complaint)
        self._spending.heard(head.warning, token, reply)
        asked = self._pending.pop(str(head.id), None)
        if asked is not None and not asked.done:
            self._watcher.answered((self._clock.monotonic() - asked.began) * 1000)
            if "error" in reply:
                self._spending.refused(asked.cost)
            asked.answer(reply)
