"""A capital event that waits for a session, from its row."""

from __future__ import annotations

from neo_engine.domain.capital import CapitalEvent, CapitalKind
from neo_engine.domain.number import DOWN, ZERO, drops_from_xrp, parse_number
from neo_engine.state.statements import XRP


def waiting_event(row: tuple[str, ...]) -> CapitalEvent:
    """Return the event of a row of request_id, kind, asset, amount, note, created_at. Raises BadNumber."""
    request_id, kind, asset, amount, note, created_at = row
    value = parse_number(amount, f"capital event {request_id}")
    return CapitalEvent(
        request_id=request_id,
        kind=CapitalKind(kind),
        base_drops=drops_from_xrp(value, DOWN) if asset == XRP else 0,
        quote=ZERO if asset == XRP else value,
        note=note,
        created_at=created_at,
    )
