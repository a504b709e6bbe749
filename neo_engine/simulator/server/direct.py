"""The server without sockets: whoever has a client of it hands it frames, and takes what it queues.

Requests, replies, load, faults and streams are those of the server process. Left out are the sockets and
the tasks that serve them; what the server puts off (a late reply, the close of an overloaded client) waits on
the simulated clock.
"""

from __future__ import annotations

from collections.abc import Callable

from neo_engine.simulator.clock import SimulatedClock
from neo_engine.simulator.server.faults import FaultyNetwork, FaultyServer
from neo_engine.simulator.server.options import Address, Options

NOWHERE = Address(host="127.0.0.1", port=0)  # is never listened on


class DirectServer(FaultyServer):
    """A server in process. unlimited: nobody is charged for requests."""

    def __init__(self, network: FaultyNetwork, clock: SimulatedClock, *, unlimited: bool) -> None:
        super().__init__(network, Options(listen=NOWHERE, http=None, close_seconds=None, unlimited=unlimited))
        self.clock = clock.monotonic
        self._time = clock

    def later(self, seconds: float, deed: Callable[[], None]) -> None:
        """Do something so many simulated seconds from now."""
        self._time.after(seconds, deed)
