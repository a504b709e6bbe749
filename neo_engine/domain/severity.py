"""How bad a monitor finds things, and what it says of them. Values only."""

from __future__ import annotations

from enum import IntEnum

import msgspec


class Severity(IntEnum):
    """What a reading asks for, ordered: of all monitors the highest decides. Stored by name."""

    NORMAL = 0
    WARN = 1  # noted, changes nothing
    REDUCE_ONLY = 2  # the side that makes it worse is closed
    PULL_QUOTES = 3  # every order is taken back until it is better
    KILL = 4  # the session ends


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What one monitor says after a tick: its name, how bad it is, and its numbers.

    detail: what was measured, the threshold that was reached and the key it comes from. closes: of a
    REDUCE_ONLY reading, the side (`bid` or `ask`) whose fills would make it worse; else empty.
    """

    monitor: str
    severity: Severity
    detail: str
    closes: str = ""
