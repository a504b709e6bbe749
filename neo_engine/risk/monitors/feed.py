"""Monitors of the feed: faulty messages in a row, the age of the newest ledger, data not to be trusted.

A ledger's age is counted from its arrival: the feed's time is its close time when it comes, and goes on from
there. So the network's rounding of close times (to 10 s) makes no ledger old.
"""

from __future__ import annotations

from neo_engine.config import Config
from neo_engine.domain.market import DataFault
from neo_engine.domain.severity import Reading, Severity
from neo_engine.risk.monitors.reading import calm
from neo_engine.risk.state import Age, Count, Seen

#: Faults that say something about the market, not about whether the server can be believed.
HARMLESS_FAULTS = frozenset({DataFault.EMPTY_SIDE, DataFault.FROZEN})
_NONE = Count(count=0)


def feed_failures(memory: Count, seen: Seen, config: Config) -> tuple[Count, Reading]:
    """Kill when so many messages in a row were faulty. They are counted before a good ledger clears them,
    so that a burst that ended with one is still seen.
    """
    count, limit = memory.count + seen.tick.feed_faults, config.risk.max_feed_failures
    after = memory if count == memory.count else Count(count=count)
    if seen.tick.close_time is not None and count:
        after = _NONE
    if count < limit:
        return after, calm("feed_failures")
    detail = f"{count} faulty messages in a row (risk.max_feed_failures {limit})"
    return after, Reading(monitor="feed_failures", severity=Severity.KILL, detail=detail)


def staleness(memory: Age, seen: Seen, config: Config) -> tuple[Age, Reading]:
    """Pull, later kill, when the newest ledger is so many seconds old, also when it is as it comes.

    While the feed connects again, up to attempt `monitors.reconnect_attempts`, it pulls and does not kill;
    nor for `risk.stale_pull_seconds` after that, for what was missed takes a moment to come.
    """
    attempts, most = seen.tick.link.attempts, config.monitors.reconnect_attempts
    if seen.tick.close_time is not None:
        memory = Age(last_ledger_time=seen.tick.close_time)
    if attempts:
        memory = Age(last_ledger_time=memory.last_ledger_time, broken_at=seen.at)
    age, risk = seen.at - memory.last_ledger_time, config.risk
    if age < risk.stale_pull_seconds:
        return memory, calm("staleness")
    severity, limit = Severity.PULL_QUOTES, f"risk.stale_pull_seconds {risk.stale_pull_seconds}"
    if age >= risk.stale_halt_seconds:
        limit = f"risk.stale_halt_seconds {risk.stale_halt_seconds}"
        back = memory.broken_at is not None and seen.at - memory.broken_at < risk.stale_pull_seconds
        if attempts > most or not back:
            severity = Severity.KILL
    detail = f"no validated ledger for {age} s ({limit})"
    if attempts:
        detail += f", connecting again, attempt {attempts} (monitors.reconnect_attempts {most})"
    return memory, Reading(monitor="staleness", severity=severity, detail=detail)


def ledger_stall(memory: Age, seen: Seen, config: Config) -> tuple[Age, Reading]:
    """Pull when no ledger came for `monitors.stall_intervals` ledger intervals though the feed is connected.

    It tells a network that stands still from a connection that is lost. What the gateway says tells it from
    a ledger that cannot be had: closed ledgers are heard then. It never kills: `staleness` does.
    """
    if seen.tick.close_time is not None:
        return Age(last_ledger_time=seen.tick.close_time), calm("ledger_stall")
    age, intervals = seen.at - memory.last_ledger_time, config.monitors.stall_intervals
    if seen.tick.link.attempts or age < intervals * config.engine.tick_interval_seconds:
        return memory, calm("ledger_stall")
    told = f"; the gateway says: {seen.tick.link.unhealthy}" if seen.tick.link.unhealthy else ""
    detail = (
        f"no validated ledger for {age} s though connected: the network or the servers stand still, or a "
        f"ledger cannot be had (monitors.stall_intervals {intervals} x engine.tick_interval_seconds "
        f"{config.engine.tick_interval_seconds}){told}"
    )
    return memory, Reading(monitor="ledger_stall", severity=Severity.PULL_QUOTES, detail=detail)


def unhealthy_data(memory: Count, seen: Seen, config: Config) -> tuple[Count, Reading | None]:
    """Kill when so many ledgers in a row had data not to be trusted. A tick without a ledger neither adds
    nor clears: its age is judged instead.
    """
    if seen.tick.close_time is None:
        return memory, None
    faults = seen.tick.data_faults
    if not faults or HARMLESS_FAULTS.issuperset(faults):
        return _NONE, calm("unhealthy_data")
    count, limit = memory.count + 1, config.risk.max_unhealthy_ticks
    if count < limit:
        return Count(count=count), calm("unhealthy_data")
    detail = (
        f"{count} ledgers in a row with untrusted data (risk.max_unhealthy_ticks {limit}); "
        f"last: {', '.join(fault.value for fault in faults)}"
    )
    return Count(count=count), Reading(monitor="unhealthy_data", severity=Severity.KILL, detail=detail)
