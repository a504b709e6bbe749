"""What opens each gate again. Our own fills are no such thing: no gate waits for what only quoting can bring.

A gate that closes one side because of what is held (Inventory, MaxExposure) leaves the other side quoting; a
fill there ends it too, but a price that moves or capital that comes does so without one.
"""

from __future__ import annotations

from enum import Enum


class Ends(Enum):
    """Each by itself enough."""

    TIME = "time"  # ledgers or seconds that pass
    MARKET = "market"  # what others do
    SERVER = "server"  # what a server says or the network asks
    OPERATOR = "operator"  # a person: capital, a key, a new session


_TIME, _MARKET, _SERVER, _OPERATOR = Ends.TIME, Ends.MARKET, Ends.SERVER, Ends.OPERATOR

#: Every gate of `why_table.GATES` -> what ends it.
ENDS: dict[str, tuple[Ends, ...]] = {
    "Stopping": (_OPERATOR,),
    "Storage": (_TIME, _OPERATOR),
    "Risk": (_TIME, _MARKET, _OPERATOR),
    "Cascade": (_MARKET,),
    "NoDataReceived": (_SERVER,),
    "StaleData": (_SERVER,),
    "CrossedBook": (_MARKET,),
    "Gap": (_SERVER,),
    "BadNumber": (_MARKET, _SERVER),
    "MalformedMessage": (_SERVER,),
    "UnhealthyNode": (_SERVER,),
    "EmptySide": (_MARKET,),
    "Frozen": (_MARKET,),
    "Behind": (_TIME,),
    "Warmup": (_TIME, _MARKET),
    "AnchorDivergence": (_MARKET,),
    "Viability": (_MARKET, _OPERATOR),
    "ToxicFlow": (_TIME, _MARKET),
    "NoEdgeFlat": (_TIME, _MARKET),
    "Inventory": (_MARKET, _OPERATOR),
    "MinNotional": (_MARKET, _OPERATOR),
    "MaxOrderSize": (_OPERATOR,),
    "DuplicateSlot": (_OPERATOR,),
    "MaxOpenOrders": (_TIME, _OPERATOR),
    "WouldCross": (_TIME, _MARKET),
    "MaxExposure": (_MARKET, _OPERATOR),
    "QuotaExhausted": (_TIME, _SERVER),
    "QuotaCritical": (_TIME, _SERVER),
    "Manual": (_OPERATOR,),
    "Fee": (_SERVER,),
    "Capital": (_TIME, _OPERATOR),
    "CapitalShrunk": (_TIME, _OPERATOR),
    "Backoff": (_TIME,),
    "SelfCross": (_TIME,),
}
