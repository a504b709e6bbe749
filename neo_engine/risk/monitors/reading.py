"""How a monitor says its word."""

from __future__ import annotations

from decimal import Decimal
from functools import cache

from neo_engine.domain.number import plain
from neo_engine.domain.severity import Reading, Severity

CALM = "within its limits"
_PLACES = Decimal("0.0001")
_SHOWN_BELOW = Decimal("1E+20")


@cache
def calm(monitor: str) -> Reading:
    """Return the reading of a monitor that has nothing to say: one value each, as most ticks need all."""
    return Reading(monitor=monitor, severity=Severity.NORMAL, detail=CALM)


def shown(value: Decimal) -> str:
    """Return a number for a person: at most four decimals, rounded to nearest, no trailing zeros."""
    return plain(value.quantize(_PLACES)) if abs(value) < _SHOWN_BELOW else plain(value)
