"""The latch of the kill switch: why no live session may start until somebody has looked.

1. Only what a person must look at latches: the operator's own kill and real losses. What passes by itself
   (exposure, a stale feed, a sick server) and what the start checks anew anyway (reconciler, key, network)
   is never restored.
2. All reasons are kept, each with its numbers and its time. `number` counts them over the life of a
   database and never falls, also not by a reset: who names it has seen the newest one.
3. A latch is in force for LATCH_FOR after its newest reason. A time in the future counts as new.

>>> from datetime import UTC, datetime, timedelta
>>> at = datetime(2026, 11, 21, 12, tzinfo=UTC)
>>> latch = add(OPEN, KillReason(reason=HaltReason.KILL_SWITCH, detail="file: enough", at=at))
>>> in_force(latch, at + timedelta(hours=23)), in_force(latch, at + timedelta(hours=24))
(True, False)
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from neo_engine.domain.halt import HaltReason

LATCH_KEY = "kill.latch"  # of engine_state
RESET_KEY = "kill.reset"
LATCH_FOR = timedelta(hours=24)
MAX_REASONS = 100  # the newest are kept; a session adds one or two
LATCHING = frozenset({HaltReason.KILL_SWITCH, HaltReason.RISK_MAX_LOSS, HaltReason.RISK_MAX_DRAWDOWN})
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class KillReason(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One halt that latched: its class, its numbers, and when (UTC, the wall clock's)."""

    reason: HaltReason
    detail: str
    at: Moment


class Latch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Reasons, oldest first; none when nothing holds. number: of all reasons there ever were."""

    reasons: tuple[KillReason, ...]
    number: Annotated[int, msgspec.Meta(ge=0)]


OPEN = Latch(reasons=(), number=0)


def add(latch: Latch, reason: KillReason) -> Latch:
    """Return the latch with one reason more; one that does not latch changes nothing."""
    if reason.reason not in LATCHING:
        return latch
    return Latch(reasons=(*latch.reasons, reason)[-MAX_REASONS:], number=latch.number + 1)


def opened(latch: Latch) -> Latch:
    """Return the latch without its reasons; its number stays."""
    return Latch(reasons=(), number=latch.number)


def until(latch: Latch) -> datetime | None:
    """Return when the latch stops being in force, None when nothing latched."""
    return max(one.at for one in latch.reasons) + LATCH_FOR if latch.reasons else None


def in_force(latch: Latch, now: datetime) -> bool:
    """Return whether a live session must not start; now: UTC, the wall clock's."""
    end = until(latch)
    return end is not None and now < end


def to_json(latch: Latch) -> str:
    """Return the latch as it is stored."""
    return msgspec.json.encode(latch).decode()


def from_json(text: str, now: datetime) -> Latch:
    """Return a stored latch; "" is an open one. A reason that does not latch is left out.

    A text that cannot be read latches as from `now`: what it said is not known, so somebody must look.
    """
    if not text:
        return OPEN
    try:
        latch = msgspec.json.decode(text, type=Latch)
        until(latch)
    except (msgspec.MsgspecError, UnicodeError, OverflowError) as error:
        detail = f"the stored latch cannot be read ({error})"
        return add(OPEN, KillReason(reason=HaltReason.KILL_SWITCH, detail=detail, at=now))
    kept = tuple(one for one in latch.reasons if one.reason in LATCHING)
    return Latch(reasons=kept, number=latch.number)
