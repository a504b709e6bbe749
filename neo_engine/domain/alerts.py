"""What is told to a person who looks at no screen. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

import msgspec


class AlertSeverity(IntEnum):
    """How much an alert matters, ordered. Written in small letters."""

    INFO = 0  # nothing to do
    WARNING = 1  # look at it today
    CRITICAL = 2  # the session ended or money is not where the books say

    @property
    def word(self) -> str:
        """The word in configuration and JSON."""
        return self.name.lower()


#: Every kind of alert and what it says; docs/operations.md lists them.
KINDS: Mapping[str, str] = {
    "session_start": "a session has begun",
    "session_end": "a session has ended, with its reason and result",
    "startup": "a session could not begin",
    "halt": "the engine ended the session by itself",
    "kill": "the kill switch was pulled, by the operator or a monitor",
    "feed_lost": "quotes pulled: no ledger for too long",
    "pulled": "quotes pulled by a monitor",
    "resumed": "what had pulled the quotes is over",
    "monitor": "a monitor warns or has closed a side",
    "database": "the database could not be written; it is tried again",
    "balance": "money came or went without a trade, or the books and the ledger differ",
    "drift": "at the end the engine's inventory and its rows differ",
    "test": "sent by `alert-test`",
}


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to tell. kind: of KINDS. key: with the kind it says what counts as the same alert again.

    text: one sentence for people. numbers: the same for programs, exact numbers as text.
    """

    kind: str
    key: str
    severity: AlertSeverity
    text: str
    numbers: Mapping[str, str] = {}
