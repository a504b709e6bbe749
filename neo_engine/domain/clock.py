"""Ledger time and UTC text, without reading any clock.

The ledger counts seconds since 2000-01-01T00:00:00Z (xrpl.org, "Basic Data Types: Specifying Time").

>>> utc_text(848522220)
'2026-11-20T20:37:00Z'
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

LEDGER_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_EPOCH = LEDGER_EPOCH.replace(tzinfo=None)  # isoformat(), quicker than strftime, then ends with the seconds


def utc_text(ledger_seconds: int) -> str:
    """Return the UTC ISO-8601 text of a ledger time in whole seconds."""
    return f"{(_EPOCH + timedelta(seconds=ledger_seconds)).isoformat()}Z"


def ledger_seconds(text: str) -> int:
    """Return the ledger time of a UTC ISO-8601 text. Raises ValueError for any other text."""
    moment = datetime.fromisoformat(text)
    return int((moment - LEDGER_EPOCH).total_seconds())
