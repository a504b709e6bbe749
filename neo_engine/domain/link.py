"""How the feed is connected to where its ledgers come from. Values only."""

from __future__ import annotations

import msgspec


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """The connection at a moment.

    attempts: which attempt to connect again is under way, counted since the last ledger; 0 while connected.
    unhealthy: why the data of the server that is read must not be believed, "" while it may.
    """

    attempts: int
    unhealthy: str


#: Of a feed that has no connection to lose, and of a network's in its usual state.
CONNECTED = Link(attempts=0, unhealthy="")
