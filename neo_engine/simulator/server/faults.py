"""Faults on demand: a network, its clients and its sockets that misbehave when the schedule says so.

The decisions are fault_schedule's; here is what is done about them. `FaultyNetwork` does not close while it
is stalled and takes in what issuers and validators do; `FaultyClient` holds back, doubles or bends the
messages of a ledger; `FaultyServer` delays, bends or drops replies and lets a client see the past. Without
a fault all three do what their parents do.

A client chooses a node by the path of its URL: a fault with `path: /second` is seen by those who connected to
ws://HOST:PORT/second and by nobody else, so one server plays two nodes that disagree.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakSet

import msgspec

from neo_engine.simulator.history import StoredLedger
from neo_engine.simulator.model.ledger import Chain, ClosedLedger, LedgerTx
from neo_engine.simulator.model.tx import Tx
from neo_engine.simulator.server.app import LocalServer
from neo_engine.simulator.server.bending import bend
from neo_engine.simulator.server.client import POLICY_VIOLATION, Client
from neo_engine.simulator.server.errors import RpcError
from neo_engine.simulator.server.fault_deeds import do
from neo_engine.simulator.server.fault_schedule import (
    BadSchedule,
    Fault,
    Moment,
    Place,
    Running,
    Schedule,
    parse_fault,
    parse_schedule,
    shuffled,
)
from neo_engine.simulator.server.fault_view import PastNetwork, past
from neo_engine.simulator.server.http import Answer
from neo_engine.simulator.server.network import Market, Network, OpenLedger
from neo_engine.simulator.server.options import Options

Json = dict[str, Any]

THRESHOLD_EXCEEDED = "threshold exceeded"
HELD_LEDGERS = 500  # of a node that is behind; what is older is lost to its clients, as after a long absence
BLOCKED_WARNING = {
    "id": 1002,
    "message": "This server is amendment blocked, and must be updated to be able to stay in sync with the "
    "network.",
}
#: What a blocked server still answers: commands that need no ledger of the network (rippled Handler.cpp).
ANSWERED_WHEN_BLOCKED = frozenset(
    {
        *("account_channels", "account_currencies", "account_info", "account_lines", "account_objects"),
        *("account_offers", "account_tx", "amm_info", "book_changes", "book_offers", "fault", "feature"),
        *(
            "gateway_balances",
            "ledger",
            "ledger_accept",
            "ledger_data",
            "ledger_entry",
            "ping",
            "server_info",
        ),
        *("server_state", "subscribe", "unsubscribe"),
    }
)
_log = logging.getLogger("neo_engine.simulator")
_encode = msgspec.json.Encoder(order="sorted").encode


class Plan:
    """What is to be done about one reply."""

    def __init__(self, running: Iterable[Running], schedule: Schedule) -> None:
        self.delay = 0.0
        self._bends: list[tuple[str, Any]] = []
        self.names = set()
        for one in running:
            name, parameters = one.fault.name, one.fault.parameters
            self.names.add(name)
            if name == "latency":
                late = parameters["seconds"] + parameters["jitter"] * schedule.draw(one).random()
                self.delay += late
            elif name == "malformed_reply":
                self._bends.append((parameters["how"], schedule.draw(one)))

    def bent(self, frame: bytes) -> bytes:
        """Return the frame as it is sent."""
        for how, source in self._bends:
            frame = bend(frame, how, source)
        return frame


class Faults:
    """The schedule, and what it is measured against."""

    def __init__(
        self,
        faults: Iterable[Fault] = (),
        *,
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.schedule = Schedule(faults, seed)
        self.clients: WeakSet[FaultyClient] = WeakSet()
        self.pseudo: list[Tx] = []
        self._clock = clock
        self._requests = 0
        self._closes = 0

    def now(self, network: Network) -> Moment:
        """Return the moment by which faults begin and end."""
        return Moment(
            ledger=network.open_ledger.index,
            request=self._requests,
            closes=self._closes,
            seconds=self._clock(),
        )

    def plan(self, network: Network, path: str, command: str) -> Plan:
        """Count a request and return what is to be done about its reply."""
        if command == "fault":
            return Plan((), self.schedule)
        self._requests += 1
        now = self.now(network)
        self._do(network, self.schedule.on_request(now))
        return Plan(self.schedule.take(now, path, command), self.schedule)

    def command(self, network: Network, params: Mapping[str, Any]) -> Json:
        """Start the fault that an admin asks for and return what was done.

        Without a `name` nothing starts and all that is on is told; the name `clear` ends all. Raises
        BadSchedule for what cannot be done.
        """
        name = params.get("name")
        if name is None or name == "clear":
            ended = self.schedule.clear() if name else 0
            on = [running for place in Place for running in self.schedule.active(place, self.now(network))]
            return {"ended": ended, "on": [running.fault.name for running in on]}
        rest = {"command", "method", "id", "api_version", "name", "for", "parameters", "ripplerpc"}
        loose = {key: value for key, value in params.items() if key not in rest}
        given = params.get("parameters", {})
        if isinstance(given, dict):
            given = {**loose, **given}
        fault = parse_fault(name, given, params.get("for"), "fault")
        told: Json = {"fault": fault.name, "parameters": fault.parameters}
        if fault.place is Place.LEDGER:
            return {**told, **do(network, self.pseudo, fault.name, fault.parameters)}
        running = self.schedule.start(fault, self.now(network))
        self._mark(running, network)
        span = fault.lasts
        return told if span is None else {**told, "for": f"{span.count:g} {span.unit}"}

    def real(self, network: Any) -> FaultyNetwork:
        """Return the network itself, whatever view of it a client has."""
        return network if isinstance(network, FaultyNetwork) else network.itself

    def stalled(self, network: Network) -> bool:
        """Count a close that is due; True if it must not happen."""
        now = self.now(network)
        self._closes += 1
        return bool(self.schedule.active(Place.CLOCK, now))

    def opened(self, network: Network) -> None:
        """Start what begins with the ledger that has just been opened."""
        self._do(network, self.schedule.on_ledger(self.now(network)))

    def _do(self, network: Network, started: Iterable[Running]) -> None:
        for running in started:
            self._mark(running, network)
            if running.fault.place is not Place.LEDGER:
                continue
            try:
                do(network, self.pseudo, running.fault.name, running.fault.parameters)
            except BadSchedule as error:
                _log.warning("fault of the schedule not shown: %s", error)

    def _mark(self, running: Running, network: Network) -> None:
        """Remember which ledger a stale node stands at."""
        if running.fault.name == "stale":
            running.mark = network.history.ledger(network.history.last)

    def shown(self, network: Network, path: str) -> StoredLedger | None:
        """Return the ledger that a node shows as its last, None for the network's own last."""
        history = network.history
        found = [
            running.mark if running.fault.name == "stale" else history.ledger(_behind(running, network))
            for running in self.schedule.active(Place.VIEW, self.now(network), path)
            if running.fault.name in ("stale", "lag")
        ]
        kept: list[StoredLedger] = [one for one in found if one is not None]
        oldest = min(kept, key=lambda one: one.header.ledger_index, default=None)
        return None if oldest is None or oldest.header.ledger_index == history.last else oldest

    def blocked(self, network: Network, path: str) -> bool:
        """True while the node says that an amendment has overtaken it."""
        views = self.schedule.active(Place.VIEW, self.now(network), path)
        return any(running.fault.name == "amendment_blocked" for running in views)

    def streamed(self, batch: list[bytes], streams: Iterable[Running]) -> list[bytes]:
        """Return a ledger's messages as a client gets them."""
        for running in streams:
            name = running.fault.name
            if name == "gap" or not batch:
                return []
            source = self.schedule.draw(running)
            if name == "duplicate":
                batch = [message for message in batch for _ in range(2)]
            elif name == "reorder":
                batch = shuffled(batch, source)
            else:
                at = source.randrange(len(batch))
                bent = bend(batch[at], running.fault.parameters["how"], source)
                batch = [*batch[:at], bent, *batch[at + 1 :]]
        return batch

    def release(self, network: Network, closed: int, streams: Callable[[str], tuple[Running, ...]]) -> None:
        """Send what clients get of the ledger that has just closed, and what was held back before."""
        for client in list(self.clients):
            client.keep(closed, self.streamed(client.collected(), streams(client.path)))
            shown = self.shown(network, client.path)
            client.let_go(closed if shown is None else shown.header.ledger_index)


def _behind(running: Running, network: Network) -> int:
    wanted = network.history.last - int(running.fault.parameters["ledgers"])
    return max(wanted, network.history.first)


class FaultyNetwork(Network):
    """A network whose closes can be stalled, and which takes in deeds of the schedule."""

    def __init__(
        self,
        chain: Chain,
        *,
        seconds_per_ledger: int,
        escalation: bool = False,
        market: Market | None = None,
        faults: Faults | None = None,
    ) -> None:
        super().__init__(chain, seconds_per_ledger=seconds_per_ledger, escalation=escalation, market=market)
        self.faults = Faults() if faults is None else faults
        self.closing = False
        self.faults.opened(self)

    def close(self) -> ClosedLedger:
        """Close the open ledger, unless the schedule stalls it: then the last one stays and is returned."""
        if self.faults.stalled(self):
            return ClosedLedger(header=self.chain.header, transactions=())
        now = self.faults.now(self)
        self.closing = True
        try:
            closed = super().close()
        finally:
            self.closing = False
        schedule = self.faults.schedule
        on = {client.path: schedule.active(Place.STREAM, now, client.path) for client in self.faults.clients}
        self.faults.release(self, closed.header.ledger_index, lambda path: on.get(path, ()))
        self.faults.opened(self)
        return closed

    def _closed(self, txs: list[Tx]) -> ClosedLedger:
        pseudo, self.faults.pseudo[:] = list(self.faults.pseudo), []
        return super()._closed([*txs, *pseudo])

    def pretend(self, tx_json: Json, blob: str, *, fail_hard: bool) -> Json:
        """Answer a submit as if it were taken in, and forget it."""
        real = self.open_ledger
        tried = OpenLedger(real.state.copy(), real.rules)
        tried.transactions = list[LedgerTx](real.transactions)
        self.open_ledger = tried
        try:
            return self.submit(tx_json, blob, fail_hard=fail_hard)
        finally:
            self.open_ledger = real


class Pretending:
    """The network, but what is submitted to it is forgotten."""

    def __init__(self, network: FaultyNetwork) -> None:
        self._network = network

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    @property
    def itself(self) -> FaultyNetwork:
        """The network behind."""
        return self._network

    def submit(self, tx_json: Json, blob: str, *, fail_hard: bool) -> Json:
        """Answer as if the transaction were taken in."""
        return self._network.pretend(tx_json, blob, fail_hard=fail_hard)


class FaultyClient(Client):
    """A client whose stream messages can be held back. path: of the URL it connected to."""

    def __init__(self, address: str, network: FaultyNetwork, path: str, **options: Any) -> None:
        super().__init__(address, **options)
        self.path = path
        self.plan: Plan | None = None
        self.cut: Callable[[], None] = lambda: None
        self._network = network
        self._batch: list[bytes] = []
        self._held: deque[tuple[int, list[bytes]]] = deque(maxlen=HELD_LEDGERS)
        network.faults.clients.add(self)

    def send(self, message: bytes) -> None:
        """Queue a message; those of a closing ledger wait until all of them are there."""
        if self._network.closing:
            self._batch.append(message)
        else:
            super().send(message)

    def collected(self) -> list[bytes]:
        """Return and forget the messages of the ledger that has just closed."""
        batch, self._batch = self._batch, []
        return batch

    def keep(self, ledger: int, messages: list[bytes]) -> None:
        """Hold the messages of a ledger until `let_go`."""
        if messages:
            self._held.append((ledger, messages))

    def let_go(self, shown: int) -> None:
        """Queue what is held of the ledgers up to `shown`."""
        while self._held and self._held[0][0] <= shown:
            for message in self._held.popleft()[1]:
                super().send(message)


class FaultyServer(LocalServer):
    """A server whose replies can come late, bent, with a warning, or never."""

    network: FaultyNetwork

    def __init__(self, network: FaultyNetwork, options: Options) -> None:
        super().__init__(network, options)
        self.faults = network.faults

    def make_client(self, address: str, path: str, cut: Callable[[], None], **options: Any) -> Client:
        """Return a client that faults can be shown to."""
        client = FaultyClient(address, self.network, path, **options)
        client.cut = cut
        return client

    def seen_by(self, client: Client | None) -> Network:
        """Return the network as this client's node knows it; None: one who asks by HTTP."""
        path = client.path if isinstance(client, FaultyClient) else ""
        plan = client.plan if isinstance(client, FaultyClient) else None
        self.network.amendment_blocked = self.faults.blocked(self.network, path)
        seen: Network | PastNetwork | Pretending
        seen = past(self.network, self.faults.shown(self.network, path))
        if plan is not None and "false_reply" in plan.names:
            seen = Pretending(self.network)
        return seen  # type: ignore[return-value]

    def take(self, client: Client, frame: str | bytes) -> None:
        """Deal with a frame as the schedule wants it."""
        if not isinstance(client, FaultyClient) or client.closing is not None:
            super().take(client, frame)
            return
        request = _request(frame)
        plan = self.faults.plan(self.network, client.path, str(request.get("command", "")))
        if "close_1008" in plan.names:
            client.close(POLICY_VIOLATION, THRESHOLD_EXCEEDED)
        elif "drop" in plan.names:
            client.cut()
        else:
            client.plan = plan
            super().take(client, frame)
            client.plan = None

    def reply(self, client: Client, frame: str | bytes) -> tuple[Json, int]:
        """Return the reply to a frame and what it cost; slowDown and amendmentBlocked come first."""
        request = _request(frame)
        refused = self._refusal(client, str(request.get("command", "")))
        if refused is None:
            reply, cost = super().reply(client, frame)
        else:
            told: Json = {name: request[name] for name in ("id", "api_version") if name in request}
            reply = {**refused.body(), **told, "request": request, "status": "error", "type": "response"}
            cost = 0
        if self.network.amendment_blocked:
            reply = {**reply, "warnings": [BLOCKED_WARNING]}
        return reply, cost

    def _refusal(self, client: Client, command: str) -> RpcError | None:
        if not isinstance(client, FaultyClient):
            return None
        self.network.amendment_blocked = self.faults.blocked(self.network, client.path)
        if client.plan is not None and "slow_down" in client.plan.names:
            return RpcError("slowDown")
        if self.network.amendment_blocked and command not in ANSWERED_WHEN_BLOCKED:
            return RpcError("amendmentBlocked")
        return None

    def send_reply(self, client: Client, reply: Json) -> None:
        """Send a reply now, later or never."""
        plan = client.plan if isinstance(client, FaultyClient) else None
        if plan is None:
            super().send_reply(client, reply)
            return
        if "lost_reply" in plan.names:
            return
        if "load_warning" in plan.names:
            reply = {**reply, "warning": "load"}
        frame = plan.bent(_encode(reply))
        if plan.delay:
            self.later(plan.delay, lambda: client.send(frame))
        else:
            client.send(frame)

    async def _answer_http(self, path: str, body: bytes, address: str) -> Answer:
        request = _request(body)
        plan = self.faults.plan(self.network, path, str(request.get("method", "")))
        if plan.names & {"drop", "close_1008", "slow_down"}:
            return Answer(503, "Server is overloaded")
        answer = await super()._answer_http(path, body, address)
        await asyncio.sleep(plan.delay)
        if "lost_reply" in plan.names:
            return Answer(503, "The server is not ready.\n")
        if isinstance(answer.body, dict) and "load_warning" in plan.names:
            return Answer(answer.status, {**answer.body, "warning": "load"})
        return answer


def faults_of(path: Path | None, seed: int) -> Faults:
    """Return the faults of a schedule file, none without one. Raises UsageError if it cannot be followed."""
    if path is None:
        return Faults(seed=seed)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadSchedule(f"--faults {path}: cannot be read: {error}") from error
    return Faults(parse_schedule(text), seed=seed)


def _request(frame: str | bytes) -> Json:
    try:
        return msgspec.json.decode(frame, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return {}
