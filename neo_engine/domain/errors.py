"""Every exception the engine raises on purpose.

Two families, told apart because they are handled differently:

* `InvariantViolation`: the program is wrong. Nothing catches it on the way; the shutdown path
  records it and the session ends.
* `NeoError` and its children: the world is wrong (a file, a number, a key). The edge that sees it
  handles it or shows it. Each message names the thing, the place and the fix.
"""

from __future__ import annotations


class InvariantViolation(Exception):
    """A promise the code makes to itself does not hold: a defect, never an operating error."""


class NeoError(Exception):
    """An operating error. `str(error)` names the thing, the place and the fix."""


class BadNumber(NeoError, ValueError):
    """A text or value that is no finite number, or lies outside what the ledger can hold."""


class ConfigError(NeoError):
    """The configuration cannot be used; carries every fault found, not only the first."""

    def __init__(self, source: str, faults: tuple[str, ...]) -> None:
        self.source = source
        self.faults = faults
        super().__init__(f"{source}: " + "; ".join(faults))


class UsageError(NeoError):
    """The command line asks for something that does not exist or makes no sense."""


class StartupFailure(NeoError):
    """The session cannot begin: no feed, no database, no balances."""


class StateError(NeoError):
    """The database cannot be opened, read, written, backed up or restored."""


class FeedError(NeoError):
    """A ledger source cannot be used at all (a fault inside it is a `LedgerFault` value instead)."""
