"""Monitors of the market: one-sided sweeping (cascade) and flash moves of the price.

Both look at believed ledgers only: no data fault, a mid that is a price. What they said last stands while
there is none, since no quote is made on such a ledger anyway.

The cascade's severity adds up, over a run of ledgers, how much of what stood near was taken on one side:

    net       = what takers bought less what they sold in the ledger (or the other way round), in XRP
    near      = what stood, a ledger earlier, on the side they took: levels of the snapshot and the pool, no
                further from that ledger's mid than monitors.cascade_near_bps
    severity  = sum of net / near over the run = run length x mean share

A run is of ledgers one after another in which the same side took more. One in which nobody took, or both
took the same, ends it; so does the other side, whose run begins then. Where nothing stood near, what was
taken counts as one whole near depth.
"""

from __future__ import annotations

from decimal import Decimal

from neo_engine.config import Config
from neo_engine.domain.amm import fee_band
from neo_engine.domain.assets import Side
from neo_engine.domain.market import MarketSnapshot, is_price
from neo_engine.domain.number import BPS, ONE, WORK, ZERO, plain
from neo_engine.domain.severity import Reading, Severity
from neo_engine.risk.monitors.reading import calm, shown
from neo_engine.risk.state import NO_RUN, LastMid, Run, Seen
from neo_engine.strategy.anchor import is_sound_pool

_HUNDRED = Decimal(100)


def believed(snapshot: MarketSnapshot | None) -> bool:
    """Return True for a ledger that prices may be read from."""
    return snapshot is not None and not snapshot.faults and is_price(snapshot.mid)


def near_drops(snapshot: MarketSnapshot, taker: Side, bps: Decimal) -> int:
    """Return what takers of this side would find within `bps` of a believed mid, in drops.

    Of the pool: what moves its price, fee included, to that limit; rounded down.
    """
    share, mid, pool = bps / BPS, snapshot.mid or ZERO, snapshot.pool
    buying = taker is Side.BUY
    limit = WORK.multiply(mid, ONE + share if buying else ONE - share)
    found = 0
    for level in snapshot.asks if buying else snapshot.bids:
        if not level.price.is_finite() or (level.price > limit if buying else level.price < limit):
            break
        found += level.base_drops
    if pool is not None and is_sound_pool(pool) and limit > 0:
        low, high = fee_band(pool)
        price = high if buying else low
        if limit > price if buying else limit < price:
            root = WORK.sqrt(WORK.divide(price, limit))
            found += int(pool.base_drops * abs(ONE - root))
    return found


def cascade(memory: Run, seen: Seen, config: Config) -> tuple[Run, Reading | None]:
    """Pull, later kill, when one side sweeps the book (formula above)."""
    snapshot, monitors = seen.tick.snapshot, config.monitors
    if snapshot is None or not believed(snapshot):
        return (memory if snapshot is None else NO_RUN), None
    before, net = memory.before, 0
    for trade in snapshot.trades:
        net += trade.base_drops if trade.taker_side is Side.BUY else -trade.base_drops
    if before is None or not net or before.ledger_index + 1 != snapshot.ledger_index:
        return Run(before=snapshot, side=None, length=0, severity=ZERO), calm("cascade")
    side = Side.BUY if net > 0 else Side.SELL
    near = near_drops(before, side, monitors.cascade_near_bps)
    share = WORK.divide(Decimal(abs(net)), Decimal(near)) if near > 0 else ONE
    length, total = (memory.length + 1, memory.severity + share) if side is memory.side else (1, share)
    after = Run(before=snapshot, side=side, length=length, severity=total)
    if total >= monitors.cascade_kill:
        severity, limit = Severity.KILL, f"monitors.cascade_kill {plain(monitors.cascade_kill)}"
    elif total >= monitors.cascade_pull:
        severity, limit = Severity.PULL_QUOTES, f"monitors.cascade_pull {plain(monitors.cascade_pull)}"
    else:
        return after, calm("cascade")
    word = "buyers" if side is Side.BUY else "sellers"
    detail = f"{word} took {shown(total)} of the near depth in {length} ledgers in a row ({limit})"
    return after, Reading(monitor="cascade", severity=severity, detail=detail)


def price_velocity(memory: LastMid, seen: Seen, config: Config) -> tuple[LastMid, Reading | None]:
    """Pull, later kill, when the mid moves by so many percent in a ledger interval.

    From one believed mid to the next: move in percent a second x engine.tick_interval_seconds. Close times
    are rounded, so that two ledgers may seem nearer than they are: less than an interval counts as one.
    """
    snapshot, monitors = seen.tick.snapshot, config.monitors
    if snapshot is None or not believed(snapshot) or snapshot.mid is None:
        return memory, None
    mid, last = snapshot.mid, memory.mid
    after = LastMid(mid=mid, close_time=snapshot.close_time)
    if last is None or mid == last:
        return after, calm("price_velocity")
    interval = config.engine.tick_interval_seconds
    seconds = max(snapshot.close_time - memory.close_time, interval)
    move = WORK.divide(WORK.multiply(WORK.subtract(mid, last), _HUNDRED), last)
    speed = WORK.divide(WORK.multiply(abs(move), Decimal(interval)), Decimal(seconds))
    if speed >= monitors.price_kill_pct:
        severity, limit = Severity.KILL, f"monitors.price_kill_pct {plain(monitors.price_kill_pct)}"
    elif speed >= monitors.price_pull_pct:
        severity, limit = Severity.PULL_QUOTES, f"monitors.price_pull_pct {plain(monitors.price_pull_pct)}"
    else:
        return after, calm("price_velocity")
    detail = f"mid moved {shown(move)} % in {seconds} s: {shown(speed)} % in {interval} s ({limit})"
    return after, Reading(monitor="price_velocity", severity=severity, detail=detail)
