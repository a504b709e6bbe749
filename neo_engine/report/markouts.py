"""Markouts: what the mid did after our fills.

    markout_bps(n) = s x (mid of the ledger n after the fill's / p - 1) x 10000

p: the fill's own price; s: +1 for a buy, -1 for a sale. Positive: the market went our way, or not far enough
against us to eat the spread. It is the view v_markouts, fill by fill and bit by bit.

1. Of the price that was traded at, not of a mid: the markout is the return of the trade, every fill has a
   price, and at n = 0 it would be the spread captured but for that base.
2. The ledger exactly n later, or none: where it is missing (the session had ended, the feed had a gap) or had
   no mid, the fill has no markout at n and does not count there. A later ledger in its place would give the
   move of a longer time than n, most of all where ledgers were lost because much happened.
3. The interval takes fills for independent; those of one sweep are not, so it is too narrow then.

Groups: all fills, each side, three sizes (a third of the fills each, by the XRP filled), each hour of the
day (UTC).

>>> markout_bps(np.array([1.0, -1.0]), np.array([2.0, 2.0]), np.array([2.001, 2.001]))
array([ 5., -5.])
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from decimal import Decimal

import msgspec
import numpy as np
import numpy.typing as npt

from neo_engine.domain.number import DROPS_PER_XRP, NEAREST
from neo_engine.report.columns import LEDGER_EPOCH_UNIX, Columns, Floats, Numbers, numbers
from neo_engine.report.measures import Markout, MarkoutGroup, Spread

LEDGERS = (1, 2, 5, 15, 60)
NORMAL_95 = 1.96  # of a normal distribution, 95 of a hundred lie within so many standard deviations
SIZES = ("small", "middle", "large")
_FOUR = Decimal("0.0001")
_HOUR, _DAY = 3_600, 86_400


def rounded(value: float) -> Decimal | None:
    """Return a statistic to 4 decimals, None for NaN."""
    return None if math.isnan(value) else Decimal(repr(float(value))).quantize(_FOUR, rounding=NEAREST)


def spread_of(values: Floats) -> Spread:
    """Return count, mean and centiles of `values`."""
    if not len(values):
        return Spread(count=0, mean=None, p10=None, median=None, p90=None)
    low, middle, high = np.percentile(values, (10, 50, 90))
    return Spread(
        count=len(values),
        mean=rounded(float(np.mean(values))),
        p10=rounded(float(low)),
        median=rounded(float(middle)),
        p90=rounded(float(high)),
    )


class Fills(msgspec.Struct, frozen=True, kw_only=True):
    """The session's fills as columns, in their order. sign: +1 buy, -1 sell. mid: NaN where none was known.

    at: seconds since 2000-01-01. tick: that saw the fill.
    """

    tick: Numbers
    ledger: Numbers
    at: Numbers
    sign: Floats
    xrp: Floats
    price: Floats
    mid: Floats

    def __len__(self) -> int:
        return len(self.tick)

    @property
    def captured_bps(self) -> Floats:
        """Spread captured against the mid of the fill's ledger, in bps of the mid; NaN without one."""
        return self.sign * (self.mid - self.price) * 10_000 / self.mid


def load_fills(connection: sqlite3.Connection, session_id: int) -> Fills:
    """Return the session's fills. Raises ValueError for a value that is no number."""
    wanted = (
        "tick", "ledger_index", f"unixepoch(close_time) - {LEDGER_EPOCH_UNIX}",
        "CASE side WHEN 'buy' THEN 1 ELSE -1 END", "xrp_drops", "price", "coalesce(mid, -1)",
    )  # fmt: skip
    texts = connection.execute(
        f"SELECT {', '.join(f'group_concat({name})' for name in wanted)} FROM "
        "(SELECT * FROM fills WHERE session_id = ? ORDER BY tick, id)",
        (session_id,),
    ).fetchone()
    try:
        tick, ledger, at, sign, drops, price, mid = (numbers(text) for text in texts)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise ValueError(f"fills: a price or a mid is no number ({error})") from error
    mid[mid < 0] = np.nan
    return Fills(
        tick=tick.astype(np.int64),
        ledger=ledger.astype(np.int64),
        at=at.astype(np.int64),
        sign=sign,
        xrp=drops / DROPS_PER_XRP,
        price=price,
        mid=mid,
    )


def markout_bps(sign: Floats, price: Floats, later: Floats) -> Floats:
    """Return the markouts in bps of the fills' own prices; positive is good for us.

    In the order in which the view v_markouts calculates, so that not even the last bit differs.
    """
    return sign * (later / price - 1) * 10_000


def mids_later(columns: Columns, ledgers: Numbers, horizon: int) -> Floats:
    """Return for each ledger the mid of the one `horizon` later, NaN where that was not seen or had none."""
    mid = columns.markets.mid
    seen = np.flatnonzero(~np.isnan(mid))
    if not len(seen):
        return np.full(len(ledgers), np.nan)
    known, wanted = columns.market_ledger[seen], ledgers + horizon
    at = np.minimum(np.searchsorted(known, wanted), len(seen) - 1)
    return np.where(known[at] == wanted, mid[seen[at]], np.nan)


def _markout(ledgers: int, values: Floats) -> Markout:
    values = values[~np.isnan(values)]
    count = len(values)
    mean = float(np.mean(values)) if count else math.nan
    sd = float(np.std(values, ddof=1)) if count > 1 else math.nan
    half = NORMAL_95 * sd / math.sqrt(count) if count else math.nan
    return Markout(
        ledgers=ledgers,
        count=count,
        mean_bps=rounded(mean),
        sd_bps=rounded(sd),
        ci_low_bps=rounded(mean - half),
        ci_high_bps=rounded(mean + half),
    )


class Marked(msgspec.Struct, frozen=True, kw_only=True):
    """Fills with their markouts, of one session or of many: later_bps[i] belongs to LEDGERS[i]."""

    sign: Floats
    xrp: Floats
    hour: Numbers
    captured_bps: Floats
    later_bps: tuple[Floats, ...]


def marked(columns: Columns, fills: Fills) -> Marked:
    """Return the markouts of a session's fills."""
    return Marked(
        sign=fills.sign,
        xrp=fills.xrp,
        hour=fills.at % _DAY // _HOUR,
        captured_bps=fills.captured_bps,
        later_bps=tuple(
            markout_bps(fills.sign, fills.price, mids_later(columns, fills.ledger, n)) for n in LEDGERS
        ),
    )


def pooled(parts: Sequence[Marked]) -> Marked:
    """Return the fills of many sessions as one; there must be one at least."""
    return Marked(
        sign=np.concatenate([one.sign for one in parts]),
        xrp=np.concatenate([one.xrp for one in parts]),
        hour=np.concatenate([one.hour for one in parts]),
        captured_bps=np.concatenate([one.captured_bps for one in parts]),
        later_bps=tuple(np.concatenate(same) for same in zip(*(one.later_bps for one in parts), strict=True)),
    )


def _size_groups(xrp: Floats) -> list[tuple[str, str, npt.NDArray[np.bool_]]]:
    """Return the fills by size: the bounds are the sizes that a third and two thirds do not exceed."""
    if len(xrp) < len(SIZES):
        return []
    low, high = np.percentile(xrp, (100 / 3, 200 / 3), method="lower")
    third = np.searchsorted(np.array([low, high]), xrp)
    bounds = (f"up to {low:g}", f"up to {high:g}", f"above {high:g}")
    return [
        ("size", f"{name} ({bound} XRP)", third == index)
        for index, (name, bound) in enumerate(zip(SIZES, bounds, strict=True))
        if bool(np.any(third == index))
    ]


def markout_groups(fills: Marked) -> tuple[MarkoutGroup, ...]:
    """Return the markouts of every group that has fills; of no fill at all, the group `all` alone."""
    everything = np.ones(len(fills.sign), dtype=bool)
    groups: list[tuple[str, str, npt.NDArray[np.bool_]]] = [("all", "all", everything)]
    for name, sign in (("buy", 1), ("sell", -1)):
        groups.append(("side", name, fills.sign == sign))
    groups.extend(_size_groups(fills.xrp))
    groups.extend(("hour", f"{one:02d}", fills.hour == one) for one in np.unique(fills.hour).tolist())
    made = []
    for group, name, chosen in groups:
        if group != "all" and not bool(np.any(chosen)):
            continue
        own = fills.captured_bps[chosen]
        own = own[~np.isnan(own)]
        made.append(
            MarkoutGroup(
                group=group,
                name=name,
                fills=int(np.count_nonzero(chosen)),
                half_spread_bps=rounded(float(np.mean(own))) if len(own) else None,
                markouts=tuple(
                    _markout(n, later[chosen]) for n, later in zip(LEDGERS, fills.later_bps, strict=True)
                ),
            )
        )
    return tuple(made)
