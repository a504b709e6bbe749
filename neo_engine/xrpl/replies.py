"""What a frame from a server means, and how long to leave that server alone: pure, the clock is an argument.

A `load` warning holds back reads, slowDown holds back everything, each longer with every complaint in a row;
a good answer without a warning ends it. Times are seconds of any clock that never goes back.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from neo_engine.domain.errors import NeoError
from neo_engine.domain.headroom import WHOLE
from neo_engine.domain.number import ZERO
from neo_engine.xrpl.server import API_VERSION, OTHER_API, Json, RequestLost, RequestRefused

PAUSE_FIRST_SECONDS = 0.5
PAUSE_MAX_SECONDS = 16.0
LOAD, SLOW_DOWN = "load", "slowDown"


class BadFrame(NeoError):
    """A frame that cannot be read; the text says how long it was and what is wrong with it."""


class Head(msgspec.Struct, gc=False):
    """What tells a frame's purpose; decoding it also checks that the whole frame is JSON."""

    type: str = ""
    id: str | int | None = None
    warning: str | None = None


_head = msgspec.json.Decoder(Head)
_reply = msgspec.json.Decoder(dict[str, Any])


def read_frame(frame: bytes) -> tuple[Head, Json | None]:
    """Return what a frame is and, if it is a reply, all of it; None for a stream message. Raises BadFrame."""
    try:
        head = _head.decode(frame)
        is_reply = head.id is not None or head.type in ("response", "error")
        return head, _reply.decode(frame) if is_reply else None
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise BadFrame(f"a frame of {len(frame)} bytes was skipped: {error}") from error


def result_of(command: str, reply: Json) -> Json:
    """Return the result in a reply. Raises RequestRefused, or RequestLost where it says neither."""
    result, token = reply.get("result"), reply.get("error")
    if reply.get("status") == "success" and isinstance(result, dict):
        return result
    if not isinstance(token, str):  # neither an answer nor a refusal: the server's word is not known
        raise RequestLost(command, "the reply has neither a result nor an error", sent=True)
    if token == OTHER_API:
        text = f"it does not speak version {API_VERSION} of the API, as rippled does from 2.0 on"
        raise RequestRefused(command, token, text, reply)
    text = str(reply.get("error_message") or reply.get("error_exception") or "no reason given")
    raise RequestRefused(command, token, text, reply)


class Pause:
    """How long requests to a server wait."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._reads_from = self._all_from = 0.0

    def heed(self, warning: str | None, error: str, now: float) -> str:
        """Take in an answer; return what to tell of it, "" for one without a complaint."""
        if warning != LOAD and error != SLOW_DOWN:
            self._seconds = 0.0
            return ""
        self._seconds = min(max(self._seconds * 2, PAUSE_FIRST_SECONDS), PAUSE_MAX_SECONDS)
        self._reads_from = now + self._seconds
        if error == SLOW_DOWN:
            self._all_from = self._reads_from
        return f"{error or 'load warning'}: requests wait {self._seconds:g} s"

    def until(self, *, writes: bool) -> float:
        """Return the time before which a request waits; writes: a `load` warning does not hold it back."""
        return self._all_from if writes else max(self._reads_from, self._all_from)

    def headroom(self, now: float) -> Decimal:
        """Return how much the server still answers, in percent: half of it gone with each complaint in a row.

        Nothing while it lets nothing pass.
        """
        if now < self._all_from:
            return ZERO
        seconds = self._seconds
        return WHOLE * Decimal(PAUSE_FIRST_SECONDS / 2) / Decimal(seconds) if seconds else WHOLE
