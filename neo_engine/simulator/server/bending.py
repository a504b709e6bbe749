"""How a good frame is made a bad one: cut short, NaN, an impossible number, a value of another type.

`id`, `type` and `status` keep their values, so that the client still knows whose reply it is reading and
trips over the payload itself.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import msgspec

KEPT = frozenset({"id", "type", "status", "api_version"})
ABSURD = ("1" + "0" * 400, "-1", "99999999999999999999e80", "1e-400")
OTHER_TYPES: tuple[Any, ...] = (None, [], {}, True, "word")
_NAN = "\x00not a number\x00"
_encode = msgspec.json.Encoder(order="sorted").encode
Place = tuple[Any, Any]


def bend(frame: bytes, how: str, source: random.Random) -> bytes:
    """Return the frame malformed as `how` says (fault_schedule.HOWS); one without a number is cut.

    One that is no JSON any more, because another fault had it first, stays as it is unless it is to be cut.
    """
    if how == "cut":
        return frame[: len(frame) // 2]
    try:
        body = msgspec.json.decode(frame)
    except msgspec.DecodeError:
        return frame
    places = list(_figures(body))
    if not places:
        return frame[: len(frame) // 2]
    holder, key = source.choice(places)
    if how == "type":
        holder[key] = source.choice([other for other in OTHER_TYPES if type(other) is not type(holder[key])])
        return _encode(body)
    if how == "nan":
        holder[key] = _NAN
        return _encode(body).replace(_encode(_NAN), b"NaN")
    absurd = source.choice(ABSURD)
    if isinstance(holder[key], str):
        holder[key] = absurd
        return _encode(body)
    holder[key] = _NAN
    return _encode(body).replace(_encode(_NAN), absurd.encode("ascii"))


def _figures(value: Any) -> Iterator[Place]:
    """Yield the place of every figure in a JSON value: numbers, and texts that are one."""
    pairs: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        pairs = [(key, one) for key, one in value.items() if key not in KEPT and key != "request"]
    elif isinstance(value, list):
        pairs = list(enumerate(value))
    for key, one in pairs:
        if isinstance(one, (dict, list)):
            yield from _figures(one)
        elif _is_figure(one):
            yield value, key


def _is_figure(value: Any) -> bool:
    if isinstance(value, str):
        return value.replace(".", "", 1).isdigit()
    return isinstance(value, (int, float)) and not isinstance(value, bool)
