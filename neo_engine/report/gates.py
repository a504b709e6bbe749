"""Every gate of a session: how often it closed a side, alone or with others, and from when to when.

Read in one pass over the ticks in which one fired; gates are told by name, whatever names there are.

Raises of the public function: ValueError naming a tick whose gates cannot be read.
"""

from __future__ import annotations

import heapq
import sqlite3

import msgspec

from neo_engine.report.measures import Closure, Span
from neo_engine.report.model import GateCount, share_pct
from neo_engine.state.queries import TICKS_OF_SESSION

SPANS_MAX = 500  # the longest stretches kept: more than a reader follows, less than a page can hold


class _Gate(msgspec.Struct, frozen=True):
    name: str
    side: str
    detail: str = ""


class _Stretch:
    """A gate's stretch of consecutive ticks that may still go on."""

    __slots__ = ("detail", "end", "first", "last", "start")

    def __init__(self, tick: int, at: str, detail: str) -> None:
        self.first = self.last = tick
        self.start = self.end = at
        self.detail = detail

    @property
    def ticks(self) -> int:
        return self.last - self.first + 1


class Gates(msgspec.Struct, frozen=True, kw_only=True):
    """What the gates of a session did; spans: the longest SPANS_MAX of span_count, in order of time."""

    counts: tuple[GateCount, ...]
    closures: tuple[Closure, ...]
    spans: tuple[Span, ...]
    span_count: int


_DECODER = msgspec.json.Decoder(list[_Gate])
_Key = tuple[str, str]


class _Seen:
    def __init__(self) -> None:
        self.counts: dict[_Key, int] = {}
        self.alone: dict[_Key, int] = {}
        self.details: dict[_Key, str] = {}
        self.going_on: dict[_Key, _Stretch] = {}
        self.longest: list[tuple[int, int, _Key, _Stretch]] = []
        self.span_count = 0

    def tick(self, tick: int, at: str, gates: list[_Gate]) -> None:
        keys = {(gate.name, gate.side) for gate in gates}
        for gate in gates:
            self.details[gate.name, gate.side] = gate.detail
        for key in keys:
            self.counts[key] = self.counts.get(key, 0) + 1
            self.alone[key] = self.alone.get(key, 0) + (len(keys) == 1)
            stretch = self.going_on.get(key)
            if stretch is not None and stretch.last == tick - 1:
                stretch.last, stretch.end = tick, at
                continue
            if stretch is not None:
                self._close(key, stretch)
            self.going_on[key] = _Stretch(tick, at, self.details[key])

    def _close(self, key: _Key, stretch: _Stretch) -> None:
        self.span_count += 1
        item = (stretch.ticks, -self.span_count, key, stretch)  # of equal ones the earlier stays
        if len(self.longest) < SPANS_MAX:
            heapq.heappush(self.longest, item)
        else:
            heapq.heappushpop(self.longest, item)

    def end(self) -> None:
        for key, stretch in sorted(self.going_on.items()):
            self._close(key, stretch)
        self.going_on = {}


def _spans(seen: _Seen) -> tuple[Span, ...]:
    found = sorted(seen.longest, key=lambda item: (item[3].first, item[2]))
    return tuple(
        Span(
            name=key[0],
            side=key[1],
            start=stretch.start,
            end=stretch.end,
            ticks=stretch.ticks,
            first_tick=stretch.first,
            detail=stretch.detail,
        )
        for _ticks, _order, key, stretch in found
    )


def read_gates(connection: sqlite3.Connection, session_id: int, ticks: int) -> Gates:
    """Return what the gates did in a session of so many `ticks`."""
    seen = _Seen()
    rows = connection.execute(
        f"SELECT tick, close_time, gates FROM ticks WHERE {TICKS_OF_SESSION} AND gates IS NOT NULL "
        "ORDER BY id",
        (session_id,),
    )
    for tick, at, text in rows:
        try:
            gates = _DECODER.decode(text)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise ValueError(f"ticks tick {tick}, gates: malformed JSON ({error})") from error
        if gates:
            seen.tick(tick, at, gates)
    seen.end()
    order = sorted(seen.counts, key=lambda key: (-seen.counts[key], key))
    return Gates(
        counts=tuple(
            GateCount(name=key[0], side=key[1], ticks=seen.counts[key], last_detail=seen.details[key])
            for key in order
        ),
        closures=tuple(
            Closure(
                name=key[0],
                side=key[1],
                ticks=seen.counts[key],
                alone=seen.alone[key],
                share_pct=share_pct(seen.counts[key], ticks),
            )
            for key in order
        ),
        spans=_spans(seen),
        span_count=seen.span_count,
    )
