"""Whether the server's data can be quoted on: five states, one table, two readings to change its mind.

Two things are watched apart. Market data is fresh while closed ledgers are heard, account data while ledgers
become whole, with every transaction, since ours is in one of them. A server that tells ledgers but
loses their transactions is therefore stale. One reading proves little (a ledger may close late), so data
turns old and fresh again only by two equal readings in a row. A cut or an opened connection counts at once.
"""

from __future__ import annotations

from enum import StrEnum


class SupervisorState(StrEnum):
    """Quotes stand in HEALTHY only; in FAILED the session halts."""

    HEALTHY = "Healthy"
    STALE = "Stale"
    RECONNECTING = "Reconnecting"
    DISCONNECTED = "Disconnected"
    FAILED = "Failed"


class Happening(StrEnum):
    """What can happen to the connection that is read."""

    OPENED = "opened"  # a connection is open and subscribed
    FRESH = "fresh"  # two readings in a row: market and account data are young enough
    OLD = "old"  # two readings in a row: one of them is not
    CUT = "cut"  # the connection ended
    UNREACHABLE = "unreachable"  # no endpoint is connected and the last attempt at each failed
    EXHAUSTED = "exhausted"  # no endpoint is connected and none has attempts left


_S, _H = SupervisorState, Happening

#: state -> what happens -> next state. What is not named changes nothing.
MOVES: dict[SupervisorState, dict[Happening, SupervisorState]] = {
    _S.HEALTHY: {
        _H.OLD: _S.STALE,
        _H.CUT: _S.RECONNECTING,
        _H.UNREACHABLE: _S.DISCONNECTED,
        _H.EXHAUSTED: _S.FAILED,
    },
    _S.STALE: {
        _H.FRESH: _S.HEALTHY,
        _H.CUT: _S.RECONNECTING,
        _H.UNREACHABLE: _S.DISCONNECTED,
        _H.EXHAUSTED: _S.FAILED,
    },
    _S.RECONNECTING: {
        _H.OPENED: _S.STALE,
        _H.UNREACHABLE: _S.DISCONNECTED,
        _H.EXHAUSTED: _S.FAILED,
    },
    _S.DISCONNECTED: {_H.OPENED: _S.STALE, _H.EXHAUSTED: _S.FAILED},
    _S.FAILED: {},
}


def moved(state: SupervisorState, happening: Happening) -> SupervisorState:
    """Return the state after something happened."""
    return MOVES[state].get(happening, state)


class Supervisor:
    """The state, and when market and account data were last seen; all times in seconds of one clock."""

    def __init__(self, stale_seconds: float) -> None:
        self.state = SupervisorState.DISCONNECTED
        self.stale_seconds = stale_seconds
        self._market = self._account = float("-inf")
        self._last: Happening | None = None

    def market_seen(self, now: float) -> None:
        """Note that a closed ledger was heard."""
        self._market = now

    def account_seen(self, now: float) -> None:
        """Note that a ledger became whole."""
        self._account = now

    def old(self, now: float) -> str:
        """Return which data is older than the limit, in words; empty if none is."""
        ages = {"closed ledgers": now - self._market, "whole ledgers": now - self._account}
        return " and ".join(
            f"no {what} for {age:.1f} s" for what, age in ages.items() if age > self.stale_seconds
        )

    def read(self, now: float) -> SupervisorState:
        """Take a reading; the second of the same kind in a row counts."""
        reading = Happening.OLD if self.old(now) else Happening.FRESH
        if reading is self._last:
            self.state = moved(self.state, reading)
        self._last = reading
        return self.state

    def happened(self, happening: Happening) -> SupervisorState:
        """Note what happened to the connection; readings start anew."""
        self._last = None
        self.state = moved(self.state, happening)
        return self.state
